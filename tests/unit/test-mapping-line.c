/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A mapping as a line of text: what is written is read as it was, whatever a VM calls itself; what is damaged is refused,
 * in words. */

#include <stdio.h>

#include "harness.h"

#include "basic/text.h"
#include "prng.h"
#include "store/mapping-line.h"
#include "utf8.h"

#define UUID "50123456-789a-bcde-f012-3456789abcde"
#define BIOS "564d3456-789a-bcde-f012-3456789abcde"

static Mapping web01(void) {
        return (Mapping){
                .id = UUID,
                .uuid = {0x50, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde,
                         0xf0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde},
                .uri = "s0",
                .name = "web01",
                .port = 50000,
                .stored = 1795345745504572,
        };
}

/* The checksums are as another program has computed them. */
#define WEB01_FIELDS "ID=" UUID "\tNAME=web01\tURI=s0\tPORT=50000\tSTORED=1795345745504572"
static const char web01_text[] = "287b6bd7\t" WEB01_FIELDS;
static const char removal_text[] = "84098278\tREMOVED=" UUID;

/* Without the end of the line. To be freed by the caller. */
static char *format(const Mapping *m) {
        char line[MAPPING_LINE_MAX];

        int n = mapping_line_format(m, line);
        assert_in_range(n, 1, sizeof line - 1);
        assert_int_equal(n, strlen(line));
        assert_int_equal(line[n - 1], '\n');
        char *copy = strndup(line, (size_t) n - 1);
        assert_non_null(copy);
        return copy;
}

/* The bytes lie in memory of exactly their size, so that a sanitizer sees who looks too far. */
typedef struct Parsed {
        char *text;
        int result;
        Mapping mapping;
        const char *problem;
} Parsed;

static void parsed_done(Parsed *p) {
        free(p->text);
}

#define _cleanup_parsed_ _cleanup_(parsed_done)

static Parsed parse(const char *text, size_t size) {
        Parsed p = {.text = malloc(size + 1)};

        assert_non_null(p.text);
        memcpy(p.text, text, size);
        p.text[size] = 0;
        p.result = mapping_line_parse(p.text, size, &p.mapping, &p.problem);
        return p;
}

/* As a person writes it: without a checksum */
static Parsed parse_fields(const char *fields) {
        _cleanup_free_ char *line = NULL;

        assert_true(asprintf(&line, "-\t%s", fields) > 0);
        return parse(line, strlen(line));
}

static void assert_same(const Mapping *got, const Mapping *want) {
        assert_string_equal(got->id, want->id);
        assert_memory_equal(got->uuid, want->uuid, sizeof want->uuid);
        assert_string_equal(got->uri, want->uri);
        assert_string_equal(got->name, want->name);
        assert_int_equal(got->port, want->port);
        assert_int_equal(got->stored, want->stored);
        assert_int_equal(got->gone_since, want->gone_since);
}

static void test_a_mapping_as_a_line(_unused_ void **state) {
        Mapping m = web01();
        _cleanup_free_ char *text = format(&m);
        assert_text_equal(text, web01_text);

        m.port = 0;
        m.gone_since = 7;
        _cleanup_free_ char *other = format(&m);
        assert_null(strstr(other, "PORT="));
        assert_non_null(strstr(other, "\tGONE=7"));
}

static void test_a_removal_as_a_line(_unused_ void **state) {
        _cleanup_free_ char *text = format(&(Mapping){.id = UUID});
        assert_text_equal(text, removal_text);

        _cleanup_parsed_ Parsed p = parse(text, strlen(text));
        assert_int_equal(p.result, 0);
        assert_string_equal(p.mapping.id, UUID);
        assert_null(p.mapping.name);
}

static void assert_comes_back(const Mapping *m) {
        _cleanup_free_ char *text = format(m);
        _cleanup_parsed_ Parsed p = parse(text, strlen(text));

        if (p.result < 0)
                fail_msg("%s:\n%s", p.problem, text);
        assert_same(&p.mapping, m);
}

static void test_what_is_formatted_is_parsed_as_it_was(_unused_ void **state) {
        Mapping m = web01();
        assert_comes_back(&m);

        m.id = UUID "_s0";
        m.name = "web01_s0";
        m.port = 65535;
        m.gone_since = m.stored = UINT64_MAX;
        assert_comes_back(&m);

        m.id = UUID "_";
        m.uri = "";
        m.port = 0;
        m.stored = 0;
        m.gone_since = 1;
        assert_comes_back(&m);
}

