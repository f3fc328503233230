"""Traces, and a Redis for the state of a cluster: what is refused, and what really comes of them."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anyservice_core.errors import PlaneError
from anyservice_core.plane.engines import EngineState, Observed, RayEngine, VersionSpec
from anyservice_core.plane.engines.ray_cluster_wide import Storage, tracing_options

SERVERS = Path(__file__).parents[3] / ".tools" / "servers"
TRACED = {"enabled": True, "exporter_import_path": None, "sampling_ratio": 1.0}


@pytest.mark.parametrize("config", [None, {}, {**TRACED, "enabled": False}])
def test_no_traces_unless_they_are_asked_for(config: Any) -> None:
    """A config that is there and says no is none."""
    assert tracing_options(config) is None


@pytest.mark.skipif(importlib.util.find_spec("opentelemetry") is None, reason="needs OpenTelemetry")
@pytest.mark.parametrize("exporter", [None, "json:dumps", "os.path.join"])
def test_traces_go_to_an_exporter_that_can_be_imported(exporter: str | None) -> None:
    """In both spellings; without one Serve has its own."""
    options = tracing_options({**TRACED, "exporter_import_path": exporter})
    assert options == {"enabled": True, "exporter_import_path": exporter or "", "sampling_ratio": 1.0}


@pytest.mark.skipif(importlib.util.find_spec("opentelemetry") is None, reason="needs OpenTelemetry")
@pytest.mark.parametrize(
    "exporter", ["nowhere_at_all:export", "nowhere_at_all.export", "export", "json.no.x"]
)
def test_an_exporter_that_is_not_there_is_named(exporter: str) -> None:
    """Before a cluster is started for it."""
    with pytest.raises(PlaneError, match="exporter_import_path") as caught:
        tracing_options({**TRACED, "exporter_import_path": exporter})
    assert exporter in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["redis", "redis://", "127.0.0.1", "127.0.0.1:port", "ftp://127.0.0.1:1", "redis://u:p@127.0.0.1:1"],
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """With the forms that are taken."""
    with pytest.raises(PlaneError, match="no address of a Redis") as caught:
        Storage.of({"enable": True, "address": address})
    assert "host:port" in str(caught.value.hint)


def test_storage_without_an_address_has_none_to_fall_back_on() -> None:
    """The platform has one for a cloud; a plane on one machine has not."""
    with pytest.raises(PlaneError, match="without an address"):
        Storage.of({"enable": True, "address": None})


def test_a_redis_that_does_not_answer_is_found_out_at_once() -> None:
    """Ray would try for minutes."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        with pytest.raises(PlaneError, match="nothing answers at"):
            Storage.of({"enable": True, "address": f"127.0.0.1:{deaf.getsockname()[1]}"})


@pytest.mark.parametrize(
    ("given", "told"), [("{}", "redis://{}"), ("redis://{}", "redis://{}"), ("http://{}", "redis://{}")]
)
def test_ray_is_told_where_and_under_which_name(given: str, told: str) -> None:
    """Each cluster under a name of its own, in every spelling of an address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"
        config = {"enable": True, "address": given.format(where), "redis_certificate_path": "/ca.crt"}
        one, other = Storage.of(config), Storage.of(config)
        assert one is not None
        assert other is not None
        assert one.variables()["RAY_REDIS_ADDRESS"] == told.format(where)
        assert "RAY_REDIS_CA_CERT" not in one.variables()
        assert one.namespace != other.namespace
        secure = Storage.of({**config, "address": f"rediss://{where}"})
        assert secure is not None
        assert secure.variables()["RAY_REDIS_CA_CERT"] == "/ca.crt"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """A real server, and its own client."""
    if not (SERVERS / "redis-server").exists():
        pytest.skip("no Redis here: scripts/servers brings it")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    options = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen([str(SERVERS / "redis-server"), *options], stdout=subprocess.PIPE, text=True)

    def ask(*words: str) -> str:
        return subprocess.run(
            [str(SERVERS / "redis-cli"), "-p", port, *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        assert server.stdout is not None
        assert any("ready to accept" in line.lower() for line in server.stdout), "it never came up"
        ask.address = f"127.0.0.1:{port}"  # type: ignore[attr-defined]
        yield ask
    finally:
        server.kill()
        server.communicate()


@pytest.mark.real
@pytest.mark.ray
@pytest.mark.timeout(240)
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray")
def test_a_cluster_keeps_its_state_in_redis_and_writes_its_traces(
    ray_engine: RayEngine, code: Path, settle: Callable[..., Observed], home: Path, redis: Callable[..., str]
) -> None:
    """Spans of a request are found in its logs, keys in Redis; and no key when it was stopped."""
    application = {"import_path": "served:app", "runtime_env": {"working_dir": str(code)}}
    storage = {"enable": True, "address": redis.address}  # type: ignore[attr-defined]
    ray_engine.start(VersionSpec("v1", (application,), tracing_config=TRACED, external_storage=storage))
    observed = settle(ray_engine, "v1", timeout_s=200)
    assert observed.state is EngineState.RUNNING, observed
    assert int(redis("dbsize")) > 0
    with urllib.request.urlopen("http://{}:{}/".format(*observed.address or ()), timeout=30) as reply:
        assert reply.status == 200
    folder = home / "state/hosts/v1/ray-logs/serve/spans"
    deadline = time.monotonic() + 30  # a span ends after its answer
    while not any("trace_id" in path.read_text() for path in folder.glob("replica_*")):
        assert time.monotonic() < deadline, list(folder.glob("*"))
        time.sleep(0.05)
    ray_engine.stop_all()
    assert redis("dbsize") == "0"
