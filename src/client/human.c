/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <time.h>

#include "human.h"

/* A year of five digits is nobody's clock, and no more fits. */
static bool break_down(usec_t t, struct tm *ret) {
        time_t seconds = (time_t) (t / USEC_PER_SEC);

        return localtime_r(&seconds, ret) && ret->tm_year < 9999 - 1900;
}

const char *human_timestamp(usec_t t, char buffer[static HUMAN_TEXT_MAX]) {
        struct tm tm;

        if (!break_down(t, &tm) || strftime(buffer, HUMAN_TEXT_MAX, "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
                return strcpy(buffer, "an unknown time");

        return buffer;
}

const char *human_moment(usec_t t, usec_t now, char buffer[static HUMAN_TEXT_MAX]) {
        struct tm tm, today;

        if (!break_down(t, &tm) || !break_down(now, &today))
                return strcpy(buffer, "an unknown time");

        bool is_today = tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday;
        strftime(buffer, HUMAN_TEXT_MAX, is_today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
        return buffer;
}

const char *human_distance(usec_t t, usec_t now, char buffer[static HUMAN_TEXT_MAX]) {
        static const struct {
                unsigned long long seconds;
                const char *name;
        } units[] = {{31556952, " years"}, {7 * 86400, " weeks"}, {86400, " days"},
                     {3600, "h"},          {60, "min"},           {1, "s"}};
        static const size_t n_words = 3;
        bool past = t <= now;
        unsigned long long left = (past ? now - t : t - now) / USEC_PER_SEC;
        size_t i = 0;
        char second[32] = "";

        if (left == 0)
                return strcpy(buffer, past ? "just now" : "in a moment");

        /* Words from two on, so that they need no singular. */
        while (i < ELEMENTSOF(units) - 1 && left < (i < n_words ? 2 : 1) * units[i].seconds)
                i++;

        unsigned long long rest = left % units[i].seconds;
        if (i >= n_words && i + 1 < ELEMENTSOF(units) && rest >= units[i + 1].seconds)
                snprintf(second, sizeof second, " %llu%s", rest / units[i + 1].seconds, units[i + 1].name);

        snprintf(buffer, HUMAN_TEXT_MAX, "%s%llu%s%s%s", past ? "" : "in ", left / units[i].seconds,
                 units[i].name, second, past ? " ago" : "");
        return buffer;
}

const char *human_size(uint64_t bytes, char buffer[static HUMAN_TEXT_MAX]) {
        static const char units[] = "KMGTPE";
        size_t unit = 0;

        if (bytes < 1024) {
                snprintf(buffer, HUMAN_TEXT_MAX, "%uB", (unsigned) bytes);
                return buffer;
        }

        double value = (double) bytes / 1024;
        for (; value >= 1024 && units[unit + 1]; unit++)
                value /= 1024;

        snprintf(buffer, HUMAN_TEXT_MAX, "%.1f%c", value, units[unit]);
        return buffer;
}
