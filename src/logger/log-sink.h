/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/hash-table.h"
#include "basic/time.h"
#include "console-label.h"
#include "log/log-channel.h"

/*
 * LogSink: the destination of logs, the journal or files. It serves one connection of vspcd at a time, in the thread of that
 * connection, which may block: meanwhile output waits in the socket, and then in vspcd. After each message it acknowledges
 * what has been written.
 *
 * A LogTarget is the state of one stream. The next data or gap begins at the target's `position`.
 */
typedef struct LogSink LogSink;
typedef struct LogTarget LogTarget;

/* Streams of a connection */
#define LOG_TARGETS_MAX (256U * 1024U)

typedef struct LogSinkType {
        size_t target_size;

        /* Prepares a target, whose common part is set and whose other fields are zero. Returns: 0 or a negative errno. */
        int (*open)(LogSink *s, LogTarget *t, const LogOpen *open);

        /* Writes the next @n bytes, or takes in that they are missing. */
        void (*write)(LogSink *s, LogTarget *t, const uint8_t *data, size_t n);
        void (*gap)(LogSink *s, LogTarget *t, uint64_t n);

        /* The stream ends: writes what has been kept. */
        void (*end)(LogSink *s, LogTarget *t);

        /* Frees what the target has. */
        void (*close)(LogSink *s, LogTarget *t);

        /* Called after each message. @begun: when the sink began to write it. Returns: when at the latest it wants to be
         * called again. */
        usec_t (*idle)(LogSink *s, usec_t begun, usec_t now);

        /* Files may have been renamed: closes them. */
        void (*reopen)(LogSink *s);
} LogSinkType;

struct LogTarget {
        UT_hash_handle handle;
        uint64_t id;
        ConsoleLabel *label;
        uint64_t position; /* of the next byte */

        LogTarget *prev, *next; /* in LogSink.news, if `is_news` */
        bool is_news;
        bool ended;
        uint64_t logged; /* everything before need not be sent again */
        LogPlace place;
};

struct LogSink {
        const LogSinkType *type;
        LogTarget *targets; /* hash table, by id */
        LogTarget *news;    /* utlist: targets with something to acknowledge */
        LogMessage in, out;
        int fd;       /* the connection; -1: none */
        int wake_fd;  /* eventfd: something is asked for */
        int error;    /* that vspcd is told of: negative errno, or 0 */
        bool reopen;  /* atomic: asked for */
        bool stopping; /* atomic: likewise */
};

int log_sink_init(LogSink *s, const LogSinkType *type);
void log_sink_done(LogSink *s);

/* Serves the connection @fd until vspcd ends it or log_sink_stop() is called. */
void log_sink_serve(LogSink *s, int fd);

/* Called from another thread. After log_sink_stop() the sink acknowledges what it is writing and ends; vspcd sends the rest to
 * the next vspc-logger. */
void log_sink_reopen(LogSink *s);
void log_sink_stop(LogSink *s);

/* For types: everything before @position need not be sent again. */
void log_sink_logged(LogSink *s, LogTarget *t, uint64_t position);

/* For types: sends all acknowledgements now. */
void log_sink_acknowledge(LogSink *s);

/* For types: tells vspcd that writing fails (a negative errno), or works again (0). */
void log_sink_set_error(LogSink *s, int error);
