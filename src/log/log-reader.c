/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "log-reader.h"

/* Fewer bytes than this are sent only if there are no more. */
#define DATA_MIN 512U

void log_reader_init(LogReader *r, LogBacklog *backlog, const Ring *ring) {
        *r = (LogReader){.backlog = backlog, .ring = ring};
}

static void stream_free(LogStream *s) {
        LogReader *r = s->reader;

        if (r->sending == s)
                r->sending = s->next;
        DL_DELETE(r->streams, s);
        r->n_streams--;
        HASH_REMOVE(handle, r->backlog->streams, s);
        free(s);
}

/* The end of what can be sent now */
static uint64_t stream_end(const LogStream *s) {
        return MIN(s->end, s->reader->ring->end);
}

/* The end of what the reader holds. A ring is held up to its end, even if the last stream has ended before. */
static uint64_t reader_end(const LogReader *r) {
        return r->streams ? r->ring->end : r->held;
}

/* To be called when `held`, the ring's end, or whether there are streams has changed. */
static void reader_update_size(LogReader *r) {
        uint64_t size = reader_end(r) - r->held;

        r->backlog->size += size - r->size;
        r->size = size;
}

static void reader_hold(LogReader *r, uint64_t position) {
        r->held = position;
        reader_update_size(r);
        r->backlog->released(r);
}

static void reader_wait(LogReader *r) {
        if (!r->waiting)
                DL_APPEND(r->backlog->waiting, r);
        r->waiting = true;
}

void log_reader_done(LogReader *r) {
        if (!r->backlog)
                return;

        while (r->streams)
                stream_free(r->streams);
        reader_update_size(r);
        if (TAKE(r->waiting, false))
                DL_DELETE(r->backlog->waiting, r);
}

static const char *copy_text(char **p, const char *text) {
        char *copy = *p;

        *p = stpcpy(copy, text) + 1;
        return copy;
}

static LogStream *stream_new(LogReader *r, const LogOpen *open) {
        size_t size = strlen(open->name) + strlen(open->uuid) + strlen(open->uri) + strlen(open->prefix) + 4;
        LogStream *s = calloc(1, sizeof(LogStream) + size);
        if (!s)
                return NULL;

        char *p = s->text;
        s->reader = r;
        s->id = ++r->backlog->n_streams;
        s->end = UINT64_MAX;
        s->open = *open;
        s->open.name = copy_text(&p, open->name);
        s->open.uuid = copy_text(&p, open->uuid);
        s->open.uri = copy_text(&p, open->uri);
        s->open.prefix = copy_text(&p, open->prefix);
        if (HASH_TRY_ADD(handle, r->backlog->streams, &s->id, sizeof s->id, s) < 0) {
                free(s);
                return NULL;
        }

        return s;
}

static void end_at(LogReader *r, uint64_t position) {
        LogStream *last = r->streams ? r->streams->prev : NULL;

        if (last && last->end == UINT64_MAX)
                last->end = position;
}

int log_reader_begin(LogReader *r, uint64_t position, const LogOpen *open) {
        if (r->n_streams >= LOG_STREAMS_MAX) {
                r->streams->prev->end = UINT64_MAX;
                return 0;
        }

        LogStream *s = stream_new(r, open);
        if (!s)
                return -ENOMEM;

        end_at(r, position);
        if (!r->streams)
                r->acked = r->held = r->taken = r->sent = position;

        s->begin = position;
        DL_APPEND(r->streams, s);
        r->n_streams++;
        if (!r->sending)
                r->sending = s;
        reader_hold(r, MAX(r->held, r->ring->oldest));
        return 0;
}

void log_reader_end(LogReader *r) {
        end_at(r, r->ring->end);
        if (r->sending)
                reader_wait(r);
}

const LogOpen *log_reader_current(const LogReader *r) {
        const LogStream *last = r->streams ? r->streams->prev : NULL;

        return last && last->end == UINT64_MAX ? &last->open : NULL;
}

