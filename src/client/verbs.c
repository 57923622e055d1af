/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "message.h"
#include "refusal.h"
#include "verbs.h"

int verb_connect(const Arguments *a, Connection **ret) {
        _cleanup_free_ char *problem = NULL;

        int r = connection_open(&a->targets, USEC_INFINITY, ret, &problem);
        return r < 0 ? complain_lines(r, problem) : 0;
}

int verb_failed(Connection *c, int error) {
        return complain_lines(error, connection_strerror(c, error));
}

int verb_refused(const Connection *c, const VarlinkReply *reply, const char *vm) {
        _cleanup_free_ char *text =
                refusal_explain(reply, vm ?: "?", c->targets, connection_users(c), REFUSAL_IN_FULL);

        return complain_lines(EREMOTEIO, text);
}

int verb_refuse_unknown(const Connection *c, const char *vm) {
        VarlinkReply unknown = {.error = VARLINK_INTERFACE ".NoSuchVM"};

        return verb_refused(c, &unknown, vm);
}

int verb_for_each(const Arguments *a, VerbForOne run) {
        _cleanup_(connection_freep) Connection *c = NULL;
        int result = 0;

        int r = verb_connect(a, &c);
        if (r < 0)
                return r;

        for (size_t i = 0; i < a->n_words; i++) {
                r = run(c, a->words[i], a);
                if (r < 0 && r != -EREMOTEIO)
                        return r;
                result = MIN(result, r);
        }

        return result;
}

int verb_print_json(const json_t *value, JsonFormat format) {
        size_t style = format == JSON_PRETTY ? JSON_INDENT(2) : JSON_COMPACT;

        if (json_dumpf(value, stdout, style | JSON_ENSURE_ASCII | JSON_ENCODE_ANY) < 0)
                return complain(EIO, "Cannot write JSON");

        putchar('\n');
        return 0;
}
