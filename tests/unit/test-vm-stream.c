/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Readers of events: what they are told when they read, when they read late, and when they do not read; what those that do
 * not read can make vspcd keep, and which are disconnected.
 */

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "harness.h"

#include "admin/vm-stream.h"
#include "basic/log.h"
#include "console/console.h"

#define READERS 48U
#define MEMORY_MAX (64U * 1024U * 1024U)

/* Bytes of an event of a VM with names as long as add_console() makes them, at least and at most */
#define EVENT_MIN 1024U
#define EVENT_MAX 4096U

/* Bytes that wait for a reader that does not read, with what buffers have in reserve, and in the kernel */
#define OUT_MAX (2 * (VARLINK_OUT_HIGH + EVENT_MAX) + 16384U)

#define READ_MAX 65536U

/* Beyond it a test fails instead of waiting for ever. */
#define PATIENCE_USEC (120 * USEC_PER_SEC)

typedef struct World {
        sd_event *event;
        Concentrator *concentrator;
        VarlinkServer *server;
        VmStream stream;
        Console *console; /* the first VM */
        VarlinkConnection *readers[READERS];
        int peers[READERS];   /* the readers' ends */
        Buffer come[READERS]; /* what has been read there */
        size_t n;
} World;

static Console *add_console(World *w) {
        char id[UUID_TEXT_MAX], name[400], uri[900];
        Console *console;

        memset(name, 'n', sizeof name - 1);
        memset(uri, 'u', sizeof uri - 1);
        name[sizeof name - 1] = uri[sizeof uri - 1] = 0;
        snprintf(id, sizeof id, "50120000-0000-0000-0000-%012x", concentrator_counts(w->concentrator)->n_vms);
        assert_int_equal(console_new(w->concentrator, id, (const uint8_t[16]){}, name, uri, 0, &console), 0);
        w->console = w->console ?: console;
        return console;
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

        for (size_t i = 0; i < w->n; i++) {
                safe_close(w->peers[i]);
                buffer_clear(&w->come[i]);
        }
        vm_stream_done(&w->stream);
        varlink_server_freep(&w->server);
        concentrator_freep(&w->concentrator);
        sd_event_unref(w->event);
        free(w);
        return 0;
}

/* A reader that has called Monitor() and has been sent as much of the answer as its socket takes */
static VarlinkConnection *add_reader_of(World *w, bool activity) {
        const SocketAddress local = {.any.sa_family = AF_UNIX};
        Peer peer;
        const int smallest = 0;
        int fds[2];

        assert_true(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) >= 0);
        assert_true(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest) >= 0);
        peer_init(&peer, fds[0], &local);
        assert_int_equal(varlink_connection_new(w->server, fds[0], &peer, NULL), 0);
        VarlinkConnection *c = w->server->connections[VARLINK_IDLE];

        c->asked = true;
        assert_true(vm_stream_monitor(c, activity));
        for (unsigned i = 0; i < 100; i++)
                varlink_connection_work(c);

        w->peers[w->n] = fds[1];
        w->come[w->n] = BUFFER_INIT(2 * READ_MAX);
        return w->readers[w->n++] = c;
}

