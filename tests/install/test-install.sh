#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What "meson install" puts where, and that systemd understands it. Usage: test-install.sh BUILD PREFIX UNITDIR
# SYSUSERSDIR TMPFILESDIR SBINDIR CATALOGDIR HELPERDIR PRESETDIR

set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
build=$1 prefix=$2 unitdir=$3 sysusersdir=$4 tmpfilesdir=$5 sbindir=$6 catalogdir=$7 helperdir=$8 presetdir=$9

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
problems=0

problem() {
    echo "test-install: $*" >&2
    problems=$((problems + 1))
}

DESTDIR=$root meson install -C "$build" --no-rebuild --quiet

for file in "$sbindir/vspcd" "$prefix/bin/vspc-client" "$prefix/share/bash-completion/completions/vspc-client" \
    "$prefix/share/zsh/site-functions/_vspc-client" "$prefix"/share/man/man7/vspc-consoles.7 \
    "$unitdir"/vspc{,-hooks,-logger}.{socket,service} "$unitdir"/vspc-admin{,-tls}.socket \
    "$sysusersdir/vspc.conf" "$tmpfilesdir/vspc.conf" /usr/lib/vspc/vspc.conf \
    "$prefix"/share/man/man1/vspc-client.1 "$prefix"/share/man/man8/vspc{d,-logger}.8 "$prefix"/share/man/man5/vspc.conf.5 \
    "$prefix/share/man/man7/org.vspc.Concentrator.7" "$prefix/share/man/man5/org.vspc.Concentrator1.5" \
    "$prefix"/share/man/man7/vspc{,-from-vspcpy,.clients,.hooks}.7 "$catalogdir/vspc.catalog" \
    /usr/lib/vspc/{esxi-6,log-namespace,logrotate,reserved-ports}.conf \
    "$prefix"/share/cockpit/vspc/{manifest.json,index.html,page.{js,css},xterm/{xterm.{js,css},LICENSE}} \
    "$prefix/share/metainfo/org.vspc.cockpit.metainfo.xml" \
    /usr/share/dbus-1/system.d/org.vspc.Concentrator1.conf /usr/share/polkit-1/actions/org.vspc.policy; do
    [ -f "$root$file" ] || problem "$file is not installed"
done

for program in "$helperdir"/vspc-{hooks,logger} /usr/lib/vspc/{import-vspcpy,upgrade-notes}; do
    [ -x "$root$program" ] || problem "$program is not installed, or not executable"
done

# Cockpit shows the page if this program is there.
shown_if=$(sed -n 's/.*"path-exists": "\([^"]*\)".*/\1/p' "$root$prefix/share/cockpit/vspc/manifest.json")
[ "$shown_if" = "$sbindir/vspcd" ] || problem "Cockpit shows the page if $shown_if is there"

# GnuTLS is the only TLS library, also of what other libraries bring with them.
for program in vspcd vspc-client vspc-sim; do
    libraries=$(ldd "$build/$program" | grep -oE '\<lib(gnutls|ssl|crypto|nss3|mbedtls|wolfssl)\.so' | sort -u | xargs)
    [ "$libraries" = libgnutls.so ] || problem "TLS libraries of $program: $libraries"
done

# Each unit and each program has a page, if only one that leads to another.
man=$root$prefix/share/man
for name in vspc vspcd vspc-client vspc-hooks vspc-logger import-vspcpy $(cd "$root$unitdir" && ls); do
    page=$(find "$man" -name "$name.[1-8]")
    [ -n "$page" ] || { problem "there is no manual page for $name"; continue; }
    target=$man/$(sed -n 's/^\.so //p' "$page")
    [ -f "$target" ] || target=$page
    sed -n '/^\.SH NAME/,/ \\- /p' "$target" | sed 's/\\-/-/g' | grep -qw -- "$name" || problem "$target is not about $name"
done

[ ! -e "$root/etc" ] || problem "something is installed to /etc, which is the administrator's"

# vspc-sim is for trying out and testing.
[ -z "$(find "$root" -name 'vspc-sim*')" ] || problem "vspc-sim is installed, which nobody asked for"

