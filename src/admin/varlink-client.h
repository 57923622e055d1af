/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "basic/buffer.h"

/*
 * Varlink (https://varlink.org) as a client speaks it, vspc-client or "vspcd --reload": calls and replies, JSON objects
 * that end with a NUL. Sending and receiving their bytes is left to the caller.
 *
 * The bytes of a reply are bounded, and before it is parsed its tokens are: a token may be one byte of text
 * and hundreds in memory.
 */

#define VARLINK_INTERFACE "org.vspc.Concentrator"

/* Bytes of a reply, and its tokens (basic/json-tokens.h). The longest that vspcd has reason to send is a VM
 * with 64 clients (about 1000 tokens); AmbiguousVM may list 64 ids, AccessDenied 64 holders. */
#define VARLINK_REPLY_MAX (1024U * 1024U)
#define VARLINK_TOKENS_MAX 8192U

/* Bytes that a token counts for at least, where replies are kept */
#define VARLINK_TOKEN_COST 16U

typedef enum VarlinkFlags {
        VARLINK_ONE = 0,
        VARLINK_MORE = 1 << 0,    /* any number of replies may follow */
        VARLINK_UPGRADE = 1 << 1, /* another protocol follows on the connection */
} VarlinkFlags;

/* Takes over @parameters, which may be NULL. *ret_size counts the NUL.
 * Returns: 0 or -ENOMEM. */
int varlink_format_call(const char *method, json_t *parameters, VarlinkFlags flags, char **ret_text,
                        size_t *ret_size);

typedef struct VarlinkReply {
        json_t *message;
        json_t *parameters; /* borrowed from the message: an object, maybe empty */
        const char *error;  /* likewise; NULL if all is well */
        bool continues;
        size_t cost; /* of keeping it: its bytes, or more if it has many tokens */
} VarlinkReply;

/* Returns: 0, -EBADMSG if it is not a reply, -E2BIG if it has too many tokens, or -ENOMEM. */
int varlink_parse_reply(const void *text, size_t size, VarlinkReply *ret);

/* Takes the first reply out of @in. *searched: bytes of @in that have no NUL, kept from one call to the
 * next; 0 at first. Returns: 1; 0 if the reply is not complete yet; -EMSGSIZE if it is too long;
 * -EPROTONOSUPPORT if it is an alert of TLS; errors of varlink_parse_reply(). */
int varlink_take_reply(Buffer *in, size_t *searched, VarlinkReply *ret);
void varlink_reply_done(VarlinkReply *r);

/* Whether it is the error @name of our interface */
bool varlink_reply_is_error(const VarlinkReply *r, const char *name);

/* What an errno means that has ended a call: "vspcd has closed the connection" */
const char *varlink_strerror(int error);

#define _cleanup_json_ _cleanup_(json_decrefp)
#define _cleanup_reply_ _cleanup_(varlink_reply_done)
