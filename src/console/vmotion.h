/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/hash-table.h"
#include "basic/timeout-queue.h"
#include "input-ring.h"

/*
 * VMotion: a VM on its way from one ESXi host to another. Source: VMware, "Using a Proxy with vSphere Virtual
 * Serial Ports", vMotion.
 *
 * From the go-ahead on, what clients type is held back: neither end may have it before it is known which of
 * them is the VM. A vMotion belongs to the link on which it began, the source, and is named by its sequence
 * and a secret, which the target's connection has to show, once.
 *
 * A vMotion that takes longer than VMotionTimeoutSec= is overdue: the source gets what was held, and what is typed goes to
 * it as before. But the vMotion goes on until the source closes, calls it off or begins another one: until then a target
 * that knows the secret can still become the VM.
 */
typedef struct Console Console;
typedef struct Link Link;

typedef enum VMotionState {
        VMOTION_NONE,
        VMOTION_BEGUN,    /* GOAHEAD has been sent */
        VMOTION_PEERED,   /* the target has shown the secret */
        VMOTION_ORPHANED, /* the source has gone, the target has not come yet */
        VMOTION_OVERDUE,  /* as BEGUN, but the timeout has elapsed: the source is sent input again */
        VMOTION_OVERDUE_PEERED, /* as PEERED, likewise */
        _VMOTION_STATE_MAX,
} VMotionState;

typedef enum VMotionEvent {
        VMOTION_ON_BEGIN,         /* from the source */
        VMOTION_ON_ABORT,         /* from the source */
        VMOTION_ON_PEER,          /* from the target, with the right secret */
        VMOTION_ON_COMPLETE,      /* from the accepted target, with the right sequence */
        VMOTION_ON_SOURCE_CLOSED,
        VMOTION_ON_PEER_CLOSED,   /* the accepted target */
        VMOTION_ON_TIMEOUT,
        VMOTION_ON_NEWCOMER,      /* the VM has connected anew, as if there were no vMotion */
        _VMOTION_EVENT_MAX,
} VMotionEvent;

typedef enum VMotionAction {
        VMOTION_IGNORE,
        VMOTION_GO_AHEAD,    /* hold back input, send GOAHEAD */
        VMOTION_RESTART,     /* what was held goes to the source, the peer goes, then as GO_AHEAD */
        VMOTION_ACCEPT_PEER, /* send PEER-OK */
        VMOTION_AWAIT_PEER,  /* the source has gone: only the target can still take this up */
        VMOTION_PEER_WINS,   /* the target is the VM, what was held goes to it */
        VMOTION_SOURCE_WINS, /* the source still is, what was held goes to it, the peer goes */
        VMOTION_NOBODY_WINS, /* the VM has gone, and what was held with it */
        VMOTION_NEWCOMER_WINS, /* the new connection gets what was held, the peer is closed, the source gets no input */
        VMOTION_HAND_BACK,   /* the source gets what was held and what is typed from now on; the target may still come */
} VMotionAction;

/* "none", "begun", "accepted", "orphaned", "overdue" */
const char *vmotion_state_to_string(VMotionState state);

/* Whether input is held back in this state, so that the source is sent nothing. */
bool vmotion_state_holds(VMotionState state);

/* The whole of the rules: moves *state and says what is to be done. */
VMotionAction vmotion_step(VMotionState *state, VMotionEvent event);

/* Opaque to us; ESXi uses 4 bytes. A BEGIN with more is answered with NOTNOW. */
#define VMOTION_SEQUENCE_MAX 64U

/* The first half finds a vMotion in the table, the second is what is compared in constant time; all of it is
 * random and known to nobody but the two hosts. */
#define VMOTION_SECRET_SIZE 16U
#define VMOTION_HANDLE_SIZE 8U

/* The source is told to go ahead once it has had all that was typed before, and is then sent nothing more for as long as
 * input is held. */
typedef enum VMotionGoAhead {
        VMOTION_GO_AHEAD_DUE,
        VMOTION_GO_AHEAD_QUEUED,
        VMOTION_GO_AHEAD_SENT,
} VMotionGoAhead;

/*
 * What a vMotion needs in order to continue. A plain record without pointers. To it belongs `uri`, at most
 * TELNET_SUBNEGOTIATION_MAX bytes. All else in a VMotion follows from these: the objects are known by their numbers, and
 * `timeout` runs from timeout_since on, unless it has elapsed (the state says so).
 */
typedef struct VMotionRecord {
        uint64_t console;      /* the console's number */
        uint64_t source, peer; /* the links' numbers; 0: there is none (any more, yet) */
        VMotionState state;
        VMotionGoAhead go_ahead;
        InputMark input; /* where the source was in the console's input when it closed: there the winner goes on */
        usec_t timeout_since; /* CLOCK_MONOTONIC */
        size_t sequence_size;
        uint8_t sequence[VMOTION_SEQUENCE_MAX];
        uint8_t secret[VMOTION_SECRET_SIZE];
} VMotionRecord;

typedef struct VMotion {
        VMotionRecord record;
        char *uri; /* of the source */

        Console *console;    /* as the record has them */
        Link *source, *peer;

        Timeout timeout;
        UT_hash_handle handle; /* by the first half of the secret */
        struct VMotion *prev, *next; /* of the console */
} VMotion;

/* A vMotion in state NONE with a fresh secret. Returns: 0, -ENOMEM, or what getrandom(2) says. */
int vmotion_new(const char *uri, const uint8_t *sequence, size_t sequence_size, VMotion **ret);
VMotion *vmotion_free(VMotion *v);
DEFINE_TRIVIAL_CLEANUP_FUNC(VMotion *, vmotion_free);

/* Draws another secret, and takes another sequence. */
int vmotion_renew(VMotion *v, const uint8_t *sequence, size_t sequence_size);

bool vmotion_has_sequence(const VMotion *v, const uint8_t *sequence, size_t size);

/* Whether @data is this vMotion's sequence followed by its secret, compared in constant time. */
bool vmotion_has_secret(const VMotion *v, const uint8_t *data, size_t size);
