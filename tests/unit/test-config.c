/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vspc.conf: what each key takes and what it does not, that whatever is wrong is said with its place and leaves
 * the default, and which of several files wins. That last part has folders of its own in place of /etc, /run and
 * /usr/lib: it needs a mount namespace, and says so where it cannot have one.
 */

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "harness.h"

#include "basic/log.h"
#include "daemon/config.h"

/* What was said on stderr while the last configuration was loaded */
static char logged[65536];
static int log_fd = -1, saved_stderr = -1;

static void capture_begin(void) {
        fflush(stderr);
        assert_true((log_fd = memfd_create("log", MFD_CLOEXEC)) >= 0);
        assert_true((saved_stderr = dup(STDERR_FILENO)) >= 0);
        assert_true(dup2(log_fd, STDERR_FILENO) >= 0);
}

static void capture_end(void) {
        fflush(stderr);
        assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
        saved_stderr = safe_close(saved_stderr);

        ssize_t n = pread(log_fd, logged, sizeof logged - 1, 0);
        log_fd = safe_close(log_fd);
        assert_true(n >= 0);
        logged[n] = 0;
}

static int load_bytes(Config *c, const char *text, size_t size) {
        capture_begin();
        int n = config_load_text(c, "vspc.conf", text, size);
        capture_end();
        return n;
}

static int load_text(Config *c, const char *text) {
        return load_bytes(c, text, strlen(text));
}

static void init(Config *c) {
        capture_begin();
        config_init(c);
        capture_end();
}

#define _cleanup_config_ _cleanup_(config_done)

static unsigned count(const char *text, const char *what) {
        unsigned n = 0;

        for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
                n++;

        return n;
}

static void assert_said(const char *what) {
        if (!strstr(logged, what))
                fail_msg("\"%s\" is not in what was said:\n%s", what, logged);
}

/* A key's value in @c, as text to compare */
static char *show(const Config *c, const char *key) {
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
        else if (streq(key, "SlowClient"))
                n = asprintf(&text, "%s", slow_client[s->slow_client]);
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
        else if (streq(key, "Priority"))
                n = asprintf(&text, "%s", c->tls.priority ?: "none");

        assert_true(n >= 0);
        return text;
}

/* The defaults are those of the manual; another value, to see a key reset. */
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
        {"SlowClient", "skip", "wait"},
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
        {"Priority", "none", "NORMAL"},
};

static const char *section_of(const char *key) {
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
                {"Priority", "TLS"},
        };

        for (size_t i = 0; i < ELEMENTSOF(sections); i++)
                if (streq(key, sections[i].key))
                        return sections[i].section;

        return "Concentrator";
}

static void assert_shows(const Config *c, const char *key, const char *want) {
        _cleanup_free_ char *got = show(c, key);

        if (!streq(got, want))
                fail_msg("%s is %s, not %s", key, got, want);
}

/* All keys are at their defaults, but for @except. */
static void assert_defaults(const Config *c, const char *except) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (!except || !streq(keys[i].key, except))
                        assert_shows(c, keys[i].key, keys[i].fallback);
}

static void test_defaults(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_defaults(&c, NULL);
        assert_string_equal(logged, "");
}

#define NAME_64 "abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789"

