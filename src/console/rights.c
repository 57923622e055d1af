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

static void section_clear(RightsSection *s, RightsList list) {
        for (size_t i = 0; i < s->n[list]; i++)
                free(s->words[list][i].text);
        free(TAKE_PTR(s->words[list]));
        s->n[list] = 0;
}

void rights_done(Rights *r) {
        for (size_t i = 0; i < r->n_sections; i++) {
                section_clear(&r->sections[i], RIGHTS_WHO);
                section_clear(&r->sections[i], RIGHTS_VMS);
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

void rights_clear(Rights *r, RightsList list) {
        RightsSection *s = last_section(r);

        for (size_t i = 0; i < s->n[list]; i++)
                r->n_anonymous -= s->words[list][i].kind == WORD_ANONYMOUS;
        r->n_words -= s->n[list];
        section_clear(s, list);
}

static int append_word(Rights *r, RightsList list, const RightsWord *word) {
        RightsSection *s = last_section(r);

        RightsWord *grown = reallocarray(s->words[list], s->n[list] + 1, sizeof(RightsWord));
        if (!grown)
                return -ENOMEM;
        s->words[list] = grown;

        RightsWord copy = *word;
        copy.text = strdup(word->text);
        if (!copy.text)
                return -ENOMEM;

        s->words[list][s->n[list]++] = copy;
        r->n_words++;
        r->n_anonymous += copy.kind == WORD_ANONYMOUS;
        return 0;
}

static int copy_section(Rights *to, const RightsSection *from) {
        int r = rights_begin_section(to, from->place);
        if (r < 0)
                return r;

        last_section(to)->may = from->may;
        for (RightsList list = 0; list < _RIGHTS_LIST_MAX; list++)
                for (size_t i = 0; r >= 0 && i < from->n[list]; i++)
                        r = append_word(to, list, &from->words[list][i]);

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

static bool word_equal(const RightsWord *a, const RightsWord *b) {
        return streq(a->text, b->text) && a->known == b->known && (!a->known || a->id == b->id);
}

static bool section_equal(const RightsSection *a, const RightsSection *b) {
        if (a->may != b->may)
                return false;

        for (RightsList list = 0; list < _RIGHTS_LIST_MAX; list++) {
                if (a->n[list] != b->n[list])
                        return false;
                for (size_t i = 0; i < a->n[list]; i++)
                        if (!word_equal(&a->words[list][i], &b->words[list][i]))
                                return false;
        }

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

/* Parses what follows "user:" or "group:": a number, "*" for all users, or a name. access_resolve() looks names up later. */
static int parse_local(const char *name, RightsWord *who) {
        uint64_t id;

        who->any = who->kind == WORD_USER && streq(name, "*");
        if (parse_unsigned(name, UINT32_MAX - 1, &id) >= 0) {
                who->id = (uint32_t) id;
                who->known = true;
        }

        return *name && (who->any || !glob_is_pattern(name)) ? 0 : -EINVAL;
}

static int parse_who(const char *word, RightsWord *who) {
        static const struct {
                const char *prefix;
                RightsWordKind kind;
        } kinds[] = {{"user:", WORD_USER}, {"group:", WORD_GROUP}, {"cert:", WORD_CERTIFICATE}};

        if (streq(word, "anonymous")) {
                who->kind = WORD_ANONYMOUS;
                return 0;
        }

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                size_t n = strlen(kinds[i].prefix);

                if (strncmp(word, kinds[i].prefix, n) != 0)
                        continue;

                who->kind = kinds[i].kind;
                if (who->kind != WORD_CERTIFICATE)
                        return parse_local(word + n, who);

                who->any = streq(word + n, "*");
                return who->any ? 0 : name_digest_parse(word + n, &who->name);
        }

        return -EINVAL;
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

/* @uuid: room for the text of a UUID */
static void parse_vm(const char *word, char uuid[static UUID_PAIR_TEXT_MAX], RightsWord *vm) {
        const char *behind = take_uuid(word, uuid);

        if (behind && *behind == '~') {
                uuid[UUID_TEXT_MAX - 1] = '~';
                behind = take_uuid(behind + 1, uuid + UUID_TEXT_MAX);
        }

        vm->kind = behind && !*behind ? WORD_VM_UUID : WORD_VM_NAME;
        if (vm->kind == WORD_VM_UUID)
                vm->text = uuid;
}

int rights_add(Rights *r, RightsList list, const char *word) {
        RightsWord parsed = {.text = (char *) word};
        char uuid[UUID_PAIR_TEXT_MAX];
        int k = 0;

        if (r->n_words >= RIGHTS_WORDS_MAX || strlen(word) >= RIGHTS_WORD_SIZE_MAX)
                return -E2BIG;
        if (!*word)
                return -EINVAL;

        if (list == RIGHTS_WHO)
                k = parse_who(word, &parsed);
        else
                parse_vm(word, uuid, &parsed);

        return k < 0 ? k : append_word(r, list, &parsed);
}

/*
 * Decisions
 */

static bool word_names_who(const RightsWord *w, const Identity *who) {
        switch (w->kind) {

        case WORD_ANONYMOUS:
                return who->kind == IDENTITY_ANONYMOUS;

        case WORD_USER:
                return who->kind == IDENTITY_USER && (w->any || (w->known && who->uid == w->id));

        case WORD_GROUP:
                return w->known && identity_has_group(who, w->id);

        case WORD_CERTIFICATE:
                return who->kind == IDENTITY_CERTIFICATE && (w->any || identity_has_name(who, &w->name));

        default:
                return false;
        }
}

/* A UUID without "~BIOS UUID" matches all VMs with this UUID. */
static bool word_names_vm(const RightsWord *w, const char *name, const char *uuid_text) {
        size_t n = strlen(w->text);

        if (w->kind == WORD_VM_NAME)
                return glob_match(w->text, name);

        return strncmp(w->text, uuid_text, n) == 0 && (!uuid_text[n] || uuid_text[n] == '~');
}

static void set_add(RightsSet *set, size_t i) {
        set->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool set_has(const RightsSet *set, size_t i) {
        return set->bits[i / 64] & UINT64_C(1) << (i % 64);
}

static bool section_names_who(const RightsSection *s, const Identity *who) {
        for (size_t i = 0; i < s->n[RIGHTS_WHO]; i++)
                if (word_names_who(&s->words[RIGHTS_WHO][i], who))
                        return true;

        return false;
}

static bool section_names_vm(const RightsSection *s, const char *name, const char *uuid_text) {
        for (size_t i = 0; i < s->n[RIGHTS_VMS]; i++)
                if (word_names_vm(&s->words[RIGHTS_VMS][i], name, uuid_text))
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

        for (size_t i = 0; i < s->n[RIGHTS_WHO]; i++)
                all_users |= s->words[RIGHTS_WHO][i].kind == WORD_USER && s->words[RIGHTS_WHO][i].any;
        for (size_t i = 0; i < s->n[RIGHTS_VMS]; i++)
                all_vms |= streq(s->words[RIGHTS_VMS][i].text, "*");

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

                for (size_t k = 0; set_has(vm_sections, i) && s->may >= right && k < s->n[RIGHTS_WHO] && n < max; k++)
                        ret[n++] = s->words[RIGHTS_WHO][k].text;
        }

        return n;
}
