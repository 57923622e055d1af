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
 * Console: a VM's serial console. It has the VM's output in its ring, any number of links (several during a vMotion, or if the
 * VM has several serial ports) and any number of clients. It outlives both: the VM may reboot and reconnect, clients may come
 * first, and it keeps its port until it expires.
 *
 * The output of all links goes into the ring, and input goes to all live links.
 */

/* The maximum of links at a time; for another one, the oldest is closed. VMs have fewer serial ports. */
#define CONSOLE_LINKS_MAX 32U

/* If a VM reconnects within this time, a single line is logged. */
#define CONSOLE_ABSENCE_USEC (5 * USEC_PER_SEC)

/* Clients are not read while more bytes of input than this wait for the link that sets the pace. */
#define CONSOLE_INPUT_MAX (64U * 1024U)

/* The same for input that waits for the end of a vMotion. The rest of the ring is for the last input of half-closed clients. */
#define CONSOLE_HELD_MAX (1024U * 1024U)

typedef struct ClientRequest ClientRequest;
typedef struct LoggedConsole LoggedConsole;

/*
 * What a console needs in order to continue: a plain record without pointers, and
 *  - `id`, `uri` and `name`: a URI has at most TELNET_SUBNEGOTIATION_MAX bytes, a VM's name LINK_NAME_MAX; the identity and
 *    the name may contain the URI,
 *  - `ring`, at most the sum of ScrollbackSize=, ClientBufferSize= and OUTPUT_RESERVE; and `input`, at most INPUT_RING_MAX bytes
 *    and INPUT_BREAKS_MAX breaks.
 * Everything else in a Console can be derived from these, from the records that contain its number (of links, clients and
 * vMotions), from the listening socket of its port, and from the settings; or starts again: what observers know, and what is
 * not logged yet about a connection that has ended.
 */
typedef struct ConsoleRecord {
        uint64_t number;  /* consoles are numbered from 1 in the order of their creation, which is also that of the table */
        uint8_t uuid[16]; /* as ESXi sent it */
        uint16_t own_port; /* the last port, which the console keeps and which is stored; 0: none */
        usec_t since;      /* when it last connected or disconnected, since 1970 */
        usec_t left;       /* when the last client left, since 1970; 0: never */
        usec_t connected_at;  /* when it last connected, CLOCK_MONOTONIC */
        usec_t connected_for; /* the sum of its earlier connections */
        usec_t output_at;     /* when the VM last sent output, since 1970; 0: never */
        uint64_t bytes_sent;  /* bytes of input sent to the VM (bytes of output are the position of the ring's end) */
} ConsoleRecord;

struct Console {
        Concentrator *concentrator;
        UT_hash_handle handle; /* by id */

        ConsoleRecord record;
        char *id; /* uuid_text, followed by "_URI" with MultiConsole= */
        char uuid_text[UUID_PAIR_TEXT_MAX]; /* the UUID; of a clone, followed by "~BIOS UUID" */

        ConsoleEntry by_uuid; /* in the index of clones, if it is one (there is a "~" in its identity) */
        ConsoleEntry by_name;

        char *uri;  /* of the last serial port that connected */
        char *name; /* for people: sanitized, not unique */
        char *former_name; /* the name that observers know; NULL: they know `name` */

        Acceptor acceptor; /* open while the console listens */
        uint16_t port;     /* the port at which it listens; 0: none */
        uint16_t by_port;  /* the port in the concentrator's table; 0: none */
        PortClaim claim;   /* whether it has a port, and what it waits for */

        Ring ring;
        InputRing input;
        Link *links;     /* utlist, in the order of their numbers */
        Link *doubtful;  /* utlist: links that may or may not be of this VM, see identification.h */
        Client *clients; /* utlist, in the order of their numbers */
        Client *half_closed; /* utlist, the oldest first, see client.h */
        VMotion *vmotions; /* utlist */
        unsigned n_links, n_doubtful, n_clients, n_vmotions;
        AccessHolders holders; /* of the clients */
        Timeout orphaned;
        Timeout absence;   /* runs until it is logged that its last connection has ended */
        char *absent_host; /* the host of that connection; NULL: the timeout does not run, or memory was short */
        ConsoleCharge *typed; /* for waiting input (console-input.c) */
        ConsoleCharge *lag;   /* for output that is kept for clients that lag (console-lag.c) */
        RateLimit say_limit;  /* of sharing_say() */
        RateLimit log_limit;  /* of console_log_limited() */
        LoggedConsole *logged; /* belongs to ConsoleLog; may be NULL */
        uint64_t told_output; /* belongs to VmActivity: the ring's end at its last event */

