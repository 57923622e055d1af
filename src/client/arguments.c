/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>

#include "arguments.h"
#include "basic/parse.h"
#include "console/access.h"
#include "message.h"
#include "similar.h"

#define ESCAPE_DEFAULT 0x1d /* ^] */
#define UNIT_NAME_MAX 255U /* systemd.unit(5) */

static const char help[] =
        "vspc-client [OPTION…] [VERB] [VM…]\n"
        "\n"
        "List the serial consoles of vSphere VMs, and attach to them.\n"
        "\n"
        "Verbs:\n"
        "  list                    List the VMs (this is the default)\n"
        "  show VM…                Show everything that is known about VMs\n"
        "  [attach] VM             Attach to a VM's console\n"
        "  clear VM|PORT…          Disconnect all clients of VMs\n"
        "  forget VM…              Forget VMs that are not connected, and release their ports\n"
        "  monitor                 Show events as they happen\n"
        "  metrics                 Show numbers for monitoring systems\n"
        "  log VM|PATTERN…         Show the output of VMs' consoles (journalctl)\n"
        "\n"
        "A VM is given by its name, its UUID, the beginning of its UUID, or its port.\n"
        "\n"
        "  -h --help               Show this help and exit\n"
        "     --version            Show the version and exit\n"
        "  -H --host=HOST[:PORT]   Connect to vspcd on this host (default port: 13371)\n"
        "     --socket=PATH        Connect to this local socket (default: /run/vspc/admin.socket)\n"
        "     --tls                Use TLS (default port: 13372)\n"
        "     --ca=FILE            with --tls: trust these authorities instead of the system's\n"
        "     --fingerprint=SHA256 with --tls: expect the certificate with this fingerprint\n"
        "     --cert=FILE, --key=FILE\n"
        "                          with --tls: your own certificate and its key\n"
        "     --no-legend          list: show no header and no footer\n"
        "     --json[=short|pretty]\n"
        "                          list, show, monitor: show JSON\n"
        "     --format=openmetrics|prometheus|json\n"
        "                          metrics: the format (default: openmetrics)\n"
        "     --access=MODE        attach: " ACCESS_MODES_TEXT "\n"
        "                          (default: free-for-all-fallback)\n"
        "     --no-scrollback      attach: show only new output\n"
        "     --escape=CHAR        attach: escape character: a character, ^X for control-X,\n"
        "                          or none (default: ^])\n"
        "     --wait               attach: wait for vspcd, the VM and access; reconnect\n"
        "     --quiet-for=SPAN     attach: if the input is a pipe or file, exit when it has ended\n"
        "                          and the VM has been silent for this time (default: 1s)\n"
        "  -f --follow             log: show new output as it arrives\n"
        "  -n --lines=N            log: show the last N lines\n"
        "  -r --reverse            log: show the newest lines first\n"
        "  -g --grep=REGEX         log: show only lines that match\n"
        "  -b --boot[=ID]          log: show only lines since this machine was booted, or of another boot\n"
        "  -S --since=TIME, -U --until=TIME, -o --output=FORMAT, --no-pager\n"
        "                          log: as in journalctl\n"
        "     --unit=UNIT          log: show what this unit has logged (default: vspc-logger.service\n"
        "                          and, from earlier versions, vspc.service)\n"
        "\n"
        "While attached, ^] opens a prompt; \"help\" shows its commands. See vspc-client(1).\n";

static int bad(const char *option, const char *value, const char *wanted) {
        return complain(EINVAL, "--%s: \"%s\" is not %s.", option, value, wanted);
}

static int take_json(const char *value, Arguments *a) {
        if (!value || streq(value, "short"))
                a->json = JSON_SHORT;
        else if (streq(value, "pretty"))
                a->json = JSON_PRETTY;
        else
                return bad("json", value, "\"short\" or \"pretty\"");

        return 0;
}

static int take_format(const char *value, Arguments *a) {
        if (streq(value, "openmetrics"))
                a->metrics = METRICS_OPENMETRICS;
        else if (streq(value, "prometheus"))
                a->metrics = METRICS_PROMETHEUS;
        else if (streq(value, "json"))
                a->metrics = METRICS_JSON;
        else
                return bad("format", value, "\"openmetrics\", \"prometheus\" or \"json\"");

        return 0;
}

static int take_access(const char *value, Arguments *a) {
        AccessMode mode;

        if (access_mode_from_string(value, &mode) < 0)
                return bad("access", value, ACCESS_MODES_TEXT);

        a->access = access_mode_to_string(mode);
        return 0;
}

static int take_escape(const char *value, Arguments *a) {
        unsigned char second = value[0] ? (unsigned char) value[1] : 0;

        if (streq(value, "none"))
                a->escape = ESCAPE_NONE;
        else if (value[0] && !second)
                a->escape = (unsigned char) value[0];
        else if (streq(value, "^?"))
                a->escape = 0x7f;
        else if (value[0] == '^' && !value[2] &&
                 ((second >= '@' && second <= '_') || (second >= 'a' && second <= 'z')))
                a->escape = second & 0x1f;
        else
                return bad("escape", value, "a character, ^ and a character, or \"none\"");

        return 0;
}

