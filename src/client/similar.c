/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <ctype.h>

#include "similar.h"

static bool same_letter(char a, char b) {
        return tolower((unsigned char) a) == tolower((unsigned char) b);
}

/* Returns: the minimum number of letters that must be added, removed, changed or swapped with their neighbor. Only
 * three rows of the usual matrix are kept: row[0] is the present one, for the first i letters of @a. */
static unsigned edit_distance(const char *a, size_t n_a, const char *b, size_t n_b) {
        uint16_t rows[3][SIMILAR_NAME_MAX + 1], *row[3] = {rows[0], rows[1], rows[2]};

        assert(n_a <= SIMILAR_NAME_MAX && n_b <= SIMILAR_NAME_MAX);

        for (size_t k = 0; k <= n_b; k++)
                row[0][k] = (uint16_t) k;

        for (size_t i = 1; i <= n_a; i++) {
                uint16_t *oldest = row[2];

                row[2] = row[1];
                row[1] = row[0];
                row[0] = oldest;

                row[0][0] = (uint16_t) i;
                for (size_t k = 1; k <= n_b; k++) {
                        unsigned best = row[1][k - 1] + !same_letter(a[i - 1], b[k - 1]);

                        best = MIN(best, row[1][k] + 1U);
                        best = MIN(best, row[0][k - 1] + 1U);
                        if (i > 1 && k > 1 && same_letter(a[i - 1], b[k - 2]) &&
                            same_letter(a[i - 2], b[k - 1]))
                                best = MIN(best, row[2][k - 2] + 1U);

                        row[0][k] = (uint16_t) best;
                }
        }

        return row[0][n_b];
}

int similar_distance(const char *wanted, const char *name) {
        size_t n_wanted = strlen(wanted), n_name = strlen(name);

        if (n_wanted == 0 || n_name == 0 || n_wanted > SIMILAR_NAME_MAX || n_name > SIMILAR_NAME_MAX)
                return -1;
        if (strcasecmp(wanted, name) == 0)
                return 0;
        if (strcasestr(name, wanted) || strcasestr(wanted, name))
                return 1;

        /* One mistake in three letters */
        size_t most = MAX(n_wanted / 3, (size_t) 1);
        if (MAX(n_wanted, n_name) - MIN(n_wanted, n_name) > most)
                return -1;

        unsigned distance = edit_distance(wanted, n_wanted, name, n_name);
        return distance <= most ? (int) distance + 1 : -1;
}

/* A verb must be similar from its beginning: "web-log-01" is not a misspelt "log". */
static int verb_distance(const char *word, const char *verb) {
        size_t n = MIN(strlen(word), strlen(verb));
        int distance = similar_distance(word, verb);

        return distance == 1 && strncasecmp(word, verb, n) != 0 ? -1 : distance;
}

const char *similar_verb(const char *const *verbs, const char *word) {
        static const struct {
                const char *word, *verb;
        } elsewhere[] = {
                {"connect", "attach"},   {"console", "attach"}, {"disconnect", "clear"}, {"kick", "clear"},
                {"info", "show"},        {"status", "show"},    {"journal", "log"},      {"ls", "list"},
                {"remove", "forget"},    {"rm", "forget"},      {"stats", "metrics"},    {"watch", "monitor"},
        };
        const char *best = NULL;
        int least = INT32_MAX;

        for (size_t i = 0; i < ELEMENTSOF(elsewhere); i++)
                if (strcasecmp(word, elsewhere[i].word) == 0)
                        return elsewhere[i].verb;

        for (; *verbs; verbs++) {
                int distance = verb_distance(word, *verbs);

                if (distance >= 0 && distance < least) {
                        best = *verbs;
                        least = distance;
                }
        }

        return best;
}
