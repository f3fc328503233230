"""Plain values as YAML. What a status usually holds is written here, word for word as the library writes it.

The library takes longer to load than the request takes to be answered; it writes everything else.
"""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["dump"]

# Text that needs no quotes: it cannot be read as anything else. A digit in front asks for a letter that no number has.
_BARE: Final = re.compile(
    r"(?:[A-Za-z]|(?=[0-9A-Za-z]*[g-npr-suvwy])[0-9])[\w./:@-]*[\w/]|[A-Za-z]", re.ASCII
)
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_LONGEST_KEY: Final = 100
_HINT: Final = "(hidden; -v shows it)"


def dump(content: Any) -> str:
    """The values, in their order, without a line's end."""
    lines = _mapping(content, "") if isinstance(content, dict) and content else None
    return "\n".join(lines) if lines else _by_the_library(content)


def _mapping(content: dict[Any, Any], indent: str) -> list[str] | None:
    """Its lines, or ``None`` where the library is needed."""
    lines: list[str] = []
    for key, value in content.items():
        if not isinstance(key, str) or not _is_bare(key) or len(key) > _LONGEST_KEY:
            return None
        if isinstance(value, dict) and value:
            inner = _mapping(value, f"{indent}  ")
            if inner is None:
                return None
            lines += [f"{indent}{key}:", *inner]
            continue
        text = _scalar(value)
        if text is None:
            return None
        lines.append(f"{indent}{key}: {text}")
    return lines


def _scalar(value: Any) -> str | None:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if type(value) is int:
        return str(value)
    if type(value) is not str:
        return None
    if value == _HINT or _is_bare(value):
        return value
    return f"'{value}'" if not value or _TIME.fullmatch(value) else None


def _is_bare(text: str) -> bool:
    return _BARE.fullmatch(text) is not None and text.lower() not in _WORDS


def _by_the_library(content: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
    return text.rstrip()
