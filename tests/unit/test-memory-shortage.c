/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One allocation fails, whichever it is: what was asked for may be refused, and everything goes on. VMs connect and
 * move over sockets to a concentrator, events are queued for hooks, mappings for a backend, a configuration is read.
 */

#include <stdio.h>
#include <sys/socket.h>

#include "harness.h"

#include "basic/log.h"
#include "console/console.h"
#include "console/link.h"
#include "daemon/config.h"
#include "hooks/hook-queue.h"
#include "store/store.h"
#include "store/write-queue.h"

#define NEVER SIZE_MAX

static size_t n_until_failure = NEVER; /* allocations that still succeed */
static bool has_failed;

static bool fails(void) {
        if (n_until_failure == NEVER || n_until_failure-- > 0)
                return false;

        n_until_failure = NEVER;
        has_failed = true;
        errno = ENOMEM;
        return true;
}

#define WRAP(type, name, parameters, ...)                                                                    \
        type __real_##name parameters;                                                                       \
        type __wrap_##name parameters;                                                                       \
        type __wrap_##name parameters {                                                                      \
                return fails() ? NULL : __real_##name(__VA_ARGS__);                                          \
        }

WRAP(void *, malloc, (size_t n), n)
WRAP(void *, calloc, (size_t n, size_t size), n, size)
WRAP(void *, realloc, (void *p, size_t n), p, n)
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), p, n, size)
WRAP(char *, strdup, (const char *s), s)
WRAP(char *, strndup, (const char *s, size_t n), s, n)

/* Plays @story again and again, the first allocation failing, then the second, and so on until none is left that has
 * not failed once. Returns: how many they were. */
static size_t fail_each(void (*story)(void)) {
        size_t n = 0;

        do {
                has_failed = false;
                n_until_failure = n++;
                story();
                n_until_failure = NEVER;
        } while (has_failed);

        return n - 1;
}

static sd_event *event;
static Concentrator *concentrator;

static void begin(void) {
        Settings settings;

        settings_init(&settings);
        settings.vm_ports = false;
        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(concentrator_new(event, &settings, 8192, &concentrator), 0);
}

static void end(void) {
        concentrator_freep(&concentrator);
        event = sd_event_unref(event);
}

/* Until nothing is left to do */
static void run(void) {
        while (sd_event_run(event, 0) > 0)
                ;
}

/* A connection as it comes from an ESXi host. Returns: the host's end. */
static int connect_host(void) {
        const SocketAddress address = {.in = {.sin_family = AF_INET}};
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        (void) link_new(concentrator, pair[0], &address);
        return pair[1];
}

/* It may have been refused. */
static void say(int fd, const void *data, size_t n) {
        (void) send(fd, data, n, MSG_NOSIGNAL);
        run();
}

/* IAC SB 232 @code @data IAC SE. There is no 0xff in @data that is not doubled. */
static void say_suboption(int fd, uint8_t code, const void *data, size_t n) {
        uint8_t message[256] = {0xff, 0xfa, 232, code};

        memcpy(message + 4, data, n);
        memcpy(message + 4 + n, "\xff\xf0", 2);
        say(fd, message, n + 6);
}

static int connect_vm_called(const char *name, const char *uuid) {
        static const char uri[] = "Ss0";
        int fd = connect_host();

        say(fd, "\xff\xfb\xe8", 3);
        say_suboption(fd, VMWARE_DO_PROXY, uri, strlen(uri));
        say_suboption(fd, VMWARE_VM_VC_UUID, uuid, strlen(uuid));
        say_suboption(fd, VMWARE_VM_NAME, name, strlen(name));
        return fd;
}

static int connect_vm(const char *uuid) {
        return connect_vm_called("web01", uuid);
}

/* Looks for the last go-ahead with this sequence. *ret: sequence and secret as they were sent. Returns: how many bytes
 * these are, 0 if there is none. */
