/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus-action.h"
#include "bus-names.h"
#include "bus-vm.h"
#include "bus.h"
#include "console/client.h"

/* Of ListClients() */
#define CLIENT_SIGNATURE "(tsuustttt)"

static int append_client(sd_bus_message *reply, const Client *client) {
        const ClientRecord *r = &client->record;

        return sd_bus_message_append(reply, CLIENT_SIGNATURE, r->number, r->peer.text, (uint32_t) r->peer.uid,
                                     (uint32_t) r->peer.pid, access_to_string(r->access), r->since, r->typed_at, r->n_sent,
                                     r->n_skipped);
}

static int list_clients(_unused_ Bus *b, sd_bus_message *m, const Console *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const Client *client = c->clients;

        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', CLIENT_SIGNATURE);
        for (unsigned n = 0; r >= 0 && client && n < VM_CLIENTS_LISTED_MAX; client = client->next, n++)
                r = append_client(reply, client);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

#define DEFINE_METHOD(method)                                                                               \
        static int on_##method(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {           \
                return method(bus_current(sd_bus_message_get_bus(m)), m, userdata);                         \
        }

DEFINE_METHOD(list_clients)
DEFINE_METHOD(bus_attach)
DEFINE_METHOD(bus_set_access)
DEFINE_METHOD(bus_disconnect_client)
DEFINE_METHOD(bus_say)
DEFINE_METHOD(bus_clear)
DEFINE_METHOD(bus_forget)

static const sd_bus_vtable vm_methods[] = {
        SD_BUS_METHOD_WITH_ARGS("ListClients", SD_BUS_NO_ARGS, SD_BUS_RESULT("a" CLIENT_SIGNATURE, clients),
                                on_list_clients, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Attach", SD_BUS_ARGS("s", access, "t", flags),
                                SD_BUS_RESULT("h", fd, "s", granted, "t", client), on_bus_attach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetAccess", SD_BUS_ARGS("t", client, "s", access, "b", force),
                                SD_BUS_RESULT("s", granted), on_bus_set_access, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Disconnect", SD_BUS_ARGS("t", client), SD_BUS_NO_RESULT, on_bus_disconnect_client,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Say", SD_BUS_ARGS("s", text), SD_BUS_RESULT("u", heard), on_bus_say,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Clear", SD_BUS_NO_ARGS, SD_BUS_RESULT("u", disconnected), on_bus_clear,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Forget", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_bus_forget,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

char *bus_vm_path(const char *id) {
        char *path;

        return sd_bus_path_encode(BUS_VM_PATH, id, &path) < 0 ? NULL : path;
}

int bus_append_number(sd_bus_message *m, char type, uint64_t number) {
        switch (type) {
        case 'b':
                return sd_bus_message_append(m, "b", (int) number);
        case 'q':
                return sd_bus_message_append(m, "q", (unsigned) number);
        case 'u':
                return sd_bus_message_append(m, "u", (uint32_t) number);
        default:
                return sd_bus_message_append(m, "t", number);
        }
}

int bus_vm_append_property(sd_bus_message *m, const VmProperty *p, const Console *console) {
        PropertyValue v;

        p->get(console, &v);
        return p->signature[0] == 's' ? sd_bus_message_append_basic(m, 's', v.text)
                                      : bus_append_number(m, p->signature[0], v.number);
}

static int append_named(sd_bus_message *m, const VmProperty *p, const Console *console) {
        int r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', p->name);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', p->signature);
        if (r >= 0)
                r = bus_vm_append_property(m, p, console);
        if (r >= 0)
                r = sd_bus_message_close_container(m);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

int bus_vm_append(sd_bus_message *m, const Console *console) {
        int r = sd_bus_message_open_container(m, 'a', "{sa{sv}}");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'e', "sa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", BUS_VM_INTERFACE);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        for (const VmProperty *p = vm_properties; r >= 0 && p < vm_properties + VM_PROPERTIES_N; p++)
                if (p->name)
                        r = append_named(m, p, console);
        for (unsigned depth = 3; r >= 0 && depth > 0; depth--)
                r = sd_bus_message_close_container(m);

        return r;
}

static int on_get(_unused_ sd_bus *connection, _unused_ const char *path, _unused_ const char *interface,
                  const char *name, sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *error) {
        return bus_vm_append_property(reply, vm_property_find(name), userdata);
}

/*
 * While only people who may do everything are served, a filter takes all calls of VMs' objects, to find out first who the caller
 * is. sd-bus itself finds no objects then. It only answers introspection, the same for everybody and for any path: this shows
 * what all VMs have, but not whether a VM exists.
 */

static int get_property(sd_bus_message *m, const Console *console) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *interface, *name;

        int r = sd_bus_message_read(m, "ss", &interface, &name);
        if (r < 0)
                return r;

        const VmProperty *p = vm_property_find(name);
        if (!p || (*interface && !streq(interface, BUS_VM_INTERFACE)))
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_UNKNOWN_PROPERTY, "There is no property %s", name);

        r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', p->signature);
        if (r >= 0)
                r = bus_vm_append_property(reply, p, console);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int get_all_properties(sd_bus_message *m, const Console *console) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        for (const VmProperty *p = vm_properties; r >= 0 && p < vm_properties + VM_PROPERTIES_N; p++)
                if (p->name)
                        r = append_named(reply, p, console);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int call_guarded(const BusCall *call, _unused_ Console *none) {
        static const struct {
                const char *name;
                BusVMMethod *method;
        } methods[] = {
                {"ListClients", list_clients},
                {"Attach", bus_attach},
                {"SetAccess", bus_set_access},
                {"Disconnect", bus_disconnect_client},
                {"Say", bus_say},
                {"Clear", bus_clear},
                {"Forget", bus_forget},
        };
        _cleanup_free_ char *id = NULL;
        sd_bus_message *m = call->message;

        int r = sd_bus_path_decode(sd_bus_message_get_path(m), BUS_VM_PATH, &id);
        if (r < 0)
                return r;

        Console *console = r > 0 ? concentrator_find(call->bus->concentrator, id) : NULL;
        if (!console)
                return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_UNKNOWN_OBJECT, "There is no object %s",
                                                  sd_bus_message_get_path(m));

        if (sd_bus_message_is_method_call(m, BUS_PROPERTIES, "Get"))
                return get_property(m, console);
        if (sd_bus_message_is_method_call(m, BUS_PROPERTIES, "GetAll"))
                return get_all_properties(m, console);
        for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                if (sd_bus_message_is_method_call(m, BUS_VM_INTERFACE, methods[i].name))
                        return methods[i].method(call->bus, m, console);

        return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_UNKNOWN_METHOD, "There is no method %s", sd_bus_message_get_member(m));
}

