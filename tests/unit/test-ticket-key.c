/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "harness.h"

#include "basic/log.h"
#include "transport/ticket-key.h"

#define HOUR (3600 * USEC_PER_SEC)

static char folder[64], path[96], new_path[112], elsewhere[96];

/* How far our clock is ahead of the system's */
static usec_t ahead;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret) {
        int r = __real_clock_gettime(clock, ret);

        ret->tv_sec += (time_t) (ahead / USEC_PER_SEC);
        return r;
}

/* What has been logged, and how often */
static char logged[LOG_MESSAGE_MAX];
static unsigned n_logged;

int __wrap_log_full(int level, int error, const LogFields *fields, const char *format, ...) _printf_(4, 5);
int __wrap_log_full(int level, int error, _unused_ const LogFields *fields, const char *format, ...) {
        va_list ap;

        assert_int_equal(level, LOG_WARNING);
        errno = error < 0 ? -error : error;
        va_start(ap, format);
        vsnprintf(logged, sizeof logged, format, ap);
        va_end(ap);
        n_logged++;
        return -errno;
}

static int setup(_unused_ void **state) {
        strcpy(folder, "/tmp/vspc-test-ticket-key-XXXXXX");
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/ticket-key", folder);
        snprintf(new_path, sizeof new_path, "%s.new", path);
        snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", folder);
        n_logged = 0;
        ahead = 0;
        return 0;
}

static int teardown(_unused_ void **state) {
        const char *const paths[] = {path, new_path, elsewhere};

        for (size_t i = 0; i < ELEMENTSOF(paths); i++)
                (void) remove(paths[i]);
        return rmdir(folder);
}

typedef struct Key {
        uint8_t bytes[TICKET_KEY_SIZE];
} Key;

static Key derive(TicketKey *k, uint8_t purpose) {
        uint8_t purposes[TICKET_KEY_SIZE] = {purpose};
        Key key;

        assert_int_equal(ticket_key_derive(k, purposes, key.bytes), 0);
        return key;
}

/* That of a process that starts, and ends */
static Key derive_anew(const char *in) {
        _cleanup_(ticket_key_freep) TicketKey *k = NULL;

        assert_int_equal(ticket_key_new(in, &k), 0);
        return derive(k, 0);
}

static bool same(Key a, Key b) {
        return memcmp(&a, &b, sizeof a) == 0;
}

static struct stat status(const char *file) {
        struct stat st;

        assert_int_equal(lstat(file, &st), 0);
        return st;
}

static void test_it_outlives_the_process(_unused_ void **state) {
        Key first = derive_anew(folder);

        assert_true(same(derive_anew(folder), first));
        assert_true(same(derive_anew(folder), first));
        assert_int_equal(n_logged, 0);
}

static void test_without_a_folder_it_does_not(_unused_ void **state) {
        assert_false(same(derive_anew(NULL), derive_anew(NULL)));
        assert_false(same(derive_anew(""), derive_anew("")));
        assert_int_equal(n_logged, 0);
}

static void test_of_several_folders_the_first_has_it(_unused_ void **state) {
        char folders[256];

        snprintf(folders, sizeof folders, "%s:/nonexistent", folder);
        assert_true(same(derive_anew(folders), derive_anew(folder)));
}

static void test_nothing_is_written_before_it_is_needed(_unused_ void **state) {
        _cleanup_(ticket_key_freep) TicketKey *k = NULL;

        assert_int_equal(ticket_key_new(folder, &k), 0);
        assert_true(access(path, F_OK) < 0);
        assert_int_equal(ticket_key_refresh(k), 0);
        assert_int_equal(access(path, F_OK), 0);
}

static void test_the_file_is_for_nobody_else_and_is_not_what_gnutls_has(_unused_ void **state) {
        uint8_t content[TICKET_KEY_SIZE];
        Key key;

        mode_t mask = umask(0);
        key = derive_anew(folder);
        umask(mask);

        struct stat st = status(path);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
        assert_int_equal(st.st_size, sizeof content);
        assert_true(access(new_path, F_OK) < 0);

        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(read(fd, content, sizeof content), sizeof content);
        assert_memory_not_equal(content, key.bytes, sizeof content);
}

static void test_another_purpose_has_another_key(_unused_ void **state) {
        _cleanup_(ticket_key_freep) TicketKey *k = NULL;

        assert_int_equal(ticket_key_new(folder, &k), 0);
        Key key = derive(k, 1);
        assert_false(same(derive(k, 2), key));
        assert_true(same(derive(k, 1), key));
}

static void test_after_a_week_there_is_another_one(_unused_ void **state) {
        _cleanup_(ticket_key_freep) TicketKey *k = NULL;

        assert_int_equal(ticket_key_new(folder, &k), 0);
        Key first = derive(k, 0);
        ino_t file = status(path).st_ino;

        ahead = TICKET_KEY_USEC - HOUR;
        assert_true(same(derive(k, 0), first));
        assert_true(same(derive_anew(folder), first));
        assert_int_equal(status(path).st_ino, file);

        ahead = TICKET_KEY_USEC;
        Key second = derive(k, 0);
        assert_false(same(second, first));
        assert_int_not_equal(status(path).st_ino, file);
        assert_int_equal(n_logged, 0);
}

static void set_made(usec_t made) {
        struct timespec t = {.tv_sec = (time_t) (made / USEC_PER_SEC)};

        assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){t, t}, 0), 0);
}

static void test_what_is_found_is_as_old_as_it_is(_unused_ void **state) {
        Key first = derive_anew(folder);

        set_made(now_realtime() - TICKET_KEY_USEC + HOUR);
        assert_true(same(derive_anew(folder), first));
        ahead = HOUR;
        assert_false(same(derive_anew(folder), first));
}

