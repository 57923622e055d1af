# SPDX-License-Identifier: LGPL-2.1-or-later

"""A helper process of vspcd's, as systemd starts it."""

import os
import re
import select
import socket
import threading

from harness import PATIENCE_SEC, clean_environment, spawn, wait_for


class HelperProcess:
    """vspc-hooks or vspc-logger (argv) as systemd has it: it listens for it at path, and starts it when somebody connects and
    it does not run."""

    def __init__(self, path, env, argv):
        self.argv = argv
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        os.chmod(path, 0o777)  # whom it serves it has to know by itself
        self.listener.listen(16)
        self.environment = clean_environment(**env)
        self.log, self.statuses, self.vspcd, self.pid = [], [], None, None
        self.n_started, self.killed = 0, False
        self.lock = threading.Lock()
        self.ended, self.ending = os.pipe()
        self.reading, self.writing = os.pipe()
        self.threads = [threading.Thread(target=target, daemon=True) for target in (self.supervise, self.collect)]
        for thread in self.threads:
            thread.start()

    def supervise(self):
        while True:
            readable = select.select([self.listener, self.ended], [], [])[0]
            if self.ended in readable:
                return
            self.pid = spawn(self.argv, [self.listener.fileno()], self.writing, self.environment)
            self.n_started += 1
            self.statuses.append(os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]))

    def collect(self):
        """What it logs is in vspcd's log, as in the journal."""
        with os.fdopen(self.reading, "rb") as f:
            for line in f:
                with self.lock:
                    self.log.append(line.decode("utf-8", "surrogateescape").rstrip("\n"))
                    self.forward()

    def forward(self):
        while self.vspcd and self.log:
            self.vspcd.append(self.vspcd.log, self.log.pop(0))

    def forward_to(self, vspcd):
        with self.lock:
            self.vspcd = vspcd
            self.forward()

    def is_running(self):
        return self.n_started > len(self.statuses)

    def rss(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1]) * 1024

    def close(self, killed=False):
        """After vspcd has ended. vspc-hooks ends with it by itself, vspc-logger has to be ended before."""
        try:
            wait_for(lambda: not self.is_running(), f"{self.argv[-1]} to end")
            if any(status != 0 for status in self.statuses) and not (killed or self.killed):
                raise AssertionError(f"{self.argv[-1]} has ended with {self.statuses}")
        finally:
            os.close(self.ending)
            self.threads[0].join(PATIENCE_SEC)
            os.close(self.writing)
            self.threads[1].join(PATIENCE_SEC)
            os.close(self.ended)
            self.listener.close()
        log = (self.vspcd.log if self.vspcd else []) + self.log
        reports = [i for i, line in enumerate(log) if re.search(r"Sanitizer|runtime error:|Assertion .* failed", line)]
        if reports:
            raise AssertionError("\n".join(log[reports[0]:reports[0] + 60]))
