/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A configuration of any bytes: it is read without a fault, twice the same, and what comes out of it is within the
 * bounds that the daemon relies on. Whatever it said, an empty assignment to each key makes it the default again. A copy
 * is the same, and so is what is kept of it when it is read once more. Sections [Access] are within their bounds, and grant
 * nothing to those who are not named, nor at VMs that are not. Where its bytes say that hosts must speak TLS or
 * show a certificate, they must, or doors are closed.
 */

#include "basic/log.h"
#include "console/ring.h"
#include "daemon/config.h"
#include "fuzz.h"
#include "store/plug-in.h"
#include "log/file-name.h"

#define SERVICE_URIS_MAX 1024U

/* Where no section has "anonymous", and no pattern has "*" or "?" */
static void test_rights_are_only_granted(const Rights *r) {
        bool any_pattern = false, any_anonymous = false;
        const Identity anonymous = {.kind = IDENTITY_ANONYMOUS};
        Identity user;

        identity_init_user(&user, 4000000000U);
        for (size_t i = 0; i < r->n_sections; i++) {
                const RightsSection *s = &r->sections[i];

                for (size_t k = 0; k < s->n[RIGHTS_WHO]; k++) {
                        any_anonymous |= streq(s->words[RIGHTS_WHO][k].text, "anonymous");
                        any_pattern |= s->words[RIGHTS_WHO][k].any || strstr(s->words[RIGHTS_WHO][k].text, "4000000000");
                        assert(*s->words[RIGHTS_WHO][k].text && strlen(s->words[RIGHTS_WHO][k].text) < RIGHTS_WORD_SIZE_MAX);
                }
                for (size_t k = 0; k < s->n[RIGHTS_VMS]; k++) {
                        any_pattern |= !!strpbrk(s->words[RIGHTS_VMS][k].text, "*?") || streq(s->words[RIGHTS_VMS][k].text, "none such");
                        assert(*s->words[RIGHTS_VMS][k].text && strlen(s->words[RIGHTS_VMS][k].text) < RIGHTS_WORD_SIZE_MAX);
                }
                assert(s->may < _RIGHT_MAX);
        }
        if (!rights_exist(r))
                return;

        RightsSet vm = rights_of_vm(r, "none such", "00000000-0000-0000-0000-000000000000~"), who = rights_of_who(r, &user);
        Right right = rights_decide(r, &user, &who, &vm);
        assert(any_pattern || right == RIGHT_NONE);

        who = rights_of_who(r, &anonymous);
        right = rights_decide(r, &anonymous, &who, &vm);
        assert(any_pattern || right == (any_anonymous ? RIGHT_NONE : RIGHT_ADMIN));
        assert(rights_spare_anonymous(r) == !any_anonymous);
}

static void test_rights(const Rights *r) {
        size_t n = 0;

        assert(r->n_sections <= RIGHTS_SECTIONS_MAX && r->n_words <= RIGHTS_WORDS_MAX);
        for (size_t i = 0; i < r->n_sections; i++)
                n += r->sections[i].n[RIGHTS_WHO] + r->sections[i].n[RIGHTS_VMS];
        assert(n == r->n_words);
        test_rights_are_only_granted(r);
}

static void test_rights_equal(const Rights *a, const Rights *b) {
        assert(a->n_sections == b->n_sections && a->n_words == b->n_words && a->n_anonymous == b->n_anonymous);
        for (size_t i = 0; i < a->n_sections; i++) {
                const RightsSection *s = &a->sections[i], *t = &b->sections[i];

                assert(streq(s->place, t->place) && s->may == t->may && s->n[RIGHTS_WHO] == t->n[RIGHTS_WHO] && s->n[RIGHTS_VMS] == t->n[RIGHTS_VMS]);
                for (size_t k = 0; k < s->n[RIGHTS_WHO]; k++)
                        assert(streq(s->words[RIGHTS_WHO][k].text, t->words[RIGHTS_WHO][k].text));
                for (size_t k = 0; k < s->n[RIGHTS_VMS]; k++)
                        assert(streq(s->words[RIGHTS_VMS][k].text, t->words[RIGHTS_VMS][k].text) && s->words[RIGHTS_VMS][k].kind == t->words[RIGHTS_VMS][k].kind);
        }
}

