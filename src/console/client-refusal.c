/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <time.h>

#include "basic/text.h"
#include "client-refusal.h"
#include "message.h"

/* The maximum of permitted people that a message names, and the maximum bytes of each name */
#define HOLDERS_SHOWN_MAX 4U
#define HOLDER_TEXT_MAX 80U

#define REFUSAL_TEXT_MAX (REFUSAL_WHO_TEXT_MAX + 128U)

static_assert(REFUSAL_TEXT_MAX >= CLIENT_HOLD_TEXT_MAX, "the text of client_describe_hold() fits");
static_assert(REFUSAL_WHO_TEXT_MAX >= 32 + HOLDERS_SHOWN_MAX * (HOLDER_TEXT_MAX + 2) + 16, "all names fit");

const char *client_describe_hold(const Client *c, char buffer[static CLIENT_HOLD_TEXT_MAX]) {
        time_t since = (time_t) (c->record.since / USEC_PER_SEC);
        char text[sizeof("2026-11-22 10:15:03 UTC")] = "?";
        struct tm tm;

        /* UTC, because for local time the C library would check a file each time. */
        if (gmtime_r(&since, &tm))
                (void) strftime(text, sizeof text, "%F %T UTC", &tm);

        snprintf(buffer, CLIENT_HOLD_TEXT_MAX, "%s has %s access since %s", c->record.peer.text,
                 access_to_text(c->record.access), text);
        return buffer;
}

const char *console_describe_permitted(Console *c, Act act, char buffer[static REFUSAL_WHO_TEXT_MAX]) {
        const Rights *r = concentrator_rights(c->concentrator);
        const char *who[HOLDERS_SHOWN_MAX + 1];
        size_t n = rights_holders(r, console_rights(c), rights_act_needs(act), who, ELEMENTSOF(who));
        size_t used = (size_t) snprintf(buffer, REFUSAL_WHO_TEXT_MAX, "root and group vspc");

        for (size_t i = 0; i < MIN(n, (size_t) HOLDERS_SHOWN_MAX); i++)
                used += (size_t) snprintf(buffer + used, REFUSAL_WHO_TEXT_MAX - used, ", %.*s",
                                          (int) text_fit(who[i], HOLDER_TEXT_MAX), who[i]);
        if (n > HOLDERS_SHOWN_MAX)
                (void) snprintf(buffer + used, REFUSAL_WHO_TEXT_MAX - used, " and others");

        return buffer;
}

/* Writes why a client is not admitted, in words that follow "refused: ". */
static void describe_refusal(Console *console, const ClientRequest *request, ConsoleVerdict verdict,
                             char text[static REFUSAL_TEXT_MAX]) {
        const Client *holder = console_next_obstacle(console, request->access, NULL);
        char who[REFUSAL_WHO_TEXT_MAX];

        if (verdict == CONSOLE_FORBIDS)
                snprintf(text, REFUSAL_TEXT_MAX, "no right to %s; that may %s", rights_act_text(request->act),
                         console_describe_permitted(console, request->act, who));
        else if (verdict == CONSOLE_DENIES_ACCESS && holder)
                client_describe_hold(holder, text);
        else
                snprintf(text, REFUSAL_TEXT_MAX, "this VM has %u clients already",
                         console->n_clients);
}

void client_log_refusal(Console *console, const ClientRequest *request, ConsoleVerdict verdict) {
        char why[REFUSAL_TEXT_MAX];

        concentrator_metrics(console->concentrator)->clients_refused++;
        describe_refusal(console, request, verdict, why);
        if (verdict == CONSOLE_FORBIDS && !console_may_log(console))
                return; /* otherwise people without rights could fill the log */
        console_log(console, LOG_NOTICE, VSPC_MESSAGE_CLIENT_REFUSED, request->peer.text,
                    "client %s refused: %s%s", request->peer.text, why,
                    verdict == CONSOLE_IS_FULL ? ", as many as ClientLimit= allows" : "");
}

void console_log_not_permitted(Console *c, Act act, const Peer *by) {
        char who[REFUSAL_WHO_TEXT_MAX];

        console_log_limited(c, LOG_NOTICE, VSPC_MESSAGE_NOT_PERMITTED, by->text, "%s has no right to %s; that may %s", by->text,
                            rights_act_text(act), console_describe_permitted(c, act, who));
}

void client_refuse(Console *console, int fd, const ClientRequest *request, ConsoleVerdict verdict) {
        char why[REFUSAL_TEXT_MAX], text[REFUSAL_TEXT_MAX + 32];

        client_log_refusal(console, request, verdict);
        describe_refusal(console, request, verdict, why);
        if (verdict == CONSOLE_FORBIDS && !console_permits(console, ACT_LIST, &request->peer.identity, NULL))
                snprintf(why, sizeof why, "no right to use this port");
        snprintf(text, sizeof text, "[vspc: refused, %s]\r\n", why);
        closer_take_fd(concentrator_closer(console->concentrator), fd, text);
}
