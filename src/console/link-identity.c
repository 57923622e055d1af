/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finds out which VM a link belongs to: asks its host for UUIDs, and lets the link join the VM's console.
 *
 * Two VMs may have the same UUID and the same Port URI: copies made by hand, or VMs of two vCenters. When a link comes
 * whose VM has another name than the VM of a live link, both hosts are asked for the BIOS UUID. If the BIOS UUIDs differ,
 * the second VM is a "clone" and gets a console of its own, UUID~BIOS. The new link waits for both answers ("doubtful"),
 * for VM_IDENTITY_ANSWER_USEC at most. If these do not tell the VMs apart, it joins the existing console, and clients
 * and log are told that two VMs share it (console-clash.c). */

#include <utlist.h>

#include "basic/text.h"
#include "console-vmotion.h"
#include "link.h"
#include "message.h"

static void link_put_question(Link *l, VMwareCode question) {
        link_put(l, question, NULL, 0);
        if (l->state != LINK_DEAD)
                timeout_start(&l->concentrator->questions, &l->question);
}

static void link_ask_next(Link *l) {
        VMwareCode question;

        if (vm_identity_ask_next(&l->identity, &question))
                link_put_question(l, question);
}

/* Asks all questions at once, as vSPC.py has always done. UUID and name do not depend on the URI, and one round trip less
 * for each VM saves a quarter of all segments when all hosts connect at once. */
void link_ask(Link *l) {
        link_put(l, VMWARE_KNOWN_SUBOPTIONS_2, vmware_known, n_vmware_known);
        link_ask_next(l);
        link_put(l, VMWARE_GET_VM_NAME, NULL, 0);
}

bool link_is_same_port(const Link *a, const Link *b) {
        const uint8_t *x = vm_identity_get(&a->identity, VM_UUID_BIOS), *y = vm_identity_get(&b->identity, VM_UUID_BIOS);

        if (!a->uri || !b->uri || !streq(a->uri, b->uri))
                return false;

        return x && y ? memcmp(x, y, 16) == 0 : !a->name || !b->name || streq(a->name, b->name);
}

void link_leave_doubts(Link *l) {
        Console *console = TAKE_PTR(l->doubted_at);

        if (!console)
                return;

        DL_DELETE2(console->doubtful, l, console_prev, console_next);
        console->n_doubtful--;
}

static void link_enter_doubts(Link *l, Console *console) {
        if (console->n_doubtful >= CONSOLE_LINKS_MAX) {
                link_log(console->doubtful, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "is one of more than %u that say they are VM %s, closing it", CONSOLE_LINKS_MAX, console->id);
                link_end(console->doubtful);
        }

        l->doubted_at = console;
        DL_APPEND2(console->doubtful, l, console_prev, console_next);
        console->n_doubtful++;
}

void link_settle_doubts(Console *c) {
        /* Each link once: one that still has to wait goes to the end of the list. */
        for (unsigned n = c->n_doubtful; n > 0 && c->doubtful; n--)
                link_identify(c->doubtful);
}

/* Asks for the BIOS UUID unless that has been done. Returns: whether it is known whether there is one. */
static bool link_has_told_bios(Link *l) {
        VMwareCode question;

        if (vm_identity_ask(&l->identity, VM_UUID_BIOS, &question))
                link_put_question(l, question);

        return vm_identity_is_settled(&l->identity, VM_UUID_BIOS);
}

/* Finds a live link of another VM that has @l's UUID and URI. Returns: NULL if there is none, or if a link of @l's own VM
 * is live as well: then @l's VM has merely connected anew. */
static Link *console_find_other_vm(const Console *c, const Link *l) {
        Link *other = NULL, *m;

        DL_FOREACH2(c->links, m, console_next) {
                if (m->state != LINK_LIVE || !m->uri || !streq(m->uri, l->uri))
                        continue;
                if (link_is_same_port(m, l))
                        return NULL;
                other = m;
        }

        return other;
}

