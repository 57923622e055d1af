#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Runs a fuzzer for FUZZ_SEC seconds. New inputs go to the folder FOUND; the corpus in the tree is chosen by hand.
# Usage: run-fuzzer.sh FUZZER CORPUS FOUND

set -eu
fuzzer=$1 corpus=$2 found=$3
sec=${FUZZ_SEC:-60}

mkdir -p "$found"
status=0
"$fuzzer" -max_total_time="$sec" -timeout=5 -rss_limit_mb=2048 -error_exitcode=1 -print_final_stats=1 \
    -artifact_prefix="$found/" "$found" "$corpus" >"$found.log" 2>&1 || status=$?
if [ $status != 0 ]; then
    tail -n 60 "$found.log"
    echo "To run it again: $fuzzer FILE, where FILE is the one named above"
    exit $status
fi

runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$found.log")
echo "$runs inputs in $sec seconds"
[ "${runs:-0}" -gt 0 ]
