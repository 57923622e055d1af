# SPDX-License-Identifier: LGPL-2.1-or-later

"""The three teams of vspc-consoles(7), set up by the lines of that page, and attacked from every way in: what the page's table of
rights does not grant them, they are refused. And the habits of people who come from conserver, as the page has them."""

import itertools
import re
import subprocess
import tempfile

from certificates import CLIENT
from client_cases import ClientTestCase, run
from harness import PATIENCE_SEC, main, wait_for
from peers import NAME, Peer, client_address, connected_vm, sub
from people import documented, documented_table, enter_world
from test_bus import MANAGER, PATH, VM, BusDaemon, path_of
from test_bus import NAME as NAME_ON_BUS
from test_slow_clients import SKIPPED
from test_tls_admin import AdminTestCase
from tls_peers import DecliningVm
from varlink_peer import SERVICE, Caller

PAGE = "vspc-consoles.7"

# Who is in which team
USERS = {"dora": 40301, "will": 40302, "otto": 40303, "gwen": 40304, "vera": 40305}
GROUPS = {"dba": (40311, ["dora"]), "web": (40312, ["will"]), "ops": (40313, ["otto"]), "vspc": (40319, ["vera"])}
TEAM = {"dora": "dba", "will": "web", "otto": "ops", "gwen": "gwen", "vera": "vspc"}

VMS = ("db-1", "web-1", "infra-1")
RIGHTS = ("nothing", "list", "watch", "write", "admin")

# What the page says in words, before its lines
MAY = {("dora", "db-1"): "write", ("dora", "infra-1"): "watch", ("will", "web-1"): "write", ("will", "infra-1"): "watch",
       ("otto", "infra-1"): "admin"}

# How each act of the page's table is tried at a VM: a method and its parameters. client: another person's
ACTS = {
    "see the VM and its clients in lists and events": ("List", lambda vm, client: {"name": vm}),
    "attach to read only": ("Attach", lambda vm, client: {"vm": vm, "access": "read_only"}),
    "attach to read and write": ("Attach", lambda vm, client: {"vm": vm, "access": "free_for_all"}),
    "keep others from writing or reading": ("Attach", lambda vm, client: {"vm": vm, "access": "write"}),
    "say something to the clients": ("Say", lambda vm, client: {"vm": vm, "text": "hello"}),
    "take over from another person": ("Attach", lambda vm, client: {"vm": vm, "access": "exclusive", "force": True}),
    "change the access of another person": ("SetAccess", lambda vm, client: {"vm": vm, "client": client, "access": "read_only"}),
    "disconnect another person": ("Disconnect", lambda vm, client: {"vm": vm, "client": client}),
    "disconnect all clients": ("Clear", lambda vm, client: {"vm": vm}),
    "forget the VM": ("Forget", lambda vm, client: {"vm": vm}),
}
IN_THE_WAY = {"take over from another person"}  # somebody is, and else nobody


def documented_sections():
    """As the tests write them"""
    text = documented(PAGE, "[Access]\nWho=group:dba\n")
    return tuple(re.findall(r"\[Access\]\nWho=(.*)\nVMs=(.*)\nMay=(.*)\n", text))


def names(vms):
    return sorted(vm["name"] for vm in vms)


class TeamsTestCase(AdminTestCase):
    def setUp(self):
        super().setUp()
        self.vspcd = self.start_tls(local="open", access=documented_sections())
        self.vms = dict(zip(VMS, (DecliningVm(self.vspcd, name).connect() for name in VMS)))

    def caller(self, user):
        if user == "root":
            return Caller(self.vspcd, local=True)
        return Caller(self.vspcd, user=USERS[user], groups=[gid for gid, members in GROUPS.values() if user in members])

    def attached(self, user, vm, **parameters):
        caller = self.caller(user)
        caller.attach(vm, **parameters)
        return caller

    def rename(self, vm, name):
        vm.send_raw(sub(NAME, name.encode()))
        self.vspcd.wait_logged(f"is now called {name}")

    def attempt(self, caller, act, vm, client):
        """Returns: the name of the error, or None; and its parameters."""
        method, parameters = ACTS[act]
        reply = caller.call(method, parameters(vm, client), **({"upgrade": True} if method == "Attach" else {}))
        return reply.get("error", "").rsplit(".", 1)[-1] or None, reply["parameters"]


