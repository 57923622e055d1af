#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every hash table has the keyed function of basic/hash-table.h: whoever includes uthash directly has uthash's own. And
# elements are added and removed by macros that survive a shortage of memory.
# Usage: test-hash-function.sh SOURCE

set -eu
found=$(cd "$1/src" && grep -rl --include='*.[ch]' '<uthash\.h>' . | sort)
[ "$found" = ./basic/hash-table.h ] || {
    echo "only src/basic/hash-table.h is to include <uthash.h>, but these do:" "$found" >&2
    exit 1
}

cd "$1/src"
found=$(grep -rnE --include='*.[ch]' '\bHASH_(ADD|REPLACE|DELETE|DEL|SELECT)' . | grep -v '^./basic/hash-table\.h:' || true)
[ -z "$found" ] || {
    echo "HASH_TRY_ADD() and HASH_REMOVE() of basic/hash-table.h say when memory is short, these do not:" "$found" >&2
    exit 1
}
