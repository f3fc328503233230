"""How many requests each verb makes, both clients, warm: user, cloud and the like have been asked for already."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from side_by_side import official_python

from anyservice_core import ServiceConfig
from anyservice_core.testing import FakePlane
from tests.official.clients import Official, Ours, official_environment
from tests.official.recording import RecordingServer
from tests.official.states import APP, V2, rolling_out, running, terminated

NEW = {"name": "svc", "applications": [APP]}
IN_PLACE = {"config": V2, "in_place": True}
SVC = {"name": "svc"}
LISTED = 57


def many(plane: FakePlane) -> None:
    """Services enough for two pages."""
    for number in range(LISTED):
        running(plane, name=f"svc-{number}", wait=False)


def verbs(folder: str) -> dict[str, tuple[str, Callable[[FakePlane], None], dict[str, Any]]]:
    local = {"config": {**NEW, "working_dir": folder}}
    return {
        "deploy, new": ("deploy", lambda _: None, {"config": NEW}),
        "deploy, new, with a local folder": ("deploy", lambda _: None, local),
        "deploy, a canary": ("deploy", running, {"config": V2, "canary_percent": 20}),
        "deploy, in place": ("deploy", running, IN_PLACE),
        "status": ("status", running, SVC),
        "status in a rollout": ("status", rolling_out, SVC),
        "wait for a state that is there": ("wait", running, {**SVC, "state": "RUNNING"}),
        "rollback": ("rollback", rolling_out, SVC),
        "terminate": ("terminate", running, SVC),
        "archive": ("archive", terminated, SVC),
        "delete": ("delete", terminated, SVC),
        f"list, {LISTED} services": ("list", many, {}),
        f"list, 1 of {LISTED} services": ("list", many, {"max_items": 1}),
    }


def theirs(official: Official, call: str, arguments: Mapping[str, Any]) -> None:
    answer = official.call(call, dict(arguments))
    if "error" in answer:
        raise RuntimeError(f"{call}: {answer}")


def ours(client: Ours, call: str, arguments: Mapping[str, Any]) -> None:
    given = dict(arguments)
    if "config" in given:
        given["config"] = ServiceConfig(**given["config"])
    value = getattr(client, call)(**given)
    if call == "list":
        list(value)


def main() -> None:
    python = official_python()
    with RecordingServer() as server, tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "app"
        folder.mkdir()
        (folder / "main.py").write_text("app = 1\n")
        log = Path(home) / "log.txt"
        official = Official(python, official_environment(server.host, server.token, Path(home)), log)
        try:
            with Ours(server.host, server.token) as client:
                count(server, [partial(theirs, official), partial(ours, client)], str(folder))
        finally:
            official.close()


def count(
    server: RecordingServer, clients: list[Callable[[str, Mapping[str, Any]], None]], folder: str
) -> None:
    for client in clients:  # what is asked once in a lifetime
        server.fresh(running)
        client("status", SVC)
    print(f"{'':36}{'anyscale':>10}{'anyservice':>12}")
    for says, (call, before, arguments) in verbs(folder).items():
        asked = []
        for client in clients:
            server.fresh(before)
            client(call, arguments)
            asked.append(len(server.requests))
        print(f"{says:36}{asked[0]:10}{asked[1]:12}")


if __name__ == "__main__":
    main()
