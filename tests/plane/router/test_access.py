"""The access log: what is in it, what is not, and that it does not grow without end."""

import contextlib
import http.client

import pytest

from anyservice_core.plane.router.access import access_log, trim
from tests.plane.router.test_router import (  # noqa: F401  fixtures
    TOKEN,
    free_port,
    get,
    one,
    place,
    port,
    route,
    router,
    two,
    wait_until,
)


@pytest.mark.real
def test_each_request_has_a_line_without_a_secret(router, place, port, one):  # noqa: F811
    """Who asked whom for what, how it was answered; but neither tokens nor what is asked behind a question mark."""
    router.apply([route(port, one.server(100))])
    assert get(port, "/predict?key=s3cret")[0] == 200
    assert get(port, "/500")[0] == 500
    assert get(port, "/", {"Authorization": "Bearer wr0ng"})[0] == 401
    wait_until(lambda: access_log(place).read_text().count("\n") == 3)
    text = access_log(place).read_text()
    lines = [line.split()[1:6] for line in text.splitlines()]
    assert lines == [
        ["svc", "ver_one", "GET", "/predict", "200"],
        ["svc", "ver_one", "GET", "/500", "500"],
        ["svc", "-", "GET", "/", "401"],
    ]
    assert not [secret for secret in ("s3cret", "wr0ng", "tok") if secret in text]
    assert access_log(place).stat().st_mode & 0o777 == 0o600


@pytest.mark.real
def test_what_an_old_worker_hands_on_is_one_line(router, place, port, one):  # noqa: F811
    """A client that stayed connected over a reload passes two workers, but asked once."""
    router.apply([route(port, one.server(100))])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        get(port, "/before", connection=connection)
        router.apply([route(port, one.server(100)), route(free_port(), name="other")])
        get(port, "/after", connection=connection)
    wait_until(lambda: "/after" in access_log(place).read_text())
    get(port, "/last")
    wait_until(lambda: "/last" in access_log(place).read_text())
    words = [line.split() for line in access_log(place).read_text().splitlines()]
    assert [line[4] for line in words if line[1] == "svc"] == ["/before", "/after", "/last"]


def test_a_log_that_has_grown_begins_anew(tmp_path):
    """The file stays the one that HAProxy appends to; what it held is kept once."""
    log = access_log(tmp_path)
    log.parent.mkdir()
    trim(log)
    with log.open("a") as writer:
        for text in ("first\n", "second\n"):
            writer.write(text * 10)
            writer.flush()
            trim(log, most_bytes=30)
        writer.write("third\n")
    assert log.read_text() == "third\n"
    assert log.with_name("access.log.1").read_text() == "second\n" * 10


def test_a_small_log_is_left_alone(tmp_path):
    """Nothing is copied that need not be."""
    log = access_log(tmp_path)
    log.parent.mkdir()
    log.write_text("a line\n")
    trim(log)
    assert [path.name for path in log.parent.iterdir()] == ["access.log"]
