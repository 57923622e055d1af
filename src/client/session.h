/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "arguments.h"
#include "connection.h"
#include "output.h"
#include "prompt.h"

/*
 * Session: a person or a script at a console, between the standard input, the connection to vspcd and the
 * standard output. What the client itself has to say goes to the standard error, what the prompt says to the
 * terminal.
 *
 * Output that is held back or waits to be written is in one queue (Output): while it has no room nothing is
 * read from vspcd. Input waits in the connection's queue: while that has no room a pipe is not read, and
 * keys of a terminal that do not fit are refused with a bell, so that the escape character always works.
 */
typedef enum SessionPhase {
        SESSION_WAITING,  /* on the way to the console, or resting before the next attempt */
        SESSION_ATTACHED,
        SESSION_DRAINING, /* it is over, but not everything is written yet */
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
        usec_t active_at; /* when a byte last went in or out, CLOCK_MONOTONIC */

        char *vm;    /* as it was named; once attached, its id */
        char *title; /* for people, sanitised */
        bool cleared;

        sd_event_source *retry;
        usec_t rest;
        usec_t attached_at;
        char *told;       /* the reason for waiting that was last told */
        char *last_words; /* the message with which it ends, if it is a failure */
};

/* Rests between attempts to attach, doubled after each that has failed. An attempt whose connection is
 * shorter than the longest rest counts as failed. */
#define SESSION_REST_MIN_USEC (100 * USEC_PER_MSEC)
#define SESSION_REST_MAX_USEC (2 * USEC_PER_SEC)

int session_new(const Arguments *arguments, Session **ret);
Session *session_free(Session *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(Session *, session_free);

/* Runs until the session is over. Returns: 0 or a negative errno; s->last_words may have a message. */
int session_run(Session *s);

/* For the prompt: */

/* Shows a message on lines of its own. */
void session_say(Session *s, const char *format, ...) _printf_(2, 3);

/* Reads from vspcd only while the output queue has room. */
void session_update_reading(Session *s);

/* Ends the session at once, as a success unless there are last words. */
void session_finish(Session *s);

static inline bool session_is_going_on(const Session *s) {
        return s->phase < SESSION_DRAINING;
}
