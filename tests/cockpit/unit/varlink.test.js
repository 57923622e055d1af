/* SPDX-License-Identifier: LGPL-2.1-or-later */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { encodeCall, Interface, Refusal, REPLY_MAX, ReplyReader } from "../../../cockpit/varlink.js";

const bytes = text => new TextEncoder().encode(text);
const description = readFileSync(new URL("../../../src/admin/org.vspc.Concentrator.varlink", import.meta.url), "utf8");

test("a call is a JSON text and a NUL", () => {
    const call = new TextDecoder().decode(encodeCall("Attach", { vm: "web☃" }, { upgrade: true }));
    assert.equal(call.at(-1), "\0");
    assert.deepEqual(JSON.parse(call.slice(0, -1)),
                     { method: "org.vspc.Concentrator.Attach", parameters: { vm: "web☃" }, upgrade: true });
});

test("a method of another interface keeps its name", () => {
    assert.match(new TextDecoder().decode(encodeCall("org.varlink.service.GetInfo")), /"org\.varlink\.service\.GetInfo"/);
});

test("replies are found however they are cut, also within a character", () => {
    const wire = bytes('{"parameters":{"name":"grün☃😀"}}\0{"parameters":{}}\0');
    for (let size = 1; size <= wire.length; size++) {
        const reader = new ReplyReader(), replies = [];
        for (let i = 0; i < wire.length; i += size) {
            reader.add(wire.subarray(i, i + size));
            for (let reply; (reply = reader.next());)
                replies.push(reply);
        }
        assert.deepEqual(replies, [{ parameters: { name: "grün☃😀" } }, { parameters: {} }]);
    }
});

test("what follows the last reply belongs to the next protocol", () => {
    const reader = new ReplyReader();
    reader.add(bytes('{"parameters":{}}\0\0scrollback'));
    assert.deepEqual(reader.next(), { parameters: {} });
    assert.deepEqual(reader.take().map(piece => new TextDecoder().decode(piece)), ["\0scrollback"]);
});

test("a reply without end is an error", () => {
    const reader = new ReplyReader();
    for (let i = 0; i <= REPLY_MAX; i += 1 << 20)
        reader.add(new Uint8Array(1 << 20).fill(32));
    assert.throws(() => reader.next(), /too long/);
});

test("errors of vspcd's interface are called by their short names", () => {
    assert.equal(new Refusal("org.vspc.Concentrator.AccessDenied").name, "AccessDenied");
    assert.equal(new Refusal("org.varlink.service.PermissionDenied").name, "org.varlink.service.PermissionDenied");
});

test("vspcd's interface offers what the page calls", () => {
    const offered = new Interface(description);
    for (const [method, ...parameters] of [["Monitor"], ["GetMetrics"], ["Attach", "vm", "access"], ["Clear", "vm"],
                                           ["Forget", "vm"]])
        for (const parameter of [undefined, ...parameters])
            assert.ok(offered.has(method, parameter), `${method} ${parameter}`);
});

test("an interface does not offer what only a comment speaks of", () => {
    const offered = new Interface("# method Say(text: string) -> ()\nmethod List(name: ?string) -> (vm: ?VM)");
    assert.ok(!offered.has("Say"));
    assert.ok(!offered.has("List", "vm"));
});
