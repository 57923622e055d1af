/* SPDX-License-Identifier: LGPL-2.1-or-later */

import { Backoff, isDeniedAll } from "./connection.js";

/*
 * Keeps a model up to date by Monitor, and connects again whenever that ends. state: "connecting", "live", "waiting" (it will
 * try again), or "denied"; error: why it is neither connecting nor live.
 */
export class Feed {
    constructor(concentrator, model, onstate, timers = globalThis) {
        Object.assign(this, { concentrator, model, onstate, timers });
        this.backoff = new Backoff();
        this.listeners = new Set();
        this.state = "connecting";
        this.error = null;
        this.seen = false; /* it has been live once */
    }

    setState(state, error = null) {
        this.state = state;
        this.error = error;
        this.onstate(this);
    }

    start() {
        this.timers.clearTimeout(this.timer);
        this.connection?.close();
        if (!this.seen)
            this.setState("connecting");

        this.connection = this.concentrator.open("Monitor", {}, { more: true }, {
            reply: reply => this.take(reply.parameters),
            closed: error => this.closed(error),
        });
        this.begun = false;
    }

    take(event) {
        if (!this.begun) {
            this.begun = true;
            this.model.begin();
            this.concentrator.learn().catch(() => {}).then(() => this.onstate(this));
        }
        this.model.apply(event);
        if (event.event === "ready") {
            this.seen = true;
            this.backoff.reset();
            this.setState("live");
        }
        for (const listener of this.listeners)
            listener(event);
    }

    closed(error) {
        if (error.kind === "offline" || isDeniedAll(error)) {
            this.setState(error.kind === "offline" ? "offline" : "denied", error);
            return;
        }
        this.setState("waiting", error);
        this.timer = this.timers.setTimeout(() => this.start(), this.backoff.next());
    }
}
