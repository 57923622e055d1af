/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vspc-hooks when memory is short. What it does otherwise is in tests/e2e/test_hooks.py. */

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "harness.h"

#include "basic/time.h"
#include "hooks/hook-server.h"

#define TOO_LONG_USEC (30 * USEC_PER_SEC)

static struct {
        char folder[64], hook[128];
        sd_event *loop;
        HookServer *server;
        int fd; /* vspcd's */
} f;

static struct {
        bool environment, json; /* there is no memory for these */
} short_of;

char **__real_hook_event_environment(const HookEvent *e, char *const *base);
char **__wrap_hook_event_environment(const HookEvent *e, char *const *base);
char **__wrap_hook_event_environment(const HookEvent *e, char *const *base) {
        return short_of.environment ? NULL : __real_hook_event_environment(e, base);
}

char *__real_hook_event_json(const HookEvent *e);
char *__wrap_hook_event_json(const HookEvent *e);
char *__wrap_hook_event_json(const HookEvent *e) {
        return short_of.json ? NULL : __real_hook_event_json(e);
}

static int setup_group(_unused_ void **state) {
        strcpy(f.folder, "/tmp/vspc-test-hooks-XXXXXX");
        assert_non_null(mkdtemp(f.folder));
        snprintf(f.hook, sizeof f.hook, "%s/hook", f.folder);
        assert_int_equal(symlink("/bin/true", f.hook), 0);
        return setenv("VSPC_HOOKS_PATH", f.folder, true);
}

static int teardown_group(_unused_ void **state) {
        assert_int_equal(unlink(f.hook), 0);
        return rmdir(f.folder);
}

/* Goes on until there is a message, or the end, which is 0. */
static int receive(HookMessage *ret) {
        usec_t deadline = now_monotonic() + TOO_LONG_USEC;
        int r;

        while ((r = hook_channel_receive(f.fd, ret)) == -EAGAIN) {
                if (sd_event_get_state(f.loop) != SD_EVENT_FINISHED)
                        assert_true(sd_event_run(f.loop, 1000) >= 0);
                if (now_monotonic() > deadline)
                        fail_msg("there is no answer");
        }

        return r;
}

static int setup(_unused_ void **state) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char folder[] = "/tmp/test-hook-server-XXXXXX";
        HookMessage m;

        short_of.environment = short_of.json = false;
        assert_int_equal(sd_event_new(&f.loop), 0);

        /* Who may connect is told by whom the socket belongs to. */
        assert_non_null(mkdtemp(folder));
        snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(hook_server_new(f.loop, fd, &f.server), 0);

        f.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(connect(f.fd, (struct sockaddr *) &address, sizeof address), 0);
        assert_int_equal(hook_channel_send_load(f.fd, USEC_PER_SEC), 0);
        assert_int_equal(receive(&m), 1);
        assert_int_equal(m.type, HOOK_MESSAGE_LOADED);
        assert_int_equal(m.n_hooks, 1);

        assert_int_equal(unlink(address.sun_path), 0);
        assert_int_equal(rmdir(folder), 0);
        return 0;
}

static int teardown(_unused_ void **state) {
        f.server = f.server ? hook_server_free(f.server) : NULL;
        f.fd = safe_close(f.fd);
        f.loop = sd_event_unref(f.loop);
        return 0;
}

static void send_event(const char *id) {
        HookEvent e = {
                .type = CONSOLE_ADDED,
                .id = (char *) id,
                .name = (char *) "web01",
                .uri = (char *) "s0",
        };

        strcpy(e.uuid, "50123456-789a-bcde-f011-223344556677");
        bool json = TAKE(short_of.json, false); /* vspcd makes some too, and is not short of anything */
        assert_int_equal(hook_channel_send_event(f.fd, &e), 0);
        short_of.json = json;
}

static void expect_answer(HookMessageType type, const char *id) {
        HookMessage m;

        assert_int_equal(receive(&m), 1);
        assert_int_equal(m.type, type);
        assert_string_equal(m.id, id);
        hook_message_done(&m);
}

/* Each of them is told anew by vspcd, and to another vspc-hooks: this one ends. */
static void check_shortage(bool *what) {
        HookMessage m;

        send_event("first");
        expect_answer(HOOK_MESSAGE_TOLD, "first");

        *what = true;
        send_event("second");
        send_event("third");
        expect_answer(HOOK_MESSAGE_UNTOLD, "second");
        expect_answer(HOOK_MESSAGE_UNTOLD, "third");

        while (sd_event_get_state(f.loop) != SD_EVENT_FINISHED)
                assert_true(sd_event_run(f.loop, TOO_LONG_USEC) > 0);
        f.server = hook_server_free(f.server);
        assert_int_equal(receive(&m), 0);
}

static void test_an_event_whose_environment_cannot_be_made_goes_to_the_next_one(_unused_ void **state) {
        check_shortage(&short_of.environment);
}

static void test_an_event_whose_json_cannot_be_made_goes_to_the_next_one(_unused_ void **state) {
        check_shortage(&short_of.json);
}

int main(void) {
#define server_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                server_test(test_an_event_whose_environment_cannot_be_made_goes_to_the_next_one),
                server_test(test_an_event_whose_json_cannot_be_made_goes_to_the_next_one),
        };

        return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
