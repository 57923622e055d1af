/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"
#include "basic/time.h"
#include "transport/address.h"

/*
 * Settings: what an administrator can configure. The names are those of vspc.conf(5).
 */

/* What happens to a client that reads more slowly than its VM writes */
typedef enum SlowClient {
        SLOW_CLIENT_SKIP, /* the client skips output, and is told how much; a raw client is disconnected */
        SLOW_CLIENT_WAIT, /* the VM must wait */
        SLOW_CLIENT_DROP, /* the client is disconnected */
} SlowClient;

/* Bytes of WebURL=, including a NUL */
#define WEB_URL_MAX 128U

typedef struct Settings {
        char **service_uris; /* NULL-terminated; NULL: any */
        bool multi_console;
        bool vm_ports;
        SocketAddress vm_port_address;
        uint16_t vm_port_range_start, vm_port_range_end;
        usec_t vm_expire_usec;
        usec_t vmotion_timeout_usec;
        usec_t handshake_timeout_usec;
        uint32_t client_limit; /* clients of each VM; 0: no limit */
        uint64_t scrollback_size;
        uint64_t client_buffer_size;
        SlowClient slow_client;
        uint64_t connection_memory_max; /* bytes, of all connections (account.h) */
        char web_url[WEB_URL_MAX]; /* where consoles can be used in a browser; "": not known */
        bool windows_enter;  /* CR LF may be the Enter key of Windows' telnet, see TelnetKeyboard */
        bool start_tls;      /* VMs that speak plain telnet are asked to begin TLS, if there is a certificate */
        bool require_vm_tls; /* VMs must use TLS */
        bool require_vm_certificate; /* VMs must use TLS, and their hosts must have a certificate */
} Settings;

void settings_init(Settings *s);
void settings_done(Settings *s);

/* Returns: whether VMs must use TLS. */
bool settings_require_tls(const Settings *s);

/* Returns: whether VMs with this Port URI are served. */
bool settings_accept_uri(const Settings *s, const char *uri);
