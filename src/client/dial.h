/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "target.h"

/*
 * Dial: the way to vspcd, one target after the other. It opens non-blocking sockets and never waits: its
 * owner waits for them to become writable, in an event loop or with poll(2), and asks how it went. It keeps
 * what was tried and why that failed, for people.
 */
typedef struct Dial {
        const Targets *targets; /* borrowed */
        size_t n_tried;
        int error;     /* of the last that failed, negative */
        char *tried;   /* "192.0.2.1:13371: Connection refused; [2001:db8::1]:13371: …" */
        char *problem; /* of TLS with the last, once that was reached; as trust_explain() has it */
} Dial;

#define DIAL_INIT(t) ((Dial){.targets = (t)})
void dial_done(Dial *d);

/* Begins to connect to the next target. Returns: a descriptor that is the caller's, or the negative errno of
 * the last one if none is left. */
int dial_next(Dial *d);

/* How it went, once @fd is writable. Returns: 0 or a negative errno, which is kept. */
int dial_check(Dial *d, int fd);

/* What its owner has found out about the present target. */
void dial_failed(Dial *d, int error);

/* Likewise, that it does not get on with it in TLS. That is an answer: no other target is to be tried.
 * Returns: -EPROTO. */
int dial_distrust(Dial *d, const TlsSession *s);

/* The target at which it is. */
const Target *dial_target(const Dial *d);

/* Why vspcd cannot be reached, and what could be done about it; to be freed. NULL if memory is short. */
char *dial_explain(const Dial *d);
