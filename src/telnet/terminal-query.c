/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "terminal-query.h"

enum {
        ENQ = 0x05,
        BEL = 0x07,
        CAN = 0x18,
        SUB = 0x1a,
        ESC = 0x1b,
        DEL = 0x7f,

        /* C1: one byte if the text is not UTF-8; after C1_LEAD if it is */
        DCS = 0x90,
        DECID = 0x9a,
        CSI = 0x9b,
        ST = 0x9c,
        OSC = 0x9d,
        C1_LEAD = 0xc2,
};

#define C1_OFFSET 0x40 /* ESC and a byte mean the same as the C1 control character byte + 0x40 */

/* DECID as one byte is missing: this byte is a letter in most character sets other than UTF-8. */
static const uint8_t introducers[] = {ESC, ENQ, C1_LEAD, CSI, OSC, DCS};

/* When searching for several bytes, the search for one runs past the others, so it is limited to this number of
 * bytes. */
#define SEARCH_WINDOW 512U

size_t terminal_find_introducer(const uint8_t *p, size_t n) {
        for (size_t at = 0; at < n; at += SEARCH_WINDOW) {
                size_t window = MIN(n - at, (size_t) SEARCH_WINDOW), before = window;

                for (size_t i = 0; i < sizeof introducers; i++) {
                        const uint8_t *found = memchr(p + at, introducers[i], before);

                        if (found)
                                before = (size_t) (found - (p + at));
                }

                if (before < window)
                        return at + before;
        }

        return n;
}

typedef struct Scanner {
        const uint8_t *p;
        size_t n, at;
} Scanner;

#define SCANNER_END (-1)

/* A terminal executes or ignores these in a sequence, and the sequence continues. */
static bool is_skipped(uint8_t byte) {
        return (byte < 0x20 && byte != BEL && byte != CAN && byte != SUB && byte != ESC) || byte == DEL;
}

static int next_byte(Scanner *s) {
        while (s->at < s->n) {
                uint8_t byte = s->p[s->at++];

                if (!is_skipped(byte))
                        return byte;
        }

        return SCANNER_END;
}

/* The same, but also skips BEL, which only ends strings. */
static int next_past_bell(Scanner *s) {
        int byte;

        do
                byte = next_byte(s);
        while (byte == BEL);

        return byte;
}

/* The second byte of a UTF-8 character. ENQ before it is skipped: every ENQ is removed from the replay, in which
 * the two bytes are then adjacent. */
static int next_of_character(Scanner *s) {
        while (s->at < s->n && s->p[s->at] == ENQ)
                s->at++;

        return s->at < s->n ? s->p[s->at++] : SCANNER_END;
}

/* Called if @byte, which has been read, does not continue the sequence. */
static TerminalSequence end_at(const Scanner *s, int byte) {
        if (byte == SCANNER_END)
                return (TerminalSequence){TERMINAL_OPEN, 0};
        if (memchr(introducers, byte, sizeof introducers))
                return (TerminalSequence){TERMINAL_CUT, s->at - 1};

        return (TerminalSequence){TERMINAL_OTHER, 0};
}

static TerminalSequence complete(const Scanner *s, bool is_query) {
        return is_query ? (TerminalSequence){TERMINAL_QUERY, s->at} : (TerminalSequence){TERMINAL_OTHER, 0};
}

/* CSI, a private prefix or none, parameters, intermediate bytes, a final byte (ECMA-48, 5.4) */

typedef struct Csi {
        uint8_t prefix;       /* one of "<=>?"; 0: none */
        uint8_t intermediate; /* 0: none */
        bool odd;             /* not well-formed: terminals ignore it */
        bool has_parameters;
        bool is_zero;         /* all parameters are 0, or there are none */
        bool first_ended;
        unsigned first;       /* the first parameter */
} Csi;

/* First parameters of XTWINOPS that ask for state, position, sizes or titles. Other parameters set something. */
#define WINDOW_REPORTS                                                                                       \
        (1U << 11 | 1U << 13 | 1U << 14 | 1U << 15 | 1U << 16 | 1U << 18 | 1U << 19 | 1U << 20 | 1U << 21)

