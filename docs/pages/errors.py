"""The page of errors, from the tree itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from anyservice_core import errors
from anyservice_core.cli.errors import EXIT_CODES
from pages.words import GENERATED, code, first_line, table

INTRO = """# Errors

Every error that reaches you is an `AnyserviceError`: httpx, pydantic and YAML never show through. `str(error)` names the
field, the value and the way out; `error.message` and `error.hint` are its halves. No error holds a token, and each
survives pickling, since Airflow, Prefect and Ray send them between processes.

`retryable` says whether the same call may succeed later. The command line ends with `exit_code`.
"""

OUTRO = """
Of the fields, `status` is the HTTP status, `request_id` the server's trace id, `retry_after_s` the pause that it asked
for in seconds, `state` the last state that a wait saw, `report` a rollout's steps and numbers, and `log` the end of the
log that says why.
"""


def page() -> str:
    tree = inspect.cleandoc(errors.__doc__ or "").split("\n\n")[2]
    rows = [_row(kind) for kind in _walk(errors.AnyserviceError)]
    heads = ["error", "meaning", "fields", "retryable", "exit code"]
    return f"{GENERATED}\n{INTRO}\n```text\n{inspect.cleandoc(tree)}\n```\n\n{table(heads, rows)}{OUTRO}"


def _walk(kind: type[errors.AnyserviceError]) -> Iterator[type[errors.AnyserviceError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _walk(child)


def _row(kind: type[errors.AnyserviceError]) -> tuple[str, ...]:
    given = inspect.signature(kind.__init__).parameters
    fields = [name for name in given if name not in {"self", "message", "hint"}]
    builtin = [
        base.__name__ for base in kind.__bases__ if base.__module__ == "builtins" and base is not Exception
    ]
    also = f" Also a {', '.join(code(name) for name in builtin)}." if builtin else ""
    assert kind.exit_code in EXIT_CODES
    return (
        code(kind.__name__),
        first_line(kind.__doc__) + also,
        ", ".join(code(name) for name in fields),
        "yes" if kind.retryable else "no",
        str(kind.exit_code),
    )
