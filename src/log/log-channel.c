/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/socket.h>
#include <sys/stat.h>

#include "basic/uuid.h"
#include "file-name.h"
#include "log-channel.h"

/* Of OPEN. Its texts follow, each of them ends with NUL. */
typedef struct OpenHead {
        uint64_t epoch;
        LogPlace place;
        uint32_t mode;
        uint32_t port;
} OpenHead;

#define OPEN_TEXTS 4U

size_t log_message_space(const LogMessage *m) {
        size_t used = m->size + sizeof(LogRecord);

        return used < sizeof m->data ? sizeof m->data - used : 0;
}

void *log_message_add(LogMessage *m, const LogRecord *header, size_t n) {
        LogRecord complete = *header;

        if (sizeof m->data - m->size < sizeof complete || log_message_space(m) < n)
                return NULL;

        complete.size = (uint32_t) (sizeof complete + n);
        void *behind = mempcpy(m->data + m->size, &complete, sizeof complete);
        m->size += complete.size;
        return behind;
}

int log_message_add_open(LogMessage *m, uint64_t stream, uint64_t position, const LogOpen *o) {
        const OpenHead head = {.epoch = o->epoch, .place = o->place, .mode = (uint32_t) o->mode, .port = o->port};
        const char *const texts[OPEN_TEXTS] = {o->name, o->uuid, o->uri, o->prefix};
        size_t n = sizeof head;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                size_t size = strlen(texts[i]) + 1;

                if (size > LOG_CHANNEL_TEXT_MAX)
                        return -EMSGSIZE;
                n += size;
        }

        char *p = log_message_add(m, &(LogRecord){.type = LOG_OPEN, .stream = stream, .position = position}, n);
        if (!p)
                return -ENOBUFS;

        p = mempcpy(p, &head, sizeof head);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                p = stpcpy(p, texts[i]) + 1;
        return 0;
}

int log_message_add_ack(LogMessage *m, const LogRecord *header, const LogPlace *place) {
        void *p = log_message_add(m, header, sizeof *place);

        if (!p)
                return -ENOBUFS;

        memcpy(p, place, sizeof *place);
        return 0;
}

int log_message_send(LogMessage *m, int fd, int flags) {
        ssize_t n;

        do
                n = send(fd, m->data, m->size, flags | MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;

        m->size = 0;
        return 0;
}

int log_message_receive(LogMessage *m, int fd, int flags) {
        /* with MSG_TRUNC, recv() returns the full length even if the buffer is too small */
        ssize_t n = recv(fd, m->data, sizeof m->data, flags | MSG_TRUNC);

        m->size = 0;
        if (n < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        if (n == 0)
                return 0;
        if ((size_t) n > sizeof m->data)
                return -EBADMSG;

        m->size = (size_t) n;
        return 1;
}

static bool size_fits_type(uint16_t type, size_t n) {
        switch (type) {

        case LOG_OPEN:
                return n >= sizeof(OpenHead) + OPEN_TEXTS;

        case LOG_DATA:
                return n > 0;

        case LOG_ACK:
        case LOG_CLOSED:
                return n == sizeof(LogPlace);

        case LOG_HELLO:
        case LOG_GAP:
        case LOG_CLOSE:
        case LOG_ERROR:
                return n == 0;
        }

        return false;
}

int log_message_next(const LogMessage *m, size_t *offset, LogRecord *ret, const uint8_t **ret_data, size_t *ret_n) {
        size_t left = m->size - *offset;
        LogRecord header;

        if (left == 0)
                return 0;
        if (left < sizeof header)
                return -EBADMSG;

        memcpy(&header, m->data + *offset, sizeof header);
        if (header.size < sizeof header || header.size > left || !size_fits_type(header.type, header.size - sizeof header))
                return -EBADMSG;

        *ret = header;
        *ret_data = m->data + *offset + sizeof header;
        *ret_n = header.size - sizeof header;
        *offset += header.size;
        return 1;
}

/* One UUID or two, as in Console.uuid_text. No character of it leads to another folder; file_name_make() relies on
 * the length. */
static bool uuid_is_valid(const char *text) {
        uint8_t uuid[16];

        if (uuid_parse(text, uuid) < 0)
                return false;

        text += UUID_TEXT_MAX - 1;
        return !*text || (*text == '~' && uuid_parse(text + 1, uuid) >= 0 && !text[UUID_TEXT_MAX]);
}

int log_open_parse(const uint8_t *data, size_t n, LogOpen *ret) {
        const char *texts[OPEN_TEXTS], *p = (const char *) data + sizeof(OpenHead), *end = (const char *) data + n;
        OpenHead head;

        memcpy(&head, data, sizeof head);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                size_t size = strnlen(p, (size_t) (end - p)) + 1;

                if (size > (size_t) (end - p) || size > LOG_CHANNEL_TEXT_MAX)
                        return -EBADMSG;
                texts[i] = p;
                p += size;
        }

        *ret = (LogOpen){
                .epoch = head.epoch,
                .place = head.place,
                .mode = (mode_t) head.mode,
                .port = (uint16_t) head.port,
                .name = texts[0],
                .uuid = texts[1],
                .uri = texts[2],
                .prefix = texts[3],
        };

        return p == end && head.mode <= ACCESSPERMS && head.port <= UINT16_MAX && uuid_is_valid(ret->uuid) &&
                               (!*ret->prefix || file_name_prefix_is_valid(ret->prefix))
                       ? 0
                       : -EBADMSG;
}
