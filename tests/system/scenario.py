# SPDX-License-Identifier: LGPL-2.1-or-later

"""What all scenarios share: a machine on which vspc was just installed, and people and hosts that use it."""

import collections
import json
import re
import unittest

from conversation import Conversation
from machine import SOURCE, wait_for

# As new: nothing of ours runs but the sockets, nothing is configured, nothing is remembered. A hook of the last scenario's
# that asks vspcd something between the jobs that stop it starts it again, and with it what was being stopped.
RESET = """
systemctl stop 'peer-*'
until systemctl stop vspc.service vspc.socket vspc-admin.socket vspc-hooks.service vspc-hooks.socket \\
    vspc-logger.service vspc-logger.socket vspc-admin-tls.socket; do :; done
rm -rf /etc/systemd/system/vspc*.d /etc/vspc /etc/polkit-1/rules.d/*vspc* /var/lib/vspc/* /var/log/vspc/*
rm -f /run/vspc-gate /run/vspc-clock /run/vspc/*.socket
systemctl daemon-reload
systemctl stop 'systemd-journald*@vspc.*'
rm -rf /etc/systemd/journald@vspc.conf /var/log/journal/*.vspc /run/systemd/journal.vspc
systemctl reset-failed
systemctl start vspc.socket vspc-admin.socket vspc-hooks.socket vspc-logger.socket
"""

# A system call that the units do not allow fails with an error, which vspcd may well bear. Here it is killed, so that
# it is noticed; but for one that vspcd is known to be just as well off without.
STRICT = "[Service]\nSystemCallErrorNumber=kill\nSystemCallFilter=setpriority\n"


class Scenario(unittest.TestCase):
    machine = None
    packages = ()  # ours, to be installed

    def setUp(self):
        for unit in "vspc.service", "vspc-hooks.service", "vspc-logger.service":
            self.machine.write(f"/run/systemd/system/{unit}.d/strict.conf", STRICT)
        self.began = self.cursor()
        self.machine.sh(RESET)
        self.began = self.cursor()  # with what the last scenario has left behind it
        self.killed_on_purpose = False

    def tearDown(self):
        self.sync_journal()
        killed = [line for line in self.journal("--identifier=systemd", "-o", "cat").splitlines()
                  if re.search(r"vspc.*: (Main|Control) process exited, code=(killed|dumped)", line)]
        if not self.killed_on_purpose:
            self.assertEqual(killed, [], "it must not have been killed, by a system call filter or by anything else")
        self.assertFalse([line for line in killed if "SYS" in line], "a system call was not allowed")

    def sync_journal(self):
        """Waits until journald has written down all that it has been told."""
        self.machine.run("journalctl", "--sync")

    def cursor(self):
        self.sync_journal()
        return self.machine.out("journalctl", "--lines=0", "--show-cursor").split("cursor: ")[-1].strip()

    def evidence(self):
        """For somebody who wants to know why a scenario has failed"""
        return ("--- units\n" + self.machine.out("systemctl", "--all", "--no-pager", "list-units", "vspc*", "peer-*") +
                "--- journal since the scenario began\n" + without_repetitions(self.journal("-o", "short-precise"))[-20000:])

    def journal(self, *arguments):
        """Not by --after-cursor=: Debian 12's journalctl passes over the first entry then that the arguments ask for."""
        return self.machine.out("journalctl", "--quiet", "--no-pager", f"--cursor={self.began}", *arguments)

    def wait_journal(self, pattern, *arguments):
        """A match with what the journal has since the scenario began"""
        return wait_for(lambda: re.search(pattern, self.journal("-o", "cat", *arguments), re.MULTILINE),
                        f"{pattern} in the journal")

    # Units

    def show(self, name, unit="vspc.service"):
        return self.machine.out("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def is_active(self, unit):
        return self.machine.out("systemctl", "is-active", unit, check=False).strip()

    def wait_active(self, unit="vspc.service", state="active"):
        wait_for(lambda: self.is_active(unit) == state, lambda: f"{unit} to be {state}, it is {self.is_active(unit)}")

    def edit(self, unit, text):
        """As "systemctl edit" does"""
        self.machine.write(f"/etc/systemd/system/{unit}.d/override.conf", text)
        self.machine.run("systemctl", "daemon-reload")

    def configure(self, text):
        self.machine.write("/etc/vspc/vspc.conf.d/test.conf", "[Concentrator]\n" + text)

    # VMs

    def vm(self, name, *options, connect="127.0.0.1:13370", guest="cat"):
        """A VM that connects again and again, and whose guest says what it hears. A unit of its own."""
        self.machine.run("systemd-run", "--quiet", "--collect", f"--unit=peer-{name}", "vspc-sim",
                         f"--connect={connect}", f"--name={name}", f"--exec={guest}", "--reconnect=100ms", *options)

    def power_off(self, *names):
        self.machine.run("systemctl", "stop", *(f"peer-{name}" for name in names))
        for name in names:
            self.wait_vm(name, connected=False)

    def vms(self):
        """As vspc-client lists them, by name"""
        return {vm["name"]: vm for vm in json.loads(self.machine.out("vspc-client", "list", "--json=short"))}

    def wait_vm(self, name, connected=True):
        return wait_for(lambda: self.find_vm(name, connected),
                        f"VM {name} to be {'connected' if connected else 'gone'}")

    def find_vm(self, name, connected):
        vm = self.vms().get(name)
        return vm if vm and vm["connected"] == connected else None

    # Clients

    def talk(self, *argv, user="root"):
        return Conversation(self, self.machine, argv, user)

    def nc(self, vm):
        return self.talk("nc", "127.0.0.1", str(vm["port"]))

    def telnet(self, vm):
        return self.talk("telnet", "127.0.0.1", str(vm["port"])).wait_shown("Escape character is '^]'.")


def without_repetitions(journal):
    """A VM that connects again a hundred times a second says the same each time."""
    times, lines = collections.Counter(), []
    for line in journal.splitlines():
        message = line.split(": ", 1)[-1]
        times[message] += 1
        if times[message] <= 3:
            lines.append(line)
    return "\n".join(lines + [f"{n} times: {message}" for message, n in times.items() if n > 3])


def readme_block(containing):
    """The block of code in README.md that has this text, as it is written there"""
    with open(f"{SOURCE}/README.md", encoding="utf-8") as f:
        blocks = [block for _, block in re.findall(r"^```(\w*)\n(.*?)^```$", f.read(), re.MULTILINE | re.DOTALL)
                  if containing in block]
    assert len(blocks) == 1, f"README.md has {len(blocks)} blocks of code with {containing!r}"
    return blocks[0]


def man_block(page, containing):
    """The example in a manual page that has this text, as man shows it"""
    with open(f"{SOURCE}/man/{page}", encoding="utf-8") as f:
        blocks = [block.replace("\\-", "-").replace("\\e", "\\")
                  for block in re.findall(r"^\.EX\n(.*?)^\.EE$", f.read(), re.MULTILINE | re.DOTALL)]
    blocks = [block for block in blocks if containing in block]
    assert len(blocks) == 1, f"{page} has {len(blocks)} examples with {containing!r}"
    return blocks[0]


def readme_command(command):
    """@command, which README.md has in the midst of a sentence"""
    with open(f"{SOURCE}/README.md", encoding="utf-8") as f:
        assert f"`{command}`" in f.read(), f"README.md does not mention {command}"
    return command
