/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store.h"

/*
 * Which backend Backend=NAME or Backend=NAME:ARGUMENT means: one that is built in, or a plug-in, see vspc-backend.h.
 */

/* Of "NAME:ARGUMENT". NAME is letters, digits and "-" only: it becomes part of a file's name. */
bool backend_name_is_valid(const char *backend);

/* Logs what was looked for where if there is none. A plug-in stays loaded. Returns: 0 or a negative errno.
 * *ret_argument points into @backend. */
int backend_find(const char *backend, const StoreBackend **ret, const char **ret_argument);
