/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "recognize.h"

/* IAC, WILL and its like, the option */
#define ANSWER_SIZE 3U
#define OFFER_SIZE 3U

/* Commands that are not answers: a telnet program sends them by itself, or when a key is pressed. */
#define LATE_COMMANDS_MAX 64U

/* The longest read with a break and packets of gdb, in which it asks what the other end supports */
#define GDB_WORDS_MAX 512U

static bool is_negotiation(uint8_t command) {
        return command >= TELNET_WILL && command <= TELNET_DONT;
}

static bool answers_offer(const TelnetOptions *o, const uint8_t *p, size_t n) {
        return n >= ANSWER_SIZE && p[0] == TELNET_IAC && is_negotiation(p[1]) &&
               telnet_option_state(o, telnet_command_side(p[1]), p[2]) == TELNET_Q_WANTYES;
}

/* Returns: the length of the command at @p; 0 if there is none; more than @n if it is incomplete. */
static size_t command_length(const uint8_t *p, size_t n) {
        if (p[0] != TELNET_IAC)
                return 0;
        if (n < 2)
                return n + 1;
        if (is_negotiation(p[1]))
                return ANSWER_SIZE;
        if (p[1] >= TELNET_NOP && p[1] <= TELNET_GA)
                return 2;
        if (p[1] != TELNET_SB)
                return 0;

        /* Find the first IAC that is not doubled: IAC SE. */
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

/* Returns: whether @p contains @n_wanted answers, one directly after the other. */
static bool contains_answers(const TelnetOptions *o, unsigned n_wanted, const uint8_t *p, size_t n) {
        const uint8_t *const end = p + n;

        while ((p = memchr(p, TELNET_IAC, (size_t) (end - p)))) {
                const uint8_t *answer = p;
                unsigned n_answers = 0;

                for (; n_answers < n_wanted && answers_offer(o, answer, (size_t) (end - answer)); answer += ANSWER_SIZE)
                        n_answers++;
                if (n_answers == n_wanted)
                        return true;
                p++;
        }

        return false;
}

size_t telnet_breaks_length(const uint8_t *p, size_t n) {
        size_t length = 0;

        while (n - length >= 2 && p[length] == TELNET_IAC && p[length + 1] == TELNET_BRK)
                length += 2;

        return length;
}

/* @cut: there may be more data. */
static bool is_break(const uint8_t *p, size_t n, bool cut) {
        size_t length = telnet_breaks_length(p, n);

        if (length == 0)
                return false;
        if (length < n && p[length] == 'g')
                length++;
        if (length == n)
                return n <= TELNET_BREAK_MAX && !cut;

        /* an acknowledgement or a packet of gdb */
        return n <= GDB_WORDS_MAX && (p[length] == '+' || p[length] == '$');
}

TelnetRecognition telnet_recognize_offers(const TelnetPolicy *policy, const uint8_t *p, size_t n, size_t *ret_size) {
        const size_t n_offers = policy->n_us_offered + policy->n_him_offered, size = n_offers * OFFER_SIZE;

        for (size_t i = 0; i < n_offers; i++) {
                bool is_ours = i < policy->n_us_offered;
                int16_t option = is_ours ? policy->us[i] : policy->him[i - policy->n_us_offered];
                const uint8_t offer[OFFER_SIZE] = {TELNET_IAC, is_ours ? TELNET_WILL : TELNET_DO, (uint8_t) option};
                size_t at = MIN(i * OFFER_SIZE, n);

                if (memcmp(p + at, offer, MIN(n - at, sizeof offer)) != 0)
                        return TELNET_NOT_RECOGNIZED;
        }

        *ret_size = size;
        return n < size ? TELNET_MAYBE : TELNET_RECOGNIZED;
}

TelnetRecognition telnet_recognize(const TelnetOptions *o, TelnetReadFlags flags, const uint8_t *p, size_t n) {
        const bool late = flags & TELNET_READ_LATE;
        const bool cut = flags & TELNET_READ_CUT, sudden = !late || (flags & TELNET_READ_AFTER_SILENCE);
        const bool means_something = sudden && !cut && n <= LATE_COMMANDS_MAX && telnet_breaks_length(p, n) < n;
        const unsigned n_wanted = late ? 2 : 1;
        unsigned n_answers = 0;

        if (sudden && is_break(p, n, cut))
                return TELNET_BREAK;
        if (n <= TELNET_TYPED_AHEAD_MAX && contains_answers(o, n_wanted, p, n))
                return TELNET_RECOGNIZED;

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

        return !late || n_answers > 0 || means_something ? TELNET_RECOGNIZED : TELNET_NOT_RECOGNIZED;
}
