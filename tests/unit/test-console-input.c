/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* For which of a console's links its clients wait. */

#include <sys/socket.h>

#include "harness.h"

#include "concentrator.h"
#include "console/link.h"

#define MIB (1024U * 1024U)

static Console *console;
static Charge typist;

static bool never_given_up(_unused_ Charge *charge) {
        return false;
}

static int begin(_unused_ void **state) {
        Settings settings;

        settings_init(&settings);
        settings.vm_ports = false;
        begin_concentrator(&settings);
        console = new_console(1);
        charge_open(&typist, concentrator_account(concentrator), &(AccountKey){}, CHARGE_CONNECTION, never_given_up);
        return 0;
}

static int finish(void **state) {
        charge_close(&typist);
        return end(state);
}

/* A live link of the console. *ret_host: the other end of its connection. */
static Link *new_link(int *ret_host) {
        SocketAddress nowhere = {.any.sa_family = AF_INET};
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(link_new(concentrator, pair[0], &nowhere), 0);
        *ret_host = pair[1];

        Link *l = container_of(concentrator_timeouts(concentrator, TIMEOUT_HANDSHAKE)->oldest, Link, timeout);
        l->uri = strdup("s0");
        assert_non_null(l->uri);
        console_add_link(console, l);
        link_go_live(l, NULL);
        return l;
}

static void take(int host, size_t max) {
        uint8_t data[65536];

        (void) recv(host, data, MIN(max, sizeof data), 0);
}

/* Types what there is room for, again and again, while the hosts take so much each time. Returns: how much was typed. */
static size_t paste(int older, size_t older_takes, int newest, size_t newest_takes) {
        static const uint8_t keys[65536] = {'k'};
        size_t typed = 0;

        for (unsigned i = 0; i < 64; i++) {
                size_t n = MIN(console_input_space(console), sizeof keys);

                console_input(console, &typist, keys, n);
                typed += n;
                take(older, older_takes);
                take(newest, newest_takes);
                while (sd_event_run(event, 0) > 0)
                        ;
        }

        return typed;
}

static void test_clients_wait_for_the_newest_of_those_that_take_input(_unused_ void **state) {
        _cleanup_close_ int older = -1, newest = -1;
        Link *first = new_link(&older), *second = new_link(&newest);

        assert_true(first->record.number < second->record.number);
        assert_true(paste(older, 1000, newest, 65536) > MIB);
        assert_true(input_ring_lag(&console->input, &first->record.input) > CONSOLE_INPUT_MAX);

        assert_true(paste(older, 65536, newest, 1000) < MIB);
}

static void test_clients_do_not_wait_for_the_newest_once_it_has_stalled(_unused_ void **state) {
        _cleanup_close_ int older = -1, newest = -1;
        Link *second;

        (void) new_link(&older);
        second = new_link(&newest);
        assert_true(paste(older, 65536, newest, 0) < MIB);

        assert_non_null(second->stall.queue);
        link_stall_elapsed(&second->stall);
        assert_true(paste(older, 65536, newest, 0) > MIB);
}

static void test_clients_wait_for_the_newest_if_none_takes_input(_unused_ void **state) {
        _cleanup_close_ int older = -1, newest = -1;
        Link *first = new_link(&older), *second = new_link(&newest);

        assert_true(paste(older, 0, newest, 0) < MIB);
        link_stall_elapsed(&first->stall);
        link_stall_elapsed(&second->stall);
        assert_int_equal(console_input_space(console), 0);
        assert_true(paste(older, 0, newest, 65536) > MIB);
}

static void test_the_other_serial_port_is_waited_for_as_well(_unused_ void **state) {
        _cleanup_close_ int one = -1, other = -1;
        Link *second;

        (void) new_link(&one);
        second = new_link(&other);
        second->uri[1] = '1';
        assert_true(paste(one, 0, other, 65536) < MIB);
        assert_true(paste(one, 65536, other, 65536) > MIB);
        assert_true(paste(one, 65536, other, 0) < MIB);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_clients_wait_for_the_newest_of_those_that_take_input, begin, finish),
                cmocka_unit_test_setup_teardown(test_clients_do_not_wait_for_the_newest_once_it_has_stalled, begin, finish),
                cmocka_unit_test_setup_teardown(test_clients_wait_for_the_newest_if_none_takes_input, begin, finish),
                cmocka_unit_test_setup_teardown(test_the_other_serial_port_is_waited_for_as_well, begin, finish),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
