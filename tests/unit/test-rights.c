/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "harness.h"

#include "console/rights.h"

#define UUID "50123456-789a-bcde-f012-3456789abcde"
#define OTHER_UUID "50123456-789a-bcde-f012-3456789abcdf"
#define DBA 2001U
#define VSPC 2002U

/* Separated by blanks */
static void add(Rights *r, RightsList list, const char *words) {
        _cleanup_free_ char *copy = strdup(words);

        for (char *next = copy, *word; (word = strsep(&next, " "));)
                if (*word)
                        assert_int_equal(rights_add(r, list, word), 0);
}

static void section(Rights *r, const char *who, const char *vms, Right may) {
        assert_int_equal(rights_begin_section(r, "test:1"), 0);
        add(r, RIGHTS_WHO, who);
        add(r, RIGHTS_VMS, vms);
        r->sections[r->n_sections - 1].may = may;
}

static Rights rights(void) {
        Rights r;

        rights_init(&r);
        r.owner = 990;
        r.group = VSPC;
        r.has_group = true;
        return r;
}

static Identity user(uid_t uid, gid_t group) {
        Identity i;

        identity_init_user(&i, uid);
        assert_true(identity_add_group(&i, group));
        return i;
}

static Identity certificate(const char *name) {
        Identity i = {};

        assert_true(identity_add_name(&i, "CN", name, strlen(name)));
        return i;
}

static const Identity anonymous = {.kind = IDENTITY_ANONYMOUS};

static Right decide_by_uuid(const Rights *r, Identity who, const char *name, const char *uuid) {
        RightsSet of_who = rights_of_who(r, &who), of_vm = rights_of_vm(r, name, uuid);

        return rights_decide(r, &who, &of_who, &of_vm);
}

static Right decide(const Rights *r, Identity who, const char *name) {
        return decide_by_uuid(r, who, name, UUID);
}

static void test_without_sections_all_is_as_it_was(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();
        Identity by_mode = user(1000, 1000), alice = user(1000, 1000), cert = certificate("x");

        by_mode.let_in_by_mode = true;
        assert_int_equal(decide(&r, anonymous, "web"), RIGHT_ADMIN);
        assert_int_equal(decide(&r, cert, "web"), RIGHT_ADMIN);
        assert_int_equal(decide(&r, alice, "web"), RIGHT_LIST);
        assert_int_equal(decide(&r, by_mode, "web"), RIGHT_ADMIN);
        assert_int_equal(decide(&r, user(1000, VSPC), "web"), RIGHT_ADMIN);
        assert_true(rights_are_open(&r));
        assert_true(rights_admit(&r, &anonymous));
        assert_true(rights_admit(&r, &cert));
        assert_true(rights_admit(&r, &by_mode));
        assert_false(rights_admit(&r, &alice));
}

static void test_root_the_own_user_and_the_group_may_do_everything(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();

        section(&r, "user:1000", "web*", RIGHT_LIST);
        assert_int_equal(decide(&r, user(0, 0), "db"), RIGHT_ADMIN);
        assert_int_equal(decide(&r, user(990, 1), "db"), RIGHT_ADMIN);
        assert_int_equal(decide(&r, user(1000, VSPC), "db"), RIGHT_ADMIN);
        assert_int_equal(decide(&r, user(1001, 1001), "db"), RIGHT_NONE);

        r.has_group = false; /* there is no such group on this machine */
        assert_int_equal(decide(&r, user(1000, VSPC), "db"), RIGHT_NONE);
}

static void test_a_section_grants_its_right_to_whom_it_names_at_the_vms_that_it_names(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();

        section(&r, "user:1000 group:2001", "db-* web01", RIGHT_WATCH);
        assert_int_equal(decide(&r, user(1000, 1), "db-1"), RIGHT_WATCH);
        assert_int_equal(decide(&r, user(1001, DBA), "web01"), RIGHT_WATCH);
        assert_int_equal(decide(&r, user(1000, 1), "web011"), RIGHT_NONE);
        assert_int_equal(decide(&r, user(1001, 1), "db-1"), RIGHT_NONE);
        assert_int_equal(decide(&r, certificate("1000"), "db-1"), RIGHT_NONE);
}