static void test_hostile_names_and_uris_come_back(_unused_ void **state) {
        static const char *const texts[] = {
                " ", "  two  spaces ", "=", "a=b=", "#", "# no comment", "[x]", ";", "\"'\\", "%s%n", "PORT=1",
                "REMOVED=x", "../../etc/passwd", "/", ".", "a\\nb", "M\xc3\xbcller \xf0\x9f\x98\x80", "\xef\xbf\xbd",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_free_ char *id = NULL;
                Mapping m = web01();

                m.name = m.uri = texts[i];
                assert_comes_back(&m);

                assert_true(asprintf(&id, UUID "_%s", texts[i]) > 0);
                m.id = id;
                assert_comes_back(&m);
        }
}

/* Whatever a VM sends is made clean text once, and is then taken back. */
static void test_the_longest_there_is_comes_back(_unused_ void **state) {
        char bytes[1022];
        memset(bytes, 0xff, sizeof bytes);
        _cleanup_free_ char *uri = text_sanitize(bytes, sizeof bytes, sizeof bytes);
        _cleanup_free_ char *name = text_sanitize(bytes, 512, 512);
        _cleanup_free_ char *id = NULL, *label = NULL;
        Mapping m = web01();

        assert_true(uri && name && strlen(uri) == 3 * 1022);
        assert_true(asprintf(&id, UUID "_%s", uri) > 0);
        assert_true(asprintf(&label, "%s_%s", name, uri) > 0);
        m.id = id;
        m.uri = uri;
        m.name = label;
        m.stored = m.gone_since = UINT64_MAX;
        assert_comes_back(&m);
}

static void test_random_clean_text_comes_back(_unused_ void **state) {
        static const uint8_t favourites[] = {'=', '\n', '#', '%', '_', 0xc3, 0xbc, 0xe2, 0x80, 0xae, 0xff};
        Prng random = prng_init();

        for (unsigned i = 0; i < 5000; i++) {
                uint8_t bytes[64];
                Mapping m = web01();

                prng_fill(&random, bytes, sizeof bytes, favourites, sizeof favourites);
                size_t n = 1 + prng_below(&random, sizeof bytes / 2);
                _cleanup_free_ char *name = text_sanitize(bytes, n, n);
                _cleanup_free_ char *uri = text_sanitize(bytes + sizeof bytes / 2, n, n);
                _cleanup_free_ char *id = NULL;

                assert_true(name && uri && asprintf(&id, UUID "_%s", uri) > 0);
                m.id = id;
                m.name = name;
                m.uri = uri;
                m.port = (uint16_t) prng_next(&random);
                m.stored = prng_next(&random);
                m.gone_since = prng_next(&random) >> prng_below(&random, 65) % 64;
                assert_comes_back(&m);
        }
}

static void test_a_mapping_that_is_too_long_is_an_error(_unused_ void **state) {
        static char name[MAPPING_LINE_MAX];
        char line[MAPPING_LINE_MAX];
        Mapping m = web01();

        memset(name, 'x', sizeof name - 1);
        m.name = name;
        assert_int_equal(mapping_line_format(&m, line), -ENOBUFS);
        m = (Mapping){.id = name};
        assert_int_equal(mapping_line_format(&m, line), -ENOBUFS);
}

/* The concentrator lets none of them through; this is the last line of defence. */
static void test_what_would_end_a_field_or_the_line_is_not_written(_unused_ void **state) {
        char line[MAPPING_LINE_MAX];
        Mapping m[] = {web01(), web01(), web01(), {.id = UUID "\n"}};

        m[0].name = "a\tPORT=1";
        m[1].uri = "a\n-";
        m[2].id = UUID "_\t";
        for (size_t i = 0; i < ELEMENTSOF(m); i++)
                assert_int_equal(mapping_line_format(&m[i], line), -EINVAL);
}

static void test_people_may_rearrange_and_leave_out(_unused_ void **state) {
        Mapping m = web01();
        _cleanup_parsed_ Parsed p = parse_fields("STORED=1795345745504572\t\tPORT=50000\tNAME=web01\tURI=s0\tCOLOUR=green\t"
                                                 "#ID=x\tID=" UUID "\t");
        assert_int_equal(p.result, 0);
        assert_same(&p.mapping, &m);

        _cleanup_parsed_ Parsed shortest = parse_fields("ID=" UUID);
        m = (Mapping){.id = UUID, .uri = "", .name = UUID};
        memcpy(m.uuid, web01().uuid, sizeof m.uuid);
        assert_int_equal(shortest.result, 0);
        assert_same(&shortest.mapping, &m);
}

