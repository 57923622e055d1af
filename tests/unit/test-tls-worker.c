/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* In which order threads do what waits for them. There is one thread here, and a job that holds it until all others
 * wait, so that the order is the worker's alone. */

#include <dirent.h>
#include <sched.h>
#include <semaphore.h>

#include "harness.h"

#include "basic/time.h"
#include "transport/tls-worker.h"

#define TOO_LONG_USEC (30 * USEC_PER_SEC)
#define JOBS_MAX 2000U
#define SOURCES 1000U /* more than there are buckets */

static struct {
        sd_event *event;
        Poller *poller;
        TlsWorker *worker;
        TlsJob gate, jobs[JOBS_MAX];
        sem_t arrived, opened;

        const TlsJob *order[JOBS_MAX]; /* the thread's, up to a job's done() */
        size_t n_run;

        size_t n_waiting; /* submitted, and neither done nor cancelled */
} f;

static void wait_for_semaphore(sem_t *s) {
        while (sem_wait(s) < 0)
                ;
}

/* Until there is none but this one */
static void wait_for_threads(void) {
        unsigned n;

        do {
                DIR *folder = opendir("/proc/self/task");

                assert_non_null(folder);
                for (n = 0; readdir(folder); n++)
                        ;
                closedir(folder);
                sched_yield();
        } while (n > 3); /* with . and .. */
}

static void gate_run(_unused_ TlsJob *job) {
        sem_post(&f.arrived);
        wait_for_semaphore(&f.opened);
}

static void job_run(TlsJob *job) {
        f.order[f.n_run++] = job;
}

static void job_done(_unused_ TlsJob *job) {
        f.n_waiting--;
}

/* There are as many threads as processors that we may use, without the loop's, and at least one. */
static int use_one_processor(_unused_ void **state) {
        cpu_set_t all, one;
        int cpu = 0;

        assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
        while (!CPU_ISSET(cpu, &all))
                cpu++;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        return sched_setaffinity(0, sizeof one, &one);
}

static int setup(_unused_ void **state) {
        memset(&f, 0, sizeof f);
        f.gate = (TlsJob){.run = gate_run, .done = job_done};
        for (size_t i = 0; i < JOBS_MAX; i++)
                f.jobs[i] = (TlsJob){.run = job_run, .done = job_done};
        sem_init(&f.arrived, 0, 0);
        sem_init(&f.opened, 0, 0);
        assert_int_equal(sd_event_new(&f.event), 0);
        assert_int_equal(poller_new(f.event, &f.poller), 0);
        return tls_worker_new(f.poller, &f.worker);
}

static int teardown(_unused_ void **state) {
        tls_worker_freep(&f.worker);
        poller_free(f.poller);
        sd_event_unref(f.event);
        sem_destroy(&f.arrived);
        sem_destroy(&f.opened);
        return 0;
}

static void submit_job(TlsJob *job) {
        f.n_waiting++;
        tls_worker_submit(f.worker, job);
}

static void submit(size_t i, uint32_t source) {
        f.jobs[i].source = source;
        submit_job(&f.jobs[i]);
}

/* Of one that waits. */
static void cancel(size_t i) {
        assert_true(tls_worker_cancel(f.worker, &f.jobs[i]));
        f.n_waiting--;
}

/* From here on nothing is run. */
static void shut_gate(void) {
        submit_job(&f.gate);
        wait_for_semaphore(&f.arrived);
}

/* Runs all that waits, @n jobs. They are no new ones any more, and another order begins. */
static void open_gate(size_t n) {
        usec_t deadline = now_monotonic() + TOO_LONG_USEC;

        sem_post(&f.opened);
        while (f.n_waiting > 0) {
                assert_true(sd_event_run(f.event, 1000) >= 0);
                if (now_monotonic() > deadline)
                        fail_msg("%zu jobs have not been done", f.n_waiting);
        }
        assert_int_equal(TAKE(f.n_run, 0), n);
}

static size_t turn_of(size_t i, size_t n) {
        for (size_t turn = 0; turn < n; turn++)
                if (f.order[turn] == &f.jobs[i])
                        return turn;

        fail_msg("job %zu has not been run", i);
        return n;
}

static void test_what_has_begun_goes_on_before_anything_new_begins(_unused_ void **state) {
        shut_gate();
        submit(0, 1);
        submit(1, 2);
        open_gate(2);

        shut_gate();
        for (size_t i = 2; i < 100; i++)
                submit(i, (uint32_t) i);
        submit(0, 1);
        submit(1, 2);
        open_gate(100);
        assert_in_range(turn_of(0, 100), 0, 1);
        assert_in_range(turn_of(1, 100), 0, 1);
}

