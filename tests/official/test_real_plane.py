"""The official client drives the real plane through a whole life, as a library and from a shell.

Each step is checked with our own client, and with a request to the service where it has one to answer.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.official.life import real_plane

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Iterator[dict[str, Any]]:
    with real_plane(tmp_path_factory.mktemp("plane"), 18900) as record:
        yield record


def test_the_official_library_lives_a_whole_life(life, record, make_official):
    """Deploy, update in place, canary, rollback, canary, promotion, list, and the ways to end, all believed by both."""
    official = make_official(record["host"], record["token"])

    def call(verb: str, /, **arguments: Any) -> Any:
        answer = official.call(verb, arguments)
        assert "error" not in answer, answer
        return answer["value"]

    id = call("deploy", config=life.config("v1"))
    call("wait", name=life.name, state="RUNNING", timeout_s=60, _interval_s=0.2)
    assert (life.seen().id, life.answers()) == (id, "v1")

    version = life.seen().primary_version
    assert call("deploy", config=life.config("v1.1", named="v1"), in_place=True) == id
    call("wait", name=life.name, state="RUNNING", timeout_s=60, _interval_s=0.2)
    assert (life.seen().primary_version.id, life.answers()) == (version.id, "v1.1")

    two = life.config("v2")
    assert call("deploy", config=two, canary_percent=20) == id
    life.wait(state="ROLLING_OUT", version="v2", canary_weight=20)
    status = call("status", name=life.name)
    assert [status[key]["weight"] for key in ("primary_version", "canary_version")] == [80, 20]
    call("rollback", name=life.name)
    life.wait(state="RUNNING", version="v1")
    assert life.answers() == "v1.1"

    call("deploy", config=two, canary_percent=50)
    life.wait(state="ROLLING_OUT", version="v2", canary_weight=50)
    call("deploy", config=two, canary_percent=100)
    life.wait(state="RUNNING", version="v2")
    assert life.answers() == "v2"
    assert call("list", name=life.name, state_filter=["RUNNING"]) == [life.name]

    assert call("terminate", name=life.name) == id
    call("wait", name=life.name, state="TERMINATED", timeout_s=60, _interval_s=0.2)
    call("archive", name=life.name)
    assert call("list", name=life.name) == []
    call("delete", name=life.name)
    assert call("list", name=life.name, include_archived=True) == []


def test_the_official_command_lives_a_whole_life(life, record, make_shell):
    """Every command of the official CLI does on the real plane what it says."""
    anyscale = make_shell(record["host"], record["token"])

    def run(*words: str) -> Any:
        return anyscale.run("service", *words)

    run("deploy", "-f", life.file("v1"))
    run("wait", "-n", life.name, "--state", "running", "-t", "60")
    assert life.answers() == "v1"
    run("deploy", "-f", life.file("v1.1", named="v1"), "--in-place")
    life.wait(state="RUNNING", version="v1")
    assert life.answers() == "v1.1"
    run("deploy", "-f", life.file("v2"), "--canary-percent", "30", "--max-surge-percent", "50")
    life.wait(state="ROLLING_OUT", version="v2", canary_weight=30)
    told = run("status", "-n", life.name, "-o", "json").json
    assert (told["state"], told["canary_version"]["weight"]) == ("ROLLING_OUT", 30)
    run("deploy", "-f", life.file("v2"), "--canary-percent", "60")
    life.wait(state="ROLLING_OUT", version="v2", canary_weight=60)
    run("rollback", "-n", life.name, "--max-surge-percent", "40")
    life.wait(state="RUNNING", version="v1")
    assert life.name in run("list", "--no-interactive", "-o", "json", "-n", life.name).out
    run("terminate", "-n", life.name)
    life.wait(state="TERMINATED")
    run("archive", "-n", life.name)
    assert list(life.client.list(name=life.name)) == []
    run("delete", "-n", life.name)
    assert list(life.client.list(name=life.name, include_archived=True)) == []


def test_the_installed_command_is_as_good(record, official_env, tmp_path):
    """What is installed as ``anyscale``, started as a shell starts it, lists what the plane has."""
    command = [Path(sys.executable).parent / "anyscale", "service", "list", "-o", "json"]
    environment = official_env(record["host"], record["token"], tmp_path)
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout[:1]) == (0, b"["), done.stderr


def test_the_official_library_raises_what_it_raises_elsewhere(life, record, make_official):
    """What this plane refuses comes out of the official library as the same errors, with this plane's words in them."""
    official = make_official(record["host"], record["token"])

    def refused(verb: str, /, **arguments: Any) -> tuple[str, str]:
        answer = official.call(verb, arguments)
        return answer["error"], answer["text"]

    one, other = life.config("v1"), life.config("v2", named="v1")
    assert "value" in official.call("deploy", {"config": one})
    life.wait()
    for verb in ("status", "rollback", "terminate", "archive", "delete"):
        kind, text = refused(verb, name="none-such")
        assert (kind, "'none-such' was not found" in text) == ("RuntimeError", True), text
    for verb in ("archive", "delete"):
        kind, text = refused(verb, name=life.name)
        assert (kind, f"is RUNNING: '{verb}' is possible in TERMINATED" in text) == ("ValueError", True), text
    kind, text = refused("rollback", name=life.name)
    assert (kind, "is RUNNING: 'roll back' is possible in" in text) == ("ValueError", True), text
    kind, text = refused("deploy", config=other)
    assert (kind, "exists with another configuration" in text) == ("ValueError", True), text
    kind, text = refused("deploy", config={**one, "name": "a b"})
    assert (kind, text.startswith("name")) == ("ValueError", True), text
    kind, text = refused("list", service_id="service2_none")
    assert (kind, "service2_none" in text) == ("ValueError", True), text
    kind, text = refused("wait", name=life.name, state="TERMINATED", timeout_s=0.2, _interval_s=0.1)
    assert (kind, "Last seen state: RUNNING" in text) == ("TimeoutError", True), text
    for place in ({"cloud": "none"}, {"project": "none"}):
        assert official.call("status", {"name": life.name, **place})["error"].endswith(("Error", "Exception"))
    stranger = make_official(record["host"], "aph0_wrong")
    assert stranger.call("status", {"name": life.name})["error"].endswith("ClickException")


def test_the_official_library_may_deploy_again_what_was_packed_at_another_time(life, record, make_official):
    """Its uploads are named after the times of files; what they hold is what makes a version."""
    official, config = make_official(record["host"], record["token"]), life.config("v1")
    assert "value" in official.call("deploy", {"config": config})
    life.wait()
    version = life.seen().primary_version
    for path in Path(config["working_dir"]).iterdir():
        os.utime(path, (1e9, 1e9))
    assert "value" in official.call("deploy", {"config": config})
    assert (life.seen().primary_version.id, life.seen().canary_version) == (version.id, None)
