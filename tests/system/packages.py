# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspc's packages are upgraded, removed and installed again while VMs and administrators are connected"""

import re

from machine import wait_for
from scenario import Scenario, man_block, readme_block

SOCKETS = ("vspc.socket", "vspc-admin.socket", "vspc-admin-tls.socket", "vspc-hooks.socket", "vspc-logger.socket")
SERVICES = ("vspc.service", "vspc-hooks.service", "vspc-logger.service")

# Debian keeps whether a unit is enabled until a package is purged.
DEBIANS = (r"/etc/systemd/system/sockets\.target\.wants/|/var/lib/systemd/deb-systemd-helper-enabled/|"
           r"/var/lib/dpkg/info/")
STATE = r"/var/(lib|log)/vspc(-hooks)?(/|$)"
OF_THE_TEST = (r"/usr/local/bin/vspc-sim$|/etc/vspc(/|$)|/etc/apt/apt\.conf\.d/90vspc-tests$|/\.vspc-recipe$|"
               r"/run/systemd/system/vspc.*\.d(/|$)|/run/vspc-clock$")

# The same with a higher version: $1. What is in it is as new as the archive, so that a file that stays is noticed.
NEWER = """
rm -rf /root/vspc-newer
dpkg-deb --raw-extract /built/vspc_*.deb /root/vspc-newer
sed -i "s/^Version: .*/Version: $1/" /root/vspc-newer/DEBIAN/control
dpkg-deb --root-owner-group --build /root/vspc-newer /root/vspc-newer.deb
"""

# Somebody who connects all the time to the ports for queries
KNOCKING = """#!/bin/bash
while :; do
    for port in 13371 13372; do
        : >/dev/tcp/127.0.0.1/$port
    done 2>/dev/null
    sleep 0.01
done
"""


class Packages(Scenario):
    def apt(self, *arguments):
        return self.machine.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--no-install-recommends",
                                *arguments, timeout=120)

    def use_all_of_it(self):
        """Queries in TLS are enabled, a hook is there, and there are VMs and others who come again and again."""
        self.machine.sh(readme_block("openssl req -x509"))
        self.machine.write("/etc/vspc/hooks.d/50-nothing", "#!/bin/sh\n", 0o755)
        self.addCleanup(self.machine.run, "systemctl", "disable", "--now", "vspc-admin-tls.socket", check=False)
        self.machine.sh(man_block("vspcd.8", "systemctl enable vspc-admin-tls.socket"))
        for name in "gone", "web01", "web02":
            self.vm(name, "--tls=some", "--reconnect=10ms")
            self.wait_vm(name)
        self.power_off("gone")
        self.nc(self.vms()["web01"]).echo("something to be logged")
        self.machine.write("/run/knocking", KNOCKING, 0o755)
        self.machine.run("systemd-run", "--quiet", "--collect", "--unit=peer-knocking", "/run/knocking")
        for unit in SOCKETS + SERVICES:
            self.wait_active(unit)
        for user in "vspc", "vspc-hooks", "vspc-logger":
            self.assertTrue(self.machine.processes_of(user), user)
        return {name: vm["port"] for name, vm in self.vms().items()}


class Upgrading(Packages):
    n_versions = 0

    def upgrade(self):
        """To a version that there has not been yet"""
        Upgrading.n_versions += 1
        installed = self.machine.out("dpkg-query", "-W", "-f", "${Version}", "vspc").split("+")[0]
        version = f"{installed}+{Upgrading.n_versions}"
        self.machine.run("bash", "-euc", NEWER, "-", version)
        self.addCleanup(self.machine.sh, "rm -rf /root/vspc-newer*")
        self.apt("install", "/root/vspc-newer.deb")
        self.assertEqual(self.machine.out("dpkg-query", "-W", "-f", "${Version}", "vspc"), version)

    def open_since(self):
        return [self.show("ActiveEnterTimestampMonotonic", unit) for unit in SOCKETS]

    def test_an_upgrade_runs_the_new_one_and_leaves_the_sockets_open(self):
        ports = self.use_all_of_it()
        client = self.telnet(self.vms()["web01"]).echo("hello")
        pids, since = [self.show("MainPID", unit) for unit in SERVICES], self.open_since()
        self.upgrade()
        client.wait_shown("Connection closed by foreign host.").wait_exit()
        for unit, before in zip(SERVICES, pids):
            self.wait_active(unit)
            pid = self.show("MainPID", unit)
            self.assertNotEqual(pid, before)
            self.assertNotIn("(deleted)", self.machine.out("readlink", f"/proc/{pid}/exe"))
        for name in "web01", "web02":
            self.nc(self.wait_vm(name)).echo("hello again")
        self.assertEqual({name: vm["port"] for name, vm in self.vms().items()}, ports)
        self.assertEqual(self.open_since(), since)

    def test_an_upgrade_starts_nothing_that_the_administrator_has_stopped(self):
        off = ("vspc-admin.socket", "vspc.socket", "vspc.service")
        self.machine.run("systemctl", "disable", "--now", *off[:-1])
        self.addCleanup(self.machine.run, "systemctl", "enable", *off[:-1])
        self.upgrade()
        for unit in off:
            self.assertEqual(self.is_active(unit), "inactive")
        for unit in off[:-1]:
            self.assertEqual(self.machine.out("systemctl", "is-enabled", unit, check=False), "disabled\n")
        self.assertEqual(self.is_active("vspc-hooks.socket"), "active")


