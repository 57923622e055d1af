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

/* Whose last words take more memory than their owner may have, has them thrown away; another owner has not. */
static void test_the_first_is_closed_when_what_they_have_not_read_takes_too_much_memory(_unused_ void **state) {
        static const StreamHandler none = {};
        const size_t size = 4U << 20;
        _cleanup_free_ uint8_t *words = calloc(1, size);
        const AccountKey keys[] = {account_key_of_user(1), account_key_of_user(2), account_key_of_user(2)};
        Poller *poller = NULL;
        Account *account = NULL;
        Closer closer;
        int peers[ELEMENTSOF(keys)];
        sd_event *event = NULL;

        assert_non_null(words);
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(account_new(event, NULL, &account), 0);
        account_set_max(account, 4 * size);
        assert_int_equal(poller_new(event, &poller), 0);
        assert_int_equal(closer_init(&closer, poller), 0);

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                Stream stream;
                Charge charge = {};
                int fds[2];

                assert_true(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) >= 0);
                peers[i] = fds[1];
                assert_int_equal(stream_open(&stream, poller, WIRE_PLAIN(fds[0]), size, &none), 0);
                assert_int_equal(buffer_append(&stream.out, words, size), 0);
                charge_open(&charge, account, &keys[i], CHARGE_CLIENT, NULL);
                closer_take(&closer, &stream, &charge);
                charge_close(&charge);
        }
        while (sd_event_run(event, 0) > 0)
                ;
        assert_int_equal(account_size(account), 2 * size);
        assert_true(is_read(peers[0]));
        assert_false(is_read(peers[1]));
        assert_true(is_read(peers[2]));

        for (size_t i = 0; i < ELEMENTSOF(peers); i++)
                safe_close(peers[i]);
        closer_done(&closer);
        account_free(account);
        poller_free(poller);
        sd_event_unref(event);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_oldest_is_closed_when_too_many_linger),
                cmocka_unit_test(test_the_first_is_closed_when_what_they_have_not_read_takes_too_much_memory),
        };

        return cmocka_run_group_tests_name("closer", tests, NULL, NULL);
}
