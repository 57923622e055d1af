/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * vspc.conf: what is read and what is not, and which of several files wins. That part has folders of its own in place of
 * /etc, /run and /usr/lib: it needs a mount namespace, and says so where it cannot have one.
 */

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "harness.h"

#include "loaded-config.h"

static char folder[] = "/tmp/test-config-XXXXXX";

static void write_file(const char *path, const char *text) {
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static int load_file(Config *c, const char *path) {
        load_begin();
        return loaded(config_load(c, path, &problems));
}

static void test_a_file_is_read_and_named(_unused_ void **state) {
        char path[sizeof folder + 16], want[256];
        _cleanup_config_ Config c;

        snprintf(path, sizeof path, "%s/a.conf", folder);
        write_file(path, "[Concentrator]\nClientLimit=3\nVMPortRangeStart=9\nVMPortRangeEnd=8\nfoo=bar\n");
        init(&c);
        assert_int_equal(load_file(&c, path), 2);
        snprintf(want, sizeof want, "test: %s:5: Unknown key foo= in section", path);
        assert_said(want);
        assert_said("VMPortRangeStart=9 is beyond VMPortRangeEnd=8");
        assert_defaults(&c, "ClientLimit");
        assert_shows(&c, "ClientLimit", "3");
        unlink(path);
}

static void test_what_cannot_be_read_is_an_error_and_changes_nothing(_unused_ void **state) {
        char path[sizeof folder + 16];
        _cleanup_config_ Config c;

        init(&c);
        snprintf(path, sizeof path, "%s/none.conf", folder);
        assert_int_equal(load_file(&c, path), -ENOENT);
        snprintf(path, sizeof path, "%s/none/a.conf", folder);
        assert_int_equal(load_file(&c, path), -ENOENT);
        snprintf(path, sizeof path, "%s/loop.conf", folder);
        assert_int_equal(symlink("loop.conf", path), 0);
        assert_int_equal(load_file(&c, path), -ELOOP);
        unlink(path);
        assert_defaults(&c, NULL);
        assert_string_equal(logged, "");
}

/* It can be opened, which is all that fopen() does. */
static void test_a_directory_is_no_configuration(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_file(&c, folder), -EISDIR);
        assert_defaults(&c, NULL);
}

static int create_folder(_unused_ void **state) {
        return mkdtemp(folder) ? 0 : -1;
}

/* With what a test that failed has left there */
static int remove_folder(_unused_ void **state) {
        static const char *const files[] = {"a.conf", "loop.conf"};

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                char path[sizeof folder + 16];

                snprintf(path, sizeof path, "%s/%s", folder, files[i]);
                (void) unlink(path);
        }

        return rmdir(folder);
}

/* The files of the system, in a namespace of this process's own. There every test begins with empty folders. */

static const char *namespace_trouble; /* NULL if we have one */
static int namespace_error;

static int trouble(const char *what) {
        namespace_error = errno;
        namespace_trouble = what;
        return 0;
}

static void write_map(const char *path, unsigned id) {
        char text[32];
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
        int n = snprintf(text, sizeof text, "0 %u 1", id);

        if (fd < 0 || write(fd, text, (size_t) n) != n)
                trouble(path);
}

static int enter_namespace(void) {
        uid_t uid = geteuid();
        gid_t gid = getegid();

        if (unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) < 0)
                return trouble("unshare(CLONE_NEWNS)");

        if (uid != 0) {
                _cleanup_close_ int fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);

                if (fd < 0 || write(fd, "deny", 4) != 4)
                        trouble("/proc/self/setgroups");
                write_map("/proc/self/uid_map", uid);
                write_map("/proc/self/gid_map", gid);
                if (namespace_trouble)
                        return 0;
        }

        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return trouble("mount(MS_PRIVATE)");

        return 0;
}

static const char *const hidden[] = {"/etc", "/run", "/usr/lib"};

