/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Pager: what is written to the standard output goes through less(1) or another pager, as with systemd's programs, if that is a
 * terminal. It obeys the same variables: SYSTEMD_PAGER, PAGER, SYSTEMD_LESS, SYSTEMD_LESSCHARSET and SYSTEMD_PAGERSECURE, see
 * vspc-client(1). Programs named by the first two are run only if the last one is set.
 */

/* Has the standard output and standard error go to a pager from now on, if that is wanted and possible. */
void pager_open(bool wanted);

/* Waits until the user has left the pager. */
void pager_close(void);

/* The descriptor at which a terminal may be: the standard output, also behind a pager */
int pager_terminal(void);
