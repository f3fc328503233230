"""The plane behind HTTP: nobody is heard without the token, and every refusal has the API's own form."""

from __future__ import annotations

import json
import re

import pytest

from anyservice_core.plane import api, app
from anyservice_core.testing import TOKEN
from tests.plane.api import Caller, body, detail

LINES = sorted(f"{endpoint.method} {endpoint.path}" for endpoint in api.table.endpoints)
APPLY = "/api/v2/services-v2/apply"


def path_of(line: str) -> str:
    return re.sub(r"{\w+}", "x", line.split(" ")[1])


@pytest.fixture
def stranger(plane):
    """Someone without a token."""
    return Caller(plane)


@pytest.fixture
def http(plane):
    return Caller(plane, Authorization=f"Bearer {TOKEN}")


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer aph0_x"}, {"Cookie": "cli_token=aph0_x"}])
def test_every_path_is_closed_to_strangers(stranger, line, headers):
    """Without this plane's token each path of the API is a 401 that tells nothing, and no body is looked at."""
    answer = stranger.request(line.split(" ")[0], path_of(line), headers=headers, content=b"{not json")
    assert (answer.status_code, "plane env" in detail(answer)) == (401, True)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize(
    "path", ["/", "/openapi.json", "/api", "/plane/v1/bundles/", "/metrics", "/../etc/passwd"]
)
def test_so_are_the_paths_that_there_are_not(stranger, method, path):
    """What is there is not told to strangers either."""
    assert stranger.request(method, path).status_code == 401


def test_health_needs_no_token(stranger):
    """Who only asks whether the plane answers learns that, and nothing else."""
    assert (stranger.get("/healthz").status_code, stranger.get("/healthz").text) == (200, "ok\n")


def test_an_upload_needs_its_signature_and_no_token(stranger):
    """A token does not open another one's upload, and no signature none."""
    for query in ("", "?signature=", "?signature=0000"):
        assert stranger.put(f"/plane/v1/bundles/a.zip{query}", content=b"x").status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v2/nothing", 404),
        ("POST", "/api/v2/userinfo/", 405),
        ("PATCH", APPLY, 405),
        ("OPTIONS", APPLY, 405),
        ("BREW", APPLY, 405),
        ("POST", "/healthz", 404),
        ("GET", "/plane/v1/bundles/a.zip", 404),
        ("GET", "/api/v2/services-v2/%00%ff", 404),
        ("GET", "/api/v2/services-v2/?count=51", 422),
        ("GET", "/api/v2/services-v2/?paging_token=x", 422),
    ],
)
def test_what_is_not_there_is_refused_in_the_apis_form(http, method, path, status):
    """Unknown paths, other methods and queries that mean nothing all have a detail to read."""
    answer = http.request(method, path)
    assert (answer.status_code, bool(detail(answer))) == (status, True)


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (b"{", 400, "JSON"),
        (b"\xff\xfe", 400, "JSON"),
        (b'{"canary_percent": NaN}', 400, "NaN"),
        (b"[" * 100_000, 400, "JSON"),
        (b"[1]", 422, "list"),
        (b'"x"', 422, "text"),
        (b"null", 422, "null"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, 422, "nested"),
        (b'{"name": "\\ud800"}', 422, "surrogate"),
        (b"{}", 422, "name"),
        (b"", 422, ""),
    ],
)
def test_bodies_that_are_none_are_the_clients_error(http, content, status, told):
    """Broken, deep or unspeakable JSON is a 4xx that says what is wrong, on any path."""
    answer = http.put(APPLY, content=content)
    assert answer.status_code == status
    assert told in answer.text
    assert detail(answer)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(http, monkeypatch, chunked):
    """At the limit, whether its length was said before or not."""
    monkeypatch.setattr(app, "MAX_BODY", 2**20)

    async def chunks():
        for _ in range(2):
            yield b" " * 2**20

    content = chunks() if chunked else b" " * 2**21
    answer = http.put(APPLY, content=content)
    assert (answer.status_code, "1 MiB" in detail(answer)) == (413, True)


def test_an_upload_that_is_too_large_leaves_nothing(http, plane, monkeypatch):
    """It is refused on the way in, and its draft goes."""
    monkeypatch.setattr(app, "MAX_UPLOAD", 2**20)
    answer = http.put(f"/plane/v1/bundles/a.zip?{plane.bundles.pass_for('a.zip')}", content=b" " * 2**21)
    assert answer.status_code == 413
    assert list(plane.bundles._zips.iterdir()) == []


@pytest.mark.parametrize(
    "serve",
    [
        {"applications": {"a": 1}},
        {"applications": ["main:app"]},
        {"applications": [{"import_path": "main:app", "runtime_env": "x"}]},
        {"applications": [{"import_path": "main:app", "runtime_env": {"working_dir": 1}}]},
        {"applications": [{"import_path": "main:app", "runtime_env": {"working_dir": "http://[x"}}]},
        {
            "applications": [
                {"import_path": "main:app", "runtime_env": {"working_dir": "file:///" + "x" * 9999}}
            ]
        },
        {"applications": [{"import_path": "main:app", "runtime_env": {"py_modules": "x"}}]},
        {"applications": [{"import_path": "main:app", "runtime_env": {"py_modules": [None]}}]},
    ],
)
def test_applications_of_another_shape_are_refused(http, serve):
    """Each is the client's error, by the name of the field, and nothing is written."""
    answer = http.put(APPLY, json=body(ray_serve_config=serve))
    assert (answer.status_code, "applications" in detail(answer)) == (422, True)
    assert http.get("/api/v2/services-v2/").json()["metadata"]["total"] == 0


@pytest.mark.parametrize("asked", [{"name": "x"}, {"name": {"equals": ["x"]}}, {"name": 1}, {"name": []}])
@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("POST") and "search" in line])
def test_searches_take_any_value(http, line, asked):
    """A search for what no name can be finds nothing or everything, and is no fault."""
    assert http.request("POST", path_of(line), json=asked).status_code in {200, 422}


def test_no_name_breaks_the_metrics(http, plane):
    """A version's name with quotes and line ends in it is one label's value."""
    http.put(APPLY, json=body(version='v"1\\\n'))
    plane.advance(10)
    (line,) = [
        line for line in http.get("/metrics").text.splitlines() if line.startswith("anyservice_weight")
    ]
    assert json.loads(re.search(r'version=("(?:[^"\\]|\\.)*")', line)[1]) == 'v"1\\\n'


def test_the_head_of_an_answer_can_be_asked_for(http):
    """HEAD is GET without the body."""
    answer = http.request("HEAD", "/api/v2/userinfo/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
