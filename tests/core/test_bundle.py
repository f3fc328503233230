"""A folder as a bundle: what goes in, what stays out, its name, its zip, and what happens when it changes meanwhile."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
import tracemalloc
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from anyservice_core import bundle
from anyservice_core.bundle import hashing, packing, telling, walking, zipping
from anyservice_core.bundle.ignoring import Patterns
from anyservice_core.errors import ConfigError

SIZE = 100_000  # of a file that is packed piece by piece

names = st.text("abcXYZ.-_ é", min_size=1, max_size=6).filter(
    lambda name: name.strip(". ") and not name.startswith(".")
)
contents = st.binary(max_size=64) | st.binary(min_size=1, max_size=4).map(lambda some: some * 20)
trees = st.dictionaries(st.lists(names, min_size=1, max_size=3).map("/".join), contents, max_size=8).map(
    lambda tree: {name: content for name, content in tree.items() if not _clashes(name, tree)}
)


def _clashes(name: str, tree: dict[str, bytes]) -> bool:
    """Whether a name is the folder of another, which no file system can hold."""
    return any(other.startswith(f"{name}/") for other in tree)


def plant(root: Path, tree: dict[str, bytes], seed: int = 1) -> Path:
    """Write a tree in some order, with times and modes of its own."""
    chance = random.Random(seed)
    for name in sorted(tree, key=lambda _: chance.random()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tree[name])
        path.chmod(chance.choice([0o644, 0o600, 0o444, 0o666]))
        os.utime(path, (seed, seed))
    return root


def done(work, told=None):
    """The result of work that is done step by step; what it tells goes into a list."""
    while not isinstance(step := bundle.step(work), bundle.Done):
        if told is not None:
            told.append(step)
    return step.value


def name_of(folder: Path, *excludes: str, module: bool = False) -> str:
    return done(bundle.hashed(bundle.survey(str(folder), excludes, module))).name


@contextlib.contextmanager
def archived(folder: Path, *excludes: str, module: bool = False):
    hashed = done(bundle.hashed(bundle.survey(str(folder), excludes, module)))
    with contextlib.closing(done(bundle.packed(hashed))) as archive:
        yield archive


def zipped(folder: Path, *excludes: str, module: bool = False) -> bytes:
    with archived(folder, *excludes, module=module) as archive:
        raw = b"".join(archive.chunks())
        assert len(raw) == archive.size
    return raw


def unzipped(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def members(folder: Path, *excludes: str) -> list[str]:
    return [member.name for member in bundle.survey(str(folder), excludes).members]


def left_out(folder: Path, *excludes: str) -> list[str]:
    return [str(event) for event in bundle.survey(str(folder), excludes).left_out]


@contextlib.contextmanager
def small_pieces():
    """As if everything were large: what is packed piece by piece, is so from a few bytes on."""
    with pytest.MonkeyPatch.context() as patch:
        for room in (hashing, packing):
            patch.setattr(room, "PIECE", 16)
        patch.setattr(hashing, "_BATCH", 32)
        patch.setattr(packing, "_SMALL", 8)
        patch.setattr(packing, "_SAMPLE", 2)
        yield patch


@pytest.fixture
def app(tmp_path):
    root = tmp_path / "app"
    tree = {"main.py": b"app = 1", "model.bin": b"0", "pkg/a.py": b"a = 1", "pkg/a.log": b"log"}
    plant(root, {**tree, ".git/config": b"", ".venv/bin/python": b"", "pkg/__pycache__/a.pyc": b""})
    (root / "empty").mkdir()
    return root


# ── the same everywhere ──


@settings(deadline=None, max_examples=60)
@given(trees, st.integers(2, 2_000_000_000))
def test_the_same_tree_is_the_same_bundle(tree, seed):
    """Its place, times, modes and the order of its folders have no say, neither in the name nor in the zip."""

    def shuffled(walk, folder, found=walking._Walk._entries):
        entries = found(walk, folder)
        random.Random(seed).shuffle(entries)
        return entries

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        here, there = plant(Path(one), tree), plant(Path(two), tree, seed)
        name, raw = name_of(here), zipped(here)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(walking._Walk, "_entries", shuffled)
            assert (name_of(there), zipped(there)) == (name, raw)


# Few enough that two are often the same, and alike enough that they could be taken for it.
few = st.dictionaries(
    st.sampled_from(["a", "b", "ab", "d/a", "d/b", "e/a"]), st.sampled_from([b"", b"a", b"b", b"ab"])
)


@settings(deadline=None, max_examples=60)
@given(few, few)
def test_another_content_is_another_bundle(one, other):
    """Two trees have one name only if they are one."""
    with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as there:
        same = name_of(plant(Path(here), one)) == name_of(plant(Path(there), other))
        assert same == (one == other)


@settings(deadline=None, max_examples=60)
@given(trees, st.booleans())
def test_what_is_in_the_zip_is_what_is_in_the_folder(tree, shrinks):
    """However it is packed: whole or in pieces, compressed or straight from the disk."""
    with tempfile.TemporaryDirectory() as home, small_pieces() as patch:
        patch.setattr(packing, "_shrinks", lambda _tree, _member: shrinks)
        root = plant(Path(home), tree)
        assert unzipped(zipped(root)) == {"app/": b"", **{f"app/{n}": c for n, c in tree.items()}}


@settings(deadline=None, max_examples=60)
@given(trees, st.integers(1, 200), st.integers(1, 5), st.booleans())
def test_a_zip_that_outgrows_32_bits_is_read_like_any(tree, limit, most, shrinks):
    """Sizes, places and counts go into wider fields; here from a few on."""
    with tempfile.TemporaryDirectory() as home, small_pieces() as patch:
        patch.setattr(zipping, "_LIMIT", limit)
        patch.setattr(zipping, "_MOST", most)
        patch.setattr(packing, "_shrinks", lambda _tree, _member: shrinks)
        raw = zipped(plant(Path(home), tree))
        assert unzipped(raw) == {"app/": b"", **{f"app/{n}": c for n, c in tree.items()}}


@pytest.mark.skipif(not shutil.which("unzip"), reason="there is no unzip")
def test_other_readers_find_the_zip_sound(app, tmp_path):
    """Not Python's alone."""
    (app / "weights.bin").write_bytes(random.Random(1).randbytes(SIZE))
    (app / "täble.csv").write_bytes(b"1,2,3\n" * SIZE)
    file = tmp_path / "a.zip"
    file.write_bytes(zipped(app))
    checked = subprocess.run(["unzip", "-tq", str(file)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_an_executable_stays_one(app):
    """Its mode is the one thing kept, and part of the name."""
    before = name_of(app)
    (app / "main.py").chmod(0o744)
    with zipfile.ZipFile(BytesIO(zipped(app))) as archive:
        modes = {info.filename: info.external_attr >> 16 & 0o777 for info in archive.infolist()}
    assert (modes["app/main.py"], modes["app/pkg/a.py"], modes["app/"]) == (0o755, 0o644, 0o755)
    assert name_of(app) != before


def test_only_what_shrinks_is_compressed(app):
    """Text is, weights are not, and both are whole."""
    (app / "weights.bin").write_bytes(random.Random(1).randbytes(SIZE))
    (app / "table.csv").write_bytes(b"1,2,3\n" * SIZE)
    with zipfile.ZipFile(BytesIO(zipped(app))) as archive:
        assert archive.testzip() is None
        ways = {info.filename: info.compress_type for info in archive.infolist()}
    assert ways["app/weights.bin"] == zipfile.ZIP_STORED
    assert ways["app/table.csv"] == zipfile.ZIP_DEFLATED


def test_a_file_that_only_looks_like_shrinking_is_sent_as_it_is(app, monkeypatch):
    """A few samples cannot know all of it."""
    monkeypatch.setattr(packing, "_shrinks", lambda _tree, _member: True)
    (app / "a.bin").write_bytes(random.Random(1).randbytes(SIZE))
    (app / "b.bin").write_bytes(b"b" * SIZE)
    assert unzipped(zipped(app))["app/b.bin"] == b"b" * SIZE
    with zipfile.ZipFile(BytesIO(zipped(app))) as archive:
        assert archive.testzip() is None
        assert archive.getinfo("app/a.bin").compress_type == zipfile.ZIP_STORED


def test_a_module_keeps_its_name(app):
    """It may be what gets imported, so it is part of the bundle's name too."""
    twin = app.rename(app.with_name("lib"))
    assert name_of(twin, module=True) != name_of(twin)
    assert "lib/main.py" in unzipped(zipped(twin, module=True))


def test_an_empty_folder_has_a_bundle(tmp_path):
    """One top-level folder with nothing in it."""
    assert unzipped(zipped(tmp_path)) == {"app/": b""}


@pytest.mark.parametrize("shrinks", [True, False])
def test_memory_does_not_grow_with_the_folder(tmp_path, monkeypatch, shrinks):
    """Eight times the bytes take no more of it."""
    monkeypatch.setattr(packing, "_shrinks", lambda _tree, _member: shrinks)
    peaks = []
    for size in (16 << 20, 128 << 20):
        with (tmp_path / "large").open("wb") as file:
            file.truncate(size)
        tracemalloc.start()
        try:
            with archived(tmp_path) as archive:
                for _ in archive.chunks():
                    pass
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + (4 << 20)


# ── what stays out ──


def test_what_nobody_wants_is_left_out(app):
    """Neither history nor caches; a folder that is empty stays, one of which nothing is left does not."""
    (app / "left" / "__pycache__").mkdir(parents=True)
    assert members(app) == ["empty/", "main.py", "model.bin", "pkg/a.log", "pkg/a.py"]
    assert left_out(app) == []


def test_ray_s_own_variable_says_what_is_out_by_default(app, monkeypatch):
    """As for Ray and the official client, patterns parted by commas; none at all if it is empty."""
    monkeypatch.setenv("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", "*.log, empty")
    assert members(app) == [
        ".git/config",
        ".venv/bin/python",
        "main.py",
        "model.bin",
        "pkg/__pycache__/a.pyc",
        "pkg/a.py",
    ]
    monkeypatch.setenv("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", "")
    assert len(members(app)) == 8


def test_gitignore_files_hold_where_they_lie(app):
    """The deeper one has the last word, for its own folder."""
    plant(
        app,
        {
            ".gitignore": b"\xef\xbb\xbf*.log\r\n/main.py\n!\n",
            "pkg/.gitignore": b"!a.log\n",
            "other.log": b"",
        },
    )
    assert members(app) == [".gitignore", "empty/", "model.bin", "pkg/.gitignore", "pkg/a.log", "pkg/a.py"]


def test_gitignore_files_can_be_passed_over(app, monkeypatch):
    """By the official client's own variable."""
    plant(app, {".gitignore": b"*\n"})
    assert members(app) == []
    monkeypatch.setenv("ANYSCALE_DISABLE_GITIGNORE_EXCLUSION", "1")
    assert len(members(app)) == 6


IGNORED = {
    ".gitignore": b"*.log\n/build/\ndocs/**/tmp\n!keep.log\n[ab].txt\n\\#odd\n*.d/\n",
    "pkg/.gitignore": b"!*.log\ndata\n/a.py\n",
    **dict.fromkeys(
        [
            *(
                "a.txt",
                "c.txt",
                "#odd",
                "x.log",
                "keep.log",
                "build/x",
                "pkg/build/x",
                "pkg/x.log",
                "pkg/data/x",
            ),
            *("pkg/a.py", "pkg/b/a.py", "docs/a/b/tmp", "docs/tmp", "x.d/y", "pkg/x.d/keep.log", "sub/b.txt"),
        ],
        b"x",
    ),
}


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_gitignore_files_mean_what_git_takes_them_for(tmp_path):
    """What git would not add stays out, and nothing else does."""
    plant(tmp_path, IGNORED)
    home = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "none"), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True, env=home)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-standard"],
        cwd=tmp_path,
        check=True,
        env=home,
        capture_output=True,
        text=True,
    )
    assert members(tmp_path) == sorted(listed.stdout.rstrip("\0").split("\0"))


