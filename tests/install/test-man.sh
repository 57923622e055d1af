#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Manual pages are well-formed, name all options that their programs have, and refer to pages that there are.
# Usage: test-man.sh FOLDER PROGRAM...

set -eu
folder=$1
shift
problems=0

problem() {
    echo "test-man: $*" >&2
    problems=$((problems + 1))
}

for page in "$folder"/*.[1-8]; do
    complaints=$(mandoc -T lint "$page" || true)
    [ -z "$complaints" ] || problem "$complaints"

    # A page of ours that is referred to is there.
    while read -r name section; do
        [ -e "$folder/$name.$section" ] || problem "$page refers to $name($section), which there is not"
    done < <(sed -n 's/^\.BR \(vspc[^ ]*\|org\.vspc[^ ]*\) (\([0-9]\)).*/\1 \2/p' "$page" | sed 's/\\-/-/g')
done

# README.md leads to pages that there are.
source=$(cd "$(dirname "$0")/../.." && pwd)
for page in $(sed -n 's/](man\/\([^)]*\))/\n\1\n/gp' "$source/README.md" | grep '\.[1-8]$' | sort -u); do
    [ -e "$folder/$page" ] || problem "README.md refers to $page, which is not installed"
done

for program in "$@"; do
    page=$(find "$folder" -name "$(basename "$program").[18]")
    [ -n "$page" ] || { problem "$program has no manual page"; continue; }
    text=$(sed 's/\\-/-/g' "$page")
    for option in $("$program" --help | grep -oE -- '--[a-z][a-z-]+' | sort -u); do
        grep -qF -- "$option" <<<"$text" || problem "$page does not mention $option"
    done
done

[ $problems = 0 ]
