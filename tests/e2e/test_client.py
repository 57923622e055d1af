# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspc-client at a console as used by people and scripts: on a terminal (a pty that is its controlling terminal), in
tmux, and with pipes; with vspcd, and with a server that behaves in other ways."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import ssl
import subprocess
import tempfile
import termios
import threading
import time
from unittest import mock, skipUnless

from client_cases import CLIENT, ESCAPE, ClientTestCase, environment, options_of, run
from fake_varlink import FakeVspcd, a_vm, all_vms, error, reply
from harness import PATIENCE_SEC, is_sanitized, listener, main, wait_for
from peers import ALL_BYTES, BRK, DO, DONT, ECHO, WILL, WONT, EsxiVm, TelnetClient, connected_vm, double, say

SANITIZED = is_sanitized(CLIENT)
NAWS, TERMINAL_TYPE = 31, 24
WOULD_BLOCK = BlockingIOError, ssl.SSLWantWriteError


def never_a_reply(caller, _):
    """A byte now and then."""
    with contextlib.suppress(OSError):
        while not select.select([caller.sock], [], [], 0.3)[0]:
            caller.sock.sendall(b" ")


def never_the_last(caller, _):
    """A VM now and then."""
    with contextlib.suppress(OSError):
        while not select.select([caller.sock], [], [], 0.3)[0]:
            caller.sock.sendall(json.dumps({"parameters": {"vm": a_vm("web01")}, "continues": True}).encode() + b"\0")


class Hostility(ClientTestCase):
    """What a server may do that wants to keep us, or our memory."""

    def test_a_byte_now_and_then_is_no_answer(self):
        server = self.attaching(GetMetrics=never_a_reply)
        server.answers["List"] = never_a_reply
        terminals = [self.terminal(server, verb) for verb in ("list", "metrics")]
        for terminal in terminals:
            self.assertEqual(terminal.wait_exit(), 1)
            self.assertIn(b"vspcd does not answer", terminal.shown)

    def test_the_prompt_has_its_answer_soon_or_not_at_all(self):
        terminals = []
        for answer in never_a_reply, never_the_last:
            server = self.attaching(Clear=answer)
            server.answers["List"] = answer
            for command in (b"info", b"clear") if answer is never_a_reply else (b"info",):
                terminal = self.attached(server, "web01")
                terminal.command(command)
                terminals.append(terminal)
        for terminal in terminals:
            terminal.wait_shown(b"vspcd does not answer\r\nvspc> ")
            terminal.type(b"q\r")
            self.assertEqual(terminal.wait_exit(), 0)

    def test_who_is_attached_does_not_wait_for_similar_names(self):
        server = self.attaching()
        terminal = self.attached(server, "web01", "--wait")
        server.answers["Attach"] = error("NoSuchVM", vm="web01")
        server.wait_attached().close()
        terminal.wait_shown(b"No VM named ")
        terminal.command(b"q")
        self.assertEqual(terminal.wait_exit(), 0)
        self.assertNotIn("List", [method for method, _ in server.calls])

    def test_an_answer_of_too_many_parts(self):
        many = reply(vm={"a": [0] * 8192}, granted="free_for_all")
        for args in ["list"], ["attach", "web01"]:
            self.assertSays(run(self.fake(List=many, Attach=many), *args), "too many parts")

    def test_answers_without_end(self):
        vm = json.dumps({"parameters": {"vm": {"a": [[]] * 4000}}, "continues": True}).encode() + b"\0"

        def answer(caller, parameters):
            if parameters.get("name"):
                return error("NoSuchVM", vm="x")
            with contextlib.suppress(OSError):
                while True:
                    caller.sock.sendall(vm)

        for verb, text, limit in ("list", "too many VMs", 600), ("show", 'No VM named "x".\n', 200):
            process = subprocess.Popen([CLIENT, *options_of(self.fake(List=answer)), verb, *["x"][:verb == "show"]],
                                       stderr=subprocess.PIPE, text=True, env=environment())
            with process.stderr:
                self.assertIn(text, process.stderr.read())
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, 1)
            if not SANITIZED:
                self.assertLess(usage.ru_maxrss, limit << 10)


