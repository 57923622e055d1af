/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/buffer.h"

/*
 * JsonWriter: writes JSON (RFC 8259) into an output queue. Received JSON is parsed by jansson, but jansson takes 9 µs to
 * create and write a VM, and a list of 16,000 VMs must not take more than 150 ms.
 *
 * Strings must be valid UTF-8. After a failure (`error`), nothing more is written.
 */
typedef struct JsonWriter {
        Buffer *out;
        bool comma; /* the next value needs a comma before it */
        int error;  /* 0, or the negative errno of buffer_append() */
} JsonWriter;

#define JSON_WRITER_INIT(b) ((JsonWriter){.out = (b)})

/* @key: the key of a member of an object; NULL for an element of an array and for the outermost value */
void json_writer_begin_object(JsonWriter *w, const char *key);
void json_writer_end_object(JsonWriter *w);
void json_writer_begin_array(JsonWriter *w, const char *key);
void json_writer_end_array(JsonWriter *w);
void json_writer_put_string(JsonWriter *w, const char *key, const char *value);
void json_writer_put_unsigned(JsonWriter *w, const char *key, uint64_t value);
void json_writer_put_boolean(JsonWriter *w, const char *key, bool value);
