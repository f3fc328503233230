"""The router on the real HAProxy."""

import collections
import contextlib
import dataclasses
import http.client
import http.server
import os
import shutil
import signal
import socket
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest

from anyservice_core.errors import PlaneError
from anyservice_core.plane.engines import procfs
from anyservice_core.plane.router import Route, Router, Server

pytestmark = pytest.mark.real
TOKEN = {"Authorization": "Bearer tok"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen[f"{self.command} {self.path}"] += 1
        if self.path in ("/die", f"/die/{self.server.tag}"):
            self.close_connection = True
            return
        if self.path == "/slow":
            self.server.entered.set()
            self.server.leave.wait(20)
        body = self.server.tag.encode()
        self.send_response(500 if self.path == "/500" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.close_connection = self.path == "/break"
        self.wfile.write(body[:1] if self.path == "/break" else body)

    do_POST = do_GET

    def log_message(self, *args):
        pass


class Backend(http.server.ThreadingHTTPServer):
    """A version that answers with its name."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, tag):
        super().__init__(("127.0.0.1", 0), Handler)
        self.tag, self.entered, self.leave = tag, threading.Event(), threading.Event()
        self.seen, self.connections = collections.Counter(), 0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def get_request(self):
        accepted = super().get_request()
        self.connections += 1
        return accepted

    def server(self, weight):
        return Server(f"ver_{self.tag}", self.server_address, weight)

    def close(self):
        self.leave.set()
        self.shutdown()
        self.server_close()


@pytest.fixture
def one():
    backend = Backend("one")
    yield backend
    backend.close()


@pytest.fixture
def two():
    backend = Backend("two")
    yield backend
    backend.close()


@pytest.fixture
def place():
    path = Path(tempfile.mkdtemp(prefix="asv-"))  # short: sockets have a limit
    yield path
    Router(path, path).stop()
    shutil.rmtree(path)


@pytest.fixture
def router(place):
    router = Router(place, place)
    yield router
    router.stop()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def port():
    return free_port()


def route(port, a=None, b=None, *, name="svc", token="tok"):
    return Route(name, port, token, {"a": a, "b": b})


def get(port, path="/", headers=TOKEN, connection=None):
    """Give status, body and the version that answered."""
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    own.request("GET", path, headers=headers)
    answer = own.getresponse()
    result = answer.status, answer.read().decode(), answer.headers.get("x-anyservice-version")
    if connection is None:
        own.close()
    return result


def versions(port, n):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    seen = collections.Counter(get(port, connection=connection)[2] for _ in range(n))
    connection.close()
    return dict(seen)


class Load:
    """Keeps requests coming over keep-alive connections, and remembers all that went wrong."""

    def __init__(self, port, clients=3):
        self.answers, self.wrong = collections.Counter(), []
        self._port, self._stop = port, threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.more(20)
        return self

    def __exit__(self, *exc):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, n, timeout_s=20):
        """Wait until ``n`` more requests were answered."""
        goal, deadline = self.total + n, time.monotonic() + timeout_s
        while self.total < goal:
            assert time.monotonic() < deadline, f"no traffic: {self.wrong[:3]}"
            time.sleep(0.001)

    @property
    def total(self):
        return sum(self.answers.values()) + len(self.wrong)

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._stop.is_set():
            try:
                status, body, _ = get(self._port, connection=connection)
            except OSError as error:
                self.wrong.append(repr(error))
                connection.close()
                continue
            if status == 200:
                self.answers[body] += 1
            else:
                self.wrong.append((status, body))
        connection.close()


def wait_until(condition, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def counters(router, slot="a"):
    return next(c for c in router.counters() if c.slot == slot)


@contextlib.contextmanager
def busy(backend, port):
    """Keep a version answering a request meanwhile; give the answer that comes at the end."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(get(port, "/slow")[1]))
    thread.start()
    assert backend.entered.wait(20)
    yield answers
    backend.leave.set()
    thread.join()


def test_split_is_exact(router, port, one, two):
    """90 to 10 of a thousand requests are 900 and 100, and the answer says which version gave it."""
    router.apply([route(port, one.server(90), two.server(10))])
    assert versions(port, 1000) == {"ver_one": 900, "ver_two": 100}


def test_no_request_is_lost_while_weights_move(router, port, one, two):
    """A canary comes, climbs and takes over under load; the old one leaves its seat; nobody notices."""
    router.apply([route(port, one.server(100))])
    with Load(port) as load:
        for weight in (0, 10, 50, 100):
            router.apply([route(port, one.server(100 - weight), two.server(weight))])
            load.more(100)
        router.apply([route(port, None, two.server(100))])
        load.more(100)
    assert load.wrong == []
    assert load.answers["two"] > 100


def test_no_request_is_lost_over_reloads(router, port, one, two):
    """Services come and go next to one under load; it keeps every request and every count."""
    mine, other = (
        route(port, one.server(50), two.server(50)),
        route(free_port(), one.server(100), name="other"),
    )
    router.apply([mine])
    with Load(port) as load:
        for routes in ([mine, other], [mine], [mine, other]):
            router.apply(routes)
            load.more(100)
    assert load.wrong == []
    counted = [c for c in router.counters() if c.service_id == "svc"]
    assert sum(c.requests for c in counted) == load.total
    wait_until(lambda: router.counters() and len(router._proxy.workers()) == 1)


def test_idle_connection_from_before_a_reload_follows_the_present_weights(router, port, one, two):
    """A client connected to the old worker is not served by weights that have gone."""
    router.apply([route(port, one.server(100))])
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    assert get(port, connection=idle)[1] == "one"
    idle_socket = idle.sock
    router.apply([route(port, one.server(100)), route(free_port(), name="other")])
    router.apply([route(port, None, two.server(100)), route(free_port(), name="other")])
    assert idle.sock is idle_socket
    assert get(port, connection=idle)[1] == "two"
    idle.close()


def test_weights_survive_a_reload(router, port, one, two):
    """The new worker starts with the weights that the old one had been moved to."""
    router.apply([route(port, one.server(100))])
    router.apply([route(port, one.server(75), two.server(25))])
    router.apply([route(port, one.server(75), two.server(25)), route(free_port(), name="other")])
    assert versions(port, 100) == {"ver_one": 75, "ver_two": 25}


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer to"}, {"Authorization": "Basic tok"}],
    ids=["none", "wrong", "prefix", "other scheme"],
)
def test_without_the_token_nobody_gets_in(router, port, one, headers):
    """Absent, wrong, cut short, another scheme: 401 in JSON, and the version never sees it."""
    router.apply([route(port, one.server(100))])
    status, body, version = get(port, headers=headers)
    assert (status, body, version) == (401, '{"detail":"missing or invalid bearer token"}', None)
    assert counters(router).requests == 0


def test_answers_are_counted_by_how_long_they_took(router, port, one, two):
    """Each version has a histogram of its own, that goes on over a reload."""
    seats = {"a": one.server(100), "b": two.server(0)}
    router.apply([Route("svc", port, None, seats)])
    for _ in range(20):
        assert get(port)[0] == 200
    before = {c.slot: c for c in router.counters()}
    router.apply([Route("svc", port, None, seats), Route("other", free_port(), None, seats)])
    for _ in range(5):
        assert get(port)[0] == 200
    took = {c.slot: c.took for c in router.counters() if c.service_id == "svc"}
    assert (before["a"].took["count"], took["a"]["count"], took["b"].get("count", 0)) == (20, 25, 0)
    assert took["a"]["le_10000"] == 25
    assert took["a"]["le_5"] <= took["a"]["le_10"] <= took["a"]["le_25"]
    assert {"2xx", "none"} <= set(before["a"].responses)
    assert before["a"].requests == 20


def test_a_second_token_lets_in_as_well(router, port, one):
    """While clients change over, both tokens work; then the first is gone, without a reload."""
    seat = {"a": one.server(100), "b": None}
    router.apply([Route("svc", port, "old", seat, second="new")])
    worker = router._proxy.workers()[0]
    asked = {
        token: get(port, headers={"Authorization": f"Bearer {token}"})[0] for token in ("old", "new", "none")
    }
    assert asked == {"old": 200, "new": 200, "none": 401}
    router.apply([Route("svc", port, "new", seat)])
    asked = {token: get(port, headers={"Authorization": f"Bearer {token}"})[0] for token in ("old", "new")}
    assert (asked, router._proxy.workers()[0]) == ({"old": 401, "new": 200}, worker)


def test_token_changes_while_it_runs(router, port, one):
    """A new token works at once, the old one no more; an open service asks for none."""
    router.apply([route(port, one.server(100))])
    router.apply([route(port, one.server(100), token="new")])
    assert get(port)[0] == 401
    assert get(port, headers={"Authorization": "Bearer new"})[0] == 200
    router.apply([route(port, one.server(100), token=None)])
    assert get(port, headers={})[0] == 200


def test_secrets_are_for_the_owner_only(router, place, port, one):
    """Files and socket are private, and no command line shows a token."""
    router.apply([route(port, one.server(100), token="s3cret")])
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in place.rglob("*") if not p.is_dir()}
    assert {name for name, mode in modes.items() if mode & 0o077} == set()
    for pid in [router._proxy.session().sid, *router._proxy.workers()]:
        assert b"s3cret" not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_pinned_request_goes_to_its_version(router, port, one, two):
    """A probe reaches a canary that has no weight yet; a version that is not there is 404, not another one."""
    router.apply([route(port, one.server(100), two.server(0))])
    assert get(port, headers={**TOKEN, "x-anyservice-version": "ver_two"})[1] == "two"
    assert get(port, headers={**TOKEN, "x-anyservice-version": "ver_three"})[0] == 404


