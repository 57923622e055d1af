/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What every backend promises, so that each can be run through the same: what is put is loaded, whole, once, and as
 * it was; what is removed is not. A backend gets its row in main(). And how plug-ins are found, and which are refused.
 */

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "harness.h"

#include "basic/log.h"
#include "prng.h"
#include "store/plug-in.h"

typedef struct Subject {
        const char *name;     /* Backend= */
        const char *argument; /* NULL: none */
        bool persists;
} Subject;

static const Subject in_memory = {.name = "memory"};
static const Subject in_files = {.name = "file", .persists = true};
static const Subject in_a_folder = {.name = "file", .argument = "elsewhere", .persists = true};
static const Subject in_the_example = {.name = "example", .argument = "mappings.txt", .persists = true};

/* Where all of them keep what they keep */
static char folder[] = "/tmp/test-store-XXXXXX";

/* What a load said, in text: "ID UUID URI NAME PORT GONE STORED" lines in the order of the IDs. */
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
        assert_true(asprintf(&line, "%s %s %s %s %u %llu %llu", m->id, uuid, m->uri, m->name, m->port,
                             (unsigned long long) m->gone_since, (unsigned long long) m->stored) > 0);
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

static const StoreBackend *find(const Subject *subject) {
        const StoreBackend *b;
        const char *argument;

        assert_int_equal(backend_find(subject->name, &b, &argument), 0);
        assert_string_equal(b->name, subject->name);
        return b;
}

static void *open_as_it_is(const Subject *subject) {
        char argument[256] = "";
        void *store = NULL;

        if (subject->argument)
                snprintf(argument, sizeof argument, "%s/%s", folder, subject->argument);
        assert_int_equal(find(subject)->open(argument, &store), 0);
        return store;
}

/* With nothing in it, also where the backend remembers what an earlier test has put. */
static void *open_empty(const Subject *subject) {
        const StoreBackend *b = find(subject);
        void *store = open_as_it_is(subject);
        _cleanup_loaded_ Loaded ids = {};

        assert_int_equal(b->load(store, on_id, &ids), 0);
        for (size_t i = 0; i < ids.n; i++)
                assert_int_equal(b->remove(store, ids.lines[i]), 0);

        return store;
}

/* As under MultiConsole: @uri tells it from the others. */
static Mapping console_of(const char *uri, char id[static 256]) {
        snprintf(id, 256, "50123456-789a-bcde-f012-3456789abcde_%s", uri);

        return (Mapping){
                .id = id,
                .uuid = {0x50, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde,
                         0xf0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde},
                .uri = uri,
                .name = "web01",
                .port = 50000,
                .stored = 1795345745504572,
        };
}

static Mapping web01(void) {
        static char id[256];
        Mapping m = console_of("s0", id);

        m.id = "50123456-789a-bcde-f012-3456789abcde";
        return m;
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
        const StoreBackend *b = find(*state);
        void *store = open_empty(*state);

        assert_loads(b, store, NULL, 0);
        b->close(store);
}

static void test_what_is_put_is_loaded_as_it_was(void **state) {
        const StoreBackend *b = find(*state);
        void *store = open_empty(*state);
        char id[2][256];
        Mapping m[] = {web01(), console_of("s1", id[0]), console_of("s2", id[1])};

        m[0].gone_since = 1795345745504573;
        m[1].port = 65535;
        m[2].port = 0;
        m[2].stored = UINT64_MAX;

        for (size_t i = 0; i < ELEMENTSOF(m); i++)
                assert_int_equal(b->put(store, &m[i]), 0);
        assert_loads(b, store, m, ELEMENTSOF(m));
        assert_loads(b, store, m, ELEMENTSOF(m)); /* loading takes nothing out */
        b->close(store);
}

