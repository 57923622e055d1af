# SPDX-License-Identifier: LGPL-2.1-or-later

"""The packages as files, before they are installed. It is not tested that tools/build-packages does not change the
tree: the tree is read-only where they are built."""

import os
import re
import subprocess
import unittest

from machine import SOURCE

# Sockets come from systemd, so there can be no init script. The newest policy is not known to each release. There is no homepage
# that the metadata of the page for Cockpit could name; tests/package/test-metainfo.sh validates the rest.
NOT_MEANT = ("package-supports-alternative-init-but-no-init.d-script|out-of-date-standards-version|"
             "cockpit-vspc: appstream-metadata-validation-failed")


class Debs(unittest.TestCase):
    project = None

    def test_each_package_is_built(self):
        self.assertEqual([os.path.basename(deb).split("_")[0] for deb in self.project.debs()],
                         ["cockpit-vspc", "libvspc-backend-dev", "vspc-client-dbgsym", "vspc-client", "vspc-dbgsym", "vspc"])

    def test_lintian_finds_nothing(self):
        status, said = self.project.lintian()
        self.assertIn(status, (0, 2), said)  # 2: it has found something
        self.assertEqual([line for line in said.splitlines()
                          if re.match("[A-Z]: ", line) and not re.match("N: ", line) and not re.search(NOT_MEANT, line)],
                         [])

    def test_no_package_has_files_that_are_the_administrator_s_or_made_at_run_time(self):
        for deb in self.project.debs():
            files = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE, check=True)
            names = subprocess.run(["tar", "-t"], input=files.stdout, stdout=subprocess.PIPE, check=True).stdout.decode()
            self.assertTrue(names)
            self.assertEqual([name for name in names.splitlines() if re.match(r"(\./)?(etc|run|var)(/|$)", name)], [])

    def test_tools_build_packages_names_an_option_that_it_does_not_know(self):
        result = subprocess.run([f"{SOURCE}/tools/build-packages", "--outptu=/tmp"], capture_output=True, text=True,
                                check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn('"--outptu=/tmp" is not understood', result.stderr)
