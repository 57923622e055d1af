# SPDX-License-Identifier: LGPL-2.1-or-later

"""Certificates, keys and the other settings in [TLS]: at a start, at a reload during traffic, and with
--check-config."""

import hashlib
import os
import re
import ssl
import subprocess
import tempfile
import threading
import unittest

from certificates import DAY, RSA_2048, Authority
from harness import PATIENCE_SEC, SANITIZED, VSPCD, clean_environment, main, recent_logs, wait_for
from peers import Peer, RawClient, connected_vm
from tls_peers import TlsInMemory, TlsTestCase, TlsVm, client_context
from varlink_peer import Caller

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def openssl(*arguments, stdin=""):
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, text=True, errors="replace",
                          check=False, timeout=PATIENCE_SEC)


def s_client(vspcd, *arguments, address=None):
    """What OpenSSL's client says of a connection."""
    port = (address or vspcd.vm_address)[1]
    result = openssl("s_client", "-connect", f"127.0.0.1:{port}", *arguments)
    return result.stdout + result.stderr


def shown_fingerprint(vspcd):
    """SHA-256 of the certificate that vspcd shows now, as OpenSSL has it."""
    pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", s_client(vspcd), re.S)
    assert pem, recent_logs()
    return re.search("=(.*)", openssl("x509", "-noout", "-fingerprint", "-sha256", stdin=pem[0]).stdout)[1]


def content(path):
    with open(path, encoding="ascii") as f:
        return f.read()


