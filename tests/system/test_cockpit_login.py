# SPDX-License-Identifier: LGPL-2.1-or-later

"""The page for Cockpit on a machine with Debian 12 (bookworm) or 13 (trixie), installed from the packages, and used by people
who log in to Cockpit: in a Chromium that runs outside the machine, in its network."""

import base64
import os
import random
import sys

import isolation
from arguments import argument_parser, skip_where_impossible, tap
from machine import SOURCE, Machine, wait_for
from project import Project
from scenario import Scenario

sys.path[:0] = [os.path.join(SOURCE, "tests", name) for name in ("cockpit", "e2e")]

# alice may nothing, bob is in group vspc, carol is an administrator. Their service managers run all the time: otherwise the
# first login waits for one in vain, in a machine without a real seat.
PEOPLE = """
useradd --create-home --shell /bin/bash alice
useradd --create-home --shell /bin/bash --groups vspc bob
useradd --create-home --shell /bin/bash --groups sudo carol
printf '%s:secret\\n' alice bob carol | chpasswd
loginctl enable-linger alice bob carol
systemctl start cockpit.socket
"""
ADDRESS = "http://127.0.0.1:9090"
FRAME = "document.querySelector('iframe[name$=\"/vspc\"]')?.contentDocument"
FLOOD_SEC = float(os.environ.get("FLOOD_SEC", "30"))
MEGABYTE = 1 << 20


class Login(Scenario):
    def log_in(self, user, where="#/", administrator=False):
        from browser import Browser  # pylint: disable=import-outside-toplevel
        browser = Browser(["nsenter", f"--target={self.machine.leader}", "--net", "--"])
        self.addCleanup(browser.close)
        page = self.page = browser.page()
        page.open(f"{ADDRESS}/vspc{where}")
        page.wait("Boolean(document.querySelector('#login-user-input')?.checkVisibility())", "the login")
        if administrator:  # as if it had been turned on at the last login
            page.value(f"localStorage.setItem('superuser:{user}', 'any')")
        for field, text in ("user", user), ("password", "secret"):
            page.click(f"document.querySelector('#login-{field}-input')")
            page.insert(text)
        page.click("document.querySelector('#login-button')")
        return page

    def wait_text(self, text):
        self.page.wait(f"Boolean({FRAME}?.body?.innerText.includes({text!r}))", lambda: f"{text!r} in the page: {self.seen()}")

    def seen(self):
        return self.page.value(f"{FRAME}?.body?.innerText ?? document.body.innerText")

    def evidence(self):
        if os.environ.get("SCREENSHOTS") and hasattr(self, "page"):
            self.page.screenshot(os.path.join(os.environ["SCREENSHOTS"], "login.png"))
        return super().evidence()

    def shot(self, name):
        if os.environ.get("SCREENSHOTS"):
            release = os.path.basename(sys.argv[1])
            self.page.screenshot(os.path.join(os.environ["SCREENSHOTS"], f"{release}-{name}.png"))



class Rights(Login):
    """In Cockpit's own frame"""

    def type_and_see(self, name):
        self.page.type("echo $((6*7))\n")
        self.page.wait(f"/42/.test({FRAME}.querySelector('.xterm-rows')?.textContent)", f"the answer of {name}")

    def test_a_member_of_group_vspc_finds_a_vm_among_2000_and_types_at_it(self):
        self.vm("db", "--count=2000", guest="sh")
        self.wait_vm("db-2000")
        page = self.log_in("bob")
        self.wait_text("2,000 VMs")
        self.shot("1-list")
        page.click_in_frame(FRAME, ".filter")
        page.type("db-1234")
        self.wait_text("1 of 2,000 VMs")
        self.shot("2-found")
        page.press("Tab")
        page.click_in_frame(FRAME, ".space .row:not([hidden]) a")
        self.wait_text("You and others may type")
        self.type_and_see("db-1234")
        self.shot("3-typed")
        self.wait_journal(r"VM db-1234 .*client bob \(pid \d+\) connected", "--unit=vspc.service")

    def test_an_administrator_uses_root_s_rights_and_is_named_in_the_log(self):
        self.vm("web", guest="sh")
        self.wait_vm("web")
        self.log_in("carol", "#/vm/web", administrator=True)
        self.wait_text("You and others may type")
        self.type_and_see("web")
        self.wait_journal(r"VM web .*client carol, by way of root \(pid \d+\) connected", "--unit=vspc.service")
        self.page.click_in_frame(FRAME, "[aria-pressed]")
        self.wait_text("echo")
        self.shot("administrator")

    def test_somebody_without_rights_is_told_which_are_missing(self):
        self.log_in("alice")
        self.wait_text("You may not use the serial consoles")
        self.wait_text("usermod -aG vspc alice")
        self.shot("denied")


