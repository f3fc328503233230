"""Which control plane to talk to, and as whom.

Decided here, in one place, in this order:

=========  =====================================================================================
host       the argument; ``ANYSERVICE_HOST``; ``ANYSCALE_HOST``; the plane on this machine, if one
           is up and there is no token for elsewhere; ``https://console.anyscale.com``
token      the argument; the plane's own, if the host is ``local``; ``ANYSERVICE_CLI_TOKEN``;
           ``ANYSCALE_CLI_TOKEN``; the plane's own, if the host is its address;
           ``~/.anyscale/credentials.json``
cloud      the argument; ``ANYSERVICE_CLOUD``; none, which is the workspace's or the organization's default
project    the argument; ``ANYSERVICE_PROJECT``; none, which is the workspace's or the cloud's default
ca_file    the first of ``ANYSCALE_SSL_CA_CERT REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE`` that is a file
workspace  ``ANYSCALE_EXPERIMENTAL_WORKSPACE_ID``, which the platform sets inside one; what was installed in it goes
           along where ``ANYSCALE_WORKSPACE_DYNAMIC_DEPENDENCY_TRACKING`` is 1
=========  =====================================================================================

The host ``local`` stands for the plane on this machine, wherever it listens. A token is never in a ``repr``.
``explain`` says which of these places each setting came from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from anyservice_core.errors import ConfigError

__all__ = [
    "DEFAULT_HOST",
    "VERSION",
    "Explained",
    "PlaneRecord",
    "Settings",
    "Workspace",
    "explain",
    "resolve",
    "state_dir",
]

VERSION: Final = "0.1.0"  # said here too: asking the installation for it takes longer than many a request
DEFAULT_HOST: Final = "https://console.anyscale.com"
LOCAL: Final = "local"
_CA_FILES: Final = ("ANYSCALE_SSL_CA_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_WORKSPACE: Final = "ANYSCALE_EXPERIMENTAL_WORKSPACE_ID"
_INSTALLED: Final = "/mnt/cluster_storage/.anyscale/requirements.txt"
_ARGUMENT: Final = "argument"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The platform's workspace that this process runs in, whose defaults then hold.

    ``requirements`` is the file in which it writes down what was installed by hand, where it does so.
    """

    id: str
    cluster_id: str | None = None
    requirements: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to send requests, with which token, and which cloud and project are meant by default."""

    host: str
    token: str = field(repr=False)
    cloud: str | None = None
    project: str | None = None
    ca_file: str | None = None
    workspace: Workspace | None = None


class Explained(NamedTuple):
    """One row of ``explain``. ``value`` of a token is ``(hidden)``; ``None`` stands for nothing at all."""

    setting: str
    value: str | None
    source: str


@dataclass(frozen=True, slots=True)
class PlaneRecord:
    """What a plane leaves in ``<state_dir>/plane.json`` about itself."""

    host: str
    token: str = field(repr=False)
    pid: int

    @classmethod
    def read(cls, folder: Path) -> PlaneRecord | None:
        """The record in a state folder; ``None`` where no plane has been up."""
        content = _read_json(folder / "plane.json")
        if content is None:
            return None
        try:
            return cls(str(content["host"]).rstrip("/"), str(content["token"]), int(content["pid"]))
        except (KeyError, TypeError, ValueError):
            raise ConfigError(
                f"{folder / 'plane.json'} is damaged.",
                hint="Run `anyservice plane down`, then `anyservice plane up`.",
            ) from None

    def alive(self) -> bool:
        """Whether its process still runs."""
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:  # it runs, as somebody else
            return True
        return True


def state_dir(environ: Mapping[str, str] | None = None) -> Path:
    """Where a plane on this machine keeps its state: ``ANYSERVICE_STATE_DIR``, else the user's data folder."""
    env = os.environ if environ is None else environ
    if own := env.get("ANYSERVICE_STATE_DIR"):
        return Path(own).expanduser().absolute()
    data = env.get("XDG_DATA_HOME") or str(_home(env) / ".local" / "share")
    return Path(data) / "anyservice"


