"""Who may look at the dashboard: login codes, each good once, and sessions in two halves.

A browser sends cookies of 127.0.0.1 to whatever listens there, on any port, whoever runs it. So the cookie
alone opens nothing: with it belongs a key, which only pages of this very address can read (it is in their
``localStorage``) and which they send as a header. The header also keeps other sites from asking for changes.

Sessions are signed, not stored: they live on over a restart of the plane. Codes are in memory.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final

from anyservice_core.errors import AuthError

__all__ = ["CODE_S", "KEY_HEADER", "SESSION_S", "Session", "Sessions"]

CODE_S: Final = 300.0
SESSION_S: Final = 12 * 3600.0
KEY_HEADER: Final = "x-anyservice-key"
_MOST_CODES: Final = 100
_HINT: Final = "`anyservice plane dashboard` prints a link that opens it."


@dataclass(frozen=True)
class Session:
    """Both halves: ``cookie`` for the browser to keep from scripts, ``key`` for the page to show with it."""

    cookie: str = field(repr=False)
    key: str = field(repr=False)


class Sessions:
    """Gives out codes and sessions, and recognises them.

    Args:
        token: the plane's token; whoever shows it may log in, and sessions are signed with it.
        clock: seconds since the epoch.
    """

    def __init__(self, token: str, clock: Callable[[], float]) -> None:
        self._token = token
        self._clock = clock
        self._codes: dict[str, float] = {}  # until when, by digest: a dump of the memory opens nothing
        self.cookie_name = f"anyservice_{self._sign('name')[:8]}"  # planes on other ports share the cookies

    # ── logging in ──

    def code(self) -> str:
        """Give a new code; it is good for one login within ``CODE_S`` seconds."""
        now = self._clock()
        living = [(digest, end) for digest, end in self._codes.items() if end > now]
        code = secrets.token_urlsafe(24)
        self._codes = dict([*living, (_digest(code), now + CODE_S)][-_MOST_CODES:])
        return code

    def log_in(self, *, code: str = "", token: str = "") -> Session:
        """Begin a session for who shows a code or the plane's token.

        Raises:
            AuthError: the code was used, is too old or none of this plane's; the token is not this plane's.
        """
        if token:
            if not _same(token, self._token):
                raise AuthError("this is not the plane's token.", hint=_HINT, status=401)
        elif self._codes.pop(_digest(code), 0.0) <= self._clock():
            raise AuthError("this link was used already, or is too old.", hint=_HINT, status=401)
        name = f"{int(self._clock() + SESSION_S)}.{secrets.token_urlsafe(12)}"
        return Session(f"{name}.{self._sign('cookie', name)}", self._sign("key", name))

    # ── being logged in ──

    def admit(self, headers: Mapping[str, str]) -> None:
        """Raise ``AuthError`` unless these headers hold both halves of a session that has not ended."""
        name = self.known(headers)
        if not (name and _same(headers.get(KEY_HEADER, ""), self._sign("key", name))):
            raise AuthError("you are not logged in.", hint=_HINT, status=401)

    def known(self, headers: Mapping[str, str]) -> str:
        """Give the name of the session whose cookie this is, empty for none: enough for a page that tells nothing."""
        name, _, signature = self._cookie(headers).rpartition(".")
        genuine = _same(signature, self._sign("cookie", name))
        return name if genuine and float(name.partition(".")[0]) > self._clock() else ""

    def _cookie(self, headers: Mapping[str, str]) -> str:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name)
        except CookieError:
            return ""
        return found.value if found else ""

    def _sign(self, *parts: str) -> str:
        text = "\0".join(("anyservice-dashboard", *parts))
        return hmac.new(self._token.encode(), text.encode(), hashlib.sha256).hexdigest()


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _same(shown: str, wanted: str) -> bool:
    return hmac.compare_digest(shown.encode(), wanted.encode())
