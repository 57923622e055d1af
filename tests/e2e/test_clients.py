# SPDX-License-Identifier: LGPL-2.1-or-later

"""Clients of a VM's console: telnet or raw, alone or with others, with their VM connected or not."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from harness import PATIENCE_SEC, TestCase, main, recent_logs, wait_for
from peers import (ALL_BYTES, AYT, BINARY, BRK, DO, DONT, ECHO, IAC, NOP, SGA, WILL, WONT, EsxiVm, Peer, RawClient,
                   TelnetClient, TelnetPeer, connected_vm, migration_target, say, sub)
from test_slow_clients import send_until_stuck
from varlink_peer import disconnect, wait_away

DETECTION_SEC = 0.5
HELD_MAX = 1 << 20  # what waits for the end of a vMotion


def unsent(peer):
    """Bytes that the other end's kernel has not got yet."""
    return struct.unpack("i", fcntl.ioctl(peer.sock, termios.TIOCOUTQ, bytes(4)))[0]


def wait_raw(vm, client):
    """A raw client gets its first byte once it is known that it will not speak telnet."""
    vm.send(b"<raw?>")
    client.wait_data(b"<raw?>")


class Program:
    """A real program: on a terminal (pty), or with pipes."""

    def __init__(self, *argv, terminal=False, new_session=True):
        if terminal:
            self.fd, slave = pty.openpty()
            self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave,
                                            start_new_session=new_session)
            os.close(slave)
            self.input = self.fd
        else:
            self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.fd, self.input = self.process.stdout.fileno(), self.process.stdin.fileno()
        self.output = b""

    def type(self, data):
        os.write(self.input, data)

    def wait_output(self, text):
        deadline = time.monotonic() + PATIENCE_SEC
        while text not in self.output:
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain for {text!r} in {self.output!r}\n{recent_logs()}")
            if select.select([self.fd], [], [], 0.1)[0]:
                self.output += os.read(self.fd, 65536)

    def end(self):
        self.process.kill()
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()
            self.process.stdout.close()
        else:
            os.close(self.fd)


