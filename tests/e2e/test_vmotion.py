# SPDX-License-Identifier: LGPL-2.1-or-later

"""A VM moves from one ESXi host to another, and no byte is lost: every rule of the protocol, in bytes."""

import os
import threading

from harness import SANITIZED, TestCase, main, wait_for
from peers import (ABORT, AYT, BEGIN, BRK, COMPLETE, GOAHEAD, IAC, NAME, NOTNOW, PEER, PEER_OK, EsxiVm, RawClient,
                   TelnetClient, connected_vm, double, migration_target, say, sub, uuid_text, VC_UUID, WILL, COM_PORT)
from varlink_peer import disconnect

SEQUENCE = b"\0\0\0\1"
OTHER = b"\0\0\0\2"
MEGABYTE = 1 << 20


def introduce(target):
    """UUID and name of a target, which come after PEER-OK."""
    target.send_raw(target.vc_uuid() + target.vm_name() + say(WILL, COM_PORT))


class Migration(TestCase):
    def begin(self, *, receive_buffer=None, **config):
        """A VM with a telnet client whose vMotion has begun."""
        self.vspcd = self.start(**config)
        self.source = connected_vm(self.vspcd)
        self.client = TelnetClient(self.source, receive_buffer=receive_buffer)
        self.source.send(b"[start]")
        self.client.wait_data(b"[start]")
        self.client.take()
        self.secret = self.source.begin(SEQUENCE)
        self.target = migration_target(self.source)

    def assert_spoken_to(self, vm, *others):
        """What the client types arrives there, and nowhere else."""
        self.client.send(b"<keys>")
        vm.wait_data(b"<keys>")
        for other in others:
            if not other.eof:
                other.pump()
            self.assertNotIn(b"<keys>", other.data)

    def assert_heard(self, vm):
        vm.send(b"<output>")
        self.client.wait_data(b"<output>")


