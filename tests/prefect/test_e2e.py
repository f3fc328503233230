"""A whole Prefect and a whole plane: what a worker's runs do to a service, and what is seen of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.prefect.server import House, until

pytestmark = [pytest.mark.prefect_e2e, pytest.mark.real, pytest.mark.timeout(600)]

JUDGED = "{steps: [50], bake: 20s, metrics: [{name: errors, provider: router}]}"
PROBED = """{steps: [50], bake: 3s, metrics: [
  {name: answers, provider: {probe: {path: /, requests: 5, expect: {status: 200}}}, interval: 2s, count: 1}
]}"""


def events(house: House, service: str) -> list[str]:
    """What happened to a service, by Prefect's events."""
    found = house.events(resource={"id": [f"anyservice.service.{service}"]})
    return [event["event"].removeprefix("anyservice.rollout.") for event in found]


def test_a_good_version_is_promoted_and_shows_itself(house: House) -> None:
    """The run completes; its artifacts have the weight, the numbers, the report and the link; its events tell each step."""
    run = house.start_run(house.serve("good", PROBED))
    assert house.ended(run)[0] == "Completed", house.lines(run)

    shown = house.artifacts(run)
    assert shown["weight"] == 100
    assert '"answers"' in shown["verdicts"]
    assert "good: succeeded" in shown["report"]
    assert "/services/service2_" in shown["service"]
    assert house.get(f"flow_runs/{run}")["name"] == "rollout good"
    until(lambda: "succeeded" in events(house, "good"), "the event of the promotion")
    assert events(house, "good")[:3] == ["started", "deploying", "step"]
    assert house.deploys("good") == 2
    assert house.weight("good") is None


def test_a_promotion_materialises_the_asset(house: House) -> None:
    """The server keeps which version serves, and which was before."""
    run = house.start_run(house.serve("asset", "{steps: [50], bake: 1s}"))
    assert house.ended(run)[0] == "Completed"

    def materialised() -> list[Any]:
        found = house.events(event={"name": ["prefect.asset.materialization.succeeded"]})
        return [one for one in found if one["resource"]["prefect.resource.id"].endswith("/asset")]

    (event,) = until(materialised, "the asset")
    primary = house.status("asset").primary_version
    assert primary is not None
    assert event["payload"]["version"] == primary.id
    assert event["resource"]["prefect.resource.id"].startswith("anyservice://127.0.0.1")


def test_a_version_that_errs_is_taken_back_and_the_run_fails_with_the_numbers(house: House) -> None:
    """Users' own requests condemn it; the run is red and says why, and the next one does not try this build again."""
    version = house.serve("errs", JUDGED, errors=2)
    with house.traffic("errs"):
        run = house.start_run(version)
        name, said = house.ended(run)

    assert name == "Failed"
    assert said.startswith("errs: rolled back: errors: canary ")
    assert house.weight("errs") is None
    assert house.status("errs").state == "RUNNING"
    assert "rolled back" in house.artifacts(run)["report"]
    assert '"canary' in house.artifacts(run)["verdicts"]
    until(lambda: events(house, "errs")[-1] == "rolled-back", "the event of the way back")

    name, said = house.ended(house.start_run(version))
    assert (name, house.deploys("errs")) == ("Failed", 2)
    assert "force" in said


def test_a_version_that_cannot_start_is_taken_back(house: House) -> None:
    """The error of its start is what the failed run says."""
    version = house.serve("broken", "{steps: [50], bake: 1s, progress_deadline: 40s}", broken=True)
    run = house.start_run(version)
    name, said = house.ended(run)
    assert name == "Failed"
    assert "a_module_that_is_not_there" in said
    assert house.weight("broken") is None


def test_two_rollouts_of_a_service_do_not_race(house: House) -> None:
    """While one is held at a gate the other waits, and says for whom; then it finds nothing left to do."""
    version = house.serve("raced", "{steps: [50], bake: 1s, promotion: {timeout: 1h}}")
    first = house.start_run(version)
    house.reaches(first, "Paused")
    second = house.start_run(version)
    until(lambda: any(first in line for line in house.lines(second)), "the name of the first run")
    assert house.weight("raced") == 50
    house.resume(first, decision="approve")

    assert [house.ended(run)[0] for run in (first, second)] == ["Completed", "Completed"]
    assert house.deploys("raced") == 2
