/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <utlist.h>

#include "basic/hash-table.h"
#include "hook-queue.h"

/* After vm-added: two connections or disconnections, a vMotion and a rename; and before it the same for the VM that has
 * been removed. */
#define PENDING_MAX 10U

#define MASK(type) (1U << (type))
#define MASK_CONNECTION (MASK(CONSOLE_CONNECTED) | MASK(CONSOLE_DISCONNECTED))
#define MASK_ALL (~0U)

typedef struct Pending {
        ConsoleEvent type;
        usec_t time_usec;
        char *old_name;
} Pending;

struct HookVM {
        UT_hash_handle handle; /* by facts.id */
        HookVM *prev, *next;   /* of those that are ready */
        HookEvent facts;       /* the latest facts, without those of a single event */
        size_t size;           /* of facts */
        Pending pending[PENDING_MAX];
        unsigned n_pending;
        bool busy;  /* hooks are being run for an event */
        bool ready; /* events wait, and it is not busy */
};

static size_t pending_size(const char *old_name) {
        return old_name ? strlen(old_name) + 1 : 0;
}

/* Removes a waiting event from the counters, and frees its name. */
static void pending_done(HookQueue *q, Pending *p) {
        q->size -= pending_size(p->old_name);
        q->n_pending--;
        free(p->old_name);
}

/* Removes events of the types in @mask from the VM's events from @begin on. */
static unsigned vm_discard(HookQueue *q, HookVM *vm, unsigned begin, unsigned mask) {
        unsigned n = begin;

        for (unsigned i = begin; i < vm->n_pending; i++)
                if (MASK(vm->pending[i].type) & mask)
                        pending_done(q, &vm->pending[i]);
                else
                        vm->pending[n++] = vm->pending[i];

        unsigned n_discarded = vm->n_pending - n;
        vm->n_pending = n;
        return n_discarded;
}

static void vm_merge(HookQueue *q, HookVM *vm, unsigned begin, unsigned mask) {
        q->n_merged += vm_discard(q, vm, begin, mask);
}

static unsigned vm_count(const HookVM *vm, unsigned begin, unsigned mask) {
        unsigned n = 0;

        for (unsigned i = begin; i < vm->n_pending; i++)
                n += (MASK(vm->pending[i].type) & mask) != 0;

        return n;
}

/* Takes over @old_name if it succeeds. It fails if too many events wait, which is only possible if events were
 * missed while there were no hooks. */
static int vm_append(HookQueue *q, HookVM *vm, ConsoleEvent type, usec_t time, char *old_name) {
        if (vm->n_pending >= PENDING_MAX)
                return -ENOBUFS;

        vm->pending[vm->n_pending++] = (Pending){type, time, old_name};
        q->size += pending_size(old_name);
        q->n_pending++;
        return 0;
}

/* Updates the state of the VM after a change of its events, and frees it if nothing waits and nothing is being run. */
static void vm_settle(HookQueue *q, HookVM *vm) {
        bool ready = vm->n_pending > 0 && !vm->busy;

        if (ready && !vm->ready)
                DL_APPEND(q->ready, vm);
        else if (!ready && vm->ready)
                DL_DELETE(q->ready, vm);
        vm->ready = ready;

        if (vm->n_pending > 0 || vm->busy)
                return;

        HASH_REMOVE(handle, q->vms, vm);
        q->size -= sizeof(HookVM) + vm->size;
        hook_event_done(&vm->facts);
        free(vm);
}

/* Events before and after vm-removed are not merged. */
static unsigned vm_life_begin(const HookVM *vm) {
        unsigned i = vm->n_pending;

        while (i > 0 && vm->pending[i - 1].type != CONSOLE_REMOVED)
                i--;

        return i;
}

static int vm_add_renamed(HookQueue *q, HookVM *vm, unsigned begin, const HookEvent *e) {
        _cleanup_free_ char *old_name = NULL;
        const char *first = e->old_name;

        for (unsigned i = begin; i < vm->n_pending; i++)
                if (vm->pending[i].type == CONSOLE_RENAMED)
                        first = vm->pending[i].old_name;

        if (!streq(first, e->name)) {
                if (pending_size(first) > HOOK_QUEUE_MAX - q->size)
                        return -ENOBUFS;
                old_name = strdup(first);
                if (!old_name)
                        return -ENOMEM;
        }

        vm_merge(q, vm, begin, MASK(CONSOLE_RENAMED));
        if (!old_name) {
                q->n_merged++;
                return 0;
        }

        int r = vm_append(q, vm, e->type, e->time_usec, old_name);
        if (r >= 0)
                TAKE_PTR(old_name);
        return r;
}