/* As the files of earlier versions were, of a VM each */
static void test_fields_may_stand_on_lines_of_their_own(_unused_ void **state) {
        char text[] = "# by hand\nVERSION=1\nID=" UUID "\nUUID=" UUID "\nURI=s0\nNAME=web01\nPORT=50000\n"
                      "STORED=1795345745504572\n";
        Mapping m = web01(), got;
        const char *problem;

        assert_int_equal(mapping_fields_parse(text, strlen(text), '\n', &got, &problem), 0);
        assert_same(&got, &m);
}

/* VMs that have one UUID, and their serial ports */
static void test_every_kind_of_identity_is_read_back(_unused_ void **state) {
        static const char *const ids[] = {UUID, UUID "_s0", UUID "~" BIOS, UUID "~" BIOS "_s0", UUID "~" UUID};

        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                Mapping m = web01();
                m.id = ids[i];
                _cleanup_free_ char *text = format(&m);
                _cleanup_parsed_ Parsed p = parse(text, strlen(text));

                assert_int_equal(p.result, 0);
                assert_same(&p.mapping, &m);
        }
}

/* One change to fields that are fine, and what is said of it */
static const struct {
        const char *from, *to, *problem;
} damages[] = {
        {"ID=" UUID "\t", "", "ID= is neither"},
        {"ID=50", "ID=51", NULL}, /* another VM */
        {"ID=50", "ID=5", "ID= is neither"},
        {"ID=50", "ID=500", "ID= is neither"},
        {"ID=50", "ID=g0", "ID= is neither"},
        {"ID=50", "ID=\x15\x10", "ID= is neither"},
        {"ID=50", "ID= 50", "ID= is neither"},
        {"ID=50", "id=50", "ID= is neither"},
        {"ID=50123456-789a-bcde", "ID=50123456789abcde", "ID= is neither"},
        {"ID=50123456-789a-bcde", "ID=50123456-789A-BCDE", "ID= is neither"},
        {"ID=" UUID, "ID=" UUID "-2", "ID= is neither"},
        {"ID=" UUID, "ID=" UUID "_s1", "ID= is neither"},
        {"ID=" UUID, "ID=../../" UUID, "ID= is neither"},
        {"ID=" UUID, "ID=" UUID "~", "ID= is neither"},
        {"ID=" UUID, "ID=" UUID "~564d", "ID= is neither"},
        {"ID=" UUID, "ID=" UUID "~564D3456-789a-bcde-f012-3456789abcde", "ID= is neither"},
        {"ID=" UUID, "ID=" UUID "~" BIOS "~" BIOS, "ID= is neither"},
        {"ID=" UUID, "ID=" UUID "~" BIOS "_s1", "ID= is neither"},
        {"ID=" UUID, "ID=" UUID "_s0~" BIOS, "ID= is neither"},
        {"URI=s0", "URI=s\x1b[2J", "URI= is missing, or not clean"},
        {"URI=s0", "URI=\xff\xfe", "URI= is missing, or not clean"},
        {"NAME=web01", "NAME=", "NAME= is missing, or not clean"},
        {"NAME=web01", "NAME=web\r", "NAME= is missing, or not clean"},
        {"NAME=web01", "NAME=\xe2\x80\xaetxt.exe", "NAME= is missing, or not clean"},
        {"NAME=web01", "NAME=\xc0\x80", "NAME= is missing, or not clean"},
        {"NAME=web01", "NAME=web\t01", "a field is not KEY=value"},
        {"PORT=50000", "PORT=65536", "PORT= is not a port"},
        {"PORT=50000", "PORT=-1", "PORT= is not a port"},
        {"PORT=50000", "PORT=", "PORT= is not a port"},
        {"PORT=50000", "PORT=http", "PORT= is not a port"},
        {"PORT=50000\t", "PORT=50000 ", "PORT= is not a port"}, /* a blank for a TAB */
        {"PORT=50000", "PORT=18446744073709601616", "PORT= is not a port"},
        {"STORED=1795345745504572", "STORED=yesterday", "STORED= is not a time"},
        {"STORED=1795345745504572", "STORED=99999999999999999999", "STORED= is not a time"},
        {"504572", "504572\tGONE=", "GONE= is not a time"},
        {"504572", "504572\tGONE=-1", "GONE= is not a time"},
        {"504572", "504572\tnonsense", "a field is not KEY=value"},
};

static void test_every_mistake_is_named(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(damages); i++) {
                char text[1024];
                const char *at = strstr(WEB01_FIELDS, damages[i].from);

                assert_non_null(at);
                snprintf(text, sizeof text, "%.*s%s%s", (int) (at - WEB01_FIELDS), WEB01_FIELDS, damages[i].to,
                         at + strlen(damages[i].from));
                _cleanup_parsed_ Parsed p = parse_fields(text);

                if (!damages[i].problem) {
                        assert_int_equal(p.result, 0);
                        continue;
                }

                assert_int_equal(p.result, -EBADMSG);
                if (strncmp(p.problem, damages[i].problem, strlen(damages[i].problem)) != 0)
                        fail_msg("%s, not %s:\n%s", p.problem, damages[i].problem, text);
        }
}

