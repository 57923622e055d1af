# SPDX-License-Identifier: LGPL-2.1-or-later

"""A real sshd: vspc-client that reaches another machine by ssh (--host=USER@HOST), and the lines of vspc-consoles(7) by which
people attach with nothing but ssh. sshd, vspcd and the tests see users of their own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile

from certificates import CLIENT as CLIENT_PURPOSE
from client_cases import CLIENT, Terminal, environment
from harness import PATIENCE_SEC, clean_environment, main, wait_for
from peers import ALL_BYTES, connected_vm, double
from people import documented, enter_world
from tap import unavailable
from test_tls_admin import AdminTestCase
from tls_peers import DecliningVm
from varlink_peer import Caller

SSHD = "/usr/sbin/sshd"
PAGE = "vspc-consoles.7"

# Of the group consoles: alice and bob. dave may run what he wants.
USERS = {"alice": 40101, "bob": 40102, "console": 40103, "dave": 40104}
CONSOLES = 40100


class SshTestCase(AdminTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="vspc-ssh-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        os.chmod(cls.folder, 0o755)
        for name in "host", *USERS:
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", cls.path(name)], check=True)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def write(cls, name, text, mode=0o644):
        with open(cls.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(cls.path(name), mode)

    @classmethod
    def public_key(cls, name):
        with open(cls.path(name) + ".pub", encoding="ascii") as f:
            return f.read()

    def start_sshd(self, vspcd, drop_in=""):
        """Whose vspc-client reaches this vspcd. As in Debian, drop-ins come first."""
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.port = s.getsockname()[1]
        os.makedirs(self.path("bin"), exist_ok=True)
        self.write("bin/vspc-client", f'#!/bin/sh\ncase "$*" in *--host=*) exec {CLIENT} "$@" ;; esac\n'
                   f'exec {CLIENT} --socket={vspcd.admin_path} "$@"\n', 0o755)
        os.makedirs(self.path("sshd_config.d"), exist_ok=True)
        self.write("sshd_config.d/vspc.conf", drop_in)
        self.write("sshd_config", f"""Include {self.path("sshd_config.d")}/*.conf
ListenAddress 127.0.0.1
Port {self.port}
HostKey {self.path("host")}
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile {self.folder}/keys-%u
Subsystem sftp internal-sftp
AcceptEnv LANG LC_*
SetEnv PATH={self.path("bin")}:/usr/bin:/bin
""")
        for name in USERS:
            if not os.path.exists(self.path(f"keys-{name}")):
                self.write(f"keys-{name}", self.public_key(name))
        self.write("known_hosts", f"[127.0.0.1]:{self.port} {self.public_key('host')}")
        log = open(self.path("sshd.log"), "wb")  # pylint: disable=consider-using-with
        self.addCleanup(log.close)
        sshd = subprocess.Popen([SSHD, "-D", "-e", "-f", self.path("sshd_config")], env=clean_environment(), stderr=log)
        self.addCleanup(sshd.wait)
        self.addCleanup(sshd.kill)

        def answers():
            assert sshd.poll() is None, open(self.path("sshd.log"), encoding="utf-8").read()
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        wait_for(answers, "sshd to answer")
        return sshd

    def ssh(self, user, *options, key=None):
        return ["ssh", "-F", "/dev/null", "-i", self.path(key or user), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
                "-o", f"UserKnownHostsFile={self.path('known_hosts')}", "-o", "StrictHostKeyChecking=yes",
                "-p", str(self.port), *options, "--", f"{user}@127.0.0.1"]

    def on_terminal(self, argv, **kwargs):
        terminal = Terminal(*argv, **kwargs)
        self.addCleanup(terminal.close)
        return terminal


class Bridge(SshTestCase):
    """--host=dave@HOST"""

    def setUp(self):
        super().setUp()
        self.vspcd = self.start(local="open", access=((f"user:{USERS['dave']}", "web*", "write"), ("anonymous", "none", "list")))
        self.vm = connected_vm(self.vspcd, "web01")
        connected_vm(self.vspcd, "db01")
        self.sshd = self.start_sshd(self.vspcd)
        self.words = self.path("words")
        self.write("words", "")
        self.write("ssh", f"""#!/bin/sh
printf '%s\\n' "$*" >>{self.words}
exec ssh -F /dev/null -i {self.path('dave')} -o IdentitiesOnly=yes -o IdentityAgent=none \\
    -o UserKnownHostsFile={self.path('known_hosts')} -o StrictHostKeyChecking=yes "$@"
""", 0o755)
        self.env = {"SYSTEMD_SSH": self.path("ssh")}
        self.host = f"--host=dave@127.0.0.1:{self.port}"

    def run_client(self, *args, env=None, **kwargs):
        return subprocess.run([CLIENT, *args], capture_output=True, check=False, timeout=PATIENCE_SEC,
                              env=environment(**(env or self.env)), **{"stdin": subprocess.DEVNULL, **kwargs})

    def attached(self, *args):
        terminal = self.on_terminal([CLIENT, self.host, *args], env=self.env)
        terminal.wait_shown(b"Connected to VM web01")
        terminal.wait(terminal.is_raw, "the terminal to be raw")
        return terminal

    def test_the_user_there_is_who_has_the_rights(self):
        listed = self.run_client(self.host, "list", "--no-legend")
        self.assertEqual([line.split()[0] for line in listed.stdout.splitlines()], [b"web01"], listed)
        refused = self.run_client(self.host, "clear", "web01")
        self.assertIn(b"You have no right to disconnect all clients at VM web01.", refused.stderr)

    def test_all_bytes_pass_both_ways(self):
        program = subprocess.Popen([CLIENT, self.host, "web01"], env=environment(**self.env), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(program.communicate)
        self.addCleanup(program.kill)
        program.stdin.write(ALL_BYTES * 100)
        program.stdin.flush()
        self.vm.wait_data(ALL_BYTES * 100)
        self.vm.send_raw(double(ALL_BYTES * 100) + b"END")
        data = b""
        while not data.endswith(b"END"):
            data += os.read(program.stdout.fileno(), 65536)
        self.assertEqual(data, ALL_BYTES * 100 + b"END")
        self.vspcd.wait_logged(r"client dave \(pid \d+\) connected")
        program.kill()
        self.vspcd.wait_logged(r"client dave \(pid \d+\) disconnected")

    def test_a_terminal_and_its_prompt(self):
        terminal = self.attached("web01")
        terminal.type(b"uptime\r")
        self.vm.wait_data(b"uptime\r")
        self.vm.send(b"up 3 days")
        terminal.wait_shown(b"up 3 days")
        terminal.command(b"info")
        terminal.wait_shown(b"     Name: web01\r\n")
        terminal.type(b"quit\r")
        self.assertEqual(terminal.wait_exit(), 0)
        self.assertTrue(terminal.is_as_before())
        with open(self.words, encoding="ascii") as f:
            words = f.read().splitlines()
        end = f"-p {self.port} -l dave -- 127.0.0.1 vspc-client --stdio-bridge"
        self.assertEqual(words[0], f"-xT {end}")
        self.assertEqual(words[1], f"-xT -o BatchMode=yes {end}")  # the terminal is the VM's: nobody can be asked for a password

    def test_a_connection_that_is_lost_is_said_to_be_and_made_again(self):
        terminal = self.attached("web01", "--wait")
        n = len(terminal.shown)
        bridge = Caller(self.vspcd, local=True).vm("web01")["clients"][0]["pid"]
        os.kill(bridge, signal.SIGKILL)
        terminal.wait_shown(b"Disconnected from VM web01", n)
        terminal.wait_shown(b"Connected to VM web01", n)
        terminal.type(b"again\r")
        self.vm.wait_data(b"again\r")

    def test_what_ssh_says_is_shown_and_the_rest_is_explained(self):
        refused = self.run_client(f"--host=bob@127.0.0.1:{self.port}", "list")
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"Permission denied (publickey)", refused.stderr)
        self.assertIn(b"vspc-client: Cannot reach vspcd: bob@127.0.0.1:%d: ssh has ended" % self.port, refused.stderr)
        missing = self.run_client(self.host, "list", env={"SYSTEMD_SSH": "/no/such"})
        self.assertIn(b"Cannot run /no/such: No such file", missing.stderr)
        self.vspcd.end()
        gone = self.run_client(self.host, "list")
        self.assertEqual(gone.returncode, 1)
        self.assertIn(b"vspc-client: Cannot reach vspcd: ", gone.stderr)

    def test_a_host_is_no_option_and_no_command(self):
        marker = self.path("marker")
        for host in ("@-oProxyCommand=touch$IFS" + marker, "-oProxyCommand=x@host", "dave@-x", "dave@", "@", "dave@;id",
                     "dave@$(id)", "dave@host name", "da ve@host", "dave;id@host", "dave@host:0", "dave@host:x", "dave@host:-p", "dave@`id`",
                     "dave@host\n", "dave@%h|x", "'@host"):
            with self.subTest(host=host):
                result = self.run_client(f"--host={host}", "list")
                self.assertEqual(result.returncode, 1)
                self.assertIn(b"cannot be reached by ssh: USER@HOST or USER@HOST:PORT is needed", result.stderr)
        self.assertEqual(os.path.getsize(self.words), 0)
        self.assertFalse(os.path.exists(marker))

    def test_other_options_of_reaching_vspcd_do_not_go_with_it(self):
        for args, text in ((["--tls"], b"--tls: with USER@HOST, ssh encrypts."),
                           (["--socket=/x"], b"--host, --socket: only one of them can be used."),
                           (["--stdio-bridge"], b"--stdio-bridge: only a local socket can be bridged.")):
            self.assertIn(text, self.run_client(self.host, *args, "list").stderr)
        self.assertIn(b"run \"vspc-client log web01\" there", self.run_client(self.host, "log", "web01").stderr)

    def test_without_a_user_and_a_port_ssh_knows(self):
        self.write("ssh", f'#!/bin/sh\nprintf "%s\\n" "$*" >>{self.words}\nexit 1\n', 0o755)
        for host in "@vspc.example.com", "@[2001:db8::1]":
            self.run_client(f"--host={host}", "list")
        with open(self.words, encoding="ascii") as f:
            self.assertEqual(f.read().splitlines(), ["-xT -- vspc.example.com vspc-client --stdio-bridge",
                                                     "-xT -- 2001:db8::1 vspc-client --stdio-bridge"])


class ByUser(SshTestCase):
    """Members of a group log in as themselves, and get a console instead of a shell."""

    def setUp(self):
        super().setUp()
        self.vspcd = self.start(local="open", access=((f"user:{USERS['alice']}", "db-*", "write"),
                                                      (f"user:{USERS['bob']}", "db-*", "watch"), ("anonymous", "none", "list")))
        self.vm = connected_vm(self.vspcd, "db-1")
        connected_vm(self.vspcd, "web-1")
        self.start_sshd(self.vspcd, documented(PAGE, "Match Group consoles"))

    def run_ssh(self, user, *command, options=()):
        return subprocess.run([*self.ssh(user, *options), *command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE_SEC, check=False)

    def test_ssh_attaches_to_the_vm(self):
        terminal = self.on_terminal([*self.ssh("alice", "-t"), "db-1"])
        terminal.wait_shown(b"Connected to VM db-1")
        self.vm.send(b"login: ")
        terminal.wait_shown(b"login: ")  # the terminal there is raw by now
        terminal.type(b"uptime\r")
        self.vm.wait_data(b"uptime\r")
        self.vm.send(b"up 3 days")
        terminal.wait_shown(b"up 3 days")
        self.vspcd.wait_logged(r"client alice \(pid \d+\) connected")
        terminal.type(b"\x1dsuspend\r")  # there is no shell that could go on
        terminal.wait_shown(b"vspc> ")
        terminal.type(b"\x1dquit\r")
        self.assertEqual(terminal.wait_exit(), 0)
        self.vspcd.wait_logged(r"client alice \(pid \d+\) disconnected")

    def test_the_rights_are_those_of_the_user(self):
        terminal = self.on_terminal([*self.ssh("bob", "-t"), "db-1"])
        terminal.wait_shown(b"Read-only: the VM does not get what you type")
        for user in "alice", "bob":
            result = self.run_ssh(user, "web-1")
            self.assertEqual(result.returncode, 1)
            self.assertIn('No VM named "web-1"', result.stderr)

    def test_without_a_vm_the_vms_are_listed(self):
        result = self.run_ssh("alice")
        self.assertEqual(result.returncode, 0)
        self.assertIn("1 VM, 1 connected.", result.stdout)
        self.assertRegex(result.stdout, "(?m)^db-1 ")

    def test_whatever_the_command_is_it_is_the_name_of_a_vm(self):
        marker = self.path("marker")
        os.chmod(self.folder, 0o777)
        self.addCleanup(os.chmod, self.folder, 0o755)
        result = self.run_ssh("alice", "db-\xff".encode("latin-1"))
        self.assertIn("is not UTF-8", result.stderr)
        for command in (f"db-1; touch {marker}", f"$(touch {marker})", f"`touch {marker}`", f"db-1\ntouch {marker}",
                        f"| touch {marker}", f"' ; touch {marker} ; '", f'" ; touch {marker} ; "', f"&& touch {marker}",
                        "--socket=/dev/null", "-H evil", "--host=evil@evil", "--stdio-bridge", "--help", "list", "log db-1", "sh",
                        "*", "~", "$HOME", "\\", "-", "--", "'", '"', "scp -t /", "internal-sftp"):
            with self.subTest(command=command):
                result = self.run_ssh("alice", command)
                self.assertEqual(result.returncode, 1, result)
                self.assertIn("No VM named ", result.stderr)
                self.assertEqual(result.stdout, "")
        self.assertFalse(os.path.exists(marker))

    def test_there_is_no_shell_no_forwarding_and_no_file_transfer(self):
        for options in ("-W", f"127.0.0.1:{self.port}"), ("-N", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"):
            result = self.run_ssh("alice", options=options)
            self.assertNotEqual(result.returncode, 0, result)
            self.assertRegex(result.stderr, "administratively prohibited|remote port forwarding failed|forwarding")
        sftp = self.run_ssh("alice", "sftp", options=("-s",))
        self.assertEqual((sftp.returncode, sftp.stdout), (1, ""))
        terminal = self.on_terminal(self.ssh("alice", "-t", "-A", "-X"))
        self.assertEqual(terminal.wait_exit(), 0)
        self.assertIn(b"1 VM, 1 connected.", terminal.shown)

    def test_variables_that_the_client_sends_change_nothing(self):
        result = self.run_ssh("alice", options=("-o", "SetEnv=SYSTEMD_PAGER=id PATH=/tmp SSH_ORIGINAL_COMMAND=web-1"))
        self.assertIn("1 VM, 1 connected.", result.stdout)


class ByKey(SshTestCase):
    """People share the user console. The key says who comes, and has the rights of a certificate."""

    def test_the_rights_are_those_of_the_key(self):
        people = {name: self.authority.issue(name, purpose=CLIENT_PURPOSE) for name in ("alice", "bob")}
        vspcd = self.start_tls(local="open", access=(("cert:CN=alice", "db-*", "write"), ("cert:CN=bob", "web-*", "write"),
                                                     ("anonymous", "none", "list")))
        db, _ = DecliningVm(vspcd, "db-1").connect(), DecliningVm(vspcd, "web-1").connect()
        line = documented(PAGE, "restrict,pty,command=").replace("\n", " ").strip()
        host = f"--host=127.0.0.1:{vspcd.admin_tls_address[1]} --ca={self.path('ca.pem')}"
        shutil.copy(self.authority.path, self.path("ca.pem"))
        os.chmod(self.path("ca.pem"), 0o644)
        self.assertIn("--host=localhost ", line)
        keys = ""
        for name, certificate in people.items():
            shutil.copy(certificate.both, self.path(name + ".pem"))
            os.chmod(self.path(name + ".pem"), 0o644)
            keys += (line.replace("--host=localhost", host).replace("/etc/vspc/console/alice.pem", self.path(name + ".pem"))
                     .split(" ssh-ed25519 ")[0] + " " + self.public_key(name))
        self.write("keys-console", keys)
        self.addCleanup(os.unlink, self.path("keys-console"))
        self.start_sshd(vspcd)

        terminal = self.on_terminal([*self.ssh("console", "-t", key="alice"), "db-1"])
        terminal.wait_shown(b"Connected to VM db-1")
        terminal.type(b"x")
        db.wait_data(b"x")
        vspcd.wait_logged(r"client alice, 127\.0\.0\.1:\d+ connected")
        refused = subprocess.run([*self.ssh("console", key="bob"), "db-1; id"], stdin=subprocess.DEVNULL, capture_output=True,
                                 text=True, timeout=PATIENCE_SEC, check=False)
        self.assertIn('No VM named "db-1; id"', refused.stderr)
        listed = subprocess.run(self.ssh("console", key="bob"), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=PATIENCE_SEC, check=False)
        self.assertRegex(listed.stdout, "(?m)^web-1 ")
        self.assertNotIn("db-1", listed.stdout)
        forwarding = subprocess.run(self.ssh("console", "-W", f"127.0.0.1:{self.port}", key="bob"), stdin=subprocess.DEVNULL,
                                    capture_output=True, timeout=PATIENCE_SEC, check=False)
        self.assertNotEqual(forwarding.returncode, 0)


if __name__ == "__main__":
    if not os.path.exists(SSHD):
        unavailable("sshd is not installed")
    with tempfile.TemporaryDirectory(prefix="vspc-users-") as users:
        enter_world(users, USERS, {"consoles": (CONSOLES, ["alice", "bob"])})
        os.makedirs("/run/sshd", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run/sshd"], check=True)
        main()
