"""Functions of the user's own."""

import json
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from anyservice_core.errors import PlanError
from anyservice_core.metrics import (
    TO_BE_SHOWN,
    Count,
    Increase,
    Level,
    Python,
    Reading,
    Said,
    Unreadable,
    measure,
    measure_python,
)
from anyservice_core.metrics.providers import provider, spelled
from anyservice_core.rollout import RolloutPlan
from tests.metrics import checks
from tests.metrics.talking import TARGET, converse

CHECKS = "tests.metrics.checks"


def asked(call: Any, **options: Any) -> Reading:
    requests, reading = converse(measure(Python(call=call, **options), TARGET, compare=False))
    assert not requests
    return reading


def test_a_function_is_called_by_its_name() -> None:
    """It is given what a measurement is about, and its word is taken."""
    checks.seen.clear()
    assert asked(f"{CHECKS}:smoke") == Said(passed=True)
    assert checks.seen == [TARGET]
    assert asked(f"{CHECKS}:Checks.nested") == Said(passed=True)


def test_a_function_may_be_a_coroutine_s() -> None:
    """Either colour, whatever colour the client has."""
    assert asked(f"{CHECKS}:later") == Level(59.2)


class Zero:
    """A number as NumPy has them."""

    def __init__(self, value: Any) -> None:
        self.shape = ()
        self.value = value

    def item(self) -> Any:
        return self.value


@pytest.mark.parametrize(
    ("value", "reading"),
    [
        (True, Said(passed=True)),
        (0.25, Level(0.25)),
        (7, Level(7.0)),
        (float("nan"), Level(None)),
        (Level(None), Level(None)),
        (Said(passed=False, why="cold"), Said(passed=False, why="cold")),
        (Zero(False), Said(passed=False)),
        (Zero(0.5), Level(0.5)),
        (Increase(Count(10, 1), Count(90, 0)), Increase(Count(10, 1), Count(90, 0))),
        (
            {"canary": {"requests": 10, "bad": 1}, "primary": {"requests": 90, "bad": 0}},
            Increase(Count(10, 1), Count(90, 0)),
        ),
    ],
)
def test_what_it_returns_is_read_as_what_it_means(value: Any, reading: Reading) -> None:
    """A truth value, a number, or counts."""
    assert asked(lambda _: value) == reading


@pytest.mark.parametrize("value", [None, "fine", [1, 2], {"canary": 1}])
def test_what_says_nothing_is_told(value: Any) -> None:
    """A forgotten ``return`` passes no canary."""
    reading = asked(lambda _: value)
    assert isinstance(reading, Unreadable)
    assert f"returned {type(value).__name__}" in reading.why
    assert "return True or False" in reading.why


def test_counts_that_make_no_sense_are_told() -> None:
    """More bad answers than requests."""
    reading = asked(lambda _: Increase(Count(1, 2), Count(0, 0)))
    assert isinstance(reading, Unreadable)
    assert "2 bad answers of 1" in reading.why


def test_what_it_raises_is_no_verdict_and_shows_no_token() -> None:
    """It could not be measured; why is in the report, which others read."""
    reading = asked(f"{CHECKS}:broken")
    assert reading == Unreadable(f"{CHECKS}:broken raised RuntimeError: no answer with ***")
    given_up = asked(f"{CHECKS}:gives_up")
    assert isinstance(given_up, Unreadable)
    assert "SystemExit(3)" in given_up.why


def test_one_that_hangs_is_left_behind_and_not_begun_again() -> None:
    """A rollout does not wait for ever, nor does it fill up with threads; other services are asked meanwhile."""
    until = threading.Event()
    calls: list[str] = []

    def check(target: Any) -> bool:
        calls.append(target.service_id)
        return until.wait(30) if target.service_id == TARGET.service_id else True

    source = Python(call=check, timeout_s=0.05)
    try:
        for why in ("did not return within 0.05 s", "still hangs"):
            _, reading = converse(measure_python(source, TARGET))
            assert isinstance(reading, Unreadable)
            assert why in reading.why
        _, other = converse(measure_python(source, replace(TARGET, service_id="another")))
        assert other == Said(passed=True)
    finally:
        until.set()
    assert calls == [TARGET.service_id, "another"]
    patient = Python(call=check, timeout_s=10)
    for thread in threading.enumerate():
        if thread.name.startswith("check "):
            thread.join(10)
    assert converse(measure_python(patient, TARGET))[1] == Said(passed=True)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("no.such.module:check", "cannot import 'no.such.module:check': ModuleNotFoundError"),
        (f"{CHECKS}:nope", "AttributeError"),
        (f"{CHECKS}:not_a_function", "is int, not a function"),
        (CHECKS, "is no name of a function"),
        ("a b:c", "is no name of a function"),
        (5, "int is no function"),
    ],
)
def test_what_cannot_be_called_is_refused_by_its_name(call: Any, said: str) -> None:
    """When the plan is read, and not an hour later."""
    with pytest.raises(ValidationError) as caught:
        provider({"python": {"call": call}})
    assert said in str(caught.value)


def test_modules_in_the_present_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they would be by ``python``, also from a command that was installed elsewhere."""
    (tmp_path / "my_own_checks.py").write_text("def fine(target):\n    return True\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in {"", str(tmp_path)}])
    before = list(sys.path)
    assert asked("my_own_checks:fine") == Said(passed=True)
    assert sys.path == before


def test_a_plan_with_a_function_that_has_a_name_can_be_written_out() -> None:
    """Adapters carry plans as JSON; the function goes by its name."""
    metric = {"name": "smoke", "provider": Python(call=checks.smoke)}
    plan = RolloutPlan.parse({"steps": [5], "metrics": [metric]})
    written = json.loads(json.dumps(plan.to_dict()))
    assert written["metrics"][0]["provider"] == {"python": {"call": f"{CHECKS}:smoke"}}
    assert RolloutPlan.parse(written) == plan
    short = {"name": "smoke", "provider": {"python": f"{CHECKS}:smoke"}}
    assert RolloutPlan.parse({"steps": [5], "metrics": [short]}) == plan


def moved(target: Any) -> bool:
    return bool(target)


moved.__qualname__ = "somewhere_else"


@pytest.mark.parametrize("call", [lambda target: True, Zero(1).item, print.__call__, moved])
def test_a_function_without_a_name_is_kept_in_this_process(call: Any) -> None:
    """It can be used here; writing the plan for elsewhere is refused, and says how to mend it."""
    plan = RolloutPlan.parse({"steps": [5], "metrics": [{"name": "smoke", "provider": {"python": call}}]})
    assert plan.metrics[0].provider.call == call  # type: ignore[union-attr]
    with pytest.raises(PlanError, match=r"cannot be imported by name.*package\.module:function"):
        plan.to_dict()
    assert isinstance(spelled(plan.metrics[0].provider, TO_BE_SHOWN)["python"]["call"], str)
    with pytest.raises(PlanError):
        spelled(plan.metrics[0].provider)


def test_a_module_that_is_gone_by_then_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name was fine when the plan was read."""
    source = Python(call=f"{CHECKS}:smoke")
    monkeypatch.delattr(checks, "smoke")
    _, reading = converse(measure_python(source, TARGET))
    assert isinstance(reading, Unreadable)
    assert "cannot import" in reading.why
