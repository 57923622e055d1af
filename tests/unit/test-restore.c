/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One run of vspcd after another on the same backend, each with the clock that the test gives it: what is known
 * again, since when, and until when.
 */

#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "harness.h"

#include "console/console.h"
#include "store/restore.h"
#include "store/store.h"

#define HOUR (3600 * USEC_PER_SEC)
#define TODAY (UINT64_C(1795345745) * USEC_PER_SEC)
#define AFTER_BOOT (90 * USEC_PER_SEC) /* since 1970 */

static usec_t clock_shows = TODAY;
usec_t __wrap_event_now_realtime(sd_event *event);

usec_t __wrap_event_now_realtime(_unused_ sd_event *event) {
        return clock_shows;
}

/* A backend that outlives its Store. */
static Mapping *stored[CONCENTRATOR_ORPHANS_MAX + 8];
static size_t n_stored;

static int rows_open(_unused_ const char *argument, void **ret_state) {
        *ret_state = stored;
        return 0;
}

static void rows_close(_unused_ void *state) {
}

static int rows_load(_unused_ void *state, VspcMappingHandler handler, void *userdata) {
        for (size_t i = 0; i < n_stored; i++)
                assert_int_equal(handler(stored[i], userdata), 0);

        return 0;
}

static int rows_remove(_unused_ void *state, const char *id) {
        for (size_t i = 0; i < n_stored; i++)
                if (streq(stored[i]->id, id)) {
                        free(stored[i]);
                        stored[i] = stored[--n_stored];
                        return 0;
                }

        return -ENOENT;
}

static unsigned n_puts;

static int rows_put(void *state, const Mapping *mapping) {
        (void) __atomic_add_fetch(&n_puts, 1, __ATOMIC_RELAXED);
        (void) rows_remove(state, mapping->id);
        stored[n_stored++] = mapping_dup(mapping);
        return 0;
}

static const StoreBackend rows = {
        .abi = VSPC_BACKEND_ABI,
        .size = sizeof(VspcBackend),
        .name = "rows",
        .open = rows_open,
        .close = rows_close,
        .load = rows_load,
        .put = rows_put,
        .remove = rows_remove,
};

static const char *id_of(unsigned n) {
        static char id[UUID_TEXT_MAX];

        snprintf(id, sizeof id, "50120000-0000-0000-0000-%012x", n);
        return id;
}

static void put(unsigned n, usec_t stored_at, usec_t gone_since) {
        Mapping m = {
                .id = id_of(n),
                .uuid = {0x50, 0x12, [12] = (uint8_t) (n >> 24), (uint8_t) (n >> 16), (uint8_t) (n >> 8), (uint8_t) n},
                .uri = "s0",
                .name = "web01",
                .stored = stored_at,
                .gone_since = gone_since,
        };

        stored[n_stored] = mapping_dup(&m);
        assert_non_null(stored[n_stored++]);
}

static int forget_all(_unused_ void **state) {
        while (n_stored > 0)
                free(stored[--n_stored]);

        clock_shows = TODAY;
        return 0;
}

typedef struct Run {
        sd_event *event;
        Concentrator *concentrator;
        Store *store;
} Run;

static void on_changed(_unused_ void *userdata) {
}

static Run begin(bool ports) {
        Settings settings;
        Run run = {};

        settings_init(&settings);
        settings.vm_ports = ports;
        assert_int_equal(address_parse("127.77.0.1", &settings.vm_port_address), 0); /* nobody else's */
        assert_true(sd_event_new(&run.event) >= 0);
        assert_int_equal(concentrator_new(run.event, &settings, 8192, &run.concentrator), 0);
        assert_int_equal(store_new(&rows, "", run.concentrator, on_changed, NULL, &run.store), 0);
        return run;
}

static void end(Run *run) {
        store_freep(&run->store);
        concentrator_freep(&run->concentrator);
        sd_event_unref(run->event);
}

static void assert_gone(const Run *run, unsigned n, usec_t since, usec_t time_left) {
        const Console *c = concentrator_find(run->concentrator, id_of(n));

        assert_non_null(c);
        assert_int_equal(c->record.since, since);

        /* How much of that the restoring has taken depends on the machine. */
        assert_in_range(console_expires(c) - clock_shows, time_left - 10 * USEC_PER_SEC, time_left);
}

static void test_who_was_connected_is_waited_for_from_the_start_on(_unused_ void **state) {
        put(1, TODAY - 1000 * HOUR, 0);
        Run run = begin(false);
        assert_gone(&run, 1, TODAY, 24 * HOUR);
        end(&run);

        clock_shows += 2 * HOUR;
        run = begin(false);
        assert_gone(&run, 1, TODAY, 22 * HOUR);
        end(&run);
}

