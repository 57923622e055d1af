/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/settings.h"
#include "log/console-log.h"
#include "problems.h"
#include "tls.h"

/* Bytes of Backend=, a NUL included */
#define CONFIG_BACKEND_MAX 1024U

/*
 * Config: vspc.conf and its drop-ins. INI by inih, values and precedence by systemd's rules: the main file is
 * the first found in /etc, /run, /usr/lib; then come the *.conf in vspc.conf.d of all three in the order of
 * their names, one in /etc hiding its namesake in /run and that its namesake in /usr/lib.
 *
 * What is wrong in a file is a problem that says where it is and what would be right.
 */
typedef struct Config {
        Settings settings;
        char backend[CONFIG_BACKEND_MAX]; /* Backend=, see store/plug-in.h */
        usec_t hook_timeout_usec;
        ConsoleLogSettings console_log;
        TlsSettings tls;
        uint64_t bad_keys; /* a bit for each key (config-key.c) that was given a value which it does not take */
} Config;

/* A bound on what one file may hold */
#define CONFIG_FILE_SIZE_MAX (1024U * 1024U)

/* Built-in defaults, and those from the environment that vSPC.py's users have (SUPPORT_MULTI_CONSOLE=,
 * VM_CLIENT_LIMIT=). */
void config_init(Config *c, Problems *p);
void config_done(Config *c);

/* Returns: 0 or -ENOMEM, and then *ret is not touched. */
int config_copy(const Config *c, Config *ret);

/* Adds what @path says or, where that is NULL, what the files of the system say. Returns: 0, or a negative errno if
 * @path cannot be read or memory is short. */
int config_load(Config *c, const char *path, Problems *p);

/* What it means that this has returned @error, for people. */
const char *config_strerror(int error);

/* For tests: from memory; @name stands for the file in messages. Returns as config_load() does. */
int config_load_text(Config *c, const char *name, const char *text, size_t size, Problems *p);

/* For a reload: keys that were given a value which they do not take get the value that they have in @before. Returns:
 * 0 or -ENOMEM. */
int config_keep(Config *c, const Config *before, Problems *p);
