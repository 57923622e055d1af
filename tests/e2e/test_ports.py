# SPDX-License-Identifier: LGPL-2.1-or-later

"""The port that a VM gets, how long the VM keeps it, and what happens if there is none."""

import os
import socket
import subprocess
import sys

from harness import PortBlock, TestCase, is_port_free, main, wait_for
from peers import EsxiVm, RawClient, TelnetClient, connected_vm
from varlink_peer import Caller, disconnect

PORT_TRIES_MAX = 256


def hold(port, address="127.0.0.1"):
    """Another program's listening socket."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen()
    return s


def again(vm):
    return connected_vm(vm.vspcd, vm.name, digits=vm.digits, uri=vm.uri)


class Coming(TestCase):
    """What is logged of a VM whose connection ends."""

    def test_a_vm_that_is_back_soon_is_logged_in_one_line(self):
        vm = connected_vm(self.start(), "web01")
        disconnect(vm)
        again = EsxiVm(vm.vspcd, "web01", digits=vm.digits).connect()
        vm.vspcd.wait_logged(rf"VM web01 .*: connected from 127.0.0.1:{again.local_port}, its clients use port {vm.port}; "
                             r"it was away for [0-9.]+ s$")
        again.close()
        vm.vspcd.wait_logged(rf"VM web01 .*: its connection from 127.0.0.1:{again.local_port} has ended, 5 s ago$")
        self.assertFalse(vm.vspcd.has_logged(f"127.0.0.1:{vm.local_port} has ended"))

    def test_a_vm_that_is_away_for_long_is_logged_before_it_is_back(self):
        vm = connected_vm(self.start(), "web01")
        vm.close()
        vm.vspcd.wait_logged(rf"VM web01 .*: its connection from 127.0.0.1:{vm.local_port} has ended, 5 s ago$")
        again = EsxiVm(vm.vspcd, "web01", digits=vm.digits).connect()
        vm.vspcd.wait_logged(rf"VM web01 .*: connected from 127.0.0.1:{again.local_port}, its clients use port {vm.port}$")

    def test_a_vm_that_goes_just_before_the_end_is_logged_and_others_are_not(self):
        vspcd = self.start()
        vm, other = connected_vm(vspcd, "web01"), connected_vm(vspcd, "web02")
        disconnect(vm)
        vspcd.end()
        vspcd.wait_logged(rf"VM web01 .*: its connection from 127.0.0.1:{vm.local_port} has ended$")
        self.assertFalse(vspcd.logged(f"127.0.0.1:{other.local_port} has ended"))

    def test_a_vm_that_is_forgotten_at_once_is_logged_before_that(self):
        vm = connected_vm(self.start(), "web01")
        disconnect(vm)
        Caller(vm.vspcd).get("Forget", {"vm": vm.id})
        vm.vspcd.wait_logged("VM web01 .*: forgotten by")
        self.assertTrue(vm.vspcd.logged(f"127.0.0.1:{vm.local_port} has ended$"))

    def test_one_of_two_connections_is_logged_at_once(self):
        vm = connected_vm(self.start(), "web01")
        second = EsxiVm(vm.vspcd, "web01", digits=vm.digits, uri="s1").connect()
        second.close()
        vm.vspcd.wait_logged(rf"VM web01 .*: its connection from 127.0.0.1:{second.local_port} has ended$")


class Ports(TestCase):
    def test_the_lowest_first(self):
        vspcd = self.start()
        vms = [connected_vm(vspcd) for _ in range(5)]
        self.assertEqual([vm.port for vm in vms], list(range(vspcd.block.first, vspcd.block.first + 5)))

    def test_a_port_is_kept_over_reconnects(self):
        vspcd = self.start()
        one, two, three = (connected_vm(vspcd) for _ in range(3))
        for vm in (one, two):
            disconnect(vm)
        new = connected_vm(vspcd)
        self.assertEqual(new.port, three.port + 1)
        self.assertEqual((again(two).port, again(one).port), (two.port, one.port))

    def test_a_port_serves_clients_while_its_vm_is_away(self):
        vm = connected_vm(self.start())
        disconnect(vm)
        client = TelnetClient(vm)
        back = again(vm)
        back.send(b"hello again")
        client.wait_data(b"hello again")

    def test_the_lowest_free_port_is_used_again_after_it_has_expired(self):
        vspcd = self.start(VMExpireSec="300ms")
        one, two, three = (connected_vm(vspcd) for _ in range(3))
        disconnect(two)
        vspcd.wait_logged(rf"VM {two.name} \(.*has been gone for VMExpireSec=")
        wait_for(lambda: is_port_free(two.port), "the port to be free")
        new = connected_vm(vspcd)
        self.assertEqual(new.port, two.port)
        self.assertEqual(again(two).port, three.port + 1)
        self.assertFalse(vspcd.has_logged(rf"VM {one.name} \(.*VMExpireSec="))

    def test_a_client_keeps_its_vm_from_expiring(self):
        vspcd = self.start(VMExpireSec="300ms")
        vm, other = connected_vm(vspcd), connected_vm(vspcd)
        client = RawClient(vm)
        disconnect(vm)
        disconnect(other)
        vspcd.wait_logged(rf"VM {other.name} \(.*VMExpireSec=")
        self.assertFalse(vspcd.has_logged(rf"VM {vm.name} \(.*VMExpireSec="))
        client.close()
        vspcd.wait_logged(rf"VM {vm.name} \(.*VMExpireSec=")

    def test_the_output_of_what_has_expired_is_forgotten(self):
        vspcd = self.start(VMExpireSec="200ms")
        vm = connected_vm(vspcd)
        vm.send(b"old output ")
        client = TelnetClient(vm)
        client.wait_data(b"old output ")
        client.close()
        disconnect(vm)
        vspcd.wait_logged("VMExpireSec=")
        back = again(vm)
        back.send(b"new output")
        client = TelnetClient(back)
        client.wait_data(b"new output")
        self.assertSameBytes(client.data, b"new output")

    def test_a_port_of_another_program_is_skipped(self):
        vspcd = self.start()
        with hold(vspcd.block.first), hold(vspcd.block.first + 1):
            vm = connected_vm(vspcd)
        self.assertEqual(vm.port, vspcd.block.first + 2)
        for port in (vspcd.block.first, vspcd.block.first + 1):
            vspcd.wait_logged(f"Port {port} is in use by another program")

    def test_so_many_ports_of_other_programs_are_tried_for_a_vm(self):
        """Whoever has all of them must not hold up everybody else."""
        vspcd = self.start(ports=PORT_TRIES_MAX + 4)
        for i in range(PORT_TRIES_MAX):
            self.enterContext(hold(vspcd.block.first + i))
        vm = connected_vm(vspcd)
        self.assertIsNone(vm.port)
        vspcd.wait_logged(rf"VM {vm.name} \(.*has no port yet: Address already in use")
        vspcd.wait_logged(rf"VM {vm.name} \(.*its clients use port {vspcd.block.first + PORT_TRIES_MAX} from now on")

    def test_without_a_free_port_a_vm_is_served_all_the_same(self):
        vspcd = self.start(ports=2)
        connected_vm(vspcd)
        second = connected_vm(vspcd)
        third = connected_vm(vspcd)
        self.assertIsNone(third.port)
        vspcd.wait_logged(rf"VM {third.name} \(.*has no port yet: the range from VMPortRangeStart= .* is exhausted")
        vspcd.wait_status("3 VMs, 0 clients")
        third.send(b"x" * 100_000)
        client = TelnetClient(second)
        second.send(b"served")
        client.wait_data(b"served")

    def test_no_ports_at_all(self):
        vspcd = self.start(VMPorts="no")
        vm = connected_vm(vspcd)
        self.assertIsNone(vm.port)
        self.assertFalse(vspcd.has_logged("exhausted"))
        self.assertTrue(is_port_free(vspcd.block.first))
        vm.send(b"x" * 100_000)
        vspcd.wait_status("1 VM, 0 clients")

    def test_another_address(self):
        vspcd = self.start(VMPortAddress="127.0.0.2")
        vm = connected_vm(vspcd)
        self.assertTrue(is_port_free(vm.port, "127.0.0.1"))
        with socket.create_connection(("127.0.0.2", vm.port)) as client:
            self.assertEqual(client.recv(3), b"\xff\xfb\x00")

    def test_multi_console_gives_each_serial_port_its_own(self):
        vspcd = self.start(MultiConsole="yes")
        com1 = connected_vm(vspcd, "web01", uri="com1")
        com2 = connected_vm(vspcd, "web01", digits=com1.digits, uri="com2")
        self.assertEqual((com1.port, com2.port), (vspcd.block.first, vspcd.block.first + 1))
        vspcd.wait_logged(rf"VM web01_com1 \({com1.id}_com1\): connected")
        vspcd.wait_logged(rf"VM web01_com2 \({com1.id}_com2\): connected")
        at1, at2 = TelnetClient(com1), TelnetClient(com2)
        com1.send(b"one")
        com2.send(b"two")
        at1.wait_data(b"one")
        at2.wait_data(b"two")
        at2.send(b"to two")
        com2.wait_data(b"to two")
        com1.pump()
        self.assertEqual((bytes(at1.data), bytes(at2.data), bytes(com1.data)), (b"one", b"two", b""))

    def test_without_multi_console_they_share_one(self):
        vspcd = self.start()
        com1 = connected_vm(vspcd, uri="com1")
        self.assertEqual(connected_vm(vspcd, com1.name, digits=com1.digits, uri="com2").port, com1.port)

    def test_vms_of_one_name_are_two(self):
        vspcd = self.start()
        self.assertNotEqual(connected_vm(vspcd, "twin").port, connected_vm(vspcd, "twin").port)

    def test_a_uuid_is_one_however_it_is_written(self):
        vspcd = self.start()
        one = connected_vm(vspcd, digits="50123456789abcdef011223344556677")
        upper = EsxiVm(vspcd, one.name, digits=one.digits.upper()).connect()
        self.assertEqual(upper.port, one.port)


class OtherPrograms(TestCase):
    RESERVED = os.path.join(os.path.dirname(__file__), "../../units/reserved-ports.conf")
    SCRIPT = """
