"""Requirements files, read for a pip that runs on another machine."""

from __future__ import annotations

import pytest

from anyservice_core.bundle import read_requirements, read_text
from anyservice_core.errors import ConfigError

THERE = "${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}"


@pytest.fixture
def asks(tmp_path):
    """What a file with this text asks for; more files may lie beside it."""

    def read(text: str, **files: str) -> list[str]:
        for name, content in {"requirements": text, **files}.items():
            path = tmp_path / f"{name.replace('__', '/')}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        return read_requirements(str(tmp_path / "requirements.txt"))

    return read


def test_comments_and_blanks_go_and_markers_stay(asks):
    """A number sign without a space before it is part of an address."""
    text = '\ufeff# all\r\n\r\nnumpy==2  # fast\r\nx[y]>=2 ; python_version < "3.12"\r\nfoo @ https://x.test/a.zip#sha256=1\r\n'
    assert asks(text) == [
        "numpy==2",
        'x[y]>=2 ; python_version < "3.12"',
        "foo @ https://x.test/a.zip#sha256=1",
    ]


def test_a_backslash_joins_lines(asks):
    """As lock files have them; a comment ends it, and so does the file."""
    assert asks("a==1 \\\n    --hash=sha256:1 \\\n    # why\nb==1 \\\n") == [
        "a==1     --hash=sha256:1",
        "b==1",
    ]


def test_included_files_take_the_place_of_their_line(asks):
    """Seen from the file that includes them, in each spelling; one that is included twice is read once."""
    text = "a\n-r sub/one.txt\n--requirement=two.txt\n-rtwo.txt\nz\n"
    assert asks(text, sub__one="b\n--requirement three.txt\n", sub__three="c", two="d") == [*"abcdz"]


def test_files_that_include_each_other_are_refused(asks, tmp_path):
    """With the line that closes the circle."""
    with pytest.raises(ConfigError) as caught:
        asks("-r one.txt", one="a\n\n-r requirements.txt")
    assert (
        caught.value.message
        == f"requirements: {tmp_path}/one.txt, line 3: 'requirements.txt' includes itself."
    )


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://pypi.test/simple --extra-index-url=https://more.test",
        *("-i https://pypi.test", "--no-index", "--pre", "--prefer-binary", "--require-hashes"),
        *("--no-binary :all:", "--only-binary=numpy", "--trusted-host x.test", "-f https://x.test/wheels"),
        *("-e git+https://x.test/a.git#egg=a", "git+ssh://git@x.test/a.git@v1", "-c https://x.test/c.txt"),
        *(f"-e {THERE}/lib", f"-r {THERE}/more.txt", f"-c {THERE}/c.txt", f"{THERE}/x.whl", f"-f {THERE}"),
        *('a --config-settings="x=y/z"', 'a; sys_platform == "a/b"', "a @ https://${TOKEN}@x.test/a.whl"),
    ],
)
def test_what_pip_can_find_anywhere_passes_unchanged(asks, line):
    """Ray writes it into a file again."""
    assert asks(line) == [line]


@pytest.mark.parametrize(
    ("line", "problem", "way_out"),
    [
        ("-e .", "--editable names a place on this machine, '.'", "py_modules"),
        ("--editable=lib", "--editable names a place on this machine, 'lib'", "py_modules"),
        ("-c limits.txt", "--constraint names a place on this machine, 'limits.txt'", "Pin"),
        ("--no-index -f wheels", "--find-links names a place on this machine, 'wheels'", "web address"),
        ("./lib", "'./lib' is on this machine", "py_modules"),
        ("/home/me/x", "'/home/me/x' is on this machine", "py_modules"),
        ("dist/a-1.whl", "'dist/a-1.whl' is on this machine", THERE),
        ("a.tar.gz --hash=sha256:1", "'a.tar.gz' is on this machine", THERE),
        ("a @ file:///home/me/a.whl", "'a @ file:///home/me/a.whl' is on this machine", THERE),
        ("-r https://x.test/r.txt", "a file on the web is included", "Download it"),
        ("-r one.txt --pre", "a file is included beside other options", "a line of its own"),
        ("--no-deps", "--no-deps is not an option that pip takes in a file", "Take it out"),
        ("-x", "-x is not an option that pip takes in a file", "Take it out"),
        ('-i "https://x.test', "a quote is not closed", "Close it"),
    ],
)
def test_what_pip_would_not_find_there_is_refused_by_its_line(asks, tmp_path, line, problem, way_out):
    """With file, number and a way out."""
    with pytest.raises(ConfigError) as caught:
        asks(f"a\n\n{line}\n")
    assert caught.value.message == f"requirements: {tmp_path}/requirements.txt, line 3: {problem}."
    assert way_out in caught.value.hint


def test_a_refusal_shows_no_password(asks):
    """Index addresses may hold one."""
    with pytest.raises(ConfigError) as caught:
        asks("-i https://me:very_secret@x.test --no-deps")
    assert "very_secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(asks, tmp_path):
    """The one that the config names, and one that is included, with its line."""
    with pytest.raises(ConfigError, match=r"requirements: cannot read '.*none\.txt': No such file"):
        read_requirements(str(tmp_path / "none.txt"))
    with pytest.raises(
        ConfigError, match=r"requirements\.txt, line 2: cannot read '.*/no\.txt': No such file"
    ):
        asks("a\n-r no.txt")


def test_a_file_that_is_no_text_is_named(tmp_path):
    """With the field that names it."""
    file = tmp_path / "r.txt"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"containerfile: '.*r\.txt' is not a text file in UTF-8"):
        read_text("containerfile", str(file))
