/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests of vspc.conf: loads a configuration, keeps the messages, and shows the values of keys. */

#include <stdio.h>
#include <sys/mman.h>

#include "basic/log.h"
#include "daemon/config.h"

/* The messages on stderr when the last configuration was loaded */
static char logged[65536];
static int log_fd = -1, saved_stderr = -1;

static inline void capture_begin(void) {
        fflush(stderr);
        assert_true((log_fd = memfd_create("log", MFD_CLOEXEC)) >= 0);
        assert_true((saved_stderr = dup(STDERR_FILENO)) >= 0);
        assert_true(dup2(log_fd, STDERR_FILENO) >= 0);
}

static inline void capture_end(void) {
        fflush(stderr);
        assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
        saved_stderr = safe_close(saved_stderr);

        ssize_t n = pread(log_fd, logged, sizeof logged - 1, 0);
        log_fd = safe_close(log_fd);
        assert_true(n >= 0);
        logged[n] = 0;
}

/* The mistakes in it */
static Problems problems;

/* Returns: the number of problems, or the negative errno @r. */
static inline int loaded(int r) {
        capture_end();
        return r < 0 ? r : (int) problems.n;
}

static inline void load_begin(void) {
        problems_done(&problems);
        capture_begin();
}

static inline int load_bytes(Config *c, const char *text, size_t size) {
        load_begin();
        return loaded(config_load_text(c, "vspc.conf", text, size, &problems));
}

static inline int load_text(Config *c, const char *text) {
        return load_bytes(c, text, strlen(text));
}

static inline void init(Config *c) {
        load_begin();
        config_init(c, &problems);
        (void) loaded(0);
}

#define _cleanup_config_ _cleanup_(config_done)

static inline unsigned count(const char *text, const char *what) {
        unsigned n = 0;

        for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
                n++;

        return n;
}

static inline void assert_said(const char *what) {
        if (!strstr(logged, what))
                fail_msg("\"%s\" is not in what was said:\n%s", what, logged);
}

/* Returns: the value of a key in @c, as text. */
static inline char *show(const Config *c, const char *key) {
        static const char *const slow_client[] = {
                [SLOW_CLIENT_SKIP] = "skip",
                [SLOW_CLIENT_WAIT] = "wait",
                [SLOW_CLIENT_DROP] = "drop",
        };
        const Settings *s = &c->settings;
        char *text = NULL, address[ADDRESS_TEXT_MAX];
        int n = -1;

        if (streq(key, "ServiceURI")) {
                assert_non_null(text = strdup(s->service_uris ? "" : "any"));
                for (char **uri = s->service_uris; uri && *uri; uri++) {
                        _cleanup_free_ char *before = text;

                        assert_true(asprintf(&text, "%s<%s>", before, *uri) >= 0);
                }
                return text;
        }

        if (streq(key, "MultiConsole"))
                n = asprintf(&text, "%s", s->multi_console ? "yes" : "no");
        else if (streq(key, "VMPorts"))
                n = asprintf(&text, "%s", s->vm_ports ? "yes" : "no");
        else if (streq(key, "VMPortAddress"))
                n = asprintf(&text, "%s", address_format(&s->vm_port_address, address));
        else if (streq(key, "VMPortRangeStart"))
                n = asprintf(&text, "%u", s->vm_port_range_start);
        else if (streq(key, "VMPortRangeEnd"))
                n = asprintf(&text, "%u", s->vm_port_range_end);
        else if (streq(key, "VMExpireSec"))
                n = asprintf(&text, "%llu", (unsigned long long) s->vm_expire_usec);
        else if (streq(key, "VMotionTimeoutSec"))
                n = asprintf(&text, "%llu", (unsigned long long) s->vmotion_timeout_usec);
        else if (streq(key, "HandshakeTimeoutSec"))
                n = asprintf(&text, "%llu", (unsigned long long) s->handshake_timeout_usec);
        else if (streq(key, "HookTimeoutSec"))
                n = asprintf(&text, "%llu", (unsigned long long) c->hook_timeout_usec);
        else if (streq(key, "ClientLimit"))
                n = asprintf(&text, "%u", s->client_limit);
        else if (streq(key, "ScrollbackSize"))
                n = asprintf(&text, "%llu", (unsigned long long) s->scrollback_size);
        else if (streq(key, "ClientBufferSize"))
                n = asprintf(&text, "%llu", (unsigned long long) s->client_buffer_size);
        else if (streq(key, "ConnectionMemoryMax"))
                n = asprintf(&text, "%llu", (unsigned long long) s->connection_memory_max);
        else if (streq(key, "SlowClient"))
                n = asprintf(&text, "%s", slow_client[s->slow_client]);
        else if (streq(key, "WindowsEnter"))
                n = asprintf(&text, "%s", s->windows_enter ? "yes" : "no");
        else if (streq(key, "WebURL"))
                n = asprintf(&text, "%s", c->settings.web_url);
        else if (streq(key, "Backend"))
                n = asprintf(&text, "%s", c->backend);
        else if (streq(key, "Journal"))
                n = asprintf(&text, "%s", c->console_log.journal ? "yes" : "no");
        else if (streq(key, "Files"))
                n = asprintf(&text, "%s", c->console_log.files ? "yes" : "no");
        else if (streq(key, "Prefix"))
                n = asprintf(&text, "%s", c->console_log.prefix ?: "none");
        else if (streq(key, "Mode"))
                n = asprintf(&text, "%04o", c->console_log.mode);
        else if (streq(key, "CertificateFile"))
                n = asprintf(&text, "%s", c->tls.certificate_file ?: "none");
        else if (streq(key, "KeyFile"))
                n = asprintf(&text, "%s", c->tls.key_file ?: "none");
        else if (streq(key, "TrustedCAFile"))
                n = asprintf(&text, "%s", c->tls.trusted_ca_file ?: "none");
        else if (streq(key, "VMTrustedCAFile"))
                n = asprintf(&text, "%s", c->tls.vm_trusted_ca_file ?: "none");
        else if (streq(key, "StartTLS"))
                n = asprintf(&text, "%s", s->start_tls ? "yes" : "no");
        else if (streq(key, "RequireVMTLS"))
                n = asprintf(&text, "%s", s->require_vm_tls ? "yes" : "no");
        else if (streq(key, "RequireVMCertificate"))
                n = asprintf(&text, "%s", s->require_vm_certificate ? "yes" : "no");
        else if (streq(key, "Priority"))
                n = asprintf(&text, "%s", c->tls.priority ?: "none");

        assert_true(n >= 0);
        return text;
}

