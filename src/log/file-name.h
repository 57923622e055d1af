/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * The name of a console's log file: [PREFIX-]NAME-UUID.log. The UUID makes it the VM's own, whatever its name
 * and in whatever order VMs come after a restart. What the VM is called is its administrator's choice and may
 * be anything, so "/", "%", control characters, bytes that are no UTF-8, and "." or "-" in front become %XX;
 * a name that is too long then is cut, and ends with a hash of all of it instead.
 */
#define FILE_NAME_SIZE 256U /* NUL included; room is left for what logrotate appends */
#define FILE_NAME_PREFIX_MAX 64U

/* @prefix: see file_name_prefix_is_valid(), or NULL. @uuid: as uuid_format() has it, or two of them (Console.uuid_text). */
void file_name_make(const char *prefix, const char *name, const char *uuid, char ret[static FILE_NAME_SIZE]);

/* Whether file names may begin with it: not empty, not hidden, not in another directory, not too long. */
bool file_name_prefix_is_valid(const char *prefix);
