"""Uploads that no honest packer writes are refused by the name of the entry, and leave nothing behind."""

from __future__ import annotations

import bz2
import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import httpx
import pytest

from anyservice_core.errors import RejectedError
from anyservice_core.plane import unpacking
from anyservice_core.plane.unpacking import inspect, unpack
from anyservice_core.testing import HOST, TOKEN, FakePlane
from tests.plane.api import apply


def entry(name: str, mode: int = stat.S_IFREG | 0o644, **fields) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name  # as it is: the constructor would cut it at a NUL
    info.external_attr, info.create_system = mode << 16, 3
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def packed(
    path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes], method: int = zipfile.ZIP_STORED
) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for info, content in entries:
            archive.writestr(info, content)
    return path


@pytest.fixture
def box(tmp_path) -> Path:
    """An empty folder to unpack into, with nothing but zips beside it."""
    (tmp_path / "box").mkdir()
    return tmp_path / "box"


def refusal(path: Path, box: Path) -> str:
    """Give the reason for which a zip is refused, by a look at it and by unpacking alike, and see that nothing came out."""
    beside = set(box.parent.rglob("*"))
    reasons = set()
    for refuse in (lambda: inspect(path, "it"), lambda: unpack(path, box, "it")):
        with pytest.raises(RejectedError) as caught:
            refuse()
        reasons.add(str(caught.value))
    assert set(box.parent.rglob("*")) == beside
    assert len(reasons) == 1
    return reasons.pop()


def test_plain_files_and_folders_come_out(tmp_path, box):
    """With their content, for their owner alone, executable if they were; empty folders too."""
    path = packed(
        tmp_path / "a.zip",
        ("app/main.py", b"app = 1"),
        (entry("app/run.sh", stat.S_IFREG | 0o755), b"true"),
        (entry("app/empty/", stat.S_IFDIR | 0o777), b""),
        ("app/deep/er/é.txt", b"x" * 3_000_000),
        method=zipfile.ZIP_DEFLATED,
    )
    before = os.umask(0)
    try:
        unpack(path, box, "it")
    finally:
        os.umask(before)
    modes = {str(p.relative_to(box)): stat.S_IMODE(p.stat().st_mode) for p in box.rglob("*")}
    assert modes == {
        "app": 0o700,
        "app/main.py": 0o600,
        "app/run.sh": 0o700,
        "app/empty": 0o700,
        "app/deep": 0o700,
        "app/deep/er": 0o700,
        "app/deep/er/é.txt": 0o600,
    }
    assert (box / "app/deep/er/é.txt").stat().st_size == 3_000_000


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd", "absolute"),
        ("//host/share", "absolute"),
        ("C:/windows", "absolute"),
        ("../up.py", "leads out"),
        ("app/../../up.py", "leads out"),
        ("app/..", "leads out"),
        ("app\\..\\up.py", "leads out"),
        ("app//main.py", "empty part"),
        ("./main.py", "empty part"),
        ("app/ma\nin.py", "control"),
        ("app/ma\x1bin.py", "control"),
        ("n" * 256, "longer"),
        ("/".join(["d" * 200] * 6), "longer"),
        ("d/" * 65 + "f", "deep"),
        ("", "empty part"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, box, name, why):
    """Absolute, upwards, too long, too deep or unprintable: the entry is named, in letters that harm no terminal."""
    told = refusal(packed(tmp_path / "a.zip", ("app/main.py", b""), (entry(name), b"x")), box)
    assert why in told
    assert name[:200].encode("unicode_escape").decode() in told
    assert "\x1b" not in told


def test_a_name_that_goes_on_behind_its_end_is_refused(tmp_path, box):
    """A NUL in a name would end it for some readers and not for others."""
    path = packed(tmp_path / "a.zip", ("mainXpy", b"x"))
    path.write_bytes(path.read_bytes().replace(b"mainXpy", b"main\0py"))
    assert "control" in refusal(path, box)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (stat.S_IFLNK, "symbolic link"),
        (stat.S_IFIFO, "pipe"),
        (stat.S_IFSOCK, "socket"),
        (stat.S_IFBLK, "device"),
        (stat.S_IFCHR, "device"),
    ],
)
def test_what_is_no_file_is_refused(tmp_path, box, kind, why):
    """Links and special files never come out, wherever they lead."""
    told = refusal(packed(tmp_path / "a.zip", (entry("app/link", kind | 0o777), b"/etc/passwd")), box)
    assert why in told
    assert "app/link" in told


