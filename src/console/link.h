/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection/telnet-connection.h"
#include "console.h"
#include "telnet/com-port.h"
#include "telnet/vm-identity.h"

/*
 * Link: a connection from an ESXi host for one serial port of one VM. It negotiates, is told which VM it is for, joins the VM's
 * console, and then transfers bytes. Until then it is unidentified, and its memory is limited.
 */
typedef enum LinkState {
        LINK_HANDSHAKE,   /* the VM is not known yet */
        LINK_TARGET,      /* the accepted target of a vMotion: not the VM yet */
        LINK_LIVE,        /* the VM's connection */
        LINK_HANDED_OVER, /* the source of a completed vMotion: its output is still read until it closes */
} LinkState;

/* Verdicts: why a link is closed, in addition to TELNET_E_… A table in link-end.c has the texts for the log and the host. */
enum {
        LINK_E_TLS_NOT_HERE = _TELNET_E_MAX, /* it begins TLS, but there is no certificate */
        LINK_E_PLAIN,         /* it speaks plain telnet, but TLS is required */
        LINK_E_CLOSED,        /* no VM is served because of a mistake in [TLS] of the configuration */
        LINK_E_NOT_ESXI,      /* it refuses option 232 */
        LINK_E_NOT_SERVED,    /* its VM is not served; the reason has been logged */
        LINK_E_TALKATIVE,     /* it has sent more than LINK_PENDING_MAX bytes before its VM was known */
        LINK_E_SLOW,          /* it has not identified its VM in time */
        LINK_E_TOO_MANY,      /* the console has more than CONSOLE_LINKS_MAX links, and this is the oldest */
        LINK_E_TOO_DOUBTFUL,  /* the same for the console's list of doubtful links */
        LINK_E_NO_VMOTION,    /* its secret is not that of any vMotion */
        LINK_E_VMOTION_OVER,  /* the target of a vMotion that has ended without it */
        LINK_E_HANDED_OVER,   /* the source of a completed vMotion has not closed its connection in time */
        LINK_E_RECLAIMED,     /* its descriptor or memory is needed, or vspcd exits: it is closed at once */
        _LINK_VERDICT_MAX,
};

/* Whether the connection is in TLS */
typedef enum LinkSecurity {
        LINK_UNDECIDED,      /* the first byte will show */
        LINK_PLAIN,
        LINK_MAY_START_TLS,  /* plain, but the VM may begin TLS (AUTHENTICATION) */
        LINK_MUST_START_TLS, /* plain, and the VM must begin TLS */
        LINK_TLS,
        _LINK_SECURITY_MAX,
} LinkSecurity;

/* The maximum bytes of output that are kept until the link's console is known */
#define LINK_PENDING_MAX (32U * 1024U)

/* With SlowClient=wait, the console's ring reserves room for these bytes in addition to ClientBufferSize=. */
#define OUTPUT_RESERVE LINK_PENDING_MAX

/* An unidentified link is not read while more bytes of answers than this wait for its host. */
#define LINK_ANSWERS_MAX (4U * 1024U)

/* A live link is always read, because a VM that hangs may send important output. But it is closed if its host leaves more bytes
 * of answers than this unread. */
#define LINK_LIVE_ANSWERS_MAX (64U * 1024U)

/* The maximum size of the output queue. Input is not queued, but sent from the console's ring. */
#define LINK_OUT_MAX (LINK_LIVE_ANSWERS_MAX + 2 * TELNET_READ_MAX)

/* The connection of an ESXi host that is alive but takes no input for this time is closed. */
#define LINK_STUCK_USEC (300 * USEC_PER_SEC)

#define LINK_NAME_MAX 512U /* maximum bytes of a VM's name; a longer name is cut */

/* A link that has taken none of its input for this time is stalled: if another link with its URI takes input, that one sets the
 * pace (console-input.c). */
#define LINK_STALL_USEC (2 * USEC_PER_SEC)

/* The output of a vMotion's target waits until the source has been silent for this time. */
#define LINK_HANDOVER_USEC (200 * USEC_PER_MSEC)

/* After the handover, a source that has been silent for this time is closed. */
#define LINK_HANDED_OVER_USEC (30 * USEC_PER_SEC)

/*
 * What a link needs in order to continue: a plain record without pointers, and
 *  - the record of its TelnetConnection with what belongs to that,
 *  - `uri`, at most TELNET_SUBNEGOTIATION_MAX bytes, and `name`, at most LINK_NAME_MAX,
 *  - `pending`, at most LINK_PENDING_MAX bytes.
 * Everything else in a Link can be derived from these. Objects are identified by their numbers; 0: none. `vmotion` follows from
 * the VMotionRecord that contains the link's number, `handover_to` from the other link's record, the charge from the size and
 * the peer. `timeout` runs in LINK_HANDSHAKE and LINK_HANDED_OVER, `handover` while there is a `handover_from`, `question` while
 * the identity is waiting, and `stall` while input waits; all but `timeout` may start again.
 */
