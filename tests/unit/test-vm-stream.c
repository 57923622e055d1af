/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Readers of events that do not read: what one of them, and all of them together, can make vspcd keep, and who is
 * disconnected at the bound.
 */

#include <stdio.h>
#include <sys/socket.h>

#include "harness.h"

#include "admin/vm-stream.h"
#include "basic/log.h"
#include "console/console.h"

/* Each of so many readers can be within its own bound while all of them together are beyond theirs. */
#define READERS 48U
static_assert(READERS * (VARLINK_OUT_MAX / 2) < VARLINK_EVENTS_MAX && READERS * VARLINK_OUT_MAX > VARLINK_EVENTS_MAX,
              "the bound of all readers is to be reached before the bound of one");

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
        snprintf(id, sizeof id, "50120000-0000-0000-0000-%012x", HASH_CNT(handle, w->concentrator->consoles));
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

static size_t queued(const World *w) {
        size_t total = 0;

        for (size_t i = 0; i < w->n; i++)
                total += w->readers[i]->stream.out.size;

        return total;
}

static size_t count_closed(const World *w) {
        size_t n = 0;

        for (size_t i = 0; i < w->n; i++)
                n += w->readers[i]->state == VARLINK_CLOSED;

        return n;
}

/* Tells events until two readers are disconnected: those that have been told the most, and not for a bound of their
 * own. */
static void assert_furthest_behind_is_closed(World *w) {
        for (size_t n = 1; n <= 2; n++) {
                size_t size = 0;

                while (count_closed(w) < n) {
                        size = w->readers[n - 1]->stream.out.size;
                        tell(w);
                        assert_true(queued(w) <= VARLINK_EVENTS_MAX);
                }
                assert_int_equal(count_closed(w), n);
                assert_int_equal(w->readers[n - 1]->state, VARLINK_CLOSED);
                assert_true(size < VARLINK_OUT_MAX * 3 / 4);
        }
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

static void test_the_reader_furthest_behind_is_disconnected_when_all_together_are_too_far_behind(void **state) {
        World *w = *state;

        for (size_t i = 0; i < READERS; i++) {
                assert_int_equal(add_reader(w)->state, VARLINK_WATCHING);
                tell(w);
        }
        assert_furthest_behind_is_closed(w);
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
        assert_furthest_behind_is_closed(w);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_reader_that_is_too_far_behind_is_disconnected, begin, end),
                cmocka_unit_test_setup_teardown(
                        test_the_reader_furthest_behind_is_disconnected_when_all_together_are_too_far_behind, begin,
                        end),
                cmocka_unit_test_setup_teardown(test_readers_that_are_still_being_sent_the_list_of_vms_count_too,
                                                begin, end),
        };

        log_set_max_level(LOG_ERR);
        return cmocka_run_group_tests_name("vm-stream", tests, NULL, NULL);
}
