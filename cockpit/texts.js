/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All texts of the page, so that they can be translated in one place. */

const number = new Intl.NumberFormat("en");

export function size(bytes) {
    if (bytes < 1024)
        return bytes === 1 ? "1 byte" : `${bytes} bytes`;
    const units = ["KiB", "MiB", "GiB", "TiB"];
    let value = bytes / 1024, i = 0;
    while (value >= 1023.95 && i < units.length - 1) {
        value /= 1024;
        i++;
    }
    return `${value.toFixed(1)} ${units[i]}`;
}

/* Of a moment in microseconds since 1970 */
export function ago(usec, now = Date.now()) {
    const seconds = Math.max(0, Math.floor(now / 1000 - usec / 1e6));
    if (seconds < 60)
        return "just now";
    if (seconds < 3600)
        return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 2 * 86400)
        return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} days ago`;
}

export function moment(usec) {
    return new Date(usec / 1000).toLocaleString("sv-SE");
}

const accessNames = {
    exclusive: "exclusive access",
    write: "write access",
    free_for_all: "shared access",
    free_for_all_fallback: "shared access",
    read_only: "read-only access",
};

export const T = {
    title: "Serial consoles",
    cancel: "Cancel",
    close: "Close",
    menu: "Menu",

    states: {
        connected: ["connected", "connected", "green"],
        disconnected: ["disconnected", "disconnected", "grey"],
        migrating: ["migrating", "migrating", "yellow"],
        shared: ["shared UUID", "warning", "yellow"],
    },

    columns: {
        name: "Name", state: "State", since: "Since", lastOutput: "Last output", clients: "Clients", port: "Port", host: "Host",
        serial: "Serial port", tls: "TLS", uuid: "UUID",
    },
    filter: "Filter by name, UUID, host, state, client …",
    clearFilter: "Clear filter",
    noTls: "no",
    vmCount: (shown, all) => (shown === all ? `${number.format(all)} ${all === 1 ? "VM" : "VMs"}`
        : `${number.format(shown)} of ${number.format(all)} VMs`),
    sortBy: column => `Sort by ${column}`,
    openConsole: name => `Open the console of ${name}`,

    connecting: "Connecting to vspcd",
    noVms: "No VM is connected yet",
    noVmsHelp: host => ["In vSphere, add a serial port to a VM: \"Use network\", direction \"Server\", any Port URI, and as virtual " +
        "serial port concentrator:", `telnet://${host}:13370`, "VMs appear here as soon as their hosts connect."],
    noMatch: "No VM matches the filter",
    noMatchHelp: "Names, UUIDs, ports, hosts, states and clients are searched. Several words must all match.",
    stopped: "vspc is not running",
    stoppedHelp: "Nobody listens at /run/vspc/admin.socket. Start its sockets; the first connection starts the service.",
    start: "Start vspc",
    starting: "Starting vspc",
    denied: "You may not use the serial consoles",
    deniedHelp: user => `${user ? `The user ${user}` : "The user you are logged in as"} is not allowed to connect to vspcd. An ` +
        `administrator can add you to group vspc: "usermod -aG vspc ${user ?? "USER"}", and log in again. If you are an ` +
        "administrator yourself, turn on administrative access at the top of Cockpit, or in Cockpit's own tab.",
    tryAgain: "Try again",
    reconnecting: "Connection to vspcd lost",
    reconnectingHelp: "It is restarting, or was stopped. The list below is as it was then; connecting again …",
    offline: "Connection to this server lost",
    offlineHelp: "The page continues when the server can be reached again. You may have to log in.",
    reload: "Reload",

    back: "All consoles",
    noSuchVm: "vspcd does not know this VM",
    noSuchVmHelp: vm => [`There is no VM "${vm}". If it is about to connect, this page shows its console as soon as it does.`,
        "If it has been renamed or was forgotten, look for it in the list."],
    accessLabel: "Access",
    accesses: {
        free_for_all_fallback: ["Shared", "Everybody may type; read-only while somebody holds write access"],
        write: ["Write", "Only you may type, others can watch"],
        exclusive: ["Exclusive", "Nobody else may type or watch"],
        watch: ["Watch", "What you type is not sent"],
    },
    granted: {
        free_for_all: "You and others may type",
        write: "Only you may type",
        exclusive: "Only you may type and watch",
        read_only: "Read-only",
        watch: "You are watching",
    },
    attaching: "Connecting to the console",
    lost: "Connection to the console lost",
    lostHelp: "Connecting again … What was on the screen stays until then.",
    ended: "You were disconnected from the console",
    endedHelp: "vspcd is running: an administrator has disconnected you, or this page has read too slowly.",
    released: "Your access was given up",
    releasedHelp: minutes => `This page was hidden for ${minutes} minutes, and others could not type.`,
    connectAgain: "Connect again",
    refused: "Access refused",
    readOnly: "Read-only",
    readOnlyHelp: holder => (holder ? `${holder}: what you type is not sent.` : "What you type is not sent."),
    watching: "You are watching: what you type is not sent.",
    holds: (name, access, since) => `${name} holds ${accessNames[access] ?? access} since ${moment(since)} (${ago(since)})`,
    attachShared: "Connect with shared access",
    takeOver: "Take over",
    takeOverHelp: "Those who hold it can only watch then, or are disconnected, and are told that it was you.",
    vmDisconnected: "The VM is not connected",
    vmDisconnectedHelp: since => `Since ${moment(since)} (${ago(since)}). What you type waits until it connects again.`,
    notices: {
        vmotion_begin: "vMotion begun",
        vmotion_complete: "vMotion completed: the VM is on another host now",
        vmotion_abort: "vMotion aborted",
        attached: name => `${name} connected`,
        detached: name => `${name} disconnected`,
        resumed: "Connected again, where the connection was lost",
        unheard: n => `${size(n)} that were typed have not been sent`,
        reset: "Connected again. The terminal shows the scrollback that vspcd has kept.",
        dropped: n => `${size(n)} of output were left out: the VM sends more than this page can show`,
        pasted: n => `${number.format(n)} bytes pasted`,
        copied: "Copied",
        nothingSelected: "Nothing is selected",
        noClipboard: "The browser does not let this page read the clipboard: press Ctrl+Shift+V or Shift+Insert in the terminal",
        break: "Break sent",
        notSent: "Not sent: you may not type now",
    },
    others: "Clients",
    nobody: "Nobody is connected to this console.",
    moreClients: n => `and ${number.format(n)} more`,
    accessWords: { exclusive: "exclusive", write: "write", free_for_all: "shared", read_only: "read-only" },
    disconnectClient: "Disconnect",
    clientDetails: client => `since ${ago(client.since)}, ${size(client.bytes)} sent` +
        (client.skipped > 0 ? `, ${size(client.skipped)} missed` : ""),

    send: "Send",
    sendBreak: "Break",
    sendBreakHint: "SysRq in Linux, if a key follows",
    sysRq: "SysRq …",
    sysRqTitle: "Send a SysRq key",
    sysRqHelp: "A break is sent, and then the key. Linux acts on it if kernel.sysrq allows it; \"h\" lists the keys.",
    sysRqKey: "Key",
    keys: [["Ctrl+W", "\x17"], ["Ctrl+T", "\x14"], ["Ctrl+N", "\x0e"], ["Ctrl+Tab", "\t"], ["Ctrl+]", "\x1d"], ["Ctrl+\\", "\x1c"],
           ["Ctrl+@ (NUL)", "\0"], ["Escape", "\x1b"], ["F1", "\x1bOP"], ["F5", "\x1b[15~"], ["F11", "\x1b[23~"],
           ["F12", "\x1b[24~"]],
    sendBytes: "Bytes …",
    sendBytesTitle: "Send bytes",
    sendBytesHelp: "Two hexadecimal digits for each byte, for example: 1b 5b 41 ff",
    sendBytesBad: "This is not a list of hexadecimal bytes.",
    sendIt: "Send",

    edit: "Edit",
    copy: "Copy",
    copyHint: "Ctrl+Shift+C",
    paste: "Paste",
    pasteHint: "Ctrl+Shift+V",
    pasteTitle: lines => `Paste ${number.format(lines)} lines?`,
    pasteHelp: "Each line is sent as if you had typed it and pressed Enter.",
    pasteMore: n => `… and ${number.format(n)} more lines`,
    pasteTooLong: (n, most) => `The text is too long to be pasted: ${size(n)}, and ${size(most)} is the limit.`,
    selectAll: "Select all",
    search: "Search",
    searchHint: "Ctrl+Shift+F",
    searchLabel: "Search in the terminal",
    searchNext: "Next",
    searchPrevious: "Previous",
    searchResults: (index, count) => (count === 0 ? "not found" : index < 0 ? `${count} found` : `${index + 1} of ${count}`),

    view: "View",
    fontLarger: "Larger text",
    fontSmaller: "Smaller text",
    fit: "Fit the window",
    fixed: "80×24",
    typeStty: "Tell the guest the size …",
    sttyTitle: "Tell the guest the size of the terminal?",
    sttyHelp: "A serial port has no size that a guest could ask for. This is typed, as you would at a shell's prompt:",
    typeIt: "Type it",
    screenReader: "Screen reader mode",
    clearTerminal: "Clear the terminal",
    download: "Download text",
    downloadRaw: "Download bytes",
    downloadRawHint: n => `the last ${size(n)} as the VM sent them`,
    openTab: "Open in a tab of its own",
    showLog: "Log",
    leaveHint: "Ctrl+Shift+L leaves the terminal",
    terminalLabel: name => `Terminal of ${name}. Ctrl+Shift+L leaves it.`,

    acts: "VM",
    clear: "Disconnect all clients …",
    clearTitle: name => `Disconnect all clients of ${name}?`,
    clearHelp: n => `${n === 1 ? "1 client is" : `${number.format(n)} clients are`} connected, you among them. The VM itself is ` +
        "not affected.",
    clearDo: "Disconnect them",
    forget: "Forget …",
    forgetTitle: name => `Forget ${name}?`,
    forgetHelp: "vspcd forgets the VM and gives its port to others. When the VM connects again, it may get another port.",
    forgetDo: "Forget",
    forgetConnected: "Only a VM that is not connected can be forgotten.",
    disconnectTitle: name => `Disconnect ${name}?`,
    say: "Send a message …",
    sayTitle: name => `Send a message to those at ${name}`,
    sayHelp: "It appears on the terminals of all who are connected with telnet, vspc-client or this page. The VM does not get it.",
    sayLabel: "Message",
    heard: n => (n === 1 ? "Message sent to 1 client" : `Message sent to ${number.format(n)} clients`),

    log: "Log from the journal",
    logFilter: "Filter lines",
    logFollow: "Follow",
    logRefresh: "Refresh",
    logOpen: "Open in Cockpit's logs",
    logEmpty: "The journal has no output of this VM, or you may not read it: then turn on administrative access, or join group " +
        "systemd-journal.",
    logNoMatch: "No line matches.",
    logLoading: "Reading the journal …",
    logFailed: why => `The journal cannot be read: ${why}`,
    logCapped: n => `Reading was stopped after ${size(n)}: the VM says too much for this page.`,
    logLabel: "Log lines",
};

