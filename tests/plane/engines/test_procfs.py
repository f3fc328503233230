from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.plane.engines import procfs

TAIL = "S 1 4321 77 0 -1 4194304 1 0 0 0 5 6 0 0 20 0 1 0 987654 1000 200"


@given(st.text(st.characters(exclude_characters="\n"), max_size=15))
def test_any_command_name_is_read_past(name: str) -> None:
    """Spaces and parentheses in a command's name do not shift the fields after it."""
    stat = procfs.parse_stat(f"1234 ({name}) {TAIL}")
    assert stat == procfs.Stat(pid=1234, state="S", parent=1, session=77, start_ticks=987654)


@pytest.mark.parametrize(("state", "dead"), [("Z", True), ("X", True), ("S", False), ("D", False)])
def test_a_zombie_does_not_live(state: str, dead: bool) -> None:
    """Zombies and dead processes are told from living ones."""
    assert procfs.parse_stat(f"1 (x) {TAIL}".replace("S ", f"{state} ", 1)).is_zombie is dead


def test_this_process_is_found() -> None:
    """The table of processes holds this one, with its session."""
    mine = [stat for stat in procfs.stats() if stat.pid == os.getpid()]
    assert [stat.session for stat in mine] == [os.getsid(0)]


def test_a_process_that_is_not_there_is_none() -> None:
    """A pid that nobody has reads as nothing, not as an error."""
    assert procfs.read_stat(2**22 + 1) is None
    assert not procfs.has_environment(2**22 + 1, "A", "b")
