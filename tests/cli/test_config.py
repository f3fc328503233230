"""Which settings hold, as a user who wonders sees it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from anyservice_core.cli import root


@pytest.fixture
def shown(tmp_path):
    """What `config show` says in this environment, by setting: value and source."""

    def show(*args: str, **env: str) -> dict[str, tuple[str | None, str]]:
        names = ("HOST", "CLI_TOKEN", "CLOUD", "PROJECT")
        nothing = {f"{maker}_{name}": None for maker in ("ANYSERVICE", "ANYSCALE") for name in names}
        clean = nothing | {"HOME": str(tmp_path), "ANYSERVICE_STATE_DIR": str(tmp_path / "state")}
        done = CliRunner().invoke(root, ["config", "show", "-o", "json", *args], env=clean | env)
        assert done.exit_code == 0, done.output
        return {row["setting"]: (row["value"], row["source"]) for row in json.loads(done.stdout)}

    return show


def test_a_stranger_sees_what_is_missing(shown):
    """Also without a token there is an answer, not an error."""
    found = shown()
    assert found["host"] == ("https://console.anyscale.com", "default")
    assert found["token"][0] is None
    assert {"cloud", "project"} <= found.keys()


def test_each_setting_says_where_it_came_from(shown, tmp_path):
    """An option before the environment, ours before Anyscale's, both before the file."""
    file = tmp_path / ".anyscale" / "credentials.json"
    file.parent.mkdir()
    file.write_text('{"cli_token": "aph0_filed"}')
    assert shown()["token"] == ("(hidden)", str(file))
    env = {"ANYSCALE_CLI_TOKEN": "aph0_theirs", "ANYSCALE_HOST": "https://theirs"}
    assert shown(**env)["token"] == ("(hidden)", "ANYSCALE_CLI_TOKEN")
    assert shown(**env, ANYSERVICE_HOST="https://ours")["host"] == ("https://ours", "ANYSERVICE_HOST")
    assert shown("--host", "https://given", **env)["host"] == ("https://given", "argument")
    assert shown("--cloud", "prod")["cloud"] == ("prod", "argument")


@pytest.mark.parametrize("output", ["table", "text", "json", "yaml"])
def test_no_form_shows_a_secret(tmp_path, output):
    """Not the token, nor a password that somebody put into the address."""
    (tmp_path / "token").write_text("hunter2")
    env = {
        "HOME": str(tmp_path),
        "ANYSERVICE_HOST": "https://me:hunter3@x",
        "ANYSERVICE_CLI_TOKEN": "hunter4",
    }
    for args in ((), ("--token-file", str(tmp_path / "token"))):
        done = CliRunner().invoke(root, ["config", "show", "-o", output, *args], env=env)
        assert done.exit_code == 0
        assert "hunter" not in done.output
        assert "hidden" in done.output
