/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "codec.h"

/*
 * COM-PORT control (RFC 2217), option 44. The VM sends the settings that its guest has made for the serial port.
 * There is no real port, so every setting is accepted, remembered, and confirmed as required by section 3.
 *
 * Clients may use it as well, to open a VM's console as a serial port. Their settings have no effect.
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

/* Handles a TELNET_EVENT_SUBNEGOTIATION of option 44 from the VM and appends the answer that RFC 2217 requires, if any.
 * Unknown messages are ignored. Returns: 0, -ENOBUFS, -ENOMEM. */
int com_port_handle(ComPort *vm, const TelnetEvent *event, Buffer *out);

/* The same for a client. Its settings are confirmed, whatever the VM's settings are, because some programs give up
 * otherwise. @wish keeps them, as Kermit asks for them afterwards; if a setting is 0 in @wish, the answer is taken
 * from @vm. */
int com_port_confirm(ComPort *wish, const ComPort *vm, const TelnetEvent *event, Buffer *out);

/* Returns: whether the client begins a break. */
bool com_port_is_break(const TelnetEvent *event);

/* Appends the state of the modem lines: all are on, as with a null modem. */
int com_port_put_modem_state(Buffer *out);

/* "115200 8N1" */
#define COM_PORT_TEXT_MAX sizeof("4294967295 8N1.5")
const char *com_port_format(const ComPort *c, char buffer[static COM_PORT_TEXT_MAX]);
