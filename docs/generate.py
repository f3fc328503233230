"""Write the pages that are made from the code; with ``--check``, say which of them are out of date instead.

python docs/generate.py [--check]
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
sys.path.insert(0, str(Path(__file__).parent))

from pages import api, cli, decisions, errors, lifecycle, plan, plane_api, settings  # noqa: E402  # found by the line above

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "reference/api.md": api.page,
    "reference/cli.md": cli.page,
    "reference/errors.md": errors.page,
    "reference/settings.md": settings.page,
    "reference/plan.md": plan.page,
    "reference/plane_api.md": plane_api.page,
    "explain/decisions.md": decisions.page,
    "images/decisions.svg": decisions.picture,
    "explain/lifecycle.md": lifecycle.page,
    "images/lifecycle.svg": lifecycle.picture,
}


def stale() -> dict[str, str]:
    """Pages that are not what the code says now, each with the difference."""
    found = {}
    for name, make in PAGES.items():
        file, wanted = FOLDER / name, make()
        written = file.read_text(encoding="utf-8") if file.exists() else ""
        if written != wanted:
            diff = difflib.unified_diff(
                written.splitlines(), wanted.splitlines(), name, "the code", lineterm=""
            )
            found[name] = "\n".join(diff)
    return found


def write() -> None:
    for name, make in PAGES.items():
        (FOLDER / name).parent.mkdir(exist_ok=True)
        (FOLDER / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        write()
    elif behind := stale():
        print("\n".join(behind.values()))
        sys.exit("Run: python docs/generate.py")
