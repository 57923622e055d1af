/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What every StoreBackend promises, so that each can be run through the same: what is put is loaded, whole, once,
 * and as it was; what is removed is not. A backend gets its row in main().
 */

#include <stdio.h>

#include "harness.h"

#include "prng.h"
#include "store/store.h"

/* What a load said, in text: "ID UUID URI NAME PORT" lines in the order of the IDs. */
#define MAPPINGS_MAX 4096U

typedef struct Loaded {
        char *lines[MAPPINGS_MAX];
        size_t n;
        int result;
        size_t stop_after; /* mappings, then the handler returns @result; 0: never */
} Loaded;

static void loaded_done(Loaded *l) {
        while (l->n > 0)
                free(l->lines[--l->n]);
}

#define _cleanup_loaded_ _cleanup_(loaded_done)

static char *format(const Mapping *m) {
        char uuid[33], *line;

        for (size_t i = 0; i < sizeof m->uuid; i++)
                snprintf(uuid + 2 * i, 3, "%02x", m->uuid[i]);
        assert_true(asprintf(&line, "%s %s %s %s %u", m->id, uuid, m->uri, m->name, m->port) > 0);
        return line;
}

static int on_mapping(const Mapping *m, void *userdata) {
        Loaded *l = userdata;

        assert_true(l->n < ELEMENTSOF(l->lines));
        l->lines[l->n++] = format(m);
        return l->n == l->stop_after ? l->result : 0;
}

