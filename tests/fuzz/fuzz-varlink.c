/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Calls from anybody, to a server with a few VMs. The first byte of an input seeds how writes are cut; the rest
 * is what a caller sends before it says that this was all. Whatever that is: each answer is a JSON object with
 * what Varlink has in one, there are no more of them than calls, and the connection is closed in the end. Of two
 * others who have come before, one is told of events all the time and one gets an answer to its question.
 */

#include <sys/socket.h>
#include <sys/un.h>

#include "admin/varlink-concentrator.h"
#include "admin/varlink-service.h"
#include "admin/vm-stream.h"
#include "basic/log.h"
#include "console/client.h"
#include "fuzz.h"
#include "prng.h"

#define OUT_MAX (64U << 20)

typedef struct World {
        sd_event *event;
        Concentrator *concentrator;
        VarlinkServer *server;
        VmStream stream;
        struct sockaddr_un address;
        socklen_t address_length;
        unsigned n_reloads;
} World;

typedef struct Caller {
        int fd;
        Buffer in;     /* what has come and is no whole message yet */
        bool ended;    /* the server has closed */
        bool attached; /* what comes is a VM's output, and not JSON */
        size_t n_last; /* replies that are the last, or the only one, to a call */
} Caller;

static void check(bool is_true) {
        if (!is_true)
                abort();
}

static void add_console(World *w, const char *name, uint8_t digit, const char *output) {
        const uint8_t uuid[16] = {0x50, 0x12, [15] = digit};
        char id[UUID_TEXT_MAX];
        Console *console;

        uuid_format(uuid, id);
        check(console_new(w->concentrator, id, uuid, name, "vspc://rack7", 0, &console) >= 0);
        console_output(console, (const uint8_t *) output, strlen(output));
        console_settle(console);
}

/* The address is one that the kernel chooses: unix(7), autobind. */
static int listen_locally(World *w) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        check(fd >= 0);
        check(bind(fd, &(struct sockaddr){.sa_family = AF_UNIX}, sizeof(sa_family_t)) >= 0);
        check(listen(fd, SOMAXCONN) >= 0);
        w->address_length = sizeof w->address;
        check(getsockname(fd, (struct sockaddr *) &w->address, &w->address_length) >= 0);
        return fd;
}

static uint64_t on_reload(const Peer *who, void *userdata) {
        unsigned *n = userdata;

        check(who->uid == geteuid());
        return ++*n;
}

/* Every other time something is wrong. Returns: whether anybody has waited for it. */
static bool answer_reload(const World *w) {
        char problem[] = "vspc.conf:1: not \"yes\" or \xe2\x80\xa6", *problems[] = {problem};
        unsigned n = w->n_reloads;

        if (!w->server->connections[VARLINK_WAITING])
                return false;

        varlink_concentrator_reloaded(w->server, n, n % 4 == 1 ? -EINVAL : 0, problems, n % 2);
        check(!w->server->connections[VARLINK_WAITING]);
        return true;
}

static void world_init(World *w) {
        static const VarlinkInterface *const interfaces[] = {&varlink_service, &varlink_concentrator, NULL};
        Settings settings;

        settings_init(&settings);
        settings.vm_ports = false;
        settings.client_limit = 2;
        check(sd_event_new(&w->event) >= 0);
        check(concentrator_new(w->event, &settings, 1024, &w->concentrator) >= 0);
        check(varlink_server_new(w->concentrator, interfaces, NULL, &w->server) >= 0);
        varlink_server_set_reload(w->server, on_reload, &w->n_reloads);
        vm_stream_init(&w->stream, w->server);
        check(varlink_server_listen(w->server, listen_locally(w), VARLINK_PLAIN) >= 0);

        add_console(w, "web01", 1, "login: \xff\r\n");
        add_console(w, "twin", 2, "");
        add_console(w, "twin", 3, "");
        add_console(w, "\"M\xc3\xbcller\\\xf0\x9f\x98\x80", 4, "");
}

static void world_done(World *w) {
        vm_stream_done(&w->stream);
        varlink_server_free(w->server);
        concentrator_free(w->concentrator);
        sd_event_unref(w->event);
}

static Caller caller_connect(const World *w) {
        Caller c = {
                .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                .in = BUFFER_INIT(OUT_MAX),
        };

        check(c.fd >= 0);
        check(connect(c.fd, (const struct sockaddr *) &w->address, w->address_length) >= 0);
        return c;
}

static void caller_done(Caller *c) {
        c->fd = safe_close(c->fd);
        buffer_clear(&c->in);
}

