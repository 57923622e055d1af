/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <utlist.h>

#include "client.h"
#include "console-vmotion.h"
#include "link.h"
#include "message.h"
#include "transport/socket.h"

/* A handshake takes milliseconds. One that has not got on for this long goes first when descriptors run out. */
#define HANDSHAKE_SLOW_USEC (5 * USEC_PER_SEC)

/* A thread may be faster in taking what has just been given up, for a file that it writes. */
#define RECLAIM_TRIES_MAX 4U

/* A socket that ESXi hosts connect to */
struct Gate {
        Concentrator *concentrator;
        Acceptor acceptor;
        Gate *prev, *next;
};

static void concentrator_reap(Concentrator *c) {
        Link *link, *next_link;
        Client *client, *next_client;

        DL_FOREACH_SAFE(c->dead_links, link, next_link)
                link_free(link);
        c->dead_links = NULL;

        DL_FOREACH_SAFE(c->dead_clients, client, next_client)
                client_free(client);
        c->dead_clients = NULL;
}

static int on_reap(_unused_ sd_event_source *source, void *userdata) {
        Concentrator *c = userdata;

        while (c->orphans.n_started > CONCENTRATOR_ORPHANS_MAX) {
                Console *oldest = container_of(c->orphans.oldest, Console, orphaned);

                console_log(oldest, LOG_NOTICE, VSPC_MESSAGE_VM_EXPIRED, NULL,
                            "is given up, being gone for longest: too many VMs are gone");
                console_free(oldest);
        }

        concentrator_reap(c);
        return 0;
}

void concentrator_limit_orphans(Concentrator *c) {
        if (c->orphans.n_started > CONCENTRATOR_ORPHANS_MAX)
                (void) sd_event_source_set_enabled(c->reaper, SD_EVENT_ONESHOT);
}

void concentrator_bury_link(Concentrator *c, Link *link) {
        DL_DELETE(c->links, link);
        c->n_links--;
        DL_APPEND(c->dead_links, link);
        (void) sd_event_source_set_enabled(c->reaper, SD_EVENT_ONESHOT);
}

void concentrator_bury_client(Concentrator *c, Client *client) {
        DL_APPEND(c->dead_clients, client);
        (void) sd_event_source_set_enabled(c->reaper, SD_EVENT_ONESHOT);
}

static void on_orphan_expired(Timeout *t) {
        Console *console = container_of(t, Console, orphaned);

        console_log(console, LOG_INFO, VSPC_MESSAGE_VM_EXPIRED, NULL,
                    "has been gone for VMExpireSec=, forgetting it");
        console_free(console);
}

/* Gives up one descriptor that is needed less than a new connection. The first of these that there is goes: a
 * connection that does not say which VM it is, the oldest half-closed client, the listening socket of the VM that has
 * been away for longest. No VM is forgotten, or loses its port. */
static bool concentrator_reclaim(Concentrator *c) {
        Timeout *t = c->handshakes.oldest;

        if (t && event_now(c->event) - t->since >= HANDSHAKE_SLOW_USEC) {
                link_end(container_of(t, Link, timeout));
                return true;
        }

        if (c->half_closed.oldest) {
                client_end(container_of(c->half_closed.oldest, Client, lifetime));
                return true;
        }

        return concentrator_pause_port(c);
}

static void concentrator_log_refusal(Concentrator *c) {
        unsigned n = log_rate_limit_pass(&c->refusals, event_now(c->event));

        c->metrics.descriptor_refusals++;
        if (n > 0)
                log_full(LOG_ERR, 0, &(LogFields){.message_id = VSPC_MESSAGE_DESCRIPTORS_EXHAUSTED},
                         "%u %s refused: all %u descriptors are in use, LimitNOFILE= could be raised", n,
                         n == 1 ? "connection" : "connections", c->descriptor_limit);
}

