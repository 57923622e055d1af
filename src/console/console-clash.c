/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A clash: two VMs share a console, because they have the same UUID and Port URI, and their BIOS UUIDs do not distinguish them
 * (see identification.h). Clients see the output of both, and both get the input. Clients, the log and admin interfaces are
 * told. The clash ends when one of the VMs closes its connection, gets the name of the other VM, or turns out to be a
 * connection that its host has lost. */

#include <stdio.h>

#include "basic/text.h"
#include "link.h"
#include "message.h"

#define NAME_SHOWN_MAX 32U

/* Returns: the length of an address without its port. */
static size_t host_size(const char *peer) {
        const char *colon = strrchr(peer, ':');

        return colon ? (size_t) (colon - peer) : strlen(peer);
}

static bool links_have_one_host(const Link *a, const Link *b) {
        size_t n = host_size(a->record.peer);

        return n == host_size(b->record.peer) && memcmp(a->record.peer, b->record.peer, n) == 0;
}

/* Returns: whether the host has lost the older connection, because it only answers on the newer one. Then both belong to one VM
 * that has been renamed and has reconnected. */
static bool link_is_lost(const Link *older, const Link *newer) {
        return older->record.identity.uuids[VM_UUID_BIOS].state == VM_UUID_SILENT &&
               newer->record.identity.uuids[VM_UUID_BIOS].state == VM_UUID_TOLD && links_have_one_host(older, newer);
}

static bool links_clash(const Link *older, const Link *newer) {
        return older->record.state == LINK_LIVE && newer->record.state == LINK_LIVE && older->uri && newer->uri &&
               older->name && newer->name && streq(older->uri, newer->uri) && !streq(older->name, newer->name) &&
               !link_is_lost(older, newer);
}

static bool console_find_clash(const Console *c, const Link **ret_older, const Link **ret_newer) {
        for (const Link *older = c->links; older; older = older->console_next)
                for (const Link *newer = older->console_next; newer; newer = newer->console_next)
                        if (links_clash(older, newer)) {
                                *ret_older = older;
                                *ret_newer = newer;
                                return true;
                        }

        return false;
}

const char *console_describe_clash(const Console *c, char buffer[static CONSOLE_CLASH_TEXT_MAX]) {
        const Link *a, *b;

        if (!c->clash || !console_find_clash(c, &a, &b))
                return NULL;

        snprintf(buffer, CONSOLE_CLASH_TEXT_MAX,
                 "two VMs have this UUID and share this console, both get what is typed: give one of them a new UUID; "
                 "they are %.*s (host %s) and %.*s (host %s)", (int) text_fit(a->name, NAME_SHOWN_MAX), a->name, a->record.peer,
                 (int) text_fit(b->name, NAME_SHOWN_MAX), b->name, b->record.peer);
        return buffer;
}

void console_settle_clash(Console *c) {
        char text[CONSOLE_CLASH_TEXT_MAX];
        const Link *a, *b;

        if (!TAKE(c->links_changed, false) || console_find_clash(c, &a, &b) == c->clash)
                return;

        c->clash = !c->clash;
        if (c->clash)
                console_log_limited(c, LOG_WARNING, VSPC_MESSAGE_VM_SAME_UUID, NULL, "%s", console_describe_clash(c, text));
        else
                console_log_limited(c, LOG_INFO, NULL, NULL, "no longer shares its console with another VM");

        console_has_news(c);
}
