/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/glob.h"
#include "basic/parse.h"
#include "basic/text.h"
#include "basic/uuid.h"
#include "rights.h"

static const char *const right_names[_RIGHT_MAX] = {
        [RIGHT_NONE] = "nothing",
        [RIGHT_LIST] = "list",
        [RIGHT_WATCH] = "watch",
        [RIGHT_WRITE] = "write",
        [RIGHT_ADMIN] = "admin",
};

/* A test compares this table with the one in vspc-consoles(7). */
static const struct {
        const char *text;
        Right needs;
} acts[_ACT_MAX] = {
        [ACT_LIST] = {"see the VM and its clients in lists and events", RIGHT_LIST},
        [ACT_WATCH] = {"attach to read only", RIGHT_WATCH},
        [ACT_WRITE] = {"attach to read and write", RIGHT_WRITE},
        [ACT_LOCK] = {"keep others from writing or reading", RIGHT_WRITE},
        [ACT_SAY] = {"say something to the clients", RIGHT_WATCH},
        [ACT_TAKE_OVER] = {"take over from another person", RIGHT_ADMIN},
        [ACT_SET_ACCESS] = {"change the access of another person", RIGHT_ADMIN},
        [ACT_DISCONNECT] = {"disconnect another person", RIGHT_ADMIN},
        [ACT_CLEAR] = {"disconnect all clients", RIGHT_ADMIN},
        [ACT_FORGET] = {"forget the VM", RIGHT_ADMIN},
};

Right rights_act_needs(Act act) {
        return acts[act].needs;
}

const char *rights_act_text(Act act) {
        return acts[act].text;
}

const char *right_to_string(Right right) {
        return right_names[right];
}

int right_from_string(const char *text, Right *ret) {
        for (Right right = RIGHT_LIST; right < _RIGHT_MAX; right++)
                if (streq(text, right_names[right])) {
                        *ret = right;
                        return 0;
                }

        return -EINVAL;
}

/*
 * Sections
 */

void rights_init(Rights *r) {
        *r = (Rights){.generation = 1};
}

static void who_done(RightsSection *s) {
        for (size_t i = 0; i < s->n_who; i++)
                free(s->who[i].text);
        free(s->who);
        s->who = NULL;
        s->n_who = 0;
}

static void vms_done(RightsSection *s) {
        for (size_t i = 0; i < s->n_vms; i++)
                free(s->vms[i].text);
        free(s->vms);
        s->vms = NULL;
        s->n_vms = 0;
}

void rights_done(Rights *r) {
        for (size_t i = 0; i < r->n_sections; i++) {
                who_done(&r->sections[i]);
                vms_done(&r->sections[i]);
                free(r->sections[i].place);
        }
        free(r->sections);
        *r = (Rights){};
}

int rights_begin_section(Rights *r, const char *place) {
        if (r->n_sections >= RIGHTS_SECTIONS_MAX)
                return -E2BIG;

        RightsSection *grown = reallocarray(r->sections, r->n_sections + 1, sizeof(RightsSection));
        if (!grown)
                return -ENOMEM;
        r->sections = grown;

        char *copy = strdup(place);
        if (!copy)
                return -ENOMEM;

        r->sections[r->n_sections++] = (RightsSection){.place = copy};
        return 0;
}

static RightsSection *last_section(Rights *r) {
        assert(r->n_sections > 0);
        return &r->sections[r->n_sections - 1];
}

void rights_clear_who(Rights *r) {
        RightsSection *s = last_section(r);

        for (size_t i = 0; i < s->n_who; i++)
                r->n_anonymous -= s->who[i].kind == WHO_ANONYMOUS;
        r->n_words -= s->n_who;
        who_done(s);
}

void rights_clear_vms(Rights *r) {
        r->n_words -= last_section(r)->n_vms;
        vms_done(last_section(r));
}

static int append_who(Rights *r, RightsSection *s, const RightsWho *who) {
        RightsWho *grown = reallocarray(s->who, s->n_who + 1, sizeof(RightsWho));
        if (!grown)
                return -ENOMEM;
        s->who = grown;

        RightsWho copy = *who;
        copy.text = strdup(who->text);
        if (!copy.text)
                return -ENOMEM;

        s->who[s->n_who++] = copy;
        r->n_words++;
        r->n_anonymous += copy.kind == WHO_ANONYMOUS;
        return 0;
}

static int append_vm(Rights *r, RightsSection *s, const RightsVm *vm) {
        RightsVm *grown = reallocarray(s->vms, s->n_vms + 1, sizeof(RightsVm));
        if (!grown)
                return -ENOMEM;
        s->vms = grown;

        RightsVm copy = *vm;
        copy.text = strdup(vm->text);
        if (!copy.text)
                return -ENOMEM;

        s->vms[s->n_vms++] = copy;
        r->n_words++;
        return 0;
}

static int copy_section(Rights *to, const RightsSection *from) {
        int r = rights_begin_section(to, from->place);
        if (r < 0)
                return r;

        RightsSection *s = last_section(to);
        s->may = from->may;
        for (size_t i = 0; r >= 0 && i < from->n_who; i++)
                r = append_who(to, s, &from->who[i]);
        for (size_t i = 0; r >= 0 && i < from->n_vms; i++)
                r = append_vm(to, s, &from->vms[i]);

        return r;
}

