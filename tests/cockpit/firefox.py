# SPDX-License-Identifier: LGPL-2.1-or-later

"""Debian's firefox-esr without a window, driven by WebDriver BiDi over a WebSocket, in the same way as browser.py drives
chromium."""

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import unittest

import websocket
from browser import ALT, CONTROL, META, METERS, PATIENCE_SEC, SHIFT, Page

# How WebDriver calls keys that are no characters
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Tab": "\ue004", "ArrowDown": "\ue015", "ArrowUp": "\ue013", "End": "\ue010",
        "Home": "\ue011", "Insert": "\ue016"}
MODIFIERS = {SHIFT: "\ue008", CONTROL: "\ue009", ALT: "\ue00a", META: "\ue03d"}

PREFERENCES = """
user_pref("app.normandy.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("dom.events.testing.asyncClipboard", true);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.server", "data:,");
"""


class Firefox:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="vspc-firefox-")
        with open(os.path.join(self.folder.name, "user.js"), "w", encoding="utf-8") as f:
            f.write(PREFERENCES)
        self.process = subprocess.Popen(
            ["firefox-esr", "--headless", "--no-remote", "--profile", self.folder.name, "--remote-debugging-port=0"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, "HOME": self.folder.name})
        for line in self.process.stderr:
            if match := re.search(rb"listening on (ws://\S+)", line):
                break
        else:
            raise AssertionError("firefox-esr has ended before it listened")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

        self.socket = websocket.create_connection(match[1].decode() + "/session", timeout=2 * PATIENCE_SEC, suppress_origin=True)
        self.number, self.events = 0, []
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded"])

    def call(self, method, **parameters):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message["type"] == "event":
                self.events.append(message)
            elif message["id"] == self.number:
                break
        if message["type"] == "error":
            raise AssertionError(f"{method}: {message['error']}: {message['message']}")
        return message["result"]

    def page(self, **size):
        return FirefoxPage(self, **size)

    def close(self):
        self.socket.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.folder.cleanup()


class FirefoxPage(Page):
    def __init__(self, browser, width=1280, height=800):  # pylint: disable=super-init-not-called
        self.browser = browser
        self.context = browser.call("browsingContext.create", type="tab")["context"]
        self.resize(width, height)
        self.preload = browser.call("script.addPreloadScript", functionDeclaration=f"() => {{ {METERS} }}",
                                    contexts=[self.context])["script"]

    def call(self, method, **parameters):
        return self.browser.call(method, context=self.context, **parameters)

    def resize(self, width, height):
        self.call("browsingContext.setViewport", viewport={"width": width, "height": height})

    def open(self, url):
        self.call("browsingContext.navigate", url=url)

    def value(self, expression):
        reply = self.browser.call("script.evaluate", target={"context": self.context}, awaitPromise=True,
                                  expression=f"(async () => JSON.stringify(await ({expression}) ?? null))()")
        if reply["type"] == "exception":
            raise AssertionError(f"{expression}: {reply['exceptionDetails']['text']}")
        return json.loads(reply["result"]["value"])

    def problems(self):
        return [event["params"]["text"] for event in self.browser.events
                if event["params"]["source"].get("context") == self.context and event["params"]["level"] == "error"]

    def keys(self, actions):
        self.call("input.performActions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def press(self, key, modifiers=0, code=None):
        held = [value for bit, value in MODIFIERS.items() if modifiers & bit]
        key = KEYS.get(key, key)
        self.keys([*({"type": "keyDown", "value": value} for value in held), {"type": "keyDown", "value": key},
                   {"type": "keyUp", "value": key}, *({"type": "keyUp", "value": value} for value in reversed(held))])

    def type(self, text):
        self.keys([{"type": kind, "value": KEYS["Enter"] if c == "\n" else c} for c in text for kind in ("keyDown", "keyUp")])

    def click_at(self, x, y):
        self.call("input.performActions", actions=[{
            "type": "pointer", "id": "mouse", "actions": [
                {"type": "pointerMove", "x": round(x), "y": round(y)}, {"type": "pointerDown", "button": 0},
                {"type": "pointerUp", "button": 0}]}])

    def insert(self, text):
        self.value(f"document.execCommand('insertText', false, {json.dumps(text)})")

    def paste(self, text):
        """Really, for Firefox gives no data to an event that a page has made."""
        self.value(f"navigator.clipboard.writeText({json.dumps(text)})")
        self.press("Insert", SHIFT)

    def dark(self, on=True):
        raise unittest.SkipTest("WebDriver BiDi cannot have a browser prefer dark pages")

    def memory(self):
        raise unittest.SkipTest("Firefox does not tell how much memory a page uses")

    def screenshot(self, path=None):
        data = base64.b64decode(self.call("browsingContext.captureScreenshot")["data"])
        if path:
            with open(path, "wb") as f:
                f.write(data)
        return data

    def close(self):
        self.browser.call("script.removePreloadScript", script=self.preload)
        self.call("browsingContext.close")
