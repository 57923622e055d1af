/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the owner of a TelnetConnection is told, in which order, and what it is not told any more; when the connection is read
 * and when it is not. What has come is compared as a text: "data", [command], {option:subnegotiation}, <verdict>.
 */

#include <stdio.h>
#include <sys/socket.h>

#include "harness.h"

#include "certificate.h"

#include "basic/time.h"
#include "connection/telnet-detection.h"

#define TOO_LONG_USEC (30 * USEC_PER_SEC)
#define ANSWERS_MAX 30U /* ten answers */
#define OWN_VERDICT (_TELNET_E_MAX + 3)

typedef struct Owner {
        TelnetConnection telnet;
        TelnetDetection detection;
        char got[1024];
        unsigned n_writable, n_hung_up, n_detected, n_received;
        size_t space;
        int returns;   /* what the next handler that is told something returns */
        bool consumes; /* takes whole reads */
        usec_t takes;  /* so long for data */
        TlsContext *tls; /* begun with the first command, or a first byte like TLS's */
} Owner;

static sd_event *event;
static Poller *poller;
static TimeoutQueue timeouts[3];
static Owner owner;
static int peer;
static TicketKey *ticket_key;

static void append(const char *format, ...) _printf_(1, 2);
static void append(const char *format, ...) {
        size_t size = strlen(owner.got);
        va_list ap;

        va_start(ap, format);
        vsnprintf(owner.got + size, sizeof owner.got - size, format, ap);
        va_end(ap);
}

static size_t on_space(_unused_ TelnetConnection *t) {
        return owner.space;
}

static int start_tls(TelnetConnection *t) {
        return owner.tls ? telnet_connection_start_tls(t, owner.tls, NULL) : 0;
}

static int on_begins(TelnetConnection *t, bool like_tls) {
        append("%s", like_tls ? "TLS " : "plain ");
        return like_tls ? start_tls(t) : TAKE(owner.returns, 0);
}

static int on_data(_unused_ TelnetConnection *t, uint8_t *data, size_t n) {
        usec_t end = now_monotonic() + owner.takes;

        if (n < 100)
                append("\"%.*s\"", (int) n, (const char *) data);
        else
                append("%zu bytes", n);
        while (now_monotonic() < end)
                ;
        return TAKE(owner.returns, 0);
}

static int on_command(TelnetConnection *t, uint8_t command) {
        append("[%u]", command);
        return owner.tls ? start_tls(t) : TAKE(owner.returns, 0);
}

static int on_subnegotiation(_unused_ TelnetConnection *t, const TelnetEvent *e) {
        append("{%u:%.*s}", e->option, (int) e->size, (const char *) e->data);
        return TAKE(owner.returns, 0);
}

static void on_received(_unused_ TelnetConnection *t, _unused_ size_t n) {
        owner.n_received++;
}

static void on_closed(TelnetConnection *t, int verdict) {
        append("<%d>", verdict);
        telnet_connection_close(t);
}

static void on_writable(TelnetConnection *t) {
        owner.n_writable++;
        (void) telnet_connection_flush(t);
}

static void on_hung_up(_unused_ TelnetConnection *t) {
        owner.n_hung_up++;
}

static void on_detected(_unused_ TelnetConnection *t) {
        owner.n_detected++;
}

static bool on_whole(_unused_ TelnetConnection *t, const uint8_t *data, size_t n) {
        if (owner.consumes)
                append("whole:%.*s", (int) n, (const char *) data);
        return owner.consumes;
}

static const TelnetHandler handler = {
        .line_end = TELNET_CR_LF_KEPT,
        .out_max = 65536,
        .answers_max = ANSWERS_MAX,
        .space = on_space,
        .begins = on_begins,
        .data = on_data,
        .command = on_command,
        .subnegotiation = on_subnegotiation,
        .received = on_received,
        .closed = on_closed,
        .writable = on_writable,
        .hung_up = on_hung_up,
        .detected = on_detected,
        .takes_whole = on_whole,
};

