from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.effects import Reply, Request
from anyservice_core.errors import (
    AuthError,
    ConfigError,
    TransportError,
    UnavailableError,
    WaitFailedError,
    WaitTimeoutError,
)
from anyservice_core.models import ServiceState, ServiceStatus, ServiceVersionState, ServiceVersionStatus
from anyservice_core.models.config import ServiceConfig
from anyservice_core.operations.goals import (
    LONE_POLLS,
    UNHEALTHY_POLLS,
    Failed,
    Goal,
    Pending,
    Reached,
    judge,
)
from anyservice_core.operations.waiting import poll

CONFIG = ServiceConfig(name="recommender", applications=[{"import_path": "main:app"}])


def version(name: str = "v1", weight: int = 100, state: str = "RUNNING") -> ServiceVersionStatus:
    return ServiceVersionStatus(
        id=f"srv_{name}0000000",
        name=name,
        state=state,
        weight=weight,
        created_at="2026-01-01T00:00:00Z",
        config=CONFIG,
    )


def status(state: str = "RUNNING", primary=None, canary=None, error: str | None = None) -> ServiceStatus:
    return ServiceStatus(
        id="service2_1",
        name="recommender",
        state=state,
        query_url="",
        primary_version=primary or version(),
        canary_version=canary,
        error_message=error,
    )


def kind(verdict) -> str:
    return type(verdict).__name__.lower()


def test_running_is_running():
    """Without a version the state alone decides."""
    assert judge(status(), Goal.of()) == Reached()
    assert isinstance(judge(status("STARTING"), Goal.of()), Pending)


def test_several_states_may_do():
    """Any of them is the goal."""
    goal = Goal.of(["running", ServiceState.UNHEALTHY])
    assert judge(status("UNHEALTHY"), goal) == Reached()
    assert str(goal) == "RUNNING or UNHEALTHY"


@pytest.mark.parametrize("state", ["TERMINATING", "TERMINATED", "SYSTEM_FAILURE"])
def test_a_service_that_is_gone_will_not_run(state):
    """Waiting on would burn the whole timeout."""
    verdict = judge(status(state, error="no nodes"), Goal.of("RUNNING"))
    assert verdict == Failed(f"the service is {state} (no nodes)")


@pytest.mark.parametrize(
    ("state", "wanted"), [("TERMINATED", "reached"), ("TERMINATING", "pending"), ("RUNNING", "pending")]
)
def test_an_end_can_be_the_goal(state, wanted):
    """Who waits for TERMINATED does not fail for it."""
    assert kind(judge(status(state), Goal.of("TERMINATED"))) == wanted


@pytest.mark.parametrize(
    ("primary", "canary", "state", "weight", "wanted"),
    [
        (None, version("v2", 10), "ROLLING_OUT", 10, "reached"),
        (None, version("v2", 10), "RUNNING", 10, "reached"),
        (None, version("v2", 10, "STARTING"), "ROLLING_OUT", 10, "pending"),
        (None, version("v2", 5), "ROLLING_OUT", 10, "pending"),
        (None, version("v2", 10), "UPDATING", 10, "pending"),
        (None, version("v2", 100), "ROLLING_OUT", 100, "pending"),
        (None, version("v2", 100), "ROLLING_OUT", None, "pending"),
        (version("v2"), None, "RUNNING", 100, "reached"),
        (version("v2"), None, "RUNNING", None, "reached"),
        (version("v2"), None, "UPDATING", None, "pending"),
        (version("v2", 50), None, "RUNNING", None, "pending"),
        (version("v2", 90), version("v3", 10), "ROLLING_OUT", None, "pending"),
        (None, None, "RUNNING", None, "failed"),
        (None, None, "RUNNING", 10, "failed"),
        (None, version("v3", 10), "ROLLING_OUT", 10, "failed"),
        (None, version("v2", 10), "ROLLING_BACK", 10, "failed"),
        (None, version("v2", 10, "SYSTEM_FAILURE"), "ROLLING_OUT", 10, "failed"),
        (None, version("v2", 10), "TERMINATED", 10, "failed"),
        (None, version("v2", 10), "UNKNOWN", 10, "pending"),
        (version("v2"), None, "RUNNING", 10, "reached"),
        (version("v2"), None, "RUNNING", 0, "reached"),
        (version("v2", state="STARTING"), None, "STARTING", 10, "pending"),
        (version("v2", state="UNHEALTHY"), None, "RUNNING", 10, "pending"),
        (version("v2", 90), version("v3", 10), "ROLLING_OUT", 10, "pending"),
    ],
)
def test_success_means_my_version_at_my_weight(primary, canary, state, weight, wanted):
    """The service being RUNNING says nothing about v2."""
    seen = status(state, primary, canary)
    assert kind(judge(seen, Goal.of(version="v2", canary_weight=weight))) == wanted


