# SPDX-License-Identifier: LGPL-2.1-or-later

"""Sections [Access]: three teams, of which two may watch the VMs of the third, and what each of them, the anonymous and
strangers are granted and refused by each way in: the local socket, TLS, TCP, VM ports and the bus; and that it is decided
again when the configuration or the name of a VM changes."""

import os
import subprocess
import unittest

from certificates import CLIENT
from harness import PATIENCE_SEC, clean_environment, main
from peers import NAME, Peer, RawClient, TelnetClient, client_address, connected_vm, sub
from test_bus import NAME as NAME_ON_BUS
from test_bus import MANAGER, NOBODY, PATH, VM, Attachment, BusDaemon, Monitor, Polkit, path_of
from test_slow_clients import MEGABYTE, SKIPPED, Feed, numbered, repeated, send_until_stuck
from test_tls_admin import AdminTestCase
from tls_peers import DecliningVm
from varlink_peer import SERVICE, Caller

VSPC_CLIENT = os.environ.get("VSPC_CLIENT", "build/vspc-client")

DBA, WEB, OPS, GUEST = 50001, 50002, 50003, 50009
TEAMS = (
    (f"group:{DBA}", "db-*", "write"),
    (f"group:{WEB}", "web-*", "write"),
    (f"group:{OPS} cert:CN=ops", "infra-*", "admin"),
    (f"group:{DBA} group:{WEB}", "infra-*", "watch"),
)
NOBODY_ELSE = (("anonymous", "none", "list"),)
FOR_ALL = (("user:*", "*", "list"),)

# A user of each team
USER = {DBA: 40001, WEB: 40002, OPS: 40003, GUEST: 40009}


def names(vms):
    return sorted(vm["name"] for vm in vms)


@unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
class RightsTestCase(AdminTestCase):
    def start_teams(self, access=TEAMS + NOBODY_ELSE, **kwargs):
        vspcd = self.start(local="open", access=access, **kwargs)
        self.db, self.web, self.infra = (connected_vm(vspcd, name) for name in ("db-1", "web-1", "infra-1"))
        return vspcd

    def caller(self, vspcd, team):
        return Caller(vspcd, user=USER[team], groups=(team,))

    def rename(self, vm, name):
        vm.send_raw(sub(NAME, name.encode()))
        vm.vspcd.wait_logged(f"is now called {name}")


