"""The operations on a service that is there: by name, by name in a place, and by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from anyservice_core.testing import FakePlane
from tests.official.comparing import changes, differences
from tests.official.states import archived, rolling_out, running, terminated


@dataclass(frozen=True)
class Case:
    """One call of an operation on a service called svc."""

    says: str
    call: str
    before: Callable[[FakePlane], None]
    arguments: Mapping[str, Any] = field(default_factory=lambda: {"name": "svc"})


PLACE = {"name": "svc", "cloud": "local", "project": "default"}
CASES = [
    Case("rollback", "rollback", rolling_out),
    Case("rollback in a place", "rollback", rolling_out, PLACE),
    Case("rollback with a surge", "rollback", rolling_out, {"name": "svc", "max_surge_percent": 30}),
    Case("terminate", "terminate", running),
    Case("terminate in a place", "terminate", running, PLACE),
    Case("terminate in mid-rollout", "terminate", rolling_out),
    Case("archive", "archive", terminated),
    Case("archive in a place", "archive", terminated, PLACE),
    Case("delete", "delete", terminated),
    Case("delete in a place", "delete", terminated, PLACE),
    Case("delete what is archived", "delete", archived),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_an_operation_by_name_changes_the_same(both, case):
    """The same request to the service of that name; both give back its id."""
    both.prepare = case.before
    theirs, ours = both.theirs(case.call, case.arguments), both.ours(case.call, case.arguments)
    assert (theirs.error, ours.error) == (None, None), f"{theirs.text} {ours.text}"
    assert changes(theirs.requests)
    assert differences(changes(theirs.requests), changes(ours.requests)) == {}
    assert (theirs.value, ours.value) == (theirs.service_id, ours.service_id)


@pytest.mark.parametrize(
    ("call", "before"), [("terminate", running), ("archive", terminated), ("delete", terminated)]
)
def test_an_operation_by_id_is_one_request(both, call, before):
    """Neither client looks up a name when it is given an id."""
    both.prepare = before
    theirs, ours = both.theirs(call, {"id": both.SERVICE_ID}), both.ours(call, {"id": both.SERVICE_ID})
    assert (theirs.error, ours.error) == (None, None), f"{theirs.text} {ours.text}"
    assert differences(changes(theirs.requests), changes(ours.requests)) == {}
    assert len(ours.requests) == 1


def test_a_canary_s_weight_moves_alike(both):
    """What the official client calls new versions without configs is our shift; the server hears the same."""
    both.prepare = rolling_out
    weights = '[{"name": "v2", "traffic_percent": 60}, {"name": "v1", "traffic_percent": 40}]'
    theirs = both.theirs("deploy", {"configs": [], "name": "svc", "versions": weights})
    ours = both.ours("shift", {"name": "svc", "canary_percent": 60})
    assert (theirs.error, ours.error) == (None, None), f"{theirs.text} {ours.text}"
    assert changes(theirs.requests)[0]["body"]["canary_percent"] == 60
    assert differences(changes(theirs.requests), changes(ours.requests)) == {}


def test_a_status_tells_the_same(both):
    """Of a service in mid-rollout, all that the official client tells but its checklist.

    On purpose: version ids are whole, not their last 8 characters, and a time is ISO 8601. Image and compute config
    are left out of the comparison: to tell them costs the official client up to seven requests more.
    """
    both.prepare = rolling_out
    theirs = both.theirs("status", {"name": "svc"})
    ours = both.ours("status", {"name": "svc"}, again=True)
    assert (theirs.error, ours.error) == (None, None), f"{theirs.text} {ours.text}"
    told = ours.value.to_dict()
    for version in both_versions(told):
        version["id"] = version["id"][-8:]
        version["created_at"] = str(datetime.fromisoformat(version["created_at"]))
    for version in [*both_versions(told), *both_versions(theirs.value)]:
        for untold in ("image_uri", "compute_config"):
            version["config"].pop(untold, None)
    del theirs.value["service_status_checklist"]
    assert {key: told[key] for key in theirs.value} == theirs.value


def both_versions(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [told["primary_version"], told["canary_version"]]


def test_waiting_changes_nothing(both):
    """Both look until the state is there, and only look."""
    both.prepare, both.step_s = running_in_a_while, 5.0
    theirs = both.theirs("wait", {"name": "svc", "state": "RUNNING", "timeout_s": 60, "_interval_s": 0.1})
    ours = both.ours("wait", {"name": "svc", "state": "RUNNING", "timeout_s": 60})
    assert (theirs.error, ours.error) == (None, None), f"{theirs.text} {ours.text}"
    assert ours.value.state == "RUNNING"
    assert changes(theirs.requests) == changes(ours.requests) == []


def running_in_a_while(plane: FakePlane) -> None:
    """A service that has just been deployed."""
    running(plane, wait=False)
