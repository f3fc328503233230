"""Pictures of a run, for those who were not there: the screen as SVG, once for each weight, and the end."""

from __future__ import annotations

import io
import threading
from pathlib import Path

from rich.console import Console, Group, RenderableType

from dags_examples.demo.board import Board, Moment
from dags_examples.demo.view import draw

__all__ = ["Camera"]

WIDTH, HEIGHT = 112, 36
LOOK_EVERY_S = 0.5
SETTLED_S = 6.0  # a weight is pictured after it has been held for so long


class Camera:
    """While entered, takes a picture into ``folder`` of each canary's weight: ``v2-at-10.svg`` and so on."""

    def __init__(self, board: Board, folder: Path) -> None:
        self._board, self._folder = board, folder
        self._seen: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def __enter__(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            moment = self._board.moment()
            scene = _scene(moment)
            since = self._seen.setdefault(scene, moment.elapsed_s) if scene else moment.elapsed_s
            if moment.elapsed_s - since >= SETTLED_S:
                self._seen[scene] = float("inf")
                self._take(scene, draw(moment, width=WIDTH, height=HEIGHT))

    def develop(self, end: RenderableType) -> None:
        """Take the last picture: how it ended, with the answers below."""
        self._take("the-end", Group(draw(self._board.moment(), width=WIDTH, height=HEIGHT), end))

    def _take(self, name: str, picture: RenderableType) -> None:
        console = Console(
            file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, color_system="truecolor"
        )
        console.print(picture)
        console.save_svg(str(self._folder / f"{name}.svg"), title="make demo")


def _scene(moment: Moment) -> str:
    """Name the scene: the canary and its weight; nothing while there is none."""
    look = moment.look
    weight = look.weights.get(look.canary or "", 0) if look else 0
    return f"{look.canary}-at-{weight}" if look and weight else ""