static void test_one_that_is_made_in_the_future_could_be_for_ever(_unused_ void **state) {
        Key first = derive_anew(folder);

        set_made(now_realtime() + HOUR);
        Key second = derive_anew(folder);
        assert_false(same(second, first));
        assert_true(same(derive_anew(folder), second));
}

static void put(const char *file, size_t size, mode_t mode) {
        static const uint8_t content[2 * TICKET_KEY_SIZE] = {1};

        _cleanup_close_ int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, content, size), size);
        assert_int_equal(fchmod(fd, mode), 0);
}

static void put_short(void) {
        put(path, TICKET_KEY_SIZE - 1, 0600);
}

static void put_long(void) {
        put(path, TICKET_KEY_SIZE + 1, 0600);
}

static void put_nothing(void) {
        put(path, 0, 0600);
}

static void put_readable_for_the_group(void) {
        put(path, TICKET_KEY_SIZE, 0640);
}

static void put_writable_for_all(void) {
        put(path, TICKET_KEY_SIZE, 0602);
}

static void put_link(void) {
        put(elsewhere, TICKET_KEY_SIZE, 0600);
        assert_int_equal(symlink(elsewhere, path), 0);
}

static void put_pipe(void) {
        assert_int_equal(mkfifo(path, 0600), 0);
}

static void test_a_file_that_is_of_no_use_is_replaced_and_that_is_said(_unused_ void **state) {
        static const struct {
                void (*put)(void);
                const char *problem;
        } cases[] = {
                {put_short, "it does not have the size of a key"},
                {put_long, "it does not have the size of a key"},
                {put_nothing, "it does not have the size of a key"},
                {put_readable_for_the_group, "others may access it"},
                {put_writable_for_all, "others may access it"},
                {put_link, "Too many levels of symbolic links"},
                {put_pipe, "it is not a regular file"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *expected = NULL;

                cases[i].put();
                n_logged = 0;
                Key key = derive_anew(folder);
                assert_int_equal(n_logged, 1);
                assert_true(asprintf(&expected, "The key of session tickets in %s is replaced, so ESXi hosts cannot "
                                     "resume their sessions: %s", path, cases[i].problem) >= 0);
                assert_string_equal(logged, expected);

                assert_int_equal(status(path).st_mode, S_IFREG | 0600);
                assert_true(same(derive_anew(folder), key));
                assert_int_equal(n_logged, 1);
                assert_int_equal(unlink(path), 0);
        }
}

static void test_so_is_somebody_else_s(_unused_ void **state) {
        if (geteuid() != 0)
                skip();

        put(path, TICKET_KEY_SIZE, 0600);
        assert_int_equal(chown(path, 65534, 65534), 0);
        Key key = derive_anew(folder);
        assert_non_null(strstr(logged, ": it belongs to somebody else"));
        assert_int_equal(status(path).st_uid, 0);
        assert_true(same(derive_anew(folder), key));
}

/* Of a process that was killed, or put there by somebody */
static void test_what_is_where_it_is_written_is_not_written_into(_unused_ void **state) {
        put(elsewhere, 10, 0644);
        assert_int_equal(symlink(elsewhere, new_path), 0);
        Key key = derive_anew(folder);
        assert_int_equal(status(elsewhere).st_size, 10);
        assert_int_equal(status(path).st_mode, S_IFREG | 0600);
        assert_true(access(new_path, F_OK) < 0);
        assert_true(same(derive_anew(folder), key));
        assert_int_equal(n_logged, 0);
}

static void test_where_it_cannot_be_kept_it_is_in_memory(_unused_ void **state) {
        _cleanup_(ticket_key_freep) TicketKey *k = NULL;

        assert_int_equal(ticket_key_new("/nonexistent", &k), 0);
        Key key = derive(k, 0);
        assert_string_equal(logged, "Cannot store the key of session tickets in /nonexistent/ticket-key, so ESXi hosts "
                                    "cannot resume their sessions after a restart: No such file or directory");
        assert_true(same(derive(k, 0), key));
        assert_int_equal(n_logged, 1);
}

/* Otherwise the next process would go on with what this one has given up. */
static void test_one_that_cannot_be_replaced_is_not_left_behind(_unused_ void **state) {
        _cleanup_(ticket_key_freep) TicketKey *k = NULL;

        assert_int_equal(ticket_key_new(folder, &k), 0);
        Key first = derive(k, 0);
        assert_int_equal(mkdir(new_path, 0700), 0); /* no file can be there */

        ahead = TICKET_KEY_USEC;
        assert_false(same(derive(k, 0), first));
        assert_int_equal(n_logged, 1);
        assert_true(access(path, F_OK) < 0);
}

#define folder_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                folder_test(test_it_outlives_the_process),
                folder_test(test_without_a_folder_it_does_not),
                folder_test(test_of_several_folders_the_first_has_it),
                folder_test(test_nothing_is_written_before_it_is_needed),
                folder_test(test_the_file_is_for_nobody_else_and_is_not_what_gnutls_has),
                folder_test(test_another_purpose_has_another_key),
                folder_test(test_after_a_week_there_is_another_one),
                folder_test(test_what_is_found_is_as_old_as_it_is),
                folder_test(test_one_that_is_made_in_the_future_could_be_for_ever),
                folder_test(test_a_file_that_is_of_no_use_is_replaced_and_that_is_said),
                folder_test(test_so_is_somebody_else_s),
                folder_test(test_what_is_where_it_is_written_is_not_written_into),
                folder_test(test_where_it_cannot_be_kept_it_is_in_memory),
                folder_test(test_one_that_cannot_be_replaced_is_not_left_behind),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
