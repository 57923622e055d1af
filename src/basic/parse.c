/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ctype.h>
#include <strings.h>

#include "parse.h"

typedef struct Unit {
        const char *name;
        uint64_t factor;
} Unit;

static const char *skip_space(const char *s) {
        return s + strspn(s, " \t");
}

/*
 * Parses one "NUMBER[.FRACTION]UNIT" with the table @units, and moves @s behind it. The first entry applies to numbers
 * without a unit. The table is searched in order, so longer names must come first.
 */
static int parse_quantity(const char **s, const Unit *units, size_t n_units, uint64_t *ret) {
        const char *p = skip_space(*s);

        if (!isdigit((unsigned char) *p))
                return -EINVAL;

        uint64_t whole = 0;
        for (; isdigit((unsigned char) *p); p++)
                if (__builtin_mul_overflow(whole, 10, &whole) ||
                    __builtin_add_overflow(whole, (uint64_t) (*p - '0'), &whole))
                        return -ERANGE;

        /* The fraction in billionths: more digits make no difference for these units. */
        uint64_t billionths = 0;
        if (*p == '.') {
                if (!isdigit((unsigned char) p[1]))
                        return -EINVAL;

                uint64_t place = 100000000;
                for (p++; isdigit((unsigned char) *p); p++, place /= 10)
                        billionths += (uint64_t) (*p - '0') * place;
        }

        p = skip_space(p);

        size_t letters = 0;
        while (isalpha((unsigned char) p[letters]))
                letters++;

        const Unit *unit = letters == 0 ? &units[0] : NULL;
        for (size_t i = 0; !unit && i < n_units; i++)
                if (strlen(units[i].name) == letters && strncmp(p, units[i].name, letters) == 0)
                        unit = &units[i];
        if (!unit)
                return -EINVAL;

        uint64_t value;
        if (__builtin_mul_overflow(whole, unit->factor, &value))
                return -ERANGE;

        uint64_t fraction = (uint64_t) ((unsigned __int128) billionths * unit->factor / 1000000000);
        if (__builtin_add_overflow(value, fraction, &value))
                return -ERANGE;

        *s = p + letters;
        *ret = value;
        return 0;
}

int parse_sec(const char *s, usec_t *ret) {
        static const Unit units[] = {
                {"s", USEC_PER_SEC},
                {"seconds", USEC_PER_SEC},
                {"second", USEC_PER_SEC},
                {"sec", USEC_PER_SEC},
                {"ms", USEC_PER_MSEC},
                {"msec", USEC_PER_MSEC},
                {"us", 1},
                {"usec", 1},
                {"minutes", 60 * USEC_PER_SEC},
                {"minute", 60 * USEC_PER_SEC},
                {"min", 60 * USEC_PER_SEC},
                {"m", 60 * USEC_PER_SEC},
                {"hours", 3600 * USEC_PER_SEC},
                {"hour", 3600 * USEC_PER_SEC},
                {"hr", 3600 * USEC_PER_SEC},
                {"h", 3600 * USEC_PER_SEC},
                {"days", 86400 * USEC_PER_SEC},
                {"day", 86400 * USEC_PER_SEC},
                {"d", 86400 * USEC_PER_SEC},
                {"weeks", 7 * 86400 * USEC_PER_SEC},
                {"week", 7 * 86400 * USEC_PER_SEC},
                {"w", 7 * 86400 * USEC_PER_SEC},
        };
        usec_t sum = 0;

        s = skip_space(s);
        if (streq(s, "infinity")) {
                *ret = USEC_INFINITY;
                return 0;
        }

        do {
                usec_t part;
                int r = parse_quantity(&s, units, ELEMENTSOF(units), &part);
                if (r < 0)
                        return r;
                if (__builtin_add_overflow(sum, part, &sum))
                        return -ERANGE;
                s = skip_space(s);
        } while (*s);

        *ret = sum;
        return 0;
}

int parse_size(const char *s, uint64_t *ret) {
        static const Unit units[] = {
                {"B", 1},
                {"K", UINT64_C(1) << 10},
                {"M", UINT64_C(1) << 20},
                {"G", UINT64_C(1) << 30},
        };
        uint64_t value;

        int r = parse_quantity(&s, units, ELEMENTSOF(units), &value);
        if (r < 0)
                return r;
        if (*skip_space(s))
                return -EINVAL;

        *ret = value;
        return 0;
}

int parse_boolean(const char *s, bool *ret) {
        static const char *const words[][2] = {
                {"no", "yes"}, {"n", "y"}, {"false", "true"}, {"f", "t"}, {"off", "on"}, {"0", "1"},
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                for (int value = 0; value < 2; value++)
                        if (strcasecmp(s, words[i][value]) == 0) {
                                *ret = value;
                                return 0;
                        }

        return -EINVAL;
}

int parse_unsigned(const char *s, uint64_t max, uint64_t *ret) {
        uint64_t value = 0;

        if (!*s)
                return -EINVAL;

        for (; *s; s++) {
                if (!isdigit((unsigned char) *s))
                        return -EINVAL;
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t) (*s - '0'), &value))
                        return -ERANGE;
        }

        if (value > max)
                return -ERANGE;

        *ret = value;
        return 0;
}
