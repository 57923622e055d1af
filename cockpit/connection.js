/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Connections to vspcd by way of Cockpit's bridge: as the user first, and with administrative access where that is refused.
 * cockpit: the object of that name, or in tests one that behaves alike.
 */

import { encodeCall, Interface, Refusal, ReplyReader, SERVICE } from "./varlink.js";

/* What Cockpit calls what went wrong. 337's bridge has Python's errors in the message. */
function isDenied(options) {
    return options.problem === "access-denied" || /\[Errno 13\]/.test(options.message ?? "");
}

/* An error that depends on who it is that asks: with another user's rights it may be granted. */
function isRefusedTo(error) {
    return error.kind === "denied" || error.name === `${SERVICE}.PermissionDenied` || error.name === "NotPermitted";
}

/* May nothing at all be done? */
export function isDeniedAll(error) {
    return error.kind === "denied" || error.name === `${SERVICE}.PermissionDenied` ||
        (error.name === "NotPermitted" && !error.parameters.vm);
}

/* Where nobody listens, what is more than a restart */
function isStopped(options) {
    return options.problem === "not-found" || /\[Errno (2|111)\]/.test(options.message ?? "");
}

/* Why there is no connection. kind: "denied", "stopped", "offline" (no Cockpit any more), or "closed" */
export class Unreachable extends Error {
    constructor(options = {}) {
        super(options.message || options.problem || "closed");
        this.kind = isDenied(options) ? "denied" : isStopped(options) ? "stopped"
            : ["disconnected", "timeout", "no-session", "no-cockpit"].includes(options.problem) ? "offline" : "closed";
    }
}

export class Concentrator {
    constructor(cockpit, socket = "/run/vspc/admin.socket") {
        this.cockpit = cockpit;
        this.socket = socket;
        this.superuser = false; /* connections need it, as was found */
        this.user = undefined; /* who is logged in to Cockpit */
        this.interface = new Interface();
        this.grantsReadOnly = true; /* until it has refused to: older ones do not take requests for read-only access */
    }

    /*
     * Sends a call, and calls handler.reply(reply, connection) for each reply. If reply() returns true, all that comes later
     * goes to handler.data(bytes). handler.closed(error) is called once, unless connection.close() is called before.
     * parameters: a function of whether the connection is root's, or an object.
     */
    open(method, parameters, flags, handler) {
        const connection = { channel: null, closed: false };
        connection.close = () => {
            connection.closed = true;
            connection.channel?.close();
        };
        connection.send = bytes => connection.channel?.valid && connection.channel.send(bytes);
        const tried = new Map(); /* superuser → the error */
        const start = superuser => {
            const channel = this.cockpit.channel({
                payload: "stream", unix: this.socket, binary: true, ...(superuser ? { superuser: "require" } : {}),
            });
            const reader = new ReplyReader();
            let upgraded = false, answered = false, over = false;

            const end = error => {
                if (over)
                    return;
                over = true;
                channel.close();
                if (connection.closed)
                    return;
                tried.set(superuser, error);
                if (!answered && isRefusedTo(error) && !tried.has(!superuser)) {
                    start(!superuser);
                    return;
                }
                connection.closed = true;
                /* What vspcd says to the user tells more than that there is no administrative access. */
                const first = tried.get(false);
                handler.closed(error.kind === "denied" && first?.parameters ? first : error);
            };
            connection.channel = channel;
            channel.addEventListener("message", (event, bytes) => {
                if (connection.closed || over)
                    return;
                if (upgraded) {
                    handler.data(bytes);
                    return;
                }
                try {
                    reader.add(bytes);
                    for (let reply; !upgraded && !connection.closed && (reply = reader.next());) {
                        if (reply.error)
                            throw new Refusal(reply.error, reply.parameters);
                        answered = true;
                        this.superuser = superuser;
                        upgraded = handler.reply(reply, connection) === true;
                    }
                } catch (error) {
                    end(error);
                    return;
                }
                if (upgraded)
                    for (const piece of reader.take())
                        handler.data(piece);
            });
            channel.addEventListener("close", (event, options) => end(new Unreachable(options)));
            channel.send(encodeCall(method, typeof parameters === "function" ? parameters(superuser) : parameters, flags));
        };
        start(this.superuser);
        return connection;
    }

    /* Returns: a promise of the parameters of the only reply. */
    call(method, parameters = {}) {
        return new Promise((resolve, reject) => {
            this.open(method, parameters, {}, {
                reply(reply, connection) {
                    connection.close();
                    resolve(reply.parameters ?? {});
                },
                closed: reject,
            });
        });
    }

    async learn() {
        const { description } = await this.call(`${SERVICE}.GetInterfaceDescription`,
                                                { interface: "org.vspc.Concentrator" });
        this.interface = new Interface(description);
    }

    /* Until then nothing is offered that some vspcd may not have. */
    get isKnown() {
        return this.interface.methods.size > 0;
    }

    has(method, parameter) {
        return this.interface.has(method, parameter);
    }

    /* With administrative access vspcd sees root and has to be told who it is. */
    whoFor(superuser) {
        return superuser && this.user && this.user !== "root" && this.has("Attach", "displayName")
            ? { displayName: this.user } : {};
    }
}

/* Pauses before trying again, which grow */
export class Backoff {
    constructor(first = 100, most = 2000) {
        Object.assign(this, { first, most, pause: first });
    }

    next() {
        const pause = this.pause;
        this.pause = Math.min(pause * 2, this.most);
        return pause;
    }

    reset() {
        this.pause = this.first;
    }
}
