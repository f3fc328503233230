from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anyservice_core.errors import PlaneError
from anyservice_core.plane.engines import RayEngine, VersionSpec, with_variables
from anyservice_core.plane.engines.ray_config import Variables, applications, validated


def config(
    *runtime_envs: dict[str, Any],
    overlays: list[list[str]] | None = None,
    inherited: dict[str, str] | None = None,
    hidden: dict[int, Variables] | None = None,
    **more: Any,
) -> list[dict[str, Any]]:
    """Translate one application for each ``runtime_env``; what is to be hidden is put into ``hidden``."""
    kept = {} if hidden is None else hidden

    def hide(number: int, variables: Variables) -> Path:
        kept[number] = variables
        return Path(f"/host/variables-{number}.json")

    apps = tuple({"import_path": "main:app", "runtime_env": runtime_env} for runtime_env in runtime_envs)
    spec = VersionSpec("v", apps, **more)
    return applications(spec, overlays or [[] for _ in apps], inherited=inherited or {}, hide=hide)


def test_a_local_folder_becomes_a_local_uri() -> None:
    """Serve refuses plain paths; ``local://`` needs no upload."""
    assert config({"working_dir": "/data/code"}) == [
        {
            "name": "default",
            "import_path": "main:app",
            "runtime_env": {"working_dir": "local:///data/code"},
        }
    ]


def test_what_the_host_has_is_inherited() -> None:
    """A variable that the host's own environment has with this value need not be passed at all."""
    assert config({"env_vars": {"TOKEN": "secret"}}, inherited={"TOKEN": "secret"}) == [
        {"name": "default", "import_path": "main:app", "runtime_env": {}}
    ]


def test_no_other_variable_is_left_for_a_command_line() -> None:
    """Ray shows env_vars on a worker's command line; what differs from the host's goes through a private file."""
    hidden: dict[int, Variables] = {}
    inherited = {"TOKEN": "old", "GONE": "1", "SAME": "2"}
    apps = config({"env_vars": {"TOKEN": "secret", "SAME": "2"}}, inherited=inherited, hidden=hidden)
    assert hidden == {0: {"TOKEN": "secret", "GONE": None}}
    assert "secret" not in str(apps)
    launcher = apps[0]["runtime_env"]["py_executable"]
    assert launcher.endswith(f"with_variables.py /host/variables-0.json {sys.executable}")


def test_each_application_has_variables_of_its_own() -> None:
    """Two applications may want different values of the same variable."""
    hidden: dict[int, Variables] = {}
    config(
        {"env_vars": {"A": "1", "C": "3"}},
        {"env_vars": {"A": "2", "C": "3"}},
        inherited={"C": "3"},
        hidden=hidden,
    )
    assert hidden == {0: {"A": "1"}, 1: {"A": "2"}}


def test_a_python_of_the_users_own_is_what_the_launcher_becomes() -> None:
    """``py_executable`` may be any command; variables are set before it."""
    (app,) = config({"env_vars": {"A": "1"}, "py_executable": "uv run"})
    assert app["runtime_env"]["py_executable"].endswith("/host/variables-0.json uv run")
    (app,) = config({"py_executable": "uv run"})
    assert app["runtime_env"]["py_executable"] == "uv run"


def test_what_changes_programs_is_left_to_ray() -> None:
    """Ray adds to PYTHONPATH and LD_LIBRARY_PATH itself, so it must know them."""
    (app,) = config({"env_vars": {"LD_LIBRARY_PATH": "/lib"}})
    assert app["runtime_env"] == {"env_vars": {"LD_LIBRARY_PATH": "/lib"}}


def test_modules_are_found_before_the_users_own_path() -> None:
    """py_modules go in front of a PYTHONPATH that the user set."""
    (app,) = config({"py_modules": ["/m"], "env_vars": {"PYTHONPATH": "/mine"}})
    assert app["runtime_env"]["env_vars"]["PYTHONPATH"] == "/m:/mine"


def test_requirements_become_a_path() -> None:
    """Ray need not install what was installed already: pip is replaced by a folder to import from."""
    (app,) = config({"pip": ["x"], "working_dir": "/w"}, overlays=[["/overlay"]])
    assert app["runtime_env"] == {"working_dir": "local:///w", "env_vars": {"PYTHONPATH": "/w:/overlay"}}


def test_logging_goes_along_with_each_application() -> None:
    """Generations of a version may log differently in the same cluster; what an application says itself counts more."""
    apps = config({}, {}, logging_config={"log_level": "DEBUG"})
    assert [app["logging_config"] for app in apps] == [{"log_level": "DEBUG"}] * 2


def test_the_launcher_sets_unsets_and_becomes_the_program(tmp_path: Path) -> None:
    """What runs has the variables of the file, none that is null there, and its own arguments."""
    file = tmp_path / "variables.json"
    file.write_text(json.dumps({"TOKEN": "secret", "GONE": None}))
    show = "import os, sys; print(os.environ.get('TOKEN'), os.environ.get('GONE'), sys.argv[1:])"
    script = str(with_variables.__file__)
    done = subprocess.run(
        [sys.executable, "-I", "-S", script, str(file), sys.executable, "-c", show, "a b"],
        env={"GONE": "here", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("secret None ['a b']\n", "")


def test_without_ray_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Ray is told how to get it, or how to do without, before anything begins."""
    monkeypatch.setitem(sys.modules, "ray", None)
    engine = RayEngine(tmp_path / "state", tmp_path / "run")
    with pytest.raises(PlaneError, match=r"pip install 'anyservice\[local\]', or use --engine process"):
        engine.start(VersionSpec("v", ()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray's own models
@pytest.mark.parametrize(("capacity", "told"), [(100, None), (25, 25), (1, 1)])
def test_less_than_all_is_told_to_serve(capacity: int, told: int | None) -> None:
    """A part of a version is Serve's target capacity; of a whole one, Serve is told nothing of it."""
    pytest.importorskip("ray")
    deployed = validated([{"name": "a", "import_path": "m:app"}], capacity)
    assert deployed.target_capacity == told
