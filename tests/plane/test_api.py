"""The wire contract from the server's side, spoken over HTTP to the fake that shares the plane's code."""

from __future__ import annotations

import io
import zipfile

import httpx
import pytest

from anyservice_core.testing import HOST, TOKEN
from tests.plane.api import apply, served


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app/main.py", "app = 1")
    return buffer.getvalue()


def test_a_wrong_token_is_refused_in_the_contracts_form(plane):
    """Without the right token every path answers 401 with a readable detail."""
    with httpx.Client(base_url=HOST, transport=plane.transport, cookies={"cli_token": "aph0_wrong"}) as http:
        answer = http.get("/api/v2/userinfo/")
    assert answer.status_code == 401
    assert "plane env" in answer.json()["error"]["detail"]


def test_a_bearer_token_is_as_good_as_the_cookie(plane):
    """Both forms of the token are accepted."""
    with httpx.Client(base_url=HOST, transport=plane.transport) as http:
        assert http.get("/api/v2/userinfo/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/userinfo/",
        "http://plane.test//api/v2/userinfo/",
        "/api/v2/services-v2/",
        "/ext/v0/clouds/default",
        "/ext/v0/projects/default_project?parent_cloud_id=cld_local11111111111111111111111",
        "/ext/v0/cluster_computes/default?cloud_id=cld_local11111111111111111111111",
        "/ext/v0/cluster_environment_builds/default?python_version=py311&ray_version=2.59.0",
        "/metrics",
    ],
)
def test_what_clients_ask_on_the_way_to_a_deploy_is_answered(http, path):
    """The look-ups before a deploy all succeed, with one slash or two, with a trailing one or none."""
    assert http.get(path).status_code == 200


@pytest.mark.parametrize(("name", "count"), [("default", 1), ("apps", 0)])
def test_projects_are_found_in_a_list(http, name, count):
    """A project's name is not unique across clouds, so official clients expect a list, also of none."""
    answer = http.get("/api/v2/projects/find_by_name", params={"name": name})
    assert (answer.status_code, len(answer.json()["results"])) == (200, count)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v2/nothing", 404),
        ("DELETE", "/api/v2/userinfo/", 405),
        ("GET", "/ext/v0/clouds/cld_x", 404),
    ],
)
def test_unknown_paths_answer_in_the_error_form(http, method, path, status):
    """What is not there is a 404, a wrong method a 405, both with a detail."""
    answer = http.request(method, path)
    assert (answer.status_code, bool(answer.json()["error"]["detail"])) == (status, True)


def test_deploy_answers_a_whole_service(http):
    """A deploy's answer has all that official clients refuse to miss."""
    service = apply(http).json()["result"]
    assert service["current_state"] == "STARTING"
    assert service["primary_version"]["weight"] == 100
    assert service["base_url"] == "http://127.0.0.1:8700"
    assert service["auth_token"]
    assert service["type"] == "V2"


def test_a_service_without_token_gate(http):
    """``use_bearer_token`` false means no query token."""
    assert apply(http, config={"access": {"use_bearer_token": False}}).json()["result"]["auth_token"] is None


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"name": "a/b"}, "name"),
        ({"ray_serve_config": {}}, "applications"),
        ({"ray_serve_config": {"applications": [{"import_path": "main"}]}}, "import_path"),
        (
            {
                "ray_serve_config": {
                    "applications": [{"import_path": "m:a", "runtime_env": {"working_dir": "s3://b/x.zip"}}]
                }
            },
            "s3",
        ),
        (
            {
                "ray_serve_config": {
                    "applications": [
                        {
                            "import_path": "m:a",
                            "runtime_env": {"working_dir": "anyservice://bundles/pkg_1.zip"},
                        }
                    ]
                }
            },
            "never uploaded",
        ),
        ({"canary_percent": 101}, "canary_percent"),
        ({"rollout_strategy": "IN_PLACE"}, "IN_PLACE"),
    ],
)
def test_what_could_never_start_is_refused_before_anything_is_written(http, changes, wanted):
    """A bad deploy is a 4xx that names the field, and leaves no service behind."""
    answer = apply(http, **changes)
    error = answer.json()["error"]
    assert 400 <= answer.status_code < 500
    assert wanted in (error.get("message") or error["detail"])
    assert http.get("/api/v2/services-v2/").json()["metadata"]["total"] == 0


