/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "metrics-format.h"
#include "verbs.h"

int verb_metrics(const Arguments *a) {
        _cleanup_(connection_freep) Connection *c = NULL;
        _cleanup_reply_ VarlinkReply reply = {};

        int r = verb_connect(a, &c);
        if (r < 0)
                return r;

        r = connection_ask(c, "GetMetrics", NULL, &reply);
        if (r < 0)
                return verb_failed(c, r);
        if (reply.error)
                return verb_refused(c, &reply, NULL);

        if (a->metrics == METRICS_JSON)
                return verb_print_json(reply.parameters, a->json != JSON_OFF ? a->json : JSON_PRETTY);

        metrics_print(stdout, reply.parameters, a->metrics);
        return 0;
}
