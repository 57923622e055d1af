# SPDX-License-Identifier: LGPL-2.1-or-later

"""Varlink callers: calls are written as bytes, and replies are parsed by Python's json and compared with the
interface definitions in the tree."""

import contextlib
import fcntl
import json
import os
import re
import socket
import struct
import termios

from harness import PATIENCE_SEC, recent_logs, sockets, wait_for
from peers import TelnetPeer, double

ADMIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/admin")
CONCENTRATOR, SERVICE = "org.vspc.Concentrator", "org.varlink.service"


def read_definition(interface):
    with open(os.path.join(ADMIN, interface + ".varlink"), encoding="utf-8") as f:
        return f.read()


class Interface:
    """An interface definition, as far as it is needed to tell whether a message is as it has it."""

    TOKEN = re.compile(r"#[^\n]*|\s+|->|\[\]|[A-Za-z][A-Za-z0-9._]*|[():,?]")

    def __init__(self, text):
        tokens = self.TOKEN.findall(text)
        assert "".join(tokens) == text, "the definition has something that is no token"
        self.tokens = [t for t in tokens if not t.isspace() and t[0] != "#"]
        self.types, self.methods, self.errors = {}, {}, {}
        self.take("interface")
        self.name = self.take()
        while self.tokens:
            kind, name = self.take(), self.take()
            if kind == "type":
                self.types[name] = self.take_members()
            elif kind == "error":
                self.errors[name] = self.take_members()
            else:
                assert kind == "method", kind
                takes = self.take_members()
                self.take("->")
                self.methods[name] = takes, self.take_members()

    def take(self, wanted=None):
        token = self.tokens.pop(0)
        assert wanted in (None, token), (wanted, token)
        return token

    def take_members(self):
        """Fields with their types, or, of an enum, names without."""
        members = {}
        self.take("(")
        while self.tokens[0] != ")":
            name, of = self.take(), []
            if self.tokens[0] == ":":
                self.take()
                while not of or of[-1] in ("?", "[]"):
                    of.append(self.take())
            members[name] = of
            if self.tokens[0] == ",":
                self.take()
        self.take(")")
        return members

    def check_members(self, members, value, where):
        assert isinstance(value, dict), f"{where} is {value!r} and no object"
        unknown = value.keys() - members.keys()
        assert not unknown, f"{where} has {unknown}, which its definition has not"
        for name, of in members.items():
            self.check_type(of, value.get(name), f"{where}.{name}")

    def check_type(self, of, value, where):
        first, rest = of[0], of[1:]
        if first == "?":
            if value is not None:
                self.check_type(rest, value, where)
        elif first == "[]":
            assert isinstance(value, list), f"{where} is {value!r} and no array"
            for i, element in enumerate(value):
                self.check_type(rest, element, f"{where}[{i}]")
        elif first in ("bool", "int", "string"):
            wanted = {"bool": bool, "int": int, "string": str}[first]
            assert type(value) is wanted, f"{where} is {value!r} and not of type {first}"
        elif any(self.types[first].values()):
            self.check_members(self.types[first], value, where)
        else:
            assert value in self.types[first], f"{where} is {value!r} and none of {first}"


INTERFACES = {name: Interface(read_definition(name)) for name in (CONCENTRATOR, SERVICE)}


def check_reply(method, reply):
    unknown = reply.keys() - {"parameters", "error", "continues"}
    assert not unknown, reply
    name, member = (reply.get("error") or method).rsplit(".", 1)
    interface = INTERFACES[name]
    members = interface.errors[member] if "error" in reply else interface.methods[member][1]
    interface.check_members(members, reply["parameters"], reply.get("error") or method)


def without_duplicates(pairs):
    members = dict(pairs)
    assert len(members) == len(pairs), pairs
    return members


def no_constant(text):
    raise AssertionError(f"{text} is no JSON")


def read_message(data):
    """Strictly: UTF-8, no name twice in an object, no NaN."""
    return json.loads(data.decode(), object_pairs_hook=without_duplicates, parse_constant=no_constant)


def message(method, parameters=None, **flags):
    """A call; a method without a dot is one of the concentrator's."""
    call = {"method": method if "." in method else f"{CONCENTRATOR}.{method}"}
    if parameters is not None:
        call["parameters"] = parameters
    return json.dumps({**call, **flags}).encode() + b"\0"


