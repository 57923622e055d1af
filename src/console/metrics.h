/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/time.h"

/*
 * Metrics: what a concentrator has counted since it came to be. They only ever grow.
 */
typedef struct Metrics {
        uint64_t started; /* usec since 1970 */

        uint64_t vm_connections;         /* links that have become a VM's */
        uint64_t vm_connections_refused; /* connections to the VM port that have not */
        uint64_t clients;
        uint64_t clients_refused;
        uint64_t vmotions_begun, vmotions_completed, vmotions_aborted;

        uint64_t vm_bytes_received, vm_bytes_sent; /* serial data, before telnet's escapes */
        uint64_t client_bytes_sent;                /* the VMs' output, to all clients together */
        uint64_t client_bytes_skipped;             /* by clients that were too slow */

        uint64_t descriptor_refusals; /* connections of any kind, for want of descriptors */
        uint64_t ports_given_up;      /* to other VMs */
} Metrics;
