# SPDX-License-Identifier: LGPL-2.1-or-later

"""Users are shown by name in the log, to clients and in replies; a directory of users that does not answer delays
nothing."""

import os
import pwd
import signal
import subprocess
from unittest import skipUnless

from client_cases import CLIENT, environment
from harness import TestCase, main, wait_for
from peers import RawClient, connected_vm
from varlink_peer import Caller

ME = pwd.getpwuid(os.getuid()).pw_name
WITHOUT_NAME = 54321


class Names(TestCase):
    def clear(self, who, **kwargs):
        """By vspc-client, the first that asks this vspcd"""
        vspcd = self.start(local=True)
        RawClient(connected_vm(vspcd, "web01"))
        os.chmod(vspcd.admin_path, 0o777)
        process = subprocess.Popen([CLIENT, f"--socket={vspcd.admin_path}", "clear", "web01"], stdout=subprocess.DEVNULL,
                                   env=environment(), **kwargs)
        self.assertEqual(process.wait(), 0)
        vspcd.wait_logged(rf"VM web01 .*: {who} \(pid {process.pid}\) disconnects its 1 client$")

    def test_who_asks_is_logged_by_name_from_the_first_time_on(self):
        self.clear(ME)

    @skipUnless(os.getuid() == 0, "only root can become somebody else")
    def test_who_has_no_name_is_logged_by_number(self):
        self.assertRaises(KeyError, pwd.getpwuid, WITHOUT_NAME)
        self.clear(f"uid {WITHOUT_NAME}", user=WITHOUT_NAME)


class NobodyAnswers(TestCase):
    """The directory in which users' names are."""

    def setUp(self):
        super().setUp()
        faults = self.faults()
        self.n_asked = self.enterContext(faults.held_names())
        self.vspcd = self.start(local=True, env=faults.env)
        self.vm = connected_vm(self.vspcd, "web01")

    def wait_asked(self):
        wait_for(lambda: self.n_asked() > 0, "vspcd to look for a name")

    def test_whoever_asks_is_answered_and_told_by_number(self):
        for _ in range(3):
            RawClient(self.vm)
            caller = Caller(self.vspcd, local=True)
            self.assertEqual(caller.get("Clear", {"vm": self.vm.id}), {"disconnected": 1})
        self.assertEqual(self.n_asked(), 1)
        self.vspcd.wait_logged(rf"VM web01 .*: uid {os.getuid()} \(pid {os.getpid()}\) disconnects its 1 client$")

    def test_consoles_go_on_meanwhile(self):
        client = RawClient(self.vm)
        caller = Caller(self.vspcd, local=True)
        self.wait_asked()
        for text in b"one", b"two", b"three":
            self.vm.send(text)
            client.wait_data(text)
        self.assertEqual(caller.get("GetMetrics")["clients"], 1)

    def test_who_leaves_is_let_go(self):
        caller = Caller(self.vspcd, local=True)
        self.wait_asked()
        caller.close()
        other = Caller(self.vspcd)
        wait_for(lambda: other.get("GetMetrics")["adminConnections"] == 1, "the connection to be closed")

    def test_vspcd_ends_as_usual(self):
        Caller(self.vspcd, local=True)
        self.wait_asked()
        self.vspcd.signal(signal.SIGTERM)
        self.assertEqual(self.vspcd.wait_exit(), 0)


if __name__ == "__main__":
    main()