static VarlinkConnection *add_reader(World *w) {
        return add_reader_of(w, false);
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

static void read_some(World *w, size_t reader) {
        uint8_t *p = buffer_reserve(&w->come[reader], READ_MAX);
        assert_non_null(p);

        ssize_t n = recv(w->peers[reader], p, READ_MAX, 0);
        buffer_commit(&w->come[reader], (size_t) MAX(n, 0));
        if (n <= 0) {
                assert_int_equal(errno, EAGAIN);
                assert_true(sd_event_run(w->event, PATIENCE_USEC) > 0);
        }
}

/* Reads what has come for @reader, event by event, until one is called @last. Returns: how many others came, all of which
 * must be called @others. */
static size_t read_until(World *w, size_t reader, const char *others, const char *last) {
        Buffer *come = &w->come[reader];
        char wanted[64];
        size_t n = 0;

        snprintf(wanted, sizeof wanted, "\"event\":\"%s\"", last);
        for (;;) {
                const char *text = (const char *) buffer_data(come);
                const char *end = come->size > 0 ? memchr(text, 0, come->size) : NULL;

                if (!end) {
                        read_some(w, reader);
                        continue;
                }

                bool found = strstr(text, wanted);
                if (!found)
                        assert_non_null(strstr(text, others));
                buffer_consume(come, (size_t) (end - text) + 1);
                if (found)
                        return n;
                n++;
        }
}

/* All at once, before the loop has come round */
static size_t tell_a_burst(World *w, size_t bytes) {
        size_t n = 0;

        for (size_t told = 0; told < bytes; told += EVENT_MIN, n++)
                tell(w);

        return n;
}

static void test_a_burst_is_told_in_full_to_who_reads(void **state) {
        World *w = *state;

        VarlinkConnection *c = add_reader(w);
        (void) read_until(w, 0, "present", "ready");
        size_t n = tell_a_burst(w, EVENT_QUEUE_MAX / 4);
        concentrator_notify(w->concentrator, w->console, CONSOLE_RENAMED, NULL);
        assert_int_equal(read_until(w, 0, "changed", "renamed"), n);
        assert_int_equal(c->state, VARLINK_WATCHING);
}

static void test_a_reader_that_falls_behind_is_told_the_present_state_again(void **state) {
        World *w = *state;

        for (unsigned i = 0; i < 50; i++)
                add_console(w);
        VarlinkConnection *c = add_reader(w);
        assert_int_equal(read_until(w, 0, "present", "ready"), 51);

        while (!c->events.behind)
                tell(w);
        (void) read_until(w, 0, "changed", "skipped"); /* what was on its way already */
        assert_int_equal(read_until(w, 0, "present", "ready"), 51);

        concentrator_notify(w->concentrator, w->console, CONSOLE_RENAMED, NULL);
        assert_int_equal(read_until(w, 0, "renamed", "renamed"), 0);
}

static void test_a_reader_that_falls_behind_in_the_present_state_begins_it_again(void **state) {
        World *w = *state;

        for (unsigned i = 0; i < 50; i++)
                add_console(w);
        VarlinkConnection *c = add_reader(w);
        while (!c->events.behind)
                tell(w);
        assert_true(read_until(w, 0, "present", "skipped") < 51);
        assert_int_equal(read_until(w, 0, "present", "ready"), 51);
}

static void test_readers_that_do_not_read_keep_events_once_for_all_of_them(void **state) {
        World *w = *state;

        for (size_t i = 0; i < READERS; i++)
                add_reader(w);
        size_t before = account_size(concentrator_account(w->concentrator));
        while (!w->readers[0]->events.behind) {
                tell(w);
                while (sd_event_run(w->event, 0) > 0)
                        ;
                assert_true(w->server->events.size <= EVENT_QUEUE_MAX);
                assert_true(account_size(concentrator_account(w->concentrator)) - before <= READERS * OUT_MAX);
        }
        assert_int_equal(count_disconnected(w), 0);
}

static void test_a_reader_that_reads_nothing_for_long_is_disconnected_and_others_are_not(void **state) {
        World *w = *state;
        usec_t began = now_monotonic();

        VarlinkConnection *slow = add_reader(w), *other = add_reader(w);
        while (!slow->stream.blocked) {
                tell(w);
                (void) sd_event_run(w->event, 0);
                concentrator_notify(w->concentrator, w->console, CONSOLE_RENAMED, NULL);
                (void) read_until(w, 1, "", "renamed");
        }
        assert_ptr_equal(slow->stall_timeout.queue, &w->server->watch_stall_timeouts);
        timeout_queue_set_duration(&w->server->watch_stall_timeouts, 10 * USEC_PER_MSEC);
        while (w->server->events.n_readers > 1 && now_monotonic() - began < PATIENCE_USEC)
                (void) sd_event_run(w->event, USEC_PER_SEC);
        assert_int_equal(count_disconnected(w), 1);
        assert_int_equal(other->state, VARLINK_WATCHING);
}

static void tell_until_blocked(World *w, const VarlinkConnection *c) {
        while (!c->stream.blocked) {
                tell(w);
                while (sd_event_run(w->event, 0) > 0)
                        ;
        }
}

static void test_the_reader_that_has_not_read_for_longest_is_disconnected_when_a_user_has_too_many(void **state) {
        World *w = *state;

        for (size_t i = 0; i < READERS - 1; i++)
                tell_until_blocked(w, add_reader(w));
        assert_int_equal(count_disconnected(w), 0);

        /* A user may have half of the total. */
        size_t size = account_size(concentrator_account(w->concentrator));
        account_set_max(concentrator_account(w->concentrator), 2 * size);
        tell_until_blocked(w, add_reader(w));
        assert_true(account_size(concentrator_account(w->concentrator)) <= size);
        assert_true(count_disconnected(w) > 0);
        assert_true(count_disconnected(w) < READERS);
        assert_int_equal(w->server->events.n_readers, READERS - count_disconnected(w));
}

/* They wait for their socket in the middle of it. */
static void test_a_vm_that_comes_while_the_present_state_is_told_is_told_once(void **state) {
        World *w = *state;
        Console *late;

        for (unsigned i = 0; i < 50; i++)
                add_console(w);
        VarlinkConnection *c = add_reader(w);
        late = add_console(w);
        console_announce(late);
        assert_true(c->n_told < late->record.number);
        assert_int_equal(read_until(w, 0, "present", "ready"), 52);
        concentrator_notify(w->concentrator, late, CONSOLE_RENAMED, NULL);
        assert_int_equal(read_until(w, 0, "renamed", "renamed"), 0);
}

static void test_a_vm_that_comes_when_all_others_have_been_told_is_not_lost(void **state) {
        World *w = *state;
        Console *last, *late;

        for (unsigned i = 0; i < 50; i++)
                last = add_console(w);
        VarlinkConnection *c = add_reader(w);
        while (c->position)
                c->position = c->position->handle.next; /* as if they had been */
        c->n_told = last->record.number + 1;
        late = add_console(w);
        console_announce(late);
        assert_ptr_equal(c->position, late);
}

static void test_a_vm_that_goes_before_it_is_told_is_not_told(void **state) {
        World *w = *state;
        Console *last = NULL;

        for (unsigned i = 0; i < 50; i++)
                last = add_console(w);
        add_reader(w);
        console_announce(last);
        console_remove(last);
        assert_int_equal(read_until(w, 0, "present", "ready"), 50);
}

static void all_say(World *w, const char *text) {
        for (Console *console = w->console; console; console = console->handle.next)
                console_output(console, (const uint8_t *) text, strlen(text));
}

static void test_activity_is_told_once_of_each_vm_and_of_a_bounded_number_in_a_turn(void **state) {
        const unsigned n = 2 * VM_ACTIVITY_TOLD_MAX + 5;
        World *w = *state;
        VmActivity *a = &w->stream.activity;

        while (concentrator_counts(w->concentrator)->n_vms < n)
                add_console(w);
        all_say(w, "earlier");
        add_reader(w);
        add_reader_of(w, true);
        (void) read_until(w, 0, "present", "ready");
        (void) read_until(w, 1, "present", "ready");
        assert_int_equal(vm_activity_turn(a), 0);
        assert_int_equal(vm_activity_turn(a), 0);

        all_say(w, "one");
        all_say(w, "two");
        assert_int_equal(vm_activity_turn(a), VM_ACTIVITY_TOLD_MAX);
        assert_int_equal(vm_activity_turn(a), VM_ACTIVITY_TOLD_MAX);
        vm_activity_forget(a, a->position);
        assert_int_equal(vm_activity_turn(a), 4);
        assert_int_equal(vm_activity_turn(a), 1); /* it was not gone after all */
        assert_int_equal(vm_activity_turn(a), 0);

        tell(w);
        assert_int_equal(read_until(w, 0, "changed", "changed"), 0);
        assert_int_equal(read_until(w, 1, "activity", "changed"), n);
}

static void test_activity_waits_while_a_reader_is_slow_who_would_miss_other_events(void **state) {
        World *w = *state;
        VmActivity *a = &w->stream.activity;

        add_reader(w); /* who does not read */
        add_reader_of(w, true);
        (void) read_until(w, 1, "present", "ready");
        assert_int_equal(vm_activity_turn(a), 0);
        while (w->server->events.size <= EVENT_QUEUE_MAX / 4) {
                tell(w);
                (void) sd_event_run(w->event, 0);
        }
        all_say(w, "something");
        size_t size = w->server->events.size;
        assert_int_equal(vm_activity_turn(a), 0);
        assert_int_equal(w->server->events.size, size);

        varlink_close(w->readers[0]);
        concentrator_notify(w->concentrator, w->console, CONSOLE_RENAMED, NULL);
        (void) read_until(w, 1, "changed", "renamed");
        assert_int_equal(vm_activity_turn(a), 1);
        assert_int_equal(read_until(w, 1, "activity", "activity"), 0);
}

static void test_a_turn_compares_a_bounded_number_of_vms(void **state) {
        World *w = *state;
        VmActivity *a = &w->stream.activity;

        while (concentrator_counts(w->concentrator)->n_vms < VM_ACTIVITY_STEPS_MAX + 2)
                add_console(w);
        assert_int_equal(vm_activity_turn(a), 0);
        assert_non_null(a->position);
        assert_null(((Console *) a->position->handle.next)->handle.next);
        assert_int_equal(vm_activity_turn(a), 0);
        assert_null(a->position);
}

static void test_nothing_is_compared_when_nobody_wants_to_know_of_activity(void **state) {
        World *w = *state;
        int enabled = SD_EVENT_ONESHOT;

        VarlinkConnection *c = add_reader_of(w, true);
        assert_non_null(w->stream.activity.timer);
        varlink_close(c);
        while (enabled != SD_EVENT_OFF) {
                (void) sd_event_run(w->event, USEC_PER_SEC);
                assert_true(sd_event_source_get_enabled(w->stream.activity.timer, &enabled) >= 0);
        }
        add_reader(w);
        assert_true(sd_event_source_get_enabled(w->stream.activity.timer, &enabled) >= 0);
        assert_int_equal(enabled, SD_EVENT_OFF);
        add_reader_of(w, true);
        assert_true(sd_event_source_get_enabled(w->stream.activity.timer, &enabled) >= 0);
        assert_int_equal(enabled, SD_EVENT_ONESHOT);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_burst_is_told_in_full_to_who_reads, begin, end),
                cmocka_unit_test_setup_teardown(test_a_reader_that_falls_behind_is_told_the_present_state_again, begin, end),
                cmocka_unit_test_setup_teardown(test_a_reader_that_falls_behind_in_the_present_state_begins_it_again, begin, end),
                cmocka_unit_test_setup_teardown(test_readers_that_do_not_read_keep_events_once_for_all_of_them, begin, end),
                cmocka_unit_test_setup_teardown(
                        test_a_reader_that_reads_nothing_for_long_is_disconnected_and_others_are_not, begin, end),
                cmocka_unit_test_setup_teardown(
                        test_the_reader_that_has_not_read_for_longest_is_disconnected_when_a_user_has_too_many, begin, end),
                cmocka_unit_test_setup_teardown(test_a_vm_that_comes_while_the_present_state_is_told_is_told_once, begin, end),
                cmocka_unit_test_setup_teardown(test_a_vm_that_comes_when_all_others_have_been_told_is_not_lost, begin, end),
                cmocka_unit_test_setup_teardown(test_a_vm_that_goes_before_it_is_told_is_not_told, begin, end),
                cmocka_unit_test_setup_teardown(test_activity_is_told_once_of_each_vm_and_of_a_bounded_number_in_a_turn, begin,
                                                end),
                cmocka_unit_test_setup_teardown(test_activity_waits_while_a_reader_is_slow_who_would_miss_other_events, begin,
                                                end),
                cmocka_unit_test_setup_teardown(test_a_turn_compares_a_bounded_number_of_vms, begin, end),
                cmocka_unit_test_setup_teardown(test_nothing_is_compared_when_nobody_wants_to_know_of_activity, begin, end),
        };

        log_set_max_level(LOG_ERR);
        return cmocka_run_group_tests_name("vm-stream", tests, NULL, NULL);
}
