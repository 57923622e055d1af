# SPDX-License-Identifier: LGPL-2.1-or-later

"""People who share a console: watching, taking over, disconnecting, changing what somebody holds, and saying something."""

import json
import os
import unittest

from client_cases import ClientTestCase, run
from harness import TestCase, main, wait_for
from peers import RawClient, TelnetClient, connected_vm
from varlink_peer import Caller

ALICE, BOB, BOSS = 40001, 40002, 40003
ACCESS = ((f"user:{ALICE} user:{BOB}", "*", "write"), (f"user:{BOSS}", "*", "admin"))
IS_ROOT = os.geteuid() == 0


class SharingTestCase(TestCase):
    def setUp(self):
        super().setUp()
        self.vspcd = self.start(local="open", access=ACCESS)
        self.vm = connected_vm(self.vspcd, "web01")

    def caller(self, user):
        return Caller(self.vspcd, user=user)

    def attached(self, user, **parameters):
        caller = self.caller(user)
        caller.attach("web01", **parameters)
        return caller

    def clients(self):
        return {client["id"]: client for client in Caller(self.vspcd, local=True).vm("web01")["clients"]}

    def assertHears(self, caller, text):
        caller.send(text)
        self.vm.wait_data(text)


@unittest.skipUnless(IS_ROOT, "only root can become somebody else")
class Watching(SharingTestCase):
    def test_a_watcher_hinders_nobody_and_nobody_but_exclusive_access_hinders_a_watcher(self):
        watcher = self.attached(ALICE, access="read_only")
        writer = self.attached(BOB, access="write")
        second = self.attached(ALICE, access="read_only")
        self.vm.send(b"hello")
        for caller in watcher, writer, second:
            caller.wait_data(b"hello")
        for caller in watcher, second, writer:
            caller.close()
        self.vspcd.wait_logged(rf"uid {BOB} .* disconnected")
        wait_for(lambda: not self.clients(), "all to be gone")
        self.attached(BOB, access="exclusive")
        self.assertEqual(self.caller(ALICE).fail("Attach", {"vm": "web01", "access": "read_only"}, upgrade=True)[0], "AccessDenied")

    def test_a_watcher_of_a_lock_does_not_rise_when_it_ends(self):
        writer = self.attached(BOB, access="write")
        watcher = self.attached(ALICE, access="read_only")
        writer.close()
        self.vspcd.wait_logged(rf"uid {BOB} .* disconnected")
        watcher.send(b"x")
        watcher.wait_data(b"[vspc: read-only: the VM does not get what you type]")
        self.assertEqual([c["access"] for c in self.clients().values()], ["read_only"])


@unittest.skipUnless(IS_ROOT, "only root can become somebody else")
class TakingOver(SharingTestCase):
    def test_with_the_right_the_holder_reads_only_and_is_told_by_whom(self):
        holder = self.attached(ALICE, access="write")
        boss = self.attached(BOSS, access="write", force=True)
        holder.wait_data(b"[vspc: read-only: uid %d (pid " % BOSS)
        self.assertHears(boss, b"mine\r")
        holder.send(b"not mine\r")
        self.vm.send(b"both")
        holder.wait_data(b"both")
        self.assertNotIn(b"not mine", self.vm.data)
        self.vspcd.wait_logged(rf"VM web01 .*: uid {BOSS} \(pid \d+\) takes over from client uid {ALICE} \(pid \d+\)$")

    def test_by_the_usual_access_too(self):
        self.attached(ALICE, access="write")
        boss = self.caller(BOSS)
        self.assertEqual(boss.attach("web01", force=True), "free_for_all")

    def test_exclusive_access_ends_all_others(self):
        holder, watcher = self.attached(ALICE, access="write"), self.attached(BOB, access="read_only")
        raw = RawClient(self.vm)
        boss = self.caller(BOSS)
        self.assertEqual(boss.attach("web01", access="exclusive", force=True), "exclusive")
        for caller in holder, watcher:
            caller.wait_data(b"has taken over with exclusive access]")
            caller.wait_closed()
        raw.wait_closed()
        self.assertNotIn(b"vspc:", bytes(raw.data))

    def test_the_same_person_needs_no_right(self):
        first = self.attached(ALICE, access="exclusive")
        second = self.caller(ALICE)
        self.assertEqual(second.attach("web01", access="exclusive", force=True), "exclusive")
        first.wait_closed()

    def test_another_person_needs_it_and_nothing_happens_without(self):
        holder, other = self.attached(ALICE, access="write"), self.attached(BOB, access="read_only")
        for access in "write", "exclusive", "free_for_all":
            error, parameters = self.caller(BOB).fail("Attach", {"vm": "web01", "access": access, "force": True}, upgrade=True)
            self.assertEqual((error, parameters["right"], parameters["who"]),
                             ("NotPermitted", "admin", ["user:root", "group:vspc", f"user:{BOSS}"]))
        self.assertHears(holder, b"still mine\r")
        self.vm.send(b"hello")
        other.wait_data(b"hello")

    def test_the_anonymous_are_never_the_same_person(self):
        self.vspcd.reload(access=ACCESS + (("anonymous", "*", "write"),))
        holder = Caller(self.vspcd)
        holder.attach("web01", access="write")
        self.assertEqual(Caller(self.vspcd).fail("Attach", {"vm": "web01", "force": True}, upgrade=True)[0], "NotPermitted")

    def test_a_limit_holds_and_nobody_is_displaced_in_vain(self):
        self.vspcd.reload(ClientLimit=2)
        holder = self.attached(ALICE, access="write")
        self.attached(BOB, access="read_only")
        self.assertEqual(self.caller(BOSS).fail("Attach", {"vm": "web01", "access": "write", "force": True}, upgrade=True)[0],
                         "ClientLimitReached")
        self.assertHears(holder, b"still mine\r")