int concentrator_place(const Concentrator *c, int fd) {
        _cleanup_close_ int owned_fd = fd;

        return fd >= 0 && (unsigned) fd < c->descriptor_limit ? TAKE_FD(owned_fd) : -EMFILE;
}

int concentrator_make_room(Concentrator *c, int fd) {
        if ((unsigned) fd < c->descriptor_limit)
                return fd;

        /* Into the place that has become free: a descriptor's number tells how many there are only as long as
         * there are no gaps below. */
        _cleanup_close_ int high = fd;
        for (unsigned i = 0; i < RECLAIM_TRIES_MAX && concentrator_reclaim(c); i++) {
                int low = concentrator_place(c, fcntl(high, F_DUPFD_CLOEXEC, 0));
                if (low >= 0)
                        return low;
        }

        return -EMFILE;
}

int concentrator_admit(Concentrator *c, int fd) {
        int r = concentrator_make_room(c, fd);

        if (r < 0)
                concentrator_log_refusal(c);
        return r;
}

bool concentrator_has_descriptors(const Concentrator *c, unsigned n) {
        if (n == 0)
                return true;

        /* There is no other way to count them: the kernel gives out the lowest that is free. */
        _cleanup_close_ int fd = fcntl(sd_event_get_fd(c->event), F_DUPFD_CLOEXEC, 0);

        return fd >= 0 && (unsigned) fd < c->descriptor_limit && concentrator_has_descriptors(c, n - 1);
}

static void gate_accept(Acceptor *a, int fd, const SocketAddress *peer) {
        Concentrator *c = container_of(a, Gate, acceptor)->concentrator;

        fd = concentrator_admit(c, fd);
        if (fd < 0)
                return;

        int r = link_new(c, fd, peer);
        if (r < 0)
                log_error_errno(r, "Cannot take a connection from an ESXi host: %m");
}

int concentrator_add_gate(Concentrator *c, int fd) {
        _cleanup_close_ int owned_fd = fd;
        _cleanup_free_ Gate *g = calloc(1, sizeof(Gate));
        if (!g)
                return -ENOMEM;

        socket_tune(fd);
        socket_set_user_timeout(fd);
        g->concentrator = c;
        int r = acceptor_open(&g->acceptor, c->poller, &c->rests, TAKE_FD(owned_fd), gate_accept);
        if (r < 0)
                return r;

        DL_APPEND(c->gates, g);
        TAKE_PTR(g);
        return 0;
}

static void gate_free(Concentrator *c, Gate *g) {
        DL_DELETE(c->gates, g);
        acceptor_close(&g->acceptor);
        free(g);
}

