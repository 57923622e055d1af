/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A mapping as a text file: names that stay in their folder, whatever a VM calls its serial port; what is written is
 * read as it was; what is damaged is refused, in words. */

#include <stdio.h>

#include "harness.h"

#include "basic/text.h"
#include "prng.h"
#include "store/mapping-file.h"
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

static const char web01_text[] = "VERSION=1\n"
                                 "ID=" UUID "\n"
                                 "UUID=" UUID "\n"
                                 "URI=s0\n"
                                 "NAME=web01\n"
                                 "PORT=50000\n"
                                 "STORED=1795345745504572\n";

/* To be freed by the caller. */
static char *format(const Mapping *m) {
        Buffer text = BUFFER_INIT(MAPPING_FILE_SIZE_MAX);

        assert_int_equal(mapping_file_format(m, &text), 0);
        char *copy = calloc(1, text.size + 1);
        assert_non_null(copy);
        memcpy(copy, buffer_data(&text), text.size);
        buffer_clear(&text);
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
        p.result = mapping_file_parse(p.text, size, &p.mapping, &p.problem);
        return p;
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

static void test_a_name_is_the_uuid_and_the_escaped_uri(_unused_ void **state) {
        static const struct {
                const char *id, *want;
        } names[] = {
                {UUID, UUID ".vm"},
                {UUID "_s0", UUID "_s0.vm"},
                {UUID "_", UUID "_.vm"},
                {UUID "_Com-1", UUID "_Com-1.vm"},
                {UUID "_telnet://a:1", UUID "_telnet%3A%2F%2Fa%3A1.vm"},
                {UUID "_../../etc/passwd", UUID "_%2E%2E%2F%2E%2E%2Fetc%2Fpasswd.vm"},
                {UUID "_..", UUID "_%2E%2E.vm"},
                {UUID "_%2F", UUID "_%252F.vm"},
                {UUID "_a_b", UUID "_a%5Fb.vm"},
                {UUID "_a~b", UUID "_a%7Eb.vm"},
                {UUID "~" BIOS, UUID "%7E" BIOS ".vm"},
                {UUID "~" BIOS "_s0", UUID "%7E" BIOS "_s0.vm"},
                {UUID "_ ", UUID "_%20.vm"},
                {UUID "_\xef\xbf\xbd", UUID "_%EF%BF%BD.vm"},
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                char buffer[MAPPING_FILE_NAME_MAX];

                assert_string_equal(mapping_file_name(names[i].id, buffer), names[i].want);
        }
}

static void test_no_id_leaves_the_folder_or_overruns_the_buffer(_unused_ void **state) {
        static const uint8_t favourites[] = {'/', '.', '%', '_', '~', 0xff, 'a'};
        Prng random = prng_init();

        for (unsigned i = 0; i < 20000; i++) {
                char id[512] = {}, name[MAPPING_FILE_NAME_MAX];

                prng_fill(&random, (uint8_t *) id, prng_below(&random, sizeof id), favourites, sizeof favourites);
                mapping_file_name(id, name);

                size_t n = strlen(name);
                assert_in_range(n, strlen(MAPPING_FILE_SUFFIX), MAPPING_FILE_NAME_MAX - 1);
                assert_string_equal(name + n - strlen(MAPPING_FILE_SUFFIX), MAPPING_FILE_SUFFIX);
                assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_%~"),
                                 n - strlen(MAPPING_FILE_SUFFIX));
        }
}

static void test_different_ids_have_different_names(_unused_ void **state) {
        static const char *const ids[] = {
                UUID, UUID "_", UUID "_a", UUID "_A", UUID "_%41", UUID "_a/", UUID "_a%2F", UUID "_a_", UUID "_a%5F",
        };

        for (size_t i = 0; i < ELEMENTSOF(ids); i++)
                for (size_t j = 0; j < i; j++) {
                        char a[MAPPING_FILE_NAME_MAX], b[MAPPING_FILE_NAME_MAX];

                        assert_string_not_equal(mapping_file_name(ids[i], a), mapping_file_name(ids[j], b));
                }
}

static void test_long_uris_that_differ_late_have_different_names(_unused_ void **state) {
        for (size_t length = 100; length <= 1022; length++) {
                char id[2048] = UUID "_", a[MAPPING_FILE_NAME_MAX], b[MAPPING_FILE_NAME_MAX];
                size_t n = strlen(id);

                memset(id + n, 'x', length);
                mapping_file_name(id, a);
                assert_string_equal(mapping_file_name(id, b), a);

                id[n + length - 1] = 'y';
                assert_string_not_equal(mapping_file_name(id, b), a);
                id[n + length - 1] = 0;
                assert_string_not_equal(mapping_file_name(id, b), a);
        }
}

/* What is hashed has a "~", and what is not has none: one cannot be made to look like the other. */
static void test_the_name_of_a_long_uri_is_nobody_else_s(_unused_ void **state) {
        char id[2048] = UUID "_", long_name[MAPPING_FILE_NAME_MAX], name[MAPPING_FILE_NAME_MAX];

        memset(id + strlen(id), 'x', 1000);
        mapping_file_name(id, long_name);
        assert_non_null(strchr(long_name, '~'));

        snprintf(id, sizeof id, "%.*s", (int) (strlen(long_name) - strlen(MAPPING_FILE_SUFFIX)), long_name);
        assert_string_not_equal(mapping_file_name(id, name), long_name);
}

