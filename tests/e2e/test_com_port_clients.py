# SPDX-License-Identifier: LGPL-2.1-or-later

"""Programs that open a VM's console as a serial port (RFC 2217, COM-PORT): pyserial, Kermit, gensio and ser2net, and
the bytes that they exchange with vspcd."""

import contextlib
import socket
import tempfile

import serial

from harness import PATIENCE_SEC, TestCase, main, sockets, wait_for
from peers import AYT, BRK, COM_PORT, DO, IAC, WILL, WONT, TelnetClient, connected_vm, say, sub
from test_clients import Program
from varlink_peer import attached, disconnect

(SIGNATURE, BAUD_RATE, DATA_SIZE, PARITY, STOP_SIZE, CONTROL, _, MODEM_STATE, _, _, LINE_MASK, MODEM_MASK,
 PURGE) = range(13)
ANSWER = 100
BREAK_ON, BREAK_OFF = 5, 6
LINES_ON = bytes([0xb0])  # carrier, data set ready, clear to send


def set_port(code, *data):
    return sub(code, bytes(data), option=COM_PORT)


class Client(TelnetClient):
    """Agrees to all that it is offered, and uses COM-PORT."""

    def __init__(self, vm, **kwargs):
        super().__init__(vm, **kwargs)
        self.agrees.add(COM_PORT)
        self.send_raw(say(WILL, COM_PORT))
        self.wait_trace(("do", COM_PORT))

    def ask(self, code, *data):
        """Returns the answer."""
        n = len(self.answers(code))
        self.send_raw(set_port(code, *data))
        return self.wait(lambda: self.answers(code)[n:], f"an answer to {code}")[0]

    def answers(self, code):
        return [item[2][1:] for item in self.trace
                if item[0] == "sb" and item[1] == COM_PORT and item[2][0] == code + ANSWER]