static int take_unit(const char *value, Arguments *a) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";

        if (!*value || strlen(value) > UNIT_NAME_MAX || value[strspn(value, allowed)])
                return bad("unit", value, "the name of a unit such as vspc.service");

        a->unit = value;
        return 0;
}

/* journalctl checks its options itself. @value: NULL if the option has none */
static int add_journal_option(Arguments *a, const char *name, const char *value) {
        if (a->n_journal_options + 2 > JOURNAL_OPTIONS_MAX)
                return complain(E2BIG, "There are too many options for journalctl.");

        a->journal_options[a->n_journal_options++] = name;
        if (value)
                a->journal_options[a->n_journal_options++] = value;
        return 0;
}

/* journalctl takes the word after it for its value, if it can be one. */
static int take_boot(const char *value, Arguments *a) {
        int r = add_journal_option(a, "--boot", NULL);

        return r >= 0 && value ? add_journal_option(a, value, NULL) : r;
}

static int take_quiet_for(const char *value, Arguments *a) {
        a->quiet_for_given = true;
        if (parse_sec(value, &a->quiet_for_usec) < 0)
                return bad("quiet-for", value, "a time span such as 500ms, 10s, 5min or infinity");

        return 0;
}

static int take_help(_unused_ const char *value, _unused_ Arguments *a) {
        fputs(help, stdout);
        return 1;
}

static int take_version(_unused_ const char *value, _unused_ Arguments *a) {
        puts("vspc-client " VSPC_VERSION);
        return 1;
}

/* Options of one letter; a colon follows those that have a value. */
#define LETTERS "hH:fn:rg:b::S:U:o:"

/* An option is passed on to journalctl; or it has a function that checks and stores its value; or its value is
 * stored as a string, or as true if there is none. Functions return: 0 to continue, 1 to exit, or a negative
 * errno. */
typedef struct Option {
        const char *name;
        int has_value; /* see getopt_long(3) */
        int letter;
        int (*take)(const char *value, Arguments *a);
        size_t offset;
        const char *journal;
} Option;

static const Option options[] = {
        {"help", no_argument, 'h', .take = take_help},
        {"version", no_argument, .take = take_version},
        {"host", required_argument, 'H', .offset = offsetof(Arguments, host)},
        {"socket", required_argument, .offset = offsetof(Arguments, socket)},
        {"tls", no_argument, .offset = offsetof(Arguments, tls)},
        {"ca", required_argument, .offset = offsetof(Arguments, trust_options.ca)},
        {"cert", required_argument, .offset = offsetof(Arguments, trust_options.certificate)},
        {"key", required_argument, .offset = offsetof(Arguments, trust_options.key)},
        {"fingerprint", required_argument, .offset = offsetof(Arguments, trust_options.fingerprint)},
        {"no-legend", no_argument, .offset = offsetof(Arguments, no_legend)},
        {"json", optional_argument, .take = take_json},
        {"format", required_argument, .take = take_format},
        {"access", required_argument, .take = take_access},
        {"no-scrollback", no_argument, .offset = offsetof(Arguments, no_scrollback)},
        {"escape", required_argument, .take = take_escape},
        {"wait", no_argument, .offset = offsetof(Arguments, wait)},
        {"quiet-for", required_argument, .take = take_quiet_for},
        {"timeout", required_argument, .take = take_quiet_for}, /* its former name */
        {"unit", required_argument, .take = take_unit},
        {"follow", no_argument, 'f', .journal = "--follow"},
        {"lines", required_argument, 'n', .journal = "-n"},
        {"reverse", no_argument, 'r', .journal = "--reverse"},
        {"grep", required_argument, 'g', .journal = "--grep"},
        {"boot", optional_argument, 'b', .take = take_boot},
        {"since", required_argument, 'S', .journal = "--since"},
        {"until", required_argument, 'U', .journal = "--until"},
        {"output", required_argument, 'o', .journal = "--output"},
        {"no-pager", no_argument, .journal = "--no-pager"},
};

static int take_option(const Option *o, const char *value, Arguments *a) {
        void *field = (char *) a + o->offset;

        if (o->journal)
                return add_journal_option(a, o->journal, value);
        if (o->take)
                return o->take(value, a);

        if (o->has_value)
                *(const char **) field = value;
        else
                *(bool *) field = true;
        return 0;
}

/* @found: the result of getopt_long(3) at @word */
static int refuse_option(int found, const char *word) {
        if (found == ':')
                return complain(EINVAL, "%s: a value is needed. Try \"vspc-client --help\".", word);
        if (optopt == 0) /* a long one */
                return complain(EINVAL, "Unknown option \"%s\". Try \"vspc-client --help\".", word);
        if (optopt < 256 && !strchr(LETTERS, optopt))
                return complain(EINVAL, "Unknown option \"-%c\". Try \"vspc-client --help\".", optopt);

        return complain(EINVAL, "%s: no value is allowed. Try \"vspc-client --help\".", word);
}

