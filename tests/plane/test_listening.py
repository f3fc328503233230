"""The plane listens on this machine alone, unless it is told so, and then with TLS or by an explicit word."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import json
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from anyservice_core.errors import PlaneError
from anyservice_core.plane import daemon
from anyservice_core.plane.app import application
from anyservice_core.plane.daemon import PlaneSettings
from anyservice_core.plane.listening import LOOPBACK, Door, beyond, listener, open_beside, quiet
from anyservice_core.plane.router import Beyond, Route, Router, Server
from anyservice_core.testing import TOKEN, FakePlane
from tests.plane.api import Caller, body


@pytest.fixture(scope="module")
def pem(tmp_path_factory) -> dict[str, str]:
    """A certificate for this machine and its key, in two files and in one, and another key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("pem")
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "plane")])
    names = [x509.IPAddress(ipaddress.ip_address(address)) for address in (LOOPBACK, "127.0.0.2")]
    now = dt.datetime.now(dt.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    parts = {
        "cert": cert.public_bytes(serialization.Encoding.PEM),
        "key": key.private_bytes(*private),
        "other": other.private_bytes(*private),
        "nonsense": b"x",
    }
    parts["both"] = parts["cert"] + parts["key"]
    for part, content in parts.items():
        (folder / part).write_bytes(content)
    return {part: str(folder / part) for part in parts}


def port_of(door: Door) -> int:
    with listener(door.address, 0) as probe:
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("door", "why"),
    [
        (Door("192.0.2.2"), "--plaintext"),
        (Door("192.0.2.2", tls_key="k"), "--tls-cert"),
        (Door("0.0.0.0", plaintext=True), "every address"),
        (Door("::", plaintext=True), "every address"),
        (Door("127.0.0.1", plaintext=True), "this machine"),
        (Door("::1", plaintext=True), "this machine"),
        (Door("example.org", plaintext=True), "no address"),
        (Door("", plaintext=True), "no address"),
        (Door("192.0.2.2", tls_cert="/nothing"), "/nothing"),
    ],
)
def test_a_door_that_may_not_be_opened_is_refused(door, why):
    """Beyond this machine there is TLS, or a word that something else is there; and one address, by its number."""
    with pytest.raises(PlaneError, match=why):
        door.check()


@pytest.mark.parametrize(("cert", "key"), [("cert", "other"), ("cert", None), ("nonsense", "key")])
def test_a_certificate_that_does_not_fit_is_refused(pem, cert, key):
    """Before anything listens, by the names of the files."""
    with pytest.raises(PlaneError, match=pem[cert]):
        Door("192.0.2.2", pem[cert], key and pem[key]).check()


@pytest.mark.parametrize(
    "door", [Door("192.0.2.2", plaintext=True), Door("2001:db8::1", plaintext=True)], ids=["short", "long"]
)
def test_a_word_is_enough(door):
    """With it, a plain door is opened."""
    door.check()
    assert door.url(8642) in {"http://192.0.2.2:8642", "http://[2001:db8::1]:8642"}


@pytest.mark.parametrize(("cert", "key"), [("cert", "key"), ("both", None)])
def test_a_door_with_a_certificate_speaks_tls_alone(pem, cert, key):
    """The same API, behind the same token; what is not TLS is not answered."""
    Door("192.0.2.2", pem[cert], key and pem[key]).check()
    door = Door(LOOPBACK, pem[cert], key and pem[key])
    trust = ssl.create_default_context(cafile=pem["cert"])
    with FakePlane() as plane:
        port = port_of(door)
        patient = httpx.HTTPTransport(verify=trust, retries=8)  # it is opened in a thread
        with open_beside(application(plane.api), door, port), httpx.Client(transport=patient) as far:
            assert far.get(f"{door.url(port)}/api/v2/userinfo/").status_code == 401
            headers = {"Authorization": f"Bearer {TOKEN}"}
            assert far.get(f"{door.url(port)}/api/v2/userinfo/", headers=headers).status_code == 200
            with pytest.raises(httpx.HTTPError):
                far.get(f"http://{LOOPBACK}:{port}/healthz")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://{LOOPBACK}:{port}/healthz", trust_env=False)


