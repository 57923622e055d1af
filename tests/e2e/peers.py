# SPDX-License-Identifier: LGPL-2.1-or-later

"""Peers of vspcd: ESXi hosts, telnet clients and raw clients. They are written from the RFCs and from VMware's guide
with plain bytes, on purpose without using the code under test.

A peer reads only when it is told to (pump(), wait()), so that a test decides which peer is slow.
"""

import re
import select
import socket
import time

from harness import PATIENCE_SEC, numbers, recent_logs, sockets

IAC, DONT, DO, WONT, WILL, SB, AYT, BRK, NOP, SE = 255, 254, 253, 252, 251, 250, 246, 243, 241, 240
BINARY, ECHO, SGA, AUTHENTICATION, COM_PORT, VMWARE = 0, 1, 3, 37, 44, 232

KNOWN_1, KNOWN_2, UNKNOWN_1, UNKNOWN_2 = 0, 1, 2, 3
BEGIN, GOAHEAD, NOTNOW, PEER, PEER_OK, COMPLETE, ABORT = 40, 41, 43, 44, 45, 46, 48
DO_PROXY, WILL_PROXY, WONT_PROXY = 70, 71, 73
VC_UUID, GET_VC_UUID, NAME, GET_NAME = 80, 81, 82, 83
BIOS_UUID, GET_BIOS_UUID, LOCATION_UUID, GET_LOCATION_UUID = 84, 85, 86, 87

# What ESXi lists in KNOWN-SUBOPTIONS-1
ESXI_KNOWN = bytes([0, 1, 2, 3, 40, 41, 43, 44, 45, 46, 48, 70, 71, 73, 80, 81, 82, 83, 84, 85, 86, 87])

ALL_BYTES = bytes(range(256))

DETECTION_SEC = 0.5  # how long a client may take to show that it speaks telnet


def double(data):
    return bytes(data).replace(b"\xff", b"\xff\xff")


def sub(code, data=b"", option=VMWARE):
    """A subnegotiation of option 232: IAC SB 232 code data IAC SE."""
    return bytes([IAC, SB, option]) + double(bytes([code]) + bytes(data)) + bytes([IAC, SE])


def say(command, *options):
    return b"".join(bytes([IAC, command, option]) for option in options)


def uuid_text(digits):
    """32 hex digits as ESXi writes them: "50 12 34 56 78 9a bc de-f0 …"."""
    pairs = [digits[i:i + 2] for i in range(0, 32, 2)]
    return (" ".join(pairs[:8]) + "-" + " ".join(pairs[8:])).encode()