class Telnet(TestCase):
    ANSWERS = say(DO, BINARY, SGA, ECHO) + say(WILL, BINARY, SGA)

    def test_what_a_client_is_offered(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm)
        self.assertEqual(client.trace, [("will", BINARY), ("will", SGA), ("will", ECHO), ("do", BINARY), ("do", SGA)])

    def test_scrollback_is_replayed(self):
        vspcd = self.start(ScrollbackSize=100)
        vm = connected_vm(vspcd)
        vm.send(b"-" * 50 + bytes(range(100, 200)))
        first = TelnetClient(vm)
        first.wait_data(bytes(range(100, 200)))
        vm.send(b"!")
        first.wait_data(b"!")
        second = TelnetClient(vm)
        second.wait_data(b"!")
        self.assertSameBytes(second.data, bytes(range(101, 200)) + b"!")

    def test_all_bytes_in_both_directions(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm)
        blob = ALL_BYTES * 16 + bytes(reversed(ALL_BYTES)) + b"\xff" * 999 + b"\r\n\r\0\r\r\n"
        vm.send(blob)
        client.wait_size(len(blob))
        self.assertSameBytes(client.data, blob)
        client.send(blob)
        vm.wait_size(len(blob))
        self.assertSameBytes(vm.data, blob)

    def test_without_binary_a_carriage_return_is_followed_by_nul_or_lf(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm, binary=False)
        vm.send(b"a\r\nb\rc\n\r\r\nd\xffe\r")
        vm.send(b"f")
        client.wait_data(b"f")
        self.assertSameBytes(client.data, b"a\r\nb\r\0c\n\r\0\r\nd\xffe\r\0f")

    def test_without_binary_enter_is_a_carriage_return(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm, binary=False)
        client.send(b"one\r\ntwo\r\0three\nend")
        vm.wait_data(b"end")
        self.assertSameBytes(vm.data, b"one\rtwo\rthree\nend")

    def test_a_vm_without_binary_gets_nvt(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd)
        vm.send_raw(say(DONT, BINARY) + say(WONT, BINARY) + say(DO, SGA, ECHO) + say(WILL, SGA, 232))
        vm.send_raw(vm.do_proxy() + vm.vc_uuid() + vm.vm_name())
        vm.wait_connected()
        client = TelnetClient(vm)
        client.send(b"x\ry")
        vm.wait_data(b"y")
        self.assertSameBytes(vm.data, b"x\r\0y")
        vm.send_raw(b"1\r\0002\r\n3")
        client.wait_data(b"3")
        self.assertSameBytes(client.data, b"1\r2\r\n3")

    def test_a_client_that_refuses_everything_is_a_telnet_client_still(self):
        vm = connected_vm(self.start())
        vm.send(b"old ")
        client = TelnetClient(vm, binary=False, options=())
        vm.send(b"new")
        client.wait_data(b"old new")

    def test_a_client_may_take_binary_back(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm)
        vm.send(b"a\rb")
        client.wait_data(b"a\rb")
        client.send_raw(say(DONT, BINARY))
        client.wait_trace(("wont", BINARY))
        vm.send(b"c\rd")
        client.wait_data(b"c\r\0d")

    def test_refused_options_are_not_negotiated_in_a_loop(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm, binary=False, options=())
        for _ in range(50):
            client.send_raw(say(DONT, BINARY, SGA, ECHO) + say(WONT, BINARY, SGA))
        vm.send(b"quiet")
        client.wait_data(b"quiet")
        self.assertEqual(len([t for t in client.trace if not isinstance(t, bytearray)]), 5, client.trace)

    def test_unknown_options_are_refused(self):
        client = TelnetClient(connected_vm(self.start()))
        client.send_raw(say(DO, 24, 255) + say(WILL, 31, ECHO))
        for answer in (("wont", 24), ("wont", 255), ("dont", 31), ("dont", ECHO)):
            client.wait_trace(answer)

    def test_break_reaches_the_vm_in_its_place(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm)
        client.send_raw(b"before" + bytes([IAC, BRK]) + b"after")
        vm.wait_data(b"beforeafter")
        self.assertEqual(vm.trace[-3:], [bytearray(b"before"), ("command", BRK), bytearray(b"after")])

    def test_are_you_there_is_answered(self):
        vm = connected_vm(self.start(), "web01")
        client = TelnetClient(vm)
        client.send_raw(bytes([IAC, AYT]))
        client.wait_data(b"[vspc: yes, VM web01 is connected]\r\n")
        self.assertEqual(vm.data, b"")

    def test_commands_split_at_each_byte(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm)
        client.send_bytewise(b"a\xff\xffb" + bytes([IAC, BRK]) + say(WILL, 31) + b"c")
        vm.wait_data(b"a\xffbc")
        self.assertIn(("command", BRK), vm.trace)

    def test_what_is_typed_before_the_negotiation_is_typed_and_the_negotiation_is_not(self):
        """A fast typist or a script: data and the answers to our offers arrive in one read."""
        vm = connected_vm(self.start())
        for _ in range(3):
            client = TelnetPeer(("127.0.0.1", vm.port))
            answers = say(DO, BINARY, SGA, ECHO) + say(WILL, BINARY, SGA)
            client.send_raw(b"typed ahead\r\n" + answers)
            vm.send(b"\xff\r#")
            client.wait_data(b"\xff\r#")
            client.send_raw(b"<end>")
            vm.wait_data(b"<end>")
            self.assertEqual(vm.take(), b"typed ahead\r<end>")
            client.close()

    def type_ahead(self, vm, text):
        """Returns: a telnet program's connection, whose user has begun to type before it answers our offers."""
        client = TelnetPeer(("127.0.0.1", vm.port))
        client.send_raw(text)
        vm.wait_data(text)
        return client

    def test_answers_that_come_after_the_first_keys_are_answers(self):
        """A slow line: the first keys are there long before the offers are answered, and more come with the answers."""
        for answers in (self.ANSWERS, say(DO, SGA) + say(WILL, 31) + say(DO, ECHO)):
            vm = connected_vm(self.start())
            client = self.type_ahead(vm, b"typed")
            client.send_raw(answers + b" ahead")
            vm.wait_data(b" ahead")
            self.assertEqual(vm.take(), b"typed ahead")
            vm.send(b"#")
            client.wait_data(b"#")
            client.send_raw(bytes([IAC, BRK]) + b" and on")
            vm.wait_data(b" and on")
            self.assertEqual(vm.take(), b" and on")

    def test_so_are_answers_behind_more_keys(self):
        """The first key goes out alone, the next ones wait for its acknowledgement (RFC 896), and so do the answers."""
        vm = connected_vm(self.start())
        client = self.type_ahead(vm, b"t")
        client.send_raw(b"yped" + self.ANSWERS + b" ahead")
        vm.wait_data(b" ahead")
        self.assertEqual(vm.take(), b"typed ahead")

    def test_so_are_answers_after_a_key_that_had_to_wait_for_the_vm(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        filler = RawClient(vm)
        n = send_until_stuck(filler, b"f" * 65536)
        client = TelnetPeer(("127.0.0.1", vm.port))
        client.send_raw(b"typed")
        vspcd.wait_read(vm.port, client)
        vm.wait_size(n)
        client.send_raw(self.ANSWERS + b" ahead")
        vm.wait_data(b" ahead")
        self.assertEqual(bytes(vm.data).replace(b"f", b""), b"typed ahead")

    def test_so_are_answers_that_are_cut_within_one(self):
        for late in (False, True):
            vspcd = self.start()
            vm = connected_vm(vspcd)
            client = self.type_ahead(vm, b"typed")
            if late:
                wait_raw(vm, client)
            client.send_raw(self.ANSWERS[:5])
            vspcd.wait_read(vm.port)
            client.send_raw(self.ANSWERS[5:] + b" ahead")
            vm.wait_data(b" ahead")
            self.assertEqual(vm.take(), b"typed ahead")

    def test_so_are_answers_that_come_while_there_is_hardly_room_for_them(self):
        """What waits for a vMotion has a bound, and no more is read than it has room for."""
        vspcd = self.start()
        vm = connected_vm(vspcd)
        filler = RawClient(vm)
        secret = vm.begin(b"\0\0\0\1")
        filler.send(b"f" * (HELD_MAX - len(b"typed") - 8))
        wait_for(lambda: unsent(filler) == 0, "all of it to be with vspcd")
        vspcd.wait_read(vm.port)
        client = TelnetPeer(("127.0.0.1", vm.port))
        for part in (b"typed", self.ANSWERS, b" ahead"):
            client.send_raw(part)
            vspcd.wait_read(vm.port)
        target = migration_target(vm).peer(b"\0\0\0\1", secret)
        target.complete(b"\0\0\0\1")
        target.wait_data(b" ahead")
        self.assertEqual(bytes(target.data).replace(b"f", b""), b"typed ahead")

    def test_an_overlong_subnegotiation_is_closed(self):
        vspcd = self.start()
        client = TelnetClient(connected_vm(vspcd))
        client.send_raw(bytes([IAC, 250, 24]) + b"t" * 1025)
        client.wait_closed()
        vspcd.wait_logged(f"{client.local_port} sent a subnegotiation of more than 1024 bytes")


class Raw(TestCase):
    def test_no_scrollback_but_all_that_came_since(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(b"old")
        TelnetClient(vm).wait_data(b"old")
        raw = RawClient(vm)
        vm.send(b"new")
        raw.wait_data(b"new")
        self.assertSameBytes(raw.data, b"new")

    def test_nothing_but_the_offers_until_it_is_decided(self):
        """A client that might still speak telnet must not be sent data that would have to be escaped."""
        vm = connected_vm(self.start())
        began = time.monotonic()
        raw = RawClient(vm)
        vm.send(b"\xff")
        raw.wait_data(b"\xff")
        self.assertGreaterEqual(time.monotonic() - began, DETECTION_SEC - 0.02)

    def test_its_keys_do_not_wait_for_the_decision(self):
        vm = connected_vm(self.start())
        raw = RawClient(vm)
        raw.send(b"+$qSupported#37")
        vm.wait_data(b"+$qSupported#37")
        self.assertEqual(bytes(raw.data), b"")

    def test_all_bytes_in_both_directions(self):
        vm = connected_vm(self.start())
        raw = RawClient(vm)
        wait_raw(vm, raw)
        blob = b"begin" + ALL_BYTES * 16 + bytes(reversed(ALL_BYTES)) + b"\xff" * 999 + b"\r\n\r\0\r\r\n"
        vm.send(blob)
        raw.wait_size(6 + len(blob))
        self.assertSameBytes(raw.data, b"<raw?>" + blob)
        raw.send(blob)
        vm.wait_size(len(blob))
        self.assertSameBytes(vm.data, blob)

    def test_once_it_has_sent_data_more_of_it_that_looks_like_an_answer_is_data(self):
        """One read in 1.7 million of binary data begins like an answer to one of five offers."""
        for sooner_or_later in (lambda raw: None, lambda raw: wait_raw(vm, raw)):
            vm = connected_vm(self.start())
            raw = RawClient(vm)
            sooner_or_later(raw)
            raw.send(b"data")
            vm.wait_data(b"data")
            raw.send(say(DO, ECHO) + b"more\xff\xff")
            vm.wait_data(b"more\xff\xff")
            self.assertEqual(vm.take(), b"data" + say(DO, ECHO) + b"more\xff\xff")

    def test_nor_is_what_it_begins_with_an_answer_after_half_a_second(self):
        """UTF-16 with a byte order mark, of a Cyrillic text"""
        vm = connected_vm(self.start())
        raw = RawClient(vm)
        wait_raw(vm, raw)
        text = "\ufeffЁлка 1\r\n".encode("utf-16-le")
        raw.send(text)
        vm.wait_data("1\r\n".encode("utf-16-le"))
        self.assertEqual(vm.take(), text)

    def test_a_lone_0xff_within_the_first_half_second_is_data_in_the_end(self):
        vm = connected_vm(self.start())
        raw = RawClient(vm)
        raw.send(b"\xff")
        vm.wait_data(b"\xff")

    def test_no_notices(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        raw = RawClient(vm)
        wait_raw(vm, raw)
        vm.close()
        vspcd.wait_status("0 VMs, 1 client")
        again = connected_vm(vspcd, vm.name, digits=vm.digits)
        again.send(b"back")
        raw.wait_data(b"back")
        self.assertSameBytes(raw.data, b"<raw?>back")

    def test_telnet_may_come_late(self):
        """A person types "nc", another one takes over with a telnet program behind a slow proxy."""
        vm = connected_vm(self.start())
        client = TelnetClient(vm, options=(), settle=False)
        client.pump = lambda limit=0: 0  # it does not answer yet
        before = RawClient(vm)
        wait_raw(vm, before)  # half a second has passed for both
        del client.pump
        client.wait_data(b"<raw?>")
        client.send_raw(say(DO, SGA))
        vm.send(b"late\xff")
        client.wait_data(b"late\xff")
        self.assertSameBytes(client.data, b"<raw?>late\xff")  # what it has had already does not come again
        client.send(b"x\xffy")
        vm.wait_data(b"x\xffy")
        client.send_raw(bytes([IAC, BRK]))
        vm.wait_trace(("command", BRK))

    def test_late_telnet_without_output_so_far_gets_the_scrollback(self):
        vm = connected_vm(self.start())
        vm.send(b"history")
        TelnetClient(vm).wait_data(b"history")
        late = Peer(("127.0.0.1", vm.port))
        late.wait(lambda: len(late.raw) >= len(RawClient.OFFERS), "the offers")
        began = time.monotonic()
        wait_for(lambda: time.monotonic() - began > DETECTION_SEC + 0.2, "half a second to pass")
        late.send_raw(say(DO, BINARY, SGA, ECHO) + say(WILL, BINARY, SGA))
        late.wait(lambda: late.raw.endswith(b"history"), "the scrollback")


class Uploads(TestCase):
    def test_what_a_raw_client_uploads_is_not_taken_for_telnet_where_a_read_happens_to_end(self):
        """Its VM takes it bit by bit, so vspcd reads it bit by bit: all are nothing but commands, none is all of it."""
        vm = connected_vm(self.start())
        filler, client = RawClient(vm), RawClient(vm)
        vm.send(b"ready")
        client.wait_data(b"ready")
        filled = send_until_stuck(filler, b"f" * 65536)
        upload = bytes([IAC, NOP]) * 30000
        client.send_raw(upload)
        wait_for(lambda: unsent(client) == 0, "all of it to be with vspcd")
        vm.wait_size(filled + len(upload))
        self.assertSameBytes(bytes(vm.data).replace(b"f", b""), upload)
        self.assertSameBytes(client.data, b"ready")

    def test_nor_is_what_it_uploads_at_once(self):
        """In the half second in which it may still show that it speaks telnet."""
        vm = connected_vm(self.start())
        client = RawClient(vm)
        client.send(b"data")
        vm.wait_data(b"data")
        upload = bytes([IAC, NOP]) * 1_000_000
        client.send(upload)
        vm.wait_size(len(b"data" + upload))
        self.assertSameBytes(vm.data, b"data" + upload)

    def test_nor_is_what_it_uploads_in_pieces(self):
        """A packet at a time: each is read whole."""
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = RawClient(vm)
        pieces = [b"data"] + [bytes([IAC, NOP]) * 700] * 20
        for piece in pieces:
            client.send(piece)
            vspcd.wait_read(vm.port)
        vm.wait_size(len(b"".join(pieces)))
        self.assertSameBytes(vm.data, b"".join(pieces))


class Many(TestCase):
    def test_all_see_the_same(self):
        vm = connected_vm(self.start())
        clients = [TelnetClient(vm) for _ in range(4)] + [RawClient(vm) for _ in range(4)]
        blob = ALL_BYTES * 40
        vm.send(blob)
        for client in clients:
            client.wait_size(len(blob))
            self.assertSameBytes(client.data, blob)

    def test_the_limit(self):
        vspcd = self.start(ClientLimit=2)
        vm = connected_vm(vspcd)
        first, _ = TelnetClient(vm), RawClient(vm)
        third = Peer(("127.0.0.1", vm.port))
        third.wait_closed()
        self.assertEqual(bytes(third.raw), b"[vspc: refused, this VM has 2 clients already]\r\n")
        vspcd.wait_logged(rf"client 127\.0\.0\.1:{third.local_port} refused: .*ClientLimit=")
        first.close()
        vspcd.wait_status("1 VM, 1 client")
        TelnetClient(vm)
        TelnetClient(connected_vm(vspcd))  # the limit is each VM's own

    def test_input_of_two_clients_is_interleaved_line_by_line(self):
        vm = connected_vm(self.start())
        a, b = TelnetClient(vm), TelnetClient(vm)
        lines = 300
        for i in range(lines):
            a.send(b"<a%03d>" % i)
            b.send(b"<b%03d>" % i)
        vm.wait_size(6 * 2 * lines)
        tokens = [bytes(vm.data[i:i + 6]) for i in range(0, len(vm.data), 6)]
        for who in b"ab":
            self.assertEqual([t for t in tokens if t[1] == who], [b"<%c%03d>" % (who, i) for i in range(lines)])

    def test_output_around_a_message_of_the_host_is_whole(self):
        vm = connected_vm(self.start(ScrollbackSize=0))
        telnet, raw = TelnetClient(vm), RawClient(vm)
        wait_raw(vm, raw)
        output = bytes(range(250)) * 200
        for n in range(1, 6):
            vm.send_raw(output + sub(99) + output)
            raw.wait_size(len(b"<raw?>") + n * 2 * len(output))
            telnet.wait_size(len(b"<raw?>") + n * 2 * len(output))
        self.assertSameBytes(raw.data, b"<raw?>" + output * 10)
        self.assertSameBytes(telnet.data, b"<raw?>" + output * 10)

    def test_a_client_that_dies_in_the_middle_of_output_costs_the_others_nothing(self):
        vspcd = self.start(ScrollbackSize=0)
        vm = connected_vm(vspcd)
        doomed = [TelnetClient(vm) for _ in range(20)]
        raw = RawClient(vm)
        wait_raw(vm, raw)
        output = bytes(range(250)) * 400
        for n, client in enumerate(doomed, 1):
            client.abort()
            vm.send_raw(output)
            raw.wait_size(len(b"<raw?>") + n * len(output))
        self.assertSameBytes(raw.data, b"<raw?>" + output * len(doomed))

    def test_clients_of_one_vm_are_no_clients_of_another(self):
        vspcd = self.start()
        one, two = connected_vm(vspcd), connected_vm(vspcd)
        at_one, at_two = TelnetClient(one), TelnetClient(two)
        one.send(b"of one")
        two.send(b"of two")
        at_one.wait_data(b"of one")
        at_two.wait_data(b"of two")
        at_one.send(b"to one")
        one.wait_data(b"to one")
        two.pump()
        self.assertEqual((bytes(at_one.data), bytes(at_two.data), bytes(two.data)), (b"of one", b"of two", b""))


class ComingAndGoing(TestCase):
    def test_notices_for_telnet_clients(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        vm.send(b"last words")
        client.wait_data(b"last words")
        vm.close()
        client.wait_data(b"[vspc: VM disconnected]")
        connected_vm(vspcd, vm.name, digits=vm.digits)
        client.wait_data(b"[vspc: VM connected]")
        self.assertSameBytes(client.data, b"last words\r\n[vspc: VM disconnected]\r\n\r\n[vspc: VM connected]\r\n")

    def test_a_host_that_is_switched_off(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        vm.abort()
        client.wait_data(b"[vspc: VM disconnected]")
        wait_away(vm)

    def test_last_words_come_before_the_notice(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        vm.send(b"panic " * 1000)
        vm.close()
        client.wait_data(b"VM disconnected")
        self.assertTrue(client.data.startswith(b"panic " * 1000))

    def test_clients_stay_over_a_reconnect(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        telnet, raw = TelnetClient(vm), RawClient(vm)
        wait_raw(vm, raw)
        vm.close()
        vspcd.wait_status("0 VMs, 2 clients")
        again = connected_vm(vspcd, vm.name, digits=vm.digits)
        self.assertEqual(again.port, vm.port)
        again.send(b"rebooted")
        telnet.wait_data(b"rebooted")
        raw.wait_data(b"rebooted")
        raw.send(b"from raw")
        again.wait_data(b"from raw")

    def test_a_client_that_comes_while_the_vm_is_away_is_told(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(b"history")
        TelnetClient(vm).wait_data(b"history")
        disconnect(vm)
        client = TelnetClient(vm)
        client.wait_data(b"VM disconnected]")
        self.assertSameBytes(client.data, b"history\r\n[vspc: VM disconnected]\r\n")

    def test_two_links_of_one_vm_are_heard_and_spoken_to(self):
        """Two serial ports without MultiConsole=, or a reconnect before the old connection is known to be dead."""
        vspcd = self.start()
        one = connected_vm(vspcd, uri="s0")
        two = connected_vm(vspcd, one.name, digits=one.digits, uri="s1")
        self.assertEqual(one.port, two.port)
        client = TelnetClient(one)
        one.send(b"[one]")
        two.send(b"[two]")
        client.wait_data(b"[one]")
        client.wait_data(b"[two]")
        client.send(b"both")
        one.wait_data(b"both")
        two.wait_data(b"both")
        one.close()
        two.send(b"[two stays]")
        client.wait_data(b"[two stays]")
        self.assertNotIn(b"disconnected", client.data)
        vspcd.wait_status("1 VM, 1 client")


class RealPrograms(TestCase):
    def program(self, *argv, **kwargs):
        program = Program(*argv, **kwargs)
        self.addCleanup(program.end)
        return program

    def test_telnet_on_a_terminal(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(b"\r\nlogin: ")
        telnet = self.program("telnet", "127.0.0.1", str(vm.port), terminal=True)
        telnet.wait_output(b"login: ")
        telnet.type(b"root\r")
        vm.wait_data(b"root\r")
        self.assertSameBytes(vm.data, b"root\r")
        vm.send(b"r\xc3\xa4tsel\r\n# ")
        telnet.wait_output(b"r\xc3\xa4tsel\r\n# ")
        vm.close()
        telnet.wait_output(b"[vspc: VM disconnected]")

    def test_telnet_sends_break(self):
        vm = connected_vm(self.start())
        telnet = self.program("telnet", "127.0.0.1", str(vm.port), terminal=True)
        vm.send(b"ready")
        telnet.wait_output(b"ready")
        telnet.type(b"\x1d")
        telnet.wait_output(b"telnet> ")
        telnet.type(b"send brk\r")
        vm.wait_trace(("command", BRK))

    def test_nc(self):
        vm = connected_vm(self.start())
        nc = self.program("nc", "127.0.0.1", str(vm.port))
        nc.wait_output(RawClient.OFFERS)
        nc.output = b""
        vm.send(b"\xff\x00\xf2 bytes")
        nc.wait_output(b"\xff\x00\xf2 bytes")
        nc.type(b"\x00\xfe\xff keys\n")
        vm.wait_data(b"\x00\xfe\xff keys\n")


if __name__ == "__main__":
    main()