/* What vspcd replies when it refuses, in words. */
export function explain(error) {
    const p = error.parameters ?? {};
    switch (error.name) {
    case "NoSuchVM":
        return `vspcd knows no VM "${p.vm}".`;
    case "AmbiguousVM":
        return `"${p.vm}" is the name of several VMs: ${p.uuids?.join(", ")}.`;
    case "AccessDenied": {
        const holders = (p.holders ?? []).map(holder => T.holds(holder.peer, holder.access, holder.since));
        const wanted = accessNames[p.access] ?? p.access ?? "Access";
        return `${wanted[0].toUpperCase()}${wanted.slice(1)} is refused${holders.length > 0 ? `: ${holders.join("; ")}` : ""}.`;
    }
    case "ClientLimitReached":
        return `The VM has as many clients as ClientLimit= in vspc.conf allows (${p.limit}).`;
    case "NotPermitted": {
        const who = p.who?.length > 0 ? ` These may: ${p.who.join(", ")}.` : "";
        return `You have no right to this${p.right ? ` (${p.right})` : ""}${p.vm ? ` at VM "${p.vm}"` : ""}.${who} If you are an ` +
            "administrator, turn on administrative access.";
    }
    case "NoSuchClient":
        return "This client is not connected any more.";
    case "SaidTooMuch":
        return "Too many messages in a short time: wait a few seconds.";
    case "VMConnected":
        return T.forgetConnected;
    case "TooManyMonitors":
        return `${p.limit} programs watch vspcd already, which is the limit.`;
    case "org.varlink.service.PermissionDenied":
        return "vspcd does not permit you to do this.";
    case "org.varlink.service.MethodNotFound":
        return "This vspcd cannot do that: it is older than this page.";
    case "Error":
        if (error.kind === "denied")
            return "You are not allowed to connect to vspcd.";
        return error.kind === "closed" ? "The connection to vspcd was lost." : error.message;
    default:
        return p.parameter ? `vspcd says ${error.name}: ${p.parameter}` : `vspcd says ${error.name}`;
    }
}
