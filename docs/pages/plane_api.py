"""The page of the plane's API, from the table that answers requests."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from anyservice_core.plane import endpoints, guard, openapi
from anyservice_core.plane.routes import Endpoint, Page, Text
from pages.words import GENERATED, code, prose, table

INTRO = """# The plane's API

What the plane on this machine answers: the part of Anyscale's API that deploys and observes services, and a little of its own. The
plane describes it itself, in the form of OpenAPI 3.1, at `/openapi.json`:

```sh
eval "$(anyservice plane env)"
curl -H "Authorization: Bearer $ANYSCALE_CLI_TOKEN" "$ANYSCALE_HOST/openapi.json"
```

A request shows the plane's token as the cookie `cli_token` or as a bearer token. A single answer is `{"result": ...}`, a page of a
list `{"results": [...], "metadata": {"total": ..., "next_paging_token": ...}}`, and every refusal `{"error": {"detail": ...}}`; where
several fields do not fit, `detail` is the list of them, and `message` the first. Paths may end in a slash or not.
"""

ANYWHERE = """
## What any path may answer

"""

OPEN = """
## Without a token

Strangers are answered with 401, whether a path is there or not. These are the doors that open by themselves:

"""

AFTER = f"""
After {guard.AT_ONCE} wrong tokens or signatures from one address the answer is 429, with the seconds to wait; one is forgiven every
{guard.FORGIVEN_S:g} seconds. Who shows the right token is never kept waiting.
"""


def page() -> str:
    parts = [GENERATED, INTRO]
    for room in endpoints.ROOMS:
        parts.append(f"## {room.__name__.rpartition('.')[2].capitalize()}\n\n{prose(inspect.getdoc(room))}\n")
        parts.append(table(["request", "what it does", "takes", "gives", "may refuse with"], _rows(room)))
    statuses = [(str(status), meaning) for status, meaning in openapi.ALWAYS.items()]
    doors = [(code(door), why) for door, why in guard.OPEN.items()]
    return (
        "\n".join(parts)
        + ANYWHERE
        + table(["status", "meaning"], statuses)
        + OPEN
        + table(["door", "why"], doors)
        + AFTER
    )


def _rows(room: Any) -> Iterable[tuple[str, ...]]:
    found: dict[Any, list[Endpoint]] = {}
    for endpoint in room.routes.endpoints:
        found.setdefault(endpoint.handler, []).append(endpoint)
    for same in found.values():
        one = same[0]
        paths = "<br>".join(code(f"{each.method} {each.path}") for each in same)
        refusals = ", ".join(str(status) for status in one.refusals if status not in openapi.ALWAYS)
        yield paths, one.summary.replace("``", "`"), _takes(one), _gives(one), refusals


def _takes(endpoint: Endpoint) -> str:
    query = [code(f"?{name}") for name in endpoint.query.model_fields] if endpoint.query else []
    body = [code(name) for name in endpoint.body.model_fields] if endpoint.body else []
    return " ".join([*query, *body])


def _gives(endpoint: Endpoint) -> str:
    match endpoint.answer:
        case None:
            return "nothing"
        case Text():
            return "text"
        case Page(item):
            return f"a page of {code(_called(item))}"
        case kind:
            return code(_called(kind))


def _called(kind: Any) -> str:
    name = str(getattr(kind, "__name__", kind)).strip("_").removesuffix("Wire")
    (inner,) = getattr(kind, "__args__", ()) or (None,)
    return f"list of {_called(inner)}" if inner else name
