# SPDX-License-Identifier: LGPL-2.1-or-later

"""Keys reach the VM as a terminal would send them, whatever the telnet program sends: commands for keys, line mode,
the Enter key of Windows' telnet, and TCP urgent data around commands."""

import signal
import socket

from harness import TestCase, main, wait_for
from peers import BRK, DO, DONT, ECHO, IAC, NOP, SGA, Peer, RawClient, TelnetClient, connected_vm, migration_target, say
from test_clients import HELD_MAX, Program, unsent, wait_raw
from varlink_peer import attached

XEOF, SUSP, ABORT, DM, IP, AO, EC, EL = 236, 237, 238, 242, 244, 245, 247, 248


class Synch(TestCase):
    """RFC 854: DM, or all of the command, comes as urgent data, which TCP takes out of the stream if it is let."""

    def send_synch(self, client, urgent_iac):
        flags = (socket.MSG_OOB, 0) if urgent_iac else (0, socket.MSG_OOB)
        for byte, flag in zip((IAC, DM), flags):
            client.sock.send(bytes([byte]), flag)

    def test_what_is_typed_after_a_synch_arrives_whole(self):
        for urgent_iac in (False, True):
            vm = connected_vm(self.start())
            client = TelnetClient(vm)
            client.send(b"before\r")
            self.send_synch(client, urgent_iac)
            client.send(b"whoami\r")
            client.send_raw(bytes([IAC, BRK]))
            vm.wait_trace(("command", BRK))
            self.assertEqual(vm.trace[-2:], [bytearray(b"before\rwhoami\r"), ("command", BRK)])

    def test_urgent_data_of_a_raw_client_is_data(self):
        vm = connected_vm(self.start())
        raw = RawClient(vm)
        wait_raw(vm, raw)
        raw.send(b"be")
        raw.sock.send(b"fo", socket.MSG_OOB)
        raw.send(b"re")
        vm.wait_size(len(b"before"))
        self.assertSameBytes(vm.data, b"before")

    def test_urgent_data_that_comes_before_the_connection_is_accepted_is_not_lost(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vspcd.signal(signal.SIGSTOP)
        self.addCleanup(vspcd.signal, signal.SIGCONT)
        client = Peer(("127.0.0.1", vm.port))
        for byte in b"abc":
            client.sock.send(bytes([byte]), socket.MSG_OOB)
        vspcd.signal(signal.SIGCONT)
        vm.wait_size(len(b"abc"))
        self.assertSameBytes(vm.data, b"abc")

    def test_telnet_sends_a_synch(self):
        vm = connected_vm(self.start())
        telnet = Program("telnet", "127.0.0.1", str(vm.port), terminal=True)
        self.addCleanup(telnet.end)
        vm.send(b"ready")
        telnet.wait_output(b"ready")
        for command in (b"send synch", b"send brk"):
            telnet.type(b"\x1d")
            telnet.wait_output(b"telnet> ")
            telnet.output = b""
            telnet.type(command + b"\r")
        vm.wait_trace(("command", BRK))
        telnet.type(b"whoami\r")
        vm.wait_data(b"whoami\r")
        self.assertSameBytes(vm.data, b"whoami\r")


class Keys(TestCase):
    def test_commands_for_keys_are_keys(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm)
        for command, key in ((IP, b"\x03"), (EC, b"\x7f"), (EL, b"\x15"), (SUSP, b"\x1a"), (ABORT, b"\x1c")):
            client.send_raw(b"a" + bytes([IAC, command]) + b"b")
            vm.wait_data(b"b")
            self.assertEqual(vm.take(), b"a" + key + b"b")

    def test_other_commands_reach_nobody(self):
        """PuTTY's plink sends EOF when its input ends, for example: nobody has pressed ^D then."""
        vm = connected_vm(self.start())
        client = TelnetClient(vm)
        client.send_raw(b"".join(bytes([IAC, c]) for c in (XEOF, 239, 240, NOP, DM, AO, 249)) + b"end")
        vm.wait_data(b"end")
        self.assertEqual((bytes(vm.data), vm.trace[-1]), (b"end", bytearray(b"end")))

    def test_a_client_that_may_only_read_does_not_interrupt(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        holder = attached(vm, access="write")
        client = TelnetClient(vm)
        client.send_raw(bytes([IAC, IP]))
        client.wait_data(b"read-only")
        holder.send(b"mine")
        vm.wait_data(b"mine")
        self.assertEqual(bytes(vm.data), b"mine")


class LineMode(TestCase):
    """A client that declines to have us suppress go-aheads, or to have us echo, edits lines by itself."""

    def test_in_line_mode_a_line_s_end_is_enter(self):
        for refused in ((SGA,), (ECHO,), (SGA, ECHO)):
            for binary in (False, True):
                vm = connected_vm(self.start())
                options = [o for o in (SGA, ECHO) if o not in refused]
                client = TelnetClient(vm, binary=binary, options=options, settle=False)
                client.wait_trace(("do", SGA))
                client.send(b"show version\nexit\r\n\nend\n")
                vm.wait_data(b"end\r")
                self.assertSameBytes(vm.data, b"show version\rexit\r\rend\r")

    def test_a_client_may_switch_line_mode_on_and_off(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm)
        client.send(b"\n")
        client.send_raw(say(DONT, SGA, ECHO))
        client.send(b"\n")
        client.wait_trace(("wont", ECHO))
        client.send_raw(say(DO, SGA, ECHO))
        client.send(b"\nend")
        vm.wait_data(b"end")
        self.assertSameBytes(vm.data, b"\n\r\nend")

    def test_a_pair_that_comes_in_two_reads_is_one_enter(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm, options=())
        client.send(b"a\r")
        vm.wait_data(b"a\r")
        client.send(b"\n")
        vspcd.wait_read(vm.port)
        client.send(b"\nb")
        vm.wait_data(b"b")
        self.assertSameBytes(vm.data, b"a\r\rb")

    def test_telnet_in_its_line_mode(self):
        vm = connected_vm(self.start())
        # ^C is a signal there, which only a controlling terminal makes of it.
        telnet = Program("setsid", "--ctty", "telnet", "127.0.0.1", str(vm.port), terminal=True, new_session=False)
        self.addCleanup(telnet.end)
        vm.send(b"ready")
        telnet.wait_output(b"ready")
        telnet.type(b"\x1d")
        telnet.wait_output(b"telnet> ")
        telnet.type(b"mode line\r")
        vm.send(b"ready again")
        telnet.wait_output(b"ready again")
        telnet.type(b"show version\r")
        vm.wait_data(b"show version")
        telnet.type(b"\x03")
        vm.wait_data(b"\x03")
        self.assertSameBytes(vm.data, b"show version\r\x03")


class WindowsEnter(TestCase):
    """Windows' telnet agrees to BINARY and sends CR LF where CR is meant."""

    def typed(self, *reads, setting=None, client=None, **kwargs):
        """What the VM gets of these, each of which vspcd reads by itself."""
        vspcd = self.start(**({"WindowsEnter": setting} if setting else {}))
        vm = connected_vm(vspcd)
        c = (client or TelnetClient)(vm, **kwargs)
        vspcd.wait_read(vm.port, c)
        for read in (*reads, b"<end>"):
            c.send(read)
            vspcd.wait_read(vm.port, c)
        vm.wait_data(b"<end>")
        return bytes(vm.data)[:-len(b"<end>")]

    def test_cr_lf_alone_in_a_read_is_enter(self):
        self.assertEqual(self.typed(b"\r\n", b"d", b"i", b"r", b"\r\n", b"\r\n", b"pasted", b"\r\n"),
                         b"\rdir\r\rpasted\r")

    def test_cr_lf_with_other_bytes_is_data(self):
        for read in (b"dir\r\n", b"\r\ndir", b"\r\n\r\n"):
            self.assertEqual(self.typed(b"\r\n", read, b"\r\n"), b"\r" + read + b"\r\n")

    def test_cr_lf_is_data_once_the_client_has_sent_what_windows_telnet_does_not(self):
        for read in (b"\r", b"\n", b"\0", b"a\r", b"a\nb", b"a\0b"):
            self.assertEqual(self.typed(b"\r\n", read, b"\r\n"), b"\r" + read + b"\r\n")

    def test_an_upload_in_writes_of_two_bytes_is_not_changed(self):
        text = b"line\r\n\r\nx = 1;\r\n"
        reads = [text[i:i + 2] for i in range(0, len(text), 2)]
        self.assertEqual(self.typed(*reads), text)

    def test_cr_lf_is_data_where_more_has_come_than_could_be_read(self):
        """What waits for a vMotion has a bound, and no more is read than it has room for: two bytes here."""
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client, filler = TelnetClient(vm), RawClient(vm)
        wait_raw(vm, filler)
        secret = vm.begin(b"\0\0\0\1")
        filler.send(b"f" * (HELD_MAX - 3))
        wait_for(lambda: unsent(filler) == 0, "all of it to be with vspcd")
        vspcd.wait_read(vm.port)
        client.send(b"\r\nabc")
        vspcd.wait_read(vm.port, filler)
        target = migration_target(vm).peer(b"\0\0\0\1", secret)
        target.complete(b"\0\0\0\1")
        target.wait_data(b"abc")
        self.assertEqual(bytes(target.data).replace(b"f", b""), b"\r\nabc")

    def test_windows_enter_can_be_turned_off(self):
        self.assertEqual(self.typed(b"a", b"\r\n", setting="no"), b"a\r\n")

    def test_cr_lf_of_a_raw_client_is_data(self):
        self.assertEqual(self.typed(b"a", b"\r\n", client=RawClient), b"a\r\n")


if __name__ == "__main__":
    main()
