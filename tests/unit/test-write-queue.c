/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The thread between what happens and what is stored, with a backend that writes down what it is told and can be made
 * to wait, to fail and to hang. Nothing sleeps for a time: what the thread does is waited for.
 */

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "harness.h"

#include "basic/log.h"
#include "basic/time.h"
#include "store/store.h"
#include "store/write-queue.h"

#define TOO_LONG_SEC 30
#define CALLS_MAX 4096U

/* What the backend has been called with, "+id=name@port", "-id", "sync" and "close"; and what it is to do. */
static struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        char *calls[CALLS_MAX]; /* the first of them */
        size_t n_calls;
        unsigned n_removals;
        bool held;           /* calls wait */
        unsigned n_waiting;  /* of them */
        const char *failing; /* this ID's put(); "*": all */
        int error;
        int sync_error;
        unsigned n_syncs_failed;
        unsigned n_unsynced, n_unsynced_max; /* puts */
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void fake_record(char *call) {
        assert(call);
        if (fake.n_calls < CALLS_MAX)
                fake.calls[fake.n_calls++] = call;
        else
                free(call);
        pthread_cond_broadcast(&fake.changed);
}

static void fake_wait(void) {
        fake.n_waiting++;
        pthread_cond_broadcast(&fake.changed);
        while (fake.held)
                pthread_cond_wait(&fake.changed, &fake.lock);
        fake.n_waiting--;
}

static int fake_put(_unused_ void *state, const Mapping *m) {
        char *call;

        pthread_mutex_lock(&fake.lock);
        fake_wait();
        int r = fake.failing && (streq(fake.failing, "*") || streq(fake.failing, m->id)) ? fake.error : 0;
        if (asprintf(&call, "%s+%s=%s@%u", r < 0 ? "!" : "", m->id, m->name, m->port) < 0)
                abort();
        fake_record(call);
        fake.n_unsynced_max = MAX(fake.n_unsynced_max, ++fake.n_unsynced);
        pthread_mutex_unlock(&fake.lock);
        return r;
}

static int fake_remove(_unused_ void *state, const char *id) {
        char *call;

        pthread_mutex_lock(&fake.lock);
        fake_wait();
        fake.n_removals++;
        if (asprintf(&call, "-%s", id) < 0)
                abort();
        fake_record(call);
        pthread_mutex_unlock(&fake.lock);
        return -ENOENT; /* which is no error */
}

static int fake_sync(_unused_ void *state) {
        pthread_mutex_lock(&fake.lock);
        fake_record(strdup("sync"));
        fake.n_unsynced = 0;
        int r = fake.sync_error;
        fake.n_syncs_failed += r < 0;
        pthread_mutex_unlock(&fake.lock);
        return r;
}

static void fake_close(_unused_ void *state) {
        pthread_mutex_lock(&fake.lock);
        fake_record(strdup("close"));
        pthread_mutex_unlock(&fake.lock);
}

static const VspcBackend backend = {
        .abi = VSPC_BACKEND_ABI,
        .size = sizeof(VspcBackend),
        .name = "fake",
        .close = fake_close,
        .put = fake_put,
        .remove = fake_remove,
        .sync = fake_sync,
};

static WriteQueue *queue;

/* Waits until @done, and holds the lock meanwhile. */
#define WAIT_UNTIL(done)                                                                                     \
        ({                                                                                                   \
                struct timespec _until;                                                                      \
                                                                                                             \
                clock_gettime(CLOCK_REALTIME, &_until);                                                      \
                _until.tv_sec += TOO_LONG_SEC;                                                               \
                pthread_mutex_lock(&fake.lock);                                                              \
                int _r = 0;                                                                                  \
                while (!(done) && _r == 0)                                                                   \
                        _r = pthread_cond_timedwait(&fake.changed, &fake.lock, &_until);                     \
                pthread_mutex_unlock(&fake.lock);                                                            \
                assert_int_equal(_r, 0);                                                                     \
        })

static bool has_called(const char *call) {
        for (size_t i = 0; i < fake.n_calls; i++)
                if (streq(fake.calls[i], call))
                        return true;

        return false;
}

