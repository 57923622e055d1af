# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by the tools: the Debian packages that they need, and their installation where some are missing.

# To build vspcd, vspc-client, vspc-sim and what is installed with them
PACKAGES_BUILD="gcc libc6-dev meson ninja-build pkg-config libsystemd-dev libinih-dev libjansson-dev libgnutls28-dev libsmartcols-dev uthash-dev systemd"

# To try it out
PACKAGES_SERVE="$PACKAGES_BUILD inetutils-telnet"

# To build the tests, and to run those of the suites unit and corpus: under sanitizers, with a symbolizer for their reports
PACKAGES_UNIT="$PACKAGES_BUILD python3 libcmocka-dev libtelnet-dev nodejs clang libclang-rt-dev llvm"

# What the tests of each other suite need: outside peers, what makes and checks packages, and what boots a machine
PACKAGES_E2E="python3-cryptography python3-gdbm python3-prometheus-client openssl inetutils-telnet netcat-openbsd gdb
    gdbserver tmux dbus-daemon dbus-bin iproute2 procps util-linux logrotate gnutls-bin socat telnet-ssl softhsm2 debootstrap
    putty-tools ckermit python3-serial gensio-bin ser2net zsh
    openssh-client openssh-server"
PACKAGES_INSTALL="mandoc debootstrap util-linux"
PACKAGES_PACKAGE="appstream dpkg-dev rpm rpmlint"
PACKAGES_COCKPIT="chromium cockpit-bridge cockpit-system cockpit-ws firefox-esr python3-websocket"
PACKAGES_SYSTEM="chromium debootstrap systemd-container slirp4netns util-linux procps"

# The suite guest, and tools/linux-guest: a real Linux at a VM's serial port
PACKAGES_GUEST="qemu-system-x86 cpio python3 inetutils-telnet"

# Installed on the machines that tests boot and on which vspc runs (tools/debian-root)
PACKAGES_HOST="systemd systemd-sysv dbus polkitd iproute2 inetutils-telnet netcat-openbsd openssl"

# Services that Debian starts when it installs these packages, and that listen for the whole network: package:unit. Tests start the
# programs themselves, at the loopback address.
SERVICES_UNWANTED="cockpit-ws:cockpit.socket cockpit-ws:cockpit.service ser2net:ser2net.service
    openssh-server:ssh.service openssh-server:ssh.socket"

# find_root COMPLAINT: puts into $become_root what makes a command run as root; or complains, if nothing can.
find_root() {
    become_root=
    if [ "$(id -u)" != 0 ]; then
        become_root=sudo
        command -v sudo >/dev/null || {
            echo "$1" >&2
            return 1
        }
    fi
}

# mask_services PACKAGE...: of packages that are about to be installed, so that their installation opens no port. A unit that the
# administrator has put there stays.
mask_services() {
    for service in $SERVICES_UNWANTED; do
        package=${service%%:*} unit=/etc/systemd/system/${service#*:}
        case " $* " in
        *" $package "*) ;;
        *) continue ;;
        esac
        if [ ! -e "$unit" ] && [ ! -L "$unit" ]; then
            echo "Masking ${service#*:}, so that installing $package opens no port (\"systemctl unmask ${service#*:}\" undoes this)" >&2
            $become_root mkdir -p /etc/systemd/system && $become_root ln -s /dev/null "$unit" || return 1
        fi
    done
}

# need_packages PACKAGE...: installs those that are missing, or fails and names them.
need_packages() {
    missing=
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing="$missing $package"
        fi
    done
    [ -n "$missing" ] || return 0

    find_root "These Debian packages are missing, and only root can install them:$missing" || return 1

    # shellcheck disable=SC2086
    mask_services $missing || return 1
    echo "Installing$missing" >&2
    $become_root apt-get -qq update &&
        $become_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
            -o Dpkg::Use-Pty=0 install $missing >/dev/null
}

# need_build_dependencies PROFILES: installs what debian/control asks for, with these build profiles.
need_build_dependencies() {
    need_packages build-essential || return 1
    missing=$(dpkg-checkbuilddeps -P "$1" 2>&1) && return 0

    find_root "Only root can install what is missing. $missing" || return 1
    echo "Installing what debian/control asks for" >&2
    $become_root apt-get -qq update &&
        $become_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
            -o Dpkg::Use-Pty=0 ${1:+-P "$1"} build-dep ./ >/dev/null
}