/* What a key makes of a value; NULL: nothing, and that is said. */
static const struct {
        const char *key, *value, *want;
} values[] = {
        {"ServiceURI", "vspc://rack7", "<vspc://rack7>"},
        {"ServiceURI", "a b\t c  d", "<a><b><c><d>"},
        {"ServiceURI", "telnet://x:1/?a=b;c#d", "<telnet://x:1/?a=b;c#d>"},

        {"MultiConsole", "yes", "yes"},
        {"MultiConsole", "1", "yes"},
        {"MultiConsole", "On", "yes"},
        {"MultiConsole", "false", "no"},
        {"MultiConsole", "maybe", NULL},
        {"MultiConsole", "2", NULL},

        {"VMPorts", "no", "no"},
        {"VMPorts", "true", "yes"},
        {"VMPorts", "-", NULL},

        {"VMPortAddress", "0.0.0.0", "0.0.0.0:0"},
        {"VMPortAddress", "192.0.2.7", "192.0.2.7:0"},
        {"VMPortAddress", "::", "[::]:0"},
        {"VMPortAddress", "2001:db8::7", "[2001:db8::7]:0"},
        {"VMPortAddress", "localhost", NULL},
        {"VMPortAddress", "192.0.2.7:50000", NULL},
        {"VMPortAddress", "[::1]", NULL},
        {"VMPortAddress", "192.0.2", NULL},
        {"VMPortAddress", "256.0.0.1", NULL},

        {"VMPortRangeStart", "1", "1"},
        {"VMPortRangeStart", "65535", "65535"},
        {"VMPortRangeStart", "0", NULL},
        {"VMPortRangeStart", "65536", NULL},
        {"VMPortRangeStart", "115536", NULL}, /* 50000 modulo 2^16 */
        {"VMPortRangeStart", "18446744073709601616", NULL},
        {"VMPortRangeStart", "-1", NULL},
        {"VMPortRangeStart", "1.5", NULL},
        {"VMPortRangeStart", "0x1000", NULL},
        {"VMPortRangeStart", "1000 2000", NULL},

        {"VMPortRangeEnd", "65535", "65535"},
        {"VMPortRangeEnd", "50000", "50000"},
        {"VMPortRangeEnd", "0", NULL},
        {"VMPortRangeEnd", "65536", NULL},
        {"VMPortRangeEnd", "http", NULL},

        {"VMExpireSec", "90", "90000000"},
        {"VMExpireSec", "1d", "86400000000"},
        {"VMExpireSec", "5min 20s", "320000000"},
        {"VMExpireSec", "1.5h", "5400000000"},
        {"VMExpireSec", "0", "0"},
        {"VMExpireSec", "infinity", "18446744073709551615"},
        {"VMExpireSec", "never", NULL},
        {"VMExpireSec", "-1", NULL},
        {"VMExpireSec", "1 fortnight", NULL},
        {"VMExpireSec", "99999999999999999999", NULL},

        {"VMotionTimeoutSec", "5min", "300000000"},
        {"VMotionTimeoutSec", "1ms", "1000"},
        {"VMotionTimeoutSec", "999us", NULL},
        {"VMotionTimeoutSec", "0", NULL},
        {"VMotionTimeoutSec", "infinity", NULL},
        {"VMotionTimeoutSec", "soon", NULL},

        {"HandshakeTimeoutSec", "10", "10000000"},
        {"HandshakeTimeoutSec", "0", NULL},
        {"HandshakeTimeoutSec", "infinity", NULL},

        {"HookTimeoutSec", "2min", "120000000"},
        {"HookTimeoutSec", "0", NULL},
        {"HookTimeoutSec", "infinity", NULL},

        {"ClientLimit", "5", "5"},
        {"ClientLimit", "4294967295", "4294967295"},
        {"ClientLimit", "4294967296", NULL},
        {"ClientLimit", "-1", NULL},
        {"ClientLimit", "five", NULL},

        {"ScrollbackSize", "0", "0"},
        {"ScrollbackSize", "1", "1"},
        {"ScrollbackSize", "64K", "65536"},
        {"ScrollbackSize", "1.5M", "1572864"},
        {"ScrollbackSize", "64M", "67108864"},
        {"ScrollbackSize", "67108865", NULL},
        {"ScrollbackSize", "1G", NULL},
        {"ScrollbackSize", "-1", NULL},
        {"ScrollbackSize", "16 KiB", NULL},
        {"ScrollbackSize", "99999999999999999999", NULL},

        {"ClientBufferSize", "8K", "8192"},
        {"ClientBufferSize", "8191", NULL},
        {"ClientBufferSize", "1G", "1073741824"},
        {"ClientBufferSize", "1073741825", NULL},
        {"ClientBufferSize", "0", NULL},
        {"ClientBufferSize", "big", NULL},

        {"SlowClient", "skip", "skip"},
        {"SlowClient", "wait", "wait"},
        {"SlowClient", "drop", "drop"},
        {"SlowClient", "Wait", NULL},
        {"SlowClient", "waiting", NULL},
        {"SlowClient", "0", NULL},

        {"Backend", "memory", "memory"},
        {"Backend", "file:/srv/vspc with spaces", "file:/srv/vspc with spaces"},
        {"Backend", "My-SQL2", "My-SQL2"},
        {"Backend", "redis:host=[::1]:6379, a/../b", "redis:host=[::1]:6379, a/../b"},
        {"Backend", "redis:", "redis:"},
        {"Backend", NAME_64, NAME_64},
        {"Backend", NAME_64 "x", NULL},
        {"Backend", ":argument", NULL},
        {"Backend", "../evil", NULL},
        {"Backend", "/usr/lib/evil.so", NULL},
        {"Backend", "my_sql", NULL},
        {"Backend", "two words", NULL},
        {"Backend", "M\xc3\xbcller", NULL},
        {"Journal", "no", "no"},
        {"Journal", "maybe", NULL},
        {"Files", "yes", "yes"},
        {"Files", "2", NULL},

        {"Prefix", "prod-1", "prod-1"},
        {"Prefix", "M\xc3\xbcnchen", "M\xc3\xbcnchen"},
        {"Prefix", "../x", NULL},
        {"Prefix", "a/b", NULL},
        {"Prefix", ".x", NULL},
        {"Prefix", "-x", NULL},

        {"Mode", "0640", "0640"},
        {"Mode", "640", "0640"},
        {"Mode", "00777", "0777"},
        {"Mode", "0400", NULL},
        {"Mode", "1600", NULL},
        {"Mode", "0680", NULL},
        {"Mode", "0o640", NULL},
        {"Mode", "rw-", NULL},
        {"Mode", "0000640", NULL},

        {"CertificateFile", "/etc/vspc/vspc.crt", "/etc/vspc/vspc.crt"},
        {"CertificateFile", "/etc/vspc/with spaces", "/etc/vspc/with spaces"},
        {"CertificateFile", "pkcs11:object=vspc", "pkcs11:object=vspc"},
        {"CertificateFile", "vspc.crt", NULL},
        {"CertificateFile", "../vspc.crt", NULL},
        {"CertificateFile", "http://example.com/vspc.crt", NULL},

        {"KeyFile", "/etc/vspc/vspc.key", "/etc/vspc/vspc.key"},
        {"KeyFile", "pkcs11:object=vspc;type=private", "pkcs11:object=vspc;type=private"},
        {"KeyFile", "~/vspc.key", NULL},

        {"TrustedCAFile", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt"},
        {"TrustedCAFile", "ca.crt", NULL},
        {"VMTrustedCAFile", "/etc/vspc/vcenter.crt", "/etc/vspc/vcenter.crt"},
        {"VMTrustedCAFile", "yes", NULL},

        {"StartTLS", "no", "no"},
        {"StartTLS", "never", NULL},
        {"RequireVMTLS", "yes", "yes"},
        {"RequireVMTLS", "always", NULL},

        /* What it means only GnuTLS knows. */
        {"Priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.3"},
        {"Priority", "@SYSTEM", "@SYSTEM"},
};

static void test_every_key_takes_what_it_should_and_nothing_else(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                char text[256], want[256];
                _cleanup_config_ Config c;

                init(&c);
                snprintf(text, sizeof text, "[%s]\n%s=%s\n", section_of(values[i].key), values[i].key,
                         values[i].value);
                int n = load_text(&c, text);

                if (streq(values[i].key, "VMPortRangeStart") && values[i].want)
                        c.settings.vm_port_range_end = 65535;
                assert_defaults(&c, values[i].want ? values[i].key : NULL);
                if (values[i].want) {
                        assert_shows(&c, values[i].key, values[i].want);
                        assert_string_equal(logged, "");
                        assert_int_equal(n, 0);
                        continue;
                }

                snprintf(want, sizeof want, "test: vspc.conf:2: %s= wants ", values[i].key);
                assert_said(want);
                size_t shown = streq(values[i].key, "Backend") ? strcspn(values[i].value, ":")
                                                               : strlen(values[i].value);
                snprintf(want, sizeof want, ", not \"%.*s%s\", ignoring it\n", (int) shown, values[i].value,
                         values[i].value[shown] ? "…" : "");
                assert_said(want);
                assert_int_equal(count(logged, "\n"), 1);
                assert_int_equal(n, 1);
        }
}

