/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <stdio.h>

#include "com-port.h"

/* RFC 2217, section 3: commands of the client (the VM, or a client of its console). The code of our answer is 100
 * more. */
enum {
        COM_PORT_SIGNATURE = 0,
        COM_PORT_SET_BAUDRATE = 1,
        COM_PORT_SET_DATASIZE = 2,
        COM_PORT_SET_PARITY = 3,
        COM_PORT_SET_STOPSIZE = 4,
        COM_PORT_SET_CONTROL = 5,
        COM_PORT_NOTIFY_LINESTATE = 6,
        COM_PORT_NOTIFY_MODEMSTATE = 7,
        COM_PORT_FLOWCONTROL_SUSPEND = 8,
        COM_PORT_FLOWCONTROL_RESUME = 9,
        COM_PORT_SET_LINESTATE_MASK = 10,
        COM_PORT_SET_MODEMSTATE_MASK = 11,
        COM_PORT_PURGE_DATA = 12,
        COM_PORT_ANSWER = 100,
};

/* SET-CONTROL */
#define CONTROL_BREAK_ON 5

/* NOTIFY-MODEMSTATE: carrier detect, data set ready, clear to send */
#define MODEM_STATE (0x80 | 0x20 | 0x10)

static const char signature[] = "vspc";

void com_port_init(ComPort *c) {
        *c = (ComPort){
                .baud_rate = 115200,
                .data_size = 8,
                .parity = COM_PORT_PARITY_NONE,
                .stop_size = COM_PORT_STOP_1,
                .flow_control = 1,          /* none */
                .brk = 6,                   /* off */
                .dtr = 8,                   /* on */
                .rts = 11,                  /* on */
                .inbound_flow_control = 14, /* none */
        };
}

static int answer(Buffer *out, uint8_t code, const void *data, size_t n) {
        uint8_t text[1 + sizeof(uint32_t) + sizeof signature];

        assert(n < sizeof text);

        text[0] = COM_PORT_ANSWER + code;
        memcpy(text + 1, data, n);

        return telnet_put_subnegotiation(out, TELNET_COM_PORT, text, n + 1);
}

/* Handles a setting of one byte. 0 asks for the present value, and values out of range are ignored. The answer is
 * always the present value. */
static int set_byte(uint8_t *setting, uint8_t value, uint8_t min, uint8_t max, uint8_t code, Buffer *out) {
        if (value >= min && value <= max)
                *setting = value;

        return answer(out, code, setting, 1);
}

/* The values of SET-CONTROL form groups of a question and its possible answers. Returns: the setting of the group of
 * @value, or NULL if there is none; *ret_asks: whether @value is the question. */
static uint8_t *find_control(ComPort *c, uint8_t value, bool *ret_asks) {
        const struct {
                uint8_t question, min, max;
                uint8_t *setting;
        } groups[] = {
                {0, 1, 3, &c->flow_control},
                {0, 17, 17, &c->flow_control},
                {0, 19, 19, &c->flow_control},
                {4, 5, 6, &c->brk},
                {7, 8, 9, &c->dtr},
                {10, 11, 12, &c->rts},
                {13, 14, 16, &c->inbound_flow_control},
                {13, 18, 18, &c->inbound_flow_control},
        };

        for (size_t i = 0; i < ELEMENTSOF(groups); i++)
                if (value == groups[i].question || (value >= groups[i].min && value <= groups[i].max)) {
                        *ret_asks = value == groups[i].question;
                        return groups[i].setting;
                }

        return NULL;
}

static int set_control(ComPort *c, uint8_t value, Buffer *out) {
        bool asks;
        uint8_t *setting = find_control(c, value, &asks);

        if (!setting)
                return 0;
        if (!asks)
                *setting = value;

        return answer(out, COM_PORT_SET_CONTROL, setting, 1);
}

static int set_baud_rate(ComPort *c, const uint8_t *data, Buffer *out) {
        uint32_t baud_rate;

        memcpy(&baud_rate, data, sizeof baud_rate);
        if (baud_rate != 0)
                c->baud_rate = ntohl(baud_rate);

        baud_rate = htonl(c->baud_rate);
        return answer(out, COM_PORT_SET_BAUDRATE, &baud_rate, sizeof baud_rate);
}

