# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspc-client log: what it asks journalctl for, which is a script here."""

import os
import tempfile

from client_cases import ClientTestCase, run
from fake_varlink import a_vm, all_vms, error
from harness import main
from peers import connected_vm


class Log(ClientTestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-log-"))
        with open(f"{self.folder}/journalctl", "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
        os.chmod(f"{self.folder}/journalctl", 0o755)

    def log(self, server, *args):
        return run(server, "log", *args, env={"PATH": f"{self.folder}:{os.environ['PATH']}"})

    def assertAsks(self, result, *words, unit="vspc.service", options=()):
        """The journal, for what the consoles have said, and nobody else."""
        self.assertEqual((result.returncode, result.stdout.splitlines()),
                         (0, ["--namespace=+vspc", "-t", "vspc-console", *options, f"_SYSTEMD_UNIT={unit}", *words]),
                         result)

    def test_a_vm_by_its_uuid(self):
        vspcd = self.start(local=True)
        vm = connected_vm(vspcd, "web01")
        result = self.log(vspcd, "web01")
        self.assertAsks(result, f"VSPC_VM_UUID={vm.id}")
        self.assertEqual(result.stderr, "")

    def test_a_serial_port_of_several(self):
        vm = a_vm("web01", uri="telnet://s2")
        server = self.fake(List=all_vms([{**vm, "id": vm["uuid"] + "_s2"}]))
        self.assertAsks(self.log(server, "web01"), f"VSPC_VM_UUID={vm['uuid']}", "VSPC_URI=telnet://s2")

    def test_by_way_of_the_loopback_address(self):
        vm = a_vm("web01")
        server = self.fake(on_tcp=True, List=all_vms([vm]))
        self.assertAsks(self.log(server, "web01"), f"VSPC_VM_UUID={vm['uuid']}")

    def test_options_are_passed_on(self):
        vm = a_vm("web01")
        server = self.fake(List=all_vms([vm]))
        result = self.log(server, "web01", "-f", "-n", "5", "--since=-1h", "--until", "now", "--output=json",
                          "--no-pager")
        self.assertAsks(result, f"VSPC_VM_UUID={vm['uuid']}", options=[
            "--follow", "-n", "5", "--since", "-1h", "--until", "now", "--output", "json", "--no-pager"])

    def test_of_another_unit(self):
        vm = a_vm("web01")
        server = self.fake(List=all_vms([vm]))
        for given, unit in (("vspc@rack7.service", "vspc@rack7.service"), ("serve", "serve.service"),
                            ("session-2.scope", "session-2.scope"), ("u" * 247, "u" * 247 + ".service")):
            self.assertAsks(self.log(server, "web01", f"--unit={given}"), f"VSPC_VM_UUID={vm['uuid']}", unit=unit)
        for bad in ("", "a b", "a+b", "a\nb", "*", "x" * 256):
            result = self.log(server, "web01", f"--unit={bad}")
            self.assertSays(result, "is not the name of a unit such as vspc.service")
            self.assertEqual(result.stdout, "")

    def test_by_name_without_vspcd(self):
        server = self.fake()
        server.close()
        result = self.log(server, "web01")
        self.assertAsks(result, "VSPC_VM_NAME=web01")
        self.assertIn("Cannot reach vspcd: ", result.stderr)
        self.assertIn('Looking for a VM named "web01" in the journal', result.stderr)

    def test_by_name_if_vspcd_does_not_know_it(self):
        for answer in error("NoSuchVM", vm="web01"), all_vms([]):
            result = self.log(self.fake(List=answer), "web01")
            self.assertAsks(result, "VSPC_VM_NAME=web01")
            self.assertIn('Looking for a VM named "web01" in the journal', result.stderr)

    def test_several_are_too_many(self):
        server = self.fake(List=all_vms([a_vm("twin", 1), a_vm("twin", 2)]))
        result = self.log(server, "twin")
        self.assertSays(result, '"twin" names 2 VMs')
        self.assertEqual(result.stdout, "")

    def test_what_vspcd_refuses_is_not_looked_for(self):
        server = self.fake(List=error("AmbiguousVM", vm="5012", uuids=["1", "2"]))
        result = self.log(server, "5012")
        self.assertSays(result, '"5012" may be any of these VMs')
        self.assertEqual(result.stdout, "")

    def test_no_journalctl(self):
        os.unlink(f"{self.folder}/journalctl")
        result = run(self.fake(List=all_vms([a_vm("web01")])), "log", "web01", env={"PATH": self.folder})
        self.assertSays(result, "Cannot run journalctl")


if __name__ == "__main__":
    main()