static void test_a_bad_value_leaves_what_was_assigned_before(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_text(&c, "[Concentrator]\nClientLimit=3\nClientLimit=x\nScrollbackSize=1K\n"
                                       "ScrollbackSize=1T\n"), 2);
        assert_shows(&c, "ClientLimit", "3");
        assert_shows(&c, "ScrollbackSize", "1024");
}

static void test_the_last_assignment_wins(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_text(&c, "[Concentrator]\nClientLimit=3\n[Concentrator]\nClientLimit=4\n"), 0);
        assert_shows(&c, "ClientLimit", "4");
}

static void test_an_empty_value_is_the_default_again(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                char text[256];
                _cleanup_config_ Config c;

                init(&c);
                snprintf(text, sizeof text, "[%s]\n%s=%s\n", section_of(keys[i].key), keys[i].key,
                         keys[i].other);
                assert_int_equal(load_text(&c, text), 0);
                snprintf(text, sizeof text, "[%s]\n%s=\n", section_of(keys[i].key), keys[i].key);
                assert_int_equal(load_text(&c, text), 0);

                assert_defaults(&c, NULL);
                assert_string_equal(logged, "");
        }
}

static void test_lists_add_up_until_they_are_reset(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_text(&c, "[Concentrator]\nServiceURI=a b\nServiceURI=c\n"), 0);
        assert_int_equal(load_text(&c, "[Concentrator]\nServiceURI=d\n  e\n"), 0); /* and go on below */
        assert_shows(&c, "ServiceURI", "<a><b><c><d><e>");

        assert_int_equal(load_text(&c, "[Concentrator]\nServiceURI=\nServiceURI=f\n"), 0);
        assert_shows(&c, "ServiceURI", "<f>");
        assert_int_equal(load_text(&c, "[Concentrator]\nServiceURI=\nServiceURI=\n"), 0);
        assert_shows(&c, "ServiceURI", "any");
}

static void test_a_list_ends_at_1024(_unused_ void **state) {
        static char text[32768] = "[Concentrator]\n";
        size_t n = 0;
        _cleanup_config_ Config c;

        for (unsigned i = 0; i < 1024; i++)
                sprintf(text + strlen(text), "ServiceURI=uri%u\n", i);
        init(&c);
        assert_int_equal(load_text(&c, text), 0);
        assert_int_equal(load_text(&c, "[Concentrator]\nServiceURI=more\n"), 1);
        assert_said("vspc.conf:2: ServiceURI= wants ");

        while (c.settings.service_uris[n])
                n++;
        assert_int_equal(n, 1024);
        assert_string_equal(c.settings.service_uris[1023], "uri1023");
}

