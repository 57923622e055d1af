# SPDX-License-Identifier: LGPL-2.1-or-later

"""The scrollback that a new client gets: it begins with a line or a whole character and contains no terminal queries.
Later output is never changed."""

import os
import subprocess
import tempfile

from harness import PATIENCE_SEC, TestCase, clean_environment, main, wait_for
from peers import RawClient, TelnetClient, connected_vm
from test_slow_clients import SKIPPED, SMALL, numbered
from varlink_peer import attached

CLIENT = os.path.abspath(os.environ.get("VSPC_CLIENT", "build/vspc-client"))

QUERY_MAX = 4096
SCROLLBACK = 16384  # ScrollbackSize= as it is without a configuration

QUERIES = [
    b"\x05",  # ENQ
    b"\x1bZ",  # DECID
    b"\x1b[5n", b"\x1b[6n", b"\x1b[?6n", b"\x1b[?15n", b"\x1b[?996n",  # DSR
    b"\x1b[c", b"\x1b[0c", b"\x1b[>c", b"\x1b[>0c", b"\x1b[=c", b"\x1b[?c",  # DA
    b"\x1b[11t", b"\x1b[13t", b"\x1b[14;2t", b"\x1b[18t", b"\x1b[19t", b"\x1b[20t", b"\x1b[21t",  # window reports
    b"\x1b[?2026$p", b"\x1b[4$p",  # DECRQM
    b"\x1bP+q544e\x1b\\", b"\x1bP+q436f;524742\x9c",  # XTGETTCAP
    b"\x1b]10;?\x07", b"\x1b]11;?\x1b\\", b"\x1b]4;1;?;2;?\x07", b"\x1b]12;?\xc2\x9c",  # OSC: colours
    b"\x1b]52;c;?\x07", b"\x1b]52;;?\x1b\\",  # OSC: the clipboard
    b"\x1b]0;?\x07", b"\x1b]2;?\x1b\\",  # OSC: titles
    b"\x9b6n", b"\x9bc", b"\xc2\x9b6n",  # CSI in one byte, and as UTF-8 has it
    b"\x1b[>q", b"\x1b[?u", b"\x1bP$qm\x1b\\",  # XTVERSION, the kitty keyboard protocol, DECRQSS
]

HARMLESS = [
    b"\x1b[1;31m", b"\x1b[H\x1b[2J", b"\x1b[?25l", b"\x1b[4h", b"\x1b[!p", b"\x1b7\x1b8", b"\x1b(B", b"\x1b[u",
    b"\x1b[?0c", b"\x1b[?17;0;64c",  # the cursor of Linux's console
    b"\x1b[22;0t", b"\x1b[23;0t", b"\x1b[8;24;80t",  # title stack, a size
    b"\x1b]0;root@host: ~\x07", b"\x1b]8;;http://h/?a=b\x1b\\", b"\x1b]10;#ffffff\x07", b"\x1b]52;c;Zm9v\x07",
    b"\x1bPq#0;2;0;0;0~-\x1b\\",  # sixels
    "\u011b6n \u26d46n \u4e9b6n \U0001f6db6n".encode(),  # characters that end with 0x9B, and with others of its kind
    b"\xe06n", b"\x9b3x", b"\x18\x1a\x07\0\x7f",
]


def replay_of(vm, text, **kwargs):
    """What a telnet client gets that connects now, up to @text, which the VM has said last."""
    client = TelnetClient(vm, **kwargs)
    client.wait_data(text)
    return bytes(client.data)


def say_to_nobody(vm, output):
    """Without a client; returns once vspcd has it."""
    vm.send(output)
    vm.vspcd.wait_read(vm.vspcd.vm_address[1], vm)


