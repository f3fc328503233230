"""A whole Prefect and a whole plane: what a worker's runs do to a service, and what is seen of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.prefect.server import House, until

pytestmark = [pytest.mark.prefect_e2e, pytest.mark.real, pytest.mark.timeout(600)]

JUDGED = "{steps: [50], bake: 8s, metrics: [{name: errors, provider: router}]}"


def events(house: House, service: str) -> list[str]:
    """What happened to a service, by Prefect's events."""
    found = house.events(resource={"id": [f"anyservice.service.{service}"]})
    return [event["event"].removeprefix("anyservice.rollout.") for event in found]


def test_a_good_version_is_promoted_and_shows_itself(house: House) -> None:
    """The run completes; its artifacts have the weight, the numbers, the report and the link; its events tell each step."""
    version = house.serve("good", JUDGED)
    with house.traffic("good", per_s=120):
        run = house.start_run(version)
        assert house.ended(run) == ("Completed", "All states completed.")

    shown = house.artifacts(run)
    assert shown["weight"] == 100
    assert '"canary_requests"' in shown["verdicts"] or '"canary requests"' in shown["verdicts"]
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
    """Users' own requests condemn it; the version before serves on, and the run is red and says why in one line."""
    version = house.serve("errs", JUDGED.replace("8s", "20s"), errors=2)
    with house.traffic("errs"):
        run = house.start_run(version)
        name, said = house.ended(run)

    assert name == "Failed"
    assert said.startswith("errs: rolled back: errors: canary ")
    assert house.weight("errs") is None
    assert house.status("errs").state == "RUNNING"
    assert "rolled back" in house.artifacts(run)["report"]
    until(lambda: events(house, "errs")[-1] == "rolled-back", "the event of the way back")


def test_a_version_that_cannot_start_is_taken_back(house: House) -> None:
    """The error of its start is what the failed run says, and a second run does not try it again."""
    version = house.serve("broken", "{steps: [50], bake: 1s, progress_deadline: 40s}", broken=True)
    run = house.start_run(version)
    name, said = house.ended(run)
    assert name == "Failed"
    assert "a_module_that_is_not_there" in said
    assert house.weight("broken") is None

    again = house.start_run(version)
    assert house.ended(again)[0] == "Failed"
    assert house.deploys("broken") == 2


def test_two_rollouts_of_a_service_do_not_race(house: House) -> None:
    """Of two runs at once one rolls out; the other waits, says for whom, and finds nothing left to do."""
    version = house.serve("raced", "{steps: [50], bake: 8s}")
    first, second = house.start_run(version), house.start_run(version)
    assert [house.ended(run)[0] for run in (first, second)] == ["Completed", "Completed"]
    lines = [*house.lines(first), *house.lines(second)]
    assert sum("waiting for up to" in line for line in lines) == 1
    assert house.deploys("raced") == 2
