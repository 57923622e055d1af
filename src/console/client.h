/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection/telnet-detection.h"
#include "console.h"
#include "telnet/com-port.h"
#include "telnet/keyboard.h"
#include "telnet/replay.h"
#include "transport/peer.h"

/*
 * Client: a person, a script or a debugger at a console. It has a cursor in the console's ring, and a connection that is either
 * telnet or raw. This is decided within half a second: a telnet program answers our offers, gdb and nc do not. Clients that
 * attach through an admin socket or the bus speak telnet from the beginning.
 *
 * Clients that have closed their sending side (half-closed) are in a separate list.
 */

/* Verdicts: why a client is closed, in addition to TELNET_E_… */
enum {
        CLIENT_E_TOO_MANY = _TELNET_E_MAX, /* more than CLIENT_HALF_CLOSED_MAX are half-closed, and this is the oldest */
        CLIENT_E_SHUT_OUT,  /* it is half-closed, and another client has got exclusive access */
        CLIENT_E_CLEARED,   /* an administrator disconnects all clients */
        CLIENT_E_FORGOTTEN, /* its VM is forgotten */
        CLIENT_E_DISPLACED, /* another person disconnects it; it has been told */
        CLIENT_E_FORBIDDEN, /* its right to watch has ended */
        CLIENT_E_RECLAIMED, /* its descriptor or memory is needed, or vspcd exits: it is closed at once */
        _CLIENT_VERDICT_MAX,
};

/* A client is not read while more bytes of answers and notices than this wait for it. */
#define CLIENT_ANSWERS_MAX 4096U

/* The maximum size of the output queue: there is room for all answers to one read */
#define CLIENT_OUT_MAX (CLIENT_ANSWERS_MAX + 2 * TELNET_READ_MAX)

/* A client that has closed its sending side (half-closed) still gets its VM's output, and its earlier input is read when its VM
 * takes input. For everything else, such as limits and locks, it does not count any more. It is closed
 * - when its VM has sent nothing, and the client has taken nothing, for CLIENT_SILENCE_USEC,
 * - CLIENT_HALF_CLOSED_USEC after it was last read,
 * - when its VM has more than CLIENT_HALF_CLOSED_MAX such clients and this is the oldest,
 * - when another client gets exclusive access, and
 * - when descriptors run out. */
#define CLIENT_SILENCE_USEC (5 * USEC_PER_SEC)
#define CLIENT_HALF_CLOSED_USEC (60 * USEC_PER_SEC)
#define CLIENT_HALF_CLOSED_MAX 4U

/* The code of a notice in a subnegotiation of VMware's option, for clients that get notices separately from the VM's output.
 * VMware does not use this code, and it is never sent to an ESXi host. */
#define CLIENT_NOTICE_CODE 200

/* A request to attach, or to change the access of a client */
struct ClientRequest {
        Peer peer;
        AccessMode access;
        Access granted;      /* from console_admit() */
        Act act;             /* from console_admit(): what the client needs a right to */
        Right right;         /* from console_admit(): the client's right at this VM */
        bool force;          /* takes over from clients that are in the way */
        TelnetMode mode;     /* TELNET_MODE_UNDECIDED, or TELNET_MODE_TELNET: 8 bits in both directions, without negotiation */
        bool notices_apart;  /* notices are subnegotiations, and not lines in the VM's output */
        bool scrollback;     /* send the scrollback; if the mode is undecided, only if the client turns out to speak telnet */
        const void *answer;  /* bytes to be sent first */
        size_t answer_size;
        const void *typed;   /* input that has been read already */
        size_t typed_size;   /* at most TELNET_UNREAD_MAX */
};

/*
 * What a client needs in order to continue: a plain record without pointers, and the record of its TelnetConnection with what
 * belongs to that. Everything else in a Client can be derived from these: the console from its number, charges from sizes and
 * the peer. The timeouts run while the client is half-closed; `vm_silence` runs once all input has been read, and may start
 * again.
 */
