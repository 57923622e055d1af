# SPDX-License-Identifier: LGPL-2.1-or-later

"""Two VMs with the same UUID and Port URI: a copy made by hand, or VMs of two vCenters. If their BIOS UUIDs differ,
each has its own console. Otherwise they share a console, and its clients see a message."""

import os
import re
import tempfile

from harness import TestCase, main, wait_for
from peers import (BIOS_UUID, ESXI_KNOWN, GET_BIOS_UUID, KNOWN_1, NAME, PEER, PEER_OK, UNKNOWN_1, VC_UUID, WILL_PROXY, EsxiVm,
                   RawClient, TelnetClient, migration_target, sub, uuid_shown, uuid_text)
from varlink_peer import Caller, disconnect

BIOS_A, BIOS_B, BIOS_C = "564d" + "0a" * 14, "564d" + "0b" * 14, "564d" + "0c" * 14
SEQUENCE = b"\0\0\0\1"
ANOTHER_HOST = ("127.0.0.2", 0)
NOTICE = b"[vspc: two VMs have this UUID"


def pump(*peers):
    for peer in peers:
        if peer.sock.fileno() >= 0 and not peer.eof:
            peer.pump()


class ClonesCase(TestCase):
    def join(self, vm, *others):
        """Connects @vm; others answer meanwhile what they are asked."""
        vm.handshake()

        def connected():
            pump(vm, *others)
            return vm.vspcd.logged(f"connected from {vm.sock.getsockname()[0]}:{vm.local_port}[, ]")
        wait_for(connected, "the VM to have a console")
        return vm.wait_connected()

    def clone(self, vm, name="web-b", **kwargs):
        """Another VM of the same UUID and URI, which has not connected yet."""
        clone = EsxiVm(vm.vspcd, name, **{"digits": vm.digits, "uri": vm.uri, "source": ANOTHER_HOST, **kwargs})
        clone.is_clone = clone.bios not in (None, vm.bios)
        return clone

    def pair(self, bios_a=BIOS_A, bios_b=BIOS_B, **config):
        self.vspcd = self.start(**config)
        self.a = EsxiVm(self.vspcd, "web-a", bios=bios_a).connect()
        self.b = self.clone(self.a, bios=bios_b)
        return self.a, self.b

    def ids(self):
        return sorted(vm["id"] for vm in Caller(self.vspcd).list())

    def assert_typed(self, client, keys, vm, *others):
        client.send(keys)
        vm.wait_data(keys)
        pump(*others)
        for other in others:
            self.assertNotIn(keys, other.data)


