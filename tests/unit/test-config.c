/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vspc.conf: what each key takes and what it does not, and that whatever is wrong is said with its place and leaves the
 * default. */

#include "harness.h"

#include "loaded-config.h"

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

        {"ConnectionMemoryMax", "4M", "4194304"},
        {"ConnectionMemoryMax", "4194303", NULL},
        {"ConnectionMemoryMax", "64G", "68719476736"},
        {"ConnectionMemoryMax", "68719476737", NULL},
        {"ConnectionMemoryMax", "0", NULL},

        {"SlowClient", "skip", "skip"},
        {"SlowClient", "wait", "wait"},
        {"SlowClient", "drop", "drop"},
        {"SlowClient", "Wait", NULL},
        {"SlowClient", "waiting", NULL},
        {"SlowClient", "0", NULL},

        {"WindowsEnter", "no", "no"},
        {"WindowsEnter", "maybe", NULL},

        {"WebURL", "https://vspc.example.com:9090/vspc", "https://vspc.example.com:9090/vspc"},
        {"WebURL", "http://[::1]:9090/cockpit/@localhost/vspc/index.html", "http://[::1]:9090/cockpit/@localhost/vspc/index.html"},
        {"WebURL", "vspc.example.com:9090", NULL},
        {"WebURL", "https://", NULL},
        {"WebURL", "javascript:alert(1)", NULL},
        {"WebURL", "https://vspc/two words", NULL},
        {"WebURL", "https://vspc/#/vm", NULL}, /* that is appended */
        {"WebURL", "https://m\xc3\xbcller/vspc", NULL},
        {"WebURL", "https://" NAME_64 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz123", NULL}, /* 128 bytes */

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
        {"RequireVMCertificate", "yes", "yes"},
        {"RequireVMCertificate", "yse", NULL},

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

                snprintf(want, sizeof want, "test: vspc.conf:2: %s= must be ", values[i].key);
                assert_said(want);
                size_t shown = streq(values[i].key, "Backend") ? strcspn(values[i].value, ":")
                                                               : strlen(values[i].value);
                snprintf(want, sizeof want, ", not \"%.*s%s\"%s\n", (int) shown, values[i].value,
                         values[i].value[shown] ? "…" : "", streq(section_of(values[i].key), "TLS") ? "" : ", ignoring it");
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
        assert_said("vspc.conf:2: ServiceURI= must be ");

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
                            "test: vspc.conf:1: Early= is before the first section, it belongs below [Concentrator]\n"
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
                assert_string_equal(logged, "test: vspc.conf:3: The line is neither a [Section] nor Key=Value, ignoring it\n");
                assert_shows(&c, "ClientLimit", "4");
        }
}

static void test_each_line_that_is_no_assignment_is_said(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_text(&c, "[Concentrator]\nfirst\nClientLimit=4\nsecond\n[third\n"), 3);
        assert_said("vspc.conf:2: The line is neither");
        assert_said("vspc.conf:4: The line is neither");
        assert_said("vspc.conf:5: The line is neither");
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
        assert_said("test: vspc.conf:2: Backend= must be memory, file or the name of a plug-in, not \"my_sql…\", "
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
                                assert_said("vspc.conf:3: ClientLimit= must be");
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
                        assert_int_equal(problems.doors, DOOR_EVERY);
                if (excess)
                        assert_said("The file is larger than 1048576 bytes: the rest is not read\n");
        }
}

static void test_one_line_without_end_is_too_large_too(_unused_ void **state) {
        static const char zeros[2 * 1024 * 1024];
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_bytes(&c, zeros, sizeof zeros), 2);
        assert_said(":1: The line is longer than");
        assert_said(":1: The file is larger than");
}

static void test_a_range_that_ends_before_it_starts_is_the_default_one(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_text(&c, "[Concentrator]\nVMPortRangeStart=3000\nVMPortRangeEnd=2000\n"), 1);
        assert_said("VMPortRangeStart=3000 is beyond VMPortRangeEnd=2000, ignoring both\n");
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
                            "test: Environment: SUPPORT_MULTI_CONSOLE= must be true or false, not \"perhaps\"\n"
                            "test: Environment: VM_CLIENT_LIMIT= must be a number, not \"-3\"\n");
        assert_defaults(&c, NULL);

        setenv("SUPPORT_MULTI_CONSOLE", "", 1);
        setenv("VM_CLIENT_LIMIT", "", 1);
        init(&c);
        assert_string_equal(logged, "");
        assert_defaults(&c, NULL);
}

#define TEST(name) cmocka_unit_test_setup(name, clean_environment)

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
        };

        unsetenv("JOURNAL_STREAM");
        log_open("test");

        return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
