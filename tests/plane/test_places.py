"""Clouds, projects, compute configs and images on one machine: recorded, shown, told apart, and refused where they cannot be."""

from __future__ import annotations

import pytest

from anyservice_core.errors import NotFoundError
from anyservice_core.plane import catalog, loop
from anyservice_core.plane.endpoints import computes
from anyservice_core.plane.machine import Machine, this_machine
from anyservice_core.testing import FakePlane
from tests.plane.api import apply, detail

CLOUDS, PROJECTS, TEMPLATES = "/api/v2/clouds/", "/api/v2/projects/", "/api/v2/compute_templates/"
BUILDS, ENVIRONMENTS = "/ext/v0/cluster_environment_builds/", "/ext/v0/cluster_environments/"
SERVICES = "/api/v2/services-v2/"
SMALL = Machine(cpus=8, memory=16 * 2**30, gpus=0, architecture="x86_64")


@pytest.fixture
def plane(monkeypatch):
    monkeypatch.setattr(computes, "this_machine", lambda: SMALL)
    with FakePlane() as plane:
        yield plane


def made(answer) -> dict:
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def names(answer) -> list[str]:
    return [one["name"] for one in answer.json()["results"]]


@pytest.fixture
def far(http) -> dict:
    """Another cloud than the one that is always there."""
    return made(http.post(CLOUDS, json={"name": "far", "provider": "AWS", "region": "us-west-2"}))


@pytest.fixture
def apps(http) -> dict:
    """Another project than the default one."""
    return made(http.post(PROJECTS, json={"name": "apps", "description": "Those of one team."}))


# ── clouds ──────────────────────────────────────────────────────────────────


def test_a_cloud_is_found_by_name_and_id_in_either_tree(http, far):
    """With what was said of it; the one that is always there stays the default."""
    assert (far["provider"], far["region"], far["is_default"]) == ("AWS", "us-west-2", False)
    assert made(http.post(f"{CLOUDS}find_by_name", json={"name": "far"})) == far
    assert made(http.get(f"/ext/v0/clouds/{far['id']}")) == far
    assert made(http.get(f"{CLOUDS}{far['id']}")) == far
    assert names(http.get(CLOUDS)) == ["local", "far"]
    assert made(http.get("/ext/v0/clouds/default"))["name"] == "local"


def test_a_cloud_has_a_project_and_a_compute_config_of_its_own(http, far):
    """So a deploy that names only the cloud finds all that it needs in it."""
    project = made(http.get("/ext/v0/projects/default_project", params={"parent_cloud_id": far["id"]}))
    compute = made(http.get("/ext/v0/cluster_computes/default", params={"cloud_id": far["id"]}))
    assert (project["name"], project["parent_cloud_id"], project["is_default"]) == (
        "default",
        far["id"],
        True,
    )
    assert (compute["config"]["cloud_id"], compute["config"]["cloud"]["name"]) == (far["id"], "far")
    asked = {"project_id": project["id"], "compute_config_id": compute["id"]}
    assert made(apply(http, **asked))["cloud_id"] == far["id"]
    assert names(http.get(SERVICES, params={"cloud_id": far["id"]})) == ["svc"]
    assert names(http.get(SERVICES, params={"cloud_id": catalog.CLOUD.id})) == []


def test_a_service_is_of_one_cloud(http, far):
    """A project of one and a compute config of another do not go together, and both are named."""
    project = far["id"].replace("cld_", "prj_")
    answer = apply(http, project_id=project)
    assert (answer.status_code, far["id"] in detail(answer)) == (422, True)


