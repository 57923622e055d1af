/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * The name of a console's log file: [PREFIX-]NAME-UUID.log. Because of the UUID, each VM has its own file, whatever its name
 * is. A VM's name may contain any bytes: "/", "%", control characters, bytes that are not UTF-8, and "." or "-" at the
 * beginning become %XX. If the name is too long then, it is cut and ends with a hash of the whole name.
 */
#define FILE_NAME_SIZE 256U /* including a NUL; leaves room for what logrotate appends */
#define FILE_NAME_PREFIX_MAX 64U

/* @prefix: a valid prefix or NULL. @uuid: one UUID in the form of uuid_format(), or two (Console.uuid_text) */
void file_name_make(const char *prefix, const char *name, const char *uuid, char ret[static FILE_NAME_SIZE]);

/* Returns: whether file names may begin with @prefix: it is clean text of at most FILE_NAME_PREFIX_MAX bytes, not empty,
 * without "/", and does not begin with "." or "-". */
bool file_name_prefix_is_valid(const char *prefix);