static void test_what_is_unknown_is_said_with_its_place(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_text(&c, "Early=1\n"
                                       "# comment\n"
                                       "[Concentrator]\n"
                                       "ClientLimitt=3\n"
                                       "clientlimit=3\n"
                                       "\n"
                                       "[Web]\n"
                                       "ClientLimit=4\n"
                                       "[concentrator]\n"
                                       "ClientLimit=5\n"
                                       "[Concentrator]\n"
                                       "SlowClient=wait\n"),
                         5);
        assert_string_equal(logged,
                            "test: vspc.conf:1: Early= stands before any section, it belongs below [Concentrator]\n"
                            "test: vspc.conf:4: Unknown key ClientLimitt= in section [Concentrator], ignoring it\n"
                            "test: vspc.conf:5: Unknown key clientlimit= in section [Concentrator], ignoring it\n"
                            "test: vspc.conf:8: Unknown section [Web], ignoring ClientLimit= in it\n"
                            "test: vspc.conf:10: Unknown section [concentrator], ignoring ClientLimit= in it\n");
        assert_defaults(&c, "SlowClient");
        assert_shows(&c, "SlowClient", "wait");
}

static void test_what_is_no_assignment_is_said_and_the_rest_is_read(_unused_ void **state) {
        static const char *const lines[] = {"ClientLimit 3", "[Concentrator", "<xml/>"};

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                char text[256];
                _cleanup_config_ Config c;

                init(&c);
                snprintf(text, sizeof text, "[Concentrator]\n\n%s\nClientLimit=4\n", lines[i]);
                assert_int_equal(load_text(&c, text), 1);
                assert_string_equal(logged, "test: vspc.conf:3: This is neither a [Section] nor Key=Value\n");
                assert_shows(&c, "ClientLimit", "4");
        }
}

static void test_each_line_that_is_no_assignment_is_said(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_text(&c, "[Concentrator]\nfirst\nClientLimit=4\nsecond\n[third\n"), 3);
        assert_said("vspc.conf:2: This is neither");
        assert_said("vspc.conf:4: This is neither");
        assert_said("vspc.conf:5: This is neither");
        assert_shows(&c, "ClientLimit", "4");
}

static void test_what_is_said_is_fit_for_a_terminal(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_text(&c, "[Concentrator]\nClientLimit=\x1b[2J\xff\n\x1b]0;x=1\n[\x1b]\na=1\n"), 3);
        assert_int_equal(count(logged, "\n"), 3);
        assert_null(strchr(logged, '\x1b'));
        assert_null(strchr(logged, '\xff'));
        assert_said("not \"\xef\xbf\xbd[2J\xef\xbf\xbd\"");
}

static void test_of_a_bad_value_no_more_is_said_than_it_takes_to_find_it(_unused_ void **state) {
        _cleanup_config_ Config c;
        char text[512], digits[170] = "";

        init(&c);
        assert_int_equal(load_text(&c, "[Concentrator]\nBackend=my_sql:user=vspc,password=SECRET\n"), 1);
        assert_said("test: vspc.conf:2: Backend= wants memory, file or the name of a plug-in, not \"my_sql…\", "
                    "ignoring it\n");
        assert_null(strstr(logged, "SECRET"));

        memset(digits, 'x', sizeof digits - 1);
        snprintf(text, sizeof text, "[Concentrator]\nBackend=\x1b[2J%s\nClientLimit=%s\n", digits, digits);
        assert_int_equal(load_text(&c, text), 2);
        assert_said("not \"\xef\xbf\xbd[2Jxxx");
        assert_said("xxx…\", ignoring it\n");
        assert_null(strstr(logged, digits));
        assert_shows(&c, "Backend", "file");
}

static void test_comments_blanks_and_line_ends(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_text(&c, "\xef\xbb\xbf; a byte order mark before, and CR LF\r\n"
                                       "[Concentrator]  \r\n"
                                       "\r\n"
                                       "# ClientLimit=1\r\n"
                                       "   ; ClientLimit=2\r\n"
                                       "ClientLimit  =  3  \r\n"
                                       "SlowClient=wait ; a comment behind it\r\n"
                                       "ServiceURI=a;b\r\n"
                                       "ScrollbackSize=1K"), /* and no line end at the end */
                         0);
        assert_string_equal(logged, "");
        assert_shows(&c, "ClientLimit", "3");
        assert_shows(&c, "SlowClient", "wait");
        assert_shows(&c, "ServiceURI", "<a;b>");
        assert_shows(&c, "ScrollbackSize", "1024");
}

static void test_nothing_is_a_configuration(_unused_ void **state) {
        static const char *const texts[] = {"", "\n", "\n\n", "#", "[Concentrator]", "[Concentrator]\n", "[Web]\n"};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_config_ Config c;

                init(&c);
                assert_int_equal(load_text(&c, texts[i]), 0);
                assert_defaults(&c, NULL);
                assert_string_equal(logged, "");
        }
}