@pytest.mark.parametrize(
    ("before", "changes", "refusal"),
    [
        ("nothing", {}, (404, "not found")),
        ("running", {"canary_percent": 10}, (422, "canary_percent")),
        ("running", {"max_surge_percent": 10}, (422, "max_surge_percent")),
        ("rolling out", {}, (409, "ROLLING_OUT")),
        ("terminated", {}, (409, "TERMINATED")),
    ],
)
def test_an_update_in_place_is_refused_where_it_has_no_meaning(http, plane, before, changes, refusal):
    """Each refusal has its status, says what stands in the way, and changes nothing."""
    if before != "nothing":
        service_id = apply(http, version="v1").json()["result"]["id"]
        plane.advance(10)
    if before == "rolling out":
        apply(http, version="v2", canary_percent=10, ray_serve_config=served("main:two"))
        plane.advance(10)
    if before == "terminated":
        http.post(f"/api/v2/services-v2/{service_id}/terminate")
        plane.advance(60)
    services = plane.store.services()
    answer = apply(http, rollout_strategy="IN_PLACE", ray_serve_config=served("main:three"), **changes)
    assert answer.status_code == refusal[0]
    assert refusal[1] in answer.json()["error"]["detail"]
    assert plane.store.services() == services


def test_an_update_in_place_shows_what_is_wanted_and_what_serves(http, plane):
    """UPDATING with the new configuration under the old ids; a failure is told by version, checklist and events."""
    before = apply(http, version="v1").json()["result"]
    plane.advance(10)
    body = {"rollout_strategy": "IN_PLACE", "ray_serve_config": served("main:two")}
    service = apply(http, **body).json()["result"]
    version = service["primary_version"]
    assert (service["current_state"], version["current_state"]) == ("UPDATING", "UPDATING")
    assert (service["id"], version["id"]) == (before["id"], before["primary_version"]["id"])
    assert version["ray_serve_config"] == served("main:two")
    plane.break_version("v1")
    plane.advance(10)
    service = http.get(f"/api/v2/services-v2/{before['id']}").json()["result"]
    assert service["current_state"] == "UNHEALTHY"
    assert "no module named" in service["error_message"]
    items = service["service_status_checklist"]["per_version"][0]["items"]
    assert [(item["label"], item["state"]) for item in items] == [
        ("Host", "RUNNING"),
        ("Applications", "RUNNING"),
        ("Update in place", "UNHEALTHY"),
    ]
    assert "no module named" in items[2]["message"]
    events = http.get(f"/plane/v1/services/{before['id']}/events").json()["result"]
    messages = [event["message"] for event in events]
    assert "deploy v1 in place" in messages
    assert any("UPDATING -> UNHEALTHY: The update in place failed" in message for message in messages)


def test_upload_by_presigned_url(http, plane):
    """A file goes up once by the signed URL, without the token, and is known afterwards."""
    path = "/api/v2/clouds/cld_local11111111111111111111111/generate_cloud_data_bucket_presigned_url"
    ask = {"file_type": "runtime_env_packages", "file_name": "pkg_1.zip", "access_mode": "WRITE"}
    signed = http.post(path, json=ask).json()["result"]
    assert signed["file_exists"] is False
    with httpx.Client(transport=plane.transport) as stranger:
        assert (
            stranger.put(signed["url"].replace("signature=", "signature=0"), content=zipped()).status_code
            == 403
        )
        assert stranger.put(signed["url"], content=zipped()).status_code == 200
    assert http.post(path, json=ask).json()["result"]["file_exists"] is True
    application = {"import_path": "main:app", "runtime_env": {"working_dir": signed["file_uri"]}}
    assert apply(http, ray_serve_config={"applications": [application]}).status_code == 200


