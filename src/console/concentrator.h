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
 * Concentrator: the domain's root. It takes connections from ESXi hosts, knows every VM's console by its
 * identity and every vMotion by its secret, gives consoles their ports, and lets go of what has expired.
 * It knows nothing of configuration files, storage or query interfaces: these observe it.
 */
typedef struct Client Client;
typedef struct Concentrator Concentrator;
typedef struct ConcentratorObserver ConcentratorObserver;

typedef enum ConsoleEvent {
        CONSOLE_ADDED,           /* a VM that was not known */
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

/* Is told what happens to consoles. Embedded in its owner; must not change the concentrator from within.
 * @client: who, of CONSOLE_CLIENT_ATTACHED and CONSOLE_CLIENT_DETACHED; else NULL. */
struct ConcentratorObserver {
        void (*notify)(ConcentratorObserver *observer, Console *console, ConsoleEvent event, const Client *client);

        /* What a console has just said; NULL: it does not want to hear it. */
        void (*output)(ConcentratorObserver *observer, Console *console, const uint8_t *data, size_t n);

        ConcentratorObserver *prev, *next;
};

/* Descriptors kept back for what is not a connection: files, the journal, the bus. */
#define CONCENTRATOR_DESCRIPTORS_RESERVED 32U

/* Bound of the number of vMotions under way */
#define CONCENTRATOR_VMOTIONS_MAX 8192U

/* Bound of the number of consoles of which neither the VM nor a client is connected; the oldest is forgotten first. There are
 * as many ports, and after a restart all VMs are away at first. */
#define CONCENTRATOR_ORPHANS_MAX 65536U

/* Kinds of timeouts: each has a queue. What runs out */
typedef enum TimeoutKind {
        TIMEOUT_HANDSHAKE,   /* Link.timeout: not identified yet */
        TIMEOUT_QUESTION,    /* Link.question: its host has been asked for a UUID */
        TIMEOUT_HANDED_OVER, /* Link.timeout: a vMotion's source that has not closed yet */
        TIMEOUT_STALL,       /* Link.stall: takes no input */
        TIMEOUT_HANDOVER,    /* Link.handover: a target whose source may still have something to say */
        TIMEOUT_DETECTION,   /* Client.detection.timeout: raw or telnet is not known yet; these three are as in TelnetTimeout */
        TIMEOUT_BINARY,      /* Client.detection.timeout: has not said whether it takes BINARY */
        TIMEOUT_SILENCE,     /* Client.detection.silence: has sent something, and does not speak telnet */
        TIMEOUT_VM_SILENCE,  /* Client.vm_silence: half-closed, and its VM says nothing */
        TIMEOUT_HALF_CLOSED, /* Client.lifetime: half-closed */
        TIMEOUT_VMOTION,     /* VMotion.timeout */
        TIMEOUT_ORPHAN,      /* Console.orphaned: without VM and clients */
        TIMEOUT_ABSENCE,     /* Console.absence: without VM, which has not been logged */
        _TIMEOUT_MAX,
} TimeoutKind;

/* How many there are now */
typedef struct ConcentratorCounts {
        unsigned n_vms;
        unsigned n_connected; /* of these */
        unsigned n_links;
        unsigned n_vmotions;
        unsigned n_clients;
        unsigned n_half_closed; /* clients, not counted in n_clients */
        unsigned n_ports; /* VMs that listen at their port */
} ConcentratorCounts;

/* @n_descriptors: how many the process may have (RLIMIT_NOFILE). Takes over what @settings points to. */
int concentrator_new(sd_event *event, Settings *settings, unsigned n_descriptors, Concentrator **ret);
Concentrator *concentrator_free(Concentrator *c);
DEFINE_TRIVIAL_CLEANUP_FUNC(Concentrator *, concentrator_free);

/* For tests: connections can only have descriptors below @limit. */
void concentrator_set_descriptor_limit(Concentrator *c, unsigned limit);

/* New settings for a running concentrator, but for MultiConsole=, which cannot change while it runs. Takes over what @settings
 * points to. */
void concentrator_set_settings(Concentrator *c, Settings *settings);

/* Who may do what, from now on; also those who are connected. Takes over what is in @rights. */
void concentrator_set_rights(Concentrator *c, Rights *rights);

/* TLS with hosts that connect from now on; NULL: none. Takes a reference. */
void concentrator_set_tls(Concentrator *c, TlsContext *tls);

/* Whether ESXi hosts that connect from now on are refused, whatever the settings are. */
void concentrator_set_closed(Concentrator *c, bool closed);

/* Accepts connections of ESXi hosts from the listening socket @fd, which is taken over, and closed if this fails. */
int concentrator_listen(Concentrator *c, int fd);

void concentrator_observe(Concentrator *c, ConcentratorObserver *observer);
void concentrator_unobserve(Concentrator *c, ConcentratorObserver *observer);
void concentrator_notify(Concentrator *c, Console *console, ConsoleEvent event, const Client *client);
void concentrator_notify_output(Concentrator *c, Console *console, const uint8_t *data, size_t n);

/*
 * What its objects share
 */
sd_event *concentrator_event(const Concentrator *c);
usec_t concentrator_now(const Concentrator *c);          /* CLOCK_MONOTONIC, when the loop last woke up */
usec_t concentrator_now_realtime(const Concentrator *c); /* the same, since 1970 */
const Settings *concentrator_settings(const Concentrator *c);
Rights *concentrator_rights(Concentrator *c);
unsigned concentrator_descriptor_limit(const Concentrator *c); /* connections are refused from this descriptor number on */
TlsContext *concentrator_tls(const Concentrator *c);     /* of ESXi hosts; NULL: there is no certificate */
bool concentrator_is_closed(const Concentrator *c);

Poller *concentrator_poller(Concentrator *c);
TimeoutQueue *concentrator_timeouts(Concentrator *c, TimeoutKind kind);
AcceptorBackoff *concentrator_acceptor_backoff(Concentrator *c);
Closer *concentrator_closer(Concentrator *c);
Account *concentrator_account(const Concentrator *c); /* of the memory that strangers and clients take */
TlsWorker *concentrator_tls_worker(Concentrator *c);  /* for all contexts, whoever has them */
PortPool *concentrator_ports(Concentrator *c);
PortQueue *concentrator_port_queue(Concentrator *c);
Metrics *concentrator_metrics(Concentrator *c);
ConcentratorCounts *concentrator_counts(Concentrator *c);
RateLimit *concentrator_refusals(Concentrator *c);     /* of log lines about connections for which there is no descriptor */
RateLimit *concentrator_unidentified(Concentrator *c); /* of log lines about links that have no console */

/*
 * Who is there: links, clients, consoles and vMotions report here when they come, and are numbered in that order, and when
 * they go. What returns an int returns 0 or -ENOMEM.
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
Console *concentrator_find_port(const Concentrator *c, uint16_t port); /* whose own port that is */
const ConsoleEntry *concentrator_find_name(const Concentrator *c, const char *name); /* the first of that name */

/* Whether there is a clone with these two UUIDs. @bios: NULL: whether there is any clone with this UUID. Then a link's VM can
 * only be told by its BIOS UUID. */
bool concentrator_has_clone(const Concentrator *c, const uint8_t uuid[static 16], const uint8_t *bios);

/* Returns: the vMotion that has the sequence and the secret in @data; NULL if there is none. */
VMotion *concentrator_find_vmotion(const Concentrator *c, const uint8_t *data, size_t size);

/* Takes the descriptor of each new connection. Near the limit a slow handshake, a half-closed client or the listening socket
 * of a VM that is away is closed for it. Returns: its descriptor, which may be another one now, or -EMFILE if it had to be
 * closed, which is logged. */
int concentrator_admit(Concentrator *c, int fd);

/* The same for a descriptor that is not a connection's: nothing is logged. */
int concentrator_make_room(Concentrator *c, int fd);

/* The same, but nothing is closed for it. */
int concentrator_place(const Concentrator *c, int fd);

/* Whether @n descriptors are free for connections. Takes 2 * @n system calls. */
bool concentrator_has_descriptors(const Concentrator *c, unsigned n);

/* Forgets VMs that are away beyond CONCENTRATOR_ORPHANS_MAX. */
void concentrator_limit_orphans(Concentrator *c);

/*
 * Links and clients that have been closed are in the gc queue, and consoles that have changed are in a queue as well. When
 * the loop has come round, concentrator_settle() says goodbye to the closed ones and frees them, and settles each changed
 * console, once more only if settling has changed it. Only this step frees, so a handler may call any function and its object
 * stays valid.
 */
void concentrator_add_link_to_gc_queue(Concentrator *c, Link *link);
void concentrator_add_client_to_gc_queue(Concentrator *c, Client *client);
void concentrator_queue_dirty(Concentrator *c, Console *console);
void concentrator_queue_patient(Concentrator *c, Console *console); /* behind those that are queued as dirty */
void concentrator_unqueue_dirty(Concentrator *c, Console *console);

/* Settles for at most a millisecond; the rest waits for the next round. */
void concentrator_settle(Concentrator *c);
