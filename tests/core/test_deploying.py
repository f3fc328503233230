from __future__ import annotations

import pytest

from anyservice_core import ServiceConfig
from anyservice_core.effects import Call, Request, Upload
from anyservice_core.errors import ConfigError, ConflictError, NotFoundError, TransportError, UnavailableError
from anyservice_core.operations.applying import contains
from anyservice_core.operations.bundles import upload_all
from anyservice_core.operations.deploying import deploy, prepare, shift

CONFIG = ServiceConfig(name="recommender", applications=[{"import_path": "main:app"}])
LOOKUP = "GET /api/v2/services-v2/"
APPLY = "PUT /api/v2/services-v2/apply"


@pytest.fixture
def ground(shapes):
    """Answers to what a deploy asks before it knows where everything goes."""
    return [
        shapes.result({"id": "cld_1", "name": "main"}),
        shapes.result({"id": "cpt_1", "config": {"cloud_id": "cld_1"}}),
        shapes.result({"id": "bld_1"}),
        shapes.result({"id": "prj_1", "name": "default"}),
    ]


def test_a_new_service_is_asked_for_in_the_contract_s_order(hold, shapes, ground):
    """Look-up, cloud, compute, image, project, and one write."""
    talk = hold(deploy(CONFIG), shapes.page(), *ground, shapes.result(shapes.service()))
    assert talk.lines == [
        LOOKUP,
        "GET /ext/v0/clouds/default",
        "GET /ext/v0/cluster_computes/default",
        "GET /ext/v0/cluster_environment_builds/default",
        "GET /ext/v0/projects/default_project",
        APPLY,
    ]
    assert talk.requests[0].params == {"name": "recommender", "archive_status": "NOT_ARCHIVED", "count": 50}
    assert talk.requests[4].params == {"parent_cloud_id": "cld_1"}


def test_the_body_is_the_contract_s(hold, shapes, ground):
    """Nothing is null, and the defaults are sent."""
    body = hold(deploy(CONFIG), shapes.page(), *ground, shapes.result(shapes.service())).requests[-1].json
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
    talk = hold(
        deploy(config, canary_percent=10), shapes.page(shapes.service()), *ground, shapes.result(made)
    )
    assert talk.result == "service2_1"
    assert (talk.result.version_id, talk.result.version_name) == ("srv_bbbbbbbb", "v2")
    assert (talk.result.service_name, talk.result.query_url) == ("recommender", "http://recommender.test")
    assert talk.requests[-1].json["canary_percent"] == 10


def test_a_canary_of_nothing_is_no_canary(hold, shapes, ground):
    """A new service has no traffic to share, and the user is told."""
    talk = hold(deploy(CONFIG, canary_percent=10), shapes.page(), *ground, shapes.result(shapes.service()))
    assert "canary_percent" not in talk.requests[-1].json
    assert talk.reports[0].startswith("canary_percent is ignored")


def test_a_namesake_in_another_project_is_not_ours(hold, shapes, ground):
    """It does not count as the service that is updated."""
    stranger = shapes.service(project_id="prj_2")
    talk = hold(
        deploy(CONFIG, canary_percent=10), shapes.page(stranger), *ground, shapes.result(shapes.service())
    )
    assert "canary_percent" not in talk.requests[-1].json


def test_a_service_does_not_change_its_cloud(talk, shapes, ground):
    """It is refused before anything is uploaded or written."""
    with pytest.raises(ConfigError, match="cannot move to cld_1"):
        talk.hold(deploy(CONFIG), [shapes.page(shapes.service(cloud_id="cld_9")), *ground])


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
    talk = hold(
        deploy(CONFIG), shapes.page(before), *ground, TransportError("dropped"), shapes.result(landed)
    )
    assert talk.lines.count(APPLY) == 1
    assert talk.lines[-1] == "GET /api/v2/services-v2/service2_1"
    assert talk.result.version_id == "srv_bbbbbbbb"


def test_a_lost_request_is_sent_again(hold, shapes, ground):
    """Nothing new is there, so nothing arrived."""
    before = shapes.service()
    after = shapes.service(canary_version=shapes.version("srv_bbbbbbbb", version="random"))
    lost = TransportError("dropped")
    talk = hold(
        deploy(CONFIG), shapes.page(before), *ground, lost, shapes.result(before), shapes.result(after)
    )
    assert talk.lines.count(APPLY) == 2
    assert talk.result.version_id == "srv_bbbbbbbb"