        /* What has changed since it was last settled, see console_changed() */
        Console **dirty;      /* the concentrator's list in which it waits to be settled; NULL: nothing has changed */
        bool links_changed;   /* links, or their state */
        bool clients_changed; /* a client has come, left, or got another access */
        bool has_news;        /* observers must be told CONSOLE_CHANGED */
        bool settings_changed;
        bool moved;           /* VMPortAddress= has changed */
        bool announced;       /* observers know this console */
        bool removed;         /* it will be freed, unless its VM or a client comes first */
        Console *dirty_prev, *dirty_next;

        bool connected;       /* a link is live, or a vMotion is unfinished */
        bool shown_connected; /* the value of `connected` that observers know */

        /* Derived; kept by console_settle(). */
        bool input_blocked;  /* there is no room for input: clients are not read */
        bool input_waits;    /* a client has kept input because there was no room */
        bool output_blocked; /* SlowClient=wait, and the ring is full: links are not read */
        Asker rights;        /* the sections that name this VM; updated by console_rights() */
        uint64_t rights_enforced; /* the generation of rights for which the clients were last checked; 0: never */
        bool clash;          /* two VMs share this console (console-clash.c) */
};

/* Returns: a console's identity, to be freed: the UUID, followed by "~BIOS UUID" for a clone (@bios is not NULL), and by "_URI"
 * with MultiConsole=. */
char *console_make_id(const Settings *settings, const uint8_t uuid[static 16], const uint8_t *bios, const char *uri);

/* Returns: whether the identity contains a BIOS UUID. */
bool console_is_clone(const Console *c);

/* Creates the console without a port. console_open_port() will open @port if possible; 0: any. @name: of the VM, see
 * console_rename(). */
int console_new(Concentrator *c, const char *id, const uint8_t uuid[static 16], const char *name,
                const char *uri, uint16_t port, Console **ret);

/* Logs that a connection from @host has ended; after a while if it was the last one. */
void console_link_ended(Console *c, const char *host);

/* Must be called when the VM reconnects. Returns: how long it was away, if that has not been logged; otherwise 0. */
usec_t console_end_absence(Console *c);

/* Handler of `absence` */
void console_absence_elapsed(Timeout *t);

/* Tells observers about the new console. Must be called once, when the console has its port. */
void console_announce(Console *c);

/* Makes console_settle() free the console, unless its VM or a client comes first. */
void console_remove(Console *c);

/* Closes all clients, see client_close(). */
void console_close_clients(Console *c, int verdict);

/* For the concentrator. Nothing may be connected. */
Console *console_free(Console *c);

/* One of these must be called after any change. The console is settled once at the end of the loop iteration, however much has
 * changed. links_changed(): links or their state have changed. has_news(): observers must be told. */
void console_changed(Console *c);
void console_links_changed(Console *c);
void console_has_news(Console *c);

/* Updates everything that depends on links, clients and vMotions. For the concentrator. Returns: false if the console must be
 * freed. */
bool console_settle(Console *c);

/* Makes the console listen at its own port, or at another one if it has none or another program uses it. Does nothing if it
 * listens already, or with VMPorts=no. If its VM or a client is connected, VMs that are away give up what it needs. If it cannot
 * listen, it waits (see PortQueue), or the reason is logged. */
void console_open_port(Console *c);

/* Reserves the own port, so that no other VM gets it before console_open_port() is called. */
void console_claim_own_port(Console *c);

/* Returns: the port, if the console has one but does not listen there at present; otherwise 0. */
uint16_t console_reserved_port(const Console *c);

/* For a console from the store: its VM has been away since @since (since 1970), from which its expiry is computed. A time in
 * the future (because the clock was set back) counts as now. */
void console_set_gone(Console *c, usec_t since);

/* Returns the port to the pool. The console does not wait for another one. Clients stay connected. */
void console_close_port(Console *c);

/* Closes the listening socket of the VM that has been away for longest, because descriptors have run out. The VM keeps its port.
 * Returns: whether there is such a VM. */
bool concentrator_pause_port(Concentrator *c);

/* Tells PortQueue whether the VM is away. Called by console_settle(). */
void console_settle_port(Console *c);

/* The PortQueueHandler: serves the next waiting VM. */
bool console_serve_ports(Concentrator *c, usec_t *ret_retry);

/* Listens at the same port of the new VMPortAddress=, if possible. */
void console_move_port(Console *c);
int console_set_uri(Console *c, const char *uri);

/* Sets the console's name: the VM's name, followed by "_URI" with MultiConsole=; or the identity if @name is empty. */
int console_rename(Console *c, const char *name);

