"""Each option of the official CLI, once, against the real plane, and what the plane then does or has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from anyservice_core import AnyserviceError
from tests.official.life import Life, real_plane

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

CLOUD_ID = "cld_local11111111111111111111111"


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Iterator[dict[str, Any]]:
    with real_plane(tmp_path_factory.mktemp("plane"), 19100) as record:
        yield record


@pytest.fixture(scope="module")
def apps(anyscale, tmp_path_factory) -> str:
    """A project called apps, and a compute config called small; give the project's id."""
    small = tmp_path_factory.mktemp("compute") / "small.yaml"
    head = {"instance_type": "any", "resources": {"CPU": 1}}
    small.write_text(yaml.safe_dump({"cloud": "local", "head_node": head, "worker_nodes": []}))
    anyscale.run("compute-config", "create", "-n", "small", "-f", small)
    done = anyscale.run("project", "create", "-n", "apps", "--cloud-id", CLOUD_ID, "-d", "for tests")
    return re.findall(r"prj_\w+", done.err)[0]


def service(anyscale: Any, *words: Any, **how: Any) -> Any:
    return anyscale.run("service", *words, **how)


# ── deploy ──────────────────────────────────────────────────────────────────


def test_every_flag_of_deploy_has_its_effect(life, anyscale, apps):
    """What was given on the command line is what the application sees and what status tells."""
    app, module, requirements = life.app("v1"), life.folder / "modules", life.folder / "requirements.txt"
    (module / "helper").mkdir(parents=True)
    (module / "helper" / "__init__.py").write_text("")
    requirements.write_text("# none today\n\n")
    done = service(
        anyscale,
        *("deploy", "main:build", "size=3", "-n", life.name, "-w", app, "-e", "notes*", "-r", requirements),
        *("--env", "GREETING=a=b", "--env", "EMPTY=", "--py-module", module, "--version-name", "v1"),
        *("--image-uri", "docker.io/me/img:1", "--registry-login-secret", "key", "--ray-version", "2.60.0"),
        *("--compute-config", "small:1", "--cloud", "local", "--project", "apps"),
        *("--tag", "team=x", "--tag", "env:prod", "--canary-percent", "10", "--max-surge-percent", "50"),
    )
    assert "Starting new service" in done.err
    place = {"cloud": "local", "project": "apps"}
    life.wait(**place)
    assert life.told(**place) == {
        "version": "v1",
        "args": {"size": "3"},
        "env": {"GREETING": "a=b", "EMPTY": ""},
        "files": ["main.py"],
        "helper": True,
    }
    where = ("-n", life.name, "--cloud", "local", "--project", "apps")
    told = service(anyscale, "status", *where, "-v", "-o", "json").json
    config = told["primary_version"]["config"]
    assert (told["state"], told["project"], told["primary_version"]["weight"]) == ("RUNNING", "apps", 100)
    assert config["image_uri"] == "docker.io/me/img:1"
    assert config["registry_login_secret"] == "key"
    assert (config["compute_config"], config["version_name"]) == ("small:1", "v1")
    assert service(anyscale, "tags", "list", *where, "-o", "json").json == {"team": "x", "env": "prod"}
    with pytest.raises(AnyserviceError):
        life.seen(project="default")


def test_a_file_is_deployed_and_flags_win_over_it(life, anyscale):
    """Every field of a config file is taken; ``--env`` and ``--exclude`` replace what it says."""
    containerfile = life.folder / "Containerfile"
    containerfile.write_text("FROM scratch\n")
    fields = {
        "excludes": ["main.py"],
        "requirements": [],
        "http_options": {"request_timeout_s": 60, "keep_alive_timeout_s": 60},
        "logging_config": {"encoding": "JSON", "log_level": "INFO", "enable_access_log": True},
        "ray_gcs_external_storage_config": {"enabled": False},
        "tracing_config": {"enabled": False},
        "query_auth_token_enabled": False,
        "compute_config": {
            "head_node": {"instance_type": "any", "resources": {"CPU": 1}},
            "worker_nodes": [],
        },
        "cloud": "local",
        "project": "default",
        "tags": {"from": "file"},
    }
    path = life.file("v1", **fields)
    flags = ("--env", "GREETING=flag", "--exclude", "notes.txt", "--containerfile", containerfile)
    service(anyscale, "deploy", "-f", path, *flags)
    life.wait()
    status = life.seen()
    assert status.query_auth_token is None
    told = httpx.get(str(status.query_url), timeout=30, trust_env=False).json()
    assert (told["env"], told["files"]) == ({"GREETING": "flag"}, ["main.py"])
    shown = service(anyscale, "status", "-f", path, "-v", "-o", "json").json["primary_version"]["config"]
    assert shown["image_uri"] == f"anyscale/image/image-for-service-{life.name}:1"
    assert shown["compute_config"]["head_node"]["resources"] == {"CPU": 1}
    assert shown["http_options"] == fields["http_options"]
    assert shown["logging_config"] == fields["logging_config"]
    assert shown["query_auth_token_enabled"] is False


