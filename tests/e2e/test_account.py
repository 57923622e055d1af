# SPDX-License-Identifier: LGPL-2.1-or-later

"""ConnectionMemoryMax=: the memory that connections can make vspcd use, in total and for each user or address, and
the order in which it is freed. The tests run in a network of their own, in which this machine has more addresses than
127.0.0.1."""

import contextlib
import os
import resource
import socket
import unittest

from certificates import Authority
from harness import SANITIZED, TestCase, main, queued, tap, wait_for
from network import enter_own_network
from peers import NAME, WILL_PROXY, EsxiVm, Peer, RawClient, TelnetClient, connected_vm, sub
from test_slow_clients import SKIPPED, SMALL, assert_alive, numbered, send_until_stuck
from varlink_peer import Caller, attached

KIB, MIB = 1 << 10, 1 << 20
PENDING_MAX = 32 * KIB
RSS_SLACK = (96 if SANITIZED else 24) * MIB
SMALLEST = 4 * MIB  # ConnectionMemoryMax=
SHARE = SMALLEST // 2  # of one owner who is alone
NOBODY = 65534
HOST, OTHER_HOST = ("192.0.2.1", 0), ("192.0.2.2", 0)  # where ESXi hosts connect from

@contextlib.contextmanager
def effective_user(uid):
    """A local socket tells as whom its peer has connected."""
    before = os.geteuid()
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(before)


class AccountTestCase(TestCase):
    def start(self, *args, memory=SMALLEST, **kwargs):
        return super().start(*args, ConnectionMemoryMax=memory, **kwargs)

    def allow_descriptors(self, n):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < n:
            self.skipTest(f"{hard} descriptors are too few")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))


