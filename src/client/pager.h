/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Pager: if the standard output is a terminal, shows it with less(1) or another pager, like systemd's programs. The same variables
 * apply: SYSTEMD_PAGER, PAGER, SYSTEMD_LESS, SYSTEMD_LESSCHARSET and SYSTEMD_PAGERSECURE, see vspc-client(1). Programs named by
 * the first two are only run if the last one is set.
 */

/* Sends the standard output and standard error to a pager from now on, if the user wants that and it is possible. */
void pager_open(bool wanted);

/* Waits until the user has left the pager. */
void pager_close(void);

/* Returns: the descriptor that may be a terminal: the original standard output, if there is a pager. */
int pager_terminal(void);