class Success(Migration):
    def test_a_migration_as_esxi_does_it(self):
        self.begin()
        self.assertGreaterEqual(len(self.secret), 8)
        self.target.peer(SEQUENCE, self.secret)
        introduce(self.target)
        self.target.complete(SEQUENCE)
        self.source.close()
        self.vspcd.wait_logged(f"has moved to 127.0.0.1:{self.target.local_port}")
        self.assert_spoken_to(self.target)
        self.assert_heard(self.target)
        self.assertNotIn(b"[vspc:", self.client.data)
        self.vspcd.wait_status("1 VM, 1 client")

    def test_go_ahead_comes_behind_everything_typed_before(self):
        vspcd = self.start()
        source = EsxiVm(vspcd, receive_buffer=4096).connect()
        client = TelnetClient(source)
        keys = os.urandom(400_000).replace(b"\xff", b"\0")
        client.send(keys[:200_000])
        source.wait_size(1)
        source.send_raw(sub(BEGIN, SEQUENCE))
        vspcd.wait_logged("begins to move away")
        client.send(keys[200_000:])
        secret = source.wait_suboption(GOAHEAD)[len(SEQUENCE):]
        self.assertEqual(source.trace[-1], ("sb", 232, bytes([GOAHEAD]) + SEQUENCE + secret))

        target = migration_target(source).peer(SEQUENCE, secret)
        target.complete(SEQUENCE)
        target.wait_size(len(keys) - len(source.data))
        self.assertSameBytes(source.data + target.data, keys)

    def test_what_is_typed_meanwhile_goes_to_the_target_alone(self):
        self.begin()
        self.client.send(b"during \xff")
        self.target.peer(SEQUENCE, self.secret)
        self.client.send(b"and after peer ")
        self.target.complete(SEQUENCE)
        self.client.send(b"and later")
        self.target.wait_data(b"during \xffand after peer and later")
        self.source.pump()
        self.assertEqual(bytes(self.source.data), b"")
        self.assertEqual(bytes(self.target.data), b"during \xffand after peer and later")

    def test_a_break_keeps_its_place_in_what_is_held(self):
        self.begin()
        self.client.send_raw(b"one" + bytes([IAC, BRK]) + b"two\xff\xff" + bytes([IAC, BRK, IAC, BRK]) + b"three")
        self.target.peer(SEQUENCE, self.secret).complete(SEQUENCE)
        self.target.wait_data(b"three")
        self.assertEqual([t for t in self.target.trace if isinstance(t, bytearray) or t[0] == "command"],
                         [b"one", ("command", BRK), b"two\xff", ("command", BRK), ("command", BRK), b"three"])
        self.assertNotIn(("command", BRK), self.source.trace)

    def test_output_of_the_source_is_delivered_until_it_closes(self):
        self.begin()
        self.source.send(b"1 after begin\n")
        self.client.wait_data(b"1 after begin\n")
        self.target.peer(SEQUENCE, self.secret)
        self.source.send(b"2 after peer\n")
        self.client.wait_data(b"2 after peer\n")
        self.source.send(b"3 last words\n")
        self.target.send_raw(sub(COMPLETE, SEQUENCE) + b"4 of the target\n")
        self.source.close()
        self.client.wait_data(b"4 of the target\n")
        self.assertSameBytes(self.client.data, b"1 after begin\n2 after peer\n3 last words\n4 of the target\n")

    def test_much_output_of_the_source_still_comes_first(self):
        self.begin(ScrollbackSize="4M", ClientBufferSize="4M")
        self.target.peer(SEQUENCE, self.secret)
        last_words = bytes(range(200)) * 10_000
        self.source.send_raw(last_words)
        self.target.send_raw(sub(COMPLETE, SEQUENCE) + b"TARGET")
        self.source.close()
        self.client.wait_data(b"TARGET")
        self.assertSameBytes(self.client.data, last_words + b"TARGET")

    def move_with_backlog(self, complete):
        """A slow client holds up the VM, so that much output waits at the source's host when that closes: with
        questions of its serial port in it, whose answers would find a closed socket and be met with a reset."""
        self.begin(SlowClient="wait", ClientBufferSize="64K", receive_buffer=4096)
        chunks = [b"%09d\n" % i * 1000 for i in range(1600)]
        question = sub(1, b"\x00\x00\x25\x80", option=COM_PORT) + sub(99)

        def talk():
            self.source.send_raw(question.join(chunks))
            self.source.close()
        talking = threading.Thread(target=talk)
        talking.start()
        self.addCleanup(talking.join)
        self.target.peer(SEQUENCE, self.secret)
        if complete:
            self.target.complete(SEQUENCE)
            self.vspcd.wait_logged("has moved to")
        output = b"".join(chunks)
        self.client.wait_size(len(output))
        self.assertSameBytes(self.client.data, output)
        self.vspcd.wait_logged("has moved to")
        self.assert_spoken_to(self.target)

    def test_a_departed_source_is_not_answered_so_that_its_last_words_are_not_lost(self):
        self.move_with_backlog(complete=True)

    def test_nor_is_one_whose_target_may_have_won_already(self):
        self.move_with_backlog(complete=False)

    def test_questions_of_the_source_are_answered_when_it_stays(self):
        self.begin()
        self.source.send_raw(sub(1, b"\x00\x00\x25\x80", option=COM_PORT))
        self.client.send(b"held")
        self.source.send_raw(sub(ABORT))
        self.source.wait_trace(("sb", COM_PORT, b"\x65\x00\x00\x25\x80"))
        self.source.wait_data(b"held")

    def test_the_target_does_not_wait_for_a_source_that_stays_silent(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret)
        self.target.send_raw(sub(COMPLETE, SEQUENCE) + b"of the target")
        self.client.wait_data(b"of the target")
        self.source.send(b"<late>")
        self.client.wait_data(b"<late>")
        self.assert_spoken_to(self.target, self.source)

    def test_output_of_the_target_before_complete_is_kept(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret)
        self.target.send(b"early \xff ")
        self.target.complete(SEQUENCE)
        self.source.close()
        self.target.send(b"late")
        self.client.wait_data(b"late")
        self.assertSameBytes(self.client.data, b"early \xff late")

    def test_output_of_the_target_is_not_shown_before_it_has_won(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret)
        self.target.send(b"not yet ")
        introduce(self.target)
        self.target.wait_trace(("do", COM_PORT))  # so it has been read
        self.source.send(b"source ")
        self.client.wait_data(b"source ")
        self.assertNotIn(b"not yet", self.client.data)
        self.source.send_raw(sub(ABORT))
        self.target.wait_closed()
        self.source.send(b"stays")
        self.client.wait_data(b"stays")
        self.assertSameBytes(self.client.data, b"source stays")

    def test_uuid_and_name_may_come_at_any_time_after_peer(self):
        self.begin()
        for n, order in enumerate(["uncN", "cunN", "ucnN", "cNun", "Nunc"]):
            with self.subTest(order=order):
                if n > 0:
                    self.secret = self.source.begin(SEQUENCE)
                    self.target = migration_target(self.source)
                self.target.peer(SEQUENCE, self.secret)
                message = {"u": self.target.vc_uuid(), "n": self.target.vm_name(), "c": sub(COMPLETE, SEQUENCE),
                           "N": say(WILL, COM_PORT)}
                self.target.send_raw(b"".join(message[m] for m in order))
                self.vspcd.wait_logged(f"has moved to 127.0.0.1:{self.target.local_port}")
                self.source.close()
                self.assert_spoken_to(self.target)
                self.source = self.target
                self.source.take()

    def test_all_of_the_target_s_messages_in_one_segment(self):
        self.begin()
        self.client.send(b"held")
        self.target.send_raw(say(WILL, 0, 3, 232) + sub(0, bytes(range(88))) + sub(PEER, SEQUENCE + self.secret) +
                             sub(COMPLETE, SEQUENCE) + self.target.vc_uuid() + self.target.vm_name() + b"hello")
        self.target.wait_data(b"held")
        self.client.wait_data(b"hello")

    def test_a_byte_at_a_time(self):
        self.begin()
        self.client.send(b"held")
        self.target.negotiate(self.target.send_bytewise)
        self.target.send_bytewise(sub(PEER, SEQUENCE + self.secret))
        self.target.wait_suboption(PEER_OK)
        self.target.send_bytewise(sub(COMPLETE, SEQUENCE) + b"hello")
        self.target.wait_data(b"held")
        self.client.wait_data(b"hello")

    def test_another_name_is_taken_up(self):
        self.begin()
        self.target.name = "renamed"
        self.target.peer(SEQUENCE, self.secret)
        introduce(self.target)
        self.target.wait_trace(("do", COM_PORT))
        self.assertFalse(self.vspcd.has_logged("is now called"), "before it has won")
        self.target.complete(SEQUENCE)
        self.vspcd.wait_logged(rf"VM {self.source.name} \(.*is now called renamed")

    def test_again_and_again(self):
        self.begin()
        typed = output = b""
        for n in range(40):
            if n > 0:
                self.secret = self.source.begin(SEQUENCE)
                self.target = migration_target(self.source)
            self.client.send(b"<%d" % n)
            self.target.peer(SEQUENCE, self.secret)
            self.source.send(b"{%d" % n)
            # The source closes within a millisecond, and often before COMPLETE has been read.
            if n % 2:
                self.target.complete(SEQUENCE)
                self.source.close()
            else:
                self.source.close()
                self.target.complete(SEQUENCE)
            self.target.send(b"}")
            self.client.send(b">")
            typed, output = b"<%d>" % n, output + b"{%d}" % n
            self.target.wait_data(typed)
            self.assertEqual(bytes(self.target.data), typed)
            self.client.wait_size(len(output))
            self.assertEqual(bytes(self.client.data), output)
            self.source = self.target
        self.vspcd.wait_status("1 VM, 1 client")

    def test_clients_and_port_stay(self):
        self.begin()
        raw = RawClient(self.source)
        self.target.peer(SEQUENCE, self.secret).complete(SEQUENCE)
        self.source.close()
        self.target.send(b"here")
        self.client.wait_data(b"here")
        raw.wait_data(b"here")
        self.target.port = self.source.port
        newcomer = TelnetClient(self.target)
        newcomer.wait_data(b"[start]here")

    def test_a_second_serial_port_goes_on_while_the_first_moves(self):
        self.begin()
        second = connected_vm(self.vspcd, self.source.name, digits=self.source.digits, uri="s1")
        self.client.send(b"for both")
        second.wait_data(b"for both")
        self.source.pump()
        self.assertEqual(bytes(self.source.data), b"")
        self.target.peer(SEQUENCE, self.secret).complete(SEQUENCE)
        self.target.wait_data(b"for both")

    def test_multi_console(self):
        vspcd = self.start(MultiConsole="yes")
        com1 = connected_vm(vspcd, "web01", uri="com1")
        com2 = connected_vm(vspcd, "web01", digits=com1.digits, uri="com2")
        at1, at2 = TelnetClient(com1), TelnetClient(com2)
        secret = com1.begin(SEQUENCE)
        at1.send(b"held")
        at2.send(b"not held")
        com2.wait_data(b"not held")
        target = migration_target(com1).peer(SEQUENCE, secret)
        introduce(target)
        target.complete(SEQUENCE)
        target.wait_data(b"held")
        target.send(b"from com1")
        at1.wait_data(b"from com1")
        at2.pump()
        self.assertEqual(bytes(at2.data), b"")
        vspcd.wait_logged(rf"VM web01_com1 \({com1.id}_com1\): has moved to")
        self.assertFalse(vspcd.has_logged("is now called"))