static void test_what_is_synced_is_there_when_it_is_opened_again(void **state) {
        const Subject *subject = *state;
        const StoreBackend *b = find(subject);
        void *store = open_empty(subject);
        char id[2][256];
        Mapping m[] = {web01(), console_of("s1", id[0]), console_of("s2", id[1])};

        for (size_t i = 0; i < ELEMENTSOF(m); i++)
                assert_int_equal(b->put(store, &m[i]), 0);
        assert_int_equal(b->remove(store, m[1].id), 0);
        m[1] = m[2];
        assert_int_equal(b->sync ? b->sync(store) : 0, 0);
        b->close(store);

        store = open_as_it_is(subject);
        assert_loads(b, store, m, subject->persists ? 2 : 0);
        b->close(store);
}

static void test_the_strings_are_the_caller_s(void **state) {
        const StoreBackend *b = find(*state);
        void *store = open_empty(*state);
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
        const StoreBackend *b = find(*state);
        void *store = open_empty(*state);
        char id[256];
        Mapping m[] = {web01(), console_of("s1", id)};

        assert_int_equal(b->put(store, &m[0]), 0);
        assert_int_equal(b->put(store, &m[1]), 0);

        m[0].uri = "vspc://elsewhere";
        m[0].name = "web01-renamed, with a longer name than it had";
        m[0].port = 0;
        m[0].gone_since = 1;
        m[0].stored++;
        assert_int_equal(b->put(store, &m[0]), 0);
        assert_loads(b, store, m, 2);

        m[0] = web01();
        assert_int_equal(b->put(store, &m[0]), 0);
        assert_int_equal(b->put(store, &m[0]), 0); /* nothing new */
        assert_loads(b, store, m, 2);
        b->close(store);
}

static void test_what_is_removed_is_gone_and_only_that(void **state) {
        const StoreBackend *b = find(*state);
        void *store = open_empty(*state);
        char id[3][256];
        Mapping m[] = {console_of("a", id[0]), console_of("b", id[1]), console_of("bb", id[2])};
        Mapping again = m[1];

        for (size_t i = 0; i < ELEMENTSOF(m); i++)
                assert_int_equal(b->put(store, &m[i]), 0);

        assert_int_equal(b->remove(store, m[1].id), 0);
        m[1] = m[2];
        assert_loads(b, store, m, 2);

        assert_int_equal(b->put(store, &again), 0);
        assert_int_equal(b->remove(store, again.id), 0);
        assert_loads(b, store, m, 2);
        b->close(store);
}

static void test_removing_what_is_not_there_is_enoent(void **state) {
        const StoreBackend *b = find(*state);
        void *store = open_empty(*state);
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

/* A VM's name and URI are any text there is without control characters. */
static void test_text_of_all_kinds_comes_back(void **state) {
        static const char *const texts[] = {
                "x", "  two  spaces ", "=", "[x]", "#", ";", "\"'\\", "%s%n", "../../etc/passwd", "/", ".", "..",
                "PORT=1", "M\xc3\xbcller \xf0\x9f\x98\x80", "a\\nb", "a b=c\\", "\xef\xbf\xbd", "-",
        };
        const StoreBackend *b = find(*state);
        void *store = open_empty(*state);
        Mapping m[ELEMENTSOF(texts)];
        char ids[ELEMENTSOF(texts)][256];

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                m[i] = console_of(texts[i], ids[i]);
                m[i].name = texts[ELEMENTSOF(texts) - 1 - i];
                assert_int_equal(b->put(store, &m[i]), 0);
        }

        assert_loads(b, store, m, ELEMENTSOF(m));
        b->close(store);
}

static void test_the_longest_text_comes_back(void **state) {
        static char uri[3066 + 1], name[1536 + 1 + 3066 + 1], id[37 + 3066 + 1];
        const StoreBackend *b = find(*state);
        void *store = open_empty(*state);
        char ignored[256];

        memset(uri, 'u', sizeof uri - 1);
        memset(name, 'n', sizeof name - 1);
        snprintf(id, sizeof id, "%s_%s", web01().id, uri);
        Mapping m[] = {console_of("s0", ignored), web01()};
        m[0].id = id;
        m[0].uri = uri;
        m[0].name = name;
        m[1].uri = "";

        for (size_t i = 0; i < ELEMENTSOF(m); i++)
                assert_int_equal(b->put(store, &m[i]), 0);
        assert_loads(b, store, m, ELEMENTSOF(m));
        assert_int_equal(b->remove(store, id), 0);
        assert_loads(b, store, m + 1, 1);
        b->close(store);
}

