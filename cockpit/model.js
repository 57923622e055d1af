/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The VMs that Monitor tells of, filtered and sorted. Knows nothing of the page. */

/* So that plain comparison finds web2 before web10 */
export function naturalKey(text) {
    return text.toLowerCase().replace(/\d+/g, digits => digits.replace(/^0+(?=\d)/, "").padStart(12, "0"));
}

export function stateOf(vm) {
    if (vm.vmotion === "begun" || vm.vmotion === "accepted")
        return "migrating";
    if (vm.problem)
        return "shared";
    return vm.connected ? "connected" : "disconnected";
}

/* An address without its port: what a host is called */
export function hostOf(vm) {
    return (vm.peer ?? "").replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

/* "root (pid 4711)": the process is of no interest here. */
export function clientName(client) {
    return client.peer.replace(/ \(pid \d+\)$/, "");
}

export function clientNames(vm) {
    const names = [...new Set((vm.clients ?? []).map(clientName))];
    const more = vm.clientCount - (vm.clients ?? []).length;
    return names.join(", ") + (more > 0 ? ` +${more}` : "");
}

const sortKeys = {
    name: vm => naturalKey(vm.name),
    state: vm => ["shared", "migrating", "connected", "disconnected"].indexOf(stateOf(vm)),
    since: vm => -vm.since,
    lastOutput: vm => -(vm.lastOutput ?? 0),
    clients: vm => -vm.clientCount,
    port: vm => vm.port ?? 65536,
    host: vm => naturalKey(hostOf(vm)),
    serial: vm => naturalKey(vm.serial ?? "~"),
    tls: vm => (vm.tls ? vm.tls.version : "~"),
    uuid: vm => vm.id,
};

class Row {
    constructor(vm, sort) {
        this.vm = vm;
        this.text = [vm.name, vm.id, vm.uri, vm.peer, vm.port, vm.serial, vm.tls?.version, stateOf(vm), clientNames(vm)]
            .join("\n").toLowerCase();
        this.name = sortKeys.name(vm);
        this.sortBy(sort);
    }

    sortBy(sort) {
        this.key = sortKeys[sort](this.vm);
    }
}

export class VmModel {
    constructor(onchange = () => {}) {
        this.onchange = onchange;
        this.rows = new Map(); /* id → Row */
        this.stale = new Set(); /* ids of before the present state that is being told */
        this.words = [];
        this.sort = "name";
        this.descending = false;
        this.complete = false; /* all that are present have been told */
        this.order = []; /* all rows, sorted when they were last looked at */
        this.view = null;
    }

    changed() {
        this.view = null;
        this.onchange();
    }

    /* The present state is told anew: VMs that are not in it are no more. */
    begin() {
        this.stale = new Set(this.rows.keys());
        this.complete = false;
        this.changed();
    }

    /* A reply to Monitor */
    apply({ event, vm }) {
        if (event === "ready") {
            for (const id of this.stale)
                this.remove(id);
            this.stale.clear();
            this.complete = true;
        } else if (event === "skipped")
            this.begin();
        else if (event === "removed")
            this.remove(vm.id);
        else if (vm)
            this.put(vm);
        this.changed();
    }

    put(vm) {
        const old = this.rows.get(vm.id);
        const row = new Row(vm, this.sort);
        this.stale.delete(vm.id);
        if (old)
            Object.assign(old, row); /* it keeps its place in the order, which is nearly right */
        else {
            this.rows.set(vm.id, row);
            this.order.push(row);
        }
    }

    remove(id) {
        const row = this.rows.get(id);
        if (row) {
            row.removed = true;
            this.rows.delete(id);
        }
    }

    get(id) {
        return this.rows.get(id)?.vm;
    }

    /* The VM that a link means: an id, or a name that only one has */
    find(what) {
        if (this.rows.has(what))
            return this.get(what);
        const named = [...this.rows.values()].filter(row => row.vm.name === what);
        return named.length === 1 ? named[0].vm : undefined;
    }

    get size() {
        return this.rows.size;
    }

    setFilter(text) {
        this.words = text.toLowerCase().split(/\s+/).filter(word => word);
        this.changed();
    }

    setSort(sort, descending) {
        if (sort !== this.sort)
            for (const row of this.rows.values())
                row.sortBy(sort);
        this.sort = sort;
        this.descending = descending;
        this.changed();
    }

    /* Returns: the VMs that match, in order. */
    list() {
        if (this.view)
            return this.view;

        const sign = this.descending ? -1 : 1;
        this.order = this.order.filter(row => !row.removed);
        /* Equal ones by name, then by id, so that rows do not jump */
        this.order.sort((a, b) => {
            if (a.key !== b.key)
                return a.key < b.key ? -sign : sign;
            if (a.name !== b.name)
                return a.name < b.name ? -1 : 1;
            return a.vm.id < b.vm.id ? -1 : 1;
        });
        this.view = this.order.filter(row => this.words.every(word => row.text.includes(word))).map(row => row.vm);
        return this.view;
    }
}
