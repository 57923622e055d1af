/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Logging to stderr, which is a pipe here: what a line looks like, what an error becomes, and that a reader
 * who does not read holds up nobody. */

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "harness.h"

#include "basic/log.h"

static int saved_stderr, pipe_fds[2];

static int setup(_unused_ void **state) {
        fflush(stderr);
        saved_stderr = dup(STDERR_FILENO);
        assert_true(saved_stderr >= 0);
        assert_int_equal(pipe(pipe_fds), 0);
        assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
        pipe_fds[1] = safe_close(pipe_fds[1]);
        unsetenv("JOURNAL_STREAM");
        log_open("test");
        log_set_max_level(LOG_INFO);
        return 0;
}

/* Gives stderr back, so that the pipe ends; what cmocka has to say goes where it should. */
static void restore_stderr(void) {
        if (saved_stderr < 0)
                return;

        (void) dup2(saved_stderr, STDERR_FILENO);
        saved_stderr = safe_close(saved_stderr);
}

static int teardown(_unused_ void **state) {
        restore_stderr();
        pipe_fds[0] = safe_close(pipe_fds[0]);
        return 0;
}

static void assert_logged(const char *want) {
        char got[8192];
        size_t n = 0;
        ssize_t k;

        restore_stderr();
        while ((k = read(pipe_fds[0], got + n, sizeof got - 1 - n)) > 0)
                n += (size_t) k;
        got[n] = 0;
        assert_string_equal(got, want);
}

static void test_a_line_is_the_identifier_and_the_message(_unused_ void **state) {
        log_info("%d VMs", 7);
        assert_logged("test: 7 VMs\n");
}

static void test_a_line_to_the_journal_begins_with_its_level_for_systemd(_unused_ void **state) {
        char stream[64];
        struct stat st;

        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long) st.st_dev, (unsigned long long) st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        log_open("test");
        log_use_lines();
        log_warning("seen");
        assert_logged("<4>seen\n");
}

static void test_what_is_below_the_level_is_not_logged(_unused_ void **state) {
        log_debug("unseen");
        log_set_max_level(LOG_WARNING);
        log_notice("unseen");
        log_warning("seen");
        assert_logged("test: seen\n");
}

static void test_an_error_comes_back_negative_whichever_way_it_went_in(_unused_ void **state) {
        assert_int_equal(log_error_errno(-ENOENT, "a"), -ENOENT);
        assert_int_equal(log_error_errno(ENOENT, "b"), -ENOENT);
        assert_int_equal(log_full(LOG_DEBUG, -ENOENT, NULL, "unseen"), -ENOENT);
        assert_int_equal(log_full(LOG_INFO, 0, NULL, "c"), 0);
        assert_logged("test: a\ntest: b\ntest: c\n");
}

static void test_percent_m_is_the_error_and_errno_is_kept(_unused_ void **state) {
        char want[256];

        snprintf(want, sizeof want, "test: cannot: %s\n", strerror(ENOTDIR));
        errno = EAGAIN;
        (void) log_warning_errno(-ENOTDIR, "cannot: %m");
        assert_int_equal(errno, EAGAIN);
        assert_logged(want);
}

static void test_a_long_message_is_cut(_unused_ void **state) {
        char message[3 * LOG_MESSAGE_MAX] = "", want[LOG_MESSAGE_MAX + 16];

        memset(message, 'x', sizeof message - 1);
        log_info("%s", message);
        snprintf(want, sizeof want, "test: %.*s\n", (int) LOG_MESSAGE_MAX - 1, message);
        assert_logged(want);
}

static void test_a_long_message_is_cut_between_characters(_unused_ void **state) {
        char message[2 * LOG_MESSAGE_MAX + 1], want[LOG_MESSAGE_MAX + 16];

        for (size_t i = 0; i < LOG_MESSAGE_MAX; i++)
                memcpy(message + 2 * i, "\xc3\xa4", 3);
        log_info("%s", message);
        snprintf(want, sizeof want, "test: %.*s\n", (int) LOG_MESSAGE_MAX - 2, message);
        assert_logged(want);
}

static void test_more_fields_than_fit_are_ignored(_unused_ void **state) {
        LogField field[LOG_FIELDS_MAX + 5];
        LogFields fields = {.message_id = "0123456789abcdef0123456789abcdef", .field = field,
                            .n_fields = ELEMENTSOF(field)};

        for (size_t i = 0; i < ELEMENTSOF(field); i++)
                field[i] = (LogField){"VSPC_VM=", "web01"};
        log_full(LOG_INFO, 0, &fields, "hello");
        assert_logged("test: hello\n");
}

