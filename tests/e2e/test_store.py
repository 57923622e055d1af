# SPDX-License-Identifier: LGPL-2.1-or-later

"""VMs and their ports survive vspcd, in a file or in a plug-in."""

import errno
import json
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
import types

from harness import (SANITIZED, VSPC_SIM, VSPCD, Concentrator, PortBlock, TestCase, clean_environment, listener, main,
                     tap, wait_for)
from peers import NAME, EsxiVm, RawClient, TelnetClient, connected_vm, sub, uuid_shown
from test_ports import hold
from varlink_peer import disconnect

PLUG_INS = os.environ.get("PLUG_INS", "build/tests/plug-in")
HOUR_USEC = 3600 * 1_000_000
STOP_SEC = 5  # what a backend has when vspcd ends

HEADER = b"vspc-mappings 1\n"
LINE = re.compile(
    rb"[0-9a-f]{8}\t(REMOVED=(?P<removed>[^\x00-\x1f\x7f]+)|"
    rb"ID=(?P<id>(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(~[0-9a-f-]{36})?"
    rb"(_[^\x00-\x1f\x7f]*)?)"
    rb"\tNAME=(?P<name>[^\x00-\x1f\x7f]+)\tURI=(?P<uri>[^\x00-\x1f\x7f]*)(\tPORT=(?P<port>[1-9]\d{0,4}))?"
    rb"\tSTORED=(?P<stored>[1-9]\d{0,19})(\tGONE=(?P<gone>[1-9]\d{0,19}))?)")


def checksum(fields):
    """FNV-1a, folded to 32 bits"""
    h = 0xcbf29ce484222325
    for byte in fields:
        h = (h ^ byte) * 0x100000001b3 % (1 << 64)
    return b"%08x" % ((h ^ h >> 32) & 0xffffffff)


def parse(line):
    """A line as vspcd must have written it, to the byte."""
    found = LINE.fullmatch(line)
    if not found or checksum(line[9:]) != line[:8]:
        raise AssertionError(f"a broken line: {line!r}")
    values = {key: value.decode() if value is not None else None for key, value in found.groupdict().items()}
    for key in ("port", "stored", "gone"):
        values[key] = int(values[key]) if values[key] else None
    return types.SimpleNamespace(**values)


def read_mappings(path):
    """What the file says, by ID; a last line that is being written just now is not counted."""
    with open(path, "rb") as f:
        first, *lines = f.read().split(b"\n")[:-1]
    if first + b"\n" != HEADER:
        raise AssertionError(f"a broken first line: {first!r}")
    found = {}
    for line in lines:
        if line and not line.startswith((b"#", b"-\t")):
            mapping = parse(line)
            found.pop(mapping.removed or mapping.id, None)
            if mapping.id:
                found[mapping.id] = mapping
    return found


def usec_now():
    return time.time_ns() // 1000


def list_vms(vspcd):
    """All VMs by their ID, as a query has them."""
    vms, text = {}, b""
    with socket.create_connection(vspcd.admin_address, timeout=30) as connection:
        connection.sendall(b'{"method":"org.vspc.Concentrator.List","more":true}\0')
        while piece := connection.recv(1 << 16):
            text += piece
            *replies, text = text.split(b"\0")
            for reply in map(json.loads, replies):
                if "vm" in reply["parameters"]:
                    vms[reply["parameters"]["vm"]["id"]] = reply["parameters"]["vm"]
                if not reply.get("continues"):
                    return vms
    raise AssertionError("the list has no end")


