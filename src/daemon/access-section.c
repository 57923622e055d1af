/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <grp.h>
#include <pwd.h>

#include "access-section.h"
#include "basic/text.h"

#define WANTS_WHO                                                                                            \
        "words such as user:alice, group:dba, cert:CN=monitor or anonymous (see vspc.conf(5))"
#define WANTS_VMS "patterns of VMs' names such as web* or \"two words\", or UUIDs"
#define WANTS_MAY "list, watch, write or admin"

/* The maximum size of a user's or a group's record in NSS; a group's contains the names of all members */
#define RECORD_MAX (1024U * 1024U)

/* The group whose members may do everything */
#define GROUP "vspc"

static const struct {
        const char *name;
        const char *wants;
} keys[] = {
        [RIGHTS_WHO] = {"Who", WANTS_WHO},
        [RIGHTS_VMS] = {"VMs", WANTS_VMS},
        {"May", WANTS_MAY},
};

const char *access_key_guess(const char *name, size_t n) {
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (strlen(keys[i].name) == n && strncasecmp(keys[i].name, name, n) == 0)
                        return keys[i].name;

        return NULL;
}

bool access_key_is_list(const char *key) {
        return !streq(key, "May");
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

/* Copies the first word of *value to @word, without its quotes, and moves *value behind it. @word must have room for all of
 * *value. Returns: 1, 0 if there is no word, or -EINVAL if a quote is not closed. */
static int take_word(const char **value, char *word) {
        const char *p = *value + strspn(*value, " \t");
        bool quoted = false;

        if (!*p)
                return 0;

        for (; *p && (quoted || !is_blank(*p)); p++)
                if (*p == '"')
                        quoted = !quoted;
                else
                        *word++ = *p;
        *word = 0;
        *value = p;
        return quoted ? -EINVAL : 1;
}

static int assign_list(Rights *r, RightsList list, const char *value, char **ret_bad) {
        _cleanup_free_ char *word = malloc(strlen(value) + 1);
        int k = word ? take_word(&value, word) : -ENOMEM;

        while (k > 0) {
                k = rights_add(r, list, word);
                if (k >= 0)
                        k = take_word(&value, word);
        }
        if (k == -EINVAL)
                *ret_bad = TAKE_PTR(word);

        return k;
}

static int assign_right(Rights *r, const char *value, char **ret_bad) {
        Right *may = &r->sections[r->n_sections - 1].may;

        *may = RIGHT_NONE;
        if (!*value || right_from_string(value, may) >= 0)
                return 0;

        *ret_bad = strdup(value);
        return -EINVAL;
}

int access_assign(Rights *r, const char *key, const char *value, const char **ret_wants, char **ret_bad) {
        size_t i = 0;

        *ret_bad = NULL;
        while (i < ELEMENTSOF(keys) && !streq(key, keys[i].name))
                i++;
        if (i == ELEMENTSOF(keys))
                return -ENOKEY;

        *ret_wants = keys[i].wants;
        if (i >= _RIGHTS_LIST_MAX)
                return assign_right(r, value, ret_bad);
        if (*value)
                return assign_list(r, (RightsList) i, value, ret_bad);

        rights_clear(r, (RightsList) i);
        return 0;
}

const char *access_missing_key(const Rights *r) {
        const RightsSection *s = &r->sections[r->n_sections - 1];

        return s->n[RIGHTS_WHO] == 0 ? "Who" : s->n[RIGHTS_VMS] == 0 ? "VMs" : s->may == RIGHT_NONE ? "May" : NULL;
}

/* This and find_group() return 1, 0 if the name does not exist, or a negative errno. */
static int find_user(const char *name, char *buffer, size_t size, uint32_t *ret) {
        struct passwd record, *found = NULL;

        int r = getpwnam_r(name, &record, buffer, size, &found);
        if (found)
                *ret = record.pw_uid;

        return found ? 1 : -r;
}

static int find_group(const char *name, char *buffer, size_t size, uint32_t *ret) {
        struct group record, *found = NULL;

        int r = getgrnam_r(name, &record, buffer, size, &found);
        if (found)
                *ret = record.gr_gid;

        return found ? 1 : -r;
}

/* For some modules of NSS an unknown name is an error: getpwnam(3) lists the codes. */
static int find(RightsWordKind kind, const char *name, char *buffer, uint32_t *ret) {
        int r = kind == WORD_USER ? find_user(name, buffer, RECORD_MAX, ret) : find_group(name, buffer, RECORD_MAX, ret);

        return r == -ENOENT || r == -ESRCH || r == -EBADF || r == -EPERM ? 0 : r;
}

static void resolve(RightsWord *w, const char *place, char *buffer, Problems *p) {
        const char *what = w->kind == WORD_USER ? "user" : "group", *name = strchr(w->text, ':') + 1;
        int r = find(w->kind, name, buffer, &w->id);

        w->known = r > 0;
        if (r == 0)
                problems_warn(p, "%s: There is no %s named \"%s\": %s grants nothing", place, what, name, w->text);
        else if (r < 0)
                problems_doubt(p, DOOR_ANONYMOUS, "%s: Cannot look for the %s \"%s\": %s", place, what, name, strerror(-r));
}

void access_resolve(Rights *r, Problems *p) {
        _cleanup_free_ char *buffer = malloc(RECORD_MAX);

        r->owner = geteuid();
        if (!buffer) {
                problems_doubt(p, DOOR_ANONYMOUS, "Cannot look for users and groups: %s", strerror(ENOMEM));
                return;
        }

        int found = find(WORD_GROUP, GROUP, buffer, &r->group);
        r->has_group = found > 0;
        if (found < 0)
                problems_doubt(p, DOOR_ANONYMOUS, "Cannot look for the group \"" GROUP "\", whose members may do everything: %s",
                               strerror(-found));
        for (size_t i = 0; i < r->n_sections; i++)
                for (size_t k = 0; k < r->sections[i].n[RIGHTS_WHO]; k++) {
                        RightsWord *w = &r->sections[i].words[RIGHTS_WHO][k];

                        if ((w->kind == WORD_USER || w->kind == WORD_GROUP) && !w->any && !w->known)
                                resolve(w, r->sections[i].place, buffer, p);
                }
}

/* Warns of words that look like a UUID or a pattern but are neither. */
static void advise_about_vms(const RightsSection *s, Problems *p) {
        for (size_t i = 0; i < s->n[RIGHTS_VMS]; i++) {
                const RightsWord *w = &s->words[RIGHTS_VMS][i];
                const char *text = w->text;
                size_t n = strlen(text);

                if (strchr(text, '['))
                        problems_warn(p, "%s: In VMs=, brackets are not special: %s only matches a name with these brackets",
                                      s->place, text);
                else if (w->kind == WORD_VM_NAME && n >= 24 && strspn(text, "0123456789abcdefABCDEF-") == n)
                        problems_warn(p, "%s: In VMs=, %s is not a valid UUID, so it is taken for a name", s->place, text);
        }
}

void access_advise(const Rights *r, Problems *p) {
        for (size_t i = 0; i < r->n_sections; i++)
                advise_about_vms(&r->sections[i], p);
        if (rights_spare_anonymous(r) && !(p->doors & DOOR_ANONYMOUS))
                problems_warn(p, "%s: Clients without a name, at 127.0.0.1:13371 and at VM ports, still have all rights at all "
                                 "VMs: a section with Who=anonymous says what they may do", r->sections[0].place);
}