static bool is_introspection(sd_bus_message *m) {
        return m && sd_bus_message_is_method_call(m, BUS_INTROSPECTABLE, "Introspect") > 0;
}

static int on_call(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        static const BusAction guarded = {.carry_out = call_guarded};
        Bus *b = userdata;
        uint8_t type = 0;

        if (!b->restricted || sd_bus_message_get_type(m, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL ||
            streq(sd_bus_message_get_path(m), BUS_VM_PATH) || is_introspection(m))
                return 0;

        return bus_guard(b, m, &guarded);
}

static int find(sd_bus *connection, const char *path, _unused_ const char *interface,
                void *userdata, void **ret_found, _unused_ sd_bus_error *error) {
        _cleanup_free_ char *id = NULL;
        Bus *b = userdata;

        if (b->restricted) {
                *ret_found = b;
                return is_introspection(sd_bus_get_current_message(connection));
        }

        int r = sd_bus_path_decode(path, BUS_VM_PATH, &id);
        if (r <= 0)
                return r;

        *ret_found = concentrator_find(b->concentrator, id);
        return *ret_found ? 1 : 0;
}

/* The table permits all methods to everybody, because sd-bus would block to check the caller. BusCall decides instead. sd-bus
 * keeps a pointer to the table. */
static const sd_bus_vtable *vm_vtable(void) {
        static sd_bus_vtable vtable[1 + VM_PROPERTIES_N + ELEMENTSOF(vm_methods)];
        sd_bus_vtable *v = vtable;

        *v++ = (sd_bus_vtable) SD_BUS_VTABLE_START(0);
        for (const VmProperty *p = vm_properties; p < vm_properties + VM_PROPERTIES_N; p++)
                if (p->name)
                        *v++ = (sd_bus_vtable) SD_BUS_PROPERTY(p->name, p->signature, on_get, 0,
                                                               p->constant ? SD_BUS_VTABLE_PROPERTY_CONST
                                                               : p->changes ? SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE : 0);
        memcpy(v, vm_methods, sizeof vm_methods);
        return vtable;
}

int bus_vm_export(Bus *b, sd_bus *connection) {
        int r = sd_bus_add_fallback(connection, NULL, BUS_VM_PATH, on_call, b);

        return r < 0 ? r : sd_bus_add_fallback_vtable(connection, NULL, BUS_VM_PATH, BUS_VM_INTERFACE, vm_vtable(), find, b);
}