def test_a_cloud_goes_with_all_that_is_in_it_but_not_with_services(http, plane, far):
    """What still serves is in the way, and named; afterwards nothing of the cloud is left."""
    of = {key: far["id"].replace("cld_", prefix) for key, prefix in OF_CLOUD.items()}
    service = made(apply(http, **of))["id"]
    answer = http.delete(f"{CLOUDS}{far['id']}")
    assert (answer.status_code, "'svc'" in detail(answer)) == (409, True)
    end(http, plane, service)
    assert http.delete(f"{CLOUDS}{far['id']}").status_code == 204
    assert names(http.get(CLOUDS)) == ["local"]
    assert names(http.get(PROJECTS)) == ["default"]
    assert http.get(f"{TEMPLATES}{of['compute_config_id']}").status_code == 404


OF_CLOUD = {"project_id": "prj_", "compute_config_id": "cpt_"}


def end(http, plane, service: str) -> None:
    plane.advance(10)
    http.post(f"{SERVICES}{service}/terminate")
    plane.advance(60)
    assert http.delete(f"{SERVICES}{service}").status_code == 204


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", f"{CLOUDS}{catalog.CLOUD.id}"),
        ("DELETE", f"{PROJECTS}{catalog.PROJECT.id}"),
        ("POST", f"{TEMPLATES}{catalog.COMPUTE.id}/archive"),
    ],
)
def test_what_is_always_there_stays(http, method, path):
    """The machine's own cloud, project and compute config cannot be taken away."""
    assert http.request(method, path).status_code == 409


# ── projects ────────────────────────────────────────────────────────────────


def test_projects_keep_services_apart_that_have_one_name(http, plane, apps):
    """Each has its own id, port and life; a list of one project has nothing of the other."""
    one = made(apply(http, version="v1"))
    other = made(apply(http, version="v1", project_id=apps["id"]))
    assert one["id"] != other["id"]
    assert one["base_url"] != other["base_url"]
    plane.advance(10)
    for project, id in ((catalog.PROJECT.id, one["id"]), (apps["id"], other["id"])):
        listed = http.get(SERVICES, params={"name": "svc", "project_id": project}).json()
        assert ([s["id"] for s in listed["results"]], listed["metadata"]["total"]) == ([id], 1)
    assert len(plane.router.routes) == 2
    http.post(f"{SERVICES}{other['id']}/terminate")
    plane.advance(60)
    states = {s["id"]: s["current_state"] for s in http.get(SERVICES).json()["results"]}
    assert states == {one["id"]: "RUNNING", other["id"]: "TERMINATED"}
    assert made(apply(http, version="v2", project_id=apps["id"]))["id"] == other["id"]


def test_metrics_tell_projects_apart(http, plane, apps):
    """Services of one name are two series, by the project's name."""
    for project in (None, apps["id"]):
        apply(http, project_id=project)
    plane.advance(10)
    told = http.get("/metrics").text
    assert 'service="svc",project="default"' in told
    assert 'service="svc",project="apps"' in told


def test_a_project_is_found_in_every_way_that_clients_have(http, apps):
    """By id in either tree, by name, by a search in its cloud, and in a list."""
    for path in (f"{PROJECTS}{apps['id']}", f"/ext/v0/projects/{apps['id']}"):
        assert made(http.get(path)) == apps
    assert names(http.get(f"{PROJECTS}find_by_name", params={"name": "apps"})) == ["apps"]
    for cloud, found in ((catalog.CLOUD.id, ["apps"]), ("cld_x", [])):
        asked = {"name": {"equals": "apps"}, "parent_cloud_id": {"equals": cloud}}
        assert names(http.post("/ext/v0/projects/search", json=asked)) == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["default", "apps", "default"]),
        ({"include_defaults": False}, ["apps"]),
        ({"name_contains": "pp"}, ["apps"]),
        ({"sort_field": "NAME"}, ["apps", "default", "default"]),
        ({"sort_field": "NAME", "sort_order": "DESC"}, ["default", "default", "apps"]),
        ({"creator_id": "usr_x"}, []),
        ({"count": 1, "paging_token": "1"}, ["apps"]),
    ],
)
def test_projects_are_listed_as_asked(http, apps, far, asked, found):
    """Filters, order and pages."""
    assert names(http.get(PROJECTS, params=asked)) == found