class LocalSocket(RightsTestCase):
    def test_each_team_sees_its_own_vms_and_those_that_it_may_watch(self):
        vspcd = self.start_teams()
        for team, seen in ((DBA, ["db-1", "infra-1"]), (WEB, ["infra-1", "web-1"]), (OPS, ["infra-1"])):
            with self.subTest(team=team):
                self.assertEqual(names(self.caller(vspcd, team).list()), seen)
        self.assertEqual(names(Caller(vspcd, local=True).list()), ["db-1", "infra-1", "web-1"])

    def test_a_vm_that_one_may_not_list_does_not_exist(self):
        vspcd = self.start_teams()
        for what in ("web-1", self.web.id, self.web.id.upper(), str(Caller(vspcd, local=True).vm("web-1")["port"])):
            for method, flags in ("List", {}), ("Attach", {"upgrade": True}), ("Clear", {}), ("Forget", {}):
                with self.subTest(method=method, what=what):
                    error, parameters = self.caller(vspcd, DBA).fail(
                        method, {"name" if method == "List" else "vm": what}, **flags)
                    self.assertEqual((error, parameters), ("NoSuchVM", {"vm": what}))

    def test_a_vm_of_the_same_name_that_one_may_not_list_makes_nothing_ambiguous(self):
        vspcd = self.start(local="open", access=((f"user:{USER[DBA]}", "mine*", "write"),))
        mine, other = connected_vm(vspcd, "mine-1", digits="50120000" + 24 * "0"), connected_vm(
            vspcd, "other", digits="50120000" + 24 * "1")
        caller = Caller(vspcd, user=USER[DBA])
        self.assertEqual(caller.vm("50120000")["id"], mine.id)
        error, parameters = Caller(vspcd, local=True).fail("Attach", {"vm": "50120000"}, upgrade=True)
        self.assertEqual((error, sorted(parameters["uuids"])), ("AmbiguousVM", sorted([mine.id, other.id])))

    def test_who_may_write_writes_and_may_lock(self):
        vspcd = self.start_teams()
        for access, granted in ((None, "free_for_all"), ("write", "write"), ("exclusive", "exclusive")):
            caller = self.caller(vspcd, DBA)
            self.assertEqual(caller.attach("db-1", **({"access": access} if access else {})), granted)
            caller.send(b"x")
            self.db.wait_data(b"x")
            caller.close()
            vspcd.wait_logged(rf"uid {USER[DBA]} .*disconnected")

    def test_who_may_watch_reads_only_and_what_he_types_is_not_heard(self):
        vspcd = self.start_teams()
        caller = self.caller(vspcd, DBA)
        self.assertEqual(caller.attach("infra-1"), "read_only")
        self.infra.send(b"secret?")
        caller.wait_data(b"secret?")
        caller.send(b"reboot\r")
        caller.wait_data(b"[vspc: read-only: the VM does not get what you type]")

        ops = self.caller(vspcd, OPS)
        ops.attach("infra-1")
        ops.send(b"uptime\r")
        self.infra.wait_data(b"uptime\r")
        self.assertNotIn(b"reboot", self.infra.data)

    def test_who_may_watch_gets_no_more_when_asking_for_it_and_is_told_who_could(self):
        vspcd = self.start_teams()
        for access in ("write", "exclusive", "free_for_all"):
            error, parameters = self.caller(vspcd, DBA).fail("Attach", {"vm": "infra-1", "access": access}, upgrade=True)
            self.assertEqual((error, parameters["right"], parameters["vm"]), ("NotPermitted", "write", "infra-1"))
            self.assertEqual(parameters["who"], ["user:root", "group:vspc", f"group:{OPS}", "cert:CN=ops"])
        vspcd.wait_logged(rf"VM infra-1 .*: client uid {USER[DBA]} \(pid \d+\) refused: no right to keep others from writing or "
                          rf"reading; that may root and group vspc, group:{OPS}, cert:CN=ops$")

    def test_a_watcher_gets_no_write_access_when_a_lock_is_released(self):
        vspcd = self.start_teams()
        ops, dba = self.caller(vspcd, OPS), self.caller(vspcd, DBA)
        ops.attach("infra-1", access="write")
        self.assertEqual(dba.attach("infra-1"), "read_only")
        ops.close()
        vspcd.wait_logged(rf"uid {USER[OPS]} .* disconnected")
        dba.send(b"reboot\r")
        dba.wait_data(b"[vspc: read-only: ")
        self.assertEqual(Caller(vspcd, local=True).vm("infra-1")["clients"][0]["access"], "read_only")

    def test_only_who_may_administer_clears_and_forgets(self):
        vspcd = self.start_teams()
        for method in "Clear", "Forget":
            error, parameters = self.caller(vspcd, DBA).fail(method, {"vm": "db-1"})
            self.assertEqual((error, parameters["right"]), ("NotPermitted", "admin"))
            vspcd.wait_logged(rf"VM db-1 .*: uid {USER[DBA]} \(pid \d+\) has no right to (disconnect all clients|forget the VM)")
        self.caller(vspcd, OPS).get("Clear", {"vm": "infra-1"})
        self.assertEqual(self.caller(vspcd, OPS).fail("Forget", {"vm": "infra-1"})[0], "VMConnected")

    def test_only_root_and_the_group_reload(self):
        vspcd = self.start_teams()
        self.assertEqual(self.caller(vspcd, OPS).fail("Reload")[0], "PermissionDenied")
        Caller(vspcd, local=True).get("Reload")

    def test_strangers_are_refused_before_they_ask(self):
        vspcd = self.start_teams()
        stranger = self.caller(vspcd, GUEST)
        stranger.asked.append(f"{SERVICE}.GetInfo")  # it asks nothing, and is answered
        self.assertEqual(stranger.next_reply(), {"error": "org.vspc.Concentrator.NotPermitted",
                                                 "parameters": {"who": ["user:root", "group:vspc"]}})
        stranger.wait_closed()
        vspcd.wait_logged(rf"Query from uid {USER[GUEST]} \(pid \d+\) is refused: no section \[Access\] names them")

    def test_vspc_client_says_who_may(self):
        vspcd = self.start_teams()

        def say(user, group, *arguments):
            return subprocess.run(["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", VSPC_CLIENT,
                                   f"--socket={vspcd.admin_path}", *arguments], capture_output=True, text=True, check=False,
                                  stdin=subprocess.DEVNULL, env=clean_environment(), timeout=PATIENCE_SEC)
        refused = say(USER[GUEST], GUEST, "list")
        self.assertEqual((refused.returncode, refused.stderr), (
            1, 'vspc-client: You have no right to use vspcd.\nJoin group vspc ("usermod -aG vspc USER", and log in again), or '
            "have a section [Access] of vspc.conf name you: see vspc-consoles(7)\n"))
        refused = say(USER[DBA], DBA, "clear", "infra-1")
        self.assertIn("You have no right to disconnect all clients at VM infra-1. These have it: user:root, group:vspc, "
                      f"group:{OPS}, cert:CN=ops", refused.stderr)

    def test_a_user_has_so_many_connections_and_others_have_theirs(self):
        vspcd = self.start_teams()
        held = [self.caller(vspcd, DBA) for _ in range(128)]
        for caller in held:
            caller.get(f"{SERVICE}.GetInfo")
        self.assertEqual(self.caller(vspcd, DBA).fail(f"{SERVICE}.GetInfo")[0], "NotPermitted")
        vspcd.wait_logged("they have as many connections as one user may have")
        self.caller(vspcd, WEB).get(f"{SERVICE}.GetInfo")
        Caller(vspcd, local=True).get(f"{SERVICE}.GetInfo")

        held[0].close()
        self.assertEqual(names(held[1].list()), ["db-1", "infra-1"])

    def test_without_sections_an_open_socket_is_for_root_and_the_group(self):
        vspcd = self.start(local="open")
        self.assertEqual(self.caller(vspcd, DBA).fail(f"{SERVICE}.GetInfo")[0], "NotPermitted")
        Caller(vspcd, local=True).get(f"{SERVICE}.GetInfo")

    def test_without_sections_the_mode_of_a_socket_decides_as_it_did(self):
        vspcd = self.start(local=True)
        os.chown(vspcd.admin_path, -1, DBA)
        os.chmod(vspcd.admin_path, 0o660)
        vm = connected_vm(vspcd, "web-1")
        caller = self.caller(vspcd, DBA)
        caller.get("Clear", {"vm": vm.id})
        caller.get("Reload")


