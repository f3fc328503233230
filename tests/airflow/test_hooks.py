from __future__ import annotations

import asyncio
import json
import logging
import os
import pkgutil

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Connection, redact
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider import get_provider_info, hooks
from airflow_provider.errors import airflow_errors, failure
from airflow_provider.hooks import ServiceHook, client_options, report
from anyservice_core import AuthError, ConfigError
from anyservice_core.rollout.events import Event, Kind

pytestmark = pytest.mark.airflow

TOKEN = "aph0_a-token-to-hide"


def options_of(conn: Connection):
    return client_options("anyservice_default", conn, conn.extra_dejson)


def from_uri(uri: str):
    """As Airflow reads it from the environment."""
    os.environ["AIRFLOW_CONN_BY_URI"] = uri
    try:
        return options_of(ServiceHook.get_connection("by_uri"))
    finally:
        del os.environ["AIRFLOW_CONN_BY_URI"]


def from_json(**fields):
    return options_of(
        Connection.from_json(json.dumps({"conn_type": "anyservice", **fields}), "anyservice_default")
    )


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("anyservice://:t@console.example.com", "https://console.example.com"),
        ("anyservice://:t@127.0.0.1:8700", "http://127.0.0.1:8700"),
        ("anyservice://:t@localhost:8700/https", "https://localhost:8700"),
        ("anyservice://:t@https%3A%2F%2Fconsole.example.com/", "https://console.example.com"),
        ("anyservice://:t@http%3A%2F%2F127.0.0.1%3A8799/", "http://127.0.0.1:8799"),
        ("anyservice://local", "local"),
        ("anyservice://", None),
    ],
)
def test_a_uri_says_where(uri, host):
    """Every way that Airflow writes an address leads to the same place."""
    assert from_uri(uri)[0]["host"] == host


def test_json_says_all():
    """Host, token, cloud, project, time-out and TLS each have their field."""
    extra = {"cloud": "main", "project": "shop", "timeout_s": "7.5", "verify_tls": False}
    options, verify_tls = from_json(host="https://console.example.com", password=TOKEN, extra=extra)

    assert options == {
        "host": "https://console.example.com",
        "token": TOKEN,
        "cloud": "main",
        "project": "shop",
        "timeout_s": 7.5,
    }
    assert verify_tls is False


@pytest.mark.parametrize(
    ("text", "value"),
    [("false", False), ("False", False), ("0", False), ("no", False), ("true", True), ("1", True)],
)
def test_switches_in_a_uri_are_read_as_they_are_meant(text, value):
    """A URI knows texts only, and the text "false" must not count as true."""
    assert from_uri(f"anyservice://:t@h?verify_tls={text}")[1] is value


@pytest.mark.parametrize(
    "extra", [{"verify_tls": "maybe"}, {"timeout_s": "soon"}, {"timeout_s": 0}, {"timeout_s": "nan"}]
)
def test_a_field_that_cannot_be_read_is_named(extra):
    """The connection and the field are in the message, so it is clear what to mend."""
    with pytest.raises(ConfigError, match=rf"'anyservice_default': {next(iter(extra))}"):
        from_json(host="h", extra=extra)


def test_an_extra_of_another_name_is_said_once(caplog):
    """A project that is misspelt would deploy into another one without a word."""
    hooks._say_unknown.cache_clear()
    for _ in range(2):
        from_json(host="h", extra={"projekt": "shop", "cloud": "main"})

    said = "extra 'projekt' is not heeded; there are cloud, project, timeout_s, verify_tls."
    ours = [message for record in caplog.records if "extra" in (message := record.getMessage())]
    assert ours == [f"Connection 'anyservice_default': {said}"]


def test_a_connection_without_a_token_is_named(monkeypatch, tmp_path):
    """Whoever reads the task's log knows which of the connections is to be mended."""
    for name in ("ANYSERVICE_CLI_TOKEN", "ANYSCALE_CLI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ANYSERVICE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_BARE", json.dumps({"conn_type": "anyservice", "host": "https://h"}))
    for get in (ServiceHook("bare").get_conn, lambda: asyncio.run(ServiceHook("bare").aget_conn())):
        with pytest.raises(ConfigError, match="Connection 'bare': No token"):
            get()


@settings(suppress_health_check=[HealthCheck.too_slow])  # it builds its table of letters at the first use
@given(
    st.dictionaries(
        st.sampled_from(["verify_tls", "timeout_s", "cloud", "project"]),
        st.none() | st.text() | st.booleans() | st.integers(),
    )
)
def test_any_extra_is_read_or_refused(extra):
    """Whatever a form or a URI brings, it is options or a ``ConfigError``, never another error."""
    try:
        options, _ = client_options("c", Connection(conn_id="c", host="h"), extra)
    except ConfigError:
        return
    assert options["timeout_s"] > 0


@pytest.fixture
def connection(monkeypatch):
    value = {"conn_type": "anyservice", "host": "https://console.example.com", "password": TOKEN}
    monkeypatch.setenv("AIRFLOW_CONN_ANYSERVICE_DEFAULT", json.dumps(value))