def test_a_name_is_free_in_another_cloud(http, apps, far):
    """Within one it is taken."""
    answer = http.post(PROJECTS, json={"name": "apps"})
    assert (answer.status_code, "'apps'" in detail(answer)) == (409, True)
    made(http.post(PROJECTS, json={"name": "apps", "parent_cloud_id": far["id"]}))
    assert len(names(http.get(f"{PROJECTS}find_by_name", params={"name": "apps"}))) == 2


def test_a_project_with_services_stays(http, plane, apps):
    """What is in the way is named; an empty one goes."""
    service = made(apply(http, project_id=apps["id"]))["id"]
    answer = http.delete(f"{PROJECTS}{apps['id']}")
    assert (answer.status_code, "'svc'" in detail(answer)) == (409, True)
    end(http, plane, service)
    assert http.delete(f"{PROJECTS}{apps['id']}").status_code == 204
    assert names(http.get(PROJECTS)) == ["default"]


@pytest.mark.parametrize(
    "changes", [{"project_id": "prj_x"}, {"compute_config_id": "cpt_x"}, {"build_id": "bld_x"}]
)
def test_a_deploy_into_what_is_not_there_is_refused(http, changes):
    """By the id that was given, before anything is written."""
    answer = apply(http, **changes)
    assert (answer.status_code, next(iter(changes.values())) in detail(answer)) == (404, True)
    assert names(http.get(SERVICES)) == []


@pytest.mark.parametrize("path", [CLOUDS, PROJECTS])
@pytest.mark.parametrize("name", ["", "a/b", " a", "a\n", "x" * 129, "é", 1, None])
def test_names_that_would_break_a_url_are_refused(http, path, name):
    """Letters, digits, spaces and ._- are enough for a name."""
    answer = http.post(path, json={"name": name})
    assert (answer.status_code, "name" in detail(answer)) == (422, True)


def test_what_was_registered_outlives_the_plane(http, plane, apps, far):
    """It is in the store, and a registry that opens it finds it."""
    again = type(plane.api.registry)(plane.store)
    assert again.projects.get(apps["id"]).name == "apps"
    assert again.clouds.get(far["id"]).name == "far"
    with pytest.raises(NotFoundError):
        again.clouds.get("cld_x")


# ── compute configs ─────────────────────────────────────────────────────────


def spec(head=None, *workers, **fields) -> dict:
    head = {"name": "head-node", "instance_type": "m5.xlarge", **(head or {})}
    return {
        "cloud_id": catalog.CLOUD.id,
        "head_node_type": head,
        "worker_node_types": [{"name": "w", **worker} for worker in workers],
        **fields,
    }


def keep(http, config, **fields):
    return http.post(TEMPLATES, json={"config": config, "new_version": True, **fields})


def search(http, **asked):
    return http.post(f"{TEMPLATES}search", json={"orgwide": True, "include_anonymous": True, **asked})


def test_a_compute_config_has_versions(http):
    """The newest is found first, each by its number, and -1 is the newest alone."""
    for cpus in (1, 2, 3):
        kept = made(keep(http, spec({"resources": {"cpu": cpus}}), name="mine"))
        assert kept["version"] == cpus
    found = search(http, name={"equals": "mine"}).json()["results"]
    assert [one["version"] for one in found] == [3, 2, 1]
    for asked, version in ((-1, 3), (2, 2)):
        (one,) = search(http, name={"equals": "mine"}, version=asked).json()["results"]
        assert one["version"] == version
        assert made(http.get(f"{TEMPLATES}{one['id']}")) == one
    assert one["config"]["head_node_type"]["resources"] == {"cpu": 2}
    assert search(http, name={"equals": "mine"}, version=9).json()["results"] == []
    assert keep(http, spec(), name="mine", new_version=False).status_code == 409


