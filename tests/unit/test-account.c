/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What each owner and all together may have, and what is given up, in which order, when they have more. */

#include <sys/socket.h>

#include "harness.h"

#include "basic/log.h"
#include "transport/account.h"

#define MAX_SIZE ((size_t) 1024 * 1024)

static bool is_out_of_memory;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size) {
        return is_out_of_memory ? NULL : __real_calloc(n, size);
}

typedef struct Item {
        Charge charge;
        bool keeps; /* its handler gives nothing back */
        bool shrinks; /* its handler finds that it is smaller by now */
} Item;

static sd_event *event;
static Account *account;
static Item items[600];
static Item *given_up[ELEMENTSOF(items)]; /* in this order */
static size_t n_given_up;

static bool on_given_up(Charge *charge) {
        Item *item = container_of(charge, Item, charge);

        if (item->shrinks) {
                charge_set(charge, 1);
                return false;
        }

        assert_true(n_given_up < ELEMENTSOF(given_up));
        given_up[n_given_up++] = item;
        if (!item->keeps)
                charge_close(charge);
        return true;
}

static int begin(_unused_ void **state) {
        memset(items, 0, sizeof items);
        n_given_up = 0;
        is_out_of_memory = false;
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(account_new(event, NULL, &account), 0);
        account_set_max(account, MAX_SIZE);
        return 0;
}

static int end(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(items); i++)
                charge_close(&items[i].charge);
        assert_int_equal(account_size(account), 0);
        account_freep(&account);
        event = sd_event_unref(event);
        return 0;
}

static void run(void) {
        while (sd_event_run(event, 0) > 0)
                ;
}

static void open_item(size_t i, uid_t uid, ChargeClass class, size_t size) {
        const AccountKey key = account_key_of_user(uid);

        charge_open(&items[i].charge, account, &key, class, on_given_up);
        charge_set(&items[i].charge, size);
}

/* Opens one, and the loop comes round. */
static void add(size_t i, uid_t uid, ChargeClass class, size_t size) {
        open_item(i, uid, class, size);
        run();
}

/* Exactly these have been given up so far, in this order; the last is followed by -1. */
static void assert_given_up(int first, ...) {
        size_t n = 0;
        va_list ap;

        va_start(ap, first);
        for (int i = first; i >= 0; i = va_arg(ap, int), n++) {
                assert_true(n < n_given_up);
                assert_int_equal(given_up[n] - items, i);
        }
        va_end(ap);
        assert_int_equal(n_given_up, n);
        assert_int_equal(account_n_given_up(account), n);
}

static void test_all_that_is_charged_is_counted(_unused_ void **state) {
        add(0, 1, CHARGE_QUERY, 1000);
        add(1, 1, CHARGE_CLIENT, 200);
        add(2, 2, CHARGE_QUERY, 30);
        assert_int_equal(account_size(account), 1230);
        charge_set(&items[0].charge, 500);
        charge_close(&items[1].charge);
        assert_int_equal(account_size(account), 530);
        charge_set(&items[0].charge, 0);
        assert_int_equal(account_size(account), 30);
        assert_given_up(-1);
}

static void test_one_owner_alone_may_have_half(_unused_ void **state) {
        add(0, 1, CHARGE_CLIENT, MAX_SIZE / 4);
        add(1, 1, CHARGE_CLIENT, MAX_SIZE / 4);
        assert_given_up(-1);
        add(2, 1, CHARGE_CLIENT, 1);
        assert_given_up(0, -1);
        add(3, 1, CHARGE_CLIENT, MAX_SIZE / 2);
        assert_given_up(0, 1, 2, -1);
}

