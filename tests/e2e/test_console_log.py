# SPDX-License-Identifier: LGPL-2.1-or-later

"""Output of consoles in the journal and in files: it is complete and has the right fields, and a slow journal or disk
delays nothing.

The journal is a systemd-journald of the test, in a mount namespace with its own /run.
"""

import errno
import glob
import grp
import gzip
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

from harness import SANITIZED, clean_environment, main, wait_for
from log_cases import SOCKET, JournalCase, LogCase, content, enter_namespace, path
from peers import ALL_BYTES, NAME, EsxiVm, TelnetClient, connected_clone, connected_vm, migration_target, sub
from varlink_peer import Caller

CLIENT = os.environ.get("VSPC_CLIENT", "build/vspc-client")
PENDING_MAX = 256 * 1024  # bytes that are kept for a VM
STREAMS_MAX = 16  # that wait to be logged, of a VM
STOPPED_SEC = 10
LOG_EVERY_SEC = 10  # what fails again and again
SILENCE_SEC = 1  # after which a line that is not ended is an entry

OUTPUT_NOT_LOGGED = "3cc2ae3be51c496289aa871d57e6a188"  # as src/console/message.h has it

HOSTILE_NAMES = ["../../etc/passwd", "/etc/shadow", ".", "..", ".hidden", "-rf", "a/b", "%2e%2e", "M\u00fcller \u20ac",
                 "x" * 500, "/" * 300, "a\nb", "\x1b[2J", b"\xff\xfe", "web01.log", "$(reboot)", "*", "a b", "~", "\\"]


