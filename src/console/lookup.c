/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/parse.h"
#include "basic/text.h"
#include "lookup.h"

#define UUID_DIGITS (2U * 16U)

static bool is_uuid_separator(char c) {
        return c == '-' || c == ' ' || c == '{' || c == '}' || c == '~';
}

/* Reads hex digits in upper or lower case, and ignores dashes, spaces and braces. */
static void designation_read_digits(Designation *d) {
        size_t n = 0;

        for (const char *p = d->text; *p; p++) {
                if (is_uuid_separator(*p))
                        continue;

                int digit = text_hex_digit(*p);
                if (digit < 0 || n == ELEMENTSOF(d->digits))
                        return;
                d->digits[n++] = (uint8_t) digit;
        }

        d->n_digits = n;
}

/* Returns: how well @text, a console's UUID, matches. */
static Fit designation_fit_uuid(const Designation *d, const char *text) {
        const char *p = text;

        for (size_t i = 0; i < d->n_digits; p++) {
                if (!*p)
                        return FIT_NOT;
                if (!is_uuid_separator(*p) && text_hex_digit(*p) != d->digits[i++])
                        return FIT_NOT;
        }

        return d->n_digits == 0 ? FIT_NOT : *p ? FIT_UUID_PREFIX : FIT_UUID;
}

Fit designation_fit(const Designation *d, const Console *c) {
        Fit fit = designation_fit_uuid(d, c->uuid_text);

        if (fit == FIT_UUID)
                return FIT_UUID;
        if (d->port > 0 && (c->port == d->port || console_reserved_port(c) == d->port))
                return FIT_PORT;
        if (streq(c->name, d->text))
                return FIT_NAME;

        return fit;
}

void designation_parse(Designation *d, const char *text) {
        *d = (Designation){.text = text};
        if (parse_unsigned(text, UINT16_MAX, &d->port) < 0)
                d->port = 0;
        designation_read_digits(d);
}

/* Who is looking */
typedef struct Viewer {
        const Identity *who;
        Asker *asker;
} Viewer;

static bool viewer_sees(const Viewer *v, Console *console) {
        return !v->who || console_permits(console, ACT_LIST, v->who, v->asker);
}

static bool lookup_port(const Concentrator *c, const Designation *d, const Viewer *v, Lookup *ret) {
        Console *console = concentrator_find_port(c, (uint16_t) d->port);

        if (console && !viewer_sees(v, console))
                console = NULL;

        *ret = (Lookup){.fit = FIT_PORT, .candidates = {console}, .n = !!console};
        return console;
}

static bool lookup_name(const Concentrator *c, const Designation *d, const Viewer *v, Lookup *ret) {
        *ret = (Lookup){.fit = FIT_NAME};
        for (const ConsoleEntry *e = concentrator_find_name(c, d->text);
             e && ret->n < LOOKUP_CANDIDATES_MAX; e = e->next)
                if (viewer_sees(v, e->console))
                        ret->candidates[ret->n++] = e->console;

        return ret->n > 0;
}

/* UUIDs in another spelling and beginnings of UUIDs are compared with all consoles. This is slow, but only people type these. */
void lookup(Concentrator *c, const char *designation, const Identity *who, Asker *asker, Lookup *ret) {
        const Viewer v = {who, asker};
        Designation d;

        *ret = (Lookup){.fit = FIT_UUID, .candidates = {concentrator_find(c, designation)}};
        if (ret->candidates[0] && viewer_sees(&v, ret->candidates[0])) {
                ret->n = 1;
                return;
        }

        designation_parse(&d, designation);
        if (d.n_digits != UUID_DIGITS && d.n_digits != 2 * UUID_DIGITS &&
            (lookup_port(c, &d, &v, ret) || lookup_name(c, &d, &v, ret)))
                return;

        ret->fit = FIT_NOT;
        if (d.n_digits == 0)
                return;

        for (Console *console = concentrator_consoles(c); console; console = console->handle.next) {
                Fit f = designation_fit(&d, console);

                if (f == FIT_NOT || f > ret->fit || !viewer_sees(&v, console))
                        continue;
                if (f < ret->fit)
                        ret->n = 0;

                ret->fit = f;
                if (ret->n < LOOKUP_CANDIDATES_MAX)
                        ret->candidates[ret->n++] = console;
        }
}
