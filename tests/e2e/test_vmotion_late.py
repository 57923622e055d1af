# SPDX-License-Identifier: LGPL-2.1-or-later

"""A vMotion that takes longer than VMotionTimeoutSec=, and one during which the VM reconnects by itself: input
reaches the VM exactly once."""

import os

from harness import main, wait_for
from peers import ABORT, BEGIN, GOAHEAD, EsxiVm, TelnetClient, migration_target, sub
from test_slow_clients import send_until_stuck
from test_vmotion import MEGABYTE, OTHER, SEQUENCE, Migration
from varlink_peer import Caller, disconnect

ANOTHER_HOST = ("127.0.0.2", 0)


class Overdue(Migration):
    def begin_and_wait(self):
        """The timeout has elapsed, and another will not for long."""
        self.begin()
        self.client.send(b"held")
        self.vspcd.reload(VMotionTimeoutSec="300ms")
        self.source.wait_data(b"held")
        self.vspcd.reload(VMotionTimeoutSec="1h")
        self.source.take()

    def assert_not_accepted(self):
        self.target.peer(SEQUENCE, self.secret, accepted=False)
        self.target.wait_closed()

    def test_what_was_held_goes_to_the_source_alone(self):
        self.begin_and_wait()
        self.assert_spoken_to(self.source)
        self.assert_heard(self.source)
        self.target.peer(SEQUENCE, self.secret).complete(SEQUENCE)
        self.assert_spoken_to(self.target)
        self.assertEqual(bytes(self.target.data), b"<keys>")

    def test_a_target_that_comes_late_is_the_vm(self):
        self.begin_and_wait()
        self.target.peer(SEQUENCE, self.secret).complete(SEQUENCE)
        self.source.close()
        self.assert_spoken_to(self.target)
        self.assert_heard(self.target)
        self.vspcd.wait_logged(f"has moved to 127.0.0.1:{self.target.local_port}")
        self.assertNotIn(b"[vspc:", self.client.data)

    def test_input_is_held_again_once_a_late_target_has_come(self):
        self.begin_and_wait()
        self.client.send(b"before")
        self.source.wait_data(b"before")
        self.target.peer(SEQUENCE, self.secret)
        self.client.send(b"after")
        self.vspcd.wait_read(self.source.port, self.client)
        self.target.complete(SEQUENCE)
        self.target.wait_data(b"after")
        self.source.pump()
        self.assertEqual((bytes(self.source.data), bytes(self.target.data)), (b"before", b"after"))

    def test_what_the_source_has_not_taken_yet_when_a_late_target_comes_is_lost_to_neither(self):
        vspcd = self.start()
        source = EsxiVm(vspcd, receive_buffer=4096).connect()
        client = TelnetClient(source)
        secret = source.begin(SEQUENCE)
        vspcd.reload(VMotionTimeoutSec="300ms")
        vspcd.wait_logged("takes longer than VMotionTimeoutSec=")
        vspcd.reload(VMotionTimeoutSec="1h")
        keys = os.urandom(32 * MEGABYTE).replace(b"\xff", b"\0")
        typed = idle = 0
        while idle < 50:  # the source reads nothing, and vspcd has queued what it may
            n = client.send_some(keys[typed:typed + 262144])
            typed += n
            idle = 0 if n else idle + 1
            vspcd.reload()
        target = migration_target(source).peer(SEQUENCE, secret)

        def nothing_left():
            """What vspcd has queued itself follows as soon as the kernel takes it."""
            source.pump()
            if vspcd.n_unsent(source) > 0:
                return False
            vspcd.reload()
            return vspcd.n_unsent(source) == 0 and source.pump() == 0
        wait_for(nothing_left, "the source to have got all")
        target.complete(SEQUENCE)
        target.wait_size(typed - len(source.data))
        self.assertSameBytes(source.data + target.data, keys[:typed])

    def test_a_source_that_takes_input_only_after_the_timeout_is_told_to_go_ahead_then(self):
        vspcd = self.start(VMotionTimeoutSec="1h")
        source = EsxiVm(vspcd, receive_buffer=4096).connect()
        send_until_stuck(TelnetClient(source), b"k" * MEGABYTE)
        typed = Caller(vspcd).vm(source.name)["bytesSent"]
        source.send_raw(sub(BEGIN, SEQUENCE))
        vspcd.wait_logged("begins to move away")
        vspcd.reload(VMotionTimeoutSec="300ms")
        vspcd.wait_logged("takes longer than VMotionTimeoutSec=")
        vspcd.reload(VMotionTimeoutSec="1h")
        secret = source.wait_suboption(GOAHEAD)[len(SEQUENCE):]
        self.assertGreaterEqual(len(source.data), typed)
        migration_target(source).peer(SEQUENCE, secret).complete(SEQUENCE)
        vspcd.wait_logged("has moved to")

    def test_a_late_target_that_does_not_complete_in_time_may_complete_later(self):
        self.begin_and_wait()
        self.target.peer(SEQUENCE, self.secret)
        self.client.send(b"held again")
        self.vspcd.reload(VMotionTimeoutSec="300ms")
        self.source.wait_data(b"held again")
        self.assert_spoken_to(self.source, self.target)
        self.target.complete(SEQUENCE)
        self.vspcd.wait_logged("has moved to")
        self.assert_spoken_to(self.target)
        self.assertNotIn(b"held", self.target.data)

    def test_a_target_that_came_in_time_may_complete_late(self):
        self.begin()
        self.client.send(b"held")
        self.target.peer(SEQUENCE, self.secret)
        self.vspcd.reload(VMotionTimeoutSec="300ms")
        self.source.wait_data(b"held")
        self.assert_spoken_to(self.source, self.target)
        self.assert_heard(self.source)
        self.target.complete(SEQUENCE)
        self.vspcd.wait_logged("has moved to")
        self.assert_spoken_to(self.target)
        self.assertNotIn(b"held", self.target.data)

    def test_output_of_a_target_that_has_not_completed_is_kept(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret)
        self.vspcd.reload(VMotionTimeoutSec="300ms")
        self.vspcd.wait_logged("takes longer than VMotionTimeoutSec=")
        self.target.send(b"of the target")
        self.assert_heard(self.source)
        self.assertNotIn(b"of the target", self.client.data)
        self.target.complete(SEQUENCE)
        self.source.close()
        self.client.wait_data(b"of the target")

    def test_the_accepted_target_is_the_vm_when_the_source_closes_after_the_timeout(self):
        self.begin_and_wait()
        self.target.peer(SEQUENCE, self.secret)
        self.vspcd.reload(VMotionTimeoutSec="300ms")
        self.vspcd.wait_change(lambda: self.vspcd.count_logged("takes longer than") == 2, "the second timeout")
        self.source.close()
        self.vspcd.wait_logged("has moved to")
        self.assert_spoken_to(self.target)

    def test_the_source_still_is_the_vm_when_a_late_target_closes(self):
        self.begin_and_wait()
        self.target.peer(SEQUENCE, self.secret)
        self.client.send(b"held")
        self.target.close()
        self.source.wait_data(b"held")
        self.assert_spoken_to(self.source)
        self.assertTrue(self.vspcd.has_logged("stays on .*: the target has closed its connection"))

    def test_the_vm_is_gone_with_a_source_that_closes_after_the_timeout(self):
        self.begin_and_wait()
        self.source.close()
        self.client.wait_data(b"[vspc: VM disconnected]")
        self.assert_not_accepted()

    def test_nothing_more_comes_of_a_vmotion_that_is_called_off_after_the_timeout(self):
        self.begin_and_wait()
        self.source.send_raw(sub(ABORT, SEQUENCE))
        self.vspcd.wait_logged("its host has cancelled the vMotion")
        self.assert_not_accepted()
        self.assert_spoken_to(self.source)

    def test_a_new_begin_after_the_timeout_makes_the_old_secret_void(self):
        self.begin_and_wait()
        secret = self.source.begin(OTHER)
        self.assert_not_accepted()
        self.client.send(b"held")
        target = migration_target(self.source).peer(OTHER, secret)
        target.complete(OTHER)
        target.wait_data(b"held")
        self.assert_spoken_to(target)

    def test_a_new_begin_after_the_timeout_drops_a_target_that_has_come(self):
        self.begin_and_wait()
        self.target.peer(SEQUENCE, self.secret)
        self.vspcd.reload(VMotionTimeoutSec="300ms")
        self.vspcd.wait_change(lambda: self.vspcd.count_logged("takes longer than") == 2, "the second timeout")
        self.source.begin(OTHER)
        self.target.wait_closed()

    def test_the_secret_of_a_late_target_counts_once(self):
        self.begin_and_wait()
        self.target.peer(SEQUENCE, self.secret)
        self.vspcd.reload(VMotionTimeoutSec="300ms")
        self.vspcd.wait_change(lambda: self.vspcd.count_logged("takes longer than") == 2, "the second timeout")
        first, self.target = self.target, migration_target(self.source)
        self.assert_not_accepted()
        first.complete(SEQUENCE)
        self.assert_spoken_to(first)

    def test_it_is_told_to_those_who_ask_and_counted_when_it_ends(self):
        self.begin_and_wait()
        caller = Caller(self.vspcd)
        self.assertEqual(caller.vm(self.source.id)["vmotion"], "overdue")
        self.assertEqual(caller.get("GetMetrics")["vmotionsAbortedTotal"], 0)
        self.source.send_raw(sub(ABORT))
        self.vspcd.wait_logged("its host has cancelled the vMotion")
        self.assertEqual(caller.vm(self.source.id)["vmotion"], "none")
        self.assertEqual(caller.get("GetMetrics")["vmotionsAbortedTotal"], 1)


