/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/un.h>
#include <systemd/sd-event.h>

#include "basic/time.h"

/*
 * Helper: the connection to a helper process of ours, which listens at a socket of systemd's (SOCK_SEQPACKET) and is started
 * by connecting to it. Its owner asks for a connection whenever it has something to say. If there cannot be one now, the
 * owner is called when it is time to try again. Nothing waits.
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

/* The helper's end of the socket is $@variable if that is set, or else @path; it is not connected to yet. @on_io: what the
 * connection is ready for, at first EPOLLIN. @on_retry: it is time to call helper_connect() again. Returns: 0,
 * -ENAMETOOLONG if the path does not fit into an address, or another negative errno. */
int helper_init(Helper *h, sd_event *loop, const char *variable, const char *path, sd_event_io_handler_t on_io,
                sd_event_time_handler_t on_retry, void *userdata);
void helper_done(Helper *h);

/* Connects unless it is connected. Returns: 1 if there is a connection; 0 if it is too early to try, and on_retry() will be
 * called; or a negative errno, after which on_retry() will be called, too. */
int helper_connect(Helper *h);

/* Ends the connection, if there is one. The next is not made within 200 ms of this one. */
void helper_close(Helper *h);

/* The helper cannot do its work: the next connection is made in five seconds. */
void helper_back_off(Helper *h);

/* In the helper: the listening socket that systemd has passed. @name: the program, for messages. Returns: its descriptor, or a
 * negative errno, which has been logged. */
int helper_receive_socket(const char *name);