def test_listing_filters_sorts_and_pages(http, plane):
    """Names filter by substring, pages join up, the total is of all pages."""
    for name in ("b1", "a1", "c2"):
        apply(http, name=name)
        plane.advance(1)
    first = http.get("/api/v2/services-v2/", params={"sort_field": "NAME", "count": 2}).json()
    token = first["metadata"]["next_paging_token"]
    second = http.get(
        "/api/v2/services-v2/", params={"sort_field": "NAME", "count": 2, "paging_token": token}
    ).json()
    assert [s["name"] for s in first["results"] + second["results"]] == ["a1", "b1", "c2"]
    assert (first["metadata"]["total"], second["metadata"]["next_paging_token"]) == (3, None)
    assert http.get("/api/v2/services-v2/", params={"name": "1"}).json()["metadata"]["total"] == 2


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        (["team:x"], ["a", "b"]),
        (["team:x", "team:y"], ["a", "b", "c"]),
        (["team:x", "env:p"], ["b"]),
        (["team:z"], []),
    ],
)
def test_tags_are_kept_and_filter_a_list(http, tags, names):
    """Values of one key are alternatives, each key must fit; a deploy adds tags and takes none away."""
    for name, given in {"a": {"team": "x"}, "b": {"env": "p"}, "c": {"team": "y"}}.items():
        apply(http, name=name, tags=given)
    apply(http, name="b", tags={"team": "x"}, version="v2")
    listed = http.get("/api/v2/services-v2/", params={"sort_field": "NAME", "tag_filter": tags}).json()
    assert [service["name"] for service in listed["results"]] == names


def test_archive_hides_and_delete_removes(http, plane):
    """Only a terminated service is archived; archived ones are hidden unless asked for; deleted ones are gone."""
    service_id = apply(http).json()["result"]["id"]
    plane.advance(10)
    assert http.post(f"/api/v2/services-v2/{service_id}/archive").status_code == 409
    http.post(f"/api/v2/services-v2/{service_id}/terminate")
    plane.advance(10)
    assert http.post(f"/api/v2/services-v2/{service_id}/archive").status_code == 204
    assert http.get("/api/v2/services-v2/").json()["metadata"]["total"] == 0
    assert http.get("/api/v2/services-v2/", params={"archive_status": "ALL"}).json()["metadata"]["total"] == 1
    assert http.delete(f"/api/v2/services-v2/{service_id}").status_code == 204
    assert http.get(f"/api/v2/services-v2/{service_id}").status_code == 404


def test_traffic_is_counted_by_version(http, plane):
    """Totals follow weights and failing shares, and the Prometheus page shows the same."""
    service_id = apply(http, version="v1").json()["result"]["id"]
    plane.advance(10)
    apply(
        http,
        version="v2",
        canary_percent=20,
        ray_serve_config={"applications": [{"import_path": "main:two"}]},
    )
    plane.advance(10)
    plane.send_traffic(100, errors={"v2": 0.5})
    plane.advance(10)
    versions = http.get(f"/plane/v1/services/{service_id}/traffic").json()["result"]["versions"]
    assert {v["name"]: (v["requests"], v["errors"]) for v in versions} == {"v1": (800, 0), "v2": (200, 100)}
    assert 'version="v2"' in http.get("/metrics").text


def test_events_tell_what_happened(http, plane):
    """What happened to a service is kept in order, with the reason of a failure."""
    service_id = apply(http, version="v1").json()["result"]["id"]
    plane.break_version("v1")
    plane.advance(10)
    messages = [
        event["message"] for event in http.get(f"/plane/v1/services/{service_id}/events").json()["result"]
    ]
    assert messages[0] == "deploy v1"
    assert any("no module named" in message for message in messages)
