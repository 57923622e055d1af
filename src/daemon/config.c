/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glob.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>

#include "basic/parse.h"
#include "basic/text.h"
#include "config.h"
#include "console/ring.h"
#include "log/file-name.h"
#include "store/plug-in.h"

#define SCROLLBACK_SIZE_MAX (UINT64_C(64) << 20)
#define CLIENT_BUFFER_SIZE_MAX (UINT64_C(1) << 30)
#define SERVICE_URIS_MAX 1024U
#define BACKEND_DEFAULT "file"
#define VALUE_SHOWN_MAX 128U /* bytes of a bad value */

/* In the order of precedence */
static const char *const config_folders[] = {"/etc/vspc", "/run/vspc", "/usr/lib/vspc"};

/* Where the reader is, for messages */
typedef struct Reader {
        Config *config;
        const char *name;
        FILE *file;
        unsigned line;
        size_t size;
        bool pending; /* the line has to be an assignment, and has not been one yet */
        int error;
        int n_problems;
} Reader;

static void problem(Reader *r, const char *format, ...) _printf_(2, 3);
static void problem(Reader *r, const char *format, ...) {
        _cleanup_free_ char *message = NULL, *clean = NULL;
        va_list ap;

        va_start(ap, format);
        int n = vasprintf(&message, format, ap);
        va_end(ap);
        if (n < 0)
                message = NULL;
        else
                clean = text_sanitize(message, (size_t) n, LOG_MESSAGE_MAX);

        log_warning("%s:%u: %s", r->name, r->line, clean ?: "out of memory");
        r->n_problems++;
}

/* Each takes a value to its place in the Config. Returns: 0, or a negative errno for what is no such value. */
typedef int (*ValueParser)(const char *value, void *target);

static int parse_flag(const char *value, void *target) {
        return parse_boolean(value, target);
}

static int parse_span(const char *value, void *target) {
        return parse_sec(value, target);
}

/* A timeout that never elapses, or at once, would be none. */
static int parse_timeout(const char *value, void *target) {
        usec_t span;

        int r = parse_sec(value, &span);
        if (r < 0)
                return r;
        if (span < USEC_PER_MSEC || span == USEC_INFINITY)
                return -ERANGE;

        *(usec_t *) target = span;
        return 0;
}

static int parse_port(const char *value, void *target) {
        uint64_t port;

        int r = parse_unsigned(value, UINT16_MAX, &port);
        if (r < 0)
                return r;
        if (port == 0)
                return -ERANGE;

        *(uint16_t *) target = (uint16_t) port;
        return 0;
}

static int parse_count(const char *value, void *target) {
        uint64_t count;

        int r = parse_unsigned(value, UINT32_MAX, &count);
        if (r >= 0)
                *(uint32_t *) target = (uint32_t) count;

        return r;
}

static int parse_scrollback(const char *value, void *target) {
        uint64_t size;

        int r = parse_size(value, &size);
        if (r < 0)
                return r;
        if (size > SCROLLBACK_SIZE_MAX)
                return -ERANGE;

        *(uint64_t *) target = size;
        return 0;
}

static int parse_client_buffer(const char *value, void *target) {
        uint64_t size;

        int r = parse_size(value, &size);
        if (r < 0)
                return r;
        if (size < RING_LAG_MIN || size > CLIENT_BUFFER_SIZE_MAX)
                return -ERANGE;

        *(uint64_t *) target = size;
        return 0;
}

static int parse_slow_client(const char *value, void *target) {
        static const char *const names[] = {
                [SLOW_CLIENT_SKIP] = "skip",
                [SLOW_CLIENT_WAIT] = "wait",
                [SLOW_CLIENT_DROP] = "drop",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(value, names[i])) {
                        *(SlowClient *) target = (SlowClient) i;
                        return 0;
                }

        return -EINVAL;
}

static int parse_address(const char *value, void *target) {
        return address_parse(value, target);
}

static int parse_backend(const char *value, void *target) {
        if (!backend_name_is_valid(value))
                return -EINVAL;
        if (strlen(value) >= CONFIG_BACKEND_MAX)
                return -ERANGE;

        strcpy(target, value);
        return 0;
}

static int parse_text(const char *value, void *target) {
        char *copy = strdup(value);
        if (!copy)
                return -ENOMEM;

        free(*(char **) target);
        *(char **) target = copy;
        return 0;
}

static int parse_prefix(const char *value, void *target) {
        return file_name_prefix_is_valid(value) ? parse_text(value, target) : -EINVAL;
}