typedef struct ClientRecord {
        uint64_t number;        /* clients are numbered from 1 in the order in which they attach */
        uint64_t console;
        AccessMode access_mode; /* what the client has requested */
        Access access;          /* what it holds */
        TelnetKeyboard keyboard;
        ComPort com_port; /* the client's settings with COM-PORT; 0: not set */
        RingCursor cursor;
        Replay replay;    /* while cursor.position < replay.end, the cursor is in a replay */
        Peer peer;
        usec_t since;     /* since 1970 */
        usec_t typed_at;  /* when it last sent input, since 1970; 0: never */
        uint64_t n_sent;    /* bytes of output that were sent */
        uint64_t n_skipped; /* bytes of output that were skipped */

        bool half_closed;      /* it has closed its sending side, and is in the console's list of such clients */
        usec_t lifetime_since; /* when `lifetime` was started, CLOCK_MONOTONIC */

        bool notices_apart;   /* see ClientRequest */
        bool got_output;      /* output has been sent, so the scrollback would come too late */
        bool shown_connected; /* the value of console->connected that the client was told last */
        bool shown_clash;     /* the same for console->clash */
        bool shown_modem;     /* it uses COM-PORT, and has been sent the state of the modem lines */
        bool shown_read_only; /* it has been told why its input does not reach the VM */
} ClientRecord;

struct Client {
        ClientRecord record;
        int verdict; /* why it is closed; 0: it is not */
        Right right; /* at its VM; updated by console_settle_rights() */
        TelnetConnection telnet;
        TelnetDetection detection;

        Concentrator *concentrator;
        Console *console;
        Charge connection; /* the client itself, and its input */
        Charge waiting;    /* data on the way to and from the client; the ring's memory is charged by the console */
        bool answered_ayt; /* in this read */

        Timeout vm_silence, lifetime; /* run while it is half-closed */
        Client *prev, *next; /* in one of the console's lists, or in the gc queue */
};

/* Takes over @wire. console_admit() must have returned CONSOLE_ADMITS. */
int client_new(Console *console, Wire wire, const ClientRequest *request);

/* Closes the client: it leaves all lists, has no timeouts, and is neither read nor written. client_gc() tells it, logs and frees
 * it at the end of the loop iteration, so that any function may call this. */
void client_close(Client *c, int verdict);

/* Closes the client unless @r is 0; @r is 0, a verdict or a negative errno. Returns: whether the client is open. */
bool client_judge(Client *c, int r);

/* Disconnects the client because it reads too slowly. */
void client_give_up(Client *c);

/* Queues a notice for a client that speaks telnet. If there is no room, because it has not read earlier notices, it is closed. */
void client_notice(Client *c, const char *format, ...) _printf_(2, 3);

/* Returns: whether @c gets no more output, because it is half-closed and another client has got exclusive access. */
bool client_is_shut_out(const Client *c);

/* Tells the client and the log that it is disconnected, and frees it. For the concentrator. */
void client_gc(Client *c);

/* Sends as much output as the client takes. send_next(): sends the queue, then one more piece (client-output.c). Returns: false
 * if nothing more can be sent now. */
void client_flush(Client *c);
bool client_send_next(Client *c);

/* Makes the client begin with the scrollback. Output from the present cursor on follows after the replay. */
void client_go_to_scrollback(Client *c);

/* Returns: whether output is kept for the client that is older than the scrollback. lose_lag(): gives up this output: the client
 * skips it, or is disconnected. */
bool client_lags(const Client *c);
void client_lose_lag(Client *c);

/* Returns: whether the VM waits for the client (SlowClient=wait). It does not wait for clients that may only watch, because they
 * could stop the VM otherwise. */
bool client_may_delay_vm(const Client *c);

/* COM-PORT (RFC 2217): programs open a VM's console as a serial port. They set a speed, read the modem lines and send breaks.
 * Only the breaks reach the VM. begin(): called when the option has been switched on or off. confirm(): answers a
 * subnegotiation. Both return 0 or a negative errno. */
bool client_uses_com_port(const Client *c);
int client_begin_com_port(Client *c);
int client_confirm_com_port(Client *c, const TelnetEvent *event);

/* Must be called when the VM begins or stops taking input. */
void client_input_changed(Client *c);

void client_vm_silence_elapsed(Timeout *t);
void client_lifetime_elapsed(Timeout *t);

/* Must be called when the VM has sent output, or the client has taken some: restarts `vm_silence` of a half-closed client. */
void client_break_vm_silence(Client *c);

/* Makes the client read-only, and tells it why. */
void client_restrict(Client *c, const char *format, ...) _printf_(2, 3);

/* Changes the client's access, and tells it. */
void client_set_access(Client *c, AccessMode mode, Access access);

/* Sends a notice if the client speaks telnet. */
void client_tell(Client *c, const char *format, ...) _printf_(2, 3);

/* Sends what another person says, unless much waits for the client already. Returns: whether it was sent. */
bool client_hear(Client *c, const char *who, const char *text);

/* Decides again about the client's access, because the access of others has changed. */
void client_update_access(Client *c);
