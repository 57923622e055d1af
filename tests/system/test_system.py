# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspc under a real systemd, from its packages. Usage: test_system.py RELEASE [WORD...]: only the tests with such a
word in their names."""

import unittest

import tap
from encryption import Encryption
from faces import Faces
from machine import Machine
from packages import Removing, Upgrading
from project import Project
from scenario import Scenario
from service import Service
from trouble import Trouble

# What there is before and after the installation, for the scenarios that want to know; and people. Of so many connections
# that are made here, one would have a VM's port sooner or later while vspcd is restarted.
BEFORE = "dpkg-query -W -f '${Package}\\n' | sort >/run/before-install"
AFTER = """
for unit in vspc.socket vspc-admin.socket vspc-hooks.socket vspc-admin-tls.socket vspc.service vspc-hooks.service; do
    echo "$unit $(systemctl is-active $unit) $(systemctl is-enabled $unit)"
done >/run/after-install
ls -d /etc/vspc/* >>/run/after-install
sysctl --quiet net.ipv4.ip_local_reserved_ports=50000-54095
useradd --create-home alice
useradd --create-home --groups vspc bob
"""


def run(release, tests, result):
    project = Project(release)
    machine = Machine(release, "host", project.binds)
    try:
        project.fetch_dependencies(machine)
        machine.write("/etc/hostname", "vspc\n")
        machine.write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 vspc.example.com vspc\n")
        machine.boot()
        machine.sh(BEFORE)
        project.install(machine)
        machine.sh(AFTER)
        Scenario.machine, Scenario.packages = machine, project.packages()
        unittest.TestSuite(tests).run(result)
    finally:
        machine.close()
        project.close()


if __name__ == "__main__":
    tap.main(run, [Service, Faces, Encryption, Trouble, Upgrading, Removing])
