# SPDX-License-Identifier: LGPL-2.1-or-later

"""The page for Cockpit, used in Chromium or Firefox with keys and the mouse, against vspcd with vspc-sim's guests."""

import contextlib
import hashlib
import os
import random
import re
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
# pylint: disable=wrong-import-position
from browser import CONTROL, SHIFT, Browser, Cockpit
from fake_varlink import FakeVspcd, a_client, a_vm, error, reply
from harness import TestCase, listener, local_listener, main, wait_for
from test_sim import Simulator
from varlink_peer import Caller

IN_FIREFOX = os.environ.get("BROWSER") == "firefox"
if IN_FIREFOX:
    from firefox import Firefox

FLOOD_SEC = float(os.environ.get("FLOOD_SEC", "30"))
MEGABYTE = 1 << 20
SCREENSHOTS = os.environ.get("SCREENSHOTS")  # a folder for them, if somebody wants to look

# It is started once.
browsers = []


def the_browser():
    if not browsers:
        browsers.append(Firefox() if IN_FIREFOX else Browser())
    return browsers[0]


class PageTest(TestCase):
    allowed = ()  # patterns of errors in the browser's console that are no fault of the page's

    def open(self, vspcd, where="#/", **size):
        path = vspcd if isinstance(vspcd, str) else vspcd.admin_path
        self.cockpit = Cockpit(path, getattr(self, "programs", None))
        self.addCleanup(self.cockpit.close)
        page = the_browser().page(**size)
        self.page = page
        self.addCleanup(self.close_page)
        page.open(self.cockpit.url(where))
        return page

    def close_page(self):
        problems = [p for p in self.page.problems() if not any(re.search(pattern, p) for pattern in self.allowed)]
        self.page.close()
        self.assertEqual(problems, [])

    def evidence(self):
        if SCREENSHOTS and hasattr(self, "page"):
            self.shot("failed-" + self.id().rsplit(".", 1)[-1])
        return ""

    def shot(self, name):
        """Waits until what moves has come to rest."""
        if SCREENSHOTS:
            self.page.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            self.page.screenshot(os.path.join(SCREENSHOTS, name + ".png"))

    def guest(self, vspcd, name, *arguments, **more):
        sim = Simulator(self, vspcd, f"--name={name}", *arguments, **more)
        vspcd.wait_logged(rf"VM {name}(-1)? .*connected from")
        return sim

    def console(self, vspcd, name, access=None):
        page = self.open(vspcd, f"#/vm/{name}")
        page.wait_attached()
        return page

    def file(self, data=None):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-cockpit-file-"))
        path = os.path.join(folder, "file")
        if data is not None:
            with open(path, "wb") as f:
                f.write(data)
        return path

    def wait_file(self, path, expected):
        def content():
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as f:
                return f.read()
            return b""

        try:
            wait_for(lambda: len(content()) >= len(expected), f"{len(expected)} bytes at the guest")
        finally:
            self.assertSameBytes(content()[:len(expected) + 1], expected)


def names(page):
    """In the order in which they are shown"""
    return page.value("""[...document.querySelectorAll('.space .row:not([hidden])')]
        .sort((a, b) => a.getAttribute('aria-rowindex') - b.getAttribute('aria-rowindex'))
        .map(row => row.querySelector('.name').innerText)""")


