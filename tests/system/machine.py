# SPDX-License-Identifier: LGPL-2.1-or-later

"""A Debian with its own systemd as PID 1, in a container that has only a loopback network.

Its root is an overlay in memory on a root that tools/debian-root keeps, so each machine is new. Commands are run from
outside, as a logged-in person would run them.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import isolation

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))

# How long anything may take on a busy machine before we say that it does not happen
PATIENCE_SEC = 30

# What a file or a process that has gone is noticed by
GONE = (FileNotFoundError, NotADirectoryError, ProcessLookupError)


def wait_for(predicate, what, timeout=PATIENCE_SEC):
    """Waits until predicate() is true and returns what it returned. It is mostly a program's answer: what takes long is
    asked for less often, so that asking is not what holds it up."""
    began = time.monotonic()
    while True:
        result = predicate()
        if result:
            return result
        waited = time.monotonic() - began
        if waited > timeout:
            raise AssertionError(f"waited in vain for {what() if callable(what) else what}")
        time.sleep(min(0.02 + waited / 8, 0.25))


def cache(name):
    """A folder that is kept for the next run, beside those of tools/debian-root"""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(folder, "vspc", name)
    os.makedirs(folder, exist_ok=True)
    return folder


def ccache(release):
    """Its folder. Where something is compiled is not to count, and a few builds of the project fit."""
    folder = cache(f"{release}-ccache")
    with open(f"{folder}/ccache.conf", "w", encoding="ascii") as f:
        f.write("hash_dir = false\nmax_size = 500M\n")
    return folder


def debian_root(release, kind):
    return subprocess.run([f"{SOURCE}/tools/debian-root", release, kind], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


def files_below(folder, device=None):
    """Paths of all that is in a folder and in those in it, on its file system. What goes meanwhile is ignored."""
    try:
        here = os.stat(folder).st_dev
        if here != (device or here):
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.path
                if entry.is_dir(follow_symlinks=False):
                    yield from files_below(entry.path, here)
    except GONE:
        pass


class Overlay:
    """A root on which nothing that happens is kept"""

    def __init__(self, release, kind):
        self.release, self.kind = release, kind
        lower = debian_root(release, kind)
        self.folder = tempfile.mkdtemp(prefix=f"{release}-{kind}-", dir=isolation.FOLDER)
        upper, work, self.root = (os.path.join(self.folder, name) for name in ("upper", "work", "root"))
        for folder in upper, work, self.root:
            os.mkdir(folder)
        subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", "overlay",
                        self.root], check=True)
        self.write("/etc/apt/apt.conf.d/90vspc-tests",
                   'Dpkg::Options {"--force-unsafe-io";};\nAcquire::Retries "3";\n')

    def path(self, path):
        """Where it is, seen from out here"""
        return self.root + path

    def write(self, path, text, mode=0o644):
        path = self.path(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)

    def nspawn(self, *options):
        return ["systemd-nspawn", "--quiet", f"--directory={self.root}", "--register=no", "--keep-unit",
                "--link-journal=no", "--console=pipe", *options]

    def close(self):
        subprocess.run(["umount", self.root], check=True)
        shutil.rmtree(self.folder)


class Machine(Overlay):
    """binds: systemd-nspawn's options for what is seen in there of this machine"""

    def __init__(self, release, kind, binds=()):
        self.binds, self.nspawn_process, self.leader, self.slirp = binds, None, None, None
        super().__init__(release, kind)

    def boot(self):
        os.makedirs("/run/systemd/nspawn", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/systemd/nspawn"], check=True)
        self.console = os.path.join(self.folder, "console")
        with open(self.console, "wb") as console:
            self.nspawn_process = subprocess.Popen(  # pylint: disable=consider-using-with
                # BPF is for systemd, to filter addresses with (IPAddressDeny=).
                self.nspawn("--boot", "--private-network", "--resolv-conf=off", "--machine=vspc-test",
                            "--kill-signal=SIGRTMIN+3", "--capability=CAP_BPF", "--system-call-filter=bpf",
                            *self.binds),
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True)
        self.leader = wait_for(self.find_leader, self.has_not_booted)
        wait_for(lambda: self.run("test", "-S", "/run/systemd/private", check=False).returncode == 0,
                 self.has_not_booted)
        state = self.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
        if state != "running":
            raise AssertionError(f"the machine is {state or 'not up'}:\n" + self.out("systemctl", "--failed"))

    def console_says(self):
        with open(self.console, encoding="utf-8", errors="replace") as f:
            return f"Its console says:\n{f.read()[-2000:]}"

    def has_not_booted(self):
        return f"the machine to boot. {self.console_says()}"

    def find_leader(self):
        """nspawn's child, once it has become systemd"""
        pid = self.nspawn_process.pid
        if self.nspawn_process.poll() is not None:
            raise AssertionError(f"systemd-nspawn has ended while waiting for {self.has_not_booted()}")
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            for child in f.read().split():
                try:
                    with open(f"/proc/{child}/comm", encoding="ascii") as comm:
                        if comm.read() == "systemd\n":
                            return int(child)
                except (FileNotFoundError, ProcessLookupError):
                    pass
        return None

    def path(self, path):
        return f"/proc/{self.leader}/root{path}" if self.leader else super().path(path)

    def argv(self, *argv, user="root"):
        """A command to be run in here, as somebody who has logged in"""
        who = [] if user == "root" else ["runuser", "--user", user, "--"]
        return ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--",
                "env", "--ignore-environment", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb", "PAGER=cat", *who, *argv]

    def run(self, *argv, user="root", check=True, stdin="", timeout=PATIENCE_SEC):
        """Runs a command to its end. What it says is text."""
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            self.argv(*argv, user=user), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="backslashreplace", start_new_session=True)
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except BaseException:
            kill(process)
            raise
        if check and process.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: ended with status {process.returncode}\n{out}{err}")
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def out(self, *argv, **kwargs):
        return self.run(*argv, **kwargs).stdout

    def find(self, folder, pattern):
        """The paths below a folder, on its file system, in which the pattern is found. It is looked for from out here:
        find(1) fails when a process or a file goes while it looks, whatever it is told, and here they come and go."""
        top = self.path(folder.rstrip("/"))
        return sorted(path for path in (folder.rstrip("/") + below[len(top):] for below in files_below(top))
                      if re.search(pattern, path))

    def processes(self):
        """What /proc/PID/status says of each process of the machine, zombies as well"""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/status", encoding="utf-8") as f:
                    status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
            except GONE:
                continue
            if len(status["NSpid"].split()) > 1:  # it has a number in there as well
                found.append(status)
        return found

    def processes_of(self, *users):
        """Name and number of each process that belongs to one of these users"""
        with open(self.path("/etc/passwd"), encoding="utf-8") as f:
            uids = {fields[2] for fields in (line.split(":") for line in f) if fields[0] in users}
        assert len(uids) == len(users), f"not all of {users} are users of the machine"
        return [f"{status['Name']} {status['Pid']}" for status in self.processes() if status["Uid"].split()[0] in uids]

    def sh(self, script, **kwargs):
        return self.run("bash", "-euo", "pipefail", "-c", script, **kwargs)

    def popen(self, *argv, user="root"):
        """Starts a command that is talked to. end() ends it, and all that it has started. Ctrl-C reaches it also if the tests run
        in the background of a shell, which has SIGINT ignored there."""
        return subprocess.Popen(  # pylint: disable=consider-using-with
            self.argv(*argv, user=user), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def shell(self):
        """For somebody who sits at the terminal that this runs on, on a terminal of the machine's"""
        argv = self.argv("env", f"TERM={os.environ.get('TERM', 'dumb')}", "SHELL=/bin/bash",
                         "script", "--quiet", "--return", "--command", "cd; exec bash --login", "/dev/null")
        subprocess.run(argv, check=False)

    def connect(self):
        """Gives it a way out to the network, for apt. Nobody outside can reach it, nor can it reach this machine."""
        with open(os.path.join(self.folder, "slirp"), "wb") as log:
            self.slirp = subprocess.Popen(  # pylint: disable=consider-using-with
                ["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", str(self.leader), "tap0"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.write("/etc/resolv.conf", "nameserver 10.0.2.3\n")
        wait_for(lambda: "tap0\t00000000" in self.out("cat", "/proc/net/route"), "a route to the network")

    def power_off(self):
        """What it has written stays: boot() starts it anew."""
        if self.slirp:
            self.slirp.kill()
            self.slirp.wait()
        try:
            if self.nspawn_process:
                self.end_nspawn()
                subprocess.run(["umount", "/run/systemd/nspawn"], check=True)
        finally:
            self.slirp = self.nspawn_process = self.leader = None

    def end_nspawn(self):
        if self.nspawn_process.poll() is None:
            self.nspawn_process.terminate()  # which systemd is told of
        try:
            self.nspawn_process.wait(PATIENCE_SEC)
        except subprocess.TimeoutExpired as e:
            left = ", ".join(f"{status['Name']} ({status['State']})" for status in self.processes())
            self.nspawn_process.kill()
            if self.leader:
                os.kill(self.leader, signal.SIGKILL)
            self.nspawn_process.wait()
            raise AssertionError(f"the machine does not power off, there are still {left}. {self.console_says()}") from e

    def close(self):
        try:
            self.power_off()
        finally:
            super().close()


def kill(process):
    """With all that it has started. nsenter's child becomes ours when nsenter ends first: left as a zombie it would be
    a process of the machine's that does not end, and systemd waits for it when it powers off."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    try:
        while True:
            os.waitpid(-process.pid, 0)
    except ChildProcessError:
        pass


def end(process):
    kill(process)
    process.stdin.close()
    process.stdout.close()
