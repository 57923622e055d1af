/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/settings.h"
#include "problems.h"
#include "transport/tls-context.h"

/*
 * TlsSettings: the [TLS] section of vspc.conf. TlsContexts: the TLS settings for ESXi hosts and for admin connections that
 * follow from it and from the credentials that systemd passes. vspc.conf(5) explains the names.
 */
typedef struct TlsSettings {
        char *certificate_file;            /* NULL: none */
        char *key_file;                    /* NULL: the key is in the certificate's file */
        char *trusted_ca_file;             /* NULL: admin connections need no certificate */
        char *vm_trusted_ca_file;          /* NULL: ESXi hosts are not asked for a certificate */
        char *priority;                    /* for ESXi hosts; NULL: TLS_PRIORITY_DEFAULT */
} TlsSettings;

void tls_settings_done(TlsSettings *s);

typedef struct TlsContexts {
        TlsContext *vm, *admin; /* NULL: there is no certificate, or there was a problem */
        char *file;             /* the certificate's file; NULL: there is none, or memory was short */
} TlsContexts;

void tls_contexts_done(TlsContexts *c);

/*
 * Reads certificates and keys, and adds problems to @p. The credentials vspc.crt and vspc.key (in $CREDENTIALS_DIRECTORY, see
 * systemd.exec(5)) have precedence over CertificateFile= and KeyFile=. KeyFile= is not used together with the credential
 * vspc.crt. @worker: for handshakes. @ticket_key: for session tickets of ESXi hosts. Both NULL: the contexts are only made to
 * find problems.
 */
void tls_contexts_load(const TlsSettings *tls, const Settings *settings, TlsWorker *worker, TicketKey *ticket_key,
                       Problems *p, TlsContexts *ret);

/* Logs which certificate is used, if there is one. */
void tls_contexts_log(const TlsContexts *c);

/* Returns: the doors that the problems close with these settings: DOOR_VM, DOOR_ADMIN_TLS, both or none. */
Doors tls_closed_doors(const TlsSettings *tls, const Settings *settings, const Problems *p);
