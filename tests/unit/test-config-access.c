/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sections [Access] of vspc.conf: what they come to, and that a mistake in one takes rights and gives none. */

#include <grp.h>
#include <pwd.h>

#include "harness.h"

#include "daemon/access-section.h"
#include "loaded-config.h"

/* What NSS answers: a number, 0 if there is no such name, or an errno */
static uint32_t found_id;
static int failure;

int __wrap_getpwnam_r(const char *name, struct passwd *record, char *buffer, size_t size, struct passwd **ret);
int __wrap_getpwnam_r(const char *name, struct passwd *record, _unused_ char *buffer, _unused_ size_t size,
                      struct passwd **ret) {
        bool found = failure == 0 && streq(name, "alice");

        record->pw_uid = found_id;
        *ret = found ? record : NULL;
        return failure;
}

int __wrap_getgrnam_r(const char *name, struct group *record, char *buffer, size_t size, struct group **ret);
int __wrap_getgrnam_r(const char *name, struct group *record, _unused_ char *buffer, _unused_ size_t size,
                      struct group **ret) {
        bool found = failure == 0 && (streq(name, "dba") || streq(name, "vspc"));

        record->gr_gid = found_id + (streq(name, "vspc") ? 1 : 0);
        *ret = found ? record : NULL;
        return failure;
}

static char *append(char *text, const char *more) {
        char *joined;

        assert_true(asprintf(&joined, "%s%s", text, more) >= 0);
        free(text);
        return joined;
}

/* "who,…: vms,…: right" for each section, with "; " between them */
static char *show_access(const Config *c) {
        char *text = strdup("");

        for (size_t i = 0; i < c->rights.n_sections; i++) {
                const RightsSection *s = &c->rights.sections[i];

                text = append(text, i > 0 ? "; " : "");
                for (size_t k = 0; k < s->n[RIGHTS_WHO]; k++)
                        text = append(append(text, k > 0 ? "," : ""), s->words[RIGHTS_WHO][k].text);
                text = append(text, ": ");
                for (size_t k = 0; k < s->n[RIGHTS_VMS]; k++)
                        text = append(append(text, k > 0 ? "," : ""), s->words[RIGHTS_VMS][k].text);
                text = append(append(text, ": "), right_to_string(s->may));
        }

        return text;
}

#define SECTION "[Access]\nWho=user:alice\nVMs=db-*\nMay=write\n"
#define SECTION_SHOWN "user:alice: db-*: write"

static const struct {
        const char *text, *want;
} good[] = {
        {SECTION, SECTION_SHOWN},
        {SECTION SECTION, SECTION_SHOWN "; " SECTION_SHOWN},
        {"[Access]\nMay=list\nWho=user:alice\nWho=group:dba cert:CN=monitor anonymous\nVMs=a b\tc\nVMs=d\n",
         "user:alice,group:dba,cert:CN=monitor,anonymous: a,b,c,d: list"},
        {"[Access]\nWho=group:\"domain users\" \"cert:CN=John Doe\"\nVMs=\"two words\" \"\"x\"y\"\nMay=admin\n",
         "group:domain users,cert:CN=John Doe: two words,xy: admin"},
        {"[Access]\nWho=user:alice\nVMs=x\nMay=write\nWho=\nWho=group:dba\nMay=\nMay=list\nVMs=\nVMs=y\n",
         "group:dba: y: list"},
        {"[Access]\nWho=user:1000\n  user:1001\nVMs=a\n b\nMay=watch\n", "user:1000,user:1001: a,b: watch"},
        {"  [Access]\n  Who=user:1000\n  VMs=a\n  May=watch\n", "user:1000: a: watch"},
        {"[Access] ; team\nWho=user:1\nVMs=*\nMay=watch\n[Concentrator]\nClientLimit=3\n" SECTION,
         "user:1: *: watch; " SECTION_SHOWN},
        {"[Access]\nWho=user:1\nVMs=50123456789ABCDEF0123456789ABCDE\nMay=watch\n",
         "user:1: 50123456-789a-bcde-f012-3456789abcde: watch"},
};

