/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/macro.h"

/*
 * LogChannel: the protocol between vspcd and vspc-logger, over a SOCK_SEQPACKET connection. Each connection is for one sink,
 * the journal or files, so that a blocked sink does not delay the other. A message consists of one or more records. A record
 * is a header of fixed size, followed by data that depends on the type. Numbers are in the machine's byte order, because both
 * ends are on the same machine.
 *
 *   vspcd        HELLO    value: version; count: LogKind. The first record, alone in its message
 *                OPEN     a stream begins or continues at `position`; followed by the names of the VM, see LogOpen
 *                DATA     followed by the bytes from `position` on
 *                GAP      `count` bytes from `position` on are missing
 *                CLOSE    the stream ends
 *   vspc-logger  HELLO    value: version
 *                ACK      everything before `position` has been logged, and everything before `count` has been read;
 *                         followed by a LogPlace: where `position` is in a file
 *                CLOSED   all of the stream has been logged
 *                ERROR    value: the errno with which writing fails, or 0 if it works again
 *
 * A stream is the output of one console under one name. vspcd never uses the number of a stream twice. A position is the
 * number of bytes that the console has produced before. It is valid together with the epoch in OPEN: if a console's count
 * starts again at 0, it gets another epoch. After a lost connection vspcd opens all streams again at the positions that were
 * acknowledged last, so vspc-logger can receive bytes that it has received before.
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

/* A file, and its size when everything before the acknowledged position was in it. All zero: no file */
typedef struct LogPlace {
        uint64_t device, inode, size;
} LogPlace;

/* The content of OPEN. The texts are valid as long as the message. */
typedef struct LogOpen {
        uint64_t epoch;
        LogPlace place; /* as acknowledged together with the position */
        mode_t mode;    /* of a new file */
        uint16_t port;  /* 0: none */
        const char *name, *uuid, *uri;
        const char *prefix; /* of the file name; may be empty */
} LogOpen;

/* A message. All zero: it is empty. */
typedef struct LogMessage {
        size_t size;
        uint8_t data[LOG_CHANNEL_MESSAGE_MAX];
} LogMessage;

/* How many bytes of data one more record can have; 0 if there is no room for a record. */
size_t log_message_space(const LogMessage *m);

/* Adds a record with @n bytes of data. Returns: where to write the data; NULL if there is no room. */
void *log_message_add(LogMessage *m, const LogRecord *header, size_t n);

/* Adds OPEN. Returns: 0; -ENOBUFS if there is no room; -EMSGSIZE if a text is too long. */
int log_message_add_open(LogMessage *m, uint64_t stream, uint64_t position, const LogOpen *o);

/* Adds ACK or CLOSED. Returns: 0 or -ENOBUFS. */
int log_message_add_ack(LogMessage *m, const LogRecord *header, const LogPlace *place);

/* Sends a message and empties it. Returns: 0 or a negative errno, after which it is as it was. */
int log_message_send(LogMessage *m, int fd, int flags);

/* Receives a message. Returns: 1; 0 at the end of the connection; -EAGAIN if there is no message yet; -EBADMSG if it is too
 * long; or another negative errno. */
int log_message_receive(LogMessage *m, int fd, int flags);

/* Parses the record at *offset. The message is not trusted. *ret_data, *ret_n: the data of the record, of a size that is valid
 * for its type. Returns: 1; 0 at the end of the message; -EBADMSG. */
int log_message_next(const LogMessage *m, size_t *offset, LogRecord *ret, const uint8_t **ret_data, size_t *ret_n);

/* Parses the data of OPEN. Returns: 0, and then the texts are safe to use in file names; -EBADMSG. */
int log_open_parse(const uint8_t *data, size_t n, LogOpen *ret);
