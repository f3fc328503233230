"""What may be a secret in a deploy, and does not belong on a screen or in a log.

Hidden are all values of ``env_vars``; text under a key that says what it is, such as ``password`` or ``api_key``; and in
addresses the user with the password, and the query, which may be a signature. A fingerprint is not shown instead: of a
short secret it would say too much.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["HIDDEN", "hide", "is_secret"]

HIDDEN: Final = "(hidden)"
_ENV: Final = "env_vars"
_SAYS_SO: Final = re.compile(
    r"(?i)(^|[_.-])(pass(word|wd|phrase)?|secret|token|credentials?|(api|private|access)[_-]?key)s?$"
)
_USER: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY: Final = re.compile(r"(?<=\?)\S+")


def hide(content: Any, path: Sequence[str] = ()) -> Any:
    """``content``, found at ``path``, with its secrets hidden."""
    if isinstance(content, Mapping):
        return {key: hide(value, (*path, str(key))) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [hide(item, path) for item in content]
    if not isinstance(content, str):
        return HIDDEN if _in_environment(path) and content is not None else content
    return HIDDEN if is_secret(path) else _without_secrets(content)


def is_secret(path: Sequence[str]) -> bool:
    """Whether text at this path is a secret as a whole."""
    return _in_environment(path) or bool(path and _SAYS_SO.search(path[-1]))


def _in_environment(path: Sequence[str]) -> bool:
    return _ENV in path[:-1]


def _without_secrets(text: str) -> str:
    if "://" not in text:
        return text
    return _QUERY.sub(HIDDEN, _USER.sub(HIDDEN, text))
