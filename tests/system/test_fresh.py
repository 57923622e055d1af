# SPDX-License-Identifier: LGPL-2.1-or-later

"""The commands of README.md for somebody who has just cloned the project, word for word, on a machine with nothing
prepared: a package that is missing in README.md is missing there.

Each way of installing has its own machine, because the packages that it installs would be present for the next. What
is committed is tested.
"""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import isolation
from arguments import argument_parser, skip_where_impossible, tap
from conversation import Conversation
from machine import SOURCE, Machine, cache, ccache, debian_root, wait_for
from scenario import readme_block

# Packages are got and unpacked, and vspc is built, which takes however long it takes on a busy machine. Something new is
# shown again and again: at least so often.
SILENCE_SEC = 600
ARCHIVES = "/var/cache/apt/archives"
ARCHIVE_SEC = 30 * 24 * 60 * 60


# What is compiled for one machine is not compiled for another: meson takes a ccache that it finds. That of the root that
# packages are built in works here with the libraries that it has there, and nothing has to be installed for it.
BUILDER = "/opt/builder"
CCACHE = f"""#!/bin/sh
export CCACHE_DIR=/opt/ccache
exec {BUILDER}/lib*/ld-linux*.so.* --library-path "$(echo {BUILDER}/usr/lib/*-linux-gnu*)" {BUILDER}/usr/bin/ccache "$@"
"""


def lend_archives(machine):
    """So that apt need not get all packages each time. It takes what has the checksum that it wants, and gets the rest,
    which keep_archives() keeps for next time."""
    kept, here = cache(f"{machine.release}-archives"), machine.path(ARCHIVES)
    for path in glob.glob(f"{kept}/*"):
        try:
            if time.time() - os.stat(path).st_mtime > ARCHIVE_SEC:
                os.unlink(path)
            elif path.endswith(".deb"):
                shutil.copy(path, here)
        except FileNotFoundError:
            pass  # a test beside this one was first to remove it


def keep_archives(machine):
    kept = cache(f"{machine.release}-archives")
    for path in glob.glob(machine.path(f"{ARCHIVES}/*.deb")):
        place = f"{kept}/{os.path.basename(path)}"
        if not os.path.exists(place):
            with tempfile.NamedTemporaryFile(dir=kept, delete=False) as new:
                shutil.copyfile(path, new.name)
            os.rename(new.name, place)


class Fresh(unittest.TestCase):
    """Each test has a machine of its own."""
    release = None

    @classmethod
    def make_machine(cls):
        machine = Machine(cls.release, "fresh", [f"--bind-ro={debian_root(cls.release, 'build')}:{BUILDER}",
                                                 f"--bind={ccache(cls.release)}:/opt/ccache"])
        # A person who is asked whether to go on says yes.
        machine.write("/etc/apt/apt.conf.d/90yes", 'APT::Get::Assume-Yes "true";\n')
        machine.write("/usr/local/bin/ccache", CCACHE, 0o755)
        lend_archives(machine)
        clone = readme_block("git clone").replace("URL", f"file://{SOURCE}")
        subprocess.run(["bash", "-euc", clone], cwd=machine.path("/root"), stderr=subprocess.DEVNULL, check=True)
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
        self.assertEqual(process.wait_exit(silence=SILENCE_SEC), 0, process.shown[-5000:])
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
        serve.wait_shown("\nCtrl-C ends all of it.", silence=SILENCE_SEC)
        telnet = self.talk(readme_block("telnet 127.0.0.1 50000"))
        telnet.type("echo $((6 * 7))\n")
        telnet.wait_shown("42\r\n")
        telnet.type("sh -c 'echo RUN''NING; exec sleep 1000'\n")
        telnet.wait_shown("RUNNING\r\n")
        telnet.type("\x03")
        telnet.type("echo $((6 * 8))\n")
        telnet.wait_shown("48\r\n")
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
        self.assertEqual(test.wait_exit(silence=SILENCE_SEC), 0, test.shown[-5000:])
        self.assertRegex(test.shown.splitlines()[-1], r"^\d+ passed, 0 failed$")

    def test_what_tests_install_opens_no_port_to_the_network(self):
        self.machine.sh("cd ~/vspc; . tools/packages.sh; need_packages cockpit-ws ser2net iproute2", timeout=SILENCE_SEC)
        listening = self.machine.out("ss", "--no-header", "--listening", "--tcp", "--numeric").splitlines()
        self.assertEqual([line for line in listening if not re.search(r" (127\.0\.0\.\d+|\[::1\]):\d", line)], [])
        self.assertEqual(self.machine.out("systemctl", "is-enabled", "cockpit.socket", "ser2net.service", check=False).split(),
                         ["masked", "masked"])

    def test_all_packages_that_tests_may_need_are_there(self):
        """The unit tests need few of them. To install all, only to see whether there are any, would take too long as well."""
        self.machine.sh("apt-get update; cd ~/vspc; . tools/packages.sh; "
                        "for list in ${!PACKAGES_*}; do apt-get install --simulate ${!list}; done", timeout=SILENCE_SEC)


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


def main():
    arguments = argument_parser(__doc__).parse_args()
    skip_where_impossible()
    isolation.enter()
    Fresh.release = arguments.release
    tap.run(tap.select(tap.tests_of(Trying, Installing), arguments.words))


if __name__ == "__main__":
    main()
