/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Faulty backends. This one waits in each put() for the number of seconds in its argument; other faults are chosen
 * by macros when it is built. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <vspc-backend.h>

#define _unused_ __attribute__((unused))

#ifndef SYMBOL
#define SYMBOL vspc_backend
#endif
#ifndef ABI
#define ABI VSPC_BACKEND_ABI
#endif
#ifndef SIZE
#define SIZE sizeof(VspcBackend)
#endif
#ifndef LOAD_RESULT
#define LOAD_RESULT 0
#endif
#ifndef PUT
#define PUT odd_put
#endif

static unsigned seconds;

static int odd_open(const char *argument, void **ret_state) {
        seconds = (unsigned) atoi(argument);
        *ret_state = NULL;
        return 0;
}

static void odd_close(_unused_ void *state) {
}

static int odd_load(_unused_ void *state, _unused_ VspcMappingHandler handler, _unused_ void *userdata) {
        return LOAD_RESULT;
}

_unused_ static int odd_put(_unused_ void *state, const VspcMapping *m) {
        fprintf(stderr, "backend-odd: put %s\n", m->name);
        nanosleep(&(struct timespec){.tv_sec = seconds}, NULL);
        fprintf(stderr, "backend-odd: has put %s\n", m->name);
        return 0;
}

static int odd_remove(_unused_ void *state, _unused_ const char *id) {
        return 0;
}

const VspcBackend SYMBOL = {
        .abi = ABI,
        .size = SIZE,
        .name = "odd",
        .open = odd_open,
        .close = odd_close,
        .load = odd_load,
        .put = PUT,
        .remove = odd_remove,
};
