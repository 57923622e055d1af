# SPDX-License-Identifier: LGPL-2.1-or-later

"""More VMs than ports, and fewer descriptors than ports: which VMs wait or lose their ports, and that no VM is
forgotten."""

from harness import TestCase, is_port_free, main, wait_for
from peers import Peer, RawClient, TelnetClient, connected_vm
from test_ports import again, hold
from test_store import StoreTest, list_vms, usec_now
from varlink_peer import Caller, disconnect

MINUTE = 60_000_000
HOUR = 60 * MINUTE


def wait_served(vm, since=0):
    """Until a VM that had none has got a port."""
    found = vm.vspcd.wait_logged(rf"VM {vm.name} \(.*its clients use port (\d+) from now on", since)
    vm.port = int(found[1])
    return vm.port


def assert_reachable(vm):
    client = TelnetClient(vm)
    vm.send(b"at last")
    client.wait_data(b"at last")


class Waiting(TestCase):
    def test_a_vm_without_a_port_gets_one_when_another_vm_expires(self):
        vspcd = self.start(ports=1, VMExpireSec="300ms")
        first, second = connected_vm(vspcd), connected_vm(vspcd)
        self.assertIsNone(second.port)
        vspcd.wait_logged(rf"VM {second.name} \(.*has no port yet: the range .* is exhausted")
        disconnect(first)
        self.assertEqual(wait_served(second), first.port)
        assert_reachable(second)

    def test_a_vm_without_a_port_gets_one_when_another_vm_is_forgotten(self):
        vspcd = self.start(ports=1)
        first, second = connected_vm(vspcd), connected_vm(vspcd)
        disconnect(first)
        Caller(vspcd).get("Forget", {"vm": first.id})
        self.assertEqual(wait_served(second), first.port)

    def test_those_that_wait_get_the_ports_of_a_wider_range_in_the_order_of_their_coming(self):
        vspcd = self.start(ports=4, VMExpireSec="1h")
        first = vspcd.block.first
        vspcd.reload(VMPortRangeEnd=first)
        connected_vm(vspcd)
        one, two, three = (connected_vm(vspcd) for _ in range(3))
        disconnect(one)  # and is behind the others when it comes back
        one = again(one)
        vspcd.reload(VMPortRangeEnd=first + 1)
        self.assertEqual(wait_served(two), first + 1)
        vspcd.reload(VMPortRangeEnd=first + 3)
        self.assertEqual((wait_served(three), wait_served(one)), (first + 2, first + 3))

    def test_a_vm_that_is_away_waits_behind_those_that_are_connected(self):
        vspcd = self.start(ports=3, VMExpireSec="1h")
        first = vspcd.block.first
        vspcd.reload(VMPortRangeEnd=first)
        connected_vm(vspcd)
        away, here = connected_vm(vspcd), connected_vm(vspcd)
        disconnect(away)
        vspcd.reload(VMPortRangeEnd=first + 1)
        self.assertEqual(wait_served(here), first + 1)
        vspcd.reload(VMPortRangeEnd=first + 2)
        self.assertEqual(wait_served(away), first + 2)

    def test_a_new_vm_does_not_get_the_port_for_which_another_one_waits(self):
        vspcd = self.start(ports=1, VMExpireSec="300ms")
        first, second = connected_vm(vspcd), connected_vm(vspcd)
        disconnect(first)
        third = connected_vm(vspcd)  # before the first has expired, or after
        self.assertEqual(wait_served(second), first.port)
        self.assertIsNone(third.port)

    def test_many_that_wait_are_served_together(self):
        vspcd = self.start(ports=201)
        first = vspcd.block.first
        vspcd.reload(VMPortRangeEnd=first)
        connected_vm(vspcd)
        vms = [connected_vm(vspcd) for _ in range(200)]
        vspcd.reload(VMPortRangeEnd=first + 200)
        self.assertEqual([wait_served(vm) for vm in vms], list(range(first + 1, first + 201)))

    def test_those_who_watch_are_told_of_the_port(self):
        vspcd = self.start(ports=1)
        first, second = connected_vm(vspcd), connected_vm(vspcd)
        watcher, caller = Caller(vspcd), Caller(vspcd)
        disconnect(first)
        watcher.monitor()
        self.assertEqual(caller.get("GetMetrics")["vmsAwaitingPort"], 1)
        caller.get("Forget", {"vm": first.id})

        self.assertEqual(watcher.wait_event("removed")["vm"]["id"], first.id)
        vm = watcher.wait_event("changed")["vm"]
        self.assertEqual((vm["id"], vm["port"]), (second.id, first.port))
        self.assertEqual(caller.get("GetMetrics")["vmsAwaitingPort"], 0)

    def test_ports_that_are_turned_off_are_not_waited_for(self):
        vspcd = self.start(ports=1, VMExpireSec="300ms")
        first, second = connected_vm(vspcd), connected_vm(vspcd)
        vspcd.reload(VMPorts="no")
        disconnect(first)
        vspcd.wait_logged(rf"VM {first.name} \(.*VMExpireSec=")
        self.assertFalse(vspcd.has_logged(rf"VM {second.name} \(.*from now on"))
        vspcd.reload(VMPorts="yes")
        self.assertNotIn(None, [vm.get("port") for vm in list_vms(vspcd).values()])