int rights_copy(const Rights *r, Rights *ret) {
        Rights copy = *r;

        copy.sections = NULL;
        copy.n_sections = copy.n_words = copy.n_anonymous = 0;
        for (size_t i = 0; i < r->n_sections; i++)
                if (copy_section(&copy, &r->sections[i]) < 0) {
                        rights_done(&copy);
                        return -ENOMEM;
                }

        *ret = copy;
        return 0;
}

static bool who_equal(const RightsWho *a, const RightsWho *b) {
        return streq(a->text, b->text) && a->known == b->known && (!a->known || a->id == b->id);
}

static bool section_equal(const RightsSection *a, const RightsSection *b) {
        if (a->may != b->may || a->n_who != b->n_who || a->n_vms != b->n_vms)
                return false;

        for (size_t i = 0; i < a->n_who; i++)
                if (!who_equal(&a->who[i], &b->who[i]))
                        return false;
        for (size_t i = 0; i < a->n_vms; i++)
                if (!streq(a->vms[i].text, b->vms[i].text))
                        return false;

        return true;
}

bool rights_equal(const Rights *a, const Rights *b) {
        if (a->n_sections != b->n_sections || a->in_doubt != b->in_doubt || a->owner != b->owner ||
            a->has_group != b->has_group || (a->has_group && a->group != b->group))
                return false;

        for (size_t i = 0; i < a->n_sections; i++)
                if (!section_equal(&a->sections[i], &b->sections[i]))
                        return false;

        return true;
}

static int check_word(const Rights *r, const char *word) {
        if (r->n_words >= RIGHTS_WORDS_MAX || strlen(word) >= RIGHTS_WORD_SIZE_MAX)
                return -E2BIG;

        return *word ? 0 : -EINVAL;
}

/* Parses what follows "user:" or "group:": a number, "*" for all users, or a name. access_resolve() looks names up later. */
static int parse_local(const char *name, RightsWho *who) {
        uint64_t id;

        who->any = who->kind == WHO_USER && streq(name, "*");
        if (parse_unsigned(name, UINT32_MAX - 1, &id) >= 0) {
                who->id = (uint32_t) id;
                who->known = true;
        }

        return *name && (who->any || !glob_is_pattern(name)) ? 0 : -EINVAL;
}

static int parse_who(const char *word, RightsWho *who) {
        static const struct {
                const char *prefix;
                WhoKind kind;
        } kinds[] = {{"user:", WHO_USER}, {"group:", WHO_GROUP}, {"cert:", WHO_CERTIFICATE}};

        if (streq(word, "anonymous")) {
                who->kind = WHO_ANONYMOUS;
                return 0;
        }

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                size_t n = strlen(kinds[i].prefix);

                if (strncmp(word, kinds[i].prefix, n) != 0)
                        continue;

                who->kind = kinds[i].kind;
                if (who->kind != WHO_CERTIFICATE)
                        return parse_local(word + n, who);

                who->any = streq(word + n, "*");
                return who->any ? 0 : name_digest_parse(word + n, &who->name);
        }

        return -EINVAL;
}

int rights_add_who(Rights *r, const char *word) {
        RightsWho who = {.text = (char *) word};

        int k = check_word(r, word);
        if (k >= 0)
                k = parse_who(word, &who);

        return k < 0 ? k : append_who(r, last_section(r), &who);
}

/* Parses a UUID with or without dashes. Returns: the text after it, or NULL if it is not a UUID. */
static const char *take_uuid(const char *text, char ret[static UUID_TEXT_MAX]) {
        char digits[2 * 16];
        size_t n = 0;

        for (; *text && n < sizeof digits; text++) {
                int digit = text_hex_digit(*text);

                if (digit >= 0)
                        digits[n++] = "0123456789abcdef"[digit];
                else if (*text != '-')
                        return NULL;
        }
        if (n < sizeof digits)
                return NULL;

        for (size_t i = 0; i < n; i++) {
                if (i == 8 || i == 12 || i == 16 || i == 20)
                        *ret++ = '-';
                *ret++ = digits[i];
        }
        *ret = 0;
        return text;
}

int rights_add_vm(Rights *r, const char *word) {
        char uuid[UUID_PAIR_TEXT_MAX];
        RightsVm vm = {.text = (char *) word};

        int k = check_word(r, word);
        if (k < 0)
                return k;

        const char *behind = take_uuid(word, uuid);
        if (behind && *behind == '~') {
                uuid[UUID_TEXT_MAX - 1] = '~';
                behind = take_uuid(behind + 1, uuid + UUID_TEXT_MAX);
        }
        if (behind && !*behind) {
                vm.text = uuid;
                vm.is_uuid = true;
        }

        return append_vm(r, last_section(r), &vm);
}

/*
 * Decisions
 */

