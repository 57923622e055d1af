# SPDX-License-Identifier: LGPL-2.1-or-later

"""vspc-client with a pipe or a file as input: it exits when the VM has been silent for a while, with success only if
it has written all output of the VM."""

import os
import signal
import subprocess
import threading
import time

import test_client
from harness import PATIENCE_SEC, main, quick_round, wait_for
from peers import connected_vm

MEGABYTE = 1 << 20
CLIENT_HOLDS = MEGABYTE + 65536  # while nobody reads its output: its queue and the pipe, then it stops reading from the VM
QUIET_SEC = 0.2
QUIET = f"--quiet-for={int(QUIET_SEC * 1000)}ms"


class QuietFor(test_client.ClientTestCase):
    def piped(self, server, *args, **kwargs):
        return test_client.Pipes.attached_with_pipes(self, server, "web01", *args, **kwargs)

    def asked(self, act, *args, **kwargs):
        """A fake vspcd's end of the connection, and the client, all input of which has been passed on, and then so soon act()
        done that what was before cannot have been the silence."""
        def play():
            server = self.attaching()
            process = self.piped(server, *args, **kwargs)
            peer = server.wait_attached()
            process.stdin.write(b"uptime\r")
            ended = time.monotonic()
            process.stdin.close()
            peer.wait_data(b"uptime\r")
            act(peer, process)
            return (peer, process) if time.monotonic() - ended < QUIET_SEC else None

        return quick_round(play)

    def stop(self, _, process):
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def wait_longer_than_silence(self):
        began = time.monotonic()
        wait_for(lambda: time.monotonic() - began > 3 * QUIET_SEC, "more time to pass than the VM may be silent")

    def test_it_ends_when_the_vm_has_been_silent(self):
        for option in QUIET, QUIET.replace("quiet-for", "timeout"):  # as it was called first
            _, process = self.asked(lambda peer, _: peer.send(b"up 5 days\r\n"), option)
            self.assertEqual(process.stdout.read(), b"up 5 days\r\n")
            self.assertEqual(process.wait(PATIENCE_SEC), 0)

    def test_who_reads_its_output_slowly_gets_all_of_it(self):
        """While it has no room for output it does not listen to the VM, and cannot know whether the VM is silent."""
        blob = os.urandom(4 * MEGABYTE).replace(b"\xff", b"\xfe")
        peer, process = self.asked(lambda peer, _: peer.send(blob[:CLIENT_HOLDS]), QUIET)
        sender = threading.Thread(target=peer.send, args=(blob[CLIENT_HOLDS:],))
        sender.start()
        self.wait_longer_than_silence()
        self.assertSameBytes(process.stdout.read(), blob)
        sender.join()
        self.assertEqual(process.wait(PATIENCE_SEC), 0)

    def test_what_came_while_it_was_stopped_has_broken_the_silence(self):
        for _ in range(5):
            peer, process = self.asked(self.stop, QUIET)
            peer.send(b"up 5 days\r\n")
            self.wait_longer_than_silence()
            process.send_signal(signal.SIGCONT)
            self.assertEqual(process.stdout.read(), b"up 5 days\r\n")
            self.assertEqual(process.wait(PATIENCE_SEC), 0)

    def test_a_connection_that_was_lost_while_it_was_stopped_is_a_failure(self):
        for _ in range(5):
            peer, process = self.asked(self.stop, QUIET)
            peer.close()
            self.wait_longer_than_silence()
            process.send_signal(signal.SIGCONT)
            self.assertEqual(process.wait(PATIENCE_SEC), 1)

    def test_output_that_cannot_be_written_in_the_end_is_a_failure(self):
        """The VM is silent and the connection is closed, but the reader goes before it has taken all of the output."""
        output = b"x" * (MEGABYTE // 2)
        peer, process = self.asked(lambda peer, _: peer.send(output), QUIET, restore_signals=False,
                                   preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN))
        peer.wait_closed()
        process.stdout.close()
        self.assertEqual(process.wait(PATIENCE_SEC), 1)
        self.assertIn(b"Cannot write to the standard output: Broken pipe", process.stderr.read())

    def test_a_real_vm_and_a_shell(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "web01")
        shell = 'printf "uptime\\r" | "$0" "$@"'

        def play():
            """In parts, none of which comes a second after the other"""
            with subprocess.Popen(["sh", "-c", shell, test_client.CLIENT, *test_client.options_of(vspcd), "web01"],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  env=test_client.environment()) as process:
                asked = time.monotonic()
                vm.wait_data(b"uptime\r")
                vm.take()
                for _ in range(3):
                    vm.send(b"up 5 days\r\n")
                    got = process.stdout.read(11)
                in_time = time.monotonic() - asked < 1
                return (got, process.stdout.read(), process.wait(PATIENCE_SEC)) if in_time else None

        self.assertEqual(quick_round(play), (b"up 5 days\r\n", b"", 0))


if __name__ == "__main__":
    main()
