/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vspc.conf: what follows from what is wrong in it. In [TLS] it closes doors; elsewhere a key keeps the value that it
 * had. */

#include "harness.h"

#include "loaded-config.h"

/* Which doors something wrong closes; the last assignment is always a good one. */
static const struct {
        const char *text;
        Doors doors;
} doubts[] = {
        /* A value that the key does not take */
        {"[TLS]\nCertificateFile=crt.pem", DOOR_VM_TLS | DOOR_ADMIN_TLS},
        {"[TLS]\nKeyFile=key.pem", DOOR_VM_TLS | DOOR_ADMIN_TLS},
        {"[TLS]\nTrustedCAFile=ca.pem", DOOR_ADMIN_TLS},
        {"[TLS]\nVMTrustedCAFile=ca.pem", DOOR_VM},
        {"[TLS]\nRequireVMTLS=yse", DOOR_VM},
        {"[TLS]\nRequireVMTLS=yes # at last", DOOR_VM},
        {"[TLS]\nRequireVMCertificate=yse", DOOR_VM},
        {"[TLS]\nRequireVMTLS=yse\nTrustedCAFile=ca.pem", DOOR_VM | DOOR_ADMIN_TLS},
        {"[TLS]\nRequireVMTLS=yse\nRequireVMTLS=no", DOOR_VM}, /* it is to be mended, even so */
        {"[TLS]\nStartTLS=yse", DOOR_NONE},

        /* A key that there is not */
        {"[TLS]\nRequireVMTsl=yes", DOOR_ALL},
        {"[TLS]\nClientLimit=3", DOOR_ALL},
        {"[tls]\nnonsense=yes", DOOR_ALL},

        /* A key that is not where, or as, it should be */
        {"[TLS]\nrequirevmtls=yes", DOOR_VM},
        {"[tls]\nRequireVMTLS=yes", DOOR_VM},
        {"[TSL]\nRequireVMTLS=yes", DOOR_VM},
        {"[ TLS ]\nTrustedCAFile=/ca.pem", DOOR_ADMIN_TLS},
        {"[ tls\t]\nnonsense=yes", DOOR_ALL},
        {"[Concentrator]\nTrustedCAFile=/ca.pem", DOOR_ADMIN_TLS},
        {"[TLS\nRequireVMTLS=yes", DOOR_ALL},
        {"RequireVMTLS=yes", DOOR_VM},

        /* What is no assignment */
        {"[TLS]\nRequireVMTLS", DOOR_ALL},
        {"[TLS]\n[Concentrator\nClientLimit=4", DOOR_ALL},
        {"[TLS] RequireVMTLS=yes", DOOR_ALL}, /* inih takes no notice of what is behind a section's name */

        /* What would be a part of another value, because of its indentation */
        {"[TLS]\nStartTLS=no\n  RequireVMTsl=yes", DOOR_ALL},
        {"[TLS]\nPriority=NORMAL\n\tRequireVMTLS yes", DOOR_ALL},
        {"[TLS]\nRequireVMTLS=yes\n no", DOOR_ALL},
};

static void test_what_is_wrong_in_tls_closes_the_doors_that_it_guards(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(doubts); i++) {
                char text[256];
                _cleanup_config_ Config c;

                init(&c);
                snprintf(text, sizeof text, "%s\n[Concentrator]\nClientLimit=3\n", doubts[i].text);
                assert_in_range(load_text(&c, text), 1, 2);
                if (problems.doors != doubts[i].doors)
                        fail_msg("%s closes %d, not %d", doubts[i].text, problems.doors, doubts[i].doors);
                assert_in_range(problems.n_doubts, 1, 2);
                assert_non_null(problems.doubt);
                if (problems.n == 1)
                        assert_null(strstr(logged, "ignoring"));
                assert_shows(&c, "ClientLimit", "3");
        }
}

