# SPDX-License-Identifier: LGPL-2.1-or-later

"""import-vspcpy: shelves made by Python's modules, pickles made by Python 2, and malicious pickles."""

import dbm.dumb
import errno
import importlib
import os
import pickle
import shelve
import shutil
import sqlite3
import stat
import subprocess
import tempfile
import unittest

from harness import PortBlock, TestCase, main
from peers import EsxiVm

TOOL = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "import-vspcpy")


def find(module):
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


gnu, ndbm = find("dbm.gnu"), find("dbm.ndbm")


def uuid(n):
    """As vSPC.py keeps it: 16 hex digits, a dash, 16 hex digits"""
    return f"5012{n:012x}-{n:016x}"


def shown(n):
    digits = uuid(n).replace("-", "")
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def entry(n, **changes):
    return {"uuid": uuid(n), "name": f"vm{n}", "port": 50000 + n, **changes}


class Exploit:
    """Runs a command when it is unpickled by who does not take care."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class ImportTest(TestCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="vspc-e2e-import-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.shelf = os.path.join(self.folder, "vms")
        self.state = os.path.join(self.folder, "state")
        self.output = os.path.join(self.state, "vm-ports")

    def make(self, entries, module=dbm.dumb, protocol=0):
        """A shelf of values that are bytes already, or are to be pickled."""
        with module.open(self.shelf, "n") as database:
            for key, value in entries.items():
                database[key.encode("utf-8", "surrogateescape")] = (
                    value if isinstance(value, bytes) else pickle.dumps(value, protocol))

    def run_tool(self, *arguments, file=None, status=0, env=None):
        arguments = [f"--output={self.state}", f"--owner={self.owner()}", *arguments]
        result = subprocess.run([TOOL, *arguments, file or self.shelf], capture_output=True, text=True, timeout=60,
                                check=False, env={**os.environ, **(env or {})})
        self.assertEqual(result.returncode, status, result.stderr)
        return result

    @staticmethod
    def owner():
        return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()

    def mappings(self):
        """ID → its values, of the last line of each"""
        if not os.path.exists(self.output):
            return {}
        with open(self.output, encoding="utf-8", newline="\n") as f:
            first, *lines, last = f.read().split("\n")
        self.assertEqual((first, last), ("vspc-mappings 1", ""))
        found = {}
        for line in lines:
            checksum, *fields = line.split("\t")
            self.assertEqual(checksum, "-")
            mapping = dict(field.split("=", 1) for field in fields)
            found[mapping["ID"]] = mapping
        return found

    def mappings_text(self):
        with open(self.output, encoding="utf-8") as f:
            return f.read()

    def names(self):
        return {m["NAME"] for m in self.mappings().values()}

    def assert_imported(self, *numbers):
        self.assertEqual(self.mappings().keys(), {shown(n) for n in numbers})
        for n in numbers:
            mapping = self.mappings()[shown(n)]
            self.assertGreater(int(mapping.pop("STORED")), 1.7e15)
            self.assertEqual(mapping, {"ID": shown(n), "URI": "", "NAME": f"vm{n}", "PORT": str(50000 + n)})

    def assert_skipped(self, entries, why):
        """A shelf of these and of a good one"""
        self.make({uuid(1): entry(1), **entries})
        result = self.run_tool(status=1)
        self.assertRegex(result.stderr, why)
        self.assertEqual(result.stdout, f"1 imported, {len(entries)} skipped\n")
        self.assert_imported(1)
        return result


class Databases(ImportTest):
    def all_protocols(self, module):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            self.make({uuid(n): entry(n) for n in range(5)}, module, protocol)
            result = self.run_tool("--force")
            self.assertEqual((result.stdout, result.stderr), ("5 imported, 0 skipped\n", ""))
            self.assert_imported(*range(5))

    def test_dumbdbm(self):
        self.all_protocols(dbm.dumb)

    @unittest.skipUnless(gnu, "there is no dbm.gnu")
    def test_gnu_dbm(self):
        self.all_protocols(gnu)

    @unittest.skipUnless(ndbm, "there is no dbm.ndbm")
    def test_ndbm(self):
        self.all_protocols(ndbm)

    @unittest.skipUnless(ndbm and ndbm.library == "Berkeley DB", "there is no Berkeley DB")
    def test_berkeley_db_under_the_name_that_python_2_has_given_it(self):
        self.make({uuid(n): entry(n) for n in range(5)}, ndbm)
        os.rename(self.shelf + ".db", self.shelf)
        self.run_tool()
        self.assert_imported(*range(5))

    def test_sqlite(self):
        database = sqlite3.connect(self.shelf)
        database.execute("CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)")
        for n in range(5):
            database.execute("INSERT INTO Dict VALUES (?, ?)", (uuid(n).encode(), pickle.dumps(entry(n))))
        database.commit()
        database.close()
        self.run_tool()
        self.assert_imported(*range(5))

    def test_what_shelve_itself_makes_of_it_here(self):
        with shelve.open(self.shelf) as shelf:
            for n in range(5):
                shelf[uuid(n)] = entry(n)
        self.run_tool()
        self.assert_imported(*range(5))

    def test_thousands_of_vms(self):
        self.make({uuid(n): entry(n, port=1024 + n) for n in range(2000)})
        result = self.run_tool()
        self.assertEqual(result.stdout, "2000 imported, 0 skipped\n")
        self.assertIn("ports from 1024 to 3023 are in use: VMPortRangeStart= and VMPortRangeEnd= must", result.stderr)

    def test_an_empty_one(self):
        self.make({})
        self.assertEqual(self.run_tool().stdout, "0 imported, 0 skipped\n")

    def test_one_that_is_not_there(self):
        self.assertIn(f"{self.shelf}: No such file", self.run_tool(status=1).stderr)

    def test_one_that_is_none(self):
        for content in (b"", b"\0", b"not a database at all", bytes(range(256)) * 16):
            with open(self.shelf, "wb") as f:
                f.write(content)
            result = self.run_tool(status=1)
            self.assertIn(f"{self.shelf}: it is not a database of Python's shelve module", result.stderr)
            self.assertNotIn("Traceback", result.stderr)

    def test_one_that_is_cut_off(self):
        self.make({uuid(n): entry(n) for n in range(200)})
        with open(self.shelf + ".dat", "r+b") as f:
            f.truncate(10000)
        result = self.run_tool(status=1)
        self.assertNotIn("Traceback", result.stderr)
        self.assertGreater(len(self.mappings()), 10)
        self.assertLess(len(self.mappings()), 200)

    @unittest.skipUnless(ndbm, "there is no dbm.ndbm")
    def test_one_of_the_c_library_s_that_is_cut_off(self):
        self.make({uuid(n): entry(n) for n in range(200)}, ndbm)
        path = next(self.shelf + suffix for suffix in (".db", ".pag") if os.path.exists(self.shelf + suffix))
        with open(path, "r+b") as f:
            f.truncate(os.path.getsize(path) // 2)
        result = self.run_tool(status=1)
        self.assertNotIn("Traceback", result.stderr)

    def test_the_shelf_stays_as_it_is(self):
        self.make({uuid(1): entry(1)})
        before = {name: os.stat(os.path.join(self.folder, name)) for name in os.listdir(self.folder)}
        self.run_tool()
        after = {name: os.stat(os.path.join(self.folder, name)) for name in before}
        self.assertEqual({n: (s.st_mtime_ns, s.st_size) for n, s in before.items()},
                         {n: (s.st_mtime_ns, s.st_size) for n, s in after.items()})


class Python2(ImportTest):
    """As the pickle and cPickle modules of Python 2.7 have written it."""

    PROTOCOL_0 = b"(dp0\nS'uuid'\np1\nS'%s'\np2\nsS'name'\np3\nS'%s'\np4\nsS'port'\np5\nI%d\ns."
    C_PROTOCOL_0 = b"(dp1\nS'port'\np2\nI%d\nsS'uuid'\np3\nS'%s'\np4\nsS'name'\np5\nV%s\np6\ns."

    def test_text_protocol(self):
        self.make({uuid(1): self.PROTOCOL_0 % (uuid(1).encode(), b"caf\\xc3\\xa9 \\'web\\'", 50001)})
        self.run_tool()
        self.assertEqual(self.names(), {"café 'web'"})

    def test_unicode_names(self):
        self.make({uuid(1): self.C_PROTOCOL_0 % (50001, uuid(1).encode(), b"caf\\u00e9")})
        self.run_tool()
        self.assertEqual(self.names(), {"café"})

    def test_binary_protocols(self):
        for header in (b"", b"\x80\x02"):
            name = "café".encode()
            self.make({uuid(1): header + b"}q\x00(U\x04uuidq\x01U\x21" + uuid(1).encode() + b"q\x02U\x04nameq\x03U"
                       + bytes([len(name)]) + name + b"q\x04U\x04portq\x05MQ\xc3u."})
            self.run_tool("--force")
            self.assertEqual(self.names(), {"café"})
            self.assertEqual(self.mappings()[shown(1)]["PORT"], "50001")

    def test_long_numbers(self):
        self.make({uuid(1): (self.PROTOCOL_0 % (uuid(1).encode(), b"vm1", 50001)).replace(b"I50001", b"L50001L")})
        self.run_tool()
        self.assert_imported(1)


class MultiConsole(ImportTest):
    def test_the_uri_belongs_to_the_identity(self):
        key = f"{uuid(1)}_com1"
        self.make({key: entry(1, uuid=key, name="vm1_com1")})
        result = self.run_tool()
        self.assertIn("MultiConsole=yes is needed", result.stderr)
        mapping = self.mappings()[f"{shown(1)}_com1"]
        self.assertEqual([mapping[k] for k in ("ID", "URI", "NAME")], [f"{shown(1)}_com1", "com1", "vm1_com1"])

    def test_a_uri_of_any_kind_is_text_in_the_file(self):
        uris = ["../../../etc/passwd", "u" * 1000, "telnet://a b:1"]
        keys = {n: f"{uuid(n)}_{uri}" for n, uri in enumerate(uris)}
        self.make({key: entry(n, uuid=key) for n, key in keys.items()})
        self.run_tool()
        self.assertEqual(os.listdir(self.state), ["vm-ports"])
        self.assertEqual(set(self.mappings()), {f"{shown(n)}_{uri}" for n, uri in enumerate(uris)})


class Harm(ImportTest):
    def test_pickles_that_run_something_do_not(self):
        canary = os.path.join(self.folder, "canary")
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            for harm in (Exploit(f"touch {canary}"), entry(2, name=Exploit(f"touch {canary}"))):
                self.make({uuid(1): entry(1), uuid(2): pickle.dumps(harm, protocol)})
                result = self.run_tool("--force", status=1)
                self.assertRegex(result.stderr, uuid(2) + " is skipped: its pickle is not a plain dictionary of text "
                                                          r"and numbers, so it is not run \(opcode \w+\)")
                self.assert_imported(1)
                self.assertFalse(os.path.exists(canary))

    def test_each_opcode_that_could_do_something_is_refused(self):
        for program in (b"cos\nsystem\n.", b"(S'true'\nios\nsystem\n.", b"cos\nsystem\n(S'true'\ntR.",
                        b"(cos\nsystem\nS'true'\no.", b"\x80\x02cos\nsystem\n)\x81.", b"P1\n.", b"I1\nQ.",
                        b"\x80\x02\x82\x01.", b"\x80\x02\x83\x01\0.", b"\x80\x02\x84\x01\0\0\0.", b"}(ub.",
                        b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"\x80\x05\x97.", b"\x80\x05\x96\xff\xff\xff\xff\xff"
                        b"\xff\xff\x7f.", b"\x80\x02\x8b\xff\xff\xff\x7f."):
            self.assert_skipped({uuid(2): program}, uuid(2) + " is skipped: its pickle is not a plain dictionary")
            os.unlink(self.output)

    def test_pickles_that_are_damaged(self):
        good = pickle.dumps(entry(2), 2)
        damaged = [b"", b".", b"(", good[:-1], good[:20], b"S'x", b"I1", b"X\xff\xff\xff\x7f.",
                   b"T\xff\xff\xff\xff.", b"g5\n.", b"}}s.", b"(}}u.", b"\x80\xff.", b"r\xff\xff\xff\xff.",
                   b"\x80\x04\x95" + b"\xff" * 8 + b".", b"Inan\n.", b"(" * 60000, b"}" * 60000 + b"."]
        self.make({uuid(1): entry(1), **{uuid(2 + i): program for i, program in enumerate(damaged)}})
        result = self.run_tool(status=1)
        self.assertNotIn("Traceback", result.stderr)
        self.assertEqual(result.stderr.count("is skipped: it"), len(damaged))
        self.assert_imported(1)

    def test_an_entry_is_not_as_large_as_one_likes(self):
        self.assert_skipped({uuid(2): entry(2, name="x" * 70000)}, "it has more than 65536 bytes")

    def test_names_are_made_fit_for_people(self):
        self.make({uuid(1): entry(1, name="a\nPORT=1\x1b[31m\u202e\ud800"), uuid(2): entry(2, name="é" * 600),
                   uuid(3): entry(3, name="")}, protocol=2)
        self.run_tool()
        by_uuid = {m["ID"]: m["NAME"] for m in self.mappings().values()}
        self.assertRegex(by_uuid[shown(1)], "^a\ufffdPORT=1\ufffd\\[31m\ufffd+$")
        self.assertEqual(by_uuid[shown(2)], "é" * 256)
        self.assertEqual(by_uuid[shown(3)], shown(3))
        self.assertEqual({m["PORT"] for m in self.mappings().values()}, {"50001", "50002", "50003"})

    NONCHARACTERS = "\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0001ffff\U0010fffe\U0010ffff"

    def test_noncharacters_are_nobody_s_name(self):
        """Nor their neighbours' fault, which are characters."""
        self.make({uuid(1): entry(1, name=f"a{self.NONCHARACTERS}b"),
                   uuid(2): entry(2, name="\ufdcf\ufdf0\ufffc\U0001fffd"),
                   uuid(3): entry(3, name=self.NONCHARACTERS.encode())}, protocol=3)
        self.run_tool()
        by_uuid = {m["ID"]: m["NAME"] for m in self.mappings().values()}
        self.assertEqual(by_uuid, {shown(1): "a" + 8 * "\ufffd" + "b", shown(2): "\ufdcf\ufdf0\ufffc\U0001fffd",
                                   shown(3): 8 * "\ufffd"})
        keys = [f"{uuid(4)}_com{c}" for c in self.NONCHARACTERS]
        os.unlink(self.output)
        self.assert_skipped({key: entry(4 + n, uuid=key) for n, key in enumerate(keys)},
                            "its URI is too long or not clean text")

    def test_what_is_no_mapping_is_skipped_and_named(self):
        for value, why in (([], "opcode EMPTY_LIST|opcode LIST"), ("text", "it is not a dictionary"),
                           ({"uuid": uuid(2), "port": 1}, "it has no name"),
                           (entry(2, port="50002"), "its port is not"),
                           (entry(2, port=0), "it has no port"), (entry(2, port=None), "it has no port"),
                           (entry(2, port=65536), "its port is not a number from 1 to 65535"),
                           (entry(2, port=True), "its port is not"), (entry(2, port=-1), "its port is not"),
                           (entry(2, uuid=5), "its uuid or its name is not text"),
                           (entry(2, uuid=uuid(3)), f"its uuid does not match: {uuid(3)}"),
                           (entry(2, port=50001), rf"its port 50001 also belongs to {shown(1)}")):
            self.assert_skipped({uuid(2): value}, f"{uuid(2)} is skipped: .*({why})")
            os.unlink(self.output)

    def test_keys_that_are_no_uuid(self):
        for key in ("", "x", uuid(2)[:-1], uuid(2) + "0", "../" + uuid(2), uuid(2) + "\n", uuid(2).replace("-", "_")):
            self.assert_skipped({key: entry(2, uuid=key)},
                                "is skipped: its UUID is not 16 hex digits, a dash and 16 hex")
            os.unlink(self.output)


