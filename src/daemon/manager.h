/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config.h"
#include "sockets.h"

/*
 * Manager: runs vspcd: creates the concentrator and everything that observes it (store, hooks, console log, admin interfaces)
 * on one event loop, tells systemd the status, and reloads the configuration.
 */
typedef struct Manager Manager;

/* @config_path: the configuration file to be read by reloads; NULL: the system's files. @problems: those found when @config
 * was read; problems in [TLS] keep doors closed. Takes over the content of @config and @problems. Returns: 0 or a negative
 * errno, which has been logged. */
int manager_new(Config *config, const char *config_path, Problems *problems, Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_TRIVIAL_CLEANUP_FUNC(Manager *, manager_free);

/* Takes over the socket. Returns: 0 or a negative errno, which has been logged. */
int manager_add_socket(Manager *m, const PassedSocket *socket);

/* Runs until SIGTERM or SIGINT. Returns: 0 or a negative errno, which has been logged. */
int manager_run(Manager *m);
