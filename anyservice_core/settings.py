"""Which control plane to talk to, and as whom.

Decided here, in one place, in this order:

========  =====================================================================================
host      the argument; ``ANYSERVICE_HOST``; ``ANYSCALE_HOST``; the plane on this machine, if one
          is up and there is no token for elsewhere; ``https://console.anyscale.com``
token     the argument; the plane's own, if the host is ``local``; ``ANYSERVICE_CLI_TOKEN``;
          ``ANYSCALE_CLI_TOKEN``; the plane's own, if the host is its address;
          ``~/.anyscale/credentials.json``
cloud     the argument; ``ANYSERVICE_CLOUD``; none, which is the organization's default
project   the argument; ``ANYSERVICE_PROJECT``; none, which is the cloud's default
ca_file   the first of ``ANYSCALE_SSL_CA_CERT REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE`` that is a file
========  =====================================================================================

The host ``local`` stands for the plane on this machine, wherever it listens. A token is never in a ``repr``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from anyservice_core.errors import ConfigError

__all__ = ["DEFAULT_HOST", "PlaneRecord", "Settings", "resolve", "state_dir"]

DEFAULT_HOST: Final = "https://console.anyscale.com"
LOCAL: Final = "local"
_CA_FILES: Final = ("ANYSCALE_SSL_CA_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to send requests, with which token, and which cloud and project are meant by default."""

    host: str
    token: str = field(repr=False)
    cloud: str | None = None
    project: str | None = None
    ca_file: str | None = None


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
        except ProcessLookupError:
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
    return Settings(
        host=_checked_host(where),
        token=_checked_token(look.token(token, host, where)),
        cloud=cloud or look.env.get("ANYSERVICE_CLOUD") or None,
        project=project or look.env.get("ANYSERVICE_PROJECT") or None,
        ca_file=next(
            (file for name in _CA_FILES if (file := look.env.get(name)) and Path(file).is_file()), None
        ),
    )


class _Look:
    """The places to look at, each read at most once."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.state = state_dir(env)
        self.plane = PlaneRecord.read(self.state)
        self.credentials = _home(env) / ".anyscale" / "credentials.json"

    def named_host(self, given: str | None) -> str | None:
        return given or self.env.get("ANYSERVICE_HOST") or self.env.get("ANYSCALE_HOST") or None

    def named_token(self) -> str | None:
        return self.env.get("ANYSERVICE_CLI_TOKEN") or self.env.get("ANYSCALE_CLI_TOKEN") or None

    def host(self, given: str | None, token: str | None) -> str:
        named = self.named_host(given)
        if named == LOCAL:
            return self.local().host
        if named:
            return named.strip().rstrip("/")
        return self.plane.host if self.plane and self._plane_is_all(token) else DEFAULT_HOST

    def _plane_is_all(self, token: str | None) -> bool:
        """A plane is up, and nothing here speaks of an account elsewhere."""
        elsewhere = token or self.named_token() or self.credentials.exists()
        return bool(self.plane and self.plane.alive() and not elsewhere)

    def local(self) -> PlaneRecord:
        if self.plane is None:
            raise ConfigError(
                f"No plane is up on this machine: there is no {self.state / 'plane.json'}.",
                hint="Run `anyservice plane up`.",
            )
        return self.plane

    def token(self, given: str | None, given_host: str | None, host: str) -> str:
        by_plane = self.plane.token if self.plane and self.plane.host == host else None
        asked_for_plane = by_plane if self.named_host(given_host) == LOCAL else None
        found = given or asked_for_plane or self.named_token() or by_plane or self.filed_token()
        if not found:
            raise ConfigError(f"No token for {host}.", hint=self.way_out())
        return found

    def filed_token(self) -> str | None:
        content = _read_json(self.credentials)
        return None if content is None else str(content.get("cli_token") or "") or None

    def way_out(self) -> str:
        places = (
            f"ANYSERVICE_CLI_TOKEN, ANYSCALE_CLI_TOKEN, {self.credentials} and {self.state / 'plane.json'}"
        )
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