def resolve(
    host: str | None = None,
    token: str | None = None,
    *,
    cloud: str | None = None,
    project: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings for these arguments in this environment, by default the process's own.

    Raises ``ConfigError`` when there is no token, naming every place that was looked at.
    """
    look = _Look(os.environ if environ is None else environ)
    where = look.host(host, token)
    shown = look.token(token, host, where.value or "")
    if not shown.value:
        raise ConfigError(f"No token for {where.value}.", hint=look.way_out())
    return Settings(
        host=_checked_host(where.value or ""),
        token=_checked_token(shown.value),
        cloud=look.place("cloud", cloud).value,
        project=look.place("project", project).value,
        ca_file=look.ca_file().value,
        workspace=look.workspace(),
    )


def explain(
    host: str | None = None,
    token: str | None = None,
    *,
    cloud: str | None = None,
    project: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> list[Explained]:
    """What ``resolve`` would settle on for these arguments, and which place each setting came from.

    A token is shown as ``(hidden)``, and one that is missing as ``None``, without an error.
    Raises ``ConfigError`` for a file that cannot be read.
    """
    look = _Look(os.environ if environ is None else environ)
    where = look.host(host, token)
    shown = look.token(token, host, where.value or "")
    inside = look.workspace()
    rows = {
        "host": where,
        "token": _Found("(hidden)" if shown.value else None, shown.source),
        "cloud": look.place("cloud", cloud),
        "project": look.place("project", project),
        "ca_file": look.ca_file(),
        "workspace": _Found(inside.id, _WORKSPACE) if inside else _Found(None, "not inside one"),
    }
    return [Explained(name, found.value, found.source) for name, found in rows.items()]


class _Found(NamedTuple):
    value: str | None
    source: str


class _Look:
    """The places to look at, each read at most once."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.state = state_dir(env)
        self.plane = PlaneRecord.read(self.state)
        self.credentials = _home(env) / ".anyscale" / "credentials.json"

    def in_environment(self, *names: str) -> _Found | None:
        return next((_Found(value, name) for name in names if (value := self.env.get(name))), None)

    def named_host(self, given: str | None) -> _Found | None:
        return _Found(given, _ARGUMENT) if given else self.in_environment("ANYSERVICE_HOST", "ANYSCALE_HOST")

    def named_token(self) -> _Found | None:
        return self.in_environment("ANYSERVICE_CLI_TOKEN", "ANYSCALE_CLI_TOKEN")

    def host(self, given: str | None, token: str | None) -> _Found:
        named = self.named_host(given)
        if named is None:
            mine = self.plane and self._plane_is_all(token)
            return (
                _Found(self.plane.host, self.record)
                if self.plane and mine
                else _Found(DEFAULT_HOST, "default")
            )
        if named.value == LOCAL:
            return _Found(self.local().host, f"{named.source}, `local`: {self.record}")
        return _Found(str(named.value).strip().rstrip("/"), named.source)

    @property
    def record(self) -> str:
        return f"{self.state / 'plane.json'}"

    def _plane_is_all(self, token: str | None) -> bool:
        """A plane is up, and nothing here speaks of an account elsewhere."""
        elsewhere = token or self.named_token() or self.credentials.exists()
        return bool(self.plane and self.plane.alive() and not elsewhere)

    def local(self) -> PlaneRecord:
        if self.plane is None:
            raise ConfigError(
                f"No plane is up on this machine: there is no {self.record}.",
                hint="Run `anyservice plane up`.",
            )
        return self.plane

    def token(self, given: str | None, given_host: str | None, host: str) -> _Found:
        return next(self._tokens(given, given_host, host), _Found(None, "nowhere"))

    def _tokens(self, given: str | None, given_host: str | None, host: str) -> Iterator[_Found]:
        """Every token there is for this host, the one to use first."""
        if given:
            yield _Found(given, _ARGUMENT)
        by_plane = _Found(self.plane.token, self.record) if self.plane and self.plane.host == host else None
        asked = self.named_host(given_host)
        if by_plane and asked and asked.value == LOCAL:
            yield by_plane
        if named := self.named_token():
            yield named
        if by_plane:
            yield by_plane
        if filed := self.filed_token():
            yield _Found(filed, str(self.credentials))

    def filed_token(self) -> str | None:
        content = _read_json(self.credentials)
        return None if content is None else str(content.get("cli_token") or "") or None

    def place(self, kind: str, given: str | None) -> _Found:
        """Cloud or project."""
        if given:
            return _Found(given, _ARGUMENT)
        whose = "the workspace's" if self.workspace() else "the server's default"
        return self.in_environment(f"ANYSERVICE_{kind.upper()}") or _Found(None, whose)

    def ca_file(self) -> _Found:
        named = (
            _Found(file, name) for name in _CA_FILES if (file := self.env.get(name)) and Path(file).is_file()
        )
        return next(named, _Found(None, "the system's certificates"))

    def workspace(self) -> Workspace | None:
        found = self.env.get(_WORKSPACE)
        tracked = self.env.get("ANYSCALE_WORKSPACE_DYNAMIC_DEPENDENCY_TRACKING") == "1"
        installed = _INSTALLED if tracked and Path(_INSTALLED).is_file() else None
        return Workspace(found, self.env.get("ANYSCALE_SESSION_ID") or None, installed) if found else None

    def way_out(self) -> str:
        places = f"ANYSERVICE_CLI_TOKEN, ANYSCALE_CLI_TOKEN, {self.credentials} and {self.record}"
        return (
            f"Looked at {places}. Set one of them, or run `anyservice plane up` for a plane on this machine."
        )


def _home(env: Mapping[str, str]) -> Path:
    return Path(env.get("HOME") or Path.home())


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror}.") from None
    except ValueError:
        raise ConfigError(f"{path} is not valid JSON.", hint="Mend or remove it.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} does not hold a JSON object.", hint="Mend or remove it.")
    return content


def _checked_host(host: str) -> str:
    url = _split(host)
    if url is None or url.scheme not in {"http", "https"} or not url.hostname:
        raise ConfigError(
            f"host: {_without_user(host)!r} is not a web address.",
            hint=f"It looks like {DEFAULT_HOST}, or is the word `local` for a plane on this machine.",
        )
    if url.username or url.password:
        raise ConfigError(
            "host: must not hold a user or password.", hint="The token has a setting of its own."
        )
    return host


def _split(host: str) -> SplitResult | None:
    try:
        url = urlsplit(host)
        _ = url.port  # read here, since a bad one is found only then
    except ValueError:
        return None
    return url


def _without_user(host: str) -> str:
    return host.rpartition("@")[2]


def _checked_token(token: str) -> str:
    """A token goes into a header: whatever could end that early is refused, and never shown."""
    clean = token.strip()
    if not clean.isascii() or not clean.isprintable() or any(mark in clean for mark in ' ;,"\\'):
        raise ConfigError(
            "token: holds characters that no token has.", hint="Was it pasted with something around it?"
        )
    return clean