static void test_each_owner_may_have_half_of_what_the_others_leave(_unused_ void **state) {
        size_t left = MAX_SIZE;

        for (uid_t uid = 1; uid <= 4; uid++, left /= 2) {
                add(2 * uid, uid, CHARGE_CLIENT, left / 2);
                assert_int_equal(n_given_up, uid - 1);
                add(2 * uid + 1, uid, CHARGE_CLIENT, 1);
                assert_int_equal(n_given_up, uid);
                assert_ptr_equal(given_up[uid - 1], &items[2 * uid]);
                charge_set(&items[2 * uid + 1].charge, left / 2); /* as much as before */
                run();
                assert_int_equal(n_given_up, uid);
        }
}

static void test_what_others_leave_counts_when_an_owner_grows(_unused_ void **state) {
        add(0, 1, CHARGE_CLIENT, MAX_SIZE / 2);
        add(1, 2, CHARGE_CLIENT, MAX_SIZE / 4);
        assert_given_up(-1); /* the first one has more than its share by now, but does not grow */
        charge_set(&items[0].charge, MAX_SIZE / 2 + 1);
        run();
        assert_given_up(0, -1);
}

static void test_each_owner_may_have_a_part_however_much_the_others_have(_unused_ void **state) {
        for (uid_t uid = 1; uid <= 20; uid++)
                add(uid, uid, CHARGE_CLIENT, MAX_SIZE >> uid);
        assert_given_up(-1);
        add(21, 21, CHARGE_CLIENT, MAX_SIZE / ACCOUNT_OWNERS);
        assert_given_up(1, -1); /* the total is exceeded then, and the oldest goes */
        add(22, 21, CHARGE_CLIENT, MAX_SIZE);
        assert_int_equal(n_given_up, 3);
        assert_ptr_equal(given_up[1], &items[21]);
        assert_ptr_equal(given_up[2], &items[22]);
}

static void test_an_owner_s_charges_go_in_the_order_of_their_classes(_unused_ void **state) {
        for (int class = _CHARGE_CLASS_MAX - 1; class >= 0; class--)
                open_item((size_t) class, 1, (ChargeClass) class, MAX_SIZE / 16);
        add(10, 2, CHARGE_CLOSING, 1);
        assert_given_up(-1);
        open_item(11, 1, CHARGE_CONNECTION, MAX_SIZE);
        run();
        assert_given_up(CHARGE_CLOSING, CHARGE_UNIDENTIFIED, CHARGE_QUERY, CHARGE_INPUT, CHARGE_LAG, CHARGE_CLIENT,
                        11, -1);
}

static void test_of_a_class_the_one_goes_that_has_not_been_0_for_longest(_unused_ void **state) {
        for (size_t i = 0; i < 4; i++)
                add(i, 1, CHARGE_CLIENT, MAX_SIZE / 8);
        charge_set(&items[0].charge, 0);
        charge_set(&items[0].charge, 1);
        charge_set(&items[2].charge, 1);
        charge_set(&items[2].charge, MAX_SIZE / 8);
        add(4, 1, CHARGE_CLIENT, MAX_SIZE / 2 - 2);
        assert_given_up(1, 2, 3, -1);
}

static void test_of_connections_the_newest_goes(_unused_ void **state) {
        for (size_t i = 0; i < 4; i++)
                add(i, 1, CHARGE_CONNECTION, MAX_SIZE / 8);
        add(4, 1, CHARGE_CONNECTION, 1);
        assert_given_up(4, -1);
        charge_set(&items[1].charge, MAX_SIZE / 8 + 1);
        run();
        assert_given_up(4, 3, -1);
}

/* So many owners that all of them together have more than the total, and none of them more than its share */
static void fill_total(ChargeClass class) {
        for (size_t i = 0; i < ACCOUNT_OWNERS; i++)
                open_item(i, (uid_t) i, class, MAX_SIZE / ACCOUNT_OWNERS);
        run();
        assert_int_equal(account_size(account), MAX_SIZE);
        assert_given_up(-1);
}

