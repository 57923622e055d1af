# SPDX-License-Identifier: LGPL-2.1-or-later

"""Users and groups that exist only for a test and what it starts, and the examples and tables of manual pages."""

import ctypes
import os
import re
import subprocess

from tap import unavailable

MAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../man")

CLONE_NEWNS = 0x20000


def read_page(name):
    with open(os.path.join(MAN, name), encoding="utf-8") as f:
        return f.read()


def without_escapes(text):
    return re.sub(r"\\f[BIR]", "", text).replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\")


def documented(page, first):
    """The lines of the block in a manual page that begins with these words"""
    blocks = re.findall(r"^\.nf\n\.RS\n(.*?)^\.RE\n", read_page(page), re.MULTILINE | re.DOTALL)
    return next(text for text in map(without_escapes, blocks) if text.startswith(first))


def documented_table(page, head):
    """The rows, as tuples, of the table in a manual page that has this head"""
    table = re.search(rf"^{re.escape(head)}\n(.*?)^\.TE$", read_page(page), re.MULTILINE | re.DOTALL)[1]
    return [tuple(without_escapes(row).split("|")) for row in table.splitlines()]


def enter_world(folder, users, groups):
    """From now on this process and those that it starts see /etc/passwd and /etc/group with these users and groups, too. users:
    name → number, which is that of a group of the same name, too; groups: name → (number, names of members). For root."""
    if os.geteuid() != 0:
        unavailable("only root can become somebody else")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) < 0 or subprocess.run(["mount", "--make-rprivate", "/"], check=False).returncode != 0:
        unavailable("there can be no mount namespace")
    os.chmod(folder, 0o755)
    lines = {"passwd": [f"{name}:*:{uid}:{uid}::/:/bin/sh\n" for name, uid in users.items()],
             "group": [f"{name}:*:{uid}:\n" for name, uid in users.items()] +
                      [f"{name}:*:{gid}:{','.join(members)}\n" for name, (gid, members) in groups.items()]}
    for name, added in lines.items():
        path = os.path.join(folder, name)
        with open(f"/etc/{name}", encoding="utf-8") as f:
            before = [line for line in f if line.split(":")[0] not in {*users, *groups}]
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(before + added)
        subprocess.run(["mount", "--bind", path, f"/etc/{name}"], check=True)
