/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "codec.h"

typedef enum TelnetDecoderState {
        STATE_DATA,
        STATE_CR,                 /* NVT: CR has been delivered, LF or NUL may belong to it */
        STATE_IAC,
        STATE_NEGOTIATION,        /* after IAC WILL/WONT/DO/DONT */
        STATE_SUBNEGOTIATION,     /* after IAC SB: the option */
        STATE_SUBNEGOTIATION_DATA,
        STATE_SUBNEGOTIATION_IAC,
} TelnetDecoderState;

typedef enum TelnetOwes {
        OWES_NOTHING,
        OWES_IAC, /* the second of two IACs */
        OWES_NUL, /* after CR, unless LF is next */
} TelnetOwes;

void telnet_decoder_init(TelnetDecoder *d, TelnetLineEnd line_end) {
        *d = (TelnetDecoder){.transmission = TELNET_NVT, .line_end = (uint8_t) line_end};
}

/* When searching for the next of two bytes, the search for one runs past the other: input full of CRs would be searched
 * to its end for IAC at each CR. So the search is limited to this number of bytes. */
#define NVT_WINDOW 512U

/* Data up to the next IAC; in NVT also up to and including the next CR, because its meaning depends on the next
 * byte. */
static size_t decode_data(TelnetDecoder *d, const uint8_t *p, size_t n, TelnetEvent *ret) {
        if (d->transmission == TELNET_NVT)
                n = MIN(n, (size_t) NVT_WINDOW);

        const uint8_t *iac = memchr(p, TELNET_IAC, n);
        size_t size = iac ? (size_t) (iac - p) : n;
        const uint8_t *cr = d->transmission == TELNET_NVT ? memchr(p, '\r', size) : NULL;

        if (cr) {
                size = (size_t) (cr - p) + 1;
                d->state = STATE_CR;
        } else if (size == 0) {
                d->state = STATE_IAC;
                return 1;
        }

        *ret = (TelnetEvent){.type = TELNET_EVENT_DATA, .data = p, .size = size};
        return size;
}

/* A subnegotiation that is too long is reported at once, because its end may never come. */
static void subnegotiation_add(TelnetDecoder *d, uint8_t *subnegotiation, const uint8_t *p, size_t n, TelnetEvent *ret) {
        if (d->overlong)
                return;

        if (n > TELNET_SUBNEGOTIATION_MAX - d->size) {
                d->overlong = true;
                *ret = (TelnetEvent){.type = TELNET_EVENT_OVERLONG, .option = d->option};
                return;
        }

        memcpy(subnegotiation + d->size, p, n);
        d->size = (uint16_t) (d->size + n);
}

static size_t decode_subnegotiation_data(TelnetDecoder *d, uint8_t *subnegotiation, const uint8_t *p, size_t n,
                                         TelnetEvent *ret) {
        const uint8_t *iac = memchr(p, TELNET_IAC, n);

        if (!iac) {
                subnegotiation_add(d, subnegotiation, p, n, ret);
                return n;
        }

        size_t size = (size_t) (iac - p);

        /* The usual case needs no copy: the whole subnegotiation is in this read, and no IAC was doubled. */
        if (d->size == 0 && size + 1 < n && p[size + 1] == TELNET_SE && size <= TELNET_SUBNEGOTIATION_MAX &&
            !d->overlong) {
                *ret = (TelnetEvent){
                        .type = TELNET_EVENT_SUBNEGOTIATION, .option = d->option, .data = p, .size = size};
                d->state = STATE_DATA;
                return size + 2;
        }

        subnegotiation_add(d, subnegotiation, p, size, ret);
        d->state = STATE_SUBNEGOTIATION_IAC;
        return size + 1;
}

static void end_subnegotiation(TelnetDecoder *d, const uint8_t *subnegotiation, TelnetEvent *ret) {
        d->state = STATE_DATA;
        if (d->overlong)
                return;

        *ret = (TelnetEvent){
                .type = TELNET_EVENT_SUBNEGOTIATION,
                .option = d->option,
                .data = subnegotiation,
                .size = d->size,
        };
}

/* A byte after IAC, outside of a subnegotiation. */
static size_t decode_command(TelnetDecoder *d, const uint8_t *p, TelnetEvent *ret) {
        d->state = STATE_DATA;

        switch (*p) {

        case TELNET_IAC:
                *ret = (TelnetEvent){.type = TELNET_EVENT_DATA, .data = p, .size = 1};
                break;

        case TELNET_WILL ... TELNET_DONT:
                d->command = *p;
                d->state = STATE_NEGOTIATION;
                break;

        case TELNET_SB:
                d->state = STATE_SUBNEGOTIATION;
                break;

        case TELNET_EOF ... TELNET_ABORT:
        case TELNET_NOP ... TELNET_GA:
                *ret = (TelnetEvent){.type = TELNET_EVENT_COMMAND, .command = *p};
                break;

        default: /* SE without SB, or no command at all */
                break;
        }

        return 1;
}

