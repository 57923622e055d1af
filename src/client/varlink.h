/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <jansson.h>

#include "basic/macro.h"

/*
 * Varlink messages (https://varlink.org) as a caller sees them: JSON objects, each ended by a NUL. How they
 * travel is not decided here.
 */

#define VARLINK_INTERFACE "org.vspc.Concentrator"

/* Bytes of a reply. The longest that vspcd has reason to send is a VM with 64 clients. */
#define VARLINK_REPLY_MAX (1024U * 1024U)

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
} VarlinkReply;

/* Returns: 0, or -EBADMSG if it is no reply. */
int varlink_parse_reply(const void *text, size_t size, VarlinkReply *ret);
void varlink_reply_done(VarlinkReply *r);

/* Whether it is that error of our interface. */
bool varlink_reply_is_error(const VarlinkReply *r, const char *name);

#define _cleanup_json_ _cleanup_(json_decrefp)
#define _cleanup_reply_ _cleanup_(varlink_reply_done)
