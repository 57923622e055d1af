/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests of objects in a concentrator: makes one with an event loop of its own, and consoles in it. */

#include "console/console.h"

static sd_event *event;
static Concentrator *concentrator;

static inline void begin_concentrator(Settings *settings) {
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(concentrator_new(event, settings, 1024, &concentrator), 0);
}

/* A test's teardown */
static inline int end(_unused_ void **state) {
        concentrator = concentrator_free(concentrator);
        event = sd_event_unref(event);
        return 0;
}

/* Makes a console that is not announced yet. @n: the first byte of its UUID; the others are 0. */
static inline Console *new_console(uint8_t n) {
        const uint8_t uuid[16] = {n};
        char id[UUID_TEXT_MAX];
        Console *console;

        uuid_format(uuid, id);
        assert_int_equal(console_new(concentrator, id, uuid, "web01", "s0", 0, &console), 0);
        return console;
}
