/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log-sink.h"

/*
 * JournalSink: writes console output to the journal, one entry for each line. Its fields say which VM has written the line,
 * and at which position in the console's output the line begins. An incomplete line is written after JOURNAL_SINK_SILENCE_USEC
 * without output. If journald is stopped or slow, the sink waits for it. If output is missing, an entry says how much.
 *
 * An incomplete line is not acknowledged, so that the next vspc-logger gets all of it.
 */
#define JOURNAL_SINK_IDENTIFIER "vspc-console"
#define JOURNAL_SINK_SILENCE_USEC USEC_PER_SEC

/* Returns: 0 or a negative errno. */
int journal_sink_new(LogSink **ret);
LogSink *journal_sink_free(LogSink *s); /* returns NULL */
