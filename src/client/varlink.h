/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "basic/buffer.h"

/*
 * Varlink messages (https://varlink.org) as a caller sees them: JSON objects, each ended by a NUL. How they
 * travel is not decided here.
 *
 * A reply is bounded in bytes and, before it is parsed, in what it becomes in memory: a few bytes of text
 * may be objects of hundreds.
 */

#define VARLINK_INTERFACE "org.vspc.Concentrator"

/* Bytes of a reply, and its tokens (basic/json-tokens.h). The longest that vspcd has reason to send is a VM with 64
 * clients (about 1000 tokens); AmbiguousVM may list 64 ids, AccessDenied 64 holders. */
#define VARLINK_REPLY_MAX (1024U * 1024U)
#define VARLINK_TOKENS_MAX 8192U

/* Bytes of text for which a token is counted where replies are kept */
#define VARLINK_TOKEN_COST 16U

typedef enum VarlinkFlags {
        VARLINK_ONE = 0,
        VARLINK_MORE = 1 << 0,    /* any number of replies are welcome */
        VARLINK_UPGRADE = 1 << 1, /* the connection is to speak something else afterwards */
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

/* Returns: 0; -EBADMSG if it is no reply, -E2BIG if it has too many tokens, -ENOMEM. */
int varlink_parse_reply(const void *text, size_t size, VarlinkReply *ret);

/* Takes the first reply out of what was received. *searched: bytes of it in which there is no NUL, kept from
 * one call to the next; 0 at first.
 * Returns: 1; 0 if it has not all been received yet; -EMSGSIZE if it never will; -EPROTONOSUPPORT if it comes
 * from TLS; what varlink_parse_reply() returns. */
int varlink_take_reply(Buffer *in, size_t *searched, VarlinkReply *ret);
void varlink_reply_done(VarlinkReply *r);

/* Whether it is that error of our interface. */
bool varlink_reply_is_error(const VarlinkReply *r, const char *name);

/* What an errno means where replies are waited for: "vspcd has closed the connection" */
const char *varlink_strerror(int error);

#define _cleanup_json_ _cleanup_(json_decrefp)
#define _cleanup_reply_ _cleanup_(varlink_reply_done)
