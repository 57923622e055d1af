# SPDX-License-Identifier: LGPL-2.1-or-later

"""varlinkctl, an independent Varlink client. Debian 12 does not have it: it is run in a Debian 13 root
(tools/debian-root), in which vspcd's local socket is available. If this root cannot be made, the tests are skipped.
"""

import json
import os
import subprocess

from harness import PATIENCE_SEC, TestCase, main, tap
from peers import NAME, RawClient, connected_vm, sub
from varlink_peer import ADMIN, CONCENTRATOR, SERVICE, Interface, read_definition

HERE = os.path.dirname(os.path.abspath(__file__))
DEBIAN_ROOT = os.path.join(HERE, "../../tools/debian-root")

root = None


def command(*arguments):
    """varlinkctl in the root, with a /proc that goes with it: it connects by way of /proc/self/fd."""
    script = 'mount -t proc proc "$0/proc" && exec chroot "$0" /usr/bin/varlinkctl --no-pager "$@"'
    return ["unshare", "--mount", "sh", "-c", script, root, *arguments]


def run(*arguments, data=None):
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, input=data,
                          timeout=PATIENCE_SEC)


class Varlinkctl(TestCase):
    def start_inside(self, **config):
        vspcd = self.start(local=True, parent=os.path.join(root, "tmp"), **config)
        self.address = "/" + os.path.relpath(vspcd.admin_path, root)
        return vspcd

    def output(self, *arguments, data=None):
        result = run(*arguments, data=data)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result)
        return result.stdout

    def call(self, method, parameters):
        return json.loads(self.output("call", "--json=short", self.address, f"{CONCENTRATOR}.{method}",
                                      json.dumps(parameters)))

    def test_the_definitions_are_valid(self):
        for interface in (CONCENTRATOR, SERVICE):
            with open(os.path.join(ADMIN, interface + ".varlink"), encoding="utf-8") as f:
                self.assertIn(f"interface {interface}\n", self.output("validate-idl", data=f.read()))

    def test_info(self):
        self.start_inside()
        info = self.output("info", self.address)
        for text in ("Vendor: vspc", "Product: vspcd", CONCENTRATOR, SERVICE):
            self.assertIn(text, info)
        self.assertEqual(self.output("list-interfaces", self.address).split(), sorted([CONCENTRATOR, SERVICE]))

    def test_introspect(self):
        self.start_inside()
        shown = self.output("introspect", self.address, CONCENTRATOR)
        got, wanted = Interface(shown.rstrip("\n") + "\n"), Interface(read_definition(CONCENTRATOR))
        self.assertEqual(vars(got), vars(wanted))

    def test_call(self):
        vspcd = self.start_inside()
        vm = connected_vm(vspcd, 'web "01"')
        self.assertEqual(self.call("List", {"name": vm.name})["vm"]["id"], vm.id)
        self.assertEqual(self.call("GetMetrics", {})["vms"], 1)
        RawClient(vm)
        self.assertEqual(self.call("Clear", {"vm": vm.id}), {"disconnected": 1})
        vspcd.wait_logged(r"root \(pid \d+\) disconnects its 1 client")

    def test_a_call_that_fails(self):
        vspcd = self.start_inside()
        vm = connected_vm(vspcd)
        for method, parameters, error in (("Clear", {"vm": "nobody"}, "NoSuchVM"),
                                          ("Forget", {"vm": vm.id}, "VMConnected"),
                                          ("List", {"nam": 1}, "InvalidParameter")):
            result = run("call", self.address, f"{CONCENTRATOR}.{method}", json.dumps(parameters))
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(error, result.stderr)

    def test_call_more(self):
        vspcd = self.start_inside()
        vms = [connected_vm(vspcd) for _ in range(3)]
        shown = self.output("call", "--more", "--json=short", self.address, f"{CONCENTRATOR}.List", "{}")
        told = [json.loads(line) for line in shown.replace("\x1e", "").splitlines() if line.strip()]
        self.assertEqual([reply["vm"]["id"] for reply in told], [vm.id for vm in vms])

    def test_monitor(self):
        vspcd = self.start_inside()
        vm = connected_vm(vspcd)
        monitor = subprocess.Popen(command("call", "--more", "--timeout=infinity", "--json=short", self.address,
                                                f"{CONCENTRATOR}.Monitor", "{}"), stdout=subprocess.PIPE)
        self.addCleanup(monitor.stdout.close)
        self.addCleanup(monitor.wait)
        self.addCleanup(monitor.kill)

        def event():
            return json.loads(monitor.stdout.readline().decode().strip("\x1e\n"))

        self.assertEqual((event()["event"], event()["event"]), ("present", "ready"))
        vm.send_raw(sub(NAME, b"renamed"))
        told = event()
        self.assertEqual((told["event"], told["vm"]["name"]), ("renamed", "renamed"))
        self.assertIsNone(monitor.poll())


if __name__ == "__main__":
    made = subprocess.run([DEBIAN_ROOT, "trixie", "fresh"], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        tap.skip_all(made.stderr.strip())
    root = made.stdout.strip()
    works = run("--version")
    if works.returncode != 0:
        tap.skip_all(f"varlinkctl cannot be run in {root}: {works.stderr.strip()}")
    main()
