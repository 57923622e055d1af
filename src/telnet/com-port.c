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

/* Handles a setting of one byte; 0 asks for it. Values of the VM out of range are ignored. The answer is the value in force,
 * or @vm's if none was set. */
static int set_byte(ComPort *c, const ComPort *vm, uint8_t code, uint8_t value, Buffer *out) {
        static const struct {
                size_t offset;
                uint8_t min, max;
        } settings[] = {
                [COM_PORT_SET_DATASIZE] = {offsetof(ComPort, data_size), 5, 8},
                [COM_PORT_SET_PARITY] = {offsetof(ComPort, parity), COM_PORT_PARITY_NONE, COM_PORT_PARITY_SPACE},
                [COM_PORT_SET_STOPSIZE] = {offsetof(ComPort, stop_size), COM_PORT_STOP_1, COM_PORT_STOP_1_5},
        };
        uint8_t *setting = (uint8_t *) c + settings[code].offset;

        if (value != 0 && (c != vm || (value >= settings[code].min && value <= settings[code].max)))
                *setting = value;

        return answer(out, code, *setting != 0 ? setting : (const uint8_t *) vm + settings[code].offset, 1);
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

static int set_control(ComPort *c, ComPort vm, uint8_t value, Buffer *out) {
        bool asks;
        uint8_t *setting = find_control(c, value, &asks);

        if (!setting)
                return 0;
        if (!asks)
                *setting = value;

        return answer(out, COM_PORT_SET_CONTROL, *setting != 0 ? setting : find_control(&vm, value, &asks), 1);
}

static int set_baud_rate(ComPort *c, const ComPort *vm, const uint8_t *data, Buffer *out) {
        uint32_t baud_rate;

        memcpy(&baud_rate, data, sizeof baud_rate);
        if (baud_rate != 0)
                c->baud_rate = ntohl(baud_rate);

        baud_rate = htonl(c->baud_rate != 0 ? c->baud_rate : vm->baud_rate);
        return answer(out, COM_PORT_SET_BAUDRATE, &baud_rate, sizeof baud_rate);
}

/* @wish is @vm for the VM itself. */
int com_port_confirm(ComPort *wish, const ComPort *vm, const TelnetEvent *event, Buffer *out) {
        if (event->size == 0)
                return 0;

        uint8_t code = event->data[0];
        const uint8_t *data = event->data + 1;
        size_t n = event->size - 1;

        switch (code) {

        case COM_PORT_SIGNATURE: /* without text: a question; with text: the peer's signature, which needs no answer */
                return n == 0 ? answer(out, code, signature, sizeof signature - 1) : 0;

        case COM_PORT_SET_BAUDRATE:
                return n >= sizeof(uint32_t) ? set_baud_rate(wish, vm, data, out) : 0;

        case COM_PORT_SET_DATASIZE:
        case COM_PORT_SET_PARITY:
        case COM_PORT_SET_STOPSIZE:
                return n >= 1 ? set_byte(wish, vm, code, data[0], out) : 0;

        case COM_PORT_SET_CONTROL:
                return n >= 1 ? set_control(wish, *vm, data[0], out) : 0;

        case COM_PORT_NOTIFY_MODEMSTATE: /* pyserial uses this to ask for the modem lines */
                return wish != vm ? com_port_put_modem_state(out) : 0;

        case COM_PORT_SET_LINESTATE_MASK:
        case COM_PORT_SET_MODEMSTATE_MASK:
        case COM_PORT_PURGE_DATA:
                return n >= 1 ? answer(out, code, data, 1) : 0;

        default: /* FLOWCONTROL-SUSPEND and -RESUME have no answer; TCP controls the flow */
                return 0;
        }
}

int com_port_handle(ComPort *vm, const TelnetEvent *event, Buffer *out) {
        return com_port_confirm(vm, vm, event, out);
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
