/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include "admin/admin.h"
#include "hooks/hooks.h"
#include "manager.h"
#include "store/plug-in.h"

/* STATUS= follows what happens, but not each of a thousand VMs that connect at once. */
#define STATUS_DELAY_USEC (200 * USEC_PER_MSEC)

struct Manager {
        sd_event *event;
        const char *config_path;
        Concentrator *concentrator;
        char backend[CONFIG_BACKEND_MAX]; /* as it was at the start */
        Store *store;
        Hooks *hooks;
        ConsoleLog *console_log;
        Admin *admin;
        TicketKey *ticket_key;
        bool tls_failed;      /* the certificate could not be loaded */
        bool admin_in_tls;    /* there is an admin-tls socket */
        bool admin_is_open;   /* … where nobody has to show a certificate */

        ConcentratorObserver observer;
        sd_event_source *status_timer;
};

static int config_reload(const Manager *m, Config *ret) {
        Config config;

        config_init(&config);
        int r = m->config_path ? config_load_file(&config, m->config_path) : config_load_system(&config);
        if (r < 0) {
                config_done(&config);
                return r;
        }

        *ret = config;
        return 0;
}

/* All descriptors that the system lets us have, for a VM may need two. */
static unsigned raise_descriptor_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return FD_SETSIZE;

        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                (void) getrlimit(RLIMIT_NOFILE, &limit);

        return (unsigned) MIN(limit.rlim_cur, (rlim_t) INT32_MAX);
}

/* A certificate that is of no use leaves what there was: the old one, or none. */
static void manager_load_tls(Manager *m, const TlsSettings *settings) {
        _cleanup_(tls_contexts_done) TlsContexts contexts = {};

        m->tls_failed = tls_contexts_load(settings, m->concentrator->tls_worker, m->ticket_key, &contexts) < 0;
        if (m->tls_failed)
                log_error("%s", m->concentrator->tls ? "TLS goes on with the certificate that it had"
                                                     : "There is no TLS until this is mended and reloaded");
        else {
                concentrator_set_tls(m->concentrator, contexts.vm);
                admin_set_tls(m->admin, contexts.admin);
                m->admin_is_open = contexts.admin && !tls_context_wants_certificate(contexts.admin);
        }
}

static int on_status(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        Manager *m = userdata;
        const Concentrator *c = m->concentrator;

        unsigned n_clients = c->n_clients - c->n_clients_gone;
        int store = store_error(m->store), files = console_log_error(m->console_log);

        (void) sd_notifyf(false, "STATUS=%u %s, %u %s%s%s%s%s%s", c->n_connected, c->n_connected == 1 ? "VM" : "VMs",
                          n_clients, n_clients == 1 ? "client" : "clients",
                          store < 0 ? ", ports cannot be stored: " : "", store < 0 ? strerror(-store) : "",
                          files < 0 ? ", consoles cannot be logged to files: " : "",
                          files < 0 ? strerror(-files) : "",
                          m->tls_failed ? ", the certificate cannot be loaded" : "");
        return 0;
}

static void manager_update_status(Manager *m) {
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(m->status_timer, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;

        (void) sd_event_source_set_time(m->status_timer, event_now(m->event) + STATUS_DELAY_USEC);
        (void) sd_event_source_set_enabled(m->status_timer, SD_EVENT_ONESHOT);
}

/* What is as it was asked for, and perhaps not as it was meant. vspc.service lets only this machine through to VM
 * ports: who tries from elsewhere gets no answer at all, and nothing else would say why. */
static void manager_advise(const Manager *m) {
        const Settings *settings = &m->concentrator->settings;

        (void) tls_check_required(settings, m->concentrator->tls);
        if (m->admin_in_tls && m->admin_is_open)
                log_warning("Whoever can reach the admin-tls socket can use all consoles: TrustedCAFile= is not set");
        if (settings->vm_ports && !address_is_loopback(&settings->vm_port_address) && getenv("INVOCATION_ID"))
                log_notice("VM ports are not only for this machine (VMPortAddress=): where clients may connect "
                           "from has to be in IPAddressAllow= of vspc.service, see vspc.conf(5)");
}

static int on_reload(_unused_ sd_event_source *source, _unused_ const struct signalfd_siginfo *si,
                     void *userdata) {
        Manager *m = userdata;
        Config config;

        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_monotonic());

        int r = config_reload(m, &config);
        if (r < 0)
                log_error_errno(r, "Cannot read %s, the configuration stays as it was: %m", m->config_path);
        else {
                if (!streq(config.backend, m->backend))
                        log_warning("Backend= cannot change at run time, it takes effect after a restart");
                concentrator_set_settings(m->concentrator, &config.settings);
                hooks_reload(m->hooks, config.hook_timeout_usec);
                console_log_reload(m->console_log, &config.console_log);
                manager_load_tls(m, &config.tls);
                manager_advise(m);
                manager_update_status(m);
                config_done(&config);
                log_info("Configuration reloaded");
        }

        (void) sd_notify(false, "READY=1");
        return 0;
}

static void on_console_event(ConcentratorObserver *observer, _unused_ Console *console, ConsoleEvent event,
                             _unused_ const Client *client) {
        Manager *m = container_of(observer, Manager, observer);

        if (event != CONSOLE_RENAMED)
                manager_update_status(m);
}

