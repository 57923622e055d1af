/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection/telnet-connection.h"
#include "console.h"
#include "telnet/com-port.h"
#include "telnet/vm-identity.h"

/*
 * Link: a connection from an ESXi host, one serial port of one VM. It negotiates, learns which VM it is, joins the VM's
 * console and from then on carries bytes. Until then it is unidentified, and there is a bound to all that is kept for it.
 */
typedef enum LinkState {
        LINK_HANDSHAKE,   /* it is not known yet which VM it is */
        LINK_TARGET,      /* a vMotion's accepted target: not the VM yet */
        LINK_LIVE,        /* speaks for its VM */
        LINK_HANDED_OVER, /* a vMotion's source after the target has taken over: still heard until it closes */
} LinkState;

/* Why it is closed, besides TELNET_E_… What is logged and what its host is told then is a table in link-end.c. */
enum {
        LINK_E_TLS_NOT_HERE = _TELNET_E_MAX, /* it begins TLS, for which there is no certificate */
        LINK_E_PLAIN,         /* it speaks plain telnet where TLS is required */
        LINK_E_CLOSED,        /* no VM is served: something is wrong in [TLS] of the configuration */
        LINK_E_NOT_ESXI,      /* it refuses option 232 */
        LINK_E_NOT_SERVED,    /* its VM is not served; the reason has been logged */
        LINK_E_TALKATIVE,     /* it has sent more than LINK_PENDING_MAX before it is known which VM it is */
        LINK_E_SLOW,          /* it has not said in time which VM it is */
        LINK_E_TOO_MANY,      /* its console has more than CONSOLE_LINKS_MAX links: the oldest is closed */
        LINK_E_TOO_DOUBTFUL,  /* its console's list of doubtful links is that long: the oldest is closed */
        LINK_E_NO_VMOTION,    /* it does not know the secret of a vMotion */
        LINK_E_VMOTION_OVER,  /* it was a vMotion's target, and has not become the VM */
        LINK_E_HANDED_OVER,   /* a vMotion's source that does not close its connection */
        LINK_E_RECLAIMED,     /* its descriptor or its memory is needed, or the concentrator goes: it is closed at once */
        _LINK_VERDICT_MAX,
};

/* Whether the connection is in TLS */
typedef enum LinkSecurity {
        LINK_UNDECIDED,      /* the first byte tells */
        LINK_PLAIN,
        LINK_MAY_START_TLS,  /* plain, but the VM may begin TLS (AUTHENTICATION) */
        LINK_MUST_START_TLS, /* the same, and has to */
        LINK_TLS,
        _LINK_SECURITY_MAX,
} LinkSecurity;

/* Bytes of output that are kept until the link's console is known */
#define LINK_PENDING_MAX (32U * 1024U)

/* With SlowClient=wait a console's ring keeps room for these bytes beyond ClientBufferSize=. */
#define OUTPUT_RESERVE LINK_PENDING_MAX

/* An unidentified link is not read while its host has more bytes of answers than this to read. */
#define LINK_ANSWERS_MAX (4U * 1024U)

/* A live link is read all the same, because a VM that hangs may have something to say; but it is closed if its host leaves more
 * than this unread. */
#define LINK_LIVE_ANSWERS_MAX (64U * 1024U)

/* Bound of the output queue. Input is not queued: it is sent from the console's ring. */
#define LINK_OUT_MAX (LINK_LIVE_ANSWERS_MAX + 2 * TELNET_READ_MAX)

/* An ESXi host that is alive and takes no input for so long is given up. */
#define LINK_STUCK_USEC (300 * USEC_PER_SEC)

#define LINK_NAME_MAX 512U /* bytes of a VM's name; more are cut */

/* A link that has taken none of its input for so long is stalled: it does not set the pace if another link of its URI does
 * (console-input.c). */
#define LINK_STALL_USEC (2 * USEC_PER_SEC)

/* A vMotion's target waits until its source has said nothing for so long. */
#define LINK_HANDOVER_USEC (200 * USEC_PER_MSEC)

/* After the handover a source that has said nothing for so long is closed. */
#define LINK_HANDED_OVER_USEC (30 * USEC_PER_SEC)

/*
 * What a link needs in order to continue. A plain record without pointers. To it belong
 *  - its TelnetConnection's record, and what belongs to that,
 *  - `uri`, at most TELNET_SUBNEGOTIATION_MAX bytes, and `name`, at most LINK_NAME_MAX,
 *  - `pending`, at most LINK_PENDING_MAX bytes.
 * All else in a Link follows from these. Objects are known by their numbers; 0: none. `vmotion` follows from the VMotionRecord
 * that names the link, `handover_to` from the other link's record, its charge from its size and its peer. `timeout` runs in
 * LINK_HANDSHAKE and LINK_HANDED_OVER, `handover` while there is a `handover_from`, `question` while the identity is waiting,
 * `stall` while there is input that it has not taken; but for `timeout` they may start anew.
 */
