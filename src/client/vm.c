/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <pwd.h>

#include "basic/text.h"
#include "human.h"
#include "vm.h"

/* Of a text; a name of ESXi's has 80 characters at most. */
#define TEXT_MAX 1024U

const char *json_get_text(const json_t *object, const char *key, const char *otherwise) {
        return json_string_value(json_object_get(object, key)) ?: otherwise;
}

bool json_get_number(const json_t *object, const char *key, uint64_t *ret) {
        const json_t *value = json_object_get(object, key);
        double real = json_real_value(value);

        /* Integers are reals where one of them was too large (varlink_parse_reply()). */
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

const char *vm_state(const json_t *vm, Style *ret_style) {
        const char *vmotion = json_get_text(vm, "vmotion", "none");

        if (streq(vmotion, "begun") || streq(vmotion, "accepted")) {
                *ret_style = STYLE_BUSY;
                return "migrating";
        }

        if (json_get_text(vm, "problem", NULL)) {
                *ret_style = STYLE_BUSY;
                return "shared";
        }

        bool connected = json_is_true(json_object_get(vm, "connected"));
        *ret_style = connected ? STYLE_GOOD : STYLE_FAINT;
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
        print_text(f, access_for_people(json_get_text(client, "access", "some")));
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

static const struct {
        const char *option, *varlink;
} access_modes[] = {
        {"exclusive", "exclusive"},
        {"write", "write"},
        {"free-for-all", "free_for_all"},
        {"free-for-all-fallback", "free_for_all_fallback"},
};

const char *access_from_option(const char *text) {
        for (size_t i = 0; i < ELEMENTSOF(access_modes); i++)
                if (streq(text, access_modes[i].option))
                        return access_modes[i].varlink;

        return NULL;
}

const char *access_for_people(const char *access) {
        if (streq(access, "read_only"))
                return "read-only";

        for (size_t i = 0; i < ELEMENTSOF(access_modes); i++)
                if (streq(access, access_modes[i].varlink))
                        return access_modes[i].option;

        return access;
}
