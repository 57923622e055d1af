/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What ESXi and a concentrator say in option 37, byte for byte, and what is none of it. */

#include "harness.h"

#include "telnet/authentication.h"

static const struct {
        AuthenticationMessage message;
        const uint8_t *wire;
        size_t size;
} table[] = {
        {AUTHENTICATION_SEND, BYTES("\xff\xfa\x25\x01\x07\x00\xff\xf0")},
        {AUTHENTICATION_START, BYTES("\xff\xfa\x25\x00\x07\x00\x01\xff\xf0")},
        {AUTHENTICATION_DECLINED, BYTES("\xff\xfa\x25\x00\x00\x00\xff\xf0")},
        {AUTHENTICATION_ACCEPTED, BYTES("\xff\xfa\x25\x02\x07\x00\x02\xff\xf0")},
};

static AuthenticationMessage parse(const void *data, size_t n) {
        return authentication_parse(&(TelnetEvent){
                .type = TELNET_EVENT_SUBNEGOTIATION,
                .option = TELNET_AUTHENTICATION,
                .data = data,
                .size = n,
        });
}

static void test_each_message_is_these_bytes(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Buffer out = BUFFER_INIT(64);

                assert_int_equal(authentication_put(&out, table[i].message), 0);
                assert_int_equal(out.size, table[i].size);
                assert_memory_equal(buffer_data(&out), table[i].wire, out.size);
                buffer_clear(&out);
        }
}

static void test_each_message_is_understood_as_the_decoder_gives_it(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];
                TelnetDecoder decoder;
                TelnetEvent event;

                telnet_decoder_init(&decoder, TELNET_CR_LF_KEPT);
                assert_int_equal(telnet_decode(&decoder, subnegotiation, table[i].wire, table[i].size, &event), table[i].size);
                assert_int_equal(event.type, TELNET_EVENT_SUBNEGOTIATION);
                assert_int_equal(event.option, TELNET_AUTHENTICATION);
                assert_int_equal(authentication_parse(&event), table[i].message);
        }
}

static void test_nothing_else_is_understood(_unused_ void **state) {
        assert_int_equal(parse("", 0), AUTHENTICATION_OTHER);

        /* Every message of up to four bytes from 0 to 9 is one of the four or none. */
        unsigned n_known = 0;
        for (size_t size = 1; size <= 4; size++)
                for (unsigned n = 0; n < 10000; n++) {
                        const uint8_t data[] = {(uint8_t) (n % 10), (uint8_t) (n / 10 % 10), (uint8_t) (n / 100 % 10),
                                                (uint8_t) (n / 1000)};
                        bool repeated = false;

                        for (size_t i = size; i < sizeof data; i++)
                                repeated = repeated || data[i] > 0;
                        n_known += !repeated && parse(data, size) != AUTHENTICATION_OTHER;
                }
        assert_int_equal(n_known, ELEMENTSOF(table));

        /* Modifiers, a longer START, other types of authentication */
        assert_int_equal(parse(BYTES("\x00\x07\x02\x01")), AUTHENTICATION_OTHER);
        assert_int_equal(parse(BYTES("\x00\x07\x00\x01\x00")), AUTHENTICATION_OTHER);
        assert_int_equal(parse(BYTES("\x00\x07\x00")), AUTHENTICATION_OTHER);
        assert_int_equal(parse(BYTES("\x00\x06\x00\x01")), AUTHENTICATION_OTHER);
        assert_int_equal(parse(BYTES("\x01\x07\x00\x06\x00")), AUTHENTICATION_OTHER);
        assert_int_equal(parse(BYTES("\xff\xff\xff\xff")), AUTHENTICATION_OTHER);
}

static void test_without_room_nothing_is_put(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Buffer out = BUFFER_INIT(table[i].size - 1);

                assert_int_equal(authentication_put(&out, table[i].message), -ENOBUFS);
                assert_int_equal(out.size, 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_message_is_these_bytes),
                cmocka_unit_test(test_each_message_is_understood_as_the_decoder_gives_it),
                cmocka_unit_test(test_nothing_else_is_understood),
                cmocka_unit_test(test_without_room_nothing_is_put),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