class Queries(TestCase):
    def test_a_replay_asks_the_terminal_nothing(self):
        vm = connected_vm(self.start())
        say_to_nobody(vm, b"".join(b"<%d>" % i + query for i, query in enumerate(QUERIES)) + b"login: ")
        self.assertSameBytes(replay_of(vm, b"login: "), b"".join(b"<%d>" % i for i in range(len(QUERIES))) + b"login: ")

    def test_everything_but_queries_is_replayed_unchanged(self):
        vm = connected_vm(self.start())
        output = b"|".join(HARMLESS) + bytes(b for b in range(256) if b != 5) + b"login: "
        say_to_nobody(vm, output)
        self.assertSameBytes(replay_of(vm, b"login: "), output)

    def test_a_client_that_is_connected_gets_queries(self):
        vm = connected_vm(self.start())
        telnet, raw, admin = TelnetClient(vm), RawClient(vm), attached(vm)
        output = b"".join(QUERIES) + b"login: "
        say_to_nobody(vm, output)
        for client in telnet, raw, admin:
            client.wait_data(b"login: ")
            self.assertSameBytes(client.data, output)

    def test_a_query_that_is_completed_after_a_client_has_come_is_sent(self):
        vm = connected_vm(self.start())
        say_to_nobody(vm, b"\x1b[6n\x1b[6")
        client = TelnetClient(vm)
        client.wait_data(b"\x1b[6")
        vm.send(b"n\x1b[6n#")
        client.wait_data(b"#")
        self.assertSameBytes(client.data, b"\x1b[6n\x1b[6n#")

    def test_a_query_of_4_kib_is_left_out_and_a_longer_one_is_not(self):
        vm = connected_vm(self.start())
        longest = b"\x1bP+q" + b"4" * (QUERY_MAX - 6) + b"\x1b\\"
        longer = b"\x1bP+q" + b"4" * (QUERY_MAX - 5) + b"\x1b\\"
        self.assertEqual(len(longest), QUERY_MAX)
        say_to_nobody(vm, longest + b"|" + longer + b"|")
        self.assertSameBytes(replay_of(vm, longer + b"|"), b"|" + longer + b"|")

    def test_nothing_is_asked_because_something_was_left_out(self):
        """The output before a query and that behind it must not become a query when the two come together."""
        vm = connected_vm(self.start())
        say_to_nobody(vm, b"\x1b[\x1b[6n6n|\x1b]10;\x1b[6n?\x07|\x1b\x1b[6n[6n|\x1b[\x056n|\x1b[\x051m|"
                      b"\x1b[\x05\x1bZ6n|")
        self.assertSameBytes(replay_of(vm, b"6n|"), b"\x1b[\x186n|\x1b]10;\x18?\x07|\x1b\x18[6n||\x1b[1m|\x1b[\x186n|")

    def test_a_replay_over_varlink_has_no_queries_either(self):
        vm = connected_vm(self.start())
        say_to_nobody(vm, b"\x1b[6nlogin: ")
        client = attached(vm)
        client.wait_data(b"login: ")
        self.assertSameBytes(client.data, b"login: ")

    def test_a_client_that_reads_slowly_gets_the_same(self):
        """The replay stops wherever the connection takes no more, and goes on later. The VM's output meanwhile is live."""
        vm = connected_vm(self.start(ScrollbackSize="8M", ClientBufferSize="8M"))
        one = "line \u2500\u011b6n\u2502\x1b[1mbold\x1b[0m\r\n".encode()
        many = (b"".join(QUERIES) + one * 40) * 3000
        say_to_nobody(vm, many)
        client = TelnetClient(vm, receive_buffer=SMALL)
        vm.send(b"\x1b[6n" * 1000 + b"THE END")
        client.wait(lambda: client.data.endswith(b"THE END"), "the end")
        self.assertSameBytes(client.data, one * 40 * 3000 + b"\x1b[6n" * 1000 + b"THE END")

    def test_a_scrollback_of_nothing_but_queries_holds_up_nobody_else(self):
        vspcd = self.start(ScrollbackSize="4M")
        vm, other = connected_vm(vspcd), connected_vm(vspcd)
        at_other = TelnetClient(other)
        for unit, left in ((b"\x05", b""), (b"x\x05", b"x"), (b"\x1b[c", b""), (b"\xc2\x9b\x9b6", b"\xc2\x9b\x9b6")):
            output = unit * ((4 << 20) // len(unit) - 1) + b"#"
            say_to_nobody(vm, output)
            client = TelnetClient(vm)
            other.send(b"<other>")
            at_other.wait_data(b"<other>")
            client.wait(lambda: client.data.endswith(b"#"), "all of it")
            at_other.take()
            client.close()

    def test_a_real_terminal_is_not_asked(self):
        """tmux, which is a terminal, answers what the guest asks live, and nothing else."""
        vspcd = self.start()
        vm = connected_vm(vspcd, "web01")
        say_to_nobody(vm, b"\x1b[c\x1b[6n\x1b[>c\x1b[5n\x05\x1bZ\x1b[18t\x1b]11;?\x07\r\nlogin: ")
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-tmux-"))
        environment = clean_environment(HOME=folder, TERM="xterm")

        def tmux(*args):
            return subprocess.run(["tmux", "-S", f"{folder}/socket", *args], check=True, capture_output=True, text=True,
                                  env=environment, timeout=PATIENCE_SEC).stdout

        tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24",
             f"{CLIENT} --host=127.0.0.1:{vspcd.admin_address[1]} web01")
        self.addCleanup(tmux, "kill-server")
        wait_for(lambda: "login:" in tmux("capture-pane", "-p"), "the scrollback in tmux")
        vm.send(b"\x1b[5n")
        vm.wait_data(b"\x1b[0n")
        self.assertSameBytes(vm.data, b"\x1b[0n")


