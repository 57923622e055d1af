/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A VM's name is its administrator's choice, and a file is made of it. Whatever the name, the file is in its
 * folder, visible, and this VM's alone.
 */

#include "harness.h"

#include <stdio.h>

#include "log/file-name.h"
#include "prng.h"

#define UUID "50123456-789a-bcde-f012-3456789abcde"
#define UUIDS UUID "~564d3456-789a-bcde-f012-3456789abcde"

static const char *make(const char *prefix, const char *name) {
        static char ret[FILE_NAME_SIZE];

        file_name_make(prefix, name, UUID, ret);
        return ret;
}

static void test_an_ordinary_name_is_recognized(_unused_ void **state) {
        assert_string_equal(make(NULL, "web01"), "web01-" UUID ".log");
        assert_string_equal(make("prod", "web01"), "prod-web01-" UUID ".log");
        assert_string_equal(make(NULL, "db 2.example.com"), "db 2.example.com-" UUID ".log");
        assert_string_equal(make(NULL, "M\xc3\xbcller \xe2\x82\xac"),
                            "M\xc3\xbcller \xe2\x82\xac-" UUID ".log");
}

static void test_a_name_does_not_leave_its_folder_nor_hide(_unused_ void **state) {
        static const char *const names[][2] = {
                {"../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"},
                {"/etc/shadow", "%2Fetc%2Fshadow"},
                {".", "%2E"},
                {"..", "%2E."},
                {".hidden", "%2Ehidden"},
                {"-rf", "%2Drf"},
                {"100%", "100%25"},
                {"%2F", "%252F"},
                {"a\nb\x1b[2J\x7f", "a%0Ab%1B[2J%7F"},
                {"\xff\xc3", "%FF%C3"},
                {"a\xe2\x80\xaegol.exe", "a%E2%80%AEgol.exe"},
                {"", ""},
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                char want[FILE_NAME_SIZE];

                snprintf(want, sizeof want, "%s-" UUID ".log", names[i][1]);
                assert_string_equal(make(NULL, names[i][0]), want);
        }
}

static void test_vms_of_one_name_have_files_of_their_own(_unused_ void **state) {
        char a[FILE_NAME_SIZE], b[FILE_NAME_SIZE];

        file_name_make(NULL, "web01", UUID, a);
        file_name_make(NULL, "web01", "50123456-789a-bcde-f012-3456789abcdf", b);
        assert_string_not_equal(a, b);
}

static void test_a_long_name_is_cut_and_told_apart(_unused_ void **state) {
        char x[600], y[600], longest[FILE_NAME_PREFIX_MAX + 1], a[FILE_NAME_SIZE], b[FILE_NAME_SIZE];

        memset(longest, 'p', sizeof longest - 1);
        longest[sizeof longest - 1] = 0;
        for (size_t n = 100; n < sizeof x - 1; n++) {
                memset(x, '/', n);
                x[n] = 0;
                memcpy(y, x, n + 1);
                y[n - 1] = 'y';
                file_name_make(longest, x, UUID, a);
                file_name_make(longest, y, UUID, b);
                assert_string_not_equal(a, b);
                assert_in_range(strlen(a), 100, FILE_NAME_SIZE - 1 - 16);
                assert_string_equal(a + strlen(a) - 5 - strlen(UUID), "-" UUID ".log");

                file_name_make(longest, x, UUIDS, a);
                file_name_make(longest, y, UUIDS, b);
                assert_string_not_equal(a, b);
                assert_in_range(strlen(a), 100, FILE_NAME_SIZE - 1 - 16);
                assert_string_equal(a + strlen(a) - 5 - strlen(UUIDS), "-" UUIDS ".log");
        }
}

static void test_no_two_names_have_one_file(_unused_ void **state) {
        static const char *const names[] = {
                "a", "A", "a/", "a%2F", "a%252F", "a%", "a%25", ".", "%2E", "%2e", "-", "%2D", "a-b", "a b",
                "\xff", "%FF", "\xc3\xbf", "a\xef\xbf\xbd",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                for (size_t j = 0; j < i; j++) {
                        char a[FILE_NAME_SIZE];

                        file_name_make(NULL, names[i], UUID, a);
                        assert_string_not_equal(a, make(NULL, names[j]));
                }
}

static void test_any_bytes_make_a_name_that_can_be_a_file(_unused_ void **state) {
        Prng random = prng_init();

        for (unsigned i = 0; i < 50000; i++) {
                char name[601];
                size_t n = prng_below(&random, sizeof name);

                prng_fill(&random, (uint8_t *) name, n, BYTES("/.-%~\\\xe2\x80\xae\xc3\xa4 "));
                for (size_t k = 0; k < n; k++)
                        name[k] = name[k] ?: 'x';
                name[n] = 0;

                const char *file = make(NULL, name);
                assert_null(strchr(file, '/'));
                assert_in_range(strlen(file), sizeof UUID ".log" - 1, FILE_NAME_SIZE - 1 - 16);
                assert_true(*file != '.');
                for (const char *p = file; *p; p++)
                        assert_true((uint8_t) *p >= 0x20 && *p != 0x7f);
        }
}

static void test_a_prefix_is_the_beginning_of_a_name_and_nothing_else(_unused_ void **state) {
        char long_one[FILE_NAME_PREFIX_MAX + 2];

        assert_true(file_name_prefix_is_valid("prod"));
        assert_true(file_name_prefix_is_valid("prod-1.2_x"));
        assert_false(file_name_prefix_is_valid(""));
        assert_false(file_name_prefix_is_valid(".prod"));
        assert_false(file_name_prefix_is_valid("-prod"));
        assert_false(file_name_prefix_is_valid("a/b"));
        assert_false(file_name_prefix_is_valid("../x"));
        assert_false(file_name_prefix_is_valid("a\tb"));
        assert_false(file_name_prefix_is_valid("\xff"));

        memset(long_one, 'x', sizeof long_one - 1);
        long_one[sizeof long_one - 1] = 0;
        assert_false(file_name_prefix_is_valid(long_one));
        assert_true(file_name_prefix_is_valid(long_one + 1));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_ordinary_name_is_recognized),
                cmocka_unit_test(test_a_name_does_not_leave_its_folder_nor_hide),
                cmocka_unit_test(test_vms_of_one_name_have_files_of_their_own),
                cmocka_unit_test(test_a_long_name_is_cut_and_told_apart),
                cmocka_unit_test(test_no_two_names_have_one_file),
                cmocka_unit_test(test_any_bytes_make_a_name_that_can_be_a_file),
                cmocka_unit_test(test_a_prefix_is_the_beginning_of_a_name_and_nothing_else),
        };

        return cmocka_run_group_tests_name("file-name", tests, NULL, NULL);
}