typedef struct LinkRecord {
        uint64_t number;  /* links are numbered as they come, from 1 */
        uint64_t console; /* its console */

        /* The console at whose `doubtful` list it waits: another VM with the same UUID and URI is connected there and has yet
         * to tell its BIOS UUID. */
        uint64_t doubted_at;

        uint64_t handover_from; /* its vMotion's source: what the VM has said there comes before what it says here */
        LinkState state;
        LinkSecurity security;
        bool authenticating; /* it has not said yet whether it begins TLS: nothing else is asked until it has */
        bool stalled;        /* see LINK_STALL_USEC */
        bool talked;         /* as a vMotion's source: it has said something since its timer was started */
        ComPort com_port;
        VmIdentity identity;

        /* Where it is in its console's input, and up to where it may go. Beyond the limit is what waits for the end of its
         * vMotion. */
        InputMark input, input_limit;

        usec_t timeout_since; /* when `timeout` was started, CLOCK_MONOTONIC */
        char peer[ADDRESS_TEXT_MAX];
} LinkRecord;

struct Link {
        LinkRecord record;
        int verdict; /* why it is closed; 0: it is not */
        TelnetConnection telnet;
        char *uri;  /* from DO-PROXY, or of the source of its vMotion, sanitised; NULL until then */
        char *name; /* sanitised; NULL until then */
        Buffer pending; /* output that its console cannot have yet */
        Charge charge;  /* of all that is kept for it; closed once it is known which VM it is */

        Concentrator *concentrator;
        Console *console, *doubted_at;     /* as the record has them */
        Link *handover_from, *handover_to; /* the same */
        VMotion *vmotion; /* of which it is the source or the target */

        Timeout timeout;  /* of its handshake, or until it closes after its vMotion */
        Timeout question; /* runs while the answer to a question for a UUID is awaited */
        Timeout stall;    /* runs while it takes no input */
        Timeout handover; /* runs while its output waits for that of `handover_from` */

        Link *prev, *next;                 /* of the concentrator: all that are open, or the gc queue */
        Link *console_prev, *console_next; /* of the console's links, or of its doubtful ones */
};

int link_new(Concentrator *c, int fd, const SocketAddress *peer);

/* Closes it: from now on it is in no list, has no timeout and is neither read nor written. Only its vMotion and its handover
 * still refer to it. It is logged, told to the host, and freed by link_gc(), when the loop comes round; so any function may
 * call this. */
void link_close(Link *l, int verdict);

/* Closes it if @r says so, which is 0, a verdict or a negative errno. Returns: whether it is open. */
bool link_judge(Link *l, int r);

/* Logs why the link was closed, tells its host, and frees it. For the concentrator. */
void link_gc(Link *l);

/* Sends what is queued: when its console is settled, or now if it has no console. */
void link_flush_soon(Link *l);

/* Brings its charge up to date with the memory that it takes. The charge is closed once it is known which VM it is. */
void link_update_charge(Link *l);

/* Reads or pauses, according to its state and its console. */
void link_update_reading(Link *l);

/* Queues a suboption for ESXi. Returns: 0 or a negative errno. */
int link_put(Link *l, VMwareCode code, const void *data, size_t n);

/* Moves `pending` into the console's ring, if that has room. */
void link_deliver_pending(Link *l);

/* Becomes live: its output goes to the console, and it is sent input. @source: its vMotion's, whose last words come first, or
 * NULL. */
void link_go_live(Link *l, Link *source);

/* Whether it is known for good which VM it is: the console is that VM's. */
bool link_is_identified(const Link *l);

/* Whether what it says goes to its console at once. */
bool link_is_heard(const Link *l);

/* Starts `timeout`. */
void link_start_timeout(Link *l, TimeoutKind kind);

/* It has shown the secret of @v: it waits at the console to become the VM. */
void link_become_target(Link *l, VMotion *v);

/* Another link is the VM from now on: this one is sent nothing more. */
void link_hand_over(Link *l);

/* What it says waits no longer for what `handover_from` says. */
void link_end_handover(Link *l);

/* Whether both are connections of the same serial port of the same VM, according to what their hosts have said. */
bool link_is_same_port(const Link *a, const Link *b);

/* Logs a line about the VM, or about the connection if it has no console. */
void link_log(const Link *l, int level, const char *message_id, const char *format, ...) _printf_(4, 5);

/* The same for lines that its host can cause again and again, see console_log_limited(). */
#define link_log_limited(l, level, ...)                                                                     \
        do {                                                                                                \
                if (log_is_wanted(level) && (!(l)->console || console_may_log((l)->console)))               \
                        link_log(l, level, __VA_ARGS__);                                                    \
        } while (false)

/* Sends what is queued, and input from `record.input` on (link-input.c). Returns: whether it is open. */
bool link_flush(Link *l);

/* Skips the input before @mark. */
void link_skip_input(Link *l, InputMark mark);

/* Handlers of its timeouts */
void link_stall_elapsed(Timeout *t);
void link_handshake_elapsed(Timeout *t);
void link_handed_over_elapsed(Timeout *t);
void link_handover_elapsed(Timeout *t);
