"""Approvals, orders and windows in whole rollouts, on a plane whose clock moves as they sleep."""

from collections.abc import Callable
from typing import Any

import pytest

from anyservice_core.errors import RolledBackError, RolloutError, RolloutPausedError
from anyservice_core.rollout import Journal, Outcome
from anyservice_core.rollout.orders import Order

TIMEOUT_S = 300.0


@pytest.fixture
def ordered(stage: Any) -> Callable[..., Order]:
    """Give an order as soon as ``when`` holds, at the time of the plane."""
    waiting: list[tuple[Callable[[], bool], dict[str, Any]]] = []
    given: list[Order] = []

    def orders(key: str) -> list[Order]:
        assert key == "rollout/rec"
        for entry in [entry for entry in waiting if entry[0]()]:
            waiting.remove(entry)
            given.append(Order(at=stage.plane.now, **entry[1]))
        return given

    stage.client.on_orders = orders

    def order(kind: str, when: Callable[[], bool] = lambda: True, **fields: Any) -> None:
        waiting.append((when, {"kind": kind, "by": "ann", **fields}))

    return order  # type: ignore[return-value]


def waits(stage: Any, gate: str, for_s: float = 0.0) -> Callable[[], bool]:
    """Whether the rollout has told that this gate holds it, and when it was told is so long ago."""
    return lambda: any(
        event.data.get("gate") == gate and stage.plane.now >= event.at + for_s for event in stage.events
    )


def at_weight(stage: Any, weight: int, after_s: float = 0.0) -> Callable[[], bool]:
    """Whether the canary has been held at this weight for a while."""
    return lambda: any(
        event.kind.value == "baking" and event.weight == weight and stage.plane.now >= event.at + after_s
        for event in stage.events
    )


def said(stage: Any) -> list[str]:
    return [event.message for event in stage.events]


APPROVED = [{"weight": 10, "bake": 20, "approval": {"timeout": "5m"}}, {"weight": 50, "bake": 20}]


def test_a_step_that_is_approved_goes_on(stage: Any, ordered: Any) -> None:
    """The order comes back in the report with its name and its reason; the wait is told once."""
    stage.first()
    ordered("approve", waits(stage, "10"), reason="looks fine")
    report = stage.run(plan={"steps": APPROVED})
    assert report.outcome is Outcome.SUCCEEDED
    assert [(o.kind.value, o.by, o.reason, o.gate, o.weight) for o in report.orders] == [
        ("approve", "ann", "looks fine", "10", 10)
    ]
    assert "approve by ann: looks fine" in said(stage)
    assert sum("waits for an approval" in message for message in said(stage)) == 1


def test_nobody_approves_and_the_canary_is_taken_back(stage: Any) -> None:
    """An approval that expires has an end; the build is not condemned for it, and the bake stays as long as it was."""
    stage.first()
    report = stage.fails(RolledBackError, plan={"steps": APPROVED})
    assert report["reason"] == "nobody approved the step at 10 % within 5m"
    assert TIMEOUT_S <= report["steps"][0]["held_s"] <= TIMEOUT_S + 10
    assert stage.journal is not None
    assert not stage.journal.known_bad


@pytest.mark.parametrize(
    ("on_timeout", "outcome"), [("pause", Outcome.PAUSED), ("promote", Outcome.SUCCEEDED)]
)
def test_an_approval_that_expires_does_what_the_plan_says(
    stage: Any, on_timeout: str, outcome: Outcome
) -> None:
    """Pause and promote are the other ends."""
    stage.first()
    steps = [{**APPROVED[0], "approval": {"timeout": "5m", "on_timeout": on_timeout}}, APPROVED[1]]
    if outcome is Outcome.PAUSED:
        report = stage.fails(RolloutPausedError, plan={"steps": steps})
        assert report["pause"] == "approval"
    else:
        assert stage.run(plan={"steps": steps}).outcome is outcome


def test_an_approval_that_comes_too_late_does_not_count(stage: Any, ordered: Any) -> None:
    """Its time is when it was given, not when it was read."""
    stage.first()
    ordered("approve", waits(stage, "10", TIMEOUT_S + 1))
    stage.client.on_orders, late = None, stage.client.on_orders
    assert late is not None
    assert "nobody approved" in stage.fails(RolledBackError, plan={"steps": APPROVED})["reason"]


