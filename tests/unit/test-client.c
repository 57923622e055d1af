/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What takes time: how long a client is kept that has ended its sending side, how long the port of another VM may
 * take to show that it is one, and that a long replay takes turns with everything else. The tests set durations in
 * the concentrator's own queues. */

#include <sys/socket.h>

#include "harness.h"

#include "console/client.h"

#include "concentrator.h"

#define SHORT (5 * USEC_PER_MSEC)

static int begin(_unused_ void **state) {
        Settings settings;

        settings_init(&settings);
        settings.vm_ports = false;
        settings.scrollback_size = 1 << 20;
        begin_concentrator(&settings);
        return 0;
}

/* Returns: the other end of its connection. */
static int new_client(Console *console, TelnetMode mode) {
        ClientRequest request = {
                .access = ACCESS_MODE_FREE_FOR_ALL,
                .granted = ACCESS_FREE_FOR_ALL,
                .mode = mode,
                .scrollback = true,
        };
        int pair[2];

        peer_init_local(&request.peer, 0, 1);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        assert_int_equal(client_new(console, WIRE_PLAIN(pair[0]), &request), 0);
        return pair[1];
}

/* Reads what there is. Returns: whether that was the end. */
static bool read_all(int fd) {
        uint8_t data[4096];
        ssize_t n;

        do
                n = read(fd, data, sizeof data);
        while (n > 0);

        return n == 0;
}

static void run_once(void) {
        assert_true(sd_event_run(event, USEC_PER_SEC / 10) >= 0);
}

/* Ends its sending side. Returns: the client, of which the console has no other. */
static Client *half_close(Console *console, int fd) {
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        while (!console->half_closed)
                run_once();
        assert_null(console->clients);
        return console->half_closed;
}

static void test_half_closed_clients_have_5_seconds_of_silence_and_60_in_all(_unused_ void **state) {
        assert_int_equal(concentrator_timeouts(concentrator, TIMEOUT_VM_SILENCE)->duration_usec, 5 * USEC_PER_SEC);
        assert_int_equal(concentrator_timeouts(concentrator, TIMEOUT_HALF_CLOSED)->duration_usec, 60 * USEC_PER_SEC);
}

/* On a local socket that shows; on a TCP connection only once something is sent. */
static void test_a_client_that_has_closed_altogether_is_not_kept(_unused_ void **state) {
        Console *console = new_console(1);
        int fd = new_client(console, TELNET_MODE_TELNET);

        assert_false(read_all(fd)); /* unread bytes would reset the connection */
        safe_close(fd);
        while (console->clients)
                run_once();
        assert_null(console->half_closed);
}

static void test_a_half_closed_client_is_closed_when_its_vm_is_silent(_unused_ void **state) {
        Console *console = new_console(1);
        _cleanup_close_ int fd = new_client(console, TELNET_MODE_TELNET);

        timeout_queue_set_duration(concentrator_timeouts(concentrator, TIMEOUT_HALF_CLOSED), USEC_INFINITY);
        (void) half_close(console, fd);
        timeout_queue_set_duration(concentrator_timeouts(concentrator, TIMEOUT_VM_SILENCE), SHORT);
        while (!read_all(fd))
                run_once();
        assert_null(console->half_closed);
        assert_int_equal(concentrator_timeouts(concentrator, TIMEOUT_HALF_CLOSED)->n_started, 0);
}

static void test_a_half_closed_client_has_60_seconds_whatever_its_vm_says(_unused_ void **state) {
        Console *console = new_console(1);
        _cleanup_close_ int fd = new_client(console, TELNET_MODE_TELNET);

        timeout_queue_set_duration(concentrator_timeouts(concentrator, TIMEOUT_VM_SILENCE), USEC_INFINITY);
        (void) half_close(console, fd);
        timeout_queue_set_duration(concentrator_timeouts(concentrator, TIMEOUT_HALF_CLOSED), SHORT);
        while (!read_all(fd)) {
                console_output(console, (const uint8_t *) "words", 5);
                concentrator_settle(concentrator);
                run_once();
        }
        assert_null(console->half_closed);
        assert_int_equal(concentrator_timeouts(concentrator, TIMEOUT_VM_SILENCE)->n_started, 0);
}

