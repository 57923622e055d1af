/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ports over hours, with a clock that the tests put forward, and with as many descriptors as they say. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "harness.h"

#include "console/client.h"
#include "console/link.h"
#include "telnet/vmware.h"
#include "transport/socket.h"

#include "concentrator.h"

#define MINUTE (60 * USEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define SOON (20 * USEC_PER_SEC) /* what a test may take */
#define FIRST 41000U

static usec_t put_forward;
usec_t __real_event_now(sd_event *e);
usec_t __wrap_event_now(sd_event *e);

usec_t __wrap_event_now(sd_event *e) {
        return __real_event_now(e) + put_forward;
}

static unsigned descriptor_limit; /* 0: the concentrator's own */
unsigned __real_concentrator_descriptor_limit(const Concentrator *c);
unsigned __wrap_concentrator_descriptor_limit(const Concentrator *c);

unsigned __wrap_concentrator_descriptor_limit(const Concentrator *c) {
        return descriptor_limit > 0 ? descriptor_limit : __real_concentrator_descriptor_limit(c);
}

static int begin(_unused_ void **state) {
        Settings settings;

        put_forward = 0;
        descriptor_limit = 0;
        settings_init(&settings);
        settings.vm_port_range_start = FIRST;
        settings.vm_port_range_end = FIRST + 1;
        assert_int_equal(address_parse("127.77.0.2", &settings.vm_port_address), 0); /* nobody else's */
        begin_concentrator(&settings);
        return 0;
}

/* Until nothing is left to do at once */
static void run(void) {
        while (sd_event_run(event, 0) > 0)
                ;
}

static void say_suboption(int fd, uint8_t code, const char *text) {
        uint8_t message[256] = {0xff, 0xfa, 232, code};
        size_t n = strlen(text);

        memcpy(message + 4, text, n);
        memcpy(message + 4 + n, "\xff\xf0", 2);
        assert_int_equal(send(fd, message, n + 6, MSG_NOSIGNAL), n + 6);
}

static char uuid_text[UUID_TEXT_MAX];

static const char *uuid_of(unsigned n) {
        snprintf(uuid_text, sizeof uuid_text, "50120000-0000-0000-0000-%012x", n);
        return uuid_text;
}

/* Returns: the host's end of the connection. */
static int connect_vm(unsigned n) {
        const SocketAddress address = {.in = {.sin_family = AF_INET}};
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        assert_int_equal(link_new(concentrator, pair[0], &address), 0);
        assert_int_equal(send(pair[1], "\xff\xfb\xe8", 3, MSG_NOSIGNAL), 3);
        say_suboption(pair[1], VMWARE_DO_PROXY, "Ss0");
        say_suboption(pair[1], VMWARE_VM_VC_UUID, uuid_of(n));
        say_suboption(pair[1], VMWARE_VM_NAME, "web01");
        run();
        return pair[1];
}

static Console *console(unsigned n) {
        Console *c = concentrator_find(concentrator, uuid_of(n));

        assert_non_null(c);
        return c;
}

static void disconnect(int fd) {
        assert_int_equal(close(fd), 0);
        run();
}

static void connect_for(unsigned n, usec_t span) {
        int fd = connect_vm(n);

        put_forward += span;
        disconnect(fd);
}

static void make_away_for(unsigned n, usec_t span) {
        console_set_gone(console(n), event_now_realtime(event) - span);
        run();
}

static void test_the_time_of_all_connections_counts(_unused_ void **state) {
        connect_for(1, 10 * MINUTE);
        put_forward += 3 * HOUR;
        connect_for(1, 5 * MINUTE);
        assert_in_range(console(1)->record.connected_for, 15 * MINUTE, 15 * MINUTE + SOON);
}

static void test_the_vm_that_was_connected_for_the_shortest_time_gives_up_its_port(_unused_ void **state) {
        connect_for(1, 10 * MINUTE);
        connect_for(2, 3 * MINUTE);
        connect_for(2, 3 * MINUTE);
        make_away_for(1, 3 * HOUR);
        make_away_for(2, 2 * HOUR);

        int fd = connect_vm(3);
        assert_int_equal(console(3)->port, FIRST + 1);
        assert_int_equal(console(2)->record.own_port, 0);
        assert_int_equal(console(1)->port, FIRST);
        disconnect(fd);
}

