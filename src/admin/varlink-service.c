/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "varlink-server.h"
#include "varlink-service.h"

static const char description[] =
#include "org.varlink.service.varlink.inc"
        ;

static void get_info(VarlinkConnection *c, const VarlinkCall *call) {
        if (!varlink_take_parameters(c, call, NULL, 0))
                return;

        JsonWriter w = varlink_reply_begin(c);
        json_writer_put_string(&w, "vendor", "vspc");
        json_writer_put_string(&w, "product", "vspcd, a virtual serial port concentrator");
        json_writer_put_string(&w, "version", VSPC_VERSION);
        json_writer_put_string(&w, "url", "man:vspcd(8)");
        json_writer_begin_array(&w, "interfaces");
        for (const VarlinkInterface *const *i = c->server->interfaces; *i; i++)
                json_writer_put_string(&w, NULL, (*i)->name);
        json_writer_end_array(&w);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

static void get_interface_description(VarlinkConnection *c, const VarlinkCall *call) {
        const char *name = NULL;
        const VarlinkParameter parameters[] = {{"interface", VARLINK_STRING, VARLINK_REQUIRED, &name}};

        if (!varlink_take_parameters(c, call, parameters, ELEMENTSOF(parameters)))
                return;

        const VarlinkInterface *interface = varlink_server_find_interface(c->server, name);
        if (!interface) {
                varlink_reply_interface_not_found(c, name);
                return;
        }

        JsonWriter w = varlink_reply_begin(c);
        json_writer_put_string(&w, "description", interface->description);
        varlink_reply_end(c, &w, VARLINK_LAST);
}

const VarlinkInterface varlink_service = {
        .name = "org.varlink.service",
        .description = description,
        .methods = (const VarlinkMethod[]){
                {"GetInfo", get_info},
                {"GetInterfaceDescription", get_interface_description},
                {},
        },
};