/* It is in the status of the service, which everybody may read. */
static void test_of_a_pin_nothing_is_said(_unused_ void **state) {
        static const char *const texts[] = {
                "[TLS]\nKeyFile=pcks11:object=key?pin-value=SECRET", "[TLS]\nKeyFile=x?pin-value=SECRET&module-name=y",
                "[TLS]\nKeyFile=x?Pin-Value=SECRET;pin-value=SECRET",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_config_ Config c;

                init(&c);
                assert_int_equal(load_text(&c, texts[i]), 1);
                assert_null(strstr(logged, "SECRET"));
                assert_null(strstr(problems.doubt, "SECRET"));
                assert_null(strstr(problems.text[0], "SECRET"));
                assert_said("KeyFile= must be");
                if (i == 1)
                        assert_said("x?pin-value=…&module-name=y\"");
        }
}

static void test_what_is_wrong_elsewhere_closes_none(_unused_ void **state) {
        static const char *const texts[] = {
                "[Concentrator]\nClientLimit=x", "[Concentrator]\nClientLimitt=3", "[Concentrator]\nnonsense", "[Web]\na=b",
                "[ConsoleLog]\nMode=0999", "a=b", "[Concentrator", "[Concentrator]\nVMPortRangeStart=9\nVMPortRangeEnd=8",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_config_ Config c;

                init(&c);
                assert_int_equal(load_text(&c, texts[i]), 1);
                assert_int_equal(problems.doors, DOOR_NONE);
                assert_int_equal(problems.n_doubts, 0);
        }
}

/* For systemd it means nothing. Port URIs, which may look like anything, can be continued in another line. */
static void test_indentation_makes_no_part_of_a_value_of_what_is_none(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_text(&c, "[Concentrator]\n  ServiceURI=a\n  b\n  telnet://x?VMPorts=no\n"
                                       "  ClientLimit=3\n\n  [TLS]\n\tRequireVMTLS = yes\n"),
                         0);
        assert_shows(&c, "ServiceURI", "<a><b><telnet://x?VMPorts=no>");
        assert_shows(&c, "ClientLimit", "3");
        assert_shows(&c, "RequireVMTLS", "yes");
}

static void test_the_first_32_problems_are_kept(_unused_ void **state) {
        static char text[4096] = "[Concentrator]\n";
        _cleanup_config_ Config c;

        for (unsigned i = 0; i < 40; i++)
                sprintf(text + strlen(text), "foo%u=\n", i);
        strcat(text, "[TLS]\nfoo=bar\n");
        init(&c);
        assert_int_equal(load_text(&c, text), 41);
        assert_int_equal(problems.n_kept, PROBLEMS_KEPT_MAX);
        assert_int_equal(PROBLEMS_KEPT_MAX, 32);
        assert_string_equal(problems.text[31], "vspc.conf:33: Unknown key foo31= in section [Concentrator], ignoring it");
        assert_string_equal(problems.doubt, "vspc.conf:43: Unknown key foo= in section [TLS]");
}

static void load_copy(Config *c, const char *text) {
        Config original;

        init(&original);
        assert_int_equal(load_text(&original, text), 0);
        assert_int_equal(config_copy(&original, c), 0);
        config_done(&original);
}

static void test_a_copy_is_the_same_and_stands_alone(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                char text[256];
                _cleanup_config_ Config c, copy;

                snprintf(text, sizeof text, "[%s]\n%s=%s\n", section_of(keys[i].key), keys[i].key, keys[i].other);
                init(&c);
                assert_int_equal(load_text(&c, text), 0);
                load_copy(&copy, text);
                assert_defaults(&copy, keys[i].key);
                _cleanup_free_ char *want = show(&c, keys[i].key);
                assert_shows(&copy, keys[i].key, want);
        }
}

