/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/random.h>

#include "vmotion.h"

const char *vmotion_state_to_string(VMotionState state) {
        static const char *const names[] = {
                [VMOTION_NONE] = "none",
                [VMOTION_BEGUN] = "begun",
                [VMOTION_ACCEPTED] = "accepted",
                [VMOTION_ORPHANED] = "orphaned",
                [VMOTION_OVERDUE] = "overdue",
                [VMOTION_OVERDUE_ACCEPTED] = "overdue",
        };

        return names[state];
}

bool vmotion_state_holds(VMotionState state) {
        return state == VMOTION_BEGUN || state == VMOTION_ACCEPTED || state == VMOTION_ORPHANED;
}

VMotionAction vmotion_step(VMotionState *state, VMotionEvent event) {
        /* Events without an entry are ignored, such as a secret that is used again. */
        static const struct {
                VMotionState next;
                VMotionAction action;
        } table[_VMOTION_STATE_MAX][_VMOTION_EVENT_MAX] = {
                [VMOTION_NONE] = {
                        [VMOTION_ON_BEGIN] =         {VMOTION_BEGUN, VMOTION_GO_AHEAD},
                },
                [VMOTION_BEGUN] = {
                        [VMOTION_ON_BEGIN] =         {VMOTION_BEGUN, VMOTION_RESTART},
                        [VMOTION_ON_ABORT] =         {VMOTION_NONE, VMOTION_SOURCE_WINS},
                        [VMOTION_ON_TARGET] =          {VMOTION_ACCEPTED, VMOTION_ACCEPT_TARGET},
                        [VMOTION_ON_SOURCE_CLOSED] = {VMOTION_ORPHANED, VMOTION_AWAIT_TARGET},
                        [VMOTION_ON_TIMEOUT] =       {VMOTION_OVERDUE, VMOTION_HAND_BACK},
                        [VMOTION_ON_NEWCOMER] =      {VMOTION_NONE, VMOTION_NEWCOMER_WINS},
                },
                [VMOTION_ACCEPTED] = {
                        [VMOTION_ON_BEGIN] =         {VMOTION_BEGUN, VMOTION_RESTART},
                        [VMOTION_ON_ABORT] =         {VMOTION_NONE, VMOTION_SOURCE_WINS},
                        [VMOTION_ON_COMPLETE] =      {VMOTION_NONE, VMOTION_TARGET_WINS},
                        [VMOTION_ON_SOURCE_CLOSED] = {VMOTION_NONE, VMOTION_TARGET_WINS},
                        [VMOTION_ON_TARGET_CLOSED] =   {VMOTION_NONE, VMOTION_SOURCE_WINS},
                        [VMOTION_ON_TIMEOUT] =       {VMOTION_OVERDUE_ACCEPTED, VMOTION_HAND_BACK},
                        [VMOTION_ON_NEWCOMER] =      {VMOTION_NONE, VMOTION_NEWCOMER_WINS},
                },
                [VMOTION_ORPHANED] = {
                        [VMOTION_ON_TARGET] =          {VMOTION_NONE, VMOTION_TARGET_WINS},
                        [VMOTION_ON_TIMEOUT] =       {VMOTION_NONE, VMOTION_NOBODY_WINS},
                        [VMOTION_ON_NEWCOMER] =      {VMOTION_NONE, VMOTION_NEWCOMER_WINS},
                },
                [VMOTION_OVERDUE] = {
                        [VMOTION_ON_BEGIN] =         {VMOTION_BEGUN, VMOTION_RESTART},
                        [VMOTION_ON_ABORT] =         {VMOTION_NONE, VMOTION_SOURCE_WINS},
                        [VMOTION_ON_TARGET] =          {VMOTION_ACCEPTED, VMOTION_ACCEPT_TARGET},
                        [VMOTION_ON_SOURCE_CLOSED] = {VMOTION_NONE, VMOTION_NOBODY_WINS},
                        [VMOTION_ON_NEWCOMER] =      {VMOTION_NONE, VMOTION_NEWCOMER_WINS},
                },
                [VMOTION_OVERDUE_ACCEPTED] = {
                        [VMOTION_ON_BEGIN] =         {VMOTION_BEGUN, VMOTION_RESTART},
                        [VMOTION_ON_ABORT] =         {VMOTION_NONE, VMOTION_SOURCE_WINS},
                        [VMOTION_ON_COMPLETE] =      {VMOTION_NONE, VMOTION_TARGET_WINS},
                        [VMOTION_ON_SOURCE_CLOSED] = {VMOTION_NONE, VMOTION_TARGET_WINS},
                        [VMOTION_ON_TARGET_CLOSED] =   {VMOTION_NONE, VMOTION_SOURCE_WINS},
                        [VMOTION_ON_NEWCOMER] =      {VMOTION_NONE, VMOTION_NEWCOMER_WINS},
                },
        };

        assert(*state < _VMOTION_STATE_MAX && event < _VMOTION_EVENT_MAX);

        VMotionAction action = table[*state][event].action;
        if (action != VMOTION_IGNORE)
                *state = table[*state][event].next;
        return action;
}

int vmotion_renew(VMotion *v, const uint8_t *sequence, size_t sequence_size) {
        assert(sequence_size <= VMOTION_SEQUENCE_MAX);

        if (getrandom(v->record.secret, sizeof v->record.secret, GRND_NONBLOCK) != sizeof v->record.secret)
                return -errno;

        memcpy(v->record.sequence, sequence, sequence_size);
        v->record.sequence_size = sequence_size;
        return 0;
}

int vmotion_new(const char *uri, const uint8_t *sequence, size_t sequence_size, VMotion **ret) {
        _cleanup_(vmotion_freep) VMotion *v = calloc(1, sizeof(VMotion));
        if (!v)
                return -ENOMEM;

        v->uri = strdup(uri);
        if (!v->uri)
                return -ENOMEM;

        int r = vmotion_renew(v, sequence, sequence_size);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(v);
        return 0;
}

VMotion *vmotion_free(VMotion *v) {
        timeout_stop(&v->timeout);
        free(v->uri);
        explicit_bzero(v->record.secret, sizeof v->record.secret);
        free(v);
        return NULL;
}

bool vmotion_has_sequence(const VMotion *v, const uint8_t *sequence, size_t size) {
        return size == v->record.sequence_size && memcmp(v->record.sequence, sequence, size) == 0;
}

bool vmotion_has_secret(const VMotion *v, const uint8_t *data, size_t size) {
        if (size != v->record.sequence_size + sizeof v->record.secret ||
            !vmotion_has_sequence(v, data, v->record.sequence_size))
                return false;

        const uint8_t *secret = data + v->record.sequence_size;
        uint8_t difference = 0;
        for (size_t i = 0; i < sizeof v->record.secret; i++)
                difference |= v->record.secret[i] ^ secret[i];

        return difference == 0;
}
