#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# "meson dist" makes a tarball, and the spec in it packages all that is installed, as far as Debian's rpm can tell.
# Usage: test-rpm.sh SOURCE BUILD

set -eu
source=$1 build=$2
problems=0

problem() {
    echo "test-rpm: $*" >&2
    problems=$((problems + 1))
}

# A tarball is made of a commit: what is not committed is not in it.
[ -e "$source/.git" ] || {
    echo "test-rpm: $source is no git checkout, and \"meson dist\" takes nothing else" >&2
    [ "${CI-}" != true ] || exit 1
    exit 77
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

meson dist -C "$build" --no-tests --formats=xztar --allow-dirty >"$work/dist.log" 2>&1 || {
    cat "$work/dist.log" >&2
    exit 1
}

# Dependencies have Fedora's names, so they cannot be looked for.
rpmbuild -tb --nodeps --load "$source/tests/package/rpm-macros" --define "_topdir $work" \
    "$build"/meson-dist/vspc-*.tar.xz >"$work/rpmbuild.log" 2>&1 || {
    tail -n 40 "$work/rpmbuild.log" >&2
    problem "rpmbuild has failed"
}

for package in vspc vspc-client vspc-backend-devel cockpit-vspc; do
    compgen -G "$work/RPMS/*/$package-[0-9]*.rpm" >/dev/null || problem "there is no package $package"
done

rpmlint -c "$source/packaging/rpm/rpmlint.toml" "$source/packaging/rpm/vspc.spec" "$work"/RPMS/*/*.rpm >"$work/rpmlint.log" 2>&1 ||
    problem "rpmlint has found something"
grep -q ' 0 errors, 0 warnings' "$work/rpmlint.log" || problem "rpmlint: $(cat "$work/rpmlint.log")"

[ $problems = 0 ]
