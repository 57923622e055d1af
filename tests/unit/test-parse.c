/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Times, sizes, numbers and booleans as people write them in configuration files, and as they mistype them.
 * */

#include "harness.h"

#include "basic/parse.h"

typedef struct Good {
        const char *text;
        uint64_t value;
} Good;

typedef struct Bad {
        const char *text;
        int error;
} Bad;

static void assert_good(int (*parse)(const char *, uint64_t *), const Good *good, size_t n) {
        for (size_t i = 0; i < n; i++) {
                uint64_t value = 4711;
                int r = parse(good[i].text, &value);

                if (r != 0 || value != good[i].value)
                        fail_msg("'%s': returned %d, %llu", good[i].text, r, (unsigned long long) value);
        }
}

static void assert_bad(int (*parse)(const char *, uint64_t *), const Bad *bad, size_t n) {
        for (size_t i = 0; i < n; i++) {
                uint64_t value = 4711;
                int r = parse(bad[i].text, &value);

                if (r != bad[i].error || value != 4711)
                        fail_msg("'%s': returned %d, %llu", bad[i].text, r, (unsigned long long) value);
        }
}

#define SEC USEC_PER_SEC

static void test_times(_unused_ void **state) {
        static const Good good[] = {
                {"0", 0}, {"30", 30 * SEC}, {"90s", 90 * SEC}, {"1d", 86400 * SEC}, {"5min 20s", 320 * SEC},
                {"1.5h", 5400 * SEC}, {"infinity", USEC_INFINITY},
                {"1us", 1}, {"1usec", 1}, {"1ms", 1000}, {"1msec", 1000},
                {"1s", SEC}, {"1sec", SEC}, {"1second", SEC}, {"2seconds", 2 * SEC},
                {"1m", 60 * SEC}, {"1min", 60 * SEC}, {"1minute", 60 * SEC}, {"2minutes", 120 * SEC},
                {"1h", 3600 * SEC}, {"1hr", 3600 * SEC}, {"1hour", 3600 * SEC}, {"2hours", 7200 * SEC},
                {"1day", 86400 * SEC}, {"2days", 2 * 86400 * SEC},
                {"1w", 7 * 86400 * SEC}, {"1week", 7 * 86400 * SEC}, {"2weeks", 14 * 86400 * SEC},
                {" 2 h  30min\t", 9000 * SEC}, {"1h30min", 5400 * SEC},
                {"0.5", SEC / 2}, {"0.000001", 1}, {"1.0000001s", SEC}, {"2.25s", 2250000},
                {"0.50000000000000000000000000000s", SEC / 2},
        };

        assert_good(parse_sec, good, ELEMENTSOF(good));
}

static void test_what_is_no_time(_unused_ void **state) {
        static const Bad bad[] = {
                {"", -EINVAL}, {" ", -EINVAL}, {"s", -EINVAL}, {"-1", -EINVAL}, {"+1", -EINVAL},
                {"1x", -EINVAL},
                {"1.", -EINVAL}, {"1.s", -EINVAL}, {".5", -EINVAL}, {"1.5.5", -EINVAL}, {"1,5s", -EINVAL},
                {"1S", -EINVAL}, {"1secs", -EINVAL}, {"10sx", -EINVAL}, {"1s;", -EINVAL},
                {"5min foo", -EINVAL},
                {"infinity 1s", -EINVAL}, {"1s infinity", -EINVAL}, {"Infinity", -EINVAL}, {"0x10", -EINVAL},
        };

        assert_bad(parse_sec, bad, ELEMENTSOF(bad));
}

static void test_times_that_do_not_fit(_unused_ void **state) {
        static const Bad bad[] = {
                {"99999999999999999999", -ERANGE}, {"18446744073709551616us", -ERANGE},
                {"18446744073710s", -ERANGE},
                {"30500569w", -ERANGE}, {"18446744073709551614us 2us", -ERANGE},
                {"30500000w 30500000w", -ERANGE},
        };

        assert_bad(parse_sec, bad, ELEMENTSOF(bad));
}

/* The whole seconds fit, and their fraction does not. */
static void test_a_time_whose_fraction_does_not_fit(_unused_ void **state) {
        static const Good good[] = {{"18446744073709.5s", 18446744073709500000U}};
        static const Bad bad[] = {{"18446744073709.6s", -ERANGE}, {"18446744073709.999999", -ERANGE}};

        assert_good(parse_sec, good, ELEMENTSOF(good));
        assert_bad(parse_sec, bad, ELEMENTSOF(bad));
}

