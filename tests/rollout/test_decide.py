"""The decision table, in all of its cells and in the ones that have a story."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from anyservice_core.models.enums import ServiceState as S
from anyservice_core.models.enums import ServiceVersionState as V
from anyservice_core.rollout.actions import Deploy, Finish, Pause, PauseKind, Promote, Rollback, Shift, Wait
from anyservice_core.rollout.decide import decide, oddity
from anyservice_core.rollout.journal import LOOKS, Journal
from anyservice_core.rollout.observe import Observation, Seen
from anyservice_core.rollout.orders import Order, OrderKind
from anyservice_core.rollout.plan import RolloutPlan
from anyservice_core.rollout.report import Outcome, Phase, Verdict

PLAN = RolloutPlan.parse({"steps": [5, 25, 50], "bake": 60, "progress_deadline": 600})
BOLD = RolloutPlan.parse(
    {
        **PLAN.to_dict(),
        "on_failure": "pause",
        "on_inconclusive": "promote",
        "on_error": "rollback",
        "on_drift": "rollback",
    }
)
GATED = RolloutPlan.parse(
    {
        "steps": [{"weight": 5, "approval": {"timeout": "1h"}}, 25, {"weight": 50, "approval": True}],
        "bake": 60,
        "progress_deadline": 600,
        "promotion": True,
        "windows": [{"kind": "deny", "schedule": "* * * * *", "duration": "1d", "actions": ["advance"]}],
    }
)
PASSED = Verdict(phase=Phase.SUCCESSFUL, reason="fine")
FAILED = Verdict(phase=Phase.FAILED, reason="errors: worse")
UNSURE = Verdict(phase=Phase.INCONCLUSIVE, reason="too little")
BOTH_BAD = Verdict(phase=Phase.INCONCLUSIVE, reason="both", common_mode=True)
UNMEASURED = Verdict(phase=Phase.ERROR, reason="store down")
VERDICTS = (PASSED, FAILED, UNSURE, BOTH_BAD, UNMEASURED)
WRITES = (Deploy, Shift, Promote, Rollback)


def ours(weight: int, state: V = V.RUNNING) -> Seen:
    return Seen("v2", "r-2", state, weight, ours=True)


def baseline(state: V = V.RUNNING, weight: int = 95) -> Seen:
    return Seen("v1", "r-1", state, weight, ours=False)


def stranger(weight: int = 5, state: V = V.RUNNING) -> Seen:
    return Seen("v9", "r-9", state, weight, ours=False)


def at(state: S | None, primary: Seen | None = None, canary: Seen | None = None) -> Observation:
    return Observation(at=0.0, state=state, service_id="s", primary=primary, canary=canary)


def memory(**fields: Any) -> Journal:
    return Journal.model_validate({"rollout_key": "2", "version_name": "r-2", **fields})


def going(weight: int, **fields: Any) -> Journal:
    """The memory of a rollout that baked at ``weight`` long enough."""
    held = {"target": weight, "weight": weight, "seen_at": 0.0, "settled": True, "baked_s": 60.0}
    return memory(**{"started": True, "ours_seen": True, "baseline": "v1", **held, **fields})


# ── every cell ──────────────────────────────────────────────────────────────


def observations() -> Iterator[Observation]:
    primaries = [None] + [
        Seen(id, id, state, 95, ours=mine)
        for id, mine in (("v2", True), ("v1", False), ("v9", False))
        for state in (V.RUNNING, V.STARTING, V.UNHEALTHY, V.SYSTEM_FAILURE)
    ]
    canaries = [None, stranger()] + [
        ours(weight, state)
        for weight in (0, 5, 25, 50, 100)
        for state in (V.RUNNING, V.STARTING, V.UNHEALTHY, V.TERMINATED, V.UNKNOWN)
    ]
    states = (None, *(state for state in S if state not in {S.STARTING, S.UPDATING}))
    for state, primary, canary in itertools.product(states, primaries, canaries):
        yield at(state, primary, canary)


def journals() -> list[Journal]:
    moves = [(None, None), (5, None), (5, 5), (25, 5), (25, 25), (100, 50)]
    lives: list[dict[str, Any]] = [{}] + [
        {
            "started": True,
            "ours_seen": seen,
            "baseline": "v1",
            "intent": intent,
            "target": target,
            "weight": weight,
        }
        for seen, intent, (target, weight) in itertools.product((False, True), (None, "rollback"), moves)
    ]
    clocks = [
        {"settled": False},
        {"settled": False, "waited_s": 600.0},
        {"settled": True, "seen_at": 0.0},
        {"settled": True, "seen_at": 0.0, "baked_s": 60.0},
    ]
    sights = [{}, {"oddity": "odd", "oddity_looks": 1}, {"oddity": "odd", "oddity_looks": LOOKS}]
    return [
        memory(**life, **clock, **sight) for life, clock, sight in itertools.product(lives, clocks, sights)
    ]


def order(kind: str, gate: str | None = None, weight: int | None = None, at: float = 0.0) -> Order:
    return Order(kind=OrderKind(kind), gate=gate, weight=weight, at=at, id=f"{kind} {gate} {weight}")


# Nothing ordered; every gate open; each kind of order that lets pass or holds; asked an hour ago in vain.
ORDERED: list[dict[str, Any]] = [
    {},
    {"orders": tuple(order("approve", gate) for gate in ("5", "50", "promotion"))},
    {"orders": (order("promote", weight=5), order("promote", weight=25), order("promote", weight=50))},
    {"orders": (order("promote-full", weight=5),)},
    {"orders": (order("promote-full", weight=5), order("pause"))},
    {"orders": (order("promote-full", weight=5), order("abort"))},
    {"orders": (order("pause"), order("resume")), "gate": "5", "asked_at": {"5": 0.0}},
    {"asked_at": {"5": -3600.0}, "gate": "window:advance"},
]


def gated_journals() -> list[Journal]:
    """Those of rollouts that people have a say in: the lives and clocks of all, with what was ordered."""
    plain = [journal for journal in journals() if not journal.oddity_looks]
    return [journal.replace(**said) for journal, said in itertools.product(plain, ORDERED)]


QUIET = (None, S.UNKNOWN, S.TERMINATING, S.TERMINATED, S.ROLLING_BACK, S.SYSTEM_FAILURE)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("plan", [PLAN, BOLD, GATED], ids=["plain", "bold", "gated"])
def test_every_combination_has_a_decision_and_none_breaks_a_promise(plan: RolloutPlan) -> None:
    """9.9 million combinations of service, versions, weights, memory, verdict, orders and policy keep every promise."""
    count = 0
    memories = gated_journals() if plan is GATED else journals()
    for seen in observations():
        judged = VERDICTS if seen.state not in QUIET and seen.canary and seen.canary.ours else VERDICTS[1:2]
        for journal, verdict in itertools.product(memories, judged):
            check(plan, seen, journal, verdict, decide(plan, seen, journal, verdict))
            count += 1
    assert count == (5_647_200 if plan is GATED else 2_117_700)


def check(plan: RolloutPlan, seen: Any, journal: Journal, verdict: Verdict, action: Any) -> None:
    if isinstance(action, Wait | Pause):
        return
    kind = type(action)
    if kind is Finish:
        arrived = seen.primary is not None and seen.primary.ours and seen.primary.running
        assert arrived or action.outcome not in {Outcome.SUCCEEDED, Outcome.NO_CHANGE}
        return
    case = (plan.on_failure, seen, journal, verdict, action)
    assert kind in WRITES, case
    assert kind is Rollback or journal.hold is None, case
    assert seen.state not in {S.UNKNOWN, S.TERMINATING, S.ROLLING_BACK, S.SYSTEM_FAILURE}, case
    if kind is Deploy:
        assert not journal.started, case
        assert not journal.abort, case
        assert action.weight == plan.first_weight, case
        fresh = seen.absent and action.whole
        assert fresh or (seen.canary is None and seen.primary.running and seen.state is S.RUNNING), case
        return
    assert not seen.leaving, case
    assert seen.canary.ours, case
    turned_back = journal.intent == "rollback" or journal.abort is not None
    assert turned_back or not seen.canary.unknown, case
    assert turned_back or seen.canary.dead or seen.canary.weight < 100, case
    if kind is Rollback:
        helps = seen.primary is not None and not seen.primary.dead
        assert helps or turned_back, case
        return
    assert not turned_back, case
    assert journal.settled, case
    assert journal.oddity is None, case
    assert journal.weight == seen.canary.weight, case
    assert seen.canary.running, case
    assert not seen.primary.unhealthy, case
    assert not seen.primary.dead, case
    assert verdict.phase is not Phase.FAILED, case
    if journal.full:
        assert kind is Promote, case
        return
    following = plan.next_weight(seen.canary.weight)
    assert action == (Promote() if following is None else Shift(following)), case
    if journal.waved_on:
        return
    assert journal.baked_s >= 60.0, case
    unsure = verdict.phase is Phase.INCONCLUSIVE and not verdict.common_mode and plan is BOLD
    assert verdict.phase is Phase.SUCCESSFUL or unsure, case
    if plan is GATED:  # the window never lets it advance, and both gates of the last step want a yes
        assert kind is Promote, case
        assert journal.approval("50"), case
        assert journal.approval("promotion"), case


# ── cells with a story ──────────────────────────────────────────────────────

HELD = at(S.ROLLING_OUT, baseline(), ours(25))


def test_a_baked_and_passed_step_moves_to_the_next_weight() -> None:
    """The ladder is climbed one rung at a time."""
    assert decide(PLAN, HELD, going(25), PASSED) == Shift(50)


def test_the_last_step_is_followed_by_the_promotion() -> None:
    """100 is no step: it is its own, irreversible action."""
    assert decide(PLAN, at(S.ROLLING_OUT, baseline(), ours(50)), going(50), PASSED) == Promote()


def test_a_bake_is_waited_out_although_all_is_well() -> None:
    """A good verdict does not shorten the bake."""
    assert isinstance(decide(PLAN, HELD, going(25, baked_s=59.0), PASSED), Wait)


def test_a_failed_verdict_does_not_wait_for_the_bake() -> None:
    """Harm is ended at once."""
    assert decide(PLAN, HELD, going(25, baked_s=0.0), FAILED) == Rollback("errors: worse")


@pytest.mark.parametrize("verdict", [UNSURE, UNMEASURED, BOTH_BAD])
def test_what_is_not_known_holds_until_the_bake_is_over_and_then_pauses(verdict: Verdict) -> None:
    """Nothing advances on missing data, and nothing goes back on it either."""
    assert isinstance(decide(PLAN, HELD, going(25, baked_s=1.0), verdict), Wait)
    assert isinstance(decide(PLAN, HELD, going(25), verdict), Pause)


def test_an_order_to_promote_does_not_save_what_has_failed() -> None:
    """A failed verdict goes back, whoever asked for what."""
    for kind in ("promote", "promote-full"):
        held = going(25, baked_s=0.0, orders=(order(kind, weight=25),))
        assert decide(PLAN, HELD, held, FAILED) == Rollback("errors: worse")
        assert decide(PLAN, HELD, held, UNMEASURED) == (Shift(50) if kind == "promote" else Promote())


def test_an_approval_counts_for_its_own_step_only() -> None:
    """The yes at 5 % is none at 50 %."""
    seen = at(S.ROLLING_OUT, baseline(), ours(50))
    assert isinstance(decide(GATED, seen, going(50, orders=(order("approve", "5"),)), PASSED), Wait)


def test_two_bad_sides_pause_even_where_inconclusive_means_promote() -> None:
    """An incident of both versions is no reason to go on, nor to go back."""
    action = decide(BOLD, HELD, going(25), BOTH_BAD)
    assert isinstance(action, Pause)
    assert action.kind is PauseKind.COMMON_MODE


def test_a_measurement_that_is_tried_again_is_waited_for() -> None:
    """One time-out at the end of a bake does not call a person out of bed."""
    assert isinstance(decide(PLAN, HELD, going(25), UNSURE.model_copy(update={"pending": True})), Wait)


def test_a_first_deploy_comes_up_whole() -> None:
    """Without a version beside it there is nothing to be a canary of."""
    assert decide(PLAN, at(None), memory(), PASSED) == Deploy(5, whole=True)
    assert decide(PLAN, at(S.TERMINATED, baseline()), memory(), PASSED) == Deploy(5, whole=True)


def test_the_same_version_as_primary_is_no_change() -> None:
    """A nightly run of the same build writes nothing."""
    seen = at(S.RUNNING, Seen("v2", "r-2", V.RUNNING, 100, ours=True))
    assert decide(PLAN, seen, memory(), UNSURE) == Finish(
        Outcome.NO_CHANGE, "this very version is primary already"
    )


def test_a_service_that_someone_terminated_is_not_raised_again() -> None:
    """Terminate in mid-rollout means terminate."""
    action = decide(PLAN, at(S.TERMINATED, baseline()), going(25), PASSED)
    assert isinstance(action, Finish)
    assert action.outcome is Outcome.FAILED


def test_a_strangers_canary_is_left_alone() -> None:
    """Before we start we wait for it; after that it has superseded us."""
    seen = at(S.ROLLING_OUT, baseline(), stranger())
    assert isinstance(decide(PLAN, seen, memory(), FAILED), Wait)
    action = decide(PLAN, seen, going(25), FAILED)
    assert isinstance(action, Finish)
    assert action.outcome is Outcome.SUPERSEDED


def test_a_stranger_who_comes_right_after_our_promotion_does_not_spoil_it() -> None:
    """The next rollout may begin between two looks."""
    seen = at(S.ROLLING_OUT, Seen("v2", "r-2", V.RUNNING, 95, ours=True), stranger())
    action = decide(PLAN, seen, going(50, target=100), PASSED)
    assert isinstance(action, Finish)
    assert action.outcome is Outcome.SUCCEEDED


def test_a_canary_that_vanished_was_rolled_back_by_someone_else() -> None:
    """The platform or a person took it back: it is over, and not our doing."""
    seen = Observation(0.0, S.RUNNING, "s", baseline(weight=100), message="failed to start")
    action = decide(PLAN, seen, going(25), PASSED)
    assert action == Finish(Outcome.ROLLED_BACK, "by the platform or by someone else (failed to start)")


def test_our_own_rollback_ends_with_its_reason() -> None:
    """Whoever reads the end learns why."""
    seen = at(S.RUNNING, baseline(weight=100))
    action = decide(PLAN, seen, going(25, intent="rollback", reason="errors: worse"), PASSED)
    assert action == Finish(Outcome.ROLLED_BACK, "errors: worse")


def test_a_deploy_that_the_server_does_not_show_yet_is_waited_for() -> None:
    """Just after the deploy, the old picture is no proof of a rollback."""
    seen, fresh = at(S.RUNNING, baseline(weight=100)), memory(started=True, baseline="v1", target=5)
    assert isinstance(decide(PLAN, seen, fresh, UNSURE), Wait)
    late = fresh.model_copy(update={"oddity": "our version is not there", "oddity_looks": LOOKS})
    assert isinstance(decide(PLAN, seen, late, UNSURE), Finish)


def test_a_promotion_that_overtakes_a_rollback_is_told_as_what_it_is() -> None:
    """Too late is said, never glossed over."""
    seen = at(S.RUNNING, Seen("v2", "r-2", V.RUNNING, 100, ours=True))
    action = decide(PLAN, seen, going(50, intent="rollback", reason="errors: worse"), PASSED)
    assert isinstance(action, Finish)
    assert action.outcome is Outcome.FAILED
    assert "too late" in action.reason


def test_a_promotion_by_hand_is_a_success_that_names_the_hand() -> None:
    """Someone set 100 while we baked."""
    assert isinstance(decide(PLAN, at(S.ROLLING_OUT, baseline(), ours(100)), going(25), PASSED), Wait)
    action = decide(PLAN, at(S.RUNNING, Seen("v2", "r-2", V.RUNNING, 100, ours=True)), going(25), PASSED)
    assert isinstance(action, Finish)
    assert "by someone else" in action.reason


def test_a_weight_lowered_by_hand_pauses_and_is_not_pushed_back_up() -> None:
    """A person's brake holds."""
    for weight in (0, 5):
        seen = at(S.ROLLING_OUT, baseline(), ours(weight))
        held = going(25)
        for _ in range(LOOKS - 1):
            held = held.look(PLAN, seen).note(oddity(PLAN, seen, held))
            assert isinstance(decide(PLAN, seen, held, PASSED), Wait)
        held = held.look(PLAN, seen).note(oddity(PLAN, seen, held))
        action = decide(PLAN, seen, held, PASSED)
        assert isinstance(action, Pause)
        assert action.kind is PauseKind.DRIFT


