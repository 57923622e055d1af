/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Users' names, of an NSS that the test makes: it may hang, and counts how often it is asked. */

#include "harness.h"

#include <pthread.h>
#include <pwd.h>
#include <stdio.h>

#include "transport/user-names.h"

#define NOBODY 9999U /* has no name */
#define STRANGE 666U

static struct {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool hangs;
        unsigned n_asked;
} nss = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static usec_t later; /* than it is */

/* Whether queries wait for an answer however long it takes on a slow machine */
static bool patient;

static struct {
        sd_event *event;
        Poller *poller;
        UserNames *names;
} f;

typedef struct Question {
        UserNameQuery query;
        unsigned n_answers;
        char name[4 * USER_NAME_MAX]; /* "-": none */
} Question;

int __wrap_getpwuid_r(uid_t uid, struct passwd *record, char *buffer, size_t size, struct passwd **ret);
int __wrap_getpwuid_r(uid_t uid, struct passwd *record, char *buffer, size_t size, struct passwd **ret) {
        pthread_mutex_lock(&nss.lock);
        nss.n_asked++;
        pthread_cond_broadcast(&nss.changed);
        while (nss.hangs)
                pthread_cond_wait(&nss.changed, &nss.lock);
        pthread_mutex_unlock(&nss.lock);

        *ret = NULL;
        if (uid == NOBODY)
                return 0;

        if (uid == STRANGE)
                snprintf(buffer, size, "\x1b[2J%0200d", 0);
        else
                snprintf(buffer, size, "user%u", uid);
        *record = (struct passwd){.pw_name = buffer, .pw_uid = uid};
        *ret = record;
        return 0;
}

usec_t __real_event_now(sd_event *event);
usec_t __wrap_event_now(sd_event *event);
usec_t __wrap_event_now(sd_event *event) {
        return __real_event_now(event) + later;
}

int __real_timeout_queue_init(TimeoutQueue *q, sd_event *event, usec_t duration, TimeoutHandler handler);
int __wrap_timeout_queue_init(TimeoutQueue *q, sd_event *event, usec_t duration, TimeoutHandler handler);
int __wrap_timeout_queue_init(TimeoutQueue *q, sd_event *event, usec_t duration, TimeoutHandler handler) {
        return __real_timeout_queue_init(q, event, patient ? USEC_INFINITY : duration, handler);
}

static void let_nss_hang(bool hangs) {
        pthread_mutex_lock(&nss.lock);
        nss.hangs = hangs;
        pthread_cond_broadcast(&nss.changed);
        pthread_mutex_unlock(&nss.lock);
}

static unsigned count_asked(void) {
        pthread_mutex_lock(&nss.lock);
        unsigned n = nss.n_asked;
        pthread_mutex_unlock(&nss.lock);
        return n;
}

static void wait_until_asked(unsigned n) {
        pthread_mutex_lock(&nss.lock);
        while (nss.n_asked < n)
                pthread_cond_wait(&nss.changed, &nss.lock);
        pthread_mutex_unlock(&nss.lock);
}

static int begin(bool with_patience) {
        nss.hangs = false;
        nss.n_asked = 0;
        later = 0;
        patient = with_patience;
        return sd_event_new(&f.event) < 0 || poller_new(f.event, &f.poller) < 0 ||
               user_names_new(f.poller, &f.names) < 0;
}

static int set_up(_unused_ void **state) {
        return begin(true);
}

static int set_up_impatient(_unused_ void **state) {
        return begin(false);
}

static int tear_down(_unused_ void **state) {
        f.names = user_names_free(f.names);
        let_nss_hang(false);
        poller_free(f.poller);
        sd_event_unref(f.event);
        return 0;
}

static void answered(UserNameQuery *query, const char *name) {
        Question *q = container_of(query, Question, query);

        q->n_answers++;
        snprintf(q->name, sizeof q->name, "%s", name ?: "-");
}

static void ask(Question *q, uid_t uid) {
        user_names_ask(f.names, &q->query, uid, answered);
}

static void wait_answered(const Question *q, const char *name) {
        while (q->n_answers == 0)
                assert_true(sd_event_run(f.event, UINT64_MAX) >= 0);

        assert_int_equal(q->n_answers, 1);
        assert_string_equal(q->name, name);
}

static void test_a_user_s_name_is_found(_unused_ void **state) {
        Question q = {};

        ask(&q, 1000);
        assert_int_equal(q.n_answers, 0);
        wait_answered(&q, "user1000");
}

static void test_a_user_without_a_name_has_none(_unused_ void **state) {
        Question q = {};

        ask(&q, NOBODY);
        wait_answered(&q, "-");
}

static void test_a_name_is_cut_and_made_fit_for_people(_unused_ void **state) {
        Question q = {};

        ask(&q, STRANGE);
        while (q.n_answers == 0)
                assert_true(sd_event_run(f.event, UINT64_MAX) >= 0);
        assert_memory_equal(q.name, "\xef\xbf\xbd[2J000", 9);
        assert_in_range(strlen(q.name), USER_NAME_MAX, USER_NAME_MAX + 2);
}

