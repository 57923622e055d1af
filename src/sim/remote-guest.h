/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest.h"
#include "transport/address.h"
#include "transport/poller.h"

/*
 * RemoteGuest: a guest that runs in another program and whose serial port is a telnet server (--serial), such as QEMU
 * with "-serial telnet:HOST:PORT,server". Data and breaks are passed in both directions. All byte values work, except
 * that QEMU (seen with 7.2) does not double a 0xFF written by its guest: that byte and the next one are lost.
 *
 * It connects again one second after the connection has ended or failed, so the machine may be started later than the
 * VM, and restarted. While there is no machine, what clients type is lost, as with any serial port.
 *
 * If nobody reads its output, the machine blocks. If the machine does not read its input, the backlog grows: the
 * owner checks it and stops reading from clients.
 */
typedef struct RemoteGuest RemoteGuest;

/* @address: borrowed. Begins to connect. Returns: 0 or a negative errno. */
int remote_guest_new(Poller *poller, const SocketAddress *address, const GuestHandler *handler, void *userdata,
                     RemoteGuest **ret);
RemoteGuest *remote_guest_free(RemoteGuest *g);

/* Returns: the number of bytes read, 0 if there are none now; then readable() is called when there are some. */
size_t remote_guest_read(RemoteGuest *g, uint8_t *data, size_t n);

/* Queue all of @data, or a break. If the backlog is less than REMOTE_GUEST_BACKLOG_HIGH, there is room for one
 * read from each of two connections. If there is no room, the connection is closed. */
void remote_guest_write(RemoteGuest *g, const uint8_t *data, size_t n);
void remote_guest_send_break(RemoteGuest *g);

/* The number of bytes that the machine has not taken yet. writable() is called when it gets smaller. */
#define REMOTE_GUEST_BACKLOG_HIGH 65536U
size_t remote_guest_backlog(const RemoteGuest *g);
