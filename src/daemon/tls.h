/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/settings.h"
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
        TlsContext *vm, *admin; /* NULL: there is no certificate */
} TlsContexts;

void tls_contexts_done(TlsContexts *c);

/*
 * Reads certificates and keys. Credentials (vspc.crt and vspc.key in $CREDENTIALS_DIRECTORY, see
 * systemd.exec(5)) come before CertificateFile= and KeyFile=, each by itself; KeyFile= is not for the
 * certificate of a credential. Logs what is wrong, and what the certificate is.
 * @worker: does the handshakes. @ticket_key: of ESXi hosts' session tickets. Both NULL: they are only tried out.
 * Returns: the number of settings that have no effect for want of a certificate, or a negative errno.
 */
int tls_contexts_load(const TlsSettings *settings, TlsWorker *worker, TicketKey *ticket_key, TlsContexts *ret);

/* @vm: NULL if there is no certificate. Returns: -ENOKEY, after having logged it, if TLS is required of VMs
 * (RequireVMTLS=) and cannot be had; or 0. */
int tls_check_required(const Settings *settings, const TlsContext *vm);