class Attach(ClientTestCase):
    def test_keys_and_output(self):
        vm, terminal = self.attached_to_vm(name="web01")
        self.assertIn(f"vspc-client: Connected to VM web01 ({vm.id}). The escape character is ^].".encode(),
                      terminal.shown)
        terminal.type(b"ls\r")
        vm.wait_data(b"ls\r")
        vm.send(b"file\r\n$ ")
        terminal.wait_shown(b"file\r\n$ ")

    def test_a_bare_vm_is_attached_to(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        self.attached(vspcd, vm.name)

    def test_every_byte_in_both_directions(self):
        vm, terminal = self.attached_to_vm("--escape=none")
        blob = (ALL_BYTES + bytes(reversed(ALL_BYTES)) + b"\xff" * 99 + b"\r\n\r\0\n") * 64
        n = len(terminal.shown)
        vm.send(blob)
        terminal.wait(lambda: len(terminal.shown) >= n + len(blob), "all output")
        self.assertSameBytes(terminal.shown[n:], blob)
        terminal.type(blob)
        vm.wait_size(len(blob))
        self.assertSameBytes(vm.data, blob)

    def test_scrollback_unless_it_is_not_wanted(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(b"<old>")
        self.attached(vspcd, vm.name).wait_shown(b"<old>")
        terminal = self.attached(vspcd, vm.name, "--no-scrollback")
        vm.send(b"<new>")
        terminal.wait_shown(b"<new>")
        self.assertNotIn(b"<old>", terminal.shown)

    def test_notices_of_vspcd_are_shown(self):
        vm, terminal = self.attached_to_vm()
        vm.close()
        terminal.wait_shown(b"\r\n[vspc: VM disconnected]\r\n")

    def test_an_access_mode_may_be_written_as_varlink_spells_it_or_with_dashes(self):
        for given in "exclusive", "write", "free-for-all", "free-for-all-fallback", "read-only", "free_for_all", "free_for_all_fallback":
            server = self.attaching()
            result = run(server, "web01", f"--access={given}", "--quiet-for=0s")
            self.assertEqual((result.returncode, server.calls),
                             (0, [("Attach", {"vm": "web01", "access": given.replace("-", "_")})]), result)

    def test_who_keeps_it_from_writing(self):
        vm, first = self.attached_to_vm("--access=write")
        first.wait_shown(b"You hold write access.")
        second = self.attached(vm.vspcd, vm.name)
        second.wait_shown(b"vspc-client: Read-only: 127.0.0.1:")
        second.wait_shown(b" holds write access since ")

    def test_negotiation_is_answered_and_refused(self):
        server = self.attaching()
        self.attached(server, "web01")
        peer = server.wait_attached()
        peer.send(say(DO, NAWS) + say(WILL, TERMINAL_TYPE) + say(WILL, ECHO) + say(DO, NAWS))
        peer.wait_data(say(WONT, NAWS) + say(DONT, TERMINAL_TYPE) + say(WONT, NAWS))

    def test_binary_that_is_withdrawn(self):
        server = self.attaching()
        terminal = self.attached(server, "web01")
        peer = server.wait_attached()
        peer.send(say(DONT, 0) + say(WONT, 0) + b"a\r\0b")
        peer.wait_data(say(WONT, 0) + say(DONT, 0))
        terminal.wait_shown(b"a\rb")
        terminal.type(b"x\ry")
        peer.wait_data(b"x\r\0y")

    def test_the_size_of_the_window_makes_no_difference(self):
        vm, terminal = self.attached_to_vm()
        for size in (1, 1), (500, 500), (50, 132):
            terminal.resize(*size)
            vm.send(b"<%d>" % size[0])
            terminal.wait_shown(b"<%d>" % size[0])
        terminal.type(b"still here")
        vm.wait_data(b"still here")
        self.assertEqual(bytes(vm.data), b"still here")

    def test_output_to_a_file_keys_from_the_terminal(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        with tempfile.NamedTemporaryFile() as f:
            terminal = self.attached(vspcd, vm.name, stdout=f)
            vm.send(ALL_BYTES)
            wait_for(lambda: os.path.getsize(f.name) >= 256, "the output in the file")
            terminal.command(b"quit")
            self.assertEqual(terminal.wait_exit(), 0)
            with open(f.name, "rb") as got:
                self.assertSameBytes(got.read(), ALL_BYTES)

    def test_a_client_that_is_killed_leaves_nothing_behind(self):
        vm, terminal = self.attached_to_vm("--access=exclusive")
        terminal.process.kill()
        terminal.wait_exit()
        wait_for(lambda: ' 0 ' in run(vm.vspcd, "--no-legend").stdout, "vspcd to see that it is gone")
        again = self.attached(vm.vspcd, vm.name, "--access=exclusive")
        again.type(b"x")
        vm.wait_data(b"x")


class Prompt(ClientTestCase):
    TAKEN_MAX = 4 << 20  # by vspc-client and the kernel, of what the prompt holds back

    def test_quit(self):
        for line in b"quit", b"q", b"  qu ", b"cl\x7f\x7fq", b"nonsense\x15q":
            _, terminal = self.attached_to_vm()
            terminal.command(line)
            self.assertEqual(terminal.wait_exit(), 0)
            self.assertTrue(terminal.is_as_before())

    def test_the_end_of_input_quits(self):
        _, terminal = self.attached_to_vm()
        terminal.prompt()
        terminal.type(b"\x04")
        self.assertEqual(terminal.wait_exit(), 0)

    def test_continue(self):
        vm, terminal = self.attached_to_vm()
        for line in b"", b"c", b"continue", b"nonsense\x03":
            terminal.command(line)
            terminal.type(b"<%s>" % line[:1])
            vm.wait_data(b"<%s>" % line[:1])
            self.assertTrue(terminal.is_raw())
        self.assertNotIn(b"continue", bytes(vm.data))
        self.assertNotIn(ESCAPE, bytes(vm.data))

    def test_print_escape(self):
        vm, terminal = self.attached_to_vm()
        terminal.command(b"print-escape")
        vm.wait_data(ESCAPE)
        terminal.command(b"p")
        vm.wait_data(ESCAPE * 2)

    def test_break(self):
        vm, terminal = self.attached_to_vm(name="web01")
        terminal.type(b"a")
        terminal.command(b"break")
        terminal.wait_shown(f"vspc-client: Break sent to VM web01 ({vm.id}).\r\n".encode())
        terminal.type(b"b")
        vm.wait_data(b"ab")
        self.assertEqual([item for item in vm.trace if item == ("command", BRK)], [("command", BRK)])

    def test_info(self):
        vm, terminal = self.attached_to_vm(name="web01")
        terminal.command(b"info")
        terminal.wait_shown(b"\r\n     Name: web01\r\n")
        terminal.wait_shown(b"\r\n  Clients: 1\r\n")
        self.assertIn(f"UUID: {vm.id}\r\n".encode(), terminal.shown)
        terminal.wait(lambda: terminal.shown.endswith(b"\r\nvspc> "), "the prompt again")
        terminal.type(b"\r")
        terminal.type(b"x")
        vm.wait_data(b"x")

    def test_clear_cuts_this_connection_too(self):
        vm, terminal = self.attached_to_vm()
        other = TelnetClient(vm)
        terminal.command(b"clear")
        terminal.wait_shown(b"2 clients disconnected, including this one.")
        self.assertEqual(terminal.wait_exit(), 0)
        self.assertTrue(terminal.is_as_before())
        other.wait_closed()

    def test_help(self):
        vm, terminal = self.attached_to_vm()
        for line in b"help", b"h", b"?":
            n = len(terminal.shown)
            terminal.command(line)
            for word in b"quit", b"continue", b"print-escape", b"break", b"info", b"clear", b"suspend":
                terminal.wait_shown(b"\r\n" + word + b" ", n)
            terminal.wait(lambda: terminal.shown.endswith(b"\r\nvspc> "), "the prompt again")
            terminal.type(b"\r")
        terminal.type(b"x")
        vm.wait_data(b"x")

    def test_nonsense(self):
        vm, terminal = self.attached_to_vm()
        terminal.command(b"frob")
        terminal.wait_shown(b"There is no such command")
        terminal.type(b"y" * 300)
        terminal.wait_shown(b"\x07")
        terminal.type(b"\x15\r")
        terminal.type(b"x")
        vm.wait_data(b"x")
        self.assertEqual(bytes(vm.data), b"x")

    def test_keys_around_it_in_one_go(self):
        vm, terminal = self.attached_to_vm()
        terminal.type(b"before" + ESCAPE + b"c\rafter" + ESCAPE + b"\r.")
        vm.wait_data(b".")
        self.assertEqual(bytes(vm.data), b"beforeafter.")

    def test_another_escape_character(self):
        vm, terminal = self.attached_to_vm("--escape=^a")
        terminal.wait_shown(b"The escape character is ^A.")
        terminal.type(ESCAPE + b"\x01q\r")
        self.assertEqual(terminal.wait_exit(), 0)
        vm.wait_data(ESCAPE)

    def test_output_is_held_back_and_shown_after(self):
        vm, terminal = self.attached_to_vm()
        terminal.prompt()
        vm.send(b"<held>")
        terminal.type(b"info\r")  # takes longer than the output
        terminal.wait_shown(b"Received: 6B, last ")
        terminal.wait(lambda: terminal.shown.endswith(b"\r\nvspc> "), "the prompt again")
        self.assertNotIn(b"<held>", terminal.shown)
        terminal.type(b"\r")
        terminal.wait_shown(b"vspc> \r\n<held>")

    def test_what_is_held_back_is_bounded_and_nothing_is_lost(self):
        server = self.attaching()
        terminal = self.attached(server, "web01")
        peer = server.wait_attached()
        terminal.prompt()
        n = len(terminal.shown)
        blob = bytes(range(32, 127)) * 100000
        peer.sock.setblocking(False)
        sent = 0

        def send():
            """Returns whether more than a MiB has been taken, and no more for half a second."""
            nonlocal sent
            taken = False
            with contextlib.suppress(*WOULD_BLOCK):
                n = peer.sock.send(blob[sent:sent + (1 << 18)])
                sent, taken = sent + n, True
            is_stuck = not taken and not select.select([], [peer.sock], [], 0.5)[1] and sent > 1 << 20
            return is_stuck or sent == len(blob)

        wait_for(send, lambda: f"more than a MiB to be taken, it is {sent}")
        self.assertLess(sent, self.TAKEN_MAX)
        with open(f"/proc/{terminal.process.pid}/status", encoding="ascii") as f:
            rss = int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1])
        self.assertLess(rss, 200000 if SANITIZED else 16000)

        terminal.type(b"c\r")
        peer.sock.setblocking(True)
        rest = threading.Thread(target=lambda: peer.sock.sendall(blob[sent:]))
        rest.start()
        expected = len(b"c\r\n") + len(blob)
        terminal.wait(lambda: len(terminal.shown) >= n + expected, "all that was held back")
        rest.join()
        self.assertSameBytes(terminal.shown[n:], b"c\r\n" + blob)

    def test_works_while_the_vm_takes_no_input(self):
        server = self.attaching()
        terminal = self.attached(server, "web01")
        server.wait_attached()  # which reads nothing
        keys = b"x" * 4096
        while b"\a" not in terminal.shown:
            if select.select([], [terminal.fd], [], 0.02)[1]:
                os.write(terminal.fd, keys)
            terminal.read()
        terminal.wait(lambda: select.select([], [terminal.fd], [], 0)[1], "the keys to be read")
        terminal.command(b"q")
        self.assertEqual(terminal.wait_exit(), 0)

    def test_works_while_the_terminal_takes_no_output(self):
        server = self.attaching()
        terminal = self.attached(server, "web01")
        peer = server.wait_attached()
        peer.sock.setblocking(False)
        with contextlib.suppress(*WOULD_BLOCK):
            for _ in range(256):
                peer.sock.send(b"y" * 65536)
        terminal.type(b"still")
        peer.sock.setblocking(True)
        peer.wait_data(b"still")


class TheTerminalIsRestored(ClientTestCase):
    def ends(self, terminal, how, *, status):
        self.assertTrue(terminal.is_raw())
        how()
        self.assertEqual(terminal.wait_exit(), status)
        self.assertTrue(terminal.is_as_before())

    def test_after_a_signal(self):
        _, terminal = self.attached_to_vm()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV,
                       signal.SIGUSR1, signal.SIGPIPE):
            if number == signal.SIGSEGV and SANITIZED:
                continue
            terminal = self.attached(self.attaching(), "web01")
            self.ends(terminal, lambda n=number, t=terminal: t.process.send_signal(n), status=-number)

    def test_after_the_server_has_closed(self):
        server = self.attaching()
        terminal = self.attached(server, "web01")
        self.ends(terminal, lambda: server.wait_attached().close(), status=1)
        terminal.wait_shown(b"Disconnected from VM web01 (50120001-")
        self.assertIn(b"): vspcd has closed the connection\r\n", terminal.shown)

    def test_after_vspcd_was_killed(self):
        vm, terminal = self.attached_to_vm()
        vm.vspcd.healthy = False
        vm.send(b"<last words>")
        terminal.wait_shown(b"<last words>")
        self.ends(terminal, lambda: vm.vspcd.signal(signal.SIGKILL), status=1)
        vm.vspcd.wait_exit()

    def test_while_the_prompt_is_open(self):
        server = self.attaching()
        terminal = self.attached(server, "web01")
        terminal.prompt()
        server.wait_attached().send(b"<held>")
        self.ends(terminal, lambda: server.wait_attached().close(), status=1)
        self.assertIn(b"<held>", terminal.shown)

    def test_while_it_is_stopped(self):
        vm, terminal = self.attached_to_vm()

        def state():
            with open(f"/proc/{terminal.process.pid}/stat", encoding="ascii") as f:
                return f.read().rsplit(")", 1)[1].split()[0]

        # Its process group is orphaned, as that of a shell is, so only SIGSTOP stops it; what ^Z does in a job of
        # a shell is tested in tmux.
        terminal.process.send_signal(signal.SIGTSTP)
        terminal.type(b"a")
        vm.wait_data(b"a")
        self.assertTrue(terminal.is_raw())

        terminal.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: state() == "T", "it to be stopped")
        termios.tcsetattr(terminal.slave, termios.TCSANOW, terminal.before)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait(terminal.is_raw, "the terminal to be raw again")
        terminal.type(b"b")
        vm.wait_data(b"ab")

    def test_not_touched_when_nothing_is_attached(self):
        for args in ["attach", "nobody"], ["list"]:
            terminal = self.terminal(self.fake(Attach=error("NoSuchVM", vm="nobody"), List=all_vms([])), *args)
            terminal.wait_exit()
            self.assertTrue(terminal.is_as_before())


