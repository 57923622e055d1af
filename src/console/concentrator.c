/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "client.h"
#include "console-vmotion.h"
#include "message.h"
#include "suboptions.h"

/* A socket that ESXi hosts connect to */
typedef struct Listener Listener;
struct Listener {
        Concentrator *concentrator;
        Acceptor acceptor;
        Listener *prev, *next;
};

struct Concentrator {
        sd_event *event;
        Poller *poller;
        Settings settings;
        Rights rights;
        unsigned descriptor_limit;
        TimeoutQueue timeouts[_TIMEOUT_MAX];
        AcceptorBackoff backoff;
        Closer closer;
        Account *account;

        TlsWorker *tls_worker;
        TlsContext *tls;
        bool closed; /* all ESXi hosts that connect are refused */

        PortPool ports;
        PortQueue port_queue;

        Console *consoles;   /* uthash by identity */
        ConsoleIndex clones; /* by UUID: consoles for which console_is_clone() */
        ConsoleIndex names;  /* by name: all consoles */
        Console *by_port[UINT16_MAX + 1]; /* the console with this own port, or NULL */
        VMotion *vmotions;   /* uthash by the secret's first half */
        Listener *listeners; /* utlist: the sockets on which ESXi connects */
        Link *links;         /* utlist: all open links, with or without a console */
        uint64_t n_consoles_ever, n_links_ever;

        /* Work for the end of the loop iteration, see concentrator_settle() */
        Link *gc_links;     /* utlist */
        Client *gc_clients; /* utlist */
        Console *dirty;         /* utlist: consoles that have changed on their own */
        Console *patient;       /* utlist: consoles that have changed together with thousands of others */
        sd_event_source *settler; /* a timer, used if no batch of sockets is being handled */
        bool settling;

        ConcentratorObserver *observers; /* utlist: those with an output() handler first */
        ConcentratorCounts counts;
        Metrics metrics;
        RateLimit refusals;     /* log lines about refusals because descriptors have run out */
        RateLimit unidentified; /* log lines about connections without a console */
};

/* Consoles are settled in turns of at most this. */
#define SETTLE_USEC USEC_PER_MSEC

static void on_orphan_expired(Timeout *t) {
        Console *console = container_of(t, Console, orphaned);

        console_log(console, LOG_INFO, VSPC_MESSAGE_VM_EXPIRED, NULL,
                    "has been gone for VMExpireSec=, forgetting it");
        console_remove(console);
}

/* Frees links and clients that have been closed. This may close others. */
static void concentrator_gc(Concentrator *c) {
        while (c->gc_links || c->gc_clients)
                if (c->gc_links) {
                        Link *link = c->gc_links;

                        DL_DELETE(c->gc_links, link);
                        link_gc(link);
                } else {
                        Client *client = c->gc_clients;

                        DL_DELETE(c->gc_clients, client);
                        client_gc(client);
                }
}

static void concentrator_settle_one(Concentrator *c, Console *console) {
        concentrator_unqueue_dirty(c, console);
        if (console_settle(console))
                return;

        concentrator_gc(c);
        console_free(console);
}

