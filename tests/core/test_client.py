from __future__ import annotations

import contextlib
import inspect
import json
import os
import pickle
import shutil
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import httpx
import pytest

from anyservice_core import AsyncClient, Client, ConfigError, TransportError, service
from anyservice_core.effects import Call, Now, Report, Request, Save, Sleep, Together, Upload
from anyservice_core.errors import DecodeError
from anyservice_core.models import ServiceConfig
from anyservice_core.testing import FakePlane

HOST, TOKEN = "http://plane.test", "aph0_very_secret"
CONFIG = ServiceConfig(name="recommender", applications=[{"import_path": "main:app"}])


def answering(handler):
    """A client whose network is a function, and what it was asked."""
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return handler(request)

    return httpx.MockTransport(handle), asked


def fine(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"result": {}})


def client(transport, **options) -> Client:
    return Client(HOST, TOKEN, transport=transport, **options)


class Both:
    """Runs an operation in either colour."""

    def __init__(self, colour: str) -> None:
        self.colour = colour

    def run(self, op, transport=None, **options):
        if self.colour == "sync":
            with client(transport, **options) as one:
                return one.run(op)
        return anyio.run(self._later, op, transport, options)

    async def _later(self, op, transport, options):
        async with AsyncClient(HOST, TOKEN, transport=transport, **options) as one:
            return await one.run(op)


@pytest.fixture(params=["sync", "async"])
def both(request):
    return Both(request.param)


def asking(*effects):
    """An operation that asks these, one after another, and gives back the last answer."""
    answer = None
    for effect in effects:
        answer = yield from effect
    return answer


# ── the drivers ──


def test_effects_are_performed(both):
    """Each kind has its answer."""
    told, kept = [], []
    options = {"on_report": told.append, "on_save": lambda *pair: kept.append(pair)}
    before = time.time()
    op = asking(Report("event"), Save("key", CONFIG), Sleep(0.001, jitter=0.5), Now())
    assert both.run(op, **options) >= before
    assert told == ["event"]
    assert kept == [("key", CONFIG)]


def test_nobody_need_listen(both):
    """Reports and saves without a listener are nothing."""
    assert both.run(asking(Report("event"), Save("key", CONFIG))) is None


@pytest.mark.anyio
async def test_listeners_may_be_asynchronous():
    """As Prefect's artifacts are."""
    told = []

    async def listen(event):
        await anyio.lowlevel.checkpoint()
        told.append(event)

    async with AsyncClient(HOST, TOKEN, on_report=listen) as one:
        await one.run(asking(Report("event")))
    assert told == ["event"]


def test_a_user_s_function_may_have_either_colour(both):
    """Off the event loop where there is one."""

    async def later(number):
        await anyio.lowlevel.checkpoint()
        return number + 1

    assert both.run(asking(Call(later, (1,)))) == 2
    where = both.run(asking(Call(threading.get_ident)))
    assert (where == threading.get_ident()) is (both.colour == "sync")


def test_what_goes_wrong_is_thrown_into_the_operation(both):
    """So that try and finally in it act as in plain code, for an interruption too."""
    seen = []

    def careful():
        try:
            yield from Call(_interrupt)
        except KeyboardInterrupt:
            seen.append("interrupted")
            raise
        finally:
            seen.append("cleaned")

    with pytest.raises(KeyboardInterrupt):
        both.run(careful())
    assert seen == ["interrupted", "cleaned"]


def _interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.anyio
async def test_cancellation_reaches_the_operation():
    """A cancelled wait cleans up."""
    seen = []

    def careful():
        try:
            yield from Sleep(60)
        finally:
            seen.append("cleaned")

    async with AsyncClient(HOST, TOKEN) as one:
        with anyio.move_on_after(0.01):
            await one.run(careful())
    assert seen == ["cleaned"]


def test_an_operation_may_recover(both):
    """An error that it catches is not the caller's."""

    def recovering():
        try:
            yield from Request("GET", "/x")
        except TransportError:
            return "recovered"

    def broken(_):
        raise httpx.ReadError("dropped")

    assert both.run(recovering(), answering(broken)[0]) == "recovered"


# ── the transport ──


@dataclass
class Told:
    """Content in chunks; with ``breaks``, it cannot be read to its end."""

    data: bytes
    chunk: int = 1 << 18
    breaks: Exception | None = None

    @property
    def size(self):
        return len(self.data)

    def chunks(self):
        for start in range(0, len(self.data), self.chunk):
            yield self.data[start : start + self.chunk]
            if self.breaks:
                raise self.breaks