def test_what_is_archived_is_hidden_from_searches(http):
    """And still shown by its id, since versions may run on it."""
    id = made(keep(http, spec(), name="old"))["id"]
    assert made(http.post(f"{TEMPLATES}{id}/archive"))["archived_at"]
    assert names(search(http, name={"equals": "old"})) == []
    assert names(search(http, name={"equals": "old"}, archive_status="ALL")) == ["old"]
    assert made(http.get(f"/ext/v0/cluster_computes/{id}"))["name"] == "old"


def test_one_without_a_name_is_kept_once(http):
    """Official clients register theirs anew at every deploy."""
    first, again, other = (made(keep(http, spec({"resources": {"cpu": n}})))["id"] for n in (1, 1, 2))
    assert (first == again, first == other) == (True, False)
    assert made(apply(http, compute_config_id=first))["primary_version"]["compute_config_id"] == first


def test_those_that_nobody_uses_make_room(http, plane, monkeypatch):
    """Nameless ones do not pile up for ever, and those that run something stay."""
    monkeypatch.setattr(computes, "_MOST_ANONYMOUS", 4)
    used = made(keep(http, spec({"resources": {"cpu": 8}})))["id"]
    apply(http, compute_config_id=used)
    for number in range(10):
        keep(http, spec({"resources": {"cpu": number / 10}}))
    kept = [one.id for one in plane.api.registry.computes.all() if one.anonymous]
    assert (len(kept) <= 4, used in kept) == (True, True)


@pytest.mark.parametrize(
    "config",
    [
        spec(),
        spec({"resources": {"cpu": 8, "memory": 16 * 2**30}}),
        spec({"resources": {"cpu": 0, "gpu": 0}}, {"instance_type": "p4d.24xlarge", "min_workers": 3}),
        spec({"resources": {"cpu": 2}}, {"resources": {"cpu": 3}, "min_workers": 2, "max_workers": 100}),
        spec({"required_resources": {"cpu": 4, "memory": 2**30, "cpu_architecture": "amd64"}}),
        spec({"resources": {"cpu": 1, "custom_resources": {"accelerator_a": 1}}}),
    ],
)
def test_what_fits_is_taken(http, config):
    """Up to all that this machine has; a type of machine is a name, and this one stands in for it."""
    made(keep(http, config))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (spec({"resources": {"cpu": 9}}), ("9 CPUs", "head_node_type 9", "At most 8 CPUs")),
        (
            spec({"resources": {"cpu": 3}}, {"resources": {"cpu": 3}, "min_workers": 2}),
            ("9 CPUs", "head_node_type 3, worker_node_types[0] 6"),
        ),
        (spec({"resources": {"gpu": 1}}), ("1 GPUs", "no GPUs", "At most 0 GPUs")),
        (
            spec(None, {"required_resources": {"memory": 2**35}, "min_workers": 1}),
            ("32 GiB", "16.0 GiB", "At most 16 GiB"),
        ),
        (spec({"required_resources": {"cpu_architecture": "arm64"}}), ("cpu_architecture", "x86_64")),
        (spec({"required_resources": {"accelerator": "A100"}}), ("accelerator", "A100")),
        (spec({"required_resources": {"tpu": 4}}), ("tpu",)),
        (spec({"resources": {"cpu": "many"}}), ("head_node_type.cpu", "many")),
        (spec({"resources": {"cpu": -1}}), ("head_node_type.cpu", "-1")),
        (spec({"resources": {"cpu": True}}), ("head_node_type.cpu", "True")),
        (spec(None, {"min_workers": 3, "max_workers": 2}), ("worker_node_types[0]", "3 to 2")),
        (
            spec(
                deployment_configs=[
                    {"head_node_type": {"name": "h"}},
                    {"head_node_type": {"name": "h", "resources": {"cpu": 99}}},
                ]
            ),
            ("deployment_configs[1].head_node_type 99",),
        ),
        (spec(cloud_id="cld_x"), ("cld_x",)),
        ({"head_node_type": {"name": "h"}}, ("cloud_id",)),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(http, plane, config, told):
    """By the amount, by whom it is asked for, and by how much there is; nothing is kept."""
    answer = keep(http, config, name="big")
    assert answer.status_code in {404, 422}
    for part in told:
        assert part in detail(answer)
    assert len(plane.api.registry.computes.all()) == 1