class LocalSocket(TeamsTestCase):
    def test_each_may_do_what_the_table_of_rights_says_and_nothing_else(self):
        rows = documented_table(PAGE, "Act|Right")
        self.assertEqual([act for act, _ in rows], list(ACTS))
        for (act, needed), user, vm in itertools.product(rows, USERS, VMS):
            with self.subTest(act=act, user=user, vm=vm):
                victim = self.attached("root", vm, access="free_for_all" if act in IN_THE_WAY else "read_only")
                may = "admin" if user == "vera" else MAY.get((user, vm), "nothing")
                caller = self.caller(user)
                error, parameters = self.attempt(caller, act, vm, victim.attached["client"])
                if user == "gwen":
                    self.assertEqual((error, parameters), ("NotPermitted", {"who": ["user:root", "group:vspc"]}))
                elif RIGHTS.index(may) >= RIGHTS.index(needed):
                    self.assertIn(error, (None, "VMConnected"))
                elif may == "nothing":
                    self.assertEqual((error, parameters), ("NoSuchVM", {"vm": vm}))
                else:
                    self.assertEqual(error, "NotPermitted")
                    refused = parameters["act"], parameters["right"]
                    # Whoever may only watch is refused the access, whether it is another person's or not.
                    self.assertIn(refused, ((act, needed), *([("keep others from writing or reading", "write")]
                                                             if act in IN_THE_WAY and may == "watch" else [])))
                victim.close()
                caller.close()
                wait_for(lambda vm=vm: not self.caller("root").vm(vm)["clients"], "all to be gone")

    def test_each_sees_what_he_may_list(self):
        seen = {user: names(self.caller(user).list()) for user in ("dora", "will", "otto", "vera")}
        self.assertEqual(seen, {"dora": ["db-1", "infra-1"], "will": ["infra-1", "web-1"], "otto": ["infra-1"],
                                "vera": sorted(VMS)})

    def test_how_many_vms_there_are_is_no_secret_kept_badly(self):
        for vms in VMS, VMS[:1]:
            for vm in set(VMS) - set(vms):
                self.vms[vm].close()
            for method in "List", "GetMetrics":
                error, _ = self.caller("otto").fail(method)
                self.assertIn(error, ("ExpectedMore", "NotPermitted"))

    def test_those_who_may_do_everything_are_never_kept_from_it(self):
        """By watchers, by those who listen to events, or by those who talk"""
        watchers = [self.attached("dora", "infra-1") for _ in range(30)]
        for watcher in watchers[::3]:
            watcher.close()
        boss = self.attached("otto", "infra-1", access="exclusive", force=True)
        wait_for(lambda: [c["id"] for c in self.caller("root").vm("infra-1")["clients"]] == [boss.attached["client"]],
                 "all others to be gone")
        boss.close()

        talker = self.caller("dora")
        for _ in range(10):
            talker.get("Say", {"vm": "infra-1", "text": "\x1b[2J] [vspc: type your password"})
        self.assertEqual(talker.fail("Say", {"vm": "infra-1", "text": "x"})[0], "SaidTooMuch")
        self.caller("otto").get("Say", {"vm": "infra-1", "text": "maintenance"})

        held = [self.caller(user) for user in ("dora", "will", "otto") for _ in range(120)]
        for caller in held:
            caller.say("Monitor", more=True)
        self.caller("root").monitor()

    def test_what_is_said_twice_is_done_once(self):
        victim = self.attached("otto", "infra-1", access="exclusive")
        number = victim.attached["client"]
        caller = self.caller("otto")
        for method, more in ("SetAccess", {"access": "write", "force": True}), ("Disconnect", {}), ("Disconnect", {}), (
                "SetAccess", {"access": "write"}):
            caller.say(method, {"vm": "infra-1", "client": number, **more})
        self.assertEqual([caller.next_reply().get("error", "").rsplit(".", 1)[-1] for _ in range(4)],
                         ["", "", "NoSuchClient", "NoSuchClient"])
        victim.wait_closed()


