"""What holds for any config and for any answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyservice_core import Client, RayGCSExternalStorageConfig, ServiceConfig, TracingConfig
from anyservice_core.effects import Reply, Request, Together
from anyservice_core.errors import AnyserviceError
from anyservice_core.models.compute import ComputeConfig, HeadNodeConfig, WorkerNodeGroupConfig
from anyservice_core.models.mapping import apply_from_config, config_from_version
from anyservice_core.models.wire import ApplyService, ServiceWire, VersionWire
from anyservice_core.operations import services
from anyservice_core.operations.listing import listing
from anyservice_core.testing import TOKEN, FakePlane

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = st.text("abcxyz-_0123456789", min_size=1, max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
options = st.dictionaries(names, values, max_size=3)


# ── configs ──

uris = names.map(lambda name: f"s3://bucket/{name}.zip")
runtime_envs = st.fixed_dictionaries(
    {},
    optional={
        "env_vars": st.dictionaries(names, text, max_size=2),
        "pip": st.lists(names, max_size=2),
        "py_modules": st.lists(uris, max_size=2),
        "excludes": st.lists(names, max_size=2),
        "config": options,
    },
)
applications = st.fixed_dictionaries(
    {"import_path": st.tuples(names, names).map(":".join)},
    optional={
        "name": names,
        "route_prefix": names.map("/{}".format),
        "args": options,
        "runtime_env": runtime_envs,
    },
)
computes = st.builds(
    ComputeConfig,
    head_node=st.none() | st.builds(HeadNodeConfig, instance_type=names, resources=st.just({"CPU": 0})),
    worker_nodes=st.none() | st.lists(st.builds(WorkerNodeGroupConfig, instance_type=names), max_size=2),
    flags=st.none() | options,
)
fields = st.fixed_dictionaries(
    {"name": names, "applications": st.lists(applications, min_size=1, max_size=3)},
    optional={
        "version_name": names,
        "image_uri": names.map("host:80/{}:1".format),
        "ray_version": st.just("2.60.0"),
        "compute_config": names | computes,
        "working_dir": uris,
        "excludes": st.lists(names, max_size=2),
        "requirements": st.lists(names, max_size=2),
        "env_vars": st.dictionaries(names, text, max_size=2),
        "py_modules": st.lists(uris, max_size=2),
        "py_executable": text,
        "cloud": names,
        "project": names,
        "query_auth_token_enabled": st.booleans(),
        "http_options": st.dictionaries(names, values, max_size=2),
        "grpc_options": st.fixed_dictionaries(
            {}, optional={"port": st.integers(1, 65535), "service_names": st.lists(names, max_size=2)}
        ),
        "logging_config": options,
        "proxy_location": st.sampled_from(["EveryNode", "HeadOnly"]),
        "ray_gcs_external_storage_config": st.builds(
            RayGCSExternalStorageConfig,
            enabled=st.booleans(),
            address=st.none() | text,
            certificate_path=st.none() | names,
        ),
        "tracing_config": st.builds(
            TracingConfig,
            enabled=st.booleans(),
            exporter_import_path=st.none() | names,
            sampling_ratio=st.floats(0, 1),
        ),
        "tags": st.dictionaries(names, text, max_size=2),
        "connections": st.lists(names.map("conn_{}".format), max_size=2),
    },
)
configs = fields.map(lambda given: ServiceConfig(**given))


@given(configs)
def test_any_config_comes_back_from_a_file(tmp_path_factory, config):
    """As it was written."""
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(config.to_dict()), encoding="utf-8")
    assert ServiceConfig.from_yaml(file) == config


def sent(config: ServiceConfig) -> dict[str, Any]:
    """What goes over the wire, through JSON, as a server reads it."""
    body = apply_from_config(config, build_id="bld_1", compute_config_id="cpt_1", project_id="prj_1").body()
    read: dict[str, Any] = json.loads(json.dumps(body))
    assert ApplyService.model_validate(read).body() == body
    return read


def come_back(body: dict[str, Any]) -> ServiceConfig:
    """What a client reads of the version that a server made of this body, also through JSON."""
    version = {
        "id": "srv_1",
        "current_state": "RUNNING",
        "weight": 100,
        "version": body.get("version", ""),
        **{key: body[key] for key in ("ray_serve_config", "build_id", "compute_config_id")},
        **{key: body.get(key) for key in ("tracing_config", "ray_gcs_external_storage_config")},
    }
    token = "tok_1" if body["config"]["access"]["use_bearer_token"] else None
    service = ServiceWire(id="service2_1", name=body["name"], current_state="RUNNING", auth_token=token)
    return config_from_version(service, VersionWire.model_validate_json(json.dumps(version)))


@given(configs)
def test_any_config_comes_back_from_the_wire(config):
    """As far as the API gives it back; and what came back, sent again, says the same."""
    body = sent(config)
    back = come_back(body)
    assert (back.name, back.version_name) == (config.name, config.version_name)
    assert back.query_auth_token_enabled == config.query_auth_token_enabled
    for option in ("http_options", "grpc_options", "logging_config", "proxy_location"):
        assert getattr(back, option) == (getattr(config, option) or None)
    assert back.tracing_config == config.tracing_config
    if storage := config.ray_gcs_external_storage_config:
        certificates = storage.certificate_path or "/etc/ssl/certs/ca-certificates.crt"
        assert back.ray_gcs_external_storage_config == storage.options(certificate_path=certificates)
    again = sent(back)
    for key in ("name", "version", "ray_serve_config", "ray_gcs_external_storage_config", "tracing_config"):
        assert again.get(key) == body.get(key)
    assert again["config"]["protocols"] == body["config"]["protocols"]
    assert ServiceConfig(**back.to_dict()) == back


@given(configs)
def test_every_application_comes_back_with_what_all_share(config):
    """Its own fields untouched; the shared ones in its ``runtime_env``."""
    for own, back in zip(config.applications, come_back(sent(config)).applications, strict=True):
        env, shared = own.get("runtime_env") or {}, back.get("runtime_env") or {}
        assert {**back, "runtime_env": 0} == {**own, "runtime_env": 0}
        assert shared.get("working_dir") == config.working_dir
        assert shared.get("py_executable") == config.py_executable
        assert shared.get("config") == env.get("config")
        if config.env_vars is not None or "env_vars" in env:
            assert shared["env_vars"] == {**(env.get("env_vars") or {}), **(config.env_vars or {})}
        for key, of_all in (("py_modules", config.py_modules), ("excludes", config.excludes)):
            assert (shared.get(key) or []) == [*(env.get(key) or []), *(of_all or [])]


# ── answers ──

CONFIG = ServiceConfig(name="rec", version_name="v1", applications=[{"import_path": "main:app"}])
NEWER = CONFIG.options(version_name="v2", applications=[{"import_path": "main:new"}])
VERBS: dict[str, Callable[[Client], Any]] = {
    "deploy": lambda client: client.deploy(NEWER, canary_percent=50),
    "deploy in place": lambda client: client.deploy(NEWER, in_place=True),
    "shift": lambda client: client.shift("rec", canary_percent=50),
    "status": lambda client: client.status("rec").to_dict(),
    "wait": lambda client: client.wait("rec", timeout_s=60).to_dict(),
    "wait for a canary": lambda client: client.wait("rec", version="v2", canary_weight=10, timeout_s=60),
    "list": lambda client: [
        repr(one) for one in client.list(project="default", created_by_me=True, max_items=99)
    ],
    "rollback": lambda client: client.rollback("rec"),
    "terminate": lambda client: client.terminate("rec", cloud="default"),
    "archive": lambda client: client.archive("rec"),
    "delete": lambda client: client.delete("rec"),
}
junk = st.one_of(
    values,
    st.sampled_from(
        [-1, 2**70, 1e400, "NaN", "\ud800", "2026-99-99", "RUNNING", "NEWS", [[]], [None], [5], {"id": 5}]
    ),
)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inside = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    return [path, *(found for key, value in inside for found in places(value, (*path, key)))]


def changed(content: Any, path: tuple[Any, ...], value: Any, *, gone: bool) -> Any:
    """The same JSON with another value in one place, or with nothing there."""
    if not path:
        return value
    key, *rest = path
    copy = dict(content) if isinstance(content, dict) else list(content)
    if gone and not rest:
        del copy[key]
    else:
        copy[key] = changed(content[key], tuple(rest), value, gone=gone)
    return copy


@st.composite
def odd_services(draw):
    """A service as the API has them, with some of it gone or something else."""
    version = {
        "id": "srv_1",
        "version": "v1",
        "weight": 100,
        "current_state": "RUNNING",
        "created_at": "2026-01-01",
    }
    version |= {"ray_serve_config": draw(st.just({"applications": [{"import_path": "m:a"}]}) | serve_configs)}
    service = {"id": "service2_1", "name": "rec", "current_state": "RUNNING", "project_id": "prj_1"}
    service |= {"creator": {"id": "usr_1", "email": "me"}, "versions": [version], "primary_version": version}
    for _ in range(draw(st.integers(0, 3))):
        where = draw(st.sampled_from(places(service)[1:]))
        service = changed(service, where, draw(junk), gone=draw(st.booleans()))
    return service


serve_configs = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("applications", "http_options", "grpc_options", "logging_config", "proxy_location", "odd"), junk
    ),
)


@given(odd_services())
@settings(max_examples=400)
def test_any_service_is_read_and_shown_or_is_an_error_of_ours(service):
    """In a status, whole and in plain values; in a list, where it cannot hide its neighbours."""
    project = {"result": {"id": "prj_1", "name": "apps"}}
    try:
        status = _held(services.status(id="service2_1"), {"result": service}, project)
        json.dumps(status.to_dict()), repr(status), str(status)
    except AnyserviceError:
        pass
    good = {"id": "service2_2", "name": "good", "current_state": "RUNNING"}
    page = _held(listing().page(None), {"results": [good, service], "metadata": {}}, project)
    assert [one.name for one in page.items][:1] == ["good"]


def _held(op: Any, answer: Any, project: Any) -> Any:
    """Hold a conversation with a server that knows two answers."""
    try:
        effect = next(op)
        while True:
            match effect:
                case Request():
                    body = json.dumps(project if "projects" in effect.path else answer).encode()
                    effect = op.send(Reply(200, body))
                case Together(ops):
                    effect = op.send([_held(one, answer, project) for one in ops])
                case _:
                    effect = op.send(None)
    except StopIteration as stop:
        return stop.value


class Meddled(FakePlane):
    """A plane whose answers somebody meddles with, from some time on."""

    meddler: Callable[[httpx.Request], httpx.Response] | None = None

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.meddler or super().transport.handler)


class Meddler:
    """Lets a plane's answers through, each changed as hypothesis likes; at most ``often`` of them."""

    def __init__(self, inner: Any, data: st.DataObject) -> None:
        self.inner, self.data = inner, data
        self.left = data.draw(st.integers(1, 4), "how many answers")
        self.skips = data.draw(st.integers(0, 6), "after so many")

    def __call__(self, request: httpx.Request) -> httpx.Response:
        response = self.inner(request)
        assert isinstance(response, httpx.Response)
        if self.skips or not self.left:
            self.skips = max(0, self.skips - 1)
            return response
        self.left -= 1
        return self.data.draw(st.sampled_from([self.other_json, self.other_status, self.other_body]))(
            response
        )

    def other_json(self, response: httpx.Response) -> httpx.Response:
        content = response.json() if response.content else {}
        path = self.data.draw(st.sampled_from(places(content)), "where")
        other = changed(content, path, self.data.draw(junk), gone=self.data.draw(st.booleans()))
        return httpx.Response(200, content=json.dumps(other).encode())

    def other_status(self, response: httpx.Response) -> httpx.Response:
        status = self.data.draw(st.integers(200, 599), "status")
        headers = {"Retry-After": "1", **self.data.draw(st.dictionaries(heads, latin, max_size=2), "headers")}
        detail = {"error": self.data.draw(junk, "error")}
        content = self.data.draw(
            st.sampled_from([response.content, json.dumps(detail).encode(), b"[" * 3_000])
        )
        return httpx.Response(status, headers=headers, content=content)

    def other_body(self, response: httpx.Response) -> httpx.Response:
        cut = self.data.draw(st.integers(0, len(response.content)), "cut at")
        return httpx.Response(200, content=response.content[:cut] + self.data.draw(st.binary(max_size=8)))


heads = st.sampled_from(["Retry-After", "Date", "X-Trace-Id", "Content-Type"])
latin = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12) | st.sampled_from(
    ["-5", "1e400", "nan", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Oct 9999 99:99:99 GMT", "9" * 400]
)


@given(st.sampled_from([*VERBS]), st.booleans(), st.data())
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_no_answer_brings_out_a_foreign_error(verb, rolling_out, data):
    """Whatever a server says, at whichever point of a conversation, what comes out is a result or an error of ours."""
    with Meddled(start_s=1) as plane:
        with plane.client() as client:
            client.deploy(CONFIG)
            client.wait("rec")
            if rolling_out:
                client.deploy(NEWER, canary_percent=10)
                plane.advance(30)
        plane.meddler = Meddler(super(Meddled, plane).transport.handler, data)
        with plane.client() as client:
            # One after the other, since hypothesis draws in the thread of its test only.
            client._together = lambda ops: [client.run(op) for op in ops]
            try:
                VERBS[verb](client)
            except AnyserviceError as error:
                assert TOKEN not in f"{error} {error!r}"
