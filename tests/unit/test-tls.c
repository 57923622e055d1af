/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A stream in TLS, with GnuTLS's own functions as its peer at the other end of a pair of sockets. OpenSSL is
 * the peer in tests/e2e; here things happen at moments that cannot be had from outside: a socket that takes
 * no more in the middle of a record.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tls-fixture.h"
#include "prng.h"

#include "transport/closer.h"
#include "transport/tls-handshake.h"

#define SOCKET_BUFFER 4096
#define BULK 300000U /* bytes; many times what the sockets hold */

/* The stream's owner: keeps what it reads. */
typedef struct Owner {
        Stream stream;
        TlsHandshake *handshake;
        size_t read_max; /* at a time */
        uint8_t got[BULK + 1];
        size_t n_got;
        unsigned n_readable, n_writable;
        bool pauses; /* after each read */
        ssize_t end; /* what reading has said at last; 1: nothing yet */
} Owner;

static struct {
        uint8_t bulk[BULK];
        Owner owner;
        uint8_t peer_got[BULK + 1];
        size_t n_peer_got;
        unsigned n_peer_alerts;
} f;

/* A socket that is full just when the last word is to be said */
static struct {
        bool from_bye_on;
        bool full;
        unsigned n_refused;
} socket_state;

int __real_gnutls_bye(gnutls_session_t session, gnutls_close_request_t how);
int __wrap_gnutls_bye(gnutls_session_t session, gnutls_close_request_t how);
int __wrap_gnutls_bye(gnutls_session_t session, gnutls_close_request_t how) {
        socket_state.full = socket_state.from_bye_on && session != tls.peer;
        return __real_gnutls_bye(session, how);
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
        if (!socket_state.full)
                return __real_sendmsg(fd, message, flags);

        socket_state.n_refused++;
        errno = EAGAIN;
        return -1;
}

static void owner_readable(Stream *s) {
        Owner *o = container_of(s, Owner, stream);
        size_t n = MIN(o->read_max, sizeof o->got - o->n_got);

        o->n_readable++;
        assert_true(n > 0);
        ssize_t k = stream_read(s, o->got + o->n_got, n);
        if (k == -EAGAIN)
                return;
        if (k <= 0) {
                o->end = k;
                stream_pause(s);
                return;
        }

        o->n_got += (size_t) k;
        if (o->pauses)
                stream_pause(s);
}

static void owner_writable(Stream *s) {
        container_of(s, Owner, stream)->n_writable++;
        assert_true(stream_flush(s) >= 0);
}

static const StreamHandler owner_handler = {.readable = owner_readable, .writable = owner_writable};

static void owner_handshake_stepped(_unused_ void *userdata) {
}

static void owner_handshake_done(void *userdata, Wire wire) {
        Owner *o = userdata;

        o->handshake = NULL;
        stream_reopen(&o->stream, wire);
}

static const TlsHandshakeHandler owner_handshake_handler = {owner_handshake_stepped, owner_handshake_done};

static void start_tls(void) {
        assert_int_equal(tls_handshake_new(tls.poller, stream_release(&f.owner.stream).fd, tls.context, NULL,
                                           &owner_handshake_handler, &f.owner, &f.owner.handshake), 0);
}

static int setup_group(void **state) {
        Prng prng = prng_init();

        for (size_t i = 0; i < sizeof f.bulk; i++)
                f.bulk[i] = (uint8_t) prng_next(&prng);
        return save_certificate(state);
}

