/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <getopt.h>
#include <stdio.h>

#include "basic/log.h"
#include "basic/signals.h"
#include "manager.h"

typedef struct Arguments {
        const char *config_path;
        bool check_config;
} Arguments;

static void help(void) {
        printf("vspcd [OPTION…]\n"
               "\n"
               "Serve the serial consoles of vSphere VMs.\n"
               "\n"
               "  -h --help         Show this help and exit\n"
               "     --version      Show the version and exit\n"
               "     --config=FILE  Read this file instead of vspc.conf and its drop-ins\n"
               "     --check-config Say what is wrong with the configuration, if anything, and exit\n"
               "\n"
               "Its sockets come from systemd: \"systemctl start vspc.socket\" starts it. To try it out:\n"
               "  systemd-socket-activate -l 127.0.0.1:13370 --fdname=vm -E STATE_DIRECTORY=. vspcd\n"
               "\n"
               "Environment: VSPC_LOG_LEVEL=debug logs more.\n");
}

/* Returns: 1 to go on, 0 if all is done, a negative errno. */
static int parse_arguments(int argc, char *argv[], Arguments *ret) {
        enum { OPTION_VERSION = 256, OPTION_CONFIG, OPTION_CHECK_CONFIG };
        static const struct option options[] = {
                {"help", no_argument, NULL, 'h'},
                {"version", no_argument, NULL, OPTION_VERSION},
                {"config", required_argument, NULL, OPTION_CONFIG},
                {"check-config", no_argument, NULL, OPTION_CHECK_CONFIG},
                {},
        };
        Arguments a = {};
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {

                case 'h':
                        help();
                        return 0;

                case OPTION_VERSION:
                        puts("vspcd " VSPC_VERSION);
                        return 0;

                case OPTION_CONFIG:
                        a.config_path = optarg;
                        break;

                case OPTION_CHECK_CONFIG:
                        a.check_config = true;
                        break;

                default: /* getopt has said why */
                        fputs("Try \"vspcd --help\".\n", stderr);
                        return -EINVAL;
                }

        if (optind < argc)
                return log_error_errno(EINVAL, "\"%s\" is not understood: vspcd takes options only",
                                       argv[optind]);

        *ret = a;
        return 1;
}

/* Returns: the number of problems, or a negative errno. */
static int load_config(Config *config, const char *path) {
        if (!path)
                return config_load_system(config);

        int r = config_load_file(config, path);
        if (r < 0)
                return log_error_errno(r, "Cannot read %s: %m", path);

        return r;
}

/* Returns: the number of problems, or a negative errno. */
static int check_config(const Config *config, int n_problems) {
        _cleanup_(tls_contexts_done) TlsContexts contexts = {};

        if (n_problems < 0)
                return n_problems;

        int r = tls_contexts_load(&config->tls, NULL, NULL, &contexts);
        if (r >= 0 && tls_check_required(&config->settings, contexts.vm) < 0)
                r++;
        n_problems += r < 0 ? 1 : r;

        if (n_problems == 0)
                puts("The configuration is fine.");
        return n_problems;
}

static int run(Config *config, const Arguments *arguments) {
        _cleanup_(manager_freep) Manager *m = NULL;
        _cleanup_free_ PassedSocket *sockets = NULL;

        int n_sockets = sockets_receive(&sockets);
        if (n_sockets < 0)
                return n_sockets;

        int r = manager_new(config, arguments->config_path, &m);
        if (r < 0)
                return r;

        for (int i = 0; i < n_sockets; i++) {
                r = manager_add_socket(m, &sockets[i]);
                if (r < 0)
                        return r;
        }

        return manager_run(m);
}

static void set_log_level(void) {
        const char *level = getenv("VSPC_LOG_LEVEL");

        if (level && streq(level, "debug"))
                log_set_max_level(LOG_DEBUG);
}

int main(int argc, char *argv[]) {
        Arguments arguments = {};
        Config config;

        log_open("vspcd");
        set_log_level();

        int r = parse_arguments(argc, argv, &arguments);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        config_init(&config);
        r = load_config(&config, arguments.config_path);
        if (r < 0 || arguments.check_config) {
                if (arguments.check_config)
                        r = check_config(&config, r);
                config_done(&config);
                return r != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }

        leave_signals_to_loop(SIGTERM, SIGINT, SIGHUP);
        r = log_start_worker();
        if (r < 0)
                log_warning_errno(r, "Cannot start the logging thread, logging in the foreground: %m");

        r = run(&config, &arguments);

        log_stop_worker();
        config_done(&config);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