def test_services_are_shown_where_those_find_them_who_ask(pem):
    """At the name by which the plane was found from elsewhere, and at home on 127.0.0.1."""
    with FakePlane() as plane:
        near = Caller(plane, Authorization=f"Bearer {TOKEN}")
        far = Caller(plane, beyond=True, Authorization=f"Bearer {TOKEN}", Host="plane.example.org:8642")
        service = near.put("/api/v2/services-v2/apply", json=body()).json()["result"]
        assert (service["base_url"], service["hostname"]) == ("http://127.0.0.1:8700", "127.0.0.1:8700")
        for shown in (
            far.get(f"/api/v2/services-v2/{service['id']}").json()["result"],
            far.get("/api/v2/services-v2/").json()["results"][0],
        ):
            assert shown == {
                **service,
                "base_url": "http://plane.example.org:8700",
                "hostname": "plane.example.org:8700",
            }
        assert far.get("/api/v2/userinfo/").status_code == 200
        assert far.get("/api/v2/nothing").status_code == 404


def test_what_haproxy_reads_is_private_and_leaves_with_the_door(pem, tmp_path):
    """Named by its content, so that another certificate is taken up; nothing of it stays when the door is closed."""
    folder = tmp_path / "router"
    one = beyond(Door("192.0.2.2", pem["cert"], pem["key"]), folder)
    again = beyond(Door("192.0.2.2", pem["both"]), folder)
    (path,) = folder.iterdir()
    assert (path.name, path.stat().st_mode & 0o777) == (again.pem, 0o600)
    assert one.pem != again.pem  # the same but for a line end
    assert beyond(Door("192.0.2.2", plaintext=True), folder) == Beyond("192.0.2.2")
    assert beyond(None, folder) is None
    assert list(folder.iterdir()) == []


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def version() -> Iterator[Server]:
    """A version that answers."""
    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Hello)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield Server("ver_one", server.server_address, 100)
    server.shutdown()
    server.server_close()


@pytest.mark.real
def test_services_are_reached_beyond_by_tls_alone(pem, tmp_path, version):
    """HAProxy answers at the further address with the certificate, by the same token, and at home as ever."""
    run_dir = Path(tempfile.mkdtemp(prefix="asv-", dir="/tmp"))
    door = Door("127.0.0.2", pem["cert"], pem["key"])
    port, token = port_of(door), {"Authorization": "Bearer tok"}
    route = Route("svc", port, "tok", {"a": version, "b": None}, beyond=beyond(door, tmp_path / "router"))
    router = Router(tmp_path, run_dir)
    trust = ssl.create_default_context(cafile=pem["cert"])
    try:
        router.apply([route])
        with httpx.Client(verify=trust, trust_env=False) as far:
            assert far.get(f"https://127.0.0.2:{port}/", headers=token).text == "hi"
            assert far.get(f"https://127.0.0.2:{port}/").status_code == 401
            assert far.get(f"http://{LOOPBACK}:{port}/", headers=token).text == "hi"
            with pytest.raises(httpx.HTTPError):
                far.get(f"http://127.0.0.2:{port}/", headers=token).raise_for_status()
        router.apply([replace(route, beyond=None)])
        with httpx.Client(verify=trust, trust_env=False) as far:
            assert far.get(f"http://{LOOPBACK}:{port}/", headers=token).text == "hi"
            with pytest.raises(httpx.ConnectError):
                far.get(f"https://127.0.0.2:{port}/", headers=token)
    finally:
        router.stop()
        shutil.rmtree(run_dir)


def test_nobody_says_where_a_request_comes_from_but_the_server():
    """Headers of proxies are not believed: who would be counted by address could choose one each time."""
    assert quiet()["proxy_headers"] is False


def test_settings_survive_the_way_into_the_background(monkeypatch):
    """A detached plane is given its settings as text."""
    seen = []
    monkeypatch.setattr(daemon, "serve", seen.append)
    door = {"address": "192.0.2.2", "tls_cert": "/c", "tls_key": None, "plaintext": False}
    monkeypatch.setattr(sys, "argv", ["plane", json.dumps({"state_dir": "/s", "port": 1, "listen": door})])
    daemon.main()
    assert seen == [PlaneSettings(Path("/s"), port=1, listen=Door("192.0.2.2", "/c"))]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--tls-cert", __file__], "--listen"),
        (["--plaintext"], "--listen"),
        (["--listen", "192.0.2.2"], "--plaintext"),
    ],
)
def test_the_command_line_says_what_is_missing(tmp_path, words, why):
    """Before a plane is started, in a sentence."""
    command = [sys.executable, "-c", "from anyservice_core.cli import main; main()", "plane", "up", *words]
    environment = {"ANYSERVICE_STATE_DIR": str(tmp_path / "state"), "PATH": "/usr/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode != 0, why in done.stderr) == (True, True)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "state").exists()
