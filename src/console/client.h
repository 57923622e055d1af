/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection/telnet-detection.h"
#include "console.h"
#include "telnet/com-port.h"
#include "telnet/keyboard.h"
#include "telnet/replay.h"
#include "transport/peer.h"

/*
 * Client: a person, a script or a debugger at a console: a cursor in the console's ring, and a connection that is either
 * telnet or raw. Which of the two it is shows within half a second: a telnet program answers our offers, gdb and nc do not.
 * Clients that attach by way of the admin sockets or the bus speak telnet from the beginning.
 *
 * Clients that have ended their sending side (half-closed) are in a list of their own.
 */

/* Why it is closed, besides TELNET_E_… */
enum {
        CLIENT_E_TOO_MANY = _TELNET_E_MAX, /* more than CLIENT_HALF_CLOSED_MAX are half-closed: the oldest is closed */
        CLIENT_E_SHUT_OUT,  /* it is half-closed, and another client has exclusive access now */
        CLIENT_E_CLEARED,   /* an administrator disconnects it */
        CLIENT_E_FORGOTTEN, /* its VM is forgotten */
        CLIENT_E_DISPLACED, /* somebody disconnects it, and has it told */
        CLIENT_E_FORBIDDEN, /* it has no right to be here any more */
        CLIENT_E_RECLAIMED, /* its descriptor or its memory is needed, or the concentrator goes: it is closed at once */
        _CLIENT_VERDICT_MAX,
};

/* A client is not read while it has more bytes of answers and notices than this to read. */
#define CLIENT_ANSWERS_MAX 4096U

/* Bound of the output queue: one read's worth of negotiation can be answered in full. */
#define CLIENT_OUT_MAX (CLIENT_ANSWERS_MAX + 2 * TELNET_READ_MAX)

/* A client that has ended its sending side (half-closed) still gets its VM's output. What it has sent before is read as its VM
 * takes it. For everything else, such as limits and locks, it has gone. It is closed
 * - when its VM has said nothing and it has taken nothing for CLIENT_SILENCE_USEC,
 * - CLIENT_HALF_CLOSED_USEC after it was last read in any case,
 * - when its VM has more than CLIENT_HALF_CLOSED_MAX such clients: the oldest of them,
 * - when another client gets exclusive access, and
 * - when descriptors run out. */
#define CLIENT_SILENCE_USEC (5 * USEC_PER_SEC)
#define CLIENT_HALF_CLOSED_USEC (60 * USEC_PER_SEC)
#define CLIENT_HALF_CLOSED_MAX 4U

/* The code, in subnegotiations of VMware's option, of a notice that is apart from the VM's output. VMware has no such code, and no
 * ESXi host gets one. */
#define CLIENT_NOTICE_CODE 200

/* What is known of a client when it connects */
struct ClientRequest {
        Peer peer;
        AccessMode access;
        Access granted;      /* from console_admit() */
        Act act;             /* the same: what it takes */
        Right right;         /* the same: what the client may do at this VM */
        bool force;          /* takes over from those who are in the way */
        TelnetMode mode;     /* TELNET_MODE_UNDECIDED, or TELNET_MODE_TELNET: 8 bits both ways, no negotiation needed */
        bool notices_apart;  /* it gets notices as subnegotiations, and not as lines among the VM's output */
        bool scrollback;     /* it is to be sent the scrollback; if it is undecided, that depends on what it turns out to be */
        const void *answer;  /* bytes to be sent before anything else */
        size_t answer_size;
        const void *typed;   /* bytes that it has typed before it has our answer, and that have been read already */
        size_t typed_size;   /* at most TELNET_UNREAD_MAX */
};

/*
 * What a client needs in order to continue. A plain record without pointers. To it belongs its TelnetConnection's record, and
 * what belongs to that. All else in a Client follows from these: the console is known by its number, charges follow from
 * sizes and the peer, and the timeouts run while it is half-closed, `vm_silence` once all has been read; that may start anew.
 */
