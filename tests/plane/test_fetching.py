"""Zips from https addresses: fetched once a version, kept by content, and nothing that is not one."""

from __future__ import annotations

import io
import shutil
import ssl
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
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
        if what == "damaged":
            return self.say(200, zipped("x" * 100).replace(b"xxx", b"xyx", 1))
        if what == "half":
            return self.say(200, self.server.content[:-30])
        if what in {"endless", "cut", "drip", "slow-head"}:
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
        if what == "slow-head":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        else:
            self.send_response(200)
        if what == "cut":
            self.send_header("Content-Length", "1000")
        if what != "slow-head":
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


async def at_once(_: float) -> None:
    """Wait for nothing between tries."""


def short(bundles: Bundles) -> Fetcher:
    return Fetcher(bundles, budget_s=5, most_bytes=2**20, pause=at_once)


def test_it_is_sent_once_while_it_is_the_same(site, fetcher, bundles):
    """The second time the address only says that nothing changed; another content is another bundle."""
    url = f"{site.url}/app.zip"
    first, again = fetcher.fetch_all({url: "f"})[url], fetcher.fetch_all({url: "f"})[url]
    assert first == again
    assert "if-none-match" in {name.lower() for name in site.asked[1][1]}
    site.content = zipped("app = 2")
    other = fetcher.fetch_all({url: "f"})[url]
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
        ("half", (RejectedError, "is not a zip")),
        ("damaged", (RejectedError, "entry 'app/main.py' is damaged")),
        ("cut", (UnavailableError, "it broke off")),
    ],
)
def test_what_cannot_be_taken_is_told_without_secrets(site, bundles, caplog, path, expected):
    """Each says why, none shows what the address carries, and nothing is left behind."""
    caplog.set_level("DEBUG", logger="httpx")
    url = f"{site.url.replace('//', '//user:hush@')}/{path}?sig=hush"
    with pytest.raises(expected[0], match=expected[1]) as caught:
        short(bundles).fetch_all({url: "working_dir"})
    assert "hush" not in str(caught.value) + caplog.text
    assert not [*bundles._zips.iterdir()]


@pytest.mark.parametrize("path", ["drip", "slow-head"])
def test_a_drip_ends_in_time(site, bundles, path):
    """An address that is never done is given up, however busy it looks, be it with its zip or with what goes before."""
    with pytest.raises(UnavailableError, match="within 0.3 s") as caught:
        Fetcher(bundles, budget_s=0.3).fetch_all({f"{site.url}/{path}": "f"})
    assert caught.value.retry_after_s
    assert not [*bundles._zips.iterdir()]


@pytest.mark.parametrize("path", ["busy", "moved"])
def test_it_gets_there_in_the_end(site, fetcher, path):
    """An address that is busy is asked again, and one that moved is followed."""
    (uri,) = fetcher.fetch_all({f"{site.url}/{path}": "f"}).values()
    assert uri.startswith("anyservice://bundles/fetched-")


def test_a_stranger_s_certificate_is_refused(site, fetcher, monkeypatch):
    """TLS is verified."""
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(RejectedError, match="does not trust: .*self.signed"):
        fetcher.fetch_all({f"{site.url}/app.zip": "f"})


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


def test_a_new_version_and_an_update_in_place_take_what_is_served_now(site, plane, http):
    """Each is a deploy of its own, even if it looks the same; a module is fetched as a working directory is."""
    url = f"{site.url}/app.zip"
    serve = served(url)
    serve["applications"][0]["runtime_env"]["py_modules"] = [url]
    apply(http, version="v1", ray_serve_config=serve)
    plane.advance(10)
    seen = []
    for number, asked in enumerate(({"rollout_strategy": "IN_PLACE"}, {"version": "v2"})):
        site.content = zipped(f"app = {number}")
        assert apply(http, **{"version": "v1", "ray_serve_config": serve, **asked}).status_code == 200
        plane.advance(60)
        service = plane.service("svc")
        seen.append((service.canary or service.primary).wanted["fetched"][url])
        environment = [*plane.engine.specs.values()][-1].applications[0]["runtime_env"]
        for folder in (environment["working_dir"], *environment["py_modules"]):
            assert (Path(folder) / "main.py").read_text() == f"app = {number}"
    assert len({*seen}) == 2


def test_a_service_that_ended_starts_again_from_what_it_had(site, plane, http):
    """Nobody is asked for it, and collecting leaves it alone meanwhile."""
    apply(http, ray_serve_config=served(f"{site.url}/app.zip"))
    plane.advance(10)
    path = f"/api/v2/services-v2/{plane.service('svc').id}"
    http.post(f"{path}/terminate")
    plane.advance(4000)
    site.content = b"nothing"
    assert http.post(f"{path}/restart").status_code == 200
    plane.advance(10)
    environment = [*plane.engine.specs.values()][-1].applications[0]["runtime_env"]
    assert (Path(environment["working_dir"]) / "main.py").read_text() == "app = 1"
    assert len(site.asked) == 1
    assert http.get(path).json()["result"]["current_state"] == "RUNNING"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://user:hush@x.test/a.zip?k=hush", "http:// may be changed"),
        ("s3://bucket/a.zip", "sign one"),
        ("https:///a.zip", "no address that can be fetched"),
        ("https://user:hush@x.test:999999/a.zip", "no address that can be fetched"),
        ("https://[x/a.zip", "no address that can be fetched"),
    ],
)
def test_other_addresses_are_refused_with_the_way_out(http, url, why):
    """Before anything is written, by the field that names them."""
    answer = apply(http, ray_serve_config=served(url))
    assert (answer.status_code, why in answer.text, "hush" in answer.text) == (422, True, False), answer.text
    assert "applications[0].runtime_env.working_dir" in answer.text
    assert http.get("/api/v2/services-v2").json()["results"] == []


@pytest.mark.real
@pytest.mark.timeout(400)
@pytest.mark.parametrize("engine", ["process", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_real_version_runs_the_same_code_when_its_site_is_gone(site, make_plane, tmp_path, engine):
    """The next version takes what the address serves by then; neither needs it to start again after a death."""
    plane = make_plane(engine)

    def deploy(version: str) -> str:
        site.content = packed(Path(plane.config(tmp_path, version).working_dir))
        config = {"name": "svc", "version_name": version, "working_dir": f"{site.url}/app.zip"}
        client.deploy({**config, "applications": [{"import_path": "main:app"}]})
        return answer(client.wait("svc", version=version, timeout_s=150, poll_interval_s=0.2))

    with plane.client() as client:
        assert [deploy("v1"), deploy("v2")] == ["v1", "v2"]
    site.content = b"nothing"
    plane.down()
    asked = len(site.asked)
    plane.up()
    with plane.client() as client:
        assert answer(client.wait("svc", timeout_s=150, poll_interval_s=0.2)) == "v2"
    assert len(site.asked) == asked


def packed(folder: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"{folder.name}/{path.name}")
    return out.getvalue()


def answer(status) -> str:
    headers = {"Authorization": f"Bearer {status.query_auth_token}"}
    return httpx.get(status.query_url, headers=headers, trust_env=False, timeout=30).text
