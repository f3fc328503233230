"""Starts a host so that nothing ties it to us: own session, no terminal, no pipe, no inherited file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

__all__ = ["exit_reason", "host_command", "host_environment", "reap", "spawn"]


class _Detached(subprocess.Popen[bytes]):
    """A child that may outlive us, which is no resource leaked."""

    def __del__(self) -> None:
        pass


# Children of this process, so that the dead among them are reaped and leave no zombies. A plane
# that is not their parent needs none of this: then init reaps them.
_children: dict[int, _Detached] = {}

# -P keeps the current folder, which is the user's, out of the host's own imports.
_LAUNCH = "import sys; sys.path.append(sys.argv[1]); from {module} import main; sys.exit(main())"

# What must not reach a host: our own settings and tokens, another cluster's address, and a switch
# under which no byte code is kept, so that importing Ray takes seconds longer every time.
_WITHHELD = (
    "ANYSERVICE_",
    "ANYSCALE_",
    "RAY_ADDRESS",
    "RAY_AUTH_",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONSAFEPATH",
)


def host_command(python: str, module: str, host_dir: Path) -> list[str]:
    root = Path(__file__).parents[3]  # where this package was imported from, installed or not
    return [python, "-P", "-c", _LAUNCH.format(module=module), str(root), str(host_dir)]


def host_environment(extra: Mapping[str, str]) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(_WITHHELD)}
    return {**mine, "PYTHONUNBUFFERED": "1", **extra}


def spawn(
    command: Sequence[str], *, environment: Mapping[str, str], log: Path, out: Path | None = None
) -> int:
    """Start it detached, its output appended to ``log``; return its pid, which is its session id too.

    With ``out``, what it writes to its standard output is appended to that.
    """
    with _appending(log) as errors, _appending(out or log) as output:
        child = _Detached(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
        )
    _children[child.pid] = child
    return child.pid


@contextlib.contextmanager
def _appending(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def reap(pid: int | None = None) -> None:
    """Collect a child if it is dead by now; all such, if none is named."""
    for child in [child for number, child in list(_children.items()) if pid in {None, number}]:
        if child.returncode is None:
            child.poll()


def exit_reason(pid: int) -> str:
    """Say how a child ended, as far as we know: `` (SIGKILL)``, `` (exit code 3)``, or nothing."""
    child = _children.get(pid)
    if child is None:
        return ""
    try:
        code = child.wait(timeout=0.3)  # its threads may still be on their way out
    except subprocess.TimeoutExpired:
        return ""
    return f" ({signal.Signals(-code).name})" if code < 0 else f" (exit code {code})"