/* Lines of 190 to 210 bytes: they are read whole, or it is said that they are too long; never in part. */
static void test_a_long_line_is_read_whole_or_not_at_all(_unused_ void **state) {
        for (size_t length = 190; length <= 210; length++)
                for (int ended = 0; ended < 2; ended++) {
                        char uri[256] = "", text[512], want[512];
                        _cleanup_config_ Config c;

                        memset(uri, 'x', length - strlen("ServiceURI="));
                        snprintf(text, sizeof text, "[Concentrator]\nServiceURI=%s%s", uri,
                                 ended ? "\nClientLimit=x\n" : "");
                        init(&c);
                        int n = load_text(&c, text);

                        if (ended) { /* the count of lines goes on */
                                assert_said("vspc.conf:3: ClientLimit= wants");
                                n--;
                        }
                        if (length <= 198) {
                                assert_int_equal(n, 0);
                                snprintf(want, sizeof want, "<%s>", uri);
                                assert_shows(&c, "ServiceURI", want);
                        } else {
                                assert_int_equal(n, 1);
                                assert_said("vspc.conf:2: The line is longer than 198 bytes, ignoring it\n");
                                assert_shows(&c, "ServiceURI", "any");
                        }
                }
}

static void test_a_very_long_line_hides_nothing_that_follows(_unused_ void **state) {
        static char text[100000] = "[Concentrator]\nClientLimit=1";
        _cleanup_config_ Config c;

        memset(text + strlen(text), '0', sizeof text - 60 - strlen(text));
        strcpy(text + sizeof text - 60, "\nSlowClient=wait\nfoo=bar\n");
        init(&c);
        assert_int_equal(load_text(&c, text), 2);
        assert_said("vspc.conf:2: The line is longer");
        assert_said("vspc.conf:4: Unknown key foo=");
        assert_shows(&c, "ClientLimit", "0");
        assert_shows(&c, "SlowClient", "wait");
}

/* NUL has no place in such a file; what follows its line has. */
static void test_a_nul_does_not_take_the_next_line_with_it(_unused_ void **state) {
        static const char text[] = "[Concentrator]\n# \0 comment\nClientLimit=3\nfoo=bar\n";
        _cleanup_config_ Config c;

        init(&c);
        (void) load_bytes(&c, text, sizeof text - 1);
        assert_shows(&c, "ClientLimit", "3");
        assert_said("vspc.conf:4: Unknown key foo=");
}

static void test_a_file_that_is_too_large_is_read_in_part_and_that_is_said(_unused_ void **state) {
        static const char end[] = "[Concentrator]\nClientLimit=3\n";
        static char text[CONFIG_FILE_SIZE_MAX + 1];

        for (size_t excess = 0; excess < 2; excess++) {
                size_t size = CONFIG_FILE_SIZE_MAX + excess, n = size - strlen(end);
                _cleanup_config_ Config c;

                memset(text, '#', n);
                for (size_t i = 99; i < n; i += 100)
                        text[i] = '\n';
                text[n - 1] = '\n';
                memcpy(text + n, end, strlen(end));

                init(&c);
                assert_int_equal(load_bytes(&c, text, size), (int) excess);
                assert_shows(&c, "ClientLimit", excess ? "0" : "3");
                if (excess)
                        assert_said("The file is larger than 1048576 bytes, ignoring the rest");
        }
}

static void test_one_line_without_end_is_too_large_too(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        capture_begin();
        int n = config_load_file(&c, "/dev/zero");
        capture_end();
        assert_int_equal(n, 2);
        assert_said("test: /dev/zero:1: The line is longer than");
        assert_said("test: /dev/zero:1: The file is larger than");
}

static void test_a_range_that_ends_before_it_starts_is_the_default_one(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_text(&c, "[Concentrator]\nVMPortRangeStart=3000\nVMPortRangeEnd=2000\n"), 1);
        assert_said("VMPortRangeStart=3000 is beyond VMPortRangeEnd=2000, using 50000 to 65535\n");
        assert_defaults(&c, NULL);

        assert_int_equal(load_text(&c, "[Concentrator]\nVMPortRangeStart=2000\nVMPortRangeEnd=2000\n"), 0);
        assert_shows(&c, "VMPortRangeStart", "2000");
        assert_shows(&c, "VMPortRangeEnd", "2000");
}

static void test_the_environment_gives_defaults(_unused_ void **state) {
        _cleanup_config_ Config c;

        setenv("SUPPORT_MULTI_CONSOLE", "true", 1);
        setenv("VM_CLIENT_LIMIT", "7", 1);
        init(&c);
        assert_string_equal(logged, "");
        assert_shows(&c, "MultiConsole", "yes");
        assert_shows(&c, "ClientLimit", "7");

        /* A file overrides them; an empty value goes back to them. */
        assert_int_equal(load_text(&c, "[Concentrator]\nMultiConsole=no\nClientLimit=8\n"), 0);
        assert_shows(&c, "MultiConsole", "no");
        assert_shows(&c, "ClientLimit", "8");
        assert_int_equal(load_text(&c, "[Concentrator]\nMultiConsole=\nClientLimit=\n"), 0);
        assert_shows(&c, "MultiConsole", "yes");
        assert_shows(&c, "ClientLimit", "7");
}

static void test_what_is_wrong_in_the_environment_is_said(_unused_ void **state) {
        _cleanup_config_ Config c;

        setenv("SUPPORT_MULTI_CONSOLE", "perhaps", 1);
        setenv("VM_CLIENT_LIMIT", "-3", 1);
        init(&c);
        assert_string_equal(logged,
                            "test: Environment: SUPPORT_MULTI_CONSOLE= wants true or false, not \"perhaps\"\n"
                            "test: Environment: VM_CLIENT_LIMIT= wants a number, not \"-3\"\n");
        assert_defaults(&c, NULL);

        setenv("SUPPORT_MULTI_CONSOLE", "", 1);
        setenv("VM_CLIENT_LIMIT", "", 1);
        init(&c);
        assert_string_equal(logged, "");
        assert_defaults(&c, NULL);
}

