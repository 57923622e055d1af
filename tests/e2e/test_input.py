# SPDX-License-Identifier: LGPL-2.1-or-later

"""Input for a VM to which several hosts have connections, or that takes no input."""

import socket

from harness import TestCase, main, wait_for
from peers import BRK, IAC, EsxiVm, RawClient, TelnetClient, client_address, connected_vm
from test_slow_clients import MEGABYTE, SMALL, numbered, send_until_stuck
from varlink_peer import Caller


def connect_again(vm, **kwargs):
    return EsxiVm(vm.vspcd, vm.name, digits=vm.digits, uri=vm.uri, **kwargs).connect()


def type_all(client, data, *readers):
    """Types all of it while these read."""
    sent = 0
    while sent < len(data):
        sent += client.send_some(data[sent:sent + 65536])
        for reader in readers:
            reader.pump()


class SeveralHosts(TestCase):
    def test_a_dead_host_does_not_hold_up_the_one_that_came_after_it(self):
        dead = EsxiVm(self.start(), receive_buffer=SMALL).connect()
        client = TelnetClient(dead)
        alive = connect_again(dead)
        paste = numbered(8 * MEGABYTE)
        type_all(client, paste, alive)
        alive.wait_size(len(paste))
        self.assertSameBytes(alive.data, paste)
        dead.vspcd.wait_logged(rf"127.0.0.1:{dead.local_port} does not take its input: \d+ bytes dropped")

    def test_a_new_host_that_takes_no_input_does_not_hold_up_the_older_one_for_long(self):
        alive = connected_vm(self.start())
        client = TelnetClient(alive)
        connect_again(alive, receive_buffer=SMALL)
        paste = numbered(8 * MEGABYTE)
        type_all(client, paste, alive)
        alive.wait_size(len(paste))
        self.assertSameBytes(alive.data, paste)

    def test_a_second_serial_port_is_waited_for(self):
        """It is no other host's connection of the first one."""
        first = connected_vm(self.start())
        deaf = EsxiVm(first.vspcd, first.name, digits=first.digits, uri="s1", receive_buffer=SMALL).connect()
        client = TelnetClient(first)
        paste = numbered(32 * MEGABYTE)
        sent = send_until_stuck(client, paste)
        first.pump()
        sent += client.send_some(paste[sent:])
        self.assertEqual(send_until_stuck(client, paste[sent:]), 0)
        self.assertLess(sent, len(paste))
        wait_for(lambda: (first.pump(), deaf.pump(), min(len(first.data), len(deaf.data)) >= sent)[2], "both to have all")
        for vm in deaf, first:
            self.assertSameBytes(vm.data, paste[:sent])

    def test_breaks_that_a_dead_host_does_not_take_hold_up_nobody(self):
        dead = EsxiVm(self.start(), receive_buffer=SMALL).connect()
        client = TelnetClient(dead)
        send_until_stuck(client, b"k" * MEGABYTE)
        alive = connect_again(dead)
        n = 20_000  # more than a host may be behind
        type_all(client, bytes([IAC, BRK]) * n + b"end", alive)
        alive.wait_data(b"end")
        self.assertEqual(alive.trace.count(("command", BRK)), n)


class Order(TestCase):
    def test_what_was_typed_before_it_attached_is_not_overtaken(self):
        """There is no room for it at once, and room again by the time that the loop has come round."""
        vm = EsxiVm(self.start(), receive_buffer=4 * MEGABYTE).connect()
        fillers, caller = [RawClient(vm) for _ in range(2)], Caller(vm.vspcd)
        for filler in fillers:
            filler.send(b"#")
        vm.wait_size(len(fillers))  # they are known to be raw
        caller.list()
        with vm.vspcd.halted():
            n = sum(filler.send_some(b"k" * 100_000) for filler in fillers)
            caller.say("Attach", {"vm": vm.id}, upgrade=True, typed=b"early")
        caller.next_reply()
        caller.send(b"late")
        vm.wait_size(len(fillers) + n + len(b"earlylate"))
        self.assertSameBytes(vm.data.translate(None, b"#k"), b"earlylate")


class Leaving(TestCase):
    def test_clients_that_leave_a_vm_that_takes_no_input_are_few(self):
        """Each leaves something behind that the VM has no room for."""
        vspcd = self.start(nofile=128, ports=64)
        deaf, other = EsxiVm(vspcd, receive_buffer=SMALL).connect(), connected_vm(vspcd)
        typist = RawClient(deaf)
        send_until_stuck(typist, b"k" * MEGABYTE)
        before = vspcd.n_descriptors()
        for _ in range(100):
            with socket.create_connection(client_address(deaf)) as s:
                s.sendall(b"x" * 1000)
        TelnetClient(other).wait_data(b"")
        wait_for(lambda: vspcd.n_descriptors() <= before + 8, "most of them to be gone")
        client = TelnetClient(other)
        other.send(b"alive")
        client.wait_data(b"alive")


if __name__ == "__main__":
    main()