def test_several_versions_share_the_traffic(life, anyscale):
    """Two versions from two files, other shares without any file, and all of it for the second."""

    def split(one: int, two: int) -> str:
        shares = [{"name": "v1", "traffic_percent": one}, {"name": "v2", "traffic_percent": two}]
        return json.dumps(shares)

    files = ("-f", life.file("v1"), "-f", life.file("v2"))
    service(anyscale, "deploy", *files, "-n", life.name, "--versions", split(70, 30))
    life.wait(state="ROLLING_OUT", version="v2", canary_weight=30)
    service(anyscale, "deploy", "-n", life.name, "--versions", split(40, 60))
    life.wait(state="ROLLING_OUT", version="v2", canary_weight=60)
    told = service(anyscale, "status", "-n", life.name, "-o", "json").json
    assert {version["name"]: version["weight"] for version in told["versions"]} == {"v1": 40, "v2": 60}
    service(anyscale, "deploy", "-n", life.name, "--versions", split(0, 100))
    life.wait(state="RUNNING", version="v2")
    assert life.answers() == "v2"


# ── the other commands, with the options that the whole life leaves out ─────


def test_by_id_in_a_place_and_by_file(life, anyscale, apps):
    """Whatever else a command takes than a name leads to the same service, which begins again under its id."""
    place = ("--cloud", "local", "--project", "apps")
    path = life.file("v1", project="apps")
    service(anyscale, "deploy", "-f", path)
    life.wait(project="apps")
    id = life.seen(project="apps").id
    done = service(anyscale, "wait", "-f", path, *place, "-s", "running", "-t", "30")
    assert "reached target state" in done.err
    service(anyscale, "deploy", "-f", life.file("v2", project="apps"), "--canary-percent", "0")
    life.wait(state="ROLLING_OUT", version="v2", canary_weight=0, project="apps")
    service(anyscale, "rollback", "-n", life.name, "--project-id", apps)
    life.wait(state="RUNNING", version="v1", project="apps")
    service(anyscale, "terminate", "--id", id)
    life.wait(state="TERMINATED", project="apps")

    assert "Restarting existing service" in service(anyscale, "deploy", "-f", path).err
    life.wait(project="apps")
    assert life.seen(project="apps").id == id
    service(anyscale, "deploy", "-f", life.file("v2", project="apps"), "--canary-percent", "5")
    service(anyscale, "rollback", "--id", id)
    life.wait(state="RUNNING", version="v1", project="apps")
    service(anyscale, "terminate", "-n", life.name, "--project-id", apps)
    life.wait(state="TERMINATED", project="apps")
    service(anyscale, "archive", "-n", life.name, *place)
    shown = service(anyscale, "list", "--service-id", id, "-o", "json").json
    assert [one["state"] for one in shown] == ["TERMINATED"]
    service(anyscale, "delete", "--id", id)
    assert anyscale("service", "list", "--id", id).code == 1


def test_the_formats_of_a_status_tell_the_same(life, anyscale):
    """Text and YAML are what JSON is; the link to the service opens, and so does the one to all of them."""
    done = service(anyscale, "deploy", "-f", life.file("v1"))
    life.wait()
    told = service(anyscale, "status", "-n", life.name, "--json").json
    text = service(anyscale, "status", "-n", life.name).out
    shown = yaml.safe_load(service(anyscale, "status", "-n", life.name, "-o", "yaml").out)
    assert f"state: {told['state']}" in text
    assert (shown["id"], shown["primary_version"]["id"]) == (told["id"], told["primary_version"]["id"])
    links = re.findall(r"UI[^']*'?(http://[\w.:/]+)", done.err + service(anyscale, "list").err)
    assert len(links) == 2
    for link in links:
        assert httpx.get(link, trust_env=False).headers["content-type"].startswith("text/html"), link


