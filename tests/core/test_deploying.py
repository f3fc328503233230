from __future__ import annotations

import pytest

from anyservice_core import ServiceConfig
from anyservice_core.bundle import Done, Hashed, Tree
from anyservice_core.effects import Request
from anyservice_core.errors import ConfigError, ConflictError, NotFoundError, TransportError, UnavailableError
from anyservice_core.operations.arrival import contains
from anyservice_core.operations.deploying import deploy, prepare, shift

CONFIG = ServiceConfig(name="recommender", applications=[{"import_path": "main:app"}])
LOOKUP = "GET /api/v2/services-v2/"
APPLY = "PUT /api/v2/services-v2/apply"


@pytest.fixture
def cloud(shapes):
    """The answer to which cloud is meant."""
    return shapes.result({"id": "cld_1", "name": "main"})


@pytest.fixture
def ground(shapes, cloud):
    """Answers to what a deploy asks before it writes, where these services are found."""

    def answers(*found):
        compute = shapes.result({"id": "cpt_1", "config": {"cloud_id": "cld_1"}})
        project = shapes.result({"id": "prj_1", "name": "default"})
        return [cloud, compute, project, shapes.page(*found), shapes.result({"id": "bld_1"})]

    return answers


def test_a_new_service_is_looked_for_where_it_will_be(hold, shapes, ground):
    """Cloud, compute, project; the look-up within that project; the image, and one write."""
    talk = hold(deploy(CONFIG), *ground(), shapes.result(shapes.service()))
    assert talk.lines == [
        "GET /ext/v0/clouds/default",
        "GET /ext/v0/cluster_computes/default",
        "GET /ext/v0/projects/default_project",
        LOOKUP,
        "GET /ext/v0/cluster_environment_builds/default",
        APPLY,
    ]
    assert talk.requests[2].params == {"parent_cloud_id": "cld_1"}
    assert talk.requests[3].params == {
        "name": "recommender",
        "project_id": "prj_1",
        "archive_status": "NOT_ARCHIVED",
        "count": 50,
    }


def test_the_body_is_the_contract_s(hold, shapes, ground):
    """Nothing is null, and the defaults are sent."""
    body = hold(deploy(CONFIG), *ground(), shapes.result(shapes.service())).requests[-1].json
    assert body == {
        "name": "recommender",
        "project_id": "prj_1",
        "ray_serve_config": {"applications": [{"import_path": "main:app"}]},
        "build_id": "bld_1",
        "compute_config_id": "cpt_1",
        "config": {
            "max_uptime_timeout_sec": 0,
            "access": {"use_bearer_token": True},
            "protocols": {"grpc": {"enabled": False, "port": 9000, "service_names": []}},
        },
        "rollout_strategy": "ROLLOUT",
        "auto_complete_rollout": True,
    }


def test_the_id_knows_what_was_deployed(hold, shapes, ground):
    """A string for the reference's users, and more for those who look."""
    made = shapes.service(canary_version=shapes.version("srv_bbbbbbbb", version="v2", weight=10))
    config = CONFIG.options(version_name="v2")
    talk = hold(deploy(config, canary_percent=10), *ground(shapes.service()), shapes.result(made))
    assert talk.result == "service2_1"
    assert (talk.result.version_id, talk.result.version_name) == ("srv_bbbbbbbb", "v2")
    assert (talk.result.service_name, talk.result.query_url) == ("recommender", "http://recommender.test")
    assert talk.requests[-1].json["canary_percent"] == 10


def test_a_canary_of_nothing_is_no_canary(hold, shapes, ground):
    """A new service has no traffic to share, and the user is told."""
    talk = hold(deploy(CONFIG, canary_percent=10), *ground(), shapes.result(shapes.service()))
    assert "canary_percent" not in talk.requests[-1].json
    assert talk.reports[0].startswith("canary_percent is ignored")


def test_a_namesake_in_another_project_is_not_ours(hold, shapes, ground):
    """It does not count as the service that is updated."""
    stranger = shapes.service(project_id="prj_2")
    talk = hold(deploy(CONFIG, canary_percent=10), *ground(stranger), shapes.result(shapes.service()))
    assert "canary_percent" not in talk.requests[-1].json


def test_a_service_does_not_change_its_cloud(talk, shapes, ground):
    """It is refused before anything is uploaded or written."""
    with pytest.raises(ConfigError, match="cannot move to cld_1"):
        talk.hold(deploy(CONFIG), ground(shapes.service(cloud_id="cld_9"))[:4])


