/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "telnet/codec.h"

/*
 * Trace: the events of a telnet stream as text, such as
 *
 *     WILL 37 | SB 232 <{46}Svspc> | <login: {ff}> | BRK
 *
 * Adjacent data is one item, even if it came in several events, so that traces of the same stream are equal no matter
 * how it was split. Bytes that are not printable, and < > { |, are written as {hex}.
 */
typedef struct Trace {
        char *text;
        size_t size, allocated;
        bool in_data;
        uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX]; /* see telnet_decode() */
} Trace;

static inline void trace_done(Trace *t) {
        free(t->text);
        *t = (Trace){};
}

#define _cleanup_trace_ _cleanup_(trace_done)

/* Returns: the place for @n more characters and a NUL. */
static inline char *trace_reserve(Trace *t, size_t n) {
        if (t->allocated - t->size <= n) {
                t->allocated = 2 * (t->allocated + n) + 256;
                t->text = realloc(t->text, t->allocated);
                assert(t->text);
        }

        return t->text + t->size;
}

static inline void trace_put(Trace *t, const char *s) {
        size_t n = strlen(s);

        memcpy(trace_reserve(t, n), s, n + 1);
        t->size += n;
}

static inline void trace_bytes(Trace *t, const uint8_t *p, size_t n) {
        static const char hex[] = "0123456789abcdef";
        char *s = trace_reserve(t, 4 * n);

        for (size_t i = 0; i < n; i++)
                if (p[i] < ' ' || p[i] > '~' || p[i] == '<' || p[i] == '>' || p[i] == '{' || p[i] == '|') {
                        *s++ = '{';
                        *s++ = hex[p[i] >> 4];
                        *s++ = hex[p[i] & 0xf];
                        *s++ = '}';
                } else
                        *s++ = (char) p[i];

        *s = 0;
        t->size = (size_t) (s - t->text);
}

static inline void trace_item(Trace *t) {
        if (t->in_data)
                trace_put(t, ">");
        if (t->size > 0)
                trace_put(t, " | ");
        t->in_data = false;
}

static inline void trace_data(Trace *t, const uint8_t *p, size_t n) {
        if (!t->in_data) {
                trace_item(t);
                trace_put(t, "<");
                t->in_data = true;
        }

        trace_bytes(t, p, n);
}

static inline void trace_command(Trace *t, uint8_t command) {
        static const char *const names[] = {"EOF", "SUSP", "ABORT", NULL, NULL, "NOP", "DM", "BRK", "IP", "AO", "AYT",
                                            "EC",  "EL",   "GA"};

        assert(command >= 236 && command <= 249 && names[command - 236]);
        trace_item(t);
        trace_put(t, names[command - 236]);
}

static inline void trace_negotiation(Trace *t, uint8_t command, uint8_t option) {
        static const char *const names[] = {"WILL", "WONT", "DO", "DONT"};
        char s[16];

        assert(command >= 251 && command <= 254);
        snprintf(s, sizeof s, "%s %u", names[command - 251], option);
        trace_item(t);
        trace_put(t, s);
}

static inline void trace_subnegotiation(Trace *t, uint8_t option, const uint8_t *p, size_t n) {
        char s[16];

        snprintf(s, sizeof s, "SB %u <", option);
        trace_item(t);
        trace_put(t, s);
        trace_bytes(t, p, n);
        trace_put(t, ">");
}

static inline void trace_overlong(Trace *t, uint8_t option) {
        char s[16];

        snprintf(s, sizeof s, "OVERLONG %u", option);
        trace_item(t);
        trace_put(t, s);
}

/* Returns: the text, owned by the trace. */
static inline const char *trace_finish(Trace *t) {
        if (t->in_data)
                trace_put(t, ">");
        t->in_data = false;
        return t->text ?: "";
}

static inline void trace_event(Trace *t, const TelnetEvent *e) {
        switch (e->type) {
        case TELNET_EVENT_NONE:
                break;
        case TELNET_EVENT_DATA:
                trace_data(t, e->data, e->size);
                break;
        case TELNET_EVENT_COMMAND:
                trace_command(t, e->command);
                break;
        case TELNET_EVENT_NEGOTIATION:
                trace_negotiation(t, e->command, e->option);
                break;
        case TELNET_EVENT_SUBNEGOTIATION:
                trace_subnegotiation(t, e->option, e->data, e->size);
                break;
        case TELNET_EVENT_OVERLONG:
                trace_overlong(t, e->option);
                break;
        default:
                abort();
        }
}

/* A decoder in memory that contained garbage */
static inline TelnetDecoder trace_decoder(TelnetTransmission transmission, TelnetLineEnd line_end) {
        TelnetDecoder d;

        memset(&d, 0xaa, sizeof d);
        telnet_decoder_init(&d, line_end);
        d.transmission = (uint8_t) transmission;
        return d;
}

/*
 * Decodes @n bytes as one read, and checks the contract of the decoder: it makes progress, stays within the input,
 * its data is in the input, and a subnegotiation is within its bound. The bytes are in memory of exactly their size
 * that is freed afterwards, so that a sanitizer detects reading too far or too late.
 */
static inline void trace_decode(Trace *t, TelnetDecoder *d, const uint8_t *data, size_t n) {
        _cleanup_free_ uint8_t *copy = malloc(n);
        assert(copy || n == 0);

        if (n > 0)
                memcpy(copy, data, n);

        for (size_t done = 0; done < n;) {
                size_t kept = telnet_decoder_kept(d);
                TelnetEvent e;

                memset(t->subnegotiation + kept, 0xaa, sizeof t->subnegotiation - kept);
                size_t used = telnet_decode(d, t->subnegotiation, copy + done, n - done, &e);

                assert(used > 0 && used <= n - done);
                if (e.type == TELNET_EVENT_DATA)
                        assert(e.size > 0 && e.data >= copy + done && e.data + e.size <= copy + done + used);
                if (e.type == TELNET_EVENT_SUBNEGOTIATION)
                        assert(e.size <= TELNET_SUBNEGOTIATION_MAX);
                if (e.type == TELNET_EVENT_NONE)
                        assert(used == n - done);

                trace_event(t, &e);
                done += used;
        }
}
