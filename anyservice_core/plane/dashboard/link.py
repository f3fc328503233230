"""The link that opens the dashboard: for who can read the plane's token, good once, and without the token in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from anyservice_core.errors import PlaneError

__all__ = ["login_link"]


def login_link(record: Mapping[str, Any]) -> str:
    """Ask the plane of this ``plane.json`` for a link, good for one login within five minutes.

    The code is behind a ``#``, which browsers do not send: it is in no server's log.

    Raises:
        PlaneError: the plane does not answer.
    """
    host = record["host"]
    headers = {"Authorization": f"Bearer {record['token']}"}
    try:
        answer = httpx.post(f"{host}/dashboard/codes", headers=headers, timeout=10, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise PlaneError(f"the plane at {host} gave no link to its dashboard: {error}.") from error
    return f"{host}/login#code={answer.json()['result']['code']}"
