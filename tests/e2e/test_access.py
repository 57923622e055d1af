# SPDX-License-Identifier: LGPL-2.1-or-later

"""Access modes: each request with each kind of holder, over Varlink and at the VM's port, and the effect on other
clients when a lock begins and ends."""

import itertools
import os
import pwd
import socket
import time

from harness import Silence, TestCase, main, queued, wait_for
from peers import (AYT, BINARY, BRK, DO, IAC, SGA, WILL, Peer, RawClient, TelnetClient, client_address, connected_vm,
                   console_of, say)
from test_slow_clients import send_until_stuck
from varlink_peer import Caller, attached

MODES = ("exclusive", "write", "free_for_all", "free_for_all_fallback")
SINCE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"

# What each request is granted in view of what others hold; None: it is refused.
TABLE = {
    (): {"exclusive": "exclusive", "write": "write", "free_for_all": "free_for_all",
         "free_for_all_fallback": "free_for_all"},
    ("free_for_all",): {"exclusive": None, "write": None, "free_for_all": "free_for_all",
                        "free_for_all_fallback": "free_for_all"},
    ("write",): {"exclusive": None, "write": None, "free_for_all": None, "free_for_all_fallback": "read_only"},
    ("write", "read_only"): {"exclusive": None, "write": None, "free_for_all": None,
                             "free_for_all_fallback": "read_only"},
    ("exclusive",): dict.fromkeys(MODES),
}

# In whose way is who: of these holders those that a refusal names
OBSTACLES = {
    "exclusive": {"read_only", "free_for_all", "write", "exclusive"},
    "write": {"free_for_all", "write", "exclusive"},
    "free_for_all": {"write", "exclusive"},
    "free_for_all_fallback": {"exclusive"},
}


def telnet(vm):
    client = TelnetClient(vm)
    client.wait_trace(("will", SGA))
    return client


# Ways to come to hold each kind of access
HOLDERS = {
    "exclusive": [lambda vm: attached(vm, access="exclusive")],
    "write": [lambda vm: attached(vm, access="write")],
    "free_for_all": [lambda vm: attached(vm, access="free_for_all"), lambda vm: attached(vm, access="free-for-all"),
                     lambda vm: attached(vm, access="free_for_all_fallback"), attached, RawClient, telnet],
    "read_only": [attached, lambda vm: attached(vm, access="free_for_all_fallback"), RawClient, telnet],
}


def clients_of(vm):
    caller = Caller(vm.vspcd)
    clients = caller.vm(vm.id)["clients"]
    caller.close()
    return clients


def accesses(vm):
    return [client["access"] for client in clients_of(vm)]


def hears(vm, client, text):
    client.send(text)
    vm.wait_data(text)


def sees(vm, client, text):
    vm.send(text)
    client.wait_data(text)


def is_read(client):
    """Whether vspcd reads what that client sends, or stops to do so before it has all of it."""
    silence = Silence()
    while not silence.is_over(False):
        if queued(client.sock.getpeername(), client.sock.getsockname())[0] == 0:
            return True
    return False


