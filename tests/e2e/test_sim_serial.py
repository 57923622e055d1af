# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspc-sim --serial: a VM's serial port is connected to that of a machine, which is a telnet server. The test
simulates the machine with plain bytes, as QEMU with "-serial telnet:…,server" behaves."""

import os
import random
import select
import socket
import subprocess
import tempfile
import time

from harness import PATIENCE_SEC, VSPC_SIM, TestCase, clean_environment, main, recent_logs, wait_for
from peers import (ALL_BYTES, BINARY, BRK, DO, DONT, ECHO, IAC, NOP, SB, SE, SGA, WILL, WONT, RawClient, TelnetClient,
                   TelnetPeer, double, say)
from test_sim import Simulator
from test_slow_clients import numbered, repeated, send_until_stuck

MEGABYTE = 1 << 20
# A receive buffer that is full soon
SMALL = 4096
# An option that vspc-sim does not know
UNKNOWN = 99


class Machine(TelnetPeer):
    """A machine's serial port, at which vspc-sim is the one who connects. It agrees to BINARY or not."""

    def __init__(self, server, *, binary=True):
        sock, address = server.accept()
        super().__init__(address, accepted=sock)
        self.binary = binary
        if binary:
            self.send_raw(say(WILL, ECHO, SGA, BINARY) + say(DO, BINARY))

    def on_negotiation(self, command, option):
        if option == BINARY and not self.binary:
            self.send_raw(say(WONT if command == DO else DONT, option))

    def send(self, data):
        """Serial output"""
        self.send_raw(double(data))