static unsigned count_calls(const char *call) {
        unsigned n = 0;

        for (size_t i = 0; i < fake.n_calls; i++)
                n += streq(fake.calls[i], call);

        return n;
}

static void wait_for_call(const char *call) {
        WAIT_UNTIL(has_called(call));
}

static void hold(bool held) {
        pthread_mutex_lock(&fake.lock);
        fake.held = held;
        pthread_cond_broadcast(&fake.changed);
        pthread_mutex_unlock(&fake.lock);
}

static void fail_puts(const char *failing, int error) {
        pthread_mutex_lock(&fake.lock);
        fake.failing = failing;
        fake.error = error;
        pthread_mutex_unlock(&fake.lock);
}

static void put(const char *id, const char *name, uint16_t port) {
        assert_int_equal(write_queue_put(queue, &(Mapping){.id = id, .uri = "", .name = name, .port = port}), 0);
}

/* The thread is in put() of a VM of no interest: what is queued meanwhile waits. */
static void hold_the_thread(void) {
        hold(true);
        put("first", "", 0);
        WAIT_UNTIL(fake.n_waiting == 1);
}

static void wait_for_error(int error) {
        struct pollfd news = {.fd = write_queue_news_fd(queue), .events = POLLIN};

        while (write_queue_error(queue) != error) {
                uint64_t n;

                assert_int_equal(poll(&news, 1, TOO_LONG_SEC * 1000), 1);
                assert_int_equal(read(news.fd, &n, sizeof n), sizeof n);
        }
}

/* All that has been called, from "first" on, in one line */
static void assert_calls(const char *want) {
        char got[4096] = "";

        for (size_t i = 0; i < fake.n_calls; i++)
                snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i > 0 ? " " : "", fake.calls[i]);
        assert_text_equal(got, want);
}

static int setup(_unused_ void **state) {
        while (fake.n_calls > 0)
                free(fake.calls[--fake.n_calls]);
        fake.held = false;
        fake.n_removals = 0;
        fake.failing = NULL;
        fake.sync_error = 0;
        fake.n_syncs_failed = 0;
        fake.n_unsynced = fake.n_unsynced_max = 0;

        return write_queue_new(&backend, NULL, &queue) < 0 || write_queue_start(queue) < 0;
}

static int teardown(_unused_ void **state) {
        hold(false);
        fail_puts(NULL, 0);
        write_queue_freep(&queue);
        queue = NULL;
        return 0;
}

static void finish(void) {
        hold(false);
        queue = write_queue_free(queue);
}

static void test_what_is_queued_is_written_in_its_order_and_synced(_unused_ void **state) {
        hold_the_thread();
        put("a", "web01", 50000);
        put("b", "db02", 50001);
        write_queue_remove(queue, "c");
        finish();
        assert_calls("+first=@0 sync +a=web01@50000 +b=db02@50001 -c sync close");
}

static void test_of_a_vm_only_the_latest_is_written(_unused_ void **state) {
        hold_the_thread();
        put("a", "one", 1);
        put("b", "other", 7);
        put("a", "two", 2);
        put("a", "three", 3);
        finish();
        assert_calls("+first=@0 sync +a=three@3 +b=other@7 sync close");
}

static void test_a_removal_replaces_what_was_to_be_put_and_the_other_way_round(_unused_ void **state) {
        hold_the_thread();
        put("a", "one", 1);
        write_queue_remove(queue, "a");
        write_queue_remove(queue, "b");
        put("b", "back", 2);
        finish();
        assert_calls("+first=@0 sync -a +b=back@2 sync close");
}

static void test_what_changes_while_it_is_written_is_written_again(_unused_ void **state) {
        hold_the_thread();
        put("first", "renamed", 1);
        finish();
        assert_calls("+first=@0 sync +first=renamed@1 sync close");
}

static void test_a_storm_of_changes_is_one_write(_unused_ void **state) {
        char name[16] = "";

        hold_the_thread();
        for (unsigned i = 0; i < 100000; i++) {
                snprintf(name, sizeof name, "%u", i);
                put("a", name, 1);
        }
        finish();
        assert_calls("+first=@0 sync +a=99999@1 sync close");
}

