/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <stdio.h>

#include "basic/text.h"
#include "message.h"
#include "trust.h"

struct Trust {
        TlsContext *context;
        TrustOptions options;
        char *host;
        uint8_t fingerprint[TLS_FINGERPRINT_SIZE];
};

static bool parse_fingerprint(const char *p, uint8_t ret[static TLS_FINGERPRINT_SIZE]) {
        for (size_t i = 0; i < TLS_FINGERPRINT_SIZE; i++) {
                if (i > 0 && *p == ':')
                        p++;

                int high = text_hex_digit(p[0]), low = high >= 0 ? text_hex_digit(p[1]) : -1;
                if (low < 0)
                        return false;

                ret[i] = (uint8_t) (high << 4 | low);
                p += 2;
        }

        return *p == 0;
}

static void print_fingerprint(FILE *f, const uint8_t fingerprint[static TLS_FINGERPRINT_SIZE]) {
        char text[3 * TLS_FINGERPRINT_SIZE];

        fputs(text_format_fingerprint(fingerprint, TLS_FINGERPRINT_SIZE, text), f);
}

/* Removes parts that names in certificates do not have: a dot at the end, and the interface in fe80::1%eth0. */
static char *certificate_name(const char *host) {
        char *name = strdup(host);
        struct in6_addr address;

        if (!name)
                return NULL;

        size_t n = strlen(name);
        if (n > 1 && name[n - 1] == '.')
                name[n - 1] = 0;

        char *zone = strchr(name, '%');
        if (zone) {
                *zone = 0;
                if (inet_pton(AF_INET6, name, &address) <= 0)
                        *zone = '%';
        }

        return name;
}

int trust_new(const TrustOptions *options, const char *host, Trust **ret) {
        _cleanup_(trust_freep) Trust *t = calloc(1, sizeof(Trust));
        _cleanup_free_ char *problem = NULL;

        if (t)
                t->host = certificate_name(host);
        if (!t || !t->host)
                return complain(ENOMEM, "%m");

        t->options = *options;
        if (options->fingerprint && !parse_fingerprint(options->fingerprint, t->fingerprint))
                return complain(EINVAL,
                                "--fingerprint: \"%s\" is not the SHA-256 of a certificate: 64 hexadecimal digits, "
                                "with or without colons.",
                                options->fingerprint);

        TlsParameters parameters = {
                .role = TLS_CLIENT,
                .certificate_file = options->certificate,
                .key_file = options->key,
                .peer_check = options->fingerprint && !options->ca ? TLS_PEER_ANY : TLS_PEER_REQUIRED,
                .trusted_ca_file = options->ca,
                .fingerprint = options->fingerprint ? t->fingerprint : NULL,
        };
        int r = tls_context_new(&parameters, &t->context, &problem);
        if (r < 0)
                return complain(r, "%s", problem ?: strerror(-r));

        *ret = TAKE_PTR(t);
        return 0;
}

Trust *trust_free(Trust *t) {
        if (!t)
                return NULL;

        tls_context_unref(t->context);
        free(t->host);
        free(t);
        return NULL;
}

TlsContext *trust_context(const Trust *t) {
        return t->context;
}

const char *trust_host(const Trust *t) {
        return t->host;
}

static void print_expected(FILE *f, const Trust *t) {
        const TrustOptions *o = &t->options;

        if (o->fingerprint) {
                fputs("\nThe certificate must be the one with this SHA-256 fingerprint:\n  ", f);
                print_fingerprint(f, t->fingerprint);
        }
        if (!o->fingerprint || o->ca)
                fprintf(f, "\nThe certificate must %sbe for \"%s\", and signed by an authority %s%s.",
                        o->fingerprint ? "also " : "", t->host, o->ca ? "in " : "that this system trusts",
                        o->ca ?: "");
        if (tls_context_trusts_nobody(t->context))
                fputs("\nThis system trusts no authority at all: install the usual ones (Debian's package "
                      "ca-certificates),\nor name one with --ca=FILE.",
                      f);
}

static void print_shown(FILE *f, const Trust *t, const TlsSession *s) {
        const char *name = tls_session_peer_name(s);
        uint8_t fingerprint[TLS_FINGERPRINT_SIZE];

        if (!tls_session_peer_fingerprint(s, fingerprint))
                return;

        fprintf(f, "\nThe certificate shown is that of \"%s\"", name);
        if (t->options.fingerprint && memcmp(fingerprint, t->fingerprint, sizeof fingerprint) == 0) {
                fputs(", and has this fingerprint: without --ca that is enough.", f);
                return;
        }

        fprintf(f,
                ". If \"openssl x509 -noout -sha256 -fingerprint -in FILE\"\n"
                "prints its fingerprint on vspcd's machine, accept this certificate only%s with\n  --fingerprint=",
                t->options.ca ? ", instead of --ca," : "");
        print_fingerprint(f, fingerprint);
}

static void print_way_out(FILE *f, const Trust *t, const TlsSession *s) {
        const char *certificate = t->options.certificate;

        if (tls_session_is_asked_for_certificate(s) && certificate)
                fprintf(f, "\nvspcd asks for your certificate, and may not accept the one in %s.",
                        certificate);
        else if (tls_session_is_asked_for_certificate(s))
                fputs("\nvspcd asks for your certificate: use --cert=FILE and --key=FILE.", f);
        else if (!tls_session_is_open(s))
                fputs("\nDoes vspcd speak TLS there? "
                      "It does on port 13372 if vspc-admin-tls.socket is enabled.",
                      f);
}

/* Some of GnuTLS's messages end with a full stop, others do not. */
static void print_problem(FILE *f, const char *problem) {
        fprintf(f, "%.*s.", (int) text_sentence_length(problem, strlen(problem)), problem);
}

char *trust_explain(const Trust *t, const TlsSession *s) {
        const char *problem = tls_session_problem(s);
        char *text = NULL;
        size_t size;

        FILE *f = open_memstream(&text, &size);
        if (!f)
                return NULL;

        print_problem(f, *problem ? problem : "the TLS handshake has timed out");
        if (tls_session_peer_is_refused(s)) {
                print_expected(f, t);
                print_shown(f, t, s);
        } else
                print_way_out(f, t, s);

        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }

        return text;
}
