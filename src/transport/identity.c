/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <sys/socket.h>

#include "basic/text.h"
#include "identity.h"

/* The kernel's limit for a process (NGROUPS_MAX) */
#define KERNEL_GROUPS_MAX 65536U

/* The maximum bytes of a name in a certificate; longer names are left out */
#define NAME_MAX_SIZE 1024U

static const char *const name_types[] = {"CN", "O", "OU", "DNS", "email", "URI"};

void identity_init_user(Identity *i, uid_t uid) {
        *i = (Identity){.kind = IDENTITY_USER, .uid = uid};
}

bool identity_has_group(const Identity *i, gid_t gid) {
        for (uint32_t k = 0; i->kind == IDENTITY_USER && k < i->n; k++)
                if (i->groups[k] == gid)
                        return true;

        return false;
}

bool identity_add_group(Identity *i, gid_t gid) {
        assert(i->kind == IDENTITY_USER);

        if (identity_has_group(i, gid))
                return true;
        if (i->n >= IDENTITY_GROUPS_MAX)
                return false;

        i->groups[i->n++] = gid;
        return true;
}

static void identity_add_groups(Identity *i, const gid_t *groups, size_t n) {
        for (size_t k = 0; k < n; k++)
                (void) identity_add_group(i, groups[k]);
}

/* For a process with more groups than are kept. *ret_groups: all groups, to be freed, or NULL. Returns: their number. */
static size_t read_many_groups(int fd, gid_t **ret_groups) {
        gid_t none;
        socklen_t size = 0;

        *ret_groups = NULL;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, &none, &size) >= 0 || errno != ERANGE ||
            size > KERNEL_GROUPS_MAX * sizeof(gid_t))
                return 0;

        _cleanup_free_ gid_t *groups = malloc(size);
        if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
                return 0;

        *ret_groups = TAKE_PTR(groups);
        return size / sizeof(gid_t);
}

void identity_init_socket(Identity *i, int fd, uid_t uid, gid_t gid) {
        gid_t groups[IDENTITY_GROUPS_MAX];
        socklen_t size = sizeof groups;

        identity_init_user(i, uid);
        (void) identity_add_group(i, gid);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) >= 0) {
                identity_add_groups(i, groups, size / sizeof(gid_t));
                return;
        }

        _cleanup_free_ gid_t *all = NULL;
        size_t n = read_many_groups(fd, &all);
        identity_add_groups(i, all, n);
}

void identity_keep_group(Identity *i, int fd, gid_t gid) {
        if (i->kind != IDENTITY_USER || i->n < IDENTITY_GROUPS_MAX || identity_has_group(i, gid))
                return;

        _cleanup_free_ gid_t *all = NULL;
        size_t n = read_many_groups(fd, &all);
        for (size_t k = 0; k < n; k++)
                if (all[k] == gid)
                        i->groups[IDENTITY_GROUPS_MAX - 1] = gid;
}

/* Host names and the like are converted to lower case, so that they compare equal. */
static int digest(const char *type, const void *value, size_t n, NameDigest *ret) {
        bool fold = streq(type, "DNS") || streq(type, "email");
        size_t type_size = strlen(type);
        char text[sizeof("email=") + NAME_MAX_SIZE];
        uint8_t hash[32];

        if (n == 0 || n > NAME_MAX_SIZE)
                return -EINVAL;

        memcpy(text, type, type_size);
        text[type_size] = '=';
        for (size_t k = 0; k < n; k++) {
                char c = ((const char *) value)[k];

                text[type_size + 1 + k] = fold && c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
        }
        if (gnutls_hash_fast(GNUTLS_DIG_SHA256, text, type_size + 1 + n, hash) < 0)
                return -EINVAL;

        memcpy(ret->bytes, hash, sizeof ret->bytes);
        return 0;
}

bool identity_add_name(Identity *i, const char *type, const void *value, size_t n) {
        assert(i->kind != IDENTITY_USER);

        i->kind = IDENTITY_CERTIFICATE;
        if (i->n >= IDENTITY_NAMES_MAX || digest(type, value, n, &i->names[i->n]) < 0)
                return false;

        i->n++;
        return true;
}