static void test_a_line_without_a_checksum_is_named(_unused_ void **state) {
        static const char *const lines[] = {WEB01_FIELDS, "\t" WEB01_FIELDS, "--\t" WEB01_FIELDS, "", "-", "# note",
                                            "00000000\t" WEB01_FIELDS, "- " WEB01_FIELDS};

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                _cleanup_parsed_ Parsed p = parse(lines[i], strlen(lines[i]));

                assert_int_equal(p.result, -EBADMSG);
                assert_non_null(strstr(p.problem, "checksum"));
        }
}

static void test_a_nul_byte_is_refused_wherever_it_is(_unused_ void **state) {
        static const char text[] = "-\t" WEB01_FIELDS;

        for (size_t i = 0; i < strlen(text); i++) {
                char with_nul[sizeof text];

                memcpy(with_nul, text, sizeof text);
                with_nul[i] = 0;
                _cleanup_parsed_ Parsed p = parse(with_nul, strlen(text));
                assert_int_equal(p.result, -EBADMSG);
        }
}

static void test_a_line_that_is_cut_off_is_refused(_unused_ void **state) {
        for (size_t n = 0; n < strlen(web01_text); n++) {
                _cleanup_parsed_ Parsed p = parse(web01_text, n);

                assert_int_equal(p.result, -EBADMSG);
                assert_non_null(p.problem);
        }
}

static void test_a_byte_that_is_another_is_noticed(_unused_ void **state) {
        for (size_t i = 0; i < strlen(web01_text); i++)
                for (unsigned bit = 0; bit < 8; bit++) {
                        char text[sizeof web01_text];

                        memcpy(text, web01_text, sizeof text);
                        text[i] = (char) (text[i] ^ 1 << bit);
                        _cleanup_parsed_ Parsed p = parse(text, sizeof text - 1);
                        assert_int_equal(p.result, -EBADMSG);
                }
}

/* What a person has made of the fields: it is refused, or it is clean. */
static void test_random_damage(_unused_ void **state) {
        static const char fine[] = "-\t" WEB01_FIELDS;
        Prng random = prng_init();
        unsigned n_refused = 0;

        for (unsigned i = 0; i < 50000; i++) {
                char text[sizeof fine];

                memcpy(text, fine, sizeof text);
                for (size_t k = prng_below(&random, 3) + 1; k > 0; k--)
                        text[2 + prng_below(&random, sizeof text - 3)] = (char) prng_next(&random);

                _cleanup_parsed_ Parsed p = parse(text, sizeof text - 1);
                n_refused += p.result < 0;
                if (p.result < 0)
                        continue;

                assert_true(utf8_is_valid(p.mapping.name) && utf8_is_harmless(p.mapping.name));
                assert_true(utf8_is_valid(p.mapping.uri) && utf8_is_harmless(p.mapping.uri));
                assert_int_equal(strncmp(p.mapping.id, "50", 2) == 0, p.mapping.uuid[0] == 0x50);
        }

        assert_true(n_refused > 25000 && n_refused < 50000);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_kind_of_identity_is_read_back),
                cmocka_unit_test(test_a_mapping_as_a_line),
                cmocka_unit_test(test_a_removal_as_a_line),
                cmocka_unit_test(test_what_is_formatted_is_parsed_as_it_was),
                cmocka_unit_test(test_hostile_names_and_uris_come_back),
                cmocka_unit_test(test_the_longest_there_is_comes_back),
                cmocka_unit_test(test_random_clean_text_comes_back),
                cmocka_unit_test(test_a_mapping_that_is_too_long_is_an_error),
                cmocka_unit_test(test_what_would_end_a_field_or_the_line_is_not_written),
                cmocka_unit_test(test_people_may_rearrange_and_leave_out),
                cmocka_unit_test(test_fields_may_stand_on_lines_of_their_own),
                cmocka_unit_test(test_every_mistake_is_named),
                cmocka_unit_test(test_a_line_without_a_checksum_is_named),
                cmocka_unit_test(test_a_nul_byte_is_refused_wherever_it_is),
                cmocka_unit_test(test_a_line_that_is_cut_off_is_refused),
                cmocka_unit_test(test_a_byte_that_is_another_is_noticed),
                cmocka_unit_test(test_random_damage),
        };

        return cmocka_run_group_tests_name("mapping-line", tests, NULL, NULL);
}
