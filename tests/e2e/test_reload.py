# SPDX-License-Identifier: LGPL-2.1-or-later

"""A reload has to read files, and whatever these are like, consoles go on meanwhile."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile

from certificates import Authority
from harness import PATIENCE_SEC, VSPCD, TestCase, main, wait_for
from peers import Peer, RawClient, connected_vm
from tls_peers import DecliningVm
from varlink_peer import Caller


class SlowFiles(TestCase):
    """What is read for a reload lies on a disk or in a token that does not answer."""

    def setUp(self):
        super().setUp()
        self.slow = self.faults()

    def start_slow(self, **kwargs):
        return self.start(local=True, env={**self.slow.env, **kwargs.pop("env", {})}, **kwargs)

    @contextlib.contextmanager
    def reloading(self, vspcd, name):
        """A caller whose reload waits for the file or folder of that name, and how many have waited"""
        with self.slow.held(f"open-{name}") as n_waiting:
            caller = Caller(vspcd, local=True)
            caller.say("Reload")
            wait_for(n_waiting, f"{name} to be read")
            yield caller, n_waiting

    def assertConsolesGoOn(self, vspcd, connect, name):
        with self.reloading(vspcd, name) as (caller, _):
            vm = connect(vspcd)
            client = RawClient(vm)
            client.send(b"who is there?")
            vm.wait_data(b"who is there?")
            caller.pump()
            self.assertEqual(caller.raw, b"")
        self.assertEqual(caller.next_reply()["parameters"], {"warnings": []})

    def test_consoles_go_on_while_the_configuration_is_read(self):
        self.assertConsolesGoOn(self.start_slow(), connected_vm, "vspc.conf")

    def test_consoles_go_on_while_the_certificate_is_read(self):
        with Authority() as authority:
            certificate = authority.issue("vspc.example")
            vspcd = self.start_slow(tls={"CertificateFile": certificate.path, "KeyFile": certificate.key})
            self.assertConsolesGoOn(vspcd, lambda vspcd: DecliningVm(vspcd).connect(), os.path.basename(certificate.path))

    def test_consoles_go_on_while_hooks_are_looked_for(self):
        with tempfile.TemporaryDirectory(suffix=".hooks.d") as folder:
            vspcd = self.start_slow(env={"VSPC_HOOKS_PATH": folder})
            self.assertConsolesGoOn(vspcd, connected_vm, os.path.basename(folder))

    def test_what_is_changed_while_files_are_read_is_read_afterwards_once(self):
        vspcd = self.start_slow()
        vm = connected_vm(vspcd)
        RawClient(vm)
        with self.reloading(vspcd, "vspc.conf") as (first, n_read):
            vspcd.configure(**{**vspcd.config, "ClientLimit": 1})
            others = [Caller(vspcd, local=True) for _ in range(3)]
            for caller in others:
                caller.say("Reload")
            vspcd.signal(signal.SIGHUP)
            vspcd.wait_change(lambda: vspcd.count_logged("Reload requested by") == 4, "all to be heard")
            connected_vm(vspcd)  # by now the signal has been taken, too
            self.assertEqual(n_read(), 1)
        for caller in first, *others:
            self.assertEqual(caller.next_reply()["parameters"], {"warnings": []})
        second = Peer(("127.0.0.1", vm.port))
        second.wait_closed()
        self.assertIn(b"has 1 clients already", second.raw)
        vspcd.reload()
        vspcd.wait_change(lambda: vspcd.count_logged("Configuration reloaded") >= 3, "the last reload to be logged")
        self.assertEqual(vspcd.count_logged("Configuration reloaded"), 3)

    def test_a_caller_may_leave_meanwhile(self):
        vspcd = self.start_slow()
        with self.reloading(vspcd, "vspc.conf") as (caller, _):
            caller.close()
            Caller(vspcd, local=True).list()
        vspcd.wait_logged("Configuration reloaded")

    def test_a_caller_that_has_said_all_is_answered(self):
        vspcd = self.start_slow()
        with self.reloading(vspcd, "vspc.conf") as (caller, _):
            caller.sock.shutdown(socket.SHUT_WR)
            Caller(vspcd, local=True).list()
        self.assertEqual(caller.next_reply()["parameters"], {"warnings": []})
        caller.wait_closed()

    def test_what_is_asked_behind_a_reload_is_answered_after_it(self):
        vspcd = self.start_slow()
        with self.reloading(vspcd, "vspc.conf") as (caller, _):
            caller.say("List", more=True)
            Caller(vspcd, local=True).list()
        self.assertEqual(caller.next_reply()["parameters"], {"warnings": []})
        caller.next_reply()

    def test_a_stop_does_not_wait_for_them(self):
        vspcd = self.start_slow()
        with self.reloading(vspcd, "vspc.conf") as (caller, _):
            self.assertEqual(vspcd.end(), 0)
            caller.wait_closed()


class Pipes(TestCase):
    """A FIFO that nobody writes to in the place of a file: it is refused, and not waited for."""

    def test_instead_of_the_configuration_at_a_reload(self):
        vspcd = self.start(local=True)
        os.unlink(vspcd.config_path)
        os.mkfifo(vspcd.config_path)
        self.assertEqual(Caller(vspcd, local=True).fail("Reload"), ("ConfigurationRefused", {
            "problems": [f"Cannot read {vspcd.config_path}: It is not a regular file"]}))

    def test_instead_of_the_configuration_at_the_start(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "vspc.conf")
            os.mkfifo(path)
            result = subprocess.run([VSPCD, f"--config={path}", "--check-config"], capture_output=True, text=True, check=False,
                                    timeout=PATIENCE_SEC)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"Cannot read {path}: It is not a regular file", result.stderr)

    def test_a_file_that_is_masked_by_dev_null_is_empty(self):
        subprocess.run([VSPCD, "--config=/dev/null", "--check-config"], check=True, capture_output=True, timeout=PATIENCE_SEC)


if __name__ == "__main__":
    main()
