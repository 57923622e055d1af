/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/parse.h"
#include "basic/text.h"
#include "config-key.h"
#include "console/ring.h"
#include "log/file-name.h"
#include "store/plug-in.h"

#define MIB (UINT64_C(1) << 20)
#define SERVICE_URIS_MAX 1024U
#define VALUE_SHOWN_MAX 128U /* bytes of an invalid value in messages */

static int parse_flag(_unused_ const ConfigKey *key, const char *value, void *target) {
        return parse_boolean(value, target);
}

static int parse_span(_unused_ const ConfigKey *key, const char *value, void *target) {
        return parse_sec(value, target);
}

/* 0 and infinity are refused. */
static int parse_timeout(_unused_ const ConfigKey *key, const char *value, void *target) {
        usec_t span;

        int r = parse_sec(value, &span);
        if (r < 0)
                return r;
        if (span < USEC_PER_MSEC || span == USEC_INFINITY)
                return -ERANGE;

        *(usec_t *) target = span;
        return 0;
}

/* Stores a number if it is in the key's range. @r: the result of parsing it. The target has the key's size. */
static int take_number(const ConfigKey *key, int r, uint64_t number, void *target) {
        if (r < 0)
                return r;
        if (number < key->min || number > key->max)
                return -ERANGE;

        if (key->size == sizeof(uint16_t))
                *(uint16_t *) target = (uint16_t) number;
        else if (key->size == sizeof(uint32_t))
                *(uint32_t *) target = (uint32_t) number;
        else
                *(uint64_t *) target = number;
        return 0;
}

static int parse_number(const ConfigKey *key, const char *value, void *target) {
        uint64_t number = 0;
        int r = parse_unsigned(value, UINT64_MAX, &number);

        return take_number(key, r, number, target);
}

static int parse_bytes(const ConfigKey *key, const char *value, void *target) {
        uint64_t number = 0;
        int r = parse_size(value, &number);

        return take_number(key, r, number, target);
}

static int parse_slow_client(_unused_ const ConfigKey *key, const char *value, void *target) {
        static const char *const names[] = {
                [SLOW_CLIENT_SKIP] = "skip",
                [SLOW_CLIENT_WAIT] = "wait",
                [SLOW_CLIENT_DROP] = "drop",
        };

        int found = text_find(names, ELEMENTSOF(names), value);
        if (found >= 0)
                *(SlowClient *) target = (SlowClient) found;
        return MIN(found, 0);
}

static int parse_address(_unused_ const ConfigKey *key, const char *value, void *target) {
        return address_parse(value, target);
}

static int parse_backend(_unused_ const ConfigKey *key, const char *value, void *target) {
        if (!backend_name_is_valid(value))
                return -EINVAL;
        if (strlen(value) >= CONFIG_BACKEND_MAX)
                return -ERANGE;

        strcpy(target, value);
        return 0;
}

/* A URL, to which "#/vm/…" can be appended; "": none */
static int parse_web_url(_unused_ const ConfigKey *key, const char *value, void *target) {
        size_t scheme = strncmp(value, "https://", 8) == 0 ? 8 : strncmp(value, "http://", 7) == 0 ? 7 : 0;

        if (*value && (scheme == 0 || !value[scheme] || value[scheme] == '/'))
                return -EINVAL;
        for (const char *p = value; *p; p++)
                if (*p <= ' ' || *p > '~' || *p == '#')
                        return -EINVAL;
        if (strlen(value) >= WEB_URL_MAX)
                return -ERANGE;

        strcpy(target, value);
        return 0;
}

static int parse_text(_unused_ const ConfigKey *key, const char *value, void *target) {
        char *copy = strdup(value);
        if (!copy)
                return -ENOMEM;

        free(*(char **) target);
        *(char **) target = copy;
        return 0;
}

static int parse_prefix(const ConfigKey *key, const char *value, void *target) {
        return file_name_prefix_is_valid(value) ? parse_text(key, value, target) : -EINVAL;
}

static int parse_file(const ConfigKey *key, const char *value, void *target) {
        return *value == '/' ? parse_text(key, value, target) : -EINVAL;
}

/* A file or, if GnuTLS supports it, the URI of an object in a token */
static int parse_location(const ConfigKey *key, const char *value, void *target) {
        return gnutls_url_is_supported(value) ? parse_text(key, value, target) : parse_file(key, value, target);
}

/* Octal. vspcd itself must be able to write the files that it makes. */
static int parse_mode(_unused_ const ConfigKey *key, const char *value, void *target) {
        mode_t mode = 0;

        if (!*value || strlen(value) > 5)
                return -EINVAL;

        for (; *value; value++) {
                if (*value < '0' || *value > '7')
                        return -EINVAL;
                mode = mode << 3 | (mode_t) (*value - '0');
        }

        if (mode > 0777 || !(mode & 0200))
                return -ERANGE;

        *(mode_t *) target = mode;
        return 0;
}

