/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "harness.h"
#include "prng.h"

#include <stdio.h>

#include "hooks/hook-queue.h"

typedef struct Fixture {
        HookQueue queue;
        usec_t time;
} Fixture;

static int setup(void **state) {
        *state = calloc(1, sizeof(Fixture));
        return *state ? 0 : -1;
}

/* Whatever a test has done, nothing may be left over. */
static int teardown(void **state) {
        Fixture *f = *state;

        hook_queue_clear(&f->queue);
        assert_null(f->queue.vms);
        assert_null(f->queue.ready);
        assert_int_equal(f->queue.size, 0);
        assert_int_equal(f->queue.n_pending, 0);
        free(f);
        return 0;
}

static int add_named(Fixture *f, const char *id, ConsoleEvent type, const char *name, const char *old_name) {
        const HookEvent e = {
                .type = type,
                .time_usec = ++f->time,
                .id = (char *) id,
                .name = (char *) name,
                .uri = (char *) "s0",
                .old_name = (char *) old_name,
                .uuid = "uuid",
                .port = 50000,
        };

        return hook_queue_add(&f->queue, &e);
}

static const struct {
        char letter;
        ConsoleEvent type;
} letters[] = {
        {'A', CONSOLE_ADDED},   {'C', CONSOLE_CONNECTED}, {'D', CONSOLE_DISCONNECTED},
        {'R', CONSOLE_REMOVED}, {'V', CONSOLE_VMOTION_COMPLETE}, {'N', CONSOLE_RENAMED},
};

/* What happens to the VM "vm", a letter an event */
static void happens(Fixture *f, const char *story) {
        char name[8] = "name-0", old_name[8];

        for (const char *p = story; *p; p++)
                for (size_t i = 0; i < ELEMENTSOF(letters); i++)
                        if (letters[i].letter == *p) {
                                memcpy(old_name, name, sizeof name);
                                if (*p == 'N')
                                        name[5]++;
                                assert_int_equal(add_named(f, "vm", letters[i].type, name, *p == 'N' ? old_name : NULL),
                                                 0);
                        }
}

static char told(Fixture *f, HookEvent *ret) {
        if (hook_queue_take(&f->queue, ret) == 0)
                return 0;

        for (size_t i = 0; i < ELEMENTSOF(letters); i++)
                if (letters[i].type == ret->type)
                        return letters[i].letter;

        return '?';
}

static void assert_told(Fixture *f, const char *story) {
        char got[32] = {};
        HookEvent e;

        for (size_t i = 0; i < sizeof got - 1 && (got[i] = told(f, &e)); i++)
                hook_queue_done(&f->queue, &e);

        assert_string_equal(got, story);
}

