#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Has all Debian roots made that tests need, if they are not there yet, so that no test has to wait for that within a time
# that is meant for itself. Usage: make-roots.sh SOURCE

set -eu
source=$1

[ "$(id -u)" = 0 ] || {
    echo "skipped: only root can make a Debian root"
    exit 77
}
command -v debootstrap >/dev/null || {
    echo "skipped: debootstrap is missing (Debian package debootstrap)"
    exit 77
}

makers=()
for release in bookworm trixie; do
    (
        for kind in fresh host build; do
            "$source/tools/debian-root" "$release" "$kind" # prints where it is
        done
    ) &
    makers+=($!)
done

status=0
for maker in "${makers[@]}"; do
    wait "$maker" || status=1
done
exit $status