class GivenUp(StoreTest):
    """VMs that have been away for over an hour give up their ports when all are taken."""

    def begin_with_one_port(self, **config):
        return self.begin(VMPortRangeStart=self.block.first, VMPortRangeEnd=self.block.first, **config)

    def test_a_vm_that_has_been_away_for_over_an_hour_gives_up_its_port(self):
        port = self.block.first
        self.store(1001, name="vm1", port=port, gone=usec_now() - 2 * HOUR)
        vspcd = self.begin_with_one_port()
        vm = connected_vm(vspcd, "new")
        self.assertEqual(vm.port, port)
        vspcd.wait_logged(rf"VM vm1 \(.*gives up port {port}, as all ports are taken and another VM needs one: it has been "
                          "away for 2 h, and was connected for 0 s in all")
        assert_reachable(vm)
        self.assertEqual(Caller(vspcd).get("GetMetrics")["portsGivenUpTotal"], 1)

    def test_it_stays_known_and_does_not_claim_its_port_again_after_a_restart(self):
        digits = self.store(1001, name="vm1", port=self.block.first, gone=usec_now() - 2 * HOUR)
        vspcd = self.begin_with_one_port()
        vm = connected_vm(vspcd, "new")
        one = next(vm for vm in list_vms(vspcd).values() if vm["name"] == "vm1")
        self.assertNotIn("port", one)
        self.wait_stored(one["id"], lambda mapping: mapping.port is None)
        vm.close()
        self.wait_stored(vm.id, lambda mapping: mapping.gone is not None)
        vspcd.end()

        vspcd = self.begin_with_one_port()
        found = list_vms(vspcd)
        self.assertEqual(found[vm.id]["port"], self.block.first)
        self.assertNotIn("port", found[one["id"]])
        self.assertIsNone(connected_vm(vspcd, "vm1", digits=digits).port)

    def test_a_vm_that_has_been_away_for_less_keeps_it(self):
        port = self.block.first
        self.store(1001, name="vm1", port=port, gone=usec_now() - 50 * MINUTE)
        vspcd = self.begin_with_one_port()
        self.assertIsNone(connected_vm(vspcd).port)
        self.assertFalse(vspcd.has_logged("gives up port"))

    def test_a_vm_that_has_a_client_keeps_it(self):
        port = self.block.first
        self.store(1001, name="vm1", port=port, gone=usec_now() - 2 * HOUR)
        vspcd = self.begin_with_one_port()
        client = Peer(("127.0.0.1", port))
        vspcd.wait_logged("VM vm1 .*client .* connected")
        self.assertIsNone(connected_vm(vspcd).port)
        self.assertFalse(vspcd.has_logged("gives up port"))
        self.assertFalse(client.eof)

    def test_a_vm_that_is_connected_keeps_it(self):
        port = self.block.first
        digits = self.store(1001, name="vm1", port=port, gone=usec_now() - 2 * HOUR)
        vspcd = self.begin_with_one_port()
        self.assertEqual(connected_vm(vspcd, "vm1", digits=digits).port, port)
        self.assertIsNone(connected_vm(vspcd).port)
        self.assertFalse(vspcd.has_logged("gives up port"))

    def test_one_that_comes_back_gets_another_port(self):
        port = self.block.first
        digits = self.store(1001, name="vm1", port=port, gone=usec_now() - 2 * HOUR)
        vspcd = self.begin_with_one_port()
        self.assertEqual(connected_vm(vspcd, "new").port, port)
        vm = connected_vm(vspcd, "vm1", digits=digits)
        self.assertIsNone(vm.port)
        vspcd.reload(VMPortRangeEnd=port + 1)
        self.assertEqual(wait_served(vm), port + 1)

    def test_it_does_not_get_that_port_again_when_ports_are_turned_off_and_on(self):
        """Though it is looked at first, having been known for longer."""
        port = self.block.first
        digits = self.store(1001, name="vm1", port=port, gone=usec_now() - 2 * HOUR)
        vspcd = self.begin_with_one_port()
        vm = connected_vm(vspcd, "new")
        self.assertIsNone(connected_vm(vspcd, "vm1", digits=digits).port)
        vspcd.reload(VMPorts="no")
        vspcd.reload(VMPorts="yes")
        assert_reachable(vm)
        self.assertEqual([vm.get("port") for vm in Caller(vspcd).list()], [None, port])

    def test_a_port_out_of_the_range_is_given_up_for_nobody(self):
        port = self.block.first
        self.store(1001, name="vm1", port=port, gone=usec_now() - 2 * HOUR)
        vspcd = self.begin_with_one_port()
        vspcd.reload(VMPortRangeStart=port + 1, VMPortRangeEnd=port + 1)
        self.assertEqual(connected_vm(vspcd).port, port + 1)
        self.assertIsNone(connected_vm(vspcd).port)
        self.assertFalse(vspcd.has_logged("gives up port"))
        self.assertFalse(is_port_free(port))

    def test_the_one_that_was_away_for_longer_is_first_where_nothing_else_is_known(self):
        first = self.block.first
        for n in range(3):
            self.store(1000 + n, port=first + n, gone=usec_now() - (2, 4, 3)[n] * HOUR)
        vspcd = self.begin(VMPortRangeStart=first, VMPortRangeEnd=first + 2)
        self.assertEqual([connected_vm(vspcd).port for _ in range(4)], [first + 1, first + 2, first, None])


