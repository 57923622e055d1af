/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "arguments.h"
#include "varlink.h"

/*
 * The reply of GetMetrics as text for a monitoring system: OpenMetrics 1.0, in which a counter's family is
 * named without its _total, or the older text format 0.0.4 of Prometheus, in which it is not. What the reply
 * lacks is left out.
 */
void metrics_print(FILE *f, const json_t *parameters, MetricsFormat format);
