# SPDX-License-Identifier: LGPL-2.1-or-later

"""What README.md says to somebody who has just cloned this, on a machine with nothing prepared, word for word: a
package that was forgotten is missing there. Usage: test_fresh.py RELEASE [WORD...]

Each way has a machine of its own, for what one installs would be there for the next. What is tested is what is
committed.
"""

import os
import shutil
import subprocess
import time
import unittest

import tap
from conversation import Conversation
from machine import SOURCE, Machine, wait_for
from scenario import readme_block

# With packages to get and to unpack, on a busy machine
APT_AND_BUILD_SEC = 600
ARCHIVES = "/var/cache/apt/archives"
ARCHIVE_SEC = 30 * 24 * 60 * 60


def archives(release):
    """Where the packages are kept that apt has got, so that it need not get them each time"""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = f"{cache}/vspc/{release}-archives"
    os.makedirs(folder, exist_ok=True)
    return folder


def lend_archives(machine):
    """apt takes what has the checksum that it wants, and gets the rest, which keep_archives() keeps for next time."""
    kept, here = archives(machine.release), machine.path(ARCHIVES)
    for name in os.listdir(kept):
        if time.time() - os.stat(f"{kept}/{name}").st_mtime > ARCHIVE_SEC:
            os.unlink(f"{kept}/{name}")
        elif name.endswith(".deb"):
            shutil.copyfile(f"{kept}/{name}", f"{here}/{name}")


def keep_archives(machine):
    kept, here = archives(machine.release), machine.path(ARCHIVES)
    for name in os.listdir(here):
        if name.endswith(".deb") and not os.path.exists(f"{kept}/{name}"):
            shutil.copyfile(f"{here}/{name}", f"{kept}/{name}.new-{os.getpid()}")
            os.rename(f"{kept}/{name}.new-{os.getpid()}", f"{kept}/{name}")


class Fresh(unittest.TestCase):
    """Each test has a machine of its own."""
    release = None

    @classmethod
    def make_machine(cls):
        machine = Machine(cls.release, "fresh")
        # A person who is asked whether to go on says yes.
        machine.write("/etc/apt/apt.conf.d/90yes", 'APT::Get::Assume-Yes "true";\n')
        lend_archives(machine)
        subprocess.run(["git", "clone", "--quiet", "--no-local", SOURCE, machine.path("/root/vspc")], check=True)
        machine.boot()
        machine.connect()
        return machine

    @staticmethod
    def end_machine(machine):
        try:
            keep_archives(machine)
        finally:
            machine.close()

    def setUp(self):
        self.machine = self.make_machine()
        self.addCleanup(self.end_machine, self.machine)

    def evidence(self):
        return self.machine.out("journalctl", "--no-pager", "--quiet", "-o", "short-precise", "--unit=vspc*",
                                check=False)

    def talk(self, command):
        """In the clone"""
        return Conversation(self, self.machine, ("bash", "-c", f"cd ~/vspc && {command}"))

    def run_block(self, containing):
        """A block of README.md, as somebody would paste it"""
        process = self.talk(readme_block(containing))
        self.assertEqual(process.wait_exit(APT_AND_BUILD_SEC), 0, process.shown[-5000:])
        return process.shown


class Trying(Fresh):
    """All on one machine: what tools/serve installs, tools/test needs as well."""

    @classmethod
    def setUpClass(cls):
        cls.machine = cls.make_machine()
        cls.addClassCleanup(cls.end_machine, cls.machine)

    def setUp(self):
        pass

    def test_tools_serve_gives_a_shell_on_a_simulated_vm(self):
        serve = self.talk(readme_block("tools/serve\n"))
        serve.wait_shown("\nCtrl-C ends all of it.", APT_AND_BUILD_SEC)
        telnet = self.talk(readme_block("telnet 127.0.0.1 50000"))
        telnet.type("echo $((6 * 7))\n")
        telnet.wait_shown("42\r\n")
        # Whoever has logged in to the machine can use it.
        telnet.type("id -u; id -G; cat /proc/$$/environ | tr '\\0' '\\n' | grep -c .; grep -E '^(Cap|NoNew)' /proc/$$/status\n")
        telnet.wait_shown("65534\r\n65534\r\n5\r\n")
        for what in "CapInh", "CapPrm", "CapEff", "CapAmb":
            telnet.wait_shown(f"{what}:\t0000000000000000\r\n")
        self.assertRegex(self.machine.sh("cd ~/vspc; build-serve/vspc-client --host=127.0.0.1").stdout, "demo-2 ")
        serve.interrupt()
        serve.wait_shown("All ended.").wait_exit()

    def test_tools_test_finds_all_that_it_needs(self):
        """All of it would take too long, and end in here again: no more than the unit tests are run."""
        test = self.talk(readme_block("tools/test\n").strip() + " --suite=unit")
        self.assertEqual(test.wait_exit(APT_AND_BUILD_SEC), 0, test.shown[-5000:])
        self.assertRegex(test.shown.splitlines()[-1], r"^\d+ passed, 0 failed$")


class Installing(Fresh):
    def test_packages_are_built_and_installed(self):
        self.run_block("tools/build-packages\n")
        self.assert_installed()

    def test_it_is_installed_without_packages(self):
        self.run_block("meson install -C build")
        self.assert_installed()

    def assert_installed(self):
        """It answers, and does so after the machine has been started anew as well"""
        self.assertEqual(self.machine.out("systemctl", "is-active", "vspc.socket"), "active\n")
        self.machine.power_off()
        self.machine.boot()
        self.assertEqual(self.machine.run("systemctl", "is-active", "vspc.service", check=False).stdout, "inactive\n")
        self.assertEqual(self.machine.out("vspc-client", "list", "--json=short"), "[]\n")
        # It may have answered before systemd has heard that it is ready.
        wait_for(lambda: self.machine.run("systemctl", "is-active", "vspc.service", check=False).stdout == "active\n",
                 "vspc.service to be active")


def run(release, tests, result):
    Fresh.release = release
    unittest.TestSuite(tests).run(result)


if __name__ == "__main__":
    tap.main(run, [Trying, Installing])