size_t telnet_decode(TelnetDecoder *d, uint8_t subnegotiation[static TELNET_SUBNEGOTIATION_MAX], const uint8_t *p, size_t n,
                     TelnetEvent *ret) {
        size_t used = 0;

        *ret = (TelnetEvent){};

        while (used < n && ret->type == TELNET_EVENT_NONE) {
                const uint8_t *q = p + used;
                size_t left = n - used;

                switch ((TelnetDecoderState) d->state) {

                case STATE_DATA:
                        used += decode_data(d, q, left, ret);
                        break;

                case STATE_CR:
                        d->state = STATE_DATA;
                        if (*q == 0 || (*q == '\n' && d->line_end == TELNET_CR_LF_IS_CR))
                                used++;
                        break;

                case STATE_IAC:
                        used += decode_command(d, q, ret);
                        break;

                case STATE_NEGOTIATION:
                        *ret = (TelnetEvent){
                                .type = TELNET_EVENT_NEGOTIATION, .command = d->command, .option = *q};
                        d->state = STATE_DATA;
                        used++;
                        break;

                case STATE_SUBNEGOTIATION:
                        d->option = *q;
                        d->size = 0;
                        d->overlong = false;
                        d->state = STATE_SUBNEGOTIATION_DATA;
                        used++;
                        break;

                case STATE_SUBNEGOTIATION_DATA:
                        used += decode_subnegotiation_data(d, subnegotiation, q, left, ret);
                        break;

                case STATE_SUBNEGOTIATION_IAC:
                        if (*q == TELNET_IAC) {
                                subnegotiation_add(d, subnegotiation, q, 1, ret);
                                d->state = STATE_SUBNEGOTIATION_DATA;
                        } else if (*q == TELNET_SE)
                                end_subnegotiation(d, subnegotiation, ret);
                        else {
                                /* RFC 855 allows nothing else here. The peer has abandoned the
                                 * subnegotiation: this is the next command. */
                                d->state = STATE_IAC;
                                break;
                        }
                        used++;
                        break;
                }
        }

        return used;
}

size_t telnet_decoder_kept(const TelnetDecoder *d) {
        bool begun = d->state == STATE_SUBNEGOTIATION_DATA || d->state == STATE_SUBNEGOTIATION_IAC;

        return begun && !d->overlong ? d->size : 0;
}

bool telnet_decoder_is_in_data(const TelnetDecoder *d) {
        return d->state == STATE_DATA;
}

typedef struct Pieces {
        struct iovec *iov;
        size_t n, n_max;
} Pieces;

static void pieces_add(Pieces *pieces, const uint8_t *begin, const uint8_t *end) {
        if (begin < end)
                pieces->iov[pieces->n++] = (struct iovec){(void *) begin, (size_t) (end - begin)};
}

/* Returns: false if there is no room for all of it. */
static bool gather_doubled(Pieces *pieces, const uint8_t *p, const uint8_t *end) {
        const uint8_t *search = p, *iac;

        while (pieces->n < pieces->n_max) {
                iac = memchr(search, TELNET_IAC, (size_t) (end - search));
                if (!iac) {
                        pieces_add(pieces, p, end);
                        return true;
                }

                /* The last piece cannot end with an IAC, because there is no piece for the second IAC. */
                if (pieces->n + 1 == pieces->n_max) {
                        pieces_add(pieces, p, iac);
                        return false;
                }

                pieces_add(pieces, p, iac + 1);
                p = iac;
                search = iac + 1;
        }

        return false;
}

size_t telnet_gather(const TelnetEncoder *e, const struct iovec *in, size_t n_in, struct iovec *pieces,
                     size_t n_pieces) {
        Pieces gathered = {.iov = pieces, .n_max = n_pieces};

        if (e->transmission == TELNET_RAW) {
                n_in = MIN(n_in, n_pieces);
                memcpy(pieces, in, n_in * sizeof *in);
                return n_in;
        }

        if (e->owes != OWES_NOTHING)
                return 0;

        for (size_t i = 0; i < n_in; i++) {
                const uint8_t *begin = in[i].iov_base, *end = begin + in[i].iov_len;
                const uint8_t *cr = e->transmission == TELNET_NVT ? memchr(begin, '\r', in[i].iov_len) : NULL;

                if (!gather_doubled(&gathered, begin, cr ?: end) || cr)
                        break;
        }

        return gathered.n;
}