class Beginning(TestCase):
    def replayed(self, vspcd, output):
        """The replay of @output, which ends with a "#"."""
        vm = connected_vm(vspcd)
        say_to_nobody(vm, output)
        client = TelnetClient(vm)
        client.wait_data(b"#")
        return bytes(client.data)

    def test_output_that_was_not_cut_is_replayed_from_its_beginning(self):
        vspcd = self.start()
        for output in b"\x80\xbf no character\nfirst line\n#", b"one line\n" + b"x" * (SCROLLBACK - 10) + b"#":
            self.assertLessEqual(len(output), SCROLLBACK)
            self.assertSameBytes(self.replayed(vspcd, output), output)

    def test_output_that_was_cut_is_replayed_from_the_beginning_of_a_line(self):
        lines = b"".join(b"line %d\r\n" % i for i in range(4000)) + b"#"
        got = self.replayed(self.start(), lines)
        self.assertGreater(len(got), SCROLLBACK - 16)
        self.assertTrue(got.startswith(b"line "), got[:20])
        self.assertTrue(lines.endswith(b"\n" + got))

    def test_the_beginning_of_a_line_is_looked_for_in_the_first_quarter(self):
        vspcd = self.start(ScrollbackSize=1000)
        for n_before, found in (250, True), (251, False):
            tail = b"x" * n_before + b"y" * (999 - n_before) + b"#"
            output = b"z" * 500 + tail[:n_before - 1] + b"\n" + tail[n_before:]
            self.assertSameBytes(self.replayed(vspcd, output), output[-(1000 - n_before * found):])

    def test_the_beginning_of_a_line_is_looked_for_in_the_first_4_kib(self):
        size = 1 << 20
        vspcd = self.start(ScrollbackSize=size)
        for n_before, found in (4096, True), (4097, False):
            output = b"z" * 500 + b"x" * (n_before - 1) + b"\n" + b"y" * (size - n_before - 1) + b"#"
            self.assertSameBytes(self.replayed(vspcd, output), output[500 + n_before * found:])

    def test_without_such_a_line_a_replay_begins_with_a_whole_character(self):
        vspcd = self.start()
        for character in "\u00e9", "\u2500", "\U0001f600":
            for n in range(4):
                output = b"." * n + character.encode() * SCROLLBACK + b"#"
                got = self.replayed(vspcd, output)
                self.assertTrue(got.startswith(character.encode()), (character, n, got[:8]))
                self.assertGreater(len(got), SCROLLBACK - 4)

    def test_a_client_that_has_missed_output_goes_on_with_a_line(self):
        vspcd = self.start(ClientBufferSize="64K", ScrollbackSize="4K")
        vm = connected_vm(vspcd)
        slow = TelnetClient(vm, receive_buffer=SMALL)
        for i in range(40):
            vm.send_raw(numbered(250_000, i * 25_000))
            vspcd.wait_read(vspcd.vm_address[1], vm)
        vm.send(b"THE END")
        slow.wait_data(b"THE END")
        _, *later = SKIPPED.split(bytes(slow.data))
        self.assertTrue(later)
        for text in later[1::2]:
            self.assertRegex(text, rb"^\d{9}\n")

    def test_output_that_is_not_utf_8_is_not_cut_further(self):
        output = bytes(range(128, 192)) * 1000 + b"#"
        self.assertSameBytes(self.replayed(self.start(ScrollbackSize=1000), output), output[-1000:])


if __name__ == "__main__":
    main()
