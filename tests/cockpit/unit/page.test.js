/* SPDX-License-Identifier: LGPL-2.1-or-later */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { parseBytes } from "../../../cockpit/acts.js";
import { entryText, journalMatches, LineReader } from "../../../cockpit/journal.js";
import { ago, explain, size } from "../../../cockpit/texts.js";

const page = new URL("../../../cockpit/", import.meta.url);
const read = name => readFileSync(new URL(name, page));

test("the files of xterm.js are those that were taken from npm", () => {
    const sums = read("xterm/SHA256SUMS").toString().trim().split("\n").map(line => line.split("  "));
    for (const [sum, name] of sums)
        assert.equal(createHash("sha256").update(read(`xterm/${name}`)).digest("hex"), sum, name);
    assert.deepEqual(sums.map(([, name]) => name).concat("SHA256SUMS").sort(), readdirSync(new URL("xterm", page)).sort());
});

test("package.json and its lock name the same versions, each with a hash", () => {
    const { dependencies } = JSON.parse(read("package.json")), lock = JSON.parse(read("package-lock.json"));
    assert.deepEqual(lock.packages[""].dependencies, dependencies);
    for (const [name, version] of Object.entries(dependencies)) {
        assert.equal(lock.packages[`node_modules/${name}`].version, version);
        assert.match(lock.packages[`node_modules/${name}`].integrity, /^sha512-/);
    }
});

test("all modules and styles that the page uses are installed", () => {
    const installed = read("meson.build").toString();
    const scripts = readdirSync(page).filter(name => /\.(js|css|html)$/.test(name));
    for (const name of scripts.concat(readdirSync(new URL("xterm", page)).filter(each => each !== "SHA256SUMS").map(each => `xterm/${each}`)))
        assert.ok(installed.includes(`'${name}'`), name);
    for (const name of scripts.filter(each => each.endsWith(".js")))
        for (const [, used] of read(name).toString().matchAll(/from "\.\/([^"]+)"/g))
            assert.ok(read(used).length > 0, `${name}: ${used}`);
});

test("bytes are written as pairs of hexadecimal digits, with or without blanks", () => {
    assert.deepEqual([...parseBytes("1b 5B41\nff")], [0x1b, 0x5b, 0x41, 0xff]);
    for (const bad of ["", " ", "1", "1b5", "0x1b", "zz"])
        assert.equal(parseBytes(bad), null, bad);
});

test("the journal is searched for what vspc's own units say of this VM", () => {
    const matches = journalMatches({ id: "u", uuid: "u", uri: "s0" });
    assert.deepEqual(matches, ["_SYSTEMD_UNIT=vspc.service", "_SYSTEMD_UNIT=vspc-logger.service", "VSPC_VM_UUID=u"]);
    assert.equal(journalMatches({ id: "u_s1", uuid: "u", uri: "s1" }).at(-1), "VSPC_URI=s1");
});

test("an entry's escape sequences are left out, and what is no UTF-8 is shown", () => {
    assert.equal(entryText({ MESSAGE: "\x1b[1;32mok\x1b[0m \x1b]0;title\x07done\r" }), "ok done");
    assert.equal(entryText({ MESSAGE: [65, 255, 66] }), "A\ufffdB");
    assert.equal(entryText({}), "");
});

test("lines are found however they are cut", () => {
    const reader = new LineReader();
    assert.deepEqual([..."ab\nc\n\nd"].flatMap(c => reader.feed(c)), ["ab", "c", ""]);
});

test("sizes and times are written for people", () => {
    assert.deepEqual([1, 1023, 1536, 1048575, 8 << 20].map(size), ["1 byte", "1023 bytes", "1.5 KiB", "1.0 MiB", "8.0 MiB"]);
    const now = 1e12;
    assert.deepEqual([0, 59, 61, 7300, 200000].map(seconds => ago((now / 1000 - seconds) * 1e6, now)),
                     ["just now", "just now", "1 min ago", "2 h ago", "2 days ago"]);
});

test("a refusal names who holds which access", () => {
    const text = explain({ name: "AccessDenied", parameters: { access: "write", holders: [
        { peer: "alice (pid 7)", access: "write", since: Date.now() * 1000 }] } });
    assert.match(text, /^Write access is refused: alice \(pid 7\) holds write access since .*just now/);
});

test("an error that is not known is shown by its name", () => {
    assert.match(explain({ name: "NewError", parameters: {} }), /NewError/);
});
