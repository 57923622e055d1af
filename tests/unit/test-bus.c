/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What callers on the bus can make vspcd keep while the bus takes nothing, and what happens at each bound. The other
 * end of the connection is a socket that nobody reads.
 */

#include <stdio.h>
#include <sys/socket.h>

#include "harness.h"

#include "admin/bus-credentials.h"
#include "admin/bus.h"
#include "basic/log.h"

#define MEGABYTE (1024U * 1024U)

/* Nobody has a name, and that is known at once. */
void __wrap_user_names_ask(UserNames *n, UserNameQuery *query, uid_t uid, UserNameHandler answered);
void __wrap_user_names_ask(_unused_ UserNames *n, UserNameQuery *query, _unused_ uid_t uid, UserNameHandler answered) {
        answered(query, NULL);
}

typedef struct World {
        sd_event *event;
        Concentrator *concentrator;
        Console *console;
        Bus *bus;
        int peer;
        uint64_t cookie;
} World;

/* What waits for the answer to who a caller is, and the answer */
static sd_bus_message_handler_t credentials_handler;
static void *credentials_userdata;
static uid_t caller_uid;

int __wrap_bus_ask_credentials(sd_bus *connection, sd_bus_slot **ret_slot, const char *name,
                               sd_bus_message_handler_t handler, void *userdata);
int __wrap_bus_read_credentials(sd_bus_message *answer, Peer *ret);

int __wrap_bus_ask_credentials(_unused_ sd_bus *connection, _unused_ sd_bus_slot **ret_slot,
                               _unused_ const char *name, sd_bus_message_handler_t handler, void *userdata) {
        credentials_handler = handler;
        credentials_userdata = userdata;
        return 0;
}

int __wrap_bus_read_credentials(_unused_ sd_bus_message *answer, Peer *ret) {
        peer_init_local(ret, caller_uid, 1);
        return 0;
}

/* Messages of vspcd's own; the library sends errors by itself. */
static unsigned n_sent;
int __real_sd_bus_send(sd_bus *connection, sd_bus_message *m, uint64_t *ret_cookie);
int __wrap_sd_bus_send(sd_bus *connection, sd_bus_message *m, uint64_t *ret_cookie);

int __wrap_sd_bus_send(sd_bus *connection, sd_bus_message *m, uint64_t *ret_cookie) {
        n_sent++;
        return __real_sd_bus_send(connection, m, ret_cookie);
}

static void connect_bus(World *w) {
        sd_bus *connection = NULL;
        int fds[2];

        assert_true(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) >= 0);
        w->peer = fds[1];
        assert_true(sd_bus_new(&connection) >= 0);
        assert_true(sd_bus_set_fd(connection, fds[0], fds[0]) >= 0);
        assert_true(sd_bus_start(connection) >= 0);
        w->bus->connection = connection;
        w->bus->condition = BUS_SERVING;
        assert_true(sd_event_source_set_enabled(w->bus->retry_timer, SD_EVENT_OFF) >= 0); /* it has its connection */
}

/* So many messages wait for the other end. */
static void hold_up(World *w, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                assert_true(sd_bus_emit_signal(w->bus->connection, "/", "org.example", "Waiting", "") >= 0);
        assert_int_equal(bus_queued(w->bus), n);
}

static int begin(void **state) {
        World *w = calloc(1, sizeof(World));
        Settings settings;

        assert_non_null(w);
        settings_init(&settings);
        settings.vm_ports = false;
        assert_true(sd_event_new(&w->event) >= 0);
        assert_int_equal(concentrator_new(w->event, &settings, 8192, &w->concentrator), 0);
        assert_int_equal(console_new(w->concentrator, "50120000-0000-0000-0000-000000000001", (const uint8_t[16]){},
                                     "web01", "s0", 0, &w->console), 0);
        assert_int_equal(bus_new(w->concentrator, NULL, &w->bus), 0);
        connect_bus(w);
        *state = w;
        return 0;
}

static int end(void **state) {
        World *w = *state;

        bus_freep(&w->bus);
        concentrator_freep(&w->concentrator);
        sd_event_unref(w->event);
        safe_close(w->peer);
        free(w);
        return 0;
}