static void caller_take_reply(const World *w, Caller *c, const char *text, size_t n) {
        json_t *reply = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
        const char *name;
        json_t *value;

        /* A oneway call of Attach() has no reply, the output comes at once. */
        c->attached = !reply && concentrator_metrics(w->concentrator)->clients > 0;
        if (c->attached)
                return;

        check(json_is_object(reply));
        check(json_is_object(json_object_get(reply, "parameters")));
        json_object_foreach(reply, name, value)
                if (streq(name, "error"))
                        check(json_is_string(value));
                else if (streq(name, "continues"))
                        check(json_is_true(value));
                else
                        check(streq(name, "parameters"));

        c->n_last += !json_object_get(reply, "continues");
        c->attached = json_object_get(json_object_get(reply, "parameters"), "granted");
        json_decref(reply);
}

static void caller_take_replies(const World *w, Caller *c) {
        const char *end;

        while (!c->attached && c->in.size > 0 && (end = memchr(buffer_data(&c->in), 0, c->in.size))) {
                const char *text = (const char *) buffer_data(&c->in);
                size_t n = (size_t) (end - text);

                caller_take_reply(w, c, text, n);
                buffer_consume(&c->in, n + 1);
        }

        if (c->attached)
                buffer_clear(&c->in);
}

/* Returns: whether anything has come. */
static bool caller_read(const World *w, Caller *c) {
        static uint8_t data[65536];

        ssize_t n = c->ended ? -1 : recv(c->fd, data, sizeof data, 0);
        if (n < 0)
                return false;

        c->ended = n == 0;
        check(buffer_append(&c->in, data, (size_t) n) >= 0);
        caller_take_replies(w, c);
        return true;
}

/* Until nothing is left to do and nothing is left to read */
static void run(const World *w, Caller *callers, size_t n_callers) {
        bool busy;

        do {
                int r = sd_event_run(w->event, 0);

                check(r >= 0);
                busy = r > 0 || answer_reload(w);
                for (size_t i = 0; i < n_callers; i++)
                        busy |= caller_read(w, &callers[i]);
        } while (busy);
}

static void caller_send(const World *w, Caller *callers, size_t n_callers, Caller *c, const void *data,
                        size_t n) {
        const uint8_t *p = data;

        while (n > 0 && !c->ended) {
                ssize_t k = send(c->fd, p, n, MSG_NOSIGNAL);

                if (k < 0 && errno != EAGAIN)
                        break;
                p += MAX(k, 0);
                n -= (size_t) MAX(k, 0);
                run(w, callers, n_callers);
        }
}

enum {
        HOSTILE,
        MONITOR,
        POLITE,
        _CALLERS_MAX,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char monitor[] = "{\"method\":\"org.vspc.Concentrator.Monitor\",\"more\":true}";
        static const char question[] = "{\"method\":\"org.varlink.service.GetInfo\"}";
        Caller callers[_CALLERS_MAX];
        World w;

        if (size < 1)
                return 0;

        log_set_max_level(LOG_EMERG);
        world_init(&w);
        for (size_t i = 0; i < _CALLERS_MAX; i++)
                callers[i] = caller_connect(&w);
        caller_send(&w, callers, _CALLERS_MAX, &callers[MONITOR], monitor, sizeof monitor);

        Caller *hostile = &callers[HOSTILE];
        Prng cuts = {data[0]};
        size_t n_calls = 0;
        for (size_t end, i = 1; i < size; i = end) {
                end = i + MIN(1 + prng_below(&cuts, prng_below(&cuts, 4) == 0 ? 80000 : 200), size - i);
                caller_send(&w, callers, _CALLERS_MAX, hostile, data + i, end - i);
        }
        for (size_t i = 1; i < size; i++)
                n_calls += data[i] == 0;

        /* One who has attached is kept until its VM has been silent. */
        (void) shutdown(hostile->fd, SHUT_WR);
        run(&w, callers, _CALLERS_MAX);
        timeout_queue_set_duration(concentrator_timeouts(w.concentrator, TIMEOUT_VM_SILENCE), 0);
        run(&w, callers, _CALLERS_MAX);
        check(hostile->ended);
        /* Who types too much too early loses what is unsent. */
        check(hostile->in.size == 0 || size > TELNET_UNREAD_MAX || concentrator_metrics(w.concentrator)->clients > 0);
        check(hostile->n_last <= n_calls + 1); /* one more for what is too long to be a call */

        add_console(&w, "late", 5, "");
        caller_send(&w, callers, _CALLERS_MAX, &callers[POLITE], question, sizeof question);
        check(callers[POLITE].n_last == 1 && !callers[POLITE].ended);
        check(callers[MONITOR].n_last == 0 && !callers[MONITOR].ended);
        check(w.server->n_connections == 2 && concentrator_counts(w.concentrator)->n_clients == 0);

        for (size_t i = 0; i < _CALLERS_MAX; i++)
                caller_done(&callers[i]);
        run(&w, NULL, 0);
        check(w.server->n_connections == 0);
        world_done(&w);
        return 0;
}
