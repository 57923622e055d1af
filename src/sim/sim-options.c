/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <getopt.h>
#include <stdio.h>

#include "basic/hash.h"
#include "basic/log.h"
#include "sim-options.h"
#include "telnet/vmware.h"

#define DEFAULT_CONNECT "127.0.0.1:13370"
#define COUNT_MAX 1000000U
#define HOSTS_MAX 65534U

static void help(void) {
        printf("%s [OPTIONS…]\n\n"
               "Simulate ESXi hosts with VMs whose serial ports connect to a concentrator.\n\n"
               "  -h --help                 Show this help\n"
               "     --version              Show the version\n"
               "  -v --verbose              Show each step of each VM\n"
               "\nVMs:\n"
               "     --connect=HOST:PORT    The concentrator (default: " DEFAULT_CONNECT ")\n"
               "  -n --count=N              Number of VMs (default: 1)\n"
               "     --name=NAME            Name; -1, -2, … is appended if there are several (default: sim)\n"
               "     --uuid=UUID            UUID of the first VM (default: derived from the name)\n"
               "     --uri=URI              Port URI (default: s0)\n"
               "     --direction=S|C        Server or client (default: S)\n"
               "\nThe guest at the serial port:\n"
               "     --rate=RATE            Write numbered lines at this rate (bytes per second), or as fast as\n"
               "                            possible with \"max\"\n"
               "     --bytes=N              End the output after this number of bytes\n"
               "     --source=FILE          Write this file; - is the standard input\n"
               "     --sink=FILE            Write what clients type to this file; - is the standard output\n"
               "     --echo                 Write back what clients type\n"
               "  -e --exec=CMD             Run a command at the serial port\n"
               "     --pipe                 Connect the command with pipes (8-bit clean) instead of a pty\n"
               "     --exec-once            Do not start the command again once it has ended\n"
               "     --serial=HOST:PORT     Connect the serial port to a machine whose serial port is a telnet\n"
               "                            server, such as QEMU with -serial telnet:HOST:PORT,server\n"
               "\nvMotion:\n"
               "     --vmotion=EVERY        Move each VM to another host at this interval\n"
               "     --vmotions=N           Stop after a total of N vMotions of all VMs\n"
               "     --abort[=N]            Abort each vMotion, or each Nth, after the target has been accepted\n"
               "     --notnow-goes-on       Begin vMotions too early, too, and continue when they are refused\n"
               "\nThe connection:\n"
               "     --hosts=N              Number of hosts; each has its own address: 127.0.0.1, 127.0.0.2, …\n"
               "     --in-flight=N          Number of simultaneous handshakes (default: 64)\n"
               "     --reconnect=SPAN       Time to wait before reconnecting (default: 1s)\n"
               "     --no-reconnect         Do not reconnect\n"
               "     --drop=EVERY           Each VM drops its connection at about this interval\n"
               "     --split=N              Send at most N bytes at a time\n"
               "     --coalesce             Send the answers of the handshake in as few TCP segments as possible\n"
               "     --dead                 Stop reading after the handshake\n"
               "     --tls[=HOW]            Use TLS: \"telnets\": from the first byte (the default);\n"
               "                            \"start\": when the concentrator asks for it in telnet;\n"
               "                            \"some\": for every other host\n"
               "     --resume               Resume TLS sessions\n"
               "\nThe end:\n"
               "     --for=SPAN             End after this time\n"
               "     --exit-when-connected  End as soon as all VMs are connected and have sent their names\n"
               "     --json                 Print the results as a JSON object\n"
               "\nWithout --for, --sink, --echo, --exec and --serial it also ends when the output of --source or\n"
               "--bytes has been sent and the --vmotions have been made.\n"
               "SPAN and EVERY are time spans: 500ms, 10s, 5min. N and RATE are numbers: 4096, 64K, 1M.\n",
               program_invocation_short_name);
}

/* "192.0.2.1:13370", "[2001:db8::1]:13370" */
static int parse_host_and_port(const char *text, SocketAddress *ret) {
        const char *colon = strrchr(text, ':');
        char host[INET6_ADDRSTRLEN + 2];
        SocketAddress address;
        uint64_t port;

        if (!colon || (size_t) (colon - text) >= sizeof host ||
            parse_unsigned(colon + 1, 65535, &port) < 0 || port == 0)
                return -EINVAL;

        size_t n = (size_t) (colon - text);
        bool bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
        if (bracketed) {
                text++;
                n -= 2;
        }

        memcpy(host, text, n);
        host[n] = 0;
        if (address_parse(host, &address) < 0 || bracketed != (address.any.sa_family == AF_INET6))
                return -EINVAL;

        address_set_port(&address, (uint16_t) port);
        *ret = address;
        return 0;
}

