"""What a deploy tells about the folder that it uploads."""

from __future__ import annotations

import json

import pytest

from anyservice_core.bundle import Bundling, LeftOut
from anyservice_core.cli.progress import live_text
from anyservice_core.operations.bundles import Uploaded


@pytest.fixture
def folder(config):
    return config.parent / "app"


def test_secrets_that_stay_behind_are_named_on_stderr(run, config, folder):
    """With the way to bring one in; stdout keeps to the id."""
    (folder / ".env").write_text("KEY=very_secret")
    told = run("deploy", "-f", str(config))
    assert "goes without .env: going by their names they hold secrets. `!name` in `excludes`" in told.stderr
    assert ".env" not in told.stdout
    assert "very_secret" not in told.stderr
    asked_for = run("deploy", "-f", str(config), "--exclude", "!.env", "--version-name", "v2")
    assert ".env" not in asked_for.stderr


def test_what_is_left_out_is_a_line_of_json_for_programs(run, config, folder):
    """As every event is."""
    (folder / "tls.key").write_text("")
    told = run("deploy", "-f", str(config), "-o", "json")
    events = [json.loads(line) for line in told.stderr.splitlines()]
    assert "tls.key" in next(event for event in events if event["event"] == "LeftOut")["message"]


def test_a_link_out_of_the_folder_ends_the_deploy(run, config, folder):
    """As an error in the input, before anything is sent."""
    (folder / "passwords").symlink_to("/etc/passwd")
    told = run("deploy", "-f", str(config))
    assert told.exit_code == 2
    assert "working_dir: passwords is a link out of the folder, to /etc/passwd." in told.stderr


def test_how_far_a_folder_is_read_passes_by_and_what_is_left_out_stays():
    """On the line that moves, and above it."""
    assert (
        live_text(Bundling("reading", "app", 30, 500_000_000, 9))
        == "reading 'app': 30% of 500.0 MB in 9 files"
    )
    assert live_text(LeftOut("app", (".env",), "a secret", "Ask.")) is None
    assert live_text(Uploaded("app", "s3://b/pkg_1.zip", 10, known=False)) is None