class List(PageTest):
    def test_vms_come_change_and_go_while_one_looks(self):
        vspcd = self.start(local=True, VMExpireSec="1ms")
        page = self.open(vspcd)
        page.wait_text("No VM is connected yet")
        page.wait_text("telnet://127.0.0.1:13370")
        self.shot("empty")
        sim = self.guest(vspcd, "web", "--count=3", "--echo")
        page.wait_text("3 VMs")
        self.assertEqual(names(page), ["web-1", "web-2", "web-3"])
        client = Caller(vspcd)
        client.attach("web-2")
        page.wait("document.querySelectorAll('.clients').length && "
                  "[...document.querySelectorAll('.row')].some(r => /web-2/.test(r.innerText) && /127.0.0.1:|root/.test("
                  "r.querySelector('.clients').innerText))", "the client in the row of web-2")
        client.close()
        sim.stop()
        page.wait_text("No VM is connected yet")

    def test_the_filter_finds_names_states_hosts_and_clients_as_one_types(self):
        vspcd = self.start(local=True)
        self.guest(vspcd, "db", "--count=20", "--hosts=4", "--echo")
        page = self.open(vspcd)
        page.wait_text("20 VMs")
        page.type("db-1 127.0.0.2")
        page.wait("document.querySelector('.count').innerText.startsWith('3 of 20')",
                  lambda: f"three VMs: {names(page)}")
        page.type("nothing")
        page.wait_text("No VM matches the filter")
        self.shot("no-match")
        page.click_text("Clear filter")
        page.wait_text("20 VMs")

    def test_columns_are_sorted_by_a_click_and_numbers_as_people_count(self):
        vspcd = self.start(local=True)
        self.guest(vspcd, "db", "--count=12", "--echo")
        page = self.open(vspcd)
        page.wait_text("12 VMs")
        self.assertEqual(names(page), [f"db-{i}" for i in range(1, 13)])
        page.click_text("Name")
        page.wait("document.querySelector('.name[aria-sort]').getAttribute('aria-sort') === 'descending'")
        page.wait("[...document.querySelectorAll('.space .row:not([hidden])')].some(row => "
                  "row.getAttribute('aria-rowindex') === '2' && /db-12/.test(row.innerText))", "db-12 in the first row")
        self.assertEqual(names(page), [f"db-{i}" for i in range(12, 0, -1)])

    def test_16000_vms_are_there_with_a_screenful_of_rows(self):
        vms = [a_vm(f"vm-{i}", i) for i in range(16000)]
        server = self.enterContext(Monitored(vms))
        page = self.open(server.path)
        page.wait_text("16,000 VMs")
        asked = server.asked[0] * 1000
        first = page.value("window.firstRow") - asked
        complete = page.value("Date.now()") - asked
        page.longest_stall()
        page.value("document.querySelector('.scroller').scrollTop = 8000 * 40")
        page.wait_text("vm-8003")
        page.type("vm-15999")
        page.wait("document.querySelector('.count').innerText === '1 of 16,000 VMs'", "one VM to match")
        self.assertEqual(names(page), ["vm-15999"])
        page.click_text("State")
        stall = page.longest_stall()
        self.assertLess(page.value("document.querySelectorAll('.space .row').length"), 80)
        memory = page.memory()
        print(f"# 16,000 VMs: first rows {first:.0f} ms after Monitor was called, all after {complete:.0f} ms, "
              f"longest stall {stall:.0f} ms, {memory / MEGABYTE:.0f} MiB")
        self.assertLess(memory, 150 * MEGABYTE)

    def test_a_vm_among_many_is_found_and_opened_with_the_keyboard_alone(self):
        vspcd = self.start(local=True, ports=256)
        self.guest(vspcd, "db", "--count=200", "--echo")
        page = self.open(vspcd)
        page.wait_text("200 VMs")
        page.type("db-17")
        page.wait_text("11 of 200 VMs")
        for _ in range(20):  # by way of the headers
            page.press("Tab")
            if page.value("Boolean(document.activeElement.closest('.space'))"):
                break
        self.assertEqual(page.value("document.activeElement.innerText"), "db-17")
        page.press("ArrowDown")
        page.wait("document.activeElement.innerText === 'db-170'", "the second row to have the focus")
        page.press("End")
        page.wait("document.activeElement.innerText === 'db-179'", "the last row to have the focus")
        page.press("Enter")
        page.wait_text("db-179", "h1")
        page.wait_attached()
        page.type("typed")
        page.wait_rows("typed")
        page.press("L", CONTROL | SHIFT)
        page.wait("document.activeElement.innerText.startsWith('Access')", "the toolbar to have the focus")


class Monitored(FakeVspcd):
    """A concentrator with these VMs"""

    def __init__(self, vms, description="method Monitor() -> ()"):
        super().__init__()
        self.vms = vms
        self.asked = []  # when Monitor was called
        self.answers["org.varlink.service.GetInterfaceDescription"] = reply(description=description)
        self.answers["Monitor"] = self.monitor

    def monitor(self, *_):
        self.asked.append(time.time())
        return [*({"parameters": {"event": "present", "vm": vm}, "continues": True} for vm in self.vms),
                {"parameters": {"event": "ready"}, "continues": True}]


