# SPDX-License-Identifier: LGPL-2.1-or-later

"""The verbs of vspc-client that call vspcd and print, as used by people and scripts; with vspcd, and with a server
that sends replies that vspcd does not."""

import json
import os
import pwd
import re
import signal
import subprocess
import tempfile
import threading
import time
from unittest import mock

from client_cases import CLIENT, ClientTestCase, Terminal, environment, options_of, run
from fake_varlink import a_client, a_vm, all_vms, error, reply
from harness import listener, main, wait_for
from peers import COM_PORT, TelnetClient, connected_vm, sub
from varlink_peer import disconnect

INTERFACE = os.path.join(os.path.dirname(__file__), "../../src/admin/org.vspc.Concentrator.varlink")
COMPLETION = os.path.join(os.path.dirname(__file__), "../../shell-completion/bash/vspc-client")
ZSH_COMPLETION = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../shell-completion/zsh"))
METRICS = ("startedAt vms vmsConnected vmConnections clients adminConnections descriptors descriptorLimit "
           "vmsAwaitingPort portsClosed vmConnectionsTotal vmConnectionsRefusedTotal clientsTotal clientsRefusedTotal "
           "vmotionsBegunTotal vmotionsCompletedTotal vmotionsAbortedTotal vmBytesReceivedTotal vmBytesSentTotal "
           "clientBytesSentTotal clientBytesSkippedTotal connectionsRefusedForDescriptorsTotal "
           "portsGivenUpTotal connectionMemoryBytes connectionMemoryMaxBytes givenUpForMemoryTotal").split()


class List(ClientTestCase):
    QUIET = {"lastOutput": int((time.time() - 3 * 3600 - 12 * 60 - 30) * 1e6)}
    VMS = [a_vm("web10", 10, **QUIET), a_vm("web2", 2, connected=False), a_vm("db", 3, vmotion="begun", clientCount=7)]

    def test_a_table_sorted_by_name(self):
        result = run(self.fake(List=all_vms(self.VMS)), "list")
        lines = result.stdout.split("\n")
        self.assertEqual(lines[0].split(), ["NAME", "UUID", "PORT", "STATE", "CLIENTS", "SINCE", "LAST", "OUTPUT"])
        self.assertEqual([line.split()[:5] for line in lines[1:4]], [
            ["db", self.VMS[2]["id"], "50003", "migrating", "7"],
            ["web2", self.VMS[1]["id"], "50002", "disconnected", "0"],
            ["web10", self.VMS[0]["id"], "50010", "connected", "0"]])
        for line, last in zip(lines[1:4], ("-", "-", "3h 12min ago")):
            self.assertRegex(line, rf" ago +{last}$")
        self.assertEqual(lines[4:], ["", "3 VMs, 2 connected.", ""])

    def test_what_is_the_matter_is_said_below(self):
        problem = "two VMs have this UUID\x1b: give one of them a new UUID"
        server = self.fake(List=all_vms([a_vm("db", 3, problem=problem), *self.VMS[:2]]))
        lines = run(server, "list").stdout.split("\n")
        self.assertEqual([line.split()[3] for line in lines[1:4]], ["shared", "disconnected", "connected"])
        self.assertEqual(lines[4:], ["", "db: two VMs have this UUID\ufffd: give one of them a new UUID.", "",
                                     "3 VMs, 2 connected.", ""])
        self.assertEqual(len(run(server, "list", "--no-legend").stdout.splitlines()), 3)
        self.assertIn("  Problem: two VMs have this UUID\ufffd: give", run(server, "show", "db").stdout)

    def test_is_what_no_verb_means(self):
        server = self.fake(List=all_vms(self.VMS))
        self.assertEqual(run(server).stdout, run(server, "list").stdout)

    def test_no_legend(self):
        result = run(self.fake(List=all_vms(self.VMS)), "list", "--no-legend")
        self.assertEqual([line.split()[0] for line in result.stdout.splitlines()], ["db", "web2", "web10"])

    def test_no_vms(self):
        server = self.fake(List=all_vms([]))
        self.assertEqual(run(server).stdout, "No VMs.\n")
        self.assertEqual(run(server, "--no-legend").stdout, "")
        self.assertEqual(json.loads(run(server, "--json").stdout), [])

    def test_json_is_what_vspcd_says(self):
        vms = self.VMS + [a_vm("gr\u00fcn\x1b[31m")]
        server = self.fake(List=all_vms(vms))
        short, pretty = run(server, "--json=short").stdout, run(server, "--json=pretty").stdout
        self.assertEqual(json.loads(short), sorted(vms, key=lambda vm: vm["name"].replace("10", "9")))
        self.assertEqual(json.loads(pretty), json.loads(short))
        self.assertEqual((short.count("\n"), short.isascii()), (1, True))
        self.assertGreater(pretty.count("\n"), 60)

    def test_colours_on_a_terminal_unless_they_are_not_wanted(self):
        server = self.fake(List=all_vms(self.VMS))
        for env, expected in ({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False):
            terminal = self.terminal(server, "--no-pager", env=env)
            self.assertEqual(terminal.wait_exit(), 0)
            self.assertEqual(b"\x1b[1;4mNAME" in terminal.shown and b"\x1b[32mconnected" in terminal.shown, expected)
            self.assertEqual(b"\x1b" in terminal.shown, expected)
        self.assertNotIn("\x1b", run(server).stdout)

    def test_fits_the_terminal(self):
        name = "a-name-that-is-much-too-long-for-a-column-of-this-terminal"
        server = self.fake(List=all_vms([a_vm(name, **self.QUIET), a_vm("\u6f22" * 40, 2, **self.QUIET)]))
        for columns in 90, 73, 72, 71:
            terminal = self.terminal(server, "--no-pager", size=(24, columns), env={"NO_COLOR": "1"})
            terminal.wait_exit()
            lines = terminal.shown.decode().split("\r\n")[1:3]
            self.assertEqual([len(line) + line.count("\u6f22") for line in lines], [columns] * 2, lines)
            self.assertTrue(all("\u2026" in line for line in lines), lines)
        self.assertIn(name, run(server).stdout)

    def test_a_name_cannot_touch_the_terminal(self):
        name = "evil\x1b]0;title\x07\x9b31m\u202e\r\nfake"
        server = self.fake(List=all_vms([a_vm(name)]), Attach=error("ClientLimitReached", vm=name, limit=1))
        for args in ["list"], ["show", "x"], ["attach", "x"]:
            result = run(server, *args)
            self.assertNotRegex(result.stdout + result.stderr, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")
        self.assertEqual(run(server).stdout.count("\n"), 4)

    def test_a_real_vm(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "web01")
        TelnetClient(vm)
        row = run(vspcd, "list", "--no-legend").stdout.split()
        self.assertEqual(row[:5], ["web01", vm.id, str(vm.port), "connected", "1"])

    def test_hundreds_of_vms(self):
        vms = [a_vm(f"vm{i}", i) for i in range(2000)]
        lines = run(self.fake(List=all_vms(vms)), "--no-legend").stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines], [f"vm{i}" for i in range(2000)])


