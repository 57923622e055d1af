# SPDX-License-Identifier: LGPL-2.1-or-later

"""Peers that do not read: a slow client costs other clients nothing, a VM that does not read delays only its own
clients, and the memory for hostile peers is limited."""

import re
import time

from harness import SANITIZED, Silence, TestCase, main, quick_round, wait_for
from peers import (AYT, BINARY, DO, IAC, SGA, WILL, EsxiVm, Peer, RawClient, TelnetClient, client_address, connected_vm, say,
                   sub)
from varlink_peer import Caller

SMALL = 4096  # a receive buffer that makes a peer slow at once
SKIPPED = re.compile(rb"\r\n\[vspc: (\d+) bytes skipped\]\r\n")
MEGABYTE = 1 << 20
DETECTION_SEC = 0.5
RSS_SLACK = (96 if SANITIZED else 24) * MEGABYTE


def numbered(n, start=0):
    """n bytes in which each place can be told from any other."""
    return b"".join(b"%09d\n" % i for i in range(start, start + n // 10))


class Feed:
    """Sends numbered output in steps; after each the fast clients catch up."""

    def __init__(self, vm, *fast):
        self.vm, self.fast, self.sent = vm, fast, bytearray()

    def step(self, n=20_000):
        chunk = numbered(n, len(self.sent) // 10)
        self.sent += chunk
        self.vm.send_raw(chunk)
        for client in self.fast:
            client.wait_size(len(self.sent))

    def flood(self):
        """More than the kernel's buffers and the ring take for a client that does not read."""
        end = len(self.sent) + 10 * MEGABYTE
        while len(self.sent) < end:
            self.step()

    def until(self, predicate):
        while not predicate():
            self.step()
            assert len(self.sent) < 64 * MEGABYTE, "nothing comes of it"


def send_until_stuck(peer, data, *, limit=None, quiet=0.5):
    """Sends until nothing has been taken for a while. Returns how many bytes were taken (data, repeated)."""
    sent, n, silence = 0, 0, Silence(quiet)
    while not silence.is_over(n > 0) and not (limit and sent >= limit):
        assert sent < 100 * MEGABYTE, f"{sent} bytes are taken though nobody reads"
        at = sent % len(data)
        n = peer.send_some(data[at:at + MEGABYTE])
        sent += n
    return sent


def repeated(data, n):
    return (data * (n // len(data) + 1))[:n]


def assert_alive(test, vm):
    client = TelnetClient(vm)
    vm.send(b"<alive>")
    client.wait_data(b"<alive>")
    client.send(b"<answer>")
    vm.wait_data(b"<answer>")
    client.close()


class Skip(TestCase):
    def start_small(self, **config):
        return self.start(ClientBufferSize="64K", ScrollbackSize="4K", **config)

    def test_what_a_slow_client_gets_and_what_it_is_told_it_missed_is_all(self):
        vspcd = self.start_small()
        vm = connected_vm(vspcd)
        slow, fast = TelnetClient(vm, receive_buffer=SMALL), TelnetClient(vm)
        feed = Feed(vm, fast)
        feed.flood()
        vm.send(b"THE END")
        slow.wait_data(b"THE END")
        vspcd.wait_logged(f"{slow.local_port} reads too slowly and misses output")
        fast.wait_data(b"THE END")

        self.assertSameBytes(fast.data, feed.sent + b"THE END")
        parts = SKIPPED.split(bytes(slow.data))
        self.assertGreater(len(parts), 1)
        at = 0
        for text, skipped in zip(parts[::2], parts[1::2] + [b"0"]):
            self.assertSameBytes(text, fast.data[at:at + len(text)])
            at += len(text) + int(skipped)
        self.assertEqual(at, len(fast.data))

    def test_a_client_may_skip_again_and_again(self):
        vspcd = self.start_small()
        vm = connected_vm(vspcd)
        slow = TelnetClient(vm, receive_buffer=SMALL)
        feed = Feed(vm)
        for n in (1, 2, 3):
            feed.flood()
            slow.wait(lambda n=n: len(SKIPPED.findall(slow.data)) >= n and slow.data.endswith(feed.sent[-10:]),
                      f"skip {n}")
        vm.send(b"THE END")
        slow.wait_data(b"THE END")
        skipped = sum(int(n) for n in SKIPPED.findall(slow.data))
        self.assertEqual(len(SKIPPED.sub(b"", slow.data)) + skipped, len(feed.sent) + len(b"THE END"))

    def test_a_raw_client_is_closed_instead_and_has_no_gap(self):
        vspcd = self.start_small()
        vm = connected_vm(vspcd)
        raw, fast = RawClient(vm, receive_buffer=SMALL), RawClient(vm)
        vm.send(b"#")
        raw.wait_data(b"#")
        fast.wait_data(b"#")
        feed = Feed(vm)
        feed.fast, feed.sent = (fast,), bytearray()
        feed.until(lambda: vspcd.logged(f"{raw.local_port} reads too slowly and is disconnected"))
        raw.wait_closed()
        self.assertSameBytes(raw.data[1:], feed.sent[:len(raw.data) - 1])
        self.assertFalse(fast.eof)

    def test_the_vm_is_never_held_up(self):
        vspcd = self.start_small()
        vm = connected_vm(vspcd)
        for _ in range(3):
            TelnetClient(vm, receive_buffer=SMALL)
        vm.send_raw(numbered(40 * MEGABYTE))
        assert_alive(self, vm)


class Wait(TestCase):
    def test_nothing_is_lost_and_the_vm_is_paused_but_no_other(self):
        vspcd = self.start(SlowClient="wait", ClientBufferSize="256K")
        vm, other = connected_vm(vspcd), connected_vm(vspcd)
        slow, fast = TelnetClient(vm, receive_buffer=SMALL), TelnetClient(vm)
        data = numbered(4 * MEGABYTE)
        sent = send_until_stuck(vm, data)
        assert_alive(self, other)

        wait_for(lambda: slow.pump(65536) + fast.pump(65536) >= 0 and
                 min(len(slow.data), len(fast.data)) >= sent, "all to arrive at both")
        self.assertSameBytes(slow.data, repeated(data, sent))
        self.assertSameBytes(fast.data, repeated(data, sent))
        assert_alive(self, vm)

    def test_the_vm_goes_on_when_the_slow_client_goes(self):
        vspcd = self.start(SlowClient="wait", ClientBufferSize="64K")
        vm = connected_vm(vspcd)
        slow = TelnetClient(vm, receive_buffer=SMALL)
        send_until_stuck(vm, numbered(MEGABYTE))
        slow.abort()
        vm.send_raw(numbered(8 * MEGABYTE))
        assert_alive(self, vm)

    def test_a_paused_vm_that_closes_has_its_last_words_heard(self):
        vspcd = self.start(SlowClient="wait", ClientBufferSize="64K")
        vm = connected_vm(vspcd)
        slow = TelnetClient(vm, receive_buffer=SMALL)
        data = numbered(MEGABYTE)
        sent = send_until_stuck(vm, data)
        vm.close()
        slow.wait_data(b"VM disconnected]")
        self.assertSameBytes(slow.data, repeated(data, sent) + b"\r\n[vspc: VM disconnected]\r\n")


class Drop(TestCase):
    def test_a_slow_client_is_disconnected_and_no_other(self):
        vspcd = self.start(SlowClient="drop", ClientBufferSize="64K")
        vm = connected_vm(vspcd)
        slow, fast = TelnetClient(vm, receive_buffer=SMALL), TelnetClient(vm)
        feed = Feed(vm, fast)
        feed.until(lambda: vspcd.logged(f"{slow.local_port} reads too slowly and is disconnected"))
        slow.wait_closed()
        feed.step()
        self.assertSameBytes(fast.data, feed.sent)
        self.assertSameBytes(slow.data, feed.sent[:len(slow.data)])


class DeafVm(TestCase):
    def test_its_clients_are_not_read_others_are_and_nothing_is_lost(self):
        vspcd = self.start()
        deaf, other = EsxiVm(vspcd, receive_buffer=SMALL).connect(), connected_vm(vspcd)
        client = TelnetClient(deaf)
        keys = numbered(4 * MEGABYTE)
        sent = send_until_stuck(client, keys)
        assert_alive(self, other)
        deaf.wait_size(sent)
        self.assertSameBytes(deaf.data, repeated(keys, sent))
        assert_alive(self, deaf)

    def test_its_output_is_still_seen(self):
        vspcd = self.start()
        deaf = EsxiVm(vspcd, receive_buffer=SMALL).connect()
        client = TelnetClient(deaf)
        send_until_stuck(client, numbered(4 * MEGABYTE))
        deaf.send(b"I am still talking")
        client.wait_data(b"I am still talking")

    def test_a_telnet_client_that_comes_now_is_not_taken_for_a_raw_one(self):
        """Its answers to our offers are not read while the VM does not read: that it is silent proves nothing."""
        vspcd = self.start()
        deaf = EsxiVm(vspcd, receive_buffer=SMALL).connect()
        raw, typist = RawClient(deaf), RawClient(deaf)
        deaf.send(b"#")
        raw.wait_data(b"#")
        sent = send_until_stuck(typist, b"k" * MEGABYTE)
        newcomer = TelnetClient(deaf)
        deaf.send(b"\xff\xfb\x01 is data")
        raw.wait_data(b"\xff\xfb\x01 is data")
        sent += send_until_stuck(typist, b"k", quiet=DETECTION_SEC + 0.2)
        deaf.wait_size(sent)
        newcomer.wait_data(b"is data")
        self.assertSameBytes(newcomer.data, b"#\xff\xfb\x01 is data")

    def test_nor_is_one_whose_first_answer_comes_in_two_pieces(self):
        deaf = EsxiVm(self.start(), receive_buffer=SMALL).connect()
        typist = RawClient(deaf)
        sent = send_until_stuck(typist, b"k" * MEGABYTE)

        def play():
            since = time.monotonic()
            newcomer = Peer(client_address(deaf))
            newcomer.send_raw(bytes([IAC, DO]))
            deaf.vspcd.wait_read(deaf.port, newcomer)
            newcomer.send_raw(bytes([SGA]))
            return newcomer if time.monotonic() - since < DETECTION_SEC / 2 else newcomer.close()

        newcomer, raw = quick_round(play), RawClient(deaf)
        deaf.send(b"#")
        raw.wait_data(b"#")  # half a second has passed for the newcomer as well
        deaf.wait_size(sent)
        deaf.send(b"\xff.")
        newcomer.wait(lambda: newcomer.raw.endswith(b"."), "the VM's output")
        self.assertSameBytes(newcomer.raw, RawClient.OFFERS + b"#\xff\xff.")

    def test_what_many_have_typed_early_comes_in_its_order_though_it_is_more_than_there_is_room_for(self):
        vm = connected_vm(self.start())
        typist, clients = RawClient(vm), [Caller(vm.vspcd) for _ in range(40)]
        keys = [(bytes([0x30 + n]), bytes([0x80 + n])) for n in range(len(clients))]
        sent = send_until_stuck(typist, b"k" * MEGABYTE)
        for client, (early, _) in zip(clients, keys):
            client.say("Attach", {"vm": vm.id}, upgrade=True, typed=early * 4000)
            client.next_reply()
        vm.wait_size(sent)
        for client, (_, late) in zip(clients, keys):
            client.send(late)
        vm.wait_size(sent + len(clients) * 4001)
        for early, late in keys:
            self.assertEqual((vm.data.count(early), vm.data.count(late)), (4000, 1))
            self.assertLess(vm.data.rindex(early), vm.data.index(late))

    def test_it_keeps_its_clients_though_they_close_meanwhile(self):
        vspcd = self.start()
        deaf = EsxiVm(vspcd, receive_buffer=SMALL).connect()
        client = TelnetClient(deaf)
        sent = send_until_stuck(client, numbered(MEGABYTE))
        client.close()
        deaf.wait_size(sent)
        self.assertSameBytes(deaf.data, repeated(numbered(MEGABYTE), sent))
        vspcd.wait_status("1 VM, 0 clients")


class Hostile(TestCase):
    """They send and do not read: what is kept for them is bounded."""

    def assert_bounded(self, vspcd, peers, flood):
        """Each sends until it is not read any more, or 40 MB of it."""
        before = vspcd.rss()
        for peer in peers:
            send_until_stuck(peer, flood, limit=40 * MEGABYTE, quiet=0.3)
        grown = vspcd.rss() - before
        self.assertLess(grown, RSS_SLACK, f"grown by {grown >> 20} MiB")

    def test_are_you_there_without_end(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        clients = [TelnetClient(vm, receive_buffer=SMALL) for _ in range(5)]
        self.assert_bounded(vspcd, clients, bytes([IAC, AYT]) * MEGABYTE)
        assert_alive(self, vm)

    def test_negotiation_without_end(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        clients = [TelnetClient(vm, receive_buffer=SMALL) for _ in range(5)]
        self.assert_bounded(vspcd, clients, say(DO, 24, 25, 26) * MEGABYTE)
        assert_alive(self, vm)

    def test_options_turned_on_and_off_without_end(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        clients = [TelnetClient(vm, receive_buffer=SMALL) for _ in range(5)]
        self.assert_bounded(vspcd, clients, (b"\xff\xfe\x03\xff\xfd\x03") * MEGABYTE)
        assert_alive(self, vm)

    def test_unknown_suboptions_on_the_vm_port_without_end(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        strangers = [EsxiVm(vspcd, receive_buffer=SMALL) for _ in range(5)]
        for stranger in strangers:
            stranger.negotiate()
        self.assert_bounded(vspcd, strangers, sub(99) * (MEGABYTE // 4))
        assert_alive(self, vm)

    def test_negotiation_on_the_vm_port_without_end(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        strangers = [EsxiVm(vspcd, receive_buffer=SMALL) for _ in range(5)]
        self.assert_bounded(vspcd, strangers, say(DO, 24) * MEGABYTE)
        assert_alive(self, vm)

    def test_connections_that_say_nothing_cost_little(self):
        vspcd = self.start()
        before = vspcd.rss()
        silent = [Peer(vspcd.vm_address) for _ in range(300)]
        for peer in silent:
            peer.wait(lambda p=peer: len(p.raw) >= 18, "the offers")
        self.assertLess(vspcd.rss() - before, RSS_SLACK)

    def test_a_telnet_client_that_floods_while_it_is_undecided(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = Peer(("127.0.0.1", vm.port))
        client.send_raw(say(WILL, SGA)[:2])
        client.send_raw(say(WILL, SGA)[2:] + say(DO, BINARY) + b"x" * 300_000)
        vm.wait_size(300_000)
        self.assertSameBytes(vm.data, b"x" * 300_000)


if __name__ == "__main__":
    main()
