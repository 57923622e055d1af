# SPDX-License-Identifier: LGPL-2.1-or-later

"""Runs vspc-client on a terminal (a pty that is its controlling terminal) or with pipes."""

import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time

from fake_varlink import FakeVspcd, a_vm, all_vms, reply
from harness import PATIENCE_SEC, TestCase, clean_environment, recent_logs
from peers import connected_vm

CLIENT = os.path.abspath(os.environ.get("VSPC_CLIENT", "build/vspc-client"))
ESCAPE = b"\x1d"


def environment(**more):
    return clean_environment(**{"TERM": "xterm", "COLUMNS": "", "NO_COLOR": "", **more})


def options_of(server):
    """How to reach it: by its local socket if it has one."""
    if hasattr(server, "options"):
        return server.options
    return [f"--socket={server.admin_path}"] if server.admin_path else [f"--host=127.0.0.1:{server.admin_address[1]}"]


def run(server, *args, stdin=subprocess.DEVNULL, env=None, **kwargs):
    """Runs it to its end with pipes; the output is text."""
    result = subprocess.run([CLIENT, *options_of(server), *args], stdin=stdin, capture_output=True, check=False,
                            timeout=PATIENCE_SEC, encoding="utf-8", env=environment(**(env or {})), **kwargs)
    assert "Sanitizer" not in result.stderr and "runtime error" not in result.stderr, result.stderr
    return result


class Terminal:
    """A program that has a pty for its controlling terminal. .shown is what it would show."""

    def __init__(self, *argv, env=None, size=(24, 80), stdout=None, stdin=None):
        self.fd, self.slave = os.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(self.slave)
        self.shown = bytearray()
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            argv, stdin=stdin or self.slave, stdout=stdout or self.slave, stderr=self.slave, start_new_session=True,
            env=environment(**(env or {})), preexec_fn=self.prepare)

    @staticmethod
    def prepare():
        """Nothing is ignored, as it would be if the tests run in a background that has no job control."""
        for number in signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGTSTP:
            signal.signal(number, signal.SIG_DFL)
        fcntl.ioctl(2, termios.TIOCSCTTY, 0)

    def resize(self, lines, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys):
        while keys:
            keys = keys[os.write(self.fd, keys[:4096]):]

    def read(self, timeout=0.0):
        if select.select([self.fd], [], [], timeout)[0]:
            self.shown += os.read(self.fd, 65536)

    def wait(self, predicate, what):
        deadline = time.monotonic() + PATIENCE_SEC
        while not predicate():
            if time.monotonic() > deadline:
                shown = bytes(self.shown[-2000:])
                raise AssertionError(f"waited in vain for {what}; the last that is shown: {shown!r}\n{recent_logs()}")
            self.read(0.02)

    def wait_shown(self, text, since=0):
        self.wait(lambda: text in self.shown[since:], repr(text))
        return self

    def wait_exit(self):
        self.wait(lambda: self.process.poll() is not None, "it to exit")
        while select.select([self.fd], [], [], 0)[0]:
            self.read()
        assert b"Sanitizer" not in self.shown and b"runtime error" not in self.shown, self.shown
        return self.process.returncode

    def prompt(self):
        n = len(self.shown)
        self.type(ESCAPE)
        self.wait_shown(b"\r\nvspc> ", n)

    def command(self, line):
        self.prompt()
        self.type(line + b"\r")

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.fd)
        os.close(self.slave)


class ClientTestCase(TestCase):
    def fake(self, **answers):
        server = FakeVspcd(**answers)
        self.addCleanup(server.__exit__)
        return server

    def attaching(self, **more):
        """A fake that lets everybody attach to web01."""
        vm = a_vm("web01")
        return self.fake(Attach=lambda _, parameters: reply(vm=vm, granted="free_for_all"), List=all_vms([vm]), **more)

    def terminal(self, server, *args, **kwargs):
        terminal = Terminal(CLIENT, *options_of(server), *args, **kwargs)
        self.addCleanup(terminal.close)
        return terminal

    def attached(self, server, *args, **kwargs):
        terminal = self.terminal(server, *args, **kwargs)
        terminal.wait_shown(b"Connected to VM ")
        said = terminal.shown.index(b"Connected to VM ")
        terminal.wait(lambda: b"\n" in terminal.shown[said:], "the end of that line")
        terminal.wait(terminal.is_raw, "the terminal to be raw")
        return terminal

    def attached_to_vm(self, *args, name=None, **config):
        vm = connected_vm(self.start(**config), name)
        return vm, self.attached(vm.vspcd, "attach", vm.name, *args)

    def assertSays(self, result, *texts, status=1):
        self.assertEqual(result.returncode, status, result)
        for text in texts:
            self.assertIn(text, result.stderr)