class StoreTest(TestCase):
    def setUp(self):
        super().setUp()
        self.state = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-state-"))
        self.file = os.path.join(self.state, "vm-ports")
        self.block = PortBlock()  # the same after each restart
        self.addCleanup(self.block.release)

    def begin(self, *, env=None, **config):
        config = {"Backend": "file", "VMPortRangeStart": self.block.first, "VMPortRangeEnd": self.block.last, **config}
        return self.start(env={"STATE_DIRECTORY": self.state, "VSPC_BACKEND_PATH": PLUG_INS, **(env or {})}, **config)

    def mappings(self, file=None):
        """What is stored, by ID."""
        try:
            return read_mappings(file or self.file)
        except FileNotFoundError:
            return {}

    def wait_stored(self, vm_id, predicate=lambda mapping: True, file=None):
        def stored():
            mapping = self.mappings(file).get(vm_id)
            return mapping if mapping and predicate(mapping) else None
        return wait_for(stored, f"{vm_id} to be stored")

    def store(self, n, *, name=None, port=None, gone=None, stored=None):
        """A line as a script would write it. Returns: the VM's hex digits."""
        digits = f"5013{n:028x}"  # connected_vm() begins others
        fields = [f"ID={uuid_shown(digits)}", f"NAME={name or f'vm{n}'}", "URI=s0", f"STORED={stored or usec_now()}"]
        fields += ([f"PORT={port}"] if port else []) + ([f"GONE={gone}"] if gone else [])
        with open(self.file, "ab") as f:
            f.write((HEADER if f.tell() == 0 else b"") + "\t".join(["-", *fields]).encode() + b"\n")
        return digits

    def read(self, name="vm-ports"):
        with open(os.path.join(self.state, name), "rb") as f:
            return f.read()

    def write(self, data, name="vm-ports"):
        with open(os.path.join(self.state, name), "wb") as f:
            f.write(data)

    def simulator(self, address, *arguments):
        """vspc-sim, whose VMs connect to the socket @address"""
        child = subprocess.Popen([VSPC_SIM, f"--connect=127.0.0.1:{address.getsockname()[1]}", *arguments],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def again(self, vspcd, vm, **kwargs):
        return connected_vm(vspcd, vm.name, digits=vm.digits, uri=vm.uri, **kwargs)


class Restarts(StoreTest):
    def test_a_vm_keeps_its_port(self):
        for end in (Concentrator.end, Concentrator.kill):
            vspcd = self.begin()
            vms = [connected_vm(vspcd) for _ in range(4)]
            disconnect(vms[2])
            for vm in vms:
                self.wait_stored(vm.id, lambda mapping: bool(mapping.gone) == (vm is vms[2]))  # pylint: disable=W0640
            end(vspcd)

            vspcd = self.begin()
            for vm in reversed(vms):
                self.assertEqual(self.again(vspcd, vm).port, vm.port)
            vspcd.end()

    def test_what_is_still_to_be_written_at_the_end_is_written(self):
        vspcd = self.begin(VMPortRangeEnd=self.block.first)
        vms = [connected_vm(vspcd) for _ in range(25)]
        vspcd.end()
        self.assertEqual(sorted(self.mappings()), sorted(vm.id for vm in vms))

    def test_a_restored_vm_listens_before_it_connects(self):
        vspcd = self.begin()
        vm = connected_vm(vspcd)
        self.wait_stored(vm.id)
        vspcd.end()

        vspcd = self.begin()
        client = TelnetClient(types.SimpleNamespace(port=vm.port, vspcd=vspcd))
        back = self.again(vspcd, vm)
        back.send(b"booting")
        client.wait_data(b"booting")
        self.assertEqual(list_vms(vspcd)[vm.id]["name"], vm.name)

    def test_a_new_vm_does_not_get_the_port_of_one_that_is_away(self):
        first = self.block.first
        self.store(1, port=first, gone=usec_now())
        self.store(2, port=first + 1)
        self.assertEqual(connected_vm(self.begin()).port, first + 2)

    def test_what_is_stored_says_what_is(self):
        vspcd = self.begin()
        before = usec_now()
        vm = connected_vm(vspcd, "web01", uri="telnet://rack 7")
        mapping = self.wait_stored(vm.id, lambda m: not m.gone)
        self.assertEqual((mapping.uuid, mapping.uri, mapping.name, mapping.port),
                         (vm.id, "telnet://rack 7", "web01", vm.port))
        self.assertTrue(before <= mapping.stored <= usec_now())
        disconnect(vm)
        mapping = self.wait_stored(vm.id, lambda m: m.gone)
        self.assertTrue(before <= mapping.gone <= usec_now())

    def test_a_new_name_is_stored(self):
        vspcd = self.begin()
        vm = connected_vm(vspcd, "web01")
        for name in ("../../../etc/cron.d/evil", "M\xfcller \u20ac", "NAME=x", "#", "two  blanks ", "web01"):
            vm.send_raw(sub(NAME, name.encode()))
            self.wait_stored(vm.id, lambda m: m.name == name)  # pylint: disable=cell-var-from-loop
            self.assertEqual([n for n in os.listdir(self.state) if n[0] != "."], ["vm-ports"])
        vspcd.end()
        self.assertEqual(list_vms(self.begin())[vm.id]["name"], "web01")

    def test_another_uri_is_stored(self):
        """That of a second serial port, without MultiConsole="""
        vspcd = self.begin()
        vm = connected_vm(vspcd)
        self.wait_stored(vm.id)
        second = EsxiVm(vspcd, vm.name, digits=vm.digits, uri="s1")
        second.negotiate()
        second.send_raw(second.do_proxy() + second.vc_uuid() + second.vm_name())  # and no settings, which are news too
        self.wait_stored(vm.id, lambda mapping: mapping.uri == "s1")

    def test_what_has_gone_for_good_is_removed(self):
        vspcd = self.begin(VMExpireSec="200ms")
        vm, stays = connected_vm(vspcd), connected_vm(vspcd)
        self.wait_stored(vm.id)
        disconnect(vm)
        wait_for(lambda: list(self.mappings()) == [stays.id], "its removal to be stored")

    def test_without_ports_vms_are_known_too(self):
        vspcd = self.begin(VMPorts="no")
        vm = connected_vm(vspcd, "web01")
        self.assertIsNone(self.wait_stored(vm.id).port)
        vspcd.end()
        self.assertEqual(list_vms(self.begin(VMPorts="no"))[vm.id]["name"], "web01")

    def test_file_is_the_default(self):
        vspcd = self.begin(Backend="")
        self.wait_stored(connected_vm(vspcd).id)

    def test_the_first_of_several_state_directories(self):
        vspcd = self.begin(env={"STATE_DIRECTORY": f"{self.state}:/nonexistent"})
        self.wait_stored(connected_vm(vspcd).id)

    def test_a_folder_of_one_s_own(self):
        with tempfile.TemporaryDirectory() as elsewhere:
            vspcd = self.begin(Backend=f"file:{elsewhere}")
            self.wait_stored(connected_vm(vspcd).id, file=os.path.join(elsewhere, "vm-ports"))
            vspcd.end()

    def test_a_reload_says_that_another_backend_needs_a_restart(self):
        vspcd = self.begin()
        vspcd.reload(Backend="memory")
        vspcd.wait_logged("Backend= cannot change at run time, it takes effect after a restart")
        self.wait_stored(connected_vm(vspcd).id)


class Expiry(StoreTest):
    def test_it_goes_on_over_restarts(self):
        gone = usec_now() - HOUR_USEC // 2
        vm_id = uuid_shown(self.store(1, gone=gone))
        for _ in range(3):
            vspcd = self.begin(VMExpireSec="1h")
            vm = list_vms(vspcd)[vm_id]
            self.assertEqual((vm["connected"], vm["since"]), (False, gone))
            self.assertLess(abs(vm["expires"] - gone - HOUR_USEC), 1_000_000)
            vspcd.end()

    def test_what_has_expired_meanwhile_is_forgotten(self):
        for n, ago in ((1, 2 * HOUR_USEC), (2, 40 * 365 * 24 * HOUR_USEC), (3, HOUR_USEC - 500_000)):
            self.store(n, gone=usec_now() - ago)
        stays = uuid_shown(self.store(4, gone=usec_now()))
        vspcd = self.begin(VMExpireSec="1h")
        for n in (1, 2, 3):
            vspcd.wait_logged(rf"VM vm{n} .* has been gone for VMExpireSec=, forgetting it")
        wait_for(lambda: list(self.mappings()) == [stays], "their removal to be stored")

    def test_who_was_connected_is_waited_for_from_the_restart_on(self):
        """From the first one after which it did not come back, however many follow."""
        vm_id = uuid_shown(self.store(1, port=self.block.first, stored=usec_now() - 1000 * HOUR_USEC))
        before = usec_now()
        vspcd = self.begin(VMExpireSec="1h")
        first = list_vms(vspcd)[vm_id]
        self.assertTrue(before - 1_000_000 <= first["since"] <= usec_now())
        self.assertEqual(self.wait_stored(vm_id, lambda m: m.gone).gone, first["since"])
        for end in (Concentrator.kill, Concentrator.end):
            end(vspcd)
            vspcd = self.begin(VMExpireSec="1h")
            self.assertEqual(list_vms(vspcd)[vm_id]["since"], first["since"])

    def test_a_clock_that_was_ahead_makes_it_expire_later_and_not_never(self):
        vm_id = uuid_shown(self.store(1, gone=usec_now() + 1000 * HOUR_USEC))
        vspcd = self.begin(VMExpireSec="1h")
        self.assertLess(abs(list_vms(vspcd)[vm_id]["expires"] - usec_now() - HOUR_USEC), 10_000_000)

    def test_who_has_a_client_does_not_expire_at_a_restart(self):
        vspcd = self.begin(VMExpireSec="2s")
        vm = connected_vm(vspcd)
        client = RawClient(vm)
        vm.close()
        self.wait_stored(vm.id, lambda mapping: mapping.gone is None)
        ends = time.monotonic() + 2.5
        wait_for(lambda: time.monotonic() > ends, "its time to be over")
        vspcd.end()
        client.close()
        self.assertIn(vm.id, list_vms(self.begin(VMExpireSec="1h")))

    def test_who_waits_for_a_vm_that_is_gone_keeps_it_until_he_leaves(self):
        """Also if vspcd is killed meanwhile: that is stored when it happens."""
        vspcd = self.begin(VMExpireSec="1h")
        vm = connected_vm(vspcd)
        vm.close()
        gone = self.wait_stored(vm.id, lambda mapping: mapping.gone).gone
        client = RawClient(vm)
        self.wait_stored(vm.id, lambda mapping: mapping.gone is None)
        client.close()
        self.assertGreater(self.wait_stored(vm.id, lambda mapping: mapping.gone).gone, gone)

    def test_one_that_comes_back_in_time_is_not_forgotten(self):
        digits = self.store(1, gone=usec_now() - HOUR_USEC, port=self.block.last)
        self.store(2, gone=usec_now() - HOUR_USEC)
        vspcd = self.begin(VMExpireSec="2h")
        vm = connected_vm(vspcd, "vm1", digits=digits)
        self.assertEqual(vm.port, self.block.last)
        vspcd.reload(VMExpireSec="1h")
        vspcd.wait_logged("VM vm2 .* has been gone for VMExpireSec=")
        self.assertFalse(vspcd.has_logged("VM vm1 .* has been gone"))


class Ports(StoreTest):
    def test_of_two_that_claim_a_port_the_newer_one_has_it(self):
        now, port = usec_now(), self.block.first
        older = uuid_shown(self.store(1, port=port, stored=now - 1000))
        newer = uuid_shown(self.store(2, port=port, stored=now, gone=now))
        vspcd = self.begin()
        vspcd.wait_logged(rf"VM vm1 \({older}\) gets another port: port {port} now belongs to VM vm2 \({newer}\)")
        vms = list_vms(vspcd)
        self.assertEqual(vms[newer]["port"], port)
        self.assertEqual(vms[older]["port"], port + 1)
        self.wait_stored(older, lambda m: m.port == port + 1)

        vspcd.end()
        vspcd = self.begin()
        self.assertEqual(list_vms(vspcd)[older]["port"], port + 1)
        self.assertFalse(vspcd.has_logged("gets another port"))

    def test_who_has_to_have_another_port_takes_nobody_else_s(self):
        """Though it comes first, having been gone for longest."""
        now, first = usec_now(), self.block.first
        loser = uuid_shown(self.store(1, port=first + 1, stored=now - 1000, gone=now - 9_000_000))
        outside = uuid_shown(self.store(2, port=1, gone=now - 8_000_000))
        none = uuid_shown(self.store(3, gone=now - 7_000_000))
        others = {uuid_shown(self.store(4 + i, port=first + i, gone=now)): first + i for i in range(4)}
        ports = {vm_id: vm["port"] for vm_id, vm in list_vms(self.begin()).items()}
        self.assertEqual(ports, {**others, loser: first + 4, outside: first + 5, none: first + 6})

    def test_a_port_that_another_program_holds_by_now(self):
        now, first = usec_now(), self.block.first
        held = uuid_shown(self.store(1, port=first, gone=now - 9_000_000))
        other = uuid_shown(self.store(2, port=first + 1, gone=now))
        with hold(first):
            vspcd = self.begin()
        vspcd.wait_logged(f"Port {first} is in use by another program, trying {first + 2}")
        vms = list_vms(vspcd)
        self.assertEqual((vms[held]["port"], vms[other]["port"]), (first + 2, first + 1))
        self.wait_stored(held, lambda m: m.port == first + 2)

    def test_a_range_that_has_changed(self):
        vspcd = self.begin()
        vms = [connected_vm(vspcd) for _ in range(3)]
        vspcd.end()
        block = PortBlock(4)
        self.addCleanup(block.release)
        vspcd = self.begin(VMPortRangeStart=block.first, VMPortRangeEnd=block.last)
        ports = sorted(vm["port"] for vm in list_vms(vspcd).values())
        self.assertEqual(ports, [block.first, block.first + 1, block.first + 2])
        for vm in vms:
            self.wait_stored(vm.id, lambda m: m.port in ports)

    def test_a_range_that_has_become_too_small(self):
        now, first = usec_now(), self.block.first
        ids = [uuid_shown(self.store(n, port=first + n, gone=now)) for n in range(1, 4)]
        vspcd = self.begin(VMPortRangeEnd=first + 1)
        vspcd.wait_logged("has no port yet: the range from VMPortRangeStart= to VMPortRangeEnd= is exhausted")
        vms = list_vms(vspcd)
        self.assertEqual([vms[i].get("port") for i in ids], [first + 1, first, None])


    def test_a_name_that_is_too_long_is_cut_and_the_port_kept(self):
        vspcd = self.begin()
        vm = connected_vm(vspcd, b"\xff" * 1000)
        self.assertEqual(self.wait_stored(vm.id).name, "\ufffd" * 512)
        vspcd.end()
        self.assertEqual(list_vms(self.begin())[vm.id]["port"], vm.port)


class BadStarts(StoreTest):
    """What is wrong for one start is not what is stored."""

    def keeps_its_port(self, **config):
        port = self.block.first + 7
        vm_id = uuid_shown(self.store(1, port=port))
        vspcd = self.begin(**config)
        vm = connected_vm(vspcd, "vm1", digits=vm_id.replace("-", ""))
        self.assertIsNone(vm.port)
        self.wait_stored(vm_id, lambda mapping: mapping.gone is None)
        vm.close()
        self.assertEqual(self.wait_stored(vm_id, lambda mapping: mapping.gone is not None).port, port)
        vspcd.end()
        self.assertEqual(list_vms(self.begin())[vm_id]["port"], port)

    def test_an_address_that_is_not_there(self):
        self.keeps_its_port(VMPortAddress="192.0.2.1")

    def test_without_ports(self):
        self.keeps_its_port(VMPorts="no")

    def test_descriptors_that_are_too_few_for_all(self):
        block = PortBlock(64)
        self.addCleanup(block.release)
        for n in range(60):
            self.store(n, port=block.first + n if n < 30 else None)
        vspcd = self.begin(nofile=100, VMPortRangeStart=block.first, VMPortRangeEnd=block.last)
        vspcd.wait_logged("60 VMs restored")
        vspcd.wait_logged(r"descriptors are running out: \d+ VMs do not listen at their ports")
        self.assertEqual(len(list_vms(vspcd)), 60)
        vspcd.end()
        self.assertEqual(len(self.mappings()), 60)

    def test_another_vspcd_in_the_same_folder_does_not_start(self):
        first = self.begin()
        vm = connected_vm(first)
        port = self.wait_stored(vm.id).port
        second = Concentrator(env={"STATE_DIRECTORY": self.state}, Backend="file", healthy=False)
        with second:
            self.assertNotEqual(second.wait_exit(), 0)
            second.wait_logged(f"The folder {self.state} is in use by another vspcd: give this one another")
        self.assertEqual(self.mappings()[vm.id].port, port)


class HostileVMs(StoreTest):
    URIS = [b"", b".", b"..", b"/", b"a/b", b"../../../../tmp/vspc-evil", b"/etc/passwd", b"%2F", b"~", b"-", b" ",
            b"=", b"a\nPORT=1", b"\0\0", b"\xff", b"\xff" * 1000, b"x" * 1000, b"x" * 999 + b"y", b"\x1b[2J",
            "\u20ac".encode()]

    def connect(self, vspcd, digits, uri):
        vm = EsxiVm(vspcd, b"\xff\xfe../" * 80, digits=digits)
        vm.do_proxy = lambda: sub(70, b"S" + uri)
        vm.vm_name = lambda: sub(NAME, vm.name)
        return vm.connect()

    def test_serial_ports_of_any_uri_keep_their_ports(self):
        digits = "5012" + 28 * "0"
        vspcd = self.begin(MultiConsole="yes")
        ports = {uri: self.connect(vspcd, digits, uri).port for uri in self.URIS}
        self.assertEqual(len(set(ports.values())), len(self.URIS))
        vspcd.end()

        self.assertEqual(len(self.mappings()), len(self.URIS))
        self.assertEqual(os.listdir(self.state), ["vm-ports"])
        self.assertFalse(os.path.exists("/tmp/vspc-evil"))

        vspcd = self.begin(MultiConsole="yes")
        self.assertFalse(vspcd.has_logged("is ignored"))
        for uri, port in ports.items():
            self.assertEqual(self.connect(vspcd, digits, uri).port, port, uri)
        self.assertEqual(len(list_vms(vspcd)), len(self.URIS))

    def test_a_console_s_name_has_its_uri_once(self):
        vspcd = self.begin(MultiConsole="yes")
        vm = connected_vm(vspcd, "web01", uri="com1")
        for _ in range(2):
            vspcd.end()
            vspcd = self.begin(MultiConsole="yes")
            self.assertEqual(list_vms(vspcd)[f"{vm.id}_com1"]["name"], "web01_com1")


class TheFile(StoreTest):
    def test_a_last_line_that_is_cut_off_is_normal(self):
        vspcd = self.begin()
        vms = [connected_vm(vspcd) for _ in range(3)]
        for vm in vms:
            self.wait_stored(vm.id)
        vspcd.kill()
        lines = self.read().split(b"\n")
        latest = [[line for line in lines if b"\tNAME=" in line and vm.id.encode() in line][-1] for vm in vms]
        whole = HEADER + b"\n".join(latest) + b"\n"  # one of each VM: vspcd may have stored a VM twice
        for cut in (1, 20, len(latest[-1])):  # the last leaves one byte of the line
            self.write(whole[:-cut])
            vspcd = self.begin()
            self.assertEqual(set(list_vms(vspcd)), {vm.id for vm in vms[:-1]})
            vspcd.wait_logged("vm-ports: ignoring the incomplete last line, probably due to a power cut")
            self.assertFalse(vspcd.has_logged("is ignored|damaged"))
            vspcd.end()

    def test_a_damaged_line_costs_its_vm_and_is_kept_aside(self):
        vspcd = self.begin()
        vms = [connected_vm(vspcd) for _ in range(3)]
        vspcd.end()
        damaged = self.read().replace(vms[1].name.encode(), vms[1].name.encode()[:-1] + b"?")
        self.write(damaged)
        number = damaged.split(b"\n").index(next(line for line in damaged.split(b"\n") if b"?" in line)) + 1

        vspcd = self.begin()
        self.assertEqual(set(list_vms(vspcd)), {vms[0].id, vms[2].id})
        vspcd.wait_logged(f"vm-ports:{number}: this line is ignored: its checksum is wrong")
        self.assertEqual(self.read(), damaged)  # until there is something to be written
        self.again(vspcd, vms[1])
        wait_for(lambda: self.read() != damaged, "the file to be written anew")
        vspcd.wait_logged("vm-ports is rewritten, the previous file is kept as vm-ports.damaged")
        self.assertEqual(self.read("vm-ports.damaged"), damaged)
        self.wait_stored(vms[1].id)
        self.assertEqual(len(self.mappings()), 3)
        vspcd.end()
        self.begin()
        self.assertEqual(sorted(os.listdir(self.state)), ["vm-ports", "vm-ports.damaged"])

    def test_what_is_damaged_writes_nothing_of_its_own_to_the_log(self):
        self.write(HEADER + b"\x1b]0;title\x07\x1b[2J\n\rvspcd: VM web01: forged\n\xff\xfe\tID=\u202e\n")
        vspcd = self.begin()
        vspcd.wait_logged("vm-ports:4: this line is ignored")
        self.assertEqual(vspcd.count_logged("is ignored"), 3)
        self.assertFalse(vspcd.has_logged("forged|title"))

    def test_so_many_damaged_lines_are_named_and_no_more(self):
        self.write(HEADER + 1234 * b"damage\n")
        vspcd = self.begin()
        vspcd.wait_logged("vm-ports: 1134 more lines are ignored")
        self.assertEqual(vspcd.count_logged("this line is ignored"), 100)

    def test_a_file_of_a_later_version_keeps_it_from_starting(self):
        self.write(b"vspc-mappings 2\n")
        vspcd = self.begin(healthy=False)
        self.assertNotEqual(vspcd.wait_exit(), 0)
        vspcd.wait_logged('vm-ports is of another version of vspcd: its first line is not "vspc-mappings 1"')
        self.assertEqual(self.read(), b"vspc-mappings 2\n")

    def test_of_two_lines_that_claim_a_port_the_later_one_has_it_whatever_the_clock_showed(self):
        now, port = usec_now(), self.block.first
        earlier = uuid_shown(self.store(1, port=port, stored=now + HOUR_USEC))
        later = uuid_shown(self.store(2, port=port, stored=now))
        vspcd = self.begin()
        vspcd.wait_logged(rf"VM vm1 \({earlier}\) gets another port: port {port} now belongs to VM vm2 \({later}\)")
        vms = list_vms(vspcd)
        self.assertEqual((vms[earlier]["port"], vms[later]["port"]), (port + 1, port))

    def test_a_power_cut_costs_no_more_than_what_is_not_synced(self):
        """Here it happens after each sync: what fsync() has promised is all that is left of the file."""
        faults = self.faults()
        os.mkdir(faults.path + ".synced")
        vspcd = self.begin(env=faults.env)
        left = os.path.join(faults.path + ".synced", "vm-ports")
        vms = []
        for _ in range(3):
            vms.append(connected_vm(vspcd))
            for vm in vms:
                self.wait_stored(vm.id, file=left)
        disconnect(vms[0])
        self.wait_stored(vms[0].id, lambda mapping: mapping.gone, file=left)
        vspcd.kill()
        shutil.copyfile(left, self.file)
        ports = {vm_id: vm["port"] for vm_id, vm in list_vms(self.begin()).items()}
        self.assertEqual(ports, {vm.id: vm.port for vm in vms})

    def test_on_a_slow_disk_all_are_stored_within_the_time_of_grace(self):
        """200 fsyncs a second, which is what a hard disk has; one for each would take much longer."""
        count = 2500
        faults = self.faults()
        faults.inject(("fsync", -5000, self.state))
        passed = [listener(), listener()]
        for s in passed:
            self.addCleanup(s.close)
        vspcd = self.begin(env=faults.env, passed=passed, VMPorts="no")
        simulator = self.simulator(passed[0], f"--count={count}", "--no-reconnect")
        wait_for(lambda: len(list_vms(vspcd)) == count, "all to be connected", timeout=120)
        self.assertEqual(vspcd.end(), 0)
        self.assertFalse(vspcd.logged("has not stored"))
        self.assertEqual(len(self.mappings()), count)
        simulator.kill()

    def test_what_cannot_be_stored_within_the_time_of_grace_is_counted(self):
        faults = self.faults()
        vspcd = self.begin(env=faults.env)
        first = connected_vm(vspcd)
        self.wait_stored(first.id)
        faults.inject(("fsync", -30_000_000, self.state))
        for _ in range(3):
            connected_vm(vspcd)
        first.close()
        vspcd.wait_status("3 VMs, 0 clients")
        vspcd.end()
        # Of each of the four VMs one change may be on its way to the disk, and another one wait.
        vspcd.wait_logged(rf"Backend=file has not stored [1-8] changes within {STOP_SEC} s, ending without it")


class EarlierVersions(StoreTest):
    """Their files, one a VM, are taken over once."""

    def setUp(self):
        super().setUp()
        self.folder = os.path.join(self.state, "mappings")
        os.mkdir(self.folder)

    def store_file(self, n, port):
        vm_id = uuid_shown(f"5012{n:028x}")
        self.write(f"VERSION=1\nID={vm_id}\nUUID={vm_id}\nURI=s0\nNAME=vm{n}\nPORT={port}\nSTORED={usec_now()}\n".encode(),
                   f"mappings/{vm_id}.vm")
        return vm_id

    def test_their_vms_keep_their_ports(self):
        ids = {self.store_file(n, self.block.first + 10 - n): self.block.first + 10 - n for n in range(5)}
        self.write(b"half of a f", "mappings/half.vm")
        self.write(b"", "mappings/\x1b[2J")
        for start in range(2):
            vspcd = self.begin()
            self.assertEqual({vm_id: vm["port"] for vm_id, vm in list_vms(vspcd).items()}, ids)
            self.assertEqual(vspcd.has_logged("mappings/half.vm is ignored: ") is not None, start == 0)
            self.assertEqual(vspcd.logged("vm-ports replaces the folder mappings, which is now called "
                                          "mappings.old") is not None, start == 0)
            vspcd.end()
        self.assertEqual(sorted(os.listdir(self.state)), ["mappings.old", "vm-ports"])
        self.assertEqual(len(os.listdir(os.path.join(self.state, "mappings.old"))), 7)
        self.assertEqual({vm_id: m.port for vm_id, m in self.mappings().items()}, ids)

    def test_a_full_disk_costs_nobody_the_port(self):
        """It is all there, in the old folder, until it can be written elsewhere."""
        vm_id = self.store_file(1, self.block.last)
        faults = self.faults()
        faults.inject(("write", errno.ENOSPC, self.state))
        vspcd = self.begin(env=faults.env)
        vspcd.wait_logged(f"Cannot take over the folder {self.folder} completely, trying again at the next start: "
                          "No space left on device")
        vm = connected_vm(vspcd, "vm1", digits=vm_id.replace("-", ""))
        self.assertEqual(vm.port, self.block.last)
        vspcd.wait_status("1 VM, 0 clients, ports cannot be stored: No space left on device")
        self.assertEqual(os.listdir(self.state), ["mappings"])
        faults.clear()
        self.assertEqual(self.wait_stored(vm_id).port, self.block.last)
        vspcd.end()
        self.assertEqual(list_vms(self.begin())[vm_id]["port"], self.block.last)
        self.assertEqual(sorted(os.listdir(self.state)), ["mappings.old", "vm-ports"])


class Trouble(StoreTest):
    """The disk is full, or cannot be written: the service goes on, says so, and recovers by itself."""

    def go_through(self, vspcd, error, break_it, mend_it, *, file=None, name=None):
        before = connected_vm(vspcd)
        self.wait_stored(before.id, file=file)
        break_it()
        vms = [connected_vm(vspcd, name) for _ in range(5)]
        vspcd.wait_status(f"6 VMs, 0 clients, ports cannot be stored: {error}")
        vspcd.wait_logged("Backend=file cannot store the VMs and their ports, continuing from memory and trying "
                          f"again: {error}")
        client = RawClient(vms[4])
        vms[4].send(b"going on")
        client.wait_data(b"going on")
        client.close()
        before.close()
        vspcd.wait_status(f"5 VMs, 0 clients, ports cannot be stored: {error}")
        self.assertEqual(vspcd.count_logged("cannot store"), 1)

        mend_it()
        vspcd.wait_logged("Backend=file stores the VMs and their ports again")
        vspcd.wait_status("5 VMs, 0 clients")
        for vm in vms:
            self.assertEqual(self.wait_stored(vm.id, file=file).port, vm.port)
        self.assertTrue(self.wait_stored(before.id, lambda m: m.gone, file).gone)
        self.assertEqual(vspcd.count_logged("cannot store"), 1)

    def begin_on_a_tmpfs(self):
        """64 KiB, in a mount namespace of vspcd's own. Returns: it, and the folder as seen from here."""
        if os.geteuid() != 0 or not shutil.which("unshare") or subprocess.run(
                ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", self.state],
                capture_output=True, check=False).returncode != 0:
            self.skipTest("a mount namespace with a tmpfs cannot be had: that wants root")
        vspcd = self.begin(wrapper=("unshare", "--mount", "sh", "-c",
                                    f"mount -t tmpfs -o size=64k tmpfs {self.state} && exec \"$0\" \"$@\""))
        return vspcd, f"/proc/{vspcd.pid}/root{self.state}"

    def test_the_disk_is_full(self):
        vspcd, folder = self.begin_on_a_tmpfs()
        ballast = os.path.join(folder, "ballast")

        def fill():
            with open(ballast, "wb", buffering=0) as f:
                try:
                    while f.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
        self.go_through(vspcd, "No space left on device", fill, lambda: os.unlink(ballast), file=f"{folder}/vm-ports",
                        name=b"\xff" * 1000)  # lines that do not fit into what the file has of its last page
        self.assertEqual([name for name in os.listdir(folder) if name.startswith(".")], [])

    def test_the_disk_has_errors(self):
        """Whatever of it: neither a line nor the file's name counts as stored before it outlives a power cut."""
        new = f"{self.state}/.vm-ports.new$"
        for error, rules in (("Input/output error", [("write", self.state)]),
                             ("Input/output error", [("fsync", self.state)]),
                             ("Input/output error", [("write", self.file), ("fsync", new)]),
                             ("Input/output error", [("write", self.file), ("renameat", f"{self.state}$")]),
                             ("Input/output error", [("write", self.file), ("fsync", f"{self.state}$")]),
                             ("Read-only file system", [("write", self.state), ("renameat", f"{self.state}$")])):
            with self.subTest(rules=rules):
                faults = self.faults()
                vspcd = self.begin(env=faults.env)
                code = errno.EIO if error.startswith("Input") else errno.EROFS
                rules = [(call, code, path) for call, path in rules]
                self.go_through(vspcd, error, lambda: faults.inject(*rules), faults.clear)  # pylint: disable=W0640
                self.assertEqual(os.listdir(self.state), ["vm-ports"])
                vspcd.end()
                os.unlink(self.file)

    def test_a_file_that_cannot_be_written_any_more_is_replaced(self):
        for call in "write", "fsync":
            faults = self.faults()
            vspcd = self.begin(env=faults.env)
            vms = [connected_vm(vspcd)]
            self.wait_stored(vms[0].id)
            before = os.stat(self.file).st_ino
            faults.inject((call, errno.EIO, f"{self.file}$"))
            vms.append(connected_vm(vspcd))
            wait_for(lambda: os.stat(self.file).st_ino != before, "the file to be another")  # pylint: disable=W0640
            faults.clear()
            vspcd.wait_status("2 VMs, 0 clients")
            self.assertEqual(set(self.mappings()), {vm.id for vm in vms})
            vspcd.end()
            os.unlink(self.file)

    def test_what_cannot_be_read_keeps_it_from_starting(self):
        """What is read in part would cost the rest their ports."""
        self.store(1)
        faults = self.faults()
        faults.inject(("read", errno.EIO, self.file))
        vspcd = self.begin(env=faults.env, healthy=False)
        self.assertNotEqual(vspcd.wait_exit(), 0)
        vspcd.wait_logged(f"Cannot read or make the file {self.file}: Input/output error")

    def test_a_file_that_would_not_outlive_a_power_cut_keeps_it_from_starting(self):
        """The file is new: that it is there has to be on the disk too."""
        faults = self.faults()
        faults.inject(("fsync", errno.EIO, f"{self.state}$"))
        vspcd = self.begin(env=faults.env, healthy=False)
        self.assertNotEqual(vspcd.wait_exit(), 0)
        vspcd.wait_logged(f"Cannot read or make the file {self.file}: Input/output error")
        faults.clear()
        self.wait_stored(connected_vm(self.begin(env=faults.env)).id)

    def test_the_folder_may_not_be_written(self):
        """What is open is written all the same; after a restart it is not."""
        wrapper = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()
        if wrapper and not shutil.which("setpriv"):
            self.skipTest("there is no setpriv, and root may write everywhere")
        self.begin().end()
        os.chmod(self.state, 0o500)
        vspcd = self.begin(wrapper=wrapper)
        vm = connected_vm(vspcd)
        vspcd.wait_status("1 VM, 0 clients, ports cannot be stored: Permission denied")
        os.chmod(self.state, 0o700)
        vspcd.wait_status("1 VM, 0 clients")
        self.wait_stored(vm.id)

    def test_a_file_that_somebody_removes_is_made_again(self):
        vspcd = self.begin()
        vms = [connected_vm(vspcd)]
        self.wait_stored(vms[0].id)
        os.unlink(self.file)
        vms.append(connected_vm(vspcd))
        for vm in vms:
            self.wait_stored(vm.id)

    def test_nothing_is_stored_by_the_end(self):
        wrapper = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()
        if wrapper and not shutil.which("setpriv"):
            self.skipTest("there is no setpriv, and root may write everywhere")
        self.begin().end()
        os.chmod(self.state, 0o500)
        self.addCleanup(os.chmod, self.state, 0o700)
        vspcd = self.begin(wrapper=wrapper)
        for _ in range(3):
            connected_vm(vspcd)
        vspcd.wait_status("3 VMs, 0 clients, ports cannot be stored: Permission denied")
        vspcd.end()
        vspcd.wait_logged("Changes of 3 VMs could not be stored by Backend=file")
        wait_for(lambda: not vspcd.threads[1].is_alive(), "the end of the log")
        self.assertFalse(vspcd.logged("has not stored"))

    def test_a_folder_that_cannot_be_had_keeps_it_from_starting(self):
        for state, error in (("/nonexistent", "No such file or directory"), ("/dev/null", "Not a directory")):
            vspcd = self.begin(env={"STATE_DIRECTORY": state}, healthy=False)
            self.assertNotEqual(vspcd.wait_exit(), 0)
            vspcd.wait_logged(f"the folder {state} .*STATE_DIRECTORY.*: {error}")


class Kill(StoreTest):
    """Killed at random points while 200 VMs come and go."""

    VMS = 200
    ROUNDS = 100
    MOST_SEC = 50

    def expected(self):
        """The ports that have to be given out again: of several that claim one the later line has it."""
        later = {mapping.port: mapping.id for mapping in self.mappings().values() if mapping.port}
        return {vm_id: port for port, vm_id in later.items()}

    def n_changes(self):
        return self.read().count(b"\n")

    def test_every_mapping_that_was_written_is_there_afterwards(self):
        block = PortBlock(2 * self.VMS)
        self.addCleanup(block.release)
        passed = [listener(), listener()]
        for s in passed:
            self.addCleanup(s.close)
        self.simulator(passed[0], f"--count={self.VMS}", "--drop=300ms", "--reconnect=60ms")

        rounds, n_expected, began = 0, 0, time.monotonic()
        while rounds < self.ROUNDS and (time.monotonic() - began < self.MOST_SEC or not SANITIZED):
            expected = self.expected()
            vspcd = self.begin(passed=passed, VMPortRangeStart=block.first, VMPortRangeEnd=block.last)
            vms = list_vms(vspcd)
            for vm_id, port in expected.items():
                self.assertIn(vm_id, vms, rounds)
                self.assertEqual(vms[vm_id].get("port"), port, rounds)
            self.assertFalse(vspcd.logged("is ignored"))

            vspcd.reload(VMExpireSec="30ms")
            before, n = self.n_changes(), random.randrange(1, self.VMS)
            wait_for(lambda: abs(self.n_changes() - before) >= n, "changes")  # pylint: disable=cell-var-from-loop
            vspcd.kill()
            rounds, n_expected = rounds + 1, n_expected + len(expected)

        self.assertGreater(n_expected, 10 * rounds)
        tap.comment(f"{rounds} rounds, {n_expected} mappings")


class PlugIns(StoreTest):
    def fail_to_start(self, backend, **env):
        vspcd = self.begin(Backend=backend, env=env, healthy=False)
        self.assertNotEqual(vspcd.wait_exit(), 0)
        wait_for(lambda: not vspcd.threads[1].is_alive(), "the end of the log")
        self.assertEqual(len(vspcd.log), 1, vspcd.log)
        return vspcd.log[0]

    def test_ports_are_kept_by_the_example(self):
        path = os.path.join(self.state, "mappings.txt")
        vspcd = self.begin(Backend=f"example:{path}")
        vms = [connected_vm(vspcd) for _ in range(5)]
        disconnect(vms[0])
        vspcd.end()
        with open(path, encoding="utf-8") as f:
            self.assertEqual(len(f.readlines()), 5)

        vspcd = self.begin(Backend=f"example:{path}")
        for vm in reversed(vms):
            self.assertEqual(self.again(vspcd, vm).port, vm.port)

    def test_the_example_recovers_when_its_file_can_be_written_again(self):
        folder = os.path.join(self.state, "example")
        os.mkdir(folder)
        vspcd = self.begin(Backend=f"example:{folder}/mappings.txt")
        os.rename(folder, folder + "-away")
        vm = connected_vm(vspcd)
        vspcd.wait_status("1 VM, 0 clients, ports cannot be stored: No such file or directory")
        os.rename(folder + "-away", folder)
        vspcd.wait_status("1 VM, 0 clients")
        self.assertIn(vm.id.encode(), self.read("example/mappings.txt"))

    def test_one_that_is_missing(self):
        self.assertRegex(self.fail_to_start("mysql"), f"Backend=mysql is neither memory nor file, and there is no "
                         f"plug-in {PLUG_INS}/backend-mysql.so: No such file or directory")

    def test_an_argument_is_not_for_the_log(self):
        self.assertNotIn("PASSWORD", self.fail_to_start("mysql:PASSWORD"))

    def test_what_is_no_shared_object(self):
        with open(os.path.join(self.state, "backend-text.so"), "w", encoding="utf-8") as f:
            f.write("hello")
        line = self.fail_to_start("text", VSPC_BACKEND_PATH=self.state)
        self.assertIn(f"Cannot load the plug-in of Backend=text: {self.state}/backend-text.so: ", line)

    def test_those_that_are_not_as_they_should_be(self):
        for name, problem in (("wrong-abi", r"is for version 2 of the interface \(\d+ bytes\), vspcd has version 1 "),
                              ("short", r"is for version 1 of the interface \(\d+ bytes\), vspcd has version 1 "),
                              ("incomplete", "lacks one of name, open, close, load, put and remove"),
                              ("nameless", "does not export vspc_backend")):
            self.assertRegex(self.fail_to_start(name), rf"{PLUG_INS}/backend-{name}\.so {problem}")

    def test_one_that_cannot_load(self):
        self.assertIn("Cannot load what Backend=odd has stored: Input/output error", self.fail_to_start("failing"))

    def test_one_that_cannot_open(self):
        self.assertIn("Cannot open Backend=example: Invalid argument", self.fail_to_start("example:relative"))

    def test_one_that_is_slow_delays_nothing(self):
        vspcd = self.begin(Backend="slow:1000")
        vms = [connected_vm(vspcd) for _ in range(20)]
        vspcd.wait_logged("backend-odd: put vm")
        client = TelnetClient(vms[7])
        for i in range(100):
            vms[7].send(b"x" * 100_000)
            client.wait_size((i + 1) * 100_000)
        client.send(b"typed")
        vms[7].wait_data(b"typed")
        self.assertFalse(vspcd.has_logged("backend-odd: has put"))

        began = time.monotonic()
        self.assertEqual(vspcd.end(), 0)
        self.assertLess(time.monotonic() - began, STOP_SEC + 10)
        vspcd.wait_logged(rf"Backend=odd has not stored \d+ changes within {STOP_SEC} s")

    def test_check_config(self):
        bad = "Backend= must be memory, file or the name of a plug-in, not \"{}\""
        for backend, problem in (("file:/srv", None), ("memory", None), ("example:/srv/mappings.txt", None),
                                 ("../evil", bad.format("../evil")), (":x", bad.format("…")), ("a b", bad.format("a b")),
                                 ("mysql:PASSWORD", f"there is no plug-in {PLUG_INS}/backend-mysql.so"),
                                 ("wrong-abi", "is for version 2 of the interface")):
            path = os.path.join(self.state, "vspc.conf")
            with open(path, "w", encoding="utf-8") as f:
                f.write(f"[Concentrator]\nBackend={backend}\n")
            result = subprocess.run([VSPCD, f"--config={path}", "--check-config"], capture_output=True, text=True,
                                    timeout=30, check=False, env=clean_environment(VSPC_BACKEND_PATH=PLUG_INS))
            self.assertEqual((result.returncode, result.stdout), (1, "") if problem else (0, "The configuration is fine.\n"),
                             result.stderr)
            self.assertIn(problem or "", result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1 if problem else 0)
            self.assertNotIn("PASSWORD", result.stderr)


if __name__ == "__main__":
    main()
