/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "admin.h"
#include "bus.h"
#include "varlink-concentrator.h"
#include "varlink-server.h"
#include "varlink-service.h"
#include "vm-stream.h"

struct Admin {
        UserNames *user_names;
        VarlinkServer *server;
        VmStream stream;
        Bus *bus;
};

static const VarlinkInterface *const interfaces[] = {
        &varlink_service,
        &varlink_concentrator,
        NULL,
};

int admin_new(Concentrator *concentrator, Admin **ret) {
        _cleanup_(admin_freep) Admin *a = calloc(1, sizeof(Admin));
        if (!a)
                return -ENOMEM;

        int r = user_names_new(concentrator_poller(concentrator), &a->user_names);
        if (r < 0)
                return r;

        r = varlink_server_new(concentrator, interfaces, a->user_names, &a->server);
        if (r < 0)
                return r;

        vm_stream_init(&a->stream, a->server);
        r = bus_new(concentrator, a->user_names, &a->bus);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(a);
        return 0;
}

Admin *admin_free(Admin *a) {
        bus_freep(&a->bus);
        if (a->server)
                vm_stream_done(&a->stream);
        varlink_server_freep(&a->server);
        user_names_freep(&a->user_names);
        free(a);
        return NULL;
}

int admin_listen(Admin *a, int fd) {
        return varlink_server_listen(a->server, fd, VARLINK_PLAIN);
}

int admin_listen_tls(Admin *a, int fd) {
        return varlink_server_listen(a->server, fd, VARLINK_IN_TLS);
}

void admin_set_tls(Admin *a, TlsContext *tls) {
        varlink_server_set_tls(a->server, tls);
}

void admin_set_reload(Admin *a, AdminReloadHandler handler, void *userdata) {
        varlink_server_set_reload(a->server, handler, userdata);
}

void admin_reloaded(Admin *a, uint64_t number, int result, char *const *problems, size_t n) {
        varlink_concentrator_reloaded(a->server, number, result, problems, n);
}

void admin_rights_changed(Admin *a) {
        varlink_server_set_rights(a->server);
        bus_rights_changed(a->bus);
}

void admin_close_tls(Admin *a) {
        varlink_server_close_tls(a->server);
}
