"""Each option of the reference, in each spelling, and what it makes the command send or print.

The table in ``docs/parity.py`` has what the reference documents; the docs print a row of it as working because it is run
here. A test at the end holds the two together.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

import anyservice_core
from anyservice_core import service
from anyservice_core.cli import root

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

import parity

LIST = "GET /api/v2/services-v2/"
APPLY = "PUT /api/v2/services-v2/apply"


@dataclass(frozen=True)
class Case:
    """An option in all its spellings, a value for it, and what must follow."""

    command: str
    spellings: str
    value: tuple[str, ...]
    follows: Callable[[Any, Result], bool]
    beside: tuple[str, ...] | None = None


def listed(key: str, value: str) -> Callable[[Any, Result], bool]:
    """The server was asked for a list with this filter."""
    return lambda plane, _: plane.asked(LIST).query.get(key) == [value]


def applied(path: str, value: Any) -> Callable[[Any, Result], bool]:
    """The deploy that was sent has this at this place."""

    def check(plane: Any, _: Result) -> bool:
        found = plane.asked(APPLY).body
        for part in path.split("."):
            found = found[int(part)] if part.isdecimal() else found[part]
        return found == value or (callable(value) and value(found))

    return check


def place(kind: str) -> Callable[[Any, Result], bool]:
    """The server was asked for a cloud or project of this name."""

    def check(plane: Any, _: Result) -> bool:
        if kind == "cloud":
            return plane.asked("/clouds/find_by_name").body == {"name": "local"}
        wanted = [
            one.query.get("name") or (one.body or {}).get("name")
            for one in plane.sent
            if "/projects/" in one.line
        ]
        return ["default"] in wanted or {"equals": "default"} in wanted

    return check


def posted(verb: str) -> Callable[[Any, Result], bool]:
    """The server was asked to do it to this service."""
    return lambda plane, _: (
        plane.sent[-1].line == f"POST /api/v2/services-v2/{plane.service('recommender').id}/{verb}"
    )


def looked_up(plane: Any, result: Result) -> bool:
    return result.exit_code == 0 and plane.asked(LIST).query["name"] == ["recommender"]


def by_id(plane: Any, _: Result) -> bool:
    """Nobody searched by name."""
    return not [one for one in plane.sent if one.line == LIST]


def names(plane: Any, result: Result) -> bool:
    return "recommender" in result.stdout


def is_json(_: Any, result: Result) -> bool:
    return bool(json.loads(result.stdout))


def both(*checks: Callable[[Any, Result], bool]) -> Callable[[Any, Result], bool]:
    return lambda plane, result: all(check(plane, result) for check in checks)


def ran(_plane: Any, result: Result) -> bool:
    return result.exit_code == 0


CASES = [
    Case("list", "--service-id --id", ("ID",), both(by_id, names)),
    Case("list", "--name -n", ("comm",), both(listed("name", "comm"), names)),
    Case("list", "--cloud", ("local",), place("cloud")),
    Case("list", "--project", ("default",), place("project")),
    Case("list", "--created-by-me", (), listed("creator_id", "usr_local11111111111111111111111")),
    Case("list", "--state -s", ("running",), both(listed("state_filter", "RUNNING"), names)),
    Case("list", "--include-archived", (), listed("archive_status", "ALL")),
    Case("list", "--max-items", ("0",), lambda _, result: result.stdout == ""),
    Case("list", "--page-size", ("7",), listed("count", "7")),
    Case("list", "--interactive --no-interactive", (), names),
    Case(
        "list",
        "--sort",
        ("-created_at",),
        both(listed("sort_field", "CREATED_AT"), listed("sort_order", "DESC")),
    ),
    Case("list", "--verbose -v", (), lambda _, got: "main:app" in got.stdout, ("-j",)),
    Case("list", "--json -j", (), is_json),
    Case(
        "deploy",
        "IMPORT_PATH",
        ("other:app",),
        applied("ray_serve_config.applications.0.import_path", "other:app"),
        ("-n", "x"),
    ),
    Case(
        "deploy",
        "ARGUMENTS",
        ("a:b", "k=v"),
        applied("ray_serve_config.applications.0.args", {"k": "v"}),
        ("-n", "x"),
    ),
    Case("deploy", "--config-file -f", ("CONFIG",), applied("name", "recommender"), ()),
    Case("deploy", "--name -n", ("other",), applied("name", "other")),
    Case(
        "deploy",
        "--image-uri",
        ("docker.io/me/img:1",),
        lambda plane, _: plane.asked("from_image_uri").body["image_uri"] == "docker.io/me/img:1",
    ),
    Case(
        "deploy",
        "--registry-login-secret",
        ("sec",),
        lambda plane, _: plane.asked("from_image_uri").body["registry_login_secret"] == "sec",
        ("-f", "CONFIG", "--image-uri", "me/img:1"),
    ),
    Case(
        "deploy",
        "--containerfile",
        ("CONTAINERFILE",),
        lambda plane, _: (
            next(
                one for one in plane.sent if one.line.startswith("POST /ext/v0/cluster_environment_builds")
            ).body["containerfile"]
            == "FROM python\n"
        ),
    ),
    Case(
        "deploy",
        "--ray-version",
        ("2.50.0",),
        lambda plane, _: plane.asked("from_image_uri").body["ray_version"] == "2.50.0",
        ("-f", "CONFIG", "--image-uri", "me/img:1"),
    ),
    Case(
        "deploy",
        "--compute-config",
        ("local:1",),
        lambda plane, _: plane.asked("/compute_templates/search").body["version"] == 1,
    ),
    Case(
        "deploy",
        "--working-dir -w",
        ("s3://b/x.zip",),
        applied("ray_serve_config.applications.0.runtime_env.working_dir", "s3://b/x.zip"),
    ),
    Case(
        "deploy",
        "--exclude -e",
        ("*.log",),
        applied("ray_serve_config.applications.0.runtime_env.excludes", ["*.bin", "*.log"]),
    ),
    Case(
        "deploy",
        "--requirements -r",
        ("REQUIREMENTS",),
        applied("ray_serve_config.applications.0.runtime_env.pip", ["emoji==1.2.0"]),
    ),
    Case("deploy", "--in-place -i", (), applied("rollout_strategy", "IN_PLACE")),
    Case("deploy", "--canary-percent", ("20",), applied("canary_percent", 20)),
    Case("deploy", "--max-surge-percent", ("30",), applied("max_surge_percent", 30)),
    Case("deploy", "--env", ("B=9",), applied("config.env_vars", {"A": "1", "B": "9"})),
    Case(
        "deploy",
        "--py-module",
        ("FOLDER",),
        applied("ray_serve_config.applications.0.runtime_env.py_modules", lambda found: len(found) == 1),
    ),
    Case("deploy", "--cloud", ("local",), place("cloud")),
    Case("deploy", "--project", ("default",), place("project")),
    Case("status", "--name -n", ("recommender",), both(looked_up, names), ()),
    Case("status", "--config-file -f", ("CONFIG",), both(looked_up, names), ()),
    Case("status", "--cloud", ("local",), place("cloud")),
    Case("status", "--project", ("default",), place("project")),
    Case("status", "--json -j", (), is_json),
    Case("status", "--verbose -v", (), lambda _, got: "main:app" in got.stdout),
    Case("wait", "--name -n", ("recommender",), looked_up, ()),
    Case("wait", "--config-file -f", ("CONFIG",), looked_up, ()),
    Case("wait", "--cloud", ("local",), place("cloud")),
    Case("wait", "--project", ("default",), place("project")),
    Case("wait", "--state -s", ("running",), ran),
    Case(
        "wait",
        "--timeout-s -t",
        ("3",),
        lambda _, got: "within 3 s" in got.stderr,
        ("-n", "recommender", "-s", "UPDATING"),
    ),
    *(
        case
        for verb in ("rollback", "terminate")
        for case in (
            Case(verb, "--service-id --id", ("ID",), both(by_id, posted(verb)), ()),
            Case(verb, "--name -n", ("recommender",), both(looked_up, posted(verb)), ()),
            Case(
                verb,
                "--project-id",
                ("prj_local11111111111111111111111",),
                listed("project_id", "prj_local11111111111111111111111"),
            ),
            Case(
                verb, "--config-file -f --service-config-file", ("CONFIG",), both(looked_up, posted(verb)), ()
            ),
        )
    ),
    Case(
        "rollback",
        "--max-surge-percent",
        ("30",),
        lambda plane, _: plane.sent[-1].body == {"max_surge_percent": 30},
    ),
    *(
        case
        for verb, did in (("archive", ran), ("delete", ran))
        for case in (
            Case(verb, "--service-id --id", ("ID",), both(by_id, did), ()),
            Case(verb, "--name -n", ("recommender",), both(looked_up, did), ()),
            Case(verb, "--cloud", ("local",), both(place("cloud"), did)),
            Case(verb, "--project", ("default",), both(place("project"), did)),
        )
    ),
]

NAMED = ("-n", "recommender")
BESIDE = {"list": (), "deploy": ("-f", "CONFIG")}


def spelled(case: Case) -> list[str]:
    return case.spellings.split() if case.spellings.startswith("-") else [""]


@pytest.fixture
def ready(run, plane, config, running, tmp_path):
    """What the command under test needs: a rollout to roll back, an end to archive; and the words for files and ids."""

    def prepare(command: str) -> dict[str, str]:
        if command == "rollback":
            run("deploy", "-f", str(config), "--version-name", "v2", "--canary-percent", "10")
        if command in {"archive", "delete"}:
            run("terminate", "recommender")
            run("wait", "recommender", "-s", "terminated")
        (tmp_path / "requirements.txt").write_text("emoji==1.2.0  # smile\n")
        (tmp_path / "Containerfile").write_text("FROM python\n")
        words = {
            "ID": plane.service("recommender").id,
            "CONFIG": str(config),
            "REQUIREMENTS": str(tmp_path / "requirements.txt"),
            "CONTAINERFILE": str(tmp_path / "Containerfile"),
            "FOLDER": str(config.parent / "app"),
        }
        plane.sent.clear()
        return words

    return prepare


@pytest.mark.parametrize(
    ("case", "spelling"),
    [
        pytest.param(case, spelling, id=f"{case.command} {spelling or case.spellings}")
        for case in CASES
        for spelling in spelled(case)
    ],
)
def test_an_option_of_the_reference_works(run, plane, ready, case, spelling):
    """Under `anyservice service`, so that a script changes one word."""
    words = ready(case.command)
    beside = BESIDE.get(case.command, NAMED) if case.beside is None else case.beside
    args = [*beside, *([spelling] if spelling else []), *case.value]
    result = run("service", case.command, *(words.get(arg, arg) for arg in args))
    assert "Usage:" not in result.stderr
    assert case.follows(plane, result), (result.output, plane.sent)


def test_every_option_of_the_reference_was_run():
    """What the docs say works, works."""
    table = {(command, spellings) for command, options in parity.COMMANDS.items() for spellings in options}
    assert {(case.command, case.spellings) for case in CASES} == table


@pytest.mark.parametrize("name", parity.FUNCTIONS)
def test_a_function_takes_what_the_reference_says(name):
    """By the same names, with the same defaults."""
    parameters = inspect.signature(getattr(service, name)).parameters
    for parameter, default in parity.FUNCTIONS[name].items():
        assert parameter in parameters
        if default is not parity.REQUIRED:
            assert parameters[parameter].default == default


@pytest.mark.parametrize("name", parity.MODELS)
def test_a_model_has_what_the_reference_says(name):
    """Fields, and the methods of those that users make."""
    model = getattr(anyservice_core, name)
    assert set(parity.MODELS[name]) <= set(model.model_fields)
    assert callable(model.to_dict)
    assert hasattr(model, "options") is ("Status" not in name)


def test_the_states_are_those_of_the_reference():
    """In the enumeration, in the options of the command line, and in the table."""
    from anyservice_core import ServiceSortField, ServiceState
    from anyservice_core.cli.types import SORTS, STATES

    assert parity.STATES == tuple(ServiceState) == STATES
    assert tuple(ServiceSortField) == SORTS


def test_the_short_way_is_the_same_command():
    """`anyservice X` is `anyservice service X`."""
    group = root.get_command(None, "service")
    for name in parity.COMMANDS:
        assert group.get_command(None, name) is root.get_command(None, name)


def test_a_status_reads_as_in_the_reference(run, running):
    """Name first, then the id, the state and the versions, as YAML."""
    shown = yaml.safe_load(run("status", "-n", "recommender").stdout)
    assert list(shown)[:3] == ["name", "id", "state"]
    assert {"id", "state", "weight", "created_at"} <= shown["primary_version"].keys()
