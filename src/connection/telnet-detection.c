/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "telnet-detection.h"

/* The first bytes of a raw peer are only kept if they contain a complete command of our offers (IAC WILL option). */
#define LATE_BEGINNING_MIN 3U

void telnet_detection_init(TelnetConnection *t, TelnetDetection *d, TimeoutQueue *timeouts) {
        d->connection = t;
        d->timeouts = timeouts;
        t->record.reading = (TelnetReading){.after_silence = true}; /* nothing has been received */
        d->unread = BUFFER_INIT(TELNET_UNREAD_MAX);
        t->detection = d;
}

static void start_timeout(TelnetConnection *t, TelnetTimeout timeout) {
        timeout_start(&t->detection->timeouts[timeout], &t->detection->timeout);
}

void telnet_detection_begin(TelnetConnection *t) {
        t->record.mode = TELNET_MODE_UNDECIDED;
        start_timeout(t, TELNET_TIMEOUT_DETECTION);
}

void telnet_detection_stop(TelnetConnection *t) {
        timeout_stop(&t->detection->timeout);
        timeout_stop(&t->detection->silence);
        buffer_clear(&t->detection->unread);
}

bool telnet_detection_is_under_way(const TelnetConnection *t) {
        return t->record.mode == TELNET_MODE_UNDECIDED || t->record.reading.awaits_binary;
}

/* Restarts `silence`, which elapses if nothing arrives within TELNET_SILENCE_USEC. */
static void await_silence(TelnetConnection *t) {
        if (t->record.mode != TELNET_MODE_TELNET)
                timeout_start_now(&t->detection->timeouts[TELNET_TIMEOUT_SILENCE], &t->detection->silence);
}

/* Returns: whether the kept bytes may be the beginning of a command or break. Then they wait for more bytes. */
static bool unread_is_open(const TelnetConnection *t) {
        const TelnetDetection *d = t->detection;
        const TelnetReading *reading = &t->record.reading;

        if (t->record.ended || d->unread.size == 0 || buffer_data(&d->unread)[0] != TELNET_IAC)
                return false;
        if (t->record.mode != TELNET_MODE_TELNET && d->timeout.queue)
                return !reading->begins_with_break;

        /* The second half of a break may follow. */
        return t->record.mode == TELNET_MODE_RAW && reading->after_silence && d->unread.size == 1;
}

/* The mode must be found out even while the owner takes nothing: people also connect to VMs that hang, to read their last
 * output. */
bool telnet_detection_needs_more(const TelnetConnection *t) {
        const TelnetDetection *d = t->detection;

        return t->record.mode == TELNET_MODE_UNDECIDED && (d->unread.size == 0 || unread_is_open(t)) &&
               d->unread.size < TELNET_PREFIX_MAX;
}

void telnet_detection_watch(TelnetConnection *t, bool reading) {
        TelnetDetection *d = t->detection;

        /* While nothing is read, it is unknown whether the peer is silent. Kept bytes arrived before that. */
        if (reading)
                await_silence(t);
        else if (d->unread.size == 0)
                t->record.reading.after_silence = false;
}

size_t telnet_detection_space(TelnetConnection *t) {
        const TelnetDetection *d = t->detection;

        /* While the owner takes nothing, bytes are only read to find out what the peer speaks. */
        if (t->wants != TELNET_WANTS_DATA)
                return TELNET_PREFIX_MAX - MIN(d->unread.size, (size_t) TELNET_PREFIX_MAX);

        size_t space = t->handler->space(t);

        /* A break must be read in one piece; one more byte shows whether anything follows it. */
        if (t->record.mode != TELNET_MODE_TELNET && t->record.reading.after_silence)
                space = MAX(space, (size_t) TELNET_BREAK_MAX + 1);

        /* The kept bytes need space, too. */
        return d->unread.size > 0 ? MAX(space, d->unread.size + 1) - d->unread.size : space;
}

int telnet_detection_keep(TelnetConnection *t, const void *data, size_t n) {
        return buffer_append(&t->detection->unread, data, n);
}

static int take_telnet(TelnetConnection *t, uint8_t *p, size_t n) {
        TelnetReading *reading = &t->record.reading;

        if (t->handler->takes_whole && !reading->cut && t->handler->takes_whole(t, p, n))
                return 0;

        int r = telnet_connection_receive(t, p, n);
        if (reading->awaits_binary &&
            telnet_option_state(&t->record.session.options, TELNET_US, TELNET_BINARY) != TELNET_Q_WANTYES) {
                reading->awaits_binary = false;
                timeout_stop(&t->detection->timeout);
        }

        return r;
}

