# SPDX-License-Identifier: LGPL-2.1-or-later

"""Messages of vspc-client when a call fails: refused by vspcd, by a server that is not vspcd, or without a server."""

import contextlib
import os
import pwd
import re
import socket
import subprocess
import tempfile
from unittest import skipUnless

from client_cases import CLIENT, ClientTestCase, environment, run
from fake_varlink import FakeVspcd, a_client, a_vm, all_vms, error, reply
from harness import PATIENCE_SEC, main
from peers import TelnetClient, connected_vm
from varlink_peer import disconnect


class Refusals(ClientTestCase):
    def test_an_unknown_vm_and_those_with_similar_names(self):
        vspcd = self.start()
        for name in "web01", "WEB02", "database", "mail":
            connected_vm(vspcd, name)
        for verb in "attach", "show", "clear", "forget":
            self.assertSays(run(vspcd, verb, "wbe01"), 'No VM named "wbe01". Similar names:\n  web01  5012')
        self.assertRegex(run(vspcd, "show", "web").stderr, r'names:\n  WEB02  \S+\n  web01  \S+\n$')
        self.assertRegex(run(vspcd, "show", "databases").stderr, r'names:\n  database  \S+\n$')
        self.assertSays(run(vspcd, "show", "xyz"), 'No VM named "xyz". "vspc-client list" lists the VMs.')

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
            self.assertSays(run(vspcd, verb, "twin"), '"twin" matches several VMs', *[f"\n  twin  {vm.id}" for vm in vms])
        self.assertEqual(run(vspcd, "show", "twin").stdout.count("Name: twin"), 2)
        self.assertEqual(run(vspcd, "show", vms[0].id).returncode, 0)

    def test_of_many_candidates_each_is_named_in_full(self):
        vms = [a_vm("n" * 80 + str(i), i) for i in range(30)]
        server = self.fake(Attach=error("AmbiguousVM", vm="n", uuids=[vm["id"] for vm in vms]), List=all_vms(vms))
        result = run(server, "attach", "n")
        self.assertSays(result, "matches several VMs", *[f"\n  {vm['name']}  {vm['id']}\n" for vm in vms[:20]])
        self.assertTrue(result.stderr.endswith("\n  and 10 more\n"), result.stderr[-200:])

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
        disconnect(vm)
        result = run(vspcd, "forget", "web01")
        self.assertEqual((result.returncode, result.stdout), (0, "web01: forgotten.\n"))
        self.assertEqual(run(vspcd).stdout, "No VMs.\n")

    EVIL = "evil\x1b]0;title\x07\x9b31m\u202e\r\nfake"

    def test_a_name_on_the_command_line_cannot_touch_the_terminal_either(self):
        """A script may have it from a stranger."""
        gone, closing = self.fake(), self.fake(**dict.fromkeys(("List", "Attach", "Clear", "Forget"),
                                                               lambda caller, _: caller.sock.close()))
        gone.close()
        unknown = error("NoSuchVM", vm="x")
        refusing = self.fake(List=all_vms([]), Attach=unknown, Clear=unknown, Forget=error("VMConnected", vm="x"))
        for server in gone, closing, refusing:
            for verb in "attach", "show", "clear", "forget", "log":
                self.assertHarmless(run(server, verb, self.EVIL, env={"PATH": "/nonexistent"}))

    def test_nor_can_the_value_of_an_option(self):
        for options in (["--socket"], ["--host"], ["--access"], ["--escape"], ["--json"], ["--format"], ["--timeout"],
                        ["--unit"], ["--tls", "--host=localhost:1", "--fingerprint"],
                        ["--tls", "--host=localhost:1", "--ca"], ["--tls", "--host=localhost:1", "--cert"]):
            self.assertHarmless(subprocess.run([CLIENT, *options[:-1], f"{options[-1]}={self.EVIL}"], encoding="utf-8",
                                               capture_output=True, check=False, env=environment()))

    def test_nor_can_the_name_of_an_option(self):
        for word in f"--{self.EVIL}", f"-{self.EVIL}", f"--tls={self.EVIL}", f"--{self.EVIL}=x":
            self.assertHarmless(run(self.fake(), word))

    def assertHarmless(self, result):
        self.assertEqual(result.returncode, 1, result)
        self.assertRegex(result.stderr, "^vspc-client: ")
        self.assertNotRegex(result.stdout + result.stderr, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")
        self.assertNotIn("\nfake", result.stdout + result.stderr)

    def test_an_older_vspcd(self):
        unknown = [{"error": "org.varlink.service.MethodNotFound", "parameters": {"method": "x"}}]
        self.assertSays(run(self.fake(GetMetrics=unknown), "metrics"), "This vspcd cannot do that")

    def test_usage(self):
        server = self.fake()
        for args, text in ((["show"], "show: at least one VM is needed.\n"),
                           (["attach"], "attach: exactly one VM is needed.\n"),
                           (["attach", "a", "b"], "attach: exactly one VM is needed.\n"),
                           (["log"], "log: at least one VM is needed.\n"),
                           (["monitor", "a"], 'monitor: "a" is one argument too many.\n'),
                           (["--access=all", "a"], '--access: "all" is not exclusive, write, '),
                           (["--escape=ab", "a"], '--escape: "ab" is not a character, ^ and a character, or "none".\n'),
                           (["--json=yaml"], '"short" or "pretty"'), (["--quiet-for=soon", "a"], "time span"),
                           (["metrics", "--format=xml"], "openmetrics"),
                           (["--host=a", "list"], "--host, --socket: only one of them can be used.\n"),
                           ([b"\xff"], "is not UTF-8, so it cannot name a VM.\n"), (["--frob"], 'Unknown option "--frob".'),
                           (["-x"], 'Unknown option "-x".'), (["--tls", "-xf"], 'Unknown option "-x".'), (["--access"], "--access: a value is needed."),
                           (["-H"], "-H: a value is needed."), (["--tls=x"], "--tls=x: no value is allowed.")):
            self.assertSays(run(server, *args), text)
        self.assertEqual(server.calls, [])

    def test_an_unknown_verb_and_the_similar_one(self):
        server = self.fake()
        for word, verb in (("status", "show"), ("shwo", "show"), ("Attach", "attach"), ("logs", "log"), ("mon", "monitor"),
                           ("ls", "list"), ("connect", "attach"), ("remove", "forget")):
            self.assertSays(run(server, word, "web-1"), f'Unknown verb "{word}". Did you mean "{verb}"?')
        self.assertSays(run(server, "web-1", "web-2"), 'Unknown verb "web-1". "vspc-client --help" lists all verbs.')
        self.assertHarmless(run(server, self.EVIL, "web-1"))
        self.assertEqual(server.calls, [])

    def test_one_word_is_a_vm_and_maybe_a_verb_with_a_mistake(self):
        server = self.fake(List=all_vms([]), Attach=error("NoSuchVM", vm="x"))
        for word, verb in ("lst", "list"), ("metric", "metrics"), ("Monitor", "monitor"):
            self.assertSays(run(server, word), f'No VM named "{word}"', f'Did you mean the verb "{verb}"?')
        for words in ["web-log-01"], ["attach", "lst"]:
            self.assertNotIn("verb", run(server, *words).stderr)

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

    @skipUnless(os.getuid() == 0, "only root can have a /run of its own")
    def test_without_the_local_socket_nobody_else_is_asked(self):
        """Any local user may listen at 127.0.0.1:13371, and would see what root types."""
        code = ("import os, socket, sys; s = socket.create_server(('127.0.0.1', 13371)); "
                "os.set_inheritable(s.fileno(), True); os.execv(sys.argv[1], sys.argv[1:])")
        script = 'mount -t tmpfs none /run && ip link set lo up && exec python3 -c "$1" "$0" web01'
        if subprocess.run(["unshare", "-mn", "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("there are no namespaces here")
        result = subprocess.run(["unshare", "-mn", "sh", "-c", script, CLIENT, code], capture_output=True, text=True,
                                check=False, env=environment(), timeout=PATIENCE_SEC)
        self.assertSays(result, "/run/vspc/admin.socket: No such file or directory", '"systemctl start vspc.socket"')
        self.assertNotIn("127.0.0.1", result.stderr)

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

    @skipUnless(os.getuid() == 0, "only root can have an /etc/hosts of its own")
    def test_an_address_that_does_not_answer_is_given_up_for_the_next(self):
        """The kernel lets those wait whom a listener with a full backlog would have to accept."""
        vm = a_vm("web01")
        server = self.fake(on_tcp=True, List=all_vms([vm]), Attach=lambda *_: reply(vm=vm, granted="write"))
        with contextlib.ExitStack() as stack:
            full = stack.enter_context(socket.create_server(("::1", server.port), family=socket.AF_INET6, backlog=0))
            stack.enter_context(socket.create_connection(full.getsockname()[:2]))
            hosts = stack.enter_context(tempfile.NamedTemporaryFile("w"))
            hosts.write("127.0.0.1 twofold\n::1 twofold\n")  # ::1 comes first (RFC 6724)
            hosts.flush()
            command = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts.name, CLIENT,
                       f"--host=twofold:{server.port}"]
            processes = [subprocess.Popen([*command, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE, text=True, env=environment())
                         for args in (["list", "--no-legend"], ["web01", "--quiet-for=0s"])]
            outputs = [process.communicate(timeout=PATIENCE_SEC) for process in processes]
            self.assertEqual([process.returncode for process in processes], [0, 0], outputs)
        self.assertIn("web01", outputs[0][0])
        self.assertIn("Connected to VM web01", outputs[1][1])

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


if __name__ == "__main__":
    main()
