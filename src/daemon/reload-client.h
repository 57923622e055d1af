/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * "vspcd --reload", for ExecReload= of vspc.service: asks the vspcd that runs, in Varlink, to read its configuration
 * again, waits until that is in force or has been refused, and logs what is wrong with it. In vspcd, and not in
 * vspc-client, because vspc.service needs it: vspc-client is in another package.
 */

#define RELOAD_SOCKET_DEFAULT "/run/vspc/admin.socket"

/* @path: a local socket at which it answers queries. Returns: 0, or a negative errno, which has been logged, if the
 * configuration is as it was. */
int reload_vspcd(const char *path);
