/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/settings.h"
#include "problems.h"
#include "transport/tls-context.h"

/*
 * What the [TLS] section of vspc.conf and the credentials that systemd passes come to: how TLS is spoken with
 * ESXi hosts, and with those who query. The names are those of vspc.conf(5).
 */
typedef struct TlsSettings {
        char *certificate_file, *key_file; /* NULL: none, and in the certificate's file */
        char *trusted_ca_file;             /* NULL: whoever queries needs no certificate */
        char *vm_trusted_ca_file;          /* NULL: ESXi hosts are not asked for one */
        char *priority;                    /* for ESXi hosts; NULL: TLS_PRIORITY_DEFAULT */
} TlsSettings;

void tls_settings_done(TlsSettings *s);

typedef struct TlsContexts {
        TlsContext *vm, *admin; /* NULL: there is no certificate, or a problem */
        char *file;             /* in which the certificate is; NULL: there is none, or no memory for it */
} TlsContexts;

void tls_contexts_done(TlsContexts *c);

/*
 * Reads certificates and keys, and adds what is wrong to @p. Credentials (vspc.crt and vspc.key in
 * $CREDENTIALS_DIRECTORY, see systemd.exec(5)) come before CertificateFile= and KeyFile=, each by itself; KeyFile= is
 * not for the certificate of a credential.
 * @worker: does the handshakes. @ticket_key: of ESXi hosts' session tickets. Both NULL: they are only tried out.
 */
void tls_contexts_load(const TlsSettings *tls, const Settings *settings, TlsWorker *worker, TicketKey *ticket_key,
                       Problems *p, TlsContexts *ret);

/* Logs which certificate it is, if there is one. */
void tls_contexts_log(const TlsContexts *c);

/* Which of the doors of @p are closed with these settings: DOOR_VM and DOOR_ADMIN_TLS, or one of them, or none. */
Doors tls_closed_doors(const TlsSettings *tls, const Settings *settings, const Problems *p);