class Encoding(Migration):
    def test_a_sequence_of_0xff(self):
        vspcd = self.start()
        source = connected_vm(vspcd)
        sequence = b"\xff\xff\xff\xff"
        source.send_raw(b"\xff\xfa\xe8\x28" + b"\xff" * 8 + b"\xff\xf0")
        secret = source.wait_suboption(GOAHEAD)[4:]
        self.assertIn(b"\xff\xfa\xe8\x29" + b"\xff" * 8 + double(secret) + b"\xff\xf0", source.raw)
        target = migration_target(source)
        target.negotiate()
        target.send_raw(b"\xff\xfa\xe8\x2c" + b"\xff" * 8 + double(secret) + b"\xff\xf0")
        target.wait_suboption(PEER_OK)
        self.assertTrue(target.raw.find(b"\xff\xfa\xe8\x2d" + b"\xff" * 8 + b"\xff\xf0") >= 0)
        target.send_raw(b"\xff\xfa\xe8\x2e" + b"\xff" * 8 + b"\xff\xf0")
        vspcd.wait_logged("has moved to")
        self.assertEqual(sequence, target.suboptions(PEER_OK)[0])

    def test_not_now_with_a_sequence_of_0xff(self):
        vm = EsxiVm(self.start())
        vm.negotiate()
        vm.send_raw(sub(BEGIN, b"\xff\x00\xff"))
        vm.wait(lambda: vm.raw.endswith(b"\xff\xfa\xe8\x2b\xff\xff\x00\xff\xff\xff\xf0"), "NOTNOW, doubled")

    def test_a_secret_with_0xff(self):
        vspcd = self.start()
        source = connected_vm(vspcd)
        secrets = set()
        while not any(b"\xff" in s for s in secrets):
            secret = source.begin(SEQUENCE)
            self.assertNotIn(secret, secrets)
            secrets.add(secret)
            self.assertLess(len(secrets), 2000, "secrets are not random")
        self.assertIn(double(SEQUENCE + secret) + b"\xff\xf0", source.raw)
        migration_target(source).peer(SEQUENCE, secret).complete(SEQUENCE)
        vspcd.wait_logged("has moved to")

    def test_sequences_of_other_lengths(self):
        vspcd = self.start()
        source = connected_vm(vspcd)
        for n, sequence in enumerate((b"", b"1", bytes(range(64))), 1):
            with self.subTest(sequence=sequence):
                secret = source.begin(sequence)
                target = migration_target(source).peer(sequence, secret)
                target.complete(sequence)
                source.close()
                vspcd.wait_change(lambda n=n: vspcd.count_logged("has moved to") == n, "the move")
                source = target

    def test_no_two_secrets_are_the_same(self):
        source = connected_vm(self.start())
        secrets = [source.begin(SEQUENCE) for _ in range(100)]
        self.assertEqual(len(set(secrets)), 100)
        for position in range(len(secrets[0])):
            self.assertGreater(len({s[position] for s in secrets}), 10, f"byte {position} hardly changes")


