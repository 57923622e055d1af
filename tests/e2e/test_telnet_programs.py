# SPDX-License-Identifier: LGPL-2.1-or-later

"""Telnet programs that begin with their own options, and agree to BINARY in their next segment: after our WILL BINARY
they read everything as 8 bits, so output must wait for their answer."""

from harness import TestCase, main
from peers import AYT, BINARY, DO, DONT, ECHO, IAC, SGA, WILL, TelnetPeer, connected_vm, say
from test_clients import Program
from test_slow_clients import send_until_stuck

OUTPUT = b"\rprogress\r\nlogin: \r\xff\0"
NVT_OUTPUT = b"\r\0progress\r\nlogin: \r\0\xff\0"


class Binary(TestCase):
    OPENING = say(WILL, 31, 32, 24, 39) + say(DO, ECHO) + say(WILL, SGA) + say(DO, SGA)  # PuTTY's

    def open(self, vm):
        """A client that has shown that it speaks telnet, and said nothing about BINARY."""
        client = TelnetPeer(("127.0.0.1", vm.port))
        client.send_raw(self.OPENING + bytes([IAC, AYT]))
        client.wait_data(b"[vspc: yes, VM")
        client.wait_data(b"]\r\n")
        client.take()
        return client

    def test_output_waits_for_the_answer(self):
        for command, output in ((DO, OUTPUT), (DONT, NVT_OUTPUT)):
            vm = connected_vm(self.start())
            vm.send(OUTPUT)
            client = self.open(vm)
            client.send_raw(bytes([IAC, AYT]))
            client.wait_data(b"]\r\n")
            self.assertNotIn(b"login", client.take())
            client.send_raw(say(command, BINARY))
            client.wait_size(len(output))
            self.assertSameBytes(client.data, output)

    def test_a_client_that_never_answers_gets_it_in_the_end(self):
        vm = connected_vm(self.start())
        vm.send(OUTPUT)
        client = self.open(vm)
        client.wait_size(len(NVT_OUTPUT))
        self.assertSameBytes(client.data, NVT_OUTPUT)

    def test_keys_do_not_wait(self):
        vm = connected_vm(self.start())
        client = self.open(vm)
        client.send_raw(b"root\r\n")
        vm.wait_data(b"root\r")

    def test_the_vm_does_not_wait_for_long_either(self):
        vm = connected_vm(self.start(SlowClient="wait", ClientBufferSize="8K"))
        client = self.open(vm)
        sent = send_until_stuck(vm, b"x" * 65536)
        client.wait_size(sent)
        self.assertSameBytes(client.data, b"x" * sent)

    def test_what_it_misses_meanwhile_does_not_cost_it_its_connection(self):
        vm = connected_vm(self.start(SlowClient="drop", ClientBufferSize="8K", ScrollbackSize="1K"))
        client = self.open(vm)
        for _ in range(8):
            vm.send(b"x" * 8192)
        vm.send(b"end")
        client.wait_data(b"end")
        self.assertNotIn(b"skipped", client.data)


class Programs(TestCase):
    def test_plink(self):
        vm = connected_vm(self.start())
        vm.send(OUTPUT)
        plink = Program("plink", "-telnet", "-P", str(vm.port), "127.0.0.1")
        self.addCleanup(plink.end)
        plink.wait_output(b"login: \r\xff\0")
        self.assertSameBytes(plink.output, OUTPUT)
        plink.type(b"root\r")
        vm.wait_data(b"root\r")

    def test_kermit(self):
        vm = connected_vm(self.start())
        vm.send(OUTPUT)
        kermit = Program("kermit", "-Y", "-C", f"set quiet on, set host 127.0.0.1 {vm.port} /telnet, input 20 login:, "
                         "output root\\13, input 20 end, exit")
        self.addCleanup(kermit.end)
        vm.wait_data(b"root\r")
        vm.send(b"end")
        kermit.wait_output(b"end")
        self.assertTrue(kermit.output.startswith(b"\rprogress\r\nlogin:"), kermit.output)


if __name__ == "__main__":
    main()
