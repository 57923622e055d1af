/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/hash-table.h"
#include "basic/timeout-queue.h"
#include "input-ring.h"

/*
 * VMotion: a VM on its way from one ESXi host to another. Source: VMware, "Using a Proxy with vSphere Virtual Serial Ports",
 * vMotion. From the go-ahead on input is held back: neither end may be sent any before it is known which of them is the VM. A
 * vMotion belongs to the link on which it began, the source. It is known by its sequence and a secret, which the target's
 * connection has to show, once. A vMotion that takes longer than VMotionTimeoutSec= is overdue: the source is sent the input
 * that was held, and input as before. But the vMotion goes on until the source closes, calls it off or begins another one:
 * until then a target that knows the secret can still become the VM.
 */
typedef struct Console Console;
typedef struct Link Link;

typedef enum VMotionState {
        VMOTION_NONE,
        VMOTION_BEGUN,    /* GOAHEAD has been sent */
        VMOTION_PEERED,   /* the target has shown the secret */
        VMOTION_ORPHANED, /* the source has closed, and the target has not come yet */
        VMOTION_OVERDUE,  /* as BEGUN, but the timeout has elapsed: the source is sent input again */
        VMOTION_OVERDUE_PEERED, /* as PEERED, but the timeout has elapsed likewise */
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
        VMOTION_RESTART,     /* send what was held to the source, close the peer, then as GO_AHEAD */
        VMOTION_ACCEPT_PEER, /* send PEER-OK */
        VMOTION_AWAIT_PEER,  /* wait: only the target can still go on with it */
        VMOTION_PEER_WINS,   /* the target is the VM, and is sent what was held */
        VMOTION_SOURCE_WINS, /* the source still is, and is sent what was held; close the peer */
        VMOTION_NOBODY_WINS, /* the VM has gone; drop what was held */
        VMOTION_NEWCOMER_WINS, /* send what was held to the new connection, close the peer, send the source no more input */
        VMOTION_HAND_BACK,   /* send the source what was held, and input as before; the target may still come */
} VMotionAction;

/* "none", "begun", "accepted", "orphaned", "overdue" */
const char *vmotion_state_to_string(VMotionState state);

/* Whether input is held back in this state, so that the source is sent nothing. */
bool vmotion_state_holds(VMotionState state);

/* All rules are here: moves *state. Returns: what is to be done. */
VMotionAction vmotion_step(VMotionState *state, VMotionEvent event);

/* Bytes of a sequence; ESXi uses 4. A BEGIN with more is answered with NOTNOW. */
#define VMOTION_SEQUENCE_MAX 64U

/* The first half finds a vMotion in the table, the second is compared in constant time. All of it is random and known to
 * nobody but the two hosts. */
#define VMOTION_SECRET_SIZE 16U
#define VMOTION_HANDLE_SIZE 8U

/* The source is told to go ahead once it has been sent all that was typed before. Then it is sent nothing while input is held. */
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
