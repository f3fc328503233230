"""No deploy breaks the plane: what could never start is refused by its name, and what surprises it harms nobody else."""

from __future__ import annotations

import logging

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyservice_core.plane.engines.base import EngineState, Observed
from anyservice_core.testing import HOST, TOKEN, FakePlane
from tests.plane.api import apply, detail, served


def app(**fields) -> dict:
    return {"import_path": "main:app", **fields}


def env(**fields) -> dict:
    return {"ray_serve_config": {"applications": [app(runtime_env=fields)]}}


def serve(**fields) -> dict:
    return {"ray_serve_config": {"applications": [app()], **fields}}


def apps(*applications: dict) -> dict:
    return {"ray_serve_config": {"applications": [*applications]}}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (env(env_vars={"A": "x\0y"}), "env_vars.A"),
        (env(env_vars={"A\0": "x"}), "env_vars"),
        (env(env_vars={"A=B": "x"}), "env_vars.A=B"),
        (env(env_vars={"": "x"}), "env_vars"),
        (env(env_vars={"A": 1}), "env_vars.A"),
        (env(env_vars=["A"]), "env_vars"),
        ({"config": {"env_vars": {"A": "\0"}}}, "config.env_vars.A"),
        (env(pip="requests"), "pip"),
        (env(pip=[1]), "pip"),
        (env(pip=["a\0b"]), "pip"),
        (env(pip={"packages": "x"}), "pip"),
        (env(uv=[None]), "uv"),
        (env(py_executable=5), "py_executable"),
        (env(working_dir="file:///tmp/\0"), "working_dir"),
        (env(working_dir="file:///tmp/%00"), "working_dir"),
        (env(working_dir="file:///nowhere"), "working_dir"),
        (env(working_dir="file:///dev/zero"), "no folder and no file"),
        (env(working_dir="file://elsewhere/tmp"), "not a place"),
        (env(working_dir="file:tmp"), "not a place"),
        (env(working_dir="file:///etc/hostname"), "not a zip"),
        (env(working_dir="http://[x"), "working_dir"),
        (env(working_dir="s3://b/a.zip"), "s3"),
        (env(py_modules="x"), "py_modules"),
        (env(py_modules=[None]), "py_modules.0"),
        (apps(app(args=[1])), "args"),
        (apps(app(name=1)), "name"),
        (apps(app(route_prefix=1)), "route_prefix"),
        (apps(app(route_prefix="a")), "route_prefix"),
        (apps(app(), app()), "route_prefix '/' is given to 2"),
        (apps({"import_path": "main"}), "import_path"),
        (apps({"import_path": "main:app:more"}), "import_path"),
        (apps({"import_path": "main:app; rm -rf"}), "import_path"),
        (apps({"import_path": "...:..."}), "import_path"),
        (apps({}), "import_path"),
        (apps(), "applications"),
        (apps(*[app(route_prefix=f"/{n}") for n in range(101)]), "applications"),
        (serve(http_options="x"), "http_options"),
        (serve(http_options={"keep_alive_timeout_s": 0}), "http_options.keep_alive_timeout_s"),
        (serve(http_options={"keep_alive_timeout_s": "5s"}), "http_options.keep_alive_timeout_s"),
        (serve(grpc_options="x"), "grpc_options"),
        (serve(grpc_options={"grpc_servicer_functions": "x"}), "grpc_servicer_functions"),
        (serve(logging_config="x"), "logging_config"),
        ({"name": "a/b"}, "name"),
        ({"name": "-a"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "a" * 129}, "name"),
        ({"version": "v" * 257}, "version"),
        ({"version": ""}, "version"),
        ({"description": "d" * 10_001}, "description"),
        ({"tags": {str(n): "x" for n in range(101)}}, "tags"),
        ({"tags": {"": "x"}}, "tags"),
        ({"tags": {"k": "x" * 257}}, "tags.k"),
        ({"connection_ids": ["x"] * 101}, "connection_ids"),
        ({"canary_percent": "10"}, "canary_percent"),
        ({"canary_percent": True}, "canary_percent"),
        ({"rollout_strategy": "SLOWLY"}, "rollout_strategy"),
        ({"ray_serve_config": None}, "ray_serve_config"),
    ],
)
def test_what_could_never_start_is_refused_by_its_name(http, plane, asked, told):
    """As the client's error, before anything is written."""
    answer = apply(http, **asked)
    assert (answer.status_code, told in answer.text) == (422, True), answer.text
    assert detail(answer)
    assert plane.store.services() == []


@pytest.mark.parametrize(
    "asked",
    [
        env(env_vars={"A": "=", "B": ""}, pip=["requests==2.*"], excludes=["*.pyc"], conda="x", unknown={}),
        env(pip={"packages": ["requests"], "pip_check": False}, py_executable="python"),
        apps(
            app(route_prefix="/a", name="a", args={"x": [1, None]}, deployments=[{"name": "D"}]),
            app(route_prefix="/b", name="b", external_scaler_enabled=True),
            app(route_prefix=None, name="c"),
            app(route_prefix=None, name="d"),
        ),
        serve(
            http_options={"keep_alive_timeout_s": 5}, grpc_options={"port": 9000}, proxy_location="EveryNode"
        ),
        {"version": "v 1/β"},
    ],
)
def test_whatever_serve_knows_is_passed_on(http, asked):
    """What the plane does not read itself may be anything."""
    assert apply(http, **asked).status_code == 200


