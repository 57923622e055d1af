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
#include "store/mapping-line.h"
#include "store/plug-in.h"

typedef struct Subject {
        const char *name;     /* Backend= */
        const char *argument; /* NULL: none */
        bool persists;
} Subject;

static const Subject in_memory = {.name = "memory"};
static const Subject in_a_file = {.name = "file", .persists = true};
static const Subject in_a_folder = {.name = "file", .argument = "elsewhere", .persists = true};
static const Subject in_the_example = {.name = "example", .argument = "mappings.txt", .persists = true};

/* Where all of them keep what they have */
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

/* Backend=file. Its file is called so in STATE_DIRECTORY, which is also where the folder of earlier versions was. */
#define HEADER "vspc-mappings 1\n"

static const char *path_of(const char *name) {
        static char path[256];

        snprintf(path, sizeof path, "%s/%s", folder, name);
        return path;
}

static void write_file(const char *name, const char *text, size_t n) {
        FILE *f = fopen(path_of(name), "we");

        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, n, f), n);
        assert_int_equal(fclose(f), 0);
}

/* To be freed by the caller; NULL if there is no such file. */
static char *read_file(const char *name) {
        char *text = NULL;
        size_t size = 0;

        FILE *f = fopen(path_of(name), "re");
        if (!f)
                return NULL;
        if (getdelim(&text, &size, 0, f) < 0) {
                free(text);
                text = strdup("");
        }
        fclose(f);
        assert_non_null(text);
        return text;
}

static void *open_text(const char *text) {
        write_file("vm-ports", text, strlen(text));
        return open_as_it_is(&in_a_file);
}

/* To be freed by the caller. */
static char *line_of(const Mapping *m) {
        char line[MAPPING_LINE_MAX];

        assert_true(mapping_line_format(m, line) > 0);
        char *copy = strdup(line);
        assert_non_null(copy);
        return copy;
}

static void close_store(void *store) {
        find(&in_a_file)->close(store);
}

static void put(void *store, const Mapping *m) {
        assert_int_equal(find(&in_a_file)->put(store, m), 0);
}

static void put_and_sync(void *store, const Mapping *m) {
        put(store, m);
        assert_int_equal(find(&in_a_file)->sync(store), 0);
}

static void test_the_file_is_text_to_which_lines_are_added(_unused_ void **state) {
        void *store = open_as_it_is(&in_a_file);
        char id[256];
        Mapping m[] = {web01(), console_of("s1", id)};
        _cleanup_free_ char *first = line_of(&m[0]), *second = line_of(&m[1]);
        _cleanup_free_ char *removal = line_of(&(Mapping){.id = m[0].id});

        _cleanup_free_ char *empty = read_file("vm-ports");
        assert_int_equal(strncmp(empty, HEADER "# ", strlen(HEADER "# ")), 0);

        put(store, &m[0]);
        put(store, &m[1]);
        assert_int_equal(find(&in_a_file)->remove(store, m[0].id), 0);

        _cleanup_free_ char *text = read_file("vm-ports"), *want = NULL;
        assert_true(asprintf(&want, "%s%s%s%s", empty, first, second, removal) > 0);
        assert_text_equal(text, want);
        close_store(store);
}

static void test_it_is_written_anew_with_the_first_change_after_a_start(_unused_ void **state) {
        void *store = open_text(HEADER "-\tID=50123456-789a-bcde-f012-3456789abcde\tPORT=50007");
        Mapping m = web01();
        _cleanup_free_ char *line = line_of(&m);

        assert_loads(find(&in_a_file), store, NULL, 0); /* it is cut off */
        put_and_sync(store, &m);
        _cleanup_free_ char *text = read_file("vm-ports");
        assert_null(strstr(text, "50007"));
        assert_string_equal(text + strlen(text) - strlen(line), line);
        close_store(store);
}

static void test_it_never_has_much_that_is_out_of_date(_unused_ void **state) {
        const StoreBackend *b = find(&in_a_file);
        void *store = open_as_it_is(&in_a_file);
        struct stat st;
        off_t largest = 0;
        Mapping m = web01();

        for (unsigned i = 0; i < 30000; i++) {
                m.stored++;
                put(store, &m);
                if (i % 100 != 0)
                        continue;
                assert_int_equal(b->sync(store), 0);
                assert_int_equal(stat(path_of("vm-ports"), &st), 0);
                largest = MAX(largest, st.st_size);
        }

        assert_in_range(largest, 512 * 1024, 1024 * 1024 + 65536);
        assert_loads(b, store, &m, 1);
        close_store(store);

        store = open_as_it_is(&in_a_file);
        assert_loads(b, store, &m, 1);
        close_store(store);
}