class Console(PageTest):
    def test_what_is_typed_is_run_and_shown(self):
        vspcd = self.start(local=True)
        self.guest(vspcd, "web01", "--exec=sh")
        page = self.open(vspcd)
        page.click_text("web01")
        page.wait_attached()
        page.type("echo $((6*7)) grün ☃\n")
        page.wait_rows("42 grün ☃")
        self.shot("console")
        page.wait_text("root", ".clients")

    def test_utf8_that_is_cut_between_messages_is_shown(self):
        vspcd = self.start(local=True)
        self.guest(vspcd, "web", "--exec=for b in '\\342' '\\230' '\\203'; do printf $b; sleep 0.05; done; printf ' end'; read x",
                   "--pipe", "--split=1")
        page = self.console(vspcd, "web")
        page.wait_rows("☃ end")

    def test_every_byte_value_arrives_in_both_directions(self):
        vspcd = self.start(local=True)
        sent = bytes(range(256)) * 3 + b"\xff\xff\xff\x00"
        sink = self.file()
        self.guest(vspcd, "out", f"--exec=head -c1 >/dev/null; cat {self.file(sent)}; cat", "--pipe")
        self.guest(vspcd, "in", f"--sink={sink}")
        page = self.console(vspcd, "in")
        page.menu("Send", "Bytes")
        page.insert(sent.hex(" "))
        page.click_text("Send", "document.querySelector('dialog')")
        self.wait_file(sink, sent)
        page.value("location.hash = '#/vm/out'")
        page.wait_text("out", "h1")
        page.wait_attached()
        page.type("\n")
        page.catch_downloads()
        wait_for(lambda: self.download(page) == sent, lambda: f"the VM's bytes, having got {self.download(page)!r}")

    def download(self, page):
        page.menu("Edit", "Download bytes")
        return page.saved()

    def test_a_break_reaches_the_guest(self):
        vspcd = self.start(local=True)
        sim = self.guest(vspcd, "web", "--echo")
        page = self.console(vspcd, "web")
        page.menu("Send", "Break")
        page.wait_text("Break sent", ".notices")
        page.menu("Send", "SysRq")
        page.insert("h")
        page.press("Enter")
        page.wait_rows("h")
        self.assertEqual(sim.stop()["breaks"], 2)

    def test_keys_that_a_browser_keeps_are_sent_from_the_menu(self):
        vspcd = self.start(local=True)
        sink = self.file()
        self.guest(vspcd, "web", f"--sink={sink}")
        page = self.console(vspcd, "web")
        for name in ("Ctrl+W", "Ctrl+T", "Ctrl+N", "Ctrl+@", "F1"):
            page.menu("Send", name)
        self.wait_file(sink, b"\x17\x14\x0e\0\x1bOP")

    def test_one_line_is_pasted_at_once_and_several_after_a_question(self):
        vspcd = self.start(local=True)
        sink = self.file()
        self.guest(vspcd, "web", f"--sink={sink}")
        page = self.console(vspcd, "web")
        page.paste("one line")
        self.wait_file(sink, b"one line")
        page.paste("a\nb\nc\n")
        page.wait_text("Paste 3 lines?", "dialog")
        self.shot("paste")
        page.click_text("Cancel", "document.querySelector('dialog')")
        page.paste("d\ne\n")
        page.click_text("Paste", "document.querySelector('dialog')")
        self.wait_file(sink, b"one lined\re\r")

    def test_3000_lines_are_pasted_whole(self):
        vspcd = self.start(local=True)
        sink = self.file()
        self.guest(vspcd, "web", f"--sink={sink}")
        page = self.console(vspcd, "web")
        lines = [f"line {i} of a long text, with ü and ☃" for i in range(3000)]
        page.paste("\n".join(lines))
        page.wait_text("Paste 3,000 lines?", "dialog")
        page.click_text("Paste", "document.querySelector('dialog')")
        self.wait_file(sink, "\r".join(lines).encode())

    def test_the_text_is_searched(self):
        vspcd = self.start(local=True)
        self.guest(vspcd, "web", f"--source={self.file(b'needle hay needle hay hay needle')}", "--for=1h")
        page = self.console(vspcd, "web")
        page.wait_rows("hay needle")
        page.press("F", CONTROL | SHIFT)
        page.type("needle")
        page.wait_text("of 3", ".search-bar")
        page.press("Escape")
        page.wait("document.activeElement.classList.contains('xterm-helper-textarea')", "the terminal to have the focus")

    def test_the_guest_is_told_the_size_after_a_question(self):
        vspcd = self.start(local=True)
        sink = self.file()
        self.guest(vspcd, "web", f"--sink={sink}")
        page = self.console(vspcd, "web")
        page.menu("View", "80×24")
        page.menu("Send", "Tell the guest")
        page.wait_text("stty rows 24 cols 80", "dialog")
        page.click_text("Type it", "document.querySelector('dialog')")
        self.wait_file(sink, b"stty rows 24 cols 80\r")
        page.menu("View", "Fit the window")

    def test_a_deep_link_waits_for_a_vm_that_is_not_there_yet(self):
        vspcd = self.start(local=True)
        page = self.open(vspcd, "#/vm/late")
        page.wait_text("vspcd does not know this VM")
        self.shot("unknown")
        self.guest(vspcd, "late", f"--source={self.file(b'here I am')}", "--for=1h")
        page.wait_attached()
        page.wait_rows("here I am")

    def test_news_of_the_vm_is_told_beside_the_terminal(self):
        vspcd = self.start(local=True)
        sim = self.guest(vspcd, "web", "--echo")
        page = self.console(vspcd, "web")
        sim.stop()
        page.wait_text("VM disconnected", ".notices")
        page.wait_text("The VM is not connected", ".banners")
        self.guest(vspcd, "web", "--echo")
        page.wait_text("VM connected", ".notices")
        self.assertNotIn("[vspc:", page.rows())
        page.wait("!document.querySelector('.banners').innerText.includes('not connected')")

    def test_the_screen_reader_mode_has_the_text(self):
        vspcd = self.start(local=True)
        self.guest(vspcd, "web", "--echo")
        page = self.console(vspcd, "web")
        page.menu("View", "Screen reader mode")
        page.type("read me")
        page.wait(r"/read.me/.test(document.querySelector('.xterm-accessibility')?.innerText)", "the text for screen readers")
        page.menu("View", "Screen reader mode")


