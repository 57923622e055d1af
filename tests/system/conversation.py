# SPDX-License-Identifier: LGPL-2.1-or-later

"""Talks to a program that runs on a machine"""

import codecs
import os
import select
import signal
import time

from machine import PATIENCE_SEC, end


class Conversation:
    """A program that is typed to, and what it has shown so far"""

    def __init__(self, test, machine, argv, user="root"):
        self.argv, self.shown, self.shown_at = argv, "", 0
        self.decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self.process = machine.popen(*argv, user=user)
        test.addCleanup(end, self.process)

    def type(self, text):
        os.write(self.process.stdin.fileno(), text.encode())
        return self

    def read(self, seconds):
        """Returns whether there is more to come."""
        fd = self.process.stdout.fileno()
        if not select.select([fd], [], [], seconds)[0]:
            return True
        data = os.read(fd, 65536)
        self.shown += self.decoder.decode(data)
        self.shown_at = time.monotonic()
        return len(data) > 0

    def is_late(self, began, timeout, silence):
        """Whether its time is over: @timeout since @began; or with @silence so long without showing anything new"""
        return time.monotonic() > (max(began, self.shown_at) + silence if silence else began + timeout)

    def wait_shown(self, text, timeout=PATIENCE_SEC, after=0, silence=None):
        """after: of how much has been shown before does not count"""
        began = time.monotonic()
        while text not in self.shown[after:]:
            if self.is_late(began, timeout, silence) or not self.read(0.1):
                raise AssertionError(f"{' '.join(self.argv)} has not shown {text!r}, but {self.shown[-2000:]!r}")
        return self

    def wait_exit(self, timeout=PATIENCE_SEC, silence=None):
        began = time.monotonic()
        while self.read(0.1):
            if self.is_late(began, timeout, silence):
                raise AssertionError(f"{' '.join(self.argv)} does not exit, and has shown {self.shown[-2000:]!r}")
        return self.process.wait(PATIENCE_SEC)

    def interrupt(self):
        """Ctrl-C"""
        os.killpg(self.process.pid, signal.SIGINT)

    def echo(self, text):
        """Types a line and waits until the guest has said it too."""
        before = len(self.shown)
        return self.type(text + "\n").wait_shown(text, after=before)