patterns = st.lists(st.text("ab*/!?.[]#\\ ", max_size=6), max_size=4)


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")  # of what pathspec makes of `[[]`
@given(patterns, st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=3), st.booleans())
def test_asking_all_patterns_at_once_changes_no_verdict(lines, parts, folder):
    """It only spares most files being asked one by one."""
    lines = [line for line in lines if _is_sound(line)]
    name = "/".join(parts) + ("/" if folder else "")
    assert Patterns.of(lines).verdict(name) == GitIgnoreSpec.from_lines(lines).check_file(name).include


def _is_sound(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def test_excludes_have_the_last_word(app):
    """They take out, and bring back."""
    plant(app, {".gitignore": b"*.bin\n"})
    assert members(app, "pkg/", "!model.bin", "!.venv", "*.md") == [
        *(".gitignore", ".venv/bin/python", "empty/", "main.py", "model.bin")
    ]


def test_what_is_no_pattern_is_named(app):
    """Rather than passed over, as git does in its own files."""
    with pytest.raises(ConfigError, match=r"excludes: '!' is not a pattern"):
        members(app, "*.md", "!")


# ── secrets ──

SECRET = [
    ".env",
    ".env.local",
    "Server.KEY",
    "ca.pem",
    "sub/id_rsa",
    ".ssh/config",
    ".netrc",
    "gcp/credentials.json",
]
WHY = "going by their names they hold secrets. `!name` in `excludes` brings one in."
HARMLESS = [".env.example", "id_rsa.pub", "keys.py", "environment", "credentials.jsonl", "monkey"]


def test_secrets_stay_where_they_are_and_are_named(app):
    """Whoever reads the bundle would have them; whoever misses one learns how to bring it in."""
    plant(app, dict.fromkeys([*SECRET, *HARMLESS], b"x"))
    found = members(app)
    assert set(HARMLESS) < set(found)
    assert not [name for name in SECRET if name in found]
    names = ".env, .env.local, .netrc, .ssh/, Server.KEY, ca.pem, gcp/credentials.json, sub/id_rsa"
    assert left_out(app) == [f"folder {str(app)!r} goes without {names}: {WHY}"]


def test_a_secret_that_is_asked_for_comes_along_without_a_word(app):
    """And only that one."""
    plant(app, dict.fromkeys([".env", "certs/ca.pem", "certs/own.pem"], b"x"))
    assert {".env", "certs/ca.pem"} < set(members(app, "!.env", "!ca.pem"))
    assert "certs/own.pem" in left_out(app, "!.env", "!ca.pem")[0]


def test_a_secret_that_the_user_leaves_out_is_no_news(app):
    """Neither one in `excludes` nor one that git ignores; but what a .gitignore takes back in is still a secret."""
    plant(
        app,
        {".gitignore": b".env\n*.pem\n!ca.pem\n", ".env": b"", "own.pem": b"", "ca.pem": b"", "a.key": b""},
    )
    assert left_out(app, "*.key") == [f"folder {str(app)!r} goes without ca.pem: {WHY}"]


def test_a_link_does_not_carry_a_secret_in_under_another_name(app):
    """Unless it is asked for."""
    plant(app, {".env": b"KEY=1"})
    (app / "settings").symlink_to(".env")
    assert "settings" not in members(app)
    assert "settings" in members(app, "!settings")


def test_many_secrets_are_counted():
    """Ten are named."""
    event = bundle.LeftOut("app", tuple(f"{n}.pem" for n in range(12)), "why", "How.")
    assert str(event).endswith("8.pem, 9.pem and 2 more: why. How.")


# ── links and other odd things ──


@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
def test_a_link_out_of_the_folder_is_refused_by_name(app, tmp_path, kind):
    """With where it leads; what lies there is another thing on the next machine."""
    target = (
        plant(tmp_path, {"out/file/x": b""}) / "out" / {"file": "file/x", "folder": "file"}.get(kind, "none")
    )
    (app / "pkg" / "link").symlink_to(target)
    with pytest.raises(ConfigError) as caught:
        members(app)
    assert caught.value.message == f"working_dir: pkg/link is a link out of the folder, to {target}."
    assert caught.value.hint == "Put a copy of that in its place, or add the link to `excludes`."
    assert "pkg/link" not in members(app, "pkg/link")


def test_links_within_the_folder_are_followed(app):
    """As copies: what a program sees is there."""
    (app / "pkg" / "run.py").symlink_to("../main.py")
    (app / "twin").symlink_to(app / "pkg")
    (app / "main.py").chmod(0o755)
    found = unzipped(zipped(app))
    assert found["app/pkg/run.py"] == found["app/twin/run.py"] == b"app = 1"
    assert found["app/twin/a.py"] == b"a = 1"
    (app / "pkg" / "run.py").unlink()
    shutil.copy2(app / "main.py", app / "pkg" / "run.py")
    assert unzipped(zipped(app)) == found


def test_the_folder_itself_may_be_a_link(app, tmp_path):
    """It is the one thing that the user pointed at."""
    (tmp_path / "current").symlink_to(app)
    assert name_of(tmp_path / "current") == name_of(app)


def test_links_that_lead_round_or_nowhere_are_left_out_and_named(app):
    """One above itself, one to itself, two that lead to each other, and one to what is not there."""
    for link, target in {"up": "..", "self": "self", "lost": "none"}.items():
        (app / "pkg" / link).symlink_to(target)
    plant(app, {"a/x": b"", "b/y": b""})
    (app / "a" / "b").symlink_to("../b")
    (app / "b" / "a").symlink_to("../a")
    found = members(app)
    assert [name for name in found if name[0] in "ab"] == ["a/b/y", "a/x", "b/a/x", "b/y"]
    assert left_out(app)[0].startswith(
        f"folder {str(app)!r} goes without a/b/a/, b/a/b/, pkg/lost, pkg/self, pkg/up/: links that lead nowhere"
    )


def test_what_is_neither_file_nor_folder_is_left_out_and_named(tmp_path, monkeypatch):
    """Reading a pipe would never end."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        assert members(tmp_path) == []
        assert "goes without pipe, socket: neither files nor folders" in left_out(tmp_path)[0]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (b"caf\xe9.txt", r"'caf\udce9.txt' is not a name in UTF-8"),
        (b"a\\b.py", r"'a\\b.py' holds '\\', which not every reader of zips takes as it is"),
        (b"a\nb\x1b.py", r"'a\nb\x1b.py' holds '\n'"),
    ],
)
def test_a_name_that_a_zip_cannot_hold_is_refused(tmp_path, name, problem):
    """Ray would pass over some of them without a word; a pattern leaves it out."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    with pytest.raises(ConfigError) as caught:
        members(tmp_path)
    assert caught.value.message.startswith(f"working_dir: {problem}")
    assert members(tmp_path, "*") == []


def test_names_that_linux_holds_are_kept(tmp_path):
    """It is where bundles are unpacked."""
    plant(tmp_path, dict.fromkeys(["12:30.json", "con", "a?b*", "ünï.py", "trailing. "], b"x"))
    assert sorted(unzipped(zipped(tmp_path)))[1:] == sorted(
        f"app/{name}" for name in ("12:30.json", "con", "a?b*", "ünï.py", "trailing. ")
    )


def test_an_odd_name_cannot_speak_to_the_terminal(tmp_path):
    """Also not from a warning."""
    (tmp_path / "\x1b[2J.pem").touch()
    assert "'\\x1b[2J.pem'" in left_out(tmp_path)[0]


@pytest.mark.parametrize("field", ["working_dir", "py_modules"])
def test_a_folder_that_is_not_there_is_named(tmp_path, field):
    """With where it was looked for, and the field that says so."""
    with pytest.raises(ConfigError, match=f"{field}: 'no/such' does not exist"):
        bundle.survey("no/such", module=field == "py_modules")
    file = tmp_path / "file.py"
    file.write_text("")
    with pytest.raises(ConfigError, match=f"{field}: .* is not a folder"):
        bundle.survey(str(file), module=field == "py_modules")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["main.py", "pkg", ".gitignore"])
