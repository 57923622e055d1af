# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspc-client log: its calls of journalctl, which is a script here."""

import os
import tempfile
from unittest import skipUnless

from client_cases import ClientTestCase, run
from fake_varlink import a_vm, all_vms, error
from harness import main
from peers import connected_vm


# In the journal of this machine ("--system") there are entries unless the file "closed" is there. Of a console there are
# unless the file "silent" is. Whoever is not quiet sees what has been asked for.
JOURNALCTL = """#!/bin/sh
folder=${0%/*}
case " $* " in
*" --field=VSPC_VM_NAME "*) cat "$folder/names" ;;
*" --quiet "*" --system "*) [ -e "$folder/closed" ] || echo an entry ;;
*" --quiet "*) printf '%s\n' "$@" >"$folder/looked-for"; [ -e "$folder/silent" ] || echo an entry ;;
*) printf '%s\n' "$@" ;;
esac
"""


class Log(ClientTestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-log-"))
        self.make("journalctl", JOURNALCTL)
        os.chmod(f"{self.folder}/journalctl", 0o755)

    def make(self, name, text=""):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as f:
            f.write(text)

    def log(self, server, *args, **kwargs):
        return run(server, "log", *args, env={"PATH": f"{self.folder}:{os.environ['PATH']}"}, **kwargs)

    UNITS = ["vspc.service", "vspc-logger.service"]

    def assertAsks(self, result, *words, units=None, options=()):
        """The journal, for what the consoles have said, and nobody else. Before vspc-logger there was only vspcd."""
        units = [f"_SYSTEMD_UNIT={unit}" for unit in units or self.UNITS]
        asked = [word for vm in " ".join(words).split(" + ") for word in ("+", *units, *vm.split(" "))][1:]
        self.assertEqual((result.returncode, result.stdout.splitlines()),
                         (0, ["--namespace=+vspc", "-t", "vspc-console", *options, *asked]), result)

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
        result = self.log(server, "web01", "-r", "-n5", "-g", "EXT4.*error", "-b-1", "-S", "-1h", "-U", "now", "-o", "json")
        self.assertAsks(result, f"VSPC_VM_UUID={vm['uuid']}", options=[
            "--reverse", "-n", "5", "--grep", "EXT4.*error", "--boot", "-1", "--since", "-1h", "--until", "now",
            "--output", "json"])
        self.assertAsks(self.log(server, "web01", "--boot"), f"VSPC_VM_UUID={vm['uuid']}", options=["--boot"])

    def test_of_another_unit(self):
        vm = a_vm("web01")
        server = self.fake(List=all_vms([vm]))
        for given, unit in (("vspc@rack7.service", "vspc@rack7.service"), ("serve", "serve.service"),
                            ("session-2.scope", "session-2.scope"), ("u" * 247, "u" * 247 + ".service")):
            self.assertAsks(self.log(server, "web01", f"--unit={given}"), f"VSPC_VM_UUID={vm['uuid']}", units=[unit])
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

    def test_a_vm_that_neither_vspcd_nor_the_journal_knows_is_a_failure(self):
        self.make("silent")
        server = self.fake(List=lambda _, parameters: error("NoSuchVM", vm="web11") if parameters.get("name") else
                           all_vms([a_vm("web01")]))
        for options in [], ["--follow"], ["--output=json"]:
            result = self.log(server, "web11", *options)
            self.assertSays(result, 'No VM named "web11"', "\n  web01  5012", "The journal has no output of a VM named")
            self.assertEqual(result.stdout, "")
        gone = self.fake()
        gone.close()
        result = self.log(gone, "web11")
        self.assertSays(result, "Cannot reach vspcd: ", "The journal has no output of a VM named")
        self.assertEqual(result.stdout, "")

    def test_whether_there_is_anything_is_asked_for_the_same(self):
        """Only what the unit's consoles have said counts, whatever the options that are for people say."""
        self.log(self.fake(List=all_vms([])), "web11", "--since=yesterday", "-n0", "--unit=other")
        with open(f"{self.folder}/looked-for", encoding="utf-8") as f:
            words = f.read().splitlines()
        self.assertEqual(words, ["--namespace=+vspc", "-t", "vspc-console", "--quiet", "--lines=1", "--output=cat",
                                 "_SYSTEMD_UNIT=other.service", "VSPC_VM_NAME=web11"])

    def test_a_known_vm_that_has_said_nothing_is_none(self):
        self.make("silent")
        vm = a_vm("web01")
        self.assertAsks(self.log(self.fake(List=all_vms([vm])), "web01", "-f"), f"VSPC_VM_UUID={vm['uuid']}",
                        options=["--follow"])

    @skipUnless(os.getuid() == 0, "only root can become somebody else")
    def test_who_may_not_read_the_journal_is_told_what_to_do(self):
        for name in "silent", "closed":
            self.make(name)
        os.chmod(self.folder, 0o755)
        server = self.fake(on_tcp=True, List=all_vms([a_vm("web01")]))
        unknown = self.fake(on_tcp=True, List=all_vms([]))
        for name, asked in ("web01", server), ("web11", unknown):
            result = self.log(asked, name, user=65534, group=65534, extra_groups=[])
            self.assertSays(result, "may not read", '"usermod -aG systemd-journal USER"')
            self.assertEqual(result.stdout, "")
        self.assertSays(self.log(unknown, "web01"), "There is no journal on this machine")

    def test_several_vms(self):
        vms = [a_vm("web01", 1), a_vm("web02", 2)]
        server = self.fake(List=lambda _, parameters: all_vms([vm for vm in vms if vm["name"] == parameters["name"]]))
        self.assertAsks(self.log(server, "web02", "web01", "gone"), f"VSPC_VM_UUID={vms[1]['uuid']}", "+",
                        f"VSPC_VM_UUID={vms[0]['uuid']}", "+", "VSPC_VM_NAME=gone")

    def test_a_pattern_stands_for_the_names_in_the_journal_that_match(self):
        self.make("names", "web01\nweb02\ndb01\nweb 3\n*\n")
        gone = self.fake()
        gone.close()
        result = self.log(gone, "web0?", "[d]b*")
        self.assertAsks(result, "VSPC_VM_NAME=web01", "+", "VSPC_VM_NAME=web02", "+", "VSPC_VM_NAME=db01")
        self.assertEqual(result.stderr, "")
        self.assertSays(self.log(gone, "mail*"), "The journal has no output of a VM whose name is like \"mail*\"")

    def test_so_many_vms_and_no_more(self):
        gone = self.fake()
        gone.close()
        for n, code in (4096, 0), (4097, 1):
            self.make("names", "".join(f"web{i}\n" for i in range(n)))
            result = self.log(gone, "web*")
            self.assertEqual((result.returncode, result.stdout.count("VSPC_VM_NAME=")), (code, n if code == 0 else 0))
        self.assertSays(result, "These are more than 4096 VMs")

    def test_several_of_one_name_are_too_many(self):
        server = self.fake(List=all_vms([a_vm("twin", 1), a_vm("twin", 2)]))
        result = self.log(server, "twin")
        self.assertSays(result, '"twin" matches 2 VMs')
        self.assertEqual(result.stdout, "")

    def test_what_vspcd_refuses_is_not_looked_for(self):
        server = self.fake(List=error("AmbiguousVM", vm="5012", uuids=["1", "2"]))
        result = self.log(server, "5012")
        self.assertSays(result, '"5012" matches several VMs')
        self.assertEqual(result.stdout, "")

    def test_no_journalctl(self):
        os.unlink(f"{self.folder}/journalctl")
        result = run(self.fake(List=all_vms([a_vm("web01")])), "log", "web01", env={"PATH": self.folder})
        self.assertSays(result, "Cannot run journalctl")


if __name__ == "__main__":
    main()
