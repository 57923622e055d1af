/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/buffer.h"
#include "mapping.h"

/*
 * MappingFile: a mapping as a small text file, for people to read and for scripts to write:
 *
 *     VERSION=1
 *     ID=50123456-789a-bcde-f011-223344556677
 *     UUID=50123456-789a-bcde-f011-223344556677
 *     URI=s0
 *     NAME=web01
 *     PORT=50000
 *     STORED=1795345745504572
 *     GONE=1795345745504572
 *
 * The ID is the UUID; it may have "~" and a BIOS UUID behind it, and "_" and the URI (see Console).
 *
 * A value is all that is behind the first "=" up to the line's end. Lines that begin with "#" are comments, keys that
 * are not known are passed over. PORT is missing where there is none, GONE while the VM is connected. Times are
 * microseconds since 1970.
 */
#define MAPPING_FILE_SIZE_MAX 16384U

#define MAPPING_FILE_SUFFIX ".vm"

/* A file's name for @id: the UUID, then the URI with everything but letters, digits and "-" as %XX. What would be too
 * long for a file system ends with a hash instead. */
#define MAPPING_FILE_NAME_MAX 200U
const char *mapping_file_name(const char *id, char buffer[static MAPPING_FILE_NAME_MAX]);

/* Returns: 0 or a negative errno. */
int mapping_file_format(const Mapping *m, Buffer *out);

/* Changes @text, of @size bytes and a NUL behind them; ret_mapping points into it. Returns: 0, or -EBADMSG and
 * *ret_problem says in words what is wrong. */
int mapping_file_parse(char *text, size_t size, Mapping *ret_mapping, const char **ret_problem);