/* After a restart most are, within seconds: each is written once, when it is. */
static void test_who_is_back_soon_is_not_written_as_gone(_unused_ void **state) {
        for (unsigned i = 0; i < 5; i++)
                put(i, TODAY - HOUR, 0);
        n_puts = 0;

        Run run = begin(false);
        for (unsigned i = 0; i < 3; i++)
                concentrator_find(run.concentrator, id_of(i))->connected = true;
        for (Console *c = concentrator_consoles(run.concentrator); c; c = c->handle.next)
                if (c->connected)
                        concentrator_notify(run.concentrator, c, CONSOLE_CONNECTED, NULL);
        console_free(concentrator_find(run.concentrator, id_of(3)));
        end(&run);

        assert_int_equal(n_puts, 3 + 1);
        assert_int_equal(n_stored, 4);
        for (size_t i = 0; i < n_stored; i++)
                assert_int_equal(stored[i]->gone_since, streq(stored[i]->id, id_of(4)) ? TODAY : 0);
}

static void test_who_is_not_is_written_after_a_while(_unused_ void **state) {
        put(1, TODAY - HOUR, 0);
        n_puts = 0;

        Run run = begin(false);
        usec_t begun = now_monotonic();
        while (__atomic_load_n(&n_puts, __ATOMIC_RELAXED) == 0)
                assert_true(sd_event_run(run.event, 100 * USEC_PER_MSEC) >= 0);
        assert_in_range(now_monotonic() - begun, (STORE_RETURN_SEC - 1) * USEC_PER_SEC, 60 * USEC_PER_SEC);
        end(&run);
        assert_int_equal(n_puts, 1);
        assert_int_equal(stored[0]->gone_since, TODAY);
}

/* As on a machine whose clock has no battery, until it has asked for the time. */
static void test_a_clock_at_1970_makes_nobody_expire_once_it_is_set(_unused_ void **state) {
        put(1, TODAY, 0);
        put(2, TODAY, TODAY - 2 * HOUR);
        clock_shows = AFTER_BOOT;
        Run run = begin(false);
        assert_gone(&run, 1, TODAY, 24 * HOUR);
        assert_gone(&run, 2, TODAY - 2 * HOUR, 24 * HOUR);
        end(&run);

        clock_shows = TODAY + HOUR;
        run = begin(false);
        assert_gone(&run, 1, TODAY, 23 * HOUR);
        assert_gone(&run, 2, TODAY - 2 * HOUR, 21 * HOUR);
        end(&run);
}

static void test_a_clock_that_has_been_set_back_makes_it_expire_later(_unused_ void **state) {
        put(1, TODAY, TODAY - HOUR);
        clock_shows = TODAY - 5 * HOUR;
        Run run = begin(false);
        assert_gone(&run, 1, TODAY - HOUR, 24 * HOUR);
        end(&run);
}

static void test_a_time_that_no_clock_shows_is_one_that_others_can_read(_unused_ void **state) {
        put(1, UINT64_MAX, 0);
        put(2, TODAY, UINT64_MAX);
        Run run = begin(false);
        assert_gone(&run, 1, INT64_MAX, 24 * HOUR);
        assert_gone(&run, 2, INT64_MAX, 24 * HOUR);
        end(&run);
}

/* Whatever the database behind a plug-in has made of it. */
static void test_what_is_not_as_it_was_put_is_passed_over(_unused_ void **state) {
        static const struct {
                const char *id, *uri, *name;
        } bad[] = {
                {"50120000-0000-0000-0000-000000000002", "s0", "web01"}, /* another one's */
                {"50120000-0000-0000-0000-000000000001_s1", "s0", "web01"},
                {"50120000-0000-0000-0000-00000000000", "s0", "web01"},
                {"", "s0", "web01"},
                {"50120000-0000-0000-0000-000000000001", "s0", ""},
                {"50120000-0000-0000-0000-000000000001", "s0", "\x1b[2J"},
                {"50120000-0000-0000-0000-000000000001", "s0", "\xff\xfe"},
                {"50120000-0000-0000-0000-000000000001", "a\nb", "web01"},
        };
        char *long_text = malloc(100001);

        assert_non_null(long_text);
        memset(long_text, 'x', 100000);
        long_text[100000] = 0;
        for (size_t i = 0; i < ELEMENTSOF(bad) + 2; i++) {
                put(1, TODAY, 0);
                Mapping m = *stored[n_stored - 1];
                free(stored[--n_stored]);
                m.id = i < ELEMENTSOF(bad) ? bad[i].id : id_of(1);
                m.uri = i < ELEMENTSOF(bad) ? bad[i].uri : i == ELEMENTSOF(bad) ? long_text : "s0";
                m.name = i < ELEMENTSOF(bad) ? bad[i].name : i == ELEMENTSOF(bad) ? "web01" : long_text;
                stored[n_stored++] = mapping_dup(&m);
        }
        free(long_text);
        put(7, TODAY, 0);

        Run run = begin(false);
        assert_int_equal(concentrator_counts(run.concentrator)->n_vms, 1);
        assert_gone(&run, 7, TODAY, 24 * HOUR);
        end(&run);
}

/* Nor is a handler to be given a NULL, but a plug-in is not us. */
static int load_nothing(_unused_ void *state, VspcMappingHandler handler, void *userdata) {
        return handler(&(Mapping){}, userdata);
}

static void test_what_is_not_there_is_passed_over(_unused_ void **state) {
        StoreBackend backend = rows;
        Run run = begin(false);

        backend.load = load_nothing;
        assert_int_equal(restore(run.concentrator, &backend, NULL, NULL, NULL), 0);
        assert_null(concentrator_consoles(run.concentrator));
        end(&run);
}

