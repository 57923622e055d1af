/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log-sink.h"

/*
 * FileSink: console output as it is, byte for byte, in a file a VM. A VM that is renamed goes on in another
 * file. At most FILE_SINK_OPEN_MAX files are open, those that were written to last.
 *
 * Where a file cannot be written (the disk is full, or not ours any more) what is said is lost and counted, it
 * is tried anew with whatever comes next, and once it works the log says how much is missing.
 *
 * Acknowledgements contain the file and its size. After a lost connection vspcd sends them back: bytes that the file has beyond
 * that size have been written already, and are skipped.
 */
#define FILE_SINK_OPEN_MAX 256U

/* @folder: where the files go, usually $LOGS_DIRECTORY. */
int file_sink_new(const char *folder, LogSink **ret);
LogSink *file_sink_free(LogSink *s); /* returns NULL */
