/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/parse.h"
#include "lookup.h"

/* How well a VM fits, best first. */
typedef enum Fit {
        FIT_UUID,
        FIT_PORT,
        FIT_NAME,
        FIT_UUID_PREFIX,
        FIT_NOT,
} Fit;

/* What a designation could mean. */
typedef struct Designation {
        const char *text;
        uint64_t port; /* 0: it is none */
        char digits[2 * 16 + 1];
        size_t n_digits; /* 0: it is no UUID, nor the beginning of one */
} Designation;

static bool is_uuid_separator(char c) {
        return c == '-' || c == ' ' || c == '{' || c == '}';
}

/* "5012…" with dashes, spaces or braces wherever they are, in either case. */
static void designation_read_digits(Designation *d) {
        static const char known[] = "0123456789abcdefABCDEF";
        size_t n = 0;

        for (const char *p = d->text; *p; p++) {
                if (is_uuid_separator(*p))
                        continue;
                if (!strchr(known, *p) || n >= sizeof d->digits - 1)
                        return;
                d->digits[n++] = *p >= 'A' && *p <= 'F' ? (char) (*p - 'A' + 'a') : *p;
        }

        d->n_digits = n;
}

static bool uuid_begins_with(const uint8_t uuid[static 16], const char *digits, size_t n) {
        static const char known[] = "0123456789abcdef";

        for (size_t i = 0; i < n; i++)
                if (known[i % 2 == 0 ? uuid[i / 2] >> 4 : uuid[i / 2] & 0xf] != digits[i])
                        return false;

        return true;
}

static Fit fit(const Console *c, const Designation *d) {
        bool fits = d->n_digits > 0 && uuid_begins_with(c->uuid, d->digits, d->n_digits);
        if (fits && d->n_digits == sizeof d->digits - 1)
                return FIT_UUID;
        if (d->port > 0 && c->port == d->port)
                return FIT_PORT;
        if (streq(c->name, d->text))
                return FIT_NAME;

        return fits ? FIT_UUID_PREFIX : FIT_NOT;
}

void lookup(const Concentrator *c, const char *designation, Lookup *ret) {
        Designation d = {.text = designation};
        Fit best = FIT_NOT;

        ret->candidates[0] = concentrator_find(c, designation);
        if (ret->candidates[0]) {
                ret->n = 1;
                return;
        }

        if (parse_unsigned(designation, UINT16_MAX, &d.port) < 0)
                d.port = 0;
        designation_read_digits(&d);

        ret->n = 0;
        for (Console *console = c->consoles; console; console = console->handle.next) {
                Fit f = fit(console, &d);

                if (f == FIT_NOT || f > best)
                        continue;
                if (f < best)
                        ret->n = 0;

                best = f;
                if (ret->n < LOOKUP_CANDIDATES_MAX)
                        ret->candidates[ret->n++] = console;
        }
}
