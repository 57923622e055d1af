/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/*
 * Metric: a number for monitoring systems. metric-list.h declares each metric once, for Varlink, D-Bus and OpenMetrics.
 */
typedef enum MetricType {
        METRIC_GAUGE,
        METRIC_COUNTER,
        METRIC_TIME, /* a gauge: microseconds since 1970; in OpenMetrics seconds */
} MetricType;

/* A row of metric-list.h, without the value */
typedef struct Metric {
        const char *key;    /* in Varlink */
        const char *bus;    /* on D-Bus, or NULL */
        const char *family; /* in OpenMetrics, without "_total" */
        MetricType type;
        const char *unit; /* at the end of its name, or NULL */
        const char *help;
} Metric;

#define METRICS_N 26U
extern const Metric metrics[METRICS_N];
