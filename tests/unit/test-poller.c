/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sockets behind one source of the event loop, and watches that are deferred though their sockets have nothing. */

#include <sys/eventfd.h>

#include "harness.h"

#include "transport/poller.h"

#define N_ITEMS 200U /* more than are taken from the kernel at once */

typedef struct Item {
        Watch watch;
        unsigned n_calls, n_events;
        struct Item *defers, *forgets; /* what its handler does, each time */
        unsigned n_defers;             /* how often it still defers itself */
} Item;

static struct {
        sd_event *event;
        Poller *poller;
        Item items[N_ITEMS];
        const Item *order[4 * N_ITEMS];
        unsigned n_order;
} f;

static void on_call(Watch *watch, uint32_t events) {
        Item *item = container_of(watch, Item, watch);

        f.order[f.n_order++ % ELEMENTSOF(f.order)] = item;
        item->n_calls++;
        item->n_events += events != 0;

        if (item->defers)
                poller_defer(f.poller, &item->defers->watch);
        if (item->forgets)
                poller_forget(f.poller, &item->forgets->watch);
        if (item->n_defers > 0) {
                item->n_defers--;
                poller_defer(f.poller, watch);
        }
}

static int setup(_unused_ void **state) {
        f.n_order = 0;
        assert_int_equal(sd_event_new(&f.event), 0);
        assert_int_equal(poller_new(f.event, &f.poller), 0);

        for (size_t i = 0; i < N_ITEMS; i++) {
                f.items[i] = (Item){.watch = {.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .handler = on_call}};
                assert_true(f.items[i].watch.fd >= 0);
        }
        return 0;
}

static int teardown(_unused_ void **state) {
        for (size_t i = 0; i < N_ITEMS; i++)
                poller_close(f.poller, &f.items[i].watch);
        poller_free(f.poller);
        sd_event_unref(f.event);
        return 0;
}

/* Until nothing is left to do; what never ends is cut off. */
static void run(void) {
        for (unsigned i = 0; i < 10000 && sd_event_run(f.event, 0) > 0; i++)
                ;
}

static void test_a_deferred_watch_is_called_once_and_without_an_event(_unused_ void **state) {
        Item *a = &f.items[0];

        poller_defer(f.poller, &a->watch);
        poller_defer(f.poller, &a->watch);
        assert_int_equal(a->n_calls, 0);
        run();
        assert_int_equal(a->n_calls, 1);
        assert_int_equal(a->n_events, 0);
        assert_int_equal(sd_event_run(f.event, 0), 0);
}

static void test_deferred_watches_are_called_in_their_order(_unused_ void **state) {
        for (size_t i = N_ITEMS; i > 0; i--)
                poller_defer(f.poller, &f.items[i - 1].watch);
        run();
        assert_int_equal(f.n_order, N_ITEMS);
        for (size_t i = 0; i < N_ITEMS; i++)
                assert_ptr_equal(f.order[i], &f.items[N_ITEMS - 1 - i]);
}

static void test_it_may_be_watched_at_the_same_time(_unused_ void **state) {
        Item *a = &f.items[0];

        assert_int_equal(poller_watch(f.poller, &a->watch, EPOLLOUT), 0);
        poller_defer(f.poller, &a->watch);
        assert_true(sd_event_run(f.event, 0) > 0);
        assert_int_equal(a->n_calls, 2);
        assert_int_equal(a->n_events, 1);
}

static void test_a_watch_that_defers_itself_again_and_again_does_not_keep_others_waiting(_unused_ void **state) {
        Item *restless = &f.items[0], *socket = &f.items[1];

        restless->n_defers = 100;
        poller_defer(f.poller, &restless->watch);
        assert_int_equal(poller_watch(f.poller, &socket->watch, EPOLLOUT), 0);

        /* Each turn has one of each. */
        for (unsigned i = 1; i <= 10; i++) {
                assert_true(sd_event_run(f.event, 0) > 0);
                assert_int_equal(restless->n_calls, i);
                assert_int_equal(socket->n_calls, i);
        }
}

static void test_watches_deferred_by_a_handler_are_called_with_the_next_batch(_unused_ void **state) {
        f.items[0].defers = &f.items[1];
        poller_defer(f.poller, &f.items[0].watch);
        assert_true(sd_event_run(f.event, 0) > 0);
        assert_int_equal(f.items[1].n_calls, 0);
        run();
        assert_int_equal(f.items[1].n_calls, 1);
}

static void test_who_is_forgotten_is_not_called(_unused_ void **state) {
        poller_defer(f.poller, &f.items[0].watch);
        poller_defer(f.poller, &f.items[1].watch);
        poller_forget(f.poller, &f.items[0].watch);
        run();
        assert_int_equal(f.items[0].n_calls, 0);
        assert_int_equal(f.items[1].n_calls, 1);

        /* And may be deferred anew. */
        poller_defer(f.poller, &f.items[0].watch);
        run();
        assert_int_equal(f.items[0].n_calls, 1);
}

static void test_a_handler_may_forget_those_that_come_after_it_and_itself(_unused_ void **state) {
        f.items[0].forgets = &f.items[1];
        f.items[2].forgets = &f.items[2];
        for (size_t i = 0; i < 4; i++)
                poller_defer(f.poller, &f.items[i].watch);
        run();
        assert_int_equal(f.items[0].n_calls, 1);
        assert_int_equal(f.items[1].n_calls, 0);
        assert_int_equal(f.items[2].n_calls, 1);
        assert_int_equal(f.items[3].n_calls, 1);
}

/* What is left over is seen by a sanitizer. */
static void test_it_ends_with_watches_still_deferred(_unused_ void **state) {
        for (size_t i = 0; i < N_ITEMS; i++)
                poller_defer(f.poller, &f.items[i].watch);
}

#define poller_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                poller_test(test_a_deferred_watch_is_called_once_and_without_an_event),
                poller_test(test_deferred_watches_are_called_in_their_order),
                poller_test(test_it_may_be_watched_at_the_same_time),
                poller_test(test_a_watch_that_defers_itself_again_and_again_does_not_keep_others_waiting),
                poller_test(test_watches_deferred_by_a_handler_are_called_with_the_next_batch),
                poller_test(test_who_is_forgotten_is_not_called),
                poller_test(test_a_handler_may_forget_those_that_come_after_it_and_itself),
                poller_test(test_it_ends_with_watches_still_deferred),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
