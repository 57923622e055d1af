# SPDX-License-Identifier: LGPL-2.1-or-later

"""Admin connections with TLS, from anybody on the network: who is admitted, under which name, and with which limits."""

import json
import os
import re
import ssl
import subprocess
import threading
import time

from certificates import CLIENT, Authority
from harness import PATIENCE_SEC, SANITIZED, clean_environment, main, wait_for
from peers import ALL_BYTES, Peer, RawClient, double
from test_sim import Simulator
from test_slow_clients import SMALL, send_until_stuck
from tls_peers import DecliningVm, TlsCaller, TlsInMemory, TlsTestCase, TlsVm, client_context
from varlink_peer import CONCENTRATOR, SERVICE, Caller, message

MEGABYTE = 1 << 20
CALL_SEC = 30
N_VMS = 1000 if SANITIZED else 4000
SOCKETS = ("vm", "admin", "admin-tls")


class AdminTestCase(TlsTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.alice = cls.authority.issue("alice", purpose=CLIENT)

    def start_tls(self, *, trusted=True, tls=None, **kwargs):
        keys = {"CertificateFile": self.certificate.path, "KeyFile": self.certificate.key, **(tls or {})}
        if trusted:
            keys["TrustedCAFile"] = self.authority.path
        return self.start(sockets=SOCKETS, tls=keys, **kwargs)

    def call_as(self, vspcd, certificate=None, **kwargs):
        return TlsCaller(vspcd, client_context(certificate, **kwargs))


class Identity(AdminTestCase):
    def test_a_certificate_from_the_authority_is_let_in_under_its_name(self):
        vspcd = self.start_tls()
        vm = DecliningVm(vspcd).connect()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            caller = self.call_as(vspcd, self.alice, version=version)
            self.assertIn("interfaces", caller.get(f"{SERVICE}.GetInfo"))
            caller.attach(vm)
            name = f"alice, 127.0.0.1:{caller.local_port}"
            vspcd.wait_logged(f"client {name} connected")
            self.assertIn(name, [client["peer"] for client in Caller(vspcd).vm(vm.id)["clients"]])
            caller.close()
            vspcd.wait_logged(f"client {name} disconnected")

    def test_it_is_the_name_that_a_refusal_tells_others(self):
        vspcd = self.start_tls()
        vm = DecliningVm(vspcd).connect()
        holder = self.call_as(vspcd, self.alice)
        holder.attach(vm, access="exclusive")
        bob = self.call_as(vspcd, self.authority.issue("bob", purpose=CLIENT))
        error, parameters = bob.fail("Attach", {"vm": vm.id}, upgrade=True)
        self.assertIn(f"alice, 127.0.0.1:{holder.local_port}", json.dumps(parameters), error)
        vspcd.wait_logged(rf"client bob, 127\.0\.0\.1:{bob.local_port} refused: "
                          rf"alice, 127\.0\.0\.1:{holder.local_port}")

    def test_without_trusted_authorities_nobody_is_asked(self):
        vspcd = self.start_tls(trusted=False)
        vm = DecliningVm(vspcd).connect()
        for certificate in (None, self.alice):
            caller = self.call_as(vspcd, certificate)
            caller.attach(vm)
            vspcd.wait_logged(rf"client 127\.0\.0\.1:{caller.local_port} connected")

    def assertRefused(self, vspcd, certificate, reason, **kwargs):
        try:
            caller = self.call_as(vspcd, certificate, **kwargs)
            caller.send_raw(message(f"{SERVICE}.GetInfo"))
            caller.wait_closed()
            self.assertEqual(bytes(caller.raw), b"")
        except (ssl.SSLError, ConnectionError):
            pass
        line = vspcd.wait_logged(r"Query from 127\.0\.0\.1:\d+ fails in TLS \((.*)\), closing the connection")
        self.assertTrue(line[1].endswith(reason), line[1])

    def test_who_has_no_certificate_or_a_bad_one_is_refused_with_the_reason(self):
        other = self.enterContext(Authority("another"))
        for certificate, reason in (
                (None, "it has no certificate"),
                (other.issue("alice", purpose=CLIENT),
                 'The issuer is "another": it is not trusted, and its certificate has not been sent'),
                (self.authority.issue("alice", purpose=CLIENT, self_signed=True),
                 'The certificate issuer is unknown. The issuer is "alice": it is not trusted'),
                (self.authority.expired("alice", purpose=CLIENT), "The certificate chain uses expired certificate"),
                (self.authority.issue("alice"), "does not match the intended purpose")):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with self.subTest(reason=reason, version=version):
                    self.assertRefused(self.start_tls(), certificate, reason, version=version)

    def test_a_certificate_of_an_intermediate_authority_s_comes_with_that(self):
        between = self.enterContext(Authority("intermediate", issuer=self.authority))
        carol = between.issue("carol", purpose=CLIENT)
        both = self.authority.ca.with_chain(between.ca)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for certificate, trusted in (carol.with_chain(between.ca), self.authority), (carol, both):
                vspcd = self.start_tls(tls={"TrustedCAFile": trusted.path}, trusted=False)
                vm = DecliningVm(vspcd).connect()
                caller = self.call_as(vspcd, certificate, version=version)
                caller.attach(vm)
                vspcd.wait_logged(f"client carol, 127.0.0.1:{caller.local_port} connected")
            self.assertRefused(self.start_tls(), carol, 'The issuer is "intermediate": it is not trusted, and its '
                                                        "certificate has not been sent", version=version)

    def test_both_of_our_programs_may_be_certified_by_intermediate_authorities(self):
        """Neither trusts anything but the root, and vspcd tells its name to those who have certificates to choose from."""
        ours = self.enterContext(Authority("for servers", issuer=self.authority))
        theirs = self.enterContext(Authority("for clients", issuer=self.authority))
        server, carol = ours.issue("vspcd", "IP:127.0.0.1"), theirs.issue("carol", purpose=CLIENT)

        def ask(shown, certificate):
            vspcd = self.start_tls(tls={"CertificateFile": shown.path, "KeyFile": shown.key})
            result = subprocess.run(
                [os.environ.get("VSPC_CLIENT", "build/vspc-client"), f"--host=127.0.0.1:{vspcd.admin_tls_address[1]}", "--tls",
                 f"--ca={self.authority.path}", f"--cert={certificate.path}", f"--key={certificate.key}", "list"],
                capture_output=True, text=True, check=False, env=clean_environment(), timeout=PATIENCE_SEC)
            return vspcd, result

        whole_server, whole_carol = server.with_chain(ours.ca), carol.with_chain(theirs.ca)
        _, result = ask(whole_server, whole_carol)
        self.assertEqual((result.returncode, result.stdout), (0, "No VMs.\n"), result.stderr)

        _, result = ask(server, whole_carol)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn('The issuer is "for servers": it is not trusted, and its certificate has not been sent.', result.stderr)

        vspcd, result = ask(whole_server, carol)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(f"vspcd asks for your certificate, and may not accept the one in {carol.path}.", result.stderr)
        vspcd.wait_logged("fails in TLS")

    def test_who_speaks_no_tls_is_refused_with_the_reason(self):
        vspcd = self.start_tls()
        peer = Peer(vspcd.admin_tls_address)
        peer.send_raw(message(f"{SERVICE}.GetInfo"))
        peer.wait_closed()
        self.assertEqual(bytes(peer.raw[:1]), b"\x15")  # an alert
        self.assertLess(len(peer.raw), 16)
        vspcd.wait_logged(rf"Query from 127\.0\.0\.1:{peer.local_port} fails in TLS \(An unexpected TLS packet")

    def test_without_a_certificate_of_ours_it_is_refused_with_the_reason(self):
        vspcd = self.start(sockets=SOCKETS)
        peer = Peer(vspcd.admin_tls_address)
        peer.wait_closed()
        vspcd.wait_logged(rf"Query from 127\.0\.0\.1:{peer.local_port} is refused: there is no certificate for TLS, "
                          "see CertificateFile=")

    def test_a_thousand_strangers_are_not_a_thousand_lines(self):
        vspcd = self.start_tls()
        for _ in range(10):
            strangers = [Peer(vspcd.admin_tls_address) for _ in range(100)]
            for stranger in strangers:
                stranger.send_raw(b"GET / HTTP/1.0\r\n\r\n")
            for stranger in strangers:
                stranger.wait_closed()
                stranger.close()
        vspcd.has_logged("its end")
        self.assertLess(vspcd.count_logged("fails in TLS"), 5)

    def test_who_is_trusted_may_change_while_those_who_are_there_stay(self):
        other = self.enterContext(Authority("another"))
        vspcd = self.start_tls()
        caller = self.call_as(vspcd, self.alice)
        caller.get(f"{SERVICE}.GetInfo")
        vspcd.reload(tls={**vspcd.config["tls"], "TrustedCAFile": other.path})
        caller.get(f"{SERVICE}.GetInfo")
        self.assertRefused(vspcd, self.alice, 'The issuer is "vspc\'s tests": it is not trusted, and its certificate has '
                                              "not been sent")
        self.call_as(vspcd, other.issue("carol", purpose=CLIENT)).get(f"{SERVICE}.GetInfo")

    OPEN = r"Everybody who can reach the admin-tls socket can use all consoles: TrustedCAFile= is not set"

    def test_that_everybody_is_let_in_is_warned_of(self):
        vspcd = self.start_tls(trusted=False)
        vspcd.wait_logged(self.OPEN)
        keys = vspcd.config["tls"]
        since = len(vspcd.log)
        vspcd.reload(tls={**keys, "TrustedCAFile": self.authority.path})
        vspcd.settle_log()
        self.assertFalse(vspcd.logged(self.OPEN, since))
        since = len(vspcd.log)
        vspcd.reload(tls=keys)
        vspcd.wait_logged(self.OPEN, since)

    def test_where_nobody_is_let_in_unseen_there_is_no_such_warning(self):
        keys = {"CertificateFile": self.certificate.both}
        for kwargs in ({"sockets": SOCKETS, "tls": {**keys, "TrustedCAFile": self.authority.path}},
                       {"sockets": SOCKETS},
                       {"sockets": ("vm", "admin"), "tls": keys}):
            with self.subTest(**kwargs):
                vspcd = self.start(**kwargs)
                vspcd.settle_log()
                self.assertFalse(vspcd.logged(self.OPEN))

    def test_who_goes_without_tls_s_good_bye_is_no_mistake_to_be_logged(self):
        vspcd = self.start_tls()
        for ending in ("close", "abort"):
            caller = self.call_as(vspcd, self.alice)
            caller.get(f"{SERVICE}.GetInfo")
            getattr(caller, ending)()
        wait_for(lambda: Caller(vspcd).get("GetMetrics")["adminConnections"] == 1, "them to be gone")
        self.assertFalse(vspcd.has_logged("Query from"))


class Traffic(AdminTestCase):
    def test_an_attached_client_s_stream_is_8_bit_clean_both_ways(self):
        vspcd = self.start_tls(SlowClient="wait")
        vm = TlsVm(vspcd).connect()
        caller = self.call_as(vspcd, self.alice)
        caller.say("Attach", {"vm": vm.id}, upgrade=True, typed=b"typed at once\xff\xff")
        caller.wait(lambda: caller.attached, "the reply")
        vm.wait_data(b"typed at once\xff")
        vm.take()

        data = ALL_BYTES * 16 + os.urandom(4 * MEGABYTE)
        for sender, receiver in ((vm, caller), (caller, vm)):
            receiver.take()
            thread = threading.Thread(target=sender.send_raw, args=(double(data),))
            thread.start()
            receiver.wait_size(len(data))
            thread.join(PATIENCE_SEC)
            self.assertSameBytes(receiver.data, data)

    def test_a_list_of_thousands_waits_for_a_slow_reader(self):
        vspcd = self.start_tls(VMPorts="no")
        Simulator(self, vspcd, f"--count={N_VMS}", "--name=" + "n" * 200, "--uri=" + "u" * 900)
        vspcd.wait_status(f"{N_VMS} VMs, 0 clients")
        before = vspcd.rss()
        slow = TlsCaller(vspcd, client_context(self.alice), receive_buffer=4096)
        for _ in range(50):  # some fifty megabytes at least
            slow.say("List", more=True)
        slow.wait(lambda: slow.replies, "a reply")
        self.assertEqual(len(Caller(vspcd).list()), N_VMS)
        self.assertLess(vspcd.rss() - before, (24 if SANITIZED else 4) * MEGABYTE)

        while slow.replies[-1].get("continues"):
            slow.wait(lambda n=len(slow.replies): len(slow.replies) > n, "another reply")
            del slow.replies[N_VMS:]
        self.assertEqual(len({reply["parameters"]["vm"]["id"] for reply in slow.replies}), N_VMS)

    def test_events_come_as_they_happen(self):
        vspcd = self.start_tls()
        monitor = self.call_as(vspcd, self.alice)
        self.assertEqual(monitor.monitor(), [])
        vm = DecliningVm(vspcd).connect()
        monitor.wait_event("added")
        monitor.wait_event("connected")
        client = RawClient(vm)
        self.assertEqual(monitor.wait_event("client_attached")["client"]["peer"], f"127.0.0.1:{client.local_port}")

    def test_many_calls_in_one_record_and_one_call_in_many(self):
        vspcd = self.start_tls()
        caller = self.call_as(vspcd, self.alice)
        for _ in range(100):
            caller.asked.append(f"{SERVICE}.GetInfo")
        caller.send_raw(message(f"{SERVICE}.GetInfo") * 100)
        caller.wait(lambda: len(caller.replies) == 100, "100 replies")
        caller.replies.clear()
        caller.asked.append(f"{SERVICE}.GetInfo")
        caller.send_bytewise(message(f"{SERVICE}.GetInfo"))
        caller.wait(lambda: caller.replies, "a reply")

    def test_who_has_said_all_in_tls_gets_all_answers(self):
        vspcd = self.start_tls()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client_context(self.alice, version=version)
            caller = TlsInMemory(Peer(vspcd.admin_tls_address), context).shake_hands()
            caller.send(message(f"{SERVICE}.GetInterfaceDescription", {"interface": CONCENTRATOR}) * 100)
            caller.say_good_bye()
            answers = caller.read_to_the_end().split(b"\0")
            self.assertEqual((len(answers), answers[-1]), (101, b""))


    def test_a_console_full_of_what_telnet_doubles_comes_in_few_records(self):
        vspcd = self.start_tls(SlowClient="wait")
        vm = DecliningVm(vspcd).connect()
        peer = Peer(vspcd.admin_tls_address)
        client = TlsInMemory(peer, client_context(self.alice)).shake_hands()
        client.send(message("Attach", {"vm": vm.id}, upgrade=True))
        vspcd.wait_logged("client alice, .* connected")
        peer.wait(lambda: client.read().endswith(b"\0"), "the reply")

        for n, n_times, n_records_max in ((60, 200, 400), (200_000, 1, 400)):
            client.n_records = 0
            for _ in range(n_times):
                data = bytearray()
                vm.send(b"\xff" * n)
                peer.wait(lambda: data.extend(client.read()) or len(data) >= 2 * n, "all of it")
                self.assertSameBytes(data, b"\xff" * (2 * n))
            self.assertLess(client.n_records, n_records_max)


class Leaving(AdminTestCase):
    """Clients whose VM takes no input. Of one in TLS there is always something left to be read, were it only that it
    goes."""

    def begin(self):
        self.vspcd = self.start_tls(SlowClient="wait")
        self.vm = DecliningVm(self.vspcd, receive_buffer=SMALL).connect()
        self.typist = Caller(self.vspcd)
        self.typist.attach(self.vm)
        self.n_typed = send_until_stuck(self.typist, b"k" * 65536)

    def attach(self, version):
        caller = self.call_as(self.vspcd, self.alice, version=version)
        caller.attach(self.vm)
        return caller

    @staticmethod
    def part(caller):
        caller.sock.say_good_bye()
        caller.close()

    def wait_gone(self, caller):
        self.vspcd.wait_logged(rf"client alice, 127\.0\.0\.1:{caller.local_port} disconnected")

    def test_who_has_typed_nothing_is_let_go(self):
        self.begin()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for leave in (self.part, Peer.close, Peer.abort):
                with self.subTest(version=version, leave=leave):
                    caller = self.attach(version)
                    leave(caller)
                    self.wait_gone(caller)

    def test_the_vm_gets_what_somebody_typed_who_has_gone(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for leave in (self.part, Peer.close):
                for text in (b"last words", b"last words" * 5000):
                    with self.subTest(version=version, leave=leave, size=len(text)):
                        self.begin()
                        caller = self.attach(version)
                        caller.send(text)
                        leave(caller)
                        silent = self.attach(version)
                        silent.close()
                        self.wait_gone(silent)
                        self.wait_gone(caller)
                        self.vm.wait_size(self.n_typed + len(text))
                        self.assertEqual(self.vm.data.count(b"k"), self.n_typed)
                        self.assertSameBytes(self.vm.data.replace(b"k", b""), text)


class Bounds(AdminTestCase):
    def test_who_does_not_come_to_the_end_of_a_handshake_or_of_a_call_is_closed(self):
        vspcd = self.start_tls()
        began = time.monotonic()
        mute, half = Peer(vspcd.admin_tls_address), Peer(vspcd.admin_tls_address)
        half.send_raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
        quiet, cut, idle = (self.call_as(vspcd, self.alice) for _ in range(3))
        cut.send_raw(message(f"{SERVICE}.GetInfo")[:20])
        idle.get(f"{SERVICE}.GetInfo")

        def closed():
            for peer in (mute, half, quiet, cut):
                peer.pump()
            return mute.eof and half.eof and quiet.eof and cut.eof

        wait_for(closed, "those who say nothing to be closed", timeout=CALL_SEC + 30)
        self.assertGreater(time.monotonic() - began, CALL_SEC - 1)
        idle.get(f"{SERVICE}.GetInfo")


class Programs(AdminTestCase):
    """That of others: the call goes in, the answer comes out."""

    def converse(self, vspcd, *argv):
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=clean_environment())
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        process.stdin.write(message(f"{SERVICE}.GetInfo"))
        process.stdin.flush()
        output = bytearray()
        while b"org.vspc.Concentrator" not in output or b"\0" not in output:
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                self.fail(f"{argv[0]}: {bytes(output)!r} {process.stderr.read()!r}")
            output += data
        return output

    def test_openssl(self):
        vspcd = self.start_tls()
        self.converse(vspcd, "openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile", self.authority.path,
                      "-cert", self.alice.path, "-key", self.alice.key, "-verify_hostname", "vspc.example", "-connect",
                      f"127.0.0.1:{vspcd.admin_tls_address[1]}")

    def test_socat(self):
        vspcd = self.start_tls()
        self.converse(vspcd, "socat", "-", f"OPENSSL:127.0.0.1:{vspcd.admin_tls_address[1]},"
                      f"cafile={self.authority.path},cert={self.alice.both},commonname=vspc.example")

    def test_gnutls_cli(self):
        vspcd = self.start_tls()
        output = self.converse(vspcd, "gnutls-cli", "--x509cafile", self.authority.path, "--x509certfile",
                               self.alice.path, "--x509keyfile", self.alice.key, "--verify-hostname=vspc.example",
                               "-p", str(vspcd.admin_tls_address[1]), "127.0.0.1")
        self.assertTrue(re.search(rb"Status: The certificate is trusted", output))


if __name__ == "__main__":
    main()
