/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "basic/buffer.h"

/*
 * The client side of Varlink (https://varlink.org), for vspc-client and "vspcd --reload": formats calls and parses
 * replies, which are JSON objects followed by a NUL. The caller sends and receives them.
 *
 * The length of a reply is limited, and so is the number of its tokens, which is checked before parsing: a token can
 * be one byte of text and take hundreds of bytes in memory.
 */

#define VARLINK_INTERFACE "org.vspc.Concentrator"

/* The maximum of bytes and of tokens (basic/json-tokens.h) in a reply. The longest reply that vspcd sends is a VM
 * with 64 clients (about 1000 tokens); AmbiguousVM can list 64 ids, AccessDenied 64 holders. */
#define VARLINK_REPLY_MAX (1024U * 1024U)
#define VARLINK_TOKENS_MAX 8192U

/* The minimum cost of a token in bytes, if replies are kept */
#define VARLINK_TOKEN_COST 16U

typedef enum VarlinkFlags {
        VARLINK_ONE = 0,
        VARLINK_MORE = 1 << 0,    /* any number of replies may follow */
        VARLINK_UPGRADE = 1 << 1, /* another protocol follows on the connection */
} VarlinkFlags;

/* Takes over @parameters, which may be NULL. *ret_size includes the NUL. Returns: 0 or -ENOMEM. */
int varlink_format_call(const char *method, json_t *parameters, VarlinkFlags flags, char **ret_text,
                        size_t *ret_size);

typedef struct VarlinkReply {
        json_t *message;
        json_t *parameters; /* borrowed from the message: an object, which may be empty */
        const char *error;  /* borrowed as well; NULL if the call has succeeded */
        bool continues;
        size_t cost; /* memory for keeping it: its length, or more if it has many tokens */
} VarlinkReply;

/* Returns: 0, -EBADMSG if it is not a reply, -E2BIG if it has too many tokens, or -ENOMEM. */
int varlink_parse_reply(const void *text, size_t size, VarlinkReply *ret);

/* Removes the first reply from @in. *searched: the number of bytes of @in that contain no NUL, kept from one call
 * to the next, 0 at first. Returns: 1; 0 if the reply is incomplete; -EMSGSIZE if it is too long; -EPROTONOSUPPORT
 * if it is an alert of TLS; or an error of varlink_parse_reply(). */
int varlink_take_reply(Buffer *in, size_t *searched, VarlinkReply *ret);
void varlink_reply_done(VarlinkReply *r);

/* Returns: whether the reply is the error @name of our interface. */
bool varlink_reply_is_error(const VarlinkReply *r, const char *name);

/* Returns: a description of an error that has ended a call, such as "vspcd has closed the connection". */
const char *varlink_strerror(int error);

#define _cleanup_json_ _cleanup_(json_decrefp)
#define _cleanup_reply_ _cleanup_(varlink_reply_done)