class Consoles(Login):
    """In a tab of its own, as somebody in group vspc"""

    def console(self, name):
        self.wait_vm(name)
        page = self.log_in("bob")
        page.wait("Boolean(document.querySelector('iframe'))", "Cockpit after the login")
        page.open(f"{ADDRESS}/cockpit/@localhost/vspc/index.html#/vm/{name}")
        page.wait_attached()
        return page

    def wait_heard(self, path, expected):
        """@expected: what the guest has written into a file of the machine"""
        def heard():
            with open(self.machine.path(path), "rb") as f:
                return f.read()

        wait_for(lambda: len(heard()) >= len(expected), lambda: f"{len(expected)} bytes, there are {len(heard())}")
        self.assertEqual(heard(), expected)

    def listener(self, name):
        path = f"/run/heard-by-{name}"
        self.machine.write(path, "")
        self.vm(name, "--pipe", guest=f"exec cat >{path}")
        return path

    def test_while_somebody_else_has_exclusive_access_the_page_says_who(self):
        self.vm("web")
        page = self.console("web")
        page.value("location.hash = '#/'")
        page.wait_text("1 VM")
        self.talk("vspc-client", "attach", "web", "--access=exclusive").wait_shown("Connected to VM web")
        page.value("location.hash = '#/vm/web'")
        page.wait_text("Access refused", ".banners")
        page.wait_text("root", ".banners")
        self.shot("refused")
        self.machine.run("vspc-client", "clear", "web")
        page.click_text("Try again")
        page.wait_attached()

    def test_a_break_is_heard_by_the_guest(self):
        self.vm("web")
        page = self.console("web")
        page.menu("Send", "Break")
        page.wait_text("Break sent", ".notices")
        page.type("after it")
        page.wait_rows("after it")
        self.machine.run("systemctl", "stop", "peer-web")
        self.wait_journal("breaks: 1$", "--unit=peer-web.service")

    def test_every_byte_value_arrives_in_both_directions(self):
        sent = bytes(range(256)) * 3 + b"\xff\xff\xff\0"
        path = self.listener("in")
        self.machine.write("/run/sent", base64.b64encode(sent).decode())
        self.vm("out", "--pipe", guest="head -c1 >/dev/null; base64 --decode /run/sent; cat")
        page = self.console("in")
        page.menu("Send", "Bytes")
        page.insert(sent.hex(" "))
        page.click_text("Send", "document.querySelector('dialog')")
        self.wait_heard(path, sent)

        self.wait_vm("out")
        page.value("location.hash = '#/vm/out'")
        page.wait_text("out", "h1")
        page.wait_attached()
        page.type("\n")
        page.catch_downloads()

        def download():
            page.menu("Edit", "Download bytes")
            return page.saved()

        wait_for(lambda: download() == sent, lambda: f"the VM's bytes, having got {download()!r}")

    def test_3000_lines_are_pasted_whole(self):
        path = self.listener("web")
        page = self.console("web")
        lines = [f"line {i} of a long text, with ü and ☃" for i in range(3000)]
        page.paste("\n".join(lines))
        page.wait_text("Paste 3,000 lines?", "dialog")
        page.click_text("Paste", "document.querySelector('dialog')")
        self.wait_heard(path, "\r".join(lines).encode())

    def test_10_mib_are_shown_to_the_last_byte(self):
        self.configure("SlowClient=wait\n")
        text = "".join(f"{i:07} {random.Random(i).randbytes(36).hex()}\r\n" for i in range(10 * MEGABYTE // 82)) + "the end"
        self.machine.write("/run/text", text)
        self.vm("web", "--pipe", guest="head -c1 >/dev/null; cat /run/text; cat")
        page = self.console("web")
        page.type("\n")
        page.wait_rows("the end")
        page.catch_downloads()
        page.menu("Edit", "Download bytes")
        tail = page.saved()
        self.assertGreaterEqual(len(tail), 4 * MEGABYTE)
        self.assertTrue(text.encode().endswith(tail), "the bytes that the page has kept are the VM's")

    def test_a_flood_neither_freezes_the_page_nor_grows_it(self):
        path = "/run/heard-by-web"
        self.configure("[ConsoleLog]\nJournal=no\n")  # which takes minutes to swallow it
        self.machine.write(path, "")
        self.vm("web", "--pipe", guest=f"head -c1 >/dev/null; yes 'a flood of text' & exec cat >{path}")
        page = self.console("web")
        quiet = page.memory()
        page.type("\n")
        page.longest_stall()
        began, most, typed = page.value("performance.now()"), 0, 0
        while page.value("performance.now()") - began < FLOOD_SEC * 1000:
            page.type("k")
            typed += 1
            self.wait_heard(path, b"k" * typed)
            most = max(most, page.memory())
        print(f"# flood of {FLOOD_SEC:.0f} s: {typed} keys arrived, longest stall {page.longest_stall():.0f} ms, "
              f"memory {quiet / MEGABYTE:.0f} MiB before, {most / MEGABYTE:.0f} MiB at most")
        self.assertLess(most - quiet, 100 * MEGABYTE)

    def test_it_is_dark_where_the_browser_prefers_that(self):
        self.vm("web")
        page = self.console("web")
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.value(background)
        page.dark()
        page.wait(f"{background} !== {light!r}", "the page to become dark")
        self.shot("dark")


def run(release, tests, result):
    project = Project(release)
    try:
        machine = Machine(release, "host", [*project.binds, f"--bind-ro={SOURCE}:/source"])
        try:
            project.fetch_dependencies(machine, project.page())
            machine.write("/etc/hosts", "127.0.0.1 localhost\n")
            machine.boot()
            project.install(machine, project.page())
            machine.sh(PEOPLE)
            Scenario.machine, Scenario.packages = machine, project.packages()
            tests.run(result)
        finally:
            machine.close()
    finally:
        project.close()


def main():
    arguments = argument_parser(__doc__).parse_args()
    skip_where_impossible()
    isolation.enter()
    tap.run(tap.select(tap.tests_of(Rights, Consoles), arguments.words), lambda tests, result: run(arguments.release, tests, result))


if __name__ == "__main__":
    main()
