/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log-sink.h"

/*
 * JournalSink: console output as journal entries, an entry a line, with the fields that say whose it is and where in the
 * console's output it begins. A line that is not ended is one after a second of silence. journald may be stopped, or slow: then
 * it waits for it. What is missing is an entry that says how much that is.
 *
 * An incomplete line is not acknowledged, so that the next vspc-logger gets all of it.
 */
#define JOURNAL_SINK_IDENTIFIER "vspc-console"
#define JOURNAL_SINK_SILENCE_USEC USEC_PER_SEC

int journal_sink_new(LogSink **ret);
LogSink *journal_sink_free(LogSink *s); /* returns NULL */
