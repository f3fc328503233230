"""httpx, set up once for both colours; whatever it raises becomes ours here.

Two clients a transport. The *inner* one talks to the control plane and puts the token's cookie on requests to
that origin alone, so that a redirect elsewhere does not carry it away. The *outer* one, for absolute URLs and
uploads, has never heard of the token. Both are made when first needed, and again in a forked child, whose
parent goes on using the sockets.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final

import httpx

from anyservice_core.effects import Content, Reply, Request, Upload
from anyservice_core.errors import ConfigError, DecodeError, TransportError
from anyservice_core.operations.sending import place
from anyservice_core.settings import VERSION, Settings

__all__ = ["AsyncTransport", "Memory", "Transport", "Uploading"]

_WORTH_TELLING: Final = 4_000_000  # bytes
_LONGEST_CONNECT_S: Final = 10.0
# Shorter than any server's own, the shortest of which is 5 s: a request into a connection that the other side is
# just closing is lost, and whoever looks every 5 seconds would meet that again and again.
_LIMITS: Final = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=4.0)
LONGER: Final = 2.0  # how many bounds a whole answer may take: one to begin, one to come in
LASTS_S: Final = 300.0
_MOST_KEPT: Final = 512
_HERE: Final = ("127.0.0.1", "localhost", "::1")


def _unsigned(record: logging.LogRecord) -> bool:
    """Leave signatures out of what httpx tells its log: each address, and some of them open what they lead to."""
    if isinstance(record.args, tuple):
        record.args = tuple(_no_signature(arg) for arg in record.args)
    return True


def _no_signature(arg: object) -> object:
    signed = isinstance(arg, httpx.URL) and any("sig" in name.lower() for name in arg.params)
    return arg.copy_with(query=b"***") if isinstance(arg, httpx.URL) and signed else arg


logging.getLogger("httpx").addFilter(_unsigned)


class _Setup:
    """What both colours share: how the two clients are made and how a request is written."""

    def __init__(self, settings: Settings, timeout_s: float) -> None:
        if not timeout_s > 0:
            raise ConfigError(f"timeout_s: {timeout_s} is not a time in seconds above 0.")
        self.settings = settings
        self.timeout_s = timeout_s
        self.base = httpx.URL(settings.host)

    def options(self) -> dict[str, Any]:
        # A proxy for the world knows no way to this machine, hence no proxy for these hosts.
        direct = {f"all://{f'[{host}]' if ':' in host else host}": None for host in _HERE}
        return {
            "timeout": self.timeout(self.timeout_s),
            "headers": {"User-Agent": f"anyservice/{VERSION}", "Accept": "application/json"},
            "follow_redirects": True,
            "max_redirects": 3,
            "mounts": direct,
            "verify": self.trust,
            "limits": _LIMITS,
        }

    @cached_property
    def trust(self) -> _LateTrust:
        return _LateTrust.of(self.settings.ca_file)

    def prepare(self, what: Request | Upload) -> None:
        """Read the certificates while there is no connection yet that an error would leave open."""
        url = what.url if isinstance(what, Upload) else what.path
        if url.startswith("https:") or (url.startswith("/") and self.base.scheme == "https"):
            _ = self.trust.whole

    def bound(self, what: Request | Upload) -> float:
        if isinstance(what, Upload):
            return self.timeout_s
        own = self.timeout_s if what.timeout_s is None else what.timeout_s
        return own if what.within_s is None else min(own, what.within_s)

    def in_time(self, request: Request, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Bound the whole answer, where httpx bounds each read, so that one that drips comes to an end."""
        end = time.monotonic() + LONGER * self.bound(request)
        room = _Room(request.max_bytes)
        for chunk in chunks:
            yield room.passes(chunk)
            if time.monotonic() > end:
                raise httpx.ReadTimeout("the answer drips")

    def timeout(self, bound: float) -> httpx.Timeout:
        return httpx.Timeout(bound, connect=min(bound, _LONGEST_CONNECT_S))

    def sign(self, request: httpx.Request) -> None:
        """Put the token on a request to the control plane, and on no other."""
        url, base = request.url, self.base
        if (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port):
            request.headers["Cookie"] = f"cli_token={self.settings.token}"

    def arguments(self, request: Request) -> dict[str, Any]:
        inner = _is_inner(request)
        given = {key: value for key, value in request.params.items() if value is not None}
        arguments: dict[str, Any] = {
            "method": request.method,
            "url": f"{self.settings.host}{request.path}" if inner else request.path,
            "headers": {**({"Content-Type": "application/json"} if inner else {}), **request.headers},
            "timeout": self.timeout(self.bound(request)),
            "follow_redirects": request.redirects,
        }
        # Only what is given: httpx takes even an empty mapping for "drop the query that the URL has".
        if given:
            arguments["params"] = given
        if request.json is not None:
            arguments["json"] = request.json
        return arguments

    @contextmanager
    def ours(self, what: Request | Upload) -> Iterator[None]:
        """Foreign errors out, ours in. Their text names the place, never a query or a header."""
        where = place(what if isinstance(what, Request) else Request("PUT", what.url))
        self.prepare(what)
        try:
            yield
        except (httpx.TimeoutException, TimeoutError) as error:
            waited = f"{self.bound(what):.3g} s"
            raise TransportError(
                f"No answer to {where} within {waited}.",
                hint=self.hint(what),
                timed_out=not isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout),
            ) from None
        except _TooLongError as error:
            raise DecodeError(f"The answer to {where} is longer than {error} bytes.") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError):
            raise ConfigError(f"{where} is not a web address that can be asked.") from None
        except httpx.DecodingError:
            raise DecodeError(f"The answer to {where} is not encoded as it says.") from None
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            refused = isinstance(error, httpx.ConnectError) and self.is_here(what)
            hint = self.hint(what, refused=refused)
            raise TransportError(f"No answer to {where}: {reason}.", hint=hint, refused=refused) from None

    def is_here(self, what: Request | Upload) -> bool:
        """Whether a plane on this machine is asked."""
        return self.base.host in _HERE and isinstance(what, Request) and _is_inner(what)

    def hint(self, what: Request | Upload, *, refused: bool = False) -> str | None:
        if not isinstance(what, Request) or not _is_inner(what):
            return None
        host = self.settings.host
        if refused:
            return (
                f"Nothing listens at {host}. `anyservice plane up` starts a plane, "
                "`anyservice plane status` tells of it."
            )
        if self.base.host in _HERE:
            return f"Is the plane at {host} up? `anyservice plane status` tells."
        return f"Is {host} the control plane that is meant, and can this machine reach it?"


