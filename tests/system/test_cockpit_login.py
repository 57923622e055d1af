# SPDX-License-Identifier: LGPL-2.1-or-later

"""The page for Cockpit on a machine with Debian 12 (bookworm) or 13 (trixie), installed from the packages, and used by people
who log in to Cockpit: in a Chromium that runs outside the machine, in its network."""

import os
import sys

import isolation
from arguments import argument_parser, skip_where_impossible, tap
from machine import SOURCE, Machine
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


class Logins(Scenario):
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
    tap.run(tap.select(tap.tests_of(Logins), arguments.words), lambda tests, result: run(arguments.release, tests, result))


if __name__ == "__main__":
    main()