/* Files, in a folder of this test's own */

static char folder[] = "/tmp/test-config-XXXXXX";

static void write_file(const char *path, const char *text) {
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static int load_file(Config *c, const char *path) {
        capture_begin();
        int n = config_load_file(c, path);
        capture_end();
        return n;
}

static void test_a_file_is_read_and_named(_unused_ void **state) {
        char path[sizeof folder + 16], want[256];
        _cleanup_config_ Config c;

        snprintf(path, sizeof path, "%s/a.conf", folder);
        write_file(path, "[Concentrator]\nClientLimit=3\nVMPortRangeStart=9\nVMPortRangeEnd=8\nfoo=bar\n");
        init(&c);
        assert_int_equal(load_file(&c, path), 2);
        snprintf(want, sizeof want, "test: %s:5: Unknown key foo= in section", path);
        assert_said(want);
        assert_said("VMPortRangeStart=9 is beyond VMPortRangeEnd=8");
        assert_defaults(&c, "ClientLimit");
        assert_shows(&c, "ClientLimit", "3");
        unlink(path);
}

static void test_what_cannot_be_read_is_an_error_and_changes_nothing(_unused_ void **state) {
        char path[sizeof folder + 16];
        _cleanup_config_ Config c;

        init(&c);
        snprintf(path, sizeof path, "%s/none.conf", folder);
        assert_int_equal(load_file(&c, path), -ENOENT);
        snprintf(path, sizeof path, "%s/none/a.conf", folder);
        assert_int_equal(load_file(&c, path), -ENOENT);
        snprintf(path, sizeof path, "%s/loop.conf", folder);
        assert_int_equal(symlink("loop.conf", path), 0);
        assert_int_equal(load_file(&c, path), -ELOOP);
        unlink(path);
        assert_defaults(&c, NULL);
        assert_string_equal(logged, "");
}

/* It can be opened, which is all that fopen() does. */
static void test_a_directory_is_no_configuration(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_file(&c, folder), -EISDIR);
        assert_defaults(&c, NULL);
}

static int create_folder(_unused_ void **state) {
        return mkdtemp(folder) ? 0 : -1;
}

/* With what a test that failed has left there */
static int remove_folder(_unused_ void **state) {
        static const char *const files[] = {"a.conf", "loop.conf"};

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                char path[sizeof folder + 16];

                snprintf(path, sizeof path, "%s/%s", folder, files[i]);
                (void) unlink(path);
        }

        return rmdir(folder);
}

/* The files of the system, in a namespace of this process's own. There every test begins with empty folders. */

static const char *namespace_trouble; /* NULL if we have one */
static int namespace_error;

static int trouble(const char *what) {
        namespace_error = errno;
        namespace_trouble = what;
        return 0;
}

static void write_map(const char *path, unsigned id) {
        char text[32];
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
        int n = snprintf(text, sizeof text, "0 %u 1", id);

        if (fd < 0 || write(fd, text, (size_t) n) != n)
                trouble(path);
}

static int enter_namespace(_unused_ void **state) {
        uid_t uid = geteuid();
        gid_t gid = getegid();

        if (unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) < 0)
                return trouble("unshare(CLONE_NEWNS)");

        if (uid != 0) {
                _cleanup_close_ int fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);

                if (fd < 0 || write(fd, "deny", 4) != 4)
                        trouble("/proc/self/setgroups");
                write_map("/proc/self/uid_map", uid);
                write_map("/proc/self/gid_map", gid);
                if (namespace_trouble)
                        return 0;
        }

        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return trouble("mount(MS_PRIVATE)");

        return 0;
}

static const char *const hidden[] = {"/etc", "/run", "/usr/lib"};

/* All that this program needs from there it has loaded by now. */
static int hide_system(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(hidden) && !namespace_trouble; i++) {
                char path[64];

                if (mount("tmpfs", hidden[i], "tmpfs", 0, "mode=0755") < 0)
                        return trouble("mount(tmpfs)");

                snprintf(path, sizeof path, "%s/vspc", hidden[i]);
                if (mkdir(path, 0755) < 0)
                        return -1;
                snprintf(path, sizeof path, "%s/vspc/vspc.conf.d", hidden[i]);
                if (mkdir(path, 0755) < 0)
                        return -1;
        }

        return 0;
}

static int show_system(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(hidden) && !namespace_trouble; i++)
                if (umount2(hidden[i], MNT_DETACH) < 0)
                        return -1;

        return 0;
}

static void require_namespace(void) {
        if (!namespace_trouble)
                return;

        print_message("Skipping: no mount namespace of our own to put files into /etc, /run and /usr/lib, %s: %s\n",
                      namespace_trouble, strerror(namespace_error));
        skip();
}

static int load_system(Config *c) {
        init(c);
        capture_begin();
        int n = config_load_system(c);
        capture_end();
        return n;
}

