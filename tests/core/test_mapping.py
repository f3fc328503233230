from __future__ import annotations

import pickle

import pytest

from anyservice_core import RayGCSExternalStorageConfig, ServiceConfig, ServiceState, TracingConfig
from anyservice_core.models.mapping import apply_from_config, serve_config, service_id, status_from_wire
from anyservice_core.models.wire import ServiceWire

IDS = {"build_id": "bld_1", "compute_config_id": "cpt_1", "project_id": "prj_1"}


def test_shared_settings_go_into_every_application():
    """The config's variables over the application's, the rest of its own environment kept."""
    config = ServiceConfig(
        applications=[
            {"import_path": "a:a", "runtime_env": {"env_vars": {"A": "own", "B": "own"}, "pip": ["x"]}},
            {"import_path": "b:b", "route_prefix": None},
        ],
        working_dir="s3://b/w.zip",
        env_vars={"A": "shared"},
        py_executable="uv run",
    )
    one, two = serve_config(config)["applications"]
    assert one["runtime_env"]["env_vars"] == {"A": "shared", "B": "own"}
    assert one["runtime_env"]["pip"] == ["x"]
    assert two["runtime_env"]["working_dir"] == "s3://b/w.zip"
    assert two["route_prefix"] is None


def test_an_application_keeps_what_it_lists_itself():
    """Modules and excludes for all come after its own instead of in their place."""
    own = {"py_modules": ["s3://b/own.zip"], "excludes": ["*.own"]}
    config = ServiceConfig(
        applications=[{"import_path": "a:a", "runtime_env": own}, {"import_path": "b:b"}],
        py_modules=["s3://b/shared.zip"],
        excludes=["*.shared"],
    )
    one, two = (application["runtime_env"] for application in serve_config(config)["applications"])
    assert one == {"py_modules": ["s3://b/own.zip", "s3://b/shared.zip"], "excludes": ["*.own", "*.shared"]}
    assert two == {"py_modules": ["s3://b/shared.zip"], "excludes": ["*.shared"]}


def test_the_rest_has_its_own_place():
    """The names that the API has for them."""
    body = apply_from_config(
        ServiceConfig(
            name="a",
            version_name="v2",
            applications=[{"import_path": "a:a"}],
            query_auth_token_enabled=False,
            grpc_options={"service_names": ["x.Y"]},
            http_options={"request_timeout_s": 5},
            ray_gcs_external_storage_config=RayGCSExternalStorageConfig(address="redis"),
            tracing_config=TracingConfig(sampling_ratio=0.5),
            tags={"team": "x"},
        ),
        canary_percent=10,
        **IDS,
    ).body()
    assert body["version"] == "v2"
    assert body["config"]["access"] == {"use_bearer_token": False}
    assert body["config"]["protocols"]["grpc"] == {"enabled": True, "port": 9000, "service_names": ["x.Y"]}
    assert body["ray_gcs_external_storage_config"] == {
        "enable": True,
        "address": "redis",
        "redis_certificate_path": "/etc/ssl/certs/ca-certificates.crt",
    }
    assert body["tracing_config"] == {"enabled": True, "sampling_ratio": 0.5}
    assert body["ray_serve_config"]["http_options"] == {"request_timeout_s": 5}
    assert body["tags"] == {"team": "x"}


def test_a_status_is_read(shapes):
    """Both versions, the token, and what is known of their configs."""
    wire = shapes.service(
        creator={"id": "usr_1", "email": "me@example.com"},
        canary_version=shapes.version(
            "srv_bbbbbbbb", version="v2", weight=10, tracing_config={"enabled": True}
        ),
    )
    status = status_from_wire(ServiceWire.model_validate(wire))
    assert status.state is ServiceState.RUNNING
    assert (status.creator, status.query_auth_token) == ("me@example.com", "tok_secret")
    assert status.primary_version is not None
    assert status.primary_version.config.applications == [{"import_path": "main:app"}]
    assert status.canary_version is not None
    assert (status.canary_version.name, status.canary_version.weight) == ("v2", 10)
    assert status.version("v2") is status.canary_version
    assert status.version("v3") is None
    assert pickle.loads(pickle.dumps(status)) == status


