# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspcd as a service: its command line, its sockets, its notifications to systemd, its reload, and its limits."""

import fcntl
import os
import re
import select
import shlex
import signal
import struct
import subprocess
import tempfile
import time

from harness import SANITIZED, VSPCD, PortBlock, TestCase, clean_environment, is_port_free, main, wait_for
from peers import COM_PORT, EsxiVm, Peer, RawClient, TelnetClient, connected_vm, sub
from varlink_peer import Caller

LOG_EVERY_SEC = 10  # what may happen very often
STATUS_EVERY_SEC = 0.2


def run(*arguments, **environment):
    """Runs vspcd without any socket."""
    return subprocess.run([VSPCD, *arguments], capture_output=True, text=True, timeout=30, check=False,
                          env=clean_environment(**environment))


class CommandLine(TestCase):
    def test_help(self):
        result = run("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for option in ("--help", "--version", "--config=", "--check-config", "--reload"):
            self.assertIn(option, result.stdout)

    def test_version(self):
        result = run("--version")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"^vspcd \d+\.\d+\.\d+\n$")

    def test_what_is_not_understood(self):
        for argument in ("--nonsense", "file"):
            result = run(argument)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(argument, result.stderr)

    def test_without_sockets_it_says_in_one_line_how_to_start_it(self):
        result = run("--config=/dev/null")
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertIn("systemctl start vspc.socket", result.stderr)
        self.assertIn("systemd-socket-activate", result.stderr)


class CheckConfig(TestCase):
    def check(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write(text)
            f.flush()
            result = run(f"--config={f.name}", "--check-config")
            return result, f.name

    def test_a_good_one(self):
        result, _ = self.check("[Concentrator]\nVMExpireSec=2h\nClientBufferSize=64K\nSlowClient=wait\n")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "The configuration is fine.\n", ""))

    def test_each_problem_is_named_with_file_and_line(self):
        result, name = self.check("[Concentrator]\nClientLimit=many\n\nNoSuchKey=1\nVMPorts=maybe\n"
                                  "VMPortAddress=localhost\n[Nowhere]\nA=b\n")
        self.assertNotEqual(result.returncode, 0)
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 5, result.stderr)
        for line, (number, text) in zip(lines, [(2, "ClientLimit="), (4, "NoSuchKey="), (5, "VMPorts="),
                                                (6, "VMPortAddress="), (8, "[Nowhere]")]):
            self.assertTrue(line.startswith(f"vspcd: {name}:{number}: "), line)
            self.assertIn(text, line)

    def test_what_vspc_py_s_users_have_set_is_looked_at(self):
        result = run("--config=/dev/null", "--check-config", VM_CLIENT_LIMIT="-1")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("VM_CLIENT_LIMIT= must be a number", result.stderr)

    def test_a_file_that_cannot_be_read(self):
        result = run("--config=/nonexistent/vspc.conf", "--check-config")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("/nonexistent/vspc.conf: No such file or directory", result.stderr)

    def test_a_bad_value_is_a_warning_at_start_and_the_default_stays(self):
        vspcd = self.start(ClientLimit="none at all", NoSuchKey=1)
        vspcd.wait_logged(rf"{vspcd.config_path}:\d+: ClientLimit= must be a number of clients, or 0")
        vspcd.wait_logged("Unknown key NoSuchKey=")
        vm = connected_vm(vspcd)
        for _ in range(3):
            RawClient(vm)


