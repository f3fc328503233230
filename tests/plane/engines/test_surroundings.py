from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from anyservice_core.errors import PlaneError
from anyservice_core.plane.engines.surroundings import (
    import_paths,
    one_for_all,
    route_prefixes,
    shared_variables,
)


def app(**runtime_env: Any) -> dict[str, Any]:
    return {"import_path": "main:app", "runtime_env": runtime_env}


def test_shared_variables_are_those_that_all_agree_on() -> None:
    """A variable that one application lacks or sets otherwise is not shared."""
    apps = [app(env_vars={"A": "1", "B": "1", "C": "1"}), app(env_vars={"A": "1", "B": "2"})]
    assert shared_variables(apps, cautious=False) == {"A": "1"}


def test_the_cautious_leave_out_what_steers_interpreters() -> None:
    """PYTHONPATH and the like would change how Ray's own processes run."""
    apps = [app(env_vars={"TOKEN": "x", "PYTHONPATH": "/x", "LD_PRELOAD": "y", "RAY_X": "z"})]
    assert shared_variables(apps, cautious=True) == {"TOKEN": "x"}
    assert len(shared_variables(apps, cautious=False)) == 4


def test_a_package_is_found_through_its_parent(tmp_path: Path) -> None:
    """A py_modules entry that is a package itself is importable by its name."""
    package, folder = tmp_path / "package", tmp_path / "folder"
    package.mkdir()
    folder.mkdir()
    (package / "__init__.py").touch()
    modules = [str(package), str(folder)]
    assert import_paths(app(working_dir="/w", py_modules=modules)) == ["/w", str(tmp_path), str(folder)]


@pytest.mark.parametrize(
    ("field", "values"),
    [("working_dir", ["/a", "/b"]), ("env_vars", [{"A": "1"}, {"A": "2"}]), ("pip", [["x"], ["y"]])],
)
def test_one_process_cannot_be_two_places(field: str, values: list[Any]) -> None:
    """Applications that want different surroundings are refused, by the field's name."""
    with pytest.raises(PlaneError, match=rf"runtime_env\.{field} differs.*--engine ray"):
        one_for_all([app(**{field: value}) for value in values])


def test_equal_surroundings_are_one(tmp_path: Path) -> None:
    """Two applications from the same folder share its path once."""
    found = one_for_all([app(working_dir=str(tmp_path), pip={"packages": ["b", "a"]})] * 2)
    assert (found.working_dir, found.paths, found.requirements) == (tmp_path, (str(tmp_path),), ("a", "b"))


def test_no_runtime_env_is_fine() -> None:
    """An application from an installed package asks for nothing."""
    found = one_for_all([{"import_path": "package:app"}])
    assert (found.working_dir, found.paths) == (None, ())


def test_prefixes_follow_serves_rules() -> None:
    """The default is the root, and an application with a null prefix takes no requests."""
    assert route_prefixes([{}, {"route_prefix": "/b"}, {"route_prefix": None}]) == ["/", "/b"]


@pytest.mark.parametrize("prefixes", [["api"], ["/api/"], ["/", "/"]])
def test_prefixes_that_cannot_be_told_apart_are_refused(prefixes: list[str]) -> None:
    """A prefix that Serve would refuse, or that two applications claim, is named."""
    with pytest.raises(PlaneError, match=f"route_prefix '{prefixes[0]}'"):
        route_prefixes([{"route_prefix": prefix} for prefix in prefixes])