def uuid_shown(digits):
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def await_input(sock, seconds):
    """Not by select(), which knows descriptors up to 1023 only."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.poll(seconds * 1000)


class Peer:
    """One end of a TCP connection: of a new one or, accepted, of one that the other end has made."""

    def __init__(self, address, *, receive_buffer=None, source=None, accepted=None):
        self.sock = accepted or socket.socket()
        sockets.append(self.sock)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(PATIENCE_SEC)
        if source:
            self.sock.bind(source)
        if not accepted:
            self.sock.connect(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.local_port = self.sock.getsockname()[1]
        self.raw = bytearray()  # all that has come
        self.eof = self.reset = False

    def feed(self, data):
        pass

    def pump(self, limit=1 << 30):
        """Reads what is there. Returns how many bytes that was."""
        got = 0
        while not self.eof and got < limit:
            try:
                data = self.sock.recv(min(65536, limit - got))
            except BlockingIOError:
                break
            except ConnectionError:
                data, self.reset = b"", True
            if not data:
                self.eof = True
                break
            got += len(data)
            self.raw += data
            self.feed(data)
        return got

    def send_raw(self, data):
        """Sends all of it; what comes meanwhile is not read."""
        view = memoryview(bytes(data))
        deadline = time.monotonic() + PATIENCE_SEC
        while view:
            try:
                view = view[self.sock.send(view):]
            except BlockingIOError:
                select.select([], [self.sock], [], 0.1)
            if view and time.monotonic() > deadline:
                raise AssertionError(f"{len(view)} bytes cannot be sent\n{recent_logs()}")

    def send_bytewise(self, data):
        for byte in data:
            self.send_raw(bytes([byte]))
            time.sleep(0)  # the other side may read in between

    def send_some(self, data):
        """Sends what the connection takes now. Returns how many bytes that was."""
        view, sent = memoryview(data), 0
        while sent < len(data):
            try:
                sent += self.sock.send(view[sent:])
            except BlockingIOError:
                break
        return sent

    def wait(self, predicate, what):
        deadline = time.monotonic() + PATIENCE_SEC
        while True:
            self.pump()
            result = predicate()
            if result:
                return result
            left = deadline - time.monotonic()
            if left < 0 or self.eof:
                what = what() if callable(what) else what
                raise AssertionError(f"{'closed before' if self.eof else 'waited in vain for'} {what}; "
                                     f"{len(self.raw)} bytes came, the last are {bytes(self.raw[-200:])!r}\n"
                                     f"{recent_logs()}")
            await_input(self.sock, min(left, 0.02))

    def wait_closed(self):
        deadline = time.monotonic() + PATIENCE_SEC
        while not self.eof:
            self.pump()
            if time.monotonic() > deadline:
                raise AssertionError(f"the connection is not closed\n{recent_logs()}")
            if not self.eof:
                await_input(self.sock, 0.02)

    def close(self):
        self.sock.close()

    def abort(self):
        """Closes with a reset, as when a host is switched off."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class TelnetPeer(Peer):
    """Takes the stream apart: .data is what remains without telnet, .trace is everything in its order:
    bytes, ("will", option), ("sb", option, bytes), ("command", code)."""

    VERBS = {WILL: "will", WONT: "wont", DO: "do", DONT: "dont"}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.data = bytearray()
        self.trace = []
        self.rest = b""

    def feed(self, data):
        data = self.rest + data
        at = 0
        while at < len(data):
            found = data.find(b"\xff", at)
            end = found if found >= 0 else len(data)
            if end > at:
                self.add_data(data[at:end])
            at = end
            if found < 0:
                break
            length = self.command(data, at)
            if length == 0:
                break
            at += length
        self.rest = data[at:]

    def command(self, data, at):
        """Takes in the command at that place. Returns its length, 0 if it is not complete."""
        if at + 1 >= len(data):
            return 0
        code = data[at + 1]
        if code == IAC:
            self.add_data(b"\xff")
            return 2
        if code == SB:
            end = at + 2
            while True:
                end = data.find(b"\xff", end)
                if end < 0 or end + 1 >= len(data):
                    return 0
                if data[end + 1] == SE:
                    break
                end += 2
            payload = data[at + 3:end].replace(b"\xff\xff", b"\xff")
            self.trace.append(("sb", data[at + 2], payload))
            self.on_subnegotiation(data[at + 2], payload)
            return end + 2 - at
        if code in self.VERBS:
            if at + 2 >= len(data):
                return 0
            self.trace.append((self.VERBS[code], data[at + 2]))
            self.on_negotiation(code, data[at + 2])
            return 3
        self.trace.append(("command", code))
        return 2

    def add_data(self, data):
        self.data += data
        if self.trace and isinstance(self.trace[-1], bytearray):
            self.trace[-1] += data
        else:
            self.trace.append(bytearray(data))

    def on_negotiation(self, command, option):
        pass

    def on_subnegotiation(self, option, data):
        pass

    def wait_data(self, text, what=None):
        self.wait(lambda: text in self.data, what or repr(bytes(text[:200])))

    def wait_size(self, n):
        self.wait(lambda: len(self.data) >= n, lambda: f"{n} bytes of data")

    def take(self):
        """The data so far, which is forgotten."""
        data = bytes(self.data)
        self.data.clear()
        return data

    def wait_trace(self, item):
        self.wait(lambda: item in self.trace, repr(item))

    def index(self, item):
        return self.trace.index(item)