static ino_t inode_of(const char *name) {
        struct stat st;

        assert_int_equal(stat(path_of(name), &st), 0);
        return st.st_ino;
}

static bool fsync_fails;
int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd) {
        if (!fsync_fails)
                return __real_fsync(fd);

        errno = EIO;
        return -1;
}

/* The kernel takes pages that it could not write for written. */
static void test_after_an_fsync_that_has_failed_it_is_written_anew(_unused_ void **state) {
        const StoreBackend *b = find(&in_a_file);
        void *store = open_as_it_is(&in_a_file);
        Mapping m = web01();

        put(store, &m);
        ino_t before = inode_of("vm-ports");
        fsync_fails = true;
        assert_int_equal(b->sync(store), -EIO);
        fsync_fails = false;
        assert_int_equal(inode_of("vm-ports"), before);
        assert_int_equal(b->sync(store), 0);
        assert_int_not_equal(inode_of("vm-ports"), before);
        close_store(store);

        store = open_as_it_is(&in_a_file);
        assert_loads(b, store, &m, 1);
        close_store(store);
}

/* Here because of a folder in the place of the temporary file. */
static void test_if_it_cannot_be_written_anew_lines_are_added_as_before(_unused_ void **state) {
        const StoreBackend *b = find(&in_a_file);
        void *store = open_as_it_is(&in_a_file);
        ino_t before = inode_of("vm-ports");
        Mapping m = web01();

        assert_int_equal(mkdir(path_of(".vm-ports.new"), 0700), 0);
        for (unsigned i = 0; i < 30000; i++) {
                m.stored++;
                put(store, &m);
                if (i % 1000 == 999)
                        assert_int_equal(b->sync(store), 0);
        }
        assert_int_equal(inode_of("vm-ports"), before);

        assert_int_equal(rmdir(path_of(".vm-ports.new")), 0);
        for (unsigned i = 0; i < 20000; i++)
                put(store, &m);
        assert_int_equal(b->sync(store), 0);
        assert_int_not_equal(inode_of("vm-ports"), before);
        close_store(store);
}

static void test_a_last_line_that_is_cut_off_costs_nothing_else(_unused_ void **state) {
        char id[256];
        Mapping m[] = {web01(), console_of("s1", id)};
        _cleanup_free_ char *first = line_of(&m[0]), *second = line_of(&m[1]), *text = NULL;

        int n = asprintf(&text, HEADER "%s%s", first, second);
        assert_true(n > 0);
        for (size_t cut = 1; cut <= strlen(second); cut++) {
                write_file("vm-ports", text, (size_t) n - cut);
                void *store = open_as_it_is(&in_a_file);
                assert_loads(find(&in_a_file), store, m, 1);
                put_and_sync(store, &m[1]);
                assert_loads(find(&in_a_file), store, m, 2);
                close_store(store);

                store = open_as_it_is(&in_a_file);
                assert_loads(find(&in_a_file), store, m, 2);
                close_store(store);
        }

        assert_null(read_file("vm-ports.damaged"));
}

/* What there is of it is kept as it was, once there is something to be written. */
static void test_a_damaged_line_costs_one_vm_and_is_kept_aside(_unused_ void **state) {
        char id[2][256], long_line[3 * MAPPING_LINE_MAX] = "";
        Mapping m[] = {web01(), console_of("s1", id[0]), console_of("s2", id[1])};
        _cleanup_free_ char *first = line_of(&m[0]), *third = line_of(&m[2]);
        memset(long_line, 'x', sizeof long_line - 1);
        const char *const damaged[] = {
                "00000000\tID=50123456-789a-bcde-f012-3456789abcde_s1\tURI=s1\tPORT=50000\tSTORED=1",
                "-\tnonsense", "garbage", "\x7f" "ELF\x01\xff", "\t", long_line,
        };

        for (size_t i = 0; i < ELEMENTSOF(damaged); i++) {
                _cleanup_free_ char *text = NULL, *name = NULL;
                assert_true(asprintf(&text, HEADER "%s%s\n%s", first, damaged[i], third) > 0);
                assert_true((i == 0 ? asprintf(&name, "vm-ports.damaged")
                                    : asprintf(&name, "vm-ports.damaged.%zu", i + 1)) > 0);

                void *store = open_text(text);
                assert_loads(find(&in_a_file), store, (Mapping[]){m[0], m[2]}, 2);
                assert_null(read_file(name));
                put_and_sync(store, &m[1]);
                close_store(store);
                _cleanup_free_ char *kept = read_file(name);
                assert_non_null(kept);
                assert_text_equal(kept, text);

                store = open_as_it_is(&in_a_file);
                assert_loads(find(&in_a_file), store, m, 3);
                put_and_sync(store, &m[1]);
                close_store(store);
        }
}

