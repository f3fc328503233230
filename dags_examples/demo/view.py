"""What a person sees: a live screen on a terminal, lines where there is none.

``draw`` makes a picture of one moment and does nothing else, so that a test can look at it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Protocol, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from dags_examples.demo.board import Board, Event, Moment
from dags_examples.demo.checks import Check
from dags_examples.demo.river import river
from dags_examples.demo.traffic import Figures

__all__ = ["COLOURS", "Display", "Lines", "Screen", "draw", "line", "summary"]

COLOURS = {"v1": "#4c8dff", "v2": "#2fbf71", "v3": "#ff5d5d"}
WHO = {"airflow": "#17c5c5", "prefect": "#b18cff", "plane": "grey62", "demo": "grey62"}
DIM = "grey54"
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
RIVER_ROWS, MAX_WIDTH, ROOMY = 5, 112, 96
FIXED_ROWS = 27  # all but the events
LINE_EVERY_S = 5.0


class Display(Protocol):
    """Shows a board for as long as it is entered."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...


class Screen:
    """Draws the board four times a second, in place."""

    def __init__(self, board: Board, console: Console) -> None:
        self._board, self._console = board, console
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.__exit__(None, None, None)

    def _draw(self) -> RenderableType:
        return draw(self._board.moment(), width=self._console.width, height=self._console.height)


class Lines:
    """Prints each event as it comes, and how things stand every few seconds."""

    def __init__(self, board: Board, console: Console, *, every_s: float = LINE_EVERY_S) -> None:
        self._board, self._console, self._every_s = board, console, every_s
        self._shown, self._next = 0, 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)
        self._show()

    def _run(self) -> None:
        while not self._stopping.wait(0.25):
            self._show()

    def _show(self) -> None:
        for event in self._board.events(self._shown):
            self._shown += 1
            self._print(f"{clock(event.at)}  {event.who:8}{event.text}")
        moment = self._board.moment()
        if moment.elapsed_s >= self._next and moment.total:
            self._next = moment.elapsed_s + self._every_s
            self._print(line(moment))

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"


def line(moment: Moment) -> str:
    """Put a moment into one line."""
    weights = moment.look.weights if moment.look else {}
    parts = [
        f"{version} {weights.get(version, 0):3} % {figures.requests:6,} requests {figures.errors:4} errors "
        f"{_percent(figures.accuracy)} right"
        for version, figures in moment.figures.items()
        if weights.get(version, 0) or figures.requests
    ]
    return f"{clock(moment.elapsed_s)}  {' | '.join(parts)} | dropped {moment.dropped}"


# ── the picture ─────────────────────────────────────────────────────────────


def draw(moment: Moment, *, width: int, height: int) -> RenderableType:
    """Draw a moment for a terminal of this size."""
    inner = min(width, MAX_WIDTH) - 6
    body = Group(
        _chapters(moment),
        Text(),
        _versions(moment, inner),
        Text(),
        _traffic(moment, inner),
        Rule(style="grey30"),
        _waiting(moment),
        Text(),
        *_events(moment.events, rows=max(3, min(10, height - FIXED_ROWS)), width=inner),
    )
    title = Text(" a new model, taking real traffic step by step ", style="bold white")
    total = Text.assemble(
        (f" {clock(moment.elapsed_s)} ", "bold white"),
        (f"· {moment.total:,} requests ", DIM),
        ("· 0 dropped ", "#2fbf71")
        if not moment.dropped
        else (f"· {moment.dropped} dropped ", "bold #ff5d5d"),
    )
    return Panel(
        Padding(body, (1, 1, 0, 1)),
        title=title,
        title_align="left",
        subtitle=total,
        subtitle_align="right",
        box=box.ROUNDED,
        border_style="grey37",
        width=min(width, MAX_WIDTH),
    )


def _chapters(moment: Moment) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for number, title in enumerate(moment.chapters):
        if number < moment.chapter:
            text.append("✔ ", "#2fbf71").append(title, DIM)
        elif number == moment.chapter:
            text.append("● ", "bold #ffc857").append(title, "bold white")
        else:
            text.append("○ ", "grey37").append(title, "grey42")
        text.append("   ")
    return text


def _versions(moment: Moment, width: int) -> Table:
    roomy = width >= ROOMY
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=DIM)
    table.add_column("version", no_wrap=True, width=32 if roomy else 24)
    table.add_column("weight", no_wrap=True, width=_bar_width(width) + 6)
    for name, least in (("requests", 8), ("errors", 6), ("right", 7), ("p50", 6), ("p95", 6))[
        : 5 if roomy else 3
    ]:
        table.add_column(name, justify="right", no_wrap=True, min_width=least)
    for version in moment.about:
        table.add_row(*_version(moment, version, width)[: len(table.columns)])
    return table


