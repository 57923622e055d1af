/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The order in which consoles that have changed are settled, and that sockets need not wait for all of them. */

#include <sys/socket.h>

#include "harness.h"

#include "concentrator.h"

#define TURNS_MAX 100

static int begin(_unused_ void **state) {
        Settings settings;

        settings_init(&settings);
        settings.vm_ports = false;
        begin_concentrator(&settings);
        return 0;
}

static Console *new_settled_console(uint8_t n) {
        Console *c = new_console(n);

        console_announce(c);
        concentrator_settle(concentrator);
        return c;
}

static void change_again(_unused_ ConcentratorObserver *o, Console *c, _unused_ ConsoleEvent e, _unused_ const Client *client) {
        console_has_news(c);
}

static bool read_meanwhile;

static void on_readable(_unused_ Watch *w, _unused_ uint32_t events) {
        read_meanwhile = true;
}

static void test_a_socket_has_its_turn_while_a_console_changes_without_end(_unused_ void **state) {
        static ConcentratorObserver observer = {.notify = change_again};
        Poller *poller = concentrator_poller(concentrator);
        int pair[2];

        Console *c = new_settled_console(1);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        static Watch watch = {.handler = on_readable};
        watch.fd = pair[0];
        concentrator_observe(concentrator, &observer);
        console_has_news(c);
        for (unsigned i = 0; i < TURNS_MAX; i++)
                assert_true(sd_event_run(event, 0) > 0);

        assert_int_equal(poller_watch(poller, &watch, EPOLLIN), 0);
        assert_int_equal(send(pair[1], "a", 1, MSG_NOSIGNAL), 1);
        for (unsigned i = 0; i < TURNS_MAX && !read_meanwhile; i++)
                assert_true(sd_event_run(event, 0) > 0);
        assert_true(read_meanwhile);

        concentrator_unobserve(concentrator, &observer);
        poller_close(poller, &watch);
        safe_close(pair[1]);
}

static Console *order[8];
static unsigned n_order;

static void remember(_unused_ ConcentratorObserver *o, Console *c, _unused_ ConsoleEvent e, _unused_ const Client *client) {
        assert_true(n_order < ELEMENTSOF(order));
        order[n_order++] = c;
}

static void test_what_happens_to_one_console_goes_before_what_happens_to_all(_unused_ void **state) {
        static ConcentratorObserver observer = {.notify = remember};
        Console *consoles[4];

        for (uint8_t i = 0; i < ELEMENTSOF(consoles); i++)
                consoles[i] = new_settled_console(i);
        for (unsigned i = 0; i < ELEMENTSOF(consoles); i++) {
                consoles[i]->has_news = true; /* so that the order is seen */
                console_settings_changed(consoles[i], false);
        }
        console_changed(consoles[3]);

        concentrator_observe(concentrator, &observer);
        while (n_order < ELEMENTSOF(consoles))
                concentrator_settle(concentrator);
        concentrator_unobserve(concentrator, &observer);

        /* One of the others is settled in each turn, so that they do not wait for ever. */
        assert_ptr_equal(order[0], consoles[0]);
        assert_ptr_equal(order[1], consoles[3]);
        assert_ptr_equal(order[2], consoles[1]);
        assert_ptr_equal(order[3], consoles[2]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_socket_has_its_turn_while_a_console_changes_without_end, begin, end),
                cmocka_unit_test_setup_teardown(test_what_happens_to_one_console_goes_before_what_happens_to_all, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
