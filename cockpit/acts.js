/* SPDX-License-Identifier: LGPL-2.1-or-later */

import { clientName } from "./model.js";
import { explain, T } from "./texts.js";
import { ask, el } from "./ui.js";

/* What changes something for others: each asks first, and shows vspcd's refusal if there is one. */

export function askClear(concentrator, vm) {
    return ask({
        title: T.clearTitle(vm.name), body: el("p", {}, T.clearHelp(vm.clientCount)), confirm: T.clearDo, danger: true, explain,
        action: () => concentrator.call("Clear", { vm: vm.id }),
    });
}

export function askForget(concentrator, vm, done) {
    return ask({
        title: T.forgetTitle(vm.name), body: el("p", {}, T.forgetHelp), confirm: T.forgetDo, danger: true, explain,
        action: () => concentrator.call("Forget", { vm: vm.id }).then(done),
    });
}

export function askDisconnect(concentrator, vm, client) {
    return ask({
        title: T.disconnectTitle(clientName(client)), body: [], confirm: T.disconnectClient, danger: true, explain,
        action: () => concentrator.call("Disconnect", { vm: vm.id, client: client.id }),
    });
}

export function askSay(concentrator, vm, tell) {
    const input = el("input", { type: "text", id: "say-text", maxlength: "160", required: true });
    return ask({
        title: T.sayTitle(vm.name), focus: input, confirm: T.sendIt, explain,
        body: [el("p", {}, T.sayHelp), el("label", { for: "say-text" }, T.sayLabel), input],
        action: () => concentrator.call("Say", { vm: vm.id, text: input.value }).then(({ heard }) => tell(T.heard(heard))),
    });
}

/* What is sent to the VM. send(bytes) is called with it. */

const PREVIEW_LINES = 12;

export function askPaste(text, most, send) {
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > most) {
        ask({ title: T.paste, body: el("p", {}, T.pasteTooLong(bytes, most)), confirm: T.close, action: () => {} });
        return;
    }
    const lines = text.replace(/\r\n?/g, "\n").replace(/\n$/, "").split("\n");
    if (!/[\r\n]/.test(text)) {
        send(text);
        return;
    }
    const more = lines.length - PREVIEW_LINES;
    ask({
        title: T.pasteTitle(lines.length), confirm: T.paste, action: () => send(text),
        body: [el("p", {}, T.pasteHelp), el("pre", { class: "preview", tabindex: "0" }, lines.slice(0, PREVIEW_LINES).join("\n")),
               more > 0 ? el("p", {}, T.pasteMore(more)) : []].flat(),
    });
}

export function askStty(cols, rows, send) {
    const command = `stty rows ${rows} cols ${cols}`;
    ask({
        title: T.sttyTitle, body: [el("p", {}, T.sttyHelp), el("pre", { class: "preview" }, command)], confirm: T.typeIt,
        action: () => send(new TextEncoder().encode(command + "\r")),
    });
}

export function askSysRq(sendBreak, send) {
    const input = el("input", { type: "text", id: "sysrq-key", maxlength: "1", size: "3", required: true, autocomplete: "off",
                                pattern: "[0-9A-Za-z?]" });
    ask({
        title: T.sysRqTitle, focus: input, confirm: T.sendIt,
        body: [el("p", {}, T.sysRqHelp), el("label", { for: "sysrq-key" }, T.sysRqKey), input],
        action: () => {
            sendBreak();
            send(new TextEncoder().encode(input.value));
        },
    });
}

/* Returns: the bytes, or null if the text is no list of them. */
export function parseBytes(text) {
    const digits = text.replace(/\s+/g, "");
    if (digits.length === 0 || digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits))
        return null;
    return Uint8Array.from(digits.match(/../g), pair => parseInt(pair, 16));
}

export function askBytes(send) {
    const input = el("textarea", { id: "send-bytes", rows: "4", spellcheck: "false", "aria-label": T.sendBytesTitle });
    ask({
        title: T.sendBytesTitle, focus: input, body: [el("p", {}, T.sendBytesHelp), input], confirm: T.sendIt,
        explain: error => error.message,
        action: () => {
            const bytes = parseBytes(input.value);
            if (!bytes)
                throw new Error(T.sendBytesBad);
            send(bytes);
        },
    });
}
