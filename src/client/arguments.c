/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>

#include "arguments.h"
#include "basic/parse.h"
#include "message.h"
#include "similar.h"
#include "vm.h"

#define ESCAPE_DEFAULT 0x1d /* ^] */
#define UNIT_DEFAULT "vspc.service"
#define UNIT_NAME_MAX 255U /* systemd.unit(5) */

static void help(void) {
        printf("vspc-client [OPTION…] [VERB] [VM…]\n"
               "\n"
               "Ask vspcd about the serial consoles of vSphere VMs, and attach to them.\n"
               "\n"
               "Verbs:\n"
               "  list                    List the VMs (this is the default)\n"
               "  show VM…                Show what is known about VMs\n"
               "  [attach] VM             Attach to a VM's console\n"
               "  clear VM|PORT…          Disconnect all clients of VMs\n"
               "  forget VM…              Forget VMs that are not connected, and give up their ports\n"
               "  monitor                 Show what happens\n"
               "  metrics                 Show numbers for monitoring\n"
               "  log VM                  Show what a VM's console has said (journalctl)\n"
               "\n"
               "A VM is named by its name, its UUID, the beginning of its UUID, or its port.\n"
               "\n"
               "  -h --help               Show this help and exit\n"
               "     --version            Show the version and exit\n"
               "  -H --host=HOST[:PORT]   Ask vspcd on this host (default port: 13371)\n"
               "     --socket=PATH        Ask at this local socket (default: /run/vspc/admin.socket)\n"
               "     --tls                Ask the host in TLS (default port: 13372)\n"
               "     --ca=FILE            with --tls: certificates to trust instead of the system's\n"
               "     --fingerprint=SHA256 with --tls: its certificate is this one\n"
               "     --cert=FILE, --key=FILE\n"
               "                          with --tls: our own certificate, and its key\n"
               "     --no-legend          list: no header and no footer\n"
               "     --json[=short|pretty]\n"
               "                          list, show, monitor: as JSON\n"
               "     --format=openmetrics|prometheus|json\n"
               "                          metrics: how they are written (default: openmetrics)\n"
               "     --access=MODE        attach: exclusive, write, free-for-all or free-for-all-fallback\n"
               "                          (default: free-for-all-fallback)\n"
               "     --no-scrollback      attach: only what the VM says from now on\n"
               "     --escape=CHAR        attach: a character, ^X for control-X, or none (default: ^])\n"
               "     --wait               attach: wait for vspcd and the VM, attach again if cut off\n"
               "     --quiet-for=SPAN     attach: with a pipe or file for input, end once that has ended\n"
               "                          and nothing has come or gone for so long (default: 1s)\n"
               "  -f --follow             log: go on as the VM goes on\n"
               "  -n --lines=N            log: the last N lines\n"
               "     --unit=UNIT          log: what this unit has logged (default: vspc.service)\n"
               "     --since=TIME, --until=TIME, --output=FORMAT, --no-pager\n"
               "                          log: as journalctl has them\n"
               "\n"
               "In an attached console ^] opens a prompt: type help there. More in vspc-client(1).\n");
}

static int bad(const char *option, const char *value, const char *wanted) {
        return complain(EINVAL, "--%s: \"%s\" is not %s.", option, value, wanted);
}

static int get_json(const char *value, JsonFormat *ret) {
        if (!value || streq(value, "short"))
                *ret = JSON_SHORT;
        else if (streq(value, "pretty"))
                *ret = JSON_PRETTY;
        else
                return bad("json", value, "\"short\" or \"pretty\"");

        return 0;
}

static int get_format(const char *value, MetricsFormat *ret) {
        if (streq(value, "openmetrics"))
                *ret = METRICS_OPENMETRICS;
        else if (streq(value, "prometheus"))
                *ret = METRICS_PROMETHEUS;
        else if (streq(value, "json"))
                *ret = METRICS_JSON;
        else
                return bad("format", value, "\"openmetrics\", \"prometheus\" or \"json\"");

        return 0;
}

static int get_access(const char *value, const char **ret) {
        const char *access = access_from_option(value);

        if (!access)
                return bad("access", value,
                           "\"exclusive\", \"write\", \"free-for-all\" or \"free-for-all-fallback\"");

        *ret = access;
        return 0;
}

static int get_escape(const char *value, int *ret) {
        unsigned char second = value[0] ? (unsigned char) value[1] : 0;

        if (streq(value, "none"))
                *ret = ESCAPE_NONE;
        else if (value[0] && !second)
                *ret = (unsigned char) value[0];
        else if (streq(value, "^?"))
                *ret = 0x7f;
        else if (value[0] == '^' && !value[2] &&
                 ((second >= '@' && second <= '_') || (second >= 'a' && second <= 'z')))
                *ret = second & 0x1f;
        else
                return bad("escape", value, "a character, ^ and a character, or \"none\"");

        return 0;
}