class Refusal(Migration):
    def test_not_now_before_it_is_known_which_vm_it_is(self):
        vspcd = self.start()
        vm = EsxiVm(vspcd)
        vm.negotiate()
        vm.send_raw(sub(BEGIN, SEQUENCE))
        self.assertEqual(vm.wait_suboption(NOTNOW), SEQUENCE)
        vspcd.wait_logged("vMotion refused: it is not known yet which VM this is")
        vm.handshake()
        vm.wait_connected()
        vm.send(b"goes on")
        TelnetClient(vm).wait_data(b"goes on")
        vm.begin(SEQUENCE)

    def test_not_now_for_a_sequence_that_is_too_long(self):
        vm = connected_vm(self.start())
        vm.send_raw(sub(BEGIN, b"s" * 65))
        self.assertEqual(vm.wait_suboption(NOTNOW), b"s" * 65)

    def test_not_now_for_a_target_that_is_not_the_vm_yet(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret)
        self.target.send_raw(sub(BEGIN, OTHER))
        self.assertEqual(self.target.wait_suboption(NOTNOW), OTHER)
        self.target.complete(SEQUENCE)
        self.assert_spoken_to(self.target, self.source)

    def assert_no_peer(self, data):
        stranger = EsxiVm(self.vspcd, "stranger")
        stranger.negotiate()
        stranger.send_raw(sub(PEER, data) + stranger.vc_uuid() + stranger.vm_name() + b"forged" +
                          sub(COMPLETE, SEQUENCE))
        stranger.wait_closed()
        self.assertEqual(stranger.suboptions(PEER_OK), [])
        self.assertEqual(bytes(stranger.data), b"")
        self.vspcd.wait_logged(f":{stranger.local_port}.*names an unknown vMotion, or has the wrong")

    def test_secrets_that_are_none(self):
        self.begin()
        self.client.send(b"held")
        wrong = bytes([self.secret[-1] ^ 1])
        for name, data in {"wrong at the end": SEQUENCE + self.secret[:-1] + wrong,
                           "wrong at the beginning": SEQUENCE + bytes([self.secret[0] ^ 1]) + self.secret[1:],
                           "too short": SEQUENCE + self.secret[:-1],
                           "too long": SEQUENCE + self.secret + b"\0",
                           "another sequence": OTHER + self.secret,
                           "no secret": SEQUENCE,
                           "nothing": b"",
                           "the secret alone": self.secret,
                           "zeros": SEQUENCE + bytes(len(self.secret))}.items():
            with self.subTest(name):
                self.assert_no_peer(data)
        self.target.peer(SEQUENCE, self.secret)
        self.target.complete(SEQUENCE)
        self.target.wait_data(b"held")
        self.source.close()
        self.assert_heard(self.target)
        self.assertNotIn(b"forged", self.client.data)

    def test_a_secret_counts_once(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret)
        self.assert_no_peer(SEQUENCE + self.secret)
        self.target.complete(SEQUENCE)
        self.vspcd.wait_logged("has moved to")
        self.assert_no_peer(SEQUENCE + self.secret)
        self.assert_spoken_to(self.target, self.source)

    def test_a_secret_is_void_after_an_abort(self):
        self.begin()
        self.source.send_raw(sub(ABORT))
        self.vspcd.wait_logged("stays on .*: its host has cancelled the vMotion")
        self.assert_no_peer(SEQUENCE + self.secret)

    def test_a_vm_that_is_live_cannot_become_a_target(self):
        self.begin()
        live = connected_vm(self.vspcd, "live")
        live.send_raw(sub(PEER, SEQUENCE + self.secret) + sub(COMPLETE, SEQUENCE) + sub(99))
        live.wait_suboption(3)
        self.assertEqual(live.suboptions(PEER_OK), [])
        self.target.peer(SEQUENCE, self.secret)

    def test_complete_from_a_stranger_has_no_effect(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret)
        stranger = connected_vm(self.vspcd, "stranger")
        twin = connected_vm(self.vspcd, self.source.name, digits=self.source.digits, uri="s1")
        for who in (stranger, twin):
            who.send_raw(sub(COMPLETE, SEQUENCE) + sub(99))
            who.wait_suboption(3)
        self.source.send_raw(sub(COMPLETE, SEQUENCE))
        self.assert_heard(self.source)
        self.assertFalse(self.vspcd.has_logged("has moved to"))
        self.target.complete(SEQUENCE)
        self.vspcd.wait_logged(f"has moved to 127.0.0.1:{self.target.local_port}")

    def test_complete_with_another_sequence_has_no_effect(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret)
        self.target.send_raw(sub(COMPLETE, OTHER) + sub(COMPLETE) + sub(99))
        self.target.wait_suboption(3)
        self.assertFalse(self.vspcd.has_logged("has moved to"))
        self.target.complete(SEQUENCE)
        self.vspcd.wait_logged("has moved to")

    def test_abort_from_one_that_is_not_the_source_has_no_effect(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret)
        stranger = connected_vm(self.vspcd, "stranger")
        for who in (stranger, self.target):
            who.send_raw(sub(ABORT) + sub(ABORT, SEQUENCE) + sub(99))
            who.wait_suboption(3)
        self.assertFalse(self.vspcd.has_logged("cancelled the vMotion"))
        self.target.complete(SEQUENCE)
        self.vspcd.wait_logged("has moved to")


