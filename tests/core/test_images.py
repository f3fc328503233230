from __future__ import annotations

import pytest

from anyservice_core import ServiceConfig
from anyservice_core.effects import Call
from anyservice_core.errors import ConfigError, RejectedError, TransportError, WaitTimeoutError
from anyservice_core.operations.images import find, resolve
from anyservice_core.settings import Workspace

TEXT = "FROM ray\nRUN pip install x\n"
ENV = {"id": "apt_1", "name": "image-for-service-a"}
SEARCH = "POST /ext/v0/cluster_environments/search"
BUILDS = "/ext/v0/cluster_environment_builds/"


def config(**fields):
    return ServiceConfig(name="a", applications=[{"import_path": "main:app"}], **fields)


BUILT = config(containerfile="Containerfile", ray_version="2.50.0")


def build(status="succeeded", text=TEXT, id="bld_1", **fields):
    return {"id": id, "status": status, "containerfile": text, "cluster_environment_id": "apt_1", **fields}


@pytest.fixture
def infra(shapes):
    return shapes.result({"deployment_infra": "aws"})


@pytest.fixture
def begun(shapes):
    return shapes.result({"id": "op_1", "completed": False, "cluster_environment_build_id": "bld_2"})


def test_a_build_of_the_same_text_is_used_again(hold, shapes, infra):
    """Nothing is created."""
    others = [build("failed"), build(text="FROM other\n"), build(id="bld_7")]
    talk = hold(resolve(BUILT, "cld_1"), TEXT, infra, shapes.page(ENV), shapes.page(*others))
    assert talk.result == "bld_7"
    assert talk.lines == ["GET /api/v2/workos/deployment_infra", SEARCH, f"GET {BUILDS}"]
    assert talk.requests[1].json == {
        "name": {"equals": "image-for-service-a"},
        "paging": {"count": 1},
        "include_archived": False,
        "include_anonymous": True,
    }
    assert talk.requests[2].params == {"cluster_environment_id": "apt_1", "desc": True, "count": 50}


def test_a_new_text_is_built_and_waited_for(hold, shapes, infra, begun):
    """Every three seconds, told when its state changes."""
    polls = [shapes.result(build(status, id="bld_2")) for status in ("pending", "in_progress", "succeeded")]
    talk = hold(
        resolve(BUILT, "cld_1"), TEXT, infra, shapes.page(), shapes.result(ENV), shapes.page(), begun, *polls
    )
    assert talk.result == "bld_2"
    assert talk.requests[2].json == {"name": "image-for-service-a", "anonymous": True}
    assert talk.requests[4].json == {
        "cluster_environment_id": "apt_1",
        "containerfile": TEXT,
        "containerfile_path": "Containerfile",
        "ray_version": "2.50.0",
    }
    assert [sleep.seconds for sleep in talk.sleeps] == [3.0, 3.0]
    assert talk.reports == [
        "image image-for-service-a: pending",
        "image image-for-service-a: in progress for 3 s",
        "image image-for-service-a: succeeded for 6 s",
    ]


def test_a_text_needs_no_file(hold, shapes, infra):
    """What has several lines is the containerfile itself."""
    talk = hold(resolve(config(containerfile=TEXT), "cld_1"), infra, shapes.page(ENV), shapes.page(build()))
    assert talk.result == "bld_1"
    assert not [effect for effect in talk.effects if isinstance(effect, Call)]


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_a_failed_build_says_why(talk, shapes, infra, begun, status):
    """In the builder's own words where it has some."""
    failed = shapes.result(build(status, id="bld_2", error_message="pip: no such package"))
    answers = [TEXT, infra, shapes.page(ENV), shapes.page(), begun, failed]
    with pytest.raises(ConfigError, match=r"could not be built: pip: no such package.*versions/bld_2"):
        talk.hold(resolve(BUILT, "cld_1"), answers)


