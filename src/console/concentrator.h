/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "basic/log.h"
#include "console-index.h"
#include "metrics.h"
#include "port-pool.h"
#include "port-queue.h"
#include "rights.h"
#include "settings.h"
#include "transport/acceptor.h"
#include "transport/account.h"
#include "transport/closer.h"
#include "transport/tls-context.h"
#include "vmotion.h"

/*
 * Concentrator: the root of the domain. It accepts connections from ESXi hosts, finds consoles by their identity and vMotions
 * by their secret, gives ports to consoles, and forgets VMs that have expired. It does not know configuration files, storage or
 * admin interfaces: these observe it.
 */
typedef struct Client Client;
typedef struct Concentrator Concentrator;
typedef struct ConcentratorObserver ConcentratorObserver;

typedef enum ConsoleEvent {
        CONSOLE_ADDED,           /* a new VM */
        CONSOLE_CONNECTED,
        CONSOLE_DISCONNECTED,
        CONSOLE_RENAMED,
        CONSOLE_CHANGED,         /* its URI, port, serial settings, vMotion or active link, or the access of a client */
        CONSOLE_REMOVED,         /* expired, given up or forgotten; the console is still valid during the call */
        CONSOLE_CLIENT_ATTACHED,
        CONSOLE_CLIENT_DETACHED,
        CONSOLE_VMOTION_BEGUN,
        CONSOLE_VMOTION_COMPLETE,
        CONSOLE_VMOTION_ABORTED,
} ConsoleEvent;

/* Gets events of consoles. Embedded in its owner. Handlers must not change the concentrator. @client: for
 * CONSOLE_CLIENT_ATTACHED and CONSOLE_CLIENT_DETACHED; otherwise NULL. */
struct ConcentratorObserver {
        void (*notify)(ConcentratorObserver *observer, Console *console, ConsoleEvent event, const Client *client);

        /* Gets the output of consoles; may be NULL. */
        void (*output)(ConcentratorObserver *observer, Console *console, const uint8_t *data, size_t n);

        ConcentratorObserver *prev, *next;
};

/* Descriptors reserved for other things than connections: files, the journal, the bus */
#define CONCENTRATOR_DESCRIPTORS_RESERVED 32U

/* The maximum number of unfinished vMotions */
#define CONCENTRATOR_VMOTIONS_MAX 8192U

/* The maximum number of VMs that are away (neither connected, nor with a client); at the limit, the oldest is forgotten. It is
 * the number of ports, because after a restart all VMs are away at first. */
#define CONCENTRATOR_ORPHANS_MAX 65536U

/* Kinds of timeouts. Each has a queue. */
typedef enum TimeoutKind {
        TIMEOUT_HANDSHAKE,   /* Link.timeout: not identified yet */
        TIMEOUT_QUESTION,    /* Link.question: its host has been asked for a UUID */
        TIMEOUT_HANDED_OVER, /* Link.timeout: the source of a completed vMotion has not closed yet */
        TIMEOUT_STALL,       /* Link.stall: takes no input */
        TIMEOUT_HANDOVER,    /* Link.handover: the target waits for the last output of the source */
        TIMEOUT_DETECTION,   /* Client.detection.timeout: raw or telnet is not known yet; these three are as in TelnetTimeout */
        TIMEOUT_BINARY,      /* Client.detection.timeout: waits for the answer to WILL BINARY */
        TIMEOUT_SILENCE,     /* Client.detection.silence: does not speak telnet, and has sent something */
        TIMEOUT_VM_SILENCE,  /* Client.vm_silence: half-closed, and its VM is silent */
        TIMEOUT_HALF_CLOSED, /* Client.lifetime: half-closed */
        TIMEOUT_VMOTION,     /* VMotion.timeout */
        TIMEOUT_ORPHAN,      /* Console.orphaned: without VM and clients */
        TIMEOUT_ABSENCE,     /* Console.absence: disconnected, which has not been logged yet */
        _TIMEOUT_MAX,
} TimeoutKind;

/* The present numbers of objects */
typedef struct ConcentratorCounts {
        unsigned n_vms;
        unsigned n_connected; /* of these */
        unsigned n_links;
        unsigned n_vmotions;
        unsigned n_clients;
        unsigned n_half_closed; /* clients, not counted in n_clients */
        unsigned n_ports; /* VMs that listen at their port */
} ConcentratorCounts;

/* @n_descriptors: the limit of the process (RLIMIT_NOFILE). Takes over the content of @settings. */
int concentrator_new(sd_event *event, Settings *settings, unsigned n_descriptors, Concentrator **ret);
Concentrator *concentrator_free(Concentrator *c);
DEFINE_TRIVIAL_CLEANUP_FUNC(Concentrator *, concentrator_free);

/* Changes the settings, except MultiConsole=, which cannot change at run time. Takes over the content of @settings. */
void concentrator_set_settings(Concentrator *c, Settings *settings);

/* Changes the rights, also of connected clients. Takes over the content of @rights. */
void concentrator_set_rights(Concentrator *c, Rights *rights);

/* Sets TLS for new connections of hosts; NULL: no TLS. Takes a reference. */
void concentrator_set_tls(Concentrator *c, TlsContext *tls);

/* Refuses all new connections of ESXi hosts if @closed. */
void concentrator_set_closed(Concentrator *c, bool closed);

/* Accepts connections of ESXi hosts from the listening socket @fd. Takes over @fd, which is closed if this fails. */
int concentrator_listen(Concentrator *c, int fd);

