/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/time.h"

/*
 * Metrics: counters since the creation of the concentrator. They only grow.
 */
typedef struct Metrics {
        uint64_t started; /* usec since 1970 */

        uint64_t vm_connections;         /* links that were identified */
        uint64_t vm_connections_refused; /* links that were closed before that */
        uint64_t clients;
        uint64_t clients_refused;
        uint64_t vmotions_begun, vmotions_completed, vmotions_aborted;

        uint64_t vm_bytes_received, vm_bytes_sent; /* serial data, without telnet's encoding */
        uint64_t client_bytes_sent;                /* output of VMs, to all clients together */
        uint64_t client_bytes_skipped;             /* output that clients skipped because they were too slow */

        uint64_t descriptor_refusals; /* connections refused because descriptors had run out */
        uint64_t ports_given_up;      /* ports given up for other VMs */
} Metrics;
