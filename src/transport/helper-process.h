/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * HelperProcess: what the helper processes, vspc-hooks and vspc-logger, have in common. The other end is Helper.
 */

/* @name: the program. @purpose: what it does, in lines for --help. Returns: 1 to continue, 0 to exit, or a negative errno, which
 * has been logged. */
int helper_process_parse_arguments(const char *name, const char *purpose, int argc, char *argv[]);

/* Takes over the listening socket from systemd. @name: the program, for messages. Returns: the descriptor, or a negative errno,
 * which has been logged. */
int helper_process_receive_socket(const char *name);
