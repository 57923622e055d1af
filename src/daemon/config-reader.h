/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "config.h"

/*
 * ConfigReader: reads for a reload, in a thread, all that lies in files: vspc.conf, the certificate with its key (which may
 * be in a token), CA files, and whether there are hooks. Any of this may take long, or for ever. One reading at a time.
 */
typedef struct ConfigReader ConfigReader;

/* What has been read */
typedef struct Reading {
        int result; /* 0; or -EINVAL: it cannot replace what is in force, and there is nothing but problems */
        Config config;
        TlsContexts contexts;
        bool has_hooks;
        Problems problems;
} Reading;

void reading_done(Reading *r);

/* May take what it wants out of @reading. */
typedef void (*ReadingHandler)(Reading *reading, void *userdata);

/* A reading that takes longer counts as failed. It is less than what "vspcd --reload" waits for an answer. */
#define CONFIG_READER_USEC (60 * USEC_PER_SEC)

/* If so many readings have not come to their end, there are no more. */
#define CONFIG_READER_HANGING_MAX 4U

/* @path: as for config_load(). @worker, @ticket_key: as for tls_contexts_load(). @duration: CONFIG_READER_USEC but in
 * tests. All are borrowed. */
int config_reader_new(sd_event *event, const char *path, TlsWorker *worker, TicketKey *ticket_key, usec_t duration,
                      ReadingHandler handler, void *userdata, ConfigReader **ret);

/* Does not wait for long. */
ConfigReader *config_reader_free(ConfigReader *r);
DEFINE_TRIVIAL_CLEANUP_FUNC(ConfigReader *, config_reader_free);

/* The handler is called once, from the loop. No reading must be under way. @before: what is in force; it is copied. */
void config_reader_begin(ConfigReader *r, const Config *before);
bool config_reader_is_busy(const ConfigReader *r);