def _is_inner(request: Request) -> bool:
    return request.path.startswith("/")


class _LateTrust(ssl.SSLContext):
    """Reads the certificates when they are needed: that takes 40 ms, and a plain http host never does."""

    _ca_file: str | None
    _whole: ssl.SSLContext | None

    @classmethod
    def of(cls, ca_file: str | None) -> _LateTrust:
        """Trust in what the file holds, or in what httpx trusts."""
        late = cls(ssl.PROTOCOL_TLS_CLIENT)
        late._ca_file, late._whole = ca_file, None
        return late

    @property
    def whole(self) -> ssl.SSLContext:
        if self._whole is None:
            self._whole = self._read()
        return self._whole

    def _read(self) -> ssl.SSLContext:
        file = self._ca_file
        try:
            return ssl.create_default_context(cafile=file) if file else httpx.create_ssl_context()
        except (OSError, ssl.SSLError):
            raise ConfigError(
                f"{file or 'SSL_CERT_FILE'} holds no certificates.", hint="An environment variable names it."
            ) from None

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        self.whole.set_alpn_protocols(alpn_protocols)

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return self.whole.wrap_socket(*args, **options)

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return self.whole.wrap_bio(*args, **options)


def _reply(response: httpx.Response, body: bytes, since: float | None = None) -> Reply:
    elapsed_s = time.monotonic() - since if since is not None else 0.0
    # An answer without a date is of now: what it says of dates (Retry-After) is to be measured against something.
    headers = {"date": formatdate(usegmt=True), **response.headers}
    return Reply(response.status_code, body, headers, elapsed_s)


class _TooLongError(Exception):
    """An answer exceeds its bound, which is the text of this."""


class _Room:
    """What is left of the bound on an answer's length."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.taken = 0

    def passes(self, chunk: bytes) -> bytes:
        self.taken += len(chunk)
        if self.most is not None and self.taken > self.most:
            raise _TooLongError(self.most)
        return chunk


def _upload_headers(upload: Upload) -> dict[str, str]:
    # The length is told beforehand: storage services refuse uploads in chunks.
    return {"Content-Length": str(upload.content.size), **upload.headers}


@dataclass(frozen=True, slots=True)
class Uploading:
    """Reported each tenth of the way of an upload that takes its time; in bytes."""

    sent: int
    size: int

    def __str__(self) -> str:
        return f"uploaded {self.sent / 1e6:.1f} of {self.size / 1e6:.1f} MB"


class _Meter:
    """Watches what goes by."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.sent = self.tenths = 0

    def passes(self, chunk: bytes) -> Iterator[Uploading]:
        """What there is to tell after this chunk. Small files are over before anybody wonders."""
        self.sent += len(chunk)
        tenths = self.sent * 10 // self.size
        if tenths > self.tenths and self.size >= _WORTH_TELLING:
            yield Uploading(self.sent, self.size)
        self.tenths = tenths


