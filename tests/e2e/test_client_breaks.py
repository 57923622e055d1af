# SPDX-License-Identifier: LGPL-2.1-or-later

"""Breaks of raw clients: gdb and agent-proxy interrupt a kernel (kgdb) with IAC BRK and "g", and remain raw clients.
In an upload the same two bytes are data."""

import re
import signal
import time

from harness import TestCase, main, quick_round, wait_for
from peers import ALL_BYTES, AYT, BRK, DETECTION_SEC, IAC, RawClient, TelnetClient, connected_vm, migration_target
from test_clients import HELD_MAX, Program, unsent, wait_raw
from test_slow_clients import send_until_stuck
from varlink_peer import attached

BREAK = bytes([IAC, BRK])
SILENCE_SEC = 0.05


def wait_silence(vspcd, seconds=SILENCE_SEC):
    """Waits until nothing has come for so long, and vspcd has noticed. Its clock may have started late, where it began to
    read only after the test had got what it sent: so first it has to come round."""
    vspcd.has_logged("")
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > seconds + 0.001, "silence to pass")
    vspcd.has_logged("")


class Rounds:
    """Knows what vspcd has read: it answers AYT after what has come before that."""

    def __init__(self, vm):
        self.client = TelnetClient(vm)

    def wait_read(self):
        self.client.send_raw(bytes([IAC, AYT]))
        self.client.wait_data(b"connected]\r\n")
        self.client.take()

    def send_without_silence(self, client, *pieces):
        """Sends these so that vspcd reads each by itself. Returns: whether that was so quick that there was no silence
        before any of them; a round in which this machine is busy with something else proves nothing."""
        quick = True
        for piece in pieces:
            began = time.monotonic()
            client.send(piece)
            self.wait_read()
            quick = quick and time.monotonic() - began < SILENCE_SEC / 2
        return quick


