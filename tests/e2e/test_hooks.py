# SPDX-License-Identifier: LGPL-2.1-or-later

"""Hooks: real programs that vspcd and vspc-hooks run for events of VMs, and that they cannot affect vspcd."""

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from harness import (PATIENCE_SEC, SANITIZED, VSPC_SIM, TestCase, clean_environment, is_port_free, main,
                     quick_round, spawn, tap, wait_for)
from helper_process import HelperProcess
from peers import NAME, RawClient, TelnetClient, connected_clone, connected_vm, migration_target, sub

VSPC_HOOKS = os.environ.get("VSPC_HOOKS", "build/vspc-hooks")

# A hook begins with this if it does something for one of a VM's first two events only.
ONE_EVENT = '#!/bin/sh\n[ "$VSPC_EVENT" = vm-connected ] || exit 0\n'

# Keeps all that it is told in a folder of its own, whose name it appends to the file "order".
RECORD = """#!/bin/sh
set -e
d=$(mktemp -d "$HOOKS_OUT/XXXXXXXX")
env -0 >"$d/environment"
cat >"$d/stdin"
echo "${d##*/} ${0##*/}" >>"$HOOKS_OUT/order"
"""

# Waits until the file "go" is there. Its child does too, in the same process group.
WAIT = """#!/bin/sh
echo "$$" >>"$HOOKS_OUT/pids"
while [ ! -e "$HOOKS_OUT/go" ]; do sleep 0.02; done
"""


class Told:
    """What one hook was told once."""

    def __init__(self, folder, hook):
        self.hook = hook
        with open(os.path.join(folder, "environment"), "rb") as f:
            self.environment = dict(v.split("=", 1) for v in f.read().decode().split("\0") if v)
        with open(os.path.join(folder, "stdin"), "rb") as f:
            self.json = json.loads(f.read().decode())
        self.event = self.environment["VSPC_EVENT"]
        self.vm = self.environment["VSPC_VM_ID"]


