/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "telnet/session.h"
#include "transport/stream.h"

/*
 * Sends data in telnet's encoding from where it lies: nothing of it is queued, but the second byte of a sequence whose first
 * one has been sent.
 */

/* A buffer for data that has to be encoded; one for all connections of a loop. */
#define TELNET_TRANSMIT_BUFFER 65536U

/* @buffer: of TELNET_TRANSMIT_BUFFER bytes. The stream's queue must be empty. Returns: how many bytes of @iov have been sent,
 * which may be fewer than there are, or a negative errno. */
ssize_t telnet_transmit(Stream *stream, TelnetSession *session, const struct iovec *iov, size_t n, uint8_t *buffer);

/* The same, and always by way of the buffer. */
ssize_t telnet_transmit_encoded(Stream *stream, TelnetSession *session, const struct iovec *iov, size_t n, uint8_t *buffer);