def test_a_status_as_plain_values_is_json(shapes):
    """Times are text, configs without what is not given."""
    fields = status_from_wire(ServiceWire.model_validate(shapes.service())).to_dict()
    assert fields["primary_version"]["created_at"] == "2026-01-01T00:00:00Z"
    assert "image_uri" not in fields["primary_version"]["config"]
    assert fields["versions"] == [fields["primary_version"]]


def test_a_checklist_is_read_with_the_versions_by_name(shapes):
    """What all share first; a version that the server tells no more of keeps its id."""
    item = {"kind": "K", "label": "Host", "state": "RUNNING", "observed_at": "2026-01-01T00:00:00Z"}
    here = shapes.service()["primary_version"]
    parts = [{"version_id": id, "items": [item]} for id in (here["id"], "srv_gone")]
    shared = [{"kind": "K", "label": "Router", "state": "UNHEALTHY", "message": "no answer"}]
    wire = shapes.service(service_status_checklist={"shared": shared, "per_version": parts})
    status = status_from_wire(ServiceWire.model_validate(wire))
    assert [(c.label, c.version, c.state, c.message) for c in status.checklist] == [
        ("Router", None, "UNHEALTHY", "no answer"),
        ("Host", here["version"], "RUNNING", ""),
        ("Host", "srv_gone", "RUNNING", ""),
    ]
    assert status.to_dict()["checklist"][1]["since"] == "2026-01-01T00:00:00Z"
    without = status_from_wire(ServiceWire.model_validate(shapes.service()))
    assert (without.checklist, "checklist" in without.to_dict()) == ([], False)


def test_the_query_token_is_in_no_repr(shapes):
    """Neither of the status nor of the wire."""
    wire = ServiceWire.model_validate(shapes.service())
    assert "tok_secret" not in repr(wire) + repr(status_from_wire(wire))


@pytest.mark.parametrize(
    ("raw", "state", "message"),
    [
        ("running", ServiceState.RUNNING, None),
        ("Invented_Later", ServiceState.UNKNOWN, None),
        ("USER_ERROR_FAILURE", ServiceState.UNHEALTHY, "USER_ERROR_FAILURE"),
    ],
)
def test_no_state_breaks_a_client(shapes, raw, state, message):
    """Of services and versions alike; the server's own word is kept where ours is another."""
    wire = shapes.service(current_state=raw, primary_version=shapes.version(current_state=raw))
    status = status_from_wire(ServiceWire.model_validate(wire))
    assert (status.state, status.error_message) == (state, message)
    assert status.raw_state == (None if raw == "running" else raw)
    assert status.primary_version is not None
    assert status.primary_version.raw_state == status.raw_state
    assert ("raw_state" in status.to_dict()) is (status.raw_state is not None)


def test_a_stored_config_that_breaks_our_rules_is_read(shapes):
    """Another client may have deployed it."""
    odd = shapes.version(ray_serve_config={"applications": [{}], "http_options": {"port": 1}})
    status = status_from_wire(ServiceWire.model_validate(shapes.service(primary_version=odd)))
    assert status.primary_version is not None
    assert status.primary_version.config.http_options == {"port": 1}


def test_a_time_without_an_offset_is_utc(shapes):
    """So that ages can be computed."""
    wire = shapes.service(primary_version=shapes.version(created_at="2026-01-01T00:00:00"))
    status = status_from_wire(ServiceWire.model_validate(wire))
    assert status.primary_version is not None
    assert status.primary_version.created_at.utcoffset() is not None


def test_an_id_survives_pickling(shapes):
    """Airflow and Prefect send it between processes."""
    service = ServiceWire.model_validate(shapes.service())
    id = service_id(service, service.primary_version, "https://console.test")
    copy = pickle.loads(pickle.dumps(id))
    assert copy == id == "service2_1"
    assert (copy.version_id, copy.version_name, copy.service_name) == ("srv_aaaaaaaa", "v1", "recommender")
    assert copy.query_url == "http://recommender.test"
    assert copy.console_url == "https://console.test/services/service2_1"
