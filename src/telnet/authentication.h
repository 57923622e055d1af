/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "codec.h"

/*
 * AUTHENTICATION (RFC 2941), option 37, as far as ESXi uses it: to begin TLS in the middle of a telnet
 * connection (VMware, "Using a Proxy with vSphere Virtual Serial Ports"; authentication type SSL, from
 * draft-altman-telnet-starttls and its kin). The concentrator sends SEND, the VM answers IS, and if that is
 * START the concentrator says ACCEPTED: the next byte from either side is TLS's.
 */

typedef enum AuthenticationMessage {
        AUTHENTICATION_OTHER,    /* none of these, or of another type */
        AUTHENTICATION_SEND,     /* begin TLS, if you like */
        AUTHENTICATION_START,    /* IS SSL START: yes */
        AUTHENTICATION_DECLINED, /* IS NULL: no */
        AUTHENTICATION_ACCEPTED, /* REPLY SSL ACCEPTED: here it begins */
} AuthenticationMessage;

/* What a TELNET_EVENT_SUBNEGOTIATION of option 37 says */
AuthenticationMessage authentication_parse(const TelnetEvent *event);

/* Appends one. Returns: 0, -ENOBUFS, -ENOMEM. */
int authentication_put(Buffer *out, AuthenticationMessage message);
