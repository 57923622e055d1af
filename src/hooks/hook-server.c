/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "hook-list.h"
#include "hook-process.h"
#include "hook-server.h"

/* One event for which the hooks are being run */
typedef struct HookJob {
        HookServer *server;
        bool taken;
        HookEvent event;
        HookList *list;
        size_t next; /* of the list */
        usec_t timeout_usec;
        char **environment;
        char *json;
        HookProcess process;
} HookJob;

struct HookServer {
        sd_event *loop;
        int listen_fd, fd; /* fd: the connection; -1: none */
        sd_event_source *listen_source, *source, *stop_timer, *report_timer;
        bool stopping; /* exiting: no more hooks are started */
        HookList *list; /* NULL: not loaded yet */
        usec_t timeout_usec;
        char **base_environment;
        HookLog log;
        HookJob jobs[HOOK_CHANNEL_EVENTS_MAX];
};

static bool server_is_busy(const HookServer *s) {
        for (size_t i = 0; i < ELEMENTSOF(s->jobs); i++)
                if (s->jobs[i].taken)
                        return true;

        return false;
}

/* Logs what has been left out when the server is idle, and exits if nothing else is left to do. */
static void server_check_idle(HookServer *s) {
        if (server_is_busy(s))
                return;

        if (s->stopping) {
                hook_log_report(&s->log);
                (void) sd_event_exit(s->loop, 0);
        } else if (s->log.limit.n_left_out > 0) {
                (void) sd_event_source_set_time(s->report_timer, s->log.limit.since + HOOK_LOG_INTERVAL_USEC);
                (void) sd_event_source_set_enabled(s->report_timer, SD_EVENT_ONESHOT);
        }
}

static int on_report(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        HookServer *s = userdata;

        hook_log_report(&s->log);
        return 0;
}

static int on_stop_elapsed(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        HookServer *s = userdata;

        for (size_t i = 0; i < ELEMENTSOF(s->jobs); i++) {
                HookJob *job = &s->jobs[i];

                if (!job->taken)
                        continue;
                const char *path = job->process.output.path;
                hook_log_failure(&s->log, 0, path, &job->event, "%s has not ended with vspcd, killing it", path);
                hook_process_kill(&job->process);
        }

        return 0;
}

/* vspcd must keep events that it has not sent, and those for which no hook has been run, for the next vspc-hooks. */
static void server_refuse_events(HookServer *s) {
        HookMessage m;
        int r = 0;

        (void) shutdown(s->fd, SHUT_RD);
        while (r >= 0 && hook_channel_receive(s->fd, &m) > 0) {
                if (m.type == HOOK_MESSAGE_EVENT)
                        r = hook_channel_send_untold(s->fd, m.event.id);
                hook_message_done(&m);
        }
}

void hook_server_stop(HookServer *s) {
        if (s->stopping)
                return;

        s->stopping = true;
        s->listen_source = sd_event_source_disable_unref(s->listen_source);
        s->source = sd_event_source_disable_unref(s->source);
        if (s->fd >= 0)
                server_refuse_events(s);

        int r = sd_event_add_time_relative(s->loop, &s->stop_timer, CLOCK_MONOTONIC, HOOK_SERVER_STOP_USEC, 0,
                                           on_stop_elapsed, s);
        if (r < 0)
                (void) on_stop_elapsed(NULL, 0, s);

        server_check_idle(s);
}

/* @r: the result of sending an answer. If vspcd has closed the connection, the next read will notice it. */
static void server_answer(HookServer *s, int r) {
        if (r >= 0 || r == -EPIPE || r == -ECONNRESET)
                return;

        log_error_errno(r, "Cannot answer vspcd, ending: %m");
        hook_server_stop(s);
}

static void job_end(HookJob *job) {
        HookServer *s = job->server;

        /* There is no answer if some of the hooks have not been run. */
        if (s->fd >= 0 && job->next == job->list->n)
                server_answer(s, hook_channel_send_told(s->fd, job->event.id));

        hook_event_done(&job->event);
        hook_list_unref(job->list);
        strings_free(job->environment);
        free(job->json);
        *job = (HookJob){.server = s};
        server_check_idle(s);
}

static void on_process_ended(HookProcess *p);

/* Starts the next hook, or ends the job if there is none. */
static void job_advance(HookJob *job) {
        HookServer *s = job->server;

        while (job->next < job->list->n && !s->stopping) {
                const HookCommand command = {
                        .path = job->list->paths[job->next++],
                        .environment = job->environment,
                        .json = job->json,
                        .event = &job->event,
                        .timeout_usec = job->timeout_usec,
                        .log = &s->log,
                };

                int r = hook_process_start(&job->process, s->loop, &command, on_process_ended);
                if (r >= 0)
                        return;

                hook_log_failure(&s->log, r, command.path, &job->event, "cannot run %s: %m", command.path);
        }

        job_end(job);
}

static void on_process_ended(HookProcess *p) {
        job_advance(container_of(p, HookJob, process));
}

/* Takes over @event if hooks are run for it. Returns: 0; -EPROTO if vspcd has sent too many events; or -ENOMEM:
 * then this vspc-hooks exits, so that vspcd does not wait for an answer for ever. */
