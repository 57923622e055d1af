/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A handshake that is freed at any moment, most of all while a thread has it, and what its owner gets: a connection to go on
 * with, or one that knows why the handshake has failed. GnuTLS's own functions are the peer.
 */

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tls-fixture.h"

#include "transport/stream.h"
#include "transport/tls-handshake.h"


static struct {
        TlsHandshake *handshake;
        Wire wire; /* what the handshake has handed over; its descriptor is -1 before */
        unsigned n_stepped;
} f;

/* A gate before each step of a handshake in a worker's thread */
static struct {
        bool shut;
        sem_t arrived, opened;
} gate;

int __real_gnutls_handshake(gnutls_session_t session);
int __wrap_gnutls_handshake(gnutls_session_t session);
int __wrap_gnutls_handshake(gnutls_session_t session) {
        if (gate.shut && session != tls.peer) {
                sem_post(&gate.arrived);
                while (sem_wait(&gate.opened) < 0)
                        ;
        }

        return __real_gnutls_handshake(session);
}

static void wait_for_thread(void) {
        while (sem_wait(&gate.arrived) < 0)
                ;
}

static void open_gate(void) {
        gate.shut = false;
        sem_post(&gate.opened);
}

static void owner_stepped(_unused_ void *userdata) {
        assert_non_null(f.handshake);
        assert_true(tls_handshake_size(f.handshake) >= TLS_SESSION_SIZE);
        f.n_stepped++;
}

static void owner_done(_unused_ void *userdata, Wire wire) {
        f.handshake = NULL;
        f.wire = wire;
}

static const TlsHandshakeHandler owner_handler = {.stepped = owner_stepped, .done = owner_done};

static int setup_group(void **state) {
        sem_init(&gate.arrived, 0, 0);
        sem_init(&gate.opened, 0, 0);
        return save_certificate(state);
}

static int setup(_unused_ void **state) {
        f.wire = WIRE_PLAIN(-1);
        f.n_stepped = 0;
        make_loop();
        return 0;
}

static int teardown(_unused_ void **state) {
        gate.shut = false;
        f.handshake = tls_handshake_free(f.handshake);
        wire_close(&f.wire);
        tls_done();
        return 0;
}

/* Returns: the server's end of a connection. */
static int connect_peer(void) {
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        tls.fd = fds[1];
        return fds[0];
}

static void begin(int fd) {
        assert_int_equal(tls_handshake_new(tls.poller, fd, tls.context, NULL, &owner_handler, &f, &f.handshake), 0);
}

static bool is_open(int fd) {
        return fcntl(fd, F_GETFD) >= 0;
}

static void check_success(Threads threads, const char *priority) {
        bool complete = false;

        make_context(threads);
        begin(connect_peer());
        make_peer(priority);
        run_until(complete && f.wire.fd >= 0, complete = complete || gnutls_handshake(tls.peer) == 0);
        assert_null(f.handshake);
        assert_true(tls_session_is_open(f.wire.tls));
        assert_true(f.n_stepped > 0);
}

static void test_a_handshake_on_the_loop_hands_over_a_session(_unused_ void **state) {
        check_success(INLINE, TLS13);
        assert_string_equal(tls_session_version(f.wire.tls), "TLS 1.3");
}

static void test_a_handshake_in_a_thread_hands_over_a_session(_unused_ void **state) {
        check_success(IN_WORKER, TLS12);
        assert_string_equal(tls_session_version(f.wire.tls), "TLS 1.2");
}

/* There is nothing to wait for. */
static void test_a_client_speaks_first(_unused_ void **state) {
        const TlsParameters parameters = {.role = TLS_CLIENT};
        _cleanup_free_ char *problem = NULL;
        uint8_t hello[4096];

        assert_int_equal(tls_context_new(&parameters, &tls.context, &problem), 0);
        begin(connect_peer());
        run_until(recv(tls.fd, hello, sizeof hello, 0) > 0, 0);
}

static void test_its_owner_is_called_by_the_loop_only(_unused_ void **state) {
        int fd = connect_peer();

        make_context(INLINE);
        assert_int_equal(send(tls.fd, "nonsense", 8, 0), 8);
        begin(fd);
        assert_int_equal(f.wire.fd, -1);
        run_until(f.wire.fd == fd, 0);
}

static void test_a_session_that_has_failed_knows_why_and_has_told_the_peer_once(_unused_ void **state) {
        uint8_t answer[64];
        int fd = connect_peer();

        make_context(INLINE);
        begin(fd);
        assert_int_equal(send(tls.fd, "nonsense", 8, 0), 8);
        run_until(f.wire.fd == fd, 0);
        assert_false(tls_session_is_open(f.wire.tls));
        assert_string_not_equal(tls_session_problem(f.wire.tls), "");
        wire_close(&f.wire);

        /* One alert */
        assert_int_equal(recv(tls.fd, answer, sizeof answer, 0), 7);
        assert_int_equal(answer[0], 21);
        assert_int_equal(answer[5], 2);
}

