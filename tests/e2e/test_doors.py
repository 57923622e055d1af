# SPDX-License-Identifier: LGPL-2.1-or-later

"""A mistake in [TLS] lets nobody in: when vspcd starts, the connections concerned are refused; a reload changes
nothing."""

import os
import pwd
import re
import ssl
import subprocess
import sys
import tempfile
import unittest

from certificates import CLIENT, RSA_2048
from harness import PATIENCE_SEC, SANITIZED, VSPCD, TestCase, clean_environment, local_listener, main, wait_for
from peers import EsxiVm, Peer, RawClient, connected_vm
from tls_peers import DecliningVm, TlsCaller, TlsTestCase, TlsVm, client_context
from varlink_peer import CONCENTRATOR, SERVICE, Caller, message

SOCKETS = ("vm", "admin", "admin-tls")
NOBODY = 65534
ME = pwd.getpwuid(os.geteuid()).pw_name
RELOADS_MAX = 8

HOSTS, QUERIES = "ESXi hosts are refused", "admin connections with TLS are refused"
BOTH, NO_TLS = "ESXi hosts and admin connections with TLS are refused", "TLS with ESXi hosts is off, and admin connections with TLS are refused"
NO_VM_TLS, NOTHING = "TLS with ESXi hosts is off", "something is wrong in [TLS]"
IN_DOUBT = "is refused: something is wrong in [TLS] of the configuration, see the status of the service"