static void test_output_of_the_vm_breaks_the_silence(_unused_ void **state) {
        Console *console = new_console(1), *other = new_console(2);
        _cleanup_close_ int fd = new_client(console, TELNET_MODE_TELNET), at_other = new_client(other, TELNET_MODE_TELNET);
        Client *first = half_close(console, fd), *second = half_close(other, at_other);

        assert_ptr_equal(concentrator_timeouts(concentrator, TIMEOUT_VM_SILENCE)->oldest, &first->vm_silence);
        console_output(console, (const uint8_t *) "words", 5);
        assert_ptr_equal(concentrator_timeouts(concentrator, TIMEOUT_VM_SILENCE)->oldest, &second->vm_silence);
        assert_ptr_equal(concentrator_timeouts(concentrator, TIMEOUT_HALF_CLOSED)->oldest, &first->lifetime);
}

static void test_a_client_that_takes_older_output_breaks_the_silence(_unused_ void **state) {
        Console *console = new_console(1), *other = new_console(2);
        _cleanup_close_ int fd = new_client(console, TELNET_MODE_TELNET), at_other = new_client(other, TELNET_MODE_TELNET);
        Client *first = half_close(console, fd);
        static uint8_t much[1 << 20];

        console_output(console, much, sizeof much);
        concentrator_settle(concentrator);
        assert_true(first->telnet.stream.blocked);

        Client *second = half_close(other, at_other);
        assert_ptr_equal(concentrator_timeouts(concentrator, TIMEOUT_VM_SILENCE)->oldest, &first->vm_silence);
        while (concentrator_timeouts(concentrator, TIMEOUT_VM_SILENCE)->oldest != &second->vm_silence) {
                (void) read_all(fd);
                run_once();
        }
}

static void test_a_vmotion_is_not_silence(_unused_ void **state) {
        Console *console = new_console(1);
        _cleanup_close_ int fd = new_client(console, TELNET_MODE_TELNET);
        Client *c = half_close(console, fd);
        VMotion *v;

        assert_int_equal(vmotion_new("s0", (const uint8_t *) "1234", 4, &v), 0);
        console_add_vmotion(console, v);
        timeout_queue_set_duration(concentrator_timeouts(concentrator, TIMEOUT_VM_SILENCE), SHORT);
        for (unsigned n = 0; n < 3; n++) {
                usec_t since = c->vm_silence.since_usec;

                while (c->vm_silence.since_usec == since)
                        run_once();
                assert_ptr_equal(console->half_closed, c);
        }

        console_remove_vmotion(console, v);
        vmotion_free(v);
        while (!read_all(fd))
                run_once();
}

#define OFFERS "\xff\xfb\x00\xff\xfb\x03\xff\xfb\x01\xff\xfd\x00\xff\xfd\x03"
#define OFFERS_SIZE (sizeof OFFERS - 1)

/* Returns once vspcd has read it. */
static void say(Console *console, int fd, const void *data, size_t n) {
        Client *c = console->clients;

        assert_int_equal(write(fd, data, n), (ssize_t) n);
        do
                run_once();
        while (stream_has_unread(&c->telnet.stream));
}

/* The offers in two pieces, whatever comes between them, are no input and no telnet. */
static void assert_joined(Console *console, int fd, size_t cut) {
        Client *c = console->clients;

        timeout_queue_set_duration(concentrator_timeouts(concentrator, TIMEOUT_DETECTION), USEC_INFINITY);
        say(console, fd, OFFERS, cut);
        assert_false(c->telnet.record.reading.joined);
        say(console, fd, &OFFERS[cut], OFFERS_SIZE - cut);
        assert_true(c->telnet.record.reading.joined);
        assert_int_equal(c->telnet.record.mode, TELNET_MODE_RAW);
        assert_int_equal(console->record.bytes_sent, 0);

        say(console, fd, "\xff\xfd\x00\xff\xfd\x03", 6);
        assert_int_equal(c->telnet.record.mode, TELNET_MODE_RAW);
        assert_int_equal(console->record.bytes_sent, 6);
        client_close(c, TELNET_E_ENDED);
}

