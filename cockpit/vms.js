/* SPDX-License-Identifier: LGPL-2.1-or-later */

import { clientNames, hostOf, stateOf } from "./model.js";
import { ago, moment, T } from "./texts.js";
import { button, el, emptyState, icon } from "./ui.js";

/*
 * The table of all VMs. Only the rows that can be seen exist, and they are filled with others as one scrolls; what has not
 * changed is left as it is.
 */

const ROW_HEIGHT = 40;
const SPARE_ROWS = 6; /* above and below those that can be seen */

const columns = [
    { key: "name", text: vm => vm.name, link: true },
    { key: "state", text: vm => T.states[stateOf(vm)][0], state: true, title: vm => vm.problem },
    { key: "since", text: vm => ago(vm.since), title: vm => moment(vm.since) },
    { key: "lastOutput", text: vm => (vm.lastOutput ? ago(vm.lastOutput) : ""), title: vm => vm.lastOutput && moment(vm.lastOutput) },
    { key: "clients", text: vm => clientNames(vm), title: vm => clientNames(vm) },
    { key: "port", text: vm => String(vm.port ?? "") },
    { key: "host", text: vm => hostOf(vm), title: vm => vm.peer },
    { key: "serial", text: vm => vm.serial ?? "" },
    { key: "tls", text: vm => (vm.tls ? vm.tls.version.replace(/^TLS ?/, "") : T.noTls), title: vm => vm.tls?.cipher },
    { key: "uuid", text: vm => vm.id, title: vm => vm.id },
];

export function consoleHref(vm) {
    return `#/vm/${encodeURIComponent(vm.id)}`;
}

/* Writes only what is different: writing costs layout even if nothing changes. */
function setText(node, text) {
    if (node.textContent !== text)
        node.textContent = text;
}

function setAttribute(node, name, value) {
    if (!value)
        node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value))
        node.setAttribute(name, value);
}

class RowView {
    constructor(table) {
        this.table = table;
        this.cells = columns.map(column => {
            const cell = el("div", { role: "gridcell", class: `cell ${column.key}` });
            if (column.link)
                cell.append(el("a", { tabindex: "-1" }));
            if (column.state)
                cell.append(el("span", { class: "state-icon" }), el("span"));
            return cell;
        });
        this.node = el("div", { role: "row", class: "row", onclick: event => this.clicked(event) }, ...this.cells);
    }

    clicked(event) {
        if (event.target.closest("a") || getSelection()?.toString())
            return;
        location.hash = consoleHref(this.vm);
    }

    show(vm, index) {
        this.vm = vm;
        this.index = index;
        if (this.top !== index) {
            this.top = index;
            this.node.style.transform = `translateY(${index * ROW_HEIGHT}px)`;
            setAttribute(this.node, "aria-rowindex", index + 2);
        }
        columns.forEach((column, i) => {
            const cell = this.cells[i], text = column.text(vm);
            if (column.link) {
                const link = cell.firstChild;
                setText(link, text || vm.id);
                setAttribute(link, "href", consoleHref(vm));
                setAttribute(link, "tabindex", index === this.table.current ? "0" : "-1");
            } else if (column.state) {
                const state = stateOf(vm);
                if (this.state !== state) {
                    this.state = state;
                    cell.firstChild.replaceChildren(icon(T.states[state][1], T.states[state][2]));
                }
                setText(cell.lastChild, text);
            } else
                setText(cell, text);
            setAttribute(cell, "title", column.title?.(vm));
        });
        this.node.hidden = false;
    }
}

export class VmTable {
    constructor(model, feed) {
        this.model = model;
        this.feed = feed;
        this.current = 0; /* the row that the Tab key goes to */
        this.rows = [];
        this.scheduled = false;

        this.filter = el("input", { type: "search", class: "filter", placeholder: T.filter, "aria-label": T.filter,
                                    spellcheck: "false", oninput: () => this.filterChanged() });
        this.count = el("span", { class: "count", role: "status" });
        this.headers = columns.map(column => el("div", { role: "columnheader", class: `cell ${column.key}` },
            el("button", { type: "button", title: T.sortBy(T.columns[column.key]), onclick: () => this.sortBy(column.key) },
               T.columns[column.key], icon("up", "sort"))));
        this.head = el("div", { role: "row", class: "row head", "aria-rowindex": "1" }, ...this.headers);
        this.space = el("div", { class: "space", role: "rowgroup" });
        this.scroller = el("div", { class: "scroller", onscroll: () => this.schedule() },
                           el("div", { role: "rowgroup", class: "head-group" }, this.head), this.space);
        this.grid = el("div", { class: "grid", role: "grid", "aria-label": T.title, onkeydown: event => this.key(event) },
                       this.scroller);
        this.nothing = el("div", { class: "nothing" });
        this.node = el("div", { class: "page vms" },
                       el("header", { class: "page-header" }, el("h1", {}, T.title),
                          el("div", { class: "toolbar" }, this.filter, this.count)),
                       el("div", { class: "card" }, this.grid, this.nothing));

        this.resizes = new ResizeObserver(() => this.schedule());
        this.resizes.observe(this.scroller);
        this.clock = setInterval(() => this.schedule(), 30000);
        this.filter.value = sessionStorage.getItem("vspc:filter") ?? "";
        this.model.setFilter(this.filter.value);
        this.showSort();
        this.schedule();
    }

