/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <sys/socket.h>

#include "harness.h"
#include "hooks/hook-channel.h"

typedef struct Fixture {
        int a, b;
} Fixture;

static int setup(void **state) {
        static Fixture f;
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -1;

        f = (Fixture){fds[0], fds[1]};
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        safe_close(f->a);
        safe_close(f->b);
        return 0;
}

static HookEvent make_event(void) {
        HookEvent e = {
                .type = CONSOLE_RENAMED,
                .time_usec = 1795345745504572,
                .id = (char *) "50123456-789a-bcde-f011-223344556677_s0",
                .name = (char *) "\"web\\01\" \xe2\x82\xac",
                .uri = (char *) "s0",
                .old_name = (char *) "web00",
                .port = 50000,
        };

        strcpy(e.uuid, "50123456-789a-bcde-f011-223344556677");
        strcpy(e.peer, "[fe80::1%eth0]:65535");
        return e;
}

static void assert_same_event(const HookEvent *a, const HookEvent *b) {
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->time_usec, b->time_usec);
        assert_string_equal(a->id, b->id);
        assert_string_equal(a->name, b->name);
        assert_string_equal(a->uri, b->uri);
        assert_string_equal(a->uuid, b->uuid);
        assert_string_equal(a->peer, b->peer);
        assert_int_equal(a->port, b->port);
        assert_int_equal(a->old_name != NULL, b->old_name != NULL);
        if (a->old_name)
                assert_string_equal(a->old_name, b->old_name);
}

static void test_an_event_arrives_as_it_is(void **state) {
        Fixture *f = *state;
        HookEvent e = make_event();
        HookMessage m;

        for (unsigned i = 0; i <= CONSOLE_VMOTION_ABORTED; i++) {
                if (!hook_event_type_to_string((ConsoleEvent) i))
                        continue;

                e.type = (ConsoleEvent) i;
                if (i == 1)
                        e.old_name = NULL;
                if (i == 2)
                        e.peer[0] = 0;
                if (i == 3)
                        e.port = 0;

                assert_int_equal(hook_channel_send_event(f->a, &e), 0);
                assert_int_equal(hook_channel_receive(f->b, &m), 1);
                assert_int_equal(m.type, HOOK_MESSAGE_EVENT);
                assert_same_event(&m.event, &e);
                hook_message_done(&m);
        }
}

static void test_the_other_messages_arrive_too_and_then_the_end(void **state) {
        Fixture *f = *state;
        HookMessage m;

        assert_int_equal(hook_channel_receive(f->b, &m), -EAGAIN);

        assert_int_equal(hook_channel_send_load(f->a, 30 * USEC_PER_SEC), 0);
        assert_int_equal(hook_channel_send_loaded(f->a, 2), 0);
        assert_int_equal(hook_channel_send_told(f->a, "id"), 0);
        assert_int_equal(hook_channel_send_untold(f->a, "id"), 0);
        f->a = safe_close(f->a);

        assert_int_equal(hook_channel_receive(f->b, &m), 1);
        assert_int_equal(m.type, HOOK_MESSAGE_LOAD);
        assert_int_equal(m.timeout_usec, 30 * USEC_PER_SEC);
        assert_int_equal(hook_channel_receive(f->b, &m), 1);
        assert_int_equal(m.type, HOOK_MESSAGE_LOADED);
        assert_int_equal(m.n_hooks, 2);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(hook_channel_receive(f->b, &m), 1);
                assert_int_equal(m.type, i == 0 ? HOOK_MESSAGE_TOLD : HOOK_MESSAGE_UNTOLD);
                assert_string_equal(m.id, "id");
                hook_message_done(&m);
        }

        assert_int_equal(hook_channel_receive(f->b, &m), 0);
        assert_int_equal(hook_channel_send_load(f->b, 1), -EPIPE);
}