/* The peer's first flight is there, and a thread has begun with it. Returns: the descriptor. */
static int begin_in_thread(void) {
        int fd = connect_peer();

        make_context(IN_WORKER);
        make_peer(TLS13);
        assert_int_equal(gnutls_handshake(tls.peer), GNUTLS_E_AGAIN);
        gate.shut = true;
        begin(fd);
        assert_true(sd_event_run(tls.event, TOO_LONG_USEC) > 0);
        wait_for_thread();
        return fd;
}

static void test_nobody_gets_a_session_that_a_thread_has(_unused_ void **state) {
        (void) begin_in_thread();
        assert_null(tls_handshake_session(f.handshake));
        assert_int_equal(tls_handshake_size(f.handshake), TLS_SESSION_SIZE);

        open_gate();
        run_until(tls_handshake_session(f.handshake), 0);
}

static void test_one_that_is_freed_while_a_thread_has_it_goes_after_that(_unused_ void **state) {
        int fd = begin_in_thread();

        f.handshake = tls_handshake_free(f.handshake);
        assert_true(is_open(fd));

        open_gate();
        run_until(!is_open(fd), 0);
        assert_int_equal(f.n_stepped, 0);
        assert_int_equal(f.wire.fd, -1);
}

static void test_a_worker_that_ends_waits_for_what_is_under_way(_unused_ void **state) {
        int fd = begin_in_thread();

        f.handshake = tls_handshake_free(f.handshake);
        open_gate();
        tls.worker = tls_worker_free(tls.worker);
        assert_false(is_open(fd));
}

/* Jobs that keep all threads busy */
typedef struct Hog {
        TlsJob job;
        bool done;
} Hog;

static void hog_run(_unused_ TlsJob *job) {
        while (sem_wait(&gate.opened) < 0)
                ;
}

static void hog_done(TlsJob *job) {
        container_of(job, Hog, job)->done = true;
}

static void test_one_that_is_freed_while_it_waits_for_a_thread_goes_at_once(_unused_ void **state) {
        static Hog hogs[16];
        int fd = connect_peer();

        make_context(IN_WORKER);
        for (size_t i = 0; i < ELEMENTSOF(hogs); i++) {
                hogs[i] = (Hog){.job = {.run = hog_run, .done = hog_done}};
                tls_worker_submit(tls.worker, &hogs[i].job);
        }

        begin(fd);
        assert_int_equal(send(tls.fd, "nonsense", 8, 0), 8);
        assert_true(sd_event_run(tls.event, TOO_LONG_USEC) > 0);
        f.handshake = tls_handshake_free(f.handshake);
        assert_false(is_open(fd));

        for (size_t i = 0; i < ELEMENTSOF(hogs); i++)
                sem_post(&gate.opened);
        for (size_t i = 0; i < ELEMENTSOF(hogs); i++)
                run_until(hogs[i].done, 0);
}

static void test_those_that_are_freed_at_any_moment_leave_nothing(_unused_ void **state) {
        make_context(IN_WORKER);

        for (unsigned i = 0; i < 300; i++) {
                begin(connect_peer());
                make_peer(i % 2 ? TLS12 : TLS13);
                bool complete = false;
                for (unsigned n = i % 20; n > 0; n--) {
                        complete = complete || gnutls_handshake(tls.peer) == 0;
                        (void) sd_event_run(tls.event, n % 3 * 100);
                }
                f.handshake = tls_handshake_free(f.handshake);
                wire_close(&f.wire);
                peer_done();
        }

        tls.worker = tls_worker_free(tls.worker);

        /* What is left: standard streams, the loop's and the poller's. The next descriptor is a low one. */
        int fd = dup(0);
        assert_in_range(fd, 3, 30);
        close(fd);
}

#define handshake_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                handshake_test(test_a_handshake_on_the_loop_hands_over_a_session),
                handshake_test(test_a_handshake_in_a_thread_hands_over_a_session),
                handshake_test(test_a_client_speaks_first),
                handshake_test(test_its_owner_is_called_by_the_loop_only),
                handshake_test(test_a_session_that_has_failed_knows_why_and_has_told_the_peer_once),
                handshake_test(test_nobody_gets_a_session_that_a_thread_has),
                handshake_test(test_one_that_is_freed_while_a_thread_has_it_goes_after_that),
                handshake_test(test_a_worker_that_ends_waits_for_what_is_under_way),
                handshake_test(test_one_that_is_freed_while_it_waits_for_a_thread_goes_at_once),
                handshake_test(test_those_that_are_freed_at_any_moment_leave_nothing),
        };

        return cmocka_run_group_tests(tests, setup_group, remove_certificate);
}