static void test_of_two_that_were_stored_at_once_and_claim_a_port_the_one_loaded_later_has_it(_unused_ void **state) {
        for (unsigned i = 0; i < 3; i++)
                put(i, TODAY, TODAY);
        stored[0]->port = stored[1]->port = stored[2]->port = 50042;
        stored[1]->stored++;
        stored[2]->stored++;

        Run run = begin(false);
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(concentrator_find(run.concentrator, id_of(i))->record.own_port == 50042, i == 2);
        end(&run);
}

/* Who could be connected together can be waited for together. */
static void test_as_many_are_restored_as_may_be_gone_and_none_is_given_up(_unused_ void **state) {
        for (unsigned i = 0; i < CONCENTRATOR_ORPHANS_MAX + 3; i++)
                put(i, TODAY, TODAY - i);

        Run run = begin(false);
        for (unsigned i = 0; i < 3; i++)
                assert_true(sd_event_run(run.event, 0) >= 0);
        assert_int_equal(concentrator_counts(run.concentrator)->n_vms, CONCENTRATOR_ORPHANS_MAX);
        end(&run);
        assert_int_equal(n_stored, CONCENTRATOR_ORPHANS_MAX + 3); /* nor is any removed */
}

/* Whatever has made it go: there need not have been a connection that ends. */
static void test_one_vm_too_many_that_is_gone_makes_the_one_gone_for_longest_go(_unused_ void **state) {
        const unsigned n = CONCENTRATOR_ORPHANS_MAX;
        Console *late;

        for (unsigned i = 0; i < n; i++)
                put(i, TODAY, TODAY - HOUR + i);
        Run run = begin(false);
        assert_int_equal(console_new(run.concentrator, id_of(n), (const uint8_t[16]){}, "late", "s0", 0, &late), 0);
        console_set_gone(late, TODAY);
        for (unsigned i = 0; i < 3; i++)
                assert_true(sd_event_run(run.event, 0) >= 0);

        assert_int_equal(concentrator_counts(run.concentrator)->n_vms, n);
        assert_null(concentrator_find(run.concentrator, id_of(0)));
        assert_ptr_equal(concentrator_find(run.concentrator, id_of(n)), late);
        end(&run);
}

/* The size of the table of descriptors, as it was when the first port was opened */
static unsigned first_table_size;
int __real_socket_listen(const SocketAddress *a);
int __wrap_socket_listen(const SocketAddress *a);

int __wrap_socket_listen(const SocketAddress *a) {
        char line[256];

        FILE *f = first_table_size == 0 ? fopen("/proc/self/status", "re") : NULL;
        while (f && fgets(line, sizeof line, f))
                (void) sscanf(line, "FDSize: %u", &first_table_size);
        if (f)
                fclose(f);

        return __real_socket_listen(a);
}

/* Each time that it has to grow all processors are waited for. */
static void test_the_table_of_descriptors_has_room_for_all_ports_from_the_first_on(_unused_ void **state) {
        const unsigned n = 700;

        for (unsigned i = 0; i < n; i++)
                put(i, TODAY, TODAY);
        Run run = begin(true);
        assert_int_equal(concentrator_counts(run.concentrator)->n_ports, n);
        assert_in_range(first_table_size, n, 4 * n);
        end(&run);
}

int main(void) {
        /* Their threads take signals and descriptors as vspcd's do. */
        const struct rlimit limit = {8192, 8192};
        (void) setrlimit(RLIMIT_NOFILE, &limit);

        const struct CMUnitTest tests[] = {
                cmocka_unit_test_teardown(test_who_was_connected_is_waited_for_from_the_start_on, forget_all),
                cmocka_unit_test_teardown(test_who_is_back_soon_is_not_written_as_gone, forget_all),
                cmocka_unit_test_teardown(test_who_is_not_is_written_after_a_while, forget_all),
                cmocka_unit_test_teardown(test_a_clock_at_1970_makes_nobody_expire_once_it_is_set, forget_all),
                cmocka_unit_test_teardown(test_a_clock_that_has_been_set_back_makes_it_expire_later, forget_all),
                cmocka_unit_test_teardown(test_a_time_that_no_clock_shows_is_one_that_others_can_read, forget_all),
                cmocka_unit_test_teardown(test_what_is_not_as_it_was_put_is_passed_over, forget_all),
                cmocka_unit_test_teardown(test_what_is_not_there_is_passed_over, forget_all),
                cmocka_unit_test_teardown(test_of_two_that_were_stored_at_once_and_claim_a_port_the_one_loaded_later_has_it,
                                          forget_all),
                cmocka_unit_test_teardown(test_as_many_are_restored_as_may_be_gone_and_none_is_given_up, forget_all),
                cmocka_unit_test_teardown(test_one_vm_too_many_that_is_gone_makes_the_one_gone_for_longest_go,
                                          forget_all),
                cmocka_unit_test_teardown(test_the_table_of_descriptors_has_room_for_all_ports_from_the_first_on,
                                          forget_all),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
