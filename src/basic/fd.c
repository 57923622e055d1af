/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fd.h"

#define COPY_SIZE 65536U

int fd_write_all(int fd, const void *data, size_t n) {
        const uint8_t *p = data;

        while (n > 0) {
                ssize_t k = write(fd, p, n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;

                p += k;
                n -= (size_t) k;
        }

        return 0;
}

int fd_copy(int from, int to) {
        _cleanup_free_ uint8_t *data = malloc(COPY_SIZE);

        if (!data)
                return -ENOMEM;

        for (;;) {
                ssize_t n = read(from, data, COPY_SIZE);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : 0;

                int r = fd_write_all(to, data, (size_t) n);
                if (r < 0)
                        return r;
        }
}