def test_an_approval_in_time_counts_although_nobody_watched(stage: Any, ordered: Any) -> None:
    """The worker was away when it was given, and came back after the timeout."""
    stage.first()
    asked_at: list[float] = []

    def away() -> bool:
        if waits(stage, "10")() and not asked_at:
            asked_at.append(stage.plane.now)
            stage.plane.advance(2 * TIMEOUT_S)
        return False

    ordered("approve", away)
    stage.client.on_orders, inner = (
        lambda key: [*inner(key), *(Order(kind="approve", at=at + 60) for at in asked_at)],
        stage.client.on_orders,
    )
    assert stage.run(plan={"steps": APPROVED}).outcome is Outcome.SUCCEEDED


def test_an_approval_may_come_before_it_is_asked_for(stage: Any, ordered: Any) -> None:
    """Who has seen enough need not stay up for the bake."""
    stage.first()
    ordered("approve", at_weight(stage, 10))
    assert stage.run(plan={"steps": APPROVED}).outcome is Outcome.SUCCEEDED
    assert not waits(stage, "10")()


def test_the_last_step_and_the_promotion_are_two_approvals(stage: Any, ordered: Any) -> None:
    """One yes opens one gate."""
    stage.first()
    ordered("approve", waits(stage, "10"))
    ordered("approve", waits(stage, "promotion"))
    report = stage.run(plan={"steps": [APPROVED[0]], "promotion": True})
    assert report.outcome is Outcome.SUCCEEDED
    assert [order.gate for order in report.orders] == ["10", "promotion"]


def test_a_canary_that_fails_behind_a_closed_gate_is_taken_back(stage: Any) -> None:
    """Gates hold what goes forward, never the way back."""
    stage.first()

    def sicken(event: Any) -> None:
        stage.hear(event)
        if getattr(event, "data", {}).get("gate") == "10":
            stage.plane.send_traffic(100, errors={stage.version(): 0.5})

    stage.client.on_report = sicken
    assert "errors" in stage.fails(RolledBackError, plan={"steps": APPROVED})["reason"]


def test_a_store_that_is_down_while_people_are_asked_ends_nothing(stage: Any, ordered: Any) -> None:
    """What cannot be measured now is asked again once the gate is open."""
    stage.first()

    def fail(event: Any) -> None:
        stage.hear(event)
        if getattr(event, "data", {}).get("gate") == "10":
            stage.plane.send_traffic(0.001)

    stage.client.on_report = fail
    ordered("approve", waits(stage, "10", 120))
    assert stage.run(plan={"steps": APPROVED, "on_inconclusive": "promote"}).outcome is Outcome.SUCCEEDED


def test_a_pause_holds_the_weight_until_it_is_resumed(stage: Any, ordered: Any) -> None:
    """Both are told, with who and why; the deadline stands still meanwhile."""
    stage.first()
    ordered("pause", at_weight(stage, 10), reason="big game tonight")
    ordered("resume", waits(stage, "pause", 2 * TIMEOUT_S))
    report = stage.run()
    assert report.outcome is Outcome.SUCCEEDED
    assert "paused by ann: big game tonight" in said(stage)
    assert 2 * TIMEOUT_S <= report.steps[0].held_s < 3 * TIMEOUT_S


def test_an_order_to_promote_goes_on_in_mid_bake(stage: Any, ordered: Any) -> None:
    """It ends the present step, and only that."""
    stage.first()
    ordered("promote", at_weight(stage, 10), reason="seen enough")
    report = stage.run(plan={"bake": "10m"})
    assert report.outcome is Outcome.SUCCEEDED
    assert [step.baked_s < 60 for step in report.steps] == [True, False]


def test_an_order_to_promote_in_full_leaves_out_the_rest(stage: Any, ordered: Any) -> None:
    """From 10 to 100 at once."""
    stage.first()
    ordered("promote-full", at_weight(stage, 10))
    report = stage.run(plan={"bake": "1h", "promotion": True})
    assert report.outcome is Outcome.SUCCEEDED
    assert [step.weight for step in report.steps] == [10]


def test_an_abort_takes_the_canary_back_and_condemns_nothing(stage: Any, ordered: Any) -> None:
    """The build may be rolled out again tomorrow."""
    stage.first()
    ordered("abort", at_weight(stage, 50), reason="wrong model")
    report = stage.fails(RolledBackError)
    assert report["reason"] == "aborted by ann: wrong model"
    assert stage.canary is None
    assert stage.journal is not None
    assert not stage.journal.known_bad


def test_an_abort_before_the_deploy_sends_nothing(stage: Any, ordered: Any) -> None:
    """There is nothing to take back, and nothing was done."""
    stage.first()
    ordered("pause")
    ordered("abort", waits(stage, "pause"))
    report = stage.fails(RolloutError)
    assert report["reason"] == "aborted by ann; nothing had been sent"
    assert stage.writes == []


