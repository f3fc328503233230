"""A dry run says what a deploy then does, and does nothing itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from anyservice_core import AsyncClient, Client, ConflictError, DeployAction, ServiceConfig
from anyservice_core.models.differences import changes
from anyservice_core.models.hiding import HIDDEN, hide
from anyservice_core.operations.drafting import UNMADE
from anyservice_core.operations.previewing import preview
from anyservice_core.testing import FakePlane

ASKS = ("generate_cloud_data_bucket_presigned_url", "/search", "/find_by_name")
APPLY = "PUT /api/v2/services-v2/apply"


def config(version: str | None = None, code: str = "main:app", **fields: Any) -> ServiceConfig:
    return ServiceConfig(name="rec", version_name=version, applications=[{"import_path": code}], **fields)


V1, V2 = config("v1"), config("v2", "main:new")


class Stage:
    """A plane that keeps the bodies that it is sent, and clients for it in one of the colours."""

    def __init__(self, plane: FakePlane, colour: str) -> None:
        self.plane, self.colour = plane, colour
        self.bodies: list[Any] = []

    def transport(self) -> httpx.MockTransport:
        inner = self.plane.transport

        def listen(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/apply"):
                self.bodies.append(json.loads(request.read()))
            return inner.handler(request)  # type: ignore[return-value]

        return httpx.MockTransport(listen)

    def call(self, name: str, *args: Any, **options: Any) -> Any:
        address = ("http://plane.test", "aph0_fake")
        if self.colour == "sync":
            with Client(*address, transport=self.transport()) as client:
                return getattr(client, name)(*args, **options)

        async def later() -> Any:
            async with AsyncClient(*address, transport=self.transport()) as client:
                return await getattr(client, name)(*args, **options)

        return anyio.run(later)

    def settle(self, seconds: float = 20) -> None:
        self.plane.advance(seconds)


@pytest.fixture(params=["sync", "async"])
def stage(request):
    with FakePlane() as plane:
        yield Stage(plane, request.param)


def nothing(_: Stage) -> None:
    """No service yet."""


def first(stage: Stage) -> None:
    stage.call("deploy", V1)
    stage.settle()


def canary(stage: Stage) -> None:
    first(stage)
    stage.call("deploy", V2, canary_percent=10)
    stage.settle()


def terminated(stage: Stage) -> None:
    first(stage)
    stage.call("terminate", "rec")
    stage.settle(60)


CASES = [
    (nothing, V1, None, DeployAction.CREATE, "a new service with version v1"),
    (nothing, config(), 10, DeployAction.CREATE, "a new service with a new version"),
    (first, V2, None, DeployAction.UPDATE, "version v2 takes over from version v1 by itself"),
    (first, V2, 10, DeployAction.CANARY, "version v2 as a canary at 10% beside version v1"),
    (first, V1, None, DeployAction.NOTHING, "version v1 is there already, nothing to send"),
    (canary, V2, 10, DeployAction.NOTHING, "version v2 is there already, nothing to send"),
    (canary, V2, 50, DeployAction.WEIGHT, "the canary v2 moves from 10% to 50%"),
    (canary, V2, None, DeployAction.WEIGHT, "the canary v2 moves from 10% to all of the traffic by itself"),
    (canary, config(None, "main:new"), 50, DeployAction.WEIGHT, "the canary v2 moves from 10% to 50%"),
    (
        canary,
        config("v3"),
        5,
        DeployAction.CANARY,
        "version v3 as a canary at 5% beside version v1, in place of the canary v2",
    ),
    (terminated, V2, None, DeployAction.RESTART, "started again, with version v2"),
]


def outcome(stage: Stage, before: Any) -> DeployAction:
    """What a deploy has made of the service."""
    now = stage.plane.service("rec")
    if before is None:
        return DeployAction.CREATE
    if before.state == "TERMINATED":
        return DeployAction.RESTART
    if now == before:
        return DeployAction.NOTHING
    if now.canary and before.canary and now.canary.id == before.canary.id:
        return DeployAction.WEIGHT
    return DeployAction.UPDATE if now.rollout and now.rollout.automatic else DeployAction.CANARY


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0].__name__}: {case[4]}")
def test_a_dry_run_says_what_the_deploy_then_does(stage, case):
    """The same request, with the same consequence; before that nothing is sent but questions, and nothing changes."""
    prepare, wanted, percent, action, summary = case
    prepare(stage)
    before = next(iter(stage.plane.store.services()), None)
    stage.plane.requests.clear()
    stage.bodies.clear()
    found = stage.call("preview", wanted, canary_percent=percent)
    assert (found.action, found.summary) == (action, summary)
    assert [
        line for line in stage.plane.requests if not line.startswith("GET") and not line.endswith(ASKS)
    ] == []
    assert next(iter(stage.plane.store.services()), None) == before
    stage.call("deploy", wanted, canary_percent=percent)
    assert stage.bodies == ([found.request.body] if found.request else [])
    assert outcome(stage, before) is action


def test_a_folder_is_named_and_not_sent(stage, tmp_path):
    """By the URI that it will have; a note says when the storage knows it."""
    (tmp_path / "main.py").write_text("app = 1")
    wanted = config("v1", working_dir=str(tmp_path))
    found = stage.call("preview", wanted)
    (upload,) = found.uploads
    assert (upload.folder, upload.known) == (str(tmp_path), False)
    assert (
        found.request.body["ray_serve_config"]["applications"][0]["runtime_env"]["working_dir"] == upload.uri
    )
    assert not [line for line in stage.plane.requests if line.startswith("PUT")]
    stage.call("deploy", wanted)
    assert stage.call("preview", wanted.options(version_name="v2")).uploads[0].known


def test_a_name_that_is_taken_is_noted(stage):
    """The plane refuses it, as another may."""
    first(stage)
    found = stage.call("preview", config("v1", "main:other"))
    assert "version_name 'v1' is taken by another configuration" in found.notes[0]
    with pytest.raises(ConflictError):
        stage.call("deploy", config("v1", "main:other"))


def test_a_service_on_its_way_out_is_noted(stage):
    """So are tags, which cannot be compared."""
    first(stage)
    stage.call("terminate", "rec")
    notes = "; ".join(stage.call("preview", config("v2", tags={"team": "x"})).notes)
    assert "being terminated" in notes
    assert "tags are set" in notes


def test_what_differs_is_named_place_by_place(stage):
    """With what is live, with nothing for a new service, and in words."""
    stage.call("deploy", config("v1", env_vars={"A": "1", "B": "2"}, query_auth_token_enabled=False))
    stage.settle()
    changed = config("v2", "main:new", env_vars={"A": "1", "C": "3"}, http_options={"request_timeout_s": 5})
    found = stage.call("preview", changed, canary_percent=10)
    assert found.compared_with == "v1"
    assert str(found).splitlines() == [
        "rec: version v2 as a canary at 10% beside version v1",
        "  send: PUT /api/v2/services-v2/apply",
        "  ~ version: v1 -> v2",
        "  ~ ray_serve_config.applications.0.import_path: main:app -> main:new",
        "  + ray_serve_config.applications.0.runtime_env.env_vars.C: (hidden)",
        "  - ray_serve_config.applications.0.runtime_env.env_vars.B: (hidden)",
        "  + ray_serve_config.http_options.request_timeout_s: 5",
        "  ~ config.access.use_bearer_token: False -> True",
    ]


def test_the_same_again_differs_in_nothing(stage):
    """But it is a version of its own, if it has no name."""
    stage.call("deploy", config())
    stage.settle()
    found = stage.call("preview", config())
    assert (found.action, found.changes) == (DeployAction.UPDATE, [])
    assert "no difference to" in str(found)


# ── secrets ──


SECRET = "hunter2"


def test_no_secret_is_ever_written_out(stage):
    """Only ``request.body`` is what goes over the wire."""
    wanted = ServiceConfig(
        name="rec",
        applications=[
            {
                "import_path": "main:app",
                "args": {"api_key": SECRET, "size": 3, "db": f"redis://me:{SECRET}@host/0"},
                "runtime_env": {"env_vars": {"OWN": SECRET}},
            }
        ],
        requirements=[f"https://{SECRET}@pypi.test/a.whl?sig={SECRET}"],
        working_dir=f"https://store.test/a.zip?sig={SECRET}",
        env_vars={"DATABASE": SECRET},
    )
    found = stage.call("preview", wanted)
    written = [str(found), repr(found), json.dumps(found.to_dict()), found.model_dump_json()]
    assert [text for text in written if SECRET in text] == []
    assert found.request.body["config"]["env_vars"] == {"DATABASE": SECRET}
    assert found.to_dict()["request"]["body"]["config"]["env_vars"] == {"DATABASE": HIDDEN}


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ({"env_vars": {"A": "1", "B": ""}}, {"env_vars": {"A": HIDDEN, "B": HIDDEN}}),
        ({"env_vars": {"A": {"b": 1}}}, {"env_vars": {"A": {"b": HIDDEN}}}),
        (
            {"hf_token": "x", "max_tokens": 5, "token": True},
            {"hf_token": HIDDEN, "max_tokens": 5, "token": True},
        ),
        ({"use_bearer_token": True, "import_path": "a:b"}, {"use_bearer_token": True, "import_path": "a:b"}),
        (["s3://b/a.zip", "https://u:p@h/x"], ["s3://b/a.zip", f"https://{HIDDEN}@h/x"]),
        ({"db.password": "x", "PRIVATE_KEY": "y"}, {"db.password": HIDDEN, "PRIVATE_KEY": HIDDEN}),
    ],
)
def test_what_looks_like_a_secret_is_hidden(content, shown):
    """By where it is, by what its key says, and in addresses."""
    assert hide(content) == shown


def test_a_hidden_change_is_still_a_change():
    """That it differs is said, not how."""
    (change,) = changes({"env_vars": {"A": "1"}}, {"env_vars": {"A": "2"}})
    assert str(change) == "~ env_vars.A: (hidden) -> (hidden, another)"


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (None, {"a": {"b": 1}}, ["+ a.b: 1"]),
        ({"a": 1, "b": 2}, {"b": 3}, ["~ b: 2 -> 3", "- a: 1"]),
        ({"p": ["x"]}, {"p": ["x", "y"]}, ["~ p: [x] -> [x, y]"]),
        ({"p": {}}, {"p": {"a": 1}}, ["~ p: {} -> {'a': 1}"]),
        ({"p": "text"}, {"p": {"a": 1}}, ["~ p: text -> {'a': 1}"]),
        ({"p": [{"a": 1}]}, {"p": [{"a": 1}, {"a": 2}]}, ["+ p.1.a: 2"]),
        (
            {"p": [{"name": "a", "x": 1}, {"name": "b"}]},
            {"p": [{"name": "b"}, {"name": "a", "x": 2}]},
            ["~ p.a.x: 1 -> 2"],
        ),
        ({"p": 0}, {"p": False}, []),
        ({"p": "a\nb"}, {"p": ""}, ["~ p: 'a\\nb' -> ''"]),
    ],
)
def test_differences_are_found_at_their_places(before, after, lines):
    """Applications by their names where they have some, lists of words as a whole."""
    assert [str(change) for change in changes(before, after)] == lines


# ── what is not made ──


@pytest.fixture
def asked(shapes) -> Callable[..., list[Any]]:
    """Answers to what is asked before the image, where this service runs."""

    def answers(service, *, compute=True):
        cloud = shapes.result({"id": "cld_1", "name": "main"})
        usual = shapes.result({"id": "cpt_1", "config": {"cloud_id": "cld_1"}})
        project = shapes.result({"id": "prj_1", "name": "default"})
        return [cloud, *([usual] if compute else []), project, shapes.page(service)]

    return answers


def named(**fields: Any) -> ServiceConfig:
    return ServiceConfig(name="recommender", applications=[{"import_path": "main:app"}], **fields)


@pytest.mark.parametrize(("machine", "known"), [("m5.large", True), ("m5.xlarge", False)])
def test_machines_written_out_are_not_registered(hold, shapes, asked, machine, known):
    """Those that are in use are found; others are said to be made, and a note stands for their id."""
    head = {"name": "head-node", "instance_type": machine}
    in_use = shapes.result({"id": "cpt_1", "config": {"cloud_id": "cld_1", "head_node_type": head}})
    wanted = named(compute_config={"head_node": {"instance_type": "m5.large"}})
    build = shapes.result({"id": "bld_1"})
    talk = hold(preview(wanted), *asked(shapes.service(), compute=False), in_use, build)
    assert not [line for line in talk.lines if line.startswith("POST")]
    assert talk.result.request.body["compute_config_id"] == ("cpt_1" if known else UNMADE)
    assert len(talk.result.makes) == (not known)


@pytest.mark.parametrize(("image", "known"), [("me/img:1", True), ("me/img:2", False)])
def test_an_image_is_not_registered(hold, shapes, asked, image, known):
    """It is looked for among those in use."""
    build = shapes.result({"id": "bld_1", "docker_image_name": image, "is_byod": True})
    talk = hold(preview(named(image_uri="me/img:1")), *asked(shapes.service()), build)
    assert talk.lines[-1] == "GET /ext/v0/cluster_environment_builds/bld_1"
    assert talk.result.request.body["build_id"] == ("bld_1" if known else UNMADE)


def test_a_containerfile_is_not_built(hold, shapes, asked):
    """Only searched for."""
    infra = shapes.result({"deployment_infra": "aws"})
    talk = hold(
        preview(named(containerfile="FROM a\nRUN b\n")), *asked(shapes.service()), infra, shapes.page()
    )
    assert [line for line in talk.lines if line.startswith("POST")] == [
        "POST /ext/v0/cluster_environments/search"
    ]
    assert talk.result.makes == ["an image, registered or built, as none in use is known to be the same"]


def test_an_update_in_place_is_previewed_too(hold, shapes):
    """What stays is noted."""
    cloud = shapes.result({"id": "cld_1", "name": "main"})
    project = shapes.result({"id": "prj_1", "name": "default"})
    changed = named(image_uri="me/img:1").options(applications=[{"import_path": "main:new"}])
    found = hold(preview(changed, in_place=True), cloud, project, shapes.page(shapes.service())).result
    assert (found.action, found.summary) == (DeployAction.IN_PLACE, "version v1 is changed in place")
    assert [str(change) for change in found.changes] == [
        "~ ray_serve_config.applications.0.import_path: main:app -> main:new"
    ]
    assert found.notes == ["image_uri is ignored: an update in place keeps what the running version has"]
