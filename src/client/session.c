/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>

#include "basic/text.h"
#include "basic/timeout-queue.h"
#include "message.h"
#include "refusal.h"
#include "session.h"
#include "terminal.h"

#define INPUT_READ_MAX 4096U

void session_say(Session *s, const char *format, ...) {
        bool alone = s->output.at_line_begin && !s->prompting;
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *text = text_format_va(format, ap), *clean = text ? message_clean(text) : NULL;
        va_end(ap);

        _cleanup_free_ char *line = text_format("%svspc-client: %s\n", s->terminal && !alone ? "\n" : "", clean ?: "?");
        if (!line)
                return;

        terminal_write(STDERR_FILENO, line);
        s->output.at_line_begin = true;
        if (s->prompting)
                prompt_show(s);
}

void session_finish(Session *s) {
        s->phase = SESSION_OVER;
        (void) sd_event_exit(s->event, s->last_words || s->output.error < 0 ? -EREMOTEIO : 0);
}

static char *explain_errno(const char *what, int error) {
        return text_format("%s: %s", what, strerror(-error));
}

/* Ends the session once all output is written, or cannot be written, which is a failure. */
static void session_finish_writing(Session *s) {
        if (!output_is_done(&s->output))
                return;

        if (s->output.error < 0 && !s->last_words)
                s->last_words = explain_errno("Cannot write to the standard output", s->output.error);
        session_finish(s);
}

static void session_drain(Session *s) {
        s->phase = SESSION_DRAINING;
        prompt_abandon(s);
        s->input = sd_event_source_disable_unref(s->input);
        s->silence = sd_event_source_disable_unref(s->silence);
        s->retry = sd_event_source_disable_unref(s->retry);
        connection_close(&s->connection);

        /* Makes ^C work even if the terminal takes no output. */
        terminal_restore();
        output_release(&s->output);
        session_finish_writing(s);
}

/* Ends the session as a failure once all output is written. Takes over @why. */
static void session_fail(Session *s, char *why) {
        s->last_words = why ?: strdup("Out of memory");
        session_drain(s);
}

static void session_fail_errno(Session *s, const char *what, int error) {
        session_fail(s, explain_errno(what, error));
}

static void session_update_input(Session *s) {
        bool wanted = s->terminal ? s->title != NULL
                                  : connection_input_space(&s->connection) >= INPUT_READ_MAX;

        if (s->input)
                (void) sd_event_source_set_enabled(s->input, wanted ? SD_EVENT_ON : SD_EVENT_OFF);
}

void session_update_reading(Session *s) {
        if (!session_is_going_on(s))
                return;

        if (output_space(&s->output) < CONNECTION_READ_MAX)
                connection_pause(&s->connection);
        else
                connection_resume(&s->connection);
}

static void session_note_activity(Session *s) {
        s->active_usec = event_now(s->event);
}

/* How long the VM must be silent after the end of an input that is not a terminal */

static usec_t session_silence_max(const Session *s) {
        return s->input_begun || s->arguments->quiet_for_given ? s->arguments->quiet_for_usec : USEC_INFINITY;
}

