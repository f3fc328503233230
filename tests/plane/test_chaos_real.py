"""Traffic never notices: neither what is asked of the plane, nor its death. The long form of this is `make chaos`."""

from __future__ import annotations

import os
import random

import pytest

from tests.plane.chaos.run import Chaos, Plan, report
from tests.plane.test_plane_real import children_of

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def test_users_notice_nothing_of_all_that_happens(make_plane, tmp_path):
    """Weights, rollouts, an update, the death of plane and canary under 200 requests a second: none dropped, none wrong."""
    plane = make_plane("process")
    chaos = Chaos(
        plane, tmp_path / "chaos", Plan(rollouts=2, weights=10, in_place=1, kills=("plane", "canary"))
    )
    verdict = chaos.run()
    told = report(chaos, verdict)
    print(told)
    assert (verdict.dropped, verdict.wrong) == ([], []), told
    assert min(verdict.sent[kind] for kind in ("kept", "fresh", "pinned", "post", "stream", "talk")) > 50
    assert verdict.cut.keys() <= {"the whole canary"}
    plane.down()
    assert children_of(plane.state_dir) == []


def test_the_plane_may_die_at_any_moment(make_plane, tmp_path):
    """Ten kills at random moments of rollouts and updates: each next plane goes on, and users notice none of them."""
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    plane = make_plane("process")
    chaos = Chaos(plane, tmp_path / "chaos", Plan(rps=100))
    verdict = chaos.under_traffic(lambda: chaos.killed_again_and_again(10, seed))
    told = f"CHAOS_SEED={seed}\n{report(chaos, verdict)}"
    print(told)
    assert (verdict.dropped, verdict.wrong, verdict.cut) == ([], [], {}), told
    plane.down()
    assert children_of(plane.state_dir) == []
