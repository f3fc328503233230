"""The dashboard: who may see it, what it shows and does, and that a browser shows what anyone may have written."""

from __future__ import annotations

import json
import re

import anyio
import anyio.lowlevel
import httpx
import pytest

from anyservice_core import ServiceConfig
from anyservice_core.errors import AuthError
from anyservice_core.plane import app
from anyservice_core.plane.dashboard import link, pages
from anyservice_core.plane.dashboard.board import Board, _point
from anyservice_core.plane.dashboard.history import History, Mark, Sample
from anyservice_core.plane.dashboard.sessions import CODE_S, SESSION_S, Sessions
from anyservice_core.plane.dashboard.stream import feed
from anyservice_core.testing import TOKEN, FakePlane
from tests.plane.api import apply, served
from tests.plane.chromium import CHROMIUM, Chromium

HERE = "http://127.0.0.1:8642"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def history(plane):
    return History(plane.store, plane.api.clock)


@pytest.fixture
def service_id(plane):
    """A service with a canary at 20 %."""
    with httpx.Client(transport=plane.transport, base_url=HERE, headers=BEARER) as http:
        apply(http, version="v1")
        plane.advance(20)
        answer = apply(http, version="v2", canary_percent=20, ray_serve_config=served("main:new"))
        plane.advance(20)
    return answer.json()["result"]["id"]


class Browser:
    """Asks the plane as a page of the dashboard would: with its cookies, and its key if it has one."""

    def __init__(self, plane: FakePlane, history: History, host: str = HERE) -> None:
        dashboard = pages.Dashboard(plane.api, history, ending=lambda: self.ending)
        self.application = app.application(plane.api, dashboard.routes())
        self.host, self.key, self.cookies, self.ending = host, "", httpx.Cookies(), False

    def ask(self, method: str, path: str, headers=None, **asked) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.application)
            async with httpx.AsyncClient(
                transport=transport, base_url=self.host, cookies=self.cookies
            ) as http:
                own = {"X-Anyservice-Key": self.key} if self.key else {}
                answer = await http.request(method, path, headers={**own, **(headers or {})}, **asked)
                self.cookies = http.cookies
                return answer

        return anyio.run(send)

    def log_in(self) -> httpx.Response:
        code = self.ask("POST", "/dashboard/codes", BEARER).json()["result"]["code"]
        answer = self.ask("POST", "/dashboard/session", json={"code": code})
        self.key = answer.json()["key"]
        return answer


@pytest.fixture
def browser(plane, history):
    return Browser(plane, history)


# ── who may see it ──


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/dashboard/codes"),
        ("POST", "/dashboard/session"),
        ("DELETE", "/dashboard/session"),
        ("GET", "/dashboard/feed"),
        ("POST", "/dashboard/services/x/terminate"),
    ],
)
def test_strangers_get_nothing(browser, method, path):
    """Whatever shows or changes something is a 401 without a session, the token or a code."""
    assert browser.ask(method, path, json={}).status_code == 401


@pytest.mark.parametrize(
    "path", ["/", "/login", "/services", "/services/service2_x", "/services/service2_y", "/v2/api-keys"]
)
def test_the_page_is_the_same_for_everyone(browser, path):
    """It tells nothing of what there is; only its status says whether the browser's cookie is known."""
    before = browser.ask("GET", path)
    browser.log_in()
    after = browser.ask("GET", path)
    assert (before.status_code, after.status_code, before.text) == (401, 200, after.text)


def test_neither_half_of_a_session_is_enough(browser, service_id):
    """The cookie alone, which goes to every port of this address, opens nothing, and the key alone neither."""
    browser.log_in()
    path = f"/dashboard/services/{service_id}/terminate"
    key, browser.key = browser.key, ""
    assert browser.ask("POST", path).status_code == 401
    browser.key, browser.cookies = key, httpx.Cookies()
    assert browser.ask("POST", path).status_code == 401


def test_the_cookie_is_for_this_site_and_no_script(browser):
    """HttpOnly and SameSite=Strict, for half a day, and without the token in it."""
    cookie = browser.log_in().headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Max-Age=43200"))
    assert TOKEN not in cookie


def test_a_code_is_good_once_and_not_for_long(plane):
    """The second use and a late one are refused, and so is a code of one's own."""
    sessions = Sessions(TOKEN, plane.api.clock)
    first, late = sessions.code(), sessions.code()
    sessions.log_in(code=first)
    plane.now += CODE_S + 1
    for code in (first, late, "x", ""):
        with pytest.raises(AuthError):
            sessions.log_in(code=code)


