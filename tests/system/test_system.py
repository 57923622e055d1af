# SPDX-License-Identifier: LGPL-2.1-or-later

"""Scenarios with vspc under a real systemd: builds the packages, boots a machine with Debian 12 (bookworm) or 13
(trixie) and installs them there. With --shell, opens a shell on that machine instead."""

import contextlib
import sys

import isolation
from arguments import argument_parser, skip_where_impossible, tap
from debs import Debs
from encryption import Encryption
from faces import Faces
from machine import SOURCE, Machine
from packages import Removing, Upgrading
from project import Project
from scenario import Scenario
from service import Service
from trouble import Trouble

CLASSES = [Debs, Service, Faces, Encryption, Trouble, Upgrading, Removing]

# Shell commands for the machine. They record what is installed before vspc and what its installation has made, for the
# scenarios that compare these, and add users. Ports of VMs are reserved: otherwise one of the many outgoing connections
# made here would take one sooner or later while vspcd is restarted.
BEFORE = "dpkg-query -W -f '${Package}\\n' | sort >/run/before-install"
AFTER = """
for unit in vspc.socket vspc-admin.socket vspc-hooks.socket vspc-admin-tls.socket vspc-logger.socket \\
        vspc.service vspc-hooks.service vspc-logger.service; do
    echo "$unit $(systemctl is-active $unit) $(systemctl is-enabled $unit)"
done >/run/after-install
ls -d /etc/vspc/* >>/run/after-install
sysctl --quiet net.ipv4.ip_local_reserved_ports=50000-54095
useradd --create-home alice
useradd --create-home --groups vspc bob
"""

WELCOME = """
A machine with vspc on it, and with access to the network for apt. It is powered off when this shell ends, and nothing in it
is kept. The tree is at /source, the packages are in /built. To simulate a VM whose serial port is a shell:

  systemd-run --unit=web01 vspc-sim --connect=127.0.0.1:13370 --name=web01 --exec='bash -i'
  vspc-client attach web01
"""


@contextlib.contextmanager
def machine_with_vspc(release):
    project = Project(release)
    try:
        machine = Machine(release, "host", [*project.binds, f"--bind-ro={SOURCE}:/source"])
        try:
            project.fetch_dependencies(machine)
            machine.write("/etc/hostname", "vspc\n")
            machine.write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 vspc.example.com vspc\n")
            machine.boot()
            machine.sh(BEFORE)
            project.install(machine)
            machine.sh(AFTER)
            yield project, machine
        finally:
            machine.close()
    finally:
        project.close()


def run(release, tests, result):
    with machine_with_vspc(release) as (project, machine):
        Scenario.machine, Scenario.packages, Debs.project = machine, project.packages(), project
        tests.run(result)


def look_around(release):
    with machine_with_vspc(release) as (_, machine):
        machine.connect()
        print(WELCOME, flush=True)
        machine.shell()


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--shell", action="store_true", help="run no scenarios, but a root shell on the machine")
    parser.add_argument("--shell-on-failure", action="store_true",
                        help="run a shell on the machine when a scenario fails, before anything is cleaned up")
    arguments = parser.parse_args()

    if arguments.shell:
        why = isolation.why_impossible()
        if why:
            sys.exit(f"Cannot boot a machine: {why}")
        isolation.enter()
        look_around(arguments.release)
        return

    skip_where_impossible()
    isolation.enter()
    tap.run(tap.select(tap.tests_of(*CLASSES), arguments.words),
            lambda tests, result: run(arguments.release, tests, result),
            (lambda: Scenario.machine.shell()) if arguments.shell_on_failure else None)


if __name__ == "__main__":
    main()
