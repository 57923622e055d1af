# SPDX-License-Identifier: LGPL-2.1-or-later

"""Consoles with TLS: every byte in both directions, also with slow readers, and when the VM moves between hosts with
and without TLS."""

import os
import pty
import ssl
import subprocess
import threading

from harness import PATIENCE_SEC, SANITIZED, clean_environment, main, wait_for
from peers import ALL_BYTES, Peer, RawClient, double
from test_sim import Simulator, follow_all
from tls_peers import DecliningVm, StartingVm, TlsCaller, TlsInMemory, TlsTestCase, TlsVm, client_context
from varlink_peer import Caller, known_vms

MEGABYTE = 1 << 20
BULK = (4 if SANITIZED else 16) * MEGABYTE
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class TrafficTestCase(TlsTestCase):
    def start_tls(self, **kwargs):
        return self.start(tls={"CertificateFile": self.certificate.both}, **{"SlowClient": "wait", **kwargs})


class Keystrokes(TrafficTestCase):
    def test_a_key_echoes_while_handshakes_take_as_long_as_they_like(self):
        faults = self.faults()
        vspcd = self.start_tls(env=faults.env, HandshakeTimeoutSec="1min")
        vm = TlsVm(vspcd).connect()
        client = RawClient(vm)
        with faults.held_handshakes() as n_held:
            hosts = [TlsInMemory(Peer(vspcd.vm_address)) for _ in range(16)]
            for host in hosts:
                self.assertFalse(host.step())
                host.peer.send_raw(host.outgoing.read())
            wait_for(n_held, "a handshake that is held")
            for _ in range(10):
                client.send(b"k")
                vm.wait_data(b"k")
                vm.take()
                vm.send(b"k")
                client.wait_data(b"k")
                client.data.clear()
            self.assertEqual([v["name"] for v in known_vms(vspcd)], [vm.name])
            self.assertFalse(any(host.peer.pump() for host in hosts))
        for host in hosts:
            host.peer.wait(lambda peer=host.peer: peer.raw, "the handshake to go on")
            host.shake_hands()


class End(TrafficTestCase):
    def test_a_stop_does_not_wait_for_handshakes_that_hang(self):
        faults = self.faults()
        vspcd = self.start_tls(env=faults.env, HandshakeTimeoutSec="1min")
        vm = TlsVm(vspcd).connect()
        with faults.held_handshakes() as n_held:
            host = TlsInMemory(Peer(vspcd.vm_address))
            self.assertFalse(host.step())
            host.peer.send_raw(host.outgoing.read())
            wait_for(n_held, "a handshake that is held")
            self.assertEqual(vspcd.end(), 0)
            vm.wait_closed()


class RestOfARecord(TrafficTestCase):
    def test_what_is_left_of_a_record_does_not_wait_for_the_next_one(self):
        """The kernel has nothing of it: somebody has to remember that there was no room for it."""
        vspcd = self.start(sockets=("vm", "admin", "admin-tls"), tls={"CertificateFile": self.certificate.both})
        vm = DecliningVm(vspcd, receive_buffer=4 << 20).handshake()
        vm.wait_connected()
        other, caller = RawClient(vm), TlsCaller(vspcd)
        caller.attach(vm)
        caller.send(b"#")
        other.send(b"#")
        vm.wait_size(2)
        with vspcd.halted():
            n = other.send_some(b"a" * 100_000)
            for i in range(7):
                caller.sock.send(bytes([65 + i]) * 10_000)
        vm.wait_size(2 + n + 70_000)


class Bulk(TrafficTestCase):
    def test_every_byte_arrives_both_ways(self):
        data = ALL_BYTES * 100 + os.urandom(BULK)
        for version in VERSIONS:
            vspcd = self.start_tls()
            vm = TlsVm(vspcd, context=client_context(version=version)).connect()
            client = RawClient(vm)
            vm.take()
            thread = threading.Thread(target=client.send_raw, args=(data,))
            thread.start()
            vm.wait_size(len(data))
            thread.join(PATIENCE_SEC)
            self.assertSameBytes(vm.data, data)

            thread = threading.Thread(target=vm.send, args=(data,))
            thread.start()
            client.wait_size(len(data))
            thread.join(PATIENCE_SEC)
            self.assertSameBytes(client.data, data)

    def test_a_vm_that_does_not_read_holds_its_clients_up_and_then_gets_it_all(self):
        data = os.urandom(24 * MEGABYTE)
        for version in VERSIONS:
            vspcd = self.start_tls()
            vm = TlsVm(vspcd, context=client_context(version=version), receive_buffer=8192).connect()
            client = RawClient(vm)
            vm.take()
            before, sent = vspcd.rss(), 0

            def stuck():
                nonlocal sent
                n = client.send_some(data[sent:])
                sent += n
                return n == 0 and Caller(vspcd).vm(vm.id)["bytesSent"] > 0

            wait_for(stuck, "the client to be held up")
            self.assertLess(sent, len(data))
            self.assertLess(vspcd.rss() - before, (24 if SANITIZED else 4) * MEGABYTE)

            # What the VM says is heard all the same.
            vm.send(b"I am busy")
            client.wait_data(b"I am busy")

            thread = threading.Thread(target=client.send_raw, args=(data[sent:],))
            thread.start()
            vm.wait_size(len(data))
            thread.join(PATIENCE_SEC)
            self.assertSameBytes(vm.data, data)

    def test_a_vm_is_not_read_while_its_client_does_not(self):
        vspcd = self.start_tls(ClientBufferSize="64K")
        vm = TlsVm(vspcd).connect()
        client = RawClient(vm, receive_buffer=8192)
        data = double(os.urandom(32 * MEGABYTE))
        sent = 0

        def stuck():
            nonlocal sent
            n = vm.send_some(data[sent:sent + 16384])
            sent += n
            return n == 0

        wait_for(lambda: stuck() and stuck() and stuck(), "the VM to be held up")
        self.assertLess(sent, len(data))
        thread = threading.Thread(target=vm.send_raw, args=(data[sent:] + b"the end",))
        thread.start()
        client.wait(lambda: client.raw.endswith(b"the end"), "the end")
        thread.join(PATIENCE_SEC)
        self.assertSameBytes(client.data, data.replace(b"\xff\xff", b"\xff") + b"the end")