def test_pinned_request_is_for_its_version_or_nobody(router, port, one, two):
    """A canary that cannot be reached is not answered for by the primary, and users are served as before."""
    two.close()
    router.apply([route(port, one.server(100), two.server(0))])
    assert get(port, headers={**TOKEN, "x-anyservice-version": "ver_two"})[0] == 503
    assert one.seen == {}
    assert get(port)[1] == "one"


def test_nobody_ready_is_503_in_json(router, port):
    """A service without a version answers by itself, in a form that clients read."""
    router.apply([route(port)])
    assert get(port)[:2] == (503, '{"detail":"no version of this service is ready"}')


def test_errors_are_counted_once(router, port, one):
    """A 500 and a broken connection are an error each, of different kinds; 502 names who broke off."""
    router.apply([route(port, one.server(100))])
    assert [get(port, path)[0] for path in ("/", "/500", "/die")] == [200, 500, 502]
    assert get(port, "/die")[2] == "ver_one"
    counter = counters(router)
    assert (counter.responses["2xx"], counter.responses["5xx"], counter.responses["none"]) == (1, 1, 2)
    assert (counter.requests, counter.errors) == (4, 3)


def test_a_version_that_breaks_off_on_a_connection_used_before_is_charged_with_it(router, port, one):
    """HAProxy then closes the client's connection and says nothing, as if nothing had been asked."""
    router.apply([route(port, one.server(100))])
    assert get(port)[0] == 200
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("POST", "/die", headers=TOKEN)
        with pytest.raises(ConnectionError):
            connection.getresponse()
    assert (counters(router).errors, counters(router).responses["none"]) == (1, 1)
    assert one.seen["POST /die"] == 1


