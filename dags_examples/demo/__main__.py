"""``python -m dags_examples.demo``: see the docstring of the package."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import time
import uuid
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from anyservice_core import AnyserviceError
from dags_examples.demo.board import Board
from dags_examples.demo.camera import Camera
from dags_examples.demo.checks import Check, exit_code
from dags_examples.demo.processes import Programs
from dags_examples.demo.scripts import plane_down, script
from dags_examples.demo.story import CHAPTERS, DemoError, Story
from dags_examples.demo.traffic import Record
from dags_examples.demo.view import Display, Lines, Screen, summary

INTERRUPTED = 130
LINE_WIDTH = 110


def main(argv: list[str] | None = None) -> int:
    """Run the demo; give 0 only if every answer is yes."""
    options = _options(argv)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else LINE_WIDTH)
    work = options.work.resolve()
    programs = Programs(work / "logs", work / "state", uuid.uuid4().hex)
    board = Board(CHAPTERS, Record())
    story = Story(work, script(work), board, programs, engine=options.engine, rate=options.rate)
    camera = Camera(board, options.record) if options.record else None
    _on_signals(_as_interrupt)
    began = time.monotonic()
    try:
        _clear(work, programs)
        answers = _tell(story, console, camera, plain=options.plain or not console.is_terminal)
    except KeyboardInterrupt:
        console.print("Everything was stopped.")
        return INTERRUPTED
    except (DemoError, AnyserviceError) as error:
        console.print(f"\n{error}", markup=False, style="bold red")
        return 1
    end = summary(answers, time.monotonic() - began)
    console.print(end)
    console.print(f"Logs of every part: {programs.logs}", style="grey54")
    if camera:
        camera.develop(end)
    return exit_code(answers)


def _tell(story: Story, console: Console, camera: Camera | None, *, plain: bool) -> list[Check]:
    """Play the story with a view on it. However it ends, nothing of it is left running."""
    display: Display = Lines(story.board, console) if plain else Screen(story.board, console)
    try:
        with display, camera or contextlib.nullcontext():
            return story.tell()
    except KeyboardInterrupt:
        console.print("\nInterrupted; stopping everything takes some seconds ...")
        raise
    finally:
        _on_signals(signal.SIG_IGN)  # a second Ctrl-C must not cut the cleaning up
        story.abandon()


def _on_signals(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _as_interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _clear(work: Path, programs: Programs) -> None:
    """End what an earlier run may have left, as after a kill -9, and begin with an empty folder."""
    if (work / "state").exists():
        programs.run(plane_down(work))
    mark = work / "run"
    if mark.exists():
        Programs(work / "logs", work / "state", mark.read_text()).sweep()
    for name in ("state", "services", "logs", "prefect", "airflow"):
        shutil.rmtree(work / name, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    mark.write_text(programs.mark)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make demo", description="A model rolled out step by step, and a bad one taken back."
    )
    parser.add_argument(
        "--work", type=Path, default=Path(".demo"), help="where everything is kept (default: .demo)"
    )
    parser.add_argument("--engine", choices=("ray", "process"), default="ray", help="what runs each version")
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second (default: 40)")
    parser.add_argument(
        "--record", type=Path, metavar="DIR", help="keep pictures of the screen there, as SVG"
    )
    parser.add_argument("--plain", action="store_true", help="lines instead of the live screen")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
