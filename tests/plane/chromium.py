"""A Chromium without a window, driven through its own protocol."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import httpx
from websockets.sync.client import connect

__all__ = ["CHROMIUM", "Chromium"]

OWN = Path(__file__).parents[2] / ".tools/chromium/chromium"  # scripts/chromium puts it there
CHROMIUM = str(OWN) if OWN.exists() else shutil.which("chromium")
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27}


class Chromium:
    """One page; ``complaints`` has what it wrote to its console.

    Args:
        folder: where it keeps its profile.
    """

    def __init__(self, folder: Path) -> None:
        self.complaints: list[str] = []
        self._number = 0
        self._folder = folder

    def __enter__(self) -> Self:
        (self._folder / "profile").mkdir(parents=True)
        options = (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-port=0",
            "--lang=en-GB",
        )
        self._process = subprocess.Popen(
            [str(CHROMIUM), *options, f"--user-data-dir={self._folder}/profile", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        pages = httpx.get(f"http://127.0.0.1:{self._port()}/json", trust_env=False).json()
        url = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        self._socket = connect(url, max_size=None, proxy=None)
        for domain in ("Log", "Runtime", "Page"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(30)

    def _port(self) -> int:
        path = self._folder / "profile" / "DevToolsActivePort"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if path.exists() and (text := path.read_text().split()):
                return int(text[0])
            time.sleep(0.05)
        raise TimeoutError("Chromium did not start")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask for something of the protocol; note on the way what the page complains about."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            told = json.loads(self._socket.recv(timeout=60))
            if told.get("method") in {"Runtime.exceptionThrown", "Runtime.consoleAPICalled"}:
                self.complaints.append(json.dumps(told["params"])[:500])
            if told.get("id") == self._number:
                return dict(told.get("result", told))

    def js(self, expression: str) -> Any:
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return found["result"].get("value", found.get("exceptionDetails"))

    def until(self, expression: str, seconds: float = 40.0) -> Any:
        """Wait until this is true of the page, and give what it is."""
        deadline = time.monotonic() + seconds
        while not (found := self.js(expression)) or isinstance(found, dict):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{expression} is {found} of {self.js('document.body.innerText')}")
            time.sleep(0.05)
        return found

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def screen(self, width: int, height: int = 844, *, dark: bool = False) -> None:
        """Be of this size, and of a system that is set to dark or light."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def press(self, key: str) -> None:
        text = {"text": "\r"} if key == "Enter" else {}
        for kind, more in (("keyDown", text), ("keyUp", {})):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=KEYS[key],
                **more,
            )

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def point(self, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
