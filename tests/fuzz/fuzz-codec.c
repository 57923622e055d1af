/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The codec on hostile bytes. The first byte of an input chooses the mode, the second how reads and writes
 * are cut; the rest is a stream to decode: however it is cut it gives the same events. The rest is also data
 * to encode: however much room there is it gives the same stream, which decodes to what it was.
 */

#include "basic/buffer.h"
#include "fuzz.h"
#include "prng.h"
#include "telnet/codec.h"
#include "trace.h"

enum {
        MODE_8BIT = 1 << 0,
        MODE_CR_LF_IS_CR = 1 << 1,
        MODE_SWITCHES = 1 << 2, /* BINARY comes and goes, as in a session */
};

static size_t next_cut(Prng *random, size_t left) {
        return MIN(1 + prng_below(random, prng_below(random, 4) == 0 ? 600 : 8), left);
}

static void decode(Trace *t, uint8_t mode, Prng *cuts, const uint8_t *data, size_t n) {
        TelnetDecoder d = trace_decoder(mode & MODE_8BIT ? TELNET_8BIT : TELNET_NVT,
                                        mode & MODE_CR_LF_IS_CR ? TELNET_CR_LF_IS_CR : TELNET_CR_LF_KEPT);

        for (size_t end, i = 0; i < n; i = end) {
                end = i + (cuts ? next_cut(cuts, n - i) : n - i);

                if (!(mode & MODE_SWITCHES)) {
                        trace_decode(t, &d, data + i, end - i);
                        continue;
                }

                while (i < end) {
                        TelnetEvent e;
                        size_t used = telnet_decode(&d, t->subnegotiation, data + i, end - i, &e);

                        assert(used > 0 && used <= end - i);
                        trace_event(t, &e);
                        if (e.type == TELNET_EVENT_NEGOTIATION && e.option == TELNET_BINARY)
                                d.transmission = e.command == TELNET_WILL ? TELNET_8BIT : TELNET_NVT;
                        i += used;
                }
        }

        trace_finish(t);
}

static void test_decoding(uint8_t mode, uint64_t seed, const uint8_t *data, size_t n) {
        _cleanup_trace_ Trace whole = {}, cut = {};

        decode(&whole, mode, NULL, data, n);
        decode(&cut, mode, &(Prng){seed}, data, n);
        assert(streq(trace_finish(&whole), trace_finish(&cut)));
}

static void encode(Buffer *out, TelnetTransmission transmission, Prng *cuts, const uint8_t *data, size_t n) {
        TelnetEncoder e = {.transmission = (uint8_t) transmission};
        uint8_t chunk[1024], owed[1];

        while (n > 0) {
                size_t n_in = cuts ? next_cut(cuts, n) : n;
                size_t n_out = cuts ? next_cut(cuts, sizeof chunk) : sizeof chunk;
                size_t consumed;

                struct iovec pieces[4];
                size_t n_pieces = telnet_gather(&e, &(struct iovec){(void *) data, n_in}, 1, pieces,
                                                ELEMENTSOF(pieces));
                assert(n_pieces <= ELEMENTSOF(pieces));

                size_t size = telnet_encode(&e, data, n_in, chunk, n_out, &consumed);
                assert(size <= n_out && consumed <= n_in);
                assert(size > 0 || consumed > 0);
                for (size_t i = 0, begin = 0; i < n_pieces && begin < size; begin += pieces[i++].iov_len)
                        assert(memcmp(chunk + begin, pieces[i].iov_base, MIN(pieces[i].iov_len, size - begin)) == 0);

                if (buffer_append(out, chunk, size) < 0)
                        abort();
                data += consumed;
                n -= consumed;
        }

        if (buffer_append(out, owed, telnet_complete(&e, owed)) < 0)
                abort();
}

static void test_encoding(TelnetTransmission transmission, uint64_t seed, const uint8_t *data, size_t n) {
        _cleanup_(buffer_clear) Buffer whole = BUFFER_INIT(2 * n + 1), cut = BUFFER_INIT(2 * n + 1);
        _cleanup_trace_ Trace got = {}, want = {};

        encode(&whole, transmission, NULL, data, n);
        encode(&cut, transmission, &(Prng){seed}, data, n);
        assert(whole.size == cut.size);
        assert(memcmp(buffer_data(&whole), buffer_data(&cut), whole.size) == 0);

        if (transmission == TELNET_RAW)
                trace_data(&got, buffer_data(&whole), whole.size);
        else {
                TelnetDecoder d = trace_decoder(transmission, TELNET_CR_LF_KEPT);

                trace_decode(&got, &d, buffer_data(&whole), whole.size);
        }
        trace_data(&want, data, n);
        assert(streq(trace_finish(&got), trace_finish(&want)));
}

static void test_subnegotiation(uint8_t option, const uint8_t *data, size_t n) {
        _cleanup_(buffer_clear) Buffer out = BUFFER_INIT(2 * n + 5);
        TelnetDecoder d = trace_decoder(TELNET_8BIT, TELNET_CR_LF_KEPT);
        _cleanup_trace_ Trace got = {}, want = {};

        if (telnet_put_subnegotiation(&out, option, data, n) < 0)
                abort();

        trace_decode(&got, &d, buffer_data(&out), out.size);
        if (n <= TELNET_SUBNEGOTIATION_MAX)
                trace_subnegotiation(&want, option, data, n);
        else
                trace_overlong(&want, option);
        assert(streq(trace_finish(&got), trace_finish(&want)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size <= 2 || size > 8192)
                return 0;

        uint8_t mode = data[0], seed = data[1];
        data += 2;
        size -= 2;

        test_decoding(mode, seed, data, size);
        for (TelnetTransmission t = TELNET_NVT; t <= TELNET_RAW; t++)
                test_encoding(t, seed, data, size);
        test_subnegotiation(seed, data, size);

        return 0;
}