class DoorsTestCase(TlsTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.alice = cls.authority.issue("alice", purpose=CLIENT)
        cls.esx1 = cls.authority.issue("esx1.example", purpose=CLIENT)
        cls.other = cls.authority.issue("other", key=RSA_2048)
        cls.good = {"CertificateFile": cls.certificate.path, "KeyFile": cls.certificate.key,
                    "TrustedCAFile": cls.authority.path}
        cls.authorities = {"VMTrustedCAFile": cls.authority.path}

    def mistakes(self):
        """What is added to good keys, what it is called, and which doors it closes."""
        certificate = {"CertificateFile": "/nonexistent"}
        missing = "/nonexistent cannot be read: No such file or directory"
        path = "must be the absolute path of a PEM file"
        return (
            # Bad values
            ({"TrustedCAFile": "ca.pem"}, f'TrustedCAFile= {path}, not "ca.pem"', QUERIES),
            ({"VMTrustedCAFile": "ca.pem"}, f'VMTrustedCAFile= {path}, not "ca.pem"', HOSTS),
            ({"RequireVMTLS": "yse"}, 'RequireVMTLS= must be yes or no, not "yse"', HOSTS),
            ({"RequireVMCertificate": "yse"}, 'RequireVMCertificate= must be yes or no, not "yse"', HOSTS),
            ({"CertificateFile": "crt.pem"}, f"CertificateFile= {path}, or a pkcs11: URI, not", NO_TLS),
            ({"KeyFile": "key.pem"}, f"KeyFile= {path}, or a pkcs11: URI, not", NO_TLS),
            ({"StartTLS": "maybe"}, "StartTLS= must be yes or no", NOTHING),

            # Unknown keys
            ({"RequireVMTsl": "yes"}, "Unknown key RequireVMTsl= in section [TLS]", BOTH),
            ({"requirevmtls": "yes"}, "RequireVMTLS= belongs in section [TLS], written like this", HOSTS),

            # Files
            (certificate, f"The certificate {missing}", NO_TLS),
            ({"KeyFile": "/nonexistent"}, f"The key {missing}", NO_TLS),
            ({"KeyFile": self.other.key}, "is not that of the certificate in", NO_TLS),
            ({"TrustedCAFile": "/nonexistent"}, f"The file of trusted certificates {missing}", QUERIES),
            ({"VMTrustedCAFile": "/nonexistent"}, f"The file of trusted certificates {missing}", HOSTS),
            ({"Priority": "NORMAL:+NONSENSE"}, 'GnuTLS does not understand "+NONSENSE"', NO_VM_TLS),

            # Files without which nobody can be asked for what is to be asked for
            ({**certificate, "RequireVMTLS": "yes"}, f"The certificate {missing}", BOTH),
            ({**certificate, **self.authorities}, f"The certificate {missing}", BOTH),
            ({"Priority": "NORMAL:+NONSENSE", **self.authorities}, 'does not understand "+NONSENSE"', HOSTS),

            # Keys that are missing
            ({"RequireVMCertificate": "yes"},
             "RequireVMCertificate=yes, but VMTrustedCAFile= is missing", HOSTS),
            ({"CertificateFile": ""}, "KeyFile= needs a certificate", NO_TLS),
            ({"CertificateFile": "", "KeyFile": "", "TrustedCAFile": "", "RequireVMTLS": "yes"},
             "RequireVMTLS=yes, but there is no certificate", HOSTS),
            ({"CertificateFile": "", "KeyFile": "", "TrustedCAFile": "", **self.authorities},
             "VMTrustedCAFile= needs a certificate", HOSTS),
        )

    def check_hosts(self, vspcd, closed, in_tls):
        if closed:
            for first in (b"\xff\xfb\x25", b"\x16\x03\x01\x02\x00\x01"):
                peer = Peer(vspcd.vm_address)
                try:
                    peer.send_raw(first)
                    peer.wait_closed()
                except ConnectionError:
                    pass
                vspcd.wait_logged(rf":{peer.local_port}: {re.escape(IN_DOUBT)}")
                self.assertNotIn(b"\xff", peer.raw)
            return

        (DecliningVm if in_tls else EsxiVm)(vspcd).connect()
        if in_tls:
            TlsVm(vspcd, context=client_context(self.esx1)).connect()
        else:
            peer = Peer(vspcd.vm_address)
            peer.send_raw(b"\x16\x03\x01\x02\x00\x01")
            peer.wait_closed()

    def check_queries(self, vspcd, closed):
        if closed:
            peer = Peer(vspcd.admin_tls_address)
            peer.wait_closed()
            self.assertEqual(bytes(peer.raw), b"")
            vspcd.wait_logged(rf"Query from 127\.0\.0\.1:{peer.local_port} {re.escape(IN_DOUBT)}")
        else:
            TlsCaller(vspcd, client_context(self.alice)).get(f"{SERVICE}.GetInfo")

    @staticmethod
    def last_status(vspcd):
        return next(n for n in reversed(vspcd.notifications) if n.startswith("STATUS="))


class Start(DoorsTestCase):
    def test_a_mistake_closes_its_doors_until_it_is_mended(self):
        for keys, problem, effect in self.mistakes():
            with self.subTest(**keys):
                tls = {**self.good, **keys}
                vspcd = self.start(sockets=SOCKETS, tls=tls)
                status = vspcd.notifications[vspcd.notifications.index("READY=1") - 1]
                self.assertTrue(status.startswith(f"STATUS=0 VMs, 0 clients, {effect}: "), status)
                self.assertIn(problem, status)
                vspcd.wait_logged(rf"Because of a mistake in the configuration {re.escape(effect)}: .*{re.escape(problem)}.*; "
                                  r'correct it, then run "systemctl reload vspc\.service"$')

                has_certificate = effect not in (NO_TLS, NO_VM_TLS)
                self.check_hosts(vspcd, effect in (HOSTS, BOTH), has_certificate)
                if tls["TrustedCAFile"]:  # otherwise there is no TLS, by the configuration
                    self.check_queries(vspcd, effect in (QUERIES, BOTH, NO_TLS))
                Caller(vspcd).get(f"{SERVICE}.GetInfo")  # a door that [TLS] does not guard

                vspcd.reload(tls=self.good)
                vspcd.wait_change(lambda v=vspcd: re.fullmatch(r"STATUS=\d VMs?, 0 clients", self.last_status(v)),
                                  "a status that says nothing of it")
                self.check_hosts(vspcd, False, True)
                self.check_queries(vspcd, False)
                vspcd.end()

    def test_what_is_wrong_elsewhere_closes_no_door(self):
        vspcd = self.start(sockets=SOCKETS, tls=self.good, ClientLimit="x", Nonsense=1, console_log={"Mode": "999"})
        self.assertEqual(vspcd.notifications[:2], ["STATUS=0 VMs, 0 clients", "READY=1"])
        self.check_hosts(vspcd, False, True)
        self.check_queries(vspcd, False)

    def test_a_credential_that_is_of_no_use_is_as_bad_as_a_file(self):
        folder = self.enterContext(self.folder_of(**{"vspc.crt": self.certificate.path, "vspc.key": self.other.key}))
        for keys, effect in (({}, NO_TLS), ({"RequireVMTLS": "yes"}, BOTH)):
            vspcd = self.start(sockets=SOCKETS, tls={**self.good, **keys}, env={"CREDENTIALS_DIRECTORY": folder})
            vspcd.wait_logged(f"mistake in the configuration {effect}: The key in {folder}/vspc.key is not that of the certificate in "
                              f"{folder}/vspc.crt")
            self.check_queries(vspcd, True)
            self.check_hosts(vspcd, effect == BOTH, False)

    def test_a_credential_does_not_make_up_for_a_mistake(self):
        folder = self.enterContext(self.folder_of(**{"vspc.crt": self.certificate.path, "vspc.key": self.certificate.key}))
        for keys, effect in (({"TrustedCAFile": "ca.pem"}, QUERIES), ({"RequireVMTLS": "yse"}, HOSTS),
                             ({"CertificateFile": "crt.pem"}, NO_TLS)):
            vspcd = self.start(sockets=SOCKETS, tls={"TrustedCAFile": self.authority.path, **keys},
                               env={"CREDENTIALS_DIRECTORY": folder})
            vspcd.wait_logged(f"mistake in the configuration {effect}: ")
            self.check_queries(vspcd, effect in (QUERIES, NO_TLS, BOTH))
            self.check_hosts(vspcd, effect in (HOSTS, BOTH), effect != NO_TLS)

    def folder_of(self, **links):
        folder = tempfile.TemporaryDirectory(prefix="vspc-e2e-")
        for name, target in links.items():
            os.symlink(target, os.path.join(folder.name, name))
        return folder

    def test_the_pin_of_a_token_is_not_for_the_status(self):
        vspcd = self.start(tls={**self.good, "KeyFile": "pkcs11:token=none;object=key?pin-value=SECRET"})
        vspcd.wait_logged("The key in pkcs11:token=none;object=key.pin-value=… cannot be used: ")
        self.assertFalse(vspcd.logged("SECRET"))
        self.assertNotIn("SECRET", "\n".join(vspcd.notifications))

    def test_without_an_admin_tls_socket_nobody_is_said_to_be_refused_there(self):
        vspcd = self.start(tls={**self.good, "TrustedCAFile": "ca.pem"})
        vspcd.wait_logged(f"Because of a mistake in the configuration {re.escape(NOTHING)}: ")


class ReloadOfMistakes(DoorsTestCase):
    """A vspcd that lets nobody in who has no certificate"""

    def setUp(self):
        super().setUp()
        self.strict = {**self.good, **self.authorities, "RequireVMTLS": "yes", "RequireVMCertificate": "yes"}

    def assertStrict(self, vspcd):
        with self.assertRaises((ssl.SSLError, ConnectionError, AssertionError)):
            TlsCaller(vspcd, client_context()).get(f"{SERVICE}.GetInfo")
        TlsCaller(vspcd, client_context(self.alice)).get(f"{SERVICE}.GetInfo")
        plain = EsxiVm(vspcd)
        plain.send_raw(b"\xff\xfc\x25")
        plain.wait_closed()
        vspcd.wait_logged(f":{plain.local_port}: does not use TLS, which RequireVMCertificate= requires")

    def test_nothing_of_a_configuration_with_a_mistake_comes_into_force(self):
        vspcd = self.start(sockets=SOCKETS, tls=self.strict, ClientLimit=1)
        self.assertStrict(vspcd)
        vm = TlsVm(vspcd, context=client_context(self.esx1)).connect()
        client = RawClient(vm)
        for keys, problem, _ in self.mistakes():
            with self.subTest(**keys):
                since = len(vspcd.log)
                vspcd.reload(ClientLimit=0, tls={**self.good, **keys})
                vspcd.wait_logged(rf"The configuration has not been reloaded: .*{re.escape(problem)}", since)
                vspcd.wait_change(lambda p=problem: re.fullmatch(
                    rf"STATUS=1 VM, 1 client, the configuration could not be reloaded: .*{re.escape(p)}.*",
                    self.last_status(vspcd)), problem)
                second = Peer(("127.0.0.1", vm.port))
                second.wait_closed()
                self.assertIn(b"has 1 clients already", second.raw)
        self.assertStrict(vspcd)
        vm.send(b"undisturbed")
        client.wait_data(b"undisturbed")

        vspcd.reload(ClientLimit=0, tls=self.strict)
        vspcd.wait_status("1 VM, 1 client")
        RawClient(vm)
        self.assertStrict(vspcd)

    def test_many_that_are_refused_leave_nothing_behind(self):
        vspcd = self.start(sockets=SOCKETS, tls=self.strict)
        bad = {**self.strict, "TrustedCAFile": "/nonexistent", "RequireVMTsl": "yes"}
        for _ in range(20):
            vspcd.reload(tls=bad)
        descriptors, memory = vspcd.n_descriptors(), vspcd.rss()
        for _ in range(100):
            vspcd.reload(tls=bad)
        wait_for(lambda: vspcd.n_descriptors() <= descriptors, f"{descriptors} descriptors again")
        self.assertLess(vspcd.rss() - memory, (16 if SANITIZED else 2) << 20)

    def test_doors_that_are_closed_stay_so(self):
        vspcd = self.start(sockets=SOCKETS, tls={**self.good, "RequireVMTsl": "yes"})
        vspcd.reload(tls={**self.good, "RequireVMTLS": "yse"})
        vspcd.wait_change(lambda: re.fullmatch(rf"STATUS=0 VMs, 0 clients, {BOTH}: .*: RequireVMTLS= must be .*",
                                               self.last_status(vspcd)), "the status")
        self.check_hosts(vspcd, True, True)
        self.check_queries(vspcd, True)

    def test_elsewhere_a_key_keeps_its_value_and_the_others_change(self):
        vspcd = self.start(ClientLimit=1, ScrollbackSize="64K")
        vm = connected_vm(vspcd)
        RawClient(vm)
        vspcd.reload(ClientLimit="x", ScrollbackSize=0, SlowClient="wait", Nonsense=1)
        vspcd.wait_logged("Configuration reloaded")
        vspcd.wait_logged(r"ClientLimit= must be a number of clients, or 0 for no limit, not \"x\", ignoring it")
        second = Peer(("127.0.0.1", vm.port))
        second.wait_closed()
        self.assertIn(b"has 1 clients already", second.raw)
        vm.send(b"x" * 1000)
        self.assertEqual(Caller(vspcd).vm(vm.id)["clientCount"], 1)
        vspcd.reload(ClientLimit=2)
        late = RawClient(vm)
        vm.send(b"END")
        late.wait_data(b"END")
        self.assertEqual(bytes(late.data), b"END")  # no scrollback


class Call(TestCase):
    """Reload over Varlink"""

    def start_local(self, **kwargs):
        return self.start(local=True, sockets=SOCKETS, **kwargs)

    def test_it_is_answered_when_the_configuration_is_in_force(self):
        vspcd = self.start_local()
        vm = connected_vm(vspcd)
        RawClient(vm)
        vspcd.configure(**{**vspcd.config, "ClientLimit": 1})
        since = len(vspcd.notifications)
        self.assertEqual(Caller(vspcd, local=True).get("Reload"), {"warnings": []})
        second = Peer(("127.0.0.1", vm.port))
        second.wait_closed()
        self.assertIn(b"has 1 clients already", second.raw)
        vspcd.wait_notified("READY=1", since)
        self.assertIn("RELOADING=1", vspcd.notifications[since:])
        vspcd.wait_logged(rf"Reload requested by {ME} \(pid {os.getpid()}\)$")

    def test_what_is_wrong_is_told(self):
        vspcd = self.start_local(ClientLimit=7)
        vspcd.configure(**{**vspcd.config, "ClientLimit": "x"})
        caller = Caller(vspcd, local=True)
        warnings = caller.get("Reload")["warnings"]
        self.assertEqual(len(warnings), 1)
        self.assertRegex(warnings[0], rf"^{vspcd.config_path}:\d+: ClientLimit= must be a number .*, not \"x\", ignoring it$")

        vspcd.configure(**{**vspcd.config, "tls": {"RequireVMTsl": "yes", "CertificateFile": "/nonexistent"}})
        error, parameters = caller.fail("Reload")
        self.assertEqual((error, len(parameters["problems"])), ("ConfigurationRefused", 3))
        self.assertIn("ClientLimit= must be", parameters["problems"][0])
        self.assertIn("Unknown key RequireVMTsl=", parameters["problems"][1])
        self.assertIn("The certificate /nonexistent cannot be read", parameters["problems"][2])

        os.unlink(vspcd.config_path)
        error, parameters = caller.fail("Reload")
        self.assertEqual(parameters["problems"], [f"Cannot read {vspcd.config_path}: No such file or directory"])
        vspcd.configure(**vspcd.config)

    def test_a_thousand_problems_are_told_in_part(self):
        vspcd = self.start_local()
        vspcd.configure(**{**vspcd.config, **{f"Nonsense{i}\"\\\u20ac": 1 for i in range(1000)}})
        self.assertEqual(len(Caller(vspcd, local=True).get("Reload")["warnings"]), 32)

    def test_over_the_network_nobody_may(self):
        vspcd = self.start_local()
        since = len(vspcd.log)
        self.assertEqual(Caller(vspcd).fail("Reload"), ("PermissionDenied", {}))
        vspcd.settle_log()
        self.assertFalse(vspcd.logged("Reload requested", since))

    def test_it_takes_no_parameters(self):
        vspcd = self.start_local()
        self.assertEqual(Caller(vspcd, local=True).fail("Reload", {"force": True})[0], "InvalidParameter")

    def test_a_oneway_call_is_carried_out(self):
        vspcd = self.start_local()
        Caller(vspcd, local=True).say("Reload", oneway=True)
        vspcd.wait_logged(rf"Reload requested by {ME} \(pid \d+\)$")

    @unittest.skipUnless(os.geteuid() == 0, "wants to be somebody else for a while")
    def test_local_users_may_so_often_and_root_may_then(self):
        vspcd = self.start_local()
        os.chmod(vspcd.admin_path, 0o666)
        script = ("import socket, sys\n"
                  "s = socket.socket(socket.AF_UNIX)\n"
                  "s.connect(sys.argv[1])\n"
                  f"for _ in range({2 * RELOADS_MAX}):\n"
                  f"    s.sendall({message('Reload')!r})\n"
                  "    answer = b''\n"
                  "    while not answer.endswith(b'\\0'):\n"
                  "        answer += s.recv(4096)\n"
                  "    print(answer[:-1].decode())\n")
        result = subprocess.run([sys.executable, "-c", script, vspcd.admin_path], user=NOBODY, group=NOBODY, extra_groups=[],
                                capture_output=True, text=True, check=True, timeout=PATIENCE_SEC)
        answers = result.stdout.splitlines()
        self.assertEqual(len(answers), 2 * RELOADS_MAX)
        refused = [answer for answer in answers if f"{CONCENTRATOR}.TooManyReloads" in answer]
        self.assertTrue(refused)
        self.assertIn(f'"limit":{RELOADS_MAX}', refused[0].replace(" ", ""))
        self.assertGreaterEqual(len(answers) - len(refused), RELOADS_MAX)
        for _ in range(2 * RELOADS_MAX):
            Caller(vspcd, local=True).get("Reload")


class Client(TestCase):
    """vspcd --reload, as in ExecReload="""

    def reload(self, path, **env):
        return subprocess.run([VSPCD, f"--reload={path}"], capture_output=True, text=True, check=False, timeout=PATIENCE_SEC,
                              env=clean_environment(**env))

    def test_it_says_nothing_of_what_is_well(self):
        vspcd = self.start(local=True)
        result = self.reload(vspcd.admin_path)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        vspcd.wait_logged(rf"Reload requested by {ME} \(pid \d+\)$")

    def test_it_fails_and_shows_why(self):
        vspcd = self.start(local=True)
        vspcd.configure(**{**vspcd.config, "ClientLimit": "x", "tls": {"RequireVMTLS": "yse"}})
        result = self.reload(vspcd.admin_path)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 3, result.stderr)
        self.assertIn("ClientLimit= must be a number", lines[0])
        self.assertIn('RequireVMTLS= must be yes or no, not "yse"', lines[1])
        self.assertEqual(lines[2], "vspcd: The configuration has not been reloaded: correct these mistakes first")

    def test_it_shows_what_is_only_to_be_warned_of(self):
        vspcd = self.start(local=True)
        vspcd.configure(**{**vspcd.config, "ClientLimit": "x"})
        result = self.reload(vspcd.admin_path)
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertRegex(result.stderr, r"^vspcd: .*ClientLimit= must be a number .*\n$")

    def test_where_there_is_no_vspcd(self):
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "none")
        result = self.reload(path)
        self.assertEqual((result.returncode, result.stderr),
                         (1, f"vspcd: Cannot connect to vspcd at {path}: No such file or directory\n"))
        self.assertEqual(self.reload("x" * 108).returncode, 1)

    def test_where_the_socket_is_another_one_there_is_still_the_signal(self):
        vspcd = self.start(local=True)
        result = self.reload(vspcd.admin_path + "-away", MAINPID=str(vspcd.pid))
        self.assertEqual(result.returncode, 0)
        self.assertIn("No such file or directory; it was sent SIGHUP instead, and only its own log says whether it has "
                      "reloaded", result.stderr)
        vspcd.wait_logged("Configuration reloaded$")
        for pid in ("", "0", "1", "-1", "x", "99999999999"):
            self.assertEqual(self.reload(vspcd.admin_path + "-away", MAINPID=pid).returncode, 1, pid)

    def test_an_answer_that_is_none(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        for n, (answer, text) in enumerate((
                (b"", "does not answer: Connection reset by peer"),
                (b"hello\0", "has sent an answer that is not Varlink"),
                (b"[]\0", "has sent an answer that is not Varlink"),
                (b"{}\0", "has sent an invalid answer to Reload()"),
                (b'{"error":1,"parameters":{}}\0', "has sent an answer that is not Varlink"),
                (b'{"error":"org.varlink.service.MethodNotFound"}\0', "vspcd answers org.varlink.service.MethodNotFound"),
                (b'{"error":"org.vspc.Concentrator.TooManyReloads","parameters":{"limit":8}}\0', "too many reloads"),
                (b'{"error":"\\u001b[2J"}\0', "vspcd answers \ufffd[2J"),
                (b"x" * (1 << 20), "does not answer: Message too long"))):
            path = os.path.join(folder, str(n))
            listener = local_listener(path)
            client = subprocess.Popen([VSPCD, f"--reload={path}"], stderr=subprocess.PIPE, text=True,
                                      env=clean_environment())
            server, _ = listener.accept()
            self.assertEqual(server.recv(4096), b'{"method":"org.vspc.Concentrator.Reload"}\0')
            try:
                server.sendall(answer)
            except ConnectionError:
                pass
            server.close()
            listener.close()
            _, error = client.communicate(timeout=PATIENCE_SEC)
            self.assertEqual(client.returncode, 1)
            self.assertIn(text, error)


if __name__ == "__main__":
    main()
