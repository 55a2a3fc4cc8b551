"""A headless Chromium that opens one page at a time, over the DevTools protocol through a pair of pipes.

It tells what a page has asked the network for and what it has complained about. Nothing but the program is needed.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

#: Names under which the program is found.
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Seconds until whatever is asked of it must be done; other work may take the machine.
DEADLINE = 90.0
WIDTH, HEIGHT = 1200, 1700


def found() -> str | None:
    """The program's path."""
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


def _pipe() -> tuple[int, int]:
    """A pipe with descriptors above those that a shell is to give away, whatever is open already."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]


class Chromium:
    """The program, running; :attr:`requests` and :attr:`complaints` are those of the page that was opened last."""

    def __init__(self) -> None:
        program = found()
        if program is None:
            raise FileNotFoundError(f"none of {', '.join(NAMES)} is installed")
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._number = 0
        self._buffer = b""
        self._session: str | None = None
        self._profile = tempfile.TemporaryDirectory(prefix="danas-chromium-", ignore_cleanup_errors=True)
        self._in, theirs_out = _pipe()
        theirs_in, self._out = _pipe()
        arguments = [program, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self._profile.name}"]
        arguments += ["--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        # The protocol is spoken on descriptors 3 and 4: the shell moves ours there, whatever their numbers are.
        move = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", move, "chromium", *arguments],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for something, and wait for the answer.

        Raises:
            RuntimeError: It refuses.
            TimeoutError: It does not answer.
        """
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + DEADLINE
        while True:
            answer = self._next(until)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            data = os.read(self._in, 1 << 20) if ready else b""
            if not data:
                raise TimeoutError("Chromium does not answer")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._listen(message.get("method", ""), message.get("params", {}))
        return message

    def _listen(self, method: str, told: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            url = told["request"]["url"]
            if not url.startswith("data:"):
                self.requests.append(url)
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.complaints.append(str(told["entry"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(" ".join(str(one.get("value", one.get("description"))) for one in told["args"]))

    def open(self, page: Path, *, theme: str = "light", media: str = "screen", width: int = WIDTH) -> None:
        """Load a report's page and wait until its charts are drawn."""
        self.requests.clear()
        self.complaints.clear()
        size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        feature = {"name": "prefers-color-scheme", "value": theme}
        self.call("Emulation.setEmulatedMedia", media=media, features=[feature])
        self.call("Page.navigate", url=page.resolve().as_uri())
        until = time.monotonic() + DEADLINE
        while self.ask("document.documentElement?.dataset.drawn") != "all":
            if time.monotonic() > until:
                raise TimeoutError(f"the charts are not drawn: {self.complaints}")
            time.sleep(0.05)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; a promise is waited for.

        Raises:
            RuntimeError: It throws.
        """
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def picture(self, *, whole: bool = False) -> bytes:
        """PNG of what one sees, or of the whole page."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def print(self) -> bytes:
        """The page as PDF."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._out)  # it ends when nobody talks to it any more
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        self._profile.cleanup()
