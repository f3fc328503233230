"""The access log: a line for each request, written by HAProxy itself, so that it goes on while there is no plane.

    2026-11-28T08:27:51Z service2_k3j srv_9fh POST /predict 200 312 14 ---- 127.0.0.1

When it was answered, the ids of service and version, method, path, status, bytes sent, milliseconds, how it ended
(`----`: as it should; else HAProxy's letters for who broke off and when), and who asked. Neither headers nor query strings are in it,
since both carry tokens. What HAProxy closes without an answer it does not log; the counters have it. At a reload it notes there which frontends
of the old worker it stopped.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

__all__ = ["FORMAT", "MOST_BYTES", "access_log", "trim"]

FORMAT: Final = "%[date,utime(%Y-%m-%dT%H:%M:%SZ)] %b %[var(txn.by)] %HM %HPO %ST %B %Ta %tsc %ci"
MOST_BYTES: Final = 32 << 20


def access_log(state_dir: Path) -> Path:
    return state_dir / "router" / "access.log"


def trim(path: Path, *, most_bytes: int = MOST_BYTES) -> None:
    """Begin it anew if it has grown too large; what it held stays in ``access.log.1``, until the next time.

    It is copied and cut, since HAProxy holds it open, and appends. A line that comes in between is lost.
    """
    if not path.exists() or path.stat().st_size <= most_bytes:
        return
    draft = path.with_name(f"{path.name}.part")
    shutil.copyfile(path, draft)
    draft.chmod(0o600)
    os.truncate(path, 0)
    draft.replace(path.with_name(f"{path.name}.1"))
