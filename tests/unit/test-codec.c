/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The telnet codec. What is decoded may not depend on how TCP cut the stream, so every transcript here is
 * read whole, in two parts cut at every place, and byte by byte. What is encoded may not depend on how much
 * room there was, so it is written through output buffers of every size.
 */

#include "harness.h"

#include "prng.h"
#include "telnet/codec.h"
#include "trace.h"
#include "wire.h"

typedef struct Transcript {
        const char *name;
        TelnetTransmission transmission;
        TelnetLineEnd line_end;
        const uint8_t *bytes;
        size_t size;
        const char *events;
} Transcript;

static const Transcript transcripts[] = {
        {"what ESXi says on a connection", TELNET_8BIT, TELNET_CR_LF_KEPT,
         BYTES(IAC WILL AUTHENTICATION
               IAC DO BINARY IAC DO SGA IAC DO ECHO IAC WILL BINARY IAC WILL SGA IAC WILL VMWARE
               IAC SB VMWARE "\x00" "\x00\x02\x28\x2c\x2e\x30\x46\x50\x52" IAC SE
               IAC SB VMWARE "\x46" "Svspc://rack7" IAC SE
               IAC SB VMWARE "\x50" "50 12 34 56 78 9a bc de-f0 12 34 56 78 9a bc de" IAC SE
               IAC SB VMWARE "\x52" "web" IAC IAC "01" IAC SE
               IAC WILL COM_PORT
               "login: \x00\x11\r\n" IAC IAC "\r\x00"),
         "WILL 37 | DO 0 | DO 3 | DO 1 | WILL 0 | WILL 3 | WILL 232 | "
         "SB 232 <{00}{00}{02}(,.0FPR> | SB 232 <FSvspc://rack7> | "
         "SB 232 <P50 12 34 56 78 9a bc de-f0 12 34 56 78 9a bc de> | SB 232 <Rweb{ff}01> | WILL 44 | "
         "<login: {00}{11}{0d}{0a}{ff}{0d}{00}>"},

        {"what a concentrator says to ESXi", TELNET_8BIT, TELNET_CR_LF_KEPT,
         BYTES(IAC WILL BINARY IAC WILL SGA IAC WILL ECHO IAC DO BINARY IAC DO SGA IAC DO VMWARE
               IAC DONT AUTHENTICATION
               IAC SB VMWARE "\x01" "\x00\x01" IAC SE IAC SB VMWARE "\x51" IAC SE IAC SB VMWARE "\x47" IAC SE
               "ls -l\r" IAC BRK "h"),
         "WILL 0 | WILL 3 | WILL 1 | DO 0 | DO 3 | DO 232 | DONT 37 | SB 232 <{01}{00}{01}> | SB 232 <Q> | "
         "SB 232 <G> | <ls -l{0d}> | BRK | <h>"},

        {"vMotion with 0xFF in sequence and secret", TELNET_8BIT, TELNET_CR_LF_KEPT,
         BYTES("still " IAC SB VMWARE "\x28" IAC IAC "\x00" IAC IAC "\x10" IAC SE "here" IAC IAC
               IAC SB VMWARE "\x2c" IAC IAC "\x00" IAC IAC "\x10" IAC IAC IAC IAC "\xf0\xfa" IAC IAC IAC SE
               IAC SB VMWARE "\x2e" IAC IAC "\x00" IAC IAC "\x10" IAC SE
               IAC SB VMWARE "\x30" IAC SE),
         "<still > | SB 232 <({ff}{00}{ff}{10}> | <here{ff}> | "
         "SB 232 <,{ff}{00}{ff}{10}{ff}{ff}{f0}{fa}{ff}> | SB 232 <.{ff}{00}{ff}{10}> | SB 232 <0>"},

        {"COM-PORT settings", TELNET_8BIT, TELNET_CR_LF_KEPT,
         BYTES(IAC WILL COM_PORT
               IAC SB COM_PORT "\x01" "\x00\x01\xc2\x00" IAC SE
               IAC SB COM_PORT "\x01" "\x00\x00" IAC IAC IAC IAC IAC SE
               IAC SB COM_PORT "\x02\x08" IAC SE IAC SB COM_PORT "\x00" IAC SE),
         "WILL 44 | SB 44 <{01}{00}{01}{c2}{00}> | SB 44 <{01}{00}{00}{ff}{ff}> | SB 44 <{02}{08}> | "
         "SB 44 <{00}>"},

        {"a VM's output in NVT", TELNET_NVT, TELNET_CR_LF_KEPT,
         BYTES("\r\x00" "a\r\n\r\r\n" IAC IAC "\r\x00\x00\r" IAC IAC "\n\r\x00\r\nz\r"),
         "<{0d}a{0d}{0a}{0d}{0d}{0a}{ff}{0d}{00}{0d}{ff}{0a}{0d}{0d}{0a}z{0d}>"},

        {"a user's input in NVT", TELNET_NVT, TELNET_CR_LF_IS_CR,
         BYTES("\r\x00" "a\r\n\r\r\n" IAC IAC "\r\x00\x00\r" IAC IAC "\n\r\x00\r\nz\r"),
         "<{0d}a{0d}{0d}{0d}{ff}{0d}{00}{0d}{ff}{0a}{0d}{0d}z{0d}>"},

        {"commands between characters", TELNET_NVT, TELNET_CR_LF_IS_CR,
         BYTES("a" IAC NOP "b" IAC "\xf2" IAC BRK "c" IAC "\xf4" IAC "\xf5" IAC AYT
               IAC "\xf7" IAC "\xf8" IAC "\xf9" IAC "\xec" IAC "\xed" IAC "\xee"),
         "<a> | NOP | <b> | DM | BRK | <c> | IP | AO | AYT | EC | EL | GA | EOF | SUSP | ABORT"},

        {"commands that do not exist", TELNET_8BIT, TELNET_CR_LF_KEPT,
         BYTES("a" IAC "\x00" "b" IAC "\x7f" IAC SE "c" IAC "\xef" "d"), "<abcd>"},

        {"IAC and another command instead of IAC SE", TELNET_8BIT, TELNET_CR_LF_KEPT,
         BYTES(IAC SB VMWARE "lost" IAC NOP "a" IAC SB VMWARE "lost" IAC WILL SGA
               IAC SB VMWARE "lost" IAC SB COM_PORT "kept" IAC SE IAC SB VMWARE "lost" IAC "\x01" "b"
               IAC SB VMWARE "kept" IAC SE),
         "NOP | <a> | WILL 3 | SB 44 <kept> | <b> | SB 232 <kept>"},

        {"subnegotiations that are empty, or about option 255", TELNET_8BIT, TELNET_CR_LF_KEPT,
         BYTES(IAC SB VMWARE IAC SE IAC SB IAC "x" IAC SE IAC SB VMWARE IAC IAC IAC SE
               IAC WILL IAC IAC DO IAC),
         "SB 232 <> | SB 255 <x> | SB 232 <{ff}> | WILL 255 | DO 255"},

        {"a subnegotiation that never ends", TELNET_8BIT, TELNET_CR_LF_KEPT,
         BYTES("a" IAC SB VMWARE "abc" IAC IAC "\x00\r\n"), "<a>"},
};