class CertificateTestCase(TlsTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.first = cls.authority.issue("first")
        cls.second = cls.authority.issue("second", key=RSA_2048)
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-"))

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return path


class Sources(CertificateTestCase):
    def test_the_key_may_be_in_the_certificate_s_file(self):
        vspcd = self.start(tls={"CertificateFile": self.first.both})
        self.assertEqual(shown_fingerprint(vspcd), self.first.sha256)

    def test_both_kinds_of_keys_are_served(self):
        vspcd = self.start(tls={"CertificateFile": self.second.path, "KeyFile": self.second.key})
        self.assertEqual(shown_fingerprint(vspcd), self.second.sha256)

    def test_credentials_come_before_the_configuration(self):
        with tempfile.TemporaryDirectory(prefix="vspc-e2e-") as folder:
            os.symlink(self.second.path, f"{folder}/vspc.crt")
            os.symlink(self.second.key, f"{folder}/vspc.key")
            vspcd = self.start(tls={"CertificateFile": self.first.path, "KeyFile": self.first.key},
                               env={"CREDENTIALS_DIRECTORY": folder})
            self.assertEqual(shown_fingerprint(vspcd), self.second.sha256)

    def test_a_credential_may_have_both(self):
        with tempfile.TemporaryDirectory(prefix="vspc-e2e-") as folder:
            os.symlink(self.second.both, f"{folder}/vspc.crt")
            vspcd = self.start(tls={"KeyFile": self.first.key}, env={"CREDENTIALS_DIRECTORY": folder})
            self.assertEqual(shown_fingerprint(vspcd), self.second.sha256)

    def test_the_key_alone_may_be_a_credential(self):
        with tempfile.TemporaryDirectory(prefix="vspc-e2e-") as folder:
            os.symlink(self.first.key, f"{folder}/vspc.key")
            vspcd = self.start(tls={"CertificateFile": self.first.path, "KeyFile": self.second.key},
                               env={"CREDENTIALS_DIRECTORY": folder})
            self.assertEqual(shown_fingerprint(vspcd), self.first.sha256)

    @unittest.skipIf(SANITIZED, "SoftHSM leaks memory, which the sanitizer reports")
    def test_the_key_may_be_in_a_token_that_does_not_give_it_away(self):
        tokens = os.path.join(self.folder, "tokens")
        os.mkdir(tokens)
        config = self.write("softhsm2.conf", f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
        environment = clean_environment(SOFTHSM2_CONF=config)
        for arguments in (["--init-token", "--free", "--label=e2e", "--so-pin=1234"],
                          ["--import", self.first.key, "--token=e2e", "--label=key", "--id=01"]):
            subprocess.run(["softhsm2-util", *arguments, "--pin=1234"], env=environment, check=True,
                           capture_output=True, timeout=PATIENCE_SEC)
        vspcd = self.start(tls={"CertificateFile": self.first.path,
                                "KeyFile": "pkcs11:token=e2e;object=key;type=private?pin-value=1234"},
                           env={"SOFTHSM2_CONF": config})
        self.assertEqual(shown_fingerprint(vspcd), self.first.sha256)
        TlsVm(vspcd).connect()

    def test_a_chain_is_shown_whole(self):
        chain = self.write("chain.pem", self.first.text() + self.authority.ca.text())
        vspcd = self.start(tls={"CertificateFile": chain, "KeyFile": self.first.key})
        self.assertIn("Verify return code: 0 (ok)", s_client(vspcd, "-CAfile", self.authority.path))
        self.assertEqual(s_client(vspcd, "-showcerts").count("BEGIN CERTIFICATE"), 2)

    def test_an_intermediate_authority_is_shown_to_those_who_know_the_root_only(self):
        with Authority("intermediate", issuer=self.authority) as between:
            certificate = between.issue("vspc.example")
            for shown, code in (certificate.with_chain(between.ca), 0), (certificate, 21):
                vspcd = self.start(tls={"CertificateFile": shown.path, "KeyFile": shown.key})
                for version in "-tls1_2", "-tls1_3":
                    self.assertIn(f"Verify return code: {code} ", s_client(vspcd, version, "-CAfile", self.authority.path))

    def test_an_expired_certificate_is_served_with_a_warning(self):
        for certificate, text in ((self.authority.expired("yesterday's"), "has expired"),
                                  (self.authority.issue("tomorrow's", begins=DAY, ends=2 * DAY), "is not valid yet")):
            vspcd = self.start(tls={"CertificateFile": certificate.both})
            vspcd.wait_logged(rf"The certificate in {certificate.both.replace('+', '.')} {text}$")
            self.assertEqual(shown_fingerprint(vspcd), certificate.sha256)


class Reload(CertificateTestCase):
    def start_with(self, certificate, **kwargs):
        return self.start(tls={"CertificateFile": certificate.path, "KeyFile": certificate.key}, **kwargs)

    def reload_with(self, vspcd, certificate):
        return vspcd.reload(tls={"CertificateFile": certificate.path, "KeyFile": certificate.key})

    def test_a_renewed_certificate_is_for_those_who_come_later(self):
        vspcd = self.start_with(self.first)
        early = TlsVm(vspcd).connect()
        self.assertEqual(shown_fingerprint(vspcd), self.first.sha256)
        self.reload_with(vspcd, self.second)
        self.assertEqual(shown_fingerprint(vspcd), self.second.sha256)

        late = TlsVm(vspcd).connect()
        for vm, certificate in ((early, self.first), (late, self.second)):
            self.assertEqual(hashlib.sha256(vm.certificate()).digest().hex(":").upper(), certificate.sha256)
            client = RawClient(vm)
            vm.send(b"still there")
            client.wait_data(b"still there")

    def test_the_same_file_with_something_else_in_it_is_read_again(self):
        path = self.write("renewed.pem", content(self.first.both))
        vspcd = self.start(tls={"CertificateFile": path})
        self.write("renewed.pem", content(self.second.both))
        self.assertEqual(shown_fingerprint(vspcd), self.first.sha256)
        vspcd.reload()
        self.assertEqual(shown_fingerprint(vspcd), self.second.sha256)

    def test_nothing_is_lost_when_it_is_renewed_in_the_middle_of_traffic(self):
        vspcd = self.start_with(self.first, SlowClient="wait")
        vm = TlsVm(vspcd).connect()
        client = RawClient(vm)
        data = os.urandom(8 << 20)
        sender = threading.Thread(target=vm.send, args=(data,))
        sender.start()
        n = 0
        while len(client.data) < len(data):
            client.pump(1 << 20)
            self.reload_with(vspcd, self.second if n % 2 else self.first)
            n += 1
        sender.join(PATIENCE_SEC)
        self.assertGreaterEqual(n, 8)
        self.assertSameBytes(client.data, data)

    def test_those_who_are_shaking_hands_get_the_one_they_began_with(self):
        vspcd = self.start_with(self.first)
        peer = Peer(vspcd.vm_address)
        host = TlsInMemory(peer)
        self.assertFalse(host.step())
        peer.send_raw(host.outgoing.read())
        peer.wait(lambda: peer.raw, "the server's hello")
        self.reload_with(vspcd, self.second)
        host.shake_hands().send(b"\xff\xfb\x25")
        peer.wait(lambda: peer.raw, "the offers")
        self.assertEqual(hashlib.sha256(host.tls.getpeercert(True)).digest().hex(":").upper(), self.first.sha256)

    def test_one_that_is_of_no_use_is_refused_and_the_old_one_stays(self):
        vspcd = self.start_with(self.first)
        vm = TlsVm(vspcd).connect()
        broken = self.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        for tls, reason in (
                ({"CertificateFile": "/nonexistent"},
                 "The certificate /nonexistent cannot be read: No such file or directory"),
                ({"CertificateFile": broken, "KeyFile": self.first.key}, f"The certificate in {broken} cannot be used"),
                ({"CertificateFile": self.second.path, "KeyFile": self.first.key},
                 f"The key in {self.first.key} is not that of the certificate in {self.second.path}"),
                ({"CertificateFile": self.second.both, "Priority": "NORMAL:+NONSENSE"},
                 'GnuTLS does not understand "+NONSENSE"'),
                ({"CertificateFile": self.second.both, "TrustedCAFile": self.first.key},
                 f"TLS with admin connections: There is no certificate in {self.first.key}"),
                ({"CertificateFile": self.second.both, "VMTrustedCAFile": "/nonexistent"},
                 "TLS with ESXi hosts: The file of trusted certificates /nonexistent cannot be read")):
            with self.subTest(reason=reason):
                since = len(vspcd.log)
                vspcd.reload(tls=tls)
                vspcd.wait_logged(re.escape(reason), since)
                vspcd.wait_logged(f"The configuration has not been reloaded: .*{re.escape(reason)}", since)
                vspcd.wait_change(lambda r=reason: any(
                    n.startswith("STATUS=1 VM, 0 clients, the configuration could not be reloaded: ") and r in n
                    for n in vspcd.notifications), "the status")
                self.assertEqual(shown_fingerprint(vspcd), self.first.sha256)

        client = RawClient(vm)
        vm.send(b"undisturbed")
        client.wait_data(b"undisturbed")
        client.close()
        self.reload_with(vspcd, self.second)
        self.assertEqual(shown_fingerprint(vspcd), self.second.sha256)
        vspcd.wait_status("1 VM, 0 clients")

    def test_without_one_at_the_start_it_serves_plain_text_until_that_is_mended(self):
        vspcd = self.start(tls={"CertificateFile": "/nonexistent"})
        vspcd.wait_status("0 VMs, 0 clients, TLS with ESXi hosts is off: The certificate /nonexistent cannot be read: No "
                          "such file or directory")
        vm = connected_vm(vspcd)
        self.reload_with(vspcd, self.first)
        TlsVm(vspcd).connect()
        client = RawClient(vm)
        vm.send(b"plain")
        client.wait_data(b"plain")

    def test_a_certificate_that_is_taken_away_ends_tls_for_those_who_come_later(self):
        vspcd = self.start_with(self.first)
        vm = TlsVm(vspcd).connect()
        vspcd.reload(tls={})
        self.assertNotIn("BEGIN CERTIFICATE", s_client(vspcd))
        vspcd.wait_logged("begins TLS, for which there is no certificate")
        client = RawClient(vm)
        vm.send(b"still in TLS")
        client.wait_data(b"still in TLS")

    def test_many_reloads_leave_nothing_behind(self):
        vspcd = self.start_with(self.first)
        for _ in range(20):
            self.reload_with(vspcd, self.second)
        descriptors, memory = vspcd.n_descriptors(), vspcd.rss()
        for n in range(100):
            self.reload_with(vspcd, self.first if n % 2 else self.second)
        wait_for(lambda: vspcd.n_descriptors() <= descriptors, f"{descriptors} descriptors again")
        self.assertLess(vspcd.rss() - memory, (16 if SANITIZED else 2) << 20)


class Required(CertificateTestCase):
    def test_that_tls_is_required_and_cannot_be_had_is_said(self):
        vspcd = self.start(tls={"RequireVMTLS": "yes"})
        vspcd.wait_logged("ESXi hosts are refused: RequireVMTLS=yes, but there is no certificate: CertificateFile= is missing")
        output = s_client(vspcd)
        self.assertNotIn("BEGIN CERTIFICATE", output)
        vspcd.wait_logged(r"is refused: something is wrong in \[TLS\] of the configuration, see the status of the service")
        vspcd.reload(tls={"RequireVMTLS": "yes", "CertificateFile": self.first.both})
        TlsVm(vspcd).connect()


class Priority(CertificateTestCase):
    def esxi_6(self):
        with open(f"{SOURCE}/units/esxi-6.conf", encoding="ascii") as f:
            return re.search("^Priority=(.*)$", f.read(), re.M)[1]

    OLD = ("-cipher", "DEFAULT@SECLEVEL=0")

    def test_by_default_old_versions_are_refused_with_the_reason(self):
        vspcd = self.start(tls={"CertificateFile": self.second.both})
        output = s_client(vspcd, "-tls1", *self.OLD)
        self.assertIn("alert protocol version", output)
        vspcd.wait_logged("TLS has failed: A packet with illegal or unsupported version was received")

    def test_the_drop_in_for_old_hosts_serves_them_and_new_ones(self):
        for certificate in (self.first, self.second):
            vspcd = self.start(tls={"CertificateFile": certificate.both, "Priority": self.esxi_6()})
            for argument, version in (("-tls1", "TLSv1"), ("-tls1_1", "TLSv1.1"), ("-tls1_2", "TLSv1.2"),
                                      ("-tls1_3", "TLSv1.3")):
                with self.subTest(version=version):
                    self.assertRegex(s_client(vspcd, argument, *self.OLD),
                                     rf"(?m)^New, {re.escape(version)}, |^ *Protocol *: {re.escape(version)}$")

    def test_what_old_hosts_need_does_not_let_others_query(self):
        vspcd = self.start(sockets=("vm", "admin", "admin-tls"),
                           tls={"CertificateFile": self.second.both, "Priority": self.esxi_6()})
        for argument, version in (("-tls1", "TLSv1"), ("-tls1_1", "TLSv1.1")):
            with self.subTest(version=version):
                self.assertIn("alert protocol version",
                              s_client(vspcd, argument, *self.OLD, address=vspcd.admin_tls_address))
        for argument, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            self.assertRegex(s_client(vspcd, argument, address=vspcd.admin_tls_address),
                             f"(?m)^New, {re.escape(version)}, ")

    def test_an_old_host_s_console_flows(self):
        vspcd = self.start(tls={"CertificateFile": self.second.both, "Priority": self.esxi_6()}, SlowClient="wait")
        context = client_context()
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
        vm = TlsVm(vspcd, context=context).connect()
        self.assertEqual(Caller(vspcd).vm(vm.id)["tls"]["version"], "TLS 1.0")
        client = RawClient(vm)
        data = os.urandom(1 << 20)
        vm.send(data)
        client.wait_size(len(data))
        self.assertSameBytes(client.data, data)

    def test_it_may_be_stricter(self):
        vspcd = self.start(tls={"CertificateFile": self.first.both, "Priority": "NORMAL:-VERS-ALL:+VERS-TLS1.3"})
        self.assertIn("New, (NONE)", s_client(vspcd, "-tls1_2"))
        self.assertIn("New, TLSv1.3", s_client(vspcd))


class CheckConfig(CertificateTestCase):
    def check(self, tls, **environment):
        path = self.write("check.conf", "[TLS]\n" + "".join(f"{key}={value}\n" for key, value in tls.items()))
        return subprocess.run([VSPCD, f"--config={path}", "--check-config"], capture_output=True, text=True,
                              check=False, env=clean_environment(**environment), timeout=PATIENCE_SEC)

    def test_what_is_fine_is_said_to_be(self):
        for tls in ({}, {"CertificateFile": self.first.both},
                    {"CertificateFile": self.second.path, "KeyFile": self.second.key,
                     "TrustedCAFile": self.authority.path, "VMTrustedCAFile": self.authority.path,
                     "Priority": "SECURE192:%SERVER_PRECEDENCE",
                     "RequireVMTLS": "yes", "RequireVMCertificate": "yes", "StartTLS": "no"}):
            result = self.check(tls)
            self.assertEqual((result.returncode, result.stdout), (0, "The configuration is fine.\n"), result.stderr)

    def test_what_is_wrong_is_said(self):
        empty = self.write("empty.pem", "")
        nonsense = self.write("nonsense.pem", "nonsense\n")
        fifo = os.path.join(self.folder, "fifo")
        if not os.path.exists(fifo):
            os.mkfifo(fifo)
        encrypted = os.path.join(self.folder, "encrypted.key")
        openssl("pkey", "-in", self.first.key, "-aes256", "-passout", "pass:secret", "-out", encrypted)
        certificate = {"CertificateFile": self.first.both}
        for tls, reason in (
                ({"CertificateFile": "vspc.crt"}, 'CertificateFile= must be the absolute path of a PEM file'),
                ({"CertificateFile": "/nonexistent"}, "/nonexistent cannot be read: No such file"),
                ({"CertificateFile": "/"}, "The certificate / is not a regular file"),
                ({"CertificateFile": fifo}, f"The certificate {fifo} is not a regular file"),
                ({"CertificateFile": empty}, f"The certificate in {empty} cannot be used"),
                ({"CertificateFile": nonsense}, f"The certificate in {nonsense} cannot be used"),
                ({"CertificateFile": self.first.path}, f"The key in {self.first.path} cannot be used"),
                ({"CertificateFile": self.first.key}, f"The certificate in {self.first.key} cannot be used"),
                ({**certificate, "KeyFile": "/nonexistent"}, "The key /nonexistent cannot be read"),
                ({**certificate, "KeyFile": self.second.key},
                 f"The key in {self.second.key} is not that of the certificate in {self.first.both}"),
                ({**certificate, "KeyFile": encrypted}, f"The key in {encrypted} cannot be used"),
                ({**certificate, "TrustedCAFile": "/nonexistent"}, "trusted certificates /nonexistent cannot be read"),
                ({**certificate, "TrustedCAFile": empty}, f"{empty}"),
                ({**certificate, "VMTrustedCAFile": nonsense}, f"{nonsense}"),
                ({**certificate, "Priority": "SOMETHING"}, 'GnuTLS does not understand "SOMETHING"'),
                ({**certificate, "Priority": "NORMAL:-VERS-ALL"}, "The priority string"),
                ({"RequireVMTLS": "yes"}, "RequireVMTLS=yes, but there is no certificate"),
                ({"KeyFile": self.first.key}, "KeyFile= needs a certificate"),
                ({"TrustedCAFile": self.authority.path}, "TrustedCAFile= needs a certificate"),
                ({"VMTrustedCAFile": self.authority.path}, "VMTrustedCAFile= needs a certificate"),
                ({**certificate, "RequireVMCertificate": "yes"}, "RequireVMCertificate=yes, but VMTrustedCAFile= is missing"),
                ({**certificate, "Unknown": "1"}, "Unknown key Unknown= in section [TLS]"),
                ({"CertificateFile": self.authority.expired("yesterday's").both}, "has expired"),
                ({**certificate, "StartTLS": "maybe"}, "StartTLS= must be yes or no")):
            with self.subTest(tls=tls):
                result = self.check(tls)
                self.assertEqual((result.returncode, result.stdout), (1, ""), result.stderr)
                self.assertIn(reason, result.stderr)
                self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)

    def test_a_key_that_is_a_credential_means_nothing_without_a_certificate(self):
        with tempfile.TemporaryDirectory(prefix="vspc-e2e-") as folder:
            os.symlink(self.first.key, f"{folder}/vspc.key")
            result = self.check({}, CREDENTIALS_DIRECTORY=folder)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn("The credential vspc.key needs a certificate: CertificateFile= is missing",
                          result.stderr)

    def test_credentials_are_looked_at(self):
        with tempfile.TemporaryDirectory(prefix="vspc-e2e-") as folder:
            os.symlink(self.second.path, f"{folder}/vspc.crt")
            os.symlink(self.first.key, f"{folder}/vspc.key")
            result = self.check({}, CREDENTIALS_DIRECTORY=folder)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"The key in {folder}/vspc.key is not that of the certificate in {folder}/vspc.crt",
                          result.stderr)


if __name__ == "__main__":
    main()
