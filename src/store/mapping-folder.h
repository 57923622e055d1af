/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mapping.h"

/*
 * Reads the former storage of Backend=file: a folder "mappings" with a file UUID.vm for each VM, which has the fields
 * of a mapping line on separate lines. It is read once, by the first start that finds the folder.
 */
#define MAPPING_FOLDER "mappings"

/* Calls @put with @state for each mapping in the folder MAPPING_FOLDER of @parent_fd. Invalid files are ignored
 * with a warning; @parent is the parent's path, for messages. Returns: 0; -ENOENT if there is no such folder; or
 * another negative errno, also one returned by @put. */
int mapping_folder_load(int parent_fd, const char *parent, int (*put)(void *state, const Mapping *mapping), void *state);
