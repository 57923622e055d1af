/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <pwd.h>

#include "basic/text.h"
#include "vm.h"

/* Bytes of a text that is shown; a VM's name has 80 characters at most. */
#define TEXT_MAX 1024U
#define ACCESS_TEXT_MAX 64U

#define COLOR_GREEN "\033[32m"
#define COLOR_YELLOW "\033[33m"
#define COLOR_GREY "\033[90m"

const char *json_get_text(const json_t *object, const char *key, const char *otherwise) {
        return json_string_value(json_object_get(object, key)) ?: otherwise;
}

bool json_get_number(const json_t *object, const char *key, uint64_t *ret) {
        const json_t *value = json_object_get(object, key);
        double real = json_real_value(value);

        /* If an integer of the reply is too large, all are read as reals (varlink_parse_reply()). */
        if (json_is_real(value) && real >= 0 && real < (double) INT64_MAX)
                *ret = (uint64_t) real;
        else if (json_is_integer(value) && json_integer_value(value) >= 0)
                *ret = (uint64_t) json_integer_value(value);
        else
                return false;

        return true;
}

void print_text(FILE *f, const char *text) {
        _cleanup_free_ char *clean = text_sanitize(text, strlen(text), TEXT_MAX);

        fputs(clean ?: "?", f);
}

void print_access(FILE *f, const char *access) {
        char text[ACCESS_TEXT_MAX];
        size_t n;

        for (n = 0; access[n] && n < sizeof text - 1; n++)
                text[n] = access[n] == '_' ? '-' : access[n];

        text[n] = 0;
        print_text(f, text);
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

        /* Units that are words are used from two on, so that they need no singular. */
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
        _cleanup_free_ char *text = NULL;

        if (asprintf(&text, "%s (%s)", name, id) < 0) {
                text = NULL;
                return NULL;
        }

        return text_sanitize(text, strlen(text), TEXT_MAX);
}

void print_client(FILE *f, const json_t *client, Users users) {
        const struct passwd *user = NULL;
        uint64_t uid, pid;

        if (users == USERS_OURS && json_get_number(client, "uid", &uid) && uid <= UINT32_MAX)
                user = getpwuid((uid_t) uid);

        if (!user) {
                print_text(f, json_get_text(client, "peer", "somebody"));
                return;
        }

        print_text(f, user->pw_name);
        if (json_get_number(client, "pid", &pid))
                fprintf(f, " (pid %" PRIu64 ")", pid);
}

