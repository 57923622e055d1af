/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bench-common.h"

/*
 * bench-handshakes full|resumed PORT SECONDS THREADS: connects, shakes hands in TLS 1.3, says good-bye, and begins
 * again, for so long. With OpenSSL, so that whatever does TLS at the other end meets a stranger. Prints how many
 * handshakes there were, how many of them resumed a session, and how many microseconds that took.
 */

static uint16_t port;
static bool resume;
static usec_t until;
static atomic_uint n_done, n_resumed;

/* The last ticket of each thread */
static _Thread_local SSL_SESSION *ticket;

static int on_ticket(SSL *ssl, SSL_SESSION *session) {
        (void) ssl;
        SSL_SESSION_free(ticket);
        ticket = session;
        return 1; /* it is ours now */
}

static void shake_hands(SSL_CTX *context) {
        int fd = bench_connect(port);
        SSL *ssl = SSL_new(context);
        char byte;

        if (!ssl || SSL_set_fd(ssl, fd) != 1)
                bench_fail_tls("begin TLS");
        if (resume && ticket && SSL_set_session(ssl, ticket) != 1)
                bench_fail_tls("resume a session");
        if (SSL_connect(ssl) != 1)
                bench_fail_tls("shake hands");

        /* Until the other end has closed as well: what has come before that are tickets. */
        (void) SSL_shutdown(ssl);
        (void) SSL_read(ssl, &byte, 1);

        n_done++;
        n_resumed += SSL_session_reused(ssl) == 1;
        SSL_free(ssl);
        close(fd);
}

static void *run(void *userdata) {
        SSL_CTX *context = userdata;

        while (bench_now() < until)
                shake_hands(context);

        SSL_SESSION_free(TAKE_PTR(ticket));
        return NULL;
}

int main(int argc, char **argv) {
        if (argc != 5 || (!streq(argv[1], "full") && !streq(argv[1], "resumed")))
                bench_fail("Usage: bench-handshakes full|resumed PORT SECONDS THREADS");

        resume = streq(argv[1], "resumed");
        port = (uint16_t) bench_number(argv[2]);
        usec_t seconds = bench_number(argv[3]);
        size_t n_threads = bench_number(argv[4]);

        SSL_CTX *context = SSL_CTX_new(TLS_client_method());
        if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1)
                bench_fail_tls("speak TLS 1.3");
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, on_ticket);

        usec_t began = bench_now();
        until = began + seconds * USEC_PER_SEC;
        _cleanup_free_ pthread_t *threads = calloc(n_threads, sizeof(pthread_t));
        for (size_t i = 0; i < n_threads; i++)
                if (pthread_create(&threads[i], NULL, run, context) != 0)
                        bench_fail("Cannot start a thread.");
        for (size_t i = 0; i < n_threads; i++)
                pthread_join(threads[i], NULL);

        printf("%u %u %llu\n", n_done, n_resumed, (unsigned long long) (bench_now() - began));
        SSL_CTX_free(context);
        return EXIT_SUCCESS;
}
