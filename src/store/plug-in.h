/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store.h"

/*
 * Finds the backend of Backend=NAME or Backend=NAME:ARGUMENT: a built-in backend or a plug-in, see vspc-backend.h.
 */

/* Checks "NAME" or "NAME:ARGUMENT". NAME may contain only letters, digits and "-", because it becomes part of a
 * file name. */
bool backend_name_is_valid(const char *backend);

/* If there is no such backend, logs which file was looked for. A plug-in stays loaded. *ret_argument points into
 * @backend. Returns: 0 or a negative errno. */
int backend_find(const char *backend, const StoreBackend **ret, const char **ret_argument);