static int compare_lines(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static void load(const StoreBackend *b, void *store, Loaded *ret) {
        *ret = (Loaded){};
        assert_int_equal(b->load(store, on_mapping, ret), 0);
        qsort(ret->lines, ret->n, sizeof(char *), compare_lines);
}

static int on_id(const Mapping *m, void *userdata) {
        Loaded *l = userdata;

        assert_true(l->n < ELEMENTSOF(l->lines));
        assert_non_null(l->lines[l->n++] = strdup(m->id));
        return 0;
}

/* A store with nothing in it, also where the backend remembers what an earlier test has put. */
static void *open_empty(const StoreBackend *b) {
        _cleanup_loaded_ Loaded ids = {};
        void *store = NULL;

        assert_int_equal(b->open(&store), 0);
        assert_int_equal(b->load(store, on_id, &ids), 0);
        for (size_t i = 0; i < ids.n; i++)
                assert_int_equal(b->remove(store, ids.lines[i]), 0);

        return store;
}

static Mapping web01(void) {
        return (Mapping){
                .id = "50123456789abcdef0123456789abcde",
                .uuid = {0x50, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde,
                         0xf0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde},
                .uri = "vspc://rack7",
                .name = "web01",
                .port = 50000,
        };
}

static void assert_loads(const StoreBackend *b, void *store, const Mapping *mappings, size_t n) {
        _cleanup_loaded_ Loaded got = {}, want = {};

        load(b, store, &got);
        for (size_t i = 0; i < n; i++)
                want.lines[want.n++] = format(&mappings[i]);
        qsort(want.lines, want.n, sizeof(char *), compare_lines);

        assert_int_equal(got.n, want.n);
        for (size_t i = 0; i < n; i++)
                assert_string_equal(got.lines[i], want.lines[i]);
}

static void test_an_empty_store_loads_nothing(void **state) {
        const StoreBackend *b = *state;
        void *store = open_empty(b);

        assert_loads(b, store, NULL, 0);
        b->close(store);
}

static void test_what_is_put_is_loaded_as_it_was(void **state) {
        const StoreBackend *b = *state;
        void *store = open_empty(b);
        Mapping m[] = {web01(), web01(), web01()};

        m[1].id = "50123456789abcdef0123456789abcde-2";
        m[1].uri = "vspc://rack8";
        m[1].port = 65535;
        m[2].id = "x";
        m[2].port = 0;
        memset(m[2].uuid, 0xff, sizeof m[2].uuid);

        for (size_t i = 0; i < ELEMENTSOF(m); i++)
                assert_int_equal(b->put(store, &m[i]), 0);
        assert_loads(b, store, m, ELEMENTSOF(m));
        assert_loads(b, store, m, ELEMENTSOF(m)); /* loading takes nothing out */
        b->close(store);
}

static void test_the_strings_are_the_caller_s(void **state) {
        const StoreBackend *b = *state;
        void *store = open_empty(b);
        Mapping want = web01(), m = want;
        char *id = strdup(m.id), *uri = strdup(m.uri), *name = strdup(m.name);

        assert_true(id && uri && name);
        m.id = id;
        m.uri = uri;
        m.name = name;
        assert_int_equal(b->put(store, &m), 0);
        memset(id, 'x', strlen(id));
        memset(uri, 'x', strlen(uri));
        memset(name, 'x', strlen(name));
        free(id);
        free(uri);
        free(name);
        memset(&m, 0xaa, sizeof m);

        assert_loads(b, store, &want, 1);
        b->close(store);
}

static void test_putting_the_same_id_again_replaces_all_of_it(void **state) {
        const StoreBackend *b = *state;
        void *store = open_empty(b);
        Mapping m[] = {web01(), web01()};

        m[1].id = "other";
        assert_int_equal(b->put(store, &m[0]), 0);
        assert_int_equal(b->put(store, &m[1]), 0);

        m[0].uri = "vspc://elsewhere";
        m[0].name = "web01-renamed, with a longer name than it had";
        m[0].port = 0;
        memset(m[0].uuid, 7, sizeof m[0].uuid);
        assert_int_equal(b->put(store, &m[0]), 0);
        assert_loads(b, store, m, 2);

        m[0] = web01();
        assert_int_equal(b->put(store, &m[0]), 0);
        assert_int_equal(b->put(store, &m[0]), 0); /* nothing new */
        assert_loads(b, store, m, 2);
        b->close(store);
}

static void test_what_is_removed_is_gone_and_only_that(void **state) {
        const StoreBackend *b = *state;
        void *store = open_empty(b);
        Mapping m[] = {web01(), web01(), web01()};

        m[0].id = "a";
        m[1].id = "b";
        m[2].id = "bb";
        for (size_t i = 0; i < ELEMENTSOF(m); i++)
                assert_int_equal(b->put(store, &m[i]), 0);

        assert_int_equal(b->remove(store, "b"), 0);
        m[1] = m[2];
        assert_loads(b, store, m, 2);

        assert_int_equal(b->put(store, &(Mapping){.id = "b", .uri = "", .name = "again"}), 0);
        assert_int_equal(b->remove(store, "b"), 0);
        assert_loads(b, store, m, 2);
        b->close(store);
}

static void test_removing_what_is_not_there_is_enoent(void **state) {
        const StoreBackend *b = *state;
        void *store = open_empty(b);
        Mapping m = web01();

        assert_int_equal(b->remove(store, m.id), -ENOENT);
        assert_int_equal(b->put(store, &m), 0);
        assert_int_equal(b->remove(store, ""), -ENOENT);
        assert_int_equal(b->remove(store, "5"), -ENOENT); /* how its ID begins */
        assert_int_equal(b->remove(store, m.name), -ENOENT);
        assert_int_equal(b->remove(store, m.id), 0);
        assert_int_equal(b->remove(store, m.id), -ENOENT);
        assert_loads(b, store, NULL, 0);
        b->close(store);
}

/* A VM's name and URI are any text there is. */
static void test_text_of_all_kinds_comes_back(void **state) {
        static const char *const texts[] = {
                "", " ", "  two  spaces ", "a\nb", "a\r\nb\n", "\t", "=", "[x]", "#", ";", "\"'\\", "%s%n",
                "../../etc/passwd", "/", ".", "\x01\x1b[2J\x7f", "M\xc3\xbcller \xf0\x9f\x98\x80",
                "\xff\xfe not UTF-8", "a\\nb", "a b=c\\",
        };
        const StoreBackend *b = *state;
        void *store = open_empty(b);
        Mapping m[ELEMENTSOF(texts)];
        char ids[ELEMENTSOF(texts)][16], *longest = malloc(65536);

        assert_non_null(longest);
        memset(longest, 'x', 65535);
        longest[65535] = 0;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                snprintf(ids[i], sizeof ids[i], "id-%zu", i);
                m[i] = web01();
                m[i].id = ids[i];
                m[i].name = texts[i];
                m[i].uri = i == 0 ? longest : texts[ELEMENTSOF(texts) - 1 - i];
                assert_int_equal(b->put(store, &m[i]), 0);
        }

        assert_loads(b, store, m, ELEMENTSOF(m));
        b->close(store);
        free(longest);
}

