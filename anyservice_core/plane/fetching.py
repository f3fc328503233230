"""Fetching zips from ``https://`` addresses, once for each version that is made of one.

What an address serves may change or be gone tomorrow, so a version never runs from an address: its zip is fetched when
the version is asked for, kept as a bundle named by its content, and the version remembers which. A later version asks
the address again, and is told "not modified" if the copy that is here is still what it serves.

An address may carry a password or a signature, so errors show it without its user, query and fragment, and the record
of what was fetched knows it by its hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import httpx

from anyservice_core.errors import AnyserviceError, RejectedError, UnavailableError
from anyservice_core.plane.bundles import Bundles, is_remote, without_secrets
from anyservice_core.plane.reading import MAX_UPLOAD

__all__ = ["BUDGET_S", "Fetcher"]

BUDGET_S: Final = 25.0  # official clients wait for an answer for about as long
_SILENCE_S: Final = 10.0
_TRIES: Final = 3
_AT_ONCE: Final = 4
_MOST_REDIRECTS: Final = 5
_HINT: Final = "See whether the plane's machine reaches it, or give a local directory; it is uploaded."


_thread = threading.local()


def _is_of_others(_: logging.LogRecord) -> bool:
    """Leave what is fetched here out of the log of httpx, which tells whole addresses."""
    return not getattr(_thread, "fetches", False)


logging.getLogger("httpx").addFilter(_is_of_others)


class Fetcher:
    """Fetches into ``bundles``.

    Args:
        budget_s: how long one zip may take, with all tries.
        most_bytes: how large one may be.
        pause: waits so many seconds between tries.
    """

    def __init__(
        self,
        bundles: Bundles,
        *,
        budget_s: float = BUDGET_S,
        most_bytes: int = MAX_UPLOAD,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bundles = bundles
        self._records = bundles.fetched
        self._budget_s = budget_s
        self._most_bytes = most_bytes
        self._pause = pause
        self._seats = threading.BoundedSemaphore(_AT_ONCE)

    def fetch(self, url: str, *, field: str) -> str:
        """Give the URI of the bundle that an address serves now.

        Raises:
            RejectedError: the address refuses or leads away from https, or what it serves is too large or no zip.
            UnavailableError: it was not reached, or not done within the time; or too many are being fetched.
        """
        called = f"{field} '{without_secrets(url)}'"
        if not self._seats.acquire(blocking=False):
            raise UnavailableError(f"{called}: {_AT_ONCE} zips are being fetched already.", status=503)
        _thread.fetches = True
        try:
            return self._persist(url, called, time.monotonic() + self._budget_s)
        finally:
            _thread.fetches = False
            self._seats.release()

    def _persist(self, url: str, called: str, until: float) -> str:
        """Try again while the address is not reached."""
        for number in range(1, _TRIES + 1):
            try:
                return self._once(url, called, until)
            except httpx.TooManyRedirects:
                raise _refused(called, f"redirects more than {_MOST_REDIRECTS} times") from None
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.DecodingError, ValueError):
                raise _refused(called, "is no address that can be fetched") from None
            except httpx.TransportError as error:
                why = type(error).__name__
                if number == _TRIES or time.monotonic() + number >= until:
                    break
                self._pause(number)
            except _BusyError as error:
                why = str(error)
                if number == _TRIES or time.monotonic() + number >= until:
                    break
                self._pause(number)
        raise UnavailableError(f"{called} was not fetched: {why}.", hint=_HINT, status=503)

    def _once(self, url: str, called: str, until: float) -> str:
        known = self._known(url)
        draft = self._bundles.draft()
        try:
            with (
                httpx.Client(
                    timeout=min(_SILENCE_S, self._budget_s),
                    follow_redirects=True,
                    max_redirects=_MOST_REDIRECTS,
                    event_hooks={"request": [_only_https(called)]},
                ) as http,
                http.stream("GET", url, headers=_headers(known)) as answer,
            ):
                if answer.status_code == 304 and known:
                    return self._bundles.uri(known["name"])
                _check_status(answer, called)
                name = f"fetched-{self._save(answer, draft, called, until)}.zip"
                self._bundles.keep(name, draft, called=called)
            self._remember(url, name, answer.headers)
        finally:
            draft.unlink(missing_ok=True)
        self._bundles.prepare(name)
        return self._bundles.uri(name)

    def _save(self, answer: httpx.Response, draft: Path, called: str, until: float) -> str:
        """Write what comes, as it comes and no more than may; give the digest of it."""
        digest, size = hashlib.sha256(), 0
        try:
            with draft.open("wb") as file:
                for part in answer.iter_raw():
                    size += len(part)
                    if size > self._most_bytes:
                        raise RejectedError(
                            f"{called} is larger than {self._most_bytes >> 20} MiB, which is all this plane takes.",
                            status=413,
                        )
                    if time.monotonic() > until:
                        raise UnavailableError(
                            f"{called} was not fetched within {self._budget_s:g} s.", hint=_HINT, status=503
                        )
                    digest.update(part)
                    file.write(part)
        except OSError as error:
            raise UnavailableError(f"{called} cannot be kept: {error.strerror}.", status=507) from error
        return digest.hexdigest()

    # ── what was fetched from where ─────────────────────────────────────────

    def _record(self, url: str) -> Path:
        return self._records / f"{hashlib.sha256(url.encode()).hexdigest()}.json"

    def _known(self, url: str) -> dict[str, str]:
        """Give what is known of an address, if its copy is still here."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AnyserviceError):
            known: dict[str, str] = json.loads(self._record(url).read_bytes())
            if self._bundles.has(known["name"]):
                return known
        return {}

    def _remember(self, url: str, name: str, headers: Mapping[str, str]) -> None:
        kept = {key: headers[key] for key in ("etag", "last-modified") if key in headers}
        handle, draft = tempfile.mkstemp(dir=self._records, suffix=".part")
        with os.fdopen(handle, "w") as file:
            json.dump({"name": name, **kept}, file)
        Path(draft).replace(self._record(url))


class _BusyError(Exception):
    """The address answers that it cannot now."""


def _headers(known: Mapping[str, str]) -> dict[str, str]:
    asked = {"accept-encoding": "identity"}
    if "etag" in known:
        asked["if-none-match"] = known["etag"]
    if "last-modified" in known:
        asked["if-modified-since"] = known["last-modified"]
    return asked


def _only_https(called: str) -> Callable[[httpx.Request], None]:
    def look(request: httpx.Request) -> None:
        if not is_remote(str(request.url)):
            raise _refused(called, f"redirects to {request.url.scheme}://, and only https:// is followed")

    return look


def _check_status(answer: httpx.Response, called: str) -> None:
    if answer.status_code == 429 or answer.status_code >= 500:
        raise _BusyError(f"it answered {answer.status_code}")
    if answer.status_code != 200:
        raise _refused(called, f"answered {answer.status_code}")


def _refused(called: str, problem: str) -> RejectedError:
    return RejectedError(f"{called} {problem}.", hint="Give the https:// address of a zip.", status=422)
