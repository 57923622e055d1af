#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# There is one version, meson.build's: whoever has to repeat it says the same. Usage: test-version.sh SOURCE VERSION
# PROGRAM...

set -eu
source=$1 version=$2
shift 2
problems=0

says() { # says WHO WHAT
    [ "$2" = "$version" ] && return
    echo "test-version: $1 says \"$2\", meson.build \"$version\"" >&2
    problems=$((problems + 1))
}

says NEWS.md "$(sed -n 's/^## \([^ ]*\).*/\1/p' "$source/NEWS.md" | head -n 1)"
says debian/changelog "$(dpkg-parsechangelog -l "$source/debian/changelog" -S Version)"
spec() {
    rpmspec --load "$source/tests/package/rpm-macros" --srpm --query --queryformat "$1" "$source/packaging/rpm/vspc.spec"
}
says "vspc.spec" "$(spec '%{version}')"
says "vspc.spec's changelog" "$(spec '%{changelogname}\n' | sed -n '1s/.* - \(.*\)-[^-]*$/\1/p')"
for program in "$@"; do
    says "$(basename "$program")" "$("$program" --version | sed 's/^[^ ]* //')"
done

[ $problems = 0 ]