# What somebody needs who writes a backend, and none of those that only tests need
for file in vspc-backend.h vspc-backend.pc; do
    [ -n "$(find "$root$prefix" -name $file)" ] || problem "$file is not installed"
done
[ -z "$(find "$root" -name 'backend-*')" ] || problem "a plug-in of the tests is installed"
if command -v pkg-config >/dev/null && command -v cc >/dev/null; then
    pc=$(dirname "$(find "$root$prefix" -name vspc-backend.pc)")
    flags=$(PKG_CONFIG_PATH=$pc PKG_CONFIG_SYSROOT_DIR=$root pkg-config --cflags vspc-backend)
    # shellcheck disable=SC2086
    cc -D_GNU_SOURCE -Wall -Wextra -Werror -shared -fPIC $flags -o "$root/backend-example.so" \
        "$(dirname "$0")/../plug-in/backend-example.c" || problem "a plug-in cannot be built as it is documented"
fi

# The configuration that is installed is all comments: it shows the defaults and says nothing that is wrong.
"$root$sbindir/vspcd" --config="$root/usr/lib/vspc/vspc.conf" --check-config || problem "vspc.conf is wrong"
sed 's/^#\([A-Z]\)/\1/' "$root/usr/lib/vspc/vspc.conf" >"$root/all.conf"
"$root$sbindir/vspcd" --config="$root/all.conf" --check-config || problem "a default shown in vspc.conf is wrong"

# systemd-analyze wants the program to be where the unit says.
units=$root/units
mkdir "$units"
cp "$root$unitdir"/vspc* "$units"
sed -i -E "s/^Exec(Start|Reload)=/&${root//\//\\/}/" "$units"/vspc{,-hooks,-logger}.service
sed -i "s/=.*kill /=\/bin\/kill /" "$units/vspc-logger.service"
mkdir "$units/vspc-logger.service.d"
cp "$root/usr/lib/vspc/log-namespace.conf" "$units/vspc-logger.service.d"
output=$(SYSTEMD_UNIT_PATH=$units:/lib/systemd/system systemd-analyze verify --man=no "$units"/vspc*.{service,socket} 2>&1 |
    grep -F "$units" || true)
[ -z "$output" ] || problem "systemd-analyze verify: $output"

# MemoryMax= leaves room for what the unit's comment adds up, and that has ConnectionMemoryMax= as vspcd does.
unit=$root$unitdir/vspc.service
allowed=$(($(sed -n 's/^MemoryMax=\([0-9]*\)G$/\1/p' "$unit") * 1024))
needed=$(($(sed -n 's/^# *\([0-9]*\) MiB .*/\1/p' "$unit" | paste -sd+)))
connections=$(sed -n 's/^#ConnectionMemoryMax=\([0-9]*\)M$/\1/p' "$root/usr/lib/vspc/vspc.conf")
[ "$allowed" -ge "$needed" ] || problem "MemoryMax= is $allowed MiB, but $needed MiB are needed"
grep -q "^# *$connections MiB .*ConnectionMemoryMax=" "$unit" || problem "MemoryMax= does not know of $connections MiB for connections"

! grep -E '^RuntimeDirectory=(.* )?vspc([ /]|$)' "$root$unitdir"/vspc*.service || problem "/run/vspc, which is root's, is a service's"

# Where everything is enabled that no preset file disables, as on a Debian that boots for the first time, the admin-tls
# socket stays off, and the others are on.
presets=$root/presets
mkdir -p "$presets/usr/lib/systemd" "$presets/etc/systemd/system"
cp -r "$root$unitdir" "$presets/usr/lib/systemd/system"
cp -r "$root$presetdir" "$presets/usr/lib/systemd/system-preset" || problem "there is no preset file"
systemctl --root="$presets" preset-all 2>/dev/null || problem "systemctl does not understand the preset file"
for socket in vspc vspc-admin vspc-admin-tls vspc-hooks vspc-logger; do
    expected=$([ $socket = vspc-admin-tls ] && echo disabled || echo enabled)
    found=$(systemctl --root="$presets" is-enabled $socket.socket) || true
    [ "$found" = "$expected" ] || problem "by the presets $socket.socket is $found, not $expected"
done