static void test_a_mapping_as_text(_unused_ void **state) {
        Mapping m = web01();
        _cleanup_free_ char *text = format(&m);
        assert_text_equal(text, web01_text);

        m.port = 0;
        m.gone_since = 7;
        _cleanup_free_ char *other = format(&m);
        assert_null(strstr(other, "PORT="));
        assert_non_null(strstr(other, "\nGONE=7\n"));
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
                "VERSION=2", "../../etc/passwd", "/", ".", "a\\nb", "M\xc3\xbcller \xf0\x9f\x98\x80", "\xef\xbf\xbd",
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

static void test_what_a_mapping_does_not_fit_into_is_an_error(_unused_ void **state) {
        static char name[MAPPING_FILE_SIZE_MAX];
        Buffer text = BUFFER_INIT(MAPPING_FILE_SIZE_MAX);
        Mapping m = web01();

        memset(name, 'x', sizeof name - 1);
        m.name = name;
        assert_int_equal(mapping_file_format(&m, &text), -ENOBUFS);
        buffer_clear(&text);
}

static void test_people_may_comment_and_rearrange(_unused_ void **state) {
        static const char text[] = "# web01's console\n"
                                   "\n"
                                   "STORED=1795345745504572\n"
                                   "PORT=50000\n"
                                   "NAME=web01\n"
                                   "URI=s0\n"
                                   "COLOUR=green\n"
                                   "UUID=" UUID "\n"
                                   "ID=" UUID "\n"
                                   "VERSION=1\n"
                                   "#";
        Mapping m = web01();
        _cleanup_parsed_ Parsed p = parse(text, strlen(text) - 1);

        assert_int_equal(p.result, 0);
        assert_same(&p.mapping, &m);
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

/* One change to a text that is fine, and what is said of it */
static const struct {
        const char *from, *to, *problem;
} damages[] = {
        {"VERSION=1\n", "", "VERSION= is not 1"},
        {"VERSION=1", "VERSION=2", "VERSION= is not 1"},
        {"VERSION=1", "VERSION=1 ", "VERSION= is not 1"},
        {"VERSION=1", "version=1", "VERSION= is not 1"},
        {"VERSION=1\n", "VERSION\n", "a line is not KEY=value"},
        {"VERSION=1\n", "\x7f" "ELF\n", "a line is not KEY=value"},
        {"VERSION=1\n", "VERSION=1\r\n", "VERSION= is not 1"},
        {"\nUUID=" UUID, "", "UUID= is not"},
        {"\nUUID=50", "\nUUID=5", "UUID= is not"},
        {"\nUUID=50", "\nUUID=500", "UUID= is not"},
        {"\nUUID=50", "\nUUID=g0", "UUID= is not"},
        {"\nUUID=50", "\nUUID=\x15\x10", "UUID= is not"},
        {"\nUUID=50", "\nUUID= 50", "UUID= is not"},
        {"\nUUID=50123456-789a-bcde", "\nUUID=50123456789abcde", "UUID= is not"},
        {"\nUUID=50123456-789a-bcde", "\nUUID=50123456-789A-BCDE", "UUID= is not"},
        {"\nID=" UUID, "", "ID= is neither"},
        {"\nID=50", "\nID=51", "ID= is neither"},
        {"\nID=" UUID, "\nID=" UUID "-2", "ID= is neither"},
        {"\nID=" UUID, "\nID=" UUID "_s1", "ID= is neither"},
        {"\nID=" UUID, "\nID=../../" UUID, "ID= is neither"},
        {"\nID=50123456-789a-bcde", "\nID=50123456-789A-BCDE", "ID= is neither"},
        {"\nID=" UUID, "\nID=" UUID "~", "ID= is neither"},
        {"\nID=" UUID, "\nID=" UUID "~564d", "ID= is neither"},
        {"\nID=" UUID, "\nID=" UUID "~564D3456-789a-bcde-f012-3456789abcde", "ID= is neither"},
        {"\nID=" UUID, "\nID=" UUID "~" BIOS "~" BIOS, "ID= is neither"},
        {"\nID=" UUID, "\nID=" UUID "~" BIOS "_s1", "ID= is neither"},
        {"\nID=" UUID, "\nID=" UUID "_s0~" BIOS, "ID= is neither"},
        {"\nUUID=" UUID, "\nUUID=" UUID "~" BIOS, "UUID= is not"},
        {"URI=s0\n", "", "URI= is missing, or not clean"},
        {"URI=s0", "URI=s\x1b[2J", "URI= is missing, or not clean"},
        {"URI=s0", "URI=\xff\xfe", "URI= is missing, or not clean"},
        {"NAME=web01\n", "", "NAME= is missing, or not clean"},
        {"NAME=web01", "NAME=", "NAME= is missing, or not clean"},
        {"NAME=web01", "NAME=web\t01", "NAME= is missing, or not clean"},
        {"NAME=web01", "NAME=\xe2\x80\xaetxt.exe", "NAME= is missing, or not clean"},
        {"NAME=web01", "NAME=\xc0\x80", "NAME= is missing, or not clean"},
        {"PORT=50000", "PORT=0", "PORT= is not a port"},
        {"PORT=50000", "PORT=65536", "PORT= is not a port"},
        {"PORT=50000", "PORT=-1", "PORT= is not a port"},
        {"PORT=50000", "PORT=", "PORT= is not a port"},
        {"PORT=50000", "PORT=http", "PORT= is not a port"},
        {"PORT=50000", "PORT=18446744073709601616", "PORT= is not a port"},
        {"STORED=1795345745504572\n", "", "STORED= is not a time"},
        {"STORED=1795345745504572", "STORED=yesterday", "STORED= is not a time"},
        {"STORED=1795345745504572", "STORED=99999999999999999999", "STORED= is not a time"},
        {"504572\n", "504572\nGONE=\n", "GONE= is not a time"},
        {"504572\n", "504572\nGONE=0\n", "GONE= is not a time"},
        {"504572\n", "504572\nGONE=-1\n", "GONE= is not a time"},
        {"504572\n", "504572", "its last line is cut off"},
        {"504572\n", "504572\n# cut", "its last line is cut off"},
        {"504572\n", "504572\nnonsense\n", "a line is not KEY=value"},
};

static void test_every_damage_is_named(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(damages); i++) {
                char text[1024];
                const char *at = strstr(web01_text, damages[i].from);

                assert_non_null(at);
                int n = snprintf(text, sizeof text, "%.*s%s%s", (int) (at - web01_text), web01_text, damages[i].to,
                                 at + strlen(damages[i].from));
                _cleanup_parsed_ Parsed p = parse(text, (size_t) n);

                assert_int_equal(p.result, -EBADMSG);
                if (strncmp(p.problem, damages[i].problem, strlen(damages[i].problem)) != 0)
                        fail_msg("%s, not %s:\n%s", p.problem, damages[i].problem, text);
        }
}

static void test_a_nul_byte_is_named_wherever_it_is(_unused_ void **state) {
        for (size_t i = 0; i < strlen(web01_text); i++) {
                char text[sizeof web01_text];

                memcpy(text, web01_text, sizeof text);
                text[i] = 0;
                _cleanup_parsed_ Parsed p = parse(text, strlen(web01_text));
                assert_int_equal(p.result, -EBADMSG);
                assert_string_equal(p.problem, "it contains a NUL byte");
        }
}

/* Without its last line, which is optional, it is a mapping too; no other part of it is. */
static void test_a_file_that_is_cut_off_is_refused(_unused_ void **state) {
        Mapping m = web01(), without_gone = m;

        m.gone_since = 1795345745504571;
        _cleanup_free_ char *text = format(&m);
        size_t optional = (size_t) (strstr(text, "GONE=") - text);

        for (size_t n = 0; n <= strlen(text); n++) {
                _cleanup_parsed_ Parsed p = parse(text, n);

                assert_int_equal(p.result, n == strlen(text) || n == optional ? 0 : -EBADMSG);
                if (p.result == 0)
                        assert_same(&p.mapping, n == optional ? &without_gone : &m);
                else
                        assert_non_null(p.problem);
        }
}

/* Bytes turned over: it is refused, or it is clean. */
static void test_random_damage(_unused_ void **state) {
        Prng random = prng_init();
        unsigned n_refused = 0;

        for (unsigned i = 0; i < 50000; i++) {
                char text[sizeof web01_text];

                memcpy(text, web01_text, sizeof text);
                for (size_t k = prng_below(&random, 3) + 1; k > 0; k--)
                        text[prng_below(&random, sizeof text - 1)] = (char) prng_next(&random);

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
                cmocka_unit_test(test_a_name_is_the_uuid_and_the_escaped_uri),
                cmocka_unit_test(test_no_id_leaves_the_folder_or_overruns_the_buffer),
                cmocka_unit_test(test_different_ids_have_different_names),
                cmocka_unit_test(test_long_uris_that_differ_late_have_different_names),
                cmocka_unit_test(test_the_name_of_a_long_uri_is_nobody_else_s),
                cmocka_unit_test(test_a_mapping_as_text),
                cmocka_unit_test(test_what_is_formatted_is_parsed_as_it_was),
                cmocka_unit_test(test_hostile_names_and_uris_come_back),
                cmocka_unit_test(test_the_longest_there_is_comes_back),
                cmocka_unit_test(test_random_clean_text_comes_back),
                cmocka_unit_test(test_what_a_mapping_does_not_fit_into_is_an_error),
                cmocka_unit_test(test_people_may_comment_and_rearrange),
                cmocka_unit_test(test_every_damage_is_named),
                cmocka_unit_test(test_a_nul_byte_is_named_wherever_it_is),
                cmocka_unit_test(test_a_file_that_is_cut_off_is_refused),
                cmocka_unit_test(test_random_damage),
        };

        return cmocka_run_group_tests_name("mapping-file", tests, NULL, NULL);
}
