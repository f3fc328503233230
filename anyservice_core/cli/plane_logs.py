"""`anyservice plane logs`: what the plane, its router, its versions and their applications say."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from anyservice_core.cli.lazy import Command
from anyservice_core.errors import PlaneError
from anyservice_core.settings import state_dir

if TYPE_CHECKING:
    from anyservice_core.plane.logs import Log

__all__ = ["logs"]

_POLL_S: Final = 0.2
_LOOK_AGAIN_S: Final = 2.0
_MOST_OF_A_LINE: Final = 500  # bytes that are read from a file's end for each line that is wanted


@click.command(cls=Command)
@click.option("-f", "--follow", is_flag=True, help="Go on printing as more is written, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="How many lines from the end of each.",
)
@click.option("-s", "--service", help="Name of a service: the logs of its versions.")
@click.option("-v", "--version", help="Name or id of a version, also of one that has ended.")
@click.option("-a", "--application", help="Name of an application in it, such as `default`.")
@click.option("-r", "--requests", is_flag=True, help="A line for each request to all services, or to one.")
def logs(
    *,
    follow: bool,
    lines: int,
    service: str | None,
    version: str | None,
    application: str | None,
    requests: bool,
) -> None:
    r"""Print the log of the plane, of versions, of applications, or of requests.

    Where there is more than one, each line says whose it is. An application has a log of its own on engine `ray`;
    on `process` all applications of a version share one process, and so its log.

    \b
      anyservice plane logs -f                         the plane's own, when it runs in the background
      anyservice plane logs -f -s recommender          all versions of a service
      anyservice plane logs -v v2 -a default           what replicas of an application say and print
      anyservice plane logs -f -r -s recommender       who asked for what, and what it was answered

    A request's line: when it was answered, the ids of service and version, method, path, status, bytes, milliseconds,
    how it ended (`----` is well), and who asked. Headers and query strings, which carry tokens, are not written down.
    """
    if requests and (version or application):
        raise click.UsageError("--requests goes with --service only: each line names its version.")

    def look() -> list[Log]:
        return _requests(service) if requests else _meant(service, version, application)

    found = look()
    if not found:
        raise PlaneError("nothing was written yet.", hint="Look again in a moment.")
    tails = {log.path: _Tail(log.path, lines, log.only) for log in found}
    _print(found, tails)
    if follow:
        with contextlib.suppress(KeyboardInterrupt):
            _follow(look, tails)
    else:
        _print(found, tails, rest=True)


def _requests(service: str | None) -> list[Log]:
    from anyservice_core.plane.logs import requests_log

    log = requests_log(state_dir(), service=service)
    return [log] if log.path.exists() else []


def _meant(service: str | None, version: str | None, application: str | None) -> list[Log]:
    from anyservice_core.plane import logs as files

    if service is None and version is None and application is None:
        log = files.plane_log(state_dir())
        if not log.path.exists():
            raise PlaneError(
                f"there is no log at {log.path}: no plane ran in the background there.",
                hint="One in the foreground tells on its own terminal.",
            )
        return [log]
    found = files.versions(state_dir(), service=service, version=version)
    return [log for one in found for log in files.logs_of(state_dir(), one, application=application)]


def _follow(look: Callable[[], list[Log]], tails: dict[Path, _Tail]) -> None:
    """Print what is added; files that come, such as those of a replica that was replaced, are read too."""
    found, looked_at = look(), time.monotonic()
    while True:
        time.sleep(_POLL_S)
        if time.monotonic() - looked_at > _LOOK_AGAIN_S:
            found, looked_at = look() or found, time.monotonic()
            for log in found:
                tails.setdefault(log.path, _Tail(log.path, only=log.only))
        _print(found, tails)


def _print(found: Sequence[Log], tails: dict[Path, _Tail], *, rest: bool = False) -> None:
    several = len({log.label for log in found}) > 1
    for log in found:
        for line in tails[log.path].rest() if rest else tails[log.path].news():
            click.echo(f"{click.style(log.label, fg='cyan')} | {line}" if several else line)


class _Tail:
    """Reads a file from its end on: the last ``lines`` first, if so many, and then what is added."""

    def __init__(self, path: Path, lines: int | None = None, only: Sequence[str] = ()) -> None:
        self._path = path
        self._lines = lines
        self._only = [word.encode() for word in only]
        self._at = 0
        self._rest = b""

    def rest(self) -> Iterator[str]:
        """Give what has no end yet."""
        if self._rest and self._counts(self._rest):
            yield self._rest.decode(errors="replace")

    def _counts(self, line: bytes) -> bool:
        return not self._only or any(word in line.split() for word in self._only)

    def news(self) -> Iterator[str]:
        """Give the whole lines that came since the last time."""
        try:
            size = self._path.stat().st_size
        except OSError:  # it went with its host
            return
        if size < self._at:  # written anew
            self._at, self._rest = 0, b""
        if size == self._at:
            return
        yield from self._read(size)

    def _read(self, size: int) -> Iterator[str]:
        last, self._lines = self._lines, None
        if last is not None:
            self._at = max(0, size - last * _MOST_OF_A_LINE) if not self._only else 0
        with self._path.open("rb") as file:
            file.seek(self._at)
            content = self._rest + file.read(size - self._at)
        self._at = size
        *whole, self._rest = content.split(b"\n")
        whole = [line for line in whole if self._counts(line)]
        if last is not None:
            whole = whole[len(whole) - min(last, len(whole)) :]
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
