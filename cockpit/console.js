/* SPDX-License-Identifier: LGPL-2.1-or-later */

import { askBytes, askClear, askDisconnect, askForget, askPaste, askSay, askStty, askSysRq } from "./acts.js";
import { clientName, stateOf } from "./model.js";
import { JournalView } from "./journal.js";
import { saveConsole, takeConsole } from "./saved.js";
import { Session } from "./session.js";
import { ConsoleTerminal, PASTE_MAX } from "./terminal.js";
import { explain, T } from "./texts.js";
import { ask, banner, button, el, emptyState, icon, menuButton } from "./ui.js";

/* For how long others wait for somebody whose page is hidden */
const HIDDEN_MAX_MINUTES = 10;

const NOTICES_KEPT = 50;

function save(name, type, content) {
    const url = URL.createObjectURL(new Blob([content], { type }));
    el("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
}

/* The page of a console. context: { cockpit, concentrator, model, feed, pongs } */
export class ConsolePage {
    constructor(context, what) {
        Object.assign(this, context);
        this.what = what; /* what the link says: an id or a name */
        this.node = el("div", { class: "page console" });
        this.known = this.model.find(what);
        this.heading = el("h1", {});
        this.stateLabel = el("span", { class: "state" });
        this.details = el("span", { class: "details" });
        this.toolbar = el("div", { class: "toolbar", role: "toolbar", "aria-label": T.menu });
        this.banners = el("div", { class: "banners", role: "status" });
        this.noticeLine = el("div", { class: "notices", role: "log", "aria-live": "polite" });
        this.screen = el("div", { class: "screen" });
        this.cover = el("div", { class: "cover", hidden: true });
        this.below = el("div", { class: "below" });
        this.clients = el("div", { class: "clients", "aria-label": T.others });
        this.node.append(
            el("header", { class: "page-header" },
               el("nav", { class: "breadcrumb" }, el("a", { href: "#/" }, T.back)),
               el("div", { class: "title-line" }, this.heading, this.stateLabel, this.details), this.toolbar),
            this.banners, el("div", { class: "terminal-area" }, this.searchBar(), this.screen, this.cover), this.below,
            el("footer", {}, this.clients, this.noticeLine, el("span", { class: "hint" }, T.leaveHint)));
        this.listener = event => this.news(event);
        this.feed.listeners.add(this.listener);
        this.visibility = () => this.hiddenChanged();
        this.cockpit.addEventListener("visibilitychange", this.visibility);
        this.leaving = () => saveConsole(sessionStorage, this.what, this.session, this.terminal.tail.bytes());
        window.addEventListener("pagehide", this.leaving);
    }

    opened() {
        this.terminal = new ConsoleTerminal(this.screen, {
            keys: bytes => this.typed(bytes),
            paste: text => this.paste(text),
            dropped: n => this.notice(T.notices.dropped(n)),
            drained: () => this.drained(),
            leave: () => this.accessMenu.firstChild.focus(),
            search: () => this.openSearch(),
        }, T.terminalLabel(this.known?.name ?? this.what));
        this.terminal.searcher.onDidChangeResults(({ resultIndex, resultCount }) => {
            this.searchCount.textContent = this.searchInput.value ? T.searchResults(resultIndex, resultCount) : "";
        });
        const saved = takeConsole(sessionStorage, this.what);
        if (saved) {
            this.terminal.write(saved.tail);
            this.begun = true;
        }
        this.session = new Session(this.concentrator, saved?.vm ?? this.known?.id ?? this.what,
                                   saved?.access ?? "free_for_all_fallback", {
            state: () => this.sessionChanged(),
            begin: resumed => this.begin(resumed),
            unheard: n => this.notice(T.notices.unheard(n)),
            data: bytes => this.terminal.write(bytes),
            notice: text => this.notice(text),
        }, saved?.attachment);
        this.fillToolbar();
        this.update();
        this.session.attach();
        this.terminal.term.focus();
    }

    destroy() {
        this.destroyed = true;
        clearTimeout(this.hiddenTimer);
        this.feed.listeners.delete(this.listener);
        this.cockpit.removeEventListener("visibilitychange", this.visibility);
        window.removeEventListener("pagehide", this.leaving);
        this.journal?.stop();
        this.forgetChannel();
        this.session?.close();
        this.terminal?.destroy();
    }

    /* As Monitor has it, or until Monitor has told of all VMs, as Attach had it: the page is to be used at once. */
    get vm() {
        return this.model.get(this.session?.vm) ?? this.model.find(this.what) ??
            (this.model.complete ? undefined : this.session?.told);
    }

    /* The toolbar */

    fillToolbar() {
        this.accessMenu = menuButton(T.accessLabel, () => Object.entries(T.accesses).map(([access, [label, hint]]) => ({
            label, hint, checked: this.session.access === access, action: () => {
                this.change(access);
                this.terminal.term.focus();
            },
        })));
        const focused = action => () => {
            action();
            if (!document.querySelector("dialog"))
                this.terminal.term.focus();
        };
        const item = (label, action, more = {}) => ({ label, action: focused(action), ...more });
        const send = bytes => this.typed(bytes);

        this.toolbar.append(
            this.accessMenu,
            menuButton(T.send, () => [
                item(T.sendBreak, () => this.sendBreak(), { hint: T.sendBreakHint }),
                item(T.sysRq, () => askSysRq(() => this.sendBreak(), send)),
                item(T.typeStty, () => askStty(this.terminal.term.cols, this.terminal.term.rows, send)),
                item(T.sendBytes, () => askBytes(send)),
                null,
                ...T.keys.map(([label, text]) => item(label, () => send(new TextEncoder().encode(text)))),
            ]),
            menuButton(T.edit, () => [
                item(T.copy, () => this.notice(this.terminal.copy() ? T.notices.copied : T.notices.nothingSelected),
                     { hint: T.copyHint }),
                item(T.paste, () => this.pasteFromClipboard(), { hint: T.pasteHint }),
                item(T.selectAll, () => this.terminal.term.selectAll()),
                { label: T.search, hint: T.searchHint, action: () => this.openSearch() },
                null,
                item(T.clearTerminal, () => this.terminal.clear()),
                item(T.download, () => save(`${this.fileName()}.txt`, "text/plain", this.terminal.text())),
                item(T.downloadRaw, () => save(`${this.fileName()}.bin`, "application/octet-stream", this.terminal.tail.bytes()),
                     { hint: T.downloadRawHint(this.terminal.tail.bytes().length) }),
            ]),
            menuButton(T.view, () => [
                item(T.fontLarger, () => this.terminal.changeFont(1)),
                item(T.fontSmaller, () => this.terminal.changeFont(-1)),
                null,
                item(T.fit, () => this.terminal.setSize("fit"), { checked: this.terminal.size === "fit" }),
                item(T.fixed, () => this.terminal.setSize("80x24"), { checked: this.terminal.size === "80x24" }),
                null,
                item(T.screenReader, () => {
                    this.terminal.screenReader = !this.terminal.screenReader;
                }, { checked: this.terminal.screenReader }),
                { label: T.openTab, action: () => this.openTab() },
            ]),
            this.logButton = button(T.showLog, () => this.toggleLog(), { "aria-pressed": "false" }),
            menuButton(T.acts, () => this.acts()));
    }

    acts() {
        const { vm, concentrator } = this;
        if (!vm)
            return [{ label: T.noSuchVm, action: () => {} }];
        return [
            ...(concentrator.has("Say") ? [{ label: T.say, action: () => askSay(concentrator, vm, text => this.notice(text)) }] : []),
            { label: T.clear, danger: true, action: () => askClear(concentrator, vm) },
            { label: T.forget, danger: true, hint: vm.connected ? T.forgetConnected : undefined,
              action: () => askForget(concentrator, vm, () => { location.hash = "#/"; }) },
        ];
    }

    fileName() {
        return (this.vm?.name || this.what).replace(/[^\w.-]+/g, "_");
    }

    openTab() {
        window.open(`/cockpit/@localhost/vspc/index.html#/vm/${encodeURIComponent(this.session.vm)}`, "_blank", "noopener");
    }

    toggleLog() {
        if (this.journal) {
            this.journal.stop();
            this.journal.node.remove();
            this.journal = null;
            this.logButton.focus();
        } else if (this.vm) {
            this.journal = new JournalView(this.cockpit, this.vm, () => this.toggleLog());
            this.below.append(this.journal.node);
        }
        this.logButton.setAttribute("aria-pressed", String(Boolean(this.journal)));
    }

    /* Search */

    searchBar() {
        this.searchInput = el("input", {
            type: "search", "aria-label": T.searchLabel, placeholder: T.searchLabel,
            oninput: () => this.terminal.find(this.searchInput.value, 1, true),
            onkeydown: event => {
                if (event.key === "Enter")
                    this.terminal.find(this.searchInput.value, event.shiftKey ? -1 : 1);
                else if (event.key === "Escape")
                    this.closeSearch();
            },
        });
        this.searchCount = el("span", { role: "status", class: "count" });
        this.search = el("div", { class: "search-bar", role: "search", hidden: true }, this.searchInput, this.searchCount,
            button(T.searchPrevious, () => this.terminal.find(this.searchInput.value, -1)),
            button(T.searchNext, () => this.terminal.find(this.searchInput.value, 1)),
            button(T.close, () => this.closeSearch(), { class: "button link" }));
        return this.search;
    }

    openSearch() {
        this.search.hidden = false;
        this.searchInput.focus();
        this.searchInput.select();
    }

    closeSearch() {
        this.search.hidden = true;
        this.terminal.searcher.clearDecorations();
        this.terminal.term.focus();
    }

    /* Keys */

    typed(bytes) {
        const sent = this.session.send(bytes);
        if (this.session.state === "attached" && (!sent || this.isReadOnly()))
            this.flash();
    }

    async change(access, force = false) {
        try {
            await this.session.change(access, force);
        } catch (error) {
            const take = this.concentrator.has("Attach", "force") && error.name === "AccessDenied";
            ask({ title: T.refused, body: el("p", {}, explain(error)), confirm: take ? T.takeOver : T.close, danger: take,
                  explain, action: () => (take ? this.session.change(access, true) : undefined) });
        }
    }

    /* Ourselves, as Monitor has it, if vspcd has told our number */
    get own() {
        const { client } = this.session;
        return client === undefined ? undefined : this.vm?.clients?.find(each => each.id === client);
    }

    /* Who holds write access, as Monitor has it */
    get holder() {
        return this.vm?.clients?.find(client => client.access === "write" || client.access === "exclusive");
    }

    isReadOnly() {
        const { granted, access } = this.session;
        if (access === "watch")
            return false;
        if (this.own)
            return this.own.access === "read_only";
        if (granted === "write" || granted === "exclusive")
            return false;
        return this.vm ? this.holder !== undefined : granted === "read_only";
    }

    /* What was typed has gone nowhere: says so where the reason is shown already. */
    flash() {
        this.banners.classList.remove("flash");
        void this.banners.offsetWidth; /* begins the animation again */
        this.banners.classList.add("flash");
    }

    sendBreak() {
        this.notice(this.session.sendBreak() ? T.notices.break : T.notices.notSent);
    }

    paste(text) {
        if (text)
            askPaste(text, PASTE_MAX, () => this.terminal.pasteText(text));
    }

    async pasteFromClipboard() {
        try {
            this.paste(await navigator.clipboard.readText());
        } catch {
            this.notice(T.notices.noClipboard);
        }
    }

    /* What vspcd says */

    begin(resumed) {
        if (resumed && this.session.state === "waiting")
            this.notice(T.notices.resumed);
        if (this.begun && !resumed) {
            this.terminal.reset();
            this.notice(T.notices.reset);
        }
        this.begun = true;
        this.forgetChannel();
        this.channel = this.session.connection.channel.id;
        this.pongs.add(this.channel, this.terminal.flow);
    }

    forgetChannel() {
        if (this.channel !== undefined)
            this.pongs.remove(this.channel);
        this.channel = undefined;
    }

    drained() {
        if (this.destroyed)
            return;
        this.pongs.release(this.channel);
        if (!this.terminal.flow.dropping)
            this.terminal.endGap();
    }

    sessionChanged() {
        if (!this.destroyed && this.toolbar.childElementCount > 0)
            this.update();
    }

    news({ event, vm, client }) {
        if (!vm || vm.id !== this.session?.vm) {
            if (event === "ready" || event === "added")
                this.update();
            return;
        }
        if (event === "added" && this.session.state === "waiting")
            this.session.again();
        /* That it connects and disconnects vspcd says in the console itself. */
        const text = event === "client_attached" ? T.notices.attached(client?.peer ?? "")
            : event === "client_detached" ? T.notices.detached(client?.peer ?? "") : T.notices[event];
        if (text)
            this.notice(text);
        this.update();
    }

    notice(text) {
        const time = new Date().toLocaleTimeString("sv-SE");
        this.noticeLine.append(el("div", {}, el("time", {}, time), el("span", {}, text)));
        while (this.noticeLine.childElementCount > NOTICES_KEPT)
            this.noticeLine.firstChild.remove();
        this.noticeLine.scrollTop = this.noticeLine.scrollHeight;
    }

    /* Others wait, and nobody looks at this page. */
    hiddenChanged() {
        clearTimeout(this.hiddenTimer);
        if (this.cockpit.hidden && this.session.state === "attached" && ["write", "exclusive"].includes(this.session.granted))
            this.hiddenTimer = setTimeout(() => this.session.close("released"), HIDDEN_MAX_MINUTES * 60000);
    }

    /* What is shown beside the terminal */

    update() {
        const { vm, session } = this;
        const name = vm?.name || this.known?.name || this.what;
        this.known = vm ?? this.known;
        this.heading.textContent = name;
        document.title = `${name} – ${T.title}`;
        if (vm) {
            const [label, picture, color] = T.states[stateOf(vm)];
            this.stateLabel.replaceChildren(icon(picture, color), label);
            this.stateLabel.title = vm.problem ?? "";
            this.details.textContent = [vm.id, vm.port && `port ${vm.port}`, vm.peer, vm.serial, vm.tls?.version]
                .filter(part => part).join(" · ");
        }
        this.showAccess();
        this.showBanners();
        this.showCover();
        this.showClients();
        this.terminal.term.options.disableStdin = session?.state !== "attached";
    }

    showAccess() {
        const { session } = this;
        const granted = session?.access === "watch" ? "watch" : this.isReadOnly() ? "read_only"
            : session?.granted === "read_only" ? "free_for_all" : session?.granted;
        const text = session?.state === "attached" ? T.granted[granted] : T.accesses[session?.access]?.[0];
        const toggle = this.accessMenu.firstChild;
        const label = `${T.accessLabel}: ${text ?? "–"}`;
        if (toggle.firstChild.textContent !== label)
            toggle.replaceChildren(label, icon("caret", "caret"));
    }

    showBanners() {
        const { vm, session } = this;
        const again = options => button(T.connectAgain, () => this.session.again(options));
        const result = [];

        switch (session?.state) {
        case "waiting":
            if (this.begun && session.error?.name !== "NoSuchVM")
                result.push(banner("warning", T.lost, session.error?.kind ? T.lostHelp : explain(session.error)));
            else if (this.begun)
                result.push(banner("warning", T.noSuchVm, T.noSuchVmHelp(this.known?.name ?? this.what)[0]));
            break;
        case "ended":
            result.push(banner("warning", T.ended, T.endedHelp, again()));
            break;
        case "released":
            result.push(banner("info", T.released, T.releasedHelp(HIDDEN_MAX_MINUTES), again()));
            break;
        case "refused":
        case "denied":
            result.push(banner("danger", T.refused, explain(session.error), ...this.waysOut()));
            break;
        case "attached":
            if (this.isReadOnly()) {
                const { holder } = this;
                const help = T.readOnlyHelp(holder && T.holds(holder.peer, holder.access, holder.since));
                const take = this.concentrator.has("Attach", "force")
                    ? [button(T.takeOver, () => this.change("write", true), { title: T.takeOverHelp })] : [];
                result.push(banner("info", T.readOnly, help, ...take));
            } else if (session.access === "watch")
                result.push(banner("info", T.watching));
            break;
        default:
        }
        if (vm && !vm.connected)
            result.push(banner("info", T.vmDisconnected, T.vmDisconnectedHelp(vm.since)));
        if (vm?.problem)
            result.push(banner("warning", vm.problem));

        /* A screen reader would read the same again. */
        const text = result.map(node => node.textContent).join("\n");
        if (text === this.bannerText)
            return;
        this.bannerText = text;
        this.banners.replaceChildren(...result);
        this.banners.classList.remove("flash");
    }

    waysOut() {
        const { session } = this;
        return [
            session.access !== "free_for_all_fallback"
                ? button(T.attachShared, () => session.again({ access: "free_for_all_fallback" })) : null,
            this.concentrator.has("Attach", "force")
                ? button(T.takeOver, () => session.again({ force: true }), { title: T.takeOverHelp }) : null,
            button(T.tryAgain, () => session.again()),
        ].filter(action => action);
    }

    /* Until there has been something in the terminal */
    showCover() {
        const { session } = this;
        const what = this.begun || ["refused", "denied", "offline"].includes(session?.state) ? "nothing"
            : session?.state === "waiting" && session.error?.name === "NoSuchVM" ? "unknown" : "attaching";
        if (what === this.covered)
            return;
        this.covered = what;
        this.cover.hidden = what === "nothing";
        this.cover.replaceChildren(...{
            attaching: () => [emptyState({ title: T.attaching })],
            unknown: () => [emptyState({ picture: "search", title: T.noSuchVm, text: T.noSuchVmHelp(this.what),
                                         actions: [el("a", { class: "button primary", href: "#/" }, T.back)] })],
        }[what]?.() ?? []);
    }

    showClients() {
        const { vm, concentrator } = this;
        const clients = vm?.clients ?? [];
        const key = JSON.stringify([this.session?.client, concentrator.has("Disconnect"),
                                    clients.map(client => [client.peer, client.access, client.skipped])]);
        if (key === this.shownClients)
            return;
        this.shownClients = key;
        const more = (vm?.clientCount ?? 0) - clients.length;
        this.clients.replaceChildren(el("strong", {}, `${T.others}: `), ...clients.map(client => el("span", {
            class: `client ${client.access}`, title: `${client.peer}, ${T.clientDetails(client)}`,
        }, client.access === "write" || client.access === "exclusive" ? icon("lock") : null,
            `${clientName(client)} `, el("small", {}, T.accessWords[client.access] ?? client.access),
            concentrator.has("Disconnect") && client.id !== undefined && client.id !== this.session.client
                ? button(icon("close"), () => askDisconnect(concentrator, vm, client),
                         { class: "button plain", "aria-label": `${T.disconnectClient} ${client.peer}` }) : null)),
        ...(more > 0 ? [T.moreClients(more)] : clients.length === 0 ? [T.nobody] : []));
    }
}
