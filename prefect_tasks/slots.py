"""The one slot of a global concurrency limit of Prefect's, which lapses when its holder is gone.

A slot that decays (``slot_decay_per_second``) is free again ``LAPSES_S`` seconds after it was last taken or
confirmed, by the clock of Prefect's database. Who holds it confirms it; one thread does so for all of a process.

Prefect's own leases are not kept long enough: its server has them in memory, and when that starts again the slot is
taken for ever; and the private server of a script or a test never looks which have run out.
"""

from __future__ import annotations

import threading
import time
from contextvars import Context, copy_context
from typing import Final

from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

from prefect_tasks.forgiving import forgiving, run_log
from prefect_tasks.line import line

__all__ = ["LAPSES_S", "Slot"]

LAPSES_S: Final = 90.0
# Often enough that one may fail.
CONFIRM_EVERY_S: Final = 40.0
_DECAY: Final = 1 / LAPSES_S
_LOCKED: Final = 423


class Slot:
    """The slot of the limit ``name``, which is made when it is first taken."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._good_until = 0.0

    def take(self) -> bool:
        """Take it, unless somebody has it; says whether it is ours now."""
        asked_at = time.monotonic()
        limit = self._limit()
        # Whoever has it is looked at, not asked: a slot that is asked for in vain begins to decay anew.
        taken = self._make() if limit is None else not limit.active_slots and self._occupy()
        if taken:
            self._hold(asked_at)
        return taken

    def take_over(self) -> None:
        """Take it from whoever has it, who is known to be dead."""
        asked_at = time.monotonic()
        self._set(1)
        self._hold(asked_at)

    def release(self) -> None:
        """Let go of it, if it is still ours."""
        _KEEPER.drop(self)
        if time.monotonic() < self._good_until:
            self._set(0)

    def confirm(self) -> None:
        """Say that it is still in use. Where that comes too late, somebody else may have it, so it stays theirs."""
        asked_at = time.monotonic()
        if asked_at >= self._good_until:
            run_log().warning(
                "Prefect could not be told for %d s that this rollout goes on, so another one of its service may "
                "begin; neither touches a version of the other",
                LAPSES_S,
            )
            _KEEPER.drop(self)
            return
        self._set(1)
        self._good_until = asked_at + LAPSES_S

    def _hold(self, since: float) -> None:
        self._good_until = since + LAPSES_S
        _KEEPER.add(self)

    # ── what is asked of Prefect ──

    def _limit(self) -> GlobalConcurrencyLimitResponse | None:
        try:
            limit = line().read_global_concurrency_limit_by_name(self._name)
        except ObjectNotFound:
            return None
        if not limit.slot_decay_per_second:  # made by an earlier release, or by hand
            line().update_global_concurrency_limit(
                self._name, GlobalConcurrencyLimitUpdate(slot_decay_per_second=_DECAY)
            )
        return limit

    def _make(self) -> bool:
        """Make the limit with its slot taken, which one of those who try can do."""
        new = GlobalConcurrencyLimitCreate(
            name=self._name, limit=1, active=True, active_slots=1, slot_decay_per_second=_DECAY
        )
        try:
            line().create_global_concurrency_limit(new)
        except ObjectAlreadyExists:
            return False
        return True

    def _occupy(self) -> bool:
        try:
            line().increment_concurrency_slots(names=[self._name], slots=1, mode="concurrency")
        except PrefectHTTPStatusError as error:
            if error.response.status_code != _LOCKED:
                raise
            return False
        return True

    def _set(self, slots: int) -> None:
        line().update_global_concurrency_limit(self._name, GlobalConcurrencyLimitUpdate(active_slots=slots))


class _Keeper:
    """A thread that confirms what is held, and is there while something is."""

    def __init__(self) -> None:
        self._held: dict[Slot, tuple[float, Context]] = {}
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, slot: Slot) -> None:
        with self._news:
            self._held[slot] = time.monotonic() + CONFIRM_EVERY_S, copy_context()
            self._news.notify()
            if (
                self._thread is None or not self._thread.is_alive()
            ):  # the child of a fork has the one, not the other
                self._thread = threading.Thread(target=self._work, name="anyservice-slots", daemon=True)
                self._thread.start()

    def drop(self, slot: Slot) -> None:
        with self._news:
            self._held.pop(slot, None)
            self._news.notify()

    def _work(self) -> None:
        while (due := self._wait()) is not None:
            slot, context = due
            context.run(self._confirm, slot)

    def _wait(self) -> tuple[Slot, Context] | None:
        """Give the next to confirm when its time has come; ``None``, and no thread, when there is none."""
        with self._news:
            while self._held:
                slot, (at, context) = min(self._held.items(), key=lambda one: one[1][0])
                if (pause_s := at - time.monotonic()) <= 0:
                    self._held[slot] = time.monotonic() + CONFIRM_EVERY_S, context
                    return slot, context
                self._news.wait(pause_s)
            self._thread = None
            return None

    def _confirm(self, slot: Slot) -> None:
        with forgiving():
            slot.confirm()


_KEEPER: Final = _Keeper()
