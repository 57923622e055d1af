/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "basic/text.h"
#include "message.h"
#include "sharing.h"

bool sharing_permits(Console *c, Act act, const Identity *who, const Client *client) {
        return identity_is_same(who, &client->record.peer.identity) || console_permits(c, act, who, NULL);
}

Client *console_find_client(Console *c, uint64_t number) {
        Client *client;

        DL_FOREACH(c->clients, client)
                if (client->record.number == number)
                        return client;

        return NULL;
}

/* Returns: the mode without its fallback. */
static AccessMode wanted_mode(const ClientRequest *request) {
        return request->access == ACCESS_MODE_FREE_FOR_ALL_FALLBACK ? ACCESS_MODE_FREE_FOR_ALL : request->access;
}

static bool is_in_the_way(const ClientRequest *request, const Client *client, const Client *except) {
        return client != except && access_obstructs(client->record.access, wanted_mode(request));
}

static void displace(Client *client, const ClientRequest *request) {
        const char *by = request->peer.text;

        console_log(client->console, LOG_NOTICE, VSPC_MESSAGE_CLIENT_TAKEN_OVER, by, "%s takes over from client %s", by,
                    client->record.peer.text);
        if (request->access != ACCESS_MODE_EXCLUSIVE) {
                client_restrict(client, "%s has taken over", by);
                return;
        }

        client_tell(client, "%s has taken over with exclusive access", by);
        client_close(client, CLIENT_E_DISPLACED);
}

bool sharing_may_take_over(Console *c, const ClientRequest *request, const Client *except) {
        const Client *client;

        DL_FOREACH(c->clients, client)
                if (is_in_the_way(request, client, except) &&
                    !sharing_permits(c, ACT_TAKE_OVER, &request->peer.identity, client))
                        return false;

        return true;
}

bool sharing_take_over(Console *c, const ClientRequest *request, const Client *except) {
        Client *client, *next;

        if (!sharing_may_take_over(c, request, except))
                return false;

        DL_FOREACH_SAFE(c->clients, client, next)
                if (is_in_the_way(request, client, except))
                        displace(client, request);

        return true;
}

/* Returns: the access that @request would give @client, which is not in its own way. */
static Access decide_anew(Console *c, const Client *client, const ClientRequest *request) {
        AccessHolders others = c->holders;

        others.n[client->record.access]--;
        return access_decide(request->access, &others);
}

ConsoleVerdict sharing_set_access(Console *c, Client *client, ClientRequest *request) {
        if (!sharing_permits(c, ACT_SET_ACCESS, &request->peer.identity, client)) {
                request->act = ACT_SET_ACCESS;
                return CONSOLE_FORBIDS;
        }

        /* The client gets no more than it has a right to, whoever requests it. */
        ConsoleVerdict verdict = console_permits_request(c, request, &client->record.peer.identity);
        if (verdict != CONSOLE_ADMITS)
                return verdict;

        request->granted = decide_anew(c, client, request);
        if (request->force && request->granted < (Access) wanted_mode(request)) {
                if (!sharing_take_over(c, request, client)) {
                        request->act = ACT_TAKE_OVER;
                        return CONSOLE_FORBIDS;
                }
                request->granted = decide_anew(c, client, request);
        }
        if (request->granted == ACCESS_NONE)
                return CONSOLE_DENIES_ACCESS;

        if (client->record.access == request->granted && client->record.access_mode == request->access)
                return CONSOLE_ADMITS;

        client_set_access(client, request->access, request->granted);
        console_log_limited(c, LOG_INFO, VSPC_MESSAGE_CLIENT_ACCESS_CHANGED, request->peer.text,
                            "client %s has %s access now, by %s", client->record.peer.text, access_to_text(request->granted),
                            request->peer.text);
        return CONSOLE_ADMITS;
}

void sharing_disconnect(Console *c, Client *client, const Peer *by) {
        console_log(c, LOG_NOTICE, VSPC_MESSAGE_CLIENT_BUMPED, by->text, "%s disconnects client %s", by->text,
                    client->record.peer.text);
        client_tell(client, "disconnected by %s", by->text);
        client_close(client, CLIENT_E_DISPLACED);
}

int sharing_say(Console *c, const Peer *by, const char *text) {
        _cleanup_free_ char *clean = text_sanitize(text, strlen(text), SHARING_TEXT_MAX);
        Client *client, *next;
        int n = 0;

        if (!clean)
                return -ENOMEM;
        if (console_right(c, &by->identity, NULL) < RIGHT_ADMIN &&
            !rate_limit_pass(&c->say_limit, concentrator_now(c->concentrator), SHARING_SAY_USEC, SHARING_SAY_MAX))
                return -EBUSY;

        /* Without brackets it cannot be mistaken for a notice of vspcd. */
        for (char *p = clean; (p = strpbrk(p, "[]"));)
                *p = *p == '[' ? '(' : ')';

        console_log_limited(c, LOG_INFO, VSPC_MESSAGE_SAID, by->text, "%s says to the clients: %s", by->text, clean);
        DL_FOREACH_SAFE(c->clients, client, next)
                n += client_hear(client, by->text, clean);
        console_changed(c);
        return n;
}
