# SPDX-License-Identifier: LGPL-2.1-or-later

"""What outlives vspcd: which VM has which port, in files, or in what a plug-in keeps."""

import errno
import json
import os
import random
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import time
import types

from harness import (SANITIZED, VSPC_SIM, VSPCD, Concentrator, PortBlock, TestCase, clean_environment, listener, main,
                     tap, wait_for)
from peers import NAME, EsxiVm, RawClient, TelnetClient, connected_vm, sub, uuid_shown
from test_ports import disconnect, hold

PLUG_INS = os.environ.get("PLUG_INS", "build/tests/plug-in")
HOUR_USEC = 3600 * 1_000_000
STOP_SEC = 5  # what a backend has when vspcd ends

NUMBER = r"[1-9]\d{0,19}"
MAPPING = re.compile(
    rb"VERSION=1\n"
    rb"ID=(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(_[^\x00-\x1f\x7f]*)?)\n"
    rb"UUID=(?P<uuid>[0-9a-f-]{36})\n"
    rb"URI=(?P<uri>[^\x00-\x1f\x7f]*)\n"
    rb"NAME=(?P<name>[^\x00-\x1f\x7f]+)\n"
    rb"(PORT=(?P<port>[1-9]\d{0,4})\n)?"
    rb"STORED=(?P<stored>[1-9]\d{0,19})\n"
    rb"(GONE=(?P<gone>[1-9]\d{0,19})\n)?")


def parse(data):
    """A mapping as vspcd must have written it, to the byte."""
    found = MAPPING.fullmatch(data)
    if not found:
        raise AssertionError(f"a broken file: {data!r}")
    values = {key: value.decode() if value is not None else None for key, value in found.groupdict().items()}
    for key in ("port", "stored", "gone"):
        values[key] = int(values[key]) if values[key] else None
    return types.SimpleNamespace(**values)


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
        self.folder = os.path.join(self.state, "mappings")
        self.block = PortBlock()  # the same after each restart
        self.addCleanup(self.block.release)

    def begin(self, *, env=None, **config):
        config = {"Backend": "file", "VMPortRangeStart": self.block.first, "VMPortRangeEnd": self.block.last, **config}
        return self.start(env={"STATE_DIRECTORY": self.state, "VSPC_BACKEND_PATH": PLUG_INS, **(env or {})}, **config)

    def path(self, name):
        return os.path.join(self.folder, name)

    def mappings(self, folder=None):
        """What is stored, by ID."""
        folder, found = folder or self.folder, {}
        for name in os.listdir(folder):
            if not name.startswith("."):
                try:
                    with open(os.path.join(folder, name), "rb") as f:
                        mapping = parse(f.read())
                except FileNotFoundError:
                    continue
                found[mapping.id] = mapping
        return found

    def wait_stored(self, vm_id, predicate=lambda mapping: True, folder=None):
        def stored():
            mapping = self.mappings(folder).get(vm_id)
            return mapping if mapping and predicate(mapping) else None
        return wait_for(stored, f"{vm_id} to be stored")

    def store(self, n, *, name=None, port=None, gone=None, stored=None):
        """A file as by an earlier vspcd. Returns: the VM's hex digits."""
        os.makedirs(self.folder, exist_ok=True)
        digits = f"5012{n:028x}"
        vm_id = uuid_shown(digits)
        with open(self.path(f"{vm_id}.vm"), "w", encoding="utf-8") as f:
            f.write(f"VERSION=1\nID={vm_id}\nUUID={vm_id}\nURI=s0\nNAME={name or f'vm{n}'}\n"
                    + (f"PORT={port}\n" if port else "") + f"STORED={stored or usec_now()}\n"
                    + (f"GONE={gone}\n" if gone else ""))
        return digits

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
        for name in ("../../../etc/cron.d/evil", "M\xfcller \u20ac", "NAME=x", "#", "web01"):
            vm.send_raw(sub(NAME, name.encode()))
            self.wait_stored(vm.id, lambda m: m.name == name)  # pylint: disable=cell-var-from-loop
            self.assertEqual([n for n in os.listdir(self.folder) if n[0] != "."], [f"{vm.id}.vm"])
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
        wait_for(lambda: list(self.mappings()) == [stays.id], "its file to go")

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
            self.wait_stored(connected_vm(vspcd).id, folder=os.path.join(elsewhere, "mappings"))
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
        wait_for(lambda: list(self.mappings()) == [stays], "their files to go")

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
        vspcd.wait_logged(rf"VM vm1 \({older}\) has to have another port: {port} has been given to VM vm2 \({newer}\)")
        vms = list_vms(vspcd)
        self.assertEqual(vms[newer]["port"], port)
        self.assertEqual(vms[older]["port"], port + 1)
        self.wait_stored(older, lambda m: m.port == port + 1)

        vspcd.end()
        vspcd = self.begin()
        self.assertEqual(list_vms(vspcd)[older]["port"], port + 1)
        self.assertFalse(vspcd.has_logged("has to have another port"))

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
            second.wait_logged("mappings is in use by another vspcd: give this one another")
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

        names = os.listdir(self.folder)
        self.assertEqual(len(names), len(self.URIS))
        for name in names:
            self.assertRegex(name, rf"^{uuid_shown(digits)}_[A-Za-z0-9%~-]*\.vm$")
            self.assertLess(len(name), 200)
            self.assertTrue(stat.S_ISREG(os.lstat(self.path(name)).st_mode))
        self.assertEqual(os.listdir(self.state), ["mappings"])
        self.assertFalse(os.path.exists("/tmp/vspc-evil"))
        self.mappings()  # none is broken

        vspcd = self.begin(MultiConsole="yes")
        self.assertFalse(vspcd.has_logged("is passed over"))
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


