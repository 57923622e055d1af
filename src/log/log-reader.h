/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/hash-table.h"
#include "console/ring.h"
#include "log-channel.h"

/*
 * LogReader: reads what one console says, for one sink of vspc-logger's. It is a reader of the console's ring that may lag and
 * that nobody waits for: it holds what has not been acknowledged (ring_hold()), so that it can be sent again, but no more than
 * its bounds, all readers of a backlog together LOG_BACKLOG_MAX, and one of them at most LOG_LAG_MAX, or one part in
 * LOG_BACKLOG_SHARE of what is left if that is less: a thousand VMs that shout leave room for one that whispers. Beyond that
 * the oldest half is given up. What of it has not been sent is a gap, and vspc-logger is told where it is and how large.
 *
 * What a console says under one name is a LogStream. What is said under another name is another stream, after it.
 */
#define LOG_BACKLOG_MAX (64U * 1024U * 1024U)
#define LOG_LAG_MAX (256U * 1024U)
#define LOG_BACKLOG_SHARE 16U

/* Bytes of one reader that are to be sent at once: there would soon be no room for more. */
#define LOG_LAG_URGENT (LOG_LAG_MAX / 4)

/* Streams of a reader that have not been acknowledged */
#define LOG_STREAMS_MAX 16U

typedef struct LogReader LogReader;
typedef struct LogStream LogStream;

/* What the readers for one sink share. */
typedef struct LogBacklog {
        uint64_t size;       /* bytes that the readers hold, of LOG_BACKLOG_MAX */
        uint64_t n_streams;  /* ever: their numbers */
        LogStream *streams;  /* hash table of those that have not been acknowledged, by number */
        LogReader *waiting;  /* utlist: readers that have something to send */

        /* The reader needs less of its ring, or nothing any more (it is idle). */
        void (*released)(LogReader *r);
} LogBacklog;

struct LogStream {
        UT_hash_handle handle;
        LogStream *prev, *next; /* in LogReader.streams */
        LogReader *reader;
        uint64_t id;
        uint64_t begin, end; /* positions; end is UINT64_MAX as long as it goes on */
        bool opened, closed; /* vspc-logger has been sent that, on this connection */
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

        /* Positions: acked <= held, acked <= taken <= sent. What is between `sent` and `held` is a gap. It is sent once
         * all before has been taken: however long vspc-logger is kept, there is one gap. */
        uint64_t acked; /* all before has been logged or reported as missing */
        uint64_t taken; /* vspc-logger has read all before, on this connection */
        uint64_t held;  /* from here on the ring has what is to be sent */
        uint64_t sent;  /* all before has been sent on this connection */
        uint64_t size;  /* of LogBacklog.size */
};

void log_reader_init(LogReader *r, LogBacklog *backlog, const Ring *ring);

/* Forgets all streams, whether they have been acknowledged or not. */
void log_reader_done(LogReader *r);

/* What the console says from @position on, which is the end of its ring or not long before, is a stream of its own. The one
 * before ends. Copies @open. Returns: 0; -ENOBUFS if it has LOG_STREAMS_MAX already; -ENOMEM. */
int log_reader_begin(LogReader *r, uint64_t position, const LogOpen *open);

/* Nothing more comes after what is in the ring now. */
void log_reader_end(LogReader *r);

/* The stream that what is said now belongs to; NULL: none. */
const LogOpen *log_reader_current(const LogReader *r);

/* The console has said something. Returns: whether it is high time to send it. */
bool log_reader_output(LogReader *r);

static inline bool log_reader_is_idle(const LogReader *r) {
        return !r->streams;
}

/* Puts the next that is to be sent into @m, as far as there is room. Returns: whether that is all for now. */
bool log_reader_fill(LogReader *r, LogMessage *m);

/* The connection has been lost: all that has not been acknowledged is sent again. */
void log_backlog_restart(LogBacklog *b);

/* vspc-logger says that it has logged something. Returns: 0, or -EPROTO if it has not been sent that. */
int log_backlog_acknowledged(LogBacklog *b, const LogRecord *record, const LogPlace *place);