static void test_files_that_are_kept_aside_have_a_bound(_unused_ void **state) {
        Mapping m = web01();

        for (unsigned i = 1; i <= 20; i++) {
                char text[64];

                snprintf(text, sizeof text, HEADER "damage number %u\n", i);
                void *store = open_text(text);
                put_and_sync(store, &m);
                close_store(store);
        }

        _cleanup_free_ char *first = read_file("vm-ports.damaged"), *last = read_file("vm-ports.damaged.16");
        assert_text_equal(first, HEADER "damage number 1\n");
        assert_text_equal(last, HEADER "damage number 20\n");
        assert_null(read_file("vm-ports.damaged.17"));
}

static void test_lines_without_their_first_line_are_read(_unused_ void **state) {
        Mapping m = web01();
        _cleanup_free_ char *line = line_of(&m), *text = NULL;

        assert_true(asprintf(&text, "\x01\x02\n%s", line) > 0);
        void *store = open_text(text);
        assert_loads(find(&in_a_file), store, &m, 1);
        put_and_sync(store, &m);
        close_store(store);
        _cleanup_free_ char *kept = read_file("vm-ports.damaged");
        assert_text_equal(kept, text);
}

static void test_a_file_of_a_later_version_is_left_alone(_unused_ void **state) {
        static const char text[] = "vspc-mappings 2\nwhatever that may be\n";
        void *store = NULL;

        write_file("vm-ports", text, strlen(text));
        assert_int_equal(find(&in_a_file)->open("", &store), -EPROTONOSUPPORT);
        assert_null(store);
        _cleanup_free_ char *after = read_file("vm-ports");
        assert_text_equal(after, text);
}

static void test_an_empty_file_is_no_damage(_unused_ void **state) {
        void *store = open_text("");
        Mapping m = web01();

        put_and_sync(store, &m);
        close_store(store);
        assert_null(read_file("vm-ports.damaged"));
}

/* Of two that claim a port, whatever the clock showed; restore() then lets the later one have it. */
static void test_an_earlier_line_counts_as_stored_no_later_than_a_later_one(_unused_ void **state) {
        char id[3][256];
        Mapping m[] = {web01(), console_of("s1", id[0]), console_of("s2", id[1]), console_of("s3", id[2])};
        m[1].stored = m[3].stored = 5;
        m[1].port = 1;
        m[2].stored = 7;
        void *store = open_as_it_is(&in_a_file);

        for (size_t i = 0; i < ELEMENTSOF(m); i++)
                put(store, &m[i]);
        m[0].stored = m[2].stored = 5;
        assert_loads(find(&in_a_file), store, m, 4);
        close_store(store);

        store = open_as_it_is(&in_a_file);
        assert_loads(find(&in_a_file), store, m, 4);
        close_store(store);
}

static void test_what_a_person_writes_is_read(_unused_ void **state) {
        void *store = open_text(HEADER "\n# web01 has moved\n-\tID=50123456-789a-bcde-f012-3456789abcde\tPORT=50001\n"
                                "-\tID=50123456-789a-bcde-f012-3456789abcde\tPORT=50000\tNAME=web01\tURI=s0\tSTORED=1795345745504572\n"
                                "-\tID=50123456-789a-bcde-f012-3456789abcdf\tPORT=50000\n"
                                "-\tREMOVED=50123456-789a-bcde-f012-3456789abcdf\n");
        Mapping m = web01();

        assert_loads(find(&in_a_file), store, &m, 1);
        close_store(store);
}

