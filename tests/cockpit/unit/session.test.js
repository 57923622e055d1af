/* SPDX-License-Identifier: LGPL-2.1-or-later */

import assert from "node:assert/strict";
import test from "node:test";
import { Concentrator } from "../../../cockpit/connection.js";
import { Session } from "../../../cockpit/session.js";
import { Interface } from "../../../cockpit/varlink.js";

const bytes = text => new TextEncoder().encode(text);

/* A channel of Cockpit's, whose other end is the test */
class Channel {
    constructor(options) {
        Object.assign(this, { options, valid: true, sent: [], listeners: { message: [], close: [] } });
    }

    addEventListener(name, listener) {
        this.listeners[name].push(listener);
    }

    send(data) {
        this.sent.push(...data);
    }

    close() {
        this.valid = false;
    }

    get call() {
        return JSON.parse(new TextDecoder().decode(Uint8Array.from(this.sent.slice(0, this.sent.indexOf(0)))));
    }

    get typed() {
        return this.sent.slice(this.sent.indexOf(0) + 1);
    }

    say(data) {
        for (const listener of this.listeners.message)
            listener({}, typeof data === "string" ? bytes(data) : data);
    }

    reply(message) {
        this.say(JSON.stringify(message) + "\0");
    }

    end(options = {}) {
        this.valid = false;
        for (const listener of this.listeners.close)
            listener({}, options);
    }
}

class Timers {
    constructor() {
        this.waiting = [];
        this.setTimeout = (action, pause) => this.waiting.push({ action, pause });
        this.clearTimeout = number => number && (this.waiting[number - 1].action = () => {});
    }

    elapse() {
        const { action, pause } = this.waiting.at(-1);
        action();
        return pause;
    }
}

function begin(access = "free_for_all_fallback") {
    const t = { channels: [], timers: new Timers(), states: [], data: [], notices: [], begins: 0 };
    const cockpit = { channel: options => t.channels[t.channels.push(new Channel(options)) - 1] };
    t.concentrator = new Concentrator(cockpit, "/socket");
    t.concentrator.interface = new Interface("method Attach(vm: string, access: ?Access) -> ()");
    t.session = new Session(t.concentrator, "web", access, {
        state: session => t.states.push(session.state),
        begin: () => t.begins++,
        data: piece => t.data.push(...piece),
        notice: text => t.notices.push(text),
        unheard: n => t.notices.push(`${n} bytes unheard`),
    }, null, t.timers);
    t.session.attach();
    Object.defineProperty(t, "last", { get: () => t.channels.at(-1) });
    return t;
}

const granted = (access = "free_for_all") => ({ parameters: { vm: { id: "id-web" }, granted: access } });
const refused = (error, parameters = {}) => ({ error: `org.vspc.Concentrator.${error}`, parameters });
const settled = () => new Promise(resolve => { setImmediate(resolve); });

/* Attached to a vspcd that was started then */
async function attach(t, startedAt) {
    t.last.reply(granted());
    assert.equal(t.last.call.method, "org.vspc.Concentrator.GetMetrics");
    t.last.reply({ parameters: { startedAt } });
    await settled();
}

test("a console is attached as the user, and what follows the reply is the VM's output", () => {
    const t = begin();
    assert.equal(t.last.options.superuser, undefined);
    assert.deepEqual(t.last.call, { method: "org.vspc.Concentrator.Attach", upgrade: true,
                                    parameters: { vm: "web", access: "free_for_all_fallback" } });
    t.last.say(new Uint8Array([...bytes(`${JSON.stringify(granted())}\0hi`), 255, 255]));
    assert.deepEqual(t.data, [104, 105, 255]);
    assert.equal(t.session.state, "attached");
    assert.equal(t.begins, 1);
});

test("notices are asked for apart from the output, and told so", () => {
    const t = begin();
    t.concentrator.interface.has = () => true;
    t.session.again();
    assert.equal(t.last.call.parameters.noticesApart, true);
    t.last.reply(granted());
    t.channels.at(-2).say(Uint8Array.from([65, 255, 250, 232, 200, ...bytes("VM disconnected"), 255, 240, 66]));
    assert.deepEqual(t.notices, ["VM disconnected"]);
    assert.deepEqual(t.data, [65, 66]);
});

test("keys and breaks are sent in telnet's encoding", () => {
    const t = begin();
    t.last.reply(granted());
    const [console] = t.channels;
    assert.ok(t.session.send(Uint8Array.of(65, 255, 0)));
    assert.ok(t.session.sendBreak());
    assert.deepEqual(console.typed, [65, 255, 255, 0, 255, 243]);
});

test("while watching nothing is sent", () => {
    const t = begin("watch");
    t.last.reply(granted());
    assert.ok(!t.session.send(bytes("x")));
    assert.ok(!t.session.sendBreak());
    assert.deepEqual(t.channels[0].typed, []);
});

