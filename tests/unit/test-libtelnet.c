/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Against libtelnet, which was written by others from the same RFCs: the same bytes mean the same to both,
 * and what one writes the other reads. TEST_SEED repeats or varies the random streams.
 *
 * Where the RFCs leave a choice, or libtelnet has a flaw, its events are brought into our form, or the input
 * does not occur:
 *
 *  - It answers negotiations by a table of its own. As a decoder it runs as a proxy, which reports and
 *    leaves them alone; option.c has its own test, and two such tables meet in the last test here.
 *  - libtelnet 0.21 knows nothing of NVT line ends (its TELNET_FLAG_NVT_EOL came later and turns CR LF into
 *    LF, which we never do): it always runs without, and for NVT the few lines at on_event() drop the NUL of
 *    a CR NUL, and the LF of a CR LF where that is the Enter key, unless a command stands between the two.
 *  - It reports IAC with any byte, also those below NOP that are no commands to us, and a stray SE. Dropped.
 *  - IAC with another command inside a subnegotiation: it warns, then delivers what there was; we drop that.
 *    Both then take it as the command.
 *  - A subnegotiation has 16384 bytes at most there and 1024 here: longer than ours is OVERLONG, longer than
 *    its own does not occur, as no stream is that long.
 *  - Subnegotiations that it interprets itself (TERMINAL-TYPE, ENVIRON, MSSP, COMPRESS2, ZMP) do not occur:
 *    it writes beyond its memory for some of them, and would begin to inflate for one. Ours pass them all
 *    alike.
 */

#include "harness.h"

#include "prng.h"
#include "telnet/session.h" /* before libtelnet.h, which has macros of the same names and values */
#include "trace.h"
#include "wire.h"

#include <libtelnet.h>

typedef struct Peer {
        telnet_t *telnet;
        TelnetTransmission transmission; /* as which its data is to be read */
        TelnetLineEnd line_end;
        bool after_cr, given_up;
        Trace received;
        Buffer sent;
} Peer;

static void on_data(Peer *p, const uint8_t *data, size_t n) {
        for (size_t i = 0; i < n; i++) {
                bool enter = data[i] == '\n' && p->line_end == TELNET_CR_LF_IS_CR;

                if (p->transmission != TELNET_NVT || !p->after_cr || (data[i] != 0 && !enter))
                        trace_data(&p->received, data + i, 1);
                p->after_cr = data[i] == '\r';
        }
}

static void on_event(_unused_ telnet_t *telnet, telnet_event_t *e, void *userdata) {
        Peer *p = userdata;

        if (e->type == TELNET_EV_SEND) {
                assert_int_equal(buffer_append(&p->sent, e->data.buffer, e->data.size), 0);
                return;
        }

        if (e->type == TELNET_EV_DATA) {
                on_data(p, (const uint8_t *) e->data.buffer, e->data.size);
                return;
        }

        p->after_cr = false;

        switch (e->type) {
        case TELNET_EV_IAC:
                if (e->iac.cmd >= TELNET_NOP || (e->iac.cmd >= TELNET_EOF && e->iac.cmd <= TELNET_ABORT))
                        trace_command(&p->received, e->iac.cmd);
                break;
        case TELNET_EV_WILL:
                trace_negotiation(&p->received, TELNET_WILL, e->neg.telopt);
                break;
        case TELNET_EV_WONT:
                trace_negotiation(&p->received, TELNET_WONT, e->neg.telopt);
                break;
        case TELNET_EV_DO:
                trace_negotiation(&p->received, TELNET_DO, e->neg.telopt);
                break;
        case TELNET_EV_DONT:
                trace_negotiation(&p->received, TELNET_DONT, e->neg.telopt);
                break;
        case TELNET_EV_SUBNEGOTIATION:
                if (TAKE(p->given_up, false))
                        break;
                if (e->sub.size > TELNET_SUBNEGOTIATION_MAX)
                        trace_overlong(&p->received, e->sub.telopt);
                else
                        trace_subnegotiation(&p->received, e->sub.telopt, (const uint8_t *) e->sub.buffer,
                                             e->sub.size);
                break;
        case TELNET_EV_WARNING:
        case TELNET_EV_ERROR:
                assert_non_null(strstr(e->error.msg, "inside SB")); /* errcode is not set in 0.21 */
                p->given_up = true;
                break;
        default:
                fail_msg("libtelnet took part in something: event %d", e->type);
        }
}