class Journal(JournalCase):
    def test_a_line_is_an_entry_that_says_whose_it_is(self):
        journal = self.journal()
        vm = connected_vm(self.start(), "web01", uri="rack7")
        vm.send(b"Linux version 6.1\r\n<3>EXT4-fs error\r\n")
        journal.wait_lines(vm, ["Linux version 6.1", "EXT4-fs error"])

        entry, error = journal.entries("VSPC_VM_NAME=web01")
        self.assertEqual({k: v for k, v in entry.items() if not k.startswith("_")},
                         {"MESSAGE": "Linux version 6.1", "PRIORITY": "6",
                          "SYSLOG_IDENTIFIER": ["vspc-console", "vspc-console/web01"],
                          "VSPC_VM_NAME": "web01", "VSPC_VM_UUID": vm.id, "VSPC_URI": "rack7",
                          "VSPC_PORT": str(vm.port), "VSPC_POSITION": "0", "VSPC_EPOCH": entry["VSPC_EPOCH"]})
        self.assertRegex(entry["VSPC_EPOCH"], "^[0-9a-f]{16}$")
        self.assertEqual((error["VSPC_POSITION"], error["VSPC_EPOCH"]), ("19", entry["VSPC_EPOCH"]))
        self.assertEqual(error["PRIORITY"], "3")

    def test_a_vm_without_a_port_has_no_port_field(self):
        journal = self.journal()
        vm = EsxiVm(self.start(VMPorts="no")).connect()
        vm.send(b"hello\n")
        journal.wait_line(vm, "hello")
        self.assertNotIn("VSPC_PORT", journal.entries()[0])

    def test_what_is_for_a_terminal_is_not_for_the_journal(self):
        journal = self.journal()
        vm = connected_vm(self.start())
        vm.send(b"\x1b]0;title\a[\x1b[32m  OK  \x1b[0m] Started\r\n" + b"".join(b"\r%3d%%" % i for i in range(101)) +
                b"\r\nlss\b \b -l\r\n\xff\x00\r\n")
        journal.wait_lines(vm, ["[  OK  ] Started", "100%", "ls -l", "\ufffd"])

    def test_a_line_that_is_not_ended_is_one_after_a_second(self):
        journal = self.journal()
        vm = connected_vm(self.start())
        vm.send(b"web01 login: ")
        journal.wait_lines(vm, ["web01 login:"])
        vm.send(b"root\r\n")
        journal.wait_lines(vm, ["web01 login:", "root"])

    def test_a_line_in_many_pieces_is_one(self):
        journal = self.journal()
        vm = connected_vm(self.start())
        vm.send_bytewise("na\u00efve \x1b[1mbold\x1b[0m\r\n".encode())
        journal.wait_lines(vm, ["na\u00efve bold"])

    def test_each_line_has_the_name_that_the_vm_had_when_it_said_it(self):
        journal = self.journal()
        vspcd = self.start()
        vm = connected_vm(vspcd, "old")
        vm.send(b"before\npart")
        wait_for(lambda: journal.entries("VSPC_VM_NAME=old"), "a line")
        vm.send_raw(sub(NAME, b"new"))
        vspcd.wait_logged("is now called new")
        vm.send(b" after\n")
        journal.wait_lines(vm, ["before", "part", " after"])
        self.assertEqual([e["VSPC_VM_NAME"] for e in journal.entries()], ["old", "old", "new"])

    def test_vms_of_one_name_are_told_apart(self):
        journal = self.journal()
        vspcd = self.start()
        vms = [connected_vm(vspcd, "web01") for _ in range(2)]
        for i, vm in enumerate(vms):
            vm.send(b"I am %d\n" % i)
        for i, vm in enumerate(vms):
            journal.wait_lines(vm, [f"I am {i}"])
        self.assertEqual(len(journal.entries("VSPC_VM_NAME=web01")), 2)

    def test_vms_of_one_uuid_are_told_apart(self):
        journal = self.journal()
        vm = connected_vm(self.start(), "web")
        clone = connected_clone(vm, "web")
        for each in (vm, clone):
            each.send(each.id.encode() + b"\n")
        for each in (vm, clone):
            journal.wait_lines(each, [each.id])

    def test_a_vm_that_moves_goes_on_in_the_middle_of_its_line(self):
        journal = self.journal()
        vm = connected_vm(self.start())
        secret = vm.begin(b"1234")
        target = migration_target(vm).peer(b"1234", secret)
        began = time.monotonic()
        vm.send(b"one\nbefo")
        target.complete(b"1234")
        vm.close()
        target.send(b"re and after\ntwo\n")
        journal.wait_line(vm, "two")
        lines = ["one", "before and after", "two"]
        if time.monotonic() - began > SILENCE_SEC and len(journal.lines(vm)) > 3:  # it is slow here
            lines[1:2] = ["befo", "re and after"]
        self.assertEqual(journal.lines(vm), lines)

    def test_the_last_words_before_the_end_are_logged(self):
        journal = self.journal()
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        vm.send(b"line\nlast words")
        client.wait_data(b"last words")
        vspcd.signal(signal.SIGTERM)
        self.assertEqual(vspcd.wait_exit(), 0)
        self.assertEqual(journal.lines(vm), ["line", "last words"])

    def test_it_is_turned_on_and_off_by_reload(self):
        journal = self.journal()
        vspcd = self.start(console_log={"Journal": "no"})
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)

        def say(text):
            vm.send(text + b"\n")
            client.wait_data(text)

        say(b"first")
        vspcd.reload(console_log={"Journal": "yes"})
        say(b"second")
        journal.wait_line(vm, "second")
        vspcd.reload(console_log={"Journal": "no"})
        say(b"third")
        vspcd.reload(console_log={"Journal": "yes"})
        say(b"fourth")
        journal.wait_lines(vm, ["second", "fourth"])

    def test_reload_does_not_cut_a_line(self):
        journal = self.journal()
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        vm.send(b"be")
        client.wait_data(b"be")
        vspcd.reload()
        vm.send(b"fore\n")
        wait_for(lambda: journal.lines(vm), "a line")
        # A second may have passed on a busy machine.
        self.assertEqual("".join(journal.lines(vm)), "before")

    def test_hostile_output_and_names_make_entries_that_are_text(self):
        journal = self.journal()
        vspcd = self.start()
        vms = [connected_vm(vspcd, name) for name in HOSTILE_NAMES]
        for i, vm in enumerate(vms):
            vm.send(ALL_BYTES * 50 + b"\x1b[" + os.urandom(5000) + b"\x18\n\x1b]0;never ended\nend of %d\n" % i)
        for i, vm in enumerate(vms):
            wait_for(lambda i=i, vm=vm: f"end of {i}" in journal.lines(vm), "the last line")
        for entry in journal.entries():
            self.assertIsInstance(entry["MESSAGE"], str, entry)  # journalctl shows what is no text as a list
            self.assertIsInstance(entry["VSPC_VM_NAME"], str, entry)
            self.assertEqual(entry["SYSLOG_IDENTIFIER"][0], "vspc-console")
            self.assertTrue(entry["SYSLOG_IDENTIFIER"][1].startswith("vspc-console/"), entry)

    def test_where_there_is_no_journal_that_is_said_once_and_consoles_go_on(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        for i in range(3):
            vm.send(b"line %d\n" % i)
            client.wait_data(b"line %d" % i)
            vspcd.wait_logged("There is no journal here")
        journal = self.journal()
        vm.send(b"line 3\n")
        vspcd.wait_logged("There is a journal now")
        journal.wait_line(vm, "line 3")
        self.assertEqual(vspcd.count_logged("There is no journal here"), 1)


    def test_what_a_journal_that_has_died_does_not_take_is_counted(self):
        """Its socket is there, and nobody hears what is sent to it."""
        journal = self.journal()
        vspcd = self.start()
        vm, other = connected_vm(vspcd), connected_vm(vspcd)
        client = TelnetClient(vm)
        journal.process.kill()
        journal.process.wait()
        said = [f"line {i}" for i in range(50)]
        for line in said:
            vm.send(line.encode() + b"\n")
            client.wait_data(line.encode())
        other.send(b"the last\n")
        other.close()
        vspcd.wait_logged(rf"VM {other.name} .*: 8 bytes of its output are missing in the journal")
        journal = self.journal()

        def taken():
            said.append(f"then line {len(said)}")
            vm.send(said[-1].encode() + b"\n")
            return any(line in said for line in journal.lines(vm))

        wait_for(taken, "a line to be logged again")
        journal.wait_line(vm, said[-1])
        gap, *lines = journal.lines(vm)
        self.assertEqual(lines, said[-len(lines):])
        missing = sum(map(len, said[:-len(lines)]))
        self.assertEqual(gap, f"{missing} bytes of console output were not logged")


    def test_what_a_dead_journal_has_not_taken_of_a_vm_that_goes_is_told_elsewhere(self):
        journal = self.journal()
        vspcd = self.start()
        vm = connected_vm(vspcd)
        journal.process.kill()
        journal.process.wait()
        vm.send(b"last words\n")
        vm.close()
        vspcd.wait_logged(rf"VM {vm.name} .*: 10 bytes of its output are missing in the journal")


class Forgery(JournalCase):
    """Whoever may log in may write to the journal."""

    CGROUPS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup")  # journald asks the first of these

    def start_as_unit(self, name="vspc-e2e-logger", **kwargs):
        """vspc-logger is a service as far as journald can see. Returns: vspcd, and the name of the service."""
        unit = f"{name}-{os.getpid()}.service"
        root = next((path for path in self.CGROUPS if os.path.exists(f"{path}/cgroup.procs")), None)
        group = f"{root}/system.slice/{unit}"
        try:
            os.makedirs(group)
        except OSError as e:
            self.skipTest(f"no control group can be made for vspc-logger: {e}")
        self.addCleanup(os.rmdir, group)
        self.start_logger(env={}, wrapper=("sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh"))
        return self.start(**kwargs), unit

    def log(self, vspcd, *args):
        return subprocess.run([CLIENT, "--socket", vspcd.admin_path, "log", *args, "--output=cat", "--no-pager"],
                              capture_output=True, text=True, timeout=30, check=False, env=clean_environment())

    def test_what_others_write_is_not_shown_as_what_a_console_has_said(self):
        journal = self.journal()
        vspcd, unit = self.start_as_unit(local=True)
        vm = connected_vm(vspcd, "web01")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as forger:
            for number in range(2):
                forger.sendto(f"MESSAGE=forged {number}\nSYSLOG_IDENTIFIER=vspc-console\nVSPC_VM_NAME=web01\n"
                              f"VSPC_VM_UUID={vm.id}\nVSPC_URI=s0\n_SYSTEMD_UNIT={unit}\n".encode(), SOCKET)
        vm.send(b"genuine\n")
        wait_for(lambda: len(journal.lines(vm)) == 3, "the three entries")

        result = self.log(vspcd, "web01", f"--unit={unit}")
        self.assertEqual((result.returncode, result.stdout), (0, "genuine\n"), result)
        self.assertNotIn("forged", self.log(vspcd, "web01").stdout)
        vspcd.end()
        result = self.log(vspcd, "web01", f"--unit={unit}")  # by its name
        self.assertEqual((result.returncode, result.stdout), (0, "genuine\n"), result)


class StoppedJournal(JournalCase):
    def flood(self, vm, n, number):
        """@n bytes in lines of 80."""
        line = b"%08d " + b"." * 69 + b"\r\n"
        for i in range(0, n // 80, 800):
            vm.send(b"".join(line % (number + k) for k in range(i, min(i + 800, n // 80))))

    def test_consoles_go_on_what_does_not_fit_is_counted_and_reported_once(self):
        journal = self.journal()
        vspcd = self.start()
        loud = [connected_vm(vspcd, f"loud{i}") for i in range(2)]
        quiet = connected_vm(vspcd, "quiet")
        clients = [TelnetClient(vm) for vm in (*loud, quiet)]
        for vm in (*loud, quiet):
            vm.send(b"hello\r\n")
            journal.wait_lines(vm, ["hello"])
        rss = vspcd.rss()

        journal.signal(signal.SIGSTOP)
        n, ends = 0, time.monotonic() + STOPPED_SEC
        while time.monotonic() < ends:
            for vm, client in zip(loud, clients):
                self.flood(vm, 80 * 20000, n // 80)
                client.pump()
                client.data.clear()
            n += 80 * 20000
        for vm, client in zip(loud, clients):
            vm.send(b"end of flood\r\n")
            client.wait_data(b"end of flood")
        for i in range(20):
            quiet.send(b"key %d\r\n" % i)
            clients[2].wait_data(b"key %d\r\n" % i)
        if not SANITIZED:
            self.assertLess(vspcd.rss() - rss, 24 << 20)
        journal.signal(signal.SIGCONT)

        journal.wait_lines(quiet, ["hello"] + [f"key {i}" for i in range(20)])
        for vm in loud:
            wait_for(lambda vm=vm: self.gaps(journal, vm), "the entry that says what is missing")
            vm.send(b"it goes on\r\n")
            journal.wait_line(vm, "it goes on")
            self.assert_accounted_for(journal, vm, n + len(b"end of flood"))

    def gaps(self, journal, vm):
        return journal.entries(f"VSPC_VM_UUID={vm.id}", "PRIORITY=4")

    def assert_accounted_for(self, journal, vm, sent):
        """All that was sent in the flood is there in its order, or counted in one entry where it is missing. What is there is
        its beginning and its end."""
        gaps = self.gaps(journal, vm)
        self.assertEqual(len(gaps), 1)
        dropped = int(gaps[0]["MESSAGE"].split()[0])
        self.assertEqual(gaps[0]["MESSAGE"], f"{dropped} bytes of console output were not logged")
        self.assertEqual(gaps[0]["MESSAGE_ID"], OUTPUT_NOT_LOGGED)

        lines = journal.lines(vm)
        self.assertEqual((lines[0], lines[-2:]), ("hello", ["end of flood", "it goes on"]))
        whole = [line for line in lines if len(line) == 78]
        self.assertEqual(whole, sorted(set(whole)))
        self.assertEqual(int(whole[-1].split()[0]), sent // 80 - 1)
        at = lines.index(gaps[0]["MESSAGE"])
        cut = [line for line in lines[at - 1:at + 2:2] if len(line) < 78]
        logged = 80 * len(whole) + sum(map(len, cut)) + len("end of flood")
        self.assertLessEqual(abs(logged + dropped - sent), 80 * len(cut))
        self.assertGreater(80 * len(whole), PENDING_MAX // 2 - 65536)

        positions = [int(e["VSPC_POSITION"]) for e in journal.entries(f"VSPC_VM_UUID={vm.id}")]
        self.assertEqual(positions, sorted(set(positions)))
        self.assertTrue(positions[at] + dropped <= positions[at + 1] < positions[at] + dropped + 80)

    def test_it_ends_though_the_journal_takes_nothing(self):
        journal = self.journal()
        vspcd = self.start()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        journal.signal(signal.SIGSTOP)
        self.flood(vm, 2 * 1024 * 1024, 0)
        vm.send(b"end of flood")
        client.wait_data(b"end of flood")
        begun = time.monotonic()
        vspcd.signal(signal.SIGTERM)
        self.assertEqual(vspcd.wait_exit(), 0)
        self.assertLess(time.monotonic() - begun, 10)

    def test_files_are_written_though_the_journal_takes_nothing(self):
        journal = self.journal()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        vspcd = self.start(logger_env={"LOGS_DIRECTORY": folder}, console_log={"Files": "yes"})
        vm = connected_vm(vspcd)
        journal.signal(signal.SIGSTOP)
        for i in range(20):
            self.flood(vm, 65536, i * 1000)
            wait_for(lambda i=i: content(folder, vm).count(b"\n") == (i + 1) * 819, "the file to have it all")

    def test_files_are_written_though_the_journal_takes_nothing_of_a_vm_that_comes_and_goes(self):
        """Each time is a stream of its own, of which only so many wait for the journal."""
        journal = self.journal()
        folder = self.enterContext(tempfile.TemporaryDirectory())
        vspcd = self.start(logger_env={"LOGS_DIRECTORY": folder}, console_log={"Files": "yes"})
        vm, caller = connected_vm(vspcd), Caller(vspcd)
        journal.signal(signal.SIGSTOP)
        for i in range(20):  # until vspc-logger waits for the journal
            self.flood(vm, 65536, i * 1000)
            wait_for(lambda i=i: content(folder, vm).count(b"\n") == (i + 1) * 819, "the file to have it all")
        for i in range(STREAMS_MAX + 2):
            vm.close()
            wait_for(lambda vm=vm: not caller.vm(vm.name)["connected"], "the VM to be gone")
            vm = connected_vm(vspcd, vm.name, digits=vm.digits)
            vm.send(b"again %d\n" % i)
            wait_for(lambda i=i: content(folder, vm).endswith(b"again %d\n" % i), "the file to have it")


class FilesCase(LogCase):
    def setUp(self):
        super().setUp()
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def start(self, *args, console_log=None, logger_env=None, **kwargs):
        return super().start(*args, logger_env={"LOGS_DIRECTORY": self.folder + ":/nowhere", **(logger_env or {})},
                             console_log={"Files": "yes", **(console_log or {})}, **kwargs)

    def reopen(self):
        """As "systemctl reload" does. Its files are closed when it has done that."""
        self.logger.signal(signal.SIGHUP)
        wait_for(lambda: self.logger.n_open(self.folder) == 0, "its files to be closed")

    def wait_content(self, vm, want):
        wait_for(lambda: content(self.folder, vm) == want,
                 lambda: f"{len(want)} bytes in the file, which has {content(self.folder, vm)[-200:]!r}")

    def small_disk(self, size):
        """The folder is a disk of that size from now on."""
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", self.folder], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "--lazy", self.folder], check=False))


class Files(FilesCase):
    def test_all_bytes_are_there_as_they_came(self):
        vm = connected_vm(self.start(), "web01")
        said = os.urandom(300000) + ALL_BYTES * 100
        for i in range(0, len(said), 20000):
            vm.send(said[i:i + 20000])
            self.wait_content(vm, said[:i + 20000])
        self.assertEqual(stat.S_IMODE(os.stat(path(self.folder, vm)).st_mode), 0o600)

    def test_prefix_and_mode_are_what_the_configuration_says(self):
        vspcd = self.start(console_log={"Prefix": "prod", "Mode": "0664"})
        vm = connected_vm(vspcd, "web01")
        vm.send(b"one")
        wait_for(lambda: glob.glob(path(self.folder, vm, "prod-")) and os.path.getsize(path(self.folder, vm, "prod-")),
                 "something in the file")
        self.assertEqual(stat.S_IMODE(os.stat(path(self.folder, vm, "prod-")).st_mode), 0o664)
        vspcd.reload(console_log={"Files": "yes"})
        vm.send(b"two")
        self.wait_content(vm, b"two")

    def test_whatever_vms_are_called_their_files_are_here_in_view_and_their_own(self):
        vspcd = self.start()
        vms = [connected_vm(vspcd, name) for name in HOSTILE_NAMES + ["same"] * 3]
        for i, vm in enumerate(vms):
            vm.send(b"I am %d" % i)
        for i, vm in enumerate(vms):
            def found(vm=vm):
                return [name for name in os.listdir(self.folder) if name.endswith(f"-{vm.id}.log")]
            (name,) = wait_for(found, "the file")
            self.assertFalse(name.startswith((".", "-")), name)
            self.assertLess(len(os.fsencode(name)), 240)

            def text(name=name):
                with open(os.path.join(self.folder, name), "rb") as f:
                    return f.read()
            wait_for(lambda i=i: text() == b"I am %d" % i, "what the VM has said")
        self.assertEqual(len(os.listdir(self.folder)), len(vms))

    def test_vms_of_one_uuid_have_a_file_each(self):
        vm = connected_vm(self.start(), "web")
        clone = connected_clone(vm, "web")
        for each in (vm, clone):
            each.send(each.id.encode())
        for each in (vm, clone):
            self.wait_content(each, each.id.encode())

    def test_a_vm_that_is_renamed_goes_on_in_another_file(self):
        vspcd = self.start()
        vm = connected_vm(vspcd, "old")
        vm.send(b"before")
        self.wait_content(vm, b"before")
        vm.send_raw(sub(NAME, b"new"))
        vspcd.wait_logged("is now called new")
        vm.send(b"after")
        wait_for(lambda: content(self.folder, vm) == b"before", "the old file")
        vm.name = "new"
        self.wait_content(vm, b"after")

    def test_a_file_that_is_there_is_added_to(self):
        for text in (b"one\n", b"two\n"):
            vspcd = self.start()
            vm = connected_vm(vspcd, "web01", digits="5012" + "ab" * 14)
            vm.send(text)
            wait_for(lambda text=text, vm=vm: content(self.folder, vm).endswith(text), "the line")
            vm.close()
            vspcd.signal(signal.SIGTERM)
            vspcd.wait_exit()
        self.assertEqual(content(self.folder, vm), b"one\ntwo\n")

    def test_reload_after_rotation_begins_a_new_file(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(b"one")
        self.wait_content(vm, b"one")
        os.rename(path(self.folder, vm), path(self.folder, vm) + ".1")
        vm.send(b"two")
        wait_for(lambda: os.path.getsize(path(self.folder, vm) + ".1") == 6, "the old file to go on")
        self.reopen()
        vm.send(b"three")
        wait_for(lambda: b"three" in content(self.folder, vm), "the new file")
        self.assertEqual(content(self.folder, vm), b"three")

    def test_more_vms_than_files_may_be_open(self):
        vspcd = self.start(ports=320, VMPorts="no")
        vms = [connected_vm(vspcd) for _ in range(300)]
        for text in (b"one", b"two"):
            for vm in vms:
                vm.send(text)
        for vm in vms:
            self.wait_content(vm, b"onetwo")
        self.assertLessEqual(self.logger.n_open(self.folder), 256)

    def test_when_descriptors_run_out_files_give_way(self):
        self.start_logger(env={"LOGS_DIRECTORY": self.folder}, wrapper=("prlimit", "--nofile=40"))
        vspcd = self.start(VMPorts="no")
        vms = [connected_vm(vspcd) for _ in range(80)]
        for i in range(3):
            for vm in vms:
                vm.send(b"%d" % i)
        for vm in vms:
            self.wait_content(vm, b"012")

    def test_a_link_or_a_pipe_in_a_files_place_is_not_written_to(self):
        outside = self.enterContext(tempfile.NamedTemporaryFile())
        vspcd = self.start()
        linked, piped = (EsxiVm(vspcd, "web01") for _ in range(2))
        os.symlink(outside.name, path(self.folder, linked))
        os.mkfifo(path(self.folder, piped))
        for vm in (linked, piped):
            client = TelnetClient(vm.connect())
            vm.send(b"hello")
            client.wait_data(b"hello")
        vspcd.wait_logged(r"Cannot write .*web01-")
        vspcd.wait_status("2 VMs, 2 clients")  # a file that is another's is no trouble of the disk
        vspcd.has_logged("nothing")
        self.assertEqual(os.path.getsize(outside.name), 0)

    def test_without_a_folder_consoles_go_on(self):
        vspcd = super(FilesCase, self).start(console_log={"Files": "yes"})
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        vm.send(b"hello")
        client.wait_data(b"hello")
        vspcd.wait_logged(r"Files=yes has no effect: \$LOGS_DIRECTORY is not set")


@unittest.skipUnless(os.path.exists("/usr/sbin/logrotate"), "logrotate is not installed")
class Logrotate(FilesCase):
    """The real one, with the snippet that is shipped. systemctl is played by a script: nobody is PID 1 here."""

    SNIPPET = os.path.join(os.path.dirname(__file__), "../../units/logrotate.conf")
    KEPT = 14

    def bind(self, target, content_of):
        """@target has that content in this mount namespace."""
        path = os.path.join(self.own, os.path.basename(target))
        with open(path, "w", encoding="utf-8") as f:
            f.write(content_of)
        subprocess.run(["mount", "--bind", path, target], check=True)
        self.addCleanup(subprocess.run, ["umount", target], check=True)

    def make_user(self):
        for find, name, target, line in (
                (pwd.getpwnam, "vspc-logger", "/etc/passwd", "vspc-logger:x:64055:64055::/:/usr/sbin/nologin\n"),
                (grp.getgrnam, "vspc", "/etc/group", "vspc:x:64055:\n")):
            try:
                find(name)
            except KeyError:
                with open(target, encoding="utf-8") as f:
                    self.bind(target, f.read().rstrip("\n") + "\n" + line)
        return pwd.getpwnam("vspc-logger").pw_uid, grp.getgrnam("vspc").gr_gid

    def setUp(self):
        super().setUp()
        with open("/proc/self/uid_map", encoding="ascii") as f:
            if os.geteuid() != 0 or int(f.read().split()[2]) == 1:
                self.skipTest("vspcd cannot be made another user's: that wants root")
        self.own = self.enterContext(tempfile.TemporaryDirectory())
        user, group = self.make_user()

        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/var/log"], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", "/var/log"], check=True)
        self.folder = "/var/log/vspc"
        os.mkdir(self.folder, 0o750)
        os.chown(self.folder, user, group)

        ids = [f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        self.start_logger(env={"LOGS_DIRECTORY": self.folder}, wrapper=("setpriv", *ids))
        self.vspcd = self.start()
        self.snippet = os.path.join(self.own, "vspc")
        shutil.copyfile(self.SNIPPET, self.snippet)
        with open(os.path.join(self.own, "systemctl"), "w", encoding="ascii") as f:
            f.write("#!/bin/sh\n[ \"$*\" = 'try-reload-or-restart vspc-logger.service' ] && kill -HUP $(cat \"$0.pid\")\n")
        os.chmod(os.path.join(self.own, "systemctl"), 0o755)

    def rotate(self):
        """Returns: once vspc-logger has been told."""
        with open(os.path.join(self.own, "systemctl.pid"), "w", encoding="ascii") as f:
            f.write(str(self.logger.pid))
        result = subprocess.run(["/usr/sbin/logrotate", "--force", f"--state={self.own}/state", self.snippet],
                                env=clean_environment(PATH=f"{self.own}:/usr/sbin:/usr/bin:/sbin:/bin"),
                                capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        wait_for(lambda: self.logger.n_open(self.folder) == 0, "its files to be closed")

    def files(self, vm):
        return [name for name in os.listdir(self.folder) if vm.id in name]

    def read(self, name):
        with (gzip.open if name.endswith(".gz") else open)(os.path.join(self.folder, name), "rb") as f:
            return f.read()

    def test_no_byte_is_lost_whatever_vms_are_called(self):
        vms = [connected_vm(self.vspcd, name) for name in HOSTILE_NAMES]
        for text in (b"one\n", b"two\n", b"three\n"):
            for vm in vms:
                vm.send(text)
            for vm in vms:
                wait_for(lambda vm=vm, text=text: any(text in self.read(name) for name in self.files(vm)),
                         "what it has said")
            self.rotate()

        for vm in vms:
            by_suffix = {name.rsplit(".log", 1)[1]: self.read(name) for name in self.files(vm)}
            self.assertEqual(by_suffix, {".1": b"three\n", ".2.gz": b"two\n", ".3.gz": b"one\n"})
            vm.send(b"four\n")
            name = next(name for name in self.files(vm) if name.endswith(".1"))[:-2]
            path_now = os.path.join(self.folder, name)
            wait_for(lambda path_now=path_now: os.path.exists(path_now) and os.path.getsize(path_now) == 5,
                     "a new file")
            self.assertEqual(stat.S_IMODE(os.stat(path_now).st_mode), 0o600)

    def test_as_many_are_kept_as_the_snippet_says(self):
        vm = connected_vm(self.vspcd, "web01")
        for number in range(self.KEPT + 3):
            vm.send(b"%d\n" % number)
            self.wait_content(vm, b"%d\n" % number)
            self.rotate()
        self.assertEqual(len(self.files(vm)), self.KEPT)
        self.assertIn(os.path.basename(path(self.folder, vm)) + f".{self.KEPT}.gz", self.files(vm))


class BrokenDisk(FilesCase):
    def test_a_disk_that_is_full_costs_what_does_not_fit(self):
        self.small_disk("64k")
        vspcd, began = self.start(), time.monotonic()
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        for _ in range(5):
            vm.send(b"x" * 40000)
            client.wait(lambda: len(client.data) >= 40000, "the output")
            client.take()
        vspcd.wait_logged(r"Cannot write .*: No space left on device")
        vspcd.wait_status("1 VM, 1 client, consoles cannot be logged to files: No space left on device")
        vm.send(b"|")
        client.wait_data(b"|")
        self.assertEqual(os.path.getsize(path(self.folder, vm)), 65536)
        os.truncate(path(self.folder, vm), 0)
        missing = wait_for(lambda: self.missing(vspcd, vm), "what is missing to be logged")
        self.assertLessEqual(vspcd.count_logged("Cannot write"), 1 + (time.monotonic() - began) // LOG_EVERY_SEC)
        vspcd.wait_status("1 VM, 1 client")

        # Each byte has been written or counted.
        wait_for(lambda: 65536 + missing + len(content(self.folder, vm)) == 200001 + self.n_dots, "the rest")

    n_dots = 0

    def missing(self, vspcd, vm):
        vm.send(b".")
        self.n_dots += 1
        found = vspcd.logged(r"(\d+) bytes of its output are missing in " + os.path.basename(path(self.folder, vm)))
        return found and int(found[1])

    def test_a_folder_that_goes_and_comes_back(self):
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(b"one")
        self.wait_content(vm, b"one")
        os.rename(self.folder, self.folder + ".gone")
        self.addCleanup(shutil.rmtree, self.folder + ".gone")
        self.logger.signal(signal.SIGHUP)
        wait_for(lambda: self.logger.n_open(self.folder) == 0, "its files to be closed")
        vm.send(b"two")
        vspcd.wait_logged(r"Cannot write .*: No such file or directory")
        os.mkdir(self.folder)
        self.assertGreaterEqual(wait_for(lambda: self.missing(vspcd, vm), "what is missing to be logged"), 3)
        self.assertRegex(content(self.folder, vm), rb"^\.+$")

    def test_a_disk_with_errors_costs_what_it_does_not_take(self):
        faults = self.faults()
        vspcd = self.start(logger_env=faults.env)
        vm = connected_vm(vspcd)
        client = TelnetClient(vm)
        vm.send(b"one")
        self.wait_content(vm, b"one")
        faults.inject(("write", errno.EIO, self.folder))
        vm.send(b"two")
        client.wait_data(b"two")
        vspcd.wait_logged(r"Cannot write .*: Input/output error")
        vspcd.wait_status("1 VM, 1 client, consoles cannot be logged to files: Input/output error")
        faults.clear()
        missing = wait_for(lambda: self.missing(vspcd, vm), "what is missing to be logged")
        self.assertGreaterEqual(missing, len(b"two"))
        wait_for(lambda: len(content(self.folder, vm)) + missing == len(b"onetwo") + self.n_dots, "the rest")
        self.assertRegex(content(self.folder, vm), rb"^one\.+$")

    def test_a_disk_that_is_read_only_for_a_while(self):
        self.small_disk("1M")
        vspcd = self.start()
        vm = connected_vm(vspcd)
        vm.send(b"one")
        self.wait_content(vm, b"one")
        self.reopen()
        subprocess.run(["mount", "-o", "remount,bind,ro", self.folder], check=True)
        vm.send(b"two")
        vspcd.wait_logged(r"Cannot write .*: Read-only file system")
        subprocess.run(["mount", "-o", "remount,bind,rw", self.folder], check=True)
        wait_for(lambda: self.missing(vspcd, vm), "what is missing to be logged")
        self.assertRegex(content(self.folder, vm), rb"^one\.+$")


if __name__ == "__main__":
    enter_namespace()
    main()