@pytest.mark.parametrize("bad", [-1, 101, 1.5, "10", True])
@pytest.mark.parametrize("field", ["canary_percent", "max_surge_percent"])
def test_a_percentage_is_a_whole_number_up_to_100(talk, bad, field):
    """The text names the field; nothing is sent."""
    with pytest.raises(ConfigError, match=field):
        talk.hold(deploy(CONFIG, **{field: bad}), [])


def test_a_service_needs_a_name(talk):
    """A config may do without, a deploy may not."""
    with pytest.raises(ConfigError, match="name: missing"):
        talk.hold(deploy({"applications": [{"import_path": "main:app"}]}), [])


# ── sent once ──


def test_a_lost_answer_is_not_a_second_deploy(hold, shapes, ground):
    """The version that landed is adopted: no second PUT."""
    before = shapes.service()
    landed = shapes.service(canary_version=shapes.version("srv_bbbbbbbb", version="random"))
    talk = hold(deploy(CONFIG), *ground(before), TransportError("dropped"), shapes.result(landed))
    assert talk.lines.count(APPLY) == 1
    assert talk.lines[-1] == "GET /api/v2/services-v2/service2_1"
    assert talk.result.version_id == "srv_bbbbbbbb"


def test_a_lost_request_is_sent_again(hold, shapes, ground):
    """Nothing new is there, so nothing arrived."""
    before = shapes.service()
    after = shapes.service(canary_version=shapes.version("srv_bbbbbbbb", version="random"))
    lost = TransportError("dropped")
    talk = hold(deploy(CONFIG), *ground(before), lost, shapes.result(before), shapes.result(after))
    assert talk.lines.count(APPLY) == 2
    assert talk.result.version_id == "srv_bbbbbbbb"


def test_another_s_version_is_neither_adopted_nor_replaced(talk, shapes, ground):
    """One that appeared meanwhile and runs something else is a stranger's, and newer than what we sent."""
    other = shapes.version(
        "srv_cccccccc", ray_serve_config={"applications": [{"import_path": "other:app"}]}, version="other"
    )
    before = shapes.service()
    answers = [shapes.error(502), shapes.result(shapes.service(canary_version=other))]
    with pytest.raises(ConflictError, match="version 'other' was deployed, so it was not sent again"):
        talk.hold(deploy(CONFIG), [*ground(before), *answers])
    assert talk.lines.count(APPLY) == 1


def test_a_lost_answer_about_a_new_service_is_looked_up_by_name(hold, shapes, ground):
    """There is no id yet to look it up by."""
    talk = hold(deploy(CONFIG), *ground(), TransportError("dropped"), shapes.page(shapes.service()))
    assert talk.lines[-1] == LOOKUP
    assert talk.result == "service2_1"


def test_a_run_again_finds_its_version(hold, shapes, ground):
    """A named version at its weight is there already, so nothing is sent at all."""
    canary = shapes.version("srv_bbbbbbbb", version="v2", weight=10)
    before = shapes.service(canary_version=canary)
    talk = hold(deploy(CONFIG.options(version_name="v2"), canary_percent=10), *ground(before))
    assert APPLY not in talk.lines
    assert talk.result.version_id == "srv_bbbbbbbb"
    assert talk.reports == ["recommender: version v2 is there already, nothing sent"]


@pytest.mark.parametrize(
    ("weight", "percent"),
    [(5, 10), (10, None)],
)
def test_a_run_again_that_asks_for_more_is_sent(hold, shapes, ground, weight, percent):
    """Another weight, or none at all, is a wish that the server does not know yet."""
    canary = shapes.version("srv_bbbbbbbb", version="v2", weight=weight)
    service = shapes.service(canary_version=canary)
    config = CONFIG.options(version_name="v2")
    talk = hold(deploy(config, canary_percent=percent), *ground(service), shapes.result(service))
    assert talk.lines.count(APPLY) == 1


def test_the_same_name_for_another_content_is_sent(hold, shapes, ground):
    """A name is no proof: the server is left to say what it makes of that."""
    primary = shapes.version(version="v1", ray_serve_config={"applications": [{"import_path": "old:app"}]})
    service = shapes.service(primary_version=primary)
    talk = hold(deploy(CONFIG.options(version_name="v1")), *ground(service), shapes.result(service))
    assert talk.lines.count(APPLY) == 1


def test_patience_with_a_deploy_ends(talk, shapes, ground):
    """After the last try the error is the caller's."""
    before = shapes.result(shapes.service())
    answers = [*ground(shapes.service())]
    answers += [shapes.error(503), before] * 5
    with pytest.raises(UnavailableError):
        talk.hold(deploy(CONFIG), answers)


