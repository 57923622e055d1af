#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every hash table has the keyed function of basic/hash-table.h: whoever includes uthash by himself has uthash's own.
# Usage: test-hash-function.sh SOURCE

set -eu
found=$(cd "$1/src" && grep -rl --include='*.[ch]' '<uthash\.h>' . | sort)
[ "$found" = ./basic/hash-table.h ] || {
    echo "only src/basic/hash-table.h is to include <uthash.h>, but these do:" "$found" >&2
    exit 1
}
