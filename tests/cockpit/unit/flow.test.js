/* SPDX-License-Identifier: LGPL-2.1-or-later */

import assert from "node:assert/strict";
import test from "node:test";
import { Flow, PongHolder, Tail } from "../../../cockpit/flow.js";

const small = { hold: 100, release: 50, limit: 1000 };

test("nothing is dropped up to the limit", () => {
    const flow = new Flow(small);
    for (let i = 0; i < 10; i++)
        assert.ok(flow.admit(100));
    assert.equal(flow.takeDropped(), 0);
});

test("beyond the limit everything is dropped until little waits, and the gap has its size", () => {
    const flow = new Flow(small);
    flow.admit(1000);
    assert.ok(!flow.admit(1));
    flow.shown(940);
    assert.ok(!flow.admit(10));
    assert.equal(flow.takeDropped(), 0); /* the gap goes on */
    flow.shown(10);
    assert.ok(flow.admit(10));
    assert.equal(flow.takeDropped(), 11);
    assert.equal(flow.takeDropped(), 0);
});

test("what waits never exceeds the limit", () => {
    const flow = new Flow(small);
    for (let i = 0; i < 5000; i++) {
        flow.admit(1 + i % 90);
        if (i % 3 === 0 && flow.waiting > 40)
            flow.shown(40);
    }
    assert.ok(flow.most <= small.limit);
});

class Transport {
    constructor() {
        this.sent = [];
    }

    filter(callback, out) {
        assert.equal(out, true);
        this.callback = callback;
    }

    /* As cockpit.js sends a control message */
    control(command, options) {
        const message = { command, ...options };
        if (this.callback("", "", message) !== false)
            this.sent.push(message);
    }
}

test("pongs of a console wait while much is to be shown, and only they", () => {
    const transport = new Transport(), flow = new Flow(small);
    const pongs = new PongHolder(transport);
    pongs.add("a", flow);
    flow.admit(101);
    transport.control("pong", { channel: "a", sequence: 1 });
    transport.control("pong", { channel: "b", sequence: 2 });
    transport.control("close", { channel: "a" });
    assert.deepEqual(transport.sent.map(message => message.sequence), [2, undefined]);

    flow.shown(30);
    pongs.release("a");
    assert.equal(transport.sent.length, 2);
    flow.shown(30);
    pongs.release("a");
    assert.deepEqual(transport.sent.at(-1), { command: "pong", channel: "a", sequence: 1 });
    pongs.release("a");
    assert.equal(transport.sent.length, 3);
});

test("without a filter of Cockpit's nothing is held, and nothing fails", () => {
    const warn = console.warn;
    console.warn = () => {};
    try {
        const pongs = new PongHolder({});
        pongs.add("a", new Flow(small));
        pongs.release("a");
    } finally {
        console.warn = warn;
    }
});

test("the tail has the last bytes, exactly its limit once there were more", () => {
    const tail = new Tail(10);
    tail.add(Uint8Array.of(1, 2, 3));
    assert.deepEqual([...tail.bytes()], [1, 2, 3]);
    for (let i = 0; i < 100; i++)
        tail.add(Uint8Array.of(i, i));
    assert.deepEqual([...tail.bytes()], [95, 95, 96, 96, 97, 97, 98, 98, 99, 99]);
});

test("the tail of a VM that sends byte by byte has few pieces", () => {
    const tail = new Tail(1 << 20);
    for (let i = 0; i < 20000; i++)
        tail.add(Uint8Array.of(i & 255));
    assert.ok(tail.pieces.length <= 8193, tail.pieces.length);
    assert.equal(tail.bytes().length, 20000);
    assert.equal(tail.bytes()[19999], 19999 & 255);
});
