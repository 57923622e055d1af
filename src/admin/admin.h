/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/concentrator.h"
#include "transport/peer.h"

/*
 * Admin: the faces of a concentrator for those who query and attach: Varlink on the sockets that it is given, and
 * the system bus.
 */
typedef struct Admin Admin;

/* Returns: 0, -ENOMEM, or what the loop says. */
int admin_new(Concentrator *concentrator, Admin **ret);

/* To be called before the concentrator goes. */
Admin *admin_free(Admin *a);
DEFINE_TRIVIAL_CLEANUP_FUNC(Admin *, admin_free);

/* Queries come to the listening socket @fd, plain or in TLS. It is taken over, and closed if this fails. */
int admin_listen(Admin *a, int fd);
int admin_listen_tls(Admin *a, int fd);

/* How TLS is spoken with those who connect from now on; NULL: not at all, they are refused for want of a certificate.
 * Takes a reference. */
void admin_set_tls(Admin *a, TlsContext *tls);

/* The configuration is to be read anew, because @who wants it. Returns: the number of the reload that will do so. They
 * are numbered as they come to their end, from 1 on; admin_reloaded() is not called from within. */
typedef uint64_t (*AdminReloadHandler)(const Peer *who, void *userdata);

/* Reload() calls it from now on. */
void admin_set_reload(Admin *a, AdminReloadHandler handler, void *userdata);

/* Answers all who wait for the reload of this @number. @problems: @n texts, what is wrong in the configuration. @result:
 * 0, or a negative errno if it stays as it was for one of these reasons. */
void admin_reloaded(Admin *a, uint64_t number, int result, char *const *problems, size_t n);

/* They are refused until admin_set_tls() is called: it is not certain who may come in. */
void admin_close_tls(Admin *a);