def test_a_session_outlives_the_plane_and_ends(plane):
    """Another plane with the same token knows it; after half a day none does; one with another token never."""
    sessions = Sessions(TOKEN, plane.api.clock)
    made = sessions.log_in(token=TOKEN)
    headers = {"cookie": f"{sessions.cookie_name}={made.cookie}", "x-anyservice-key": made.key}
    Sessions(TOKEN, plane.api.clock).admit(headers)
    with pytest.raises(AuthError):
        Sessions("aph0_other", plane.api.clock).admit(headers)
    plane.now += SESSION_S + 1
    with pytest.raises(AuthError):
        sessions.admit(headers)


@pytest.mark.parametrize("forged", ["x", "9999999999.x.y", "9999999999.x.", "=;", '"', "é"])
def test_forged_cookies_are_refused(plane, forged):
    """Whatever their form."""
    sessions = Sessions(TOKEN, plane.api.clock)
    with pytest.raises(AuthError):
        sessions.admit({"cookie": f"{sessions.cookie_name}={forged}", "x-anyservice-key": ""})


@pytest.mark.parametrize(
    "host", ["http://rebound.example", "http://127.0.0.1.evil.example:8642", "http://plane.test"]
)
def test_another_name_has_no_dashboard(plane, history, host):
    """A name that was made to mean this machine leads to the API alone, which wants its token."""
    stranger = Browser(plane, history, host)
    for path in ("/", "/dashboard/static/dashboard.js", "/dashboard/feed"):
        assert stranger.ask("GET", path).headers["content-type"] == "application/json"
        assert stranger.ask("GET", path).status_code == 401


@pytest.mark.parametrize("path", ["/", "/services/x", "/dashboard/static/dashboard.js", "/dashboard/feed"])
def test_every_answer_is_strict(browser, path):
    """Scripts and styles come from here alone, nobody frames it, nothing is kept."""
    headers = browser.ask("GET", path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize("name", ["..%2fpages.py", "%2e%2e/pages.py", "index.html", "x.js"])
def test_no_other_file_is_given_out(browser, name):
    """Only the files that the page names."""
    assert browser.ask("GET", f"/dashboard/static/{name}").status_code in {401, 404}


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"content": b'{"code": "x"}', "headers": {"content-type": "text/plain"}}, 415),
        ({"json": {"code": 1}}, 422),
        ({"json": {"token": "aph0_wrong"}}, 401),
        ({"json": {"token": "x" * 5000}}, 413),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
    ],
)
def test_logins_of_another_shape_are_refused(browser, asked, status):
    """Other sites' forms, wrong types and sizes."""
    assert browser.ask("POST", "/dashboard/session", **asked).status_code == status


# ── what it does ──


def test_a_canary_is_rolled_back_and_a_service_ended(browser, plane, service_id):
    """By the API's own rules: what cannot be done is refused with its words."""
    browser.log_in()
    path = f"/dashboard/services/{service_id}"
    assert browser.ask("POST", f"{path}/rollback").status_code == 204
    plane.advance(60)
    refused = browser.ask("POST", f"{path}/rollback")
    assert (refused.status_code, "RUNNING" in refused.text) == (409, True)
    assert browser.ask("POST", f"{path}/terminate").status_code == 204
    plane.advance(60)
    assert plane.api.find(service_id).state == "TERMINATED"
    assert browser.ask("POST", f"{path}/delete").status_code == 404


# ── what it shows ──


def test_the_board_tells_rates_and_weights_and_no_secret(plane, history, service_id):
    """Each version with its share and what it was asked and failed lately; tokens and requests are left out."""
    plane.send_traffic(100, errors={"v2": 0.5})
    for _ in range(10):
        plane.advance(2)
        history.look()
    shown = Board(plane.api, history).service(service_id)
    one, two = shown["versions"]
    assert (one["role"], one["weight"], two["role"], two["weight"]) == ("primary", 80, "canary", 20)
    assert one["rps"] == pytest.approx(80, rel=0.2)
    assert two["error_rps"] == pytest.approx(10, rel=0.3)
    assert shown["can"] == {"rollback": True, "terminate": True}
    weight, rps, error_rps, slow_ms = shown["history"][-1]["versions"][two["id"]]
    assert (weight, slow_ms) == (20, None)
    assert (rps, error_rps) == (pytest.approx(20, rel=0.3), pytest.approx(10, rel=0.5))
    text = json.dumps(shown)
    assert plane.api.find(service_id).auth_token not in text
    assert "import_path" not in text


def test_a_moment_tells_how_long_answers_took_since_the_one_before():
    """Of the answers that came in between, 95 % began within so many milliseconds; none came: nothing is told."""
    took = {"le_10": 90, "le_50": 100, "count": 100}
    before = Sample(0.0, {"v": Mark("v1", 100, 1000, 0, {"le_10": 1000, "le_50": 1000, "count": 1000})})
    marks = {"v": Mark("v1", 100, 1100, 5, {key: 1000 + n for key, n in took.items()})}
    assert _point(before, Sample(10.0, marks))["versions"]["v"] == [100, 10.0, 0.5, 50]
    assert _point(Sample(0.0, marks), Sample(10.0, marks))["versions"]["v"] == [100, 0.0, 0.0, None]