def connect_as(path, user, groups=()):
    """A connection to this local socket by a process of that user, which is all that vspcd gets to know. For root."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups(list(groups))
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            socket.send_fds(theirs, [b"x"], [s.fileno()])
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    with ours:
        ours.settimeout(PATIENCE_SEC)
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    os.waitpid(pid, 0)
    assert fds, f"user {user} cannot connect to {path}"
    return socket.socket(fileno=fds[0])


class Caller(TelnetPeer):
    """A connection to an admin socket. Each reply is checked against the definition of the method that was called.
    Once Attach has succeeded it is a telnet stream: .data and .send() are as with any client."""

    def __init__(self, vspcd, *, local=False, address=None, user=None, groups=(), **kwargs):
        """user: a number; the caller at the local socket is that user then, and a member of these groups."""
        if user is not None:
            self.take_over(connect_as(vspcd.admin_path, user, groups))
        elif local:
            self.connect_locally(vspcd.admin_path)
        else:
            super().__init__(address or vspcd.admin_address, **kwargs)
        self.vspcd = vspcd
        self.unparsed = b""
        self.asked = []  # methods that have not had their last reply
        self.replies = []
        self.attached = None  # the parameters of the reply to Attach

    def connect_locally(self, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE_SEC)
        sock.connect(path)
        self.take_over(sock)

    def take_over(self, sock):
        self.sock = sock
        sockets.append(self.sock)
        self.sock.setblocking(False)
        self.raw = bytearray()
        self.eof = self.reset = False
        self.data, self.trace, self.rest = bytearray(), [], b""

    def n_unread(self):
        """Bytes that have come and that pump() has not taken"""
        return struct.unpack("i", fcntl.ioctl(self.sock, termios.FIONREAD, b"\0" * 4))[0]

    def feed(self, data):
        if self.attached:
            super().feed(data)
            return
        *messages, self.unparsed = (self.unparsed + data).split(b"\0")
        for i, text in enumerate(messages):
            self.take_reply(read_message(text))
            if self.attached:
                stream = b"\0".join([*messages[i + 1:], self.unparsed])
                self.unparsed = b""
                super().feed(stream)
                return

    def take_reply(self, reply):
        assert self.asked, f"a reply to nothing: {reply}"
        method = self.asked[0]
        if method:
            check_reply(method, reply)
        if not reply.get("continues"):
            self.asked.pop(0)
        self.replies.append(reply)
        if method == f"{CONCENTRATOR}.Attach" and "error" not in reply:
            self.attached = reply["parameters"]

    def say(self, method, parameters=None, *, typed=b"", **flags):
        """Sends a call, and behind it in the same write what is typed."""
        if not flags.get("oneway"):
            self.asked.append(method if "." in method else f"{CONCENTRATOR}.{method}")
        self.send_raw(message(method, parameters, **flags) + typed)

    def say_raw(self, data, n_replies=1):
        """Sends these bytes, which are answered by errors."""
        self.asked += [None] * n_replies
        self.send_raw(data)

    def next_reply(self):
        self.wait(lambda: self.replies, "a reply")
        return self.replies.pop(0)

    def call(self, method, parameters=None, **flags):
        self.say(method, parameters, **flags)
        return self.next_reply()

    def get(self, method, parameters=None, **flags):
        """The parameters of a reply that is no error."""
        reply = self.call(method, parameters, **flags)
        assert "error" not in reply, f"{reply}\n{recent_logs()}"
        return reply["parameters"]

    def fail(self, method, parameters=None, **flags):
        """The name of the error, without its interface, and its parameters."""
        reply = self.call(method, parameters, **flags)
        assert "error" in reply, reply
        return reply["error"].rsplit(".", 1)[1], reply["parameters"]

    def list(self, name=None):
        """The VMs that List tells of."""
        replies = [self.call("List", {"name": name} if name else {}, more=True)]
        while replies[-1].get("continues"):
            replies.append(self.next_reply())
        return [reply["parameters"]["vm"] for reply in replies if "vm" in reply["parameters"]]

    def vm(self, name):
        return self.get("List", {"name": name})["vm"]

    def wait_away(self, vm):
        """Waits until vspcd knows that the VM has no connection. It logs that only five seconds later."""
        def is_away():
            reply = self.call("List", {"name": vm.id})
            if "error" in reply:
                assert reply["error"].endswith(".NoSuchVM"), reply  # forgotten by now
                return True
            shown = reply["parameters"]["vm"]
            return not shown["connected"] or shown["vmotion"] == "orphaned"

        wait_for(is_away, f"{vm.name} to be disconnected")

    def attach(self, vm, **parameters):
        """Becomes a client of the VM. Returns what it has been granted."""
        return self.get("Attach", {"vm": vm if isinstance(vm, str) else vm.id, **parameters}, upgrade=True)["granted"]

    def send(self, data):
        """Keys, once attached."""
        self.send_raw(double(data))

    # Monitor

    def monitor(self, **parameters):
        """Up to and with "ready". Returns the VMs that are present."""
        present = []
        self.say("Monitor", parameters, more=True)
        while (event := self.next_event())["event"] == "present":
            present.append(event["vm"])
        assert event == {"event": "ready"}, event
        return present

    def next_event(self):
        reply = self.next_reply()
        assert reply.get("continues") is True, reply
        return reply["parameters"]

    def wait_event(self, name):
        """The next event, which must be that; that something else has changed may come at any time."""
        event = self.next_event()
        while event["event"] == "changed" != name:
            event = self.next_event()
        assert event["event"] == name, f"{event['event']} instead of {name}: {event}"
        return event


def attached(vm, *, local=False, **parameters):
    """A new client of that VM that comes by way of Varlink."""
    caller = Caller(vm.vspcd, local=local)
    caller.attach(vm, **parameters)
    return caller


def known_vms(vspcd):
    return Caller(vspcd).list()


def wait_away(vm):
    with contextlib.closing(Caller(vm.vspcd)) as caller:
        caller.wait_away(vm)


def disconnect(vm):
    vm.close()
    wait_away(vm)