class Apart(ClonesCase):
    def connect_pair(self, **kwargs):
        self.pair(**kwargs)
        self.join(self.b, self.a)

    def test_vms_with_one_uuid_have_a_console_and_a_port_each(self):
        self.connect_pair()
        self.assertNotEqual(self.a.port, self.b.port)
        at_a, at_b = TelnetClient(self.a), TelnetClient(self.b)
        self.assert_typed(at_a, b"for a", self.a, self.b)
        self.assert_typed(at_b, b"for b", self.b, self.a)
        self.b.send(b"of b")
        at_b.wait_data(b"of b")
        self.a.send(b"of a")
        at_a.wait_data(b"of a")
        self.assertNotIn(b"of b", at_a.data)
        self.assertNotIn(b"[vspc:", at_a.data + at_b.data)

    def test_a_clone_s_identity_has_its_bios_uuid(self):
        self.connect_pair()
        listed = {vm["name"]: (vm["id"], vm["uuid"]) for vm in Caller(self.vspcd).list()}
        self.assertEqual(listed, {"web-a": (self.a.id, self.a.id), "web-b": (self.b.id,) * 2})
        self.vspcd.wait_logged(rf"VM web-b \({self.b.id}\): has the UUID of another VM, web-a at "
                               rf"127\.0\.0\.1:{self.a.local_port}")

    def test_a_clone_is_found_by_every_spelling_of_its_identity(self):
        self.connect_pair()
        caller, second = Caller(self.vspcd), self.b.id
        for text in (second, second.upper(), self.b.digits + "~" + BIOS_B, second[:-1], "{" + self.b.digits + "}~564d"):
            self.assertEqual(caller.vm(text)["id"], second, text)
        for text in (self.a.id, self.a.digits, self.a.id.upper()):
            self.assertEqual(caller.vm(text)["id"], self.a.id, text)
        self.assertEqual(sorted(vm["id"] for vm in caller.list(self.a.id[:-1])), [self.a.id, second])

    def test_both_are_asked_once_and_a_known_clone_does_not_wait_for_the_other(self):
        self.connect_pair()
        for n in range(3):
            disconnect(self.b)
            before, self.b = self.b, self.clone(self.a, bios=BIOS_B)
            self.join(self.b)  # nobody reads what the other is asked
            self.assertEqual(self.b.port, before.port)
        pump(self.a)
        self.assertEqual(len(self.a.suboptions(GET_BIOS_UUID)), 1)
        self.assertEqual(len(self.b.suboptions(GET_BIOS_UUID)), 1)

    def test_a_known_clone_comes_back_to_its_console_while_the_other_is_away(self):
        self.connect_pair()
        for vm in (self.a, self.b):
            disconnect(vm)
        again_b = self.join(self.clone(self.a, bios=BIOS_B))
        again_a = self.join(self.clone(self.a, "web-a", bios=BIOS_A))
        self.assertEqual((again_a.port, again_b.port), (self.a.port, self.b.port))
        self.assertEqual(self.ids(), [self.a.id, self.b.id])
        self.assertFalse(self.vspcd.has_logged("is now called"))

    def test_a_connection_of_the_clone_that_is_still_open_is_its_own(self):
        self.connect_pair()
        again = self.join(self.clone(self.a, bios=BIOS_B))
        self.assertEqual(again.port, self.b.port)
        client = TelnetClient(again)
        self.assert_typed(client, b"keys", again, self.a)
        self.assertNotIn(b"[vspc:", client.data)

    def test_a_third_has_the_third_console(self):
        self.connect_pair()
        third = self.join(self.clone(self.a, "web-c", bios=BIOS_C), self.a, self.b)
        self.assertEqual(len({self.a.port, self.b.port, third.port}), 3)
        self.assertEqual(self.ids(), [self.a.id, self.b.id, third.id])

    def test_vms_with_one_name_are_told_apart_if_their_hosts_have_told_the_bios_uuids(self):
        self.pair()
        self.a.send_raw(sub(BIOS_UUID, uuid_text(BIOS_A)))
        twin = self.clone(self.a, "web-a", bios=BIOS_B)
        twin.negotiate()
        twin.send_raw(sub(BIOS_UUID, uuid_text(BIOS_B)) + twin.do_proxy() + twin.vc_uuid() + twin.vm_name())
        twin.wait_connected()
        self.assertNotEqual(twin.port, self.a.port)

    def test_output_of_a_vm_that_waits_is_kept(self):
        self.pair()
        self.b.handshake()
        self.b.wait_suboption(GET_BIOS_UUID)
        self.b.send(b"early \xff")
        self.join_again = wait_for(lambda: (pump(self.b, self.a), self.vspcd.logged(r"VM web-b .* connected from"))[1],
                                   "the second")
        self.b.wait_connected()
        TelnetClient(self.b).wait_data(b"early \xff")

    def test_the_first_that_closes_before_it_has_answered_leaves_its_console_to_the_second(self):
        self.pair()
        self.b.handshake()
        self.b.wait_suboption(GET_BIOS_UUID)
        self.a.close()
        self.b.wait_connected()
        self.assertEqual((self.b.port, self.ids()), (self.a.port, [self.a.id]))
        self.vspcd.wait_logged("is now called web-b")

    def test_a_vm_that_waits_may_turn_out_to_be_the_target_of_a_vmotion(self):
        """It answers and shows the secret in one write. Those that wait with it wait on, and join once it is the VM."""
        self.pair(bios_a=None)
        client, secret = TelnetClient(self.a), self.a.begin(SEQUENCE)
        waiting = [self.clone(self.a, f"web-{n}", bios=f"564d{n:028x}") for n in range(2)]
        target = self.clone(self.a, bios=None)
        for vm in waiting[0], target, waiting[1]:
            vm.handshake()
            vm.wait_suboption(GET_BIOS_UUID)
            if vm == target:
                vm.send_raw(sub(BIOS_UUID, uuid_text(BIOS_B)) + sub(PEER, SEQUENCE + secret))
                self.assertEqual(vm.wait_suboption(PEER_OK), SEQUENCE)
        target.complete(SEQUENCE)
        self.a.close()
        client.send(b"keys")
        target.wait_data(b"keys")
        for vm in waiting:
            self.assertTrue(vm.wait_connected().port)

    def test_each_clone_has_its_serial_ports_under_multi_console(self):
        self.connect_pair(MultiConsole="yes")
        for name, bios in ("web-b", BIOS_B), ("web-a", BIOS_A):
            self.join(self.clone(self.a, name, uri="s1", bios=bios))
        self.assertEqual(self.ids(), [f"{vm.id}_{uri}" for vm in (self.a, self.b) for uri in ("s0", "s1")])

    def test_a_clone_moves_like_any_other(self):
        self.connect_pair()
        client = TelnetClient(self.b)
        secret = self.b.begin(SEQUENCE)
        client.send(b"held")
        target = migration_target(self.b).peer(SEQUENCE, secret)
        target.complete(SEQUENCE)
        target.wait_data(b"held")
        self.b.close()
        self.assert_typed(client, b"keys", target, self.a)
        self.assertEqual(self.ids(), [self.a.id, self.b.id])

    def test_a_clone_does_not_end_the_other_s_vmotion(self):
        self.pair()
        self.a.send_raw(sub(BIOS_UUID, uuid_text(BIOS_A)))
        client = TelnetClient(self.a)
        secret = self.a.begin(SEQUENCE)
        client.send(b"held")
        self.join(self.b)
        target = migration_target(self.a).peer(SEQUENCE, secret)
        target.complete(SEQUENCE)
        target.wait_data(b"held")
        pump(self.b)
        self.assertNotIn(b"held", self.b.data)

    def test_clones_keep_their_ports_over_a_restart(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-clones-"))
        self.connect_pair(Backend=f"file:{folder}")
        self.vspcd.end()
        with open(os.path.join(folder, "vm-ports"), encoding="utf-8") as f:
            ids = re.findall(r"\tID=(\S+)", f.read())
        self.assertEqual(set(ids), {self.a.id, f"{self.a.id}~{uuid_shown(BIOS_B)}"})

        ports = self.a.port, self.b.port
        again = self.start(**self.vspcd.config)
        b = self.join(EsxiVm(again, "web-b", digits=self.a.digits, bios=BIOS_B))
        a = self.join(EsxiVm(again, "web-a", digits=self.a.digits, bios=BIOS_A))
        self.assertEqual((a.port, b.port), ports)

    def test_any_number_of_clones_come_and_go(self):
        self.pair()
        clones = [self.clone(self.a, f"web-{n}", bios=f"564d{n:028x}") for n in range(20)]
        for clone in clones:
            clone.handshake()
        for clone in clones:
            self.join_all(clone, clones)
        self.assertEqual(len(self.ids()), 21)
        for clone in clones:
            clone.close()
        caller = Caller(self.vspcd)
        for clone in clones[::2] + clones[1::2]:
            caller.wait_away(clone)
            caller.get("Forget", {"vm": clone.id})
        self.assertEqual(self.ids(), [self.a.id])
        disconnect(self.a)
        again = self.clone(self.a, "web-a")  # no clone is known any more, and nothing is asked
        again.connect()
        self.assertEqual(again.suboptions(GET_BIOS_UUID), [])

    def join_all(self, clone, clones):
        wait_for(lambda: (pump(self.a, *clones), self.vspcd.logged(f":{clone.local_port}, its clients use"))[1], "it")


class Together(ClonesCase):
    def assert_shared(self, client):
        client.wait_data(NOTICE)
        self.assertIn(b"web-a (host 127.0.0.1:%d)" % self.a.local_port, client.data)
        self.assertIn(b"web-b (host 127.0.0.2:%d)" % self.b.local_port, client.data)
        client.take()
        client.send(b"keys")
        self.a.wait_data(b"keys")
        self.b.wait_data(b"keys")
        self.vspcd.wait_logged("two VMs have this UUID and share this console, both get what is typed: give one of "
                               "them a new UUID")

    def test_vms_with_one_bios_uuid_share_a_console_and_its_clients_are_told(self):
        self.pair(bios_b=BIOS_A)
        client, raw = TelnetClient(self.a), RawClient(self.a)
        self.join(self.b, self.a)
        self.assert_shared(client)
        self.assertEqual(self.ids(), [self.a.id])
        self.a.send(b"of a")
        raw.wait_data(b"of a")
        self.assertNotIn(b"vspc", raw.data)

    def test_a_client_that_comes_later_is_told_as_well(self):
        self.pair(bios_b=BIOS_A)
        self.join(self.b, self.a)
        self.assert_shared(TelnetClient(self.b))

    def test_hosts_that_do_not_tell_a_bios_uuid_share_a_console(self):
        for name, answer in {"neither answers": None, "they do not know the question": bytes([GET_BIOS_UUID])}.items():
            with self.subTest(name):
                self.pair(bios_a=None, bios_b=None)
                client = TelnetClient(self.a)
                self.b.handshake()
                for vm in (self.b, self.a) if answer else ():
                    vm.wait_suboption(GET_BIOS_UUID)
                    vm.send_raw(sub(UNKNOWN_1, answer))
                self.b.wait_connected()
                self.assert_shared(client)

    def test_neither_gets_anything_typed_for_the_other_until_it_is_known_that_they_cannot_be_told_apart(self):
        self.pair(bios_a=None, bios_b=None)
        client = TelnetClient(self.a)
        self.b.handshake()
        self.b.wait_suboption(WILL_PROXY)
        self.b.wait_suboption(GET_BIOS_UUID)
        self.assert_typed(client, b"shutdown -h now\r", self.a, self.b)
        self.b.wait_connected()
        client.wait_data(NOTICE)

    def test_a_vm_that_waits_may_say_much_meanwhile(self):
        self.pair(bios_a=None, ScrollbackSize="1M")
        self.b.handshake()
        self.b.wait_suboption(GET_BIOS_UUID)
        said = os.urandom(300_000).translate(None, b"\x05\x1b\x9a\x9b")  # no queries, which are left out of a replay
        self.b.send(said)
        self.b.wait_connected()
        client = TelnetClient(self.b)
        client.wait_data(NOTICE)
        self.assertSameBytes(client.data[:len(said)], said)

    def test_a_clash_is_shown_by_list_and_monitor(self):
        self.pair(bios_b=BIOS_A)
        caller, monitor = Caller(self.vspcd), Caller(self.vspcd)
        self.assertNotIn("problem", caller.vm(self.a.id))
        monitor.say("Monitor", {}, more=True)
        monitor.wait(lambda: any(r["parameters"]["event"] == "ready" for r in monitor.replies), "ready")
        self.join(self.b, self.a)
        monitor.wait(lambda: any(r["parameters"]["event"] == "changed" and "problem" in r["parameters"]["vm"]
                                 for r in monitor.replies), "the change")
        self.assertIn("give one of them a new UUID", caller.vm(self.a.id)["problem"])
        self.b.close()
        wait_for(lambda: "problem" not in caller.vm(self.a.id), "the problem to be over")

    def test_a_clash_is_over_when_one_of_them_closes(self):
        self.pair(bios_b=BIOS_A)
        client = TelnetClient(self.a)
        self.join(self.b, self.a)
        self.assert_shared(client)
        self.b.close()
        client.wait_data(b"[vspc: this console is no longer shared with another VM]")
        self.vspcd.wait_logged("no longer shares its console")
        self.assertNotIn(b"VM disconnected", client.data)

    def test_a_clash_is_over_when_one_vm_gets_the_other_s_name(self):
        self.pair(bios_b=BIOS_A)
        client = TelnetClient(self.a)
        self.join(self.b, self.a)
        self.assert_shared(client)
        self.b.send_raw(sub(NAME, b"web-a"))
        client.wait_data(b"[vspc: this console is no longer shared with another VM]")

    def test_a_clash_that_comes_and_goes_does_not_fill_the_log(self):
        self.pair(bios_b=BIOS_A)
        self.join(self.b, self.a)
        for n in range(200):
            self.b.send_raw(sub(NAME, b"web-a") + sub(NAME, b"web-b"))
            self.b.send_raw(sub(99))
            self.b.wait_suboption(3, n + 1)
        self.assertLess(self.vspcd.count_logged("two VMs have this UUID"), 50)

    def test_a_host_that_repeats_itself_costs_no_more_than_others(self):
        """Whatever it says of its VM, those that wait for it are looked at only where that is new."""
        self.pair(bios_a=None)

        def cost(n):
            before = self.vspcd.cpu_seconds()
            self.a.send_raw((sub(VC_UUID, uuid_text(self.a.digits)) + sub(KNOWN_1, ESXI_KNOWN)) * 100_000 + sub(99))
            self.a.wait(lambda: len(self.a.suboptions(3)) == n, "its answer")
            return self.vspcd.cpu_seconds() - before

        alone = cost(1)
        for n in range(32):
            clone = self.clone(self.a, f"web-{n}", bios=f"564d{n:028x}")
            clone.handshake()
            clone.wait_suboption(GET_BIOS_UUID)
        self.assertLess(cost(2), 4 * alone + 0.2)

    def test_a_bounded_number_of_connections_wait_for_an_answer(self):
        self.pair(bios_a=None)
        waiting = []
        for n in range(33):
            waiting.append(self.clone(self.a, f"web-{n}", bios=f"564d{n:028x}"))
            waiting[-1].handshake()
            waiting[-1].wait_suboption(GET_BIOS_UUID)
        self.vspcd.wait_logged(f":{waiting[0].local_port}: is one of more than 32 connections of VM {self.a.id}")
        waiting[0].wait_closed()


class NoneOfThat(ClonesCase):
    """What looks like a clone but is none: no question is put, and nobody is told anything."""

    def connect(self):
        self.vspcd = self.start()
        self.vm = EsxiVm(self.vspcd, "web", bios=BIOS_A).connect()
        self.client = TelnetClient(self.vm)

    def assert_one_vm(self, *vms):
        self.assert_typed(self.client, b"keys", vms[-1])
        for vm in (self.vm, *vms):
            self.assertEqual(vm.suboptions(GET_BIOS_UUID), [])
        self.assertNotIn(b"[vspc:", self.client.data)
        self.assertEqual(self.ids(), [self.vm.id])
        self.assertFalse(self.vspcd.has_logged("two VMs|another VM"))

    def test_a_vmotion_s_target_with_another_name_is_no_clone(self):
        self.connect()
        target = EsxiVm(self.vspcd, "renamed", digits=self.vm.digits, source=ANOTHER_HOST)
        target.peer(SEQUENCE, self.vm.begin(SEQUENCE)).complete(SEQUENCE)
        target.send_raw(target.vc_uuid() + target.vm_name())
        self.vspcd.wait_logged("is now called renamed")
        self.assert_one_vm(target)

    def test_a_vm_that_connects_anew_before_its_old_connection_has_ended_is_no_clone(self):
        self.connect()
        self.assert_one_vm(EsxiVm(self.vspcd, "web", digits=self.vm.digits).connect())

    def test_a_vm_that_ha_has_started_on_another_host_is_no_clone(self):
        self.connect()
        self.assert_one_vm(EsxiVm(self.vspcd, "web", digits=self.vm.digits, source=ANOTHER_HOST).connect())

    def test_a_vm_that_is_renamed_is_no_clone(self):
        self.connect()
        self.vm.send_raw(sub(NAME, b"renamed"))
        self.vspcd.wait_logged("is now called renamed")
        self.assert_one_vm(EsxiVm(self.vspcd, "renamed", digits=self.vm.digits).connect())

    def test_a_vm_that_comes_back_under_another_name_is_no_clone(self):
        self.connect()
        self.vm.close()
        self.client.wait_data(b"[vspc: VM disconnected]")
        again = EsxiVm(self.vspcd, "renamed", digits=self.vm.digits).connect()
        self.client.wait_data(b"[vspc: VM connected]")
        self.client.take()
        self.assert_one_vm(again)

    def test_another_serial_port_is_no_clone(self):
        self.connect()
        self.assert_one_vm(EsxiVm(self.vspcd, "renamed", digits=self.vm.digits, uri="s1").connect())

    def test_a_renamed_vm_whose_old_connection_is_dead_is_no_clone(self):
        """Its host answers on the new connection, and not on the old one."""
        self.connect()
        again = EsxiVm(self.vspcd, "renamed", digits=self.vm.digits, bios=BIOS_A)
        self.vm.bios = None
        self.join(again)
        self.assert_typed(self.client, b"keys", again)
        self.assertNotIn(b"[vspc:", self.client.data)
        self.assertFalse(self.vspcd.has_logged("two VMs|another VM"))


if __name__ == "__main__":
    main()
