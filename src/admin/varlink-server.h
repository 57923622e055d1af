/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "admin.h"
#include "transport/acceptor.h"
#include "varlink-connection.h"

/*
 * VarlinkServer: takes connections and gives each its turn: a little for one, before the next. How many there are is
 * bounded. What waits to be read by them is charged to the account.
 */
typedef struct VarlinkListener VarlinkListener;

/* At this many, or at an eighth of the descriptors, the one that has been idle for longest goes. */
#define VARLINK_CONNECTIONS_MAX 4096U

/* More readers of events are refused. */
#define VARLINK_WATCHERS_MAX 1024U

/* A reload has everything opened anew that is logged to. Local users, but for root and who runs vspcd, may want so many
 * within so long, all together. */
#define VARLINK_RELOADS_MAX 8U
#define VARLINK_RELOADS_USEC (10 * USEC_PER_SEC)

struct VarlinkServer {
        Concentrator *concentrator;
        const VarlinkInterface *const *interfaces; /* NULL-terminated */
        UserNames *user_names; /* or NULL */

        TlsContext *tls;                                    /* NULL: whoever queries in TLS is refused */
        bool tls_in_doubt;                                  /* … because something is wrong in [TLS] */
        VarlinkListener *listeners;                         /* utlist */
        VarlinkConnection *connections[_VARLINK_STATE_MAX]; /* utlist, by state; who came into it first is first */
        VarlinkConnection *ready;                           /* utlist: those that have something to do */
        unsigned n_connections;                             /* that are not closed */
        EventQueue events;                                  /* for those that are VARLINK_WATCHING */
        RateLimit refusals;                                 /* for want of room */
        RateLimit mistakes;                                 /* of strangers */
        RateLimit skips;                                    /* of readers of events */
        AdminReloadHandler reload;                          /* NULL: the configuration cannot be read anew */
        void *reload_userdata;
        RateLimit reloads;                                  /* VARLINK_RELOADS_MAX */
        Watch worker;                                       /* always readable; watched while there is work */
        TimeoutQueue call_timeouts, stall_timeouts, watch_stall_timeouts;
};

/* @interfaces: static; the last is followed by NULL. @user_names: borrowed; NULL: users are
 * told apart by their numbers. */
int varlink_server_new(Concentrator *concentrator, const VarlinkInterface *const *interfaces, UserNames *user_names,
                       VarlinkServer **ret);
VarlinkServer *varlink_server_free(VarlinkServer *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(VarlinkServer *, varlink_server_free);

/* NULL if it has no such interface. */
const VarlinkInterface *varlink_server_find_interface(const VarlinkServer *s, const char *name);

typedef enum VarlinkTransport {
        VARLINK_PLAIN,
        VARLINK_IN_TLS, /* as varlink_server_set_tls() has it */
} VarlinkTransport;

/* Connections are taken from the listening socket @fd from now on. It is taken over, and closed if this fails. */
int varlink_server_listen(VarlinkServer *s, int fd, VarlinkTransport transport);

/* TLS is spoken like this with those who connect from now on; NULL: not at all, they are refused for want of a
 * certificate. Takes a reference. */
void varlink_server_set_tls(VarlinkServer *s, TlsContext *tls);

/* Reload() calls it from now on. */
void varlink_server_set_reload(VarlinkServer *s, AdminReloadHandler handler, void *userdata);

/* Those who connect in TLS from now on are refused, until varlink_server_set_tls() is called: it is not certain who may
 * come in. */
void varlink_server_close_tls(VarlinkServer *s);

/* Has the poller call on whoever is ready or to be freed, or not, as there is somebody. For connections. */
void varlink_server_set_working(VarlinkServer *s);
