#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# tools/build-packages makes Debian packages of this tree, in which lintian finds nothing. Usage: test-deb.sh SOURCE

set -eu
source=$1
problems=0

problem() {
    echo "test-deb: $*" >&2
    problems=$((problems + 1))
}

output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT
before=$(cd "$source" && find . -path './build*' -prune -o -path ./.git -prune -o -name __pycache__ -prune -o -print | sort)

"$source/tools/build-packages" --source --output="$output" >"$output/made"
for package in vspc vspc-client libvspc-backend-dev; do
    grep -q "^$output/${package}_[0-9.]*_.*\.deb$" "$output/made" || problem "there is no package $package"
done

after=$(cd "$source" && find . -path './build*' -prune -o -path ./.git -prune -o -name __pycache__ -prune -o -print | sort)
[ "$before" = "$after" ] || problem "the build has left something in the tree: $(diff <(echo "$before") <(echo "$after"))"

lintian --allow-root --info --display-info --pedantic --fail-on=error,warning,info,pedantic "$output"/vspc_*.changes >&2 ||
    problem "lintian has found something"

# Nothing is done where dpkg would be in the way: no file of the administrator's is among them.
for deb in "$output"/*.deb; do
    [ -z "$(dpkg-deb --fsys-tarfile "$deb" | tar -t ./etc ./run ./var 2>/dev/null)" ] ||
        problem "$(basename "$deb") has files in /etc, /run or /var"
done

# What it does not understand it says, and touches nothing.
! "$source/tools/build-packages" --outptu=/tmp 2>"$output/said" || problem "an unknown option is taken"
grep -q '"--outptu=/tmp" is not understood' "$output/said" || problem "an unknown option is not named"

[ $problems = 0 ]
