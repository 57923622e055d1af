/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "dial.h"
#include "telnet/session.h"
#include "transport/stream.h"
#include "varlink.h"

/*
 * Attachment: a connection to a VM's console by way of vspcd: it dials, calls Attach, and from the reply on
 * is a telnet stream of which the owner sees the data. It can be opened again once it has ended.
 *
 * Embedded in its owner; runs on the loop of its poller and waits for nothing.
 */
typedef struct Attachment Attachment;

typedef enum AttachmentEnd {
        ATTACHMENT_UNREACHABLE, /* attachment_explain() says why */
        ATTACHMENT_REFUSED,     /* by an error of Varlink's */
        ATTACHMENT_LOST,        /* for that errno, see attachment_strerror() */
} AttachmentEnd;

typedef struct AttachmentHandler {
        void (*opened)(Attachment *a, const VarlinkReply *reply);
        void (*received)(Attachment *a, const void *data, size_t n);
        void (*sent)(Attachment *a); /* some of what was queued */
        void (*ended)(Attachment *a, AttachmentEnd end, int error, const VarlinkReply *refusal);
} AttachmentHandler;

typedef enum AttachmentState {
        ATTACHMENT_CLOSED,
        ATTACHMENT_CONNECTING,
        ATTACHMENT_CALLING,
        ATTACHMENT_OPEN,
} AttachmentState;

struct Attachment {
        Poller *poller;
        const AttachmentHandler *handler;
        AttachmentState state;
        bool paused; /* nothing is read: keeps its value from one connection to the next */

        Dial dial;
        Watch connecting;
        Stream stream;
        TelnetSession telnet;
        sd_event_source *begin;
        sd_event_source *deadline; /* for each step up to OPEN */
        char *call;                /* Attach, as it is sent */
        size_t call_size;
        Buffer reply;
        size_t n_searched; /* bytes of it in which there is no NUL */
};

/* Bytes of a read; what received() gets of it in parts is no more in all. */
#define ATTACHMENT_READ_MAX 65536U

/* How long each step up to OPEN may take */
#define ATTACHMENT_TIMEOUT_USEC (10 * USEC_PER_SEC)

/* Bytes that were typed, encoded, and not taken by vspcd yet; answers of telnet come on top. */
#define ATTACHMENT_INPUT_MAX (1024U * 1024U)
#define ATTACHMENT_ANSWERS_MAX 65536U

void attachment_init(Attachment *a, Poller *poller, const AttachmentHandler *handler);
void attachment_close(Attachment *a);

/* Begins anew. @parameters of Attach are taken over. Nothing is called before this returns.
 * Returns: 0 or a negative errno. */
int attachment_open(Attachment *a, const Targets *targets, json_t *parameters);

/* Why vspcd could not be reached; to be freed. */
char *attachment_explain(const Attachment *a);

/* What an errno means for which it has ended. */
const char *attachment_strerror(const Attachment *a, int error);

/* How many bytes attachment_send() would take now. */
size_t attachment_input_space(const Attachment *a);

/* Returns: how many of the @n bytes have been taken. */
size_t attachment_send(Attachment *a, const void *data, size_t n);

/* Returns: 0, or -ENOTCONN, -ENOBUFS. */
int attachment_break(Attachment *a);

size_t attachment_unsent(const Attachment *a);

void attachment_pause(Attachment *a);
void attachment_resume(Attachment *a);
