/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/log.h"
#include "sim-options.h"
#include "simulation.h"

/* vspc-sim: simulates ESXi hosts for a concentrator, for tests, benchmarks and demonstrations. */

int main(int argc, char **argv) {
        SimOptions options;
        Simulation simulation;
        int r;

        log_open("vspc-sim");

        r = sim_options_parse(argc, argv, &options);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        if (options.verbose)
                log_set_max_level(LOG_DEBUG);

        r = simulation_run(&simulation, &options);
        bool failed = r < 0 || simulation.report.failed;

        /* With --sink=- the standard output contains what clients type. */
        if (r >= 0)
                report_print(&simulation.report, options.sink && streq(options.sink, "-") ? stderr : stdout,
                             options.json ? REPORT_JSON : REPORT_TEXT);

        simulation_done(&simulation);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
