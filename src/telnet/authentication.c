/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "authentication.h"

/* RFC 2941, 2 */
enum {
        AUTH_IS = 0,
        AUTH_SEND = 1,
        AUTH_REPLY = 2,
};

enum {
        AUTH_TYPE_NULL = 0,
        AUTH_TYPE_SSL = 7,
};

enum {
        AUTH_SSL_START = 1,
        AUTH_SSL_ACCEPTED = 2,
};

/* Command, type, modifiers (there are none), data of the type */
typedef struct Message {
        uint8_t data[4];
        size_t size;
} Message;

static const Message messages[] = {
        [AUTHENTICATION_SEND] = {{AUTH_SEND, AUTH_TYPE_SSL, 0}, 3},
        [AUTHENTICATION_START] = {{AUTH_IS, AUTH_TYPE_SSL, 0, AUTH_SSL_START}, 4},
        [AUTHENTICATION_DECLINED] = {{AUTH_IS, AUTH_TYPE_NULL, 0}, 3},
        [AUTHENTICATION_ACCEPTED] = {{AUTH_REPLY, AUTH_TYPE_SSL, 0, AUTH_SSL_ACCEPTED}, 4},
};

AuthenticationMessage authentication_parse(const TelnetEvent *event) {
        for (size_t i = AUTHENTICATION_SEND; i < ELEMENTSOF(messages); i++)
                if (event->size == messages[i].size && memcmp(event->data, messages[i].data, event->size) == 0)
                        return (AuthenticationMessage) i;

        return AUTHENTICATION_OTHER;
}

int authentication_put(Buffer *out, AuthenticationMessage message) {
        static const uint8_t begin[] = {TELNET_IAC, TELNET_SB, TELNET_AUTHENTICATION};
        static const uint8_t end[] = {TELNET_IAC, TELNET_SE};
        const Message *m = &messages[message];

        assert(message != AUTHENTICATION_OTHER);

        uint8_t *p = buffer_reserve(out, sizeof begin + m->size + sizeof end);
        if (!p)
                return -ENOBUFS;

        /* None of them contains 0xFF, which would have to be doubled. */
        memcpy(p, begin, sizeof begin);
        memcpy(p + sizeof begin, m->data, m->size);
        memcpy(p + sizeof begin + m->size, end, sizeof end);
        buffer_commit(out, sizeof begin + m->size + sizeof end);
        return 0;
}