static void peer_init(Peer *p, const telnet_telopt_t *options, unsigned char flags) {
        *p = (Peer){.transmission = TELNET_8BIT, .sent = BUFFER_INIT(65536)};
        p->telnet = telnet_init(options, on_event, flags, p);
        assert_non_null(p->telnet);
}

static void peer_done(Peer *p) {
        telnet_free(p->telnet);
        trace_done(&p->received);
        buffer_clear(&p->sent);
}

static const telnet_telopt_t no_options[] = {{-1, 0, 0}};

#define STREAM_MAX 6000U

/* Noise of what telnet is made of, with a long run of plain bytes now and then, as subnegotiations may be
 * too. */
static size_t random_stream(Prng *random, uint8_t *p) {
        static const uint8_t interpreted[] = {24, 36, 39, 69, 70, 85, 86, 93};
        size_t n = 1 + prng_below(random, prng_below(random, 20) == 0 ? STREAM_MAX : 300);

        prng_fill(random, p, n,
                  BYTES("\xff\xff\xff\xff\xfa\xfa\xf0\xf0\xf1\xfb\xfc\xfd\xfe\r\r\n\x00\x00x\xe8\x03"));

        if (n > 2000) {
                size_t from = prng_below(random, 100), size = 1015 + prng_below(random, 20);

                memcpy(p + from, IAC SB VMWARE, 3);
                memset(p + from + 3, prng_next(random) & 1 ? 'x' : 0xff, size);
                memcpy(p + from + 3 + size, IAC SE "x", 3);
        }

        for (size_t i = 2; i < n; i++)
                if (p[i - 2] == 0xff && p[i - 1] == 0xfa && memchr(interpreted, p[i], sizeof interpreted))
                        p[i] = 232;

        return n;
}

static void assert_the_same_to_both(Prng *random, TelnetTransmission transmission, TelnetLineEnd line_end) {
        for (unsigned round = 0; round < 5000; round++) {
                TelnetDecoder d = trace_decoder(transmission, line_end);
                _cleanup_trace_ Trace ours = {};
                uint8_t stream[STREAM_MAX];
                _cleanup_(peer_done) Peer peer;

                peer_init(&peer, no_options, TELNET_FLAG_PROXY);
                peer.transmission = transmission;
                peer.line_end = line_end;

                size_t n = random_stream(random, stream);
                for (size_t i = 0, step; i < n; i += step) {
                        step = MIN(1 + prng_below(random, 200), n - i);
                        telnet_recv(peer.telnet, (const char *) stream + i, step);
                }
                for (size_t i = 0, step; i < n; i += step) {
                        step = MIN(1 + prng_below(random, 200), n - i);
                        trace_decode(&ours, &d, stream + i, step);
                }

                if (!streq(trace_finish(&ours), trace_finish(&peer.received))) {
                        _cleanup_trace_ Trace bytes = {};

                        trace_bytes(&bytes, stream, n);
                        fail_msg("round %u\n stream    %s\n ours      %s\n libtelnet %s", round, bytes.text,
                                 ours.text, peer.received.text);
                }
        }
}

static void test_the_same_8bit_stream_means_the_same(_unused_ void **state) {
        Prng random = prng_init();

        assert_the_same_to_both(&random, TELNET_8BIT, TELNET_CR_LF_KEPT);
}

static void test_the_same_nvt_stream_means_the_same(_unused_ void **state) {
        Prng random = prng_init();

        assert_the_same_to_both(&random, TELNET_NVT, TELNET_CR_LF_KEPT);
        assert_the_same_to_both(&random, TELNET_NVT, TELNET_CR_LF_IS_CR);
}

static size_t random_data(Prng *random, uint8_t *p, size_t max) {
        size_t n = 1 + prng_below(random, max);

        prng_fill(random, p, n, BYTES("\xff\xff\xf0\xfa\xfb\r\r\n\x00"));
        return n;
}

