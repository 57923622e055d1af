# SPDX-License-Identifier: LGPL-2.1-or-later

"""A real Linux guest: Debian's kernel and busybox, booted in QEMU. Its serial port is joined to a VM of vspc-sim, and who
uses the console is Debian's telnet, at the VM's port of vspcd.

QEMU keeps a record of its own of all that the guest writes to the serial port. Each scenario ends with a comparison: what
telnet has shown is that, to the byte."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import termios
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, f"{SOURCE}/tests/e2e")

# pylint: disable=wrong-import-position
from harness import PortBlock, TestCase, recent_logs, tap, wait_for
from test_sim import Simulator

PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "cpio": "cpio", "telnet": "inetutils-telnet"}
# How long the guest may take for anything on a busy machine; to boot takes 3 to 5 seconds on an idle one.
GUEST_PATIENCE_SEC = 240
# The shell's, with which it asks the terminal where the cursor is, and then waits for keys
PROMPT = r"guest# \x1b\[6n"


class Telnet:
    """Debian's telnet on a terminal"""

    # What it says by itself, and not the guest
    BANNER = re.compile(rb"Trying 127\.0\.0\.1\.\.\.\r\nConnected to 127\.0\.0\.1\.\r\nEscape character is '\^]'\.\r\n")
    BREAK = b"\r\ntelnet> send brk\r\n"

    def __init__(self, test, port):
        self.fd, slave = pty.openpty()
        self.process = subprocess.Popen(["telnet", "127.0.0.1", str(port)], stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True)
        os.close(slave)
        test.addCleanup(self.end)
        self.output = bytearray()
        self.seen = 0  # up to here it has been waited for

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            self.output += os.read(self.fd, 65536)

    def wait_shown(self, pattern):
        """Until that has come after what was waited for last"""
        pattern, deadline = re.compile(pattern.encode(), re.MULTILINE), time.monotonic() + GUEST_PATIENCE_SEC
        while not (found := pattern.search(self.output, self.seen)):
            if time.monotonic() > deadline:
                raise AssertionError(f"telnet has not shown {pattern.pattern!r}")
            self.read(0.1)
        self.seen = found.end()

    def heard(self):
        """What it has shown of the VM's output"""
        return bytes(self.BANNER.sub(b"", self.output, count=1).replace(self.BREAK, b""))

    def is_at_its_prompt(self):
        """Where the terminal edits lines, which is not so while keys go to the VM"""
        return bool(termios.tcgetattr(self.fd)[3] & termios.ICANON)

    def send_break(self):
        self.type("\x1d")
        self.wait_shown("telnet> ")
        self.type("send brk\r")
        self.wait_shown("send brk\r\n")
        wait_for(lambda: not self.is_at_its_prompt(), "telnet to go on with the VM")

    def end(self):
        self.process.kill()
        self.process.wait()
        os.close(self.fd)


