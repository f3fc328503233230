from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from anyservice_core import settings
from anyservice_core.errors import ConfigError
from anyservice_core.settings import DEFAULT_HOST, PlaneRecord, Workspace, resolve, state_dir

HERE = "http://127.0.0.1:8700"


@pytest.fixture
def home(tmp_path):
    """An environment with nothing in it."""
    return {"HOME": str(tmp_path)}


@pytest.fixture
def plane(home, tmp_path):
    """A plane that is up; `pid` may be changed."""

    def write(pid: int = os.getpid(), **fields):
        folder = state_dir(home)
        folder.mkdir(parents=True, exist_ok=True)
        content = {"host": HERE, "token": "aph0_plane", "pid": pid, **fields}
        (folder / "plane.json").write_text(json.dumps(content))

    return write


@pytest.fixture
def credentials(tmp_path):
    def write(text: str = '{"cli_token": "sss_filed"}'):
        folder = tmp_path / ".anyscale"
        folder.mkdir(exist_ok=True)
        (folder / "credentials.json").write_text(text)

    return write


def seen(env, *args, **kwargs):
    found = resolve(*args, environ=env, **kwargs)
    return found.host, found.token


def test_nothing_anywhere_names_every_place(home):
    """And the way out."""
    with pytest.raises(ConfigError) as caught:
        resolve(environ=home)
    text = str(caught.value)
    for place in (
        "ANYSERVICE_CLI_TOKEN",
        "ANYSCALE_CLI_TOKEN",
        "credentials.json",
        "plane.json",
        "anyservice plane up",
    ):
        assert place in text


def test_arguments_come_first(home, plane, credentials):
    """Before the environment, files and the plane."""
    plane()
    credentials()
    env = home | {"ANYSERVICE_HOST": "https://b.test", "ANYSERVICE_CLI_TOKEN": "b"}
    assert seen(env, "https://a.test/", "a") == ("https://a.test", "a")


def test_our_environment_comes_before_theirs(home):
    """Both are honoured."""
    theirs = home | {"ANYSCALE_HOST": "https://c.test", "ANYSCALE_CLI_TOKEN": "c"}
    assert seen(theirs) == ("https://c.test", "c")
    both = theirs | {"ANYSERVICE_HOST": "https://b.test", "ANYSERVICE_CLI_TOKEN": "b"}
    assert seen(both) == ("https://b.test", "b")
    assert seen(theirs | {"ANYSERVICE_HOST": "", "ANYSERVICE_CLI_TOKEN": ""}) == ("https://c.test", "c")


def test_a_credentials_file_means_the_platform(home, plane, credentials):
    """Even while a plane is up: who has an account is not moved to another server by surprise."""
    plane()
    credentials()
    assert seen(home) == (DEFAULT_HOST, "sss_filed")


def test_a_token_means_the_platform(home, plane):
    """A token of somebody is never sent to the plane unasked, nor the plane's to anybody."""
    plane()
    assert seen(home | {"ANYSCALE_CLI_TOKEN": "c"}) == (DEFAULT_HOST, "c")
    assert seen(home, token="a") == (DEFAULT_HOST, "a")


def test_a_plane_that_is_up_needs_no_settings(home, plane):
    """The first thing a newcomer does."""
    plane()
    assert seen(home) == (HERE, "aph0_plane")


def test_a_plane_that_died_is_not_taken_unasked(home, plane):
    """Its file may be old."""
    plane(pid=2**22 + 1)
    with pytest.raises(ConfigError):
        resolve(environ=home)


def test_local_means_the_plane(home, plane, credentials):
    """With its own token, whatever else is around; a plane that restarts is still the one that is meant."""
    plane(pid=2**22 + 1)
    credentials()
    assert seen(home | {"ANYSCALE_CLI_TOKEN": "c"}, "local") == (HERE, "aph0_plane")
    assert seen(home | {"ANYSERVICE_HOST": "local"}) == (HERE, "aph0_plane")
    assert seen(home, "local", "a") == (HERE, "a")


