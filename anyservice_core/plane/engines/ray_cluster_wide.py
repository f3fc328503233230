"""What a version asks of its whole cluster, and not of one application: traces, and where its state is kept.

Both are looked at before anything is started. Ray itself finds out late: a Redis that does not answer costs it
minutes and a core dump, and an exporter that cannot be imported makes a proxy that is never ready.
"""

from __future__ import annotations

import importlib.util
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from anyservice_core.errors import PlaneError

__all__ = ["Storage", "tracing_options"]

CONNECT_S = 5.0
_FIELD = "ray_gcs_external_storage_config"


def tracing_options(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Give what ``serve.start`` takes as ``tracing_config``, or None for no traces.

    Without an exporter of its own Serve writes spans to files beside its logs.

    Raises ``PlaneError`` where OpenTelemetry or the exporter is not installed.
    """
    if not (config and config.get("enabled")):
        return None
    if _missing("opentelemetry.sdk"):
        raise PlaneError(
            "tracing_config is enabled, and OpenTelemetry is not installed.",
            hint="pip install opentelemetry-sdk, where the plane runs.",
        )
    exporter = config.get("exporter_import_path") or ""
    module = exporter.partition(":")[0] if ":" in exporter else exporter.rpartition(".")[0]
    if exporter and (not module or _missing(module)):
        raise PlaneError(
            f"tracing_config.exporter_import_path: {exporter!r} cannot be imported.",
            hint="Install it where the plane runs: Serve's proxy needs it, too, which sees no working_dir.",
        )
    return {"enabled": True, "exporter_import_path": exporter, "sampling_ratio": config["sampling_ratio"]}


def _missing(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is None
    except ImportError:
        return True


@dataclass(frozen=True)
class Storage:
    """A Redis that keeps the cluster's state, under a name of its own; it goes with the cluster."""

    host: str
    port: int
    secure: bool
    certificate: str | None
    namespace: str

    @classmethod
    def of(cls, config: Mapping[str, Any] | None) -> Self | None:
        """Read it from a version's ``ray_gcs_external_storage_config``; None if there is none.

        Raises ``PlaneError`` for an address that is none, or at which nothing answers.
        """
        if not (config and config.get("enable")):
            return None
        address = config.get("address")
        if not address:
            raise PlaneError(
                f"{_FIELD} is enabled without an address, and this plane has no Redis of its own.",
                hint="Give the address of one, such as 127.0.0.1:6379.",
            )
        scheme, host, port = _parsed(address)
        secure = scheme == "rediss"
        certificate = config.get("redis_certificate_path") if secure else None
        return cls(host, port, secure, certificate, f"anyservice-{secrets.token_hex(8)}").reached()

    def reached(self) -> Self:
        """Raise unless something answers there."""
        try:
            socket.create_connection((self.host, self.port), CONNECT_S).close()
        except OSError as error:
            raise PlaneError(
                f"{_FIELD}.address: nothing answers at {self.host}:{self.port}: {error}.",
                hint="Start that Redis, or leave the external storage out.",
            ) from None
        return self

    def variables(self) -> dict[str, str]:
        """Give what Ray reads from the environment of a head."""
        scheme = "rediss" if self.secure else "redis"
        certificate = {"RAY_REDIS_CA_CERT": self.certificate} if self.certificate else {}
        return {
            "RAY_REDIS_ADDRESS": f"{scheme}://{self.host}:{self.port}",
            "RAY_external_storage_namespace": self.namespace,
            **certificate,
        }

    def clean(self) -> None:
        """Remove what the cluster left there."""
        from ray._private.gcs_utils import cleanup_redis_storage

        cleanup_redis_storage(self.host, self.port, "", self.secure, self.namespace)


def _parsed(address: str) -> tuple[str, str, int]:
    scheme, _, rest = address.rpartition("://")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if scheme not in {"", "redis", "rediss", "http", "https"} or not host or not port or parts.username:
        raise PlaneError(
            f"{_FIELD}.address: {address!r} is no address of a Redis.",
            hint="host:port, or redis://host:port, or rediss://host:port for TLS.",
        )
    return scheme, host, port