class Events(RightsTestCase):
    def test_only_vms_that_one_may_list_are_told_of(self):
        vspcd = self.start_teams()
        dba, root = self.caller(vspcd, DBA), Caller(vspcd, local=True)
        self.assertEqual(names(dba.monitor()), ["db-1", "infra-1"])
        root.monitor()
        other = Caller(vspcd, local=True)
        other.attach("web-1")
        self.assertEqual(root.wait_event("client_attached")["vm"]["name"], "web-1")
        connected_vm(vspcd, "web-2")
        Caller(vspcd, local=True).attach("db-1")
        self.assertEqual(dba.wait_event("client_attached")["vm"]["name"], "db-1")

    def test_a_vm_that_is_renamed_comes_and_goes(self):
        vspcd = self.start_teams()
        dba = self.caller(vspcd, DBA)
        dba.monitor()
        root = Caller(vspcd, local=True)
        root.monitor()
        for name, event, seen in ("db-2", "added", "db-2"), ("db-3", "renamed", "db-3"), ("web-2", "removed", "db-3"):
            self.rename(self.web, name)
            told = dba.wait_event(event)["vm"]
            self.assertEqual((told["name"], told["id"]), (seen, self.web.id))
            self.assertEqual(root.wait_event("renamed")["vm"]["name"], name)
        self.rename(self.web, "web-3")
        Caller(vspcd, local=True).attach("db-1")
        self.assertEqual(dba.wait_event("client_attached")["vm"]["name"], "db-1")
        self.assertEqual(names(self.caller(vspcd, DBA).list()), ["db-1", "infra-1"])

    def test_after_a_reload_the_present_state_is_told_again_or_nothing_more(self):
        vspcd = self.start_teams()
        dba, web, root = self.caller(vspcd, DBA), self.caller(vspcd, WEB), Caller(vspcd, local=True)
        for caller in dba, web, root:
            caller.monitor()
        vspcd.reload(access=((f"group:{DBA}", "web-*", "list"),))
        self.assertEqual(dba.wait_event("skipped"), {"event": "skipped"})
        self.assertEqual(dba.next_event()["vm"]["name"], "web-1")
        self.assertEqual(dba.next_event(), {"event": "ready"})
        self.assertEqual(web.next_reply()["error"], "org.vspc.Concentrator.NotPermitted")
        web.wait_closed()
        Caller(vspcd, local=True).attach("db-1")
        self.assertEqual(root.wait_event("client_attached")["vm"]["name"], "db-1")