class Access(PageTest):
    def test_exclusive_access_of_somebody_else_is_shown_and_ends(self):
        vspcd = self.start(local=True)
        self.guest(vspcd, "web", "--echo")
        holder = Caller(vspcd, local=True)
        holder.attach("web", access="exclusive")
        page = self.open(vspcd, "#/vm/web")
        page.wait_text("Access refused", ".banners")
        page.wait_text("holds exclusive access since", ".banners")
        self.shot("refused")
        holder.close()
        page.click_text("Try again")
        page.wait_attached()

    def test_under_a_write_lock_what_is_typed_is_not_sent_and_the_page_says_so(self):
        vspcd = self.start(local=True)
        sink = self.file()
        self.guest(vspcd, "web", f"--sink={sink}")
        holder = Caller(vspcd, local=True)
        holder.attach("web", access="write")
        page = self.open(vspcd, "#/vm/web")
        page.wait_text("Read-only", ".banners")
        page.wait_text("holds write access", ".banners")
        page.type("x")  # one key: vspcd has got it when it says so
        page.wait("Boolean(document.querySelector('.banners.flash'))", "the banner to flash")
        holder.send(b"heard")
        self.wait_file(sink, b"heard")
        page.wait_text("read-only: ", ".notices")
        self.shot("read-only")
        holder.close()
        page.wait_attached()
        page.type("now")
        self.wait_file(sink, b"heardnow")

    def test_access_is_changed_in_the_menu(self):
        vspcd = self.start(local=True)
        self.guest(vspcd, "web", "--echo")
        page = self.console(vspcd, "web")
        page.menu("Access", "Exclusive")
        page.wait_text("Only you may type and watch", "[role=toolbar]")
        refused = Caller(vspcd).call("Attach", {"vm": "web"}, upgrade=True)
        self.assertEqual(refused["error"], "org.vspc.Concentrator.AccessDenied")
        page.menu("Access", "Watch")
        page.wait_text("You are watching", ".banners")
        page.menu("Access", "Shared")
        page.wait_attached()
        page.type("again")
        page.wait_rows("again")

    def test_somebody_who_is_cleared_stays_out_until_asked(self):
        vspcd = self.start(local=True)
        self.guest(vspcd, "web", "--echo")
        page = self.console(vspcd, "web")
        page.menu("VM", "Disconnect all clients")
        page.wait_text("Disconnect all clients of web?", "dialog")
        page.click_text("Disconnect them")
        page.wait_text("You were disconnected from the console", ".banners")
        self.shot("ended")
        page.click_text("Connect again")
        page.wait_attached()

    def test_a_vm_that_is_connected_is_not_forgotten_and_vspcd_says_why(self):
        vspcd = self.start(local=True)
        sim = self.guest(vspcd, "web", "--echo")
        page = self.console(vspcd, "web")
        page.menu("VM", "Forget")
        page.click_text("Forget", "document.querySelector('dialog')")
        page.wait_text("Only a VM that is not connected can be forgotten", "dialog .dialog-problem")
        self.shot("forget-refused")
        sim.stop()
        page.wait_text("VM disconnected", ".notices")
        page.click_text("Forget", "document.querySelector('dialog')")
        page.wait_text("No VM is connected yet")


