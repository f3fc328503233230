"""Uploads by URL: good for one name, for a while and one content; any other is refused and leaves nothing behind."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from anyservice_core.plane import catalog
from anyservice_core.plane.bundles import PASS_S, Bundles
from anyservice_core.testing import TOKEN, FakePlane
from tests.plane.api import Caller, detail

SIGN = f"/api/v2/clouds/{catalog.CLOUD.id}/generate_cloud_data_bucket_presigned_url"


@pytest.fixture
def plane(tmp_path, clock):
    with FakePlane() as plane:
        plane.bundles = plane.api.bundles = Bundles(tmp_path, key="key", clock=clock)
        yield plane


@pytest.fixture
def stranger(plane):
    """Someone without a token, which is how official clients upload."""
    return Caller(plane)


def zipped(content: str = "app = 1") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("app/main.py"), content)  # the same bytes at any time
    return buffer.getvalue()


def url_for(plane, name: str = "a.zip") -> str:
    """Ask for an upload URL, and give its path and query."""
    asked = {"file_name": name, "file_type": "runtime_env_packages", "access_mode": "WRITE"}
    answer = Caller(plane, Authorization=f"Bearer {TOKEN}").request("POST", SIGN, json=asked)
    found = urlsplit(answer.json()["result"]["url"])
    return f"{found.path}?{found.query}"


def kept(plane) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in plane.bundles._zips.iterdir()}


def test_an_upload_is_kept_for_its_owner_alone(plane, stranger):
    """Without a token, and with mode 0600 in a folder of 0700."""
    assert stranger.put(url_for(plane), content=zipped()).status_code == 200
    (path,) = plane.bundles._zips.iterdir()
    modes = [oct(p.stat().st_mode & 0o777) for p in (path, path.parent, plane.bundles._code)]
    assert modes == ["0o600", "0o700", "0o700"]


def test_an_upload_is_unpacked_on_the_way_in(plane, stranger):
    """By whoever sent it, and not by the loop that all services wait for; a damaged one waits for the deploy to tell."""
    stranger.put(url_for(plane), content=zipped())
    (copy,) = plane.bundles._code.iterdir()
    assert (copy / "app/main.py").read_text() == "app = 1"
    damaged = zipped("x" * 100).replace(b"xxx", b"xyx", 1)
    assert stranger.put(url_for(plane, "b.zip"), content=damaged).status_code == 200
    assert list(plane.bundles._code.iterdir()) == [copy]


def test_two_that_unpack_at_once_agree(plane, stranger, monkeypatch):
    """Whoever comes second finds the copy of the first, and leaves nothing of its own."""
    stranger.put(url_for(plane), content=zipped())
    uri = plane.bundles.uri("a.zip")
    first = plane.bundles.directory(uri)
    monkeypatch.setattr(Path, "is_dir", once_not(first.parent, Path.is_dir))
    assert plane.bundles.directory(uri) == first
    assert list(plane.bundles._code.iterdir()) == [first.parent]


def once_not(path: Path, is_dir):
    """Give ``is_dir`` as it is but for the first look at this path, which comes too early."""
    early = [path]

    def looked(asked: Path) -> bool:
        if asked in early:
            early.remove(asked)
            return False
        return is_dir(asked)

    return looked


def test_a_url_is_good_for_its_name_alone(plane, stranger):
    """What was signed for one file opens no other."""
    url = url_for(plane, "a.zip").replace("a.zip", "b.zip")
    assert stranger.put(url, content=zipped()).status_code == 403
    assert kept(plane) == {}


@pytest.mark.parametrize("part", ["expires", "signature"])
@pytest.mark.parametrize("change", ["", "0", "x", "-1", "9" * 400, "é"])
def test_a_url_that_was_changed_is_refused(plane, stranger, part, change):
    """Neither a later end nor another signature is believed."""
    url = url_for(plane)
    (before,) = parse_qs(urlsplit(url).query)[part]
    answer = stranger.put(url.replace(before, change), content=zipped())
    assert (answer.status_code, "not one that this plane gave out" in detail(answer)) == (403, True)
    assert kept(plane) == {}


def test_a_url_ends(plane, stranger, clock):
    """After an hour, it is told that it was a good one."""
    url = url_for(plane)
    clock.now += PASS_S - 1
    assert stranger.put(url, content=zipped()).status_code == 200
    clock.now += 1
    answer = stranger.put(url, content=zipped())
    assert (answer.status_code, "too old" in detail(answer)) == (403, True)


def test_a_url_that_was_used_takes_no_other_content(plane, stranger, clock):
    """The same bytes again are welcome, from a client that did not hear the answer; others need another URL."""
    url, first = url_for(plane), zipped("one")
    clock.now += 5
    assert [stranger.put(url, content=first).status_code for _ in range(2)] == [200, 200]
    answer = stranger.put(url, content=zipped("two"))
    assert (answer.status_code, "used already" in detail(answer)) == (409, True)
    assert kept(plane) == {"a.zip": first}
    clock.now += 5
    assert stranger.put(url_for(plane), content=zipped("two")).status_code == 200
    assert kept(plane) == {"a.zip": zipped("two")}


@pytest.mark.parametrize(
    "name",
    [
        "../a.zip",
        "/etc/a.zip",
        "a/b.zip",
        ".zip",
        "a",
        "a.tar",
        "a.zip\n",
        "a" * 200 + ".zip",
        "é.zip",
        "",
        "a\0.zip",
    ],
)
def test_a_name_that_is_a_path_is_not_signed(plane, name):
    """It is refused where it is asked for, so no URL of it ever is."""
    asked = {"file_name": name, "file_type": "runtime_env_packages", "access_mode": "WRITE"}
    answer = Caller(plane, Authorization=f"Bearer {TOKEN}").request("POST", SIGN, json=asked)
    assert (answer.status_code, "file_name" in detail(answer)) == (422, True)


@pytest.mark.parametrize("content", [b"", b"x", zipped()[:-30]])
def test_what_is_no_zip_is_refused_on_the_way_in(plane, stranger, content):
    """And nothing of it stays."""
    answer = stranger.put(url_for(plane), content=content)
    assert (answer.status_code, "not a zip" in detail(answer)) == (422, True)
    assert kept(plane) == {}


def test_a_full_disk_is_told(plane, stranger, monkeypatch):
    """It is the plane's trouble, not the client's fault, and another try may do."""

    class Full:
        async def __aenter__(self):
            raise OSError(28, "No space left on device")

        async def __aexit__(self, *_):
            return None

    async def full(*_):
        return Full()

    monkeypatch.setattr("anyservice_core.plane.app.anyio.open_file", full)
    answer = stranger.put(url_for(plane), content=zipped())
    assert (answer.status_code, "No space left" in detail(answer)) == (507, True)
    assert kept(plane) == {}
