"""All that there is to see of a run. Who acts tells the board; who draws asks it for the present moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dags_examples.demo.traffic import NOBODY, Figures, Record
from dags_examples.demo.watch import Look

__all__ = ["Board", "Event", "Moment", "column"]

COLUMN_S = 2.0  # how much time one column of the river stands for


@dataclass(frozen=True)
class Event:
    """Something happened ``at`` seconds after the start; ``who`` says so: the demo, Airflow, Prefect, the plane."""

    at: float
    who: str
    text: str


@dataclass(frozen=True)
class Moment:
    """Everything at one moment, for a view to draw. ``river``: requests by version, a column each 2 s."""

    elapsed_s: float
    chapters: Sequence[str]
    chapter: int
    waiting: str
    waiting_s: float
    about: Mapping[str, str]
    look: Look | None
    figures: Mapping[str, Figures]
    total: int
    dropped: int
    events: Sequence[Event]
    river: Sequence[Mapping[str, int]]


@dataclass
class Board:
    """Thread-safe. ``chapters`` are the parts of the story; ``about`` says what each version is."""

    chapters: Sequence[str]
    record: Record
    look: Callable[[], Look | None] = lambda: None
    about: dict[str, str] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    _began: float = 0.0
    _chapter: int = 0
    _waiting: tuple[str, float] = ("", 0.0)
    _events: list[Event] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._waiting = ("", self._began)

    def begin(self, chapter: int) -> None:
        """Open a chapter; past the last one, all are done."""
        with self._lock:
            self._chapter = chapter

    def wait(self, text: str) -> None:
        """Say what everything waits for from now on."""
        with self._lock:
            if self._waiting[0] != text:
                self._waiting = (text, self.clock())

    def tell(self, who: str, text: str) -> None:
        """Note an event; one that says again what the last one of theirs said, if in more words, is not news."""
        text = text.rstrip(".")
        with self._lock:
            last = next((event for event in reversed(self._events) if event.who == who), None)
            if last is None or not text.startswith(last.text):
                self._events.append(Event(self.clock() - self._began, who, text))

    def events(self, after: int = 0) -> list[Event]:
        with self._lock:
            return self._events[after:]

    def moment(self) -> Moment:
        now, samples, figures = self.clock(), self.record.all(), self.record.figures(self.clock())
        with self._lock:
            return Moment(
                elapsed_s=now - self._began,
                chapters=self.chapters,
                chapter=self._chapter,
                waiting=self._waiting[0],
                waiting_s=now - self._waiting[1],
                about=dict(self.about),
                look=self.look(),
                figures=figures,
                total=len(samples),
                dropped=sum(sample.dropped for sample in samples),
                events=tuple(self._events),
                river=column([(s.at, s.version) for s in samples if s.version != NOBODY]),
            )


def column(requests: Sequence[tuple[float, str]], width_s: float = COLUMN_S) -> list[dict[str, int]]:
    """Sort (time, version) into columns of ``width_s`` seconds from the first request on."""
    if not requests:
        return []
    first = min(at for at, _ in requests)
    columns: list[dict[str, int]] = [
        {} for _ in range(int((max(at for at, _ in requests) - first) / width_s) + 1)
    ]
    for at, version in requests:
        counts = columns[int((at - first) / width_s)]
        counts[version] = counts.get(version, 0) + 1
    return columns
