# SPDX-License-Identifier: LGPL-2.1-or-later

"""TLS, with the certificates that README.md has an administrator make, and openssl for a peer"""

import re

from scenario import Scenario, readme_block


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
        self.wait_reloaded()
        self.assertEqual(self.presented(), second)
        client.echo("two")
        self.assertEqual(self.wait_vm("web01")["since"], vm["since"])

    def test_as_a_credential_the_key_is_readable_for_root_only(self):
        thumbprint = self.make_certificate()
        self.machine.sh("chown root:root /etc/vspc/vspc.key; chmod 0600 /etc/vspc/vspc.key; "
                        "rm /etc/vspc/vspc.conf.d/tls.conf")
        self.edit("vspc.service", readme_block("LoadCredential="))
        self.machine.run("systemctl", "restart", "vspc.service")
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
        self.machine.sh(readme_block("systemctl enable vspc-admin-tls.socket"))
        self.wait_active("vspc-admin.socket")  # which comes with vspc.socket, by its Wants=
        host = self.machine.out("hostname", "-f").strip()
        ask = ("vspc-client", f"--host={host}", "--tls", "--ca=/etc/vspc/vspc.crt")
        known = ("--cert=/etc/vspc/vspc.crt", "--key=/etc/vspc/vspc.key")  # its own authority, too
        self.wait_vm("third")
        self.assertIn("third", self.machine.out(*ask, *known, "list"))
        self.assertNotEqual(self.machine.run(*ask, "list", check=False).returncode, 0)
