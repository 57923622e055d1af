/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/buffer.h"

/*
 * JsonWriter: JSON (RFC 8259) straight into a queue of output. What comes in is read by jansson; what goes out is
 * written here because jansson takes 9 µs to make and write a VM, and a list of 16,000 of them is to be had in
 * 150 ms.
 *
 * Strings must be valid UTF-8. The first failure sticks (error): what is written afterwards is not.
 */
typedef struct JsonWriter {
        Buffer *out;
        bool comma; /* before what comes next */
        int error;  /* 0 or what buffer_append() said */
} JsonWriter;

#define JSON_WRITER_INIT(b) ((JsonWriter){.out = (b)})

/* @key: of a member of an object; NULL: an element of an array, or the outermost. */
void json_writer_begin_object(JsonWriter *w, const char *key);
void json_writer_end_object(JsonWriter *w);
void json_writer_begin_array(JsonWriter *w, const char *key);
void json_writer_end_array(JsonWriter *w);
void json_writer_put_string(JsonWriter *w, const char *key, const char *value);
void json_writer_put_unsigned(JsonWriter *w, const char *key, uint64_t value);
void json_writer_put_boolean(JsonWriter *w, const char *key, bool value);
