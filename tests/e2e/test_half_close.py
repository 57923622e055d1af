# SPDX-License-Identifier: LGPL-2.1-or-later

"""Clients that close their sending side and keep reading, as scripts do: they get their VM's answer, but are not
counted. tests/unit/test-client.c tests how long they are kept."""

import socket
import subprocess

from certificates import Authority
from harness import PATIENCE_SEC, TestCase, main, wait_for
from peers import (BINARY, EsxiVm, Peer, RawClient, TelnetClient, TelnetPeer, client_address, connected_vm, console_of,
                   migration_target)
from test_slow_clients import MEGABYTE, SMALL, numbered, repeated, send_until_stuck
from tls_peers import TlsInMemory
from varlink_peer import Caller, attached, disconnect, message

HALF_CLOSED_MAX = 4  # at a VM


def half_close(client):
    """Returns the client once vspcd knows of it."""
    client.sock.shutdown(socket.SHUT_WR)
    if getattr(client, "local_port", None):
        client.vspcd.wait_logged(rf"client \S+:{client.local_port} disconnected")
    return client


def raw(vm):
    client = RawClient(vm)
    client.vspcd = vm.vspcd
    return client


def telnet(vm):
    client = TelnetClient(vm)
    client.vspcd = vm.vspcd
    return client


def wait_sent_away(vm, *clients):
    """Waits until they are closed although their VM is not silent."""
    def closed():
        vm.send(b".")
        for client in clients:
            client.pump()
        return all(client.eof for client in clients)

    wait_for(closed, "clients to be closed")


