# SPDX-License-Identifier: LGPL-2.1-or-later

"""The interfaces for people and programs: the journal, D-Bus, Varlink, vspc-client"""

import json
import re
import unittest

from machine import wait_for
from scenario import Scenario, man_block, readme_block

NAME = "org.vspc.Concentrator1"
MANAGER = (NAME, "/org/vspc/Concentrator1", f"{NAME}.Manager")
SOCKET = "/run/vspc/admin.socket"

ALLOW_ALICE = """
polkit.addRule(function(action, subject) {
    if (action.id == "org.vspc.manage" && subject.user == "alice")
        return polkit.Result.YES;
});
"""

# On a terminal, where polkit asks as it does in a desktop's dialogue: of an agent that is there for this process
ON_A_TERMINAL = """
tty
ready=$(mktemp --dry-run)
mkfifo "$ready"
pkttyagent --process $$ --notify-fd 5 5>"$ready" &
cat "$ready"
exec """


def documents(text):
    """Those of a JSON sequence"""
    while text := text.lstrip("\x1e \n"):
        document, end = json.JSONDecoder().raw_decode(text)
        yield document
        text = text[end:]


class Faces(Scenario):
    def wait_bus(self):
        """vspcd is on the bus a moment after it has started."""
        wait_for(lambda: self.machine.run("busctl", "status", NAME, check=False).returncode == 0, "vspcd on the bus")

    def test_what_a_console_says_is_in_the_journal(self):
        for name in "web01", "web02":
            self.vm(name)
            self.nc(self.wait_vm(name)).echo(f"I am {name}")
        for name in "web01", "web02":
            self.wait_journal(f"^I am {name}$", "-t", "vspc-console", f"VSPC_VM_NAME={name}")
        self.assertNotIn("web02", self.journal("-t", "vspc-console", "VSPC_VM_NAME=web01"))

    def test_vspc_client_says_whether_the_journal_has_nothing_or_may_not_be_read(self):
        self.vm("web01")
        self.nc(self.wait_vm("web01")).echo("I am web01")
        self.wait_journal("^I am web01$", "-t", "vspc-console", "VSPC_VM_NAME=web01")
        log = ("vspc-client", "log", "--no-pager", "--output=cat")
        self.assertIn("I am web01\n", self.machine.out(*log, "web01"))
        unknown = self.machine.run(*log, "web11", check=False)
        self.assertIn("The journal has no output of a VM named \"web11\".", unknown.stderr)
        for name in "web01", "web11":
            hidden = self.machine.run(*log, name, user="bob", check=False)
            self.assertIn("You may not read this machine's journal", hidden.stderr)
            self.assertEqual((unknown.returncode, hidden.returncode, unknown.stdout + hidden.stdout), (1, 1, ""))
        self.machine.run("gpasswd", "--add", "bob", "systemd-journal")
        self.addCleanup(self.machine.run, "gpasswd", "--delete", "bob", "systemd-journal")
        self.assertIn("I am web01\n", self.machine.run(*log, "web01", user="bob").stdout)

    def test_consoles_have_a_journal_of_their_own_where_log_namespace_conf_is_installed_as_it_says(self):
        install, reload_and_restart, show = self.machine.sh(
            "sed -n '/^#   install/,/^#$/s/^#   //p' /usr/lib/vspc/log-namespace.conf").stdout.splitlines()
        self.vm("web01")
        self.nc(self.wait_vm("web01")).echo("this is for everybody's journal")
        self.wait_journal("^this is for everybody's journal$", "-t", "vspc-console")
        self.machine.write("/etc/systemd/journald@vspc.conf", "[Journal]\nSystemMaxUse=20M\n")
        self.machine.sh(install)
        self.machine.sh(reload_and_restart)
        self.nc(self.wait_vm("web01")).echo("this is for a journal of its own")
        self.talk(*show.split()).wait_shown("this is for a journal of its own")
        self.sync_journal()
        self.assertNotIn("of its own", self.journal())
        self.assertRegex(self.machine.out("journalctl", "--namespace=vspc", "-t", "systemd-journald"), r"max 20(\.0)?M")
        said = self.machine.out("vspc-client", "log", "web01", "--no-pager")
        self.assertRegex(said, "(?s)this is for everybody's journal\n.*this is for a journal of its own\n")

    def test_the_journal_explains_what_vspcd_logs(self):
        self.vm("web01")
        self.wait_vm("web01")
        self.wait_journal("VM web01 .* connected from", "-u", "vspc")
        self.assertIn("Subject: VM web01 has connected its serial port", self.journal("-u", "vspc", "-x"))

    def test_busctl_shows_the_vms(self):
        self.vm("web01")
        self.wait_vm("web01")
        self.wait_bus()
        path = f"{MANAGER[1]}/vm/"
        self.assertIn(path, self.machine.out("busctl", "tree", "--list", NAME))
        path = self.machine.out("busctl", "call", *MANAGER, "GetVM", "s", "web01").split('"')[1]
        self.assertRegex(self.machine.out("busctl", "introspect", NAME, path),
                         r"(?m)^\.Port +property +q +50000 +emits-change$")
        self.assertEqual(self.machine.out("busctl", "get-property", NAME, path, f"{NAME}.VM", "Name"), 's "web01"\n')
        self.assertEqual(self.machine.out("busctl", "get-property", *MANAGER, "ConnectedVMs"), "u 1\n")

    def test_busctl_monitor_shows_a_vm_that_comes(self):
        self.vms()  # starts the service
        self.wait_bus()
        monitor = self.talk("busctl", "monitor", NAME)
        monitor.wait_shown("Monitoring bus message stream.")
        self.vm("web01")
        monitor.wait_shown("Member=VMAdded")

    def test_busctl_clear_disconnects_the_clients(self):
        self.vm("web01")
        client = self.telnet(self.wait_vm("web01")).echo("hello")
        self.wait_bus()
        self.assertEqual(self.machine.sh(readme_block("busctl call")).stdout.splitlines()[-1], "u 1")
        client.wait_shown("Connection closed by foreign host.").wait_exit()

    def test_polkit_decides_who_may_disconnect_clients(self):
        self.vm("web01")
        client = self.telnet(self.wait_vm("web01")).echo("hello")
        self.wait_bus()
        clear = ("busctl", "--allow-interactive-authorization=no", "call", *MANAGER, "Clear", "s", "web01")
        refused = self.machine.run(*clear, user="alice", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("polkit requires authentication (org.vspc.manage)", refused.stderr)
        client.echo("still here")
        self.machine.write("/etc/polkit-1/rules.d/10-vspc-test.rules", ALLOW_ALICE)
        wait_for(lambda: self.machine.run(*clear, user="alice", check=False).returncode == 0, "polkit to read it")
        client.wait_shown("Connection closed by foreign host.").wait_exit()
        self.assertNotEqual(self.machine.run(*clear, user="nobody", check=False).returncode, 0)

    def test_group_vspc_may_disconnect_clients_and_polkit_is_not_asked(self):
        self.vm("web01")
        client = self.telnet(self.wait_vm("web01")).echo("hello")
        self.wait_bus()
        self.machine.run("busctl", "--allow-interactive-authorization=no", "call", *MANAGER, "Clear", "s", "web01", user="bob")
        client.wait_shown("Connection closed by foreign host.").wait_exit()

    def test_polkit_asks_for_the_password_of_somebody_who_may(self):
        self.machine.run("chpasswd", stdin="root:opensesame\n")
        self.addCleanup(self.machine.run, "usermod", "--password", "*", "root")
        self.vm("web01")
        client = self.telnet(self.wait_vm("web01")).echo("hello")
        self.machine.write("/run/ask", ON_A_TERMINAL + readme_block("busctl call").splitlines()[-1], 0o755)
        for password, said in ("sesame", "AUTHENTICATION FAILED"), ("opensesame", "AUTHENTICATION COMPLETE"):
            client.echo("still here")
            asked = self.talk("script", "-qec", "runuser --user alice -- bash /run/ask", "/dev/null")
            asked.wait_shown("Authentication is required to manage the clients of a virtual machine's serial console")
            asked.wait_shown("Password: ")
            terminal = re.search(r"/dev/pts/\d+", asked.shown)[0]
            wait_for(lambda: " -echo " in self.machine.out("stty", f"--file={terminal}", "--all"),
                     "the password not to be shown")  # what is typed before that is not read
            asked.type(password + "\n").wait_shown(said).wait_exit()
        client.wait_shown("Connection closed by foreign host.").wait_exit()

    def test_members_of_the_group_may_attach_and_others_may_not(self):
        self.vm("web01")
        self.wait_vm("web01")
        self.edit("vspc-admin.socket", man_block("vspcd.8", "ListenStream=\nListenStream=/run/vspc/admin.socket"))
        self.machine.sh(man_block("vspcd.8", "vspc.service\nsystemctl start vspc.socket\n"))
        self.wait_vm("web01")
        self.assertNotEqual(self.machine.run("nc", "-z", "127.0.0.1", "13371", check=False).returncode, 0)
        bob = self.talk("vspc-client", "attach", "web01", user="bob")
        bob.wait_shown("Connected to VM web01").echo("hello")
        alice = self.machine.run("vspc-client", "attach", "web01", user="alice", check=False)
        self.assertNotEqual(alice.returncode, 0)
        self.assertIn("You have no right to use vspcd.", alice.stderr)
        bob.echo("still here")

    def test_people_are_named_in_the_log_and_to_each_other(self):
        self.vm("web01")
        vm = self.wait_vm("web01")
        self.talk("vspc-client", "web01", "--access=exclusive", user="bob").wait_shown("Connected to VM web01")
        self.wait_journal(r"VM web01 .*: client bob \(pid \d+\) connected, with exclusive access$", "-u", "vspc")
        self.talk("nc", "127.0.0.1", str(vm["port"])).wait_shown("[vspc: refused, bob (pid ")
        self.assertRegex(self.machine.out("vspc-client", "show", "web01"), r" bob \(pid \d+\), exclusive, ")
        self.machine.run("vspc-client", "clear", "web01")
        self.wait_journal(r"VM web01 .*: root \(pid \d+\) disconnects its 1 client$", "-u", "vspc")

    def test_varlinkctl_knows_what_it_can_be_asked(self):
        self.need_varlinkctl()
        self.assertIn("org.vspc.Concentrator", self.machine.out("varlinkctl", "info", SOCKET))
        self.assertIn("method Attach", self.machine.out("varlinkctl", "introspect", SOCKET, "org.vspc.Concentrator"))

    def test_varlinkctl_lists_the_vms(self):
        self.need_varlinkctl()
        for name in "web01", "web02":
            self.vm(name)
            self.wait_vm(name)
        shown = self.machine.sh(readme_block("varlinkctl call --more").splitlines()[0]).stdout
        self.assertEqual(sorted(answer["vm"]["name"] for answer in documents(shown)), ["web01", "web02"])

    def need_varlinkctl(self):
        if self.machine.run("which", "varlinkctl", check=False).returncode != 0:
            raise unittest.SkipTest("there is no varlinkctl in Debian 12")
