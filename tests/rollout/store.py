"""A server that speaks as much of Prometheus' API as rollouts ask, over series that are functions of time."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_COUNTED = re.compile(r'sum\(increase\((\w+)\{version="([^"]*)"\}\[(\d+)s\]\)\)')
_NOW = re.compile(r'max\((\w+)\{version="([^"]*)"\}\)')


class Store:
    """``series`` maps a metric's name and a version to a function of time: counters grow, gauges are."""

    def __init__(self, series: Mapping[tuple[str, str], Callable[[float], float]]) -> None:
        self.series = dict(series)
        self.asked: list[tuple[str, float]] = []
        self.down_from = float("inf")
        self.address = ""

    def answer(self, query: str, at: float) -> tuple[int, Any]:
        self.asked.append((query, at))
        if at >= self.down_from:
            return 503, {"status": "error", "error": "the store is down"}
        if counted := _COUNTED.fullmatch(query):
            name, version, window = counted.groups()
            series = self.series.get((name, version))
            return _vector(series(at) - series(at - int(window)) if series else None)
        if now := _NOW.fullmatch(query):
            series = self.series.get((now[1], now[2]))
            return _vector(series(at) if series else None)
        return 400, {"status": "error", "error": f"parse error: {query}"}


def _vector(value: float | None) -> tuple[int, Any]:
    result = [] if value is None else [{"metric": {}, "value": [0, str(value)]}]
    return 200, {"status": "success", "data": {"resultType": "vector", "result": result}}


@contextmanager
def served(store: Store) -> Iterator[Store]:
    """The store behind a real socket, on a port that is free."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body in one packet, or each answer waits for a late acknowledgement

        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            status, content = store.answer(asked["query"][0], float(asked["time"][0]))
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    store.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