static void test_the_most_that_sections_grant_counts(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();

        section(&r, "user:1000", "db-*", RIGHT_ADMIN);
        section(&r, "user:*", "*", RIGHT_WATCH);
        assert_int_equal(decide(&r, user(1000, 1), "db-1"), RIGHT_ADMIN);
        assert_int_equal(decide(&r, user(1000, 1), "web"), RIGHT_WATCH);
        assert_int_equal(decide(&r, user(1001, 1), "db-1"), RIGHT_WATCH);
        assert_int_equal(decide(&r, certificate("x"), "db-1"), RIGHT_NONE);
}

/* The VMs of one section and the people of another have nothing in common. */
static void test_sections_do_not_mix(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();

        for (unsigned i = 0; i < RIGHTS_SECTIONS_MAX; i++) {
                char who[32], vm[32];

                snprintf(who, sizeof who, "user:%u", 1000 + i);
                snprintf(vm, sizeof vm, "vm%u", i);
                section(&r, who, vm, RIGHT_WRITE);
        }
        for (unsigned i = 0; i < RIGHTS_SECTIONS_MAX; i++)
                for (unsigned k = 0; k < RIGHTS_SECTIONS_MAX; k += i == k ? 1 : 37) {
                        char vm[32];

                        snprintf(vm, sizeof vm, "vm%u", k);
                        assert_int_equal(decide(&r, user(1000 + i, 1), vm), i == k ? RIGHT_WRITE : RIGHT_NONE);
                }
        assert_int_equal(rights_begin_section(&r, "test:1"), -E2BIG);
}

static void test_a_uuid_is_not_a_name(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();

        section(&r, "user:1000", "50123456789ABCDEF0123456789abcde", RIGHT_WRITE);
        assert_int_equal(decide(&r, user(1000, 1), "web"), RIGHT_WRITE);
        assert_int_equal(decide_by_uuid(&r, user(1000, 1), UUID, OTHER_UUID), RIGHT_NONE);
        assert_int_equal(decide_by_uuid(&r, user(1000, 1), "50123456789ABCDEF0123456789abcde", OTHER_UUID), RIGHT_NONE);
        assert_int_equal(decide_by_uuid(&r, user(1000, 1), "web", UUID "~" OTHER_UUID), RIGHT_WRITE);
}

static void test_a_uuid_with_a_bios_uuid_is_one_vm_s(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();

        section(&r, "user:1000", UUID "~" OTHER_UUID, RIGHT_WRITE);
        assert_int_equal(decide_by_uuid(&r, user(1000, 1), "web", UUID "~" OTHER_UUID), RIGHT_WRITE);
        assert_int_equal(decide_by_uuid(&r, user(1000, 1), "web", UUID "~" UUID), RIGHT_NONE);
        assert_int_equal(decide_by_uuid(&r, user(1000, 1), "web", UUID), RIGHT_NONE);
}

static void test_certificates_are_named_by_what_is_in_them(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();

        section(&r, "cert:CN=monitor", "*", RIGHT_WATCH);
        assert_int_equal(decide(&r, certificate("monitor"), "web"), RIGHT_WATCH);
        assert_int_equal(decide(&r, certificate("monitor2"), "web"), RIGHT_NONE);

        section(&r, "cert:*", "web", RIGHT_LIST);
        assert_int_equal(decide(&r, certificate("monitor2"), "web"), RIGHT_LIST);
        assert_int_equal(decide(&r, user(1000, 1), "web"), RIGHT_NONE);
}

static void test_the_anonymous_keep_everything_until_a_section_names_them(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();

        section(&r, "user:1000", "*", RIGHT_WATCH);
        assert_true(rights_spare_anonymous(&r));
        assert_int_equal(decide(&r, anonymous, "web"), RIGHT_ADMIN);
        assert_true(rights_admit(&r, &anonymous));

        section(&r, "anonymous", "web", RIGHT_LIST);
        assert_false(rights_spare_anonymous(&r));
        assert_int_equal(decide(&r, anonymous, "web"), RIGHT_LIST);
        assert_int_equal(decide(&r, anonymous, "db"), RIGHT_NONE);

        rights_clear(&r, RIGHTS_WHO); /* it did not mean it */
        assert_int_equal(decide(&r, anonymous, "db"), RIGHT_ADMIN);
}

