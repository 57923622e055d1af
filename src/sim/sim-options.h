/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/parse.h"
#include "esxi-hosts.h"

/*
 * SimOptions: the parsed command line of vspc-sim. Strings point into argv.
 */
typedef struct SimOptions {
        EsxiHabits hosts;
        uint64_t in_flight;   /* handshakes at the same time */
        usec_t reconnect_usec; /* after a connection is lost; USEC_INFINITY: never */
        usec_t drop_interval_usec; /* a VM's own disconnects; USEC_INFINITY: none */

        /* The VMs */
        uint64_t count;
        const char *name;
        uint8_t uuid[16];     /* of the first one */
        bool uuid_given;      /* if false, it is derived from the name */
        const char *uri;
        char direction;       /* VMWARE_DIRECTION_* */

        /* What their guests do with the serial port */
        uint64_t rate;        /* bytes per second for each VM; RATE_NONE, RATE_MAX */
        uint64_t bytes;       /* after which a VM's output ends; UINT64_MAX: never */
        const char *source, *sink;
        const char *command;
        bool echo, pipe, exec_once;
        SocketAddress serial; /* of a machine; see sim_options_has_serial() */

        /* vMotion */
        usec_t vmotion_interval_usec; /* USEC_INFINITY: none */
        uint64_t n_vmotions;  /* in total */
        uint64_t abort_each;  /* each vMotion with a multiple of this number is aborted; 0: none */
        bool begin_early;     /* send BEGIN before the VM is identified, to provoke NOTNOW */

        bool dead;            /* nothing is read after the handshake */

        usec_t run_for_usec;  /* USEC_INFINITY: no limit */
        bool exit_when_connected, json, verbose;
} SimOptions;

#define RATE_NONE 0
#define RATE_MAX UINT64_MAX
#define SIM_NAME_MAX 200U /* bytes of --name */

static inline bool sim_options_has_serial(const SimOptions *o) {
        return o->serial.any.sa_family != AF_UNSPEC;
}

/* Returns: whether the output of the guests ends. */
static inline bool sim_options_output_ends(const SimOptions *o) {
        return o->source || o->bytes != UINT64_MAX;
}

/* Returns: 1 to continue, 0 to exit (--help, --version), or a negative errno; errors are shown on stderr. */
int sim_options_parse(int argc, char **argv, SimOptions *ret);
