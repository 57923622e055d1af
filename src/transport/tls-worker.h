/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/time.h"
#include "poller.h"

/*
 * TlsWorker: threads for jobs that take milliseconds: the signature and the key exchange of a handshake, with a key that may
 * be in a hardware token. When all hosts reconnect at once there are thousands of them. The event loop goes on meanwhile.
 *
 * Handshakes that have begun continue before new ones begin. Among new ones, each source (address) has its turn: a peer that
 * begins a thousand handshakes at once delays only its own.
 *
 * The first job starts the threads. The queue contains objects that exist anyway, at most one for each connection, so it needs
 * no bound of its own.
 */
typedef struct TlsWorker TlsWorker;
typedef struct TlsJob TlsJob;

typedef enum TlsJobState {
        TLS_JOB_IDLE,
        TLS_JOB_QUEUED,
        TLS_JOB_RUNNING,
        TLS_JOB_DONE, /* done() will be called */
} TlsJobState;

/* Embedded in its owner, all zero to begin with. */
struct TlsJob {
        void (*run)(TlsJob *job);  /* called in a thread; until done(), the owner must not touch anything that this uses */
        void (*done)(TlsJob *job); /* called in the event loop */
        uint32_t source;           /* a hash of the peer's address */
        bool begun;                /* it has run before */
        TlsJobState state;         /* of the worker only */
        TlsJob *prev, *next;
};

int tls_worker_new(Poller *poller, TlsWorker **ret);

/* How long tls_worker_free() waits for running jobs */
#define TLS_WORKER_STOP_USEC (2 * USEC_PER_SEC)

/* For each job that has not been cancelled, done() is called. If a running job does not end in time, the threads are
 * abandoned, no further done() is called, and what the jobs use must not be freed. Returns: NULL. */
TlsWorker *tls_worker_free(TlsWorker *w);
DEFINE_TRIVIAL_CLEANUP_FUNC(TlsWorker *, tls_worker_free);

/* Must be called in the event loop, for a job in state TLS_JOB_IDLE. */
void tls_worker_submit(TlsWorker *w, TlsJob *job);

/* Returns: true if the job is idle, and done() will not be called; false if it is running or has run, and done() will be
 * called. */
bool tls_worker_cancel(TlsWorker *w, TlsJob *job);
