"""Wrong tokens: refused, and after a while told to wait, which never keeps anybody waiting who has the right one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import anyservice_core.plane
from anyservice_core.errors import AuthError, UnavailableError
from anyservice_core.plane import guard
from anyservice_core.plane.guard import AT_ONCE, FORGIVEN_S, Guard

RIGHT, WRONG = {"cookie": "cli_token=aph0_right"}, {"authorization": "Bearer aph0_wrong"}


@pytest.fixture
def door(clock) -> Guard:
    return Guard("aph0_right", clock)


def refused(door: Guard, address: str = "10.0.0.1", headers=WRONG) -> str:
    with pytest.raises((AuthError, UnavailableError)) as caught:
        door.admit(headers, address)
    return str(caught.value.status)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        WRONG,
        {"cookie": "cli_token="},
        {"cookie": "cli_token"},
        {"cookie": "other=aph0_right"},
        {"authorization": "aph0_right"},
        {"authorization": "Basic aph0_right"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer \xff\udcff"},
    ],
)
def test_whatever_is_not_the_token_is_refused(door, headers):
    """In whatever form it comes."""
    assert refused(door, headers=headers) == "401"


@pytest.mark.parametrize(
    "headers",
    [
        RIGHT,
        {"cookie": "a=b; cli_token=aph0_right ; c"},
        {"authorization": "bearer  aph0_right "},
    ],
)
def test_the_token_is_let_in(door, headers):
    """As a cookie among others, or as a bearer token."""
    door.admit(headers, "10.0.0.1")


def test_a_plane_without_a_token_lets_nobody_in(clock):
    """An empty secret is none."""
    assert refused(Guard("", clock), headers={}) == "401"


def test_many_wrong_tokens_are_told_to_wait(door, clock):
    """For as long as it takes until one is forgiven; then one more may be wrong."""
    assert [refused(door) for _ in range(AT_ONCE + 2)] == ["401"] * AT_ONCE + ["429"] * 2
    with pytest.raises(UnavailableError) as caught:
        door.admit(WRONG, "10.0.0.1")
    assert caught.value.retry_after_s == FORGIVEN_S
    clock.now += FORGIVEN_S
    assert [refused(door) for _ in range(2)] == ["401", "429"]


def test_who_waits_is_not_made_to_wait_longer_by_asking(door, clock):
    """Else a client that keeps asking would never come out of it."""
    for _ in range(AT_ONCE):
        refused(door)
    for _ in range(50):
        clock.now += FORGIVEN_S / 100
        assert refused(door) == "429"
    clock.now += FORGIVEN_S / 2
    assert refused(door) == "401"


def test_the_right_token_is_never_kept_waiting(door):
    """Whatever others at the same address do."""
    for _ in range(10 * AT_ONCE):
        refused(door)
        door.admit(RIGHT, "10.0.0.1")


def test_one_address_does_not_speak_for_another(door):
    """Each has its own account; those of one household of the longer kind have one together."""
    for _ in range(AT_ONCE + 1):
        refused(door, "10.0.0.1")
        refused(door, "2001:db8::1")
    assert refused(door, "10.0.0.2") == "401"
    assert refused(door, "2001:db8::2") == "429"
    assert refused(door, "2001:db8:0:1::1") == "401"
    assert refused(door, "somewhere") == "401"


def test_a_clock_that_is_set_back_forgives_nothing(door, clock):
    """Nor does it hold anything against anybody for longer."""
    for _ in range(AT_ONCE):
        refused(door)
    clock.now -= 5000
    assert refused(door) == "429"
    clock.now += FORGIVEN_S
    assert refused(door) == "401"


def test_no_crowd_of_addresses_fills_the_memory(door, monkeypatch):
    """The ones that were wrong longest ago are forgotten first."""
    monkeypatch.setattr(guard, "_MOST_ADDRESSES", 10)
    for number in range(100):
        refused(door, f"10.0.0.{number}")
    assert len(door._due) == 10


# ── what no part of the plane may do ────────────────────────────────────────

SOURCES = sorted(Path(anyservice_core.plane.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_part_of_the_plane_uses_a_shell(path):
    """What users name is passed on as it is, word for word, and never read as a command."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword):
            assert node.arg != "shell"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            called = f"{node.value.id}.{node.attr}"
            assert called not in {
                "os.system",
                "os.popen",
                "subprocess.getoutput",
                "subprocess.getstatusoutput",
                "asyncio.create_subprocess_shell",
            }


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_part_of_the_plane_compares_a_secret_by_equality(path):
    """``==`` tells by its time how much of a guess is right."""
    secrets = {"token", "signature", "second_token", "auth_token", "code", "secret"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            sides = [node.left, *node.comparators]
            names = {side.attr for side in sides if isinstance(side, ast.Attribute)}
            assert not names & secrets, f"{path.name}:{node.lineno}"
