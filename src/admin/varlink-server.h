/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "admin.h"
#include "transport/acceptor.h"
#include "varlink-connection.h"

/*
 * VarlinkServer: accepts Varlink connections and gives them short turns. The number of connections is limited. Memory for
 * what they have not read is charged to the account.
 */
typedef struct VarlinkListener VarlinkListener;
typedef struct VmStream VmStream;

/* With so many connections, or if they use an eighth of the descriptors, the one that has been idle for longest is closed
 * for a new one. */
#define VARLINK_CONNECTIONS_MAX 4096U

/* People to whom sections [Access] apply may use half of the connections and of the readers of events, so that there is always
 * room for people who may do everything. One local user may have this number of connections. */
#define VARLINK_CONNECTIONS_PER_USER_MAX 128U

/* The maximum of readers of events */
#define VARLINK_WATCHERS_MAX 1024U

/* A reload reopens all log files. Local users other than root and the user of vspcd may request so many reloads in this
 * time, in total. */
#define VARLINK_RELOADS_MAX 8U
#define VARLINK_RELOADS_USEC (10 * USEC_PER_SEC)

struct VarlinkServer {
        Concentrator *concentrator;
        const VarlinkInterface *const *interfaces; /* NULL-terminated */
        UserNames *user_names; /* NULL: users are shown by number */

        TlsContext *tls;                                    /* NULL: connections in TLS are refused */
        bool tls_in_doubt;                                  /* there is a mistake in [TLS] */
        VarlinkListener *listeners;                         /* utlist */
        VarlinkConnection *connections[_VARLINK_STATE_MAX]; /* utlist, by state, in the order of entering it */
        VarlinkConnection *ready;                           /* utlist: connections with something to do */
        unsigned n_connections;                             /* connections that are not closed */
        unsigned n_limited;                                 /* of these, those that varlink_server_limits() */
        EventQueue events;                                  /* for connections in state VARLINK_WATCHING */
        VmStream *stream;                                   /* makes the events */
        RateLimit refusals;                                 /* log lines about connections for which there is no room */
        RateLimit expulsions;                               /* log lines about connections without rights */
        RateLimit mistakes;                                 /* log lines about invalid calls */
        RateLimit skips;                                    /* log lines about callers of Monitor that fall behind */
        AdminReloadHandler reload;                          /* NULL: reloads are not supported */
        void *reload_userdata;
        RateLimit reloads;                                  /* limited by VARLINK_RELOADS_MAX */
        Watch worker;                                       /* always readable; watched while there is work */
        TimeoutQueue call_timeouts, stall_timeouts, watch_stall_timeouts;
};

/* @interfaces: static, ends with NULL. @user_names: borrowed; NULL: users are shown by number. Returns: 0 or a negative
 * errno. */
int varlink_server_new(Concentrator *concentrator, const VarlinkInterface *const *interfaces, UserNames *user_names,
                       VarlinkServer **ret);
VarlinkServer *varlink_server_free(VarlinkServer *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(VarlinkServer *, varlink_server_free);

/* Returns: NULL if the server has no such interface. */
const VarlinkInterface *varlink_server_find_interface(const VarlinkServer *s, const char *name);

typedef enum VarlinkTransport {
        VARLINK_PLAIN,
        VARLINK_IN_TLS, /* with the context of varlink_server_set_tls() */
} VarlinkTransport;

/* Returns: whether sections [Access] apply to @who. */
bool varlink_server_limits(const VarlinkServer *s, const Identity *who);

/* Must be called when rights have changed: tells callers that have no rights any more, and disconnects them. */
void varlink_server_set_rights(VarlinkServer *s);

/* Accepts connections from the listening socket @fd. Takes over @fd, which is closed if this fails. */
int varlink_server_listen(VarlinkServer *s, int fd, VarlinkTransport transport);

/* Sets TLS for new connections; NULL: they are refused, because there is no certificate. Takes a reference. */
void varlink_server_set_tls(VarlinkServer *s, TlsContext *tls);

/* Sets the handler of the method Reload(). */
void varlink_server_set_reload(VarlinkServer *s, AdminReloadHandler handler, void *userdata);

/* Refuses new connections in TLS until varlink_server_set_tls() is called: a mistake in [TLS] leaves open who may connect. */
void varlink_server_close_tls(VarlinkServer *s);

/* Must be called by connections when they are ready or closed: makes the poller call the server if there is work. */
void varlink_server_set_working(VarlinkServer *s);
