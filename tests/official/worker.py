"""Runs calls of the official client, one JSON line in, one out.

A program of its own, kept alive: importing it takes seconds, and its host and token are fixed at the first use.
Run with ``ANYSCALE_HOST`` and ``ANYSCALE_CLI_TOKEN`` in the environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

import anyscale
from anyscale.service.models import ServiceConfig


def call(name: str, arguments: dict[str, Any]) -> Any:
    if "config" in arguments:
        arguments["configs"] = ServiceConfig(**arguments.pop("config"))
    value = getattr(anyscale.service, name)(**arguments)
    if name == "list":
        return [service.name for service in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


def answer(line: str) -> dict[str, Any]:
    asked = json.loads(line)
    try:
        return {"value": call(asked["call"], asked["arguments"])}
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the answer
        kind = type(error)
        return {
            "error": f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."),
            "text": str(error),
        }


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the client prints must not be taken for an answer
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            print(json.dumps(answer(line), default=str), file=out, flush=True)


if __name__ == "__main__":
    main()