static const TelnetPolicy policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_OPTION_END},
        .n_us_offered = 2,
        .him = (const int16_t[]){TELNET_SGA, TELNET_OPTION_END},
        .n_him_offered = 1,
};

/* As `policy` offers it */
#define OFFERS "\xff\xfb\x00\xff\xfb\x03\xff\xfd\x03"
#define DO_BINARY "\xff\xfd\x00"
#define BREAK "\xff\xf3"

static int setup(_unused_ void **state) {
        static const TimeoutHandler elapsed[] = {telnet_connection_detection_elapsed, telnet_detection_binary_elapsed,
                                                 telnet_detection_silence_elapsed};
        int fds[2];

        owner = (Owner){.space = 65536};
        assert_int_equal(sd_event_new(&event), 0);
        assert_int_equal(poller_new(event, &poller), 0);
        for (size_t i = 0; i < ELEMENTSOF(timeouts); i++)
                assert_int_equal(timeout_queue_init(&timeouts[i], event, USEC_INFINITY, elapsed[i]), 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        peer = fds[1];
        return telnet_connection_open(&owner.telnet, poller, WIRE_PLAIN(fds[0]), &handler);
}

static int teardown(_unused_ void **state) {
        telnet_connection_close(&owner.telnet);
        owner.tls = tls_context_unref(owner.tls);
        ticket_key = ticket_key_free(ticket_key);
        for (size_t i = 0; i < ELEMENTSOF(timeouts); i++)
                timeout_queue_done(&timeouts[i]);
        peer = safe_close(peer);
        poller_free(poller);
        sd_event_unref(event);
        return 0;
}

/* A loop that has nothing left to do has done all there is. */
static void run(void) {
        while (sd_event_run(event, 0) > 0)
                ;
}

static void run_until_elapsed(TelnetTimeout timeout) {
        usec_t deadline = now_monotonic() + TOO_LONG_USEC;

        timeout_queue_set_duration(&timeouts[timeout], 1);
        while (timeouts[timeout].n_started > 0) {
                assert_true(sd_event_run(event, 1000) >= 0);
                if (now_monotonic() > deadline)
                        fail_msg("a timeout has not elapsed");
        }
        timeout_queue_set_duration(&timeouts[timeout], USEC_INFINITY);
}

/* The connection may have been closed. */
static void say(const char *data, size_t n) {
        ssize_t k = send(peer, data, n, MSG_NOSIGNAL);

        assert_true(k == (ssize_t) n || (k < 0 && errno == EPIPE));
        run();
}

#define SAY(literal) say(literal, sizeof(literal) - 1)

static void assert_got(const char *want) {
        assert_text_equal(owner.got, want);
        owner.got[0] = 0;
}

/* What the peer reads now */
static void assert_sent(const char *want, size_t n) {
        char sent[256];

        run();
        assert_true(telnet_connection_flush(&owner.telnet) >= 0);
        ssize_t k = read(peer, sent, sizeof sent);
        assert_int_equal(MAX(k, 0), n);
        assert_memory_equal(sent, want, n);
}

#define ASSERT_SENT(literal) assert_sent(literal, sizeof(literal) - 1)

static void begin_telnet(void) {
        telnet_connection_begin(&owner.telnet, &policy);
}

static void begin_undecided(void) {
        begin_telnet();
        telnet_detection_init(&owner.telnet, &owner.detection, timeouts);
        telnet_detection_begin(&owner.telnet);
        assert_int_equal(telnet_connection_offer(&owner.telnet), 0);
        ASSERT_SENT(OFFERS);
}

static void test_all_is_data_until_telnet_begins(_unused_ void **state) {
        SAY("a\xff\xf3z");
        assert_got("plain \"a\xff\xf3z\"");

        begin_telnet();
        SAY("b\xff\xff" "c\xff\xf3" "d\xff\xfa\x2chello\xff\xf0" "e");
        assert_got("\"b\"\"\xff\"\"c\"[243]\"d\"{44:hello}\"e\"");
}

static void test_negotiations_are_answered_as_the_policy_has_it(_unused_ void **state) {
        begin_telnet();
        SAY("\xff\xfb\x03\xff\xfb\x18");
        ASSERT_SENT("\xff\xfd\x03\xff\xfe\x18");
        assert_got("plain ");
}

static void test_a_handler_that_returns_a_verdict_is_the_last_to_be_called(_unused_ void **state) {
        begin_telnet();
        owner.returns = OWN_VERDICT;
        SAY("plain");
        char want[32];
        snprintf(want, sizeof want, "plain <%d>", OWN_VERDICT);
        assert_got(want);

        teardown(NULL);
        setup(NULL);
        begin_telnet();
        SAY("x");
        owner.got[0] = 0;
        owner.returns = OWN_VERDICT;
        SAY("a\xff\xf3z");
        snprintf(want, sizeof want, "\"a\"<%d>", OWN_VERDICT);
        assert_got(want);
        assert_int_equal(owner.n_received, 1);
}

static void test_an_errno_of_a_handler_becomes_a_verdict(_unused_ void **state) {
        begin_telnet();
        SAY("x");
        owner.got[0] = 0;
        owner.returns = -ENOMEM;
        SAY("a");
        char want[32];
        snprintf(want, sizeof want, "\"a\"<%d>", TELNET_E_FAILED);
        assert_got(want);
        assert_int_equal(owner.telnet.error, -ENOMEM);
        assert_int_equal(telnet_connection_verdict(&owner.telnet, -ENOBUFS), TELNET_E_DEAF);
        assert_int_equal(telnet_connection_verdict(&owner.telnet, OWN_VERDICT), OWN_VERDICT);
        assert_int_equal(telnet_connection_verdict(&owner.telnet, 0), 0);
}

static void test_a_subnegotiation_has_a_bound(_unused_ void **state) {
        static char data[TELNET_SUBNEGOTIATION_MAX + 1];

        begin_telnet();
        memset(data, 'x', sizeof data);
        SAY("\xff\xfa\x2c");
        say(data, sizeof data);
        SAY("\xff\xf0" "after");
        char want[32];
        snprintf(want, sizeof want, "plain <%d>", TELNET_E_OVERLONG);
        assert_got(want);
}

static void test_a_peer_that_does_not_read_is_answered_so_much_only(_unused_ void **state) {
        begin_telnet();
        for (unsigned i = 0; i < 10; i++)
                SAY("\xff\xfb\x18\xff\xfc\x18");
        assert_got("plain ");

        /* Whoever reads is answered on. */
        assert_true(telnet_connection_flush(&owner.telnet) > 0);
        for (unsigned i = 0; i < 10; i++)
                SAY("\xff\xfb\x18\xff\xfc\x18");
        assert_got("");

        SAY("\xff\xfb\x18\xff\xfb\x18");
        char want[32];
        snprintf(want, sizeof want, "<%d>", TELNET_E_DEAF);
        assert_got(want);
}

static void test_a_mute_connection_answers_nothing(_unused_ void **state) {
        begin_telnet();
        owner.telnet.record.mute = true;
        SAY("\xff\xfb\x18");
        ASSERT_SENT("");
}

static void test_no_more_is_read_than_there_is_space_for(_unused_ void **state) {
        begin_telnet();
        owner.space = 3;
        SAY("abcde");
        assert_got("plain \"abc\"\"de\"");
}

static void test_what_takes_long_is_read_in_shorter_turns(_unused_ void **state) {
        static char data[8 * TELNET_TURN_MIN];

        owner.takes = 2 * TELNET_TURN_USEC;
        memset(data, 'x', sizeof data);
        say(data, 2 * TELNET_TURN_MIN);
        say(data, 2 * TELNET_TURN_MIN);
        say(data, 10);
        assert_got("plain 4096 bytes2048 bytes2048 bytes\"xxxxxxxxxx\"");
}

static void test_while_nothing_is_wanted_nothing_is_read(_unused_ void **state) {
        begin_telnet();
        telnet_connection_want(&owner.telnet, TELNET_WANTS_NOTHING);
        SAY("later");
        assert_got("");
        telnet_connection_want(&owner.telnet, TELNET_WANTS_DATA);
        run();
        assert_got("plain \"later\"");
}

static void test_that_the_peer_has_ended_is_told_even_while_nothing_is_wanted(_unused_ void **state) {
        char want[32];

        begin_telnet();
        telnet_connection_want(&owner.telnet, TELNET_WANTS_NOTHING);
        shutdown(peer, SHUT_WR);
        run();
        snprintf(want, sizeof want, "<%d>", TELNET_E_ENDED);
        assert_got(want);
        assert_int_equal(owner.n_hung_up, 0);
}

static void test_an_end_behind_something_unread_waits_for_it(_unused_ void **state) {
        char want[32];

        begin_telnet();
        telnet_connection_want(&owner.telnet, TELNET_WANTS_NOTHING);
        SAY("words");
        shutdown(peer, SHUT_WR);
        run();
        assert_int_equal(owner.n_hung_up, 1);
        assert_got("");
        telnet_connection_want(&owner.telnet, TELNET_WANTS_DATA);
        run();
        snprintf(want, sizeof want, "plain \"words\"<%d>", TELNET_E_ENDED);
        assert_got(want);
}

static void test_a_connection_that_is_stopped_tells_nothing(_unused_ void **state) {
        begin_telnet();
        telnet_connection_stop(&owner.telnet);
        SAY("anybody there?");
        telnet_connection_want(&owner.telnet, TELNET_WANTS_DATA);
        run();
        assert_got("");
}

/* The first byte is looked at and left where it is. */
static void test_the_first_byte_is_seen_before_anything_is_read(_unused_ void **state) {
        begin_telnet();
        owner.telnet.record.peeks = true;
        owner.returns = OWN_VERDICT;
        SAY("x");
        char want[32];
        snprintf(want, sizeof want, "plain <%d>", OWN_VERDICT);
        assert_got(want);

        teardown(NULL);
        setup(NULL);
        begin_telnet();
        owner.telnet.record.peeks = true;
        SAY("xyz");
        assert_got("plain \"xyz\"");
}

static TlsContext *make_context(void) {
        char path[] = "/tmp/vspc-test-telnet-XXXXXX", *problem = NULL;
        TlsParameters parameters = {.role = TLS_SERVER, .certificate_file = path};
        TlsContext *context;

        Certificate certificate = certificate_make(&(CertificateOptions){.name = "vspc"});
        certificate_save(&certificate, 1, path);
        certificate_done(&certificate);
        assert_int_equal(ticket_key_new(NULL, &ticket_key), 0);
        parameters.ticket_key = ticket_key;
        assert_int_equal(tls_context_new(&parameters, &context, &problem), 0);
        unlink(path);
        return context;
}

static void test_the_first_byte_tells_tls_from_telnet(_unused_ void **state) {
        char want[32];

        owner.tls = make_context();
        owner.telnet.record.peeks = true;
        begin_telnet();
        SAY("\x16nonsense");
        assert_null(owner.telnet.handshake);
        snprintf(want, sizeof want, "TLS <%d>", TELNET_E_TLS);
        assert_got(want);
}

static void test_nothing_in_plain_text_may_follow_the_beginning_of_tls(_unused_ void **state) {
        char want[32];

        begin_telnet();
        SAY("x");
        owner.got[0] = 0;
        owner.tls = make_context();
        SAY("\xff\xf1x");
        snprintf(want, sizeof want, "[241]<%d>", TELNET_E_TLS_MIXED);
        assert_got(want);
}

static void test_a_peer_that_answers_speaks_telnet(_unused_ void **state) {
        begin_undecided();
        SAY(DO_BINARY "hello" BREAK);
        assert_int_equal(owner.telnet.record.mode, TELNET_MODE_TELNET);
        assert_int_equal(owner.n_detected, 1);
        assert_got("plain \"hello\"[243]");
        assert_false(telnet_detection_is_under_way(&owner.telnet));
}

static void test_what_a_telnet_peer_reads_is_known_once_it_answers_or_after_a_while(_unused_ void **state) {
        begin_undecided();
        SAY("\xff\xfd\x03");
        assert_int_equal(owner.telnet.record.mode, TELNET_MODE_TELNET);
        assert_true(telnet_detection_is_under_way(&owner.telnet));
        run_until_elapsed(TELNET_TIMEOUT_BINARY);
        assert_false(telnet_detection_is_under_way(&owner.telnet));
}

static void test_a_peer_that_says_nothing_is_raw_after_a_while(_unused_ void **state) {
        begin_undecided();
        run_until_elapsed(TELNET_TIMEOUT_DETECTION);
        assert_int_equal(owner.telnet.record.mode, TELNET_MODE_RAW);
        SAY("\xff");
        SAY("\xff");
        assert_got("plain \"\xff\xff\"");
}

static void test_a_raw_peer_may_send_a_break_after_silence(_unused_ void **state) {
        begin_undecided();
        run_until_elapsed(TELNET_TIMEOUT_DETECTION);
        SAY("data");
        SAY(BREAK);
        assert_got("plain \"data\"\"" BREAK "\"");
        run_until_elapsed(TELNET_TIMEOUT_SILENCE);
        SAY(BREAK "g");
        assert_got("[243]\"g\"");
}

/* The second byte of a break may come late, but not after silence. */
static void test_half_a_break_waits_until_there_is_silence(_unused_ void **state) {
        begin_undecided();
        run_until_elapsed(TELNET_TIMEOUT_DETECTION);
        SAY("\xff");
        SAY("\xf3");
        assert_got("plain [243]");
        run_until_elapsed(TELNET_TIMEOUT_SILENCE);
        SAY("\xff");
        assert_got("");
        run_until_elapsed(TELNET_TIMEOUT_SILENCE);
        assert_got("\"\xff\"");
}

static void test_our_own_offers_are_another_port(_unused_ void **state) {
        begin_undecided();
        SAY("\xff\xfb");
        assert_false(owner.telnet.record.reading.joined);
        SAY("\x00\xff\xfb\x03\xff\xfd\x03" "data");
        assert_true(owner.telnet.record.reading.joined);
        assert_int_equal(owner.telnet.record.mode, TELNET_MODE_RAW);
        assert_int_equal(owner.n_detected, 1);
        assert_got("plain \"data\"");
}

static void test_only_what_tells_the_mode_is_read_while_no_data_is_wanted(_unused_ void **state) {
        begin_undecided();
        telnet_connection_want(&owner.telnet, TELNET_WANTS_MODE);
        SAY("typed");
        assert_got("plain ");
        assert_int_equal(telnet_detection_waiting(&owner.telnet), 5);
        assert_false(telnet_detection_needs_more(&owner.telnet));
        telnet_connection_want(&owner.telnet, TELNET_WANTS_MODE);
        SAY(" more");
        assert_got("");

        /* As much as there is space for, and the rest before anything that is read later. */
        owner.space = 3;
        assert_int_equal(telnet_detection_deliver(&owner.telnet), 0);
        assert_got("\"typ\"\"ed\"");
        telnet_connection_want(&owner.telnet, TELNET_WANTS_DATA);
        owner.space = 65536;
        run();
        assert_got("\" more\"");
}

static void test_what_there_is_no_space_for_waits(_unused_ void **state) {
        begin_undecided();
        telnet_connection_want(&owner.telnet, TELNET_WANTS_MODE);
        SAY("typed");
        owner.space = 0;
        assert_int_equal(telnet_detection_deliver(&owner.telnet), 0);
        assert_got("plain ");
        assert_int_equal(telnet_detection_waiting(&owner.telnet), 5);
        telnet_detection_forget(&owner.telnet);
        assert_int_equal(telnet_detection_waiting(&owner.telnet), 0);
}

static void test_last_words_are_taken_though_they_may_begin_a_command(_unused_ void **state) {
        char want[32];

        begin_undecided();
        SAY("\xff\xfb");
        shutdown(peer, SHUT_WR);
        run();
        snprintf(want, sizeof want, "plain \"\xff\xfb\"<%d>", TELNET_E_ENDED);
        assert_got(want);
}

static void test_half_a_break_is_data_once_nothing_can_follow(_unused_ void **state) {
        char want[32];

        begin_undecided();
        run_until_elapsed(TELNET_TIMEOUT_DETECTION);
        SAY("\xff");
        assert_got("plain ");
        shutdown(peer, SHUT_WR);
        run();
        snprintf(want, sizeof want, "\"\xff\"<%d>", TELNET_E_ENDED);
        assert_got(want);
}

static void test_a_telnet_peer_s_read_may_be_taken_whole(_unused_ void **state) {
        begin_undecided();
        SAY(DO_BINARY);
        owner.consumes = true;
        SAY("\r\n");
        assert_got("plain whole:\r\n");
}

static void test_no_sequence_of_two_bytes_is_left_half_sent(_unused_ void **state) {
        struct iovec data = {(void *) "a\xff\r", 3};

        begin_telnet();
        assert_int_equal(telnet_connection_send_encoded(&owner.telnet, &data, 1), 3);
        ASSERT_SENT("a\xff\xff\r\0");
        assert_int_equal(telnet_connection_queue(&owner.telnet, data.iov_base, data.iov_len), 0);
        ASSERT_SENT("a\xff\xff\r\0");
}

/* Another TelnetConnection takes over: all that it gets is the record and what belongs to that. */
static void continue_from_record(void) {
        const TelnetRecord record = owner.telnet.record;
        bool has_detection = owner.telnet.detection;
        Buffer out = TAKE(owner.telnet.stream.out, BUFFER_INIT(0)), unread = TAKE(owner.detection.unread, BUFFER_INIT(0));
        uint8_t *subnegotiation = TAKE_PTR(owner.telnet.subnegotiation);
        Wire wire = stream_release(&owner.telnet.stream);

        telnet_connection_close(&owner.telnet);
        memset(&owner.telnet, 0xaa, sizeof owner.telnet);
        owner.detection = (TelnetDetection){};
        assert_int_equal(telnet_connection_open(&owner.telnet, poller, wire, &handler), 0);
        if (has_detection)
                telnet_detection_init(&owner.telnet, &owner.detection, timeouts);
        owner.telnet.policy = &policy;
        owner.telnet.subnegotiation = subnegotiation;
        owner.telnet.stream.out = out;
        owner.telnet.record = record;
        owner.detection.unread = unread;

        if (has_detection && (record.mode == TELNET_MODE_UNDECIDED || (!record.reading.begun && unread.size > 0)))
                timeout_start(&timeouts[TELNET_TIMEOUT_DETECTION], &owner.detection.timeout);
        if (record.reading.awaits_binary)
                timeout_start(&timeouts[TELNET_TIMEOUT_BINARY], &owner.detection.timeout);
}

static void test_a_connection_can_continue_from_its_record_at_any_byte(_unused_ void **state) {
        static const char telnet[] = DO_BINARY "a\xff\xff" "b" BREAK "\xff\xfb\x18" "\xff\xfa\x2chel\xff\xfflo\xff\xf0" "c";
        static const char offers[] = OFFERS "data" BREAK;
        static const char raw[] = "\xff\xfb" "data\xff\xff";
        const struct {
                const char *data;
                size_t n;
                bool late; /* the peer counts as raw when it begins */
        } cases[] = {{telnet, sizeof telnet - 1}, {offers, sizeof offers - 1}, {raw, sizeof raw - 1},
                     {offers, sizeof offers - 1, true}, {raw, sizeof raw - 1, true}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char want[sizeof owner.got];
                char answers[2][64];
                ssize_t n_answers[2];

                for (int continued = 0; continued < 2; continued++) {
                        begin_undecided();
                        if (cases[i].late)
                                run_until_elapsed(TELNET_TIMEOUT_DETECTION);
                        for (size_t k = 0; k < cases[i].n; k++) {
                                if (continued)
                                        continue_from_record();
                                say(cases[i].data + k, 1);
                        }
                        if (timeouts[TELNET_TIMEOUT_DETECTION].n_started > 0)
                                run_until_elapsed(TELNET_TIMEOUT_DETECTION);

                        assert_true(telnet_connection_flush(&owner.telnet) > 0);
                        n_answers[continued] = read(peer, answers[continued], sizeof answers[continued]);
                        if (!continued)
                                strcpy(want, owner.got);
                        assert_got(want);
                        teardown(NULL);
                        setup(NULL);
                }

                assert_int_equal(n_answers[0], n_answers[1]);
                if (n_answers[0] > 0)
                        assert_memory_equal(answers[0], answers[1], (size_t) n_answers[0]);
        }
}

#define connection_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                connection_test(test_all_is_data_until_telnet_begins),
                connection_test(test_negotiations_are_answered_as_the_policy_has_it),
                connection_test(test_a_handler_that_returns_a_verdict_is_the_last_to_be_called),
                connection_test(test_an_errno_of_a_handler_becomes_a_verdict),
                connection_test(test_a_subnegotiation_has_a_bound),
                connection_test(test_a_peer_that_does_not_read_is_answered_so_much_only),
                connection_test(test_a_mute_connection_answers_nothing),
                connection_test(test_no_more_is_read_than_there_is_space_for),
                connection_test(test_what_takes_long_is_read_in_shorter_turns),
                connection_test(test_while_nothing_is_wanted_nothing_is_read),
                connection_test(test_that_the_peer_has_ended_is_told_even_while_nothing_is_wanted),
                connection_test(test_an_end_behind_something_unread_waits_for_it),
                connection_test(test_a_connection_that_is_stopped_tells_nothing),
                connection_test(test_the_first_byte_is_seen_before_anything_is_read),
                connection_test(test_the_first_byte_tells_tls_from_telnet),
                connection_test(test_nothing_in_plain_text_may_follow_the_beginning_of_tls),
                connection_test(test_a_peer_that_answers_speaks_telnet),
                connection_test(test_what_a_telnet_peer_reads_is_known_once_it_answers_or_after_a_while),
                connection_test(test_a_peer_that_says_nothing_is_raw_after_a_while),
                connection_test(test_a_raw_peer_may_send_a_break_after_silence),
                connection_test(test_half_a_break_waits_until_there_is_silence),
                connection_test(test_our_own_offers_are_another_port),
                connection_test(test_only_what_tells_the_mode_is_read_while_no_data_is_wanted),
                connection_test(test_what_there_is_no_space_for_waits),
                connection_test(test_last_words_are_taken_though_they_may_begin_a_command),
                connection_test(test_half_a_break_is_data_once_nothing_can_follow),
                connection_test(test_a_telnet_peer_s_read_may_be_taken_whole),
                connection_test(test_no_sequence_of_two_bytes_is_left_half_sent),
                connection_test(test_a_connection_can_continue_from_its_record_at_any_byte),
        };

        return cmocka_run_group_tests_name("telnet-connection", tests, NULL, NULL);
}