/* The defaults in the manual, and another value, to test that a key is reset */
static const struct {
        const char *key, *fallback, *other;
} keys[] = {
        {"ServiceURI", "any", "a"},
        {"MultiConsole", "no", "yes"},
        {"VMPorts", "yes", "no"},
        {"VMPortAddress", "127.0.0.1:0", "::1"},
        {"VMPortRangeStart", "50000", "50001"},
        {"VMPortRangeEnd", "65535", "65534"},
        {"VMExpireSec", "86400000000", "1"},
        {"VMotionTimeoutSec", "60000000", "1"},
        {"HandshakeTimeoutSec", "30000000", "1"},
        {"HookTimeoutSec", "30000000", "1"},
        {"ClientLimit", "0", "1"},
        {"ScrollbackSize", "16384", "1"},
        {"ClientBufferSize", "1048576", "8K"},
        {"ConnectionMemoryMax", "536870912", "1G"},
        {"SlowClient", "skip", "wait"},
        {"WebURL", "", "https://vspc:9090/vspc"},
        {"Backend", "file", "memory"},
        {"Journal", "yes", "no"},
        {"Files", "no", "yes"},
        {"Prefix", "none", "prod"},
        {"Mode", "0600", "0640"},
        {"CertificateFile", "none", "/a"},
        {"KeyFile", "none", "/a"},
        {"TrustedCAFile", "none", "/a"},
        {"VMTrustedCAFile", "none", "/a"},
        {"StartTLS", "yes", "no"},
        {"RequireVMTLS", "no", "yes"},
        {"RequireVMCertificate", "no", "yes"},
        {"Priority", "none", "NORMAL"},
};

static inline const char *section_of(const char *key) {
        static const struct {
                const char *key, *section;
        } sections[] = {
                {"Journal", "ConsoleLog"},
                {"Files", "ConsoleLog"},
                {"Prefix", "ConsoleLog"},
                {"Mode", "ConsoleLog"},
                {"CertificateFile", "TLS"},
                {"KeyFile", "TLS"},
                {"TrustedCAFile", "TLS"},
                {"VMTrustedCAFile", "TLS"},
                {"StartTLS", "TLS"},
                {"RequireVMTLS", "TLS"},
                {"RequireVMCertificate", "TLS"},
                {"Priority", "TLS"},
        };

        for (size_t i = 0; i < ELEMENTSOF(sections); i++)
                if (streq(key, sections[i].key))
                        return sections[i].section;

        return "Concentrator";
}

static inline void assert_shows(const Config *c, const char *key, const char *want) {
        _cleanup_free_ char *got = show(c, key);

        if (!streq(got, want))
                fail_msg("%s is %s, not %s", key, got, want);
}

/* Checks that all keys except @except have their defaults. */
static inline void assert_defaults(const Config *c, const char *except) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (!except || !streq(keys[i].key, except))
                        assert_shows(c, keys[i].key, keys[i].fallback);
}

/* Removes our variables from the environment. */
static inline int clean_environment(_unused_ void **state) {
        unsetenv("SUPPORT_MULTI_CONSOLE");
        unsetenv("VM_CLIENT_LIMIT");
        return 0;
}
