/* SPDX-License-Identifier: LGPL-2.1-or-later */

import { Flow, Tail } from "./flow.js";
import { isDark, onThemeChange } from "./theme.js";
import { FitAddon } from "./xterm/addon-fit.js";
import { SearchAddon } from "./xterm/addon-search.js";
import { Terminal } from "./xterm/xterm.js";

/*
 * xterm.js, with bounds on what waits to be shown. It is Cockpit's terminal in black and white, light or dark.
 *
 * handler:
 *   keys(bytes)    what is typed or pasted
 *   paste(text)    asked before text is pasted; term.pasteText(text) does it
 *   dropped(n)     so many bytes were left out
 *   drained()      less waits than before
 *   leave()        the keyboard is to go elsewhere
 *   search()
 */
export const PASTE_MAX = 1 << 20;

const FONT_SIZES = [9, 10, 11, 12, 13, 14, 16, 18, 20, 24, 28];

const themes = {
    light: {
        background: "#ffffff", foreground: "#151515", cursor: "#151515", cursorAccent: "#ffffff",
        selectionBackground: "#b8d6f5", black: "#151515", red: "#b1000e", green: "#2f6f25", yellow: "#7a5300", blue: "#004f9e",
        magenta: "#7d2a8c", cyan: "#005f73", white: "#5f6368", brightBlack: "#4d5258", brightRed: "#c9190b",
        brightGreen: "#37772c", brightYellow: "#8a5c00", brightBlue: "#0060c7", brightMagenta: "#9333a6",
        brightCyan: "#00687d", brightWhite: "#151515",
    },
    dark: {
        background: "#000000", foreground: "#e8e8e8", cursor: "#ffffff", cursorAccent: "#000000",
        selectionBackground: "#3b5f8a",
    },
};

function stored(key, fallback) {
    return localStorage.getItem(`vspc:${key}`) ?? fallback;
}

export class ConsoleTerminal {
    constructor(container, handler, name) {
        this.container = container;
        this.handler = handler;
        this.flow = new Flow();
        this.tail = new Tail();
        this.size = stored("size", "fit");
        this.term = new Terminal({
            allowProposedApi: true, /* decorations of search results */
            logLevel: "off", /* what it cannot parse is the VM's business */
            scrollback: 10000,
            fontFamily: "\"Red Hat Mono\", RedHatMono, \"DejaVu Sans Mono\", Menlo, Consolas, monospace",
            fontSize: Number(stored("font", 14)),
            screenReaderMode: stored("screen-reader", "no") === "yes",
            minimumContrastRatio: 4.5,
            lineHeight: 1.1, /* else some fonts lose their underscores */
            cursorBlink: false,
            rightClickSelectsWord: false,
            theme: this.theme(),
        });
        this.fitter = new FitAddon();
        this.searcher = new SearchAddon();
        this.term.loadAddon(this.fitter);
        this.term.loadAddon(this.searcher);
        this.term.open(container);
        this.term.textarea.setAttribute("aria-label", name);

        const encoder = new TextEncoder();
        this.term.onData(text => handler.keys(encoder.encode(text)));
        this.term.onBinary(text => handler.keys(Uint8Array.from(text, c => c.charCodeAt(0))));
        this.term.attachCustomKeyEventHandler(event => this.key(event));
        /* Before xterm sees it */
        container.addEventListener("paste", event => {
            event.preventDefault();
            event.stopPropagation();
            handler.paste(event.clipboardData.getData("text/plain"));
        }, true);
        this.stopTheme = onThemeChange(() => {
            this.term.options.theme = this.theme();
        });
        this.resizes = new ResizeObserver(() => this.fit());
        this.resizes.observe(container);
        this.fit();
    }

    destroy() {
        this.resizes.disconnect();
        this.stopTheme();
        this.term.dispose();
    }

    theme() {
        return isDark() ? themes.dark : themes.light;
    }

