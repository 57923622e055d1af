/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <jansson.h>
#include <stdio.h>

#include "arguments.h"
#include "basic/options.h"
#include "basic/parse.h"
#include "basic/text.h"
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
        "  list [PATTERN…]         List the VMs (this is the default)\n"
        "  show VM…                Show everything that is known about VMs\n"
        "  [attach] VM             Attach to a VM's console\n"
        "  watch VM                Attach to read only\n"
        "  clients [VM…]           Show who is attached\n"
        "  say VM TEXT             Tell those who are attached something\n"
        "  disconnect VM ID…       Disconnect single clients (\"clients\" shows their IDs)\n"
        "  clear VM|PORT…          Disconnect all clients of VMs\n"
        "  forget VM…              Forget VMs that are not connected, and release their ports\n"
        "  monitor                 Show events as they happen\n"
        "  metrics                 Show numbers for monitoring systems\n"
        "  log VM|PATTERN…         Show the output of VMs' consoles (journalctl)\n"
        "\n"
        "A VM is given by its name, its UUID, the beginning of its UUID, or its port; list, show and\n"
        "clients also take patterns of names such as 'web*'.\n"
        "\n"
        "  -h --help               Show this help and exit\n"
        "     --version            Show the version and exit\n"
        "  -H --host=HOST[:PORT]   Connect to vspcd on this host (default port: 13371)\n"
        "     --host=[USER]@HOST   The same by way of ssh, as this user there\n"
        "     --socket=PATH        Connect to this local socket (default: /run/vspc/admin.socket)\n"
        "     --tls                Use TLS (default port: 13372)\n"
        "     --ca=FILE            with --tls: trust these authorities instead of the system's\n"
        "     --fingerprint=SHA256 with --tls: expect the certificate with this fingerprint\n"
        "     --cert=FILE, --key=FILE\n"
        "                          with --tls: your own certificate and its key\n"
        "     --stdio-bridge       Connect the standard input and output to vspcd (for the above)\n"
        "     --ssh-command        Attach to the VM that $SSH_ORIGINAL_COMMAND names (for sshd)\n"
        "     --no-legend          list, clients: show no header and no footer\n"
        "     --no-pager           list, show, clients, log: use no pager\n"
        "     --state=STATE        list: only VMs that are connected, disconnected, migrating or shared\n"
        "     --activity           monitor: also show which VMs say something\n"
        "  -j --json[=short|pretty]\n"
        "                          list, show, clients, monitor: show JSON\n"
        "     --format=openmetrics|prometheus|json\n"
        "                          metrics: the format (default: openmetrics)\n"
        "     --access=MODE        attach: " ACCESS_MODES_TEXT "\n"
        "                          (default: free-for-all-fallback)\n"
        "     --force              attach: take over from those who are in the way\n"
        "     --no-scrollback      attach, watch: show only new output\n"
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
        "  -S --since=TIME, -U --until=TIME, -o --output=FORMAT\n"
        "                          log: as in journalctl\n"
        "     --unit=UNIT          log: show what this unit has logged (default: vspc-logger.service\n"
        "                          and, from earlier versions, vspc.service)\n"
        "\n"
        "While attached, ^] opens a prompt; \"help\" shows its commands. See vspc-client(1).\n";

static int take_json(const Option *o, const char *value, void *target) {
        static const char *const names[] = {[JSON_SHORT] = "short", [JSON_PRETTY] = "pretty"};
        int format = text_find(names, ELEMENTSOF(names), value ?: "short");

        if (format < 0)
                return option_refuse(o, value, "\"short\" or \"pretty\"");

        ((Arguments *) target)->json = (JsonFormat) format;
        return 0;
}

static int take_format(const Option *o, const char *value, void *target) {
        static const char *const names[] = {
                [METRICS_OPENMETRICS] = "openmetrics",
                [METRICS_PROMETHEUS] = "prometheus",
                [METRICS_JSON] = "json",
        };
        int format = text_find(names, ELEMENTSOF(names), value);

        if (format < 0)
                return option_refuse(o, value, "\"openmetrics\", \"prometheus\" or \"json\"");

        ((Arguments *) target)->metrics = (MetricsFormat) format;
        return 0;
}

static int take_access(const Option *o, const char *value, void *target) {
        AccessMode mode;

        if (access_mode_from_string(value, &mode) < 0)
                return option_refuse(o, value, ACCESS_MODES_TEXT);

        ((Arguments *) target)->access = access_mode_to_string(mode);
        return 0;
}

static int take_state(const Option *o, const char *value, void *target) {
        static const char *const names[] = {"connected", "disconnected", "migrating", "shared"};

        if (text_find(names, ELEMENTSOF(names), value) < 0)
                return option_refuse(o, value, "connected, disconnected, migrating or shared");

        ((Arguments *) target)->state = value;
        return 0;
}

static int take_escape(const Option *o, const char *value, void *target) {
        unsigned char second = value[0] ? (unsigned char) value[1] : 0;
        Arguments *a = target;

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
                return option_refuse(o, value, "a character, ^ and a character, or \"none\"");

        return 0;
}

static int take_unit(const Option *o, const char *value, void *target) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";

        if (!*value || strlen(value) > UNIT_NAME_MAX || value[strspn(value, allowed)])
                return option_refuse(o, value, "the name of a unit such as vspc.service");

        ((Arguments *) target)->unit = value;
        return 0;
}

