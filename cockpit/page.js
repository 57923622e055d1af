/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The page: "#/" is the table of VMs, "#/vm/ID" a console. It also runs in a tab of its own, without Cockpit's shell:
 * /cockpit/@localhost/vspc/index.html
 */

import { Concentrator } from "./connection.js";
import { ConsolePage } from "./console.js";
import { Feed } from "./feed.js";
import { PongHolder } from "./flow.js";
import { VmModel } from "./model.js";
import { explain, T } from "./texts.js";
import { followTheme } from "./theme.js";
import { banner, button, el, emptyState } from "./ui.js";
import { VmTable } from "./vms.js";

const { cockpit } = window;

/* An administrator may have vspcd's socket elsewhere: {"config": {"socket": …}} in /etc/cockpit/vspc.override.json */
const config = cockpit.manifests?.vspc?.config ?? {};
const concentrator = new Concentrator(cockpit, config.socket);
const model = new VmModel(() => current?.schedule?.());
const feed = new Feed(concentrator, model, () => showState());
const pongs = new PongHolder(cockpit.transport);

let current = null; /* VmTable or ConsolePage */
let obstacle = null; /* shown in place of it */

function route() {
    const match = /^#\/vm\/(.+)$/.exec(location.hash);
    document.title = T.title;
    current?.destroy();
    current = match ? new ConsolePage({ cockpit, concentrator, model, feed, pongs }, decodeURIComponent(match[1]))
        : new VmTable(model, feed);
    if (!obstacle)
        show();
    showState();
}

function show() {
    document.getElementById("page").replaceChildren(current.node);
    current.opened();
}

/* Nothing can be shown before it is out of the way. */
function showObstacle(what, state) {
    if (obstacle === what)
        return;
    const before = obstacle;
    obstacle = what;
    if (what)
        document.getElementById("page").replaceChildren(emptyState(state()));
    else if (before)
        route();
}

async function start(toggle) {
    toggle.disabled = true;
    toggle.textContent = T.starting;
    try {
        await cockpit.spawn(["systemctl", "start", "vspc.socket", "vspc-admin.socket"], { superuser: "try", err: "message" });
        feed.start();
    } catch (error) {
        toggle.after(el("p", { role: "alert" }, error.message));
    }
    toggle.disabled = false;
    toggle.textContent = T.start;
}

function showState() {
    const place = document.getElementById("banner");
    const { state, error, seen } = feed;
    const again = button(T.tryAgain, () => feed.start(), { class: "button primary" });

    /* A console says so itself. */
    const text = state === "waiting" && seen && current instanceof VmTable ? "waiting" : state === "offline" ? "offline" : "";
    if (place.dataset.state !== text) {
        place.dataset.state = text;
        place.replaceChildren(...{
            waiting: () => [banner("warning", T.reconnecting, T.reconnectingHelp)],
            offline: () => [banner("danger", T.offline, T.offlineHelp, button(T.reload, () => location.reload()))],
        }[text]?.() ?? []);
    }
    if (state === "offline")
        reloadWhenBack();

    if (state === "denied")
        showObstacle("denied", () => ({ picture: "lock", title: T.denied,
                                        text: [T.deniedHelp(concentrator.user),
                                               ...(error.parameters ? [explain(error)] : [])], actions: [again] }));
    else if (state === "waiting" && error.kind === "stopped" && !seen)
        showObstacle("stopped", () => ({
            picture: "disconnected", title: T.stopped, text: T.stoppedHelp,
            actions: [button(T.start, event => start(event.currentTarget), { class: "button primary" })],
        }));
    else if (state !== "connecting")
        showObstacle(null);
    current?.schedule?.();
}

/* Cockpit's connection is never made again by itself. */
let polling = false;
function reloadWhenBack() {
    if (polling || window.parent !== window) /* the shell has its own way */
        return;
    polling = true;
    setInterval(async () => {
        try {
            if ((await fetch("index.html", { cache: "no-store" })).ok)
                location.reload();
        } catch {
            /* not yet */
        }
    }, 3000);
}

followTheme();
cockpit.user().then(user => {
    concentrator.user = user.name;
}, () => {}).finally(() => {
    addEventListener("hashchange", route);
    /* Administrative access was turned on or off. */
    const permission = cockpit.permission({ admin: true });
    permission.addEventListener("changed", () => feed.state === "denied" && feed.start());
    route();
    feed.start();
});
