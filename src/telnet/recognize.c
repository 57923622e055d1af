/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "recognize.h"

static bool is_negotiation(uint8_t command) {
        return command >= TELNET_WILL && command <= TELNET_DONT;
}

/* More than a telnet program's first answers */
#define COMMANDS_AFTER_DATA_MAX 64U

static bool answers_offer(const TelnetOptions *o, const uint8_t *p, size_t n) {
        return n >= 3 && p[0] == TELNET_IAC && is_negotiation(p[1]) &&
               telnet_option_state(o, telnet_command_side(p[1]), p[2]) == TELNET_Q_WANTYES;
}

/* Returns: the length of the command at @p, 0 if it is none, more than @n if it is not all there. */
static size_t command_length(const uint8_t *p, size_t n) {
        if (p[0] != TELNET_IAC)
                return 0;
        if (n < 2)
                return n + 1;
        if (is_negotiation(p[1]))
                return 3;
        if (p[1] >= TELNET_NOP && p[1] <= TELNET_GA)
                return 2;
        if (p[1] != TELNET_SB)
                return 0;

        /* To the first IAC that is not doubled, which is IAC SE. */
        for (size_t i = 3; i < n;) {
                const uint8_t *iac = memchr(p + i, TELNET_IAC, n - i);

                if (!iac || (size_t) (iac - p) + 1 == n)
                        break;

                i = (size_t) (iac - p) + 2;
                if (iac[1] != TELNET_IAC)
                        return iac[1] == TELNET_SE ? i : 0;
        }

        return n + 1;
}

TelnetRecognition telnet_recognize(const TelnetOptions *o, bool after_data, const uint8_t *p, size_t n) {
        const unsigned n_wanted = after_data ? 2 : 1;
        const bool may_be_all = !after_data || n <= COMMANDS_AFTER_DATA_MAX;
        unsigned n_answers = 0;

        while (n > 0) {
                size_t length = command_length(p, n);

                if (length == 0)
                        return TELNET_NOT_RECOGNIZED;
                if (length > n)
                        return n_answers > 0 ? TELNET_RECOGNIZED : TELNET_MAYBE;

                n_answers += answers_offer(o, p, n);
                if (n_answers == n_wanted)
                        return TELNET_RECOGNIZED;

                p += length;
                n -= length;
        }

        return may_be_all ? TELNET_RECOGNIZED : TELNET_NOT_RECOGNIZED;
}

bool telnet_contains_answer(const TelnetOptions *o, const uint8_t *p, size_t n) {
        const uint8_t *const end = p + n;

        while ((p = memchr(p, TELNET_IAC, (size_t) (end - p)))) {
                if (answers_offer(o, p, (size_t) (end - p)))
                        return true;
                p++;
        }

        return false;
}
