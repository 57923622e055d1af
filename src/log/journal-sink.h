/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "console-label.h"
#include "spool.h"

/*
 * JournalSink: console output as journal entries, an entry a line, with the fields that say whose it is. A line
 * that is not ended is one after a second of silence. journald may be stopped, or slow: then its thread waits
 * for it, and what the spool has no room for meanwhile is an entry that says how much that was.
 */
typedef struct JournalSink JournalSink;

#define JOURNAL_SINK_IDENTIFIER "vspc-console"
#define JOURNAL_SINK_SILENCE_USEC USEC_PER_SEC

int journal_sink_new(JournalSink **ret);

/* All streams must have been ended. Writes what is left, but not beyond @deadline; journal_sink_stop() for all
 * sinks before, so that they do it together. */
void journal_sink_stop(JournalSink *s);
JournalSink *journal_sink_free(JournalSink *s, usec_t deadline);

Spool *journal_sink_spool(JournalSink *s);

/* A console's stream for spool_put(); NULL if there is no memory for it. */
SpoolStream *journal_sink_open(JournalSink *s, ConsoleLabel *label);
