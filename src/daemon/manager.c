/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "admin/admin.h"
#include "basic/service.h"
#include "basic/text.h"
#include "config-reader.h"
#include "console/message.h"
#include "hooks/hooks.h"
#include "manager.h"
#include "store/plug-in.h"

/* STATUS= is updated this long after a change, so that thousands of VMs that connect at once cause only a few updates. */
#define STATUS_DELAY_USEC (200 * USEC_PER_MSEC)

/* Bytes of a problem in STATUS= */
#define STATUS_PROBLEM_MAX 512U

struct Manager {
        Service service;
        const char *config_path;
        Config config; /* the configuration in force */
        Concentrator *concentrator;
        char backend[CONFIG_BACKEND_MAX]; /* the backend in use: a reload does not change it */
        Store *store;
        Hooks *hooks;
        ConsoleLog *console_log;
        Admin *admin;
        TicketKey *ticket_key;
        bool admin_in_tls;  /* there is an admin-tls socket */
        bool admin_is_open; /* the admin-tls socket needs no client certificate */

        /* The doors closed by mistakes in [TLS] of the configuration in force, and a problem to show: of that
         * configuration, or of the last reload that failed */
        Doors closed;
        bool vm_tls_failed;
        bool anonymous_refused;
        char *problem; /* NULL: nothing, or there was no memory for it */
        bool has_problem, reload_refused;

        ConfigReader *reader;
        uint64_t n_reloads; /* reloads that have begun */
        bool reload_again;  /* another reload has been requested since the current one began */

        ConcentratorObserver observer;
        sd_event_source *status_timer;
};

/* Raises the limit of descriptors to the maximum: a VM needs two. Returns: the limit. */
static unsigned raise_descriptor_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return FD_SETSIZE;

        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                (void) getrlimit(RLIMIT_NOFILE, &limit);

        return (unsigned) MIN(limit.rlim_cur, (rlim_t) INT32_MAX);
}

static void manager_set_problem(Manager *m, Problems *p) {
        free(m->problem);
        m->problem = TAKE_PTR(p->doubt);
        m->has_problem = p->n_doubts > 0;
}

/* Applies the sections [Access]. Takes over the content of @rights. */
static void manager_set_rights(Manager *m, Rights *rights, const Problems *p) {
        rights->in_doubt = p->doors & DOOR_ANONYMOUS;
        m->anonymous_refused = rights->in_doubt;
        if (rights_equal(rights, concentrator_rights(m->concentrator)))
                return;

        concentrator_set_rights(m->concentrator, rights);
        admin_rights_changed(m->admin);
}

/* Applies [TLS]. Problems in it close doors. */
static void manager_set_tls(Manager *m, const TlsContexts *contexts, Problems *p) {
        TlsContext *vm = p->doors & DOOR_VM_TLS ? NULL : contexts->vm;

        m->closed = tls_closed_doors(&m->config.tls, &m->config.settings, p);
        m->vm_tls_failed = p->doors & DOOR_VM_TLS;
        manager_set_problem(m, p);

        if (vm)
                (void) ticket_key_refresh(m->ticket_key); /* on failure, the next handshake tries again */
        concentrator_set_tls(m->concentrator, vm);
        concentrator_set_closed(m->concentrator, m->closed & DOOR_VM);
        if (m->closed & DOOR_ADMIN_TLS)
                admin_close_tls(m->admin);
        else
                admin_set_tls(m->admin, contexts->admin);
        tls_contexts_log(contexts);
        m->admin_is_open = !(m->closed & DOOR_ADMIN_TLS) && contexts->admin &&
                           !tls_context_wants_certificate(contexts->admin);
}

/* Returns: a description of what the problem causes. */
static const char *manager_describe_effect(const Manager *m) {
        bool vm = m->closed & DOOR_VM, admin = m->admin_in_tls && m->closed & DOOR_ADMIN_TLS;

        if (vm)
                return admin ? "ESXi hosts and admin connections with TLS are refused" : "ESXi hosts are refused";
        if (admin)
                return m->vm_tls_failed ? "TLS with ESXi hosts is off, and admin connections with TLS are refused"
                                        : "admin connections with TLS are refused";
        if (m->vm_tls_failed)
                return "TLS with ESXi hosts is off";
        if (m->anonymous_refused)
                return "clients without a name are refused";

        return m->reload_refused ? "the configuration could not be reloaded" : "something is wrong in [TLS]";
}

