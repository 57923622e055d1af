/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "arguments.h"
#include "connection.h"
#include "output.h"
#include "prompt.h"

/*
 * Session: connects a person or a script to a console: passes data between the standard input, the connection to
 * vspcd and the standard output. Messages of vspc-client go to the standard error, those of the prompt to the
 * terminal.
 *
 * Output that is held back or cannot be written yet is in one queue (Output). While it is full, nothing is read from
 * vspcd. Input waits in the connection's queue. While that is full, a pipe is not read; but a terminal is, so that
 * the escape character always works, and keys that do not fit are discarded with a bell.
 */
typedef enum SessionPhase {
        SESSION_WAITING,  /* on the way to the console, or waiting before the next attempt */
        SESSION_ATTACHED,
        SESSION_DRAINING, /* over, but some output has not been written yet */
        SESSION_OVER,
} SessionPhase;

struct Session {
        const Arguments *arguments;
        sd_event *event;
        Poller *poller;
        SessionPhase phase;

        Connection connection;
        Output output;
        Prompt prompt;
        bool prompting;
        bool terminal; /* the standard input is one */

        sd_event_source *input; /* of the standard input; NULL once that has ended */
        bool input_begun;       /* there was some input */
        sd_event_source *silence;
        usec_t active_usec; /* when a byte last went in or out, CLOCK_MONOTONIC */

        char *vm;    /* as given by the user; once attached, its id */
        char *title; /* sanitized, for messages */
        uint64_t client; /* our number among the VM's clients */
        bool forced;     /* we have taken over, or tried to */
        bool cleared;

        sd_event_source *retry;
        usec_t backoff_usec;
        usec_t attached_usec;
        char *told;       /* the reason for waiting that was shown last */
        char *last_words; /* the message at the end, if the session fails */
};

/* Pauses between attempts to attach, doubled after each failure. An attempt whose connection ends before the
 * longest pause has passed counts as a failure. */
#define SESSION_BACKOFF_MIN_USEC (100 * USEC_PER_MSEC)
#define SESSION_BACKOFF_MAX_USEC (2 * USEC_PER_SEC)

int session_new(const Arguments *arguments, Session **ret);
Session *session_free(Session *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(Session *, session_free);

/* Runs until the session is over. Returns: 0 or a negative errno; s->last_words may have a message. */
int session_run(Session *s);

/* For the prompt: */

/* Shows a message on separate lines. */
void session_say(Session *s, const char *format, ...) _printf_(2, 3);

/* Reads from vspcd only while the output queue has room. */
void session_update_reading(Session *s);

/* Ends the session at once, as a success unless there are last words. */
void session_finish(Session *s);

static inline bool session_is_going_on(const Session *s) {
        return s->phase < SESSION_DRAINING;
}
