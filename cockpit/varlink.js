/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Varlink's messages: JSON texts, each followed by a NUL. */

export const CONCENTRATOR = "org.vspc.Concentrator";
export const SERVICE = "org.varlink.service";

/* A longer reply is an error: vspcd sends one VM in each. */
export const REPLY_MAX = 4 << 20;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/* flags: more, upgrade, oneway */
export function encodeCall(method, parameters = {}, flags = {}) {
    const name = method.includes(".") ? method : `${CONCENTRATOR}.${method}`;
    return encoder.encode(JSON.stringify({ method: name, parameters, ...flags }) + "\0");
}

/* An error that vspcd has replied with. name: without our interface, as in "AccessDenied". */
export class Refusal extends Error {
    constructor(error, parameters = {}) {
        super(error);
        this.name = error.startsWith(CONCENTRATOR + ".") ? error.slice(CONCENTRATOR.length + 1) : error;
        this.parameters = parameters;
    }
}

/* Takes replies out of a stream of bytes, in pieces of any size. */
export class ReplyReader {
    constructor() {
        this.pieces = [];
        this.size = 0;
    }

    /* Returns: the next reply, or null while it is incomplete. What follows it is in take(). */
    next() {
        while (this.pieces.length > 0) {
            const last = this.pieces[this.pieces.length - 1];
            const end = last.indexOf(0);
            if (end < 0) {
                if (this.size > REPLY_MAX)
                    throw new Error("the reply is too long");
                return null;
            }
            const text = this.pieces.slice(0, -1).map(piece => decoder.decode(piece, { stream: true })).join("") +
                decoder.decode(last.subarray(0, end));
            this.pieces = end + 1 < last.length ? [last.subarray(end + 1)] : [];
            this.size = last.length - end - 1;
            return JSON.parse(text);
        }
        return null;
    }

    add(bytes) {
        if (bytes.length > 0) {
            this.pieces.push(bytes);
            this.size += bytes.length;
        }
    }

    /* What has come after the replies that were taken. After an upgrade that is the new protocol's. */
    take() {
        const rest = this.pieces;
        this.pieces = [];
        this.size = 0;
        return rest;
    }
}

/* What an interface offers, from its description: so the page need not know which version of vspcd it speaks with. */
export class Interface {
    constructor(description = "") {
        this.methods = new Map();
        const text = description.replace(/#.*$/gm, "");
        for (const [, name, parameters] of text.matchAll(/\bmethod\s+(\w+)\s*\(([^)]*)\)/g))
            this.methods.set(name, new Set([...parameters.matchAll(/(\w+)\s*:/g)].map(match => match[1])));
    }

    has(method, parameter) {
        const parameters = this.methods.get(method);
        return parameters !== undefined && (parameter === undefined || parameters.has(parameter));
    }
}
