"""A whole Prefect and a whole plane: people approve, refuse and cancel."""

from __future__ import annotations

import pytest

from tests.prefect.server import House, until

pytestmark = [pytest.mark.prefect_e2e, pytest.mark.real, pytest.mark.timeout(600)]

ASKING = "{steps: [50], bake: 1s, promotion: {timeout: 1h}}"
LONG = "{steps: [50], bake: 10m}"


@pytest.mark.parametrize(
    ("decision", "end", "versions"), [("approve", "Completed", "second"), ("roll back", "Failed", "first")]
)
def test_a_paused_run_goes_on_with_the_answer(house: House, decision: str, end: str, versions: str) -> None:
    """The process that watches takes the typed answer from the API, and the report has who and why."""
    name = f"asked-{versions}"
    run = house.start_run(house.serve(name, ASKING))
    house.reaches(run, "Paused")
    house.resume(run, decision=decision, by="ann", reason="seen the graphs")

    assert house.ended(run)[0] == end
    report = house.artifacts(run)["report"]
    assert "ann" in report
    assert "seen the graphs" in report
    assert house.weight(name) is None
    assert house.deploys(name) == 2


def test_an_answer_of_another_type_is_refused(house: House) -> None:
    """The server holds the input against the form; the run stays paused, the canary where it is."""
    run = house.start_run(house.serve("refused", ASKING))
    house.reaches(run, "Paused")
    answer = house.resume(run, decision="banana")
    assert answer["status"] == "REJECT"
    assert "banana" in answer["details"]["reason"]
    assert house.state_of(run)["name"] == "Paused"
    assert house.weight("refused") == 50
    house.resume(run, decision="roll back")
    assert house.ended(run)[0] == "Failed"


def test_a_suspended_run_is_taken_up_by_the_worker(house: House) -> None:
    """Nothing runs while it waits; the answer starts another process, which adopts the canary."""
    run = house.start_run(house.serve("suspended", ASKING), "with-approval", gates="suspend")
    house.reaches(run, "Suspended")
    until(lambda: not [*house.processes(run)], "the end of the process")
    assert house.weight("suspended") == 50
    house.resume(run, decision="approve", by="ann")

    assert house.ended(run)[0] == "Completed"
    assert house.deploys("suspended") == 2


@pytest.mark.parametrize(("on_kill", "weight"), [("leave", 50), ("rollback", None)])
def test_a_cancelled_run_does_what_was_chosen(house: House, on_kill: str, weight: int | None) -> None:
    """Cancelled as the UI does it, the service is left with its canary, or all its traffic goes back."""
    name = f"cancelled-{on_kill}"
    run = house.start_run(house.serve(name, LONG), on_kill=on_kill)
    until(lambda: house.weight(name) == 50, "the canary")
    house.set_state(run, type="CANCELLING")

    assert house.ended(run)[0] == "Cancelled"
    said = "Run the same rollout again" if weight else "taken back"
    until(lambda: any(said in line for line in house.lines(run)), "the line in the log")
    until(lambda: house.weight(name) == weight, "what was chosen", within_s=30)