SHARING = """
method Attach(vm: string, access: ?Access, force: ?bool) -> (vm: VM, granted: Access, client: int)
method SetAccess(vm: string, client: int, access: Access, force: ?bool) -> (granted: Access)
method Disconnect(vm: string, client: int) -> ()
method Say(vm: string, text: string) -> (heard: int)
"""


class Sharing(PageTest):
    """What is offered with a vspcd whose interface has it"""

    def setUp(self):
        super().setUp()
        self.clients = [a_client("alice (pid 7)", "write", id=7), a_client("bob (pid 8)", "read_only", id=8)]
        self.vm = a_vm("web", clientCount=2, clients=self.clients)
        self.server = self.enterContext(Monitored([self.vm], SHARING))
        self.server.answers["Attach"] = lambda *_: reply(vm=self.vm, granted="read_only", client=8)
        self.server.answers["GetMetrics"] = reply(startedAt=1)

    def console_of_bob(self):
        page = self.open(self.server.path, "#/vm/web")
        page.wait_text("alice (pid 7) holds write access", ".banners")
        return page

    def wait_call(self, method, **parameters):
        wait_for(lambda: (method, {"vm": self.vm["id"], **parameters}) in self.server.calls,
                 lambda: f"{method} {parameters}, not {self.server.calls}")

    def test_before_monitor_has_answered_the_page_works_with_what_attach_has_told(self):
        self.server.answers["Monitor"] = []  # as if vspcd had much to tell first
        self.server.answers["Clear"] = reply(disconnected=2)
        page = self.console_of_bob()
        page.wait_text("connected", ".state")
        page.wait_text("alice", ".clients")
        page.click_text("Log")
        page.wait("Boolean(document.querySelector('.log'))", "the log to open")
        page.menu("VM", "Disconnect all clients")
        page.click_text("Disconnect them")
        self.wait_call("Clear")

    def test_write_access_is_taken_over(self):
        self.server.answers["SetAccess"] = reply(granted="write")
        page = self.console_of_bob()
        page.click_text("Take over")
        self.wait_call("SetAccess", client=8, access="write", force=True)

    def test_a_refused_change_of_access_can_be_forced(self):
        self.server.answers["SetAccess"] = lambda _, p: reply(granted="write") if p.get("force") else error(
            "AccessDenied", vm=self.vm["id"], access="write", holders=self.clients[:1])
        page = self.console_of_bob()
        page.menu("Access", "Write")
        page.wait_text("alice (pid 7) holds write access", "dialog")
        page.click_text("Take over", "document.querySelector('dialog')")
        self.wait_call("SetAccess", client=8, access="write", force=True)

    def test_another_client_is_disconnected_after_a_question(self):
        self.server.answers["Disconnect"] = reply()
        page = self.console_of_bob()
        page.click("document.querySelector('.clients button')")
        page.wait_text("Disconnect alice?", "dialog")
        page.click_text("Disconnect", "document.querySelector('dialog')")
        self.wait_call("Disconnect", client=7)
        self.assertEqual(page.value("document.querySelectorAll('.clients button').length"), 1)  # not ourselves

    def test_a_message_is_sent_and_how_many_got_it_is_told(self):
        self.server.answers["Say"] = reply(heard=2)
        page = self.console_of_bob()
        page.menu("VM", "Send a message")
        page.type("reboot at noon")
        page.press("Enter")
        page.wait_text("Message sent to 2 clients", ".notices")
        self.wait_call("Say", text="reboot at noon")

    def test_what_is_not_permitted_is_shown_with_who_may(self):
        self.server.answers["Clear"] = error("NotPermitted", vm=self.vm["id"], act="clear", right="admin", who=["group:dba"])
        page = self.console_of_bob()
        page.menu("VM", "Disconnect all clients")
        page.click_text("Disconnect them")
        page.wait_text("These may: group:dba", "dialog")