static size_t count_words(const char *s) {
        size_t n = 0;

        for (s += strspn(s, " \t"); *s; s += strspn(s, " \t"), n++)
                s += strcspn(s, " \t");

        return n;
}

/* URIs separated by spaces. Several assignments add up. */
static int parse_uris(_unused_ const ConfigKey *key, const char *value, void *target) {
        char ***uris = target;
        size_t n = 0, n_new = count_words(value);

        while (*uris && (*uris)[n])
                n++;
        if (n + n_new > SERVICE_URIS_MAX)
                return -ERANGE;

        char **grown = reallocarray(*uris, n + n_new + 1, sizeof(char *));
        if (!grown)
                return -ENOMEM;

        *uris = grown;
        for (; n_new > 0; n_new--, n++) {
                value += strspn(value, " \t");
                size_t length = strcspn(value, " \t");

                grown[n] = strndup(value, length);
                if (!grown[n])
                        return -ENOMEM;
                value += length;
        }
        grown[n] = NULL;

        return 0;
}

#define KEY(section_, name_, parse_, member_, ...)                                                            \
        {.section = section_, .name = name_, .parse = parse_, .offset = offsetof(Config, member_),           \
         .size = sizeof(((Config *) NULL)->member_), __VA_ARGS__}
#define GUARD(section, name, parse, member, doors_, wants_)                                                  \
        KEY(section, name, parse, member, .doors = doors_, .wants = wants_)
#define SETTING(section, name, parse, member, wants_) KEY(section, name, parse, member, .wants = wants_)
#define NUMBER(section, name, parse, member, min_, max_, wants_)                                             \
        KEY(section, name, parse, member, .min = min_, .max = max_, .wants = wants_)

static const ConfigKey keys[] = {
        SETTING("Concentrator", "ServiceURI", parse_uris, settings.service_uris,
                "Port URIs separated by spaces, at most 1024"),
        SETTING("Concentrator", "MultiConsole", parse_flag, settings.multi_console, "yes or no"),
        SETTING("Concentrator", "VMPorts", parse_flag, settings.vm_ports, "yes or no"),
        SETTING("Concentrator", "VMPortAddress", parse_address, settings.vm_port_address,
                "an IPv4 or IPv6 address such as 127.0.0.1"),
        NUMBER("Concentrator", "VMPortRangeStart", parse_number, settings.vm_port_range_start, 1, UINT16_MAX,
                "a port from 1 to 65535"),
        NUMBER("Concentrator", "VMPortRangeEnd", parse_number, settings.vm_port_range_end, 1, UINT16_MAX,
                "a port from 1 to 65535"),
        SETTING("Concentrator", "VMExpireSec", parse_span, settings.vm_expire_usec,
                "a time span such as 1d or 90s, or infinity"),
        SETTING("Concentrator", "VMotionTimeoutSec", parse_timeout, settings.vmotion_timeout_usec,
                "a time span such as 60s"),
        SETTING("Concentrator", "HandshakeTimeoutSec", parse_timeout, settings.handshake_timeout_usec,
                "a time span such as 30s"),
        SETTING("Concentrator", "HookTimeoutSec", parse_timeout, hook_timeout_usec, "a time span such as 30s"),
        NUMBER("Concentrator", "ClientLimit", parse_number, settings.client_limit, 0, UINT32_MAX,
                "a number of clients, or 0 for no limit"),
        NUMBER("Concentrator", "ScrollbackSize", parse_bytes, settings.scrollback_size, 0, 64 * MIB,
                "a size up to 64M such as 16K"),
        NUMBER("Concentrator", "ClientBufferSize", parse_bytes, settings.client_buffer_size, RING_LAG_MIN, 1024 * MIB,
                "a size from 8K to 1G such as 1M"),
        SETTING("Concentrator", "SlowClient", parse_slow_client, settings.slow_client, "skip, wait or drop"),
        NUMBER("Concentrator", "ConnectionMemoryMax", parse_bytes, settings.connection_memory_max, 4 * MIB, 65536 * MIB,
                "a size from 4M to 64G such as 512M"),
        SETTING("Concentrator", "WindowsEnter", parse_flag, settings.windows_enter, "yes or no"),
        SETTING("Concentrator", "WebURL", parse_web_url, settings.web_url,
                "at most 127 bytes such as https://vspc.example.com:9090/vspc"),
        SETTING("Concentrator", "Backend", parse_backend, backend,
                "memory, file or the name of a plug-in"),
        SETTING("ConsoleLog", "Journal", parse_flag, console_log.journal, "yes or no"),
        SETTING("ConsoleLog", "Files", parse_flag, console_log.files, "yes or no"),
        SETTING("ConsoleLog", "Prefix", parse_prefix, console_log.prefix,
                "at most 64 bytes of text that a file's name can begin with"),
        SETTING("ConsoleLog", "Mode", parse_mode, console_log.mode,
                "an octal file mode that lets its owner write, such as 0640"),

        /* Unknown keys in [TLS] close all doors. StartTLS= closes none: after an invalid value it stays yes, which is
         * stricter. */
        GUARD(CONFIG_SECTION_TLS, "CertificateFile", parse_location, tls.certificate_file, DOOR_VM_TLS | DOOR_ADMIN_TLS,
              "the absolute path of a PEM file, or a pkcs11: URI"),
        GUARD(CONFIG_SECTION_TLS, "KeyFile", parse_location, tls.key_file, DOOR_VM_TLS | DOOR_ADMIN_TLS,
              "the absolute path of a PEM file, or a pkcs11: URI"),
        GUARD(CONFIG_SECTION_TLS, "TrustedCAFile", parse_file, tls.trusted_ca_file, DOOR_ADMIN_TLS,
              "the absolute path of a PEM file"),
        GUARD(CONFIG_SECTION_TLS, "VMTrustedCAFile", parse_file, tls.vm_trusted_ca_file, DOOR_VM,
              "the absolute path of a PEM file"),
        GUARD(CONFIG_SECTION_TLS, "StartTLS", parse_flag, settings.start_tls, DOOR_NONE, "yes or no"),
        GUARD(CONFIG_SECTION_TLS, "RequireVMTLS", parse_flag, settings.require_vm_tls, DOOR_VM, "yes or no"),
        GUARD(CONFIG_SECTION_TLS, "RequireVMCertificate", parse_flag, settings.require_vm_certificate, DOOR_VM,
              "yes or no"),
        GUARD(CONFIG_SECTION_TLS, "Priority", parse_text, tls.priority, DOOR_VM_TLS, "a GnuTLS priority string"),
};