/* What we write, with commands in between, is what libtelnet reads. */
static void assert_it_reads_us(Prng *random, TelnetTransmission transmission) {
        for (unsigned round = 0; round < 2000; round++) {
                _cleanup_(buffer_clear) Buffer wire = BUFFER_INIT(65536);
                _cleanup_trace_ Trace want = {};
                _cleanup_(peer_done) Peer peer;
                TelnetSession session;

                peer_init(&peer, no_options, TELNET_FLAG_PROXY);
                peer.transmission = transmission;
                telnet_session_init(&session, TELNET_CR_LF_KEPT);
                session.out.transmission = (uint8_t) transmission;

                for (unsigned turn = 0; turn < 5; turn++) {
                        uint8_t data[300];
                        size_t consumed, n = random_data(random, data, sizeof data);

                        uint8_t *p = buffer_reserve(&wire, 2 * n + 1);
                        assert_non_null(p);
                        buffer_commit(&wire, telnet_encode(&session.out, data, n, p, 2 * n + 1, &consumed));
                        assert_int_equal(consumed, n);
                        trace_data(&want, data, n);

                        if (prng_next(random) & 1) {
                                assert_int_equal(telnet_session_put(&session, &wire, BYTES(BRK)), 0);
                                trace_command(&want, TELNET_BRK);
                        }
                        if (prng_next(random) & 1) {
                                n = random_data(random, data, sizeof data);
                                assert_int_equal(telnet_session_complete(&session, &wire), 0);
                                assert_int_equal(telnet_put_subnegotiation(&wire, TELNET_VMWARE, data, n),
                                                 0);
                                trace_subnegotiation(&want, TELNET_VMWARE, data, n);
                        }
                }
                assert_int_equal(telnet_session_complete(&session, &wire), 0);

                telnet_recv(peer.telnet, (const char *) buffer_data(&wire), wire.size);
                assert_text_equal(trace_finish(&peer.received), trace_finish(&want));
        }
}

static void test_it_reads_what_we_write_in_8bit(_unused_ void **state) {
        Prng random = prng_init();

        assert_it_reads_us(&random, TELNET_8BIT);
}

static void test_it_reads_what_we_write_in_nvt(_unused_ void **state) {
        Prng random = prng_init();

        assert_it_reads_us(&random, TELNET_NVT);
}

static void test_we_read_what_it_writes(_unused_ void **state) {
        Prng random = prng_init();

        for (unsigned round = 0; round < 2000; round++) {
                TelnetDecoder d = trace_decoder(TELNET_8BIT, TELNET_CR_LF_KEPT);
                _cleanup_trace_ Trace got = {}, want = {};
                _cleanup_(peer_done) Peer peer;

                peer_init(&peer, no_options, TELNET_FLAG_PROXY);
                for (unsigned turn = 0; turn < 5; turn++) {
                        uint8_t data[300];
                        size_t n = random_data(&random, data, sizeof data);

                        telnet_send(peer.telnet, (const char *) data, n);
                        trace_data(&want, data, n);
                        telnet_iac(peer.telnet, TELNET_AYT);
                        trace_command(&want, TELNET_AYT);
                        telnet_negotiate(peer.telnet, TELNET_DO, 255);
                        trace_negotiation(&want, TELNET_DO, 255);
                        telnet_subnegotiation(peer.telnet, 44, (const char *) data, n);
                        trace_subnegotiation(&want, 44, data, n);
                }

                for (size_t i = 0, step; i < peer.sent.size; i += step) {
                        step = MIN(1 + prng_below(&random, 200), peer.sent.size - i);
                        trace_decode(&got, &d, buffer_data(&peer.sent) + i, step);
                }
                assert_text_equal(trace_finish(&got), trace_finish(&want));
        }
}

/* telnet_printf() writes text as an NVT should: CR as CR NUL, LF as CR LF. */
static void test_we_read_the_text_it_writes(_unused_ void **state) {
        static const struct {
                TelnetLineEnd line_end;
                const char *events;
        } ends[] = {
                {TELNET_CR_LF_KEPT, "<one{0d}{0a}two{0d}three{0d}{0d}{0a}{ff}{0d}{0a}{0d}{0a}>"},
                {TELNET_CR_LF_IS_CR, "<one{0d}two{0d}three{0d}{0d}{ff}{0d}{0d}>"},
        };

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                TelnetDecoder d = trace_decoder(TELNET_NVT, ends[i].line_end);
                _cleanup_trace_ Trace got = {};
                _cleanup_(peer_done) Peer peer;

                peer_init(&peer, no_options, 0);
                telnet_printf(peer.telnet, "%s", "one\ntwo\rthree\r\n\xff\n\n");
                trace_decode(&got, &d, buffer_data(&peer.sent), peer.sent.size);
                assert_string_equal(trace_finish(&got), ends[i].events);
        }
}

