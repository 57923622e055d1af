/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <syslog.h>

#include "rate-limit.h"

/*
 * Logging: to the journal, with fields, if stderr is connected to it; otherwise as lines on stderr.
 *
 * Both may block: journald may be stopped, and a terminal paused. After log_start_worker(), a thread writes the entries, from
 * a bounded queue. Entries that do not fit are dropped and counted, and the count is logged when there is room again.
 */

typedef struct LogField {
        const char *name; /* "VSPC_VM_NAME=" */
        const char *value;
} LogField;

/* Fields of an entry besides its message. log_full() copies them. */
typedef struct LogFields {
        const char *message_id; /* 32 hex digits, or NULL */
        const LogField *field;
        size_t n_fields;
} LogFields;

#define LOG_FIELDS_MAX 8U         /* more are ignored */
#define LOG_MESSAGE_MAX 2048U     /* bytes; a longer message is cut */
#define LOG_QUEUE_ENTRIES_MAX 4096U

#define LOG_RATE_LIMIT_USEC (10 * USEC_PER_SEC)

/* For events that may be very frequent, or that strangers can cause: to be logged at most every ten seconds. @now:
 * CLOCK_MONOTONIC. Returns: the number of events since the last one logged, if it is to be logged now; otherwise 0. */
static inline unsigned log_rate_limit_pass(RateLimit *l, usec_t now) {
        return rate_limit_pass(l, now, LOG_RATE_LIMIT_USEC, 1) ? TAKE(l->n_left_out, 0) + 1 : 0;
}

/* For events that strangers can cause, if each is of interest: up to LOG_BURST_MAX lines in ten seconds. *ret_left_out: lines
 * that were left out before this one, to be mentioned in it. Returns: whether to log the event. */
#define LOG_BURST_MAX 16U

static inline bool log_burst_pass(RateLimit *l, usec_t now, unsigned *ret_left_out) {
        bool passes = rate_limit_pass(l, now, LOG_RATE_LIMIT_USEC, LOG_BURST_MAX);

        *ret_left_out = passes ? TAKE(l->n_left_out, 0) : 0;
        return passes;
}

/* @identifier: the beginning of each line on stderr */
void log_open(const char *identifier);

/* To be called after log_open() by a process that ends soon. It writes lines on stderr even if that is the journal, which knows
 * the unit of this stream. For entries journald looks up the unit of the sender, which may have ended by then. */
void log_use_lines(void);
void log_set_max_level(int level);

/* Returns: whether messages of @level are logged. If not, they need not be formatted. */
bool log_is_wanted(int level);
int log_start_worker(void);

/* Waits until the queue has been written, for a limited time. After that the caller's thread writes entries. */
void log_stop_worker(void);

/* %m in @format is the text of @error. Returns: -@error, for `return log_error_errno(r, …)`. */
int log_full(int level, int error, const LogFields *fields, const char *format, ...) _printf_(4, 5);

#define log_debug(...) ((void) log_full(LOG_DEBUG, 0, NULL, __VA_ARGS__))
#define log_info(...) ((void) log_full(LOG_INFO, 0, NULL, __VA_ARGS__))
#define log_notice(...) ((void) log_full(LOG_NOTICE, 0, NULL, __VA_ARGS__))
#define log_warning(...) ((void) log_full(LOG_WARNING, 0, NULL, __VA_ARGS__))
#define log_error(...) ((void) log_full(LOG_ERR, 0, NULL, __VA_ARGS__))
#define log_warning_errno(r, ...) log_full(LOG_WARNING, (r), NULL, __VA_ARGS__)
#define log_error_errno(r, ...) log_full(LOG_ERR, (r), NULL, __VA_ARGS__)