class Attached(RightsTestCase):
    """Those who are attached when it is decided again."""

    def test_after_a_reload_who_may_only_watch_is_told_and_reads_only(self):
        vspcd = self.start_teams()
        dba = self.caller(vspcd, DBA)
        dba.attach("db-1")
        vspcd.reload(access=((f"group:{DBA}", "db-*", "watch"),))
        dba.wait_data(b"[vspc: read-only: you may only read from now on]")
        dba.send(b"drop\r")
        self.db.send(b"still here")
        dba.wait_data(b"still here")
        root = Caller(vspcd, local=True)
        root.attach("db-1")
        root.send(b"end\r")
        self.db.wait_data(b"end\r")
        self.assertNotIn(b"drop", self.db.data)
        vspcd.wait_logged(rf"VM db-1 .*: client uid {USER[DBA]} \(pid \d+\) may only read from now on$")

    def test_after_a_reload_who_may_nothing_is_told_and_disconnected(self):
        vspcd = self.start_teams()
        dba, web = self.caller(vspcd, DBA), self.caller(vspcd, WEB)
        dba.attach("db-1")
        web.attach("web-1")
        vspcd.reload(access=TEAMS[1:] + NOBODY_ELSE)
        dba.wait_data(b"[vspc: you have no right to use this VM any more]")
        dba.wait_closed()
        vspcd.wait_logged(rf"client uid {USER[DBA]} \(pid \d+\) may not use this VM any more and is disconnected")
        web.send(b"x")
        self.web.wait_data(b"x")

    def test_a_lock_ends_with_the_right_to_it(self):
        vspcd = self.start_teams()
        dba, root = self.caller(vspcd, DBA), Caller(vspcd, local=True)
        dba.attach("db-1", access="write")
        self.assertEqual(root.attach("db-1"), "read_only")
        root.send(b"x")
        root.wait_data(b"[vspc: read-only: ")  # only who has been told is told of the end
        vspcd.reload(access=((f"group:{DBA}", "db-*", "watch"),))
        root.wait_data(b"write lock released")

    def test_a_vm_that_takes_another_name_takes_leave_of_those_who_had_a_right_to_the_old_one(self):
        vspcd = self.start_teams()
        dba = self.caller(vspcd, DBA)
        dba.attach("db-1")
        self.rename(self.db, "web-9")
        dba.wait_data(b"[vspc: you have no right to use this VM any more]")
        dba.wait_closed()

    def test_a_right_by_uuid_survives_a_rename(self):
        vspcd = self.start_teams()
        vspcd.reload(access=((f"group:{DBA}", self.db.id, "write"),))
        dba = self.caller(vspcd, DBA)
        dba.attach("db-1")
        self.rename(self.db, "web-9")
        dba.send(b"x")
        self.db.wait_data(b"x")
        self.assertEqual(names(self.caller(vspcd, DBA).list()), ["web-9"])

    def test_an_unchanged_configuration_disturbs_nobody(self):
        vspcd = self.start_teams()
        dba, monitor = self.caller(vspcd, DBA), self.caller(vspcd, DBA)
        dba.attach("db-1")
        monitor.monitor()
        vspcd.reload()
        self.caller(vspcd, DBA).attach("db-1")
        self.assertEqual(monitor.next_event()["event"], "client_attached")

    def test_of_a_mistake_in_a_section_nothing_comes_into_force(self):
        vspcd = self.start_teams()
        dba = self.caller(vspcd, DBA)
        dba.attach("db-1")
        vspcd.reload(access=((f"group:{DBA}", "db-*", "wacth"),))
        vspcd.wait_logged(r"The configuration has not been reloaded: .*May= must be list, watch, write or admin, not \"wacth\"")
        dba.send(b"x")
        self.db.wait_data(b"x")


