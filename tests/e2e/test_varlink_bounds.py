# SPDX-License-Identifier: LGPL-2.1-or-later

"""Faulty and hostile Varlink callers: the error that each gets, the limits of the memory that they use, and that
nobody else is affected."""

import pickle
import resource
import socket
import time

from harness import SANITIZED, TestCase, main, wait_for
from peers import NAME, RawClient, connected_vm, sub
from test_slow_clients import send_until_stuck
from varlink_peer import SERVICE, Caller, message

MEGABYTE = 1 << 20
CALL_MAX = 64 * 1024
CALL_SEC = 30
RSS_SLACK = (96 if SANITIZED else 24) * MEGABYTE
GET_INFO = message(f"{SERVICE}.GetInfo")
DESCRIBE = message(f"{SERVICE}.GetInterfaceDescription", {"interface": "org.vspc.Concentrator"})


def assert_answers(test, vspcd):
    caller = Caller(vspcd)
    began = time.monotonic()
    test.assertIn("interfaces", caller.get(f"{SERVICE}.GetInfo"))
    caller.close()
    return time.monotonic() - began


class Errors(TestCase):
    def check(self, *cases):
        """Each is bytes, the error that answers them, and its parameters; the connection is good for more."""
        vspcd = self.start()
        connected_vm(vspcd)
        caller = Caller(vspcd)
        for data, error, parameters in cases:
            caller.say_raw(data + b"\0")
            wanted = {"error": f"{SERVICE}.{error}", "parameters": parameters}
            self.assertEqual(caller.next_reply(), wanted, data[:200])
            caller.get(f"{SERVICE}.GetInfo")

    def check_closed(self, *cases):
        """Each is no Varlink at all: that is answered, and nothing that comes behind it is listened to."""
        vspcd = self.start()
        vm = connected_vm(vspcd)
        for data in cases:
            caller = Caller(vspcd)
            caller.say_raw(data + b"\0" + message("Attach", {"vm": vm.name}, upgrade=True) + b"typed")
            wanted = {"error": f"{SERVICE}.InvalidParameter", "parameters": {"parameter": "method"}}
            self.assertEqual(caller.next_reply(), wanted, data[:200])
            caller.wait_closed()
            self.assertFalse(caller.replies)
        client = RawClient(vm)
        client.send(b"end")
        vm.wait_data(b"end")
        self.assertSameBytes(vm.data, b"end")

    def test_the_client_of_vspc_py_is_told_apart(self):
        """It sends a pickle and waits for one."""
        vspcd = self.start()
        for said in pickle.dumps(["version", 2], 2), b"\x80", pickle.dumps("x" * 100000, 4):
            caller = Caller(vspcd)
            caller.send_some(said)
            caller.wait_closed()
            self.assertEqual(bytes(caller.raw), b"")
        vspcd.wait_logged(r"Query from \S+:\d+ is from vSPC\.py's vSPCClient \(a pickle\), .* use vspc-client\(1\)")
        assert_answers(self, vspcd)

    def test_what_a_browser_is_talked_into_posting(self):
        self.check_closed(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:13371\r\nContent-Type: text/plain\r\n\r\n")

    def test_more_members_than_any_call_has(self):
        self.check_closed(b'{"method":"org.varlink.service.GetInfo","parameters":{"x":[' + b"0," * 511 + b"0]}}",
                          b"[" + b"{}," * 5000 + b"{}]")

    def test_what_is_no_json(self):
        bad = [b"", b" ", b"x", b"{", b"}", b"{}}", b'{"method":', b"{'method':'x'}", b'{"method":"a.b",}',
               b"\xff\xfe", b'{"method":"\xff"}', b'{"method":"\xed\xa0\x80.x"}', b'{"method":"\\ud800.x"}',
               b'{"method":"a\\u0000.b"}', b'{"method":"a\n.b"}', b'{"method":"a.b"} {}', b"{" * 5000, b"[" * 5000,
               b'{"a":' * 5000, b'{"method":"a.b","method":"a.b"}', b'{"method":"a.b","parameters":{"x":1,"x":1}}',
               b'{"method":"a.b","parameters":{"x":1e999}}', b'{"method":"a.b","parameters":{"x":NaN}}',
               b'{"method":"a.b","parameters":{"x":99999999999999999999}}', b"\xef\xbb\xbf{}"]
        self.check_closed(*bad)

    def test_what_is_json_and_no_object(self):
        self.check_closed(b"[]", b"1", b"null", b"true", b'"GetInfo"')

    def test_what_is_an_object_and_no_call(self):
        bad = [b"{}", b'{"method":null}', b'{"method":5}',
               b'{"method":["a.b"]}', b'{"method":""}', b'{"method":"GetInfo"}', b'{"parameters":{}}']
        self.check(*((data, "InvalidParameter", {"parameter": "method"}) for data in bad))

    def test_flags_that_are_not_boolean(self):
        self.check(*((message(f"{SERVICE}.GetInfo", **{flag: value})[:-1], "InvalidParameter", {"parameter": flag})
                     for flag in ("more", "oneway", "upgrade") for value in (0, 1, "true", [], {})))

    def test_parameters_that_are_no_object(self):
        self.check(*((message("List", value)[:-1], "InvalidParameter", {"parameter": "parameters"})
                     for value in (0, "x", [], True)))

    def test_methods_that_there_are_not(self):
        self.check(
            (message("list")[:-1], "MethodNotFound", {"method": "org.vspc.Concentrator.list"}),
            (b'{"method":"org.vspc.Concentrator."}', "MethodNotFound", {"method": "org.vspc.Concentrator."}),
            (message(f"{SERVICE}.List")[:-1], "MethodNotFound", {"method": f"{SERVICE}.List"}),
            (message("org.vspc.Nothing.List")[:-1], "InterfaceNotFound", {"interface": "org.vspc.Nothing"}),
            (message(".")[:-1], "InterfaceNotFound", {"interface": ""}),
            (message(".List")[:-1], "InterfaceNotFound", {"interface": ""}),
            (message('a"\\\n\U0001f600.b')[:-1], "InterfaceNotFound", {"interface": 'a"\\\n\U0001f600'}),
            (message("x" * 60000 + ".y")[:-1], "InterfaceNotFound", {"interface": "x" * 60000}),
            (b'{"method":"' + b"\\u0001" * 10000 + b'.y"}', "InterfaceNotFound", {"interface": "\x01" * 10000}),
        )

    def test_parameters_that_there_are_not(self):
        calls = [("List", {"nam": "x"}, "nam"), ("Attach", {"vm": "x", "mode": "write"}, "mode"),
                 ("Clear", {"vm": "x", "": 1}, ""), ("Forget", {"vm": "x", "force": True}, "force"),
                 ("Monitor", {"vm": "x"}, "vm"), ("GetMetrics", {"vm": None}, "vm"),
                 (f"{SERVICE}.GetInfo", {"a": {"b": []}}, "a"),
                 (f"{SERVICE}.GetInterfaceDescription", {"interface": "x", "x": 0}, "x")]
        self.check(*((message(method, parameters, more=True)[:-1], "InvalidParameter", {"parameter": wrong})
                     for method, parameters, wrong in calls))

    def test_parameters_of_the_wrong_type_or_missing(self):
        calls = [("List", {"name": 1}, "name"), ("List", {"name": ["x"]}, "name"), ("Attach", {}, "vm"),
                 ("Attach", {"vm": None}, "vm"), ("Attach", {"vm": 50000}, "vm"),
                 ("Attach", {"vm": "x", "scrollback": "no"}, "scrollback"),
                 ("Attach", {"vm": "x", "scrollback": 0}, "scrollback"), ("Clear", {}, "vm"), ("Clear", None, "vm"),
                 ("Clear", {"vm": {}}, "vm"), ("Forget", {"vm": True}, "vm"),
                 (f"{SERVICE}.GetInterfaceDescription", None, "interface"),
                 (f"{SERVICE}.GetInterfaceDescription", {"interface": 1}, "interface")]
        self.check(*((message(method, parameters)[:-1], "InvalidParameter", {"parameter": wrong})
                     for method, parameters, wrong in calls))


class Size(TestCase):
    def test_the_longest_call(self):
        caller = Caller(self.start())
        for size in (CALL_MAX - 1, CALL_MAX):
            caller.asked.append(f"{SERVICE}.GetInfo")
            caller.send_raw(GET_INFO[:-1].ljust(size) + b"\0")
            self.assertIn("interfaces", caller.next_reply()["parameters"])

    def refused(self, vspcd, data):
        caller = Caller(vspcd)
        caller.asked.append(None)
        try:
            caller.send_raw(data)
        except ConnectionError:
            pass  # vspcd need not read all of it
        caller.wait_closed()
        self.assertEqual(caller.replies, [{"error": f"{SERVICE}.InvalidParameter",
                                           "parameters": {"parameter": "parameters"}}])
        return caller.local_port

    def test_a_longer_one_is_refused_and_the_connection_closed(self):
        vspcd, began = self.start(), time.monotonic()
        first = self.refused(vspcd, GET_INFO[:-1].ljust(CALL_MAX + 1) + b"\0")
        vspcd.wait_logged(rf"Query from 127\.0\.0\.1:{first} is longer than 64 KiB, closing")
        self.refused(vspcd, b"[" * MEGABYTE)
        self.refused(vspcd, b" " * MEGABYTE + GET_INFO)
        assert_answers(self, vspcd)
        n_spans = 1 + (time.monotonic() - began) // 10
        self.assertLessEqual(vspcd.count_logged("is longer than"), n_spans)  # not each time

    def test_those_before_it_are_answered(self):
        caller = Caller(self.start())
        caller.asked = [f"{SERVICE}.GetInfo"] * 3 + [None]
        caller.send_raw(GET_INFO * 3 + b"x" * (CALL_MAX + 1))
        caller.wait_closed()
        self.assertEqual(["error" in reply for reply in caller.replies], [False] * 3 + [True])


class Silence(TestCase):
    def test_who_does_not_come_to_the_end_of_a_call_is_closed_and_who_has_is_not(self):
        vspcd = self.start(local=True)
        began = time.monotonic()
        mute, half, slow, idle = (Caller(vspcd) for _ in range(4))
        monitor = Caller(vspcd, local=True)
        monitor.monitor()
        idle.get(f"{SERVICE}.GetInfo")
        half.get(f"{SERVICE}.GetInfo")
        half.send_raw(GET_INFO[:20])
        slow.send_raw(GET_INFO[:5])
        sent = 5

        def closed():
            nonlocal sent
            for caller in (mute, half, slow):
                caller.pump()
            if not slow.eof and time.monotonic() - began > sent:
                slow.send_raw(b" ")  # a byte a second is no call either
                sent += 1
            return mute.eof and half.eof and slow.eof

        wait_for(closed, "the silent to be closed", timeout=CALL_SEC + 30)
        self.assertGreater(time.monotonic() - began, CALL_SEC - 1)
        idle.get(f"{SERVICE}.GetInfo")
        connected_vm(vspcd)
        monitor.wait_event("added")

    def test_a_thousand_that_say_nothing_disturb_nobody(self):
        vspcd = self.start()
        before = vspcd.rss()
        silent = []
        self.addCleanup(lambda: [s.close() for s in silent])
        for i in range(1000):
            silent.append(socket.create_connection(vspcd.admin_address))
            if i % 2:
                silent[-1].sendall(GET_INFO[:30])
        self.assertLess(assert_answers(self, vspcd), 5)
        vm = connected_vm(vspcd)
        client = Caller(vspcd)
        client.attach(vm)
        vm.send(b"hello")
        client.wait_data(b"hello")
        self.assertLess(vspcd.rss() - before, RSS_SLACK)


class Connections(TestCase):
    """How many there may be is an eighth of the descriptors, at most 4096."""

    def begin(self, **kwargs):
        self.vspcd = self.start(**kwargs)
        caller = Caller(self.vspcd)
        self.limit = min(4096, caller.get("GetMetrics")["descriptorLimit"] // 8)
        self.crowd = []
        self.addCleanup(lambda: [s.close() for s in self.crowd])
        return caller

    def fill(self, n, data=b""):
        for _ in range(n):
            self.crowd.append(socket.create_connection(self.vspcd.admin_address))
            self.crowd[-1].sendall(data)

    def count(self, caller, n):
        wait_for(lambda: caller.get("GetMetrics")["adminConnections"] == n, f"{n} connections")

    def test_at_the_limit_the_one_that_has_been_idle_for_longest_gives_way(self):
        busy = self.begin(nofile=1000)
        idle, monitor = Caller(self.vspcd), Caller(self.vspcd)
        idle.get(f"{SERVICE}.GetInfo")
        self.count(busy, 3)
        monitor.monitor()
        self.fill(self.limit - 3)
        self.count(busy, self.limit)
        idle.pump()
        self.assertFalse(idle.eof)
        late = Caller(self.vspcd)
        late.get(f"{SERVICE}.GetInfo")
        idle.wait_closed()
        busy.get(f"{SERVICE}.GetInfo")
        connected_vm(self.vspcd)
        monitor.wait_event("added")

    def test_when_all_are_being_answered_another_is_refused(self):
        caller = self.begin(nofile=1000)
        self.fill(self.limit - 1, message("Monitor", more=True))
        self.count(caller, self.limit)
        for s in self.crowd:
            s.recv(1 << 16)
        caller.monitor()
        late = Caller(self.vspcd)
        late.wait_closed()
        self.vspcd.wait_logged(f"Queries are refused: {self.limit} connections are being answered already")
        self.crowd.pop().close()
        wait_for(lambda: self.answers(self.vspcd), "an answer once there is room")
        connected_vm(self.vspcd)
        caller.wait_event("added")

    def test_more_than_1024_monitors_are_refused(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 16384:
            self.skipTest(f"{hard} descriptors are too few for 1024 monitors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        caller = self.begin()
        self.fill(1024, message("Monitor", more=True))
        for s in self.crowd:
            s.recv(1 << 16)
        self.assertEqual(caller.call("Monitor", more=True),
                         {"error": "org.vspc.Concentrator.TooManyMonitors", "parameters": {"limit": 1024}})
        caller.get(f"{SERVICE}.GetInfo")

    def answers(self, vspcd):
        caller = Caller(vspcd)
        caller.send_raw(GET_INFO)
        caller.asked.append(f"{SERVICE}.GetInfo")
        wait_for(lambda: caller.pump() or caller.eof, "an answer or the end")
        caller.close()
        return bool(caller.replies)


class Answers(TestCase):
    def test_those_that_nobody_reads_are_bounded(self):
        vspcd = self.start(local=True)
        vm = connected_vm(vspcd, "n" * 500, uri="u" * 900)
        before = vspcd.rss()
        greedy = [Caller(vspcd, local=True) for _ in range(10)]
        for i, caller in enumerate(greedy):
            send_until_stuck(caller, (DESCRIBE if i % 2 else message("List", {}, more=True)) * 500, quiet=0.1)
        self.assertLess(vspcd.rss() - before, RSS_SLACK)
        self.assertLess(assert_answers(self, vspcd), 5)
        vm.send_raw(sub(NAME, b"web01"))
        caller = Caller(vspcd)
        wait_for(lambda: caller.vm(vm.id)["name"] == "web01", "the VM to be renamed")

    def test_read_late_they_are_all_there_even_if_the_caller_has_said_all(self):
        vspcd = self.start(local=True)
        caller = Caller(vspcd, local=True)
        sent = send_until_stuck(caller, DESCRIBE * 500, quiet=0.1)
        self.assertGreater(sent, 10 * len(DESCRIBE))
        caller.asked = [f"{SERVICE}.GetInterfaceDescription"] * (sent // len(DESCRIBE))
        caller.sock.shutdown(socket.SHUT_WR)
        wait_for(lambda: caller.pump(100000) >= 0 and caller.eof, "all answers, and the end")
        self.assertEqual(caller.asked, [])

    def test_who_has_said_all_gets_what_is_still_queued(self):
        """Of these numbers of answers some are more than the kernel takes, and less than vspcd queues."""
        vspcd = self.start(local=True)
        callers = []
        for n in range(20, 80, 6):
            callers.append(Caller(vspcd, local=True))
            callers[-1].asked = [f"{SERVICE}.GetInterfaceDescription"] * n
            callers[-1].send_raw(DESCRIBE * n)
            callers[-1].sock.shutdown(socket.SHUT_WR)
        for caller in callers:
            wait_for(lambda c=caller: c.pump(20000) >= 0 and c.eof, "all answers, and the end")
            self.assertEqual(caller.asked, [])

    def test_who_resets_the_connection_leaves_nothing(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        for i in range(50):
            caller = Caller(vspcd)
            caller.send_raw([GET_INFO, GET_INFO[:10], message("Monitor", more=True),
                             message("List", {}, more=True) * 50,
                             message("Attach", {"vm": vm.id, "access": "exclusive"}, upgrade=True)][i % 5])
            caller.abort()
        caller = Caller(vspcd)
        wait_for(lambda: caller.get("GetMetrics")["adminConnections"] == 1, "the others to be gone")
        wait_for(lambda: caller.vm(vm.id)["clientCount"] == 0, "the clients to be gone")


if __name__ == "__main__":
    main()
