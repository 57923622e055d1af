/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A message to vspc-logger of any bytes, as from a vspcd that has been broken: each of its records lies within it, and what OPEN
 * says is text that leads to no other folder. What is understood is put together again as it was.
 */

#include "fuzz.h"
#include "log/log-channel.h"

static void test_open(const LogRecord *record, const uint8_t *data, size_t n) {
        static LogMessage again;
        LogOpen open;

        /* Of its exact size, for the sanitizers */
        uint8_t *copy = malloc(n);
        assert(copy);
        memcpy(copy, data, n);
        if (log_open_parse(copy, n, &open) >= 0) {
                assert(*open.uuid && !strpbrk(open.uuid, "/."));
                assert(!strchr(open.prefix, '/') && *open.prefix != '.');
                assert(open.mode <= 0777);

                again.size = 0;
                assert(log_message_add_open(&again, record->stream, record->position, &open) == 0);
                assert(again.size == sizeof(LogRecord) + n && memcmp(again.data + sizeof(LogRecord), data, n) == 0);
        }
        free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static LogMessage m;
        const uint8_t *behind;
        LogRecord record;
        size_t offset = 0, n, before = 0;
        int r;

        if (size > sizeof m.data)
                return 0;

        memcpy(m.data, data, size);
        m.size = size;
        while ((r = log_message_next(&m, &offset, &record, &behind, &n)) > 0) {
                assert(behind == m.data + before + sizeof record && behind + n == m.data + offset && offset <= size);
                if (record.type == LOG_OPEN)
                        test_open(&record, behind, n);
                before = offset;
        }

        assert(r < 0 || offset == size);
        return 0;
}
