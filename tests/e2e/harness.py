# SPDX-License-Identifier: LGPL-2.1-or-later

"""Runs vspcd as systemd would, and watches its log, its notifications and /proc.

Nothing here sleeps for a fixed time: wait_for() waits for a condition, and its failure names the condition.
"""

import contextlib
import errno
import fcntl
import os
import re
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import tap  # pylint: disable=wrong-import-position

VSPCD = os.environ.get("VSPCD", "build/vspcd")
VSPC_SIM = os.environ.get("VSPC_SIM", "build/vspc-sim")

# How long anything may take on a busy machine before we say that it does not happen.
PATIENCE_SEC = float(os.environ.get("E2E_PATIENCE_SEC", "30"))

# Port blocks lie below the range from which the kernel gives out ports to connections, and above those of benchmarks,
# where thousands of VMs have theirs.
BLOCK_FIRST, BLOCK_LAST, BLOCK_SIZE = 28000, 32700, 32

running = []  # Concentrators, so that a failure can show what they have logged
sockets = []  # of peers, to be closed when a test ends
numbers = iter(range(1, 1 << 30))


def is_sanitized(program):
    with open(program, "rb") as f:
        return b"__asan_init" in f.read()


SANITIZED = is_sanitized(VSPCD)


def wait_for(predicate, what, timeout=None):
    """Waits until predicate() is true and returns what it returned."""
    deadline = time.monotonic() + (timeout or PATIENCE_SEC)
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what() if callable(what) else what}\n{recent_logs()}")
        time.sleep(0.005)


def quick_round(play):
    """What play() returns, as soon as that is something. It plays a round anew in which this machine was too busy to send in
    time what belongs together: such a round proves nothing."""
    return wait_for(play, "a round that is quick enough")


class Silence:
    """A while in which nothing happens although each vspcd could do something: one that waits for a processor has as long as
    anything may take."""

    def __init__(self, seconds=0.5):
        self.seconds = seconds
        self.begin()

    def begin(self):
        self.since = self.changed = time.monotonic()

    def is_over(self, happened):
        """To be asked again and again, with whether something has happened since it was asked last"""
        now = time.monotonic()
        if happened:
            self.begin()
            return False
        if now - self.changed < PATIENCE_SEC and any(c.is_busy() for c in running):
            self.since = now
        if now - self.since >= self.seconds:
            return True
        time.sleep(0.01)
        return False


def recent_logs():
    return "\n".join(f"--- the last that vspcd (pid {c.pid}) logged:\n" + "\n".join(c.log[-30:]) for c in running)


def close_sockets():
    while sockets:
        sockets.pop().close()


class TestCase(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        self.addCleanup(close_sockets)

    def start(self, *args, **kwargs):
        """Starts vspcd for this test; it is stopped, and must have been healthy, when the test ends."""
        return self.enterContext(Concentrator(*args, **kwargs))

    def faults(self):
        return Faults(self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-faults-")))

    def assertSameBytes(self, got, expected):
        """Says where they part instead of showing megabytes."""
        got, expected = bytes(got), bytes(expected)
        if got == expected:
            return
        at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b), min(len(got), len(expected)))
        self.fail(f"{len(got)} bytes instead of {len(expected)}, differing from {at} on: "
                  f"{got[at:at + 40]!r} instead of {expected[at:at + 40]!r}")


class PortBlock:
    """Ports that no other test uses: each block is claimed by a name that goes with the process."""

    def __init__(self, count=BLOCK_SIZE):
        n_blocks = -(-count // BLOCK_SIZE)
        last = (BLOCK_LAST - BLOCK_FIRST) // BLOCK_SIZE - n_blocks
        offset = os.getpid() * 7  # so that parallel tests seldom try the same ones
        for i in range(last):
            start = (offset + i * n_blocks) % last
            self.claims = []
            if all(self.claim(BLOCK_FIRST + (start + k) * BLOCK_SIZE) for k in range(n_blocks)):
                self.first = BLOCK_FIRST + start * BLOCK_SIZE
                self.last = self.first + count - 1
                return
            self.release()
        raise RuntimeError("no free block of ports")

    def claim(self, first):
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"\0vspc-e2e-ports-{first}")
        except OSError:
            name.close()
            return False
        self.claims.append(name)
        return all(is_port_free(port) for port in range(first, first + BLOCK_SIZE))

    def release(self):
        for name in self.claims:
            name.close()


def is_port_free(port, address="127.0.0.1"):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((address, port))
            return True
        except OSError:
            return False


