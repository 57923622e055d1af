# SPDX-License-Identifier: LGPL-2.1-or-later

"""A TLS 1.3 client that can send what no library would send. OpenSSL does the handshake and reads; after that,
records are made here, with the secret that OpenSSL logs for debuggers (RFC 8446, sections 5.2 and 7)."""

import hashlib
import hmac
import re
import ssl
import tempfile

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from harness import PATIENCE_SEC
from tls_peers import client_context

ALERT, HANDSHAKE, APPLICATION_DATA = 21, 22, 23
KEY_UPDATE = 24  # a handshake message that is allowed in the middle of a session
CIPHER, KEY_SIZE, HASH = "TLS_AES_256_GCM_SHA384", 32, hashlib.sha384
RECORD_MAX = 1 << 14


def expand(secret, label, size):
    """HKDF-Expand-Label, of an empty context, with one round of HKDF: up to a hash's size."""
    label = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    return hmac.new(secret, info + b"\1", HASH).digest()[:size]


def message_header(kind, length):
    return bytes([kind]) + length.to_bytes(3, "big")


class WireSocket:
    """In the place of a Peer's socket: sends as application data what the peer sends, and other records besides."""

    def __init__(self, sock, certificate=None):
        self.sock, self.n_sent = sock, 0
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = client_context(certificate, version=ssl.TLSVersion.TLSv1_3)
        with tempfile.NamedTemporaryFile(prefix="vspc-e2e-secrets-") as secrets:
            context.keylog_filename = secrets.name
            self.tls = context.wrap_bio(self.incoming, self.outgoing)
            self.shake_hands()
            secret = re.search(rb"^CLIENT_TRAFFIC_SECRET_0 \w+ (\w+)$", secrets.read(), re.M)[1]
        assert self.tls.cipher()[0] == CIPHER, self.tls.cipher()
        secret = bytes.fromhex(secret.decode())
        self.aead, self.iv = AESGCM(expand(secret, b"key", KEY_SIZE)), expand(secret, b"iv", 12)

    def shake_hands(self):
        self.sock.settimeout(PATIENCE_SEC)
        complete = False
        while not complete:
            try:
                self.tls.do_handshake()
                complete = True
            except ssl.SSLWantReadError:
                pass
            self.sock.sendall(self.outgoing.read())
            if not complete:
                self.incoming.write(self.sock.recv(65536))
        self.sock.setblocking(False)

    def record(self, kind, data):
        inner = data + bytes([kind])
        header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
        nonce = int.from_bytes(self.iv, "big") ^ self.n_sent
        self.n_sent += 1
        return header + self.aead.encrypt(nonce.to_bytes(12, "big"), inner, header)

    def send_record(self, kind, data):
        """Waits until it is sent: it cannot be made again."""
        self.sock.settimeout(PATIENCE_SEC)
        try:
            self.sock.sendall(self.record(kind, data))
        finally:
            self.sock.setblocking(False)

    def send(self, data):
        self.send_record(APPLICATION_DATA, bytes(data[:RECORD_MAX]))
        return min(len(data), RECORD_MAX)

    def recv(self, n):
        while True:
            try:
                return self.tls.read(n)
            except ssl.SSLWantReadError:
                data = self.sock.recv(65536)
                if not data:
                    return b""
                self.incoming.write(data)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as e:
                raise ConnectionError(str(e)) from e

    def __getattr__(self, name):
        return getattr(self.sock, name)


class InWire:
    """For a Peer: from here on it speaks TLS by way of a WireSocket."""

    def start_tls(self, certificate=None):
        self.sock = WireSocket(self.sock, certificate)
        return self

    def send_endless_message(self, size=0xffffff, *, between=None):
        """The beginning of a message of so many bytes, and then of what it consists of until we are cut off. between
        is called after each record."""
        try:
            self.sock.send_record(HANDSHAKE, message_header(KEY_UPDATE, size) + bytes(RECORD_MAX - 4))
            for _ in range(size // RECORD_MAX):
                if between:
                    between()
                self.sock.send_record(HANDSHAKE, bytes(RECORD_MAX))
        except ConnectionError:
            pass