static size_t read_go_ahead(int fd, uint8_t sequence, uint8_t ret[static 64]) {
        static uint8_t data[65536];
        const uint8_t wanted[] = {0xff, 0xfa, 232, VMWARE_VMOTION_GOAHEAD, sequence};
        ssize_t n = recv(fd, data, sizeof data, MSG_DONTWAIT);
        const uint8_t *found = n > 0 ? memmem(data, (size_t) n, wanted, sizeof wanted) : NULL;

        if (!found)
                return 0;

        /* The secret is random: in it, 0xff is doubled, and 0xf0 may follow. */
        const uint8_t *begins = found + 4, *ends = begins;
        while (ends + 1 < data + n && !(ends[0] == 0xff && ends[1] == 0xf0))
                ends += ends[0] == 0xff ? 2 : 1;
        assert_true(ends + 1 < data + n);
        assert_in_range(ends - begins, 17, 64);
        memcpy(ret, begins, (size_t) (ends - begins));
        return (size_t) (ends - begins);
}

/* The others are served, and new ones as well. */
static void assert_serves(void) {
        int fd = connect_vm("50 aa bb cc dd ee ff 00-11 22 33 44 55 66 77 88");

        const Console *c = concentrator_find(concentrator, "50aabbcc-ddee-ff00-1122-334455667788");
        assert_non_null(c);
        assert_true(c->connected);
        close(fd);
        run();
}

static void vms_connect_and_move(void) {
        size_t n_until = TAKE(n_until_failure, NEVER);
        uint8_t secret[64];

        begin();
        n_until_failure = n_until;
        int source = connect_vm("50 12 34 56 78 9a bc de-f0 12 34 56 78 9a bc de");
        int other = connect_vm("50 12 34 56 78 9a bc de-f0 12 34 56 78 9a bc df");

        say_suboption(source, VMWARE_VMOTION_BEGIN, "\1", 1);
        say_suboption(source, VMWARE_VMOTION_BEGIN, "\2", 1); /* which replaces the first one */
        size_t n = read_go_ahead(source, 2, secret);
        int target = connect_host();
        say(target, "\xff\xfb\xe8", 3);
        if (n > 0) {
                say_suboption(target, VMWARE_VMOTION_PEER, secret, n);
                say_suboption(target, VMWARE_VMOTION_COMPLETE, "\2", 1);
        }
        close(source);
        run();

        n_until = TAKE(n_until_failure, NEVER);
        if (!has_failed) {
                assert_true(n > 0);
                assert_int_equal(concentrator_metrics(concentrator)->vmotions_completed, 1);
                assert_int_equal(concentrator_counts(concentrator)->n_connected, 2);
        }
        assert_serves();
        close(target);
        close(other);
        run();
        end();
        n_until_failure = n_until;
}

static void vms_of_one_uuid_connect(void) {
        static const char uuid[] = "50 12 34 56 78 9a bc de-f0 12 34 56 78 9a bc de";
        static const char *const bios[] = {"42 00 00 00 00 00 00 00-00 00 00 00 00 00 00 01",
                                           "42 00 00 00 00 00 00 00-00 00 00 00 00 00 00 02",
                                           "42 00 00 00 00 00 00 00-00 00 00 00 00 00 00 03"};
        static const char *const names[] = {"web01", "web02", "web03"};
        const uint8_t as_sent[16] = {0x50, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde,
                                     0xf0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde};
        size_t n_until = TAKE(n_until_failure, NEVER);
        int vms[ELEMENTSOF(bios)];

        begin();
        n_until_failure = n_until;
        for (size_t i = 0; i < ELEMENTSOF(vms); i++) {
                vms[i] = connect_vm_called(names[i], uuid);
                for (size_t k = 0; k <= i; k++)
                        say_suboption(vms[k], VMWARE_VM_BIOS_UUID, bios[k], strlen(bios[k]));
        }

        n_until = TAKE(n_until_failure, NEVER);
        if (!has_failed)
                assert_int_equal(concentrator_counts(concentrator)->n_connected, ELEMENTSOF(vms));

        /* There is none without a console. */
        bool any = false;
        for (size_t i = 0; i < ELEMENTSOF(bios); i++) {
                const uint8_t its_bios[16] = {0x42, [15] = (uint8_t) (i + 1)};
                char id[UUID_PAIR_TEXT_MAX];

                uuid_format(as_sent, id);
                strcat(id, "~");
                uuid_format(its_bios, id + strlen(id));
                assert_int_equal(concentrator_has_clone(concentrator, as_sent, its_bios),
                                 concentrator_find(concentrator, id) != NULL);
                any |= concentrator_find(concentrator, id) != NULL;
        }
        assert_int_equal(concentrator_has_clone(concentrator, as_sent, NULL), any);

        assert_serves();
        for (size_t i = 0; i < ELEMENTSOF(vms); i++)
                close(vms[i]);
        run();
        end();
        n_until_failure = n_until;
}

