/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Recognizes and translates what a client sends: telnet or raw, breaks or data, keys or bytes. The first byte of an input
 * has flags of what is known of the client, the second seeds how reads are cut, the rest is what the client sends.
 */

#include "fuzz.h"
#include "prng.h"
#include "telnet/keyboard.h"
#include "telnet/recognize.h"

enum {
        MODE_LATE = 1 << 0,
        MODE_CUT = 1 << 1,
        MODE_AFTER_SILENCE = 1 << 2,
        MODE_BINARY = 1 << 3,
        MODE_NO_SGA = 1 << 4,
        MODE_NO_ECHO = 1 << 5,
        MODE_COM_PORT = 1 << 6,
        MODE_EXACT = 1 << 7,
};

/* A copy of exactly this size, so that AddressSanitizer finds reads behind its end */
static uint8_t *copy_of(const uint8_t *data, size_t n) {
        uint8_t *copy = malloc(MAX(n, (size_t) 1));

        assert(copy);
        return memcpy(copy, data, n);
}

static void test_recognition(uint8_t mode, const uint8_t *data, size_t n) {
        const TelnetReadFlags flags = mode & (MODE_LATE | MODE_CUT | MODE_AFTER_SILENCE);
        _cleanup_free_ uint8_t *read = copy_of(data, n);
        TelnetOptions offered = {};

        telnet_option_enable(&offered, TELNET_US, TELNET_BINARY);
        telnet_option_enable(&offered, TELNET_US, TELNET_SGA);
        telnet_option_enable(&offered, TELNET_US, TELNET_ECHO);
        telnet_option_enable(&offered, TELNET_HIM, TELNET_BINARY);
        telnet_option_enable(&offered, TELNET_HIM, TELNET_SGA);

        size_t breaks = telnet_breaks_length(read, n);
        assert(breaks <= n && breaks % 2 == 0);

        switch (telnet_recognize(&offered, flags, read, n)) {

        case TELNET_BREAK: /* never in the middle of data */
                assert(breaks > 0);
                assert(!(flags & TELNET_READ_LATE) || (flags & TELNET_READ_AFTER_SILENCE));
                assert(breaks == n || strchr("g+$", read[breaks]));
                break;

        case TELNET_MAYBE:
                assert(read[0] == TELNET_IAC);
                break;

        case TELNET_RECOGNIZED: /* after data, breaks alone are not enough */
                assert(memchr(read, TELNET_IAC, n));
                assert(!(flags & TELNET_READ_LATE) || breaks < n);
                break;

        default:
                break;
        }
}

/* Returns: how many bytes the VM gets. */
static size_t type(TelnetSession *s, uint8_t *subnegotiation, TelnetKeyboard *k, const uint8_t *data, size_t n,
                   uint8_t *ret) {
        _cleanup_free_ uint8_t *read = copy_of(data, n);
        size_t size = 0;

        if (telnet_keyboard_is_enter(k, s, read, n)) {
                assert(n == 2 && read[0] == '\r' && read[1] == '\n');
                ret[0] = '\r';
                return 1;
        }

        for (size_t used, i = 0; i < n; i += used) {
                TelnetEvent e;

                used = telnet_decode(&s->in, subnegotiation, read + i, n - i, &e);
                if (e.type != TELNET_EVENT_DATA)
                        continue;

                size_t left = telnet_keyboard_translate(k, s, (uint8_t *) e.data, e.size);
                assert(left <= e.size);
                memcpy(ret + size, e.data, left);
                size += left;
        }

        return size;
}

static TelnetSession session_of(uint8_t mode) {
        TelnetSession s;

        telnet_session_init(&s, TELNET_CR_LF_IS_CR);
        telnet_option_enable(&s.options, TELNET_US, TELNET_SGA);
        telnet_option_enable(&s.options, TELNET_US, TELNET_ECHO);
        telnet_option_receive(&s.options, mode & MODE_NO_SGA ? TELNET_DONT : TELNET_DO, TELNET_SGA, true);
        telnet_option_receive(&s.options, mode & MODE_NO_ECHO ? TELNET_DONT : TELNET_DO, TELNET_ECHO, true);
        if (mode & MODE_COM_PORT)
                telnet_option_receive(&s.options, TELNET_WILL, TELNET_COM_PORT, true);
        s.in.transmission = mode & MODE_BINARY ? TELNET_8BIT : TELNET_NVT;
        return s;
}

/* The VM gets the same bytes however they are cut into reads, except for Windows' Enter, which is a read of its own. */
static void test_keys(uint8_t mode, uint64_t seed, const uint8_t *data, size_t n) {
        const bool exact = mode & (MODE_EXACT | MODE_COM_PORT), lines = !exact && (mode & (MODE_NO_SGA | MODE_NO_ECHO));
        _cleanup_free_ uint8_t *whole = malloc(n), *cut = malloc(n);
        TelnetKeyboard k = {.exact = mode & MODE_EXACT}, cut_keyboard = k;
        TelnetSession s = session_of(mode), cut_session = s;
        uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];
        Prng random = {seed};
        size_t cut_size = 0;

        assert(whole && cut);
        size_t size = type(&s, subnegotiation, &k, data, n, whole);
        for (size_t end, i = 0; i < n; i = end) {
                end = i + MIN(1 + prng_below(&random, 8), n - i);
                cut_size += type(&cut_session, subnegotiation, &cut_keyboard, data + i, end - i, cut + cut_size);
        }

        if (exact || lines || !(mode & MODE_BINARY)) {
                assert(cut_size == size);
                assert(memcmp(cut, whole, size) == 0);
        }
        if (lines)
                assert(!memchr(whole, '\n', size));

        /* Without translation the VM gets the codec's data. */
        if (exact) {
                TelnetSession plain = session_of(mode);
                _cleanup_free_ uint8_t *read = copy_of(data, n);
                size_t plain_size = 0;

                for (size_t used, i = 0; i < n; i += used) {
                        TelnetEvent e;

                        used = telnet_decode(&plain.in, subnegotiation, read + i, n - i, &e);
                        if (e.type != TELNET_EVENT_DATA)
                                continue;
                        assert(plain_size + e.size <= size);
                        assert(memcmp(whole + plain_size, e.data, e.size) == 0);
                        plain_size += e.size;
                }
                assert(plain_size == size);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size <= 2 || size > 8192)
                return 0;

        test_recognition(data[0], data + 2, size - 2);
        test_keys(data[0], data[1], data + 2, size - 2);

        return 0;
}
