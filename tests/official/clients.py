"""The official client in a process of its own, and ours without its pauses."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from anyservice_core import Client
from anyservice_core.effects import Effect, Sleep

__all__ = ["Official", "Ours", "official_environment"]

WORKER = Path(__file__).parent / "worker.py"


def official_environment(host: str, token: str, home: Path) -> dict[str, str]:
    """Speak to this host and no other: no look-up of releases, no telemetry, no files of the user's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANYSCALE", "ANYSERVICE"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {
        **kept,
        "HOME": str(home),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "ANYSCALE_HOST": host,
        "ANYSCALE_CLI_TOKEN": token,
        "ANYSCALE_SUPPRESS_UPGRADE_WARNING": "1",
        "ANYSCALE_TELEMETRY_SAMPLE_RATE": "0",
    }


class Official:
    """The official client, alive in a process of its own."""

    def __init__(self, python: str | Path, environment: dict[str, str], log: Path) -> None:
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [str(python), str(WORKER)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"call": name, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the official client ended with {self._process.wait(30)}; see {self._log.name}"
        return json.loads(answer)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()


class Ours(Client):
    """Our client without its pauses."""

    def _perform(self, effect: Effect) -> Any:
        return None if isinstance(effect, Sleep) else super()._perform(effect)
