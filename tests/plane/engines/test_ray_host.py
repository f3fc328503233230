from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from anyservice_core.errors import PlaneError
from anyservice_core.plane.engines import RayEngine, VersionSpec
from anyservice_core.plane.engines.ray_host import deploy_config


def config(
    *runtime_envs: dict[str, Any], overlays: list[list[str]] | None = None, **more: Any
) -> dict[str, Any]:
    apps = tuple({"import_path": "main:app", "runtime_env": runtime_env} for runtime_env in runtime_envs)
    return deploy_config(VersionSpec("v", apps, **more), overlays or [[] for _ in apps])


def test_a_local_folder_becomes_a_local_uri() -> None:
    """Serve refuses plain paths; ``local://`` needs no upload."""
    app = config({"working_dir": "/data/code"})["applications"][0]
    assert app == {
        "name": "default",
        "import_path": "main:app",
        "runtime_env": {"working_dir": "local:///data/code"},
    }


def test_no_shared_variable_is_left_for_a_command_line() -> None:
    """Ray shows env_vars on a worker's command line, so shared ones, secrets among them, are not there."""
    app = config({"env_vars": {"TOKEN": "secret"}})["applications"][0]
    assert "secret" not in str(app)


def test_what_is_not_shared_stays_with_its_application() -> None:
    """Two applications may want different values of the same variable."""
    apps = config({"env_vars": {"A": "1", "C": "3"}}, {"env_vars": {"A": "2", "C": "3"}})["applications"]
    assert [app["runtime_env"]["env_vars"] for app in apps] == [{"A": "1"}, {"A": "2"}]


def test_modules_are_found_before_the_users_own_path() -> None:
    """py_modules go in front of a PYTHONPATH that the user set."""
    runtime_env = {"py_modules": ["/m"], "env_vars": {"PYTHONPATH": "/mine"}}
    assert config(runtime_env)["applications"][0]["runtime_env"]["env_vars"]["PYTHONPATH"] == "/m:/mine"


def test_requirements_become_a_path() -> None:
    """Ray need not install what was installed already: pip is replaced by a folder to import from."""
    app = config({"pip": ["x"], "working_dir": "/w"}, overlays=[["/overlay"]])["applications"][0]
    assert app["runtime_env"] == {"working_dir": "local:///w", "env_vars": {"PYTHONPATH": "/w:/overlay"}}


def test_logging_goes_along() -> None:
    """The version's logging settings reach Serve."""
    assert config({}, logging_config={"log_level": "DEBUG"})["logging_config"] == {"log_level": "DEBUG"}


def test_without_ray_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Ray is told how to get it, or how to do without, before anything begins."""
    monkeypatch.setitem(sys.modules, "ray", None)
    engine = RayEngine(tmp_path / "state", tmp_path / "run")
    with pytest.raises(PlaneError, match=r"pip install 'anyservice\[local\]', or use --engine process"):
        engine.start(VersionSpec("v", ()))
    assert list(tmp_path.iterdir()) == []
