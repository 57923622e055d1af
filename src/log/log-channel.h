/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/macro.h"

/*
 * LogChannel: what vspcd and vspc-logger say to each other over a SOCK_SEQPACKET connection. A connection is for one sink, the
 * journal or files, so that neither waits for the other. A message is one or more records: a header of fixed size, and what
 * its type says comes behind it. Numbers are in the byte order of the machine, on which both ends are.
 *
 *   vspcd        HELLO    value: version; count: LogKind. The first record, alone in its message
 *                OPEN     a console's output begins or goes on at `position`: what it is called, as log_open_put() has it
 *                DATA     the bytes from `position` on
 *                GAP      `count` bytes from `position` on are missing
 *                CLOSE    that was all of the stream
 *   vspc-logger  HELLO    value: version
 *                ACK      all before `position` has been logged, and all before `count` read; behind it a LogPlace: where
 *                         in a file that is
 *                CLOSED   all of the stream has been logged
 *                ERROR    value: the errno with which the disk refuses what is logged, or 0 once it takes it again
 *
 * A stream is what one console says under one name. Its number is never used again by the process that has given it. A
 * position counts the bytes that the console has said; it belongs to the epoch that OPEN tells, another of which a console gets
 * when its count begins anew. After the connection has been lost vspcd opens all streams again at the position that was last
 * acknowledged: vspc-logger gets what it may have got before.
 */
#define LOG_CHANNEL_VERSION 1U
#define LOG_CHANNEL_MESSAGE_MAX (64U * 1024U)

/* Bytes of each text in OPEN, NUL included */
#define LOG_CHANNEL_TEXT_MAX 8192U

typedef enum LogKind {
        LOG_TO_JOURNAL,
        LOG_TO_FILES,
        _LOG_KIND_MAX,
} LogKind;

typedef enum LogRecordType {
        LOG_HELLO = 1,
        LOG_OPEN,
        LOG_DATA,
        LOG_GAP,
        LOG_CLOSE,
        LOG_ACK,
        LOG_CLOSED,
        LOG_ERROR,
} LogRecordType;

typedef struct LogRecord {
        uint32_t size; /* of the record, with this */
        uint16_t type;
        uint16_t value;
        uint64_t stream;
        uint64_t position;
        uint64_t count;
} LogRecord;

static_assert(sizeof(LogRecord) == 32, "it is what goes over the connection");

/* A file, and how large it was when all before the acknowledged position was in it. All zero: none */
typedef struct LogPlace {
        uint64_t device, inode, size;
} LogPlace;

/* What OPEN says. The texts are valid as long as the message. */
typedef struct LogOpen {
        uint64_t epoch;
        LogPlace place; /* that was acknowledged together with the position */
        mode_t mode;    /* of the file, if it is new */
        uint16_t port;  /* 0: none */
        const char *name, *uuid, *uri;
        const char *prefix; /* of the file's name; empty: none */
} LogOpen;

/* A message that is being put together. All zero: it is empty. */
typedef struct LogMessage {
        size_t size;
        uint8_t data[LOG_CHANNEL_MESSAGE_MAX];
} LogMessage;

/* How many bytes may be behind the header of one more record; 0 if there is no room for any. */
size_t log_message_space(const LogMessage *m);

/* Adds a record with @n bytes behind its header. Returns: where these are to be written; NULL if there is no room. */
void *log_message_add(LogMessage *m, const LogRecord *header, size_t n);

/* Adds OPEN. Returns: 0; -ENOBUFS if there is no room; -EMSGSIZE if a text is too long. */
int log_message_add_open(LogMessage *m, uint64_t stream, uint64_t position, const LogOpen *o);

/* Adds ACK or CLOSED. Returns: 0 or -ENOBUFS. */
int log_message_add_ack(LogMessage *m, const LogRecord *header, const LogPlace *place);

/* Sends a message and empties it. Returns: 0 or a negative errno, after which it is as it was. */
int log_message_send(LogMessage *m, int fd, int flags);

/* Receives a message into @m. Returns: 1; 0 at the end; -EAGAIN if there is none for now; -EBADMSG if it is too long; or
 * another negative errno. */
int log_message_receive(LogMessage *m, int fd, int flags);

/* Reads the record at *offset of a message from a stranger. Returns: 1, and what is behind its header (*ret_data, of *ret_n
 * bytes, as many as its type has); 0 at the end of the message; -EBADMSG if it is not understood. */
int log_message_next(const LogMessage *m, size_t *offset, LogRecord *ret, const uint8_t **ret_data, size_t *ret_n);

/* Reads what is behind the header of OPEN. What it says is fit for the name of a file. Returns: 0, or -EBADMSG. */
int log_open_parse(const uint8_t *data, size_t n, LogOpen *ret);