class EsxiVm(TelnetPeer):
    """An ESXi host's connection for one serial port of one VM. bios: the digits with which it answers when it is asked
    for the BIOS UUID; without them it does not."""

    is_clone = False  # another VM of its UUID came first

    def __init__(self, vspcd, name=None, *, digits=None, uri="s0", bios=None, **kwargs):
        super().__init__(vspcd.vm_address, **kwargs)
        n = next(numbers)
        self.bios = bios
        self.vspcd = vspcd
        self.name = name or f"vm{n}"
        self.digits = digits or f"5012{n:028x}"
        self.uri = uri
        self.port = None

    @property
    def id(self):
        return uuid_shown(self.digits) + (f"~{uuid_shown(self.bios)}" if self.is_clone else "")

    def send(self, data):
        """Serial output of the VM, as BINARY has it."""
        self.send_raw(double(data))

    def suboptions(self, code):
        """The data of all suboptions of that code that have come."""
        return [item[2][1:] for item in self.trace
                if item[0] == "sb" and item[1] == VMWARE and item[2] and item[2][0] == code]

    def wait_suboption(self, code, n=1):
        return self.wait(lambda: self.suboptions(code)[n - 1:n], f"suboption {code}")[0]

    def on_subnegotiation(self, option, data):
        if option == VMWARE and data == bytes([GET_BIOS_UUID]) and self.bios is not None:
            self.send_raw(sub(BIOS_UUID, uuid_text(self.bios)))

    def do_proxy(self):
        return sub(DO_PROXY, b"S" + self.uri.encode())

    def vc_uuid(self):
        return sub(VC_UUID, uuid_text(self.digits))

    def vm_name(self):
        return sub(NAME, self.name if isinstance(self.name, bytes) else self.name.encode())

    def negotiate(self, send=None):
        """Up to where both sides have agreed on option 232."""
        send = send or self.send_raw
        send(say(WILL, AUTHENTICATION))
        self.wait_trace(("dont", AUTHENTICATION))
        send(say(DO, BINARY, SGA, ECHO) + say(WILL, BINARY, SGA, VMWARE))
        self.wait_suboption(KNOWN_2)
        send(sub(KNOWN_1, ESXI_KNOWN))

    def handshake(self, send=None):
        send = send or self.send_raw
        self.negotiate(send)
        send(self.do_proxy())
        self.wait_suboption(GET_NAME)
        send(self.vc_uuid())
        self.wait_suboption(WILL_PROXY)
        send(self.vm_name() + say(WILL, COM_PORT))
        self.wait_trace(("do", COM_PORT))
        return self

    def wait_connected(self):
        """Until vspcd says that the VM is there; learns its clients' port."""
        host = re.escape(self.sock.getsockname()[0])
        found = self.vspcd.wait_logged(rf"connected from {host}:{self.local_port}(?: in TLS [0-9.]+)?, "
                                       r"(its clients use port (\d+)|it has no port)")
        self.port = int(found[2]) if found[2] else None
        return self

    def connect(self):
        self.handshake()
        return self.wait_connected()

    # vMotion

    def begin(self, sequence):
        """Returns the secret."""
        n = len(self.suboptions(GOAHEAD))
        self.send_raw(sub(BEGIN, sequence))
        answer = self.wait_suboption(GOAHEAD, n + 1)
        assert answer.startswith(sequence), (answer, sequence)
        return answer[len(sequence):]

    def peer(self, sequence, secret, accepted=True):
        """As the target, up to PEER-OK."""
        self.negotiate()
        self.send_raw(sub(PEER, sequence + secret))
        if accepted:
            answer = self.wait_suboption(PEER_OK)
            assert answer == sequence, (answer, sequence)
        return self

    def complete(self, sequence):
        self.send_raw(sub(COMPLETE, sequence))


def connected_vm(vspcd, *args, **kwargs):
    return EsxiVm(vspcd, *args, **kwargs).connect()


def connected_clone(vm, name):
    """Another VM that has the UUID and the URI of @vm and another BIOS UUID."""
    vm.send_raw(sub(BIOS_UUID, uuid_text("564d" + "0a" * 14)))
    clone = EsxiVm(vm.vspcd, name, digits=vm.digits, uri=vm.uri, bios="564d" + "0b" * 14)
    clone.is_clone = True
    clone.negotiate()
    clone.send_raw(sub(BIOS_UUID, uuid_text(clone.bios)) + clone.do_proxy() + clone.vc_uuid() + clone.vm_name())
    return clone.wait_connected()


def migration_target(vm):
    """The same VM on another host; .peer() is to follow."""
    return EsxiVm(vm.vspcd, vm.name, digits=vm.digits, uri=vm.uri)


def client_address(vm):
    assert vm.port, f"the VM has no port\n{recent_logs()}"
    return "127.0.0.1", vm.port


class RawClient(Peer):
    """nc or gdb: knows nothing of telnet. What it gets first are vspcd's offers, which belong to telnet."""

    OFFERS = say(WILL, BINARY, SGA, ECHO) + say(DO, BINARY, SGA)

    def __init__(self, vm, **kwargs):
        super().__init__(client_address(vm), **kwargs)
        wait_client(vm.vspcd, self)

    @property
    def data(self):
        return self.raw[len(self.OFFERS):]

    send = Peer.send_raw

    def wait_data(self, text):
        self.wait(lambda: text in self.data, repr(bytes(text[:200])))

    def wait_size(self, n):
        self.wait(lambda: len(self.raw) >= n + len(self.OFFERS), f"{n} bytes of data")


class TelnetClient(TelnetPeer):
    """A telnet program: agrees to SGA and ECHO, and to BINARY if that is wanted."""

    def __init__(self, vm, *, binary=True, settle=True, options=(SGA, ECHO), **kwargs):
        super().__init__(client_address(vm), **kwargs)
        self.agrees = set(options) | ({BINARY} if binary else set())
        wait_client(vm.vspcd, self)
        if settle:
            self.wait_trace(("do", SGA))

    def on_negotiation(self, command, option):
        agrees = option in self.agrees
        if command == WILL:
            self.send_raw(say(DO if agrees else DONT, option))
        elif command == DO:
            self.send_raw(say(WILL if agrees else WONT, option))

    def send(self, data):
        """Keys, as BINARY has them."""
        self.send_raw(double(data))


def wait_client(vspcd, client):
    if not vspcd.is_logging:
        return
    vspcd.wait_logged(rf"client 127\.0\.0\.1:{client.local_port} connected")


def console_of(vspcd, vm):
    """How the log speaks of a VM."""
    return rf"VM {re.escape(vm.name)} \({vm.id}\): "