class Pager(ClientTestCase):
    VMS = [a_vm(f"web{i}", i) for i in range(100)]
    MARK = {"SYSTEMD_PAGERSECURE": "1", "SYSTEMD_PAGER": "sed s/^/paged:/"}

    def setUp(self):
        super().setUp()
        self.server = self.fake(List=all_vms(self.VMS))

    def programs(self, **texts):
        """In a folder that is first in the path"""
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-pager-"))
        for name, text in texts.items():
            path = os.path.join(folder, name)
            with open(path, "w", encoding="ascii") as f:
                f.write(f"#!/bin/sh\n{text}\n")
            os.chmod(path, 0o755)
        return {"PATH": f"{folder}:{os.environ['PATH']}"}

    def shown(self, *args, **env):
        terminal = self.terminal(self.server, *args, env=env)
        self.assertEqual(terminal.wait_exit(), 0)
        return bytes(terminal.shown)

    def test_shows_lists_and_vms_on_a_terminal_and_only_there(self):
        for args in ["list"], [], ["show", "web*"], ["list", "-j"], ["clients"]:
            with self.subTest(args=args):
                self.assertTrue(self.shown(*args, **self.MARK).startswith(b"paged:"))
                self.assertNotIn("paged:", run(self.server, *args, env=self.MARK).stdout)

    def test_is_not_wanted(self):
        for more in {"SYSTEMD_PAGER": ""}, {"SYSTEMD_PAGER": "cat"}, {"SYSTEMD_PAGER": "cat", "PAGER": "x"}, {"TERM": "dumb"}:
            with self.subTest(more=more):
                shown = self.shown("list", **{**self.programs(pager="echo paged:; cat"), **self.MARK, **more})
                self.assertNotIn(b"paged:", shown)
        self.assertNotIn(b"paged:", self.shown("list", "--no-pager", **self.MARK))

    def test_a_named_one_is_run_only_if_that_is_said_to_be_secure(self):
        env = {**self.programs(pager="echo known:; cat", less="echo known:; cat"), "PAGER": "sed s/^/paged:/"}
        self.assertIn(b"known:", self.shown("list", **env))
        self.assertNotIn(b"paged:", self.shown("list", **env))
        self.assertIn(b"paged:", self.shown("list", SYSTEMD_PAGERSECURE="0", **env))
        self.assertIn(b"paged:", self.shown("list", **{**env, **self.MARK, "PAGER": "false"}))
        self.assertIn(b"known:", self.shown("list", **{**env, **self.MARK, "SYSTEMD_PAGER": "/no/such"}))

    def test_less_is_told_how_to_be_and_to_be_secure(self):
        env = self.programs(less="echo LESS=$LESS LESSCHARSET=$LESSCHARSET LESSSECURE=$LESSSECURE; cat", pager="exec less")
        self.assertIn(b"LESS=FRSXMK LESSCHARSET=utf-8 LESSSECURE=1\r\n", self.shown("list", SYSTEMD_PAGERSECURE="1", **env))
        self.assertIn(b" LESSSECURE=1\r\n", self.shown("list", SUDO_UID="1000", **env))
        own = {"SYSTEMD_LESS": "RK", "SYSTEMD_LESSCHARSET": "dec", "LESSSECURE": "1", "SYSTEMD_PAGERSECURE": "0"}
        self.assertIn(b"LESS=RK LESSCHARSET=dec LESSSECURE=\r\n", self.shown("list", **own, **env))

    def test_less_shows_pages(self):
        terminal = self.terminal(self.server, "list", env={"SYSTEMD_PAGERSECURE": "1", "PAGER": "less"})
        terminal.wait_shown(b"web5 ")
        self.assertNotIn(b"web50 ", terminal.shown)
        self.assertIn(b"NAME", terminal.shown)
        terminal.type(b"G")
        terminal.wait_shown(b"100 VMs, 100 connected.")
        terminal.type(b"q")
        self.assertEqual(terminal.wait_exit(), 0)
        self.assertTrue(terminal.is_as_before())

    def test_may_be_left_before_all_has_been_shown(self):
        self.server = self.fake(List=all_vms([a_vm(f"web{i}", i) for i in range(5000)]))
        shown = self.shown("list", **{**self.MARK, "SYSTEMD_PAGER": "head -n 3"})
        self.assertEqual(shown.count(b"\r\n"), 3)

    def test_gets_errors_too(self):
        self.server = self.fake(List=error("NoSuchVM", vm="web"))
        terminal = self.terminal(self.server, "show", "web", env=self.MARK)
        self.assertEqual(terminal.wait_exit(), 1)
        self.assertIn(b'No VM named "web"', terminal.shown)