def test_an_answer_that_breaks_off_in_its_body_is_an_error(router, port, one):
    """Whoever asked has no answer, whatever its status said."""
    router.apply([route(port, one.server(100))])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection), pytest.raises(http.client.IncompleteRead):
        get(port, "/break", connection=connection)
    assert (counters(router).responses["2xx"], counters(router).errors) == (1, 1)


def test_what_a_version_was_given_to_do_is_not_given_to_another(router, port, one, two):
    """A POST that broke off may have been carried out, so it is an error and is not sent twice."""
    router.apply([route(port, one.server(50), two.server(50))])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for _ in range(4):
        connection.request("POST", "/die", headers=TOKEN)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (502, True)
    connection.close()
    assert one.seen + two.seen == {"POST /die": 4}


def test_a_question_that_killed_a_version_is_answered_by_the_other(router, port, one, two):
    """A GET asks for nothing to be done: the user gets an answer, and who broke off is charged with it."""
    router.apply([route(port, one.server(50), two.server(50))])
    assert [get(port, "/die/two")[:2] for _ in range(4)] == [(200, "one")] * 4
    assert counters(router, "a").errors == 0
    assert counters(router, "b").errors == two.seen["GET /die/two"] > 0


def test_a_question_that_kills_is_not_asked_on_and_on(router, port, one, two):
    """What no version can answer is an error after each was asked once."""
    router.apply([route(port, one.server(50), two.server(50))])
    assert get(port, "/die")[0] == 502
    assert (one.seen, two.seen) == ({"GET /die": 1}, {"GET /die": 1})
    assert sum(c.errors for c in router.counters()) == 2


def test_refused_request_is_answered_by_the_other(router, port, one, two):
    """A version that went away costs it an error, and the user nothing."""
    two.close()
    router.apply([route(port, one.server(50), two.server(50))])
    assert versions(port, 4) == {"ver_one": 4}
    assert counters(router, "b").responses["none"] >= 1
    assert counters(router, "a").errors == 0


def test_open_requests_are_seen_and_finish_after_their_version_left_its_seat(router, port, one, two):
    """Draining: a request under way is counted as a session and gets its answer."""
    router.apply([route(port, one.server(100))])
    with busy(one, port) as answers:
        router.apply([route(port, one.server(0), two.server(100))])
        assert (counters(router, "a").sessions, counters(router, "b").sessions) == (1, 0)
    assert answers == ["one"]
    assert counters(router, "a").sessions == 0