/* However often that happens to it: at the end there may be no time for all. */
static void test_a_vm_that_changes_keeps_its_place_in_the_queue(_unused_ void **state) {
        hold_the_thread();
        put("a", "one", 1);
        put("b", "other", 7);
        put("c", "third", 8);
        put("b", "renamed", 7);
        write_queue_remove(queue, "c");
        put("a", "two", 2);
        put("d", "last", 9);
        finish();
        assert_calls("+first=@0 sync +a=two@2 +b=renamed@7 -c +d=last@9 sync close");
}

/* It rests after each write, and neither is woken by what comes meanwhile nor overlooks it. */
static void test_changes_in_quick_succession_are_few_writes(_unused_ void **state) {
        usec_t begin = now_monotonic();
        char name[16] = "";

        for (unsigned i = 0; i < 1000 || now_monotonic() < begin + 10 * STORE_BATCH_PAUSE_USEC; i++) {
                snprintf(name, sizeof name, "%u", i);
                put("a", name, 1);
        }
        put("a", "end", 2);
        wait_for_call("+a=end@2");
        unsigned n = 0;
        for (size_t i = 0; i < fake.n_calls; i++)
                n += fake.calls[i][0] == '+';
        assert_in_range(n, 1, 2 + (now_monotonic() - begin) / STORE_BATCH_PAUSE_USEC);
        finish();
}

/* However many writes there are in it; and one more at the end */
static void test_a_second_has_one_sync(_unused_ void **state) {
        usec_t begin = now_monotonic();
        char name[8], call[16];

        for (unsigned i = 0; i < 40; i++) {
                snprintf(name, sizeof name, "%u", i);
                snprintf(call, sizeof call, "+a=%s@1", name);
                put("a", name, 1);
                wait_for_call(call);
        }
        finish();
        assert_in_range(count_calls("sync"), 1, 2 + (now_monotonic() - begin) / STORE_SYNC_USEC);
}

/* Also if nothing more happens */
static void test_what_is_written_is_synced_soon(_unused_ void **state) {
        put("a", "", 1);
        wait_for_call("sync");
        put("a", "", 2);
        WAIT_UNTIL(count_calls("sync") == 2);
        assert_calls("+a=@1 sync +a=@2 sync");
        finish();
        assert_calls("+a=@1 sync +a=@2 sync close");
}

static void test_so_much_may_wait_for_a_sync_and_no_more(_unused_ void **state) {
        const unsigned n = 2 * STORE_WRITTEN_MAX;
        char id[16];

        hold_the_thread();
        for (unsigned i = 0; i < n; i++) {
                snprintf(id, sizeof id, "vm%u", i);
                put(id, "", 1);
        }
        finish();
        assert_in_range(fake.n_unsynced_max, 1, STORE_WRITTEN_MAX + 64);
}

static void test_many_vms_are_all_written_before_the_end(_unused_ void **state) {
        char id[16], call[32];

        hold_the_thread();
        for (unsigned i = 0; i < 1000; i++) {
                snprintf(id, sizeof id, "vm%u", i);
                put(id, "", 1);
        }
        finish();
        for (unsigned i = 0; i < 1000; i++) {
                snprintf(call, sizeof call, "+vm%u=@1", i);
                assert_int_equal(count_calls(call), 1);
        }
        assert_string_equal(fake.calls[fake.n_calls - 2], "sync");
        assert_string_equal(fake.calls[fake.n_calls - 1], "close");
}

static void test_what_could_not_be_written_is_tried_again(_unused_ void **state) {
        fail_puts("*", -ENOSPC);
        put("a", "one", 1);
        wait_for_error(-ENOSPC);
        put("b", "", 2);
        fail_puts(NULL, 0);
        wait_for_error(0);
        finish();
        assert_calls("!+a=one@1 +a=one@1 +b=@2 sync close");
}

