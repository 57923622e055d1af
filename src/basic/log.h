/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <syslog.h>

#include "rate-limit.h"

/*
 * Logging: to the journal with its fields where stderr is connected to it, as lines on stderr otherwise.
 *
 * Neither may ever hold up an event loop: journald may be stopped and a terminal may be paused. Once
 * log_start_worker() has been called entries are handed to a thread through a bounded queue; what does not
 * fit is dropped, counted, and the count is logged as soon as there is room again.
 */

typedef struct LogField {
        const char *name; /* "VSPC_VM_NAME=" */
        const char *value;
} LogField;

/* What an entry carries besides its message; it is copied. */
typedef struct LogFields {
        const char *message_id; /* 32 hex digits, or NULL */
        const LogField *field;
        size_t n_fields;
} LogFields;

#define LOG_FIELDS_MAX 8U         /* more are ignored */
#define LOG_MESSAGE_MAX 2048U     /* bytes; a longer message is cut */
#define LOG_QUEUE_ENTRIES_MAX 4096U

#define LOG_RATE_LIMIT_USEC (10 * USEC_PER_SEC)

/* For what may happen very often, or what strangers can make happen: logged at most every ten seconds. @now:
 * CLOCK_MONOTONIC. Returns: how often it has happened, if that is to be logged now, else 0. */
static inline unsigned log_rate_limit_pass(RateLimit *l, usec_t now) {
        return rate_limit_pass(l, now, LOG_RATE_LIMIT_USEC, 1) ? TAKE(l->n_left_out, 0) + 1 : 0;
}

/* For what strangers can have logged where each time is of interest: up to so many lines in ten seconds.
 * *ret_left_out: how many lines were left out before this one, to be told. Returns: whether it is to be logged. */
#define LOG_BURST_MAX 16U

static inline bool log_burst_pass(RateLimit *l, usec_t now, unsigned *ret_left_out) {
        bool passes = rate_limit_pass(l, now, LOG_RATE_LIMIT_USEC, LOG_BURST_MAX);

        *ret_left_out = passes ? TAKE(l->n_left_out, 0) : 0;
        return passes;
}

/* @identifier stands before each line on stderr. */
void log_open(const char *identifier);

/* To be called after log_open() by a process that ends soon: it writes lines on stderr even to the journal, which knows
 * the unit of that stream. Who sent an entry it looks up later, and the process may have ended by then. */
void log_use_lines(void);
void log_set_max_level(int level);

/* Whether what is logged with @level goes anywhere: what is not wanted need not be formatted. */
bool log_is_wanted(int level);
int log_start_worker(void);

/* Waits for what is queued, but not for ever, and goes back to logging in the foreground. */
void log_stop_worker(void);

/* Returns: -@error, so that `return log_error_errno(r, …)` reads well. errno is set for %m meanwhile. */
int log_full(int level, int error, const LogFields *fields, const char *format, ...) _printf_(4, 5);

#define log_debug(...) ((void) log_full(LOG_DEBUG, 0, NULL, __VA_ARGS__))
#define log_info(...) ((void) log_full(LOG_INFO, 0, NULL, __VA_ARGS__))
#define log_notice(...) ((void) log_full(LOG_NOTICE, 0, NULL, __VA_ARGS__))
#define log_warning(...) ((void) log_full(LOG_WARNING, 0, NULL, __VA_ARGS__))
#define log_error(...) ((void) log_full(LOG_ERR, 0, NULL, __VA_ARGS__))
#define log_warning_errno(r, ...) log_full(LOG_WARNING, (r), NULL, __VA_ARGS__)
#define log_error_errno(r, ...) log_full(LOG_ERR, (r), NULL, __VA_ARGS__)