/* Takes the breaks at the beginning of *p. Returns: 0 or a verdict. */
static int take_breaks(TelnetConnection *t, uint8_t **p, size_t *n) {
        size_t length = telnet_breaks_length(*p, *n);
        int r = 0;

        for (size_t i = 0; i < length && r == 0; i += 2)
                r = t->handler->command(t, TELNET_BRK);

        *p += length;
        *n -= length;
        return r;
}

/* Takes as much of @p as there is space for. *ret_left: the number of bytes that are left */
static int take_some(TelnetConnection *t, uint8_t *p, size_t n, size_t space, size_t *ret_left) {
        *ret_left = n;
        if (TAKE(t->record.reading.begins_with_break, false))
                return take_breaks(t, &p, ret_left);

        n = MIN(n, space);
        *ret_left -= n;
        return t->record.mode == TELNET_MODE_TELNET ? take_telnet(t, p, n) : t->handler->data(t, p, n);
}

int telnet_detection_deliver(TelnetConnection *t) {
        TelnetDetection *d = t->detection;
        size_t space;
        int r = 0;

        if (unread_is_open(t))
                return 0;

        /* Bytes that remain must stay before later ones. */
        Buffer unread = TAKE(d->unread, BUFFER_INIT(TELNET_UNREAD_MAX));
        while (r == 0 && unread.size > 0 && (space = t->handler->space(t)) > 0) {
                size_t left;

                r = take_some(t, (uint8_t *) buffer_data(&unread), unread.size, space, &left);
                buffer_consume(&unread, unread.size - left);
        }

        if (r != 0)
                buffer_clear(&unread);
        d->unread = unread;
        return r;
}

size_t telnet_detection_waiting(const TelnetConnection *t) {
        return unread_is_open(t) ? 0 : t->detection->unread.size;
}

void telnet_detection_forget(TelnetConnection *t) {
        if (unread_is_open(t))
                return;

        buffer_clear(&t->detection->unread);
        t->record.reading.begins_with_break = false;
}

static void become_raw(TelnetConnection *t) {
        timeout_stop(&t->detection->timeout);
        t->record.mode = TELNET_MODE_RAW;
        t->record.reading.late = true;
        t->record.session.out.transmission = TELNET_RAW;
        t->handler->detected(t);
}

static void become_telnet(TelnetConnection *t) {
        t->record.reading.awaits_binary = true;
        start_timeout(t, TELNET_TIMEOUT_BINARY);
        timeout_stop(&t->detection->silence);
        t->record.mode = TELNET_MODE_TELNET;
        t->record.session.out.transmission = TELNET_NVT;
        t->handler->detected(t);
}

int telnet_detection_decide(TelnetConnection *t) {
        TelnetDetection *d = t->detection;
        TelnetReading *reading = &t->record.reading;
        TelnetReadFlags flags = reading->late ? TELNET_READ_LATE : 0;

        if (t->record.mode == TELNET_MODE_TELNET || (t->record.mode == TELNET_MODE_RAW && d->unread.size == 0))
                return 0;

        reading->begun |= d->unread.size > 0;
        if (d->unread.size > 0 && !reading->begins_with_break &&
            telnet_recognize(&t->record.session.options, flags, buffer_data(&d->unread), d->unread.size) == TELNET_RECOGNIZED)
                become_telnet(t);
        else
                become_raw(t);

        return telnet_detection_deliver(t);
}

/* Takes bytes that are not telnet. @has_breaks: they begin with breaks, see TELNET_BREAK. */
static int take_raw(TelnetConnection *t, uint8_t *p, size_t n, bool has_breaks) {
        TelnetReading *reading = &t->record.reading;

        reading->after_silence = false;
        if (t->wants != TELNET_WANTS_DATA) {
                reading->begins_with_break = has_breaks;
                reading->late |= !has_breaks;
                return telnet_detection_keep(t, p, n);
        }

        int r = has_breaks ? take_breaks(t, &p, &n) : 0;
        if (r != 0 || n == 0)
                return r;

        reading->late = true;
        return t->handler->data(t, p, n);
}

/* Returns: whether these bytes, which may be the beginning of a command, may be kept. From a raw peer, only an IAC that may be
 * the first half of a break is kept. */
static bool may_keep(const TelnetConnection *t, size_t n) {
        return t->record.mode == TELNET_MODE_UNDECIDED ? n <= TELNET_PREFIX_MAX : n == 1 && t->record.reading.after_silence;
}

