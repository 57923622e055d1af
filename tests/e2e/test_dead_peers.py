# SPDX-License-Identifier: LGPL-2.1-or-later

"""Machines that vanish without a word: a host that is switched off, a laptop that sleeps. Whoever is connected from there is
found dead within 90 seconds, and a little more, whether something is under way to it or not; whoever is alive and does not
read is not. These are the times that users have, so that all tests look at one and the same scene, of two minutes."""

import contextlib
import subprocess

from certificates import Authority
from client_cases import CLIENT, Terminal
from harness import PATIENCE_SEC, Concentrator, TestCase, close_sockets, listener, main, tap, wait_for
from network import enter_own_network
from peers import Peer, client_address
from test_slow_clients import MEGABYTE, SMALL, numbered, send_until_stuck
from tls_peers import DecliningVm, TlsCaller, TlsVm
from varlink_peer import Caller

HOSTS, CLIENTS, SERVER = "192.0.2.1", "192.0.2.2", "192.0.2.3"
LIVING = "127.0.0.1"

# The kernel gives up what it has to repeat after 15 minutes, and vspcd once ended hosts after five.
FOUND_SEC = 90 + 30 + PATIENCE_SEC

INTERFACES = []


class Program(Terminal):
    """vspc-client on a terminal that is read only now and then"""

    def has_ended(self):
        self.read()
        return self.process.poll() is not None


def client_from(vm, host, **kwargs):
    client = Peer(client_address(vm), source=(host, 0), **kwargs)
    vm.vspcd.wait_logged(rf"client {host}:{client.local_port} connected")
    return client


class DeadMachines(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(close_sockets)
        authority = cls.enterClassContext(Authority())
        certificate = authority.issue("vspc.example", "IP:127.0.0.1")
        names = ("vm", "admin", "admin-tls")
        cls.vspcd = vspcd = cls.enterClassContext(Concentrator(
            sockets=names, passed=[listener(SERVER if name == "admin" else LIVING) for name in names], local=True,
            tls={"CertificateFile": certificate.path, "KeyFile": certificate.key}))

        cls.idle_host = DecliningVm(vspcd, "idle-host", source=(HOSTS, 0)).connect()
        cls.typed_host = DecliningVm(vspcd, "typed-host", source=(HOSTS, 0)).connect()
        cls.tls_host = TlsVm(vspcd, "tls-host", source=(HOSTS, 0)).connect()
        typists = [client_from(vm, LIVING) for vm in (cls.typed_host, cls.tls_host)]

        cls.silent = DecliningVm(vspcd, "silent").connect()
        client_from(cls.silent, CLIENTS)

        cls.talker = DecliningVm(vspcd, "talker").connect()
        client_from(cls.talker, CLIENTS)
        TlsCaller(vspcd, source=(CLIENTS, 0)).attach(cls.talker)
        cls.slow_reader = client_from(cls.talker, LIVING, receive_buffer=SMALL)
        cls.talker.send(numbered(MEGABYTE))

        cls.deaf = DecliningVm(vspcd, "deaf", receive_buffer=SMALL).connect()
        send_until_stuck(client_from(cls.deaf, CLIENTS), numbered(MEGABYTE))

        cls.monitor = TlsCaller(vspcd, source=(CLIENTS, 0))
        cls.monitor.monitor()
        cls.programs = [cls.attach_by_program(cls.silent), cls.attach_by_program(cls.talker)]

        for interface in INTERFACES:
            interface.vanish()
        for typist in typists:
            typist.send_raw(b"uptime\r")
        cls.programs[1].type(b"uptime\r")
        cls.talker.send(b"a line\r\n")

    @classmethod
    def attach_by_program(cls, vm):
        program = Program(CLIENT, f"--host={SERVER}:{cls.vspcd.admin_address[1]}", "attach", vm.name)
        cls.addClassCleanup(program.close)
        return program.wait_shown(b"Connected to VM")

    def setUp(self):
        """The sockets are those of the scene."""

    def vm(self, vm):
        with contextlib.closing(Caller(self.vspcd, local=True)) as caller:
            return caller.vm(vm.name)

    def wait_lost(self, vm):
        wait_for(lambda: not self.vm(vm)["connected"], f"{vm.name} to be disconnected", FOUND_SEC)

    def wait_clients(self, vm, *hosts):
        """Until only clients from these hosts are left."""
        def left():
            return sorted(client["peer"].rpartition(":")[0] for client in self.vm(vm)["clients"])
        wait_for(lambda: left() == sorted(hosts), lambda: f"{vm.name} to have clients on {hosts}, having {left()}", FOUND_SEC)

    def test_a_host_to_which_nothing_is_under_way_is_found(self):
        self.wait_lost(self.idle_host)

    def test_a_host_that_has_not_got_what_was_typed_is_found(self):
        self.wait_lost(self.typed_host)
        self.vspcd.wait_logged("VM typed-host .*host does not respond any more, closing the connection")

    def test_a_host_in_tls_is_found(self):
        self.wait_lost(self.tls_host)

    def test_a_client_of_a_silent_vm_is_found(self):
        self.wait_clients(self.silent)

    def test_clients_of_a_vm_that_goes_on_writing_are_found(self):
        self.wait_clients(self.talker, LIVING)

    def test_a_client_that_is_not_read_for_its_vm_takes_nothing_is_found(self):
        self.wait_clients(self.deaf)

    def test_who_queries_is_found(self):
        peer = f"{CLIENTS}:{self.monitor.local_port}"
        wait_for(lambda: not self.is_connected_to(peer), "its connection to be closed", FOUND_SEC)

    def is_connected_to(self, peer):
        sockets = subprocess.run(["ss", "-tnH", "dst", peer], capture_output=True, text=True, check=True).stdout
        return bool(sockets)

    def test_vspc_client_finds_that_vspcd_is_dead(self):
        for program in self.programs:
            wait_for(program.has_ended, "vspc-client to end", FOUND_SEC)
            program.wait_exit()  # and all that it has shown to be read
            self.assertIn(b"vspcd does not answer", program.shown)

    def test_whoever_is_alive_and_does_not_read_stays(self):
        self.wait_lost(self.typed_host)
        self.wait_clients(self.talker, LIVING)
        self.assertTrue(self.vm(self.deaf)["connected"])
        self.deaf.pump()
        with contextlib.closing(client_from(self.deaf, LIVING)) as client:
            client.send_raw(b"<alive>")
            self.deaf.wait_data(b"<alive>")
        self.talker.send(b"<alive>")
        self.slow_reader.wait(lambda: b"<alive>" in self.slow_reader.raw, "the slow reader to get what is new")


if __name__ == "__main__":
    try:
        INTERFACES = enter_own_network(HOSTS, CLIENTS, SERVER)
    except OSError as e:
        tap.unavailable(f"a network of its own: {e}")
    main()