class Table(TestCase):
    def holders(self, vm, held):
        """Each way in which there can be holders of this access, one after the other."""
        for ways in itertools.product(*(HOLDERS[access] for access in held)):
            clients = [way(vm) for way in ways]
            self.assertEqual(accesses(vm), list(held))
            yield clients
            for client in clients:
                client.close()
            wait_for(lambda: not clients_of(vm), "the holders to be gone")

    def request(self, vm, mode, held, clients, granted):
        caller = Caller(vm.vspcd)
        reply = caller.call("Attach", {"vm": vm.id, "access": mode}, upgrade=True)
        if granted:
            self.assertEqual(reply["parameters"]["granted"], granted)
            self.assertEqual(accesses(vm), [*held, granted])
            sees(vm, caller, b"<seen>")
            caller.close()
            wait_for(lambda: len(clients_of(vm)) == len(held), "the client to be gone")
            return
        self.assertEqual(reply["error"], "org.vspc.Concentrator.AccessDenied")
        parameters = reply["parameters"]
        self.assertEqual((parameters["vm"], parameters["access"]), (vm.id, mode))
        in_the_way = [f"127.0.0.1:{client.local_port}" for access, client in zip(held, clients)
                      if access in OBSTACLES[mode]]
        self.assertEqual([holder["peer"] for holder in parameters["holders"]], in_the_way)
        self.assertEqual(accesses(vm), list(held))
        caller.get("GetMetrics")  # it can go on asking
        caller.close()

    def come_to_the_port(self, vm, held, granted):
        if not granted:
            refused = Peer(("127.0.0.1", vm.port))
            refused.wait_closed()
            self.assertRegex(bytes(refused.raw), rb"^\[vspc: refused, [^\r\n]+\]\r\n$")
            self.assertFalse(refused.reset)
            self.assertEqual(accesses(vm), list(held))
            return
        client = telnet(vm)
        self.assertEqual(accesses(vm), [*held, granted])
        sees(vm, client, b"<seen>")
        client.close()
        wait_for(lambda: len(clients_of(vm)) == len(held), "the client to be gone")

    def walk(self, held):
        vm = connected_vm(self.start())
        for clients in self.holders(vm, held):
            for mode in MODES:
                self.request(vm, mode, held, clients, TABLE[held][mode])
            self.come_to_the_port(vm, held, TABLE[held]["free_for_all_fallback"])

    def test_nobody_is_there(self):
        self.walk(())

    def test_others_read_and_write(self):
        self.walk(("free_for_all",))

    def test_somebody_has_write_access(self):
        self.walk(("write",))

    def test_somebody_has_write_access_and_others_watch(self):
        self.walk(("write", "read_only"))

    def test_somebody_has_exclusive_access(self):
        self.walk(("exclusive",))


class Refusal(TestCase):
    def check_port(self, vm, holder):
        refused = Peer(("127.0.0.1", vm.port))
        refused.wait_closed()
        held = f"{holder} has exclusive access since {SINCE}"
        self.assertRegex(refused.raw.decode(), rf"^\[vspc: refused, {held}\]\r\n$")
        vm.vspcd.wait_logged(console_of(vm.vspcd, vm) + rf"client 127\.0\.0\.1:{refused.local_port} refused: {held}$")

    def test_it_says_who_is_in_the_way_since_when(self):
        vm = connected_vm(self.start(local=True))
        before = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        holder = attached(vm, access="exclusive")
        self.check_port(vm, rf"127\.0\.0\.1:{holder.local_port}")
        found = vm.vspcd.wait_logged("exclusive access since (.*) UTC")[1]
        self.assertLessEqual(before, found)
        self.assertLessEqual(found, time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()))

        caller = Caller(vm.vspcd)
        caller.fail("Attach", {"vm": vm.id, "access": "write"}, upgrade=True)
        vm.vspcd.wait_logged(rf"client 127\.0\.0\.1:{caller.local_port} refused: 127\.0\.0\.1:{holder.local_port} "
                             "has exclusive access since")

    def test_it_names_a_local_user(self):
        vm = connected_vm(self.start(local=True))
        attached(vm, local=True, access="exclusive")
        self.check_port(vm, rf"{pwd.getpwuid(os.getuid()).pw_name} \(pid {os.getpid()}\)")

    def test_it_names_the_one_who_is_in_the_way_and_not_the_first(self):
        vm = connected_vm(self.start())
        writer = attached(vm, access="write")
        reader = attached(vm)
        caller = Caller(vm.vspcd)
        name, parameters = caller.fail("Attach", {"vm": vm.id, "access": "write"}, upgrade=True)
        self.assertEqual((name, [h["peer"] for h in parameters["holders"]]),
                         ("AccessDenied", [f"127.0.0.1:{writer.local_port}"]))
        _, parameters = caller.fail("Attach", {"vm": vm.id, "access": "exclusive"}, upgrade=True)
        self.assertEqual([(h["peer"], h["access"]) for h in parameters["holders"]],
                         [(f"127.0.0.1:{writer.local_port}", "write"),
                          (f"127.0.0.1:{reader.local_port}", "read_only")])
        vm.vspcd.wait_logged(rf"refused: 127\.0\.0\.1:{writer.local_port} has write access since")

    def test_what_is_typed_behind_a_refused_call_reaches_no_vm(self):
        vm = connected_vm(self.start())
        holder = attached(vm, access="exclusive")
        caller = Caller(vm.vspcd)
        caller.say("Attach", {"vm": vm.id}, upgrade=True, typed=b"rm -rf /\r")
        self.assertEqual(caller.next_reply()["error"], "org.vspc.Concentrator.AccessDenied")
        hears(vm, holder, b"<heard>")
        self.assertEqual(bytes(vm.data), b"<heard>")

    def test_the_limit_counts_all_kinds_of_clients(self):
        vm = connected_vm(self.start(ClientLimit=4, local=True))
        clients = [attached(vm, access="write"), attached(vm, local=True), RawClient(vm), telnet(vm)]
        caller = Caller(vm.vspcd)
        self.assertEqual(caller.fail("Attach", {"vm": vm.id}, upgrade=True),
                         ("ClientLimitReached", {"vm": vm.id, "limit": 4}))
        refused = Peer(("127.0.0.1", vm.port))
        refused.wait_closed()
        self.assertEqual(bytes(refused.raw), b"[vspc: refused, this VM has 4 clients already]\r\n")
        vm.vspcd.wait_logged(r"refused: this VM has 4 clients already, as many as ClientLimit= allows")
        # Who could not have what it wants anyway is told so.
        self.assertEqual(caller.fail("Attach", {"vm": vm.id, "access": "write"}, upgrade=True)[0], "AccessDenied")
        clients.pop().close()
        wait_for(lambda: len(clients_of(vm)) == 3, "a client to be gone")
        self.assertEqual(caller.attach(vm), "read_only")