static void test_what_is_tried_again_is_the_latest(_unused_ void **state) {
        fail_puts("*", -EIO);
        put("a", "old", 1);
        put("b", "old", 2);
        WAIT_UNTIL(has_called("!+b=old@2"));
        wait_for_error(-EIO);
        put("a", "new", 1);
        write_queue_remove(queue, "b");
        fail_puts(NULL, 0);
        wait_for_error(0);
        finish();
        assert_false(has_called("+a=old@1"));
        assert_false(has_called("+b=old@2"));
        assert_true(has_called("+a=new@1") && has_called("-b"));
}

/* It changes while the write that is going to fail is under way. */
static void test_what_has_failed_does_not_replace_what_is_newer(_unused_ void **state) {
        fail_puts("*", -EIO);
        hold(true);
        put("a", "old", 1);
        WAIT_UNTIL(fake.n_waiting == 1);
        put("a", "new", 2);
        hold(false);
        wait_for_error(-EIO);
        fail_puts(NULL, 0);
        wait_for_error(0);
        finish();
        assert_int_equal(count_calls("!+a=old@1"), 1);
        assert_false(has_called("+a=old@1"));
        assert_true(has_called("+a=new@2"));
}

static void test_one_that_cannot_be_written_does_not_keep_the_others_from_it(_unused_ void **state) {
        char id[16], call[32];

        fail_puts("bad", -EISDIR);
        hold_the_thread();
        put("bad", "", 0);
        for (unsigned i = 0; i < 200; i++) {
                snprintf(id, sizeof id, "vm%u", i);
                put(id, "", 1);
        }
        hold(false);
        for (unsigned i = 0; i < 200; i++) {
                snprintf(call, sizeof call, "+vm%u=@1", i);
                wait_for_call(call);
        }

        WAIT_UNTIL(count_calls("!+bad=@0") >= 2);
        wait_for_error(-EISDIR); /* although others have been written since */
        fail_puts(NULL, 0);
        wait_for_error(0);
        wait_for_call("+bad=@0");
}

/* It may be half a minute until that one is tried again. */
static void test_nor_from_being_synced(_unused_ void **state) {
        fail_puts("bad", -EISDIR);
        hold_the_thread();
        put("bad", "", 0);
        put("a", "", 1);
        hold(false);
        WAIT_UNTIL(count_calls("!+bad=@0") == 2);
        pthread_mutex_lock(&fake.lock);
        assert_int_equal(count_calls("sync"), 2);
        assert_string_equal(fake.calls[0], "+first=@0");
        assert_string_equal(fake.calls[1], "sync");
        assert_string_equal(fake.calls[4], "sync");
        pthread_mutex_unlock(&fake.lock);
}

static void test_what_could_not_be_synced_is_put_again(_unused_ void **state) {
        pthread_mutex_lock(&fake.lock);
        fake.sync_error = -EIO;
        pthread_mutex_unlock(&fake.lock);
        put("a", "", 1);
        wait_for_error(-EIO);
        pthread_mutex_lock(&fake.lock);
        fake.sync_error = 0;
        pthread_mutex_unlock(&fake.lock);
        wait_for_error(0);
        finish();
        assert_int_equal(count_calls("+a=@1"), fake.n_syncs_failed + 1);
}

static void test_of_what_could_not_be_synced_the_latest_is_put_again(_unused_ void **state) {
        put("first", "", 0);
        wait_for_call("sync");
        pthread_mutex_lock(&fake.lock);
        fake.sync_error = -EIO;
        pthread_mutex_unlock(&fake.lock);
        put("a", "old", 1);
        wait_for_call("+a=old@1");
        put("a", "new", 2);
        wait_for_call("+a=new@2");
        WAIT_UNTIL(fake.n_syncs_failed > 0);
        pthread_mutex_lock(&fake.lock);
        fake.sync_error = 0;
        pthread_mutex_unlock(&fake.lock);
        WAIT_UNTIL(fake.n_calls > 0 && streq(fake.calls[fake.n_calls - 1], "sync") && fake.n_unsynced == 0 &&
                   count_calls("+a=new@2") > 1);
        assert_string_equal(fake.calls[fake.n_calls - 2], "+a=new@2");
        finish();
}

