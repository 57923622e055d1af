/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "arguments.h"
#include "connection.h"
#include "output.h"
#include "prompt.h"

/*
 * Session: a person or a script at a console, between the standard input, the connection to vspcd and the standard
 * output. What the client itself has to say goes to the standard error, what the prompt says to the terminal.
 *
 * Output that is held back or waits to be written is in one queue (Output): while it has no room nothing is read from
 * vspcd. Input waits in the connection's queue: while that has no room a pipe is not read, and keys of a terminal that do
 * not fit are refused with a bell, so that the escape character always works.
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
        bool input_begun;       /* there was some */
        sd_event_source *silence;
        usec_t active_at; /* the last that anything went in or out, CLOCK_MONOTONIC */

        char *vm;    /* as it was asked for; once attached its id */
        char *title; /* for people, sanitised */
        bool cleared;

        sd_event_source *retry;
        usec_t rest;
        usec_t attached_at;
        char *told;       /* why it cannot be attached to, as far as it has been told */
        char *last_words; /* what it ends with, if that is a failure */
};

/* Rests between attempts to attach, doubled after each that has failed. An attachment that does not last as
 * long as the longest counts as failed. */
#define SESSION_REST_MIN_USEC (100 * USEC_PER_MSEC)
#define SESSION_REST_MAX_USEC (2 * USEC_PER_SEC)

int session_new(const Arguments *arguments, Session **ret);
Session *session_free(Session *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(Session *, session_free);

/* Runs until it is over. Returns: 0 or a negative errno; s->last_words may say more. */
int session_run(Session *s);

/* For the prompt: */

/* Tells the person something, on lines of its own. */
void session_say(Session *s, const char *format, ...) _printf_(2, 3);

/* Reads from vspcd or does not, as there is room for it. */
void session_update_reading(Session *s);

/* Ends it at once, with success unless there are last words. */
void session_finish(Session *s);

static inline bool session_is_going_on(const Session *s) {
        return s->phase < SESSION_DRAINING;
}