    fit() {
        if (this.container.clientWidth === 0)
            return;
        if (this.size === "fit")
            this.fitter.fit();
        else
            this.term.resize(80, 24);
    }

    setSize(size) {
        this.size = size;
        localStorage.setItem("vspc:size", size);
        this.fit();
    }

    changeFont(by) {
        const at = FONT_SIZES.findIndex(size => size >= this.term.options.fontSize);
        const size = FONT_SIZES[Math.max(0, Math.min(FONT_SIZES.length - 1, at + by))];
        this.term.options.fontSize = size;
        localStorage.setItem("vspc:font", String(size));
        this.fit();
    }

    get screenReader() {
        return this.term.options.screenReaderMode;
    }

    set screenReader(value) {
        this.term.options.screenReaderMode = value;
        localStorage.setItem("vspc:screen-reader", value ? "yes" : "no");
    }

    /* What a browser would keep for itself, or what is ours. Returns: whether xterm is to have it. */
    key(event) {
        const { ctrlKey, shiftKey, altKey, metaKey, code } = event;
        const ours = {
            KeyC: () => this.copy(),
            KeyF: () => this.handler.search(),
            KeyL: () => this.handler.leave(),
        }[code];

        if (ctrlKey && shiftKey && !altKey && !metaKey && ours) {
            event.preventDefault();
            if (event.type === "keydown")
                ours();
            return false;
        }
        if (ctrlKey && !shiftKey && !altKey && code === "Insert") {
            if (event.type === "keydown")
                this.copy();
            return false;
        }
        /* The browser pastes, which is the event "paste" above. */
        if ((ctrlKey && shiftKey && !altKey && code === "KeyV") || (shiftKey && !ctrlKey && code === "Insert"))
            return false;
        return true;
    }

    /* Returns: whether there was something to copy. */
    copy() {
        const text = this.term.getSelection();
        if (!text)
            return false;
        if (navigator.clipboard?.writeText)
            navigator.clipboard.writeText(text).catch(() => document.execCommand("copy"));
        else
            document.execCommand("copy"); /* xterm fills in its selection */
        return true;
    }

    pasteText(text) {
        this.term.paste(text);
    }

    write(bytes) {
        this.tail.add(bytes);
        if (!this.flow.admit(bytes.length))
            return;
        const gap = this.flow.takeDropped();
        if (gap > 0)
            this.gap(gap);
        /* xterm keeps what it is given until it is shown, and the bytes are only lent to us. */
        this.term.write(bytes.slice(), () => {
            this.flow.shown(bytes.length);
            this.handler.drained();
        });
    }

    /* An escape sequence or a character that was cut off does not swallow what follows. */
    gap(n) {
        this.term.write(Uint8Array.of(0x18));
        this.handler.dropped(n);
    }

    /* The flood may have ended in the gap. */
    endGap() {
        const gap = this.flow.takeDropped();
        if (gap > 0)
            this.gap(gap);
    }

    /* All that is shown is void. */
    reset() {
        this.term.write("\x18", () => this.term.reset());
        this.tail.clear();
    }

    clear() {
        this.term.clear();
    }

    text() {
        const { active } = this.term.buffer, lines = [];
        for (let i = 0; i < active.length; i++) {
            const line = active.getLine(i);
            const text = line.translateToString(!active.getLine(i + 1)?.isWrapped);
            if (line.isWrapped)
                lines[lines.length - 1] += text;
            else
                lines.push(text);
        }
        return lines.join("\n").replace(/\n+$/, "\n");
    }

    get searchOptions() {
        return {
            decorations: {
                matchBackground: "#8a6d00", matchOverviewRuler: "#8a6d00",
                activeMatchBackground: "#b8450f", activeMatchColorOverviewRuler: "#b8450f",
            },
        };
    }

    find(text, direction, incremental = false) {
        if (direction < 0)
            this.searcher.findPrevious(text, this.searchOptions);
        else
            this.searcher.findNext(text, { ...this.searchOptions, incremental });
    }
}
