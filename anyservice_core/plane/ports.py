"""Whether a port of this machine can be listened on."""

from __future__ import annotations

import socket

__all__ = ["is_free", "obstacle"]


def obstacle(port: int) -> OSError | None:
    """Say what keeps anybody from listening there; ``None`` if nothing does."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error
    return None


def is_free(port: int) -> bool:
    return obstacle(port) is None
