/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How much of a VM's output waits to be shown, and what is done about it. From HOLD on the concentrator is kept waiting, if
 * Cockpit's bridge can do that; when LIMIT is reached all that comes is dropped, until less than RELEASE waits.
 */
export const HOLD = 512 << 10;
export const RELEASE = 128 << 10;
export const LIMIT = 8 << 20;

export class Flow {
    constructor({ hold = HOLD, release = RELEASE, limit = LIMIT } = {}) {
        Object.assign(this, { hold, release, limit });
        this.waiting = 0;
        this.most = 0; /* that has ever waited */
        this.dropping = false;
        this.dropped = 0; /* and not yet taken by takeDropped() */
    }

    /* Returns: whether the bytes are to be shown. */
    admit(n) {
        if (this.waiting + n > this.limit)
            this.dropping = true;
        if (this.dropping) {
            this.dropped += n;
            return false;
        }
        this.waiting += n;
        this.most = Math.max(this.most, this.waiting);
        return true;
    }

    shown(n) {
        this.waiting -= n;
        if (this.waiting <= this.release)
            this.dropping = false;
    }

    isHolding() {
        return this.waiting > this.hold;
    }

    /* Returns: the size of the gap that has ended, or 0. */
    takeDropped() {
        if (this.dropping)
            return 0;
        const n = this.dropped;
        this.dropped = 0;
        return n;
    }
}

/*
 * Answers Cockpit's bridge late: it stops reading 2 MiB after the last "pong". transport is cockpit.transport, whose filter is
 * not documented; without it nothing is held, and the limit above is all there is.
 */
export class PongHolder {
    constructor(transport) {
        this.transport = transport;
        this.channels = new Map(); /* id → { flow, held } */
        try {
            transport.filter((message, channel, control) => this.sends(control), true);
        } catch (error) {
            console.warn("cannot hold back pongs:", error);
        }
    }

    sends(control) {
        const entry = control?.command === "pong" && this.channels.get(control.channel);
        if (!entry || !entry.flow.isHolding())
            return true;
        entry.held.push({ ...control });
        return false;
    }

    add(id, flow) {
        this.channels.set(id, { flow, held: [] });
    }

    remove(id) {
        this.channels.delete(id);
    }

    /* Less waits than before. */
    release(id) {
        const entry = this.channels.get(id);
        if (entry && entry.flow.waiting <= entry.flow.release)
            for (const { command, ...options } of entry.held.splice(0))
                this.transport.control(command, options);
    }
}

/* The last bytes that a VM has sent, as they came. */
export class Tail {
    constructor(limit = 4 << 20) {
        this.limit = limit;
        this.clear();
    }

    clear() {
        this.pieces = [];
        this.size = 0;
    }

    add(bytes) {
        this.pieces.push(bytes.slice());
        this.size += bytes.length;
        while (this.size - this.pieces[0].length >= this.limit)
            this.size -= this.pieces.shift().length;
        /* A VM that sends byte by byte would have a piece for each. */
        if (this.pieces.length > 8192)
            this.pieces = [this.bytes()];
    }

    bytes() {
        const result = new Uint8Array(this.size);
        let at = 0;
        for (const piece of this.pieces) {
            result.set(piece, at);
            at += piece.length;
        }
        return result.subarray(Math.max(0, this.size - this.limit));
    }
}
