"""What a rollout remembers, and how it counts time."""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from anyservice_core.models.enums import ServiceState as S
from anyservice_core.models.enums import ServiceVersionState as V
from anyservice_core.rollout import Journal, Outcome, RolloutPlan
from anyservice_core.rollout.journal import MAX_GAP_S
from anyservice_core.rollout.observe import Observation, Seen
from anyservice_core.rollout.report import Phase, Verdict

PLAN = RolloutPlan.parse({"steps": [5, 25, 50], "bake": 60})


def seen(at: float, weight: int | None, state: V = V.RUNNING, service: S = S.ROLLING_OUT) -> Observation:
    canary = None if weight is None else Seen("v2", "r-2", state, weight, ours=True)
    return Observation(
        at, service, "s", Seen("v1", "r-1", V.RUNNING, 100 - (weight or 0), ours=False), canary
    )


def journal(**fields: Any) -> Journal:
    return Journal.model_validate({"rollout_key": "2", "version_name": "r-2", **fields})


def looked(*looks: Observation, start: Journal | None = None) -> Journal:
    memory = start or journal(target=5)
    for look in looks:
        memory = memory.look(PLAN, look)
    return memory


def test_the_bake_begins_when_the_weight_is_seen() -> None:
    """Not when it was asked for."""
    assert looked(seen(0, 0), seen(10, 0), seen(20, 5)).baked_s == 0
    assert looked(seen(0, 0), seen(10, 0), seen(20, 5), seen(30, 5)).baked_s == 10


def test_time_in_which_the_canary_was_not_well_is_not_baked() -> None:
    """Neither the look that found it sick nor the one that found it well again adds up."""
    memory = looked(seen(0, 5), seen(10, 5), seen(20, 5, V.UNHEALTHY), seen(30, 5), seen(40, 5))
    assert (memory.baked_s, memory.weight) == (20, 5)


def test_a_new_weight_begins_with_an_empty_account() -> None:
    """Evidence is per step; only how errors scatter is carried on."""
    memory = looked(seen(0, 5), seen(30, 5)).asked(25)
    memory = memory.look(PLAN, seen(32, 5))
    assert not memory.settled
    memory = memory.look(PLAN, seen(34, 25))
    assert (memory.weight, memory.baked_s, memory.tallies) == (25, 0, {})


@pytest.mark.parametrize(("gate", "held_s"), [("5", 30), ("window:advance", 30), ("pause", 30), ("end", 0)])
def test_time_behind_a_gate_is_held_but_for_the_pause_between_two_parts(gate: str, held_s: float) -> None:
    """People and windows hold it; the next part only has to begin."""
    memory = looked(seen(0, 5), seen(60, 5)).at_gate(gate, 60)
    assert looked(seen(90, 5), start=memory).held_s == held_s


def test_an_absence_is_not_time() -> None:
    """A day between two looks counts for a minute."""
    assert looked(seen(0, 5), seen(86_400, 5)).baked_s == MAX_GAP_S


def test_a_clock_that_is_set_back_does_no_harm() -> None:
    """Time does not run backwards for the bake."""
    assert looked(seen(1000, 5), seen(0, 5), seen(10, 5)).baked_s == 10


def test_waiting_is_counted_until_a_weight_is_seen() -> None:
    """The progress deadline is one per change of weight."""
    memory = looked(seen(0, 0, V.STARTING), seen(40, 0, V.STARTING))
    assert memory.waited_s == 40
    assert memory.look(PLAN, seen(45, 5)).waited_s == 0


@given(st.lists(st.tuples(st.floats(-100, 10_000), st.sampled_from([None, 0, 5, 25, 50, 100])), max_size=12))
def test_it_never_bakes_longer_than_the_time_that_passed(steps: list[tuple[float, int | None]]) -> None:
    """Whatever is seen, and whatever the clock does."""
    now, passed, memory = 0.0, 0.0, journal(target=5)
    for step, weight in steps:
        now, passed = now + step, passed + max(0.0, step)
        memory = memory.look(PLAN, seen(now, weight))
        assert 0 <= memory.baked_s <= passed + 1e-6
        assert memory.weight in {None, 5, 25, 50}


@given(st.lists(st.sampled_from([0, 5, 7, 25, 50, 100]), max_size=10))
def test_the_step_never_goes_down(weights: list[int]) -> None:
    """A lowered weight is drift, not an earlier step."""
    memory, highest = journal(target=5), 0
    for at, weight in enumerate(weights):
        memory = memory.look(PLAN, seen(float(at), weight))
        assert (memory.weight or 0) >= highest
        highest = memory.weight or 0


def test_what_was_lost_is_found_again_on_the_server() -> None:
    """Without a journal, the canary tells that we have begun, and what we replace."""
    memory = looked(seen(0, 25), start=journal())
    assert (memory.started, memory.ours_seen, memory.baseline, memory.version) == (True, True, "v1", "v2")
    assert (memory.weight, memory.baked_s) == (25, 0)


@pytest.mark.parametrize("outcome", [Outcome.PAUSED, Outcome.SUCCEEDED, Outcome.ROLLED_BACK])
def test_after_an_end_everything_is_asked_anew(outcome: Outcome) -> None:
    """A pause keeps that we have begun; any other end begins a new rollout."""
    memory = looked(seen(0, 5), seen(10, 5)).replace(outcome=outcome, intent="rollback")
    again = memory.resumed(99.0)
    assert (again.outcome, again.weight, again.baked_s, again.intent) == (None, None, 0, None)
    assert again.started is (outcome is Outcome.PAUSED)


def test_a_step_is_written_down_once_however_often_it_is_closed() -> None:
    """A rollback that is asked for twice leaves one line."""
    memory, verdict = looked(seen(0, 5), seen(10, 5)), Verdict(phase=Phase.FAILED, reason="bad")
    assert len(memory.close_step(verdict).close_step(verdict).steps) == 1