static void test_who_was_asked_about_is_known_at_once_for_a_while(_unused_ void **state) {
        Question q[3] = {};

        ask(&q[0], 1000);
        wait_answered(&q[0], "user1000");
        ask(&q[1], 1000);
        assert_int_equal(q[1].n_answers, 1);
        assert_string_equal(q[1].name, "user1000");
        assert_int_equal(count_asked(), 1);

        later += USER_NAMES_KEPT_USEC;
        ask(&q[2], 1000);
        assert_int_equal(q[2].n_answers, 0);
        wait_answered(&q[2], "user1000");
        assert_int_equal(count_asked(), 2);
}

static void test_many_who_want_the_same_ask_once(_unused_ void **state) {
        Question q[20] = {};

        let_nss_hang(true);
        for (size_t i = 0; i < ELEMENTSOF(q); i++)
                ask(&q[i], 1000);
        let_nss_hang(false);
        for (size_t i = 0; i < ELEMENTSOF(q); i++)
                wait_answered(&q[i], "user1000");
        assert_int_equal(count_asked(), 1);
}

static void test_one_after_the_other_is_looked_up(_unused_ void **state) {
        Question q[USER_NAMES_MAX] = {};
        char name[32];

        for (unsigned i = 0; i < USER_NAMES_MAX; i++)
                ask(&q[i], 1000 + i);
        for (unsigned i = 0; i < USER_NAMES_MAX; i++) {
                snprintf(name, sizeof name, "user%u", 1000 + i);
                wait_answered(&q[i], name);
        }
}

static void test_nobody_waits_long_for_an_nss_that_hangs_and_only_the_first_waits(_unused_ void **state) {
        Question first = {}, beside = {}, second = {}, other = {}, last = {};

        let_nss_hang(true);
        ask(&first, 1000);
        assert_true(sd_event_run(f.event, 5 * USEC_PER_MSEC) >= 0); /* the time of the next is up later */
        ask(&beside, 1002);
        wait_answered(&first, "-");
        assert_int_equal(beside.n_answers, 1);
        assert_string_equal(beside.name, "-");
        ask(&second, 1000);
        ask(&other, 1001);
        assert_int_equal(second.n_answers, 1);
        assert_int_equal(other.n_answers, 1);

        /* As soon as it answers all is well again. */
        let_nss_hang(false);
        while (last.n_answers == 0 || streq(last.name, "-")) {
                last = (Question){};
                ask(&last, 1001);
                while (last.n_answers == 0)
                        assert_true(sd_event_run(f.event, UINT64_MAX) >= 0);
                assert_true(sd_event_run(f.event, 1000) >= 0);
        }
        assert_string_equal(last.name, "user1001");
}

static void test_what_waits_is_bounded(_unused_ void **state) {
        Question q[USER_NAMES_MAX + 1] = {};

        let_nss_hang(true);
        for (unsigned i = 0; i < USER_NAMES_MAX; i++) {
                ask(&q[i], 1000 + i);
                assert_int_equal(q[i].n_answers, 0);
        }
        ask(&q[USER_NAMES_MAX], 1);
        assert_int_equal(q[USER_NAMES_MAX].n_answers, 1);
        assert_string_equal(q[USER_NAMES_MAX].name, "-");

        for (unsigned i = 0; i < USER_NAMES_MAX; i++)
                user_names_cancel(&q[i].query);
}

static void test_what_is_remembered_is_bounded_and_the_oldest_goes(_unused_ void **state) {
        Question q[USER_NAMES_MAX + 1] = {}, again = {}, oldest = {};
        char name[32];

        for (unsigned i = 0; i <= USER_NAMES_MAX; i++) {
                ask(&q[i], 1000 + i);
                snprintf(name, sizeof name, "user%u", 1000 + i);
                wait_answered(&q[i], name);
                later++;
        }

        ask(&again, 1001);
        assert_int_equal(again.n_answers, 1);
        ask(&oldest, 1000);
        assert_int_equal(oldest.n_answers, 0);
        wait_answered(&oldest, "user1000");
}

static void test_who_has_gone_is_not_answered(_unused_ void **state) {
        Question gone = {}, stays = {};

        let_nss_hang(true);
        ask(&gone, 1000);
        ask(&stays, 1000);
        user_names_cancel(&gone.query);
        user_names_cancel(&gone.query);
        let_nss_hang(false);
        wait_answered(&stays, "user1000");
        assert_int_equal(gone.n_answers, 0);
}

/* tear_down() lets NSS go on after that. */
static void test_the_end_does_not_wait_for_an_nss_that_hangs(_unused_ void **state) {
        Question q = {};

        let_nss_hang(true);
        ask(&q, 1000);
        wait_until_asked(1);
        user_names_cancel(&q.query);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_user_s_name_is_found, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_user_without_a_name_has_none, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_a_name_is_cut_and_made_fit_for_people, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_who_was_asked_about_is_known_at_once_for_a_while, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_many_who_want_the_same_ask_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_one_after_the_other_is_looked_up, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_nobody_waits_long_for_an_nss_that_hangs_and_only_the_first_waits,
                                                set_up_impatient, tear_down),
                cmocka_unit_test_setup_teardown(test_what_waits_is_bounded, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_what_is_remembered_is_bounded_and_the_oldest_goes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_who_has_gone_is_not_answered, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_the_end_does_not_wait_for_an_nss_that_hangs, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("user-names", tests, NULL, NULL);
}