static sd_bus_message *call_from(World *w, unsigned caller) {
        sd_bus_message *m = NULL;
        char sender[32];

        snprintf(sender, sizeof sender, ":1.%u", caller);
        assert_true(sd_bus_message_new_method_call(w->bus->connection, &m, "org.example", "/", NULL, "Call") >= 0);
        assert_true(sd_bus_message_set_sender(m, sender) >= 0);
        assert_true(sd_bus_message_seal(m, ++w->cookie, 0) >= 0);
        return m;
}

/* Returns: whether @caller waits for a list. Otherwise it has been answered at once. */
static bool waits_for_list(World *w, unsigned caller) {
        unsigned n_waiting = w->bus->listings.n;
        uint64_t n_queued = bus_queued(w->bus);
        sd_bus_message *m = call_from(w, caller);

        assert_true(bus_list(w->bus, m, BUS_LISTING_VMS) >= 0);
        sd_bus_message_unref(m);
        bool waits = w->bus->listings.n > n_waiting;
        assert_int_equal(bus_queued(w->bus), n_queued + !waits);
        return waits;
}

static void test_one_list_too_many_is_refused(void **state) {
        World *w = *state;

        hold_up(w, 1); /* no list is made before that has gone */
        for (unsigned i = 0; i < BUS_LISTINGS_MAX; i++)
                assert_true(waits_for_list(w, i));
        assert_false(waits_for_list(w, BUS_LISTINGS_MAX));
}

static void test_one_list_too_many_for_a_caller_is_refused_and_others_are_not(void **state) {
        World *w = *state;

        hold_up(w, 1);
        for (unsigned i = 0; i < BUS_LISTINGS_PER_CALLER_MAX; i++)
                assert_true(waits_for_list(w, 1));
        assert_false(waits_for_list(w, 1));
        assert_true(waits_for_list(w, 2));
}

static void test_a_list_that_is_too_long_for_the_bus_is_refused(void **state) {
        World *w = *state;
        char id[UUID_TEXT_MAX], *uri = malloc(MEGABYTE);
        Console *console;

        assert_non_null(uri);
        memset(uri, 'u', MEGABYTE - 1);
        uri[MEGABYTE - 1] = 0;
        for (unsigned i = 0; i < BUS_LISTING_SIZE_MAX / MEGABYTE + 1; i++) {
                snprintf(id, sizeof id, "50140000-0000-0000-0000-%012x", i);
                assert_int_equal(console_new(w->concentrator, id, (const uint8_t[16]){}, "web02", uri, 0, &console),
                                 0);
        }
        free(uri);
        bus_news_clear(w->bus);

        sd_bus_message *m = call_from(w, 1);
        n_sent = 0;
        assert_true(bus_list(w->bus, m, BUS_LISTING_VMS) >= 0);
        while (w->bus->listings.n > 0)
                assert_true(sd_event_run(w->event, USEC_PER_SEC) >= 0);
        sd_bus_message_unref(m);
        assert_int_equal(n_sent, 0);
        assert_int_equal(bus_queued(w->bus), 1); /* the error */
}

static const BusAction action = {.polkit = "org.example", .act = ACT_CLEAR};

/* Returns: whether a call waits for what the bus says of its @caller. Otherwise it has been answered at once. */
static bool waits_for_credentials(World *w, unsigned caller) {
        unsigned n_waiting = w->bus->calls.n;
        uint64_t n_queued = bus_queued(w->bus);
        sd_bus_message *m = call_from(w, caller);

        assert_true(bus_call(w->bus, m, w->console, &action, &(BusArguments){}) >= 0);
        sd_bus_message_unref(m);
        bool waits = w->bus->calls.n > n_waiting;
        assert_int_equal(bus_queued(w->bus), n_queued + !waits);
        return waits;
}

static void test_one_call_too_many_is_refused(void **state) {
        World *w = *state;

        for (unsigned i = 0; i < BUS_CALLS_MAX; i++)
                assert_true(waits_for_credentials(w, i));
        assert_false(waits_for_credentials(w, BUS_CALLS_MAX));
}

static void test_one_call_too_many_of_a_caller_is_refused_and_others_are_not(void **state) {
        World *w = *state;

        for (unsigned i = 0; i < BUS_CALLS_PER_CALLER_MAX; i++)
                assert_true(waits_for_credentials(w, 1));
        assert_false(waits_for_credentials(w, 1));
        assert_true(waits_for_credentials(w, 2));
}