typedef enum Wanted {
        ANY_PARAMETERS,
        NO_PARAMETERS,
        ZERO,
        ZERO_OR_ONE,
        WINDOW_REPORT,
} Wanted;

static const struct {
        char prefix, intermediate, final;
        Wanted wanted;
} csi_queries[] = {
        {0, 0, 'n', ANY_PARAMETERS},     /* DSR */
        {'?', 0, 'n', ANY_PARAMETERS},
        {0, 0, 'c', ZERO},               /* DA; another parameter is an answer */
        {'>', 0, 'c', ZERO},
        {'=', 0, 'c', ZERO},
        {'?', 0, 'c', NO_PARAMETERS},    /* with parameters: the cursor's shape on the Linux console */
        {0, 0, 't', WINDOW_REPORT},      /* XTWINOPS */
        {0, '$', 'p', ANY_PARAMETERS},   /* DECRQM */
        {'?', '$', 'p', ANY_PARAMETERS},
        {0, 0, 'x', ZERO_OR_ONE},        /* DECREQTPARM */
        {0, '$', 'w', ANY_PARAMETERS},   /* DECRQPSR */
        {0, '$', 'u', ANY_PARAMETERS},   /* DECRQTSR */
        {0, '&', 'u', ANY_PARAMETERS},   /* DECRQUPSS */
        {0, '*', 'y', ANY_PARAMETERS},   /* DECRQCRA */
        {'>', 0, 'q', ZERO},             /* XTVERSION */
        {'?', 0, 'm', ANY_PARAMETERS},   /* XTQMODKEYS */
        {'?', 0, 'S', ANY_PARAMETERS},   /* XTSMGRAPHICS */
        {'?', 0, 'u', NO_PARAMETERS},    /* the kitty keyboard protocol */
};

static bool csi_fits(const Csi *csi, Wanted wanted) {
        switch (wanted) {

        case ANY_PARAMETERS:
                return true;

        case NO_PARAMETERS:
                return !csi->has_parameters;

        case ZERO:
                return csi->is_zero;

        case ZERO_OR_ONE:
                return csi->first <= 1;

        case WINDOW_REPORT:
                return csi->first < 32 && (WINDOW_REPORTS >> csi->first & 1);
        }

        return false;
}

static bool csi_is_query(const Csi *csi, int final) {
        for (size_t i = 0; i < ELEMENTSOF(csi_queries); i++)
                if (csi_queries[i].final == final && csi_queries[i].prefix == csi->prefix &&
                    csi_queries[i].intermediate == csi->intermediate)
                        return !csi->odd && csi_fits(csi, csi_queries[i].wanted);

        return false;
}

static void csi_take_parameter(Csi *csi, int byte) {
        csi->odd |= csi->intermediate != 0;
        csi->has_parameters = true;
        csi->is_zero &= byte == '0' || byte == ';';
        csi->first_ended |= byte == ';' || byte == ':';
        if (!csi->first_ended)
                csi->first = MIN(csi->first * 10 + (unsigned) (byte - '0'), 9999U);
}

static TerminalSequence parse_csi(Scanner *s) {
        Csi csi = {.is_zero = true};

        for (;;) {
                int byte = next_past_bell(s);

                if (byte >= '@' && byte <= '~')
                        return complete(s, csi_is_query(&csi, byte));

                if (byte >= '0' && byte <= ';')
                        csi_take_parameter(&csi, byte);
                else if (byte >= '<' && byte <= '?') {
                        csi.odd |= csi.prefix || csi.has_parameters || csi.intermediate;
                        csi.prefix = (uint8_t) byte;
                } else if (byte >= ' ' && byte <= '/') {
                        csi.odd |= csi.intermediate != 0;
                        csi.intermediate = (uint8_t) byte;
                } else
                        return end_at(s, byte);
        }
}

/* DCS, OSC and similar: text up to ST or BEL (ECMA-48, 5.6) */

typedef struct TerminalString {
        bool is_osc;
        char first[2];  /* of the text */
        size_t size;
        unsigned number; /* of an OSC: the first parameter */
        bool is_numbered;
        size_t parameter_size; /* of the parameter that is being read */
        char last[2];          /* the last bytes of that parameter */
        bool asks;             /* a parameter is a question */
} TerminalString;

