"""The docs cannot lie: the reference is made from the code, and what the pages show to type is run."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

import anyservice_core
from anyservice_core.cli import root

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

import generate  # noqa: E402  # found by the line above
from pages.cli import walk  # noqa: E402
from pages.settings import VARIABLES  # noqa: E402

INDEX = (DOCS / "index.md").read_text()
PAGES = [*DOCS.glob("*.md"), *DOCS.glob("howto/*.md"), *DOCS.glob("reference/*.md")]


# ── the reference ──


def test_the_reference_is_what_the_code_says():
    """`python docs/generate.py` writes it anew."""
    assert generate.stale() == {}


def test_every_command_and_option_is_documented():
    """In each spelling; only what is hidden is not."""
    page = (DOCS / "reference" / "cli.md").read_text()
    for path, command in walk(root):
        section = page.partition(f"## {' '.join(path)}\n")[2].partition("\n## ")[0]
        assert section, path
        options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
        assert [
            name for one in options for name in (*one.opts, *one.secondary_opts) if f"`{name}`" not in section
        ] == []


def test_every_public_name_is_documented():
    """On the page of Python, or of errors."""
    text = "".join((DOCS / "reference" / name).read_text() for name in ("api.md", "errors.md"))
    missing = [name for name in anyservice_core.__all__ if name not in text and not name.startswith("__")]
    assert missing == []


def test_every_variable_that_is_read_is_documented():
    """And nothing is documented that nobody reads."""
    folders = ("anyservice_core", "airflow_provider", "prefect_tasks")
    sources = [path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py")]
    read = {name for source in sources for name in re.findall(r'"(ANYS(?:ERVICE|CALE)_[A-Z_]+)"', source)}
    read -= {"ANYSERVICE_HOST_MARK"}  # the plane's own, on what it starts
    made_of_names = {"ANYSERVICE_CLOUD", "ANYSERVICE_PROJECT"}
    assert read | made_of_names == set(VARIABLES)


# ── what is there to type ──


def typed(text: str) -> list[str]:
    """Commands of ours in blocks of code, and in the help of commands."""
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL)
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("anyservice ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_shown_can_be_typed(page, tmp_path, monkeypatch):
    """Each command exists and takes the options that it is shown with."""
    monkeypatch.chdir(tmp_path)
    for file in ("plane.pem", "plane.key"):  # such options look for their files at once
        (tmp_path / file).touch()
    for line in typed(page.read_text()):
        words = shlex.split(re.split(r"\s*[|>]\s|\s{2,}", line)[0], comments=True)[1:]
        with root.make_context("anyservice", [*words]) as ctx:
            group, rest = root, ctx._protected_args + ctx.args if hasattr(ctx, "_protected_args") else words
            while isinstance(group, click.Group):
                _, command, rest = group.resolve_command(ctx, rest)
                group = command
            group.make_context(line, rest, parent=ctx).close()


def blocks(section: str, language: str) -> list[tuple[str, str]]:
    """Blocks of code of a section of the first page, with their titles."""
    text = INDEX.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(rf'```{language}(?: title="([^"]+)")?\n(.*?)```', text, re.DOTALL)


@pytest.fixture
def shell(tmp_path):
    """Run a page's console blocks as one script, in a folder and with a plane of their own; give what it printed."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ANYS", "PYTHONDONTWRITE"))}
    env |= {
        "PATH": f"{Path(sys.executable).parent}:{env['PATH']}",
        "HOME": str(tmp_path),
        "ANYSERVICE_STATE_DIR": str(tmp_path / "state"),
        "ANYSERVICE_PLANE_PORT": "0",
    }

    def run(script: str, folder: Path, timeout_s: float) -> str:
        process = subprocess.Popen(
            ["bash", "-ec", script],
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=timeout_s)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            subprocess.run(["anyservice", "plane", "down"], env=env, check=True, capture_output=True)
        assert process.returncode == 0, said
        return said

    return run


def script(section: str, service: str) -> tuple[str, list[str]]:
    """The commands of a section, and the lines that it says they print. The port is the one that is free here."""
    lines = [line for _, block in blocks(section, "console") for line in block.splitlines()]
    commands = [line[2:] for line in lines if line.startswith("$ ") and "pip install" not in line]
    printed = [line for line in lines if not line.startswith("$ ")]
    up = next(number for number, line in enumerate(commands) if line.startswith("anyservice wait")) + 1
    commands.insert(up, f"url=$(anyservice status {service} -o json | jq -r .query_url)")
    commands.insert(0, "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT")
    return "\n".join(commands).replace("http://127.0.0.1:8700", "$url"), printed


@pytest.mark.real
@pytest.mark.timeout(240)
def test_the_first_five_minutes_go_as_told(shell, tmp_path):
    """Files, commands and what they print are the page's own."""
    folder = tmp_path / "greeter"
    folder.mkdir()
    for language in ("python", "yaml"):
        for name, content in blocks("Five minutes, nothing but Python", language):
            (folder / name).write_text(content)
    commands, printed = script("Five minutes, nothing but Python", "greeter")
    said = shell(commands, folder, 200).splitlines()
    assert printed == ["hello", "servus"]
    assert [line for line in said if line in printed] == printed
    assert "greeter: succeeded: it serves all traffic" in said


@pytest.mark.ray
@pytest.mark.real
@pytest.mark.timeout(400)
def test_ray_goes_as_told(shell):
    """The page's commands, with a Ray cluster for the version."""
    commands, _ = script("With Ray", "recommender")
    assert "state: RUNNING" in shell(commands, ROOT, 380)


def test_what_is_installed_exists():
    """The extras that the page names are extras of this package."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"anyservice\[(\w+)\]", INDEX)) <= set(extras)