int concentrator_new(sd_event *event, Settings *settings, unsigned n_descriptors, Concentrator **ret) {
        _cleanup_(concentrator_freep) Concentrator *c = calloc(1, sizeof(Concentrator));
        if (!c)
                return -ENOMEM;

        c->event = sd_event_ref(event);
        c->settings = TAKE(*settings, (Settings){});
        c->metrics.started = event_now_realtime(event);
        c->descriptor_limit = n_descriptors > 2 * CONCENTRATOR_DESCRIPTORS_RESERVED
                                              ? n_descriptors - CONCENTRATOR_DESCRIPTORS_RESERVED
                                              : n_descriptors;
        port_pool_init(&c->ports, c->settings.vm_port_range_start, c->settings.vm_port_range_end);

        c->input = malloc(CONCENTRATOR_READ_MAX);
        c->encoded = malloc(CONCENTRATOR_ENCODED_MAX);
        if (!c->input || !c->encoded)
                return -ENOMEM;

        int r = poller_new(event, &c->poller);
        if (r < 0)
                return r;

        r = tls_worker_new(c->poller, &c->tls_worker);
        if (r < 0)
                return r;

        r = closer_init(&c->closer, c->poller);
        if (r < 0)
                return r;

        r = sd_event_add_defer(event, &c->reaper, on_reap, c);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(c->reaper, SD_EVENT_OFF);

        const struct {
                TimeoutQueue *queue;
                usec_t duration;
                TimeoutHandler handler;
        } queues[] = {
                {&c->handshakes, c->settings.handshake_timeout_usec, link_handshake_elapsed},
                {&c->questions, VM_IDENTITY_ANSWER_USEC, link_question_elapsed},
                {&c->departures, LINK_DEPARTURE_USEC, link_departure_elapsed},
                {&c->detections, CLIENT_DETECTION_USEC, client_detection_elapsed},
                {&c->binary_answers, CLIENT_BINARY_USEC, client_binary_elapsed},
                {&c->silences, TELNET_SILENCE_USEC, client_silence_elapsed},
                {&c->vm_silences, CLIENT_SILENCE_USEC, client_vm_silence_elapsed},
                {&c->half_closed, CLIENT_HALF_CLOSED_USEC, client_lifetime_elapsed},
                {&c->vmotion_timeouts, c->settings.vmotion_timeout_usec, vmotion_elapsed},
                {&c->successions, LINK_SUCCESSION_USEC, link_succession_elapsed},
                {&c->orphans, c->settings.vm_expire_usec, on_orphan_expired},
        };
        for (size_t i = 0; i < ELEMENTSOF(queues); i++) {
                r = timeout_queue_init(queues[i].queue, event, queues[i].duration, queues[i].handler);
                if (r < 0)
                        return r;
        }

        r = port_queue_init(&c->port_queue, event, console_serve_ports);
        if (r < 0)
                return r;

        r = acceptor_rests_init(&c->rests, event);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(c);
        return 0;
}

Concentrator *concentrator_free(Concentrator *c) {
        Console *console, *next;

        while (c->gates)
                gate_free(c, c->gates);
        while (c->links)
                link_end(c->links);
        HASH_ITER(handle, c->consoles, console, next)
                console_free(console);
        concentrator_reap(c);
        if (c->closer.poller)
                closer_done(&c->closer);

        TimeoutQueue *queues[] = {&c->handshakes, &c->questions,   &c->departures,  &c->detections,       &c->binary_answers,
                                  &c->silences,   &c->vm_silences, &c->half_closed, &c->vmotion_timeouts, &c->successions,
                                  &c->orphans};
        for (size_t i = 0; i < ELEMENTSOF(queues); i++)
                timeout_queue_done(queues[i]);
        port_queue_done(&c->port_queue);
        acceptor_rests_done(&c->rests);

        sd_event_source_disable_unref(c->reaper);
        tls_worker_freep(&c->tls_worker);
        tls_context_unref(c->tls);
        poller_freep(&c->poller);
        settings_done(&c->settings);
        free(c->input);
        free(c->encoded);
        sd_event_unref(c->event);
        free(c);
        return NULL;
}

void concentrator_set_settings(Concentrator *c, Settings *settings) {
        settings->multi_console = c->settings.multi_console;

        bool moved = !address_equal(&settings->vm_port_address, &c->settings.vm_port_address);

        settings_done(&c->settings);
        c->settings = TAKE(*settings, (Settings){});

        port_pool_set_range(&c->ports, c->settings.vm_port_range_start, c->settings.vm_port_range_end);
        timeout_queue_set_duration(&c->handshakes, c->settings.handshake_timeout_usec);
        timeout_queue_set_duration(&c->vmotion_timeouts, c->settings.vmotion_timeout_usec);
        timeout_queue_set_duration(&c->orphans, c->settings.vm_expire_usec);

        /* All claims come before any VM gets a port that was never its own. */
        for (Console *console = c->consoles; console && c->settings.vm_ports; console = console->handle.next)
                console_claim_own_port(console);

        for (Console *console = c->consoles; console; console = console->handle.next) {
                if (moved)
                        console_move_port(console);
                console_apply_settings(console);
        }

        port_queue_wake(&c->port_queue); /* the range may be wider */
}

