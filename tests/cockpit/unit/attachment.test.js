/* SPDX-License-Identifier: LGPL-2.1-or-later */

import assert from "node:assert/strict";
import test from "node:test";
import { Attachment, UNHEARD_MAX } from "../../../cockpit/attachment.js";
import { BREAK } from "../../../cockpit/telnet.js";

const OUTPUT = 201, INPUT = 202, GOODBYE = 203;
const number = n => Uint8Array.of(0, 0, 0, 0, n >>> 24, n >>> 16, n >>> 8, n);
const bytes = text => new TextEncoder().encode(text);
const flat = pieces => pieces.flatMap(piece => [...piece]);

/* An attachment that has just begun */
function begin(position = 0) {
    const a = new Attachment("secret");
    a.hear(OUTPUT, number(position));
    assert.deepEqual(a.hear(INPUT, number(0)), []);
    return a;
}

test("output is counted from where vspcd says that it begins", () => {
    const a = begin(1000);
    assert.equal(a.received(10), null);
    assert.equal(a.position, 1010);
    a.hear(OUTPUT, number(5000)); /* something was left out */
    assert.equal(a.position, 5000);
});

test("vspcd is told that output has arrived, not for each byte, with 0xFF doubled", () => {
    const a = begin(0xFF00);
    assert.equal(a.received(2047), null);
    const position = 0xFF00 + 2048;
    assert.deepEqual([...a.received(1)], [255, 250, 232, OUTPUT, 0, 0, 0, 0, 0, 1, position >> 8 & 0xFF, 0, 255, 240]);
    assert.equal(a.received(2047), null);
    a.hear(OUTPUT, number(0xFF));
    assert.deepEqual([...a.received(2048)].slice(0, 12), [255, 250, 232, OUTPUT, 0, 0, 0, 0, 0, 0, 8, 255]);
});

test("what is typed before vspcd has said where it is waits for that", () => {
    const a = new Attachment("secret");
    assert.equal(a.type(bytes("early")).length, 0);
    assert.deepEqual(flat(a.hear(INPUT, number(0))), [...bytes("early")]);
    assert.deepEqual([...a.type(Uint8Array.of(65, 255))], [65, 255, 255]);
});

test("after a lost connection only what vspcd has not taken is sent again, breaks in their place", () => {
    const a = begin();
    a.type(bytes("hello"));
    a.type(BREAK);
    a.type(Uint8Array.of(255));
    assert.equal(a.size, 7);
    a.hear(INPUT, number(2));
    a.connectionLost();
    assert.equal(a.type(bytes("!")).length, 0);
    assert.deepEqual(flat(a.hear(INPUT, number(3))), [...bytes("lo"), 255, 243, 255, 255, ...bytes("!")]);
    assert.deepEqual(a.hear(INPUT, number(8)), []);
    assert.equal(a.size, 0);
    assert.equal(a.unheard.length, 0);
});

test("a break that was taken is not sent again", () => {
    const a = begin();
    a.type(BREAK);
    a.type(bytes("x"));
    a.connectionLost();
    assert.deepEqual(flat(a.hear(INPUT, number(1))), [...bytes("x")]);
});

test("what was typed is kept, whatever its owner does with the bytes", () => {
    const a = begin(), typed = bytes("x");
    a.type(typed);
    typed[0] = 0;
    a.connectionLost();
    assert.deepEqual(flat(a.hear(INPUT, number(0))), [...bytes("x")]);
});

test("so much is kept, and more is not taken", () => {
    const a = begin();
    a.connectionLost();
    assert.notEqual(a.type(new Uint8Array(UNHEARD_MAX - 1)), null);
    assert.notEqual(a.type(BREAK), null);
    assert.equal(a.type(bytes("x")), null);
    assert.equal(a.size, UNHEARD_MAX);
    a.hear(INPUT, number(1));
    assert.notEqual(a.type(bytes("x")), null);
});

test("a vspcd that counts otherwise does no harm", () => {
    const a = begin();
    a.type(bytes("ab"));
    a.hear(INPUT, number(50));
    assert.equal(a.size, 0);
    a.hear(INPUT, number(3));
    a.hear(INPUT, Uint8Array.of(1));
    a.hear(OUTPUT, Uint8Array.of());
    assert.equal(a.position, 0);
    assert.equal(a.size, 0);
});

test("a goodbye ends it", () => {
    const a = begin();
    assert.ok(!a.isOver);
    a.hear(GOODBYE, Uint8Array.of());
    assert.ok(a.isOver);
    assert.deepEqual([...a.goodbye], [255, 250, 232, GOODBYE, 255, 240]);
});
