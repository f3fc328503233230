"""Requests and their record."""

import http.server
import json
import math
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dags_examples.demo.traffic import Record, Sample, Traffic, percentile, read
from dags_examples.demo.train import Digit


def answer(**fields):
    return json.dumps(fields).encode()


def test_right_and_wrong_digits_are_told_apart():
    """Accuracy is a matter of the digit, not of the status."""
    assert read(0, 0, 200, answer(version="v1", digit=3), 3).right is True
    assert read(0, 0, 200, answer(version="v1", digit=4), 3).right is False


@pytest.mark.parametrize(
    ("status", "body", "dropped"),
    [
        (200, answer(version="v1", digit=3), False),
        (500, answer(version="v3", detail="a fault of mine"), False),
        (500, b"Internal Server Error", True),
        (502, answer(version="v3"), True),
        (503, b'{"detail":"no version of this service is ready"}', True),
        (200, b"hello", True),
        (200, answer(version="v1"), True),
        (0, b"", True),
    ],
    ids=["answer", "own fault", "nameless 500", "502", "503", "no JSON", "no digit", "no answer"],
)
def test_only_a_failure_in_a_versions_own_name_is_not_dropped(status, body, dropped):
    """A version may fail a request and say so; whatever else is no answer is the platform's loss."""
    assert read(0, 0, status, body, 3).dropped is dropped


def test_figures_by_version():
    """Requests, errors and accuracy are kept apart by version; an error is no wrong answer."""
    record = Record()
    for sample in (
        Sample(1, 0.1, 200, "v1", right=True),
        Sample(2, 0.1, 200, "v1", right=False),
        Sample(3, 0.1, 500, "v2"),
        Sample(4, 0.1, 200, "v2", right=True),
        Sample(5, 0.1, 0),
    ):
        record.add(sample)
    figures = record.figures(now=6)
    assert (figures["v1"].requests, figures["v1"].errors, figures["v1"].accuracy) == (2, 0, 0.5)
    assert (figures["v2"].requests, figures["v2"].errors, figures["v2"].accuracy) == (2, 1, 1.0)
    assert [sample.at for sample in record.dropped()] == [5]


def test_latencies_are_of_late():
    """A slow start is forgotten after a while; without a recent request there is no number."""
    record = Record([Sample(0, 9.0, 200, "v1", right=True), Sample(100, 0.1, 200, "v1", right=True)])
    assert record.figures(now=101)["v1"].p95_s == 0.1
    assert math.isnan(record.figures(now=200)["v1"].p95_s)


def test_between_takes_the_time_of_sending():
    """A request belongs to the moment in which it was sent, ends excluded."""
    record = Record([Sample(at, 5.0, 200, "v1", right=True) for at in (1, 2, 3)])
    assert record.between(1, 3) == {"v1": 2}


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_percentile_is_the_nearest_rank(values, share):
    """At least ``share`` of the values do not exceed it, and it is one of them."""
    found = percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


class Slow(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tokens.add(self.headers["Authorization"])
        self.server.gate.wait(20)
        body = answer(version="v1", digit=1)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads, server.gate, server.tokens = True, threading.Event(), set()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.gate.set()
    server.shutdown()
    server.server_close()


@pytest.mark.real
def test_requests_are_sent_by_the_clock(server):
    """A service that stalls gets its requests all the same, and each shows its true delay."""
    record = Record()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    traffic = Traffic(url, "tok", [Digit(b"{}", 1)], rate=50, record=record)
    traffic.start()
    time.sleep(1.0)  # the stall itself: what is tested is what is sent meanwhile
    server.gate.set()
    traffic.stop()
    samples = record.all()
    assert len(samples) >= 25
    assert max(sample.took_s for sample in samples) > 0.5
    assert [sample for sample in samples if not sample.right] == []
    assert server.tokens == {"Bearer tok"}


@pytest.mark.real
def test_nobody_there_is_dropped_and_not_raised():
    """Refused connections are entered in the record, one a request."""
    record = Record()
    traffic = Traffic("http://127.0.0.1:1", None, [Digit(b"{}", 1)], rate=100, record=record)
    traffic.start()
    deadline = time.monotonic() + 20
    while len(record.all()) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    traffic.stop()
    assert all(sample.dropped and "ConnectError" in sample.detail for sample in record.all())
