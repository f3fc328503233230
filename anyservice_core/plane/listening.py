"""Where the plane listens: on this machine by itself, and beyond it only if it is told so, then with TLS.

The door on 127.0.0.1 is always there, and is the one that commands and the dashboard on this machine use. A further
one, on one address of this machine, leads to the same API and to the services, on the ports that they have, and to
nothing else: the dashboard stays at home. What comes in there is a token and what people deploy, so a certificate is
asked for; whoever has another shield in front, such as a VPN, says ``plaintext``.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyservice_core.errors import PlaneError
from anyservice_core.plane.router import Beyond
from anyservice_core.plane.router.haproxy import write_private

__all__ = ["LOOPBACK", "Door", "beyond", "listener", "open_beside", "quiet"]

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Door:
    """A further address to listen at.

    Args:
        address: one of this machine's, by number.
        tls_cert: file with the certificate and those that vouch for it, as PEM.
        tls_key: file with its key; by default it is in the same file.
        plaintext: do without a certificate.
    """

    address: str
    tls_cert: str | None = None
    tls_key: str | None = None
    plaintext: bool = False

    def check(self) -> None:
        """Look whether it can be opened.

        Raises:
            PlaneError: naming the setting, and the way out.
        """
        self._check_address()
        if self.tls_cert is None:
            self._check_plain()
            return
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self.tls_cert, self.tls_key)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(filter(None, (self.tls_cert, self.tls_key)))
            raise PlaneError(
                f"--tls-cert and --tls-key: {files} cannot be used: {error.strerror or error}.",
                hint="Give the certificate and its own key, both as PEM, readable by you.",
            ) from error

    def _check_address(self) -> None:
        try:
            found = ipaddress.ip_address(self.address)
        except ValueError:
            raise PlaneError(
                f"--listen: '{self.address}' is no address.", hint="Write a number such as 192.168.1.20."
            ) from None
        if found.is_unspecified or found.is_loopback:
            raise PlaneError(
                f"--listen: {self.address} is {'every address at once' if found.is_unspecified else 'this machine'}.",
                hint="Name one address by which others reach this machine; on 127.0.0.1 it listens anyway.",
            )

    def _check_plain(self) -> None:
        if self.tls_key is not None:
            raise PlaneError("--tls-key is there and --tls-cert is not.", hint="Give both, or none.")
        if not self.plaintext:
            raise PlaneError(
                f"--listen {self.address}: beyond this machine tokens go over the wire, and there is no certificate.",
                hint="Give --tls-cert and --tls-key; or --plaintext, if something else protects the way.",
            )

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"

    def url(self, port: int) -> str:
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{shown}:{port}"

    @property
    def chain(self) -> str:
        """The certificate and its key as one text; empty without one."""
        files = (self.tls_cert, self.tls_key) if self.tls_cert else ()
        return "\n".join(Path(file).read_text(encoding="utf-8") for file in files if file)

    @property
    def tls(self) -> dict[str, Any]:
        """What uvicorn needs to know of the certificate."""
        return {"ssl_certfile": self.tls_cert, "ssl_keyfile": self.tls_key} if self.tls_cert else {}


def beyond(door: Door | None, folder: Path) -> Beyond | None:
    """Say where services are reached, and put what HAProxy needs for it into the folder that it reads from."""
    content = door.chain if door else ""
    # Named by its content: another certificate is another configuration, and so another process that reads it.
    pem = folder / f"tls-{hashlib.sha256(content.encode()).hexdigest()[:16]}.pem"
    for old in {*folder.glob("tls-*.pem")} - {pem}:
        old.unlink()
    if content:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(pem, content)
    return Beyond(door.address, pem.name if content else None) if door else None


@contextlib.contextmanager
def listener(address: str, port: int) -> Iterator[socket.socket]:
    """Hold a socket bound to this address; port 0 takes a free one.

    Raises:
        PlaneError: it cannot be bound.
    """
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    # Told that it is TCP, asyncio sends what is small at once, else 40 ms late (``process_host.listening_socket``).
    with socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((address, port))
        except OSError as error:
            raise PlaneError(
                f"port {port} on {address} cannot be had: {error.strerror}.",
                hint="Stop what holds it, or give the plane another one: `anyservice plane up --port 8643`.",
            ) from error
        yield bound


@contextlib.contextmanager
def open_beside(application: Any, door: Door, port: int) -> Iterator[None]:
    """Serve an application at a door for as long as the context lasts, in a thread of its own."""
    import uvicorn

    with listener(door.address, port) as bound:
        server = uvicorn.Server(uvicorn.Config(application, **quiet(), **door.tls))
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [bound]}, name="plane-door", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(timeout=30)


def quiet() -> dict[str, Any]:
    """What every server of the plane has in common. Who sends a request is who it comes from, whatever it says."""
    return {
        "log_level": "warning",
        "lifespan": "off",
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
    }
