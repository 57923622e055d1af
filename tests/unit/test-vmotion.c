/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vMotion's rules. First every ordering that ESXi is known to produce, as a story; then all sequences of up to six
 * events, against the rules written down a second time as conditions on what has happened before, and against what
 * must hold whatever the rules: one winner at most, and a secret that opens once. Then the secrets themselves.
 */

#include "harness.h"

#include "console/vmotion.h"
#include "prng.h"

#define STORY_MAX 8U
#define WALK_MAX 6U

/* The field's words, short */
enum {
        BEGIN = VMOTION_ON_BEGIN,
        ABORT = VMOTION_ON_ABORT,
        TARGET = VMOTION_ON_TARGET,
        COMPLETE = VMOTION_ON_COMPLETE,
        SOURCE_CLOSED = VMOTION_ON_SOURCE_CLOSED,
        TARGET_CLOSED = VMOTION_ON_TARGET_CLOSED,
        TIMEOUT = VMOTION_ON_TIMEOUT,
        NEWCOMER = VMOTION_ON_NEWCOMER,
};

static const char *const event_names[] = {
        [BEGIN] = "BEGIN",
        [ABORT] = "ABORT",
        [TARGET] = "TARGET",
        [COMPLETE] = "COMPLETE",
        [SOURCE_CLOSED] = "SOURCE-CLOSED",
        [TARGET_CLOSED] = "TARGET-CLOSED",
        [TIMEOUT] = "TIMEOUT",
        [NEWCOMER] = "NEWCOMER",
};
static_assert(ELEMENTSOF(event_names) == _VMOTION_EVENT_MAX, "an event without a name");

static const char *const action_names[] = {
        [VMOTION_IGNORE] = "-",
        [VMOTION_GO_AHEAD] = "go-ahead",
        [VMOTION_RESTART] = "restart",
        [VMOTION_ACCEPT_TARGET] = "accept-target",
        [VMOTION_AWAIT_TARGET] = "await-target",
        [VMOTION_TARGET_WINS] = "target-wins",
        [VMOTION_SOURCE_WINS] = "source-wins",
        [VMOTION_NOBODY_WINS] = "nobody-wins",
        [VMOTION_HAND_BACK] = "hand-back",
        [VMOTION_NEWCOMER_WINS] = "newcomer-wins",
};

