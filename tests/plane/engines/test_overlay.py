from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anyservice_core.errors import PlaneError
from anyservice_core.plane.engines import EngineState, Observed, ProcessEngine, VersionSpec
from anyservice_core.plane.engines.overlay import key_of, overlay

pytestmark = pytest.mark.real


@pytest.fixture
def requirement(tmp_path: Path) -> str:
    """A tiny wheel, built by hand, as a requirement that needs no index."""
    wheel = tmp_path / "pinned_thing-1.0-py3-none-any.whl"
    info = "pinned_thing-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pinned_thing.py", "version = '1.0'\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: pinned-thing\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"pinned-thing @ file://{wheel}"


def test_the_same_set_has_one_name() -> None:
    """Order and repetition do not matter; content does."""
    assert key_of(["a", "b"]) == key_of(["b", "a", "a"])
    assert key_of(["a"]) != key_of(["a==1"])


def test_requirements_are_installed_once(tmp_path: Path, requirement: str) -> None:
    """The second version with the same requirements finds them there, though their source is gone."""
    first = overlay([requirement], tmp_path / "o")
    assert (first / "pinned_thing.py").exists()
    Path(requirement.partition("file://")[2]).unlink()
    assert overlay([requirement], tmp_path / "o") == first


def test_what_cannot_be_installed_leaves_nothing(tmp_path: Path) -> None:
    """The installer's reason comes out in a line; a later try starts afresh."""
    with pytest.raises(PlaneError, match="cannot be installed: .*nothing.whl") as caught:
        overlay([f"nothing @ file://{tmp_path}/nothing.whl"], tmp_path / "o")
    assert len(str(caught.value)) < 800
    assert [path.suffix for path in (tmp_path / "o").iterdir()] == [".lock"]


def test_an_app_imports_its_requirements(
    process_engine: ProcessEngine,
    application: Callable[..., dict[str, Any]],
    settle: Callable[..., Observed],
    code: Path,
    requirement: str,
) -> None:
    """A version runs with what it requires, and without it fails."""
    (code / "needy.py").write_text("import pinned_thing\nfrom plain import app\n")
    app = application("needy:app")
    process_engine.start(VersionSpec("without", (app,)))
    app = {**app, "runtime_env": {**app["runtime_env"], "pip": [requirement]}}
    process_engine.start(VersionSpec("with", (app,)))
    assert settle(process_engine, "without").state is EngineState.FAILED
    observed = settle(process_engine, "with")
    assert observed.state is EngineState.RUNNING, observed
