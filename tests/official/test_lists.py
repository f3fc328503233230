"""Lists: the question for a page, parameter by parameter, and what comes back, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from anyservice_core.testing import FakePlane
from tests.official.comparing import list_queries
from tests.official.states import running, terminated


@dataclass(frozen=True)
class Case:
    """One list."""

    says: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


CASES = [
    Case("everything"),
    Case("a part of the name", {"name": "vc"}),
    Case("a state", {"state_filter": ["RUNNING"]}),
    Case("several states in lower case", {"state_filter": ["running", "starting"]}),
    Case("a creator", {"creator_id": "usr_local11111111111111111111111"}),
    Case("a cloud", {"cloud": "local"}),
    Case("a cloud that is not the default", {"cloud": "other"}),
    Case("a project", {"project": "default"}),
    Case("a project that is not the default", {"project": "apps"}),
    Case("a project in a cloud", {"project": "apps", "cloud": "other"}),
    Case("archived ones too", {"include_archived": True}),
    Case(
        "a tag of two values and another",
        {"tags_filter": {"team": ["x", "y"], "env": ["p"]}},
    ),
    Case("sorted by name", {"sort_field": "NAME"}),
    Case("sorted by name, downwards", {"sort_field": "NAME", "sort_order": "DESC"}),
    Case("sorted by state", {"sort_field": "STATUS", "sort_order": "ASC"}),
    Case("sorted by age", {"sort_field": "CREATED_AT", "sort_order": "DESC"}),
    Case("pages of two", {"page_size": 2, "sort_field": "NAME"}),
    Case("no more than three", {"max_items": 3, "page_size": 2, "sort_field": "NAME"}),
    Case(
        "all at once",
        {
            "name": "s",
            "state_filter": ["RUNNING", "TERMINATED"],
            "cloud": "local",
            "project": "default",
            "include_archived": True,
            "sort_field": "NAME",
            "sort_order": "DESC",
            "page_size": 3,
        },
    ),
]


def several(plane: FakePlane) -> None:
    """One terminated, four that run."""
    terminated(plane)
    for letter in "abcd":
        running(plane, name=f"svc-{letter}", tags={"team": letter})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_a_list_asks_and_gives_the_same(both, case):
    """The same questions for pages in the same order, and the same services in the same order."""
    both.prepare = several
    theirs = both.theirs("list", case.arguments)
    ours = both.ours("list", case.arguments)
    assert (theirs.error, ours.error) == (None, None), f"{theirs.text} {ours.text}"
    assert list_queries(theirs.requests) == list_queries(ours.requests)
    assert theirs.value == ours.value


def test_a_list_of_one_by_its_id(both):
    """The id is asked for itself, without a search."""
    both.prepare = running
    theirs, ours = (run("list", {"service_id": both.SERVICE_ID}) for run in (both.theirs, both.ours))
    assert theirs.value == ours.value == ["svc"]
    assert list_queries(theirs.requests) == list_queries(ours.requests) == []
