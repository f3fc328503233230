"""Every state comes from the tables: nobody sets one by hand."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from anyservice_core import plane
from anyservice_core.errors import ConflictError
from anyservice_core.models.enums import ServiceState as S
from anyservice_core.plane.changes import Birth, archive, check_delete, deploy, restart
from tests.plane.world import World, apply

ROOMS = sorted(path for path in Path(plane.__path__[0]).rglob("*.py") if path.parent.name != "engines")


def advanced(function: ast.AST) -> set[str]:
    """Names that are given what ``advance``, or a function named for it, answers."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Assign) and is_advance(node.value)]
    return {target.id for node in calls for target in node.targets if isinstance(target, ast.Name)}


def is_advance(node: ast.AST) -> bool:
    named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return named and node.func.id in {"advance", "_only_ended"}  # type: ignore[attr-defined]


def states_set(function: ast.AST) -> list[ast.expr]:
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    moves = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "replace"]
    return [word.value for call in moves for word in call.keywords if word.arg == "state"]


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.stem)
def test_no_state_is_set_but_by_the_table(room):
    """Each ``replace(state=...)`` of the plane has what ``advance`` gave for an event."""
    tree = ast.parse(room.read_text())
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        known = advanced(function)
        for value in states_set(function):
            by_name = isinstance(value, ast.Name) and value.id in known
            assert by_name or is_advance(value), f"{room.name}:{value.lineno} sets {ast.unparse(value)}"


def test_the_search_finds_what_sets_states():
    """At least those moves that there are, so that another spelling of them does not escape it."""
    found = sum(len(states_set(ast.parse(room.read_text()))) for room in ROOMS)
    assert found >= 12


@pytest.mark.parametrize("move", [lambda s: restart(s, birth()), archive, check_delete])
def test_only_what_has_ended_is_restarted_archived_or_deleted(move):
    """A refusal says in which state it is possible, and how to get there."""
    world = World()
    world.deploy("v1")
    with pytest.raises(ConflictError, match=r"is RUNNING: .* possible in TERMINATED.*Terminate it first"):
        move(world.tick(5))
    move(world.service.replace(state=S.TERMINATED))


def birth() -> Birth:
    return Birth(1000.0, "fake", "cld", "prj", lambda: 8700)


def test_a_restart_runs_what_ran_last():
    """Under the same id and port, as a version of its own."""
    ended = deploy(None, apply("v1"), birth()).replace(state=S.TERMINATED, archived=False)
    again = restart(ended, birth())
    assert (again.id, again.port, again.state) == (ended.id, ended.port, S.STARTING)
    assert again.primary.spec == ended.primary.spec
    assert again.primary.id != ended.primary.id