/* GnuTLS writes "Acme\\, Inc." for "Acme, Inc.", and "\\00" for a NUL (RFC 4514). Returns: the size without escapes. */
static size_t unescape(char *value, size_t size) {
        size_t n = 0;

        for (size_t k = 0; k < size; k++) {
                if (value[k] != '\\' || k + 1 == size)
                        value[n++] = value[k];
                else if (k + 2 < size && text_hex_digit(value[k + 1]) >= 0 && text_hex_digit(value[k + 2]) >= 0) {
                        value[n++] = (char) (text_hex_digit(value[k + 1]) << 4 | text_hex_digit(value[k + 2]));
                        k += 2;
                } else
                        value[n++] = value[++k];
        }

        return n;
}

static void add_subject(Identity *i, gnutls_x509_crt_t certificate, const char *type, const char *oid) {
        char value[NAME_MAX_SIZE + 1];

        for (unsigned k = 0; k < IDENTITY_NAMES_MAX; k++) {
                size_t size = sizeof value;

                int r = gnutls_x509_crt_get_dn_by_oid(certificate, oid, k, 0, value, &size);
                if (r == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
                        return;
                if (r >= 0)
                        (void) identity_add_name(i, type, value, unescape(value, size));
        }
}

static void add_alternative_names(Identity *i, gnutls_x509_crt_t certificate) {
        char value[NAME_MAX_SIZE + 1];

        for (unsigned k = 0; k < IDENTITY_NAMES_MAX; k++) {
                size_t size = sizeof value;

                int type = gnutls_x509_crt_get_subject_alt_name(certificate, k, value, &size, NULL);
                if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
                        return;
                if (type == GNUTLS_SAN_DNSNAME)
                        (void) identity_add_name(i, "DNS", value, size);
                else if (type == GNUTLS_SAN_RFC822NAME)
                        (void) identity_add_name(i, "email", value, size);
                else if (type == GNUTLS_SAN_URI)
                        (void) identity_add_name(i, "URI", value, size);
        }
}

void identity_init_certificate(Identity *i, const gnutls_datum_t *der) {
        gnutls_x509_crt_t certificate;
        uint8_t hash[32];

        *i = (Identity){.kind = IDENTITY_CERTIFICATE};
        if (gnutls_hash_fast(GNUTLS_DIG_SHA256, der->data, der->size, hash) >= 0)
                memcpy(i->certificate.bytes, hash, sizeof i->certificate.bytes);
        if (gnutls_x509_crt_init(&certificate) < 0)
                return;

        if (gnutls_x509_crt_import(certificate, der, GNUTLS_X509_FMT_DER) >= 0) {
                add_subject(i, certificate, "CN", GNUTLS_OID_X520_COMMON_NAME);
                add_alternative_names(i, certificate);
                add_subject(i, certificate, "OU", GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME);
                add_subject(i, certificate, "O", GNUTLS_OID_X520_ORGANIZATION_NAME);
        }
        gnutls_x509_crt_deinit(certificate);
}

bool identity_has_name(const Identity *i, const NameDigest *name) {
        for (uint32_t k = 0; i->kind == IDENTITY_CERTIFICATE && k < i->n; k++)
                if (memcmp(&i->names[k], name, sizeof *name) == 0)
                        return true;

        return false;
}

bool identity_is_same(const Identity *a, const Identity *b) {
        if (a->kind != b->kind)
                return false;

        switch (a->kind) {

        case IDENTITY_USER:
                return a->uid == b->uid;

        case IDENTITY_CERTIFICATE:
                return memcmp(&a->certificate, &b->certificate, sizeof a->certificate) == 0 &&
                       memcmp(&a->certificate, &(NameDigest){}, sizeof a->certificate) != 0;

        default:
                return false;
        }
}

int name_digest_parse(const char *text, NameDigest *ret) {
        size_t n = strcspn(text, "=");

        for (size_t k = 0; text[n] && k < ELEMENTSOF(name_types); k++)
                if (strlen(name_types[k]) == n && strncmp(name_types[k], text, n) == 0)
                        return digest(name_types[k], text + n + 1, strlen(text + n + 1), ret);

        return -EINVAL;
}