static_assert(ELEMENTSOF(keys) <= 64, "each has a bit in Config.bad_keys");

const ConfigKey *config_key_find(const char *section, const char *name, bool *ret_section_known) {
        *ret_section_known = false;

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                if (!streq(keys[i].section, section))
                        continue;
                *ret_section_known = true;
                if (streq(keys[i].name, name))
                        return &keys[i];
        }

        return NULL;
}

const ConfigKey *config_key_guess(const char *name, size_t n) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (strlen(keys[i].name) == n && strncasecmp(keys[i].name, name, n) == 0)
                        return &keys[i];

        return NULL;
}

int config_key_foreach(int (*f)(const ConfigKey *key, Config *to, const Config *from), Config *to, const Config *from) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                int r = f(&keys[i], to, from);
                if (r < 0)
                        return r;
        }

        return 0;
}

int config_key_assign(const ConfigKey *key, Config *c, const char *value) {
        int r = key->parse(key, value, (uint8_t *) c + key->offset);
        if (r < 0)
                config_key_set_bad(key, c);

        return r;
}

static uint64_t key_bit(const ConfigKey *key) {
        return UINT64_C(1) << (key - keys);
}

void config_key_set_bad(const ConfigKey *key, Config *c) {
        c->bad_keys |= key_bit(key);
}

bool config_key_is_bad(const ConfigKey *key, const Config *c) {
        return c->bad_keys & key_bit(key);
}

static bool key_is_text(const ConfigKey *key) {
        return key->parse == parse_text || key->parse == parse_prefix || key->parse == parse_file ||
               key->parse == parse_location;
}

static int key_copy_uris(Config *to, const Config *from) {
        char *const *uris = from->settings.service_uris;
        Settings copy = {};
        size_t n = 0;

        while (uris && uris[n])
                n++;
        if (n > 0 && !(copy.service_uris = calloc(n + 1, sizeof(char *))))
                return -ENOMEM;

        for (size_t i = 0; i < n; i++) {
                copy.service_uris[i] = strdup(uris[i]);
                if (!copy.service_uris[i]) {
                        settings_done(&copy);
                        return -ENOMEM;
                }
        }

        settings_done(&to->settings);
        to->settings.service_uris = copy.service_uris;
        return 0;
}

int config_key_copy(const ConfigKey *key, Config *to, const Config *from) {
        if (key->parse == parse_uris)
                return key_copy_uris(to, from);

        if (!key_is_text(key)) {
                memcpy((uint8_t *) to + key->offset, (const uint8_t *) from + key->offset, key->size);
                return 0;
        }

        const char *text = *(char *const *) ((const uint8_t *) from + key->offset);
        char **place = (char **) ((uint8_t *) to + key->offset);
        if (text)
                return parse_text(key, text, place);

        free(TAKE_PTR(*place));
        return 0;
}

size_t config_key_shown(const ConfigKey *key, const char *value) {
        size_t n = text_fit(value, VALUE_SHOWN_MAX);

        return key->parse == parse_backend ? MIN(n, strcspn(value, ":")) : n;
}