/* All that this program needs from there it has loaded by now. */
static int hide_system(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(hidden) && !namespace_trouble; i++) {
                char path[64];

                if (mount("tmpfs", hidden[i], "tmpfs", 0, "mode=0755") < 0)
                        return trouble("mount(tmpfs)");

                snprintf(path, sizeof path, "%s/vspc", hidden[i]);
                if (mkdir(path, 0755) < 0)
                        return -1;
                snprintf(path, sizeof path, "%s/vspc/vspc.conf.d", hidden[i]);
                if (mkdir(path, 0755) < 0)
                        return -1;
        }

        return 0;
}

static int show_system(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(hidden) && !namespace_trouble; i++)
                if (umount2(hidden[i], MNT_DETACH) < 0)
                        return -1;

        return 0;
}

static void require_namespace(void) {
        if (!namespace_trouble)
                return;

        print_message("# Skipping: no mount namespace of our own to put files into /etc, /run and /usr/lib, %s: %s\n",
                      namespace_trouble, strerror(namespace_error));
        skip();
}

static int load_system(Config *c) {
        init(c);
        load_begin();
        return loaded(config_load(c, NULL, &problems));
}

/* Writes a file with one assignment. */
static void put(const char *path, const char *assignment) {
        char text[256];

        snprintf(text, sizeof text, "[Concentrator]\n%s\n", assignment);
        write_file(path, text);
}

static void test_a_system_without_files(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        assert_int_equal(load_system(&c), 0);
        assert_defaults(&c, NULL);
        assert_string_equal(logged, "");

        for (size_t i = 0; i < ELEMENTSOF(hidden); i++) {
                char path[64];

                snprintf(path, sizeof path, "%s/vspc/vspc.conf.d", hidden[i]);
                assert_int_equal(rmdir(path), 0);
                snprintf(path, sizeof path, "%s/vspc", hidden[i]);
                assert_int_equal(rmdir(path), 0);
        }
        assert_int_equal(load_system(&c), 0);
        assert_defaults(&c, NULL);
        assert_string_equal(logged, "");
}

static void test_of_the_main_files_only_the_first_counts(_unused_ void **state) {
        _cleanup_config_ Config lib, run, etc;

        require_namespace();
        put("/usr/lib/vspc/vspc.conf", "ClientLimit=1\nSlowClient=wait");
        assert_int_equal(load_system(&lib), 0);
        assert_shows(&lib, "ClientLimit", "1");
        assert_shows(&lib, "SlowClient", "wait");

        put("/run/vspc/vspc.conf", "ClientLimit=2");
        assert_int_equal(load_system(&run), 0);
        assert_shows(&run, "ClientLimit", "2");
        assert_shows(&run, "SlowClient", "skip");

        write_file("/etc/vspc/vspc.conf", ""); /* also if there is nothing in it */
        assert_int_equal(load_system(&etc), 0);
        assert_defaults(&etc, NULL);
}

static void test_drop_ins_come_after_the_main_file_in_the_order_of_their_names(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        put("/etc/vspc/vspc.conf", "ServiceURI=main\nClientLimit=1");
        put("/usr/lib/vspc/vspc.conf.d/30-lib.conf", "ServiceURI=30\nClientLimit=30");
        put("/etc/vspc/vspc.conf.d/10-etc.conf", "ServiceURI=10\nClientLimit=10");
        put("/run/vspc/vspc.conf.d/20-run.conf", "ServiceURI=20\nClientLimit=20");
        put("/etc/vspc/vspc.conf.d/9-etc.conf", "ServiceURI=9"); /* as text: after 30 */

        assert_int_equal(load_system(&c), 0);
        assert_shows(&c, "ServiceURI", "<main><10><20><30><9>");
        assert_shows(&c, "ClientLimit", "30");
}

static void test_drop_ins_alone_do_too(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        put("/run/vspc/vspc.conf.d/a.conf", "ClientLimit=5");
        assert_int_equal(load_system(&c), 0);
        assert_shows(&c, "ClientLimit", "5");
}