static void test_a_file_that_somebody_has_removed_is_made_again(_unused_ void **state) {
        const StoreBackend *b = find(&in_a_file);
        void *store = open_as_it_is(&in_a_file);
        char id[256];
        Mapping m[] = {web01(), console_of("s1", id)};

        put(store, &m[0]);
        assert_int_equal(unlink(path_of("vm-ports")), 0);
        put(store, &m[1]);
        assert_int_equal(b->sync(store), 0);
        close_store(store);

        store = open_as_it_is(&in_a_file);
        assert_loads(b, store, m, 2);
        close_store(store);
        assert_null(read_file("vm-ports.damaged"));
}

static void test_a_file_that_somebody_has_put_in_its_place_is_kept_aside(_unused_ void **state) {
        static const char theirs[] = HEADER "# notes of the night shift\n";
        const StoreBackend *b = find(&in_a_file);
        void *store = open_as_it_is(&in_a_file);
        Mapping m = web01();

        put(store, &m);
        assert_int_equal(unlink(path_of("vm-ports")), 0);
        write_file("vm-ports", theirs, strlen(theirs));
        assert_int_equal(b->sync(store), 0);
        close_store(store);

        _cleanup_free_ char *kept = read_file("vm-ports.damaged");
        assert_text_equal(kept, theirs);
        store = open_as_it_is(&in_a_file);
        assert_loads(b, store, &m, 1);
        close_store(store);
}

static void test_a_link_in_its_place_is_not_followed(_unused_ void **state) {
        const StoreBackend *b = find(&in_a_file);
        void *store = NULL;

        write_file("secret", "TOP SECRET\n", strlen("TOP SECRET\n"));
        assert_int_equal(symlink("secret", path_of("vm-ports")), 0);
        assert_int_equal(b->open("", &store), -ELOOP);
        assert_int_equal(unlink(path_of("vm-ports")), 0);

        assert_int_equal(symlink("secret", path_of(".vm-ports.new")), 0);
        store = open_as_it_is(&in_a_file);
        put(store, &(Mapping){.id = web01().id, .uri = "", .name = "x"});
        assert_int_equal(unlink(path_of("vm-ports")), 0);
        assert_int_equal(symlink("secret", path_of("vm-ports")), 0);
        assert_int_equal(b->sync(store), 0);
        close_store(store);

        _cleanup_free_ char *secret = read_file("secret");
        assert_text_equal(secret, "TOP SECRET\n");
}

/* What earlier versions had */
#define VM_FILE(id, rest) "VERSION=1\nID=" id "\nUUID=" id "\nURI=s0\n" rest
#define WEB01_FILE VM_FILE("50123456-789a-bcde-f012-3456789abcde", "NAME=web01\nPORT=50000\nSTORED=1795345745504572\n")

static void write_old_folder(void) {
        assert_int_equal(mkdir(path_of("mappings"), 0750), 0);
        write_file("mappings/50123456-789a-bcde-f012-3456789abcde.vm", WEB01_FILE, strlen(WEB01_FILE));
        write_file("mappings/README", "by hand\n", strlen("by hand\n"));
        write_file("mappings/half.vm", WEB01_FILE, 30);
        write_file("mappings/.half.vm", WEB01_FILE, 30);
        assert_int_equal(mkfifo(path_of("mappings/pipe.vm"), 0600), 0);
}

static void test_a_folder_of_an_earlier_version_is_taken_over_and_kept(_unused_ void **state) {
        Mapping m = web01();

        write_old_folder();
        for (unsigned i = 0; i < 2; i++) {
                void *store = open_as_it_is(&in_a_file);
                assert_loads(find(&in_a_file), store, &m, 1);
                close_store(store);

                _cleanup_free_ char *text = read_file("vm-ports"), *line = line_of(&m);
                assert_non_null(strstr(text, line));
                assert_int_equal(access(path_of("mappings"), F_OK), -1);
                _cleanup_free_ char *kept = read_file("mappings.old/50123456-789a-bcde-f012-3456789abcde.vm");
                assert_text_equal(kept, WEB01_FILE);
        }
}

static void test_what_the_file_says_is_later_than_what_the_folder_says(_unused_ void **state) {
        Mapping m = web01();

        write_old_folder();
        void *store = open_text(HEADER "-\tREMOVED=50123456-789a-bcde-f012-3456789abcde\n");
        assert_loads(find(&in_a_file), store, NULL, 0);
        close_store(store);

        write_old_folder();
        store = open_text(HEADER "-\tID=50123456-789a-bcde-f012-3456789abcde\tNAME=web01\tURI=s0\tPORT=50009\n");
        m.port = 50009;
        m.stored = 0;
        assert_loads(find(&in_a_file), store, &m, 1);
        close_store(store);
}

