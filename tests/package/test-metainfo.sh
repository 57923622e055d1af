#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What software centers are told of the page for Cockpit is valid. Usage: test-metainfo.sh FILE

set -eu

command -v appstreamcli >/dev/null || {
    echo "test-metainfo: appstreamcli is missing (Debian package appstream)" >&2
    [ "${CI-}" != true ] || exit 1
    exit 77
}
appstreamcli validate --no-net --pedantic "$1"