class Show(ClientTestCase):
    def test_everything_that_is_known(self):
        vm = a_vm("web01", clientCount=3, bytesReceived=1234567, bytesSent=12, vmotion="accepted",
                  lastOutput=int((time.time() - 7300) * 1e6), expires=int((time.time() + 7200.5) * 1e6),
                  clients=[a_client("local user 0, process 77", "write", uid=os.getuid(), pid=77, bytes=2048),
                           a_client("192.0.2.9:4711", "read_only", skipped=3000)])
        out = run(self.fake(List=all_vms([vm])), "show", "web01").stdout
        for line in ("     Name: web01", f"     UUID: {vm['uuid']}", "      URI: s0", "     Port: 50001",
                     "     Host: 192.0.2.21:4711", "      TLS: no", "   Serial: 115200 8N1", "  vMotion: accepted",
                     " Received: 1.2M (1234567 bytes), last 2h 1min ago", "     Sent: 12B", "  Clients: 3",
                     "           and 1 more"):
            self.assertIn(line + "\n", out)
        self.assertRegex(out, r"State: migrating, since \w{3} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+; \d+ \w+ ago\n")
        self.assertRegex(out, rf"\n +{pwd.getpwuid(os.getuid()).pw_name} \(pid 77\), write, since .* ago, 2\.0K sent\n")
        self.assertRegex(out, r"\n +192\.0\.2\.9:4711, read-only, .* 2\.9K missed\n")
        self.assertRegex(out, r"Expires: .*; in 2h\n")

    def test_the_page_in_a_browser_where_vspcd_knows_one(self):
        server = self.fake(List=all_vms([a_vm("web01", url="https://vspc:9090/vspc#/vm/5012")]))
        self.assertIn("\n     Page: https://vspc:9090/vspc#/vm/5012\n", run(server, "show", "web01").stdout)
        self.assertNotIn("Page:", run(self.fake(List=all_vms([a_vm("web01")])), "show", "web01").stdout)

    def test_who_uses_a_console_by_way_of_root(self):
        vm = a_vm("web01", clientCount=1,
                  clients=[a_client("bob, by way of root (pid 77)", "write", uid=os.getuid(), pid=77)])
        self.assertIn(" bob, by way of root (pid 77), write, ", run(self.fake(List=all_vms([vm])), "show", "web01").stdout)

    def test_the_tls_of_its_host(self):
        tls = {"version": "TLS 1.3", "cipher": "AES-256-GCM", "resumed": False}
        for more, shown in (({}, "TLS 1.3, AES-256-GCM"),
                            ({"peer": None, "resumed": True}, "TLS 1.3, AES-256-GCM, resumed"),
                            ({"peer": "esx\x1b[2J"}, "TLS 1.3, AES-256-GCM, the host's certificate is that of "
                                                     "esx\ufffd[2J"),
                            ({"version": 3, "cipher": None, "peer": [], "resumed": "x"}, "yes, ?")):
            vm = a_vm("web01", tls={**tls, **more})
            server = self.fake(List=all_vms([vm]))
            self.assertIn(f"\n      TLS: {shown}\n", run(server, "show", "web01").stdout)
            self.assertEqual(json.loads(run(server, "show", "web01", "--json").stdout), vm)
        for nothing in None, False, [], "x":
            server = self.fake(List=all_vms([a_vm("web01", tls=nothing)]))
            self.assertIn("\n      TLS: no\n", run(server, "show", "web01").stdout)

    def test_a_port_that_is_closed_at_present(self):
        vm = a_vm("web01", connected=False, reservedPort=50001)
        del vm["port"]
        out = run(self.fake(List=all_vms([vm])), "show", "web01").stdout
        self.assertIn("     Port: 50001, closed until vspcd has file descriptors to spare\n", out)

    def test_a_real_vm_by_each_of_its_names(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "web01")
        for name in "web01", vm.id, vm.digits, vm.digits.upper(), vm.id[:30], str(vm.port):
            result = run(vspcd, "show", name)
            self.assertIn(f"UUID: {vm.id}\n", result.stdout, result)
        vm.close()
        wait_for(lambda: "State: disconnected" in run(vspcd, "show", "web01").stdout, "the VM to be shown disconnected")
        self.assertRegex(run(vspcd, "show", "web01").stdout, r"Expires: .*; in 23h 59min")

    def test_a_vm_that_expires_later_than_a_number_in_varlink_can_say(self):
        for span in "10000000000000s", "18446744073708s":  # beyond 2⁶³ and, from now on, beyond 2⁶⁴ microseconds
            vspcd = self.start(VMExpireSec=span)
            connected_vm(vspcd, "web01").close()
            wait_for(lambda: "State: disconnected" in run(vspcd, "show", "web01").stdout, "the VM to be shown disconnected")
            self.assertNotIn("Expires", run(vspcd, "show", "web01").stdout)
            self.assertNotIn("expires", json.loads(run(vspcd, "show", "web01", "--json").stdout))

    def test_numbers_of_another_server_that_are_too_large(self):
        vm = a_vm("web01", bytesSent=5)
        for number in 2**63, 2**64 - 1, 10**30, -10**30:
            server = self.fake(List=all_vms([{**vm, "expires": number, "bytesReceived": number}]))
            result = run(server, "show", "web01")
            self.assertIn("\n     Port: 50001\n", result.stdout)
            self.assertIn("\n     Sent: 5B\n", result.stdout)
            self.assertEqual(run(server, "list", "--no-legend").stdout.split()[:3], ["web01", vm["id"], "50001"])

    def test_the_id_if_it_is_more_than_the_uuid(self):
        vm = a_vm("web01")
        server = self.fake(List=all_vms([{**vm, "id": vm["uuid"] + "_s0"}]))
        self.assertIn(f"       ID: {vm['uuid']}_s0\n     UUID: {vm['uuid']}\n", run(server, "show", "web01").stdout)
        self.assertNotIn(" ID:", run(self.fake(List=all_vms([vm])), "show", "web01").stdout)

    def test_several_as_json(self):
        vms = [a_vm("a", 1), a_vm("b", 2)]
        server = self.fake(List=lambda _, p: all_vms([vm for vm in vms if vm["name"] == p["name"]]))
        out = run(server, "show", "b", "a", "--json").stdout
        self.assertEqual([json.loads(line) for line in out.splitlines()], [vms[1], vms[0]])

    def test_ends_with_one_error_at_the_first_vm_that_is_unknown(self):
        server = self.fake(List=lambda _, p: all_vms([a_vm("web-1")]) if p.get("name") == "web-1" else error("NoSuchVM"))
        for names, shown in ((["nope", "web-1"], []), (["web-1", "nope", "web-1", "nor-this"], ["web-1"])):
            result = run(server, "show", *names)
            self.assertSays(result, 'vspc-client: No VM named "nope".\n')
            self.assertEqual(result.stderr.count("vspc-client: "), 1)
            self.assertEqual(re.findall("Name: (.*)", result.stdout), shown)

    def test_messages_come_where_they_belong(self):
        """In one file with the output, as in a terminal."""
        vspcd = self.start()
        connected_vm(vspcd, "web01")
        command = [CLIENT, *options_of(vspcd), "show", "web01", "nope"]
        shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                               env=environment()).stdout
        self.assertRegex(shown, r'(?s)^ +Name: web01\n.*\nvspc-client: No VM named "nope"')


