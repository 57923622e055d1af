# SPDX-License-Identifier: LGPL-2.1-or-later

"""Whole systems: vspc-sim simulates ESXi and its guests, real programs are the clients, and every byte is checked."""

import hashlib
import json
import os
import pty
import random
import re
import select
import selectors
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from harness import PATIENCE_SEC, SANITIZED, VSPC_SIM, TestCase, clean_environment, main, recent_logs, wait_for
from peers import BINARY, DO, ECHO, SGA, WILL, RawClient, double, say

MEGABYTE = 1 << 20
BULK = int(os.environ.get("BULK_MB", "20" if SANITIZED else "100")) * MEGABYTE
SOAK_SEC = float(os.environ.get("SOAK_SEC", "20" if SANITIZED else "60"))
GUEST = os.environ.get("GUEST", "build/tests/e2e/guest")

CHUNKS = [random.Random(i).randbytes(MEGABYTE) for i in range(7)]


def bulk(n):
    """n bytes, always the same, a piece at a time."""
    for i in range(-(-n // MEGABYTE)):
        yield CHUNKS[i % len(CHUNKS)][:n - i * MEGABYTE]


def digest(pieces):
    h = hashlib.sha256()
    for piece in pieces:
        h.update(piece)
    return h.hexdigest()


class Simulator:
    def __init__(self, test, vspcd, *arguments, stdin=None):
        self.process = subprocess.Popen([VSPC_SIM, f"--connect=127.0.0.1:{vspcd.vm_address[1]}", "--json",
                                         *arguments], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=clean_environment())
        test.addCleanup(self.end)

    def report(self):
        """Its report, which it writes when it ends; asked to end if it has not done so by itself."""
        output, errors = self.process.communicate(timeout=PATIENCE_SEC + SOAK_SEC)
        try:
            report = json.loads(output)
        except ValueError as e:
            raise AssertionError(f"no report: {output!r} {errors!r}\n{recent_logs()}") from e
        assert not report["failed"] and report["violations"] == 0, (report, errors[-2000:])
        return report

    def stop(self):
        self.process.terminate()
        return self.report()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Hosts(TestCase):
    def test_each_host_has_an_address_of_its_own_and_vmotion_goes_to_the_next(self):
        vspcd = self.start()
        sim = Simulator(self, vspcd, "--count=4", "--hosts=3", "--vmotion=20ms", "--vmotions=8")
        for host in (1, 2, 3):
            vspcd.wait_logged(rf"connected from 127\.0\.0\.{host}:")
            vspcd.wait_logged(rf"has moved to 127\.0\.0\.{host}:")
        self.assertEqual(sim.report()["vmotions_completed"], 8)
        self.assertFalse(vspcd.logged(r"127\.0\.0\.4:"))


class OneVm(TestCase):
    def begin(self, *arguments, stdin=subprocess.PIPE, **config):
        self.vspcd = self.start(SlowClient="wait", **config)
        self.sim = Simulator(self, self.vspcd, "--name=guest", *arguments, stdin=stdin)
        self.vspcd.wait_logged("VM guest .*: connected from")
        self.port = self.vspcd.block.first

    def sink(self):
        folder = tempfile.TemporaryDirectory(prefix="vspc-e2e-")
        self.addCleanup(folder.cleanup)
        self.sink_path = os.path.join(folder.name, "sink")
        return f"--sink={self.sink_path}"

    def attach(self, telnet=False):
        """A blocking socket to the VM's console."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SEC)
        self.addCleanup(client.close)
        offers = b""
        while len(offers) < len(RawClient.OFFERS):
            offers += client.recv(len(RawClient.OFFERS) - len(offers))
        self.assertEqual(offers, RawClient.OFFERS)
        if telnet:
            client.sendall(say(DO, BINARY, SGA, ECHO) + say(WILL, BINARY, SGA))
        self.vspcd.wait_logged(f"client 127.0.0.1:{client.getsockname()[1]} connected")
        return client

    def in_background(self, function):
        thread = threading.Thread(target=function, daemon=True)
        thread.start()
        self.addCleanup(thread.join, PATIENCE_SEC)
        return thread

    def feed_guest(self, n):
        def feed():
            for piece in bulk(n):
                self.sim.process.stdin.write(piece)
            self.sim.process.stdin.flush()
        self.in_background(feed)

    def type_in(self, client, n, encode=bytes):
        def send():
            for piece in bulk(n):
                client.sendall(encode(piece))
        self.in_background(send)

    def assert_received(self, client, n, telnet=False):
        received, h, half = 0, hashlib.sha256(), b""
        while received < n:
            data = client.recv(MEGABYTE)
            self.assertTrue(data, f"closed after {received} bytes\n{recent_logs()}")
            if telnet:
                data = half + data
                # An odd number of 0xff at the end is half of a doubled one.
                odd = (len(data) - len(data.rstrip(b"\xff"))) % 2
                data, half = data[:len(data) - odd], data[len(data) - odd:]
                data = data.replace(b"\xff\xff", b"\xff")
            h.update(data)
            received += len(data)
        self.assertEqual((received, h.hexdigest()), (n, digest(bulk(n))))

    def assert_sunk(self, n):
        wait_for(lambda: os.path.getsize(self.sink_path) >= n,
                 lambda: f"{n} bytes in the sink, having {os.path.getsize(self.sink_path)}", PATIENCE_SEC * 4)
        with open(self.sink_path, "rb") as f:
            self.assertEqual((os.path.getsize(self.sink_path), digest(iter(lambda: f.read(MEGABYTE), b""))),
                             (n, digest(bulk(n))))


class Clean(OneVm):
    """8-bit clean, by the hash of many megabytes of all bytes."""

    def test_from_the_vm_to_a_raw_client(self):
        self.begin("--source=-", self.sink())
        client = self.attach()
        self.feed_guest(BULK)
        self.assert_received(client, BULK)

    def test_from_the_vm_to_a_telnet_client(self):
        self.begin("--source=-", self.sink())
        client = self.attach(telnet=True)
        self.feed_guest(BULK)
        self.assert_received(client, BULK, telnet=True)

    def test_from_a_telnet_client_to_the_vm(self):
        self.begin(self.sink())
        self.type_in(self.attach(telnet=True), BULK, double)
        self.assert_sunk(BULK)
        self.assertEqual(self.sim.stop()["bytes_received"], BULK)

    def test_from_a_raw_client_to_the_vm(self):
        self.begin(self.sink())
        self.type_in(self.attach(), BULK)
        self.assert_sunk(BULK)


class MigrationUnderLoad(OneVm):
    def test_nothing_is_lost_in_either_direction(self):
        n = BULK // 2
        self.begin("--source=-", self.sink(), "--vmotion=50ms", "--vmotions=40", f"--rate={n // 4}")
        client = self.attach()
        self.feed_guest(n)
        self.type_in(client, n)
        self.assert_received(client, n)
        self.assert_sunk(n)
        report = self.sim.stop()
        self.assertGreaterEqual(report["vmotions_completed"], 10)
        self.assertEqual((report["vmotions_failed"], report["connections_lost"]), (0, 0))
        self.vspcd.wait_change(lambda: self.vspcd.count_logged("has moved to") == report["vmotions_completed"],
                               f"{report['vmotions_completed']} moves in the log")

    def test_nothing_is_lost_if_every_second_one_is_aborted(self):
        n = BULK // 4
        self.begin("--source=-", self.sink(), "--vmotion=50ms", "--abort=2", f"--rate={n // 4}")
        client = self.attach()
        self.feed_guest(n)
        self.type_in(client, n)
        self.assert_received(client, n)
        self.assert_sunk(n)
        report = self.sim.stop()
        self.assertGreater(min(report["vmotions_completed"], report["vmotions_aborted"]), 2, report)

    def test_nothing_is_lost_if_each_message_comes_byte_by_byte(self):
        self.begin("--source=-", self.sink(), "--vmotion=100ms", "--split=1", "--notnow-goes-on")
        client = self.attach()
        self.feed_guest(100_000)
        self.type_in(client, MEGABYTE)
        self.assert_received(client, 100_000)
        self.assert_sunk(MEGABYTE)
        self.vspcd.wait_logged("vMotion refused: it is not known yet")
        self.vspcd.wait_logged("has moved to")
        self.sim.stop()


class RealPrograms(OneVm):
    def wait_output(self, fd, text, output=b""):
        deadline = time.monotonic() + PATIENCE_SEC
        while not re.search(text, output):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {text!r} in {output!r}\n{recent_logs()}")
            if select.select([fd], [], [], 0.1)[0]:
                output += os.read(fd, 65536)
        return output

    def test_a_shell_through_telnet_survives_migrations_in_the_middle_of_a_command(self):
        self.begin("--exec=PS1='guest# ' sh -i", "--vmotion=300ms", stdin=subprocess.DEVNULL)
        master, slave = pty.openpty()
        telnet = subprocess.Popen(["telnet", "127.0.0.1", str(self.port)], stdin=slave, stdout=slave, stderr=slave,
                                  start_new_session=True)
        os.close(slave)
        self.addCleanup(lambda: (telnet.kill(), telnet.wait(), os.close(master)))
        self.wait_output(master, rb"guest# ")
        os.write(master, b"echo prompt-$((20+3))\r")
        self.wait_output(master, rb"prompt-23")
        moved = self.vspcd.count_logged("has moved to")
        enough = os.path.join(self.vspcd.folder.name, "enough")
        os.write(master, b"i=0; while [ ! -e %s ]; do i=$((i+1)); echo line-$i; sleep 0.1; done; echo done-$((40+2))\r"
                 % enough.encode())
        output = self.wait_output(master, rb"line-1\r\n")
        self.vspcd.wait_change(lambda: self.vspcd.count_logged("has moved to") >= moved + 3, "three moves")
        with open(enough, "w", encoding="ascii"):
            pass
        output = self.wait_output(master, rb"done-42", output)
        lines = re.findall(rb"line-(\d+)\r\n", output)
        self.assertEqual([int(n) for n in lines], list(range(1, len(lines) + 1)))
        self.assertNotIn(b"[vspc:", output)
        os.write(master, b"echo still-$((1+1))\r")
        self.wait_output(master, rb"still-2")
        self.assertIsNone(telnet.poll())

    @unittest.skipUnless(shutil.which("gdb") and shutil.which("gdbserver"), "gdb or gdbserver is not installed")
    def test_gdb_debugs_through_a_vm_s_port(self):
        self.begin(f"--exec=exec gdbserver --once - {GUEST}", "--pipe", "--exec-once", stdin=subprocess.DEVNULL)
        gdb = subprocess.run(["gdb", "-batch", "-nx", "-ex", "set remotetimeout 30",
                              "-ex", f"target remote 127.0.0.1:{self.port}",
                              "-ex", "break reached", "-ex", "continue", "-ex", "print answer", "-ex", "finish",
                              "-ex", "print answer", "-ex", "kill", GUEST], capture_output=True, text=True,
                             timeout=120, check=False, stdin=subprocess.DEVNULL)
        self.assertRegex(gdb.stdout, r"Breakpoint 1, reached \(\)", gdb.stderr)
        self.assertIn("$1 = 6", gdb.stdout)
        self.assertIn("$2 = 42", gdb.stdout)


class Line:
    """vspc-sim's numbered line: name, number, text, of one length."""

    PATTERN = re.compile(rb"(\S+) +(\d{16}) the quick brown fox .*$", re.DOTALL)


class Follower:
    """A raw client that checks each line of one VM's output."""

    def __init__(self, port, name):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SEC)
        self.sock.setblocking(False)
        self.name = name.encode()
        self.pending, self.next, self.line_size = b"", None, 0
        self.skip = len(RawClient.OFFERS)

    def read(self):
        data = self.sock.recv(65536)
        if not data:
            raise AssertionError(f"client of {self.name} is closed\n{recent_logs()}")
        skipped = min(self.skip, len(data))
        self.skip -= skipped
        *lines, self.pending = (self.pending + data[skipped:]).split(b"\r\n")
        for line in lines:
            if self.next is None:
                self.next = -1  # the first is not whole
                continue
            found = Line.PATTERN.fullmatch(line)
            if not found or found[1] != self.name or self.next not in (-1, int(found[2])):
                raise AssertionError(f"{line!r} instead of line {self.next} of {self.name}\n{recent_logs()}")
            self.next, self.line_size = int(found[2]) + 1, len(line) + 2

    def total(self):
        """How many bytes this VM must have written by now."""
        return self.next * self.line_size + len(self.pending) if self.line_size else 0


def wait_ports(vspcd, name, n):
    """Until there are so many VMs of that name, with ports: a VM that has come again is not another one. Returns the
    ports by name."""
    ports, n_read = {}, 0

    def read():
        nonlocal n_read
        lines = vspcd.log[n_read:]
        n_read += len(lines)
        ports.update((found[1], int(found[2])) for line in lines
                     if (found := re.search(rf"VM ({name}-\d+) .*its clients use port (\d+)", line)))
        return len(ports) >= n

    vspcd.wait_change(read, f"{n} VMs")
    return ports


def follow_all(case, vspcd, sim, name, n_vms, enough=lambda: False):
    """Follows all @n_vms VMs of @sim, NAME-1 and so on, until that has ended, by itself or because this is enough, and
    every byte has come that it has sent.

    Returns: the followers, which are still connected, and the simulator's report."""
    ports = wait_ports(vspcd, name, n_vms)
    case.assertEqual(len(set(ports.values())), n_vms)

    followers = [Follower(port, vm) for vm, port in ports.items()]
    selector = selectors.DefaultSelector()
    for f in followers:
        case.addCleanup(f.sock.close)
        selector.register(f.sock, selectors.EVENT_READ, f)

    def read():
        for key, _ in selector.select(0.05):
            key.data.read()
        return sum(f.total() for f in followers)

    while sim.process.poll() is None and not enough():
        read()
    if sim.process.poll() is None:
        sim.process.terminate()
    while sim.process.poll() is None:
        read()
    report = sim.report()
    wait_for(lambda: read() >= report["bytes_sent"],
             lambda: f"{report['bytes_sent']} bytes in all, having {sum(f.total() for f in followers)}")
    case.assertEqual(sum(f.total() for f in followers), report["bytes_sent"])
    return followers, report


class Drops(TestCase):
    def test_vms_that_move_all_the_time_drop_their_connections_all_the_same(self):
        vspcd = self.start()
        sim = Simulator(self, vspcd, "--count=20", "--vmotion=1ms", "--drop=100ms", "--reconnect=10ms",
                        stdin=subprocess.DEVNULL)
        vspcd.wait_change(lambda: vspcd.count_logged("it was away for") >= 20, "VMs to be away")
        sim.process.terminate()
        self.assertGreaterEqual(sim.report()["connections_dropped"], 20)


class Soak(TestCase):
    N = 500

    def soak(self, vspcd, name, seconds, n_moved=0, n_dropped=0):
        """So long, and until so much has happened, and then until they are forgotten."""
        vspcd.reload(VMExpireSec="1d", VMotionTimeoutSec="60s")  # nothing runs out while they are there
        sim = Simulator(self, vspcd, f"--count={self.N}", f"--name={name}", "--rate=400", "--vmotion=3s",
                        "--drop=20s", "--reconnect=50ms", f"--for={seconds + 4 * PATIENCE_SEC:.0f}s",
                        stdin=subprocess.DEVNULL)
        began = time.monotonic()

        def count_dropped():
            """VMs that connect again in the middle of a vMotion have not been away."""
            return vspcd.count_logged(f"VM {name}-.*(it was away for|its connection from .* has ended)")

        def enough():
            return (time.monotonic() - began >= seconds and
                    vspcd.count_logged(f"VM {name}-.* has moved to") >= n_moved and count_dropped() >= n_dropped)

        followers, report = follow_all(self, vspcd, sim, name, self.N, enough)
        self.assertEqual(report["connections_lost"], 0)
        self.assertGreaterEqual(report["vmotions_completed"], n_moved)
        vspcd.settle_log()
        self.assertGreaterEqual(count_dropped(), n_dropped)
        self.assertFalse(vspcd.logged("misses output|reads too slowly"))

        vspcd.reload(VMExpireSec="1s", VMotionTimeoutSec="1s")
        for f in followers:
            f.sock.close()
        vspcd.wait_status("0 VMs, 0 clients")

    def test_many_vms_moving_and_vanishing_at_random(self):
        faults = self.faults()
        allocated = faults.offer_memory()
        vspcd = self.start(env=faults.env, ports=512, ClientBufferSize="256K")
        n_descriptors = vspcd.n_descriptors()

        def wait_forgotten():
            wait_for(lambda: vspcd.n_descriptors() <= n_descriptors,
                     lambda: f"{n_descriptors} descriptors again, having {vspcd.n_descriptors()}")

        # What is kept for the next time is there after the first.
        self.soak(vspcd, "first", 10)
        wait_forgotten()
        before = allocated()
        self.soak(vspcd, "second", SOAK_SEC, n_moved=3 * self.N, n_dropped=self.N // 5)
        wait_forgotten()
        self.assertLess(allocated() - before, MEGABYTE)


if __name__ == "__main__":
    main()