static void test_what_is_told(void **state) {
        static const struct {
                const char *happens, *told;
                unsigned n_merged;
        } table[] = {
                {"", "", 0},
                {"ACDR", "", 4},       /* came and went */
                {"AC", "AC", 0},
                {"ACD", "ACD", 0},
                {"ACDC", "AC", 2},
                {"ACDCD", "ACD", 2},
                {"ACDCDCDCDCDC", "AC", 10},
                {"DC", "DC", 0},
                {"DCD", "D", 2},
                {"DCDC", "DC", 2},
                {"CV", "CV", 0},
                {"VVV", "V", 2},
                {"CVD", "CVD", 0},
                {"CVDC", "C", 3},      /* of a connection that is not told of */
                {"VDC", "VDC", 0},
                {"VDCV", "DCV", 1},
                {"ANC", "ANC", 0},
                {"ANNNC", "ANC", 2},
                {"DR", "DR", 0},
                {"CDR", "CDR", 0},
                {"DRAC", "DRAC", 0},
                {"DRACDR", "DR", 4},   /* came and went once more */
                {"DRACDRAC", "DRAC", 4},
                {"NDRANC", "NDRANC", 0},
                {"NVDCRANCDV", "NVDCRANCDV", 0},
                {"RA", "RA", 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                void *fixture;

                assert_int_equal(setup(&fixture), 0);
                Fixture *f = fixture;
                happens(f, table[i].happens);
                assert_told(f, table[i].told);
                assert_int_equal(f->queue.n_merged, table[i].n_merged);
                assert_int_equal(f->queue.n_dropped, 0);
                (void) teardown(&fixture);
        }

        (void) state;
}

static void test_what_is_being_told_is_not_merged(void **state) {
        Fixture *f = *state;
        HookEvent e;

        happens(f, "AC");
        assert_int_equal(told(f, &e), 'A');
        happens(f, "DR"); /* they know of it now: it has to be told that it is gone */
        hook_queue_done(&f->queue, &e);
        assert_told(f, "CDR");
}

static void test_a_vm_has_one_turn_at_a_time_and_then_the_others(void **state) {
        Fixture *f = *state;
        HookEvent a, b, c;

        assert_int_equal(add_named(f, "1", CONSOLE_ADDED, "a", NULL), 0);
        assert_int_equal(add_named(f, "1", CONSOLE_CONNECTED, "a", NULL), 0);
        assert_int_equal(add_named(f, "2", CONSOLE_ADDED, "b", NULL), 0);
        assert_int_equal(hook_queue_take(&f->queue, &a), 1);
        assert_int_equal(hook_queue_take(&f->queue, &b), 1);
        assert_string_equal(a.id, "1");
        assert_string_equal(b.id, "2");
        assert_int_equal(hook_queue_take(&f->queue, &c), 0);

        assert_int_equal(add_named(f, "3", CONSOLE_ADDED, "c", NULL), 0);
        hook_queue_done(&f->queue, &a);
        assert_int_equal(hook_queue_take(&f->queue, &c), 1);
        assert_string_equal(c.id, "3");
        assert_int_equal(hook_queue_take(&f->queue, &a), 1);
        assert_int_equal(a.type, CONSOLE_CONNECTED);
        hook_queue_done(&f->queue, &a);
        hook_queue_done(&f->queue, &b);
        hook_queue_done(&f->queue, &c);
}

static void test_the_facts_are_the_newest_and_the_time_is_the_event_s(void **state) {
        Fixture *f = *state;
        HookEvent e;

        happens(f, "ANN");
        assert_int_equal(told(f, &e), 'A');
        assert_string_equal(e.name, "name-2");
        assert_int_equal(e.time_usec, 1);
        assert_null(e.old_name);
        hook_queue_done(&f->queue, &e);

        assert_int_equal(told(f, &e), 'N');
        assert_string_equal(e.name, "name-2");
        assert_string_equal(e.old_name, "name-0");
        assert_int_equal(e.time_usec, 3);
        hook_queue_done(&f->queue, &e);
}

static void test_a_name_that_is_the_old_one_again_is_not_told(void **state) {
        Fixture *f = *state;

        assert_int_equal(add_named(f, "vm", CONSOLE_RENAMED, "b", "a"), 0);
        assert_int_equal(add_named(f, "vm", CONSOLE_RENAMED, "a", "b"), 0);
        assert_told(f, "");
        assert_int_equal(f->queue.n_merged, 2);
}

static void test_who_is_connected_is_told_with_that_only(void **state) {
        Fixture *f = *state;
        HookEvent e = {.type = CONSOLE_CONNECTED, .id = (char *) "vm", .name = (char *) "n", .uri = (char *) "u",
                       .peer = "192.0.2.1:1"};

        assert_int_equal(hook_queue_add(&f->queue, &e), 0);
        assert_int_equal(add_named(f, "vm", CONSOLE_DISCONNECTED, "n", NULL), 0);
        assert_int_equal(told(f, &e), 'C');
        assert_string_equal(e.peer, "192.0.2.1:1");
        hook_queue_done(&f->queue, &e);
        assert_int_equal(told(f, &e), 'D');
        assert_string_equal(e.peer, "");
        hook_queue_done(&f->queue, &e);
}

/* Lives of which the beginning was never seen: there were no hooks then. */
static void test_more_ends_than_beginnings_are_dropped_and_counted(void **state) {
        Fixture *f = *state;
        HookEvent e;

        happens(f, "C");
        assert_int_equal(told(f, &e), 'C'); /* and takes its time */
        for (unsigned i = 0; i < 20; i++) {
                (void) add_named(f, "vm", CONSOLE_CONNECTED, "name", NULL);
                (void) add_named(f, "vm", CONSOLE_REMOVED, "name", NULL);
        }

        assert_true(f->queue.n_dropped > 0);
        assert_true(f->queue.n_pending <= 10);
        hook_queue_done(&f->queue, &e);
}

static void test_it_is_bounded_and_what_does_not_fit_is_counted(void **state) {
        Fixture *f = *state;
        char id[16], long_name[4096];
        unsigned n = 0;

        memset(long_name, 'n', sizeof long_name - 1);
        long_name[sizeof long_name - 1] = 0;

        do
                snprintf(id, sizeof id, "%u", n++);
        while (add_named(f, id, CONSOLE_ADDED, n % 2 ? "short" : long_name, NULL) == 0);

        assert_true(f->queue.size <= HOOK_QUEUE_MAX);
        assert_int_equal(f->queue.n_dropped, 1);
        assert_int_equal(f->queue.n_pending, n - 1);

        /* Of those that are in, all that happens goes on being told; and new ones come in once there is room. */
        assert_int_equal(add_named(f, "0", CONSOLE_CONNECTED, "short", NULL), 0);
        assert_int_equal(add_named(f, id, CONSOLE_CONNECTED, long_name, NULL), -ENOBUFS);
        for (unsigned i = 0; i < 10; i++) {
                HookEvent e;

                assert_int_equal(hook_queue_take(&f->queue, &e), 1);
                hook_queue_done(&f->queue, &e);
        }
        assert_int_equal(add_named(f, id, CONSOLE_CONNECTED, long_name, NULL), 0);
        assert_true(f->queue.size <= HOOK_QUEUE_MAX);
}

/* The last room may be less than any VM takes, and a VM that is in may still get another name. */
static void test_it_is_bounded_to_the_last_byte(void **state) {
        Fixture *f = *state;
        char id[16], old_name[512];
        unsigned n = 0;

        memset(old_name, 'o', sizeof old_name - 1);
        old_name[sizeof old_name - 1] = 0;

        do {
                snprintf(id, sizeof id, "%u", n++);
                assert_true(f->queue.size <= HOOK_QUEUE_MAX);
        } while (add_named(f, id, CONSOLE_ADDED, "", NULL) == 0);
        assert_in_range(f->queue.size, HOOK_QUEUE_MAX - 1024, HOOK_QUEUE_MAX);
        assert_int_equal(f->queue.n_dropped, 1);

        for (unsigned i = 0; i < 100; i++) {
                snprintf(id, sizeof id, "%u", i);
                (void) add_named(f, id, CONSOLE_RENAMED, "", old_name);
                assert_true(f->queue.size <= HOOK_QUEUE_MAX);
        }
        assert_in_range(f->queue.n_dropped, 98, 101);
}

static void test_usual_names_of_sixteen_thousand_vms_fit(void **state) {
        Fixture *f = *state;
        char id[37];

        for (unsigned i = 0; i < 16384; i++) {
                snprintf(id, sizeof id, "50120000-0000-0000-0000-%012x", i);
                assert_int_equal(add_named(f, id, CONSOLE_ADDED, "database-replica-17.example.com", NULL), 0);
                assert_int_equal(add_named(f, id, CONSOLE_CONNECTED, "database-replica-17.example.com", NULL), 0);
        }
}

/* Any story that consoles can tell, with hooks that come to it at any time: what they are told is a possible story
 * too, and ends where the VM is. */
static void test_whatever_happens_the_story_is_possible(void **state) {
        Fixture *f = *state;
        Prng prng = prng_init();
        bool exists = false, connected = false, knows = false, thinks_connected = false;
        HookEvent running;
        bool busy = false;
        char name = 'a', known_name = 0;

        for (unsigned i = 0; i < 200000; i++) {
                char now[2] = {name}, next[2] = {(char) ('a' + prng_next(&prng) % 3)};

                switch (prng_next(&prng) % 6) {

                case 0:
                        if (!exists)
                                (void) add_named(f, "vm", CONSOLE_ADDED, now, NULL);
                        exists = true;
                        break;

                case 1:
                        if (exists && !connected && prng_next(&prng) % 4 == 0) {
                                (void) add_named(f, "vm", CONSOLE_REMOVED, now, NULL);
                                exists = false;
                        }
                        break;

                case 2:
                        if (exists) {
                                connected = !connected;
                                (void) add_named(f, "vm", connected ? CONSOLE_CONNECTED : CONSOLE_DISCONNECTED,
                                                 now, NULL);
                        }
                        break;

                case 3:
                        if (connected)
                                (void) add_named(f, "vm", CONSOLE_VMOTION_COMPLETE, now, NULL);
                        break;

                case 4:
                        if (exists && next[0] != name) {
                                (void) add_named(f, "vm", CONSOLE_RENAMED, next, now);
                                name = next[0];
                        }
                        break;

                default:
                        if (prng_next(&prng) % 4 > 0)
                                break;
                        if (busy)
                                hook_queue_done(&f->queue, &running);
                        busy = hook_queue_take(&f->queue, &running) > 0;
                        if (!busy) {
                                assert_int_equal(knows, exists);
                                assert_int_equal(thinks_connected, connected);
                                break;
                        }

                        assert_int_equal(knows, running.type != CONSOLE_ADDED);
                        if (running.type == CONSOLE_CONNECTED || running.type == CONSOLE_DISCONNECTED) {
                                assert_int_equal(thinks_connected, running.type == CONSOLE_DISCONNECTED);
                                thinks_connected = !thinks_connected;
                        } else if (running.type == CONSOLE_VMOTION_COMPLETE)
                                assert_true(thinks_connected);
                        else if (running.type == CONSOLE_REMOVED)
                                assert_false(thinks_connected);
                        knows = running.type != CONSOLE_REMOVED;
                        known_name = running.name[0];
                }
        }

        assert_int_not_equal(known_name, 0);
        assert_int_equal(f->queue.n_dropped, 0);
        if (busy)
                hook_queue_done(&f->queue, &running);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_told),
                cmocka_unit_test_setup_teardown(test_what_is_being_told_is_not_merged, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_vm_has_one_turn_at_a_time_and_then_the_others, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_facts_are_the_newest_and_the_time_is_the_event_s, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_name_that_is_the_old_one_again_is_not_told, setup, teardown),
                cmocka_unit_test_setup_teardown(test_who_is_connected_is_told_with_that_only, setup, teardown),
                cmocka_unit_test_setup_teardown(test_more_ends_than_beginnings_are_dropped_and_counted, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_it_is_bounded_and_what_does_not_fit_is_counted, setup, teardown),
                cmocka_unit_test_setup_teardown(test_it_is_bounded_to_the_last_byte, setup, teardown),
                cmocka_unit_test_setup_teardown(test_usual_names_of_sixteen_thousand_vms_fit, setup, teardown),
                cmocka_unit_test_setup_teardown(test_whatever_happens_the_story_is_possible, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
