"""Images, by the official CLI, on the real plane: recorded, listed, shown and archived, and never built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.official.life import real_plane

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Iterator[dict[str, Any]]:
    with real_plane(tmp_path_factory.mktemp("plane"), 19600) as record:
        yield record


def test_an_image_is_registered_listed_shown_and_archived(anyscale):
    """The whole life of an image that is somewhere already."""
    told = anyscale.run("image", "register", "--image-uri", "docker.io/me/img:1", "-n", "mine").out
    assert "registered successfully" in told
    [listed] = anyscale.run("image", "list", "-n", "mine", "--no-interactive", "-o", "json").json
    shown = anyscale.run("image", "get", "-n", "mine:1", "-o", "json").json
    assert listed["latest_image_uri"] == shown["latest_image_uri"] == "docker.io/me/img:1"
    assert (shown["latest_build_status"], shown["latest_build_revision"]) == ("SUCCEEDED", 1)
    anyscale.run("image", "archive", "-n", "mine")
    assert "mine" not in anyscale.run("image", "list", "--no-interactive").out
    assert "mine" in anyscale.run("image", "list", "--include-archived", "--no-interactive").out


def test_a_containerfile_is_recorded_in_revisions(anyscale, tmp_path):
    """Each text is a revision of its image, and either can be asked for."""
    for number in (1, 2):
        text = tmp_path / f"{number}.Containerfile"
        text.write_text(f"FROM anyscale/ray:2.50.0-py311\nRUN pip install that=={number}\n")
        anyscale.run("image", "build", "-f", str(text), "-n", "built", "-r", "2.50.0")
    assert anyscale.run("image", "get", "-n", "built", "-o", "json").json["latest_build_revision"] == 2
    assert anyscale.run("image", "get", "-n", "built:1", "-o", "json").json["latest_build_revision"] == 1
