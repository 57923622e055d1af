/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bench-common.h"

/*
 * bench-keystroke PORT SAMPLES [ends]: a telnet client of a VM that echoes. Prints median, 99th percentile and
 * maximum of the time from a keystroke to its echo, in microseconds. With "ends" it prints "ready" before the first
 * sample, and takes no more of them once its standard input has ended.
 */

#define WARM_UP 500U

static usec_t round_trip(int fd, uint8_t key) {
        usec_t begun = bench_now();
        uint8_t echo;

        bench_send(fd, &key, 1);
        if (recv(fd, &echo, 1, 0) != 1)
                bench_fail("A keystroke was not echoed: %m");
        if (echo != key)
                bench_fail("The echo of 0x%02x is 0x%02x.", key, echo);

        return bench_now() - begun;
}

static bool input_has_ended(void) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

        return poll(&input, 1, 0) > 0;
}

static int compare(const void *a, const void *b) {
        usec_t x = *(const usec_t *) a, y = *(const usec_t *) b;

        return (x > y) - (x < y);
}

int main(int argc, char **argv) {
        static TelnetSession session;

        bool ends = argc == 4 && streq(argv[3], "ends");
        if (argc != 3 && !ends)
                bench_fail("Usage: bench-keystroke PORT SAMPLES [ends]");

        size_t n = bench_number(argv[2]);
        usec_t *samples = calloc(n, sizeof *samples);
        if (!samples || n == 0)
                bench_fail("\"%s\" samples are too few or too many.", argv[2]);

        int fd = bench_connect((uint16_t) bench_number(argv[1]));
        telnet_session_init(&session, TELNET_CR_LF_KEPT);
        bench_settle(fd, &session, &bench_client_policy);

        const struct timeval patience = {.tv_sec = 10};
        (void) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);

        for (size_t i = 0; i < WARM_UP; i++)
                (void) round_trip(fd, (uint8_t) ('a' + i % 26));
        if (ends) {
                puts("ready");
                fflush(stdout);
        }
        for (size_t i = 0; i < n; i++) {
                samples[i] = round_trip(fd, (uint8_t) ('a' + i % 26));
                if (ends && input_has_ended())
                        n = i + 1;
        }

        qsort(samples, n, sizeof *samples, compare);
        printf("%llu %llu %llu\n", (unsigned long long) samples[n / 2],
               (unsigned long long) samples[n * 99 / 100], (unsigned long long) samples[n - 1]);

        free(samples);
        safe_close(fd);
        return EXIT_SUCCESS;
}