def test_a_canary_needs_no_name():
    """A weight alone is about whichever version is the canary."""
    goal = Goal.of(canary_weight=10)
    assert judge(status("ROLLING_OUT", canary=version("v2", 10)), goal) == Reached()
    assert isinstance(judge(status(), goal), Pending)
    assert judge(status(), Goal.of(canary_weight=100)) == Reached()


def test_a_wait_says_what_is_in_its_way():
    """A canary that is another's, for instance."""
    seen = status("ROLLING_OUT", version("v1", 90), version("v2", 10))
    assert judge(seen, Goal.of(version="v1", canary_weight=10)) == Pending(
        "version 'v1' is the primary one, beside a canary"
    )


def test_a_canary_that_is_not_to_come_fails_a_wait_without_a_name(talk):
    """After a first deploy there is none, nor after a promotion or a rollback, and it would be waited for in vain."""
    with pytest.raises(WaitFailedError, match="there is no canary, version 'v1' has all the traffic"):
        talk.hold(waiting(looks(status()), Goal.of(canary_weight=10), timeout_s=600), [])
    assert len(talk.sleeps) == LONE_POLLS - 1


def test_a_canary_may_take_a_look_or_two_to_be_seen(hold):
    """Servers are not all at once."""
    canary = status("ROLLING_OUT", version("v1", 90), version("v2", 10))
    starting = status("STARTING")
    seen = [starting, starting, starting, status(), status(), starting, status(), canary]
    assert hold(waiting(looks(*seen), Goal.of(canary_weight=10), timeout_s=600)).result is canary


def test_a_canary_that_is_yet_to_be_deployed_can_be_waited_for(talk):
    """By the state that it brings."""
    goal = Goal.of("ROLLING_OUT", canary_weight=10)
    with pytest.raises(WaitTimeoutError):
        talk.hold(waiting(looks(status()), goal, timeout_s=60), [])


def test_a_version_goes_by_name_id_or_the_end_of_its_id():
    """Other tools show the last eight characters."""
    one = version("v1")
    assert all(one.is_called(text) for text in ("v1", one.id, one.id[-8:]))
    assert not one.is_called(one.id[-3:])


def test_unhealthy_with_a_reason_fails_when_it_stays():
    """Such states mend themselves often, so one look does not count."""
    ill = status("UNHEALTHY", error="ImportError")
    assert isinstance(judge(ill, Goal.of(), unhealthy_polls=UNHEALTHY_POLLS - 1), Pending)
    assert judge(ill, Goal.of(), unhealthy_polls=UNHEALTHY_POLLS) == Failed(
        "the service stays UNHEALTHY (ImportError)"
    )


@given(
    st.sampled_from(ServiceState),
    st.sampled_from(ServiceVersionState),
    st.sampled_from(ServiceVersionState),
    st.integers(0, 100),
    st.booleans(),
    st.sampled_from([None, "v1", "v2"]),
    st.sampled_from([None, 0, 10, 100]),
)
def test_nothing_unhealthy_ever_counts_as_reached(  # noqa: PLR0917
    state, one, two, weight, has_canary, name, wanted
):
    """Over every status: reached means that the version asked for runs, at the weight asked for."""
    canary = version("v2", weight, two) if has_canary else None
    seen = status(state, version("v1", 100 - weight if has_canary else 100, one), canary)
    goal = Goal.of(version=name, canary_weight=wanted)
    if judge(seen, goal) != Reached() or goal.is_about_the_service:
        return
    mine = seen.version(name) if name else (canary or seen.primary_version)
    assert mine is not None
    assert mine.state is ServiceVersionState.RUNNING
    alone = seen.canary_version is None  # which has its share, and more
    assert mine.weight == (100 if wanted is None or alone else wanted)
    assert seen.state in {ServiceState.RUNNING, ServiceState.ROLLING_OUT}


