/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "console-label.h"
#include "spool.h"

/*
 * FileSink: console output as it is, byte for byte, in a file a VM. A VM that is renamed goes on in another
 * file. At most FILE_SINK_OPEN_MAX files are open, those that were written to last.
 *
 * Where a file cannot be written (the disk is full, or not ours any more) what is said is lost and counted, it
 * is tried anew with whatever comes next, and once it works the log says how much is missing.
 */
typedef struct FileSink FileSink;

#define FILE_SINK_OPEN_MAX 256U

/* @folder: where the files go, usually $LOGS_DIRECTORY. */
int file_sink_new(const char *folder, FileSink **ret);

/* See journal_sink_stop(). */
void file_sink_stop(FileSink *s);
FileSink *file_sink_free(FileSink *s, usec_t deadline);

Spool *file_sink_spool(FileSink *s);

/* Returns: 0, or the negative errno with which the disk has refused what came last, of whatever VM. The descriptor is
 * readable when that has changed. */
int file_sink_error(const FileSink *s);
int file_sink_news_fd(const FileSink *s);

/* A console's stream for spool_put(), with the prefix and the mode of its file; NULL if there is no memory. */
SpoolStream *file_sink_open(FileSink *s, ConsoleLabel *label, const char *prefix, mode_t mode);

/* Closes all files, so that what comes next goes into those that are there by these names then. */
void file_sink_reopen(FileSink *s);