def test_the_hook_gives_both_clients(connection):
    """One connection, two colours; neither shows its token."""
    hook = ServiceHook()
    clients = hook.get_conn(), asyncio.run(hook.aget_conn())

    assert [type(client).__name__ for client in clients] == ["Client", "AsyncClient"]
    assert TOKEN not in repr(clients) + repr(vars(hook))


def test_a_token_is_masked_in_logs(connection, monkeypatch):
    """Whoever logs it by mistake, Airflow writes stars."""
    ServiceHook().get_conn()

    assert TOKEN not in str(redact(f"the token is {TOKEN}"))


def test_a_token_from_elsewhere_is_masked_too(monkeypatch):
    """An empty password leaves the token to the environment, and the log knows no difference."""
    elsewhere = "aph0_from-the-environment"
    monkeypatch.setenv("ANYSERVICE_CLI_TOKEN", elsewhere)
    monkeypatch.setenv("AIRFLOW_CONN_BARE", json.dumps({"conn_type": "anyservice", "host": "https://h"}))
    ServiceHook("bare").get_conn()

    assert elsewhere not in str(redact(f"the token is {elsewhere}"))


def test_without_tls_verification_the_client_says_so(monkeypatch):
    """verify_tls reaches the transport."""
    value = {
        "conn_type": "anyservice",
        "host": "https://h",
        "password": TOKEN,
        "extra": {"verify_tls": "false"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_ANYSERVICE_DEFAULT", json.dumps(value))
    options, verify_tls = options_of(ServiceHook.get_connection("anyservice_default"))

    assert (options["host"], verify_tls) == ("https://h", False)
    ServiceHook().get_conn().close()


def test_the_test_button_answers_with_a_sentence(airflow, serving, monkeypatch):
    """It asks for what needs host, token and TLS to be right; a failure is its message, not a traceback."""
    assert airflow.hook_class().test_connection() == (True, "The control plane answers, and takes the token.")

    value = {
        "conn_type": "anyservice",
        "host": "http://127.0.0.1:1",
        "password": TOKEN,
        "extra": {"timeout_s": 1},
    }
    monkeypatch.setenv("AIRFLOW_CONN_ANYSERVICE_DEFAULT", json.dumps(value))
    works, message = ServiceHook().test_connection()
    assert works is False
    assert "127.0.0.1:1" in message


def test_an_event_is_one_line_of_the_log(caplog):
    """People and the demo's live view read the same line."""
    with caplog.at_level(logging.INFO):
        report("recommender: weight 10 % seen")

    assert caplog.record_tuples == [("airflow_provider", logging.INFO, "recommender: weight 10 % seen")]


# ── the provider ──


def test_what_the_provider_says_of_itself_fits_airflows_schema():
    """Airflow drops a provider whose description it cannot read, with a log line that nobody sees."""
    import airflow.providers_manager as manager

    schema = manager._create_provider_info_schema_validator()
    schema.validate(get_provider_info())


def test_what_the_provider_names_can_be_imported():
    """Hook and links are where the description says."""
    info = get_provider_info()
    kind = info["connection-types"][0]
    hook = pkgutil.resolve_name(kind["hook-class-name"])

    assert (hook.conn_type, hook.hook_name) == (kind["connection-type"], kind["hook-name"])
    for link in info["extra-links"]:
        assert pkgutil.resolve_name(link)().name


def test_describing_the_provider_imports_nothing_heavy():
    """Airflow asks every provider at every start, so ours answers without loading itself."""
    import subprocess
    import sys

    code = "import sys, airflow_provider; airflow_provider.get_provider_info(); print('airflow' in sys.modules, 'httpx' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert out.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("kind", "data", "level"),
    [
        ("baking", {}, "INFO"),
        ("finished", {"outcome": "succeeded"}, "INFO"),
        ("finished", {"outcome": "rolled_back"}, "WARNING"),
        ("rolling_back", {}, "WARNING"),
        ("trouble", {}, "WARNING"),
    ],
)
def test_bad_news_stands_out_in_the_log(caplog, kind, data, level):
    """Whoever filters a task's log for warnings finds why the canary went back."""
    with caplog.at_level("INFO", logger="airflow_provider"):
        report(Event(Kind(kind), "recommender", "v2", 10, "a message", 1.0, data))

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (level, "recommender: a message")
    ]


def test_a_token_that_is_refused_is_that_of_the_connection():
    """The core would send people to the settings of its command line."""
    error = AuthError("the token has expired", status=401, hint="Look at ANYSERVICE_CLI_TOKEN.")

    with (
        pytest.raises(AirflowFailException, match=r"expired.*API token \(password\)") as failed,
        airflow_errors(),
    ):
        raise error
    assert "ANYSERVICE_CLI_TOKEN" not in str(failed.value)
    assert failure(error)["message"] == str(failed.value)
