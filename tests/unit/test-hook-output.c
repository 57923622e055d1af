/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a hook prints becomes entries of the log: their text and their priority. */

#include "harness.h"

#include <stdio.h>

#include "hooks/hook-output.h"

static char logged[4096]; /* "PRIORITY:TEXT|" for each entry */

void __wrap_hook_log_line(HookLog *l, int level, const char *path, const HookEvent *event, const char *line);
void __wrap_hook_log_line(_unused_ HookLog *l, int level, _unused_ const char *path, _unused_ const HookEvent *event,
                          const char *line) {
        size_t n = strlen(logged);

        snprintf(logged + n, sizeof logged - n, "%d:%s|", level, line);
}

static void assert_logged(const char *output, const char *want) {
        HookOutput o = {};

        logged[0] = 0;
        hook_output_append(&o, output, strlen(output));
        hook_output_end(&o);
        assert_string_equal(logged, want);
}

static void test_a_line_without_a_priority_is_information(_unused_ void **state) {
        assert_logged("hello\nworld", "6:hello|6:world|");
}

static void test_a_prefix_is_the_priority(_unused_ void **state) {
        assert_logged("<3>no disk\n<7>detail\n<1>call somebody\n", "3:no disk|7:detail|1:call somebody|");
}

/* journald writes what has priority 0 to the terminals of all who are logged in; a VM's name may be in it. */
static void test_no_hook_writes_to_everybodys_terminal(_unused_ void **state) {
        assert_logged("<0>VM \x1b[2J has connected\n", "1:VM \xef\xbf\xbd[2J has connected|");
}

static void test_what_is_no_priority_is_text(_unused_ void **state) {
        assert_logged("<8>x\n<03>x\n<3 x\n <3>x\n", "6:<8>x|6:<03>x|6:<3 x|6: <3>x|");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_line_without_a_priority_is_information),
                cmocka_unit_test(test_a_prefix_is_the_priority),
                cmocka_unit_test(test_no_hook_writes_to_everybodys_terminal),
                cmocka_unit_test(test_what_is_no_priority_is_text),
        };

        return cmocka_run_group_tests_name("hook-output", tests, NULL, NULL);
}