import socket
a = socket.socket()
a.bind(("127.0.0.1", 0))
a.listen(1)
for _ in range(2000):
    with socket.create_connection(a.getsockname()) as client:
        print(client.getsockname()[1])
        a.accept()[0].close()
"""

    def ports_of_connections(self, *commands):
        """Of connections that begin and end here, in a network of their own"""
        script = "\n".join(("set -e", "ip link set lo up", *commands, f"exec {sys.executable} -c '{self.SCRIPT}'"))
        result = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=True)
        return [int(line) for line in result.stdout.splitlines() if line.isdigit()]

    def test_connections_leave_alone_what_is_reserved_as_the_readme_says(self):
        if os.geteuid() != 0:
            self.skipTest("a network of one's own wants root")
        reserved = range(50000, 65536)
        self.assertTrue(any(port in reserved for port in self.ports_of_connections()))
        self.assertFalse(any(port in reserved for port in self.ports_of_connections(f"sysctl -p {self.RESERVED}")))


class Reload(TestCase):
    def test_ports_can_be_turned_off_and_on(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        vspcd.reload(VMPorts="no")
        self.assertTrue(wait_for(lambda: is_port_free(vm.port), "the port to be closed"))
        vm.send(b"still connected")
        client.wait_data(b"still connected")
        vspcd.reload(VMPorts="yes")
        other = TelnetClient(vm)
        vm.send(b"again")
        other.wait_data(b"again")

    def test_a_new_range_is_for_new_vms(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        block = PortBlock(4)
        self.addCleanup(block.release)
        vspcd.reload(VMPortRangeStart=block.first, VMPortRangeEnd=block.last)
        self.assertEqual(connected_vm(vspcd).port, block.first)
        disconnect(vm)
        self.assertEqual(again(vm).port, vm.port)


if __name__ == "__main__":
    main()
