# SPDX-License-Identifier: LGPL-2.1-or-later

"""ESXi hosts that reconnect and resume their TLS sessions: when they can, also after a restart of vspcd; and when
they must not, because they would not be admitted otherwise."""

import os
import re
import ssl
import stat
import subprocess
import tempfile

from certificates import CLIENT, Authority
from harness import PATIENCE_SEC, SANITIZED, VSPCD, clean_environment, main, wait_for
from peers import RawClient
from test_sim import Simulator
from tls_peers import TlsTestCase, TlsVm, client_context
from varlink_peer import Caller, known_vms

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
WEEK_SEC = 7 * 24 * 3600


class ResumptionTestCase(TlsTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.renewed = cls.authority.issue("vspc.example")

    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-e2e-"))
        self.run_folder = os.path.join(self.folder, "run")
        os.mkdir(self.run_folder)
        self.key_path = os.path.join(self.run_folder, "ticket-key")

    def start_tls(self, *, tls=None, **kwargs):
        return self.start(tls={"CertificateFile": self.certificate.both, **(tls or {})}, **kwargs)

    def start_keeping(self, **kwargs):
        """With a folder that outlives it, as the unit has it"""
        return self.start_tls(env={"RUNTIME_DIRECTORY": self.run_folder}, **kwargs)

    def s_client(self, vspcd, version, *arguments):
        return ["openssl", "s_client", "-connect", f"127.0.0.1:{vspcd.vm_address[1]}", f"-tls1_{version}", *arguments]

    def take_ticket(self, vspcd, version):
        """OpenSSL's client connects, and leaves once it has one. Returns the file."""
        path = os.path.join(self.folder, f"ticket-1.{version}")
        if os.path.exists(path):
            os.unlink(path)
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            self.s_client(vspcd, version, "-sess_out", path), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=clean_environment())
        self.addCleanup(process.kill)
        wait_for(lambda: os.path.exists(path), "a ticket")
        output, _ = process.communicate(b"Q\n", timeout=PATIENCE_SEC)
        self.assertIn(f"New, TLSv1.{version}".encode(), output)
        return path

    def take_tickets(self, vspcd):
        return {version: self.take_ticket(vspcd, version) for version in (2, 3)}

    def assertResume(self, vspcd, tickets, resume=True):
        for version, path in tickets.items():
            output = subprocess.run(self.s_client(vspcd, version, "-sess_in", path), input=b"", capture_output=True,
                                    check=False, timeout=PATIENCE_SEC).stdout
            self.assertIn(f"{'Reused' if resume else 'New'}, TLSv1.{version}".encode(), output)

    def assertResumed(self, vspcd, vm, resumed):
        self.assertEqual(vm.session.session_reused, resumed)
        self.assertEqual(Caller(vspcd).vm(vm.id)["tls"]["resumed"], resumed)
        client = RawClient(vm)
        vm.send(b"flows")
        client.wait_data(b"flows")
        client.close()


