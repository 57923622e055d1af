/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "session.h"

/*
 * The half of a Session that a person at the terminal sees: which keys are the console's, which are the
 * prompt's, and what the commands of the prompt do. Its answers go to the terminal, not to the standard
 * error.
 */

/* Keys as the terminal gives them */
void session_keys(Session *s, const uint8_t *keys, size_t n);

/* Leaves the line of the prompt, if there is one, to what is shown at the end. */
void session_abandon_prompt(Session *s);

/* The prompt with what has been typed there, after something else was written. */
void session_show_prompt(const Session *s);
