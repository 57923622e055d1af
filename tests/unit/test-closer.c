/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connections that are being ended gently, by peers who do not close theirs: how many of them are kept. */

#include <sys/socket.h>

#include "harness.h"

#include "transport/closer.h"

#define GOODBYE "goodbye"

/* Returns: whether the other end of @fd still reads. */
static bool is_read(int fd) {
        return send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static void assert_gets_goodbye(int fd) {
        char data[sizeof GOODBYE];

        assert_int_equal(recv(fd, data, sizeof data, MSG_DONTWAIT), strlen(GOODBYE));
        assert_memory_equal(data, GOODBYE, strlen(GOODBYE));
        assert_int_equal(recv(fd, data, sizeof data, MSG_DONTWAIT), 0);
}

static void test_the_oldest_is_closed_when_too_many_linger(_unused_ void **state) {
        Poller *poller = NULL;
        int peers[CLOSER_MAX + 1];
        sd_event *event = NULL;
        Closer closer;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(poller_new(event, &poller), 0);
        assert_int_equal(closer_init(&closer, poller), 0);

        for (size_t i = 0; i < ELEMENTSOF(peers); i++) {
                int fds[2];

                assert_true(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) >= 0);
                peers[i] = fds[1];
                closer_take_fd(&closer, fds[0], GOODBYE);
        }
        assert_int_equal(closer.n_lingering, CLOSER_MAX);
        assert_false(is_read(peers[0]));
        for (size_t i = 1; i < ELEMENTSOF(peers); i++)
                assert_true(is_read(peers[i]));

        for (size_t i = 0; i < ELEMENTSOF(peers); i++) {
                assert_gets_goodbye(peers[i]);
                safe_close(peers[i]);
        }
        closer_done(&closer);
        poller_free(poller);
        sd_event_unref(event);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_oldest_is_closed_when_too_many_linger),
        };

        return cmocka_run_group_tests_name("closer", tests, NULL, NULL);
}