@pytest.mark.parametrize(
    ("config", "cpus"),
    [
        (spec(), None),
        (spec({"resources": {"cpu": 0, "gpu": 0}}), None),
        (spec({"resources": {"cpu": 2}}), 2),
        (spec({"required_resources": {"cpu": 1.5}}), 2),
        (spec({"resources": {"cpu": 1}}, {"resources": {"cpu": 2}, "min_workers": 1, "max_workers": 3}), 7),
        (spec({"resources": {"cpu": 1}}, {"resources": {"cpu": 2}, "max_workers": 100}), 8),
    ],
)
def test_a_version_gets_the_cpus_that_are_written_out(http, plane, monkeypatch, config, cpus):
    """As many as it may grow to, as far as this machine goes; what is not written out is the engine's choice."""
    monkeypatch.setattr(loop, "this_machine", lambda: SMALL)
    compute = made(keep(http, config))["id"]
    version = made(apply(http, compute_config_id=compute))["primary_version"]["id"]
    plane.advance(1)
    assert plane.engine.specs[version].cpus == cpus


def test_this_machine_is_seen():
    """At least eight CPUs on paper, as Ray is told, and the memory that there is."""
    seen = this_machine()
    assert seen.cpus >= 8
    assert seen.memory > 2**28


def test_a_cloud_has_no_resources(http):
    """A machine is one whole: a list of none, and a name that is not found."""
    path = f"{CLOUDS}{catalog.CLOUD.id}"
    assert names(http.get(f"{path}/resources")) == []
    answer = http.post(f"{path}/find_cloud_resource_by_name", params={"cloud_resource_name": "gpu"})
    assert (answer.status_code, "'gpu'" in detail(answer)) == (404, True)


# ── images ──────────────────────────────────────────────────────────────────


def test_an_image_by_its_address_is_recorded_once_and_shown(http):
    """With all that official clients need to show it; another Ray version is another build."""
    asked = {"image_uri": "docker.io/me/img:1", "ray_version": "2.50.0", "registry_login_secret": "sec"}
    path = "/api/v2/builds/get_or_create_build_from_image_uri"
    build = made(http.post(path, json=asked))
    assert (build["docker_image_name"], build["is_byod"], build["status"]) == (
        asked["image_uri"],
        True,
        "succeeded",
    )
    assert made(http.post(path, json=asked)) == build
    assert made(http.post(path, json={**asked, "ray_version": "2.51.0"}))["id"] != build["id"]
    assert made(http.get(f"{BUILDS}{build['id']}")) == build
    environment = made(http.get(f"{ENVIRONMENTS}{build['cluster_environment_id']}"))
    assert environment["anonymous"] is True
    assert build["application_template"]["id"] == environment["id"]


def test_an_image_that_is_given_a_name_has_revisions(http):
    """As it is registered, so it is found."""
    path = "/api/v2/builds/get_or_create_build_from_image_uri"
    builds = [
        made(http.post(path, json={"image_uri": f"me/img:{n}", "cluster_env_name": "mine"})) for n in (1, 2)
    ]
    assert [build["revision"] for build in builds] == [1, 2]
    assert names(http.post(f"{ENVIRONMENTS}search", json={"name": {"equals": "mine"}})) == ["mine"]


