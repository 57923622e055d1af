# SPDX-License-Identifier: LGPL-2.1-or-later

"""ESXi hosts with TLS: begun by the first byte of a connection, or by AUTHENTICATION in the middle of telnet."""

import resource
import ssl
import subprocess

from certificates import CLIENT, Authority
from harness import main
from peers import (ALL_BYTES, AUTHENTICATION, BINARY, COM_PORT, DO, DO_PROXY, ECHO, NAME, SGA, VC_UUID, VMWARE, WILL,
                   WILL_PROXY, WONT, EsxiVm, Peer, RawClient, TelnetClient, say, sub, uuid_text)
from tls_peers import (ACCEPT_TLS, ASK_TLS, DECLINE_TLS, NEEDS_TLS, START_TLS, DecliningVm, StartingVm,
                       TlsSocket, TlsTestCase, TlsVm, client_context)
from varlink_peer import Caller, known_vms

PENDING_MAX, STRANGERS_PENDING_MAX = 32 * 1024, 32 << 20

REFUSAL = b"This port is for ESXi hosts. A VM's console is at the VM's own port.\r\n"
OFFERS = bytes.fromhex("ff fb 00  ff fb 03  ff fb 01  ff fd 00  ff fd 03  ff fd e8")
OFFERS_FOR_TLS = bytes.fromhex("ff fb 00  ff fb 03  ff fb 01  ff fd 00  ff fd 03  ff fd 25")


class VmTestCase(TlsTestCase):
    def start_tls(self, *, tls=None, **kwargs):
        return self.start(tls={"CertificateFile": self.certificate.path, "KeyFile": self.certificate.key,
                               **(tls or {})}, **kwargs)

    def assertFlows(self, vm):
        """Every byte, both ways."""
        client = RawClient(vm)
        vm.send(ALL_BYTES * 3)
        client.wait_data(ALL_BYTES * 3)
        vm.take()
        client.send(b"a line\xff\r\n")
        vm.wait_data(b"a line\xff\r\n")
        client.close()


class FirstByte(VmTestCase):
    def test_telnets_and_telnet_with_and_without_tls_on_one_port(self):
        vspcd = self.start_tls()
        for kind, how in ((TlsVm, "TLS 1.3"), (DecliningVm, None), (StartingVm, "TLS 1.3"), (TlsVm, "TLS 1.3")):
            with self.subTest(kind=kind):
                vm = kind(vspcd).connect()
                vspcd.wait_logged(rf":{vm.local_port}{f' in {how}' if how else ''}, its clients use port")
                self.assertEqual(Caller(vspcd).vm(vm.id).get("tls", {}).get("version"), how)
                self.assertFlows(vm)

    def test_it_shows_the_certificate_with_the_thumbprint_that_is_logged(self):
        vspcd = self.start_tls()
        vm = TlsVm(vspcd, context=client_context(trusted=self.authority))
        self.assertEqual(ssl.DER_cert_to_PEM_cert(vm.certificate()).strip(), self.certificate.text().strip())
        vspcd.wait_logged(f"thumbprint is {self.certificate.sha1}$")

    def test_what_is_known_of_a_session_is_what_the_peer_knows(self):
        vspcd = self.start_tls()
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLS 1.2"), (ssl.TLSVersion.TLSv1_3, "TLS 1.3")):
            vm = TlsVm(vspcd, context=client_context(version=version)).connect()
            self.assertEqual(vm.session.version(), name.replace(" ", "v"))
            tls = Caller(vspcd).vm(vm.id)["tls"]
            self.assertEqual((tls["version"], tls["cipher"], tls["resumed"]), (name, "AES-256-GCM", False))
            self.assertIn("AES", vm.session.cipher()[0])
            self.assertNotIn("peer", tls)

    def test_nothing_is_said_before_the_host_has(self):
        vspcd = self.start_tls()
        vm = DecliningVm(vspcd)
        vspcd.has_logged("a connection that came later, and its end")
        self.assertEqual(vm.pump(), 0)
        vm.send_raw(say(WILL, AUTHENTICATION))
        vm.wait(lambda: vm.raw.startswith(OFFERS), "the offers")

    def test_a_connection_that_says_nothing_gets_one_line_in_the_end(self):
        for tls in ({}, {"RequireVMTLS": "yes"}):
            vspcd = self.start_tls(HandshakeTimeoutSec="200ms", tls=tls)
            silent = Peer(vspcd.vm_address)
            silent.wait_closed()
            self.assertEqual(bytes(silent.raw), REFUSAL)
            vspcd.wait_logged(f":{silent.local_port}: has not said in time which VM it is")

    def test_a_handshake_that_stops_in_its_middle_is_given_up_in_time(self):
        vspcd = self.start_tls()
        stopped = Peer(vspcd.vm_address)
        stopped.send_raw(b"\x16\x03\x01\x02\x00\x01")
        vspcd.has_logged("a connection that came later, and its end")
        vspcd.reload(HandshakeTimeoutSec="200ms")
        stopped.wait_closed()
        self.assertEqual(bytes(stopped.raw), b"")
        vspcd.wait_logged(f":{stopped.local_port}: has not said in time which VM it is")

    def test_tls_without_a_certificate_is_refused_with_advice(self):
        vspcd = self.start()
        peer = Peer(vspcd.vm_address)
        peer.send_raw(b"\x16\x03\x01\x02\x00\x01")
        peer.wait_closed()
        vspcd.wait_logged(f":{peer.local_port}: begins TLS, for which there is no certificate: give one in "
                          "CertificateFile=")

    def test_without_a_certificate_a_host_is_not_asked_for_tls(self):
        vm = EsxiVm(self.start())
        vm.wait(lambda: vm.raw == OFFERS, "the offers")
        vm.connect()


    def test_why_a_host_does_not_take_our_certificate_is_told(self):
        """OpenSSL says so in plain text, in the middle of TLS 1.3."""
        with Authority("another") as other:
            for version in ("-tls1_2", "-tls1_3"):
                vspcd = self.start_tls()
                subprocess.run(["openssl", "s_client", version, "-verify_return_error", "-CAfile", other.path,
                                "-connect", f"127.0.0.1:{vspcd.vm_address[1]}"], input=b"", capture_output=True,
                               check=False)
                vspcd.wait_logged("TLS has failed: the peer says: CA is unknown$")