class Breaks(TestCase):
    def client(self, **kwargs):
        """A VM and a raw client of it that has been silent for a while."""
        self.vspcd = self.start(**kwargs)
        vm = connected_vm(self.vspcd)
        raw = RawClient(vm)
        raw.send(b"$qSupported#37")
        vm.wait_data(b"#37")
        wait_raw(vm, raw)
        wait_silence(self.vspcd)
        vm.take()
        vm.trace.clear()
        return vm, raw

    def test_a_break_alone(self):
        vm, raw = self.client()
        raw.send(BREAK)
        vm.wait_trace(("command", BRK))
        self.assertEqual(vm.trace, [("command", BRK)])

    def test_a_break_and_g(self):
        vm, raw = self.client()
        raw.send(BREAK + b"g")
        vm.wait_data(b"g")
        self.assertEqual(vm.trace, [("command", BRK), bytearray(b"g")])

    def test_a_break_in_two_or_three_reads(self):
        for pieces in ([BREAK, b"g"], [BREAK[:1], BREAK[1:] + b"g"], [BREAK[:1], BREAK[1:], b"g"]):
            def play():
                vm, raw = self.client()
                quick = Rounds(vm).send_without_silence(raw, *pieces)
                vm.wait_data(b"g")
                return vm.trace if quick else None
            self.assertEqual(quick_round(play), [("command", BRK), bytearray(b"g")])

    def test_breaks_one_after_the_other(self):
        vm, raw = self.client()
        for _ in range(3):
            raw.send(BREAK + b"g")
            vm.wait_data(b"g")
            self.assertEqual(vm.trace, [("command", BRK), bytearray(b"g")])
            vm.take()
            vm.trace.clear()
            wait_silence(self.vspcd)

    def test_a_client_that_has_sent_a_break_stays_raw_in_both_directions(self):
        vm, raw = self.client()
        raw.send(BREAK + b"g")
        vm.wait_data(b"g")
        blob = b"$X0,10:" + ALL_BYTES + b"\r\n\r\0\n" + b"\xff" * 9 + b"#00"
        raw.send(blob)
        vm.wait_size(len(b"g" + blob))
        self.assertSameBytes(vm.data, b"g" + blob)
        vm.send(blob)
        raw.wait_data(blob)
        self.assertSameBytes(raw.data, b"<raw?>" + blob)

    def test_a_client_that_has_sent_a_break_gets_no_notices(self):
        vm, raw = self.client()
        raw.send(BREAK)
        vm.wait_trace(("command", BRK))
        vm.close()
        self.vspcd.wait_status("0 VMs, 1 client")
        again = connected_vm(self.vspcd, vm.name, digits=vm.digits)
        again.send(b"back")
        raw.wait_data(b"back")
        self.assertSameBytes(raw.data, b"<raw?>back")

    def test_a_client_that_may_only_read_sends_no_breaks(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        holder = attached(vm, access="write")
        raw = RawClient(vm)
        vm.trace.clear()
        raw.send(BREAK + b"g")
        vspcd.wait_read(vm.port, raw)
        wait_raw(vm, raw)
        raw.send(BREAK + b"g")
        vspcd.wait_read(vm.port, raw)
        holder.send(b"mine")
        vm.wait_data(b"mine")
        self.assertEqual((vm.trace, bytes(raw.data)), ([bytearray(b"mine")], b"<raw?>"))

    def test_a_break_keeps_its_place_in_what_a_vmotion_holds_back(self):
        vm, raw = self.client()
        secret = vm.begin(b"\0\0\0\1")
        raw.send(b"before")
        self.vspcd.wait_read(vm.port, raw)
        wait_silence(self.vspcd)
        raw.send(BREAK + b"g")
        self.vspcd.wait_read(vm.port, raw)
        target = migration_target(vm).peer(b"\0\0\0\1", secret)
        target.complete(b"\0\0\0\1")
        target.wait_data(b"beforeg")
        self.assertEqual(target.trace[-3:], [bytearray(b"before"), ("command", BRK), bytearray(b"g")])

    def test_a_break_is_for_the_serial_port_that_the_client_is_at(self):
        vspcd = self.start(MultiConsole="yes")
        one = connected_vm(vspcd, uri="s0")
        two = connected_vm(vspcd, one.name, digits=one.digits, uri="s1")
        raw = RawClient(two)
        raw.send(BREAK + b"g")
        two.wait_data(b"g")
        self.assertIn(("command", BRK), two.trace)
        one.pump()
        self.assertNotIn(("command", BRK), one.trace)


class FirstWords(TestCase):
    """gdb's "set remote interrupt-on-connect on": before it is known what the client is."""

    def test_a_break_may_be_the_first_thing_that_a_client_sends(self):
        for pieces in ([BREAK + b"g"], [BREAK, b"g"], [BREAK[:1], BREAK[1:] + b"g"]):
            def play():
                vspcd = self.start()
                vm = connected_vm(vspcd)
                vm.trace.clear()
                began = time.monotonic()
                raw = RawClient(vm)
                for piece in pieces:
                    raw.send(piece)
                    vspcd.wait_read(vm.port, raw)
                return (vm, raw) if time.monotonic() - began < DETECTION_SEC / 2 else None
            vm, raw = quick_round(play)
            vm.wait_data(b"g")
            self.assertEqual(vm.trace, [("command", BRK), bytearray(b"g")])
            vm.send(b"\xff\r#")
            raw.wait_data(b"\xff\r#")
            self.assertSameBytes(raw.data, b"\xff\r#")

    def test_a_client_may_speak_telnet_after_its_first_break(self):
        vm = connected_vm(self.start())
        vm.send(b"history")
        client = TelnetClient(vm, settle=False)
        client.send_raw(BREAK)
        vm.wait_trace(("command", BRK))
        client.wait_data(b"history")
        client.send_raw(b"ls\r" + BREAK + b"\xff\xff")
        vm.wait_data(b"ls\r\xff")

    def test_two_breaks_may_be_the_first_thing_that_a_client_sends(self):
        vm = connected_vm(self.start())
        vm.trace.clear()
        raw = RawClient(vm)
        raw.send(BREAK + BREAK)
        vm.wait(lambda: vm.trace.count(("command", BRK)) == 2, "two breaks")
        vm.send(b"\xff#")
        raw.wait_data(b"\xff#")

    def test_a_first_break_waits_for_a_vm_that_takes_no_input(self):
        """It is kept, and what it is with it, even if the client leaves meanwhile."""
        for leaves in (False, True):
            vspcd = self.start()
            vm = connected_vm(vspcd)
            filler = RawClient(vm)
            n = send_until_stuck(filler, b"f" * 65536)
            raw = RawClient(vm)
            raw.send(BREAK + b"g")
            vspcd.wait_read(vm.port, raw)
            wait_silence(vspcd, DETECTION_SEC)
            if leaves:
                raw.close()
            vm.wait_size(n + 1)
            at = vm.index(("command", BRK))
            self.assertNotIn(b"g", vm.trace[at - 1])
            self.assertTrue(vm.trace[at + 1].startswith(b"g"))
            self.assertNotIn(b"\xff", vm.data)


class Data(TestCase):
    """What is no break, though it contains one."""

    def assertStaysRaw(self, vm, raw):
        raw.take = len(raw.data)
        vm.send(b"#\xff\r#")
        raw.wait_data(b"\xff\r#")
        self.assertSameBytes(raw.data[raw.take:], b"#\xff\r#")

    def start_silent(self):
        """Returns: vspcd, a VM and a raw client, known as such, that has been silent for long enough for a break."""
        vspcd = self.start()
        vm = connected_vm(vspcd)
        raw = RawClient(vm)
        wait_raw(vm, raw)
        wait_silence(vspcd)
        vm.trace.clear()
        return vspcd, vm, raw

    def upload(self, *pieces, settled=True):
        """What the VM gets of these if they come one after the other without a pause."""
        def play():
            vspcd = self.start()
            vm = connected_vm(vspcd)
            raw = RawClient(vm)
            if settled:
                wait_raw(vm, raw)
            vm.trace.clear()
            quick = Rounds(vm).send_without_silence(raw, b"begin", *pieces, b"<end>")
            vm.wait_data(b"<end>")
            if quick:
                self.assertStaysRaw(vm, raw)
            return vm.trace if quick else None
        return quick_round(play)

    def test_a_break_s_bytes_without_silence_before_them_are_data(self):
        for settled in (False, True):
            pieces = [BREAK, BREAK + b"g", BREAK[:1], BREAK[1:], b"g", BREAK * 4]
            self.assertEqual(self.upload(*pieces, settled=settled), [bytearray(b"begin" + b"".join(pieces) + b"<end>")])

    def test_data_in_writes_of_two_bytes_stays_data(self):
        """Commands are among them that a telnet client might send of a sudden."""
        pieces = [bytes([IAC, code]) for code in range(235, 256)]
        self.assertEqual(self.upload(*pieces), [bytearray(b"begin" + b"".join(pieces) + b"<end>")])

    def test_a_break_s_bytes_with_something_else_behind_them_are_data(self):
        for piece in (BREAK + b"gg", BREAK + b"\0", BREAK + b"h", BREAK + BREAK + b"\xff", BREAK + ALL_BYTES * 99):
            _, vm, raw = self.start_silent()
            raw.send(piece)
            vm.wait_size(len(piece))
            self.assertEqual(vm.trace, [bytearray(piece)])
            self.assertStaysRaw(vm, raw)

    def test_a_lone_0xff_waits_for_a_while(self):
        vspcd, vm, raw = self.start_silent()
        for _ in range(2):
            raw.send(b"\xff")
            vm.wait_data(b"\xff")
            self.assertEqual(vm.take(), b"\xff")
            raw.send(b"\xf3g")  # too late
            vm.wait_data(b"\xf3g")
            vm.take()
            wait_silence(vspcd)

    def test_a_lone_0xff_is_data_if_it_is_the_last(self):
        _, vm, raw = self.start_silent()
        raw.send(b"\xff")
        raw.close()
        vm.wait_data(b"\xff")

    def test_a_break_s_bytes_that_come_while_vspcd_does_not_read_are_data(self):
        """Its VM takes nothing: whether the client is silent meanwhile nobody knows."""
        vspcd, vm, raw = self.start_silent()
        filler = RawClient(vm)
        n = send_until_stuck(filler, b"u" * 65536)
        wait_silence(vspcd)
        raw.send(BREAK + b"g")
        wait_silence(vspcd)
        vm.wait_size(n + 3)
        vm.wait_data(b"g")
        self.assertNotIn(("command", BRK), vm.trace)
        self.assertSameBytes(bytes(vm.data).replace(b"u", b""), BREAK + b"g")

    def test_a_break_s_bytes_are_read_at_once_however_little_room_there_is(self):
        """What waits for a vMotion has a bound, and no more is read than it has room for."""
        _, vm, raw = self.start_silent()
        filler = RawClient(vm)
        target = self.fill(vm, filler, raw, BREAK + b"g")
        target.wait_data(b"g")
        self.assertEqual(target.trace[-2:], [("command", BRK), bytearray(b"g")])

    def test_a_read_that_took_all_there_was_room_for_is_over_once_there_is_silence(self):
        vspcd, vm, raw = self.start_silent()
        filler = RawClient(vm)
        target = self.fill(vm, filler, raw, b"nine char")
        target.wait_data(b"nine char")
        wait_silence(vspcd)
        raw.send(BREAK + b"g")
        target.wait_data(b"g")
        self.assertEqual(target.trace[-2:], [("command", BRK), bytearray(b"g")])

    def fill(self, vm, filler, client, data):
        """Has a client send something while there is room for a byte. Returns: the VM at its new host."""
        secret = vm.begin(b"\0\0\0\1")
        filler.send(b"f" * (HELD_MAX - 1))
        wait_for(lambda: unsent(filler) == 0, "all of it to be with vspcd")
        vm.vspcd.wait_read(vm.port)
        client.send(data)
        vm.vspcd.wait_read(vm.port)
        target = migration_target(vm).peer(b"\0\0\0\1", secret)
        target.complete(b"\0\0\0\1")
        return target

    def test_a_break_s_bytes_that_come_while_vspcd_does_not_run_are_data(self):
        """It is stopped: so it may be on a machine that has too much to do."""
        def play():
            vspcd = self.start()
            vm = connected_vm(vspcd)
            raw = RawClient(vm)
            wait_raw(vm, raw)
            vm.trace.clear()
            rounds = Rounds(vm)
            began = time.monotonic()
            raw.send(b"a")
            rounds.wait_read()
            vspcd.signal(signal.SIGSTOP)
            quick = time.monotonic() - began < SILENCE_SEC / 2
            began = time.monotonic()
            wait_for(lambda: time.monotonic() - began > 2 * SILENCE_SEC, "time to pass")
            raw.send(BREAK)
            vspcd.signal(signal.SIGCONT)
            rounds.wait_read()
            raw.send(b"<end>")
            vm.wait_data(b"<end>")
            return vm.trace if quick else None
        self.assertEqual(quick_round(play), [bytearray(b"a" + BREAK + b"<end>")])


class Stub:
    """A kernel that waits for a debugger at its serial port, as far as gdb has to know."""

    ANSWERS = {b"?": b"S05", b"g": b"0" * 2 * 560, b"qSupported": b"PacketSize=1000", b"X": b"OK", b"M": b"OK",
               b"H": b"OK", b"D": b"OK", b"k": None, b"c": None, b"vCont;c": None, b"m": b"E01"}

    def __init__(self, vm):
        self.vm, self.packets = vm, []
        self.taken = 0

    def serve(self, until, what):
        def step():
            self.take()
            return until()
        self.vm.wait(step, what)

    def take(self):
        for found in re.finditer(rb"\$((?:[^}#]|}.)*)#..", bytes(self.vm.data[self.taken:]), re.S):
            packet = found[1]
            self.packets.append(packet)
            self.vm.send(b"+")
            answer = next((a for p, a in sorted(self.ANSWERS.items(), reverse=True) if packet.startswith(p)), b"")
            if answer is not None:
                self.say(answer)
        last = self.vm.data.rfind(b"#")
        if last >= 0 and last + 2 < len(self.vm.data):
            self.taken = last + 3

    def say(self, text):
        self.vm.send(b"$%s#%02x" % (text, sum(text) & 0xff))


class Gdb(TestCase):
    def gdb(self, vm, *commands):
        argv = ["gdb", "-nx", "-q", "-ex", "set confirm off", "-ex", "set architecture i386:x86-64",
                "-ex", "set remotetimeout 30", "-ex", "set remote interrupt-sequence BREAK-g"]
        for command in commands:
            argv += ["-ex", command.format(port=vm.port)]
        process = Program(*argv)
        self.addCleanup(process.end)
        return process

    def test_gdb_interrupts_a_kernel_when_it_connects(self):
        """It sends the break and its first packets at once, and how vspcd reads that is chance."""
        for pieces in ([BREAK + b"g+$qSupported#37"], [BREAK, b"g+$qSupported#37"], [BREAK + b"g", b"+$qSupported#37"]):
            vspcd = self.start()
            vm = connected_vm(vspcd)
            vm.trace.clear()
            raw = RawClient(vm)
            for piece in pieces:
                raw.send(piece)
                vspcd.wait_read(vm.port, raw)
            vm.wait_data(b"#37")
            self.assertEqual(vm.trace, [("command", BRK), bytearray(b"g+$qSupported#37")])
        vm = connected_vm(self.start())
        vm.trace.clear()
        self.gdb(vm, "set remote interrupt-on-connect on", "target remote 127.0.0.1:{port}")
        vm.wait_data(b"+$qSupported:")
        self.assertEqual(vm.trace[0], ("command", BRK))
        self.assertTrue(vm.trace[1].startswith(b"g+$qSupported:"))

    def test_gdb_interrupts_a_kernel_and_goes_on(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        stub = Stub(vm)
        gdb = self.gdb(vm, "target remote 127.0.0.1:{port}", "continue")
        stub.serve(lambda: any(p[:1] == b"c" or p.startswith(b"vCont;c") for p in stub.packets), "gdb to continue")
        wait_silence(vspcd)
        gdb.process.send_signal(signal.SIGINT)
        vm.wait_trace(("command", BRK))
        vm.wait(lambda: vm.data[stub.taken:].endswith(b"g"), "g")
        at = vm.index(("command", BRK))
        self.assertEqual(bytes(vm.trace[at + 1]), b"g")
        stub.taken = len(vm.data)
        stub.say(b"S02")
        stub.packets.clear()
        gdb.type(b"set {unsigned char[4]} 0x1000 = {0xff, 0xf3, 0x0d, 0xff}\n")
        stub.serve(lambda: b"X1000,4:\xff\xf3\x0d\xff" in stub.packets, lambda: f"gdb to write memory: {stub.packets}")


if __name__ == "__main__":
    main()