class SlowClients(RightsTestCase):
    """With SlowClient=wait"""

    def start_teams(self, *args, **kwargs):
        return super().start_teams(*args, SlowClient="wait", ClientBufferSize="64K", **kwargs)

    def test_who_may_only_watch_holds_up_nobody_and_is_told_what_he_has_missed(self):
        vspcd = self.start_teams()
        watcher, root = self.caller(vspcd, DBA), Caller(vspcd, local=True)
        self.assertEqual(watcher.attach("infra-1"), "read_only")
        root.attach("infra-1")
        Feed(self.infra, root).flood()
        self.infra.send(b"THE END")
        watcher.wait_data(b"THE END")
        self.assertRegex(bytes(watcher.data), SKIPPED)
        vspcd.wait_logged(rf"client uid {USER[DBA]} \(pid \d+\) reads too slowly and misses output")

    def test_who_may_write_misses_nothing_also_when_reading_only(self):
        vspcd = self.start_teams()
        reader = self.caller(vspcd, DBA)
        reader.attach("db-1", access="read_only")
        data = numbered(4 * MEGABYTE)
        sent = send_until_stuck(self.db, data)
        reader.wait_size(sent)
        self.assertSameBytes(reader.data, repeated(data, sent))

    def test_who_loses_the_right_to_write_is_not_waited_for_any_more(self):
        vspcd = self.start_teams()
        dba = self.caller(vspcd, DBA)
        dba.attach("db-1")
        send_until_stuck(self.db, numbered(4 * MEGABYTE))
        vspcd.reload(access=((f"group:{DBA}", "db-*", "watch"),) + NOBODY_ELSE)
        root = Caller(vspcd, local=True)
        root.attach("db-1", scrollback=False)
        self.db.send(b"THE END")
        root.wait_data(b"THE END")

    def test_a_raw_client_that_may_only_watch_is_disconnected(self):
        vspcd = self.start_teams(TEAMS + (("anonymous", "infra-1", "watch"),))
        raw, root = RawClient(self.infra), Caller(vspcd, local=True)
        root.attach("infra-1")
        self.infra.send(b"#")
        raw.wait_data(b"#")
        root.wait_data(b"#")
        feed = Feed(self.infra)
        feed.fast, feed.sent = (root,), bytearray(b"#")
        feed.until(lambda: vspcd.logged(f"{raw.local_port} reads too slowly and is disconnected"))


class Crowd(RightsTestCase):
    def test_refusals_do_not_fill_the_log(self):
        vspcd = self.start_teams()
        dba = self.caller(vspcd, DBA)
        for _ in range(200):
            self.assertEqual(dba.fail("Attach", {"vm": "infra-1", "access": "write"}, upgrade=True)[0], "NotPermitted")
        vspcd.settle_log()
        self.assertLess(vspcd.count_logged("refused: no right to"), 100)

    def test_those_to_whom_sections_apply_leave_half_of_the_connections_to_others(self):
        vspcd = self.start(local="open", access=FOR_ALL, nofile=1056)  # 128 connections for queries
        held = [Caller(vspcd, user=40100 + i) for i in range(64)]
        for caller in held:
            caller.monitor()
        late = Caller(vspcd, user=40200)
        late.wait_closed()
        vspcd.wait_logged("Queries are refused: ")
        Caller(vspcd, local=True).get(f"{SERVICE}.GetInfo")

    def test_totals_are_for_those_who_may_do_everything(self):
        vspcd = self.start_teams(TEAMS + NOBODY_ELSE + ((f"user:{USER[GUEST]}", "no-such-vm", "list"),))
        guest = self.caller(vspcd, GUEST)
        self.assertEqual(guest.fail("GetMetrics")[0], "NotPermitted")
        self.assertEqual(guest.fail("List")[0], "ExpectedMore")
        self.assertEqual(guest.list(), [])
        Caller(vspcd, local=True).get("GetMetrics")