/* A name has the same UUIDs in each run. ESXi's UUIDs begin with 50. */
static void uuid_from_name(const char *name, uint8_t ret[static 16]) {
        uint64_t high = fnv1a_text(name), low = fnv1a(high, "uuid", 4);

        memcpy(ret, &high, 8);
        memcpy(ret + 8, &low, 8);
        ret[0] = 0x50;
        /* Room to count upwards without an overflow. */
        memset(ret + 12, 0, 4);
}

static int bad(const char *option, const char *value, const char *wanted) {
        log_error("--%s: \"%s\" is not %s.", option, value, wanted);
        return -EINVAL;
}

static int get_span(const char *option, const char *value, usec_t *ret) {
        if (parse_sec(value, ret) < 0 || *ret == 0)
                return bad(option, value, "a time span such as 500ms, 10s or 5min");

        return 0;
}

static int get_size(const char *option, const char *value, uint64_t *ret) {
        if (parse_size(value, ret) < 0 || *ret == 0)
                return bad(option, value, "a size such as 4096, 64K or 1M");

        return 0;
}

static int get_number(const char *option, const char *value, uint64_t max, uint64_t *ret) {
        char wanted[64];

        if (parse_unsigned(value, max, ret) >= 0 && *ret > 0)
                return 0;

        snprintf(wanted, sizeof wanted, "a number from 1 to %llu", (unsigned long long) max);
        return bad(option, value, wanted);
}

static int get_unsigned(const char *option, const char *value, unsigned max, unsigned *ret) {
        uint64_t number;

        int r = get_number(option, value, max, &number);
        if (r < 0)
                return r;

        *ret = (unsigned) number;
        return 0;
}

static int get_security(const char *option, const char *value, EsxiSecurity *ret) {
        static const char *const names[] = {
                [ESXI_TELNETS] = "telnets",
                [ESXI_START_TLS] = "start",
                [ESXI_SOME_TELNETS] = "some",
        };

        for (size_t i = ESXI_TELNETS; i < ELEMENTSOF(names); i++)
                if (streq(names[i], value)) {
                        *ret = (EsxiSecurity) i;
                        return 0;
                }

        return bad(option, value, "a way to speak TLS: telnets, start or some");
}

static int get_rate(const char *option, const char *value, uint64_t *ret) {
        if (!streq(value, "max"))
                return get_size(option, value, ret);

        *ret = RATE_MAX;
        return 0;
}

static int get_split(const char *option, const char *value, size_t *ret) {
        uint64_t size;

        int r = get_size(option, value, &size);
        if (r >= 0)
                *ret = (size_t) MIN(size, (uint64_t) SIZE_MAX);

        return r;
}

/* Checks the combination of options, each of which is valid. */
static int check(const SimOptions *o) {
        const char *problem = NULL;

        if ((o->source != NULL) + (o->command != NULL) + o->serial_given + (o->rate != RATE_NONE && !o->source) > 1)
                problem = "A VM's output is one of --rate, --source, --exec and --serial, not several of them "
                          "(--rate with --source limits its speed).";
        else if (o->bytes != UINT64_MAX && o->rate == RATE_NONE && !o->source)
                problem = "--bytes limits the output, but there is none: add --rate=max or --source=FILE.";
        else if ((o->pipe || o->exec_once) && !o->command)
                problem = "--pipe and --exec-once need --exec=CMD.";
        else if (o->sink && o->count > 1)
                problem = "--sink works with one VM only: leave out --count.";
        else if (o->serial_given && o->count > 1)
                problem = "--serial works with one VM only: leave out --count.";
        else if (o->source && streq(o->source, "-") && o->count > 1)
                problem = "--source=- can be read by one VM only: leave out --count, or name a file.";
        else if (o->sink && streq(o->sink, "-") && o->json)
                problem = "--sink=- and --json both use the standard output: name a file for one of them.";
        else if ((o->abort_each > 0 || o->n_vmotions != UINT64_MAX) && o->vmotion_interval_usec == USEC_INFINITY)
                problem = "--abort and --vmotions need --vmotion=EVERY to say how often.";
        else if (o->dead && (o->vmotion_interval_usec != USEC_INFINITY || o->echo || o->sink || o->command || o->serial_given))
                problem = "--dead reads nothing, so it cannot be combined with --vmotion, --echo, --sink, --exec or --serial.";
        else if (o->hosts.count > 1 && (o->hosts.concentrator.any.sa_family != AF_INET ||
                                        !address_is_loopback(&o->hosts.concentrator)))
                problem = "--hosts uses addresses of the loopback network, so the concentrator of --connect "
                          "must be there as well (127.0.0.1:13370).";
        else if (o->hosts.resume && o->hosts.security == ESXI_PLAIN)
                problem = "--resume needs --tls.";

        if (!problem)
                return 0;

        log_error("%s", problem);
        return -EINVAL;
}

