"""How people reach a rollout in Airflow: answers to open questions, and a mailbox that is a Variable."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, TaskDeferred

from airflow_provider import orders
from airflow_provider.operators import OrderOperator, RolloutOperator
from anyservice_core.rollout.orders import Order, OrderKind

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(30)]

ASKING = {"steps": [10, {"weight": 50, "approval": True}], "bake": "1m", "promotion": True}
HELD = {"steps": [10], "bake": "1m", "promotion": True}


def rollout(config, plan=ASKING, **options):
    with DAG("a_dag", schedule=None):
        return RolloutOperator(task_id="rollout", config=config, plan=plan, poll_interval_s=5, **options)


def answer(choice: str, at: float) -> dict:
    """What Airflow resumes a task with when somebody has answered."""
    return {
        "chosen_options": [choice],
        "params_input": {},
        "responded_at": datetime.fromtimestamp(at, UTC),
        "responded_by_user": {"id": "7", "name": "Ada"},
        "timedout": False,
    }


@pytest.fixture(autouse=True)
def no_supervisor(request, monkeypatch):
    """People are asked only in tests that are about it."""
    monkeypatch.setattr("airflow_provider.gates.has", lambda _: "questions" in request.fixturenames)


@pytest.fixture
def questions(monkeypatch):
    """The questions that were asked of people."""
    asked = []
    monkeypatch.setattr(
        "airflow_provider.gates.asks_people", lambda: lambda **question: asked.append(question)
    )
    return asked


@pytest.fixture
def variables(airflow, monkeypatch):
    """Airflow's Variables, in a dict; and no time passes but the plane's."""
    monkeypatch.setattr(
        orders, "time", SimpleNamespace(time=lambda: airflow.plane.now, monotonic=lambda: 0.0)
    )
    monkeypatch.setattr(orders, "EVERY_S", 0.0)
    values: dict[str, str] = {}
    fake = SimpleNamespace(get=values.get, set=values.__setitem__, delete=lambda name: values.pop(name, None))
    for room in ("orders", "turns"):
        monkeypatch.setattr(f"airflow_provider.{room}.Variable", fake)
    return values


def to_the_next_question(airflow, call):
    """Let worker and triggerer go on until people are asked; give the trigger that watches meanwhile."""
    while True:
        with pytest.raises(TaskDeferred) as deferred:
            call()
        trigger = deferred.value.trigger
        event = airflow.fire(trigger)
        operator = airflow.operator
        with pytest.raises(TaskDeferred) as again:
            operator.resume_execution("resume", {"event": event}, airflow.context)
        assert event["status"] == "at_gate"
        return again.value.trigger


def go_on(airflow, choice):
    return lambda: airflow.operator.resume_execution(
        "resume", {"event": answer(choice, airflow.plane.now)}, airflow.context
    )


@pytest.fixture
def asking(airflow, serving, config, questions, variables):
    """A rollout that has come to its first question."""
    airflow.ti.of_a_run()
    airflow.operator = airflow.ready(rollout(config.options(tags={"a": "b"}), deferrable=True))
    airflow.watching = to_the_next_question(airflow, lambda: airflow.operator.execute(airflow.context))
    return airflow


# ── answers ──


@pytest.mark.needs_airflow(3, 3)
def test_a_gate_is_a_question_in_the_ui_and_each_yes_opens_one(asking, serving, questions):
    """The task asks when its canary is baked, goes on with the answer, and asks anew before the promotion."""
    assert [question["options"] for question in questions] == [["Approve", "Roll back"]]
    assert serving.service("recommender").canary.name in questions[0]["subject"]
    assert "/anyservice/rollouts/a_dag/manual__1/rollout/-1)" in questions[0]["body"]
    assert serving.service("recommender").canary.weight == 50

    to_the_next_question(asking, go_on(asking, "Approve"))
    assert len(questions) == 2

    with pytest.raises(TaskDeferred) as deferred:
        go_on(asking, "Approve")()
    report = asking.fire(deferred.value.trigger)["result"]
    assert report["outcome"] == "succeeded"
    assert [(order["kind"], order["by"], order["gate"]) for order in report["orders"]] == [
        ("approve", "Ada", "50"),
        ("approve", "Ada", "promotion"),
    ]
    assert len(serving.engine.specs) == 2


def test_a_no_takes_the_canary_back(asking, serving):
    """The run is red, and the report says who has decided so."""
    with pytest.raises(TaskDeferred) as deferred:
        go_on(asking, "Roll back")()
    event = asking.fire(deferred.value.trigger)

    assert event["report"]["outcome"] == "rolled_back"
    assert "Ada" in event["report"]["reason"]
    with pytest.raises(AirflowFailException):
        asking.operator.resume_execution("resume", {"event": event}, asking.context)
    assert serving.service("recommender").canary is None


def test_a_canary_that_fails_while_people_think_is_taken_back(asking, serving):
    """The question does not hold the way back up: the trigger watches on."""
    serving.sicken(serving.service("recommender").canary.name)
    event = asking.fire(asking.watching)

    assert event["report"]["outcome"] == "rolled_back"


def test_an_answer_is_about_the_version_that_was_asked_about(asking, serving):
    """Somebody has changed the files while people thought: that is for the next run."""
    asked = serving.service("recommender").canary.name
    asking.operator.ready_config = asking.operator.ready_config.options(tags={"c": "d"})
    to_the_next_question(asking, go_on(asking, "Approve"))
    with pytest.raises(TaskDeferred) as deferred:
        go_on(asking, "Approve")()
    report = asking.fire(deferred.value.trigger)["result"]

    assert (report["outcome"], report["version_name"]) == ("succeeded", asked)
    assert len(serving.engine.specs) == 2


def test_a_late_answer_opens_no_other_gate(asking, serving, questions):
    """The mailbox was faster with the first gate; the answer to that question does not count for the second."""
    asking.ti.xcom_push("asked", {"gate": "10"})
    with pytest.raises(TaskDeferred) as deferred:
        go_on(asking, "Approve")()

    assert asking.fire(deferred.value.trigger)["gate"] == "50"


def test_a_plan_that_may_wait_for_people_has_no_deadline_of_the_framework(asking):
    """Airflow's own time-out of a deferral would end a rollout that waits for a yes over the weekend."""
    assert asking.deferred == [] or asking.deferred[-1].timeout is None


