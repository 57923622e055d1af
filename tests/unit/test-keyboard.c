/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a telnet client's user has pressed: one line a read, and what the VM gets of all of them. Options are those that
 * a client is offered, answered in this way or that.
 */

#include "harness.h"

#include "telnet/keyboard.h"

typedef enum Client {
        CHARACTERS,        /* agrees to everything but BINARY */
        BINARY_CHARACTERS, /* agrees to everything */
        LINES,             /* declines SGA and ECHO */
        BINARY_LINES,
        ECHOING_LINES,     /* declines ECHO alone */
        UNANSWERED,        /* has not answered yet */
        SERIAL_PORT,       /* BINARY, no ECHO, COM-PORT */
        _CLIENT_MAX,
} Client;

static void answer(TelnetSession *s, TelnetSide side, uint8_t option, bool yes) {
        uint8_t commands[][2] = {{TELNET_DONT, TELNET_DO}, {TELNET_WONT, TELNET_WILL}};

        telnet_option_enable(&s->options, side, option);
        telnet_option_receive(&s->options, commands[side == TELNET_HIM][yes], option, true);
}

static TelnetSession session_of(Client client) {
        const bool binary = client == BINARY_CHARACTERS || client == BINARY_LINES || client == SERIAL_PORT;
        TelnetSession s;

        memset(&s, 0xaa, sizeof s);
        telnet_session_init(&s, TELNET_CR_LF_IS_CR);
        if (client == UNANSWERED) {
                telnet_option_enable(&s.options, TELNET_US, TELNET_SGA);
                telnet_option_enable(&s.options, TELNET_US, TELNET_ECHO);
                return s;
        }

        answer(&s, TELNET_US, TELNET_SGA, client != LINES && client != BINARY_LINES);
        answer(&s, TELNET_US, TELNET_ECHO, client == CHARACTERS || client == BINARY_CHARACTERS);
        if (client == SERIAL_PORT)
                answer(&s, TELNET_HIM, TELNET_COM_PORT, true);
        s.in.transmission = binary ? TELNET_8BIT : TELNET_NVT;
        return s;
}

/* Appends what the VM gets of a read. It lies in memory of just its size. */
static void type(TelnetSession *s, TelnetKeyboard *k, const char *read, size_t n, char *ret, size_t *size) {
        _cleanup_free_ uint8_t *p = malloc(n);
        uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];

        assert_non_null(p);
        memcpy(p, read, n);
        if (telnet_keyboard_is_enter(k, s, p, n)) {
                ret[(*size)++] = '\r';
                return;
        }

        for (size_t used, i = 0; i < n; i += used) {
                TelnetEvent e;

                used = telnet_decode(&s->in, subnegotiation, p + i, n - i, &e);
                if (e.type != TELNET_EVENT_DATA)
                        continue;

                size_t left = telnet_keyboard_translate(k, s, (uint8_t *) e.data, e.size);
                assert_in_range(left, 0, e.size);
                memcpy(ret + *size, e.data, left);
                *size += left;
        }
}

typedef struct Read {
        const char *p;
        size_t n;
} Read;

#define READ(literal) {(literal), sizeof(literal) - 1}

static void assert_typed(int line, Client client, const Read *reads, size_t n_reads, const char *want,
                         size_t n_want) {
        TelnetSession s = session_of(client);
        TelnetKeyboard k = {};
        char got[256];
        size_t n = 0;

        for (size_t i = 0; i < n_reads; i++)
                type(&s, &k, reads[i].p, reads[i].n, got, &n);

        if (n != n_want || memcmp(got, want, n) != 0)
                fail_msg("line %d, client %d: %zu bytes are other than the %zu wanted", line, client, n, n_want);
}

#define ASSERT_TYPED(client, want, ...) \
        do { \
                static const Read reads[] = {__VA_ARGS__}; \
                assert_typed(__LINE__, client, reads, ELEMENTSOF(reads), want, sizeof(want) - 1); \
        } while (false)

static void test_commands_are_what_a_terminal_sends(_unused_ void **state) {
        static const uint8_t keys[256] = {[244] = 3, [247] = 0x7f, [248] = 0x15, [237] = 0x1a, [238] = 0x1c};

        for (unsigned command = 0; command < 256; command++)
                assert_int_equal(telnet_key((uint8_t) command), keys[command]);
}

static void test_lf_is_enter_in_line_mode(_unused_ void **state) {
        for (Client client = LINES; client <= ECHOING_LINES; client++) {
                ASSERT_TYPED(client, "show version\r\r\rexit\r", READ("show version\n\n"), READ("\n"), READ("exit\n"));
                ASSERT_TYPED(client, "a\rb\r\r", READ("a\r\nb\r\n\n"));
                ASSERT_TYPED(client, "a\r\rb", READ("a\r"), READ("\n"), READ("\nb"));
                ASSERT_TYPED(client, "a\r\r", READ("a\r"), READ("\r\n"));
                ASSERT_TYPED(client, "\r\rx", READ("\n\r\n"), READ("x"));
        }
}

static void test_a_nul_after_cr_is_data_in_line_mode_with_binary(_unused_ void **state) {
        ASSERT_TYPED(LINES, "a\rb", READ("a\r\0b"));
        ASSERT_TYPED(BINARY_LINES, "a\r\0\rb", READ("a\r\0\nb"));
}

static void test_lf_is_lf_where_each_character_is_sent(_unused_ void **state) {
        ASSERT_TYPED(CHARACTERS, "a\n\nb\rc", READ("a\n\nb\r\nc"));
        ASSERT_TYPED(BINARY_CHARACTERS, "a\n\nb\r\nc", READ("a\n\nb\r\nc"));
        ASSERT_TYPED(UNANSWERED, "a\n", READ("a\n"));
}