def test_another_s_version_is_not_adopted(hold, shapes, ground):
    """A version that appeared meanwhile and runs something else is a stranger's."""
    other = shapes.version(
        "srv_cccccccc", ray_serve_config={"applications": [{"import_path": "other:app"}]}, version="other"
    )
    before = shapes.service()
    answers = [shapes.result(shapes.service(canary_version=other)), shapes.result(before)]
    talk = hold(deploy(CONFIG), shapes.page(before), *ground, shapes.error(502), *answers)
    assert talk.lines.count(APPLY) == 2


def test_a_lost_answer_about_a_new_service_is_looked_up_by_name(hold, shapes, ground):
    """There is no id yet to look it up by."""
    talk = hold(
        deploy(CONFIG), shapes.page(), *ground, TransportError("dropped"), shapes.page(shapes.service())
    )
    assert talk.lines[-1] == LOOKUP
    assert talk.result == "service2_1"


def test_a_run_again_finds_its_version(hold, shapes, ground):
    """A named version at its weight is there already, so nothing is sent at all."""
    canary = shapes.version("srv_bbbbbbbb", version="v2", weight=10)
    before = shapes.service(canary_version=canary)
    talk = hold(deploy(CONFIG.options(version_name="v2"), canary_percent=10), shapes.page(before), *ground)
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
    talk = hold(deploy(config, canary_percent=percent), shapes.page(service), *ground, shapes.result(service))
    assert talk.lines.count(APPLY) == 1


def test_the_same_name_for_another_content_is_sent(hold, shapes, ground):
    """A name is no proof: the server is left to say what it makes of that."""
    primary = shapes.version(version="v1", ray_serve_config={"applications": [{"import_path": "old:app"}]})
    service = shapes.service(primary_version=primary)
    talk = hold(
        deploy(CONFIG.options(version_name="v1")), shapes.page(service), *ground, shapes.result(service)
    )
    assert talk.lines.count(APPLY) == 1


def test_patience_with_a_deploy_ends(talk, shapes, ground):
    """After the last try the error is the caller's."""
    before = shapes.result(shapes.service())
    answers = [shapes.page(shapes.service()), *ground]
    answers += [shapes.error(503), before] * 4 + [shapes.error(503)]
    with pytest.raises(UnavailableError):
        talk.hold(deploy(CONFIG), answers)


def test_what_the_server_fills_in_does_not_hide_our_version():
    """Theirs may say more than ours, never less."""
    assert contains({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]})
    assert not contains({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 2}]})
    assert not contains({"a": {"b": 1}}, {"a": {"b": 2}})
    assert not contains({"a": 1}, {"a": {"b": 1}})


# ── in place ──


def test_in_place_keeps_image_compute_and_token(hold, shapes):
    """The running version is the source of what cannot change."""
    service = shapes.service(auth_token=None)
    project = shapes.result({"id": "prj_1", "name": "default"})
    talk = hold(deploy(CONFIG, in_place=True), shapes.page(service), project, shapes.result(service))
    body = talk.requests[-1].json
    assert (body["build_id"], body["compute_config_id"]) == ("bld_1", "cpt_1")
    assert body["rollout_strategy"] == "IN_PLACE"
    assert body["config"]["access"] == {"use_bearer_token": False}


def test_in_place_needs_something_that_runs(talk, shapes):
    """Neither nothing, nor something that ended."""
    project = shapes.result({"id": "prj_1", "name": "default"})
    with pytest.raises(ConflictError, match="does not run"):
        talk.hold(deploy(CONFIG, in_place=True), [shapes.page(), project])
    with pytest.raises(ConflictError, match="does not run"):
        talk.hold(
            deploy(CONFIG, in_place=True), [shapes.page(shapes.service(current_state="TERMINATED")), project]
        )


def test_in_place_waits_for_a_rollout_to_end(talk, shapes):
    """Which of the two versions would be meant?"""
    service = shapes.service(canary_version=shapes.version("srv_bbbbbbbb"))
    project = shapes.result({"id": "prj_1", "name": "default"})
    with pytest.raises(ConflictError, match="middle of a rollout"):
        talk.hold(deploy(CONFIG, in_place=True), [shapes.page(service), project])


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


# ── uploads ──


class Zip:
    """Stands for a bundle on disk."""

    name = "pkg_1.zip"
    size = 10
    path = "/tmp/pkg_1.zip"
    discarded = 0

    def discard(self) -> None:
        self.discarded += 1


def presigned(shapes, **fields):
    place = {"file_uri": "s3://b/pkg_1.zip", "url": "http://store.test/pkg_1.zip?sig=secret"}
    return shapes.result({**place, **fields})


