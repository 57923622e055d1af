#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Has Debian roots made that tests need, if they are not there yet, so that no test has to wait for that within a time that
# is meant for itself. Usage: make-roots.sh SOURCE "RELEASE KIND..."...

set -eu
source=$1
shift

# Not in CI, where nothing that is needed may be missing
skip() {
    echo "skipped: $*"
    [ "${CI-}" != true ] || exit 1
    exit 77
}

[ "$(id -u)" = 0 ] || skip "only root can make a Debian root"
command -v debootstrap >/dev/null || skip "debootstrap is missing (Debian package debootstrap)"

makers=()
for roots in "$@"; do
    read -r release kinds <<<"$roots"
    (
        for kind in $kinds; do
            "$source/tools/debian-root" "$release" "$kind" # prints where it is
        done
    ) &
    makers+=($!)
done

status=0
for maker in "${makers[@]}"; do
    wait "$maker" || status=1
done
[ $status = 0 ] || timeout 30 bash -c ': </dev/tcp/deb.debian.org/80' || skip "deb.debian.org cannot be reached"
exit $status
