/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a console needs in order to go on in another page of the same tab: Cockpit's connection is never made again, so that the
 * page is loaded again after a lost network.
 */

import { Attachment } from "./attachment.js";

const KEY = "vspc:console";

/* Of what the terminal shows, so much is shown again. */
const TAIL_MAX = 256 << 10;

export function encodeBase64(bytes) {
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192)
        text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
}

export function decodeBase64(text) {
    return Uint8Array.from(atob(text), c => c.charCodeAt(0));
}

/* what: what the link says of the VM; tail: what the terminal shows */
export function saveConsole(storage, what, session, tail) {
    if (!session.attachment)
        return;
    try {
        storage.setItem(KEY, JSON.stringify({
            what, vm: session.vm, access: session.access, attachment: session.attachment.save(encodeBase64),
            tail: encodeBase64(tail.subarray(-TAIL_MAX)),
        }));
    } catch {
        storage.removeItem(KEY); /* there is no room: it is attached anew */
    }
}

/* Returns: what was saved of the console, once, or null. */
export function takeConsole(storage, what) {
    const saved = JSON.parse(storage.getItem(KEY));
    storage.removeItem(KEY);
    if (saved?.what !== what)
        return null;
    return { ...saved, attachment: Attachment.restore(saved.attachment, decodeBase64), tail: decodeBase64(saved.tail) };
}
