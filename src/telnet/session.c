/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "session.h"

void telnet_session_init(TelnetSession *s, TelnetLineEnd line_end) {
        telnet_decoder_init(&s->in, line_end);
        s->out = (TelnetEncoder){.transmission = TELNET_NVT};
        s->options = (TelnetOptions){};
}

bool telnet_policy_accepts(const TelnetPolicy *policy, TelnetSide side, uint8_t option) {
        for (const int16_t *o = side == TELNET_US ? policy->us : policy->him; *o != TELNET_OPTION_END; o++)
                if (*o == option)
                        return true;

        return false;
}

int telnet_session_complete(TelnetSession *s, Buffer *out) {
        TelnetEncoder completed = s->out;
        uint8_t owed[1];

        int r = buffer_append(out, owed, telnet_complete(&completed, owed));
        if (r < 0)
                return r;

        s->out = completed;
        return 0;
}

int telnet_session_put(TelnetSession *s, Buffer *out, const uint8_t *command, size_t n) {
        int r = telnet_session_complete(s, out);
        if (r < 0)
                return r;

        uint8_t *p = buffer_reserve(out, n + 1);
        if (!p)
                return -ENOBUFS;

        *p = TELNET_IAC;
        memcpy(p + 1, command, n);
        buffer_commit(out, n + 1);

        return 0;
}

int telnet_session_offer(TelnetSession *s, const TelnetPolicy *policy, Buffer *out) {
        const struct {
                TelnetSide side;
                const int16_t *options;
                size_t n;
        } offers[] = {
                {TELNET_US, policy->us, policy->n_us_offered},
                {TELNET_HIM, policy->him, policy->n_him_offered},
        };

        for (size_t i = 0; i < ELEMENTSOF(offers); i++)
                for (size_t k = 0; k < offers[i].n; k++) {
                        uint8_t option = (uint8_t) offers[i].options[k];
                        uint8_t command = telnet_option_enable(&s->options, offers[i].side, option);
                        if (command == 0)
                                continue;

                        int r = telnet_session_put(s, out, (uint8_t[]){command, option}, 2);
                        if (r < 0)
                                return r;
                }

        return 0;
}

int telnet_session_negotiate(TelnetSession *s, const TelnetPolicy *policy, const TelnetEvent *event, Buffer *out,
                             TelnetAnswer *ret_answer) {
        TelnetSide side = telnet_command_side(event->command);
        bool acceptable = telnet_policy_accepts(policy, side, event->option);
        TelnetAnswer answer = telnet_option_receive(&s->options, event->command, event->option, acceptable);

        if (answer.command != 0) {
                int r = telnet_session_put(s, out, (uint8_t[]){answer.command, event->option}, 2);
                if (r < 0)
                        return r;
        }

        if (answer.changed && event->option == TELNET_BINARY) {
                bool enabled = telnet_option_enabled(&s->options, side, TELNET_BINARY);
                uint8_t transmission = enabled ? TELNET_8BIT : TELNET_NVT;

                /* Complete the sequence in the old encoding before the new one begins. */
                if (side == TELNET_US) {
                        int r = telnet_session_complete(s, out);
                        if (r < 0)
                                return r;
                        s->out.transmission = transmission;
                } else
                        s->in.transmission = transmission;
        }

        *ret_answer = answer;
        return 0;
}

void telnet_session_assume(TelnetSession *s, const TelnetPolicy *policy) {
        for (size_t i = 0; i < policy->n_us_offered; i++) {
                (void) telnet_option_enable(&s->options, TELNET_US, (uint8_t) policy->us[i]);
                (void) telnet_option_receive(&s->options, TELNET_DO, (uint8_t) policy->us[i], true);
        }

        for (size_t i = 0; i < policy->n_him_offered; i++) {
                (void) telnet_option_enable(&s->options, TELNET_HIM, (uint8_t) policy->him[i]);
                (void) telnet_option_receive(&s->options, TELNET_WILL, (uint8_t) policy->him[i], true);
        }

        if (telnet_option_enabled(&s->options, TELNET_US, TELNET_BINARY))
                s->out.transmission = TELNET_8BIT;
        if (telnet_option_enabled(&s->options, TELNET_HIM, TELNET_BINARY))
                s->in.transmission = TELNET_8BIT;
}