class TypedOnce(Migration):
    """The VM says who it is in a full handshake while its vMotion is unfinished, as it does where HA has started it
    after its host has died without a word."""

    def come_anew(self, source=ANOTHER_HOST, **kwargs):
        return EsxiVm(self.vspcd, self.source.name, digits=self.source.digits, source=source, **kwargs).connect()

    def assert_over(self, anew):
        """What was held has gone to the VM, and goes nowhere else whatever the others do."""
        anew.wait_data(b"held")
        self.vspcd.wait_logged("its vMotion has ended")
        self.source.send_raw(sub(ABORT) + sub(ABORT, SEQUENCE) + b"of the source")
        self.client.wait_data(b"of the source")
        self.assert_spoken_to(anew, self.source)
        self.source.close()
        self.assert_spoken_to(anew)
        self.assertEqual(anew.data.count(b"held"), 1)
        self.assertNotIn(b"held", self.source.data + self.target.data)

    def test_a_vmotion_ends_when_its_vm_comes_from_another_host(self):
        self.begin()
        self.client.send(b"held")
        anew = self.come_anew()
        self.assert_over(anew)
        self.target.peer(SEQUENCE, self.secret, accepted=False)
        self.target.wait_closed()

    def test_an_accepted_target_is_not_the_vm_any_more(self):
        self.begin()
        self.client.send(b"held")
        self.target.peer(SEQUENCE, self.secret)
        anew = self.come_anew()
        self.target.wait_closed()
        self.assert_over(anew)

    def test_a_vmotion_that_is_overdue_ends_as_well(self):
        self.begin()
        self.vspcd.reload(VMotionTimeoutSec="300ms")
        self.vspcd.wait_logged("takes longer than VMotionTimeoutSec=")
        self.vspcd.reload(VMotionTimeoutSec="1h")
        anew = self.come_anew()
        self.client.send(b"held")
        self.assert_over(anew)
        self.target.peer(SEQUENCE, self.secret, accepted=False)
        self.target.wait_closed()

    def test_the_source_is_heard_until_it_closes(self):
        self.begin()
        self.come_anew()
        self.assert_heard(self.source)

    def test_another_serial_port_of_the_vm_ends_nothing(self):
        self.begin()
        self.client.send(b"held")
        second = self.come_anew(uri="s1")
        self.target.peer(SEQUENCE, self.secret).complete(SEQUENCE)
        self.target.wait_data(b"held")
        second.pump()
        self.assertNotIn(b"held", second.data)

    def test_nor_does_it_once_the_source_has_closed(self):
        self.begin()
        disconnect(self.source)
        self.client.send(b"held")
        second = self.come_anew(uri="s1")
        self.target.peer(SEQUENCE, self.secret)
        self.target.wait_data(b"held")
        second.pump()
        self.assertNotIn(b"held", second.data)

    def test_a_vm_that_has_moved_is_known_by_its_uri_when_it_moves_again(self):
        self.begin()
        self.target.peer(SEQUENCE, self.secret).complete(SEQUENCE)
        self.source.close()
        self.vspcd.wait_logged("has moved to")
        self.source, self.target = self.target, migration_target(self.target)
        self.secret = self.source.begin(SEQUENCE)
        self.client.send(b"held")
        self.assert_over(self.come_anew())


if __name__ == "__main__":
    main()