/* The same, and asks its host for the BIOS UUID. Asking may end the link: then the next one is tried. */
static Link *console_ask_other_vm(Console *c, const Link *l) {
        Link *other;

        while ((other = console_find_other_vm(c, l))) {
                if (!link_has_told_bios(other))
                        link_flush(other);
                if (other->state == LINK_LIVE)
                        break;
        }

        return other;
}

/* Whether @l's VM is a clone, that is, known by its UUID and BIOS UUID together. Its BIOS UUID must have been told.
 * @other: see console_ask_other_vm(). */
static bool link_is_clone(const Link *l, const Link *other, const char *clone_id) {
        Concentrator *c = l->concentrator;
        const uint8_t *uuid = vm_identity_uuid(&l->identity), *bios = vm_identity_get(&l->identity, VM_UUID_BIOS);
        const uint8_t *other_bios = other ? vm_identity_get(&other->identity, VM_UUID_BIOS) : NULL;

        if (other_bios && memcmp(bios, other_bios, 16) != 0)
                return true;

        /* It has been a clone before, perhaps at another of its serial ports. */
        return concentrator_find(c, clone_id) || (c->settings.multi_console && concentrator_has_clone(c, uuid, bios));
}

/* Finds the identity of @l's console; *ret_other: a live link of the VM that @l's VM is a clone of, or NULL.
 * Returns: 0; -EAGAIN if @l has to wait for answers, or has ended; -ENOMEM. */