def test_a_weight_off_the_plan_never_jumps_ahead() -> None:
    """An unknown weight is in transit until it stays; then it is drift."""
    seen = at(S.ROLLING_OUT, baseline(), ours(37))
    action = decide(PLAN, seen, going(25, oddity="the canary is at 37 %", oddity_looks=1), PASSED)
    assert isinstance(action, Wait)


def test_a_weight_on_its_way_up_is_not_drift() -> None:
    """Load balancers pass through weights that nobody asked for."""
    held = going(25, target=50, settled=False)
    assert oddity(PLAN, at(S.ROLLING_OUT, baseline(), ours(31)), held) is None
    assert isinstance(decide(PLAN, at(S.ROLLING_OUT, baseline(), ours(31)), held, PASSED), Wait)


def test_a_weight_that_is_never_reached_ends_in_a_rollback() -> None:
    """No capacity, no image: the deadline decides."""
    seen = at(S.ROLLING_OUT, baseline(), ours(0, V.STARTING))
    journal = memory(started=True, ours_seen=True, baseline="v1", target=5, waited_s=600.0)
    assert isinstance(decide(PLAN, seen, journal, UNSURE), Rollback)


def test_a_sick_primary_pauses_since_going_back_would_not_help() -> None:
    """Not even a failed verdict sends users to a version that is worse off."""
    seen = at(S.ROLLING_OUT, baseline(V.UNHEALTHY), ours(25))
    brief, lasting = ({"oddity": "sick", "oddity_looks": looks} for looks in (1, LOOKS))
    assert isinstance(decide(PLAN, seen, going(25, **brief), FAILED), Wait)
    action = decide(PLAN, seen, going(25, **lasting), FAILED)
    assert isinstance(action, Pause)
    assert action.kind is PauseKind.PRIMARY_UNHEALTHY