class ReadOnly(TestCase):
    def test_what_it_types_does_not_reach_the_vm_and_it_is_told_once(self):
        for connect in (attached, telnet):
            vm = connected_vm(self.start())
            writer = attached(vm, access="write")
            reader = connect(vm)
            reader.send(b"not heard")
            reader.send_raw(bytes([IAC, BRK]))
            reader.wait_data(b"]\r\n")
            reader.send(b"nor this")
            sees(vm, reader, b"<seen>")
            hears(vm, writer, b"<heard>")
            self.assertEqual([t for t in vm.trace if t == ("command", BRK)], [])
            self.assertEqual(bytes(vm.data), b"<heard>")
            notice = rf"read-only: 127\.0\.0\.1:{writer.local_port} has write access since {SINCE}"
            self.assertRegex(reader.data.decode(), rf"^\r\n\[vspc: {notice}\]\r\n<seen>$")

    def test_a_break_alone_tells_it_as_well(self):
        vm = connected_vm(self.start())
        writer = attached(vm, access="write")
        reader = attached(vm)
        reader.send_raw(bytes([IAC, BRK]))
        reader.wait_data(b"[vspc: read-only: ")
        writer.send_raw(bytes([IAC, BRK]))
        vm.wait_trace(("command", BRK))
        self.assertEqual(vm.trace.count(("command", BRK)), 1)

    def test_what_it_types_in_the_same_write_as_its_call_does_not_reach_the_vm(self):
        vm = connected_vm(self.start())
        writer = attached(vm, access="write")
        reader = Caller(vm.vspcd)
        reader.say("Attach", {"vm": vm.id}, upgrade=True, typed=b"early" + bytes([IAC, BRK]))
        reader.wait_data(b"[vspc: read-only: ")
        hears(vm, writer, b"<heard>")
        self.assertEqual((bytes(vm.data), vm.trace.count(("command", BRK))), (b"<heard>", 0))

    def test_it_may_ask_whether_the_vm_is_there(self):
        vm = connected_vm(self.start())
        attached(vm, access="write")
        reader = attached(vm)
        reader.send_raw(bytes([IAC, AYT]))
        reader.wait_data(f"[vspc: yes, VM {vm.name} is connected]".encode())

    def test_a_raw_client_gets_the_vms_output_and_nothing_else(self):
        vm = connected_vm(self.start())
        writer = attached(vm, access="write")
        raw = RawClient(vm)
        raw.send(b"not heard")
        sees(vm, raw, b"<raw>")
        raw.send(b"nor this")
        hears(vm, writer, b"<heard>")
        sees(vm, raw, b"<raw again>")
        writer.close()
        wait_for(lambda: accesses(vm) == ["free_for_all"], "the lock to end")
        hears(vm, raw, b"<raw heard>")
        sees(vm, raw, b"<still raw>")
        self.assertSameBytes(raw.data, b"<raw><raw again><still raw>")
        self.assertSameBytes(vm.data, b"<heard><raw heard>")

    def test_it_is_read_even_while_the_vm_takes_no_input(self):
        """Whoever watches can leave, and can ask: what it types holds up nobody."""
        vm = connected_vm(self.start())
        writer, reader, raw = attached(vm, access="write"), attached(vm), RawClient(vm)
        send_until_stuck(writer, b"k" * 65536)
        for client in (reader, raw):
            sent = 0
            while sent < 16 << 20:
                client.send_raw(b"n" * 65536)
                sent += 65536
        reader.send_raw(bytes([IAC, AYT]))
        reader.wait_data(b"[vspc: yes, VM ")
        for client in (reader, raw):
            client.close()
        wait_for(lambda: accesses(vm) == ["write"], "those who watch to be gone")
        vm.wait_size(1)
        vm.wait(lambda: len(vm.data) > 65536, "the keys")
        self.assertNotIn(b"n", vm.data)

    def test_what_it_types_does_not_reach_the_vm_after_it_has_ended_its_sending_side_either(self):
        """While it does not read its answers it is not read, so that its last words wait."""
        vm = connected_vm(self.start())
        writer, reader = attached(vm, access="write"), TelnetClient(vm, receive_buffer=4096)
        while is_read(reader):
            reader.send_raw(say(DO, 99) * 10_000)
        reader.send_raw(b"not heard")
        reader.sock.shutdown(socket.SHUT_WR)
        wait_for(lambda: (reader.pump(), len(clients_of(vm)) == 1)[1], "the reader to be gone")
        hears(vm, writer, b"<heard>")
        self.assertEqual(bytes(vm.data), b"<heard>")

    def test_what_was_typed_in_vain_is_not_typed_later(self):
        vm = connected_vm(self.start())
        writer, reader = attached(vm, access="write"), attached(vm)
        reader.send(b"in vain")
        reader.wait_data(b"read-only: ")
        writer.close()
        reader.wait_data(b"you can type now]\r\n")
        hears(vm, reader, b"<heard>")
        self.assertEqual(bytes(vm.data), b"<heard>")


    def test_what_it_has_said_of_telnet_is_not_in_vain(self):
        """It begins with an answer that might be the first of our own offers, so that more is waited for."""
        vm = connected_vm(self.start())
        writer, reader = attached(vm, access="write"), Peer(client_address(vm))
        reader.send_raw(say(WILL, BINARY))
        vm.vspcd.wait_read(vm.port, reader)
        writer.close()
        wait_for(lambda: accesses(vm) == ["free_for_all"], "the lock to end")
        vm.send(b"\xff.")
        reader.wait(lambda: reader.raw.endswith(b"."), "the VM's output")
        self.assertSameBytes(reader.raw, RawClient.OFFERS + b"\xff\xff.")


