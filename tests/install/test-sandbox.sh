#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# vspc.service is as tight as we say, for systemd-analyze of Debian 12 and 13, and its comment has a reason for each
# point that is left. Usage: test-sandbox.sh SOURCE BUILD

set -eu
source=$1 build=$2
problems=0
exposure_max=11 # 1.1

problem() {
    echo "test-sandbox: $*" >&2
    problems=$((problems + 1))
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unit=$work/vspc.service
cp "$build/units/vspc.service" "$unit"
comment=$(grep '^#' "$unit")

analyze() {
    systemd-analyze security --offline=true "$@" "$unit"
}

# check RELEASE: with the analyze() of that release
check() {
    local output
    output=$(analyze --threshold=$exposure_max) ||
        problem "$1: the exposure is too high: $(tail -n 1 <<<"$output")
$(grep '✗' <<<"$output")"

    while IFS=$'\t' read -r name what; do
        grep -qF " $what" <<<"$comment" || problem "$1: the comment has no reason for $name ($what)"
    done < <(analyze --json=short | python3 -c '
import json, re, sys
for point in json.load(sys.stdin):
    if not point["set"] and point["exposure"]:
        family = re.search(r"~(AF_)\(?(\w+)", point["name"])
        print(point["name"], "".join(family.groups()) if family else point["name"].split("=")[0] + "=", sep="\t")')
}

check "Debian 12"

# A test that finds nothing wrong with anything would be none.
sed -i '/^ProtectSystem=/d' "$unit"
! analyze --threshold=$exposure_max >/dev/null || problem "a unit without ProtectSystem= passes"
cp "$build/units/vspc.service" "$unit"

[ $problems = 0 ] || exit 1
if [ "$(id -u)" != 0 ] || ! root=$("$source/tools/debian-root" trixie fresh); then
    echo "skipped for Debian 13: only root can make a root of it, see above"
    [ "${CI-}" != true ] || exit 1
    exit 77
fi

analyze() {
    unshare --mount sh -c 'mount --bind "$1" "$2/mnt" && shift && root=$1 && shift && exec chroot "$root" \
        systemd-analyze security --offline=true "$@" /mnt/vspc.service' sh "$work" "$root" "$@"
}

check "Debian 13"

[ $problems = 0 ]
