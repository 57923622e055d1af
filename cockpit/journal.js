/* SPDX-License-Identifier: LGPL-2.1-or-later */

import { T } from "./texts.js";
import { button, el } from "./ui.js";

/* What a VM has said, from the journal: the last lines, and on request those that come. */

const LINES = 500;
export const LINES_KEPT = 2000;
export const RECEIVED_MAX = 4 << 20; /* bytes of JSON: vspc-logger writes faster than anybody reads */

/* Only these units write what consoles say, and journald says which unit an entry is of: others could forge entries. */
export function journalMatches(vm) {
    return ["_SYSTEMD_UNIT=vspc.service", "_SYSTEMD_UNIT=vspc-logger.service", `VSPC_VM_UUID=${vm.uuid}`,
            ...(vm.id === vm.uuid ? [] : [`VSPC_URI=${vm.uri}`])];
}

/* An entry's text: journalctl writes what is no UTF-8 as an array of bytes. */
export function entryText(entry) {
    const message = entry.MESSAGE;
    const text = Array.isArray(message) ? new TextDecoder().decode(Uint8Array.from(message)) : String(message ?? "");
    /* eslint-disable-next-line no-control-regex */
    return text.replace(/\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-_])/g, "").replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "");
}

/* Takes lines out of text that comes in pieces. */
export class LineReader {
    constructor() {
        this.rest = "";
    }

    feed(text) {
        const lines = (this.rest + text).split("\n");
        this.rest = lines.pop();
        return lines;
    }
}

export class JournalView {
    constructor(cockpit, vm, onclose) {
        this.cockpit = cockpit;
        this.vm = vm;
        this.filter = el("input", { type: "search", placeholder: T.logFilter, "aria-label": T.logFilter,
                                    oninput: () => this.applyFilter() });
        this.follow = el("input", { type: "checkbox", onchange: () => this.load() });
        this.note = el("p", { class: "log-note", role: "status" });
        this.lines = el("ol", { class: "log-lines", tabindex: "0", role: "log", "aria-label": T.logLabel });
        this.node = el("section", { class: "log", "aria-label": T.log },
            el("div", { class: "toolbar" }, el("h2", {}, T.log), this.filter,
               el("label", { class: "check" }, this.follow, T.logFollow),
               button(T.logRefresh, () => this.load(), { class: "button link" }),
               button(T.logOpen, () => this.openLogs(), { class: "button link" }),
               button(T.close, onclose, { class: "button link" })),
            this.note, this.lines);
        this.load();
    }

    openLogs() {
        this.cockpit.jump(`/system/logs#/?priority=debug&tag=vspc-console&VSPC_VM_UUID=${this.vm.uuid}`);
    }

    load() {
        this.stop();
        this.received = 0;
        this.waiting = [];
        this.note.textContent = T.logLoading;
        const reader = new LineReader();
        const command = ["journalctl", "--namespace=+vspc", "--quiet", "-t", "vspc-console", "-o", "json", "-n", String(LINES),
                         ...(this.follow.checked ? ["--follow"] : []), ...journalMatches(this.vm)];
        const process = this.cockpit.spawn(command, { superuser: "try", err: "message" });
        let first = true;

        this.process = process;
        process.stream(text => {
            if (process !== this.process)
                return;
            if (first)
                this.lines.replaceChildren();
            first = false;
            this.received += text.length;
            this.add(reader.feed(text));
            if (this.received > RECEIVED_MAX) {
                this.stop();
                this.follow.checked = false;
                this.note.textContent = T.logCapped(this.received);
            }
        });
        process.then(() => {
            if (process !== this.process)
                return;
            if (first)
                this.lines.replaceChildren();
            this.note.textContent = first ? T.logEmpty : "";
        }, error => {
            if (process === this.process)
                this.note.textContent = T.logFailed(error.message || error.problem);
        });
    }

    /* Once a frame, however many come */
    add(texts) {
        if (this.waiting.length === 0)
            requestAnimationFrame(() => this.draw(this.waiting.splice(0)));
        this.waiting.push(...texts);
    }

    draw(texts) {
        const atEnd = this.lines.scrollTop + this.lines.clientHeight >= this.lines.scrollHeight - 8;
        const items = texts.slice(-LINES_KEPT).flatMap(text => {
            try {
                const entry = JSON.parse(text);
                const time = new Date(Number(entry.__REALTIME_TIMESTAMP) / 1000).toLocaleString("sv-SE");
                const item = el("li", {}, el("time", {}, time), el("span", {}, entryText(entry)));
                item.hidden = !this.matches(item);
                return [item];
            } catch {
                return [];
            }
        });
        this.lines.append(...items);
        if (this.lines.childElementCount > 0 && this.note.textContent === T.logLoading)
            this.note.textContent = "";
        while (this.lines.childElementCount > LINES_KEPT)
            this.lines.firstChild.remove();
        if (atEnd)
            this.lines.scrollTop = this.lines.scrollHeight;
    }

    matches(item) {
        return item.lastChild.textContent.toLowerCase().includes(this.filter.value.toLowerCase());
    }

    applyFilter() {
        let n = 0;
        for (const item of this.lines.children) {
            item.hidden = !this.matches(item);
            n += item.hidden ? 0 : 1;
        }
        if (this.lines.childElementCount > 0)
            this.note.textContent = n === 0 ? T.logNoMatch : "";
    }

    stop() {
        const process = this.process;
        this.process = null;
        process?.close("cancelled");
    }
}
