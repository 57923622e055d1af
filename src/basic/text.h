/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/*
 * Text from strangers, made fit for people. Whatever the bytes, the result is valid UTF-8 (RFC 3629) in which
 * nothing can move a cursor, end a line or turn the direction of writing: C0 and C1 controls, DEL, line and
 * paragraph separators, bidirectional overrides and noncharacters become U+FFFD, as do bytes that are no UTF-8.
 *
 * Returns: a new string, to be freed by the caller, that stands for at most the first @max bytes of @data
 * (never cutting a character in two); NULL if memory is short.
 */
char *text_sanitize(const void *data, size_t n, size_t max);

/* Returns: how many of the first @n bytes of @text are left if a UTF-8 character that is cut off at their end
 * goes altogether. */
size_t text_cut(const void *text, size_t n);

/* Returns: how many bytes of @text there are, or fit into @max without a character of UTF-8 being cut in two. */
size_t text_fit(const char *text, size_t max);

/* Returns: how many of the first @n bytes of @text are left without the full stops and blanks at its end: of a sentence
 * that is to be a part of another. */
size_t text_sentence_length(const char *text, size_t n);

/* Whether a character does nothing but show: what text_sanitize() leaves as it is. */
bool text_is_harmless(uint32_t c);

/* "A1:B2:…", as fingerprints are shown. @ret: 3 bytes for each of the @n, of which there is one at least. Returns: @ret. */
const char *text_format_fingerprint(const uint8_t *data, size_t n, char *ret);

/* Takes a priority such as "<4>", as the kernel and sd-daemon(3) write it, off the beginning of a line; *line and *n are
 * moved behind it. It comes from strangers: <0> counts as 1, for journald writes what has 0 to the terminals of
 * everybody who is logged in. Returns: the priority; LOG_INFO if the line has none. */
int text_take_priority(const char **line, size_t *n);

/* What a hex digit, of either case, stands for. Returns: that, or -1 if it is none. */
int text_hex_digit(char c);

/* What the first byte of a UTF-8 character says of its length; 0 if it cannot be a first byte. */
size_t utf8_length(uint8_t first);

/* Decodes the character at @p, of at least one byte. Returns: its length, or 0 if there is no valid one. */
size_t utf8_decode(const uint8_t *p, size_t n, uint32_t *ret);