class Required(VmTestCase):
    def setUp(self):
        super().setUp()
        self.vspcd = self.start_tls(tls={"RequireVMTLS": "yes"})

    def assertRefused(self, peer, before):
        peer.wait_closed()
        self.assertEqual(bytes(peer.raw), before + NEEDS_TLS)
        self.vspcd.wait_logged(f":{peer.local_port}: does not use TLS, which RequireVMTLS= requires")
        self.assertEqual(known_vms(self.vspcd), [])

    def test_tls_is_served(self):
        self.assertFlows(TlsVm(self.vspcd).connect())
        self.assertFlows(StartingVm(self.vspcd).connect())

    def test_a_host_that_knows_nothing_of_it_is_refused_in_one_line(self):
        vm = EsxiVm(self.vspcd)
        vm.send_raw(say(WONT, AUTHENTICATION))
        self.assertRefused(vm, OFFERS_FOR_TLS)

    def test_a_host_that_declines_is_refused_in_one_line(self):
        vm = EsxiVm(self.vspcd)
        vm.send_raw(say(WILL, AUTHENTICATION) + DECLINE_TLS)
        self.assertRefused(vm, OFFERS_FOR_TLS + ASK_TLS)

    def test_nothing_is_understood_in_plain_text(self):
        vm = EsxiVm(self.vspcd)
        vm.send_raw(say(WILL, VMWARE, COM_PORT) + vm.do_proxy() + vm.vc_uuid() + vm.vm_name() + b"console data")
        vm.wait_trace(("dont", VMWARE))
        vm.wait_trace(("dont", COM_PORT))
        self.assertEqual(known_vms(self.vspcd), [])
        vm.send_raw(say(WONT, AUTHENTICATION))
        self.assertRefused(vm, OFFERS_FOR_TLS + bytes.fromhex("ff fe e8  ff fe 2c"))

    def test_where_it_may_not_begin_in_telnet_it_is_refused_at_once(self):
        vspcd = self.vspcd = self.start_tls(tls={"RequireVMTLS": "yes", "StartTLS": "no"})
        vm = EsxiVm(vspcd)
        vm.send_raw(say(WILL, AUTHENTICATION))
        self.assertRefused(vm, b"")
        self.assertFlows(TlsVm(vspcd).connect())

    def test_a_live_vm_outlives_that_it_is_required(self):
        vspcd = self.start_tls()
        vm = DecliningVm(vspcd).connect()
        vspcd.reload(tls={**vspcd.config["tls"], "RequireVMTLS": "yes"})
        self.assertFlows(vm)
        late = EsxiVm(vspcd)
        late.send_raw(say(WONT, AUTHENTICATION))
        late.wait_closed()
        self.assertTrue(late.raw.endswith(NEEDS_TLS))