class OtherWays(TeamsTestCase):
    def assertMayNothing(self, make_caller, vm, error):
        for act in ACTS:
            with self.subTest(act=act):
                self.assertEqual(self.attempt(make_caller(), act, vm, 1)[0], error)

    def test_the_anonymous_may_list_a_vm_called_none_and_no_other(self):
        for vm in VMS:
            self.assertMayNothing(lambda: Caller(self.vspcd), vm, "NoSuchVM")
        self.rename(self.vms["db-1"], "none")
        self.assertEqual(names(Caller(self.vspcd).list()), ["none"])
        self.assertEqual(Caller(self.vspcd).fail("Attach", {"vm": "none"}, upgrade=True)[0], "NotPermitted")

    def test_at_the_port_of_a_vm_one_is_told_nothing(self):
        peer = Peer(client_address(self.vms["db-1"]))
        peer.wait_closed()
        self.assertEqual(bytes(peer.raw), b"[vspc: refused, no right to use this port]\r\n")

    def test_a_certificate_that_no_section_names_may_nothing(self):
        for name in "dba", "group:dba", "dora", "root", "vspc":
            certificate = self.authority.issue(name, purpose=CLIENT)
            caller = self.call_as(self.vspcd, certificate)
            self.assertEqual(caller.fail(f"{SERVICE}.GetInfo")[0], "NotPermitted")
            caller.wait_closed()
        self.assertMayNothing(lambda: self.call_as(self.vspcd, self.alice), "db-1", "NotPermitted")

    def test_on_the_bus_nothing_can_be_done_and_nothing_learnt(self):
        bus = self.enterContext(BusDaemon())
        self.vspcd = self.start(local="open", access=documented_sections(), env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
        self.vspcd.wait_logged(f"On the system bus as {NAME_ON_BUS}")
        db, infra = connected_vm(self.vspcd, "db-1"), connected_vm(self.vspcd, "infra-1")
        arguments = {"ListVMs": (), "GetVM": (), "Attach": ("string:", "uint64:1"), "Clear": (), "Forget": (),
                     "SetAccess": ("uint64:1", "string:write", "boolean:true"), "Disconnect": ("uint64:1",), "Say": ("string:x",)}

        def call(user, path, *words):
            gid = GROUPS.get(TEAM[user], (USERS[user],))[0]
            return subprocess.run(["setpriv", f"--reuid={USERS[user]}", f"--regid={USERS[user]}", f"--groups={gid}", "dbus-send",
                                   f"--bus={bus.address}", "--print-reply", f"--dest={NAME_ON_BUS}", path, *words],
                                  capture_output=True, text=True, timeout=PATIENCE_SEC, check=False)
        for user, vm in itertools.product(("dora", "otto", "gwen"), (db, infra)):
            calls = [(PATH, f"{MANAGER}.{m}", *([] if m == "ListVMs" else [f"string:{vm.name}"]), *a) for m, a in arguments.items()]
            calls += [(path_of(vm), f"{VM}.{m}", *a) for m, a in arguments.items() if m not in ("ListVMs", "GetVM")]
            calls += [(path_of(vm), "org.freedesktop.DBus.Properties.GetAll", f"string:{VM}"),
                      (PATH, "org.freedesktop.DBus.ObjectManager.GetManagedObjects")]
            for words in calls:
                with self.subTest(user=user, words=words):
                    result = call(user, *words)
                    self.assertNotEqual(result.returncode, 0)
                    self.assertIn("By [Access] in vspc.conf not all users may list all VMs", result.stderr)
        self.assertIn("db-1", call("vera", PATH, f"{MANAGER}.ListVMs").stdout)


class Changes(TeamsTestCase):
    def test_a_vm_that_is_renamed_is_lost_to_those_who_had_it_by_its_name(self):
        watcher, monitor, owner = self.attached("dora", "infra-1"), self.caller("dora"), self.attached("otto", "infra-1")
        monitor.monitor()
        self.rename(self.vms["infra-1"], "secret")
        for caller in watcher, owner:
            caller.wait_data(b"[vspc: you have no right to use this VM any more]")
            caller.wait_closed()
        self.assertEqual(monitor.wait_event("removed")["vm"]["name"], "infra-1")
        self.assertEqual(self.caller("otto").fail("Attach", {"vm": self.vms["infra-1"].id}, upgrade=True)[0], "NoSuchVM")

    def test_a_vm_that_is_renamed_without_end_does_not_flood_those_who_listen(self):
        monitor = self.caller("dora")
        monitor.monitor()
        for n in range(400):
            self.vms["web-1"].send_raw(sub(NAME, b"db-evil" if n % 2 == 0 else b"x-evil"))
        self.vms["web-1"].send_raw(sub(NAME, b"db-last"))
        monitor.wait(lambda: any(r["parameters"]["vm"]["name"] == "db-last" for r in monitor.replies), "the last name")
        kinds = {r["parameters"]["event"] for r in monitor.replies}
        self.assertLessEqual(kinds, {"added", "removed", "renamed", "changed"})
        self.assertLessEqual(len(monitor.replies), 801)
        self.assertFalse(SKIPPED.search(bytes(monitor.raw)))

    def test_who_loses_a_right_by_a_reload_loses_it_at_once(self):
        watcher, writer, monitor = self.attached("dora", "infra-1"), self.attached("dora", "db-1"), self.caller("dora")
        monitor.monitor()
        other = self.attached("otto", "infra-1", access="write")
        self.vspcd.reload(access=tuple(s for s in documented_sections() if "dba" not in s[0]))
        for caller in watcher, writer:
            caller.wait_data(b"[vspc: you have no right to use this VM any more]")
            caller.wait_closed()
        monitor.wait(lambda: any("error" in r for r in monitor.replies), "an error")
        self.assertEqual(monitor.replies[-1]["error"], "org.vspc.Concentrator.NotPermitted")
        monitor.wait_closed()
        other.send(b"still mine")
        self.vms["infra-1"].wait_data(b"still mine")


class Conserver(ClientTestCase):
    """The habits of the page's table: each of its rows is tried."""

    def setUp(self):
        super().setUp()
        self.vspcd = self.start(local=True)
        self.vm = connected_vm(self.vspcd, "web01")

    def at_prompt(self, command, shown):
        terminal = self.attached(self.vspcd, "web01")
        terminal.command(command)
        terminal.wait_shown(shown)
        return terminal

    def console(self):
        self.attached(self.vspcd, "web01").wait_shown(b"Read-only: ")

    def spy(self):
        self.attached(self.vspcd, "watch", "web01").wait_shown(b"Read-only: ")
        self.at_prompt(b"access read-only", b"vspc> ")
        self.vspcd.wait_logged("has read-only access now|to read only")

    def force(self):
        self.attached(self.vspcd, "web01", "--force", "--access=write").wait_shown(b"You hold write access.")
        self.holder.wait_data(b"has taken over]")
        self.at_prompt(b"force", b"vspc> ").type(b"\rmine\r")
        self.vm.wait_data(b"mine\r")

    def bump(self):
        self.assertEqual(run(self.vspcd, "disconnect", "web01", str(self.holder.attached["client"])).returncode, 0)
        self.holder.wait_closed()

    def who(self):
        self.assertIn("web01", run(self.vspcd, "clients").stdout)
        self.at_prompt(b"who", b"%d: " % self.holder.attached["client"])

    def up(self):
        self.assertIn("1 VM, 1 connected.", run(self.vspcd, "list", "--state=connected").stdout)

    def message(self):
        self.at_prompt(b"say hello", b"2 clients told.")
        self.holder.wait_data(b'says: "hello"]')
        self.assertIn(" told.", run(self.vspcd, "say", "web01", "hello").stdout)

    def broadcast(self):
        self.assertEqual(run(self.vspcd, "say", "*", "hello").returncode, 1)

    def read_log(self):
        self.assertIn("log VM|PATTERN…", run(self.vspcd, "--help").stdout)  # test_client_log.py reads one

    def send_break(self):
        terminal = self.attached(self.vspcd, "web01", "--force")
        terminal.command(b"force")
        terminal.wait_shown(b"vspc> ", len(terminal.shown))
        terminal.type(b"break\r")
        self.vm.wait_trace(("command", 243))

    def leave(self):
        self.assertEqual(self.at_prompt(b"quit", b"vspc> ").wait_exit(), 0)

    def lists(self):
        self.assertEqual({may for _, _, may in documented_sections()}, {"list", "watch", "write", "admin"})

    def test_each_habit_has_what_the_page_says(self):
        habits = {"console web01": self.console, "attach read-only, spy": self.spy, "force": self.force, "bump": self.bump,
                  "who is on": self.who, "who is up": self.up, "message to a console": self.message,
                  "broadcast to all": self.broadcast, "read the log": self.read_log, "send a break": self.send_break,
                  "disconnect": self.leave, "console.cf": self.lists}
        rows = [habit.split(":")[0] for habit, _ in documented_table(PAGE, "Habit|Here")]
        self.assertEqual(rows, list(habits))
        for habit, attempt in habits.items():
            with self.subTest(habit=habit):
                run(self.vspcd, "clear", "web01")
                self.holder = Caller(self.vspcd, local=True)
                self.holder.attach("web01", access="write")
                attempt()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="vspc-users-") as users:
        enter_world(users, USERS, GROUPS)
        main()
