# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspc-logger ends when it should not, is away for a while, or hears what it cannot understand: files have each byte once, the
journal has each line at least once, and what is missing is said."""

import os
import random
import re
import signal
import socket
import struct
import tempfile
import threading
import time

from harness import PATIENCE_SEC, SANITIZED, TestCase, main, wait_for
from log_cases import JournalCase, content, enter_namespace, path
from peers import TelnetClient, connected_vm
from varlink_peer import Caller

KILLS = 100
LAG_MAX = 256 * 1024  # bytes that are kept for a VM

# src/log/log-channel.h
HEADER = struct.Struct("=IHHQQQ")
HELLO, OPEN, DATA, GAP, CLOSE, ACK, CLOSED, ERROR = range(1, 9)
VERSION, TO_JOURNAL, TO_FILES = 1, 0, 1


class LoggerCase(JournalCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def start(self, *args, console_log=None, **kwargs):
        return super().start(*args, logger_env={"LOGS_DIRECTORY": self.folder},
                             console_log={"Files": "yes", **(console_log or {})}, **kwargs)

    def kill(self):
        n_ended = len(self.logger.statuses)
        self.logger.signal(signal.SIGKILL)
        self.logger.killed = True
        wait_for(lambda: len(self.logger.statuses) > n_ended, "it to have ended")

    def lines_once(self, journal, vm):
        """What the journal has of a VM, in the order of its positions and without what is there twice."""
        by_position = {}
        for entry in journal.entries(f"VSPC_VM_UUID={vm.id}"):
            at = entry["VSPC_EPOCH"], int(entry["VSPC_POSITION"])
            self.assertEqual(by_position.setdefault(at, entry["MESSAGE"]), entry["MESSAGE"], at)
        return [by_position[at] for at in sorted(by_position)]

    def wait_file(self, vm, said):
        wait_for(lambda: len(content(self.folder, vm)) >= len(said), f"{len(said)} bytes in the file of {vm.name}")


class Ended(LoggerCase):
    def test_killed_at_any_instant_it_leaves_files_exact_and_the_journal_complete(self):
        journal = self.journal()
        vspcd = self.start()
        vms = [connected_vm(vspcd, f"vm{i}") for i in range(4)]
        said = {vm: b"" for vm in vms}
        chance = random.Random(os.environ.get("SEED") or time.time_ns())

        def say(vm):
            line = b"%s %07d %s\r\n" % (vm.name.encode(), len(said[vm]), b"." * chance.randrange(1, 200))
            cut = chance.randrange(len(line))  # often within a line
            for part in (line[:cut], line[cut:]):
                if part:
                    vm.send(part)
            said[vm] += line

        for _ in range(KILLS):
            killed_after = chance.randrange(100)
            for i in range(100):
                say(chance.choice(vms))
                if i == killed_after:
                    time.sleep(chance.random() * 0.01)
                    self.kill()
            # Neither may be so far behind in the next round that something is not kept.
            for vm in vms:
                self.wait_file(vm, said[vm])
            last = {said[vm].decode().splitlines()[-1] for vm in vms if said[vm]}
            wait_for(lambda last=last: last <= set(journal.last_lines(2000)), "the journal to have caught up")

        for vm in vms:
            self.assertSameBytes(content(self.folder, vm), said[vm])
            lines = said[vm].decode().splitlines()
            wait_for(lambda vm=vm, lines=lines: len(self.lines_once(journal, vm)) >= len(lines), "all lines")
            self.assertEqual(self.lines_once(journal, vm), lines)
        self.assertGreaterEqual(self.logger.n_started, KILLS)

    def test_a_line_that_it_was_in_the_middle_of_is_whole(self):
        journal = self.journal()
        vspcd = self.start()
        vm, other = connected_vm(vspcd), connected_vm(vspcd)
        vm.send(b"be")
        self.wait_file(vm, b"be")
        other.send(b"hello\n")
        journal.wait_line(other, "hello")
        self.kill()
        vm.send(b"fore\n")
        wait_for(lambda: any(line.endswith("fore") for line in journal.lines(vm)), "the line")
        # A second may have passed on a busy machine.
        self.assertIn("before", ["".join(journal.lines(vm)), *journal.lines(vm)])

    def test_restarted_in_order_it_loses_and_doubles_nothing(self):
        journal = self.journal()
        vspcd = self.start()
        vm = connected_vm(vspcd)
        said = b""
        for i in range(20):
            line = b"line %d\n" % i
            vm.send(line)
            said += line
            self.wait_file(vm, said)
            n_ended = len(self.logger.statuses)
            self.logger.signal(signal.SIGTERM)
            wait_for(lambda: len(self.logger.statuses) > n_ended, "it to have ended")
        wait_for(lambda: len(self.lines_once(journal, vm)) == 20, "all lines")
        self.assertSameBytes(content(self.folder, vm), said)
        self.assertEqual(journal.lines(vm), said.decode().splitlines())

    def test_the_last_output_is_logged_or_said_to_be_missing_though_it_has_just_ended(self):
        self.journal()
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        said = b""
        for line in (b"one\n", b"two\n"):  # each by another vspc-logger: vspcd does not connect to the next one at once
            vm.send(line)
            said += line
            self.wait_file(vm, said)
            self.kill()
        vm.send(b"three\n")
        client.wait_data(b"three\n")
        vspcd.end()
        if not vspcd.logged("the last output of consoles is not logged"):
            self.assertEqual(content(self.folder, vm), said + b"three\n")

    def test_a_file_that_was_moved_away_meanwhile_is_not_written_again(self):
        self.journal()
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        vm.send(b"one\n")
        self.wait_file(vm, b"one\n")
        self.logger.listener.listen(0)
        self.kill()
        os.rename(path(self.folder, vm), path(self.folder, vm) + ".1")
        vm.send(b"two\n")
        client.wait_data(b"two\n")
        self.wait_file(vm, b"two\n")
        self.assertEqual(content(self.folder, vm), b"two\n")
        with open(path(self.folder, vm) + ".1", "rb") as f:
            self.assertEqual(f.read(), b"one\n")

    def test_what_was_said_while_it_was_away_for_long_is_logged_as_far_as_it_is_kept(self):
        journal = self.journal()
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        vm.send(b"begin\n")
        journal.wait_line(vm, "begin")
        self.wait_file(vm, b"begin\n")
        os.rename(self.socket_path, self.socket_path + ".away")
        self.kill()
        line = b"%08d " + b"." * 69 + b"\r\n"
        n = 4 * LAG_MAX // 80
        for i in range(n):
            vm.send(line % i)
            client.pump()
            client.data.clear()
        vm.send(b"end\n")
        client.wait_data(b"end\n")
        vspcd.wait_logged("Cannot log the output of consoles until vspc-logger can be reached")
        vspcd.wait_status("1 VM, 1 client, consoles cannot be logged: No such file or directory")
        os.rename(self.socket_path + ".away", self.socket_path)
        vspcd.wait_logged("vspc-logger can be reached again")
        vspcd.wait_status("1 VM, 1 client")

        journal.wait_line(vm, "end")
        lines = self.lines_once(journal, vm)
        missing = int(re.fullmatch(r"(\d+) bytes of console output were not logged", lines[1])[1])
        whole = [line for line in lines[2:-1] if len(line) == 78]
        self.assertEqual(whole, [(line % i).decode().strip() for i in range(n - len(whole), n)])
        self.assertGreaterEqual(len(whole) * 80, LAG_MAX // 2 - 80)
        kept = 80 * n + len(b"end\n") - missing
        wait_for(lambda: len(content(self.folder, vm)) == len(b"begin\n") + kept, "the file to have the rest")
        vspcd.wait_logged(rf"VM {vm.name} .*: {missing} bytes of its output are missing in {vm.name}-")

    def test_what_a_vm_has_said_is_logged_though_it_is_forgotten_before(self):
        journal = self.journal()
        vspcd = self.start(VMExpireSec="10ms")
        vm, other = connected_vm(vspcd), connected_vm(vspcd)
        other.send(b"begin\n")
        journal.wait_line(other, "begin")
        self.logger.signal(signal.SIGSTOP)
        vm.send(b"last words\n")
        vm.close()
        vspcd.wait_logged(rf"VM {vm.name} .*: has been gone for VMExpireSec=, forgetting it")
        self.logger.signal(signal.SIGCONT)
        journal.wait_lines(vm, ["last words"])
        self.wait_file(vm, b"last words\n")

    def forget_unlogged(self, vspcd, vm):
        since = len(vspcd.log)
        vm.close()
        vspcd.wait_logged(rf"VM {vm.name} .*: has been gone for VMExpireSec=, forgetting it", since)

    def test_whoever_is_told_that_it_is_forgotten_is_told_how_much_it_has_said(self):
        self.journal()
        vspcd = self.start(VMExpireSec="10ms")
        monitor = Caller(vspcd)
        monitor.monitor()
        vm = connected_vm(vspcd)
        vm.send(b"begin\n")
        self.wait_file(vm, b"begin\n")
        self.logger.signal(signal.SIGSTOP)
        vm.send(b"last words\n")
        self.forget_unlogged(vspcd, vm)
        for name in ("added", "connected", "disconnected"):
            monitor.wait_event(name)
        self.assertEqual(monitor.wait_event("removed")["vm"]["bytesReceived"], len(b"begin\nlast words\n"))
        self.logger.signal(signal.SIGCONT)

    def test_of_a_vm_that_is_forgotten_only_what_is_not_logged_is_kept(self):
        self.journal()
        vspcd = self.start(VMExpireSec="10ms", ScrollbackSize="16M")
        other = connected_vm(vspcd)
        other.send(b"begin\n")
        self.wait_file(other, b"begin\n")
        self.logger.signal(signal.SIGSTOP)
        before = vspcd.rss()
        for i in range(4):
            vm = connected_vm(vspcd, f"vm{i}")
            vm.send(bytes(16 << 20))
            self.forget_unlogged(vspcd, vm)
        if not SANITIZED:
            self.assertLess(vspcd.rss() - before, 32 << 20)
        self.logger.signal(signal.SIGCONT)

    def test_output_that_is_not_to_be_logged_is_not_kept_for_output_that_waits(self):
        self.journal()
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(b"begin\n")
        self.wait_file(vm, b"begin\n")
        self.logger.signal(signal.SIGSTOP)
        vm.send(b"waits\n")
        TelnetClient(vm).wait_data(b"waits")
        vspcd.reload(console_log={"Journal": "no", "Files": "no"})
        before = vspcd.rss()
        vm.send(bytes(64 << 20) + b"end\n")
        TelnetClient(vm).wait_data(b"end")
        if not SANITIZED:
            self.assertLess(vspcd.rss() - before, 32 << 20)
        self.logger.signal(signal.SIGCONT)


class Protocol(LoggerCase):
    """The test plays vspcd. Whoever has broken that can say what he likes."""

    def record(self, kind, data=b"", value=0, stream=1, position=0, count=0, size=None):
        return HEADER.pack(HEADER.size + len(data) if size is None else size, kind, value, stream, position, count) + data

    def open(self, name=b"vm", uuid=b"50120000-0000-0000-0000-000000000001", uri=b"s0", prefix=b"", mode=0o600, port=0,
             position=0, place=bytes(24)):
        head = struct.pack("=Q", 7) + place + struct.pack("=II", mode, port)
        return self.record(OPEN, head + b"".join(text + b"\0" for text in (name, uuid, uri, prefix)), position=position)

    def acknowledged(self, peer):
        """Returns: the position up to which something has been logged, and the place in the file that it has."""
        message = peer.recv(1000)
        size, kind, _, _, position, _ = HEADER.unpack_from(message)
        self.assertEqual((size, kind), (HEADER.size + 24, ACK))
        return position, message[HEADER.size:size]

    def one_file(self, ending="log"):
        (name,) = (name for name in os.listdir(self.folder) if name.endswith(ending))
        return os.path.join(self.folder, name)

    def assertFile(self, want, ending="log"):
        with open(self.one_file(ending), "rb") as f:
            self.assertEqual(f.read(), want)

    def write_unacknowledged(self, data):
        """vspc-logger ends when it has written, and before it can say so. Returns: the place that vspcd knows."""
        self.start_logger(env={"LOGS_DIRECTORY": self.folder})
        peer = self.connect(TO_FILES)
        peer.sendall(self.open() + self.record(DATA, data))
        position, place = self.acknowledged(peer)
        self.assertEqual(position, 0)  # before it writes anything into a file that vspcd does not know
        self.assertEqual(self.acknowledged(peer)[0], len(data))
        self.logger.killed = True
        self.logger.signal(signal.SIGKILL)
        return place

    def go_on(self, place, *records):
        peer = self.connect(TO_FILES)
        peer.sendall(self.open(place=place) + b"".join(records))
        peer.sendall(self.record(CLOSE, position=sum(struct.unpack_from("=I", r)[0] - HEADER.size for r in records) or 12))
        while HEADER.unpack_from(peer.recv(1000))[1] != CLOSED:
            pass

    def test_what_it_had_written_without_saying_so_is_not_written_again(self):
        place = self.write_unacknowledged(b"hello ")
        self.go_on(place, self.record(DATA, b"hel"), self.record(DATA, b"lo world", position=3))
        self.assertFile(b"hello world")

    def test_nor_is_it_if_the_file_has_been_rotated_since(self):
        place = self.write_unacknowledged(b"hello ")
        os.rename(self.one_file(), self.one_file() + ".1")
        self.go_on(place, self.record(DATA, b"hello world"))
        self.assertFile(b"hello ", "log.1")
        self.assertFile(b"world")

    def test_what_it_had_written_is_not_missing_though_it_is_not_kept_any_more(self):
        place = self.write_unacknowledged(b"hello ")
        self.go_on(place, self.record(GAP, count=12))
        self.assertFile(b"hello ")
        wait_for(lambda: any("6 bytes of its output are missing" in line for line in self.logger.log), "what is missing")

    def test_another_file_in_its_place_is_written_from_the_acknowledged_position_on(self):
        place = self.write_unacknowledged(b"hello ")
        os.unlink(self.one_file())
        self.go_on(place, self.record(DATA, b"hello world"))
        self.assertFile(b"hello world")

    def connect(self, sink):
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(peer.close)
        peer.settimeout(PATIENCE_SEC)
        peer.connect(self.socket_path)
        peer.sendall(self.record(HELLO, value=VERSION, count=sink))
        self.assertEqual(HEADER.unpack(peer.recv(1000))[1:3], (HELLO, VERSION))
        return peer

    def is_refused(self, *messages, sink=TO_FILES):
        """Whether the connection is closed for the last of these."""
        peer = self.connect(sink)
        try:
            for message in messages:
                peer.sendall(message)
            while peer.recv(1000):
                pass
            return True
        except (BrokenPipeError, ConnectionResetError):
            return True
        except TimeoutError:
            return False

    def test_what_is_not_the_protocol_ends_the_connection_and_nothing_else(self):
        self.start_logger(env={"LOGS_DIRECTORY": self.folder})
        data = self.record(DATA, b"hello")
        for messages in ([b"x"], [self.record(0)], [self.record(9)], [data], [self.open()[:-1]], [self.open(), self.open()],
                         [self.open(), self.record(DATA)], [self.open(), self.record(DATA, b"x", size=100)],
                         [self.open(), self.record(DATA, b"x", size=8)], [self.open(), self.record(DATA, b"x", position=1)],
                         [self.open(), self.record(GAP, count=1 << 63), self.record(GAP, position=1 << 63, count=1 << 63)],
                         [self.open(), self.record(CLOSE), data], [self.record(HELLO, value=VERSION, count=TO_FILES)],
                         [self.record(ACK, bytes(24))], [self.open() + b"x"], [self.open(mode=0o4755)],
                         [self.open(port=65536)], [self.open(name=b"x" * 9000)]):
            self.assertTrue(self.is_refused(*messages), messages)
        peer = self.connect(TO_FILES)
        peer.sendall(self.open() + data)
        self.assertEqual(HEADER.unpack_from(peer.recv(1000))[1], ACK)

    def test_connections_for_one_sink_are_served_one_after_another(self):
        """As when vspcd is started anew before all that the one before it has said is written."""
        self.start_logger(env={"LOGS_DIRECTORY": self.folder})
        first = self.connect(TO_FILES)
        first.sendall(self.open() + self.record(DATA, b"one"))
        self.assertEqual(HEADER.unpack_from(first.recv(1000))[1], ACK)  # only now it is certain to be the first
        second = self.connect(TO_FILES)
        second.sendall(self.open() + self.record(DATA, b"three"))
        first.sendall(self.record(DATA, b"two", position=3))
        first.shutdown(socket.SHUT_WR)
        while first.recv(1000):
            pass
        self.assertEqual(HEADER.unpack_from(second.recv(1000))[1], ACK)
        with open(self.one_file(), "rb") as f:
            self.assertRegex(f.read(), b"^onetwo(three)?$")

    def test_no_file_is_outside_of_the_folder(self):
        outside = self.enterContext(tempfile.TemporaryDirectory())
        self.start_logger(env={"LOGS_DIRECTORY": self.folder})
        data = self.record(DATA, b"hello")
        for uuid in (b"../../x", b"a/b", b"", b".", b"x" * 100):
            self.assertTrue(self.is_refused(self.open(uuid=uuid), data), uuid)
        for prefix in (b"../x", b"a/b", b".x", b"/"):
            self.assertTrue(self.is_refused(self.open(prefix=prefix), data), prefix)
        peer = self.connect(TO_FILES)
        peer.sendall(self.open(name=b"../" + outside.encode() + b"/x") + data)
        peer.recv(1000)
        self.assertEqual((len(os.listdir(self.folder)), os.listdir(outside)), (1, []))

    def test_a_uuid_that_is_none_is_refused_whatever_the_name_is(self):
        """The shorter the UUID, the more room would there be for the name."""
        self.start_logger(env={"LOGS_DIRECTORY": self.folder})
        uuid = b"50120000-0000-0000-0000-000000000001"
        for wrong in (b"a", uuid[:-1], uuid + b"0", uuid + b"~", uuid + b"~" + uuid[:-1], b"-" * len(uuid), b"~" * 73):
            self.assertTrue(self.is_refused(self.open(uuid=wrong, name=b"x" * 600)), wrong)
        peer = self.connect(TO_FILES)
        peer.sendall(self.open(uuid=uuid + b"~" + uuid, name=b"x" * 600) + self.record(DATA, b"hello"))
        self.acknowledged(peer)

    def test_another_version_is_refused_and_said(self):
        self.start_logger(env={})
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(peer.close)
        peer.settimeout(PATIENCE_SEC)
        peer.connect(self.socket_path)
        peer.sendall(self.record(HELLO, value=VERSION + 1))
        self.assertEqual(peer.recv(1000), b"")


class Impostor(TestCase):
    """The test plays vspc-logger. Whoever has broken that can say what he likes, too."""

    def setUp(self):
        super().setUp()
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-logger-")), "logger.socket")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(self.listener.close)
        self.listener.settimeout(PATIENCE_SEC)
        self.listener.bind(path)
        self.listener.listen()
        self.environment = {"VSPC_LOGGER_SOCKET": path}

    def accept(self):
        """Returns: the connection of vspcd's, once each has greeted the other."""
        peer = self.listener.accept()[0]
        self.addCleanup(peer.close)
        peer.settimeout(PATIENCE_SEC)
        self.assertEqual(HEADER.unpack_from(peer.recv(1000))[1], HELLO)
        peer.sendall(HEADER.pack(HEADER.size, HELLO, VERSION, 0, 0, 0))
        return peer

    def test_one_that_hears_nothing_and_will_not_stop_talking_keeps_nobody(self):
        vspcd = self.start(env=self.environment, console_log={"Journal": "yes"})
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        vm.send(b"begin\n")
        peer = self.accept()
        acks = 1100 * (HEADER.pack(HEADER.size + 24, ACK, 0, 1 << 63, 0, 0) + bytes(24))  # of what there has never been

        def talk():
            try:
                while True:
                    peer.sendall(acks)
            except OSError:
                pass

        peer.shutdown(socket.SHUT_RD)
        talkers = [threading.Thread(target=talk) for _ in range(8)]
        for talker in talkers:
            talker.start()
        vm.send(b"end\n")
        client.wait_data(b"end\n")
        for i in range(20):
            vm.send(b"again %d\n" % i)
            client.wait_data(b"again %d\n" % i)
        vspcd.signal(signal.SIGTERM)
        self.assertEqual(vspcd.wait_exit(), 0)
        for talker in talkers:
            talker.join()


if __name__ == "__main__":
    enter_namespace()
    main()