# What is left in /etc from before vspc-logger is named, and nothing else is.
old=$root/old
mkdir -p "$old"/etc/{systemd/system/vspc.service.d,logrotate.d}
printf '[Service]\nLogNamespace=vspc\n' >"$old/etc/systemd/system/vspc.service.d/ns.conf"
printf '[Service]\nLogsDirectory=consoles\n' >"$old/etc/systemd/system/vspc.service.d/dir.conf"
printf '[Service]\nMemoryMax=4G\n' >"$old/etc/systemd/system/vspc.service.d/memory.conf"
printf '/var/log/vspc/*.log {\n\tsu vspc vspc\n}\n' >"$old/etc/logrotate.d/vspc"
cp "$source/units/logrotate.conf" "$old/etc/logrotate.d/new"
named=$("$root/usr/lib/vspc/upgrade-notes" "$old" 2>&1 | grep -o '^vspc: [^ ]*' | sort | paste -sd' ')
expected="vspc: /etc/logrotate.d/vspc vspc: /etc/systemd/system/vspc.service.d/dir.conf vspc: /etc/systemd/system/vspc.service.d/ns.conf"
[ "$named" = "$expected" ] || problem "upgrade-notes names $named instead of $expected"

mkdir -p "$root/sysroot/etc"
systemd-sysusers --root="$root/sysroot" "$root$sysusersdir/vspc.conf" >/dev/null ||
    problem "systemd-sysusers does not understand its snippet"
for user in vspc vspc-hooks vspc-logger; do
    grep -q "^$user:" "$root/sysroot/etc/passwd" || problem "there is no user $user"
    # Two services of one user have power over each other's processes.
    [ "$(grep -lx "User=$user" "$root$unitdir"/vspc*.service)" = "$root$unitdir/$user.service" ] ||
        problem "$user.service is not alone in running as $user"
done
if [ "$(id -u)" = 0 ]; then
    systemd-tmpfiles --root="$root/sysroot" --create "$root$tmpfilesdir/vspc.conf" ||
        problem "systemd-tmpfiles does not understand its snippet"
    # Where an administrator's hooks and drop-ins go: the folders are there, and stay as he makes them.
    for folder in /etc/vspc/hooks.d /etc/vspc/vspc.conf.d; do
        [ "$(stat -c '%u:%g %a' "$root/sysroot$folder")" = "0:0 755" ] ||
            problem "$folder is not made, or others than root may write there"
    done
    chmod 0700 "$root/sysroot/etc/vspc/hooks.d"
    systemd-tmpfiles --root="$root/sysroot" --create "$root$tmpfilesdir/vspc.conf"
    [ "$(stat -c %a "$root/sysroot/etc/vspc/hooks.d")" = 700 ] || problem "systemd-tmpfiles changes an administrator's folder"
    # systemd gives away what is at its sockets' paths, and vspcd reads a configuration here.
    [ "$(stat -c '%u:%g %a' "$root/sysroot/run/vspc")" = "0:0 755" ] ||
        problem "/run/vspc is not made, or others than root may write there"
fi

# Each message that has an ID has an explanation, and journalctl takes all of them.
ids=$(sed -n 's/^#define VSPC_MESSAGE_.* "\([0-9a-f]*\)"$/\1/p' "$source/src/console/message.h" | sort)
explained=$(sed -n 's/^-- \([0-9a-f]*\)$/\1/p' "$root$catalogdir/vspc.catalog" | sort)
[ -n "$ids" ] || problem "no message IDs are found"
[ "$ids" = "$explained" ] || problem "message.h and vspc.catalog do not have the same messages:
$(diff <(echo "$ids") <(echo "$explained"))"
catalogs=$root/catalogs
mkdir -p "$catalogs/usr/lib/systemd/catalog"
cp "$root$catalogdir/vspc.catalog" "$catalogs/usr/lib/systemd/catalog"
output=$(journalctl --root="$catalogs" --update-catalog 2>&1) || problem "journalctl --update-catalog: $output"
for id in $ids; do
    journalctl --root="$catalogs" --dump-catalog "$id" | grep -q '^Subject: .' || problem "journalctl does not know $id"
done

[ $problems = 0 ]