# ── the mailbox ──


def put(variables, kind, airflow, **order):
    """Let another task put an order into the mailbox, as ``OrderOperator`` does."""
    with DAG("step_in", schedule=None):
        operator = OrderOperator(task_id="order", service="recommender", kind=kind, by="Ada", **order)
    return operator.execute({"run_id": f"manual__{len(variables.get('n', ''))}{kind}", "ti": airflow.ti})


@pytest.mark.parametrize("deferrable", [False, True], ids=["in the worker", "deferred"])
def test_an_order_reaches_a_rollout_that_runs(airflow, serving, config, variables, *, deferrable):
    """Approve, from another task, opens the gate; who and why are in the report."""
    airflow.on_event = lambda event: (
        put(variables, "approve", airflow, reason="looks fine")
        if "waits for an approval" in str(event)
        else None
    )
    report = airflow.run(rollout(config.options(tags={"a": "b"}), HELD, deferrable=deferrable))

    assert report["outcome"] == "succeeded"
    assert [(order["kind"], order["by"], order["reason"]) for order in report["orders"]] == [
        ("approve", "Ada", "looks fine")
    ]


def test_an_order_of_yesterday_is_not_todays(airflow, serving, config, variables):
    """The mailbox keeps what was put there; a rollout heeds what was said while it runs."""
    variables[orders.mailbox_of("recommender")] = json.dumps(
        [Order(kind=OrderKind.ABORT, at=1.0).model_dump(mode="json")]
    )
    report = airflow.run(rollout(config.options(tags={"a": "b"}), {"steps": [10]}, deferrable=True))

    assert report["outcome"] == "succeeded"


@pytest.mark.parametrize("text", ["not JSON", '"approve"', "{}", "[1, null]"])
def test_whatever_is_in_the_mailbox_a_rollout_goes_on(airflow, serving, config, variables, text):
    """Somebody typed it by hand: what is no order is none."""
    variables[orders.mailbox_of("recommender")] = text
    report = airflow.run(rollout(config.options(tags={"a": "b"}), {"steps": [10]}, deferrable=True))

    assert (report["outcome"], report["orders"]) == ("succeeded", [])


def test_an_order_that_is_none_is_refused(airflow, variables):
    """A slip of the finger fails the task that gives the order, and says what there is."""
    with pytest.raises(AirflowFailException, match=r"'stop' is no order.*abort"):
        put(variables, "stop", airflow)


def test_a_mailbox_does_not_grow_for_ever(airflow, variables):
    """Old orders make room; nobody heeds them any more."""
    for _ in range(60):
        put(variables, "pause", airflow)

    assert len(json.loads(variables[orders.mailbox_of("recommender")])) == 50