class Lag(AccountTestCase):
    """For a client that does not read as much as ClientBufferSize= is kept, 1 MiB here, and some of it in the kernel."""

    DATA = numbered(MIB)

    def lag(self, vm):
        """The VM says almost that much."""
        vm.send_raw(self.DATA)
        wait_for(lambda: queued(vm.sock.getsockname(), vm.sock.getpeername())[1] == 0, "all of it to arrive")
        vm.vspcd.wait_read(vm.vspcd.vm_address[1], vm)

    def test_200_clients_that_never_read_at_200_vms_stay_within_their_user_s_share(self):
        vspcd = self.start(memory=128 * MIB, local=True, ports=256)
        vms, other = [connected_vm(vspcd) for _ in range(200)], connected_vm(vspcd)
        clients = [attached(vm, local=True) for vm in vms]
        before = vspcd.rss()
        for vm in vms:
            self.lag(vm)
        grown = vspcd.rss() - before
        self.assertLess(grown, 64 * MIB + RSS_SLACK, f"grown by {grown >> 20} MiB")
        assert_alive(self, other)
        vspcd.wait_logged(rf"uid {os.geteuid()} uses \d+ KiB of memory, and may use \d+ KiB: the client that has lagged for "
                          "longest loses the output that is kept for it")
        clients[0].wait(lambda: SKIPPED.search(clients[0].data), "it to be told")
        assert_alive(self, vms[0])

    def assertWhoGoes(self, policy):
        """Of three clients for whom 1 MiB is kept each, where 2.5 MiB are their user's share, it is the first."""
        vspcd = self.start(memory=5 * MIB, local=True, SlowClient=policy, ClientBufferSize="1M", ScrollbackSize="0")
        vms = [connected_vm(vspcd) for _ in range(3)]
        clients = [attached(vm, local=True) for vm in vms]
        for vm in vms:
            vm.send_raw(b"<begins>" + numbered(MIB // 2))
            vspcd.wait_read(vspcd.vm_address[1], vm)
            vm.send_raw(numbered(MIB // 2, MIB // 20))
            vspcd.wait_read(vspcd.vm_address[1], vm)
        vspcd.wait_logged("the client that has lagged for longest loses the output that is kept for it")
        return vspcd, vms, clients

    def test_with_skip_the_client_that_lags_for_longest_skips_early(self):
        _, vms, clients = self.assertWhoGoes("skip")
        clients[0].wait(lambda: SKIPPED.search(clients[0].data), "it to be told")
        for vm, client in zip(vms, clients):
            vm.send(b"<ends>")
            client.wait_data(b"<ends>")
        self.assertEqual([len(SKIPPED.findall(client.data)) for client in clients], [1, 0, 0])

    def assertFirstIsClosed(self, policy):
        _, vms, clients = self.assertWhoGoes(policy)
        clients[0].wait_closed()
        for vm, client in list(zip(vms, clients))[1:]:
            vm.send(b"<ends>")
            client.wait_data(b"<ends>")
            self.assertSameBytes(client.data, b"<begins>" + numbered(MIB // 2) + numbered(MIB // 2, MIB // 20) + b"<ends>")
        assert_alive(self, vms[0])

    def test_with_drop_it_is_disconnected_early(self):
        self.assertFirstIsClosed("drop")

    def test_with_wait_it_is_disconnected_and_its_vm_waits_no_more(self):
        self.assertFirstIsClosed("wait")

    def test_no_other_client_of_the_vm_loses_a_byte(self):
        """Another one, who lags less, has another address."""
        vspcd = self.start(local=True, ScrollbackSize="0", ClientBufferSize="1M")
        vms = [connected_vm(vspcd) for _ in range(3)]
        slow, reader = [attached(vm, local=True) for vm in vms], attached(vms[0])
        data = numbered(MIB + MIB // 4)
        for vm in vms:
            vm.send_raw(data)
            vspcd.wait_read(vspcd.vm_address[1], vm)
            if vm == vms[0]:
                reader.wait_size(len(data) - MIB // 4)
        vspcd.wait_logged("loses the output that is kept for it")
        vms[0].send(b"<ends>")
        reader.wait_data(b"<ends>")
        self.assertSameBytes(reader.data, data + b"<ends>")
        slow[0].wait(lambda: SKIPPED.search(slow[0].data), "it to be told")

    @unittest.skipUnless(os.getuid() == 0, "only root can become somebody else")
    def test_what_one_user_lags_behind_costs_another_user_nothing(self):
        vspcd = self.start(local=True, ScrollbackSize="0")
        os.chmod(vspcd.admin_path, 0o666)
        vms, other = [connected_vm(vspcd) for _ in range(4)], connected_vm(vspcd)
        lagging = attached(other, local=True)
        self.lag(other)  # it has lagged for longest
        with effective_user(NOBODY):
            clients = [attached(vm, local=True) for vm in vms]
        for vm in vms:
            self.lag(vm)
        vspcd.wait_logged(rf"uid {NOBODY} uses \d+ KiB of memory")
        lagging.wait_size(len(self.DATA))
        self.assertSameBytes(lagging.data, self.DATA)
        self.assertFalse(vspcd.logged(rf"uid {os.geteuid()} takes"))
        clients[0].wait(lambda: SKIPPED.search(clients[0].data), "it to be told")


    def lag_together(self, reads_half):
        """Two clients of different users lag at one VM; the one of these that reads half of it is less far behind. Then this
        user has to give up some of what is kept for its clients, and that at this VM would be the first."""
        vspcd = self.start(memory=5 * MIB, local=True, ScrollbackSize="0")
        os.chmod(vspcd.admin_path, 0o666)
        vm, others = connected_vm(vspcd), [connected_vm(vspcd) for _ in range(4)]
        pair = [attached(vm, local=True)]  # what is kept is charged to the first of those who are furthest behind
        with effective_user(NOBODY):
            pair.append(attached(vm, local=True))
        self.lag(vm)
        reader = pair[reads_half]
        wait_for(lambda: reader.pump(32 * KIB) >= 0 and len(reader.data) >= MIB // 2, "half of it")
        clients = [attached(other, local=True) for other in others]
        for other in others:
            self.lag(other)
        vspcd.wait_logged(rf"uid {os.geteuid()} uses \d+ KiB of memory")
        clients[0].wait(lambda: SKIPPED.search(clients[0].data), "it to be told")
        return pair

    def assertHasAll(self, client):
        client.wait_size(len(self.DATA))
        self.assertSameBytes(client.data, self.DATA)

    @unittest.skipUnless(os.getuid() == 0, "only root can become somebody else")
    def test_who_has_caught_up_does_not_lose_output_that_is_kept_for_somebody_else_at_the_same_vm(self):
        for client in self.lag_together(0):
            self.assertHasAll(client)

    @unittest.skipUnless(os.getuid() == 0, "only root can become somebody else")
    def test_who_lags_less_does_not_lose_output_with_somebody_else_at_the_same_vm(self):
        furthest, other = self.lag_together(1)
        self.assertHasAll(other)
        furthest.wait(lambda: SKIPPED.search(furthest.data), "it to be told")


class Kernel(AccountTestCase):
    """What is on its way to a client is in memory of the kernel, which counts for MemoryMax= as vspcd's own does."""

    def test_clients_that_do_not_read_are_disconnected_for_it(self):
        vspcd = self.start(local=True, ClientBufferSize="8K", ScrollbackSize="0")
        vm = connected_vm(vspcd)
        reader, clients = attached(vm, local=True), [TelnetClient(vm) for _ in range(8)]
        sent = 0
        while not vspcd.logged(r"127\.0\.0\.1 uses \d+ KiB of memory, and may use \d+ KiB: disconnecting the client that has "
                               "gone longest without reading its output"):
            vm.send_raw(numbered(64 * KIB))
            sent += len(numbered(64 * KIB))
            reader.wait_size(sent)
            self.assertLess(sent, 64 * MIB)
        wait_for(lambda: vspcd.logged(rf"client \S+:(?:{'|'.join(str(c.local_port) for c in clients)}) disconnected"), "one to go")
        assert_alive(self, vm)

    def test_a_client_that_has_read_all_is_not(self):
        vspcd = self.start(local=True)
        vms = [connected_vm(vspcd) for _ in range(24)]
        clients = [attached(vm, local=True) for vm in vms]
        for vm, client in zip(vms, clients):
            vm.send_raw(numbered(150 * KIB))  # more than after which the kernel is asked, and less than it takes
            vspcd.wait_read(vspcd.vm_address[1], vm)
            client.wait_size(len(numbered(150 * KIB)))
        for vm, client in zip(vms, clients):
            client.pump()
            self.assertFalse(client.eof)


class Strangers(AccountTestCase):
    def start(self, **kwargs):
        return super().start(VMPorts="no", HandshakeTimeoutSec="10min", **kwargs)  # nobody is to go for that reason

    def begin_handshake(self, vspcd, source):
        """A host that has a byte here and has not said which VM it is"""
        vm = EsxiVm(vspcd, source=source)
        vm.negotiate()
        vm.send_raw(b"k")
        vspcd.wait_read(vspcd.vm_address[1], vm)
        return vm

    def finish_handshake(self, vm):
        vm.send_raw(vm.do_proxy() + vm.vc_uuid() + vm.vm_name())
        return vm.wait_connected()

    def crowd(self, vspcd, n, data):
        strangers = []
        for _ in range(n):
            strangers.append(Peer(vspcd.vm_address))
            strangers[-1].send_raw(data)
        vspcd.wait_read(vspcd.vm_address[1])
        return strangers

    def test_who_has_not_said_for_longest_which_vm_it_is_makes_room(self):
        vspcd = self.start()
        first = self.begin_handshake(vspcd, None)
        known = self.finish_handshake(self.begin_handshake(vspcd, None))
        strangers = self.crowd(vspcd, SHARE // PENDING_MAX, b"x" * PENDING_MAX)
        first.wait_closed()
        vspcd.wait_logged(r"127\.0\.0\.1 uses \d+ KiB of memory, and may use 2048 KiB: closing the connection that has gone "
                          "longest without saying which VM it is")
        strangers[0].wait_closed()
        late = self.finish_handshake(self.begin_handshake(vspcd, None))
        strangers[-1].pump()
        self.assertFalse(strangers[-1].eof)
        for vm in late, known:
            vm.pump()
            self.assertFalse(vm.eof)

    def test_there_is_room_again_when_one_is_known_when_one_goes_and_when_one_has_sent_all_that_it_may(self):
        vspcd = self.start()
        strangers = self.crowd(vspcd, SHARE // PENDING_MAX - 8, b"x" * PENDING_MAX)
        for _ in range(3):
            known = EsxiVm(vspcd)
            known.negotiate()
            known.send_raw(b"k" * PENDING_MAX + known.do_proxy() + known.vc_uuid())
            known.wait_suboption(WILL_PROXY)
            known.send_raw(known.vm_name())
            known.wait_connected()
            gone, = self.crowd(vspcd, 1, b"g" * PENDING_MAX)
            n = vspcd.n_descriptors()
            gone.close()
            wait_for(lambda n=n: vspcd.n_descriptors() < n, "it to be gone")
            greedy, = self.crowd(vspcd, 1, b"g" * (PENDING_MAX + 1))
            greedy.wait_closed()
        self.assertFalse(vspcd.has_logged("KiB of memory"))
        for stranger in strangers:
            stranger.pump()
            self.assertFalse(stranger.eof)

    def test_those_from_one_address_do_not_keep_out_a_host_at_another_one(self):
        vspcd = self.start()
        host = self.begin_handshake(vspcd, HOST)  # of all these it is the first
        strangers = self.crowd(vspcd, 2 * SHARE // PENDING_MAX, b"x" * PENDING_MAX)
        strangers[0].wait_closed()
        self.finish_handshake(host)
        self.finish_handshake(self.begin_handshake(vspcd, OTHER_HOST))

    def test_a_byte_each_in_tls_from_one_address_does_not_keep_out_a_host_at_another_one(self):
        certificate = self.enterContext(Authority()).issue("vspc.example")
        vspcd = self.start(tls={"CertificateFile": certificate.both, "StartTLS": "no"})
        host = self.begin_handshake(vspcd, HOST)
        strangers = self.crowd(vspcd, 2 * SHARE // (16 * KIB), b"\x16")
        strangers[0].wait_closed()
        self.finish_handshake(host)
        self.finish_handshake(self.begin_handshake(vspcd, OTHER_HOST))

    def test_what_they_send_in_a_handshake_of_tls_counts(self):
        """A record that does not come to its end"""
        certificate = self.enterContext(Authority()).issue("vspc.example")
        vspcd = self.start(tls={"CertificateFile": certificate.both})
        record = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(12 * KIB)
        strangers = self.crowd(vspcd, SHARE // (24 * KIB), record)
        strangers[0].wait_closed()


class Input(AccountTestCase):
    def test_what_is_typed_at_vms_that_take_no_input_stays_within_its_owner_s_share(self):
        vspcd = self.start(ports=64, local=True)
        vms = [EsxiVm(vspcd, receive_buffer=SMALL).connect() for _ in range(40)]
        for vm in vms:
            send_until_stuck(RawClient(vm), b"k" * MIB, quiet=0.1)
        vspcd.wait_logged("the VM that has taken no input for longest loses what was typed")
        vspcd.wait_logged(rf"VM {vms[0].name} .* 127.0.0.1:{vms[0].local_port} does not take its input: \d+ bytes dropped")
        memory = Caller(vspcd, local=True).get("GetMetrics")["connectionMemoryBytes"]  # a user of its own
        self.assertLess(memory, SHARE + MIB)
        assert_alive(self, vms[0])
        assert_alive(self, connected_vm(vspcd))


class Queries(AccountTestCase):
    def test_the_reader_of_events_that_has_not_read_for_longest_is_disconnected(self):
        vspcd = self.start(local=True)
        vm, caller = connected_vm(vspcd), Caller(vspcd)
        readers, good = [Caller(vspcd, local=True) for _ in range(16)], Caller(vspcd)
        for reader in (*readers, good):
            reader.monitor()
        names = [b"%03d" % i + b"n" * 400 for i in range(200)]
        while caller.get("GetMetrics")["givenUpForMemoryTotal"] == 0:
            for name in names:
                vm.send_raw(sub(NAME, name))
                good.wait_event("renamed")
            self.assertLess(len(good.raw), 16 * MIB)
        vspcd.wait_logged(rf"uid {os.geteuid()} uses \d+ KiB of memory, and may use \d+ KiB: closing the admin connection "
                          "that has gone longest without reading its answers")
        readers[0].wait_closed()
        readers[-1].pump()
        self.assertFalse(readers[-1].eof)
        metrics = caller.get("GetMetrics")
        self.assertEqual(metrics["connectionMemoryMaxBytes"], SMALLEST)
        self.assertIn(metrics["connectionMemoryBytes"], range(SHARE // 4, SHARE))


class Connections(AccountTestCase):
    def test_when_there_are_too_many_it_is_the_newest_that_goes(self):
        self.allow_descriptors(8192)
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        crowd = []
        self.addCleanup(lambda: [s.close() for s in crowd])
        while not vspcd.logged(r"127\.0\.0\.1 uses \d+ KiB of memory, and may use \d+ KiB: closing the newest connection"):
            crowd.append(socket.create_connection(("127.0.0.1", vm.port)))
            self.assertLess(len(crowd), 6000)
        vm.send(b"<alive>")
        client.wait_data(b"<alive>")


if __name__ == "__main__":
    try:
        enter_own_network(HOST[0], OTHER_HOST[0])
    except OSError as e:
        tap.unavailable(f"a network of its own: {e}")
    main()