/* Sets optind to the first word after the options. Returns: 0 to continue, 1 to exit, or a negative errno. */
static int take_options(int argc, char *argv[], Arguments *a) {
        struct option all[ELEMENTSOF(options) + 1] = {};
        int found, r = 0;

        for (size_t i = 0; i < ELEMENTSOF(options); i++)
                all[i] = (struct option){.name = options[i].name,
                                         .has_arg = options[i].has_value,
                                         .val = options[i].letter ?: 256 + (int) i};

        /* The colon makes getopt print nothing, because the name of an option may contain any character. */
        while (r == 0 && (found = getopt_long(argc, argv, ":" LETTERS, all, NULL)) >= 0) {
                const Option *o = NULL;

                for (size_t i = 0; i < ELEMENTSOF(options); i++)
                        if (all[i].val == found)
                                o = &options[i];

                r = o ? take_option(o, optarg, a) : refuse_option(found, argv[optind - 1]);
        }

        return r;
}

/* Returns: an option that was given but needs --tls, or NULL. */
static const char *find_trust_option(const TrustOptions *o) {
        return o->ca            ? "ca"
               : o->certificate ? "cert"
               : o->key         ? "key"
               : o->fingerprint ? "fingerprint"
                                : NULL;
}

static int check_whereabouts(const Arguments *a) {
        const char *of_tls = find_trust_option(&a->trust_options);

        if (a->host && a->socket)
                return complain(EINVAL, "--host, --socket: only one of them can be used.");
        if (!a->tls && of_tls)
                return complain(EINVAL, "--%s: --tls is needed as well.", of_tls);
        if (a->tls && a->socket)
                return complain(EINVAL, "--tls: a local socket has no TLS, --host=HOST[:PORT] is needed.");
        if (a->tls && !a->host)
                return complain(EINVAL, "--tls: --host=HOST[:PORT] is needed as well.");
        if (a->trust_options.key && !a->trust_options.certificate)
                return complain(EINVAL, "--key: --cert=FILE is needed as well.");

        return 0;
}

static int find_host(Arguments *a) {
        uint16_t port = a->tls ? TARGET_DEFAULT_TLS_PORT : TARGET_DEFAULT_PORT;
        _cleanup_free_ char *host = NULL;

        int r = targets_resolve(&a->targets, a->host, port, &host);
        if (r >= 0 && a->tls)
                r = trust_new(&a->trust_options, host, &a->trust);

        a->targets.trust = a->trust;
        return r;
}

static int find_vspcd(Arguments *a) {
        int r = check_whereabouts(a);
        if (r < 0)
                return r;

        if (a->host)
                return find_host(a);

        if (a->socket)
                return targets_local(&a->targets, a->socket) < 0
                               ? bad("socket", a->socket, "a path that fits a socket (107 bytes)")
                               : 0;

        targets_default(&a->targets);
        return 0;
}

/* Varlink requires UTF-8. */
static int check_words(char **words, size_t n) {
        for (size_t i = 0; i < n; i++) {
                json_t *text = json_string(words[i]);
                if (!text)
                        return complain(EINVAL, "\"%s\" is not UTF-8, so it cannot name a VM.", words[i]);
                json_decref(text);
        }

        return 0;
}

static int refuse_verb(const char *word, const char *similar) {
        static const char help_hint[] = "\"vspc-client --help\" lists all verbs.";

        if (similar)
                return complain(EINVAL, "Unknown verb \"%s\". Did you mean \"%s\"? %s", word, similar, help_hint);

        return complain(EINVAL, "Unknown verb \"%s\". %s", word, help_hint);
}

static const char *find_verb(const char *const *verbs, const char *word) {
        for (; word && *verbs; verbs++)
                if (streq(*verbs, word))
                        return *verbs;

        return NULL;
}

int arguments_parse(int argc, char *argv[], const char *const *verbs, Arguments *ret) {
        Arguments a = {.escape = ESCAPE_DEFAULT, .quiet_for_usec = USEC_PER_SEC};

        int r = take_options(argc, argv, &a);
        if (r != 0)
                return MIN(r, 0);

        a.verb = find_verb(verbs, argv[optind]);
        a.words = argv + optind + (a.verb ? 1 : 0);
        a.n_words = (size_t) (argv + argc - a.words);
        a.similar_verb = a.verb || a.n_words == 0 ? NULL : similar_verb(verbs, a.words[0]);

        if (!a.verb && a.n_words > 1)
                return refuse_verb(a.words[0], a.similar_verb);

        r = check_words(a.words, a.n_words);
        if (r < 0)
                return r;

        r = find_vspcd(&a);
        if (r < 0)
                return r;

        *ret = a;
        return 1;
}

void arguments_done(Arguments *a) {
        trust_free(a->trust);
}