/* Writes a file with one assignment. */
static void put(const char *path, const char *assignment) {
        char text[256];

        snprintf(text, sizeof text, "[Concentrator]\n%s\n", assignment);
        write_file(path, text);
}

static void test_a_system_without_files(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        assert_int_equal(load_system(&c), 0);
        assert_defaults(&c, NULL);
        assert_string_equal(logged, "");

        for (size_t i = 0; i < ELEMENTSOF(hidden); i++) {
                char path[64];

                snprintf(path, sizeof path, "%s/vspc/vspc.conf.d", hidden[i]);
                assert_int_equal(rmdir(path), 0);
                snprintf(path, sizeof path, "%s/vspc", hidden[i]);
                assert_int_equal(rmdir(path), 0);
        }
        assert_int_equal(load_system(&c), 0);
        assert_defaults(&c, NULL);
        assert_string_equal(logged, "");
}

static void test_of_the_main_files_only_the_first_counts(_unused_ void **state) {
        _cleanup_config_ Config lib, run, etc;

        require_namespace();
        put("/usr/lib/vspc/vspc.conf", "ClientLimit=1\nSlowClient=wait");
        assert_int_equal(load_system(&lib), 0);
        assert_shows(&lib, "ClientLimit", "1");
        assert_shows(&lib, "SlowClient", "wait");

        put("/run/vspc/vspc.conf", "ClientLimit=2");
        assert_int_equal(load_system(&run), 0);
        assert_shows(&run, "ClientLimit", "2");
        assert_shows(&run, "SlowClient", "skip");

        write_file("/etc/vspc/vspc.conf", ""); /* also if there is nothing in it */
        assert_int_equal(load_system(&etc), 0);
        assert_defaults(&etc, NULL);
}

static void test_drop_ins_come_after_the_main_file_in_the_order_of_their_names(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        put("/etc/vspc/vspc.conf", "ServiceURI=main\nClientLimit=1");
        put("/usr/lib/vspc/vspc.conf.d/30-lib.conf", "ServiceURI=30\nClientLimit=30");
        put("/etc/vspc/vspc.conf.d/10-etc.conf", "ServiceURI=10\nClientLimit=10");
        put("/run/vspc/vspc.conf.d/20-run.conf", "ServiceURI=20\nClientLimit=20");
        put("/etc/vspc/vspc.conf.d/9-etc.conf", "ServiceURI=9"); /* as text: after 30 */

        assert_int_equal(load_system(&c), 0);
        assert_shows(&c, "ServiceURI", "<main><10><20><30><9>");
        assert_shows(&c, "ClientLimit", "30");
}

static void test_drop_ins_alone_do_too(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        put("/run/vspc/vspc.conf.d/a.conf", "ClientLimit=5");
        assert_int_equal(load_system(&c), 0);
        assert_shows(&c, "ClientLimit", "5");
}

static void test_a_drop_in_hides_its_namesakes_below(_unused_ void **state) {
        _cleanup_config_ Config lib, run, etc, masked;

        require_namespace();
        put("/usr/lib/vspc/vspc.conf.d/a.conf", "ServiceURI=lib\nClientLimit=1");
        put("/usr/lib/vspc/vspc.conf.d/b.conf", "ServiceURI=b");
        assert_int_equal(load_system(&lib), 0);
        assert_shows(&lib, "ServiceURI", "<lib><b>");

        put("/run/vspc/vspc.conf.d/a.conf", "ServiceURI=run");
        assert_int_equal(load_system(&run), 0);
        assert_shows(&run, "ServiceURI", "<run><b>");
        assert_shows(&run, "ClientLimit", "0");

        put("/etc/vspc/vspc.conf.d/a.conf", "ServiceURI=etc");
        assert_int_equal(load_system(&etc), 0);
        assert_shows(&etc, "ServiceURI", "<etc><b>");

        /* That is how one is switched off. */
        assert_int_equal(unlink("/etc/vspc/vspc.conf.d/a.conf"), 0);
        assert_int_equal(symlink("/dev/null", "/etc/vspc/vspc.conf.d/a.conf"), 0);
        assert_int_equal(load_system(&masked), 0);
        assert_shows(&masked, "ServiceURI", "<b>");
        assert_string_equal(logged, "");
}

static void test_only_what_ends_in_conf_is_a_drop_in(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        put("/etc/vspc/vspc.conf.d/a.conf.bak", "ClientLimit=1");
        put("/etc/vspc/vspc.conf.d/.hidden.conf", "ClientLimit=2");
        put("/etc/vspc/vspc.conf.d/conf", "ClientLimit=3");
        put("/etc/vspc/other.conf", "ClientLimit=4");
        assert_int_equal(load_system(&c), 0);
        assert_defaults(&c, NULL);
}

static void test_problems_of_all_files_are_counted_and_placed(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        put("/usr/lib/vspc/vspc.conf", "ClientLimit=x");
        put("/usr/lib/vspc/vspc.conf.d/a.conf", "ClientLimit=4\nfoo=bar");
        put("/run/vspc/vspc.conf.d/b.conf", "SlowClient=x");
        assert_int_equal(load_system(&c), 3);
        assert_said("test: /usr/lib/vspc/vspc.conf:2: ClientLimit= wants");
        assert_said("test: /usr/lib/vspc/vspc.conf.d/a.conf:3: Unknown key foo=");
        assert_said("test: /run/vspc/vspc.conf.d/b.conf:2: SlowClient= wants");
        assert_shows(&c, "ClientLimit", "4");
}

