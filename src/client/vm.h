/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "basic/time.h"
#include "admin/varlink-client.h"

/*
 * Prints VMs and their clients, which are objects VM and Client of the interface, in words. Any field of them may be
 * missing or have a wrong type.
 *
 * The functions that print replace characters that could act on a terminal. Returned texts are not sanitized, unless
 * stated.
 */

/* Returns: the text; @otherwise if there is no such field or it is not a text. */
const char *json_get_text(const json_t *object, const char *key, const char *otherwise);

/* Returns: whether the field is a non-negative number. */
bool json_get_number(const json_t *object, const char *key, uint64_t *ret);

void print_text(FILE *f, const char *format, ...) _printf_(2, 3);

/* Format values for people, in a buffer. Times are CLOCK_REALTIME. */
#define HUMAN_TEXT_MAX 64U

/* "Sat 2025-11-22 10:48:21 CET" */
const char *human_timestamp(usec_t t, char buffer[static HUMAN_TEXT_MAX]);

/* "10:48:21" today, "2025-11-21 10:48:21" otherwise */
const char *human_moment(usec_t t, usec_t now, char buffer[static HUMAN_TEXT_MAX]);

/* "3min 12s ago", "2 days ago", "in 23h 59min" */
const char *human_distance(usec_t t, usec_t now, char buffer[static HUMAN_TEXT_MAX]);

/* "999B", "1.2M" */
const char *human_size(uint64_t bytes, char buffer[static HUMAN_TEXT_MAX]);

/* "free-for-all" for Varlink's "free_for_all"; not sanitized */
const char *human_access(const char *access, char buffer[static HUMAN_TEXT_MAX]);

/* "connected", "disconnected", "migrating", "shared". *ret_color: an escape sequence */
const char *vm_state(const json_t *vm, const char **ret_color);

/* Returns: "web01 (5012abcd-…)", sanitized, to be freed; NULL if memory is short. */
char *vm_title(const json_t *vm);

/* Whether user ids in replies of vspcd belong to this machine */
typedef enum Users {
        USERS_OURS,
        USERS_FOREIGN,
} Users;

/* "alice (pid 4711)", "192.0.2.1:4711" */
void print_client(FILE *f, const json_t *client, Users users);

/* "alice (pid 4711) holds write access since 10:48:21 (3min ago)" */
void print_holder(FILE *f, const json_t *client, Users users);

/* Returns: the client with write or exclusive access; NULL if it is not in the list. */
const json_t *vm_find_writer(const json_t *vm);

/* Prints everything that is known about a VM, in lines. */
void show_vm(FILE *f, const json_t *vm, Users users);
