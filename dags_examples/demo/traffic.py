"""A steady stream of real requests, and the record of each.

The load is *open*: requests are sent by the clock, whether or not earlier ones were answered, as users do. A
service that stalls is not spared; its requests pile up and each shows its true delay.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from dags_examples.demo.train import Digit

__all__ = ["Figures", "Record", "Sample", "Traffic", "percentile", "read"]

TIMEOUT_S = 30.0
LATELY_S = 15.0  # what "now" means for latencies
CONNECTIONS = 64
NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: when it was sent (seconds since the epoch), how long it took, and what came of it.

    ``version`` is the one that the answer names, ``NOBODY`` where no version spoke. ``status`` is 0 where
    no answer came at all; ``right`` is ``None`` where no digit did.
    """

    at: float
    took_s: float
    status: int
    version: str = NOBODY
    right: bool | None = None
    detail: str = ""

    @property
    def answered(self) -> bool:
        return self.status == 200 and self.right is not None

    @property
    def dropped(self) -> bool:
        """Nobody's answer: it failed, and not because a version said so itself in its own name."""
        return not self.answered and not (self.status == 500 and self.version != NOBODY)


def read(at: float, took_s: float, status: int, body: bytes, value: int) -> Sample:
    """Make a sample of an answer, whatever its body."""
    try:
        answer = json.loads(body)
        version = str(answer["version"])
    except (ValueError, KeyError, TypeError):
        return Sample(at, took_s, status, detail=body[:200].decode(errors="replace"))
    right = answer.get("digit") == value if "digit" in answer else None
    return Sample(at, took_s, status, version, right, str(answer.get("detail", "")))


@dataclass(frozen=True)
class Figures:
    """What a version did so far. ``p50_s`` and ``p95_s`` are of the last seconds; NaN without any."""

    requests: int = 0
    errors: int = 0
    right: int = 0
    p50_s: float = math.nan
    p95_s: float = math.nan

    @property
    def accuracy(self) -> float:
        """The share of its answers that were right; NaN without an answer."""
        answers = self.requests - self.errors
        return self.right / answers if answers else math.nan


@dataclass
class Record:
    """Every sample, in the order in which they ended. Safe to read while it is written."""

    samples: list[Sample] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, sample: Sample) -> None:
        with self._lock:
            self.samples.append(sample)

    def all(self) -> list[Sample]:
        with self._lock:
            return list(self.samples)

    def figures(self, now: float) -> dict[str, Figures]:
        """Give the figures of every version that has answered."""
        samples = self.all()
        versions = sorted({s.version for s in samples} - {NOBODY})
        return {version: _figures([s for s in samples if s.version == version], now) for version in versions}

    def dropped(self) -> list[Sample]:
        return [sample for sample in self.all() if sample.dropped]

    def between(self, since: float, until: float) -> Mapping[str, int]:
        """Count the requests that each version answered of those that were sent in this while."""
        return Counter(s.version for s in self.all() if since <= s.at < until)


def _figures(samples: Sequence[Sample], now: float) -> Figures:
    lately = sorted(s.took_s for s in samples if s.at > now - LATELY_S and s.answered)
    return Figures(
        requests=len(samples),
        errors=sum(not s.answered for s in samples),
        right=sum(bool(s.right) for s in samples),
        p50_s=percentile(lately, 0.50),
        p95_s=percentile(lately, 0.95),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the smallest value that is not exceeded by ``share`` of them (nearest rank); NaN of none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


class Traffic:
    """Sends digits at ``rate`` requests a second from a thread of its own, until ``stop``."""

    def __init__(
        self, url: str, token: str | None, digits: Sequence[Digit], *, rate: float, record: Record
    ) -> None:
        self._url, self._digits, self._rate, self._record = url, digits, rate, record
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, patience_s: float = TIMEOUT_S + 5) -> None:
        """Send no more, and wait for the answers that are still to come."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=patience_s)

    def _run(self) -> None:
        asyncio.run(self._send())

    async def _send(self) -> None:
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        async with (
            httpx.AsyncClient(
                headers=self._headers, timeout=TIMEOUT_S, limits=limits, trust_env=False
            ) as client,
            asyncio.TaskGroup() as group,
        ):
            began = time.monotonic()
            for number, digit in enumerate(itertools.cycle(self._digits)):
                await asyncio.sleep(max(0.0, began + number / self._rate - time.monotonic()))
                if self._stopping.is_set():
                    return
                group.create_task(self._ask(client, digit))

    async def _ask(self, client: httpx.AsyncClient, digit: Digit) -> None:
        at, began = time.time(), time.monotonic()
        try:
            answer = await client.post(self._url, content=digit.body)
        except httpx.HTTPError as error:
            self._record.add(Sample(at, time.monotonic() - began, 0, detail=repr(error)))
            return
        self._record.add(read(at, time.monotonic() - began, answer.status_code, answer.content, digit.value))
