/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/text.h"
#include "console/link.h"
#include "property.h"

/* Returns: the TLS session of the VM's connection; NULL if the VM is not connected, or without TLS. */
static const TlsSession *tls_of(const Console *c) {
        const Link *active = console_active_link(c);

        return active ? active->telnet.stream.tls : NULL;
}

static const char *text_of_peer(const Console *c) {
        const Link *active = console_active_link(c);

        return active ? active->record.peer : "";
}

/* "TLS 1.3, AES-256-GCM" */
static const char *text_of_tls(const Console *c, PropertyValue *v) {
        const TlsSession *tls = tls_of(c);

        if (!tls)
                return "";

        snprintf(v->buffer, sizeof v->buffer, "%s, %s", tls_session_version(tls), tls_session_cipher(tls));
        return v->buffer;
}

static const char *text_of_serial(const Console *c, PropertyValue *v) {
        const Link *active = console_active_link(c);

        static_assert(sizeof v->buffer >= COM_PORT_TEXT_MAX, "the settings of a serial port fit");
        if (!active || !telnet_option_enabled(&active->telnet.record.session.options, TELNET_HIM, TELNET_COM_PORT))
                return "";

        return com_port_format(&active->record.com_port, v->buffer);
}

static void write_tls(const Console *c, JsonWriter *w, const char *key) {
        const TlsSession *tls = tls_of(c);
        if (!tls)
                return;

        const char *peer = tls_session_peer_name(tls);
        json_writer_begin_object(w, key);
        json_writer_put_string(w, "version", tls_session_version(tls));
        json_writer_put_string(w, "cipher", tls_session_cipher(tls));
        if (*peer)
                json_writer_put_string(w, "peer", peer);
        json_writer_put_boolean(w, "resumed", tls_session_is_resumed(tls));
        json_writer_end_object(w);
}

/* The address of the console's page in a browser, in the form of cockpit/page.js */
static void write_url(const Console *c, JsonWriter *w, const char *key) {
        const char *base = concentrator_settings(c->concentrator)->web_url;
        if (!*base)
                return;

        _cleanup_free_ char *id = text_escape_url(c->id);
        _cleanup_free_ char *url = id ? text_format("%s#/vm/%s", base, id) : NULL;
        if (url)
                json_writer_put_string(w, key, url);
}

void client_json_write(JsonWriter *w, const char *key, const Client *client) {
        json_writer_begin_object(w, key);
        json_writer_put_unsigned(w, "id", client->record.number);
        json_writer_put_string(w, "peer", client->record.peer.text);
        if (client->record.peer.uid != PEER_UID_NONE) {
                json_writer_put_unsigned(w, "uid", client->record.peer.uid);
                json_writer_put_unsigned(w, "pid", (uint64_t) client->record.peer.pid);
        }
        json_writer_put_string(w, "access", access_to_string(client->record.access));
        json_writer_put_unsigned(w, "since", client->record.since);
        if (client->record.typed_at > 0)
                json_writer_put_unsigned(w, "typed", client->record.typed_at);
        json_writer_put_unsigned(w, "bytes", client->record.n_sent);
        json_writer_put_unsigned(w, "skipped", client->record.n_skipped);
        json_writer_end_object(w);
}

static void write_clients(const Console *c, JsonWriter *w, const char *key) {
        unsigned n = 0;

        json_writer_begin_array(w, key);
        for (const Client *client = c->clients; client && n < VM_CLIENTS_LISTED_MAX; client = client->next, n++)
                client_json_write(w, NULL, client);
        json_writer_end_array(w);
}

#define DEFINE_GETTER(property, member, value)                                                              \
        static void get_##property(const Console *c, PropertyValue *v) {                                    \
                v->member = value;                                                                          \
        }

DEFINE_GETTER(id, text, c->id)
DEFINE_GETTER(uuid, text, c->uuid_text)
DEFINE_GETTER(name, text, c->name)
DEFINE_GETTER(uri, text, c->uri)
DEFINE_GETTER(port, number, c->port)
DEFINE_GETTER(reserved_port, number, console_reserved_port(c))
DEFINE_GETTER(connected, number, c->connected)
DEFINE_GETTER(since, number, c->record.since)
DEFINE_GETTER(peer, text, text_of_peer(c))
DEFINE_GETTER(tls, text, text_of_tls(c, v))
DEFINE_GETTER(serial, text, text_of_serial(c, v))
DEFINE_GETTER(problem, text, console_describe_clash(c, v->buffer) ?: "")
DEFINE_GETTER(vmotion, text, vmotion_state_to_string(console_vmotion_state(c)))
DEFINE_GETTER(client_count, number, c->n_clients)
DEFINE_GETTER(access, text, access_to_string(access_most(&c->holders)))
DEFINE_GETTER(bytes_received, number, c->ring.end)
DEFINE_GETTER(last_output, number, c->record.output_at)
DEFINE_GETTER(bytes_sent, number, c->record.bytes_sent)
DEFINE_GETTER(expires, number, console_expires(c))