static int on_status(_unused_ sd_event_source *source, _unused_ usec_t usec, void *userdata) {
        Manager *m = userdata;
        const ConcentratorCounts *n = concentrator_counts(m->concentrator);
        int store = store_error(m->store), logging = 0;
        const char *problem = m->problem ?: "see the log", *not_logged = console_log_problem(m->console_log, &logging);

        _cleanup_free_ char *text =
                text_format("%u %s, %u %s%s%s%s%s%s%s%s%s%s%.*s", n->n_connected, n->n_connected == 1 ? "VM" : "VMs",
                            n->n_clients, n->n_clients == 1 ? "client" : "clients",
                            store < 0 ? ", ports cannot be stored: " : "", store < 0 ? strerror(-store) : "",
                            not_logged ? ", " : "", not_logged ?: "", not_logged ? ": " : "",
                            not_logged ? strerror(-logging) : "",
                            m->has_problem ? ", " : "", m->has_problem ? manager_describe_effect(m) : "",
                            m->has_problem ? ": " : "",
                            m->has_problem ? (int) text_fit(problem, STATUS_PROBLEM_MAX) : 0, problem);
        if (text)
                notifier_set_status(m->service.notifier, text);
        return 0;
}

static void manager_update_status(Manager *m) {
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(m->status_timer, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;

        (void) sd_event_source_set_time(m->status_timer, event_now(m->service.loop) + STATUS_DELAY_USEC);
        (void) sd_event_source_set_enabled(m->status_timer, SD_EVENT_ONESHOT);
}

/* Warns of settings that are valid, but may have unexpected effects. vspc.service allows only this machine to connect to VM
 * ports: connections from elsewhere get no answer, and nothing else would explain this. */
static void manager_advise(const Manager *m) {
        const Settings *settings = concentrator_settings(m->concentrator);

        if (m->admin_in_tls && m->admin_is_open)
                log_warning("Everybody who can reach the admin-tls socket can use all consoles: TrustedCAFile= is not set");
        if (settings->vm_ports && !address_is_loopback(&settings->vm_port_address) && getenv("INVOCATION_ID"))
                log_notice("VM ports are not only for this machine (VMPortAddress=): where clients may connect "
                           "from has to be in IPAddressAllow= of vspc.service, see vspc.conf(5)");
}

static void warn_of_what_cannot_change(const Manager *m, const Config *config, Problems *p) {
        if (!streq(config->backend, m->backend))
                problems_warn(p, "Backend= cannot change at run time, it takes effect after a restart");
        if (config->settings.multi_console != concentrator_settings(m->concentrator)->multi_console)
                problems_warn(p, "MultiConsole= cannot change at run time, it takes effect after a restart");
}

/* Applies the whole configuration that was read, or nothing of it. Returns: 0 or -EINVAL. */
static int manager_apply(Manager *m, Reading *reading) {
        Config *config = &reading->config, given;
        Problems *p = &reading->problems;

        if (reading->result < 0)
                return reading->result;

        int r = config_copy(config, &given);
        if (r < 0) {
                problems_doubt(p, DOOR_NONE, "Cannot take over the configuration: %s", strerror(-r));
                return -EINVAL;
        }

        warn_of_what_cannot_change(m, config, p);
        manager_set_rights(m, &given.rights, p);
        concentrator_set_settings(m->concentrator, &given.settings);
        hooks_reload(m->hooks, given.hook_timeout_usec, reading->has_hooks);
        console_log_set_settings(m->console_log, &given.console_log);
        config_done(&given);

        config_done(&m->config);
        m->config = TAKE(*config, (Config){});
        manager_set_tls(m, &reading->contexts, p);
        return 0;
}

static void manager_begin_reload(Manager *m) {
        m->n_reloads++;
        notifier_reloading(m->service.notifier);
        config_reader_begin(m->reader, &m->config);
}

/* Returns: the number of the reload that reads the present files. A reload that is under way may have read them too early. */
static uint64_t manager_request_reload(Manager *m) {
        if (config_reader_is_busy(m->reader)) {
                m->reload_again = true;
                return m->n_reloads + 1;
        }

        manager_begin_reload(m);
        return m->n_reloads;
}

static void on_read(Reading *reading, void *userdata) {
        Manager *m = userdata;
        Problems *p = &reading->problems;

        int r = manager_apply(m, reading);
        m->reload_refused = r < 0;
        if (r < 0) {
                const LogFields fields = {.message_id = VSPC_MESSAGE_RELOAD_REFUSED};

                manager_set_problem(m, p);
                (void) log_full(LOG_ERR, 0, &fields, "The configuration has not been reloaded: %s", m->problem ?: "see above");
        } else {
                manager_advise(m);
                log_info("Configuration reloaded");
        }

        (void) on_status(NULL, 0, m);
        notifier_ready(m->service.notifier);
        admin_reloaded(m->admin, m->n_reloads, r, p->text, p->n_kept);
        if (TAKE(m->reload_again, false))
                manager_begin_reload(m);
}

static int on_reload_signal(_unused_ sd_event_source *source, _unused_ const struct signalfd_siginfo *si, void *userdata) {
        (void) manager_request_reload(userdata);
        return 0;
}

static uint64_t on_reload_call(const Peer *who, void *userdata) {
        log_info("Reload requested by %s", who->text);
        return manager_request_reload(userdata);
}

static void on_console_event(ConcentratorObserver *observer, _unused_ Console *console, ConsoleEvent event,
                             _unused_ const Client *client) {
        Manager *m = container_of(observer, Manager, observer);

        if (event != CONSOLE_RENAMED)
                manager_update_status(m);
}

/* Called when an error of the store or of the console log begins, changes or ends. */
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

/* Mistakes in [TLS] do not prevent the start: consoles are needed most when everything else is broken. */
static void manager_load_tls(Manager *m, Problems *p) {
        _cleanup_(tls_contexts_done) TlsContexts contexts = {};

        tls_contexts_load(&m->config.tls, &m->config.settings, concentrator_tls_worker(m->concentrator), m->ticket_key, p,
                          &contexts);
        manager_set_tls(m, &contexts, p);
}

int manager_new(Config *config, const char *config_path, Problems *problems, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = calloc(1, sizeof(Manager));
        if (!m)
                return log_error_errno(ENOMEM, "Cannot start: %m");

        m->config_path = config_path;
        int r = config_copy(config, &m->config);
        if (r < 0)
                return log_error_errno(r, "Cannot start: %m");

        r = service_init(&m->service);
        if (r >= 0)
                r = service_handle_signals(&m->service, NULL, on_reload_signal, m);
        if (r < 0)
                return r;

        r = sd_event_add_time(m->service.loop, &m->status_timer, CLOCK_MONOTONIC, 0, STATUS_DELAY_USEC, on_status, m);
        if (r < 0)
                return log_error_errno(r, "Cannot set a timer: %m");
        (void) sd_event_source_set_enabled(m->status_timer, SD_EVENT_OFF);

        r = concentrator_new(m->service.loop, &config->settings, raise_descriptor_limit(), &m->concentrator);
        if (r < 0)
                return log_error_errno(r, "Cannot make the concentrator: %m");

        r = manager_open_store(m, config->backend);
        if (r < 0)
                return r;

        /* After the store, so that hooks get no events for VMs that it restores. */
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
                return log_error_errno(r, "Cannot prepare the resumption of TLS sessions: %m");

        manager_load_tls(m, problems);
        manager_set_rights(m, &config->rights, problems);
        r = config_reader_new(m->service.loop, config_path, concentrator_tls_worker(m->concentrator), m->ticket_key,
                              CONFIG_READER_USEC, on_read, m, &m->reader);
        if (r < 0)
                return log_error_errno(r, "Cannot reload the configuration: %m");

        admin_set_reload(m->admin, on_reload_call, m);
        m->observer.notify = on_console_event;
        concentrator_observe(m->concentrator, &m->observer);

        *ret = TAKE_PTR(m);
        return 0;
}

Manager *manager_free(Manager *m) {
        config_reader_freep(&m->reader);
        admin_freep(&m->admin);
        hooks_freep(&m->hooks);
        console_log_freep(&m->console_log);
        store_freep(&m->store);
        if (m->concentrator && m->observer.notify)
                concentrator_unobserve(m->concentrator, &m->observer);
        concentrator_freep(&m->concentrator);
        ticket_key_freep(&m->ticket_key);

        sd_event_source_disable_unref(m->status_timer);
        service_done(&m->service);
        config_done(&m->config);
        free(m->problem);
        free(m);
        return NULL;
}

static int manager_listen(Manager *m, const PassedSocket *socket) {
        switch (socket->kind) {

        case SOCKET_VM:
                return concentrator_listen(m->concentrator, socket->fd);

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
                [SOCKET_ADMIN] = "admin connections",
                [SOCKET_ADMIN_TLS] = "admin connections with TLS",
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

static void manager_log_problem(const Manager *m) {
        const LogFields fields = {.message_id = VSPC_MESSAGE_DOOR_CLOSED};

        if (m->has_problem)
                (void) log_full(LOG_ERR, 0, &fields, "Because of a mistake in the configuration %s: %s; correct it, then run "
                                                     "\"systemctl reload vspc.service\"",
                                manager_describe_effect(m), m->problem ?: "see above");
}

int manager_run(Manager *m) {
        manager_advise(m);
        manager_log_problem(m);
        (void) on_status(NULL, 0, m);
        return service_run(&m->service);
}