class Anonymous(RightsTestCase):
    def test_beside_sections_they_keep_everything_and_that_is_warned_of(self):
        vspcd = self.start_teams(TEAMS)
        vspcd.wait_logged("Clients without a name, at 127.0.0.1:13371 and at VM ports, still have all rights at all VMs")
        self.assertEqual(names(Caller(vspcd).list()), ["db-1", "infra-1", "web-1"])
        Caller(vspcd).get("Clear", {"vm": "infra-1"})
        client = TelnetClient(self.infra)
        client.send(b"x")
        self.infra.wait_data(b"x")

    def test_a_section_that_names_them_says_what_they_may(self):
        vspcd = self.start_teams(TEAMS + (("anonymous", "web-*", "watch"),))
        self.assertEqual(names(Caller(vspcd).list()), ["web-1"])
        self.assertEqual(Caller(vspcd).fail("Attach", {"vm": "db-1"}, upgrade=True)[0], "NoSuchVM")
        self.assertEqual(Caller(vspcd).fail("Clear", {"vm": "web-1"})[0], "NotPermitted")
        self.assertEqual(Caller(vspcd).attach("web-1"), "read_only")

    def test_at_a_port_they_read_only_or_are_refused(self):
        vspcd = self.start_teams(TEAMS + (("anonymous", "web-*", "watch"),))
        watcher = TelnetClient(self.web)
        self.web.send(b"hello")
        watcher.wait_data(b"hello")
        watcher.send(b"reboot")
        watcher.wait_data(b"[vspc: read-only: ")
        self.assertNotIn(b"reboot", self.web.data)

        refused = Peer(client_address(self.db))
        refused.wait_closed()
        self.assertEqual(bytes(refused.raw), b"[vspc: refused, no right to use this port]\r\n")
        vspcd.wait_logged(r"VM db-1 .*: client 127\.0\.0\.1:\d+ refused: no right to attach to read only")

    def test_a_reload_disconnects_them_from_a_port(self):
        vspcd = self.start_teams(TEAMS)
        telnet, raw = TelnetClient(self.db), RawClient(self.db)
        self.db.send(b"hello")
        raw.wait_data(b"hello")
        vspcd.reload(access=TEAMS + NOBODY_ELSE)
        telnet.wait_data(b"[vspc: you have no right to use this VM any more]")
        telnet.wait_closed()
        raw.wait_closed()
        self.assertEqual(bytes(raw.data), b"hello")

    def test_a_mistake_at_the_start_leaves_them_nothing(self):
        vspcd = self.start(local="open", access=(("user:1", "*", "lsit"),))
        vm = connected_vm(vspcd, "db-1")
        self.assertEqual(Caller(vspcd).fail("List", {"name": "db-1"})[0], "NotPermitted")
        refused = Peer(client_address(vm))
        refused.wait_closed()
        self.assertIn(b"[vspc: refused, no right to", bytes(refused.raw))
        vspcd.wait_logged("Because of a mistake in the configuration clients without a name are refused: ")
        Caller(vspcd, local=True).attach("db-1")