def test_no_value_of_a_variable_is_told(http):
    """It may be a secret, and a refusal is logged by clients."""
    answer = apply(http, **env(env_vars={"TOKEN": "s3cret\0"}))
    assert "TOKEN" in answer.text
    assert "s3cret" not in answer.text


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def some(*names: str) -> st.SearchStrategy:
    """One of these, with anything for its value, or none."""
    return st.dictionaries(st.sampled_from(names), JSON, max_size=1)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck])
@given(
    top=some(
        "config", "tracing_config", "ray_gcs_external_storage_config", "tags", "version", "canary_percent"
    ),
    serving=some("http_options", "grpc_options", "logging_config", "proxy_location"),
    application=some("name", "route_prefix", "args", "deployments", "runtime_env"),
    environment=some("working_dir", "py_modules", "env_vars", "pip", "uv", "py_executable", "conda"),
)
def test_no_shape_surprises_the_plane(top, serving, application, environment):
    """Whatever is somewhere in a deploy: it is refused, or it comes up, is shown and ends like any other."""
    applications = [app(**{"runtime_env": environment, **application})]
    with (
        FakePlane() as plane,
        httpx.Client(base_url=HOST, transport=plane.transport, cookies={"cli_token": TOKEN}) as http,
    ):
        answer = apply(http, **top, ray_serve_config={"applications": applications, **serving})
        assert answer.status_code in {200, 422}
        if answer.status_code == 200:
            path = f"/api/v2/services-v2/{answer.json()['result']['id']}"
            plane.advance(10)
            assert http.get(path).json()["result"]["current_state"] == "RUNNING"
            assert http.get("/metrics").status_code == 200
            http.post(f"{path}/terminate")
            plane.advance(60)
            assert http.delete(path).status_code == 204


# ── what nobody foresaw ─────────────────────────────────────────────────────


def pair(http, plane) -> tuple[str, str]:
    """Deploy a service that shall surprise the plane, and another one; give their ids."""
    ids = [apply(http, name=name).json()["result"]["id"] for name in ("odd", "plain")]
    plane.advance(10)
    return (ids[0], ids[1])


def state(http, id: str) -> str:
    return http.get(f"/api/v2/services-v2/{id}").json()["result"]["current_state"]


def test_a_start_that_surprises_ends_that_deploy_alone(http, plane, monkeypatch, caplog):
    """With what is known of it; the others come up."""
    start = plane.engine.start

    def surprising(spec):
        if spec.applications[0]["import_path"] == "odd:app":
            raise ValueError("embedded null byte")
        start(spec)

    monkeypatch.setattr(plane.engine, "start", surprising)
    odd = apply(http, name="odd", ray_serve_config=served("odd:app")).json()["result"]["id"]
    plain = apply(http, name="plain").json()["result"]["id"]
    plane.advance(60)
    assert (state(http, odd), state(http, plain)) == ("UNHEALTHY", "RUNNING")
    shown = http.get(f"/api/v2/services-v2/{odd}").json()["result"]
    assert "ValueError: embedded null byte" in shown["error_message"]
    assert sum("cannot be started" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("where", ["observe", "route", "stop"])
def test_a_service_that_surprises_keeps_nobody_waiting(http, plane, monkeypatch, caplog, where):
    """It stays as it is, which is told once; another one is rolled out and ended meanwhile."""
    odd, plain = pair(http, plane)
    host = plane.service("odd").primary.host
    observe, stop = plane.engine.observe, plane.engine.stop
    from anyservice_core.plane import loop

    route = loop.route

    def surprising(call, mine):
        def surprised(asked, *more):
            if mine(asked):
                raise KeyError(where)
            return call(asked, *more)

        return surprised

    if where == "observe":
        monkeypatch.setattr(plane.engine, "observe", surprising(observe, lambda asked: asked == host))
    if where == "route":
        monkeypatch.setattr(loop, "route", surprising(route, lambda service: service.id == odd))
    if where == "stop":
        monkeypatch.setattr(plane.engine, "stop", surprising(stop, lambda asked: asked == host))
        http.post(f"/api/v2/services-v2/{odd}/terminate")
    with caplog.at_level(logging.ERROR):
        http.post(f"/api/v2/services-v2/{plain}/terminate")
        plane.advance(60)
    assert state(http, plain) == "TERMINATED"
    assert [one.service_id for one in plane.router.routes] == [odd]  # whoever asked it still may
    assert sum("stays as it is" in record.message for record in caplog.records) == 1
    monkeypatch.undo()
    plane.engine.faults[host] = Observed(EngineState.RUNNING, ("127.0.0.1", 1))
    http.post(f"/api/v2/services-v2/{odd}/terminate")
    plane.advance(60)
    assert state(http, odd) == "TERMINATED"
