/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "guest.h"
#include "transport/address.h"
#include "transport/poller.h"

/*
 * RemoteGuest: a guest that runs in another program, whose serial port is a telnet server (--serial): QEMU's
 * "-serial telnet:HOST:PORT,server". Bytes and breaks travel both ways. All 256 bytes do, but QEMU (seen with 7.2) does
 * not double a 0xFF that its guest writes, as telnet has it: that byte and the next one are lost.
 *
 * The connection is made again a second after it has ended or failed, so the machine may come later than the VM, and
 * may be switched off and on. While there is no machine, what clients type is lost, as it is at any serial port.
 *
 * A machine whose output nobody takes waits. A machine that does not read what clients type shows that by its backlog:
 * it is for the owner to read no more from them.
 */
typedef struct RemoteGuest RemoteGuest;

/* @address: borrowed. Begins to connect. Returns: 0 or a negative errno. */
int remote_guest_new(Poller *poller, const SocketAddress *address, const GuestHandler *handler, void *userdata,
                     RemoteGuest **ret);
RemoteGuest *remote_guest_free(RemoteGuest *g);

/* Returns: how many bytes it has written, 0 if there are none now; readable() is called once there are some. */
size_t remote_guest_read(RemoteGuest *g, uint8_t *data, size_t n);

/* Queues all of @data, or a break. While the backlog is less than REMOTE_GUEST_BACKLOG_HIGH there is room for what is
 * read from two connections at a time; where there is no room for it, the connection ends. */
void remote_guest_write(RemoteGuest *g, const uint8_t *data, size_t n);
void remote_guest_send_break(RemoteGuest *g);

/* Bytes that the machine has not taken yet; writable() is called when they get fewer. */
#define REMOTE_GUEST_BACKLOG_HIGH 65536U
size_t remote_guest_backlog(const RemoteGuest *g);
