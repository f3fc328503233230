from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from anyservice_core.plane.engines.essence import LIMIT, essence, log_tail

RAY = """\x1b[36mray::build_serve_application()\x1b[39m (pid=1, ip=10.0.0.1)
  File "/venv/lib/python3.11/site-packages/ray/serve/_private/application_state.py", line 1790, in build
    import_attr(import_path)
  File "<frozen importlib._bootstrap>", line 241, in _call_with_frames_removed
  File "/data/versions/abc/main.py", line 3, in <module>
    import no_such_module
ModuleNotFoundError: No module named 'no_such_module'"""

SYNTAX = """Traceback (most recent call last):
  File "/usr/lib/python3.11/importlib/__init__.py", line 126, in import_module
    return _bootstrap._gcd_import(name[level:], package, level)
  File "/data/main.py", line 2
    def f(:
          ^
SyntaxError: invalid syntax
"""

CHAINED = """Traceback (most recent call last):
  File "/data/main.py", line 5, in load
    open("model.bin")
FileNotFoundError: [Errno 2] No such file or directory: 'model.bin'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/data/main.py", line 7, in __init__
    raise RuntimeError("cannot load the model")
RuntimeError: cannot load the model
"""

IN_A_LIBRARY = """Traceback (most recent call last):
  File "/data/main.py", line 4, in <module>
    np.load("x")
  File "/venv/lib/python3.11/site-packages/numpy/npyio.py", line 405, in load
    fid = stack.enter_context(open(os.fspath(file), "rb"))
FileNotFoundError: no file x
"""


def test_an_import_error_from_ray() -> None:
    """Colours, Ray's frames and the import machinery go; error and user's line stay."""
    expected = "ModuleNotFoundError: No module named 'no_such_module' (main.py line 3 in <module>: import no_such_module)"
    assert essence(RAY) == expected


def test_a_syntax_error() -> None:
    """A syntax error has a place without a function."""
    assert essence(SYNTAX) == "SyntaxError: invalid syntax (main.py line 2: def f(:)"


def test_the_last_of_chained_errors_counts() -> None:
    """What was raised last is what stopped the app."""
    assert essence(CHAINED).startswith("RuntimeError: cannot load the model (main.py line 7 in __init__")


def test_the_users_line_is_shown_for_an_error_in_a_library() -> None:
    """An error deep in a library is blamed on the user's call."""
    assert essence(IN_A_LIBRARY) == 'FileNotFoundError: no file x (main.py line 4 in <module>: np.load("x"))'


@given(st.text())
def test_always_short(text: str) -> None:
    """Any text at all gives a short one."""
    assert len(essence(text)) <= LIMIT


def test_a_log_without_traceback_gives_its_last_lines(tmp_path: Path) -> None:
    """The end of a log is its last lines; no log is no text."""
    (tmp_path / "log").write_text("".join(f"line {number}\n" for number in range(100)))
    assert log_tail(tmp_path / "log").splitlines() == [f"line {number}" for number in range(95, 100)]
    assert log_tail(tmp_path / "none") == ""
