/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Small parts of which the page is made: elements, icons, menus, dialogs. */

import { T } from "./texts.js";

/* el("button", { class: "x", onclick: f, "aria-label": "y" }, child, …). A property that is false, null or undefined is left out. */
export function el(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
        if (value === false || value === null || value === undefined)
            continue;
        if (name.startsWith("on"))
            element.addEventListener(name.slice(2), value);
        else
            element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter(child => child !== null && child !== undefined));
    return element;
}

const paths = {
    connected: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm3.7 5.2-4.4 4.6a.9.9 0 0 1-1.3 0L4.2 9a.9.9 0 0 1 1.3-1.2l1.1 1.1L10.4 5a.9.9 0 0 1 1.3 1.2Z",
    disconnected: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm0 1.8a5.2 5.2 0 1 1 0 10.4A5.2 5.2 0 0 1 8 2.8ZM5 7.1h6v1.8H5Z",
    migrating: "M10.5 1.5 14.5 5l-4 3.5V6H2V4h8.5ZM5.5 7.5V10H14v2H5.5v2.5l-4-3.5Z",
    warning: "M8 1.2 15.3 14H.7ZM7.1 6v4.2h1.8V6Zm0 5.2V13h1.8v-1.8Z",
    error: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1ZM7.1 4h1.8v5H7.1Zm0 6.2h1.8V12H7.1Z",
    info: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1ZM7.1 4h1.8v1.8H7.1Zm0 3h1.8v5H7.1Z",
    serial: "M2.5 4h11A1.5 1.5 0 0 1 15 5.7l-1 5a1.5 1.5 0 0 1-1.5 1.3h-9A1.5 1.5 0 0 1 2 10.7l-1-5A1.5 1.5 0 0 1 2.5 4Zm1 2v1.5h1.5V6Zm2.5 0v1.5h1.5V6Zm2.5 0v1.5H10V6ZM11 6v1.5h1.5V6ZM4.7 8.5V10h1.5V8.5Zm2.5 0V10h1.6V8.5Zm2.6 0V10h1.5V8.5Z",
    caret: "M3 6h10l-5 5.5Z",
    search: "M6.5 1a5.5 5.5 0 1 0 3.3 9.9l3.7 3.7 1.2-1.2-3.7-3.7A5.5 5.5 0 0 0 6.5 1Zm0 1.8a3.7 3.7 0 1 1 0 7.4 3.7 3.7 0 0 1 0-7.4Z",
    up: "M8 4 2.5 10.5h11Z",
    close: "M3.3 2 8 6.7 12.7 2 14 3.3 9.3 8l4.7 4.7-1.3 1.3L8 9.3 3.3 14 2 12.7 6.7 8 2 3.3Z",
    tab: "M2 2h5v1.8H3.8v8.4h8.4V9H14v5H2Zm7 0h5v5h-1.8V5.1L8.2 9.1 6.9 7.8l4-4H9Z",
    lock: "M8 1a3.5 3.5 0 0 1 3.5 3.5V7H12.5A1 1 0 0 1 13.5 8v6a1 1 0 0 1-1 1h-9a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1H4.5V4.5A3.5 3.5 0 0 1 8 1Zm0 1.7a1.8 1.8 0 0 0-1.8 1.8V7h3.6V4.5A1.8 1.8 0 0 0 8 2.7Z",
};

export function icon(name, className = "") {
    const ns = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(ns, "svg");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("class", `icon ${className}`);
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(ns, "path");
    path.setAttribute("d", paths[name]);
    path.setAttribute("fill-rule", "evenodd");
    svg.append(path);
    return svg;
}

export function button(label, onclick, properties = {}) {
    return el("button", { type: "button", class: "button secondary", ...properties, onclick }, label);
}

/*
 * A button that opens a menu. items: a function that returns what is in it: { label, action, hint, danger, checked }, or null
 * for a line between others.
 */