def test_local_without_a_plane_says_how_to_get_one(home):
    """Naming the file that is not there."""
    with pytest.raises(ConfigError, match=r"plane\.json.*anyservice plane up"):
        resolve("local", environ=home)


def test_the_plane_s_address_brings_its_token(home, plane, credentials):
    """Before that of the credentials file, which is for elsewhere."""
    plane()
    credentials()
    assert seen(home, HERE) == (HERE, "aph0_plane")


def test_cloud_and_project(home):
    """Argument, environment, none."""
    env = home | {"ANYSERVICE_CLOUD": "prod", "ANYSERVICE_PROJECT": "shop", "ANYSERVICE_CLI_TOKEN": "t"}
    assert (resolve(environ=env).cloud, resolve(environ=env).project) == ("prod", "shop")
    assert resolve(environ=env, cloud="dev").cloud == "dev"
    assert resolve(token="t", environ=home).cloud is None


@pytest.mark.parametrize(
    "host", ["console.anyscale.com", "ftp://a.test", "https://", "nonsense", "http://[", "http://a:b"]
)
def test_a_host_is_a_web_address(home, host):
    """The text shows what was given and what is wanted."""
    with pytest.raises(ConfigError, match="host: .* is not a web address"):
        resolve(host, "t", environ=home)


def test_a_password_in_a_host_is_refused_and_not_shown(home):
    """It would end up in every log."""
    for host in ("https://me:hunter2@a.test", "ftp://me:hunter2@a.test"):
        with pytest.raises(ConfigError) as caught:
            resolve(host, "t", environ=home)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("token", ["a b", "a;b", "a\r\nb", "é", 'a"b'])
def test_a_token_that_would_break_its_header_is_refused_and_not_shown(home, token):
    """A line break in it could add a header."""
    with pytest.raises(ConfigError) as caught:
        resolve("https://a.test", token, environ=home)
    assert token not in str(caught.value)


def test_white_space_around_a_token_is_dropped(home):
    """Files end in a line break."""
    assert seen(home, "https://a.test", " tok\n") == ("https://a.test", "tok")


def test_a_token_is_in_no_repr(home, plane):
    """Promise 8."""
    plane()
    record = PlaneRecord.read(state_dir(home))
    assert record is not None
    assert record.token not in repr(record) + repr(resolve(environ=home))


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_broken_credentials_file_is_named(home, credentials, text):
    """Not skipped in silence, not a traceback."""
    credentials(text)
    with pytest.raises(ConfigError, match=r"credentials\.json"):
        resolve(environ=home)


@pytest.mark.parametrize("fields", [{"pid": "x"}, {"pid": None}])
def test_a_broken_plane_file_is_named(home, plane, fields):
    """With the way out."""
    folder = state_dir(home)
    folder.mkdir(parents=True)
    (folder / "plane.json").write_text(json.dumps({"host": HERE, "token": "t", **fields}))
    with pytest.raises(ConfigError, match=r"plane\.json is damaged"):
        resolve(environ=home)


def test_where_the_plane_keeps_its_state(home, tmp_path):
    """Its own variable, the platform's, the default."""
    assert state_dir(home) == tmp_path / ".local" / "share" / "anyservice"
    assert state_dir(home | {"XDG_DATA_HOME": "/data"}).as_posix() == "/data/anyservice"
    assert state_dir(home | {"XDG_DATA_HOME": "/data", "ANYSERVICE_STATE_DIR": "/s"}).as_posix() == "/s"


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_settings_or_a_config_error(host, token):
    """Nothing else comes out, and a good token is passed on unchanged."""
    try:
        found = settings.resolve(host, token, environ={"HOME": "/nonexistent"})
    except ConfigError:
        return
    assert found.token == token.strip()
    assert found.host.startswith(("http://", "https://"))


# ── explained ──


def rows(env, *args, **kwargs):
    return {row.setting: row[1:] for row in settings.explain(*args, environ=env, **kwargs)}


def test_nothing_anywhere_is_explained_without_an_error(home):
    """A user asks because something is missing."""
    assert rows(home) == {
        "host": (DEFAULT_HOST, "default"),
        "token": (None, "nowhere"),
        "cloud": (None, "the server's default"),
        "project": (None, "the server's default"),
        "ca_file": (None, "the system's certificates"),
        "workspace": (None, "not inside one"),
    }


