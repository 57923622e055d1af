/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "codec.h"

/*
 * AUTHENTICATION (RFC 2941), option 37, as used by ESXi to begin TLS in the middle of a telnet connection (VMware,
 * "Using a Proxy with vSphere Virtual Serial Ports"; authentication type SSL, from draft-altman-telnet-starttls and
 * related drafts). The concentrator sends SEND and the VM answers IS. If the answer is START, the concentrator sends
 * ACCEPTED, and TLS begins with the next byte in both directions.
 */

typedef enum AuthenticationMessage {
        AUTHENTICATION_OTHER,    /* any other message, or another authentication type */
        AUTHENTICATION_SEND,     /* please begin TLS */
        AUTHENTICATION_START,    /* IS SSL START: yes */
        AUTHENTICATION_DECLINED, /* IS NULL: no */
        AUTHENTICATION_ACCEPTED, /* REPLY SSL ACCEPTED: TLS begins */
} AuthenticationMessage;

/* Parses a TELNET_EVENT_SUBNEGOTIATION of option 37. */
AuthenticationMessage authentication_parse(const TelnetEvent *event);

/* Appends @message to @out. Returns: 0, -ENOBUFS, -ENOMEM. */
int authentication_put(Buffer *out, AuthenticationMessage message);
