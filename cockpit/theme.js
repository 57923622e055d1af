/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Light or dark, as Cockpit's shell has it: it stores the user's choice and tells of changes by events. */

const listeners = new Set();

export function isDark() {
    return document.documentElement.classList.contains("dark");
}

export function onThemeChange(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
}

function apply(chosen) {
    const style = chosen || localStorage.getItem("shell:style") || "auto";
    const dark = style === "dark" || (style === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.classList.toggle("dark", dark);
    for (const listener of listeners)
        listener(dark);
}

export function followTheme() {
    window.addEventListener("storage", event => event.key === "shell:style" && apply());
    window.addEventListener("cockpit-style", event => apply(event.detail?.style));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply());
    apply();
}
