/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "admin/metric.h"
#include "verbs.h"

/*
 * metrics: prints the reply of GetMetrics for a monitoring system: in OpenMetrics 1.0, where the name of a counter's family has
 * no _total, or in the older text format 0.0.4 of Prometheus, where it has. Metrics that the reply lacks are left out.
 */

static void print_value(const Metric *m, uint64_t value) {
        if (m->type == METRIC_TIME)
                printf("%" PRIu64 ".%06u", (uint64_t) (value / USEC_PER_SEC),
                        (unsigned) (value % USEC_PER_SEC));
        else
                printf("%" PRIu64, value);
}

static void print_metric(const Metric *m, uint64_t value, MetricsFormat format) {
        const char *total = m->type == METRIC_COUNTER ? "_total" : "";
        const char *in_family = format == METRICS_PROMETHEUS ? total : "";

        printf("# TYPE %s%s %s\n", m->family, in_family, m->type == METRIC_COUNTER ? "counter" : "gauge");
        if (m->unit && format == METRICS_OPENMETRICS)
                printf("# UNIT %s %s\n", m->family, m->unit);
        printf("# HELP %s%s %s.\n", m->family, in_family, m->help);
        printf("%s%s ", m->family, total);
        print_value(m, value);
        putchar('\n');
}

int verb_metrics(const Arguments *a) {
        _cleanup_(connection_done) Connection c = CONNECTION_INIT(&a->targets);
        _cleanup_reply_ VarlinkReply reply = {};
        uint64_t value;

        int r = connection_ask(&c, "GetMetrics", NULL, &reply);
        if (r < 0)
                return verb_failed(&c, r, NULL);

        if (a->metrics == METRICS_JSON)
                return verb_print_json(reply.parameters, a->json != JSON_OFF ? a->json : JSON_PRETTY);

        for (size_t i = 0; i < METRICS_N; i++)
                if (json_get_number(reply.parameters, metrics[i].key, &value))
                        print_metric(&metrics[i], value, a->metrics);

        if (a->metrics == METRICS_OPENMETRICS)
                puts("# EOF");
        return 0;
}