class ForeignFiles(StoreTest):
    def snapshot(self):
        """All that is in the folder, as it is."""
        found = {}
        for name in os.listdir(self.folder):
            st = os.lstat(self.path(name))
            content = None
            if stat.S_ISREG(st.st_mode):
                with open(self.path(name), "rb") as f:
                    content = f.read()
            found[name] = (st.st_ino, st.st_mode, st.st_size, st.st_mtime_ns, content)
        return found

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)

    def test_what_is_not_ours_is_named_and_left_alone(self):
        good = uuid_shown(self.store(1, port=self.block.last, gone=usec_now()))
        with open(self.path(f"{good}.vm"), "rb") as f:
            text = f.read()

        def name_of(n):
            return f"{uuid_shown(f'5012{n:028x}')}.vm"

        def text_of(n):
            return text.replace(good.encode(), uuid_shown(f"5012{n:028x}").encode())

        secret = os.path.join(self.state, "secret")
        with open(secret, "wb") as f:
            f.write(text_of(0x50) + b"TOP SECRET\n")
        self.write(name_of(0x10), text_of(0x10)[:-10])
        self.write(name_of(0x11), text_of(0x11)[:60])
        self.write(name_of(0x12), b"")
        self.write(name_of(0x13), text_of(0x13) + b"#" * 16384 + b"\n")
        self.write(name_of(0x14), text_of(0x15))
        self.write(name_of(0x16), text_of(0x16).replace(b"vm1", b"vm\0"))
        self.write(name_of(0x17), b"\x7fELF" + bytes(range(256)) * 8)
        self.write(name_of(0x18), text_of(0x18).replace(b"VERSION=1", b"VERSION=2"))
        self.write("README", b"by hand\n")
        self.write(f"{good}.vm~", text)
        self.write(f"{good}.vm.bak", text)
        os.mkdir(self.path(name_of(0x20)))
        os.mkdir(self.path("lost+found"))
        os.symlink(secret, self.path(name_of(0x50)))
        os.symlink("/nonexistent", self.path(name_of(0x51)))
        os.mkfifo(self.path(name_of(0x52)))
        busy = os.open(self.path(name_of(0x52)), os.O_RDWR)  # even with a writer that says nothing
        self.addCleanup(os.close, busy)
        self.write(f".{good}.vm", b"half of a tempora")

        before = self.snapshot()
        vspcd = self.begin()
        self.assertEqual(list(list_vms(vspcd)), [good])
        vspcd.wait_logged("1 VM restored")
        for name in set(before) - {f"{good}.vm", f".{good}.vm"}:
            vspcd.wait_logged(re.escape(self.path(name)) + " is passed over: ")
        self.assertEqual(vspcd.count_logged("is passed over"), len(before) - 2)
        self.assertFalse(vspcd.logged("TOP SECRET"))
        vspcd.end()
        self.assertEqual(self.snapshot(), before)

    def test_a_file_s_name_writes_nothing_of_its_own_to_the_log(self):
        os.mkdir(self.folder)
        for name in (b"\x1b]0;title\x07\x1b[2J.vm", b"a\nvspcd: VM web01: forged", b"\xff\xfe.vm",
                     "\u202e.vm".encode()):
            with open(os.path.join(self.folder.encode(), name), "wb"):
                pass
        vspcd = self.begin()
        self.assertFalse(vspcd.has_logged("^vspcd: VM web01: forged"))
        self.assertEqual(vspcd.count_logged("is passed over"), 4)
        for line in vspcd.log:
            self.assertNotRegex(line, "[\x00-\x1f\u202e\udc80-\udcff]")
        vspcd.wait_logged("\ufffd\\[2J\\.vm is passed over")

    def content(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def wait_stored_in_its_place(self, vm_id):
        def whole():
            try:
                if not stat.S_ISREG(os.lstat(self.path(f"{vm_id}.vm")).st_mode):
                    return None  # opening a pipe would wait for its other end
                return MAPPING.fullmatch(self.content(f"{vm_id}.vm"))
            except FileNotFoundError:
                return None
        wait_for(whole, "the file to be whole")

    def test_a_damaged_file_is_set_aside_once_its_vm_is_back(self):
        for n, data in enumerate((b"", b"VERSION=1\nID=", b"VERSION=2\n", b"by hand\n", b"#" * 100_000)):
            vm_id = uuid_shown(self.store(n, port=self.block.last - n))
            self.write(f"{vm_id}.vm", data)
            vspcd = self.begin()
            vspcd.wait_logged(f"{vm_id}.vm is passed over: ")
            connected_vm(vspcd, digits=f"5012{n:028x}")
            self.wait_stored_in_its_place(vm_id)
            vspcd.wait_logged(f"{vm_id}.vm is in the place of a VM's file, and is called {vm_id}.vm.damaged "
                              "from now on: ")
            self.assertEqual(self.content(f"{vm_id}.vm.damaged"), data)
            vspcd.end()
            os.unlink(self.path(f"{vm_id}.vm"))

        before = {name: data for name, data in self.snapshot().items() if name.endswith(".damaged")}
        vspcd = self.begin()
        self.assertTrue(vspcd.has_logged(r"\.damaged is passed over: "))
        vspcd.end()
        self.assertEqual(self.snapshot(), before)

    def test_a_file_of_another_s_that_appears_while_it_runs_is_kept_as_well(self):
        vspcd = self.begin(VMExpireSec="200ms")
        vm = connected_vm(vspcd)
        self.wait_stored(vm.id)
        self.write(f"{vm.id}.vm", b"notes of the night shift\n")
        vm.send_raw(sub(NAME, b"renamed"))
        self.wait_stored_in_its_place(vm.id)
        self.assertEqual(self.content(f"{vm.id}.vm.damaged"), b"notes of the night shift\n")

        self.write(f"{vm.id}.vm", b"and of the day shift\n")
        other = connected_vm(vspcd)
        disconnect(vm)
        vspcd.wait_logged(rf"{vm.id}\): has been gone for VMExpireSec=")
        disconnect(other)
        wait_for(lambda: f"{other.id}.vm" not in os.listdir(self.folder), "the other one's file to go")
        kept = [self.content(name) for name in os.listdir(self.folder) if name.startswith(f"{vm.id}.vm")]
        self.assertIn(b"notes of the night shift\n", kept)
        self.assertIn(b"and of the day shift\n", kept)

    def test_a_file_of_another_s_is_not_what_goes_when_its_vm_expires(self):
        vspcd = self.begin(VMExpireSec="1h")
        vm = connected_vm(vspcd)
        vm.close()
        self.wait_stored(vm.id, lambda mapping: mapping.gone)
        self.write(f"{vm.id}.vm", b"notes of the night shift\n")
        vspcd.reload(VMExpireSec="1ms")
        vspcd.wait_logged(f"VM {vm.name} .* has been gone for VMExpireSec=")
        vspcd.end()
        self.assertEqual(self.content(f"{vm.id}.vm"), b"notes of the night shift\n")

    def test_files_are_set_aside_beside_those_that_were_before(self):
        """Without end they are not: then that VM cannot be stored, and all others can."""
        for faults in ((), (("renameat2", errno.EINVAL, self.state),)):  # a file system that cannot rename so
            shutil.rmtree(self.folder, ignore_errors=True)
            vm_id = uuid_shown(self.store(1))
            aside = [f"{vm_id}.vm.damaged"] + [f"{vm_id}.vm.damaged.{n}" for n in range(2, 17)]
            for n, name in enumerate(aside[:-1]):
                self.write(name, b"%d\n" % n)
            self.write(f"{vm_id}.vm", b"15\n")
            failing = self.faults()
            failing.inject(*faults)
            vspcd = self.begin(env=failing.env)
            vm = connected_vm(vspcd, digits=f"5012{1:028x}")
            self.wait_stored_in_its_place(vm_id)
            self.assertEqual([self.content(name) for name in aside], [b"%d\n" % n for n in range(16)])

            self.write(f"{vm_id}.vm", b"one too many\n")
            vm.send_raw(sub(NAME, b"renamed"))
            vspcd.wait_logged("Backend=file cannot store which VM has which port, .*: File exists")
            others = [connected_vm(vspcd) for _ in range(3)]
            wait_for(lambda: all(os.path.exists(self.path(f"{other.id}.vm")) for other in others), "the others' files")
            vspcd.wait_status("4 VMs, 0 clients, ports cannot be stored: File exists")
            vspcd.wait_logged(f"{vm_id}.vm is in the place of a VM's file, and there are 16 .damaged ones already")
            self.assertEqual(self.content(f"{vm_id}.vm"), b"one too many\n")
            os.unlink(self.path(aside[3]))
            vspcd.wait_logged("Backend=file stores again")
            self.assertEqual(self.content(aside[3]), b"one too many\n")
            self.assertEqual(vspcd.count_logged("there are 16 .damaged ones already"), 1)
            vspcd.end()

    def test_a_link_is_set_aside_and_not_written_through(self):
        secret = os.path.join(self.state, "secret")
        with open(secret, "wb") as f:
            f.write(b"TOP SECRET\n")
        os.mkdir(self.folder)
        vm_id = uuid_shown(f"5012{1:028x}")
        for name in (f"{vm_id}.vm", f".{vm_id}.vm"):
            os.symlink(secret, self.path(name))
        vspcd = self.begin()
        connected_vm(vspcd, digits=f"5012{1:028x}")
        self.wait_stored_in_its_place(vm_id)
        self.assertEqual(os.readlink(self.path(f"{vm_id}.vm.damaged")), secret)
        with open(secret, "rb") as f:
            self.assertEqual(f.read(), b"TOP SECRET\n")

    def test_folders_and_pipes_are_set_aside_too(self):
        """Also a pipe in the place of the temporary file, whose other end nobody opens, holds nothing up."""
        os.mkdir(self.folder)
        ids = [uuid_shown(f"5012{n:028x}") for n in range(2)]
        os.mkdir(self.path(f"{ids[0]}.vm"))
        os.mkfifo(self.path(f"{ids[1]}.vm"))
        os.mkfifo(self.path(f".{ids[1]}.vm"))
        vspcd = self.begin()
        for n, vm_id in enumerate(ids):
            connected_vm(vspcd, digits=f"5012{n:028x}")
            self.wait_stored_in_its_place(vm_id)
        self.assertTrue(stat.S_ISDIR(os.lstat(self.path(f"{ids[0]}.vm.damaged")).st_mode))
        self.assertTrue(stat.S_ISFIFO(os.lstat(self.path(f"{ids[1]}.vm.damaged")).st_mode))


class Trouble(StoreTest):
    """The disk is full, or cannot be written: the service goes on, says so, and recovers by itself."""

    def go_through(self, vspcd, folder, error, break_it, mend_it):
        before = connected_vm(vspcd)
        self.wait_stored(before.id, folder=folder)
        break_it()
        vms = [connected_vm(vspcd) for _ in range(5)]
        vspcd.wait_status(f"6 VMs, 0 clients, ports cannot be stored: {error}")
        vspcd.wait_logged("Backend=file cannot store which VM has which port, going on from memory and trying "
                          f"again: {error}")
        client = RawClient(vms[4])
        vms[4].send(b"going on")
        client.wait_data(b"going on")
        client.close()
        before.close()
        vspcd.wait_status(f"5 VMs, 0 clients, ports cannot be stored: {error}")
        self.assertEqual(vspcd.count_logged("cannot store"), 1)

        mend_it()
        vspcd.wait_logged("Backend=file stores again which VM has which port")
        vspcd.wait_status("5 VMs, 0 clients")
        for vm in vms:
            self.assertEqual(self.wait_stored(vm.id, folder=folder).port, vm.port)
        self.assertTrue(self.wait_stored(before.id, lambda m: m.gone, folder).gone)
        self.assertEqual(vspcd.count_logged("cannot store"), 1)

    def begin_on_a_tmpfs(self):
        """64 KiB, in a mount namespace of vspcd's own. Returns: it, and the folder as seen from here."""
        if os.geteuid() != 0 or not shutil.which("unshare") or subprocess.run(
                ["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", self.state],
                capture_output=True, check=False).returncode != 0:
            self.skipTest("a mount namespace with a tmpfs cannot be had: that wants root")
        vspcd = self.begin(wrapper=("unshare", "--mount", "sh", "-c",
                                    f"mount -t tmpfs -o size=64k tmpfs {self.state} && exec \"$0\" \"$@\""))
        return vspcd, f"/proc/{vspcd.pid}/root{self.folder}"

    def test_the_disk_is_full(self):
        vspcd, folder = self.begin_on_a_tmpfs()
        ballast = os.path.join(os.path.dirname(folder), "ballast")

        def fill():
            with open(ballast, "wb", buffering=0) as f:
                try:
                    while f.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
        self.go_through(vspcd, folder, "No space left on device", fill, lambda: os.unlink(ballast))
        self.assertEqual([name for name in os.listdir(folder) if name.startswith(".")], [])

    def test_the_file_system_becomes_read_only(self):
        vspcd, folder = self.begin_on_a_tmpfs()

        def remount(how):
            subprocess.run(["nsenter", f"--target={vspcd.pid}", "--mount", "mount", "-o", f"remount,{how}", self.state],
                           check=True, timeout=30)
        self.go_through(vspcd, folder, "Read-only file system", lambda: remount("ro"), lambda: remount("rw"))

    def test_the_disk_has_errors(self):
        """Whatever of it: neither a file nor its name in the folder counts as stored before it outlives a power cut."""
        file, folder = f"{self.folder}/", f"{self.folder}$"
        for call, path in (("write", file), ("fsync", file), ("renameat", folder), ("fsync", folder)):
            with self.subTest(call=call, path=path):
                faults = self.faults()
                vspcd = self.begin(env=faults.env)
                self.go_through(vspcd, self.folder, "Input/output error",
                                lambda: faults.inject((call, errno.EIO, path)), faults.clear)
                self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".")], [], call)
                vspcd.end()
                shutil.rmtree(self.folder)

    def test_what_cannot_be_read_for_an_error_of_the_disk_is_removed_once_it_can(self):
        faults = self.faults()
        vspcd = self.begin(env=faults.env)
        vm = connected_vm(vspcd)
        disconnect(vm)
        self.wait_stored(vm.id, lambda mapping: mapping.gone)
        faults.inject(("read", errno.EIO, self.folder))
        vspcd.reload(VMExpireSec="100ms")
        vspcd.wait_status("0 VMs, 0 clients, ports cannot be stored: Input/output error")
        faults.clear()
        wait_for(lambda: f"{vm.id}.vm" not in os.listdir(self.folder), "its file to go")

    def test_a_folder_that_would_not_outlive_a_power_cut_keeps_it_from_starting(self):
        """The folder is new: that it is there has to be on the disk too."""
        faults = self.faults()
        faults.inject(("fsync", errno.EIO, f"{self.state}$"))
        vspcd = self.begin(env=faults.env, healthy=False)
        self.assertNotEqual(vspcd.wait_exit(), 0)
        vspcd.wait_logged(f"Cannot make or open the folder {self.folder} .*: Input/output error")
        faults.clear()
        self.wait_stored(connected_vm(self.begin(env=faults.env)).id)

    def test_the_folder_may_not_be_written(self):
        wrapper = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()
        if wrapper and not shutil.which("setpriv"):
            self.skipTest("there is no setpriv, and root may write everywhere")
        vspcd = self.begin(wrapper=wrapper)
        self.go_through(vspcd, self.folder, "Permission denied", lambda: os.chmod(self.folder, 0o500),
                        lambda: os.chmod(self.folder, 0o750))

    def test_a_folder_that_somebody_removes_is_made_again(self):
        vspcd = self.begin()
        connected_vm(vspcd)

        def remove():
            shutil.rmtree(self.folder, ignore_errors=True)  # it may be writing there at this moment
            return not os.path.exists(self.folder)
        wait_for(remove, "the folder to go")
        vm = connected_vm(vspcd)
        wait_for(lambda: os.path.exists(self.folder), "the folder")
        self.wait_stored(vm.id)

    def test_nothing_is_stored_by_the_end(self):
        wrapper = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()
        if wrapper and not shutil.which("setpriv"):
            self.skipTest("there is no setpriv, and root may write everywhere")
        vspcd = self.begin(wrapper=wrapper)
        os.chmod(self.folder, 0o500)
        for _ in range(3):
            connected_vm(vspcd)
        vspcd.wait_status("3 VMs, 0 clients, ports cannot be stored: Permission denied")
        vspcd.end()
        vspcd.wait_logged("What has changed of 3 VMs could not be stored by Backend=file")
        wait_for(lambda: not vspcd.threads[1].is_alive(), "the end of the log")
        self.assertFalse(vspcd.logged("has not stored everything within"))

    def test_a_folder_that_cannot_be_had_keeps_it_from_starting(self):
        for state, error in (("/nonexistent", "No such file or directory"), ("/dev/null", "Not a directory")):
            vspcd = self.begin(env={"STATE_DIRECTORY": state}, healthy=False)
            self.assertNotEqual(vspcd.wait_exit(), 0)
            vspcd.wait_logged(f"the folder {state}/mappings .*STATE_DIRECTORY.*: {error}")


