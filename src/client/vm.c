/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <pwd.h>

#include "basic/text.h"
#include "transport/peer.h"
#include "vm.h"

/* The maximum length of a text that is printed; a VM's name has at most 80 characters. */
#define TEXT_MAX 2048U

#define COLOR_GREEN "\033[32m"
#define COLOR_YELLOW "\033[33m"
#define COLOR_GREY "\033[90m"

const char *json_get_text(const json_t *object, const char *key, const char *otherwise) {
        return json_string_value(json_object_get(object, key)) ?: otherwise;
}

bool json_get_number(const json_t *object, const char *key, uint64_t *ret) {
        const json_t *value = json_object_get(object, key);
        double real = json_real_value(value);

        /* If an integer of the reply is too large, all of them are parsed as reals (varlink_parse_reply()). */
        if (json_is_real(value) && real >= 0 && real < (double) INT64_MAX)
                *ret = (uint64_t) real;
        else if (json_is_integer(value) && json_integer_value(value) >= 0)
                *ret = (uint64_t) json_integer_value(value);
        else
                return false;

        return true;
}

void print_text(FILE *f, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *clean = text_format_clean_va(TEXT_MAX, format, ap);
        va_end(ap);

        fputs(clean ?: "?", f);
}

/* Returns: whether it is a time before the year 9999, so that its text fits. */
static bool break_down(usec_t t, struct tm *ret) {
        time_t seconds = (time_t) (t / USEC_PER_SEC);

        return localtime_r(&seconds, ret) && ret->tm_year < 9999 - 1900;
}

