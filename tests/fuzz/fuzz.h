/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Called by libFuzzer or by driver.c with each input. A target that finds a fault aborts. */

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
