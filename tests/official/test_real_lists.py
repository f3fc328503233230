"""Lists of more services than fit a page, by the official client and its CLI, from the real plane.

The services come to their end on a plane of paper, by the API's own rules, and its store is given to the real one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anyservice_core import Client, ServiceConfig
from anyservice_core.plane.store import Store
from anyservice_core.testing import FakePlane
from tests.official.life import Life, real_plane

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

MANY = 63
NAMES = [f"svc-{number:02}" for number in range(MANY)]
ARCHIVED = NAMES[-3:]
LISTED = NAMES[:-3]
SHORT = "svc"  # a part of every other name, and deployed first
RUNNING = "a-svc-that-runs"
LONG_AGO = 1_700_000_000.0


def write(state_dir: Path) -> None:
    """Write a plane's store in which these services have ended, the last three of them archived."""
    with FakePlane() as plane, plane.client() as client:
        plane.now = LONG_AGO
        for number, name in enumerate([SHORT, *NAMES]):
            tags = {"parity": "odd" if number % 2 else "even", "shelf": str(number // 10)}
            apps = [{"import_path": "main:app"}]
            client.deploy(ServiceConfig(name=name, version_name="v1", applications=apps, tags=tags))
            client.terminate(name)
            plane.advance(1)
        plane.advance(60)
        for name in ARCHIVED:
            client.archive(name)
        store = Store(state_dir / "plane.db")
        with store.transaction():
            for service in plane.store.services():
                store.save(service)
        store.close()


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Iterator[dict[str, Any]]:
    state_dir = tmp_path_factory.mktemp("plane")
    write(state_dir)
    with real_plane(state_dir, 19300) as record:
        with Client(record["host"], record["token"]) as client:
            life = Life(RUNNING, tmp_path_factory.mktemp("life"), client)
            client.deploy(ServiceConfig(**life.config("v1")))
            life.wait()
        yield record


@pytest.fixture(scope="module")
def listed(record, make_official) -> Any:
    """The official library's list, by name."""
    official = make_official(record["host"], record["token"])

    def names(**arguments: Any) -> list[str]:
        answer = official.call("list", arguments)
        assert "error" not in answer, answer
        return list(answer["value"])

    return names


EVERY = sorted([SHORT, *LISTED, RUNNING])


def test_the_library_pages_through_all(listed):
    """Each service once, whatever the size of a page."""
    assert sorted(listed()) == EVERY
    assert listed(page_size=7, sort_field="NAME") == EVERY


LISTS = {
    "a part of the name": ({"name": "svc-1", "sort_field": "NAME"}, NAMES[10:20]),
    "the newest first": ({"sort_field": "CREATED_AT", "sort_order": "DESC", "max_items": 3}, [RUNNING, *LISTED[:-3:-1]]),
    "the first by name": ({"sort_field": "NAME", "sort_order": "ASC", "max_items": 2}, [RUNNING, SHORT]),
    "the last by name": ({"sort_field": "NAME", "sort_order": "DESC", "max_items": 2}, LISTED[:-3:-1]),
    "by state": ({"sort_field": "STATUS", "max_items": 1}, [RUNNING]),
    "of one state": ({"state_filter": ["RUNNING"]}, [RUNNING]),
    "of a state and another": ({"state_filter": ["running", "starting", "rolling_out"]}, [RUNNING]),
    "archived ones too": ({"name": "svc-6", "include_archived": True, "sort_field": "NAME"}, NAMES[60:]),
    "in the cloud": ({"cloud": "local", "name": "svc-0", "sort_field": "NAME"}, NAMES[:10]),
    "in the project": ({"project": "default", "name": "svc-0", "sort_field": "NAME"}, NAMES[:10]),
    "in both": ({"project": "default", "cloud": "local", "name": "runs"}, [RUNNING]),
    "of another's": ({"creator_id": "usr_someone"}, []),
    "by tags": ({"tags_filter": {"parity": ["odd"], "shelf": ["0", "9"]}, "sort_field": "NAME"}, NAMES[0:9:2]),
}  # fmt: skip


@pytest.mark.parametrize("case", LISTS)
def test_the_library_lists_what_is_asked_for(listed, case):
    """Each filter and order, with what it must leave."""
    arguments, names = LISTS[case]
    assert listed(**arguments) == names


COMMANDS = {
    "in batch ten": ((), 10),
    "more in batch": (("--no-interactive", "--max-items", "100"), EVERY),
    "pages of fifty": (("--page-size", "50", "--max-items", "70", "--sort", "name"), EVERY),
    "sorted": (("--sort", "name", "--max-items", "2"), [RUNNING, SHORT]),
    "sorted downwards": (("--sort", "-NAME", "--max-items", "2"), LISTED[:-3:-1]),
    "by age": (("--sort", "-created_at", "--max-items", "2"), [RUNNING, LISTED[-1]]),
    "by state": (("--sort", "status", "--max-items", "1"), [RUNNING]),
    "of a state": (("-s", "running", "--state", "starting"), [RUNNING]),
    "with archived ones": (("-n", "svc-6", "--include-archived", "--sort", "name"), NAMES[60:]),
    "of mine": (("--created-by-me", "--max-items", "100"), EVERY),
    "by tags": (("--tag", "parity:odd", "--tag", "shelf:0", "--tag", "shelf:9", "--sort", "name"), NAMES[0:9:2]),
    "in a place": (("--cloud", "local", "--project", "default", "-n", "runs", "-v"), [RUNNING]),
}  # fmt: skip


@pytest.mark.parametrize("case", COMMANDS)
def test_the_command_lists_what_is_asked_for(anyscale, case):
    """Each option of ``anyscale service list``, with what it must leave."""
    words, expected = COMMANDS[case]
    names = [one["name"] for one in anyscale.run("service", "list", "-o", "json", *words).json]
    if expected == 10:
        assert len(set(names)) == 10
    else:
        assert (names if "--sort" in words else sorted(names)) == expected


def test_a_verbose_list_has_the_configs(anyscale):
    """With ``-v`` each version has what it runs, without it has not."""
    words = ("service", "list", "-o", "json", "-n", "runs")
    (brief,), (whole,) = anyscale.run(*words).json, anyscale.run(*words, "-v").json
    assert "config" not in brief["primary_version"]
    assert whole["primary_version"]["config"]["applications"][0]["import_path"] == "main:app"


def test_a_terminal_shows_page_after_page(anyscale):
    """On a terminal, Enter leads to the next page and q ends; the ids are those of the plane."""
    done = anyscale(
        "service", "list", "--page-size", "5", "--sort", "name", terminal="\nq\n", COLUMNS="250", TERM="dumb"
    )
    assert done.code == 0, done.out
    shown = dict.fromkeys(re.findall(r"svc-\d\d", done.out))
    assert list(shown) == NAMES[:8]
    assert "Page 2" in done.out
    assert "Page 3" not in done.out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--page-size", "51"), "50"),
        (("--page-size", "0"), "page"),
        (("--project", "none"), "none"),
        (("--cloud", "none"), "none"),
    ],
)
def test_lists_that_cannot_be_are_refused(anyscale, words, text):
    """Each says what of it cannot be."""
    done = anyscale("service", "list", *words)
    assert (done.code in {1, 2}, text in done.err) == (True, True), done.err


def test_a_name_in_more_than_fifty_others_is_found(anyscale):
    """The official client looks at the first page alone; so the service of the very name comes before its likes."""
    assert anyscale.run("service", "status", "-n", SHORT, "-o", "json").json["name"] == SHORT