static void assert_decodes(const Transcript *t, size_t cut, size_t step, const char *how) {
        TelnetDecoder d = trace_decoder(t->transmission, t->line_end);
        _cleanup_trace_ Trace trace = {};

        trace_decode(&trace, &d, t->bytes, cut);
        for (size_t i = cut; i < t->size; i += step)
                trace_decode(&trace, &d, t->bytes + i, MIN(step, t->size - i));

        if (!streq(trace_finish(&trace), t->events))
                fail_msg("%s, %s %zu:\n got  %s\n want %s", t->name, how, cut, trace.text, t->events);
}

static void test_transcripts_read_whole(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(transcripts); i++)
                assert_decodes(&transcripts[i], 0, transcripts[i].size, "whole, cut at");
}

static void test_transcripts_cut_in_two_at_every_place(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(transcripts); i++)
                for (size_t cut = 1; cut < transcripts[i].size; cut++)
                        assert_decodes(&transcripts[i], cut, transcripts[i].size, "cut at");
}

static void test_transcripts_byte_by_byte(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(transcripts); i++)
                assert_decodes(&transcripts[i], 0, 1, "byte by byte from");
}

static void test_nothing_in_nothing_out(_unused_ void **state) {
        uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];
        TelnetDecoder d = trace_decoder(TELNET_NVT, TELNET_CR_LF_KEPT);
        TelnetEvent e;

        assert_int_equal(telnet_decode(&d, subnegotiation, (const uint8_t *) "", 0, &e), 0);
        assert_int_equal(e.type, TELNET_EVENT_NONE);
}