static int take_quiet_for(const Option *o, const char *value, void *target) {
        Arguments *a = target;

        a->quiet_for_given = true;
        if (parse_sec(value, &a->quiet_for_usec) < 0)
                return option_refuse(o, value, "a time span such as 500ms, 10s, 5min or infinity");

        return 0;
}

static int add_journal_word(Arguments *a, const char *word) {
        if (a->n_journal_options >= JOURNAL_OPTIONS_MAX)
                return complain(E2BIG, "There are too many options for journalctl.");

        a->journal_options[a->n_journal_options++] = word;
        return 0;
}

/* Passes the option on: journalctl checks its options itself, and knows which of them have a value. */
static int take_journal(const Option *o, const char *value, void *target) {
        int r = add_journal_word(target, o->text);

        return r >= 0 && value ? add_journal_word(target, value) : r;
}

/* Of vspc-client itself, and of journalctl */
static int take_no_pager(const Option *o, const char *value, void *target) {
        ((Arguments *) target)->no_pager = true;
        return take_journal(o, value, target);
}

#define PLACE(member) .offset = offsetof(Arguments, member)

static const Option options[] = {
        {"host", required_argument, 'H', PLACE(host)},
        {"socket", required_argument, PLACE(socket)},
        {"ssh-command", no_argument, PLACE(ssh_command)},
        {"stdio-bridge", no_argument, PLACE(stdio_bridge)},
        {"tls", no_argument, PLACE(tls)},
        {"ca", required_argument, PLACE(trust_options.ca)},
        {"cert", required_argument, PLACE(trust_options.certificate)},
        {"key", required_argument, PLACE(trust_options.key)},
        {"fingerprint", required_argument, PLACE(trust_options.fingerprint)},
        {"no-legend", no_argument, PLACE(no_legend)},
        {"json", optional_argument, 'j', .take = take_json},
        {"format", required_argument, .take = take_format},
        {"access", required_argument, .take = take_access},
        {"no-scrollback", no_argument, PLACE(no_scrollback)},
        {"force", no_argument, PLACE(force)},
        {"activity", no_argument, PLACE(activity)},
        {"state", required_argument, .take = take_state},
        {"escape", required_argument, .take = take_escape},
        {"wait", no_argument, PLACE(wait)},
        {"quiet-for", required_argument, .take = take_quiet_for},
        {"timeout", required_argument, .take = take_quiet_for}, /* its former name */
        {"unit", required_argument, .take = take_unit},
        {"follow", no_argument, 'f', .take = take_journal, .text = "--follow"},
        {"lines", required_argument, 'n', .take = take_journal, .text = "-n"},
        {"reverse", no_argument, 'r', .take = take_journal, .text = "--reverse"},
        {"grep", required_argument, 'g', .take = take_journal, .text = "--grep"},
        {"boot", optional_argument, 'b', .take = take_journal, .text = "--boot"},
        {"since", required_argument, 'S', .take = take_journal, .text = "--since"},
        {"until", required_argument, 'U', .take = take_journal, .text = "--until"},
        {"output", required_argument, 'o', .take = take_journal, .text = "--output"},
        {"no-pager", no_argument, .take = take_no_pager, .text = "--no-pager"},
};

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
        if (a->tls && bridge_is_meant(a->host))
                return complain(EINVAL, "--tls: with USER@HOST, ssh encrypts.");
        if (a->stdio_bridge && a->host)
                return complain(EINVAL, "--stdio-bridge: only a local socket can be bridged.");
        if (a->trust_options.key && !a->trust_options.certificate)
                return complain(EINVAL, "--key: --cert=FILE is needed as well.");

        return 0;
}

static int find_bridge(Arguments *a) {
        int r = bridge_new(a->host, &a->bridge);
        if (r < 0)
                return r;

        targets_bridged(&a->targets, a->bridge);
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
                return bridge_is_meant(a->host) ? find_bridge(a) : find_host(a);

        if (a->socket)
                return targets_local(&a->targets, a->socket) < 0
                               ? complain(EINVAL, "--socket: \"%s\" is not a path that fits a socket (107 bytes).", a->socket)
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

/* Whatever the command is, it is the name of a VM: it comes from somebody who is to have a console, and nothing else. */
static int take_ssh_command(Arguments *a) {
        static char *command;

        if (a->verb || a->n_words > 0)
                return complain(EINVAL, "--ssh-command: the command that ssh sends takes the place of a verb and a VM.");

        command = getenv("SSH_ORIGINAL_COMMAND");
        a->no_pager = true; /* less can run programs */
        if (!command || !*command)
                return 0;

        a->verb = "attach";
        a->words = &command;
        a->n_words = 1;
        return 0;
}

int arguments_parse(int argc, char *argv[], const char *const *verbs, Arguments *ret) {
        Arguments a = {.escape = ESCAPE_DEFAULT, .quiet_for_usec = USEC_PER_SEC};

        int r = options_parse(&(Options){"vspc-client", help, options, ELEMENTSOF(options), OPTIONS_AND_WORDS}, argc, argv, &a);
        if (r <= 0)
                return r;

        a.verb = find_verb(verbs, argv[optind]);
        a.words = argv + optind + (a.verb ? 1 : 0);
        a.n_words = (size_t) (argv + argc - a.words);
        a.similar_verb = a.verb || a.n_words == 0 ? NULL : similar_verb(verbs, a.words[0]);

        if (!a.verb && a.n_words > 1)
                return refuse_verb(a.words[0], a.similar_verb);

        r = a.ssh_command ? take_ssh_command(&a) : 0;
        if (r < 0)
                return r;

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
        bridge_free(a->bridge);
}
