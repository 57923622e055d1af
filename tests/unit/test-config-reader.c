/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A configuration that is read in a thread, and files that do not answer. */

#include <poll.h>
#include <pthread.h>

#include "harness.h"

#include "basic/timeout-queue.h"
#include "daemon/config-reader.h"

#define SHORT_USEC (10 * USEC_PER_MSEC)
#define LONG_USEC (600 * USEC_PER_SEC)

static struct {
        sd_event *event;
        ConfigReader *reader;
        Config before;

        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool held; /* whoever reads has to wait */
        unsigned n_reading;

        unsigned n_read;
        int result;
        char problem[256]; /* the first, or "" */
} f = {
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
};

/* Stands for a disk. */
int __wrap_config_load(Config *c, const char *path, Problems *p);
int __wrap_config_load(Config *c, const char *path, Problems *p) {
        pthread_mutex_lock(&f.lock);
        f.n_reading++;
        pthread_cond_broadcast(&f.changed);
        while (f.held)
                pthread_cond_wait(&f.changed, &f.lock);
        f.n_reading--;
        pthread_cond_broadcast(&f.changed);
        pthread_mutex_unlock(&f.lock);

        if (streq(path, "missing"))
                return -ENOENT;

        c->settings.client_limit = 7;
        problems_warn(p, "there is something");
        return 0;
}

static void set_held(bool held) {
        pthread_mutex_lock(&f.lock);
        f.held = held;
        pthread_cond_broadcast(&f.changed);
        pthread_mutex_unlock(&f.lock);
}

static void wait_reading(unsigned n) {
        pthread_mutex_lock(&f.lock);
        while (f.n_reading != n)
                pthread_cond_wait(&f.changed, &f.lock);
        pthread_mutex_unlock(&f.lock);
}

static void on_read(Reading *reading, _unused_ void *userdata) {
        assert_false(config_reader_is_busy(f.reader));
        f.n_read++;
        f.result = reading->result;
        strcpy(f.problem, reading->problems.n_kept > 0 ? reading->problems.text[0] : "");
        if (f.result >= 0)
                assert_int_equal(reading->config.settings.client_limit, 7);
}

static void start(const char *path, usec_t duration) {
        assert_int_equal(config_reader_new(f.event, path, NULL, NULL, duration, on_read, NULL, &f.reader), 0);
}

static void begin(void) {
        f.n_read = 0;
        config_reader_begin(f.reader, &f.before);
        assert_true(config_reader_is_busy(f.reader));
        assert_int_equal(f.n_read, 0);
}

static void wait_read(void) {
        while (f.n_read == 0)
                assert_true(sd_event_run(f.event, UINT64_MAX) >= 0);
}

static int setup(_unused_ void **state) {
        Problems problems = {};

        config_init(&f.before, &problems);
        assert_int_equal(sd_event_new(&f.event), 0);
        return 0;
}

static int teardown(_unused_ void **state) {
        set_held(false);
        config_reader_free(f.reader);
        config_done(&f.before);
        sd_event_unref(f.event);
        wait_reading(0);
        return 0;
}

static void test_what_has_been_read_is_handed_over(_unused_ void **state) {
        start("vspc.conf", LONG_USEC);
        for (unsigned i = 0; i < 3; i++) {
                begin();
                wait_read();
                assert_int_equal(f.result, 0);
                assert_string_equal(f.problem, "there is something");
        }
}

static void test_what_cannot_be_read_is_a_problem(_unused_ void **state) {
        start("missing", LONG_USEC);
        begin();
        wait_read();
        assert_int_equal(f.result, -EINVAL);
        assert_string_equal(f.problem, "Cannot read missing: No such file or directory");
}

static void test_the_loop_goes_round_while_something_is_read(_unused_ void **state) {
        start("vspc.conf", LONG_USEC);
        set_held(true);
        begin();
        wait_reading(1);
        assert_int_equal(sd_event_run(f.event, 0), 0);
        set_held(false);
        wait_read();
        assert_int_equal(f.result, 0);
}

static void test_a_reading_that_takes_too_long_has_failed_and_the_next_is_another(_unused_ void **state) {
        start("vspc.conf", SHORT_USEC);
        set_held(true);
        begin();
        wait_reading(1);
        wait_read();
        assert_int_equal(f.result, -EINVAL);
        assert_string_equal(f.problem, "Cannot read vspc.conf: a file or a token does not respond");

        set_held(false);
        wait_reading(0);
        do {
                begin();
                wait_read();
        } while (f.result < 0); /* this machine is slow */
        assert_string_equal(f.problem, "there is something");
}

/* Ends the reading while the loop is busy, its deadline having come in the same round. */
static int on_busy(_unused_ sd_event_source *source, _unused_ void *userdata) {
        struct pollfd finished = {.fd = sd_event_get_fd(f.event), .events = POLLIN};

        set_held(false);
        return poll(&finished, 1, -1) == 1 ? 0 : -errno;
}

static void test_one_that_ends_at_the_last_moment_does_not_end_the_next(_unused_ void **state) {
        sd_event_source *busy = NULL;

        start("vspc.conf", USEC_PER_SEC);
        set_held(true);
        begin();
        usec_t deadline = now_monotonic() + USEC_PER_SEC;
        wait_reading(1);
        while (now_monotonic() <= deadline)
                (void) poll(NULL, 0, 10);

        assert_int_equal(sd_event_add_defer(f.event, &busy, on_busy, NULL), 0);
        assert_int_equal(sd_event_source_set_priority(busy, SD_EVENT_PRIORITY_IMPORTANT), 0);
        wait_read();
        sd_event_source_unref(busy);
        assert_int_equal(f.result, 0);

        set_held(true);
        begin();
        wait_reading(1);
        assert_true(sd_event_run(f.event, 0) >= 0); /* what the one before has left behind */
        set_held(false);
        wait_read();
        assert_string_equal(f.problem, "there is something");
}

static void test_only_so_many_may_hang(_unused_ void **state) {
        start("vspc.conf", SHORT_USEC);
        set_held(true);

        /* Threads of the tests before may still have to end. */
        unsigned n = 0;
        do {
                assert_true(n++ <= CONFIG_READER_HANGING_MAX);
                begin();
                wait_read();
        } while (!streq(f.problem, "Cannot read vspc.conf: earlier reloads still wait for a file or a token"));
}

static void test_the_end_does_not_wait_for_a_reading(_unused_ void **state) {
        start("vspc.conf", LONG_USEC);
        set_held(true);
        begin();
        wait_reading(1);
        f.reader = config_reader_free(f.reader);
        assert_int_equal(f.n_reading, 1);
        start("vspc.conf", LONG_USEC);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_what_has_been_read_is_handed_over, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_cannot_be_read_is_a_problem, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_loop_goes_round_while_something_is_read, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_end_does_not_wait_for_a_reading, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_reading_that_takes_too_long_has_failed_and_the_next_is_another, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_one_that_ends_at_the_last_moment_does_not_end_the_next, setup, teardown),
                cmocka_unit_test_setup_teardown(test_only_so_many_may_hang, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
