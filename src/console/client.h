/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console.h"
#include "telnet/session.h"
#include "transport/stream.h"

/*
 * Client: a person, a script or a debugger at a console: a cursor in its ring, and a connection that is either
 * telnet or raw. Which of the two shows within half a second: a telnet program answers our offers, gdb and nc
 * do not.
 */
typedef enum ClientMode {
        CLIENT_UNDECIDED, /* has not spoken telnet, may yet: gets nothing so far */
        CLIENT_RAW,       /* bytes are passed unchanged */
        CLIENT_TELNET,
        CLIENT_DEAD, /* closed, to be freed */
} ClientMode;

#define CLIENT_DETECTION_USEC (500 * USEC_PER_MSEC)

/* Answers and notices that a client has not read: beyond this it is not read either. */
#define CLIENT_ANSWERS_MAX 4096U

/* One read's worth of negotiation can be answered in full. */
#define CLIENT_OUT_MAX (CLIENT_ANSWERS_MAX + 2 * CONCENTRATOR_READ_MAX)

/* What may be typed, or sent by a script, ahead of the answers to our offers and in one read with them */
#define CLIENT_TYPED_AHEAD_MAX 256U

/* A client's first bytes, kept while it is not known whether they are a telnet command, or while its VM takes
 * no input. It is more than a telnet program's first answers. */
#define CLIENT_PREFIX_MAX 64U

struct Client {
        Concentrator *concentrator;
        Console *console;
        ClientMode mode;

        Stream stream;
        TelnetSession telnet;
        RingCursor cursor;
        char peer[ADDRESS_TEXT_MAX];

        uint8_t prefix[CLIENT_PREFIX_MAX];
        uint8_t prefix_size;

        bool spoken;          /* something has been read */
        bool got_output;      /* the scrollback would come too late */
        bool shown_connected; /* the last it was told of its VM */
        uint64_t n_skipped;   /* bytes, in all */

        Timeout detection;
        Client *prev, *next; /* of the console, or of the dead */
};

int client_new(Console *console, int fd, const SocketAddress *peer);

/* Closes the connection and takes it out of its console. The memory goes later. */
void client_end(Client *c);
void client_free(Client *c);

/* Sends what it has not had yet, as far as it takes it. */
void client_flush(Client *c);

/* Reads or pauses, as its console has it. */
void client_update_reading(Client *c);

/* Its VM takes input again, or does not any more. */
void client_input_changed(Client *c);

void client_detection_elapsed(Timeout *t);

/* Tells a connection that it is one too many, and closes it. */
void client_refuse(Console *console, int fd, const SocketAddress *peer);
