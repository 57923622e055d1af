/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config.h"
#include "sockets.h"

/*
 * Manager: vspcd at work. It puts the concentrator, the store and the sockets on one event loop, tells systemd
 * how things are, and reloads the configuration.
 */
typedef struct Manager Manager;

/* @config_path: the only file to be read, or NULL for those of the system. @problems: of reading it; those of [TLS]
 * keep doors closed. Takes over what @config points to, and what @problems does. */
int manager_new(Config *config, const char *config_path, Problems *problems, Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_TRIVIAL_CLEANUP_FUNC(Manager *, manager_free);

/* Takes over the socket. */
int manager_add_socket(Manager *m, const PassedSocket *socket);

/* Runs until SIGTERM or SIGINT. */
int manager_run(Manager *m);
