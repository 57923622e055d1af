/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Command lines, as a program's table of options takes them. */

#include "harness.h"

#include <stdio.h>

#include "basic/options.h"

typedef struct Target {
        const char *file;
        bool loud;
        unsigned n_taken;
        const char *taken; /* the value that was taken last */
} Target;

static int take(const Option *o, const char *value, void *target) {
        Target *t = target;

        if (value && streq(value, "bad"))
                return option_refuse(o, value, "good");

        t->n_taken++;
        t->taken = value;
        return 0;
}

static const Option table[] = {
        {"file", required_argument, 'f', .offset = offsetof(Target, file)},
        {"loud", no_argument, 'l', .offset = offsetof(Target, loud)},
        {"mode", optional_argument, .take = take},
};

static int parse(Target *t, int kind, const char *const *words) {
        const Options options = {"test-options", "How to use it\n", table, ELEMENTSOF(table), kind};
        int n = 0;

        while (words[n])
                n++;

        *t = (Target){};
        optind = 0; /* getopt_long(3): begin anew */
        return options_parse(&options, n, (char **) words, t);
}

#define PARSE(t, kind, ...) parse(t, kind, (const char *[]){"test-options", __VA_ARGS__ __VA_OPT__(,) NULL})

static void test_values_and_flags_are_stored(_unused_ void **state) {
        Target t;

        assert_int_equal(PARSE(&t, OPTIONS_ONLY, "--file", "a", "--loud"), 1);
        assert_string_equal(t.file, "a");
        assert_true(t.loud);
}

static void test_letters_mean_the_same(_unused_ void **state) {
        Target t;

        assert_int_equal(PARSE(&t, OPTIONS_ONLY, "-lfa"), 1);
        assert_string_equal(t.file, "a");
        assert_true(t.loud);
}

static void test_an_optional_value_may_be_missing(_unused_ void **state) {
        Target t;

        assert_int_equal(PARSE(&t, OPTIONS_ONLY, "--mode=x", "--mode"), 1);
        assert_int_equal(t.n_taken, 2);
        assert_null(t.taken);
}

static void test_words_come_after_the_options(_unused_ void **state) {
        Target t;

        assert_int_equal(PARSE(&t, OPTIONS_AND_WORDS, "word", "--loud"), 1);
        assert_int_equal(optind, 2);
        assert_int_equal(PARSE(&t, OPTIONS_ONLY, "--loud", "word"), -EINVAL);
}

static void test_what_is_wrong_is_refused(_unused_ void **state) {
        Target t;

        assert_int_equal(PARSE(&t, OPTIONS_ONLY, "--mode=bad"), -EINVAL);
        assert_int_equal(PARSE(&t, OPTIONS_ONLY, "--unknown"), -EINVAL);
        assert_int_equal(PARSE(&t, OPTIONS_ONLY, "-x"), -EINVAL);
        assert_int_equal(PARSE(&t, OPTIONS_ONLY, "--file"), -EINVAL);
        assert_int_equal(PARSE(&t, OPTIONS_ONLY, "--loud=x"), -EINVAL);
        assert_int_equal(t.n_taken, 0);
}

static void test_help_and_version_end_the_program(_unused_ void **state) {
        FILE *of_cmocka = stdout;
        char *text = NULL;
        size_t size;
        Target t;

        stdout = open_memstream(&text, &size);
        int long_help = PARSE(&t, OPTIONS_ONLY, "--help", "--unknown");
        int short_help = PARSE(&t, OPTIONS_ONLY, "-h");
        int version = PARSE(&t, OPTIONS_ONLY, "--version");
        fclose(stdout);
        stdout = of_cmocka;

        assert_int_equal(long_help, 0);
        assert_int_equal(short_help, 0);
        assert_int_equal(version, 0);
        assert_string_equal(text, "How to use it\nHow to use it\ntest-options " VSPC_VERSION "\n");
        free(text);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values_and_flags_are_stored),
                cmocka_unit_test(test_letters_mean_the_same),
                cmocka_unit_test(test_an_optional_value_may_be_missing),
                cmocka_unit_test(test_words_come_after_the_options),
                cmocka_unit_test(test_what_is_wrong_is_refused),
                cmocka_unit_test(test_help_and_version_end_the_program),
        };

        return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
