/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Replays output of any bytes. The first two bytes of an input seed how the replay is cut, the rest is the
 * output. The replay is the same however it is cut. If the output is not longer than the longest query, the
 * replay is also what a model of a terminal expects: the model reads one character after the other, after Paul
 * Williams' diagram of DEC's parsers, and has regular expressions for queries.
 */

#include <regex.h>

#include "basic/text.h"
#include "fuzz.h"
#include "prng.h"
#include "telnet/replay.h"

#define OUTPUT_MAX 16384U
#define JUNK 0x110000U /* and a byte that is part of no character */

typedef struct Model {
        enum { GROUND, ESCAPE, INTERMEDIATE, CSI, STRING } state;
        bool may_end_string; /* ESCAPE has come within a STRING */
        size_t begin;        /* of the sequence */
        size_t string_begin; /* of the STRING in which ESCAPE has come */
        bool cuts, string_cuts;
        char kind; /* of a STRING: the character after ESC */
        char text[OUTPUT_MAX];
        size_t n_text;

        bool left_out[OUTPUT_MAX], cancels[OUTPUT_MAX];
} Model;

static bool matches(const char *pattern, const char *text) {
        static struct {
                const char *pattern;
                regex_t compiled;
        } cache[8];
        size_t i = 0;

        while (cache[i].pattern && cache[i].pattern != pattern)
                i++;
        assert(i + 1 < ELEMENTSOF(cache));
        if (!cache[i].pattern && regcomp(&cache[i].compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0)
                abort();
        cache[i].pattern = pattern;

        return regexec(&cache[i].compiled, text, 0, NULL, 0) == 0;
}

static bool csi_asks(const char *text) {
        static const char pattern[] =
                "^([?]?[0-9;:]*n|[>=]?[0;]*c|[?]c|0*(11|13|14|15|16|18|19|20|21)([;:][0-9;:]*)?t|[?]?[0-9;:]*[$]p"
                "|0*1?([;:][0-9;:]*)?x|[0-9;:]*([$][wu]|&u|[*]y)|>[0;]*q|[?][0-9;:]*[mS]|[?]u)$";

        return matches(pattern, text);
}

static bool string_asks(char kind, const char *text) {
        static const char osc[] = "^[0-9]+;(.*;)?[?](;.*)?$", kitty[] = "^0*21;(.*;)?[^;]*=[?](;.*)?$",
                          dcs[] = "^[+$]q";

        return (kind == ']' && (matches(osc, text) || matches(kitty, text))) || (kind == 'P' && matches(dcs, text));
}

static void leave_out(Model *m, size_t begin, size_t end, bool cancels) {
        m->state = GROUND;
        memset(m->left_out + begin, true, end - begin);
        m->cancels[begin] |= cancels;
}

static void begin_sequence(Model *m, size_t at) {
        m->cuts = m->state != GROUND;
        m->begin = at;
        m->state = ESCAPE;
        m->may_end_string = false;
        m->n_text = 0;
}

static void end_string(Model *m, size_t end) {
        m->text[m->n_text] = 0;
        if (string_asks(m->kind, m->text))
                leave_out(m, m->begin, end, m->cuts);
        m->state = GROUND;
}

/* The character after ESC, or what a control character is short for */
static void take_escape(Model *m, char c, size_t end) {
        m->state = GROUND;
        if (c == '[')
                m->state = CSI;
        else if (c == 'Z')
                leave_out(m, m->begin, end, m->cuts);
        else if (strchr("P]X^_", c)) {
                m->state = STRING;
                m->kind = c;
        }
}

static void take_character(Model *m, uint32_t c, size_t begin, size_t end) {
        bool is_text = c >= 0x20 && c <= 0x7e, may_end_string = TAKE(m->may_end_string, false);

        if (c == 0x18 || c == 0x1a)
                m->state = GROUND;
        else if (c == 0x1b) {
                Model *string = m->state == STRING ? m : NULL;
                size_t string_begin = m->begin, n_text = m->n_text;
                bool string_cuts = m->cuts;

                begin_sequence(m, begin);
                if (string) {
                        m->may_end_string = true;
                        m->string_begin = string_begin;
                        m->string_cuts = string_cuts;
                        m->n_text = n_text;
                }
        } else if ((c < 0x20 && c != '\a') || c == 0x7f)
                m->may_end_string = may_end_string;
        else if (c == 0x9c && m->state == STRING)
                end_string(m, end);
        else if (c >= 0x80 && c <= 0x9f) {
                begin_sequence(m, begin);
                take_escape(m, (char) (c - 0x40), end);
        } else if (c >= 0x80)
                m->state = GROUND;
        else if (m->state == ESCAPE && may_end_string && c == '\\') {
                m->begin = m->string_begin;
                m->cuts = m->string_cuts;
                end_string(m, end);
        } else if (m->state == ESCAPE && c == '\a')
                m->may_end_string = may_end_string;
        else if (m->state == ESCAPE && c <= 0x2f)
                m->state = INTERMEDIATE;
        else if (m->state == ESCAPE) {
                m->n_text = 0;
                take_escape(m, (char) c, end);
        } else if (m->state == INTERMEDIATE && c > 0x2f)
                m->state = GROUND;
        else if (m->state == STRING && c == '\a')
                end_string(m, end);
        else if ((m->state == CSI || m->state == STRING) && is_text) {
                m->text[m->n_text++] = (char) c;
                if (m->state == CSI && c >= 0x40) {
                        m->text[m->n_text] = 0;
                        m->state = GROUND;
                        if (csi_asks(m->text))
                                leave_out(m, m->begin, end, m->cuts);
                }
        }
}

/* A byte that is part of no character: a control character if it is one of these */
static uint32_t take_junk(uint8_t byte) {
        return byte == 0x90 || (byte >= 0x9b && byte <= 0x9d) ? byte : JUNK + byte;
}

static void model_read(Model *m, const uint8_t *p, size_t n) {
        for (size_t i = 0, end; i < n; i = end) {
                uint32_t c;

                end = i + 1;
                while (p[i] == 0xc2 && end < n && p[end] == 0x05)
                        end++;

                size_t length = utf8_decode(p + i, n - i, &c);
                if (p[i] == 0xc2 && end < n && p[end] >= 0x80 && p[end] <= 0x9f) {
                        c = p[end++];
                        memset(m->left_out + i + 1, true, end - i - 2);
                } else if (length == 0) {
                        c = take_junk(p[i]);
                        end = i + 1;
                } else
                        end = i + length;

                if (c == 0x05)
                        m->left_out[i] = true;
                take_character(m, c, i, end);
        }
}

static size_t expected(const uint8_t *p, size_t n, uint8_t *out) {
        static Model m;
        size_t size = 0;

        memset(&m, 0, sizeof m);
        model_read(&m, p, n);
        for (size_t i = 0; i < n; i++) {
                if (m.cancels[i])
                        out[size++] = 0x18;
                if (!m.left_out[i])
                        out[size++] = p[i];
        }

        return size;
}

static size_t replay(const uint8_t *p, size_t n, Prng *cuts, uint8_t *out) {
        Replay r = {.end = n};
        size_t size = 0;

        for (size_t at = 0, used; at < n; at += used) {
                size_t n_out = cuts ? 1 + prng_below(cuts, prng_below(cuts, 4) == 0 ? 3000 : 8) : n;
                size_t n_in = MIN(n - at, cuts ? REPLAY_INPUT_MIN + prng_below(cuts, 100) : n);
                _cleanup_free_ uint8_t *in = malloc(n_in);

                assert(in);
                memcpy(in, p + at, n_in);
                size_t k = replay_filter(&r, in, n_in, at + n_in < n, out + size, n_out, &used);
                assert(k <= n_out && k <= used && used > 0 && used <= n_in);
                size += k;
        }

        return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static uint8_t whole[OUTPUT_MAX], cut[OUTPUT_MAX], want[OUTPUT_MAX];

        if (size < 2 || size > OUTPUT_MAX)
                return 0;

        Prng cuts = {data[0] | (uint64_t) data[1] << 8};
        data += 2;
        size -= 2;

        size_t n = replay(data, size, NULL, whole);
        assert(replay(data, size, &cuts, cut) == n && memcmp(whole, cut, n) == 0);

        if (size < REPLAY_INPUT_MIN)
                assert(expected(data, size, want) == n && memcmp(whole, want, n) == 0);

        struct iovec iov[] = {{(void *) data, size / 3}, {(void *) (data + size / 3), size - size / 3}};
        size_t begin = replay_begin(iov, ELEMENTSOF(iov), size);
        assert(begin <= MAX(size / 4, MIN(size, (size_t) 3)));

        return 0;
}