class Faults:
    """System calls of vspcd that fail and handshakes that wait, see faults.c. To be started with its env."""

    LIBRARY = os.path.abspath(os.environ.get("FAULTS_LIBRARY", "build/tests/e2e/libfaults.so"))

    def __init__(self, folder):
        self.path = os.path.join(folder, "faults")
        self.env = {"LD_PRELOAD": self.LIBRARY, "FAULTS": self.path}

    def inject(self, *rules):
        """Each a call, an errno and the beginning of a path; these and no others from now on."""
        with open(self.path + ".new", "w", encoding="utf-8") as f:
            f.writelines(f"{call} {error} {path}\n" for call, error, path in rules)
        os.rename(self.path + ".new", self.path)

    def clear(self):
        self.inject()

    def offer_memory(self):
        """To be called before vspcd starts: gives a function that says how many bytes it has allocated and not freed."""
        path = self.path + ".memory"
        os.mkfifo(path)

        def allocated():
            line = ""
            while not line:  # the last answer is just being closed
                with open(path, encoding="ascii") as f:
                    line = f.readline()

            return int(line)

        return allocated

    def held_handshakes(self):
        """Until it ends, whoever calls gnutls_handshake() has to wait. Gives a function: how many have called it."""
        return self.held("gate")

    def held_names(self):
        """Until it ends, whoever looks for the name of a user has to wait. Gives a function: how many have."""
        return self.held("names")

    @contextlib.contextmanager
    def held(self, name):
        path = f"{self.path}.{name}"
        with open(path + ".new", "wb") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            os.rename(path + ".new", path)
            try:
                yield lambda: os.fstat(gate.fileno()).st_size
            finally:
                os.unlink(path)


def queued(local, remote):
    """Bytes that the TCP socket at @local has not read of @remote, and bytes that it has sent and that have not arrived; none if
    there is no such socket. The kernel is asked for this one socket (sock_diag(7)): its table of all of them may be long."""
    def address(host):
        return socket.inet_aton(host).ljust(16, b"\0")

    request = struct.pack("=BBBxI2s2s16s16sIII", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xffffffff,
                          local[1].to_bytes(2, "big"), remote[1].to_bytes(2, "big"), address(local[0]), address(remote[0]),
                          0, 0xffffffff, 0xffffffff)  # on any interface, with any cookie
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 4) as diag:  # NETLINK_SOCK_DIAG
        diag.send(struct.pack("=IHHII", 16 + len(request), 20, 1, 0, 0) + request)  # SOCK_DIAG_BY_FAMILY
        answer = diag.recv(4096)
    kind, = struct.unpack_from("=H", answer, 4)
    if kind == 2:  # NLMSG_ERROR
        error, = struct.unpack_from("=i", answer, 16)
        if error != -errno.ENOENT:
            raise OSError(-error, os.strerror(-error))
        return 0, 0
    return struct.unpack_from("=II", answer, 16 + 56)


def listener(address="127.0.0.1"):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, 0))
    s.listen(512)
    return s