/* Decodes @in, which is @n bytes that each stand for themselves on the wire once 0xFF is doubled, CR NUL
 * written. */
static void assert_all_values_pass(TelnetTransmission transmission, TelnetLineEnd line_end) {
        TelnetDecoder d = trace_decoder(transmission, line_end);
        _cleanup_trace_ Trace got = {}, want = {};

        for (unsigned v = 0; v < 256; v++) {
                uint8_t value = (uint8_t) v, wire[3] = {value};
                size_t n = 1;

                if (value == 0xff)
                        wire[n++] = 0xff;
                if (value == '\r' && transmission == TELNET_NVT)
                        wire[n++] = 0;

                trace_decode(&got, &d, wire, n);
                trace_data(&want, &value, 1);
        }

        assert_text_equal(trace_finish(&got), trace_finish(&want));
}

static void test_all_256_values_pass_in_8bit(_unused_ void **state) {
        assert_all_values_pass(TELNET_8BIT, TELNET_CR_LF_KEPT);
        assert_all_values_pass(TELNET_8BIT, TELNET_CR_LF_IS_CR);
}

static void test_all_256_values_pass_in_nvt(_unused_ void **state) {
        assert_all_values_pass(TELNET_NVT, TELNET_CR_LF_KEPT);
        assert_all_values_pass(TELNET_NVT, TELNET_CR_LF_IS_CR);
}

static void test_line_ends_mean_nothing_in_8bit(_unused_ void **state) {
        TelnetDecoder d = trace_decoder(TELNET_8BIT, TELNET_CR_LF_IS_CR);
        _cleanup_trace_ Trace trace = {};

        trace_decode(&trace, &d, BYTES("\r\n\r\x00\n"));
        assert_string_equal(trace_finish(&trace), "<{0d}{0a}{0d}{00}{0a}>");
}

static void test_data_is_not_copied(_unused_ void **state) {
        static const uint8_t in[] = "abc";
        uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];
        TelnetDecoder d = trace_decoder(TELNET_8BIT, TELNET_CR_LF_KEPT);
        TelnetEvent e;

        assert_int_equal(telnet_decode(&d, subnegotiation, in, 3, &e), 3);
        assert_int_equal(e.type, TELNET_EVENT_DATA);
        assert_ptr_equal(e.data, in);
        assert_int_equal(e.size, 3);
}

static void test_a_negotiation_ends_the_call_so_that_the_rest_can_be_read_otherwise(_unused_ void **state) {
        static const uint8_t in[] = IAC WILL BINARY "\r\x00";
        uint8_t subnegotiation[TELNET_SUBNEGOTIATION_MAX];
        TelnetDecoder d = trace_decoder(TELNET_NVT, TELNET_CR_LF_KEPT);
        _cleanup_trace_ Trace trace = {};
        TelnetEvent e;

        size_t used = telnet_decode(&d, subnegotiation, in, sizeof in - 1, &e);
        assert_int_equal(used, 3);
        assert_int_equal(e.type, TELNET_EVENT_NEGOTIATION);

        d.transmission = TELNET_8BIT;
        trace_decode(&trace, &d, in + used, sizeof in - 1 - used);
        assert_string_equal(trace_finish(&trace), "<{0d}{00}>");
}

/* The decoder looks through NVT data in windows; nothing shows where one ends. */
static void test_long_nvt_data_with_something_special_anywhere(_unused_ void **state) {
        static const struct {
                const uint8_t *wire;
                size_t n;
                const char *event;
        } specials[] = {
                {BYTES("\r\x00"), "{0d}"},
                {BYTES("\r\n"), "{0d}{0a}"},
                {BYTES(IAC IAC), "{ff}"},
        };

        for (size_t i = 0; i < ELEMENTSOF(specials); i++)
                for (size_t before = 500; before < 530; before++) {
                        TelnetDecoder d = trace_decoder(TELNET_NVT, TELNET_CR_LF_KEPT);
                        _cleanup_trace_ Trace got = {}, want = {};
                        uint8_t in[1200];

                        memset(in, 'x', sizeof in);
                        memcpy(in + before, specials[i].wire, specials[i].n);
                        trace_decode(&got, &d, in, sizeof in);

                        trace_data(&want, in, before);
                        trace_put(&want, specials[i].event);
                        trace_data(&want, in + before + specials[i].n, sizeof in - before - specials[i].n);
                        assert_text_equal(trace_finish(&got), trace_finish(&want));
                }
}