static const struct {
        const char *name;
        struct {
                int event;
                VMotionAction action;
        } steps[STORY_MAX];
        size_t n;
} stories[] = {
#define STORY(name, ...) {name, {__VA_ARGS__}, sizeof((int[][2]){__VA_ARGS__}) / sizeof(int[2])}
        STORY("a migration, the source closes last",
              {BEGIN, VMOTION_GO_AHEAD}, {TARGET, VMOTION_ACCEPT_TARGET}, {COMPLETE, VMOTION_TARGET_WINS},
              {SOURCE_CLOSED, VMOTION_IGNORE}),

        STORY("the source closes before COMPLETE has been read",
              {BEGIN, VMOTION_GO_AHEAD}, {TARGET, VMOTION_ACCEPT_TARGET}, {SOURCE_CLOSED, VMOTION_TARGET_WINS},
              {COMPLETE, VMOTION_IGNORE}, {TIMEOUT, VMOTION_IGNORE}),

        STORY("the source closes before the target has come",
              {BEGIN, VMOTION_GO_AHEAD}, {SOURCE_CLOSED, VMOTION_AWAIT_TARGET}, {TARGET, VMOTION_TARGET_WINS},
              {COMPLETE, VMOTION_IGNORE}, {TARGET, VMOTION_IGNORE}),

        STORY("the source closes and nobody ever comes",
              {BEGIN, VMOTION_GO_AHEAD}, {SOURCE_CLOSED, VMOTION_AWAIT_TARGET}, {TIMEOUT, VMOTION_NOBODY_WINS},
              {TARGET, VMOTION_IGNORE}),

        STORY("what the source said before it closed, read too late, changes nothing",
              {BEGIN, VMOTION_GO_AHEAD}, {SOURCE_CLOSED, VMOTION_AWAIT_TARGET}, {ABORT, VMOTION_IGNORE},
              {BEGIN, VMOTION_IGNORE}, {TARGET, VMOTION_TARGET_WINS}),

        STORY("called off before the target has come",
              {BEGIN, VMOTION_GO_AHEAD}, {ABORT, VMOTION_SOURCE_WINS}, {TARGET, VMOTION_IGNORE},
              {COMPLETE, VMOTION_IGNORE}),

        STORY("called off after the target has come, whose COMPLETE is too late",
              {BEGIN, VMOTION_GO_AHEAD}, {TARGET, VMOTION_ACCEPT_TARGET}, {ABORT, VMOTION_SOURCE_WINS},
              {COMPLETE, VMOTION_IGNORE}, {TARGET_CLOSED, VMOTION_IGNORE}),

        STORY("called off twice",
              {BEGIN, VMOTION_GO_AHEAD}, {ABORT, VMOTION_SOURCE_WINS}, {ABORT, VMOTION_IGNORE}),

        STORY("ABORT after COMPLETE is too late",
              {BEGIN, VMOTION_GO_AHEAD}, {TARGET, VMOTION_ACCEPT_TARGET}, {COMPLETE, VMOTION_TARGET_WINS},
              {ABORT, VMOTION_IGNORE}),

        STORY("no target shows up, then another attempt succeeds",
              {BEGIN, VMOTION_GO_AHEAD}, {TIMEOUT, VMOTION_HAND_BACK}, {BEGIN, VMOTION_RESTART},
              {TARGET, VMOTION_ACCEPT_TARGET}, {COMPLETE, VMOTION_TARGET_WINS}),

        STORY("no target shows up, and the source is the VM until it closes",
              {BEGIN, VMOTION_GO_AHEAD}, {TIMEOUT, VMOTION_HAND_BACK}, {SOURCE_CLOSED, VMOTION_NOBODY_WINS},
              {TARGET, VMOTION_IGNORE}),

        STORY("the target comes after the timeout",
              {BEGIN, VMOTION_GO_AHEAD}, {TIMEOUT, VMOTION_HAND_BACK}, {TARGET, VMOTION_ACCEPT_TARGET},
              {COMPLETE, VMOTION_TARGET_WINS}),

        STORY("called off after the timeout",
              {BEGIN, VMOTION_GO_AHEAD}, {TIMEOUT, VMOTION_HAND_BACK}, {ABORT, VMOTION_SOURCE_WINS},
              {TARGET, VMOTION_IGNORE}),

        STORY("the target completes after the timeout",
              {BEGIN, VMOTION_GO_AHEAD}, {TARGET, VMOTION_ACCEPT_TARGET}, {TIMEOUT, VMOTION_HAND_BACK},
              {TARGET, VMOTION_IGNORE}, {COMPLETE, VMOTION_TARGET_WINS}),

        STORY("each of its halves takes longer than the timeout",
              {BEGIN, VMOTION_GO_AHEAD}, {TIMEOUT, VMOTION_HAND_BACK}, {TARGET, VMOTION_ACCEPT_TARGET},
              {TIMEOUT, VMOTION_HAND_BACK}, {SOURCE_CLOSED, VMOTION_TARGET_WINS}),

        STORY("a target that never completes",
              {BEGIN, VMOTION_GO_AHEAD}, {TARGET, VMOTION_ACCEPT_TARGET}, {TIMEOUT, VMOTION_HAND_BACK},
              {TARGET_CLOSED, VMOTION_SOURCE_WINS}, {COMPLETE, VMOTION_IGNORE}),

        STORY("a new BEGIN without any ABORT replaces the old",
              {BEGIN, VMOTION_GO_AHEAD}, {BEGIN, VMOTION_RESTART}, {TARGET, VMOTION_ACCEPT_TARGET},
              {COMPLETE, VMOTION_TARGET_WINS}),

        STORY("a new BEGIN drops a target that was accepted, the next one wins",
              {BEGIN, VMOTION_GO_AHEAD}, {TARGET, VMOTION_ACCEPT_TARGET}, {BEGIN, VMOTION_RESTART},
              {COMPLETE, VMOTION_IGNORE}, {TARGET_CLOSED, VMOTION_IGNORE}, {TARGET, VMOTION_ACCEPT_TARGET},
              {COMPLETE, VMOTION_TARGET_WINS}),

        STORY("the target closes before COMPLETE: the source still is the VM, the secret is used",
              {BEGIN, VMOTION_GO_AHEAD}, {TARGET, VMOTION_ACCEPT_TARGET}, {TARGET_CLOSED, VMOTION_SOURCE_WINS},
              {TARGET, VMOTION_IGNORE}, {COMPLETE, VMOTION_IGNORE}, {BEGIN, VMOTION_GO_AHEAD}),

        STORY("a second connection with the same secret",
              {BEGIN, VMOTION_GO_AHEAD}, {TARGET, VMOTION_ACCEPT_TARGET}, {TARGET, VMOTION_IGNORE},
              {COMPLETE, VMOTION_TARGET_WINS}),

        STORY("COMPLETE without TARGET",
              {BEGIN, VMOTION_GO_AHEAD}, {COMPLETE, VMOTION_IGNORE}, {TARGET, VMOTION_ACCEPT_TARGET},
              {COMPLETE, VMOTION_TARGET_WINS}),

        STORY("the host dies without a word, and HA starts the VM on another",
              {BEGIN, VMOTION_GO_AHEAD}, {NEWCOMER, VMOTION_NEWCOMER_WINS}, {TARGET, VMOTION_IGNORE},
              {ABORT, VMOTION_IGNORE}, {TIMEOUT, VMOTION_IGNORE}, {SOURCE_CLOSED, VMOTION_IGNORE}),

        STORY("it does so after the target has come",
              {BEGIN, VMOTION_GO_AHEAD}, {TARGET, VMOTION_ACCEPT_TARGET}, {NEWCOMER, VMOTION_NEWCOMER_WINS},
              {COMPLETE, VMOTION_IGNORE}, {TARGET_CLOSED, VMOTION_IGNORE}),

        STORY("it does so after the timeout",
              {BEGIN, VMOTION_GO_AHEAD}, {TIMEOUT, VMOTION_HAND_BACK}, {NEWCOMER, VMOTION_NEWCOMER_WINS},
              {TARGET, VMOTION_IGNORE}),

        STORY("the VM connects anew instead of the target",
              {BEGIN, VMOTION_GO_AHEAD}, {SOURCE_CLOSED, VMOTION_AWAIT_TARGET}, {NEWCOMER, VMOTION_NEWCOMER_WINS},
              {TARGET, VMOTION_IGNORE}),

        STORY("nothing has begun",
              {ABORT, VMOTION_IGNORE}, {TARGET, VMOTION_IGNORE}, {COMPLETE, VMOTION_IGNORE},
              {TARGET_CLOSED, VMOTION_IGNORE}, {SOURCE_CLOSED, VMOTION_IGNORE}, {TIMEOUT, VMOTION_IGNORE},
              {NEWCOMER, VMOTION_IGNORE}),
#undef STORY
};

