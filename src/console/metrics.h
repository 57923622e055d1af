/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/time.h"

/*
 * Metrics: counters of a concentrator, from its beginning. They only grow.
 */
typedef struct Metrics {
        uint64_t started; /* usec since 1970 */

        uint64_t vm_connections;         /* links of which it became known which VM they are */
        uint64_t vm_connections_refused; /* links of which it did not */
        uint64_t clients;
        uint64_t clients_refused;
        uint64_t vmotions_begun, vmotions_completed, vmotions_aborted;

        uint64_t vm_bytes_received, vm_bytes_sent; /* serial data, before telnet's escapes */
        uint64_t client_bytes_sent;                /* the VMs' output, to all clients together */
        uint64_t client_bytes_skipped;             /* by clients that were too slow */

        uint64_t descriptor_refusals; /* connections of any kind, for want of descriptors */
        uint64_t ports_given_up;      /* to other VMs */
} Metrics;
