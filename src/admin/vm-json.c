/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "console/link.h"
#include "vm-json.h"

void client_json_write(JsonWriter *w, const char *key, const Client *client) {
        json_writer_begin_object(w, key);
        json_writer_put_string(w, "peer", client->peer.text);
        if (client->peer.uid != PEER_UID_NONE) {
                json_writer_put_unsigned(w, "uid", client->peer.uid);
                json_writer_put_unsigned(w, "pid", (uint64_t) client->peer.pid);
        }
        json_writer_put_string(w, "access", access_to_string(client->access));
        json_writer_put_unsigned(w, "since", client->since);
        json_writer_put_unsigned(w, "bytes", client->n_sent);
        json_writer_put_unsigned(w, "skipped", client->n_skipped);
        json_writer_end_object(w);
}

static void write_clients(JsonWriter *w, const Console *console) {
        unsigned n = 0;

        json_writer_begin_array(w, "clients");
        for (const Client *c = console->clients; c && n < VM_JSON_CLIENTS_MAX; c = c->next, n++)
                client_json_write(w, NULL, c);
        json_writer_end_array(w);
}

static void write_tls(JsonWriter *w, const TlsSession *tls) {
        const char *peer = tls_session_peer_name(tls);

        json_writer_begin_object(w, "tls");
        json_writer_put_string(w, "version", tls_session_version(tls));
        json_writer_put_string(w, "cipher", tls_session_cipher(tls));
        if (*peer)
                json_writer_put_string(w, "peer", peer);
        json_writer_put_boolean(w, "resumed", tls_session_is_resumed(tls));
        json_writer_end_object(w);
}

static void write_link(JsonWriter *w, const Link *link) {
        char serial[COM_PORT_TEXT_MAX];

        json_writer_put_string(w, "peer", link->peer);
        if (link->telnet.stream.tls)
                write_tls(w, link->telnet.stream.tls);
        if (telnet_option_enabled(&link->telnet.session.options, TELNET_HIM, TELNET_COM_PORT))
                json_writer_put_string(w, "serial", com_port_format(&link->com_port, serial));
}

void vm_json_write(JsonWriter *w, const char *key, const Console *console) {
        const Link *link = console_active_link(console);
        usec_t expires = console_expires(console);
        char text[CONSOLE_CLASH_TEXT_MAX];
        const char *problem = console_describe_clash(console, text);

        json_writer_begin_object(w, key);
        json_writer_put_string(w, "id", console->id);
        json_writer_put_string(w, "uuid", console->uuid_text);
        json_writer_put_string(w, "name", console->name);
        json_writer_put_string(w, "uri", console->uri);
        if (console->port > 0)
                json_writer_put_unsigned(w, "port", console->port);
        if (console_reserved_port(console) > 0)
                json_writer_put_unsigned(w, "reservedPort", console_reserved_port(console));
        json_writer_put_boolean(w, "connected", console->connected);
        json_writer_put_unsigned(w, "since", console->record.since);
        if (link)
                write_link(w, link);
        if (problem)
                json_writer_put_string(w, "problem", problem);
        json_writer_put_string(w, "vmotion", vmotion_state_to_string(console_vmotion_state(console)));
        json_writer_put_unsigned(w, "clientCount", console->n_clients);
        write_clients(w, console);
        json_writer_put_unsigned(w, "bytesReceived", console->ring.end);
        json_writer_put_unsigned(w, "bytesSent", console->record.bytes_sent);
        if (expires <= INT64_MAX) /* Varlink has no larger numbers; in 292,000 years is never */
                json_writer_put_unsigned(w, "expires", expires);
        json_writer_end_object(w);
}