class Monitor(ClientTestCase):
    def monitor(self, vspcd, *args):
        process = subprocess.Popen([CLIENT, *options_of(vspcd), "monitor", *args], stdout=subprocess.PIPE, text=True,
                                   env=environment())
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        return process

    def until(self, process, text):
        lines = []
        for line in process.stdout:
            lines.append(line)
            if text in line:
                return lines
        raise AssertionError(f"{text!r} is not in {lines}")

    def test_activity(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "web01")
        process = self.monitor(vspcd, "--activity")
        self.until(process, "Watching")
        quiet = threading.Event()
        typing = threading.Thread(target=lambda: [vm.send(b"x") for _ in iter(lambda: quiet.wait(0.1), True)])
        typing.start()
        try:
            self.assertRegex(self.until(process, "web01: activity")[-1], r"\d web01: activity\n$")
        finally:
            quiet.set()
            typing.join()

    def test_a_line_for_each_event(self):
        vspcd = self.start()
        connected_vm(vspcd, "old")
        process = self.monitor(vspcd)
        self.assertRegex(self.until(process, "Watching")[0],
                         r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d Watching 1 VM, 1 connected\.\n$")
        vm = connected_vm(vspcd, "web01")
        self.until(process, f"web01: connected from 127.0.0.1:{vm.local_port}")
        client = TelnetClient(vm)
        self.until(process, f"web01: client 127.0.0.1:{client.local_port} attached, free-for-all")
        client.close()
        self.until(process, f"web01: client 127.0.0.1:{client.local_port} detached")
        vm.close()
        self.until(process, "web01: disconnected")

    def told(self, *events):
        """What is printed for these, without the time."""
        server = self.fake(Monitor=[{"parameters": event, "continues": True} for event in events] + reply(event="ready"))
        lines = run(server, "monitor").stdout.splitlines()
        return [line.split(" ", 2)[2] for line in lines[:-1]]

    def test_says_what_has_changed(self):
        before = a_vm("web01")
        for change, said in (({"port": 50007}, "port is now 50007"), ({"serial": "9600 7E1"}, "serial port is now 9600 7E1"),
                             ({"uri": "s1"}, "port URI is now s1"), ({"vmotion": "accepted"}, "vMotion is now accepted"),
                             ({"port": None, "serial": "9600 7E1"}, "port is now none, serial port is now 9600 7E1"),
                             ({}, "changed"), ({"bytesSent": 7}, "changed")):
            self.assertEqual(self.told({"event": "present", "vm": before},
                                       {"event": "changed", "vm": {**before, **change}}), [f"web01: {said}"])

    def test_compares_with_what_was_told_last(self):
        vm = a_vm("web01")
        away = {key: value for key, value in vm.items() if key != "serial"}
        self.assertEqual(self.told({"event": "added", "vm": away}, {"event": "changed", "vm": vm},
                                   {"event": "disconnected", "vm": away}, {"event": "changed", "vm": vm},
                                   {"event": "removed", "vm": vm}, {"event": "changed", "vm": away}), [
            "web01: added", "web01: serial port is now 115200 8N1", "web01: disconnected",
            "web01: serial port is now 115200 8N1", "web01: removed", "web01: changed"])

    def test_takes_in_the_present_state_again_whenever_it_comes(self):
        before, after = a_vm("web01"), a_vm("web02", 2)
        ready = {"event": "ready"}
        self.assertEqual(self.told({"event": "present", "vm": before}, ready, {"event": "present", "vm": after}, ready,
                                   {"event": "changed", "vm": {**before, "port": 1}},
                                   {"event": "changed", "vm": {**after, "port": 1}}, ready),
                         ["Watching 1 VM, 1 connected.", "Watching 1 VM, 1 connected.", "web01: changed",
                          "web02: port is now 1", "Watching 0 VMs, 0 connected."])

    def test_says_when_events_were_skipped_and_takes_in_the_present_state_again(self):
        before, after = a_vm("web01"), a_vm("web02", 2)
        ready, changed = {"event": "ready"}, {"event": "changed", "vm": {**before, "port": 1}}
        for told_before in [{"event": "present", "vm": before}, ready], [{"event": "present", "vm": before}]:
            self.assertEqual(self.told(*told_before, {"event": "skipped"}, {"event": "present", "vm": after}, ready,
                                       changed)[-3:],
                             ["Some events were skipped because they were read too slowly.", "Watching 1 VM, 1 connected.",
                              "web01: changed"])

    def test_an_event_of_a_later_version_is_shown(self):
        self.assertEqual(self.told({"event": "ate\x1b"}, {"event": "slept", "vm": a_vm("web01")}),
                         ["ate\ufffd", "web01: slept"])

    def test_says_which_name_a_vm_had(self):
        vm = a_vm("web01")
        renamed = {"event": "renamed", "vm": {**vm, "name": "web02"}}
        self.assertEqual(self.told({"event": "present", "vm": vm}, renamed), [f"web02: renamed, was web01 ({vm['id']})"])
        self.assertEqual(self.told(renamed), [f"web02: renamed ({vm['id']})"])

    def test_what_is_compared_cannot_touch_the_terminal(self):
        vm = a_vm("web01\x1b[2J")
        lines = self.told({"event": "present", "vm": vm},
                          {"event": "changed", "vm": {**vm, "uri": "\x1b[2J\r\n" + "x" * 10000, "serial": 3}},
                          {"event": "renamed", "vm": {**vm, "name": "\u202e"}}, {"event": "changed", "vm": {}},
                          {"event": "changed", "vm": {"id": 3, "name": []}}, {"event": "changed"})
        self.assertEqual(len(lines), 5)
        self.assertNotRegex("".join(lines), "[\x00-\x1f\x7f-\x9f\u202e]")
        self.assertLess(len(lines[0]), 1000)

    def test_remembers_no_more_vms_than_there_can_be(self):
        n = 65536  # that vspcd keeps
        events = [{"event": "present", "vm": {"id": str(i), "name": str(i)}} for i in range(n + 1)]
        last = [{"event": "changed", "vm": {"id": str(i), "name": str(i), "port": 1}} for i in (n - 1, n)]
        self.assertEqual(self.told(*events, *last), [f"{n - 1}: port is now 1", f"{n}: changed"])

    def test_a_real_serial_port_that_is_set(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "web01")
        process = self.monitor(vspcd)
        self.until(process, "Watching")
        vm.send_raw(sub(1, (9600).to_bytes(4, "big"), option=COM_PORT))  # SET-BAUDRATE
        self.until(process, "web01: serial port is now 9600 8N1")

    def test_as_json_a_line_each(self):
        vspcd = self.start()
        connected_vm(vspcd, "old")
        events = [json.loads(line) for line in self.until(self.monitor(vspcd, "--json"), "ready")]
        self.assertEqual([event["event"] for event in events], ["present", "ready"])
        self.assertEqual(events[0]["vm"]["name"], "old")

    def forgetful(self, *connections):
        """A server that closes each connection after the events that are told there, until none are left."""
        left = list(connections)

        def answer(caller, _):
            if not left:
                return reply(event="ready")
            for event in left.pop(0):
                caller.send(json.dumps({"parameters": event, "continues": True}).encode() + b"\0")
            caller.close()
            return None

        return self.fake(Monitor=answer)

    def test_connects_again_when_its_connection_ends(self):
        vm, ready = a_vm("web01"), {"event": "ready"}
        present, changed = {"event": "present", "vm": vm}, {"event": "changed", "vm": {**vm, "port": 50007}}
        server = self.forgetful([present, ready], [present, ready, changed])
        result = run(server, "monitor")
        self.assertEqual([line.split(" ", 2)[2] for line in result.stdout.splitlines()], [
            "Watching 1 VM, 1 connected.", "Watching 1 VM, 1 connected.", "web01: port is now 50007",
            "Watching 0 VMs, 0 connected."])
        self.assertEqual((result.returncode, len(server.calls)), (0, 3))

    def test_tells_once_why_it_waits_each_time_it_has_to(self):
        ready = {"event": "ready"}
        server = self.forgetful([ready], [], [], [ready], [])
        result = run(server, "monitor", "--json")
        self.assertEqual(result.stderr, "vspc-client: vspcd has closed the connection\n"
                                        "Waiting until vspcd can be reached again.\n" * 2)
        self.assertEqual([json.loads(line) for line in result.stdout.splitlines()], [ready] * 3)
        self.assertEqual(len(server.calls), 6)

    def test_what_it_knew_before_it_lost_its_connection_is_not_compared(self):
        """The VM may have been forgotten and be another one with the same name meanwhile."""
        vm = a_vm("web01")
        result = run(self.forgetful([{"event": "present", "vm": vm}], [{"event": "changed", "vm": {**vm, "port": 1}}]),
                     "monitor")
        self.assertEqual([line.split(" ", 2)[2] for line in result.stdout.splitlines()],
                         ["web01: changed", "Watching 0 VMs, 0 connected."])

    def test_a_connection_that_ends_before_anything_was_told_is_a_failure(self):
        server = self.forgetful([])
        self.assertSays(run(server, "monitor"), "vspc-client: vspcd has closed the connection\n")
        self.assertEqual(len(server.calls), 1)

    def test_a_refusal_when_it_connects_again_is_a_failure(self):
        server = self.forgetful([{"event": "ready"}])
        told = server.answers["Monitor"]
        server.answers["Monitor"] = lambda caller, p: (told(caller, p) if len(server.calls) == 1 else
                                                       error("AccessDenied", access="Monitor"))
        self.assertSays(run(server, "monitor"), "is denied")

    def test_across_a_restart_of_vspcd(self):
        """With the admin socket kept open, as systemd does."""
        with listener() as vm_socket, listener() as admin_socket:
            def start():
                with mock.patch("harness.listener", side_effect=[vm_socket.dup(), admin_socket.dup()]):
                    return self.start()
            vspcd = start()
            process = self.monitor(vspcd)
            self.until(process, "Watching 0 VMs")
            vspcd.signal(signal.SIGTERM)
            vspcd.wait_exit()
            again = start()
            self.until(process, "Watching 0 VMs")
            connected_vm(again, "web01")
            self.until(process, "web01: connected from")


class Metrics(ClientTestCase):
    def text(self, *args):
        return run(self.start(), "metrics", *args).stdout

    def test_openmetrics(self):
        text = self.text()
        self.assertTrue(text.endswith("\n# EOF\n"))
        self.assertEqual(text.count("# TYPE "), len(METRICS))
        self.assertIn("# TYPE vspc_vm_received_bytes counter\n# UNIT vspc_vm_received_bytes bytes\n", text)
        self.assertIn("\nvspc_vm_received_bytes_total 0\n", text)
        self.assertIn("# TYPE vspc_vms gauge\n", text)
        started = float(re.search(r"\nvspc_start_time_seconds (\S+)", text)[1])
        self.assertLess(abs(time.time() - started), 3600)

    def families(self, text, parser):
        """How many metrics there are for a parser of python3-prometheus-client."""
        code = (f"import sys; from {parser} import text_string_to_metric_families as parse; "
                "print(len(list(parse(sys.stdin.read()))))")
        parsed = subprocess.run(["/usr/bin/python3", "-c", code], input=text, capture_output=True, text=True,
                                check=False)
        self.assertEqual(parsed.returncode, 0, parsed.stderr)
        return int(parsed.stdout)

    def test_openmetrics_by_its_reference_parser(self):
        self.assertEqual(self.families(self.text(), "prometheus_client.openmetrics.parser"), len(METRICS))

    def test_prometheus_by_a_parser(self):
        text = self.text("--format=prometheus")
        self.assertEqual(self.families(text, "prometheus_client.parser"), len(METRICS))

    def test_json(self):
        self.assertEqual(list(json.loads(self.text("--format=json"))), METRICS)

    def test_what_vspcd_does_not_tell_is_left_out(self):
        self.assertEqual(run(self.fake(GetMetrics=reply(vms=3, other=1)), "metrics").stdout,
                         "# TYPE vspc_vms gauge\n# HELP vspc_vms VMs that are known.\nvspc_vms 3\n# EOF\n")


class Clear(ClientTestCase):
    def test_clients_are_disconnected(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "web01")
        clients = [TelnetClient(vm), TelnetClient(vm)]
        result = run(vspcd, "clear", str(vm.port))
        self.assertEqual((result.returncode, result.stdout), (0, "web01: 2 clients disconnected.\n"))
        for client in clients:
            client.wait_closed()
        self.assertEqual(run(vspcd, "clear", "web01").stdout, "web01: 0 clients disconnected.\n")

    def test_ends_at_the_first_vm_that_is_unknown(self):
        vspcd = self.start()
        for name in "web01", "web02":
            connected_vm(vspcd, name)
        result = run(vspcd, "clear", "web01", "nope", "web02")
        self.assertSays(result, 'No VM named "nope"')
        self.assertEqual(result.stdout, "web01: 0 clients disconnected.\n")


class Forget(ClientTestCase):
    def test_is_acknowledged_with_the_name_however_the_vm_was_named(self):
        vspcd = self.start()
        for i, name_of in enumerate((lambda vm: vm.name, lambda vm: vm.id, lambda vm: str(vm.port), lambda vm: vm.id[:-1])):
            vm = connected_vm(vspcd, f"web{i}")
            disconnect(vm)
            result = run(vspcd, "forget", name_of(vm))
            self.assertEqual((result.returncode, result.stdout), (0, f"web{i}: forgotten.\n"), result)

    def test_ends_at_the_first_vm_that_is_connected(self):
        vspcd = self.start()
        vms = [connected_vm(vspcd, f"web{i}") for i in range(3)]
        for vm in vms[0], vms[2]:
            disconnect(vm)
        result = run(vspcd, "forget", "web0", "web1", "web2")
        self.assertSays(result, "VM web1 is connected")
        self.assertEqual(result.stdout, "web0: forgotten.\n")

    def test_a_name_in_the_acknowledgement_cannot_touch_the_terminal(self):
        vm = a_vm("evil\x1b[2J\r\nfake")
        server = self.fake(List=all_vms([vm]), Forget=reply(), Clear=reply(disconnected=2))
        self.assertEqual(run(server, "forget", "x").stdout, "evil\ufffd[2J\ufffd\ufffdfake: forgotten.\n")
        self.assertEqual(run(server, "clear", "x").stdout, "evil\ufffd[2J\ufffd\ufffdfake: 2 clients disconnected.\n")
        self.assertEqual([parameters["vm"] for method, parameters in server.calls if method != "List"], [vm["id"]] * 2)


class Completion(ClientTestCase):
    def complete(self, server, *words):
        code = ('source "$0"; PATH="$1:$PATH"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
                '_vspc_client; printf "%s\\n" "${COMPREPLY[@]}"')
        words = ["vspc-client", *(options_of(server) if server else ["--socket=/nonexistent"]), *words]
        # readline splits words at = and :
        words = [part for word in words for part in re.split(r"([=:])", word) if part or word == ""]
        return subprocess.run(["bash", "-c", code, COMPLETION, os.path.dirname(CLIENT), *words], capture_output=True,
                              text=True, check=True, env=environment()).stdout.split("\n")[:-1]

    def test_verbs_options_and_modes(self):
        self.assertEqual(self.complete(None, "mo"), ["monitor"])
        self.assertIn("--no-scrollback", self.complete(None, "attach", "--no-"))
        self.assertEqual(self.complete(None, "--access=free-for-all-"), ["free-for-all-fallback"])
        self.assertEqual(self.complete(None, "--access", "ex"), ["exclusive"])
        self.assertEqual(self.complete(None, "metrics", "--format=o"), ["openmetrics"])

    def test_uuids_and_ports(self):
        vm = a_vm("web01")
        server = self.fake(List=all_vms([vm]))
        self.assertEqual(self.complete(server, "attach", vm["uuid"][:4]), [vm["uuid"]])
        self.assertEqual(self.complete(server, "clear", str(vm["port"])[:4]), [str(vm["port"])])

    def test_options_of_each_verb(self):
        self.assertEqual(self.complete(None, "list", "--st"), ["--state="])
        self.assertEqual(self.complete(None, "attach", "--st"), [""])
        self.assertEqual(self.complete(None, "attach", "--for"), ["--force"])
        self.assertEqual(sorted(self.complete(None, "--for")), ["--force", "--format="])
        self.assertEqual(self.complete(None, "list", "--state=mi"), ["migrating"])

    def test_verbs_are_those_of_the_help(self):
        shown = run(self.fake(), "--help").stdout
        verbs = re.findall(r"(?m)^  \[?([a-z]+)\]?(?: .*)?  +\S", shown.split("Verbs:")[1].split("\n\n")[0])
        self.assertEqual(sorted(self.complete(None, "")), sorted(verbs))

    def test_access_modes_are_those_of_the_interface(self):
        with open(INTERFACE, encoding="utf-8") as f:
            modes = re.search(r"^type Access \((.*)\)$", f.read(), re.MULTILINE)[1].replace("_", "-").split(", ")
        self.assertEqual(sorted(self.complete(None, "--access=")), sorted(modes))
        for text in run(self.fake(), "--help").stdout, run(self.fake(), "--access=x").stderr:
            for mode in modes:
                self.assertIn(mode, text)

    def test_vms(self):
        server = self.fake(List=all_vms([a_vm(name, i) for i, name in enumerate(
            ["web01", "web02", "db", "my vm", "a:b"])]))
        self.assertEqual(self.complete(server, "attach", "we"), ["web01", "web02"])
        self.assertEqual(self.complete(server, "db"), ["db"])
        self.assertEqual(self.complete(server, "show", "my\\ v"), ["my\\ vm"])
        self.assertEqual(self.complete(server, "clear", "a:"), ["b"])
        self.assertEqual(self.complete(server, "list", "we"), ["web01", "web02"])
        self.assertEqual(self.complete(server, "monitor", "we"), [""])
        self.assertEqual(self.complete(server, "say", "web01", "we"), [""])
        self.assertEqual(self.complete(None, "attach", "we"), [""])


class ZshCompletion(ClientTestCase):
    """In a zsh that has nothing but this completion"""

    def setUp(self):
        super().setUp()
        self.server = self.fake(List=all_vms([a_vm("web01"), a_vm("db7", 2)]))
        self.zsh = Terminal("zsh", "-f", "-i", env={"TERM": "dumb"}, size=(24, 250))
        self.addCleanup(self.zsh.close)
        self.zsh.type(f"unset zle_bracketed_paste; fpath=({ZSH_COMPLETION} $fpath); PATH={os.path.dirname(CLIENT)}:$PATH; "
                      "autoload -Uz compinit; compinit -u -D; PS1='rea''dy>'\r".encode())
        self.zsh.wait_shown(b"ready>")

    def assertCompletes(self, typed, completed):
        line = " ".join(["vspc-client", *options_of(self.server), typed])
        self.zsh.type(b"\x15" + line.encode() + b"\t")
        self.zsh.wait(lambda: completed.encode() in self.zsh.shown.replace(b"\a", b""), completed)

    def test_verbs_vms_and_options(self):
        self.assertCompletes("wat", "watch ")
        self.assertCompletes("show we", "show web01 ")
        self.assertCompletes("attach 50120002", "attach 50120002-0000-0000-0000-000000000002 ")
        self.assertCompletes("clear 50002", "clear 50002 ")
        self.assertCompletes("list --state=mi", "--state=migrating ")
        self.assertCompletes("attach --access=ex", "--access=exclusive ")


if __name__ == "__main__":
    main()