static int parse_file(const char *value, void *target) {
        return *value == '/' ? parse_text(value, target) : -EINVAL;
}

/* A file or, where GnuTLS can, something in a token */
static int parse_location(const char *value, void *target) {
        return gnutls_url_is_supported(value) ? parse_text(value, target) : parse_file(value, target);
}

/* Octal. vspcd itself has to be able to write what it has made. */
static int parse_mode(const char *value, void *target) {
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

/* URIs separated by spaces; several assignments add up. */
static int parse_uris(const char *value, void *target) {
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

typedef struct Key {
        const char *section, *name;
        ValueParser parse;
        size_t offset, size;
        const char *wants; /* completes "wants …" */
} Key;

#define SETTING(section, name, parse, member, wants)                                                        \
        {section, name, parse, offsetof(Config, member), sizeof(((Config *) NULL)->member), wants}

static const Key keys[] = {
        SETTING("Concentrator", "ServiceURI", parse_uris, settings.service_uris,
                "Port URIs separated by spaces, at most 1024"),
        SETTING("Concentrator", "MultiConsole", parse_flag, settings.multi_console, "yes or no"),
        SETTING("Concentrator", "VMPorts", parse_flag, settings.vm_ports, "yes or no"),
        SETTING("Concentrator", "VMPortAddress", parse_address, settings.vm_port_address,
                "an IPv4 or IPv6 address such as 127.0.0.1"),
        SETTING("Concentrator", "VMPortRangeStart", parse_port, settings.vm_port_range_start,
                "a port from 1 to 65535"),
        SETTING("Concentrator", "VMPortRangeEnd", parse_port, settings.vm_port_range_end,
                "a port from 1 to 65535"),
        SETTING("Concentrator", "VMExpireSec", parse_span, settings.vm_expire_usec,
                "a time span such as 1d or 90s, or infinity"),
        SETTING("Concentrator", "VMotionTimeoutSec", parse_timeout, settings.vmotion_timeout_usec,
                "a time span such as 60s"),
        SETTING("Concentrator", "HandshakeTimeoutSec", parse_timeout, settings.handshake_timeout_usec,
                "a time span such as 30s"),
        SETTING("Concentrator", "HookTimeoutSec", parse_timeout, hook_timeout_usec, "a time span such as 30s"),
        SETTING("Concentrator", "ClientLimit", parse_count, settings.client_limit,
                "a number of clients, or 0 for no limit"),
        SETTING("Concentrator", "ScrollbackSize", parse_scrollback, settings.scrollback_size,
                "a size up to 64M such as 16K"),
        SETTING("Concentrator", "ClientBufferSize", parse_client_buffer, settings.client_buffer_size,
                "a size from 8K to 1G such as 1M"),
        SETTING("Concentrator", "SlowClient", parse_slow_client, settings.slow_client, "skip, wait or drop"),
        SETTING("Concentrator", "Backend", parse_backend, backend,
                "memory, file or the name of a plug-in"),
        SETTING("ConsoleLog", "Journal", parse_flag, console_log.journal, "yes or no"),
        SETTING("ConsoleLog", "Files", parse_flag, console_log.files, "yes or no"),
        SETTING("ConsoleLog", "Prefix", parse_prefix, console_log.prefix,
                "at most 64 bytes of text that a file's name can begin with"),
        SETTING("ConsoleLog", "Mode", parse_mode, console_log.mode,
                "an octal file mode that lets its owner write, such as 0640"),
        SETTING("TLS", "CertificateFile", parse_location, tls.certificate_file,
                "the absolute path of a PEM file, or a pkcs11: URI"),
        SETTING("TLS", "KeyFile", parse_location, tls.key_file,
                "the absolute path of a PEM file, or a pkcs11: URI"),
        SETTING("TLS", "TrustedCAFile", parse_file, tls.trusted_ca_file, "the absolute path of a PEM file"),
        SETTING("TLS", "VMTrustedCAFile", parse_file, tls.vm_trusted_ca_file,
                "the absolute path of a PEM file"),
        SETTING("TLS", "StartTLS", parse_flag, settings.start_tls, "yes or no"),
        SETTING("TLS", "RequireVMTLS", parse_flag, settings.require_vm_tls, "yes or no"),
        SETTING("TLS", "Priority", parse_text, tls.priority, "a GnuTLS priority string"),
};

static int parse_environment(const char *name, ValueParser parse, void *target) {
        const char *value = getenv(name);

        return value && *value ? parse(value, target) : 0;
}

static void set_defaults(Config *c) {
        settings_init(&c->settings);
        strcpy(c->backend, BACKEND_DEFAULT);
        console_log_settings_init(&c->console_log);
        c->tls = (TlsSettings){};

        (void) parse_environment("SUPPORT_MULTI_CONSOLE", parse_flag, &c->settings.multi_console);
        c->hook_timeout_usec = 30 * USEC_PER_SEC;
        (void) parse_environment("VM_CLIENT_LIMIT", parse_count, &c->settings.client_limit);
}

void config_init(Config *c) {
        Config ignored;

        set_defaults(c);
        if (parse_environment("SUPPORT_MULTI_CONSOLE", parse_flag, &ignored.settings.multi_console) < 0)
                log_warning("Environment: SUPPORT_MULTI_CONSOLE= wants true or false, not \"%s\"",
                            getenv("SUPPORT_MULTI_CONSOLE"));
        if (parse_environment("VM_CLIENT_LIMIT", parse_count, &ignored.settings.client_limit) < 0)
                log_warning("Environment: VM_CLIENT_LIMIT= wants a number, not \"%s\"",
                            getenv("VM_CLIENT_LIMIT"));
}

void config_done(Config *c) {
        settings_done(&c->settings);
        console_log_settings_done(&c->console_log);
        tls_settings_done(&c->tls);
}

static bool key_is_text(const Key *key) {
        return key->parse == parse_text || key->parse == parse_prefix || key->parse == parse_file ||
               key->parse == parse_location;
}

/* An empty value takes back what was assigned before. */
static void reset_key(Config *c, const Key *key) {
        Config defaults;

        if (key->parse == parse_uris)
                settings_done(&c->settings);
        else if (key_is_text(key))
                free(*(char **) ((uint8_t *) c + key->offset));

        set_defaults(&defaults);
        memcpy((uint8_t *) c + key->offset, (uint8_t *) &defaults + key->offset, key->size);
}

static const Key *find_key(const char *section, const char *name, bool *ret_section_known) {
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

/* Returns: how much of a bad value is for the log: enough to find it by, and not what is behind the colon of Backend=,
 * which may be a password. */
static size_t shown_length(const Key *key, const char *value) {
        size_t n = text_fit(value, VALUE_SHOWN_MAX);

        return key->parse == parse_backend ? MIN(n, strcspn(value, ":")) : n;
}

static void refuse_value(Reader *r, const Key *key, const char *value) {
        size_t n = shown_length(key, value);

        problem(r, "%s= wants %s, not \"%.*s%s\", ignoring it", key->name, key->wants, (int) n, value,
                value[n] ? "…" : "");
}

static int on_assignment(void *userdata, const char *section, const char *name, const char *value) {
        Reader *r = userdata;
        bool section_known;

        r->pending = false;
        const Key *key = find_key(section, name, &section_known);

        if (!key) {
                if (section_known)
                        problem(r, "Unknown key %s= in section [%s], ignoring it", name, section);
                else if (*section)
                        problem(r, "Unknown section [%s], ignoring %s= in it", section, name);
                else
                        problem(r, "%s= stands before any section, it belongs below [Concentrator]", name);
        } else if (!value || !*value)
                reset_key(r->config, key);
        else if (key->parse(value, (uint8_t *) r->config + key->offset) < 0)
                refuse_value(r, key, value);

        return 1;
}

/* inih tells only which was the first line that it could make nothing of. */
static void check_pending(Reader *r) {
        if (TAKE(r->pending, false))
                problem(r, "This is neither a [Section] nor Key=Value");
}

static bool wants_assignment(const Reader *r, const char *line) {
        static const char bom[] = "\xef\xbb\xbf";

        if (r->line == 1 && strncmp(line, bom, strlen(bom)) == 0)
                line += strlen(bom);

        line += strspn(line, " \t\r\v\f");
        if (*line == '[')
                return !strchr(line, ']');

        return *line && !strchr(";#", *line);
}

/* fgets() that knows the number of the line, and that a line may be too long for inih. */
static char *read_line(char *buffer, int size, void *userdata) {
        Reader *r = userdata;
        bool has_nul = false;
        int n = 0, c;

        check_pending(r);

        while ((c = getc_unlocked(r->file)) != EOF && ++r->size <= CONFIG_FILE_SIZE_MAX && c != '\n') {
                has_nul |= c == 0;
                if (n < size - 1)
                        buffer[n++] = (char) c;
        }

        if (c == EOF && ferror(r->file)) {
                r->error = -errno;
                return NULL;
        }
        if (c == EOF && n == 0)
                return NULL;

        r->line++;
        buffer[n] = 0;
        if (n > size - 2)
                problem(r, "The line is longer than %d bytes, ignoring it", size - 2);
        else if (has_nul)
                problem(r, "The line contains a NUL byte, ignoring it");
        if (n > size - 2 || has_nul)
                buffer[0] = 0;

        if (r->size > CONFIG_FILE_SIZE_MAX) {
                problem(r, "The file is larger than %u bytes, ignoring the rest", CONFIG_FILE_SIZE_MAX);
                return NULL;
        }

        r->pending = wants_assignment(r, buffer);
        return buffer;
}

/* To be called when all files have been read: one may give one end of the range, another the other. */
static int check_range(Config *c, const char *name) {
        Settings *s = &c->settings, defaults;

        if (s->vm_port_range_start <= s->vm_port_range_end)
                return 0;

        settings_init(&defaults);
        log_warning("%s: VMPortRangeStart=%u is beyond VMPortRangeEnd=%u, using %u to %u", name,
                    s->vm_port_range_start, s->vm_port_range_end, defaults.vm_port_range_start,
                    defaults.vm_port_range_end);
        s->vm_port_range_start = defaults.vm_port_range_start;
        s->vm_port_range_end = defaults.vm_port_range_end;
        return 1;
}

static int load_stream(Config *c, const char *name, FILE *file) {
        Reader r = {.config = c, .name = name, .file = file};

        if (ini_parse_stream(read_line, &r, on_assignment, &r) < 0)
                return -ENOMEM;

        check_pending(&r);
        return r.error < 0 ? r.error : r.n_problems;
}

static int load_file(Config *c, const char *path) {
        FILE *file = fopen(path, "re");
        if (!file)
                return -errno;

        int n = load_stream(c, path, file);
        fclose(file);
        return n;
}

int config_load_text(Config *c, const char *name, const char *text, size_t size) {
        /* fmemopen() takes no empty buffer. */
        if (size == 0)
                return 0;

        FILE *file = fmemopen((void *) text, size, "r");
        if (!file)
                return -errno;

        int n = load_stream(c, name, file);
        fclose(file);
        return n < 0 ? n : n + check_range(c, name);
}

int config_load_file(Config *c, const char *path) {
        int n = load_file(c, path);

        return n < 0 ? n : n + check_range(c, path);
}

static const char *file_name(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* By name; namesakes in the order of precedence, which is that of their folders' names. */
static int compare_paths(const void *a, const void *b) {
        const char *x = *(char *const *) a, *y = *(char *const *) b;

        return strcmp(file_name(x), file_name(y)) ?: strcmp(x, y);
}

/* One that is there but cannot be read is a problem too. */
static int load_existing(Config *c, const char *path, bool *ret_found) {
        int n = load_file(c, path);

        *ret_found = n != -ENOENT;
        if (n >= 0 || n == -ENOENT)
                return MAX(n, 0);

        log_error_errno(n, "Cannot read %s, going on without it: %m", path);
        return 1;
}

int config_load_system(Config *c) {
        int n_problems = 0;
        bool found = false;
        char path[256];

        for (size_t i = 0; i < ELEMENTSOF(config_folders) && !found; i++) {
                snprintf(path, sizeof path, "%s/vspc.conf", config_folders[i]);
                n_problems += load_existing(c, path, &found);
        }

        glob_t drop_ins = {};
        for (size_t i = 0; i < ELEMENTSOF(config_folders); i++) {
                snprintf(path, sizeof path, "%s/vspc.conf.d/*.conf", config_folders[i]);
                (void) glob(path, i > 0 ? GLOB_APPEND : 0, NULL, &drop_ins);
        }

        char **paths = drop_ins.gl_pathv;
        if (drop_ins.gl_pathc > 0)
                qsort(paths, drop_ins.gl_pathc, sizeof(char *), compare_paths);
        for (size_t i = 0; i < drop_ins.gl_pathc; i++)
                if (i == 0 || !streq(file_name(paths[i - 1]), file_name(paths[i])))
                        n_problems += load_existing(c, paths[i], &found);

        globfree(&drop_ins);
        return n_problems + check_range(c, "vspc.conf and its drop-ins");
}