static int get_unit(const char *value, const char **ret) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";

        if (!*value || strlen(value) > UNIT_NAME_MAX || value[strspn(value, allowed)])
                return bad("unit", value, "the name of a unit such as vspc.service");

        *ret = value;
        return 0;
}

/* For journalctl, which says itself what is wrong with it. @value: NULL if it has none. */
static int add_journal_option(Arguments *a, const char *name, const char *value) {
        if (a->n_journal_options + 2 > JOURNAL_OPTIONS_MAX)
                return complain(E2BIG, "There are too many options for journalctl.");

        a->journal_options[a->n_journal_options++] = name;
        if (value)
                a->journal_options[a->n_journal_options++] = value;
        return 0;
}

static int get_quiet_for(const char *value, usec_t *ret) {
        if (parse_sec(value, ret) < 0)
                return bad("quiet-for", value, "a time span such as 500ms, 10s, 5min or infinity");

        return 0;
}

/* Where vspcd is, as it is said */
typedef struct Whereabouts {
        const char *host, *path;
        bool tls;
        TrustOptions trust;
} Whereabouts;

/* Returns: the option that says something about TLS, or NULL. */
static const char *find_trust_option(const TrustOptions *o) {
        return o->ca            ? "ca"
               : o->certificate ? "cert"
               : o->key         ? "key"
               : o->fingerprint ? "fingerprint"
                                : NULL;
}

static int check_whereabouts(const Whereabouts *w) {
        const char *of_tls = find_trust_option(&w->trust);

        if (w->host && w->path)
                return complain(EINVAL, "--host and --socket exclude each other: vspcd is in one place.");
        if (!w->tls && of_tls)
                return complain(EINVAL, "--%s is about TLS: it wants --tls.", of_tls);
        if (w->tls && w->path)
                return complain(EINVAL, "--tls and --socket exclude each other: the local socket is not in TLS.");
        if (w->tls && !w->host)
                return complain(EINVAL, "--tls wants to know where vspcd is: --host=HOST[:PORT].");
        if (w->trust.key && !w->trust.certificate)
                return complain(EINVAL, "--key is a certificate's: it wants --cert=FILE.");

        return 0;
}

static int find_host(const Whereabouts *w, Arguments *a) {
        _cleanup_free_ char *host = NULL, *problem = NULL;

        int r = targets_resolve(&a->targets, w->host, w->tls ? TARGET_DEFAULT_TLS_PORT : TARGET_DEFAULT_PORT,
                                &host, &problem);
        if (r >= 0 && w->tls)
                r = trust_new(&w->trust, host, &a->trust, &problem);
        if (r < 0)
                return complain(r, "%s", problem ?: "Out of memory");

        a->targets.trust = a->trust;
        return 0;
}

static int find_vspcd(const Whereabouts *w, Arguments *a) {
        int r = check_whereabouts(w);
        if (r < 0)
                return r;

        if (w->host)
                return find_host(w, a);

        if (w->path)
                return targets_local(&a->targets, w->path) < 0
                               ? bad("socket", w->path, "a path that fits a socket (107 bytes)")
                               : 0;

        targets_default(&a->targets);
        return 0;
}

/* Varlink can say nothing that is not UTF-8. */
static int check_words(char **words, size_t n) {
        for (size_t i = 0; i < n; i++) {
                json_t *text = json_string(words[i]);
                if (!text)
                        return complain(EINVAL, "\"%s\" names no VM: it is not UTF-8.", words[i]);
                json_decref(text);
        }

        return 0;
}

static int refuse_verb(const char *word, const char *similar) {
        if (similar)
                return complain(EINVAL, "No verb \"%s\". Did you mean \"%s\"? \"vspc-client --help\" lists all verbs.", word,
                                similar);

        return complain(EINVAL, "No verb \"%s\". \"vspc-client --help\" lists the verbs.", word);
}

static const char *find_verb(const char *const *verbs, const char *word) {
        for (; word && *verbs; verbs++)
                if (streq(*verbs, word))
                        return *verbs;

        return NULL;
}

enum {
        OPTION_VERSION = 256,
        OPTION_SOCKET,
        OPTION_TLS,
        OPTION_CA,
        OPTION_CERT,
        OPTION_KEY,
        OPTION_FINGERPRINT,
        OPTION_NO_LEGEND,
        OPTION_JSON,
        OPTION_FORMAT,
        OPTION_ACCESS,
        OPTION_NO_SCROLLBACK,
        OPTION_ESCAPE,
        OPTION_WAIT,
        OPTION_QUIET_FOR,
        OPTION_UNIT,
        OPTION_SINCE,
        OPTION_UNTIL,
        OPTION_OUTPUT,
        OPTION_NO_PAGER,
};