class VMotion(TrafficTestCase):
    SEQUENCE = b"\0\1\2\xff"

    def move(self, vm, kind):
        """To a host that speaks this: the source says its last words meanwhile."""
        target = kind(vm.vspcd, vm.name, digits=vm.digits, uri=vm.uri)
        secret = vm.begin(self.SEQUENCE)
        target.peer(self.SEQUENCE, secret)
        vm.send(b"<from the source>")
        target.complete(self.SEQUENCE)
        vm.close()
        target.send(b"<from the target>")
        target.vspcd.wait_logged(rf"VM {vm.name} .* has moved to 127\.0\.0\.1:{target.local_port}")
        return target

    def test_a_vm_moves_between_hosts_of_every_kind(self):
        vspcd = self.start_tls()
        vm = DecliningVm(vspcd).connect()
        vm_id, client, expected = vm.id, RawClient(vm), b""
        vm.port = None
        for kind in (TlsVm, DecliningVm, StartingVm, TlsVm, StartingVm, DecliningVm):
            vm = self.move(vm, kind)
            expected += b"<from the source><from the target>"
            client.wait_data(expected)
            client.send(b"typed")
            vm.wait_data(b"typed")
            self.assertEqual("tls" in Caller(vspcd).vm(vm_id), kind is not DecliningVm)
        self.assertSameBytes(client.data, expected)

    def test_many_vms_move_under_load_and_nothing_is_lost(self):
        n_vms, n_moves = 40, 150 if SANITIZED else 600
        vspcd = self.start_tls(ports=64, ClientBufferSize="1M", SlowClient="skip")
        sim = Simulator(self, vspcd, f"--count={n_vms}", "--name=mover", "--rate=8K", "--hosts=4", "--tls=some",
                        "--vmotion=200ms", f"--vmotions={n_moves}", "--for=10min")
        _, report = follow_all(self, vspcd, sim, "mover", n_vms,
                               enough=lambda: vspcd.count_logged("has moved to") >= n_moves)
        self.assertEqual(report["connections_lost"], 0)
        self.assertGreaterEqual(report["vmotions_completed"], n_moves)
        self.assertGreater(vspcd.count_logged(r"in TLS 1\.3, its clients use port"), n_vms // 4)
        vspcd.settle_log()
        self.assertFalse(vspcd.logged("misses output|TLS has failed"))


class Programs(TrafficTestCase):
    """Debian's telnet-ssl, which knows "AUTH SSL" as ESXi does, and socat. Neither is an ESXi host, and both hear so
    in TLS."""

    REFUSAL = "This port is for ESXi hosts. A VM's console is at the VM's own port."

    def run_telnet(self, vspcd, *options, port):
        """What it shows on a terminal."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe("telnet-ssl", ["telnet-ssl", *options, "--", "127.0.0.1", port], clean_environment())
        shown = b""
        try:
            while data := os.read(terminal, 4096):
                shown += data
        except OSError:  # it has ended
            pass
        os.waitpid(pid, 0)
        os.close(terminal)
        return shown.decode(errors="replace")

    def start_for_programs(self, **tls):
        certificate = self.authority.issue("127.0.0.1", "IP:127.0.0.1")
        return self.start(tls={"CertificateFile": certificate.both, **tls}, HandshakeTimeoutSec="5s")

    def test_telnet_ssl_begins_in_the_middle_of_telnet(self):
        vspcd = self.start_for_programs(RequireVMTLS="yes")
        shown = self.run_telnet(vspcd, "-z", "secure", "-z", "debug", "-z", "authdebug", "-z",
                                f"cacert={self.authority.path}", port=f"-{vspcd.vm_address[1]}")
        for step in (">>>TELNET: auth_send got: 07 00", ">>>TELNET: Using type 7", "SSL ACCEPT", "[SSL - OK]",
                     "[SSL subject=/CN=127.0.0.1]", self.REFUSAL):
            self.assertIn(step, shown)
            shown = shown[shown.index(step):]

    def test_telnet_ssl_begins_at_once(self):
        vspcd = self.start_for_programs(RequireVMTLS="yes")
        shown = self.run_telnet(vspcd, "-z", "ssl", "-z", f"cacert={self.authority.path}",
                                port=str(vspcd.vm_address[1]))
        self.assertIn(self.REFUSAL, shown)

    def test_telnet_ssl_that_does_not_want_to_is_refused_in_one_line(self):
        vspcd = self.start_for_programs(RequireVMTLS="yes")
        shown = self.run_telnet(vspcd, "-z", "nossl", port=f"-{vspcd.vm_address[1]}")
        self.assertIn("This concentrator accepts only TLS: the vSPC URI must begin with telnets://", shown)

    def test_socat_brings_telnet_into_tls(self):
        vspcd = self.start_for_programs()
        address = f"OPENSSL:127.0.0.1:{vspcd.vm_address[1]},cafile={self.authority.path}"
        result = subprocess.run(["socat", "-t20", "-", address],
                                input=b"\xff\xfc\xe8", capture_output=True, timeout=PATIENCE_SEC, check=False)
        self.assertEqual(result.stderr, b"")
        self.assertIn(self.REFUSAL.encode(), result.stdout)


if __name__ == "__main__":
    main()
