/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/time.h"
#include "poller.h"

/*
 * TlsWorker: threads that do what takes milliseconds: a handshake's signature and key exchange, of which a storm
 * has thousands, with a key that may be in a hardware token. The event loop goes on meanwhile.
 *
 * What has begun goes on before anything new begins, and of what is new each source has its turn: who begins a thousand
 * handshakes at once holds up his own.
 *
 * The threads are started by the first job. What waits is a list of objects that exist anyway, one a connection
 * at most, so that it needs no bound of its own.
 */
typedef struct TlsWorker TlsWorker;
typedef struct TlsJob TlsJob;

typedef enum TlsJobState {
        TLS_JOB_IDLE,
        TLS_JOB_QUEUED,
        TLS_JOB_RUNNING,
        TLS_JOB_DONE, /* done() is to be called */
} TlsJobState;

/* Embedded in its owner, all zero to begin with. */
struct TlsJob {
        void (*run)(TlsJob *job);  /* in a thread; the owner keeps its hands off what this touches until done() */
        void (*done)(TlsJob *job); /* on the loop */
        uint32_t source;           /* whose it is: a hash */
        bool begun;                /* not the first that is done for it */
        TlsJobState state;         /* the worker's business */
        TlsJob *prev, *next;
};

int tls_worker_new(Poller *poller, TlsWorker **ret);

/* How long it is waited for what is running */
#define TLS_WORKER_STOP_USEC (2 * USEC_PER_SEC)

/* Every job must have been cancelled, or be such that done() may still be called; or not be called, if what is running does
 * not come to its end in time. What such a job uses must stay. */
TlsWorker *tls_worker_free(TlsWorker *w);
DEFINE_TRIVIAL_CLEANUP_FUNC(TlsWorker *, tls_worker_free);

/* To be called on the loop, for a job that is not under way. */
void tls_worker_submit(TlsWorker *w, TlsJob *job);

/* Returns: true if the job is not under way any more, and done() will not be called for it; false if it is running,
 * or has run: done() will be called. */
bool tls_worker_cancel(TlsWorker *w, TlsJob *job);