const char *human_timestamp(usec_t t, char buffer[static HUMAN_TEXT_MAX]) {
        struct tm tm;

        if (!break_down(t, &tm) || strftime(buffer, HUMAN_TEXT_MAX, "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
                return strcpy(buffer, "an unknown time");

        return buffer;
}

const char *human_moment(usec_t t, usec_t now, char buffer[static HUMAN_TEXT_MAX]) {
        struct tm tm, today;

        if (!break_down(t, &tm) || !break_down(now, &today))
                return strcpy(buffer, "an unknown time");

        bool is_today = tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday;
        strftime(buffer, HUMAN_TEXT_MAX, is_today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
        return buffer;
}

const char *human_distance(usec_t t, usec_t now, char buffer[static HUMAN_TEXT_MAX]) {
        static const struct {
                unsigned long long seconds;
                const char *name;
        } units[] = {{31556952, " years"}, {7 * 86400, " weeks"}, {86400, " days"},
                     {3600, "h"},          {60, "min"},           {1, "s"}};
        static const size_t n_words = 3;
        bool past = t <= now;
        unsigned long long left = (past ? now - t : t - now) / USEC_PER_SEC;
        size_t i = 0;
        char second[32] = "";

        if (left == 0)
                return strcpy(buffer, past ? "just now" : "in a moment");

        /* Units that are words are only used for two or more, so that they need no singular. */
        while (i < ELEMENTSOF(units) - 1 && left < (i < n_words ? 2 : 1) * units[i].seconds)
                i++;

        unsigned long long rest = left % units[i].seconds;
        if (i >= n_words && i + 1 < ELEMENTSOF(units) && rest >= units[i + 1].seconds)
                snprintf(second, sizeof second, " %llu%s", rest / units[i + 1].seconds, units[i + 1].name);

        snprintf(buffer, HUMAN_TEXT_MAX, "%s%llu%s%s%s", past ? "" : "in ", left / units[i].seconds,
                 units[i].name, second, past ? " ago" : "");
        return buffer;
}

const char *human_size(uint64_t bytes, char buffer[static HUMAN_TEXT_MAX]) {
        static const char units[] = "KMGTPE";
        size_t unit = 0;

        if (bytes < 1024) {
                snprintf(buffer, HUMAN_TEXT_MAX, "%uB", (unsigned) bytes);
                return buffer;
        }

        double value = (double) bytes / 1024;
        for (; value >= 1024 && units[unit + 1]; unit++)
                value /= 1024;

        snprintf(buffer, HUMAN_TEXT_MAX, "%.1f%c", value, units[unit]);
        return buffer;
}

const char *human_access(const char *access, char buffer[static HUMAN_TEXT_MAX]) {
        size_t n;

        for (n = 0; access[n] && n < HUMAN_TEXT_MAX - 1; n++)
                buffer[n] = access[n] == '_' ? '-' : access[n];

        buffer[n] = 0;
        return buffer;
}

const char *vm_state(const json_t *vm, const char **ret_color) {
        const char *vmotion = json_get_text(vm, "vmotion", "none");

        if (streq(vmotion, "begun") || streq(vmotion, "accepted")) {
                *ret_color = COLOR_YELLOW;
                return "migrating";
        }

        if (json_get_text(vm, "problem", NULL)) {
                *ret_color = COLOR_YELLOW;
                return "shared";
        }

        bool connected = json_is_true(json_object_get(vm, "connected"));
        *ret_color = connected ? COLOR_GREEN : COLOR_GREY;
        return connected ? "connected" : "disconnected";
}

char *vm_title(const json_t *vm) {
        const char *name = json_get_text(vm, "name", "?"), *id = json_get_text(vm, "id", "?");
        _cleanup_free_ char *text = text_format("%s (%s)", name, id);

        return text ? text_sanitize(text, strlen(text), TEXT_MAX) : NULL;
}

void print_client(FILE *f, const json_t *client, Users users) {
        const char *peer = json_get_text(client, "peer", "somebody");
        const struct passwd *user = NULL;
        uint64_t uid, pid;

        if (users == USERS_OURS && !strstr(peer, PEER_BY_WAY_OF) && json_get_number(client, "uid", &uid) && uid <= UINT32_MAX)
                user = getpwuid((uid_t) uid);

        print_text(f, "%s", user ? user->pw_name : peer);
        if (user && json_get_number(client, "pid", &pid))
                fprintf(f, " (pid %" PRIu64 ")", pid);
}

void print_holder(FILE *f, const json_t *client, Users users) {
        char access[HUMAN_TEXT_MAX], moment[HUMAN_TEXT_MAX], distance[HUMAN_TEXT_MAX];
        usec_t since, now = now_realtime();

        print_client(f, client, users);
        print_text(f, " holds %s access", human_access(json_get_text(client, "access", "some"), access));
        if (json_get_number(client, "since", &since))
                fprintf(f, " since %s (%s)", human_moment(since, now, moment),
                        human_distance(since, now, distance));
}

const json_t *vm_find_writer(const json_t *vm) {
        const json_t *clients = json_object_get(vm, "clients");

        for (size_t i = 0; i < json_array_size(clients); i++) {
                const json_t *client = json_array_get(clients, i);

                if (streq(json_get_text(client, "access", ""), "write"))
                        return client;
        }

        return NULL;
}

/* Not if there is no @text */
static void text_line(FILE *f, const char *title, const char *text) {
        if (!text)
                return;

        print_text(f, "%9s: %s", title, text);
        fputc('\n', f);
}

/* @when: the field of the time at which the last byte came, or NULL */
static void size_line(FILE *f, const char *title, const json_t *vm, const char *field, const char *when) {
        char size[HUMAN_TEXT_MAX], distance[HUMAN_TEXT_MAX];
        uint64_t n;
        usec_t at;

        if (!json_get_number(vm, field, &n))
                return;

        fprintf(f, "%9s: %s", title, human_size(n, size));
        if (n >= 1024)
                fprintf(f, " (%" PRIu64 " bytes)", n);
        if (when && json_get_number(vm, when, &at))
                fprintf(f, ", last %s", human_distance(at, now_realtime(), distance));
        fputc('\n', f);
}

/* About the connection from the VM's host */
static void tls_line(FILE *f, const json_t *vm) {
        const json_t *tls = json_object_get(vm, "tls");
        const char *peer = json_get_text(tls, "peer", NULL);

        if (!json_is_object(tls)) {
                text_line(f, "TLS", "no");
                return;
        }

        print_text(f, "      TLS: %s, %s%s%s%s", json_get_text(tls, "version", "yes"),
                   json_get_text(tls, "cipher", "?"), peer ? ", the host's certificate is that of " : "",
                   peer ?: "",
                   json_is_true(json_object_get(tls, "resumed")) ? ", resumed" : "");
        fputc('\n', f);
}

static void client_line(FILE *f, const json_t *client, usec_t now, Users users) {
        char text[HUMAN_TEXT_MAX];
        uint64_t n;

        fprintf(f, "%11s", "");
        print_client(f, client, users);
        print_text(f, ", %s", human_access(json_get_text(client, "access", "?"), text));

        if (json_get_number(client, "since", &n))
                fprintf(f, ", since %s", human_distance(n, now, text));
        if (json_get_number(client, "bytes", &n))
                fprintf(f, ", %s sent", human_size(n, text));
        if (json_get_number(client, "skipped", &n) && n > 0)
                fprintf(f, ", %s missed", human_size(n, text));
        fputc('\n', f);
}

static void client_lines(FILE *f, const json_t *vm, usec_t now, Users users) {
        const json_t *clients = json_object_get(vm, "clients");
        size_t n_listed = json_array_size(clients);
        uint64_t n = n_listed;

        (void) json_get_number(vm, "clientCount", &n);
        fprintf(f, "  Clients: %" PRIu64 "\n", n);

        for (size_t i = 0; i < n_listed; i++)
                client_line(f, json_array_get(clients, i), now, users);
        if (n > n_listed)
                fprintf(f, "%11sand %" PRIu64 " more\n", "", n - n_listed);
}

void show_vm(FILE *f, const json_t *vm, Users users) {
        const char *uuid = json_get_text(vm, "uuid", "?"), *id = json_get_text(vm, "id", uuid),
                   *vmotion = json_get_text(vm, "vmotion", "none"), *color;
        char time[HUMAN_TEXT_MAX], distance[HUMAN_TEXT_MAX];
        usec_t now = now_realtime();
        uint64_t n;

        text_line(f, "Name", json_get_text(vm, "name", "?"));
        text_line(f, "ID", streq(id, uuid) ? NULL : id);
        text_line(f, "UUID", uuid);
        text_line(f, "URI", json_get_text(vm, "uri", "?"));

        if (json_get_number(vm, "port", &n))
                fprintf(f, "     Port: %" PRIu64 "\n", n);
        else if (json_get_number(vm, "reservedPort", &n))
                fprintf(f, "     Port: %" PRIu64 ", closed until vspcd has file descriptors to spare\n", n);
        else
                text_line(f, "Port", "none");

        fprintf(f, "    State: %s", vm_state(vm, &color));
        if (json_get_number(vm, "since", &n))
                fprintf(f, ", since %s; %s", human_timestamp(n, time), human_distance(n, now, distance));
        fputc('\n', f);

        text_line(f, "Problem", json_get_text(vm, "problem", NULL));
        text_line(f, "Host", json_get_text(vm, "peer", NULL));
        tls_line(f, vm);
        text_line(f, "Serial", json_get_text(vm, "serial", NULL));
        text_line(f, "Page", json_get_text(vm, "url", NULL));
        text_line(f, "vMotion", streq(vmotion, "none") ? NULL : vmotion);

        size_line(f, "Received", vm, "bytesReceived", "lastOutput");
        size_line(f, "Sent", vm, "bytesSent", NULL);
        client_lines(f, vm, now, users);
        if (json_get_number(vm, "expires", &n))
                fprintf(f, "  Expires: %s; %s\n", human_timestamp(n, time), human_distance(n, now, distance));
}
