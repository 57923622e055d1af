# SPDX-License-Identifier: LGPL-2.1-or-later

"""Peers that use TLS with OpenSSL (Python's ssl): ESXi hosts and admin connections."""

import ssl

from certificates import Authority
from harness import PATIENCE_SEC, TestCase, sockets
from peers import AUTHENTICATION, BINARY, DO, ECHO, ESXI_KNOWN, KNOWN_1, KNOWN_2, SGA, VMWARE, WILL, EsxiVm, say, sub
from varlink_peer import Caller

# SB 37 …: "do you begin TLS?", "I do", "I do not", "begin"
ASK_TLS, START_TLS = b"\xff\xfa\x25\x01\x07\x00\xff\xf0", b"\xff\xfa\x25\x00\x07\x00\x01\xff\xf0"
DECLINE_TLS, ACCEPT_TLS = b"\xff\xfa\x25\x00\x00\x00\xff\xf0", b"\xff\xfa\x25\x02\x07\x00\x02\xff\xf0"

NEEDS_TLS = b"This concentrator accepts only TLS: the vSPC URI must begin with telnets://\r\n"


def client_context(certificate=None, *, trusted=None, version=None):
    """That of a peer who believes all servers, or only those whose certificate is issued by trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if trusted else ssl.CERT_NONE
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # an end without close_notify is none
    if trusted:
        context.load_verify_locations(trusted.path)
    if certificate:
        context.load_cert_chain(certificate.path, certificate.key)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


class TlsSocket:
    """A socket in TLS that a Peer can have as its own."""

    def __init__(self, sock, context, name=None, session=None):
        sock.settimeout(PATIENCE_SEC)
        self.tls = context.wrap_socket(sock, server_hostname=name, session=session, suppress_ragged_eofs=False)
        sockets.append(self.tls)
        self.tls.setblocking(False)

    @staticmethod
    def blocking(function, *args):
        try:
            return function(*args)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as e:
            raise BlockingIOError from e
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as e:
            raise ConnectionError(str(e)) from e

    def recv(self, n):
        return self.blocking(self.tls.recv, n)

    def send(self, data):
        return self.blocking(self.tls.send, data)

    def say_good_bye(self):
        """close_notify, and no end of TCP's."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass

    def __getattr__(self, name):
        return getattr(self.tls, name)


class TlsInMemory:
    """TLS that does not touch the socket by itself: a peer is told when to send what it has made."""

    def __init__(self, peer, context=None):
        self.peer, self.incoming, self.outgoing = peer, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or client_context()).wrap_bio(self.incoming, self.outgoing)
        self.unread, self.n_records = b"", 0

    def step(self):
        """The next part of the handshake. Returns whether it is complete; what is to be sent is in .outgoing."""
        self.incoming.write(bytes(self.peer.raw))
        self.peer.raw.clear()
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def shake_hands(self):
        while not self.step():
            self.peer.send_raw(self.outgoing.read())
            self.peer.wait(lambda: self.peer.raw, "the next flight")
        return self

    def send(self, data):
        self.tls.write(data)
        self.peer.send_raw(self.outgoing.read())

    def say_good_bye(self):
        """close_notify, and then what comes is read on."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.peer.send_raw(self.outgoing.read())

    def read(self):
        """What has come by now; counts the records that it was in."""
        wire, data = self.unread + bytes(self.peer.raw), bytearray()
        self.peer.raw.clear()
        while len(wire) >= 5 and len(wire) >= (size := 5 + int.from_bytes(wire[3:5], "big")):
            self.n_records += 1
            self.incoming.write(wire[:size])
            wire = wire[size:]
        self.unread = wire
        try:
            while piece := self.tls.read(65536):
                data += piece
        except ssl.SSLWantReadError:
            pass
        return bytes(data)

    def read_to_the_end(self):
        """All that is said, up to close_notify."""
        self.peer.wait_closed()
        self.incoming.write(bytes(self.peer.raw))
        data = bytearray()
        try:
            while piece := self.tls.read(65536):
                data += piece
        except ssl.SSLZeroReturnError:
            pass
        return bytes(data)


class InTls:
    """For a Peer: from here on it speaks TLS."""

    def start_tls(self, context=None, **kwargs):
        self.sock = TlsSocket(self.sock, context or client_context(), **kwargs)
        return self

    @property
    def session(self):
        return self.sock.tls

    def certificate(self):
        """The other side's, as it is sent."""
        return self.session.getpeercert(binary_form=True)


class TlsVm(InTls, EsxiVm):
    """telnets://: an ESXi host whose connection is in TLS from the first byte."""

    def __init__(self, vspcd, name=None, *, context=None, session=None, **kwargs):
        super().__init__(vspcd, name, **kwargs)
        self.start_tls(context, session=session)


class OfferingVm(InTls, EsxiVm):
    """telnet://, and vspcd has a certificate: it asks whether the host begins TLS."""

    ANSWER = None

    def negotiate(self, send=None):
        send = send or self.send_raw
        send(say(WILL, AUTHENTICATION))
        self.wait(lambda: ASK_TLS in self.raw, "SB AUTHENTICATION SEND SSL")
        self.answer(send)
        self.introduce(send)

    def introduce(self, send):
        send(say(DO, BINARY, SGA, ECHO) + say(WILL, BINARY, SGA, VMWARE))
        self.wait_suboption(KNOWN_2)
        send(sub(KNOWN_1, ESXI_KNOWN))


class DecliningVm(OfferingVm):
    """Stays with plain text."""

    def answer(self, send):
        send(DECLINE_TLS)


class StartingVm(OfferingVm):
    """Begins TLS in the middle of telnet."""

    def answer(self, send):
        send(START_TLS)
        self.wait(lambda: self.raw.endswith(ACCEPT_TLS), "SB AUTHENTICATION REPLY SSL ACCEPTED")
        self.trace.clear()
        self.start_tls()
        self.send_raw(say(WILL, AUTHENTICATION))
        self.wait_trace(("dont", AUTHENTICATION))


class TlsTestCase(TestCase):
    """Has an authority and a certificate of vspcd's, which are made once."""

    @classmethod
    def setUpClass(cls):
        cls.authority = cls.enterClassContext(Authority())
        cls.certificate = cls.authority.issue("vspc.example", "DNS:vspc.example", "IP:127.0.0.1")


class TlsCaller(InTls, Caller):
    """Somebody who queries in TLS."""

    def __init__(self, vspcd, context=None, **kwargs):
        super().__init__(vspcd, address=vspcd.admin_tls_address, **kwargs)
        self.start_tls(context)

