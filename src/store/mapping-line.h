/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "mapping.h"

/*
 * A mapping as a line of text, of which Backend=file keeps a file. Fields are separated by TABs:
 *
 *     8ef06e01  ID=50123456-789a-bcde-f011-223344556677  NAME=web01  URI=s0  PORT=50000  STORED=1795345745504572
 *     f24b0df3  REMOVED=50123456-789a-bcde-f011-223344556677
 *     -         ID=50123456-789a-bcde-f011-223344556677  PORT=50000
 *
 * The first field is the checksum of all that follows the first TAB, or "-" in a line that a person or a script has
 * written. Then come KEY=value fields in any order; unknown keys are ignored, so that later versions can add some. The
 * ID is required: the UUID, perhaps with "~" and a BIOS UUID behind it, and "_" and the URI (see Console). PORT is
 * missing where there is none, GONE while the VM is connected. Times are microseconds since 1970.
 *
 * Nothing has to be escaped: names and URIs have no control characters, whatever a VM has sent.
 */
#define MAPPING_LINE_MAX 16384U /* bytes, with the line's end */

/* Writes a whole line, with "\n" and a NUL at its end. If the name is NULL it says that the VM with that ID was removed.
 * Returns: the bytes in it, -EINVAL if a text contains a control character that would end a field, or -ENOBUFS. */
int mapping_line_format(const Mapping *m, char line[static MAPPING_LINE_MAX]);

/*
 * @line: of @size bytes and a NUL, without the line's end. It is changed, and ret_mapping points into it; the name in that
 * is NULL as above. Returns: 0, or -EBADMSG, and then *ret_problem says in words what is wrong.
 */
int mapping_line_parse(char *line, size_t size, Mapping *ret_mapping, const char **ret_problem);

/* The same for fields without a checksum, which are separated by @separator */
int mapping_fields_parse(char *text, size_t size, char separator, Mapping *ret_mapping, const char **ret_problem);