class RequiredCertificates(VmTestCase):
    """RequireVMCertificate=yes"""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good = cls.authority.issue("esx1.example", purpose=CLIENT)

    def setUp(self):
        super().setUp()
        self.keys = {"VMTrustedCAFile": self.authority.path, "RequireVMCertificate": "yes"}
        self.vspcd = self.start_tls(tls=self.keys)

    def check_refused_in_tls(self, vspcd, **kwargs):
        vspcd = vspcd or self.vspcd
        since = len(vspcd.log)
        try:
            vm = TlsVm(vspcd, **kwargs)
            vm.send_raw(say(WILL, AUTHENTICATION))
            vm.wait_closed()
            self.assertEqual(bytes(vm.raw), b"")
        except (ssl.SSLError, ConnectionError):
            pass
        vspcd.wait_logged("TLS has failed: it has no certificate$", since)
        self.assertEqual([v for v in known_vms(vspcd) if v["connected"]], [])

    def test_a_host_with_a_good_one_is_served(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            vm = TlsVm(self.vspcd, context=client_context(self.good, version=version)).connect()
            self.assertEqual(Caller(self.vspcd).vm(vm.id)["tls"]["peer"], "esx1.example")
            self.assertFlows(vm)

    def test_a_host_without_one_is_refused(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.check_refused_in_tls(self.vspcd, context=client_context(version=version))

    def test_a_host_without_one_that_begins_in_telnet_is_refused(self):
        vm = StartingVm(self.vspcd)
        try:
            vm.handshake()
        except (ssl.SSLError, ConnectionError, AssertionError):
            pass
        self.vspcd.wait_logged("TLS has failed: it has no certificate$")
        self.assertEqual(known_vms(self.vspcd), [])

    def test_plain_text_is_no_way_around_it(self):
        vm = EsxiVm(self.vspcd)
        vm.send_raw(say(WILL, AUTHENTICATION) + DECLINE_TLS)
        vm.wait_closed()
        self.assertEqual(bytes(vm.raw), OFFERS_FOR_TLS + ASK_TLS + NEEDS_TLS)
        self.vspcd.wait_logged(f":{vm.local_port}: does not use TLS, which RequireVMCertificate= requires")
        self.assertEqual(known_vms(self.vspcd), [])

    def test_nor_is_a_session_from_when_none_was_wanted(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            vspcd = self.start_tls(tls={"VMTrustedCAFile": self.authority.path})
            context = client_context(version=version)
            vm = TlsVm(vspcd, context=context).connect()
            session = vm.session.session
            vm.close()
            vspcd.reload(tls={**vspcd.config["tls"], "RequireVMCertificate": "yes"})
            self.check_refused_in_tls(vspcd, context=context, session=session)

    def test_nor_is_one_that_has_been_refused(self):
        """In TLS 1.2 a ticket comes before the server has made up its mind; in TLS 1.3 it may."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client_context(version=version)
            session = None
            for _ in range(3):
                self.check_refused_in_tls(self.vspcd, context=context, session=session)
                peer = Peer(self.vspcd.vm_address)
                try:
                    tls = TlsSocket(peer.sock, context, session=session)
                    session = tls.tls.session or session
                except (ssl.SSLError, ConnectionError):
                    pass

    def test_connections_that_are_there_stay(self):
        vspcd = self.start_tls()
        vms = [TlsVm(vspcd).connect(), DecliningVm(vspcd).connect()]
        vspcd.reload(tls={**vspcd.config["tls"], **self.keys})
        for vm in vms:
            self.assertFlows(vm)


class InBand(VmTestCase):
    def test_the_start_byte_for_byte(self):
        vm = StartingVm(self.start_tls())

        def exchange(sent, expected):
            before = len(vm.raw)
            vm.send_raw(bytes.fromhex(sent))
            vm.wait(lambda: len(vm.raw) - before >= len(bytes.fromhex(expected)), expected)
            self.assertEqual(bytes(vm.raw[before:]).hex(" "), bytes.fromhex(expected).hex(" "))

        exchange("ff fb 25", OFFERS.hex() + "ff fd 25" "ff fa 25 01 07 00 ff f0")
        exchange("ff fa 25 00 07 00 01 ff f0", "ff fa 25 02 07 00 02 ff f0")
        vm.raw.clear()
        vm.start_tls()
        vm.wait(lambda: len(vm.raw) >= len(OFFERS), "the offers once more")
        self.assertEqual(bytes(vm.raw), OFFERS)
        exchange("ff fb 25", "ff fe 25")
        vm.introduce(vm.send_raw)
        vm.send_raw(vm.do_proxy() + vm.vc_uuid() + vm.vm_name())
        vm.wait_connected()

    def test_a_byte_at_a_time(self):
        vm = StartingVm(self.start_tls())
        vm.handshake(vm.send_bytewise)
        self.assertFlows(vm.wait_connected())

    def test_a_host_that_declines_is_asked_who_it_is_and_goes_on(self):
        vspcd = self.start_tls()
        for no in (DECLINE_TLS, say(WONT, AUTHENTICATION), b"\xff\xfa\x25\x00\x06\x00\x01\xff\xf0",
                   b"\xff\xfa\x25\x00\x07\x00\x02\xff\xf0", b"\xff\xfa\x25\xff\xf0"):
            with self.subTest(no=no):
                vm = DecliningVm(vspcd)
                vm.answer = lambda send, no=no: send(no)
                self.assertFlows(vm.connect())

    def test_nothing_else_is_asked_before_it_has_answered(self):
        vm = DecliningVm(self.start_tls())
        vm.send_raw(say(WILL, AUTHENTICATION, VMWARE))
        vm.wait(lambda: ASK_TLS in vm.raw, "the question")
        vm.send_raw(sub(99))
        vm.wait(lambda: vm.suboptions(3), "UNKNOWN-SUBOPTION")
        self.assertEqual(vm.suboptions(1), [])
        vm.send_raw(DECLINE_TLS)
        vm.wait_suboption(1)

    def test_where_it_is_off_authentication_is_refused(self):
        vspcd = self.start_tls(tls={"StartTLS": "no"})
        vm = DecliningVm(vspcd)
        vm.negotiate = lambda send=None: EsxiVm.negotiate(vm, send)
        self.assertFlows(vm.connect())
        self.assertFlows(TlsVm(vspcd).connect())

    def test_a_start_that_nobody_asked_for_starts_nothing(self):
        vspcd = self.start_tls()
        vm = DecliningVm(vspcd)
        vm.send_raw(START_TLS + say(WILL, AUTHENTICATION))
        vm.wait(lambda: ASK_TLS in vm.raw, "the question")
        self.assertNotIn(ACCEPT_TLS, vm.raw)
        vm.send_raw(DECLINE_TLS + START_TLS)
        vm.introduce(vm.send_raw)
        vm.send_raw(START_TLS + vm.do_proxy() + vm.vc_uuid() + vm.vm_name() + START_TLS)
        vm.wait_connected()
        vm.send_raw(START_TLS)
        self.assertFlows(vm)
        self.assertNotIn(ACCEPT_TLS, vm.raw)

    def test_within_tls_it_does_not_begin_again(self):
        vm = StartingVm(self.start_tls()).connect()
        client = RawClient(vm)
        vm.send_raw(say(WILL, AUTHENTICATION) + START_TLS + b"goes on")
        client.wait_data(b"goes on")
        self.assertNotIn(ACCEPT_TLS, vm.raw[vm.raw.index(ACCEPT_TLS) + 1:])


class Injection(VmTestCase):
    """Somebody on the way can write into a connection as long as it is plain."""

    def start_tls(self, **kwargs):
        return super().start_tls(ScrollbackSize="16K", **kwargs)

    EVIL = (say(DO, BINARY, SGA, ECHO) + say(WILL, BINARY, SGA, COM_PORT, VMWARE) + sub(DO_PROXY, b"Sevil") +
            sub(VC_UUID, uuid_text("66" * 16)) + b"evil console")

    def assertUntouched(self, vspcd, vm):
        client = TelnetClient(vm)
        client.wait_data(b"console")
        self.assertEqual(bytes(client.data), b"console")
        known, = known_vms(vspcd)
        self.assertEqual((known["name"], known["uri"], known["id"]), (vm.name, vm.uri, vm.id))
        self.assertEqual(known["bytesReceived"], len(b"console"))

    def test_what_came_before_the_start_is_forgotten(self):
        vspcd = self.start_tls()
        vm = StartingVm(vspcd)
        uart = b"\xff\xfa\x2c\x01\x00\x00\x25\x80\xff\xf0"
        vm.send_raw(self.EVIL + uart)
        vm.wait_suboption(VC_UUID + 1)
        vm.wait(lambda: say(DO, COM_PORT) in vm.raw, "DO COM-PORT")
        vm.handshake()
        vm.wait(lambda: vm.suboptions(WILL_PROXY), "WILL-PROXY")
        vm.send_raw(b"console")
        vm.wait_connected()
        self.assertUntouched(vspcd, vm)
        self.assertNotIn("9600", Caller(vspcd).vm(vm.id).get("serial", ""))

    def test_what_is_forgotten_is_not_counted_as_kept_either(self):
        """All strangers together can have so much kept: there is room for all of a VM's but that."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        vspcd = self.start_tls(HandshakeTimeoutSec="10min")  # nobody is to go for that reason
        for _ in range(STRANGERS_PENDING_MAX // PENDING_MAX - 1):
            stranger = Peer(vspcd.vm_address)
            self.addCleanup(stranger.close)
            stranger.send_raw(b"x" * PENDING_MAX)
        vm = StartingVm(vspcd)
        vm.send_raw(b"p" * PENDING_MAX)
        vm.negotiate()
        vm.send_raw(b"k" * PENDING_MAX + vm.do_proxy() + vm.vc_uuid())
        vm.wait_suboption(WILL_PROXY)
        vm.send_raw(vm.vm_name())
        vm.wait_connected()
        self.assertFalse(vspcd.has_logged("need the room"))

    def test_the_injected_name_is_forgotten_even_if_all_but_the_uri_was_said(self):
        vspcd = self.start_tls()
        vm = StartingVm(vspcd)
        vm.send_raw(say(WILL, VMWARE, AUTHENTICATION) + sub(NAME, b"evil") + sub(VC_UUID, uuid_text("66" * 16)) +
                    START_TLS)
        vm.wait(lambda: vm.raw.endswith(ACCEPT_TLS), "ACCEPTED")
        vm.trace.clear()
        vm.start_tls()
        vm.introduce(vm.send_raw)
        vm.send_raw(vm.do_proxy())
        vspcd.has_logged("its end")
        self.assertEqual(known_vms(vspcd), [])
        self.assertEqual(vm.suboptions(WILL_PROXY), [])
        vm.send_raw(vm.vc_uuid())
        vm.wait_suboption(WILL_PROXY)
        self.assertEqual(known_vms(vspcd), [])
        vm.send_raw(vm.vm_name())
        vm.wait_connected()
        self.assertEqual([known["name"] for known in known_vms(vspcd)], [vm.name])

    def test_plain_text_behind_the_start_in_its_segment_ends_it(self):
        vspcd = self.start_tls()
        for behind in (self.EVIL, b"\xff", b"\x16", b"x"):
            vm = StartingVm(vspcd)
            vm.send_raw(say(WILL, AUTHENTICATION))
            vm.wait(lambda v=vm: ASK_TLS in v.raw, "the question")
            vm.send_raw(START_TLS + behind)
            vm.wait_closed()
            vspcd.wait_logged(f":{vm.local_port}: has begun TLS and sent more bytes in plain text")
        self.assertEqual(known_vms(vspcd), [])

    def test_plain_text_behind_the_start_in_the_next_segment_ends_it(self):
        vspcd = self.start_tls()
        vm = StartingVm(vspcd)
        vm.send_raw(say(WILL, AUTHENTICATION))
        vm.wait(lambda: ASK_TLS in vm.raw, "the question")
        vm.send_raw(START_TLS)
        vm.wait(lambda: ACCEPT_TLS in vm.raw, "ACCEPTED")
        vm.send_raw(self.EVIL)
        vm.wait_closed()
        vspcd.wait_logged(f":{vm.local_port}: TLS has failed: ")
        self.assertEqual(known_vms(vspcd), [])

    def test_half_a_line_before_the_start_does_not_change_what_comes_in_tls(self):
        vspcd = self.start_tls()
        vm = StartingVm(vspcd)
        vm.send_raw(say(WILL, AUTHENTICATION) + b"\r" + START_TLS)
        vm.wait(lambda: vm.raw.endswith(ACCEPT_TLS), "ACCEPTED")
        vm.trace.clear()
        vm.start_tls()
        vm.send_raw(b"\n." + say(WILL, VMWARE) + vm.do_proxy() + vm.vc_uuid() + vm.vm_name())
        vm.wait_connected()
        client = TelnetClient(vm)
        client.wait_data(b".")
        self.assertEqual(bytes(client.data), b"\n.")


class HostCertificates(VmTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.good = cls.authority.issue("esx1.example", purpose=CLIENT)

    def setUp(self):
        super().setUp()
        self.vspcd = self.start_tls(tls={"VMTrustedCAFile": self.authority.path})

    def test_the_name_in_a_good_one_is_told(self):
        vm = TlsVm(self.vspcd, context=client_context(self.good)).connect()
        self.assertEqual(Caller(self.vspcd).vm(vm.id)["tls"]["peer"], "esx1.example")
        self.assertFlows(vm)

    def test_a_host_without_one_is_served(self):
        vm = TlsVm(self.vspcd).connect()
        self.assertNotIn("peer", Caller(self.vspcd).vm(vm.id)["tls"])
        self.assertFlows(vm)

    def test_a_bad_one_is_refused_with_the_reason(self):
        with Authority("another") as other:
            for certificate, reason in (
                    (other.issue("esx1.example", purpose=CLIENT),
                     'The certificate issuer is unknown. The issuer is "another": it is not trusted, and its certificate '
                     "has not been sent"),
                    (self.authority.issue("esx1.example", purpose=CLIENT, self_signed=True),
                     'issuer is unknown. The issuer is "esx1.example": it is not trusted'),
                    (self.authority.expired("esx1.example", purpose=CLIENT), "uses expired certificate"),
                    (self.authority.issue("esx1.example"), "does not match the intended purpose")):
                for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                    with self.subTest(reason=reason, version=version):
                        self.check_refused(certificate, version, reason)

    def test_one_of_an_intermediate_authority_s_comes_with_that(self):
        with Authority("intermediate", issuer=self.authority) as between:
            esx2 = between.issue("esx2.example", purpose=CLIENT)
            both = self.authority.ca.with_chain(between.ca)
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                for certificate, trusted in (esx2.with_chain(between.ca), self.authority), (esx2, both):
                    vspcd = self.start_tls(tls={"VMTrustedCAFile": trusted.path})
                    first = TlsVm(vspcd, context=client_context(certificate, version=version)).connect()
                    self.assertEqual(Caller(vspcd).vm(first.id)["tls"]["peer"], "esx2.example")
                self.check_refused(esx2, version, 'The issuer is "intermediate": it is not trusted, and its certificate has '
                                                  "not been sent")

    def check_refused(self, certificate, version, reason):
        vspcd = self.start_tls(tls={"VMTrustedCAFile": self.authority.path})
        context = client_context(certificate, version=version)
        try:
            vm = TlsVm(vspcd, context=context)
            vm.send_raw(say(WILL, AUTHENTICATION))
            vm.wait_closed()
            self.assertEqual(bytes(vm.raw), b"")
        except (ssl.SSLError, ConnectionError):
            pass
        vspcd.wait_logged(rf"127\.0\.0\.1:\d+: TLS has failed: The certificate is NOT trusted\. .*{reason}$")
        self.assertEqual(known_vms(vspcd), [])

    def test_without_a_common_name_the_first_other_one_is_told(self):
        for name, shown in (("IP:192.0.2.7", "192.0.2.7"), ("IP:2001:db8::7", "2001:db8::7"),
                            ("DNS:esx7.example", "esx7.example"), ("otherName:1.2.3.4;UTF8:binary", None)):
            certificate = self.authority.issue("", name, purpose=CLIENT)
            vm = TlsVm(self.vspcd, context=client_context(certificate)).connect()
            self.assertEqual(Caller(self.vspcd).vm(vm.id)["tls"].get("peer"), shown)

    def test_hostile_names_are_clean_and_short(self):
        for name in ("a\u202eb", "x" * 64, "\u001b]0;t\u0007"):
            vm = TlsVm(self.vspcd, context=client_context(self.authority.issue(name, purpose=CLIENT))).connect()
            shown = Caller(self.vspcd).vm(vm.id)["tls"]["peer"]
            self.assertTrue(shown.isprintable(), repr(shown))
            self.assertTrue(shown)


if __name__ == "__main__":
    main()