/* Names of 512 bytes and a port URI of 1024, of characters that JSON doubles: as long as they can be */
static void test_the_longest_are_taken_as_many_as_may_be_on_their_way(void **state) {
        Fixture *f = *state;
        char name[513], uri[1025], id[UUID_PAIR_TEXT_MAX + sizeof uri];
        HookEvent e = make_event();
        HookMessage m;

        memset(name, '"', sizeof name - 1);
        name[sizeof name - 1] = 0;
        memset(uri, '\\', sizeof uri - 1);
        uri[sizeof uri - 1] = 0;
        strcat(e.uuid, "~564d3456-789a-bcde-f012-3456789abcde");
        assert_int_equal(strlen(e.uuid), sizeof e.uuid - 1);
        snprintf(id, sizeof id, "%s_%s", e.uuid, uri);
        e.name = e.old_name = name;
        e.uri = uri;
        e.id = id;

        /* Nobody reads, and none of this would wait. */
        assert_int_equal(hook_channel_send_load(f->a, 1), 0);
        for (unsigned i = 0; i < HOOK_CHANNEL_EVENTS_MAX; i++)
                assert_int_equal(hook_channel_send_event(f->a, &e), 0);

        assert_int_equal(hook_channel_receive(f->b, &m), 1);
        for (unsigned i = 0; i < HOOK_CHANNEL_EVENTS_MAX; i++) {
                assert_int_equal(hook_channel_receive(f->b, &m), 1);
                assert_same_event(&m.event, &e);
                hook_message_done(&m);
        }
}

static void test_what_is_too_long_is_not_sent_and_not_taken(void **state) {
        Fixture *f = *state;
        static char name[HOOK_CHANNEL_MESSAGE_MAX + 1];
        HookEvent e = make_event();
        HookMessage m;

        memset(name, 'n', sizeof name - 1);
        e.name = name;
        assert_int_equal(hook_channel_send_event(f->a, &e), -EMSGSIZE);

        memset(name, ' ', sizeof name);
        memcpy(name, "{\"load\":1}", 10);
        assert_int_equal(send(f->a, name, sizeof name, 0), sizeof name);
        assert_int_equal(hook_channel_receive(f->b, &m), -EBADMSG);
        assert_int_equal(send(f->a, name, sizeof name - 1, 0), sizeof name - 1);
        assert_int_equal(hook_channel_receive(f->b, &m), 1);
}

#define EVENT(more) \
        "{\"event\":\"vm-added\",\"time\":1,\"id\":\"1\",\"uuid\":\"1\",\"name\":\"n\",\"uri\":\"s0\"" more "}"

static void test_what_is_no_message_is_not_taken(void **state) {
        Fixture *f = *state;
        static const char *const broken[] = {
                " ", "{", "[]", "{}", "1", "null", "{\"load\":-1}", "{\"load\":\"1\"}", "{\"load\":1.5}",
                "{\"load\":1,\"x\":1}", "{\"load\":1,\"load\":1}", "{\"load\":18446744073709551616}",
                "{\"loaded\":-1}", "{\"told\":1}", "{\"told\":\"\\u0000\"}", "{\"told\":\"\xff\"}",
                "{\"event\":\"vm-added\"}", "{\"event\":1}", EVENT(",\"port\":65536"), EVENT(",\"port\":-1"),
                EVENT(",\"port\":\"1\""), EVENT(",\"peer\":null"), EVENT(",\"oldName\":\"\\n\""),
                EVENT(",\"path\":\"/bin/sh\""), EVENT(",\"peer\":\"\\u007f\""), EVENT("} {\"load\":1"),
        };
        HookMessage m;

        for (size_t i = 0; i < ELEMENTSOF(broken); i++) {
                assert_true(send(f->a, broken[i], strlen(broken[i]), 0) > 0);
                if (hook_channel_receive(f->b, &m) != -EBADMSG)
                        fail_msg("taken: %s", broken[i]);
        }

        assert_true(send(f->a, EVENT(""), strlen(EVENT("")), 0) > 0);
        assert_int_equal(hook_channel_receive(f->b, &m), 1);
        hook_message_done(&m);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_an_event_arrives_as_it_is, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_other_messages_arrive_too_and_then_the_end, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_longest_are_taken_as_many_as_may_be_on_their_way, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_what_is_too_long_is_not_sent_and_not_taken, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_is_no_message_is_not_taken, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