def test_the_token_goes_to_the_control_plane_alone(both):
    """As a cookie; neither absolute URLs nor uploads see it."""
    transport, asked = answering(fine)
    upload = Upload("http://store.test/a?sig=1", Told(b"zip"))
    op = asking(Request("GET", "/api"), Request("GET", f"{HOST}/metrics"), upload)
    both.run(op, transport)
    assert [request.headers.get("cookie") for request in asked] == [f"cli_token={TOKEN}", None, None]


@pytest.mark.parametrize(("target", "cookie"), [(HOST, f"cli_token={TOKEN}"), ("http://evil.test", None)])
def test_a_redirect_takes_the_token_along_only_at_home(both, target, cookie):
    """Elsewhere it would be given away."""

    def moved(request):
        away = request.url.path == "/old"
        return httpx.Response(307, headers={"Location": f"{target}/new"}) if away else fine(request)

    transport, asked = answering(moved)
    both.run(asking(Request("PUT", "/old", json={"a": 1})), transport)
    assert asked[1].method == "PUT"
    assert asked[1].headers.get("cookie") == cookie


def test_a_request_is_written_as_it_says(both):
    """Repeated keys, JSON, headers; what is None is left out."""
    transport, asked = answering(fine)
    params = {"state": ["A", "B"], "none": None, "count": 5}
    both.run(
        asking(Request("POST", "/api", params=params, json={"a": None}, headers={"X-Y": "z"})), transport
    )
    assert str(asked[0].url) == f"{HOST}/api?state=A&state=B&count=5"
    assert json.loads(asked[0].content) == {"a": None}
    assert asked[0].headers["x-y"] == "z"
    assert asked[0].headers["content-type"] == "application/json"


def test_a_query_in_an_absolute_url_is_kept(both):
    """A metric store's own parameters come along."""
    transport, asked = answering(fine)
    both.run(asking(Request("GET", "http://prom.test/api?q=up")), transport)
    assert str(asked[0].url) == "http://prom.test/api?q=up"


def test_an_upload_is_the_content_with_its_length(both):
    """Storage services refuse a body whose length they learn at its end."""
    transport, asked = answering(fine)
    content = Told(os.urandom(600_000))
    both.run(asking(Upload("http://store.test/a?sig=1", content)), transport)
    assert asked[0].method == "PUT"
    assert asked[0].headers["content-length"] == "600000"
    assert asked[0].content == content.data


def test_content_that_breaks_breaks_the_upload(both):
    """With its own error; the server never sees an end, so it keeps nothing."""
    transport, asked = answering(fine)
    content = Told(b"x" * 600_000, breaks=ConfigError("a.py changed"))
    with pytest.raises(ConfigError, match=r"a\.py changed"):
        both.run(asking(Upload("http://store.test/a?sig=1", content)), transport)
    assert asked == []


def test_a_long_upload_tells_how_far_it_is(both):
    """Each tenth of the way; a short one is over before anybody wonders."""
    events: list[object] = []
    transport, _ = answering(fine)
    for size in (5_000_000, 500_000):
        upload = Upload("http://store.test/a?sig=1", Told(b"x" * size))
        both.run(asking(upload), transport, on_report=events.append)
    assert len(events) == 10
    assert [str(events[0]), str(events[-1])] == ["uploaded 0.5 of 5.0 MB", "uploaded 5.0 of 5.0 MB"]


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (httpx.ConnectError("refused"), TransportError),
        (httpx.ReadTimeout("slow"), TransportError),
        (httpx.RemoteProtocolError("closed"), TransportError),
        (httpx.TooManyRedirects("round"), TransportError),
        (httpx.DecodingError("gzip"), DecodeError),
        (httpx.UnsupportedProtocol("ftp"), ConfigError),
    ],
)
def test_foreign_errors_become_ours(both, foreign, ours):
    """Named by method and place, without query, cookie or cause."""

    def broken(_):
        raise foreign

    with pytest.raises(ours) as caught:
        both.run(asking(Request("GET", "http://prom.test/api?token=hunter2")), answering(broken)[0])
    assert "hunter2" not in str(caught.value)
    assert "http://prom.test/api" in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("url", ["http:///x", "nonsense", "http://a:b/"])
def test_an_address_that_is_none_is_a_config_error(both, url):
    """It comes from a plan, so the user can mend it."""
    with pytest.raises(ConfigError):
        both.run(asking(Request("GET", url)))