def test_what_the_server_fills_in_does_not_hide_our_version():
    """Theirs may say more than ours, never less."""
    assert contains({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]})
    assert not contains({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 2}]})
    assert not contains({"a": {"b": 1}}, {"a": {"b": 2}})
    assert not contains({"a": 1}, {"a": {"b": 1}})


# ── in place ──


@pytest.fixture
def inside_of(shapes, cloud):
    """Answers to what an update in place asks, where these services are found."""
    project = shapes.result({"id": "prj_1", "name": "default"})
    return lambda *found: [cloud, project, shapes.page(*found)]


def test_in_place_keeps_image_compute_and_token(hold, shapes, inside_of):
    """The running version is the source of what cannot change."""
    service = shapes.service(auth_token=None)
    talk = hold(deploy(CONFIG, in_place=True), *inside_of(service), shapes.result(service))
    body = talk.requests[-1].json
    assert (body["build_id"], body["compute_config_id"]) == ("bld_1", "cpt_1")
    assert body["rollout_strategy"] == "IN_PLACE"
    assert body["config"]["access"] == {"use_bearer_token": False}


def test_in_place_says_what_it_cannot_change(hold, shapes, inside_of):
    """Left out, not lost without a word."""
    config = CONFIG.options(image_uri="me/img:1", tracing_config={"enabled": True})
    talk = hold(deploy(config, in_place=True), *inside_of(shapes.service()), shapes.result(shapes.service()))
    assert [report.partition(":")[0] for report in talk.reports[:2]] == [
        "image_uri is ignored",
        "tracing_config is ignored",
    ]


def test_in_place_needs_something_that_runs(talk, inside_of, shapes):
    """Neither nothing, nor something that ended, nor a namesake in another project."""
    ended, stranger = shapes.service(current_state="TERMINATED"), shapes.service(project_id="prj_2")
    for found in ([], [ended], [stranger]):
        with pytest.raises(ConflictError, match="does not run"):
            talk.hold(deploy(CONFIG, in_place=True), inside_of(*found))


def test_in_place_waits_for_a_rollout_to_end(talk, shapes, inside_of):
    """Which of the two versions would be meant?"""
    service = shapes.service(canary_version=shapes.version("srv_bbbbbbbb"))
    with pytest.raises(ConflictError, match="middle of a rollout"):
        talk.hold(deploy(CONFIG, in_place=True), inside_of(service))


def test_in_place_has_no_canary(talk):
    """The two contradict each other."""
    with pytest.raises(ConfigError, match="in_place"):
        talk.hold(deploy(CONFIG, in_place=True, canary_percent=10), [])


# ── shift ──


def test_a_shift_is_made_of_what_the_server_has(hold, shapes):
    """The canary's own content at another weight, and no `config`, which would be ours."""
    canary = shapes.version("srv_bbbbbbbb", version="v2", weight=10)
    before, after = (shapes.service(canary_version={**canary, "weight": weight}) for weight in (10, 50))
    talk = hold(shift("recommender", canary_percent=50), shapes.page(before), shapes.result(after))
    body = talk.requests[-1].json
    assert talk.result == "service2_1"
    assert (body["version"], body["canary_percent"]) == ("v2", 50)
    assert body["ray_serve_config"] == canary["ray_serve_config"]
    assert "config" not in body


def test_there_is_nothing_to_shift_without_a_canary(talk, shapes):
    """A conflict, not a deploy of the primary."""
    with pytest.raises(ConflictError, match="no canary"):
        talk.hold(shift("recommender", canary_percent=50), [shapes.page(shapes.service())])


def test_a_canary_that_is_taken_back_is_not_shifted(talk, shapes):
    """A server would take that for a deploy of it, and start it anew."""
    canary = shapes.version("srv_bbbbbbbb", version="v2", weight=10, current_state="TERMINATING")
    service = shapes.service(canary_version=canary, current_state="ROLLING_BACK")
    with pytest.raises(ConflictError, match="being taken back"):
        talk.hold(shift("recommender", canary_percent=50), [shapes.page(service)])


# ── compute, image, cloud, project by name ──


def test_a_named_compute_config_brings_its_cloud(hold, shapes, ground):
    """No default is asked for then."""
    found = shapes.page({"id": "cpt_7", "config": {"cloud_id": "cld_7"}})
    config = CONFIG.options(compute_config="gpu:3")
    talk = hold(deploy(config), found, *ground()[2:], shapes.result(shapes.service()))
    assert talk.requests[0].json["name"] == {"equals": "gpu"}
    assert talk.requests[0].json["version"] == 3
    assert talk.requests[-1].json["compute_config_id"] == "cpt_7"