def test_tags_are_put_and_taken(life, anyscale):
    """By name and by id; what is put again is replaced."""
    service(anyscale, "deploy", "-f", life.file("v1"))
    id = life.seen().id
    service(anyscale, "tags", "add", "-n", life.name, "--tag", "team=a", "--tag", "env:prod")
    service(anyscale, "tags", "add", "--id", id, "--tag", "team=b", "--tag", "x=y")
    service(anyscale, "tags", "remove", "-n", life.name, "--key", "x", "--key", "none")
    assert service(anyscale, "tags", "list", "--id", id, "-o", "json").json == {"env": "prod", "team": "b"}
    listed = service(anyscale, "list", "--tag", "team:b", "--tag", "team:z", "-o", "json").json
    assert [one["name"] for one in listed] == [life.name]


def test_tokens_are_rotated(life, anyscale):
    """Both are good while there are two; afterwards the older one is not."""
    service(anyscale, "deploy", "-f", life.file("v1"))
    life.wait()
    old = life.seen().query_auth_token
    told = service(anyscale, "token", "add", "-n", life.name).err
    new = re.findall(r"Secondary token: (\S+)", told)[0]
    assert life.told(old) == life.told(new)
    service(anyscale, "token", "delete", "-n", life.name, "--auth-token", old)
    assert (life.seen().query_auth_token, life.answers()) == (new, "v1")
    url, headers = str(life.seen().query_url), {"Authorization": f"Bearer {old}"}
    assert httpx.get(url, headers=headers, trust_env=False).status_code == 401


def test_events_are_told_as_asked(life, anyscale):
    """Of the sources, levels, text and time that are named, in the order that is."""
    service(anyscale, "deploy", "-f", life.file("v1"))
    life.wait()

    def events(*words: str) -> list[Any]:
        done = service(anyscale, "events", "--id", life.seen().id, "-o", "json", *words)
        return [one["message"] for one in done.json]

    whole = events()
    assert whole[-1] == "deploy v1"
    assert events("--sort", "timestamp", "--verbose") == whole[::-1]
    assert events("--max-items", "1") == whole[:1]
    assert events("--message-contains", "deploy", "--source", "service", "--source", "alb") == whole[-1:]
    assert events("--message-contains", "Deploy") == []
    assert events("--level", "info", "--level", "error", "--since", "1h") == whole
    assert (
        events("--start-time", "2999-01-01T00:00:00Z") == events("--end-time", "1999-01-01T00:00:00Z") == []
    )


# ── what goes wrong ─────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def there(record, anyscale, tmp_path_factory) -> Path:
    """A service called steady that runs, and one called over that has ended; give a folder with files for them."""
    from anyservice_core import Client

    folder = tmp_path_factory.mktemp("there")
    with Client(record["host"], record["token"]) as client:
        for name in ("over", "steady"):
            life = Life(name, folder, client)
            service(anyscale, "deploy", "-f", life.file("v1", version_name="v1"))
            life.wait()
            (folder / f"{name}.yaml").write_text(Path(life.file("v1")).read_text())
        service(anyscale, "terminate", "-n", "over")
        Life("over", folder, client).wait(state="TERMINATED")
    (folder / "other.yaml").write_text(yaml.safe_dump({**life.config("v2"), "version_name": "v1"}))
    (folder / "empty.yaml").write_text("name: steady\napplications: []\n")
    (folder / "unknown.yaml").write_text("name: steady\napplications: [{import_path: a:b}]\nnmae: x\n")
    (folder / "big.yaml").write_text(
        yaml.safe_dump(
            {
                **life.config("v3"),
                "compute_config": {"head_node": {"instance_type": "x", "resources": {"CPU": 4096}}},
            }
        )
    )
    (folder / "broken.yaml").write_text("name: [")
    return folder


