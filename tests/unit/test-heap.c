/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The first of any number of elements, against what a search through all of them finds, and what that costs. */

#include "harness.h"

#include "basic/heap.h"
#include "prng.h"

#define N 65536U

typedef struct Item {
        HeapNode node;
        size_t key;
} Item;

static Item items[N];
static size_t n_comparisons;

static bool precedes(const HeapNode *a, const HeapNode *b) {
        n_comparisons++;
        return container_of(a, Item, node)->key < container_of(b, Item, node)->key;
}

static bool fails;
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

void *__wrap_reallocarray(void *p, size_t n, size_t size) {
        return fails ? NULL : __real_reallocarray(p, n, size);
}

static Heap heap;

static int begin(_unused_ void **state) {
        memset(items, 0, sizeof items);
        heap_init(&heap, precedes);
        n_comparisons = 0;
        return 0;
}

static int end(_unused_ void **state) {
        fails = false;
        heap_done(&heap);
        return 0;
}

static void add(Item *item, size_t key) {
        item->key = key;
        assert_int_equal(heap_add(&heap, &item->node), 0);
}

static Item *first(void) {
        HeapNode *node = heap_first(&heap);

        return node ? container_of(node, Item, node) : NULL;
}

static void test_an_empty_heap_has_no_first(_unused_ void **state) {
        assert_null(first());
        add(&items[0], 1);
        heap_remove(&heap, &items[0].node);
        assert_null(first());
}

static void test_what_is_in_no_heap_may_be_removed(_unused_ void **state) {
        add(&items[0], 1);
        heap_remove(&heap, &items[1].node);
        heap_remove(&heap, &items[0].node);
        heap_remove(&heap, &items[0].node);
        assert_null(first());
}

static void test_they_come_in_their_order(_unused_ void **state) {
        const size_t n = 1000;

        for (size_t i = 0; i < n; i++)
                add(&items[i], i * 7919 % n); /* each once */
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(first()->key, i);
                heap_remove(&heap, &first()->node);
        }
        assert_null(first());
}

static void test_any_element_may_go_at_any_time(_unused_ void **state) {
        const size_t n = 64;
        Prng random = prng_init();

        for (unsigned i = 0; i < 100000; i++) {
                Item *item = &items[prng_below(&random, n)];

                if (item->node.place > 0)
                        heap_remove(&heap, &item->node);
                else
                        add(item, prng_below(&random, 50)); /* some are equal */

                const Item *least = NULL;
                for (size_t k = 0; k < n; k++)
                        if (items[k].node.place > 0 && (!least || items[k].key < least->key))
                                least = &items[k];
                assert_true(least ? first() && first()->key == least->key : !first());
        }
}

/* 2 for each of 16 levels, and where the last one has to go. */
static void test_a_step_costs_no_more_than_the_logarithm_of_their_number(_unused_ void **state) {
        Prng random = prng_init();
        size_t most = 0;

        for (size_t i = 0; i < N; i++) {
                n_comparisons = 0;
                add(&items[i], N - i); /* the hardest order */
                most = MAX(most, n_comparisons);
        }
        for (size_t i = 0; i < N; i++) {
                Item *item = i % 2 > 0 ? first() : &items[prng_below(&random, N)];

                n_comparisons = 0;
                heap_remove(&heap, &item->node);
                most = MAX(most, n_comparisons);
        }
        assert_in_range(most, 10, 3 * 16 + 2);
}

static void test_without_memory_an_element_is_not_added(_unused_ void **state) {
        size_t n = 0;

        fails = true;
        assert_int_equal(heap_add(&heap, &items[0].node), -ENOMEM);
        assert_null(first());

        fails = false;
        add(&items[n], n);
        n++;
        fails = true;
        while (heap_add(&heap, &items[n].node) >= 0)
                assert_true(++n < N);
        assert_int_equal(items[n].node.place, 0);
        heap_remove(&heap, &items[n].node);

        for (size_t i = 0; i < n; i++)
                heap_remove(&heap, &items[i].node);
        assert_null(first());
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_an_empty_heap_has_no_first, begin, end),
                cmocka_unit_test_setup_teardown(test_what_is_in_no_heap_may_be_removed, begin, end),
                cmocka_unit_test_setup_teardown(test_they_come_in_their_order, begin, end),
                cmocka_unit_test_setup_teardown(test_any_element_may_go_at_any_time, begin, end),
                cmocka_unit_test_setup_teardown(test_a_step_costs_no_more_than_the_logarithm_of_their_number, begin, end),
                cmocka_unit_test_setup_teardown(test_without_memory_an_element_is_not_added, begin, end),
        };

        return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
