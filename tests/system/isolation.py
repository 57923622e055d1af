# SPDX-License-Identifier: LGPL-2.1-or-later

"""An environment for the machines of tests: namespaces and control groups of their own.

The kernel removes everything that was mounted or started there when the test ends, even if it ends by SIGKILL.
"""

import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

INSIDE = "VSPC_SYSTEM_TEST_FOLDER"
PREFIX = "vspc-system-test-"
# A file system in memory that is seen in here only
FOLDER = os.environ.get(INSIDE)
PROGRAMS = {"systemd-nspawn": "systemd-container", "debootstrap": "debootstrap", "unshare": "util-linux",
            "nsenter": "util-linux", "slirp4netns": "slirp4netns"}
KILLED_SEC = 10
# Where Debian's packages are, as tools/debian-root has it
MIRROR = "deb.debian.org", 80
MIRROR_SEC = 30


def why_impossible():
    """Why no machine can be booted here, or None."""
    if os.geteuid() != 0:
        return "only root can boot a machine"
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if missing:
        return f"Debian packages are missing: {' '.join(missing)}"
    if not own_cgroups():
        return "there are no control groups that systemd could use"
    result = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True, text=True,
                            check=False)
    if result.returncode != 0:
        return f"there can be no namespaces here: {result.stderr.strip()}"
    try:
        socket.create_connection(MIRROR, timeout=MIRROR_SEC).close()
    except OSError as e:
        return f"{MIRROR[0]}, which has Debian's packages, cannot be reached: {e}"
    return None


def own_cgroups():
    """The folders of the control groups that this process is in, of those hierarchies that systemd keeps units in.
    Two machines must not share one: each would take the other's processes for its own."""
    groups = []
    with open("/proc/self/cgroup", encoding="ascii") as f:
        for line in f:
            _, hierarchy, path = line.rstrip("\n").split(":", 2)
            if hierarchy == "name=systemd":
                groups.append("/sys/fs/cgroup/systemd" + path)
            elif hierarchy == "":
                groups += [mount + path for mount in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
                           if os.path.exists(mount + "/cgroup.procs")]
    return [group for group in groups if os.path.isdir(group)]


def remove_cgroup(group):
    """With all below it. Those in it have been killed, which takes them a moment."""
    deadline = time.monotonic() + KILLED_SEC
    while os.path.isdir(group) and time.monotonic() < deadline:
        for folder, _, _ in os.walk(group, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                time.sleep(0.05)


def remove(groups, folder):
    for group in groups:
        remove_cgroup(group)
    if os.path.isdir(folder):
        os.rmdir(folder)


def names(pid):
    return [f"{parent}/{PREFIX}{pid}" for parent in own_cgroups()], f"/run/{PREFIX}{pid}"


def remove_left_overs():
    """Of runs that could not do it themselves"""
    for parent in "/run", *own_cgroups():
        for path in glob.glob(f"{parent}/{PREFIX}*"):
            pid = path.rsplit("-", 1)[1]
            if not os.path.exists(f"/proc/{pid}"):
                remove(*names(pid))


def enter():
    """Runs the program again in a place of its own, and exits as it does. In there it returns."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if FOLDER:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", FOLDER], check=True)
        return

    remove_left_overs()
    groups, folder = names(os.getpid())

    def join():
        for group in groups:
            with open(f"{group}/cgroup.procs", "w", encoding="ascii") as f:
                f.write("0")

    process = None
    try:
        os.mkdir(folder)
        for group in groups:
            os.mkdir(group)
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--propagation=private", "--pid", "--fork",
             "--kill-child", "--mount-proc", sys.executable, *sys.argv], env={**os.environ, INSIDE: folder},
            preexec_fn=join)
        status = wait(process)
    finally:
        if process:
            process.kill()
            process.wait()
        remove(groups, folder)
    sys.exit(status)


def wait(process):
    """Ctrl-C is for the one inside, which cleans up."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            pass
