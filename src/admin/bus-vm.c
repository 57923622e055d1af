/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "bus-action.h"
#include "bus-names.h"
#include "bus-vm.h"
#include "bus.h"
#include "console/client.h"
#include "console/link.h"

/* ListClients() lists so many; how many there are is in Clients. */
#define VM_CLIENTS_MAX 64U

static const char *text_of_peer(const Console *c) {
        const Link *active = console_active_link(c);

        return active ? active->peer : "";
}

/* "TLS 1.3, AES-256-GCM" */
#define TLS_TEXT_MAX 64U

static const char *text_of_tls(const Console *c, char buffer[static TLS_TEXT_MAX]) {
        const Link *active = console_active_link(c);

        if (!active || !active->telnet.stream.tls)
                return "";

        snprintf(buffer, TLS_TEXT_MAX, "%s, %s", tls_session_version(active->telnet.stream.tls),
                 tls_session_cipher(active->telnet.stream.tls));
        return buffer;
}

static const char *text_of_serial(const Console *c, char buffer[static COM_PORT_TEXT_MAX]) {
        const Link *active = console_active_link(c);

        if (!active || !telnet_option_enabled(&active->telnet.session.options, TELNET_HIM, TELNET_COM_PORT))
                return "";

        return com_port_format(&active->com_port, buffer);
}

/* A property's getter: appends @value, which is made of the console c, as @type. */
#define DEFINE_GETTER(property, type, value)                                                                \
        static int get_##property(_unused_ sd_bus *connection, _unused_ const char *path,                   \
                                  _unused_ const char *interface, _unused_ const char *name,                \
                                  sd_bus_message *reply, void *userdata, _unused_ sd_bus_error *error) {    \
                _unused_ const Console *c = userdata;                                                       \
                                                                                                            \
                return sd_bus_message_append(reply, type, value);                                           \
        }

DEFINE_GETTER(id, "s", c->id)
DEFINE_GETTER(name, "s", c->name)
DEFINE_GETTER(uuid, "s", c->uuid_text)
DEFINE_GETTER(uri, "s", c->uri)
DEFINE_GETTER(port, "q", c->port)
DEFINE_GETTER(reserved_port, "q", console_reserved_port(c))
DEFINE_GETTER(connected, "b", c->connected)
DEFINE_GETTER(since, "t", c->record.since)
DEFINE_GETTER(peer, "s", text_of_peer(c))
DEFINE_GETTER(tls, "s", text_of_tls(c, (char[TLS_TEXT_MAX]){}))
DEFINE_GETTER(serial, "s", text_of_serial(c, (char[COM_PORT_TEXT_MAX]){}))
DEFINE_GETTER(problem, "s", console_describe_clash(c, (char[CONSOLE_CLASH_TEXT_MAX]){}) ?: "")
DEFINE_GETTER(vmotion, "s", vmotion_state_to_string(console_vmotion_state(c)))
DEFINE_GETTER(clients, "u", c->n_clients)
DEFINE_GETTER(access, "s", access_to_string(access_most(&c->holders)))
DEFINE_GETTER(bytes_received, "t", c->ring.end)
DEFINE_GETTER(bytes_sent, "t", c->record.bytes_sent)
DEFINE_GETTER(expires, "t", console_expires(c))

static int append_client(sd_bus_message *reply, const Client *client) {
        return sd_bus_message_append(reply, "(suusttt)", client->peer.text, (uint32_t) client->peer.uid,
                                     (uint32_t) client->peer.pid, access_to_string(client->access),
                                     client->since, client->n_sent, client->n_skipped);
}

static int on_list_clients(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const Console *c = userdata;
        const Client *client = c->clients;

        int r = sd_bus_message_new_method_return(m, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(suusttt)");
        for (unsigned n = 0; r >= 0 && client && n < VM_CLIENTS_MAX; client = client->next, n++)
                r = append_client(reply, client);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int on_attach(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        const char *access;

        int r = sd_bus_message_read(m, "s", &access);
        if (r < 0)
                return r;

        return bus_attach(bus_current(sd_bus_message_get_bus(m)), m, userdata, access);
}

static int on_clear(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        return bus_clear(bus_current(sd_bus_message_get_bus(m)), m, userdata);
}

static int on_forget(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        return bus_forget(bus_current(sd_bus_message_get_bus(m)), m, userdata);
}

/* Everybody on the bus may call everything as far as sd-bus is concerned, which would have to wait for the
 * bus to find out who calls: what not everybody may do is decided on in BusCall. */
static const sd_bus_vtable vm_vtable[] = {
        SD_BUS_VTABLE_START(0),

        SD_BUS_PROPERTY("Id", "s", get_id, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("UUID", "s", get_uuid, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Name", "s", get_name, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Connected", "b", get_connected, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("SinceUSec", "t", get_since, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("VMotion", "s", get_vmotion, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Clients", "u", get_clients, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Access", "s", get_access, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("URI", "s", get_uri, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Port", "q", get_port, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ReservedPort", "q", get_reserved_port, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Peer", "s", get_peer, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("TLS", "s", get_tls, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Serial", "s", get_serial, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Problem", "s", get_problem, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ExpiresUSec", "t", get_expires, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),

        /* They change with each byte. */
        SD_BUS_PROPERTY("BytesReceived", "t", get_bytes_received, 0, 0),
        SD_BUS_PROPERTY("BytesSent", "t", get_bytes_sent, 0, 0),

        SD_BUS_METHOD_WITH_ARGS("ListClients", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(suusttt)", clients),
                                on_list_clients, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Attach", SD_BUS_ARGS("s", access), SD_BUS_RESULT("h", fd, "s", granted),
                                on_attach, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Clear", SD_BUS_NO_ARGS, SD_BUS_RESULT("u", disconnected), on_clear,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Forget", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_forget,
                                SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_VTABLE_END,
};

char *bus_vm_path(const char *id) {
        char *path;

        return sd_bus_path_encode(BUS_VM_PATH, id, &path) < 0 ? NULL : path;
}

static int append_property(sd_bus_message *m, Console *console, const sd_bus_vtable *p) {
        int r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", p->x.property.member);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', p->x.property.signature);
        if (r >= 0)
                r = p->x.property.get(NULL, NULL, NULL, NULL, m, console, NULL);
        if (r >= 0)
                r = sd_bus_message_close_container(m);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

int bus_vm_append(sd_bus_message *m, Console *console) {
        int r = sd_bus_message_open_container(m, 'a', "{sa{sv}}");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'e', "sa{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", BUS_VM_INTERFACE);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        for (const sd_bus_vtable *v = vm_vtable; r >= 0 && v->type != _SD_BUS_VTABLE_END; v++)
                if (v->type == _SD_BUS_VTABLE_PROPERTY)
                        r = append_property(m, console, v);
        for (unsigned depth = 3; r >= 0 && depth > 0; depth--)
                r = sd_bus_message_close_container(m);

        return r;
}

static int find(_unused_ sd_bus *connection, const char *path, _unused_ const char *interface,
                void *userdata, void **ret_found, _unused_ sd_bus_error *error) {
        _cleanup_free_ char *id = NULL;
        Bus *b = userdata;

        int r = sd_bus_path_decode(path, BUS_VM_PATH, &id);
        if (r <= 0)
                return r;

        *ret_found = concentrator_find(b->concentrator, id);
        return *ret_found ? 1 : 0;
}

int bus_vm_export(Bus *b, sd_bus *connection) {
        return sd_bus_add_fallback_vtable(connection, NULL, BUS_VM_PATH, BUS_VM_INTERFACE, vm_vtable, find,
                                          b);
}
