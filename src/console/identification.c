/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <utlist.h>

#include "console-vmotion.h"
#include "identification.h"
#include "message.h"
#include "suboptions.h"

void link_leave_doubts(Link *l) {
        Console *console = TAKE_PTR(l->doubted_at);

        if (!console)
                return;

        l->record.doubted_at = 0;
        DL_DELETE2(console->doubtful, l, console_prev, console_next);
        console->n_doubtful--;
}

static void link_enter_doubts(Link *l, Console *console) {
        if (console->n_doubtful >= CONSOLE_LINKS_MAX)
                link_close(console->doubtful, LINK_E_TOO_DOUBTFUL);

        l->doubted_at = console;
        l->record.doubted_at = console->record.number;
        DL_APPEND2(console->doubtful, l, console_prev, console_next);
        console->n_doubtful++;
}

void console_settle_doubts(Console *c) {
        /* Tries each link once: a link that must still wait is moved to the end of the list. */
        for (unsigned n = c->n_doubtful; n > 0 && c->doubtful; n--) {
                Link *l = c->doubtful;

                (void) link_judge(l, link_identify(l));
        }
}

/* Asks for the BIOS UUID, once. Returns: 0 or a negative errno. */
static int link_ask_bios(Link *l) {
        VMwareCode question;

        return vm_identity_ask(&l->record.identity, VM_UUID_BIOS, &question) ? link_ask_uuid(l, question) : 0;
}

/* Returns: whether the host has sent the BIOS UUID, has answered that there is none, or has not answered in time. */
static bool link_has_told_bios(const Link *l) {
        return vm_identity_is_settled(&l->record.identity, VM_UUID_BIOS);
}

/* Finds a live link of another VM that has @l's UUID and URI. Returns: NULL if there is none, or if a link of @l's own VM is
 * live, too: then @l's VM has only reconnected. */
static Link *console_find_other_vm(const Console *c, const Link *l) {
        Link *other = NULL, *m;

        DL_FOREACH2(c->links, m, console_next) {
                if (m->record.state != LINK_LIVE || !m->uri || !streq(m->uri, l->uri))
                        continue;
                if (link_is_same_port(m, l))
                        return NULL;
                other = m;
        }

        return other;
}

/* The same, and asks the host of that link for the BIOS UUID. If that closes the link, the next one is tried. */
static Link *console_ask_other_vm(Console *c, const Link *l) {
        Link *other;

        while ((other = console_find_other_vm(c, l)))
                if (link_judge(other, link_ask_bios(other)) && link_flush(other))
                        return other;

        return NULL;
}

/* Returns: whether @l's VM is a clone, which is identified by its UUID and BIOS UUID together. The BIOS UUID must be known.
 * @other: see console_ask_other_vm(). */
static bool link_is_clone(const Link *l, const Link *other, const char *clone_id) {
        Concentrator *c = l->concentrator;
        const uint8_t *uuid = vm_identity_uuid(&l->record.identity), *bios = vm_identity_get(&l->record.identity, VM_UUID_BIOS);
        const uint8_t *other_bios = other ? vm_identity_get(&other->record.identity, VM_UUID_BIOS) : NULL;

        if (other_bios && memcmp(bios, other_bios, 16) != 0)
                return true;

        /* It was a clone before, perhaps at another one of its serial ports. */
        return concentrator_find(c, clone_id) ||
               (concentrator_settings(c)->multi_console && concentrator_has_clone(c, uuid, bios));
}

/* *ret_id: the identity of @l's console; unchanged while @l must wait for answers. *ret_other: for a clone, a live link of the
 * other VM; unchanged if there is none. Returns: 0 or a negative errno. */
static int link_find_identity(Link *l, char **ret_id, Link **ret_other) {
        Concentrator *c = l->concentrator;
        const uint8_t *uuid = vm_identity_uuid(&l->record.identity), *bios;
        _cleanup_free_ char *id = console_make_id(concentrator_settings(c), uuid, NULL, l->uri), *clone_id = NULL;
        if (!id)
                return -ENOMEM;

        Console *console = concentrator_find(c, id);
        Link *other = console ? console_ask_other_vm(console, l) : NULL;

        if (!other && !concentrator_has_clone(c, uuid, NULL)) {
                *ret_id = TAKE_PTR(id);
                return 0;
        }

        int r = link_ask_bios(l);
        if (r < 0 || !link_has_told_bios(l))
                return r;
        if (other && !link_has_told_bios(other)) {
                link_enter_doubts(l, console);
                return 0;
        }

        bios = vm_identity_get(&l->record.identity, VM_UUID_BIOS);
        if (bios) {
                clone_id = console_make_id(concentrator_settings(c), uuid, bios, l->uri);
                if (!clone_id)
                        return -ENOMEM;
                if (link_is_clone(l, other, clone_id)) {
                        *ret_other = other;
                        *ret_id = TAKE_PTR(clone_id);
                        return 0;
                }
        }

        *ret_id = TAKE_PTR(id);
        return 0;
}

/* @id, @other: from link_find_identity(). Returns: 0 or a negative errno. */
static int link_find_or_make_console(Link *l, const char *id, const Link *other, Console **ret) {
        Concentrator *c = l->concentrator;

        /* Opening a port may close a slow handshake to get a descriptor. It must not be this one. */
        timeout_stop(&l->timeout);

        Console *console = concentrator_find(c, id);
        if (console) {
                *ret = console;
                return console_set_uri(console, l->uri);
        }

        int r = console_new(c, id, vm_identity_uuid(&l->record.identity), l->name, l->uri, 0, ret);
        if (r >= 0 && other)
                console_log(*ret, LOG_WARNING, VSPC_MESSAGE_VM_SAME_UUID, l->record.peer,
                            "has the UUID of another VM, %s at %s: as their BIOS UUIDs differ, each has a console of its "
                            "own", other->console->name, other->record.peer);
        return r;
}

/* @away: how long the VM was away, if that has not been logged; otherwise 0 */
static void link_log_connected(const Link *l, usec_t away) {
        const char *how = l->telnet.stream.tls ? tls_session_version(l->telnet.stream.tls) : "", *in = *how ? " in " : "";
        char port[64] = "it has no port for clients", gone[64] = "";

        if (l->console->port > 0)
                snprintf(port, sizeof port, "its clients use port %u", l->console->port);
        if (away > 0)
                snprintf(gone, sizeof gone, "; it was away for %.1f s", (double) away / USEC_PER_SEC);
        link_log(l, LOG_INFO, VSPC_MESSAGE_VM_CONNECTED, "connected from %s%s%s, %s%s", l->record.peer, in, how, port, gone);
}

int link_identify(Link *l) {
        _cleanup_free_ char *id = NULL;
        Console *console;
        Link *other = NULL;

        if (l->record.state != LINK_HANDSHAKE || !l->uri || !vm_identity_uuid(&l->record.identity) || !l->name)
                return 0;

        link_leave_doubts(l);

        int r = link_find_identity(l, &id, &other);
        if (r < 0 || !id)
                return r;

        r = link_find_or_make_console(l, id, other, &console);
        if (r < 0)
                return r;

        if (console->n_links >= CONSOLE_LINKS_MAX)
                link_close(console->links, LINK_E_TOO_MANY);

        bool has_another = console_active_link(console);
        usec_t away = console_end_absence(console);
        console_add_link(console, l);
        console_open_port(console);
        console_announce(console);
        link_go_live(l, NULL);

        link_log_connected(l, away);
        vmotion_link_came(console, l);
        if (has_another) /* otherwise observers are told CONSOLE_CONNECTED */
                console_has_news(console);
        return 0;
}