def test_what_may_not_be_read_is_named(app, name):
    """A file or a folder, with the way out."""
    plant(app, {".gitignore": b""})
    (app / name).chmod(0)
    try:
        with pytest.raises(
            ConfigError, match=f"working_dir: cannot read {name}/?: Permission denied. .*excludes"
        ):
            name_of(app)
    finally:
        (app / name).chmod(0o700)


# ── what changes meanwhile ──


def surveyed(app: Path, **files: bytes):
    plant(app, files)
    return bundle.survey(str(app))


def test_a_file_that_is_gone_is_named(app):
    """Rather than sent as an empty one."""
    tree = surveyed(app)
    (app / "main.py").unlink()
    with pytest.raises(ConfigError, match=r"working_dir: cannot read main\.py: No such file"):
        done(bundle.hashed(tree))


def test_a_file_that_got_shorter_is_named(app):
    """There is no telling what its name should be."""
    tree = surveyed(app)
    (app / "main.py").write_bytes(b"a")
    with pytest.raises(ConfigError, match=r"main\.py changed while it was being packed"):
        done(bundle.hashed(tree))


def test_a_file_that_turns_into_a_pipe_is_not_waited_for(app):
    """Nobody may ever write to it."""
    tree = surveyed(app)
    (app / "main.py").unlink()
    os.mkfifo(app / "main.py")
    with pytest.raises(ConfigError, match=r"main\.py"):
        done(bundle.hashed(tree))