class Memory:
    """Good answers to ``lasting`` requests, for ``LASTS_S`` seconds; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Reply]] = {}

    def find(self, request: Request) -> Reply | None:
        since, reply = self._kept.get(_key(request), (0.0, None)) if request.lasting else (0.0, None)
        return reply if time.monotonic() - since < LASTS_S else None

    def keep(self, request: Request, reply: Reply) -> Reply:
        if request.lasting and reply.status < HTTPStatus.MULTIPLE_CHOICES:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[_key(request)] = (time.monotonic(), reply)
        return reply


def _key(request: Request) -> str:
    return json.dumps(
        [request.method, request.path, request.params, request.json], sort_keys=True, default=str
    )


class Transport:
    """Performs requests and uploads, one after another or from several threads."""

    def __init__(
        self, settings: Settings, timeout_s: float, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._setup = _Setup(settings, timeout_s)
        self._transport = transport
        self._made: dict[str, httpx.Client] = {}
        self._making = threading.Lock()
        self._pid = os.getpid()

    def send(self, request: Request) -> Reply:
        client = self._inner() if _is_inner(request) else self._outer()
        since = time.monotonic()
        with self._setup.ours(request), client.stream(**self._setup.arguments(request)) as response:
            return _reply(response, b"".join(self._setup.in_time(request, response.iter_bytes())), since)

    def upload(self, upload: Upload, tell: Callable[[Any], Any]) -> Reply:
        with self._setup.ours(upload):
            chunks = _told_chunks(upload.content, tell)
            response = self._outer().put(upload.url, content=chunks, headers=_upload_headers(upload))
            return _reply(response, response.content)

    def close(self) -> None:
        for client in self._clients().values():
            client.close()
        self._made = {}

    def _clients(self) -> dict[str, httpx.Client]:
        if self._pid != os.getpid():
            self._made, self._making, self._pid = {}, threading.Lock(), os.getpid()
        return self._made

    def _inner(self) -> httpx.Client:
        return self._client("inner", {"request": [self._setup.sign]})

    def _outer(self) -> httpx.Client:
        return self._client("outer", {})

    def _client(self, which: str, hooks: dict[str, list[Any]]) -> httpx.Client:
        made = self._clients()
        if which not in made:
            with self._making:  # two threads must not make two: one would be forgotten with its sockets open
                if which not in made:
                    made[which] = httpx.Client(
                        transport=self._transport, event_hooks=hooks, **self._setup.options()
                    )
        return made[which]


class AsyncTransport:
    """The same for one event loop."""

    def __init__(
        self, settings: Settings, timeout_s: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._setup = _Setup(settings, timeout_s)
        self._transport = transport
        self._made: dict[str, httpx.AsyncClient] = {}
        self._pid = os.getpid()

    async def send(self, request: Request) -> Reply:
        import anyio

        client = self._inner() if _is_inner(request) else self._outer()
        since = time.monotonic()
        with self._setup.ours(request), anyio.fail_after(LONGER * self._setup.bound(request)):
            if request.max_bytes is not None:
                return await self._bounded(client, request, since)
            response = await client.request(**self._setup.arguments(request))
            return _reply(response, response.content, since)

    async def _bounded(self, client: httpx.AsyncClient, request: Request, since: float) -> Reply:
        """Stop reading where the answer grows too long."""
        room = _Room(request.max_bytes)
        async with client.stream(**self._setup.arguments(request)) as response:
            chunks = [room.passes(chunk) async for chunk in response.aiter_bytes()]
            return _reply(response, b"".join(chunks), since)

    async def upload(self, upload: Upload, tell: Callable[[Any], Awaitable[Any]]) -> Reply:
        with self._setup.ours(upload):
            headers = _upload_headers(upload)
            chunks = _chunks(upload.content, tell)
            response = await self._outer().put(upload.url, content=chunks, headers=headers)
            return _reply(response, response.content)

    async def close(self) -> None:
        for client in self._clients().values():
            await client.aclose()
        self._made = {}

    def _clients(self) -> dict[str, httpx.AsyncClient]:
        if self._pid != os.getpid():
            self._made, self._pid = {}, os.getpid()
        return self._made

    def _inner(self) -> httpx.AsyncClient:
        return self._client("inner", {"request": [self._sign]})

    def _outer(self) -> httpx.AsyncClient:
        return self._client("outer", {})

    def _client(self, which: str, hooks: dict[str, list[Any]]) -> httpx.AsyncClient:
        made = self._clients()
        if which not in made:
            made[which] = httpx.AsyncClient(
                transport=self._transport, event_hooks=hooks, **self._setup.options()
            )
        return made[which]

    async def _sign(self, request: httpx.Request) -> None:
        self._setup.sign(request)


def _told_chunks(content: Content, tell: Callable[[Any], Any]) -> Iterator[bytes]:
    meter = _Meter(content.size)
    for chunk in content.chunks():
        yield chunk
        for event in meter.passes(chunk):
            tell(event)


async def _chunks(content: Content, tell: Callable[[Any], Awaitable[Any]]) -> AsyncIterator[bytes]:
    """The same, read in threads: a disk may be slow."""
    from anyio import to_thread

    meter, chunks = _Meter(content.size), content.chunks()
    while (chunk := await to_thread.run_sync(next, chunks, None)) is not None:
        yield chunk
        for event in meter.passes(chunk):
            await tell(event)
