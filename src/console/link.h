/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console.h"
#include "telnet/com-port.h"
#include "telnet/session.h"
#include "telnet/vm-identity.h"
#include "transport/stream.h"

/*
 * Link: a connection from an ESXi host, one serial port of one VM. It negotiates, learns who the VM is, joins
 * its console and from then on carries bytes. Until then it is a stranger, and everything it can make us keep
 * or do is bounded.
 */
typedef enum LinkState {
        LINK_HANDSHAKE, /* who it is is not known yet */
        LINK_PEER,      /* a vMotion's accepted target: not the VM yet */
        LINK_LIVE,      /* speaks for its VM */
        LINK_DEPARTED,  /* a vMotion's source after the target has taken over: still heard until it closes */
        LINK_DEAD,      /* closed, to be freed */
} LinkState;

/* How it travels */
typedef enum LinkSecurity {
        LINK_UNDECIDED,      /* the first byte tells */
        LINK_PLAIN,
        LINK_MAY_START_TLS,  /* plain, but the VM may begin TLS (AUTHENTICATION) */
        LINK_MUST_START_TLS, /* the same, and has to */
        LINK_TLS,
        _LINK_SECURITY_MAX,
} LinkSecurity;

/* The first byte of a TLS connection: a record of type handshake (RFC 8446, 5.1) */
#define LINK_TLS_FIRST_BYTE 0x16

/* What a stranger may send before we know who it is: kept, and delivered to the console in the end. */
#define LINK_PENDING_MAX (32U * 1024U)

/* One read of a connection that is not live */
#define LINK_HANDSHAKE_READ_MAX 4096U

/* Answers that a peer has not read: beyond this it is not read either. */
#define LINK_ANSWERS_MAX (4U * 1024U)

/* The same for one that is live: it is closed. It goes on being read until then, for a VM that hangs may have
 * something to say. */
#define LINK_LIVE_ANSWERS_MAX (64U * 1024U)

/* Input that a VM has not read: beyond this its clients are not read. */
#define LINK_INPUT_MAX (64U * 1024U)

/* All of this may be queued at once, with what a vMotion gives back and is encoded. */
#define LINK_OUT_MAX (LINK_INPUT_MAX * 2 + VMOTION_HELD_MAX * 2 + LINK_HANDSHAKE_READ_MAX * 8)

#define LINK_NAME_MAX 512U /* bytes of a VM's name; more are cut */

/* How long a vMotion's target waits for its source's last words after the source has fallen silent */
#define LINK_SUCCESSION_USEC (200 * USEC_PER_MSEC)

/* How long a source that has fallen silent may stay before it is closed */
#define LINK_DEPARTURE_USEC (30 * USEC_PER_SEC)

struct Link {
        Concentrator *concentrator;
        Console *console; /* NULL until it is known */
        LinkState state;

        Stream stream;
        LinkSecurity security;
        bool authenticating; /* it has not said yet whether it begins TLS: nothing else is asked until it has */
        TelnetSession telnet;
        ComPort com_port;
        char peer[ADDRESS_TEXT_MAX];

        /* What it has said of itself */
        VmIdentity identity;
        char *uri;  /* from DO-PROXY, or of the source of its vMotion, sanitised; NULL until then */
        char *name; /* sanitised; NULL until then */

        bool spoken;    /* something has been read */
        size_t answers; /* bytes of answers that have been queued since the queue was last empty */
        Buffer pending; /* output that its console cannot have yet */
        Charge charge;  /* of all that is kept for it; closed once it is known which VM it is */

        VMotion *vmotion; /* of which it is the source or the peer */

        /* After a vMotion the target's output waits for the source's. */
        Link *predecessor, *successor;
        Timeout succession;
        bool talked; /* as a vMotion's source: something has been read since its timer was started */

        Timeout timeout;  /* of its handshake, or its departure */
        Timeout question; /* runs while the answer to a question for a UUID is awaited */

        /* The console at whose `doubtful` list this link waits; NULL: it does not wait. Another VM with the same UUID and
         * URI is connected there and has yet to tell its BIOS UUID. */
        Console *doubted_at;

        Link *prev, *next;                 /* of the concentrator */
        Link *console_prev, *console_next; /* of the console's links, or of its doubtful ones */
};

int link_new(Concentrator *c, int fd, const SocketAddress *peer);

/* Closes the connection and takes it out of everything. The memory goes later: a caller may look at
 * link->state afterwards, and at nothing else. */
void link_end(Link *l);

/* The same, but so that the peer gets what is queued for it. */
void link_end_gently(Link *l);
void link_free(Link *l);