static void test_the_worker_writes_everything_before_it_stops(_unused_ void **state) {
        assert_int_equal(log_start_worker(), 0);
        for (int i = 0; i < 5; i++)
                log_info("%d", i);
        log_stop_worker();
        log_info("after");
        assert_logged("test: 0\ntest: 1\ntest: 2\ntest: 3\ntest: 4\ntest: after\n");
}

typedef struct Tally {
        unsigned n_messages;
        unsigned long long n_dropped;
} Tally;

static void *read_all(void *arg) {
        _cleanup_(closep) int fd = dup(pipe_fds[0]);
        FILE *stream = fdopen(TAKE_FD(fd), "r");
        Tally *tally = arg;
        char line[256];

        while (stream && fgets(line, sizeof line, stream)) {
                unsigned long long dropped;

                if (sscanf(line, "test: %llu log messages dropped", &dropped) == 1)
                        tally->n_dropped += dropped;
                else
                        tally->n_messages++;
        }

        if (stream)
                fclose(stream);
        return NULL;
}

/* Nobody reads: the pipe fills, then the queue, and the loop that logs goes on all the same. Once somebody
 * reads, every message is there or counted. */
static void test_a_stuck_reader_holds_up_nobody_and_what_is_dropped_is_counted(_unused_ void **state) {
        const unsigned n = 5 * LOG_QUEUE_ENTRIES_MAX;
        Tally tally = {};
        pthread_t reader;

        (void) fcntl(pipe_fds[0], F_SETPIPE_SZ, 4096);
        assert_int_equal(log_start_worker(), 0);
        for (unsigned i = 0; i < n; i++)
                log_info("message %u", i);

        assert_int_equal(pthread_create(&reader, NULL, read_all, &tally), 0);
        log_stop_worker();
        restore_stderr();
        assert_int_equal(pthread_join(reader, NULL), 0);

        assert_true(tally.n_dropped > 0);
        assert_int_equal(tally.n_messages + tally.n_dropped, n);
}

/* Bursts */

static unsigned burst_count(RateLimit *b, unsigned n, usec_t now) {
        unsigned n_passed = 0, left_out;

        for (unsigned i = 0; i < n; i++) {
                n_passed += log_burst_pass(b, now, &left_out);
                assert_int_equal(left_out, 0);
        }
        return n_passed;
}

static void test_of_a_burst_so_much_is_logged_in_ten_seconds(_unused_ void **state) {
        const usec_t begin = 7;
        RateLimit b = {};

        assert_int_equal(burst_count(&b, LOG_BURST_MAX - 1, begin), LOG_BURST_MAX - 1);
        assert_int_equal(burst_count(&b, 300, begin + 1), 1);
        assert_int_equal(burst_count(&b, 300, begin + LOG_RATE_LIMIT_USEC - 1), 0);
}

/* Those that come later do not put it off. */
static void test_what_was_left_out_of_a_burst_is_counted_once_it_is_over(_unused_ void **state) {
        const usec_t begin = 7;
        unsigned left_out;
        RateLimit b = {};

        (void) burst_count(&b, 300, begin);
        assert_false(log_burst_pass(&b, begin + LOG_RATE_LIMIT_USEC - 1, &left_out));
        assert_true(log_burst_pass(&b, begin + LOG_RATE_LIMIT_USEC, &left_out));
        assert_int_equal(left_out, 301 - LOG_BURST_MAX);
        assert_int_equal(burst_count(&b, 300, begin + LOG_RATE_LIMIT_USEC), LOG_BURST_MAX - 1);
}

static void test_a_burst_of_which_all_was_logged_leaves_nothing_to_be_told(_unused_ void **state) {
        RateLimit b = {};

        for (unsigned i = 0; i < 5; i++)
                assert_int_equal(burst_count(&b, LOG_BURST_MAX, 1 + i * LOG_RATE_LIMIT_USEC), LOG_BURST_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_a_line_is_the_identifier_and_the_message),
                TEST(test_a_line_to_the_journal_begins_with_its_level_for_systemd),
                TEST(test_what_is_below_the_level_is_not_logged),
                TEST(test_an_error_comes_back_negative_whichever_way_it_went_in),
                TEST(test_percent_m_is_the_error_and_errno_is_kept),
                TEST(test_a_long_message_is_cut),
                TEST(test_a_long_message_is_cut_between_characters),
                TEST(test_more_fields_than_fit_are_ignored),
                TEST(test_the_worker_writes_everything_before_it_stops),
                TEST(test_a_stuck_reader_holds_up_nobody_and_what_is_dropped_is_counted),
                cmocka_unit_test(test_of_a_burst_so_much_is_logged_in_ten_seconds),
                cmocka_unit_test(test_what_was_left_out_of_a_burst_is_counted_once_it_is_over),
                cmocka_unit_test(test_a_burst_of_which_all_was_logged_leaves_nothing_to_be_told),
        };

        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
