/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "config.h"

/*
 * ConfigReader: reads everything that a reload needs in a thread, because a file or a token (PKCS#11) may take a long time or
 * never respond: vspc.conf, the certificate and its key, the files of trusted certificates, and whether there are hooks. There
 * is one reading at a time.
 */
typedef struct ConfigReader ConfigReader;

/* The result of a reading */
typedef struct Reading {
        int result; /* 0; or -EINVAL: the present configuration must be kept, and only `problems` is valid */
        Config config;
        TlsContexts contexts;
        bool has_hooks;
        Problems problems;
} Reading;

void reading_done(Reading *r);

/* Called in the event loop when a reading has ended. May take members out of @reading, the rest of which is freed afterwards.
 * */
typedef void (*ReadingHandler)(Reading *reading, void *userdata);

/* A reading that takes longer has failed. This is less than "vspcd --reload" waits for an answer. */
#define CONFIG_READER_USEC (60 * USEC_PER_SEC)

/* If so many threads of failed readings have not ended, further readings fail at once. */
#define CONFIG_READER_HANGING_MAX 4U

/* @path: see config_load(). @worker, @ticket_key: see tls_contexts_load(). @duration: CONFIG_READER_USEC, except in tests. All
 * pointers are borrowed. Returns: 0 or a negative errno. */
int config_reader_new(sd_event *event, const char *path, TlsWorker *worker, TicketKey *ticket_key, usec_t duration,
                      ReadingHandler handler, void *userdata, ConfigReader **ret);

/* Waits one second at most for a reading that is in progress. Returns: NULL. */
ConfigReader *config_reader_free(ConfigReader *r);
DEFINE_TRIVIAL_CLEANUP_FUNC(ConfigReader *, config_reader_free);

/* Begins a reading; there must be none in progress. The handler is called once. @before: the present configuration, which is
 * copied. */
void config_reader_begin(ConfigReader *r, const Config *before);
bool config_reader_is_busy(const ConfigReader *r);