static void test_a_subnegotiation_is_the_same_bytes_from_both(_unused_ void **state) {
        Prng random = prng_init();

        for (unsigned round = 0; round < 500; round++) {
                _cleanup_(buffer_clear) Buffer ours = BUFFER_INIT(4096);
                _cleanup_(peer_done) Peer peer;
                uint8_t data[1024];
                size_t n = random_data(&random, data, sizeof data);

                peer_init(&peer, no_options, 0);
                telnet_subnegotiation(peer.telnet, TELNET_VMWARE, (const char *) data, n);
                assert_int_equal(telnet_put_subnegotiation(&ours, TELNET_VMWARE, data, n), 0);
                assert_int_equal(ours.size, peer.sent.size);
                assert_memory_equal(buffer_data(&ours), buffer_data(&peer.sent), ours.size);
        }
}

static const TelnetPolicy policy = {
        .us = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_ECHO, TELNET_OPTION_END},
        .n_us_offered = 3,
        .him = (const int16_t[]){TELNET_BINARY, TELNET_SGA, TELNET_VMWARE, TELNET_OPTION_END},
        .n_him_offered = 3,
};

/* Our offers meet a telnet program that is made with libtelnet: both fall silent, and agree. */
static void test_our_session_and_its_option_table_come_to_terms(_unused_ void **state) {
        static const telnet_telopt_t options[] = {
                {TELNET_TELOPT_BINARY, TELNET_WILL, TELNET_DO},
                {TELNET_TELOPT_SGA, TELNET_WILL, TELNET_DO},
                {TELNET_TELOPT_ECHO, TELNET_WONT, TELNET_DO},
                {-1, 0, 0},
        };
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(4096);
        _cleanup_(peer_done) Peer peer;
        TelnetSession session;
        unsigned exchanges = 0;

        peer_init(&peer, options, 0);
        telnet_session_init(&session, TELNET_CR_LF_IS_CR);
        telnet_negotiate(peer.telnet, TELNET_DO, TELNET_TELOPT_SGA);
        telnet_negotiate(peer.telnet, TELNET_WILL, TELNET_TELOPT_TTYPE);
        assert_int_equal(telnet_session_offer(&session, &policy, &out), 0);

        while (out.size + peer.sent.size > 0) {
                assert_in_range(++exchanges, 0, 4);

                telnet_recv(peer.telnet, (const char *) buffer_data(&out), out.size);
                buffer_clear(&out);

                for (size_t i = 0; i < peer.sent.size;) {
                        uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];
                        TelnetAnswer answer;
                        TelnetEvent e;

                        i += telnet_decode(&session.in, subnegotiation, buffer_data(&peer.sent) + i, peer.sent.size - i, &e);
                        if (e.type == TELNET_EVENT_NEGOTIATION)
                                assert_int_equal(
                                        telnet_session_negotiate(&session, &policy, &e, &out, &answer), 0);
                }
                buffer_clear(&peer.sent);
        }

        for (unsigned option = 0; option < 256; option++) {
                bool us = option == TELNET_BINARY || option == TELNET_SGA || option == TELNET_ECHO;
                bool him = option == TELNET_BINARY || option == TELNET_SGA;

                assert_int_equal(telnet_option_state(&session.options, TELNET_US, (uint8_t) option),
                                 us ? TELNET_Q_YES : TELNET_Q_NO);
                assert_int_equal(telnet_option_state(&session.options, TELNET_HIM, (uint8_t) option),
                                 him ? TELNET_Q_YES : TELNET_Q_NO);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_same_8bit_stream_means_the_same),
                cmocka_unit_test(test_the_same_nvt_stream_means_the_same),
                cmocka_unit_test(test_it_reads_what_we_write_in_8bit),
                cmocka_unit_test(test_it_reads_what_we_write_in_nvt),
                cmocka_unit_test(test_we_read_what_it_writes),
                cmocka_unit_test(test_we_read_the_text_it_writes),
                cmocka_unit_test(test_a_subnegotiation_is_the_same_bytes_from_both),
                cmocka_unit_test(test_our_session_and_its_option_table_come_to_terms),
        };

        return cmocka_run_group_tests_name("libtelnet", tests, NULL, NULL);
}
