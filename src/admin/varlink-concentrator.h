/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "varlink-connection.h"

/*
 * org.vspc.Concentrator: what the concentrator can be asked for and told over Varlink. Its definition is
 * org.vspc.Concentrator.varlink.
 */
extern const VarlinkInterface varlink_concentrator;

/* See admin_reloaded(). */
void varlink_concentrator_reloaded(VarlinkServer *s, uint64_t number, int result, char *const *problems, size_t n);
