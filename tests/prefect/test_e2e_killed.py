"""A whole Prefect and a whole plane: what becomes of a rollout when processes die under it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time

import pytest

from anyservice_core.plane import control
from tests.prefect.server import House, until

pytestmark = [pytest.mark.prefect_e2e, pytest.mark.real, pytest.mark.timeout(900)]


def kill(house: House, run: str, after_s: float = 0.0) -> bool:
    """SIGKILL the process of a run some time after it came up; give whether that was in time.

    A worker tells of a death twice: when it sees it, and when the hooks for that have run. Whoever retries in between
    has a run that is called crashed once more, and that nobody takes up.
    """
    process, told = house.flow_process(run), house.deaths()
    time.sleep(after_s)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    crashed = house.ended(run)[0] == "Crashed"
    if crashed:
        until(lambda: house.deaths() > told, "the last word of the worker")
    return crashed


def retry(house: House, run: str) -> None:
    """Do what the button in the UI does."""
    house.run("prefect", "flow-run", "retry", run)


@pytest.mark.parametrize("seed", range(4))
def test_a_run_that_is_killed_over_and_over_deploys_once(house: House, seed: int) -> None:
    """SIGKILL at three random moments, from before the deploy to the promotion: the retries promote one version."""
    name, dice = f"killed-{seed}", random.Random(seed)
    run = house.start_run(house.serve(name, "{steps: [10, 50], bake: 3s}"))
    for _ in range(3):
        if not kill(house, run, dice.uniform(0.0, 9.0)):
            break
        retry(house, run)

    assert house.ended(run, within_s=300)[0] == "Completed", house.lines(run)
    assert house.deploys(name) == 2
    primary = house.status(name).primary_version
    assert primary is not None
    assert primary.weight == 100


@pytest.mark.parametrize(("on_kill", "weight"), [("leave", 50), ("rollback", None)])
def test_the_worker_does_what_was_chosen_for_a_crash(house: House, on_kill: str, weight: int | None) -> None:
    """The dead cannot: the worker calls the hook, which says how to go on, or takes the canary back."""
    name = f"crashed-{on_kill}"
    run = house.start_run(house.serve(name, "{steps: [50], bake: 10m}"), on_kill=on_kill)
    until(lambda: house.weight(name) == 50, "the canary")
    assert kill(house, run)

    said = "Run the same rollout again" if weight else "taken back"
    until(lambda: any(said in line for line in house.lines(run)), "the line in the log")
    until(lambda: house.weight(name) == weight, "what was chosen", within_s=30)


def test_a_server_that_is_away_in_mid_rollout_is_borne_with(house: House) -> None:
    """Prefect's server restarts while the canary bakes: the rollout goes on, and its run ends as it should."""
    run = house.start_run(house.serve("serverless", "{steps: [10, 50], bake: 15s}"))
    until(lambda: house.weight("serverless") == 10, "the canary")
    house.end("server")
    until(lambda: house.weight("serverless") == 50, "the next step, without a server")
    house.start_server()

    assert house.ended(run, within_s=300)[0] == "Completed", house.lines(run)
    assert house.deploys("serverless") == 2


def test_a_plane_that_is_away_when_a_run_starts_is_waited_for(house: House) -> None:
    """The run tries again and says so; with the plane's return it rolls out, and nothing was deployed twice."""
    version = house.serve("early", "{steps: [50], bake: 1s}")
    os.kill((control.read_record(house.state) or {})["pid"], signal.SIGKILL)
    try:
        run = house.start_run(version)
        until(lambda: any("Retry 1/5" in line for line in house.lines(run)), "the retry")
    finally:
        house.start_plane()

    assert house.ended(run)[0] == "Completed", house.lines(run)
    assert house.deploys("early") == 2


def test_a_plane_that_restarts_in_mid_rollout_is_borne_with(house: House) -> None:
    """SIGKILL of the plane while the canary bakes: the rollout waits for it, and adopts what never stopped serving."""
    run = house.start_run(house.serve("planeless", "{steps: [50], bake: 15s}"))
    until(lambda: house.weight("planeless") == 50, "the canary")
    os.kill((control.read_record(house.state) or {})["pid"], signal.SIGKILL)
    time.sleep(3)
    house.start_plane()

    assert house.ended(run, within_s=300)[0] == "Completed", house.lines(run)
    assert house.deploys("planeless") == 2