    opened() {
        this.filter.focus({ preventScroll: true });
        this.scroller.scrollTop = Number(sessionStorage.getItem("vspc:scroll") ?? 0);
    }

    destroy() {
        sessionStorage.setItem("vspc:scroll", String(this.scroller.scrollTop));
        this.resizes.disconnect();
        clearInterval(this.clock);
        this.destroyed = true;
    }

    filterChanged() {
        sessionStorage.setItem("vspc:filter", this.filter.value);
        this.current = 0;
        this.scroller.scrollTop = 0;
        this.model.setFilter(this.filter.value);
    }

    sortBy(key) {
        this.model.setSort(key, key === this.model.sort && !this.model.descending);
        this.showSort();
    }

    showSort() {
        columns.forEach((column, i) => {
            const sorted = column.key === this.model.sort;
            setAttribute(this.headers[i], "aria-sort", sorted && (this.model.descending ? "descending" : "ascending"));
        });
    }

    /* However much happens, the table is drawn once a frame. */
    schedule() {
        if (this.scheduled || this.destroyed)
            return;
        this.scheduled = true;
        requestAnimationFrame(() => {
            this.scheduled = false;
            if (!this.destroyed)
                this.draw();
        });
    }

    draw() {
        const vms = this.model.list();
        this.grid.hidden = vms.length === 0; /* it has no height otherwise */
        const height = this.scroller.clientHeight - ROW_HEIGHT, top = this.scroller.scrollTop;
        const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - SPARE_ROWS);
        const last = Math.min(vms.length, Math.ceil((top + height) / ROW_HEIGHT) + SPARE_ROWS);

        this.current = Math.max(0, Math.min(this.current, vms.length - 1));
        this.space.style.height = `${vms.length * ROW_HEIGHT}px`;
        setAttribute(this.grid, "aria-rowcount", vms.length + 1);
        this.grid.classList.toggle("has-last-output", vms.length > 0 && "lastOutput" in vms[0]);

        /* A VM stays in the row that it is in, so that focus and selection survive. */
        const free = [], wanted = new Map(vms.slice(first, last).map((vm, i) => [vm.id, first + i]));
        for (const row of this.rows) {
            const index = row.vm ? wanted.get(row.vm.id) : undefined;
            if (index === undefined)
                free.push(row);
            else {
                row.show(vms[index], index);
                wanted.delete(row.vm.id);
            }
        }
        for (const index of wanted.values()) {
            let row = free.pop();
            if (!row) {
                row = new RowView(this);
                this.rows.push(row);
                this.space.append(row.node);
            }
            row.show(vms[index], index);
        }
        for (const row of free) {
            row.vm = null;
            row.node.hidden = true;
        }
        setText(this.count, this.model.complete || this.model.size > 0 ? T.vmCount(vms.length, this.model.size) : "");
        this.drawNothing(vms.length);
    }

    drawNothing(n) {
        const what = n > 0 ? "rows" : this.model.size > 0 ? "no match" : this.feed.state;
        if (what === this.shownNothing)
            return;
        this.shownNothing = what;
        this.nothing.replaceChildren(...{
            "no match": () => [emptyState({
                picture: "search", title: T.noMatch, text: T.noMatchHelp,
                actions: [button(T.clearFilter, () => {
                    this.filter.value = "";
                    this.filterChanged();
                    this.filter.focus();
                }, { class: "button link" })],
            })],
            live: () => {
                const [how, address, then] = T.noVmsHelp(location.hostname);
                return [emptyState({ picture: "serial", title: T.noVms,
                                     text: [how, el("p", {}, el("code", {}, address)), then] })];
            },
            connecting: () => [emptyState({ title: T.connecting })],
        }[what]?.() ?? []);
    }

    focusRow(index) {
        const n = this.model.list().length;
        this.current = Math.max(0, Math.min(index, n - 1));
        const top = this.current * ROW_HEIGHT, height = this.scroller.clientHeight - ROW_HEIGHT;
        if (top < this.scroller.scrollTop)
            this.scroller.scrollTop = top;
        else if (top + ROW_HEIGHT > this.scroller.scrollTop + height)
            this.scroller.scrollTop = top + ROW_HEIGHT - height;
        this.draw();
        this.rows.find(row => row.vm && row.index === this.current)?.cells[0].firstChild.focus({ preventScroll: true });
    }

    key(event) {
        if (!event.target.closest(".space"))
            return;
        const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW_HEIGHT) - 2);
        const to = { ArrowDown: this.current + 1, ArrowUp: this.current - 1, PageDown: this.current + page,
                     PageUp: this.current - page, Home: 0, End: Infinity }[event.key];
        if (to === undefined)
            return;
        event.preventDefault();
        this.focusRow(to);
    }
}