class Sockets(TestCase):
    def fail_to_start(self, *sockets):
        vspcd = self.start(sockets=sockets, healthy=False)
        self.assertNotEqual(vspcd.wait_exit(), 0)
        wait_for(lambda: not vspcd.threads[1].is_alive(), "the end of the log")
        self.assertEqual(len(vspcd.log), 1, vspcd.log)
        return vspcd.log[0]

    def test_an_unknown_name_is_named(self):
        self.assertIn('unknown name "serial": FileDescriptorName= must be vm, admin or admin-tls',
                      self.fail_to_start("vm", "serial"))

    def test_without_a_socket_for_vms(self):
        self.assertIn("None of the 1 sockets has the name vm", self.fail_to_start("admin"))

    def test_two_of_one_name(self):
        vspcd = self.start(sockets=("vm", "admin", "vm"))
        for address in (vspcd.addresses[0], vspcd.addresses[2]):
            vspcd.vm_address = address
            connected_vm(vspcd)

    def try_it_out(self, text):
        """Does what is said there for who wants to try it, in an empty folder, but for the port."""
        argv = shlex.split(re.search(r"systemd-socket-activate [^\"\n]* vspcd\b", text)[0])
        self.assertEqual(sum("13370" in argument for argument in argv), 1)
        block = PortBlock(1)
        self.addCleanup(block.release)
        address = ("127.0.0.1", block.first)
        argv = [argument.replace("127.0.0.1:13370", f"127.0.0.1:{block.first}") for argument in argv]
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-"))
        path = f"{os.path.dirname(os.path.abspath(VSPCD))}:{os.environ['PATH']}"
        activate = subprocess.Popen([argv[0], "-E", "ASAN_OPTIONS", *argv[1:], "--config=/dev/null"], cwd=folder,
                                    stderr=subprocess.PIPE, env={**clean_environment(), "PATH": path})

        def connect():
            try:
                return Peer(address)
            except ConnectionRefusedError:
                return None
        try:
            peer = wait_for(connect, "the listening socket")
            peer.wait(lambda: peer.raw.startswith(b"\xff\xfb\x00"), "vspcd's offers")
        finally:
            activate.terminate()
            _, log = activate.communicate(timeout=30)
        self.assertIn(b"for ESXi hosts", log)
        self.assertEqual(activate.returncode, 0)

    def test_whoever_wants_to_try_it_out_can_do_as_it_says(self):
        with open(os.path.join(os.path.dirname(__file__), "../../man/vspcd.8"), encoding="utf-8") as f:
            manual = f.read().replace("\\", "")
        for text in (run("--config=/dev/null").stderr, run("--help").stdout, manual):
            self.try_it_out(text)


