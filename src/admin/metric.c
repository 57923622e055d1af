/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/macro.h"
#include "metric.h"

#define METRIC(key, bus, family, type, unit, help, value) {key, bus, family, type, unit, help},
const Metric metrics[] = {
#include "metric-list.h"
};

static_assert(ELEMENTSOF(metrics) == METRICS_N, "METRICS_N is the number of rows");
