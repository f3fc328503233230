"""What of a folder stays out of its bundle.

The first of these that has an opinion decides:

1. ``excludes``, the user's own patterns. ``!pattern`` brings back what any of the others takes out.
2. ``.gitignore`` files. The one nearest to a file has the last word, as in git. ``ANYSCALE_DISABLE_GITIGNORE_EXCLUSION=1``
   passes them over. Those above the folder are not looked at.
3. What Ray leaves out by default: ``.git``, ``.venv``, ``venv`` and ``__pycache__``, or else the patterns, parted by commas,
   in ``RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES``.
4. ``SECRETS``: whoever can read the bundle, or log in to a machine that runs it, could read them. Since a program may miss
   them, this is told; where one of the others leaves them out, the user knows.

Patterns are those of ``.gitignore`` files, and what is in a folder that is out is never looked at.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from pathlib import Path
from typing import Final, Self

from pathspec import GitIgnoreSpec

from anyservice_core.errors import ConfigError

__all__ = ["BY_DEFAULT", "HARMLESS", "SECRETS", "Fate", "Rules"]

BY_DEFAULT: Final = (".git", ".venv", "venv", "__pycache__")
SECRETS: Final = (
    *(".env", ".env.*", ".envrc"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".ssh"),
    *(".netrc", ".pgpass", ".pypirc", ".git-credentials", ".aws", "credentials.json"),
)
"""Names of files and folders, in any case of letters. Not all that can hold a secret: those that hold little else."""
HARMLESS: Final = (".env.example", ".env.sample", ".env.template", ".env.dist", "id_*.pub")


class Fate(enum.Enum):
    """What becomes of a file or folder."""

    KEPT = enum.auto()
    OUT = enum.auto()
    SECRET = enum.auto()


@dataclass(frozen=True, slots=True)
class Patterns:
    """Lines of a ``.gitignore``, which hold for the folder ``base`` that it lies in and below."""

    base: str
    spec: GitIgnoreSpec
    any: re.Pattern[str]  # finds all that one of them finds, and is much faster than asking each

    @classmethod
    def of(cls, lines: Iterable[str], base: str = "") -> Self:
        spec = GitIgnoreSpec.from_lines(lines)
        sources = [one.regex.pattern for one in spec.patterns if one.regex is not None]
        unnamed = [re.sub(r"\(\?P<\w+>", "(?:", str(source)) for source in sources]
        return cls(base, spec, re.compile("|".join(f"(?:{source})" for source in unnamed) or r"(?!)"))

    def verdict(self, name: str) -> bool | None:
        """Out, explicitly in, or nothing said."""
        own = name[len(self.base) :]
        return self.spec.check_file(own).include if self.any.search(own) else None


@dataclass(frozen=True, slots=True)
class Rules:
    """All that holds for one folder of the tree."""

    asked: Patterns
    by_default: Patterns
    gitignores: tuple[Patterns, ...] = ()  # the nearest first
    heed_git: bool = True

    @classmethod
    def of(cls, excludes: Sequence[str], environ: Mapping[str, str] = os.environ) -> Self:
        """The rules for the top folder. Raises ``ConfigError`` naming the pattern that is none."""
        own = environ.get("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES")
        usual = BY_DEFAULT if own is None else [part.strip() for part in own.split(",")]
        heed_git = environ.get("ANYSCALE_DISABLE_GITIGNORE_EXCLUSION", "0") != "1"
        _check("excludes", excludes)
        _check("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", usual)
        return cls(Patterns.of(excludes), Patterns.of(usual), heed_git=heed_git)

    def with_gitignore(self, file: str, base: str) -> Rules:
        """The rules for the folder ``base``, where there is a ``.gitignore``."""
        if not self.heed_git:
            return self
        lines = Path(file).read_text(encoding="utf-8-sig", errors="replace").split("\n")
        sound = [line for line in lines if _is_pattern(line)]  # git passes over the others too
        return replace(self, gitignores=(Patterns.of(sound, base), *self.gitignores))

    def fate(self, name: str, target: str = "") -> Fate:
        """What becomes of ``name``, a path from the top; that of a folder ends in a slash, a link has a ``target``."""
        if (asked := self.asked.verdict(name)) is not None:
            return Fate.OUT if asked else Fate.KEPT
        if next(self._gitignored(name), False) or self.by_default.verdict(name):
            return Fate.OUT
        return Fate.SECRET if _is_secret(name) or _is_secret(target) else Fate.KEPT

    def _gitignored(self, name: str) -> Iterator[bool]:
        for file in self.gitignores:
            if (verdict := file.verdict(name)) is not None:
                yield verdict


def _is_secret(name: str) -> bool:
    """Whether a file or folder of this name holds secrets, as far as names tell."""
    base = name.rstrip("/").rpartition("/")[2]
    return bool(_SECRET.fullmatch(base)) and not _HARMLESS.fullmatch(base)


def _one_of(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(name) for name in names), re.IGNORECASE)


_SECRET: Final = _one_of(SECRETS)
_HARMLESS: Final = _one_of(HARMLESS)


def _check(field: str, lines: Iterable[str]) -> None:
    for line in lines:
        if not _is_pattern(line):
            raise ConfigError(
                f"{field}: {line!r} is not a pattern.", hint="Patterns are those of .gitignore files."
            )


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
