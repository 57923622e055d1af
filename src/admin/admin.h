/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/concentrator.h"
#include "transport/peer.h"

/*
 * Admin: the interfaces of a concentrator for administrators and their programs: Varlink on the admin sockets, and D-Bus on
 * the system bus.
 */
typedef struct Admin Admin;

/* Returns: 0 or a negative errno. */
int admin_new(Concentrator *concentrator, Admin **ret);

/* Must be called before the concentrator is freed. Returns: NULL. */
Admin *admin_free(Admin *a);
DEFINE_TRIVIAL_CLEANUP_FUNC(Admin *, admin_free);

/* Serves Varlink on the listening socket @fd, plain or in TLS. Takes over @fd, which is closed if this fails. Returns: 0 or a
 * negative errno. */
int admin_listen(Admin *a, int fd);
int admin_listen_tls(Admin *a, int fd);

/* Sets TLS for new connections; NULL: they are refused, because there is no certificate. Takes a reference. */
void admin_set_tls(Admin *a, TlsContext *tls);

/* Requests a reload of the configuration for @who. Must not call admin_reloaded(). Returns: the number of the reload that will
 * read the configuration; reloads are numbered from 1. */
typedef uint64_t (*AdminReloadHandler)(const Peer *who, void *userdata);

/* Sets the handler of the method Reload(). */
void admin_set_reload(Admin *a, AdminReloadHandler handler, void *userdata);

/* Answers all callers that wait for the reload with this @number. @problems: @n descriptions of mistakes in the configuration.
 * @result: 0, or a negative errno if the previous configuration was kept because of them. */
void admin_reloaded(Admin *a, uint64_t number, int result, char *const *problems, size_t n);

/* Must be called after concentrator_set_rights(): disconnects callers that have no rights any more. */
void admin_rights_changed(Admin *a);

/* Refuses new connections in TLS until admin_set_tls() is called, because a mistake in [TLS] leaves open who may connect. */
void admin_close_tls(Admin *a);