class Endurance(PageTest):
    def test_a_restart_of_vspcd_while_one_types_shows_no_text_twice(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-cockpit-"))
        path = os.path.join(folder, "admin.socket")
        passed = [listener(), local_listener(path)]
        self.addCleanup(lambda: [s.close() for s in passed])
        first = self.start(passed=passed, sockets=("vm", "admin"))
        self.guest(first, "web", "--exec=cat", "--reconnect=100ms")
        page = self.open(path, "#/vm/web")
        page.wait_attached()
        page.type("before\n")
        page.wait_rows("beforebefore")  # its echo, and what cat says
        first.end()
        page.wait_text("Connection to the console lost", ".banners")
        self.shot("reconnecting")
        page.type("unheard")
        second = self.start(passed=passed, sockets=("vm", "admin"))
        second.wait_logged("VM web .*connected from")
        page.wait_text("Connected again", ".notices")
        page.wait_attached()
        page.type("after\n")
        page.wait_rows("afterafter")
        text = page.rows()
        self.assertEqual(text.count("before"), 0, text)  # a new vspcd has no scrollback of the last
        self.assertEqual(text.count("after"), 2, text)
        self.assertNotIn("unheard", text)

    def test_the_list_stays_while_vspcd_is_away(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-cockpit-"))
        path = os.path.join(folder, "admin.socket")
        passed = [listener(), local_listener(path)]
        self.addCleanup(lambda: [s.close() for s in passed])
        first = self.start(passed=passed, sockets=("vm", "admin"))
        self.guest(first, "web", "--echo", "--reconnect=100ms")
        page = self.open(path)
        page.wait_text("1 VM")
        first.end()
        page.wait_text("Connection to vspcd lost", "#banner")
        self.assertEqual(names(page), ["web"])
        self.shot("list-reconnecting")
        self.start(passed=passed, sockets=("vm", "admin"))
        page.wait("document.querySelector('#banner').innerText === ''", "the banner to go")
        page.wait_text("1 VM")

    def test_10_mib_are_shown_to_the_last_byte(self):
        vspcd = self.start(local=True, SlowClient="wait")
        lines = b"".join(b"%07d %s\r\n" % (i, random.Random(i).randbytes(36).hex().encode()) for i in range(10 * MEGABYTE // 82))
        source = self.file(lines + b"the end")
        self.guest(vspcd, "web", f"--exec=head -c1; cat {source}; cat", "--pipe")
        page = self.console(vspcd, "web")
        page.longest_stall()
        page.type("\n")
        page.wait_rows("the end")
        stall = page.longest_stall()
        page.catch_downloads()
        page.menu("Edit", "Download bytes")
        tail = page.saved()
        print(f"# 10 MiB: longest stall {stall:.0f} ms, notices {page.text('.notices')!r}")
        self.assertEqual(hashlib.sha256(tail).digest(), hashlib.sha256((lines + b"the end")[-len(tail):]).digest())
        self.assertGreaterEqual(len(tail), 4 * MEGABYTE)
        self.assertNotIn("left out", page.text(".notices"))

    def test_a_flood_neither_freezes_the_page_nor_grows_it(self):
        vspcd = self.start(local=True)
        sink = self.file()
        page = self.open(vspcd)
        page.wait_text("No VM is connected yet")
        quiet = page.memory()
        self.guest(vspcd, "web", f"--exec=yes 'a flood of text' & exec cat >{sink}", "--pipe")
        page.click_text("web")
        page.wait_attached()
        page.longest_stall()
        began = page.value("performance.now()")
        most, typed = 0, 0
        while page.value("performance.now()") - began < FLOOD_SEC * 1000:
            page.type("k")
            typed += 1
            self.wait_file(sink, b"k" * typed)  # keys arrive all the time
            most = max(most, page.memory())
        stall = page.longest_stall()
        page.value("location.hash = '#/'")
        page.wait_text("1 VM")
        after = wait_for(lambda: (now := page.memory()) - quiet < 20 * MEGABYTE and now, "the page to be small again")
        print(f"# flood of {FLOOD_SEC:.0f} s: {typed} keys arrived, longest stall {stall:.0f} ms, memory {quiet / MEGABYTE:.0f} MiB "
              f"before, {most / MEGABYTE:.0f} MiB at most, {after / MEGABYTE:.0f} MiB after it")
        self.assertLess(most - quiet, 100 * MEGABYTE)


    def test_what_nothing_holds_back_is_dropped_beyond_8_mib_and_the_page_says_how_much(self):
        vspcd = self.start(local=True)
        page = self.open(vspcd)
        page.wait_text("No VM is connected yet")
        most, dropped, tail = page.value("""(async () => {
            const { ConsoleTerminal } = await import("./terminal.js");
            const place = document.body.appendChild(document.createElement("div"));
            place.style.height = "400px";
            const piece = new Uint8Array(1 << 20).fill(65);
            let over, dropped = 0;
            const ended = new Promise(done => { over = done; });
            const terminal = new ConsoleTerminal(place, {
                dropped: n => over(dropped += n),
                drained: () => terminal.flow.dropping || terminal.endGap(),
            }, "terminal");
            for (let i = 0; i < 20; i++)
                terminal.write(piece);
            await ended;
            return [terminal.flow.most, dropped, terminal.tail.bytes().length];
        })()""")
        self.assertEqual((most, dropped, tail), (8 * MEGABYTE, 12 * MEGABYTE, 4 * MEGABYTE))


class Looks(PageTest):
    # Of all texts that can be seen: the contrast with what is behind them, as WCAG computes it
    CONTRASTS = """(() => {
        const parse = color => (color.match(/[\\d.]+/g) ?? []).map(Number);
        const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const behind = element => {
            for (let e = element; e; e = e.parentElement) {
                const color = parse(getComputedStyle(e).backgroundColor);
                if (color.length === 3 || color[3] === 1)
                    return color;
            }
            return [255, 255, 255];
        };
        const bad = [];
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        for (let node; (node = walker.nextNode());) {
            const element = node.parentElement;
            if (!node.data.trim() || !element.checkVisibility() || element.closest('.xterm, noscript'))
                continue;
            const [a, b] = [parse(getComputedStyle(element).color), behind(element)].map(luminance);
            const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            if (contrast < 4.5)
                bad.push(`${node.data.trim()}: ${contrast.toFixed(2)}`);
        }
        return bad;
    })()"""

    def test_it_follows_the_browser_and_cockpits_own_choice_of_dark_and_light(self):
        vspcd = self.start(local=True)
        page = self.open(vspcd)
        page.wait_text("No VM is connected yet")
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.value(background)
        page.dark()
        page.wait(f"{background} !== {light!r}", "the page to become dark")
        page.value("localStorage.setItem('shell:style', 'light'); "
                   "dispatchEvent(new CustomEvent('cockpit-style', { detail: { style: 'light' } }))")
        page.wait(f"{background} === {light!r}", "the page to become light")
        page.value("localStorage.removeItem('shell:style')")

    def test_all_texts_have_contrast_in_light_and_dark(self):
        vspcd = self.start(local=True)
        sim = self.guest(vspcd, "web", "--count=3", "--echo")
        page = self.open(vspcd)
        for dark in (False, True):
            page.dark(dark)
            page.value("location.hash = '#/'")
            page.wait_text("3 VMs")
            self.assertEqual(page.value(self.CONTRASTS), [], "list")
            page.value("location.hash = '#/vm/web-1'")
            page.wait_attached()
            page.menu("Access", "Watch")
            page.wait_text("You are watching", ".banners")
            self.assertEqual(page.value(self.CONTRASTS), [], "console")
            page.click_text("Send", "document.querySelector('[role=toolbar]')")
            self.assertEqual(page.value(self.CONTRASTS), [], "menu")
            page.press("Escape")
        sim.stop()

    def test_everything_that_can_be_pressed_has_a_name(self):
        vspcd = self.start(local=True)
        self.guest(vspcd, "web", "--echo")
        page = self.open(vspcd)
        page.wait_text("1 VM")
        nameless = """[...document.querySelectorAll('button, a, input, textarea, [role=grid], [role=log]')].filter(e =>
            e.checkVisibility({ visibilityProperty: true }) && !(e.innerText?.trim() || e.getAttribute('aria-label') || e.labels?.length)).map(e => e.outerHTML.slice(0, 200))"""
        self.assertEqual(page.value(nameless), [])
        page.click_text("web")
        page.wait_attached()
        page.click_text("Log")
        self.assertEqual(page.value(nameless), [])


class Obstacles(PageTest):
    def test_without_vspcd_it_says_how_to_start_it_and_goes_on_when_it_runs(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-cockpit-"))
        path = os.path.join(folder, "admin.socket")
        page = self.open(path)
        page.wait_text("vspc is not running")
        page.wait_text("Start vspc")
        self.shot("stopped")
        passed = [listener(), local_listener(path)]
        self.addCleanup(lambda: [s.close() for s in passed])
        self.start(passed=passed, sockets=("vm", "admin"))
        page.wait_text("No VM is connected yet")

    def test_where_the_socket_is_refused_it_says_which_right_is_missing(self):
        def refuse(*_):
            return [{"error": "org.varlink.service.PermissionDenied", "parameters": {}}]

        server = self.enterContext(Monitored([]))
        server.answers["Monitor"] = refuse
        page = self.open(server.path)
        page.wait_text("You may not use the serial consoles")
        page.wait_text("usermod -aG vspc")
        self.shot("denied")

    def test_who_writes_is_shown_of_64_clients_and_the_others_are_counted(self):
        vm = a_vm("web", clientCount=70, clients=[a_client(f"user{i} (pid {i})", "free_for_all") for i in range(64)])
        server = self.enterContext(Monitored([vm]))
        page = self.open(server.path)
        page.wait_text("user0, user1")


class Shell(PageTest):
    """The page in Cockpit's own frame"""

    FRAME = "document.querySelector('iframe[name$=\"/vspc\"]')?.contentDocument"

    def wait_frame(self, page, text):
        page.wait(f"Boolean({self.FRAME}?.body?.innerText.includes({text!r}))", f"{text!r} in the frame")

    def test_it_is_in_cockpits_menu_and_a_deep_link_leads_to_a_console(self):
        vspcd = self.start(local=True)
        self.guest(vspcd, "web", "--echo")
        page = self.open(vspcd)
        page.wait_text("1 VM")
        page.open(self.cockpit.shell_url("#/vm/web"))
        self.wait_frame(page, "You and others may type")
        page.wait("[...document.querySelectorAll('#host-apps a, nav a')].some(a => a.innerText.includes('Serial consoles'))",
                  "the entry in the menu")
        self.shot("shell")
        self.assertTrue(page.value("location.pathname + location.hash").startswith("/vspc#/vm/web"))


class Log(PageTest):
    def setUp(self):
        super().setUp()
        self.programs = self.enterContext(tempfile.TemporaryDirectory(prefix="vspc-cockpit-programs-"))

    def journalctl(self, script):
        path = os.path.join(self.programs, "journalctl")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\necho \"$@\" >{self.programs}/asked\n{script}\n")
        os.chmod(path, 0o755)

    def asked(self):
        """What it was called with last"""
        with open(os.path.join(self.programs, "asked"), encoding="utf-8") as f:
            return f.read().split()

    def test_the_last_lines_of_the_journal_are_shown_and_searched(self):
        self.journalctl("""printf '{"__REALTIME_TIMESTAMP":"1700000000000000","MESSAGE":"%s"}\\n' 'kernel: booting' 'login: alice'""")
        vspcd = self.start(local=True)
        self.guest(vspcd, "web", "--echo")
        page = self.console(vspcd, "web")
        page.click_text("Log")
        page.wait_text("login: alice", ".log-lines")
        self.shot("log")
        asked = self.asked()
        self.assertIn("_SYSTEMD_UNIT=vspc-logger.service", asked)
        self.assertTrue([word for word in asked if word.startswith("VSPC_VM_UUID=")], asked)
        page.click("document.querySelector('.log input[type=search]')")
        page.type("boot")
        page.wait("document.querySelector('.log-lines').innerText.includes('booting') && "
                  "!document.querySelector('.log-lines').innerText.includes('alice')", "only the line that matches")

    def test_new_lines_are_shown_while_following(self):
        self.journalctl("""line() { echo '{"__REALTIME_TIMESTAMP":"1700000000000000","MESSAGE":"'$1'"}'; }
            line old; case "$*" in *--follow*) until [ -e "$0.more" ]; do sleep 0.05; done; line new; exec sleep 1000; esac""")
        vspcd = self.start(local=True)
        self.guest(vspcd, "web", "--echo")
        page = self.console(vspcd, "web")
        page.click_text("Log")
        page.wait_text("old", ".log-lines")
        page.click("document.querySelector('.log input[type=checkbox]')")
        wait_for(lambda: "--follow" in self.asked(), "journalctl to be asked to follow")
        with open(os.path.join(self.programs, "journalctl.more"), "w", encoding="utf-8"):
            pass
        page.wait_text("new", ".log-lines")

    def test_reading_the_log_of_a_vm_that_floods_it_ends_by_itself(self):
        self.journalctl("""exec yes '{"__REALTIME_TIMESTAMP":"1700000000000000","MESSAGE":"again and again"}'""")
        vspcd = self.start(local=True)
        self.guest(vspcd, "web", "--echo")
        page = self.console(vspcd, "web")
        page.click_text("Log")
        page.wait_text("Reading was stopped after", ".log-note")
        self.assertLessEqual(page.value("document.querySelector('.log-lines').childElementCount"), 2000)


def close_browsers():
    for browser in browsers:
        browser.close()


if __name__ == "__main__":
    try:
        main()
    finally:
        close_browsers()