def test_a_containerfile_is_recorded_as_a_build_that_is_done(http):
    """The way that official clients go: look for the image, name it, look for a build of the text, ask for one."""
    name = {"equals": "image-for-service-svc"}
    assert names(http.post(f"{ENVIRONMENTS}search", json={"name": name, "paging": {"count": 1}})) == []
    image = made(http.post(ENVIRONMENTS, json={"name": name["equals"], "anonymous": True}))
    assert http.post(ENVIRONMENTS, json={"name": name["equals"]}).status_code == 409
    listed = {"cluster_environment_id": image["id"], "desc": "True", "count": 50}
    assert http.get(BUILDS, params=listed).json()["results"] == []
    asked = {"cluster_environment_id": image["id"], "containerfile": "FROM x", "ray_version": "2.50.0"}
    for revision in (1, 2):
        done = made(http.post(BUILDS, json={**asked, "containerfile": f"FROM x:{revision}"}))
        build = made(http.get(f"{BUILDS}{done['cluster_environment_build_id']}"))
        assert (done["completed"], build["status"], build["is_byod"]) == (True, "succeeded", False)
        assert (build["containerfile"], build["revision"]) == (f"FROM x:{revision}", revision)
    found = http.get(BUILDS, params=listed).json()["results"]
    assert [one["revision"] for one in found] == [2, 1]
    assert http.post(BUILDS, json={**asked, "cluster_environment_id": "apt_x"}).status_code == 404


IMAGES = "/api/v2/application_templates"
OF_URI = "/api/v2/builds/get_or_create_build_from_image_uri"


def test_images_are_listed_with_their_newest_build_and_what_is_done_instead(http):
    """What official lists show: the newest revision, its address, and that nothing was built."""
    for n in (1, 2):
        made(http.post(OF_URI, json={"image_uri": f"me/img:{n}", "cluster_env_name": "mine"}))
    [image] = http.get(IMAGES, params={"name_contains": "min", "count": 50}).json()["results"]
    latest = image["latest_build"]
    assert (latest["revision"], latest["docker_image_name"]) == (2, "me/img:2")
    assert "not built" in latest["error_message"]
    assert made(http.get(f"{IMAGES}/{image['id']}")) == image
    assert http.get(f"{IMAGES}/apt_none").status_code == 404


def test_an_address_under_another_name_is_another_image(http):
    """Who registers one address by two names finds it by both."""
    for name in ("one", "two"):
        made(http.post(OF_URI, json={"image_uri": "me/img:1", "cluster_env_name": name}))
        assert name in names(http.get(IMAGES))


def test_an_archived_image_is_hidden_and_its_name_stays_taken(http):
    """Archiving hides an image from lists and searches, and nothing new can bear its name or be built of it."""
    asked = {"image_uri": "me/img:1", "cluster_env_name": "mine"}
    id = made(http.post(OF_URI, json=asked))["cluster_environment_id"]
    assert http.post(f"{IMAGES}/{id}/archive").is_success
    assert "mine" not in names(http.get(IMAGES))
    assert "mine" in names(http.get(IMAGES, params={"include_archived": True}))
    assert names(http.post(f"{ENVIRONMENTS}/search", json={"name": {"equals": "mine"}})) == []
    for refused in (
        http.post(OF_URI, json=asked),
        http.post(ENVIRONMENTS, json={"name": "mine"}),
        http.post(ENVIRONMENTS.replace("ments", "ment_builds"), json={"cluster_environment_id": id}),
        http.post(f"{IMAGES}/{catalog.ENVIRONMENT.id}/archive"),
    ):
        assert refused.status_code == 409


def test_a_deploy_says_what_becomes_of_its_image(http):
    """It is recorded and shown, and what runs instead is in the events."""
    asked = {"image_uri": "docker.io/me/img:1"}
    build = made(http.post("/api/v2/builds/get_or_create_build_from_image_uri", json=asked))
    service = made(apply(http, build_id=build["id"]))
    assert service["primary_version"]["build_id"] == build["id"]
    events = http.get(f"{SERVICES}{service['id']}/events").json()["results"]
    assert any(
        "docker.io/me/img:1" in event["message"] and "own Python" in event["message"] for event in events
    )
