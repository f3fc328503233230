"""What goes wrong: who sends what, how often, and what a caller gets to hear.

On purpose, throughout: the official client raises ``ValueError`` for whatever a server refuses, ours the error that says
what to do about it, with the status kept.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.official.comparing import changes, differences
from tests.official.states import APP, V2, rolling_out, running, terminated

CONFIG = {"name": "svc", "applications": [APP]}
SERVICE = r"/api/v2/services-v2/service2_\w+"
WRITES = {
    "deploy": (running, {"config": V2}, "PUT /api/v2/services-v2/apply"),
    "rollback": (rolling_out, {"name": "svc"}, f"POST {SERVICE}/rollback"),
    "terminate": (running, {"name": "svc"}, f"POST {SERVICE}/terminate"),
    "archive": (terminated, {"name": "svc"}, f"POST {SERVICE}/archive"),
    "delete": (terminated, {"name": "svc"}, f"DELETE {SERVICE}"),
}
REFUSALS = {
    400: "RejectedError",
    401: "AuthError",
    403: "AuthError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "RejectedError",
}
API_EXCEPTION = "openapi_client.exceptions.ApiException"


def broken(both: Any, call: str, status: int, *, times: int = 1_000) -> tuple[Any, Any]:
    """Both clients at a write that the server answers with ``status``, so many times."""
    before, arguments, line = WRITES[call]
    both.prepare = before
    both.script = lambda world: world.fault(line, status, detail="not today", times=times)
    return both.theirs(call, arguments), both.ours(call, arguments)


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("call", WRITES)
def test_a_refused_write_is_sent_once_and_said_so(both, call, status):
    """The same request, once, and the server's words reach the caller."""
    theirs, ours = broken(both, call, status)
    assert (theirs.error, ours.error) == ("ValueError", REFUSALS[status])
    assert "not today" in theirs.text
    assert "not today" in ours.text
    assert len(changes(theirs.requests)) == 1
    assert differences(changes(theirs.requests), changes(ours.requests)) == {}


@pytest.mark.parametrize("call", WRITES)
def test_a_write_that_comes_too_often_is_sent_again(both, call):
    """On purpose: a 429 says that nothing was done, so ours sends the same again, where the official client gives up."""
    theirs, ours = broken(both, call, 429, times=1)
    assert (theirs.error, ours.error) == ("ValueError", None), f"{theirs.text} {ours.text}"
    first, second = changes(ours.requests)
    assert first == second == changes(theirs.requests)[0]


@pytest.mark.parametrize("call", WRITES)
def test_a_write_at_a_server_that_fails_is_looked_after(both, call):
    """On purpose: after a 500 ours sends the same again where that is safe, having looked first where it may not be."""
    theirs, ours = broken(both, call, 500, times=1)
    assert theirs.error
    assert theirs.error.endswith("ApiException")
    assert ours.error is None, ours.text
    first, second = changes(ours.requests)
    assert first == second == changes(theirs.requests)[0]
    if call in {"deploy", "rollback"}:
        between = ours.requests[[r.line for r in ours.requests].index(first_line(ours)) + 1]
        assert between.method == "GET"


def first_line(run: Any) -> str:
    return next(request.line for request in run.requests if request.method != "GET")


@pytest.mark.parametrize(
    ("status", "theirs_error", "ours_error", "asked"),
    [
        (401, "ValueError", "AuthError", 1),
        (403, "ValueError", "AuthError", 1),
        (404, "ValueError", "NotFoundError", 1),
        (409, "ValueError", "ConflictError", 1),
        (429, "ValueError", "UnavailableError", 5),
        (500, "ApiException", "UnavailableError", 5),
        (503, "ApiException", "UnavailableError", 5),
    ],
)
def test_a_look_that_is_refused(both, status, theirs_error, ours_error, asked):
    """On purpose: ours asks again where a second try may help, the official client only if told how long to wait."""
    both.script = lambda world: world.fault("GET /api/v2/services-v2/", status)
    theirs, ours = both.theirs("status", {"name": "svc"}), both.ours("status", {"name": "svc"})
    assert theirs.error
    assert (theirs.error.rpartition(".")[2], ours.error) == (theirs_error, ours_error)
    assert [r.path for r in ours.requests] == ["/api/v2/services-v2/"] * asked
    assert changes(theirs.requests) == changes(ours.requests) == []


@pytest.mark.parametrize("call", ["status", "rollback", "terminate", "archive", "delete"])
def test_a_name_that_is_not_there_changes_nothing(both, call):
    """A part of the name is not the name."""
    both.prepare = lambda plane: running(plane, name="svc-2")
    theirs, ours = both.theirs(call, {"name": "svc"}), both.ours(call, {"name": "svc"})
    assert (theirs.error, ours.error) == ("RuntimeError", "NotFoundError")
    assert changes(theirs.requests) == changes(ours.requests) == []


@pytest.mark.parametrize(("before", "config"), [(None, V2), (rolling_out, V2), (terminated, V2)])
def test_in_place_where_it_cannot_be_changes_nothing(both, before, config):
    """Without a running service, or with a canary, both refuse before they send."""
    if before:
        both.prepare = before
    arguments = {"config": config, "in_place": True}
    theirs, ours = both.theirs("deploy", arguments), both.ours("deploy", arguments)
    assert (theirs.error, ours.error) == ("RuntimeError", "ConflictError")
    assert changes(theirs.requests) == changes(ours.requests) == []


