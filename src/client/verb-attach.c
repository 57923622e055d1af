/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "message.h"
#include "session.h"
#include "verbs.h"

int verb_attach(const Arguments *a) {
        _cleanup_(session_freep) Session *s = NULL;

        int r = session_new(a, &s);
        if (r >= 0)
                r = session_run(s);
        if (r >= 0)
                return 0;

        message_lines(s && s->last_words ? s->last_words : strerror(-r));
        if (a->similar_verb && !(s && s->title))
                message("Did you mean the verb \"%s\"?", a->similar_verb);
        return r;
}
