/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Telnet, as it is after Attach: BINARY, SGA and ECHO are in force in both directions, so that only 0xFF is doubled. */

const SE = 240, BRK = 243, SB = 250, WILL = 251, WONT = 252, DO = 253, DONT = 254, IAC = 255;

const AGREED = new Set([0, 1, 3]); /* BINARY, ECHO, SGA */

/* Of a longer subnegotiation only the beginning is kept. */
export const SUBNEGOTIATION_MAX = 4096;

export const BREAK = Uint8Array.of(IAC, BRK);

/* Doubles 0xFF. Without one the result is bytes itself. */
export function escape(bytes) {
    let count = 0;
    for (let i = bytes.indexOf(IAC); i >= 0; i = bytes.indexOf(IAC, i + 1))
        count++;
    if (count === 0)
        return bytes;

    const result = new Uint8Array(bytes.length + count);
    let from = 0, to = 0;
    for (let i = bytes.indexOf(IAC); i >= 0; i = bytes.indexOf(IAC, i + 1)) {
        result.set(bytes.subarray(from, i + 1), to);
        to += i + 1 - from;
        result[to++] = IAC;
        from = i + 1;
    }
    result.set(bytes.subarray(from), to);
    return result;
}

/* vspcd's own option, which has no meaning but in subnegotiations */
export const OPTION = 232;

export function subnegotiation(bytes) {
    return Uint8Array.of(IAC, SB, OPTION, ...escape(bytes), IAC, SE);
}

/*
 * Takes a telnet stream apart, in pieces of any size. handler:
 *   data(bytes)                    what the VM has sent; a view of the piece, valid until feed() returns
 *   answer(bytes)                  to be sent
 *   subnegotiation(option, bytes)  optional
 */
export class TelnetReader {
    constructor(handler) {
        this.handler = handler;
        this.state = this.inData;
        this.command = 0;
        this.sub = [];
    }

    feed(bytes) {
        let i = 0;
        while (i < bytes.length) {
            if (this.state !== this.inData) {
                this.state(bytes[i++]);
                continue;
            }
            const end = bytes.indexOf(IAC, i);
            const stop = end < 0 ? bytes.length : end;
            if (stop > i)
                this.handler.data(bytes.subarray(i, stop));
            i = stop + 1;
            if (end >= 0)
                this.state = this.inCommand;
        }
    }

    inData() {}

    inCommand(byte) {
        this.state = this.inData;
        if (byte === IAC)
            this.handler.data(Uint8Array.of(IAC));
        else if (byte >= WILL) {
            this.command = byte;
            this.state = this.inOption;
        } else if (byte === SB) {
            this.sub = [];
            this.state = this.inSubnegotiation;
        }
    }

    /* Whatever is not in force already is refused; a refusal needs no answer. */
    inOption(option) {
        this.state = this.inData;
        if (AGREED.has(option))
            return;
        if (this.command === WILL)
            this.handler.answer(Uint8Array.of(IAC, DONT, option));
        else if (this.command === DO)
            this.handler.answer(Uint8Array.of(IAC, WONT, option));
    }

    inSubnegotiation(byte) {
        if (byte === IAC)
            this.state = this.inSubnegotiationCommand;
        else
            this.keep(byte);
    }

    inSubnegotiationCommand(byte) {
        this.state = this.inSubnegotiation;
        if (byte === IAC)
            this.keep(byte);
        else if (byte === SE) {
            const [option, ...text] = this.sub;
            this.state = this.inData;
            if (option !== undefined)
                this.handler.subnegotiation?.(option, Uint8Array.from(text));
        }
    }

    keep(byte) {
        if (this.sub.length < SUBNEGOTIATION_MAX)
            this.sub.push(byte);
    }
}
