/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/log.h"
#include "basic/time.h"
#include "tls.h"

void tls_settings_done(TlsSettings *s) {
        free(s->certificate_file);
        free(s->key_file);
        free(s->trusted_ca_file);
        free(s->vm_trusted_ca_file);
        free(s->priority);
        *s = (TlsSettings){};
}

void tls_contexts_done(TlsContexts *c) {
        c->vm = tls_context_unref(c->vm);
        c->admin = tls_context_unref(c->admin);
}

/* *ret: the path of this credential, to be freed, or NULL if there is none. */
static int find_credential(const char *name, char **ret) {
        const char *folder = getenv("CREDENTIALS_DIRECTORY");
        _cleanup_free_ char *path = NULL;

        *ret = NULL;
        if (!folder || !*folder)
                return 0;
        if (asprintf(&path, "%s/%s", folder, name) < 0)
                return log_error_errno(ENOMEM, "Cannot look for the credential %s: %m", name);

        if (access(path, F_OK) >= 0)
                *ret = TAKE_PTR(path);
        else if (errno != ENOENT)
                return log_error_errno(errno, "Cannot look for the credential %s: %m", name);

        return 0;
}

static int make_context(const char *whom, const TlsParameters *parameters, TlsContext **ret) {
        _cleanup_free_ char *problem = NULL;

        int r = tls_context_new(parameters, ret, &problem);
        if (r < 0)
                return log_full(LOG_ERR, r, NULL, "TLS with %s: %s", whom, problem ?: strerror(-r));

        return 0;
}

static void describe(const TlsContext *c, const char *file) {
        const char *problem = tls_context_validity_problem(c, time(NULL));

        if (problem)
                log_warning("The certificate in %s %s", file, problem);
        log_info("The certificate for TLS is that in %s, its thumbprint is %s", file, tls_context_thumbprint(c));
}

/* Returns: how many of them there are. */
static int warn_of_settings_without_certificate(const TlsSettings *s, const char *credential_key) {
        const struct {
                const char *name, *value;
        } settings[] = {
                {"The credential vspc.key", credential_key},
                {"KeyFile=", s->key_file},
                {"TrustedCAFile=", s->trusted_ca_file},
                {"VMTrustedCAFile=", s->vm_trusted_ca_file},
        };

        int n = 0;

        for (size_t i = 0; i < ELEMENTSOF(settings); i++)
                if (settings[i].value) {
                        log_warning("%s means nothing without a certificate: CertificateFile= is missing",
                                    settings[i].name);
                        n++;
                }

        return n;
}

int tls_contexts_load(const TlsSettings *s, TlsWorker *worker, TicketKey *ticket_key, TlsContexts *ret) {
        _cleanup_free_ char *credential = NULL, *credential_key = NULL;
        _cleanup_(tls_contexts_done) TlsContexts contexts = {};

        int r = find_credential("vspc.crt", &credential);
        if (r >= 0)
                r = find_credential("vspc.key", &credential_key);
        if (r < 0)
                return r;

        TlsParameters parameters = {
                .role = TLS_SERVER,
                .certificate_file = credential ?: s->certificate_file,
                .key_file = credential_key ?: credential ? NULL : s->key_file,
                .worker = worker,
        };
        if (!parameters.certificate_file) {
                *ret = (TlsContexts){};
                return warn_of_settings_without_certificate(s, credential_key);
        }

        parameters.ticket_key = ticket_key;
        parameters.priority = s->priority;
        parameters.trusted_ca_file = s->vm_trusted_ca_file;
        parameters.peer_check = s->vm_trusted_ca_file ? TLS_PEER_IF_PRESENT : TLS_PEER_ANY;
        r = make_context("ESXi hosts", &parameters, &contexts.vm);
        if (r < 0)
                return r;

        /* There are few of them, and who they are is found out each time. What old hosts need is not for them. */
        parameters.ticket_key = NULL;
        parameters.priority = NULL;
        parameters.trusted_ca_file = s->trusted_ca_file;
        parameters.peer_check = s->trusted_ca_file ? TLS_PEER_REQUIRED : TLS_PEER_ANY;
        r = make_context("those who query", &parameters, &contexts.admin);
        if (r < 0)
                return r;

        describe(contexts.vm, parameters.certificate_file);
        *ret = TAKE(contexts, (TlsContexts){});
        return 0;
}

int tls_check_required(const Settings *settings, const TlsContext *vm) {
        if (!settings->require_vm_tls || vm)
                return 0;

        log_warning("RequireVMTLS=yes, but there is no certificate: all VMs are refused");
        return -ENOKEY;
}
