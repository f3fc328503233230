"""A version's ``requirements``, installed once into a folder of their own that goes before site-packages.

Ray's own ``runtime_env.pip`` clones the environment and runs pip in it for every cluster; a folder
found by the hash of what it holds costs that once, and serves every engine. What it cannot do is
keep apart: a requirement that Ray itself needs in another release shadows Ray's.

The installer is uv where it is on PATH, else pip, else the pip that Python carries for new virtual
environments; its index and other settings come from the environment, as for any other use of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anyservice_core.errors import PlaneError

from .essence import essence

__all__ = ["installer", "key_of", "overlay"]


def overlay(requirements: Sequence[str], folder: Path, *, python: str = sys.executable) -> Path:
    """Return the folder that holds ``requirements``, installing them if they are not there yet.

    Raises ``PlaneError`` with the installer's reason if that fails; nothing is left then.
    """
    target = folder / key_of(requirements)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(target.with_suffix(".lock")):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=folder) as aside:
                _install(requirements, Path(aside), python)
                (Path(aside) / "packages").rename(target)
    return target


def key_of(requirements: Sequence[str]) -> str:
    """Name the same set of requirements, in any order, the same; another Python's are others."""
    text = "\n".join([sys.implementation.cache_tag, *sorted(set(requirements))])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def installer(python: str) -> tuple[list[str], dict[str, str]]:
    """Find the command that installs, and the variables it needs."""
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", python], {}
    pip = [python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    if subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode == 0:
        return pip, {}
    if wheel := _bundled_pip(python):
        return pip, {"PYTHONPATH": wheel}
    raise PlaneError(
        "requirements need an installer, and there is neither uv nor pip here.",
        hint=f"Install uv, or run {python} -m ensurepip.",
    )


def _bundled_pip(python: str) -> str:
    """A wheel can be run where it lies, so the environment stays as it is."""
    script = (
        "import ensurepip, pathlib; "
        "folders = [getattr(ensurepip, '_WHEEL_PKG_DIR', None), pathlib.Path(ensurepip.__file__).parent / '_bundled']; "
        "print(*[wheel for folder in folders if folder for wheel in pathlib.Path(folder).glob('pip-*.whl')], sep='\\n')"
    )
    found = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
    return found.stdout.partition("\n")[0]


def _install(requirements: Sequence[str], aside: Path, python: str) -> None:
    listed = aside / "requirements.txt"  # not on the command line: a URL in it may carry a password
    listed.touch(mode=0o600)
    listed.write_text("".join(f"{requirement}\n" for requirement in requirements))
    command, variables = installer(python)
    done = subprocess.run(
        [*command, "--target", str(aside / "packages"), "-r", str(listed)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stderr.write(done.stderr)
    if done.returncode != 0:
        raise PlaneError(f"The requirements cannot be installed: {_reason(done.stderr)}")


def _reason(said: str) -> str:
    """The installer's errors without its notices."""
    lines = [
        line for line in said.splitlines() if line.strip() and not line.startswith(("WARNING", "[notice]"))
    ]
    return essence("\n".join(lines))


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Two versions with the same requirements may start at once."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
