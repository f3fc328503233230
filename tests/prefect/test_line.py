"""The one client of a process: shared, and soon back where the server is only busy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, temporary_settings

from prefect_tasks.line import _ask_again_soon, line

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240)]


@pytest.mark.usefixtures("prefect_server")
def test_threads_and_flows_share_one_client() -> None:
    """It outlives the flow that asked first, and is of the API that the settings name."""

    @flow
    def ask() -> object:
        return line()

    first = line()
    with ThreadPoolExecutor(4) as pool:
        assert {id(one) for one in pool.map(lambda _: first, range(8))} == {id(first)}
    assert ask() is first
    assert first.hello().status_code == 200
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        assert line() is not first


def test_a_busy_server_is_asked_again_in_a_moment() -> None:
    """SQLite says 503 when two write at once: from a fifth of a second on, twice as long each time."""
    request, pauses = httpx.Request("PATCH", "http://127.0.0.1/api"), list[str]()
    for _ in range(4):
        busy = httpx.Response(503, request=request)
        _ask_again_soon(busy)
        pauses.append(busy.headers["Retry-After"])
    assert pauses == ["0.2", "0.4", "0.8", "1.6"]


@pytest.mark.parametrize(("status", "headers"), [(503, {"Retry-After": "30"}), (429, {}), (200, {})])
def test_what_a_server_asks_for_stays_as_it_is(status: int, headers: dict[str, str]) -> None:
    """A pause that the server names is kept, and other answers are none of its business."""
    answer = httpx.Response(status, headers=headers, request=httpx.Request("GET", "http://127.0.0.1/api"))
    _ask_again_soon(answer)
    assert dict(answer.headers) == {key.lower(): value for key, value in headers.items()}
