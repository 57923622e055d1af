/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attaches to a VM's console by way of the bus, for tests: standard input goes to the descriptor that it
 * gets, and what comes from there to standard output, byte for byte. What it has been granted, or why it has
 * not, is said on standard error.
 */

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

/* Returns: whether there may be more. */
static int copy(int from, int to) {
        char data[65536];

        ssize_t n = read(from, data, sizeof data);
        for (ssize_t written = 0; written < n;) {
                ssize_t k = write(to, data + written, (size_t) (n - written));
                if (k < 0)
                        return 0;
                written += k;
        }

        return n > 0;
}

int main(int argc, char *argv[]) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        const char *granted;
        uint64_t client;
        sd_bus *bus = NULL;
        int fd;

        if (argc != 3 && argc != 4) {
                fputs("Usage: bus-attach VM ACCESS [FLAGS]\n", stderr);
                return EXIT_FAILURE;
        }

        int r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_call_method(bus, "org.vspc.Concentrator1", "/org/vspc/Concentrator1",
                                       "org.vspc.Concentrator1.Manager", "Attach", &error, &reply, "sst",
                                       argv[1], argv[2], argc > 3 ? strtoull(argv[3], NULL, 0) : 0);
        if (r >= 0)
                r = sd_bus_message_read(reply, "hst", &fd, &granted, &client);
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", error.name ? error.name : "error",
                        error.message ? error.message : strerror(-r));
                return EXIT_FAILURE;
        }

        if (fcntl(fd, F_GETFL) & O_NONBLOCK)
                fputs("the descriptor is non-blocking\n", stderr);
        fprintf(stderr, "granted: %s\n", granted);

        struct pollfd polled[] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
        while (poll(polled, 2, -1) >= 0) {
                if (polled[0].revents && !copy(fd, STDOUT_FILENO))
                        break;
                if (polled[1].revents && !copy(STDIN_FILENO, fd))
                        polled[1].fd = -1;
        }

        sd_bus_message_unref(reply);
        sd_bus_close_unref(bus);
        return EXIT_SUCCESS;
}