static const struct option options[] = {
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, OPTION_VERSION},
        {"host", required_argument, NULL, 'H'},
        {"socket", required_argument, NULL, OPTION_SOCKET},
        {"tls", no_argument, NULL, OPTION_TLS},
        {"ca", required_argument, NULL, OPTION_CA},
        {"cert", required_argument, NULL, OPTION_CERT},
        {"key", required_argument, NULL, OPTION_KEY},
        {"fingerprint", required_argument, NULL, OPTION_FINGERPRINT},
        {"no-legend", no_argument, NULL, OPTION_NO_LEGEND},
        {"json", optional_argument, NULL, OPTION_JSON},
        {"format", required_argument, NULL, OPTION_FORMAT},
        {"access", required_argument, NULL, OPTION_ACCESS},
        {"no-scrollback", no_argument, NULL, OPTION_NO_SCROLLBACK},
        {"escape", required_argument, NULL, OPTION_ESCAPE},
        {"wait", no_argument, NULL, OPTION_WAIT},
        {"quiet-for", required_argument, NULL, OPTION_QUIET_FOR},
        {"timeout", required_argument, NULL, OPTION_QUIET_FOR}, /* its first name */
        {"follow", no_argument, NULL, 'f'},
        {"lines", required_argument, NULL, 'n'},
        {"unit", required_argument, NULL, OPTION_UNIT},
        {"since", required_argument, NULL, OPTION_SINCE},
        {"until", required_argument, NULL, OPTION_UNTIL},
        {"output", required_argument, NULL, OPTION_OUTPUT},
        {"no-pager", no_argument, NULL, OPTION_NO_PAGER},
        {},
};

/* Returns: 0 to go on, 1 if all is done, a negative errno. */
static int take_option(int option, Arguments *a, Whereabouts *w) {
        switch (option) {

        case 'h':
                help();
                return 1;

        case OPTION_VERSION:
                puts("vspc-client " VSPC_VERSION);
                return 1;

        case 'H':
                w->host = optarg;
                return 0;

        case OPTION_SOCKET:
                w->path = optarg;
                return 0;

        case OPTION_TLS:
                w->tls = true;
                return 0;

        case OPTION_CA:
                w->trust.ca = optarg;
                return 0;

        case OPTION_CERT:
                w->trust.certificate = optarg;
                return 0;

        case OPTION_KEY:
                w->trust.key = optarg;
                return 0;

        case OPTION_FINGERPRINT:
                w->trust.fingerprint = optarg;
                return 0;

        case OPTION_NO_LEGEND:
                a->no_legend = true;
                return 0;

        case OPTION_JSON:
                return get_json(optarg, &a->json);

        case OPTION_FORMAT:
                return get_format(optarg, &a->metrics);

        case OPTION_ACCESS:
                return get_access(optarg, &a->access);

        case OPTION_NO_SCROLLBACK:
                a->no_scrollback = true;
                return 0;

        case OPTION_ESCAPE:
                return get_escape(optarg, &a->escape);

        case OPTION_WAIT:
                a->wait = true;
                return 0;

        case OPTION_QUIET_FOR:
                a->quiet_for_given = true;
                return get_quiet_for(optarg, &a->quiet_for);

        case 'f':
                return add_journal_option(a, "--follow", NULL);

        case 'n':
                return add_journal_option(a, "-n", optarg);

        case OPTION_UNIT:
                return get_unit(optarg, &a->unit);

        case OPTION_SINCE:
                return add_journal_option(a, "--since", optarg);

        case OPTION_UNTIL:
                return add_journal_option(a, "--until", optarg);

        case OPTION_OUTPUT:
                return add_journal_option(a, "--output", optarg);

        case OPTION_NO_PAGER:
                return add_journal_option(a, "--no-pager", NULL);

        default: /* getopt has said why */
                fputs("Try \"vspc-client --help\".\n", stderr);
                return -EINVAL;
        }
}

int arguments_parse(int argc, char *argv[], const char *const *verbs, Arguments *ret) {
        Arguments a = {.escape = ESCAPE_DEFAULT, .quiet_for = USEC_PER_SEC, .unit = UNIT_DEFAULT};
        Whereabouts whereabouts = {};
        int option;

        while ((option = getopt_long(argc, argv, "hH:fn:", options, NULL)) >= 0) {
                int r = take_option(option, &a, &whereabouts);
                if (r != 0)
                        return MIN(r, 0);
        }

        a.verb = find_verb(verbs, argv[optind]);
        a.words = argv + optind + (a.verb ? 1 : 0);
        a.n_words = (size_t) (argv + argc - a.words);
        a.similar_verb = a.verb || a.n_words == 0 ? NULL : similar_verb(verbs, a.words[0]);

        if (!a.verb && a.n_words > 1)
                return refuse_verb(a.words[0], a.similar_verb);

        int r = check_words(a.words, a.n_words);
        if (r < 0)
                return r;

        r = find_vspcd(&whereabouts, &a);
        if (r < 0)
                return r;

        *ret = a;
        return 1;
}

void arguments_done(Arguments *a) {
        trust_free(a->trust);
}
