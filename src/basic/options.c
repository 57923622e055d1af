/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "options.h"
#include "text.h"

#define OPTIONS_MAX 64U
#define BEYOND_LETTERS 256 /* getopt_long() returns this + index for an option without a letter */

/* Returns: -EINVAL. */
static int complain(const char *format, ...) _printf_(1, 2);
static int complain(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *clean = text_format_clean_va(SIZE_MAX, format, ap);
        va_end(ap);

        fprintf(stderr, "%s: %s\n", program_invocation_short_name, clean ?: "Out of memory");
        return -EINVAL;
}

int option_refuse(const Option *o, const char *value, const char *wanted) {
        return complain("--%s: \"%s\" is not %s.", o->name, value, wanted);
}

static int option_value(const Option *o, size_t i) {
        return o[i].letter ?: BEYOND_LETTERS + (int) i;
}

static const Option *find_option(const Options *o, int value) {
        for (size_t i = 0; i < o->n; i++)
                if (option_value(o->option, i) == value)
                        return &o->option[i];

        return NULL;
}

static int take_option(const Option *o, const char *value, void *target) {
        if (o->take)
                return o->take(o, value, target);

        if (o->has_value)
                *(const char **) option_place(o, target) = value;
        else
                *(bool *) option_place(o, target) = true;
        return 0;
}

/* Explains why getopt_long(3) has refused @word. @found: what it returned. Returns: -EINVAL. */
static int refuse_option(const Options *o, int found, const char *word) {
        if (found == ':')
                return complain("%s: a value is needed. Try \"%s --help\".", word, o->program);
        if (optopt == 0) /* a long option */
                return complain("Unknown option \"%s\". Try \"%s --help\".", word, o->program);
        if (optopt < BEYOND_LETTERS && !find_option(o, optopt))
                return complain("Unknown option \"-%c\". Try \"%s --help\".", optopt, o->program);

        return complain("%s: no value is allowed. Try \"%s --help\".", word, o->program);
}

int options_parse(const Options *o, int argc, char *argv[], void *target) {
        struct option all[OPTIONS_MAX + 3] = {};
        char letters[2 + 3 * OPTIONS_MAX + 1], *p = letters;
        int found, version = BEYOND_LETTERS + (int) o->n;

        assert(o->n <= OPTIONS_MAX);

        /* The first colon makes getopt print nothing, because the name of an option may contain any character. */
        p = stpcpy(p, ":h");
        for (size_t i = 0; i < o->n; i++) {
                const Option *option = &o->option[i];

                all[i] = (struct option){option->name, option->has_value, NULL, option_value(o->option, i)};
                if (!option->letter)
                        continue;
                *p++ = (char) option->letter;
                p = stpcpy(p, option->has_value == optional_argument ? "::" : option->has_value ? ":" : "");
        }
        all[o->n] = (struct option){"help", no_argument, NULL, 'h'};
        all[o->n + 1] = (struct option){"version", no_argument, NULL, version};

        while ((found = getopt_long(argc, argv, letters, all, NULL)) >= 0) {
                const Option *option = find_option(o, found);
                int r;

                if (option)
                        r = take_option(option, optarg, target);
                else if (found == 'h')
                        r = fputs(o->help, stdout) < 0 ? -EIO : 1;
                else if (found == version)
                        r = printf("%s " VSPC_VERSION "\n", o->program) < 0 ? -EIO : 1;
                else
                        r = refuse_option(o, found, argv[optind - 1]);
                if (r != 0)
                        return MIN(r, 0);
        }

        if (optind < argc && o->kind == OPTIONS_ONLY)
                return complain("\"%s\" is not understood: %s takes options only", argv[optind], o->program);

        return 1;
}
