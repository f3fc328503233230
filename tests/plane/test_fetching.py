"""Zips from https addresses: fetched once a version, kept by content, and nothing that is not one."""

from __future__ import annotations

import io
import shutil
import ssl
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from anyservice_core.errors import RejectedError, UnavailableError
from anyservice_core.plane.bundles import Bundles
from anyservice_core.plane.fetching import Fetcher
from tests.plane.api import apply
from tests.plane.test_bundles import served


def zipped(text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("app/main.py", text)
    return out.getvalue()


class Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        what = self.path.partition("?")[0].strip("/")
        if what == "busy" and len(self.server.asked) > 1:
            what = "app.zip"
        if what == "app.zip":
            tag = f'"{hash(self.server.content)}"'
            same = self.headers.get("if-none-match") == tag
            return self.say(304 if same else 200, b"" if same else self.server.content, etag=tag)
        if what == "loop":
            return self.say(302, location="/loop")
        if what == "moved":
            return self.say(302, location="/app.zip")
        if what == "plain":
            return self.say(302, location="http://127.0.0.1:1/app.zip?secret=1")
        if what == "text":
            return self.say(200, b"no zip")
        if what in {"endless", "cut", "drip"}:
            return self.pour(what)
        return self.say(503 if what == "busy" else 404)

    def say(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def pour(self, what):
        self.close_connection = True
        self.send_response(200)
        if what == "cut":
            self.send_header("Content-Length", "1000")
        self.end_headers()
        if what == "cut":
            self.wfile.write(b"PK")
            return
        size, pause = (65536, 0) if what == "endless" else (1, 0.02)
        while not self.server.over.wait(pause):
            try:
                self.wfile.write(b"x" * size)
            except OSError:
                return

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", *kind, *files, *name], check=True, capture_output=True)
    return folder


@pytest.fixture
def site(certificate, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "ca.pem", certificate / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None
    server.asked, server.over, server.content = [], threading.Event(), zipped("app = 1")
    server.url = f"https://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "ca.pem"))
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def bundles(tmp_path) -> Bundles:
    return Bundles(tmp_path, key="key")


@pytest.fixture
def fetcher(bundles) -> Fetcher:
    return short(bundles)


def short(bundles: Bundles) -> Fetcher:
    return Fetcher(bundles, budget_s=5, most_bytes=2**20, pause=lambda _: None)


def test_it_is_sent_once_while_it_is_the_same(site, fetcher, bundles):
    """The second time the address only says that nothing changed; another content is another bundle."""
    url = f"{site.url}/app.zip"
    first, again = fetcher.fetch(url, field="f"), fetcher.fetch(url, field="f")
    assert first == again
    assert "if-none-match" in {name.lower() for name in site.asked[1][1]}
    site.content = zipped("app = 2")
    other = fetcher.fetch(url, field="f")
    assert other != first
    texts = [(bundles.directory(uri) / "main.py").read_text() for uri in (first, other)]
    assert texts == ["app = 1", "app = 2"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("nothing", (RejectedError, "answered 404")),
        ("text", (RejectedError, "is not a zip")),
        ("loop", (RejectedError, "redirects more than 5")),
        ("plain", (RejectedError, "redirects to http://")),
        ("endless", (RejectedError, "larger than 1 MiB")),
        ("cut", (UnavailableError, "RemoteProtocolError")),
    ],
)
def test_what_cannot_be_taken_is_told_without_secrets(site, bundles, caplog, path, expected):
    """Each says why, none shows what the address carries, and nothing is left behind."""
    caplog.set_level("DEBUG", logger="httpx")
    url = f"{site.url.replace('//', '//user:hush@')}/{path}?sig=hush"
    with pytest.raises(expected[0], match=expected[1]) as caught:
        short(bundles).fetch(url, field="working_dir")
    assert "hush" not in str(caught.value) + caplog.text
    assert not [*bundles._zips.iterdir()]


def test_a_drip_ends_in_time(site, bundles):
    """An address that is never done is given up, however busy it looks."""
    with pytest.raises(UnavailableError, match="within 0.1 s"):
        Fetcher(bundles, budget_s=0.1).fetch(f"{site.url}/drip", field="f")


@pytest.mark.parametrize("path", ["busy", "moved"])
def test_it_gets_there_in_the_end(site, fetcher, path):
    """An address that is busy is asked again, and one that moved is followed."""
    assert fetcher.fetch(f"{site.url}/{path}", field="f").startswith("anyservice://bundles/fetched-")


def test_a_stranger_s_certificate_is_refused(site, fetcher, monkeypatch):
    """TLS is verified."""
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(UnavailableError, match="ConnectError"):
        fetcher.fetch(f"{site.url}/app.zip", field="f")


def test_a_version_keeps_what_it_got(site, plane, http):
    """Its address is shown, and whatever that serves later, the same version's deploy fetches nothing anew."""
    url = f"{site.url}/app.zip"
    serve = served(url)
    answer = apply(http, version="v1", ray_serve_config=serve)
    assert answer.status_code == 200, answer.text
    shown = answer.json()["result"]["primary_version"]["ray_serve_config"]["applications"][0]
    assert shown["runtime_env"]["working_dir"] == url
    site.content = zipped("app = 2")
    assert apply(http, version="v1", ray_serve_config=serve).status_code == 200
    assert len(site.asked) == 1
    (service,) = plane.store.services()
    assert [*service.primary.spec["fetched"]] == [url]
    assert plane.bundles.collect({*service.primary.spec["fetched"].values()}, keep_s=-1) == []


def test_a_deploy_of_what_is_not_there_is_refused(site, http):
    """The deploy says so itself, and no service is made."""
    answer = apply(http, ray_serve_config=served(f"{site.url}/nothing"))
    assert (answer.status_code, "answered 404" in answer.text) == (422, True)