void concentrator_observe(Concentrator *c, ConcentratorObserver *observer);
void concentrator_unobserve(Concentrator *c, ConcentratorObserver *observer);
void concentrator_notify(Concentrator *c, Console *console, ConsoleEvent event, const Client *client);
void concentrator_notify_output(Concentrator *c, Console *console, const uint8_t *data, size_t n);

/*
 * What the objects of a concentrator share
 */
sd_event *concentrator_event(const Concentrator *c);
usec_t concentrator_now(const Concentrator *c);          /* CLOCK_MONOTONIC, the last wake-up of the loop */
usec_t concentrator_now_realtime(const Concentrator *c); /* the same, since 1970 */
const Settings *concentrator_settings(const Concentrator *c);
Rights *concentrator_rights(Concentrator *c);
unsigned concentrator_descriptor_limit(const Concentrator *c); /* connections are refused from this descriptor number on */
TlsContext *concentrator_tls(const Concentrator *c);     /* for ESXi hosts; NULL: there is no certificate */
bool concentrator_is_closed(const Concentrator *c);

Poller *concentrator_poller(Concentrator *c);
TimeoutQueue *concentrator_timeouts(Concentrator *c, TimeoutKind kind);
AcceptorBackoff *concentrator_acceptor_backoff(Concentrator *c);
Closer *concentrator_closer(Concentrator *c);
Account *concentrator_account(const Concentrator *c); /* limits the memory for strangers and clients */
TlsWorker *concentrator_tls_worker(Concentrator *c);  /* for all contexts, also those of admin connections */
PortPool *concentrator_ports(Concentrator *c);
PortQueue *concentrator_port_queue(Concentrator *c);
Metrics *concentrator_metrics(Concentrator *c);
ConcentratorCounts *concentrator_counts(Concentrator *c);
RateLimit *concentrator_refusals(Concentrator *c);     /* limits log lines about refusals because descriptors have run out */
RateLimit *concentrator_unidentified(Concentrator *c); /* limits log lines about links without a console */

/*
 * The lists of objects: links, clients, consoles and vMotions are added when they are created, which also gives them their
 * number, and removed at their end. Functions that return an int return 0 or -ENOMEM.
 */
void concentrator_add_link(Concentrator *c, Link *link);
void concentrator_add_client(Concentrator *c, Client *client);
uint64_t concentrator_next_client_number(const Concentrator *c);

int concentrator_add_console(Concentrator *c, Console *console);
int concentrator_name_console(Concentrator *c, Console *console, const char *name);
void concentrator_set_port_owner(Concentrator *c, uint16_t port, Console *console); /* @console may be NULL, @port 0 */
void concentrator_remove_console(Concentrator *c, Console *console);
int concentrator_add_vmotion(Concentrator *c, VMotion *v);
void concentrator_remove_vmotion(Concentrator *c, VMotion *v);

/* The first console; the others follow by handle.next. */
Console *concentrator_consoles(const Concentrator *c);
Console *concentrator_find(const Concentrator *c, const char *id);
Console *concentrator_find_port(const Concentrator *c, uint16_t port); /* the console with this own port */
const ConsoleEntry *concentrator_find_name(const Concentrator *c, const char *name); /* the first with this name */

/* Returns: whether there is a clone with these two UUIDs; if @bios is NULL, whether there is any clone with this UUID. Then VMs
 * with this UUID can only be distinguished by their BIOS UUID. */
bool concentrator_has_clone(const Concentrator *c, const uint8_t uuid[static 16], const uint8_t *bios);

/* Returns: the vMotion with the sequence and the secret in @data, or NULL. */
VMotion *concentrator_find_vmotion(const Concentrator *c, const uint8_t *data, size_t size);

/* Must be called with the descriptor of each new connection. Near the limit, a slow handshake, a half-closed client or the
 * listening socket of a VM that is away is closed to make room. Returns: the descriptor, whose number may have changed; or
 * -EMFILE, and the connection has been closed, which is logged. */
int concentrator_admit(Concentrator *c, int fd);

/* The same for a descriptor that is not a connection: nothing is logged. */
int concentrator_make_room(Concentrator *c, int fd);

/* The same, but nothing is closed to make room. */
int concentrator_place(const Concentrator *c, int fd);

/* Returns: whether @n descriptors are free for connections. Makes 2 * @n system calls. */
bool concentrator_has_descriptors(const Concentrator *c, unsigned n);

/* If more than CONCENTRATOR_ORPHANS_MAX VMs are away, forgets the oldest ones. */
void concentrator_limit_orphans(Concentrator *c);

/*
 * Closed links and clients wait in the gc queue, and changed consoles in another queue. At the end of the loop iteration,
 * concentrator_settle() sends last messages to the closed ones and frees them, and settles each changed console (again if
 * settling has changed it). Nothing else frees these objects, so a handler may call any function, and its object stays valid.
 */
void concentrator_add_link_to_gc_queue(Concentrator *c, Link *link);
void concentrator_add_client_to_gc_queue(Concentrator *c, Client *client);
void concentrator_queue_dirty(Concentrator *c, Console *console);
void concentrator_queue_patient(Concentrator *c, Console *console); /* settled after the dirty ones */
void concentrator_unqueue_dirty(Concentrator *c, Console *console);

/* Works for at most a millisecond. The rest waits for the next loop iteration. */
void concentrator_settle(Concentrator *c);