class Descriptors(StoreTest):
    """Near the limit, VMs that are away stop listening. None of them is forgotten, or loses its port."""

    N, LIMIT = 30, 128  # of which 32 are kept back

    def begin_with_vms_away(self, **config):
        """Each has been away for a minute longer than the one after it."""
        now = usec_now()
        self.digits = [self.store(1000 + n, name=f"vm{n}", port=self.block.first + n, gone=now - MINUTE * (self.N - n))
                       for n in range(self.N)]
        vspcd = self.begin(nofile=self.LIMIT, **config)
        self.caller = Caller(vspcd)
        self.host = connected_vm(vspcd, "host")
        self.assertEqual(self.closed(), [])
        return vspcd

    def closed(self):
        """The numbers of the VMs that do not listen; the others do."""
        vms = {int(vm["name"].removeprefix("vm")): vm for vm in self.caller.list() if vm["name"].startswith("vm")}
        self.assertEqual(sorted(vms), list(range(self.N)))
        for n, vm in vms.items():
            self.assertEqual(vm.get("port", vm.get("reservedPort")), self.block.first + n)
            self.assertNotEqual("port" in vm, "reservedPort" in vm)
        return sorted(n for n, vm in vms.items() if "port" not in vm)

    def fill(self, n_closed):
        """Clients of a VM that is connected, until so many VMs that are away do not listen."""
        clients = []
        while len(self.closed()) < n_closed:
            clients.append(RawClient(self.host))
        return clients

    def test_idle_connections_make_it_forget_no_vm(self):
        vspcd = self.begin_with_vms_away()
        strangers = [Peer(vspcd.vm_address) for _ in range(130)]
        vspcd.wait_logged("descriptors are running out")
        self.assertGreater(len(self.closed()), 0)
        for stranger in strangers:
            stranger.close()
        wait_for(lambda: not self.closed(), "all VMs to listen again")
        vspcd.wait_logged("All VMs listen at their ports again")
        for n in range(self.N):
            Peer(("127.0.0.1", self.block.first + n)).close()
        self.assertEqual({(mapping.name, mapping.port) for mapping in self.mappings().values()},
                         {("host", self.host.port), *((f"vm{n}", self.block.first + n) for n in range(self.N))})

    def test_the_vm_that_has_been_away_for_longest_stops_listening_first(self):
        vspcd = self.begin_with_vms_away()
        for n in range(1, 6):  # at times two for one connection: a thread that writes a file may be faster
            self.fill(n)
            closed = self.closed()
            self.assertEqual(closed, list(range(len(closed))))
        self.assertTrue(is_port_free(self.block.first))
        self.assertFalse(is_port_free(self.block.first + self.N - 1))

    def test_it_is_said_once(self):
        vspcd = self.begin_with_vms_away()
        self.fill(5)
        vspcd.wait_logged("File descriptors are running out: .*LimitNOFILE= could be raised")
        self.assertEqual(self.caller.get("GetMetrics")["portsClosed"], len(self.closed()))
        self.fill(10)
        vspcd.settle_log()
        self.assertEqual(vspcd.count_logged("descriptors are running out"), 1)

    def test_one_that_comes_back_listens_at_once(self):
        vspcd = self.begin_with_vms_away()
        self.fill(5)
        vm = connected_vm(vspcd, "vm2", digits=self.digits[2])
        self.assertEqual(vm.port, self.block.first + 2)
        assert_reachable(vm)
        self.assertNotIn(2, self.closed())

    def test_one_with_a_client_goes_on_listening(self):
        vspcd = self.begin_with_vms_away()
        client = Peer(("127.0.0.1", self.block.first))
        vspcd.wait_logged("VM vm0 .*client .* connected")
        self.fill(5)
        self.assertEqual(self.closed()[0], 1)
        self.assertFalse(client.eof)

    def test_it_is_found_by_its_port_all_the_same(self):
        vspcd = self.begin_with_vms_away()
        self.fill(5)
        self.assertEqual(self.caller.vm(str(self.block.first))["name"], "vm0")

    def test_its_port_is_no_other_vm_s(self):
        vspcd = self.begin_with_vms_away()
        self.fill(5)
        self.assertEqual(connected_vm(vspcd, "new").port, self.block.first + self.N + 1)

    def test_a_port_that_another_program_has_taken_meanwhile_is_another_one_afterwards(self):
        vspcd = self.begin_with_vms_away()
        clients = self.fill(5)
        with hold(self.block.first + 1):
            for client in clients:
                client.close()
            vspcd.wait_logged(f"Port {self.block.first + 1} is in use by another program, trying "
                              f"{self.block.first + self.N + 1}")
            vspcd.wait_logged("All VMs listen at their ports again")
        self.assertEqual(self.caller.vm("vm1")["port"], self.block.first + self.N + 1)

    def test_it_may_expire_or_be_forgotten(self):
        vspcd = self.begin_with_vms_away()
        self.fill(5)
        self.caller.get("Forget", {"vm": "vm3"})
        vspcd.reload(VMExpireSec="28min 30s")
        vspcd.wait_logged(r"VM vm1 \(.*has been gone for VMExpireSec=, forgetting it")
        names = {vm["name"] for vm in self.caller.list()}
        self.assertEqual(names, {"host", *(f"vm{n}" for n in range(self.N))} - {"vm0", "vm1", "vm3"})


if __name__ == "__main__":
    main()