static void test_in_doubt_the_anonymous_may_nothing(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();
        Identity by_mode = user(1000, 1);

        r.in_doubt = true;
        by_mode.let_in_by_mode = true;
        assert_int_equal(decide(&r, anonymous, "web"), RIGHT_NONE);
        assert_int_equal(decide(&r, by_mode, "web"), RIGHT_NONE);
        assert_int_equal(decide(&r, certificate("x"), "web"), RIGHT_NONE);
        assert_int_equal(decide(&r, user(0, 0), "web"), RIGHT_ADMIN);
        assert_false(rights_admit(&r, &anonymous));
        assert_false(rights_are_open(&r));
}

static void test_who_is_named_by_any_section_is_let_in(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();
        Identity alice = user(1000, 1), bob = user(1001, 1), by_mode = user(1002, 1);

        by_mode.let_in_by_mode = true;
        section(&r, "user:1000", "no-such-vm", RIGHT_LIST);
        assert_true(rights_admit(&r, &alice));
        assert_false(rights_admit(&r, &bob));
        assert_false(rights_admit(&r, &by_mode)); /* there are sections now */
}

static void test_signals_for_all_need_a_section_for_all(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();

        section(&r, "user:*", "web*", RIGHT_ADMIN);
        section(&r, "user:1000 cert:*", "*", RIGHT_ADMIN);
        assert_false(rights_are_open(&r));
        section(&r, "group:1 user:*", "x *", RIGHT_LIST);
        assert_true(rights_are_open(&r));
}

static void test_a_name_that_is_not_known_is_nobody_s(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();

        section(&r, "user:alice group:dba", "*", RIGHT_ADMIN);
        for (uint32_t id = 0; id < 3; id++)
                assert_int_equal(decide(&r, user(id ?: (uid_t) -1, id), "web"), RIGHT_NONE);
}

static void test_what_polkit_has_granted_counts_besides(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();
        Identity who = user(1000, 1);

        section(&r, "user:1000", "*", RIGHT_LIST);
        who.vouched = RIGHT_WRITE;
        assert_int_equal(decide(&r, who, "web"), RIGHT_WRITE);
}

static void test_bad_words_are_refused(_unused_ void **state) {
        static const char *const bad[] = {"", "alice", "user:", "group:", "group:*", "user:a*", "group:a?", "cert:", "cert:CN=",
                                          "cert:monitor", "cert:XY=z", "everybody", "Anonymous", "USER:alice"};
        _cleanup_(rights_done) Rights r = rights();
        char word[RIGHTS_WORD_SIZE_MAX + 1];

        assert_int_equal(rights_begin_section(&r, "test:1"), 0);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (rights_add(&r, RIGHTS_WHO, bad[i]) != -EINVAL)
                        fail_msg("\"%s\" is taken", bad[i]);
        assert_int_equal(rights_add(&r, RIGHTS_VMS, ""), -EINVAL);

        memset(word, 'x', sizeof word);
        word[RIGHTS_WORD_SIZE_MAX] = 0;
        assert_int_equal(rights_add(&r, RIGHTS_VMS, word), -E2BIG);
        assert_int_equal(rights_add(&r, RIGHTS_VMS, word + 1), 0);
        assert_int_equal(r.n_words, 1);
}

static void test_words_are_counted_in_all_sections(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();

        for (unsigned i = 0; i < RIGHTS_WORDS_MAX; i++) {
                if (i % 2048 == 0)
                        assert_int_equal(rights_begin_section(&r, "test:1"), 0);
                assert_int_equal(i % 2 ? rights_add(&r, RIGHTS_VMS, "x") : rights_add(&r, RIGHTS_WHO, "user:1"), 0);
        }
        assert_int_equal(rights_add(&r, RIGHTS_VMS, "x"), -E2BIG);
        assert_int_equal(rights_add(&r, RIGHTS_WHO, "user:1"), -E2BIG);

        rights_clear(&r, RIGHTS_VMS);
        assert_int_equal(rights_add(&r, RIGHTS_WHO, "user:1"), 0);
}

static void test_a_copy_decides_the_same(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights(), copy = {};

        section(&r, "user:1000 cert:CN=x anonymous", "db-* " UUID, RIGHT_WRITE);
        section(&r, "group:2001", "*", RIGHT_ADMIN);
        assert_int_equal(rights_copy(&r, &copy), 0);
        assert_int_equal(copy.n_words, r.n_words);
        assert_int_equal(decide(&copy, anonymous, "db-1"), RIGHT_WRITE);
        assert_int_equal(decide_by_uuid(&copy, anonymous, "web", OTHER_UUID), RIGHT_NONE);
        assert_int_equal(decide(&copy, certificate("x"), "web"), RIGHT_WRITE);
        assert_int_equal(decide(&copy, user(1, DBA), "web"), RIGHT_ADMIN);
}