class HooksTest(TestCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="vspc-e2e-hooks-")
        self.addCleanup(folder.cleanup)
        self.etc, self.lib, self.out, self.run_folder = (os.path.join(folder.name, name)
                                                         for name in ("etc", "lib", "out", "run"))
        for path in (self.etc, self.lib, self.out, self.run_folder):
            os.mkdir(path)
        os.chmod(folder.name, 0o755)
        self.socket_path = os.path.join(self.run_folder, "hooks.socket")
        self.runner, self.runner_is_killed = None, False

    def hook(self, name, text=RECORD, *, folder=None, mode=0o755):
        path = os.path.join(folder or self.etc, name)
        with open(path + ".tmp", "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path + ".tmp", mode)
        os.rename(path + ".tmp", path)
        return path

    def start_runner(self, env=None, **kwargs):
        kwargs.setdefault("argv", (VSPC_HOOKS,))
        self.runner = HelperProcess(self.socket_path, {"VSPC_HOOKS_PATH": f"{self.etc}:{self.lib}", "HOOKS_OUT": self.out,
                                                       **(env or {})}, **kwargs)
        self.addCleanup(lambda: self.runner.close(self.runner_is_killed))
        return self.runner

    def start(self, *args, env=None, runner=True, **kwargs):
        """vspcd, and vspc-hooks for it with this environment"""
        if runner:
            self.start_runner(env)
        vspcd = super().start(*args, env={"VSPC_HOOKS_PATH": f"{self.etc}:{self.lib}",
                                          "VSPC_HOOKS_SOCKET": self.socket_path}, **kwargs)
        if self.runner:
            self.runner.forward_to(vspcd)
        return vspcd

    def lines(self, name):
        try:
            with open(os.path.join(self.out, name), encoding="utf-8") as f:
                return [line for line in f.read().split("\n")[:-1]]
        except FileNotFoundError:
            return []

    def told(self):
        return [Told(os.path.join(self.out, folder), hook) for folder, hook in map(str.split, self.lines("order"))]

    def wait_told(self, n):
        wait_for(lambda: len(self.lines("order")) >= n, lambda: f"{n} calls of hooks, having {self.lines('order')}")
        return self.told()

    def go(self):
        with open(os.path.join(self.out, "go"), "w", encoding="ascii"):
            pass


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Events(HooksTest):
    def test_each_event_is_told_in_order_with_the_same_facts_in_the_environment_and_as_json(self):
        self.hook("50-record")
        vspcd = self.start(VMExpireSec="100ms")
        began = time.time() * 1e6
        vm = connected_vm(vspcd, "web01")
        self.wait_told(2)
        vm.send_raw(sub(NAME, b"web02"))
        self.wait_told(3)
        secret = vm.begin(b"1234")
        target = migration_target(vm).peer(b"1234", secret)
        target.complete(b"1234")
        vm.close()
        self.wait_told(4)
        target.close()
        told = self.wait_told(6)

        self.assertEqual([t.event for t in told], ["vm-added", "vm-connected", "vm-renamed", "vmotion-complete",
                                                   "vm-disconnected", "vm-removed"])
        peers = {"vm-connected": vm.local_port, "vmotion-complete": target.local_port}
        for t in told:
            facts = {name: value for name, value in t.environment.items() if name.startswith("VSPC_")}
            expected = {"VSPC_EVENT": t.event, "VSPC_TIME_USEC": facts.get("VSPC_TIME_USEC"), "VSPC_VM_ID": vm.id,
                        "VSPC_VM_UUID": vm.id, "VSPC_VM_NAME": "web01" if t in told[:2] else "web02",
                        "VSPC_URI": "s0", "VSPC_PORT": str(vm.port)}
            if t.event in peers:
                expected["VSPC_PEER"] = f"127.0.0.1:{peers[t.event]}"
            if t.event == "vm-renamed":
                expected["VSPC_OLD_NAME"] = "web01"
            self.assertEqual(facts, expected)

            members = {"event": "VSPC_EVENT", "time": "VSPC_TIME_USEC", "id": "VSPC_VM_ID", "uuid": "VSPC_VM_UUID",
                       "name": "VSPC_VM_NAME", "uri": "VSPC_URI", "port": "VSPC_PORT", "peer": "VSPC_PEER",
                       "oldName": "VSPC_OLD_NAME"}
            self.assertEqual(t.json, {member: int(facts[v]) if member in ("time", "port") else facts[v]
                                      for member, v in members.items() if v in facts})
            self.assertTrue(began <= t.json["time"] <= time.time() * 1e6)

    def test_under_multi_console_the_identity_has_the_uri(self):
        self.hook("50-record")
        vspcd = self.start(MultiConsole="yes", VMPorts="no")
        vm = connected_vm(vspcd, "web01", uri="com2")
        told = self.wait_told(2)[1]
        self.assertEqual((told.vm, told.environment["VSPC_VM_UUID"]), (f"{vm.id}_com2", vm.id))
        self.assertEqual((told.environment["VSPC_VM_NAME"], told.environment["VSPC_URI"]), ("web01_com2", "com2"))
        self.assertNotIn("VSPC_PORT", told.environment)
        self.assertNotIn("port", told.json)

    def test_vms_of_one_uuid_are_told_apart(self):
        self.hook("50-record")
        vspcd = self.start()
        vm = connected_vm(vspcd, "web01")
        clone = connected_clone(vm, "web02")
        told = self.wait_told(4)
        self.assertEqual({(t.event, t.vm, t.environment["VSPC_VM_UUID"], t.json["uuid"]) for t in told},
                         {(event, each.id, each.id, each.id) for each in (vm, clone)
                          for event in ("vm-added", "vm-connected")})

    def test_hostile_names_are_text_and_nothing_else(self):
        self.hook("50-record")
        vspcd = self.start()
        names = [b"$(touch $HOOKS_OUT/owned)", b"`reboot`; rm -rf / #", b"a\nVSPC_EVENT=vm-removed", b"\x00nul\x00",
                 b"\xff\xfe\x80 no UTF-8", b"\x1b]0;title\x07\x9b31m", b'"quoted\\" {}', b"../../etc/passwd",
                 b"N" * 512, "\u202eesrever\u2028".encode(), b"=", b"%s%n%n", b"-rf"]
        for name in names:
            vm = connected_vm(vspcd, name, uri="s0")
            self.assertTrue(vm)
        told = self.wait_told(2 * len(names))
        self.assertFalse(os.path.exists(os.path.join(self.out, "owned")))
        self.assertEqual({t.event for t in told}, {"vm-added", "vm-connected"})
        for t in told:
            name = t.environment["VSPC_VM_NAME"]
            self.assertEqual(name, t.json["name"])
            self.assertIsNone(re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", name), repr(name))
        for name in ("$(touch $HOOKS_OUT/owned)", '"quoted\\" {}', "N" * 512, "=", "%s%n%n", "-rf"):
            self.assertIn(name, [t.json["name"] for t in told])

    def test_vms_that_end_with_vspcd_are_not_told_of(self):
        self.hook("50-record")
        vspcd = self.start()
        connected_vm(vspcd)
        self.wait_told(2)
        vspcd.signal(signal.SIGTERM)
        self.assertEqual(vspcd.wait_exit(), 0)
        self.assertEqual([t.event for t in self.told()], ["vm-added", "vm-connected"])


class Order(HooksTest):
    def test_the_hooks_of_an_event_run_one_after_another_by_name_and_events_in_the_order_of_their_vm(self):
        for name, folder in (("30-c", self.etc), ("10-a", self.lib), ("20-b", self.etc)):
            self.hook(name, folder=folder)
        vspcd = self.start(VMExpireSec="10ms")
        vms = [connected_vm(vspcd) for _ in range(6)]
        self.wait_told(6 * 2 * 3)
        for vm in vms:
            vm.close()
        told = self.wait_told(6 * 4 * 3)
        for vm in vms:
            self.assertEqual([(t.event, t.hook) for t in told if t.vm == vm.id],
                             [(event, hook) for event in ("vm-added", "vm-connected", "vm-disconnected", "vm-removed")
                              for hook in ("10-a", "20-b", "30-c")])

    def test_so_many_run_at_a_time_and_no_more(self):
        self.hook("50-wait", '#!/bin/sh\nd="$HOOKS_OUT/running.$$"\n: >"$d"\nls "$HOOKS_OUT" | grep -c running '
                             '>>"$HOOKS_OUT/count"\nwhile [ ! -e "$HOOKS_OUT/go" ]; do sleep 0.02; done\nrm "$d"\n'
                             'echo >>"$HOOKS_OUT/done"\n')
        vspcd = self.start()
        for _ in range(10):
            connected_vm(vspcd)
        wait_for(lambda: len(self.lines("count")) == 4, "four hooks")
        self.go()
        wait_for(lambda: len(self.lines("done")) == 20, "all of them")
        self.assertLessEqual(max(map(int, self.lines("count"))), 4)

    def test_a_hook_that_fails_does_not_keep_the_next_from_running(self):
        self.hook("10-fails", "#!/bin/sh\nexit 1\n")
        self.hook("20-record")
        connected_vm(self.start())
        self.wait_told(2)


class Behind(HooksTest):
    """Events come faster than hooks take them."""

    def test_what_later_events_make_moot_is_merged_and_the_story_stays_possible(self):
        self.hook("10-wait", WAIT)
        self.hook("20-record")
        vspcd = self.start()
        vm = connected_vm(vspcd, "first")
        wait_for(lambda: self.lines("pids"), "the hook")
        for i in range(20):
            vm.close()
            vm = connected_vm(vspcd, f"name{i}", digits=vm.digits)
        self.go()
        vspcd.wait_logged(r"Hooks have caught up: (\d+) events were merged into later ones, and 0 dropped")
        told = self.told()
        self.assertLessEqual(len(told), 4)
        self.assertEqual(told[0].event, "vm-added")
        self.assertEqual([t.event for t in told if "connected" in t.event][-1], "vm-connected")
        renamed = next(t for t in told if t.event == "vm-renamed")
        self.assertEqual((renamed.json["oldName"], renamed.json["name"]), ("first", "name19"))

    def test_a_vm_that_came_and_went_meanwhile_is_not_told_of_at_all(self):
        self.hook("10-wait", WAIT)
        self.hook("20-record")
        vspcd = self.start(VMExpireSec="0")
        busy = [connected_vm(vspcd) for _ in range(4)]
        wait_for(lambda: len(self.lines("pids")) == 4, "four hooks")
        for _ in range(5):
            vm = connected_vm(vspcd)
            vm.close()
            vspcd.wait_logged(f"VM {vm.name} .*forgetting it")
        self.go()
        vspcd.wait_logged("20 events were merged into later ones, and 0 dropped")
        self.assertEqual({t.vm for t in self.told()}, {vm.id for vm in busy})

    def rss_of_storm(self, vspcd):
        sim = subprocess.Popen([VSPC_SIM, f"--connect=127.0.0.1:{vspcd.vm_address[1]}", "--count=4000", "--hosts=40"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
        try:
            vspcd.wait_status("4001 VMs, 1 client")
            times = []
            for i in range(200):
                began = time.monotonic()
                self.client.send(b"%4d" % i)
                self.vm.wait_data(b"%4d" % i)
                self.vm.send(b"%4d" % i)
                self.client.wait_data(b"%4d" % i)
                times.append(time.monotonic() - began)
            rss = vspcd.rss()
        finally:
            sim.terminate()
            sim.wait()
        vspcd.wait_status("1 VM, 1 client")
        return rss, statistics.median(times)

    def test_a_storm_costs_neither_memory_without_bound_nor_the_consoles_time(self):
        vspcd = self.start()  # most of them have no port, which does not matter here
        self.vm = connected_vm(vspcd)
        self.client = TelnetClient(self.vm)
        without, _ = self.rss_of_storm(vspcd)

        slow = self.hook("50-slow", "#!/bin/sh\nsleep 0.1\n")
        vspcd.reload()
        for _ in range(3):
            rss, latency = self.rss_of_storm(vspcd)
        tap.comment(f"{(rss - without) >> 10} KiB, {latency * 1e3:.1f} ms")
        self.assertLess(rss - without, (64 if SANITIZED else 24) << 20)
        self.assertLess(latency, 0.1)

        # Those that wait are told to nobody.
        os.unlink(slow)
        vspcd.reload()
        logged = vspcd.wait_logged(r"caught up: (\d+) events were merged into later ones, and 0 dropped")
        self.assertGreater(int(logged[1]), 4000)


class Conditions(HooksTest):
    """What a hook finds when it is started."""

    def test_three_descriptors_no_signal_blocked_or_ignored_and_a_session_of_its_own(self):
        self.hook("50-look", f"#!{sys.executable}\n" + """
import json, os, signal, sys
fds = {}
for fd in os.listdir("/proc/self/fd"):
    try:
        fds[fd] = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        pass
with open("/proc/self/status") as f:
    status = dict(line.rstrip().split(":", 1) for line in f)
with open(os.environ["HOOKS_OUT"] + "/look.tmp", "w") as f:
    json.dump([fds, os.getcwd(), os.getsid(0) == os.getpid() == os.getpgrp(), status["SigBlk"].strip(),
               sys.argv], f)
os.rename(f.name, f.name[:-4])
""")
        vspcd = self.start()
        connected_vm(vspcd)
        path = os.path.join(self.out, "look")
        wait_for(lambda: os.path.exists(path), "the hook")
        with open(path, encoding="utf-8") as f:
            fds, cwd, leads, blocked, argv = json.load(f)
        self.assertEqual(sorted(fds), ["0", "1", "2"])
        self.assertIn("vspc-event", fds["0"])
        self.assertTrue(fds["1"].startswith("pipe:") and fds["2"] == fds["1"], fds)
        self.assertEqual((cwd, leads, int(blocked, 16), argv), ("/", True, 0, [os.path.join(self.etc, "50-look")]))

    def test_signals_have_their_default_dispositions(self):
        self.hook("50-look", '#!/bin/sh\ngrep SigIgn "/proc/$$/status" >>"$HOOKS_OUT/ignored"\n')
        connected_vm(self.start())
        wait_for(lambda: self.lines("ignored"), "the hook")
        internal = 1 << 31 | 1 << 32  # of the C library, which shows them to nobody
        self.assertEqual(int(self.lines("ignored")[0].split()[1], 16) & ~internal, 0)

    def test_what_systemd_tells_vspc_hooks_is_not_for_hooks_and_what_the_administrator_has_set_is(self):
        self.hook("50-record")
        vspcd = self.start(env={"WATCHDOG_USEC": "60000000",
                                "CREDENTIALS_DIRECTORY": "/run/credentials/vspc-hooks.service",
                                "JOURNAL_STREAM": "1:2", "FAVOURITE": "tea", "VSPC_LOG_LEVEL": "debug"})
        connected_vm(vspcd)
        environment = self.wait_told(1)[0].environment
        self.assertEqual([name for name in environment
                          if re.match("NOTIFY_|LISTEN_|WATCHDOG_|CREDENTIALS|JOURNAL_|VSPC_(LOG|HOOKS)", name)], [])
        self.assertEqual((environment["FAVOURITE"], environment["PATH"]), ("tea", os.environ["PATH"]))

    def test_without_hooks_vspc_hooks_is_not_started_and_ends_with_the_last(self):
        self.hook("10-masked", "")
        vspcd = self.start()
        connected_vm(vspcd)
        vspcd.reload()
        self.assertEqual(self.runner.n_started, 0)
        path = self.hook("50-record")
        vspcd.reload()
        vspcd.wait_logged("Loaded 1 hook")
        self.assertTrue(self.runner.is_running())
        os.unlink(path)
        vspcd.reload()
        wait_for(lambda: not self.runner.is_running(), "vspc-hooks to end")
        connected_vm(vspcd)
        self.assertFalse(vspcd.has_logged("not all were run"))
        self.assertEqual((self.runner.n_started, self.told()), (1, []))

    def test_of_files_that_are_no_hooks_vspc_hooks_ends_again(self):
        self.hook("50-text", mode=0o644)
        vspcd = self.start()
        vspcd.wait_logged("50-text is not run")
        wait_for(lambda: not self.runner.is_running(), "vspc-hooks to end")
        connected_vm(vspcd)
        self.assertFalse(vspcd.has_logged(r"Loaded \d+ hooks?|not all were run"))
        self.assertEqual(self.runner.n_started, 1)

    def test_vspcd_has_no_children_and_hooks_have_none_of_its_sockets(self):
        self.hook("50-wait", WAIT)
        vspcd = self.start()
        vm = connected_vm(vspcd)
        wait_for(lambda: self.lines("pids"), "the hook")
        for task in os.listdir(f"/proc/{vspcd.pid}/task"):
            self.assertEqual(vspcd.proc(f"task/{task}/children"), "")
        vspcd.kill()
        self.assertTrue(is_port_free(vm.port))
        self.go()


class Folders(HooksTest):
    def run_once(self):
        vspcd = self.start()
        vspcd.wait_logged(r"Loaded \d+ hook")
        connected_vm(vspcd)
        return vspcd

    def test_a_namesake_in_etc_replaces_one_in_lib(self):
        self.hook("50-a", "#!/bin/sh\nexit 1\n", folder=self.lib)
        self.hook("50-a")
        vspcd = self.run_once()
        self.wait_told(2)
        self.assertFalse(vspcd.has_logged("has failed"))

    def test_what_is_masked_does_not_run(self):
        for name in ("10-null", "20-empty", "30-runs"):
            self.hook(name, folder=self.lib)
        os.symlink("/dev/null", os.path.join(self.etc, "10-null"))
        self.hook("20-empty", "")
        vspcd = self.run_once()
        vspcd.wait_logged("Loaded 1 hook")
        self.assertEqual({t.hook for t in self.wait_told(2)}, {"30-runs"})
        self.assertFalse(vspcd.logged("is not run"))

    def test_what_cannot_be_run_is_named(self):
        self.hook("10-not-executable", mode=0o644)
        self.hook("20-writable", mode=0o777)
        os.mkdir(os.path.join(self.etc, "30-folder"))
        os.symlink("/nonexistent", os.path.join(self.etc, "40-dangling"))
        self.hook("50-runs")
        vspcd = self.run_once()
        self.assertEqual({t.hook for t in self.wait_told(2)}, {"50-runs"})
        for name, why in (("10-not-executable", r"it is not executable \(use chmod \+x\)"),
                          ("20-writable", r"everybody can write to it \(use chmod o-w\)"),
                          ("30-folder", "it is not a regular file"), ("40-dangling", "No such file or directory")):
            vspcd.wait_logged(f"Hook {self.etc}/{name} is not run: {why}")

    def test_what_editors_and_package_managers_leave_behind_is_not_a_hook(self):
        for name in (".hidden", "50-a~", "50-a.dpkg-old", "50-a.rpmsave", "50-a.bak", ".50-a.swp"):
            self.hook(name)
        self.hook("50-a")
        self.run_once()
        self.assertEqual({t.hook for t in self.wait_told(2)}, {"50-a"})

    def test_reload_looks_again(self):
        vspcd = self.start()
        connected_vm(vspcd)
        path = self.hook("50-record")
        vspcd.reload()
        vspcd.wait_logged("Loaded 1 hook")
        vm = connected_vm(vspcd)
        self.assertEqual({t.vm for t in self.wait_told(2)}, {vm.id})
        os.unlink(path)
        vspcd.reload()
        connected_vm(vspcd)
        self.hook("60-other")
        vspcd.reload()
        last = connected_vm(vspcd)
        self.assertEqual([(t.hook, t.vm) for t in self.wait_told(4)[2:]], [("60-other", last.id)] * 2)

    def test_folders_that_do_not_exist_are_none(self):
        os.rmdir(self.etc)
        os.rmdir(self.lib)
        vspcd = self.start()
        connected_vm(vspcd)
        self.assertFalse(vspcd.has_logged("[Hh]ook"))

    def test_more_hooks_than_are_run_are_left_out(self):
        for i in range(66):
            self.hook(f"{i:02}-hook", "#!/bin/sh\n")
        vspcd = self.start()
        vspcd.wait_logged("There are more than 64 hooks, those from 64-hook on are not run$")
        vspcd.wait_logged("Loaded 64 hooks")


class Misbehaviour(HooksTest):
    def test_failure_and_what_the_hook_said_are_logged_once(self):
        path = self.hook("50-fails", '#!/bin/sh\n[ "$VSPC_EVENT" = vm-added ] || exit 0\necho said\n'
                                     'printf "com\\033[31mplained\\r\\n" >&2\nexit 3\n')
        vspcd = self.start()
        vm = connected_vm(vspcd)
        of = f"Hook 50-fails, vm-added of VM {vm.name}: "
        vspcd.wait_logged(of + f"{path} has failed with exit status 3$")
        vspcd.wait_logged(of + "said$")
        vspcd.wait_logged(of + "com\ufffd\\[31mplained$")
        self.assertFalse(vspcd.has_logged("Hook .*vm-connected"))
        self.assertEqual(vspcd.count_logged("has failed"), 1)

    def test_a_signal_is_named(self):
        path = self.hook("50-crashes", "#!/bin/sh\nkill -SEGV $$\n")
        vspcd = self.start()
        connected_vm(vspcd)
        vspcd.wait_logged(f"{path} was killed by SIGSEGV$")

    def test_what_is_no_program_is_logged(self):
        plain = self.hook("50-text", "just text\n")
        lost = self.hook("60-lost", "#!/nonexistent/interpreter\n")
        vspcd = self.start()
        connected_vm(vspcd)
        vspcd.wait_logged(f"cannot run {plain}: Exec format error")
        vspcd.wait_logged(f"cannot run {lost}: No such file or directory")

    def hang(self, vspcd, hook):
        """Connects a VM, for which @hook does not end by itself. Returns: the PIDs that the hook has written to "pids", behind
        the VM's ID. If its timeout was over before it had come to that, another VM is tried."""
        def play():
            vm = connected_vm(vspcd)
            vspcd.wait_logged(f"vm-connected of VM {vm.name}: .*/{hook} has not ended within HookTimeoutSec=, terminating it")
            return next((line.split()[1:] for line in self.lines("pids") if line.startswith(vm.id)), None)

        pids = quick_round(play)
        for pid in pids:
            wait_for(lambda: is_gone(pid), f"{pid} to be gone")  # pylint: disable=cell-var-from-loop
        return pids

    def test_after_its_timeout_it_is_ended_with_its_children(self):
        self.hook("50-hangs", ONE_EVENT + 'sleep 1000 &\necho "$VSPC_VM_ID $! $$" >>"$HOOKS_OUT/pids"\nwait\n')
        vspcd = self.start(HookTimeoutSec="1s")
        self.hang(vspcd, "50-hangs")
        self.assertFalse(vspcd.logged("was killed by"))

    def test_after_a_timeout_the_next_has_its_turn(self):
        self.hook("50-hangs", ONE_EVENT + "exec sleep 1000\n")
        self.hook("60-next", ONE_EVENT + 'echo "$VSPC_VM_ID $$" >>"$HOOKS_OUT/pids"\nexec sleep 1000\n')
        self.hang(self.start(HookTimeoutSec="1s"), "60-next")

    def test_one_that_does_not_heed_sigterm_is_killed(self):
        self.hook("50-deaf", ONE_EVENT + "trap '' TERM\nsleep 1000 &\n"
                                         'echo "$VSPC_VM_ID $! $$" >>"$HOOKS_OUT/pids"\nwait\n')
        self.hang(self.start(HookTimeoutSec="1s"), "50-deaf")

    def test_one_that_has_stopped_is_ended_too(self):
        """And not only killed: it is continued to take the signal that comes first."""
        self.hook("50-stops", ONE_EVENT + 'trap \'echo $$ >>"$HOOKS_OUT/ended"; exit 0\' TERM\n'
                              'echo "$VSPC_VM_ID $$" >>"$HOOKS_OUT/pids"\nkill -STOP $$\n')
        pids = self.hang(self.start(HookTimeoutSec="1s"), "50-stops")
        self.assertLessEqual(set(pids), set(self.lines("ended")))

    def test_what_it_leaves_behind_is_killed_and_holds_nothing_up(self):
        self.hook("50-forks", '#!/bin/sh\nsleep 1000 &\necho $! >>"$HOOKS_OUT/pids"\n')
        self.hook("60-record")
        vspcd = self.start()
        connected_vm(vspcd)
        self.wait_told(2)
        for pid in self.lines("pids"):
            wait_for(lambda: is_gone(pid), f"{pid} to be gone")

    def test_one_that_leaves_its_session_is_not_waited_for(self):
        self.hook("50-daemon", '#!/bin/sh\nsetsid sleep 1000 &\necho $! >>"$HOOKS_OUT/pids"\n')
        self.hook("60-record")
        connected_vm(self.start())
        self.addCleanup(lambda: [subprocess.run(["kill", pid], stderr=subprocess.DEVNULL, check=False)
                                 for pid in self.lines("pids")])
        self.wait_told(2)

    def test_much_output_is_cut(self):
        self.hook("50-floods", ONE_EVENT + 'yes 0123456789 | head -n 3000000\n')
        vspcd = self.start()
        vspcd.wait_logged("Loaded 1 hook")
        before = self.runner.rss()
        vm = connected_vm(vspcd)
        client = RawClient(vm)
        vm.send(b"meanwhile")
        client.wait_data(b"meanwhile")
        vspcd.wait_logged("Hook 50-floods.*: 2999936 more lines are left out")
        self.assertEqual(vspcd.count_logged("Hook 50-floods.*: 0123456789$"), 64)
        self.assertLess(self.runner.rss() - before, 16 << 20)

    def test_a_long_line_is_cut(self):
        self.hook("50-long", '#!/bin/sh\nhead -c 100000 /dev/zero | tr "\\0" x\n')
        vspcd = self.start()
        connected_vm(vspcd)
        logged = vspcd.wait_logged("Hook 50-long.*: (x+)$")
        self.assertEqual(len(logged[1]), 1024)

    def test_complaints_of_many_vms_are_counted(self):
        self.hook("50-fails", "#!/bin/sh\nseq 50\nexit 1\n")
        vspcd, began = self.start(), time.monotonic()
        for _ in range(20):
            connected_vm(vspcd)
        vspcd.wait_logged(r"\d+ messages of and about hooks are left out: more than 200 in 10 s")
        n_spans = 1 + (time.monotonic() - began) // 10
        self.assertIn(vspcd.count_logged("Hook 50-fails, "), range(200, int(n_spans * 200) + 1))


class End(HooksTest):
    def test_one_that_runs_when_vspcd_ends_gets_two_seconds_and_what_waits_is_dropped(self):
        path = self.hook("50-hangs", '#!/bin/sh\nsleep 1000 &\necho "$! $$" >>"$HOOKS_OUT/pids"\nwait\n')
        vspcd = self.start()
        connected_vm(vspcd)
        wait_for(lambda: self.lines("pids"), "the hook")
        began = time.monotonic()
        os.kill(self.runner.pid, signal.SIGSTOP)
        vspcd.end()  # which waits for none of them
        vspcd.wait_logged("Ending before hooks were run for 1 event$")
        os.kill(self.runner.pid, signal.SIGCONT)
        vspcd.wait_logged(f"{path} has not ended with vspcd, killing it")
        self.assertGreater(time.monotonic() - began, 1.9)
        for pid in " ".join(self.lines("pids")).split():
            wait_for(lambda: is_gone(pid), f"{pid} to be gone")

    def test_one_that_ends_in_time_is_waited_for_and_the_next_does_not_begin(self):
        self.hook("50-wait", WAIT + 'echo >>"$HOOKS_OUT/done"\n')
        self.hook("60-record")
        vspcd = self.start()
        connected_vm(vspcd)
        wait_for(lambda: self.lines("pids"), "the hook")
        vspcd.end()
        self.go()
        wait_for(lambda: not self.runner.is_running(), "vspc-hooks to end")
        self.assertEqual((len(self.lines("done")), self.told()), (1, []))

    def test_the_next_vspcd_has_its_hooks_run_after_those_of_the_last(self):
        self.hook("10-record")
        self.hook("50-wait", WAIT)
        vspcd = self.start()
        first = connected_vm(vspcd)
        wait_for(lambda: self.lines("pids"), "the hook")
        vspcd.end()
        vspcd = self.start(runner=False)
        self.runner.forward_to(vspcd)
        second = connected_vm(vspcd)
        self.assertEqual([t.vm for t in self.told()], [first.id])
        self.go()
        self.assertEqual([(t.event, t.vm) for t in self.wait_told(3)],
                         [("vm-added", first.id), ("vm-added", second.id), ("vm-connected", second.id)])
        self.assertEqual(self.runner.n_started, 2)


class WithoutRunner(HooksTest):
    """vspc-hooks ends when it should not, or is not there."""

    def test_if_it_is_killed_what_it_was_telling_is_reported_and_the_next_one_goes_on(self):
        self.runner_is_killed = True
        self.hook("10-record")
        self.hook("50-wait", WAIT)
        vspcd = self.start()
        vms = [connected_vm(vspcd, f"web{i}") for i in range(6)]
        wait_for(lambda: len(self.lines("pids")) == 4, "four hooks")
        self.addCleanup(self.go)  # systemd would kill them, with the unit's control group
        os.kill(self.runner.pid, signal.SIGKILL)
        for vm in vms[:4]:
            vspcd.wait_logged(f"Hooks, vm-added of VM {vm.name}: not all were run, vspc-hooks has ended$")
        self.go()
        told = self.wait_told(4 + 8)
        for vm in vms:  # none of them twice, and none is missing
            self.assertEqual([t.event for t in told if t.vm == vm.id], ["vm-added", "vm-connected"])
        self.assertEqual(self.runner.n_started, 2)
        self.assertEqual(vspcd.count_logged("not all were run"), 4)
        self.assertEqual(vspcd.count_logged("Loaded 1 hook|Loaded 2 hooks"), 1)

    def test_if_it_is_stopped_what_still_ends_in_time_has_been_told(self):
        self.hook("10-record")
        self.hook("50-wait", WAIT)
        vspcd = self.start()
        vm = connected_vm(vspcd)
        wait_for(lambda: self.lines("pids"), "the hook")
        pid = self.runner.pid
        os.kill(pid, signal.SIGTERM)
        self.go()
        self.assertEqual([(t.event, t.vm) for t in self.wait_told(2)], [("vm-added", vm.id), ("vm-connected", vm.id)])
        self.assertFalse(vspcd.has_logged("not all were run"))
        self.assertNotEqual(self.runner.pid, pid)

    def test_if_it_is_stopped_between_two_hooks_of_an_event_that_is_reported(self):
        self.hook("10-wait", WAIT + 'echo >>"$HOOKS_OUT/done"\n')
        self.hook("20-record")
        vspcd = self.start()
        vm = connected_vm(vspcd)
        wait_for(lambda: self.lines("pids"), "the hook")
        os.kill(self.runner.pid, signal.SIGTERM)
        self.go()
        vspcd.wait_logged(f"Hooks, vm-added of VM {vm.name}: not all were run, vspc-hooks has ended$")
        self.assertEqual([t.event for t in self.wait_told(1)], ["vm-connected"])
        self.assertEqual(len(self.lines("done")), 2)

    def test_if_it_is_stopped_what_nobody_has_been_told_of_is_told_later(self):
        self.hook("10-record")
        vspcd = self.start()
        vspcd.wait_logged("Loaded 1 hook")
        pid = self.runner.pid
        os.kill(pid, signal.SIGSTOP)
        vms = [connected_vm(vspcd) for _ in range(6)]  # four events lie in its socket
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        told = self.wait_told(12)
        for vm in vms:
            self.assertEqual([t.event for t in told if t.vm == vm.id], ["vm-added", "vm-connected"])

    def test_if_it_is_idle_when_it_ends_the_next_is_started_with_the_next_event(self):
        self.hook("50-record")
        vspcd = self.start()
        vspcd.wait_logged("Loaded 1 hook")
        os.kill(self.runner.pid, signal.SIGTERM)
        wait_for(lambda: not self.runner.is_running(), "vspc-hooks to end")
        self.assertFalse(vspcd.has_logged("vspc-hooks"))
        self.assertEqual(self.runner.n_started, 1)
        connected_vm(vspcd)
        self.wait_told(2)
        self.assertEqual(self.runner.n_started, 2)

    def test_if_it_is_not_there_that_is_said_once_and_what_waits_is_told_later(self):
        self.hook("50-record")
        vspcd = self.start(runner=False)
        vspcd.wait_logged(f"Cannot run hooks until vspc-hooks can be reached at {self.socket_path}: No such file "
                          r"or directory \(\"systemctl restart vspc-hooks.socket\" makes systemd listen there\)")
        vm = connected_vm(vspcd)
        client = RawClient(vm)
        vm.send(b"meanwhile")
        client.wait_data(b"meanwhile")
        vspcd.reload()
        self.start_runner().forward_to(vspcd)
        self.addCleanup(vspcd.end)  # before it
        self.assertEqual([t.event for t in self.wait_told(2)], ["vm-added", "vm-connected"])
        self.assertTrue(vspcd.wait_logged("vspc-hooks can be reached again"))
        self.assertEqual(vspcd.count_logged("Cannot run hooks"), 1)

    def test_without_it_and_then_without_hooks_nothing_is_left_waiting(self):
        path = self.hook("50-record")
        vspcd = self.start()
        vspcd.wait_logged("Loaded 1 hook")
        os.kill(self.runner.pid, signal.SIGSTOP)
        connected_vm(vspcd)  # lies in its socket
        os.unlink(path)
        vspcd.reload()
        os.kill(self.runner.pid, signal.SIGTERM)  # gives it back
        os.kill(self.runner.pid, signal.SIGCONT)
        wait_for(lambda: not self.runner.is_running(), "vspc-hooks to end")
        connected_vm(vspcd)
        self.hook("60-record")
        vspcd.reload()
        last = connected_vm(vspcd)
        self.assertEqual({(t.hook, t.vm) for t in self.wait_told(2)}, {("60-record", last.id)})
        self.assertEqual(self.runner.n_started, 2)

    def test_if_it_is_frozen_that_holds_up_nothing_but_hooks(self):
        self.hook("50-record")
        vspcd = self.start()
        vspcd.wait_logged("Loaded 1 hook")
        os.kill(self.runner.pid, signal.SIGSTOP)
        try:
            for _ in range(20):
                vspcd.reload()  # what is said to it is bounded
            vms = [connected_vm(vspcd) for _ in range(20)]
            client = RawClient(vms[-1])
            vms[-1].send(b"meanwhile")
            client.wait_data(b"meanwhile")
        finally:
            os.kill(self.runner.pid, signal.SIGCONT)
        self.wait_told(40)
        self.assertEqual(self.runner.n_started, 1)


class Protocol(HooksTest):
    """What vspc-hooks does with who is not vspcd."""

    EVENT = {"event": "vm-added", "time": 1, "id": "1", "uuid": "1", "name": "web01", "uri": "s0"}

    def connect(self):
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(peer.close)
        peer.settimeout(PATIENCE_SEC)
        peer.connect(self.socket_path)
        return peer

    def wait_runner_logged(self, pattern):
        wait_for(lambda: any(re.search(pattern, line) for line in self.runner.log), f"a log line like {pattern}")

    def test_it_tells_hooks_and_answers(self):
        self.hook("50-record")
        self.start_runner()
        peer = self.connect()
        peer.send(b'{"load":30000000}')
        self.assertEqual(json.loads(peer.recv(65536)), {"loaded": 1})
        peer.send(json.dumps(self.EVENT).encode())
        self.assertEqual(json.loads(peer.recv(65536)), {"told": "1"})
        self.assertEqual([(t.event, t.vm) for t in self.told()], [("vm-added", "1")])
        peer.close()
        wait_for(lambda: self.runner.statuses == [0], "vspc-hooks to end")

    def is_served(self, user):
        """Whether this user's connection is, which is closed then"""
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
                peer = self.connect()
                peer.send(b'{"load":30000000}')
                os._exit(1 if peer.recv(65536) == b'{"loaded":1}' else 0)
            except (BrokenPipeError, ConnectionResetError):
                os._exit(0)
            finally:
                os._exit(255)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.assertIn(status, (0, 1))
        return status == 1

    def test_another_user_s_connection_is_closed(self):
        if os.geteuid() != 0:
            self.skipTest("only root can be another user")
        self.hook("50-record")
        self.start_runner()
        self.assertFalse(self.is_served(65534))
        self.wait_runner_logged("Process [0-9]+ of user 65534 may not run hooks")
        peer = self.connect()  # and the next one is served
        peer.send(b'{"load":30000000}')
        self.assertEqual(json.loads(peer.recv(65536)), {"loaded": 1})
        peer.close()

    def test_as_another_user_it_serves_the_one_that_the_socket_belongs_to_and_root_but_not_its_own(self):
        if os.geteuid() != 0:
            self.skipTest("only root can be another user")
        vspcd, hooks, somebody = 64001, 64002, 64003
        program = shutil.copy(VSPC_HOOKS, os.path.dirname(self.etc))  # where that user can execute it
        self.hook("50-record")
        self.start_runner(argv=("setpriv", f"--reuid={hooks}", f"--regid={hooks}", "--clear-groups", program))
        os.chown(self.socket_path, vspcd, 0)
        self.assertFalse(self.is_served(hooks))
        self.assertFalse(self.is_served(somebody))
        self.assertTrue(self.is_served(vspcd))
        self.assertTrue(self.is_served(0))
        for user in hooks, somebody:
            self.wait_runner_logged(f"Process [0-9]+ of user {user} may not run hooks")

    def test_who_does_not_keep_to_the_protocol_is_not_served(self):
        self.hook("50-record")
        self.start_runner()
        event = json.dumps(self.EVENT).encode()
        broken = [b"{", b"[]", b"{}", b'{"load":-1}', b'{"load":"1"}', b'{"load":1,"event":"vm-added"}',
                  b'{"told":"1"}', event, b"x" * 40000, b'{"load":1,"load":2}']
        for key, value in (("event", "vm-exploded"), ("name", "a\nb"), ("name", "\u0000"), ("port", 65536),
                           ("time", -1), ("uuid", "1" * 74), ("peer", "1" * 200), ("path", "/bin/sh"),
                           ("oldName", "\x7f")):
            broken.append(json.dumps({**self.EVENT, key: value}).encode())
        for i, message in enumerate(broken):
            peer = self.connect()
            if message != event:
                peer.send(b'{"load":30000000}')
                self.assertEqual(json.loads(peer.recv(65536)), {"loaded": 1})
            peer.send(message)
            self.assertEqual(peer.recv(65536), b"", message[:100])
            wait_for(lambda: len(self.runner.statuses) == i + 1, f"it to end after {message[:100]}")
        self.assertEqual((set(self.runner.statuses), self.told()), ({0}, []))
        self.wait_runner_logged("Cannot do what vspcd asks for, ending: (Bad message|Protocol error)")

    def test_more_than_four_events_at_a_time_are_too_many(self):
        self.hook("50-wait", WAIT)
        self.start_runner()
        peer = self.connect()
        peer.send(b'{"load":30000000}')
        self.assertEqual(json.loads(peer.recv(65536)), {"loaded": 1})
        for i in range(5):
            peer.send(json.dumps({**self.EVENT, "id": str(i)}).encode())
        self.wait_runner_logged("Cannot do what vspcd asks for, ending: Protocol error")
        self.go()
        wait_for(lambda: self.runner.statuses == [0], "it to end")
        self.assertEqual(len(self.lines("pids")), 4)

    def test_without_a_socket_it_says_where_it_gets_one(self):
        result = subprocess.run([VSPC_HOOKS], capture_output=True, text=True, check=False, timeout=PATIENCE_SEC,
                                env=clean_environment())
        self.assertEqual(result.returncode, 1)
        self.assertIn("systemctl start vspc-hooks.socket", result.stderr)


if __name__ == "__main__":
    main()
