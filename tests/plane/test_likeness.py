"""What was packed again and holds the same is the same version; what differs in the least is not."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from anyservice_core.plane.likeness import alike
from tests.plane.api import apply
from tests.plane.test_bundles import served

FILES = {"app/main.py": "app = 1", "app/lib/": "", "app/lib/tool.py": "x"}


def packed(path: Path, files: Mapping[str, str] = FILES, *, year: int = 2020, mode: int = 0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if year % 2 else zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0))
            entry.external_attr = mode << 16
            archive.writestr(entry, text)
    return path


@pytest.mark.parametrize(
    ("files", "mode", "same"),
    [
        (FILES, 0o644, True),
        (FILES, 0o664, True),
        (dict(reversed(FILES.items())), 0o644, True),
        ({name: text for name, text in FILES.items() if name != "app/lib/"}, 0o644, True),
        ({name.replace("app/", "src/"): text for name, text in FILES.items()}, 0o644, True),
        (FILES, 0o755, False),
        ({**FILES, "app/main.py": "app = 2"}, 0o644, False),
        ({**FILES, "app/more.py": ""}, 0o644, False),
        ({**FILES, "app/empty/": ""}, 0o644, False),
        ({"app/main.py": "app = 1"}, 0o644, False),
    ],
)
def test_names_bytes_and_executable_bits_count(tmp_path, files, mode, same):
    """Times, order, packing, other modes, and the name of the one folder around all of it do not."""
    one, other = packed(tmp_path / "a.zip"), packed(tmp_path / "b.zip", files, year=2021, mode=mode)
    assert alike(one, other, named=False) is same
    assert alike(other, one, named=False) is same


def test_the_name_of_a_module_counts(tmp_path):
    """It is what is imported."""
    one = packed(tmp_path / "a.zip")
    other = packed(tmp_path / "b.zip", {name.replace("app/", "src/"): text for name, text in FILES.items()})
    assert not alike(one, other, named=True)
    assert alike(one, one, named=True)


def test_what_cannot_be_read_is_like_nothing(tmp_path):
    """Damage is found where it is unpacked; here it is only no reason to take two for one."""
    one, other = packed(tmp_path / "a.zip"), packed(tmp_path / "b.zip")
    other.write_bytes(other.read_bytes().replace(b"app = 1", b"app = 2", 1))
    assert not alike(one, other, named=False)
    assert not alike(one, tmp_path / "none.zip", named=False)


@pytest.fixture
def upload(plane):
    def upload(name: str, **packing) -> dict:
        draft = plane.bundles.draft()
        plane.bundles.keep(name, packed(draft, **packing))
        return served(plane.bundles.uri(name))

    return upload


def test_the_same_contents_under_another_name_are_the_same_version(plane, http, upload):
    """A deploy that is run again, from another checkout, is accepted and starts nothing; other contents are refused."""
    before = apply(http, version="v1", ray_serve_config=upload("a.zip")).json()["result"]
    plane.advance(10)
    again = apply(http, version="v1", ray_serve_config=upload("b.zip", year=2021))
    assert again.status_code == 200, again.text
    assert again.json()["result"]["primary_version"]["id"] == before["primary_version"]["id"]
    assert again.json()["result"]["canary_version"] is None
    changed = {**FILES, "app/main.py": "app = 2"}
    other = apply(http, version="v1", ray_serve_config=upload("c.zip", files=changed))
    assert (other.status_code, "another configuration" in other.text) == (409, True)


@pytest.mark.parametrize("version", ["v2", None])
def test_the_weight_of_a_canary_moves_by_a_deploy_of_the_same_contents(plane, http, upload, version):
    """With a name or without one, packing it again does not start a second canary."""
    apply(http, version="v1", ray_serve_config=upload("a.zip"))
    plane.advance(10)
    changed = {**FILES, "app/main.py": "app = 2"}
    named = {"version": version} if version else {}
    ids = set()
    for name, year, percent in (("b.zip", 2020, 10), ("c.zip", 2021, 50)):
        serve = upload(name, files=changed, year=year)
        answer = apply(http, ray_serve_config=serve, canary_percent=percent, **named)
        ids.add(answer.json()["result"]["canary_version"]["id"])
        plane.advance(20)
    assert len(ids) == 1
    assert plane.service("svc").canary.weight == 50
