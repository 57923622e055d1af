# SPDX-License-Identifier: LGPL-2.1-or-later

"""Limits for what unidentified connections and slow peers can make vspcd keep, drop or lose: each limit is reached."""

import contextlib
import ctypes
import errno
import itertools
import os
import pathlib
import re
import socket
import tempfile
import time

from certificates import Authority
from harness import TestCase, listener, main, wait_for
from peers import (ABORT, AUTHENTICATION, BEGIN, BINARY, DO, DO_PROXY, ECHO, ESXI_KNOWN, GOAHEAD, IAC, KNOWN_1, NAME, PEER,
                   SGA, UNKNOWN_2, VC_UUID, VMWARE, WILL, WONT, EsxiVm, Peer, RawClient, TelnetClient, connected_vm,
                   migration_target, say, sub, uuid_text)
from test_slow_clients import SMALL, send_until_stuck
from varlink_peer import Caller

INTRODUCTION = say(DO, BINARY, SGA, ECHO) + say(WILL, BINARY, SGA, VMWARE)
STRANGERS = 300
VMOTIONS_MAX = 8192
PENDING_MAX = 32 * 1024
STRANGER_LINES_MAX = 16  # in STRANGER_SEC
STRANGER_SEC = 10
LINKS_MAX = 32
ANSWERS_MAX = 64 * 1024


class LastWords(TestCase):
    def test_a_source_whose_words_begin_like_tls_is_heard(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm)
        secret = vm.begin(b"1234")
        migration_target(vm).peer(b"1234", secret).complete(b"1234")
        vm.send(b"\x16 are the last words")
        client.wait_data(b"\x16 are the last words")

    def test_a_target_that_dies_before_its_source_is_heard(self):
        vm = connected_vm(self.start())
        client = TelnetClient(vm)
        secret = vm.begin(b"1234")
        target = migration_target(vm).peer(b"1234", secret)
        target.send(b"the target's words")
        target.complete(b"1234")
        target.close()
        client.wait_data(b"the target's words")

    def test_a_byte_that_might_have_become_a_command_is_typed_when_its_client_leaves(self):
        vm = connected_vm(self.start())
        client = RawClient(vm)
        client.send_raw(b"\xff")
        client.close()
        vm.wait_data(b"\xff")

    def test_who_connects_to_a_vm_that_takes_no_input_sees_its_last_words(self):
        vm = connected_vm(self.start())
        vm.send(b"Kernel panic")
        typist = RawClient(vm)
        send_until_stuck(typist, b"k" * 65536)
        TelnetClient(vm).wait_data(b"Kernel panic")

    def test_a_vm_that_comes_again_and_again_does_not_overrun_a_client_that_is_waited_for(self):
        vspcd = self.start(SlowClient="wait", ClientBufferSize="64K", ScrollbackSize="0")
        vm = connected_vm(vspcd)
        client = TelnetClient(vm, receive_buffer=SMALL)
        sent = send_until_stuck(vm, b"x" * 65536)
        for _ in range(4):
            again = EsxiVm(vspcd, vm.name, digits=vm.digits)
            again.negotiate()
            again.send_raw(again.do_proxy() + again.vc_uuid() + b"y" * 30000)
            again.wait_suboption(71)
            again.send_raw(again.vm_name())
            again.wait_connected()

        client.wait(lambda: len(client.data) >= sent + 4 * 30000, "all of it")
        self.assertEqual((client.data.count(b"x"), client.data.count(b"y")), (sent, 4 * 30000))

    def test_what_a_vm_sends_before_it_is_known_has_room_however_small_the_buffer_of_clients_is(self):
        vspcd = self.start(SlowClient="wait", ClientBufferSize="8K", ScrollbackSize="0")
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        again = EsxiVm(vspcd, vm.name, digits=vm.digits)
        again.negotiate()
        again.send_raw(b"y" * PENDING_MAX + again.do_proxy() + again.vc_uuid() + again.vm_name())
        client.wait_data(b"y" * PENDING_MAX)


