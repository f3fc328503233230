"""Imported by whoever is given these options: from then on Serve's gRPC server listens on loopback only (``ray_grpc``)."""

from __future__ import annotations

from typing import Any

from ray.serve._private import default_impl
from ray.serve.config import gRPCOptions

from .ray_grpc import LOOPBACK

__all__ = ["OnLoopback"]


class OnLoopback(gRPCOptions):  # type: ignore[misc]  # Ray's types are not read
    """Serve's own options, and the reason for a process to import this module."""


def _listen(server: Any, address: str) -> None:
    server.add_insecure_port(f"{LOOPBACK}:{address.rpartition(':')[2]}")


default_impl.add_grpc_address  # noqa: B018  where there is none, replacing it would change nothing
default_impl.add_grpc_address = _listen