@unittest.skipUnless(IS_ROOT, "only root can become somebody else")
class OtherAccess(SharingTestCase):
    def number(self, caller):
        return caller.attached["client"]

    def set_access(self, user, client, access, **parameters):
        return self.caller(user).get("SetAccess", {"vm": "web01", "client": self.number(client), "access": access,
                                                   **parameters})["granted"]

    def test_the_number_in_the_reply_is_the_clients(self):
        alice, bob = self.attached(ALICE), self.attached(BOB)
        self.assertEqual({n: c["uid"] for n, c in self.clients().items()}, {self.number(alice): ALICE, self.number(bob): BOB})

    def test_ones_own_is_changed_from_elsewhere(self):
        alice, bob = self.attached(ALICE, access="read_only"), self.attached(BOB)
        self.assertEqual(self.set_access(ALICE, alice, "free_for_all"), "free_for_all")
        alice.wait_data(b"[vspc: you have free-for-all access now]")
        self.assertHears(alice, b"x")
        for _ in range(100):
            self.assertEqual(self.set_access(ALICE, alice, "read_only"), "read_only")
        self.vspcd.settle_log()
        self.assertEqual(self.vspcd.count_logged("has read-only access now"), 1)
        self.assertEqual(self.set_access(BOB, bob, "write"), "write")
        self.vspcd.wait_logged(rf"client uid {BOB} \(pid \d+\) has write access now, by uid {BOB}")

    def test_monitor_tells_what_each_has_then(self):
        monitor = Caller(self.vspcd, local=True)
        monitor.monitor()
        alice, bob = self.attached(ALICE, access="write"), self.attached(BOB)

        def wait_told(*accesses):
            while [client["access"] for client in monitor.next_event().get("vm", {}).get("clients", [])] != list(accesses):
                pass

        wait_told("write", "read_only")
        self.set_access(ALICE, alice, "free_for_all")
        wait_told("free_for_all", "free_for_all")
        self.set_access(BOB, bob, "read_only")
        wait_told("free_for_all", "read_only")

    def test_others_in_the_way_are_told_of_and_force_needs_the_right(self):
        alice, bob = self.attached(ALICE), self.attached(BOB)
        call = {"vm": "web01", "client": self.number(alice), "access": "write"}
        self.assertEqual(self.caller(ALICE).fail("SetAccess", call)[0], "AccessDenied")
        self.assertEqual(self.caller(ALICE).fail("SetAccess", {**call, "force": True})[0], "NotPermitted")
        self.assertEqual(self.set_access(BOSS, alice, "write", force=True), "write")
        bob.wait_data(b"[vspc: read-only: ")

    def test_another_persons_needs_the_right(self):
        alice = self.attached(ALICE)
        error, parameters = self.caller(BOB).fail("SetAccess", {"vm": "web01", "client": self.number(alice), "access": "read_only"})
        self.assertEqual((error, parameters["right"]), ("NotPermitted", "admin"))
        self.assertEqual(self.set_access(BOSS, alice, "read_only"), "read_only")

    def test_nobody_gets_more_than_a_section_grants(self):
        self.vspcd.reload(access=((f"user:{ALICE}", "*", "watch"), (f"user:{BOSS}", "*", "admin")))
        alice = self.attached(ALICE)
        for user in ALICE, BOSS:
            error, _ = self.caller(user).fail("SetAccess", {"vm": "web01", "client": self.number(alice), "access": "write"})
            self.assertEqual(error, "NotPermitted")

    def test_a_client_that_there_is_not(self):
        self.assertEqual(self.caller(BOSS).fail("SetAccess", {"vm": "web01", "client": 4711, "access": "write"}),
                         ("NoSuchClient", {"vm": "web01", "client": 4711}))
        for number in -1, "1", None, 1.5:
            self.assertEqual(self.caller(BOSS).fail("Disconnect", {"vm": "web01", "client": number})[0], "InvalidParameter")

    def test_one_client_is_disconnected_and_told_by_whom(self):
        alice, bob = self.attached(ALICE), self.attached(BOB)
        call = {"vm": "web01", "client": self.number(alice)}
        self.assertEqual(self.caller(BOB).fail("Disconnect", call)[0], "NotPermitted")
        self.caller(BOSS).get("Disconnect", call)
        alice.wait_data(b"[vspc: disconnected by uid %d (pid " % BOSS)
        alice.wait_closed()
        self.assertHears(bob, b"x")
        self.caller(BOB).get("Disconnect", {"vm": "web01", "client": self.number(bob)})
        bob.wait_closed()
        self.vspcd.wait_logged(rf"VM web01 .*: uid {BOSS} \(pid \d+\) disconnects client uid {ALICE} \(pid \d+\)$")


