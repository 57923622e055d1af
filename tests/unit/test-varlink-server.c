/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What those who query can make vspcd keep: how many connections, and answers that they do not read. */

#include <sys/resource.h>
#include <sys/socket.h>
#include <utlist.h>

#include "harness.h"

#include "admin/varlink-server.h"
#include "basic/log.h"
#include "transport/socket.h"

/* An eighth of these is more than VARLINK_CONNECTIONS_MAX. */
#define DESCRIPTORS (16U * VARLINK_CONNECTIONS_MAX)

/* How long anything may take on a busy machine */
#define PATIENCE_USEC (30 * USEC_PER_SEC)

typedef struct World {
        sd_event *event;
        Concentrator *concentrator;
        VarlinkServer *server;
} World;

static int begin(void **state) {
        static const VarlinkInterface *const none[] = {NULL};
        World *w = calloc(1, sizeof(World));
        Settings settings;

        assert_non_null(w);
        settings_init(&settings);
        assert_true(sd_event_new(&w->event) >= 0);
        assert_int_equal(concentrator_new(w->event, &settings, DESCRIPTORS, &w->concentrator), 0);
        assert_int_equal(varlink_server_new(w->concentrator, none, NULL, &w->server), 0);
        *state = w;
        return 0;
}

static int end(void **state) {
        World *w = *state;

        varlink_server_freep(&w->server);
        concentrator_freep(&w->concentrator);
        sd_event_unref(w->event);
        free(w);
        return 0;
}

/* The newest of those that are idle */
static VarlinkConnection *newest(const World *w) {
        VarlinkConnection *oldest = w->server->connections[VARLINK_IDLE];

        return oldest ? oldest->prev : NULL;
}

static VarlinkConnection *add_connection(World *w, int fd) {
        const SocketAddress local = {.any.sa_family = AF_UNIX};
        Peer peer;

        assert_true(fd >= 0);
        peer_init(&peer, fd, &local);
        assert_int_equal(varlink_connection_new(w->server, fd, &peer, NULL), 0);
        return newest(w);
}

static void test_who_has_been_idle_for_longest_makes_room_for_one_connection_too_many(void **state) {
        World *w = *state;
        SocketAddress address;

        /* Sockets from which nothing ever comes, nor an end */
        for (unsigned i = 0; i < VARLINK_CONNECTIONS_MAX; i++)
                add_connection(w, socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        VarlinkConnection *oldest = w->server->connections[VARLINK_IDLE], *last = newest(w), *second = oldest->next;
        assert_int_equal(w->server->n_connections, VARLINK_CONNECTIONS_MAX);

        assert_int_equal(address_parse("127.0.0.1", &address), 0);
        int listening = socket_listen(&address);
        socklen_t size = sizeof address;
        assert_true(listening >= 0);
        assert_true(getsockname(listening, &address.any, &size) >= 0);
        assert_int_equal(varlink_server_listen(w->server, listening, VARLINK_PLAIN), 0);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(connect(fd, &address.any, size) >= 0);
        while (newest(w) == last)
                assert_true(sd_event_run(w->event, PATIENCE_USEC) > 0);

        assert_int_equal(w->server->n_connections, VARLINK_CONNECTIONS_MAX);
        assert_ptr_equal(w->server->connections[VARLINK_IDLE], second);
        safe_close(fd);
}

static void test_who_does_not_read_answers_is_closed_in_time(void **state) {
        static const uint8_t answer[65536];
        World *w = *state;
        usec_t begun = now_monotonic();
        const int smallest = 0;
        int fds[2];

        assert_true(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) >= 0);
        assert_true(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest) >= 0);
        VarlinkConnection *c = add_connection(w, fds[0]);

        c->asked = true; /* or it would be closed for want of a call */
        timeout_queue_set_duration(&w->server->stall_timeouts, 10 * USEC_PER_MSEC);
        assert_int_equal(buffer_append(&c->stream.out, answer, sizeof answer), 0);
        varlink_connection_work(c);
        while (w->server->n_connections > 0 && now_monotonic() - begun < PATIENCE_USEC)
                assert_true(sd_event_run(w->event, USEC_PER_SEC) >= 0);
        assert_int_equal(w->server->n_connections, 0);
        safe_close(fds[1]);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        test_who_has_been_idle_for_longest_makes_room_for_one_connection_too_many, begin, end),
                cmocka_unit_test_setup_teardown(test_who_does_not_read_answers_is_closed_in_time, begin, end),
        };
        const struct rlimit limit = {2 * VARLINK_CONNECTIONS_MAX, 2 * VARLINK_CONNECTIONS_MAX};

        (void) setrlimit(RLIMIT_NOFILE, &limit);
        log_set_max_level(LOG_ERR);
        return cmocka_run_group_tests_name("varlink-server", tests, NULL, NULL);
}