@pytest.mark.parametrize(
    "names",
    [
        ("a.py", "a.py"),
        ("a/b.py", "a"),
        ("a", "a/b.py"),
        ("a", "a/b/c.py"),
        ("a", "a/"),
        ("a/", "a"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_there_twice_is_refused(tmp_path, box, names):
    """Neither twice by one name, nor as a file and a folder: readers would not agree on what is meant."""
    path = packed(tmp_path / "a.zip", *((entry(name), b"x") for name in names))
    assert f"'{names[1]}' is there twice" in refusal(path, box)


def test_a_bomb_is_refused_unread(tmp_path, box):
    """What says of itself that it is more than air can be packed, or than a disk holds, is not unpacked at all."""
    path = packed(tmp_path / "a.zip", ("zeros", bytes(300 * 2**20)), method=zipfile.ZIP_DEFLATED)
    assert "200 times" in refusal(path, box)


def test_what_is_larger_than_can_be_meant_is_refused(tmp_path, box, monkeypatch):
    """However it is packed."""
    monkeypatch.setattr(unpacking, "MOST_BYTES", 2**30)
    content = packed(tmp_path / "a.zip", ("big", b"x")).read_bytes()
    size = struct.pack("<L", 2**31)
    at = content.index(b"PK\1\2") + 24
    (tmp_path / "a.zip").write_bytes(content[:at] + size + content[at + 4 :])
    assert "1 GiB" in refusal(tmp_path / "a.zip", box)


def test_a_size_that_is_a_lie_is_found_out(tmp_path, box):
    """An entry that holds more than it says never gets more than it said."""
    content = packed(tmp_path / "a.zip", ("big", b"x" * 1000), method=zipfile.ZIP_DEFLATED).read_bytes()
    at = content.index(b"PK\1\2") + 24
    (tmp_path / "a.zip").write_bytes(content[:at] + struct.pack("<L", 10) + content[at + 4 :])
    with pytest.raises(RejectedError, match="'big' is damaged"):
        unpack(tmp_path / "a.zip", box, "it")
    assert (box / "big").stat().st_size <= 10


def test_entries_that_share_their_bytes_are_refused(tmp_path, box):
    """The bomb that a ratio does not see: thousands of names for the same few bytes."""
    content = packed(tmp_path / "a.zip", ("a", b"x" * 100), ("b", b"y")).read_bytes()
    directory = content.index(b"PK\1\2")
    second = content.index(b"PK\1\2", directory + 4)
    (tmp_path / "a.zip").write_bytes(content[: second + 42] + struct.pack("<L", 0) + content[second + 46 :])
    assert "overlaps" in refusal(tmp_path / "a.zip", box)


def test_too_many_entries_are_refused(tmp_path, box, monkeypatch):
    """A list that is a load by itself."""
    monkeypatch.setattr(unpacking, "MOST_ENTRIES", 3)
    assert "4 entries" in refusal(packed(tmp_path / "a.zip", *((f"f{n}", b"") for n in range(4))), box)


@pytest.mark.parametrize(
    ("field", "value", "why"), [("flag_bits", 1, "encrypted"), ("compress_type", 97, "97")]
)
def test_what_cannot_be_read_here_is_refused(tmp_path, box, field, value, why):
    """A password and a method of packing that nobody here knows."""
    content = packed(tmp_path / "a.zip", ("secret", b"x")).read_bytes()
    at = content.index(b"PK\1\2") + {"flag_bits": 8, "compress_type": 10}[field]
    (tmp_path / "a.zip").write_bytes(content[:at] + struct.pack("<H", value) + content[at + 2 :])
    assert why in refusal(tmp_path / "a.zip", box)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\5\6", b"PK\5\6" + b"\xff" * 18])
def test_what_is_no_zip_is_refused(tmp_path, box, content):
    """Whatever else it is."""
    (tmp_path / "a.zip").write_bytes(content)
    assert "not a zip" in refusal(tmp_path / "a.zip", box)


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_damage_is_told_by_the_entry(tmp_path, box, method):
    """A byte that is another one on the way is found, however it was packed."""
    noise = bz2.compress(bytes(range(256)) * 40)
    content = bytearray(
        packed(tmp_path / "a.zip", ("good", b"x"), ("bad", noise), method=method).read_bytes()
    )
    middle = content.index(b"bad") + 60
    content[middle] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(RejectedError, match="'bad' is damaged"):
        unpack(tmp_path / "a.zip", box, "it")


def test_a_deploy_of_what_cannot_be_unpacked_ends_with_the_reason():
    """It fails by the name of the entry, where people look for it, instead of being tried for ever."""
    with (
        FakePlane() as plane,
        httpx.Client(base_url=HOST, transport=plane.transport, cookies={"cli_token": TOKEN}) as http,
    ):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("app/main.py", b"app = 1" * 100)
        content = bytearray(buffer.getvalue())
        content[content.index(b"main.py") + 20] ^= 0xFF  # the list is whole, the file is not
        draft = plane.bundles.draft()
        draft.write_bytes(content)
        plane.bundles.keep("a.zip", draft)
        environment = {"working_dir": plane.bundles.uri("a.zip")}
        serve = {"applications": [{"import_path": "main:app", "runtime_env": environment}]}
        service = apply(http, ray_serve_config=serve).json()["result"]["id"]
        plane.advance(60)
        shown = http.get(f"/api/v2/services-v2/{service}").json()["result"]
        assert shown["current_state"] == "UNHEALTHY"
        assert "'app/main.py' is damaged" in shown["error_message"]
        assert [event.kind for event in plane.store.events(service)].count("fail") == 1
        assert list(plane.bundles._code.iterdir()) == []
