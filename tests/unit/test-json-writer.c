/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "harness.h"

#include <jansson.h>

#include "admin/json-writer.h"

static const char *text_of(Buffer *b) {
        assert_int_equal(buffer_append(b, "", 1), 0);
        return (const char *) buffer_data(b);
}

/* What jansson reads from it */
static json_t *read_back(const Buffer *b) {
        json_error_t error;
        json_t *value = json_loadb((const char *) buffer_data(b), b->size,
                                   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

        if (!value)
                fail_msg("%s in %.*s", error.text, (int) b->size, buffer_data(b));
        return value;
}

static void test_values_of_each_kind_are_told_apart_by_commas(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(4096);
        JsonWriter w = JSON_WRITER_INIT(&b);

        json_writer_begin_object(&w, NULL);
        json_writer_put_string(&w, "name", "web01");
        json_writer_put_unsigned(&w, "port", 50000);
        json_writer_put_boolean(&w, "connected", true);
        json_writer_put_boolean(&w, "tls", false);
        json_writer_begin_array(&w, "none");
        json_writer_end_array(&w);
        json_writer_begin_object(&w, "nothing");
        json_writer_end_object(&w);
        json_writer_begin_array(&w, "some");
        json_writer_put_string(&w, NULL, "a");
        json_writer_begin_object(&w, NULL);
        json_writer_put_unsigned(&w, "b", 0);
        json_writer_end_object(&w);
        json_writer_begin_object(&w, NULL);
        json_writer_end_object(&w);
        json_writer_begin_array(&w, NULL);
        json_writer_put_boolean(&w, NULL, true);
        json_writer_end_array(&w);
        json_writer_put_unsigned(&w, NULL, 7);
        json_writer_end_array(&w);
        json_writer_put_string(&w, "last", "");
        json_writer_end_object(&w);

        assert_int_equal(w.error, 0);
        assert_text_equal(text_of(&b),
                          "{\"name\":\"web01\",\"port\":50000,\"connected\":true,\"tls\":false,\"none\":[],"
                          "\"nothing\":{},\"some\":[\"a\",{\"b\":0},{},[true],7],\"last\":\"\"}");
}

static void test_a_string_is_read_back_as_it_was(_unused_ void **state) {
        static const char *const strings[] = {
                "", " ", "\"", "\\", "\\\"", "\\u0041", "a\"b\\c\nd", "/", "\x7f", "\"\"\"", "ends with \\",
                "M\xc3\xbcller \xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x80\xa8\xe2\x80\xa9", "\xef\xbb\xbf",
                "\xf4\x8f\xbf\xbf", "\x1f\x01\x1f",
        };

        for (size_t i = 0; i < ELEMENTSOF(strings); i++) {
                _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(4096);
                JsonWriter w = JSON_WRITER_INIT(&b);

                json_writer_begin_object(&w, NULL);
                json_writer_put_string(&w, strings[i], strings[i]);
                json_writer_end_object(&w);

                json_t *value = read_back(&b);
                assert_int_equal(json_object_size(value), 1);
                assert_string_equal(json_string_value(json_object_get(value, strings[i])), strings[i]);
                json_decref(value);
        }
}

static void test_each_character_is_escaped_only_if_it_has_to_be(_unused_ void **state) {
        for (int c = 1; c < 0x80; c++) {
                _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(64);
                JsonWriter w = JSON_WRITER_INIT(&b);
                const char string[] = {'a', (char) c, 'z', 0};
                size_t plain = strlen("\"a?z\"");

                json_writer_put_string(&w, NULL, string);
                assert_int_equal(b.size, c < 0x20 ? plain + 5 : c == '"' || c == '\\' ? plain + 1 : plain);

                json_t *value = read_back(&b);
                assert_string_equal(json_string_value(value), string);
                json_decref(value);
        }
}

static void test_numbers_to_their_last_digit(_unused_ void **state) {
        static const struct {
                uint64_t value;
                const char *text;
        } numbers[] = {
                {0, "0"},
                {9, "9"},
                {10, "10"},
                {1000000007, "1000000007"},
                {INT64_MAX, "9223372036854775807"},
                {UINT64_MAX, "18446744073709551615"},
        };

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(64);
                JsonWriter w = JSON_WRITER_INIT(&b);

                json_writer_put_unsigned(&w, NULL, numbers[i].value);
                assert_string_equal(text_of(&b), numbers[i].text);
        }
}

static void write_something(JsonWriter *w) {
        json_writer_begin_object(w, NULL);
        json_writer_put_string(w, "name", "\"web01\"");
        json_writer_put_unsigned(w, "port", 50000);
        json_writer_begin_array(w, "flags");
        json_writer_put_boolean(w, NULL, true);
        json_writer_end_array(w);
        json_writer_end_object(w);
}

/* However little room there is, what is there is a beginning of what it would have been. */
static void test_after_a_failure_nothing_more_is_written(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer whole = BUFFER_INIT(4096);
        JsonWriter w = JSON_WRITER_INIT(&whole);

        write_something(&w);
        assert_int_equal(w.error, 0);

        for (size_t max = 0; max < whole.size; max++) {
                _cleanup_(buffer_clear) Buffer part = BUFFER_INIT(max);
                JsonWriter v = JSON_WRITER_INIT(&part);

                write_something(&v);
                assert_int_equal(v.error, -ENOBUFS);
                assert_true(part.size <= max);
                if (part.size > 0)
                        assert_memory_equal(buffer_data(&part), buffer_data(&whole), part.size);
        }
}

static void test_one_that_has_failed_beforehand_writes_nothing(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer b = BUFFER_INIT(4096);
        JsonWriter w = JSON_WRITER_INIT(&b);

        w.error = -ESHUTDOWN;
        write_something(&w);
        assert_int_equal(w.error, -ESHUTDOWN);
        assert_int_equal(b.size, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values_of_each_kind_are_told_apart_by_commas),
                cmocka_unit_test(test_a_string_is_read_back_as_it_was),
                cmocka_unit_test(test_each_character_is_escaped_only_if_it_has_to_be),
                cmocka_unit_test(test_numbers_to_their_last_digit),
                cmocka_unit_test(test_after_a_failure_nothing_more_is_written),
                cmocka_unit_test(test_one_that_has_failed_beforehand_writes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