static void test_vms_of_one_uuid_connect(_unused_ void **state) {
        assert_in_range(fail_each(vms_of_one_uuid_connect), 20, 2000);
}

static void test_vms_connect_and_move(_unused_ void **state) {
        assert_in_range(fail_each(vms_connect_and_move), 20, 2000);
}

static void hooks_are_told(void) {
        HookQueue queue = {};
        unsigned n = 0;

        for (unsigned i = 0; i < 400; i++) {
                char id[16];

                snprintf(id, sizeof id, "vm%u", i);
                const HookEvent e = {.type = CONSOLE_ADDED, .time_usec = 1, .id = id, .name = (char *) "web01",
                                     .uri = (char *) "s0", .uuid = "uuid", .port = 50000};
                n += hook_queue_add(&queue, &e) >= 0;
        }
        assert_int_equal(queue.n_pending, n);
        assert_int_equal(queue.n_dropped, 400 - n);
        assert_in_range(n, 399, 400);

        hook_queue_clear(&queue);
        assert_null(queue.vms);
        assert_int_equal(queue.size, 0);
}

static void test_hooks_are_told(_unused_ void **state) {
        assert_in_range(fail_each(hooks_are_told), 400, 10000);
}

static const Mapping *mapping(unsigned i) {
        static char id[16];
        static Mapping m = {.id = id, .uri = "s0", .name = "web01", .port = 50000};

        snprintf(id, sizeof id, "vm%u", i);
        return &m;
}

static int count_loaded(_unused_ const Mapping *m, void *userdata) {
        ++*(unsigned *) userdata;
        return 0;
}

static void mappings_are_kept_in_memory(void) {
        unsigned n = 0, n_loaded = 0;
        void *memory = NULL;

        if (store_memory.open("", &memory) < 0)
                return;

        for (unsigned i = 0; i < 400; i++)
                n += store_memory.put(memory, mapping(i)) >= 0;
        assert_in_range(n, 399, 400);
        assert_int_equal(store_memory.load(memory, count_loaded, &n_loaded), 0);
        assert_int_equal(n_loaded, n);
        store_memory.close(memory);
}

static void test_mappings_are_kept_in_memory(_unused_ void **state) {
        assert_in_range(fail_each(mappings_are_kept_in_memory), 400, 10000);
}

static char folder[] = "/tmp/test-memory-shortage-XXXXXX";

static void *open_file(void) {
        void *store = NULL;

        /* Only one allocation fails. */
        if (store_file.open(folder, &store) < 0)
                assert_int_equal(store_file.open(folder, &store), 0);
        return store;
}