typedef struct LinkRecord {
        uint64_t number;  /* links are numbered from 1 in the order in which they connect */
        uint64_t console;

        /* The console in whose `doubtful` list it waits: another VM with the same UUID and URI is connected there, and its BIOS
         * UUID is not known yet. */
        uint64_t doubted_at;

        uint64_t handover_from; /* the source of its vMotion, whose output comes before that of this link */
        LinkState state;
        LinkSecurity security;
        bool authenticating; /* waits for the answer whether TLS begins; nothing else is asked before */
        bool stalled;        /* see LINK_STALL_USEC */
        bool talked;         /* the source of a vMotion: it has sent output since its timer was started */
        ComPort com_port;
        VmIdentity identity;

        /* Its position in the console's input, and the end of what it may be sent now: input after the limit waits for the end of
         * its vMotion. */
        InputMark input, input_limit;

        usec_t timeout_since; /* when `timeout` was started, CLOCK_MONOTONIC */
        char peer[ADDRESS_TEXT_MAX];
} LinkRecord;

struct Link {
        LinkRecord record;
        int verdict; /* why it is closed; 0: it is not */
        TelnetConnection telnet;
        char *uri;  /* from DO-PROXY, or of the source of its vMotion; sanitized; NULL: not known yet */
        char *name; /* sanitized; NULL: not known yet */
        Buffer pending; /* output that cannot be added to the console's ring yet */
        Charge charge;  /* for all its memory; closed once its VM is known */

        Concentrator *concentrator;
        Console *console, *doubted_at;     /* the objects with the numbers in the record */
        Link *handover_from, *handover_to; /* the same */
        VMotion *vmotion; /* of which it is the source or the target */

        Timeout timeout;  /* for the handshake; after a vMotion, for closing */
        Timeout question; /* runs while a UUID has been asked for */
        Timeout stall;    /* runs while the link takes no input */
        Timeout handover; /* runs while its output waits for that of `handover_from` */

        Link *prev, *next;                 /* in the concentrator's list of open links, or in its gc queue */
        Link *console_prev, *console_next; /* in the console's list of links, or of doubtful ones */
};

int link_new(Concentrator *c, int fd, const SocketAddress *peer);

/* Closes the link: it leaves all lists, has no timeouts, and is neither read nor written. Only its vMotion and its handover
 * still refer to it. link_gc() logs it, tells the host, and frees it at the end of the loop iteration, so that any function may
 * call this. */
void link_close(Link *l, int verdict);

/* Closes the link unless @r is 0; @r is 0, a verdict or a negative errno. Returns: whether the link is open. */
bool link_judge(Link *l, int r);

/* Logs why the link was closed, tells its host, and frees it. For the concentrator. */
void link_gc(Link *l);

/* Makes the console send the queue when it is settled; sends it now if there is no console. */
void link_flush_soon(Link *l);

/* Updates the charge to the memory that the link uses. Closes the charge once the VM is known. */
void link_update_charge(Link *l);

/* Reads or pauses, depending on the state of the link and its console. */
void link_update_reading(Link *l);

/* Queues a suboption for ESXi. Returns: 0 or a negative errno. */
int link_put(Link *l, VMwareCode code, const void *data, size_t n);

/* Moves `pending` into the console's ring, if there is room. */
void link_deliver_pending(Link *l);

/* Makes the link live: its output goes to the console, and it is sent input. @source: the source of its vMotion, whose last
 * output comes first; or NULL. */
void link_go_live(Link *l, Link *source);

/* Returns: whether the VM is certain, so that the link's console is that of the VM. */
bool link_is_identified(const Link *l);

/* Returns: whether its output goes to the console at once. */
bool link_is_heard(const Link *l);

/* Starts `timeout`. */
void link_start_timeout(Link *l, TimeoutKind kind);

/* Makes the link, which has sent the secret of @v, wait at the console to become live. */
void link_become_target(Link *l, VMotion *v);

/* Must be called when another link becomes the VM's connection: this one is sent nothing more. */
void link_hand_over(Link *l);

/* Ends waiting for the output of `handover_from`. */
void link_end_handover(Link *l);

/* Returns: whether both are connections of the same serial port of the same VM, by what their hosts have sent. */
bool link_is_same_port(const Link *a, const Link *b);

/* Logs a line about the VM, or about the connection if it has no console. */
void link_log(const Link *l, int level, const char *message_id, const char *format, ...) _printf_(4, 5);

/* The same with a rate limit, see console_log_limited(). */
#define link_log_limited(l, level, ...)                                                                     \
        do {                                                                                                \
                if (log_is_wanted(level) && (!(l)->console || console_may_log((l)->console)))               \
                        link_log(l, level, __VA_ARGS__);                                                    \
        } while (false)

/* Sends the queue, and input from `record.input` on (link-input.c). Returns: whether the link is open. */
bool link_flush(Link *l);

/* Skips the input before @mark. */
void link_skip_input(Link *l, InputMark mark);

/* Handlers of timeouts */
void link_stall_elapsed(Timeout *t);
void link_handshake_elapsed(Timeout *t);
void link_handed_over_elapsed(Timeout *t);
void link_handover_elapsed(Timeout *t);