def test_what_needs_a_look_is_never_cut_off(plane, history):
    """The sick come first and those that ended last, whatever they are called."""
    with plane.client() as client:
        for name in ("a-ended", "b-runs", "c-sick"):
            client.deploy(ServiceConfig(name=name, version_name=name, applications=[{"import_path": "m:a"}]))
        client.terminate("a-ended")
        plane.advance(20)
        plane.sicken("c-sick")
        plane.advance(20)
    shown = Board(plane.api, history).list()["services"]
    assert [one["name"] for one in shown] == ["c-sick", "b-runs", "a-ended"]


def test_idle_services_cost_two_samples(plane, history, service_id):
    """While nothing changes only the ends are kept, and a quarter of an hour after its end a service is forgotten."""
    for _ in range(50):
        plane.now += 2
        history.look()
    assert len(history.of(service_id)) == 2
    plane.store.delete(service_id)
    plane.now += 1000
    history.look()
    assert history.of(service_id) == []


def collect(events, count: int | None = None) -> list[str]:
    async def run() -> list[str]:
        found = []
        async for event in events:
            found.append(event)
            if len(found) == count:
                break
        return found

    return anyio.run(run)


async def no_time(_: float) -> None:
    await anyio.lowlevel.checkpoint()


def test_the_feed_tells_only_what_is_new_and_ends_with_the_plane():
    """The state when it is another, a sign of life in between, and the end as soon as the plane stops."""
    states = iter([{"n": 1}] * 20 + [{"n": 2}] * 3)
    left = 23

    def read():
        nonlocal left
        left -= 1
        return next(states)

    events = collect(feed(read, lambda: left == 0, no_time))
    assert events == ['data: {"n":1}\n\n', ": still here\n\n", 'data: {"n":2}\n\n']


def test_the_feed_of_a_deleted_service_ends(plane, history, service_id):
    """It says so, and does not fail."""

    async def delete(_: float) -> None:
        plane.store.delete(service_id)

    board = Board(plane.api, history)
    events = collect(feed(lambda: board.service(service_id), lambda: False, delete))
    assert events[1] == "event: gone\ndata: {}\n\n"


def test_the_feed_is_one_of_server_sent_events(browser, service_id):
    """Over HTTP, for who is logged in; an unknown service is a 404."""
    browser.log_in()
    browser.ending = True  # or it would not end
    answer = browser.ask("GET", f"/dashboard/feed?service={service_id}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert browser.ask("GET", "/dashboard/feed?service=x").status_code == 404


# ── how it is written ──


def static(name: str) -> str:
    return (pages._STATIC / name).read_text()


def test_no_markup_is_made_from_text():
    """Nothing in the scripts turns text into elements, and the page has neither script nor style of its own."""
    scripts = "".join(static(name) for name in pages._FILES if name.endswith(".js"))
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\bstyle[:=]", scripts
    )
    assert not re.search(r"<style|style=|onclick|<script(?! type=\"module\" src=)", static("index.html"))
    assert "http" not in re.sub(r'"http://www.w3.org/2000/svg"', "", scripts)


def luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    digits = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_text_can_be_read_in_light_and_dark(theme):
    """AA: 4.5 to 1 for text on the page and on cards, 3 to 1 for what is drawn."""
    block = re.findall(r":root \{(.*?)\}", static("dashboard.css"), re.DOTALL)[theme]
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", block))
    for ground in ("page", "card"):
        for ink in ("ink", "faint", "link", "good", "bad", "busy", "ended"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert contrast(colours["on-danger"], colours["danger"]) >= 4.5
    for number in range(4):
        assert contrast(colours[f"look-{number}"], colours["card"]) >= 3


# ── for real ──


@pytest.mark.real
@pytest.mark.timeout(120)
@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium")
def test_a_browser_shows_names_as_they_are(make_plane, tmp_path):
    """Through the link that the plane gives: a real page of a real service, whose version is named like markup."""
    plane = make_plane("process")
    with plane.client() as client:
        client.deploy(plane.config(tmp_path, "v1", named='<img src=x onerror="document.title=1">'))
        client.wait("svc", poll_interval_s=0.2)
        url = link.login_link(plane.record).replace("/login", f"/services/{client.status('svc').id}")
    with Chromium(tmp_path / "chromium") as browser:
        browser.open(url)
        browser.until("!!document.getElementById('terminate') && document.body.innerText.includes('Events')")
        page, title = browser.js("document.documentElement.outerHTML"), browser.js("document.title")
    assert "<h1><bdi>svc</bdi></h1>" in page
    assert "&lt;img src=x onerror=" in page
    assert "<img" not in page
    assert title == "svc · anyservice"
    assert 'id="terminate"' in page
