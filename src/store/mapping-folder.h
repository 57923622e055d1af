/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mapping.h"

/*
 * How Backend=file kept mappings before it had one file for all: one a VM, UUID.vm in the folder "mappings", in which
 * the fields of a mapping line stood on a line each. They are read once, by the first start that finds them.
 */
#define MAPPING_FOLDER "mappings"

/* Calls @put with @state for each mapping in the folder of that name in @parent_fd. Files that are no mapping are passed
 * over with a warning; @parent is the parent's path, for messages. Returns: 0, -ENOENT if there is no such folder, or
 * another negative errno, that of @put included. */
int mapping_folder_load(int parent_fd, const char *parent, int (*put)(void *state, const Mapping *mapping), void *state);
