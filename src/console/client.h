/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "connection/telnet-connection.h"
#include "console.h"
#include "telnet/com-port.h"
#include "telnet/keyboard.h"
#include "telnet/recognize.h"
#include "telnet/replay.h"
#include "transport/peer.h"

/*
 * Client: a person, a script or a debugger at a console: a cursor in its ring, and a connection that is either
 * telnet or raw. Which of the two shows within half a second: a telnet program answers our offers, gdb and nc
 * do not. One that attaches by way of the admin sockets or the bus has agreed on telnet beforehand.
 */
typedef enum ClientMode {
        CLIENT_UNDECIDED, /* has not spoken telnet, may yet: gets nothing so far */
        CLIENT_RAW,       /* bytes are passed unchanged */
        CLIENT_TELNET,
} ClientMode;

/* Why it is closed */
typedef enum ClientVerdict {
        CLIENT_E_ENDED = 1, /* it has closed its connection, or that has broken */
        CLIENT_E_DEAF,      /* it does not read what it is sent */
        CLIENT_E_OVERLONG,  /* a subnegotiation of more than TELNET_SUBNEGOTIATION_MAX */
        CLIENT_E_TOO_MANY,  /* its VM has CLIENT_HALF_CLOSED_MAX such clients: the oldest goes */
        CLIENT_E_SHUT_OUT,  /* it only waited for output, which another client gets exclusively */
        CLIENT_E_CLEARED,   /* an administrator disconnects it */
        CLIENT_E_FORGOTTEN, /* its VM is forgotten */
        CLIENT_E_RECLAIMED, /* its descriptor or its memory is needed, or the concentrator goes: it is closed at once */
        _CLIENT_VERDICT_MAX,
} ClientVerdict;

#define CLIENT_DETECTION_USEC (500 * USEC_PER_MSEC)

/* How long a telnet client's output waits for the client's answer to our WILL BINARY. A client that agrees reads
 * everything after our offer as 8 bits, also what we send before its answer arrives. */
#define CLIENT_BINARY_USEC (3 * USEC_PER_SEC)

/* Answers and notices that a client has not read: beyond this it is not read either. */
#define CLIENT_ANSWERS_MAX 4096U

/* One read's worth of negotiation can be answered in full. */
#define CLIENT_OUT_MAX (CLIENT_ANSWERS_MAX + 2 * CONCENTRATOR_READ_MAX)

/* A client's first bytes, kept while it is not known whether they are a telnet command, or while its VM takes
 * no input. It is more than a telnet program's first answers. */
#define CLIENT_PREFIX_MAX 64U

/* The same for a client that attaches by way of the admin sockets and begins to type before it has our answer */
#define CLIENT_TYPED_EARLY_MAX 4096U

/* A client that has ended its sending side (half-closed) still gets its VM's output, but counts for nothing. What it sent
 * before is read as its VM takes it. It is closed when for CLIENT_SILENCE_USEC its VM has said nothing and it has taken
 * nothing, CLIENT_HALF_CLOSED_USEC after it was last read in any case, when its VM has more than CLIENT_HALF_CLOSED_MAX of them (the oldest
 * goes), when somebody gets exclusive access, and when descriptors run out. */
#define CLIENT_SILENCE_USEC (5 * USEC_PER_SEC)
#define CLIENT_HALF_CLOSED_USEC (60 * USEC_PER_SEC)
#define CLIENT_HALF_CLOSED_MAX 4U

/* How a client comes. */
typedef struct ClientRequest {
        Peer peer;
        AccessMode access;
        Access granted;      /* from console_admits() */
        ClientMode mode;     /* CLIENT_UNDECIDED, or CLIENT_TELNET: 8 bits both ways, no negotiation needed */
        bool scrollback;     /* wanted at once; of an undecided one it shows later */
        const void *answer;  /* what is to be sent before anything else */
        size_t answer_size;
        const void *typed;   /* what has been read from it already */
        size_t typed_size;   /* at most CLIENT_TYPED_EARLY_MAX */
} ClientRequest;

struct Client {
        Concentrator *concentrator;
        Console *console;
        ClientMode mode;
        int verdict; /* ClientVerdict or a negative errno: why it is closed; 0: it is not */
        AccessMode access_mode; /* what it has asked for */
        Access access;          /* what it holds */

        TelnetConnection telnet;
        TelnetKeyboard keyboard;
        ComPort com_port; /* what it has set as a user of COM-PORT; 0: not set */
        RingCursor cursor;
        Replay replay; /* while cursor.position < replay.end, the cursor is in a replay */
        Peer peer;
        usec_t since; /* since 1970 */

        Charge connection; /* itself, and what it has sent */
        Charge waiting;    /* what is on its way to it or from it; what waits in the ring is charged by its console */

        Buffer unread; /* bytes it has sent that are neither understood nor delivered yet */
        TelnetReading reading;