static bool who_is(const RightsWho *w, const Identity *who) {
        switch (w->kind) {

        case WHO_ANONYMOUS:
                return who->kind == IDENTITY_ANONYMOUS;

        case WHO_USER:
                return who->kind == IDENTITY_USER && (w->any || (w->known && who->uid == w->id));

        case WHO_GROUP:
                return w->known && identity_has_group(who, w->id);

        case WHO_CERTIFICATE:
                return who->kind == IDENTITY_CERTIFICATE && (w->any || identity_has_name(who, &w->name));
        }

        return false;
}

/* A UUID without "~BIOS UUID" matches all VMs with this UUID. */
static bool vm_is(const RightsVm *v, const char *name, const char *uuid_text) {
        size_t n = strlen(v->text);

        if (!v->is_uuid)
                return glob_match(v->text, name);

        return strncmp(v->text, uuid_text, n) == 0 && (!uuid_text[n] || uuid_text[n] == '~');
}

static void set_add(RightsSet *set, size_t i) {
        set->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool set_has(const RightsSet *set, size_t i) {
        return set->bits[i / 64] & UINT64_C(1) << (i % 64);
}

static bool section_names_who(const RightsSection *s, const Identity *who) {
        for (size_t i = 0; i < s->n_who; i++)
                if (who_is(&s->who[i], who))
                        return true;

        return false;
}

static bool section_names_vm(const RightsSection *s, const char *name, const char *uuid_text) {
        for (size_t i = 0; i < s->n_vms; i++)
                if (vm_is(&s->vms[i], name, uuid_text))
                        return true;

        return false;
}

RightsSet rights_of_who(const Rights *r, const Identity *who) {
        RightsSet set = {};

        for (size_t i = 0; i < r->n_sections; i++)
                if (section_names_who(&r->sections[i], who))
                        set_add(&set, i);

        return set;
}

RightsSet rights_of_vm(const Rights *r, const char *name, const char *uuid_text) {
        RightsSet set = {};

        for (size_t i = 0; i < r->n_sections; i++)
                if (section_names_vm(&r->sections[i], name, uuid_text))
                        set_add(&set, i);

        return set;
}

bool rights_spare_anonymous(const Rights *r) {
        return r->n_sections > 0 && !r->in_doubt && r->n_anonymous == 0;
}

/* Returns: whether the section permits all local users to list all VMs. */
static bool section_is_open(const RightsSection *s) {
        bool all_users = false, all_vms = false;

        for (size_t i = 0; i < s->n_who; i++)
                all_users |= s->who[i].kind == WHO_USER && s->who[i].any;
        for (size_t i = 0; i < s->n_vms; i++)
                all_vms |= streq(s->vms[i].text, "*");

        return all_users && all_vms && s->may >= RIGHT_LIST;
}

bool rights_are_open(const Rights *r) {
        for (size_t i = 0; i < r->n_sections; i++)
                if (section_is_open(&r->sections[i]))
                        return true;

        return !rights_exist(r);
}

bool rights_include_all(const Rights *r, const Identity *who) {
        if (who->kind != IDENTITY_USER)
                return false;

        return who->uid == 0 || who->uid == r->owner || (r->has_group && identity_has_group(who, r->group)) ||
               (who->let_in_by_mode && !rights_exist(r));
}

static Right decide_without_sections(const Identity *who) {
        return who->kind == IDENTITY_USER ? RIGHT_LIST : RIGHT_ADMIN;
}

/* As with vSPC.py, anonymous people may do everything until a section names them. */
static bool is_as_before(const Rights *r, const Identity *who) {
        return who->kind == IDENTITY_ANONYMOUS && rights_spare_anonymous(r);
}

Right rights_decide(const Rights *r, const Identity *who, const RightsSet *who_sections, const RightsSet *vm_sections) {
        Right best = (Right) who->vouched;

        if (rights_include_all(r, who))
                return RIGHT_ADMIN;
        if (!rights_exist(r))
                return MAX(best, decide_without_sections(who));
        if (is_as_before(r, who))
                return RIGHT_ADMIN;

        for (size_t i = 0; i < r->n_sections; i++)
                if (set_has(who_sections, i) && set_has(vm_sections, i))
                        best = MAX(best, r->sections[i].may);

        return best;
}

bool rights_cover_all_vms(const Rights *r, const Identity *who) {
        return rights_include_all(r, who) || !rights_exist(r) || is_as_before(r, who);
}

bool rights_admit(const Rights *r, const Identity *who) {
        if (rights_include_all(r, who))
                return true;
        if (!rights_exist(r))
                return who->kind != IDENTITY_USER;
        if (is_as_before(r, who))
                return true;

        for (size_t i = 0; i < r->n_sections; i++)
                if (r->sections[i].may > RIGHT_NONE && section_names_who(&r->sections[i], who))
                        return true;

        return false;
}

size_t rights_holders(const Rights *r, const RightsSet *vm_sections, Right right, const char *ret[], size_t max) {
        size_t n = 0;

        for (size_t i = 0; i < r->n_sections; i++) {
                const RightsSection *s = &r->sections[i];

                for (size_t k = 0; set_has(vm_sections, i) && s->may >= right && k < s->n_who && n < max; k++)
                        ret[n++] = s->who[k].text;
        }

        return n;
}
