/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/hash-table.h"
#include "basic/timeout-queue.h"
#include "input-ring.h"

/*
 * VMotion: a VM that moves from one ESXi host, the source, to another, the target (VMware, "Using a Proxy with vSphere Virtual
 * Serial Ports", vMotion). It begins on the source's link. The target identifies it by a sequence and a secret, which can be
 * used once. From the go-ahead on, input is held back until it is certain which of the two is the VM.
 *
 * A vMotion that takes longer than VMotionTimeoutSec= is overdue: the source is sent the held input, and new input as before.
 * The target can still become the VM until the source closes, cancels the vMotion or begins another one.
 */
typedef struct Console Console;
typedef struct Link Link;

typedef enum VMotionState {
        VMOTION_NONE,
        VMOTION_BEGUN,    /* GOAHEAD has been sent */
        VMOTION_ACCEPTED, /* the target has shown the secret */
        VMOTION_ORPHANED, /* the source has closed, and the target has not come yet */
        VMOTION_OVERDUE,  /* as BEGUN, but the timeout has elapsed: the source is sent input again */
        VMOTION_OVERDUE_ACCEPTED, /* as ACCEPTED, but the timeout has elapsed likewise */
        _VMOTION_STATE_MAX,
} VMotionState;

typedef enum VMotionEvent {
        VMOTION_ON_BEGIN,         /* from the source */
        VMOTION_ON_ABORT,         /* from the source */
        VMOTION_ON_TARGET,        /* from the target, with the right secret */
        VMOTION_ON_COMPLETE,      /* from the accepted target, with the right sequence */
        VMOTION_ON_SOURCE_CLOSED,
        VMOTION_ON_TARGET_CLOSED, /* the accepted target */
        VMOTION_ON_TIMEOUT,
        VMOTION_ON_NEWCOMER,      /* the VM has made a new connection that does not mention the vMotion */
        _VMOTION_EVENT_MAX,
} VMotionEvent;

typedef enum VMotionAction {
        VMOTION_IGNORE,
        VMOTION_GO_AHEAD,    /* hold back input, send GOAHEAD */
        VMOTION_RESTART,     /* send the held input to the source, close the target, then as GO_AHEAD */
        VMOTION_ACCEPT_TARGET, /* send PEER-OK */
        VMOTION_AWAIT_TARGET, /* wait for the target */
        VMOTION_TARGET_WINS, /* the target is the VM now: send it the held input */
        VMOTION_SOURCE_WINS, /* the source remains the VM: send it the held input, close the target */
        VMOTION_NOBODY_WINS, /* the VM is gone: drop the held input */
        VMOTION_NEWCOMER_WINS, /* the new connection is the VM now: send it the held input, close the target */
        VMOTION_HAND_BACK,   /* send the source the held input, and new input as before; the target may still come */
} VMotionAction;

/* "none", "begun", "accepted", "orphaned", "overdue" */
const char *vmotion_state_to_string(VMotionState state);

/* Returns: whether input is held back in this state. */
bool vmotion_state_holds(VMotionState state);

/* Updates *state. All rules are in its table. Returns: what the caller must do. */
VMotionAction vmotion_step(VMotionState *state, VMotionEvent event);

/* Bytes of a sequence; ESXi uses 4. A BEGIN with more is answered with NOTNOW. */
#define VMOTION_SEQUENCE_MAX 64U

/* The first half of the secret is the key in the hash table, all of it is compared in constant time. It is random, and only
 * the two hosts know it. */
#define VMOTION_SECRET_SIZE 16U
#define VMOTION_HANDLE_SIZE 8U

/* GOAHEAD is sent after all input that was typed before. After it, the source is sent nothing while input is held. */
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
        uint64_t source, target; /* the links' numbers; 0: the source has closed, the target has not come */
        VMotionState state;
        VMotionGoAhead go_ahead;
        InputMark input; /* the position of the source in the console's input when it closed: the winner continues there */
        usec_t timeout_since; /* CLOCK_MONOTONIC */
        size_t sequence_size;
        uint8_t sequence[VMOTION_SEQUENCE_MAX];
        uint8_t secret[VMOTION_SECRET_SIZE];
} VMotionRecord;

typedef struct VMotion {
        VMotionRecord record;
        char *uri; /* of the source */

        Console *console;    /* the objects with the numbers in the record */
        Link *source, *target;

        Timeout timeout;
        UT_hash_handle handle; /* key: the first half of the secret */
        struct VMotion *prev, *next; /* in the console's list */
} VMotion;

/* Makes a vMotion in state NONE, with a new secret. Returns: 0, -ENOMEM, or an error of getrandom(2). */
int vmotion_new(const char *uri, const uint8_t *sequence, size_t sequence_size, VMotion **ret);
VMotion *vmotion_free(VMotion *v);
DEFINE_TRIVIAL_CLEANUP_FUNC(VMotion *, vmotion_free);

/* Generates a new secret, and replaces the sequence. */
int vmotion_renew(VMotion *v, const uint8_t *sequence, size_t sequence_size);

bool vmotion_has_sequence(const VMotion *v, const uint8_t *sequence, size_t size);

/* Whether @data is this vMotion's sequence followed by its secret, compared in constant time. */
bool vmotion_has_secret(const VMotion *v, const uint8_t *data, size_t size);