REFUSED = [
    {"config": CONFIG, "canary_percent": 101},
    {"config": CONFIG, "canary_percent": -1},
    {"config": CONFIG, "max_surge_percent": 101},
    {"config": {**CONFIG, "applications": []}},
    {"config": {**CONFIG, "applications": [{"import_path": "main"}]}},
    {"config": {**CONFIG, "applications": [{"import_path": "main:"}]}},
    {"config": {**CONFIG, "applications": [{"import_path": ":app"}]}},
    {"config": {**CONFIG, "applications": [{"name": "a"}]}},
    {"config": {**CONFIG, "http_options": {"port": 1}}},
    {"config": {**CONFIG, "http_options": {"host": "h"}}},
    {"config": {**CONFIG, "http_options": {"root_path": "/x"}}},
    {"config": {**CONFIG, "proxy_location": "Disabled"}},
    {"config": {**CONFIG, "ray_version": "2.50"}},
    {"config": {**CONFIG, "env_vars": {"A": 1}}},
    {"config": {**CONFIG, "nmae": "x"}},
    {"config": {**CONFIG, "working_dir": "/there/is/none"}},
    {"config": {**CONFIG, "requirements": "/there/is/none.txt"}},
    {"config": {**CONFIG, "cloud": "nowhere"}},
    {"config": {**CONFIG, "project": "none"}},
    {"config": {**CONFIG, "compute_config": "none"}},
    {"config": {**CONFIG, "compute_config": "far", "cloud": "local"}},
    {"config": {**CONFIG, "image_uri": "not an image"}},
    {"config": {"applications": [APP]}},
]


@pytest.mark.parametrize("arguments", REFUSED, ids=lambda given: str(given)[11:])
def test_what_cannot_work_is_refused_before_anything_changes(both, arguments):
    """Both refuse; the official client with whatever error, ours with one that names the field."""
    theirs, ours = both.theirs("deploy", arguments), both.ours("deploy", arguments)
    assert theirs.error
    assert ours.error == "ConfigError", ours
    assert changes(theirs.requests) == changes(ours.requests) == []


ACCEPTED = {
    "a port for gRPC": (
        {"config": {**CONFIG, "grpc_options": {"port": 9000, "service_names": ["a.B"]}}},
        "The documented YAML example has it.",
    ),
    "a whole number as sampling ratio": (
        {"config": {**CONFIG, "tracing_config": {"sampling_ratio": 1}}},
        "1 is a ratio, and YAML writes it so.",
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_ours_takes_on_purpose(both, case):
    """The official client refuses what the reference documents; ``ACCEPTED`` says why ours does not."""
    arguments, _ = ACCEPTED[case]
    theirs, ours = both.theirs("deploy", arguments), both.ours("deploy", arguments)
    assert theirs.error
    assert ours.error is None, ours.text


EXCLUSIVE = {**CONFIG, "image_uri": "docker.io/me/img:1", "containerfile": "Containerfile"}


def test_what_ours_refuses_on_purpose(both, tmp_path):
    """Of an image and a containerfile the official client takes the latter without a word; ours asks which."""
    (tmp_path / "Containerfile").write_text("FROM x\n")
    config = {**EXCLUSIVE, "containerfile": str(tmp_path / "Containerfile")}
    theirs, ours = both.theirs("deploy", {"config": config}), both.ours("deploy", {"config": config})
    assert (theirs.error, ours.error) == (None, "ConfigError")
    assert "exclude" in ours.text


def test_a_link_out_of_the_folder_is_no_way_out(both, tmp_path):
    """On purpose: the official client sends what lies behind it, ours names the link."""
    (tmp_path / "secrets.txt").write_text("KEY=1")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "notes.txt").symlink_to("../secrets.txt")
    arguments = {"config": {**CONFIG, "working_dir": str(tmp_path / "app")}}
    theirs, ours = both.theirs("deploy", arguments), both.ours("deploy", arguments)
    assert (theirs.error, ours.error) == (None, "ConfigError")
    assert "notes.txt is a link out of the folder" in ours.text
    assert changes(ours.requests) == []


def test_a_requirement_on_this_machine_is_refused(both, tmp_path):
    """On purpose: the official client passes a path on, which pip does not find where it runs."""
    (tmp_path / "requirements.txt").write_text("numpy\n-e ./lib\n")
    arguments = {"config": {**CONFIG, "requirements": str(tmp_path / "requirements.txt")}}
    theirs, ours = both.theirs("deploy", arguments), both.ours("deploy", arguments)
    assert (theirs.error, ours.error) == (None, "ConfigError")
    assert "requirements.txt, line 2" in ours.text


def test_two_services_of_one_name_are_no_guess(both):
    """On purpose: the official client ends whichever comes first, ours names both and ends none."""
    both.prepare = twice
    theirs, ours = both.theirs("terminate", {"name": "svc"}), both.ours("terminate", {"name": "svc"})
    assert (theirs.error, ours.error) == (None, "ConfigError")
    assert len(changes(theirs.requests)) == 1
    assert changes(ours.requests) == []


def twice(plane: Any) -> None:
    running(plane)
    service = plane.service("svc")
    plane.store.save(service.replace(id="service2_" + "x" * 26, project_id="prj_2"))
