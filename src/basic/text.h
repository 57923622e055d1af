/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdarg.h>

#include "macro.h"

/*
 * Makes text from the network safe to show. The result is valid UTF-8 (RFC 3629), and nothing in it can move a
 * cursor, end a line or change the direction of writing: C0 and C1 controls, DEL, line and paragraph separators,
 * bidirectional overrides, noncharacters and bytes that are not UTF-8 are replaced by U+FFFD.
 *
 * Returns: a new string, to be freed by the caller, for at most the first @max bytes of @data (characters are not cut);
 * NULL if memory is short.
 */
char *text_sanitize(const void *data, size_t n, size_t max);

/* Return: the formatted text, to be freed; NULL if memory is short. */
char *text_format(const char *format, ...) _printf_(1, 2);
char *text_format_va(const char *format, va_list ap) _printf_(1, 0);

/* Returns: what text_sanitize() makes of the formatted text, to be freed; NULL if memory is short. */
char *text_format_clean_va(size_t max, const char *format, va_list ap) _printf_(2, 0);

/* Returns: @text as a part of a URL, with "%20" for a blank, to be freed; NULL if memory is short. */
char *text_escape_url(const char *text);

/* Returns: @n without an incomplete UTF-8 character at the end of the first @n bytes of @text. */
size_t text_cut(const void *text, size_t n);

/* Returns: the length of @text, but at most @max bytes, without cutting a UTF-8 character. */
size_t text_fit(const char *text, size_t max);

/* Returns: @n without full stops and blanks at the end of @text: for using a sentence as a part of another one. */
size_t text_sentence_length(const char *text, size_t n);

/* Returns: whether text_sanitize() leaves the character unchanged. */
bool text_is_harmless(uint32_t c);

/* Formats a fingerprint: "A1:B2:…". @n: at least 1. @ret: has room for 3 * @n bytes. Returns: @ret. */
const char *text_format_fingerprint(const uint8_t *data, size_t n, char *ret);

/* Parses a priority such as "<4>" (kernel, sd-daemon(3)) at the beginning of a line, and moves *line and *n behind
 * it. "<0>" becomes 1: journald writes emergencies to the terminals of everybody who is logged in, and guests must
 * not be able to cause that. Returns: the priority; LOG_INFO if the line has none. */
int text_take_priority(const char **line, size_t *n);

/* Returns: the index of @text among the @n names, of which some may be NULL; or -EINVAL. */
int text_find(const char *const *names, size_t n, const char *text);

/* Returns: the value of a hex digit (upper or lower case), or -1 if @c is none. */
int text_hex_digit(char c);

/* Returns: the length of the UTF-8 character that begins with @first; 0 if no character does. */
size_t utf8_length(uint8_t first);

/* Decodes the character at @p. @n: at least 1. Returns: its length, or 0 if there is no valid character. */
size_t utf8_decode(const uint8_t *p, size_t n, uint32_t *ret);
