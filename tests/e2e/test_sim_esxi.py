# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspc-sim with a concentrator of the test, and a person at the shell of one of its guests."""

import signal
import socket
import subprocess

from harness import PATIENCE_SEC, VSPC_SIM, TestCase, clean_environment, main, sockets
from peers import (AUTHENTICATION, BINARY, DO, DO_PROXY, DONT, ECHO, GET_NAME, GET_VC_UUID, KNOWN_1, KNOWN_2, NAME, SGA,
                   VC_UUID, VMWARE, WILL, WILL_PROXY, TelnetClient, TelnetPeer, say, sub)


class Simulator:
    def __init__(self, test, address, *arguments, **kwargs):
        self.process = subprocess.Popen([VSPC_SIM, f"--connect={address[0]}:{address[1]}", "--no-reconnect", *arguments],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment(),
                                        **kwargs)
        test.addCleanup(self.end)

    def end(self):
        self.process.terminate()
        self.process.wait(PATIENCE_SEC)


class ConcentratorEnd(TelnetPeer):
    """The other end of a connection that vspc-sim makes."""

    def __init__(self, sock):  # pylint: disable=super-init-not-called
        sockets.append(sock)
        self.sock = sock
        self.sock.setblocking(False)
        self.raw = bytearray()
        self.eof = self.reset = False
        self.data, self.trace, self.rest = bytearray(), [], b""

    def suboptions(self, code):
        return [item[2][1:] for item in self.trace if item[:2] == ("sb", VMWARE) and item[2][0] == code]

    def wait_suboption(self, code):
        return self.wait(lambda: self.suboptions(code), f"suboption {code}")[0]


class Offers(TestCase):
    def connect(self):
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)
        listener.settimeout(PATIENCE_SEC)
        Simulator(self, listener.getsockname(), "--echo", "--name=guest")
        link = ConcentratorEnd(listener.accept()[0])
        link.wait_trace(("will", AUTHENTICATION))
        return link

    def serve(self, link):
        """VMware's own concentrator, and others, say nothing before the host has said what it knows."""
        link.wait_suboption(KNOWN_1)
        self.assertEqual(link.wait_suboption(DO_PROXY)[:1], b"S")
        link.send_raw(sub(KNOWN_2, bytes(range(88))) + sub(GET_VC_UUID) + sub(WILL_PROXY) + sub(GET_NAME))
        link.wait_suboption(VC_UUID)
        self.assertEqual(link.wait_suboption(NAME), b"guest")
        link.send_raw(b"hello")
        link.wait_data(b"hello")
        for code in (KNOWN_1, DO_PROXY):
            self.assertEqual(len(link.suboptions(code)), 1)
        self.assertEqual(link.trace.count(("will", VMWARE)), 1)

    def test_option_232_is_offered_to_a_concentrator_that_never_asks_for_it(self):
        link = self.connect()
        link.send_raw(say(DONT, AUTHENTICATION))
        link.wait_trace(("will", VMWARE))
        link.send_raw(say(DO, VMWARE))
        self.serve(link)

    def test_one_that_asks_before_authentication_is_settled_has_to_wait_for_that(self):
        link = self.connect()
        link.send_raw(say(DO, VMWARE) + say(WILL, ECHO))
        link.wait_trace(("do", ECHO))
        self.assertNotIn(("will", VMWARE), link.trace)
        link.send_raw(say(DONT, AUTHENTICATION))
        link.wait_trace(("will", VMWARE))
        link.send_raw(sub(KNOWN_2, bytes(range(88))))
        self.serve(link)

    def test_one_that_asks_after_it_has_been_offered_it_is_told_once(self):
        link = self.connect()
        link.send_raw(say(DONT, AUTHENTICATION))
        link.wait_trace(("will", VMWARE))
        link.send_raw(say(DO, VMWARE, BINARY, SGA) + say(WILL, BINARY, SGA, ECHO))
        link.send_raw(sub(KNOWN_2, bytes(range(88))))
        self.serve(link)

    def test_one_that_does_not_want_it_is_told_nothing(self):
        link = self.connect()
        link.send_raw(say(DONT, AUTHENTICATION))
        link.wait_trace(("will", VMWARE))
        link.send_raw(say(DONT, VMWARE) + say(WILL, ECHO))
        link.wait_trace(("do", ECHO))
        self.assertEqual(link.suboptions(KNOWN_1), [])


class GuestSignals(TestCase):
    def start_guest(self, command, *, ignored=(), blocked=()):
        """A client at a guest's console. vspc-sim itself has been started with these signals ignored or blocked."""
        def prepare():
            for number in ignored:
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        vspcd = self.start()
        Simulator(self, vspcd.vm_address, f"--exec={command}", start_new_session=True, preexec_fn=prepare)
        vm = vspcd.wait_logged(r"its clients use port (\d+)")
        self.client = TelnetClient(Console(vspcd, int(vm[1])))

    def shell(self, **kwargs):
        self.start_guest("PS1='guest# ' bash --norc -i", **kwargs)
        self.client.wait_data(b"guest# ")

    def run_in_shell(self, command, until):
        self.client.take()
        self.client.send(command.encode() + b"\r")
        self.client.wait_data(until)

    def assert_key_ends_a_program(self, key):
        """It is pressed once the program runs, which would do so for ever."""
        self.run_in_shell("sh -c 'echo RUN''NING; exec sleep 1000'", b"RUNNING")
        self.client.send(key)
        self.client.wait_data(b"guest# ")
        self.run_in_shell("echo $((6*7))", b"42")

    def test_interrupt_and_quit_keys_end_a_program(self):
        self.shell()
        for key in (b"\x03", b"\x1c"):
            self.assert_key_ends_a_program(key)

    def test_they_do_as_well_where_a_script_has_started_it_in_the_background(self):
        self.shell(ignored=(signal.SIGINT, signal.SIGQUIT))
        for key in (b"\x03", b"\x1c"):
            self.assert_key_ends_a_program(key)

    def test_no_signal_is_ignored_or_blocked_in_a_guest(self):
        odd = set(range(1, signal.SIGSYS + 1)) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGTERM}
        self.start_guest("cat /proc/self/status; exec sleep 1000", ignored=odd, blocked=odd)
        self.client.wait_data(b"SigCgt:")
        for line in (b"SigBlk:\t0000000000000000", b"SigIgn:\t0000000000000000"):
            self.assertIn(line, self.client.data)


class Console:
    """What a client has to know of a VM."""

    def __init__(self, vspcd, port):
        self.vspcd, self.port = vspcd, port


if __name__ == "__main__":
    main()
