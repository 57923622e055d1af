# SPDX-License-Identifier: LGPL-2.1-or-later

"""The messages of ESXi when it connects, in every possible order, and the messages for connections that are not ESXi."""

import itertools
import pty
import os
import subprocess

from harness import TestCase, main
from peers import (AUTHENTICATION, BINARY, BIOS_UUID, COM_PORT, DO, DO_PROXY, ECHO, ESXI_KNOWN, GET_NAME,
                   GET_VC_UUID, IAC, KNOWN_1, KNOWN_2, LOCATION_UUID, NAME, SB, SGA, UNKNOWN_1, UNKNOWN_2, VC_UUID,
                   VMWARE, WILL, WILL_PROXY, WONT, WONT_PROXY, EsxiVm, RawClient, TelnetClient, connected_vm, say,
                   sub, uuid_text)

REFUSAL = b"This port is for ESXi hosts. A VM's console is at the VM's own port.\r\n"


class Dialogue(TestCase):
    def test_the_whole_dialogue_byte_for_byte(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd)

        def exchange(sent, expected):
            before = len(vm.raw)
            vm.send_raw(sent)
            vm.wait(lambda: len(vm.raw) - before >= len(expected), expected.hex(" "))
            self.assertEqual(bytes(vm.raw[before:]).hex(" "), expected.hex(" "))

        offers = bytes.fromhex("ff fb 00  ff fb 03  ff fb 01  ff fd 00  ff fd 03  ff fd e8")
        exchange(b"", offers)
        exchange(bytes.fromhex("ff fb 25"), bytes.fromhex("ff fe 25"))
        exchange(bytes.fromhex("ff fd 00  ff fd 03  ff fd 01  ff fb 00  ff fb 03  ff fb e8"),
                 bytes.fromhex("ff fa e8 01"
                               "00 01 02 03  28 29 2b 2c 2d 2e 30  46 47 49  50 51 52 53 54 55 56 57"
                               "ff f0"
                               "ff fa e8 51 ff f0  ff fa e8 53 ff f0"))
        exchange(bytes.fromhex("ff fa e8 00 00 01 02 03 28 29 2b 2c 2d 2e 30 46 47 49 50 51 52 53 ff f0"
                               "ff fa e8 46 53 73 30 ff f0"), b"")
        exchange(b"\xff\xfa\xe8\x50" b"50 12 34 56 78 9a bc de-f0 11 22 33 44 55 66 77" b"\xff\xf0",
                 bytes.fromhex("ff fa e8 47 ff f0"))
        exchange(b"\xff\xfa\xe8\x52web01\xff\xf0" b"\xff\xfb\x2c", bytes.fromhex("ff fd 2c"))
        vspcd.wait_logged(r"^vspcd: VM web01 \(50123456-789a-bcde-f011-223344556677\): connected from 127\.0\.0\.1:")

    def test_serial_data_flows_both_ways_after_the_dialogue(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm)
        vm.send_raw(b"login: \xff\xff")
        client.wait_data(b"login: \xff")
        client.send_raw(b"root\xff\xff\r")
        vm.wait(lambda: vm.raw.endswith(b"root\xff\xff\r"), "the keys, with 0xff doubled")

    def test_a_byte_at_a_time(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd, "bytewise")
        vm.handshake(vm.send_bytewise)
        vm.wait_connected()
        vspcd.wait_logged(r"VM bytewise \(")

    def test_all_in_one_segment_without_waiting_for_answers(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd)
        vm.send_raw(say(WILL, AUTHENTICATION) + say(DO, BINARY, SGA, ECHO) + say(WILL, BINARY, SGA, VMWARE) +
                    sub(KNOWN_1, ESXI_KNOWN) + vm.do_proxy() + vm.vc_uuid() + vm.vm_name() + say(WILL, COM_PORT) +
                    b"first words")
        vm.wait_connected()
        vm.wait_trace(("do", COM_PORT))
        self.assertTrue(vm.suboptions(WILL_PROXY))
        TelnetClient(vm).wait_data(b"first words")

    def test_every_order_of_uri_uuid_and_name(self):
        vspcd = self.start()
        for order in itertools.permutations(("do_proxy", "vc_uuid", "vm_name")):
            with self.subTest(order=order):
                vm = EsxiVm(vspcd, "-".join(order))
                vm.negotiate()
                for message in order:
                    vm.send_raw(getattr(vm, message)())
                vm.wait_connected()
                self.assertEqual(len(vm.wait(lambda v=vm: v.suboptions(WILL_PROXY), "WILL-PROXY")), 1)

    def test_it_asks_everything_as_soon_as_it_may(self):
        vm = EsxiVm(self.start())
        vm.negotiate()
        vm.wait_suboption(GET_VC_UUID)
        vm.wait_suboption(GET_NAME)

    def test_negotiation_in_another_order(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd)
        vm.send_raw(say(WILL, VMWARE, COM_PORT, SGA) + say(DO, ECHO) + say(WILL, BINARY) + say(DO, SGA, BINARY))
        vm.wait_suboption(KNOWN_2)
        vm.send_raw(vm.vm_name() + vm.vc_uuid() + vm.do_proxy())
        vm.wait_connected()

    def test_bios_and_location_uuids_are_accepted_silently(self):
        vm = EsxiVm(self.start())
        vm.negotiate()
        vm.send_raw(sub(BIOS_UUID, uuid_text("00" * 16)) + sub(LOCATION_UUID, uuid_text("ff" * 16)) +
                    sub(0x55) + sub(0x57) + vm.do_proxy() + vm.vc_uuid())
        vm.wait_suboption(WILL_PROXY)
        self.assertEqual(vm.suboptions(UNKNOWN_2), [])

    def test_codes_that_nobody_knows_are_answered_with_the_code(self):
        vm = EsxiVm(self.start())
        vm.negotiate()
        for n, code in enumerate([4, 42, 47, 49, 99, 254, 255], 1):
            before = len(vm.raw)
            vm.send_raw(sub(code, b"data"))
            self.assertEqual(vm.wait_suboption(UNKNOWN_2, n), bytes([code]))
            doubled = bytes([code, code]) if code == 255 else bytes([code])
            self.assertEqual(bytes(vm.raw[before:]), b"\xff\xfa\xe8\x03" + doubled + b"\xff\xf0")

    def test_known_suboptions_are_the_same_each_time(self):
        vm = connected_vm(self.start())
        vm.send_raw(say(WONT, VMWARE))
        vm.wait_trace(("dont", VMWARE))
        vm.send_raw(say(WILL, VMWARE))
        vm.wait_suboption(KNOWN_2, 2)
        self.assertEqual(*vm.suboptions(KNOWN_2))

    def test_com_port_settings_are_confirmed(self):
        vm = connected_vm(self.start())
        for command, value in [(1, b"\x00\x01\xc2\x00"), (1, b"\x00\x00\xff\xff"), (2, b"\x08"), (3, b"\x01"),
                               (4, b"\x01"), (5, b"\x01")]:
            vm.send_raw(sub(command, value, option=COM_PORT))
            vm.wait_trace(("sb", COM_PORT, bytes([command + 100]) + value))

    def test_authentication_is_declined(self):
        vm = EsxiVm(self.start())
        vm.negotiate()
        self.assertIn(("dont", AUTHENTICATION), vm.trace)
        self.assertNotIn(("do", AUTHENTICATION), vm.trace)

    def test_a_host_that_cannot_tell_the_name_is_served_under_its_uuid(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd)
        vm.negotiate()
        vm.send_raw(vm.do_proxy() + vm.vc_uuid() + sub(UNKNOWN_1, bytes([GET_NAME])))
        vm.wait_connected()
        vspcd.wait_logged(rf"VM {vm.id} \({vm.id}\): connected")