static void test_sections_add_up(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_config_ Config c;

                init(&c);
                if (load_text(&c, good[i].text) != 0)
                        fail_msg("%s:\n%s", good[i].text, logged);
                _cleanup_free_ char *shown = show_access(&c);
                assert_string_equal(shown, good[i].want);
                assert_int_equal(problems.doors, DOOR_NONE);
        }
}

static const struct {
        const char *text, *said;
        const char *left; /* of the sections */
} bad[] = {
        {"[Access]\nWho=alice\nVMs=x\nMay=list\n",
         "vspc.conf:2: Who= must be words such as user:alice, group:dba, cert:CN=monitor or anonymous (see vspc.conf(5)), "
         "not \"alice\"\n", ": x: list"},
        {"[Access]\nWho=user:alice anonymus\nVMs=x\nMay=list\n", "vspc.conf:2: Who= must be words", "user:alice: x: list"},
        {"[Access]\nWho=user:alice \"anonymous\nVMs=x\nMay=list\n", "vspc.conf:2: Who= must be words", "user:alice: x: list"},
        {"[Access]\nWho=user:alice\nVMs=\"x\nMay=list\n",
         "vspc.conf:3: VMs= must be patterns of VMs' names such as web* or \"two words\", or UUIDs, not \"x\"\n",
         "user:alice: : list"},
        {"[Access]\nWho=user:alice\nVMs=x\nMay=everything\n",
         "vspc.conf:4: May= must be list, watch, write or admin, not \"everything\"\n", "user:alice: x: nothing"},
        {"[Access]\nWho=user:alice\nVMs=x\nMay=list watch\n", "vspc.conf:4: May= must be", "user:alice: x: nothing"},
        {"[Access]\nVMs=x\nMay=list\n", "vspc.conf:1: Who= is missing in this section [Access]\n", ": x: list"},
        {"[Access]\nWho=user:alice\nMay=list\n", "vspc.conf:1: VMs= is missing in this section [Access]\n", NULL},
        {"[Access]\nWho=user:alice\nVMs=x\n", "vspc.conf:1: May= is missing in this section [Access]\n", NULL},
        {"[Access]\nWho=user:alice\nVMs=x\n" SECTION, "vspc.conf:1: May= is missing in this section [Access]\n", NULL},
        {"[Access]\n" SECTION, "vspc.conf:1: Who= is missing in this section [Access]\n", NULL},
        {SECTION "Whoo=user:bob\n", "vspc.conf:5: Unknown key Whoo= in section [Access]\n", SECTION_SHOWN},
        {SECTION "who=user:bob\n", "vspc.conf:5: Who= belongs in a section [Access], written like this\n", NULL},
        {SECTION "ClientLimit=3\n", "vspc.conf:5: Unknown key ClientLimit= in section [Access]\n", SECTION_SHOWN},
        {SECTION "May\n", "vspc.conf:5: The line is neither a [Section] nor Key=Value\n", SECTION_SHOWN},
        {"[access]\nWho=anonymous\n", "vspc.conf:2: Who= belongs in a section [Access], written like this\n", ""},
        {"[Acces]\nWho=anonymous\n", "vspc.conf:2: Who= belongs in a section [Access], written like this\n", ""},
        {"[ Access ]\nnonsense=x\n", "vspc.conf:2: Unknown key nonsense= in section [ Access ]\n", ""},
        {"[Concentrator]\nVMs=x\n", "vspc.conf:2: VMs= belongs in a section [Access], written like this\n", ""},
        {"Who=x\n", "vspc.conf:1: Who= belongs in a section [Access], written like this\n", ""},
        {"[Access\nWho=anonymous\n", "vspc.conf:1: The line is neither a [Section] nor Key=Value\n", ""},
};