/* Returns: whether polkit is asked about a call of @uid's. */
static bool waits_for_polkit(World *w, unsigned caller, uid_t uid) {
        unsigned n_waiting = w->bus->calls.n;

        assert_true(waits_for_credentials(w, caller));
        caller_uid = uid;
        assert_int_equal(credentials_handler(NULL, credentials_userdata, NULL), 0);
        return w->bus->calls.n > n_waiting;
}

static void test_one_question_too_many_for_polkit_is_refused(void **state) {
        World *w = *state;

        for (unsigned i = 0; i < BUS_CHECKS_MAX; i++)
                assert_true(waits_for_polkit(w, i, 1000 + i));
        assert_false(waits_for_polkit(w, BUS_CHECKS_MAX, 1000 + BUS_CHECKS_MAX));
}

static void test_one_question_too_many_about_a_user_is_refused_and_others_are_not(void **state) {
        World *w = *state;

        for (unsigned i = 0; i < BUS_CHECKS_PER_USER_MAX; i++)
                assert_true(waits_for_polkit(w, i, 1000));
        assert_false(waits_for_polkit(w, BUS_CHECKS_PER_USER_MAX, 1000));
        assert_true(waits_for_polkit(w, BUS_CHECKS_PER_USER_MAX, 1001));
}

static void remove_vm(World *w, unsigned n) {
        char id[UUID_TEXT_MAX];

        snprintf(id, sizeof id, "50130000-0000-0000-0000-%012x", n);
        Console removed = {.id = id};
        concentrator_notify(w->concentrator, &removed, CONSOLE_REMOVED, NULL);
}

static void test_a_bus_that_takes_no_news_of_removed_vms_is_given_up(void **state) {
        World *w = *state;

        for (unsigned i = 0; i < BUS_NEWS_GONE_MAX; i++)
                remove_vm(w, i);
        assert_int_equal(w->bus->condition, BUS_SERVING);
        assert_int_equal(w->bus->news.n_gone, BUS_NEWS_GONE_MAX);

        remove_vm(w, BUS_NEWS_GONE_MAX);
        assert_int_equal(w->bus->condition, BUS_AWAY);
        assert_null(w->bus->news.oldest);
}

static uint64_t news_are_due(const World *w) {
        uint64_t usec;

        assert_true(sd_event_source_get_time(w->bus->news.timer, &usec) >= 0);
        return usec;
}

static void test_no_news_are_told_while_the_bus_takes_none(void **state) {
        const unsigned n = BUS_QUEUE_HIGH + 1;
        World *w = *state;

        hold_up(w, n);
        concentrator_notify(w->concentrator, w->console, CONSOLE_CHANGED, NULL);
        for (uint64_t due = news_are_due(w); due == news_are_due(w) && bus_queued(w->bus) == n;)
                assert_true(sd_event_run(w->event, USEC_PER_SEC) >= 0);
        assert_int_equal(bus_queued(w->bus), n);
        assert_non_null(w->bus->news.oldest);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_one_list_too_many_is_refused, begin, end),
                cmocka_unit_test_setup_teardown(test_one_list_too_many_for_a_caller_is_refused_and_others_are_not,
                                                begin, end),
                cmocka_unit_test_setup_teardown(test_a_list_that_is_too_long_for_the_bus_is_refused, begin, end),
                cmocka_unit_test_setup_teardown(test_one_call_too_many_is_refused, begin, end),
                cmocka_unit_test_setup_teardown(test_one_call_too_many_of_a_caller_is_refused_and_others_are_not,
                                                begin, end),
                cmocka_unit_test_setup_teardown(test_one_question_too_many_for_polkit_is_refused, begin, end),
                cmocka_unit_test_setup_teardown(test_one_question_too_many_about_a_user_is_refused_and_others_are_not,
                                                begin, end),
                cmocka_unit_test_setup_teardown(test_a_bus_that_takes_no_news_of_removed_vms_is_given_up, begin, end),
                cmocka_unit_test_setup_teardown(test_no_news_are_told_while_the_bus_takes_none, begin, end),
        };

        log_set_max_level(LOG_ERR);
        return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
