# SPDX-License-Identifier: LGPL-2.1-or-later

"""Hostile or faulty TLS peers: their connections are closed and the reason is logged, others are not affected, and
nothing is left behind."""

import os
import random
import resource
import socket
import ssl
import subprocess
import threading

from harness import SANITIZED, clean_environment, main, wait_for
from peers import ALL_BYTES, AUTHENTICATION, WILL, WONT_PROXY, Peer, RawClient, TelnetPeer, EsxiVm, say
from tls13_wire import APPLICATION_DATA, InWire
from tls_peers import TlsInMemory, TlsTestCase, TlsVm, client_context
from varlink_peer import SERVICE, Caller, wait_away

MEGABYTE = 1 << 20
N_STOPPED = 1000 if SANITIZED else 3000
SESSION_MAX = 128 * 1024 if SANITIZED else 48 * 1024  # bytes of a handshake that has stopped


def client_hello(version=None):
    """The first flight of OpenSSL's."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client_context(version=version).wrap_bio(incoming, outgoing).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def record(kind, data, length=None):
    return bytes([kind, 3, 3]) + (len(data) if length is None else length).to_bytes(2, "big") + data


class BytewisePeer(Peer):
    def send_raw(self, data):
        for byte in data:
            super().send_raw(bytes([byte]))


class HostileTestCase(TlsTestCase):
    """A VM in TLS and its client are there all the time."""

    def begin(self, **kwargs):
        self.vspcd = self.start(tls={"CertificateFile": self.certificate.both}, SlowClient="wait", **kwargs)
        self.bystander = TlsVm(self.vspcd, "bystander").connect()
        self.client = RawClient(self.bystander)
        self.n_descriptors = self.vspcd.n_descriptors()
        return self.vspcd

    def assertUnharmed(self):
        self.bystander.send(ALL_BYTES)
        self.client.wait_data(ALL_BYTES)
        self.client.raw.clear()
        self.client.raw += RawClient.OFFERS
        wait_for(lambda: self.vspcd.n_descriptors() <= self.n_descriptors,
                 lambda: f"{self.n_descriptors} descriptors again, having {self.vspcd.n_descriptors()}")
        for line in self.vspcd.log:
            self.assertLess(len(line), 400)
            self.assertTrue(line.isprintable(), repr(line))

    def send_until_closed(self, *segments):
        """Returns the port that this came from."""
        peer = Peer(self.vspcd.vm_address)
        try:
            for segment in segments:
                peer.send_raw(segment)
        except ConnectionError:
            pass
        peer.wait_closed()
        peer.close()
        return peer.local_port

    def assertCutOff(self, *segments):
        """Whoever sends these is closed with a reason in the log, which is returned."""
        port = self.send_until_closed(*segments)
        return self.vspcd.wait_logged(rf"Connection from 127\.0\.0\.1:{port}: TLS has failed: (.+)")[1]


class Records(HostileTestCase):
    def cut_off(self, *segments):
        self.begin()
        reason = self.assertCutOff(*segments)
        self.assertUnharmed()
        return reason

    def test_garbage_after_the_first_byte(self):
        self.begin()
        prng = random.Random(1)
        for n in range(200):
            self.send_until_closed(b"\x16" + prng.randbytes(prng.randrange(5, 400)) + b"\0" * 70000)
        self.vspcd.settle_log()
        self.assertIn(self.vspcd.count_logged("TLS has failed"), range(1, 17))
        self.assertUnharmed()

    def test_a_record_longer_than_any(self):
        self.assertIn("record", self.cut_off(record(22, b"", 0xffff) + b"\0" * 70000).lower())

    def test_a_record_of_nothing(self):
        self.assertIn("unexpected", self.cut_off(record(22, b"") * 1000).lower())

    def test_a_message_longer_than_any(self):
        for length in (0xffffff, 0x100000):
            reason = self.cut_off(record(22, b"\x01" + length.to_bytes(3, "big") + b"\0" * 16000),
                                  record(22, b"\0" * 16384) * 100)
            self.assertEqual(reason, "it sends more than 32 KiB of TLS and says nothing")

    def test_a_message_that_never_ends_in_small_records(self):
        self.begin()
        before = self.vspcd.rss()
        reason = self.assertCutOff(record(22, b"\x01\xff\xff\xff" + b"\x03\x03"), *[record(22, b"\0") * 100] * 1000)
        self.assertEqual(reason, "it sends more than 32 KiB of TLS and says nothing")
        self.assertLess(self.vspcd.rss() - before, 8 * MEGABYTE)
        self.assertUnharmed()

    def test_warnings_without_end_in_the_middle_of_a_handshake(self):
        """Long before they are more than may be gathered"""
        reason = self.cut_off(client_hello(ssl.TLSVersion.TLSv1_2), record(21, b"\x01\x5a") * 9)
        self.assertEqual(reason, "the peer says: User canceled")

    def test_a_few_warnings_in_the_middle_of_a_handshake_are_borne(self):
        self.begin()
        peer = Peer(self.vspcd.vm_address)
        peer.send_raw(client_hello(ssl.TLSVersion.TLSv1_2) + record(21, b"\x01\x5a") * 8)
        peer.send_raw(record(21, b"\x02\x28"))
        self.assertEqual(self.vspcd.wait_logged(rf":{peer.local_port}: TLS has failed: (.+)")[1],
                         "the peer says: Handshake failed")

    def test_a_fatal_alert_and_telnet_behind_it(self):
        reason = self.cut_off(client_hello(ssl.TLSVersion.TLSv1_2), record(21, b"\x02\x28"),
                              say(WILL, AUTHENTICATION) + b"telnet")
        self.assertEqual(reason, "the peer says: Handshake failed")

    def test_telnet_in_the_middle_of_a_session(self):
        vspcd = self.begin()
        vm = TlsVm(vspcd, "victim").connect()
        client = RawClient(vm)
        with socket.socket(fileno=os.dup(vm.sock.fileno())) as below:
            below.sendall(say(WILL, AUTHENTICATION) + b"injected" * 10)
        vspcd.wait_logged(r"VM victim .*: TLS has failed: ")
        wait_away(vm)
        self.assertEqual(bytes(client.data), b"")
        client.close()
        vm.close()

    def test_an_alert_before_everything_is_no_tls(self):
        vspcd = self.begin()
        vm = EsxiVm(vspcd)
        vm.send_raw(record(21, b"\x02\x28"))
        vm.wait(lambda: vm.raw, "the offers of telnet")
        vm.close()
        self.assertUnharmed()

    def test_a_handshake_a_byte_at_a_time(self):
        vspcd = self.begin()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            peer = BytewisePeer(vspcd.vm_address)
            host = TlsInMemory(peer, client_context(version=version)).shake_hands()
            host.send(say(WILL, AUTHENTICATION))
            peer.raw.clear()
            peer.wait(lambda: peer.raw, "the offers")
            peer.close()
        self.assertUnharmed()


class Crowds(HostileTestCase):
    def crowd(self, n, data):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        crowd = []
        self.addCleanup(lambda: [s.close() for s in crowd])
        for i in range(n):
            crowd.append(socket.create_connection(self.vspcd.vm_address))
            crowd[-1].sendall(data(i))
        return crowd

    def test_thousands_that_stop_in_the_middle_of_a_handshake(self):
        vspcd = self.begin(HandshakeTimeoutSec="1min")
        hello = client_hello()
        flights = (hello, hello[:40], b"\x16", hello + b"\x14\x03\x03\x00\x01\x01")
        for s in self.crowd(200, lambda i: flights[i % 4]):
            s.close()
        wait_for(lambda: vspcd.n_descriptors() <= self.n_descriptors, "the first of them to be gone")

        before = vspcd.rss()
        crowd = self.crowd(N_STOPPED, lambda i: flights[i % 4])
        vm = TlsVm(vspcd).connect()
        self.n_descriptors += 1  # its port, which stays
        most = vspcd.rss()
        vm.close()
        vspcd.reload(HandshakeTimeoutSec="2s")
        for s in crowd:
            s.settimeout(60)
            try:
                while s.recv(65536):
                    pass
            except ConnectionResetError:
                pass
        self.assertLess(most - before, N_STOPPED * SESSION_MAX)
        self.assertUnharmed()

        crowd = self.crowd(N_STOPPED, lambda i: flights[i % 4])
        wait_for(lambda: vspcd.n_descriptors() <= self.n_descriptors, "the crowd to be given up", timeout=60)
        self.assertLess(vspcd.rss() - most, (32 if SANITIZED else 8) * MEGABYTE)
        self.assertUnharmed()

    def test_thousands_that_come_and_go_at_once(self):
        vspcd = self.begin()
        hello = client_hello()
        for _ in range(N_STOPPED // 100):
            crowd = self.crowd(100, lambda i: hello if i % 2 else hello[:200])
            for i, s in enumerate(crowd):
                if i % 3 == 0:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                s.close()
        vspcd.settle_log()
        self.assertLess(vspcd.count_logged("TLS has failed"), 20)
        self.assertUnharmed()


class WireStranger(InWire, Peer):
    """Shakes hands and says nothing."""

    def __init__(self, vspcd):
        super().__init__(vspcd.vm_address)
        self.start_tls()


class WireVm(InWire, EsxiVm):
    """An ESXi host that makes records of its own."""

    def __init__(self, vspcd, name=None):
        super().__init__(vspcd, name)
        self.start_tls()
        self.connect()


class WireCaller(InWire, Caller):
    """Somebody who queries and makes records of its own."""

    def __init__(self, vspcd):
        super().__init__(vspcd, address=vspcd.admin_tls_address)
        self.start_tls()
        self.get(f"{SERVICE}.GetInfo")


class Gathering(HostileTestCase):
    """A message in several records has to be there as a whole before anything can be made of it: a peer says that it
    is one of 16 MiB. None comes to more than two records, whether it has shaken hands only or is known."""

    REASON = r"it sends more than 32 KiB of TLS and says nothing"
    KINDS = ((WireStranger, f"Connection from 127.0.0.1:{{port}}: TLS has failed: {REASON}"),
             (WireVm, f"VM gathering .* TLS has failed: {REASON}"),
             (WireCaller, rf"Query from 127.0.0.1:{{port}} fails in TLS \({REASON}\)"))

    def make(self, kind):
        return kind(self.vspcd, "gathering") if kind is WireVm else kind(self.vspcd)

    def test_who_never_ends_a_message_is_cut_off_and_its_memory_comes_back(self):
        vspcd = self.begin(sockets=("vm", "admin", "admin-tls"))
        for kind, pattern in self.KINDS:
            with self.subTest(kind=kind.__name__):
                before = vspcd.rss()
                peers = [self.make(kind) for _ in range(5)]
                for peer in peers:
                    peer.send_endless_message()
                    peer.wait_closed()
                    peer.close()
                vspcd.wait_logged(pattern.format(port=peers[0].local_port))
                self.assertLess(vspcd.rss() - before, (32 if SANITIZED else 4) * MEGABYTE)
        self.n_descriptors += 5  # ports of the VMs, which stay
        self.assertUnharmed()

    def test_who_may_have_certificates_has_no_more_gathered_once_it_has_shaken_hands(self):
        vspcd = self.begin()
        vspcd.reload(tls={**vspcd.config["tls"], "VMTrustedCAFile": self.authority.path})
        vm = self.make(WireVm)
        vm.send_endless_message()
        vspcd.wait_logged(f"VM gathering .* TLS has failed: {self.REASON}")
        self.n_descriptors += 1
        self.assertUnharmed()

    def test_it_is_no_way_out_to_say_something_in_between(self):
        vspcd = self.begin()
        before = vspcd.rss()
        vm = self.make(WireVm)
        vm.send_endless_message(between=lambda: vm.sock.send_record(APPLICATION_DATA, b"x"))
        vspcd.wait_logged("VM gathering .* TLS has failed: ")
        self.assertLess(vspcd.rss() - before, (32 if SANITIZED else 4) * MEGABYTE)
        self.n_descriptors += 1
        self.assertUnharmed()

    def test_who_sends_records_of_nothing_is_cut_off(self):
        vspcd = self.begin()
        vm = self.make(WireVm)
        try:
            for _ in range(10000):
                vm.sock.send_record(APPLICATION_DATA, b"")
        except ConnectionError:
            pass
        vm.wait_closed()
        vspcd.wait_logged(f"VM gathering .* TLS has failed: {self.REASON}")
        self.n_descriptors += 1
        self.assertUnharmed()

    def test_a_record_as_long_as_any_is_as_good_as_another(self):
        vspcd = self.begin()
        vm = self.make(WireVm)
        client = RawClient(vm)
        data = b"".join(bytes([i]) * 16384 for i in range(64))
        vm.send_raw(data)
        client.wait_size(len(data))
        self.assertSameBytes(client.data, data)


class Ends(HostileTestCase):
    def test_a_host_that_says_good_bye_and_listens_on_is_said_good_bye(self):
        vspcd = self.begin()
        vm = TlsVm(vspcd, "leaving").connect()
        client = RawClient(vm)
        vm.send(b"last words")
        vm.sock.say_good_bye()
        client.wait_data(b"last words")
        wait_away(vm)
        vm.wait_closed()
        self.assertFalse(vm.reset)
        client.close()

    def test_a_host_that_is_refused_is_said_good_bye_after_the_answer(self):
        vspcd = self.begin()
        vspcd.reload(ServiceURI="another")
        vm = TlsVm(vspcd, "refused")
        vm.negotiate()
        vm.send_raw(vm.do_proxy())
        vm.wait_suboption(WONT_PROXY)
        vm.wait_closed()
        self.assertFalse(vm.reset, "it is an end that anybody could have made")
        self.assertUnharmed()

    def test_a_host_that_is_cut_off_or_switched_off_has_gone_and_that_is_no_failure_of_tls(self):
        vspcd = self.begin()
        for n, ending in enumerate((lambda vm: vm.sock.tls.shutdown(socket.SHUT_WR), Peer.close, Peer.abort)):
            vm = TlsVm(vspcd, f"gone-{n}").connect()
            client = RawClient(vm)
            vm.send(b"last words")
            client.wait_data(b"last words")
            ending(vm)
            wait_away(vm)
            client.close()
        self.assertFalse(vspcd.has_logged("TLS has failed"))


class OpensslVm(EsxiVm):
    """An ESXi host whose TLS is done by "openssl s_client", which takes orders: R renegotiates, k and K renew keys."""

    def __init__(self, test, vspcd, name, *arguments):
        TelnetPeer.__init__(self, vspcd.vm_address)  # never used
        self.sock.close()
        self.vspcd, self.name, self.digits, self.uri, self.port = vspcd, name, os.urandom(16).hex(), "s0", None
        self.process = subprocess.Popen(["openssl", "s_client", "-brief", "-connect",
                                         f"127.0.0.1:{vspcd.vm_address[1]}", *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
                                        env=clean_environment())
        test.enterContext(self.process)  # waits for it
        test.addCleanup(self.process.kill)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.sock = self

    def fileno(self):
        return self.process.stdout.fileno()

    def recv(self, n):
        return os.read(self.fileno(), n)

    def send(self, data):
        return os.write(self.process.stdin.fileno(), data)

    def send_serial(self, data):
        self.send_raw(data.replace(b"\xff", b"\xff\xff"))

    def order(self, letter):
        n = self.raw.count(b"KEYUPDATE") + self.raw.count(b"RENEGOTIATING")
        self.send(letter + b"\n")
        self.wait(lambda: self.raw.count(b"KEYUPDATE") + self.raw.count(b"RENEGOTIATING") > n, "s_client to do so")

    def wait_connected(self):
        found = self.vspcd.wait_logged(rf"VM {self.name} .*: connected from .*, its clients use port (\d+)")
        self.port = int(found[1])
        return self

    def close(self):
        self.process.kill()


class Changes(HostileTestCase):
    def test_keys_are_renewed_in_the_middle_of_traffic(self):
        vspcd = self.begin()
        vm = OpensslVm(self, vspcd, "renewing", "-tls1_3").connect()
        client = RawClient(vm)
        expected = b""
        for letter in (b"k", b"K", b"K", b"k"):
            vm.order(letter)
            vm.send_serial(ALL_BYTES)
            expected += ALL_BYTES
            client.wait_data(expected)
            client.send(b"typed" + letter)
            vm.wait_data(b"typed" + letter)
        self.assertSameBytes(client.data, expected)

    def test_who_renews_keys_all_the_time_is_cut_off(self):
        vspcd = self.begin()
        vm = OpensslVm(self, vspcd, "restless", "-tls1_3").connect()

        def give_orders():
            try:
                while True:
                    vm.order(b"K")
            except (AssertionError, OSError):
                pass

        thread = threading.Thread(target=give_orders)
        thread.start()
        self.assertIn("Too many handshake packets", vspcd.wait_logged(r"VM restless .*: TLS has failed: (.*)")[1])
        wait_away(vm)
        thread.join()

    def test_who_renegotiates_is_told_no_and_why_is_logged(self):
        vspcd = self.begin()
        vm = OpensslVm(self, vspcd, "renegotiating", "-tls1_2").connect()
        vm.send(b"R\n")
        self.assertIn("Rehandshake was requested", vspcd.wait_logged(r"VM renegotiating .*: TLS has failed: (.*)")[1])
        vm.wait_closed()
        self.assertIn(b"no renegotiation", vm.raw)
        self.n_descriptors += 1  # its port, which stays
        self.assertUnharmed()


if __name__ == "__main__":
    main()
