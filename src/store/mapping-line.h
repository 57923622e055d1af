/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mapping.h"

/*
 * Converts mappings to and from the lines of the file of Backend=file. Fields are separated by TABs:
 *
 *     8ef06e01  ID=50123456-789a-bcde-f011-223344556677  NAME=web01  URI=s0  PORT=50000  STORED=1795345745504572
 *     f24b0df3  REMOVED=50123456-789a-bcde-f011-223344556677
 *     -         ID=50123456-789a-bcde-f011-223344556677  PORT=50000
 *
 * The first field is the checksum of everything after the first TAB, or "-" in a line that a person or a script has
 * written. KEY=value fields follow in any order; unknown keys are ignored, so that later versions can add some. ID is
 * required: the UUID, optionally with "~" and a BIOS UUID, and optionally with "_" and the URI (see Console). PORT is
 * missing if there is none, GONE while the VM is connected. Times are microseconds since 1970.
 *
 * Nothing must be escaped: control characters in names and URIs have been replaced, whatever a VM has sent.
 */
#define MAPPING_LINE_MAX 16384U /* bytes, including the newline */

/* Writes a line with "\n" and a NUL at its end. If the name is NULL, the line says that the VM with this ID was
 * removed. Returns: its length, -EINVAL if a text contains a control character that would end a field, or
 * -ENOBUFS. */
int mapping_line_format(const Mapping *m, char line[static MAPPING_LINE_MAX]);

/*
 * @line: @size bytes without the newline, and a NUL. It is modified, and *ret_mapping points into it; the name may be
 * NULL as above. Returns: 0; or -EBADMSG, and *ret_problem describes the problem.
 */
int mapping_line_parse(char *line, size_t size, Mapping *ret_mapping, const char **ret_problem);

/* The same for fields without a checksum, separated by @separator. */
int mapping_fields_parse(char *text, size_t size, char separator, Mapping *ret_mapping, const char **ret_problem);
