/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "access.h"
#include "basic/uuid.h"
#include "concentrator.h"
#include "console-charge.h"
#include "input-ring.h"
#include "rights.h"
#include "ring.h"
#include "transport/peer.h"

/*
 * Console: a VM's serial console. It has the VM's output in its ring, any number of links (several while the VM moves, or if
 * it has two serial ports) and any number of clients. It outlives both: the VM may reboot and reconnect, clients may come
 * first, and its port stays its own until the console expires.
 *
 * The output of all links goes into the ring, and input goes to all links that are live.
 */

/* Links at a time; the oldest is closed for another one. No VM has so many serial ports. */
#define CONSOLE_LINKS_MAX 32U

/* If a VM comes back within this time, one line is logged for its absence and its return. */
#define CONSOLE_ABSENCE_USEC (5 * USEC_PER_SEC)

/* Clients are not read while the link that sets the pace has more bytes of input than this to take. */
#define CONSOLE_INPUT_MAX (64U * 1024U)

/* The same for input that waits for a vMotion to end. The rest of the ring is for the last words of clients that go. */
#define CONSOLE_HELD_MAX (1024U * 1024U)

typedef struct ClientRequest ClientRequest;
typedef struct LoggedConsole LoggedConsole;

/*
 * What a console needs in order to continue. A plain record without pointers. To it belong
 *  - `id`, `uri` and `name`: a URI has at most TELNET_SUBNEGOTIATION_MAX bytes, a VM's name LINK_NAME_MAX; the identity and
 *    the name may have the URI in them,
 *  - `ring`, at most ScrollbackSize=, ClientBufferSize= and OUTPUT_RESERVE together, and `input`, at most INPUT_RING_MAX bytes and
 *    INPUT_BREAKS_MAX breaks.
 * All else in a Console follows from these, from the records that have its number (those of links, clients and vMotions), from
 * the socket that listens at its port, and from the settings; or starts anew: what observers know, and what is still to be
 * logged of a connection that has ended.
 */
typedef struct ConsoleRecord {
        uint64_t number;  /* consoles are numbered as they are created, from 1: the table has them in this order */
        uint8_t uuid[16]; /* as ESXi sent it */
        uint16_t own_port; /* the port that it had last, and is to have again: what is stored; 0: none */
        usec_t since;      /* when it was connected or disconnected last, since 1970 */
        usec_t left;       /* when the last client left, since 1970; 0: there has been none */
        usec_t connected_at;  /* when it was connected last, CLOCK_MONOTONIC */
        usec_t connected_for; /* how long it was connected before that, in all */
        usec_t output_at;     /* when its VM last said something, since 1970; 0: it has not */
        uint64_t bytes_sent;  /* input, to the VM; its output is counted by the ring's end */
} ConsoleRecord;

struct Console {
        Concentrator *concentrator;
        UT_hash_handle handle; /* by id */

        ConsoleRecord record;
        char *id; /* uuid_text, with "_URI" behind it under MultiConsole */
        char uuid_text[UUID_PAIR_TEXT_MAX]; /* the UUID; of a clone, with "~BIOS UUID" behind it */

        ConsoleEntry by_uuid; /* in the index of clones; only of a clone, which has "~" in its identity */
        ConsoleEntry by_name;

        char *uri;  /* of the serial port that connected last */
        char *name; /* a label for people: sanitised, not unique */
        char *former_name; /* the name that observers know; NULL: they know `name` */

        Acceptor acceptor; /* open if it listens */
        uint16_t port;     /* the port at which it listens; 0: none */
        uint16_t by_port;  /* the port by which it is found; 0: none */
        PortClaim claim;   /* whether it has a port, and what it waits for */

        Ring ring;
        InputRing input;
        Link *links;     /* utlist, in the order of their numbers */
        Link *doubtful;  /* utlist: links that may or may not be of this VM, see identification.h */
        Client *clients; /* utlist, in the order of their numbers */
        Client *half_closed; /* utlist, the oldest first: see client.h */
        VMotion *vmotions; /* utlist */
        unsigned n_links, n_doubtful, n_clients, n_vmotions;
        AccessHolders holders; /* of the clients */
        Timeout orphaned;
        Timeout absence;   /* runs until it is logged that its last connection has ended */
        char *absent_host; /* where that connection was from; NULL: the timeout does not run, or there was no memory */
        ConsoleCharge *typed; /* input that waits in its ring (console-input.c) */
        ConsoleCharge *lag;   /* output that the ring keeps for clients that lag (console-lag.c) */
        RateLimit say_limit;  /* of sharing_say() */
        RateLimit log_limit;  /* of console_log_limited() */
        LoggedConsole *logged; /* ConsoleLog's; NULL: none */
        uint64_t told_output; /* VmActivity's: the ring's end when it was last told that the VM says something */