static void test_at_the_total_the_oldest_goes_whoever_has_it(_unused_ void **state) {
        fill_total(CHARGE_QUERY);
        add(500, 500, CHARGE_QUERY, 1);
        assert_given_up(0, -1);
        add(501, 500, CHARGE_QUERY, MAX_SIZE / ACCOUNT_OWNERS - 1);
        assert_given_up(0, -1);
        add(502, 502, CHARGE_QUERY, 2);
        assert_given_up(0, 1, -1);
        assert_true(account_size(account) <= MAX_SIZE);
}

static void test_at_the_total_classes_go_in_their_order_whoever_has_them(_unused_ void **state) {
        fill_total(CHARGE_CLIENT);
        add(500, 500, CHARGE_UNIDENTIFIED, 1);
        assert_given_up(500, -1);
        add(501, 501, CHARGE_CONNECTION, 1);
        assert_given_up(500, 0, -1);
}

static void test_nothing_is_given_up_before_the_loop_comes_round(_unused_ void **state) {
        open_item(0, 1, CHARGE_CLIENT, MAX_SIZE);
        open_item(1, 1, CHARGE_CLIENT, MAX_SIZE);
        assert_given_up(-1);
        charge_close(&items[0].charge);
        charge_close(&items[1].charge);
        run();
        assert_given_up(-1);
}

static void test_what_has_become_smaller_meanwhile_is_kept(_unused_ void **state) {
        open_item(0, 1, CHARGE_CLIENT, MAX_SIZE);
        charge_set(&items[0].charge, MAX_SIZE / 2);
        run();
        assert_given_up(-1);
}

static void test_a_charge_that_gives_nothing_back_is_given_up_once_and_others_in_its_place(_unused_ void **state) {
        items[0].keeps = true;
        add(0, 1, CHARGE_CLIENT, MAX_SIZE / 2);
        add(1, 1, CHARGE_CLIENT, 1);
        assert_given_up(0, 1, -1);
        add(2, 1, CHARGE_CLIENT, 2); /* and once more when it grows again */
        assert_given_up(0, 1, 0, 2, -1);
        charge_set(&items[0].charge, MAX_SIZE); /* also if there are no others, and for both limits */
        run();
        assert_given_up(0, 1, 0, 2, 0, -1);
}

static void test_a_charge_that_has_become_smaller_unnoticed_is_kept_and_others_go(_unused_ void **state) {
        items[0].shrinks = true;
        add(0, 1, CHARGE_CLIENT, MAX_SIZE / 4);
        add(1, 1, CHARGE_CLIENT, MAX_SIZE / 4);
        add(2, 1, CHARGE_CLIENT, MAX_SIZE / 8);
        assert_given_up(-1);
        assert_int_equal(items[0].charge.size, 1);
        add(3, 1, CHARGE_CLIENT, MAX_SIZE / 4);
        assert_given_up(1, -1);
}

static void test_a_smaller_total_is_kept_from_then_on(_unused_ void **state) {
        add(0, 1, CHARGE_CLIENT, MAX_SIZE / 2);
        add(1, 2, CHARGE_CLIENT, MAX_SIZE / 4);
        account_set_max(account, MAX_SIZE / 4);
        run();
        assert_given_up(0, -1);
}

static void test_without_memory_for_its_owner_it_is_charged_to_those_who_are_not_known(_unused_ void **state) {
        is_out_of_memory = true;
        open_item(0, 1, CHARGE_CLIENT, MAX_SIZE / 4);
        open_item(1, 2, CHARGE_CLIENT, MAX_SIZE / 4);
        is_out_of_memory = false;
        run();
        assert_ptr_equal(items[0].charge.owner, items[1].charge.owner);
        assert_given_up(-1);
        add(2, 1, CHARGE_CLIENT, MAX_SIZE / 4);
        assert_ptr_not_equal(items[2].charge.owner, items[0].charge.owner);
        assert_given_up(-1);
}

