/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/timeout-queue.h"
#include "telnet-connection.h"

/*
 * TelnetDetection: finds out whether a peer speaks telnet, by what it sends (telnet/recognize.h) within half a second, or
 * later; tells breaks from data while it does not; and keeps what it has sent and cannot be taken yet.
 *
 * Embedded in the owner of a TelnetConnection, for the peers of which what they speak is not known beforehand. An owner that
 * keeps what has been sent needs one for the others as well: these speak telnet from the beginning.
 */
struct TelnetDetection {
        TelnetConnection *connection; /* its record.reading is the state of the detection */
        TimeoutQueue *timeouts;       /* the owner's, one for each TelnetTimeout */
        Buffer unread;   /* what the peer has sent and is neither understood nor taken by the owner yet */
        Timeout silence; /* runs since the last read, unless the peer speaks telnet */

        /* Runs while record.mode is TELNET_MODE_UNDECIDED; while reading.awaits_binary; and while a raw peer's first bytes
         * (!reading.begun) are kept, which may become our own offers. */
        Timeout timeout;
};

/* Their handlers are telnet_connection_detection_elapsed(), telnet_detection_binary_elapsed() and
 * telnet_detection_silence_elapsed(). */
typedef enum TelnetTimeout { TELNET_TIMEOUT_DETECTION, TELNET_TIMEOUT_BINARY, TELNET_TIMEOUT_SILENCE } TelnetTimeout;

#define TELNET_DETECTION_USEC (500 * USEC_PER_MSEC)

/* How long output waits for the peer's answer to our WILL BINARY. A peer that agrees reads everything after our offer as
 * 8 bits, also what we send before its answer arrives. */
#define TELNET_BINARY_USEC (3 * USEC_PER_SEC)

/* A peer's first bytes, kept while it is not known whether they are a telnet command, or while its owner takes nothing. It is
 * more than a telnet program's first answers. */
#define TELNET_PREFIX_MAX 64U

/* Bytes that are kept in all */
#define TELNET_UNREAD_MAX 4096U

/* Gives the connection a detection, which does nothing until begin() is called: what the peer speaks counts as known. */
void telnet_detection_init(TelnetConnection *t, TelnetDetection *d, TimeoutQueue *timeouts);
void telnet_detection_begin(TelnetConnection *t);

/* Whether what the peer speaks, or in which encoding it reads, is still to be found out. */
bool telnet_detection_is_under_way(const TelnetConnection *t);

/* take(), decide(), end(), keep() and deliver() return 0, a verdict, or a negative errno. */

/* Handles what has been read. @cut: the read was as long as it could be, so there may be more of the same. */
int telnet_detection_take(TelnetConnection *t, uint8_t *data, size_t n, bool cut);

/* The time to wait for more is over: decides whether the peer is telnet or raw by what it has sent so far. That may be the
 * beginning of our own offers. */
int telnet_detection_decide(TelnetConnection *t);

/* The peer has ended its sending side, and everything has been read. */
int telnet_detection_end(TelnetConnection *t);

/* Keeps bytes that have been read until deliver() can give them to the owner. */
int telnet_detection_keep(TelnetConnection *t, const void *data, size_t n);

/* Gives the owner what was kept because the owner had no space, as far as it has space now. */
int telnet_detection_deliver(TelnetConnection *t);

/* How many bytes wait for space. forget(): drops them. */
size_t telnet_detection_waiting(const TelnetConnection *t);
void telnet_detection_forget(TelnetConnection *t);

/* Bytes that may be read now */
size_t telnet_detection_space(TelnetConnection *t);

/* Whether more has to be read to know what the peer speaks. */
bool telnet_detection_needs_more(const TelnetConnection *t);

/* Called by TelnetConnection when it begins to read or ceases to, and when it stops. */
void telnet_detection_watch(TelnetConnection *t, bool reading);
void telnet_detection_stop(TelnetConnection *t);

/* Handlers of TELNET_TIMEOUT_BINARY and TELNET_TIMEOUT_SILENCE; that of TELNET_TIMEOUT_DETECTION is TelnetConnection's. */
void telnet_detection_binary_elapsed(Timeout *t);
void telnet_detection_silence_elapsed(Timeout *t);