        /* What has changed since it was settled, see console_changed() */
        Console **dirty;      /* the concentrator's list in which it waits to be settled; NULL: it has not changed */
        bool links_changed;   /* links, or what is known of them */
        bool clients_changed; /* a client has come or gone, or has other access */
        bool has_news;        /* observers are to be told CONSOLE_CHANGED */
        bool settings_changed;
        bool moved;           /* VMPortAddress= has changed */
        bool announced;       /* observers know it */
        bool removed;         /* it is to be freed, unless its VM or a client comes before */
        Console *dirty_prev, *dirty_next;

        bool connected;       /* a link is live, or a vMotion is under way */
        bool shown_connected; /* the value of `connected` that observers have been told */

        /* Derived; kept by console_settle(). */
        bool input_blocked;  /* there is no room for input: clients are not read */
        bool input_waits;    /* a client has kept input, because there was no room */
        bool output_blocked; /* SlowClient=wait and the ring is full: links are not read */
        Asker rights;        /* the sections that name it; brought up to date by console_rights() */
        uint64_t rights_enforced; /* for which generation of rights its clients have what they may have; 0: none */
        bool clash;          /* two VMs that cannot be told apart are connected (console-clash.c) */
};

/* A console's identity: the UUID, with "~BIOS UUID" behind it if another VM has the same UUID (@bios), and "_URI" under
 * MultiConsole. To be freed by the caller. */
char *console_make_id(const Settings *settings, const uint8_t uuid[static 16], const uint8_t *bios, const char *uri);

/* Whether its identity has a BIOS UUID in it. */
bool console_is_clone(const Console *c);

/* Creates the console. It has no port before console_open_port() is called, which opens @port, or another if that is 0 or not
 * to be had. @name is the VM's, see console_rename(). */
int console_new(Concentrator *c, const char *id, const uint8_t uuid[static 16], const char *name,
                const char *uri, uint16_t port, Console **ret);

/* Logs that a connection of its VM from @host has ended, later if it was the last one. */
void console_link_ended(Console *c, const char *host);

/* Its VM has come back. Returns: how long it was away, if that has not been logged; otherwise 0. */
usec_t console_end_absence(Console *c);

/* Handler of `absence` */
void console_absence_elapsed(Timeout *t);

/* Tells observers of the console, once: to be called when it has its port. */
void console_announce(Console *c);

/* Frees it when the loop comes round, unless its VM or a client comes before. */
void console_remove(Console *c);

/* Closes all of its clients, see client_close(). */
void console_close_clients(Console *c, int verdict);

/* Frees it. For the concentrator: nothing may be connected. */
Console *console_free(Console *c);

/* One of these is to be called after any change: the console is settled when the loop comes round, once, however much has
 * changed. links_changed(): also what is known of links. has_news(): observers are to be told. */
void console_changed(Console *c);
void console_links_changed(Console *c);
void console_has_news(Console *c);

/* Brings everything up to date that follows from links, clients and vMotions. For the concentrator. Returns: whether the
 * console stays. */
bool console_settle(Console *c);

/* Has the console listen at its own port, or at another if it has none or another program has it; does nothing if it listens or
 * VMPorts=no. If its VM or a client is there, VMs that are away give up what it needs. If it cannot listen, it waits (see
 * PortQueue) or the log says why. */
void console_open_port(Console *c);

/* Reserves the port that was its own, so that no other VM gets it before console_open_port() is called. */
void console_claim_own_port(Console *c);

/* Its port, if it has one but does not listen there at present; otherwise 0. */
uint16_t console_reserved_port(const Console *c);

/* For a console that the store knew: its VM has been away since @since (since 1970), and it expires accordingly. A time that is
 * still to come, because the clock has been set back, counts as now. */
void console_set_gone(Console *c, usec_t since);

/* Gives its port back to the pool, and waits for none. Clients stay connected. */
void console_close_port(Console *c);

/* Closes the listening socket of the VM that has been away for longest, for want of descriptors; the VM keeps its port.
 * Returns: whether there is such a VM. */
bool concentrator_pause_port(Concentrator *c);

/* Tells PortQueue whether it is away. Called by console_settle(). */
void console_settle_port(Console *c);

/* See PortQueueHandler: serves the next VM that waits. */
bool console_serve_ports(Concentrator *c, usec_t *ret_retry);

/* Listens at the same port on another VMPortAddress=, if it can be had. */
void console_move_port(Console *c);
int console_set_uri(Console *c, const char *uri);

/* Sets its label: the VM's name, with "_URI" behind it under MultiConsole; or its identity if @name is empty. */
int console_rename(Console *c, const char *name);

void console_add_link(Console *c, Link *link);
void console_remove_link(Console *c, Link *link);
void console_add_vmotion(Console *c, VMotion *v);
void console_remove_vmotion(Console *c, VMotion *v);
void console_add_client(Console *c, Client *client);
void console_remove_client(Console *c, Client *client);

/* Moves @client to the half-closed clients. If these are too many, the oldest is closed. */
void console_half_close_client(Console *c, Client *client);

