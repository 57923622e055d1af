/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/json-tokens.h"
#include "varlink-client.h"

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
        size_t n_tokens = json_count_tokens(text, size);
        if (n_tokens > VARLINK_TOKENS_MAX)
                return -E2BIG;

        json_error_t problem;
        _cleanup_json_ json_t *message = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);

        /* A number is too large for an integer: parse all numbers as reals, so that the others are not lost. */
        if (!message && json_error_code(&problem) == json_error_numeric_overflow)
                message = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
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
                .cost = MAX(size, n_tokens * VARLINK_TOKEN_COST),
        };
        return 0;
}

/* The answer to plain text of a server that expects TLS (RFC 8446, 5.1). There is a NUL in its length. */
static bool is_tls_alert(const uint8_t *p, size_t n) {
        return n >= 2 && p[0] == 21 && p[1] == 3;
}

int varlink_take_reply(Buffer *in, size_t *searched, VarlinkReply *ret) {
        const uint8_t *begin = buffer_data(in), *end = NULL;

        if (*searched < in->size)
                end = memchr(begin + *searched, 0, in->size - *searched);
        if (!end) {
                *searched = in->size;
                return buffer_space(in) == 0 ? -EMSGSIZE : 0;
        }

        size_t size = (size_t) (end - begin);
        int r = is_tls_alert(begin, size) ? -EPROTONOSUPPORT : varlink_parse_reply(begin, size, ret);

        buffer_consume(in, size + 1);
        *searched = 0;
        return r < 0 ? r : 1;
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

const char *varlink_strerror(int error) {
        switch (-error) {

        case ECONNRESET:
        case EPIPE:
                return "vspcd has closed the connection";

        case ETIMEDOUT:
                return "vspcd does not answer";

        case EBADMSG:
                return "vspcd has sent an answer that is not Varlink";

        case EPROTONOSUPPORT:
                return "vspcd uses TLS there: add --tls (see vspc-client(1))";

        case EMSGSIZE:
                return "vspcd has sent an answer of more than 1 MiB";

        case E2BIG:
                return "vspcd has sent an answer with too many parts";

        case EFBIG:
                return "vspcd lists too many VMs";

        default:
                return strerror(-error);
        }
}