@unittest.skipUnless(IS_ROOT, "only root can become somebody else")
class Saying(SharingTestCase):
    def test_those_who_speak_telnet_are_told_and_raw_clients_and_the_vm_are_not(self):
        alice, telnet, raw = self.attached(ALICE, access="read_only"), TelnetClient(self.vm), RawClient(self.vm)
        self.vm.send(b"hello")
        raw.wait_data(b"hello")
        telnet.wait_data(b"hello")
        self.assertEqual(self.caller(BOB).get("Say", {"vm": "web01", "text": "reboot at \x1b[31mnoon\r\n"}), {"heard": 2})
        for client in alice, telnet:
            client.wait_data(b" says: \"reboot at \xef\xbf\xbd(31mnoon")
        self.vm.send(b"end")
        raw.wait_data(b"helloend")
        self.assertNotIn(b"reboot", self.vm.data)
        self.vspcd.wait_logged(rf"VM web01 .*: uid {BOB} \(pid \d+\) says to the clients: reboot at ")

    def test_too_much_is_refused(self):
        alice = self.attached(ALICE)
        bob = self.caller(BOB)
        for i in range(10):
            bob.get("Say", {"vm": "web01", "text": "x" * 300})
        self.assertEqual(bob.fail("Say", {"vm": "web01", "text": "x"}), ("SaidTooMuch", {"vm": "web01"}))
        alice.wait_data(b"x" * 160 + b'"]')
        self.assertEqual(self.caller(BOSS).get("Say", {"vm": "web01", "text": "] [vspc: bye"}), {"heard": 1})
        alice.wait_data(b'says: ") (vspc: bye"]')
        self.assertNotIn(b"x" * 161, alice.data)

    def test_one_needs_the_right(self):
        self.vspcd.reload(access=((f"user:{ALICE}", "*", "list"),))
        self.assertEqual(self.caller(ALICE).fail("Say", {"vm": "web01", "text": "x"})[0], "NotPermitted")