static int session_silence_elapsed(sd_event_source *source, _unused_ uint64_t scheduled, void *userdata) {
        Session *s = userdata;
        size_t unsent = connection_unsent(&s->connection);
        usec_t max = session_silence_max(s), now = event_now(s->event);

        /* Silence does not count while we are not attached, or do not read because the output queue is full. */
        if (s->phase != SESSION_ATTACHED || s->connection.paused) {
                s->active_usec = now;
                max = MAX(max, SESSION_BACKOFF_MIN_USEC);
        }

        if (now - s->active_usec < max) {
                (void) sd_event_source_set_time(source, s->active_usec + max);
                (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
                return 0;
        }

        if (unsent == 0) {
                session_drain(s);
                return 0;
        }

        session_fail(s, text_format("VM %s has not taken the last %zu bytes of the input", s->title, unsent));
        return 0;
}

static void session_input_ended(Session *s) {
        s->input = sd_event_source_disable_unref(s->input);

        if (s->terminal) {
                session_fail(s, strdup("The terminal is gone"));
                return;
        }

        session_note_activity(s);
        usec_t max = session_silence_max(s);
        if (max == USEC_INFINITY)
                return;

        int r = sd_event_add_time(s->event, &s->silence, CLOCK_MONOTONIC, s->active_usec + max, 1,
                                  session_silence_elapsed, s);

        /* Read everything that was received first, also after this process was stopped (SIGSTOP). */
        if (r >= 0)
                r = sd_event_source_set_priority(s->silence, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                session_fail_errno(s, "Cannot start a timer", r);
}

static void session_read_input(Session *s) {
        uint8_t buffer[INPUT_READ_MAX];
        ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                session_input_ended(s);
                return;
        }

        s->input_begun = true;
        if (s->terminal)
                prompt_keys(s, buffer, (size_t) n);
        else /* there is room, because otherwise the input is not read */
                (void) connection_send(&s->connection, buffer, (size_t) n);

        session_update_input(s);
}

static int session_input_dispatch(_unused_ sd_event_source *source, _unused_ int fd,
                                  _unused_ uint32_t events, void *userdata) {
        session_read_input(userdata);
        return 0;
}

/* A regular file, which epoll refuses: it is always ready. */
static int session_file_dispatch(_unused_ sd_event_source *source, void *userdata) {
        session_read_input(userdata);
        return 0;
}

static int session_watch_input(Session *s) {
        int r = sd_event_add_io(s->event, &s->input, STDIN_FILENO, EPOLLIN, session_input_dispatch, s);
        if (r == -EPERM)
                r = sd_event_add_defer(s->event, &s->input, session_file_dispatch, s);
        if (r < 0)
                return r;

        return sd_event_source_set_enabled(s->input, SD_EVENT_OFF);
}

static void session_output_changed(Output *o) {
        Session *s = container_of(o, Session, output);

        if (!session_is_going_on(s))
                session_finish_writing(s);
        else if (o->error < 0)
                session_drain(s);
        else
                session_update_reading(s);
}

/* The connection */

static int session_attach(Session *s) {
        json_t *parameters = json_pack("{s:s, s:s*}", "vm", s->vm, "access", s->arguments->access);

        /* Only once: otherwise two sessions could take over from each other forever. */
        bool force = s->arguments->force && !TAKE(s->forced, true);

        if (!parameters ||
            (s->arguments->no_scrollback && json_object_set_new(parameters, "scrollback", json_false()) < 0) ||
            (force && json_object_set_new(parameters, "force", json_true()) < 0)) {
                json_decref(parameters);
                return -ENOMEM;
        }

        return connection_call(&s->connection, "Attach", parameters, VARLINK_UPGRADE);
}

static int session_backoff_elapsed(_unused_ sd_event_source *source, _unused_ uint64_t now, void *userdata) {
        Session *s = userdata;
        int r = session_attach(s);

        if (r < 0)
                session_fail_errno(s, "Cannot attach", r);
        return 0;
}

static void session_rest(Session *s) {
        usec_t now = event_now(s->event);

        s->phase = SESSION_WAITING;
        session_update_input(s);

        if (s->attached_usec > 0 && now - s->attached_usec > SESSION_BACKOFF_MAX_USEC)
                s->backoff_usec = SESSION_BACKOFF_MIN_USEC;
        s->attached_usec = 0;

        s->retry = sd_event_source_disable_unref(s->retry);
        int r = sd_event_add_time(s->event, &s->retry, CLOCK_MONOTONIC, now + s->backoff_usec, 1,
                                  session_backoff_elapsed, s);
        if (r < 0)
                session_fail_errno(s, "Cannot start a timer", r);

        s->backoff_usec = MIN(s->backoff_usec * 2, SESSION_BACKOFF_MAX_USEC);
}

static const char *escape_name(uint8_t c, char buffer[static 8]) {
        if (c < 0x20 || c == 0x7f)
                snprintf(buffer, 8, "^%c", c ^ 0x40);
        else if (c > 0x7f)
                snprintf(buffer, 8, "\\x%02x", c);
        else
                snprintf(buffer, 8, "%c", c);

        return buffer;
}

static void session_tell_read_only(Session *s, const json_t *vm) {
        _cleanup_free_ char *text = NULL;
        const json_t *writer = vm_find_writer(vm);
        size_t size;

        FILE *f = writer ? open_memstream(&text, &size) : NULL;
        if (f) {
                print_holder(f, writer, connection_users(&s->connection));
                if (fclose(f) != 0)
                        free(TAKE_PTR(text));
        }

        session_say(s, "Read-only: %s", text ?: "the VM does not get what you type");
}

static void session_tell_attached(Session *s, const json_t *vm, const char *granted) {
        int c = s->arguments->escape;
        char name[8];

        if (!s->terminal || c == ESCAPE_NONE)
                session_say(s, "Connected to VM %s.", s->title);
        else
                session_say(s, "Connected to VM %s. The escape character is %s.", s->title,
                            escape_name((uint8_t) c, name));

        if (streq(granted, "read_only"))
                session_tell_read_only(s, vm);
        else if (streq(granted, "exclusive") || streq(granted, "write"))
                session_say(s, "You hold %s access.", granted);
}

static void session_attached(Connection *c, const VarlinkReply *reply) {
        Session *s = container_of(c, Session, connection);
        const json_t *vm = json_object_get(reply->parameters, "vm");
        const char *id = json_get_text(vm, "id", s->vm);
        char *new_vm = strdup(id), *new_title = vm_title(vm);

        if (!new_vm || !new_title) {
                free(new_vm);
                free(new_title);
                session_fail(s, NULL);
                return;
        }

        free(s->vm);
        free(s->title);
        s->vm = new_vm;
        s->title = new_title;
        free(TAKE_PTR(s->told));
        s->client = 0;
        (void) json_get_number(reply->parameters, "client", &s->client);
        s->phase = SESSION_ATTACHED;
        session_note_activity(s);
        s->attached_usec = s->active_usec;

        session_tell_attached(s, vm, json_get_text(reply->parameters, "granted", ""));

        int r = s->terminal ? terminal_make_raw() : 0;
        if (r < 0)
                session_fail_errno(s, "Cannot make the terminal raw", r);
        session_update_input(s);
}

static void session_received(Connection *c, const void *data, size_t n) {
        Session *s = container_of(c, Session, connection);

        session_note_activity(s);
        output_add(&s->output, data, n);
        session_output_changed(&s->output);
}

static void session_sent(Connection *c) {
        Session *s = container_of(c, Session, connection);

        session_note_activity(s);
        session_update_input(s);
}

/* The reason for waiting, without details that need another call */
static char *summary(const Connection *c, int error) {
        return text_format("%d %s", error, error == -EREMOTEIO ? c->refusal.error : c->problem ?: "");
}

static char *session_explain(Session *s, int error) {
        /* After a successful attach, somebody may be typing. */
        RefusalDetail detail = s->title ? REFUSAL_BRIEF : REFUSAL_IN_FULL;
        _cleanup_free_ char *why = refusal_explain(&s->connection, error, s->vm, detail);

        if (!why || error == -EREMOTEIO || s->connection.unreachable)
                return TAKE_PTR(why);

        _cleanup_free_ char *asked = text_sanitize(s->vm, strlen(s->vm), SIZE_MAX);
        const char *what = s->phase == SESSION_ATTACHED ? "Disconnected from" : "Cannot attach to";

        return text_format("%s VM %s: %s", what, s->title ?: asked ?: "?", why);
}

/* Shows the reason for waiting, once for each reason. */
static void session_tell_waiting(Session *s, int error) {
        _cleanup_free_ char *now = summary(&s->connection, error);

        if (now && s->told && streq(now, s->told))
                return;

        _cleanup_free_ char *why = session_explain(s, error);

        session_say(s, "%s\nWaiting until it is possible to attach to the VM.", why ?: "Out of memory");
        free(s->told);
        s->told = TAKE_PTR(now);
}

static void session_ended(Connection *c, int error) {
        Session *s = container_of(c, Session, connection);
        bool passes = error != -EREMOTEIO || refusal_may_pass(&c->refusal), cleared = TAKE(s->cleared, false);

        if (s->arguments->wait && passes) {
                session_tell_waiting(s, error);
                session_rest(s);
        } else if (cleared)
                session_drain(s);
        else
                session_fail(s, session_explain(s, error));
}

static const ConnectionHandler connection_handler = {
        .attached = session_attached,
        .received = session_received,
        .sent = session_sent,
        .ended = session_ended,
};

int session_new(const Arguments *arguments, Session **ret) {
        _cleanup_(session_freep) Session *s = calloc(1, sizeof(Session));
        if (!s)
                return -ENOMEM;

        s->arguments = arguments;
        s->backoff_usec = SESSION_BACKOFF_MIN_USEC;
        s->terminal = terminal_is_there();
        s->output.fd = -1;
        s->connection = CONNECTION_INIT(&arguments->targets);
        s->connection.handler = &connection_handler;

        s->vm = strdup(arguments->words[0]);
        if (!s->vm)
                return -ENOMEM;

        int r = sd_event_new(&s->event);
        if (r < 0)
                return r;

        r = poller_new(s->event, &s->poller);
        if (r < 0)
                return r;

        s->connection.poller = s->poller;

        r = output_open(&s->output, s->event, session_output_changed);
        if (r < 0)
                return r;

        r = session_watch_input(s);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s);
        return 0;
}

Session *session_free(Session *s) {
        if (!s)
                return NULL;

        connection_done(&s->connection);
        output_close(&s->output);
        sd_event_source_disable_unref(s->input);
        sd_event_source_disable_unref(s->silence);
        sd_event_source_disable_unref(s->retry);
        if (s->poller)
                poller_free(s->poller);
        sd_event_unref(s->event);
        free(s->vm);
        free(s->title);
        free(s->told);
        free(s->last_words);
        free(s);
        return NULL;
}

int session_run(Session *s) {
        int r = session_attach(s);
        if (r < 0)
                return r;

        r = sd_event_loop(s->event);
        terminal_restore();

        /* The following message must begin on a new line. */
        if (r < 0 && s->terminal && !s->output.at_line_begin)
                terminal_write(STDERR_FILENO, "\n");
        return r;
}
