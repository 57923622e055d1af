/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rights at a console: asks Rights who may do what, and checks clients again when the sections or the VM's name change. */

#include <utlist.h>

#include "message.h"
#include "sharing.h"

void concentrator_set_rights(Concentrator *c, Rights *rights) {
        Rights *mine = concentrator_rights(c);
        uint64_t generation = mine->generation + 1;

        rights_done(mine);
        *mine = TAKE(*rights, (Rights){});
        mine->generation = generation;
        for (Console *console = concentrator_consoles(c); console; console = console->handle.next)
                concentrator_queue_patient(c, console);
}

const RightsSet *console_rights(Console *c) {
        const Rights *r = concentrator_rights(c->concentrator);

        if (c->rights.generation != r->generation)
                c->rights = (Asker){rights_of_vm(r, c->name, c->uuid_text), r->generation};

        return &c->rights.sections;
}

Right console_right(Console *c, const Identity *who, Asker *asker) {
        const Rights *r = concentrator_rights(c->concentrator);
        Asker once = {};

        asker = asker ?: &once;
        if (asker->generation != r->generation)
                *asker = (Asker){rights_of_who(r, who), r->generation};

        return rights_decide(r, who, &asker->sections, console_rights(c));
}

bool console_permits(Console *c, Act act, const Identity *who, Asker *asker) {
        return console_right(c, who, asker) >= rights_act_needs(act);
}

/* Returns: the act that the request needs a right to. A request for free-for-all-fallback becomes one for read-only if @right
 * does not permit to write. */
static Act attach_as_permitted(ClientRequest *request, Right right) {
        switch (request->access) {

        case ACCESS_MODE_READ_ONLY:
                return ACT_WATCH;

        case ACCESS_MODE_WRITE:
        case ACCESS_MODE_EXCLUSIVE:
                return ACT_LOCK;

        case ACCESS_MODE_FREE_FOR_ALL_FALLBACK:
                if (right >= rights_act_needs(ACT_WRITE))
                        return ACT_WRITE;
                request->access = ACCESS_MODE_READ_ONLY;
                return ACT_WATCH;

        default:
                return ACT_WRITE;
        }
}

ConsoleVerdict console_permits_request(Console *c, ClientRequest *request, const Identity *who) {
        Right right = console_right(c, who, NULL);

        request->right = right;
        request->act = attach_as_permitted(request, right);
        return right < rights_act_needs(request->act) ? CONSOLE_FORBIDS : CONSOLE_ADMITS;
}

ConsoleVerdict console_admit(Console *c, ClientRequest *request) {
        uint32_t limit = concentrator_settings(c->concentrator)->client_limit;

        if (console_permits_request(c, request, &request->peer.identity) == CONSOLE_FORBIDS)
                return CONSOLE_FORBIDS;

        /* Displace nobody if the client cannot come anyway. With exclusive access all others go, so it can. */
        if (request->force && request->access != ACCESS_MODE_EXCLUSIVE && limit > 0 && c->n_clients >= limit)
                return CONSOLE_IS_FULL;

        if (request->force && !sharing_take_over(c, request, NULL)) {
                request->act = ACT_TAKE_OVER;
                return CONSOLE_FORBIDS;
        }

        request->granted = access_decide(request->access, &c->holders);
        if (request->granted == ACCESS_NONE)
                return CONSOLE_DENIES_ACCESS;

        return limit > 0 && c->n_clients >= limit ? CONSOLE_IS_FULL : CONSOLE_ADMITS;
}

/* A right granted by polkit ends here: polkit decided it for the previous name and sections. */
static void decide_again(Console *c, Client *client) {
        client->record.peer.identity.vouched = RIGHT_NONE;
        Right right = console_right(c, &client->record.peer.identity, NULL);

        client->right = right;
        if (right < rights_act_needs(ACT_WATCH)) {
                console_log(c, LOG_NOTICE, VSPC_MESSAGE_CLIENT_RIGHTS_CHANGED, client->record.peer.text,
                            "client %s may not use this VM any more and is disconnected", client->record.peer.text);
                client_close(client, CLIENT_E_FORBIDDEN);
        } else if (right < rights_act_needs(ACT_WRITE) && client->record.access > ACCESS_READ_ONLY) {
                console_log(c, LOG_NOTICE, VSPC_MESSAGE_CLIENT_RIGHTS_CHANGED, client->record.peer.text,
                            "client %s may only read from now on", client->record.peer.text);
                client_restrict(client, "you may only read from now on");
        } else if (right < rights_act_needs(ACT_WRITE))
                client->record.access_mode = ACCESS_MODE_READ_ONLY; /* it must not get write access when a lock is released */
}

void console_settle_rights(Console *c) {
        uint64_t generation = concentrator_rights(c->concentrator)->generation;
        Client *client, *next;

        if (c->rights_enforced == generation)
                return;

        c->rights_enforced = generation;
        DL_FOREACH_SAFE(c->clients, client, next)
                decide_again(c, client);
        DL_FOREACH_SAFE(c->half_closed, client, next)
                decide_again(c, client);
}
