/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Bridge: reaches the vspcd of another machine by way of ssh(1), as systemctl's --host= does: ssh runs "vspc-client
 * --stdio-bridge" there, whose standard input and output are a connection to vspcd's local socket. So vspcd knows as which user
 * one has logged in there.
 */
typedef struct Bridge {
        char *text; /* as given: "alice@vspc.example.com:2222" */
        char *user; /* NULL: ssh knows */
        char *host; /* does not begin with "-", and has nothing in it that a shell would take for more than text */
        uint16_t port; /* 0: ssh knows */
} Bridge;

/* Whether @host, the argument of --host=, is to be reached by ssh: if it has an @. */
bool bridge_is_meant(const char *host);

/* Returns: 0, or a negative errno after a message. */
int bridge_new(const char *host, Bridge **ret);
Bridge *bridge_free(Bridge *b);
DEFINE_TRIVIAL_CLEANUP_FUNC(Bridge *, bridge_free);

typedef enum BridgePrompts {
        BRIDGE_MAY_PROMPT, /* for a password */
        BRIDGE_PROMPTS_NOT,
} BridgePrompts;

/* Runs ssh. Returns: a non-blocking socket that is its standard input and output, or a negative errno. */
int bridge_open(const Bridge *b, BridgePrompts prompts);

/* The other end: connects the standard input and output with the socket at @path, until one of both sides ends. Returns: 0, or
 * a negative errno after a message. */
int bridge_serve(const char *path);
