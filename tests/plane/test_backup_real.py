"""A machine that was lost: the plane and all that ran are killed, their folder is gone, a backup brings them back."""

from __future__ import annotations

import shutil
import time

import httpx
import pytest

from anyservice_core.plane import control
from anyservice_core.plane.backup import backup, restore

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


def test_a_lost_plane_serves_again_at_the_same_addresses(make_plane, loading, tmp_path):
    """Saved in the middle of a rollout, under load: the same URL, tokens, versions and weights afterwards."""
    plane = make_plane("process")
    with plane.client() as client:
        client.deploy(plane.config(tmp_path, "v1"))
        status = client.wait("svc", poll_interval_s=0.2)
        client.deploy(plane.config(tmp_path, "v2"), canary_percent=50)
        client.wait("svc", state="ROLLING_OUT", version="v2", canary_weight=50, poll_interval_s=0.2)
    with loading(status.query_url, status.query_auth_token) as load:
        load.wait_for("v1", 5)
        backup(plane.state_dir, tmp_path / "plane.backup")
        load.wait_for("v2", 5)
    assert load.failures == []
    token = plane.record["token"]
    plane.kill()
    control.down(plane.state_dir)
    shutil.rmtree(plane.state_dir)
    restore(tmp_path / "plane.backup", plane.state_dir)
    plane.up()
    assert plane.record["token"] == token
    with plane.client() as client:
        again = client.wait("svc", state="ROLLING_OUT", version="v2", canary_weight=50, poll_interval_s=0.2)
    assert (again.query_url, again.query_auth_token) == (status.query_url, status.query_auth_token)
    seen = set()
    deadline = time.monotonic() + 30
    while seen != {"v1", "v2"}:
        assert time.monotonic() < deadline
        headers = {"Authorization": f"Bearer {status.query_auth_token}"}
        answer = httpx.get(status.query_url, headers=headers, trust_env=False)
        seen |= {answer.text} if answer.status_code == 200 else set()