/* A subnegotiation of @n times @value, then an ordinary one and data, read @step bytes at a time. */
static void assert_subnegotiation(size_t n, uint8_t value, size_t step, bool fits) {
        TelnetDecoder d = trace_decoder(TELNET_8BIT, TELNET_CR_LF_KEPT);
        _cleanup_(buffer_clear) Buffer wire = BUFFER_INIT(8192);
        _cleanup_trace_ Trace got = {}, want = {};
        uint8_t data[2048];

        memset(data, value, sizeof data);

        assert_int_equal(buffer_append(&wire, BYTES(IAC SB "\x07")), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(buffer_append(&wire, (uint8_t[]){value, value}, value == 0xff ? 2 : 1), 0);
        assert_int_equal(buffer_append(&wire, BYTES(IAC SE IAC SB VMWARE "next" IAC SE "data")), 0);

        for (size_t i = 0; i < wire.size; i += step)
                trace_decode(&got, &d, buffer_data(&wire) + i, MIN(step, wire.size - i));

        if (fits)
                trace_subnegotiation(&want, 7, data, n);
        else
                trace_overlong(&want, 7);
        trace_subnegotiation(&want, 232, (const uint8_t *) "next", 4);
        trace_data(&want, (const uint8_t *) "data", 4);
        assert_text_equal(trace_finish(&got), trace_finish(&want));
}

static const size_t steps[] = {SIZE_MAX / 4, 1, 7, 1024, 1027, 1028, 1029};

static void test_a_subnegotiation_of_1024_bytes_is_delivered(_unused_ void **state) {
        assert_int_equal(TELNET_SUBNEGOTIATION_MAX, 1024);

        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                assert_subnegotiation(1024, 'x', steps[i], true);
                assert_subnegotiation(1024, 0xff, steps[i], true);
        }
}

static void test_a_longer_subnegotiation_is_reported_and_skipped(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(steps); i++)
                for (size_t n = 1025; n < 1030; n++) {
                        assert_subnegotiation(n, 'x', steps[i], false);
                        assert_subnegotiation(n, 0xff, steps[i], false);
                }

        assert_subnegotiation(2048, 0xff, 1, false);
}

/* Encodes all of @in, @n_out bytes of output at a time, and appends it to @out. */
static void encode_all(TelnetEncoder *e, const uint8_t *in, size_t n_in, size_t n_out, Buffer *out) {
        _cleanup_free_ uint8_t *chunk = malloc(n_out);
        size_t n;

        assert_non_null(chunk);

        do {
                size_t consumed;

                n = telnet_encode(e, in, n_in, chunk, n_out, &consumed);
                assert_true(n <= n_out);
                assert_true(consumed <= n_in);
                assert_true(n_in == 0 || n == n_out || consumed == n_in);
                assert_int_equal(buffer_append(out, chunk, n), 0);
                in += consumed;
                n_in -= consumed;
        } while (n_in > 0 || n == n_out);
}

static void assert_buffer(const Buffer *b, const uint8_t *want, size_t n) {
        assert_int_equal(b->size, n);
        if (n > 0)
                assert_memory_equal(buffer_data(b), want, n);
}

#define DATA_TO_ENCODE "\xff\xff\r\n\r\x00\rx\xff\r\xff\r\r\nabc\xff\n\x00\r"

static const struct {
        TelnetTransmission transmission;
        const uint8_t *wire;
        size_t n;
} encodings[] = {
        {TELNET_NVT,
         BYTES("\xff\xff\xff\xff\r\n\r\x00\x00\r\x00x\xff\xff\r\x00\xff\xff\r\x00\r\nabc\xff\xff\n\x00\r")},
        {TELNET_8BIT,
         BYTES("\xff\xff\xff\xff\r\n\r\x00\rx\xff\xff\r\xff\xff\r\r\nabc\xff\xff\n\x00\r")},
        {TELNET_RAW, BYTES(DATA_TO_ENCODE)},
};