static void test_a_second_folder_is_kept_beside_the_first(_unused_ void **state) {
        for (unsigned i = 0; i < 2; i++) {
                write_old_folder();
                close_store(open_as_it_is(&in_a_file));
        }

        assert_int_equal(access(path_of("mappings.old"), F_OK), 0);
        assert_int_equal(access(path_of("mappings.old.2"), F_OK), 0);
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

static void test_an_old_folder_that_cannot_be_read_to_its_end_is_an_error(_unused_ void **state) {
        const StoreBackend *b = find(&in_a_file);
        void *store = NULL;

        write_old_folder();
        readdir_fails = true;
        assert_int_equal(b->open("", &store), -EIO);
        readdir_fails = false;
        assert_int_equal(access(path_of("mappings"), F_OK), 0);
}

static void test_a_folder_that_cannot_be_had_is_an_error(_unused_ void **state) {
        const StoreBackend *b = find(&in_a_file);
        void *store = NULL;

        assert_int_equal(b->open("/nonexistent/vspc", &store), -ENOENT);
        assert_int_equal(b->open("/dev/null", &store), -ENOTDIR);
        assert_null(store);
}

static void test_the_file_is_not_for_everybody(_unused_ void **state) {
        void *store = open_as_it_is(&in_a_file);
        struct stat st;

        assert_int_equal(stat(path_of("vm-ports"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        close_store(store);
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

static int empty_folder(_unused_ void **state) {
        _cleanup_free_ char *command = NULL;

        return asprintf(&command, "rm -rf %s && mkdir -m 0700 %s", folder, folder) < 0 || system(command) != 0;
}

/* "file:FOLDER" wants the folder to be there. */
static int create_elsewhere(_unused_ void **state) {
        char path[256];

        snprintf(path, sizeof path, "%s/elsewhere", folder);
        return mkdir(path, 0700) < 0 && errno != EEXIST;
}

#define TEST(subject, test) {#subject ": " #test, test, create_elsewhere, NULL, (void *) &subject}

#define FILE_TEST(test) cmocka_unit_test_setup(test, empty_folder)

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
                CONTRACT(in_a_file),
                CONTRACT(in_a_folder),
                CONTRACT(in_the_example),
                FILE_TEST(test_the_file_is_text_to_which_lines_are_added),
                FILE_TEST(test_it_is_written_anew_with_the_first_change_after_a_start),
                FILE_TEST(test_it_never_has_much_that_is_out_of_date),
                FILE_TEST(test_after_an_fsync_that_has_failed_it_is_written_anew),
                FILE_TEST(test_if_it_cannot_be_written_anew_lines_are_added_as_before),
                FILE_TEST(test_a_last_line_that_is_cut_off_costs_nothing_else),
                FILE_TEST(test_a_damaged_line_costs_one_vm_and_is_kept_aside),
                FILE_TEST(test_files_that_are_kept_aside_have_a_bound),
                FILE_TEST(test_lines_without_their_first_line_are_read),
                FILE_TEST(test_a_file_of_a_later_version_is_left_alone),
                FILE_TEST(test_an_empty_file_is_no_damage),
                FILE_TEST(test_an_earlier_line_counts_as_stored_no_later_than_a_later_one),
                FILE_TEST(test_what_a_person_writes_is_read),
                FILE_TEST(test_a_file_that_somebody_has_removed_is_made_again),
                FILE_TEST(test_a_file_that_somebody_has_put_in_its_place_is_kept_aside),
                FILE_TEST(test_a_link_in_its_place_is_not_followed),
                FILE_TEST(test_a_folder_of_an_earlier_version_is_taken_over_and_kept),
                FILE_TEST(test_what_the_file_says_is_later_than_what_the_folder_says),
                FILE_TEST(test_a_second_folder_is_kept_beside_the_first),
                FILE_TEST(test_an_old_folder_that_cannot_be_read_to_its_end_is_an_error),
                FILE_TEST(test_a_folder_that_cannot_be_had_is_an_error),
                FILE_TEST(test_the_file_is_not_for_everybody),
                cmocka_unit_test(test_a_name_and_its_argument_are_told_apart),
                cmocka_unit_test(test_what_is_no_backend_is_refused),
        };

        log_set_max_level(LOG_EMERG);
        return cmocka_run_group_tests_name("store", tests, create_folder, remove_folder);
}