class Failure(Migration):
    def test_abort_gives_everything_back_to_the_source(self):
        for sequence in (b"", SEQUENCE):
            with self.subTest(sequence=sequence):
                self.begin()
                self.client.send(b"held \xff")
                self.target.peer(SEQUENCE, self.secret)
                self.source.send_raw(sub(ABORT, sequence) + b"I stay")
                self.target.wait_closed()
                self.source.wait_data(b"held \xff")
                self.client.wait_data(b"I stay")
                self.assertEqual(bytes(self.target.data), b"")
                self.assert_spoken_to(self.source)

    def test_an_abort_of_a_vmotion_that_has_been_replaced_has_no_effect(self):
        self.begin()
        secret = self.source.begin(OTHER)
        self.source.send_raw(sub(ABORT, SEQUENCE))
        self.assert_heard(self.source)
        self.target.peer(OTHER, secret).complete(OTHER)
        self.vspcd.wait_logged("has moved to")

    def test_an_abort_without_a_vmotion_has_no_effect(self):
        vm = connected_vm(self.start())
        vm.send_raw(sub(ABORT) + sub(ABORT, SEQUENCE) + b"here")
        client = TelnetClient(vm)
        client.wait_data(b"here")
        client.send(b"keys")
        vm.wait_data(b"keys")

    def test_a_new_begin_replaces_the_old_one(self):
        self.begin()
        self.client.send(b"held")
        self.client.send_raw(bytes([IAC, 246]))
        self.client.wait_data(b"is connected]")  # so "held" has been read
        secret = self.source.begin(OTHER)
        self.assertEqual(self.source.trace[-2:], [b"held", ("sb", 232, bytes([GOAHEAD]) + OTHER + secret)])
        self.target.peer(SEQUENCE, self.secret, accepted=False)
        self.target.wait_closed()
        self.client.send(b"held again")
        migration = migration_target(self.source).peer(OTHER, secret)
        migration.complete(OTHER)
        migration.wait_data(b"held again")
        self.assertEqual(bytes(migration.data), b"held again")

    def test_a_new_begin_drops_the_accepted_peer_of_the_old_one(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret)
        self.source.begin(OTHER)
        self.target.wait_closed()
        self.source.send_raw(sub(ABORT))
        self.assert_spoken_to(self.source)
        self.assert_heard(self.source)

    def test_the_source_closes_before_complete(self):
        self.begin()
        self.client.send(b"held")
        self.target.peer(SEQUENCE, self.secret)
        self.source.close()
        self.target.wait_data(b"held")
        self.assert_heard(self.target)
        self.target.complete(SEQUENCE)  # comes late, and says nothing new
        self.assert_spoken_to(self.target)
        self.assertNotIn(b"[vspc:", self.client.data)

    def test_what_the_target_said_shows_at_once_when_the_source_closes_before_complete(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret)
        self.target.send(b"said before")
        introduce(self.target)
        self.target.wait_trace(("do", COM_PORT))
        self.source.close()
        self.client.wait_data(b"said before")

    def test_the_source_closes_before_the_target_comes(self):
        self.begin()
        disconnect(self.source)
        self.client.send(b"held")
        self.target.peer(SEQUENCE, self.secret)
        self.target.wait_data(b"held")
        self.target.complete(SEQUENCE)
        self.assert_heard(self.target)
        self.assert_spoken_to(self.target)
        self.assertNotIn(b"[vspc:", self.client.data)

    def test_the_source_closes_and_connects_anew_instead_of_the_target(self):
        self.begin()
        self.client.send(b"held")
        disconnect(self.source)
        anew = connected_vm(self.vspcd, self.source.name, digits=self.source.digits)
        anew.wait_data(b"held")
        self.target.peer(SEQUENCE, self.secret, accepted=False)
        self.target.wait_closed()
        self.assert_spoken_to(anew, self.target)

    def test_the_target_closes_before_complete(self):
        self.begin()
        self.client.send(b"held")
        self.target.peer(SEQUENCE, self.secret)
        self.target.close()
        self.source.wait_data(b"held")
        self.vspcd.wait_logged("stays on .*: the target has closed its connection")
        self.assert_spoken_to(self.source)
        self.assert_heard(self.source)

    def test_the_source_has_gone_and_nobody_comes_in_time(self):
        self.begin()
        disconnect(self.source)
        self.client.send_raw(b"lost with it" + bytes([IAC, AYT]))
        self.client.wait_data(b"[vspc: yes, ")  # so it has been read
        self.vspcd.reload(VMotionTimeoutSec="300ms")
        self.client.wait_data(b"[vspc: VM disconnected]")
        self.vspcd.wait_logged("no target has come")
        anew = connected_vm(self.vspcd, self.source.name, digits=self.source.digits)
        self.assert_spoken_to(anew)
        self.assertNotIn(b"lost", anew.data)

    def test_a_target_that_says_it_is_another_vm_is_taken_at_its_secret(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret)
        self.target.send_raw(sub(VC_UUID, uuid_text("0123456789abcdef" * 2)) + sub(NAME, b"x"))
        self.target.complete(SEQUENCE)
        self.vspcd.wait_logged("has moved to")
        self.assert_spoken_to(self.target, self.source)


