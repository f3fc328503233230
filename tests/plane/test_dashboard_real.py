"""The dashboard in a real Chromium: with the keyboard, on a phone, in the dark, and while the plane is away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import uvicorn

from anyservice_core import ServiceConfig
from anyservice_core.plane import app
from anyservice_core.plane.dashboard import link, pages
from anyservice_core.plane.dashboard.history import History
from anyservice_core.testing import TOKEN, FakePlane
from tests.plane.chromium import CHROMIUM, Chromium

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(180),
    pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium"),
]

LONG = "a-name-" + "so-long-" * 14
APPS = [{"import_path": "main:app"}]


@dataclass
class Site:
    """A plane of paper behind a real address."""

    plane: FakePlane
    history: History
    port: int = 0
    servers: list[tuple[uvicorn.Server, threading.Thread]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        ending = threading.Event()
        dashboard = pages.Dashboard(self.plane.api, self.history, ending=ending.is_set)
        config = uvicorn.Config(app.application(self.plane.api, dashboard.routes()), log_level="error")
        server = uvicorn.Server(config)
        server.ending = ending  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        self.servers.append((server, thread))

    def down(self) -> None:
        while self.servers:
            server, thread = self.servers.pop()
            server.ending.set()  # type: ignore[attr-defined]
            server.should_exit = True
            thread.join(30)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 2)):
            self.plane.advance(2)
            self.history.look()

    def link(self) -> str:
        return link.login_link({"host": self.host, "token": TOKEN})

    def id(self, name: str) -> str:
        return self.plane.service(name).id


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Sixty services and one with a long name; one is sick, two are in mid-rollout."""
    with FakePlane() as plane:
        site = Site(plane, History(plane.store, plane.api.clock))
        with plane.client() as client:
            for name in [*(f"svc-{number:02}" for number in range(60)), LONG]:
                tags = {"team": "odd" if name[-1] in "13579" else "even"}
                version = "sick" if name == "svc-13" else "v1"
                client.deploy(ServiceConfig(name=name, version_name=version, applications=APPS, tags=tags))
            plane.advance(20)
            for name in ("svc-07", "svc-08"):
                two = ServiceConfig(name=name, version_name="v2", applications=[{"import_path": "main:new"}])
                client.deploy(two, canary_percent=20)
        plane.sicken("sick")
        plane.send_traffic(50, errors={"v2": 0.1})
        site.pass_time(20)
        site.up()
        yield site
        site.down()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as chromium:
        yield chromium


@pytest.fixture
def browser(chromium, site) -> Iterator[Chromium]:
    """Logged in by the link, on the first page, and without a complaint at the end."""
    chromium.complaints.clear()
    chromium.screen(1200)
    chromium.open(site.link())
    chromium.until("document.querySelectorAll('article').length > 1")
    yield chromium
    assert chromium.complaints == []


def test_many_services_are_sorted_and_filtered(browser):
    """What needs a look is first; words typed leave those that have them all; nothing is wider than the page."""
    titles = browser.js(
        "[...document.querySelectorAll('.services h2')].map(h => h.textContent.split(' (')[0])"
    )
    assert titles == ["Needs a look", "On the move", "Running"]
    browser.js("document.getElementById('wanted').focus()")
    browser.type("odd svc-1")
    browser.until("document.querySelectorAll('article').length === 5")
    assert browser.js("document.activeElement.id") == "wanted"
    browser.type(" nowhere")
    browser.until("document.getElementById('services').innerText.includes('None of them')")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/services/svc-07", "/services/" + LONG, "/v2/api-keys"])
def test_a_phone_shows_every_page_within_its_width(browser, site, path, dark):
    """390 pixels are enough, and the colours are those that the system is set to."""
    name = path.removeprefix("/services/")
    browser.screen(390, dark=dark)
    browser.open(site.host + (f"/services/{site.id(name)}" if name != path else path))
    browser.until("!!document.querySelector('h1') && document.body.innerText.length > 60")
    assert browser.js("document.documentElement.scrollWidth") == 390
    page = browser.js("getComputedStyle(document.body).backgroundColor")
    assert page == ("rgb(16, 19, 23)" if dark else "rgb(246, 247, 249)")


def test_pictures_tell_what_is_under_the_pointer(browser, site):
    """Four pictures with a name each; pointing at one tells that moment of every version."""
    browser.open(f"{site.host}/services/{site.id('svc-07')}")
    browser.until("document.querySelectorAll('.plot').length === 4")
    labels = browser.js("[...document.querySelectorAll('.plot')].map(p => p.getAttribute('aria-label'))")
    assert labels[0].startswith("Weights, over time; now v1 80 %, v2 20 %")
    x, y = browser.js(
        "(b => [b.x + b.width * .8, b.y + b.height / 2])(document.querySelector('.plot').getBoundingClientRect())"
    )
    browser.point(x, y)
    told = browser.until("document.querySelector('.readout').textContent")
    assert "v1 80 %" in told
    assert "v2 20 %" in told


def test_the_keyboard_is_enough_to_roll_back(browser, site):
    """The dialog begins at what changes nothing, Escape leaves it, and the page shows by itself what was done."""
    browser.open(f"{site.host}/services/{site.id('svc-08')}")
    browser.until("!!document.getElementById('rollback')")
    seen = []
    while "rollback" not in seen:
        browser.press("Tab")
        seen.append(browser.js("document.activeElement.id"))
        assert len(seen) < 10, seen
    browser.press("Enter")
    assert browser.until("document.getElementById('ask').open && document.activeElement.id") == "ask-no"
    browser.press("Escape")
    browser.until("!document.getElementById('ask').open")
    assert browser.js("document.activeElement.id") == "rollback"
    browser.press("Enter")
    browser.press("Tab")
    browser.press("Enter")
    browser.until("!document.getElementById('ask').open")
    site.pass_time(20)
    browser.until("document.querySelector('.state').textContent.includes('RUNNING')")
    assert browser.js("document.getElementById('said').textContent") == "svc-08 is RUNNING"
    assert browser.js("document.getElementById('rollback')") is None


def test_the_token_is_nowhere(browser, site):
    """Neither on a page nor in what the browser keeps of it, and a code that was used is no longer in the address."""
    browser.open(f"{site.host}/services/{site.id('svc-01')}")
    browser.until("!!document.getElementById('terminate')")
    secrets = [TOKEN, site.plane.service("svc-01").auth_token]
    for place in (
        "document.documentElement.outerHTML",
        "JSON.stringify(localStorage)",
        "document.cookie",
        "location.href",
    ):
        text = browser.js(place)
        assert not [secret for secret in secrets if secret in text], place
    assert "#" not in browser.js("location.href")


def test_a_plane_that_comes_back_is_found_again(browser, site):
    """While it is away the page says so and keeps what it knew; afterwards it goes on, without another login."""
    browser.until("document.body.dataset.link === 'live'")
    site.down()
    browser.until("document.body.dataset.link === 'lost'")
    assert browser.js("document.querySelectorAll('article').length") == 61
    site.up()
    browser.until("document.body.dataset.link === 'live'")