static void test_output_buffers_of_every_size_give_the_same_stream(_unused_ void **state) {
        static const uint8_t in[] = DATA_TO_ENCODE;
        const size_t n_in = sizeof in - 1;

        for (size_t i = 0; i < ELEMENTSOF(encodings); i++)
                for (size_t n_out = 1; n_out < 2 * n_in; n_out++)
                        for (size_t cut = 0; cut < n_in; cut++) {
                                TelnetEncoder e = {.transmission = (uint8_t) encodings[i].transmission};
                                _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(4096);

                                encode_all(&e, in, cut, n_out, &out);
                                encode_all(&e, in + cut, n_in - cut, n_out, &out);
                                assert_buffer(&out, encodings[i].wire, encodings[i].n);
                        }
}

static void test_encoding_resumes_in_the_middle_of_an_escape(_unused_ void **state) {
        TelnetEncoder e = {.transmission = TELNET_8BIT};
        uint8_t out[2];
        size_t consumed;

        assert_int_equal(telnet_encode(&e, (const uint8_t *) "a\xff", 2, out, 2, &consumed), 2);
        assert_int_equal(consumed, 2);
        assert_memory_equal(out, "a\xff", 2);

        assert_int_equal(telnet_encode(&e, (const uint8_t *) "b", 1, out, 2, &consumed), 2);
        assert_int_equal(consumed, 1);
        assert_memory_equal(out, "\xff" "b", 2);
}

static void test_cr_waits_for_what_comes_next(_unused_ void **state) {
        TelnetEncoder e = {.transmission = TELNET_NVT};
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(64);

        encode_all(&e, (const uint8_t *) "\r", 1, 8, &out);
        assert_buffer(&out, BYTES("\r"));
        encode_all(&e, (const uint8_t *) "\n", 1, 8, &out);
        assert_buffer(&out, BYTES("\r\n"));
        encode_all(&e, (const uint8_t *) "\r", 1, 8, &out);
        encode_all(&e, (const uint8_t *) "x", 1, 8, &out);
        assert_buffer(&out, BYTES("\r\n\r\x00x"));
}

static void test_no_room_for_output_changes_nothing(_unused_ void **state) {
        TelnetEncoder e = {.transmission = TELNET_NVT};
        uint8_t out[1] = {0xee};
        size_t consumed = 1;

        assert_int_equal(telnet_encode(&e, (const uint8_t *) "\r\xff", 2, out, 0, &consumed), 0);
        assert_int_equal(consumed, 0);
        assert_int_equal(out[0], 0xee);
        assert_int_equal(telnet_complete(&e, out), 0);
}

static void test_settling_ends_half_an_escape(_unused_ void **state) {
        TelnetEncoder e = {.transmission = TELNET_8BIT};
        uint8_t out[1];
        size_t consumed;

        assert_int_equal(telnet_encode(&e, (const uint8_t *) "\xff", 1, out, 1, &consumed), 1);
        assert_int_equal(telnet_complete(&e, out), 1);
        assert_int_equal(out[0], 0xff);
        assert_int_equal(telnet_complete(&e, out), 0);
}

static void test_settling_ends_a_cr(_unused_ void **state) {
        TelnetEncoder e = {.transmission = TELNET_NVT};
        uint8_t out[1];
        size_t consumed;

        assert_int_equal(telnet_encode(&e, (const uint8_t *) "\r", 1, out, 1, &consumed), 1);
        assert_int_equal(telnet_complete(&e, out), 1);
        assert_int_equal(out[0], 0);
        assert_int_equal(telnet_complete(&e, out), 0);
}

/* CR, a command, LF: CR was ended as CR NUL before the command, and LF stands alone. */
static void test_what_follows_a_completed_cr_is_not_part_of_it(_unused_ void **state) {
        TelnetEncoder e = {.transmission = TELNET_NVT};
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(64);
        uint8_t owed[1];

        encode_all(&e, (const uint8_t *) "\r", 1, 8, &out);
        assert_int_equal(buffer_append(&out, owed, telnet_complete(&e, owed)), 0);
        encode_all(&e, (const uint8_t *) "\nx", 2, 8, &out);
        assert_buffer(&out, BYTES("\r\x00\nx"));
}

