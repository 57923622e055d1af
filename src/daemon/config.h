/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/rights.h"
#include "console/settings.h"
#include "log/console-log.h"
#include "problems.h"
#include "tls.h"

/* Bytes of Backend=, including a NUL */
#define CONFIG_BACKEND_MAX 1024U

/*
 * Config: the content of vspc.conf and its drop-ins. The files are INI files (parsed by inih); values and precedence follow
 * systemd's rules: the main file is the first one found in /etc/vspc, /run/vspc and /usr/lib/vspc; then come the drop-ins, the
 * files *.conf in vspc.conf.d in all three folders, sorted by name. If several drop-ins have the same name, only the first one
 * in this order of folders is used.
 *
 * A mistake in a file is added to Problems, with its place and what would be correct.
 */
typedef struct Config {
        Settings settings;
        char backend[CONFIG_BACKEND_MAX]; /* Backend=, see store/plug-in.h */
        usec_t hook_timeout_usec;
        ConsoleLogSettings console_log;
        TlsSettings tls;
        Rights rights;     /* sections [Access]; to be completed by access_resolve() */
        uint64_t bad_keys; /* a bit for each key (config-key.c) that was given an invalid value */
} Config;

/* The maximum size of a file in bytes */
#define CONFIG_FILE_SIZE_MAX (1024U * 1024U)

/* Sets the defaults: the built-in ones, and those in environment variables of vSPC.py (SUPPORT_MULTI_CONSOLE=,
 * VM_CLIENT_LIMIT=). */
void config_init(Config *c, Problems *p);
void config_done(Config *c);

/* *ret: a deep copy, to be freed by config_done(). Returns: 0 or -ENOMEM. */
int config_copy(const Config *c, Config *ret);

/* Reads the file @path; NULL: the system's files. Returns: 0, or a negative errno if @path cannot be read, or -ENOMEM. */
int config_load(Config *c, const char *path, Problems *p);

/* Returns: a description of an error of config_load(). */
const char *config_strerror(int error);

/* For tests: reads from memory. @name: the name of the file in messages. Returns: the values of config_load(). */
int config_load_text(Config *c, const char *name, const char *text, size_t size, Problems *p);

/* For a reload: sets keys that were given an invalid value to their values in @before. Returns: 0 or -ENOMEM. */
int config_keep(Config *c, const Config *before, Problems *p);
