/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "basic/log.h"
#include "metrics.h"
#include "port-pool.h"
#include "port-queue.h"
#include "settings.h"
#include "transport/acceptor.h"
#include "transport/closer.h"
#include "transport/tls-context.h"
#include "vmotion.h"

/*
 * Concentrator: the domain's root. It takes connections from ESXi hosts, knows every VM's console by its
 * identity and every vMotion by its secret, gives consoles their ports, and lets go of what has expired.
 * It knows nothing of configuration files, storage or query interfaces: these observe it.
 */
typedef struct Client Client;
typedef struct CloneGroup CloneGroup;
typedef struct Concentrator Concentrator;
typedef struct ConcentratorObserver ConcentratorObserver;
typedef struct Gate Gate;

typedef enum ConsoleEvent {
        CONSOLE_ADDED,           /* a VM that was not known */
        CONSOLE_CONNECTED,
        CONSOLE_DISCONNECTED,
        CONSOLE_RENAMED,
        CONSOLE_CHANGED,         /* its URI, its port, its serial settings, how far a vMotion is, or its speaker */
        CONSOLE_REMOVED,         /* expired, given up or forgotten; the console is still valid during the call */
        CONSOLE_CLIENT_ATTACHED,
        CONSOLE_CLIENT_DETACHED,
        CONSOLE_VMOTION_BEGUN,
        CONSOLE_VMOTION_COMPLETE,
        CONSOLE_VMOTION_ABORTED,
} ConsoleEvent;

/* Is told what happens to consoles. Embedded in its owner; must not change the concentrator from within.
 * @client: who, of CONSOLE_CLIENT_ATTACHED and CONSOLE_CLIENT_DETACHED; else NULL. */
struct ConcentratorObserver {
        void (*notify)(ConcentratorObserver *observer, Console *console, ConsoleEvent event, const Client *client);

        /* What a console has just said; NULL: it does not want to hear it. */
        void (*output)(ConcentratorObserver *observer, Console *console, const uint8_t *data, size_t n);

        ConcentratorObserver *prev, *next;
};

/* One read of a connection, at most, and one write of what needs telnet's escapes */
#define CONCENTRATOR_READ_MAX (128U * 1024U)
#define CONCENTRATOR_ENCODED_MAX (64U * 1024U)

/* Descriptors kept back for what is not a connection: files, the journal, the bus. */
#define CONCENTRATOR_DESCRIPTORS_RESERVED 32U

/* VMs that are known though neither they nor a client are connected; the oldest goes first. As many as there can be
 * ports: after a restart all VMs are such until they are back. */
#define CONCENTRATOR_ORPHANS_MAX 65536U

struct Concentrator {
        sd_event *event;
        Poller *poller;
        Settings settings;
        unsigned descriptor_limit; /* connections are refused from this descriptor number on */

        TimeoutQueue handshakes;  /* Link.timeout: not identified yet */
        TimeoutQueue questions;   /* Link.question: its host has been asked for a UUID */
        TimeoutQueue departures;  /* Link.timeout: a vMotion's source that has not closed yet */
        TimeoutQueue detections;  /* Client.detection: raw or telnet is not known yet */
        TimeoutQueue binary_answers; /* Client.detection: has not said whether it takes BINARY */
        TimeoutQueue silences;    /* Client.silence: has sent something, and does not speak telnet */
        TimeoutQueue vm_silences; /* Client.vm_silence: half-closed, and its VM says nothing */
        TimeoutQueue half_closed; /* Client.lifetime: half-closed */
        TimeoutQueue vmotion_timeouts;
        TimeoutQueue successions; /* Link.succession: a target whose source may still have something to say */
        TimeoutQueue orphans;     /* Console.orphaned: without VM and clients */
        AcceptorRests rests;
        Closer closer;

        TlsWorker *tls_worker; /* for all contexts, whoever has them */
        TlsContext *tls;       /* of ESXi hosts; NULL: there is no certificate */
        bool closed;           /* all ESXi hosts that connect are refused */

        PortPool ports;
        PortQueue port_queue;
        bool ports_closed;          /* it was said that VMs do not listen at their ports */
        LogRateLimit port_closings; /* how often that is said */
        Console *consoles;  /* uthash by identity */
        CloneGroup *clones; /* uthash by UUID, see concentrator_add_clone() */
        VMotion *vmotions;  /* uthash by the secret's first half */
        Gate *gates;        /* utlist: the sockets on which ESXi connects */
        Link *links;        /* utlist: all, with or without a console */
        Link *dead_links;   /* utlist: closed, to be freed once nobody's function is in them any more */
        Client *dead_clients;
        sd_event_source *reaper;
        ConcentratorObserver *observers; /* utlist: those that want to hear output, then the others */

