# SPDX-License-Identifier: LGPL-2.1-or-later

"""TLS with the certificates that README.md creates, and openssl as a peer"""

import re

from machine import wait_for
from scenario import Scenario, man_block, readme_block, readme_command


class Encryption(Scenario):
    def make_certificate(self):
        """Returns the thumbprint that ESXi hosts are given."""
        shown = self.machine.sh(readme_block("openssl req -x509")).stdout
        return re.search(r"Fingerprint=([0-9A-F:]+)", shown)[1]

    def presented(self):
        """The thumbprint of the certificate that vspcd shows to those who connect"""
        shown = self.machine.sh("openssl s_client -connect 127.0.0.1:13370 </dev/null 2>/dev/null | "
                                "openssl x509 -noout -fingerprint -sha1").stdout
        return re.search(r"Fingerprint=([0-9A-F:]+)", shown)[1]

    def assert_encrypted(self, name):
        self.wait_vm(name)
        self.assertRegex(self.machine.out("vspc-client", "show", name), r"TLS ?1\.3")

    def test_the_certificate_of_the_readme_serves_hosts_that_speak_tls_and_those_that_do_not(self):
        thumbprint = self.make_certificate()
        self.vm("encrypted", "--tls")
        self.vm("goes-on-in-tls", "--tls=start")
        self.vm("plain")
        self.assertEqual(self.presented(), thumbprint)
        self.assert_encrypted("encrypted")
        self.assert_encrypted("goes-on-in-tls")
        self.nc(self.wait_vm("plain")).echo("hello")
        self.nc(self.wait_vm("encrypted")).echo("hello")

    def test_a_renewed_certificate_is_taken_by_a_reload_that_disconnects_nobody(self):
        first = self.make_certificate()
        self.vm("web01", "--tls")
        vm = self.wait_vm("web01")
        client = self.nc(vm).echo("one")
        second = self.make_certificate()
        self.assertNotEqual(first, second)
        self.assertEqual(self.presented(), second)
        client.echo("two")
        self.assertEqual(self.wait_vm("web01")["since"], vm["since"])

    def returned(self, before):
        """All VMs, once each has come back"""
        vms = self.vms()
        return vms if all(vms[name]["connected"] and vms[name]["since"] > before[name]["since"] for name in before) else None

    def assert_resume(self, before):
        after = wait_for(lambda: self.returned(before), "all VMs to come back")
        self.assertEqual({name: after[name]["tls"]["resumed"] for name in before}, {name: True for name in before})
        return after

    def test_vms_resume_after_a_restart_and_after_a_crash_and_a_stop_leaves_nothing_to_resume_with(self):
        self.make_certificate()
        names = "first", "second", "third"
        for name in names:
            self.vm(name, "--tls=telnets", "--resume")
            self.wait_vm(name)
        vms = self.vms()
        self.assertEqual(self.machine.sh("stat -c '%U:%G %a %F' /run/vspcd /run/vspcd/*").stdout.splitlines(),
                         ["vspc:vspc 700 directory", "vspc:vspc 600 regular file"])
        key = self.machine.out("sha256sum", "/run/vspcd/ticket-key")

        self.machine.run("systemctl", "restart", "vspc.service")
        vms = self.assert_resume(vms)
        self.machine.run("systemctl", "reload", "vspc.service")
        self.killed_on_purpose = True
        for _ in range(2):
            self.machine.run("systemctl", "kill", "--signal=KILL", "vspc.service")
            vms = self.assert_resume(vms)
        self.assertEqual(self.machine.out("sha256sum", "/run/vspcd/ticket-key"), key)
        self.assertRegex(self.machine.out("vspc-client", "show", "first"), r"TLS 1\.3, .*, resumed")

        self.machine.run("systemctl", "stop", *(f"peer-{name}" for name in names))
        self.machine.run("systemctl", "stop", "vspc.service")
        self.assertNotEqual(self.machine.run("test", "-e", "/run/vspcd", check=False).returncode, 0)
        self.vm("first", "--tls=telnets")
        self.wait_vm("first")
        self.assertNotEqual(self.machine.out("sha256sum", "/run/vspcd/ticket-key"), key)

    def test_hosts_of_another_authority_cannot_resume_once_theirs_is_asked_for(self):
        self.make_certificate()
        self.vm("web01", "--tls=telnets", "--resume")
        before = {"web01": self.wait_vm("web01")}
        self.machine.write("/etc/vspc/vspc.conf.d/trusted.conf", "[TLS]\nVMTrustedCAFile=/etc/vspc/vspc.crt\n")
        self.machine.run("systemctl", "restart", "vspc.service")
        after = wait_for(lambda: self.returned(before), "it to come back")
        self.assertFalse(after["web01"]["tls"]["resumed"])

    def test_hosts_that_know_tls_1_0_only_are_served_once_the_file_for_them_is_put_where_it_says(self):
        self.make_certificate()
        old_host = "openssl s_client -connect 127.0.0.1:13370 -tls1 -cipher DEFAULT@SECLEVEL=0 </dev/null"
        self.assertNotEqual(self.machine.sh(old_host, check=False).returncode, 0)
        self.machine.sh("sed -n 's/^#   //p' /usr/lib/vspc/esxi-6.conf | bash -eux")
        self.assertRegex(self.machine.sh(old_host).stdout, r"(?m)^New, TLSv1\.?0?, Cipher is \S*SHA$|Protocol *: TLSv1$")
        self.vm("new", "--tls")
        self.assert_encrypted("new")

    def test_as_a_credential_the_key_is_readable_for_root_only(self):
        thumbprint = self.make_certificate()
        self.machine.sh("chown root:root /etc/vspc/vspc.key; chmod 0600 /etc/vspc/vspc.key; "
                        "rm /etc/vspc/vspc.conf.d/tls.conf")
        self.edit("vspc.service", man_block("vspc.conf.5", "LoadCredential="))
        self.machine.sh(readme_command("systemctl restart vspc.service"))
        self.assertNotEqual(self.machine.run("cat", "/etc/vspc/vspc.key", user="vspc", check=False).returncode, 0)
        self.assertEqual(self.presented(), thumbprint)
        self.vm("web01", "--tls")
        self.assert_encrypted("web01")

    def test_it_can_be_asked_over_tls(self):
        self.make_certificate()
        self.machine.sh("mkdir -p /etc/vspc; printf '[TLS]\\nTrustedCAFile=/etc/vspc/vspc.crt\\n' "
                        ">/etc/vspc/vspc.conf.d/trusted.conf")
        self.addCleanup(self.machine.run, "systemctl", "disable", "--now", "vspc-admin-tls.socket")
        for name in "first", "second", "third":  # which do not wait for the socket with coming back
            self.vm(name, "--tls", "--reconnect=1ms")
            self.wait_vm(name)
        self.machine.sh(man_block("vspcd.8", "systemctl enable vspc-admin-tls.socket"))
        self.wait_active("vspc-admin.socket")  # which comes with vspc.socket, by its Wants=
        host = self.machine.out("hostname", "-f").strip()
        ask = ("vspc-client", f"--host={host}", "--tls", "--ca=/etc/vspc/vspc.crt")
        known = ("--cert=/etc/vspc/vspc.crt", "--key=/etc/vspc/vspc.key")  # its own authority, too
        self.wait_vm("third")
        self.assertIn("third", self.machine.out(*ask, *known, "list"))
        self.assertNotEqual(self.machine.run(*ask, "list", check=False).returncode, 0)
