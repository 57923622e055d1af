/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/un.h>
#include <systemd/sd-event.h>

#include "basic/time.h"

/*
 * Helper: a connection to one of our helper processes, vspc-hooks or vspc-logger. systemd listens at its socket
 * (SOCK_SEQPACKET) and starts the process when vspcd connects. The owner calls helper_connect() whenever it has something to
 * send. If it cannot connect now, the owner is called when it is time to try again. Nothing waits.
 */
typedef struct Helper Helper;

struct Helper {
        sd_event *loop;
        struct sockaddr_un address;
        int fd; /* -1: not connected */
        sd_event_source *source, *retry_timer;
        usec_t not_before; /* when it may be connected to again, CLOCK_MONOTONIC */
        sd_event_io_handler_t on_io;
        void *userdata;
};

/* The socket is $@variable, or @path if that is not set. Does not connect yet. @on_io: called for events on the connection, at
 * first only EPOLLIN. @on_retry: called when it is time to call helper_connect() again. Returns: 0, -ENAMETOOLONG if the path
 * is too long for a socket, or another negative errno. */
int helper_init(Helper *h, sd_event *loop, const char *variable, const char *path, sd_event_io_handler_t on_io,
                sd_event_time_handler_t on_retry, void *userdata);
void helper_done(Helper *h);

/* Connects if it is not connected. Returns: 1 if there is a connection; 0 if it is too early to try; or a negative errno. If
 * there is no connection, on_retry() will be called. */
int helper_connect(Helper *h);

/* Closes the connection, if there is one. The next connection is made at least 200 ms after this one was. */
void helper_close(Helper *h);

/* The helper does not work: waits five seconds before the next connection. */
void helper_back_off(Helper *h);