test("with read-only access vspcd decides what is heard: the lock of somebody else may have ended", () => {
    const t = begin();
    t.last.reply(granted("read_only"));
    assert.ok(t.session.send(bytes("x")));
    assert.deepEqual(t.channels[0].typed, [...bytes("x")]);
});

test("what vspcd offers is found out before the first attachment, and only before that", async () => {
    const t = begin();
    t.session.close();
    t.concentrator.interface = new Interface();
    t.session.again();
    assert.equal(t.last.call.method, "org.varlink.service.GetInterfaceDescription");
    t.last.reply({ parameters: { description: "method Attach(vm: string, noticesApart: ?bool) -> ()" } });
    await settled();
    assert.equal(t.last.call.parameters.noticesApart, true);
    t.session.again();
    assert.equal(t.last.call.method, "org.vspc.Concentrator.Attach");
});

test("a vspcd that does not say what it offers is attached to all the same", async () => {
    const t = begin();
    t.session.close();
    t.concentrator.interface = new Interface();
    t.session.again();
    t.last.end({});
    await settled();
    assert.deepEqual(t.last.call.parameters, { vm: "web", access: "free_for_all_fallback" });
});

test("where the user is refused, administrative access is tried once", () => {
    for (const options of [{ problem: "access-denied" }, { problem: "terminated", message: "[Errno 13] Permission denied" }]) {
        const t = begin();
        t.last.end(options);
        assert.equal(t.channels.length, 2);
        assert.equal(t.last.options.superuser, "require");
        t.last.end({ problem: "access-denied" });
        assert.equal(t.channels.length, 2);
        assert.equal(t.session.state, "denied");
    }
});

test("with administrative access vspcd is told who it is, if it can be told", () => {
    for (const offers of [false, true]) {
        const t = begin();
        t.concentrator.user = "bob";
        t.concentrator.interface.has = () => offers;
        t.last.end({ problem: "access-denied" });
        assert.equal(t.last.call.parameters.displayName, offers ? "bob" : undefined);
    }
});

test("what the user has no right to is tried with administrative access, and without that vspcd's refusal is shown", () => {
    const t = begin();
    t.last.reply(refused("NotPermitted", { vm: "web", right: "write", who: ["group:dba"] }));
    assert.equal(t.last.options.superuser, "require");
    t.last.end({ problem: "access-denied" });
    assert.equal(t.session.state, "refused");
    assert.deepEqual(t.session.error.parameters.who, ["group:dba"]);
});

test("when administrative access has been turned off, the user is tried again", () => {
    const t = begin();
    t.concentrator.superuser = true;
    t.session.again();
    assert.equal(t.last.options.superuser, "require");
    t.last.end({ problem: "access-denied" });
    assert.equal(t.last.options.superuser, undefined);
    t.last.reply(granted());
    assert.equal(t.session.state, "attached");
    assert.equal(t.concentrator.superuser, false);
});

test("watching is read-only access, or with a vspcd that does not know this, access that is not used", () => {
    const t = begin("watch");
    assert.equal(t.last.call.parameters.access, "read_only");
    t.last.reply({ error: "org.varlink.service.InvalidParameter", parameters: { parameter: "access" } });
    assert.equal(t.last.call.parameters.access, undefined);
    t.last.reply(granted());
    assert.equal(t.session.state, "attached");
    assert.ok(!t.session.mayType());
});

test("as the user vspcd is told no name", () => {
    const t = begin();
    t.concentrator.user = "bob";
    t.concentrator.interface.has = () => true;
    t.session.again();
    assert.ok(!("displayName" in t.last.call.parameters));
});

test("a vspcd that has been restarted is attached to again, in growing pauses, with the same access", async () => {
    const t = begin("write");
    await attach(t, 1);
    t.channels[0].end();
    assert.equal(t.session.state, "waiting");
    t.last.end({ problem: "not-found" }); /* GetMetrics */
    await settled();

    assert.equal(t.timers.elapse(), 100);
    t.last.end({ problem: "not-found" });
    assert.equal(t.timers.elapse(), 200);
    t.last.reply(refused("NoSuchVM", { vm: "id-web" })); /* it has not connected yet */
    assert.equal(t.timers.elapse(), 400);
    assert.deepEqual(t.last.call.parameters, { vm: "id-web", access: "write" });
    await attach(t, 2);
    assert.equal(t.session.state, "attached");
    assert.equal(t.begins, 2);
});

test("pauses do not grow beyond two seconds", async () => {
    const t = begin();
    let most = 0;
    for (let i = 0; i < 12; i++) {
        t.last.end({ problem: "not-found" });
        most = Math.max(most, t.timers.elapse());
    }
    assert.equal(most, 2000);
});

test("disconnected by a vspcd that goes on, it stays disconnected", async () => {
    const t = begin();
    await attach(t, 1);
    t.channels[0].end();
    t.last.reply({ parameters: { startedAt: 1 } });
    await settled();
    assert.equal(t.session.state, "ended");
    assert.equal(t.timers.waiting.length, 0);

    t.session.again();
    t.last.reply(granted());
    assert.equal(t.session.state, "attached");
});