static void test_settling_what_owes_nothing_writes_nothing(_unused_ void **state) {
        TelnetEncoder e = {.transmission = TELNET_NVT};
        uint8_t out[4] = {0xee};
        size_t consumed;

        assert_int_equal(telnet_complete(&e, out), 0);
        assert_int_equal(telnet_encode(&e, (const uint8_t *) "\r\n", 2, out, sizeof out, &consumed), 2);
        assert_int_equal(telnet_complete(&e, out), 0);
}

static void test_random_data_survives_encoding_and_decoding(_unused_ void **state) {
        Prng random = prng_init();

        for (unsigned round = 0; round < 4000; round++) {
                TelnetTransmission transmission = round % 2 ? TELNET_8BIT : TELNET_NVT;
                TelnetDecoder d = trace_decoder(transmission, TELNET_CR_LF_KEPT);
                TelnetEncoder e = {.transmission = (uint8_t) transmission};
                _cleanup_(buffer_clear) Buffer wire = BUFFER_INIT(4096);
                _cleanup_trace_ Trace got = {}, want = {};
                uint8_t data[700], owed[1];
                size_t n = 1 + prng_below(&random, sizeof data);

                prng_fill(&random, data, n, BYTES("\r\r\n\x00\xff\xff\xf0\xfa"));
                for (size_t i = 0, step; i < n; i += step) {
                        step = MIN(1 + prng_below(&random, 100), n - i);
                        encode_all(&e, data + i, step, 1 + prng_below(&random, 100), &wire);
                }
                assert_int_equal(buffer_append(&wire, owed, telnet_complete(&e, owed)), 0);

                for (size_t i = 0, step; i < wire.size; i += step) {
                        step = MIN(1 + prng_below(&random, 100), wire.size - i);
                        trace_decode(&got, &d, buffer_data(&wire) + i, step);
                }

                trace_data(&want, data, n);
                assert_text_equal(trace_finish(&got), trace_finish(&want));
        }
}

/* Gathers @in, which is one part, and compares each piece. */
static void assert_gathers(TelnetEncoder e, const char *in, size_t n_pieces, const char *const want[]) {
        struct iovec pieces[8];
        size_t n = telnet_gather(&e, &(struct iovec){(void *) in, strlen(in)}, 1, pieces, n_pieces);

        for (size_t i = 0; i < n; i++) {
                assert_non_null(want[i]);
                assert_int_equal(pieces[i].iov_len, strlen(want[i]));
                assert_memory_equal(pieces[i].iov_base, want[i], pieces[i].iov_len);
        }
        assert_null(want[n]);
}

static void test_it_gathers_as_far_as_it_can(_unused_ void **state) {
        static const TelnetEncoder nvt = {.transmission = TELNET_NVT}, binary = {.transmission = TELNET_8BIT},
                                   raw = {.transmission = TELNET_RAW};

        assert_gathers(raw, "ab\rc\xff", 8, (const char *[]){"ab\rc\xff", NULL});
        assert_gathers(binary, "ab\rc\xff", 8, (const char *[]){"ab\rc\xff", "\xff", NULL});
        assert_gathers(binary, "\xff\xff" "a", 8, (const char *[]){"\xff", "\xff\xff", "\xff" "a", NULL});
        assert_gathers(nvt, "a\xff" "b\rc", 8, (const char *[]){"a\xff", "\xff" "b", NULL});
        assert_gathers(nvt, "\ra", 8, (const char *[]){NULL});
}

static void test_the_last_piece_does_not_end_between_two_iacs(_unused_ void **state) {
        static const TelnetEncoder e = {.transmission = TELNET_8BIT};

        assert_gathers(e, "a\xff" "b\xff" "c", 0, (const char *[]){NULL});
        assert_gathers(e, "a\xff" "b\xff" "c", 1, (const char *[]){"a", NULL});
        assert_gathers(e, "a\xff" "b\xff" "c", 2, (const char *[]){"a\xff", "\xff" "b", NULL});
        assert_gathers(e, "a\xff" "b\xff" "c", 3, (const char *[]){"a\xff", "\xff" "b\xff", "\xff" "c", NULL});
        assert_gathers(e, "\xff", 1, (const char *[]){NULL});
}

