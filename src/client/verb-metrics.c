/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "verbs.h"

/*
 * metrics: the reply of GetMetrics as text for a monitoring system: OpenMetrics 1.0, in which a counter's
 * family is named without its _total, or the older text format 0.0.4 of Prometheus, in which it is not. What
 * the reply lacks is left out.
 */

typedef enum MetricType {
        METRIC_GAUGE,
        METRIC_COUNTER,
        METRIC_TIME, /* a gauge: microseconds in Varlink, seconds here */
} MetricType;

typedef struct Metric {
        const char *field;
        const char *name; /* of the family, without _total */
        MetricType type;
        const char *unit; /* with which the name ends, or NULL */
        const char *help;
} Metric;

static const Metric metrics[] = {
        {"startedAt", "vspc_start_time_seconds", METRIC_TIME, "seconds",
         "When vspcd was started, since 1970"},
        {"vms", "vspc_vms", METRIC_GAUGE, NULL, "VMs that are known"},
        {"vmsConnected", "vspc_vms_connected", METRIC_GAUGE, NULL, "VMs that are connected"},
        {"vmConnections", "vspc_vm_connections", METRIC_GAUGE, NULL, "Connections from ESXi hosts"},
        {"clients", "vspc_clients", METRIC_GAUGE, NULL, "Clients at consoles"},
        {"adminConnections", "vspc_admin_connections", METRIC_GAUGE, NULL,
         "Connections to the admin sockets"},
        {"descriptors", "vspc_descriptors", METRIC_GAUGE, NULL, "File descriptors in use"},
        {"descriptorLimit", "vspc_descriptors_max", METRIC_GAUGE, NULL, "File descriptors that may be used"},
        {"vmsAwaitingPort", "vspc_vms_awaiting_port", METRIC_GAUGE, NULL,
         "VMs that wait for a port, as all are taken"},
        {"portsClosed", "vspc_ports_closed", METRIC_GAUGE, NULL,
         "VMs that do not listen at their ports, as file descriptors are short"},
        {"vmConnectionsTotal", "vspc_vm_connections_accepted", METRIC_COUNTER, NULL,
         "Connections from ESXi hosts that were accepted"},
        {"vmConnectionsRefusedTotal", "vspc_vm_connections_refused", METRIC_COUNTER, NULL,
         "Connections from ESXi hosts, or from others to their port, that were refused"},
        {"clientsTotal", "vspc_clients_attached", METRIC_COUNTER, NULL,
         "Clients that have attached to a console"},
        {"clientsRefusedTotal", "vspc_clients_refused", METRIC_COUNTER, NULL, "Clients that were refused"},
        {"vmotionsBegunTotal", "vspc_vmotions_begun", METRIC_COUNTER, NULL, "vMotions that have begun"},
        {"vmotionsCompletedTotal", "vspc_vmotions_completed", METRIC_COUNTER, NULL,
         "vMotions that were completed"},
        {"vmotionsAbortedTotal", "vspc_vmotions_aborted", METRIC_COUNTER, NULL,
         "vMotions that were aborted"},
        {"vmBytesReceivedTotal", "vspc_vm_received_bytes", METRIC_COUNTER, "bytes", "Output of VMs"},
        {"vmBytesSentTotal", "vspc_vm_sent_bytes", METRIC_COUNTER, "bytes", "Input sent to VMs"},
        {"clientBytesSentTotal", "vspc_client_sent_bytes", METRIC_COUNTER, "bytes",
         "Output of VMs sent to clients"},
        {"clientBytesSkippedTotal", "vspc_client_skipped_bytes", METRIC_COUNTER, "bytes",
         "Output of VMs that clients have missed, being too slow"},
        {"connectionsRefusedForDescriptorsTotal", "vspc_connections_refused_for_descriptors", METRIC_COUNTER,
         NULL, "Connections refused because file descriptors had run out"},
        {"portsGivenUpTotal", "vspc_ports_given_up", METRIC_COUNTER, NULL,
         "Ports of VMs that were away and have given them up for others"},
        {"connectionMemoryBytes", "vspc_connection_memory_bytes", METRIC_GAUGE, "bytes",
         "Memory that connections take, as far as ConnectionMemoryMax= limits it"},
        {"connectionMemoryMaxBytes", "vspc_connection_memory_max_bytes", METRIC_GAUGE, "bytes",
         "ConnectionMemoryMax="},
        {"givenUpForMemoryTotal", "vspc_given_up_for_memory", METRIC_COUNTER, NULL,
         "Connections closed, or clients that missed output, because of ConnectionMemoryMax="},
};

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

        printf("# TYPE %s%s %s\n", m->name, in_family, m->type == METRIC_COUNTER ? "counter" : "gauge");
        if (m->unit && format == METRICS_OPENMETRICS)
                printf("# UNIT %s %s\n", m->name, m->unit);
        printf("# HELP %s%s %s.\n", m->name, in_family, m->help);
        printf("%s%s ", m->name, total);
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

        for (size_t i = 0; i < ELEMENTSOF(metrics); i++)
                if (json_get_number(reply.parameters, metrics[i].field, &value))
                        print_metric(&metrics[i], value, a->metrics);

        if (a->metrics == METRICS_OPENMETRICS)
                puts("# EOF");
        return 0;
}