void concentrator_set_tls(Concentrator *c, TlsContext *tls) {
        TlsContext *old = c->tls;

        c->tls = tls ? tls_context_ref(tls) : NULL;
        tls_context_unref(old);
}

void concentrator_set_closed(Concentrator *c, bool closed) {
        c->closed = closed;
}

void concentrator_observe(Concentrator *c, ConcentratorObserver *observer) {
        if (observer->output)
                DL_PREPEND(c->observers, observer);
        else
                DL_APPEND(c->observers, observer);
}

void concentrator_unobserve(Concentrator *c, ConcentratorObserver *observer) {
        DL_DELETE(c->observers, observer);
}

void concentrator_notify(Concentrator *c, Console *console, ConsoleEvent event, const Client *client) {
        ConcentratorObserver *o;

        DL_FOREACH(c->observers, o)
                o->notify(o, console, event, client);
}

void concentrator_notify_output(Concentrator *c, Console *console, const uint8_t *data, size_t n) {
        for (ConcentratorObserver *o = c->observers; o && o->output; o = o->next)
                o->output(o, console, data, n);
}

Console *concentrator_find(const Concentrator *c, const char *id) {
        Console *console;

        HASH_FIND(handle, c->consoles, id, strlen(id), console);
        return console;
}

/* All clones of one UUID. Made with the first and freed with the last: a clone that goes needs no memory. */
struct CloneGroup {
        UT_hash_handle handle; /* by uuid */
        uint8_t uuid[16];
        Console *clones; /* utlist, never empty */
};

static CloneGroup *concentrator_find_clones(const Concentrator *c, const uint8_t uuid[static 16]) {
        CloneGroup *g;

        HASH_FIND(handle, c->clones, uuid, 16, g);
        return g;
}

static CloneGroup *concentrator_make_clones(Concentrator *c, const uint8_t uuid[static 16]) {
        _cleanup_free_ CloneGroup *g = calloc(1, sizeof(CloneGroup));
        if (!g)
                return NULL;

        memcpy(g->uuid, uuid, sizeof g->uuid);
        return HASH_TRY_ADD(handle, c->clones, g->uuid, sizeof g->uuid, g) < 0 ? NULL : TAKE_PTR(g);
}

int concentrator_add_clone(Concentrator *c, Console *console) {
        CloneGroup *g = concentrator_find_clones(c, console->uuid) ?: concentrator_make_clones(c, console->uuid);
        if (!g)
                return -ENOMEM;

        DL_APPEND2(g->clones, console, clone_prev, clone_next);
        console->clone_group = g;
        return 0;
}

void concentrator_remove_clone(Concentrator *c, Console *console) {
        CloneGroup *g = TAKE_PTR(console->clone_group);

        if (!g)
                return;

        DL_DELETE2(g->clones, console, clone_prev, clone_next);
        if (g->clones)
                return;

        HASH_REMOVE(handle, c->clones, g);
        free(g);
}

bool concentrator_has_clone(const Concentrator *c, const uint8_t uuid[static 16], const uint8_t bios[static 16]) {
        const CloneGroup *g = concentrator_find_clones(c, uuid);
        char text[UUID_TEXT_MAX];

        uuid_format(bios, text);
        for (const Console *console = g ? g->clones : NULL; console; console = console->clone_next)
                if (streq(console->uuid_text + UUID_TEXT_MAX, text))
                        return true;

        return false;
}

bool concentrator_has_clones(const Concentrator *c, const uint8_t uuid[static 16]) {
        return concentrator_find_clones(c, uuid);
}

VMotion *concentrator_find_vmotion(const Concentrator *c, const uint8_t *data, size_t size) {
        VMotion *v;

        if (size < VMOTION_SECRET_SIZE)
                return NULL;

        const uint8_t *secret = data + size - VMOTION_SECRET_SIZE;
        HASH_FIND(handle, c->vmotions, secret, VMOTION_HANDLE_SIZE, v);

        return v && vmotion_has_secret(v, data, size) ? v : NULL;
}