static void test_nothing_is_gathered_while_an_escape_is_unfinished(_unused_ void **state) {
        TelnetEncoder e = {.transmission = TELNET_8BIT}, f = {.transmission = TELNET_NVT};
        uint8_t out[1];
        size_t consumed;

        telnet_encode(&e, (const uint8_t *) "\xff", 1, out, 1, &consumed);
        assert_gathers(e, "abc", 8, (const char *[]){NULL});

        telnet_encode(&f, (const uint8_t *) "\r", 1, out, 1, &consumed);
        assert_gathers(f, "\nabc", 8, (const char *[]){NULL});
}

/* Sends the first @sent bytes of what is gathered and encodes the rest. */
static void send_gathered(TelnetTransmission transmission, const struct iovec *in, size_t n_in, size_t n_pieces,
                          size_t sent, const uint8_t *data, size_t n, Buffer *wire) {
        TelnetEncoder e = {.transmission = (uint8_t) transmission};
        struct iovec pieces[16];
        size_t left = sent;

        n_pieces = telnet_gather(&e, in, n_in, pieces, n_pieces);
        for (size_t i = 0; i < n_pieces && left > 0; i++) {
                size_t k = MIN(left, pieces[i].iov_len);

                assert_int_equal(buffer_append(wire, pieces[i].iov_base, k), 0);
                left -= k;
        }

        size_t used = telnet_gathered(&e, pieces, n_pieces, sent - left);
        assert_in_range(used, 0, n);
        if (used < n)
                encode_all(&e, data + used, n - used, 64, wire);

        uint8_t owed[1];
        assert_int_equal(buffer_append(wire, owed, telnet_complete(&e, owed)), 0);
}

/* However the data lies in memory, however many pieces there may be, and wherever the kernel stops. */
static void test_what_is_gathered_is_what_is_encoded(_unused_ void **state) {
        static const TelnetTransmission transmissions[] = {TELNET_NVT, TELNET_8BIT, TELNET_RAW};
        Prng random = prng_init();

        for (unsigned round = 0; round < 3000; round++) {
                TelnetTransmission transmission = transmissions[round % 3];
                _cleanup_(buffer_clear) Buffer want = BUFFER_INIT(256);
                struct iovec in[4];
                uint8_t data[64];
                size_t n = 1 + prng_below(&random, sizeof data), n_in = 0, n_pieces = prng_below(&random, 17);

                prng_fill(&random, data, n, BYTES("\r\n\xff\xff" "ab"));
                for (size_t i = 0, k; i < n && n_in < ELEMENTSOF(in); i += k) {
                        k = 1 + prng_below(&random, n - i);
                        in[n_in++] = (struct iovec){data + i, k};
                }

                send_gathered(transmission, in, 0, 0, 0, data, n, &want);
                for (size_t sent = 0; sent <= 2 * n + 1; sent++) {
                        _cleanup_(buffer_clear) Buffer got = BUFFER_INIT(256);

                        send_gathered(transmission, in, n_in, n_pieces, sent, data, n, &got);
                        assert_buffer(&got, buffer_data(&want), want.size);
                }
        }
}

static void test_data_is_put_behind_what_is_owed(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(64);
        TelnetEncoder e = {.transmission = TELNET_NVT};

        assert_int_equal(telnet_put_data(&e, &out, "a\xff\r", 3), 0);
        assert_int_equal(telnet_put_data(&e, &out, "b", 1), 0);
        assert_buffer(&out, BYTES("a" IAC IAC "\r\0" "b"));
}

/* For all of it might need an escape. */
static void test_data_that_may_not_fit_leaves_the_buffer_and_the_encoder_alone(_unused_ void **state) {
        static const size_t sizes[] = {4, 5, 1000, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX - 1, SIZE_MAX};
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(3 + 5);
        TelnetEncoder e = {.transmission = TELNET_NVT};

        assert_int_equal(telnet_put_data(&e, &out, "\r", 1), 0);
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                assert_int_equal(telnet_put_data(&e, &out, "\xff\xff\xff", sizes[i]), -ENOBUFS);
                assert_buffer(&out, BYTES("\r"));
        }

        assert_int_equal(telnet_put_data(&e, &out, "\xff\xff\xff", 3), 0);
        assert_buffer(&out, BYTES("\r\0" IAC IAC IAC IAC IAC IAC));
}