def test_an_unknown_compute_config_is_named(talk, shapes):
    """So is a number that is none."""
    with pytest.raises(ConfigError, match="'gpu'"):
        talk.hold(deploy(CONFIG.options(compute_config="gpu")), [shapes.page()])
    with pytest.raises(ConfigError, match="name:version"):
        talk.hold(deploy(CONFIG.options(compute_config="gpu:new")), [])


@pytest.mark.parametrize(("machine", "registered"), [("m5.large", []), ("m5.xlarge", ["cpt_9"])])
def test_machines_written_out_are_registered_once(hold, shapes, ground, machine, registered):
    """A deploy of the same again finds them under the version that runs."""
    config = CONFIG.options(compute_config={"head_node": {"instance_type": "m5.large"}})
    head = {"name": "head-node", "instance_type": machine}
    in_use = shapes.result({"id": "cpt_1", "config": {"cloud_id": "cld_1", "head_node_type": head}})
    made = [shapes.result({"id": id, "config": {"cloud_id": "cld_1"}}) for id in registered]
    cloud, _, project, found, build = ground(shapes.service())
    talk = hold(deploy(config), cloud, project, found, in_use, *made, build, shapes.result(shapes.service()))
    assert ("POST /api/v2/compute_templates/" in talk.lines) is bool(registered)
    assert talk.requests[-1].json["compute_config_id"] == (registered or ["cpt_1"])[0]


def test_preparing_registers_no_machines(hold, shapes, cloud):
    """The cloud is all that an upload needs to know of them."""
    config = CONFIG.options(working_dir="app", compute_config={"head_node": {"instance_type": "m5.large"}})
    tree = Tree("working_dir", "app", "/home/app", "app", ())
    place = {"file_uri": "s3://b/pkg_1.zip", "url": "http://store.test/pkg_1.zip", "file_exists": True}
    talk = hold(prepare(config), cloud, tree, Done(Hashed(tree, (), "pkg_1.zip")), shapes.result(place))
    assert "POST /api/v2/compute_templates/" not in talk.lines


def test_an_image_uri_becomes_a_build(hold, shapes, ground):
    """The registry's secret goes along by name."""
    config = CONFIG.options(image_uri="docker.io/me/img:1", registry_login_secret="sec")
    infra, build = shapes.result({"deployment_infra": "aws"}), shapes.result({"id": "bld_9"})
    talk = hold(deploy(config), *ground()[:4], infra, build, shapes.result(shapes.service()))
    assert talk.requests[5].json == {"image_uri": "docker.io/me/img:1", "registry_login_secret": "sec"}
    assert talk.requests[-1].json["build_id"] == "bld_9"


def test_cloud_and_project_are_found_by_name(hold, shapes, ground):
    """The config's own come before those of the call."""
    config = CONFIG.options(cloud="prod", project="shop")
    cloud, compute, _, found, build = ground()
    project = shapes.page({"id": "prj_7", "name": "shop"})
    answers = [cloud, compute, project, found, build, shapes.result(shapes.service())]
    talk = hold(deploy(config, cloud="dev", project="other"), *answers)
    assert talk.requests[0].json == {"name": "prod"}
    assert talk.requests[2].json == {"name": {"equals": "shop"}, "parent_cloud_id": {"equals": "cld_1"}}
    assert talk.requests[-1].json["project_id"] == "prj_7"


def test_an_unknown_cloud_or_project_is_named(talk, shapes, ground):
    """A typo is the user's to mend, so it is a ConfigError."""
    with pytest.raises(ConfigError, match="cloud: no cloud is called 'prod'"):
        talk.hold(deploy(CONFIG, cloud="prod"), [shapes.error(404)])
    with pytest.raises(ConfigError, match="project: no project is called 'shop'"):
        talk.hold(deploy(CONFIG, project="shop"), [*ground()[:2], shapes.page(), shapes.page()])


def test_a_write_is_marked_as_not_to_be_repeated(hold, shapes, ground):
    """The layer below must not send it twice on its own account."""
    talk = hold(deploy(CONFIG), *ground(), shapes.result(shapes.service()))
    assert [request.idempotent for request in talk.requests] == [True] * 5 + [False]


def test_a_refused_deploy_is_not_repeated(talk, shapes, ground):
    """4xx is an answer."""
    with pytest.raises(NotFoundError):
        talk.hold(deploy(CONFIG), [*ground(), shapes.error(404)])
    assert isinstance(talk.effects[-1], Request)
