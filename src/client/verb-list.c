/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <libsmartcols.h>
#include <sys/ioctl.h>
#include <wchar.h>

#include "basic/parse.h"
#include "basic/text.h"
#include "inventory.h"
#include "message.h"
#include "pager.h"
#include "verbs.h"

/* Names and UUIDs are shortened to fit the terminal, but not further than this. The rest of a UUID can still be
 * used as an argument. */
#define NAME_WIDTH_MIN 8U
#define UUID_WIDTH_MIN 9U

/* The maximum length of a text in bytes; no text is longer. */
#define CELL_MAX 1024U

#define COLOR_HEADER "\033[1;4m"

typedef enum Column {
        COLUMN_NAME,
        COLUMN_UUID,
        COLUMN_PORT,
        COLUMN_STATE,
        COLUMN_CLIENTS,
        COLUMN_SINCE,
        COLUMN_OUTPUT,
        _COLUMN_MAX,
} Column;

static const struct {
        const char *title;
        int flags;
} columns[_COLUMN_MAX] = {
        [COLUMN_NAME] = {"NAME", 0},
        [COLUMN_UUID] = {"UUID", 0},
        [COLUMN_PORT] = {"PORT", SCOLS_FL_RIGHT},
        [COLUMN_STATE] = {"STATE", 0},
        [COLUMN_CLIENTS] = {"CLIENTS", SCOLS_FL_RIGHT},
        [COLUMN_SINCE] = {"SINCE", 0},
        [COLUMN_OUTPUT] = {"LAST OUTPUT", 0},
};

static void scols_free_iterp(struct libscols_iter **i) {
        scols_free_iter(*i);
}

static void scols_unref_tablep(struct libscols_table **t) {
        scols_unref_table(*t);
}

/* Only on a terminal that supports them, and unless NO_COLOR (https://no-color.org) is set. */
static bool colors_are_wanted(void) {
        const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

        return isatty(pager_terminal()) && !(no_color && *no_color) && terminal && *terminal &&
               !streq(terminal, "dumb");
}