class ManyAnswers(Migration):
    def test_a_source_that_asks_much_and_reads_all_answers_goes_on_and_nothing_that_is_held_is_lost(self):
        vspcd = self.start()
        source = connected_vm(vspcd)
        client = TelnetClient(source)
        with vspcd.halted():
            source.send_raw(sub(BEGIN, SEQUENCE) + sub(200) * 9362)  # 65,534 bytes of answers
            client.send(b"held")
        source.wait_suboption(GOAHEAD)
        newcomer = EsxiVm(vspcd, source.name, digits=source.digits, uri=source.uri).connect()
        wait_for(lambda: (source.pump(), newcomer.pump(), source.data + newcomer.data == b"held")[2], "what was typed, once")
        self.assertFalse(vspcd.logged("does not read our answers"))


class HoldBack(Migration):
    def fill(self):
        """Types until nothing is taken any more. Returns what has been taken."""
        keys, sent, idle = os.urandom(MEGABYTE).replace(b"\xff", b"\0"), 0, 0
        while idle < 50:
            at = sent % MEGABYTE
            n = self.client.send_some(keys[at:at + 262144])
            sent += n
            idle = 0 if n else idle + 1
            self.settle()
            self.assertLess(sent, 64 * MEGABYTE, "there is no bound")
        return (keys * (sent // MEGABYTE + 1))[:sent]

    def settle(self):
        """vspcd has had its turn: it answers somebody else."""
        self.other.send_raw(sub(99))
        self.other.wait_suboption(3, len(self.other.suboptions(3)) + 1)

    def test_a_flood_is_bounded_and_nothing_of_it_is_lost(self):
        self.begin()
        self.other = connected_vm(self.vspcd)
        before = self.vspcd.rss()
        keys = self.fill()
        self.assertGreater(len(keys), MEGABYTE)
        self.assertLess(self.vspcd.rss() - before, (32 if SANITIZED else 8) * MEGABYTE)
        self.assert_heard(self.source)

        self.target.peer(SEQUENCE, self.secret).complete(SEQUENCE)
        self.target.wait_size(len(keys))
        self.assertSameBytes(self.target.data, keys)
        self.source.close()
        self.assert_spoken_to(self.target)

    def test_a_flood_goes_back_to_the_source_after_an_abort(self):
        self.begin()
        self.other = connected_vm(self.vspcd)
        keys = self.fill()
        self.source.send_raw(sub(ABORT))
        self.source.wait_size(len(keys))
        self.assertSameBytes(self.source.data, keys)

    def test_a_megabyte_of_0xff_and_breaks(self):
        self.begin()
        keys = (b"\xff\xff" * 100 + bytes([IAC, BRK])) * 2000
        self.client.send_raw(keys)
        self.target.peer(SEQUENCE, self.secret).complete(SEQUENCE)
        self.target.wait_size(200_000)
        self.target.wait(lambda: self.target.trace.count(("command", BRK)) == 2000, "2000 breaks")
        held = [t for t in self.target.trace if isinstance(t, bytearray) or t == ("command", BRK)]
        self.assertEqual(held, [b"\xff" * 100, ("command", BRK)] * 2000)


if __name__ == "__main__":
    main()