static void set_buffers(int fd) {
        const int size = SOCKET_BUFFER;

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static int setup(_unused_ void **state) {
        int fds[2];

        f.owner = (Owner){.read_max = 65536, .end = 1};
        f.n_peer_got = f.n_peer_alerts = 0;
        socket_state = (typeof(socket_state)){};

        make_loop();
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        set_buffers(fds[0]);
        set_buffers(fds[1]);
        tls.fd = fds[1];
        return stream_open(&f.owner.stream, tls.poller, WIRE_PLAIN(fds[0]), BULK, &owner_handler);
}

static int teardown(_unused_ void **state) {
        f.owner.handshake = tls_handshake_free(f.owner.handshake);
        stream_close(&f.owner.stream);
        tls_done();
        return 0;
}

/* A loop that has nothing left to do has done all there is. */
static void run_until_quiet(void) {
        while (sd_event_run(tls.event, 0) > 0)
                ;
}

static bool peer_shake_hands(void) {
        int r = gnutls_handshake(tls.peer);

        if (r < 0 && gnutls_error_is_fatal(r))
                fail_msg("the peer's handshake fails: %s", gnutls_strerror(r));
        return r == 0;
}

/* Reads what there is. */
static void peer_read(void) {
        for (;;) {
                ssize_t r = gnutls_record_recv(tls.peer, f.peer_got + f.n_peer_got,
                                               sizeof f.peer_got - f.n_peer_got);

                if (r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED || r == 0)
                        return;
                if (r == GNUTLS_E_WARNING_ALERT_RECEIVED) {
                        f.n_peer_alerts++;
                        continue;
                }
                if (r < 0)
                        fail_msg("the peer cannot read: %s", gnutls_strerror((int) r));
                f.n_peer_got += (size_t) r;
        }
}

static void peer_write(const void *data, size_t n) {
        size_t done = 0;

        while (done < n) {
                ssize_t r = gnutls_record_send(tls.peer, (const uint8_t *) data + done, n - done);

                if (r == GNUTLS_E_AGAIN)
                        (void) sd_event_run(tls.event, 1000);
                else
                        assert_true(r > 0);
                done += (size_t) MAX(r, 0);
        }
}

static void open_session(Threads threads, const char *priority) {
        bool complete = false;

        make_context(threads);
        make_peer(priority);
        start_tls();
        run_until(complete && !f.owner.handshake, complete = complete || peer_shake_hands());
        assert_true(tls_session_is_open(f.owner.stream.tls));
}

/* Queues all of the bulk, of which the sockets take a little. */
static void send_bulk(void) {
        assert_int_equal(buffer_append(&f.owner.stream.out, f.bulk, sizeof f.bulk), 0);
        assert_int_equal(stream_flush(&f.owner.stream), 0);
        assert_true(f.owner.stream.blocked);
        assert_false(stream_is_flushed(&f.owner.stream));
}

static void expect_bulk(void) {
        run_until(f.n_peer_got == sizeof f.bulk, (peer_read(), 0));
        assert_memory_equal(f.peer_got, f.bulk, sizeof f.bulk);
        run_until_quiet();
        assert_true(stream_is_flushed(&f.owner.stream));
        assert_int_equal(f.owner.end, 1);
        assert_string_equal(stream_problem(&f.owner.stream), "");
}

static void check_both_ways(Threads threads, const char *priority) {
        open_session(threads, priority);
        peer_write("from the peer", 13);
        run_until(f.owner.n_got == 13, 0);
        assert_memory_equal(f.owner.got, "from the peer", 13);

        assert_int_equal(buffer_append(&f.owner.stream.out, "to the peer", 11), 0);
        assert_int_equal(stream_flush(&f.owner.stream), 1);
        run_until(f.n_peer_got == 11, (peer_read(), 0));
        assert_memory_equal(f.peer_got, "to the peer", 11);
}

static void test_bytes_travel_both_ways_after_a_handshake_on_the_loop(_unused_ void **state) {
        check_both_ways(INLINE, TLS13);
        assert_string_equal(tls_session_version(f.owner.stream.tls), "TLS 1.3");
}

static void test_bytes_travel_both_ways_after_a_handshake_in_a_thread(_unused_ void **state) {
        check_both_ways(IN_WORKER, TLS13);
}

static void test_bytes_travel_both_ways_in_tls_1_2(_unused_ void **state) {
        check_both_ways(IN_WORKER, TLS12);
        assert_string_equal(tls_session_version(f.owner.stream.tls), "TLS 1.2");
}

static void test_what_is_queued_before_the_handshake_is_sent_after_it(_unused_ void **state) {
        bool complete = false;

        make_context(INLINE);
        make_peer(TLS13);
        start_tls();
        assert_true(f.owner.stream.blocked);
        assert_int_equal(buffer_append(&f.owner.stream.out, "early", 5), 0);
        assert_int_equal(stream_flush(&f.owner.stream), 0);
        assert_int_equal(stream_read(&f.owner.stream, f.owner.got, 1), -EAGAIN);
        run_until(complete && !f.owner.handshake, complete = complete || peer_shake_hands());
        assert_int_equal(stream_flush(&f.owner.stream), 1);
        run_until(f.n_peer_got == 5, (peer_read(), 0));
        assert_memory_equal(f.peer_got, "early", 5);
}

static void test_writes_that_the_socket_does_not_take_are_gone_on_with(_unused_ void **state) {
        open_session(INLINE, TLS13);
        send_bulk();
        expect_bulk();
}

static void test_the_same_in_tls_1_2(_unused_ void **state) {
        open_session(INLINE, TLS12);
        send_bulk();
        expect_bulk();
}

static void test_a_peer_may_limit_the_size_of_records(_unused_ void **state) {
        make_context(INLINE);
        make_peer(TLS13);
        assert_int_equal(gnutls_record_set_max_recv_size(tls.peer, 600), 0);
        start_tls();
        bool complete = false;
        run_until(complete && !f.owner.handshake, complete = complete || peer_shake_hands());

        send_bulk();
        expect_bulk();
}

static void test_keys_may_be_renewed_while_a_write_waits(_unused_ void **state) {
        open_session(INLINE, TLS13);
        send_bulk();
        assert_int_equal(gnutls_session_key_update(tls.peer, GNUTLS_KU_PEER), 0);
        peer_write("with new keys", 13);
        run_until(f.owner.n_got == 13, 0);
        assert_true(f.owner.stream.blocked);
        expect_bulk();

        peer_write("and", 3);
        run_until(f.owner.n_got == 16, 0);
}

static void test_a_peer_that_renegotiates_is_told_no_even_while_a_write_waits(_unused_ void **state) {
        open_session(INLINE, TLS12 ":%UNSAFE_RENEGOTIATION");
        send_bulk();
        assert_false(gnutls_error_is_fatal(gnutls_handshake(tls.peer)));
        run_until(f.owner.end == -EPROTO, 0);
        assert_string_equal(stream_problem(&f.owner.stream), "Rehandshake was requested by the peer");

        /* It gets what was said before that. */
        run_until(f.n_peer_alerts == 1, (peer_read(), 0));
        assert_int_equal(gnutls_alert_get(tls.peer), GNUTLS_A_NO_RENEGOTIATION);
        assert_true(f.n_peer_got > 0);
        assert_memory_equal(f.peer_got, f.bulk, f.n_peer_got);
}

static void test_small_reads_get_all_of_a_record(_unused_ void **state) {
        open_session(INLINE, TLS13);
        f.owner.read_max = 7;
        peer_write(f.bulk, 3000);
        run_until(f.owner.n_got == 3000, 0);
        assert_memory_equal(f.owner.got, f.bulk, 3000);
}

static void test_a_peer_with_many_small_records_lets_others_have_their_turn(_unused_ void **state) {
        const int size = 256 * 1024;

        open_session(INLINE, TLS13);
        assert_int_equal(setsockopt(tls.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
        f.owner.pauses = true;
        for (size_t i = 0; i < 100; i++)
                assert_int_equal(gnutls_record_send(tls.peer, f.bulk + i, 1), 1);

        run_until(f.owner.n_got > 0, 0);
        assert_int_equal(f.owner.n_got, 64);
        f.owner.pauses = false;
        stream_resume(&f.owner.stream);
        run_until(f.owner.n_got == 100, 0);
        assert_memory_equal(f.owner.got, f.bulk, 100);
}

static void test_while_paused_nothing_is_read_and_then_all_is(_unused_ void **state) {
        open_session(INLINE, TLS13);
        f.owner.read_max = 1000;
        f.owner.pauses = true;
        peer_write(f.bulk, 3000);
        run_until(f.owner.n_got == 1000, 0);

        unsigned n_readable = f.owner.n_readable;
        run_until_quiet();
        assert_int_equal(f.owner.n_readable, n_readable);
        assert_true(stream_has_unread(&f.owner.stream));

        stream_resume(&f.owner.stream);
        run_until(f.owner.n_got == 2000, 0);
        run_until_quiet();
        assert_int_equal(f.owner.n_got, 2000);
        stream_resume(&f.owner.stream);
        run_until(f.owner.n_got == 3000, 0);
        run_until_quiet();
        assert_false(stream_has_unread(&f.owner.stream));
        assert_memory_equal(f.owner.got, f.bulk, 3000);
}

static void test_its_end_is_told_after_all_that_came_before_it(_unused_ void **state) {
        open_session(INLINE, TLS13);
        f.owner.read_max = 600;
        f.owner.pauses = true;
        peer_write(f.bulk, 1000);
        assert_int_equal(gnutls_bye(tls.peer, GNUTLS_SHUT_WR), 0);

        run_until(f.owner.n_got == 600, 0);
        stream_resume(&f.owner.stream);
        run_until(f.owner.n_got == 1000, 0);
        assert_int_equal(f.owner.end, 1);
        stream_resume(&f.owner.stream);
        run_until(f.owner.end != 1, 0);
        assert_int_equal(f.owner.end, 0);
}

static void test_a_peer_that_has_said_its_last_word_may_still_be_told_things(_unused_ void **state) {
        open_session(INLINE, TLS13);
        assert_int_equal(gnutls_bye(tls.peer, GNUTLS_SHUT_WR), 0);
        run_until(f.owner.end == 0, 0);
        send_bulk();
        run_until(f.n_peer_got == sizeof f.bulk, (peer_read(), 0));
        assert_memory_equal(f.peer_got, f.bulk, sizeof f.bulk);
}

static void test_an_end_without_tls_s_own_is_none(_unused_ void **state) {
        open_session(INLINE, TLS13);
        peer_write("cut", 3);
        tls.fd = safe_close(tls.fd);
        run_until(f.owner.end != 1, 0);
        assert_int_equal(f.owner.n_got, 3);
        assert_int_equal(f.owner.end, -ECONNRESET);
}

/* Returns: whether the peer has been told that nothing more comes, by TLS and then by the connection. */
static bool peer_has_end(void) {
        ssize_t r = gnutls_record_recv(tls.peer, f.peer_got, sizeof f.peer_got);
        uint8_t byte;

        if (r == GNUTLS_E_AGAIN)
                return false;
        if (r < 0)
                fail_msg("the peer reads: %s", gnutls_strerror((int) r));
        return r == 0 && recv(tls.fd, &byte, 1, 0) == 0;
}

static void test_the_last_word_waits_for_a_socket_that_is_full(_unused_ void **state) {
        static const char *const priorities[] = {TLS12, TLS13};

        for (size_t i = 0; i < ELEMENTSOF(priorities); i++) {
                if (i > 0) {
                        teardown(NULL);
                        assert_int_equal(setup(NULL), 0);
                }
                open_session(INLINE, priorities[i]);
                unsigned n_writable = f.owner.n_writable;
                socket_state.from_bye_on = true;
                assert_int_equal(stream_shutdown(&f.owner.stream), 0);
                run_until(socket_state.n_refused > 1, assert_false(peer_has_end()));

                socket_state.full = false;
                run_until(peer_has_end(), 0);
                assert_int_equal(f.owner.n_writable, n_writable + 1);

                /* Nothing is said twice. */
                socket_state.from_bye_on = false;
                assert_int_equal(stream_shutdown(&f.owner.stream), 0);
                assert_int_equal(f.owner.end, 1);
        }
}

static void test_who_is_seen_off_gets_all_and_the_last_word(_unused_ void **state) {
        Closer closer;

        assert_int_equal(closer_init(&closer, tls.poller), 0);
        open_session(INLINE, TLS13);
        send_bulk();
        socket_state.from_bye_on = true;
        closer_take(&closer, &f.owner.stream, NULL);
        run_until(f.n_peer_got == sizeof f.bulk && socket_state.n_refused > 1, (peer_read(), 0));
        assert_memory_equal(f.peer_got, f.bulk, sizeof f.bulk);
        assert_int_equal(closer.n_lingering, 1);

        socket_state.full = false;
        run_until(peer_has_end(), 0);
        tls.fd = safe_close(tls.fd);
        run_until(closer.n_lingering == 0, 0);
        closer_done(&closer);
}

/* It has had its time: its socket is closed, whatever waits. */
static void test_nobody_is_seen_off_for_ever(_unused_ void **state) {
        int fd = f.owner.stream.watch.fd;
        Closer closer;

        assert_int_equal(closer_init(&closer, tls.poller), 0);
        open_session(INLINE, TLS13);
        socket_state.from_bye_on = true;
        closer_take(&closer, &f.owner.stream, NULL);
        run_until(socket_state.n_refused > 1, 0);
        assert_int_equal(closer.n_lingering, 1);

        run_until(closer.n_lingering == 0, 0);
        assert_true(fcntl(fd, F_GETFD) < 0);
        closer_done(&closer);
}

/* What is queued counts as sent then. */
static void test_a_reader_is_told_that_the_handshake_has_failed(_unused_ void **state) {
        make_context(IN_WORKER);
        start_tls();
        stream_pause(&f.owner.stream);
        assert_int_equal(buffer_append(&f.owner.stream.out, "never", 5), 0);
        assert_int_equal(send(tls.fd, "nonsense", 8, 0), 8);
        run_until(!f.owner.handshake, 0);
        assert_int_equal(stream_flush(&f.owner.stream), 1);
        run_until_quiet();
        assert_int_equal(f.owner.n_readable, 0);
        stream_resume(&f.owner.stream);
        run_until(f.owner.end == -EPROTO, 0);
        assert_string_not_equal(stream_problem(&f.owner.stream), "");
}

static void test_a_wire_is_handed_over_with_all_that_waits_in_it(_unused_ void **state) {
        open_session(INLINE, TLS13);
        f.owner.read_max = 100;
        f.owner.pauses = true;
        peer_write(f.bulk, 1000);
        run_until(f.owner.n_got == 100, 0);
        send_bulk();

        Buffer out = BUFFER_INIT(0);
        Wire wire = stream_release(&f.owner.stream);
        out = TAKE(f.owner.stream.out, BUFFER_INIT(0));
        f.owner.pauses = false;
        assert_int_equal(stream_open(&f.owner.stream, tls.poller, wire, BULK, &owner_handler), 0);
        f.owner.stream.out = out;

        run_until(f.owner.n_got == 1000, 0);
        assert_memory_equal(f.owner.got, f.bulk, 1000);
        expect_bulk();
}

static void test_that_the_peer_has_ended_is_handed_over_too(_unused_ void **state) {
        open_session(INLINE, TLS13);
        f.owner.pauses = true;
        peer_write("a call", 6);
        assert_int_equal(gnutls_bye(tls.peer, GNUTLS_SHUT_WR), 0);
        run_until(f.owner.n_got == 6, 0);
        assert_int_equal(f.owner.end, 1);

        Wire wire = stream_release(&f.owner.stream);
        assert_int_equal(stream_open(&f.owner.stream, tls.poller, wire, BULK, &owner_handler), 0);
        run_until(f.owner.end == 0, 0);
}

#define stream_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                stream_test(test_bytes_travel_both_ways_after_a_handshake_on_the_loop),
                stream_test(test_bytes_travel_both_ways_after_a_handshake_in_a_thread),
                stream_test(test_bytes_travel_both_ways_in_tls_1_2),
                stream_test(test_what_is_queued_before_the_handshake_is_sent_after_it),
                stream_test(test_writes_that_the_socket_does_not_take_are_gone_on_with),
                stream_test(test_the_same_in_tls_1_2),
                stream_test(test_a_peer_may_limit_the_size_of_records),
                stream_test(test_keys_may_be_renewed_while_a_write_waits),
                stream_test(test_a_peer_that_renegotiates_is_told_no_even_while_a_write_waits),
                stream_test(test_small_reads_get_all_of_a_record),
                stream_test(test_a_peer_with_many_small_records_lets_others_have_their_turn),
                stream_test(test_while_paused_nothing_is_read_and_then_all_is),
                stream_test(test_its_end_is_told_after_all_that_came_before_it),
                stream_test(test_a_peer_that_has_said_its_last_word_may_still_be_told_things),
                stream_test(test_an_end_without_tls_s_own_is_none),
                stream_test(test_the_last_word_waits_for_a_socket_that_is_full),
                stream_test(test_who_is_seen_off_gets_all_and_the_last_word),
                stream_test(test_nobody_is_seen_off_for_ever),
                stream_test(test_a_reader_is_told_that_the_handshake_has_failed),
                stream_test(test_a_wire_is_handed_over_with_all_that_waits_in_it),
                stream_test(test_that_the_peer_has_ended_is_handed_over_too),
        };

        return cmocka_run_group_tests(tests, setup_group, remove_certificate);
}
