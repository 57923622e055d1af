/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log-sink.h"

/*
 * FileSink: writes console output, byte for byte, to one file for each VM. When a VM is renamed, its output continues in
 * another file. At most FILE_SINK_OPEN_MAX files are open, those that were written to most recently.
 *
 * If a file cannot be written (for example because the disk is full), the data is lost and counted. The next data is tried
 * again, and when a write succeeds, the number of missing bytes is logged.
 *
 * Acknowledgements contain the file and its size. After a lost connection vspcd sends them back: bytes of the file beyond that
 * size have been written already, and are skipped.
 */
#define FILE_SINK_OPEN_MAX 256U

/* @folder: the folder for the files, usually $LOGS_DIRECTORY. Returns: 0 or a negative errno. */
int file_sink_new(const char *folder, LogSink **ret);
LogSink *file_sink_free(LogSink *s); /* returns NULL */
