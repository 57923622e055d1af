# SPDX-License-Identifier: LGPL-2.1-or-later

"""What systemd is told, where that is not as simple as usual: a start takes long, or systemd does not read."""

import os
import socket
import tempfile
import time

from certificates import Authority
from harness import PATIENCE_SEC, TestCase, fill_notifications, main, wait_for
from log_cases import LogCase, content
from peers import TelnetClient, connected_vm
from test_hooks import HooksTest
from varlink_peer import Caller

STATUS_EVERY_SEC = 0.2


class SlowStart(TestCase):
    def assertGetsMoreTime(self, name, **kwargs):
        faults = self.faults()
        with faults.held(f"open-{name}") as n_waiting:
            vspcd = self.start(healthy=False, env=faults.env, **kwargs)
            wait_for(n_waiting, f"{name} to be read")
            for _ in range(2):
                since = len(vspcd.notifications)
                vspcd.wait_notified("EXTEND_TIMEOUT_USEC=", since)
            self.assertNotIn("READY=1", vspcd.notifications)
        vspcd.healthy = True
        vspcd.wait_notified("READY=1")
        vspcd.wait_status("0 VMs, 0 clients")

    def test_it_gets_more_time_while_the_configuration_is_read(self):
        self.assertGetsMoreTime("vspc.conf")

    def test_it_gets_more_time_while_the_certificate_is_read(self):
        with Authority() as authority:
            certificate = authority.issue("vspc.example")
            self.assertGetsMoreTime(os.path.basename(certificate.path),
                                    tls={"CertificateFile": certificate.path, "KeyFile": certificate.key})


class StuckSystemd(TestCase):
    """systemd does not read what it is notified of, as when it is stopped or waits for a disk."""

    ROUNDS_SEC = 5 * STATUS_EVERY_SEC  # something is due several times

    def go_round(self, vm, client):
        """Has the loop deliver something again and again."""
        began = time.monotonic()
        while time.monotonic() - began < self.ROUNDS_SEC:
            client.send(b"are you there?")
            vm.wait_data(b"are you there?")
            vm.take()

    def test_the_loop_goes_on_and_the_newest_status_arrives_later(self):
        vspcd = self.start(local=True)
        with vspcd.stuck_systemd():
            vms = [connected_vm(vspcd) for _ in range(3)]
            vms.pop().close()
            self.go_round(vms[0], TelnetClient(vms[0]))
        vspcd.wait_status("2 VMs, 1 client")

    def test_a_reload_is_answered_and_systemd_told_later(self):
        vspcd = self.start(local=True)
        since = len(vspcd.notifications)
        with vspcd.stuck_systemd():
            for _ in range(2):
                self.assertEqual(Caller(vspcd, local=True).get("Reload"), {"warnings": []})
        vspcd.wait_notified("READY=1", since)
        told = [n for n in vspcd.notifications[since:] if n in ("RELOADING=1", "READY=1")]
        self.assertEqual(told[-2:], ["RELOADING=1", "READY=1"])

    def test_signs_of_life_arrive_later(self):
        vspcd = self.start(env={"WATCHDOG_USEC": "300000"})
        with vspcd.stuck_systemd():
            vm = connected_vm(vspcd)
            self.go_round(vm, TelnetClient(vm))
        since = len(vspcd.notifications)
        vspcd.wait_change(lambda: vspcd.notifications[since:].count("WATCHDOG=1") >= 3, "three signs of life")

    def test_it_ends_in_order(self):
        vspcd = self.start()
        with vspcd.stuck_systemd():
            vm = connected_vm(vspcd)
            self.assertEqual(vspcd.end(), 0)
        vm.wait_closed()


class StuckSystemdOfHelpers:
    """A helper process does its work while systemd does not read."""

    def stuck_systemd(self):
        systemd = self.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        systemd.settimeout(PATIENCE_SEC)
        name = f"vspc-e2e-stuck-{os.getpid()}"
        systemd.bind("\0" + name)
        fill_notifications(systemd)
        return systemd, {"NOTIFY_SOCKET": "@" + name}

    def assertIsToldLater(self, systemd):
        while (told := systemd.recv(4096)) != b"READY=1":
            self.assertEqual(told, b"FILLED=1")


class StuckSystemdOfLogger(StuckSystemdOfHelpers, LogCase):
    def test_it_writes_what_a_vm_says_and_systemd_is_told_later(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        systemd, env = self.stuck_systemd()
        vspcd = self.start(logger_env={"LOGS_DIRECTORY": folder, **env}, console_log={"Files": "yes"})
        vm = connected_vm(vspcd)
        vm.send(b"login: ")
        wait_for(lambda: content(folder, vm) == b"login: ", "what the VM has said to be written")
        self.assertIsToldLater(systemd)


class StuckSystemdOfHooks(StuckSystemdOfHelpers, HooksTest):
    def test_it_runs_a_hook_and_systemd_is_told_later(self):
        self.hook("50-record")
        systemd, env = self.stuck_systemd()
        connected_vm(self.start(env=env))
        self.wait_told(1)
        self.assertIsToldLater(systemd)


if __name__ == "__main__":
    main()
