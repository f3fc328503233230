"""The README tells the truth: its files are the tested examples, its commands and code run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.asgi import HELLO

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the README's own two files and an application; the plan's bake cut short."""
    service, plan = blocks("yaml")
    tmp_path = tmp_path / "app"
    tmp_path.mkdir()
    (tmp_path / "service.yaml").write_text(service)
    assert "bake: 15m" in plan
    short = plan.replace("bake: 15m", "on_inconclusive: promote  # nobody sends requests here\n  bake: 1s")
    (tmp_path / "rollout.yaml").write_text(short)
    (tmp_path / "main.py").write_text(HELLO)
    return tmp_path


def test_its_files_are_the_examples():
    """What the README shows as files is what the examples ship."""
    for block, name in zip(blocks("yaml"), ("service.yaml", "rollout.yaml"), strict=True):
        assert yaml.safe_load(block) == yaml.safe_load(
            (ROOT / "dags_examples/recommender" / name).read_text()
        )


def test_its_pictures_are_there():
    """Every picture and page that the README links to exists."""
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def run(command: list[str], folder: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ANYSCALE_", "ANYSERVICE_"))}
    environment |= {
        "ANYSERVICE_STATE_DIR": str(folder.with_name("state")),
        "HOME": str(folder.with_name("home")),
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def anyservice(arguments: str) -> list[str]:
    return [sys.executable, "-c", "from anyservice_core.cli import main; main()", *shlex.split(arguments)]


@pytest.mark.real
@pytest.mark.timeout(300)
def test_its_commands_and_its_python_run(folder):
    """The shell's and Python's doors do what they say, on a plane of light processes."""
    lines = [line[2:].split("#")[0].strip() for block in blocks("console") for line in block.splitlines()]
    commands = [line.removeprefix("anyservice ") for line in lines if line.startswith("anyservice ")]
    assert [command.split()[0] for command in commands] == ["plane", "deploy", "wait", "rollout", "plane"]
    python = next(block for block in blocks("python") if "anyservice_core" in block)
    try:
        for command in commands[:-1]:
            port = " --engine process --port 0" if command == "plane up -d" else ""
            run(anyservice(command + port), folder)
        assert "primary already" in run([sys.executable, "-c", python], folder)
    finally:
        run(anyservice(commands[-1]), folder)


@pytest.mark.airflow
def test_its_dag_parses(folder):
    """Airflow's door is a DAG of one rollout, on the schedule that it shows."""
    code = next(block for block in blocks("python") if "airflow_provider" in block)
    out = run([sys.executable, "-c", f"{code}\nfrom airflow.sdk import DAG\nprint('parsed')"], folder)
    assert "parsed" in out


@pytest.mark.prefect
def test_its_flow_takes_the_parameters(folder):
    """Prefect's door passes parameters that the flow takes."""
    code = next(block for block in blocks("python") if "prefect_tasks" in block)
    shown = re.search(r"parameters=(\{.*?\})", code, re.DOTALL)
    assert shown
    check = f"from prefect_tasks import progressive_deploy as p; p.validate_parameters({shown.group(1)}); print('taken')"
    assert "taken" in run([sys.executable, "-c", check], folder)
