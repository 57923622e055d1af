# SPDX-License-Identifier: LGPL-2.1-or-later

"""A vMotion that takes longer than VMotionTimeoutSec=: what is typed goes to the source again, and the target still is
the VM once it comes."""

from harness import main
from peers import ABORT, migration_target, sub
from test_vmotion import OTHER, SEQUENCE, Migration
from varlink_peer import Caller

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
        self.vspcd.wait_logged("its host has called the vMotion off")
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
        self.vspcd.wait_logged("its host has called the vMotion off")
        self.assertEqual(caller.vm(self.source.id)["vmotion"], "none")
        self.assertEqual(caller.get("GetMetrics")["vmotionsAbortedTotal"], 1)


if __name__ == "__main__":
    main()
