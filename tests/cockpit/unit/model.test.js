/* SPDX-License-Identifier: LGPL-2.1-or-later */

import assert from "node:assert/strict";
import test from "node:test";
import { clientNames, hostOf, naturalKey, stateOf, VmModel } from "../../../cockpit/model.js";

const vm = (name, more = {}) => ({
    id: `id-${name}`, uuid: `id-${name}`, name, uri: "s0", connected: true, since: 1, vmotion: "none", clientCount: 0, clients: [],
    ...more,
});
const names = model => model.list().map(each => each.name);

function modelOf(...vms) {
    const model = new VmModel();
    model.begin();
    for (const each of vms)
        model.apply({ event: "present", vm: each });
    model.apply({ event: "ready" });
    return model;
}

test("names are sorted as people count", () => {
    assert.deepEqual(names(modelOf(vm("web10"), vm("Web2"), vm("db"), vm("web1"))), ["db", "web1", "Web2", "web10"]);
});

test("numbers of any length and with zeros in front are compared by value", () => {
    assert.ok(naturalKey("a9") < naturalKey("a10"));
    assert.ok(naturalKey("a007") < naturalKey("a8"));
    assert.equal(naturalKey("a0"), naturalKey("a000"));
});

test("each word of the filter must match something", () => {
    const model = modelOf(vm("web1", { peer: "192.0.2.7:4711" }), vm("web2"), vm("db1", { peer: "192.0.2.7:4712" }));
    model.setFilter("  WEB 192.0.2.7 ");
    assert.deepEqual(names(model), ["web1"]);
    model.setFilter("disconnected");
    assert.deepEqual(names(model), []);
});

test("clients and states are found, too", () => {
    const client = { peer: "alice (pid 12)", access: "write" };
    const model = modelOf(vm("web1", { clients: [client], clientCount: 1 }), vm("web2", { connected: false }));
    model.setFilter("alice");
    assert.deepEqual(names(model), ["web1"]);
    model.setFilter("disconnected");
    assert.deepEqual(names(model), ["web2"]);
});

test("a column is sorted in both directions, and equal rows stay in the order of their names", () => {
    const model = modelOf(vm("c", { port: 2 }), vm("a", { port: 1 }), vm("b", { port: 2 }));
    model.setSort("port", false);
    assert.deepEqual(names(model), ["a", "b", "c"]);
    model.setSort("port", true);
    assert.deepEqual(names(model), ["b", "c", "a"]);
});

test("news changes what is shown: added, renamed, removed", () => {
    const model = modelOf(vm("a"), vm("b"));
    model.apply({ event: "added", vm: vm("c") });
    model.apply({ event: "renamed", vm: vm("z", { id: "id-a" }) });
    model.apply({ event: "removed", vm: vm("b") });
    assert.deepEqual(names(model), ["c", "z"]);
});

test("a VM that is removed and added again is there once", () => {
    const model = modelOf(vm("a"));
    model.apply({ event: "removed", vm: vm("a") });
    model.apply({ event: "added", vm: vm("a") });
    assert.deepEqual(names(model), ["a"]);
});

test("a new beginning keeps VMs until all that are present have been told, and then drops those that are no more", () => {
    const model = modelOf(vm("a"), vm("b"));
    model.begin();
    model.apply({ event: "present", vm: vm("b") });
    assert.deepEqual(names(model), ["a", "b"]);
    model.apply({ event: "ready" });
    assert.deepEqual(names(model), ["b"]);
});

test("after skipped events the present state counts", () => {
    const model = modelOf(vm("a"));
    model.apply({ event: "skipped" });
    assert.equal(model.complete, false);
    model.apply({ event: "ready" });
    assert.deepEqual(names(model), []);
});

test("a VM is found by its id, and by its name if only one has it", () => {
    const model = modelOf(vm("a"), vm("twin", { id: "1" }), vm("twin", { id: "2" }));
    assert.equal(model.find("id-a").name, "a");
    assert.equal(model.find("a").id, "id-a");
    assert.equal(model.find("twin"), undefined);
});

test("the state names what is urgent first", () => {
    assert.equal(stateOf(vm("a", { vmotion: "begun", problem: "x" })), "migrating");
    assert.equal(stateOf(vm("a", { problem: "x" })), "shared");
    assert.equal(stateOf(vm("a", { connected: false })), "disconnected");
    assert.equal(stateOf(vm("a", { vmotion: "orphaned" })), "connected");
});

test("hosts are shown without their ports", () => {
    assert.equal(hostOf({ peer: "192.0.2.7:4711" }), "192.0.2.7");
    assert.equal(hostOf({ peer: "[2001:db8::1]:4711" }), "2001:db8::1");
    assert.equal(hostOf({}), "");
});

test("clients are named once each, and those that are not listed are counted", () => {
    const clients = [{ peer: "bob (pid 1)" }, { peer: "bob (pid 2)" }, { peer: "192.0.2.7:4711" }];
    assert.equal(clientNames({ clients, clientCount: 5 }), "bob, 192.0.2.7:4711 +2");
});

test("16,000 VMs are sorted, and again when one has changed, with few comparisons", () => {
    const model = modelOf(...Array.from({ length: 16000 }, (_, i) => vm(`vm-${(i * 7919) % 16000}`)));
    assert.equal(names(model)[15999], "vm-15999");

    /* Not a time but the work: looks at a key are counted. */
    let looks = 0;
    for (const row of model.rows.values()) {
        const { key } = row;
        Object.defineProperty(row, "key", { get: () => { looks++; return key; }, set: () => {}, configurable: true });
    }
    model.apply({ event: "connected", vm: vm("vm-8000", { since: 2 }) });
    assert.equal(names(model).length, 16000);
    assert.ok(looks < 8 * 16000, `${looks} looks`);
});