/* On such a mistake a reload changes nothing, and a start takes from the anonymous what they may. */
static void test_a_mistake_is_said_and_closes_the_door_of_the_anonymous(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_config_ Config c;

                init(&c);
                if (load_text(&c, bad[i].text) == 0)
                        fail_msg("it is taken:\n%s", bad[i].text);
                assert_said(bad[i].said);
                if (problems.doors != DOOR_ANONYMOUS)
                        fail_msg("doors are %d: %s", problems.doors, bad[i].text);
                assert_true(problems.n_doubts > 0);
                _cleanup_free_ char *shown = show_access(&c);
                if (bad[i].left)
                        assert_string_equal(shown, bad[i].left);
        }
}

/* Where a line that was to begin a section is missing or is not one, nobody gets what was meant for others. */
static void test_two_sections_do_not_run_into_each_other(_unused_ void **state) {
        static const struct {
                const char *between, *said;
        } cases[] = {
                {"[Access\n", "vspc.conf:5: The line is neither"},
                {"[Access] x\n", "vspc.conf:5: The line is neither"},
                {"[Accsse\n", "vspc.conf:5: The line is neither"},
                {"[Accsse]\n", "vspc.conf:6: Who= belongs in"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[512];
                _cleanup_config_ Config c;

                init(&c);
                snprintf(text, sizeof text, "%s%s%s", SECTION, cases[i].between, "Who=user:bob\nVMs=web\nMay=admin\n");
                assert_true(load_text(&c, text) > 0);
                assert_said(cases[i].said);
                assert_int_equal(problems.doors, DOOR_ANONYMOUS);
                _cleanup_free_ char *shown = show_access(&c);
                assert_string_equal(shown, SECTION_SHOWN);
        }
}

static void test_a_section_without_a_line_of_its_own_is_noticed(_unused_ void **state) {
        _cleanup_config_ Config c;

        init(&c);
        assert_true(load_text(&c, SECTION "Who=user:bob\nVMs=web\nMay=admin\n") > 0);
        assert_said("vspc.conf:7: May= is given twice: each section begins with a line [Access]\n");
        _cleanup_free_ char *shown = show_access(&c);
        assert_string_equal(shown, "user:alice,user:bob: db-*,web: nothing");
}

static void test_more_sections_than_there_may_be_are_refused(_unused_ void **state) {
        static char text[(RIGHTS_SECTIONS_MAX + 2) * sizeof SECTION];
        char *end = text;
        _cleanup_config_ Config c;

        for (unsigned i = 0; i <= RIGHTS_SECTIONS_MAX; i++)
                end = stpcpy(end, SECTION);
        init(&c);
        assert_int_equal(load_text(&c, text), 1);
        assert_said("There are more than 256 sections [Access]\n");
        assert_int_equal(c.rights.n_sections, RIGHTS_SECTIONS_MAX);
        assert_int_equal(problems.doors, DOOR_ANONYMOUS);
}

static void test_more_words_than_there_may_be_are_refused(_unused_ void **state) {
        static char text[RIGHTS_WORDS_MAX * 8] = "[Access]\nWho=user:1\nMay=list\n";
        char *end = text + strlen(text);
        _cleanup_config_ Config c;

        for (unsigned i = 0; i < RIGHTS_WORDS_MAX; i++)
                end = stpcpy(end, "VMs=x\n");
        init(&c);
        assert_int_equal(load_text(&c, text), 1);
        assert_said("There are more than 4096 words in the sections [Access], or one of more than 255 bytes\n");
        assert_int_equal(c.rights.n_words, RIGHTS_WORDS_MAX);
}

static void resolve(Config *c) {
        capture_begin();
        access_resolve(&c->rights, &problems);
        capture_end();
}

static void test_users_and_groups_get_their_numbers(_unused_ void **state) {
        _cleanup_config_ Config c;

        found_id = 1234;
        failure = 0;
        init(&c);
        assert_int_equal(load_text(&c, "[Access]\nWho=user:alice group:dba user:77\nVMs=x\nMay=list\n"), 0);
        resolve(&c);
        assert_int_equal(problems.n, 0);
        for (size_t i = 0; i < 3; i++) {
                assert_true(c.rights.sections[0].words[RIGHTS_WHO][i].known);
                assert_int_equal(c.rights.sections[0].words[RIGHTS_WHO][i].id, i < 2 ? 1234 : 77);
        }
        assert_true(c.rights.has_group);
        assert_int_equal(c.rights.group, 1235);
        assert_int_equal(c.rights.owner, geteuid());
}

static void test_a_name_that_there_is_not_grants_nothing(_unused_ void **state) {
        _cleanup_config_ Config c;

        failure = 0;
        init(&c);
        assert_int_equal(load_text(&c, SECTION "[Access]\nWho=user:bob\nVMs=x\nMay=list\n"), 0);
        resolve(&c);
        assert_int_equal(problems.n, 1);
        assert_said("vspc.conf:5: There is no user named \"bob\": user:bob grants nothing\n");
        assert_int_equal(problems.doors, DOOR_NONE);
        assert_false(c.rights.sections[1].words[RIGHTS_WHO][0].known);
}

/* A reload keeps what is in force then. */
static void test_a_name_that_cannot_be_looked_for_is_a_mistake(_unused_ void **state) {
        _cleanup_config_ Config c;

        failure = EIO;
        init(&c);
        assert_int_equal(load_text(&c, SECTION), 0);
        resolve(&c);
        assert_int_equal(problems.n_doubts, 2);
        assert_said("Cannot look for the group \"vspc\", whose members may do everything: Input/output error\n");
        assert_said("vspc.conf:1: Cannot look for the user \"alice\": Input/output error\n");
        assert_int_equal(problems.doors, DOOR_ANONYMOUS);
        assert_false(c.rights.sections[0].words[RIGHTS_WHO][0].known);
}

static void advise(const char *text, const char *want) {
        _cleanup_config_ Config c;

        init(&c);
        assert_int_equal(load_text(&c, text), 0);
        capture_begin();
        access_advise(&c.rights, &problems);
        capture_end();
        assert_int_equal(problems.n, want ? 1 : 0);
        if (want)
                assert_said(want);
}

static void test_anonymous_clients_that_may_everything_beside_others_are_warned_of(_unused_ void **state) {
        advise(SECTION, "vspc.conf:1: Clients without a name, at 127.0.0.1:13371 and at VM ports, still have all rights");
        advise(SECTION "[Access]\nWho=anonymous\nVMs=*\nMay=admin\n", NULL);
        advise("", NULL);
        advise("[Access]\nWho=anonymous\nVMs=web[12]\nMay=list\n", "brackets are not special: web[12] only matches a name");
        advise("[Access]\nWho=anonymous\nVMs=50123456-789a-bcde-f012-3456789abcd\nMay=list\n",
               "50123456-789a-bcde-f012-3456789abcd is not a valid UUID, so it is taken for a name");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sections_add_up),
                cmocka_unit_test(test_a_mistake_is_said_and_closes_the_door_of_the_anonymous),
                cmocka_unit_test(test_two_sections_do_not_run_into_each_other),
                cmocka_unit_test(test_a_section_without_a_line_of_its_own_is_noticed),
                cmocka_unit_test(test_more_sections_than_there_may_be_are_refused),
                cmocka_unit_test(test_more_words_than_there_may_be_are_refused),
                cmocka_unit_test(test_users_and_groups_get_their_numbers),
                cmocka_unit_test(test_a_name_that_there_is_not_grants_nothing),
                cmocka_unit_test(test_a_name_that_cannot_be_looked_for_is_a_mistake),
                cmocka_unit_test(test_anonymous_clients_that_may_everything_beside_others_are_warned_of),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