static void test_line_mode_may_come_and_go(_unused_ void **state) {
        TelnetSession s = session_of(BINARY_CHARACTERS);
        TelnetKeyboard k = {};
        char got[64];
        size_t n = 0;

        type(&s, &k, "a\n", 2, got, &n);
        telnet_option_receive(&s.options, TELNET_DONT, TELNET_ECHO, true);
        type(&s, &k, "b\n\r", 3, got, &n);
        telnet_option_receive(&s.options, TELNET_DO, TELNET_ECHO, true);
        type(&s, &k, "c\n\n", 3, got, &n);
        telnet_option_receive(&s.options, TELNET_DONT, TELNET_ECHO, true);
        type(&s, &k, "\n", 1, got, &n);
        assert_int_equal(n, 9);
        assert_memory_equal(got, "a\nb\r\rc\n\n\r", n);
}

static void test_a_pair_alone_in_a_read_is_windows_enter(_unused_ void **state) {
        ASSERT_TYPED(BINARY_CHARACTERS, "\rdir\r\r", READ("\r\n"), READ("d"), READ("i"), READ("r"), READ("\r\n"),
                     READ("\r\n"));
        ASSERT_TYPED(BINARY_CHARACTERS, "dir\r", READ("dir"), READ("\r\n"));
        ASSERT_TYPED(BINARY_CHARACTERS, "\033[A\r", READ("\033[A"), READ("\r\n"));
        ASSERT_TYPED(BINARY_CHARACTERS, "\r", READ("\xff\xf1"), READ("\r\n"));
}

static void test_a_pair_is_data_once_the_client_has_sent_what_windows_telnet_does_not(_unused_ void **state) {
        ASSERT_TYPED(BINARY_CHARACTERS, "\r\r\r\n", READ("\r\n"), READ("\r"), READ("\r\n"));
        ASSERT_TYPED(BINARY_CHARACTERS, "\r\n\r\n", READ("\r\n"), READ("\n"), READ("\r\n"));
        ASSERT_TYPED(BINARY_CHARACTERS, "\r\0\r\n", READ("\r\n"), READ("\0"), READ("\r\n"));
        ASSERT_TYPED(BINARY_CHARACTERS, "abc\r\n\r\n", READ("abc\r\n"), READ("\r\n"));
        ASSERT_TYPED(BINARY_CHARACTERS, "\r\n\r\n\r\n", READ("\r\n\r\n"), READ("\r\n"));
        ASSERT_TYPED(BINARY_CHARACTERS, "\r\n\r\n", READ("\r"), READ("\n"), READ("\r\n"));
        ASSERT_TYPED(BINARY_CHARACTERS, "\n\r\r\n", READ("\n\r"), READ("\r\n"));
}

static void test_an_upload_in_writes_of_two_bytes_is_data(_unused_ void **state) {
        ASSERT_TYPED(BINARY_CHARACTERS, "ab\r\ncd\r\n", READ("ab"), READ("\r\n"), READ("cd"), READ("\r\n"));
        ASSERT_TYPED(BINARY_CHARACTERS, "a\r\n\r\n", READ("a\r"), READ("\n\r"), READ("\n"));
}

/* The CR belongs to a command here. */
static void test_a_pair_within_something_else_is_no_enter(_unused_ void **state) {
        ASSERT_TYPED(BINARY_CHARACTERS, "\n", READ("\xff\xfb"), READ("\r\n"));
        ASSERT_TYPED(BINARY_CHARACTERS, "", READ("\xff\xfa\x18"), READ("\r\n"), READ("\xff\xf0"));
}

static void test_nothing_is_translated_for_a_client_with_a_serial_port(_unused_ void **state) {
        ASSERT_TYPED(SERIAL_PORT, "\r\na\n\r\n", READ("\r\n"), READ("a\n"), READ("\r\n"));
}

static void test_nothing_is_translated_for_an_exact_client(_unused_ void **state) {
        for (Client client = BINARY_CHARACTERS; client <= BINARY_LINES; client += BINARY_LINES - BINARY_CHARACTERS) {
                TelnetSession s = session_of(client);
                TelnetKeyboard k = {.exact = true};
                char got[64];
                size_t n = 0;

                type(&s, &k, "\r\n", 2, got, &n);
                type(&s, &k, "a\n", 2, got, &n);
                assert_int_equal(n, 4);
                assert_memory_equal(got, "\r\na\n", n);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_commands_are_what_a_terminal_sends),
                cmocka_unit_test(test_lf_is_enter_in_line_mode),
                cmocka_unit_test(test_a_nul_after_cr_is_data_in_line_mode_with_binary),
                cmocka_unit_test(test_lf_is_lf_where_each_character_is_sent),
                cmocka_unit_test(test_line_mode_may_come_and_go),
                cmocka_unit_test(test_a_pair_alone_in_a_read_is_windows_enter),
                cmocka_unit_test(test_a_pair_is_data_once_the_client_has_sent_what_windows_telnet_does_not),
                cmocka_unit_test(test_an_upload_in_writes_of_two_bytes_is_data),
                cmocka_unit_test(test_a_pair_within_something_else_is_no_enter),
                cmocka_unit_test(test_nothing_is_translated_for_a_client_with_a_serial_port),
                cmocka_unit_test(test_nothing_is_translated_for_an_exact_client),
        };

        return cmocka_run_group_tests_name("keyboard", tests, NULL, NULL);
}
