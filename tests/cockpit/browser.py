# SPDX-License-Identifier: LGPL-2.1-or-later

"""Debian's chromium without a window, driven by its DevTools protocol over a pair of pipes, and cockpit-ws with a session of
the user who runs the tests, without a login."""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

# How long anything may take on a busy machine before we say that it does not happen.
PATIENCE_SEC = float(os.environ.get("E2E_PATIENCE_SEC", "60"))

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "cockpit")

# The keys that are pressed by name: code, and what Windows calls the key, by which the browser knows its own shortcuts
KEYS = {"Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), "Tab": ("Tab", 9, ""), "ArrowDown": ("ArrowDown", 40, ""),
        "ArrowUp": ("ArrowUp", 38, ""), "End": ("End", 35, ""), "Home": ("Home", 36, "")}
ALT, CONTROL, META, SHIFT = 1, 2, 4, 8


def wait_for(predicate, what):
    """Waits until predicate() is true and returns what it returned."""
    deadline = time.monotonic() + PATIENCE_SEC
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what() if callable(what) else what}")
        time.sleep(0.01)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cockpit:
    """cockpit-ws and the page, which finds vspcd's socket at this path."""

    def __init__(self, admin_path, programs=None):
        """programs: a folder with programs that replace the system's."""
        self.folder = tempfile.TemporaryDirectory(prefix="vspc-cockpit-")
        page = os.path.join(self.folder.name, "cockpit", "vspc")
        shutil.copytree(SOURCE, page, ignore=shutil.ignore_patterns("*.in", "package*.json"))
        with open(os.path.join(SOURCE, "manifest.json.in"), encoding="utf-8") as f:
            manifest = json.loads(f.read().replace("@VSPCD@", "/"))
        manifest["config"] = {"socket": admin_path}
        with open(os.path.join(page, "manifest.json"), "w", encoding="utf-8") as f:
            json.dump(manifest, f)

        self.port = free_port()
        self.process = subprocess.Popen(
            ["/usr/lib/cockpit/cockpit-ws", "--no-tls", "--address=127.0.0.1", f"--port={self.port}",
             "--local-session=cockpit-bridge"],
            env={**os.environ, "XDG_DATA_HOME": self.folder.name, "XDG_DATA_DIRS": "/usr/share",
                 "PATH": os.pathsep.join([*([programs] if programs else []), os.environ["PATH"]])},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
        self.errors = bytearray()
        threading.Thread(target=self.collect, daemon=True).start()
        wait_for(self.is_listening, lambda: f"cockpit-ws to listen: {bytes(self.errors)!r}")

    def collect(self):
        for line in self.process.stderr:
            self.errors += line

    def is_listening(self):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    def shell_url(self, where="#/"):
        """The page in Cockpit's own frame"""
        return f"http://127.0.0.1:{self.port}/vspc{where}"

    def url(self, where="#/"):
        return f"http://127.0.0.1:{self.port}/cockpit/@localhost/vspc/index.html{where}"

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # and the bridge
        self.process.wait()
        self.folder.cleanup()


class Browser:
    def __init__(self, wrapper=()):
        """wrapper: a command that becomes chromium."""
        self.folder = tempfile.TemporaryDirectory(prefix="vspc-chromium-")
        reading, commands = os.pipe()
        answers, writing = os.pipe()

        def descriptors():
            high = [os.dup(fd) for fd in (reading, writing)]
            for fd, at in zip(high, (3, 4)):
                os.dup2(fd, at)

        self.process = subprocess.Popen(
            [*wrapper, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-extensions", "--disable-background-networking", "--disable-component-update",
             "--enable-precise-memory-info", "--js-flags=--expose-gc",
             "--remote-debugging-pipe", f"--user-data-dir={self.folder.name}", "about:blank"],
            close_fds=False, preexec_fn=descriptors, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, env={**os.environ, "HOME": self.folder.name})
        os.close(reading)
        os.close(writing)
        self.commands, self.answers = commands, os.fdopen(answers, "rb", buffering=0)
        self.number, self.replies, self.events, self.ended = 0, {}, [], False
        self.changed = threading.Condition()
        threading.Thread(target=self.collect, daemon=True).start()

    def collect(self):
        rest = b""
        while piece := self.answers.read(1 << 16):
            *messages, rest = (rest + piece).split(b"\0")
            with self.changed:
                for text in messages:
                    message = json.loads(text)
                    if "id" in message:
                        self.replies[message["id"]] = message
                    else:
                        self.events.append(message)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def call(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data):]
        deadline = time.monotonic() + 2 * PATIENCE_SEC
        with self.changed:
            while message["id"] not in self.replies:
                left = deadline - time.monotonic()
                if left < 0 or self.ended:
                    raise AssertionError(f"chromium does not answer {method}")
                self.changed.wait(left)
            reply = self.replies.pop(message["id"])
        if "error" in reply:
            raise AssertionError(f"{method}: {reply['error']}")
        return reply["result"]

    def page(self, **size):
        return Page(self, **size)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.commands)
        self.folder.cleanup()


