/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"
#include "basic/parse.h"
#include "telnet/session.h"

/*
 * Shared by the programs of the benchmarks that send and receive data. The same programs are used with vspcd and with
 * HAProxy between them. They use blocking sockets and do as little as possible; only the messages at the beginning
 * differ. Errors exit the program.
 *
 * Each program prints "ready" and begins when it reads a line from its standard input.
 */

/* The data, which is repeated: console text with an 0xFF now and then, as encoded for telnet */
#define BENCH_BLOCK_SIZE (256U * 1024U)
#define BENCH_BLOCK_DOUBLED 64U /* the number of its bytes that are the second of two IACs */
void bench_make_block(uint8_t block[static BENCH_BLOCK_SIZE]);

_Noreturn void bench_fail(const char *format, ...) _printf_(1, 2);
uint64_t bench_number(const char *text);
usec_t bench_now(void);

int bench_connect(uint16_t port);
void bench_send(int fd, const void *data, size_t n);

/* Reads at least one byte. Returns: the number of bytes. */
size_t bench_receive(int fd, void *data, size_t n);

/* Begins TLS 1.3 on the connection; a program can have one such connection. This uses OpenSSL, so that the two
 * ends have different implementations. */
void bench_start_tls(int fd);
_Noreturn void bench_fail_tls(const char *what);
/* Sends and clears @b. */
void bench_send_buffer(int fd, Buffer *b);

/* Prints "ready" and waits for the line. */
void bench_await_start(void);

/* Reads and discards data, and answers negotiations with @policy (if it is not NULL), until nothing has come for a
 * second. After that vspcd knows whether the client is a telnet client. */
void bench_settle(int fd, TelnetSession *s, const TelnetPolicy *policy);

/* The options of a client for an 8-bit clean stream */
extern const TelnetPolicy bench_client_policy;
