/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "varlink.h"

int varlink_format_call(const char *method, json_t *parameters, VarlinkFlags flags, char **ret_text,
                        size_t *ret_size) {
        _cleanup_json_ json_t *given = parameters;
        _cleanup_json_ json_t *call = json_pack("{s:s+, s:O*}", "method", VARLINK_INTERFACE ".", method,
                                                "parameters", given);
        if (!call)
                return -ENOMEM;

        if ((flags & VARLINK_MORE) && json_object_set_new(call, "more", json_true()) < 0)
                return -ENOMEM;
        if ((flags & VARLINK_UPGRADE) && json_object_set_new(call, "upgrade", json_true()) < 0)
                return -ENOMEM;

        char *text = json_dumps(call, JSON_COMPACT);
        if (!text)
                return -ENOMEM;

        *ret_text = text;
        *ret_size = strlen(text) + 1;
        return 0;
}

int varlink_parse_reply(const void *text, size_t size, VarlinkReply *ret) {
        _cleanup_json_ json_t *message = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(message))
                return -EBADMSG;

        json_t *parameters = json_object_get(message, "parameters"),
               *error = json_object_get(message, "error"),
               *continues = json_object_get(message, "continues");
        if ((error && !json_is_string(error) && !json_is_null(error)) ||
            (continues && !json_is_boolean(continues)))
                return -EBADMSG;

        if (!parameters || json_is_null(parameters)) {
                parameters = json_object();
                if (json_object_set_new(message, "parameters", parameters) < 0)
                        return -ENOMEM;
        }
        if (!json_is_object(parameters))
                return -EBADMSG;

        *ret = (VarlinkReply){
                .message = TAKE_PTR(message),
                .parameters = parameters,
                .error = json_string_value(error),
                .continues = json_is_true(continues),
        };
        return 0;
}

void varlink_reply_done(VarlinkReply *r) {
        json_decref(r->message);
        *r = (VarlinkReply){};
}

bool varlink_reply_is_error(const VarlinkReply *r, const char *name) {
        static const char prefix[] = VARLINK_INTERFACE ".";

        return r->error && strncmp(r->error, prefix, strlen(prefix)) == 0 &&
               streq(r->error + strlen(prefix), name);
}
