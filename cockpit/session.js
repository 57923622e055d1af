/* SPDX-License-Identifier: LGPL-2.1-or-later */

import { Attachment } from "./attachment.js";
import { Backoff, isDeniedAll } from "./connection.js";
import { BREAK, escape, OPTION, TelnetReader } from "./telnet.js";

/* vspcd's notices, if they are asked for apart from the VM's output: subnegotiations that begin with this code */
const NOTICE = 200;

/* So long an interruption is not worth mentioning. */
export const QUIET_MSEC = 1000;

/*
 * A console that one is attached to, and again when that is lost: by the same attachment, if vspcd keeps it. state:
 *   "connecting"
 *   "attached"    granted: the access
 *   "resuming"    it has just been lost, and is about to go on
 *   "waiting"     it will try again; error: why
 *   "refused"     vspcd does not grant the access; error: its refusal
 *   "ended"       vspcd has ended this attachment, but not others: an administrator has done so
 *   "released"    given up by us, for others
 *   "denied", "offline"
 *
 * handler:
 *   state(session)
 *   begin(resumed)    there is another connection. Unless the attachment was resumed, what has been shown is void: the
 *                     scrollback follows
 *   unheard(n)        so many bytes that were typed have gone nowhere
 *   data(bytes)       what the VM sends
 *   notice(text)      what vspcd says; an older vspcd says it among the VM's output
 */
export class Session {
    /* attachment: to be resumed; vspcd keeps it when its connection is lost */
    constructor(concentrator, vm, access, handler, attachment = null, timers = globalThis) {
        Object.assign(this, { concentrator, vm, access, handler, attachment, timers });
        this.backoff = new Backoff();
        this.everAttached = attachment !== null;
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
        const { access, attachment } = this;
        if (attachment)
            return { vm: this.vm, resume: attachment.token, position: attachment.position,
                     ...this.concentrator.whoFor(superuser) };
        return {
            vm: this.vm,
            ...(access !== "watch" ? { access } : this.concentrator.grantsReadOnly ? { access: "read_only" } : {}),
            ...this.concentrator.whoFor(superuser),
            ...(this.concentrator.has("Attach", "noticesApart") ? { noticesApart: true } : {}),
            ...(this.concentrator.has("Attach", "resumable") ? { resumable: true } : {}),
            ...(this.force && this.concentrator.has("Attach", "force") ? { force: true } : {}),
        };
    }

    attach() {
        const generation = ++this.generation;
        const isPresent = () => generation === this.generation;
        const telnet = new TelnetReader({
            data: bytes => this.received(bytes),
            answer: bytes => this.connection.send(bytes),
            subnegotiation: (option, bytes) => option === OPTION && this.hear(bytes[0], bytes.slice(1)),
        });

        this.timers.clearTimeout(this.timer);
        this.connection?.close();
        if (!["resuming", "waiting"].includes(this.state))
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

    received(bytes) {
        this.handler.data(bytes);
        const answer = this.attachment?.received(bytes.length);
        if (answer)
            this.connection.send(answer);
    }

    hear(code, bytes) {
        if (code === NOTICE)
            this.handler.notice(new TextDecoder().decode(bytes));
        else
            for (const answer of this.attachment?.hear(code, bytes) ?? [])
                this.connection.send(answer);
    }

    attached({ vm, granted, client, attachment }) {
        const resumed = this.attachment !== null;
        if (!resumed && attachment)
            this.attachment = new Attachment(attachment);
        this.timers.clearTimeout(this.quiet);
        this.vm = vm.id;
        this.told = vm; /* what was told of the VM when we attached */
        this.client = client; /* our number among the VM's clients; undefined: an older vspcd does not tell */
        this.granted = granted;
        this.everAttached = true;
        this.force = false;
        this.backoff.reset();
        this.handler.begin(resumed);
        this.setState("attached");
        if (this.attachment)
            return;
        this.startedAt().then(startedAt => {
            this.vspcd = startedAt;
        });
    }

    startedAt() {
        return this.concentrator.call("GetMetrics").then(metrics => metrics.startedAt, () => null);
    }

    closed(error) {
        const wasAttached = this.state === "attached";

        this.attachment?.connectionLost();
        if (error.kind === "offline" || isDeniedAll(error))
            this.setState(error.kind === "offline" ? "offline" : "denied", error);
        else if (this.attachment?.isOver) {
            this.forgetAttachment();
            this.setState("ended");
        } else if (error.name === "NoSuchAttachment") {
            this.forgetAttachment();
            this.attach();
        } else if (this.attachment && (error.kind || error.name === "NoSuchVM"))
            this.resume(error);
        else if (this.access === "watch" && error.parameters?.parameter === "access") {
            this.concentrator.grantsReadOnly = false;
            this.attach();
        } else if (error.name === "NoSuchVM" || error.kind)
            wasAttached ? this.findOutWhy(error) : this.retry(error);
        else if (this.everAttached && ["AccessDenied", "ClientLimitReached"].includes(error.name) && this.state === "waiting" &&
                 this.backoff.pause < this.backoff.most)
            this.retry(error); /* perhaps vspcd has not noticed yet that our last attachment has ended */
        else {
            this.forgetAttachment();
            this.setState("refused", error);
        }
    }

    resume(error) {
        if (this.state === "attached") {
            this.quiet = this.timers.setTimeout(() => this.setState("waiting", error), QUIET_MSEC);
            this.setState("resuming", error);
        }
        this.timer = this.timers.setTimeout(() => this.attach(), this.backoff.next());
    }

    forgetAttachment() {
        this.timers.clearTimeout(this.quiet);
        if (this.attachment?.size > 0)
            this.handler.unheard(this.attachment.size);
        this.attachment = null;
    }

    /* Tells vspcd that it need not keep the attachment. */
    leave() {
        if (this.attachment)
            this.connection?.send(this.attachment.goodbye);
        this.forgetAttachment();
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
        this.leave();
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
        this.leave();
        this.timers.clearTimeout(this.timer);
        this.connection?.close();
        this.setState(state);
    }

    /* Whether what is typed goes to vspcd, or waits until an attachment is resumed. Read-only access is vspcd's business: it
     * ends when the lock of somebody else does. */
    mayType() {
        return this.access !== "watch" &&
            (this.state === "attached" || (this.attachment !== null && ["resuming", "waiting"].includes(this.state)));
    }

    /* bytes: or BREAK. Returns: whether they were sent, or will be. */
    send(bytes) {
        if (!this.mayType())
            return false;
        const encoded = this.attachment ? this.attachment.type(bytes) : bytes === BREAK ? BREAK : escape(bytes);
        if (encoded?.length > 0)
            this.connection.send(encoded);
        return encoded !== null;
    }

    sendBreak() {
        return this.send(BREAK);
    }
}