def test_clients_share_connections_to_a_version(router, port, one):
    """A version does not pay for a connection with each request, nor with each client."""
    router.apply([route(port, one.server(100))])
    assert [get(port)[0] for _ in range(50)] == [200] * 50
    assert one.connections <= 2


def test_an_idle_client_is_kept_for_as_long_as_its_service_says(router, port, one):
    """``keep_alive_timeout_s`` is for users; versions themselves never close an idle connection."""
    router.apply([dataclasses.replace(route(port, one.server(100)), keep_alive_s=1)])
    idle = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    assert get(port, connection=idle)[0] == 200
    assert idle.sock.recv(1) == b""
    idle.close()


def test_a_seat_that_changed_its_address_asks_nothing_of_the_old_one(router, port, one, two):
    """Connections to the old address are not asked by again: neither idle ones, nor one that was busy meanwhile."""
    router.apply([route(port, one.server(100))])
    assert {get(port)[1] for _ in range(5)} == {"one"}
    with busy(one, port) as answers:
        router.apply([route(port, two.server(100))])
        assert {get(port)[1] for _ in range(5)} == {"two"}
    assert answers == ["one"]
    assert {get(port)[1] for _ in range(20)} == {"two"}


def test_next_router_adopts_the_running_haproxy(router, place, port, one, two):
    """A plane that died left its router; the next one leads it on, with the counts it had."""
    router.apply([route(port, one.server(100))])
    get(port)
    router.counters()
    get(port)
    sid = router._proxy.session().sid
    heir = Router(place, place)
    assert heir.running()
    heir.apply([route(port, one.server(0), two.server(100))])
    assert heir._proxy.session().sid == sid
    assert get(port)[1] == "two"
    assert counters(heir, "a").requests == 2


def test_killed_haproxy_is_started_again(router, port, one):
    """SIGKILL of the router: the next apply brings it back as it was, and the totals go on."""
    router.apply([route(port, one.server(100))])
    get(port)
    router.counters()
    os.kill(router._proxy.session().sid, signal.SIGKILL)
    wait_until(lambda: not router.running())
    router.apply([route(port, one.server(100))])
    assert get(port)[0] == 200
    assert counters(router).requests == 2


def test_applying_the_same_again_touches_nothing(router, place, port, one, two):
    """An idle plane neither reloads nor writes."""
    routes = [route(port, one.server(60), two.server(40))]
    router.apply(routes)
    before = {p: p.stat().st_mtime_ns for p in place.rglob("*.*")}
    worker = router._proxy.workers()
    router.apply(list(routes))
    assert router._proxy.workers() == worker
    assert {p: p.stat().st_mtime_ns for p in place.rglob("*.*")} == before


def test_port_in_use_at_the_start(router, place, one):
    """The message names port and service, and nothing was started."""
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        port = squatter.getsockname()[1]
        with pytest.raises(PlaneError, match=f"port {port} of service svc"):
            router.apply([route(port, one.server(100))])
    assert not router.running()
    assert list(place.iterdir()) == []


def test_port_in_use_for_one_more_service_harms_no_other(router, port, one, two):
    """The services that were there go on and still get their weights."""
    router.apply([route(port, one.server(100))])
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        extra = route(squatter.getsockname()[1], name="extra")
        with pytest.raises(PlaneError, match="of service extra"):
            router.apply([route(port, one.server(0), two.server(100)), extra])
    assert get(port)[1] == "two"
    router.apply([route(port, one.server(100)), route(free_port(), name="extra")])
    assert get(port)[1] == "one"


def test_stop_leaves_no_process(router, place, port, one):
    """After stop, which may be called twice, nobody is left in HAProxy's session and the port is free."""
    router.apply([route(port, one.server(100))])
    sid = router._proxy.session().sid
    router.stop()
    router.stop()
    assert not router.running()
    assert [s for s in procfs.stats() if s.session == sid and not s.is_zombie] == []
    socket.create_server(("127.0.0.1", port)).close()


def test_no_routes_no_haproxy(router, port, one):
    """With the last service goes the router."""
    router.apply([route(port, one.server(100))])
    router.apply([])
    assert not router.running()


def test_path_that_no_socket_can_have_is_refused():
    """The kernel's limit on socket paths is met with words, not in the middle of a start."""
    with pytest.raises(PlaneError, match="TMPDIR"):
        Router(Path("/tmp"), Path("/tmp") / ("x" * 90))