enum {
        ARG_VERSION = 0x100,
        ARG_CONNECT,
        ARG_NAME,
        ARG_UUID,
        ARG_URI,
        ARG_DIRECTION,
        ARG_RATE,
        ARG_BYTES,
        ARG_SOURCE,
        ARG_SINK,
        ARG_ECHO,
        ARG_PIPE,
        ARG_EXEC_ONCE,
        ARG_SERIAL,
        ARG_VMOTION,
        ARG_VMOTIONS,
        ARG_ABORT,
        ARG_NOTNOW_GOES_ON,
        ARG_HOSTS,
        ARG_IN_FLIGHT,
        ARG_RECONNECT,
        ARG_NO_RECONNECT,
        ARG_DROP,
        ARG_SPLIT,
        ARG_COALESCE,
        ARG_DEAD,
        ARG_TLS,
        ARG_RESUME,
        ARG_FOR,
        ARG_EXIT_WHEN_CONNECTED,
        ARG_JSON,
};

static const struct option options[] = {
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, ARG_VERSION},
        {"verbose", no_argument, NULL, 'v'},
        {"connect", required_argument, NULL, ARG_CONNECT},
        {"count", required_argument, NULL, 'n'},
        {"name", required_argument, NULL, ARG_NAME},
        {"uuid", required_argument, NULL, ARG_UUID},
        {"uri", required_argument, NULL, ARG_URI},
        {"direction", required_argument, NULL, ARG_DIRECTION},
        {"rate", required_argument, NULL, ARG_RATE},
        {"bytes", required_argument, NULL, ARG_BYTES},
        {"source", required_argument, NULL, ARG_SOURCE},
        {"sink", required_argument, NULL, ARG_SINK},
        {"echo", no_argument, NULL, ARG_ECHO},
        {"exec", required_argument, NULL, 'e'},
        {"pipe", no_argument, NULL, ARG_PIPE},
        {"exec-once", no_argument, NULL, ARG_EXEC_ONCE},
        {"serial", required_argument, NULL, ARG_SERIAL},
        {"vmotion", required_argument, NULL, ARG_VMOTION},
        {"vmotions", required_argument, NULL, ARG_VMOTIONS},
        {"abort", optional_argument, NULL, ARG_ABORT},
        {"notnow-goes-on", no_argument, NULL, ARG_NOTNOW_GOES_ON},
        {"hosts", required_argument, NULL, ARG_HOSTS},
        {"in-flight", required_argument, NULL, ARG_IN_FLIGHT},
        {"reconnect", required_argument, NULL, ARG_RECONNECT},
        {"no-reconnect", no_argument, NULL, ARG_NO_RECONNECT},
        {"drop", required_argument, NULL, ARG_DROP},
        {"split", required_argument, NULL, ARG_SPLIT},
        {"coalesce", no_argument, NULL, ARG_COALESCE},
        {"dead", no_argument, NULL, ARG_DEAD},
        {"tls", optional_argument, NULL, ARG_TLS},
        {"resume", no_argument, NULL, ARG_RESUME},
        {"for", required_argument, NULL, ARG_FOR},
        {"exit-when-connected", no_argument, NULL, ARG_EXIT_WHEN_CONNECTED},
        {"json", no_argument, NULL, ARG_JSON},
        {},
};

