"""The command line against a plane in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from anyservice_core.cli import root
from anyservice_core.testing import FakePlane


@pytest.fixture
def plane() -> Iterator[FakePlane]:
    with FakePlane() as one:
        yield one


@pytest.fixture
def run(plane: FakePlane) -> Callable[..., Result]:
    """Run the command with these arguments, its client talking to the plane."""

    def make(host: str | None, **options):
        return plane.client(**options)

    def invoke(*args: str) -> Result:
        return CliRunner().invoke(root, args, obj=make)

    return invoke


@pytest.fixture
def config(tmp_path):
    """A config file with a folder beside it."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "main.py").write_text("app = 1\n")
    file = tmp_path / "service.yaml"
    file.write_text(
        f"name: recommender\nworking_dir: {app}\nexcludes: ['*.bin']\nenv_vars: {{A: '1', B: '2'}}\n"
        "applications:\n- import_path: main:app\n"
    )
    return file