static void test_it_gives_up_a_port_at_which_it_does_not_listen_as_well(_unused_ void **state) {
        for (unsigned n = 1; n <= 2; n++) {
                connect_for(n, n * MINUTE);
                make_away_for(n, 2 * HOUR);
        }
        make_away_for(1, 3 * HOUR);
        assert_true(concentrator_pause_port(concentrator)); /* VM 1, which has been away for longer */
        assert_int_equal(console_reserved_port(console(1)), FIRST);

        int fd = connect_vm(3);
        assert_int_equal(console(3)->port, FIRST);
        assert_int_equal(console_reserved_port(console(1)), 0);
        disconnect(fd);
}

static void test_a_new_vm_does_not_overtake_one_that_waits(_unused_ void **state) {
        int fds[] = {connect_vm(1), connect_vm(2), connect_vm(3)};
        Console *late;

        assert_int_equal(console(3)->port, 0);
        disconnect(fds[0]);
        console_free(console(1)); /* it waits for its turn in the loop */
        assert_int_equal(console_new(concentrator, uuid_of(4), (const uint8_t[16]){}, "web01", "s0", 0, &late), 0);
        console_open_port(late);
        assert_int_equal(late->port, 0);
        run();
        assert_int_equal(console(3)->port, FIRST);
        assert_int_equal(late->port, 0);
        disconnect(fds[1]);
        disconnect(fds[2]);
}

static void test_a_port_that_another_program_gives_up_is_tried_again_after_a_while(_unused_ void **state) {
        SocketAddress address = concentrator_settings(concentrator)->vm_port_address;
        usec_t retry = USEC_INFINITY;

        address_set_port(&address, FIRST);
        int other = socket_listen(&address);
        assert_true(other >= 0);
        int first = connect_vm(1), second = connect_vm(2);
        assert_int_equal(console(1)->port, FIRST + 1);
        assert_int_equal(console(2)->port, 0);

        assert_false(console_serve_ports(concentrator, &retry));
        assert_int_equal(retry, concentrator_ports(concentrator)->foreign_since + PORT_POOL_FOREIGN_USEC);

        put_forward += PORT_POOL_FOREIGN_USEC + SOON;
        assert_false(console_serve_ports(concentrator, &retry)); /* it is still that program's */
        assert_int_equal(console(2)->port, 0);

        assert_int_equal(close(other), 0);
        put_forward += PORT_POOL_FOREIGN_USEC + SOON;
        assert_true(console_serve_ports(concentrator, &retry));
        assert_int_equal(console(2)->port, FIRST);
        disconnect(first);
        disconnect(second);
}

/* Sets the limit so that @n descriptors are free; there may be others between these. */
static void leave_descriptors(unsigned n) {
        int fds[32];

        for (unsigned i = 0; i <= n; i++) {
                fds[i] = fcntl(0, F_DUPFD_CLOEXEC, 0);
                assert_true(fds[i] >= 0);
        }
        descriptor_limit = (unsigned) fds[n];
        for (unsigned i = 0; i <= n; i++)
                assert_int_equal(close(fds[i]), 0);
}

static void test_descriptors_are_counted(_unused_ void **state) {
        for (unsigned times = 0; times < 2; times++)
                for (unsigned n_free = 0; n_free < 5; n_free++) {
                        leave_descriptors(n_free);
                        for (unsigned n = 0; n < 7; n++)
                                assert_int_equal(concentrator_has_descriptors(concentrator, n), n <= n_free);
                }
}

static void test_what_has_to_wait_for_descriptors_is_not_tried_again_at_once(_unused_ void **state) {
        usec_t retry = USEC_INFINITY;
        SocketAddress address = concentrator_settings(concentrator)->vm_port_address;
        int others[2];

        for (unsigned i = 0; i < ELEMENTSOF(others); i++) {
                address_set_port(&address, (uint16_t) (FIRST + i));
                others[i] = socket_listen(&address);
                assert_true(others[i] >= 0);
        }
        connect_for(1, MINUTE);
        put_forward += PORT_POOL_FOREIGN_USEC + SOON; /* it is time to try those ports again, too */
        leave_descriptors(1);
        assert_false(console_serve_ports(concentrator, &retry));
        assert_in_range(retry - event_now(event), 1, SOON);
        for (unsigned i = 0; i < ELEMENTSOF(others); i++)
                assert_int_equal(close(others[i]), 0);
}