static void test_sizes(_unused_ void **state) {
        static const Good good[] = {
                {"0", 0}, {"4096", 4096}, {"4096B", 4096}, {"64K", 65536}, {"1M", 1048576},
                {"1.5M", 1572864},
                {"1G", 1073741824}, {"0.5K", 512}, {" 64 K ", 65536}, {"18446744073709551615", UINT64_MAX},
                {"17179869183G", 17179869183U * (1ULL << 30)},
                {"17179869183.5G", UINT64_MAX - (1ULL << 29) + 1},
        };

        assert_good(parse_size, good, ELEMENTSOF(good));
}

static void test_what_is_no_size(_unused_ void **state) {
        static const Bad bad[] = {
                {"", -EINVAL}, {"K", -EINVAL}, {"-1", -EINVAL}, {"1k", -EINVAL}, {"1KB", -EINVAL},
                {"1KiB", -EINVAL},
                {"1K1", -EINVAL}, {"1K 1K", -EINVAL}, {"1.M", -EINVAL}, {"1M;", -EINVAL},
                {"infinity", -EINVAL},
                {"18446744073709551616", -ERANGE}, {"17179869184G", -ERANGE},
                {"184467440737095516150", -ERANGE},
        };

        assert_bad(parse_size, bad, ELEMENTSOF(bad));
}

static void test_booleans(_unused_ void **state) {
        static const char *const yes[] = {"yes", "y", "true", "t", "on", "1", "YES", "True", "oN"};
        static const char *const no[] = {"no", "n", "false", "f", "off", "0", "NO", "False", "oFf"};

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                bool value = false;

                assert_int_equal(parse_boolean(yes[i], &value), 0);
                assert_true(value);
        }
        for (size_t i = 0; i < ELEMENTSOF(no); i++) {
                bool value = true;

                assert_int_equal(parse_boolean(no[i], &value), 0);
                assert_false(value);
        }
}

static void test_what_is_no_boolean(_unused_ void **state) {
        static const char *const bad[] = {"", "o", "ye", "yess", "2", "-1", "00", " yes", "yes ", "enable"};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                bool value = true;

                assert_int_equal(parse_boolean(bad[i], &value), -EINVAL);
                assert_true(value);
        }
}

static void test_numbers_up_to_their_maximum(_unused_ void **state) {
        uint64_t value;

        assert_int_equal(parse_unsigned("0", 0, &value), 0);
        assert_int_equal(value, 0);
        assert_int_equal(parse_unsigned("65535", 65535, &value), 0);
        assert_int_equal(value, 65535);
        assert_int_equal(parse_unsigned("0000000000000000000000007", 9, &value), 0);
        assert_int_equal(value, 7);
        assert_int_equal(parse_unsigned("18446744073709551615", UINT64_MAX, &value), 0);
        assert_true(value == UINT64_MAX);
}

static void test_what_is_no_number_or_too_large(_unused_ void **state) {
        static const Bad bad[] = {
                {"", -EINVAL}, {" 1", -EINVAL}, {"1 ", -EINVAL}, {"-1", -EINVAL}, {"+1", -EINVAL},
                {"0x1", -EINVAL},
                {"1.0", -EINVAL}, {"1a", -EINVAL}, {"\xd9\xa1", -EINVAL},
                {"65536", -ERANGE}, {"18446744073709551616", -ERANGE}, {"184467440737095516160", -ERANGE},
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                uint64_t value = 4711;

                assert_int_equal(parse_unsigned(bad[i].text, 65535, &value), bad[i].error);
                assert_int_equal(value, 4711);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_times),
                cmocka_unit_test(test_what_is_no_time),
                cmocka_unit_test(test_times_that_do_not_fit),
                cmocka_unit_test(test_a_time_whose_fraction_does_not_fit),
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_what_is_no_size),
                cmocka_unit_test(test_booleans),
                cmocka_unit_test(test_what_is_no_boolean),
                cmocka_unit_test(test_numbers_up_to_their_maximum),
                cmocka_unit_test(test_what_is_no_number_or_too_large),
        };

        return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
