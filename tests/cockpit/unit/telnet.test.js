/* SPDX-License-Identifier: LGPL-2.1-or-later */

import assert from "node:assert/strict";
import test from "node:test";
import { escape, SUBNEGOTIATION_MAX, TelnetReader } from "../../../cockpit/telnet.js";

const IAC = 255, SE = 240, BRK = 243, SB = 250, WILL = 251, WONT = 252, DO = 253, DONT = 254;

/* What a reader makes of these bytes, in pieces of this size */
function read(bytes, size = bytes.length) {
    const result = { data: [], answers: [], subs: [] };
    const reader = new TelnetReader({
        data: piece => result.data.push(...piece),
        answer: piece => result.answers.push([...piece]),
        subnegotiation: (option, text) => result.subs.push([option, ...text]),
    });
    for (let i = 0; i < bytes.length; i += size)
        reader.feed(Uint8Array.from(bytes.slice(i, i + size)));
    return result;
}

test("every byte value survives escaping and reading, in pieces of any size", () => {
    const all = [...Array(256).keys(), 255, 255, 0, 255];
    const wire = [...escape(Uint8Array.from(all))];
    assert.equal(wire.length, all.length + 4);
    for (const size of [1, 2, 3, 7, 300])
        assert.deepEqual(read(wire, size).data, all);
});

test("bytes without 0xFF are not copied", () => {
    const bytes = Uint8Array.of(0, 1, 254);
    assert.equal(escape(bytes), bytes);
});

test("commands between data are not shown", () => {
    for (const size of [1, 2, 100])
        assert.deepEqual(read([65, IAC, 241, 66, IAC, BRK, 67, IAC, WILL, 1, 68], size).data, [65, 66, 67, 68]);
});

test("options that are in force need no answer", () => {
    assert.deepEqual(read([0, 1, 3].flatMap(option => [IAC, WILL, option, IAC, DO, option])).answers, []);
});

test("other options are refused", () => {
    assert.deepEqual(read([IAC, WILL, 44, IAC, DO, 24], 1).answers, [[IAC, DONT, 44], [IAC, WONT, 24]]);
});

test("refusals are not answered", () => {
    assert.deepEqual(read([IAC, WONT, 44, IAC, DONT, 24]).answers, []);
});

test("a subnegotiation is told as a whole, with 0xFF in it", () => {
    for (const size of [1, 3, 100]) {
        const { data, subs } = read([65, IAC, SB, 232, 1, IAC, IAC, 2, IAC, SE, 66], size);
        assert.deepEqual(data, [65, 66]);
        assert.deepEqual(subs, [[232, 1, 255, 2]]);
    }
});

test("a subnegotiation without end is kept up to its bound", () => {
    const { subs } = read([IAC, SB, ...Array(3 * SUBNEGOTIATION_MAX).fill(7), IAC, SE]);
    assert.equal(subs[0].length, SUBNEGOTIATION_MAX);
});
