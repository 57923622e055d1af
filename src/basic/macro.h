/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Idioms that every file uses: cleanup at the end of a scope, transfer of ownership, minimum and maximum. */

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))

/* Each use has its own variables, so that MIN() and MAX() can be nested. */
#define MIN(a, b) _MIN_MAX(<, a, b, __COUNTER__)
#define MAX(a, b) _MIN_MAX(>, a, b, __COUNTER__)
#define _MIN_MAX(op, a, b, unique) _MIN_MAX_(op, a, b, unique)
#define _MIN_MAX_(op, a, b, unique)                                                                          \
        ({                                                                                                   \
                __typeof__(a) _a##unique = (a);                                                              \
                __typeof__(b) _b##unique = (b);                                                              \
                _a##unique op _b##unique ? _a##unique : _b##unique;                                          \
        })

/* The object whose member @member is at @ptr. */
#define container_of(ptr, type, member) ((type *) ((char *) (ptr) - offsetof(type, member)))

/* Value: that of @variable, which is set to @empty and no longer owns it. */
#define TAKE(variable, empty)                                                                                \
        ({                                                                                                   \
                __typeof__(variable) _taken = (variable);                                                    \
                (variable) = (empty);                                                                        \
                _taken;                                                                                      \
        })
#define TAKE_PTR(p) TAKE(p, NULL)
#define TAKE_FD(fd) TAKE(fd, -1)

#define DEFINE_TRIVIAL_CLEANUP_FUNC(type, func)                                                              \
        static inline void func##p(type *p) {                                                                \
                if (*p)                                                                                      \
                        func(*p);                                                                            \
        }

static inline void freep(void *p) {
        free(*(void **) p);
}

#define _cleanup_free_ _cleanup_(freep)

/* Closes @fd unless it is negative, and keeps errno. Returns: -1, to be assigned to the variable. */
static inline int safe_close(int fd) {
        if (fd >= 0) {
                int saved_errno = errno;

                (void) close(fd);
                errno = saved_errno;
        }

        return -1;
}

static inline void closep(int *fd) {
        safe_close(*fd);
}

#define _cleanup_close_ _cleanup_(closep)

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}
