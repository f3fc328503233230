"""A host and all that it started, named so that no stranger can ever be meant.

Every process of a version, Ray's included, is in the session of its host. Workers have process
groups of their own, so only the session id finds them all. But numbers come round again, and a
signal to a recycled number would hit a stranger. What is ours therefore is decided thus:

* another boot id than the recorded one: nothing of ours can be left;
* a leader with the recorded start time: the session is ours, as its number cannot be reused
  while anyone is in it;
* a leader with another start time: the number was reused, none of it is ours;
* no leader: the orphans are ours if they carry our mark in the environment they were born with,
  or have none left to read and are younger than the leader. Ray's workers set their title, which
  the kernel keeps where the environment was.

A signal goes through a pidfd that is checked once more after it was opened, so that between the
look and the shot the number cannot change hands.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from . import procfs

__all__ = ["MARK", "Session"]

MARK = "ANYSERVICE_HOST_MARK"


@dataclass(frozen=True)
class Session:
    sid: int
    start_ticks: int
    boot_id: str
    mark: str

    @classmethod
    def of_leader(cls, pid: int, mark: str) -> Session:
        """Name the session that a just started process leads."""
        stat = procfs.read_stat(pid)
        return cls(pid, stat.start_ticks if stat else 0, procfs.boot_id(), mark)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Session:
        return cls(int(data["sid"]), int(data["start_ticks"]), str(data["boot_id"]), str(data["mark"]))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def leader_alive(self) -> bool:
        leader = self._leader()
        return leader is not None and not leader.is_zombie

    def members(self) -> list[procfs.Stat]:
        """Every living process of the session; zombies do not live."""
        if procfs.boot_id() != self.boot_id:
            return []
        return [stat for stat in procfs.stats() if self._is_ours(stat)]

    def signal_leader(self, number: signal.Signals) -> None:
        leader = self._leader()
        if leader is not None:
            self._signal(leader, number)

    def kill(self) -> None:
        """SIGKILL every member. One that forks meanwhile escapes until the next call."""
        for stat in self.members():
            self._signal(stat, signal.SIGKILL)

    def _leader(self) -> procfs.Stat | None:
        stat = procfs.read_stat(self.sid)
        same = stat is not None and stat.start_ticks == self.start_ticks
        return stat if same and procfs.boot_id() == self.boot_id else None

    def _is_ours(self, stat: procfs.Stat) -> bool:
        if stat.session != self.sid or stat.is_zombie:
            return False
        leader = procfs.read_stat(self.sid)
        if leader is not None:
            return leader.start_ticks == self.start_ticks
        if procfs.has_environment(stat.pid, MARK, self.mark):
            return True
        return stat.start_ticks >= self.start_ticks and procfs.has_lost_environment(stat.pid)

    def _signal(self, stat: procfs.Stat, number: signal.Signals) -> None:
        with contextlib.suppress(OSError):  # it ended by itself
            handle = os.pidfd_open(stat.pid)
            try:
                now = procfs.read_stat(stat.pid)
                if now is not None and now.start_ticks == stat.start_ticks:
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)