void console_add_link(Console *c, Link *link);
void console_remove_link(Console *c, Link *link);
void console_add_vmotion(Console *c, VMotion *v);
void console_remove_vmotion(Console *c, VMotion *v);
void console_add_client(Console *c, Client *client);
void console_remove_client(Console *c, Client *client);

/* Moves @client to the half-closed clients. If there are too many of these, the oldest is closed. */
void console_half_close_client(Console *c, Client *client);

/* Whether a client is admitted */
typedef enum ConsoleVerdict {
        CONSOLE_ADMITS,
        CONSOLE_IS_FULL,       /* ClientLimit= */
        CONSOLE_DENIES_ACCESS, /* other clients hold access that excludes the requested one */
        CONSOLE_FORBIDS,       /* it has no right to what it requests */
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

/* Returns: the sections that name this VM. */
const RightsSet *console_rights(Console *c);

/* Checks the rights of all clients again if they may have changed. Clients that have lost a right become read-only or are
 * closed, and are told. Called by console_settle(). */
void console_settle_rights(Console *c);

/* Returns: the first client (or the next one after @after) that prevents another one from getting @mode; or NULL. */
const Client *console_next_obstacle(const Console *c, AccessMode mode, const Client *after);

/* Changes the access of @client, and that of others if this ends a lock. */
void console_change_access(Console *c, Client *client, Access access);

/* For administrators; @by is logged. clear(): disconnects all clients, and tells them why. Returns: their number. forget(): makes
 * the console expire now. Returns: 0, or -EBUSY if its VM is connected. */
unsigned console_clear(Console *c, const Peer *by);
int console_forget(Console *c, const Peer *by);

/* Returns: the state of the console's first vMotion; VMOTION_NONE if there is none. */
VMotionState console_vmotion_state(const Console *c);

/* Returns: the active link, whose serial settings are shown: the newest live link; or NULL. */
const Link *console_active_link(const Console *c);

/* Returns: since when the VM has been away (neither connected, nor with a client), since 1970; 0: it is not away. */
usec_t console_gone_since(const Console *c);

/* Returns: when the console will expire, since 1970; USEC_INFINITY: not in its present state. */
usec_t console_expires(const Console *c);

/* Returns: whether there is room for @n bytes of output, so that no client loses any for which the VM waits. If necessary, clients
 * for which it does not wait lose output to make room (console-lag.c). */
bool console_has_room(Console *c, size_t n);

/* Adds output of the VM to the ring. */
void console_output(Console *c, const uint8_t *data, size_t n);

/* Returns: the number of bytes that may be read from a link now. */
size_t console_output_space(Console *c);

/* Take input from a client for all live links, at most console_input_space() bytes at a time. While it waits, it is charged to
 * the owner of @typist. */
void console_input(Console *c, const Charge *typist, const uint8_t *data, size_t n);
void console_break(Console *c, const Charge *typist);
size_t console_input_space(const Console *c);

/* Like console_input_space(), for the last input of a half-closed client, which does not wait for the VM. */
size_t console_last_words_space(const Console *c);

/* Returns: whether input waits until the VM takes it, or until a vMotion ends. */
bool console_holds_input(const Console *c);

/* Sends input to the links, as much as they take. */
void console_flush_input(Console *c);

/* Makes console_settle() apply new settings. @moved: VMPortAddress= has changed. */
void console_settings_changed(Console *c, bool moved);

/* Describes which two VMs share this console, and what to do. Returns: @buffer; NULL if there is no clash. */
#define CONSOLE_CLASH_TEXT_MAX 384U
const char *console_describe_clash(const Console *c, char buffer[static CONSOLE_CLASH_TEXT_MAX]);

/* Tells clients and the log about the beginning and the end of a clash (console-clash.c). Called by console_settle(). */
void console_settle_clash(Console *c);

/* Frees output that nobody needs, and charges what is kept for clients that lag (console-lag.c). */
void console_trim_output(Console *c);

/* Logs "VM web01 (5012…): …" with VSPC_VM_NAME=, VSPC_VM_UUID=, VSPC_URI=, and VSPC_PEER= unless @peer is NULL. */
void console_log(const Console *c, int level, const char *message_id, const char *peer, const char *format, ...)
                _printf_(5, 6);

/* The same with a rate limit, for lines that a VM's host can cause any number of times. Otherwise one VM could fill the log's
 * queue, and lines about other VMs would be dropped. */
#define console_log_limited(c, ...)                                                                         \
        do {                                                                                                \
                if (console_may_log(c))                                                                     \
                        console_log(c, __VA_ARGS__);                                                        \
        } while (false)

/* Returns: whether another line is within this limit. If so, it is counted. */
bool console_may_log(Console *c);
