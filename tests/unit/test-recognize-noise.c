/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Telnet or raw, on bytes that were never meant to be telnet: what random binary data has to contain to be taken
 * for it is so rare that nobody will see it. Beside test-recognize.c, where the rules are. */

#include "harness.h"

#include "prng.h"
#include "telnet/recognize.h"
#include "wire.h"

/* All offers to a client are open: when a mistake is easiest. */
static TelnetOptions offered(void) {
        TelnetOptions o = {};

        telnet_option_enable(&o, TELNET_US, TELNET_BINARY);
        telnet_option_enable(&o, TELNET_US, TELNET_SGA);
        telnet_option_enable(&o, TELNET_US, TELNET_ECHO);
        telnet_option_enable(&o, TELNET_HIM, TELNET_BINARY);
        telnet_option_enable(&o, TELNET_HIM, TELNET_SGA);
        return o;
}

static unsigned recognized_of_ten_million(TelnetReadFlags flags) {
        const TelnetOptions o = offered();
        Prng random = prng_init();
        unsigned n_recognized = 0;

        for (unsigned i = 0; i < 10000000; i++) {
                uint64_t data[2] = {prng_next(&random), prng_next(&random)};

                n_recognized += telnet_recognize(&o, flags, (const uint8_t *) data, sizeof data) ==
                                TELNET_RECOGNIZED;
        }

        return n_recognized;
}

/* Three bytes have to be right, 10 of 2^24, in one of 14 places. Of ten million reads 83 are to be expected. */
static void test_random_binary_is_nearly_never_recognized(_unused_ void **state) {
        assert_in_range(recognized_of_ten_million(0), 0, 140);
}

/* A gigabyte is read in some ten thousand pieces, and there are many of them. Six bytes, 100 of 2^48. */
static void test_what_goes_on_as_binary_is_never_recognized(_unused_ void **state) {
        assert_int_equal(recognized_of_ten_million(TELNET_READ_LATE), 0);
}

/* Whatever is in it, what begins as data and is longer than what anybody types ahead. */
static void test_data_is_never_recognized_whatever_follows_it(_unused_ void **state) {
        static const uint8_t favourites[] = {0xff, 0xff, 0xff, 0xf0, 0xfa, 0xfb, 0xfd, 0x00, 0x01, 0x03};
        const TelnetOptions o = offered();
        Prng random = prng_init();

        for (unsigned i = 0; i < 100000; i++) {
                uint8_t data[TELNET_TYPED_AHEAD_MAX + 24];

                prng_fill(&random, data, sizeof data, favourites, sizeof favourites);
                if (data[0] == 0xff) /* one that is a text's, or a picture's */
                        data[0] = 0x89;
                assert_int_equal(telnet_recognize(&o, 0, data, TELNET_TYPED_AHEAD_MAX + 1 + prng_below(&random, 24)),
                                 TELNET_NOT_RECOGNIZED);
        }
}

/* Erased flash, and what gdb and file transfers begin with */
static void test_what_raw_clients_send_is_not_telnet(_unused_ void **state) {
        static const struct {
                const uint8_t *p;
                size_t n;
        } reads[] = {
                {BYTES("\xff\xff\xff\xff\xff\xff\xff\xff")},
                {BYTES("\xff\xd8\xff\xe0\x00\x10JFIF")},      /* JPEG */
                {BYTES("\xff\xfe" "a\x00" "b\x00")},          /* UTF-16 with a byte order mark */
                {BYTES("\xff\xfb\x90\x64\x00\x00")},          /* MPEG audio, layer 3 */
                {BYTES("\x7f" "ELF\x02\x01\x01")},
                {BYTES("\x1f\x8b\x08\x00")},
                {BYTES("+$qSupported:multiprocess+#c6")},
                {BYTES("\x01\x00\xff" "packet")},             /* XMODEM */
                {BYTES("\x15")},
                {BYTES("\r\n")},
        };
        const TelnetOptions o = offered();

        for (size_t i = 0; i < ELEMENTSOF(reads); i++)
                assert_int_equal(telnet_recognize(&o, 0, reads[i].p, reads[i].n), TELNET_NOT_RECOGNIZED);
}

/* Whatever an answer is followed by; and every answer, yes or no, to each offer. */
static void test_every_answer_to_every_offer_is_recognized(_unused_ void **state) {
        static const uint8_t answers[][2] = {
                {TELNET_DO, TELNET_BINARY},   {TELNET_DO, TELNET_SGA},     {TELNET_DO, TELNET_ECHO},
                {TELNET_DONT, TELNET_BINARY}, {TELNET_DONT, TELNET_SGA},   {TELNET_DONT, TELNET_ECHO},
                {TELNET_WILL, TELNET_BINARY}, {TELNET_WILL, TELNET_SGA},   {TELNET_WONT, TELNET_BINARY},
                {TELNET_WONT, TELNET_SGA},
        };
        const TelnetOptions o = offered();
        unsigned n_recognized = 0;

        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                const uint8_t data[] = {TELNET_IAC, answers[i][0], answers[i][1], 'l', 's'};

                assert_int_equal(telnet_recognize(&o, 0, data, sizeof data), TELNET_RECOGNIZED);
        }

        /* And nothing else is one. */
        for (unsigned command = 0; command < 256; command++)
                for (unsigned option = 0; option < 256; option++) {
                        const uint8_t data[] = {TELNET_IAC, (uint8_t) command, (uint8_t) option, 'l', 's'};

                        n_recognized += telnet_recognize(&o, 0, data, sizeof data) == TELNET_RECOGNIZED;
                }
        assert_int_equal(n_recognized, ELEMENTSOF(answers));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_random_binary_is_nearly_never_recognized),
                cmocka_unit_test(test_what_goes_on_as_binary_is_never_recognized),
                cmocka_unit_test(test_data_is_never_recognized_whatever_follows_it),
                cmocka_unit_test(test_what_raw_clients_send_is_not_telnet),
                cmocka_unit_test(test_every_answer_to_every_offer_is_recognized),
        };

        return cmocka_run_group_tests_name("recognize-noise", tests, NULL, NULL);
}
