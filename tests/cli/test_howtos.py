"""Pages that say how to do one thing: their files are written, their commands and code are run, in the page's order.

Lines below a command are what it prints, ``...`` being anything. What is shown nothing of may print what it likes.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from anyservice_core.plane import control, daemon

HOWTO = Path(__file__).parents[2] / "docs" / "howto"
ON_A_PLANE = [
    "deploy",
    "canary",
    "waiting",
    "control_planes",
    "dashboard",
    "scripts",
    "sync_and_async",
    "testing",
]
EXIT_CODE = 'echo "exit code $?"'
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A command of bash, and what it shall print, if the page says so."""

    command: str
    printed: str = ""

    def fits(self, out: str, err: str) -> bool:
        """Whether it said what the page shows: the result alone, all that a person sees, or how that ends.

        How much is told on the way to the end depends on how long the machine takes.
        """
        pattern = ".*".join(re.escape(part) for part in _even(self.printed).split("..."))
        end = err.splitlines()[-len(self.printed.splitlines()) :] if not out else []
        said = (out, err + out, "\n".join(end))
        return not self.printed or any(re.fullmatch(pattern, _even(text), re.DOTALL) for text in said)


def _even(text: str) -> str:
    """Columns are as wide as what is in them."""
    return re.sub(r" +", " ", text.strip())


def steps(text: str, folder: Path) -> list[Step]:
    """What a page has one do; its files are written beforehand."""
    found: list[Step] = []
    for language, title, content in BLOCK.findall(text):
        if title:
            (folder / title).parent.mkdir(parents=True, exist_ok=True)
            (folder / title).write_text(content)
        elif language == "python":
            found.append(Step(f"{shlex.quote(sys.executable)} <<'END'\n{content}END"))
        elif language == "console":
            for shown in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
                command, _, printed = shown.partition("\n")
                if command == EXIT_CODE:
                    last = found.pop()
                    command, printed = f"{last.command}; {command}", f"{last.printed}\n{printed}"
                found.append(Step(command, printed.strip()))
    return found


def follow(text: str, folder: Path, environment: dict[str, str]) -> None:
    """Do what a page says, all in one shell, and compare what it prints."""
    work, said = folder / "work", folder / "said"
    work.mkdir(parents=True)
    said.mkdir()
    todo = steps(text, work)
    assert todo
    script = "\n".join(
        f"{{ {step.command}\n}} > {said}/out.{number} 2> {said}/err.{number} || exit {number + 1}"
        for number, step in enumerate(todo)
    )
    done = subprocess.run(["bash", "-c", script], cwd=work, env=environment, timeout=150)
    for number, step in enumerate(todo):
        out, err = ((said / f"{name}.{number}").read_text() for name in ("out", "err"))
        assert done.returncode != number + 1, f"{step.command} failed:\n{err}{out}"
        assert step.fits(out, err), f"{step.command} said:\n{err}{out}"


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """A user with nothing set, whose commands are this environment's."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ANYS", "PYTHONDONTWRITE", "COLUMNS"))
    }
    return kept | {
        "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
        "HOME": str(tmp_path),
        "PROD_TOKEN": "aph0_prod",
    }


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> Iterator[Path]:
    """The folder of a plane that is up."""
    folder = tmp_path_factory.mktemp("state")
    settings: dict[str, Any] = {
        "port": 0,
        "engine": "process",
        "first_service_port": 18900,
        "ladder_hold_s": 0.3,
    }
    control.spawn(daemon.PlaneSettings(state_dir=folder, **settings))
    yield folder
    control.down(folder)


@pytest.mark.real
@pytest.mark.timeout(200)
@pytest.mark.parametrize("page", ON_A_PLANE)
def test_a_page_does_what_it_says(page, state, environment, tmp_path):
    """On a plane of this machine, with its services as light processes."""
    environment["ANYSERVICE_STATE_DIR"] = str(state)
    follow((HOWTO / f"{page}.md").read_text(), tmp_path / page, environment)


@pytest.mark.timeout(120)
def test_images_and_machines_are_taken_as_the_page_says(environment, tmp_path):
    """By a stand-in for the platform, since a plane on one machine has neither."""
    from tests.official.recording import RecordingServer

    with RecordingServer() as server:
        environment |= {"ANYSERVICE_HOST": server.host, "ANYSERVICE_CLI_TOKEN": server.token}
        follow((HOWTO / "images.md").read_text(), tmp_path / "images", environment)
        computes = [one for one in server.requests if one.line == "POST /api/v2/compute_templates/"]
        assert len(computes) == 1, "what is written out is registered once for both of its deploys"


@pytest.mark.real
@pytest.mark.timeout(200)
@pytest.mark.parametrize("page", ["plane_running", "plane_backup", "plane_limits"])
def test_a_plane_is_cared_for_as_its_page_says(page, environment, tmp_path):
    """From nothing, on folders and ports of its own; what was started is ended whatever happens."""
    environment |= {"ANYSERVICE_STATE_DIR": str(tmp_path / "state"), "ANYSERVICE_PLANE_PORT": "0"}
    if page == "plane_backup":
        daemon_settings: dict[str, Any] = {"port": 0, "engine": "process", "first_service_port": 18950}
        control.spawn(daemon.PlaneSettings(state_dir=tmp_path / "state", **daemon_settings))
        folder = tmp_path / "app"
        folder.mkdir()
        (folder / "main.py").write_text("async def app(scope, receive, send): ...")
        deploy = ["anyservice", "deploy", "main:app", "-n", "greeter", "-w", str(folder)]
        subprocess.run(deploy, env=environment, check=True, capture_output=True, timeout=60)
    try:
        follow((HOWTO / f"{page}.md").read_text(), tmp_path / page, environment)
    finally:
        for state in (tmp_path / "state", tmp_path / page / "work" / "full"):
            control.down(state)


def test_the_unit_is_one_that_systemd_takes(tmp_path):
    """The example of the page, with the program of this environment."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    (text,) = (
        content for _, title, content in BLOCK.findall((HOWTO / "plane_running.md").read_text()) if title
    )
    unit = tmp_path / "anyservice-plane.service"
    unit.write_text(
        text.replace("/opt/anyservice/bin/anyservice", str(Path(sys.executable).with_name("anyservice")))
    )
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=30
    )
    about_it = [line for line in done.stderr.splitlines() if "anyservice" in line]
    assert (done.returncode, about_it) == (0, [])
