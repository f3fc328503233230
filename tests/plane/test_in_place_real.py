"""Updates in place for real: traffic that never stops while the code under it changes, and changes back."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from anyservice_core.errors import WaitFailedError
from anyservice_core.models.enums import ServiceState
from tests.plane.test_plane_real import ENGINES, children_of

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

# The promise is 250 ms on a machine that has the cores for it. Starting a worker of Ray takes one for two seconds, and
# two of them run all tests, the load and other people's work besides, so what is asserted leaves room for that.
STALL_MS = 2000


def settled(client: Any, **goal: Any) -> Any:
    return client.wait("svc", timeout_s=200, poll_interval_s=0.1, **goal)


@pytest.mark.parametrize("engine", ENGINES)
def test_updates_in_place_drop_and_delay_no_request(make_plane, loading, tmp_path, engine, record_property):
    """Three updates under load: none of the requests fails, not even slow ones under way, and ids and hosts stay."""
    plane = make_plane(engine)
    with plane.client() as client:
        client.deploy(plane.config(tmp_path, "one", named="v"))
        before = settled(client)
        slow_url = f"{before.query_url}/slow"
        with (
            loading(before.query_url, before.query_auth_token, 50) as load,
            loading(slow_url, before.query_auth_token, 50) as slow,
        ):
            load.wait_for("one", 40)
            slow.wait_for("one", 2)
            calm = load.slowest_ms()
            for code in ("two", "three", "four"):
                since = time.monotonic()
                client.deploy(plane.config(tmp_path, code, named="v"), in_place=True)
                assert client.status("svc").state is ServiceState.UPDATING
                after = settled(client)
                took_s = time.monotonic() - since
                load.wait_for(code, 100)
                slow.wait_for(code, 2)
                stall = load.slowest_ms(since)
                print(f"{engine}: {took_s:.1f} s to {code}; slowest {stall:.0f} ms, before {calm:.0f} ms")
                record_property(f"slowest_ms_{code}", stall)
                assert (after.id, after.primary_version.id) == (before.id, before.primary_version.id)
        assert (load.failures, slow.failures) == ([], [])
        assert load.slowest_ms() < STALL_MS
    plane.down()
    assert children_of(plane.state_dir) == []


def test_a_long_request_is_answered_by_the_code_that_began_it(make_plane, tmp_path):
    """The old process ends when it has answered, and not before, although new requests go to the new one."""
    plane = make_plane("process")
    with plane.client() as client, ThreadPoolExecutor(1) as pool:
        client.deploy(plane.config(tmp_path, "one", named="v"))
        status = settled(client)

        def get(path: str) -> str:
            headers = {"Authorization": f"Bearer {status.query_auth_token}"}
            return httpx.get(f"{status.query_url}{path}", headers=headers, timeout=30, trust_env=False).text

        long = pool.submit(get, "/long")
        client.deploy(plane.config(tmp_path, "two", named="v"), in_place=True)
        settled(client)
        assert (get("/"), long.done()) == ("two", False)
        assert long.result() == "one"
        host = plane.state_dir / "hosts" / status.primary_version.id / "host.json"
        deadline = time.monotonic() + 20
        while host.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_bad_update_leaves_the_old_code_serving(make_plane, loading, tmp_path, engine):
    """Whoever waits is told why; users get what they got before; the next update mends it."""
    plane = make_plane(engine)
    with plane.client() as client:
        client.deploy(plane.config(tmp_path, "one", named="v"))
        status = settled(client)
        with loading(status.query_url, status.query_auth_token) as load:
            load.wait_for("one", 5)
            bad = plane.config(tmp_path, "bad", named="v", code="import nothing_of_that_name")
            client.deploy(bad, in_place=True)
            with pytest.raises(WaitFailedError, match="nothing_of_that_name"):
                settled(client)
            load.wait_for("one", 20)
            assert client.status("svc").state is ServiceState.UNHEALTHY
            client.deploy(plane.config(tmp_path, "two", named="v"), in_place=True)
            settled(client)
            load.wait_for("two", 20)
        assert load.failures == []
        assert set(load.answers) == {"one", "two"}
    plane.down()
    assert children_of(plane.state_dir) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_the_plane_may_die_in_mid_update(make_plane, loading, tmp_path, engine):
    """After SIGKILL the old code serves on; the next plane finds what was wanted and goes on with it."""
    plane = make_plane(engine)
    with plane.client() as client:
        client.deploy(plane.config(tmp_path, "one", named="v"))
        status = settled(client)
    with loading(status.query_url, status.query_auth_token) as load:
        load.wait_for("one", 5)
        with plane.client() as client:
            client.deploy(plane.config(tmp_path, "two", named="v"), in_place=True)
        plane.kill()
        load.wait_for("one", 20)
        plane.up()
        with plane.client() as client:
            settled(client)
        load.wait_for("two", 20)
    assert load.failures == []
    plane.down()
    assert children_of(plane.state_dir) == []