class Resumption(ResumptionTestCase):
    def test_a_second_connection_resumes_the_first_one_s_session(self):
        vspcd = self.start_tls()
        for version in VERSIONS:
            context = client_context(version=version)
            first = TlsVm(vspcd, context=context).connect()
            self.assertResumed(vspcd, first, False)
            second = TlsVm(vspcd, context=context, session=first.session.session).connect()
            self.assertResumed(vspcd, second, True)

    def test_openssl_resumes_from_a_file(self):
        vspcd = self.start_tls()
        self.assertResume(vspcd, self.take_tickets(vspcd))

    def test_a_ticket_is_good_for_a_week(self):
        path = self.take_ticket(self.start_tls(), 3)
        text = subprocess.run(["openssl", "sess_id", "-noout", "-text", "-in", path], capture_output=True, text=True,
                              check=True).stdout
        self.assertEqual(int(re.search(r"TLS session ticket lifetime hint: (\d+) ", text)[1]), WEEK_SEC)

    def test_a_simulated_host_s_vms_resume_when_they_come_back(self):
        vspcd = self.start_tls()
        Simulator(self, vspcd, "--count=8", "--hosts=1", "--tls", "--resume", "--drop=300ms", "--reconnect=10ms")
        wait_for(lambda: any(vm.get("tls", {}).get("resumed") for vm in known_vms(vspcd)), "a session that is resumed")

    def test_all_of_many_vms_that_come_back_resume(self):
        n = 50 if SANITIZED else 500
        vspcd = self.start_tls(ports=n)
        Simulator(self, vspcd, f"--count={n}", "--hosts=4", "--tls", "--resume", "--drop=2s", "--reconnect=10ms")
        first, again = {}, {}

        def came_back():
            for vm in known_vms(vspcd):
                if vm["connected"] and first.setdefault(vm["id"], vm["peer"]) != vm["peer"]:
                    again[vm["id"], vm["peer"]] = vm["tls"]["resumed"]
            return len(again) >= n

        wait_for(came_back, lambda: f"{n} VMs to come back, having seen {len(again)}")
        self.assertEqual(set(again.values()), {True})

    def test_admin_sessions_are_not_resumed(self):
        vspcd = self.start_tls(sockets=("vm", "admin", "admin-tls"))
        address = f"127.0.0.1:{vspcd.admin_tls_address[1]}"
        output = subprocess.run(["openssl", "s_client", "-reconnect", "-tls1_2", "-connect", address], input=b"",
                                capture_output=True, check=False)
        self.assertEqual(output.stdout.count(b"New, TLSv1.2"), 6)
        self.assertNotIn(b"Reused", output.stdout)