static void test_bounds(const Config *c) {
        const Settings *s = &c->settings;
        size_t n = 0;

        for (; s->service_uris && s->service_uris[n]; n++)
                assert(*s->service_uris[n] && !strpbrk(s->service_uris[n], " \t\n"));
        assert(n <= SERVICE_URIS_MAX);
        assert(n > 0 || !s->service_uris);

        assert(s->vm_port_range_start > 0 && s->vm_port_range_start <= s->vm_port_range_end);
        assert(s->vm_port_address.any.sa_family == AF_INET || s->vm_port_address.any.sa_family == AF_INET6);
        assert(s->vmotion_timeout_usec >= USEC_PER_MSEC && s->vmotion_timeout_usec < USEC_INFINITY);
        assert(s->handshake_timeout_usec >= USEC_PER_MSEC && s->handshake_timeout_usec < USEC_INFINITY);
        assert(s->scrollback_size <= 64U << 20);
        assert(s->client_buffer_size >= RING_LAG_MIN && s->client_buffer_size <= 1U << 30);
        assert(s->slow_client <= SLOW_CLIENT_DROP);
        assert(memchr(c->backend, 0, sizeof c->backend) && backend_name_is_valid(c->backend));
        assert(!c->console_log.prefix || file_name_prefix_is_valid(c->console_log.prefix));
        assert(c->console_log.mode <= 0777 && (c->console_log.mode & 0200));
        assert(!c->tls.certificate_file || *c->tls.certificate_file == '/' ||
               gnutls_url_is_supported(c->tls.certificate_file));
        test_rights(&c->rights);
}

static void test_equal(const Config *a, const Config *b) {
        Settings x = a->settings, y = b->settings;

        assert(!x.service_uris == !y.service_uris);
        for (size_t i = 0; x.service_uris && (x.service_uris[i] || y.service_uris[i]); i++) {
                assert(x.service_uris[i] && y.service_uris[i]);
                assert(streq(x.service_uris[i], y.service_uris[i]));
        }

        assert(memcmp(&x.vm_port_address, &y.vm_port_address, sizeof x.vm_port_address) == 0);
        assert(x.multi_console == y.multi_console && x.vm_ports == y.vm_ports);
        assert(x.vm_port_range_start == y.vm_port_range_start && x.vm_port_range_end == y.vm_port_range_end);
        assert(x.vm_expire_usec == y.vm_expire_usec && x.vmotion_timeout_usec == y.vmotion_timeout_usec);
        assert(x.handshake_timeout_usec == y.handshake_timeout_usec && x.client_limit == y.client_limit);
        assert(x.scrollback_size == y.scrollback_size && x.client_buffer_size == y.client_buffer_size);
        assert(x.slow_client == y.slow_client && streq(a->backend, b->backend));
        const ConsoleLogSettings *l = &a->console_log, *m = &b->console_log;
        assert(l->journal == m->journal && l->files == m->files && l->mode == m->mode);
        assert(streq(l->prefix ?: "", m->prefix ?: ""));

        const TlsSettings *t = &a->tls, *u = &b->tls;
        assert(x.start_tls == y.start_tls && x.require_vm_tls == y.require_vm_tls);
        assert(x.require_vm_certificate == y.require_vm_certificate);
        assert(streq(t->certificate_file ?: "", u->certificate_file ?: ""));
        assert(streq(t->key_file ?: "", u->key_file ?: ""));
        assert(streq(t->trusted_ca_file ?: "", u->trusted_ca_file ?: ""));
        assert(streq(t->vm_trusted_ca_file ?: "", u->vm_trusted_ca_file ?: ""));
        assert(streq(t->priority ?: "", u->priority ?: ""));
}

