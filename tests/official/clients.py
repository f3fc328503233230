"""The official client and its CLI in processes of their own, and ours without its pauses."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from anyservice_core import Client
from anyservice_core.effects import Effect, Sleep

__all__ = ["Done", "Official", "Ours", "Shell", "official_environment"]

HERE = Path(__file__).parent


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


class _Worker:
    """A program that answers one JSON line with another, alive until it is closed."""

    program: ClassVar[str]

    def __init__(self, python: str | Path, environment: dict[str, str], log: Path) -> None:
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [str(python), str(HERE / self.program)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asked) + "\n")
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


class Official(_Worker):
    """The official library."""

    program = "worker.py"

    def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return self._ask({"call": name, "arguments": arguments})


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell(_Worker):
    """The official CLI: each command is a process of its own, forked off one that has imported it."""

    program = "shell.py"

    def __call__(self, *words: str, cwd: Path = HERE, terminal: str | None = None, **env: str) -> Done:
        """Run ``anyscale`` with these words; on a terminal, into which this is typed, if there is such a text."""
        asked = {"words": [str(word) for word in words], "cwd": str(cwd), "env": env, "typed": terminal}
        return Done(**self._ask(asked))

    def run(self, *words: str, **how: Any) -> Done:
        """The same, which must succeed."""
        done = self(*words, **how)
        assert done.code == 0, (words, done.err)
        return done


class Ours(Client):
    """Our client without its pauses."""

    def _perform(self, effect: Effect) -> Any:
        return None if isinstance(effect, Sleep) else super()._perform(effect)