/* At a reload. At the start there is nothing before but the defaults. */
static void test_a_key_with_a_bad_value_keeps_the_one_that_it_had(_unused_ void **state) {
        static const struct {
                const char *key, *bad;
        } values[] = {
                {"VMPorts", "2"}, {"VMPortAddress", "localhost"}, {"VMExpireSec", "never"}, {"VMotionTimeoutSec", "0"},
                {"HookTimeoutSec", "soon"}, {"ClientLimit", "x"}, {"ScrollbackSize", "1T"}, {"SlowClient", "x"},
                {"Backend", "my_sql"}, {"Journal", "maybe"}, {"Prefix", "../x"}, {"Mode", "999"},
                {"CertificateFile", "x"}, {"RequireVMTLS", "yse"},
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                const char *section = section_of(values[i].key), *other = NULL;
                char text[512];
                _cleanup_config_ Config c, before;

                for (size_t k = 0; k < ELEMENTSOF(keys); k++)
                        if (streq(keys[k].key, values[i].key))
                                other = keys[k].other;

                snprintf(text, sizeof text, "[%s]\n%s=%s\n[Concentrator]\nScrollbackSize=7K\nServiceURI=a\n", section,
                         values[i].key, other);
                load_copy(&before, text);
                snprintf(text, sizeof text, "[Concentrator]\nServiceURI=b c\n[%s]\n%s=%s\n", section, values[i].key,
                         values[i].bad);
                init(&c);
                assert_int_equal(load_text(&c, text), 1);
                assert_int_equal(config_keep(&c, &before, &problems), 0);

                _cleanup_free_ char *want = show(&before, values[i].key);
                assert_shows(&c, values[i].key, want);
                assert_shows(&c, "ServiceURI", "<b><c>");
                if (!streq(values[i].key, "ScrollbackSize"))
                        assert_shows(&c, "ScrollbackSize", "16384"); /* what is not said any more is not kept */
        }
}

/* 1024 are too many with this one. */
static void test_a_list_that_is_too_long_is_the_one_that_it_was(_unused_ void **state) {
        static char text[32768] = "[Concentrator]\n";
        _cleanup_config_ Config c, before;

        for (unsigned i = 0; i < 1025; i++)
                sprintf(text + strlen(text), "ServiceURI=uri%u\n", i);
        load_copy(&before, "[Concentrator]\nServiceURI=a b\n");
        init(&c);
        assert_int_equal(load_text(&c, text), 1);
        assert_int_equal(config_keep(&c, &before, &problems), 0);
        assert_shows(&c, "ServiceURI", "<a><b>");
}

static void test_a_range_that_is_kept_in_part_is_a_range(_unused_ void **state) {
        static const struct {
                const char *before, *text, *start, *end;
        } ranges[] = {
                {"61000 65000", "VMPortRangeStart=x\nVMPortRangeEnd=60000", "61000", "65000"},
                {"61000 65000", "VMPortRangeStart=x\nVMPortRangeEnd=63000", "61000", "63000"},
                {"61000 65000", "VMPortRangeStart=9\nVMPortRangeEnd=8", "61000", "65000"},
                {"61000 65000", "VMPortRangeStart=9\nVMPortRangeEnd=x", "9", "65000"},
                {"1000 2000", "VMPortRangeEnd=x", "1000", "2000"},
        };

        for (size_t i = 0; i < ELEMENTSOF(ranges); i++) {
                char text[256];
                _cleanup_config_ Config c, before;

                snprintf(text, sizeof text, "[Concentrator]\nVMPortRangeStart=%.*s\nVMPortRangeEnd=%s\n",
                         (int) strcspn(ranges[i].before, " "), ranges[i].before, strchr(ranges[i].before, ' ') + 1);
                load_copy(&before, text);
                snprintf(text, sizeof text, "[Concentrator]\n%s\n", ranges[i].text);
                init(&c);
                (void) load_text(&c, text);
                load_begin();
                (void) loaded(config_keep(&c, &before, &problems));
                assert_shows(&c, "VMPortRangeStart", ranges[i].start);
                assert_shows(&c, "VMPortRangeEnd", ranges[i].end);
        }
}

#define TEST(name) cmocka_unit_test_setup(name, clean_environment)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_what_is_wrong_in_tls_closes_the_doors_that_it_guards),
                TEST(test_of_a_pin_nothing_is_said),
                TEST(test_what_is_wrong_elsewhere_closes_none),
                TEST(test_indentation_makes_no_part_of_a_value_of_what_is_none),
                TEST(test_the_first_32_problems_are_kept),
                TEST(test_a_copy_is_the_same_and_stands_alone),
                TEST(test_a_key_with_a_bad_value_keeps_the_one_that_it_had),
                TEST(test_a_list_that_is_too_long_is_the_one_that_it_was),
                TEST(test_a_range_that_is_kept_in_part_is_a_range),
        };

        unsetenv("JOURNAL_STREAM");
        log_open("test");

        return cmocka_run_group_tests_name("config-doors", tests, NULL, NULL);
}