/* What the store or the console log says of its errors */
static void on_error_changed(void *userdata) {
        manager_update_status(userdata);
}

static int manager_open_store(Manager *m, const char *name) {
        const StoreBackend *backend;
        const char *argument;

        int r = backend_find(name, &backend, &argument);
        if (r < 0)
                return r;

        strcpy(m->backend, name);
        return store_new(backend, argument, m->concentrator, on_error_changed, m, &m->store);
}

int manager_new(Config *config, const char *config_path, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = calloc(1, sizeof(Manager));
        if (!m)
                return log_error_errno(ENOMEM, "Cannot start: %m");

        m->config_path = config_path;

        int r = sd_event_new(&m->event);
        if (r < 0)
                return log_error_errno(r, "Cannot make an event loop: %m");

        /* Does nothing unless systemd asks for it (WatchdogSec=). */
        r = sd_event_set_watchdog(m->event, true);
        if (r < 0)
                log_warning_errno(r, "Cannot serve systemd's watchdog: %m");

        const struct {
                int signal;
                sd_event_signal_handler_t handler;
        } signals[] = {
                {SIGTERM, NULL}, /* ends the loop */
                {SIGINT, NULL},
                {SIGHUP, on_reload},
        };
        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                r = sd_event_add_signal(m->event, NULL, signals[i].signal, signals[i].handler,
                                        signals[i].handler ? m : NULL);
                if (r < 0)
                        return log_error_errno(r, "Cannot handle signal %s: %m", strsignal(signals[i].signal));
        }

        r = sd_event_add_time(m->event, &m->status_timer, CLOCK_MONOTONIC, 0, STATUS_DELAY_USEC, on_status, m);
        if (r < 0)
                return log_error_errno(r, "Cannot set a timer: %m");
        (void) sd_event_source_set_enabled(m->status_timer, SD_EVENT_OFF);

        r = concentrator_new(m->event, &config->settings, raise_descriptor_limit(), &m->concentrator);
        if (r < 0)
                return log_error_errno(r, "Cannot make the concentrator: %m");

        r = manager_open_store(m, config->backend);
        if (r < 0)
                return r;

        /* After the store, so that they are not told of VMs that are known already. */
        r = hooks_new(m->concentrator, config->hook_timeout_usec, &m->hooks);
        if (r < 0)
                return log_error_errno(r, "Cannot tell hooks what happens: %m");

        r = console_log_new(m->concentrator, &config->console_log, on_error_changed, m, &m->console_log);
        if (r < 0)
                return log_error_errno(r, "Cannot log consoles: %m");

        r = admin_new(m->concentrator, &m->admin);
        if (r < 0)
                return log_error_errno(r, "Cannot answer queries: %m");

        r = ticket_key_new(secure_getenv("RUNTIME_DIRECTORY"), &m->ticket_key);
        if (r < 0)
                return log_error_errno(r, "Cannot have VMs resume sessions of TLS: %m");

        manager_load_tls(m, &config->tls);
        m->observer.notify = on_console_event;
        concentrator_observe(m->concentrator, &m->observer);

        *ret = TAKE_PTR(m);
        return 0;
}

Manager *manager_free(Manager *m) {
        admin_freep(&m->admin);
        hooks_freep(&m->hooks);
        console_log_freep(&m->console_log);
        store_freep(&m->store);
        if (m->concentrator && m->observer.notify)
                concentrator_unobserve(m->concentrator, &m->observer);
        concentrator_freep(&m->concentrator);
        ticket_key_freep(&m->ticket_key);

        sd_event_source_disable_unref(m->status_timer);
        sd_event_unref(m->event);
        free(m);
        return NULL;
}

static int manager_listen(Manager *m, const PassedSocket *socket) {
        switch (socket->kind) {

        case SOCKET_VM:
                return concentrator_add_gate(m->concentrator, socket->fd);

        case SOCKET_ADMIN:
                return admin_listen(m->admin, socket->fd);

        case SOCKET_ADMIN_TLS:
                m->admin_in_tls = true;
                return admin_listen_tls(m->admin, socket->fd);
        }

        return -EINVAL;
}

int manager_add_socket(Manager *m, const PassedSocket *socket) {
        static const char *const users[] = {
                [SOCKET_VM] = "ESXi hosts",
                [SOCKET_ADMIN] = "queries",
                [SOCKET_ADMIN_TLS] = "queries in TLS",
        };
        char text[ADDRESS_TEXT_MAX] = "?";
        SocketAddress address = {};
        socklen_t length = sizeof address;

        if (getsockname(socket->fd, &address.any, &length) >= 0)
                address_format(&address, text);

        int r = manager_listen(m, socket);
        if (r < 0)
                return log_error_errno(r, "Cannot listen on %s: %m", text);

        log_info("Listening on %s for %s", text, users[socket->kind]);
        return 0;
}

int manager_run(Manager *m) {
        manager_advise(m);
        (void) on_status(NULL, 0, m);
        (void) sd_notify(false, "READY=1");

        int r = sd_event_loop(m->event);
        if (r < 0)
                log_error_errno(r, "The event loop has failed: %m");

        (void) sd_notify(false, "STOPPING=1\nSTATUS=Stopping");
        return r;
}
