/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Threads that end when they are asked to, and one that hangs and is left to itself. */

#include <semaphore.h>

#include "harness.h"

#include "basic/worker.h"

#define LONG_USEC (60 * USEC_PER_SEC)

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *userdata);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *userdata);

static bool no_threads;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *userdata) {
        return no_threads ? EAGAIN : __real_pthread_create(thread, attributes, run, userdata);
}

typedef struct Work {
        Worker worker;
        unsigned n_wanted, n_done;
        sem_t hangs, goes_on, orphaned;
} Work;

static Work work;

static int begin(_unused_ void **state) {
        work = (Work){.worker = WORKER_INIT};
        sem_init(&work.hangs, 0, 0);
        sem_init(&work.goes_on, 0, 0);
        sem_init(&work.orphaned, 0, 0);
        return 0;
}

static int end(_unused_ void **state) {
        worker_done(&work.worker);
        sem_destroy(&work.hangs);
        sem_destroy(&work.goes_on);
        sem_destroy(&work.orphaned);
        return 0;
}

static void wait_for(sem_t *s) {
        while (sem_wait(s) < 0)
                ;
}

static void do_what_is_wanted(_unused_ void *userdata) {
        while (!work.worker.stopping || work.n_done < work.n_wanted)
                if (work.n_done < work.n_wanted) {
                        work.n_done++;
                        worker_wake(&work.worker);
                } else
                        (void) worker_wait_until(&work.worker, USEC_INFINITY);
}

static void hang(_unused_ void *userdata) {
        worker_unlock(&work.worker);
        sem_post(&work.hangs);
        wait_for(&work.goes_on);
        worker_lock(&work.worker);
}

static void on_orphaned(void *userdata) {
        assert_ptr_equal(userdata, &work);
        sem_post(&work.orphaned);
}

static void test_work_is_done_while_others_wait_for_it(_unused_ void **state) {
        assert_int_equal(worker_start(&work.worker, "test", do_what_is_wanted, &work), 0);
        worker_lock(&work.worker);
        work.n_wanted = 1000;
        worker_wake(&work.worker);
        while (work.n_done < work.n_wanted)
                assert_true(worker_wait_until(&work.worker, now_monotonic() + LONG_USEC));
        worker_unlock(&work.worker);
        assert_true(worker_stop(&work.worker, LONG_USEC, on_orphaned));
        assert_int_equal(work.worker.n_running, 0);
}

static void test_what_waits_at_the_end_is_done_first_if_the_threads_want_it_so(_unused_ void **state) {
        for (unsigned i = 0; i < WORKER_THREADS_MAX; i++)
                assert_int_equal(worker_start(&work.worker, "test", do_what_is_wanted, &work), 0);
        worker_lock(&work.worker);
        work.n_wanted = 1000;
        worker_unlock(&work.worker);
        assert_true(worker_stop(&work.worker, LONG_USEC, NULL));
        assert_int_equal(work.n_done, 1000);
}

static void test_after_its_end_it_can_be_started_again(_unused_ void **state) {
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(worker_start(&work.worker, "test", do_what_is_wanted, &work), 0);
                assert_true(worker_stop(&work.worker, LONG_USEC, NULL));
        }
}

static void test_a_thread_that_hangs_is_left_and_the_last_one_says_when_all_have_ended(_unused_ void **state) {
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(worker_start(&work.worker, "test", hang, &work), 0);
                wait_for(&work.hangs);
        }
        assert_false(worker_stop(&work.worker, 1, on_orphaned));

        sem_post(&work.goes_on);
        sem_post(&work.goes_on);
        wait_for(&work.orphaned);
        assert_int_equal(work.worker.n_running, 0);
        assert_int_equal(sem_trywait(&work.orphaned), -1);
}

static void test_a_wait_ends_at_its_time(_unused_ void **state) {
        usec_t until = now_monotonic() + 1000;

        worker_lock(&work.worker);
        while (worker_wait_until(&work.worker, until))
                ;
        worker_unlock(&work.worker);
        assert_true(now_monotonic() >= until);
}

static void test_without_a_thread_it_says_so(_unused_ void **state) {
        no_threads = true;
        assert_int_equal(worker_start(&work.worker, "test", do_what_is_wanted, &work), -EAGAIN);
        no_threads = false;
        assert_int_equal(work.worker.n_running, 0);
        assert_true(worker_stop(&work.worker, LONG_USEC, NULL));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_work_is_done_while_others_wait_for_it, begin, end),
                cmocka_unit_test_setup_teardown(test_what_waits_at_the_end_is_done_first_if_the_threads_want_it_so, begin, end),
                cmocka_unit_test_setup_teardown(test_after_its_end_it_can_be_started_again, begin, end),
                cmocka_unit_test_setup_teardown(test_a_thread_that_hangs_is_left_and_the_last_one_says_when_all_have_ended,
                                                begin, end),
                cmocka_unit_test_setup_teardown(test_a_wait_ends_at_its_time, begin, end),
                cmocka_unit_test_setup_teardown(test_without_a_thread_it_says_so, begin, end),
        };

        return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