def test_a_dead_canary_is_taken_back() -> None:
    """There is nothing to wait for."""
    assert isinstance(
        decide(PLAN, at(S.ROLLING_OUT, baseline(), ours(25, V.SYSTEM_FAILURE)), going(25), PASSED), Rollback
    )


def test_without_steps_the_canary_gets_all_at_once() -> None:
    """An empty plan still waits for health and knows how it ended."""
    bare = RolloutPlan.parse({"steps": []})
    assert decide(bare, at(S.RUNNING, baseline(weight=100)), memory(), PASSED) == Deploy(100)


def test_an_edited_plan_maps_the_present_weight_onto_its_steps() -> None:
    """A weight that we set ourselves stays ours when the plan changes, and the next one is above it."""
    edited = RolloutPlan.parse({"steps": [10, 40], "bake": 60})
    seen = at(S.ROLLING_OUT, baseline(), ours(25))
    assert oddity(edited, seen, going(25)) is None
    assert decide(edited, seen, going(25), PASSED) == Shift(40)


def test_a_multi_version_service_is_refused() -> None:
    """There is no one canary in it."""
    seen = Observation(0.0, S.RUNNING, "s", multi_version=True)
    assert isinstance(decide(PLAN, seen, memory(), PASSED), Finish)


UNREACHED = memory(waited_s=600.0)
LATE = {"waited_s": 600.0}