/* Checks whether the peer's first bytes are our own offers. If more bytes are needed to decide, they are kept, and *n is set
 * to 0. */
static int take_beginning(TelnetConnection *t, uint8_t **p, size_t *n) {
        TelnetDetection *d = t->detection;
        size_t size;
        TelnetRecognition recognition = telnet_recognize_offers(t->policy, *p, *n, &size);

        if (recognition == TELNET_MAYBE && (t->record.mode == TELNET_MODE_UNDECIDED || *n >= LATE_BEGINNING_MIN)) {
                if (t->record.mode == TELNET_MODE_RAW)
                        start_timeout(t, TELNET_TIMEOUT_DETECTION);
                return telnet_detection_keep(t, *p, TAKE(*n, 0));
        }

        t->record.reading.begun = true;
        if (t->record.mode == TELNET_MODE_RAW)
                timeout_stop(&d->timeout);
        if (recognition == TELNET_RECOGNIZED) {
                t->record.reading.joined = true;
                *p += size;
                *n -= size;
                become_raw(t);
        }

        return 0;
}

static int take_unrecognized(TelnetConnection *t, uint8_t *p, size_t n, bool cut) {
        TelnetReading *reading = &t->record.reading;
        TelnetReadFlags flags = (reading->late ? TELNET_READ_LATE : 0) | (cut ? TELNET_READ_CUT : 0) |
                                (reading->after_silence ? TELNET_READ_AFTER_SILENCE : 0);

        if (!reading->begun) {
                int r = take_beginning(t, &p, &n);
                if (r != 0 || n == 0)
                        return r;
        }

        TelnetRecognition recognition = reading->joined ? TELNET_NOT_RECOGNIZED
                                                        : telnet_recognize(&t->record.session.options, flags, p, n);
        if (recognition == TELNET_RECOGNIZED) {
                become_telnet(t);
                return take_telnet(t, p, n);
        }
        if (recognition == TELNET_MAYBE && may_keep(t, n))
                return telnet_detection_keep(t, p, n);

        return take_raw(t, p, n, recognition == TELNET_BREAK);
}

/* The same for the kept bytes followed by @p */
static int take_joined(TelnetConnection *t, const uint8_t *p, size_t n, bool cut) {
        Buffer *unread = &t->detection->unread;
        size_t size = unread->size + n;
        _cleanup_free_ uint8_t *joined = malloc(size);
        if (!joined)
                return -ENOMEM;

        memcpy(mempcpy(joined, buffer_data(unread), unread->size), p, n);
        buffer_clear(unread);
        return take_unrecognized(t, joined, size, cut);
}

int telnet_detection_take(TelnetConnection *t, uint8_t *data, size_t n, bool cut) {
        TelnetDetection *d = t->detection;

        await_silence(t);
        bool continues = TAKE(t->record.reading.cut, cut) && t->record.reading.late && d->unread.size == 0;

        if (t->record.mode == TELNET_MODE_TELNET)
                return take_telnet(t, data, n);
        if (continues) /* the middle of a long transfer is data, whatever it looks like */
                return take_raw(t, data, n, false);

        return d->unread.size > 0 ? take_joined(t, data, n, cut) : take_unrecognized(t, data, n, cut);
}

int telnet_detection_end(TelnetConnection *t) {
        int r = t->record.mode == TELNET_MODE_UNDECIDED ? telnet_detection_decide(t) : 0;

        return r == 0 && t->detection->unread.size <= t->handler->space(t) ? telnet_detection_deliver(t) : r;
}

void telnet_detection_binary_elapsed(Timeout *timeout) {
        TelnetConnection *t = container_of(timeout, TelnetDetection, timeout)->connection;

        t->record.reading.awaits_binary = false;
        telnet_connection_report(t, 0, 0);
}

void telnet_detection_silence_elapsed(Timeout *timeout) {
        TelnetDetection *d = container_of(timeout, TelnetDetection, silence);
        TelnetConnection *t = d->connection;
        TelnetReading *reading = &t->record.reading;

        if (!t->stream.reading)
                return;

        /* The event loop was busy and has not read these bytes yet, so there may have been no silence. */
        if (stream_has_unread(&t->stream)) {
                await_silence(t);
                return;
        }

        /* Nothing has followed the last read, so an incomplete command in it is data. */
        reading->cut = reading->after_silence = false;
        int r = telnet_detection_deliver(t);
        reading->after_silence = d->unread.size == 0;
        telnet_connection_report(t, r, 0);
}