def test_each_source_is_named_and_no_token_shown(home, plane, credentials, tmp_path):
    """Arguments, variables and files by the names that a user may change."""
    credentials()
    certificates = tmp_path / "ca.pem"
    certificates.touch()
    env = home | {"ANYSCALE_HOST": "https://c.test", "ANYSERVICE_CLOUD": "main"}
    env |= {"SSL_CERT_FILE": str(certificates), "ANYSCALE_EXPERIMENTAL_WORKSPACE_ID": "expwrk_1"}
    shown = rows(env, project="shop")
    assert shown == {
        "host": ("https://c.test", "ANYSCALE_HOST"),
        "token": ("(hidden)", str(tmp_path / ".anyscale" / "credentials.json")),
        "cloud": ("main", "ANYSERVICE_CLOUD"),
        "project": ("shop", "argument"),
        "ca_file": (str(certificates), "SSL_CERT_FILE"),
        "workspace": ("expwrk_1", "ANYSCALE_EXPERIMENTAL_WORKSPACE_ID"),
    }
    plane()
    assert rows(home, "local", "secret-token")["token"] == ("(hidden)", "argument")
    assert rows(home, "local")["token"][1].endswith("plane.json")


hosts = st.sampled_from([None, "local", HERE, "https://a.test"])
tokens = st.sampled_from([None, "sss_a"])


@given(
    variables=st.fixed_dictionaries(
        {},
        optional={
            "ANYSERVICE_HOST": hosts.filter(bool),
            "ANYSCALE_HOST": hosts.filter(bool),
            "ANYSERVICE_CLI_TOKEN": st.just("sss_b"),
            "ANYSCALE_CLI_TOKEN": st.just("sss_c"),
            "ANYSERVICE_PROJECT": st.just("shop"),
        },
    ),
    given_host=hosts,
    given_token=tokens,
)
@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
def test_what_is_explained_is_what_is_used(home, plane, credentials, *, variables, given_host, given_token):
    """Both come from one walk through the places."""
    plane()
    credentials()
    env = home | variables
    used, shown = resolve(given_host, given_token, environ=env), rows(env, given_host, given_token)
    assert (shown["host"][0], shown["project"][0]) == (used.host, used.project)
    source = {"argument": "sss_a", "ANYSERVICE_CLI_TOKEN": "sss_b", "ANYSCALE_CLI_TOKEN": "sss_c"}
    by_file = "aph0_plane" if shown["token"][1].endswith("plane.json") else "sss_filed"
    assert source.get(shown["token"][1], by_file) == used.token


def test_a_workspace_is_known_by_its_variables(home):
    """The cluster may be unknown."""
    env = home | {"ANYSCALE_CLI_TOKEN": "c", "ANYSCALE_EXPERIMENTAL_WORKSPACE_ID": "expwrk_1"}
    assert resolve(environ=env).workspace == Workspace("expwrk_1")
    env |= {"ANYSCALE_SESSION_ID": "ses_1"}
    assert resolve(environ=env).workspace == Workspace("expwrk_1", "ses_1")


def test_a_workspace_that_tracks_what_is_installed_says_where(home, tmp_path, monkeypatch):
    """Only if it says that it does, and has written it down."""
    file = tmp_path / "requirements.txt"
    monkeypatch.setattr("anyservice_core.settings._INSTALLED", str(file))
    env = home | {"ANYSCALE_CLI_TOKEN": "c", "ANYSCALE_EXPERIMENTAL_WORKSPACE_ID": "expwrk_1"}
    tracking = env | {"ANYSCALE_WORKSPACE_DYNAMIC_DEPENDENCY_TRACKING": "1"}
    assert resolve(environ=tracking).workspace == Workspace("expwrk_1")
    file.write_text("emoji")
    assert resolve(environ=env).workspace == Workspace("expwrk_1")
    assert resolve(environ=tracking).workspace == Workspace("expwrk_1", None, str(file))