class Page:
    """A tab. What is done in it is done with keys and the mouse, and seen in the document."""

    def __init__(self, browser, width=1280, height=800):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self.call("Page.addScriptToEvaluateOnNewDocument", source=METERS)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def open(self, url):
        self.call("Page.navigate", url=url)

    def value(self, expression):
        reply = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in reply:
            raise AssertionError(f"{expression}: {reply['exceptionDetails'].get('exception', reply['exceptionDetails'])}")
        return reply["result"].get("value")

    def wait(self, expression, what=None):
        def true():
            try:
                return self.value(expression)
            except AssertionError:
                return None  # the page is being loaded

        try:
            return wait_for(true, what or expression)
        except AssertionError as e:
            raise AssertionError(f"{e}\n--- the page:\n{self.value('document.body.innerText')}\n"
                                 f"--- its console:\n{self.problems()}") from e

    def text(self, selector="body"):
        return self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def wait_text(self, text, selector="body"):
        return self.wait(f"(document.querySelector({json.dumps(selector)})?.innerText ?? '').includes({json.dumps(text)})",
                         f"{text!r} in {selector}")

    def problems(self):
        """Exceptions, and what was logged as an error"""
        with self.browser.changed:
            events = [e for e in self.browser.events if e.get("sessionId") == self.session]
        found = []
        for event in events:
            p = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(p["exceptionDetails"].get("exception", {}).get("description", str(p)))
            elif event["method"] == "Runtime.consoleAPICalled" and p["type"] in ("error", "assert"):
                found.append(" ".join(str(a.get("value", a.get("description"))) for a in p["args"]))
            elif event["method"] == "Log.entryAdded" and p["entry"]["level"] == "error":
                found.append(f"{p['entry']['text']} {p['entry'].get('url', '')}")
        return found

    def saved(self):
        """What the last download has, after catch_downloads()"""
        self.wait("Boolean(window.saved)", "a download")
        return base64.b64decode(self.value("""(async () => {
            const bytes = new Uint8Array(await window.saved.arrayBuffer());
            let text = "";
            for (let i = 0; i < bytes.length; i += 8192)
                text += String.fromCharCode(...bytes.subarray(i, i + 8192));
            return btoa(text);
        })()"""))

    def catch_downloads(self):
        self.value("""(() => {
            const create = URL.createObjectURL;
            URL.createObjectURL = blob => {
                window.saved = blob;
                return create.call(URL, blob);
            };
        })()""")

    # Keys and mouse

    def press(self, key, modifiers=0, code=None):
        if key in KEYS:
            code, number, text = KEYS[key]
        else:
            code, number, text = code or f"Key{key.upper()}", ord(key.upper()), "" if modifiers & ~SHIFT else key
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", key=key, code=code,
                  windowsVirtualKeyCode=number, modifiers=modifiers, text=text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=code, windowsVirtualKeyCode=number, modifiers=modifiers)

    def type(self, text):
        """Each character as a key of its own"""
        for c in text:
            if c == "\n":
                self.press("Enter")
            else:
                self.call("Input.dispatchKeyEvent", type="keyDown", key=c, text=c)
                self.call("Input.dispatchKeyEvent", type="keyUp", key=c)

    def insert(self, text):
        """As an input method does, all at once"""
        self.call("Input.insertText", text=text)

    def click(self, expression):
        """expression: of an element"""
        x, y = self.wait(f"""(() => {{
            const element = {expression};
            if (!element || element.disabled)
                return null;
            element.scrollIntoView({{ block: "nearest" }});
            const r = element.getBoundingClientRect();
            return r.width > 0 && [r.left + r.width / 2, r.top + r.height / 2];
        }})()""", f"{expression} to click")
        self.click_at(x, y)

    def click_at(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def click_in_frame(self, frame, selector):
        """frame: an expression for a document in a frame"""
        x, y = self.wait(f"""(() => {{
            const element = {frame}?.querySelector({json.dumps(selector)});
            const r = element?.getBoundingClientRect(), f = element?.ownerDocument.defaultView.frameElement.getBoundingClientRect();
            return r?.width > 0 && [f.left + r.left + Math.min(r.width / 2, 40), f.top + r.top + r.height / 2];
        }})()""", f"{selector} to click")
        self.click_at(x, y)

    def click_text(self, text, within="document"):
        self.click(f"[...{within}.querySelectorAll('button, a')].find(e => e.innerText.trim().split('\\n')[0]"
                   f".startsWith({json.dumps(text)}) && e.checkVisibility())")

    def menu(self, name, item):
        self.click_text(name, "document.querySelector('[role=toolbar]')")
        self.click_text(item, "document.querySelector('.menu:not([hidden])')")

    def paste(self, text):
        """What the browser does when somebody pastes: the event, at what has the focus"""
        self.value(f"""(() => {{
            const data = new DataTransfer();
            data.setData("text/plain", {json.dumps(text)});
            document.activeElement.dispatchEvent(new ClipboardEvent("paste", {{ clipboardData: data, bubbles: true, cancelable: true }}));
        }})()""")

    # The terminal

    def rows(self):
        return self.text(".xterm-rows")

    def wait_rows(self, text):
        """What a terminal shows; blanks may be of any kind there."""
        pattern = re.escape(text).replace(r"\ ", r"\s")
        return self.wait(f"/{pattern}/.test(document.querySelector('.xterm-rows')?.textContent ?? '')", f"{text!r} in the terminal")

    def wait_attached(self):
        self.wait("document.querySelector('[role=toolbar]')?.innerText.includes('You and others may type')",
                  "the console to be attached")

    def screenshot(self, path=None):
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path:
            with open(path, "wb") as f:
                f.write(data)
        return data

    def dark(self, on=True):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if on else "light"}])

    def longest_stall(self):
        """Milliseconds between two turns of the page's loop since the last call, at most"""
        return self.value("(() => { const most = window.stall.most; window.stall.most = 0; return most; })()")

    def memory(self):
        """Bytes of JavaScript's heap and of the buffers beside it, after a garbage collection"""
        self.call("HeapProfiler.collectGarbage")
        return sum(self.call("Runtime.getHeapUsage").get(key, 0) for key in ("usedSize", "embedderHeapUsedSize", "backingStorageSize"))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)


METERS = """
window.stall = { most: 0, last: performance.now() };
setInterval(() => {
    const now = performance.now();
    window.stall.most = Math.max(window.stall.most, now - window.stall.last);
    window.stall.last = now;
}, 10);
new MutationObserver((changes, observer) => {
    if (document.querySelector(".space .row a[href]")) {
        window.firstRow = Date.now();
        observer.disconnect();
    }
}).observe(document, { childList: true, subtree: true });
"""