class Answers(TestCase):
    def assertAnswered(self, vm, client):
        client.send(b"uptime\r")
        half_close(client)
        vm.wait_data(b"uptime\r")
        for answer in b"up 5 days\r\n", b"# ":
            vm.send(answer)
            client.wait_data(answer)
        self.assertFalse(client.eof)

    def test_a_raw_client_that_ends_before_it_is_known_to_be_raw_gets_the_answer(self):
        vm = connected_vm(self.start())
        client = TelnetPeer(("127.0.0.1", vm.port))
        client.send_raw(b"uptime\r")
        client.sock.shutdown(socket.SHUT_WR)
        vm.wait_data(b"uptime\r")
        vm.send(b"up \xff 5 days\r\n")
        client.wait(lambda: client.raw.endswith(b"up \xff 5 days\r\n"), "the answer, as a raw client gets it")

    def test_a_raw_client_gets_the_answer(self):
        vm = connected_vm(self.start())
        self.assertAnswered(vm, raw(vm))

    def test_a_telnet_client_gets_the_answer(self):
        vm = connected_vm(self.start())
        self.assertAnswered(vm, telnet(vm))

    def test_a_client_that_came_by_varlink_gets_the_answer(self):
        vm = connected_vm(self.start(local=True))
        for local in False, True:
            client = attached(vm, local=local)
            self.assertAnswered(vm, client)
            vm.take()

    def test_a_client_that_came_in_tls_gets_the_answer(self):
        """It says that it sends no more (close_notify), or ends the connection without."""
        certificate = self.enterContext(Authority()).issue("vspc.example", "IP:127.0.0.1")
        vspcd = self.start(sockets=("vm", "admin", "admin-tls"),
                           tls={"CertificateFile": certificate.both, "StartTLS": "no"})
        vm = connected_vm(vspcd)
        for says_so in True, False:
            client = Peer(vspcd.admin_tls_address)
            tls, got = TlsInMemory(client).shake_hands(), bytearray()
            tls.send(message("Attach", {"vm": vm.id}, upgrade=True) + b"uptime\r")
            vm.wait_data(b"uptime\r")
            if says_so:
                tls.say_good_bye()
            else:
                client.sock.shutdown(socket.SHUT_WR)
            vspcd.wait_logged(f"client .*:{client.local_port} disconnected")
            vm.send(b"up 5 days\r\n")
            if not says_so:
                client.wait_closed()
                continue
            client.wait(lambda t=tls, g=got: g.extend(t.read()) or b"up 5 days\r\n" in g, "the answer")
            vm.take()

    def test_a_client_that_sends_nothing_gets_the_output(self):
        vm = connected_vm(self.start())
        client = half_close(raw(vm))
        vm.send(b"login: ")
        client.wait_data(b"login: ")

    def test_a_byte_that_might_have_become_a_command_is_typed(self):
        vm = connected_vm(self.start())
        client = raw(vm)
        client.send(b"\xff")
        half_close(client)
        vm.wait_data(b"\xff")
        vm.send(b"answer")
        client.wait_data(b"answer")

    def test_input_waits_for_a_vm_that_takes_none_and_the_client_gets_the_answer(self):
        """Its last words wait for the VM, and then it gets the answer."""
        vspcd = self.start()
        deaf = EsxiVm(vspcd, receive_buffer=SMALL).connect()
        typist, client, silent = raw(deaf), raw(deaf), raw(deaf)
        deaf.send(b"#")
        for peer in typist, client, silent:
            peer.wait_data(b"#")  # raw by now
        sent = send_until_stuck(typist, b"k" * MEGABYTE)
        client.send(b"last words")
        client.sock.shutdown(socket.SHUT_WR)
        half_close(silent)
        deaf.wait_size(sent + len(b"last words"))
        deaf.send(b"answer")
        for peer in client, silent:
            peer.wait_data(b"answer")
            self.assertFalse(peer.eof)

    def test_what_might_have_become_a_command_is_typed_at_a_vm_that_takes_no_input(self):
        vm = EsxiVm(self.start(), receive_buffer=SMALL).connect()
        typist, caller = raw(vm), Caller(vm.vspcd)
        sent = send_until_stuck(typist, b"k" * MEGABYTE)
        for _ in range(2):
            newcomer = Peer(client_address(vm))
            newcomer.send_raw(b"\xff\xfa last words")
            newcomer.sock.shutdown(socket.SHUT_WR)
            wait_for(lambda: caller.vm(vm.id)["clientCount"] == 1, "the newcomer to count for nothing")
        vm.wait_size(sent + 2 * len(b"\xff\xfa last words"))
        self.assertSameBytes(vm.data.replace(b"k", b""), b"\xff\xfa last words" * 2)

    def test_the_answer_comes_after_a_vmotion(self):
        vm = connected_vm(self.start())
        client = raw(vm)
        secret = vm.begin(b"\0\0\0\1")
        client.send(b"uptime\r")
        half_close(client)
        target = migration_target(vm).peer(b"\0\0\0\1", secret)
        target.complete(b"\0\0\0\1")
        vm.close()
        target.wait_data(b"uptime\r")
        target.send(b"up 5 days\r\n")
        client.wait_data(b"up 5 days\r\n")

    def test_a_client_that_resets_its_connection_is_gone_at_once(self):
        vm = connected_vm(self.start())
        client = raw(vm)
        client.abort()
        vm.vspcd.wait_logged(f"{client.local_port} disconnected")
        n = vm.vspcd.n_descriptors()
        vm.send(b"nobody hears it")
        vm.vspcd.wait_read(vm.vspcd.vm_address[1], vm)
        self.assertEqual(vm.vspcd.n_descriptors(), n)

    def test_a_client_that_closes_altogether_is_noticed_when_its_vm_says_something(self):
        vm = connected_vm(self.start())
        before = vm.vspcd.n_descriptors()
        client = raw(vm)
        vm.send(b"#")
        client.wait_data(b"#")
        client.close()
        vm.vspcd.wait_logged(f"{client.local_port} disconnected")

        def gone():
            vm.send(b".")
            return vm.vspcd.n_descriptors() == before

        wait_for(gone, "its descriptor to be closed")


