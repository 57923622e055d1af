/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An attachment to a console that goes on over another connection when its own is lost (org.vspc.Concentrator(7), Attach with
 * "resumable"). Both ends count the bytes of the console, and tell each other how far they have come in subnegotiations.
 */

import { BREAK, escape, subnegotiation } from "./telnet.js";

/* The first byte of a subnegotiation, which a number of 8 bytes follows, but for GOODBYE */
const OUTPUT = 201;  /* from vspcd: the next byte of output has this position; from us: all before it has arrived */
const INPUT = 202;   /* from vspcd: as much of what was typed has been taken */
const GOODBYE = 203; /* the attachment has ended, and is not to be resumed */

/* So many bytes of output come before vspcd is told. */
const TOLD_SIZE = 2048;

/* What is typed waits while vspcd is away; more is refused. */
export const UNHEARD_MAX = 2 << 20;

function encodeNumber(n) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(n));
    return bytes;
}

function decodeNumber(bytes) {
    return bytes.length === 8 ? Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0)) : NaN;
}

function sizeOf(input) {
    return input === BREAK ? 1 : input.length;
}

function encode(input) {
    return input === BREAK ? BREAK : escape(input);
}

export class Attachment {
    constructor(token) {
        this.token = token;
        this.position = 0; /* of the next byte of output */
        this.told = 0;     /* what vspcd knows of it */
        this.unheard = []; /* typed and not taken yet, in order: bytes, or BREAK */
        this.size = 0;     /* of these */
        this.taken = 0;    /* of what was typed */
        this.isReady = false; /* vspcd has said over this connection how much it has taken, so that more can be sent */
        this.isOver = false;
    }

    /* For JSON. encode, decode: between bytes and text */
    save(encode) {
        const { token, position, taken } = this;
        return { token, position, taken, unheard: this.unheard.map(input => (input === BREAK ? null : encode(input))) };
    }

    static restore({ token, position, taken, unheard }, decode) {
        const a = Object.assign(new Attachment(token), { position, told: position, taken });
        for (const text of unheard)
            a.type(text === null ? BREAK : decode(text));
        return a;
    }

    get goodbye() {
        return subnegotiation(Uint8Array.of(GOODBYE));
    }

    connectionLost() {
        this.isReady = false;
    }

    /* Returns: what is to be sent, which may be nothing yet, or null if there is no room. */
    type(input) {
        if (this.size + sizeOf(input) > UNHEARD_MAX)
            return null;
        this.unheard.push(input === BREAK ? BREAK : input.slice());
        this.size += sizeOf(input);
        return this.isReady ? encode(input) : new Uint8Array();
    }

    /* Output has come. Returns: what is to be sent, or null. */
    received(n) {
        this.position += n;
        if (this.position - this.told < TOLD_SIZE)
            return null;
        this.told = this.position;
        return subnegotiation(Uint8Array.of(OUTPUT, ...encodeNumber(this.position)));
    }

    /* vspcd has said something about the attachment. Returns: what is to be sent, in order. */
    hear(code, bytes) {
        const number = decodeNumber(bytes);
        if (code === OUTPUT && number >= 0)
            this.told = this.position = number;
        else if (code === INPUT && number >= 0)
            return this.forgetUntil(number);
        else if (code === GOODBYE)
            this.isOver = true;
        return [];
    }

    forgetUntil(taken) {
        let n = Math.max(0, Math.min(taken - this.taken, this.size));
        this.taken = taken;
        this.size -= n;
        while (n > 0) {
            const first = this.unheard[0], size = sizeOf(first);
            if (size > n)
                this.unheard[0] = first.subarray(n);
            else
                this.unheard.shift();
            n -= Math.min(n, size);
        }
        if (this.isReady)
            return [];
        this.isReady = true;
        return this.unheard.map(encode);
    }
}