int com_port_handle(ComPort *c, const TelnetEvent *event, Buffer *out) {
        if (event->size == 0)
                return 0;

        uint8_t code = event->data[0];
        const uint8_t *data = event->data + 1;
        size_t n = event->size - 1;

        switch (code) {

        case COM_PORT_SIGNATURE: /* without text: a question; with text: the VM's signature, which needs no answer */
                return n == 0 ? answer(out, code, signature, sizeof signature - 1) : 0;

        case COM_PORT_SET_BAUDRATE:
                return n >= sizeof(uint32_t) ? set_baud_rate(c, data, out) : 0;

        case COM_PORT_SET_DATASIZE:
                return n >= 1 ? set_byte(&c->data_size, data[0], 5, 8, code, out) : 0;

        case COM_PORT_SET_PARITY:
                return n >= 1 ? set_byte(&c->parity, data[0], COM_PORT_PARITY_NONE, COM_PORT_PARITY_SPACE,
                                         code, out)
                              : 0;

        case COM_PORT_SET_STOPSIZE:
                return n >= 1 ? set_byte(&c->stop_size, data[0], COM_PORT_STOP_1, COM_PORT_STOP_1_5, code, out)
                              : 0;

        case COM_PORT_SET_CONTROL:
                return n >= 1 ? set_control(c, data[0], out) : 0;

        case COM_PORT_SET_LINESTATE_MASK:
        case COM_PORT_SET_MODEMSTATE_MASK:
        case COM_PORT_PURGE_DATA:
                return n >= 1 ? answer(out, code, data, 1) : 0;

        default: /* FLOWCONTROL-SUSPEND and -RESUME have no answer; TCP controls the flow */
                return 0;
        }
}

/* Handles a client's setting of one byte; 0 asks for it. */
static int confirm_byte(uint8_t code, uint8_t value, uint8_t *wish, uint8_t present, Buffer *out) {
        if (value != 0)
                *wish = value;

        return answer(out, code, *wish != 0 ? wish : &present, 1);
}

static int confirm_control(ComPort *wish, ComPort vm, uint8_t value, Buffer *out) {
        bool asks;
        const uint8_t *present = find_control(&vm, value, &asks);

        if (!present)
                return 0;

        return confirm_byte(COM_PORT_SET_CONTROL, asks ? 0 : value, find_control(wish, value, &asks), *present, out);
}

static int confirm_baud_rate(ComPort *wish, const ComPort *vm, const uint8_t *data, Buffer *out) {
        uint32_t baud_rate;

        memcpy(&baud_rate, data, sizeof baud_rate);
        if (baud_rate != 0)
                wish->baud_rate = ntohl(baud_rate);

        baud_rate = htonl(wish->baud_rate != 0 ? wish->baud_rate : vm->baud_rate);
        return answer(out, COM_PORT_SET_BAUDRATE, &baud_rate, sizeof baud_rate);
}

int com_port_confirm(ComPort *wish, const ComPort *vm, const TelnetEvent *event, Buffer *out) {
        if (event->size == 0)
                return 0;

        uint8_t code = event->data[0];
        const uint8_t *data = event->data + 1;
        size_t n = event->size - 1;

        switch (code) {

        case COM_PORT_SIGNATURE:
                return n == 0 ? answer(out, code, signature, sizeof signature - 1) : 0;

        case COM_PORT_SET_BAUDRATE:
                return n >= sizeof(uint32_t) ? confirm_baud_rate(wish, vm, data, out) : 0;

        case COM_PORT_SET_DATASIZE:
                return n >= 1 ? confirm_byte(code, data[0], &wish->data_size, vm->data_size, out) : 0;

        case COM_PORT_SET_PARITY:
                return n >= 1 ? confirm_byte(code, data[0], &wish->parity, vm->parity, out) : 0;

        case COM_PORT_SET_STOPSIZE:
                return n >= 1 ? confirm_byte(code, data[0], &wish->stop_size, vm->stop_size, out) : 0;

        case COM_PORT_SET_CONTROL:
                return n >= 1 ? confirm_control(wish, *vm, data[0], out) : 0;

        case COM_PORT_NOTIFY_MODEMSTATE: /* pyserial uses this to ask for the modem lines */
                return com_port_put_modem_state(out);

        case COM_PORT_SET_LINESTATE_MASK:
        case COM_PORT_SET_MODEMSTATE_MASK:
        case COM_PORT_PURGE_DATA:
                return n >= 1 ? answer(out, code, data, 1) : 0;

        default:
                return 0;
        }
}

bool com_port_is_break(const TelnetEvent *event) {
        return event->size >= 2 && event->data[0] == COM_PORT_SET_CONTROL && event->data[1] == CONTROL_BREAK_ON;
}

int com_port_put_modem_state(Buffer *out) {
        return answer(out, COM_PORT_NOTIFY_MODEMSTATE, &(uint8_t){MODEM_STATE}, 1);
}

const char *com_port_format(const ComPort *c, char buffer[static COM_PORT_TEXT_MAX]) {
        static const char parity[] = "?NOEMS";
        static const char *const stop[] = {"?", "1", "2", "1.5"};

        snprintf(buffer, COM_PORT_TEXT_MAX, "%u %u%c%s", c->baud_rate, c->data_size, parity[c->parity],
                 stop[c->stop_size]);
        return buffer;
}
