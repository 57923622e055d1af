# SPDX-License-Identifier: LGPL-2.1-or-later

"""A server that replies as the test says: for replies that vspcd never sends, or not at the time that the test needs.

It only knows Varlink's framing. The answer of a method is a list of replies (dicts), or a function that gets the
connection and the parameters of the call and returns such a list or None.
"""

import contextlib
import json
import os
import socket
import tempfile
import threading

from harness import PATIENCE_SEC, wait_for

INTERFACE = "org.vspc.Concentrator."


def a_vm(name, n=1, **more):
    """An object VM of the interface."""
    uuid = f"5012{n:04x}-0000-0000-0000-{n:012x}"
    return {"id": uuid, "uuid": uuid, "name": name, "uri": "s0", "port": 50000 + n, "connected": True,
            "since": 1700000000000000, "peer": "192.0.2.21:4711", "serial": "115200 8N1",
            "vmotion": "none", "clientCount": 0, "clients": [], "bytesReceived": 0, "bytesSent": 0, **more}


def a_client(peer, access, **more):
    return {"peer": peer, "access": access, "since": 1700000000000000, "bytes": 0, "skipped": 0, **more}


def error(name, **parameters):
    return [{"error": INTERFACE + name, "parameters": parameters}]


def reply(**parameters):
    return [{"parameters": parameters}]


def all_vms(vms):
    return [{"parameters": {"vm": vm}, "continues": vm is not vms[-1]} for vm in vms] or reply()


class Caller:
    """A connection from vspc-client, in a thread of its own until it is attached."""

    def __init__(self, server, sock):
        self.server, self.sock = server, sock
        self.rest = b""
        self.data = bytearray()
        self.calls = []

    def serve(self):
        if self.server.tls:
            try:
                self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)
            except OSError as e:
                self.server.failures.append(e)
                self.sock.close()
                return
        while True:
            while b"\0" not in self.rest:
                try:
                    data = self.sock.recv(65536)
                except ConnectionError:
                    data = b""
                if not data:
                    self.sock.close()
                    return
                self.rest += data
            message, _, self.rest = self.rest.partition(b"\0")
            if self.answer(json.loads(message)):
                return

    def answer(self, call):
        """Returns whether the connection has been handed over."""
        method = call["method"].removeprefix(INTERFACE)
        parameters = call.get("parameters", {})
        self.server.calls.append((method, parameters))
        answer = self.server.answers[method]
        if callable(answer):
            answer = answer(self, parameters)
        if answer is None:
            return True
        for message in answer:
            self.sock.sendall(json.dumps(message).encode() + b"\0")
        if call.get("upgrade") and "error" not in answer[-1]:
            self.data += self.rest
            self.server.attached.append(self)
            return True
        return False

    # Once it is attached:

    def send(self, data):
        self.sock.sendall(data)

    def wait_data(self, text):
        """What the client has sent, telnet and all."""
        self.sock.settimeout(PATIENCE_SEC)
        while text not in self.data:
            got = self.sock.recv(65536)
            assert got, f"closed before {text!r}: {bytes(self.data)!r}"
            self.data += got

    def wait_closed(self):
        self.sock.settimeout(PATIENCE_SEC)
        try:
            while got := self.sock.recv(65536):
                self.data += got
        except ConnectionError:
            pass

    def close(self):
        self.sock.close()


class FakeVspcd:
    """Listens on a local socket, so that users are mapped to names; on_tcp=True: on 127.0.0.1, or at that address.

    tls: an ssl.SSLContext in which it speaks.
    """

    def __init__(self, *, on_tcp=False, port=0, path=None, tls=None, **answers):
        self.answers, self.tls = answers, tls
        self.calls, self.attached, self.failures = [], [], []
        address = on_tcp if isinstance(on_tcp, str) else "127.0.0.1"
        self.folder = tempfile.TemporaryDirectory(prefix="vspc-e2e-fake-")
        self.path = path or os.path.join(self.folder.name, "admin.socket")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.socket(family if on_tcp else socket.AF_UNIX)
        if on_tcp:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port) if on_tcp else self.path)
        self.listener.listen(64)
        if on_tcp:
            self.port = self.listener.getsockname()[1]
            self.options = [f"--host={f'[{address}]' if ':' in address else address}:{self.port}"]
        else:
            self.options = [f"--socket={self.path}"]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=Caller(self, sock).serve, daemon=True).start()

    def wait_attached(self, n=1):
        wait_for(lambda: len(self.attached) >= n, f"{n} to be attached")
        return self.attached[n - 1]

    def close(self):
        with contextlib.suppress(OSError):  # it may have been closed by the test
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        for caller in self.attached:
            caller.close()
        self.folder.cleanup()