#define OSC_KITTY_COLORS 21U /* its parameters are "key=?" */

static void string_end_parameter(TerminalString *t) {
        t->asks |= (t->parameter_size == 1 && t->last[1] == '?') ||
                   (t->number == OSC_KITTY_COLORS && t->parameter_size > 1 && t->last[0] == '=' && t->last[1] == '?');
        t->parameter_size = 0;
}

static void string_take_osc(TerminalString *t, char c) {
        if (!t->is_numbered && c >= '0' && c <= '9')
                t->number = MIN(t->number * 10 + (unsigned) (c - '0'), 9999U);
        else if (!t->is_numbered && c == ';' && t->size > 0)
                t->is_numbered = true;
        else if (!t->is_numbered)
                t->is_osc = false; /* for example "ESC ] P nrrggbb", a color of the Linux console, which has no ST */
        else if (c == ';')
                string_end_parameter(t);
        else {
                t->parameter_size++;
                t->last[0] = t->last[1];
                t->last[1] = c;
        }
}

static void string_take(TerminalString *t, char c) {
        if (t->size < ELEMENTSOF(t->first))
                t->first[t->size] = c;
        if (t->is_osc)
                string_take_osc(t, c);
        t->size++;
}

/* @introducer: DCS, OSC and so on, as a control character in one byte */
static bool string_is_query(TerminalString *t, uint8_t introducer) {
        if (t->is_osc) {
                string_end_parameter(t);
                return t->is_numbered && t->asks;
        }

        /* XTGETTCAP, DECRQSS */
        return introducer == DCS && t->size >= 2 && (t->first[0] == '+' || t->first[0] == '$') && t->first[1] == 'q';
}

static TerminalSequence parse_string(Scanner *s, uint8_t introducer) {
        TerminalString t = {.is_osc = introducer == OSC};

        for (;;) {
                int byte = next_byte(s);

                if (byte >= ' ' && byte <= '~') {
                        string_take(&t, (char) byte);
                        continue;
                }

                if (byte == BEL || byte == ST)
                        return complete(s, string_is_query(&t, introducer));

                if (byte != ESC && byte != C1_LEAD)
                        return end_at(s, byte);

                TerminalSequence cut = end_at(s, byte);
                int second = byte == ESC ? next_past_bell(s) : next_of_character(s);

                if (second == SCANNER_END)
                        return end_at(s, second);
                if (second != (byte == ESC ? ST - C1_OFFSET : ST))
                        return cut;

                return complete(s, string_is_query(&t, introducer));
        }
}

/* The sequence after a control character from 0x80 on */
static TerminalSequence parse_c1(Scanner *s, int c1) {
        switch (c1) {

        case DECID:
                return complete(s, true);

        case CSI:
                return parse_csi(s);

        case DCS:
        case OSC:
        case 0x98: /* SOS */
        case 0x9e: /* PM */
        case 0x9f: /* APC */
                return parse_string(s, (uint8_t) c1);

        default:
                return (TerminalSequence){TERMINAL_OTHER, 0};
        }
}

/* The sequence after ESC: a byte that makes it a control character from 0x80 on, or intermediate bytes and a
 * final byte */
static TerminalSequence parse_escape(Scanner *s) {
        bool is_plain = true;

        for (;;) {
                int byte = next_past_bell(s);

                if (byte >= ' ' && byte <= '/')
                        is_plain = false;
                else if (byte >= '@' && byte <= '_' && is_plain)
                        return parse_c1(s, byte + C1_OFFSET);
                else
                        return end_at(s, byte);
        }
}

TerminalSequence terminal_parse(const uint8_t *p, size_t n) {
        Scanner s = {p, n, 1};
        int second;

        switch (p[0]) {

        case ENQ:
                return complete(&s, true);

        case ESC:
                return parse_escape(&s);

        case C1_LEAD:
                second = next_of_character(&s);
                return second == SCANNER_END ? end_at(&s, second) : parse_c1(&s, second);

        default:
                return parse_c1(&s, p[0]);
        }
}