/* @name: of the option. Returns: 0 to continue, 1 to exit, or a negative errno after a message. */
static int take_option(int option, const char *name, SimOptions *o) {
        switch (option) {

        case 'h':
                help();
                return 1;

        case ARG_VERSION:
                printf("vspc-sim %s\n", VSPC_VERSION);
                return 1;

        case 'v':
                o->verbose = true;
                return 0;

        case ARG_CONNECT:
                if (parse_host_and_port(optarg, &o->hosts.concentrator) < 0)
                        return bad(name, optarg, "an address and a port such as 127.0.0.1:13370 or [::1]:13370");
                return 0;

        case 'n':
                return get_unsigned(name, optarg, COUNT_MAX, &o->count);

        case ARG_NAME:
                if (!*optarg || strlen(optarg) > SIM_NAME_MAX)
                        return bad(name, optarg, "a name of 1 to 200 bytes");
                o->name = optarg;
                return 0;

        case ARG_UUID:
                if (vmware_parse_uuid((const uint8_t *) optarg, strlen(optarg), o->uuid) < 0)
                        return bad(name, optarg, "a UUID (32 hex digits, dashes and spaces as you like)");
                o->uuid_given = true;
                return 0;

        case ARG_URI:
                if (strlen(optarg) > TELNET_SUBNEGOTIATION_MAX - 2)
                        return bad(name, optarg, "short enough for a service URI (1022 bytes)");
                o->uri = optarg;
                return 0;

        case ARG_DIRECTION:
                if (!streq(optarg, "S") && !streq(optarg, "C"))
                        return bad(name, optarg, "a direction: S (server) or C (client)");
                o->direction = optarg[0];
                return 0;

        case ARG_RATE:
                return get_rate(name, optarg, &o->rate);

        case ARG_BYTES:
                return get_size(name, optarg, &o->bytes);

        case ARG_SOURCE:
                o->source = optarg;
                return 0;

        case ARG_SINK:
                o->sink = optarg;
                return 0;

        case ARG_ECHO:
                o->echo = true;
                return 0;

        case 'e':
                o->command = optarg;
                return 0;

        case ARG_PIPE:
                o->pipe = true;
                return 0;

        case ARG_EXEC_ONCE:
                o->exec_once = true;
                return 0;

        case ARG_SERIAL:
                if (parse_host_and_port(optarg, &o->serial) < 0)
                        return bad(name, optarg, "an address and a port such as 127.0.0.1:4444 or [::1]:4444");
                o->serial_given = true;
                return 0;

        case ARG_VMOTION:
                return get_span(name, optarg, &o->vmotion_interval_usec);

        case ARG_VMOTIONS:
                return get_number(name, optarg, UINT32_MAX, &o->n_vmotions);

        case ARG_ABORT:
                return get_unsigned(name, optarg ?: "1", UINT32_MAX, &o->abort_each);

        case ARG_NOTNOW_GOES_ON:
                o->begin_early = true;
                return 0;

        case ARG_HOSTS:
                return get_unsigned(name, optarg, HOSTS_MAX, &o->hosts.count);

        case ARG_IN_FLIGHT:
                return get_unsigned(name, optarg, COUNT_MAX, &o->in_flight);

        case ARG_RECONNECT:
                return get_span(name, optarg, &o->reconnect_usec);

        case ARG_NO_RECONNECT:
                o->reconnect_usec = USEC_INFINITY;
                return 0;

        case ARG_DROP:
                return get_span(name, optarg, &o->drop_interval_usec);

        case ARG_SPLIT:
                return get_split(name, optarg, &o->hosts.split);

        case ARG_COALESCE:
                o->hosts.coalesce = true;
                return 0;

        case ARG_DEAD:
                o->dead = true;
                return 0;

        case ARG_TLS:
                return get_security(name, optarg ?: "telnets", &o->hosts.security);

        case ARG_RESUME:
                o->hosts.resume = true;
                return 0;

        case ARG_FOR:
                return get_span(name, optarg, &o->run_for_usec);

        case ARG_EXIT_WHEN_CONNECTED:
                o->exit_when_connected = true;
                return 0;

        case ARG_JSON:
                o->json = true;
                return 0;

        default: /* getopt_long() has shown a message */
                fprintf(stderr, "Try %s --help.\n", program_invocation_short_name);
                return -EINVAL;
        }
}

int sim_options_parse(int argc, char **argv, SimOptions *ret) {
        SimOptions o = {
                .hosts.count = 1,
                .in_flight = 64,
                .reconnect_usec = USEC_PER_SEC,
                .drop_interval_usec = USEC_INFINITY,
                .count = 1,
                .name = "sim",
                .uri = "s0",
                .direction = VMWARE_DIRECTION_SERVER,
                .rate = RATE_NONE,
                .bytes = UINT64_MAX,
                .vmotion_interval_usec = USEC_INFINITY,
                .n_vmotions = UINT64_MAX,
                .run_for_usec = USEC_INFINITY,
        };
        int c, index;

        (void) parse_host_and_port(DEFAULT_CONNECT, &o.hosts.concentrator);

        while (index = -1, (c = getopt_long(argc, argv, "hvn:e:", options, &index)) >= 0) {
                const char *name = index >= 0 ? options[index].name : c == 'n' ? "count" : "";

                int r = take_option(c, name, &o);
                if (r != 0)
                        return MIN(r, 0);
        }

        if (optind < argc) {
                log_error("\"%s\" is not an option; all of them begin with dashes (see --help).",
                          argv[optind]);
                return -EINVAL;
        }

        if (!o.uuid_given)
                uuid_from_name(o.name, o.uuid);

        /* A file without a rate is written as fast as possible. */
        if (o.source && o.rate == RATE_NONE)
                o.rate = RATE_MAX;

        int r = check(&o);
        if (r < 0)
                return r;

        *ret = o;
        return 1;
}