static int server_tell(HookServer *s, HookEvent *event) {
        HookJob *job = NULL;

        for (size_t i = 0; i < ELEMENTSOF(s->jobs); i++)
                if (!s->jobs[i].taken)
                        job = &s->jobs[i];
        if (!job || !s->list)
                return -EPROTO;

        _cleanup_(strings_freep) char **environment = hook_event_environment(event, s->base_environment);
        _cleanup_free_ char *json = hook_event_json(event);
        if (!environment || !json) {
                (void) hook_channel_send_untold(s->fd, event->id);
                return -ENOMEM;
        }

        job->taken = true;
        job->event = TAKE(*event, (HookEvent){});
        job->list = hook_list_ref(s->list);
        job->timeout_usec = s->timeout_usec;
        job->environment = TAKE_PTR(environment);
        job->json = TAKE_PTR(json);
        job_advance(job);
        return 0;
}

static int server_load(HookServer *s, usec_t timeout) {
        HookList *list;

        s->timeout_usec = timeout;
        int r = hook_list_load(&list);
        if (r < 0 && !s->list)
                return r;
        if (r < 0)
                log_error_errno(r, "Cannot look for hooks, keeping the previous ones: %m");
        else {
                if (s->list)
                        hook_list_unref(s->list);
                s->list = list;
        }

        server_answer(s, hook_channel_send_loaded(s->fd, s->list->n));
        return 0;
}

static int on_message(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events, void *userdata) {
        HookServer *s = userdata;
        HookMessage m;

        int r = hook_channel_receive(fd, &m);
        if (r == -EAGAIN)
                return 0;
        if (r == 0 || r == -ECONNRESET) { /* vspcd has exited, or there are no hooks any more */
                s->source = sd_event_source_disable_unref(s->source);
                s->fd = safe_close(s->fd);
                hook_server_stop(s);
                return 0;
        }

        if (r > 0) {
                if (m.type == HOOK_MESSAGE_LOAD)
                        r = server_load(s, m.timeout_usec);
                else if (m.type == HOOK_MESSAGE_EVENT)
                        r = server_tell(s, &m.event);
                else
                        r = -EPROTO;
                hook_message_done(&m);
        }

        if (r < 0) {
                log_error_errno(r, "Cannot do what vspcd asks for, ending: %m");
                hook_server_stop(s);
        }

        return 0;
}

/* Returns the owner of the socket's path, which is SocketUser= of its unit. The descriptor would only show who has
 * created it. */
static int socket_owner(int listen_fd, uid_t *ret) {
        struct {
                struct sockaddr_un un;
                char nul; /* a path may be as long as sun_path */
        } address = {};
        socklen_t length = sizeof address.un;
        struct stat st;

        if (getsockname(listen_fd, (struct sockaddr *) &address.un, &length) < 0 || stat(address.un.sun_path, &st) < 0)
                return -errno;

        *ret = st.st_uid;
        return 0;
}

/* vspcd runs as the owner of the socket, and we run as another user. */
static bool peer_may_ask(int listen_fd, int fd) {
        struct ucred peer;
        socklen_t length = sizeof peer;
        uid_t owner;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) {
                log_warning_errno(errno, "Cannot identify the process that has connected, closing the connection: %m");
                return false;
        }

        int r = socket_owner(listen_fd, &owner);
        if (r < 0) {
                log_warning_errno(r, "Cannot find out who owns the socket, closing the connection: %m");
                return false;
        }
        if (peer.uid == 0 || peer.uid == owner)
                return true;

        log_warning("Process %d of user %u may not run hooks, closing its connection", peer.pid,
                    peer.uid);
        return false;
}

static int on_connect(sd_event_source *source, int listen_fd, _unused_ uint32_t events, void *userdata) {
        HookServer *s = userdata;

        _cleanup_close_ int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
                if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                        log_warning_errno(errno, "Cannot take a connection: %m");
                return 0;
        }

        if (!peer_may_ask(listen_fd, fd))
                return 0;

        int r = sd_event_add_io(s->loop, &s->source, fd, EPOLLIN, on_message, s);
        if (r < 0)
                return r;

        /* The next connection is accepted when this one has ended. */
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        s->fd = TAKE_FD(fd);
        return 0;
}

int hook_server_new(sd_event *loop, int fd, HookServer **ret) {
        _cleanup_(hook_server_freep) HookServer *s = calloc(1, sizeof(HookServer));
        if (!s) {
                safe_close(fd);
                return -ENOMEM;
        }

        s->loop = sd_event_ref(loop);
        s->listen_fd = fd;
        s->fd = -1;
        for (size_t i = 0; i < ELEMENTSOF(s->jobs); i++)
                s->jobs[i].server = s;

        s->base_environment = hook_base_environment();
        if (!s->base_environment)
                return -ENOMEM;

        int r = sd_event_add_time(loop, &s->report_timer, CLOCK_MONOTONIC, 0, 0, on_report, s);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(s->report_timer, SD_EVENT_OFF);

        r = sd_event_add_io(loop, &s->listen_source, fd, EPOLLIN, on_connect, s);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s);
        return 0;
}

HookServer *hook_server_free(HookServer *s) {
        sd_event_source_disable_unref(s->listen_source);
        sd_event_source_disable_unref(s->source);
        sd_event_source_disable_unref(s->stop_timer);
        sd_event_source_disable_unref(s->report_timer);
        safe_close(s->fd);
        safe_close(s->listen_fd);
        if (s->list)
                hook_list_unref(s->list);
        strings_free(s->base_environment);
        sd_event_unref(s->loop);
        free(s);
        return NULL;
}