class Locks(TestCase):
    def test_a_lock_ends_with_its_connection_however_that_ends(self):
        vm = connected_vm(self.start())
        clear = Caller(vm.vspcd)
        for access in ("exclusive", "write"):
            for end in (Caller.close, Caller.abort, lambda holder: clear.get("Clear", {"vm": vm.id})):
                holder = attached(vm, access=access)
                end(holder)
                wait_for(lambda: not accesses(vm), "the lock to end")
                TelnetClient(vm).close()
                wait_for(lambda: not accesses(vm), "the client to be gone")

    def test_a_lock_ends_with_its_connection_even_while_the_vm_takes_no_input(self):
        """Its VM hangs, and what it has typed waits: that is when others have to get at it."""
        vm = connected_vm(self.start())
        holder = attached(vm, access="exclusive")
        typed = send_until_stuck(holder, b"x" * 65536)
        holder.abort()
        wait_for(lambda: not accesses(vm), "the lock to end")
        for access in ("exclusive", "write"):
            holder = attached(vm, access=access)
            holder.send(b"last words of " + access.encode())
            holder.close()
            wait_for(lambda: not accesses(vm), "the lock to end")
        vm.wait_data(b"last words of exclusive")
        vm.wait_data(b"last words of write")
        self.assertGreater(typed, 0)

    def test_a_lock_outlives_the_vms_connection(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        holder = attached(vm, access="exclusive")
        vm.close()
        holder.wait_data(b"VM disconnected")
        again = connected_vm(vspcd, vm.name, digits=vm.digits)
        self.assertEqual(Caller(vspcd).fail("Attach", {"vm": vm.id}, upgrade=True)[0], "AccessDenied")
        hears(again, holder, b"<heard>")

    def test_those_who_fell_back_are_heard_once_it_ends_and_only_who_had_been_told_is_told(self):
        vm = connected_vm(self.start())
        writer = attached(vm, access="write")
        typist, watcher, by_port, raw = attached(vm), attached(vm), telnet(vm), RawClient(vm)
        for client in (typist, by_port):
            client.send(b"not heard")
            client.wait_data(b"read-only: ")
        self.assertEqual(accesses(vm), ["write"] + ["read_only"] * 4)
        writer.close()
        for client in (typist, by_port):
            client.wait_data(b"\r\n[vspc: write lock released, you can type now]\r\n")
        self.assertEqual(accesses(vm), ["free_for_all"] * 4)
        for client, text in ((typist, b"<1>"), (watcher, b"<2>"), (by_port, b"<3>"), (raw, b"<4>")):
            hears(vm, client, text)
        self.assertEqual(bytes(vm.data), b"<1><2><3><4>")
        sees(vm, watcher, b"<seen>")
        self.assertEqual(bytes(watcher.data), b"<seen>")

    def test_a_new_lock_is_told_again(self):
        vm = connected_vm(self.start())
        reader = None
        for _ in range(2):
            if reader:
                reader.close()
                wait_for(lambda: not accesses(vm), "nobody to be there")
            writer = attached(vm, access="write")
            reader = attached(vm)
            reader.send(b"x")
            reader.wait_data(f"read-only: 127.0.0.1:{writer.local_port} has write access".encode())
            writer.close()
            reader.wait_data(b"you can type now")

    def test_once_it_has_ended_another_may_lock_when_nobody_writes(self):
        vm = connected_vm(self.start())
        writer, reader = attached(vm, access="write"), attached(vm)
        writer.close()
        wait_for(lambda: accesses(vm) == ["free_for_all"], "the lock to end")
        caller = Caller(vm.vspcd)
        self.assertEqual(caller.fail("Attach", {"vm": vm.id, "access": "write"}, upgrade=True)[0], "AccessDenied")
        reader.close()
        wait_for(lambda: not accesses(vm), "nobody to be there")
        self.assertEqual(caller.attach(vm, access="write"), "write")

    def test_locks_of_different_vms_are_different(self):
        vspcd = self.start()
        one, other = connected_vm(vspcd), connected_vm(vspcd)
        holders = [attached(vm, access="exclusive") for vm in (one, other)]
        for vm, holder in zip((one, other), holders):
            hears(vm, holder, b"<heard>")
            sees(vm, holder, b"<seen>")

    def test_it_is_logged_who_comes_with_which_access(self):
        vm = connected_vm(self.start())
        for access, remark in (("exclusive", ", with exclusive access"), ("write", ", with write access"),
                               ("free_for_all", "")):
            client = attached(vm, access=access)
            vm.vspcd.wait_logged(rf"client 127\.0\.0\.1:{client.local_port} connected{remark}$")
            client.close()
            wait_for(lambda: not accesses(vm), "the client to be gone")
        attached(vm, access="write")
        reader = attached(vm)
        vm.vspcd.wait_logged(rf"client 127\.0\.0\.1:{reader.local_port} connected, to read only$")


if __name__ == "__main__":
    main()
