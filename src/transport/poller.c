/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/eventfd.h>
#include <utlist.h>

#include "liveness.h"
#include "poller.h"

/* Sockets dispatched before timers and signals have their turn again */
#define POLLER_BATCH 64

struct Poller {
        sd_event *event;
        sd_event_source *source;
        int epoll_fd;

        PollerBatchHandler batch_handler;
        void *userdata;

        struct epoll_event batch[POLLER_BATCH];
        int n_batch, next; /* number of events; index of the next one to be dispatched */

        Watch *deferred; /* utlist: watches whose handlers are to be called in the next round */
        unsigned n_deferred;
        Watch deferrals; /* always readable; watched while there are deferred watches */

        TimeoutQueue liveness;
};

static void poller_watch_deferrals(Poller *p) {
        (void) poller_watch(p, &p->deferrals, p->deferred ? EPOLLIN : 0);
}

static bool poller_undefer(Poller *p, Watch *w) {
        if (!w->deferred)
                return false;

        w->deferred = false;
        p->n_deferred--;
        DL_DELETE(p->deferred, w);
        return true;
}

/* Called in a batch like the handler of any socket. Watches that are deferred in the meantime have to wait for the next round. */
static void on_deferred(Watch *deferrals, _unused_ uint32_t events) {
        Poller *p = container_of(deferrals, Poller, deferrals);

        for (unsigned n = p->n_deferred; n > 0 && p->deferred; n--) {
                Watch *w = p->deferred;

                (void) poller_undefer(p, w);
                w->handler(w, 0);
        }

        poller_watch_deferrals(p);
}

static int on_ready(_unused_ sd_event_source *source, int fd, _unused_ uint32_t revents, void *userdata) {
        Poller *p = userdata;

        int n = epoll_wait(fd, p->batch, POLLER_BATCH, 0);
        if (n < 0)
                return errno == EINTR ? 0 : -errno;

        p->n_batch = n;
        for (p->next = 0; p->next < p->n_batch;) {
                struct epoll_event *e = &p->batch[p->next++];
                Watch *w = e->data.ptr;

                if (w)
                        w->handler(w, e->events);
        }
        p->n_batch = p->next = 0;

        if (p->batch_handler)
                p->batch_handler(p->userdata);
        return 0;
}

void poller_set_batch_handler(Poller *p, PollerBatchHandler handler, void *userdata) {
        p->batch_handler = handler;
        p->userdata = userdata;
}

bool poller_is_dispatching(const Poller *p) {
        return p->n_batch > 0;
}

int poller_new(sd_event *event, Poller **ret) {
        _cleanup_(poller_freep) Poller *p = calloc(1, sizeof(Poller));
        if (!p)
                return -ENOMEM;

        p->deferrals.fd = -1;
        p->event = sd_event_ref(event);
        p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (p->epoll_fd < 0)
                return -errno;

        p->deferrals = (Watch){.fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC), .handler = on_deferred};
        if (p->deferrals.fd < 0)
                return -errno;

        int r = sd_event_add_io(event, &p->source, p->epoll_fd, EPOLLIN, on_ready, p);
        if (r < 0)
                return r;

        r = timeout_queue_init(&p->liveness, event, LIVENESS_LOOK_USEC, liveness_look);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(p);
        return 0;
}

Poller *poller_free(Poller *p) {
        timeout_queue_done(&p->liveness);
        sd_event_source_disable_unref(p->source);
        sd_event_unref(p->event);
        safe_close(p->deferrals.fd);
        safe_close(p->epoll_fd);
        free(p);
        return NULL;
}

sd_event *poller_event(Poller *p) {
        return p->event;
}

TimeoutQueue *poller_liveness(Poller *p) {
        return &p->liveness;
}

int poller_watch(Poller *p, Watch *w, uint32_t events) {
        if (events == w->events)
                return 0;

        int op = w->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
        if (epoll_ctl(p->epoll_fd, op, w->fd, &(struct epoll_event){.events = events, .data.ptr = w}) < 0)
                return -errno;

        w->events = events;
        return 0;
}

void poller_defer(Poller *p, Watch *w) {
        if (w->deferred)
                return;

        w->deferred = true;
        p->n_deferred++;
        DL_APPEND(p->deferred, w);
        poller_watch_deferrals(p);
}

/* Forgets events of @w in the batch under way. */
static void poller_forget_batch(Poller *p, const Watch *w) {
        for (int i = p->next; i < p->n_batch; i++)
                if (p->batch[i].data.ptr == w)
                        p->batch[i].data.ptr = NULL;
}

void poller_forget(Poller *p, Watch *w) {
        (void) poller_watch(p, w, 0);
        poller_forget_batch(p, w);
        if (poller_undefer(p, w))
                poller_watch_deferrals(p);
}

void poller_close(Poller *p, Watch *w) {
        /* Closing a descriptor takes it out of the kernel's set, but not while a process that is being started still
         * has a copy of it (epoll(7)): events would go to a freed Watch. */
        poller_forget(p, w);
        w->fd = safe_close(w->fd);
}
