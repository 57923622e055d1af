/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "basic/timeout-queue.h"
#include "console/message.h"
#include "hook-log.h"
#include "hook-runner.h"
#include "transport/helper.h"

#define SOCKET_DEFAULT "/run/vspc/hooks.socket"

/* An event that has been taken out of the queue */
typedef struct Telling {
        HookEvent event;
        bool sent; /* to the present vspc-hooks */
} Telling;

struct HookRunner {
        sd_event *loop;
        Helper helper;
        sd_event_source *report_timer;
        usec_t reported_usec; /* CLOCK_MONOTONIC; 0: never */

        bool active;   /* there are hooks */
        bool load_due; /* "load" must be sent */
        bool loading;  /* "load" was sent, and has no answer yet */
        bool ending;   /* vspc-hooks accepts no more messages, but may still answer */
        bool announce; /* log the number of hooks */
        bool failing;  /* vspc-hooks cannot be reached, which has been logged */
        usec_t timeout_usec;

        HookQueue queue;
        Telling telling[HOOK_CHANNEL_EVENTS_MAX];
        size_t n_telling;
        HookLog log;
};

static void runner_advance(HookRunner *r);

static bool runner_has_report(const HookRunner *r) {
        return r->queue.n_merged > 0 || r->queue.n_dropped > 0 || r->log.limit.n_left_out > 0;
}

/* Logs events for which hooks were not run. */
static void runner_report(HookRunner *r) {
        uint64_t n_merged = TAKE(r->queue.n_merged, 0), n_dropped = TAKE(r->queue.n_dropped, 0);

        r->reported_usec = event_now(r->loop);
        hook_log_report(&r->log);
        if (n_merged > 0 || n_dropped > 0)
                log_full(n_dropped > 0 ? LOG_WARNING : LOG_NOTICE, 0,
                         &(LogFields){.message_id = VSPC_MESSAGE_HOOKS_BEHIND},
                         "Hooks have caught up: %" PRIu64 " events were merged into later ones, and %" PRIu64 " dropped",
                         n_merged, n_dropped);
}

static int on_report(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        runner_report(userdata);
        return 0;
}

/* The queue is empty. A VM that connects and disconnects all the time must not fill the log with this message. */
static void runner_caught_up(HookRunner *r) {
        usec_t next = r->reported_usec + HOOK_LOG_INTERVAL_USEC;

        if (!runner_has_report(r))
                return;

        if (r->reported_usec == 0 || event_now(r->loop) >= next) {
                runner_report(r);
                return;
        }

        (void) sd_event_source_set_time(r->report_timer, next);
        (void) sd_event_source_set_enabled(r->report_timer, SD_EVENT_ONESHOT);
}

static void runner_close(HookRunner *r) {
        helper_close(&r->helper);
        r->loading = r->ending = false;
}

/* Called when the event in @slot is done. */
static void runner_done(HookRunner *r, size_t slot) {
        hook_queue_done(&r->queue, &r->telling[slot].event);
        r->telling[slot] = r->telling[--r->n_telling];
}

/* vspc-hooks cannot be reached: log it if this is new. */
static void runner_fail(HookRunner *r, int error) {
        if (!r->failing)
                log_full(LOG_ERR, error, &(LogFields){.message_id = VSPC_MESSAGE_HOOKS_UNREACHABLE},
                         "Cannot run hooks until vspc-hooks can be reached at %s: %m (\"systemctl restart "
                         "vspc-hooks.socket\" makes systemd listen there)",
                         r->helper.address.sun_path);

        r->failing = true;
        helper_back_off(&r->helper);
}

/* Called when the connection has ended or failed. @error: a negative errno, or 0 */
static void runner_lose(HookRunner *r, int error) {
        if (r->loading) /* not even connected */
                runner_fail(r, error < 0 ? error : -ECONNRESET);

        runner_close(r);
        r->load_due = true;

        for (size_t i = 0; i < r->n_telling;)
                if (r->telling[i].sent) {
                        hook_log_interrupted(&r->log, error, &r->telling[i].event);
                        runner_done(r, i);
                } else
                        i++;

        runner_advance(r);
}

static void runner_loaded(HookRunner *r, size_t n) {
        r->loading = false;
        if (TAKE(r->failing, false) && n > 0)
                log_notice("vspc-hooks can be reached again, hooks are run");
        if (TAKE(r->announce, false) && n > 0)
                log_info("Loaded %zu %s", n, n == 1 ? "hook" : "hooks");
        if (n == 0 && !r->load_due)
                hook_runner_rest(r);
}

/* Returns: 0, or -EPROTO if no such event was sent. */
static int runner_answered(HookRunner *r, const HookMessage *m) {
        for (size_t i = 0; i < r->n_telling; i++)
                if (r->telling[i].sent && streq(r->telling[i].event.id, m->id)) {
                        if (m->type == HOOK_MESSAGE_TOLD)
                                runner_done(r, i);
                        else
                                r->telling[i].sent = false;
                        return 0;
                }

        return -EPROTO;
}