class Tls(RightsTestCase):
    def start_teams(self, access=TEAMS + NOBODY_ELSE, **kwargs):
        vspcd = self.start_tls(local="open", access=access, **kwargs)
        self.db, self.infra = (DecliningVm(vspcd, name).connect() for name in ("db-1", "infra-1"))
        return vspcd

    def test_a_certificate_has_the_rights_of_its_name(self):
        vspcd = self.start_teams()
        ops = self.authority.issue("ops", purpose=CLIENT)
        self.assertEqual(names(self.call_as(vspcd, ops).list()), ["infra-1"])
        caller = self.call_as(vspcd, ops)
        self.assertEqual(caller.attach(self.infra), "free_for_all")
        self.assertEqual(self.call_as(vspcd, ops).fail("Attach", {"vm": "db-1"}, upgrade=True)[0], "NoSuchVM")
        self.assertEqual(self.call_as(vspcd, ops).fail("Reload")[0], "PermissionDenied")

        vspcd.reload(access=TEAMS[:1])
        caller.wait_data(b"[vspc: you have no right to use this VM any more]")
        caller.wait_closed()

    def test_another_certificate_is_refused_before_it_asks(self):
        vspcd = self.start_teams()
        self.assertEqual(self.call_as(vspcd, self.alice).fail(f"{SERVICE}.GetInfo")[0], "NotPermitted")
        vspcd.wait_logged(r"Query from alice, 127\.0\.0\.1:\d+ is not permitted")

    def test_without_a_certificate_one_is_anonymous(self):
        vspcd = self.start_teams(TEAMS + (("anonymous", "db-*", "list"), ("cert:*", "*", "admin")), trusted=False)
        for certificate in None, self.alice:  # it is not asked for
            self.assertEqual(names(self.call_as(vspcd, certificate).list()), ["db-1"])


