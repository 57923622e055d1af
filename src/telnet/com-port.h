/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "codec.h"

/*
 * COM-PORT control (RFC 2217), option 44. The VM tells how its guest has set up the serial port. There is no
 * real port behind it, so every setting is accepted and remembered, and confirmed as section 3 asks.
 *
 * Clients may use it as well, to open a VM's console as a serial port. What they set has no effect.
 */

typedef enum ComPortParity {
        COM_PORT_PARITY_NONE = 1,
        COM_PORT_PARITY_ODD = 2,
        COM_PORT_PARITY_EVEN = 3,
        COM_PORT_PARITY_MARK = 4,
        COM_PORT_PARITY_SPACE = 5,
} ComPortParity;

typedef enum ComPortStop {
        COM_PORT_STOP_1 = 1,
        COM_PORT_STOP_2 = 2,
        COM_PORT_STOP_1_5 = 3,
} ComPortStop;

typedef struct ComPort {
        uint32_t baud_rate; /* bits a second */
        uint8_t data_size;  /* 5 … 8 bits */
        uint8_t parity;     /* ComPortParity */
        uint8_t stop_size;  /* ComPortStop */
        uint8_t flow_control, brk, dtr, rts, inbound_flow_control; /* SET-CONTROL values */
} ComPort;

/* 115200 8N1, no flow control */
void com_port_init(ComPort *c);

/* Takes in a TELNET_EVENT_SUBNEGOTIATION of option 44 and appends the answer that RFC 2217 wants, if any.
 * What it does not understand it passes over. Returns: 0, -ENOBUFS, -ENOMEM. */
int com_port_handle(ComPort *c, const TelnetEvent *event, Buffer *out);

/* The same for a client. What it sets is confirmed as it was set, whatever that is, for programs give up otherwise, and
 * Kermit asks once more. It is kept in @wish, where 0 is what has not been set: that is answered from @vm. */
int com_port_confirm(ComPort *wish, const ComPort *vm, const TelnetEvent *event, Buffer *out);

/* Whether the client begins a break. */
bool com_port_is_break(const TelnetEvent *event);

/* Appends the state of the modem lines: all are on, as a null modem has them. */
int com_port_put_modem_state(Buffer *out);

/* "115200 8N1" */
#define COM_PORT_TEXT_MAX sizeof("4294967295 8N1.5")
const char *com_port_format(const ComPort *c, char buffer[static COM_PORT_TEXT_MAX]);
