/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/time.h"
#include "target.h"

/* Arguments: the command line of vspc-client, parsed and checked. Texts are borrowed from argv. */

typedef enum JsonFormat {
        JSON_OFF,
        JSON_SHORT,
        JSON_PRETTY,
} JsonFormat;

typedef enum MetricsFormat {
        METRICS_OPENMETRICS,
        METRICS_PROMETHEUS,
        METRICS_JSON,
} MetricsFormat;

#define ESCAPE_NONE (-1)

/* The maximum of words for journalctl: options and their values */
#define JOURNAL_OPTIONS_MAX 64U

typedef struct Arguments {
        const char *verb; /* NULL: none was given, and words contains at most a VM */
        char **words;     /* after the verb */
        size_t n_words;
        const char *similar_verb; /* if there is no verb: one that is similar to the VM's name, or NULL */

        const char *host, *socket; /* the arguments of --host and --socket, or NULL */
        bool ssh_command;  /* the VM is named by SSH_ORIGINAL_COMMAND */
        bool stdio_bridge; /* be the other end of a Bridge */
        bool tls;
        TrustOptions trust_options;
        Targets targets; /* the same, resolved */
        Trust *trust;    /* NULL: no TLS */
        Bridge *bridge;  /* NULL: not by way of ssh */

        bool no_legend;
        bool no_pager;
        JsonFormat json;
        bool activity;     /* monitor: also events "activity" */
        const char *state; /* list: only VMs in this state; NULL: all */
        MetricsFormat metrics;

        const char *access; /* in Varlink's spelling, or NULL */
        bool no_scrollback;
        bool force;
        bool wait;
        int escape; /* a byte, or ESCAPE_NONE */
        usec_t quiet_for_usec;
        bool quiet_for_given;

        const char *unit; /* log: that has written the entries; without a dot in it, ".service" is added; NULL: not given */
        const char *journal_options[JOURNAL_OPTIONS_MAX];
        size_t n_journal_options;
} Arguments;

/* Also resolves host names. @verbs: ends with NULL. Returns: 1 to continue, 0 to exit (--help), or a negative
 * errno after a message. */
int arguments_parse(int argc, char *argv[], const char *const *verbs, Arguments *ret);
void arguments_done(Arguments *a);
