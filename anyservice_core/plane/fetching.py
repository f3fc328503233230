"""Fetching zips from ``https://`` addresses, once for each version that is made of one.

What an address serves may change or be gone tomorrow, so a version never runs from an address: its zip is fetched when
the version is asked for, kept as a bundle named by its content, and the version remembers which. A later version asks
the address again, and is told "not modified" if the copy that is here is still what it serves: where it says so by a
strong tag, since a date is good to a second only.

All of it has one deadline, of which nothing is left out: names looked up, heads that drip, tries and redirects. Hence
a loop of its own, in a thread of its own, in which what takes too long can be called off.

An address may carry a password or a signature, so errors show it without its user, query and fragment, and the record
of what was fetched knows it by its hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import ssl
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Final

import anyio
import httpx
from anyio.from_thread import start_blocking_portal

from anyservice_core.errors import AnyserviceError, PlaneError, RejectedError, UnavailableError
from anyservice_core.plane.addresses import is_remote, without_secrets
from anyservice_core.plane.bundles import Bundles
from anyservice_core.plane.reading import MAX_UPLOAD

__all__ = ["BUDGET_S", "Fetcher"]

BUDGET_S: Final = 25.0  # less than the 30 s for which this project's client waits for an answer
_SILENCE_S: Final = 10.0
_TRIES: Final = 3
_AT_ONCE: Final = 4
_MOST_REDIRECTS: Final = 5
_AGAIN_S: Final = 5.0  # after which a client may ask again
_HINT: Final = "See whether the plane's machine reaches it, or give a local directory; it is uploaded."


_fetching: ContextVar[bool] = ContextVar("fetching", default=False)


def _is_of_others(_: logging.LogRecord) -> bool:
    """Leave what is fetched here out of the log of httpx, which tells whole addresses."""
    return not _fetching.get()


logging.getLogger("httpx").addFilter(_is_of_others)


class Fetcher:
    """Fetches into ``bundles``.

    Args:
        budget_s: how long the zips of one deploy may take, with all tries.
        most_bytes: how large one may be.
        pause: waits so many seconds between tries.
    """

    def __init__(
        self,
        bundles: Bundles,
        *,
        budget_s: float = BUDGET_S,
        most_bytes: int = MAX_UPLOAD,
        pause: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._bundles = bundles
        self._records = bundles.fetched
        self._budget_s = budget_s
        self._most_bytes = most_bytes
        self._pause = pause
        self._seats = threading.BoundedSemaphore(_AT_ONCE)

    def fetch_all(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Give the URI of the bundle that each address serves now.

        Args:
            fields: the addresses, each with the field that names it.

        Raises:
            RejectedError: an address refuses or leads away from https, its certificate is not trusted, or what it
                serves is too large or no zip.
            UnavailableError: it was not reached, or not done within the time; or too many are being fetched.
        """
        until = time.monotonic() + self._budget_s
        return {
            url: self._fetch(url, f"{field} '{without_secrets(url)}'", until) for url, field in fields.items()
        }

    def _fetch(self, url: str, called: str, until: float) -> str:
        if not self._seats.acquire(blocking=False):
            raise _unavailable(f"{called}: {_AT_ONCE} zips are being fetched already.")
        draft = self._bundles.draft()
        try:
            with start_blocking_portal() as portal:
                name = portal.call(self._in_time, url, called, until, draft)
            return self._keep(name, draft, called)
        finally:
            draft.unlink(missing_ok=True)
            self._seats.release()

    def _keep(self, name: str, draft: Path, called: str) -> str:
        """Take in what was fetched, unless it is here; unpack it, so that what is damaged is found now."""
        uri = self._bundles.uri(name)
        if not self._bundles.has(name):  # else it stays as it is, with the copy that others run from
            self._bundles.keep(name, draft, called=called)
        try:
            with contextlib.suppress(
                PlaneError
            ):  # this machine's trouble, which the start of the version tells
                self._bundles.directory(uri)
        except RejectedError as error:
            self._bundles.forget([uri])
            raise RejectedError(f"{called}: {error.message}", hint=error.hint, status=422) from None
        return uri

    async def _in_time(self, url: str, called: str, until: float, draft: Path) -> str:
        _fetching.set(True)
        try:
            with anyio.fail_after(max(0.0, until - time.monotonic())):
                return await self._persist(url, called, until, draft)
        except TimeoutError:
            raise _unavailable(f"{called} was not fetched within {self._budget_s:g} s.") from None

    async def _persist(self, url: str, called: str, until: float, draft: Path) -> str:
        """Try again while the address is not reached."""
        for number in range(1, _TRIES + 1):
            try:
                return await self._once(url, called, draft)
            except httpx.TooManyRedirects:
                raise _refused(called, f"redirects more than {_MOST_REDIRECTS} times") from None
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.DecodingError, ValueError):
                raise _refused(called, "is no address that can be fetched") from None
            except (httpx.TransportError, _BusyError) as error:
                if problem := _distrust(error):
                    raise RejectedError(
                        f"{called} has a certificate that this plane does not trust: {problem}.",
                        hint="SSL_CERT_FILE, where the plane is started, names the authorities that it trusts.",
                        status=422,
                    ) from None
                if number == _TRIES or time.monotonic() + number >= until:
                    raise _unavailable(f"{called} was not fetched: {_reason(error)}.") from None
            await self._pause(number)
        raise AssertionError  # the last try gives or raises

    async def _once(self, url: str, called: str, draft: Path) -> str:
        known = self._known(url)
        async with (
            httpx.AsyncClient(
                verify=_trust(),
                timeout=min(_SILENCE_S, self._budget_s),
                follow_redirects=True,
                max_redirects=_MOST_REDIRECTS,
                event_hooks={"request": [_only_https(called)]},
            ) as http,
            http.stream("GET", url, headers=_headers(known)) as answer,
        ):
            if answer.status_code == 304 and known:
                return known["name"]
            _check_status(answer, called)
            name = f"fetched-{await self._save(answer, draft, called)}.zip"
        self._remember(url, name, answer.headers)
        return name

    async def _save(self, answer: httpx.Response, draft: Path, called: str) -> str:
        """Write what comes, as it comes and no more than may; give the digest of it."""
        digest, size = hashlib.sha256(), 0
        try:
            with draft.open("wb") as file:
                async for part in answer.aiter_raw():
                    size += len(part)
                    if size > self._most_bytes:
                        problem = (
                            f"is larger than {self._most_bytes >> 20} MiB, which is all this plane takes"
                        )
                        raise _refused(called, problem)
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
        tag = headers.get("etag", "")
        kept = (
            {"etag": tag} if tag.startswith('"') else {}
        )  # not a weak one, nor a date: other bytes may have them
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
    return asked


def _only_https(called: str) -> Callable[[httpx.Request], Awaitable[None]]:
    async def look(request: httpx.Request) -> None:
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


def _unavailable(message: str) -> UnavailableError:
    return UnavailableError(message, hint=_HINT, status=503, retry_after_s=_AGAIN_S)


def _trust() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError:  # an SSLError is one, too
        raise _unavailable("SSL_CERT_FILE holds no certificates, so nothing can be fetched.") from None


def _distrust(error: BaseException | None) -> str:
    """Say what is wrong with a certificate, if it is that."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return ""


def _reason(error: Exception) -> str:
    """Say why nothing came. What foreign errors say is passed on only where it cannot hold the address."""
    if isinstance(error, httpx.TimeoutException):
        return f"it was silent for {_SILENCE_S:g} s"
    if isinstance(error, httpx.RemoteProtocolError):
        return "it broke off"
    told = isinstance(error, httpx.ConnectError | _BusyError) and str(error)
    return told or type(error).__name__
