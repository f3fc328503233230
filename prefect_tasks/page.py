"""A rollout on the page of its run: an artifact for each thing worth seeing, and one for what it remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import orjson
from pydantic import BaseModel

from prefect_tasks.forgiving import forgiving, run_log
from prefect_tasks.memory import Memory
from prefect_tasks.reporting import Exhibit, Link, Text, Verdicts, Weight, slug
from prefect_tasks.scribe import scribe
from prefect_tasks.sheets import Sheet

__all__ = ["Page"]

# What the end of a rollout waits for at most, so that a Prefect that is away does not keep it.
_LAST_WORDS_S: Final = 8.0


class Page:
    """Shows and keeps, at once for who calls: the writing is the scribe's."""

    def __init__(self, service: str) -> None:
        stem = f"rollout-{slug(service)}"
        self._sheets: dict[type[Any], Sheet] = {
            Weight: Sheet("progress", f"{stem}-weight"),
            Verdicts: Sheet("table", f"{stem}-verdicts"),
            Link: Sheet("markdown", f"{stem}-service"),
            Text: Sheet("markdown", f"{stem}-report"),
        }

    def show(self, exhibits: Iterable[Exhibit]) -> None:
        """Put these on the page, each in place of the last of its kind."""
        with forgiving():
            for exhibit in exhibits:
                self._put(type(exhibit).__name__, partial(self._write, exhibit))

    def keep(self, memory: Memory, journal: BaseModel) -> None:
        """Write down what the rollout remembers."""
        self._put("Memory", lambda: memory.keep(journal))

    def finish(self) -> None:
        """Wait until all is written, for some seconds; what was given before is not lost with the process then."""
        if not scribe().finish(self, _LAST_WORDS_S):
            run_log().warning("Prefect has not taken all within %d s, the call goes on", _LAST_WORDS_S)

    def _put(self, name: str, write: Callable[[], None]) -> None:
        def forgiven() -> None:
            with forgiving():
                write()

        scribe().put(self, name, forgiven)

    def _write(self, exhibit: Exhibit) -> None:
        sheet = self._sheets[type(exhibit)]
        match exhibit:
            case Weight(_, percent, text):
                sheet.write(percent, text)
            case Verdicts(service, rows):
                sheet.write(orjson.dumps(rows).decode(), f"What was measured in the rollout of {service}")
            case Link(service, url):
                sheet.write(f"[{service}]({url})", f"Where {service} is in the control plane")
            case Text(service, markdown):
                sheet.write(markdown, f"How the rollout of {service} went")