bool log_reader_output(LogReader *r) {
        const LogBacklog *b = r->backlog;

        reader_update_size(r);
        uint64_t others = b->size - r->size, left = LOG_BACKLOG_MAX - MIN(others, (uint64_t) LOG_BACKLOG_MAX);
        uint64_t max = MIN((uint64_t) LOG_LAG_MAX, left / LOG_BACKLOG_SHARE);

        if (r->size > max)
                reader_hold(r, reader_end(r) - max / 2);
        reader_wait(r);
        return reader_end(r) - r->sent >= LOG_LAG_URGENT;
}

static bool put_gap(LogReader *r, LogMessage *m, uint64_t end) {
        const LogRecord gap = {
                .type = LOG_GAP,
                .stream = r->sending->id,
                .position = r->sent,
                .count = end - r->sent,
        };

        if (!log_message_add(m, &gap, 0))
                return false;

        r->sent = end;
        return true;
}

/* Returns: whether the message has room for more. */
static bool put_data(LogReader *r, LogMessage *m, uint64_t end) {
        const LogRecord data = {.type = LOG_DATA, .stream = r->sending->id, .position = r->sent};
        size_t space = log_message_space(m), n = MIN(end - r->sent, space);

        if (n < MIN(end - r->sent, (uint64_t) DATA_MIN))
                return false;

        ring_read(r->ring, r->sent, log_message_add(m, &data, n), n);
        r->sent += n;
        return r->sent == end;
}

bool log_reader_fill(LogReader *r, LogMessage *m) {
        for (LogStream *s = r->sending; s; s = r->sending) {
                uint64_t end = stream_end(s), begin = MIN(r->held, end);

                r->sent = MAX(r->sent, s->begin);
                if (r->sent == end && s->end == UINT64_MAX)
                        return true;
                if (!s->opened) {
                        if (log_message_add_open(m, s->id, r->sent, &s->open) < 0)
                                return false;
                        s->opened = true;
                }
                if (r->sent < begin && r->taken < r->sent)
                        return true; /* the gap may grow */
                if (r->sent < begin && !put_gap(r, m, begin))
                        return false;
                if (r->sent < end && !put_data(r, m, end))
                        return false;
                if (s->end == UINT64_MAX || (!s->next && r->n_streams >= LOG_STREAMS_MAX)) /* may have to go on */
                        return true;
                if (!log_message_add(m, &(LogRecord){.type = LOG_CLOSE, .stream = s->id, .position = s->end}, 0))
                        return false;

                s->closed = true;
                r->sending = s->next;
        }

        return true;
}

void log_backlog_restart(LogBacklog *b) {
        LogStream *s, *next;

        HASH_ITER(handle, b->streams, s, next) {
                s->opened = s->closed = false;
                s->reader->taken = s->reader->sent = s->reader->acked;
                s->reader->sending = s->reader->streams;
                reader_wait(s->reader);
        }
}

int log_backlog_acknowledged(LogBacklog *b, const LogRecord *record, const LogPlace *place) {
        LogStream *s;

        HASH_FIND(handle, b->streams, &record->stream, sizeof record->stream, s);
        if (!s) /* its reader is gone */
                return 0;

        LogReader *r = s->reader;
        bool closed = record->type == LOG_CLOSED;
        if (s != r->streams || record->position < r->acked || record->position > MIN(r->sent, s->end) ||
            record->count < record->position || record->count > MIN(r->sent, s->end) ||
            (closed && (!s->closed || record->position != s->end)))
                return -EPROTO;

        r->acked = record->position;
        r->taken = record->count;
        s->open.place = *place;
        if (closed)
                stream_free(s);
        if (r->streams) { /* output between the two streams was not to be logged */
                r->acked = MAX(r->acked, r->streams->begin);
                r->taken = MAX(r->taken, r->streams->begin);
        }
        if (closed || (r->taken >= r->sent && r->sent < reader_end(r)))
                reader_wait(r);
        reader_hold(r, MAX(r->held, r->acked));
        return 0;
}