static void test_the_port_of_another_vm_may_show_in_pieces(_unused_ void **state) {
        for (size_t cut = 1; cut < OFFERS_SIZE; cut++) {
                Console *console = new_console((uint8_t) cut);
                _cleanup_close_ int fd = new_client(console, TELNET_MODE_UNDECIDED);

                assert_joined(console, fd, cut);
        }
}

static void test_the_port_of_another_vm_may_show_late(_unused_ void **state) {
        for (size_t cut = 3; cut < OFFERS_SIZE; cut++) {
                Console *console = new_console((uint8_t) cut);
                _cleanup_close_ int fd = new_client(console, TELNET_MODE_UNDECIDED);

                timeout_queue_set_duration(concentrator_timeouts(concentrator, TIMEOUT_DETECTION), SHORT);
                while (console->clients->telnet.record.mode != TELNET_MODE_RAW)
                        run_once();
                assert_joined(console, fd, cut);
        }
}

static void test_what_only_begins_like_the_port_of_another_vm_is_a_telnet_program(_unused_ void **state) {
        for (unsigned late = 0; late < 2; late++) {
                Console *console = new_console((uint8_t) (1 + late));
                _cleanup_close_ int fd = new_client(console, TELNET_MODE_UNDECIDED);

                timeout_queue_set_duration(concentrator_timeouts(concentrator, TIMEOUT_DETECTION), late ? SHORT : USEC_INFINITY);
                while (late && console->clients->telnet.record.mode != TELNET_MODE_RAW)
                        run_once();
                timeout_queue_set_duration(concentrator_timeouts(concentrator, TIMEOUT_DETECTION), USEC_INFINITY);
                say(console, fd, OFFERS, 6);
                assert_int_not_equal(console->clients->telnet.record.mode, TELNET_MODE_TELNET);
                timeout_queue_set_duration(concentrator_timeouts(concentrator, TIMEOUT_DETECTION), SHORT);
                while (console->clients->telnet.record.mode != TELNET_MODE_TELNET)
                        run_once();
                assert_int_equal(console->record.bytes_sent, 0);
        }
}

/* Of nothing but queries nothing is sent, so the connection never stops it. */
static void test_a_long_replay_takes_turns(_unused_ void **state) {
        Console *console = new_console(1);
        static uint8_t queries[1 << 20];

        memset(queries, 0x05, sizeof queries);
        console_output(console, queries, sizeof queries);
        _cleanup_close_ int fd = new_client(console, TELNET_MODE_TELNET);
        Client *c = console->clients;

        concentrator_settle(concentrator);
        assert_false(read_all(fd));
        assert_in_range(c->record.cursor.position, 1, 65536);
        for (uint64_t last = 0; c->record.cursor.position < console->ring.end; last = c->record.cursor.position) {
                assert_in_range(c->record.cursor.position, last, last + 65536);
                run_once();
        }
        assert_int_equal(c->record.n_sent, 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_half_closed_clients_have_5_seconds_of_silence_and_60_in_all, begin, end),
                cmocka_unit_test_setup_teardown(test_a_client_that_has_closed_altogether_is_not_kept, begin, end),
                cmocka_unit_test_setup_teardown(test_a_half_closed_client_is_closed_when_its_vm_is_silent, begin, end),
                cmocka_unit_test_setup_teardown(test_a_half_closed_client_has_60_seconds_whatever_its_vm_says, begin, end),
                cmocka_unit_test_setup_teardown(test_output_of_the_vm_breaks_the_silence, begin, end),
                cmocka_unit_test_setup_teardown(test_a_client_that_takes_older_output_breaks_the_silence, begin, end),
                cmocka_unit_test_setup_teardown(test_a_vmotion_is_not_silence, begin, end),
                cmocka_unit_test_setup_teardown(test_the_port_of_another_vm_may_show_in_pieces, begin, end),
                cmocka_unit_test_setup_teardown(test_the_port_of_another_vm_may_show_late, begin, end),
                cmocka_unit_test_setup_teardown(test_what_only_begins_like_the_port_of_another_vm_is_a_telnet_program, begin, end),
                cmocka_unit_test_setup_teardown(test_a_long_replay_takes_turns, begin, end),
        };

        return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
