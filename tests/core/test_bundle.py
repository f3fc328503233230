from __future__ import annotations

import os
import random
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyservice_core import bundle
from anyservice_core.errors import ConfigError

names = st.text("abcXYZ.-_ é", min_size=1, max_size=6).filter(
    lambda name: name.strip(". ") and not name.startswith(".")
)
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=3).map("/".join), st.binary(max_size=64), max_size=8
)


def plant(root: Path, tree: dict[str, bytes], seed: int) -> Path:
    """Write a tree in some order, with times of its own; a file that would be a folder too is left out."""
    for name in sorted(tree, key=lambda _: random.Random(seed).random()):
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tree[name])
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            continue
        os.utime(path, (seed, seed))
    return root


def packed(folder: Path, *excludes: str, module: bool = False) -> tuple[str, bytes]:
    made = bundle.build(str(folder), excludes, module)
    try:
        return made.name, made.path.read_bytes()
    finally:
        made.discard()


def contents(folder: Path, *excludes: str) -> list[str]:
    made = bundle.build(str(folder), excludes)
    try:
        with zipfile.ZipFile(made.path) as archive:
            return archive.namelist()
    finally:
        made.discard()


@settings(deadline=None)
@given(trees)
def test_the_same_tree_is_the_same_bundle(tree):
    """Order of writing, times and the folder's own name have no say."""
    flat = {name: content for name, content in tree.items() if not _clashes(name, tree)}
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        assert packed(plant(Path(one), flat, 1)) == packed(plant(Path(two), flat, 2_000_000))


def _clashes(name: str, tree: dict[str, bytes]) -> bool:
    """Whether one name is the folder of another, which no file system can hold."""
    return any(
        other != name and (other.startswith(f"{name}/") or name.startswith(f"{other}/")) for other in tree
    )


@settings(deadline=None, max_examples=50)
@given(trees, st.binary(max_size=64))
def test_another_content_is_another_bundle(tree, content):
    """One file that differs changes the name."""
    with tempfile.TemporaryDirectory() as folder:
        root = plant(Path(folder), tree, 1)
        before, _ = packed(root)
        (root / "added.bin").write_bytes(content)
        assert packed(root)[0] != before


@pytest.fixture
def app(tmp_path):
    root = tmp_path / "app"
    for name in (
        "main.py",
        "model.bin",
        ".env",
        ".git/config",
        "pkg/__pycache__/a.pyc",
        "pkg/a.py",
        "pkg/a.log",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "empty").mkdir()
    return root


def test_what_nobody_wants_is_left_out(app):
    """Neither history, caches nor secrets; empty folders stay."""
    assert contents(app) == [
        "app/",
        "app/empty/",
        "app/main.py",
        "app/model.bin",
        "app/pkg/",
        "app/pkg/a.log",
        "app/pkg/a.py",
    ]


def test_gitignore_files_hold_where_they_lie(app):
    """The deeper one has the last word, for its own folder."""
    (app / ".gitignore").write_text("*.log\n/main.py\n")
    (app / "pkg" / ".gitignore").write_text("!a.log\n")
    (app / "other.log").write_text("")
    found = contents(app)
    assert "app/pkg/a.log" in found
    assert "app/main.py" not in found
    assert "app/other.log" not in found


def test_excludes_have_the_last_word(app):
    """They take out, and bring back."""
    (app / ".gitignore").write_text("*.bin\n")
    found = contents(app, "pkg/", "!.env", "!model.bin")
    assert "app/.env" in found
    assert "app/model.bin" in found
    assert not [name for name in found if name.startswith("app/pkg")]


def test_links_are_followed_and_circles_are_not(app, tmp_path):
    """A link to a folder above itself would never end."""
    (tmp_path / "shared.py").write_text("x = 1")
    (app / "pkg" / "shared.py").symlink_to(tmp_path / "shared.py")
    (app / "pkg" / "round").symlink_to(app)
    (app / "broken").symlink_to(tmp_path / "nowhere")
    found = contents(app)
    assert "app/pkg/shared.py" in found
    assert not [name for name in found if "round" in name or "broken" in name]


def test_an_executable_stays_one(app):
    """Its mode is the one thing kept, and part of the name."""
    before, _ = packed(app)
    (app / "main.py").chmod(0o755)
    made = bundle.build(str(app))
    with zipfile.ZipFile(made.path) as archive:
        assert archive.getinfo("app/main.py").external_attr >> 16 & 0o777 == 0o755
        assert archive.getinfo("app/pkg/a.py").external_attr >> 16 & 0o777 == 0o644
    made.discard()
    assert made.name != before


def test_a_pipe_is_not_read(app):
    """It would never end; what is not a file is left out."""
    os.mkfifo(app / "pipe")
    assert "app/pipe" not in contents(app)


def test_a_module_keeps_its_name(app):
    """It is what gets imported, so it is part of the bundle's name too."""
    twin = app.rename(app.with_name("lib"))
    name, content = packed(twin, module=True)
    assert name != packed(twin)[0]
    assert b"lib/main.py" in content


def test_a_folder_that_is_not_there_is_named(tmp_path):
    """With where it was looked for."""
    with pytest.raises(ConfigError, match="working_dir: 'no/such' does not exist"):
        bundle.build("no/such")
    file = tmp_path / "file.py"
    file.write_text("")
    with pytest.raises(ConfigError, match="is not a folder"):
        bundle.build(str(file))


def test_a_failed_bundle_leaves_nothing_behind(app, tmp_path, monkeypatch):
    """No zip is left where zips are made."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    (app / "loop").mkdir()
    big = app / "unreadable"
    big.write_text("")
    big.chmod(0)
    if os.access(big, os.R_OK):  # root may read everything
        big.unlink()
        big.symlink_to(Path("/proc/self/mem"))
    with pytest.raises(ConfigError, match="cannot read"):
        bundle.build(str(app))
    assert not list(scratch.iterdir())


def test_requirements_lose_comments_and_blanks(tmp_path):
    """Options and markers stay as they are."""
    file = tmp_path / "requirements.txt"
    file.write_text("# all\n\nnumpy==2  # fast\n-r other.txt\nfoo @ https://x.test/a.zip#sha256=1\n")
    assert bundle.read_requirements(str(file)) == [
        "numpy==2",
        "-r other.txt",
        "foo @ https://x.test/a.zip#sha256=1",
    ]
    with pytest.raises(ConfigError, match="requirements: cannot read"):
        bundle.read_requirements(str(tmp_path / "none.txt"))