def test_a_log_that_grows_is_taken_as_it_was(app):
    """What is appended after the walk is not part of the bundle, so nothing is wrong with it."""
    hashed = done(bundle.hashed(surveyed(app, grows=b"x" * SIZE)))
    (app / "grows").write_bytes(b"x" * SIZE + b"more")
    with contextlib.closing(done(bundle.packed(hashed))) as archive:
        assert unzipped(b"".join(archive.chunks()))["app/grows"] == b"x" * SIZE


@pytest.mark.parametrize(("small", "shrinks"), [(True, True), (False, True), (False, False)])
def test_what_changed_after_it_got_its_name_is_never_sent(app, monkeypatch, small, shrinks):
    """Wherever it is found out, no byte of it leaves; under this name the storage would keep another content."""
    monkeypatch.setattr(packing, "_shrinks", lambda _tree, _member: shrinks)
    size = 1_000 if small else SIZE
    hashed = done(bundle.hashed(surveyed(app, file=b"x" * size)))
    (app / "file").write_bytes(b"x" * (size - 6) + b"forged")
    sent = []
    with (
        pytest.raises(ConfigError, match="file changed while it was being packed"),
        contextlib.closing(done(bundle.packed(hashed))) as archive,
    ):
        sent.extend(archive.chunks())
    assert b"forged" not in b"".join(sent)


