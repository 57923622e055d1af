# SPDX-License-Identifier: LGPL-2.1-or-later

"""What tests of console logs have in common: a systemd-journald of their own, and vspc-logger.

These tests run in a mount namespace with a /run of its own: enter_namespace() comes first.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from harness import TestCase, tap, wait_for
from helper_process import HelperProcess

LOGGER = os.environ.get("VSPC_LOGGER", "build/vspc-logger")
JOURNALD = "/lib/systemd/systemd-journald"
SOCKET = "/run/systemd/journal/socket"


def enter_namespace():
    """Starts this program anew where /run is its own, and comes back there."""
    if os.environ.get("CONSOLE_LOG_NAMESPACE") == str(os.getpid()):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run"], check=True)
        return
    become = "exec env CONSOLE_LOG_NAMESPACE=$$ \"$@\""
    root = [] if os.getuid() == 0 else ["--map-root-user"]
    command = ["unshare", *root, "--mount", "--propagation=private"]
    if subprocess.run([*command, "true"], check=False).returncode != 0:
        tap.skip_all("no mount namespace of our own, in which there could be a journal")
    os.execvp(command[0], [*command, "sh", "-c", become, "sh", sys.executable, *sys.argv])


class Journald:
    """systemd-journald, without limits, writing to memory."""

    def __init__(self):
        os.makedirs("/run/systemd/journald.conf.d", exist_ok=True)
        os.makedirs("/run/log/journal", exist_ok=True)
        with open("/run/systemd/journald.conf.d/test.conf", "w", encoding="ascii") as f:
            f.write("[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitIntervalSec=0\nRuntimeMaxUse=256M\n")
        self.process = subprocess.Popen([JOURNALD], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: self.answers() or self.process.poll() is not None, "journald to listen")
        except AssertionError:
            self.end()
            raise
        if self.process.poll() is not None:
            raise unittest.SkipTest(f"{JOURNALD} does not run here")

    @staticmethod
    def answers():
        """Not only that its sockets are there, maybe from one before it."""
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex("/run/systemd/journal/io.systemd.journal") == 0

    def signal(self, number):
        self.process.send_signal(number)

    def entries(self, *matches):
        subprocess.run(["journalctl", "--sync"], check=True)
        out = subprocess.run(["journalctl", "--directory=/run/log/journal", "--output=json", "--quiet", "--all",
                              "SYSLOG_IDENTIFIER=vspc-console", *matches], check=True, stdout=subprocess.PIPE).stdout
        return [json.loads(line) for line in out.splitlines()]

    @staticmethod
    def last_lines(n):
        """The last that all VMs have said, as far as journald has written it by now."""
        return subprocess.run(["journalctl", "--directory=/run/log/journal", "--output=cat", "--quiet", f"--lines={n}",
                               "SYSLOG_IDENTIFIER=vspc-console"], check=True, stdout=subprocess.PIPE,
                              text=True).stdout.splitlines()

    def lines(self, vm):
        return [e["MESSAGE"] for e in self.entries(f"VSPC_VM_UUID={vm.id}")]

    def wait_lines(self, vm, want):
        got = []

        def same():
            got[:] = self.lines(vm)
            return got == want

        wait_for(same, lambda: f"the lines {want}, having got {got}")

    def wait_line(self, vm, text):
        wait_for(lambda: text in self.lines(vm), f"the line {text!r}")

    def end(self):
        self.signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait()
        shutil.rmtree("/run/log/journal", ignore_errors=True)
        shutil.rmtree("/run/systemd/journal", ignore_errors=True)


class Logger(HelperProcess):
    """vspc-logger"""

    def __init__(self, path, env, wrapper=()):
        super().__init__(path, env, (*wrapper, LOGGER))

    def signal(self, number):
        """It may have done something before we know that it runs."""
        wait_for(self.is_running, "vspc-logger to run")
        os.kill(self.pid, number)

    def end(self):
        """It has nothing to do any more: vspcd has waited for it."""
        if self.is_running():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        self.close()

    def n_open(self, folder):
        """How many files it has open there."""
        found = []
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.append(os.readlink(f"/proc/{self.pid}/fd/{name}"))
        return sum(what.startswith(folder) for what in found)


class LogCase(TestCase):
    """vspcd and vspc-logger. What both log is in vspcd's log, as it is in the journal for the eye."""

    logger = None

    def start_logger(self, **kwargs):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-logger-"))
        os.chmod(folder, 0o755)
        self.socket_path = os.path.join(folder, "logger.socket")
        self.logger = Logger(self.socket_path, **kwargs)
        self.addCleanup(self.logger.end)
        return self.logger

    def start(self, *args, env=None, logger_env=None, **kwargs):
        if not self.logger:
            self.start_logger(env=logger_env or {})
        vspcd = super().start(*args, env={"VSPC_LOGGER_SOCKET": self.socket_path, **(env or {})}, **kwargs)
        self.logger.forward_to(vspcd)
        return vspcd


class JournalCase(LogCase):
    def journal(self):
        journald = Journald()
        self.addCleanup(journald.end)
        return journald

    def start(self, *args, console_log=None, **kwargs):
        return super().start(*args, console_log={"Journal": "yes", **(console_log or {})}, **kwargs)


def path(folder, vm, prefix=""):
    return os.path.join(folder, f"{prefix}{vm.name}-{vm.id}.log")


def content(folder, vm):
    try:
        with open(path(folder, vm), "rb") as f:
            return f.read()
    except FileNotFoundError:
        return b""