static void test_a_charge_may_be_opened_for_the_owner_of_another(_unused_ void **state) {
        add(0, 1, CHARGE_CLIENT, 1);
        charge_open_like(&items[1].charge, &items[0].charge, CHARGE_QUERY, on_given_up);
        charge_close(&items[0].charge);
        charge_set(&items[1].charge, 5);
        assert_int_equal(account_size(account), 5);
        add(2, 1, CHARGE_CLIENT, 1);
        assert_ptr_equal(items[2].charge.owner, items[1].charge.owner);
}

static AccountKey key_of(const char *text) {
        SocketAddress address;

        assert_int_equal(address_parse(text, &address), 0);
        address_set_port(&address, 4711);
        return account_key_of_address(&address);
}

static void assert_key(const char *address, const char *want) {
        const AccountKey key = key_of(address);
        char text[ACCOUNT_KEY_TEXT_MAX];

        assert_string_equal(account_key_format(&key, text), want);
}

static void test_keys_are_addresses_networks_and_users(_unused_ void **state) {
        const AccountKey user = account_key_of_user(4294967294), local = account_key_of_address(&(SocketAddress){});
        char text[ACCOUNT_KEY_TEXT_MAX];

        assert_key("192.0.2.7", "192.0.2.7");
        assert_key("::ffff:192.0.2.7", "192.0.2.7");
        assert_key("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
        assert_key("2001:db8:1111:2222:ffff::1", "2001:db8:1111:2222::/64");
        assert_key("127.0.0.1", "127.0.0.1");
        assert_key("127.255.1.2", "127.0.0.1");
        assert_key("::ffff:127.0.0.2", "127.0.0.1");
        assert_key("::1", "127.0.0.1");
        assert_string_equal(account_key_format(&user, text), "uid 4294967294");
        assert_string_equal(account_key_format(&local, text), "somebody unknown");
}

static void test_the_same_key_is_the_same_owner(_unused_ void **state) {
        static const char *const addresses[] = {"192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8", "2001:db8::1", "2001:db8::2"};

        for (size_t i = 0; i < ELEMENTSOF(addresses); i++) {
                const AccountKey key = key_of(addresses[i]);
                charge_open(&items[i].charge, account, &key, CHARGE_CLIENT, on_given_up);
        }
        assert_ptr_equal(items[0].charge.owner, items[1].charge.owner);
        assert_ptr_not_equal(items[0].charge.owner, items[2].charge.owner);
        assert_ptr_equal(items[3].charge.owner, items[4].charge.owner);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_all_that_is_charged_is_counted),
                TEST(test_one_owner_alone_may_have_half),
                TEST(test_each_owner_may_have_half_of_what_the_others_leave),
                TEST(test_what_others_leave_counts_when_an_owner_grows),
                TEST(test_each_owner_may_have_a_part_however_much_the_others_have),
                TEST(test_an_owner_s_charges_go_in_the_order_of_their_classes),
                TEST(test_of_a_class_the_one_goes_that_has_not_been_0_for_longest),
                TEST(test_of_connections_the_newest_goes),
                TEST(test_at_the_total_the_oldest_goes_whoever_has_it),
                TEST(test_at_the_total_classes_go_in_their_order_whoever_has_them),
                TEST(test_nothing_is_given_up_before_the_loop_comes_round),
                TEST(test_what_has_become_smaller_meanwhile_is_kept),
                TEST(test_a_charge_that_gives_nothing_back_is_given_up_once_and_others_in_its_place),
                TEST(test_a_charge_that_has_become_smaller_unnoticed_is_kept_and_others_go),
                TEST(test_a_smaller_total_is_kept_from_then_on),
                TEST(test_without_memory_for_its_owner_it_is_charged_to_those_who_are_not_known),
                TEST(test_a_charge_may_be_opened_for_the_owner_of_another),
                TEST(test_keys_are_addresses_networks_and_users),
                TEST(test_the_same_key_is_the_same_owner),
        };

        log_set_max_level(LOG_ERR);
        return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