class Output(ImportTest):
    def test_what_is_there_already_stays_unless_it_is_forced(self):
        self.make({uuid(1): entry(1)})
        self.run_tool()
        self.make({uuid(1): entry(1, port=60000), uuid(2): entry(2)})
        result = self.run_tool()
        self.assertEqual(result.stdout, "1 imported, 0 skipped, 1 there already\n")
        self.assert_imported(1, 2)
        self.run_tool("--force")
        self.assertEqual(self.mappings()[shown(1)]["PORT"], "60000")

    def test_what_is_there_already_stays_as_it_is(self):
        """To the byte, but for a last line that is cut off."""
        self.make({uuid(1): entry(1)})
        os.mkdir(self.state)
        there = b"vspc-mappings 1\n# by hand\n-\tID=" + shown(2).encode() + b"\tPORT=50002\nnonsense\n"
        with open(self.output, "wb") as f:
            f.write(there + b"-\tID=" + shown(3).encode())
        self.run_tool()
        with open(self.output, "rb") as f:
            text = f.read()
        self.assertEqual(text[:len(there)], there)
        self.assertRegex(text[len(there):], rb"\A-\tID=" + shown(1).encode() + rb"\tNAME=vm1\tURI=\tPORT=50001\tSTORED=\d+\n\Z")

    def test_while_vspcd_runs_nothing_is_written(self):
        self.make({uuid(1): entry(1)})
        os.mkdir(self.state)
        vspcd = self.start(env={"STATE_DIRECTORY": self.state}, Backend="file", VMPorts="no")
        self.assertIn(f"vspcd is running and uses {self.state}: stop vspc.service first", self.run_tool(status=1).stderr)
        vspcd.end()
        self.run_tool()
        self.assertIn(shown(1), self.mappings_text())

    def test_what_an_earlier_version_has_left_is_taken_over_first(self):
        self.make({uuid(1): entry(1)})
        os.makedirs(os.path.join(self.state, "mappings"))
        self.assertIn("mappings belongs to an earlier version of vspcd: start vspc.service and stop it again",
                      self.run_tool(status=1).stderr)
        self.start(env={"STATE_DIRECTORY": self.state}, Backend="file", VMPorts="no").end()
        self.run_tool()
        self.assertIn(shown(1), self.mappings_text())

    def test_a_file_of_another_version_is_left_alone(self):
        self.make({uuid(1): entry(1)})
        os.mkdir(self.state)
        with open(self.output, "wb") as f:
            f.write(b"vspc-mappings 2\n")
        self.assertIn('vm-ports does not begin with "vspc-mappings 1"', self.run_tool(status=1).stderr)

    def test_a_port_that_another_vm_has_already_is_not_given_away(self):
        self.make({uuid(1): entry(1)})
        self.run_tool()
        self.make({uuid(2): entry(2, port=50001)})
        self.assertIn(f"its port 50001 already belongs to {shown(1)}", self.run_tool(status=1).stderr)
        self.assert_imported(1)

    def test_dry_run_writes_nothing(self):
        self.make({uuid(1): entry(1), uuid(2): b"."})
        result = self.run_tool("--dry-run", status=1)
        self.assertEqual(result.stdout, "1 would be imported, 1 skipped\n")
        self.assertFalse(os.path.exists(self.state))

    def test_modes_are_those_of_the_service(self):
        self.make({uuid(1): entry(1)})
        self.run_tool()
        for path, mode in ((self.state, 0o750), (self.output, 0o640)):
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode) & ~0o022, mode & ~0o022)

    def test_a_link_that_lies_there_is_not_followed(self):
        victim = os.path.join(self.folder, "victim")
        with open(victim, "w", encoding="ascii") as f:
            f.write("untouched")
        os.makedirs(self.state)
        os.symlink(victim, os.path.join(self.state, ".vm-ports.import"))
        self.make({uuid(1): entry(1)})
        self.run_tool("--force")
        self.assert_imported(1)
        with open(victim, encoding="ascii") as f:
            self.assertEqual(f.read(), "untouched")

    def test_what_would_not_outlive_a_power_cut_is_an_error(self):
        """Of the mappings, and of the folders that are made for them."""
        self.make({uuid(1): entry(1)})
        for path in (f"{self.folder}$", f"{self.state}$", f"{self.state}/"):
            faults = self.faults()
            faults.inject(("fsync", errno.EIO, path))
            result = self.run_tool(status=1, env=faults.env)
            self.assertIn("Input/output error", result.stderr, path)
            shutil.rmtree(self.state)
        self.run_tool()
        self.assert_imported(1)

    def test_what_is_not_understood(self):
        result = subprocess.run([TOOL, "--nonsense", self.shelf], capture_output=True, text=True, timeout=60,
                                check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("--nonsense", result.stderr)


class Migration(ImportTest):
    def migrate(self, entries, **config):
        """Imports them and starts vspcd, which may use the ports of self.block."""
        self.make(entries)
        self.run_tool()
        vspcd = self.start(env={"STATE_DIRECTORY": self.state}, Backend="file", VMPortRangeStart=self.block.first,
                           VMPortRangeEnd=self.block.last, **config)
        self.assertFalse(vspcd.has_logged("is ignored|are ignored"))
        return vspcd

    def setUp(self):
        super().setUp()
        self.block = PortBlock()
        self.addCleanup(self.block.release)

    def test_each_vm_has_the_port_that_it_had(self):
        ports = {n: self.block.first + 20 - 3 * n for n in range(5)}
        vspcd = self.migrate({uuid(n): entry(n, port=port) for n, port in ports.items()})
        for n, port in ports.items():
            vm = EsxiVm(vspcd, f"vm{n}", digits=uuid(n).replace("-", "")).connect()
            self.assertEqual(vm.port, port)

    def test_what_is_made_of_a_name_is_a_name_to_vspcd_too(self):
        names = {n: chr(c) for n, c in enumerate((
            0x1f, 0x7f, 0x85, 0xa0, 0xad, 0x61c, 0x200b, 0x200e, 0x2028, 0x202e, 0x2066, 0xd800, 0xe000, 0xfdcf, 0xfdd0,
            0xfeff, 0xfffc, 0xfffd, 0xfffe, 0x1fffe, 0x10ffff))}
        vspcd = self.migrate({uuid(n): entry(n, name=f"vm{name}", port=self.block.first + n)
                              for n, name in names.items()})
        vspcd.wait_logged(f"{len(names)} VMs restored")

    def test_so_has_each_of_its_serial_ports(self):
        uris = ["com1", "u" * 1000, "u" * 1000 + "v", "../x", "telnet://a b:1", "ü"]
        entries = {f"{uuid(n)}_{uri}": entry(n, uuid=f"{uuid(n)}_{uri}", name=f"vm{n}_{uri}",
                                             port=self.block.first + 10 + n) for n, uri in enumerate(uris)}
        vspcd = self.migrate(entries, MultiConsole="yes")
        for n, uri in enumerate(uris):
            vm = EsxiVm(vspcd, f"vm{n}", digits=uuid(n).replace("-", ""), uri=uri).connect()
            self.assertEqual(vm.port, self.block.first + 10 + n)


if __name__ == "__main__":
    main()
