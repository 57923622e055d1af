/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/log.h"
#include "basic/text.h"
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
        free(TAKE_PTR(c->file));
}

/* *ret: the path of this credential, to be freed; NULL if there is none */
static int find_credential(const char *name, Problems *p, char **ret) {
        const char *folder = getenv("CREDENTIALS_DIRECTORY");

        *ret = NULL;
        if (!folder || !*folder)
                return 0;

        _cleanup_free_ char *path = text_format("%s/%s", folder, name);
        int r = !path ? -ENOMEM : access(path, F_OK) < 0 ? -errno : 0;
        if (r >= 0) {
                *ret = TAKE_PTR(path);
                return 0;
        }
        if (r == -ENOENT)
                return 0;

        problems_doubt(p, DOOR_VM_TLS | DOOR_ADMIN_TLS, "Cannot look for the credential %s: %s", name, strerror(-r));
        return r;
}

/* *ret_problem: NULL, or the problem, to be freed. It may be NULL too if memory is short. Returns: NULL if there is a
 * problem. */
static TlsContext *make_context(const TlsParameters *parameters, char **ret_problem) {
        TlsContext *c = NULL;

        return tls_context_new(parameters, &c, ret_problem) >= 0 ? c : NULL;
}

/* If both have the same problem, it is that of the certificate. */
static void check_contexts(const TlsContexts *c, const char *vm_problem, const char *admin_problem, Problems *p) {
        static const char unknown[] = "Out of memory";
        const char *vm = vm_problem ?: unknown, *admin = admin_problem ?: unknown;

        if (!c->vm && !c->admin && streq(vm, admin))
                problems_doubt(p, DOOR_VM_TLS | DOOR_ADMIN_TLS, "%s", vm);
        else {
                if (!c->vm)
                        problems_doubt(p, DOOR_VM_TLS, "TLS with ESXi hosts: %s", vm);
                if (!c->admin)
                        problems_doubt(p, DOOR_ADMIN_TLS, "TLS with admin connections: %s", admin);
        }
}

static void check_validity(const TlsContexts *c, const char *file, Problems *p) {
        const TlsContext *any = c->vm ?: c->admin;
        const char *problem = any ? tls_context_validity_problem(any, time(NULL)) : NULL;

        if (problem)
                problems_warn(p, "The certificate in %s %s", file, problem);
}

void tls_contexts_log(const TlsContexts *c) {
        const TlsContext *any = c->vm ?: c->admin;

        if (any)
                log_info("Using the certificate in %s for TLS, its thumbprint is %s", c->file ?: "?",
                         tls_context_thumbprint(any));
}

/* With one of these settings the administrator expects TLS. */
static void check_settings_without_certificate(const TlsSettings *s, const Settings *settings, const char *credential_key,
                                               Problems *p) {
        const struct {
                const char *name, *value;
                Doors doors;
        } keys[] = {
                {"The credential vspc.key", credential_key, DOOR_VM_TLS | DOOR_ADMIN_TLS},
                {"KeyFile=", s->key_file, DOOR_VM_TLS | DOOR_ADMIN_TLS},
                {"TrustedCAFile=", s->trusted_ca_file, DOOR_ADMIN_TLS},
                {"VMTrustedCAFile=", s->vm_trusted_ca_file, DOOR_VM},
        };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (keys[i].value)
                        problems_doubt(p, keys[i].doors, "%s needs a certificate: CertificateFile= is missing",
                                       keys[i].name);

        if (settings->require_vm_tls)
                problems_doubt(p, DOOR_VM, "RequireVMTLS=yes, but there is no certificate: CertificateFile= is missing");
}

void tls_contexts_load(const TlsSettings *s, const Settings *settings, TlsWorker *worker, TicketKey *ticket_key,
                       Problems *p, TlsContexts *ret) {
        _cleanup_free_ char *credential = NULL, *credential_key = NULL;

        *ret = (TlsContexts){};
        if (settings->require_vm_certificate && !s->vm_trusted_ca_file)
                problems_doubt(p, DOOR_VM, "RequireVMCertificate=yes, but VMTrustedCAFile= is missing");

        if (find_credential("vspc.crt", p, &credential) < 0 || find_credential("vspc.key", p, &credential_key) < 0)
                return;

        TlsParameters parameters = {
                .role = TLS_SERVER,
                .certificate_file = credential ?: s->certificate_file,
                .key_file = credential_key ?: credential ? NULL : s->key_file,
                .worker = worker,
        };
        if (!parameters.certificate_file) {
                if (!(p->doors & DOOR_VM_TLS)) /* if the certificate has a problem, it is not missing */
                        check_settings_without_certificate(s, settings, credential_key, p);
                return;
        }

        parameters.ticket_key = ticket_key;
        parameters.priority = s->priority;
        parameters.trusted_ca_file = s->vm_trusted_ca_file;
        parameters.peer_check = !s->vm_trusted_ca_file             ? TLS_PEER_ANY
                                : settings->require_vm_certificate ? TLS_PEER_REQUIRED
                                                                   : TLS_PEER_IF_PRESENT;
        _cleanup_free_ char *vm_problem = NULL, *admin_problem = NULL;
        ret->vm = make_context(&parameters, &vm_problem);

        /* There are few admin connections, and each is checked: no tickets. Priority= is for old ESXi hosts only. */
        parameters.ticket_key = NULL;
        parameters.priority = NULL;
        parameters.trusted_ca_file = s->trusted_ca_file;
        parameters.peer_check = s->trusted_ca_file ? TLS_PEER_REQUIRED : TLS_PEER_ANY;
        ret->admin = make_context(&parameters, &admin_problem);

        check_contexts(ret, vm_problem, admin_problem, p);
        check_validity(ret, parameters.certificate_file, p);
        ret->file = strdup(parameters.certificate_file);
}

Doors tls_closed_doors(const TlsSettings *s, const Settings *settings, const Problems *p) {
        bool vms_in_tls_only = settings->require_vm_tls || settings->require_vm_certificate || s->vm_trusted_ca_file;
        Doors closed = p->doors & (DOOR_VM | DOOR_ADMIN_TLS);

        return p->doors & DOOR_VM_TLS && vms_in_tls_only ? closed | DOOR_VM : closed;
}