/* Else each client that comes and goes would have it stop and begin. */
static void test_a_vm_that_is_away_listens_again_once_there_are_descriptors_to_spare(_unused_ void **state) {
        usec_t retry = USEC_INFINITY;

        connect_for(1, MINUTE);
        assert_true(concentrator_pause_port(concentrator));

        leave_descriptors(15);
        assert_false(console_serve_ports(concentrator, &retry));
        assert_int_equal(console(1)->port, 0);
        assert_in_range(retry - event_now(event), 1, SOON);

        leave_descriptors(16);
        assert_true(console_serve_ports(concentrator, &retry));
        assert_int_equal(console(1)->port, FIRST);
}

static void test_a_vm_that_is_connected_listens_if_there_is_one(_unused_ void **state) {
        usec_t retry = USEC_INFINITY;

        leave_descriptors(1);
        int fd = connect_vm(1); /* its pair of sockets takes more */
        assert_int_equal(console(1)->port, 0);
        assert_int_equal(console_reserved_port(console(1)), FIRST);
        assert_false(console_serve_ports(concentrator, &retry));
        leave_descriptors(1);
        assert_true(console_serve_ports(concentrator, &retry));
        assert_int_equal(console(1)->port, FIRST);
        disconnect(fd);
}

/* Between its coming and console_settle() */
static void test_a_vm_whose_client_has_just_come_gives_up_nothing(_unused_ void **state) {
        static Client client;
        Console *late;

        for (unsigned n = 1; n <= 2; n++) {
                connect_for(n, n * MINUTE);
                make_away_for(n, 2 * HOUR);
        }
        console(1)->clients = console(2)->clients = &client;
        assert_false(concentrator_pause_port(concentrator));
        assert_int_equal(console_new(concentrator, uuid_of(3), (const uint8_t[16]){}, "late", "s0", 0, &late), 0);
        console_open_port(late);
        assert_int_equal(late->port, 0);
        assert_int_equal(console(1)->port + console(2)->port, FIRST + FIRST + 1);
        console(1)->clients = console(2)->clients = NULL;
}

/* A thread that writes a file may be faster in taking a descriptor that has been closed. */
static bool somebody_is_faster;
static int taken = -1;

int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, int argument);

int __wrap_fcntl64(int fd, int command, int argument) {
        if (TAKE(somebody_is_faster, false))
                taken = __real_fcntl64(0, F_DUPFD_CLOEXEC, 0);

        return __real_fcntl64(fd, command, argument);
}

static void test_who_is_faster_in_taking_a_descriptor_has_one_more_port_closed(_unused_ void **state) {
        Console *one, *other;

        assert_int_equal(console_new(concentrator, uuid_of(1), (const uint8_t[16]){}, "one", "s0", 0, &one), 0);
        assert_int_equal(console_new(concentrator, uuid_of(2), (const uint8_t[16]){}, "other", "s0", 0, &other), 0);
        console_open_port(one);
        console_open_port(other);
        leave_descriptors(0);

        int fd = fcntl(0, F_DUPFD_CLOEXEC, 0);
        somebody_is_faster = true;
        fd = concentrator_admit(concentrator, fd);
        assert_true(taken >= 0 && fd >= 0);
        assert_int_equal(one->port + other->port, 0);
        assert_int_equal(console_reserved_port(one) + console_reserved_port(other), FIRST + FIRST + 1);
        assert_int_equal(close(fd), 0);
        assert_int_equal(close(taken), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
                TEST(test_the_time_of_all_connections_counts),
                TEST(test_the_vm_that_was_connected_for_the_shortest_time_gives_up_its_port),
                TEST(test_it_gives_up_a_port_at_which_it_does_not_listen_as_well),
                TEST(test_a_new_vm_does_not_overtake_one_that_waits),
                TEST(test_a_port_that_another_program_gives_up_is_tried_again_after_a_while),
                TEST(test_descriptors_are_counted),
                TEST(test_what_has_to_wait_for_descriptors_is_not_tried_again_at_once),
                TEST(test_a_vm_that_is_away_listens_again_once_there_are_descriptors_to_spare),
                TEST(test_a_vm_that_is_connected_listens_if_there_is_one),
                TEST(test_a_vm_whose_client_has_just_come_gives_up_nothing),
                TEST(test_who_is_faster_in_taking_a_descriptor_has_one_more_port_closed),
        };

        return cmocka_run_group_tests_name("console-port", tests, NULL, NULL);
}
