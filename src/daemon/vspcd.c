/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "access-section.h"
#include "basic/log.h"
#include "basic/options.h"
#include "basic/service.h"
#include "basic/worker.h"
#include "manager.h"
#include "reload-client.h"
#include "slow-start.h"
#include "store/plug-in.h"

typedef struct Arguments {
        const char *config_path;
        const char *reload_socket; /* --reload: the admin socket of the vspcd that is to reload; NULL: not given */
        bool check_config;
} Arguments;

static const char help[] =
        "vspcd [OPTION…]\n"
        "\n"
        "Serve the serial consoles of vSphere VMs.\n"
        "\n"
        "  -h --help         Show this help and exit\n"
        "     --version      Show the version and exit\n"
        "     --config=FILE  Read this file instead of vspc.conf and its drop-ins\n"
        "     --check-config Show the mistakes in the configuration, and exit\n"
        "     --reload[=SOCKET]\n"
        "                    Make the running vspcd reload its configuration, show the mistakes\n"
        "                    in it, and exit (default: /run/vspc/admin.socket)\n"
        "\n"
        "vspcd gets its sockets from systemd: run \"systemctl start vspc.socket\". To try it out:\n"
        "  systemd-socket-activate -l 127.0.0.1:13370 --fdname=vm -E STATE_DIRECTORY=. vspcd\n"
        "\n"
        "To log more, set VSPC_LOG_LEVEL=debug in the environment.\n";

static int take_reload(_unused_ const Option *o, const char *value, void *target) {
        ((Arguments *) target)->reload_socket = value ?: RELOAD_SOCKET_DEFAULT;
        return 0;
}

static const Option options[] = {
        {"config", required_argument, .offset = offsetof(Arguments, config_path)},
        {"check-config", no_argument, .offset = offsetof(Arguments, check_config)},
        {"reload", optional_argument, .take = take_reload},
};

static int load_config(Config *config, const char *path, Problems *problems) {
        config_init(config, problems);
        int r = config_load(config, path, problems);
        if (r < 0)
                return log_error_errno(r, "Cannot read %s: %s", path ?: "the configuration", config_strerror(r));

        access_resolve(&config->rights, problems);
        access_advise(&config->rights, problems);
        return 0;
}

/* Checks everything that a start checks: mistakes that would make it fail, and mistakes that would close doors. Stored VMs
 * are not part of the configuration and are not read. */
static int check_config(const Config *config, Problems *problems) {
        _cleanup_(tls_contexts_done) TlsContexts contexts = {};
        const StoreBackend *backend;
        const char *argument;

        tls_contexts_load(&config->tls, &config->settings, NULL, NULL, problems, &contexts);
        int r = backend_find(config->backend, &backend, &argument); /* logs its errors */
        if (r < 0 || problems->n > 0)
                return -EINVAL;

        puts("The configuration is fine.");
        return 0;
}

static int run(Config *config, const Arguments *arguments, Problems *problems, SlowStart **start) {
        _cleanup_(manager_freep) Manager *m = NULL;
        _cleanup_free_ PassedSocket *sockets = NULL;

        int n_sockets = sockets_receive(&sockets);
        if (n_sockets < 0)
                return n_sockets;

        int r = manager_new(config, arguments->config_path, problems, &m);
        if (r < 0)
                return r;

        for (int i = 0; i < n_sockets; i++) {
                r = manager_add_socket(m, &sockets[i]);
                if (r < 0)
                        return r;
        }

        if (*start)
                *start = slow_start_end(*start);
        return manager_run(m);
}

static int serve(Config *config, const Arguments *arguments, Problems *problems, SlowStart **start) {
        service_prepare();
        int r = run(config, arguments, problems, start);

        log_stop_worker();
        return r;
}

static void set_log_level(void) {
        const char *level = getenv("VSPC_LOG_LEVEL");

        if (level && streq(level, "debug"))
                log_set_max_level(LOG_DEBUG);
}

int main(int argc, char *argv[]) {
        Arguments arguments = {};
        Problems problems = {};
        Config config;

        log_open("vspcd");
        set_log_level();

        int r = options_parse(&(Options){"vspcd", help, options, ELEMENTSOF(options)}, argc, argv, &arguments);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        if (arguments.reload_socket || arguments.check_config)
                log_use_lines();
        if (arguments.reload_socket)
                return reload_vspcd(arguments.reload_socket) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        SlowStart *start = NULL;
        if (!arguments.check_config)
                (void) slow_start_begin(&start); /* without it, only a slow start fails */

        r = load_config(&config, arguments.config_path, &problems);
        if (r >= 0)
                r = arguments.check_config ? check_config(&config, &problems) : serve(&config, &arguments, &problems, &start);

        slow_start_endp(&start);
        config_done(&config);
        problems_done(&problems);
        worker_leave_process(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
