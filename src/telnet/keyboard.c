/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "keyboard.h"

uint8_t telnet_key(uint8_t command) {
        switch (command) {

        case TELNET_IP:
                return 0x03; /* ^C */
        case TELNET_EC:
                return 0x7f; /* Backspace */
        case TELNET_EL:
                return 0x15; /* ^U */
        case TELNET_SUSP:
                return 0x1a; /* ^Z */
        case TELNET_ABORT:
                return 0x1c; /* ^\ */

        default: /* EOF is not a key: PuTTY's plink sends it at the end of its input, and ^D would log the user out */
                return 0;
        }
}

static bool has_keyboard(const TelnetKeyboard *k, const TelnetSession *s) {
        return !k->exact && !telnet_option_in_use(&s->options, TELNET_COM_PORT);
}

/* We offer both options to every client, so an option that is off has been declined. */
static bool is_in_line_mode(const TelnetSession *s) {
        return telnet_option_state(&s->options, TELNET_US, TELNET_SGA) == TELNET_Q_NO ||
               telnet_option_state(&s->options, TELNET_US, TELNET_ECHO) == TELNET_Q_NO;
}

bool telnet_keyboard_is_enter(TelnetKeyboard *k, const TelnetSession *s, const uint8_t *p, size_t n) {
        if (k->is_not_windows || n != 2 || p[0] == TELNET_IAC || s->in.transmission != TELNET_8BIT ||
            !telnet_decoder_is_in_data(&s->in) || !has_keyboard(k, s) || is_in_line_mode(s))
                return false;
        if (p[0] == '\r' && p[1] == '\n')
                return true;

        k->is_not_windows = true;
        return false;
}

/* LF becomes CR, unless it follows a CR. */
static size_t translate_lines(TelnetKeyboard *k, bool binary, uint8_t *p, size_t n) {
        const uint8_t *const end = p + n;
        bool after_cr = k->after_cr;
        size_t size = 0;

        for (const uint8_t *in = p; in < end;) {
                const uint8_t *lf = memchr(in, '\n', (size_t) (end - in)) ?: end;
                size_t run = (size_t) (lf - in);

                memmove(p + size, in, run);
                size += run;
                in = lf;
                if (run > 0)
                        after_cr = binary && p[size - 1] == '\r'; /* without BINARY the decoder has removed the LF */
                if (in == end)
                        break;

                if (!after_cr)
                        p[size++] = '\r';
                after_cr = false;
                in++;
        }

        k->after_cr = after_cr;
        return size;
}

size_t telnet_keyboard_translate(TelnetKeyboard *k, const TelnetSession *s, uint8_t *p, size_t n) {
        const bool binary = s->in.transmission == TELNET_8BIT;

        if (!has_keyboard(k, s))
                return n;
        if (is_in_line_mode(s))
                return translate_lines(k, binary, p, n);

        k->after_cr = false;
        k->is_not_windows = k->is_not_windows ||
                            (binary && (memchr(p, '\r', n) || memchr(p, '\n', n) || memchr(p, 0, n)));
        return n;
}