def test_patience_with_a_build_ends(talk, shapes, infra, begun):
    """After an hour."""
    polls = [shapes.result(build("in_progress", id="bld_2")) for _ in range(1201)]
    with pytest.raises(WaitTimeoutError, match="3600"):
        talk.hold(resolve(BUILT, "cld_1"), [TEXT, infra, shapes.page(ENV), shapes.page(), begun, *polls])
    assert len(talk.reports) < 130


def test_a_build_under_way_is_joined(hold, shapes, infra):
    """Another process began it, or we did and lost the answer."""
    running = shapes.page(build("in_progress", id="bld_3"))
    done = shapes.result(build(id="bld_3"))
    assert hold(resolve(BUILT, "cld_1"), TEXT, infra, shapes.page(ENV), running, done).result == "bld_3"


def test_a_lost_answer_is_not_a_second_build(hold, shapes, infra):
    """The first is looked for and found."""
    answers = [TEXT, infra, shapes.page(ENV), shapes.page(), TransportError("dropped")]
    talk = hold(resolve(BUILT, "cld_1"), *answers, shapes.page(build("in_progress")), shapes.result(build()))
    assert talk.lines.count(f"POST {BUILDS}") == 1


def test_an_environment_of_a_race_is_taken(hold, shapes, infra, talk):
    """Created by another process between the search and ours."""
    answers = [TEXT, infra, shapes.page(), shapes.error(409), shapes.page(ENV), shapes.page(build())]
    assert hold(resolve(BUILT, "cld_1"), *answers).result == "bld_1"


def test_a_text_that_the_builder_refuses_is_the_user_s(talk, shapes, infra):
    """A 400 is about the containerfile; any other refusal is what it is."""
    answers = [TEXT, infra, shapes.page(ENV), shapes.page()]
    with pytest.raises(ConfigError, match="containerfile: unknown instruction"):
        talk.hold(resolve(BUILT, "cld_1"), [*answers, shapes.error(400, "unknown instruction")])
    with pytest.raises(RejectedError, match="HTTP 422"):
        talk.hold(resolve(BUILT, "cld_1"), [*answers, shapes.error(422)])


def test_azure_wants_the_cloud_s_id(hold, shapes):
    """Images belong to clouds there."""
    azure = shapes.result({"deployment_infra": "azure"})
    talk = hold(resolve(BUILT, "cld_1"), TEXT, azure, shapes.page(ENV), shapes.page(build()))
    assert talk.requests[1].json["cloud_id"] == "cld_1"
    talk = hold(resolve(config(image_uri="a/b:1"), "cld_1"), azure, shapes.result(build()))
    assert talk.requests[1].json == {"image_uri": "a/b:1", "cloud_id": "cld_1"}


def test_a_ray_version_without_an_image_is_said_to_be_ignored(hold, shapes):
    """The default image has its own."""
    talk = hold(resolve(config(ray_version="2.50.0"), "cld_1"), shapes.result(build()))
    assert talk.requests[0].params == {"python_version": "py311", "ray_version": "2.59.0"}
    assert talk.reports[0].startswith("ray_version is ignored")


def test_a_workspace_s_image_is_the_default(talk, shapes):
    """No other is asked for."""
    talk.workspace = Workspace("expwrk_1", "ses_1")
    cluster = shapes.result({"id": "ses_1", "cluster_environment_build_id": "bld_5"})
    assert talk.hold(resolve(config(), "cld_1"), [cluster]).result == "bld_5"


def test_looking_leaves_nothing_behind(hold, shapes, infra):
    """A build is found if it is there; an image of the user's would have to be registered first."""
    assert hold(find(config(image_uri="a/b:1"), "cld_1")).result is None
    assert hold(find(BUILT, "cld_1"), TEXT, infra, shapes.page()).result is None
    assert hold(find(BUILT, "cld_1"), TEXT, infra, shapes.page(ENV), shapes.page(build())).result == "bld_1"
    assert hold(find(config(), "cld_1"), shapes.result(build())).result == "bld_1"
