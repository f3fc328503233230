"""`anyservice deploy --dry-run`, and the page that teaches it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from anyservice_core import DeployPreview

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "dry_run.md").read_text()
ASKS = re.compile(r"GET .*|POST .*/(search|find_by_name|generate_cloud_data_bucket_presigned_url)")


def dry(run, config, *args):
    return run("deploy", "-f", str(config), "--dry-run", *args)


def test_nothing_is_done(run, config, plane):
    """Only questions are asked; the end is a good one."""
    result = dry(run, config, "--version-name", "v1")
    assert result.exit_code == 0
    assert [one.line for one in plane.sent if not ASKS.fullmatch(one.line)] == []
    assert run("list", "-j").stdout.strip() == "[]"


def test_the_difference_is_in_colours_on_a_terminal_and_plain_elsewhere(run, config, running):
    """Green for what is new, red for what is gone, yellow for what is another."""
    args = ("--version-name", "v2", "--env", "C=3", "--exclude", "*.log")
    plain, coloured = dry(run, config, *args).stdout, dry(run, config, *args, "--color", "always").stdout
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[\d*m", "", coloured) == plain
    assert "\x1b[32m  + ray_serve_config.applications.0.runtime_env.env_vars.C: (hidden)" in coloured
    assert "\x1b[33m  ~ version: v1 -> v2" in coloured


def test_programs_get_everything_but_secrets(run, config, running):
    """As JSON, YAML or a table."""
    args = ("--version-name", "v2", "--env", "A=hunter2", "--canary-percent", "10")
    shown = json.loads(dry(run, config, *args, "-j").stdout)
    assert set(shown) == set(DeployPreview.model_fields)
    assert shown["action"] == "CANARY"
    assert shown["request"]["body"]["canary_percent"] == 10
    assert yaml.safe_load(dry(run, config, *args, "-o", "yaml").stdout) == shown
    asked = dry(run, config, *args, "-o", "table")
    table = asked.stdout
    assert "version v2 as a canary at 10% beside version v1" in asked.stderr
    assert table.splitlines()[0].split() == ["PLACE", "LIVE", "WANTED"]
    assert "hunter2" not in json.dumps(shown) + table


def test_what_cannot_work_fails_as_it_would(run, config):
    """With the deploy's own words and exit code."""
    assert dry(run, config, "-w", "/no/such").exit_code == 2
    assert dry(run, config, "--cloud", "nowhere").exit_code == 2


# ── the page ──


def steps(text: str) -> list[tuple[str, list[str]]]:
    """The commands of the page in order, each with the lines that it says it prints."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def like(pattern: str) -> str:
    """``...`` in a line stands for anything, and alone for the rest."""
    return ".*" if pattern.strip() == "..." else re.escape(pattern).replace(r"\.\.\.", r"[^\n]*")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the page has in its files."""
    for name, content in re.findall(r'```yaml title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL):
        (tmp_path / name).write_text(content)
    (tmp_path / "main.py").write_text("app = 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_s_commands_print_what_it_says(run, folder):
    """One after another, as a reader types them."""
    for command, said in steps(PAGE):
        typed, _, question = command.partition(" | jq -r ")
        result = run(*shlex.split(typed)[1:])
        assert result.exit_code == 0, result.output
        out = result.stdout
        if question:
            shown = json.loads(out)
            keys = [key.strip(" '.") for key in question.split(",")]
            out = "".join(f"{shown[key]}\n" for key in keys)
        if said:
            assert re.fullmatch("\n".join(map(like, said)) + "\n", out, re.DOTALL), out


def test_the_page_s_python_runs(run, folder, plane, capsys):
    """Against the same plane."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code.replace("with Client()", "with make()"), {"make": plane.client})
    assert "ray_serve_config.applications.0.import_path None main:app" in capsys.readouterr().out
