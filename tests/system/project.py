# SPDX-License-Identifier: LGPL-2.1-or-later

"""Builds the project on a release of Debian, and installs it on a machine with that release."""

import glob
import os
import subprocess
import tempfile

import isolation
from machine import SOURCE, Overlay, ccache

BUILD_SEC = 600

# With the source package, for lintian. vspc-sim is in none of the packages; what turns the clock, and what tries to execute
# things, is for tests only.
BUILD = """
/source/tools/build-packages --source --output=/built
meson setup /tmp/sim /source --buildtype=release -Dtests=disabled
ninja -C /tmp/sim vspc-sim
cp /tmp/sim/vspc-sim /built
cc -Wall -Wextra -Werror -O2 -shared -fPIC -o /built/jumping-clock.so /source/tests/system/jumping-clock.c
cc -Wall -Wextra -Werror -O2 -o /built/execute /source/tests/system/execute.c
"""

PAGE_NEEDS = ["cockpit-system", "cockpit-ws", "sudo"]

LINTIAN = "lintian --allow-root --display-info --pedantic /built/vspc_*.changes"


class Project:
    def __init__(self, release):
        """Builds it. close() removes what was built."""
        self.release = release
        self.folder = tempfile.TemporaryDirectory(prefix="built-", dir=isolation.FOLDER)
        os.chmod(self.folder.name, 0o755)
        result = self.run_where_it_is_built(BUILD)
        if result.returncode != 0:
            raise RuntimeError(f"the project cannot be built on {release}:\n{result.stdout[-5000:]}")

    def run_where_it_is_built(self, script):
        """In a root that has what debian/control asks for, and can write nowhere but into /built. meson takes ccache."""
        root = Overlay(self.release, "build")
        try:
            return subprocess.run(
                root.nspawn("--as-pid2", f"--bind-ro={SOURCE}:/source", f"--bind={self.folder.name}:/built",
                            f"--bind={ccache(self.release)}:/ccache", "--setenv=CCACHE_DIR=/ccache",
                            "bash", "-euo", "pipefail", "-c", script),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                timeout=BUILD_SEC)
        finally:
            root.close()

    def lintian(self):
        """What the release's lintian has found: its exit status, and what it has said"""
        result = self.run_where_it_is_built(LINTIAN)
        return result.returncode, result.stdout

    @property
    def binds(self):
        """What a machine needs to have of it, and where"""
        return [f"--bind-ro={self.folder.name}:/built",
                *(f"--bind-ro={self.folder.name}/{name}:/usr/local/bin/{name}" for name in ("vspc-sim", "execute"))]

    def debs(self):
        """Seen from out here"""
        return sorted(glob.glob(f"{self.folder.name}/*.deb"))

    def packages(self):
        """What is installed on a machine, seen from in there. A machine without Cockpit has no page for it."""
        return ["/built/" + os.path.basename(path) for path in self.debs()
                if "dbgsym" not in path and "cockpit" not in path]

    def page(self):
        """The page for Cockpit, and what serves it on a machine with logins"""
        return [*("/built/" + os.path.basename(path) for path in self.debs() if "cockpit-vspc" in path), *PAGE_NEEDS]

    def fetch_dependencies(self, machine, more=()):
        """While it is not booted yet and has the network of this machine: of Debian's packages only"""
        result = subprocess.run(
            machine.nspawn("--as-pid2", f"--bind-ro={self.folder.name}:/built", "sh", "-ec",
                           'apt-get update; exec apt-get --yes --no-install-recommends --download-only install "$@"',
                           "-", *self.packages(), *more),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"apt cannot get what the packages depend on:\n{result.stdout[-2000:]}")

    def install(self, machine, more=()):
        machine.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", "--no-install-recommends",
                    "install", *self.packages(), *more, timeout=300 if more else 120)

    def close(self):
        self.folder.cleanup()