static int vm_add(HookQueue *q, HookVM *vm, const HookEvent *e) {
        unsigned begin = vm_life_begin(vm);

        switch (e->type) {

        case CONSOLE_CONNECTED:
        case CONSOLE_DISCONNECTED:
                if (vm_count(vm, begin, MASK_CONNECTION) >= 2)
                        vm_merge(q, vm, begin, MASK_CONNECTION | MASK(CONSOLE_VMOTION_COMPLETE));
                break;

        case CONSOLE_VMOTION_COMPLETE:
                vm_merge(q, vm, begin, MASK(CONSOLE_VMOTION_COMPLETE));
                break;

        case CONSOLE_RENAMED:
                return vm_add_renamed(q, vm, begin, e);

        case CONSOLE_REMOVED:
                if (vm_count(vm, begin, MASK(CONSOLE_ADDED)) == 0)
                        break;
                vm_merge(q, vm, begin, MASK_ALL);
                q->n_merged++;
                return 0;

        default:
                break;
        }

        return vm_append(q, vm, e->type, e->time_usec, NULL);
}

/* Updates the facts from @e, if there is room for them. */
static int vm_update_facts(HookQueue *q, HookVM *vm, const HookEvent *e) {
        HookEvent facts = *e;

        facts.old_name = NULL;
        size_t size = hook_event_size(&facts);
        if (size > vm->size && size - vm->size > HOOK_QUEUE_MAX - q->size)
                return -ENOBUFS;

        /* The last peer is passed with the waiting events. */
        if (!*e->peer)
                memcpy(facts.peer, vm->facts.peer, sizeof facts.peer);
        int r = hook_event_copy(&facts, &facts);
        if (r < 0)
                return r;

        char *id = TAKE_PTR(facts.id); /* the key of the table must stay at its address */
        facts.id = TAKE_PTR(vm->facts.id);
        free(id);
        hook_event_done(&vm->facts);
        vm->facts = facts;
        q->size += size - vm->size;
        vm->size = size;
        return 0;
}

static HookVM *vm_new(HookQueue *q, const HookEvent *e) {
        HookVM *vm = calloc(1, sizeof(HookVM));
        if (!vm)
                return NULL;

        vm->facts.id = strdup(e->id);
        if (!vm->facts.id) {
                free(vm);
                return NULL;
        }

        if (HASH_TRY_ADD(handle, q->vms, vm->facts.id, strlen(vm->facts.id), vm) < 0) {
                free(vm->facts.id);
                free(vm);
                return NULL;
        }

        q->size += sizeof(HookVM);
        return vm;
}

static int hook_queue_try_add(HookQueue *q, const HookEvent *e) {
        HookVM *vm;

        HASH_FIND(handle, q->vms, e->id, strlen(e->id), vm);
        if (vm) {
                /* Outdated facts are better than no event. */
                (void) vm_update_facts(q, vm, e);
                int r = vm_add(q, vm, e);
                vm_settle(q, vm);
                return r;
        }

        if (sizeof(HookVM) > HOOK_QUEUE_MAX - q->size)
                return -ENOBUFS;

        vm = vm_new(q, e);
        if (!vm)
                return -ENOMEM;

        int r = vm_update_facts(q, vm, e);
        if (r >= 0)
                r = vm_add(q, vm, e);
        vm_settle(q, vm);
        return r;
}

int hook_queue_add(HookQueue *q, const HookEvent *e) {
        int r = hook_queue_try_add(q, e);
        if (r < 0)
                q->n_dropped++;

        return r;
}

int hook_queue_take(HookQueue *q, HookEvent *ret) {
        HookVM *vm = q->ready;
        if (!vm)
                return 0;

        Pending *first = &vm->pending[0];
        HookEvent e = vm->facts;

        e.type = first->type;
        e.time_usec = first->time_usec;
        e.old_name = first->old_name;
        if (e.type != CONSOLE_CONNECTED && e.type != CONSOLE_VMOTION_COMPLETE)
                e.peer[0] = 0;

        int r = hook_event_copy(&e, ret);
        if (r < 0)
                q->n_dropped++;
        vm->busy = r >= 0;

        pending_done(q, first);
        vm->n_pending--;
        memmove(vm->pending, vm->pending + 1, vm->n_pending * sizeof(Pending));
        vm_settle(q, vm);
        return r < 0 ? r : 1;
}

void hook_queue_done(HookQueue *q, HookEvent *e) {
        HookVM *vm;

        HASH_FIND(handle, q->vms, e->id, strlen(e->id), vm);
        assert(vm && vm->busy);

        hook_event_done(e);
        vm->busy = false;
        vm_settle(q, vm);
}

void hook_queue_clear(HookQueue *q) {
        HookVM *vm, *next;

        HASH_ITER(handle, q->vms, vm, next) {
                (void) vm_discard(q, vm, 0, MASK_ALL);
                vm_settle(q, vm);
        }
}
