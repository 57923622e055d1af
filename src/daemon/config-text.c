/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Parses the text of vspc.conf into sections and assignments, and reports mistakes with their line numbers. */

#include <ini.h>
#include <stdarg.h>
#include <stdio.h>

#include "access-section.h"
#include "basic/log.h"
#include "basic/text.h"
#include "config-key.h"

/* Bytes of an invalid word in [Access] that a message shows */
#define ACCESS_SHOWN_MAX 128U

typedef struct Reader {
        Config *config;
        Problems *problems;
        const char *name; /* of the file, for messages */
        FILE *file;
        unsigned line;    /* the current line number */
        size_t size;      /* bytes read so far */
        bool in_tls;      /* the line is in [TLS], or in a section whose header looks like a misspelt [TLS] */
        bool in_access;   /* the same for [Access] */
        bool access_open; /* assignments belong to the last section of config->rights */
        bool indented;    /* the line is indented: inih takes it for a continuation of the value above */
        bool pending;     /* the line must be an assignment, and inih has not reported one yet */
        int error;
} Reader;

/* Reports a line that cannot be understood. */
static void refuse_line(Reader *r, const char *format, ...) _printf_(2, 3);
static void refuse_line(Reader *r, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *text = text_format_va(format, ap);
        va_end(ap);

        if (r->in_tls || r->in_access)
                problems_doubt(r->problems, r->in_tls ? DOOR_ALL : DOOR_ANONYMOUS, "%s:%u: %s", r->name, r->line,
                               text ?: "Out of memory");
        else
                problems_warn(r->problems, "%s:%u: %s, ignoring it", r->name, r->line, text ?: "Out of memory");
}

/* Compares ignoring case and surrounding blanks. */
static bool is_section(const char *section, const char *meant) {
        static const char blanks[] = " \t";
        size_t n = strlen(meant);

        section += strspn(section, blanks);
        return strncasecmp(section, meant, n) == 0 && !section[n + strspn(section + n, blanks)];
}

static bool is_of_tls(const ConfigKey *key) {
        return streq(key->section, CONFIG_SECTION_TLS);
}

/* Reports an unknown key. It closes doors if it may have been meant for [TLS] or [Access]. */
static void refuse_key(Reader *r, const char *section, const char *name, bool section_known) {
        const ConfigKey *meant = config_key_guess(name, strlen(name));
        const char *access = access_key_guess(name, strlen(name));

        if (meant && is_of_tls(meant))
                problems_doubt(r->problems, meant->doors, "%s:%u: %s= belongs in section [TLS], written like this", r->name,
                               r->line, meant->name);
        else if (is_section(section, CONFIG_SECTION_TLS))
                problems_doubt(r->problems, DOOR_ALL, "%s:%u: Unknown key %s= in section [%s]", r->name, r->line, name,
                               section);
        else if (access)
                problems_doubt(r->problems, DOOR_ANONYMOUS, "%s:%u: %s= belongs in a section [Access], written like this",
                               r->name, r->line, access);
        else if (is_section(section, CONFIG_SECTION_ACCESS))
                problems_doubt(r->problems, DOOR_ANONYMOUS, "%s:%u: Unknown key %s= in section [%s]", r->name, r->line,
                               name, section);
        else if (section_known)
                problems_warn(r->problems, "%s:%u: Unknown key %s= in section [%s], ignoring it", r->name, r->line, name,
                              section);
        else if (*section)
                problems_warn(r->problems, "%s:%u: Unknown section [%s], ignoring %s= in it", r->name, r->line, section,
                              name);
        else
                problems_warn(r->problems, "%s:%u: %s= is before the first section, it belongs below [Concentrator]", r->name,
                              r->line, name);
}

