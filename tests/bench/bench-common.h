/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"
#include "basic/parse.h"
#include "telnet/session.h"

/*
 * What the byte movers of the benchmarks share. They are the same programs whether vspcd or HAProxy is
 * between them, with blocking sockets and as little of their own as possible; only what is said before the
 * bytes begin to flow differs. Whatever goes wrong ends the program.
 *
 * Each prints "ready" once it is, and begins at a line from its standard input.
 */

/* What is moved, over and over: console text with an 0xFF now and then, as it is on the wire. */
#define BENCH_BLOCK_SIZE (256U * 1024U)
#define BENCH_BLOCK_DOUBLED 64U /* bytes of it that are the second of two IACs */
void bench_make_block(uint8_t block[static BENCH_BLOCK_SIZE]);

_Noreturn void bench_fail(const char *format, ...) _printf_(1, 2);
uint64_t bench_number(const char *text);
usec_t bench_now(void);

int bench_connect(uint16_t port);
void bench_send(int fd, const void *data, size_t n);

/* At least one byte. Returns: how many. */
size_t bench_receive(int fd, void *data, size_t n);

/* From here on the connection, of which a program has one then, is in TLS 1.3. With OpenSSL, so that whatever does TLS
 * at the other end meets a stranger. */
void bench_start_tls(int fd);
_Noreturn void bench_fail_tls(const char *what);
/* Sends and forgets what is in @b. */
void bench_send_buffer(int fd, Buffer *b);

/* Prints "ready" and waits for the line. */
void bench_await_start(void);

/* Reads and throws away what comes, answering negotiations by @policy, or none if it is NULL, until nothing
 * has come for a second. After that vspcd knows whether the client speaks telnet. */
void bench_settle(int fd, TelnetSession *s, const TelnetPolicy *policy);

/* A client with all that makes an 8-bit clean stream. */
extern const TelnetPolicy bench_client_policy;