        Metrics metrics;
        uint64_t n_consoles_ever;
        unsigned n_connected; /* VMs */
        unsigned n_clients;
        unsigned n_clients_gone; /* of these, those that are kept for what they typed last */
        unsigned n_links;
        Link *strangers_heard;    /* utlist, the first first: who has sent something and is not known */
        size_t strangers_pending; /* bytes of that, of LINK_STRANGERS_PENDING_MAX */
        unsigned n_ports; /* VMs that listen at one */
        LogRateLimit refusals; /* for want of descriptors */
        LogBurst strangers;    /* what is logged about connections that have no console */
        bool restoring;        /* VMs that come to be are away */

        uint8_t *input;   /* CONCENTRATOR_READ_MAX: what has just been read */
        uint8_t *encoded; /* CONCENTRATOR_ENCODED_MAX: what is about to be written */
};

/* @n_descriptors: how many the process may have (RLIMIT_NOFILE). Takes over what @settings points to. */
int concentrator_new(sd_event *event, Settings *settings, unsigned n_descriptors, Concentrator **ret);
Concentrator *concentrator_free(Concentrator *c);
DEFINE_TRIVIAL_CLEANUP_FUNC(Concentrator *, concentrator_free);

/* New settings for a running concentrator. What cannot change while it runs (MultiConsole=) stays. Takes over what
 * @settings points to. */
void concentrator_set_settings(Concentrator *c, Settings *settings);

/* TLS is spoken like this with hosts that connect from now on; NULL: not at all. Takes a reference. */
void concentrator_set_tls(Concentrator *c, TlsContext *tls);

/* ESXi hosts that connect from now on are refused, or not, whatever the settings are. */
void concentrator_set_closed(Concentrator *c, bool closed);

/* ESXi hosts connect to the listening socket @fd from now on. It is taken over, and closed if this fails. */
int concentrator_add_gate(Concentrator *c, int fd);

void concentrator_observe(Concentrator *c, ConcentratorObserver *observer);
void concentrator_unobserve(Concentrator *c, ConcentratorObserver *observer);
void concentrator_notify(Concentrator *c, Console *console, ConsoleEvent event, const Client *client);
void concentrator_notify_output(Concentrator *c, Console *console, const uint8_t *data, size_t n);

Console *concentrator_find(const Concentrator *c, const char *id);

/* Clones are consoles whose identity has the BIOS UUID in it, because another VM has the same UUID. Any number of clones
 * may have the same UUID. Consoles call these when they come and go; removing one that was not added does nothing. Returns: 0
 * or -ENOMEM. */
int concentrator_add_clone(Concentrator *c, Console *console);
void concentrator_remove_clone(Concentrator *c, Console *console);

/* Whether there is a clone with these two UUIDs. */
bool concentrator_has_clone(const Concentrator *c, const uint8_t uuid[static 16], const uint8_t bios[static 16]);

/* Whether there are clones with this UUID. Then a link's VM can only be told by its BIOS UUID. */
bool concentrator_has_clones(const Concentrator *c, const uint8_t uuid[static 16]);

/* The vMotion that @data, a sequence followed by a secret, names; NULL if there is none. */
VMotion *concentrator_find_vmotion(const Concentrator *c, const uint8_t *data, size_t size);

/* To be called with the descriptor of each new connection, which is taken over. Near the limit a handshake that does
 * not get on, a half-closed client or the listening socket of a VM that is away is closed for it. Returns: its descriptor,
 * which may be another one now, or -EMFILE if it had to be closed, which is logged. */
int concentrator_admit(Concentrator *c, int fd);

/* The same for what is no connection: nothing is logged. */
int concentrator_make_room(Concentrator *c, int fd);

/* The same, but nothing is closed for it. */
int concentrator_place(const Concentrator *c, int fd);

/* Whether there are @n descriptors for connections; at the cost of 2@n system calls. */
bool concentrator_has_descriptors(const Concentrator *c, unsigned n);

/* Has those beyond CONCENTRATOR_ORPHANS_MAX given up once the loop gets round to it. */
void concentrator_limit_orphans(Concentrator *c);

/* Frees these once the loop gets round to it; their connections must be closed. */
void concentrator_bury_link(Concentrator *c, Link *link);
void concentrator_bury_client(Concentrator *c, Client *client);
