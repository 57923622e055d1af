/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>

#include "style.h"
#include "varlink.h"

/*
 * What vspcd says about a VM and those at its console: the objects VM and Client of the interface, read with
 * distrust (any field may be missing or be something else) and put into words.
 *
 * Texts are as they came. Whoever prints them sanitises them: print_text(), or a Table.
 */

/* Returns: @otherwise if there is no such field, or it is no text. */
const char *json_get_text(const json_t *object, const char *key, const char *otherwise);

/* Returns: whether it is a number that is not negative. */
bool json_get_number(const json_t *object, const char *key, uint64_t *ret);

void print_text(FILE *f, const char *text);

/* "connected", "disconnected", "migrating", "shared" */
const char *vm_state(const json_t *vm, Style *ret_style);

/* "web01 (5012abcd-…)", sanitised and to be freed; NULL if memory is short. */
char *vm_title(const json_t *vm);

/* Whether the users of vspcd's machine are the ones that we know. */
typedef enum Users {
        USERS_OURS,
        USERS_FOREIGN,
} Users;

/* "alice (pid 4711)", "192.0.2.1:4711" */
void print_client(FILE *f, const json_t *client, Users users);

/* "alice (pid 4711) holds write access since 10:48:21 (3min ago)" */
void print_holder(FILE *f, const json_t *client, Users users);

/* The client that keeps others from writing; NULL if there is none among those that are listed. */
const json_t *vm_find_writer(const json_t *vm);

/* Access modes have dashes on the command line and underscores in Varlink. */
const char *access_from_option(const char *text);
const char *access_for_people(const char *access);
