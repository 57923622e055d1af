/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pwd.h>
#include <sys/eventfd.h>
#include <utlist.h>

#include "basic/text.h"
#include "basic/worker.h"
#include "user-names.h"

/* Bytes of the longest passwd record of a user */
#define RECORD_MAX 16384U

typedef enum LookupState {
        LOOKUP_IDLE,
        LOOKUP_WANTED,
        LOOKUP_RUNNING,
        LOOKUP_DONE,
} LookupState;

/* Shared by the loop and the thread. NSS may hang. Then the loop abandons this, and the thread frees it. */
typedef struct Lookup {
        Worker worker;
        LookupState state;
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
        Lookup *lookup; /* NULL: the thread has not been started */
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

        while (!l->worker.stopping) {
                if (l->state != LOOKUP_WANTED) {
                        (void) worker_wait_until(&l->worker, USEC_INFINITY);
                        continue;
                }

                uid_t uid = l->uid;
                l->state = LOOKUP_RUNNING;
                worker_unlock(&l->worker);
                char *name = find_name(uid);
                worker_lock(&l->worker);

                l->name = name;
                l->state = LOOKUP_DONE;
                if (!l->worker.stopping)
                        (void) eventfd_write(l->done_fd, 1);
        }
}

static Lookup *lookup_new(int done_fd) {
        Lookup *l = calloc(1, sizeof(Lookup));
        if (!l)
                return NULL;

        l->worker = WORKER_INIT;
        l->done_fd = done_fd;
        if (worker_start(&l->worker, "user-names", look_up, l) < 0) {
                lookup_free(l);
                return NULL;
        }

        return l;
}

/* Returns: true if the thread was idle and now looks up @uid. */
static bool lookup_start(Lookup *l, uid_t uid) {
        worker_lock(&l->worker);
        bool idle = l->state == LOOKUP_IDLE;
        if (idle) {
                l->uid = uid;
                l->state = LOOKUP_WANTED;
                worker_wake(&l->worker);
        }
        worker_unlock(&l->worker);

        return idle;
}

/* Returns: whether the thread has finished. */
static bool lookup_finish(Lookup *l, char **ret_name) {
        worker_lock(&l->worker);
        bool done = l->state == LOOKUP_DONE;
        if (done) {
                *ret_name = TAKE_PTR(l->name);
                l->state = LOOKUP_IDLE;
        }
        worker_unlock(&l->worker);

        return done;
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
        User *u = find_oldest(n, USER_WANTED);

        if (u && lookup_start(n->lookup, u->uid))
                set_state(n, u, USER_ASKED);
}

static void on_done(Watch *watch, _unused_ uint32_t events) {
        UserNames *n = container_of(watch, UserNames, done);
        User *u = find_oldest(n, USER_ASKED);
        eventfd_t count;
        char *name;

        (void) eventfd_read(watch->fd, &count);
        if (!lookup_finish(n->lookup, &name))
                return;

        n->is_stuck = false;
        u->name = name;
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

/* Finds or makes the entry of @uid, and has its name looked up. Returns: NULL if all entries are in use,
 * or there is no thread. */
static User *get_user(UserNames *n, uid_t uid) {
        User *u = find_user(n, uid);

        if (u && (u->state != USER_KNOWN || event_now(poller_event(n->poller)) - u->since < USER_NAMES_KEPT_USEC))
                return u;

        u = u ?: find_oldest(n, USER_FREE) ?: find_oldest(n, USER_KNOWN);
        if (!u || (!n->lookup && !(n->lookup = lookup_new(n->done.fd))))
                return NULL;

        free(TAKE_PTR(u->name));
        u->uid = uid;
        set_state(n, u, USER_WANTED);
        ask_next(n);
        return u;
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