class OnTheBus(RightsTestCase):
    def setUp(self):
        super().setUp()
        self.bus = self.enterContext(BusDaemon())

    def start_teams(self, access=TEAMS + NOBODY_ELSE, **kwargs):
        vspcd = super().start_teams(access, env={"DBUS_SYSTEM_BUS_ADDRESS": self.bus.address}, **kwargs)
        vspcd.wait_logged(f"On the system bus as {NAME_ON_BUS}")
        return vspcd

    def as_member(self, team, *arguments):
        """dbus-daemon lets in only users that have a name."""
        argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", f"--groups={team}", "dbus-send",
                f"--bus={self.bus.address}", "--print-reply", f"--dest={NAME_ON_BUS}", *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_SEC, check=False)

    def assertRefused(self, result, text="By [Access] in vspc.conf not all users may list all VMs"):
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(text, result.stderr)

    def test_where_not_all_may_list_all_only_those_are_served_who_may_do_everything(self):
        self.start_teams()
        vm = path_of(self.db)
        for arguments in ((PATH, "org.freedesktop.DBus.Properties.GetAll", f"string:{MANAGER}"),
                          (PATH, "org.freedesktop.DBus.Properties.Get", f"string:{MANAGER}", "string:VMs"),
                          (PATH, f"{MANAGER}.ListVMs"), (PATH, f"{MANAGER}.GetVM", "string:db-1"),
                          (PATH, f"{MANAGER}.GetVM", "string:no-such"),
                          (PATH, f"{MANAGER}.Attach", "string:db-1", "string:", "uint64:0"),
                          (PATH, f"{MANAGER}.Clear", "string:db-1"),
                          (PATH, f"{MANAGER}.Forget", "string:db-1"), (PATH, f"{MANAGER}.Say", "string:db-1", "string:x"),
                          (PATH, f"{MANAGER}.Disconnect", "string:db-1", "uint64:1"),
                          (PATH, f"{MANAGER}.SetAccess", "string:db-1", "uint64:1", "string:write", "boolean:true"),
                          (PATH, "org.freedesktop.DBus.ObjectManager.GetManagedObjects"),
                          (PATH + "/vm", "org.freedesktop.DBus.Introspectable.Introspect"),
                          (vm, "org.freedesktop.DBus.Properties.GetAll", f"string:{VM}"),
                          (vm, "org.freedesktop.DBus.Properties.Get", f"string:{VM}", "string:Name"),
                          (vm, f"{VM}.ListClients"), (vm, f"{VM}.Attach", "string:", "uint64:0"), (vm, f"{VM}.Clear"),
                          (vm, f"{VM}.Forget"), (vm, f"{VM}.Say", "string:x"), (vm, f"{VM}.Disconnect", "uint64:1"),
                          (vm, f"{VM}.SetAccess", "uint64:1", "string:write", "boolean:true")):
            with self.subTest(arguments=arguments):
                self.assertRefused(self.as_member(DBA, *arguments))

        self.assertEqual(sorted(row[1] for row in self.bus.call(PATH, MANAGER, "ListVMs")), ["db-1", "infra-1", "web-1"])
        self.assertEqual(self.bus.call(PATH, MANAGER, "GetVM", "db-1"), vm)
        self.assertEqual(self.bus.get(vm, VM, "Name"), "db-1")
        self.assertIn("db-1", self.bus.busctl("call", NAME_ON_BUS, vm, "org.freedesktop.DBus.Properties", "GetAll", "s", VM))
        self.assertEqual(self.bus.call(vm, VM, "Clear"), 0)
        self.assertEqual(self.bus.get(PATH, MANAGER, "VMs"), 3)
        self.assertIn('"VMs"', self.bus.busctl("call", NAME_ON_BUS, PATH, "org.freedesktop.DBus.Properties", "GetAll", "s",
                                               MANAGER))
        self.assertEqual(self.bus.error(PATH + "/vm/none", VM, "Clear")[0], "org.freedesktop.DBus.Error.UnknownObject")

    def test_introspection_shows_all_of_it_to_root_and_to_others_not_whether_there_is_a_vm(self):
        self.start_teams()
        tree = self.bus.busctl("tree", "--list", NAME_ON_BUS).split()
        vms = sorted(path_of(vm) for vm in (self.db, self.web, self.infra))
        self.assertEqual(sorted(line for line in tree if line.startswith(PATH + "/vm/")), vms)
        self.assertRegex(self.bus.busctl("introspect", NAME_ON_BUS, path_of(self.db)), r'\.Name +property +s +"db-1"')
        introspect = "org.freedesktop.DBus.Introspectable.Introspect"
        shown = [self.as_member(DBA, path, introspect) for path in (path_of(self.db), path_of(self.web), PATH + "/vm/no_such")]
        self.assertEqual([result.returncode for result in shown], [0, 0, 0])
        self.assertEqual(len({result.stdout.split("\n", 1)[1] for result in shown}), 1)
        self.assertIn(f'interface name="{VM}"', shown[0].stdout)

    def test_nothing_is_told_to_all_then_and_again_once_all_may_list(self):
        vspcd = self.start_teams()
        vspcd.wait_logged("On the system bus only root and group vspc are served, and no signals are sent")
        with Monitor(self.bus) as monitor:
            hidden = connected_vm(vspcd, "web-2")
            vspcd.reload(access=TEAMS + FOR_ALL + NOBODY_ELSE)
            vspcd.wait_logged("On the system bus all users are served, and signals are sent")
            shown = connected_vm(vspcd, "web-3")
            monitor.wait_signal("VMAdded", shown.id)
            self.assertNotIn(hidden.id.encode(), bytes(monitor.output))

    def test_what_polkit_has_granted_ends_with_the_name_and_the_sections(self):
        for change in (lambda vspcd: self.rename(self.db, "web-9"), lambda vspcd: vspcd.reload(access=TEAMS + NOBODY_ELSE)):
            vspcd = self.start_teams(())
            with Polkit(self.bus, "yes"), Attachment(self.bus, "db-1", uid=NOBODY) as attached:
                self.db.send(b"hello")
                attached.wait(lambda: b"hello" in attached.output, "the output of the VM")
                change(vspcd)
                attached.wait(lambda: b"you have no right to use this VM any more" in attached.output, "leave to be taken")
            vspcd.end()

    def test_where_all_may_list_a_right_by_a_section_needs_no_polkit(self):
        """There is none, so whoever needs it is refused."""
        self.start_teams(TEAMS + FOR_ALL)
        self.assertEqual(self.as_member(OPS, PATH, f"{MANAGER}.Clear", "string:infra-1").returncode, 0)
        self.assertRefused(self.as_member(DBA, PATH, f"{MANAGER}.Clear", "string:infra-1"), "polkit does not say")
        attach = PATH, f"{MANAGER}.Attach", "string:infra-1", "string:", "uint64:0"
        self.assertIn('string "free_for_all"', self.as_member(OPS, *attach).stdout)
        self.assertIn('string "read_only"', self.as_member(DBA, *attach).stdout)
        self.assertRefused(self.as_member(GUEST, *attach), "polkit does not say")
        self.assertIn("infra-1", self.as_member(GUEST, PATH, f"{MANAGER}.ListVMs").stdout)


if __name__ == "__main__":
    main()
