/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/timeout-queue.h"
#include "telnet-connection.h"

/*
 * TelnetDetection: finds out whether the peer of a TelnetConnection speaks telnet (telnet/recognize.h). It decides after half a
 * second, but a peer may still begin telnet later. For peers that do not speak telnet, it distinguishes breaks from data. It
 * also keeps bytes that the owner cannot take yet.
 *
 * Embedded in the owner of the TelnetConnection. If it is only needed for keeping bytes, it is initialized but not begun.
 */
struct TelnetDetection {
        TelnetConnection *connection; /* its record.reading is the state of the detection */
        TimeoutQueue *timeouts;       /* the owner's, one for each TelnetTimeout */
        Buffer unread;   /* bytes that are incomplete, or that the owner cannot take yet */
        Timeout silence; /* runs since the last read, unless the peer speaks telnet */

        /* Runs while record.mode is TELNET_MODE_UNDECIDED; while reading.awaits_binary; and while the first bytes of a raw peer
         * (!reading.begun) are kept because they may turn out to be our own offers. */
        Timeout timeout;
};

/* The handlers are telnet_connection_detection_elapsed(), telnet_detection_binary_elapsed() and
 * telnet_detection_silence_elapsed(). */
typedef enum TelnetTimeout { TELNET_TIMEOUT_DETECTION, TELNET_TIMEOUT_BINARY, TELNET_TIMEOUT_SILENCE } TelnetTimeout;

#define TELNET_DETECTION_USEC (500 * USEC_PER_MSEC)

/* How long output waits for the peer's answer to our WILL BINARY. A peer that agrees expects 8-bit data from our offer on, not
 * only from its answer on. */
#define TELNET_BINARY_USEC (3 * USEC_PER_SEC)

/* The maximum of first bytes that are kept while it is unclear whether they are telnet, or while the owner takes nothing. The
 * first answers of telnet programs are shorter. */
#define TELNET_PREFIX_MAX 64U

/* The maximum of all bytes that are kept */
#define TELNET_UNREAD_MAX 4096U

/* Attaches @d to the connection. Nothing is detected until telnet_detection_begin() is called. */
void telnet_detection_init(TelnetConnection *t, TelnetDetection *d, TimeoutQueue *timeouts);
void telnet_detection_begin(TelnetConnection *t);

/* Returns: whether it is still unknown what the peer speaks, or whether it agrees to BINARY. */
bool telnet_detection_is_under_way(const TelnetConnection *t);

/* take(), decide(), end(), keep() and deliver() return 0, a verdict, or a negative errno. */

/* Handles a read. @cut: the read filled its buffer, so there may be more data. */
int telnet_detection_take(TelnetConnection *t, uint8_t *data, size_t n, bool cut);

/* Decides by the bytes received so far whether the peer speaks telnet, because the time is over. */
int telnet_detection_decide(TelnetConnection *t);

/* Must be called when the end of the connection has been read. */
int telnet_detection_end(TelnetConnection *t);

/* Keeps bytes until deliver() passes them to the owner. */
int telnet_detection_keep(TelnetConnection *t, const void *data, size_t n);

/* Passes kept bytes to the owner, as many as it has space for. */
int telnet_detection_deliver(TelnetConnection *t);

/* Returns: the number of kept bytes that wait for space. forget(): drops them. */
size_t telnet_detection_waiting(const TelnetConnection *t);
void telnet_detection_forget(TelnetConnection *t);

/* Returns: the number of bytes that may be read now. */
size_t telnet_detection_space(TelnetConnection *t);

/* Returns: whether more bytes must be read to find out what the peer speaks. */
bool telnet_detection_needs_more(const TelnetConnection *t);

/* Called by TelnetConnection: watch(): when it begins or stops reading; stop(): when it is stopped. */
void telnet_detection_watch(TelnetConnection *t, bool reading);
void telnet_detection_stop(TelnetConnection *t);

/* Handlers of TELNET_TIMEOUT_BINARY and TELNET_TIMEOUT_SILENCE */
void telnet_detection_binary_elapsed(Timeout *t);
void telnet_detection_silence_elapsed(Timeout *t);