static void refuse_value(Reader *r, const ConfigKey *key, const char *value) {
        size_t n = config_key_shown(key, value);
        const char *rest = value[n] ? "…" : "";

        if (is_of_tls(key))
                problems_doubt(r->problems, key->doors, "%s:%u: %s= must be %s, not \"%.*s%s\"", r->name, r->line, key->name,
                               key->wants, (int) n, value, rest);
        else
                problems_warn(r->problems, "%s:%u: %s= must be %s, not \"%.*s%s\", ignoring it", r->name, r->line, key->name,
                              key->wants, (int) n, value, rest);
}

/* An empty value resets the key to its default. No default is an allocated string, so this needs no memory. */
static void reset_key(Config *c, const ConfigKey *key) {
        Config defaults;

        config_set_defaults(&defaults);
        (void) config_key_copy(key, c, &defaults);
}

/*
 * Sections [Access]
 */

/* Ends the current section. Must also be called at lines that may have been meant to begin another section. */
static void close_access(Reader *r) {
        const char *missing = TAKE(r->access_open, false) ? access_missing_key(&r->config->rights) : NULL;
        const Rights *rights = &r->config->rights;

        if (missing)
                problems_doubt(r->problems, DOOR_ANONYMOUS, "%s: %s= is missing in this section [Access]",
                               rights->sections[rights->n_sections - 1].place, missing);
}

static void open_access(Reader *r) {
        _cleanup_free_ char *place = NULL;

        int k = asprintf(&place, "%s:%u", r->name, r->line) < 0 ? -ENOMEM : rights_begin_section(&r->config->rights, place);
        if (k == -ENOMEM)
                r->error = k;
        else if (k < 0)
                problems_doubt(r->problems, DOOR_ANONYMOUS, "%s:%u: There are more than %u sections [Access]", r->name, r->line,
                               RIGHTS_SECTIONS_MAX);
        r->access_open = k >= 0;
}

static void refuse_access_value(Reader *r, const char *key, const char *value, const char *wants, const char *bad) {
        const char *shown = bad ?: value;
        size_t n = text_fit(shown, ACCESS_SHOWN_MAX);

        problems_doubt(r->problems, DOOR_ANONYMOUS, "%s:%u: %s= must be %s, not \"%.*s%s\"", r->name, r->line, key, wants,
                       (int) n, shown, shown[n] ? "…" : "");
}

static void take_access(Reader *r, const char *key, const char *value) {
        _cleanup_free_ char *bad = NULL;
        Rights *rights = &r->config->rights;
        const char *wants;

        if (!r->access_open)
                return; /* the reason has been reported */

        if (r->indented && !access_key_is_list(key)) {
                refuse_line(r, "The line is indented, but the value of %s= cannot have a second line", key);
                return;
        }

        Right *may = &rights->sections[rights->n_sections - 1].may;
        if (streq(key, "May") && *value && *may != RIGHT_NONE) {
                refuse_line(r, "May= is given twice: each section begins with a line [Access]");
                *may = RIGHT_NONE;
                r->access_open = false;
                return;
        }

        int k = access_assign(rights, key, value, &wants, &bad);
        if (k == -ENOMEM)
                r->error = k;
        else if (k == -ENOKEY)
                refuse_key(r, CONFIG_SECTION_ACCESS, key, true);
        else if (k == -E2BIG)
                refuse_line(r, "There are more than %u words in the sections [Access], or one of more than %u bytes",
                            RIGHTS_WORDS_MAX, RIGHTS_WORD_SIZE_MAX - 1);
        else if (k < 0)
                refuse_access_value(r, key, value, wants, bad);
}

static int on_assignment(void *userdata, const char *section, const char *name, const char *value) {
        Reader *r = userdata;
        bool section_known;

        r->pending = false;
        const ConfigKey *key = config_key_find(section, name, &section_known);

        if (streq(section, CONFIG_SECTION_ACCESS))
                take_access(r, name, value ?: "");
        else if (!key)
                refuse_key(r, section, name, section_known);
        else if (is_of_tls(key) && r->indented) /* in [TLS] nothing may be guessed */
                refuse_line(r, "The line is indented, but the value of %s= cannot have a second line", key->name);
        else if (!value || !*value)
                reset_key(r->config, key);
        else {
                int k = config_key_assign(key, r->config, value);

                if (k == -ENOMEM)
                        r->error = k;
                else if (k < 0)
                        refuse_value(r, key, value);
        }

        return 1;
}