/* Each VM is tried once more, so that one that fails at the end costs the others nothing. */
static void test_at_the_end_each_is_tried_once_more(_unused_ void **state) {
        fail_puts("a", -EIO);
        put("a", "", 1);
        wait_for_error(-EIO);
        unsigned before = count_calls("!+a=@1");
        put("b", "", 2);
        finish();
        assert_int_equal(count_calls("!+a=@1"), before + 1);
        assert_int_equal(count_calls("+b=@2"), 1);
        assert_string_equal(fake.calls[fake.n_calls - 1], "close");
}

static void test_removals_are_bounded(_unused_ void **state) {
        char id[32];

        hold_the_thread();
        for (unsigned i = 0; i < STORE_REMOVALS_MAX + 10; i++) {
                snprintf(id, sizeof id, "gone%u", i);
                write_queue_remove(queue, id);
        }

        /* A put in place of one makes room for another. */
        put("gone0", "back", 1);
        write_queue_remove(queue, "last");
        finish();
        assert_int_equal(fake.n_removals, STORE_REMOVALS_MAX);
}

static void test_nothing_is_written_before_the_start(_unused_ void **state) {
        finish();
        setup(NULL);
        finish();

        while (fake.n_calls > 0)
                free(fake.calls[--fake.n_calls]);
        assert_int_equal(write_queue_new(&backend, NULL, &queue), 0);
        put("a", "", 1);
        finish();
        assert_calls("close");
}

/* The thread goes on, and what it uses is not freed; who frees the queue is let go after STORE_STOP_SEC. */
static void test_a_backend_that_hangs_holds_up_neither_puts_nor_the_end_for_long(_unused_ void **state) {
        static WriteQueue *left_to_the_thread; /* which is no leak */
        struct timespec before, after;

        hold_the_thread();
        clock_gettime(CLOCK_MONOTONIC, &before);
        for (unsigned i = 0; i < 1000; i++)
                put("a", "", 1);
        clock_gettime(CLOCK_MONOTONIC, &after);
        assert_in_range(after.tv_sec - before.tv_sec, 0, 2);

        left_to_the_thread = queue;
        queue = write_queue_free(left_to_the_thread);
        clock_gettime(CLOCK_MONOTONIC, &before);
        assert_in_range(before.tv_sec - after.tv_sec, STORE_STOP_SEC - 1, STORE_STOP_SEC + 5);

        hold(false);
        wait_for_call("close");
        assert_calls("+first=@0 sync +a=@1 sync close");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(test_what_is_queued_is_written_in_its_order_and_synced),
                TEST(test_of_a_vm_only_the_latest_is_written),
                TEST(test_a_removal_replaces_what_was_to_be_put_and_the_other_way_round),
                TEST(test_what_changes_while_it_is_written_is_written_again),
                TEST(test_a_storm_of_changes_is_one_write),
                TEST(test_a_vm_that_changes_keeps_its_place_in_the_queue),
                TEST(test_changes_in_quick_succession_are_few_writes),
                TEST(test_a_second_has_one_sync),
                TEST(test_what_is_written_is_synced_soon),
                TEST(test_so_much_may_wait_for_a_sync_and_no_more),
                TEST(test_many_vms_are_all_written_before_the_end),
                TEST(test_what_could_not_be_written_is_tried_again),
                TEST(test_what_is_tried_again_is_the_latest),
                TEST(test_what_has_failed_does_not_replace_what_is_newer),
                TEST(test_one_that_cannot_be_written_does_not_keep_the_others_from_it),
                TEST(test_nor_from_being_synced),
                TEST(test_what_could_not_be_synced_is_put_again),
                TEST(test_of_what_could_not_be_synced_the_latest_is_put_again),
                TEST(test_at_the_end_each_is_tried_once_more),
                TEST(test_removals_are_bounded),
                TEST(test_nothing_is_written_before_the_start),
                TEST(test_a_backend_that_hangs_holds_up_neither_puts_nor_the_end_for_long),
        };

        log_set_max_level(LOG_EMERG);
        return cmocka_run_group_tests_name("write-queue", tests, NULL, NULL);
}