def test_preparing_replaces_folders_by_their_uris(hold, shapes, ground):
    """The folder is sent once, to the place that the server names, and its zip is removed; none that it overrides is."""
    config = CONFIG.options(
        working_dir="app",
        applications=[
            {"import_path": "main:app", "runtime_env": {"working_dir": "old", "pip": ["a"]}},
            {"import_path": "main:b", "runtime_env": {"working_dir": "s3://b/other.zip"}},
        ],
    )
    zipped = Zip()
    talk = hold(prepare(config), *ground[:2], zipped, presigned(shapes), shapes.reply(status=200))
    assert talk.result.working_dir == "s3://b/pkg_1.zip"
    assert [a["runtime_env"] for a in talk.result.applications] == [{"pip": ["a"]}, {}]
    assert talk.requests[2].json == {
        "file_name": "pkg_1.zip",
        "file_type": "runtime_env_packages",
        "access_mode": "WRITE",
    }
    assert zipped.discarded == 1


def test_preparing_again_asks_nothing(hold):
    """Only URIs are left."""
    config = CONFIG.options(working_dir="s3://b/pkg_1.zip", py_modules=["s3://b/m.zip"])
    talk = hold(prepare(config))
    assert talk.effects == []
    assert talk.result.working_dir == "s3://b/pkg_1.zip"


def test_what_the_storage_has_is_not_sent(hold, shapes, ground):
    """The name is the content."""
    talk = hold(
        prepare(CONFIG.options(working_dir="app")), *ground[:2], Zip(), presigned(shapes, file_exists=True)
    )
    assert not [effect for effect in talk.effects if isinstance(effect, Upload)]
    assert talk.reports == ["folder 'app' is unchanged, nothing to upload"]


def test_where_a_folder_would_go_is_known_without_sending_it(hold, shapes):
    """A dry run's config is the real one's, and the storage has nothing that it had not before."""
    local = CONFIG.options(working_dir="app")
    talk = hold(upload_all(local, "cld_1", upload=False), Zip(), presigned(shapes))
    assert talk.result.working_dir == "s3://b/pkg_1.zip"
    assert not [effect for effect in talk.effects if isinstance(effect, Upload)]
    assert talk.reports == ["folder 'app' would be uploaded, 0.0 kB"]


def test_an_upload_that_fails_is_repeated(hold, shapes, ground):
    """Sending the same content to the same name twice does no harm."""
    trouble = [TransportError("dropped"), shapes.error(503)]
    talk = hold(
        prepare(CONFIG.options(working_dir="app")),
        *ground[:2],
        Zip(),
        presigned(shapes),
        *trouble,
        shapes.reply(),
    )
    assert len([effect for effect in talk.effects if isinstance(effect, Upload)]) == 3


def test_a_failed_upload_leaves_no_zip_and_no_secret(talk, shapes, ground):
    """The signature of its URL is in no message."""
    zipped = Zip()
    answers = [*ground[:2], zipped, presigned(shapes), shapes.reply(status=403)]
    with pytest.raises(Exception, match="HTTP 403 from PUT http://store.test/pkg_1.zip") as caught:
        talk.hold(prepare(CONFIG.options(working_dir="app")), answers)
    assert zipped.discarded == 1
    assert "secret" not in str(caught.value)
    assert "secret" not in repr([effect for effect in talk.effects if isinstance(effect, Upload)])


def test_modules_requirements_and_excludes_go_along(hold, shapes, ground):
    """All that is local is resolved, with the user's patterns."""
    config = CONFIG.options(py_modules=["lib"], requirements="requirements.txt", excludes=["*.bin"])
    talk = hold(prepare(config), *ground[:2], Zip(), presigned(shapes, file_exists=True), ["numpy==2"])
    calls = [effect.args for effect in talk.effects if isinstance(effect, Call)]
    assert calls == [("lib", ("*.bin",), True), ("requirements.txt",)]
    assert talk.result.py_modules == ["s3://b/pkg_1.zip"]
    assert talk.result.requirements == ["numpy==2"]


def test_an_application_s_own_folder_and_requirements_are_sent(hold, shapes, ground):
    """Where the config says nothing for all, each application's own environment is resolved, a folder once."""
    own = {"working_dir": "app", "pip": "requirements.txt"}
    applications = [{"import_path": "a:a", "runtime_env": own}, {"import_path": "b:b", "runtime_env": own}]
    stored = presigned(shapes, file_exists=True)
    talk = hold(
        prepare(CONFIG.options(applications=applications)), *ground[:2], Zip(), stored, ["numpy"], ["numpy"]
    )
    resolved = {"working_dir": "s3://b/pkg_1.zip", "pip": ["numpy"]}
    assert [a["runtime_env"] for a in talk.result.applications] == [resolved, resolved]


