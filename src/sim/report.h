/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "basic/parse.h"

/*
 * Report: counters and measurements of a simulation, and their output at its end.
 */

/* Durations for computing percentiles. Only the first million is kept. */
#define SAMPLES_MAX 1000000U

typedef struct Samples {
        uint32_t *usec;
        size_t n, allocated;
        bool sorted;
} Samples;

void samples_add(Samples *s, usec_t duration);
/* Returns: milliseconds; 0 if there are none. */
double samples_percentile_ms(Samples *s, double percent);
void samples_clear(Samples *s);

typedef struct Report {
        unsigned vms, connected; /* connected: WILL-PROXY was received and the name was sent */
        uint64_t handshakes_done, handshakes_failed;
        usec_t first_attempt_usec, last_handshake_usec; /* of the first as many handshakes as there are VMs; CLOCK_MONOTONIC */
        Samples handshake;

        uint64_t lost, dropped; /* connections closed by the concentrator, and by us */

        uint64_t vmotions_begun, vmotions_completed, vmotions_aborted, vmotions_refused, vmotions_failed;
        Samples goahead;

        uint64_t bytes_sent, bytes_received, breaks;
        uint64_t hash_sent, hash_received; /* FNV-1a; only if there is one VM */

        uint64_t violations; /* of the protocol, by the concentrator */
        bool failed;         /* a handshake has failed, and its VM has not connected since */
} Report;

typedef enum ReportFormat {
        REPORT_TEXT,
        REPORT_JSON,
} ReportFormat;

void report_init(Report *r, unsigned vms);
void report_done(Report *r);

/* Counts a completed handshake that has begun at @since. */
void report_handshake(Report *r, usec_t since);
/* Only the first handshake of each VM is counted, not reconnects. */
double report_handshakes_per_second(const Report *r);
void report_print(Report *r, FILE *f, ReportFormat format);