static void test_jobs_of_one_source_are_done_one_after_the_other(_unused_ void **state) {
        shut_gate();
        for (size_t i = 0; i < 100; i++)
                submit(i, 7);
        open_gate(100);
        for (size_t i = 0; i < 100; i++)
                assert_int_equal(turn_of(i, 100), i);
}

/* New ones at first, then the same once more, having begun */
static void test_a_source_with_a_hundred_jobs_does_not_hold_up_another(_unused_ void **state) {
        for (unsigned round = 0; round < 2; round++) {
                shut_gate();
                for (size_t i = 0; i < 100; i++)
                        submit(i, 7);
                submit(100, 8);
                open_gate(101);
                assert_in_range(turn_of(100, 101), 0, 1);
        }
}

static void test_sources_take_turns_for_as_long_as_they_have_something(_unused_ void **state) {
        static const uint32_t sources[] = {3, 70, 200};

        shut_gate();
        for (size_t k = 0; k < ELEMENTSOF(sources); k++)
                for (size_t i = 0; i < 50; i++)
                        submit(50 * k + i, sources[k]);
        open_gate(150);
        for (size_t i = 0; i < 50; i++)
                for (size_t k = 0; k < ELEMENTSOF(sources); k++)
                        assert_int_equal(turn_of(50 * k + i, 150) / ELEMENTSOF(sources), i);
}

static void test_more_sources_than_are_told_apart_all_have_their_turn(_unused_ void **state) {
        shut_gate();
        for (size_t i = 0; i < 2 * SOURCES; i++)
                submit(i, (uint32_t) (i % SOURCES));
        open_gate(2 * SOURCES);

        /* Each once, and the first job of each source before its second */
        for (size_t i = 0; i < SOURCES; i++)
                assert_true(turn_of(i, 2 * SOURCES) < turn_of(i + SOURCES, 2 * SOURCES));
}

static void test_a_job_that_is_cancelled_while_it_waits_is_not_run_and_may_be_submitted_again(_unused_ void **state) {
        for (unsigned round = 0; round < 2; round++) { /* new ones, then ones that have begun */
                shut_gate();
                for (size_t i = 0; i < 3; i++)
                        submit(i, 7);
                submit(3, 8);
                cancel(1);
                cancel(3); /* the only one of its source */
                assert_true(tls_worker_cancel(f.worker, &f.jobs[3]));
                open_gate(2);
                assert_int_equal(turn_of(0, 2), 0);
                assert_int_equal(turn_of(2, 2), 1);

                shut_gate();
                submit(1, 7);
                submit(3, 8);
                open_gate(2);
        }
}

static void test_a_job_that_is_being_run_or_has_been_cannot_be_cancelled(_unused_ void **state) {
        static TlsJob second;

        second = f.gate;
        shut_gate();
        assert_false(tls_worker_cancel(f.worker, &f.gate));

        /* It has been run once the thread is in the next one, and the loop has not heard of that. */
        submit_job(&second);
        sem_post(&f.opened);
        wait_for_semaphore(&f.arrived);
        assert_false(tls_worker_cancel(f.worker, &f.gate));

        open_gate(0);
        assert_true(tls_worker_cancel(f.worker, &f.gate));
}

/* It sits in a token that does not answer. */
static void test_the_end_does_not_wait_for_a_job_that_hangs(_unused_ void **state) {
        shut_gate();
        submit(0, 7);
        cancel(0);
        f.worker = tls_worker_free(f.worker);

        sem_post(&f.opened); /* what the thread uses then is still there */
        wait_for_threads();
        assert_int_equal(f.n_waiting, 1);
}

#define worker_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                worker_test(test_what_has_begun_goes_on_before_anything_new_begins),
                worker_test(test_jobs_of_one_source_are_done_one_after_the_other),
                worker_test(test_a_source_with_a_hundred_jobs_does_not_hold_up_another),
                worker_test(test_sources_take_turns_for_as_long_as_they_have_something),
                worker_test(test_more_sources_than_are_told_apart_all_have_their_turn),
                worker_test(test_a_job_that_is_cancelled_while_it_waits_is_not_run_and_may_be_submitted_again),
                worker_test(test_a_job_that_is_being_run_or_has_been_cannot_be_cancelled),
                worker_test(test_the_end_does_not_wait_for_a_job_that_hangs),
        };

        return cmocka_run_group_tests_name("tls-worker", tests, use_one_processor, NULL);
}