def local_listener(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(512)
    return s


def fill_notifications(receiver):
    """Until there is no room for more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.connect(receiver.getsockname())
        with contextlib.suppress(BlockingIOError):
            while True:
                sender.send(b"FILLED=1")


def spawn(argv, descriptors, stderr, environment, nofile=None):
    """fork() and exec() with descriptors at 3 and up, as sd_listen_fds(3) has it. Returns the pid."""
    pid = os.fork()
    if pid > 0:
        return pid
    try:
        import fcntl
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 512) for fd in descriptors]
        os.dup2(stderr, 2)
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i)
        os.closerange(3 + len(high), 1024)
        if nofile:
            resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if descriptors:
            environment = dict(environment, LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(descriptors)))
        os.execvpe(argv[0], argv, environment)
    except BaseException as e:  # pylint: disable=broad-except
        os.write(2, f"cannot start {argv[0]}: {e}\n".encode())
    os._exit(127)


def clean_environment(**more):
    environment = {k: v for k, v in os.environ.items()
                   if not k.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_", "VSPC_", "VM_", "SUPPORT_"))
                   and k != "JOURNAL_STREAM"}
    asan = "quarantine_size_mb=4:" + environment.get("ASAN_OPTIONS", "detect_leaks=1")
    environment["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent"  # the machine's own is not for tests
    environment.update(ASAN_OPTIONS=asan, UBSAN_OPTIONS="print_stacktrace=1", **more)
    return environment


class Concentrator:
    """vspcd. Keyword arguments that are keys of [Concentrator] make its configuration, for example ClientLimit=2;
    console_log has those of [ConsoleLog], tls those of [TLS], access a tuple (Who, VMs, May) for each section [Access].

    local: it answers queries on a UNIX socket as well, at admin_path; if it is "open", everybody can connect there. parent: where its folder, with that, is made.
    passed: listening sockets that stay open when it ends, as systemd's do, in place of new ones; one for each name in
    sockets. wrapper: a command that becomes vspcd.
    """

    def __init__(self, *, ports=BLOCK_SIZE, sockets=("vm", "admin"), local=False, parent=None, env=None, nofile=None,
                 debug=False, stderr=None, healthy=True, passed=None, wrapper=(), **config):
        self.healthy = healthy  # it must end with status 0
        self.log, self.notifications, self.status = [], [], None
        self.changed = threading.Condition()
        self.block = None if "VMPortRangeStart" in config else PortBlock(ports)  # a test may have its own
        if self.block:
            config.update({"VMPortRangeStart": self.block.first, "VMPortRangeEnd": self.block.last, **config})

        self.folder = tempfile.TemporaryDirectory(prefix="vspc-e2e-", dir=parent)
        os.chmod(self.folder.name, 0o711)  # a wrapper may make it another user's
        self.config_path = os.path.join(self.folder.name, "vspc.conf")
        self.configure(**config)

        self.listeners = passed or [listener() for _ in sockets]
        self.addresses = [s.getsockname() for s in self.listeners]
        by_name = dict(zip(sockets, self.addresses))
        self.vm_address, self.admin_address = by_name.get("vm"), by_name.get("admin")
        self.admin_tls_address = by_name.get("admin-tls")
        self.admin_path = os.path.join(self.folder.name, "admin.socket") if local else None
        if local:
            self.listeners.append(local_listener(self.admin_path))
            if local == "open":
                os.chmod(self.admin_path, 0o666)
            sockets = (*sockets, "admin")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"vspc-e2e-notify-{os.getpid()}-{next(numbers)}"
        self.notify.bind("\0" + name)
        self.notify_lock = threading.Lock()

        environment = clean_environment(NOTIFY_SOCKET="@" + name, **(env or {}))
        if sockets:
            environment["LISTEN_FDNAMES"] = ":".join(sockets)
        if debug:
            environment["VSPC_LOG_LEVEL"] = "debug"

        self.is_logging = stderr is None
        reading, writing = (None, stderr) if stderr is not None else os.pipe()
        self.pid = spawn([*wrapper, VSPCD, f"--config={self.config_path}"], [s.fileno() for s in self.listeners],
                         writing, environment, nofile)
        for s in self.listeners if not passed else ():
            s.close()
        self.threads = [threading.Thread(target=self.collect_notifications, daemon=True)]
        if stderr is None:
            os.close(writing)
            self.threads.append(threading.Thread(target=self.collect_log, args=(reading,), daemon=True))
        for thread in self.threads:
            thread.start()

    def configure(self, *, console_log=None, tls=None, access=(), **config):
        sections = {"ConsoleLog": {"Journal": "no", **(console_log or {})}, "TLS": tls or {}}
        self.config = dict(config, console_log=console_log, tls=tls, access=access)
        with open(self.config_path, "w", encoding="utf-8") as f:
            f.write("[Concentrator]\nBackend=memory\n")
            f.writelines(f"{key}={value}\n" for key, value in config.items())
            for name, section in sections.items():
                f.write(f"[{name}]\n")
                f.writelines(f"{key}={value}\n" for key, value in section.items())
            f.writelines(f"[Access]\nWho={who}\nVMs={vms}\nMay={may}\n" for who, vms, may in access)

    def reload(self, **changes):
        self.configure(**{**self.config, **changes})
        since = len(self.notifications)
        self.signal(signal.SIGHUP)
        self.wait_notified("READY=1", since)
        return self.notifications[since:]

    def collect_log(self, fd):
        with os.fdopen(fd, "rb") as f:
            for line in f:
                self.append(self.log, line.decode("utf-8", "surrogateescape").rstrip("\n"))

    def collect_notifications(self):
        while True:
            select.select([self.notify], [], [])
            with self.notify_lock:
                message = self.notify.recv(4096)
            if not message:
                return
            for line in message.decode().split("\n"):
                self.append(self.notifications, line)

    @contextlib.contextmanager
    def stuck_systemd(self):
        """Its notifications are not read, and there is no room for more."""
        with self.notify_lock:
            fill_notifications(self.notify)
            yield

    def append(self, collection, line):
        with self.changed:
            collection.append(line)
            self.changed.notify_all()

    @contextlib.contextmanager
    def halted(self):
        """It is stopped, so that what is done meanwhile finds it in one round of its loop."""
        self.signal(signal.SIGSTOP)
        wait_for(lambda: "State:\tT" in self.proc("status"), "it to be stopped")
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def wait_change(self, predicate, what):
        """Like wait_for(), for what shows in the log or the notifications."""
        deadline = time.monotonic() + PATIENCE_SEC
        with self.changed:
            while True:
                result = predicate()
                if result:
                    return result
                left = deadline - time.monotonic()
                if left < 0:
                    raise AssertionError(f"waited in vain for {what}\n{recent_logs()}")
                self.changed.wait(left)

    def logged(self, pattern, since=0):
        """The first line logged that matches, as a match object."""
        return next(filter(None, (re.search(pattern, line) for line in self.log[since:])), None)

    def count_logged(self, pattern):
        return sum(1 for line in self.log[:] if re.search(pattern, line))

    def has_logged(self, pattern):
        """Whether it has been logged by now: the log comes late, so something that is logged for certain is awaited
        first."""
        with socket.create_connection(self.vm_address) as stranger:
            stranger.sendall(b"\xff\xfc\xe8")  # WONT 232
            self.wait_logged(f":{stranger.getsockname()[1]}: is not an ESXi host")
        return self.logged(pattern)

    def settle_log(self):
        """Waits for all that is logged by now, though it may be more than is logged of strangers."""
        since = len(self.log)
        self.reload()
        self.wait_logged("Configuration reloaded", since)

    def wait_logged(self, pattern, since=0):
        return self.wait_change(lambda: self.logged(pattern, since), f"a log line like {pattern}")

    def wait_notified(self, line, since=0):
        """A notification that is this line, or that begins with it if it ends with "="."""
        def find():
            return next((n for n in self.notifications[since:]
                         if n == line or (line.endswith("=") and n.startswith(line))), None)
        return self.wait_change(find, f"the notification {line}, having got {self.notifications[since:]}")

    def wait_status(self, text):
        def last():
            return next((n for n in reversed(self.notifications) if n.startswith("STATUS=")), "") == f"STATUS={text}"
        self.wait_change(last, f"STATUS={text}")

    def signal(self, number):
        os.kill(self.pid, number)

    def proc(self, name):
        with open(f"/proc/{self.pid}/{name}", encoding="ascii", errors="replace") as f:
            return f.read()

    def rss(self):
        return int(re.search(r"VmRSS:\s+(\d+) kB", self.proc("status"))[1]) * 1024

    def is_busy(self):
        """Whether it runs or waits for a processor, which may take long where many do. Otherwise it waits for something to
        happen, or is stopped."""
        return self.status is None and self.proc("stat").rsplit(")", 1)[1].split()[0] == "R"

    def cpu_seconds(self):
        fields = self.proc("stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        """Their numbers, and what they are, in the words of the kernel."""
        folder, found = f"/proc/{self.pid}/fd", set()
        for name in os.listdir(folder):
            try:
                found.add((name, os.readlink(os.path.join(folder, name))))
            except FileNotFoundError:
                pass  # closed since
        return found

    def wait_read(self, port, sender=None):
        """Waits until it has read all that has been sent to @port, or what @sender has."""
        def n_unread():
            if sender:
                return queued(sender.sock.getpeername(), sender.sock.getsockname())[0]
            sockets = [line.split() for line in self.proc("net/tcp").splitlines()]
            return sum(int(s[4].split(":")[1], 16) for s in sockets
                       if s[1].endswith(f":{port:04X}") and s[3] != "0A")  # that listens

        wait_for(lambda: n_unread() == 0, f"all that was sent to port {port} to be read")

    def n_unsent(self, receiver):
        """Bytes that it has sent to @receiver and that have not arrived, as far as the kernel knows of them."""
        return queued(receiver.sock.getpeername(), receiver.sock.getsockname())[1]

    def n_descriptors(self):
        return len(self.descriptors())

    def wait_exit(self):
        def ended():
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            return pid
        if self.status is None:
            wait_for(ended, "vspcd to exit")
        return self.status

    def end(self):
        """Ends it before the test does."""
        self.signal(signal.SIGTERM)
        return self.wait_exit()

    def kill(self):
        self.healthy = False
        self.signal(signal.SIGKILL)
        return self.wait_exit()

    def __enter__(self):
        running.append(self)
        if self.healthy:
            try:
                self.wait_notified("READY=1")
            except AssertionError:
                self.__exit__(None, None, None)
                raise
        return self

    def __exit__(self, *_):
        """Ends it, and says so if it was not well."""
        try:
            if self.status is None:
                self.signal(signal.SIGTERM)
            try:
                self.wait_exit()
            except AssertionError:
                self.signal(signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise
            self.notify.shutdown(socket.SHUT_RDWR)
            for thread in self.threads:
                thread.join(PATIENCE_SEC)
            reports = [i for i, line in enumerate(self.log)
                       if re.search(r"Sanitizer|runtime error:|Assertion .* failed", line)]
            if reports:
                raise AssertionError("\n".join(self.log[reports[0]:reports[0] + 60]))
            if self.healthy and self.status != 0:
                raise AssertionError(f"vspcd ended with status {self.status}\n{recent_logs()}")
        finally:
            running.remove(self)
            self.notify.close()
            if self.block:
                self.block.release()
            self.folder.cleanup()


main = tap.main