static void test_stories(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(stories); i++) {
                VMotionState s = VMOTION_NONE;

                for (size_t k = 0; k < stories[i].n; k++) {
                        VMotionAction got = vmotion_step(&s, stories[i].steps[k].event);

                        if (got != stories[i].steps[k].action)
                                fail_msg("%s: %s leads to %s, not to %s", stories[i].name,
                                         event_names[stories[i].steps[k].event], action_names[got],
                                         action_names[stories[i].steps[k].action]);
                }
        }
}

/* What has happened so far, as far as the rules ask for it. */
typedef struct History {
        bool under_way, source, target;
        bool used; /* the secret of the last go-ahead */
        bool overdue; /* the timeout has elapsed since it was last held */
        unsigned n_winners, n_accepted; /* since the last go-ahead */
} History;

/* doc/protocol.md, vMotion, once more */
static VMotionAction rule(const History *h, int event) {
        if (!h->under_way)
                return event == BEGIN ? VMOTION_GO_AHEAD : VMOTION_IGNORE;

        switch (event) {
        case BEGIN:
                return h->source ? VMOTION_RESTART : VMOTION_IGNORE;
        case ABORT:
                return h->source ? VMOTION_SOURCE_WINS : VMOTION_IGNORE;
        case TARGET:
                return h->used ? VMOTION_IGNORE : h->source ? VMOTION_ACCEPT_TARGET : VMOTION_TARGET_WINS;
        case COMPLETE:
                return h->target ? VMOTION_TARGET_WINS : VMOTION_IGNORE;
        case SOURCE_CLOSED:
                return !h->source   ? VMOTION_IGNORE
                       : h->target    ? VMOTION_TARGET_WINS
                       : h->overdue ? VMOTION_NOBODY_WINS
                                    : VMOTION_AWAIT_TARGET;
        case TARGET_CLOSED:
                return h->target ? VMOTION_SOURCE_WINS : VMOTION_IGNORE;
        case TIMEOUT:
                return h->overdue ? VMOTION_IGNORE : h->source ? VMOTION_HAND_BACK : VMOTION_NOBODY_WINS;
        case NEWCOMER:
                return VMOTION_NEWCOMER_WINS;
        default:
                abort();
        }
}