DEPLOY = ("deploy", "-f", "steady.yaml")
REFUSED = {
    "no such service": (("status", "-n", "stead"), "'stead' was not found"),
    "none to wait for": (("wait", "-n", "stead"), "'stead' was not found"),
    "none to roll back": (("rollback", "-n", "stead"), "stead"),
    "none to end": (("terminate", "-n", "stead"), "stead"),
    "none to hide": (("archive", "-n", "stead"), "'stead' was not found"),
    "none to delete": (("delete", "-n", "stead"), "'stead' was not found"),
    "no such id": (("terminate", "--id", "service2_none"), "service2_none"),
    "nothing to roll back": (("rollback", "-n", "steady"), "RUNNING"),
    "still running": (("archive", "-n", "steady"), "possible in TERMINATED"),
    "running, too": (("delete", "-n", "steady"), "possible in TERMINATED"),
    "ended already": (("rollback", "-n", "over"), "TERMINATED"),
    "in place of nothing": (("deploy", "-f", "over.yaml", "-i"), "in-place|in_place|in place"),
    "in place with a canary": ((*DEPLOY, "-i", "--canary-percent", "5"), "canary_percent"),
    "in place with a surge": ((*DEPLOY, "-i", "--max-surge-percent", "5"), "max_surge_percent"),
    "too much canary": ((*DEPLOY, "--canary-percent", "101"), "between 0 and 100"),
    "too much surge": ((*DEPLOY, "--max-surge-percent", "101"), "between 0 and 100"),
    "a name that is taken": (("deploy", "-f", "other.yaml"), "'v1' of service 'steady' exists"),
    "no such cloud": ((*DEPLOY, "--cloud", "far"), "Cloud 'far' not found"),
    "no such project": ((*DEPLOY, "--project", "far"), "'far' was not found"),
    "no such compute config": ((*DEPLOY, "--compute-config", "far"), "'far' does not exist"),
    "too big for this machine": (("deploy", "-f", "big.yaml"), "would fit"),
    "two images": ((*DEPLOY, "--image-uri", "a/b:1", "--containerfile", "x"), "Only one of"),
    "no such containerfile": ((*DEPLOY, "--containerfile", "nowhere"), "does not exist"),
    "no such folder": ((*DEPLOY, "-w", "nowhere"), "nowhere"),
    "no application": (("deploy", "-f", "empty.yaml"), "applications"),
    "a field that is none": (("deploy", "-f", "unknown.yaml"), "nmae"),
    "a file that is no YAML": (("deploy", "-f", "broken.yaml"), "broken.yaml|YAML|parsing"),
    "no such file": (("deploy", "-f", "nowhere.yaml"), "nowhere.yaml"),
    "an import path that is none": (("deploy", "main", "-n", "steady"), "import_path"),
    "a name that names nothing": (("deploy", "main:app", "-n", "a b"), "name"),
    "no second token": (("token", "delete", "-n", "steady"), "one token at most"),
    "a state that is none": (("wait", "-n", "steady", "-s", "resting"), "resting|RESTING"),
    "a sort that is none": (("list", "--sort", "size"), "size|SIZE"),
    "events of none": (("events", "--id", "service2_none"), "service2_none"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_said(anyscale, there, case):
    """In the plane's own words where it is the plane that refuses; nothing on stdout, and never exit code 0."""
    words, text = REFUSED[case]
    done = anyscale("service", *words, cwd=there)
    assert done.code in {1, 2}, done
    assert done.out == ""
    assert re.search(text, done.err), done.err


@pytest.mark.parametrize("token", ["aph0_wrong", "sss_" + "x" * 300])
def test_a_wrong_token_is_a_stranger_s(anyscale, there, token):
    """Whatever is asked, the official client says that the credentials are invalid."""
    done = anyscale("service", "status", "-n", "steady", ANYSCALE_CLI_TOKEN=token)
    assert (done.code, "credentials" in done.err) == (1, True), done.err


def test_an_error_in_json_is_json(anyscale, there):
    """On stderr, with the plane's words."""
    done = anyscale("service", "status", "-n", "stead", "-o", "json")
    assert "was not found" in json.loads(done.err)["error"]["message"]