static void mappings_are_kept_in_a_file(void) {
        unsigned n = 0, n_loaded = 0;
        char id[64], path[64];

        void *store = open_file();
        for (unsigned i = 0; i < 20; i++) {
                snprintf(id, sizeof id, "50120000-0000-0000-0000-%012x", i);
                n += store_file.put(store, &(Mapping){.id = id, .uri = "s0", .name = "web01", .port = 50000}) >= 0;
        }
        assert_in_range(n, 19, 20);
        if (store_file.sync(store) < 0)
                assert_int_equal(store_file.sync(store), 0);
        store_file.close(store);

        store = open_file();
        if (store_file.load(store, count_loaded, &n_loaded) < 0)
                assert_int_equal(store_file.load(store, count_loaded, &n_loaded), 0);
        assert_int_equal(n_loaded, n);
        store_file.close(store);

        snprintf(path, sizeof path, "%s/vm-ports", folder);
        assert_int_equal(unlink(path), 0);
}

static void test_mappings_are_kept_in_a_file(_unused_ void **state) {
        assert_non_null(mkdtemp(folder));
        assert_in_range(fail_each(mappings_are_kept_in_a_file), 50, 10000);
        assert_int_equal(rmdir(folder), 0); /* nothing was damaged */
}

static void nothing_to_close(_unused_ void *state) {
}

static void mappings_wait_to_be_written(void) {
        static const VspcBackend backend = {.name = "none", .close = nothing_to_close};
        WriteQueue *queue = NULL;

        if (write_queue_new(&backend, NULL, &queue) < 0)
                return;

        unsigned n_refused = 0;
        for (unsigned i = 0; i < 400; i++)
                n_refused += write_queue_put(queue, mapping(i)) < 0;
        for (unsigned i = 0; i < 400; i += 2)
                write_queue_remove(queue, mapping(i)->id);
        for (unsigned i = 0; i < 400; i++)
                n_refused += write_queue_put(queue, mapping(i)) < 0;
        assert_in_range(n_refused, 0, 1);
        write_queue_freep(&queue);
}

static void test_mappings_wait_to_be_written(_unused_ void **state) {
        assert_in_range(fail_each(mappings_wait_to_be_written), 1000, 10000);
}

/* What it says of who may come in is in force, or doors are closed, or it is not used at all. */
static void a_configuration_is_read(void) {
        static const char text[] = "[Concentrator]\nServiceURI=a b c\nClientLimit=x\n[ConsoleLog]\nPrefix=prod\n"
                                   "[TLS]\nRequireVMTLS=yes\nTrustedCAFile=/ca.pem\nVMTrustedCAFile=/ca.pem\nRequireVMTsl=yes\n";
        Problems problems = {};
        Config config, before, copy;

        config_init(&config, &problems);
        config_init(&before, &problems);
        int r = config_load_text(&config, "vspc.conf", text, strlen(text), &problems);
        if (r >= 0)
                r = config_keep(&config, &before, &problems);
        if (r >= 0)
                r = config_copy(&config, &copy);
        if (r >= 0) {
                assert_true(copy.settings.require_vm_tls);
                assert_string_equal(copy.tls.trusted_ca_file, "/ca.pem");
                assert_string_equal(copy.tls.vm_trusted_ca_file, "/ca.pem");
                assert_in_range(problems.n, 2, 3); /* whether a Prefix= is good cannot be said without memory */
                assert_int_equal(problems.n_doubts, 1);
                assert_int_equal(problems.doors, DOOR_ALL);
                config_done(&copy);
        } else
                assert_int_equal(r, -ENOMEM);

        config_done(&config);
        config_done(&before);
        problems_done(&problems);
}

static void test_a_configuration_is_read(_unused_ void **state) {
        assert_in_range(fail_each(a_configuration_is_read), 10, 1000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_vms_connect_and_move),
                cmocka_unit_test(test_vms_of_one_uuid_connect),
                cmocka_unit_test(test_hooks_are_told),
                cmocka_unit_test(test_mappings_are_kept_in_memory),
                cmocka_unit_test(test_mappings_are_kept_in_a_file),
                cmocka_unit_test(test_mappings_wait_to_be_written),
                cmocka_unit_test(test_a_configuration_is_read),
        };

        log_set_max_level(LOG_EMERG);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
