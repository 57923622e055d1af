/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/log.h"
#include "basic/text.h"
#include "problems.h"

void problems_done(Problems *p) {
        for (size_t i = 0; i < p->n_kept; i++)
                free(p->text[i]);
        free(p->doubt);
        *p = (Problems){};
}

/* Hides PINs of tokens (RFC 7512), because everybody can read problems in the status of the service. The text does
 * not get longer. */
static void hide_pins(char *text) {
        static const char attribute[] = "pin-value=", hidden[] = "…";

        for (char *p = text; (p = strcasestr(p, attribute));) {
                p += strlen(attribute);
                size_t n = strcspn(p, "&;? \"");

                if (n < strlen(hidden)) {
                        memset(p, '.', n);
                        continue;
                }
                memcpy(p, hidden, strlen(hidden));
                memmove(p + strlen(hidden), p + n, strlen(p + n) + 1);
        }
}

/* Returns: the text, to be freed; NULL if memory is short. */
static char *problems_add(Problems *p, int level, const char *format, va_list ap) _printf_(3, 0);
static char *problems_add(Problems *p, int level, const char *format, va_list ap) {
        _cleanup_free_ char *text = text_format_va(format, ap);

        if (text)
                hide_pins(text);

        char *clean = text ? text_sanitize(text, strlen(text), LOG_MESSAGE_MAX) : NULL;
        (void) log_full(level, 0, NULL, "%s", clean ?: "Not enough memory to describe the mistakes in the configuration");

        char *kept = clean && p->n_kept < PROBLEMS_KEPT_MAX ? strdup(clean) : NULL;
        if (kept)
                p->text[p->n_kept++] = kept;
        p->n++;
        return clean;
}

void problems_warn(Problems *p, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        free(problems_add(p, LOG_WARNING, format, ap));
        va_end(ap);
}

void problems_doubt(Problems *p, Doors doors, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        char *text = problems_add(p, LOG_ERR, format, ap);
        va_end(ap);

        p->doors |= doors;
        if (p->n_doubts++ == 0)
                p->doubt = text;
        else
                free(text);
}