static void test_a_file_that_is_there_but_cannot_be_read_is_a_problem(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        assert_int_equal(symlink("a.conf", "/etc/vspc/vspc.conf.d/a.conf"), 0);
        put("/etc/vspc/vspc.conf.d/b.conf", "ClientLimit=4");
        assert_int_equal(load_system(&c), 1);
        assert_said("test: Cannot read /etc/vspc/vspc.conf.d/a.conf, going on without it: ");
        assert_shows(&c, "ClientLimit", "4");
}

/* A range may be given in one file and changed in others, one end at a time: it counts what it is at the end. */
static void test_a_range_over_several_files_is_looked_at_when_all_are_read(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        put("/etc/vspc/vspc.conf", "VMPortRangeStart=1000\nVMPortRangeEnd=1999");
        put("/etc/vspc/vspc.conf.d/a.conf", "VMPortRangeStart=3000");
        put("/etc/vspc/vspc.conf.d/b.conf", "VMPortRangeEnd=3999");
        assert_int_equal(load_system(&c), 0);
        assert_string_equal(logged, "");
        assert_shows(&c, "VMPortRangeStart", "3000");
        assert_shows(&c, "VMPortRangeEnd", "3999");
}

static void test_a_range_over_several_files_that_ends_before_it_starts(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        put("/etc/vspc/vspc.conf.d/a.conf", "VMPortRangeEnd=1999");
        assert_int_equal(load_system(&c), 1);
        assert_said("VMPortRangeStart=50000 is beyond VMPortRangeEnd=1999, using 50000 to 65535\n");
        assert_defaults(&c, NULL);
}

/* An environment that says nothing, whatever went before */
static int clean_environment(_unused_ void **state) {
        unsetenv("SUPPORT_MULTI_CONSOLE");
        unsetenv("VM_CLIENT_LIMIT");
        return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, clean_environment)
#define SYSTEM_TEST(name) cmocka_unit_test_setup_teardown(name, hide_system, show_system)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_defaults),
                TEST(test_every_key_takes_what_it_should_and_nothing_else),
                TEST(test_a_bad_value_leaves_what_was_assigned_before),
                TEST(test_the_last_assignment_wins),
                TEST(test_an_empty_value_is_the_default_again),
                TEST(test_lists_add_up_until_they_are_reset),
                TEST(test_a_list_ends_at_1024),
                TEST(test_what_is_unknown_is_said_with_its_place),
                TEST(test_what_is_no_assignment_is_said_and_the_rest_is_read),
                TEST(test_each_line_that_is_no_assignment_is_said),
                TEST(test_what_is_said_is_fit_for_a_terminal),
                TEST(test_of_a_bad_value_no_more_is_said_than_it_takes_to_find_it),
                TEST(test_comments_blanks_and_line_ends),
                TEST(test_nothing_is_a_configuration),
                TEST(test_a_long_line_is_read_whole_or_not_at_all),
                TEST(test_a_very_long_line_hides_nothing_that_follows),
                TEST(test_a_nul_does_not_take_the_next_line_with_it),
                TEST(test_a_file_that_is_too_large_is_read_in_part_and_that_is_said),
                TEST(test_one_line_without_end_is_too_large_too),
                TEST(test_a_range_that_ends_before_it_starts_is_the_default_one),
                TEST(test_the_environment_gives_defaults),
                TEST(test_what_is_wrong_in_the_environment_is_said),
                TEST(test_a_file_is_read_and_named),
                TEST(test_what_cannot_be_read_is_an_error_and_changes_nothing),
                TEST(test_a_directory_is_no_configuration),
        };
        static const struct CMUnitTest system_tests[] = {
                SYSTEM_TEST(test_a_system_without_files),
                SYSTEM_TEST(test_of_the_main_files_only_the_first_counts),
                SYSTEM_TEST(test_drop_ins_come_after_the_main_file_in_the_order_of_their_names),
                SYSTEM_TEST(test_drop_ins_alone_do_too),
                SYSTEM_TEST(test_a_drop_in_hides_its_namesakes_below),
                SYSTEM_TEST(test_only_what_ends_in_conf_is_a_drop_in),
                SYSTEM_TEST(test_problems_of_all_files_are_counted_and_placed),
                SYSTEM_TEST(test_a_file_that_is_there_but_cannot_be_read_is_a_problem),
                SYSTEM_TEST(test_a_range_over_several_files_is_looked_at_when_all_are_read),
                SYSTEM_TEST(test_a_range_over_several_files_that_ends_before_it_starts),
        };

        unsetenv("JOURNAL_STREAM");
        log_open("test");
        clean_environment(NULL);

        int n_failed = cmocka_run_group_tests_name("config", tests, create_folder, remove_folder);
        return n_failed + cmocka_run_group_tests_name("config-system", system_tests, enter_namespace, NULL);
}
