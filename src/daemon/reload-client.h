/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * "vspcd --reload", for ExecReload= of vspc.service: asks the running vspcd, in Varlink, to reload its configuration, waits
 * until the new configuration is in effect or has been refused, and logs the mistakes in it. It is part of vspcd and not of
 * vspc-client, because vspc.service needs it, and vspc-client is in another package.
 */

#define RELOAD_SOCKET_DEFAULT "/run/vspc/admin.socket"

/* @path: an admin socket of the running vspcd. Returns: 0; or a negative errno, which has been logged, and the configuration
 * has not changed. */
int reload_vspcd(const char *path);