static void test_a_handler_that_fails_ends_the_load(void **state) {
        const StoreBackend *b = find(*state);
        void *store = open_empty(*state);
        char id[256], uri[16];

        for (unsigned i = 0; i < 10; i++) {
                snprintf(uri, sizeof uri, "s%u", i);
                Mapping m = console_of(uri, id);
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
        const StoreBackend *b = find(*state);
        void *store = open_empty(*state);
        Prng random = prng_init();
        static char ids[100][256], uris[100][16], names[100][16];
        struct {
                Mapping mapping;
                bool there;
        } model[ELEMENTSOF(ids)] = {};

        for (unsigned i = 0; i < 1000; i++) {
                size_t k = prng_below(&random, ELEMENTSOF(model));

                snprintf(uris[k], sizeof uris[k], "%zx", k);
                if (prng_below(&random, 5) < 3) {
                        snprintf(names[k], sizeof names[k], "vm%zu", prng_below(&random, 100000));
                        model[k].mapping = console_of(uris[k], ids[k]);
                        model[k].mapping.name = names[k];
                        model[k].mapping.port = (uint16_t) prng_next(&random);
                        model[k].there = true;
                        assert_int_equal(b->put(store, &model[k].mapping), 0);
                } else {
                        (void) console_of(uris[k], ids[k]);
                        assert_int_equal(b->remove(store, ids[k]), model[k].there ? 0 : -ENOENT);
                        model[k].there = false;
                }

                if (i % 200 == 199) {
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

/* What is left of a folder that cannot be read to its end would be half of all VMs. (With 64-bit offsets, which meson
 * asks for, readdir() is called so.) */
static bool readdir_fails;
struct dirent *__real_readdir64(DIR *folder);
struct dirent *__wrap_readdir64(DIR *folder);

struct dirent *__wrap_readdir64(DIR *d) {
        static unsigned n;

        if (!readdir_fails || ++n % 4 != 0)
                return __real_readdir64(d);

        errno = EIO;
        return NULL;
}

static void test_a_folder_that_cannot_be_read_to_its_end_is_an_error(_unused_ void **state) {
        const StoreBackend *b = find(&in_files);
        void *store = open_empty(&in_files);
        _cleanup_loaded_ Loaded l = {};
        char id[256], uri[16];

        for (unsigned i = 0; i < 10; i++) {
                snprintf(uri, sizeof uri, "s%u", i);
                Mapping m = console_of(uri, id);
                assert_int_equal(b->put(store, &m), 0);
        }

        readdir_fails = true;
        assert_int_equal(b->load(store, on_mapping, &l), -EIO);
        readdir_fails = false;
        b->close(store);
}

static void test_a_folder_that_somebody_has_removed_is_made_again(_unused_ void **state) {
        const StoreBackend *b = find(&in_files);
        void *store = open_empty(&in_files);
        char path[256], id[256];
        Mapping m = web01();

        snprintf(path, sizeof path, "%s/mappings", folder);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(b->put(store, &m), 0);
        assert_int_equal(b->remove(store, console_of("s1", id).id), -ENOENT);
        assert_loads(b, store, &m, 1);
        b->close(store);
}

static void test_a_folder_that_cannot_be_had_is_an_error(_unused_ void **state) {
        const StoreBackend *b = find(&in_files);
        void *store = NULL;

        assert_int_equal(b->open("/nonexistent/vspc", &store), -ENOENT);
        assert_int_equal(b->open("/dev/null", &store), -ENOTDIR);
        assert_null(store);
}

static void test_files_are_not_for_everybody(_unused_ void **state) {
        const StoreBackend *b = find(&in_files);
        void *store = open_empty(&in_files);
        Mapping m = web01();
        char path[256];
        struct stat st;

        assert_int_equal(b->put(store, &m), 0);
        snprintf(path, sizeof path, "%s/mappings", folder);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0750);
        snprintf(path, sizeof path, "%s/mappings/%s.vm", folder, m.id);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        b->close(store);
}

static void test_a_name_and_its_argument_are_told_apart(_unused_ void **state) {
        static const struct {
                const char *backend, *name, *argument;
        } backends[] = {
                {"memory", "memory", ""},   {"memory:", "memory", ""},     {"memory:x", "memory", "x"},
                {"file", "file", ""},       {"file:/srv/a:b", "file", "/srv/a:b"},
                {"example", "example", ""}, {"example::", "example", ":"},
        };

        for (size_t i = 0; i < ELEMENTSOF(backends); i++) {
                const StoreBackend *b = NULL;
                const char *argument = NULL;

                assert_int_equal(backend_find(backends[i].backend, &b, &argument), 0);
                assert_string_equal(b->name, backends[i].name);
                assert_string_equal(argument, backends[i].argument);
        }
}

static void test_what_is_no_backend_is_refused(_unused_ void **state) {
        static const struct {
                const char *backend;
                int error;
        } backends[] = {
                {"fil", -ENOENT},          {"files", -ENOENT},           {"memory2", -ENOENT},
                {"missing:x", -ENOENT},    {"wrong-abi", -ELIBBAD},      {"short", -ELIBBAD},
                {"nameless", -ELIBBAD},    {"incomplete:x", -ELIBBAD},
        };

        for (size_t i = 0; i < ELEMENTSOF(backends); i++) {
                const StoreBackend *b = NULL;
                const char *argument;

                assert_int_equal(backend_find(backends[i].backend, &b, &argument), backends[i].error);
                assert_null(b);
        }
}

static int create_folder(_unused_ void **state) {
        return !mkdtemp(folder) || setenv("STATE_DIRECTORY", folder, 1) < 0;
}

static int remove_folder(_unused_ void **state) {
        _cleanup_free_ char *command = NULL;

        return asprintf(&command, "rm -r %s", folder) < 0 || system(command) != 0;
}

/* "file:FOLDER" wants the folder to be there. */
static int create_elsewhere(_unused_ void **state) {
        char path[256];

        snprintf(path, sizeof path, "%s/elsewhere", folder);
        return mkdir(path, 0700) < 0 && errno != EEXIST;
}

#define TEST(subject, test) {#subject ": " #test, test, create_elsewhere, NULL, (void *) &subject}

#define CONTRACT(subject)                                                                                    \
        TEST(subject, test_an_empty_store_loads_nothing),                                                    \
        TEST(subject, test_what_is_put_is_loaded_as_it_was),                                                 \
        TEST(subject, test_what_is_synced_is_there_when_it_is_opened_again),                                 \
        TEST(subject, test_the_strings_are_the_caller_s),                                                    \
        TEST(subject, test_putting_the_same_id_again_replaces_all_of_it),                                    \
        TEST(subject, test_what_is_removed_is_gone_and_only_that),                                           \
        TEST(subject, test_removing_what_is_not_there_is_enoent),                                            \
        TEST(subject, test_text_of_all_kinds_comes_back),                                                    \
        TEST(subject, test_the_longest_text_comes_back),                                                     \
        TEST(subject, test_a_handler_that_fails_ends_the_load),                                              \
        TEST(subject, test_random_operations)

int main(void) {
        static const struct CMUnitTest tests[] = {
                CONTRACT(in_memory),
                CONTRACT(in_files),
                CONTRACT(in_a_folder),
                CONTRACT(in_the_example),
                cmocka_unit_test(test_a_folder_that_cannot_be_read_to_its_end_is_an_error),
                cmocka_unit_test(test_a_folder_that_somebody_has_removed_is_made_again),
                cmocka_unit_test(test_a_folder_that_cannot_be_had_is_an_error),
                cmocka_unit_test(test_files_are_not_for_everybody),
                cmocka_unit_test(test_a_name_and_its_argument_are_told_apart),
                cmocka_unit_test(test_what_is_no_backend_is_refused),
        };

        log_set_max_level(LOG_EMERG);
        return cmocka_run_group_tests_name("store", tests, create_folder, remove_folder);
}