        bool awaits_binary;   /* it has not answered our WILL BINARY: its output waits for CLIENT_BINARY_USEC at most */
        bool half_closed;     /* it has ended its sending side, and is in its console's list of such clients */
        bool ended;           /* the same, and all that it has sent has been read */
        bool begun;           /* its first bytes have been compared with our own offers */
        bool null_modem;      /* they were our own offers: it is the port of another VM, and stays raw */
        bool got_output;      /* the scrollback would come too late */
        bool shown_connected; /* the value of console->connected that it was told last */
        bool shown_clash;     /* the same for console->clash */
        bool answered_ayt;    /* in this read */
        bool shown_modem;     /* it uses COM-PORT and has been sent the state of the modem lines */
        bool shown_read_only; /* it has been told why its VM does not hear it */
        uint64_t n_sent;      /* bytes of output, in all */
        uint64_t n_skipped;   /* the same, of those that it has missed */

        Timeout silence;   /* runs since the last read, unless it speaks telnet */
        Timeout detection; /* runs while its mode is not known; then while awaits_binary */
        Timeout vm_silence, lifetime; /* run while it is half-closed */
        Client *prev, *next; /* of one of the console's lists, or of those that are to be reaped */
};

/* Takes over @wire. The console must admit it, see console_admits(). */
int client_new(Console *console, Wire wire, const ClientRequest *request);

/* Closes it: from now on it is in no list, has no timeout and is neither read nor written. What follows from that, and its
 * last words, come when the loop comes round, see client_reap(). So this may be called wherever a client is at hand, with a
 * ClientVerdict or a negative errno. */
void client_close(Client *c, int verdict);

/* Tells it and the log that it is disconnected, and frees it. For the concentrator. */
void client_reap(Client *c);

/* Sends what it has not had yet, as far as it takes it. */
void client_flush(Client *c);

/* Whether output is kept for it that is too old for the scrollback. */
bool client_lags(const Client *c);

/* That is not kept any more: it skips this output, or is disconnected. */
void client_lose_lag(Client *c);

/* Reads or pauses, as its console has it. */
void client_update_reading(Client *c);

/* Its VM takes input again, or does not any more. */
void client_input_changed(Client *c);

void client_detection_elapsed(Timeout *t);
void client_binary_elapsed(Timeout *t);
void client_silence_elapsed(Timeout *t);
void client_vm_silence_elapsed(Timeout *t);
void client_lifetime_elapsed(Timeout *t);

/* Its VM has said something, or it has taken something: vm_silence starts again if it is half-closed. */
void client_break_vm_silence(Client *c);

/* Gives it the access that it has now, the holders being others than before. */
void client_update_access(Client *c);

/*
 * Refusals (client-refusal.c), see console_admits()
 */

/* Logs that somebody is not admitted. */
void client_log_refusal(const Console *console, const ClientRequest *request, ConsoleVerdict verdict);

/* Tells a connection to the VM's port why it is not admitted, and closes it. */
void client_refuse(Console *console, int fd, const ClientRequest *request, ConsoleVerdict verdict);

/* "192.0.2.7:4711 has exclusive access since 2026-11-22 10:15:03 UTC" */
#define CLIENT_HOLD_TEXT_MAX (PEER_TEXT_MAX + 64U)
const char *client_describe_hold(const Client *c, char buffer[static CLIENT_HOLD_TEXT_MAX]);

/*
 * Between client.c and the other files of a client's
 */
extern const TelnetPolicy client_policy;
extern const TelnetHandler client_telnet_handler;

/* Brings its charges up to date with the memory that it takes. To be called when it has read or written. */
void client_update_charges(Client *c);

/* It reads too slowly and is disconnected (client-output.c). */
void client_give_up(Client *c);

/* Handlers of its stream (client-input.c, client-output.c) */
void client_readable(Stream *s);
void client_hung_up(Stream *s);
void client_writable(Stream *s);

/* Sends the VM a break, unless this client may only read (client-input.c). */
void client_break(Client *c);

/* COM-PORT (client-com-port.c): the option has been switched on or off, or a subnegotiation has come. Returns: see
 * TelnetHandler. */
int client_begin_com_port(Client *c);
int client_handle_com_port(Client *c, const TelnetEvent *event);

/* "client 192.0.2.7:4711 disconnected" */
void client_log_disconnected(const Client *c);

/* It has ended its sending side, and there may be something to read yet (client-half-close.c). May end it. */
void client_begin_half_close(Client *c);

/* The same, and everything it sent has been read. */
void client_half_close(Client *c);

/* Somebody has got exclusive access while the last words of @c wait. It gets no more of its VM's output. */
bool client_is_shut_out(const Client *c);

/* What it is sent next is the scrollback, as far as it has not had that (client-output.c). */
void client_go_to_scrollback(Client *c);

/* It has sent this before it became a client (client-input.c). May end it. */
void client_take_typed(Client *c, const void *typed, size_t n);

/* What it has typed in vain is not typed later; what may become a command is kept (client-input.c). */
void client_forget_typed(Client *c);

/* A line of ours among the VM's output, for one that speaks telnet: a raw one never gets any. Ends it if it has not
 * read so many that there is no room. */
void client_notice(Client *c, const char *format, ...) _printf_(2, 3);
