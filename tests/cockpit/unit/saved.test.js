/* SPDX-License-Identifier: LGPL-2.1-or-later */

import assert from "node:assert/strict";
import test from "node:test";
import { Attachment } from "../../../cockpit/attachment.js";
import { decodeBase64, encodeBase64, saveConsole, takeConsole } from "../../../cockpit/saved.js";
import { BREAK } from "../../../cockpit/telnet.js";

const INPUT = 202;
const bytes = text => new TextEncoder().encode(text);

class Storage {
    constructor() {
        this.items = new Map();
    }

    setItem(key, value) {
        this.items.set(key, value);
    }

    getItem(key) {
        return this.items.get(key) ?? null;
    }

    removeItem(key) {
        this.items.delete(key);
    }
}

function attachment() {
    const a = new Attachment("secret");
    a.received(1000);
    a.type(bytes("taken"));
    a.hear(INPUT, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 5));
    a.type(Uint8Array.of(0, 255));
    a.type(BREAK);
    return a;
}

test("all bytes are the same after it", () => {
    const all = Uint8Array.from({ length: 100000 }, (_, i) => i);
    assert.deepEqual(decodeBase64(encodeBase64(all)), all);
});

test("the next page goes on where this one was, and sends what was not taken", () => {
    const storage = new Storage();
    saveConsole(storage, "web", { attachment: attachment(), vm: "id-web", access: "write" }, bytes("shown"));
    const saved = takeConsole(storage, "web");
    assert.equal(saved.vm, "id-web");
    assert.equal(saved.access, "write");
    assert.deepEqual(saved.tail, bytes("shown"));
    assert.equal(saved.attachment.token, "secret");
    assert.equal(saved.attachment.position, 1000);
    const sent = saved.attachment.hear(INPUT, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 6));
    assert.deepEqual(sent.map(piece => [...piece]), [[255, 255], [...BREAK]]);
});

test("it is taken once, and only for the same console", () => {
    const storage = new Storage();
    assert.equal(takeConsole(storage, "web"), null);
    for (const what of ["other", "web"]) {
        saveConsole(storage, "web", { attachment: attachment(), vm: "id-web", access: "write" }, bytes(""));
        assert.equal(takeConsole(storage, what) !== null, what === "web");
        assert.equal(takeConsole(storage, "web"), null);
    }
});

test("a console whose attachment is not kept is not saved, and of much output the end", () => {
    const storage = new Storage();
    saveConsole(storage, "web", { attachment: null }, bytes(""));
    assert.equal(storage.items.size, 0);
    const shown = new Uint8Array(1 << 20).fill(65);
    shown[shown.length - 1] = 66;
    saveConsole(storage, "web", { attachment: attachment() }, shown);
    const { tail } = takeConsole(storage, "web");
    assert.equal(tail.length, 256 << 10);
    assert.equal(tail.at(-1), 66);
});

test("where there is no room for it, nothing is saved", () => {
    const storage = new Storage(), a = attachment();
    a.type(new Uint8Array((2 << 20) - 100));
    storage.setItem = () => {
        throw new Error("QuotaExceededError");
    };
    saveConsole(storage, "web", { attachment: a }, bytes(""));
    assert.equal(takeConsole(storage, "web"), null);
});
