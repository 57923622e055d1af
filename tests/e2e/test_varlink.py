# SPDX-License-Identifier: LGPL-2.1-or-later

"""The Varlink interface: a conversation in bytes for each method. varlink_peer.py compares each reply with the
definition of the interface."""

import json
import os
import pwd
import re
import signal
import subprocess
import time

from harness import TestCase, main, wait_for
from peers import (ABORT, ALL_BYTES, AYT, BINARY, BRK, COM_PORT, DO, IAC, NAME, SGA, VMWARE, WILL, EsxiVm, Peer,
                   RawClient, TelnetClient, connected_vm, console_of, migration_target, say, sub)
from varlink_peer import CONCENTRATOR, SERVICE, Caller, attached, known_vms, message, read_definition

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = re.compile(rb"\r\n\[vspc: (\d+) bytes skipped\]\r\n")
TYPED_EARLY_MAX = 4096
LISTED_CLIENTS_MAX = 64
MEGABYTE = 1 << 20
EVENT_QUEUE_MAX = 16 * MEGABYTE
INTRODUCTION = say(DO, BINARY, SGA) + say(WILL, BINARY, SGA, 232)


def introduce(vspcd, name, digits, uri="s0"):
    """A VM that says all at once who it is, for where there are to be many of them."""
    vm = EsxiVm(vspcd, name, digits=digits, uri=uri)
    vm.send_raw(INTRODUCTION + vm.do_proxy() + vm.vc_uuid() + vm.vm_name())
    return vm


def wait_gone(vspcd, vm):
    """Until the VM is there no more, but still known."""
    caller = Caller(vspcd)
    wait_for(lambda: not caller.vm(vm.id)["connected"], "the VM to be away")
    caller.close()


def wait_clients(vm, n):
    caller = Caller(vm.vspcd)
    wait_for(lambda: caller.vm(vm.id)["clientCount"] == n, f"the VM to have {n} clients")
    caller.close()


class Service(TestCase):
    def test_what_it_says_about_itself(self):
        info = Caller(self.start()).get(f"{SERVICE}.GetInfo")
        self.assertEqual(info["interfaces"], [SERVICE, CONCENTRATOR])
        self.assertRegex(info["version"], r"^\d+\.\d+\.\d+$")
        for name in ("vendor", "product", "url"):
            self.assertTrue(info[name])

    def test_the_bytes_of_a_conversation(self):
        caller = Caller(self.start())
        caller.say_raw(b'{"method":"org.vspc.Concentrator.List","parameters":{"name":"web01"}}\0')
        caller.wait(lambda: b"\0" in caller.raw, "a reply")
        self.assertEqual(bytes(caller.raw),
                         b'{"error":"org.vspc.Concentrator.NoSuchVM","parameters":{"vm":"web01"}}\0')

    def test_the_interfaces_are_those_in_the_tree_to_the_byte(self):
        caller = Caller(self.start())
        for interface in (SERVICE, CONCENTRATOR):
            got = caller.get(f"{SERVICE}.GetInterfaceDescription", {"interface": interface})["description"]
            self.assertEqual(got, read_definition(interface))

    def test_an_interface_that_there_is_not(self):
        self.assertEqual(Caller(self.start()).fail(f"{SERVICE}.GetInterfaceDescription", {"interface": "org.none"}),
                         ("InterfaceNotFound", {"interface": "org.none"}))