/* Returns: the columns of the terminal at the standard output; SIZE_MAX if it is not a terminal. */
static size_t terminal_width(void) {
        const char *given = getenv("COLUMNS");
        struct winsize size;
        uint64_t n;

        if (!isatty(pager_terminal()))
                return SIZE_MAX;
        if (given && parse_unsigned(given, UINT16_MAX, &n) >= 0 && n > 0)
                return n;

        return ioctl(pager_terminal(), TIOCGWINSZ, &size) >= 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static size_t character_width(wchar_t c) {
        return (size_t) MAX(wcwidth(c), 0);
}

static size_t text_width(const wchar_t *text) {
        size_t width = 0;

        for (; *text; text++)
                width += character_width(*text);

        return width;
}

/* Replaces characters of @text by an ellipsis until it fits, with @percent_before of the width before it. */
static void shorten(wchar_t *text, size_t width, unsigned percent_before) {
        size_t n = wcslen(text), head = 0, tail = n;
        size_t before = (width - 1) * percent_before / 100, after = width - 1 - before;

        if (text_width(text) <= width)
                return;

        for (size_t w; (w = character_width(text[head])) <= before; head++)
                before -= w;
        for (size_t w; tail > head + 1 && (w = character_width(text[tail - 1])) <= after; tail--)
                after -= w;

        text[head] = L'…';
        wmemmove(text + head + 1, text + tail, n - tail + 1);
}

static int shorten_cell(struct libscols_line *line, Column column, size_t width, unsigned percent_before) {
        const char *text = scols_cell_get_data(scols_line_get_cell(line, column)) ?: "";
        size_t size = strlen(text) + 1;
        _cleanup_free_ wchar_t *wide = calloc(size, sizeof(wchar_t));
        _cleanup_free_ char *narrow = malloc(size * MB_CUR_MAX);

        if (!wide || !narrow)
                return -ENOMEM;
        if (mbstowcs(wide, text, size) == (size_t) -1) /* there is no locale with UTF-8 */
                return 0;

        shorten(wide, width, percent_before);
        if (wcstombs(narrow, wide, size * MB_CUR_MAX) == (size_t) -1)
                return 0;

        return scols_line_set_data(line, column, narrow);
}

/* Shortens names and UUIDs until a VM fits into a line, the wider of both columns first. libsmartcols
 * itself would cut without an ellipsis. */
static int fit(struct libscols_table *t, size_t available) {
        _cleanup_(scols_free_iterp) struct libscols_iter *i = scols_new_iter(SCOLS_ITER_FORWARD);
        _cleanup_free_ char *printed = NULL;
        struct libscols_line *line;
        size_t width[_COLUMN_MAX], total = _COLUMN_MAX - 1;

        if (!i)
                return -ENOMEM;

        /* libsmartcols knows the width of columns only after it has printed them. */
        int r = scols_print_table_to_string(t, &printed);
        if (r < 0)
                return r;

        for (size_t k = 0; k < _COLUMN_MAX; k++)
                total += width[k] = scols_column_get_width(scols_table_get_column(t, k));

        size_t *name = &width[COLUMN_NAME], *uuid = &width[COLUMN_UUID];
        for (; total > available && (*name > NAME_WIDTH_MIN || *uuid > UUID_WIDTH_MIN); total--)
                (*uuid <= UUID_WIDTH_MIN || (*name > NAME_WIDTH_MIN && *name >= *uuid) ? (*name)-- : (*uuid)--);

        while (r >= 0 && scols_table_next_line(t, i, &line) == 0) {
                r = shorten_cell(line, COLUMN_NAME, *name, 60);
                if (r >= 0)
                        r = shorten_cell(line, COLUMN_UUID, *uuid, 100);
        }

        return r;
}

static int add_columns(struct libscols_table *t) {
        (void) scols_table_enable_colors(t, colors_are_wanted());
        (void) scols_table_enable_noencoding(t, 1);                 /* texts are sanitized */
        (void) scols_table_set_termforce(t, SCOLS_TERMFORCE_NEVER); /* and shortened */

        for (size_t i = 0; i < _COLUMN_MAX; i++) {
                struct libscols_column *c = scols_table_new_column(t, columns[i].title, 0, columns[i].flags);

                if (!c || scols_cell_set_color(scols_column_get_header(c), COLOR_HEADER) < 0)
                        return -ENOMEM;
        }

        return 0;
}

static int set_text(struct libscols_line *line, Column column, const char *text) {
        char *clean = text_sanitize(text, strlen(text), CELL_MAX);

        return clean ? scols_line_refer_data(line, column, clean) : -ENOMEM;
}

/* "-" if there is no such number */
static int set_number(struct libscols_line *line, Column column, const json_t *vm, const char *key) {
        char text[sizeof("18446744073709551615")] = "-";
        uint64_t number;

        if (json_get_number(vm, key, &number))
                snprintf(text, sizeof text, "%" PRIu64, number);

        return set_text(line, column, text);
}

/* "-" if there is no such time */
static int set_time(struct libscols_line *line, Column column, const json_t *vm, const char *key, usec_t now) {
        char text[HUMAN_TEXT_MAX] = "-";
        usec_t at;

        if (json_get_number(vm, key, &at))
                human_distance(at, now, text);

        return set_text(line, column, text);
}

static int add_vm(struct libscols_table *t, const json_t *vm, usec_t now) {
        struct libscols_line *line = scols_table_new_line(t, NULL);
        const char *color, *state = vm_state(vm, &color);

        if (!line || set_text(line, COLUMN_NAME, json_get_text(vm, "name", "?")) < 0 ||
            set_text(line, COLUMN_UUID, json_get_text(vm, "id", "?")) < 0 ||
            set_number(line, COLUMN_PORT, vm, "port") < 0 || set_text(line, COLUMN_STATE, state) < 0 ||
            scols_cell_set_color(scols_line_get_cell(line, COLUMN_STATE), color) < 0 ||
            set_number(line, COLUMN_CLIENTS, vm, "clientCount") < 0 || set_time(line, COLUMN_SINCE, vm, "since", now) < 0 ||
            set_time(line, COLUMN_OUTPUT, vm, "lastOutput", now) < 0)
                return -ENOMEM;

        return 0;
}

static int print_vms(const json_t *vms, bool header) {
        _cleanup_(scols_unref_tablep) struct libscols_table *t = scols_new_table();
        usec_t now = now_realtime();
        size_t width = terminal_width();

        int r = t ? add_columns(t) : -ENOMEM;
        if (r >= 0)
                r = scols_table_enable_noheadings(t, !header);
        for (size_t i = 0; r >= 0 && i < json_array_size(vms); i++)
                r = add_vm(t, json_array_get(vms, i), now);
        if (r >= 0 && width != SIZE_MAX)
                r = fit(t, width);
        if (r >= 0)
                r = scols_print_table(t);

        return r;
}

static size_t count_connected(const json_t *vms) {
        size_t n = 0;

        for (size_t i = 0; i < json_array_size(vms); i++)
                n += json_is_true(json_object_get(json_array_get(vms, i), "connected"));

        return n;
}

/* Shows the problems of VMs whose state is "shared". */
static void print_problems(const json_t *vms) {
        for (size_t i = 0; i < json_array_size(vms); i++) {
                const json_t *vm = json_array_get(vms, i);
                const char *problem = json_get_text(vm, "problem", NULL);

                if (!problem)
                        continue;

                putchar('\n');
                print_text(stdout, "%s: %s.", json_get_text(vm, "name", "?"), problem);
                putchar('\n');
        }
}

static void keep_in_state(json_t *vms, const char *state) {
        const char *color;

        for (size_t i = json_array_size(vms); i > 0; i--)
                if (!streq(vm_state(json_array_get(vms, i - 1), &color), state))
                        (void) json_array_remove(vms, i - 1);
}

int verb_list(const Arguments *a) {
        _cleanup_(connection_done) Connection c = CONNECTION_INIT(&a->targets);
        _cleanup_json_ json_t *vms = NULL;

        int r = inventory_fetch_words(&c, a->words, a->n_words, &vms);
        if (r < 0)
                return verb_failed(&c, r, c.subject);

        if (a->state)
                keep_in_state(vms, a->state);
        pager_open(!a->no_pager);
        if (a->json != JSON_OFF)
                return verb_print_json(vms, a->json);

        size_t n = json_array_size(vms);
        r = n > 0 ? print_vms(vms, !a->no_legend) : 0;
        if (r < 0)
                return complain(r, "Cannot show the VMs: %m");

        if (a->no_legend)
                return 0;

        print_problems(vms);
        if (n == 0)
                puts("No VMs.");
        else
                printf("\n%zu VM%s, %zu connected.\n", n, n == 1 ? "" : "s", count_connected(vms));

        return 0;
}