static void test_a_drop_in_hides_its_namesakes_below(_unused_ void **state) {
        _cleanup_config_ Config lib, run, etc, masked;

        require_namespace();
        put("/usr/lib/vspc/vspc.conf.d/a.conf", "ServiceURI=lib\nClientLimit=1");
        put("/usr/lib/vspc/vspc.conf.d/b.conf", "ServiceURI=b");
        assert_int_equal(load_system(&lib), 0);
        assert_shows(&lib, "ServiceURI", "<lib><b>");

        put("/run/vspc/vspc.conf.d/a.conf", "ServiceURI=run");
        assert_int_equal(load_system(&run), 0);
        assert_shows(&run, "ServiceURI", "<run><b>");
        assert_shows(&run, "ClientLimit", "0");

        put("/etc/vspc/vspc.conf.d/a.conf", "ServiceURI=etc");
        assert_int_equal(load_system(&etc), 0);
        assert_shows(&etc, "ServiceURI", "<etc><b>");

        /* That is how one is switched off. */
        assert_int_equal(unlink("/etc/vspc/vspc.conf.d/a.conf"), 0);
        assert_int_equal(symlink("/dev/null", "/etc/vspc/vspc.conf.d/a.conf"), 0);
        assert_int_equal(load_system(&masked), 0);
        assert_shows(&masked, "ServiceURI", "<b>");
        assert_string_equal(logged, "");
}

static void test_only_what_ends_in_conf_is_a_drop_in(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        put("/etc/vspc/vspc.conf.d/a.conf.bak", "ClientLimit=1");
        put("/etc/vspc/vspc.conf.d/.hidden.conf", "ClientLimit=2");
        put("/etc/vspc/vspc.conf.d/conf", "ClientLimit=3");
        put("/etc/vspc/other.conf", "ClientLimit=4");
        assert_int_equal(load_system(&c), 0);
        assert_defaults(&c, NULL);
}

static void test_problems_of_all_files_are_counted_and_placed(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        put("/usr/lib/vspc/vspc.conf", "ClientLimit=x");
        put("/usr/lib/vspc/vspc.conf.d/a.conf", "ClientLimit=4\nfoo=bar");
        put("/run/vspc/vspc.conf.d/b.conf", "SlowClient=x");
        assert_int_equal(load_system(&c), 3);
        assert_said("test: /usr/lib/vspc/vspc.conf:2: ClientLimit= must be");
        assert_said("test: /usr/lib/vspc/vspc.conf.d/a.conf:3: Unknown key foo=");
        assert_said("test: /run/vspc/vspc.conf.d/b.conf:2: SlowClient= must be");
        assert_shows(&c, "ClientLimit", "4");
}

static void test_a_file_that_is_there_but_cannot_be_read_is_a_problem(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        assert_int_equal(symlink("a.conf", "/etc/vspc/vspc.conf.d/a.conf"), 0);
        put("/etc/vspc/vspc.conf.d/b.conf", "ClientLimit=4");
        assert_int_equal(load_system(&c), 1);
        assert_said("test: Cannot read /etc/vspc/vspc.conf.d/a.conf: Too many levels of symbolic links\n");
        assert_shows(&c, "ClientLimit", "4");
}

