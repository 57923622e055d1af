# SPDX-License-Identifier: LGPL-2.1-or-later

"""The project, built on the release of Debian that it is for, and put onto a machine of that release."""

import glob
import os
import subprocess
import tempfile

import isolation
from machine import SOURCE, Overlay

BUILD_SEC = 600

# vspc-sim is in none of the packages; what turns the clock, and what tries to execute things, is for tests only.
SCRIPT = """
/source/tools/build-packages --output=/built
meson setup /tmp/sim /source --buildtype=release -Dtests=disabled
ninja -C /tmp/sim vspc-sim
cp /tmp/sim/vspc-sim /built
cc -Wall -Wextra -Werror -O2 -shared -fPIC -o /built/jumping-clock.so /source/tests/system/jumping-clock.c
cc -Wall -Wextra -Werror -O2 -o /built/execute /source/tests/system/execute.c
"""


class Project:
    def __init__(self, release):
        """Builds it. close() removes what was built."""
        self.folder = tempfile.TemporaryDirectory(prefix="built-", dir=isolation.FOLDER)
        os.chmod(self.folder.name, 0o755)
        root = Overlay(release, "build")
        try:
            result = subprocess.run(
                root.nspawn("--as-pid2", f"--bind-ro={SOURCE}:/source", f"--bind={self.folder.name}:/built",
                            "bash", "-euo", "pipefail", "-c", SCRIPT),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                timeout=BUILD_SEC)
        finally:
            root.close()
        if result.returncode != 0:
            raise RuntimeError(f"the project cannot be built on {release}:\n{result.stdout[-5000:]}")

    @property
    def binds(self):
        """What a machine needs to have of it, and where"""
        return [(self.folder.name, "/built"), (f"{self.folder.name}/vspc-sim", "/usr/local/bin/vspc-sim"),
                (f"{self.folder.name}/execute", "/usr/local/bin/execute")]

    def packages(self):
        return ["/built/" + os.path.basename(path) for path in sorted(glob.glob(f"{self.folder.name}/*.deb"))
                if "dbgsym" not in path]

    def fetch_dependencies(self, machine):
        """While it is not booted yet and has the network of this machine: of Debian's packages only"""
        result = subprocess.run(
            machine.nspawn("--as-pid2", f"--bind-ro={self.folder.name}:/built", "sh", "-ec",
                           'apt-get update; exec apt-get --yes --no-install-recommends --download-only install "$@"',
                           "-", *self.packages()),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"apt cannot get what the packages depend on:\n{result.stdout[-2000:]}")

    def install(self, machine):
        machine.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--no-install-recommends",
                    "install", *self.packages(), timeout=120)

    def close(self):
        self.folder.cleanup()
