/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/hash.h"
#include "basic/log.h"
#include "basic/options.h"
#include "basic/text.h"
#include "sim-options.h"
#include "telnet/vmware.h"

#define DEFAULT_CONNECT "127.0.0.1:13370"
#define COUNT_MAX 1000000U
#define HOSTS_MAX 65534U

static const char help[] =
        "vspc-sim [OPTIONS…]\n\n"
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
        "SPAN and EVERY are time spans: 500ms, 10s, 5min. N and RATE are numbers: 4096, 64K, 1M.\n";

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

static int take_span(const Option *o, const char *value, void *target) {
        usec_t *span = option_place(o, target);

        return parse_sec(value, span) >= 0 && *span > 0 ? 0 : option_refuse(o, value, "a time span such as 500ms, 10s or 5min");
}

static int take_size(const Option *o, const char *value, void *target) {
        uint64_t *size = option_place(o, target);

        return parse_size(value, size) >= 0 && *size > 0 ? 0 : option_refuse(o, value, "a size such as 4096, 64K or 1M");
}

static int take_number(const Option *o, const char *value, void *target) {
        uint64_t *number = option_place(o, target);
        char wanted[64];

        if (parse_unsigned(value ?: "1", o->max, number) >= 0 && *number > 0)
                return 0;

        snprintf(wanted, sizeof wanted, "a number from 1 to %llu", (unsigned long long) o->max);
        return option_refuse(o, value ?: "1", wanted);
}

static int take_address(const Option *o, const char *value, void *target) {
        return parse_host_and_port(value, option_place(o, target)) >= 0
                       ? 0
                       : option_refuse(o, value, "an address and a port such as 127.0.0.1:13370 or [::1]:13370");
}

static int take_security(const Option *o, const char *value, void *target) {
        static const char *const names[] = {
                [ESXI_TELNETS] = "telnets",
                [ESXI_START_TLS] = "start",
                [ESXI_SOME_TELNETS] = "some",
        };

        int security = text_find(names, ELEMENTSOF(names), value ?: "telnets");

        if (security < 0)
                return option_refuse(o, value, "a way to speak TLS: telnets, start or some");

        *(EsxiSecurity *) option_place(o, target) = (EsxiSecurity) security;
        return 0;
}

static int take_rate(const Option *o, const char *value, void *target) {
        if (!streq(value, "max"))
                return take_size(o, value, target);

        *(uint64_t *) option_place(o, target) = RATE_MAX;
        return 0;
}

static int take_name(const Option *o, const char *value, void *target) {
        ((SimOptions *) target)->name = value;
        return *value && strlen(value) <= SIM_NAME_MAX ? 0 : option_refuse(o, value, "a name of 1 to 200 bytes");
}

static int take_uuid(const Option *o, const char *value, void *target) {
        SimOptions *options = target;

        options->uuid_given = vmware_parse_uuid((const uint8_t *) value, strlen(value), options->uuid) >= 0;
        return options->uuid_given ? 0 : option_refuse(o, value, "a UUID (32 hex digits, dashes and spaces as you like)");
}

static int take_uri(const Option *o, const char *value, void *target) {
        ((SimOptions *) target)->uri = value;
        return strlen(value) <= TELNET_SUBNEGOTIATION_MAX - 2
                       ? 0
                       : option_refuse(o, value, "short enough for a service URI (1022 bytes)");
}

static int take_direction(const Option *o, const char *value, void *target) {
        ((SimOptions *) target)->direction = *value;
        return streq(value, "S") || streq(value, "C") ? 0 : option_refuse(o, value, "a direction: S (server) or C (client)");
}

static int take_no_reconnect(_unused_ const Option *o, _unused_ const char *value, void *target) {
        ((SimOptions *) target)->reconnect_usec = USEC_INFINITY;
        return 0;
}