static void record(History *h, int event, VMotionAction action) {
        switch (action) {
        case VMOTION_IGNORE:
                return;
        case VMOTION_GO_AHEAD:
        case VMOTION_RESTART:
                *h = (History){.under_way = true, .source = true};
                return;
        case VMOTION_ACCEPT_TARGET:
                h->target = h->used = true;
                h->overdue = false;
                h->n_accepted++;
                return;
        case VMOTION_HAND_BACK:
                h->overdue = true;
                return;
        case VMOTION_AWAIT_TARGET:
                h->source = false;
                return;
        case VMOTION_TARGET_WINS:
        case VMOTION_SOURCE_WINS:
        case VMOTION_NOBODY_WINS:
        case VMOTION_NEWCOMER_WINS:
                h->under_way = false;
                h->n_accepted += event == TARGET;
                h->n_winners++;
                return;
        default:
                fail_msg("%s leads to no action there is: %d", event_names[event], (int) action);
        }
}

/* Independent of rule(): what nobody may ever see, whichever events are heeded. */
static const char *violation(const History *before, const History *after, int event, VMotionAction action,
                             VMotionState state) {
        if (after->n_winners > 1)
                return "two winners";
        if (after->n_accepted > 1)
                return "a secret that opened twice";
        if (!before->under_way && action != VMOTION_IGNORE && event != BEGIN)
                return "something happened while nothing was under way";
        if (action == VMOTION_TARGET_WINS && !before->target && event != TARGET)
                return "a target won that has never come";
        if (action == VMOTION_SOURCE_WINS && (!before->source || event == SOURCE_CLOSED))
                return "a source won that has gone";
        if (action == VMOTION_NOBODY_WINS && before->source && event != SOURCE_CLOSED)
                return "nobody won though the source is there";
        if (action == VMOTION_HAND_BACK && !before->source)
                return "input given to a source that has gone";
        if (event == TIMEOUT && vmotion_state_holds(state))
                return "input is held after a timeout";
        if (vmotion_state_holds(state) != (after->under_way && !after->overdue))
                return "a state that does not say whether input is held";
        if ((state == VMOTION_NONE) == after->under_way)
                return "a state that does not say whether it is under way";
        return NULL;
}

static void walk(VMotionState state, const History *h, int *events, size_t n, size_t *n_walked) {
        for (int event = 0; event < _VMOTION_EVENT_MAX; event++) {
                VMotionState next = state;
                History after = *h;

                events[n] = event;
                VMotionAction action = vmotion_step(&next, event);
                record(&after, event, action);
                ++*n_walked;

                const char *wrong = violation(h, &after, event, action, next);
                if (action != rule(h, event))
                        wrong = action_names[rule(h, event)];
                if (wrong) {
                        for (size_t i = 0; i <= n; i++)
                                print_error("%s ", event_names[events[i]]);
                        fail_msg("leads to %s: %s", action_names[action], wrong);
                }

                if (n + 1 < WALK_MAX)
                        walk(next, &after, events, n + 1, n_walked);
        }
}

static void test_all_sequences_of_six_events(_unused_ void **state) {
        int events[WALK_MAX];
        size_t n_walked = 0;

        walk(VMOTION_NONE, &(History){}, events, 0, &n_walked);
        size_t n_expected = 0, n_of_length = 1;
        for (size_t i = 0; i < WALK_MAX; i++) {
                n_of_length *= _VMOTION_EVENT_MAX;
                n_expected += n_of_length;
        }
        assert_int_equal(n_walked, n_expected);
}

static VMotion *new_vmotion(const uint8_t *sequence, size_t n) {
        VMotion *v = NULL;

        assert_int_equal(vmotion_new("s0", sequence, n, &v), 0);
        assert_non_null(v);
        return v;
}