class Restart(ResumptionTestCase):
    def test_hosts_resume_after_a_restart(self):
        vspcd = self.start_keeping()
        tickets = self.take_tickets(vspcd)
        vspcd.end()
        self.assertResume(self.start_keeping(), tickets)

    def test_hosts_resume_after_a_crash(self):
        vspcd = self.start_keeping()
        tickets = self.take_tickets(vspcd)
        vspcd.kill()
        self.assertResume(self.start_keeping(), tickets)

    def test_without_a_folder_they_do_not_and_it_is_no_problem(self):
        vspcd = self.start_tls()
        tickets = self.take_tickets(vspcd)
        vspcd.end()
        vspcd = self.start_tls()
        self.assertResume(vspcd, tickets, False)
        self.assertFalse(vspcd.has_logged("session tickets"))

    def test_what_is_in_the_folder_is_for_nobody_else(self):
        self.start_keeping()
        self.assertEqual(os.listdir(self.run_folder), ["ticket-key"])
        self.assertEqual(stat.S_IMODE(os.stat(self.key_path).st_mode), 0o600)

    def test_without_a_certificate_there_is_no_key(self):
        self.start(env={"RUNTIME_DIRECTORY": self.run_folder})
        self.assertEqual(os.listdir(self.run_folder), [])

    def test_checking_the_configuration_makes_none(self):
        vspcd = self.start_tls()
        result = subprocess.run([VSPCD, f"--config={vspcd.config_path}", "--check-config"],
                                env=clean_environment(RUNTIME_DIRECTORY=self.run_folder), check=False,
                                capture_output=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(os.listdir(self.run_folder), [])

    def test_a_file_that_is_damaged_is_replaced_with_a_line_in_the_log(self):
        vspcd = self.start_keeping()
        tickets = self.take_tickets(vspcd)
        vspcd.end()
        os.truncate(self.key_path, 63)
        vspcd = self.start_keeping()
        vspcd.wait_logged(f"The key of session tickets in {self.key_path} is replaced, so ESXi hosts cannot "
                          "resume their sessions: it does not have the size of a key")
        self.assertResume(vspcd, tickets, False)
        tickets = self.take_tickets(vspcd)
        vspcd.end()
        self.assertResume(self.start_keeping(), tickets)

    def test_after_a_week_it_is_another_one(self):
        vspcd = self.start_keeping()
        tickets = self.take_tickets(vspcd)
        vspcd.end()
        made = os.stat(self.key_path).st_mtime - WEEK_SEC
        os.utime(self.key_path, (made, made))
        self.assertResume(self.start_keeping(), tickets, False)


class Settings(ResumptionTestCase):
    """Who resumes is not asked for a certificate, for example: a ticket is good where nothing else would be asked for."""

    def setUp(self):
        super().setUp()
        self.other = self.enterContext(Authority("another"))

    def changes(self):
        """Each with what is different then"""
        return ({"CertificateFile": self.renewed.both}, {"VMTrustedCAFile": self.authority.path},
                {"Priority": "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM"})

    def test_a_reload_that_changes_nothing_lets_them_resume(self):
        vspcd = self.start_tls()
        tickets = self.take_tickets(vspcd)
        vspcd.reload()
        self.assertResume(vspcd, tickets)
        vspcd.reload(ClientLimit=3, tls={**vspcd.config["tls"], "RequireVMTLS": "yes"})
        self.assertResume(vspcd, tickets)

    def test_other_settings_after_a_reload_pass_tickets_over(self):
        for tls in self.changes():
            with self.subTest(**tls):
                vspcd = self.start_tls()
                before = vspcd.config["tls"]
                tickets = self.take_tickets(vspcd)
                vspcd.reload(tls={**before, **tls})
                self.assertResume(vspcd, tickets, False)
                others = self.take_tickets(vspcd)
                self.assertResume(vspcd, others)
                vspcd.reload(tls=before)
                self.assertResume(vspcd, others, False)

    def test_other_settings_after_a_restart_pass_tickets_over(self):
        for tls in self.changes():
            with self.subTest(**tls):
                vspcd = self.start_keeping()
                tickets = self.take_tickets(vspcd)
                vspcd.end()
                vspcd = self.start_keeping(tls=tls)
                self.assertResume(vspcd, tickets, False)
                vspcd.end()
                vspcd = self.start_keeping()
                self.assertResume(vspcd, tickets)  # as it was
                vspcd.end()

    def test_so_does_another_authority_in_the_same_file(self):
        path = os.path.join(self.folder, "trusted")
        for text, resume in ((self.authority.ca.text(), None), (self.authority.ca.text() + self.other.ca.text(), False),
                             (self.other.ca.text(), False), (self.authority.ca.text(), True)):
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
            vspcd = self.start_keeping(tls={"VMTrustedCAFile": path})
            if resume is None:
                tickets = self.take_tickets(vspcd)
            else:
                self.assertResume(vspcd, tickets, resume)
            vspcd.end()

    def test_a_host_whose_certificate_has_never_been_asked_for_cannot_resume_where_it_is(self):
        context = client_context(self.other.issue("mallory", purpose=CLIENT), version=VERSIONS[1])
        vspcd = self.start_keeping()
        first = TlsVm(vspcd, context=context).connect()
        self.assertResumed(vspcd, TlsVm(vspcd, context=context, session=first.session.session).connect(), True)
        vspcd.end()
        vspcd = self.start_keeping(tls={"VMTrustedCAFile": self.authority.path})
        TlsVm(vspcd, context=context, session=first.session.session).wait_closed()
        vspcd.wait_logged("TLS has failed: The certificate is NOT trusted")

    def test_a_host_that_is_not_trusted_any_more_cannot_resume_either(self):
        context = client_context(self.authority.issue("esx1", purpose=CLIENT), version=VERSIONS[1])
        vspcd = self.start_keeping(tls={"VMTrustedCAFile": self.authority.path})
        first = TlsVm(vspcd, context=context).connect()
        second = TlsVm(vspcd, context=context, session=first.session.session).connect()
        self.assertResumed(vspcd, second, True)
        self.assertEqual(Caller(vspcd).vm(second.id)["tls"]["peer"], "esx1")
        vspcd.end()
        vspcd = self.start_keeping(tls={"VMTrustedCAFile": self.authority.path})
        third = TlsVm(vspcd, context=context, session=second.session.session).connect()
        self.assertResumed(vspcd, third, True)
        self.assertEqual(Caller(vspcd).vm(third.id)["tls"]["peer"], "esx1")
        vspcd.reload(tls={**vspcd.config["tls"], "VMTrustedCAFile": self.other.path})
        TlsVm(vspcd, context=context, session=third.session.session).wait_closed()
        vspcd.wait_logged("TLS has failed: The certificate is NOT trusted")


if __name__ == "__main__":
    main()
