/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Readers of events that do not read: what one of them, and all those of a user together, can make vspcd keep, and who is
 * disconnected at the bound.
 */

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "harness.h"

#include "admin/vm-stream.h"
#include "basic/log.h"
#include "console/console.h"

/* Each of so many readers can be within its own bound while all of them together have more than a user's share. */
#define READERS 48U
#define MEMORY_MAX (64U * 1024U * 1024U)
static_assert(READERS * VARLINK_OUT_MAX / 2 > MEMORY_MAX / 2, "the user's share is to be reached before the bound of one");

typedef struct World {
        sd_event *event;
        Concentrator *concentrator;
        VarlinkServer *server;
        VmStream stream;
        Console *console; /* the first VM */
        VarlinkConnection *readers[READERS];
        int peers[READERS]; /* the readers' ends, which nobody reads */
        size_t n;
} World;

static void add_console(World *w) {
        char id[UUID_TEXT_MAX], name[400], uri[900];
        Console *console;

        memset(name, 'n', sizeof name - 1);
        memset(uri, 'u', sizeof uri - 1);
        name[sizeof name - 1] = uri[sizeof uri - 1] = 0;
        snprintf(id, sizeof id, "50120000-0000-0000-0000-%012x", concentrator_counts(w->concentrator)->n_vms);
        assert_int_equal(console_new(w->concentrator, id, (const uint8_t[16]){}, name, uri, 0, &console), 0);
        w->console = w->console ?: console;
}

static int begin(void **state) {
        static const VarlinkInterface *const none[] = {NULL};
        World *w = calloc(1, sizeof(World));
        Settings settings;

        assert_non_null(w);
        settings_init(&settings);
        settings.vm_ports = false;
        settings.connection_memory_max = MEMORY_MAX;
        assert_true(sd_event_new(&w->event) >= 0);
        assert_int_equal(concentrator_new(w->event, &settings, 8192, &w->concentrator), 0);
        assert_int_equal(varlink_server_new(w->concentrator, none, NULL, &w->server), 0);
        vm_stream_init(&w->stream, w->server);
        add_console(w);
        *state = w;
        return 0;
}

static int end(void **state) {
        World *w = *state;

        for (size_t i = 0; i < w->n; i++)
                safe_close(w->peers[i]);
        vm_stream_done(&w->stream);
        varlink_server_freep(&w->server);
        concentrator_freep(&w->concentrator);
        sd_event_unref(w->event);
        free(w);
        return 0;
}

/* A reader that has called Monitor() and has been sent as much of the answer as its socket takes */
static VarlinkConnection *add_reader(World *w) {
        const SocketAddress local = {.any.sa_family = AF_UNIX};
        const int smallest = 0;
        int fds[2];

        assert_true(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) >= 0);
        assert_true(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest) >= 0);
        assert_int_equal(varlink_connection_new(w->server, fds[0], &local, NULL), 0);
        VarlinkConnection *c = w->server->connections[VARLINK_IDLE];

        assert_true(varlink_take_events(c));
        vm_stream_monitor(c);
        for (unsigned i = 0; i < 100; i++)
                varlink_connection_work(c);

        w->peers[w->n] = fds[1];
        return w->readers[w->n++] = c;
}

static void tell(World *w) {
        concentrator_notify(w->concentrator, w->console, CONSOLE_CHANGED, NULL);
}

static bool is_disconnected(int peer) {
        struct pollfd p = {.fd = peer, .events = POLLRDHUP};

        return poll(&p, 1, 0) > 0 && (p.revents & POLLRDHUP);
}

/* How many are disconnected; these must be the first. */
static size_t count_disconnected(const World *w) {
        size_t n = 0;

        while (n < w->n && is_disconnected(w->peers[n]))
                n++;
        for (size_t i = n; i < w->n; i++)
                assert_false(is_disconnected(w->peers[i]));

        return n;
}

/* Tells events until some readers are disconnected: those that have not read for longest, so that what waits for the others
 * is within the share. */
static void assert_first_are_disconnected(World *w) {
        size_t n;

        while ((n = count_disconnected(w)) == 0) {
                tell(w);
                while (sd_event_run(w->event, 0) > 0)
                        ;
                assert_true(account_size(concentrator_account(w->concentrator)) <= MEMORY_MAX / 2);
        }
        assert_true(n < READERS);
        assert_int_equal(w->server->n_watchers, READERS - n);
}

static void test_a_reader_that_is_too_far_behind_is_disconnected(void **state) {
        World *w = *state;
        VarlinkConnection *slow = add_reader(w);

        for (size_t size = 0; size < VARLINK_OUT_MAX / 2; size = slow->stream.out.size)
                tell(w);
        VarlinkConnection *other = add_reader(w);
        while (slow->state == VARLINK_WATCHING) {
                tell(w);
                assert_true(slow->stream.out.size <= VARLINK_OUT_MAX);
        }
        assert_int_equal(slow->state, VARLINK_CLOSED);
        assert_int_equal(other->state, VARLINK_WATCHING);
}

static void test_the_reader_that_has_not_read_for_longest_is_disconnected_when_a_user_has_too_many(void **state) {
        World *w = *state;

        for (size_t i = 0; i < READERS; i++) {
                assert_int_equal(add_reader(w)->state, VARLINK_WATCHING);
                tell(w);
        }
        assert_first_are_disconnected(w);
}

/* The list of VMs is longer than what a connection takes before it is read. */
static void test_readers_that_are_still_being_sent_the_list_of_vms_count_too(void **state) {
        World *w = *state;

        for (unsigned i = 0; i < 50; i++)
                add_console(w);
        for (size_t i = 0; i < READERS; i++) {
                assert_int_equal(add_reader(w)->state, VARLINK_REPLYING);
                tell(w);
        }
        assert_first_are_disconnected(w);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_reader_that_is_too_far_behind_is_disconnected, begin, end),
                cmocka_unit_test_setup_teardown(
                        test_the_reader_that_has_not_read_for_longest_is_disconnected_when_a_user_has_too_many, begin,
                        end),
                cmocka_unit_test_setup_teardown(test_readers_that_are_still_being_sent_the_list_of_vms_count_too,
                                                begin, end),
        };

        log_set_max_level(LOG_ERR);
        return cmocka_run_group_tests_name("vm-stream", tests, NULL, NULL);
}
