/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "basic/buffer.h"

/*
 * The telnet codec (RFC 854, 855, 856): decodes bytes to events and encodes data to bytes. Pure functions on structs
 * of fixed size without pointers, so that the telnet state of a connection can be copied to another process.
 *
 * Runs of plain data are found with memchr() and not byte by byte.
 */

/* RFC 854, commands; EOF, SUSP and ABORT are RFC 1184's */
enum {
        TELNET_EOF = 236,
        TELNET_SUSP = 237,
        TELNET_ABORT = 238,
        TELNET_SE = 240,
        TELNET_NOP = 241,
        TELNET_DM = 242,
        TELNET_BRK = 243,
        TELNET_IP = 244,
        TELNET_AO = 245,
        TELNET_AYT = 246,
        TELNET_EC = 247,
        TELNET_EL = 248,
        TELNET_GA = 249,
        TELNET_SB = 250,
        TELNET_WILL = 251,
        TELNET_WONT = 252,
        TELNET_DO = 253,
        TELNET_DONT = 254,
        TELNET_IAC = 255,
};

/* Options that are used here */
enum {
        TELNET_BINARY = 0,          /* RFC 856 */
        TELNET_ECHO = 1,            /* RFC 857 */
        TELNET_SGA = 3,             /* RFC 858 */
        TELNET_AUTHENTICATION = 37, /* RFC 2941 */
        TELNET_COM_PORT = 44,       /* RFC 2217 */
        TELNET_VMWARE = 232,        /* VMware, "Using a Proxy with vSphere Virtual Serial Ports" */
};

/* Bytes of a subnegotiation between IAC SB option and IAC SE, after undoubling IAC. The longest ones that ESXi
 * normally sends contain a VM's name (80 characters in vSphere) or a Port URI. */
#define TELNET_SUBNEGOTIATION_MAX 1024U

/* How data is transmitted in one direction. */
typedef enum TelnetTransmission {
        TELNET_NVT,    /* RFC 854: CR is followed by LF or NUL; IAC is doubled */
        TELNET_8BIT,   /* RFC 856: only IAC is doubled */
        TELNET_RAW,    /* no telnet: bytes are unchanged */
} TelnetTransmission;

typedef enum TelnetEventType {
        TELNET_EVENT_NONE,           /* more bytes are needed */
        TELNET_EVENT_DATA,           /* data, size: points into the input */
        TELNET_EVENT_COMMAND,        /* command: any of NOP … GA, EOF … ABORT */
        TELNET_EVENT_NEGOTIATION,    /* command: WILL, WONT, DO or DONT; option */
        TELNET_EVENT_SUBNEGOTIATION, /* option; data, size: valid until the next call */
        TELNET_EVENT_OVERLONG,       /* option: its subnegotiation exceeds the bound; the rest of it is skipped */
} TelnetEventType;

typedef struct TelnetEvent {
        TelnetEventType type;
        uint8_t command;
        uint8_t option;
        const uint8_t *data;
        size_t size;
} TelnetEvent;

/* The meaning of CR LF that was received without BINARY. */
typedef enum TelnetLineEnd {
        TELNET_CR_LF_KEPT,  /* two characters, as in a VM's output to a terminal */
        TELNET_CR_LF_IS_CR, /* the Enter key, as from a user's telnet program (RFC 1123, 3.2.7) */
} TelnetLineEnd;

typedef struct TelnetDecoder {
        uint8_t state;        /* TelnetDecoderState */
        uint8_t transmission; /* TelnetTransmission: NVT or 8BIT */
        uint8_t line_end;     /* TelnetLineEnd */
        uint8_t command;
        uint8_t option;
        bool overlong;
        uint16_t size; /* of the subnegotiation so far, see telnet_decoder_kept() */
} TelnetDecoder;

typedef struct TelnetEncoder {
        uint8_t transmission; /* TelnetTransmission */
        uint8_t owes;         /* TelnetOwes: what must follow the last byte that was sent */
} TelnetEncoder;

void telnet_decoder_init(TelnetDecoder *d, TelnetLineEnd line_end);

/*
 * Decodes up to and including the next event. A negotiation can change how the following bytes must be decoded, so it
 * ends the call, and the caller may change d->transmission between two calls. @subnegotiation: a buffer for a
 * subnegotiation that does not arrive in one piece. Its first telnet_decoder_kept() bytes must be as the last call
 * for @d has left them; the rest may be changed.
 *
 * Returns: the number of bytes of @p that were used, at least 1 if @n is at least 1.
 */
size_t telnet_decode(TelnetDecoder *d, uint8_t subnegotiation[static TELNET_SUBNEGOTIATION_MAX], const uint8_t *p, size_t n,
                     TelnetEvent *ret);

/* Returns: the number of bytes of an incomplete subnegotiation: nearly always 0. */
size_t telnet_decoder_kept(const TelnetDecoder *d);

/* Returns: whether the decoder is not in the middle of a sequence: the next byte is data or begins a command. */
bool telnet_decoder_is_in_data(const TelnetDecoder *d);

/*
 * Encodes as much of @in as fits into @out. It may stop in the middle of a sequence of two bytes; the encoder then
 * remembers the missing byte, which it owes.
 *
 * Returns: the number of bytes written to @out. *ret_consumed: the number of bytes of @in that were encoded.
 */
size_t telnet_encode(TelnetEncoder *e, const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out,
                     size_t *ret_consumed);

/*
 * The same without copying: fills @pieces with parts of @in that are to be sent one after the other. To double an
 * IAC, one piece ends with it and the next piece begins with it. It stops before a CR that needs a NUL and when
 * @pieces is full, and does nothing while the encoder owes a byte.
 *
 * Returns: the number of pieces.
 */
size_t telnet_gather(const TelnetEncoder *e, const struct iovec *in, size_t n_in, struct iovec *pieces,
                     size_t n_pieces);

/* Must be called after @sent bytes of @pieces have been sent. If that is in the middle of a sequence, the encoder
 * owes the rest. Returns: the number of bytes of @in that have been sent. */
size_t telnet_gathered(TelnetEncoder *e, const struct iovec *pieces, size_t n_pieces, size_t sent);

/*
 * Completes a sequence that has been begun, so that a command may follow.
 * Returns: the number of bytes (0 or 1) written to @out.
 */
size_t telnet_complete(TelnetEncoder *e, uint8_t out[static 1]);

/* Encodes @data and appends it. On failure nothing is appended. Returns: 0, -ENOBUFS, -ENOMEM. */
int telnet_put_data(TelnetEncoder *e, Buffer *b, const void *data, size_t n);

/* Appends IAC SB @option @data IAC SE, with IAC doubled in @data. Returns: 0, -ENOBUFS, -ENOMEM. */
int telnet_put_subnegotiation(Buffer *b, uint8_t option, const void *data, size_t n);