typedef struct ClientRecord {
        uint64_t number;        /* clients are numbered as they come, from 1 */
        uint64_t console;
        AccessMode access_mode; /* what it has asked for */
        Access access;          /* what it holds */
        TelnetKeyboard keyboard;
        ComPort com_port; /* what it has set as a user of COM-PORT; 0: not set */
        RingCursor cursor;
        Replay replay;    /* while cursor.position < replay.end, the cursor is in a replay */
        Peer peer;
        usec_t since;     /* since 1970 */
        usec_t typed_at;  /* when it last sent something for its VM, since 1970; 0: it has not */
        uint64_t n_sent;    /* bytes of output, in all */
        uint64_t n_skipped; /* the same, of those that it has missed */

        bool half_closed;      /* it has ended its sending side, and is in its console's list of such clients */
        usec_t lifetime_since; /* when `lifetime` was started, CLOCK_MONOTONIC */

        bool notices_apart;   /* see ClientRequest */
        bool got_output;      /* the scrollback would come too late */
        bool shown_connected; /* the value of console->connected that it was told last */
        bool shown_clash;     /* the same for console->clash */
        bool shown_modem;     /* it uses COM-PORT and has been sent the state of the modem lines */
        bool shown_read_only; /* it has been told why its VM does not hear it */
} ClientRecord;

struct Client {
        ClientRecord record;
        int verdict; /* why it is closed; 0: it is not */
        Right right; /* what it may do at its VM; brought up to date by console_settle_rights() */
        TelnetConnection telnet;
        TelnetDetection detection;

        Concentrator *concentrator;
        Console *console;
        Charge connection; /* itself, and what it has sent */
        Charge waiting;    /* what is on its way to it or from it; the ring's memory is charged by its console */
        bool answered_ayt; /* in this read */

        Timeout vm_silence, lifetime; /* run while it is half-closed */
        Client *prev, *next; /* of one of the console's lists, or of the gc queue */
};

/* Takes over @wire. The console must admit it, see console_admit(). */
int client_new(Console *console, Wire wire, const ClientRequest *request);

/* Closes it: from now on it is in no list, has no timeout and is neither read nor written. It is told, logged, and freed by
 * client_gc(), when the loop comes round; so any function may call this. */
void client_close(Client *c, int verdict);

/* Closes it if @r says so, which is 0, a verdict or a negative errno. Returns: whether it is open. */
bool client_judge(Client *c, int r);

/* It reads too slowly and is disconnected. */
void client_give_up(Client *c);

/* Queues a line of ours, for a client that speaks telnet. If there is no room, because it has not read earlier ones, it is
 * closed. */
void client_notice(Client *c, const char *format, ...) _printf_(2, 3);

/* Another client has got exclusive access while the last words of @c wait: @c is sent no more output. */
bool client_is_shut_out(const Client *c);

/* Tells it and the log that it is disconnected, and frees it. For the concentrator. */
void client_gc(Client *c);

/* Sends output, as much as it takes. send_next(): sends what is queued, then one thing more (client-output.c). Returns: false if
 * nothing more can be sent now. */
void client_flush(Client *c);
bool client_send_next(Client *c);

/* Has it begin with the scrollback. What is at the cursor now comes after the replay. */
void client_go_to_scrollback(Client *c);

/* Whether output is kept for it that is too old for the scrollback. lose_lag(): that is not kept any more: it skips this output,
 * or is disconnected. */
bool client_lags(const Client *c);
void client_lose_lag(Client *c);

/* Whether its VM waits for it, by SlowClient=wait. For those who may only watch it does not: they could stop it otherwise. */
bool client_may_delay_vm(const Client *c);

/* COM-PORT (RFC 2217) of clients: programs open a VM's console as a serial port. They set a speed, look at the modem lines and
 * send breaks. Only the breaks reach the VM. begin(): the option has been switched on or off. confirm(): answers a
 * subnegotiation. Both return 0 or a negative errno. */
bool client_uses_com_port(const Client *c);
int client_begin_com_port(Client *c);
int client_confirm_com_port(Client *c, const TelnetEvent *event);

/* Its VM has begun or ceased to take input. */
void client_input_changed(Client *c);

void client_vm_silence_elapsed(Timeout *t);
void client_lifetime_elapsed(Timeout *t);

/* Its VM has said something, or it has taken something: vm_silence starts again if it is half-closed. */
void client_break_vm_silence(Client *c);

/* It only reads from now on, and is told why. */
void client_restrict(Client *c, const char *format, ...) _printf_(2, 3);

/* It has other access from now on, and is told so. */
void client_set_access(Client *c, AccessMode mode, Access access);

/* Tells it something, if it speaks telnet. */
void client_tell(Client *c, const char *format, ...) _printf_(2, 3);

/* The same, unless it has much to read yet. Returns: whether it is told. */
bool client_hear(Client *c, const char *who, const char *text);

/* Decides anew what access it has, because others hold other access than before. */
void client_update_access(Client *c);
