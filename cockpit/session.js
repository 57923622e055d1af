/* SPDX-License-Identifier: LGPL-2.1-or-later */

import { Backoff, isDeniedAll } from "./connection.js";
import { BREAK, escape, TelnetReader } from "./telnet.js";

/* vspcd's notices, if they are asked for apart from the VM's output: subnegotiations of this option that begin with this code */
const NOTICE_OPTION = 232, NOTICE_CODE = 200;

/*
 * An attachment to a VM's console, which is made again when it is lost. state:
 *   "connecting"
 *   "attached"    granted: the access
 *   "waiting"     it will try again; error: why
 *   "refused"     vspcd does not grant the access; error: its refusal
 *   "ended"       vspcd has ended this attachment, but not others: an administrator has done so
 *   "released"    given up by us, for others
 *   "denied", "offline"
 *
 * handler:
 *   state(session)
 *   begin()           what has been shown is void: the scrollback follows
 *   data(bytes)       what the VM sends
 *   notice(text)      what vspcd says; an older vspcd says it among the VM's output
 */
export class Session {
    constructor(concentrator, vm, access, handler, timers = globalThis) {
        Object.assign(this, { concentrator, vm, access, handler, timers });
        this.backoff = new Backoff();
        this.everAttached = false;
        this.generation = 0;
        this.connection = null;
        this.vspcd = null; /* when the vspcd that we are attached to was started */
    }

    setState(state, error = null) {
        this.state = state;
        this.error = error;
        this.handler.state(this);
    }

    parameters(superuser) {
        const { access } = this;
        return {
            vm: this.vm,
            ...(access !== "watch" ? { access } : this.concentrator.grantsReadOnly ? { access: "read_only" } : {}),
            ...this.concentrator.whoFor(superuser),
            ...(this.concentrator.has("Attach", "noticesApart") ? { noticesApart: true } : {}),
            ...(this.force && this.concentrator.has("Attach", "force") ? { force: true } : {}),
        };
    }

    attach() {
        const generation = ++this.generation;
        const isPresent = () => generation === this.generation;
        const telnet = new TelnetReader({
            data: bytes => this.handler.data(bytes),
            answer: bytes => this.connection.send(bytes),
            subnegotiation: (option, bytes) => option === NOTICE_OPTION && bytes[0] === NOTICE_CODE &&
                this.handler.notice(new TextDecoder().decode(bytes.subarray(1))),
        });

        this.timers.clearTimeout(this.timer);
        this.connection?.close();
        if (this.state !== "waiting")
            this.setState("connecting");
        if (this.concentrator.isKnown)
            this.open(telnet, isPresent);
        else
            this.concentrator.learn().catch(() => {}).then(() => isPresent() && this.open(telnet, isPresent));
    }

    open(telnet, isPresent) {
        this.connection = this.concentrator.open("Attach", superuser => this.parameters(superuser), { upgrade: true }, {
            reply: reply => {
                this.attached(reply.parameters);
                return true;
            },
            data: bytes => telnet.feed(bytes),
            closed: error => isPresent() && this.closed(error),
        });
    }

    attached({ vm, granted, client }) {
        this.vm = vm.id;
        this.told = vm; /* what was told of the VM when we attached */
        this.client = client; /* our number among the VM's clients; undefined: an older vspcd does not tell */
        this.granted = granted;
        this.everAttached = true;
        this.force = false;
        this.backoff.reset();
        this.handler.begin();
        this.setState("attached");
        this.startedAt().then(startedAt => {
            this.vspcd = startedAt;
        });
    }

    startedAt() {
        return this.concentrator.call("GetMetrics").then(metrics => metrics.startedAt, () => null);
    }

    closed(error) {
        const wasAttached = this.state === "attached";

        if (error.kind === "offline" || isDeniedAll(error))
            this.setState(error.kind === "offline" ? "offline" : "denied", error);
        else if (this.access === "watch" && error.parameters?.parameter === "access") {
            this.concentrator.grantsReadOnly = false;
            this.attach();
        } else if (error.name === "NoSuchVM" || error.kind)
            wasAttached ? this.findOutWhy(error) : this.retry(error);
        else if (this.everAttached && ["AccessDenied", "ClientLimitReached"].includes(error.name) && this.state === "waiting" &&
                 this.backoff.pause < this.backoff.most)
            this.retry(error); /* perhaps vspcd has not noticed yet that our last attachment has ended */
        else
            this.setState("refused", error);
    }

    /* If vspcd is still the one that we were attached to, it has wanted this. */
    async findOutWhy(error) {
        const { generation, vspcd } = this;
        this.setState("waiting", error);
        const startedAt = await this.startedAt();
        if (generation !== this.generation)
            return;
        if (vspcd !== null && startedAt === vspcd)
            this.setState("ended");
        else
            this.retry(error);
    }

    retry(error) {
        this.setState("waiting", error);
        this.timer = this.timers.setTimeout(() => this.attach(), this.backoff.next());
    }

    /* Once more, now */
    again({ access = this.access, force = false } = {}) {
        this.access = access;
        this.force = force;
        this.backoff.reset();
        this.state = undefined;
        this.attach();
    }

    /* Changes the access: of this attachment, if vspcd can do that, or else by another one. Returns: a promise, whose failure is
     * vspcd's refusal. */
    async change(access, force = false) {
        if (this.state !== "attached" || this.client === undefined || !this.concentrator.has("SetAccess")) {
            this.again({ access, force });
            return;
        }
        const { granted } = await this.concentrator.call("SetAccess", {
            vm: this.vm, client: this.client, access: access === "watch" ? "read_only" : access, ...(force ? { force: true } : {}),
        });
        this.access = access;
        this.granted = granted;
        this.setState("attached");
    }

    close(state = "released") {
        this.generation++;
        this.timers.clearTimeout(this.timer);
        this.connection?.close();
        this.setState(state);
    }

    /* Whether what is typed goes to vspcd. Read-only access is vspcd's business: it ends when the lock of somebody else does. */
    mayType() {
        return this.state === "attached" && this.access !== "watch";
    }

    /* Returns: whether the bytes were sent. */
    send(bytes) {
        if (!this.mayType())
            return false;
        this.connection.send(escape(bytes));
        return true;
    }

    sendBreak() {
        if (!this.mayType())
            return false;
        this.connection.send(BREAK);
        return true;
    }
}