class Protocol(TestCase):
    def test_either_side_may_have_com_port(self):
        for command, answer in ((WILL, "do"), (DO, "will")):
            client = TelnetClient(connected_vm(self.start()))
            client.send_raw(say(command, COM_PORT) + set_port(BAUD_RATE, 0, 1, 0xc2, 0))
            client.wait_trace((answer, COM_PORT))
            client.wait_trace(("sb", COM_PORT, bytes([ANSWER + BAUD_RATE, 0, 1, 0xc2, 0])))

    def test_com_port_is_not_offered(self):
        client = TelnetClient(connected_vm(self.start()))
        client.send_raw(bytes([IAC, AYT]))
        client.wait_data(b"[vspc: yes")
        self.assertNotIn(COM_PORT, [item[1] for item in client.trace if isinstance(item, tuple)])

    def test_a_client_that_has_not_agreed_on_com_port_gets_no_answers(self):
        client = TelnetClient(connected_vm(self.start()))
        client.send_raw(set_port(BAUD_RATE, 0, 0, 0, 0) + bytes([IAC, AYT]))
        client.wait_data(b"[vspc: yes")
        self.assertEqual([item for item in client.trace if item[0] == "sb"], [])

    def test_what_is_set_is_confirmed_as_it_was_set(self):
        client = Client(connected_vm(self.start()))
        for code, *data in ((BAUD_RATE, 0, 0, 0xff, 0xff), (DATA_SIZE, 5), (DATA_SIZE, 9), (PARITY, 5), (PARITY, 0xff),
                            (STOP_SIZE, 3), (CONTROL, 3), (CONTROL, 19), (CONTROL, 8), (CONTROL, 9), (CONTROL, 11),
                            (CONTROL, 12), (CONTROL, 14), (CONTROL, 18), (LINE_MASK, 0xff), (MODEM_MASK, 0),
                            (PURGE, 3)):
            self.assertEqual(client.ask(code, *data), bytes(data))
        self.assertEqual(client.ask(SIGNATURE), b"vspc")

    def test_a_client_that_asks_is_told_what_the_vm_has_set(self):
        vm = connected_vm(self.start())
        vm.send_raw(set_port(BAUD_RATE, 0, 0, 0x25, 0x80) + set_port(DATA_SIZE, 7) + set_port(PARITY, 3)
                    + set_port(STOP_SIZE, 2) + set_port(CONTROL, 3) + set_port(CONTROL, 12))
        vm.wait_trace(("sb", COM_PORT, bytes([ANSWER + CONTROL, 12])))
        client = Client(vm)
        self.assertEqual(client.ask(BAUD_RATE, 0, 0, 0, 0), bytes([0, 0, 0x25, 0x80]))
        for code, value in ((DATA_SIZE, 7), (PARITY, 3), (STOP_SIZE, 2), (CONTROL, 3)):
            self.assertEqual(client.ask(code, 0), bytes([value]))
        for question, value in ((4, 6), (7, 8), (10, 12), (13, 14)):
            self.assertEqual(client.ask(CONTROL, question), bytes([value]))

    def test_a_client_that_asks_for_what_it_has_set_itself_is_told_that(self):
        """Kermit sets a speed, asks for it, and gives up if that is another."""
        vm = connected_vm(self.start())
        client, other = Client(vm), Client(vm)
        client.ask(BAUD_RATE, 0, 0, 0x4b, 0)
        client.ask(CONTROL, 2)
        self.assertEqual(client.ask(BAUD_RATE, 0, 0, 0, 0), bytes([0, 0, 0x4b, 0]))
        self.assertEqual(client.ask(CONTROL, 0), bytes([2]))
        self.assertEqual(other.ask(BAUD_RATE, 0, 0, 0, 0), bytes([0, 1, 0xc2, 0]))

    def test_a_client_is_answered_while_the_vm_is_away_and_while_it_moves(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send_raw(set_port(DATA_SIZE, 7))
        vm.wait_trace(("sb", COM_PORT, bytes([ANSWER + DATA_SIZE, 7])))
        client = Client(vm)
        vm.begin(b"\0\0\0\1")
        self.assertEqual(client.ask(DATA_SIZE, 0), bytes([7]))
        disconnect(vm)
        self.assertEqual(client.ask(DATA_SIZE, 0), bytes([8]))

    def test_the_modem_lines_are_told_once_and_when_asked_for(self):
        client = Client(connected_vm(self.start()))
        client.send_raw(say(DO, COM_PORT) + say(WONT, COM_PORT) + say(WILL, COM_PORT))
        self.assertEqual(client.ask(SIGNATURE), b"vspc")
        self.assertEqual(client.answers(MODEM_STATE), [LINES_ON])
        self.assertEqual(client.ask(MODEM_STATE), LINES_ON)

    def test_a_break_reaches_the_vm_between_the_bytes_around_it(self):
        vm = connected_vm(self.start())
        client = Client(vm)
        client.send_raw(b"a" + set_port(CONTROL, BREAK_ON) + set_port(CONTROL, BREAK_OFF) + b"b")
        vm.wait_data(b"ab")
        self.assertEqual(vm.trace[-3:], [bytearray(b"a"), ("command", BRK), bytearray(b"b")])

    def test_a_client_that_may_only_read_sends_no_breaks(self):
        vm = connected_vm(self.start())
        holder = attached(vm, access="write")
        client = Client(vm)
        self.assertEqual(client.ask(CONTROL, BREAK_ON), bytes([BREAK_ON]))
        client.wait_data(b"read-only")
        holder.send(b"mine")
        vm.wait_data(b"mine")
        self.assertNotIn(("command", BRK), vm.trace)

    def test_data_is_left_alone_even_if_the_client_declines_to_be_echoed(self):
        vm = connected_vm(self.start())
        client = Client(vm, options=())
        client.send(b"\r\n")
        client.send(b"a\nb\r\n\0end")
        vm.wait_data(b"end")
        self.assertSameBytes(vm.data, b"\r\na\nb\r\n\0end")

    def test_each_serial_port_has_its_own(self):
        vspcd = self.start(MultiConsole="yes")
        one = connected_vm(vspcd, uri="s0")
        two = connected_vm(vspcd, one.name, digits=one.digits, uri="s1")
        two.send_raw(set_port(DATA_SIZE, 6))
        two.wait_trace(("sb", COM_PORT, bytes([ANSWER + DATA_SIZE, 6])))
        self.assertEqual((Client(one).ask(DATA_SIZE, 0), Client(two).ask(DATA_SIZE, 0)), (bytes([8]), bytes([6])))

    def test_a_read_full_of_questions_is_answered_in_full(self):
        client = Client(connected_vm(self.start()))
        n = 20000
        client.send_raw(set_port(SIGNATURE) * n)
        client.wait(lambda: len(client.answers(SIGNATURE)) >= n, "all answers")


class Programs(TestCase):
    OUTPUT = b"progress\rlogin: \r\xff\0"

    def setUp(self):
        super().setUp()
        self.vspcd = self.start()
        self.vm = connected_vm(self.vspcd)
        self.vm.send(self.OUTPUT)

    def program(self, *argv):
        program = Program(*argv)
        self.addCleanup(program.end)
        return program

    def test_pyserial(self):
        with contextlib.closing(serial.serial_for_url(f"rfc2217://127.0.0.1:{self.vm.port}", baudrate=9600, bytesize=7,
                                                      parity="E", stopbits=2, timeout=PATIENCE_SEC)) as port:
            port.rtscts = True
            port.dtr = False
            self.assertEqual((port.cts, port.dsr, port.cd, port.ri), (True, True, True, False))
            self.vm.send(b"\xff\0\r#")
            self.assertEqual(port.read(4), b"\xff\0\r#")
            port.write(b"\r\n\xff\0\n")
            port.send_break()
            port.write(b"g")
            self.vm.wait_trace(bytearray(b"g"))
        self.assertEqual(self.vm.trace[-3:], [bytearray(b"\r\n\xff\0\n"), ("command", BRK), bytearray(b"g")])

    def test_pyserial_s_polling_of_the_modem_lines(self):
        with contextlib.closing(serial.serial_for_url(f"rfc2217://127.0.0.1:{self.vm.port}?poll_modem")) as port:
            self.assertTrue(port.cd)

    def test_kermit(self):
        kermit = self.program("kermit", "-Y", "-C", ", ".join([
            "set quiet on", "set telopt com-port requested", f"set host 127.0.0.1 {self.vm.port} /telnet",
            "set speed 19200", "echo speed \\v(speed)", "input 20 login:", "output ls\\13", "output \\B", "output g",
            "input 20 end", "exit"]))
        self.vm.wait_trace(bytearray(b"g"))
        self.assertEqual(self.vm.trace[-3:], [bytearray(b"ls\r"), ("command", BRK), bytearray(b"g")])
        self.vm.send(b"end")
        wait_for(lambda: kermit.process.poll() is not None, "Kermit to end")
        kermit.wait_output(b"progress\rlogin: \r")
        kermit.wait_output(b"speed 19200\n")

    def test_gensio(self):
        """^\\ and a letter are orders to gensiot."""
        gensiot = self.program("gensiot", "-e", "28", "-i", "stdio(self)",
                               f"telnet(rfc2217),tcp,127.0.0.1,{self.vm.port}")
        gensiot.wait_output(self.OUTPUT)
        self.assertSameBytes(gensiot.output, self.OUTPUT)
        gensiot.type(b"\r\na\xff\n\0")
        self.vm.wait_data(b"\0")
        gensiot.type(b"\x1cb")
        self.vm.wait_trace(("command", BRK))
        gensiot.type(b"g\x1cs9600\n\x1cd")
        gensiot.wait_output(b"Signature: vspc\r\nSpeed: 9600N81\r\n")
        self.vm.wait_trace(bytearray(b"g"))
        self.assertEqual(self.vm.trace[-3:], [bytearray(b"\r\na\xff\n\0"), ("command", BRK), bytearray(b"g")])

    def test_ser2net(self):
        port = self.vspcd.block.last
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(f"connection: &console\n  accepter: tcp,127.0.0.1,{port}\n"
                    f"  connector: telnet(rfc2217),tcp,127.0.0.1,{self.vm.port}\n")
            f.flush()
            ser2net = self.program("/usr/sbin/ser2net", "-n", "-d", "-c", f.name)

            def connect():
                try:
                    return socket.create_connection(("127.0.0.1", port), PATIENCE_SEC)
                except ConnectionRefusedError:
                    return None
            client = wait_for(connect, "ser2net to listen")
            sockets.append(client)
            got = b""
            while len(got) < len(self.OUTPUT):
                got += client.recv(4096)
            self.assertSameBytes(got, self.OUTPUT)
            client.sendall(b"\r\na\xff\n\0")
            self.vm.wait_data(b"\0")
            self.assertSameBytes(self.vm.data, b"\r\na\xff\n\0")
            self.assertIsNone(ser2net.process.poll())


if __name__ == "__main__":
    main()