static void test_a_refusal_can_say_who_could(_unused_ void **state) {
        _cleanup_(rights_done) Rights r = rights();
        const char *who[3];

        section(&r, "user:1000 group:7", "db-*", RIGHT_WRITE);
        section(&r, "user:1001", "db-*", RIGHT_WATCH);
        section(&r, "cert:CN=x user:5", "*", RIGHT_ADMIN);

        RightsSet db = rights_of_vm(&r, "db-1", UUID), web = rights_of_vm(&r, "web", UUID);
        assert_int_equal(rights_holders(&r, &db, RIGHT_WRITE, who, 3), 3);
        assert_string_equal(who[0], "user:1000");
        assert_string_equal(who[1], "group:7");
        assert_string_equal(who[2], "cert:CN=x");
        assert_int_equal(rights_holders(&r, &web, RIGHT_WRITE, who, 3), 2);
        assert_int_equal(rights_holders(&r, &web, RIGHT_WRITE, who, 1), 1);
}

static void test_each_right_has_a_name(_unused_ void **state) {
        Right right;

        for (Right i = RIGHT_LIST; i < _RIGHT_MAX; i++) {
                assert_int_equal(right_from_string(right_to_string(i), &right), 0);
                assert_int_equal(right, i);
        }
        assert_int_equal(right_from_string("nothing", &right), -EINVAL);
        assert_int_equal(right_from_string("", &right), -EINVAL);
        assert_int_equal(right_from_string("Write", &right), -EINVAL);
}

/* The table of vspc-consoles(7): a line "act|right" for each act, in the same order */
static void test_the_manual_has_the_same_table(_unused_ void **state) {
        _cleanup_free_ char *path = NULL;
        char line[512];
        unsigned n = 0;

        assert_true(asprintf(&path, "%s/man/vspc-consoles.7", getenv("VSPC_SOURCE")) >= 0);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        while (fgets(line, sizeof line, f) && (n == 0 || strcmp(line, ".TE\n") != 0)) {
                char *tab = strchr(line, '|');

                if (!tab || strncmp(line, "tab(", 4) == 0 || strncmp(line, "Act|", 4) == 0)
                        continue;

                *tab = 0;
                tab[1 + strcspn(tab + 1, "\n")] = 0;
                assert_in_range(n, 0, _ACT_MAX - 1);
                assert_string_equal(line, rights_act_text((Act) n));
                assert_string_equal(tab + 1, right_to_string(rights_act_needs((Act) n)));
                n++;
        }
        fclose(f);
        assert_int_equal(n, _ACT_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_without_sections_all_is_as_it_was),
                cmocka_unit_test(test_root_the_own_user_and_the_group_may_do_everything),
                cmocka_unit_test(test_a_section_grants_its_right_to_whom_it_names_at_the_vms_that_it_names),
                cmocka_unit_test(test_the_most_that_sections_grant_counts),
                cmocka_unit_test(test_sections_do_not_mix),
                cmocka_unit_test(test_a_uuid_is_not_a_name),
                cmocka_unit_test(test_a_uuid_with_a_bios_uuid_is_one_vm_s),
                cmocka_unit_test(test_certificates_are_named_by_what_is_in_them),
                cmocka_unit_test(test_the_anonymous_keep_everything_until_a_section_names_them),
                cmocka_unit_test(test_in_doubt_the_anonymous_may_nothing),
                cmocka_unit_test(test_who_is_named_by_any_section_is_let_in),
                cmocka_unit_test(test_signals_for_all_need_a_section_for_all),
                cmocka_unit_test(test_a_name_that_is_not_known_is_nobody_s),
                cmocka_unit_test(test_what_polkit_has_granted_counts_besides),
                cmocka_unit_test(test_bad_words_are_refused),
                cmocka_unit_test(test_words_are_counted_in_all_sections),
                cmocka_unit_test(test_a_copy_decides_the_same),
                cmocka_unit_test(test_a_refusal_can_say_who_could),
                cmocka_unit_test(test_each_right_has_a_name),
                cmocka_unit_test(test_the_manual_has_the_same_table),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
