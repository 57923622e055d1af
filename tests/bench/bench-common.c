/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "bench-common.h"

#define SETTLED_AFTER_MSEC 1000

static SSL *tls; /* of the connection; NULL: it is plain */

const TelnetPolicy bench_client_policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_OPTION_END},
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END},
};

void bench_make_block(uint8_t block[static BENCH_BLOCK_SIZE]) {
        static const char line[] = "[   12.345678] systemd[1]: Started a service of usual length.\r\n";
        static const size_t each = BENCH_BLOCK_SIZE / BENCH_BLOCK_DOUBLED;

        for (size_t i = 0; i < BENCH_BLOCK_SIZE; i++)
                block[i] = (uint8_t) line[i % (sizeof line - 1)];
        for (size_t i = 0; i < BENCH_BLOCK_DOUBLED; i++)
                memset(block + i * each, TELNET_IAC, 2);
}

void bench_fail(const char *format, ...) {
        int error = errno;
        va_list ap;

        fprintf(stderr, "%s: ", program_invocation_short_name);
        errno = error;
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fputc('\n', stderr);
        exit(EXIT_FAILURE);
}

uint64_t bench_number(const char *text) {
        uint64_t n;

        if (parse_unsigned(text, UINT64_MAX, &n) < 0)
                bench_fail("\"%s\" is not a number.", text);

        return n;
}

usec_t bench_now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (usec_t) t.tv_sec * USEC_PER_SEC + (usec_t) t.tv_nsec / 1000;
}

int bench_connect(uint16_t port) {
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        static const int on = 1;

        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                bench_fail("Cannot connect to 127.0.0.1:%u: %m", port);
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

        return fd;
}

_Noreturn void bench_fail_tls(const char *what) {
        ERR_print_errors_fp(stderr);
        bench_fail("Cannot %s.", what);
}

void bench_start_tls(int fd) {
        SSL_CTX *context = SSL_CTX_new(TLS_client_method());

        if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1)
                bench_fail_tls("speak TLS 1.3");

        SSL *ssl = SSL_new(context);
        if (!ssl || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
                bench_fail_tls("shake hands");

        SSL_CTX_free(context);
        tls = ssl;
}

size_t bench_receive(int fd, void *data, size_t n) {
        ssize_t k = tls ? SSL_read(tls, data, (int) MIN(n, (size_t) INT32_MAX)) : recv(fd, data, n, 0);

        if (k <= 0)
                bench_fail("The connection has ended before it was used: %s",
                           k < 0 && !tls ? strerror(errno) : "closed by the peer");

        return (size_t) k;
}

static void send_in_tls(const void *data, size_t n) {
        if (n > 0 && SSL_write(tls, data, (int) n) != (int) n)
                bench_fail_tls("send");
}

void bench_send(int fd, const void *data, size_t n) {
        if (tls) {
                send_in_tls(data, n);
                return;
        }

        while (n > 0) {
                ssize_t k = send(fd, data, n, MSG_NOSIGNAL);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        bench_fail("Cannot send: %m");

                data = (const uint8_t *) data + k;
                n -= (size_t) k;
        }
}

void bench_send_buffer(int fd, Buffer *b) {
        if (b->size > 0)
                bench_send(fd, buffer_data(b), b->size);
        buffer_clear(b);
}

void bench_await_start(void) {
        char line[16];

        puts("ready");
        fflush(stdout);
        if (!fgets(line, sizeof line, stdin))
                exit(EXIT_SUCCESS);
}

void bench_settle(int fd, TelnetSession *s, const TelnetPolicy *policy) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        uint8_t data[65536], subnegotiation[TELNET_SUBNEGOTIATION_MAX];
        Buffer out = BUFFER_INIT(4096);

        while ((tls && SSL_pending(tls) > 0) || poll(&readable, 1, SETTLED_AFTER_MSEC) > 0) {
                size_t n = bench_receive(fd, data, sizeof data);

                for (size_t used = 0; policy && used < n;) {
                        TelnetAnswer answer;
                        TelnetEvent event;

                        used += telnet_decode(&s->in, subnegotiation, data + used, n - used, &event);
                        if (event.type == TELNET_EVENT_NEGOTIATION &&
                            telnet_session_negotiate(s, policy, &event, &out, &answer) < 0)
                                bench_fail("Cannot answer a negotiation.");
                }
                bench_send_buffer(fd, &out);
        }
}
