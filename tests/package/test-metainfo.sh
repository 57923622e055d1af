#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What software centers are told of the page for Cockpit is valid. Usage: test-metainfo.sh FILE

set -eu

command -v appstreamcli >/dev/null || {
    echo "test-metainfo: appstreamcli is missing (Debian package appstream)" >&2
    [ "${CI-}" != true ] || exit 1
    exit 77
}
# Later versions than Debian 12's ask for a homepage, and there is none.
overrides=
appstreamcli --version | grep -q ' 0\.' || overrides=--override=url-homepage-missing=info
# shellcheck disable=SC2086
appstreamcli validate --no-net --pedantic $overrides "$1"
