/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench-common.h"

/*
 * bench-sink raw|telnet PORT CONNECTIONS BLOCKS, bench-sink listen CONNECTIONS BLOCKS: receives so many
 * blocks on each connection, which it makes or, listening, is given, and prints how many bytes that were and
 * how many microseconds from the first to the last. With listen it prints its port first.
 */

#define CONNECTIONS_MAX 64U
#define READ_SIZE (256U * 1024U)

/* Nothing at all for so long: it will not come any more. */
#define STALLED_AFTER_MSEC 10000

static struct {
        int fd;
        uint64_t missing; /* bytes */
} connections[CONNECTIONS_MAX];

static void attach(unsigned n, uint16_t port, bool telnet) {
        static TelnetSession session[CONNECTIONS_MAX];

        for (unsigned i = 0; i < n; i++)
                connections[i].fd = bench_connect(port);

        /* A telnet client's scrollback is thrown away here too. */
        for (unsigned i = 0; i < n; i++) {
                telnet_session_init(&session[i], TELNET_CR_LF_KEPT);
                bench_settle(connections[i].fd, &session[i], telnet ? &bench_client_policy : NULL);
                if (telnet && session[i].in.transmission != TELNET_8BIT)
                        bench_fail("The concentrator does not do BINARY.");
        }
}

static void accept_all(unsigned n) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof address;

        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, length) < 0 || listen(fd, SOMAXCONN) < 0 ||
            getsockname(fd, (struct sockaddr *) &address, &length) < 0)
                bench_fail("Cannot listen: %m");

        printf("%u\n", ntohs(address.sin_port));
        fflush(stdout);

        for (unsigned i = 0; i < n; i++) {
                connections[i].fd = accept(fd, NULL, NULL);
                if (connections[i].fd < 0)
                        bench_fail("Cannot accept: %m");
        }

        safe_close(fd);
}

static void receive(unsigned n, uint64_t each) {
        static uint8_t data[READ_SIZE];
        uint64_t total = 0, expected = each * n;
        usec_t first = 0;

        int set = epoll_create1(EPOLL_CLOEXEC);
        for (unsigned i = 0; i < n; i++) {
                connections[i].missing = each;
                if (epoll_ctl(set, EPOLL_CTL_ADD, connections[i].fd,
                              &(struct epoll_event){.events = EPOLLIN, .data.u32 = i}) < 0)
                        bench_fail("Cannot wait for a connection: %m");
        }

        while (total < expected) {
                struct epoll_event ready[CONNECTIONS_MAX];

                int k = epoll_wait(set, ready, CONNECTIONS_MAX, STALLED_AFTER_MSEC);
                if (k <= 0)
                        bench_fail("Only %llu of %llu bytes came.", (unsigned long long) total,
                                   (unsigned long long) expected);
                if (first == 0)
                        first = bench_now();

                for (int i = 0; i < k; i++) {
                        unsigned c = ready[i].data.u32;

                        ssize_t size = recv(connections[c].fd, data, sizeof data, 0);
                        if (size <= 0)
                                bench_fail("A connection has ended with %llu bytes missing.",
                                           (unsigned long long) connections[c].missing);
                        if ((uint64_t) size > connections[c].missing)
                                bench_fail("More came than was sent.");

                        connections[c].missing -= (uint64_t) size;
                        total += (uint64_t) size;
                }
        }

        printf("%llu %llu\n", (unsigned long long) total, (unsigned long long) (bench_now() - first));
}

int main(int argc, char **argv) {
        bool listens = argc == 4 && streq(argv[1], "listen"), raw = argc == 5 && streq(argv[1], "raw");

        if (!listens && !raw && !(argc == 5 && streq(argv[1], "telnet")))
                bench_fail("Usage: bench-sink raw|telnet PORT CONNECTIONS BLOCKS\n"
                           "       bench-sink listen CONNECTIONS BLOCKS");

        unsigned n = (unsigned) bench_number(argv[listens ? 2 : 3]);
        uint64_t blocks = bench_number(argv[listens ? 3 : 4]);
        if (n == 0 || n > CONNECTIONS_MAX)
                bench_fail("%u connections are too few or too many.", n);

        if (listens)
                accept_all(n);
        else
                attach(n, (uint16_t) bench_number(argv[2]), !raw);

        bench_await_start();
        receive(n, blocks * (BENCH_BLOCK_SIZE - (raw ? BENCH_BLOCK_DOUBLED : 0)));

        return EXIT_SUCCESS;
}
