# SPDX-License-Identifier: LGPL-2.1-or-later

"""Certificates for tests, made with OpenSSL's command: an authority, and certificates for servers and clients."""

import datetime
import hashlib
import os
import ssl
import subprocess
import tempfile

# Kinds of keys, as openssl-req(1) is told. The first is made fastest, the last takes seconds.
ECDSA = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA_2048 = ("-newkey", "rsa:2048")
RSA_4096 = ("-newkey", "rsa:4096")

SERVER, CLIENT = "serverAuth", "clientAuth"

DAY = datetime.timedelta(days=1)

CONFIGURATION = """
[ca]
default_ca = this
[this]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
copy_extensions = copy
x509_extensions = identifiers
email_in_dn = no
policy = any
[identifiers]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[any]
commonName = optional
[req]
distinguished_name = nothing
[nothing]
"""


class Certificate:
    """Files in PEM: .path is the certificate, .key its key, .both have it all in one."""

    def __init__(self, path, key):
        self.path, self.key, self.both = path, key, path + "+key"
        with open(self.both, "w", encoding="ascii") as f:
            f.write(self.text())
            with open(key, encoding="ascii") as k:
                f.write(k.read())

    def text(self):
        with open(self.path, encoding="ascii") as f:
            return f.read()

    def fingerprint(self, algorithm):
        """Of the certificate, as people know it: AB:CD:…"""
        return hashlib.new(algorithm, ssl.PEM_cert_to_DER_cert(self.text())).digest().hex(":").upper()

    def with_chain(self, *others):
        """The same, and with these behind it in its file"""
        path = self.path + "+chain"
        with open(path, "w", encoding="ascii") as f:
            f.writelines(certificate.text() for certificate in (self, *others))
        return Certificate(path, self.key)

    @property
    def sha1(self):
        return self.fingerprint("sha1")

    @property
    def sha256(self):
        return self.fingerprint("sha256")


class Authority:
    """A certificate authority, in a folder that goes with it; .path is its own certificate. With an issuer it is an
    intermediate one."""

    def __init__(self, name="vspc's tests", key=ECDSA, issuer=None):
        self.folder = tempfile.TemporaryDirectory(prefix="vspc-e2e-certificates-")
        self.n_issued = 0
        self.write("ca.conf", CONFIGURATION)
        self.write("index.txt", "")
        signer = ("-cert", issuer.ca.path, "-keyfile", issuer.ca.key) if issuer else ("-selfsign", "-keyfile", "1.key")
        self.ca = self.make(name, key, ("basicConstraints=critical,CA:TRUE", "keyUsage=keyCertSign,cRLSign"), signer)
        self.path = self.ca.path

    def write(self, name, text):
        with open(self.file(name), "w", encoding="ascii") as f:
            f.write(text)

    def file(self, name):
        return os.path.join(self.folder.name, name)

    def openssl(self, *args):
        result = subprocess.run(["openssl", *args], cwd=self.folder.name, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"openssl {' '.join(args)}: {result.stderr}"

    def make(self, name, key, extensions, issuer, begins=-DAY, ends=DAY):
        self.n_issued += 1
        path, key_path, request = (self.file(f"{self.n_issued}.{suffix}") for suffix in ("crt", "key", "csr"))
        now = datetime.datetime.now(datetime.timezone.utc)
        self.openssl("req", "-config", "ca.conf", "-new", *key, "-nodes", "-keyout", key_path, "-out", request,
                     "-utf8", "-subj", f"/CN={name}" if name else "/",
                     *(word for extension in extensions for word in ("-addext", extension)))
        self.openssl("ca", "-config", "ca.conf", "-batch", "-notext", "-utf8", *issuer, "-in", request, "-out", path,
                     "-startdate", f"{now + begins:%Y%m%d%H%M%SZ}", "-enddate", f"{now + ends:%Y%m%d%H%M%SZ}")
        return Certificate(path, key_path)

    def issue(self, name, *names, purpose=SERVER, key=ECDSA, self_signed=False, **validity):
        """name: the common name. names: "DNS:host", "IP:127.0.0.1". validity: begins=, ends=, from now on."""
        extensions = ["basicConstraints=CA:FALSE", f"extendedKeyUsage={purpose}"]
        if names:
            extensions.append("subjectAltName=" + ("" if name else "critical,") + ",".join(names))
        issuer = ("-selfsign", "-keyfile", f"{self.n_issued + 1}.key") if self_signed else \
                 ("-cert", self.ca.path, "-keyfile", self.ca.key)
        return self.make(name, key, extensions, issuer, **validity)

    def expired(self, name, *names, **kwargs):
        return self.issue(name, *names, begins=-2 * DAY, ends=-DAY, **kwargs)

    def close(self):
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
