/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/hash-table.h"
#include "console/ring.h"
#include "log-channel.h"

/*
 * LogReader: reads the output of one console from its ring, for one sink of vspc-logger. The console never waits for it. It
 * holds the output that has not been acknowledged (ring_hold()), so that it can be sent again, within limits: all readers of a
 * backlog together LOG_BACKLOG_MAX, and one reader LOG_LAG_MAX, or 1/LOG_BACKLOG_SHARE of what is left if that is less, so
 * that there is room for a quiet VM whatever the others write. At its limit a reader drops the older half. If that has not
 * been sent, it is a gap, and vspc-logger is sent the position and the size of the gap.
 *
 * Output under one name is a LogStream. Output under another name is the next stream. At most LOG_STREAMS_MAX streams of a
 * reader wait to be acknowledged; then the last of them goes on, whatever name is asked for.
 */
#define LOG_BACKLOG_MAX (64U * 1024U * 1024U)
#define LOG_LAG_MAX (256U * 1024U)
#define LOG_BACKLOG_SHARE 16U

/* A reader with this number of bytes to send is urgent: it will soon be at its limit. */
#define LOG_LAG_URGENT (LOG_LAG_MAX / 4)

#define LOG_STREAMS_MAX 16U

typedef struct LogReader LogReader;
typedef struct LogStream LogStream;

/* What the readers for one sink share */
typedef struct LogBacklog {
        uint64_t size;       /* bytes that the readers hold, of LOG_BACKLOG_MAX */
        uint64_t n_streams;  /* so far, which is the number of the last stream */
        LogStream *streams;  /* hash table, by number: streams that have not been acknowledged */
        LogReader *waiting;  /* utlist: readers that have something to send */

        /* Called when a reader needs less of its ring, or nothing (it is idle). */
        void (*released)(LogReader *r);
} LogBacklog;

struct LogStream {
        UT_hash_handle handle;
        LogStream *prev, *next; /* in LogReader.streams */
        LogReader *reader;
        uint64_t id;
        uint64_t begin, end; /* positions; end is UINT64_MAX as long as it goes on */
        bool opened, closed; /* OPEN and CLOSE have been sent on this connection */
        LogOpen open; /* the texts are behind the stream */
        char text[];
};

struct LogReader {
        LogBacklog *backlog;
        const Ring *ring;
        LogReader *prev, *next; /* in LogBacklog.waiting, if it waits */
        bool waiting;

        LogStream *streams; /* utlist, the oldest first: those that have not been acknowledged */
        LogStream *sending; /* of these; NULL: all have been sent */
        unsigned n_streams;

        /* Positions: acked <= held, acked <= taken <= sent. If sent < held, the bytes between them are a gap. A gap is not
         * sent before everything else has been taken, so that there is a single gap however long vspc-logger is blocked. */
        uint64_t acked; /* everything before has been logged, or reported as missing */
        uint64_t taken; /* vspc-logger has read everything before, on this connection */
        uint64_t held;  /* the ring has everything from here on */
        uint64_t sent;  /* everything before has been sent on this connection */
        uint64_t size;  /* of LogBacklog.size */
};

void log_reader_init(LogReader *r, LogBacklog *backlog, const Ring *ring);

/* Forgets all streams, whether they have been acknowledged or not. */
void log_reader_done(LogReader *r);

/* Begins a stream at @position, which is at the end of the ring or not long before. The previous stream ends there. Copies
 * @open. If there are LOG_STREAMS_MAX streams, the last one goes on instead from where it ended. Returns: 0 or -ENOMEM. */
int log_reader_begin(LogReader *r, uint64_t position, const LogOpen *open);

/* Ends the current stream at the end of the ring. */
void log_reader_end(LogReader *r);

/* The stream that new output belongs to; NULL: none */
const LogOpen *log_reader_current(const LogReader *r);

/* Must be called after each output of the console while the reader is not idle, also for output that is not logged: keeps the
 * reader within its limit. Returns: whether it is urgent to send (LOG_LAG_URGENT). */
bool log_reader_output(LogReader *r);

static inline bool log_reader_is_idle(const LogReader *r) {
        return !r->streams;
}

/* Adds records to @m, as many as fit. Returns: whether there is nothing left to send for now. */
bool log_reader_fill(LogReader *r, LogMessage *m);

/* Must be called when the connection has been lost: sends everything again that has not been acknowledged. */
void log_backlog_restart(LogBacklog *b);

/* Handles ACK or CLOSED. Returns: 0; or -EPROTO if it acknowledges bytes that have not been sent. */
int log_backlog_acknowledged(LogBacklog *b, const LogRecord *record, const LogPlace *place);