class CountsForNothing(TestCase):
    def test_half_closed_clients_are_not_listed(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        monitor = Caller(vspcd)
        monitor.monitor()
        client = raw(vm)
        monitor.wait_event("client_attached")
        half_close(client)
        self.assertEqual(monitor.wait_event("client_detached")["vm"]["clientCount"], 0)
        vspcd.wait_status("1 VM, 0 clients")
        shown = Caller(vspcd).vm(vm.name)
        self.assertEqual((shown["clientCount"], shown["clients"]), (0, []))
        vm.send(b"answer")
        client.wait_data(b"answer")
        self.assertEqual(Caller(vspcd).get("GetMetrics")["clients"], 0)

    def test_half_closed_clients_do_not_count_for_the_limit(self):
        vm = connected_vm(self.start(ClientLimit=1))
        for _ in range(3):
            client = half_close(raw(vm))
            vm.send(b"answer")
            client.wait_data(b"answer")

    def test_half_closed_clients_hold_no_locks(self):
        vm = connected_vm(self.start())
        writer, other = attached(vm, access="write"), telnet(vm)
        other.send(b"in vain")
        other.wait_data(b"read-only: ")
        half_close(writer)
        other.wait_data(b"write lock released")
        other.send(b"heard")
        vm.wait_data(b"heard")
        vm.send(b"answer")
        writer.wait_data(b"answer")

    def test_exclusive_access_is_exclusive(self):
        """Who gets exclusive access is alone: half-closed clients are disconnected."""
        vm = connected_vm(self.start())
        client = half_close(raw(vm))
        holder = attached(vm, access="exclusive")
        wait_sent_away(vm, client)
        half_close(holder)
        attached(vm, access="exclusive")
        wait_sent_away(vm, holder)

    def test_and_is_so_while_last_words_wait_and_afterwards(self):
        """The VM hears them, as they have come first. What it says is for the one who has exclusive access."""
        vm = EsxiVm(self.start(), receive_buffer=SMALL).connect()
        typist, client = raw(vm), telnet(vm)
        client.wait_trace(("do", BINARY))
        send_until_stuck(typist, b"k" * MEGABYTE)
        client.send(b"last words")
        client.sock.shutdown(socket.SHUT_WR)
        typist.abort()
        caller = Caller(vm.vspcd)
        wait_for(lambda: caller.vm(vm.id)["clientCount"] == 0, "the clients to count for nothing")
        holder = attached(vm, access="exclusive")
        vm.send(b"<while they wait>")
        holder.wait_data(b"<while they wait>")
        vm.wait_data(b"last words")
        vm.send(b"<afterwards>")
        holder.wait_data(b"<afterwards>")
        client.wait_closed()
        self.assertEqual(client.data, b"")

    def test_half_closed_clients_do_not_keep_a_vm_from_expiring(self):
        vspcd = self.start(VMExpireSec="1d")
        vm = connected_vm(vspcd)
        client = half_close(raw(vm))
        disconnect(vm)
        vspcd.reload(VMExpireSec="1ms")
        vspcd.wait_logged(console_of(vspcd, vm) + "has been gone for VMExpireSec=")
        client.wait_closed()

    def test_clear_disconnects_half_closed_clients(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = half_close(telnet(vm))
        raw(vm)
        self.assertEqual(Caller(vspcd).get("Clear", {"vm": vm.id}), {"disconnected": 1})
        wait_sent_away(vm, client)

    def test_a_half_closed_client_does_not_hold_up_its_vm(self):
        """Not for long with SlowClient=wait: a client that takes nothing while the VM has to wait for it is closed, and
        the VM goes on."""
        vspcd = self.start(SlowClient="wait", ClientBufferSize="64K")
        vm = connected_vm(vspcd)
        client = RawClient(vm, receive_buffer=SMALL)
        client.vspcd = vspcd
        half_close(client)
        send_until_stuck(vm, numbered(MEGABYTE))
        vm.send_raw(numbered(8 * MEGABYTE))
        other = TelnetClient(vm)
        vm.send(b"<alive>")
        other.wait_data(b"<alive>")

    def test_a_half_closed_client_that_reads_slowly_gets_everything(self):
        vspcd = self.start(SlowClient="wait", ClientBufferSize="64K")
        vm = connected_vm(vspcd)
        client = RawClient(vm, receive_buffer=SMALL)
        client.vspcd = vspcd
        half_close(client)
        sent = send_until_stuck(vm, numbered(MEGABYTE))
        client.wait_size(sent)
        self.assertSameBytes(client.data, repeated(numbered(MEGABYTE), sent))


class Room(TestCase):
    def test_a_vm_has_a_bounded_number_of_them_and_the_oldest_goes(self):
        vm, clients = connected_vm(self.start()), []
        for _ in range(HALF_CLOSED_MAX + 2):
            clients.append(half_close(raw(vm)))
        wait_sent_away(vm, *clients[:2])
        vm.send(b"answer")
        for client in clients[2:]:
            client.wait_data(b"answer")

    def test_each_vm_has_that_number_for_itself(self):
        vspcd = self.start()
        vms = [connected_vm(vspcd) for _ in range(2)]
        clients = [half_close(raw(vm)) for vm in vms for _ in range(HALF_CLOSED_MAX)]
        for vm in vms:
            vm.send(b"answer")
        for client in clients:
            client.wait_data(b"answer")

    def test_without_descriptors_half_closed_clients_go_before_the_port_of_a_vm_that_is_away(self):
        vspcd = self.start(nofile=128, ports=64)  # of which 32 are kept back
        vm, away = connected_vm(vspcd, "here"), connected_vm(vspcd, "away")
        away.close()
        vspcd.wait_status("1 VM, 0 clients")
        clients = []
        while vspcd.n_descriptors() < 94:
            clients.append(raw(vm))
        for client in [half_close(raw(vm)) for _ in range(2)]:
            raw(vm)
            wait_sent_away(vm, client)
        self.assertFalse(vspcd.logged("descriptors are running out"))  # that a client has connected is logged later
        raw(vm)
        vspcd.wait_logged("descriptors are running out: 1 VM does not listen at its port")

    def test_without_descriptors_a_slow_handshake_goes_before_half_closed_clients(self):
        """Not for five seconds: a handshake takes milliseconds."""
        vspcd = self.start(nofile=128, ports=64)
        vm = connected_vm(vspcd, "here")
        silent = Peer(vspcd.vm_address)
        silent.wait(lambda: len(silent.raw) >= 18, "the offers")
        half_close(raw(vm)).wait_closed()  # its VM has been silent for as long
        while vspcd.n_descriptors() < 95:
            raw(vm)
        leaving = half_close(raw(vm))
        raw(vm)
        silent.wait_closed()
        vm.send(b"answer")
        leaving.wait_data(b"answer")


class RealPrograms(TestCase):
    def assertAnswers(self, *command, typed=b"uptime\r"):
        """The program, with pipes, prints the VM's answer to what it is given."""
        vm = connected_vm(self.start())
        argv = [part.replace("PORT", str(vm.port)) for part in command]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(argv, **pipes) as process:
            process.stdin.write(typed)
            process.stdin.close()
            vm.wait_data(typed)
            vm.vspcd.wait_logged("client .* disconnected")
            vm.send(b"up 5 days\r\n")
            vm.vspcd.wait_read(vm.vspcd.vm_address[1], vm)
            output = process.stdout.read()
            self.assertEqual(process.wait(PATIENCE_SEC), 0)
        self.assertIn(b"up 5 days\r\n", output)

    def test_nc_prints_the_answer(self):
        self.assertAnswers("nc", "-N", "127.0.0.1", "PORT")

    def test_socat_prints_the_answer(self):
        self.assertAnswers("socat", "-t", "30", "STDIO", "TCP:127.0.0.1:PORT")


if __name__ == "__main__":
    main()
