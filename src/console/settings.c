/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "settings.h"
#include "transport/account.h"

void settings_init(Settings *s) {
        *s = (Settings){
                .vm_ports = true,
                .vm_port_range_start = 50000,
                .vm_port_range_end = 65535,
                .vm_expire_usec = 24 * 3600 * USEC_PER_SEC,
                .vmotion_timeout_usec = 60 * USEC_PER_SEC,
                .handshake_timeout_usec = 30 * USEC_PER_SEC,
                .scrollback_size = 16 * 1024,
                .client_buffer_size = 1024 * 1024,
                .slow_client = SLOW_CLIENT_SKIP,
                .connection_memory_max = ACCOUNT_MAX_DEFAULT,
                .windows_enter = true,
                .start_tls = true,
        };

        (void) address_parse("127.0.0.1", &s->vm_port_address);
}

void settings_done(Settings *s) {
        for (char **uri = s->service_uris; uri && *uri; uri++)
                free(*uri);

        free(s->service_uris);
        s->service_uris = NULL;
}

bool settings_require_tls(const Settings *s) {
        return s->require_vm_tls || s->require_vm_certificate;
}

bool settings_accept_uri(const Settings *s, const char *uri) {
        if (!s->service_uris)
                return true;

        for (char **accepted = s->service_uris; *accepted; accepted++)
                if (streq(*accepted, uri))
                        return true;

        return false;
}