def _bar_width(width: int) -> int:
    return 20 if width >= ROOMY else 12


def _version(moment: Moment, version: str, width: int) -> Sequence[Text]:
    figures = moment.figures.get(version, Figures())
    weight = moment.look.weights.get(version) if moment.look else None
    colour = COLOURS.get(version, "white")
    name = Text.assemble((f"● {version} ", f"bold {colour}"), (_role(moment, version), "white"))
    return [
        name.append(f"\n  {moment.about[version]}", DIM),
        _bar(weight, colour, _bar_width(width)),
        _number(f"{figures.requests:,}" if figures.requests else "·"),
        _number(f"{figures.errors:,}" if figures.requests else "·", "bold #ff5d5d" if figures.errors else ""),
        _number(_percent(figures.accuracy)),
        _number(_milliseconds(figures.p50_s)),
        _number(_milliseconds(figures.p95_s)),
    ]


def _role(moment: Moment, version: str) -> str:
    look = moment.look
    if look is None or version not in look.states:
        return "has gone" if version in moment.figures else "not deployed yet"
    role = "primary" if version == look.primary else "canary" if version == look.canary else "leaving"
    return f"{role} · {look.states[version].lower().replace('_', ' ')}"


def _bar(weight: int | None, colour: str, width: int) -> Text:
    full = max(round(width * (weight or 0) / 100), 1 if weight else 0)
    text = Text.assemble(("━" * full, colour), ("━" * (width - full), "grey23"))
    return text.append(f" {weight:3} %" if weight is not None else "    ·", "bold white" if weight else DIM)


def _number(text: str, style: str = "") -> Text:
    return Text(text, style=style or (DIM if text == "·" else "white"))


def _percent(share: float) -> str:
    return "·" if math.isnan(share) else f"{100 * share:.1f} %"


def _milliseconds(seconds: float) -> str:
    return "·" if math.isnan(seconds) else f"{1000 * seconds:.0f} ms"


def _traffic(moment: Moment, width: int) -> RenderableType:
    picture = river(moment.river, COLOURS, width=width, rows=RIVER_ROWS)
    if not moment.river:
        picture = Text(
            "\n" * (RIVER_ROWS // 2) + "  the traffic of each version will be drawn here", style="grey37"
        )
        picture.append("\n" * (RIVER_ROWS - 1 - RIVER_ROWS // 2))
    return Group(Text("who answered, from the first request until now", style=DIM), picture)


def _waiting(moment: Moment) -> Text:
    frame = SPINNER[int(moment.elapsed_s * 4) % len(SPINNER)]
    text = Text(no_wrap=True, overflow="ellipsis")
    if moment.chapter >= len(moment.chapters):
        return text.append("✔ ", "#2fbf71").append(moment.waiting, "bold white")
    text.append(f"{frame} ", "#ffc857").append(moment.waiting, "bold white")
    return text.append(f"  {int(moment.waiting_s)} s", DIM)


def _events(events: Sequence[Event], *, rows: int, width: int) -> list[Text]:
    lines = [_event(event, width) for event in events[-rows:]]
    return lines + [Text() for _ in range(rows - len(lines))]


def _event(event: Event, width: int) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{clock(event.at)} ", "grey42").append(f"{event.who:8}", WHO.get(event.who, DIM))
    text.append(event.text, "white" if event.who in {"airflow", "prefect"} else "grey70")
    text.truncate(width, overflow="ellipsis")
    return text


# ── the end ─────────────────────────────────────────────────────────────────


def summary(answers: Sequence[Check], took_s: float) -> RenderableType:
    """Draw the answers as a table, with the verdict below."""
    table = Table(box=box.SIMPLE_HEAD, header_style=DIM, border_style="grey37", pad_edge=False)
    table.add_column("")
    table.add_column("did it work?")
    table.add_column("numbers", style="grey70")
    for check in answers:
        mark = Text("✔", style="bold #2fbf71") if check.good else Text("✘", style="bold #ff5d5d")
        table.add_row(mark, check.question, check.numbers)
    bad = sum(not check.good for check in answers)
    verdict = Text(f"All {len(answers)} answers are yes, after {clock(took_s)}.", style="bold #2fbf71")
    if bad or not answers:
        verdict = Text(
            f"{bad} of {len(answers)} answers are no, after {clock(took_s)}.", style="bold #ff5d5d"
        )
    return Group(table, verdict)
