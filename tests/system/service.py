# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspc.service and its sockets as an administrator sees them"""

import re
import unittest

from machine import wait_for
from scenario import Scenario, readme_block, readme_command

# What somebody can do who has broken vspcd: this runs in its place.
BROKEN = """[Service]
Type=oneshot
Restart=no
ExecStart=
ExecStart=/usr/local/bin/execute
ExecPaths=/usr/local/bin/execute
SyslogIdentifier=execute
"""

# Holds up the start of the service until somebody writes into the pipe
SLOW_START = "[Service]\nExecStartPre=+/bin/sh -c 'mkfifo /run/vspc-gate; read line </run/vspc-gate'\n"


class Service(Scenario):
    def n_established(self):
        """Connections to the port for ESXi hosts, accepted or not"""
        shown = self.machine.out("ss", "--no-header", "--tcp", "state", "established", "sport = :13370")
        return len(shown.splitlines())

    def test_installing_it_starts_the_sockets_and_nothing_else(self):
        self.assertEqual(self.machine.out("cat", "/run/after-install").splitlines()[:-2],
                         ["vspc.socket active enabled", "vspc-admin.socket active enabled",
                          "vspc-hooks.socket active enabled", "vspc-admin-tls.socket inactive disabled",
                          "vspc-logger.socket active enabled", "vspc.service inactive static",
                          "vspc-hooks.service inactive static", "vspc-logger.service inactive static"])

    def test_installing_it_makes_the_folders_for_hooks_and_drop_ins(self):
        self.assertEqual(self.machine.out("cat", "/run/after-install").splitlines()[-2:],
                         ["/etc/vspc/hooks.d", "/etc/vspc/vspc.conf.d"])

    def test_the_first_connection_starts_the_service(self):
        self.machine.run("systemctl", "stop", "vspc.socket", "vspc-admin.socket")
        self.machine.run("systemctl", "start", "vspc.socket")
        self.wait_active("vspc-admin.socket")
        self.assertEqual(self.is_active("vspc.service"), "inactive")
        self.vm("web01")
        self.wait_active()
        vm = self.wait_vm("web01")
        self.assertEqual(vm["port"], 50000)
        self.telnet(vm).echo("hello")

    def test_a_vm_that_connects_while_the_service_starts_is_served(self):
        self.edit("vspc.service", SLOW_START)
        self.vm("first")
        self.wait_active(state="activating")
        wait_for(lambda: self.machine.run("test", "-p", "/run/vspc-gate", check=False).returncode == 0, "the pipe")
        self.vm("second")
        wait_for(lambda: self.n_established() == 2, "both to have connected")
        self.assertEqual(self.is_active("vspc.service"), "activating")
        self.machine.sh("echo >/run/vspc-gate")
        self.wait_vm("first")
        self.wait_vm("second")

    def test_status_says_how_many_vms_and_clients_there_are(self):
        self.vm("web01")
        self.nc(self.wait_vm("web01")).echo("hello")
        wait_for(lambda: 'Status: "1 VM, 1 client"' in self.machine.out("systemctl", "status", "vspc"),
                 "the status to be right")

    def test_reload_applies_new_limits_and_disconnects_nobody(self):
        self.vm("web01")
        vm = self.wait_vm("web01")
        client = self.nc(vm).echo("one")
        self.configure("ClientLimit=1\n")
        self.machine.run("systemctl", "reload", "vspc")
        self.telnet(vm).wait_shown("[vspc: ").wait_shown("Connection closed by foreign host.").wait_exit()
        client.echo("two")
        self.assertEqual(self.wait_vm("web01")["since"], vm["since"])

    def test_a_mistake_in_the_configuration_is_logged_and_keeps_the_default(self):
        self.configure("ClientLimit=many\n")
        self.vm("web01")
        self.nc(self.wait_vm("web01")).echo("hello")
        self.wait_journal(r"/etc/vspc/vspc\.conf\.d/test\.conf:2: .*many", "-u", "vspc")

    def test_a_mistake_in_tls_keeps_vms_out_until_it_is_mended(self):
        self.configure("[TLS]\nRequireVMTsl=yes\n")
        self.machine.run("systemctl", "start", "vspc.service")
        mistake = "ESXi hosts are refused: /etc/vspc/vspc.conf.d/test.conf:3: Unknown key RequireVMTsl= in section [TLS]"
        self.assertIn(f'Status: "0 VMs, 0 clients, {mistake}"', self.machine.out("systemctl", "status", "vspc"))
        self.wait_journal(rf"Because of a mistake in the configuration {re.escape(mistake)}; correct it", "-u", "vspc")
        self.vm("web01")
        self.wait_journal("is refused: something is wrong in", "-u", "vspc")
        self.assertEqual(self.vms(), {})
        self.configure("")
        self.machine.run("systemctl", "reload", "vspc")
        self.wait_vm("web01")
        wait_for(lambda: 'Status: "1 VM, 0 clients"' in self.machine.out("systemctl", "status", "vspc"), "the status to be right")

    def test_a_reload_that_finds_a_mistake_fails_and_shows_why(self):
        self.vm("web01")
        vm, pid = self.wait_vm("web01"), self.show("MainPID")
        self.configure("ClientLimit=1\n[TLS]\nRequireVMTLS=yse\n")
        for verb in "reload", "try-reload-or-restart":
            self.assertEqual(self.machine.run("systemctl", verb, "vspc", check=False).returncode, 1)
        status = self.machine.out("systemctl", "status", "vspc")
        for text in ('the configuration could not be reloaded: /etc/vspc/vspc.conf.d/test.conf:4: RequireVMTLS= must be yes or no',
                     "The configuration has not been reloaded: correct these mistakes first"):
            self.assertIn(text, status)
        self.assertEqual((self.is_active("vspc.service"), self.show("MainPID")), ("active", pid))
        clients = [self.nc(vm).echo(word) for word in ("one", "two")]
        self.configure("ClientLimit=2\n")
        self.machine.run("systemctl", "reload", "vspc")
        self.telnet(vm).wait_shown("[vspc: ").wait_shown("Connection closed by foreign host.").wait_exit()
        for client in clients:
            client.echo("three")

    def test_who_may_use_the_admin_socket_may_reload(self):
        self.machine.run("systemctl", "start", "vspc.service")
        for user, status in (("alice", 1), ("bob", 0), ("root", 0)):
            self.assertEqual(self.machine.run("vspcd", "--reload", user=user, check=False).returncode, status, user)
        self.wait_journal(r"Reload requested by bob \(pid \d+\)", "-u", "vspc")

    def test_where_the_admin_socket_is_another_one_reload_says_that_it_does_not_know(self):
        self.edit("vspc-admin.socket", "[Socket]\nListenStream=\nListenStream=/run/vspc/other.socket\n")
        self.machine.sh("systemctl stop vspc.service && systemctl restart vspc-admin.socket && systemctl start vspc.service")
        self.machine.run("systemctl", "reload", "vspc")
        self.wait_journal("Cannot connect to vspcd at /run/vspc/admin.socket: .*; it was sent SIGHUP instead", "-u", "vspc")
        self.wait_journal("Configuration reloaded$", "-u", "vspc")
        self.edit("vspc.service", "[Service]\nExecReload=\nExecReload=/usr/sbin/vspcd --reload=/run/vspc/other.socket\n")
        self.machine.run("systemctl", "reload", "vspc")
        self.wait_journal(r"Reload requested by .+ \(pid \d+\)", "-u", "vspc")

    def test_each_vm_has_its_port_again_after_a_restart(self):
        for name in "first", "second", "third":
            self.vm(name)
            self.wait_vm(name)
        before = {name: vm["port"] for name, vm in self.vms().items()}
        self.power_off("first", "second", "third")
        self.machine.run("systemctl", "restart", "vspc")
        for name in "third", "second", "first":
            self.vm(name)
            self.wait_vm(name)
        self.assertEqual({name: vm["port"] for name, vm in self.vms().items()}, before)

    def test_the_ports_of_vms_are_reserved_as_the_readme_says(self):
        """In the network of this machine, which is its own."""
        reserved = "/proc/sys/net/ipv4/ip_local_reserved_ports"
        before = self.machine.out("cat", reserved).strip()
        self.addCleanup(self.machine.sh, f"rm -f /etc/sysctl.d/50-vspc.conf; echo {before} >{reserved}")
        self.machine.sh(readme_block("reserved-ports.conf"))
        self.assertEqual(self.machine.out("cat", reserved).strip(), "50000-65535")
        self.vm("web01")
        self.assertIn(self.wait_vm("web01")["port"], range(50000, 65536))

    def test_the_sockets_listen_on_while_the_service_is_stopped(self):
        self.vm("web01")
        port = self.wait_vm("web01")["port"]
        self.machine.run("systemctl", "stop", "peer-web01")
        self.machine.run("systemctl", "stop", "vspc.service")
        self.assertEqual([self.is_active(unit) for unit in ("vspc.socket", "vspc-admin.socket", "vspc.service")],
                         ["active", "active", "inactive"])
        self.vm("web01")
        self.assertEqual(self.wait_vm("web01")["port"], port)

    def test_a_question_starts_the_service_as_well(self):
        self.assertEqual(self.is_active("vspc.service"), "inactive")
        self.assertEqual(self.vms(), {})
        self.wait_active()

    def test_state_logs_and_sockets_belong_to_whom_they_should(self):
        self.machine.write("/etc/vspc/vspc.conf", "[ConsoleLog]\nFiles=yes\n")
        self.vm("web01")
        self.nc(self.wait_vm("web01")).echo("hello")
        wait_for(lambda: self.machine.find("/var/log/vspc", "/web01"), "the console's file")
        shown = self.machine.sh("stat -c '%U:%G %a %F' /var/lib/vspc /var/log/vspc /var/log/vspc/web01* "
                                "/run/vspc/admin.socket")
        self.assertEqual(shown.stdout.splitlines(), ["vspc:vspc 750 directory", "vspc-logger:vspc 750 directory",
                                                     "vspc-logger:vspc 600 regular file", "root:vspc 666 socket"])

    def test_what_consoles_say_is_not_shown_as_what_happened_to_the_service(self):
        self.vm("talkative", "--count=20", guest="while :; do echo I talk; sleep 0.1; done")
        wait_for(lambda: self.journal("-o", "cat", "-t", "vspc-console").count("I talk") > 500, "all of them to talk")
        self.sync_journal()
        happened = self.journal("-o", "cat", "-u", "vspc")
        self.assertNotIn("I talk", happened)
        self.assertEqual(happened.count("connected from"), 20)
        self.assertNotIn("I talk", self.machine.out("systemctl", "status", "--no-pager", "--lines=1000", "vspc.service"))

    def test_journalctl_shows_which_vm_has_said_a_line_and_the_message_is_the_line_alone(self):
        for name in "web01", "web02":
            self.vm(name)
            self.nc(self.wait_vm(name)).echo(f"I am {name}")
            self.wait_journal(f"^I am {name}$", "-t", "vspc-console", f"VSPC_VM_NAME={name}")
            self.assertRegex(self.journal("-t", "vspc-console"), rf"(?m) vspc-console/{name}\[\d+\]: I am {name}$")

    def test_files_go_on_that_were_there_before_they_belonged_to_vspc_logger(self):
        """And who could read them still can."""
        self.machine.write("/etc/vspc/vspc.conf", "[ConsoleLog]\nFiles=yes\nMode=0640\n")
        self.vm("web01")
        vm = self.wait_vm("web01")
        path = f"/var/log/vspc/web01-{vm['uuid']}.log"
        self.machine.sh(f"mkdir -p /var/log/vspc; echo before >{path}; chmod 0640 {path}; chown -R vspc:vspc /var/log/vspc; "
                        "chmod 0750 /var/log/vspc")
        self.nc(vm).echo("after")
        wait_for(lambda: "after" in self.machine.out("cat", path), "the file to go on")
        self.assertEqual(self.machine.run("cat", path, user="bob").stdout.splitlines()[0], "before")
        self.assertNotEqual(self.machine.run("cat", path, user="alice", check=False).returncode, 0)
        self.assertEqual(self.machine.out("stat", "-c", "%U:%G %a", path), "vspc-logger:vspc 640\n")

    def test_reloading_either_service_opens_log_files_anew(self):
        self.machine.write("/etc/vspc/vspc.conf", "[ConsoleLog]\nFiles=yes\n")
        self.vm("web01")
        vm = self.wait_vm("web01")
        client, path = self.nc(vm), f"/var/log/vspc/web01-{vm['uuid']}.log"
        client.echo("at first")
        for number, unit in enumerate(("vspc.service", "vspc-logger.service")):
            wait_for(lambda: self.machine.find("/var/log/vspc", f"/web01-{vm['uuid']}.log$"), "the file")
            self.machine.run("mv", path, f"{path}.{number}")
            self.machine.run("systemctl", "reload", unit)
            wait_for(lambda: not self.machine.sh("ls -l /proc/$(systemctl show --value -p MainPID vspc-logger)/fd | "
                                                 "grep /var/log/vspc || true").stdout, "the file to be closed")
            client.echo(f"after reload {number}")

    def test_only_root_may_write_where_systemd_makes_the_sockets(self):
        sockets = ("vspc.socket", "vspc-admin.socket", "vspc-hooks.socket", "vspc-logger.socket")
        for made_by_systemd in False, True:
            if made_by_systemd:
                self.machine.run("systemctl", "stop", *sockets, "vspc.service")
                self.machine.run("rm", "-r", "/run/vspc")
                self.machine.run("systemctl", "start", *sockets)
            self.assertEqual(self.vms(), {})  # which starts the service
            self.assertEqual(self.machine.sh("stat -c '%U:%G %a %n' /run/vspc /run/vspc/*").stdout.splitlines(),
                             ["root:root 755 /run/vspc", "root:vspc 666 /run/vspc/admin.socket",
                              "vspc:vspc 600 /run/vspc/hooks.socket", "vspc:vspc 600 /run/vspc/logger.socket"])
            result = self.machine.run("ln", "-s", "/etc/shadow", "/run/vspc/l", user="vspc", check=False)
            self.assertIn("Permission denied", result.stderr)

    def have_another_address(self):
        """What is connected there ends first: goodbyes would not arrive any more, and be waited for."""
        self.machine.run("ip", "address", "add", "192.0.2.10", "dev", "lo")
        self.addCleanup(self.machine.sh, "systemctl stop 'peer-*' vspc.service; ip address delete 192.0.2.10/32 dev lo")

    def test_the_socket_is_moved_as_the_readme_says(self):
        """While it is in use"""
        self.vm("web00")
        self.wait_vm("web00")
        self.have_another_address()
        self.edit("vspc.socket", readme_block("192.0.2.10:13370"))
        self.machine.sh(readme_command("systemctl restart vspc.socket"))
        self.vm("web01", connect="192.0.2.10:13370")
        self.wait_vm("web01")
        self.assertNotEqual(self.machine.run("nc", "-z", "127.0.0.1", "13370", check=False).returncode, 0)

    def listen_elsewhere(self):
        """VM ports are at another address. Returns that of the VM web01."""
        self.have_another_address()
        self.configure("VMPortAddress=192.0.2.10\n")
        self.vm("web01")
        return "192.0.2.10", str(self.wait_vm("web01")["port"])

    def need_address_filter(self):
        """systemd cannot filter on every machine, and says nothing then: is who may not connect to anything let through?"""
        result = self.machine.run("systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--property=IPAddressDeny=any",
                                  "nc", "-z", "-w1", "127.0.0.1", "13371", check=False)
        if result.returncode == 0:
            raise unittest.SkipTest("systemd cannot filter addresses with this kernel and its control groups")

    def test_clients_of_vm_ports_cannot_come_from_elsewhere(self):
        self.need_address_filter()
        elsewhere = self.listen_elsewhere()
        self.assertNotEqual(self.machine.run("nc", "-z", "-w1", *elsewhere, check=False).returncode, 0)

    def test_clients_of_vm_ports_come_from_where_the_readme_has_the_unit_allow_it(self):
        elsewhere = self.listen_elsewhere()
        self.wait_journal("where clients may connect from has to be in IPAddressAllow= of vspc.service", "-u", "vspc")
        self.edit("vspc.service", readme_block("IPAddressAllow=192.0.2.0/24"))
        self.machine.sh(readme_command("systemctl restart vspc.service"))
        self.wait_vm("web01")
        self.talk("nc", *elsewhere).echo("hello")

    def test_a_socket_unit_may_have_several_addresses(self):
        self.machine.run("systemctl", "stop", "vspc.socket")
        self.edit("vspc.socket", "[Socket]\nListenStream=\n"
                                 "ListenStream=127.0.0.1:14001\nListenStream=127.0.0.2:14002\n")
        self.machine.run("systemctl", "start", "vspc.socket")
        self.vm("first", connect="127.0.0.1:14001")
        self.vm("second", connect="127.0.0.2:14002")
        self.wait_vm("first")
        self.wait_vm("second")

    def test_a_host_may_connect_over_ipv6(self):
        self.vm("web01", connect="[::1]:13370")
        self.assertRegex(self.wait_vm("web01")["peer"], r"^\[::1\]:\d+$")

    def test_systemd_has_nothing_to_say_against_the_units(self):
        result = self.machine.run("systemd-analyze", "verify", "--man=no", "vspc.service", "vspc.socket",
                                  "vspc-admin.socket", "vspc-admin-tls.socket", "vspc-hooks.service",
                                  "vspc-hooks.socket", "vspc-logger.service", "vspc-logger.socket")
        self.assertEqual(result.stdout + result.stderr, "")

    def test_the_services_are_exposed_to_little(self):
        self.machine.sh("rm -r /run/systemd/system/vspc*.d; systemctl daemon-reload")
        for unit, most in ("vspc.service", 1.1), ("vspc-logger.service", 1.1), ("vspc-hooks.service", 4.0):
            shown = self.machine.out("systemd-analyze", "security", "--no-pager", unit)
            exposure = float(re.search(rf"Overall exposure level for {unit}: ([0-9.]+)", shown)[1])
            self.assertLessEqual(exposure, most, shown)

    def test_no_line_of_a_console_is_lost_to_journald_s_rate_limit(self):
        self.edit("vspc-logger.service", "[Service]\nLogRateLimitBurst=1\n")
        self.vm("web01", guest="read line; seq 1000 1499; cat")
        self.nc(self.wait_vm("web01")).type("\n")
        self.wait_journal("^1499$", "-t", "vspc-console")
        said = self.journal("-o", "cat", "-t", "vspc-console").split()
        self.assertEqual(said[:500], [str(n) for n in range(1000, 1500)])

    def test_hooks_run_as_in_the_readme(self):
        script = readme_block("/etc/vspc/hooks.d/50-announce")
        self.machine.write("/etc/vspc/hooks.d/50-announce", script, 0o755)
        self.vm("web01")
        port = self.wait_vm("web01")["port"]
        self.wait_journal(rf"^web01 is at port {port}, its host is 127\.0\.0\.1:\d+$")

    def test_vspcd_s_user_has_no_power_over_hooks_nor_they_over_vspcd(self):
        self.machine.write("/etc/vspc/hooks.d/50-who",
                           "#!/bin/sh\nid -un\nvspc-client --host=127.0.0.1 list --json=short\n"
                           "stat -c '%U %a' \"$STATE_DIRECTORY\"; ls /var/lib/vspc\n", 0o755)
        self.vm("web01")
        self.wait_vm("web01")
        for said in ("vspc-hooks", r'.*"name":"web01".*', "vspc-hooks 750", "ls: .*/var/lib/vspc.*: Permission denied"):
            self.wait_journal(f"^Hook 50-who, .*: {said}$")
        self.nc(self.wait_vm("web01")).echo("something to be logged")
        self.wait_active("vspc-logger.service")
        for user, other in (("vspc", "vspc-hooks.service"), ("vspc-hooks", "vspc.service"), ("vspc", "vspc-logger.service"),
                            ("vspc-logger", "vspc.service")):
            memory = f"/proc/{self.show('MainPID', other)}/mem"
            result = self.machine.run("sh", "-c", f": >>{memory}", user=user, check=False)
            self.assertIn("Permission denied", result.stderr, memory)

    def test_who_has_broken_vspcd_can_execute_nothing(self):
        self.vms()  # so that its folders are there
        self.machine.run("systemctl", "stop", "vspc.service")
        self.machine.run("mkdir", "/run/vspcd")  # which is there while it runs
        ways = self.machine.run("/usr/local/bin/execute", check=False).stdout
        self.assertNotIn("does not", ways)
        self.machine.run("rm", "/run/systemd/system/vspc.service.d/strict.conf")  # there it would only be killed
        self.edit("vspc.service", BROKEN)
        self.machine.run("systemctl", "start", "vspc.service", check=False)

        # What it has said last may still be on its way to the journal.
        def said():
            return re.findall(r" execute\[\d+\]: (.*)", self.journal("-o", "short"))

        wait_for(lambda: len(said()) >= len(ways.splitlines()), "an answer to each")
        self.assertEqual(said(), [line.replace(": works", ": does not") for line in ways.splitlines()])