@pytest.mark.parametrize(("count", "patterns"), [(1, ("*.md", "*.bin")), (2, ("*.bin",))])
def test_a_folder_of_all_leaves_out_what_all_exclude(hold, shapes, ground, count, patterns):
    """The only application's own patterns hold for it too; those of one of two do not."""
    applications = [{"import_path": "a:a", "runtime_env": {"excludes": ["*.md"]}}, {"import_path": "b:b"}]
    config = CONFIG.options(applications=applications[:count], working_dir="app", excludes=["*.bin"])
    talk = hold(prepare(config), *ground[:2], Zip(), presigned(shapes, file_exists=True))
    assert next(e.args for e in talk.effects if isinstance(e, Call)) == ("app", patterns, False)


def test_an_unsupported_storage_is_said_so(talk, shapes, ground):
    """Better than a PUT to a URL that is not one."""
    answers = [*ground[:2], Zip(), presigned(shapes, url_scheme="smart_open")]
    with pytest.raises(ConfigError, match="smart_open"):
        talk.hold(prepare(CONFIG.options(working_dir="app")), answers)


# ── compute, image, cloud, project by name ──


def test_a_named_compute_config_brings_its_cloud(hold, shapes, ground):
    """No default is asked for then."""
    found = shapes.page({"id": "cpt_7", "config": {"cloud_id": "cld_7"}})
    config = CONFIG.options(compute_config="gpu:3")
    talk = hold(deploy(config), shapes.page(), found, *ground[2:], shapes.result(shapes.service()))
    assert talk.requests[1].json["name"] == {"equals": "gpu"}
    assert talk.requests[1].json["version"] == 3
    assert talk.requests[-1].json["compute_config_id"] == "cpt_7"


def test_an_unknown_compute_config_is_named(talk, shapes):
    """So is a number that is none."""
    with pytest.raises(ConfigError, match="'gpu'"):
        talk.hold(deploy(CONFIG.options(compute_config="gpu")), [shapes.page(), shapes.page()])
    with pytest.raises(ConfigError, match="name:version"):
        talk.hold(deploy(CONFIG.options(compute_config="gpu:new")), [shapes.page()])


def test_an_image_uri_becomes_a_build(hold, shapes, ground):
    """The registry's secret goes along by name."""
    config = CONFIG.options(image_uri="docker.io/me/img:1", registry_login_secret="sec")
    infra, build = shapes.result({"deployment_infra": "aws"}), shapes.result({"id": "bld_9"})
    answers = [shapes.page(), *ground[:2], infra, build, ground[3], shapes.result(shapes.service())]
    talk = hold(deploy(config), *answers)
    assert talk.requests[4].json == {"image_uri": "docker.io/me/img:1", "registry_login_secret": "sec"}
    assert talk.requests[-1].json["build_id"] == "bld_9"


def test_cloud_and_project_are_found_by_name(hold, shapes, ground):
    """The config's own come before those of the call."""
    config = CONFIG.options(cloud="prod", project="shop")
    answers = [shapes.page(), ground[0], ground[1], ground[2]]
    answers += [shapes.page({"id": "prj_7", "name": "shop"}), shapes.result(shapes.service())]
    talk = hold(deploy(config, cloud="dev", project="other"), *answers)
    assert talk.requests[1].json == {"name": "prod"}
    assert talk.requests[4].json == {"name": {"equals": "shop"}, "parent_cloud_id": {"equals": "cld_1"}}
    assert talk.requests[-1].json["project_id"] == "prj_7"


def test_an_unknown_cloud_or_project_is_named(talk, shapes, ground):
    """A typo is the user's to mend, so it is a ConfigError."""
    with pytest.raises(ConfigError, match="cloud: no cloud is called 'prod'"):
        talk.hold(deploy(CONFIG, cloud="prod"), [shapes.page(), shapes.error(404)])
    with pytest.raises(ConfigError, match="project: no project is called 'shop'"):
        talk.hold(deploy(CONFIG, project="shop"), [shapes.page(), *ground[:3], shapes.page(), shapes.page()])


def test_a_write_is_marked_as_not_to_be_repeated(hold, shapes, ground):
    """The layer below must not send it twice on its own account."""
    talk = hold(deploy(CONFIG), shapes.page(), *ground, shapes.result(shapes.service()))
    assert [request.idempotent for request in talk.requests] == [True] * 5 + [False]


def test_a_refused_deploy_is_not_repeated(talk, shapes, ground):
    """4xx is an answer."""
    with pytest.raises(NotFoundError):
        talk.hold(deploy(CONFIG), [shapes.page(), *ground, shapes.error(404)])
    assert isinstance(talk.effects[-1], Request)