class Removing(Packages):
    """The end: after this they may be installed or not."""

    def setUp(self):
        self.apt("--allow-downgrades", "install", *self.packages)
        super().setUp()

    def remove(self, verb):
        """With all that has been installed with it"""
        self.machine.sh("comm -13 /run/before-install <(dpkg-query -W -f '${Package}\\n' | sort) | "
                        f"DEBIAN_FRONTEND=noninteractive xargs apt-get --yes {verb}", timeout=120)

    def left(self):
        paths = [path for folder in ("/", "/run") for path in self.machine.find(folder, "vspc")]
        return [path for path in paths if not re.match(OF_THE_TEST, path)]

    def wait_nothing_left(self, but="$."):
        """systemd removes what was in a service's /var/tmp after the service, by a thread."""
        def others():
            return [path for path in self.left() if not re.match(but, path)]
        wait_for(lambda: not others(), lambda: f"{others()} to be removed")

    def assert_ended(self):
        for unit in SOCKETS + SERVICES:
            self.assertEqual(self.is_active(unit), "inactive", unit)
        listening = self.machine.out("ss", "--no-header", "--tcp", "--listening", "--numeric")
        self.assertNotRegex(listening, r":(1337\d|50\d\d\d)\b")
        self.assertEqual(self.machine.processes_of("vspc", "vspc-hooks", "vspc-logger"), [])

    def test_what_is_removed_in_the_midst_of_its_work_goes_on_when_it_is_installed_again(self):
        ports = self.use_all_of_it()
        self.remove("remove")
        self.assert_ended()
        self.apt("install", *self.packages)
        for name in "web01", "web02":
            self.nc(self.wait_vm(name)).echo("hello again")
        self.assertEqual({name: vm["port"] for name, vm in self.vms().items()}, ports)

    def test_removing_the_packages_leaves_state_and_purging_them_nothing(self):
        self.machine.write("/etc/vspc/vspc.conf", "[ConsoleLog]\nFiles=yes\n")
        ports = self.use_all_of_it()
        self.assertNotEqual(ports["web02"], 50000)
        self.nc(self.vms()["web02"]).echo("hello")
        wait_for(lambda: self.machine.find("/var/log/vspc", "/web02"), "the console's file")
        self.remove("remove")
        self.assert_ended()
        self.assertEqual(self.machine.sh("ls -d /run/vspc* || true").stdout, "")
        self.assertIn("/var/lib/vspc/vm-ports", self.left())
        self.wait_nothing_left(f"{STATE}|{DEBIANS}")
        self.assertIn(f"\tPORT={ports['web02']}\t", self.machine.sh("cat /var/lib/vspc/vm-ports").stdout)
        self.assertTrue(self.machine.find("/var/log/vspc", "/web02"))
        self.machine.run("rm", "/etc/vspc/hooks.d/50-nothing")
        self.remove("purge")
        self.wait_nothing_left()
        self.assertEqual(self.machine.out("ls", "/etc/vspc").split(), ["vspc.conf", "vspc.conf.d", "vspc.crt", "vspc.key"])

        self.machine.run("systemctl", "stop", "peer-web01")
        self.apt("install", *self.packages)
        self.assertEqual(self.wait_vm("web02")["port"], 50000)
        self.assertEqual(list(self.vms()), ["web02"])
