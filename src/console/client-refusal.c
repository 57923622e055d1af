/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <time.h>

#include "client-refusal.h"
#include "message.h"

const char *client_describe_hold(const Client *c, char buffer[static CLIENT_HOLD_TEXT_MAX]) {
        time_t since = (time_t) (c->record.since / USEC_PER_SEC);
        char text[sizeof("2026-11-22 10:15:03 UTC")] = "?";
        struct tm tm;

        /* Not the local time: for that the C library would look at a file each time. */
        if (gmtime_r(&since, &tm))
                (void) strftime(text, sizeof text, "%F %T UTC", &tm);

        snprintf(buffer, CLIENT_HOLD_TEXT_MAX, "%s has %s access since %s", c->record.peer.text,
                 access_to_text(c->record.access), text);
        return buffer;
}

/* Writes why a client is not admitted, in words that follow "refused: ". */
static void describe_refusal(const Console *console, AccessMode mode, ConsoleVerdict verdict,
                             char text[static CLIENT_HOLD_TEXT_MAX]) {
        const Client *holder = console_next_obstacle(console, mode, NULL);

        if (verdict == CONSOLE_DENIES_ACCESS && holder)
                client_describe_hold(holder, text);
        else
                snprintf(text, CLIENT_HOLD_TEXT_MAX, "this VM has %u clients already",
                         console->n_clients);
}

void client_log_refusal(const Console *console, const ClientRequest *request, ConsoleVerdict verdict) {
        char why[CLIENT_HOLD_TEXT_MAX];

        concentrator_metrics(console->concentrator)->clients_refused++;
        describe_refusal(console, request->access, verdict, why);
        console_log(console, LOG_NOTICE, VSPC_MESSAGE_CLIENT_REFUSED, request->peer.text,
                    "client %s refused: %s%s", request->peer.text, why,
                    verdict == CONSOLE_IS_FULL ? ", as many as ClientLimit= allows" : "");
}

void client_refuse(Console *console, int fd, const ClientRequest *request, ConsoleVerdict verdict) {
        char why[CLIENT_HOLD_TEXT_MAX], text[CLIENT_HOLD_TEXT_MAX + 32];

        client_log_refusal(console, request, verdict);
        describe_refusal(console, request->access, verdict, why);
        snprintf(text, sizeof text, "[vspc: refused, %s]\r\n", why);
        closer_take_fd(concentrator_closer(console->concentrator), fd, text);
}