/* Nobody knows what is in it: it may be [TLS]. */
static void test_what_cannot_be_read_closes_all_doors(_unused_ void **state) {
        static const struct {
                const char *path, *target; /* of a link */
                const char *said;
        } links[] = {
                {"/etc/vspc/vspc.conf", "/nonexistent", "/etc/vspc/vspc.conf: No such file or directory"},
                {"/etc/vspc/vspc.conf", "vspc.conf", "/etc/vspc/vspc.conf: Too many levels of symbolic links"},
                {"/etc/vspc/vspc.conf", "/etc/vspc", "/etc/vspc/vspc.conf: Is a directory"},
                {"/run/vspc/vspc.conf.d/a.conf", "/nonexistent", "/run/vspc/vspc.conf.d/a.conf: No such file or directory"},
                {"/run/vspc/vspc.conf.d/a.conf", "/run/vspc", "/run/vspc/vspc.conf.d/a.conf: Is a directory"},
                {"/usr/lib/vspc/vspc.conf.d", "vspc.conf.d", "/usr/lib/vspc/vspc.conf.d: Too many levels of symbolic links"},
        };

        require_namespace();
        for (size_t i = 0; i < ELEMENTSOF(links); i++) {
                char want[256];
                _cleanup_config_ Config c;

                (void) rmdir(links[i].path);
                assert_int_equal(symlink(links[i].target, links[i].path), 0);
                assert_int_equal(load_system(&c), 1);
                snprintf(want, sizeof want, "test: Cannot read %s\n", links[i].said);
                assert_said(want);
                assert_int_equal(problems.doors, DOOR_EVERY);
                assert_int_equal(problems.n_doubts, 1);
                assert_int_equal(unlink(links[i].path), 0);
        }
}

/* A range may be given in one file and changed in others, one end at a time: it counts what it is at the end. */
static void test_a_range_over_several_files_is_looked_at_when_all_are_read(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        put("/etc/vspc/vspc.conf", "VMPortRangeStart=1000\nVMPortRangeEnd=1999");
        put("/etc/vspc/vspc.conf.d/a.conf", "VMPortRangeStart=3000");
        put("/etc/vspc/vspc.conf.d/b.conf", "VMPortRangeEnd=3999");
        assert_int_equal(load_system(&c), 0);
        assert_string_equal(logged, "");
        assert_shows(&c, "VMPortRangeStart", "3000");
        assert_shows(&c, "VMPortRangeEnd", "3999");
}

static void test_a_range_over_several_files_that_ends_before_it_starts(_unused_ void **state) {
        _cleanup_config_ Config c;

        require_namespace();
        put("/etc/vspc/vspc.conf.d/a.conf", "VMPortRangeEnd=1999");
        assert_int_equal(load_system(&c), 1);
        assert_said("VMPortRangeStart=50000 is beyond VMPortRangeEnd=1999, ignoring both\n");
        assert_defaults(&c, NULL);
}

static int set_up(void **state) {
        int r = create_folder(state);

        return r < 0 ? r : enter_namespace();
}

#define SYSTEM_TEST(name) cmocka_unit_test_setup_teardown(name, hide_system, show_system)

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_file_is_read_and_named),
                cmocka_unit_test(test_what_cannot_be_read_is_an_error_and_changes_nothing),
                cmocka_unit_test(test_a_directory_is_no_configuration),
                SYSTEM_TEST(test_a_system_without_files),
                SYSTEM_TEST(test_of_the_main_files_only_the_first_counts),
                SYSTEM_TEST(test_drop_ins_come_after_the_main_file_in_the_order_of_their_names),
                SYSTEM_TEST(test_drop_ins_alone_do_too),
                SYSTEM_TEST(test_a_drop_in_hides_its_namesakes_below),
                SYSTEM_TEST(test_only_what_ends_in_conf_is_a_drop_in),
                SYSTEM_TEST(test_problems_of_all_files_are_counted_and_placed),
                SYSTEM_TEST(test_a_file_that_is_there_but_cannot_be_read_is_a_problem),
                SYSTEM_TEST(test_what_cannot_be_read_closes_all_doors),
                SYSTEM_TEST(test_a_range_over_several_files_is_looked_at_when_all_are_read),
                SYSTEM_TEST(test_a_range_over_several_files_that_ends_before_it_starts),
        };

        unsetenv("JOURNAL_STREAM");
        log_open("test");
        clean_environment(NULL);

        return cmocka_run_group_tests_name("config-files", tests, set_up, remove_folder);
}
