/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The tables of a VM's properties and of the metrics, compared with what is written about them elsewhere: Varlink's interface
 * definition, and the manual page of the D-Bus interface. (test_bus.py compares that page with what is introspected.)
 */

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "harness.h"

#include "admin/property.h"

static char *read_source(const char *name) {
        char path[1024];
        char *text = NULL;
        size_t size = 0;

        snprintf(path, sizeof path, "%s/%s", getenv("VSPC_SOURCE"), name);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        assert_true(getdelim(&text, &size, EOF, f) > 0);
        fclose(f);
        return text;
}

/* What stands between @begin and @end in a file of the source */
static char *read_part(const char *name, const char *begin, const char *end) {
        _cleanup_free_ char *text = read_source(name);
        const char *from = strstr(text, begin);
        assert_non_null(from);

        from += strlen(begin);
        const char *to = strstr(from, end);
        assert_non_null(to);
        return strndup(from, (size_t) (to - from));
}

static void test_varlink_s_type_vm_has_the_properties_of_the_table(_unused_ void **state) {
        _cleanup_free_ char *defined = read_part("src/admin/org.vspc.Concentrator.varlink", "type VM (\n", "\n)");
        char wanted[2048], *end = wanted;

        for (size_t i = 0; i < VM_PROPERTIES_N; i++)
                if (vm_properties[i].key)
                        end += sprintf(end, "%s        %s: %s", end > wanted ? ",\n" : "", vm_properties[i].key,
                                       vm_properties[i].type);
        assert_text_equal(defined, wanted);
}

static void test_varlink_s_get_metrics_has_the_metrics_of_the_table(_unused_ void **state) {
        _cleanup_free_ char *defined =
                read_part("src/admin/org.vspc.Concentrator.varlink", "method GetMetrics() -> (\n", "\n)");
        char wanted[4096], *end = wanted;

        for (size_t i = 0; i < METRICS_N; i++)
                end += sprintf(end, "%s        %s: int", i > 0 ? ",\n" : "", metrics[i].key);
        assert_text_equal(defined, wanted);
}

/* Takes the property's line out of the manual page's list: "readonly s Name;            (emits change)". */
static void take_line(char *list, const char *signature, const char *name, const char *flags) {
        char wanted[128];

        snprintf(wanted, sizeof wanted, "readonly %s %s;", signature, name);
        char *line = strstr(list, wanted);
        if (!line)
                fail_msg("the manual page has no \"%s\"", wanted);

        char *told = line + strlen(wanted), *end = strchr(line, '\n');
        *end = 0;
        while (*told == ' ')
                told++;
        assert_string_equal(told, flags);
        memset(line, '-', (size_t) (end - line));
        *end = '\n';
}

static void test_the_manual_page_lists_a_vm_s_properties_on_d_bus(_unused_ void **state) {
        _cleanup_free_ char *list = read_part("man/org.vspc.Concentrator1.5", ".VM {\n", "  };");
        _cleanup_free_ char *page = read_source("man/org.vspc.Concentrator1.5");

        for (const VmProperty *p = vm_properties; p < vm_properties + VM_PROPERTIES_N; p++) {
                if (!p->name)
                        continue;

                take_line(list, p->signature, p->name, p->constant ? "(const)" : p->changes ? "(emits change)" : "");

                /* Below it is said what that is. */
                char marked[64];
                const char *described = strstr(page, ".SS Properties\n.TP\n.IR Id");
                assert_non_null(described);
                snprintf(marked, sizeof marked, "%s", p->name);
                if (!strstr(described, marked))
                        fail_msg("the manual page does not describe %s", p->name);
        }
        assert_null(strstr(list, "readonly"));
}

static void test_the_manual_page_lists_the_concentrator_s_properties_on_d_bus(_unused_ void **state) {
        static const char *const flags[] = {
                [METRIC_GAUGE] = "(emits change)",
                [METRIC_COUNTER] = "",
                [METRIC_TIME] = "(const)",
        };
        _cleanup_free_ char *list = read_part("man/org.vspc.Concentrator1.5", ".Manager {\n", "  };");

        take_line(list, "s", "Version", "(const)");
        for (size_t i = 0; i < METRICS_N; i++)
                if (metrics[i].bus)
                        take_line(list, metrics[i].type == METRIC_GAUGE ? "u" : "t", metrics[i].bus,
                                  flags[metrics[i].type]);
        assert_null(strstr(list, "readonly"));
}

/* Nothing is told that changes without being told of, but counters of bytes. */
static bool follows_output(const VmProperty *p) {
        return strncmp(p->name, "Bytes", 5) == 0 || streq(p->name, "LastOutputUSec");
}

static void test_each_property_on_d_bus_is_constant_or_changes_by_events_unless_it_follows_output(_unused_ void **state) {
        for (const VmProperty *p = vm_properties; p < vm_properties + VM_PROPERTIES_N; p++)
                if (p->name)
                        assert_int_equal(p->constant + (p->changes != 0) + follows_output(p), 1);
}

/* In OpenMetrics the name of a counter in Varlink ends in Total as well, and a unit is at the name's end. */
static void test_the_names_of_metrics_agree(_unused_ void **state) {
        for (const Metric *m = metrics; m < metrics + METRICS_N; m++) {
                bool counts = strlen(m->key) > 5 && streq(m->key + strlen(m->key) - 5, "Total");

                assert_int_equal(counts, m->type == METRIC_COUNTER);
                assert_int_equal(strncmp(m->family, "vspc_", 5), 0);
                if (m->unit)
                        assert_string_equal(m->family + strlen(m->family) - strlen(m->unit), m->unit);
                if (m->bus && counts)
                        for (size_t i = 0; i <= strlen(m->key); i++)
                                assert_int_equal(tolower(m->key[i]), tolower(m->bus[i]));
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_varlink_s_type_vm_has_the_properties_of_the_table),
                cmocka_unit_test(test_varlink_s_get_metrics_has_the_metrics_of_the_table),
                cmocka_unit_test(test_the_manual_page_lists_a_vm_s_properties_on_d_bus),
                cmocka_unit_test(test_the_manual_page_lists_the_concentrator_s_properties_on_d_bus),
                cmocka_unit_test(test_each_property_on_d_bus_is_constant_or_changes_by_events_unless_it_follows_output),
                cmocka_unit_test(test_the_names_of_metrics_agree),
        };

        return cmocka_run_group_tests_name("property", tests, NULL, NULL);
}