@pytest.mark.parametrize(
    ("seen", "journal", "verdict", "kind"),
    [
        (at(S.UNKNOWN), memory(), UNSURE, Wait),
        (at(S.UNKNOWN), UNREACHED, UNSURE, Finish),
        (at(S.TERMINATING, baseline()), memory(), UNSURE, Wait),
        (at(S.TERMINATING, baseline()), UNREACHED, UNSURE, Pause),
        (at(S.TERMINATED), memory(started=True), UNSURE, Wait),
        (at(S.ROLLING_BACK, baseline(), ours(5)), going(5), UNSURE, Wait),
        (at(S.ROLLING_BACK, baseline(), ours(5)), going(5, **LATE), UNSURE, Pause),
        (at(S.SYSTEM_FAILURE, baseline()), memory(), UNSURE, Pause),
        (at(S.RUNNING), memory(), UNSURE, Wait),
        (at(S.RUNNING), UNREACHED, UNSURE, Finish),
        (at(S.STARTING, Seen("v2", "r-2", V.UNHEALTHY, 100, ours=True)), going(5), FAILED, Finish),
        (at(S.STARTING, Seen("v2", "r-2", V.STARTING, 100, ours=True)), going(5), UNSURE, Wait),
        (at(S.RUNNING, stranger(100)), going(5), UNSURE, Finish),
        (at(S.UNHEALTHY, baseline(V.UNHEALTHY)), memory(), UNSURE, Wait),
        (at(S.UNHEALTHY, baseline(V.UNHEALTHY)), UNREACHED, UNSURE, Pause),
        (at(S.ROLLING_OUT, baseline(), stranger()), UNREACHED, UNSURE, Pause),
        (at(S.ROLLING_OUT, baseline(), ours(5)), going(5, intent="rollback", reason="x"), UNSURE, Rollback),
        (
            at(S.ROLLING_OUT, baseline(), ours(5)),
            going(5, intent="rollback", reason="x", **LATE),
            UNSURE,
            Pause,
        ),
        (at(S.ROLLING_OUT, baseline(V.TERMINATED), ours(5, V.TERMINATED)), going(5), UNSURE, Pause),
        (at(S.ROLLING_OUT, baseline(), ours(5, V.UNKNOWN)), going(5), UNSURE, Wait),
        (at(S.ROLLING_OUT, baseline(), ours(5, V.UNKNOWN)), going(5, **LATE), UNSURE, Pause),
        (at(S.ROLLING_OUT, baseline(), ours(100)), going(50, target=100, **LATE), UNSURE, Pause),
    ],
)
def test_a_sight_is_waited_out_until_the_deadline_and_then_ended(
    seen: Observation, journal: Journal, verdict: Verdict, kind: type
) -> None:
    """Each row of the table that waits, and what comes of waiting in vain."""
    assert isinstance(decide(PLAN, seen, journal, verdict), kind)


def test_what_the_plan_says_is_done_with_what_is_not_good() -> None:
    """Failed may pause, drift and errors may go back, and too little to tell may go on or back."""
    drifted = going(25, oddity="the canary is at 7 %", oddity_looks=LOOKS)
    careful = RolloutPlan.parse({**PLAN.to_dict(), "on_inconclusive": "rollback"})
    assert isinstance(decide(BOLD, HELD, going(25), FAILED), Pause)
    assert isinstance(decide(BOLD, HELD, drifted, PASSED), Rollback)
    assert isinstance(decide(BOLD, HELD, going(25), UNMEASURED), Rollback)
    assert decide(BOLD, HELD, going(25), UNSURE) == Shift(50)
    assert isinstance(decide(careful, HELD, going(25), UNSURE), Rollback)


@pytest.mark.parametrize("primary", [None, baseline(V.UNHEALTHY), baseline(V.SYSTEM_FAILURE)])
def test_a_primary_that_is_not_well_is_an_oddity_that_must_last(primary: Seen | None) -> None:
    """One look at it ends nothing; it is counted."""
    odd = oddity(PLAN, at(S.ROLLING_OUT, primary, ours(25)), going(25))
    assert odd is not None
    assert "the primary version is" in odd