void print_holder(FILE *f, const json_t *client, Users users) {
        char moment[HUMAN_TEXT_MAX], distance[HUMAN_TEXT_MAX];
        usec_t since, now = now_realtime();

        print_client(f, client, users);
        fputs(" holds ", f);
        print_access(f, json_get_text(client, "access", "some"));
        fputs(" access", f);

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

static void key(FILE *f, const char *name) {
        fprintf(f, "%9s: ", name);
}

static void text_line(FILE *f, const char *name, const char *text) {
        key(f, name);
        print_text(f, text);
        fputc('\n', f);
}

static void size_line(FILE *f, const char *name, const json_t *vm, const char *field) {
        char size[HUMAN_TEXT_MAX];
        uint64_t n;

        if (!json_get_number(vm, field, &n))
                return;

        key(f, name);
        fputs(human_size(n, size), f);
        if (n >= 1024)
                fprintf(f, " (%" PRIu64 " bytes)", n);
        fputc('\n', f);
}

static void state_line(FILE *f, const json_t *vm, usec_t now) {
        char moment[HUMAN_TEXT_MAX], distance[HUMAN_TEXT_MAX];
        uint64_t since;
        const char *color;

        key(f, "State");
        fputs(vm_state(vm, &color), f);
        if (json_get_number(vm, "since", &since))
                fprintf(f, ", since %s; %s", human_timestamp(since, moment),
                        human_distance(since, now, distance));
        fputc('\n', f);
}

static void expires_line(FILE *f, const json_t *vm, usec_t now) {
        char moment[HUMAN_TEXT_MAX], distance[HUMAN_TEXT_MAX];
        uint64_t expires;

        if (!json_get_number(vm, "expires", &expires))
                return;

        key(f, "Expires");
        fprintf(f, "%s; %s\n", human_timestamp(expires, moment), human_distance(expires, now, distance));
}

/* About the connection from the VM's host */
static void tls_line(FILE *f, const json_t *vm) {
        const json_t *tls = json_object_get(vm, "tls");
        const char *peer = json_get_text(tls, "peer", NULL);

        if (!json_is_object(tls)) {
                text_line(f, "TLS", "no");
                return;
        }

        key(f, "TLS");
        print_text(f, json_get_text(tls, "version", "yes"));
        fputs(", ", f);
        print_text(f, json_get_text(tls, "cipher", "?"));
        if (peer) {
                fputs(", the host's certificate is that of ", f);
                print_text(f, peer);
        }
        if (json_is_true(json_object_get(tls, "resumed")))
                fputs(", resumed", f);
        fputc('\n', f);
}

static void client_line(FILE *f, const json_t *client, usec_t now, Users users) {
        char size[HUMAN_TEXT_MAX], distance[HUMAN_TEXT_MAX];
        uint64_t n;

        fprintf(f, "%11s", "");
        print_client(f, client, users);
        fputs(", ", f);
        print_access(f, json_get_text(client, "access", "?"));

        if (json_get_number(client, "since", &n))
                fprintf(f, ", since %s", human_distance(n, now, distance));
        if (json_get_number(client, "bytes", &n))
                fprintf(f, ", %s sent", human_size(n, size));
        if (json_get_number(client, "skipped", &n) && n > 0)
                fprintf(f, ", %s missed", human_size(n, size));
        fputc('\n', f);
}

static void client_lines(FILE *f, const json_t *vm, usec_t now, Users users) {
        const json_t *clients = json_object_get(vm, "clients");
        size_t n_listed = json_array_size(clients);
        uint64_t n = n_listed;

        (void) json_get_number(vm, "clientCount", &n);
        key(f, "Clients");
        fprintf(f, "%" PRIu64 "\n", n);

        for (size_t i = 0; i < n_listed; i++)
                client_line(f, json_array_get(clients, i), now, users);
        if (n > n_listed)
                fprintf(f, "%11sand %" PRIu64 " more\n", "", n - n_listed);
}

void show_vm(FILE *f, const json_t *vm, Users users) {
        const char *serial = json_get_text(vm, "serial", NULL), *peer = json_get_text(vm, "peer", NULL),
                   *vmotion = json_get_text(vm, "vmotion", "none"), *problem = json_get_text(vm, "problem", NULL);
        const char *uuid = json_get_text(vm, "uuid", "?"), *id = json_get_text(vm, "id", uuid);
        usec_t now = now_realtime();
        uint64_t port;

        text_line(f, "Name", json_get_text(vm, "name", "?"));
        if (!streq(id, uuid))
                text_line(f, "ID", id);
        text_line(f, "UUID", uuid);
        text_line(f, "URI", json_get_text(vm, "uri", "?"));

        if (json_get_number(vm, "port", &port)) {
                key(f, "Port");
                fprintf(f, "%" PRIu64 "\n", port);
        } else
                text_line(f, "Port", "none");

        state_line(f, vm, now);
        if (problem)
                text_line(f, "Problem", problem);
        if (peer)
                text_line(f, "Host", peer);
        tls_line(f, vm);
        if (serial)
                text_line(f, "Serial", serial);
        if (!streq(vmotion, "none"))
                text_line(f, "vMotion", vmotion);

        size_line(f, "Received", vm, "bytesReceived");
        size_line(f, "Sent", vm, "bytesSent");
        client_lines(f, vm, now, users);
        expires_line(f, vm, now);
}
