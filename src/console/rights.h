/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transport/identity.h"

/*
 * Rights: who may do what at which VM: the sections [Access] of vspc.conf(5). A section grants a right to those whom it
 * names, at the VMs that it names; nothing takes a right away. All ways in ask rights_decide().
 *
 * Root, the user that vspcd runs as, and the members of group vspc may do everything. Without any section, so may those
 * who are anonymous or have a certificate, and all local users may list VMs. With sections, the anonymous keep that until
 * a section names them.
 *
 * The sections that name a VM are a RightsSet, and so are the sections that name somebody: what both have in common
 * decides. Both are made once and kept, so that a decision about one of 16,000 VMs costs next to nothing.
 */
typedef enum Right {
        RIGHT_NONE,
        RIGHT_LIST,
        RIGHT_WATCH,
        RIGHT_WRITE,
        RIGHT_ADMIN,
        _RIGHT_MAX,
} Right;

/* What somebody may want to do at a VM. rights_act_needs() says which right that takes. */
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

/* More sections, more words of Who= and VMs= in all of them, and longer words are refused. */
#define RIGHTS_SECTIONS_MAX 256U
#define RIGHTS_WORDS_MAX 4096U
#define RIGHTS_WORD_SIZE_MAX 256U

typedef struct RightsSet {
        uint64_t bits[RIGHTS_SECTIONS_MAX / 64];
} RightsSet;

typedef enum WhoKind {
        WHO_ANONYMOUS,
        WHO_USER,
        WHO_GROUP,
        WHO_CERTIFICATE,
} WhoKind;

typedef struct RightsWho {
        char *text; /* as it is written: "group:dba" */
        WhoKind kind;
        bool any;   /* "user:*", "cert:*" */
        bool known; /* of WHO_USER and WHO_GROUP: the id; without it nobody is meant */
        uint32_t id;
        NameDigest name; /* of WHO_CERTIFICATE */
} RightsWho;

typedef struct RightsVm {
        char *text; /* a pattern for the VM's name, or a UUID as Console.uuid_text has it */
        bool is_uuid;
} RightsVm;

typedef struct RightsSection {
        char *place; /* "vspc.conf:12" */
        RightsWho *who;
        RightsVm *vms;
        size_t n_who, n_vms;
        Right may; /* RIGHT_NONE: it does not say */
} RightsSection;

typedef struct Rights {
        RightsSection *sections;
        size_t n_sections, n_words;
        size_t n_anonymous;  /* words that name those who are anonymous */
        bool in_doubt;       /* there is a mistake: the anonymous may nothing, for a section may have been meant for them */
        uint32_t owner;      /* the user that vspcd runs as */
        uint32_t group;      /* of those who may do everything */
        bool has_group;
        uint64_t generation; /* for those who keep a RightsSet: another one with other sections. Not 0 */
} Rights;

/* Whom somebody is named by, kept for as long as the sections are the same. All zero to begin with. */
typedef struct Asker {
        RightsSet sections;
        uint64_t generation;
} Asker;

void rights_init(Rights *r);
void rights_done(Rights *r);

/* Returns: 0 or -ENOMEM, and then *ret is not touched. */
int rights_copy(const Rights *r, Rights *ret);

/* Whether both grant the same to the same. */
bool rights_equal(const Rights *a, const Rights *b);

/* Begins a section; what follows belongs to it. Returns: 0, -E2BIG or -ENOMEM. */
int rights_begin_section(Rights *r, const char *place);

/* Add a word to the last section. Return: 0, -EINVAL if there is no such word, -E2BIG if there are too many or it is too
 * long, or -ENOMEM. */
int rights_add_who(Rights *r, const char *word);
int rights_add_vm(Rights *r, const char *word);

/* Take back what has been added to the last section. */
void rights_clear_who(Rights *r);
void rights_clear_vms(Rights *r);

/* Whether rights depend on sections. */
static inline bool rights_exist(const Rights *r) {
        return r->n_sections > 0 || r->in_doubt;
}

/* Whether the anonymous may everything because no section names them, beside others who may not. */
bool rights_spare_anonymous(const Rights *r);

/* Whether all local users may list all VMs, and be told what happens to them. */
bool rights_are_open(const Rights *r);

/* Whether @who may do everything, whatever sections say. */
bool rights_include_all(const Rights *r, const Identity *who);

/* Whether @who may list all VMs because no section counts. A section for all VMs is not looked for. */
bool rights_cover_all_vms(const Rights *r, const Identity *who);

/* Whether @who may ask anything at all at a local socket or in TLS. */
bool rights_admit(const Rights *r, const Identity *who);

/* The sections that name somebody, and those that name a VM */
RightsSet rights_of_who(const Rights *r, const Identity *who);
RightsSet rights_of_vm(const Rights *r, const char *name, const char *uuid_text);

/* Decides what @who may do at a VM. @who_sections, @vm_sections: see above. */
Right rights_decide(const Rights *r, const Identity *who, const RightsSet *who_sections, const RightsSet *vm_sections);

/* Who has at least the right @right at such a VM, as the sections have it; at most @max. Returns: how many. */
size_t rights_holders(const Rights *r, const RightsSet *vm_sections, Right right, const char *ret[], size_t max);

Right rights_act_needs(Act act);
const char *rights_act_text(Act act); /* as vspc-consoles(7) has it */

const char *right_to_string(Right right);

/* Returns: 0 or -EINVAL. */
int right_from_string(const char *text, Right *ret);