/* Events, as in VmProperty.changes */
enum {
        RENAMED = 1U << CONSOLE_RENAMED,
        CONNECTION = 1U << CONSOLE_CONNECTED | 1U << CONSOLE_DISCONNECTED,
        CLIENTS = 1U << CONSOLE_CLIENT_ATTACHED | 1U << CONSOLE_CLIENT_DETACHED,
        LINK = CONNECTION | 1U << CONSOLE_CHANGED | 1U << CONSOLE_VMOTION_BEGUN | 1U << CONSOLE_VMOTION_COMPLETE |
               1U << CONSOLE_VMOTION_ABORTED,
};

/* In the order of Varlink's replies */
const VmProperty vm_properties[] = {
        {"id",            "string",   "Id",            "s", .constant = true, .get = get_id},
        {"uuid",          "string",   "UUID",          "s", .constant = true, .get = get_uuid},
        {"name",          "string",   "Name",          "s", RENAMED, .get = get_name},
        {"uri",           "string",   "URI",           "s", LINK, .get = get_uri},
        {"port",          "?int",     "Port",          "q", LINK, .get = get_port},
        {"reservedPort",  "?int",     "ReservedPort",  "q", LINK, .get = get_reserved_port},
        {"connected",     "bool",     "Connected",     "b", CONNECTION, .get = get_connected},
        {"since",         "int",      "SinceUSec",     "t", CONNECTION, .get = get_since},
        {"peer",          "?string",  "Peer",          "s", LINK, .get = get_peer},
        {"tls",           "?Tls",     "TLS",           "s", LINK, .get = get_tls, .write = write_tls},
        {"serial",        "?string",  "Serial",        "s", LINK, .get = get_serial},
        {"problem",       "?string",  "Problem",       "s", LINK, .get = get_problem},
        {"url",           "?string",  NULL,            NULL, .write = write_url},
        {"vmotion",       "VMotion",  "VMotion",       "s", LINK, .get = get_vmotion},
        {"clientCount",   "int",      "Clients",       "u", CLIENTS, .get = get_client_count},
        {"clients",       "[]Client", NULL,            NULL, .write = write_clients},
        {NULL,            NULL,       "Access",        "s", CLIENTS | 1U << CONSOLE_CHANGED, .get = get_access},
        {"bytesReceived", "int",      "BytesReceived", "t", .get = get_bytes_received},
        {"lastOutput",    "?int",     "LastOutputUSec", "t", .get = get_last_output},
        {"bytesSent",     "int",      "BytesSent",     "t", .get = get_bytes_sent},
        {"expires",       "?int",     "ExpiresUSec",   "t", CONNECTION | CLIENTS, .get = get_expires},
};

static_assert(ELEMENTSOF(vm_properties) == VM_PROPERTIES_N, "VM_PROPERTIES_N is the number of rows");

const VmProperty *vm_property_find(const char *name) {
        for (const VmProperty *p = vm_properties; p < vm_properties + VM_PROPERTIES_N; p++)
                if (p->name && streq(p->name, name))
                        return p;

        return NULL;
}

static void write_property(JsonWriter *w, const VmProperty *p, const Console *console) {
        bool optional = p->type[0] == '?';
        PropertyValue v;

        p->get(console, &v);
        if (p->signature[0] == 's') {
                if (!optional || *v.text)
                        json_writer_put_string(w, p->key, v.text);
        } else if (p->signature[0] == 'b')
                json_writer_put_boolean(w, p->key, v.number);
        else if (!optional || (v.number > 0 && v.number <= INT64_MAX)) /* Varlink has no larger numbers */
                json_writer_put_unsigned(w, p->key, v.number);
}

void vm_json_write(JsonWriter *w, const char *key, const Console *console) {
        json_writer_begin_object(w, key);
        for (const VmProperty *p = vm_properties; p < vm_properties + VM_PROPERTIES_N; p++)
                if (p->key && p->write)
                        p->write(console, w, p->key);
                else if (p->key)
                        write_property(w, p, console);
        json_writer_end_object(w);
}

void metrics_collect(Concentrator *c, unsigned n_admin, uint64_t ret[static METRICS_N]) {
        const Metrics *m = concentrator_metrics(c);
        const ConcentratorCounts *n = concentrator_counts(c);
        const PortQueue *q = concentrator_port_queue(c);
        const Account *a = concentrator_account(c);
        const uint64_t values[] = {
#define METRIC(key, bus, family, type, unit, help, value) value,
#include "metric-list.h"
        };

        static_assert(ELEMENTSOF(values) == METRICS_N, "each metric has a value");
        memcpy(ret, values, sizeof values);
}