def test_a_change_in_the_middle_of_sending_is_found(app, monkeypatch):
    """The first half is gone already, the second never comes, so the zip has no end."""
    monkeypatch.setattr(packing, "_shrinks", lambda _tree, _member: False)
    size = 10 * hashing.PIECE
    hashed = done(bundle.hashed(surveyed(app, file=b"x" * size)))
    with contextlib.closing(done(bundle.packed(hashed))) as archive:
        chunks = archive.chunks()
        sent = [next(chunks)]
        with (app / "file").open("r+b") as file:
            file.seek(size - 1)
            file.write(b"y")
        with pytest.raises(ConfigError, match="file changed"):
            sent.extend(chunks)
    assert sum(map(len, sent)) < size


def test_a_zip_can_be_sent_again(app):
    """The same bytes, until it is closed."""
    (app / "weights.bin").write_bytes(random.Random(1).randbytes(SIZE))
    with archived(app) as archive:
        assert b"".join(archive.chunks()) == b"".join(archive.chunks())


def test_no_room_for_the_zip_is_said_so(app, monkeypatch):
    """With the folder that is full and the variable that names another."""
    hashed = done(bundle.hashed(bundle.survey(str(app))))
    full = Path("/dev/full").open("r+b")  # noqa: SIM115  # closed by the work
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
    with pytest.raises(ConfigError, match="working_dir: cannot be packed: No space left.*TMPDIR"):
        done(bundle.packed(hashed))
    assert full.closed


def test_work_that_is_given_up_leaves_no_thread(app):
    """Nor a file that is open."""
    with small_pieces():
        work = bundle.hashed(surveyed(app, file=b"x" * 10_000))
        bundle.step(work)
        work.close()


# ── telling ──


def test_a_large_folder_tells_how_far_it_is(app, monkeypatch):
    """Each tenth of the way, in reading and in packing; a small one is done before anybody wonders."""
    monkeypatch.setattr(telling, "_WORTH_TELLING", 1_000)
    monkeypatch.setattr(telling, "_A_FILE", 1)
    told: list[object] = []
    with small_pieces() as patch:
        patch.setattr(packing, "_shrinks", lambda _tree, _member: True)
        hashed = done(bundle.hashed(surveyed(app, file=b"x" * 100_000)), told)
        done(bundle.packed(hashed), told).close()
    assert [event.percent for event in told] == [*range(10, 101, 10)] * 2
    assert str(told[0]) == f"reading {str(app)!r}: 10% of 0.1 MB in 5 files"
    assert told[-1].doing == "packing"
    monkeypatch.undo()
    done(bundle.hashed(bundle.survey(str(app))), quiet := [])
    assert quiet == []