/* Whether @v knows the sequence with the secret, in memory of exactly that size. */
static bool knows(const VMotion *v, const void *sequence, size_t n_sequence, const void *secret, size_t n_secret) {
        _cleanup_free_ uint8_t *data = malloc(MAX(n_sequence + n_secret, (size_t) 1));

        assert_non_null(data);
        memcpy(mempcpy(data, sequence, n_sequence), secret, n_secret);
        return vmotion_has_secret(v, data, n_sequence + n_secret);
}

static void test_a_new_one_has_not_begun_and_holds_nothing(_unused_ void **state) {
        _cleanup_(vmotion_freep) VMotion *v = new_vmotion(BYTES("\x01\x02\x03\x04"));

        assert_int_equal(v->record.state, VMOTION_NONE);
        assert_int_equal(v->record.go_ahead, VMOTION_GO_AHEAD_DUE);
        assert_null(v->source);
        assert_null(v->target);
        assert_null(v->timeout.queue);
}

static void test_a_sequence_is_any_bytes_up_to_its_bound(_unused_ void **state) {
        uint8_t longest[VMOTION_SEQUENCE_MAX];
        Prng random = prng_init();

        for (size_t n = 0; n <= sizeof longest; n++) {
                prng_fill(&random, longest, sizeof longest, (const uint8_t *) "\x00\xff", 2);
                _cleanup_(vmotion_freep) VMotion *v = new_vmotion(longest, n);

                assert_true(vmotion_has_sequence(v, longest, n));
                assert_true(knows(v, longest, n, v->record.secret, sizeof v->record.secret));
                if (n == 0)
                        continue;

                assert_false(vmotion_has_sequence(v, longest, n - 1));
                longest[n - 1] ^= 1;
                assert_false(vmotion_has_sequence(v, longest, n));
                assert_false(knows(v, longest, n, v->record.secret, sizeof v->record.secret));
        }
}

static void test_a_longer_sequence_of_the_same_beginning_is_another(_unused_ void **state) {
        _cleanup_(vmotion_freep) VMotion *v = new_vmotion(BYTES("\xff\x00\xff\x10"));

        assert_true(vmotion_has_sequence(v, BYTES("\xff\x00\xff\x10")));
        assert_false(vmotion_has_sequence(v, BYTES("\xff\x00\xff\x10\x00")));
        assert_false(vmotion_has_sequence(v, BYTES("\xff\x00\xff")));
        assert_false(vmotion_has_sequence(v, BYTES("")));
}

static void test_a_secret_is_right_in_every_bit_or_wrong(_unused_ void **state) {
        static const uint8_t sequence[] = {0xff, 0x00, 0xff, 0x10};
        _cleanup_(vmotion_freep) VMotion *v = new_vmotion(sequence, sizeof sequence);
        uint8_t secret[VMOTION_SECRET_SIZE];

        assert_true(knows(v, sequence, sizeof sequence, v->record.secret, sizeof v->record.secret));
        for (size_t bit = 0; bit < 8 * sizeof secret; bit++) {
                memcpy(secret, v->record.secret, sizeof secret);
                secret[bit / 8] ^= (uint8_t) (1U << bit % 8);
                assert_false(knows(v, sequence, sizeof sequence, secret, sizeof secret));
        }

        /* Differences that cancel out when they are added, not when they are ORed. */
        memcpy(secret, v->record.secret, sizeof secret);
        secret[0] ^= 0x80;
        secret[15] ^= 0x80;
        assert_false(knows(v, sequence, sizeof sequence, secret, sizeof secret));
}

static void test_a_secret_of_the_wrong_length_is_wrong(_unused_ void **state) {
        static const uint8_t sequence[] = {1, 2, 3, 4};
        _cleanup_(vmotion_freep) VMotion *v = new_vmotion(sequence, sizeof sequence);
        uint8_t longer[VMOTION_SECRET_SIZE + 2] = {};

        memcpy(longer, v->record.secret, sizeof v->record.secret);
        for (size_t n = 0; n <= sizeof longer; n++)
                assert_int_equal(knows(v, sequence, sizeof sequence, longer, n), n == sizeof v->record.secret);

        assert_false(knows(v, sequence, 0, v->record.secret, sizeof v->record.secret));
        assert_false(knows(v, sequence, 3, v->record.secret, sizeof v->record.secret));
        assert_false(knows(v, "\x01\x02\x03\x04\x05", 5, v->record.secret, sizeof v->record.secret));
        assert_false(knows(v, "\x01\x02\x03\x05", 4, v->record.secret, sizeof v->record.secret));
        assert_false(knows(v, v->record.secret, sizeof v->record.secret, sequence, sizeof sequence));
}

