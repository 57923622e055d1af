# SPDX-License-Identifier: LGPL-2.1-or-later

"""The hooks in README.md and vspc.hooks(7), run by vspc-hooks for VMs with unexpected names."""

import os
import re
import socket

from harness import PATIENCE_SEC, main
from peers import connected_vm
from test_hooks import HooksTest

TREE = os.path.join(os.path.dirname(__file__), "../..")

# util-linux's own logger, which understands its arguments as always, but sends to a socket of the test.
LOGGER = '#!/bin/sh\nexec /usr/bin/logger --socket="$HOOKS_OUT/log" "$@"\n'


def readme_hook(name):
    with open(f"{TREE}/README.md", encoding="utf-8") as f:
        blocks = re.findall(r"^```sh\n(#!.*?)^```$", f.read(), re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if name in block)


class Readme(HooksTest):
    def test_a_vm_s_name_is_never_an_option_of_logger(self):
        self.hook("logger", LOGGER, folder=self.out)
        self.hook("50-announce", readme_hook("50-announce"))
        log = self.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        log.bind(f"{self.out}/log")
        log.settimeout(PATIENCE_SEC)
        vspcd = self.start(env={"PATH": f"{self.out}:{os.environ['PATH']}"})
        for name in b"-n", b"--file=/etc/passwd", b"-p0", b"<0>all", b"web01":
            vm = connected_vm(vspcd, name)
            self.assertIn(f" {name.decode()} is at port {vm.port}, its host is 127.0.0.1:", log.recv(4096).decode())


if __name__ == "__main__":
    main()
