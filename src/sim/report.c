/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "basic/hash.h"
#include "report.h"

void samples_add(Samples *s, usec_t duration) {
        if (s->n >= SAMPLES_MAX)
                return;

        if (s->n == s->allocated) {
                size_t allocated = MAX(2 * s->allocated, (size_t) 256);
                uint32_t *usec = reallocarray(s->usec, allocated, sizeof *usec);
                if (!usec)
                        return;

                s->usec = usec;
                s->allocated = allocated;
        }

        s->usec[s->n++] = (uint32_t) MIN(duration, (usec_t) UINT32_MAX);
        s->sorted = false;
}

static int compare(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

        return (x > y) - (x < y);
}

double samples_percentile_ms(Samples *s, double percent) {
        if (s->n == 0)
                return 0;

        if (!s->sorted)
                qsort(s->usec, s->n, sizeof *s->usec, compare);
        s->sorted = true;

        /* Nearest rank */
        size_t rank = (size_t) ((double) s->n * percent / 100.0 + 0.999999);
        rank = MAX(rank, (size_t) 1);
        return s->usec[MIN(rank, s->n) - 1] / 1000.0;
}

void samples_clear(Samples *s) {
        free(s->usec);
        *s = (Samples){};
}

void report_init(Report *r, unsigned vms) {
        *r = (Report){.vms = vms, .hash_sent = FNV1A_BEGIN, .hash_received = FNV1A_BEGIN};
}

void report_done(Report *r) {
        samples_clear(&r->handshake);
        samples_clear(&r->goahead);
}

void report_handshake(Report *r, usec_t since) {
        usec_t now = now_monotonic();

        samples_add(&r->handshake, now - since);
        if (++r->handshakes_done <= r->vms)
                r->last_handshake_usec = now;
}

double report_handshakes_per_second(const Report *r) {
        if (r->last_handshake_usec <= r->first_attempt_usec)
                return 0;

        return (double) MIN(r->handshakes_done, (uint64_t) r->vms) * (double) USEC_PER_SEC /
               (double) (r->last_handshake_usec - r->first_attempt_usec);
}

static void print_json(Report *r, FILE *f) {
        Samples *h = &r->handshake, *g = &r->goahead;

        fprintf(f,
                "{\"vms\":%u,\"connected\":%u,"
                "\"handshakes_done\":%" PRIu64 ",\"handshakes_failed\":%" PRIu64 ","
                "\"handshakes_per_second\":%.1f,\"handshake_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f},"
                "\"connections_lost\":%" PRIu64 ",\"connections_dropped\":%" PRIu64 ",",
                r->vms, r->connected, r->handshakes_done, r->handshakes_failed,
                report_handshakes_per_second(r), samples_percentile_ms(h, 50), samples_percentile_ms(h, 99),
                samples_percentile_ms(h, 100), r->lost, r->dropped);
        fprintf(f,
                "\"vmotions_begun\":%" PRIu64 ",\"vmotions_completed\":%" PRIu64 ","
                "\"vmotions_aborted\":%" PRIu64 ",\"vmotions_refused\":%" PRIu64 ",\"vmotions_failed\":%" PRIu64 ","
                "\"goahead_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f},",
                r->vmotions_begun, r->vmotions_completed, r->vmotions_aborted, r->vmotions_refused,
                r->vmotions_failed, samples_percentile_ms(g, 50), samples_percentile_ms(g, 99),
                samples_percentile_ms(g, 100));
        fprintf(f, "\"bytes_sent\":%" PRIu64 ",\"bytes_received\":%" PRIu64 ",\"breaks\":%" PRIu64 ",",
                r->bytes_sent, r->bytes_received, r->breaks);
        if (r->vms == 1)
                fprintf(f, "\"fnv1a_sent\":\"%016" PRIx64 "\",\"fnv1a_received\":\"%016" PRIx64 "\",",
                        r->hash_sent, r->hash_received);
        fprintf(f, "\"violations\":%" PRIu64 ",\"failed\":%s}\n", r->violations,
                r->failed ? "true" : "false");
}

static void print_text(Report *r, FILE *f) {
        fprintf(f,
                "VMs: %u of %u connected; handshakes: %" PRIu64 " done (%.0f/s, p99 %.1f ms), %" PRIu64
                " failed\n",
                r->connected, r->vms, r->handshakes_done, report_handshakes_per_second(r),
                samples_percentile_ms(&r->handshake, 99), r->handshakes_failed);
        fprintf(f, "Connections: %" PRIu64 " lost, %" PRIu64 " dropped on purpose\n", r->lost, r->dropped);

        if (r->vmotions_begun > 0)
                fprintf(f,
                        "vMotions: %" PRIu64 " begun, %" PRIu64 " completed, %" PRIu64 " aborted, %" PRIu64
                        " refused, %" PRIu64 " failed; "
                        "GOAHEAD after p50 %.3f ms, p99 %.3f ms, at most %.3f ms\n",
                        r->vmotions_begun, r->vmotions_completed, r->vmotions_aborted, r->vmotions_refused,
                        r->vmotions_failed, samples_percentile_ms(&r->goahead, 50),
                        samples_percentile_ms(&r->goahead, 99), samples_percentile_ms(&r->goahead, 100));

        fprintf(f, "Bytes: %" PRIu64 " sent, %" PRIu64 " received; breaks: %" PRIu64 "\n", r->bytes_sent,
                r->bytes_received, r->breaks);
        if (r->vms == 1)
                fprintf(f, "FNV-1a: %016" PRIx64 " sent, %016" PRIx64 " received\n", r->hash_sent,
                        r->hash_received);
        if (r->violations > 0)
                fprintf(f, "The concentrator broke the protocol %" PRIu64 " times.\n", r->violations);
}

void report_print(Report *r, FILE *f, ReportFormat format) {
        if (format == REPORT_JSON)
                print_json(r, f);
        else
                print_text(r, f);

        (void) fflush(f);
}
