/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A console's output of any bytes: the lines are valid UTF-8 in which nothing but shows, neither empty nor too
 * long, at positions that increase, and the same however the output is cut. The first two bytes say how it is cut.
 */

#include "fuzz.h"
#include "logger/line-splitter.h"
#include "utf8.h"

typedef struct Digest {
        const LineSplitter *splitter;
        uint64_t next; /* position at which the next line may begin */
        uint64_t hash, n_lines, n_bytes;
} Digest;

static void on_line(const char *text, size_t n, int priority, void *userdata) {
        Digest *d = userdata;

        assert(n > 0 && n <= LINE_MAX_SIZE);
        assert(priority >= 1 && priority <= 7);
        assert(text[n - 1] != ' ');
        assert(!memchr(text, 0, n));

        /* Not strndup(), which a sanitizer wants to find a NUL behind the text. */
        _cleanup_free_ char *copy = calloc(1, n + 1);
        assert(copy);
        memcpy(copy, text, n);
        assert(utf8_is_valid(copy) && utf8_is_harmless(copy));

        for (size_t i = 0; i < n; i++)
                d->hash = (d->hash ^ (uint8_t) text[i]) * 0x100000001b3;
        d->hash = (d->hash ^ (uint64_t) (256 + priority)) * 0x100000001b3;
        d->hash = (d->hash ^ d->splitter->line) * 0x100000001b3;
        assert(d->splitter->line >= d->next && d->splitter->line < d->splitter->position);
        d->next = d->splitter->line + 1;
        d->n_lines++;
        d->n_bytes += n;
}

/* In pieces of @first and @then bytes by turns, each of its exact size for the sanitizers. */
static Digest split(const uint8_t *data, size_t n, size_t first, size_t then) {
        LineSplitter s = {};
        Digest d = {.splitter = &s};

        for (size_t k = first; n > 0; k = k == first ? then : first) {
                size_t size = MIN(n, k);
                _cleanup_free_ uint8_t *copy = malloc(size);

                assert(copy);
                memcpy(copy, data, size);
                line_splitter_feed(&s, copy, size, on_line, &d);
                assert(s.n_cells <= s.size && s.size <= LINE_MAX_SIZE && s.column < 2 * LINE_MAX_SIZE);
                assert(s.n_allocated <= LINE_MAX_SIZE);
                assert(line_splitter_resume(&s) <= s.position && s.position - line_splitter_resume(&s) <= LINE_RESUME_MAX);
                data += size;
                n -= size;
        }

        line_splitter_flush(&s, on_line, &d);
        assert(line_splitter_is_empty(&s));
        line_splitter_clear(&s);
        return d;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 2 || size > 65536)
                return 0;

        Digest whole = split(data + 2, size - 2, size, size);
        Digest cut = split(data + 2, size - 2, 1U + data[0], 1U + data[1]);

        assert(whole.hash == cut.hash && whole.n_lines == cut.n_lines && whole.n_bytes == cut.n_bytes);
        return 0;
}