class Refusals(TestCase):
    def assert_wont_proxy(self, vspcd, do_proxy, pattern):
        vm = EsxiVm(vspcd)
        vm.negotiate()
        vm.send_raw(do_proxy)
        vm.wait_closed()
        self.assertFalse(vm.reset)
        self.assertTrue(vm.raw.endswith(sub(WONT_PROXY)), bytes(vm.raw[-20:]))
        vspcd.wait_logged(pattern)

    def test_direction_client(self):
        self.assert_wont_proxy(self.start(), sub(DO_PROXY, b"Ctelnet://10.0.0.1:2000"),
                               r'"telnet://10\.0\.0\.1:2000": set the direction .* to Server')

    def test_no_direction(self):
        self.assert_wont_proxy(self.start(), sub(DO_PROXY), "DO-PROXY without a direction")

    def test_a_uri_that_is_not_served(self):
        vspcd = self.start(ServiceURI="s0 s1")
        self.assert_wont_proxy(vspcd, sub(DO_PROXY, b"Ss2"), 'Port URI "s2" is not in ServiceURI=')
        connected_vm(vspcd, uri="s1")

    def test_an_underscore_under_multi_console(self):
        self.assert_wont_proxy(self.start(MultiConsole="yes"), sub(DO_PROXY, b"Scom_1"),
                               'Port URI "com_1" contains "_"')

    def test_an_underscore_without_multi_console_is_fine(self):
        connected_vm(self.start(), uri="com_1")

    def test_the_refusal_arrives_even_if_the_host_goes_on_sending(self):
        """A socket closed with unread input would reset the connection, and the reset overtake the answer."""
        vspcd = self.start(ServiceURI="s0")
        vm = EsxiVm(vspcd)
        vm.negotiate()
        vm.send_raw(sub(DO_PROXY, b"Sother") + vm.vc_uuid() + vm.vm_name() + b"x" * 20000)
        vm.wait_closed()
        self.assertFalse(vm.reset)
        self.assertTrue(vm.raw.endswith(sub(WONT_PROXY)), bytes(vm.raw[-20:]))

    def test_uuids_that_are_none(self):
        vspcd = self.start()
        for text in (b"50 12 34", uuid_text("a" * 32)[:-1], uuid_text("b" * 32) + b"0",
                     uuid_text("c" * 32).replace(b"c", b"g", 1), b"\xff" * 32, b"\n" + uuid_text("d" * 32)):
            with self.subTest(text=text):
                vm = EsxiVm(vspcd)
                vm.negotiate()
                vm.send_raw(vm.do_proxy() + sub(VC_UUID, text) + vm.vm_name())
                vm.wait_closed()
                vspcd.wait_logged(f":{vm.local_port}: its VM-VC-UUID .* is not 32 hex digits")
        self.assertFalse(vspcd.has_logged("its clients use port"))

    def test_an_overlong_subnegotiation_is_closed(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd)
        vm.negotiate()
        vm.send_raw(sub(NAME, b"n" * 100_000))
        vm.wait_closed()
        vspcd.wait_logged(f":{vm.local_port}: sent a subnegotiation of option 232 of more than 1024 bytes")

    def test_a_subnegotiation_that_never_ends_is_closed(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd)
        vm.negotiate()
        vm.send_raw(bytes([IAC, SB, VMWARE, NAME]) + b"n" * 1100)
        vm.wait_closed()

    def test_the_longest_subnegotiation_is_understood(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd, "n" * 1023)
        vm.connect()
        vspcd.wait_logged(r"VM n+ \(")

    def test_the_handshake_has_to_be_finished_in_time(self):
        vspcd = self.start()
        silent = EsxiVm(vspcd)
        half = EsxiVm(vspcd)
        half.negotiate()
        half.send_raw(half.do_proxy() + half.vc_uuid())
        half.wait_suboption(WILL_PROXY)
        vspcd.reload(HandshakeTimeoutSec="300ms")
        for vm in (silent, half):
            vm.wait_closed()
            vspcd.wait_logged(f":{vm.local_port}: has not said in time which VM it is")

    def test_the_handshake_timeout_is_not_for_those_who_have_finished(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vspcd.reload(HandshakeTimeoutSec="300ms")
        later = EsxiVm(vspcd)
        later.wait_closed()  # a whole timeout has passed
        vm.send(b"still here")
        TelnetClient(vm).wait_data(b"still here")

    def test_tls_is_recognised_and_explained(self):
        vspcd = self.start()
        hello = EsxiVm(vspcd)
        hello.send_raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
        hello.wait_closed()
        vspcd.wait_logged(rf":{hello.local_port}: begins TLS, for which there is no certificate.*CertificateFile=.*"
                          "not telnets://")


class Strangers(TestCase):
    def test_a_telnet_user_is_told_in_one_line(self):
        vspcd = self.start()
        user = EsxiVm(vspcd)
        user.send_raw(say(WONT, VMWARE))
        user.wait_closed()
        self.assertEqual(bytes(user.data), REFUSAL)
        self.assertFalse(user.reset)
        vspcd.wait_logged("is not an ESXi host")

    def test_the_real_telnet_program_is_told_in_one_line(self):
        vspcd = self.start()
        master, slave = pty.openpty()
        telnet = subprocess.Popen(["telnet", *map(str, vspcd.vm_address)], stdin=slave, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
        self.addCleanup(lambda: (os.close(master), os.close(slave)))
        output, _ = telnet.communicate(timeout=30)
        self.assertIn(REFUSAL.rstrip(), output)
        self.assertIn(b"Connection closed by foreign host", output)

    def test_data_before_identity_is_kept(self):
        vspcd = self.start(ScrollbackSize="64K")
        vm = EsxiVm(vspcd)
        vm.negotiate()
        early = b"BIOS " + bytes(range(256)).replace(b"\x05", b"") * 100  # ENQ is left out of a replay
        vm.send(early)
        vm.send_raw(vm.do_proxy() + sub(99))
        vm.wait_suboption(UNKNOWN_2)
        vm.send(b"later ")
        vm.send_raw(vm.vc_uuid() + vm.vm_name())
        vm.send(b"live")
        vm.wait_connected()
        client = TelnetClient(vm)
        client.wait_data(b"live")
        self.assertSameBytes(client.data, early + b"later live")

    def test_data_before_identity_is_kept_up_to_the_limit_exactly(self):
        vm = EsxiVm(self.start(ScrollbackSize="64K"))
        vm.negotiate()
        vm.send(b"k" * 32768)
        vm.send_raw(vm.do_proxy() + vm.vc_uuid() + vm.vm_name())
        vm.wait_connected()
        client = TelnetClient(vm)
        client.wait_size(32768)
        self.assertSameBytes(client.data, b"k" * 32768)

    def test_one_byte_more_closes(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd)
        vm.negotiate()
        vm.send(b"k" * 32769)
        vm.wait_closed()
        vspcd.wait_logged(f":{vm.local_port}: sent more than 32768 bytes before saying which VM it is")

    def test_what_a_stranger_sends_reaches_no_console(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = RawClient(vm)
        stranger = EsxiVm(vspcd, vm.name, digits=vm.digits)
        stranger.negotiate()
        stranger.send(b"forged")
        stranger.send_raw(stranger.do_proxy() + stranger.vm_name() + sub(99))
        stranger.wait_suboption(UNKNOWN_2)
        stranger.close()
        vm.send(b"genuine")
        client.wait_data(b"genuine")
        self.assertSameBytes(client.data, b"genuine")

    def test_nothing_of_option_232_counts_before_it_is_agreed(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd)
        vm.send_raw(vm.do_proxy() + vm.vc_uuid() + vm.vm_name() + sub(99))
        vm.handshake()
        vm.wait_connected()
        self.assertEqual(vm.suboptions(UNKNOWN_2), [])
        self.assertEqual(len(vm.suboptions(GET_VC_UUID)), 1)

    def test_hostile_names_are_clean_in_the_log(self):
        vspcd = self.start()
        names = [b"a\nvspcd: VM root (x): forged", b"\x1b[2J\x1b]0;title\x07", b"../../etc/passwd", b"\xff\xfe\xc0\xaf",
                 "right\u202eleft\u2028\u200f".encode(), b"nul\0nul", b"\x9b31m", b"x" * 900, b"%s%n%d", b""]
        for name in names:
            with self.subTest(name=name):
                EsxiVm(vspcd, name).connect()
        connected = [line for line in vspcd.log if "connected from" in line]
        self.assertEqual(len(connected), len(names))
        for line in vspcd.log:
            self.assertTrue(line.startswith("vspcd: "), line)
            self.assertTrue(line.isprintable(), line)
            line.encode("utf-8")  # raises for what was not UTF-8
        vspcd.wait_logged(r"VM %s%n%d \(")

    def test_a_new_name_is_taken_up(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "before")
        vm.send_raw(sub(NAME, b"after"))
        vspcd.wait_logged(r"VM before \(.*\): is now called after")


if __name__ == "__main__":
    main()