/* Returns: whether the piece begins with the IAC with which the previous piece ends. */
static bool piece_overlaps(const struct iovec *pieces, size_t i) {
        return i > 0 && (uint8_t *) pieces[i].iov_base + 1 ==
                                (uint8_t *) pieces[i - 1].iov_base + pieces[i - 1].iov_len;
}

size_t telnet_gathered(TelnetEncoder *e, const struct iovec *pieces, size_t n_pieces, size_t sent) {
        size_t used = 0, i = 0;

        for (; i < n_pieces && sent >= pieces[i].iov_len; i++) {
                used += pieces[i].iov_len - piece_overlaps(pieces, i);
                sent -= pieces[i].iov_len;
        }

        if (i == n_pieces)
                return used;

        bool doubled = piece_overlaps(pieces, i);
        if (sent == 0)
                e->owes = doubled ? OWES_IAC : OWES_NOTHING;
        else
                used += sent - doubled;

        return used;
}

size_t telnet_encode(TelnetEncoder *e, const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out,
                     size_t *ret_consumed) {
        const uint8_t *const in_begin = in, *const in_end = in + n_in;
        uint8_t *const out_begin = out, *const out_end = out + n_out;
        const uint8_t *iac = NULL; /* the next one; found once, not again for each CR before it */

        while (out < out_end) {
                if (e->owes == OWES_IAC) {
                        *out++ = TELNET_IAC;
                        e->owes = OWES_NOTHING;
                        continue;
                }

                if (in == in_end)
                        break;

                if (e->owes == OWES_NUL) {
                        e->owes = OWES_NOTHING;
                        if (*in != '\n') {
                                *out++ = 0;
                                continue;
                        }
                }

                if (e->transmission == TELNET_RAW)
                        iac = in_end;
                else if (!iac || iac < in) {
                        iac = memchr(in, TELNET_IAC, (size_t) (in_end - in));
                        if (!iac)
                                iac = in_end;
                }

                size_t run = (size_t) (iac - in);
                const uint8_t *cr = e->transmission == TELNET_NVT ? memchr(in, '\r', run) : NULL;
                if (cr)
                        run = (size_t) (cr - in);

                run = MIN(run, (size_t) (out_end - out));
                out = mempcpy(out, in, run);
                in += run;

                if (out == out_end || in == in_end)
                        continue;

                /* The run ended at an IAC or a CR. */
                e->owes = *in == TELNET_IAC ? OWES_IAC : OWES_NUL;
                *out++ = *in++;
        }

        *ret_consumed = (size_t) (in - in_begin);
        return (size_t) (out - out_begin);
}

size_t telnet_complete(TelnetEncoder *e, uint8_t out[static 1]) {
        switch (TAKE(e->owes, OWES_NOTHING)) {

        case OWES_IAC:
                out[0] = TELNET_IAC;
                return 1;

        case OWES_NUL:
                out[0] = 0;
                return 1;

        default:
                return 0;
        }
}

int telnet_put_data(TelnetEncoder *e, Buffer *b, const void *data, size_t n) {
        size_t max = 2 * n + 1, consumed; /* each byte may become two, and one may be owed */

        if (n > buffer_space(b) / 2 || max > buffer_space(b))
                return -ENOBUFS;

        uint8_t *p = buffer_reserve(b, max);
        if (!p)
                return -ENOMEM;

        buffer_commit(b, telnet_encode(e, data, n, p, max, &consumed));
        assert(consumed == n);
        return 0;
}

int telnet_put_subnegotiation(Buffer *b, uint8_t option, const void *data, size_t n) {
        TelnetEncoder e = {.transmission = TELNET_8BIT};
        size_t consumed;

        if (n > buffer_space(b) / 2 || 2 * n + 5 > buffer_space(b))
                return -ENOBUFS;

        uint8_t *p = buffer_reserve(b, 2 * n + 5), *begin = p;
        if (!p)
                return -ENOMEM;

        p = mempcpy(p, ((uint8_t[]){TELNET_IAC, TELNET_SB, option}), 3);
        p += telnet_encode(&e, data, n, p, 2 * n, &consumed);
        p = mempcpy(p, ((uint8_t[]){TELNET_IAC, TELNET_SE}), 2);
        buffer_commit(b, (size_t) (p - begin));

        return 0;
}
