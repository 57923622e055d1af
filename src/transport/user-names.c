/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pwd.h>
#include <sys/eventfd.h>
#include <utlist.h>

#include "basic/text.h"
#include "basic/worker.h"
#include "user-names.h"

/* Bytes of the longest passwd record of a user */
#define RECORD_MAX 16384U

/* Shared by the loop and the thread. NSS may hang. Then the loop abandons this, and the thread frees it. */
typedef struct Lookup {
        Worker worker;
        int done_fd; /* an eventfd of the loop; must not be used after the worker was told to stop */
        uid_t uid;
        char *name; /* NULL: no user has this uid */
} Lookup;

typedef enum UserState {
        USER_FREE, /* unused */
        USER_WANTED,
        USER_ASKED, /* the thread looks up the name */
        USER_KNOWN,
} UserState;

typedef struct User {
        UserState state;
        uid_t uid;
        usec_t since;           /* when the entry got into this state */
        char *name;             /* NULL: no user has this uid */
        UserNameQuery *waiting; /* utlist */
} User;

struct UserNames {
        Poller *poller;
        Watch done;
        TimeoutQueue timeouts;
        Lookup *lookup; /* in progress; NULL: none */
        bool is_stuck;  /* a query has timed out, and NSS has not answered since */
        User users[USER_NAMES_MAX];
};

static void lookup_free(void *lookup) {
        Lookup *l = lookup;

        worker_done(&l->worker);
        free(l->name);
        free(l);
}

/* Called in the thread: it may block. */
static char *find_name(uid_t uid) {
        struct passwd record, *found = NULL;
        char buffer[RECORD_MAX];

        if (getpwuid_r(uid, &record, buffer, sizeof buffer, &found) != 0 || !found || !*found->pw_name)
                return NULL;

        return text_sanitize(found->pw_name, strlen(found->pw_name), USER_NAME_MAX);
}

static void look_up(void *userdata) {
        Lookup *l = userdata;

        worker_unlock(&l->worker);
        l->name = find_name(l->uid);
        worker_lock(&l->worker);
        if (!l->worker.stopping)
                (void) eventfd_write(l->done_fd, 1);
}

static Lookup *lookup_new(int done_fd, uid_t uid) {
        Lookup *l = calloc(1, sizeof(Lookup));
        if (!l)
                return NULL;

        l->worker = WORKER_INIT;
        l->done_fd = done_fd;
        l->uid = uid;
        if (worker_start(&l->worker, "user-names", look_up, l) < 0) {
                lookup_free(l);
                return NULL;
        }

        return l;
}

static User *find_user(UserNames *n, uid_t uid) {
        for (size_t i = 0; i < USER_NAMES_MAX; i++)
                if (n->users[i].state != USER_FREE && n->users[i].uid == uid)
                        return &n->users[i];

        return NULL;
}

/* Returns: the entry that has been in @state for longest, or NULL. */
static User *find_oldest(UserNames *n, UserState state) {
        User *oldest = NULL;

        for (size_t i = 0; i < USER_NAMES_MAX; i++) {
                User *u = &n->users[i];

                if (u->state == state && (!oldest || u->since < oldest->since))
                        oldest = u;
        }

        return oldest;
}

static void set_state(UserNames *n, User *u, UserState state) {
        u->state = state;
        u->since = event_now(poller_event(n->poller));
}

static void query_leave(UserNameQuery *q) {
        if (!TAKE_PTR(q->names))
                return;

        DL_DELETE(*q->waiting, q);
        timeout_stop(&q->timeout);
}

static void answer(User *u) {
        while (u->waiting) {
                UserNameQuery *q = u->waiting;

                query_leave(q);
                q->answered(q, u->name);
        }
}

static void ask_next(UserNames *n) {
        User *u = n->lookup ? NULL : find_oldest(n, USER_WANTED);

        if (!u)
                return;

        n->lookup = lookup_new(n->done.fd, u->uid);
        set_state(n, u, n->lookup ? USER_ASKED : USER_FREE);
        if (!n->lookup)
                answer(u);
}

/* The thread has written to the eventfd while it held the lock, and only has to end. */
static void on_done(Watch *watch, _unused_ uint32_t events) {
        UserNames *n = container_of(watch, UserNames, done);
        User *u = find_oldest(n, USER_ASKED);
        Lookup *l = TAKE_PTR(n->lookup);
        eventfd_t count;

        (void) eventfd_read(watch->fd, &count);
        if (!worker_stop(&l->worker, 0, lookup_free))
                return;

        n->is_stuck = false;
        u->name = TAKE_PTR(l->name);
        lookup_free(l);
        set_state(n, u, USER_KNOWN);
        ask_next(n);
        answer(u);
}

static void on_timeout(Timeout *t) {
        UserNames *n = container_of(t, UserNameQuery, timeout)->names;

        n->is_stuck = true;
        for (size_t i = 0; i < USER_NAMES_MAX; i++)
                answer(&n->users[i]); /* queries only wait for unknown names, so this answers without a name */
}

/* Finds or makes the entry of @uid, and has its name looked up. Returns: NULL if all entries are in use, or a thread cannot be
 * started. */
static User *get_user(UserNames *n, uid_t uid) {
        User *u = find_user(n, uid);

        if (u && (u->state != USER_KNOWN || event_now(poller_event(n->poller)) - u->since < USER_NAMES_KEPT_USEC))
                return u;

        u = u ?: find_oldest(n, USER_FREE) ?: find_oldest(n, USER_KNOWN);
        if (!u)
                return NULL;

        free(TAKE_PTR(u->name));
        u->uid = uid;
        set_state(n, u, USER_WANTED);
        ask_next(n);
        return u->state != USER_FREE ? u : NULL;
}

void user_names_ask(UserNames *n, UserNameQuery *query, uid_t uid, UserNameHandler answered) {
        User *u = get_user(n, uid);

        if (!u || u->state == USER_KNOWN || n->is_stuck) {
                answered(query, u ? u->name : NULL);
                return;
        }

        *query = (UserNameQuery){.names = n, .answered = answered, .waiting = &u->waiting};
        DL_APPEND(u->waiting, query);
        timeout_start(&n->timeouts, &query->timeout);
}

void user_names_cancel(UserNameQuery *query) {
        query_leave(query);
}

int user_names_new(Poller *poller, UserNames **ret) {
        _cleanup_(user_names_freep) UserNames *n = calloc(1, sizeof(UserNames));
        if (!n)
                return -ENOMEM;

        n->poller = poller;
        n->done = (Watch){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .handler = on_done};
        if (n->done.fd < 0)
                return -errno;

        int r = timeout_queue_init(&n->timeouts, poller_event(poller), USER_NAMES_WAIT_USEC, on_timeout);
        if (r >= 0)
                r = poller_watch(poller, &n->done, EPOLLIN);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(n);
        return 0;
}

UserNames *user_names_free(UserNames *n) {
        if (n->lookup && worker_stop(&n->lookup->worker, USER_NAMES_STOP_USEC, lookup_free))
                lookup_free(n->lookup);
        if (n->done.fd >= 0)
                poller_close(n->poller, &n->done);
        timeout_queue_done(&n->timeouts);

        for (size_t i = 0; i < USER_NAMES_MAX; i++) {
                assert(!n->users[i].waiting);
                free(n->users[i].name);
        }

        free(n);
        return NULL;
}
