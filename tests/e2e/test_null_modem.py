# SPDX-License-Identifier: LGPL-2.1-or-later

"""The ports of two VMs connected to each other, like two machines with a null modem for PPP or kgdb. Each VM gets the
output of the other and nothing else, whichever port was connected first. tests/unit/test-client.c tests offers that
arrive in pieces."""

import subprocess
import threading
import time

from harness import TestCase, main, quick_round
from peers import (ALL_BYTES, BINARY, BRK, DETECTION_SEC, DO, ECHO, IAC, SGA, WILL, Peer, RawClient, TelnetPeer, client_address,
                   connected_vm, console_of, say)

ANSWERS = say(DO, BINARY, SGA, ECHO) + say(WILL, BINARY, SGA)


def with_scrollback(vspcd, name):
    vm = connected_vm(vspcd, name)
    vm.send(b"scrollback of " + name.encode())
    vm.vspcd.wait_read(vspcd.vm_address[1], vm)
    return vm


class NullModem(TestCase):
    def assertJoined(self, *vms):
        """All bytes, and no other."""
        for one, other in (vms, vms[::-1]):
            one.send(ANSWERS)  # alone, as a telnet program would
            other.wait_data(ANSWERS)
            self.assertSameBytes(other.take(), ANSWERS)
            one.send(b"<" + one.name.encode() + b">" + ALL_BYTES * 16 + ANSWERS + b"\xff" * 99 + b"</>")
            other.wait_data(b"</>")
            self.assertSameBytes(other.take(), b"<" + one.name.encode() + b">" + ALL_BYTES * 16 + ANSWERS + b"\xff" * 99
                                 + b"</>")

    def wait_joined(self, *vms):
        for vm in vms:
            vm.vspcd.wait_logged(console_of(vm.vspcd, vm) + r"client \S+ is the port of another VM \(null modem\)")

    def socat(self, *addresses):
        process = subprocess.Popen(["socat", *addresses], stdin=subprocess.DEVNULL)  # pylint: disable=R1732
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def relay(self, *peers):
        def pump(one, other):
            while data := one.recv(65536):
                other.sendall(data)

        for peer in peers:
            peer.sock.setblocking(True)
        for one, other in peers, peers[::-1]:
            threading.Thread(target=pump, args=(one.sock, other.sock), daemon=True).start()

    def test_socat_joins_two_ports(self):
        vspcd = self.start()
        vms = with_scrollback(vspcd, "one"), with_scrollback(vspcd, "two")
        self.socat(*(f"TCP:127.0.0.1:{vm.port}" for vm in vms))
        self.wait_joined(*vms)
        self.assertJoined(*vms)

    def test_one_port_may_be_joined_later(self):
        """By then the first port takes its client for a raw one, and its VM has said something."""
        vspcd = self.start()
        one, two = with_scrollback(vspcd, "one"), with_scrollback(vspcd, "two")
        first, witness = Peer(client_address(one)), RawClient(one)
        one.send(b"early")
        witness.wait_data(b"early")  # half a second has passed for both
        witness.close()
        self.relay(first, Peer(client_address(two)))
        two.wait_data(b"early")
        self.assertEqual(two.take(), b"early")
        self.assertJoined(one, two)

    def test_one_vm_may_come_later(self):
        vspcd = self.start()
        one = with_scrollback(vspcd, "one")
        self.socat(f"TCP:127.0.0.1:{one.port}", f"TCP:127.0.0.1:{one.port + 1},forever,interval=0.1")
        vspcd.wait_logged(r"VM one .* client .* connected")
        two = connected_vm(vspcd, "two")
        self.assertEqual(two.port, one.port + 1)
        self.wait_joined(one, two)
        self.assertJoined(one, two)

    def test_neither_vm_gets_notices(self):
        vspcd = self.start()
        one, two = with_scrollback(vspcd, "one"), with_scrollback(vspcd, "two")
        self.socat(f"TCP:127.0.0.1:{one.port}", f"TCP:127.0.0.1:{two.port}")
        self.wait_joined(one, two)
        self.assertJoined(one, two)
        one.close()
        vspcd.wait_status("1 VM, 2 clients")
        again = connected_vm(vspcd, one.name, digits=one.digits)
        self.assertJoined(again, two)

    def test_an_echo_of_our_offers_is_not_a_telnet_client(self):
        vspcd = self.start()
        vm = with_scrollback(vspcd, "one")
        self.socat(f"TCP:127.0.0.1:{vm.port}", "EXEC:cat")
        self.wait_joined(vm)
        vm.send(b"#")
        vm.wait_data(b"#")
        self.assertSameBytes(vm.data, b"#")


class NoNullModem(TestCase):
    """A telnet program whose answers begin as our own offers do is a telnet program."""

    def assertTelnet(self, *parts):
        def play():
            vspcd = self.start()
            vm = with_scrollback(vspcd, "one")
            began = time.monotonic()
            client = TelnetPeer(client_address(vm))
            for part in parts:
                client.send_raw(part)
                vspcd.wait_read(vm.port, client)
            return (vm, client) if time.monotonic() - began < DETECTION_SEC / 2 else None

        vm, client = quick_round(play)
        client.wait_data(b"scrollback of one")
        client.send_raw(b"typed" + bytes([IAC, BRK]))
        vm.wait_trace(("command", BRK))
        self.assertEqual(bytes(vm.data), b"typed")

    def test_answers_that_are_the_beginning_of_our_offers_are_telnet(self):
        self.assertTelnet(say(WILL, BINARY, SGA))

    def test_answers_that_begin_like_our_offers_and_go_on_otherwise_are_telnet(self):
        self.assertTelnet(say(WILL, BINARY), say(WILL, SGA) + say(DO, ECHO))

    def test_answers_whose_first_byte_comes_alone_are_telnet(self):
        self.assertTelnet(say(WILL, BINARY)[:1], say(WILL, BINARY)[1:] + say(DO, SGA))


if __name__ == "__main__":
    main()
