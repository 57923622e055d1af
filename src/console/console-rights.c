/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may do what at a console. */

#include "console.h"
