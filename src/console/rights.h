/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transport/identity.h"

/*
 * Rights: who may do what at which VM, from the sections [Access] of vspc.conf(5). A section grants a right to some people at
 * some VMs. No section takes a right away. rights_decide() decides for all interfaces.
 *
 * Root, the user that vspcd runs as, and members of group vspc may do everything. While there are no sections, anonymous
 * people and holders of a certificate may do everything too, and all local users may list VMs. If there are sections but none
 * names anonymous people, these may still do everything.
 *
 * A RightsSet is a set of sections. The sections that name a VM, and those that name a person, are determined once and kept.
 * The sections in both sets decide. This makes a decision cheap, even for 16,000 VMs.
 */
typedef enum Right {
        RIGHT_NONE,
        RIGHT_LIST,
        RIGHT_WATCH,
        RIGHT_WRITE,
        RIGHT_ADMIN,
        _RIGHT_MAX,
} Right;

/* What people do at a VM. rights_act_needs() says which right each act needs. */
typedef enum Act {
        ACT_LIST,
        ACT_WATCH,
        ACT_WRITE,
        ACT_LOCK,
        ACT_SAY,
        ACT_TAKE_OVER,
        ACT_SET_ACCESS,
        ACT_DISCONNECT,
        ACT_CLEAR,
        ACT_FORGET,
        _ACT_MAX,
} Act;

/* The maximum of sections, of words of Who= and VMs= in all sections together, and of bytes of a word, including a NUL */
#define RIGHTS_SECTIONS_MAX 256U
#define RIGHTS_WORDS_MAX 4096U
#define RIGHTS_WORD_SIZE_MAX 256U

typedef struct RightsSet {
        uint64_t bits[RIGHTS_SECTIONS_MAX / 64];
} RightsSet;

/* Whom or what a word of Who= or VMs= names */
typedef enum RightsWordKind {
        WORD_ANONYMOUS,
        WORD_USER,
        WORD_GROUP,
        WORD_CERTIFICATE,
        WORD_VM_NAME, /* a pattern */
        WORD_VM_UUID,
} RightsWordKind;

typedef struct RightsWord {
        char *text; /* as written in the file: "group:dba"; a UUID in the format of Console.uuid_text */
        RightsWordKind kind;
        bool any;   /* "user:*", "cert:*" */
        bool known; /* WORD_USER, WORD_GROUP: the id is known; otherwise the word matches nobody */
        uint32_t id;
        NameDigest name; /* for WORD_CERTIFICATE */
} RightsWord;

/* The lists of words in a section: Who= and VMs= */
typedef enum RightsList {
        RIGHTS_WHO,
        RIGHTS_VMS,
        _RIGHTS_LIST_MAX,
} RightsList;

typedef struct RightsSection {
        char *place; /* "vspc.conf:12" */
        RightsWord *words[_RIGHTS_LIST_MAX];
        size_t n[_RIGHTS_LIST_MAX];
        Right may; /* RIGHT_NONE: May= has not been given */
} RightsSection;

typedef struct Rights {
        RightsSection *sections;
        size_t n_sections, n_words;
        size_t n_anonymous;  /* number of words "anonymous" */
        bool in_doubt;       /* a mistake in [Access] may concern anonymous people, so they may do nothing */
        uint32_t owner;      /* the user that vspcd runs as */
        uint32_t group;      /* the group whose members may do everything */
        bool has_group;
        uint64_t generation; /* changes with the sections, so that kept RightsSets can be recognized as outdated; not 0 */
} Rights;

/* Keeps the sections that name a person or a VM, as long as the generation stays the same. All zero to begin with. */
typedef struct Asker {
        RightsSet sections;
        uint64_t generation;
} Asker;

void rights_init(Rights *r);
void rights_done(Rights *r);

/* Returns: 0; or -ENOMEM, and *ret is unchanged. */
int rights_copy(const Rights *r, Rights *ret);

/* Returns: whether both grant the same rights to the same people. */
bool rights_equal(const Rights *a, const Rights *b);

/* Appends an empty section. Returns: 0, -E2BIG if there are too many, or -ENOMEM. */
int rights_begin_section(Rights *r, const char *place);

/* Adds a word to a list of the last section. Returns: 0, -EINVAL if the word is invalid, -E2BIG if there are too many words or it
 * is too long, or -ENOMEM. */
int rights_add(Rights *r, RightsList list, const char *word);

/* Removes all words from a list of the last section. */
void rights_clear(Rights *r, RightsList list);

/* Returns: whether rights depend on sections. */
static inline bool rights_exist(const Rights *r) {
        return r->n_sections > 0 || r->in_doubt;
}

/* Returns: whether there are sections, but anonymous people may still do everything because no section names them. */
bool rights_spare_anonymous(const Rights *r);

/* Returns: whether all local users may list all VMs and get all events. */
bool rights_are_open(const Rights *r);

/* Returns: whether @who may do everything, whatever the sections say. */
bool rights_include_all(const Rights *r, const Identity *who);

/* Returns: whether @who may list all VMs without any section. (A section may still permit it if this is false.) */
bool rights_cover_all_vms(const Rights *r, const Identity *who);

/* Returns: whether @who may use the admin sockets at all. */
bool rights_admit(const Rights *r, const Identity *who);

/* Return: the sections that name @who; the sections that name this VM. */
RightsSet rights_of_who(const Rights *r, const Identity *who);
RightsSet rights_of_vm(const Rights *r, const char *name, const char *uuid_text);

/* Returns: the highest right of @who at a VM. @who_sections, @vm_sections: from rights_of_who() and rights_of_vm() */
Right rights_decide(const Rights *r, const Identity *who, const RightsSet *who_sections, const RightsSet *vm_sections);

/* Lists the words of Who= that grant at least @right at a VM, at most @max of them. Returns: their number. */
size_t rights_holders(const Rights *r, const RightsSet *vm_sections, Right right, const char *ret[], size_t max);

Right rights_act_needs(Act act);
const char *rights_act_text(Act act); /* the text in vspc-consoles(7) */

const char *right_to_string(Right right);

/* Returns: 0 or -EINVAL. */
int right_from_string(const char *text, Right *ret);
