# SPDX-License-Identifier: LGPL-2.1-or-later

"""Failures of a machine, and their effect on the consoles"""

import json
import struct
import time

from machine import wait_for
from scenario import Scenario

STORM = 4000

# The machine's clock cannot be set in a container, and must not be: it is everybody's. What vspcd is told of it can:
# jumping-clock.c adds what is in /run/vspc-clock, microseconds.
JUMPING_CLOCK = "[Service]\nEnvironment=LD_PRELOAD=/built/jumping-clock.so\nExecPaths=/built\nWatchdogSec=5s\n"
DAY = 24 * 60 * 60 * 1000000


class Trouble(Scenario):
    def main_pid(self):
        return self.show("MainPID")

    def wait_restarted(self, pid):
        def is_another():
            return self.is_active("vspc.service") == "active" and self.main_pid() not in ("0", pid)
        wait_for(is_another, "the service to be started again")

    def test_after_a_crash_it_is_back_with_the_ports(self):
        self.killed_on_purpose = True
        for name in "first", "second":
            self.vm(name)
            self.wait_vm(name)
        before = {name: vm["port"] for name, vm in self.vms().items()}
        stored = "grep --count --extended-regexp 'NAME=(first|second)\t.*PORT=' /var/lib/vspc/vm-ports || true"
        wait_for(lambda: int(self.machine.sh(stored).stdout) >= len(before), "their ports to be stored")
        pid = self.main_pid()
        self.machine.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGSEGV", "vspc")
        self.wait_restarted(pid)
        self.assertEqual(self.show("NRestarts"), "1")
        for name in before:
            self.wait_vm(name)
            self.nc(self.wait_vm(name)).echo("hello again")
        self.assertEqual({name: vm["port"] for name, vm in self.vms().items()}, before)

    def test_it_is_back_after_more_crashes_in_a_row_than_systemd_bears_by_default(self):
        self.killed_on_purpose = True
        self.vm("web01")
        port = self.wait_vm("web01")["port"]
        for _ in range(6):
            pid = self.main_pid()
            self.machine.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGSEGV", "vspc")
            self.wait_restarted(pid)
        self.assertEqual(self.wait_vm("web01")["port"], port)

    def test_when_it_hangs_the_watchdog_starts_it_again(self):
        self.killed_on_purpose = True
        self.assertEqual(self.show("WatchdogUSec"), "30s")
        self.edit("vspc.service", "[Service]\nWatchdogSec=5s\n")
        self.vm("web01")
        port = self.wait_vm("web01")["port"]
        pid = self.main_pid()
        self.machine.sh(f"kill -STOP {pid}")
        self.wait_journal("Watchdog timeout", "--identifier=systemd")
        self.wait_restarted(pid)
        self.assertEqual(self.show("NRestarts"), "1")  # and not because of the VM, which connects again as well
        self.assertEqual(self.wait_vm("web01")["port"], port)

    def test_thousands_of_vms_may_connect_before_the_service_runs(self):
        self.assertEqual(self.is_active("vspc.service"), "inactive")
        report = json.loads(self.machine.out("vspc-sim", f"--count={STORM}", f"--in-flight={STORM}", "--name=storm",
                                             "--exit-when-connected", "--json", timeout=120))
        self.assertEqual((report["connected"], report["handshakes_failed"]), (STORM, 0), report)
        wait_for(lambda: len(self.vms()) == STORM, lambda: f"{STORM} VMs to be known, they are {len(self.vms())}")
        self.assertEqual(self.show("NRestarts"), "0")

    def test_consoles_go_on_while_journald_is_restarted(self):
        self.vm("web01")
        client = self.nc(self.wait_vm("web01"))
        for i in range(5):
            client.echo(f"before {i}")
            self.machine.run("systemctl", "restart", "systemd-journald")
            client.echo(f"after {i}")
        for i in range(5):
            self.wait_journal(f"^before {i}$", "-t", "vspc-console")
            self.wait_journal(f"^after {i}$", "-t", "vspc-console")

    def set_clock(self, days):
        with open(self.machine.path("/run/vspc-clock"), "r+b") as f:
            f.write(struct.pack("=q", days * DAY))

    def test_nothing_happens_to_consoles_when_the_clock_jumps(self):
        self.machine.write("/run/vspc-clock", "\0" * 8)
        self.edit("vspc.service", JUMPING_CLOCK)
        for name in "here", "gone":
            self.vm(name)
            self.wait_vm(name)
        self.power_off("gone")
        client = self.nc(self.wait_vm("here")).echo("hello")
        pid, before = self.main_pid(), self.vms()
        for days in 30, -400, 0:
            self.set_clock(days)
            client.echo(f"the clock is off by {days} days")
            self.vm("new")
            since = self.wait_vm("new")["since"]
            self.assertLess(abs(since - (time.time() * 1000000 + days * DAY)), DAY)
            self.power_off("new")
            watchdog = self.show("WatchdogTimestampMonotonic")
            wait_for(lambda: self.show("WatchdogTimestampMonotonic") != watchdog, "the watchdog to be told")
        after = self.vms()
        self.assertEqual(self.main_pid(), pid)
        self.assertEqual([after[name]["port"] for name in before], [before[name]["port"] for name in before])