static int on_message(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events, void *userdata) {
        HookRunner *r = userdata;
        HookMessage m;

        int k = hook_channel_receive(fd, &m);
        if (k == -EAGAIN)
                return 0;

        if (k > 0) {
                if (m.type == HOOK_MESSAGE_LOADED && r->loading)
                        runner_loaded(r, m.n_hooks);
                else if (m.type == HOOK_MESSAGE_TOLD || m.type == HOOK_MESSAGE_UNTOLD)
                        k = runner_answered(r, &m);
                else
                        k = -EPROTO;
                hook_message_done(&m);
        } else if (k == 0)
                k = -ECONNRESET;

        if (k < 0)
                runner_lose(r, k == -ECONNRESET ? 0 : k);
        else
                runner_advance(r);
        return 0;
}

static int on_retry(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        runner_advance(userdata);
        return 0;
}

/* Returns: whether there is a connection. */
static bool runner_connect(HookRunner *r) {
        int k = helper_connect(&r->helper);

        if (k < 0)
                runner_fail(r, k);
        return k > 0;
}

static int runner_send_load(HookRunner *r) {
        int k = hook_channel_send_load(r->helper.fd, r->timeout_usec);
        if (k < 0)
                return k;

        r->load_due = false;
        r->loading = true;
        return 0;
}

/* Sends messages as long as vspc-hooks accepts them. Returns: 0 or a negative errno. */
static int runner_send(HookRunner *r) {
        if (r->load_due) {
                if (r->loading)
                        return 0; /* later events are for the new hooks */
                int k = runner_send_load(r);
                if (k < 0)
                        return k;
        }

        for (size_t i = 0;; i++) {
                Telling *t = &r->telling[i];

                if (i >= r->n_telling) {
                        if (i >= ELEMENTSOF(r->telling) || hook_queue_take(&r->queue, &t->event) <= 0)
                                return 0;
                        r->n_telling++;
                        t->sent = false;
                }

                int k = t->sent ? 0 : hook_channel_send_event(r->helper.fd, &t->event);
                if (k == -EMSGSIZE || k == -ENOMEM) {
                        hook_log_failure(&r->log, k, "", &t->event, "cannot run them: %m");
                        runner_done(r, i--); /* its slot is free for another event */
                        continue;
                }
                if (k < 0)
                        return k;
                t->sent = true;
        }
}

/* Drops events that have not been sent. Returns: their number. */
static size_t runner_drop_unsent(HookRunner *r) {
        size_t n = 0;

        for (size_t i = 0; i < r->n_telling;)
                if (r->telling[i].sent)
                        i++;
                else {
                        runner_done(r, i);
                        n++;
                }

        return n;
}

/* Connects, sends and logs as needed. Must be called after every change. */
static void runner_advance(HookRunner *r) {
        if (!r->active) {
                (void) runner_drop_unsent(r);
                if (r->n_telling == 0) {
                        runner_close(r);
                        runner_caught_up(r);
                }
                return;
        }

        if (!r->queue.ready && r->n_telling == 0 && !r->announce) {
                runner_caught_up(r);
                return;
        }

        if (!runner_connect(r) || r->ending)
                return;

        int k = runner_send(r);
        if (k == -EPIPE || k == -ECONNRESET)
                r->ending = true; /* its last messages come before the end of the connection */
        else if (k < 0)
                runner_lose(r, k);
}

void hook_runner_load(HookRunner *r, usec_t timeout) {
        r->active = r->load_due = r->announce = true;
        r->timeout_usec = timeout;
        runner_advance(r);
}

void hook_runner_rest(HookRunner *r) {
        r->active = r->announce = false;
        hook_queue_clear(&r->queue);
        runner_advance(r);
}

void hook_runner_tell(HookRunner *r, const HookEvent *event) {
        if (!r->active)
                return;

        int k = hook_queue_add(&r->queue, event);
        if (k < 0 && r->queue.n_dropped == 1)
                log_full(LOG_WARNING, k, &(LogFields){.message_id = VSPC_MESSAGE_HOOKS_BEHIND},
                         "Hooks are too slow, and miss events of VMs until they have caught up: %m");

        runner_advance(r);
}

int hook_runner_new(sd_event *loop, HookRunner **ret) {
        _cleanup_(hook_runner_freep) HookRunner *r = calloc(1, sizeof(HookRunner));
        if (!r)
                return -ENOMEM;

        r->helper.fd = -1;
        r->loop = sd_event_ref(loop);
        int k = helper_init(&r->helper, loop, "VSPC_HOOKS_SOCKET", SOCKET_DEFAULT, on_message, on_retry, r);
        if (k < 0)
                return k;

        k = sd_event_add_time(loop, &r->report_timer, CLOCK_MONOTONIC, 0, 0, on_report, r);
        if (k < 0)
                return k;

        (void) sd_event_source_set_enabled(r->report_timer, SD_EVENT_OFF);
        *ret = TAKE_PTR(r);
        return 0;
}

HookRunner *hook_runner_free(HookRunner *r) {
        size_t n = r->queue.n_pending + runner_drop_unsent(r);

        if (n > 0)
                log_notice("Ending before hooks were run for %zu %s", n, n == 1 ? "event" : "events");

        hook_queue_clear(&r->queue);
        while (r->n_telling > 0)
                runner_done(r, 0);
        if (runner_has_report(r))
                runner_report(r);

        helper_done(&r->helper);
        sd_event_source_disable_unref(r->report_timer);
        sd_event_unref(r->loop);
        free(r);
        return NULL;
}
