/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/socket.h>

#include "hook-channel.h"

static int send_text(int fd, const char *text) {
        size_t size = strlen(text);

        if (size > HOOK_CHANNEL_MESSAGE_MAX)
                return -EMSGSIZE;

        return send(fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Takes over @object. */
static int send_object(int fd, json_t *object) {
        _cleanup_free_ char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

        json_decref(object);
        return text ? send_text(fd, text) : -ENOMEM;
}

int hook_channel_send_load(int fd, usec_t timeout) {
        return send_object(fd, json_pack("{s:I}", "load", (json_int_t) timeout));
}

int hook_channel_send_loaded(int fd, size_t n_hooks) {
        return send_object(fd, json_pack("{s:I}", "loaded", (json_int_t) n_hooks));
}

int hook_channel_send_told(int fd, const char *id) {
        return send_object(fd, json_pack("{s:s}", "told", id));
}

int hook_channel_send_untold(int fd, const char *id) {
        return send_object(fd, json_pack("{s:s}", "untold", id));
}

int hook_channel_send_event(int fd, const HookEvent *e) {
        _cleanup_free_ char *text = hook_event_json(e);

        return text ? send_text(fd, text) : -ENOMEM;
}

static int message_parse(json_t *object, HookMessage *ret) {
        json_int_t number;
        const char *id;

        *ret = (HookMessage){};

        if (json_object_get(object, "event")) {
                ret->type = HOOK_MESSAGE_EVENT;
                int r = hook_event_from_json(object, &ret->event);
                return r < 0 ? r : 1;
        }

        if (json_unpack(object, "{s:I !}", "load", &number) == 0 && number >= 0) {
                ret->type = HOOK_MESSAGE_LOAD;
                ret->timeout_usec = (usec_t) number;
                return 1;
        }

        if (json_unpack(object, "{s:I !}", "loaded", &number) == 0 && number >= 0) {
                ret->type = HOOK_MESSAGE_LOADED;
                ret->n_hooks = (size_t) number;
                return 1;
        }

        if (json_unpack(object, "{s:s !}", "told", &id) == 0)
                ret->type = HOOK_MESSAGE_TOLD;
        else if (json_unpack(object, "{s:s !}", "untold", &id) == 0)
                ret->type = HOOK_MESSAGE_UNTOLD;
        else
                return -EBADMSG;

        ret->id = strdup(id);
        return ret->id ? 1 : -ENOMEM;
}

int hook_channel_receive(int fd, HookMessage *ret) {
        char text[HOOK_CHANNEL_MESSAGE_MAX];

        /* With MSG_TRUNC, how long it was */
        ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        if (n == 0)
                return 0;
        if ((size_t) n > sizeof text)
                return -EBADMSG;

        json_auto_t *object = json_loadb(text, (size_t) n, JSON_REJECT_DUPLICATES, NULL);
        return object ? message_parse(object, ret) : -EBADMSG;
}

void hook_message_done(HookMessage *m) {
        hook_event_done(&m->event);
        free(m->id);
        *m = (HookMessage){};
}