class Pipes(ClientTestCase):
    def attached_with_pipes(self, server, vm, *args, **kwargs):
        process = subprocess.Popen([CLIENT, *options_of(server), "attach", vm, *args], env=environment(),
                                   **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                                      **kwargs})
        self.addCleanup(lambda: [f.close() for f in (process.stdin, process.stdout, process.stderr) if f])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_a_command_and_what_comes_of_it(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        process = self.attached_with_pipes(vspcd, vm.name)
        process.stdin.write(b"uname\n" + ESCAPE)
        process.stdin.close()
        vm.wait_data(b"uname\n" + ESCAPE)
        vm.send(b"Linux\n")
        self.assertEqual(process.stdout.read(), b"Linux\n")
        self.assertEqual(process.wait(PATIENCE_SEC), 0)
        self.assertRegex(process.stderr.read().decode(), rf"^vspc-client: Connected to VM {vm.name} \(\S+\)\.\n$")

    def test_output_alone_goes_on_until_it_is_interrupted(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        process = self.attached_with_pipes(vspcd, vm.name, stdin=subprocess.DEVNULL)
        for i in range(3):
            vm.send(b"line %d\n" % i)
            self.assertEqual(process.stdout.readline(), b"line %d\n" % i)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE_SEC), -signal.SIGINT)

    def test_output_alone_until_it_has_been_silent(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(ALL_BYTES)
        process = self.attached_with_pipes(vspcd, vm.name, "--quiet-for=2s", stdin=subprocess.DEVNULL)
        self.assertSameBytes(process.stdout.read(), ALL_BYTES.replace(b"\x05", b""))  # ENQ asks the terminal who it is
        self.assertEqual(process.wait(PATIENCE_SEC), 0)

    def test_a_vm_that_goes_on_talking_is_not_silent(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        process = self.attached_with_pipes(vspcd, vm.name, "--quiet-for=2s", stdin=subprocess.DEVNULL)
        process.stderr.readline()
        began = time.monotonic()
        while time.monotonic() < began + 3:
            vm.send(b"still here\n")
            self.assertEqual(process.stdout.readline(), b"still here\n")
        self.assertEqual(process.wait(PATIENCE_SEC), 0)

    def test_a_file_to_the_vm_and_one_from_it(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        blob = ALL_BYTES * 4096
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as sink:
            source.write(blob)
            source.seek(0)
            process = self.attached_with_pipes(vspcd, vm.name, stdin=source, stdout=sink)
            vm.wait_size(len(blob))
            self.assertSameBytes(vm.data, blob)
            vm.send(blob)
            self.assertEqual(process.wait(PATIENCE_SEC), 0)
            sink.seek(0)
            self.assertSameBytes(sink.read(), blob)

    def test_more_than_fits_waits_in_the_pipe(self):
        server = self.attaching()
        process = self.attached_with_pipes(server, "web01")
        peer = server.wait_attached()
        blob = b"\xff" * (4 << 20)
        writer = threading.Thread(target=lambda: (process.stdin.write(blob), process.stdin.close()))
        writer.start()
        peer.wait_data(double(blob))
        writer.join()
        self.assertEqual(process.wait(PATIENCE_SEC), 0)

    def test_input_that_is_not_taken_is_a_failure(self):
        server = self.attaching()
        with tempfile.TemporaryFile() as source:
            source.truncate(900 << 10)
            process = self.attached_with_pipes(server, "web01", "--quiet-for=200ms", stdin=source)
            self.assertEqual(process.wait(PATIENCE_SEC), 1)
        self.assertIn(b" bytes of the input", process.stderr.read())

    def test_a_lost_connection_is_a_failure(self):
        server = self.attaching()
        process = self.attached_with_pipes(server, "web01")
        peer = server.wait_attached()
        peer.send(b"<last words>")
        peer.close()
        self.assertEqual(process.wait(PATIENCE_SEC), 1)
        self.assertEqual(process.stdout.read(), b"<last words>")
        self.assertIn(b"Disconnected from VM web01", process.stderr.read())

    def test_nobody_reads_the_output(self):
        server = self.attaching()
        process = self.attached_with_pipes(server, "web01", stdin=subprocess.DEVNULL)
        process.stdout.close()
        server.wait_attached().send(b"x")
        self.assertEqual(process.wait(PATIENCE_SEC), -signal.SIGPIPE)
        self.assertNotIn(b"Cannot", process.stderr.read())

    def test_a_full_disk_is_a_failure(self):
        server = self.attaching()
        with open("/dev/full", "wb") as full:
            process = self.attached_with_pipes(server, "web01", stdin=subprocess.DEVNULL, stdout=full)
            server.wait_attached().send(b"x")
            self.assertEqual(process.wait(PATIENCE_SEC), 1)
        self.assertIn(b"Cannot write to the standard output: No space left on device", process.stderr.read())

    def test_slow_output_loses_nothing(self):
        vspcd = self.start(SlowClient="wait")
        vm = connected_vm(vspcd)
        process = self.attached_with_pipes(vspcd, vm.name, "--quiet-for=2s", stdin=subprocess.DEVNULL)
        process.stderr.readline()
        blob = ALL_BYTES * 16384
        sender = threading.Thread(target=lambda: vm.send(blob))
        sender.start()
        self.assertSameBytes(process.stdout.read(len(blob)), blob)
        sender.join()

    def test_closed_standard_descriptors(self):
        server = self.attaching()
        shell = 'exec "$0" "$@" <&- >&-'
        result = subprocess.run(["sh", "-c", shell, CLIENT, *options_of(server), "web01", "--quiet-for=100ms"],
                                capture_output=True, check=False, env=environment(), timeout=PATIENCE_SEC)
        self.assertEqual((result.returncode, result.stdout), (0, b""), result.stderr)


class Wait(ClientTestCase):
    def test_across_a_restart_of_vspcd(self):
        """With the admin socket kept open, as systemd does."""
        with listener() as vm_socket, listener() as admin_socket:
            def start():
                with mock.patch("harness.listener", side_effect=[vm_socket.dup(), admin_socket.dup()]):
                    return self.start()
            vspcd = start()
            vm = connected_vm(vspcd, "web01")
            terminal = self.attached(vspcd, "web01", "--wait")
            vspcd.signal(signal.SIGTERM)
            vspcd.wait_exit()
            terminal.wait_shown(b"\r\nWaiting until it is possible to attach to the VM.\r\n")
            self.assertTrue(terminal.is_raw())
            n = len(terminal.shown)
            again = start()
            terminal.wait_shown(b'No VM named "' + vm.id.encode(), n)
            vm = EsxiVm(again, "web02", digits=vm.digits).connect()
            terminal.wait_shown(b"Connected to VM web02 ", n)  # by its UUID
            terminal.type(b"x")
            vm.wait_data(b"x")
            self.assertEqual(terminal.shown[n:].count(b"No VM named"), 1)

    def test_for_vspcd_to_be_started(self):
        server = self.attaching()
        server.close()
        terminal = self.terminal(server, "web01", "--wait")
        terminal.wait_shown(b"Cannot reach vspcd: ")
        terminal.wait_shown(b"Waiting until it is possible to attach to the VM.\r\n")
        self.assertTrue(terminal.is_as_before())
        again = FakeVspcd(path=server.path, **server.answers)
        self.addCleanup(again.__exit__)
        again.wait_attached().send(b"<hello>")
        terminal.wait_shown(b"<hello>")
        self.assertEqual(terminal.shown.count(b"Cannot reach"), 1)

    def test_for_somebody_to_leave(self):
        vm, first = self.attached_to_vm("--access=exclusive")
        second = self.terminal(vm.vspcd, vm.name, "--wait")
        second.wait_shown(b" holds exclusive access since ")
        first.command(b"q")
        first.wait_exit()
        second.wait_shown(b"Connected to VM ")

    def test_can_be_given_up_at_the_prompt(self):
        server = self.attaching()
        terminal = self.attached(server, "web01", "--wait")
        peer = server.wait_attached()
        server.close()
        peer.close()
        terminal.wait_shown(b"Waiting until")
        terminal.command(b"break")
        terminal.wait_shown(b"No break was sent")
        terminal.command(b"info")
        terminal.wait_shown(b"Cannot reach vspcd: ")
        terminal.type(b"q\r")
        self.assertEqual(terminal.wait_exit(), 0)
        self.assertTrue(terminal.is_as_before())

    def test_not_for_what_time_does_not_heal(self):
        server = self.fake(Attach=error("AmbiguousVM", vm="web", uuids=["1", "2"]), List=all_vms([]))
        self.assertSays(run(server, "web", "--wait"), '"web" matches several VMs', "\n  1\n  2\n")


@skipUnless(shutil.which("tmux"), "tmux is not installed")
class Tmux(ClientTestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-tmux-"))
        shell = "env HISTFILE=/dev/null PS1='sh$ ' bash --norc --noprofile -i"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "30", shell)
        self.addCleanup(self.tmux, "kill-server")

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", f"{self.folder}/socket", *args], check=True, capture_output=True,
                              text=True, env=environment(HOME=self.folder)).stdout

    def type(self, *keys):
        self.tmux("send-keys", *keys)

    def screen(self):
        return self.tmux("capture-pane", "-p").rstrip("\n")

    def wait_screen(self, text):
        try:
            wait_for(lambda: text in self.screen(), repr(text))
        except AssertionError as e:
            raise AssertionError(f"{e}\nthe screen:\n{self.screen()}") from None

    def test_a_session(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "web01")
        self.wait_screen("sh$")
        self.type(f"{CLIENT} {options_of(vspcd)[0]} web01", "Enter")
        self.wait_screen("The escape character is ^].")
        vm.send(b"\x1b[2J\x1b[5;10Hlogin: ")
        self.wait_screen("\n         login:")
        self.type("root", "Enter", "C-c", "C-z", "C-d", "Up")
        vm.wait_data(b"root\r\x03\x1a\x04\x1b[A")
        self.tmux("resize-window", "-x", "60", "-y", "20")
        vm.send(b"root\r\n# ")
        self.wait_screen("login: root\n#")

        self.type("C-]")
        self.wait_screen("\nvspc>")
        vm.send(b"<held>")
        self.type("C-z")  # as a job of the shell
        self.wait_screen("Stopped")
        self.type("echo $((6 * 7))", "Enter")
        self.wait_screen("\n42\n")
        self.assertNotIn("<held>", self.screen())
        self.type("fg", "Enter")
        self.wait_screen("<held>")
        self.type("y")
        vm.wait_data(b"y")

        self.type("C-]", "quit", "Enter")
        self.wait_screen("vspc> quit\nsh$")
        self.type("echo status $?; stty -a | grep -o ' [-]*icanon'", "Enter")
        self.wait_screen("\nstatus 0\n icanon\n")


if __name__ == "__main__":
    main()