/* inih only reports the first line that it cannot parse. So the lines are checked here. */
static void check_pending(Reader *r) {
        if (TAKE(r->pending, false))
                refuse_line(r, "The line is neither a [Section] nor Key=Value");
}

/* inih takes an indented line for a continuation of the value above, systemd ignores indentation. A line that is a section
 * header or an assignment to a known key cannot be part of a value, so its indentation is removed. */
static void unindent(char *line) {
        const char *start = line + strspn(line, " \t\r\v\f");
        size_t n = strcspn(start, " \t=:");
        const char *behind = start + n + strspn(start + n, " \t");

        bool section = *start == '[' && strchr(start, ']');
        bool assignment = (*behind == '=' || *behind == ':') && (config_key_guess(start, n) || access_key_guess(start, n));
        if (section || assignment)
                memmove(line, start, strlen(start) + 1);
}

/* Returns: whether the header is correct. inih itself ignores text after the closing bracket. */
static bool enter_section(Reader *r, const char *line) {
        const char *end = strchr(line, ']'), *behind = end ? end + 1 + strspn(end + 1, " \t\r\v\f") : "";

        bool good = end && (!*behind || strchr(";#", *behind));

        /* If the header is incorrect, inih stays in the previous section. */
        r->in_tls = strcasestr(line, CONFIG_SECTION_TLS);
        r->in_access = strcasestr(line, CONFIG_SECTION_ACCESS) || (!good && r->in_access);
        close_access(r);
        if (good && strncmp(line + 1, CONFIG_SECTION_ACCESS "]", strlen(CONFIG_SECTION_ACCESS "]")) == 0)
                open_access(r);

        return good;
}

static bool wants_assignment(Reader *r, const char *line) {
        static const char bom[] = "\xef\xbb\xbf";

        if (r->line == 1 && strncmp(line, bom, strlen(bom)) == 0)
                line += strlen(bom);

        line += strspn(line, " \t\r\v\f");
        if (*line == '[')
                return !enter_section(r, line);

        return *line && !strchr(";#", *line);
}

/* Replaces fgets() for inih: counts lines, and reports those that inih could not handle. */
static char *read_line(char *buffer, int size, void *userdata) {
        Reader *r = userdata;
        bool has_nul = false;
        int n = 0, c;

        check_pending(r);

        while ((c = getc_unlocked(r->file)) != EOF && ++r->size <= CONFIG_FILE_SIZE_MAX && c != '\n') {
                has_nul |= c == 0;
                if (n < size - 1)
                        buffer[n++] = (char) c;
        }

        if (c == EOF && ferror(r->file)) {
                r->error = -errno;
                return NULL;
        }
        if (c == EOF && n == 0)
                return NULL;

        r->line++;
        buffer[n] = 0;
        if (n > size - 2)
                refuse_line(r, "The line is longer than %d bytes", size - 2);
        else if (has_nul)
                refuse_line(r, "The line contains a NUL byte");
        if (n > size - 2 || has_nul)
                buffer[0] = 0;

        if (r->size > CONFIG_FILE_SIZE_MAX) {
                problems_doubt(r->problems, DOOR_EVERY, "%s:%u: The file is larger than %u bytes: the rest is not read",
                               r->name, r->line, CONFIG_FILE_SIZE_MAX);
                return NULL;
        }

        unindent(buffer);
        r->indented = *buffer && strchr(" \t\r\v\f", *buffer);
        r->pending = wants_assignment(r, buffer);
        return buffer;
}

int config_load_stream(Config *c, const char *name, FILE *file, Problems *p) {
        Reader r = {.config = c, .problems = p, .name = name, .file = file};

        if (ini_parse_stream(read_line, &r, on_assignment, &r) < 0)
                return -ENOMEM;

        check_pending(&r);
        close_access(&r);
        return r.error;
}