export function menuButton(label, items, properties = {}) {
    const toggle = el("button", { type: "button", class: "button secondary", "aria-haspopup": "menu", "aria-expanded": "false",
                                  ...properties }, label, icon("caret", "caret"));
    const menu = el("div", { class: "menu", role: "menu", "aria-label": label, hidden: true });
    const wrapper = el("div", { class: "menu-wrapper" }, toggle, menu);
    const entries = () => [...menu.querySelectorAll("button")];

    const close = focus => {
        menu.hidden = true;
        toggle.setAttribute("aria-expanded", "false");
        document.removeEventListener("pointerdown", outside, true);
        if (focus)
            toggle.focus();
    };
    const outside = event => wrapper.contains(event.target) || close(false);
    const open = () => {
        menu.replaceChildren(...items().map(item => {
            if (!item)
                return el("hr", { role: "separator" });
            return el("button", {
                type: "button", role: item.checked === undefined ? "menuitem" : "menuitemradio", tabindex: "-1",
                class: item.danger ? "danger" : null,
                "aria-checked": item.checked === undefined ? null : String(item.checked),
                onclick: () => {
                    close(true);
                    item.action();
                },
            }, el("span", {}, item.label), item.hint ? el("small", {}, item.hint) : null);
        }));
        menu.hidden = false;
        toggle.setAttribute("aria-expanded", "true");
        document.addEventListener("pointerdown", outside, true);
        /* To the left where there is no room to the right */
        menu.classList.toggle("right", toggle.getBoundingClientRect().left + menu.offsetWidth > innerWidth - 8);
        entries()[0]?.focus();
    };
    toggle.addEventListener("click", () => (menu.hidden ? open() : close(true)));
    wrapper.addEventListener("keydown", event => {
        const list = entries(), at = list.indexOf(document.activeElement);
        const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: list.length - 1 }[event.key];
        if (menu.hidden) {
            if (event.key === "ArrowDown") {
                event.preventDefault();
                open();
            }
        } else if (to !== undefined) {
            event.preventDefault();
            list[(to + list.length) % list.length].focus();
        } else if (event.key === "Escape" || event.key === "Tab") {
            event.stopPropagation();
            close(event.key === "Escape");
        }
    });
    return wrapper;
}

/*
 * A dialog that asks. action: called when it is confirmed; may return a promise, whose failure is shown and keeps the dialog
 * open. Returns: the <dialog>.
 */
export function ask({ title, body, confirm, danger = false, action, explain = String, focus }) {
    const problem = el("p", { class: "dialog-problem", role: "alert", hidden: true });
    const yes = el("button", { type: "submit", class: `button ${danger ? "danger" : "primary"}` }, confirm);
    const form = el("form", { method: "dialog" },
                    el("h2", { id: "dialog-title" }, title), ...[body].flat(), problem,
                    el("div", { class: "dialog-buttons" }, yes,
                       button(T.cancel, () => dialog.close(), { class: "button link" })));
    const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, form);
    const before = document.activeElement;

    form.addEventListener("submit", async event => {
        event.preventDefault();
        yes.disabled = true;
        try {
            await action();
            dialog.close();
        } catch (error) {
            problem.replaceChildren(icon("error", "red"), explain(error));
            problem.hidden = false;
            yes.disabled = false;
        }
    });
    dialog.addEventListener("close", () => {
        dialog.remove();
        before?.focus?.();
    });
    document.body.append(dialog);
    dialog.showModal();
    (focus ?? yes).focus();
    return dialog;
}

/* A state of which there is nothing else to show: what it is, and what to do about it */
export function emptyState({ picture, color = "", title, text = [], actions = [] }) {
    return el("div", { class: "empty-state" }, picture ? icon(picture, `big ${color}`) : el("div", { class: "spinner" }),
              el("h2", {}, title), ...[text].flat().map(line => (line instanceof Node ? line : el("p", {}, line))),
              actions.length > 0 ? el("div", { class: "empty-actions" }, ...actions) : null);
}

export function banner(kind, title, text, ...actions) {
    const picture = { info: "info", warning: "warning", danger: "error" }[kind];
    return el("div", { class: `banner ${kind}` }, icon(picture), el("div", { class: "banner-text" }, el("strong", {}, title),
              text ? el("span", {}, text) : null), ...actions);
}