# ── the loop ──


def looks(*seen):
    """A way to look that sees these, one after another; errors are raised."""
    left = list(seen)

    def look():
        yield from ()
        one = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(one, Exception):
            raise one
        return one

    return look


def waiting(look, goal=None, timeout_s: float = 10.0, *, heard: bool = True):
    goal = goal or Goal.of()
    return poll(look, goal, name="recommender", timeout_s=timeout_s, poll_interval_s=2.0, heard=heard)


def test_a_wait_looks_until_the_goal(hold):
    """One report for each thing that changes, one sleep between looks."""
    talk = hold(waiting(looks(status("STARTING"), status("STARTING"), status())))
    assert talk.result.state is ServiceState.RUNNING
    assert talk.reports == ["recommender is STARTING: waiting for RUNNING"]
    assert [sleep.seconds for sleep in talk.sleeps] == [2.0, 2.0]


def test_a_wait_does_not_overshoot(talk):
    """The last sleep is as long as what is left, and one last look follows it."""
    with pytest.raises(WaitTimeoutError) as caught:
        talk.hold(waiting(looks(status("STARTING")), timeout_s=5.0), [])
    assert talk.now == 1005.0
    assert caught.value.state == "STARTING"
    assert "did not reach RUNNING within 5 s. Last seen STARTING" in str(caught.value)


def test_a_look_has_what_is_left_of_the_wait(talk):
    """A server that stalls cannot hold it beyond its deadline."""

    def look():
        yield from Request("GET", "/x")
        return status("STARTING")

    with pytest.raises(WaitTimeoutError):
        talk.hold(waiting(look, timeout_s=5.0), [Reply(200)] * 4)
    assert [request.within_s for request in talk.requests] == [5.0, 3.0, 1.0, 1.0]


def test_a_wait_fails_early(talk):
    """A goal out of reach ends it at once."""
    with pytest.raises(WaitFailedError, match="neither primary nor canary"):
        talk.hold(waiting(looks(status()), Goal.of(version="v2")), [])
    assert not talk.sleeps


def test_a_service_that_stays_unhealthy_ends_the_wait(talk):
    """Three looks in a row, not three in all."""
    ill = status("UNHEALTHY", error="ImportError")
    seen = [ill, ill, status("UPDATING"), ill]
    with pytest.raises(WaitFailedError, match="ImportError"):
        talk.hold(waiting(looks(*seen), timeout_s=60), [])
    assert len(talk.sleeps) == 5


def test_an_answer_that_fails_to_come_costs_a_look(hold):
    """A server may restart while we wait."""
    away = UnavailableError("restarting", status=503, retry_after_s=4.0)
    talk = hold(waiting(looks(TransportError("refused"), away, status())))
    assert [sleep.seconds for sleep in talk.sleeps] == [2.0, 4.0]
    assert "no answer (refused)" in talk.reports[0]


REFUSED = TransportError("refused", refused=True)


def test_a_plane_that_never_was_there_is_not_waited_for(talk):
    """Nothing listens, and nothing ever did: the first look says all that the last one would."""
    with pytest.raises(TransportError, match="refused"):
        talk.hold(waiting(looks(REFUSED), timeout_s=600, heard=False), [])
    assert not talk.sleeps


@pytest.mark.parametrize(
    "before", [status("STARTING"), UnavailableError("starting", status=503), TransportError("broken off")]
)
def test_a_plane_that_was_there_is_waited_for(hold, before):
    """Once anything came from it, a plane where nothing listens is one that restarts."""
    talk = hold(waiting(looks(before, REFUSED, REFUSED, status()), heard=False))
    assert talk.result.state is ServiceState.RUNNING


def test_a_refusal_ends_the_wait(talk):
    """A token that is wrong stays wrong."""
    with pytest.raises(AuthError):
        talk.hold(waiting(looks(AuthError("no", status=401))), [])


@pytest.mark.parametrize("bad", [{"state": "ON"}, {"state": []}, {"canary_weight": 101}])
def test_what_is_no_goal_is_refused(bad):
    """The text names the field."""
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Goal.of(**bad)