class Kill(StoreTest):
    """Killed at random points while 200 VMs come and go."""

    VMS = 200
    ROUNDS = 100
    MOST_SEC = 50

    def files(self):
        return {(entry.name, entry.inode()) for entry in os.scandir(self.folder) if entry.name[0] != "."}

    def expected(self):
        """The ports that have to be given out again: of several that claim one the newest has it."""
        newest = {}
        for mapping in self.mappings().values():
            if mapping.port and (mapping.port not in newest or newest[mapping.port].stored < mapping.stored):
                newest[mapping.port] = mapping
        return {mapping.id: mapping.port for mapping in newest.values()}

    def test_every_mapping_that_was_stored_is_there_afterwards(self):
        block = PortBlock(2 * self.VMS)
        self.addCleanup(block.release)
        passed = [listener(), listener()]
        for s in passed:
            self.addCleanup(s.close)
        simulator = subprocess.Popen(
            [VSPC_SIM, f"--connect=127.0.0.1:{passed[0].getsockname()[1]}", f"--count={self.VMS}", "--drop=300ms",
             "--reconnect=60ms"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
        self.addCleanup(simulator.wait)
        self.addCleanup(simulator.kill)

        os.mkdir(self.folder)
        rounds, n_expected, n_left, began = 0, 0, 0, time.monotonic()
        while rounds < self.ROUNDS and (time.monotonic() - began < self.MOST_SEC or not SANITIZED):
            expected, before = self.expected(), self.files()
            vspcd = self.begin(passed=passed, VMPortRangeStart=block.first, VMPortRangeEnd=block.last)
            vms = list_vms(vspcd)
            for vm_id, port in expected.items():
                self.assertIn(vm_id, vms, rounds)
                self.assertEqual(vms[vm_id].get("port"), port, rounds)
            self.assertFalse(vspcd.logged("is passed over"))

            vspcd.reload(VMExpireSec="30ms")
            n = random.randrange(1, self.VMS)
            wait_for(lambda: len(self.files() ^ before) >= n, "changes")  # pylint: disable=cell-var-from-loop
            vspcd.kill()
            rounds, n_expected = rounds + 1, n_expected + len(expected)
            n_left += sum(1 for name in os.listdir(self.folder) if name[0] == ".")

        self.assertGreater(n_expected, 10 * rounds)
        tap.comment(f"{rounds} rounds, {n_expected} mappings, {n_left} half-written files")


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
        os.mkdir(self.folder)
        vspcd = self.begin(Backend=f"example:{self.folder}/mappings.txt")
        os.rename(self.folder, self.folder + "-away")
        vm = connected_vm(vspcd)
        vspcd.wait_status("1 VM, 0 clients, ports cannot be stored: No such file or directory")
        os.rename(self.folder + "-away", self.folder)
        vspcd.wait_status("1 VM, 0 clients")
        with open(self.path("mappings.txt"), encoding="utf-8") as f:
            self.assertIn(vm.id, f.read())

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
        vspcd.wait_logged(f"Backend=odd has not stored everything within {STOP_SEC} s")

    def test_check_config(self):
        bad = "Backend= wants memory, file or the name of a plug-in, not \"{}\""
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
