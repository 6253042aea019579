"""Headless Chromium by its DevTools protocol, over two pipes: pages that are clicked, drawn on, resized and read."""

import base64
import contextlib
import itertools
import json
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions --disable-breakpad --mute-audio --hide-scrollbars "
    "--disable-dev-shm-usage --disable-background-timer-throttling --disable-renderer-backgrounding "
    "--disable-backgrounding-occluded-windows --no-default-browser-check --password-store=basic --use-mock-keychain"
).split()
# The browser reads its orders from descriptor 3 and answers on 4; subprocess leaves descriptors their numbers.
PLUMBING = """
import fcntl, os, sys
orders, answers = (fcntl.fcntl(int(one), fcntl.F_DUPFD, 10) for one in sys.argv[1:3])
os.dup2(orders, 3), os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36}
KEYS |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Delete": 46}
TYPED = {"Enter": "\r", " ": " "}  # keys that also write
MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}


def found() -> str | None:
    """Return the path of the first browser that is installed."""
    return next(filter(None, map(shutil.which, BROWSERS)), None) if os.name == "posix" else None


def missing() -> str:
    """Return why there is no browser."""
    return f"no browser: none of {', '.join(BROWSERS)} is installed"


class Browser:
    """A headless browser with a profile of its own, which ends with the `with` block."""

    def __enter__(self):
        self.pages, self.replies, self.number, self.rest = {}, {}, 0, b""
        self.folder = Path(tempfile.mkdtemp(prefix="browser-"))
        self.downloads = self.folder / "downloads"
        self.downloads.mkdir()
        orders, self.orders = os.pipe()
        self.answers, answers = os.pipe()
        command = [sys.executable, "-ISc", PLUMBING, str(orders), str(answers), found(), *QUIET]
        command += ["--remote-debugging-pipe", f"--user-data-dir={self.folder / 'profile'}", "about:blank"]
        with (self.folder / "stderr").open("w") as stderr:
            self.process = subprocess.Popen(
                command, pass_fds=(orders, answers), stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                start_new_session=True,
            )  # fmt: skip
        os.close(orders), os.close(answers)
        try:
            self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads), seconds=60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        with contextlib.suppress(Exception):
            self.call("Browser.close", seconds=5)
            self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # and whatever it started
        self.process.wait(20)
        os.close(self.orders), os.close(self.answers)
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method: str, session: str | None = None, seconds: float = 30, **parameters) -> dict:
        """Ask the browser (or the page of a session) for something, and return its answer."""
        self.number = number = self.number + 1
        order = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        waiting, deadline = memoryview(json.dumps(order).encode() + b"\0"), time.monotonic() + seconds
        while waiting:
            waiting = waiting[os.write(self.orders, waiting) :]
        while number not in self.replies:
            if not self.listen(deadline - time.monotonic()):
                raise TimeoutError(f"{method}: no answer in {seconds} seconds")
        reply = self.replies.pop(number)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']}")
        return reply["result"]

    def listen(self, seconds: float) -> bool:
        """Take in what the browser says, if it says something within the time."""
        if not select.select([self.answers], [], [], max(seconds, 0))[0]:
            return False
        if not (heard := os.read(self.answers, 1 << 20)):
            raise RuntimeError(f"the browser ended: {(self.folder / 'stderr').read_text()[-2000:]}")
        *messages, self.rest = (self.rest + heard).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self.replies[message["id"]] = message
            elif page := self.pages.get(message.get("sessionId")):
                page.heard(message["method"], message["params"])
        return True

    def open(self, url: str, width: int = 1280, height: int = 800, dark: bool = False) -> "Page":
        """Open a page in a window of its own, and wait until it is loaded."""
        target = self.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, target, session)
        for domain in ("Page", "Runtime", "Log", "DOM"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setFocusEmulationEnabled", enabled=True)
        page.resize(width, height)
        page.dress(dark=dark)
        page.go(url)
        return page


class Page:
    """One page; `problems`: what it said in its console, and the errors that nobody caught."""

    def __init__(self, browser: Browser, target: str, session: str):
        self.browser, self.target, self.session, self.said = browser, target, session, []
        self.downloads, self.held = browser.downloads, False

    def call(self, method: str, seconds: float = 30, **parameters) -> dict:
        """Ask the browser for something about this page."""
        return self.browser.call(method, self.session, seconds, **parameters)

    def heard(self, event: str, of: dict) -> None:
        """Note what the page complains about."""
        if event == "Runtime.exceptionThrown":
            details = of["exceptionDetails"]
            self.said.append(details.get("exception", {}).get("description") or details["text"])
        elif event == "Runtime.consoleAPICalled" and of["type"] in ("error", "warning", "assert"):
            self.said.append(" ".join(str(one.get("value", one.get("description"))) for one in of["args"]))
        elif event == "Log.entryAdded" and of["entry"]["level"] in ("error", "warning"):
            self.said.append(f"{of['entry']['text']} {of['entry'].get('url', '')}")

    @property
    def problems(self) -> list[str]:
        """What the page complained about until now."""
        self.run("new Promise(done => setTimeout(done))")
        return self.said

    def go(self, url: str | None = None, seconds: float = 30) -> None:
        """Load another page, or this one again."""
        self.run("window.thisOne = true")
        reply = self.call("Page.navigate", seconds, url=url) if url else self.call("Page.reload", seconds)
        if reply.get("errorText"):
            raise RuntimeError(f"{url}: {reply['errorText']}")
        self.wait("!window.thisOne && document.readyState === 'complete'", seconds)

    def close(self) -> None:
        """Close the window."""
        self.browser.call("Target.closeTarget", targetId=self.target)
        del self.browser.pages[self.session]

    def run(self, javascript: str, seconds: float = 30):
        """Return the value of an expression (a promise is awaited); an error in it is raised."""
        reply = self.call(
            "Runtime.evaluate", seconds, expression=javascript, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in reply:
            details = reply["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return reply["result"].get("value")

    def wait(self, condition: str, seconds: float = 20):
        """Wait until a condition in JavaScript holds, and return its value."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                value = self.run(condition, seconds=max(deadline - time.monotonic(), 1))
                if value not in (None, 0, ""):  # what JavaScript takes for false; {} and [] are true
                    return value
            except RuntimeError as error:  # the page is being left
                if "navigat" not in str(error) and "context" not in str(error):
                    raise
            if time.monotonic() > deadline:
                raise TimeoutError(f"not in {seconds} seconds: {condition}; {self.said}")
            time.sleep(0.03)

    def box(self, selector: str, text: str | None = None) -> tuple[float, float, float, float]:
        """Return left, top, width, height of an element that is seen (the first with this text), scrolled into view."""
        found = self.wait(
            f"""(() => {{
              const one = [...document.querySelectorAll({json.dumps(selector)})].find(one => one.checkVisibility() &&
                {json.dumps(text)} !== null ? one.textContent.trim() === {json.dumps(text)} : one.checkVisibility());
              one?.scrollIntoView({{block: "nearest", behavior: "instant"}});
              const box = one?.getBoundingClientRect();
              return box && [box.left, box.top, box.width, box.height];
            }})()"""
        )
        return tuple(found)

    def mouse(self, kind: str, x: float, y: float, touch: bool = False) -> None:
        """Press, move or release the mouse (or a finger) at a place of the window: kind "down", "move" or "up"."""
        if touch:
            names = {"down": "touchStart", "move": "touchMove", "up": "touchEnd"}
            points = [] if kind == "up" else [{"x": x, "y": y}]
            self.call("Input.dispatchTouchEvent", type=names[kind], touchPoints=points)
            return
        names = {"down": "mousePressed", "move": "mouseMoved", "up": "mouseReleased"}
        self.held = kind == "down" or (kind == "move" and self.held)
        button = "left" if self.held or kind == "up" else "none"
        pressed = {"button": button, "buttons": int(self.held), "clickCount": int(kind != "move")}
        self.call("Input.dispatchMouseEvent", type=names[kind], x=x, y=y, **pressed)

    def drag(self, points, touch: bool = False, step: float = 8) -> None:
        """Press at the first place (CSS pixels of the window), go along the others in steps, release at the last."""
        points = list(points)
        if touch:
            self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        else:
            self.mouse("move", *points[0])
        self.mouse("down", *points[0], touch=touch)
        for (x, y), (to_x, to_y) in itertools.pairwise(points):
            pieces = max(math.ceil(math.dist((x, y), (to_x, to_y)) / step), 1)
            for k in range(1, pieces + 1):
                self.mouse("move", x + (to_x - x) * k / pieces, y + (to_y - y) * k / pieces, touch=touch)
        self.mouse("up", *points[-1], touch=touch)

    def click(self, selector: str, text: str | None = None) -> None:
        """Click on the middle of an element."""
        x, y, width, height = self.box(selector, text)
        self.drag([(x + width / 2, y + height / 2)])

    def key(self, *keys: str) -> None:
        """Press keys one after another: "a", "Tab", "ArrowRight", "Shift+Tab", ..."""
        for name in keys:
            *held, key = name.split("+") if len(name) > 1 else [name]
            of = {"key": key, "windowsVirtualKeyCode": KEYS.get(key, ord(key[0].upper()))}
            of |= {"code": key if len(key) > 1 else "Space" if key == " " else f"Key{key.upper()}"}
            of["modifiers"] = sum(MODIFIERS[one] for one in held)
            text = TYPED.get(key, key if len(key) == 1 else "")
            typed = {"type": "keyDown", "text": text} if text and not held else {"type": "rawKeyDown"}
            self.call("Input.dispatchKeyEvent", **of, **typed)
            self.call("Input.dispatchKeyEvent", type="keyUp", **of)

    def upload(self, selector: str, *paths: Path) -> None:
        """Choose files in an `input` of files (which may be hidden)."""
        found = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")["result"]
        self.call("DOM.setFileInputFiles", files=[str(path) for path in paths], objectId=found["objectId"])

    def drop(self, selector: str, *paths: Path) -> None:
        """Drop files on an element."""
        x, y, width, height = self.box(selector)
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x + width / 2, y=y + height / 2, data=data)

    def downloaded(self, pattern: str = "*", seconds: float = 60) -> Path:
        """Wait for a file among the downloads, and return the newest one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.browser.listen(0.05)
            files = [path for path in self.downloads.glob(pattern) if not path.name.endswith(".crdownload")]
            if files and not [*self.downloads.glob("*.crdownload")]:
                return max(files, key=lambda path: path.stat().st_mtime)
        raise TimeoutError(f"no {pattern} was downloaded in {seconds} seconds")

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as a PNG."""
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def resize(self, width: int, height: int, phone: bool = False) -> None:
        """Give the window another size in CSS pixels, that of a phone (with fingers) or of a desktop."""
        of = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.call("Emulation.setDeviceMetricsOverride", **of)
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def dress(self, dark: bool = False, still: bool = False) -> None:
        """Say that the reader likes dark pages, or pages on which nothing moves."""
        features = {"prefers-color-scheme": "dark" if dark else "light"}
        features["prefers-reduced-motion"] = "reduce" if still else "no-preference"
        of = [{"name": name, "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=of)
