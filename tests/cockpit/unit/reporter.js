/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reports what node's test runner has found as tests/tap.py does: the plan first, then a line for each test. */
export default async function* report(events) {
    const lines = [];
    let n = 0;

    for await (const { type, data } of events) {
        if ((type !== "test:pass" && type !== "test:fail") || data.nesting > 0 || data.details?.type === "suite")
            continue;
        const ok = type === "test:pass";
        const how = data.skip !== undefined ? `# SKIP ${data.skip}` : `(${(data.details.duration_ms / 1000).toFixed(1)} s)`;
        lines.push(`${ok ? "ok" : "not ok"} ${++n} - ${data.name} ${how}`);
        if (!ok)
            lines.push(...String(data.details.error?.cause?.stack ?? data.details.error).split("\n").map(line => `#   ${line}`));
    }
    yield `1..${n}\n${lines.join("\n")}\n`;
}
