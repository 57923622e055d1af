/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * All metrics, one in each row. The file that includes this defines the macro METRIC(). Its arguments are: the metric's name
 * in Varlink's GetMetrics(), on D-Bus (or NULL) and in OpenMetrics (without "_total"); its type (MetricType); the unit at the
 * end of its name (or NULL); a description; and the expression for its value, in which c is the Concentrator, m its Metrics, n
 * its ConcentratorCounts, q its PortQueue, a its Account, and n_admin the number of admin connections.
 */

METRIC("startedAt", "StartedUSec", "vspc_start_time_seconds", METRIC_TIME, "seconds",
       "When vspcd was started, since 1970", m->started)
METRIC("vms", "VMs", "vspc_vms", METRIC_GAUGE, NULL,
       "VMs that are known", n->n_vms)
METRIC("vmsConnected", "ConnectedVMs", "vspc_vms_connected", METRIC_GAUGE, NULL,
       "VMs that are connected", n->n_connected)
METRIC("vmConnections", NULL, "vspc_vm_connections", METRIC_GAUGE, NULL,
       "Connections from ESXi hosts", n->n_links)
METRIC("clients", "Clients", "vspc_clients", METRIC_GAUGE, NULL,
       "Clients at consoles", n->n_clients)
METRIC("adminConnections", NULL, "vspc_admin_connections", METRIC_GAUGE, NULL,
       "Connections to the admin sockets", n_admin)
METRIC("descriptors", NULL, "vspc_descriptors", METRIC_GAUGE, NULL,
       "File descriptors in use", n->n_links + n->n_clients + n->n_half_closed + n->n_ports + n_admin)
METRIC("descriptorLimit", NULL, "vspc_descriptors_max", METRIC_GAUGE, NULL,
       "File descriptors that may be used", concentrator_descriptor_limit(c))
METRIC("vmsAwaitingPort", NULL, "vspc_vms_awaiting_port", METRIC_GAUGE, NULL,
       "VMs that wait for a port, as all are taken", q->n[PORT_LIST_AWAITED] + q->n[PORT_LIST_AWAITED_AWAY])
METRIC("portsClosed", NULL, "vspc_ports_closed", METRIC_GAUGE, NULL,
       "VMs that do not listen at their ports, as file descriptors are short",
       q->n[PORT_LIST_RESERVED] + q->n[PORT_LIST_RESERVED_AWAY])
METRIC("vmConnectionsTotal", "VMConnectionsTotal", "vspc_vm_connections_accepted", METRIC_COUNTER, NULL,
       "Connections from ESXi hosts that were accepted", m->vm_connections)
METRIC("vmConnectionsRefusedTotal", "VMConnectionsRefusedTotal", "vspc_vm_connections_refused", METRIC_COUNTER, NULL,
       "Connections from ESXi hosts, or from others to their port, that were refused",
       m->vm_connections_refused)
METRIC("clientsTotal", "ClientsTotal", "vspc_clients_attached", METRIC_COUNTER, NULL,
       "Clients that have attached to a console", m->clients)
METRIC("clientsRefusedTotal", "ClientsRefusedTotal", "vspc_clients_refused", METRIC_COUNTER, NULL,
       "Clients that were refused", m->clients_refused)
METRIC("vmotionsBegunTotal", "VMotionsBegunTotal", "vspc_vmotions_begun", METRIC_COUNTER, NULL,
       "vMotions that have begun", m->vmotions_begun)
METRIC("vmotionsCompletedTotal", "VMotionsCompletedTotal", "vspc_vmotions_completed", METRIC_COUNTER, NULL,
       "vMotions that were completed", m->vmotions_completed)
METRIC("vmotionsAbortedTotal", "VMotionsAbortedTotal", "vspc_vmotions_aborted", METRIC_COUNTER, NULL,
       "vMotions that were aborted", m->vmotions_aborted)
METRIC("vmBytesReceivedTotal", "VMBytesReceivedTotal", "vspc_vm_received_bytes", METRIC_COUNTER, "bytes",
       "Output of VMs", m->vm_bytes_received)
METRIC("vmBytesSentTotal", "VMBytesSentTotal", "vspc_vm_sent_bytes", METRIC_COUNTER, "bytes",
       "Input sent to VMs", m->vm_bytes_sent)
METRIC("clientBytesSentTotal", NULL, "vspc_client_sent_bytes", METRIC_COUNTER, "bytes",
       "Output of VMs sent to clients", m->client_bytes_sent)
METRIC("clientBytesSkippedTotal", NULL, "vspc_client_skipped_bytes", METRIC_COUNTER, "bytes",
       "Output of VMs that clients have missed, being too slow", m->client_bytes_skipped)
METRIC("connectionsRefusedForDescriptorsTotal", NULL, "vspc_connections_refused_for_descriptors", METRIC_COUNTER, NULL,
       "Connections refused because file descriptors had run out", m->descriptor_refusals)
METRIC("portsGivenUpTotal", NULL, "vspc_ports_given_up", METRIC_COUNTER, NULL,
       "Ports of VMs that were away and have given them up for others", m->ports_given_up)
METRIC("connectionMemoryBytes", NULL, "vspc_connection_memory_bytes", METRIC_GAUGE, "bytes",
       "Memory that connections take, as far as ConnectionMemoryMax= limits it", account_size(a))
METRIC("connectionMemoryMaxBytes", NULL, "vspc_connection_memory_max_bytes", METRIC_GAUGE, "bytes",
       "ConnectionMemoryMax=", account_max(a))
METRIC("givenUpForMemoryTotal", NULL, "vspc_given_up_for_memory", METRIC_COUNTER, NULL,
       "Connections closed, or clients that missed output, because of ConnectionMemoryMax=",
       account_n_given_up(a))

#undef METRIC