static size_t load(Config *c, const uint8_t *data, size_t size, Problems *p) {
        assert(config_load_text(c, "fuzz", (const char *) data, size, p) >= 0);
        assert(p->n <= 2 * size && p->n_kept <= p->n && p->n_doubts <= p->n);
        assert(p->n_doubts > 0 || p->doors == DOOR_NONE);
        test_bounds(c);
        return p->n;
}

static const uint8_t *find(const uint8_t *data, size_t size, const char *text) {
        return memmem(data, size, text, strlen(text));
}

/* By what is neither our reader nor inih: only where it is clear what is meant. */
static void test_nothing_in_tls_is_passed_over(const Config *c, const Problems *p, const uint8_t *data, size_t size) {
        static const struct {
                const char *line;
                size_t offset;
        } lines[] = {
                {"\n[TLS]\nRequireVMTLS=yes\n", offsetof(Config, settings.require_vm_tls)},
                {"\n[TLS]\nRequireVMCertificate=yes\n", offsetof(Config, settings.require_vm_certificate)},
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                const uint8_t *found = find(data, size, lines[i].line);
                const char *again = "VM"; /* in what follows: it may be another value for it */

                if (!found || memchr(data, 0, (size_t) (found - data)) || found - data > (ptrdiff_t) CONFIG_FILE_SIZE_MAX / 2)
                        continue;

                const uint8_t *behind = found + strlen(lines[i].line);
                if (!find(behind, (size_t) (data + size - behind), again))
                        assert(*(const bool *) ((const uint8_t *) c + lines[i].offset) || p->doors & DOOR_VM);
        }
}

/* An administrator's reload of the same file */
static void test_reload(const Config *c, const uint8_t *data, size_t size) {
        Problems p = {};
        Config copy, again;

        assert(config_copy(c, &copy) >= 0);
        test_equal(c, &copy);
        test_rights_equal(&c->rights, &copy.rights);

        config_init(&again, &p);
        (void) load(&again, data, size, &p);
        assert(config_keep(&again, &copy, &p) >= 0);
        test_bounds(&again);
        test_equal(&again, &copy);

        config_done(&copy);
        config_done(&again);
        problems_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char reset[] = "[Concentrator]\nServiceURI=\nMultiConsole=\nVMPorts=\nVMPortAddress=\n"
                                    "VMPortRangeStart=\nVMPortRangeEnd=\nVMExpireSec=\nVMotionTimeoutSec=\n"
                                    "HandshakeTimeoutSec=\nClientLimit=\nScrollbackSize=\nClientBufferSize=\n"
                                    "SlowClient=\nBackend=\nHookTimeoutSec=\n"
                                    "[ConsoleLog]\nJournal=\nFiles=\nPrefix=\nMode=\n"
                                    "[TLS]\nCertificateFile=\nKeyFile=\nTrustedCAFile=\nVMTrustedCAFile=\n"
                                    "StartTLS=\nRequireVMTLS=\nRequireVMCertificate=\nPriority=\n";
        Problems p = {}, p_again = {}, p_reset = {}, none = {};
        Config c, again, defaults;

        log_set_max_level(LOG_EMERG);
        unsetenv("SUPPORT_MULTI_CONSOLE");
        unsetenv("VM_CLIENT_LIMIT");

        config_init(&c, &none);
        config_init(&again, &none);
        config_init(&defaults, &none);
        test_bounds(&defaults);

        size_t n = load(&c, data, size, &p);
        if (load(&again, data, size, &p_again) != n || p.doors != p_again.doors)
                abort();
        test_equal(&c, &again);
        test_rights_equal(&c.rights, &again.rights);
        test_nothing_in_tls_is_passed_over(&c, &p, data, size);
        test_reload(&c, data, size);

        if (load(&c, (const uint8_t *) reset, strlen(reset), &p_reset) != 0)
                abort();
        test_equal(&c, &defaults);

        config_done(&c);
        config_done(&again);
        config_done(&defaults);
        problems_done(&p);
        problems_done(&p_again);
        return 0;
}
