/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/log.h"
#include "ticket-key.h"

#define FILE_NAME "ticket-key"

struct TicketKey {
        char *path, *new_path; /* NULL: the key is not stored */
        usec_t made;           /* microseconds since 1970; 0: there is no key yet */
        uint8_t secret[TICKET_KEY_SIZE];
};

int ticket_key_new(const char *folder, TicketKey **ret) {
        _cleanup_(ticket_key_freep) TicketKey *k = calloc(1, sizeof(TicketKey));
        if (!k)
                return -ENOMEM;

        int n = folder ? (int) strcspn(folder, ":") : 0;
        if (n > 0 && (asprintf(&k->path, "%.*s/" FILE_NAME, n, folder) < 0 ||
                      asprintf(&k->new_path, "%s.new", k->path) < 0))
                return -ENOMEM;

        *ret = TAKE_PTR(k);
        return 0;
}

TicketKey *ticket_key_free(TicketKey *k) {
        if (!k)
                return NULL;

        explicit_bzero(k->secret, sizeof k->secret);
        free(k->path);
        free(k->new_path);
        free(k);
        return NULL;
}

/* Nobody else may be able to read or write the file, or have been able to. */
static const char *find_problem(const struct stat *st) {
        if (!S_ISREG(st->st_mode))
                return "it is not a regular file";
        if (st->st_uid != geteuid())
                return "it belongs to somebody else";
        if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
                return "others may access it";
        if (st->st_size != TICKET_KEY_SIZE)
                return "it does not have the size of a key";

        return NULL;
}

/* Returns: whether the secret was read from the file. */
static bool read_file(TicketKey *k) {
        struct stat st;

        _cleanup_close_ int fd = open(k->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT)
                return false;

        const char *problem = fd < 0 || fstat(fd, &st) < 0 ? strerror(errno) : find_problem(&st);
        if (!problem && read(fd, k->secret, sizeof k->secret) != (ssize_t) sizeof k->secret)
                problem = "it cannot be read";
        if (problem) {
                log_warning("The key of session tickets in %s is replaced, so ESXi hosts cannot resume their sessions: %s",
                            k->path, problem);
                return false;
        }

        k->made = (usec_t) st.st_mtim.tv_sec * USEC_PER_SEC + (usec_t) st.st_mtim.tv_nsec / 1000;
        return true;
}

/* Writes a new file and renames it, so that readers always find a whole key. O_EXCL: a file left there by an
 * interrupted vspcd is not written into. */
static int write_file(const TicketKey *k) {
        if (unlink(k->new_path) < 0 && errno != ENOENT)
                return -errno;

        _cleanup_close_ int fd = open(k->new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;

        ssize_t n = write(fd, k->secret, sizeof k->secret);
        if (n != (ssize_t) sizeof k->secret)
                return n < 0 ? -errno : -EIO;

        return rename(k->new_path, k->path) < 0 ? -errno : 0;
}

static int make(TicketKey *k) {
        if (gnutls_rnd(GNUTLS_RND_KEY, k->secret, sizeof k->secret) < 0)
                return -EIO;

        k->made = now_realtime();
        int r = k->path ? write_file(k) : 0;
        if (r < 0) {
                /* If the file cannot be written, other processes must not use the old key in it. */
                (void) unlink(k->path);
                (void) unlink(k->new_path);
                (void) log_warning_errno(r, "Cannot store the key of session tickets in %s, so ESXi hosts cannot resume their "
                                         "sessions after a restart: %m", k->path);
        }

        return 0;
}

/* A key from the future was made before the clock was set. */
static bool is_good(const TicketKey *k) {
        usec_t now = now_realtime();

        return k->made > 0 && k->made <= now && now - k->made < TICKET_KEY_USEC;
}

int ticket_key_refresh(TicketKey *k) {
        if (is_good(k) || (k->made == 0 && k->path && read_file(k) && is_good(k)))
                return 0;

        return make(k);
}

int ticket_key_derive(TicketKey *k, const uint8_t purpose[static TICKET_KEY_SIZE],
                      uint8_t ret[static TICKET_KEY_SIZE]) {
        static const char label[] = "vspc session tickets";
        uint8_t info[sizeof label + TICKET_KEY_SIZE];

        int r = ticket_key_refresh(k);
        if (r < 0)
                return r;

        memcpy(info, label, sizeof label);
        memcpy(info + sizeof label, purpose, TICKET_KEY_SIZE);
        r = gnutls_hkdf_expand(GNUTLS_MAC_SHA512, &(gnutls_datum_t){k->secret, sizeof k->secret},
                               &(gnutls_datum_t){info, sizeof info}, ret, TICKET_KEY_SIZE);
        return r < 0 ? -EIO : 0;
}