/* Whether a client may come */
typedef enum ConsoleVerdict {
        CONSOLE_ADMITS,
        CONSOLE_IS_FULL,       /* ClientLimit= */
        CONSOLE_DENIES_ACCESS, /* others hold what it asks for */
        CONSOLE_FORBIDS,       /* it has no right to what it asks for */
} ConsoleVerdict;

/* Decides whether a client is admitted. Sets request->granted, the access that it gets, and request->right. With
 * request->force, others may lose theirs. If it returns CONSOLE_ADMITS, client_new() must be called next. */
ConsoleVerdict console_admit(Console *c, ClientRequest *request);

/*
 * Rights (console-rights.c). @asker: keeps the sections that name @who; NULL: they are determined each time.
 */
Right console_right(Console *c, const Identity *who, Asker *asker);
bool console_permits(Console *c, Act act, const Identity *who, Asker *asker);

/* Checks whether @who has the right to what @request asks for, and sets request->act and request->right. If it asks for
 * free-for-all-fallback and @who may only watch, request->access becomes read-only. Returns: CONSOLE_ADMITS or
 * CONSOLE_FORBIDS. */
ConsoleVerdict console_permits_request(Console *c, ClientRequest *request, const Identity *who);

/* The sections that name this VM */
const RightsSet *console_rights(Console *c);

/* Checks the rights of all clients again if they may have changed. Clients that have lost a right become read-only or are
 * closed, and are told. Called by console_settle(). */
void console_settle_rights(Console *c);

/* The first client that is in the way of one that asks for @mode, or the next after @after; NULL: none. */
const Client *console_next_obstacle(const Console *c, AccessMode mode, const Client *after);

/* @client has another access from now on; if that ends a lock, so have others. */
void console_change_access(Console *c, Client *client, Access access);

/* For administrators; @by is logged. clear(): disconnects all clients, and tells them why. Returns: how many there were.
 * forget(): has it expire when the loop comes round; -EBUSY if its VM is connected. */
unsigned console_clear(Console *c, const Peer *by);
int console_forget(Console *c, const Peer *by);

/* The state of its vMotion; VMOTION_NONE if there is none. */
VMotionState console_vmotion_state(const Console *c);

/* The active link, which tells what the VM's serial port is like: the newest that is live; NULL: there is none. */
const Link *console_active_link(const Console *c);

/* Since when neither its VM nor a client has been connected, since 1970; 0: one is. */
usec_t console_gone_since(const Console *c);

/* When it will expire, since 1970; USEC_INFINITY: not while things are as they are. */
usec_t console_expires(const Console *c);

/* Whether @n bytes of output fit, so that with SlowClient=wait no client loses any for which the VM waits. Clients for which it
 * does not wait are overtaken, if that makes room (console-lag.c). */
bool console_has_room(Console *c, size_t n);

/* Takes output from the VM into the ring. */
void console_output(Console *c, const uint8_t *data, size_t n);

/* How many bytes may be read from a link now */
size_t console_output_space(Console *c);

/* Take input from a client for all live links, at most console_input_space() bytes at a time. While it waits it is charged to
 * the owner of @typist. */
void console_input(Console *c, const Charge *typist, const uint8_t *data, size_t n);
void console_break(Console *c, const Charge *typist);
size_t console_input_space(const Console *c);

/* The same for the last words of a client that goes: they cannot wait. */
size_t console_last_words_space(const Console *c);

/* Whether input waits for the VM to take it, or for a vMotion to end. */
bool console_holds_input(const Console *c);

/* Sends input to the links, as far as they take it. */
void console_flush_input(Console *c);

/* It takes in new settings when it is settled. @moved: VMPortAddress= has changed. */
void console_settings_changed(Console *c, bool moved);

/* A text that says which two VMs share this console, and what to do. Returns: @buffer; NULL: no VMs share it. */
#define CONSOLE_CLASH_TEXT_MAX 384U
const char *console_describe_clash(const Console *c, char buffer[static CONSOLE_CLASH_TEXT_MAX]);

/* Tells clients and the log when two VMs begin to share this console and when that ends (console-clash.c). Called by
 * console_settle(). */
void console_settle_clash(Console *c);

/* Frees the memory of output that nobody needs. What the ring keeps for clients that lag is charged to the owner of the client
 * that was furthest behind when the lag began (console-lag.c). */
void console_trim_output(Console *c);

/* "VM web01 (5012…): …" with VSPC_VM_NAME=, VSPC_VM_UUID= and VSPC_URI=, and VSPC_PEER= unless @peer is NULL */
void console_log(const Console *c, int level, const char *message_id, const char *peer, const char *format, ...)
                _printf_(5, 6);

/* The same for lines that a VM's host can cause again and again: those beyond a limit are left out. Otherwise one VM could fill
 * the log's queue, and lines about other VMs would be dropped. */
#define console_log_limited(c, ...)                                                                         \
        do {                                                                                                \
                if (console_may_log(c))                                                                     \
                        console_log(c, __VA_ARGS__);                                                        \
        } while (false)

/* Whether another such line is within the limit. If it is, it counts as logged. */
bool console_may_log(Console *c);
