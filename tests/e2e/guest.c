/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What runs in the simulated VM under gdbserver: something to stop in, and something to read there. */

#include <stdio.h>

static volatile int answer = 6;

static void reached(void) {
        answer *= 7;
}

int main(void) {
        reached();
        printf("the answer is %d\n", answer);
        return 0;
}