class Bounds(TestCase):
    def test_a_vm_that_reads_no_answers_is_closed(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd, receive_buffer=2048).connect()
        unknown = sub(200)
        question = unknown * (4 * ANSWERS_MAX // len(unknown))
        at = 0
        while not vspcd.logged("does not read our answers"):
            try:
                at += vm.sock.send(question[at % len(unknown):])
            except BlockingIOError:
                pass
            except OSError:
                break
            self.assertLess(at, 64 << 20)
        vspcd.wait_logged("does not read our answers")

    def test_a_vm_has_so_many_connections_and_no_more(self):
        vspcd = self.start(VMPorts="no")
        first = connected_vm(vspcd)
        others = [EsxiVm(vspcd, first.name, digits=first.digits).connect() for _ in range(LINKS_MAX - 1)]
        self.assertFalse(vspcd.has_logged("closing the oldest"))
        EsxiVm(vspcd, first.name, digits=first.digits).connect()
        first.wait_closed()
        vspcd.wait_logged(f"has more than {LINKS_MAX} connections, closing the oldest")
        others[0].send(b"goes on")
        self.assertFalse(others[0].eof)

    def test_mappings_without_a_port_are_not_given_up_for_a_descriptor_that_they_do_not_have(self):
        vspcd = self.start(VMPorts="no", nofile=120)
        vms = [connected_vm(vspcd) for _ in range(10)]
        for vm in vms:
            vm.close()
        vspcd.wait_status("0 VMs, 0 clients")
        strangers = [Peer(vspcd.vm_address) for _ in range(120)]
        vspcd.wait_logged("refused: all")
        self.assertFalse(vspcd.logged("is given up"))
        for stranger in strangers:
            stranger.close()

    def test_vms_that_are_gone_are_known_up_to_a_bound_and_the_oldest_goes_first(self):
        """65,536, which are as many as are restored: the next one makes the first one go."""
        state = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-state-"))
        file, now = os.path.join(state, "vm-ports"), time.time_ns() // 1000
        with open(file, "w", encoding="ascii") as f:
            f.write("vspc-mappings 1\n")
            for i in range(65536):
                f.write(f"-\tID=42120000-0000-0000-0000-{i:012x}\tNAME=vm{i}\tURI=s0\tSTORED={now}\t"
                        f"GONE={now - 1_000_000_000 + i * 1000}\n")
        vspcd = self.start(VMPorts="no", Backend=f"file:{state}")
        vspcd.wait_logged("65536 VMs restored")
        self.assertFalse(vspcd.has_logged("this one for longest"))
        connected_vm(vspcd, "new").close()
        vspcd.wait_logged(r"VM vm0 .* forgotten: more than 65536 VMs are away, and this one for longest")
        self.assertEqual(vspcd.count_logged("this one for longest"), 1)
        wait_for(lambda: b"REMOVED=42120000-0000-0000-0000-000000000000\n" in pathlib.Path(file).read_bytes() or
                 b"-000000000000\t" not in pathlib.Path(file).read_bytes(), "its removal to be stored")

    def test_a_long_name_leaves_room_in_the_log_for_what_happens(self):
        vspcd = self.start(MultiConsole="yes")
        EsxiVm(vspcd, "N" * 512, uri="u" * 900).handshake()
        vspcd.wait_logged(r"VM N{128} \([0-9a-f-]{36}_u+\): connected from")


class Strangers(TestCase):
    """Anybody may connect; what is logged about that is bounded."""

    LEFT_OUT = r"(\d+) log lines about unidentified connections suppressed"

    def test_vmotions_whose_source_has_gone_make_room_for_others(self):
        """Strangers can begin any number of them."""
        vspcd = self.start(VMPorts="no", env={"VSPC_LOG_LEVEL": "notice"})
        hello = say(WILL, AUTHENTICATION) + say(DO, BINARY, SGA, ECHO) + say(WILL, BINARY, SGA, VMWARE) + sub(KNOWN_1, ESXI_KNOWN)
        go_ahead = bytes([IAC, 250, VMWARE, GOAHEAD])
        for i in range(VMOTIONS_MAX + 1):
            with socket.create_connection(vspcd.vm_address) as s:
                s.sendall(hello + sub(DO_PROXY, b"Ss0") + sub(VC_UUID, uuid_text(f"4212{i:028x}")) + sub(NAME, b"x") +
                          sub(BEGIN, b"1"))
                answer = b""
                while go_ahead not in answer:
                    answer += s.recv(4096)
        vspcd.wait_logged("4212-?0{4}.* is gone in a vMotion: the source has closed, and too many other vMotions are under way")
        vm = connected_vm(vspcd)
        migration_target(vm).peer(b"2", vm.begin(b"2")).complete(b"2")

    def assertFewLines(self, vspcd, data, reason):
        """Each of these has the same logged, up to a bound, and the one who comes after that time is told of, and how
        many there were in between."""
        began = time.monotonic()
        for _ in range(STRANGERS):
            stranger = Peer(vspcd.vm_address)
            stranger.send_raw(data)
            stranger.wait_closed()
            stranger.close()
        vspcd.settle_log()
        n_spans = 1 + (time.monotonic() - began) // STRANGER_SEC
        self.assertIn(vspcd.count_logged(reason), range(STRANGER_LINES_MAX, int(n_spans * STRANGER_LINES_MAX) + 1))

    def test_who_is_no_esxi_host(self):
        vspcd = self.start()
        self.assertFewLines(vspcd, say(WONT, VMWARE), "is not an ESXi host")

        n_late = 0

        def counted():
            """All of them, and those who have come since, but for those who are to be counted with the next."""
            nonlocal n_late
            late = Peer(vspcd.vm_address)
            late.send_raw(say(WONT, VMWARE))
            late.wait_closed()
            late.close()
            n_late += 1
            told = vspcd.count_logged("is not an ESXi host")
            left_out = sum(int(line[1]) for line in filter(None, (re.search(self.LEFT_OUT, line)
                                                                  for line in vspcd.log[:])))
            self.assertLessEqual(told + left_out, STRANGERS + n_late)
            return told + left_out >= STRANGERS

        wait_for(counted, "what was left out to be counted")

    def test_who_begins_tls_where_there_is_no_certificate(self):
        self.assertFewLines(self.start(), b"\x16\x03\x01\x02\x00", "begins TLS, for which")

    def test_who_does_not_speak_tls_where_it_is_required(self):
        certificate = self.enterContext(Authority()).issue("vspc.example")
        for start_tls, data in (("no", say(WILL, VMWARE)), ("yes", say(WONT, AUTHENTICATION))):
            with self.subTest(start_tls=start_tls):
                vspcd = self.start(tls={"CertificateFile": certificate.both, "RequireVMTLS": "yes",
                                        "StartTLS": start_tls})
                self.assertFewLines(vspcd, data, "does not use TLS, which RequireVMTLS= requires")

    def test_whose_tls_is_none(self):
        certificate = self.enterContext(Authority()).issue("vspc.example")
        vspcd = self.start(tls={"CertificateFile": certificate.both})
        self.assertFewLines(vspcd, b"\x16garbage-garbage", "TLS has failed")

    def test_a_vm_is_told_of_all_the_same(self):
        vspcd = self.start()
        self.assertFewLines(vspcd, say(WONT, VMWARE), "is not an ESXi host")
        connected_vm(vspcd)  # that is logged


class Chatter(TestCase):
    """A VM's host can say some things without end that are of interest each time. The log's queue has 4,096 places:
    what is to be said of other VMs finds one all the same."""

    N, PART = 10000, 200

    def assertOthersAreHeard(self, say_once, reason):
        vspcd = self.start()
        vm, other = connected_vm(vspcd), connected_vm(vspcd)
        for i in range(self.N // self.PART):
            vm.send_raw(b"".join(say_once(i * self.PART + k) for k in range(self.PART)) + sub(ABORT) + sub(200))
            vm.wait_suboption(UNKNOWN_2, i + 1)  # it has been read so far
        other.send_raw(sub(NAME, b"another"))
        vspcd.wait_logged(f"VM {other.name} .*is now called another")
        vspcd.settle_log()
        self.assertFalse(vspcd.logged("log messages dropped"))
        self.assertIn(vspcd.count_logged(reason), range(1, 6 * STRANGER_LINES_MAX))
        return vspcd, vm

    def test_one_name_after_the_other(self):
        vspcd, vm = self.assertOthersAreHeard(lambda i: sub(NAME, b"name%d" % i), "is now called name")
        late = itertools.count()

        def counted():
            vm.send_raw(sub(NAME, b"late%d" % next(late)))
            return vspcd.logged(r"(\d+) log lines about this VM suppressed")

        self.assertGreater(int(wait_for(counted, "what was left out to be counted")[1]), self.PART)

    def test_one_vmotion_after_the_other(self):
        self.assertOthersAreHeard(lambda i: sub(BEGIN, b"%04d" % i), "begins to move away")

    def test_vmotions_that_are_called_off(self):
        self.assertOthersAreHeard(lambda i: sub(BEGIN, b"1234") + sub(ABORT), "stays on")

    def test_vmotions_that_cannot_be(self):
        self.assertOthersAreHeard(lambda i: sub(BEGIN, b"x" * 65), "vMotion refused")

    def test_secrets_that_are_none(self):
        self.assertOthersAreHeard(lambda i: sub(PEER, b"12345678"), "names an unknown vMotion")


class SocketOptions(TestCase):
    """What finds dead peers and keeps small pieces from waiting is looked at in the very sockets that vspcd has. That peers
    are found is test_dead_peers.py's."""

    PIDFD_GETFD = 438

    def socket_to(self, vspcd, peer):
        """vspcd's end of the connection, looked for among its descriptors: the machine's table of connections may have the
        peer's port more than once, for connections to other places and for those that are over."""
        ours, pidfd = peer.sock.getsockname(), os.pidfd_open(vspcd.pid)
        self.addCleanup(os.close, pidfd)
        for fd, what in vspcd.descriptors():
            if not what.startswith("socket:"):
                continue
            copy = ctypes.CDLL(None, use_errno=True).syscall(self.PIDFD_GETFD, pidfd, int(fd), 0)
            if copy < 0:
                self.assertEqual(ctypes.get_errno(), errno.EBADF)  # closed since
                continue
            connection = self.enterContext(socket.socket(fileno=copy))
            with contextlib.suppress(OSError):  # it is not connected
                if connection.getpeername() == ours:
                    return connection
        return self.fail(f"vspcd has no connection to {ours}, having {vspcd.descriptors()}")

    def assertTuned(self, vspcd, peer):
        connection = self.socket_to(vspcd, peer)

        def tcp(option):
            return connection.getsockopt(socket.IPPROTO_TCP, option)

        self.assertEqual(connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 1)
        silence = tcp(socket.TCP_KEEPIDLE) + tcp(socket.TCP_KEEPINTVL) * tcp(socket.TCP_KEEPCNT)
        self.assertLessEqual(silence, 90)
        self.assertEqual(tcp(socket.TCP_USER_TIMEOUT), 0)  # with that, probes are not counted
        self.assertEqual(tcp(socket.TCP_NODELAY), 1)
        self.assertEqual(connection.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE), 1)

    def test_of_hosts_clients_and_those_who_query(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        caller = Caller(vspcd)
        caller.list()
        for peer in vm, TelnetClient(vm), caller:
            self.assertTuned(vspcd, peer)

    def test_of_those_who_were_there_before_vspcd(self):
        listeners = [self.enterContext(listener()) for _ in range(2)]
        early = [Peer(s.getsockname()) for s in listeners]
        vspcd = self.start(passed=listeners)
        early[0].wait(lambda: early[0].raw, "what an ESXi host is offered")
        Caller(vspcd).list()  # those who have come before have been accepted before
        for peer in early:
            self.assertTuned(vspcd, peer)


class Reload(TestCase):
    def test_who_opens_vm_ports_to_others_is_told_that_the_unit_has_to_let_them_in(self):
        vspcd = self.start(VMPortAddress="0.0.0.0", env={"INVOCATION_ID": "0" * 32})
        vspcd.wait_logged(r"VM ports are not only for this machine .*IPAddressAllow= of vspc\.service")
        since = len(vspcd.log)
        vspcd.reload(VMPortAddress="127.0.0.1")
        self.assertFalse(vspcd.logged("IPAddressAllow", since))

    def test_a_new_vm_port_address_is_applied_and_the_port_kept(self):
        vspcd = self.start(VMPortAddress="0.0.0.0")
        vm = connected_vm(vspcd)

        def listens():
            with open(f"/proc/{vspcd.pid}/net/tcp", encoding="ascii") as table:
                sockets = [line.split() for line in table]
            return [s[1][:8] for s in sockets if s[1].endswith(f":{vm.port:04X}") and s[3] == "0A"]

        self.assertEqual(listens(), ["00000000"])
        vspcd.reload(VMPortAddress="127.0.0.1")
        wait_for(lambda: listens() == ["0100007F"], "the port to be on 127.0.0.1")
        client = TelnetClient(vm)
        vm.send(b"hello")
        client.wait_data(b"hello")


if __name__ == "__main__":
    main()
