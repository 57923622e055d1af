/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/uio.h>

#include "basic/buffer.h"

/*
 * The telnet codec (RFC 854, 855, 856): bytes to events, and data to bytes. Pure functions on plain structs
 * of fixed size and without pointers: a connection's telnet state can be stored and handed on as it is.
 *
 * Nothing here looks at bytes one by one where a run of them can be found with memchr().
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

/* Options that concern us */
enum {
        TELNET_BINARY = 0,          /* RFC 856 */
        TELNET_ECHO = 1,            /* RFC 857 */
        TELNET_SGA = 3,             /* RFC 858 */
        TELNET_AUTHENTICATION = 37, /* RFC 2941 */
        TELNET_COM_PORT = 44,       /* RFC 2217 */
        TELNET_VMWARE = 232,        /* VMware, "Using a Proxy with vSphere Virtual Serial Ports" */
};

/* Bytes of a subnegotiation, between IAC SB option and IAC SE, undoubled. The longest that ESXi has reason
 * to send is a VM's name (80 characters in vSphere) or a service URI. */
#define TELNET_SUBNEGOTIATION_MAX 1024U

/* How data is transmitted in one direction. */
typedef enum TelnetTransmission {
        TELNET_NVT,    /* RFC 854: CR is followed by LF or NUL; IAC is doubled */
        TELNET_8BIT,   /* RFC 856: IAC is doubled, all else is itself */
        TELNET_RAW,    /* no telnet at all */
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

/* What a line's end means that came as CR LF without BINARY. */
typedef enum TelnetLineEnd {
        TELNET_CR_LF_KEPT,  /* two characters, as a VM's output to a terminal has them */
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
        uint8_t owes;         /* TelnetOwes: what the last byte sent still asks for */
} TelnetEncoder;

void telnet_decoder_init(TelnetDecoder *d, TelnetLineEnd line_end);

/*
 * Decodes up to the next event. An event that changes how what follows is to be read (a negotiation) ends the
 * call, so the caller may change d->transmission between two calls.
 * @subnegotiation: where the bytes of one are collected that does not come in one piece. The first telnet_decoder_kept() bytes
 * must be as the last call for @d has left them, the others are of no account.
 *
 * Returns: how many bytes of @p have been used, at least 1 if @n is.
 */
size_t telnet_decode(TelnetDecoder *d, uint8_t subnegotiation[static TELNET_SUBNEGOTIATION_MAX], const uint8_t *p, size_t n,
                     TelnetEvent *ret);

/* How many bytes of a subnegotiation have come that has not ended yet: nearly always 0. */
size_t telnet_decoder_kept(const TelnetDecoder *d);

/* Whether the decoder is between two sequences: the next byte is data or begins a command. */
bool telnet_decoder_is_in_data(const TelnetDecoder *d);

/*
 * Encodes as much of @in as fits into @out. It may stop in the middle of a sequence of two bytes; the encoder
 * remembers what it owes.
 *
 * Returns: bytes written to @out; *ret_consumed: bytes of @in that they stand for.
 */
size_t telnet_encode(TelnetEncoder *e, const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out,
                     size_t *ret_consumed);

/*
 * The same without a copy: pieces of @in to be sent one after the other. Where an IAC is to be doubled one piece
 * ends with it and the next begins with it, so they overlap. It goes as far as it can: up to a CR that needs NUL,
 * not at all while something is owed, and as long as there are pieces.
 *
 * Returns: their number.
 */
size_t telnet_gather(const TelnetEncoder *e, const struct iovec *in, size_t n_in, struct iovec *pieces,
                     size_t n_pieces);

/* Of @pieces @sent bytes have been sent; in the middle of a sequence the encoder owes the rest of it. Returns: how
 * many bytes of @in they stand for. */
size_t telnet_gathered(TelnetEncoder *e, const struct iovec *pieces, size_t n_pieces, size_t sent);

/*
 * Ends a sequence that has been begun, so that a command may follow.
 * Returns: how many bytes (0 or 1) have been written to @out.
 */
size_t telnet_settle(TelnetEncoder *e, uint8_t out[static 1]);

/* Appends @data, encoded: all of it or, if that fails, nothing. Returns: 0, -ENOBUFS, -ENOMEM. */
int telnet_put_data(TelnetEncoder *e, Buffer *b, const void *data, size_t n);

/* Appends IAC SB @option @data IAC SE, with IAC doubled in @data. Returns: 0, -ENOBUFS, -ENOMEM. */
int telnet_put_subnegotiation(Buffer *b, uint8_t option, const void *data, size_t n);
