/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages for several readers: each gets all, in order and once, or knows that it has missed some. */

#include "harness.h"

#include "admin/event-queue.h"

#define READERS 3U

typedef struct World {
        EventQueue queue;
        EventReader readers[READERS];
} World;

static unsigned n_woken;
static bool memory_is_short;

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n) {
        return memory_is_short ? NULL : __real_malloc(n);
}

static void on_wake(_unused_ EventReader *r) {
        n_woken++;
}

static int begin(void **state) {
        static World w;

        w = (World){.queue.wake = on_wake};
        for (size_t i = 0; i < READERS; i++)
                event_reader_open(&w.readers[i], &w.queue);
        n_woken = 0;
        *state = &w;
        return 0;
}

/* Without readers nothing is kept. */
static int end(void **state) {
        World *w = *state;

        for (size_t i = 0; i < READERS; i++)
                event_reader_close(&w->readers[i]);
        assert_null(w->queue.first);
        assert_null(w->queue.last);
        assert_int_equal(w->queue.size, 0);
        assert_int_equal(w->queue.n_readers, 0);
        assert_int_equal(w->queue.n_behind, 0);
        return 0;
}

static void add(World *w, const char *text) {
        event_queue_add(&w->queue, 0, text, strlen(text));
}

static void assert_takes(EventReader *r, const char *text) {
        assert_non_null(r->next);
        assert_int_equal(r->next->size, strlen(text));
        assert_memory_equal(r->next->text, text, strlen(text));
        event_reader_advance(r);
}

static const char large[EVENT_QUEUE_MAX / 4];

/* @r takes all but the last of the messages that fit in the queue, and one more. */
static void overflow(World *w, EventReader *r) {
        for (size_t i = 0; i < 4; i++) {
                event_queue_add(&w->queue, i, large, sizeof large);
                if (r && r->next && i > 0)
                        event_reader_advance(r);
        }
}

static void test_each_reader_gets_all_messages_at_its_own_pace(void **state) {
        World *w = *state;

        add(w, "one");
        assert_takes(&w->readers[0], "one");
        add(w, "two");
        assert_takes(&w->readers[1], "one");
        assert_takes(&w->readers[1], "two");
        assert_takes(&w->readers[0], "two");
        assert_null(w->readers[0].next);
        assert_takes(&w->readers[2], "one");
        assert_takes(&w->readers[2], "two");
}

static void test_a_message_is_freed_when_the_last_reader_has_taken_it(void **state) {
        World *w = *state;

        add(w, "one");
        assert_takes(&w->readers[0], "one");
        assert_takes(&w->readers[1], "one");
        assert_true(w->queue.size > 0);
        assert_takes(&w->readers[2], "one");
        assert_int_equal(w->queue.size, 0);
        assert_null(w->queue.first);
}

static void test_what_only_a_closed_reader_has_not_taken_is_freed(void **state) {
        World *w = *state;

        add(w, "one");
        assert_takes(&w->readers[0], "one");
        assert_takes(&w->readers[1], "one");
        event_reader_close(&w->readers[2]);
        assert_int_equal(w->queue.size, 0);
}

static void test_a_new_reader_gets_what_is_added_from_then_on(void **state) {
        World *w = *state;

        event_reader_close(&w->readers[2]);
        add(w, "one");
        event_reader_open(&w->readers[2], &w->queue);
        assert_null(w->readers[2].next);
        add(w, "two");
        assert_takes(&w->readers[2], "two");
}

static void test_a_reader_is_woken_for_the_first_message_that_waits_for_it(void **state) {
        World *w = *state;

        add(w, "one");
        assert_int_equal(n_woken, READERS);
        add(w, "two");
        assert_int_equal(n_woken, READERS);
        assert_takes(&w->readers[0], "one");
        assert_takes(&w->readers[0], "two");
        add(w, "three");
        assert_int_equal(n_woken, READERS + 1);
}

static void test_no_more_is_kept_than_the_bound_and_who_has_not_taken_the_oldest_falls_behind(void **state) {
        World *w = *state;

        overflow(w, &w->readers[0]);
        assert_true(w->queue.size <= EVENT_QUEUE_MAX);
        assert_false(w->readers[0].behind);
        for (size_t i = 1; i < READERS; i++) {
                assert_true(w->readers[i].behind);
                assert_null(w->readers[i].next);
        }
        assert_int_equal(w->readers[0].next->subject, 3);
        assert_int_equal(n_woken, 2 * READERS - 1);
}

static void test_who_is_behind_gets_nothing_until_it_catches_up(void **state) {
        World *w = *state;

        overflow(w, &w->readers[0]);
        add(w, "missed");
        assert_null(w->readers[1].next);
        event_reader_catch_up(&w->readers[1]);
        assert_null(w->readers[1].next);
        add(w, "one");
        assert_takes(&w->readers[1], "one");
        assert_null(w->readers[2].next);
}

static void test_nothing_is_kept_while_all_are_behind(void **state) {
        World *w = *state;

        overflow(w, NULL);
        assert_false(event_queue_is_read(&w->queue));
        add(w, "missed");
        assert_int_equal(w->queue.size, 0);
}

static void test_without_memory_all_fall_behind(void **state) {
        World *w = *state;

        add(w, "one");
        assert_takes(&w->readers[0], "one");
        memory_is_short = true;
        add(w, "two");
        memory_is_short = false;
        for (size_t i = 0; i < READERS; i++)
                assert_true(w->readers[i].behind);
        assert_int_equal(w->queue.size, 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_each_reader_gets_all_messages_at_its_own_pace, begin, end),
                cmocka_unit_test_setup_teardown(test_a_message_is_freed_when_the_last_reader_has_taken_it, begin, end),
                cmocka_unit_test_setup_teardown(test_what_only_a_closed_reader_has_not_taken_is_freed, begin, end),
                cmocka_unit_test_setup_teardown(test_a_new_reader_gets_what_is_added_from_then_on, begin, end),
                cmocka_unit_test_setup_teardown(test_a_reader_is_woken_for_the_first_message_that_waits_for_it, begin, end),
                cmocka_unit_test_setup_teardown(
                        test_no_more_is_kept_than_the_bound_and_who_has_not_taken_the_oldest_falls_behind, begin, end),
                cmocka_unit_test_setup_teardown(test_who_is_behind_gets_nothing_until_it_catches_up, begin, end),
                cmocka_unit_test_setup_teardown(test_nothing_is_kept_while_all_are_behind, begin, end),
                cmocka_unit_test_setup_teardown(test_without_memory_all_fall_behind, begin, end),
        };

        return cmocka_run_group_tests_name("event-queue", tests, NULL, NULL);
}