class Serial(TestCase):
    def port_without_listener(self):
        """Who connects there is refused, until listen() is called."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.settimeout(PATIENCE_SEC)
        sock.bind(("127.0.0.1", 0))
        return sock

    def begin(self, *arguments, listens=True, receive_buffer=None, **config):
        """listens: the machine's serial port does so from the start."""
        self.vspcd = self.start(SlowClient="wait", **config)
        self.server = self.port_without_listener()
        if receive_buffer:
            self.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if listens:
            self.server.listen()
        self.sim = Simulator(self, self.vspcd, "--name=guest", f"--serial=127.0.0.1:{self.server.getsockname()[1]}",
                             *arguments, stdin=subprocess.DEVNULL)
        self.said = b""
        self.vspcd.wait_logged("VM guest .*: connected from")
        self.port = self.vspcd.block.first

    def client(self, kind=RawClient, **kwargs):
        return kind(self, **kwargs)

    def machine(self, **kwargs):
        """The machine, as soon as vspc-sim has joined it and said what it has to say about telnet"""
        machine = Machine(self.server, **kwargs)
        for answer in (("will", BINARY), ("do", BINARY)) + ((("do", ECHO), ("do", SGA)) if machine.binary else ()):
            machine.wait_trace(answer)
        return machine

    def wait_said(self, text):
        """Until vspc-sim has logged that"""
        deadline = time.monotonic() + PATIENCE_SEC
        fd = self.sim.process.stderr.fileno()
        while text not in self.said:
            if time.monotonic() > deadline:
                raise AssertionError(f"vspc-sim has not said {text!r} but {self.said!r}\n{recent_logs()}")
            if select.select([fd], [], [], 0.1)[0]:
                self.said += os.read(fd, 65536)

    def rss(self):
        with open(f"/proc/{self.sim.process.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Bytes(Serial):
    def test_all_bytes_reach_the_client(self):
        self.begin()
        machine, client = self.machine(), self.client()
        data = ALL_BYTES * 300 + random.Random(1).randbytes(MEGABYTE)
        machine.send(data)
        client.wait_size(len(data))
        self.assertSameBytes(client.data, data)

    def test_all_bytes_reach_the_machine(self):
        self.begin()
        machine, client = self.machine(), self.client()
        data = ALL_BYTES * 300 + random.Random(2).randbytes(MEGABYTE // 8)
        client.send(data)
        machine.wait_size(len(data))
        self.assertSameBytes(machine.data, data)

    def test_nothing_is_lost_in_either_direction_while_the_vm_moves(self):
        self.begin("--vmotion=30ms", "--vmotions=10")
        machine, client = self.machine(), self.client()
        piece, sent = numbered(4000), 0
        while not sent or self.vspcd.count_logged("has moved to") < 10:
            machine.send(piece)
            client.send(piece)
            sent += len(piece)
            self.assertLess(sent, 64 * MEGABYTE, "too few moves")
            client.wait_size(sent)
            machine.wait_size(sent)
        # It does not end with the last one.
        machine.send(piece)
        client.wait_size(sent := sent + len(piece))
        self.assertSameBytes(client.data, repeated(piece, sent))
        self.assertSameBytes(machine.data, repeated(piece, sent - len(piece)))


class Telnet(Serial):
    def test_what_belongs_to_telnet_is_not_data(self):
        self.begin()
        machine, client = self.machine(), self.client()
        machine.send_bytewise(b"one" + say(WILL, UNKNOWN) + b"two" + bytes([IAC, SB, UNKNOWN, 1, IAC, IAC, 2, IAC, SE]) +
                              b"three" + bytes([IAC, NOP]) + b"four" + say(DO, SGA) +
                              bytes([IAC, SB, UNKNOWN]) + b"long" * 1000 + bytes([IAC, SE]) + b"five")
        client.wait_data(b"five")
        self.assertSameBytes(client.data, b"onetwothreefourfive")

    def test_options_are_answered(self):
        self.begin()
        machine = self.machine()
        machine.send_raw(say(WILL, UNKNOWN) + say(DO, UNKNOWN))
        machine.wait_trace(("wont", UNKNOWN))
        self.assertEqual(sorted(machine.trace), [("do", BINARY), ("do", ECHO), ("do", SGA), ("dont", UNKNOWN),
                                                 ("will", BINARY), ("wont", UNKNOWN)])

    def test_without_binary_a_carriage_return_is_what_telnet_makes_of_it(self):
        self.begin()
        machine, client = self.machine(binary=False), self.client()
        machine.send(b"a\r\0b\r\nc")
        client.wait_data(b"c")
        self.assertSameBytes(client.data, b"a\rb\r\nc")
        client.send(b"\r")
        machine.wait_data(b"\r\0")
        client.send(b"d\r\ne")
        machine.wait_data(b"e")
        self.assertSameBytes(machine.data, b"\r\0d\r\ne")

    def test_a_break_reaches_the_machine_between_the_bytes_that_it_was_typed_between(self):
        self.begin()
        machine, client = self.machine(), self.client(TelnetClient)
        client.send_raw(b"before" + bytes([IAC, BRK]) + b"after")
        machine.wait_data(b"after")
        self.assertEqual([item for item in machine.trace if item[0] not in ("will", "do")],
                         [b"before", ("command", BRK), b"after"])


class Slow(Serial):
    def test_what_a_machine_does_not_read_waits_for_it_and_so_does_a_break(self):
        self.begin(receive_buffer=SMALL)
        machine, client = self.machine(), self.client(TelnetClient)
        rss = self.rss()
        keys = numbered(4 * MEGABYTE)
        sent = send_until_stuck(client, keys)
        self.assertLess(self.rss() - rss, 16 * MEGABYTE)

        rest = memoryview(bytes([IAC, BRK]) + b"!")

        def send_rest():
            nonlocal rest
            machine.pump()
            rest = rest[client.send_some(rest):]
            return not rest and machine.data.endswith(b"!")

        wait_for(send_rest, lambda: f"the break after {sent} bytes, {len(machine.data)} came")
        self.assertSameBytes(machine.data, repeated(keys, sent) + b"!")
        self.assertEqual(machine.trace[-2:], [("command", BRK), b"!"])

    def test_output_that_nobody_takes_waits_in_the_machine(self):
        self.begin(ClientBufferSize="64K")
        machine, client = self.machine(), self.client(receive_buffer=SMALL)
        rss = self.rss()
        output = numbered(4 * MEGABYTE)
        sent = send_until_stuck(machine, output)
        self.assertLess(self.rss() - rss, 16 * MEGABYTE)
        client.wait_size(sent)
        self.assertSameBytes(client.data, repeated(output, sent))

    def test_a_machine_that_asks_on_and_on_and_reads_no_answer_is_left_and_joined_anew(self):
        self.begin(receive_buffer=SMALL)
        machine, client = self.machine(), self.client()
        rss = self.rss()
        with self.assertRaises(ConnectionError):
            send_until_stuck(machine, say(WILL, UNKNOWN) * (MEGABYTE // 3), quiet=PATIENCE_SEC)
        self.assertLess(self.rss() - rss, 16 * MEGABYTE)
        self.machine().send(b"here again")
        client.wait_data(b"here again")


class Absent(Serial):
    def test_a_machine_may_come_after_the_vm(self):
        self.begin(listens=False)
        self.wait_said(b"No machine yet")
        self.server.listen()
        machine, client = self.machine(), self.client()
        machine.send(b"booting")
        client.wait_data(b"booting")

    def test_a_machine_may_go_and_come_back(self):
        self.begin()
        client = self.client()
        for words in (b"first", b"second", b"third"):
            machine = self.machine()
            machine.send(words)
            client.wait_data(words)
            client.send(words)
            machine.wait_data(words)
            machine.close()
        self.assertSameBytes(client.data, b"firstsecondthird")
        self.assertEqual(self.vspcd.count_logged("connected from"), 1)

    def test_it_is_joined_and_joined_again_even_while_there_is_no_concentrator(self):
        self.server = self.port_without_listener()
        self.server.listen()
        sim = subprocess.Popen([VSPC_SIM, f"--connect=127.0.0.1:{self.port_without_listener().getsockname()[1]}",
                                f"--serial=127.0.0.1:{self.server.getsockname()[1]}"], env=clean_environment(),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (sim.kill(), sim.wait()))
        for _ in range(3):
            self.server.accept()[0].close()

    def test_its_last_words_are_heard(self):
        self.begin()
        client = self.client()
        last_words = numbered(MEGABYTE)
        for words in (last_words, b"[here again]"):
            machine = self.machine()
            machine.send(words)
            machine.close()
        client.wait_data(b"[here again]")
        self.assertSameBytes(client.data, last_words + b"[here again]")

    def test_what_is_typed_while_it_is_away_is_lost(self):
        with tempfile.TemporaryDirectory(prefix="vspc-e2e-") as folder:
            sink = os.path.join(folder, "sink")
            self.begin(f"--sink={sink}", listens=False)
            client = self.client(TelnetClient)
            client.send_raw(b"lost" + bytes([IAC, BRK]) + b".")
            wait_for(lambda: os.path.getsize(sink) == len(b"lost."), "what was typed to have come")
            self.server.listen()
            machine = self.machine()
            self.wait_said(b"Joined")
            client.send(b"kept")
            machine.wait_data(b"kept")
            self.assertSameBytes(machine.data, b"kept")
            self.assertNotIn(("command", BRK), machine.trace)


class Options(TestCase):
    def assert_refused(self, why, *arguments):
        result = subprocess.run([VSPC_SIM, "--serial=127.0.0.1:4444", *arguments], capture_output=True, text=True,
                                env=clean_environment(), stdin=subprocess.DEVNULL, timeout=PATIENCE_SEC, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(why, result.stderr)

    def test_what_does_not_go_with_it_is_refused(self):
        for argument, why in (("--exec=cat", "not several of them"), ("--rate=max", "not several of them"),
                              ("--source=/dev/null", "not several of them"), ("--count=2", "leave out --count"),
                              ("--dead", "--dead reads nothing"), ("--serial=4444", "is not an address and a port")):
            with self.subTest(argument):
                self.assert_refused(why, argument)


if __name__ == "__main__":
    main()
