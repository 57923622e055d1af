# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspc-client as people and scripts use it: on a terminal (a pty that is its controlling terminal), in tmux, with
pipes; against vspcd, and against a server that gives the answers that vspcd does not."""

import contextlib
import fcntl
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import termios
import threading
import time
from unittest import mock, skipUnless

from fake_varlink import FakeVspcd, a_client, a_vm, all_vms, error, reply
from harness import (PATIENCE_SEC, TestCase, clean_environment, is_sanitized, listener, main, recent_logs,
                     wait_for)
from peers import ALL_BYTES, BRK, DO, DONT, ECHO, IAC, WILL, WONT, EsxiVm, TelnetClient, connected_vm, double, say

CLIENT = os.path.abspath(os.environ.get("VSPC_CLIENT", "build/vspc-client"))
COMPLETION = os.path.join(os.path.dirname(__file__), "../../shell-completion/bash/vspc-client")
SANITIZED = is_sanitized(CLIENT)
ESCAPE = b"\x1d"
NAWS, TERMINAL_TYPE = 31, 24
WOULD_BLOCK = BlockingIOError, ssl.SSLWantWriteError
METRICS = ("startedAt vms vmsConnected vmConnections clients adminConnections descriptors descriptorLimit "
           "vmConnectionsTotal vmConnectionsRefusedTotal clientsTotal clientsRefusedTotal vmotionsBegunTotal "
           "vmotionsCompletedTotal vmotionsAbortedTotal vmBytesReceivedTotal vmBytesSentTotal clientBytesSentTotal "
           "clientBytesSkippedTotal connectionsRefusedForDescriptorsTotal").split()


def environment(**more):
    return clean_environment(**{"TERM": "xterm", "COLUMNS": "", "NO_COLOR": "", **more})


def options_of(server):
    """How to reach it: by its local socket if it has one."""
    if hasattr(server, "options"):
        return server.options
    return [f"--socket={server.admin_path}"] if server.admin_path else [f"--host=127.0.0.1:{server.admin_address[1]}"]


def run(server, *args, stdin=subprocess.DEVNULL, env=None, **kwargs):
    """Runs it to its end with pipes; the output is text."""
    result = subprocess.run([CLIENT, *options_of(server), *args], stdin=stdin, capture_output=True, check=False,
                            timeout=PATIENCE_SEC, encoding="utf-8", env=environment(**(env or {})), **kwargs)
    assert "Sanitizer" not in result.stderr and "runtime error" not in result.stderr, result.stderr
    return result


class Terminal:
    """A program that has a pty for its controlling terminal. .shown is what it would show."""

    def __init__(self, *argv, env=None, size=(24, 80), stdout=None, stdin=None):
        self.fd, self.slave = os.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(self.slave)
        self.shown = bytearray()
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            argv, stdin=stdin or self.slave, stdout=stdout or self.slave, stderr=self.slave, start_new_session=True,
            env=environment(**(env or {})), preexec_fn=self.prepare)

    @staticmethod
    def prepare():
        """Nothing is ignored, as it would be if the tests run in a background that has no job control."""
        for number in signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGTSTP:
            signal.signal(number, signal.SIG_DFL)
        fcntl.ioctl(2, termios.TIOCSCTTY, 0)

    def resize(self, lines, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys):
        while keys:
            keys = keys[os.write(self.fd, keys[:4096]):]

    def read(self, timeout=0.0):
        if select.select([self.fd], [], [], timeout)[0]:
            self.shown += os.read(self.fd, 65536)

    def wait(self, predicate, what):
        deadline = time.monotonic() + PATIENCE_SEC
        while not predicate():
            if time.monotonic() > deadline:
                shown = bytes(self.shown[-2000:])
                raise AssertionError(f"waited in vain for {what}; the last that is shown: {shown!r}\n{recent_logs()}")
            self.read(0.02)

    def wait_shown(self, text, since=0):
        self.wait(lambda: text in self.shown[since:], repr(text))
        return self

    def wait_exit(self):
        self.wait(lambda: self.process.poll() is not None, "it to exit")
        while select.select([self.fd], [], [], 0)[0]:
            self.read()
        assert b"Sanitizer" not in self.shown and b"runtime error" not in self.shown, self.shown
        return self.process.returncode

    def prompt(self):
        n = len(self.shown)
        self.type(ESCAPE)
        self.wait_shown(b"\r\nvspc> ", n)

    def command(self, line):
        self.prompt()
        self.type(line + b"\r")

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.fd)
        os.close(self.slave)


class ClientTestCase(TestCase):
    def fake(self, **answers):
        server = FakeVspcd(**answers)
        self.addCleanup(server.__exit__)
        return server

    def attaching(self, **more):
        """A fake that lets everybody attach to web01."""
        vm = a_vm("web01")
        return self.fake(Attach=lambda _, parameters: reply(vm=vm, granted="free_for_all"), List=all_vms([vm]), **more)

    def terminal(self, server, *args, **kwargs):
        terminal = Terminal(CLIENT, *options_of(server), *args, **kwargs)
        self.addCleanup(terminal.close)
        return terminal

    def attached(self, server, *args, **kwargs):
        terminal = self.terminal(server, *args, **kwargs)
        terminal.wait_shown(b"Connected to VM ")
        said = terminal.shown.index(b"Connected to VM ")
        terminal.wait(lambda: b"\n" in terminal.shown[said:], "the end of that line")
        terminal.wait(terminal.is_raw, "the terminal to be raw")
        return terminal

    def attached_to_vm(self, *args, name=None, **config):
        vm = connected_vm(self.start(**config), name)
        return vm, self.attached(vm.vspcd, "attach", vm.name, *args)

    def assertSays(self, result, *texts, status=1):
        self.assertEqual(result.returncode, status, result)
        for text in texts:
            self.assertIn(text, result.stderr)


class List(ClientTestCase):
    VMS = [a_vm("web10", 10), a_vm("web2", 2, connected=False), a_vm("db", 3, vmotion="begun", clientCount=7)]

    def test_a_table_sorted_by_name(self):
        result = run(self.fake(List=all_vms(self.VMS)), "list")
        lines = result.stdout.split("\n")
        self.assertEqual(lines[0].split(), ["NAME", "UUID", "PORT", "STATE", "CLIENTS", "SINCE"])
        self.assertEqual([line.split()[:5] for line in lines[1:4]], [
            ["db", self.VMS[2]["id"], "50003", "migrating", "7"],
            ["web2", self.VMS[1]["id"], "50002", "disconnected", "0"],
            ["web10", self.VMS[0]["id"], "50010", "connected", "0"]])
        self.assertTrue(all(line.endswith(" ago") for line in lines[1:4]), lines)
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
            terminal = self.terminal(server, env=env)
            self.assertEqual(terminal.wait_exit(), 0)
            self.assertEqual(b"\x1b[1;4mNAME" in terminal.shown and b"\x1b[32mconnected" in terminal.shown, expected)
            self.assertEqual(b"\x1b" in terminal.shown, expected)
        self.assertNotIn("\x1b", run(server).stdout)

    def test_fits_the_terminal(self):
        name = "a-name-that-is-much-too-long-for-a-column-of-this-terminal"
        server = self.fake(List=all_vms([a_vm(name), a_vm("\u6f22" * 40, 2)]))
        for columns in 90, 73, 72, 71:
            terminal = self.terminal(server, size=(24, columns), env={"NO_COLOR": "1"})
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


class Show(ClientTestCase):
    def test_everything_that_is_known(self):
        vm = a_vm("web01", clientCount=3, bytesReceived=1234567, bytesSent=12, vmotion="accepted",
                  expires=int((time.time() + 7200.5) * 1e6),
                  clients=[a_client("local user 0, process 77", "write", uid=os.getuid(), pid=77, bytes=2048),
                           a_client("192.0.2.9:4711", "read_only", skipped=3000)])
        out = run(self.fake(List=all_vms([vm])), "show", "web01").stdout
        for line in ("     Name: web01", f"     UUID: {vm['uuid']}", "      URI: s0", "     Port: 50001",
                     "     Host: 192.0.2.21:4711", "      TLS: no", "   Serial: 115200 8N1", "  vMotion: accepted",
                     " Received: 1.2M (1234567 bytes)", "     Sent: 12B", "  Clients: 3", "           and 1 more"):
            self.assertIn(line + "\n", out)
        self.assertRegex(out, r"State: migrating, since \w{3} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+; \d+ \w+ ago\n")
        self.assertRegex(out, rf"\n +{pwd.getpwuid(os.getuid()).pw_name} \(pid 77\), write, since .* ago, 2\.0K sent\n")
        self.assertRegex(out, r"\n +192\.0\.2\.9:4711, read-only, .* 2\.9K missed\n")
        self.assertRegex(out, r"Expires: .*; in 2h\n")

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

    def test_a_real_vm_by_each_of_its_names(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "web01")
        for name in "web01", vm.id, vm.digits, vm.digits.upper(), vm.id[:30], str(vm.port):
            result = run(vspcd, "show", name)
            self.assertIn(f"UUID: {vm.id}\n", result.stdout, result)
        vm.close()
        wait_for(lambda: "State: disconnected" in run(vspcd, "show", "web01").stdout, "the VM to be shown disconnected")
        self.assertRegex(run(vspcd, "show", "web01").stdout, r"Expires: .*; in 23h 59min")

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


class Refusals(ClientTestCase):
    def test_an_unknown_vm_and_those_with_similar_names(self):
        vspcd = self.start()
        for name in "web01", "WEB02", "database", "mail":
            connected_vm(vspcd, name)
        for verb in "attach", "show", "clear", "forget":
            self.assertSays(run(vspcd, verb, "wbe01"), 'vspcd knows no VM "wbe01". Similar names:\n  web01  5012')
        self.assertRegex(run(vspcd, "show", "web").stderr, r'names:\n  WEB02  \S+\n  web01  \S+\n$')
        self.assertRegex(run(vspcd, "show", "databases").stderr, r'names:\n  database  \S+\n$')
        self.assertSays(run(vspcd, "show", "xyz"), 'knows no VM "xyz". "vspc-client list" shows')

    def test_at_most_five_similar_names_the_nearest_first(self):
        vms = [a_vm(f"web{i}x", i) for i in range(8)] + [a_vm("Web", 9), a_vm("wep", 10)]
        server = self.fake(List=lambda _, p: all_vms(vms) if not p.get("name") else error("NoSuchVM", vm=p["name"]))
        names = re.findall(r"\n  (\S+)", run(server, "show", "web").stderr)
        self.assertEqual(len(names), 5)
        self.assertEqual(names[:2], ["Web", "web0x"])

    def test_an_ambiguous_name_and_the_candidates(self):
        vspcd = self.start()
        vms = [connected_vm(vspcd, "twin"), connected_vm(vspcd, "twin")]
        for verb in "attach", "clear", "forget":
            self.assertSays(run(vspcd, verb, "twin"), '"twin" may be any of', *[f"\n  twin  {vm.id}" for vm in vms])
        self.assertEqual(run(vspcd, "show", "twin").stdout.count("Name: twin"), 2)
        self.assertEqual(run(vspcd, "show", vms[0].id).returncode, 0)

    def test_who_holds_the_access_that_is_denied(self):
        vm, _ = self.attached_to_vm("--access=write")
        result = run(vm.vspcd, "attach", vm.name, "--access=exclusive")
        self.assertSays(result, f"exclusive access to VM {vm.name} is denied: 127.0.0.1:")
        self.assertRegex(result.stderr, r"holds write access since \d\d:\d\d:\d\d \((just now|\d+s ago)\)")

    def test_local_holders_are_named(self):
        holder = a_client("local user 0, process 4711", "exclusive", uid=os.getuid(), pid=4711)
        server = self.fake(Attach=error("AccessDenied", vm="web01", access="free_for_all_fallback", holders=[holder]))
        name = pwd.getpwuid(os.getuid()).pw_name
        self.assertSays(run(server, "web01"), f"is denied: {name} (pid 4711) holds exclusive access since ")

    def test_real_local_holders_are_named(self):
        vspcd = self.start(local=True)
        connected_vm(vspcd, "web01")
        holder = self.attached(vspcd, "web01", "--access=exclusive")
        name = pwd.getpwuid(os.getuid()).pw_name
        self.assertSays(run(vspcd, "web01"), f"is denied: {name} (pid {holder.process.pid}) holds exclusive access")
        self.assertIn(f" {name} (pid {holder.process.pid}), exclusive, ", run(vspcd, "show", "web01").stdout)

    def test_a_client_limit(self):
        vspcd = self.start(ClientLimit=1)
        vm = connected_vm(vspcd, "web01")
        TelnetClient(vm)
        self.assertSays(run(vspcd, "attach", "web01"), "VM web01 has as many clients as ClientLimit= allows (1)")

    def test_a_connected_vm_is_not_forgotten(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "web01")
        self.assertSays(run(vspcd, "forget", "web01"), "VM web01 is connected")
        vm.close()
        vspcd.wait_logged("web01 .*its connection from .* has ended")
        result = run(vspcd, "forget", "web01")
        self.assertEqual((result.returncode, result.stdout), (0, "web01: forgotten.\n"))
        self.assertEqual(run(vspcd).stdout, "No VMs.\n")

    def test_an_older_vspcd(self):
        unknown = [{"error": "org.varlink.service.MethodNotFound", "parameters": {"method": "x"}}]
        self.assertSays(run(self.fake(GetMetrics=unknown), "metrics"), "This vspcd cannot do that")

    def test_usage(self):
        server = self.fake()
        for args, text in ((["show"], "which VM"), (["attach"], "which one VM"), (["attach", "a", "b"], "which one VM"),
                           (["list", "a"], "no more arguments"), (["--access=all", "a"], '"exclusive", "write"'),
                           (["--escape=ab", "a"], "--escape"), (["--json=yaml"], '"short" or "pretty"'),
                           (["--quiet-for=soon", "a"], "time span"), (["metrics", "--format=xml"], "openmetrics"),
                           (["--host=a", "list"], "exclude"), ([b"\xff"], "not UTF-8"), (["--frob"], "--help")):
            self.assertSays(run(server, *args), text)

    def test_help_and_version(self):
        for option in "--help", "-h", "--version":
            result = run(self.fake(), option)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("vspc-client", result.stdout)


class Reaching(ClientTestCase):
    def fails(self, *options):
        return subprocess.run([CLIENT, *options], capture_output=True, text=True, check=False, env=environment())

    def test_nobody_is_there(self):
        self.assertSays(self.fails("--socket=/nonexistent/socket"), "/nonexistent/socket: No such file or directory",
                        "systemctl start vspc.socket")
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        self.assertSays(self.fails(f"--host=127.0.0.1:{port}"), f"127.0.0.1:{port}: Connection refused")
        self.assertSays(self.fails(f"--host=[::1]:{port}"), f"[::1]:{port}: ")

    def test_what_is_no_host(self):
        for text in "", ":13371", "[::1", "[::1]x", "host:0", "host:port", "host:70000", "[]":
            self.assertSays(self.fails(f"--host={text}"), f'"{text}" is not a host')
        self.assertSays(self.fails("--host=no-such-host.invalid"), 'Cannot find the host "no-such-host.invalid"')

    @skipUnless(os.getuid() == 0, "only root can become somebody else")
    def test_a_socket_that_is_not_for_us(self):
        server = self.fake()
        os.chmod(server.folder.name, 0o755)
        os.chmod(server.path, 0o600)
        result = run(server, user=65534)
        self.assertSays(result, f"{server.path}: Permission denied")
        self.assertNotIn("group vspc", result.stderr)  # which is about another socket

    @skipUnless(os.getuid() == 0, "only root can have a /run of its own")
    def test_who_is_not_in_the_group_is_told_so(self):
        code = ("import os, socket, sys; os.makedirs('/run/vspc'); s = socket.socket(socket.AF_UNIX); "
                "s.bind('/run/vspc/admin.socket'); os.chmod('/run/vspc/admin.socket', 0o660); s.listen(1); "
                "os.setgroups([]); os.setgid(65534); os.setuid(65534); os.execv(sys.argv[1], sys.argv[1:])")
        script = 'mount -t tmpfs none /run && exec python3 -c "$1" "$0" list'
        if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("there are no namespaces here")
        result = subprocess.run(["unshare", "-m", "sh", "-c", script, CLIENT, code], capture_output=True, text=True,
                                check=False, env=environment(), timeout=PATIENCE_SEC)
        self.assertSays(result, "/run/vspc/admin.socket: Permission denied", '"usermod -aG vspc USER"')

    def test_names_and_ipv6(self):
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
        server = FakeVspcd(on_tcp=True, List=all_vms([]))
        self.addCleanup(server.__exit__)
        port = server.listener.getsockname()[1]
        for host in f"localhost:{port}", f"127.0.0.1:{port}", f"[127.0.0.1]:{port}":
            self.assertEqual(self.fails(f"--host={host}").stdout, "No VMs.\n")

    def test_answers_that_are_none(self):
        for data, text in ((b"SSH-2.0-x\r\n\0", "not Varlink"), (b"[]\0", "not Varlink"), (b"\xff\0", "not Varlink"),
                           (b"[" * 5000 + b"\0", "not Varlink"), (b'{"parameters":3}\0', "not Varlink"),
                           (b'{"parameters":{"vm":3}}\0', "not Varlink"), (b'{"error":[]}\0', "not Varlink"),
                           (b'{"parameters":{}', "has closed the connection"), (b"", "has closed the connection"),
                           (b" " * 3000000, "more than 1 MiB")):
            def answer(caller, _, data=data):
                with contextlib.suppress(OSError):
                    caller.sock.sendall(data)
                caller.sock.close()
            for args in [], ["attach", "web01"]:
                if args and b"vm" in data:
                    continue
                self.assertSays(run(self.fake(List=answer, Attach=answer), *args), text)

    def test_fields_that_are_missing_or_wrong(self):
        for vm in {}, {"name": 3, "id": [], "port": "x", "since": -1, "clients": {"a": 1}, "clientCount": 1.5,
                       "vmotion": None, "connected": "yes"}, {"since": 2**63 - 1, "clients": [1, None, {}]}:
            server = self.fake(List=all_vms([vm]), Attach=reply(vm=vm))
            for args in ["list"], ["show", "x"], ["list", "--json"]:
                self.assertEqual(run(server, *args).returncode, 0)


def never_a_reply(caller, _):
    """A byte now and then."""
    with contextlib.suppress(OSError):
        while not select.select([caller.sock], [], [], 0.3)[0]:
            caller.sock.sendall(b" ")


def never_the_last(caller, _):
    """A VM now and then."""
    with contextlib.suppress(OSError):
        while not select.select([caller.sock], [], [], 0.3)[0]:
            caller.sock.sendall(json.dumps({"parameters": {"vm": a_vm("web01")}, "continues": True}).encode() + b"\0")


class Hostility(ClientTestCase):
    """What a server may do that wants to keep us, or our memory."""

    def test_a_byte_now_and_then_is_no_answer(self):
        server = self.attaching(GetMetrics=never_a_reply)
        server.answers["List"] = never_a_reply
        terminals = [self.terminal(server, verb) for verb in ("list", "metrics")]
        for terminal in terminals:
            self.assertEqual(terminal.wait_exit(), 1)
            self.assertIn(b"vspcd does not answer", terminal.shown)

    def test_the_prompt_has_its_answer_soon_or_not_at_all(self):
        terminals = []
        for answer in never_a_reply, never_the_last:
            server = self.attaching(Clear=answer)
            server.answers["List"] = answer
            for command in (b"info", b"clear") if answer is never_a_reply else (b"info",):
                terminal = self.attached(server, "web01")
                terminal.command(command)
                terminals.append(terminal)
        for terminal in terminals:
            terminal.wait_shown(b"vspcd does not answer\r\nvspc> ")
            terminal.type(b"q\r")
            self.assertEqual(terminal.wait_exit(), 0)

    def test_who_is_attached_does_not_wait_for_similar_names(self):
        server = self.attaching()
        terminal = self.attached(server, "web01", "--wait")
        server.answers["Attach"] = error("NoSuchVM", vm="web01")
        server.wait_attached().close()
        terminal.wait_shown(b"vspcd knows no VM")
        terminal.command(b"q")
        self.assertEqual(terminal.wait_exit(), 0)
        self.assertNotIn("List", [method for method, _ in server.calls])

    def test_an_answer_of_too_many_parts(self):
        many = reply(vm={"a": [0] * 8192}, granted="free_for_all")
        for args in ["list"], ["attach", "web01"]:
            self.assertSays(run(self.fake(List=many, Attach=many), *args), "more parts than any has")

    def test_answers_without_end(self):
        vm = json.dumps({"parameters": {"vm": {"a": [[]] * 4000}}, "continues": True}).encode() + b"\0"

        def answer(caller, parameters):
            if parameters.get("name"):
                return error("NoSuchVM", vm="x")
            with contextlib.suppress(OSError):
                while True:
                    caller.sock.sendall(vm)

        for verb, text, limit in ("list", "more VMs than there can be", 600), ("show", 'no VM "x".\n', 200):
            process = subprocess.Popen([CLIENT, *options_of(self.fake(List=answer)), verb, *["x"][:verb == "show"]],
                                       stderr=subprocess.PIPE, text=True, env=environment())
            with process.stderr:
                self.assertIn(text, process.stderr.read())
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, 1)
            if not SANITIZED:
                self.assertLess(usage.ru_maxrss, limit << 10)


class Fallback(ClientTestCase):
    """The loopback address, where vspcd is asked if there is no local socket."""

    PORT = 13371

    def setUp(self):
        super().setUp()
        if os.path.exists("/run/vspc/admin.socket"):
            self.skipTest("vspcd runs here")
        vm = a_vm("web01")
        try:
            self.server = self.fake(on_tcp=True, port=self.PORT, List=all_vms([vm]),
                                    Attach=lambda _, parameters: reply(vm=vm, granted="free_for_all"))
        except OSError:
            self.skipTest("the port of vspcd is taken here")
        self.server.options = []

    def test_is_told(self):
        terminal = self.attached(self.server, "web01")
        self.assertRegex(terminal.shown, rb"Connected to VM web01 \(\S+\) by way of 127\.0\.0\.1:13371\.")

    def test_is_not_told_where_it_was_asked_for(self):
        self.server.options = [f"--host=127.0.0.1:{self.PORT}"]
        self.assertNotIn(b"by way of", self.attached(self.server, "web01").shown)

    def test_who_waits_stays_with_it(self):
        terminal = self.attached(self.server, "web01", "--wait")
        peer = self.server.wait_attached()
        self.server.close()
        peer.close()
        terminal.wait_shown(b"Waiting until")
        terminal.command(b"info")
        terminal.wait_shown(b"Cannot reach vspcd: 127.0.0.1:13371: Connection refused")
        self.assertNotIn(b"/run/vspc/admin.socket", terminal.shown)


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

    def test_as_json_a_line_each(self):
        vspcd = self.start()
        connected_vm(vspcd, "old")
        events = [json.loads(line) for line in self.until(self.monitor(vspcd, "--json"), "ready")]
        self.assertEqual([event["event"] for event in events], ["present", "ready"])
        self.assertEqual(events[0]["vm"]["name"], "old")

    def test_ends_with_a_failure_when_vspcd_does(self):
        vspcd = self.start()
        process = self.monitor(vspcd)
        self.until(process, "Watching")
        vspcd.signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE_SEC), 1)


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
        self.assertEqual((result.returncode, result.stdout), (0, f"{vm.port}: 2 clients disconnected.\n"))
        for client in clients:
            client.wait_closed()
        self.assertEqual(run(vspcd, "clear", "web01").stdout, "web01: 0 clients disconnected.\n")


class Attach(ClientTestCase):
    def test_keys_and_output(self):
        vm, terminal = self.attached_to_vm(name="web01")
        self.assertIn(f"vspc-client: Connected to VM web01 ({vm.id}). The escape character is ^].".encode(),
                      terminal.shown)
        terminal.type(b"ls\r")
        vm.wait_data(b"ls\r")
        vm.send(b"file\r\n$ ")
        terminal.wait_shown(b"file\r\n$ ")

    def test_a_bare_vm_is_attached_to(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        self.attached(vspcd, vm.name)

    def test_every_byte_in_both_directions(self):
        vm, terminal = self.attached_to_vm("--escape=none")
        blob = (ALL_BYTES + bytes(reversed(ALL_BYTES)) + b"\xff" * 99 + b"\r\n\r\0\n") * 64
        n = len(terminal.shown)
        vm.send(blob)
        terminal.wait(lambda: len(terminal.shown) >= n + len(blob), "all output")
        self.assertSameBytes(terminal.shown[n:], blob)
        terminal.type(blob)
        vm.wait_size(len(blob))
        self.assertSameBytes(vm.data, blob)

    def test_scrollback_unless_it_is_not_wanted(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(b"<old>")
        self.attached(vspcd, vm.name).wait_shown(b"<old>")
        terminal = self.attached(vspcd, vm.name, "--no-scrollback")
        vm.send(b"<new>")
        terminal.wait_shown(b"<new>")
        self.assertNotIn(b"<old>", terminal.shown)

    def test_notices_of_vspcd_are_shown(self):
        vm, terminal = self.attached_to_vm()
        vm.close()
        terminal.wait_shown(b"\r\n[vspc: VM disconnected]\r\n")

    def test_who_keeps_it_from_writing(self):
        vm, first = self.attached_to_vm("--access=write")
        first.wait_shown(b"You hold write access.")
        second = self.attached(vm.vspcd, vm.name)
        second.wait_shown(b"vspc-client: Read-only: 127.0.0.1:")
        second.wait_shown(b" holds write access since ")

    def test_negotiation_is_answered_and_refused(self):
        server = self.attaching()
        self.attached(server, "web01")
        peer = server.wait_attached()
        peer.send(say(DO, NAWS) + say(WILL, TERMINAL_TYPE) + say(WILL, ECHO) + say(DO, NAWS))
        peer.wait_data(say(WONT, NAWS) + say(DONT, TERMINAL_TYPE) + say(WONT, NAWS))

    def test_binary_that_is_withdrawn(self):
        server = self.attaching()
        terminal = self.attached(server, "web01")
        peer = server.wait_attached()
        peer.send(say(DONT, 0) + say(WONT, 0) + b"a\r\0b")
        peer.wait_data(say(WONT, 0) + say(DONT, 0))
        terminal.wait_shown(b"a\rb")
        terminal.type(b"x\ry")
        peer.wait_data(b"x\r\0y")

    def test_the_size_of_the_window_makes_no_difference(self):
        vm, terminal = self.attached_to_vm()
        for size in (1, 1), (500, 500), (50, 132):
            terminal.resize(*size)
            vm.send(b"<%d>" % size[0])
            terminal.wait_shown(b"<%d>" % size[0])
        terminal.type(b"still here")
        vm.wait_data(b"still here")
        self.assertEqual(bytes(vm.data), b"still here")

    def test_output_to_a_file_keys_from_the_terminal(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        with tempfile.NamedTemporaryFile() as f:
            terminal = self.attached(vspcd, vm.name, stdout=f)
            vm.send(ALL_BYTES)
            wait_for(lambda: os.path.getsize(f.name) >= 256, "the output in the file")
            terminal.command(b"quit")
            self.assertEqual(terminal.wait_exit(), 0)
            with open(f.name, "rb") as got:
                self.assertSameBytes(got.read(), ALL_BYTES)

    def test_a_client_that_is_killed_leaves_nothing_behind(self):
        vm, terminal = self.attached_to_vm("--access=exclusive")
        terminal.process.kill()
        terminal.wait_exit()
        wait_for(lambda: ' 0 ' in run(vm.vspcd, "--no-legend").stdout, "vspcd to see that it is gone")
        again = self.attached(vm.vspcd, vm.name, "--access=exclusive")
        again.type(b"x")
        vm.wait_data(b"x")


class Prompt(ClientTestCase):
    TAKEN_MAX = 4 << 20  # by vspc-client and the kernel, of what the prompt holds back

    def test_quit(self):
        for line in b"quit", b"q", b"  qu ", b"cl\x7f\x7fq", b"nonsense\x15q":
            _, terminal = self.attached_to_vm()
            terminal.command(line)
            self.assertEqual(terminal.wait_exit(), 0)
            self.assertTrue(terminal.is_as_before())

    def test_the_end_of_input_quits(self):
        _, terminal = self.attached_to_vm()
        terminal.prompt()
        terminal.type(b"\x04")
        self.assertEqual(terminal.wait_exit(), 0)

    def test_continue(self):
        vm, terminal = self.attached_to_vm()
        for line in b"", b"c", b"continue", b"nonsense\x03":
            terminal.command(line)
            terminal.type(b"<%s>" % line[:1])
            vm.wait_data(b"<%s>" % line[:1])
            self.assertTrue(terminal.is_raw())
        self.assertNotIn(b"continue", bytes(vm.data))
        self.assertNotIn(ESCAPE, bytes(vm.data))

    def test_print_escape(self):
        vm, terminal = self.attached_to_vm()
        terminal.command(b"print-escape")
        vm.wait_data(ESCAPE)
        terminal.command(b"p")
        vm.wait_data(ESCAPE * 2)

    def test_break(self):
        vm, terminal = self.attached_to_vm()
        terminal.type(b"a")
        terminal.command(b"break")
        terminal.type(b"b")
        vm.wait_data(b"ab")
        self.assertEqual([item for item in vm.trace if item == ("command", BRK)], [("command", BRK)])

    def test_info(self):
        vm, terminal = self.attached_to_vm(name="web01")
        terminal.command(b"info")
        terminal.wait_shown(b"\r\n     Name: web01\r\n")
        terminal.wait_shown(b"\r\n  Clients: 1\r\n")
        self.assertIn(f"UUID: {vm.id}\r\n".encode(), terminal.shown)
        terminal.wait(lambda: terminal.shown.endswith(b"\r\nvspc> "), "the prompt again")
        terminal.type(b"\r")
        terminal.type(b"x")
        vm.wait_data(b"x")

    def test_clear_cuts_this_connection_too(self):
        vm, terminal = self.attached_to_vm()
        other = TelnetClient(vm)
        terminal.command(b"clear")
        terminal.wait_shown(b"2 clients disconnected, this one among them.")
        self.assertEqual(terminal.wait_exit(), 0)
        self.assertTrue(terminal.is_as_before())
        other.wait_closed()

    def test_help(self):
        vm, terminal = self.attached_to_vm()
        for line in b"help", b"h", b"?":
            n = len(terminal.shown)
            terminal.command(line)
            for word in b"quit", b"continue", b"print-escape", b"break", b"info", b"clear", b"suspend":
                terminal.wait_shown(b"\r\n" + word + b" ", n)
            terminal.wait(lambda: terminal.shown.endswith(b"\r\nvspc> "), "the prompt again")
            terminal.type(b"\r")
        terminal.type(b"x")
        vm.wait_data(b"x")

    def test_nonsense(self):
        vm, terminal = self.attached_to_vm()
        terminal.command(b"frob")
        terminal.wait_shown(b"There is no such command")
        terminal.type(b"y" * 200)
        terminal.wait_shown(b"\x07")
        terminal.type(b"\x15\r")
        terminal.type(b"x")
        vm.wait_data(b"x")
        self.assertEqual(bytes(vm.data), b"x")

    def test_keys_around_it_in_one_go(self):
        vm, terminal = self.attached_to_vm()
        terminal.type(b"before" + ESCAPE + b"c\rafter" + ESCAPE + b"\r.")
        vm.wait_data(b".")
        self.assertEqual(bytes(vm.data), b"beforeafter.")

    def test_another_escape_character(self):
        vm, terminal = self.attached_to_vm("--escape=^a")
        terminal.wait_shown(b"The escape character is ^A.")
        terminal.type(ESCAPE + b"\x01q\r")
        self.assertEqual(terminal.wait_exit(), 0)
        vm.wait_data(ESCAPE)

    def test_output_is_held_back_and_shown_after(self):
        vm, terminal = self.attached_to_vm()
        terminal.prompt()
        vm.send(b"<held>")
        terminal.type(b"info\r")  # takes longer than the output
        terminal.wait_shown(b"Received: 6B\r\n")
        terminal.wait(lambda: terminal.shown.endswith(b"\r\nvspc> "), "the prompt again")
        self.assertNotIn(b"<held>", terminal.shown)
        terminal.type(b"\r")
        terminal.wait_shown(b"vspc> \r\n<held>")

    def test_what_is_held_back_is_bounded_and_nothing_is_lost(self):
        server = self.attaching()
        terminal = self.attached(server, "web01")
        peer = server.wait_attached()
        terminal.prompt()
        n = len(terminal.shown)
        blob = bytes(range(32, 127)) * 100000
        peer.sock.setblocking(False)
        sent = 0

        def send():
            """Returns whether more than a MiB has been taken, and no more for half a second."""
            nonlocal sent
            taken = False
            with contextlib.suppress(*WOULD_BLOCK):
                n = peer.sock.send(blob[sent:sent + (1 << 18)])
                sent, taken = sent + n, True
            is_stuck = not taken and not select.select([], [peer.sock], [], 0.5)[1] and sent > 1 << 20
            return is_stuck or sent == len(blob)

        wait_for(send, lambda: f"more than a MiB to be taken, it is {sent}")
        self.assertLess(sent, self.TAKEN_MAX)
        with open(f"/proc/{terminal.process.pid}/status", encoding="ascii") as f:
            rss = int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1])
        self.assertLess(rss, 200000 if SANITIZED else 16000)

        terminal.type(b"c\r")
        peer.sock.setblocking(True)
        rest = threading.Thread(target=lambda: peer.sock.sendall(blob[sent:]))
        rest.start()
        expected = len(b"c\r\n") + len(blob)
        terminal.wait(lambda: len(terminal.shown) >= n + expected, "all that was held back")
        rest.join()
        self.assertSameBytes(terminal.shown[n:], b"c\r\n" + blob)

    def test_works_while_the_vm_takes_no_input(self):
        server = self.attaching()
        terminal = self.attached(server, "web01")
        server.wait_attached()  # which reads nothing
        keys = b"x" * 4096
        while b"\a" not in terminal.shown:
            if select.select([], [terminal.fd], [], 0.02)[1]:
                os.write(terminal.fd, keys)
            terminal.read()
        terminal.wait(lambda: select.select([], [terminal.fd], [], 0)[1], "the keys to be read")
        terminal.command(b"q")
        self.assertEqual(terminal.wait_exit(), 0)

    def test_works_while_the_terminal_takes_no_output(self):
        server = self.attaching()
        terminal = self.attached(server, "web01")
        peer = server.wait_attached()
        peer.sock.setblocking(False)
        with contextlib.suppress(*WOULD_BLOCK):
            for _ in range(256):
                peer.sock.send(b"y" * 65536)
        terminal.type(b"still")
        peer.sock.setblocking(True)
        peer.wait_data(b"still")


class TheTerminalIsRestored(ClientTestCase):
    def ends(self, terminal, how, *, status):
        self.assertTrue(terminal.is_raw())
        how()
        self.assertEqual(terminal.wait_exit(), status)
        self.assertTrue(terminal.is_as_before())

    def test_after_a_signal(self):
        _, terminal = self.attached_to_vm()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV,
                       signal.SIGUSR1, signal.SIGPIPE):
            if number == signal.SIGSEGV and SANITIZED:
                continue
            terminal = self.attached(self.attaching(), "web01")
            self.ends(terminal, lambda n=number, t=terminal: t.process.send_signal(n), status=-number)

    def test_after_the_server_has_closed(self):
        server = self.attaching()
        terminal = self.attached(server, "web01")
        self.ends(terminal, lambda: server.wait_attached().close(), status=1)
        terminal.wait_shown(b"Disconnected from VM web01 (50120001-")
        self.assertIn(b"): vspcd has closed the connection\r\n", terminal.shown)

    def test_after_vspcd_was_killed(self):
        vm, terminal = self.attached_to_vm()
        vm.vspcd.healthy = False
        vm.send(b"<last words>")
        terminal.wait_shown(b"<last words>")
        self.ends(terminal, lambda: vm.vspcd.signal(signal.SIGKILL), status=1)
        vm.vspcd.wait_exit()

    def test_while_the_prompt_is_open(self):
        server = self.attaching()
        terminal = self.attached(server, "web01")
        terminal.prompt()
        server.wait_attached().send(b"<held>")
        self.ends(terminal, lambda: server.wait_attached().close(), status=1)
        self.assertIn(b"<held>", terminal.shown)

    def test_while_it_is_stopped(self):
        vm, terminal = self.attached_to_vm()

        def state():
            with open(f"/proc/{terminal.process.pid}/stat", encoding="ascii") as f:
                return f.read().rsplit(")", 1)[1].split()[0]

        # Its process group is orphaned, as that of a shell is, so only SIGSTOP stops it; what ^Z does in a job of
        # a shell is tested in tmux.
        terminal.process.send_signal(signal.SIGTSTP)
        terminal.type(b"a")
        vm.wait_data(b"a")
        self.assertTrue(terminal.is_raw())

        terminal.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: state() == "T", "it to be stopped")
        termios.tcsetattr(terminal.slave, termios.TCSANOW, terminal.before)
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait(terminal.is_raw, "the terminal to be raw again")
        terminal.type(b"b")
        vm.wait_data(b"ab")

    def test_not_touched_when_nothing_is_attached(self):
        for args in ["attach", "nobody"], ["list"]:
            terminal = self.terminal(self.fake(Attach=error("NoSuchVM", vm="nobody"), List=all_vms([])), *args)
            terminal.wait_exit()
            self.assertTrue(terminal.is_as_before())


class Pipes(ClientTestCase):
    def attached_with_pipes(self, server, vm, *args, **kwargs):
        process = subprocess.Popen([CLIENT, *options_of(server), "attach", vm, *args], env=environment(),
                                   **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                                      **kwargs})
        self.addCleanup(lambda: [f.close() for f in (process.stdin, process.stdout, process.stderr) if f])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_a_command_and_what_comes_of_it(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        process = self.attached_with_pipes(vspcd, vm.name)
        process.stdin.write(b"uname\n" + ESCAPE)
        process.stdin.close()
        vm.wait_data(b"uname\n" + ESCAPE)
        vm.send(b"Linux\n")
        self.assertEqual(process.stdout.read(), b"Linux\n")
        self.assertEqual(process.wait(PATIENCE_SEC), 0)
        self.assertRegex(process.stderr.read().decode(), rf"^vspc-client: Connected to VM {vm.name} \(\S+\)\.\n$")

    def test_output_alone_goes_on_until_it_is_interrupted(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        process = self.attached_with_pipes(vspcd, vm.name, stdin=subprocess.DEVNULL)
        for i in range(3):
            vm.send(b"line %d\n" % i)
            self.assertEqual(process.stdout.readline(), b"line %d\n" % i)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE_SEC), -signal.SIGINT)

    def test_output_alone_until_it_has_been_silent(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(ALL_BYTES)
        process = self.attached_with_pipes(vspcd, vm.name, "--quiet-for=2s", stdin=subprocess.DEVNULL)
        self.assertSameBytes(process.stdout.read(), ALL_BYTES.replace(b"\x05", b""))  # ENQ asks the terminal who it is
        self.assertEqual(process.wait(PATIENCE_SEC), 0)

    def test_a_vm_that_goes_on_talking_is_not_silent(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        process = self.attached_with_pipes(vspcd, vm.name, "--quiet-for=2s", stdin=subprocess.DEVNULL)
        process.stderr.readline()
        began = time.monotonic()
        while time.monotonic() < began + 3:
            vm.send(b"still here\n")
            self.assertEqual(process.stdout.readline(), b"still here\n")
        self.assertEqual(process.wait(PATIENCE_SEC), 0)

    def test_a_file_to_the_vm_and_one_from_it(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        blob = ALL_BYTES * 4096
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as sink:
            source.write(blob)
            source.seek(0)
            process = self.attached_with_pipes(vspcd, vm.name, stdin=source, stdout=sink)
            vm.wait_size(len(blob))
            self.assertSameBytes(vm.data, blob)
            vm.send(blob)
            self.assertEqual(process.wait(PATIENCE_SEC), 0)
            sink.seek(0)
            self.assertSameBytes(sink.read(), blob)

    def test_more_than_fits_waits_in_the_pipe(self):
        server = self.attaching()
        process = self.attached_with_pipes(server, "web01")
        peer = server.wait_attached()
        blob = b"\xff" * (4 << 20)
        writer = threading.Thread(target=lambda: (process.stdin.write(blob), process.stdin.close()))
        writer.start()
        peer.wait_data(double(blob))
        writer.join()
        self.assertEqual(process.wait(PATIENCE_SEC), 0)

    def test_input_that_is_not_taken_is_a_failure(self):
        server = self.attaching()
        with tempfile.TemporaryFile() as source:
            source.truncate(900 << 10)
            process = self.attached_with_pipes(server, "web01", "--quiet-for=200ms", stdin=source)
            self.assertEqual(process.wait(PATIENCE_SEC), 1)
        self.assertIn(b" bytes of the input", process.stderr.read())

    def test_a_lost_connection_is_a_failure(self):
        server = self.attaching()
        process = self.attached_with_pipes(server, "web01")
        peer = server.wait_attached()
        peer.send(b"<last words>")
        peer.close()
        self.assertEqual(process.wait(PATIENCE_SEC), 1)
        self.assertEqual(process.stdout.read(), b"<last words>")
        self.assertIn(b"Disconnected from VM web01", process.stderr.read())

    def test_nobody_reads_the_output(self):
        server = self.attaching()
        process = self.attached_with_pipes(server, "web01", stdin=subprocess.DEVNULL)
        process.stdout.close()
        server.wait_attached().send(b"x")
        self.assertEqual(process.wait(PATIENCE_SEC), -signal.SIGPIPE)
        self.assertNotIn(b"Cannot", process.stderr.read())

    def test_a_full_disk_is_a_failure(self):
        server = self.attaching()
        with open("/dev/full", "wb") as full:
            process = self.attached_with_pipes(server, "web01", stdin=subprocess.DEVNULL, stdout=full)
            server.wait_attached().send(b"x")
            self.assertEqual(process.wait(PATIENCE_SEC), 1)
        self.assertIn(b"Cannot write to the standard output: No space left on device", process.stderr.read())

    def test_slow_output_loses_nothing(self):
        vspcd = self.start(SlowClient="wait")
        vm = connected_vm(vspcd)
        process = self.attached_with_pipes(vspcd, vm.name, "--quiet-for=2s", stdin=subprocess.DEVNULL)
        process.stderr.readline()
        blob = ALL_BYTES * 16384
        sender = threading.Thread(target=lambda: vm.send(blob))
        sender.start()
        self.assertSameBytes(process.stdout.read(len(blob)), blob)
        sender.join()

    def test_closed_standard_descriptors(self):
        server = self.attaching()
        shell = 'exec "$0" "$@" <&- >&-'
        result = subprocess.run(["sh", "-c", shell, CLIENT, *options_of(server), "web01", "--quiet-for=100ms"],
                                capture_output=True, check=False, env=environment(), timeout=PATIENCE_SEC)
        self.assertEqual((result.returncode, result.stdout), (0, b""), result.stderr)


class Wait(ClientTestCase):
    def test_across_a_restart_of_vspcd(self):
        """With the admin socket kept open, as systemd does."""
        with listener() as vm_socket, listener() as admin_socket:
            def start():
                with mock.patch("harness.listener", side_effect=[vm_socket.dup(), admin_socket.dup()]):
                    return self.start()
            vspcd = start()
            vm = connected_vm(vspcd, "web01")
            terminal = self.attached(vspcd, "web01", "--wait")
            vspcd.signal(signal.SIGTERM)
            vspcd.wait_exit()
            terminal.wait_shown(b"\r\nWaiting until it can be attached to.\r\n")
            self.assertTrue(terminal.is_raw())
            n = len(terminal.shown)
            again = start()
            terminal.wait_shown(b'vspcd knows no VM "' + vm.id.encode(), n)
            vm = EsxiVm(again, "web02", digits=vm.digits).connect()
            terminal.wait_shown(b"Connected to VM web02 ", n)  # by its UUID
            terminal.type(b"x")
            vm.wait_data(b"x")
            self.assertEqual(terminal.shown[n:].count(b"knows no VM"), 1)

    def test_for_vspcd_to_be_started(self):
        server = self.attaching()
        server.close()
        terminal = self.terminal(server, "web01", "--wait")
        terminal.wait_shown(b"Cannot reach vspcd: ")
        terminal.wait_shown(b"Waiting until it can be attached to.\r\n")
        self.assertTrue(terminal.is_as_before())
        again = FakeVspcd(path=server.path, **server.answers)
        self.addCleanup(again.__exit__)
        again.wait_attached().send(b"<hello>")
        terminal.wait_shown(b"<hello>")
        self.assertEqual(terminal.shown.count(b"Cannot reach"), 1)

    def test_for_somebody_to_leave(self):
        vm, first = self.attached_to_vm("--access=exclusive")
        second = self.terminal(vm.vspcd, vm.name, "--wait")
        second.wait_shown(b" holds exclusive access since ")
        first.command(b"q")
        first.wait_exit()
        second.wait_shown(b"Connected to VM ")

    def test_can_be_given_up_at_the_prompt(self):
        server = self.attaching()
        terminal = self.attached(server, "web01", "--wait")
        peer = server.wait_attached()
        server.close()
        peer.close()
        terminal.wait_shown(b"Waiting until")
        terminal.command(b"break")
        terminal.wait_shown(b"No break was sent")
        terminal.command(b"info")
        terminal.wait_shown(b"Cannot reach vspcd: ")
        terminal.type(b"q\r")
        self.assertEqual(terminal.wait_exit(), 0)
        self.assertTrue(terminal.is_as_before())

    def test_not_for_what_time_does_not_heal(self):
        server = self.fake(Attach=error("AmbiguousVM", vm="web", uuids=["1", "2"]), List=all_vms([]))
        self.assertSays(run(server, "web", "--wait"), '"web" may be any of these VMs', "\n  1\n  2\n")


class Log(ClientTestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-log-"))
        with open(f"{self.folder}/journalctl", "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
        os.chmod(f"{self.folder}/journalctl", 0o755)

    def log(self, server, *args):
        return run(server, "log", *args, env={"PATH": f"{self.folder}:{os.environ['PATH']}"})

    def assertAsks(self, result, *words, unit="vspc.service", options=()):
        """The journal, for what the consoles have said, and nobody else."""
        self.assertEqual((result.returncode, result.stdout.splitlines()),
                         (0, ["--namespace=+vspc", "-t", "vspc-console", *options, f"_SYSTEMD_UNIT={unit}", *words]),
                         result)

    def test_a_vm_by_its_uuid(self):
        vspcd = self.start(local=True)
        vm = connected_vm(vspcd, "web01")
        result = self.log(vspcd, "web01")
        self.assertAsks(result, f"VSPC_VM_UUID={vm.id}")
        self.assertEqual(result.stderr, "")

    def test_a_serial_port_of_several(self):
        vm = a_vm("web01", uri="telnet://s2")
        server = self.fake(List=all_vms([{**vm, "id": vm["uuid"] + "_s2"}]))
        self.assertAsks(self.log(server, "web01"), f"VSPC_VM_UUID={vm['uuid']}", "VSPC_URI=telnet://s2")

    def test_by_way_of_the_loopback_address(self):
        vm = a_vm("web01")
        server = self.fake(on_tcp=True, List=all_vms([vm]))
        self.assertAsks(self.log(server, "web01"), f"VSPC_VM_UUID={vm['uuid']}")

    def test_options_are_passed_on(self):
        vm = a_vm("web01")
        server = self.fake(List=all_vms([vm]))
        result = self.log(server, "web01", "-f", "-n", "5", "--since=-1h", "--until", "now", "--output=json",
                          "--no-pager")
        self.assertAsks(result, f"VSPC_VM_UUID={vm['uuid']}", options=[
            "--follow", "-n", "5", "--since", "-1h", "--until", "now", "--output", "json", "--no-pager"])

    def test_of_another_unit(self):
        vm = a_vm("web01")
        server = self.fake(List=all_vms([vm]))
        for given, unit in (("vspc@rack7.service", "vspc@rack7.service"), ("serve", "serve.service"),
                            ("session-2.scope", "session-2.scope"), ("u" * 247, "u" * 247 + ".service")):
            self.assertAsks(self.log(server, "web01", f"--unit={given}"), f"VSPC_VM_UUID={vm['uuid']}", unit=unit)
        for bad in ("", "a b", "a+b", "a\nb", "*", "x" * 256):
            result = self.log(server, "web01", f"--unit={bad}")
            self.assertSays(result, "is not the name of a unit such as vspc.service")
            self.assertEqual(result.stdout, "")

    def test_by_name_without_vspcd(self):
        server = self.fake()
        server.close()
        result = self.log(server, "web01")
        self.assertAsks(result, "VSPC_VM_NAME=web01")
        self.assertIn("Cannot reach vspcd: ", result.stderr)
        self.assertIn('Looking for a VM named "web01" in the journal', result.stderr)

    def test_by_name_if_vspcd_does_not_know_it(self):
        for answer in error("NoSuchVM", vm="web01"), all_vms([]):
            result = self.log(self.fake(List=answer), "web01")
            self.assertAsks(result, "VSPC_VM_NAME=web01")
            self.assertIn('Looking for a VM named "web01" in the journal', result.stderr)

    def test_several_are_too_many(self):
        server = self.fake(List=all_vms([a_vm("twin", 1), a_vm("twin", 2)]))
        result = self.log(server, "twin")
        self.assertSays(result, '"twin" names 2 VMs')
        self.assertEqual(result.stdout, "")

    def test_what_vspcd_refuses_is_not_looked_for(self):
        server = self.fake(List=error("AmbiguousVM", vm="5012", uuids=["1", "2"]))
        result = self.log(server, "5012")
        self.assertSays(result, '"5012" may be any of these VMs')
        self.assertEqual(result.stdout, "")

    def test_no_journalctl(self):
        os.unlink(f"{self.folder}/journalctl")
        result = run(self.fake(List=all_vms([a_vm("web01")])), "log", "web01", env={"PATH": self.folder})
        self.assertSays(result, "Cannot run journalctl")


@skipUnless(shutil.which("tmux"), "tmux is not installed")
class Tmux(ClientTestCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-tmux-"))
        shell = "env HISTFILE=/dev/null PS1='sh$ ' bash --norc --noprofile -i"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "30", shell)
        self.addCleanup(self.tmux, "kill-server")

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", f"{self.folder}/socket", *args], check=True, capture_output=True,
                              text=True, env=environment(HOME=self.folder)).stdout

    def type(self, *keys):
        self.tmux("send-keys", *keys)

    def screen(self):
        return self.tmux("capture-pane", "-p").rstrip("\n")

    def wait_screen(self, text):
        try:
            wait_for(lambda: text in self.screen(), repr(text))
        except AssertionError as e:
            raise AssertionError(f"{e}\nthe screen:\n{self.screen()}") from None

    def test_a_session(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "web01")
        self.wait_screen("sh$")
        self.type(f"{CLIENT} {options_of(vspcd)[0]} web01", "Enter")
        self.wait_screen("The escape character is ^].")
        vm.send(b"\x1b[2J\x1b[5;10Hlogin: ")
        self.wait_screen("\n         login:")
        self.type("root", "Enter", "C-c", "C-z", "C-d", "Up")
        vm.wait_data(b"root\r\x03\x1a\x04\x1b[A")
        self.tmux("resize-window", "-x", "60", "-y", "20")
        vm.send(b"root\r\n# ")
        self.wait_screen("login: root\n#")

        self.type("C-]")
        self.wait_screen("\nvspc>")
        vm.send(b"<held>")
        self.type("C-z")  # as a job of the shell
        self.wait_screen("Stopped")
        self.type("echo $((6 * 7))", "Enter")
        self.wait_screen("\n42\n")
        self.assertNotIn("<held>", self.screen())
        self.type("fg", "Enter")
        self.wait_screen("<held>")
        self.type("y")
        vm.wait_data(b"y")

        self.type("C-]", "quit", "Enter")
        self.wait_screen("vspc> quit\nsh$")
        self.type("echo status $?; stty -a | grep -o ' [-]*icanon'", "Enter")
        self.wait_screen("\nstatus 0\n icanon\n")


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

    def test_vms(self):
        server = self.fake(List=all_vms([a_vm(name, i) for i, name in enumerate(
            ["web01", "web02", "db", "my vm", "a:b"])]))
        self.assertEqual(self.complete(server, "attach", "we"), ["web01", "web02"])
        self.assertEqual(self.complete(server, "d"), ["db"])
        self.assertEqual(self.complete(server, "show", "my\\ v"), ["my\\ vm"])
        self.assertEqual(self.complete(server, "clear", "a:"), ["b"])
        self.assertEqual(self.complete(server, "list", "we"), [""])
        self.assertEqual(self.complete(None, "attach", "we"), [""])


if __name__ == "__main__":
    main()