static void test_a_subnegotiation_is_framed_and_its_iacs_doubled(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(64);

        assert_int_equal(telnet_put_subnegotiation(&out, 232, "a\xff\xff\r\x00", 5), 0);
        assert_int_equal(telnet_put_subnegotiation(&out, 44, "", 0), 0);
        assert_buffer(&out, BYTES(IAC SB VMWARE "a" IAC IAC IAC IAC "\r\x00" IAC SE IAC SB COM_PORT IAC SE));
}

static void test_a_subnegotiation_may_fill_the_buffer_to_its_last_byte(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(4 + 11);

        assert_int_equal(buffer_append(&out, "data", 4), 0);
        assert_int_equal(telnet_put_subnegotiation(&out, 232, "\xff\xff\xff", 3), 0);
        assert_buffer(&out, BYTES("data" IAC SB VMWARE IAC IAC IAC IAC IAC IAC IAC SE));
}

static void test_a_subnegotiation_that_does_not_fit_leaves_the_buffer_alone(_unused_ void **state) {
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(4 + 10);
        static const size_t sizes[] = {3, 4, 7, 14, 15, 1000,
                                       SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX - 1, SIZE_MAX};

        assert_int_equal(buffer_append(&out, "data", 4), 0);
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                assert_int_equal(telnet_put_subnegotiation(&out, 232, "\xff\xff\xff", sizes[i]), -ENOBUFS);
                assert_buffer(&out, BYTES("data"));
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_transcripts_read_whole),
                cmocka_unit_test(test_transcripts_cut_in_two_at_every_place),
                cmocka_unit_test(test_transcripts_byte_by_byte),
                cmocka_unit_test(test_nothing_in_nothing_out),
                cmocka_unit_test(test_all_256_values_pass_in_8bit),
                cmocka_unit_test(test_all_256_values_pass_in_nvt),
                cmocka_unit_test(test_line_ends_mean_nothing_in_8bit),
                cmocka_unit_test(test_data_is_not_copied),
                cmocka_unit_test(test_a_negotiation_ends_the_call_so_that_the_rest_can_be_read_otherwise),
                cmocka_unit_test(test_long_nvt_data_with_something_special_anywhere),
                cmocka_unit_test(test_a_subnegotiation_of_1024_bytes_is_delivered),
                cmocka_unit_test(test_a_longer_subnegotiation_is_reported_and_skipped),
                cmocka_unit_test(test_output_buffers_of_every_size_give_the_same_stream),
                cmocka_unit_test(test_encoding_resumes_in_the_middle_of_an_escape),
                cmocka_unit_test(test_cr_waits_for_what_comes_next),
                cmocka_unit_test(test_no_room_for_output_changes_nothing),
                cmocka_unit_test(test_settling_ends_half_an_escape),
                cmocka_unit_test(test_settling_ends_a_cr),
                cmocka_unit_test(test_what_follows_a_completed_cr_is_not_part_of_it),
                cmocka_unit_test(test_settling_what_owes_nothing_writes_nothing),
                cmocka_unit_test(test_random_data_survives_encoding_and_decoding),
                cmocka_unit_test(test_it_gathers_as_far_as_it_can),
                cmocka_unit_test(test_the_last_piece_does_not_end_between_two_iacs),
                cmocka_unit_test(test_nothing_is_gathered_while_an_escape_is_unfinished),
                cmocka_unit_test(test_what_is_gathered_is_what_is_encoded),
                cmocka_unit_test(test_data_is_put_behind_what_is_owed),
                cmocka_unit_test(test_data_that_may_not_fit_leaves_the_buffer_and_the_encoder_alone),
                cmocka_unit_test(test_a_subnegotiation_is_framed_and_its_iacs_doubled),
                cmocka_unit_test(test_a_subnegotiation_may_fill_the_buffer_to_its_last_byte),
                cmocka_unit_test(test_a_subnegotiation_that_does_not_fit_leaves_the_buffer_alone),
        };

        return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