test("a refusal is shown, and not tried again by itself", () => {
    const t = begin("write");
    t.last.reply(refused("AccessDenied", { holders: [] }));
    assert.equal(t.session.state, "refused");
    assert.equal(t.session.error.name, "AccessDenied");
    assert.equal(t.timers.waiting.length, 0);
});

test("when it comes back too early, its own last attachment is given time to end", async () => {
    const t = begin("write");
    await attach(t, 1);
    t.channels[0].end();
    t.last.end();
    await settled();
    t.timers.elapse();
    t.last.reply(refused("AccessDenied", { holders: [] }));
    assert.equal(t.session.state, "waiting");
    for (let i = 0; i < 12 && t.session.state === "waiting"; i++) {
        t.timers.elapse();
        t.last.reply(refused("AccessDenied", { holders: [] }));
    }
    assert.equal(t.session.state, "refused");
});

test("a session that was closed does nothing more", async () => {
    const t = begin();
    await attach(t, 1);
    const { length } = t.states;
    t.session.close();
    t.channels[0].end();
    t.channels[0].say("late");
    assert.deepEqual(t.data, []);
    assert.equal(t.states.length, length + 1);
    assert.equal(t.timers.waiting.length, 0);
});

test("without Cockpit's own connection it waits for a new page", () => {
    const t = begin();
    t.last.end({ problem: "disconnected" });
    assert.equal(t.session.state, "offline");
});

/* What vspcd sends at the beginning of an attachment that can be resumed: the position of output, and how much was taken. */
const beginning = (output, taken) => Uint8Array.of(255, 250, 232, 201, 0, 0, 0, 0, 0, 0, 0, output, 255, 240,
                                                   255, 250, 232, 202, 0, 0, 0, 0, 0, 0, 0, taken, 255, 240);
const GOODBYE = [255, 250, 232, 203, 255, 240];

function resumable() {
    const t = begin("write");
    t.concentrator.interface = new Interface("method Attach(vm: string, resumable: ?bool) -> ()");
    t.session.again();
    assert.equal(t.last.call.parameters.resumable, true);
    t.last.reply({ parameters: { vm: { id: "id-web" }, granted: "write", client: 7, attachment: "secret" } });
    t.last.say(beginning(100, 0));
    return t;
}

test("an attachment whose connection is lost goes on where it was, and nothing is said of a short interruption", () => {
    const t = resumable();
    t.last.say(bytes("output"));
    t.session.send(bytes("typed"));
    t.last.end();
    assert.equal(t.session.state, "resuming");
    assert.ok(t.session.send(bytes(" meanwhile")));
    t.timers.waiting.at(-1).action();
    assert.deepEqual(t.last.call.parameters, { vm: "id-web", resume: "secret", position: 106 });
    t.last.reply({ parameters: { vm: { id: "id-web" }, granted: "write", client: 7, attachment: "secret" } });
    assert.deepEqual(t.last.typed, []);
    t.last.say(beginning(106, 3));
    assert.deepEqual(t.last.typed, [...bytes("ed meanwhile")]);
    assert.equal(t.session.state, "attached");
    assert.equal(t.begins, 2);
    assert.ok(!t.states.includes("waiting"));
});

test("a longer interruption is told, and what is typed waits as before", () => {
    const t = resumable();
    t.last.end();
    t.timers.waiting.find(timer => timer.pause === 1000).action();
    assert.equal(t.session.state, "waiting");
    assert.ok(t.session.send(bytes("x")));
});

test("an attachment that is not kept any more is begun anew, and what was typed meanwhile is told to be lost", () => {
    const t = resumable();
    t.last.end();
    t.session.send(bytes("abc"));
    t.timers.waiting.at(-1).action();
    t.last.reply(refused("NoSuchAttachment", { vm: "id-web" }));
    assert.deepEqual(t.notices, ["3 bytes unheard"]);
    assert.equal(t.last.call.parameters.resumable, true);
    assert.equal(t.last.call.parameters.resume, undefined);
});

test("an attachment that vspcd has said goodbye to has ended", () => {
    const t = resumable();
    t.last.say(Uint8Array.from(GOODBYE));
    t.last.end();
    assert.equal(t.session.state, "ended");
    assert.equal(t.timers.waiting.filter(timer => timer.pause === 100).length, 0);
});

test("vspcd need not keep an attachment that is given up", () => {
    const t = resumable();
    const { last } = t;
    t.session.close();
    assert.deepEqual(last.typed.slice(-6), GOODBYE);
});

test("when an attachment may not be resumed any more, that is a refusal", () => {
    const t = resumable();
    t.last.end();
    t.timers.waiting.at(-1).action();
    t.concentrator.superuser = true;
    t.last.reply(refused("NotPermitted", { vm: "web", right: "write", who: [] }));
    t.last.end({ problem: "access-denied" });
    assert.equal(t.session.state, "refused");
    assert.equal(t.session.attachment, null);
});