void concentrator_settle(Concentrator *c) {
        usec_t began = now_monotonic();

        c->settling = true;

        /* At least one of `patient` in each turn, however many are in `dirty`. */
        concentrator_gc(c);
        if (c->patient)
                concentrator_settle_one(c, c->patient);

        do {
                concentrator_gc(c);
                if (!c->dirty && !c->patient)
                        break;
                concentrator_settle_one(c, c->dirty ?: c->patient);
        } while (now_monotonic() - began < SETTLE_USEC);

        concentrator_gc(c);
        c->settling = false;
        (void) sd_event_source_set_enabled(c->settler, c->dirty || c->patient ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static void on_batch(void *userdata) {
        Concentrator *c = userdata;

        if (c->dirty || c->patient || c->gc_links || c->gc_clients)
                concentrator_settle(c);
}

static int on_settle(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        concentrator_settle(userdata);
        return 0;
}

/* Usually a batch of sockets is being handled, after which consoles are settled anyway: then the timer is not needed. */
static void concentrator_settle_soon(Concentrator *c) {
        if (!c->settling && !poller_is_dispatching(c->poller))
                (void) sd_event_source_set_enabled(c->settler, SD_EVENT_ONESHOT);
}

static void concentrator_queue(Concentrator *c, Console *console, Console **list) {
        concentrator_unqueue_dirty(c, console);
        console->dirty = list;
        DL_APPEND2(*list, console, dirty_prev, dirty_next);
        concentrator_settle_soon(c);
}

void concentrator_queue_dirty(Concentrator *c, Console *console) {
        if (console->dirty != &c->dirty)
                concentrator_queue(c, console, &c->dirty);
}

void concentrator_queue_patient(Concentrator *c, Console *console) {
        if (!console->dirty)
                concentrator_queue(c, console, &c->patient);
}

void concentrator_unqueue_dirty(_unused_ Concentrator *c, Console *console) {
        Console **list = TAKE(console->dirty, NULL);

        if (list)
                DL_DELETE2(*list, console, dirty_prev, dirty_next);
}

void concentrator_add_link(Concentrator *c, Link *link) {
        link->record.number = ++c->n_links_ever;
        DL_APPEND(c->links, link);
        c->counts.n_links++;
}

void concentrator_add_link_to_gc_queue(Concentrator *c, Link *link) {
        DL_DELETE(c->links, link);
        c->counts.n_links--;
        DL_APPEND(c->gc_links, link);
        concentrator_settle_soon(c);
}

uint64_t concentrator_next_client_number(const Concentrator *c) {
        return c->metrics.clients + 1;
}

void concentrator_add_client(Concentrator *c, Client *client) {
        client->record.number = concentrator_next_client_number(c);
        c->metrics.clients++;
}

void concentrator_add_client_to_gc_queue(Concentrator *c, Client *client) {
        DL_APPEND(c->gc_clients, client);
        concentrator_settle_soon(c);
}

void concentrator_limit_orphans(Concentrator *c) {
        while (c->timeouts[TIMEOUT_ORPHAN].n_started > CONCENTRATOR_ORPHANS_MAX) {
                Console *oldest = container_of(c->timeouts[TIMEOUT_ORPHAN].oldest, Console, orphaned);

                console_log(oldest, LOG_NOTICE, VSPC_MESSAGE_VM_EXPIRED, NULL,
                            "forgotten: more than %u VMs are away, and this one for longest", CONCENTRATOR_ORPHANS_MAX);
                console_remove(oldest);
        }
}

static bool on_ports_waited_for(PortQueue *q, usec_t *ret_retry) {
        return console_serve_ports(container_of(q, Concentrator, port_queue), ret_retry);
}

static void listener_accept(Acceptor *a, int fd, const SocketAddress *peer) {
        Concentrator *c = container_of(a, Listener, acceptor)->concentrator;

        fd = concentrator_admit(c, fd);
        if (fd < 0)
                return;

        int r = link_new(c, fd, peer);
        if (r < 0)
                log_error_errno(r, "Cannot take a connection from an ESXi host: %m");
}

int concentrator_listen(Concentrator *c, int fd) {
        _cleanup_close_ int owned_fd = fd;
        _cleanup_free_ Listener *l = calloc(1, sizeof(Listener));
        if (!l)
                return -ENOMEM;

        l->concentrator = c;
        int r = acceptor_open(&l->acceptor, c->poller, &c->backoff, TAKE_FD(owned_fd), listener_accept);
        if (r < 0)
                return r;

        DL_APPEND(c->listeners, l);
        TAKE_PTR(l);
        return 0;
}

static void listener_free(Concentrator *c, Listener *l) {
        DL_DELETE(c->listeners, l);
        acceptor_close(&l->acceptor);
        free(l);
}

int concentrator_new(sd_event *event, Settings *settings, unsigned n_descriptors, Concentrator **ret) {
        _cleanup_(concentrator_freep) Concentrator *c = calloc(1, sizeof(Concentrator));
        if (!c)
                return -ENOMEM;

        c->event = sd_event_ref(event);
        c->settings = TAKE(*settings, (Settings){});
        rights_init(&c->rights);
        c->rights.owner = geteuid();
        c->metrics.started = event_now_realtime(event);
        c->descriptor_limit = n_descriptors > 2 * CONCENTRATOR_DESCRIPTORS_RESERVED
                                              ? n_descriptors - CONCENTRATOR_DESCRIPTORS_RESERVED
                                              : n_descriptors;
        port_pool_init(&c->ports, c->settings.vm_port_range_start, c->settings.vm_port_range_end);

        int r = poller_new(event, &c->poller);
        if (r < 0)
                return r;

        r = tls_worker_new(c->poller, &c->tls_worker);
        if (r < 0)
                return r;

        r = account_new(event, VSPC_MESSAGE_MEMORY_EXHAUSTED, &c->account);
        if (r < 0)
                return r;
        account_set_max(c->account, c->settings.connection_memory_max);

        r = closer_init(&c->closer, c->poller);
        if (r < 0)
                return r;

        /* A timer, as in PortQueue: a deferred source would run before all sockets until it has nothing left to do. */
        r = sd_event_add_time(event, &c->settler, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_settle, c);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(c->settler, SD_EVENT_OFF);
        poller_set_batch_handler(c->poller, on_batch, c);

        const struct {
                usec_t duration;
                TimeoutHandler handler;
        } timeouts[_TIMEOUT_MAX] = {
                [TIMEOUT_HANDSHAKE] = {c->settings.handshake_timeout_usec, link_handshake_elapsed},
                [TIMEOUT_QUESTION] = {VM_IDENTITY_ANSWER_USEC, link_question_elapsed},
                [TIMEOUT_HANDED_OVER] = {LINK_HANDED_OVER_USEC, link_handed_over_elapsed},
                [TIMEOUT_STALL] = {LINK_STALL_USEC, link_stall_elapsed},
                [TIMEOUT_HANDOVER] = {LINK_HANDOVER_USEC, link_handover_elapsed},
                [TIMEOUT_DETECTION] = {TELNET_DETECTION_USEC, telnet_connection_detection_elapsed},
                [TIMEOUT_BINARY] = {TELNET_BINARY_USEC, telnet_detection_binary_elapsed},
                [TIMEOUT_SILENCE] = {TELNET_SILENCE_USEC, telnet_detection_silence_elapsed},
                [TIMEOUT_VM_SILENCE] = {CLIENT_SILENCE_USEC, client_vm_silence_elapsed},
                [TIMEOUT_HALF_CLOSED] = {CLIENT_HALF_CLOSED_USEC, client_lifetime_elapsed},
                [TIMEOUT_VMOTION] = {c->settings.vmotion_timeout_usec, vmotion_elapsed},
                [TIMEOUT_ORPHAN] = {c->settings.vm_expire_usec, on_orphan_expired},
                [TIMEOUT_ABSENCE] = {CONSOLE_ABSENCE_USEC, console_absence_elapsed},
        };
        for (TimeoutKind kind = 0; kind < _TIMEOUT_MAX; kind++) {
                r = timeout_queue_init(&c->timeouts[kind], event, timeouts[kind].duration, timeouts[kind].handler);
                if (r < 0)
                        return r;
        }

        r = port_queue_init(&c->port_queue, event, on_ports_waited_for);
        if (r < 0)
                return r;

        r = acceptor_backoff_init(&c->backoff, event);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(c);
        return 0;
}

Concentrator *concentrator_free(Concentrator *c) {
        Console *console, *next;

        while (c->listeners)
                listener_free(c, c->listeners);
        while (c->links)
                link_close(c->links, LINK_E_RECLAIMED);
        HASH_ITER(handle, c->consoles, console, next)
                console_close_clients(console, CLIENT_E_RECLAIMED);
        concentrator_gc(c);
        HASH_ITER(handle, c->consoles, console, next)
                console_free(console);
        if (c->closer.poller)
                closer_done(&c->closer);
        account_freep(&c->account);

        for (TimeoutKind kind = 0; kind < _TIMEOUT_MAX; kind++)
                timeout_queue_done(&c->timeouts[kind]);
        port_queue_done(&c->port_queue);
        acceptor_backoff_done(&c->backoff);

        sd_event_source_disable_unref(c->settler);
        tls_worker_freep(&c->tls_worker);
        tls_context_unref(c->tls);
        poller_freep(&c->poller);
        settings_done(&c->settings);
        rights_done(&c->rights);
        sd_event_unref(c->event);
        free(c);
        return NULL;
}

void concentrator_set_settings(Concentrator *c, Settings *settings) {
        settings->multi_console = c->settings.multi_console;

        bool moved = !address_equal(&settings->vm_port_address, &c->settings.vm_port_address);

        settings_done(&c->settings);
        c->settings = TAKE(*settings, (Settings){});

        account_set_max(c->account, c->settings.connection_memory_max);
        port_pool_set_range(&c->ports, c->settings.vm_port_range_start, c->settings.vm_port_range_end);
        timeout_queue_set_duration(&c->timeouts[TIMEOUT_HANDSHAKE], c->settings.handshake_timeout_usec);
        timeout_queue_set_duration(&c->timeouts[TIMEOUT_VMOTION], c->settings.vmotion_timeout_usec);
        timeout_queue_set_duration(&c->timeouts[TIMEOUT_ORPHAN], c->settings.vm_expire_usec);

        /* First all VMs claim their own ports, so that no VM gets the port of another. */
        for (Console *console = c->consoles; console && c->settings.vm_ports; console = console->handle.next)
                console_claim_own_port(console);

        for (Console *console = c->consoles; console; console = console->handle.next)
                console_settings_changed(console, moved);

        concentrator_settle(c); /* settles a few of them now; the others have their turns later */

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

/* The functions that return what a concentrator's objects share */
#define DEFINE_GETTER(type, name, self, value)                                                              \
        type concentrator_##name(self *c) {                                                                 \
                return value;                                                                               \
        }

DEFINE_GETTER(sd_event *, event, const Concentrator, c->event)
DEFINE_GETTER(usec_t, now, const Concentrator, event_now(c->event))
DEFINE_GETTER(usec_t, now_realtime, const Concentrator, event_now_realtime(c->event))
DEFINE_GETTER(const Settings *, settings, const Concentrator, &c->settings)
DEFINE_GETTER(unsigned, descriptor_limit, const Concentrator, c->descriptor_limit)
DEFINE_GETTER(TlsContext *, tls, const Concentrator, c->tls)
DEFINE_GETTER(bool, is_closed, const Concentrator, c->closed)
DEFINE_GETTER(Account *, account, const Concentrator, c->account)
DEFINE_GETTER(Console *, consoles, const Concentrator, c->consoles)
DEFINE_GETTER(Rights *, rights, Concentrator, &c->rights)
DEFINE_GETTER(Poller *, poller, Concentrator, c->poller)
DEFINE_GETTER(AcceptorBackoff *, acceptor_backoff, Concentrator, &c->backoff)
DEFINE_GETTER(Closer *, closer, Concentrator, &c->closer)
DEFINE_GETTER(TlsWorker *, tls_worker, Concentrator, c->tls_worker)
DEFINE_GETTER(PortPool *, ports, Concentrator, &c->ports)
DEFINE_GETTER(PortQueue *, port_queue, Concentrator, &c->port_queue)
DEFINE_GETTER(Metrics *, metrics, Concentrator, &c->metrics)
DEFINE_GETTER(ConcentratorCounts *, counts, Concentrator, &c->counts)
DEFINE_GETTER(RateLimit *, refusals, Concentrator, &c->refusals)
DEFINE_GETTER(RateLimit *, unidentified, Concentrator, &c->unidentified)

TimeoutQueue *concentrator_timeouts(Concentrator *c, TimeoutKind kind) {
        return &c->timeouts[kind];
}

int concentrator_add_console(Concentrator *c, Console *console) {
        if (console_is_clone(console) &&
            console_index_put(&c->clones, &console->by_uuid, console, console->record.uuid, sizeof console->record.uuid) < 0)
                return -ENOMEM;
        if (HASH_TRY_ADD(handle, c->consoles, console->id, strlen(console->id), console) < 0)
                return -ENOMEM;

        console->record.number = ++c->n_consoles_ever;
        c->counts.n_vms++;
        return 0;
}

int concentrator_name_console(Concentrator *c, Console *console, const char *name) {
        return console_index_put(&c->names, &console->by_name, console, name, strlen(name));
}

void concentrator_set_port_owner(Concentrator *c, uint16_t port, Console *console) {
        if (port > 0)
                c->by_port[port] = console;
}

void concentrator_remove_console(Concentrator *c, Console *console) {
        if (console->handle.tbl)
                c->counts.n_vms--;
        HASH_REMOVE(handle, c->consoles, console);
        console_index_remove(&c->clones, &console->by_uuid);
        console_index_remove(&c->names, &console->by_name);
}

int concentrator_add_vmotion(Concentrator *c, VMotion *v) {
        int r = HASH_TRY_ADD(handle, c->vmotions, v->record.secret, VMOTION_HANDLE_SIZE, v);

        if (r >= 0)
                c->counts.n_vmotions++;
        return r;
}

void concentrator_remove_vmotion(Concentrator *c, VMotion *v) {
        if (v->handle.tbl)
                c->counts.n_vmotions--;
        HASH_REMOVE(handle, c->vmotions, v);
}

Console *concentrator_find(const Concentrator *c, const char *id) {
        Console *console;

        HASH_FIND(handle, c->consoles, id, strlen(id), console);
        return console;
}

Console *concentrator_find_port(const Concentrator *c, uint16_t port) {
        return c->by_port[port];
}

const ConsoleEntry *concentrator_find_name(const Concentrator *c, const char *name) {
        return console_index_find(&c->names, name, strlen(name));
}

bool concentrator_has_clone(const Concentrator *c, const uint8_t uuid[static 16], const uint8_t *bios) {
        char text[UUID_TEXT_MAX];

        if (bios)
                uuid_format(bios, text);
        for (const ConsoleEntry *e = console_index_find(&c->clones, uuid, 16); e; e = e->next)
                if (!bios || streq(e->console->uuid_text + UUID_TEXT_MAX, text))
                        return true;

        return false;
}

VMotion *concentrator_find_vmotion(const Concentrator *c, const uint8_t *data, size_t size) {
        VMotion *v;

        if (size < VMOTION_SECRET_SIZE)
                return NULL;

        const uint8_t *secret = data + size - VMOTION_SECRET_SIZE;
        HASH_FIND(handle, c->vmotions, secret, VMOTION_HANDLE_SIZE, v);

        return v && vmotion_has_secret(v, data, size) ? v : NULL;
}
