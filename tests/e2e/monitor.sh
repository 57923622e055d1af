#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What happens at a concentrator, a line for each event: the VM's name, then what it is. A shell and nc are enough.
#
#   monitor.sh                             at 127.0.0.1:13371
#   monitor.sh HOST PORT
#   monitor.sh -U /run/vspc/admin.socket   on this machine

[ $# -gt 0 ] || set -- 127.0.0.1 13371

call='{"method":"org.vspc.Concentrator.Monitor","more":true}'
string='"(([^"\\]|\\.)*)"' # of JSON; what is escaped in a name is shown as it is

# A message is a line once the NUL at its end is a newline: JSON has none of its own. Neither tr nor sed may wait
# for more before they pass on what there is.
printf '%s\0' "$call" | nc "$@" | stdbuf -o0 tr '\0' '\n' |
    sed -unE 's/^\{"parameters":\{"event":'"$string"',"vm":\{"id":'"$string"',"uuid":'"$string"',"name":'"$string"'.*/\7 \1/p'