class Notifications(TestCase):
    def test_ready_comes_with_a_status(self):
        vspcd = self.start()
        self.assertEqual(vspcd.notifications[:2], ["STATUS=0 VMs, 0 clients", "READY=1"])

    def test_status_counts_vms_and_clients(self):
        vspcd = self.start()
        vms = [connected_vm(vspcd) for _ in range(3)]
        vspcd.wait_status("3 VMs, 0 clients")
        RawClient(vms[0])
        TelnetClient(vms[1])
        vspcd.wait_status("3 VMs, 2 clients")
        vms[0].close()
        vms[2].close()
        vspcd.wait_status("1 VM, 2 clients")

    def test_status_counts_a_vm_with_two_links_or_in_motion_once(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        connected_vm(vspcd, vm.name, digits=vm.digits, uri="s1")
        vm.begin(b"1234")
        client = RawClient(vm)
        vspcd.wait_status("1 VM, 1 client")
        client.close()
        vspcd.wait_status("1 VM, 0 clients")

    def test_status_is_not_sent_for_each_of_many_events(self):
        vspcd = self.start()
        since, began = len(vspcd.notifications), time.monotonic()
        vms = [EsxiVm(vspcd) for _ in range(100)]
        for vm in vms:
            vm.handshake()
        vspcd.wait_status("100 VMs, 0 clients")
        self.assertLessEqual(len(vspcd.notifications) - since, 1 + (time.monotonic() - began) // STATUS_EVERY_SEC)

    def test_watchdog(self):
        vspcd = self.start(env={"WATCHDOG_USEC": "300000"})
        vspcd.wait_change(lambda: vspcd.notifications.count("WATCHDOG=1") >= 3, "three signs of life")

    def test_no_watchdog_unless_it_is_asked_for(self):
        vspcd = self.start()
        connected_vm(vspcd)
        vspcd.wait_status("1 VM, 0 clients")
        self.assertNotIn("WATCHDOG=1", vspcd.notifications)

    def test_sigterm_and_sigint_end_it_in_order(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            vspcd = self.start()
            vm = connected_vm(vspcd)
            client = TelnetClient(vm)
            vspcd.signal(number)
            self.assertEqual(vspcd.wait_exit(), 0)
            vspcd.wait_notified("STOPPING=1")
            vm.wait_closed()
            client.wait_closed()


class Reload(TestCase):
    def test_systemd_is_told(self):
        vspcd = self.start()
        told = vspcd.reload()
        self.assertEqual(told[0], "RELOADING=1")
        now = time.monotonic_ns() // 1000
        self.assertTrue(told[1].startswith("MONOTONIC_USEC="))
        self.assertLess(abs(now - int(told[1].partition("=")[2])), 60_000_000)
        vspcd.wait_logged("Configuration reloaded")

    def test_a_new_limit_applies_and_no_connection_is_dropped(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        clients = [TelnetClient(vm), RawClient(vm)]
        vspcd.reload(ClientLimit=1)
        refused = Peer(("127.0.0.1", vm.port))
        refused.wait_closed()
        self.assertIn(b"[vspc: refused", refused.raw)
        vm.send(b"both are still here")
        for client in clients:
            client.wait_data(b"both are still here")
        vspcd.reload(ClientLimit=3)
        third = RawClient(vm)
        third.send(b"welcome")
        vm.wait_data(b"welcome")

    def test_new_policies_apply_to_running_consoles(self):
        vspcd = self.start(ScrollbackSize="64K")
        vm = connected_vm(vspcd)
        vm.send(b"a" * 50_000)
        first = TelnetClient(vm)
        first.wait_size(50_000)
        vspcd.reload(ScrollbackSize=1000)
        second = TelnetClient(vm)
        vm.send(b"END")
        second.wait_data(b"END")
        self.assertLessEqual(len(second.data), 1003)

    def test_new_service_uris(self):
        vspcd = self.start()
        vspcd.reload(ServiceURI="allowed")
        refused = EsxiVm(vspcd, uri="s0")
        refused.negotiate()
        refused.send_raw(refused.do_proxy())
        refused.wait_closed()
        connected_vm(vspcd, uri="allowed")

    def test_what_cannot_change_says_so(self):
        vspcd = self.start()
        vspcd.reload(MultiConsole="yes")
        vspcd.wait_logged("MultiConsole= cannot change at run time, it takes effect after a restart")

    def test_a_file_that_has_gone_leaves_everything_as_it_was(self):
        vspcd = self.start(ClientLimit=1)
        vm = connected_vm(vspcd)
        os.unlink(vspcd.config_path)
        since = len(vspcd.notifications)
        vspcd.signal(signal.SIGHUP)
        vspcd.wait_notified("READY=1", since)
        vspcd.wait_logged(f"The configuration has not been reloaded: Cannot read {vspcd.config_path}: No such file or directory")
        RawClient(vm)
        second = Peer(("127.0.0.1", vm.port))
        second.wait_closed()
        vspcd.configure(**vspcd.config)


class Environment(TestCase):
    def test_what_vspc_py_s_users_have_set(self):
        vspcd = self.start(env={"SUPPORT_MULTI_CONSOLE": "true", "VM_CLIENT_LIMIT": "1"})
        vm = connected_vm(vspcd, uri="com1")
        vspcd.wait_logged(rf"VM {vm.name}_com1 \({vm.id}_com1\)")
        RawClient(vm)
        second = Peer(("127.0.0.1", vm.port))
        second.wait_closed()
        self.assertIn(b"has 1 clients already", second.raw)

    def test_the_configuration_file_comes_first(self):
        vspcd = self.start(env={"SUPPORT_MULTI_CONSOLE": "true", "VM_CLIENT_LIMIT": "1"}, MultiConsole="no",
                           ClientLimit=2)
        vm = connected_vm(vspcd)
        vspcd.wait_logged(rf"VM {vm.name} \({vm.id}\)")
        RawClient(vm)
        RawClient(vm)

    def test_values_that_are_none(self):
        vspcd = self.start(env={"SUPPORT_MULTI_CONSOLE": "perhaps", "VM_CLIENT_LIMIT": "-1"})
        vspcd.wait_logged("SUPPORT_MULTI_CONSOLE= must be true or false")
        vspcd.wait_logged("VM_CLIENT_LIMIT= must be a number")


class DescriptorLimit(TestCase):
    """Of 128 descriptors vspcd keeps 32 back: connections get those below 96."""

    LIMIT = 128
    USABLE = 96

    def fill(self, vspcd, leave=0):
        """Clients of a VM until there is room for that many more descriptors."""
        clients = []
        while vspcd.n_descriptors() < self.USABLE - leave:
            clients.append(RawClient(self.vm))
        return clients

    def assert_idle(self, vspcd):
        before = vspcd.cpu_seconds()
        select.select([], [], [], 1.0)
        self.assertLess(vspcd.cpu_seconds() - before, 0.4, "vspcd spins")

    def begin(self):
        vspcd = self.start(nofile=self.LIMIT, ports=64)
        self.vm = connected_vm(vspcd, "host")
        self.caller = Caller(vspcd)
        return vspcd

    def disconnect(self, vm):
        vm.close()
        self.caller.wait_away(vm)

    def test_what_does_not_fit_is_refused_and_everything_else_goes_on(self):
        vspcd = self.begin()
        clients, began = self.fill(vspcd), time.monotonic()
        for address in (("127.0.0.1", self.vm.port), vspcd.vm_address, vspcd.admin_address):
            refused = Peer(address)
            refused.wait_closed()
        vspcd.wait_logged(r"\d+ connections? refused: all 96 descriptors are in use, LimitNOFILE= could be raised")
        n_spans = 1 + (time.monotonic() - began) // LOG_EVERY_SEC
        self.assertLessEqual(vspcd.count_logged("connections? refused"), n_spans)
        self.assert_idle(vspcd)
        self.vm.send(b"going on")
        clients[-1].wait_data(b"going on")
        clients[0].send(b"and back")
        self.vm.wait_data(b"and back")

        n = vspcd.n_descriptors()
        clients.pop().abort()  # a client that closes may have only ended its sending side
        wait_for(lambda: vspcd.n_descriptors() < n, "room for one more")
        RawClient(self.vm)

    def test_the_vm_that_has_been_away_for_longest_stops_listening_first(self):
        vspcd = self.begin()
        orphans = [connected_vm(vspcd, f"orphan{i}") for i in range(4)]
        for vm in (orphans[2], orphans[0], orphans[3]):  # orphan1 stays
            self.disconnect(vm)
        clients = self.fill(vspcd)
        closed = []
        for _ in range(3):
            clients.append(RawClient(self.vm))
            closed += [vm["name"] for vm in self.caller.list() if "reservedPort" in vm and vm["name"] not in closed]
        self.assertEqual(closed, ["orphan2", "orphan0", "orphan3"])
        Peer(("127.0.0.1", self.vm.port)).wait_closed()
        self.vm.send(b"served")
        for client in clients:
            client.wait_data(b"served")
        at_orphan1 = wait_for(lambda: orphans[1].port, "the port of the one that stays")
        self.assertFalse(is_port_free(at_orphan1))

    def test_what_is_kept_back_stays_so_however_many_vms_stop_listening(self):
        vspcd = self.begin()
        for vm in [connected_vm(vspcd) for _ in range(30)]:
            vm.close()
        vspcd.wait_status("1 VM, 0 clients")
        self.fill(vspcd)
        for _ in range(30):
            RawClient(self.vm)
            self.assertLessEqual(vspcd.n_descriptors(), self.USABLE + 1)  # one that is just being accepted
        Peer(("127.0.0.1", self.vm.port)).wait_closed()

    def test_a_vm_that_finds_no_descriptor_for_a_port_is_served_without(self):
        vspcd = self.begin()
        self.fill(vspcd, leave=1)
        vm = connected_vm(vspcd, "late")
        self.assertIsNone(vm.port)
        vspcd.wait_logged(r"VM late \(.*has no port yet: Too many open files")

    def test_such_a_vm_may_come_again(self):
        """It is then an orphan itself, and the oldest."""
        vspcd = self.begin()
        self.fill(vspcd, leave=1)
        for _ in range(3):
            vm = connected_vm(vspcd, "late", digits="1234567890abcdef" * 2)
            self.assertIsNone(vm.port)
            self.disconnect(vm)

    def test_a_slow_handshake_is_not_given_up_for_its_own_port(self):
        """Handshakes that do not get on for five seconds go when descriptors run out."""
        vspcd = self.begin()
        slow, slower = EsxiVm(vspcd, "slow"), EsxiVm(vspcd, "slower")
        for vm in (slow, slower):
            vm.negotiate()
            vm.send_raw(vm.do_proxy() + vm.vc_uuid())
        clients = self.fill(vspcd)
        select.select([], [], [], 5.1)
        slow.send_raw(slow.vm_name())
        slow.wait_connected()
        slower.wait_closed()
        n = vspcd.n_descriptors()
        clients.pop().abort()  # a client that closes may have only ended its sending side
        wait_for(lambda: vspcd.n_descriptors() < n, "room for one more")
        client = TelnetClient(slow)
        slow.send(b"served")
        client.wait_data(b"served")

    def test_reload_at_the_limit(self):
        """VMs that do not listen are to listen then; those that are away must not stop for themselves."""
        vspcd = self.begin()
        self.fill(vspcd, leave=1)
        for i in range(3):
            self.disconnect(connected_vm(vspcd, f"late{i}"))
        extra = RawClient(self.vm)
        vspcd.reload()
        self.vm.send(b"going on")
        extra.wait_data(b"going on")

    def test_when_the_kernel_has_none_left_it_rests_instead_of_spinning(self):
        """Of so few descriptors none is kept back: accept() itself fails."""
        vspcd = self.start(nofile=40)
        self.vm = connected_vm(vspcd)
        clients = []
        while vspcd.n_descriptors() < 40:
            clients.append(RawClient(self.vm))
        waiting = Peer(("127.0.0.1", self.vm.port))
        vspcd.wait_logged("Cannot accept .* for the moment: Too many open files")
        self.assert_idle(vspcd)
        self.vm.send(b"going on")
        clients[0].wait_data(b"going on")
        clients[1].close()
        waiting.wait(lambda: waiting.raw.startswith(b"\xff\xfb"), "its turn")


class SlowLog(TestCase):
    """A log that nobody reads holds up nothing."""

    def full_pipe(self):
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
        try:
            while os.write(writing, b"." * 4096):
                pass
        except BlockingIOError:
            fcntl.fcntl(writing, fcntl.F_SETFL, 0)
        return reading, writing

    def begin(self, stderr):
        vspcd = self.start(stderr=stderr, debug=True)
        vm = EsxiVm(vspcd)
        vm.handshake()
        vspcd.wait_status("1 VM, 0 clients")
        vm.port = vspcd.block.first
        return vspcd, vm, TelnetClient(vm)

    def talk(self, vm, client):
        for i in range(5000):
            vm.send_raw(sub(1, struct.pack(">I", 300 + i), option=COM_PORT))  # SET-BAUDRATE: logged, each
        vm.send(b"still talking")
        client.wait_data(b"still talking")
        client.send(b"still listening")
        vm.wait_data(b"still listening")

    def test_stderr_is_a_pipe_that_nobody_reads(self):
        reading, writing = self.full_pipe()
        self.addCleanup(os.close, reading)
        vspcd, vm, client = self.begin(writing)
        os.close(writing)
        self.talk(vm, client)
        before = vspcd.rss()
        self.talk(vm, client)
        self.assertLess(vspcd.rss() - before, (64 if SANITIZED else 4) << 20)  # AddressSanitizer keeps what was freed
        began = time.monotonic()
        vspcd.signal(signal.SIGTERM)
        self.assertEqual(vspcd.wait_exit(), 0)
        self.assertLess(time.monotonic() - began, 20)

    def test_what_had_to_be_dropped_is_counted(self):
        reading, writing = self.full_pipe()
        vspcd, vm, client = self.begin(writing)
        os.close(writing)
        self.talk(vm, client)
        with os.fdopen(reading, "rb") as f:
            text = b""
            while b"log messages dropped: they came faster than they could be written" not in text:
                self.assertTrue(select.select([f], [], [], 30)[0], "no such line")
                text = text[-200:] + os.read(reading, 65536)
            vspcd.signal(signal.SIGTERM)
            while os.read(reading, 65536):
                pass
        self.assertEqual(vspcd.wait_exit(), 0)

    def test_stderr_is_a_pipe_whose_reader_has_gone(self):
        reading, writing = os.pipe()
        os.close(reading)
        vspcd, vm, client = self.begin(writing)
        os.close(writing)
        self.talk(vm, client)
        vspcd.signal(signal.SIGTERM)
        self.assertEqual(vspcd.wait_exit(), 0)


if __name__ == "__main__":
    main()
