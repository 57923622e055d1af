/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console/settings.h"
#include "log/console-log.h"
#include "tls.h"

/* Bytes of Backend=, a NUL included */
#define CONFIG_BACKEND_MAX 1024U

/*
 * Config: vspc.conf and its drop-ins. INI by inih, values and precedence by systemd's rules: the main file is
 * the first found in /etc, /run, /usr/lib; then come the *.conf in vspc.conf.d of all three in the order of
 * their names, one in /etc hiding its namesake in /run and that its namesake in /usr/lib.
 *
 * What is wrong in a file is logged with its place and what would be right, and the default stays.
 */
typedef struct Config {
        Settings settings;
        char backend[CONFIG_BACKEND_MAX]; /* Backend=, see store/plug-in.h */
        usec_t hook_timeout_usec;
        ConsoleLogSettings console_log;
        TlsSettings tls;
} Config;

/* A bound on what one file may hold */
#define CONFIG_FILE_SIZE_MAX (1024U * 1024U)

/* Built-in defaults, and those from the environment that vSPC.py's users have (SUPPORT_MULTI_CONSOLE=,
 * VM_CLIENT_LIMIT=). */
void config_init(Config *c);
void config_done(Config *c);

/* Returns: the number of problems found, or a negative errno if @path cannot be read. */
int config_load_file(Config *c, const char *path);

/* The files of the system. Returns: the number of problems found. */
int config_load_system(Config *c);

/* For tests: from memory; @name stands for the file in messages. Returns as config_load_file() does. */
int config_load_text(Config *c, const char *name, const char *text, size_t size);