static int link_find_identity(Link *l, char **ret_id, Link **ret_other) {
        Concentrator *c = l->concentrator;
        const uint8_t *uuid = vm_identity_uuid(&l->identity), *bios;
        _cleanup_free_ char *id = console_make_id(&c->settings, uuid, NULL, l->uri), *clone_id = NULL;
        if (!id)
                return -ENOMEM;

        Console *console = concentrator_find(c, id);
        Link *other = console ? console_ask_other_vm(console, l) : NULL;

        *ret_other = NULL;
        if (!other && !concentrator_has_clones(c, uuid)) {
                *ret_id = TAKE_PTR(id);
                return 0;
        }

        if (!link_has_told_bios(l) || l->state != LINK_HANDSHAKE)
                return -EAGAIN;
        if (other && !vm_identity_is_settled(&other->identity, VM_UUID_BIOS)) {
                link_enter_doubts(l, console);
                return -EAGAIN;
        }

        bios = vm_identity_get(&l->identity, VM_UUID_BIOS);
        if (bios) {
                clone_id = console_make_id(&c->settings, uuid, bios, l->uri);
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

static int link_find_or_make_console(Link *l, Console **ret) {
        Concentrator *c = l->concentrator;
        _cleanup_free_ char *id = NULL;
        Link *other;

        int r = link_find_identity(l, &id, &other);
        if (r < 0)
                return r;

        /* Opening a port may need a descriptor for which a slow handshake is given up: not this one. */
        timeout_stop(&l->timeout);

        Console *console = concentrator_find(c, id);
        if (console) {
                r = console_set_uri(console, l->uri);
                if (r < 0)
                        return r;

                timeout_stop(&console->orphaned); /* it is back */
                console_open_port(console);
                *ret = console;
                return 0;
        }

        r = console_new(c, id, vm_identity_uuid(&l->identity), l->name, l->uri, 0, ret);
        if (r >= 0 && other)
                console_log(*ret, LOG_WARNING, VSPC_MESSAGE_VM_SAME_UUID, l->peer,
                            "has the UUID of another VM, %s at %s: as their BIOS UUIDs differ, each has a console of its "
                            "own", other->console->name, other->peer);
        return r;
}

void link_identify(Link *l) {
        Console *console;

        if (l->state != LINK_HANDSHAKE || !l->uri || !vm_identity_uuid(&l->identity) || !l->name)
                return;

        link_leave_doubts(l);

        int r = link_find_or_make_console(l, &console);
        if (r == -EAGAIN)
                return;
        if (r < 0) {
                link_log(l, LOG_ERR, VSPC_MESSAGE_VM_REFUSED, "no memory for another console, closing it");
                link_end(l);
                return;
        }

        while (console->n_links >= CONSOLE_LINKS_MAX) { /* others may join in its place */
                console_log(console, LOG_WARNING, VSPC_MESSAGE_VM_DISCONNECTED, console->links->peer,
                            "has more than %u connections, closing the oldest", CONSOLE_LINKS_MAX);
                link_end(console->links);
        }

        bool has_another = console_speaker(console);
        console_add_link(console, l);
        link_go_live(l, NULL);

        const char *how = l->stream.tls ? tls_session_version(l->stream.tls) : "", *in = *how ? " in " : "";

        if (console->port > 0)
                console_log(console, LOG_INFO, VSPC_MESSAGE_VM_CONNECTED, l->peer,
                            "connected from %s%s%s, its clients use port %u", l->peer, in, how, console->port);
        else
                console_log(console, LOG_INFO, VSPC_MESSAGE_VM_CONNECTED, l->peer,
                            "connected from %s%s%s, it has no port for clients", l->peer, in, how);

        vmotion_link_came(console, l);
        console_pump(console);
        if (has_another) /* otherwise it counts as a VM that connects */
                concentrator_notify(l->concentrator, console, CONSOLE_CHANGED, NULL);
}

void link_will_proxy(Link *l) {
        if (l->state == LINK_HANDSHAKE && l->uri && vm_identity_uuid(&l->identity))
                link_put(l, VMWARE_WILL_PROXY, NULL, 0);
}

static void link_refuse_without_uuid(Link *l) {
        if (l->uri)
                link_wont_proxy(l);
        else
                link_end(l);
}

/* Acts on a change of what is known of the VM's UUIDs. @was_known: whether the UUID by which it is known was known before
 * the change. */
static void link_identity_changed(Link *l, bool was_known) {
        if (l->state != LINK_HANDSHAKE) {
                if (l->console) {
                        l->console->links_changed = true;
                        link_settle_doubts(l->console);
                }
                return;
        }

        if (vm_identity_is_hopeless(&l->identity)) {
                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "its host tells no UUID of the VM, neither instance nor BIOS nor location UUID, closing it");
                link_refuse_without_uuid(l);
                return;
        }

        if (!l->authenticating)
                link_ask_next(l);
        if (!was_known)
                link_will_proxy(l);
        link_identify(l);
}

void link_take_identity(Link *l, const VMwareSuboption *s) {
        const VmIdentity before = l->identity;

        if (vm_identity_handle(&l->identity, s) < 0 && l->state == LINK_HANDSHAKE) {
                _cleanup_free_ char *text = text_sanitize(s->data, s->size, 64);

                link_log(l, LOG_WARNING, VSPC_MESSAGE_VM_REFUSED,
                         "its VM-VC-UUID \"%s\" is not 32 hex digits, closing it", text ?: "");
                link_refuse_without_uuid(l);
                return;
        }

        if (memcmp(&l->identity, &before, sizeof before) == 0)
                return;
        if (!vm_identity_is_waiting(&l->identity))
                timeout_stop(&l->question);

        /* A vMotion's target is known by its secret; that its UUID is another is strange, but no more. */
        const uint8_t *vc_uuid = vm_identity_get(&l->identity, VM_UUID_VC);
        if (l->console && vc_uuid && !vm_identity_get(&before, VM_UUID_VC) && memcmp(vc_uuid, l->console->uuid, 16) != 0)
                link_log(l, LOG_NOTICE, NULL, "is said to have another UUID now, going on");

        link_identity_changed(l, vm_identity_uuid(&before));
}

void link_question_elapsed(Timeout *t) {
        Link *l = container_of(t, Link, question);
        bool was_known = vm_identity_uuid(&l->identity);

        link_log(l, LOG_DEBUG, NULL, "its host has not answered a question for a UUID");
        vm_identity_give_up(&l->identity);
        link_identity_changed(l, was_known);
        link_flush(l);
        if (l->console)
                console_settle(l->console);
}
