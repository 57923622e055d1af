/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A configuration of any bytes: it is read without a fault, twice the same, and what comes out of it is within the
 * bounds that the daemon relies on. Whatever it said, an empty assignment to each key makes it the default again.
 */

#include "basic/log.h"
#include "console/ring.h"
#include "daemon/config.h"
#include "fuzz.h"
#include "store/plug-in.h"
#include "log/file-name.h"

#define SERVICE_URIS_MAX 1024U

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
        assert(streq(t->certificate_file ?: "", u->certificate_file ?: ""));
        assert(streq(t->key_file ?: "", u->key_file ?: ""));
        assert(streq(t->trusted_ca_file ?: "", u->trusted_ca_file ?: ""));
        assert(streq(t->vm_trusted_ca_file ?: "", u->vm_trusted_ca_file ?: ""));
        assert(streq(t->priority ?: "", u->priority ?: ""));
}

static int load(Config *c, const uint8_t *data, size_t size) {
        int n = config_load_text(c, "fuzz", (const char *) data, size);

        assert(n >= 0 && (size_t) n <= 2 * size);
        test_bounds(c);
        return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char reset[] = "[Concentrator]\nServiceURI=\nMultiConsole=\nVMPorts=\nVMPortAddress=\n"
                                    "VMPortRangeStart=\nVMPortRangeEnd=\nVMExpireSec=\nVMotionTimeoutSec=\n"
                                    "HandshakeTimeoutSec=\nClientLimit=\nScrollbackSize=\nClientBufferSize=\n"
                                    "SlowClient=\nBackend=\nHookTimeoutSec=\n"
                                    "[ConsoleLog]\nJournal=\nFiles=\nPrefix=\nMode=\n"
                                    "[TLS]\nCertificateFile=\nKeyFile=\nTrustedCAFile=\nVMTrustedCAFile=\n"
                                    "StartTLS=\nRequireVMTLS=\nPriority=\n";
        Config c, again, defaults;

        log_set_max_level(LOG_EMERG);
        unsetenv("SUPPORT_MULTI_CONSOLE");
        unsetenv("VM_CLIENT_LIMIT");

        config_init(&c);
        config_init(&again);
        config_init(&defaults);
        test_bounds(&defaults);

        int n = load(&c, data, size);
        if (load(&again, data, size) != n)
                abort();
        test_equal(&c, &again);

        if (load(&c, (const uint8_t *) reset, strlen(reset)) != 0)
                abort();
        test_equal(&c, &defaults);

        config_done(&c);
        config_done(&again);
        config_done(&defaults);
        return 0;
}
