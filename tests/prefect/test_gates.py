"""People at the gates of a rollout that runs in Prefect: asked in a form, answering over the API, or giving orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from prefect import flow, get_client, runtime
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_runs import resume_flow_run
from pydantic import PrivateAttr

from anyservice_core import (
    AsyncClient,
    Client,
    ConfigError,
    RolledBackError,
    RolloutPlan,
    RolloutReport,
    ServiceConfig,
)
from anyservice_core.testing import FakePlane
from prefect_tasks import AnyserviceCredentials, aio, gates, order, progressive_deploy

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240), pytest.mark.usefixtures("prefect_server")]

PROMOTE_BY_HAND = {"steps": [10], "bake": "30s", "promotion": True}
YES = {"decision": "approve", "reason": "looks fine", "by": "ann"}
Person = Callable[[FlowRun], None]


@pytest.fixture(autouse=True)
def _quick_eyes(monkeypatch: pytest.MonkeyPatch, plane: FakePlane) -> None:
    """People live by the clock of the plane in memory, which does not wait for ours."""
    monkeypatch.setattr(gates, "EVERY_S", 0.0)
    monkeypatch.setattr(gates, "_now", lambda: plane.now)


class WatchedCredentials(AnyserviceCredentials):
    """Lets a person look at the flow run whenever the rollout looks for orders."""

    _block_type_name = "Anyservice Test Person"
    _block_type_slug = "anyservice-test-person"
    _plane: FakePlane = PrivateAttr()
    _person: Person = PrivateAttr()
    _looks: int = 0

    def _look(self) -> None:
        self._looks += 1
        assert self._looks < 100, "the rollout goes on and on"
        self._person(this_run())

    def get_client(self, **options: Any) -> Client:
        orders = options.pop("on_orders")

        def look(key: str) -> Any:
            given = orders(key)
            self._look()
            return given

        return self._plane.client(on_orders=look, **options)

    def get_async_client(self, **options: Any) -> AsyncClient:
        orders = options.pop("on_orders")

        async def look(key: str) -> Any:
            given = await orders(key)
            self._look()
            return given

        return self._plane.async_client(on_orders=look, **options)


def this_run() -> FlowRun:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(runtime.flow_run.id))


def resume(run: FlowRun, answer: dict[str, Any]) -> None:
    with get_client(sync_client=True) as client:
        client.resume_flow_run(run.id, answer)


@pytest.fixture
def watched(plane: FakePlane) -> Callable[[Person], WatchedCredentials]:
    def by(person: Person) -> WatchedCredentials:
        credentials = WatchedCredentials()
        credentials._plane, credentials._person = plane, person
        return credentials

    return by


def answering(answer: dict[str, Any], seen: list[State[Any]] | None = None) -> Person:
    """A person who answers each question at once."""

    def person(run: FlowRun) -> None:
        if run.state is not None and run.state.is_paused():
            if seen is not None:
                seen.append(run.state)
            resume(run, answer)

    return person


def test_a_yes_in_the_form_goes_on_and_is_kept(
    config: Callable[[str], ServiceConfig], watched: Callable[[Person], WatchedCredentials]
) -> None:
    """The run is Paused with the question as its message; the answer promotes, and the report says whose it was."""
    asked: list[State[Any]] = []
    state = progressive_deploy(
        config("v2"), RolloutPlan.parse(PROMOTE_BY_HAND), watched(answering(YES, asked)), return_state=True
    )
    report = state.result()
    assert report.outcome == "succeeded"
    assert [(one.kind, one.by, one.reason, one.gate) for one in report.orders] == [
        ("approve", "ann", "looks fine", "promotion")
    ]
    assert ["waits for an approval" in str(one.message) for one in asked] == [True]
    assert state.is_completed()


def test_each_gate_asks_for_itself(
    config: Callable[[str], ServiceConfig], watched: Callable[[Person], WatchedCredentials]
) -> None:
    """A yes opens the gate that was asked about, and no other."""
    plan = {"steps": [{"weight": 10, "approval": True}, {"weight": 50, "approval": True}], "promotion": True}
    asked: list[State[Any]] = []
    report = progressive_deploy(config("v2"), RolloutPlan.parse(plan), watched(answering(YES, asked)))
    assert [one.gate for one in report.orders] == ["10", "50", "promotion"]
    assert len({str(one.state_details.pause_key) for one in asked}) == 3


def test_a_no_takes_the_canary_back(
    config: Callable[[str], ServiceConfig], watched: Callable[[Person], WatchedCredentials]
) -> None:
    """The run fails with the words of the one who said no, and this build may be tried another day."""
    no = {"decision": "roll back", "reason": "wrong model", "by": "ann"}
    plan = RolloutPlan.parse(PROMOTE_BY_HAND)
    state = progressive_deploy(config("v2"), plan, watched(answering(no)), return_state=True)
    assert state.is_failed()
    assert "wrong model" in str(state.message)
    assert progressive_deploy(config("v2"), plan, watched(answering(YES))).outcome == "succeeded"


def test_what_the_form_does_not_offer_is_refused_and_the_question_stays(
    config: Callable[[str], ServiceConfig], watched: Callable[[Person], WatchedCredentials]
) -> None:
    """Prefect holds an answer against the form: only a decision that is one goes on."""
    refused: list[str] = []

    def person(run: FlowRun) -> None:
        if run.state is None or not run.state.is_paused():
            return
        if not refused:
            try:
                resume_flow_run(run.id, {"decision": "banana"})
            except RuntimeError as error:
                refused.append(str(error))
                return
        resume(run, YES)

    report = progressive_deploy(config("v2"), RolloutPlan.parse(PROMOTE_BY_HAND), watched(person))
    assert report.outcome == "succeeded"
    assert "banana" in refused[0]


@pytest.mark.parametrize(("then", "ends"), [("rollback", "failed"), ("promote", "completed")])
def test_a_question_that_nobody_answers_ends_as_the_plan_says(
    config: Callable[[str], ServiceConfig], credentials: AnyserviceCredentials, then: str, ends: str
) -> None:
    """The plan's timeout decides, not Prefect's; the run is not left Paused."""
    gate = {"timeout": "20s", "on_timeout": then}
    plan = RolloutPlan.parse({"steps": [10], "bake": "30s", "promotion": gate})
    state = progressive_deploy(config("v2"), plan, credentials, return_state=True)
    assert state.type.value.lower() == ends


def test_a_canary_that_fails_meanwhile_is_taken_back_unasked(
    config: Callable[[str], ServiceConfig],
    watched: Callable[[Person], WatchedCredentials],
    plane: FakePlane,
    rolled_name: Callable[[ServiceConfig], str],
) -> None:
    """An open question does not keep a rollout from watching."""
    version = config("v2")
    plane.send_traffic(200)

    def person(run: FlowRun) -> None:
        if run.state is not None and run.state.is_paused():
            plane.send_traffic(200, errors={rolled_name(version): 0.5})

    metrics = [{"name": "errors", "provider": "router"}]
    plan = RolloutPlan.parse({**PROMOTE_BY_HAND, "metrics": metrics})
    state = progressive_deploy(version, plan, watched(person), return_state=True)
    assert state.is_failed()
    assert "rolled back: errors" in str(state.message)


def test_an_order_reaches_a_rollout_that_asks_nothing(
    config: Callable[[str], ServiceConfig],
    watched: Callable[[Person], WatchedCredentials],
    plan: RolloutPlan,
    plane: FakePlane,
) -> None:
    """An abort in the mailbox takes the canary back, once, with who and why."""
    plane.send_traffic(200)
    sent: list[object] = []

    def person(run: FlowRun) -> None:
        with plane.client() as client:
            canary = client.status(str(config("v2").name)).canary_version
        if canary is not None and not sent:
            sent.append(order(run.id, "abort", reason="game tonight", by="ben"))

    with pytest.raises(RolledBackError, match="game tonight") as caught:
        progressive_deploy(config("v2"), plan, watched(person))
    (kept,) = RolloutReport.model_validate(caught.value.report).orders
    assert (kept.kind, kept.by) == ("abort", "ben")


@pytest.mark.parametrize("run_id", ["00000000-0000-0000-0000-000000000000", "rollout recommender"])
def test_an_order_to_no_run_is_refused(run_id: str) -> None:
    """A wrong id is told to the one who gives the order, who may be in a hurry."""
    with pytest.raises(ConfigError, match=f"no flow run '{run_id}'"):
        order(run_id, "abort")


def test_an_order_to_a_run_that_is_over_is_refused() -> None:
    """Nobody would take it in; the way back is another then."""

    @flow(name="a rollout", flow_run_name="the one before")
    def over() -> str:
        return str(runtime.flow_run.id)

    with pytest.raises(ConfigError, match=r"'the one before' is over \(Completed\).*anyservice rollback"):
        order(over(), "abort")


def test_an_order_of_no_name_is_refused() -> None:
    """A misspelt order is an error of the one who gives it, not a letter that nobody reads."""
    with pytest.raises(ValueError, match="aport"):
        order("00000000-0000-0000-0000-000000000000", "aport")


@pytest.mark.anyio
async def test_an_awaited_rollout_asks_as_well(
    config: Callable[[str], ServiceConfig], watched: Callable[[Person], WatchedCredentials]
) -> None:
    """The asynchronous task pauses its flow run with the same form."""
    credentials = watched(answering(YES))

    @flow
    async def release() -> RolloutReport:
        return await aio.rollout(config("v2"), PROMOTE_BY_HAND, credentials=credentials)

    assert [one.by for one in (await release()).orders] == ["ann"]


def test_without_a_deployment_there_is_nobody_to_begin_anew_so_it_watches(
    config: Callable[[str], ServiceConfig], watched: Callable[[Person], WatchedCredentials]
) -> None:
    """Prefect can suspend only what a deployment can start again; a script asks and stays."""
    plan = RolloutPlan.parse(PROMOTE_BY_HAND)
    report = progressive_deploy(config("v2"), plan, watched(answering(YES)), gates="suspend")
    assert report.outcome == "succeeded"
