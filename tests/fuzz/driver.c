/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libFuzzer's place where there is none: runs the target on every file of the directories that are given, in
 * the order of their names. A directory without files is an error, else a corpus that went missing would
 * pass. */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/macro.h"
#include "fuzz.h"

static int run_file(const char *path) {
        _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return 0;

        /* Of exactly its size, for the sanitizers; malloc(0) is no memory to read from. */
        _cleanup_free_ uint8_t *data = malloc((size_t) st.st_size);
        if (!data && st.st_size > 0)
                return -ENOMEM;

        ssize_t n = read(fd, data, (size_t) st.st_size);
        if (n < 0)
                return -errno;
        if (n != st.st_size)
                return -EIO;

        LLVMFuzzerTestOneInput(data, (size_t) n);
        return 1;
}

static int run_directory(const char *directory) {
        struct dirent **entries;
        int n_files = 0, r = 0, n = scandir(directory, &entries, NULL, alphasort);

        if (n < 0)
                return -errno;

        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL;

                if (r >= 0 && asprintf(&path, "%s/%s", directory, entries[i]->d_name) < 0)
                        r = -ENOMEM;
                if (r >= 0)
                        r = run_file(path);
                if (r < 0 && path)
                        fprintf(stderr, "%s: %s\n", path, strerror(-r));
                n_files += r > 0;
                free(entries[i]);
        }
        free(entries);

        return r < 0 ? r : n_files;
}

int main(int argc, char **argv) {
        if (argc < 2) {
                fprintf(stderr, "Usage: %s CORPUS-DIRECTORY…\n", argv[0]);
                return EXIT_FAILURE;
        }

        for (int i = 1; i < argc; i++) {
                int n = run_directory(argv[i]);

                if (n <= 0) {
                        fprintf(stderr, "%s: %s\n", argv[i], n < 0 ? strerror(-n) : "no files");
                        return EXIT_FAILURE;
                }
                printf("%s: %d files\n", argv[i], n);
        }

        return EXIT_SUCCESS;
}
