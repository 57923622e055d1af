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

# Its sockets come from systemd: there can be no init script. Debian 13's lintian does not know the tag any more, and an
# override that it does not know is an error. It knows a newer policy, which that of Debian 12 does not.
status=0
lintian --allow-root --display-info --pedantic "$output"/vspc_*.changes >"$output/lintian" 2>&1 || status=$?
[ $status = 0 ] || [ $status = 2 ] || problem "lintian itself has failed:
$(cat "$output/lintian")" # 2: it has found something
found=$(grep '^[A-Z]: ' "$output/lintian" |
    grep -v '^N: \|package-supports-alternative-init-but-no-init.d-script\|out-of-date-standards-version' || true)
[ -z "$found" ] || problem "lintian has found something:
$found"

# What is the administrator's, or made when it runs, is not theirs.
for deb in "$output"/*.deb; do
    [ -z "$(dpkg-deb --fsys-tarfile "$deb" | tar -t ./etc ./run ./var 2>/dev/null)" ] ||
        problem "$(basename "$deb") has files in /etc, /run or /var"
done

! "$source/tools/build-packages" --outptu=/tmp 2>"$output/said" || problem "an unknown option is taken"
grep -q '"--outptu=/tmp" is not understood' "$output/said" || problem "an unknown option is not named"

[ $problems = 0 ]