def test_a_refused_connection_to_this_machine_says_what_to_do(both, monkeypatch):
    """Most often the plane is not up."""
    op = asking(Request("GET", "/api"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.invalid:1")  # which knows no way to this machine
    host = f"http://127.0.0.1:{_free_port()}"
    kind = Client if both.colour == "sync" else AsyncClient
    with pytest.raises(TransportError, match="anyservice plane up") as caught:
        _finished(kind(host, TOKEN), op)
    assert caught.value.refused


def _finished(one: Client | AsyncClient, op):
    return one.run(op) if isinstance(one, Client) else anyio.run(one.run, op)


def _free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_port


def test_every_request_has_a_bound(both):
    """The client's, or its own if it names one; connecting never takes longer than ten seconds."""
    transport, asked = answering(fine)
    op = asking(Request("GET", "/a"), Request("GET", "/b", timeout_s=2.5))
    both.run(op, transport, timeout_s=60)
    one, two = (request.extensions["timeout"] for request in asked)
    assert (one["read"], one["connect"]) == (60, 10)
    assert (two["read"], two["connect"]) == (2.5, 2.5)
    with pytest.raises(ConfigError, match="timeout_s"):
        both.run(asking(Now()), timeout_s=0)


def test_an_answer_that_drips_comes_to_an_end(both):
    """Each byte is in time, the whole is not."""

    class Drip(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self):
            while True:
                time.sleep(0.01)
                yield b" "

        async def __aiter__(self):
            while True:
                await anyio.sleep(0.01)
                yield b" "

    transport, _ = answering(lambda _: httpx.Response(200, stream=Drip()))
    with pytest.raises(TransportError, match=r"within 0\.1 s"):
        both.run(asking(Request("GET", "/a", timeout_s=0.1)), transport)


def test_an_answer_longer_than_its_bound_is_not_read_to_its_end(both):
    """A metric store that answers with a flood costs neither memory nor time."""
    given = []

    class Flood(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self):
            while True:
                given.append(1)
                yield b" " * 1000

        async def __aiter__(self):
            for chunk in self:
                yield chunk

    transport, _ = answering(lambda _: httpx.Response(200, stream=Flood()))
    with pytest.raises(DecodeError, match="longer than 10000 bytes"):
        both.run(asking(Request("GET", "http://store.test/a", max_bytes=10_000)), transport)
    assert len(given) == 11
    fits, _ = answering(lambda _: httpx.Response(200, content=b" " * 10_000))
    both.run(asking(Request("GET", "http://store.test/a", max_bytes=10_000)), fits)


def test_a_request_may_refuse_to_be_redirected(both):
    """What its headers hold is for the place it names."""
    transport, asked = answering(lambda _: httpx.Response(302, headers={"location": "http://other.test/"}))
    both.run(asking(Request("GET", "http://store.test/a", redirects=False)), transport)
    assert [request.url.host for request in asked] == ["store.test"]


@pytest.mark.parametrize(
    ("foreign", "timed_out"),
    [
        (httpx.ReadTimeout("slow"), True),
        (httpx.ConnectTimeout("far"), False),
        (httpx.ConnectError("no"), False),
    ],
)
def test_an_answer_that_is_late_is_told_from_one_that_cannot_come(both, foreign, timed_out):
    """A service that hangs is at fault; a way to it that is closed need not be."""

    def broken(_):
        raise foreign

    with pytest.raises(TransportError) as caught:
        both.run(asking(Request("GET", "/a")), answering(broken)[0])
    assert caught.value.timed_out is timed_out
    assert pickle.loads(pickle.dumps(caught.value)).timed_out is timed_out


def test_a_reply_knows_how_long_it_took(both):
    """From asking to the last byte."""

    def slow(_):
        time.sleep(0.02)
        return httpx.Response(200)

    def op():
        return (yield from Request("GET", "/a")).elapsed_s

    assert 0.02 <= both.run(op(), answering(slow)[0]) < 5


class Encrypted:
    """A server on this machine that speaks https only, and the file with its certificate."""

    def __init__(self, folder):
        self.certificate, key = folder / "ca.pem", folder / "key.pem"
        name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", str(key), "-out", str(self.certificate)]
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        subprocess.run(["openssl", "req", "-x509", *kind, *files, *name], check=True, capture_output=True)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.server.handle_error = lambda *_: None  # a client that hangs up is what is tested
        self.url = f"https://127.0.0.1:{self.server.server_port}/a"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()


class Answering(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    made = Encrypted(tmp_path_factory.mktemp("tls"))
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_company_s_own_certificates_are_trusted(both, encrypted, monkeypatch):
    """From the variables that official clients honour; and a certificate that nobody knows is not."""
    ask = Request("GET", encrypted.url)
    with pytest.raises(TransportError, match="(?i)certificate"):
        both.run(asking(ask))
    monkeypatch.setenv("ANYSCALE_SSL_CA_CERT", str(encrypted.certificate))
    assert both.run(asking(ask)).body == b"ok"


def test_a_file_that_is_no_certificate_is_named(both, encrypted, tmp_path, monkeypatch):
    """When it is needed: certificates take long to read, and a plain address needs none."""
    file = tmp_path / "nonsense.pem"
    file.write_text("nonsense")
    monkeypatch.setenv("ANYSCALE_SSL_CA_CERT", str(file))
    with pytest.raises(ConfigError, match=r"nonsense\.pem"):
        both.run(asking(Request("GET", encrypted.url)))


# ── the face ──


def test_a_client_shows_no_token():
    """Promise 8."""
    one = Client(HOST, TOKEN, cloud="prod")
    assert repr(one) == "Client('http://plane.test', cloud='prod')"
    assert TOKEN not in repr(vars(one)["settings"])


def test_methods_keep_names_and_words_of_their_operations():
    """In either colour; `help` and editors show one text."""
    for kind in (Client(HOST, TOKEN), AsyncClient(HOST, TOKEN)):
        for name in ("deploy", "status", "wait", "rollback", "terminate", "list"):
            method = getattr(kind, name)
            assert method.__doc__ == getattr(type(kind), name).__doc__ == getattr(service, name).__doc__
            assert "cloud" in inspect.signature(method).parameters


def test_the_client_s_cloud_and_project_are_defaults(shapes):
    """Not when a call names its own, nor where an id says all."""

    def page(_):
        return httpx.Response(200, content=shapes.page().body)

    transport, asked = answering(page)
    with client(transport, cloud="cld_1", project="prj_1") as one:
        list(one.list())
        list(one.list(project="prj_2"))
    assert asked[0].url.params["cloud_id"] == "cld_1"
    assert [request.url.params["project_id"] for request in asked] == ["prj_1", "prj_2"]


def test_threads_share_one_pool_of_connections(monkeypatch):
    """Also when all of them are the first; a second pool would be forgotten, with its sockets open."""
    made, both_here = [], threading.Barrier(2)

    class Counted(httpx.Client):
        def __init__(self, **options):
            made.append(self)
            with contextlib.suppress(threading.BrokenBarrierError):
                both_here.wait(0.2)
            super().__init__(**options)

    monkeypatch.setattr(httpx, "Client", Counted)
    transport, asked = answering(fine)
    with client(transport) as one:
        one.run(asking(Together([asking(Request("GET", "/a")), asking(Request("GET", "/b"))])))
    assert (len(asked), len(made)) == (2, 1)


def test_a_closed_client_may_be_used_again():
    """Closing lets connections go, no more."""
    transport, asked = answering(fine)
    one = client(transport)
    one.run(asking(Request("GET", "/a")))
    one.close()
    one.run(asking(Request("GET", "/a")))
    assert len(asked) == 2


def test_a_client_survives_a_fork():
    """A child makes connections of its own; Airflow and servers that fork rely on it."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    one = Client(f"http://127.0.0.1:{server.server_port}", TOKEN)
    assert one.run(asking(Request("GET", "/a"))).status == 200
    inherited = one._transport._clients()["inner"]
    pid = os.fork()
    if pid == 0:
        fresh = "inner" not in one._transport._clients()
        os._exit(0 if fresh and one.run(asking(Request("GET", "/a"))).status == 200 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert one._transport._clients()["inner"] is inherited
    one.close()
    server.shutdown()
    server.server_close()


def test_a_canary_is_taken_back_by_those_who_come_late_only_if_it_is_the_one_they_mean() -> None:
    """A second time, a stranger's canary and a service that is gone are told, not raised."""
    app = {"name": "svc", "applications": [{"import_path": "main:app"}]}
    with FakePlane() as plane, plane.client() as client:
        for name in ("v1", "v2"):
            client.deploy({**app, "version_name": name}, canary_percent=10)
            client.wait("svc", version=name, canary_weight=10)
        assert "no canary v9" in client.take_back("svc", version="v9")
        assert client.status("svc").canary_version is not None
        assert "its canary v2 at 10 % is taken back" in client.take_back("svc", version="v2")
        client.wait("svc")
        assert "no canary is there" in client.take_back("svc")
        assert "not there any more" in client.take_back("elsewhere")