/* Checks the combination of options, each of which is valid. */
static int check(const SimOptions *o) {
        const char *problem = NULL;

        if ((o->source != NULL) + (o->command != NULL) + sim_options_has_serial(o) + (o->rate != RATE_NONE && !o->source) > 1)
                problem = "A VM's output is one of --rate, --source, --exec and --serial, not several of them "
                          "(--rate with --source limits its speed).";
        else if (o->bytes != UINT64_MAX && o->rate == RATE_NONE && !o->source)
                problem = "--bytes limits the output, but there is none: add --rate=max or --source=FILE.";
        else if ((o->pipe || o->exec_once) && !o->command)
                problem = "--pipe and --exec-once need --exec=CMD.";
        else if (o->sink && o->count > 1)
                problem = "--sink works with one VM only: leave out --count.";
        else if (sim_options_has_serial(o) && o->count > 1)
                problem = "--serial works with one VM only: leave out --count.";
        else if (o->source && streq(o->source, "-") && o->count > 1)
                problem = "--source=- can be read by one VM only: leave out --count, or name a file.";
        else if (o->sink && streq(o->sink, "-") && o->json)
                problem = "--sink=- and --json both use the standard output: name a file for one of them.";
        else if ((o->abort_each > 0 || o->n_vmotions != UINT64_MAX) && o->vmotion_interval_usec == USEC_INFINITY)
                problem = "--abort and --vmotions need --vmotion=EVERY to say how often.";
        else if (o->dead && (o->vmotion_interval_usec != USEC_INFINITY || o->echo || o->sink || o->command ||
                             sim_options_has_serial(o)))
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

#define PLACE(member) .offset = offsetof(SimOptions, member)

static const Option options[] = {
        {"verbose", no_argument, 'v', PLACE(verbose)},
        {"connect", required_argument, .take = take_address, PLACE(hosts.concentrator)},
        {"count", required_argument, 'n', .take = take_number, .max = COUNT_MAX, PLACE(count)},
        {"name", required_argument, .take = take_name},
        {"uuid", required_argument, .take = take_uuid},
        {"uri", required_argument, .take = take_uri},
        {"direction", required_argument, .take = take_direction},
        {"rate", required_argument, .take = take_rate, PLACE(rate)},
        {"bytes", required_argument, .take = take_size, PLACE(bytes)},
        {"source", required_argument, PLACE(source)},
        {"sink", required_argument, PLACE(sink)},
        {"echo", no_argument, PLACE(echo)},
        {"exec", required_argument, 'e', PLACE(command)},
        {"pipe", no_argument, PLACE(pipe)},
        {"exec-once", no_argument, PLACE(exec_once)},
        {"serial", required_argument, .take = take_address, PLACE(serial)},
        {"vmotion", required_argument, .take = take_span, PLACE(vmotion_interval_usec)},
        {"vmotions", required_argument, .take = take_number, .max = UINT32_MAX, PLACE(n_vmotions)},
        {"abort", optional_argument, .take = take_number, .max = UINT32_MAX, PLACE(abort_each)},
        {"notnow-goes-on", no_argument, PLACE(begin_early)},
        {"hosts", required_argument, .take = take_number, .max = HOSTS_MAX, PLACE(hosts.count)},
        {"in-flight", required_argument, .take = take_number, .max = COUNT_MAX, PLACE(in_flight)},
        {"reconnect", required_argument, .take = take_span, PLACE(reconnect_usec)},
        {"no-reconnect", no_argument, .take = take_no_reconnect},
        {"drop", required_argument, .take = take_span, PLACE(drop_interval_usec)},
        {"split", required_argument, .take = take_size, PLACE(hosts.split)},
        {"coalesce", no_argument, PLACE(hosts.coalesce)},
        {"dead", no_argument, PLACE(dead)},
        {"tls", optional_argument, .take = take_security, PLACE(hosts.security)},
        {"resume", no_argument, PLACE(hosts.resume)},
        {"for", required_argument, .take = take_span, PLACE(run_for_usec)},
        {"exit-when-connected", no_argument, PLACE(exit_when_connected)},
        {"json", no_argument, PLACE(json)},
};

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

        (void) parse_host_and_port(DEFAULT_CONNECT, &o.hosts.concentrator);

        int r = options_parse(&(Options){"vspc-sim", help, options, ELEMENTSOF(options)}, argc, argv, &o);
        if (r <= 0)
                return r;

        if (!o.uuid_given)
                uuid_from_name(o.name, o.uuid);

        /* A file without a rate is written as fast as possible. */
        if (o.source && o.rate == RATE_NONE)
                o.rate = RATE_MAX;

        r = check(&o);
        if (r < 0)
                return r;

        *ret = o;
        return 1;
}