/* 4096 of them: no two alike in either half, and no bit that is always the same. */
static void test_secrets_differ(_unused_ void **state) {
        enum { N = 4096 };
        static uint8_t secrets[N][VMOTION_SECRET_SIZE];
        uint8_t all_ones[VMOTION_SECRET_SIZE], some_ones[VMOTION_SECRET_SIZE] = {};

        memset(all_ones, 0xff, sizeof all_ones);
        for (size_t i = 0; i < N; i++) {
                _cleanup_(vmotion_freep) VMotion *v = new_vmotion(BYTES("\x01\x02\x03\x04"));

                memcpy(secrets[i], v->record.secret, sizeof v->record.secret);
                for (size_t k = 0; k < sizeof v->record.secret; k++) {
                        all_ones[k] &= v->record.secret[k];
                        some_ones[k] |= v->record.secret[k];
                }
        }

        for (size_t k = 0; k < VMOTION_SECRET_SIZE; k++) {
                assert_int_equal(all_ones[k], 0);
                assert_int_equal(some_ones[k], 0xff);
        }
        for (size_t i = 0; i < N; i++)
                for (size_t k = 0; k < i; k++) {
                        assert_true(memcmp(secrets[i], secrets[k], 8) != 0);
                        assert_true(memcmp(secrets[i] + 8, secrets[k] + 8, 8) != 0);
                }
}

static void test_one_s_secret_is_not_the_other_s(_unused_ void **state) {
        static const uint8_t sequence[] = {1, 2, 3, 4};
        _cleanup_(vmotion_freep) VMotion *a = new_vmotion(sequence, sizeof sequence);
        _cleanup_(vmotion_freep) VMotion *b = new_vmotion(sequence, sizeof sequence);

        assert_false(knows(a, sequence, sizeof sequence, b->record.secret, sizeof b->record.secret));
        assert_false(knows(b, sequence, sizeof sequence, a->record.secret, sizeof a->record.secret));
}

static void test_renewing_makes_the_old_secret_and_sequence_worthless(_unused_ void **state) {
        static const uint8_t old[] = {1, 2, 3, 4, 5}, new[] = {6, 7};
        _cleanup_(vmotion_freep) VMotion *v = new_vmotion(old, sizeof old);
        uint8_t secret[VMOTION_SECRET_SIZE];

        memcpy(secret, v->record.secret, sizeof secret);
        assert_int_equal(vmotion_renew(v, new, sizeof new), 0);

        assert_true(vmotion_has_sequence(v, new, sizeof new));
        assert_false(vmotion_has_sequence(v, old, sizeof old));
        assert_true(knows(v, new, sizeof new, v->record.secret, sizeof v->record.secret));
        assert_false(knows(v, new, sizeof new, secret, sizeof secret));
        assert_false(knows(v, old, sizeof old, secret, sizeof secret));
        assert_false(knows(v, old, sizeof old, v->record.secret, sizeof v->record.secret));

        /* Even if the host uses a sequence again. */
        assert_int_equal(vmotion_renew(v, old, sizeof old), 0);
        assert_false(knows(v, old, sizeof old, secret, sizeof secret));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stories),
                cmocka_unit_test(test_all_sequences_of_six_events),
                cmocka_unit_test(test_a_new_one_has_not_begun_and_holds_nothing),
                cmocka_unit_test(test_a_sequence_is_any_bytes_up_to_its_bound),
                cmocka_unit_test(test_a_longer_sequence_of_the_same_beginning_is_another),
                cmocka_unit_test(test_a_secret_is_right_in_every_bit_or_wrong),
                cmocka_unit_test(test_a_secret_of_the_wrong_length_is_wrong),
                cmocka_unit_test(test_secrets_differ),
                cmocka_unit_test(test_one_s_secret_is_not_the_other_s),
                cmocka_unit_test(test_renewing_makes_the_old_secret_and_sequence_worthless),
        };

        return cmocka_run_group_tests_name("vmotion", tests, NULL, NULL);
}