static void test_a_handler_that_fails_ends_the_load(void **state) {
        const StoreBackend *b = *state;
        void *store = open_empty(b);
        Mapping m = web01();
        char id[16];

        m.id = id;
        for (unsigned i = 0; i < 10; i++) {
                snprintf(id, sizeof id, "id-%u", i);
                assert_int_equal(b->put(store, &m), 0);
        }

        for (size_t stop_after = 1; stop_after <= 10; stop_after++) {
                _cleanup_loaded_ Loaded l = {.stop_after = stop_after, .result = -ECANCELED};

                assert_int_equal(b->load(store, on_mapping, &l), -ECANCELED);
                assert_int_equal(l.n, stop_after);
        }

        /* Only a negative number does. */
        _cleanup_loaded_ Loaded l = {.stop_after = 1, .result = 1};
        assert_true(b->load(store, on_mapping, &l) >= 0);
        assert_int_equal(l.n, 10);
        b->close(store);
}

/* Against an array of what should be there. */
static void test_random_operations(void **state) {
        const StoreBackend *b = *state;
        void *store = open_empty(b);
        Prng random = prng_init();
        struct {
                char id[16], name[16];
                Mapping mapping;
                bool there;
        } model[300] = {};

        for (unsigned i = 0; i < 20000; i++) {
                size_t k = prng_below(&random, ELEMENTSOF(model));

                if (prng_below(&random, 5) < 3) {
                        snprintf(model[k].id, sizeof model[k].id, "%zx", k);
                        snprintf(model[k].name, sizeof model[k].name, "vm%zu", prng_below(&random, 100000));
                        model[k].mapping = web01();
                        model[k].mapping.id = model[k].id;
                        model[k].mapping.name = model[k].name;
                        model[k].mapping.port = (uint16_t) prng_next(&random);
                        model[k].there = true;
                        assert_int_equal(b->put(store, &model[k].mapping), 0);
                } else {
                        char id[16];

                        snprintf(id, sizeof id, "%zx", k);
                        assert_int_equal(b->remove(store, id), model[k].there ? 0 : -ENOENT);
                        model[k].there = false;
                }

                if (i % 1000 == 999) {
                        Mapping want[ELEMENTSOF(model)];
                        size_t n = 0;

                        for (size_t j = 0; j < ELEMENTSOF(model); j++)
                                if (model[j].there)
                                        want[n++] = model[j].mapping;
                        assert_loads(b, store, want, n);
                }
        }
        b->close(store);
}

static void test_a_backend_is_found_by_its_exact_name(void **state) {
        const StoreBackend *b = *state;
        char longer[64];

        assert_ptr_equal(store_find_backend(b->name), b);
        snprintf(longer, sizeof longer, "%s2", b->name);
        assert_null(store_find_backend(longer));
        longer[strlen(b->name) - 1] = 0;
        assert_null(store_find_backend(longer));
        assert_null(store_find_backend(""));
}

#define CONTRACT(backend)                                                                                    \
        TEST(backend, test_an_empty_store_loads_nothing),                                                    \
        TEST(backend, test_what_is_put_is_loaded_as_it_was),                                                 \
        TEST(backend, test_the_strings_are_the_caller_s),                                                    \
        TEST(backend, test_putting_the_same_id_again_replaces_all_of_it),                                    \
        TEST(backend, test_what_is_removed_is_gone_and_only_that),                                           \
        TEST(backend, test_removing_what_is_not_there_is_enoent),                                            \
        TEST(backend, test_text_of_all_kinds_comes_back),                                                    \
        TEST(backend, test_a_handler_that_fails_ends_the_load),                                              \
        TEST(backend, test_random_operations),                                                               \
        TEST(backend, test_a_backend_is_found_by_its_exact_name)

#define TEST(backend, test) {#backend ": " #test, test, NULL, NULL, (void *) &backend}

int main(void) {
        static const struct CMUnitTest tests[] = {
                CONTRACT(store_memory),
        };

        return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
