/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Telnet's bytes as string literals, so that transcripts look as in an RFC: IAC WILL BINARY "data". The numbers
 * are repeated here and not taken from codec.h, so that a wrong number there is noticed. */

#define IAC "\xff"
#define DONT "\xfe"
#define DO "\xfd"
#define WONT "\xfc"
#define WILL "\xfb"
#define SB "\xfa"
#define AYT "\xf6"
#define BRK "\xf3"
#define NOP "\xf1"
#define SE "\xf0"

#define BINARY "\x00"
#define ECHO "\x01"
#define SGA "\x03"
#define AUTHENTICATION "\x25"
#define COM_PORT "\x2c"
#define VMWARE "\xe8"
