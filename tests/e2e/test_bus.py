# SPDX-License-Identifier: LGPL-2.1-or-later

"""org.vspc.Concentrator1 with real D-Bus programs: busctl, dbus-send, clients that attach, and polkit. The bus is a
dbus-daemon of the test."""

import json
import os
import pwd
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree as ElementTree

from certificates import Authority
from harness import PATIENCE_SEC, VSPC_SIM, TestCase, clean_environment, main, recent_logs, wait_for
from peers import (ALL_BYTES, BEGIN, BIOS_UUID, BRK, IAC, SB, VMWARE, EsxiVm, RawClient, TelnetClient, connected_clone,
                   connected_vm, double, sub, uuid_text)
from tls_peers import DecliningVm, TlsVm, client_context
from varlink_peer import CONCENTRATOR, INTERFACES

BUS_ATTACH = os.environ.get("BUS_ATTACH", "build/tests/e2e/bus-attach")
FAKE_POLKIT = os.environ.get("FAKE_POLKIT", "build/tests/e2e/fake-polkit")
POLICIES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../dbus")

NAME = "org.vspc.Concentrator1"
PATH = "/org/vspc/Concentrator1"
MANAGER, VM = NAME + ".Manager", NAME + ".VM"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
INVALID_ARGS = "org.freedesktop.DBus.Error.InvalidArgs"
ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"
LIMITS_EXCEEDED = "org.freedesktop.DBus.Error.LimitsExceeded"

ME = pwd.getpwuid(os.geteuid()).pw_name
NOBODY = 65534
IS_ROOT = os.geteuid() == 0
needs_root = unittest.skipUnless(IS_ROOT, "wants to be somebody else for a while")

# Flags of Attach()
FORCE, NO_SCROLLBACK, NOTICES_APART = 1, 2, 4

NEWS_PER_SECOND = 4
CLIENTS_LISTED_MAX = 64

ANYTHING_GOES = """
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*"/>
  </policy>"""

# What every system bus begins with
NOTHING_GOES = """
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>"""

CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>{policy}
</busconfig>
"""


def escaped(identity):
    """As sd_bus_path_encode(3) has it."""
    return re.sub(r"^[0-9]|[^A-Za-z0-9]", lambda c: f"_{ord(c[0]):02x}", identity)


def path_of(vm):
    return f"{PATH}/vm/{escaped(vm.id)}"


# For busctl and for dbus-send
TYPES = {str: ("s", "string"), int: ("t", "uint64"), bool: ("b", "boolean")}


def as_text(argument):
    return str(argument).lower() if isinstance(argument, bool) else str(argument)


def as_user(uid, argv):
    return argv if uid is None else ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *argv]


class BusDaemon:
    """A system bus, to begin with not there."""

    def __init__(self, policy=ANYTHING_GOES):
        self.folder = tempfile.TemporaryDirectory(prefix="vspc-bus-")
        os.chmod(self.folder.name, 0o711)
        self.path = os.path.join(self.folder.name, "socket")
        self.address = "unix:path=" + self.path
        self.environment = clean_environment(DBUS_SYSTEM_BUS_ADDRESS=self.address)
        self.configuration = os.path.join(self.folder.name, "bus.conf")
        with open(self.configuration, "w", encoding="ascii") as f:
            f.write(CONFIGURATION.format(path=self.path, policy=policy))
        self.process = None

    def start(self):
        self.process = subprocess.Popen(["dbus-daemon", "--nofork", "--nopidfile", "--nosyslog",
                                         f"--config-file={self.configuration}"],
                                        env=self.environment, stderr=subprocess.DEVNULL)
        wait_for(self.answers, "dbus-daemon to answer")
        return self

    def answers(self):
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(self.path) == 0

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def signal(self, number):
        self.process.send_signal(number)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        self.folder.cleanup()

    # Asking

    def busctl(self, *arguments, uid=None):
        """What it says; an error if it fails."""
        argv = as_user(uid, ["busctl", f"--address={self.address}", "--no-pager", *arguments])
        result = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_SEC, check=False)
        if result.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: {result.stderr}\n{recent_logs()}")
        return result.stdout

    def call(self, path, interface, method, *arguments, uid=None):
        """What is returned: a value, or a list if there are several. arguments: strings, numbers (t) or truth values."""
        typed = [("".join(TYPES[type(a)][0] for a in arguments))] if arguments else []
        output = self.busctl("--json=short", "call", NAME, path, interface, method, *typed, *map(as_text, arguments), uid=uid)
        data = json.loads(output)["data"] if output.strip() else []
        return data[0] if len(data) == 1 else data

    def get(self, path, interface, name):
        return json.loads(self.busctl("--json=short", "get-property", NAME, path, interface, name))["data"]

    def error(self, path, interface, method, *arguments, uid=None):
        """By another program: name and text of the error with which it is refused."""
        argv = as_user(uid, ["dbus-send", f"--bus={self.address}", "--print-reply", f"--dest={NAME}", path,
                             f"{interface}.{method}", *(f"{TYPES[type(a)][1]}:{as_text(a)}" for a in arguments)])
        result = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_SEC, check=False)
        found = re.match(r"Error ([\w.]+): (.*)", result.stderr)
        if result.returncode == 0 or not found:
            raise AssertionError(f"{' '.join(argv)} says {result.stdout}{result.stderr}\n{recent_logs()}")
        return found[1], found[2]


class Program:
    """One that runs beside the test; what it says is collected."""

    def __init__(self, bus, *argv):
        self.output, self.errors = bytearray(), bytearray()
        self.process = subprocess.Popen(argv, env=bus.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, bufsize=0)
        self.threads = [threading.Thread(target=self.collect, args=(stream, where), daemon=True)
                        for stream, where in ((self.process.stdout, self.output), (self.process.stderr, self.errors))]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def collect(stream, where):
        with stream:
            while data := stream.read(65536):
                where += data

    def wait(self, predicate, what):
        return wait_for(predicate, lambda: f"{what} of {self.process.args}, which has said {bytes(self.output[-500:])}"
                                           f" {bytes(self.errors)}")

    def wait_line(self, pattern, n=1):
        """The nth line of the output that matches, as a match object."""
        def find():
            lines = self.output.decode(errors="replace").split("\n")
            return [m for m in (re.search(pattern, line) for line in lines) if m][n - 1:n]
        return self.wait(find, f"line {pattern}")[0]

    def wait_exit(self):
        self.wait(lambda: self.process.poll() is not None, "exit")
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        for thread in self.threads:
            thread.join(PATIENCE_SEC)


class Monitor(Program):
    """busctl monitor: what is told on the bus."""

    def __init__(self, bus):
        super().__init__(bus, "busctl", f"--address={bus.address}", "monitor", "--json=short",
                         "--match=type='signal',path_namespace='/org/vspc'")
        self.wait(lambda: b"Monitoring" in self.errors, "beginning")

    def signals(self, member, path=None):
        messages = [json.loads(line) for line in bytes(self.output).split(b"\n")[:-1]]
        return [m["payload"]["data"] for m in messages if m["member"] == member and path in (None, m["path"])]

    def changes(self, path):
        """What PropertiesChanged has told, in its order: name and value."""
        return [(name, value["data"]) for data in self.signals("PropertiesChanged", path)
                for name, value in data[1].items()]

    def wait_signal(self, member, first):
        """One whose first argument is that."""
        return self.wait(lambda: [s for s in self.signals(member) if s[0] == first], f"{member} {first}")[0]

    def wait_change(self, path, name, value):
        self.wait(lambda: (name, value) in self.changes(path), f"{name} = {value} at {path}")


class Attachment(Program):
    """Somebody at a console, by way of the descriptor that Attach() returns."""

    def __init__(self, bus, vm, access="", flags=0, uid=None):
        super().__init__(bus, *as_user(uid, [BUS_ATTACH, vm, access, str(flags)]))

    def wait_granted(self, access):
        self.wait(lambda: f"granted: {access}\n".encode() == bytes(self.errors), f"being granted {access}")
        return self

    def wait_data(self, data):
        self.wait(lambda: data in self.output, f"{data[:100]}")

    def send(self, data):
        self.process.stdin.write(data)

    def wait_refused(self):
        """Name and text of the error."""
        assert self.wait_exit() != 0
        return self.wait(lambda: re.match(r"([\w.]+): (.*)", self.errors.decode()), "error").groups()


class Polkit(Program):
    def __init__(self, bus, answer):
        super().__init__(bus, FAKE_POLKIT, answer)
        self.wait_line("^ready$")

    def wait_asked(self, n=1):
        return self.wait_line(r"^check (?P<subject>\S+ \S+) (?P<action>\S+) vm=(?P<vm>\S+) uuid=(?P<uuid>\S+) "
                              r"uri=(?P<uri>\S+) flags=(?P<flags>\d) id=(?P<id>\d+)$", n)

    def answer(self):
        self.process.stdin.write(b"\n")


class BusTestCase(TestCase):
    def start_bus(self, **kwargs):
        return self.enterContext(BusDaemon(**kwargs))

    def serve(self, bus, **config):
        """vspcd, which is on the bus."""
        vspcd = self.start(env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address}, **config)
        vspcd.wait_logged(f"On the system bus as {NAME}$")
        return vspcd

    def start_both(self, **config):
        bus = self.start_bus()
        if not IS_ROOT:
            self.enterContext(Polkit(bus, "yes"))
        return bus, self.serve(bus, **config)

    def wait_property(self, bus, vm, name, value):
        wait_for(lambda: bus.get(path_of(vm), VM, name) == value, f"{name} = {value}")


class Reading(BusTestCase):
    def test_tree_and_introspection_read_well(self):
        bus, vspcd = self.start_both()
        vm = connected_vm(vspcd, "web01")

        tree = bus.busctl("tree", "--list", NAME).split()
        self.assertEqual([line for line in tree if line.startswith(PATH)], [PATH, PATH + "/vm", path_of(vm)])

        listing = bus.busctl("introspect", NAME, PATH)
        for line in (r"\.ListVMs +method +- +a\(ssssqbo\)", r"\.GetManagedObjects ",
                     r"\.VMs +property +u +1 +emits-change", r"\.VMAdded +signal +so"):
            self.assertRegex(listing, line)
        listing = bus.busctl("introspect", NAME, path_of(vm))
        for line in (r'\.Name +property +s +"web01" +emits-change', r"\.Connected +property +b +true +emits-change",
                     r"\.Attach +method +st +hst", r"\.BytesReceived +property +t +0 +-"):
            self.assertRegex(listing, line)

        description = ElementTree.fromstring(bus.call(PATH, "org.freedesktop.DBus.Introspectable", "Introspect"))
        attach = description.find(f"interface[@name='{MANAGER}']/method[@name='Attach']")
        self.assertEqual([(a.get("name"), a.get("type"), a.get("direction")) for a in attach.findall("arg")],
                         [("vm", "s", "in"), ("access", "s", "in"), ("flags", "t", "in"), ("fd", "h", "out"),
                          ("granted", "s", "out"), ("client", "t", "out")])

    def test_the_manual_page_has_what_is_introspected(self):
        bus, vspcd = self.start_both()
        vm = connected_vm(vspcd, "web01")
        with open(os.path.join(os.path.dirname(__file__), "../../man/org.vspc.Concentrator1.5"), encoding="utf-8") as f:
            page = f.read()
        for path, interface in (PATH, MANAGER), (path_of(vm), VM):
            listed = re.search(rf"interface {interface} {{\n(.*?)\n  }};", page, re.DOTALL)[1]
            description = ElementTree.fromstring(bus.call(path, "org.freedesktop.DBus.Introspectable", "Introspect"))
            flags = {"const": "(const)", "false": "", "true": "(emits change)"}
            introspected = description.find(f"interface[@name='{interface}']")
            self.assertEqual(
                sorted(re.findall(r"readonly (\w+) (\w+); *(\(.*\))?$", listed, re.MULTILINE)),
                sorted((p.get("type"), p.get("name"), flags[(p.find("annotation").get("value") if p.findall("annotation")
                                                             else "true")]) for p in introspected.findall("property")))
            self.assertEqual(sorted(re.findall(r"^ +(\w+)\(", listed, re.MULTILINE)),
                             sorted(m.get("name") for kind in ("method", "signal") for m in introspected.findall(kind)))

    def test_a_vm_is_found_by_what_people_call_it(self):
        bus, vspcd = self.start_both()
        vm = connected_vm(vspcd, "web01")
        twins = [connected_vm(vspcd, "twin") for _ in range(2)]

        for designation in ("web01", vm.id, vm.digits.upper(), str(vm.port)):
            self.assertEqual(bus.call(PATH, MANAGER, "GetVM", designation), path_of(vm), designation)

        name, text = bus.error(PATH, MANAGER, "GetVM", "web02")
        self.assertEqual((name, text), (NAME + ".NoSuchVM", 'There is no VM "web02"'))
        name, text = bus.error(PATH, MANAGER, "GetVM", "é" * 3000)
        self.assertEqual((name, text), (NAME + ".NoSuchVM", 'There is no VM "' + "é" * 128 + '"'))

        name, text = bus.error(PATH, MANAGER, "Clear", "twin")
        self.assertEqual(name, NAME + ".AmbiguousVM")
        for twin in twins:
            self.assertIn(twin.id, text)

        name, _ = bus.error(PATH + "/vm/_35012", VM, "Clear")
        self.assertRegex(name, r"^org\.freedesktop\.DBus\.Error\.Unknown")

    def test_of_many_vms_that_could_be_meant_eight_are_named(self):
        bus, vspcd = self.start_both()
        twins = [connected_vm(vspcd, "twin") for _ in range(10)]
        name, text = bus.error(PATH, MANAGER, "GetVM", "twin")
        self.assertEqual(name, NAME + ".AmbiguousVM")
        self.assertEqual([twin for twin in twins if twin.id in text], twins[:8])
        self.assertRegex(text, " and others$")

    def test_of_many_clients_of_a_vm_the_first_are_listed(self):
        bus, vspcd = self.start_both()
        vm = connected_vm(vspcd)
        clients = [RawClient(vm) for _ in range(CLIENTS_LISTED_MAX + 6)]
        listed = bus.call(path_of(vm), VM, "ListClients")
        self.assertEqual([client[1] for client in listed],
                         [f"127.0.0.1:{client.local_port}" for client in clients[:CLIENTS_LISTED_MAX]])
        self.assertEqual(bus.get(path_of(vm), VM, "Clients"), len(clients))

    def test_vms_of_one_uuid_have_an_object_each(self):
        bus, vspcd = self.start_both()
        vm = connected_vm(vspcd, "web01")
        clone = connected_clone(vm, "web02")
        for each in (vm, clone):
            self.assertEqual(bus.call(PATH, MANAGER, "GetVM", each.id), path_of(each))
            for name, value in {"Id": each.id, "UUID": each.id, "Name": each.name, "Port": each.port}.items():
                self.assertEqual(bus.get(path_of(each), VM, name), value, name)
        self.assertEqual(sorted(row[0] for row in bus.call(PATH, MANAGER, "ListVMs")), [vm.id, clone.id])

    def test_a_console_that_two_vms_share_has_a_problem(self):
        bus, vspcd = self.start_both()
        monitor = self.enterContext(Monitor(bus))
        vm = connected_vm(vspcd, "web01")
        monitor.wait_signal("VMAdded", vm.id)
        self.assertEqual(bus.get(path_of(vm), VM, "Problem"), "")
        bios = sub(BIOS_UUID, uuid_text("564d" + "0a" * 14))
        vm.send_raw(bios)
        other = EsxiVm(vspcd, "web02", digits=vm.digits)
        other.negotiate()
        other.send_raw(bios + other.do_proxy() + other.vc_uuid() + other.vm_name())
        other.wait_connected()
        wait_for(lambda: "give one of them a new UUID" in bus.get(path_of(vm), VM, "Problem"), "the problem")
        monitor.wait(lambda: any(name == "Problem" for name, _ in monitor.changes(path_of(vm))), "its signal")
        other.close()
        self.wait_property(bus, vm, "Problem", "")

    def test_whether_its_connection_is_in_tls_is_a_property_of_the_vm(self):
        authority = self.enterContext(Authority())
        bus, vspcd = self.start_both(tls={"CertificateFile": authority.issue("vspc.example").both})
        for version, text in ((ssl.TLSVersion.TLSv1_2, "TLS 1.2, AES-256-GCM"),
                              (ssl.TLSVersion.TLSv1_3, "TLS 1.3, AES-256-GCM")):
            vm = TlsVm(vspcd, context=client_context(version=version)).connect()
            self.assertEqual(bus.get(path_of(vm), VM, "TLS"), text)
            vm.close()
            self.wait_property(bus, vm, "TLS", "")

    def test_properties_are_those_of_the_vm(self):
        bus, vspcd = self.start_both(VMExpireSec="1h")
        before = time.time() * 1e6
        vm = connected_vm(vspcd, "web01", uri="com1")
        path = path_of(vm)
        for name, value in {"Id": vm.id, "UUID": vm.id, "Name": "web01", "URI": "com1", "Port": vm.port,
                            "Connected": True, "Peer": f"127.0.0.1:{vm.local_port}", "TLS": "", "VMotion": "none",
                            "Serial": "115200 8N1", "Clients": 0, "Access": "none"}.items():
            self.assertEqual(bus.get(path, VM, name), value, name)
        self.assertLess(abs(bus.get(path, VM, "SinceUSec") - before), PATIENCE_SEC * 1e6)

        client = TelnetClient(vm)
        vm.send(b"login: ")
        client.wait_data(b"login: ")
        client.send(b"root\r")
        vm.wait_data(b"root\r")
        self.assertEqual(bus.get(path, VM, "BytesReceived"), 7)
        self.wait_property(bus, vm, "BytesSent", 5)
        self.assertEqual((bus.get(path, VM, "Clients"), bus.get(path, VM, "Access")), (1, "free_for_all"))
        number, peer, _, _, access, since, typed, sent, skipped = bus.call(path, VM, "ListClients")[0]
        self.assertEqual((peer, access, sent, skipped), (f"127.0.0.1:{client.local_port}", "free_for_all", 7, 0))
        self.assertEqual(number, 1)
        self.assertLess(abs(since - before), PATIENCE_SEC * 1e6)
        self.assertLess(abs(typed - before), PATIENCE_SEC * 1e6)

        vm.send_raw(sub(BEGIN, b"1234"))
        self.wait_property(bus, vm, "VMotion", "begun")

        client.close()
        vm.close()
        self.wait_property(bus, vm, "VMotion", "orphaned")
        self.assertEqual(bus.get(path, VM, "Peer"), "")

        other = connected_vm(vspcd)
        self.assertEqual(bus.get(path_of(other), VM, "ExpiresUSec"), 2**64 - 1)
        other.close()
        self.wait_property(bus, other, "Connected", False)
        self.assertLess(abs(bus.get(path_of(other), VM, "ExpiresUSec") - (time.time() + 3600) * 1e6),
                        PATIENCE_SEC * 1e6)

    def test_all_vms_in_one_answer(self):
        bus, vspcd = self.start_both(MultiConsole="yes", ports=128)
        self.assertEqual(bus.call(PATH, MANAGER, "ListVMs"), [])
        self.assertEqual(bus.call(PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"), {})
        vms = [connected_vm(vspcd, f"vm{i} <é>", uri="a/b-ü") for i in range(100)]
        identities = [vm.id + "_a/b-ü" for vm in vms]
        paths = [f"{PATH}/vm/" + re.sub(rb"^[0-9]|[^A-Za-z0-9]", lambda c: b"_%02x" % ord(c[0]),
                                        identity.encode()).decode() for identity in identities]

        listed = bus.call(PATH, MANAGER, "ListVMs")
        self.assertEqual(listed, [[identity, vm.name + "_a/b-ü", vm.id, "a/b-ü", vm.port, True, path]
                                  for identity, vm, path in zip(identities, vms, paths)])
        objects = bus.call(PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        self.assertEqual(list(objects), paths)
        self.assertEqual(objects[paths[7]][VM]["Port"], {"type": "q", "data": vms[7].port})
        self.assertEqual(set(objects[paths[7]][VM]),
                         set(bus.call(paths[7], "org.freedesktop.DBus.Properties", "GetAll", VM)))
        self.assertEqual(bus.busctl("tree", "--list", NAME).split()[-100:], paths)

    def test_long_answers_are_complete_whoever_else_wants_one(self):
        bus, vspcd = self.start_both(VMPorts="no")
        host, port = vspcd.vm_address
        self.enterContext(Program(bus, VSPC_SIM, f"--connect={host}:{port}", "--count=1500"))
        wait_for(lambda: bus.get(PATH, MANAGER, "ConnectedVMs") == 1500, "1500 VMs")
        call = ["busctl", f"--address={bus.address}", "--json=short", "call", NAME]
        methods = {"org.freedesktop.DBus.ObjectManager": "GetManagedObjects", MANAGER: "ListVMs"}
        callers = [self.enterContext(Program(bus, *call, PATH, interface, method))
                   for _ in range(3) for interface, method in methods.items()]
        for caller in callers:
            self.assertEqual(caller.wait_exit(), 0)
        for caller in callers:
            caller.wait(lambda output=caller.output: output.endswith(b"\n"), "all of the output")
            self.assertEqual(len(json.loads(caller.output)["data"][0]), 1500)

    def test_nothing_can_be_set(self):
        bus, vspcd = self.start_both()
        vm = connected_vm(vspcd, "web01")
        with self.assertRaisesRegex(AssertionError, "not writable"):
            bus.busctl("set-property", NAME, path_of(vm), VM, "Name", "s", "db01", uid=NOBODY if IS_ROOT else None)

    def test_counts_are_those_of_the_concentrator(self):
        bus, vspcd = self.start_both()
        vm, away = connected_vm(vspcd), connected_vm(vspcd)
        away.close()
        TelnetClient(vm)
        wait_for(lambda: bus.get(PATH, MANAGER, "ConnectedVMs") == 1, "one VM to be away")
        for name, value in {"VMs": 2, "Clients": 1, "VMConnectionsTotal": 2, "ClientsTotal": 1,
                            "VMotionsBegunTotal": 0}.items():
            self.assertEqual(bus.get(PATH, MANAGER, name), value, name)
        self.assertRegex(bus.get(PATH, MANAGER, "Version"), r"^\d+\.\d+")


class Signals(BusTestCase):
    def test_tell_what_happens_to_a_vm(self):
        bus, vspcd = self.start_both()
        with Monitor(bus) as monitor:
            vm = connected_vm(vspcd, "web01")
            path = path_of(vm)
            added = monitor.wait_signal("InterfacesAdded", path)
            self.assertEqual(added[1][VM]["Name"]["data"], "web01")
            self.assertEqual(monitor.wait_signal("VMAdded", vm.id), [vm.id, path])
            monitor.wait_change(PATH, "ConnectedVMs", 1)

            client = TelnetClient(vm)
            monitor.wait_change(path, "Clients", 1)
            monitor.wait_change(path, "Access", "free_for_all")
            client.close()
            monitor.wait_change(path, "Clients", 0)

            vm.name = "db01"
            vm.send_raw(vm.vm_name())
            monitor.wait_change(path, "Name", "db01")

            vm.send_raw(sub(BEGIN, b"1234"))
            monitor.wait_change(path, "VMotion", "begun")
            vm.close()
            away = connected_vm(vspcd, "away")
            monitor.wait_signal("VMAdded", away.id)
            away.close()
            monitor.wait_change(path_of(away), "Connected", False)
            bus.call(path_of(away), VM, "Forget")
            self.assertEqual(monitor.wait_signal("InterfacesRemoved", path_of(away)), [path_of(away), [VM]])
            self.assertEqual(monitor.wait_signal("VMRemoved", away.id), [away.id, path_of(away)])

    def test_how_a_vm_s_connection_is_encrypted_is_told_when_it_goes_and_when_it_is_back(self):
        authority = self.enterContext(Authority())
        bus, vspcd = self.start_both(tls={"CertificateFile": authority.issue("vspc.example").both})
        with Monitor(bus) as monitor:
            vm = TlsVm(vspcd).connect()
            monitor.wait_signal("VMAdded", vm.id)
            vm.close()
            monitor.wait_change(path_of(vm), "TLS", "")
            TlsVm(vspcd, digits=vm.digits).connect()
            monitor.wait_change(path_of(vm), "TLS", bus.get(path_of(vm), VM, "TLS"))

    def test_another_connection_of_a_vm_s_is_told_of_as_it_comes_and_as_it_goes(self):
        """As after a host has lost its connection and vspcd has not noticed yet: the latest one counts."""
        authority = self.enterContext(Authority())
        bus, vspcd = self.start_both(tls={"CertificateFile": authority.issue("vspc.example").both})
        with Monitor(bus) as monitor:
            first = DecliningVm(vspcd).connect()
            path = path_of(first)
            monitor.wait_signal("VMAdded", first.id)
            second = TlsVm(vspcd, digits=first.digits).connect()
            monitor.wait_change(path, "Peer", f"127.0.0.1:{second.local_port}")
            monitor.wait_change(path, "TLS", bus.get(path, VM, "TLS"))
            second.close()
            monitor.wait_change(path, "Peer", f"127.0.0.1:{first.local_port}")
            monitor.wait_change(path, "TLS", "")

    def test_each_property_that_is_said_to_signal_does(self):
        bus, vspcd = self.start_both()
        with Monitor(bus) as monitor:
            vm = connected_vm(vspcd, "web01")
            path = path_of(vm)
            monitor.wait_signal("VMAdded", vm.id)
            description = ElementTree.fromstring(bus.call(path, "org.freedesktop.DBus.Introspectable", "Introspect"))
            signalling = {p.get("name") for p in description.findall(f"interface[@name='{VM}']/property")
                          if p.find("annotation[@name='org.freedesktop.DBus.Property.EmitsChangedSignal']") is None}
            self.assertIn("Name", signalling)
            self.assertNotIn("Id", signalling)

            vm.name = "db01"
            vm.send_raw(vm.vm_name())
            monitor.wait_change(path, "Name", "db01")
            TelnetClient(vm)
            monitor.wait_change(path, "Clients", 1)
            vm.close()
            monitor.wait_change(path, "Connected", False)
            self.assertEqual({name for name, _ in monitor.changes(path)}, signalling)

    def test_changes_to_a_vm_are_told_a_few_times_a_second(self):
        bus, vspcd = self.start_both()
        vm = connected_vm(vspcd)
        with Monitor(bus) as monitor:
            began = time.monotonic()
            for _ in range(150):
                TelnetClient(vm, settle=False).close()
            clients = [TelnetClient(vm, settle=False) for _ in range(3)]
            elapsed = time.monotonic() - began
            monitor.wait_change(path_of(vm), "Clients", 3)
            self.assertLess(len(monitor.signals("PropertiesChanged", path_of(vm))), NEWS_PER_SECOND * elapsed + 3)
            self.assertEqual(len(clients), 3)

    def test_each_of_many_vms_that_come_and_go_is_told_of_once(self):
        bus, vspcd = self.start_both(VMPorts="no")
        with Monitor(bus) as monitor:
            vms = [EsxiVm(vspcd).handshake() for _ in range(200)]
            for vm in vms:
                monitor.wait_signal("VMAdded", vm.id)
            self.assertEqual(sorted(s[0] for s in monitor.signals("VMAdded")), sorted(vm.id for vm in vms))
            for vm in vms:
                vm.close()
            monitor.wait_change(PATH, "ConnectedVMs", 0)
            for vm in vms:
                monitor.wait_change(path_of(vm), "Connected", False)

    def test_a_bus_that_stands_still_holds_up_nobody(self):
        bus, vspcd = self.start_both()
        with Monitor(bus) as monitor:
            bus.signal(signal.SIGSTOP)
            vms = [connected_vm(vspcd) for _ in range(20)]
            client = TelnetClient(vms[0])
            vms[0].send(b"boot")
            client.wait_data(b"boot")
            bus.signal(signal.SIGCONT)
            for vm in vms:
                monitor.wait_signal("VMAdded", vm.id)


class Attaching(BusTestCase):
    def test_all_bytes_pass_both_ways(self):
        bus, vspcd = self.start_both()
        vm = connected_vm(vspcd, "web01")
        vm.send(b"before" + ALL_BYTES)
        wait_for(lambda: bus.get(path_of(vm), VM, "BytesReceived") == 262, "the VM's output")
        with Attachment(bus, "web01") as a:
            a.wait_granted("free_for_all")
            replayed = b"before" + double(ALL_BYTES.replace(b"\x05", b""))  # ENQ asks the terminal who it is
            a.wait_data(replayed)
            self.assertEqual(bytes(a.output), replayed)
            a.send(double(ALL_BYTES) + bytes([IAC, BRK]))
            vm.wait_trace(("command", BRK))
            self.assertEqual(bytes(vm.data), ALL_BYTES)
            vm.send(b"after")
            a.wait_data(b"after")
        vspcd.wait_logged(rf"client {ME} \(pid \d+\) connected")
        vspcd.wait_logged(rf"client {ME} \(pid \d+\) disconnected")

    def test_who_is_in_the_way_is_told(self):
        bus, vspcd = self.start_both(ClientLimit=2)
        vm = connected_vm(vspcd, "web01")
        with Attachment(bus, "web01", "write") as a:
            a.wait_granted("write")
            self.assertEqual(bus.get(path_of(vm), VM, "Access"), "write")
            with Attachment(bus, "web01", "exclusive") as b:
                name, text = b.wait_refused()
            self.assertEqual(name, NAME + ".AccessDenied")
            self.assertRegex(text, rf"^VM web01: {ME} \(pid {a.process.pid}\) has write access "
                                   r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$")
            vspcd.wait_logged(f"refused: {ME} ")
            with Attachment(bus, "web01", "free-for-all-fallback") as b:
                b.wait_granted("read_only")
                with Attachment(bus, "web01", "") as c:
                    name, text = c.wait_refused()
                self.assertEqual(name, NAME + ".ClientLimitReached")
                self.assertEqual(text, "VM web01 has 2 clients already, as many as ClientLimit= allows")
        self.wait_property(bus, vm, "Access", "none")  # the lock has ended with its connection
        with Attachment(bus, "web01", "exclusive") as a:
            a.wait_granted("exclusive")
        with Attachment(bus, "web01", "mine") as a:
            name, text = a.wait_refused()
            self.assertEqual(name, "org.freedesktop.DBus.Error.InvalidArgs")
            self.assertIn("free-for-all-fallback", text)

    def test_of_many_who_are_in_the_way_four_are_named(self):
        bus, vspcd = self.start_both()
        vm = connected_vm(vspcd, "web01")
        clients = [RawClient(vm) for _ in range(6)]
        with Attachment(bus, "web01", "exclusive") as a:
            _, text = a.wait_refused()
        named = re.findall(r"127\.0\.0\.1:(\d+) has free-for-all access since", text)
        self.assertEqual(named, [str(client.local_port) for client in clients[:4]], text)
        self.assertRegex(text, "; and others$")

    def test_clear_and_forget(self):
        bus, vspcd = self.start_both()
        vm = connected_vm(vspcd, "web01")
        clients = [TelnetClient(vm) for _ in range(2)]
        with Attachment(bus, "web01") as a:
            a.wait_granted("free_for_all")
            self.assertEqual(bus.call(PATH, MANAGER, "Clear", "web01"), 3)
            a.wait_data(b"disconnected by an administrator")
            self.assertEqual(a.wait_exit(), 0)
        for client in clients:
            client.wait_closed()
        self.assertEqual(bus.call(path_of(vm), VM, "Clear"), 0)

        for arguments in ((PATH, MANAGER, "Forget", "web01"), (path_of(vm), VM, "Forget")):
            name, text = bus.error(*arguments)
            self.assertEqual(name, NAME + ".VMConnected")
            self.assertEqual(text, "VM web01 is connected and cannot be forgotten")
        vm.close()
        self.wait_property(bus, vm, "Connected", False)
        bus.call(PATH, MANAGER, "Forget", "web01")
        self.assertEqual(bus.call(PATH, MANAGER, "ListVMs"), [])


class Sharing(BusTestCase):
    def setUp(self):
        super().setUp()
        self.bus, self.vspcd = self.start_both()
        self.vm = connected_vm(self.vspcd, "web01")
        self.path = path_of(self.vm)

    def attached(self, *args):
        """And its number among the clients"""
        attached = self.enterContext(Attachment(self.bus, *args))
        attached.wait(lambda: b"granted: " in attached.errors, "being granted something")
        return attached, self.bus.call(self.path, VM, "ListClients")[-1][0]

    def accesses(self):
        return [(client[0], client[4]) for client in self.bus.call(self.path, VM, "ListClients")]

    def test_flags_of_attach(self):
        self.vm.send(b"earlier")
        holder, number = self.attached("web01", "write")
        holder.wait_data(b"earlier")
        other, own = self.attached("web01", "write", FORCE | NO_SCROLLBACK | NOTICES_APART)
        holder.wait_data(b"has taken over]")
        self.assertEqual(self.accesses(), [(number, "read_only"), (own, "write")])
        self.vm.send(b"later")
        other.wait_data(b"later")
        self.assertNotIn(b"earlier", other.output)
        self.bus.call(PATH, MANAGER, "Say", "web01", "hello")
        other.wait_data(bytes([IAC, SB, VMWARE, 200]))
        self.assertNotIn(b"[vspc:", other.output)
        self.assertEqual(self.bus.error(self.path, VM, "Attach", "", 8), (INVALID_ARGS, "There are no such flags"))
        self.assertEqual(self.bus.call(self.path, VM, "Attach", "read_only", 0)[1:], ["read_only", own + 1])

    def test_access_is_changed(self):
        first, number = self.attached("web01", "read_only")
        second, other = self.attached("web01")
        self.assertEqual(self.bus.call(PATH, MANAGER, "SetAccess", "web01", number, "free_for_all", False), "free_for_all")
        name, text = self.bus.error(self.path, VM, "SetAccess", number, "write", False)
        self.assertEqual(name, NAME + ".AccessDenied")
        self.assertIn(" has free-for-all access since ", text)
        self.assertEqual(self.bus.call(self.path, VM, "SetAccess", number, "write", True), "write")
        second.wait_data(b"has taken over]")
        self.assertEqual(self.accesses(), [(number, "write"), (other, "read_only")])
        first.wait_data(b"[vspc: you have write access now]")
        self.assertEqual(self.bus.error(self.path, VM, "SetAccess", number, "mine", False)[0], INVALID_ARGS)

    def test_one_client_is_disconnected(self):
        first, number = self.attached("web01")
        _, other = self.attached("web01")
        self.bus.call(PATH, MANAGER, "Disconnect", "web01", number)
        first.wait_data(b"[vspc: disconnected by ")
        self.assertEqual(first.wait_exit(), 0)
        self.assertEqual(self.accesses(), [(other, "free_for_all")])
        gone = NAME + ".NoSuchClient", f"VM web01 has no client {number}"
        self.assertEqual(self.bus.error(self.path, VM, "Disconnect", number), gone)
        self.assertEqual(self.bus.error(self.path, VM, "SetAccess", number, "write", True), gone)

    def test_something_is_said(self):
        attached, _ = self.attached("web01")
        for _ in range(10):
            self.assertEqual(self.bus.call(self.path, VM, "Say", "hello"), 1)
        attached.wait_data(b'says: "hello"]')

    def test_varlink_has_no_method_that_is_missing(self):
        """But for those that the bus has a way of its own for, and Reload, which systemd offers."""
        there = {m.get("name") for m in ElementTree.fromstring(
            self.bus.call(PATH, INTROSPECTABLE, "Introspect")).findall(f"interface[@name='{MANAGER}']/method")}
        missing = set(INTERFACES[CONCENTRATOR].methods) - there
        self.assertEqual(missing, {"List", "Monitor", "GetMetrics", "Reload"})


@needs_root
class Authorization(BusTestCase):
    def setUp(self):
        super().setUp()
        self.bus, self.vspcd = self.start_both()
        self.vm = connected_vm(self.vspcd, "web01")
        self.path = path_of(self.vm)

    def call_as_nobody(self, method="Clear"):
        """A call that may take a while. busctl lets polkit ask a person."""
        return Program(self.bus, *as_user(NOBODY, ["busctl", f"--address={self.bus.address}", "--timeout=120", "call",
                                                   NAME, self.path, VM, method]))

    def test_without_polkit_only_root_may_do_more_than_ask(self):
        self.assertEqual(self.bus.call(PATH, MANAGER, "GetVM", "web01", uid=NOBODY), self.path)
        for method, arguments in {"Clear": (), "Forget": (), "Attach": ("", 0), "Say": ("hello",)}.items():
            name, text = self.bus.error(self.path, VM, method, *arguments, uid=NOBODY)
            self.assertEqual(name, ACCESS_DENIED, method)
            self.assertRegex(text, rf"^Only root may do this, .*nobody \(pid \d+\) may .*PolicyKit1")
        self.assertEqual(self.bus.call(PATH, MANAGER, "Clear", "web01"), 0)

    def test_polkit_is_asked_about_the_caller_and_the_vm(self):
        RawClient(self.vm)
        with Polkit(self.bus, "yes") as polkit:
            self.assertEqual(self.bus.call(self.path, VM, "Clear", uid=NOBODY), 1)
            asked = polkit.wait_asked()
            self.assertRegex(asked["subject"], r"^system-bus-name name=:1\.\d+$")
            self.assertEqual((asked["action"], asked["vm"], asked["uuid"], asked["uri"], asked["flags"]),
                             ("org.vspc.manage", "web01", self.vm.id, "s0", "1"))
            self.vspcd.wait_logged(rf"nobody \(pid \d+\) disconnects")
            self.bus.call(self.path, VM, "Attach", "write", 0, uid=NOBODY)
            self.assertEqual(polkit.wait_asked(2)["action"], "org.vspc.attach")

    def test_polkit_is_asked_about_what_is_done_to_others(self):
        other = self.enterContext(Attachment(self.bus, "web01", "write"))
        other.wait_granted("write")
        number = self.bus.call(self.path, VM, "ListClients")[0][0]
        with Polkit(self.bus, "no") as polkit:
            for method, arguments, action in (("Attach", ("", FORCE), "take-over"), ("Disconnect", (number,), "manage"),
                                              ("SetAccess", (number, "read_only", False), "manage"),
                                              ("Say", ("hello",), "attach")):
                self.assertEqual(self.bus.error(self.path, VM, method, *arguments, uid=NOBODY)[0], ACCESS_DENIED)
                self.assertEqual(polkit.wait_asked(polkit.output.count(b"check "))["action"], "org.vspc." + action)
        self.assertEqual(self.bus.call(self.path, VM, "ListClients")[0][4], "write")
        with Polkit(self.bus, "yes"), Attachment(self.bus, "web01", "write", FORCE, uid=NOBODY) as taking:
            taking.wait_granted("write")
            other.wait_data(b"nobody (pid ")
            self.assertEqual(self.bus.call(self.path, VM, "SetAccess", number, "read_only", False, uid=NOBODY), "read_only")
            self.assertEqual(self.bus.call(self.path, VM, "Say", "hello", uid=NOBODY), 2)
            self.bus.call(self.path, VM, "Disconnect", number, uid=NOBODY)
            self.assertEqual(other.wait_exit(), 0)

    def test_nobody_is_asked_about_what_one_does_to_ones_own_clients(self):
        with Polkit(self.bus, "yes"):
            mine = self.enterContext(Attachment(self.bus, "web01", uid=NOBODY))
            mine.wait_granted("free_for_all")
            number = self.bus.call(self.path, VM, "ListClients")[0][0]
        with Polkit(self.bus, "no") as polkit:
            self.assertEqual(self.bus.call(self.path, VM, "SetAccess", number, "write", True, uid=NOBODY), "write")
            self.bus.call(self.path, VM, "Disconnect", number, uid=NOBODY)
            self.assertEqual(mine.wait_exit(), 0)
            self.assertEqual(self.bus.error(self.path, VM, "Disconnect", number, uid=NOBODY)[0], NAME + ".NoSuchClient")
            self.assertNotIn(b"check", polkit.output)

    def test_too_much_is_not_said(self):
        with Polkit(self.bus, "yes"):
            for _ in range(10):
                self.bus.call(self.path, VM, "Say", "hello", uid=NOBODY)
            self.assertEqual(self.bus.error(self.path, VM, "Say", "hello", uid=NOBODY),
                             (NAME + ".SaidTooMuch", "Too much has been said at VM web01 lately"))

    def test_root_is_not_asked_about(self):
        with Polkit(self.bus, "no") as polkit:
            self.assertEqual(self.bus.call(self.path, VM, "Clear"), 0)
            self.assertNotIn(b"check", polkit.output)

    def test_polkit_may_say_no(self):
        with Polkit(self.bus, "no"):
            name, text = self.bus.error(self.path, VM, "Clear", uid=NOBODY)
        self.assertEqual(name, ACCESS_DENIED)
        self.assertRegex(text, rf"^polkit does not allow nobody \(pid \d+\) .*org\.vspc\.manage")

    def test_polkit_may_want_a_person_who_cannot_be_asked(self):
        with Polkit(self.bus, "challenge") as polkit:
            name, _ = self.bus.error(self.path, VM, "Clear", uid=NOBODY)
            self.assertEqual(polkit.wait_asked()["flags"], "0")
        self.assertEqual(name, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired")

    def test_a_polkit_that_takes_its_time_holds_up_nobody_else(self):
        with Polkit(self.bus, "held") as polkit, self.call_as_nobody() as slow:
            polkit.wait_asked()
            self.assertEqual(self.bus.call(self.path, VM, "Clear"), 0)
            self.assertEqual(self.bus.get(self.path, VM, "Name"), "web01")
            self.assertIsNone(slow.process.poll())
            polkit.answer()
            slow.wait_line("^u 0$")

    def test_the_vm_may_go_while_polkit_is_asked(self):
        with Polkit(self.bus, "held") as polkit, self.call_as_nobody() as slow:
            polkit.wait_asked()
            self.vm.close()
            self.wait_property(self.bus, self.vm, "Connected", False)
            self.bus.call(self.path, VM, "Forget")
            polkit.answer()
            self.assertNotEqual(slow.wait_exit(), 0)
            slow.wait(lambda: b"There is no VM" in slow.errors, "error")

    def test_a_caller_who_leaves_need_not_be_decided_on(self):
        client = TelnetClient(self.vm)
        with Polkit(self.bus, "held") as polkit:
            with self.call_as_nobody():
                asked = polkit.wait_asked()
            polkit.wait_line(rf"^cancel id={asked['id']}$")
            polkit.answer()  # too late
            self.assertEqual(self.bus.get(self.path, VM, "Clients"), 1)
        client.close()

    def test_a_polkit_that_never_answers_is_given_up(self):
        with Polkit(self.bus, "held") as polkit:
            name, text = self.bus.error(self.path, VM, "Clear", uid=NOBODY)
            self.assertEqual(name, ACCESS_DENIED)
            self.assertIn("timed out", text)
            polkit.wait_line(rf"^cancel id={polkit.wait_asked()['id']}$")

    def test_a_user_may_have_so_many_calls_decided_on_at_a_time(self):
        with Polkit(self.bus, "held") as polkit:
            calls = [self.enterContext(self.call_as_nobody()) for _ in range(68)]
            wait_for(lambda: sum(call.process.poll() is not None for call in calls) == 4, "four to be refused")
            polkit.wait_asked(64)
            name, _ = self.bus.error(self.path, VM, "Clear", uid=NOBODY)
            self.assertEqual(name, LIMITS_EXCEEDED)
            self.assertEqual(self.bus.call(self.path, VM, "Clear"), 0)
            polkit.answer()
            wait_for(lambda: sum(b"u 0\n" in call.output for call in calls) == 64, "the others to be carried out")


class Connection(BusTestCase):
    def test_is_made_when_there_is_a_bus_and_made_again(self):
        bus = BusDaemon()
        self.addCleanup(bus.folder.cleanup)
        self.addCleanup(bus.stop)
        vspcd = self.start(env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
        vspcd.wait_logged("Not on the system bus, trying again until that works: No such file or directory$")
        vm = connected_vm(vspcd, "web01")

        for n in (1, 2):
            bus.start()
            vspcd.wait_change(lambda: vspcd.count_logged("On the system bus as") == n, "to be on the bus")
            self.assertEqual(bus.get(path_of(vm), VM, "Name"), "web01")
            self.assertEqual(vspcd.count_logged("Not on the system bus"), n)
            n_descriptors = vspcd.n_descriptors()
            bus.stop()
            vspcd.wait_change(lambda: vspcd.count_logged("Not on the system bus") == n + 1, "not to be on the bus")
            os.unlink(bus.path)

        self.assertLess(vspcd.n_descriptors(), n_descriptors + 1)
        client = TelnetClient(vm)
        vm.send(b"still there")
        client.wait_data(b"still there")

    def test_waits_for_the_name_and_says_who_has_it(self):
        bus = self.start_bus()
        first = self.serve(bus)
        second = self.start(env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
        second.wait_logged(rf"bus {ME} \(pid {first.pid}\) owns the name {NAME}: vspcd cannot be reached")
        vm = connected_vm(second, "web02")
        first.signal(signal.SIGTERM)
        second.wait_logged(f"On the system bus as {NAME}$")
        self.assertEqual(bus.get(path_of(vm), VM, "Name"), "web02")

    def test_is_refused_where_there_is_no_policy(self):
        bus = self.start_bus(policy=NOTHING_GOES)
        vspcd = self.start(env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
        vspcd.wait_logged(rf"The system bus does not let us own the name {NAME} .*: Permission denied$")

    def test_ends_with_vspcd_even_if_the_bus_stands_still(self):
        bus, vspcd = self.start_both()
        bus.signal(signal.SIGSTOP)
        try:
            connected_vm(vspcd)
            vspcd.signal(signal.SIGTERM)
            self.assertEqual(vspcd.wait_exit(), 0)
        finally:
            bus.signal(signal.SIGCONT)


class Policies(BusTestCase):
    @needs_root
    def test_only_vspcd_may_have_the_name_and_everybody_may_ask(self):
        bus = self.start_bus(policy=NOTHING_GOES + f"<include>{POLICIES}/{NAME}.conf</include>")
        request = ("call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "RequestName", "su", NAME, "0")
        with self.assertRaisesRegex(AssertionError, "Access denied|not allowed"):
            bus.busctl(*request, uid=NOBODY)
        self.serve(bus)
        self.assertEqual(bus.call(PATH, MANAGER, "ListVMs", uid=NOBODY), [])

    def test_polkit_wants_an_administrator(self):
        actions = ElementTree.parse(f"{POLICIES}/org.vspc.policy").getroot().findall("action")
        self.assertEqual({a.get("id") for a in actions}, {"org.vspc.attach", "org.vspc.take-over", "org.vspc.manage"})
        for action in actions:
            for default in action.find("defaults"):
                self.assertRegex(default.text, "^auth_admin(_keep)?$")
            # Otherwise polkit would not let it ask about others.
            self.assertEqual(action.find("annotate[@key='org.freedesktop.policykit.owner']").text, "unix-user:vspc")


if __name__ == "__main__":
    main()