class Guest(TestCase):
    folder = None  # with vmlinuz and initramfs

    def setUp(self):
        super().setUp()
        self.records = []  # a file for each machine, in which its QEMU writes down what the guest writes
        self.telnet = None

    def begin(self, *sim_options):
        """A VM without a machine yet, and a telnet client at its port"""
        block = PortBlock(1)
        self.addCleanup(block.release)
        self.serial = f"127.0.0.1:{block.first}"

        self.vspcd = self.start(SlowClient="wait")
        self.sim = Simulator(self, self.vspcd, "--name=guest", f"--serial={self.serial}", *sim_options,
                             stdin=subprocess.DEVNULL)
        self.vspcd.wait_logged("VM guest .*: connected from")
        self.telnet = Telnet(self, self.vspcd.block.first)
        self.vspcd.wait_logged("client .* connected")

    def power_on(self):
        """It begins to run once vspc-sim has joined its serial port."""
        record = tempfile.NamedTemporaryFile(prefix="vspc-guest-")
        self.addCleanup(record.close)
        self.records.append(record)
        self.machine = subprocess.Popen(
            # Should we be killed it is not left behind.
            ["setpriv", "--pdeathsig=KILL", "qemu-system-x86_64", "-accel", "tcg", "-m", "256", "-nodefaults",
             "-no-user-config", "-display", "none", "-no-reboot",
             "-kernel", f"{self.folder}/vmlinuz", "-initrd", f"{self.folder}/initramfs",
             # On a busy machine Linux may think that timers do not tick, or that a processor hangs.
             "-append", "console=ttyS0,115200 no_timer_check nowatchdog",
             "-serial", f"telnet:{self.serial},server,logfile={record.name}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.addCleanup(self.power_off, self.machine)

    @staticmethod
    def power_off(machine):
        machine.kill()
        machine.wait()

    def boot(self, *sim_options):
        self.begin(*sim_options)
        self.power_on()
        self.telnet.wait_shown(PROMPT)

    def recorded(self):
        """All that guests have written"""
        output = b""
        for record in self.records:
            with open(record.name, "rb") as f:
                output += f.read()
        return output

    def n_recorded(self):
        return sum(os.path.getsize(record.name) for record in self.records)

    def assert_all_heard(self):
        """Telnet has shown what the guest has written, all of it and nothing else."""
        def caught_up():
            self.telnet.read(0)
            return len(self.telnet.heard()) >= self.n_recorded()

        wait_for(caught_up, lambda: f"{self.n_recorded()} bytes, having {len(self.telnet.heard())}", GUEST_PATIENCE_SEC)
        self.assertSameBytes(self.telnet.heard(), self.recorded())

    def evidence(self):
        """For somebody who wants to know why a scenario has failed"""
        shown = self.telnet.output if self.telnet else b""
        return (f"--- the last that QEMU has recorded: {self.recorded()[-3000:]!r}\n"
                f"--- the last that telnet has shown: {bytes(shown[-3000:])!r}\n" + recent_logs())

    def test_boot_messages_are_seen_from_the_first_to_the_last(self):
        self.boot()
        self.assertTrue(self.telnet.heard().startswith(b"[    0.000000] Linux version "), self.telnet.heard()[:100])
        self.assertIn(b"Run /init as init process\r\n", self.telnet.heard())
        self.assert_all_heard()

    def test_a_shell_is_used_and_ctrl_c_ends_what_runs_in_it(self):
        self.boot()
        self.telnet.type("echo $((6*7))\r")
        self.telnet.wait_shown("^42\r\n" + PROMPT)
        # That it runs it has to say itself: before that, the key would be the shell's.
        self.telnet.type("sh -c 'echo run$((1)); exec sleep 100000'\r")
        self.telnet.wait_shown("^run1\r\n")
        self.telnet.type("\x03")
        self.telnet.wait_shown(r"^\^C\r\n" + PROMPT)
        self.telnet.type("echo status-$?\r")
        self.telnet.wait_shown("^status-130\r\n" + PROMPT)
        self.assert_all_heard()

    def test_a_break_and_h_show_the_help_of_sysrq(self):
        self.boot()
        self.telnet.send_break()
        self.telnet.type("h")
        self.telnet.wait_shown(r"sysrq: HELP : loglevel\(0-9\) reboot\(b\) crash\(c\).*\r\n")
        self.assert_all_heard()

    def test_after_a_break_and_c_every_line_of_the_panic_is_seen(self):
        self.boot()
        self.telnet.send_break()
        self.telnet.type("c")
        for line in (r"sysrq: Trigger a crash", r"Kernel panic - not syncing: sysrq triggered crash", "Call Trace:",
                     "sysrq_handle_crash", r"---\[ end Kernel panic - not syncing: sysrq triggered crash \]---"):
            self.telnet.wait_shown(rf"^\[ *[0-9.]+\] .*{line}.*\r\n")
        self.assert_all_heard()

    def test_nothing_is_lost_or_shown_twice_while_the_vm_moves_in_the_middle_of_output(self):
        self.boot("--vmotion=300ms")
        self.telnet.type("i=0; while :; do i=$((i+1)); echo line-$i; done\r")
        self.telnet.wait_shown("^line-1\r\n")
        moved, written = self.vspcd.count_logged("has moved to"), self.n_recorded()

        def moved_enough():
            self.telnet.read(0)
            return self.vspcd.count_logged("has moved to") >= moved + 3 and self.n_recorded() > written

        wait_for(moved_enough, "three moves", GUEST_PATIENCE_SEC)
        self.telnet.type("\x03")
        self.telnet.wait_shown(r"\^C\r\n" + PROMPT)
        self.assert_all_heard()

    def test_a_client_stays_while_the_machine_is_switched_off_and_on(self):
        self.boot()
        self.telnet.type("echo before\r")
        self.telnet.wait_shown("^before\r\n" + PROMPT)
        self.assert_all_heard()
        self.power_off(self.machine)
        self.power_on()
        self.telnet.wait_shown(r"\[    0\.000000] Linux version ")
        self.telnet.wait_shown(PROMPT)
        self.assert_all_heard()
        self.assertEqual(self.vspcd.count_logged("connected from"), 1)


def make_initramfs(folder, busybox):
    root = os.path.join(folder, "root")
    os.mkdir(root)
    shutil.copy(busybox, f"{root}/busybox")
    shutil.copy(f"{HERE}/init", root)
    with open(f"{folder}/initramfs", "wb") as f:
        subprocess.run(["cpio", "--create", "--format=newc", "--owner=0:0", "--quiet"], cwd=root, input=b"init\nbusybox\n",
                       stdout=f, check=True)


def prepare(folder):
    """Puts vmlinuz and initramfs there. Returns why that is impossible here, or None."""
    missing = sorted(package for program, package in PROGRAMS.items() if not shutil.which(program))
    if missing:
        return f"Debian packages are missing: {' '.join(missing)}"
    made = subprocess.run([f"{SOURCE}/tools/linux-guest"], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return "there is no kernel for the guest: " + "; ".join(made.stderr.strip().split("\n")[-2:])
    os.symlink(f"{made.stdout.strip()}/vmlinuz", f"{folder}/vmlinuz")
    make_initramfs(folder, f"{made.stdout.strip()}/busybox")
    return None


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="vspc-guest-") as folder:
        why = prepare(folder)
        if why:
            tap.unavailable(why)
        Guest.folder = folder
        tap.main()
