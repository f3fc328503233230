"""The directory for the sockets of hosts and router, which is outside of the state directory."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from anyservice_core.errors import PlaneError

__all__ = ["remove_run_dir", "run_dir"]


def run_dir(state_dir: Path, *, make: bool = False) -> Path:
    """Give the directory for sockets: short, since Unix sockets take 107 bytes, and this user's only.

    It is derived from the state directory, so that a later plane finds the sockets of an earlier one. A plane
    makes it; whoever stops the last that uses it removes it (``remove_run_dir``).
    """
    mark = hashlib.sha256(f"{os.getuid()}:{state_dir.resolve()}".encode()).hexdigest()[:8]
    path = Path(tempfile.gettempdir() if len(tempfile.gettempdir()) < 20 else "/tmp") / f"asv-{mark}"  # noqa: S108
    if make:
        path.mkdir(mode=0o700, exist_ok=True)
    if path.exists() and path.stat().st_uid != os.getuid():
        raise PlaneError(f"{path} belongs to another user.", hint="Use another ANYSERVICE_STATE_DIR.")
    return path


def remove_run_dir(state_dir: Path, *, dead: bool = False) -> None:
    """Remove the directory for sockets if nothing is in it; with ``dead``, sockets that nobody listens on too."""
    path = run_dir(state_dir)
    with contextlib.suppress(OSError):  # other files may be in it, or it is gone already
        for socket_path in (found for found in path.iterdir() if dead and found.is_socket()):
            socket_path.unlink(missing_ok=True)
        path.rmdir()