class WithVspcClient(ClientTestCase):
    """The verbs and the commands of the prompt by which people do that"""

    def setUp(self):
        super().setUp()
        self.vspcd = self.start(local=True)
        self.vm = connected_vm(self.vspcd, "web01")

    def say(self, *arguments):
        return run(self.vspcd, *arguments)

    def test_watch_reads_only(self):
        terminal = self.attached(self.vspcd, "watch", "web01")
        terminal.wait_shown(b"Read-only: the VM does not get what you type")
        self.vm.send(b"hello")
        terminal.wait_shown(b"hello")
        terminal.type(b"reboot\r")
        terminal.wait_shown(b"[vspc: read-only: the VM does not get what you type]")
        self.assertNotIn(b"reboot", self.vm.data)

    def test_clients_shows_who_is_attached(self):
        self.assertEqual(self.say("clients").stdout, "No clients.\n")
        caller = Caller(self.vspcd, local=True)
        caller.attach("web01", access="write")
        raw = RawClient(self.vm)
        result = self.say("clients", "web*")
        self.assertEqual(result.stdout.splitlines()[0].split(), ["VM", "ID", "CLIENT", "ACCESS", "SINCE", "TYPED"])
        self.assertRegex(result.stdout, rf"(?m)^web01 +1 +\S+ \(pid {os.getpid()}\) +write +just now +-$")
        self.assertRegex(result.stdout, rf"(?m)^web01 +2 +127\.0\.0\.1:{raw.local_port} +read-only +")
        self.assertEqual([c["id"] for vm in json.loads(self.say("clients", "--json").stdout) for c in vm["clients"]], [1, 2])
        self.assertEqual(self.say("clients", "db*").returncode, 1)

    def test_say_and_disconnect(self):
        caller = Caller(self.vspcd, local=True)
        caller.attach("web01")
        self.assertEqual(self.say("say", "web01", "reboot", "at noon").stdout, "1 client told.\n")
        caller.wait_data(b' says: "reboot at noon"]')
        self.assertEqual(self.say("disconnect", "web01", str(caller.attached["client"])).stdout, "Client 1 disconnected.\n")
        caller.wait_closed()
        self.assertEqual(self.say("disconnect", "web01", "1").stderr, "vspc-client: VM web01 has no client 1\n")
        self.assertEqual(self.say("disconnect", "web01", "x").returncode, 1)

    def test_force_takes_over(self):
        caller = Caller(self.vspcd, local=True)
        caller.attach("web01", access="write")
        terminal = self.attached(self.vspcd, "web01", "--access=write", "--force")
        terminal.wait_shown(b"You hold write access.")
        caller.wait_data(b"has taken over]")
        terminal.type(b"mine\r")
        self.vm.wait_data(b"mine\r")

    def test_the_prompt_changes_access_says_something_and_shows_who_is_there(self):
        caller = Caller(self.vspcd, local=True)
        caller.attach("web01", access="write")
        terminal = self.attached(self.vspcd, "web01")
        terminal.wait_shown(b"Read-only: ")
        terminal.type(b"\x1d")
        for typed, shown in ((b"who", b"2: "), (b"say hello you", b"2 clients told."), (b"access write", b"denied"),
                             (b"access x", b"Access can be exclusive, "), (b"force", b"vspc> ")):
            terminal.wait_shown(b"vspc> ")
            terminal.shown.clear()
            terminal.type(typed + b"\r")
            terminal.wait_shown(shown)
        terminal.type(b"\r")
        terminal.wait_shown(b"[vspc: you have write access now]")
        caller.wait_data(b' says: "hello you"]')
        caller.wait_data(b"has taken over]")
        terminal.type(b"mine\r")
        self.vm.wait_data(b"mine\r")

    def test_list_takes_patterns_and_states(self):
        db = connected_vm(self.vspcd, "db1")
        connected_vm(self.vspcd, "web02")

        def names(*arguments):
            return [vm["name"] for vm in json.loads(self.say("list", "--json", *arguments).stdout)]
        self.assertEqual(names("web*"), ["web01", "web02"])
        self.assertEqual(names("web*", "*1"), ["web01", "web02", "db1"])
        self.assertEqual(names("db1"), ["db1"])
        self.assertEqual(self.say("list", "x*").returncode, 1)
        db.close()
        wait_for(lambda: names("--state=disconnected") == ["db1"], "the VM to be disconnected")
        self.assertEqual(names("--state=connected", "*1"), ["web01"])
        self.assertEqual(json.loads(self.say("show", "-j", "db?").stdout)["name"], "db1")


if __name__ == "__main__":
    main()
