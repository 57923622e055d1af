# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspc-client with TLS and servers that use OpenSSL: the servers that it trusts, its messages about others, its time
limits, and that everything works as without TLS."""

import asyncio
import contextlib
import functools
import hashlib
import json
import os
import random
import re
import socket
import ssl
import subprocess
import threading
import warnings
from unittest import skipUnless

import test_client
import test_client_verbs
from certificates import CLIENT as FOR_CLIENTS
from certificates import DAY, RSA_2048, RSA_4096, Authority
from client_cases import CLIENT, ClientTestCase, environment, run
from fake_varlink import FakeVspcd, a_vm, all_vms, reply
from harness import PATIENCE_SEC, listener, main, wait_for
from peers import double

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
FINGERPRINT = re.compile(r"--fingerprint=[0-9A-F]{2}(?::[0-9A-F]{2}){31}$", re.MULTILINE)


@functools.cache
def authority(name="vspc's tests"):
    return Authority(name)


@functools.cache
def good():
    return authority().issue("localhost", "DNS:localhost", "IP:127.0.0.1", "IP:::1")


def context(certificate=None, *, version=None, clients=None):
    """Of a server. version: the only one it speaks. clients: the authority from which they must have a certificate."""
    certificate = certificate or good()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.path, certificate.key)
    if version:
        tls.minimum_version = tls.maximum_version = version
    if clients:
        tls.load_verify_locations(clients.path)
        tls.verify_mode = ssl.CERT_REQUIRED
    return tls


class TlsTestCase(ClientTestCase):
    def serving(self, tls=None, host="127.0.0.1", on_tcp=True, trust=None, **answers):
        """A fake in TLS. trust: the options that have to do with it; usually the authority."""
        vm = a_vm("web01")
        answers = {"List": all_vms([vm]), "Attach": lambda *_: reply(vm=vm, granted="free_for_all"), **answers}
        server = self.fake(on_tcp=on_tcp, tls=tls or context(), **answers)
        server.options = [f"--host={host}:{server.port}", "--tls", *(trust or [f"--ca={authority().path}"])]
        return server

    def assertIsAsked(self, server):
        result = run(server, "--no-legend")
        self.assertEqual((result.returncode, result.stdout.split()[:1]), (0, ["web01"]), result)

    def assertIsRefused(self, server, *texts):
        """By every way to speak to it, and before it is told anything."""
        for args in ["list"], ["attach", "web01"], ["monitor"]:
            result = run(server, *args)
            self.assertSays(result, f"Cannot reach vspcd: 127.0.0.1:{server.port}: ", *texts)
            self.assertEqual(server.calls, [])
        return result.stderr


class Belief(TlsTestCase):
    """In whom it believes."""

    def test_a_certificate_for_the_name_or_the_address_that_was_asked_for(self):
        for host in "localhost", "127.0.0.1", "LocalHost":
            self.assertIsAsked(self.serving(host=host))

    def test_a_certificate_for_an_ipv6_address(self):
        for host in "[::1]", "[::1%1]":  # the latter with the interface, of which a certificate knows nothing
            self.assertIsAsked(self.serving(on_tcp="::1", host=host))
        other = context(authority().issue("localhost", "IP:::2"))
        result = run(self.serving(other, on_tcp="::1", host="[::1]"))
        self.assertSays(result, 'The certificate must be for "::1", and signed by an authority in')

    def test_the_name_is_what_was_typed_not_what_it_resolves_to(self):
        name, address = (context(authority().issue("vspcd", alternative))
                         for alternative in ("DNS:localhost", "IP:127.0.0.1"))
        self.assertIsAsked(self.serving(name, host="localhost"))
        self.assertIsAsked(self.serving(address, host="127.0.0.1"))
        self.assertIsRefused(self.serving(name, host="127.0.0.1"), "name in the certificate does not match",
                             'The certificate must be for "127.0.0.1", and signed by')
        self.assertIsRefused(self.serving(address, host="localhost"), "name in the certificate does not match",
                             'The certificate must be for "localhost", and signed by')

    def test_every_kind_of_key(self):
        for key in RSA_2048, RSA_4096:
            self.assertIsAsked(self.serving(context(authority().issue("x", "IP:127.0.0.1", key=key))))

    def test_both_versions_and_no_older_one(self):
        for version in TLS_1_2, TLS_1_3:
            self.assertIsAsked(self.serving(context(version=version)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old = context(version=ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("DEFAULT@SECLEVEL=0")
        self.assertIsRefused(self.serving(old), "Does vspcd speak TLS there?")

    def test_nobody_of_another_authority(self):
        other = authority("another").issue("vspc.example.com", "IP:127.0.0.1")
        text = self.assertIsRefused(self.serving(context(other)), "The certificate issuer is unknown. ",
                                    f'The certificate must be for "127.0.0.1", and signed by an authority in {authority().path}.\n',
                                    'The certificate shown is that of "vspc.example.com". If "openssl x509 ',
                                    f"\n  --fingerprint={other.sha256}\n")
        self.assertNotIn("13372", text)

    def test_the_authorities_of_the_system_unless_others_are_named(self):
        server = self.serving()
        server.options.pop()
        self.assertIsRefused(server, "issuer is unknown", "signed by an authority that this system trusts.")

    def test_nothing_that_has_expired_or_has_not_begun(self):
        for text, certificate in (("expired", authority().expired("x", "IP:127.0.0.1")),
                                  ("not yet", authority().issue("x", "IP:127.0.0.1", begins=DAY, ends=2 * DAY))):
            self.assertIsRefused(self.serving(context(certificate)), text, certificate.sha256)

    def test_no_certificate_that_is_a_clients(self):
        certificate = authority().issue("x", "IP:127.0.0.1", purpose=FOR_CLIENTS)
        self.assertIsRefused(self.serving(context(certificate)), "purpose", certificate.sha256)

    def test_a_name_cannot_touch_the_terminal(self):
        certificate = authority("another").issue("\x1b[2Jx")
        text = self.assertIsRefused(self.serving(context(certificate)), 'The certificate shown is that of "\ufffd[2Jx"')
        self.assertNotIn("\x1b", text)


@functools.cache
def intermediate():
    return Authority("vspc's intermediate", issuer=authority())


class Chains(TlsTestCase):
    """Certificates that an intermediate authority has issued"""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.alone = intermediate().issue("vspc.example", "IP:127.0.0.1")
        cls.whole = cls.alone.with_chain(intermediate().ca)
        cls.both = authority().ca.with_chain(intermediate().ca)

    def trusting(self, certificate, ca, **kwargs):
        return self.serving(context(certificate), trust=[f"--ca={ca.path}"], **kwargs)

    def test_the_root_is_enough_if_the_server_shows_what_is_between(self):
        for version in TLS_1_2, TLS_1_3:
            self.assertIsAsked(self.serving(context(self.whole, version=version), trust=[f"--ca={authority().path}"]))
        self.assertIsAsked(self.trusting(self.alone.with_chain(intermediate().ca, authority().ca), authority().ca))

    def test_what_the_server_does_not_show_may_be_among_those_who_are_trusted(self):
        self.assertIsAsked(self.trusting(self.alone, self.both))
        self.assertIsAsked(self.trusting(self.alone, intermediate().ca))

    def test_the_one_that_is_missing_is_named(self):
        text = self.assertIsRefused(self.trusting(self.alone, authority().ca),
                                    'The certificate issuer is unknown. The issuer is "vspc\'s intermediate": it is not '
                                    "trusted, and its certificate has not been sent.\n",
                                    f"signed by an authority in {authority().path}.", f"--fingerprint={self.alone.sha256}")
        self.assertNotIn("13372", text)

    def test_so_is_a_root_that_is_not_trusted(self):
        other = Authority("another")
        self.addCleanup(other.close)
        between = Authority("another's intermediate", issuer=other)
        self.addCleanup(between.close)
        certificate = between.issue("x", "IP:127.0.0.1").with_chain(between.ca)
        self.assertIsRefused(self.trusting(certificate, self.both), 'The issuer is "another": it is not trusted, '
                                                              "and its certificate has not been sent.\n")
        self.assertIsRefused(self.trusting(certificate.with_chain(other.ca), self.both),
                             'The issuer is "another": it is not trusted.\n')

    def test_who_has_signed_for_himself_is_told_from_who_lacks_somebody(self):
        alone = authority().issue("somebody", "IP:127.0.0.1", self_signed=True)
        text = self.assertIsRefused(self.trusting(alone, authority().ca),
                                    'The issuer is "somebody": it is not trusted.\n')
        self.assertNotIn("been sent", text)

    def test_a_name_cannot_touch_the_terminal(self):
        other = Authority("\x1b[2J")
        self.addCleanup(other.close)
        text = self.assertIsRefused(self.trusting(other.issue("x", "IP:127.0.0.1"), authority().ca),
                                    'The issuer is "\ufffd[2J": it is')
        self.assertNotIn("\x1b", text)

    def test_an_intermediate_that_is_none_is_not_believed(self):
        """Whoever has a certificate could issue others."""
        impostor = Authority.__new__(Authority)
        impostor.__dict__.update(intermediate().__dict__, ca=good())
        certificate = impostor.issue("x", "IP:127.0.0.1").with_chain(good())
        self.assertIsRefused(self.trusting(certificate, authority().ca), "The certificate is NOT trusted.")

    def test_what_is_between_may_be_shown_to_the_server_too(self):
        alice = intermediate().issue("alice", purpose=FOR_CLIENTS)
        for version in TLS_1_2, TLS_1_3:
            server = self.serving(context(version=version, clients=authority()))
            server.options += [f"--cert={alice.with_chain(intermediate().ca).both}"]
            self.assertIsAsked(server)

            server = self.serving(context(version=version, clients=authority()))
            server.options += [f"--cert={alice.both}"]
            self.assertSays(run(server), "the peer says: ",
                            f"and may not accept the one in {alice.both}.\n")


@skipUnless(os.getuid() == 0, "only root can have a trust store of its own")
class System(TlsTestCase):
    """Whom this system trusts, in a namespace where that is somebody else"""

    STORE = "/etc/ssl/certs/ca-certificates.crt"

    def run_trusting(self, server, *certificates):
        """Without --ca"""
        script = ('mount -t tmpfs none /etc/ssl/certs && printf %s "$1" >"$2" && if [ -z "$1" ]; then rm "$2"; fi && '
                  'shift 2 && exec "$@"')
        options = [option for option in server.options if not option.startswith("--ca=")]
        return subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", "".join(c.text() for c in certificates),
                               self.STORE, CLIENT, *options, "list", "--no-legend"], capture_output=True, text=True,
                              check=False, env=environment(), timeout=PATIENCE_SEC, stdin=subprocess.DEVNULL)

    def test_is_believed_where_nobody_is_named(self):
        whole = intermediate().issue("x", "IP:127.0.0.1").with_chain(intermediate().ca)
        for certificate in good(), whole:
            server = self.serving(context(certificate))
            result = self.run_trusting(server, authority("another").ca, authority().ca)
            self.assertEqual((result.returncode, result.stdout.split()[:1]), (0, ["web01"]), result)

    def test_is_not_believed_where_somebody_is(self):
        server = self.serving(trust=[f"--ca={authority('another').path}"])
        script = 'mount -t tmpfs none /etc/ssl/certs && cp "$1" "$2" && shift 2 && exec "$@"'
        result = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", authority().path, self.STORE, CLIENT,
                                 *server.options, "list"], capture_output=True, text=True, check=False,
                                env=environment(), timeout=PATIENCE_SEC, stdin=subprocess.DEVNULL)
        self.assertSays(result, "issuer is unknown", f"signed by an authority in {authority('another').path}.")

    def test_does_not_trust_everybody(self):
        result = self.run_trusting(self.serving(), authority("another").ca)
        self.assertNotIn("at all", result.stderr)
        self.assertSays(result, 'The issuer is "vspc\'s tests": it is not trusted, and its certificate has not been sent.',
                        'The certificate must be for "127.0.0.1", and signed by an authority that this system trusts.')

    def test_that_trusts_nobody_is_told_so(self):
        self.assertSays(self.run_trusting(self.serving()), "This system trusts no authority at all: ", "ca-certificates",
                        "--ca=FILE", "--fingerprint=")


class Pinning(TlsTestCase):
    """The fingerprint of its certificate."""

    def test_is_enough_for_a_certificate_that_nobody_has_signed(self):
        alone = authority().issue("somebody", self_signed=True)
        for fingerprint in alone.sha256, alone.sha256.lower(), alone.sha256.replace(":", ""):
            self.assertIsAsked(self.serving(context(alone), trust=[f"--fingerprint={fingerprint}"]))

    def test_another_one_is_refused_and_both_are_shown(self):
        alone, other = (authority().issue("somebody", self_signed=True) for _ in range(2))
        server = self.serving(context(alone), trust=[f"--fingerprint={other.sha256}"])
        self.assertIsRefused(server, "another fingerprint.\n", f"with this SHA-256 fingerprint:\n  {other.sha256}\n",
                             f"\n  --fingerprint={alone.sha256}\n")

    def test_with_an_authority_both_must_hold(self):
        ca, pin = f"--ca={authority().path}", f"--fingerprint={good().sha256}"
        other_ca, other_pin = f"--ca={authority('another').path}", f"--fingerprint={authority().ca.sha256}"
        self.assertIsAsked(self.serving(trust=[ca, pin]))
        self.assertIsRefused(self.serving(trust=[ca, other_pin]), "another fingerprint", authority().ca.sha256,
                             f'The certificate must also be for "127.0.0.1", and signed by an authority in {authority().path}.',
                             f"  --fingerprint={good().sha256}")
        text = self.assertIsRefused(self.serving(trust=[other_ca, pin]), "issuer is unknown",
                                    "has this fingerprint: without --ca that is enough.")
        self.assertNotRegex(text, FINGERPRINT)

    def test_what_is_shown_can_be_pasted(self):
        server = self.serving(context(authority("another").expired("x")))
        text = self.assertIsRefused(server, "expired")
        server.options = [*server.options[:2], FINGERPRINT.search(text)[0]]
        self.assertIsAsked(server)

    def test_says_what_is_no_fingerprint(self):
        fingerprint = good().sha256
        for text in ("", "x", good().sha1, fingerprint[:-1], fingerprint + ":", fingerprint + "00", ":" + fingerprint,
                     fingerprint.replace(":", "::"), fingerprint.replace(":", " "), fingerprint[:-1] + "g"):
            self.assertSays(run(self.serving(trust=[f"--fingerprint={text}"])),
                            f'--fingerprint: "{text}" is not the SHA-256 of a certificate: 64 hexadecimal digits')


class Identity(TlsTestCase):
    """Who it says it is."""

    @staticmethod
    @functools.cache
    def somebody(whose):
        return whose.issue("alice", purpose=FOR_CLIENTS)

    @property
    def alice(self):
        return self.somebody(authority())

    def asking(self, version, **answers):
        def who(caller, _):
            self.seen = dict(pair for (pair,) in caller.sock.getpeercert()["subject"])
            return all_vms([a_vm("web01")])
        return self.serving(context(version=version, clients=authority()), List=who, **answers)

    def test_a_certificate_is_shown_if_it_is_asked_for(self):
        alice = self.alice
        for version in TLS_1_2, TLS_1_3:
            for options in [f"--cert={alice.path}", f"--key={alice.key}"], [f"--cert={alice.both}"]:
                server = self.asking(version)
                server.options += options
                self.assertIsAsked(server)
                self.assertEqual(self.seen, {"commonName": "alice"})

    def test_attaching_shows_it_as_well(self):
        server = self.asking(TLS_1_3)
        server.options += [f"--cert={self.alice.both}"]
        terminal = self.attached(server, "web01")
        peer = server.wait_attached()
        self.assertIn("alice", str(peer.sock.getpeercert()))
        terminal.type(b"x")
        peer.wait_data(b"x")

    def assertSaysOfEachVerb(self, server, *texts):
        for args in ["list"], ["attach", "web01"], ["monitor"], ["clear", "web01"], ["metrics"]:
            self.assertSays(run(server, *args), *texts)
            self.assertEqual(server.calls, [])

    def test_none_is_a_reason_that_is_told(self):
        """In TLS 1.3 the server says so after the handshake."""
        for version in TLS_1_2, TLS_1_3:
            self.assertSaysOfEachVerb(self.asking(version), "vspcd asks for your certificate: use --cert=FILE and "
                                                            "--key=FILE.\n")

    def test_one_that_is_not_taken_is_named(self):
        mallory = self.somebody(authority("another"))
        for version in TLS_1_2, TLS_1_3:
            server = self.asking(version)
            server.options += [f"--cert={mallory.both}"]
            self.assertSaysOfEachVerb(server, "the peer says: ",
                                      "vspcd asks for your certificate, and may not accept the one in "
                                      f"{mallory.both}.\n")


class Options(TlsTestCase):
    def assertSaysOf(self, options, *texts):
        result = subprocess.run([CLIENT, *options], capture_output=True, text=True, check=False, env=environment(),
                                timeout=PATIENCE_SEC, stdin=subprocess.DEVNULL)
        self.assertSays(result, *texts)

    def test_that_contradict_each_other(self):
        host = "--host=127.0.0.1"
        for option, value in ("ca", "x"), ("cert", "x"), ("key", "x"), ("fingerprint", good().sha256):
            self.assertSaysOf([host, f"--{option}={value}"], f"--{option}: --tls is needed as well.\n")
            self.assertSaysOf([f"--{option}={value}"], f"--{option}: --tls is needed as well.\n")
        self.assertSaysOf(["--tls", "--socket=/x"], "--tls: a local socket has no TLS, --host=HOST[:PORT] is needed.\n")
        self.assertSaysOf(["--tls"], "--tls: --host=HOST[:PORT] is needed as well.\n")
        self.assertSaysOf([host, "--tls", f"--key={good().key}"], "--key: --cert=FILE is needed as well.\n")

    def test_files_that_are_of_no_use_are_named(self):
        other = authority().issue("other")
        empty = authority().file("empty")
        with open(empty, "wb"):
            pass
        for options, *texts in (
                (["--ca=/nonexistent/ca"], "/nonexistent/ca cannot be read: No such file or directory"),
                ([f"--ca={empty}"], empty),
                ([f"--ca={good().key}"], good().key),
                ([f"--ca={CLIENT}"], CLIENT),
                (["--cert=/nonexistent/cert"], "The certificate /nonexistent/cert cannot be read"),
                ([f"--cert={good().path}", "--key=/nonexistent/key"], "The key /nonexistent/key cannot be read"),
                ([f"--cert={good().path}", f"--key={other.key}"], other.key, "is not that of", good().path),
                ([f"--cert={good().path}"], good().path),
                ([f"--cert={empty}"], empty)):
            self.assertSaysOf(["--host=127.0.0.1", "--tls", *options], *texts)

    def test_the_port_is_the_one_of_tls_unless_it_is_given(self):
        host = "--host=127.77.13.3"  # where only those listen who listen everywhere
        self.assertSaysOf([host, "--tls"], "127.77.13.3:13372: Connection refused",
                          "only if its vspc-admin-tls.socket is enabled")
        self.assertSaysOf([host], "127.77.13.3:13371: Connection refused")

    def test_are_completed(self):
        complete = test_client_verbs.Completion.complete
        self.assertEqual(complete(self, None, "--fi"), ["--fingerprint="])
        self.assertEqual(complete(self, None, "--tl"), ["--tls"])
        self.assertIn("certificates.py", complete(self, None, f"--ca={os.path.dirname(__file__)}/certif")[0])
        self.assertEqual(complete(self, self.serving(), "attach", "we"), ["web01"])


class TlsEnd:
    """A server's end of TLS, record by record."""

    def __init__(self, sock, tls=None):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (tls or context()).wrap_bio(self.incoming, self.outgoing, server_side=True)

    def pull(self):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionResetError
        self.incoming.write(data)

    def first_flight(self):
        """What it would answer to the client's hello."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                flight = self.outgoing.read()
                if flight:
                    return flight
                self.pull()

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                self.sock.sendall(self.outgoing.read())
                return self
            except ssl.SSLWantReadError:
                self.sock.sendall(self.outgoing.read())
                self.pull()

    def read_call(self):
        data = b""
        while not data.endswith(b"\0"):
            try:
                data += self.tls.read(65536)
            except ssl.SSLWantReadError:
                self.pull()
        return json.loads(data[:-1])

    def seal(self, data):
        self.tls.write(data)
        return self.outgoing.read()


class Hostility(TlsTestCase):
    """What a server may do instead of TLS, or in it."""

    def behaving(self, behave):
        """A server that does this to each connection."""
        server = listener()
        self.addCleanup(server.close)
        self.addCleanup(server.shutdown, socket.SHUT_RDWR)

        def serve(sock):
            with sock:
                try:
                    behave(sock)
                except OSError:
                    pass

        def accept():
            while True:
                try:
                    sock = server.accept()[0]
                except OSError:
                    return
                threading.Thread(target=serve, args=(sock,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        server_port = server.getsockname()[1]
        return [f"--host=127.0.0.1:{server_port}", "--tls", f"--ca={authority().path}"]

    def started(self, behave, *args):
        process = subprocess.Popen([CLIENT, *self.behaving(behave), *args], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def assertFails(self, behave, *texts, verbs=(("list",), ("attach", "web01"))):
        """All at once, because some take their time."""
        for process in [self.started(behave, *verb) for verb in verbs]:
            _, stderr = process.communicate(timeout=PATIENCE_SEC)
            self.assertEqual(process.returncode, 1, stderr)
            for text in texts:
                self.assertIn(text, stderr)
            self.assertNotIn("Sanitizer", stderr)

    HINT = "Does vspcd speak TLS there? It does on port 13372 if"

    def test_plain_text(self):
        def telnet(sock):
            sock.sendall(b"\xff\xfb\x01\xff\xfb\x03Welcome!\r\nlogin: ")
            sock.recv(1)

        def varlink(sock):
            sock.recv(65536)
            sock.sendall(b'{"error":"org.varlink.service.InvalidParameter"}\0')
            sock.recv(1)

        for behave in telnet, varlink:
            self.assertFails(behave, "Cannot reach vspcd: 127.0.0.1:", self.HINT)

    def test_who_forgets_tls_is_reminded(self):
        """By the alert with which GnuTLS answers to plain text."""
        def gnutls(sock):
            sock.recv(65536)
            sock.sendall(b"\x15\x03\x03\0\2\2\x16")
            sock.recv(1)

        options = self.behaving(gnutls)[:1]
        for verb in ["list"], ["attach", "web01"], ["monitor"]:
            result = subprocess.run([CLIENT, *options, *verb], capture_output=True, text=True, check=False,
                                    env=environment(), timeout=PATIENCE_SEC, stdin=subprocess.DEVNULL)
            self.assertSays(result, "vspcd uses TLS there: add --tls")

    def test_an_end_instead_of_a_handshake(self):
        def at_once(sock):
            sock.recv(65536)

        def in_the_middle(sock):
            flight = TlsEnd(sock).first_flight()
            sock.sendall(flight[:len(flight) // 2])

        def with_a_reset(sock):
            sock.recv(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        for behave in at_once, in_the_middle, with_a_reset:
            self.assertFails(behave, "Cannot reach vspcd: 127.0.0.1:", self.HINT)

    def test_silence_or_a_byte_now_and_then_in_the_handshake(self):
        """It ends by itself: nobody else does anything that would end it."""
        def silence(sock):
            while sock.recv(65536):
                pass

        def trickle(sock):
            for i in TlsEnd(sock).first_flight():
                sock.sendall(bytes([i]))
                sock.settimeout(0.1)
                try:
                    sock.recv(1)
                except TimeoutError:
                    pass

        processes = [(self.started(behave, *verb), behave) for behave in (silence, trickle)
                     for verb in (("list",), ("attach", "web01"))]
        for process, _ in processes:
            _, stderr = process.communicate(timeout=PATIENCE_SEC)
            self.assertEqual(process.returncode, 1, stderr)
            self.assertIn("the TLS handshake has timed out.\n" + self.HINT, stderr)

    def test_a_record_that_never_ends(self):
        """Something can always be read, and never anything comes of it."""
        def trickle(sock):
            end = TlsEnd(sock).handshake()
            end.read_call()
            sock.settimeout(0.002)
            for i in end.seal(b" " * 16000):
                sock.sendall(bytes([i]))
                try:
                    sock.recv(1)
                except TimeoutError:
                    pass

        self.assertFails(trickle, "vspcd does not answer", verbs=(("list",), ("metrics",), ("attach", "web01")))

    def test_a_reply_in_records_of_one_byte(self):
        def answer(sock):
            end = TlsEnd(sock).handshake()
            end.read_call()
            message = json.dumps(all_vms([a_vm("web01")])[0]).encode() + b"\0"
            sock.sendall(b"".join(end.seal(bytes([i])) for i in message))
            sock.recv(1)

        process = self.started(answer, "list", "--no-legend")
        self.assertEqual(process.communicate(timeout=PATIENCE_SEC)[0].split()[:1], ["web01"])

    def test_a_reply_behind_one_that_is_as_long_as_it_may_be(self):
        """The last record is longer than what is left of the room for replies: GnuTLS has the rest, the kernel nothing."""
        room = 1 << 20
        vm = {"id": "long", "name": "long", "x": "x" * (room - 200)}
        first, last = {"parameters": {"vm": vm}, "continues": True}, all_vms([a_vm("last")])[0]
        data = b"".join(json.dumps(message).encode() + b"\0" for message in (first, last))
        self.assertLess(len(json.dumps(first)), room)

        def answer(sock):
            end = TlsEnd(sock).handshake()
            end.read_call()
            beyond = len(data) - room
            sock.sendall(end.seal(data[:beyond]) + end.seal(data[beyond:]))
            sock.recv(1)

        process = self.started(answer, "list", "--no-legend")
        out, stderr = process.communicate(timeout=PATIENCE_SEC)
        self.assertEqual([line.split()[0] for line in out.splitlines()], ["last", "long"], stderr)

    def test_a_record_that_is_forged_ends_it_and_is_not_shown(self):
        """However it is noticed, nothing of what it holds counts."""
        def forge(sock):
            end = TlsEnd(sock).handshake()
            call = end.read_call()
            attaches = "Attach" in call["method"]
            answer = reply(vm=a_vm("web01"), granted="write") if attaches else all_vms([a_vm("web01")])
            record = bytearray(end.seal(json.dumps(answer[0]).encode() + b"\0"))
            if attaches:
                sock.sendall(record)
                record = bytearray(end.seal(b"rm -rf /"))
            record[-1] ^= 1
            sock.sendall(record)
            while sock.recv(65536):
                pass

        for verb in ("list",), ("attach", "web01"):
            process = self.started(forge, *verb)
            stdout, stderr = process.communicate(timeout=PATIENCE_SEC)
            self.assertEqual((process.returncode, stdout), (1, ""), stderr)
            self.assertIn("Decryption has failed", stderr)

    def test_an_end_without_an_answer(self):
        def with_goodbye(sock):
            end = TlsEnd(sock).handshake()
            end.read_call()
            try:
                end.tls.unwrap()
            except ssl.SSLError:
                pass
            sock.sendall(end.outgoing.read())

        def without(sock):
            TlsEnd(sock).handshake().read_call()

        for behave in with_goodbye, without:
            self.assertFails(behave, "vspcd has closed the connection")


class Attaching(TlsTestCase):
    def attached_with_pipes(self, server, *args, **kwargs):
        return test_client.Pipes.attached_with_pipes(self, server, "web01", *args, **kwargs)

    def test_megabytes_in_both_directions_at_once(self):
        blobs = random.Random(1).randbytes(3 << 20), random.Random(2).randbytes(3 << 20)
        for version in TLS_1_2, TLS_1_3:
            server = self.serving(context(version=version))
            process = self.attached_with_pipes(server, "--quiet-for=3s")
            peer = server.wait_attached()
            self.assertEqual(peer.sock.version(), version.name.replace("_", "."))

            wanted, got = double(blobs[0]), hashlib.sha256()
            writer = threading.Thread(target=lambda p=process: (p.stdin.write(blobs[0]), p.stdin.close()))
            output = []
            reader = threading.Thread(target=lambda p=process, o=output: o.append(p.stdout.read()))
            writer.start()
            reader.start()
            # An SSL socket is for one thread: a piece there, a piece back.
            back, n = memoryview(double(blobs[1])), len(peer.data)
            got.update(peer.data)
            peer.sock.settimeout(PATIENCE_SEC)
            while n < len(wanted) or back:
                peer.sock.sendall(back[:16384])
                back = back[16384:]
                if n < len(wanted):
                    data = peer.sock.recv(65536)
                    got.update(data)
                    n += len(data)
            self.assertEqual(got.hexdigest(), hashlib.sha256(wanted).hexdigest())
            writer.join()
            reader.join()
            self.assertEqual(process.wait(PATIENCE_SEC), 0)
            self.assertSameBytes(output[0], blobs[1])

    def test_again_after_the_connection_is_lost(self):
        server = self.serving()
        terminal = self.attached(server, "web01", "--wait")
        for n in range(1, 4):
            peer = server.wait_attached(n)
            peer.send(b"<%d>" % n)
            terminal.wait_shown(b"<%d>" % n)
            peer.close()
        server.wait_attached(4)
        self.assertEqual([method for method, _ in server.calls], ["Attach"] * 4)

    def test_not_again_to_somebody_else_in_its_place(self):
        server = self.serving()
        terminal = self.attached(server, "web01", "--wait")
        impostor = authority("another").issue("localhost", "IP:127.0.0.1")
        server.tls = context(impostor)
        server.wait_attached().close()
        terminal.wait_shown(b"Disconnected from VM web01")
        terminal.wait_shown(f"--fingerprint={impostor.sha256}\r\n".encode())
        wait_for(lambda: len(server.failures) > 3, "it to be tried again")
        self.assertEqual(terminal.shown.count(impostor.sha256.encode()), 1)
        self.assertEqual(len(server.calls), 1)
        server.tls = context()
        server.wait_attached(2)

    def test_what_the_prompt_asks_is_asked_in_tls(self):
        server = self.serving(Clear=reply(disconnected=1))
        terminal = self.attached(server, "web01")
        terminal.command(b"info")
        terminal.wait_shown(b"UUID: ")
        terminal.type(b"clear\r")
        terminal.wait_shown(b"1 client disconnected, including this one.")
        self.assertEqual(server.failures, [])
        self.assertEqual([method for method, _ in server.calls], ["Attach", "List", "Clear"])


class Front:
    """TLS in front of vspcd's plain socket."""

    def __init__(self, target):
        self.target = target
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()), daemon=True)
        self.thread.start()
        self.ready.wait()
        self.options = [f"--host=127.0.0.1:{self.port}", "--tls", f"--ca={authority().path}"]

    async def run(self):
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=context())
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.over.wait()
        server.close()

    async def serve(self, reader, writer):
        other_reader, other_writer = await asyncio.open_connection(*self.target)
        try:
            await asyncio.gather(self.pump(reader, other_writer), self.pump(other_reader, writer))
        except asyncio.CancelledError:
            pass
        with contextlib.suppress(AttributeError):  # Python 3.11, if it is in TLS and has been closed
            for end in writer, other_writer:
                end.transport.abort()

    @staticmethod
    async def pump(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def close(self):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join()


class InTls:
    """Makes tests of vspc-client tests of vspc-client in TLS."""

    def fake(self, on_tcp=True, **answers):
        server = super().fake(on_tcp=on_tcp, tls=context(), **answers)
        for buffer in socket.SO_SNDBUF, socket.SO_RCVBUF:  # what it takes is to be about what a local socket does
            server.listener.setsockopt(socket.SOL_SOCKET, buffer, 65536)
        server.options += ["--tls", f"--ca={authority().path}"]
        return server

    def start(self, *args, **kwargs):
        vspcd = super().start(*args, **kwargs)
        front = Front(vspcd.admin_address)
        self.addCleanup(front.close)
        vspcd.options = front.options
        return vspcd


class HostilityInTls(InTls, test_client.Hostility):
    pass


class MonitorInTls(InTls, test_client_verbs.Monitor):
    pass


class ClearInTls(InTls, test_client_verbs.Clear):
    pass


class AttachInTls(InTls, test_client.Attach):
    pass


class PromptInTls(InTls, test_client.Prompt):
    TAKEN_MAX = 10 << 20  # TCP's buffer for what is received grows, and may have room for all of it


class PipesInTls(InTls, test_client.Pipes):
    test_input_that_is_not_taken_is_a_failure = None  # that much a TCP connection takes by itself


if __name__ == "__main__":
    main()