def test_orders_of_an_earlier_rollout_are_not_this_ones(stage: Any, ordered: Any) -> None:
    """An old abort in the mailbox does not end what begins today."""
    stage.first()
    old = Order(kind="abort", at=stage.plane.now - 1)
    stage.client.on_orders = lambda _: [old, {"kind": "nonsense"}, "no order at all"]
    assert stage.run().outcome is Outcome.SUCCEEDED


def test_a_rollout_starts_when_its_window_opens(stage: Any) -> None:
    """Nothing is sent before; the wait names the time."""
    stage.first()
    at = stage.plane.now
    minute = int((at // 60 + 5) % 60)
    hour = int((at + 5 * 60) // 3600 % 24)
    window = {"kind": "allow", "schedule": f"{minute} {hour} * * *", "duration": "1h", "actions": ["start"]}
    report = stage.run(plan={"windows": [window]})
    assert report.outcome is Outcome.SUCCEEDED
    assert report.steps[0].seen_at - at >= 4 * 60
    assert any("the deploy waits for its time" in message for message in said(stage))


def test_a_closed_window_holds_the_weight_and_a_person_may_override_it(stage: Any, ordered: Any) -> None:
    """The override is in the report with its reason."""
    stage.first()
    window = {
        "kind": "deny",
        "schedule": "* * * * *",
        "duration": "1d",
        "actions": ["promote"],
        "reason": "freeze",
    }
    ordered("promote", waits(stage, "window:promote"), reason="hotfix")
    report = stage.run(plan={"windows": [window]})
    assert report.outcome is Outcome.SUCCEEDED
    assert report.orders[0].reason == "hotfix"
    assert any("denied: freeze" in message for message in said(stage))


def test_without_steps_the_promotion_is_asked_for_before_the_deploy(stage: Any, ordered: Any) -> None:
    """A canary that begins at 100 has no later gate."""
    stage.first()
    ordered("approve", waits(stage, "promotion"))
    report = stage.run(plan={"steps": [], "promotion": {"timeout": "5m"}})
    assert report.outcome is Outcome.SUCCEEDED
    report = stage.fails(RolloutError, n=3, plan={"steps": [], "promotion": {"timeout": "5m"}})
    assert report["reason"] == "nobody approved the deploy within 5m; nothing had been sent"


def test_a_gate_and_its_clock_survive_the_process(stage: Any) -> None:
    """Killed while people are asked, the next run waits for the rest of their time, not for all of it again."""
    stage.first()

    class Killed(Exception):
        pass

    def kill(key: str, journal: Journal) -> None:
        stage.keep(key, journal)
        if journal.gate == "10":
            raise Killed

    stage.client.on_save = kill
    with pytest.raises(Killed):
        stage.run(plan={"steps": APPROVED})
    stage.client.on_save = stage.keep
    saved = Journal.model_validate_json(stage.journal.model_dump_json())  # type: ignore[union-attr]
    stage.plane.advance(150)
    report = stage.fails(RolledBackError, plan={"steps": APPROVED}, journal=saved)
    assert report["ended_at"] - report["steps"][0]["seen_at"] < TIMEOUT_S + 60


def test_what_was_ordered_before_a_pause_is_not_obeyed_again_after_it(stage: Any, ordered: Any) -> None:
    """The mailbox still holds it, but what follows a pause is asked anew; what comes in between counts."""
    stage.first()
    stage.plane.send_traffic(0.001)
    ordered("promote", at_weight(stage, 10))
    report = stage.fails(RolloutPausedError, plan={"bake": "1m"})
    assert [step["weight"] for step in report["steps"]] == [10, 50]
    stage.plane.advance(60)
    report = stage.fails(RolloutPausedError, plan={"bake": "1m"}, journal=stage.journal)
    assert report["orders"] == []
    stage.plane.advance(60)
    ordered("promote", reason="we looked at it")
    assert stage.run(plan={"bake": "1m"}, journal=stage.journal).outcome is Outcome.SUCCEEDED


def test_a_gate_that_holds_for_long_is_no_reason_to_count_at_every_look(stage: Any, ordered: Any) -> None:
    """The end of the bake is one more reading; then the plan's interval holds, however long people take."""
    stage.first()
    ordered("approve", waits(stage, "10", for_s=240))
    stage.run(plan={"steps": APPROVED})
    (asked,) = [event.at for event in stage.events if event.data.get("gate") == "10"]
    measured = [e for e in stage.events if e.kind.value == "measured" and asked < e.at <= asked + 240]
    assert 35 <= len(measured) <= 48  # every 5 seconds, looked for every 2