class List(TestCase):
    def test_no_vm(self):
        caller = Caller(self.start())
        self.assertEqual(caller.call("List"), {"parameters": {}})
        self.assertEqual(caller.call("List", {}, more=True), {"parameters": {}})
        self.assertEqual(caller.call("List", None, more=True), {"parameters": {}})
        self.assertEqual(caller.fail("List", {"name": "web01"}), ("NoSuchVM", {"vm": "web01"}))

    def test_one_vm_and_all_that_is_known_of_it(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd, "web01", digits="50123456789abcdef0123456789abcde", uri="vspc://rack7").connect()
        vm.send(b"12345")
        client = TelnetClient(vm)
        client.wait_data(b"12345")
        client.send(b"abc")
        vm.wait_data(b"abc")
        caller = Caller(vspcd)
        now = time.time() * 1e6

        reply = caller.call("List")
        self.assertNotIn("continues", reply)
        got = reply["parameters"]["vm"]
        for since in (got.pop("since"), got.pop("lastOutput"), got["clients"][0].pop("since"), got["clients"][0].pop("typed")):
            self.assertAlmostEqual(since, now, delta=60e6)
        self.assertEqual(got, {
            "id": "50123456-789a-bcde-f012-3456789abcde",
            "uuid": "50123456-789a-bcde-f012-3456789abcde",
            "name": "web01",
            "uri": "vspc://rack7",
            "port": vm.port,
            "connected": True,
            "peer": f"127.0.0.1:{vm.local_port}",
            "serial": got.get("serial"),
            "vmotion": "none",
            "clientCount": 1,
            "clients": [{"id": 1, "peer": f"127.0.0.1:{client.local_port}", "access": "free_for_all", "bytes": 5,
                         "skipped": 0}],
            "bytesReceived": 5,
            "bytesSent": 3,
        })

    def test_what_a_vm_says_of_its_serial_port(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        for code, value in ((1, b"\0\1\xc2\0"), (2, b"\7"), (3, b"\2"), (4, b"\2")):
            vm.send_raw(sub(code, value, option=COM_PORT))
        caller = Caller(vspcd)
        wait_for(lambda: caller.vm(vm.id).get("serial") == "115200 7O2", "the settings of the serial port")

    def test_where_the_page_of_a_console_is_in_a_browser(self):
        vspcd = self.start(WebURL="https://vspc.example.com:9090/vspc", MultiConsole="yes")
        vm = EsxiVm(vspcd, name="web01", uri="s\u00fc 0/#?").connect()
        page = f"https://vspc.example.com:9090/vspc#/vm/{vm.id}_s%C3%BC%200%2F%23%3F"
        self.assertEqual(Caller(vspcd).list()[0]["url"], page)
        vspcd.reload(WebURL="")
        self.assertNotIn("url", Caller(vspcd).list()[0])

    def test_one_that_is_away_and_when_it_will_be_forgotten(self):
        vspcd = self.start(VMExpireSec="1h", VMPorts="no")
        vm = connected_vm(vspcd)
        before = Caller(vspcd).vm(vm.id)["since"]
        vm.close()
        wait_gone(vspcd, vm)
        got = Caller(vspcd).vm(vm.id)
        self.assertEqual((got["connected"], "peer" in got, "port" in got), (False, False, False))
        self.assertGreater(got["since"], before)
        self.assertAlmostEqual(got["expires"], got["since"] + 3600e6, delta=60e6)
        client = attached(vm)
        self.assertNotIn("expires", Caller(vspcd).vm(vm.id))
        client.close()
        wait_clients(vm, 0)
        self.assertIn("expires", Caller(vspcd).vm(vm.id))

    def test_many_in_the_order_in_which_they_came(self):
        vspcd = self.start()
        vms = [connected_vm(vspcd) for _ in range(5)]
        caller = Caller(vspcd)
        self.assertEqual([vm["id"] for vm in caller.list()], [vm.id for vm in vms])
        self.assertEqual(caller.fail("List"), ("ExpectedMore", {}))
        self.assertEqual([vm["id"] for vm in caller.list()], [vm.id for vm in vms])

    def test_all_that_a_vm_may_be_called(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "web 01", digits="5012abcdef" + "0123456789abcdef012345")
        connected_vm(vspcd, "web02", digits="5012abcd00" + "0123456789abcdef012345")
        connected_vm(vspcd, "5012abcd", digits="60" + "0123456789abcdef0123456789abcd")
        caller = Caller(vspcd)
        for name in ("web 01", vm.id, vm.id.upper(), vm.digits, vm.digits.upper(), "{" + vm.id + "}",
                     " ".join(vm.digits[i:i + 2] for i in range(0, 32, 2)),
                     "50 12 ab cd ef 01 23 45-67 89 ab cd ef 01 23 45", str(vm.port),
                     "5012abcde", "5012ABCD-EF01", "{5012abcde", "50 12 ab cd ef"):
            self.assertEqual(caller.vm(name)["id"], vm.id, name)
        self.assertEqual(caller.vm("5012abcd")["name"], "5012abcd")  # a name, before it is the beginning of UUIDs

        for name in ("web", "web 01 ", "WEB 01", "5012abcdf", vm.digits + "0", vm.digits[:-1] + "0", "-", "", " ",
                     "{}", "0", "65536", str((1 << 64) + vm.port), "g", "ü", "/"):
            self.assertEqual(caller.fail("List", {"name": name}), ("NoSuchVM", {"vm": name}))

    def test_a_port_before_the_beginning_of_a_uuid(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        other = connected_vm(vspcd, digits=f"{vm.port}".ljust(32, "0"))
        self.assertEqual(Caller(vspcd).vm(str(vm.port))["id"], vm.id)
        self.assertEqual(Caller(vspcd).vm(f"{vm.port}0")["id"], other.id)

    def test_two_of_one_name(self):
        vspcd = self.start()
        vms = [connected_vm(vspcd, "twin") for _ in range(2)]
        caller = Caller(vspcd)
        self.assertEqual(caller.fail("List", {"name": "twin"}), ("ExpectedMore", {}))
        self.assertEqual([vm["id"] for vm in caller.list("twin")], [vm.id for vm in vms])
        for method in ("Attach", "Clear", "Forget"):
            self.assertEqual(caller.fail(method, {"vm": "twin"}, upgrade=method == "Attach"),
                             ("AmbiguousVM", {"vm": "twin", "uuids": [vm.id for vm in vms]}))

    def test_serial_ports_of_one_vm(self):
        vspcd = self.start(MultiConsole="yes")
        first = EsxiVm(vspcd, "web01", uri="a").connect()
        EsxiVm(vspcd, "web01", digits=first.digits, uri="b").connect()
        caller = Caller(vspcd)
        self.assertEqual([(vm["id"], vm["uuid"], vm["name"], vm["uri"]) for vm in caller.list()],
                         [(f"{first.id}_{uri}", first.id, f"web01_{uri}", uri) for uri in ("a", "b")])
        self.assertEqual(caller.vm(f"{first.id}_b")["uri"], "b")
        self.assertEqual(caller.vm("web01_a")["uri"], "a")
        self.assertEqual(caller.fail("Clear", {"vm": first.id}),
                         ("AmbiguousVM", {"vm": first.id, "uuids": [f"{first.id}_a", f"{first.id}_b"]}))

    def test_all_of_a_name_are_listed_however_many_they_are(self):
        vspcd = self.start(VMPorts="no")
        vms = [introduce(vspcd, "clone", f"77{i:030x}") for i in range(100)]
        wait_for(lambda: len(known_vms(vspcd)) == len(vms), "all VMs")
        self.assertEqual(len(Caller(vspcd).list("clone")), len(vms))

    def test_names_that_json_has_to_escape(self):
        vspcd = self.start()
        names = ['"quoted\\', "back\\slash\\u0041", "{}[],:", "Müller €", "\U0001f600"]
        vms = [connected_vm(vspcd, name.encode()) for name in names]
        caller = Caller(vspcd)
        for vm, name in zip(vms, names):
            self.assertEqual(caller.vm(vm.id)["name"], name)
            self.assertEqual(caller.vm(name)["id"], vm.id)

    def test_names_that_are_not_fit_for_people_are_valid_json_still(self):
        vspcd = self.start()
        for name in (b"\x1b[2J\n\t\0end", b"\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80", b'\xf0\x9f\x98"\\\x01',
                     b"\x7f\xc2\x80"):
            vm = EsxiVm(vspcd, name).handshake()
            shown = next(told["name"] for told in known_vms(vspcd) if told["id"] == vm.id)
            self.assertTrue(shown)
            self.assertFalse([c for c in shown if ord(c) < 32 or 127 <= ord(c) < 160], shown)

    def test_of_many_clients_some_are_told_and_how_many_there_are(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        clients = [RawClient(vm) for _ in range(LISTED_CLIENTS_MAX + 3)]
        got = Caller(vspcd).vm(vm.id)
        self.assertEqual(got["clientCount"], len(clients))
        self.assertEqual([c["peer"] for c in got["clients"]],
                         [f"127.0.0.1:{c.local_port}" for c in clients[:LISTED_CLIENTS_MAX]])


class Attach(TestCase):
    def test_scrollback_comes_first_and_then_what_the_vm_says(self):
        vspcd = self.start(ScrollbackSize=100)
        vm = connected_vm(vspcd)
        vm.send(b"-" * 50 + bytes(range(100, 200)))
        caller = Caller(vspcd)
        wait_for(lambda: caller.vm(vm.id)["bytesReceived"] == 150, "the VM's output")
        self.assertEqual(caller.attach(vm), "free_for_all")
        self.assertEqual((caller.attached["vm"]["id"], caller.attached["vm"]["clientCount"]), (vm.id, 0))
        caller.wait_size(100)
        vm.send(b"live")
        caller.wait_data(b"live")
        self.assertSameBytes(caller.data, bytes(range(100, 200)) + b"live")
        self.assertEqual([t for t in caller.trace if not isinstance(t, bytearray)], [])

    def test_without_scrollback(self):
        vm = connected_vm(self.start())
        vm.send(b"old")
        first = attached(vm)
        first.wait_data(b"old")
        second = attached(vm, scrollback=False)
        third = attached(vm, scrollback=None)
        third.wait_data(b"old")
        vm.send(b"new")
        second.wait_data(b"new")
        self.assertSameBytes(second.data, b"new")

    def test_all_bytes_in_both_directions(self):
        vm = connected_vm(self.start())
        client = attached(vm)
        blob = ALL_BYTES * 16 + bytes(reversed(ALL_BYTES)) + b"\xff" * 999 + b"\r\n\r\0\r\r\n"
        vm.send(blob)
        client.wait_size(len(blob))
        self.assertSameBytes(client.data, blob)
        client.send(blob)
        vm.wait_size(len(blob))
        self.assertSameBytes(vm.data, blob)

    def test_break_reaches_the_vm_in_its_place(self):
        vm = connected_vm(self.start())
        client = attached(vm)
        client.send_raw(b"before" + bytes([IAC, BRK]) + b"after")
        vm.wait_data(b"beforeafter")
        self.assertEqual(vm.trace[-3:], [bytearray(b"before"), ("command", BRK), bytearray(b"after")])

    def test_are_you_there(self):
        vm = connected_vm(self.start(), "web01")
        client = attached(vm)
        client.send_raw(bytes([IAC, AYT]))
        client.wait_data(b"\r\n[vspc: yes, VM web01 is connected]\r\n")

    def test_root_says_who_it_attaches_for(self):
        vspcd = self.start(local=True)
        vm = connected_vm(vspcd)
        Caller(vspcd, local=True).attach(vm, displayName="b\u00f6b\x1b[2J\n" + "x" * 200)
        line = vspcd.wait_logged(r"client (.*) connected")[1]
        by_way_of = rf", by way of {re.escape(pwd.getpwuid(os.getuid()).pw_name)} \(pid \d+\)$"
        self.assertRegex(line, ("^b\u00f6b\ufffd\\[2J\ufffdx{50,60}" + by_way_of) if os.getuid() == 0 else r"^[a-z]+ \(pid \d+\)$")
        self.assertEqual(Caller(vspcd).vm(vm.id)["clients"][0]["peer"], line)

    def test_others_than_root_are_not_believed_who_they_attach_for(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        Caller(vspcd).attach(vm, displayName="root")
        self.assertRegex(vspcd.wait_logged(r"client (.*) connected")[1], r"^127\.0\.0\.1:\d+$")

    def test_options_in_force_are_confirmed_and_others_refused(self):
        vm = connected_vm(self.start())
        client = attached(vm)
        client.send_raw(say(DO, BINARY, SGA) + say(WILL, BINARY, SGA) + say(DO, 24))
        client.wait_trace(("wont", 24))
        vm.send(b"\r\xff\0")
        client.wait_data(b"\r\xff\0")
        self.assertEqual([t for t in client.trace if not isinstance(t, bytearray)], [("wont", 24)])

    def test_it_is_told_when_the_vm_goes_and_comes(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = attached(vm)
        vm.close()
        client.wait_data(b"\r\n[vspc: VM disconnected]\r\n")
        EsxiVm(vspcd, vm.name, digits=vm.digits).connect()
        client.wait_data(b"\r\n[vspc: VM connected]\r\n")

    def test_who_wants_notices_apart_gets_them_as_subnegotiations_in_their_place(self):
        vm = connected_vm(self.start())
        client = attached(vm, noticesApart=True)
        vm.send(b"last words")
        client.wait_data(b"last words")
        vm.close()
        client.wait_trace(("sb", VMWARE, b"\xc8VM disconnected"))
        Caller(vm.vspcd).get("Clear", {"vm": vm.id})
        client.wait_trace(("sb", VMWARE, b"\xc8disconnected by an administrator"))
        self.assertEqual(bytes(client.data), b"last words")

    def test_it_may_come_before_the_vm_comes_back(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(b"last words")
        vm.close()
        wait_gone(vspcd, vm)
        client = attached(vm)
        client.wait_data(b"last words\r\n[vspc: VM disconnected]\r\n")
        again = EsxiVm(vspcd, vm.name, digits=vm.digits).connect()
        client.send(b"hello")
        again.wait_data(b"hello")

    def test_what_is_typed_in_the_same_write_as_the_call_is_input(self):
        vm = connected_vm(self.start())
        vm.send(b"login: ")
        for typed in (b"root\r", bytes([IAC, BRK]), b"x" * TYPED_EARLY_MAX):
            client = Caller(vm.vspcd)
            client.say("Attach", {"vm": vm.id}, upgrade=True, typed=typed)
            client.wait_data(b"login: ")
        vm.wait_data(b"root\r" + b"x" * TYPED_EARLY_MAX)
        self.assertIn(("command", BRK), vm.trace)

    def test_who_types_too_much_before_the_answer_is_closed(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = Caller(vspcd)
        client.say("Attach", {"vm": vm.id}, upgrade=True, typed=b"x" * (TYPED_EARLY_MAX + 1))
        client.wait_closed()
        vspcd.wait_logged(rf"127\.0\.0\.1:{client.local_port} is followed by more than 4096 bytes before")
        self.assertEqual(Caller(vspcd).vm(vm.id)["clientCount"], 0)
        self.assertEqual(vm.data, b"")

    def test_what_is_typed_early_at_a_vm_on_its_way_keeps_its_order(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        secret = vm.begin(b"1234")
        first = attached(vm)
        held = 1024 * 1024
        first.send_raw(b"k" * (held - 100))
        caller = Caller(vspcd)
        wait_for(lambda: caller.vm(vm.id)["bytesSent"] == held - 100, "the keys to be held back")
        typed = b"".join(b"%04d." % i for i in range(600))
        client = Caller(vspcd)
        client.say("Attach", {"vm": vm.id}, upgrade=True, typed=typed)
        client.wait(lambda: client.attached, "the reply")
        client.send_raw(b"late")

        target = migration_target(vm).peer(b"1234", secret)
        target.complete(b"1234")
        target.wait(lambda: target.data.endswith(b"late") and b"0599." in target.data, "all that was typed")
        self.assertSameBytes(target.data[-len(typed) - 4:], typed + b"late")

    def test_without_upgrade(self):
        vm = connected_vm(self.start())
        caller = Caller(vm.vspcd)
        self.assertEqual(caller.fail("Attach", {"vm": vm.id}), ("InvalidParameter", {"parameter": "upgrade"}))
        self.assertEqual(caller.fail("Attach", {"vm": vm.id}, upgrade=False)[0], "InvalidParameter")
        self.assertEqual(caller.vm(vm.id)["clientCount"], 0)
        caller.attach(vm)

    def test_an_access_that_there_is_not(self):
        vm = connected_vm(self.start())
        caller = Caller(vm.vspcd)
        for access in ("none", "", "Write", "write ", 1, True, ["write"], {}):
            self.assertEqual(caller.fail("Attach", {"vm": vm.id, "access": access}, upgrade=True),
                             ("InvalidParameter", {"parameter": "access"}))
        caller.attach(vm, access=None)

    def test_no_such_vm(self):
        caller = Caller(self.start())
        self.assertEqual(caller.fail("Attach", {"vm": "web01"}, upgrade=True), ("NoSuchVM", {"vm": "web01"}))
        caller.get(f"{SERVICE}.GetInfo")

    def test_access_denied_names_the_holders(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        holder = attached(vm, access="exclusive")
        caller = Caller(vspcd)
        name, parameters = caller.fail("Attach", {"vm": vm.name, "access": "write"}, upgrade=True)
        self.assertEqual((name, parameters["vm"], parameters["access"]), ("AccessDenied", vm.name, "write"))
        self.assertEqual([(h["peer"], h["access"]) for h in parameters["holders"]],
                         [(f"127.0.0.1:{holder.local_port}", "exclusive")])
        self.assertEqual(parameters["holders"], caller.vm(vm.id)["clients"])
        holder.close()
        wait_clients(vm, 0)
        self.assertEqual(caller.attach(vm, access="write"), "write")

    def test_of_many_holders_some_are_named(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        for _ in range(LISTED_CLIENTS_MAX + 3):
            RawClient(vm)
        _, parameters = Caller(vspcd).fail("Attach", {"vm": vm.id, "access": "write"}, upgrade=True)
        self.assertEqual(len(parameters["holders"]), LISTED_CLIENTS_MAX)

    def test_client_limit_reached(self):
        vspcd = self.start(ClientLimit=1)
        vm = connected_vm(vspcd)
        caller, late = Caller(vspcd), Caller(vspcd)
        caller.attach(vm)
        self.assertEqual(late.fail("Attach", {"vm": vm.name}, upgrade=True),
                         ("ClientLimitReached", {"vm": vm.name, "limit": 1}))
        caller.close()
        wait_clients(vm, 0)
        late.attach(vm)

    def test_calls_before_it_are_answered_before_the_stream_begins(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(b"scrollback")
        client = Caller(vspcd)
        client.say(f"{SERVICE}.GetInfo", typed=message("Attach", {"vm": vm.id}, upgrade=True) + b"typed")
        client.asked.append(f"{CONCENTRATOR}.Attach")
        client.wait_data(b"scrollback")
        self.assertEqual(len(client.replies), 2)
        vm.wait_data(b"typed")

    def test_a_slow_reader_is_told_what_it_has_missed(self):
        vspcd = self.start(local=True, ClientBufferSize="64K", ScrollbackSize="4K")
        vm = connected_vm(vspcd)
        slow, fast = attached(vm, local=True), attached(vm)
        sent = 0
        while sent < 2 << 20:
            vm.send(b"%09d\n" % (sent // 10) * 1000)
            sent += 10000
            fast.wait_size(sent)
        vm.send(b"THE END")
        slow.wait_data(b"THE END")
        vspcd.wait_logged("reads too slowly and misses output")
        skipped = [int(n) for n in SKIPPED.findall(slow.data)]
        self.assertTrue(skipped)
        self.assertEqual(len(SKIPPED.sub(b"", slow.data)) + sum(skipped), sent + len(b"THE END"))
        client = Caller(vspcd).vm(vm.id)["clients"][0]
        self.assertEqual((client["skipped"], client["bytes"]), (sum(skipped), sent + len(b"THE END") - sum(skipped)))


class Clear(TestCase):
    def test_all_clients_are_disconnected_and_told_why(self):
        vspcd = self.start()
        vm, other = connected_vm(vspcd), connected_vm(vspcd)
        caller, by_varlink, telnet, raw = Caller(vspcd), attached(vm), TelnetClient(vm), RawClient(vm)
        elsewhere = attached(other)
        telnet.wait_trace(("will", SGA))
        vm.send(b"hello")
        for client in (by_varlink, telnet, raw):
            client.wait_data(b"hello")
        self.assertEqual(caller.get("Clear", {"vm": vm.name}), {"disconnected": 3})
        for client in (by_varlink, telnet, raw):
            client.wait_closed()
            self.assertFalse(client.reset)
        for client in (by_varlink, telnet):
            self.assertIn(b"\r\n[vspc: disconnected by an administrator]\r\n", client.data)
        self.assertSameBytes(raw.data, b"hello")
        vspcd.wait_logged(console_of(vspcd, vm) + rf"127\.0\.0\.1:{caller.local_port} disconnects its 3 clients")
        other.send(b"still here")
        elsewhere.wait_data(b"still here")
        self.assertEqual(caller.get("Clear", {"vm": vm.id}), {"disconnected": 0})
        attached(vm)

    def test_no_such_vm(self):
        self.assertEqual(Caller(self.start()).fail("Clear", {"vm": "web01"}), ("NoSuchVM", {"vm": "web01"}))


class Forget(TestCase):
    def test_one_that_is_connected_is_not_forgotten(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        caller = Caller(vspcd)
        self.assertEqual(caller.fail("Forget", {"vm": vm.name}), ("VMConnected", {"vm": vm.name}))
        self.assertTrue(caller.vm(vm.id)["connected"])

    def test_its_clients_are_disconnected_and_its_port_is_free(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = attached(vm)
        vm.close()
        wait_gone(vspcd, vm)
        caller = Caller(vspcd)
        self.assertEqual(caller.call("Forget", {"vm": str(vm.port)}), {"parameters": {}})
        client.wait_closed()
        self.assertIn(b"\r\n[vspc: this VM has been forgotten]\r\n", client.data)
        self.assertEqual(caller.list(), [])
        self.assertEqual(caller.fail("Forget", {"vm": vm.id}), ("NoSuchVM", {"vm": vm.id}))
        vspcd.wait_logged(console_of(vspcd, vm) + rf"forgotten by 127\.0\.0\.1:{caller.local_port}")
        self.assertEqual(connected_vm(vspcd).port, vm.port)

    def test_one_on_its_way_is_not_forgotten(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.begin(b"1234")
        vm.close()
        caller = Caller(vspcd)
        wait_for(lambda: caller.vm(vm.id)["vmotion"] == "orphaned", "the source to be gone")
        self.assertEqual(caller.fail("Forget", {"vm": vm.id}), ("VMConnected", {"vm": vm.id}))


class Monitor(TestCase):
    def test_it_begins_with_the_present_state(self):
        vspcd = self.start()
        self.assertEqual(Caller(vspcd).monitor(), [])
        vms = [connected_vm(vspcd) for _ in range(3)]
        caller = Caller(vspcd)
        self.assertEqual(caller.monitor(), known_vms(vspcd))
        self.assertEqual(len(vms), 3)

    def test_it_wants_more(self):
        caller = Caller(self.start())
        self.assertEqual(caller.fail("Monitor"), ("ExpectedMore", {}))
        self.assertEqual(caller.monitor(), [])

    def test_a_vm_comes_is_renamed_goes_and_is_forgotten(self):
        vspcd = self.start()
        monitor = Caller(vspcd)
        monitor.monitor()
        vm = connected_vm(vspcd, "web01")
        for name, connected in (("added", False), ("connected", True)):
            event = monitor.wait_event(name)
            self.assertEqual((event["vm"]["id"], event["vm"]["connected"]), (vm.id, connected))
            self.assertNotIn("client", event)
        vm.send_raw(sub(NAME, b"web02"))
        self.assertEqual(monitor.wait_event("renamed")["vm"]["name"], "web02")
        vm.close()
        self.assertFalse(monitor.wait_event("disconnected")["vm"]["connected"])
        again = EsxiVm(vspcd, "web02", digits=vm.digits).connect()
        self.assertTrue(monitor.wait_event("connected")["vm"]["connected"])
        again.close()
        monitor.wait_event("disconnected")
        Caller(vspcd).get("Forget", {"vm": "web02"})
        self.assertEqual(monitor.wait_event("removed")["vm"]["id"], vm.id)

    def test_a_vm_changes(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        monitor = Caller(vspcd)
        monitor.monitor()
        vm.send_raw(sub(1, b"\0\0\x25\x80", option=COM_PORT))
        self.assertEqual(monitor.wait_event("changed")["vm"]["serial"], "9600 8N1")
        vspcd.reload(VMPorts="no")
        self.assertNotIn("port", monitor.wait_event("changed")["vm"])
        other = EsxiVm(vspcd, vm.name, digits=vm.digits, uri="other").connect()
        self.assertEqual(monitor.wait_event("changed")["vm"]["uri"], "other")
        for link in (vm, other):
            link.close()
        self.assertFalse(monitor.wait_event("disconnected")["vm"]["connected"])

    def test_clients_come_and_go(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        monitor = Caller(vspcd)
        monitor.monitor()
        for connect in (RawClient, attached):
            client = connect(vm)
            event = monitor.wait_event("client_attached")
            self.assertEqual((event["vm"]["id"], event["vm"]["clientCount"]), (vm.id, 1))
            self.assertEqual(event["client"]["peer"], f"127.0.0.1:{client.local_port}")
            client.close()
            event = monitor.wait_event("client_detached")
            self.assertEqual(event["client"]["peer"], f"127.0.0.1:{client.local_port}")
            self.assertEqual(event["vm"]["clientCount"], 0)

    def test_activity_is_told_to_who_wants_to_know(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(b"earlier")
        curious, other = Caller(vspcd), Caller(vspcd)
        curious.monitor(activity=True)
        other.monitor()

        def is_told():
            vm.send(b"x")
            curious.pump()
            return curious.replies
        wait_for(is_told, "activity")
        event = curious.wait_event("activity")
        self.assertEqual(event["vm"]["id"], vm.id)
        self.assertAlmostEqual(event["vm"]["lastOutput"], time.time() * 1e6, delta=60e6)
        client = TelnetClient(vm)
        self.assertEqual(other.wait_event("client_attached")["client"]["peer"], f"127.0.0.1:{client.local_port}")

    def test_a_vm_moves(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        monitor = Caller(vspcd)
        monitor.monitor()
        secret = vm.begin(b"1234")
        self.assertEqual(monitor.wait_event("vmotion_begin")["vm"]["vmotion"], "begun")
        vm.send_raw(sub(ABORT))
        self.assertEqual(monitor.wait_event("vmotion_abort")["vm"]["vmotion"], "none")
        secret = vm.begin(b"5678")
        monitor.wait_event("vmotion_begin")
        target = migration_target(vm).peer(b"5678", secret)
        self.assertEqual(monitor.wait_event("changed")["vm"]["vmotion"], "accepted")
        target.complete(b"5678")
        event = monitor.wait_event("vmotion_complete")["vm"]
        self.assertEqual((event["vmotion"], event["connected"]), ("none", True))
        wait_for(lambda: Caller(vspcd).vm(vm.id)["peer"] == f"127.0.0.1:{target.local_port}", "the target to speak")

    def test_what_happens_while_the_present_state_is_being_told_is_told_once(self):
        """The answer does not fit into what the kernel takes, so that it stops in the middle. Then each VM is
        renamed and goes, and every other one is forgotten."""
        vspcd = self.start(local=True, VMPorts="no")
        long = '"' * 500
        vms = [introduce(vspcd, f"{i:04}{long}", f"88{i:030x}", uri=long * 2) for i in range(200)]
        other = Caller(vspcd)
        wait_for(lambda: len(other.list()) == len(vms), "all VMs")

        monitor = Caller(vspcd, local=True)
        monitor.say("Monitor", more=True)
        wait_for(lambda: monitor.pump(1), "the beginning")

        def stuck():
            """While others are answered it takes turns with them: where that brings nothing more, it waits for us."""
            n = monitor.n_unread()
            other.list()
            return monitor.n_unread() == n
        wait_for(stuck, "it to stop in the middle")
        late = connected_vm(vspcd, "late")
        for vm in vms:
            vm.send_raw(sub(NAME, b"new"))
        wait_for(lambda: [vm["name"] for vm in other.list()] == ["new"] * len(vms) + ["late"], "the new names")
        for vm in vms:
            vm.close()
        wait_for(lambda: other.get("GetMetrics")["vmsConnected"] == 1, "all to be away")
        for vm in vms[::2]:
            other.get("Forget", {"vm": vm.id})

        told = {vm.id: [] for vm in [*vms, late]}
        while (event := monitor.next_event())["event"] != "ready":
            told[event["vm"]["id"]].append((event["event"], event["vm"]["name"][-3:], event["vm"]["connected"]))

        changes = [("renamed", "new", True), ("disconnected", "new", False), ("removed", "new", False)]
        tellings = []  # for each VM: how much had happened to it when it was told
        for i, vm in enumerate(vms):
            happens = changes if i % 2 == 0 else changes[:2]
            states = [('"""', True), ("new", True), ("new", False)]
            possible = [[("present", *state)] + happens[n:] for n, state in enumerate(states)] + [[]] * (i % 2 == 0)
            self.assertIn(told[vm.id], possible)
            tellings.append(possible.index(told[vm.id]))
        self.assertEqual((tellings[0], tellings[-1]), (0, 2 + len(vms) % 2))
        self.assertEqual(told[late.id], [("present", "ate", True)])
        late.close()
        self.assertEqual(monitor.wait_event("disconnected")["vm"]["id"], late.id)

    def test_a_burst_is_told_in_full(self):
        """All VMs change several times before the monitor reads anything."""
        vspcd = self.start(local=True, ports=300)
        vms = [introduce(vspcd, '"' * 500, f"88{i:030x}", uri='"' * 1000) for i in range(300)]
        other, monitor = Caller(vspcd), Caller(vspcd, local=True)
        wait_for(lambda: len(other.list()) == len(vms), "all VMs")
        monitor.monitor()
        for ports in "no", "yes", "no", "yes":
            vspcd.reload(VMPorts=ports)
            wait_for(lambda p=ports: all(("port" in vm) == (p == "yes") for vm in other.list()), "all ports")
        changes = [monitor.wait_event("changed")["vm"] for _ in range(4 * len(vms))]
        self.assertGreater(sum(len(json.dumps(vm)) for vm in changes), 3 * MEGABYTE)
        self.assertEqual({vm["id"]: vm["port"] for vm in changes[-len(vms):]}, {vm["id"]: vm["port"] for vm in other.list()})

    def test_who_falls_behind_is_told_the_present_state_again_and_nobody_else_notices(self):
        vspcd = self.start(local=True)
        vms = [EsxiVm(vspcd, uri="u" * 900).connect() for _ in range(50)]
        slow, fast = Caller(vspcd, local=True), Caller(vspcd)
        wait_for(lambda: len(fast.list()) == len(vms), "all VMs")
        slow.monitor()
        fast.monitor()
        before = vspcd.rss()
        told = rounds = 0
        while told < EVENT_QUEUE_MAX + MEGABYTE:
            for vm in vms:
                vm.send_raw(sub(NAME, f"{rounds:04}".encode() + b'"' * 500))
            for vm in vms:
                name = fast.wait_event("renamed")["vm"]["name"]
                self.assertEqual(name[:4], f"{rounds:04}")
                told += 900 + 2 * len(name)  # each quote has a backslash in JSON
            rounds += 1
        self.assertLess(vspcd.rss() - before, 64 * MEGABYTE)

        while (event := slow.next_event())["event"] != "skipped":
            self.assertEqual(event["event"], "renamed")
        self.assertEqual(event, {"event": "skipped"})
        present = {}
        while (event := slow.next_event())["event"] == "present":
            present[event["vm"]["id"]] = event["vm"]["name"][:4]
        self.assertEqual(event, {"event": "ready"})
        self.assertEqual(present, {vm.id: f"{rounds - 1:04}" for vm in vms})
        vms[0].send_raw(sub(NAME, b"the end"))
        for reader in fast, slow:
            self.assertEqual(reader.wait_event("renamed")["vm"]["name"], "the end")

    def test_who_reads_late_but_in_time_misses_nothing(self):
        vspcd = self.start(local=True)
        vm = EsxiVm(vspcd, uri="u" * 900).connect()
        slow, fast = Caller(vspcd, local=True), Caller(vspcd)
        slow.monitor()
        fast.monitor()
        for i in range(400):
            vm.send_raw(sub(NAME, f"{i:04}".encode() + b'"' * 500))
            fast.wait_event("renamed")
        for i in range(400):
            self.assertEqual(slow.wait_event("renamed")["vm"]["name"][:4], f"{i:04}")

    def test_names_that_follow_each_other_at_once_are_one_event(self):
        vspcd = self.start()
        vm, monitor = connected_vm(vspcd, "first"), Caller(vspcd)
        monitor.monitor()
        vm.send_raw(sub(NAME, b"second") + sub(NAME, b"third"))
        self.assertEqual(monitor.wait_event("renamed")["vm"]["name"], "third")
        vm.send_raw(sub(NAME, b"fourth") + sub(NAME, b"third"))
        vm.close()
        while (event := monitor.next_event()["event"]) != "disconnected":
            self.assertNotEqual(event, "renamed")

    def test_what_is_said_to_a_monitor_is_not_heard(self):
        vspcd = self.start()
        monitor = Caller(vspcd)
        monitor.monitor()
        monitor.send_raw(message(f"{SERVICE}.GetInfo") * 100)
        connected_vm(vspcd)
        monitor.wait_event("added")

    def test_a_oneway_monitor_gets_nothing(self):
        vspcd = self.start()
        caller = Caller(vspcd)
        caller.say("Monitor", more=True, oneway=True)
        connected_vm(vspcd)
        wait_for(lambda: len(known_vms(vspcd)) == 1, "the VM")
        caller.pump()
        self.assertEqual(bytes(caller.raw), b"")

    def test_a_shell_script(self):
        """It prints a line for each event, whatever the VM is called."""
        vspcd = self.start(local=True)
        host, port = vspcd.admin_address
        first = connected_vm(vspcd, "web01")
        for arguments in ((host, str(port)), ("-U", vspcd.admin_path)):
            script = subprocess.Popen(["sh", os.path.join(HERE, "monitor.sh"), *arguments], stdout=subprocess.PIPE,
                                      start_new_session=True)
            self.addCleanup(script.stdout.close)
            self.addCleanup(script.wait)
            self.addCleanup(os.killpg, script.pid, signal.SIGKILL)

            def line(s=script):
                text = s.stdout.readline().decode().rstrip("\n")
                return line(s) if text.endswith(" changed") else text

            self.assertEqual(line(), f"{first.name} present")
            name = 'x","name":"y","event":"removed\\'
            vm = connected_vm(vspcd, name)
            shown = json.dumps(name)[1:-1]
            self.assertEqual([line(), line()], [f"{shown} added", f"{shown} connected"])
            client = RawClient(vm)
            self.assertEqual(line(), f"{shown} client_attached")
            client.close()
            self.assertEqual(line(), f"{shown} client_detached")
            vm.close()
            self.assertEqual(line(), f"{shown} disconnected")
            Caller(vspcd).get("Forget", {"vm": name})
            self.assertEqual(line(), f"{shown} removed")


class Metrics(TestCase):
    def test_after_a_known_story_the_numbers_are_right(self):
        before = time.time() * 1e6
        vspcd = self.start(ClientLimit=2)
        vm, away = connected_vm(vspcd), connected_vm(vspcd)
        away.close()
        wait_gone(vspcd, away)
        caller = Caller(vspcd)
        self.assertIsNone(vspcd.has_logged("no such thing"))  # what is not an ESXi host connects for that
        client, gone = attached(vm), TelnetClient(vm)
        vm.send(b"\xff" * 10)
        client.wait_size(10)
        gone.wait_size(10)
        client.send(b"\xff" * 7)
        client.send_raw(bytes([IAC, BRK]))
        vm.wait_size(7)
        Peer(("127.0.0.1", vm.port)).wait_closed()
        gone.close()
        wait_clients(vm, 1)
        vm.begin(b"1")
        vm.send_raw(sub(ABORT))
        secret = vm.begin(b"2")
        target = migration_target(vm).peer(b"2", secret)
        target.complete(b"2")
        vm.close()

        def settled():
            metrics = caller.get("GetMetrics")
            return metrics if (metrics["vmConnections"], metrics["adminConnections"]) == (1, 1) else None
        got = wait_for(settled, "the source and other callers to be gone")
        self.assertTrue(before - 1e6 <= got.pop("startedAt") <= time.time() * 1e6)
        self.assertGreaterEqual(got.pop("descriptorLimit"), 100)
        # The VM, its client, this caller, two ports, and a client of which it shows later that it has closed altogether
        self.assertIn(got.pop("descriptors"), (5, 6))
        self.assertIn(got.pop("connectionMemoryBytes"), range(1000, 100000))  # a client's and this caller's
        self.assertEqual(got, {
            "vms": 2,
            "vmsConnected": 1,
            "vmConnections": 1,
            "clients": 1,
            "adminConnections": 1,
            "vmsAwaitingPort": 0,
            "portsClosed": 0,
            "vmConnectionsTotal": 3,
            "vmConnectionsRefusedTotal": 1,
            "clientsTotal": 2,
            "clientsRefusedTotal": 1,
            "vmotionsBegunTotal": 2,
            "vmotionsCompletedTotal": 1,
            "vmotionsAbortedTotal": 1,
            "vmBytesReceivedTotal": 10,
            "vmBytesSentTotal": 7,
            "clientBytesSentTotal": 20,
            "clientBytesSkippedTotal": 0,
            "connectionsRefusedForDescriptorsTotal": 0,
            "portsGivenUpTotal": 0,
            "connectionMemoryMaxBytes": 512 << 20,
            "givenUpForMemoryTotal": 0,
        })


class Calls(TestCase):
    def test_many_at_once_are_answered_in_their_order(self):
        vspcd = self.start()
        vms = [connected_vm(vspcd) for _ in range(3)]
        caller = Caller(vspcd)
        calls = [(f"{SERVICE}.GetInfo", {}, {}), ("List", {}, {"more": True}), ("List", {"name": vms[1].name}, {}),
                 ("Nothing", {}, {}), ("GetMetrics", {}, {}), ("List", {}, {"more": True}), ("List", {}, {}),
                 ("Clear", {"vm": vms[2].id}, {})] * 20
        caller.asked = [m if "." in m else f"{CONCENTRATOR}.{m}" for m, _, _ in calls]
        caller.send_raw(b"".join(message(m, p, **flags) for m, p, flags in calls))
        for _ in range(20):
            self.assertIn("interfaces", caller.next_reply()["parameters"])
            self.assertEqual([caller.next_reply()["parameters"]["vm"]["id"] for _ in vms], [vm.id for vm in vms])
            self.assertEqual(caller.next_reply()["parameters"]["vm"]["id"], vms[1].id)
            self.assertEqual(caller.next_reply()["error"], f"{SERVICE}.MethodNotFound")
            self.assertIn("vms", caller.next_reply()["parameters"])
            self.assertEqual([caller.next_reply().get("continues", False) for _ in vms], [True, True, False])
            self.assertEqual(caller.next_reply()["error"], f"{SERVICE}.ExpectedMore")
            self.assertEqual(caller.next_reply()["parameters"], {"disconnected": 0})

    def test_a_call_may_come_a_byte_at_a_time(self):
        caller = Caller(self.start())
        caller.asked.append(f"{SERVICE}.GetInfo")
        caller.send_bytewise(message(f"{SERVICE}.GetInfo"))
        self.assertIn("interfaces", caller.next_reply()["parameters"])

    def test_a_oneway_call_is_done_and_not_answered(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = attached(vm)
        caller = Caller(vspcd)
        for method, parameters in (("Clear", {"vm": vm.id}), ("Clear", {"vm": "nobody"}), ("Nothing", {}),
                                   ("List", {"name": 5}), ("List", {}), ("GetMetrics", {})):
            caller.say(method, parameters, oneway=True)
        caller.say("List", {}, more=True, oneway=True)
        client.wait_closed()
        self.assertIn("interfaces", caller.get(f"{SERVICE}.GetInfo"))
        self.assertEqual(caller.raw.count(b"\0"), 1)

    def test_who_has_said_all_still_gets_the_answers(self):
        vspcd = self.start()
        vms = [connected_vm(vspcd) for _ in range(3)]
        caller = Caller(vspcd)
        caller.say("GetMetrics")
        caller.say("List", {}, more=True)
        caller.sock.shutdown(1)
        caller.wait_closed()
        self.assertEqual((len(caller.replies), caller.asked), (1 + len(vms), []))

    def test_flags_may_be_null(self):
        caller = Caller(self.start())
        caller.get(f"{SERVICE}.GetInfo", None, more=None, oneway=None, upgrade=None)
        caller.get(f"{SERVICE}.GetInfo", {}, more=False, oneway=False, upgrade=False)
        caller.get("List", {"name": None})

    def test_what_a_call_has_besides_is_left_alone(self):
        Caller(self.start()).get(f"{SERVICE}.GetInfo", None, extension={"a": [1]})


class Local(TestCase):
    def test_who_does_what_is_known_by_user_and_process(self):
        vspcd = self.start(local=True)
        vm = connected_vm(vspcd)
        me = rf"{pwd.getpwuid(os.getuid()).pw_name} \(pid {os.getpid()}\)"
        client = attached(vm, local=True)
        vspcd.wait_logged(console_of(vspcd, vm) + f"client {me} connected")
        caller = Caller(vspcd, local=True)
        told = caller.vm(vm.id)["clients"][0]
        self.assertRegex(told["peer"], f"^{me}$")
        self.assertEqual((told["uid"], told["pid"]), (os.getuid(), os.getpid()))
        self.assertEqual(caller.get("Clear", {"vm": vm.id}), {"disconnected": 1})
        vspcd.wait_logged(console_of(vspcd, vm) + f"{me} disconnects its 1 client$")
        client.wait_closed()
        vspcd.wait_logged(console_of(vspcd, vm) + f"client {me} disconnected")
        vm.close()
        wait_gone(vspcd, vm)
        self.assertEqual(caller.get("Forget", {"vm": vm.id}), {})
        vspcd.wait_logged(console_of(vspcd, vm) + f"forgotten by {me}")

    def test_it_is_another_process_that_is_named(self):
        vspcd = self.start(local=True)
        vm = connected_vm(vspcd)
        program = subprocess.Popen(["nc", "-U", vspcd.admin_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        program.stdin.write(message("Attach", {"vm": vm.id, "access": "exclusive"}, upgrade=True))
        program.stdin.close()
        me = rf"{pwd.getpwuid(os.getuid()).pw_name} \(pid {program.pid}\)"
        vspcd.wait_logged(f"client {me} connected, with exclusive access")
        _, parameters = Caller(vspcd).fail("Attach", {"vm": vm.id}, upgrade=True)
        self.assertEqual([(h["uid"], h["pid"]) for h in parameters["holders"]], [(os.getuid(), program.pid)])
        vspcd.wait_logged(f"refused: {me} has exclusive access since ")


if __name__ == "__main__":
    main()
