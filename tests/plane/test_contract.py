"""The contract, line by line: every request that official clients may send is answered, with all that they cannot do without.

What each needs was found out by taking it away from them, one field after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from anyservice_core.plane import catalog
from anyservice_core.testing import HOST, TOKEN
from tests.plane.api import apply, served

NEEDED = {
    "user": "id email name username verified organization_permission_level organization_ids organizations ld_hash"
    " ld_hash_fields pylon_hash",
    "organization": "id name public_identifier is_general_platform_enabled is_private_endpoints_enabled"
    " is_usage_blocked",
    "cloud": "id name provider region credentials type creator_id created_at is_default"
    " customer_aggregated_logs_config_id",
    "project": "id name description cluster_config created_at organization_id is_owner is_read_only"
    " directory_name is_default parent_cloud_id",
    "compute": "id name creator_id organization_id created_at last_modified_at config version anonymous creator",
    "config": "cloud_id head_node_type auto_select_worker_config cloud",
    "build": "id cluster_environment_id revision creator_id status created_at last_modified_at is_byod"
    " docker_image_name application_template_id creator",
    "environment": "id name organization_id creator_id created_at last_modified_at",
    "operation": "id completed cluster_environment_build_id",
    "presigned": "file_uri url file_exists bucket_name bucket_path url_scheme",
    "service": "id name project_id cloud_id creator_id created_at hostname current_state goal_state type"
    " auto_rollout_enabled versions primary_version service_observability_urls base_url creator is_multi_version",
    "version": "id created_at weight version ray_serve_config build_id compute_config_id production_job_ids"
    " current_state",
    "nothing": "",
}
# The parts that must be whole as well.
INNER = {
    "user": {"organizations": "organization"},
    "compute": {"config": "config"},
    "service": {"versions": "version", "primary_version": "version"},
}
CLOUD, PROJECT, COMPUTE = catalog.CLOUD.id, catalog.PROJECT.id, catalog.COMPUTE.id
BUILD, IMAGE = catalog.BUILD.id, catalog.ENVIRONMENT.id
SERVICE = "/api/v2/services-v2/{id}"
NODES = {
    "head_node_type": {"name": "head-node", "instance_type": "m5.xlarge", "resources": {"cpu": 0, "gpu": 0}}
}
INLINE = {
    "config": {"cloud_id": CLOUD, "deployment_configs": [NODES], **NODES, "auto_select_worker_config": False},
    "anonymous": True,
    "new_version": True,
}
LISTED = (
    f"/api/v2/services-v2/?project_id={PROJECT}&name=svc&state_filter=RUNNING&state_filter=ROLLING_OUT"
    f"&archive_status=ALL&creator_id={catalog.USER.id}&cloud_id={CLOUD}&tag_filter=team:x&tag_filter=team:y"
    "&sort_field=NAME&sort_order=DESC&paging_token=0&count=50"
)
LINES: list[tuple[str, str, Any, str]] = [
    ("GET", "/api/v2/userinfo/", None, "user"),
    (
        "GET",
        LISTED,
        None,
        "services",
    ),
    ("GET", SERVICE, None, "service"),
    ("POST", f"{SERVICE}/rollback", {}, "service"),
    ("POST", f"{SERVICE}/rollback", {"max_surge_percent": 30}, "service"),
    ("POST", "/ext/v0/services/{id}/rollback", {}, "service"),
    ("POST", f"{SERVICE}/terminate", None, "service"),
    ("GET", "/ext/v0/clouds/default", None, "cloud"),
    ("GET", f"/ext/v0/clouds/{CLOUD}", None, "cloud"),
    ("POST", "/api/v2/clouds/find_by_name", {"name": "local"}, "cloud"),
    ("GET", f"/api/v2/clouds/{CLOUD}/resources", None, "nothings"),
    (
        "POST",
        f"/api/v2/clouds/{CLOUD}/generate_cloud_data_bucket_presigned_url",
        {"file_type": "runtime_env_packages", "file_name": "pkg_8e2cb66b.zip", "access_mode": "WRITE"},
        "presigned",
    ),
    ("GET", f"/ext/v0/projects/default_project?parent_cloud_id={CLOUD}", None, "project"),
    (
        "POST",
        "/ext/v0/projects/search",
        {"name": {"equals": "default"}, "parent_cloud_id": {"equals": CLOUD}},
        "projects",
    ),
    ("GET", "/api/v2/projects/find_by_name?name=default", None, "projects"),
    ("GET", f"/api/v2/projects/{PROJECT}", None, "project"),
    ("GET", f"/ext/v0/cluster_computes/default?cloud_id={CLOUD}", None, "compute"),
    ("GET", f"/ext/v0/cluster_computes/{COMPUTE}", None, "compute"),
    ("GET", f"/api/v2/compute_templates/{COMPUTE}", None, "compute"),
    (
        "POST",
        "/api/v2/compute_templates/search",
        {
            "orgwide": True,
            "name": {"equals": "local"},
            "include_anonymous": True,
            "archive_status": "NOT_ARCHIVED",
            "version": -1,
        },
        "computes",
    ),
    ("POST", "/api/v2/compute_templates/", INLINE, "compute"),
    (
        "GET",
        "/ext/v0/cluster_environment_builds/default?python_version=py311&ray_version=2.59.0",
        None,
        "build",
    ),
    ("GET", f"/ext/v0/cluster_environment_builds/{BUILD}", None, "build"),
    ("GET", f"/ext/v0/cluster_environments/{IMAGE}", None, "environment"),
    ("GET", "/api/v2/workos/deployment_infra", None, "nothing"),
    (
        "POST",
        "/api/v2/builds/get_or_create_build_from_image_uri",
        {"image_uri": "docker.io/me/img:1", "ray_version": "2.50.0", "registry_login_secret": "sec"},
        "build",
    ),
    (
        "POST",
        "/ext/v0/cluster_environments/search",
        {
            "name": {"equals": catalog.ENVIRONMENT.name},
            "paging": {"count": 1},
            "include_archived": False,
            "include_anonymous": True,
        },
        "environments",
    ),
    (
        "POST",
        "/ext/v0/cluster_environments/",
        {"name": "image-for-service-svc", "anonymous": True},
        "environment",
    ),
    (
        "POST",
        "/ext/v0/cluster_environment_builds/",
        {"cluster_environment_id": IMAGE, "containerfile": "FROM x", "ray_version": "2.50.0"},
        "operation",
    ),
    (
        "GET",
        f"/ext/v0/cluster_environment_builds/?cluster_environment_id={IMAGE}&desc=True&count=50",
        None,
        "builds",
    ),
    ("GET", f"{SERVICE}/versions", None, "versions"),
    ("GET", f"{SERVICE}/versions?count=50", None, "versions"),
    ("GET", f"{SERVICE}/versions/v1", None, "version"),
    ("GET", f"{SERVICE}/events", None, "nothings"),
    (
        "PUT",
        f"{SERVICE}/update_weights",
        {"versions": [{"name": "v2", "traffic_percent": 40}]},
        "service",
    ),
    ("POST", f"{SERVICE}/add_secondary_auth_token", None, "service"),
    (
        "PUT",
        "/api/v2/tags/resource",
        {"resource_type": "service", "resource_id": "{id}", "tags": {"a": "b"}},
        "nothing",
    ),
    ("GET", "/api/v2/tags/resource?resource_type=service&resource_id={id}", None, "nothing"),
    (
        "DELETE",
        "/api/v2/tags/resource",
        {"resource_type": "service", "resource_id": "{id}", "keys": ["team"]},
        "nothing",
    ),
    ("GET", "/api/v2/integrations/connections/databricks?name=x", None, "nothings"),
    ("GET", "/ext/v0/services-v2/{id}", None, "service"),
    ("GET", "/ext/v0/services/{id}", None, "service"),
    ("GET", "/ext/v0/services-v2/search?name=svc&count=50", None, "services"),
    ("GET", "/ext/v0/services/list?count=50", None, "services"),
]


@pytest.fixture
def http(plane):
    """As official clients ask: every request says that it is JSON, those without a body too."""
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    cookies = {"cli_token": TOKEN}
    with httpx.Client(base_url=HOST, transport=plane.transport, cookies=cookies, headers=headers) as http:
        yield http


@pytest.fixture
def service(http, plane) -> str:
    """The id of a service in a rollout."""
    asked = {"tags": {"team": "x"}, "description": "Of a team."}
    found = apply(http, version="v1", **asked).json()["result"]["id"]
    plane.advance(10)
    apply(http, version="v2", canary_percent=20, ray_serve_config=served("main:two"))
    plane.advance(10)
    return found


def missing(kind: str, shown: dict[str, Any], where: str = "") -> Iterator[str]:
    """Give what official clients would miss."""
    for field in NEEDED[kind].split():
        if shown.get(field) is None:
            yield f"{where}{field}"
    for field, inner in INNER.get(kind, {}).items():
        parts = shown[field] if isinstance(shown[field], list) else [shown[field]]
        for number, part in enumerate(parts):
            yield from missing(inner, part, f"{where}{field}[{number}].")


@pytest.mark.parametrize(
    "line",
    LINES,
    ids=[f"{line[0]} {line[1].partition('?')[0]}" for line in LINES],
)
def test_each_request_is_answered_with_all_that_is_needed(http, service, line):
    """A single answer or one page, whole."""
    method, path, body, kind = line
    if body is not None:
        body = {key: service if value == "{id}" else value for key, value in body.items()}
    answer = http.request(method, path.replace("{id}", service), json=body)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    if kind.endswith("s"):
        assert shown["metadata"].keys() == {"total", "next_paging_token"}
        assert shown["results"] or kind == "nothings" or "find" in path
        assert [name for one in shown["results"] for name in missing(kind.removesuffix("s"), one)] == []
    else:
        assert list(missing(kind, shown["result"])) == []


def test_what_ends_a_service_needs_no_answer(http, plane, service):
    """Archive and delete say that it is done, and that is all; a service that ended is shown whole until then."""
    http.post(f"/api/v2/services-v2/{service}/terminate")
    plane.advance(60)
    shown = http.get(f"/api/v2/services-v2/{service}").json()["result"]
    assert list(missing("service", shown)) == []
    assert (shown["current_state"], shown["goal_state"], shown["canary_version"]) == (
        "TERMINATED",
        "TERMINATED",
        None,
    )
    assert (shown["service_status_checklist"], bool(shown["ended_at"])) == (None, True)
    assert http.post(f"/api/v2/services-v2/{service}/archive").status_code == 204
    assert http.delete(f"/api/v2/services-v2/{service}").status_code == 204
    assert http.post("/api/v2/cli_usage/", json={"trace_id": "x", "duration_ms": 1.5}).status_code == 204


def test_what_is_said_of_a_service_stays(http, service):
    """Its description, until another deploy has another one."""
    assert http.get(f"/api/v2/services-v2/{service}").json()["result"]["description"] == "Of a team."
    shown = apply(http, version="v3", description="Of another.", ray_serve_config=served("main:three"))
    assert shown.json()["result"]["description"] == "Of another."


def test_a_list_ends(http, plane):
    """Over 60 services, 50 a page at the most: each is given once, and the last page says that it is that."""
    names = [f"svc-{number:02}" for number in range(60)]
    for name in names:
        apply(http, name=name)
    asked: dict[str, Any] = {"count": 50, "sort_field": "NAME"}
    found = []
    for size in (50, 10):
        shown = http.get("/api/v2/services-v2/", params=asked).json()
        assert (len(shown["results"]), shown["metadata"]["total"]) == (size, 60)
        found += [one["name"] for one in shown["results"]]
        asked["paging_token"] = shown["metadata"]["next_paging_token"]
    assert (found, asked["paging_token"]) == (names, None)


@pytest.mark.parametrize(
    ("field", "order"),
    [
        ("NAME", ["a", "b", "c"]),
        ("CREATED_AT", ["b", "c", "a"]),
        ("LAST_DEPLOYED_AT", ["c", "a", "b"]),
        ("STATUS", ["b", "a", "c"]),
    ],
)
@pytest.mark.parametrize("down", [False, True])
def test_lists_are_sorted_as_asked(http, plane, field, order, down):
    """By each field that official clients know, up and down; what is equal stays in the order of names."""
    for name in ("b", "c", "a"):
        id = apply(http, name=name, version="v1").json()["result"]["id"]
        plane.advance(10)
        if name == "c":
            http.post(f"/api/v2/services-v2/{id}/terminate")
            plane.advance(60)
    apply(http, name="b", version="v1", ray_serve_config=served("main:app"))
    apply(http, name="b", version="v2", ray_serve_config=served("main:two"), canary_percent=100)
    plane.advance(60)
    apply(http, name="b", version="v3", ray_serve_config=served("main:three"), canary_percent=10)
    plane.advance(10)
    states = {one["name"]: one["current_state"] for one in http.get("/api/v2/services-v2/").json()["results"]}
    assert states == {"a": "RUNNING", "b": "ROLLING_OUT", "c": "TERMINATED"}
    asked = {"sort_field": field, "sort_order": "DESC" if down else "ASC"}
    listed = [one["name"] for one in http.get("/api/v2/services-v2/", params=asked).json()["results"]]
    assert listed == (order[::-1] if down else order)


def test_without_a_field_the_active_come_first(http, plane):
    """Then those that changed last."""
    for name in ("old", "gone", "new"):
        id = apply(http, name=name).json()["result"]["id"]
        plane.advance(10)
        if name == "gone":
            http.post(f"/api/v2/services-v2/{id}/terminate")
            plane.advance(60)
    listed = [
        one["name"]
        for one in http.get("/api/v2/services-v2/", params={"sort_order": "ASC"}).json()["results"]
    ]
    assert listed == ["new", "old", "gone"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"count": 0}, "count"),
        ({"count": 51}, "count"),
        ({"count": "many"}, "count"),
        ({"count": ""}, "count"),
        ({"paging_token": "NQ=="}, "paging_token"),
        ({"paging_token": "1" * 10}, "paging_token"),
        ({"sort_field": "PRICE"}, "sort_field"),
        ({"sort_order": "UP"}, "sort_order"),
        ({"archive_status": "SOME"}, "archive_status"),
        ({"tag_filter": ["a:b"] * 51}, "tag_filter"),
    ],
)
def test_what_cannot_be_listed_is_refused_by_its_name(http, asked, told):
    """In the form of a value that does not fit."""
    answer = http.get("/api/v2/services-v2/", params=asked)
    error = answer.json()["error"]
    assert (answer.status_code, error["detail"][0]["loc"][0]) == (422, told)
    assert told in error["message"]


@pytest.mark.parametrize("asked", [{"state_filter": "HAPPY"}, {"creator_id": "usr_x"}, {"cloud_id": "cld_x"}])
def test_what_nobody_is_finds_nothing(http, service, asked):
    """A filter that no service passes is no error."""
    assert http.get("/api/v2/services-v2/", params=asked).json()["results"] == []
