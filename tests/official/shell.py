"""Runs commands of the official CLI, one JSON line in, one out; each in a process of its own.

Importing the CLI takes two seconds, so it is done once, and each command is a fork of that: it begins with nothing
asked and nothing remembered, as one from a shell. Run with ``ANYSCALE_HOST`` in the environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import sys
import tempfile
from typing import Any, NoReturn

from anyscale.scripts import main as anyscale


def run(words: list[str], cwd: str, env: dict[str, str], typed: str | None) -> dict[str, Any]:
    if typed is not None:
        return on_terminal(words, cwd, env, typed)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            become(words, cwd, env)
        code = ended(pid)
        out.seek(0)
        err.seek(0)
        return {"code": code, "out": out.read(), "err": err.read()}


def on_terminal(words: list[str], cwd: str, env: dict[str, str], typed: str) -> dict[str, Any]:
    """Out and err are one there."""
    pid, terminal = pty.fork()
    if pid == 0:
        become(words, cwd, env)
    os.write(terminal, typed.encode())
    shown = b""
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while more := os.read(terminal, 65536):
            shown += more
    os.close(terminal)
    return {"code": ended(pid), "out": shown.decode(errors="replace"), "err": ""}


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def become(words: list[str], cwd: str, env: dict[str, str]) -> NoReturn:
    """Be the command; never come back."""
    code = 1
    try:
        os.chdir(cwd)
        os.environ.update(env)
        sys.argv = ["anyscale", *words]
        code = anyscale() or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main() -> None:
    with os.fdopen(os.dup(1), "w") as told, contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            print(json.dumps(run(**json.loads(line))), file=told, flush=True)


if __name__ == "__main__":
    main()