/* Encodes and queues input for the VM; link_flush() sends it. */
void link_send(Link *l, const uint8_t *data, size_t n);
void link_send_break(Link *l);

/* Queues what a vMotion has held back, and leaves that empty. */
void link_send_held(Link *l, Buffer *held);
void link_flush(Link *l);

/* Input that can be queued now */
size_t link_input_space(const Link *l);

/* Reads or pauses, as its state and its console have it. */
void link_update_reading(Link *l);

/* Gives its console what it has said while that could not have it. Returns: whether there was anything, and it
 * could; to be followed by console_pump() then. */
bool link_deliver_pending(Link *l);

/* Becomes live: its VM's console hears it, its clients speak to it. @predecessor: whose last words come
 * first, or NULL. */
void link_go_live(Link *l, Link *predecessor);

/* Brings its charge up to date with the memory that it takes, or closes the charge once it is known which VM it is. To be
 * called when it has read or written. */
void link_update_charge(Link *l);

/* Is not spoken to any more. */
void link_depart(Link *l);

/* Whether both are connections of one VM's serial port, as far as their hosts have told. */
bool link_is_same_port(const Link *a, const Link *b);

void link_question_elapsed(Timeout *t);
void link_handshake_elapsed(Timeout *t);
void link_departure_elapsed(Timeout *t);
void link_succession_elapsed(Timeout *t);

/*
 * Between link.c and the other files of a link's
 */

/* It is known for good which VM it is: the console is that VM's. */
static inline bool link_is_identified(const Link *l) {
        return l->state == LINK_LIVE || l->state == LINK_DEPARTED;
}

/* Whether what it says goes to its console at once. */
static inline bool link_is_heard(const Link *l) {
        return link_is_identified(l) && !l->predecessor && l->pending.size == 0;
}

/* Offers what its security allows (link-telnet.c). */
void link_offer(Link *l);

/* Takes in what has been read (link-telnet.c). To be followed by link_flush() and console_pump(), unless that has ended
 * it. */
void link_receive(Link *l, const uint8_t *data, size_t n);

/* Ends it with a line for whoever is at the other end, who may be a person with telnet. */
void link_refuse(Link *l, const char *text);

#define LINK_STRANGER_TEXT "This port is for ESXi hosts. A VM's console is at the VM's own port.\r\n"

/* Logs what has gone wrong, and ends it. */
void link_fail(Link *l, int error, const char *what);

/* To be called after an answer has been queued behind @queued bytes, or has not been (@r). Returns: false if
 * that has ended the link. */
bool link_answered(Link *l, size_t queued, int r);

/* Its first byte tells TLS from telnet (link-security.c). Returns: whether there is something to be read now. */
bool link_begin(Link *l);

/* It speaks telnet, or nothing but telnet is spoken here. */
void link_begin_plain(Link *l);
void link_refuse_closed(Link *l);

/* AUTHENTICATION is in force, or not any more, or something is said in it. */
void link_ask_authentication(Link *l);
void link_decline_tls(Link *l);
void link_handle_authentication(Link *l, const TelnetEvent *event);

/* Option 232 is in force: says what it knows, and asks who the VM is (link-identity.c). */
void link_ask(Link *l);

/* Takes in a suboption that may be about the VM's UUIDs (link-identity.c). */
void link_take_identity(Link *l, const VMwareSuboption *s);

/* Tells the host that its VM is served, once the URI is accepted and the UUID is known (link-identity.c). */
void link_will_proxy(Link *l);

/* Joins its VM's console, if URI, UUID and name are known (link-identity.c). */
void link_identify(Link *l);

/* Looks again whether the doubtful links of @c can join a console: what they wait for may have come. */
void link_settle_doubts(Console *c);

/* Takes the link out of the list of doubtful links, if it is in one. */
void link_leave_doubts(Link *l);

/* A suboption of VMware's has come (link-dialogue.c). */
void link_handle_suboption(Link *l, const VMwareSuboption *suboption);

/* Tells the host that its VM is not served, and ends it. */
void link_wont_proxy(Link *l);

/* Its console takes on the name that this link's VM has, if it has told one. */
void link_rename_console(Link *l);

/* Queues a suboption for ESXi; nothing if the link has ended. */
void link_put(Link *l, VMwareCode code, const void *data, size_t n);

/* Logs about this connection: as its console's where it has one, else with the peer alone. */
void link_log(const Link *l, int level, const char *message_id, const char *format, ...) _printf_(4, 5);

/* The same for what it can say again and again, see console_log_said(). */
void link_log_said(const Link *l, int level, const char *message_id, const char *format, ...) _printf_(4, 5);
