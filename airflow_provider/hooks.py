"""From an Airflow connection to the core's clients. What they do is theirs: nothing is done over here.

A connection as JSON, as URI, or made in the UI's form:

    {"conn_type": "anyservice", "host": "https://console.anyscale.com", "password": "<token>",
     "extra": {"cloud": "main", "project": "shop", "verify_tls": true, "timeout_s": 30}}
    anyservice://:<token>@console.anyscale.com/?project=shop
    {"conn_type": "anyservice", "host": "local"}          the plane on this machine, with its own token

An empty host or token is looked for where the command line looks, see ``anyservice_core.settings``.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider import get_provider_info
from airflow_provider.compat import quiet_requests
from anyservice_core import AnyserviceError, ConfigError

if TYPE_CHECKING:
    from anyservice_core import AsyncClient, Client

__all__ = ["ServiceHook"]

_log = logging.getLogger("airflow_provider")
_EXTRAS = frozenset(get_provider_info()["connection-types"][0]["conn-fields"])
_YES, _NO = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}
_ON_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_BAD_NEWS, _GOOD_ENDS = {"trouble", "rolling_back"}, {"succeeded", "no_change"}


class ServiceHook(BaseHook):
    """Clients for the control plane that a connection names.

    ``get_conn()`` gives a ``Client``, ``await aget_conn()`` an ``AsyncClient``; both are context managers.
    What they report is logged line by line, and so is in the task's log. ``options`` are the client's own
    ``on_report``, ``on_save`` and ``on_orders``, for what goes on beside the log. To reach something else, such as a fake in a test,
    subclass the hook and set ``hook_class`` of an operator, sensor or trigger.
    """

    conn_name_attr: ClassVar[str] = "conn_id"
    default_conn_name: ClassVar[str] = "anyservice_default"
    conn_type: ClassVar[str] = "anyservice"
    hook_name: ClassVar[str] = "Anyservice"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        quiet_requests()
        self.conn_id = conn_id

    def get_conn(self, **options: Callable[..., Any] | None) -> Client:
        """Give a client. Raises ``ConfigError`` for a connection that cannot work."""
        from anyservice_core import Client

        conn = self.get_connection(self.conn_id)
        place, verify_tls = client_options(self.conn_id, conn, conn.extra_dejson)
        transport = None if verify_tls else httpx.HTTPTransport(verify=False)
        ears: dict[str, Any] = {"on_report": report, **options}
        with _naming(self.conn_id):
            client = Client(**place, transport=transport, **ears)
        mask_secret(client.settings.token)  # wherever it was found
        return client

    async def aget_conn(self, **options: Callable[..., Any] | None) -> AsyncClient:
        """Give an async client, without a blocking call. Raises ``ConfigError`` like ``get_conn``."""
        from anyservice_core import AsyncClient

        conn = await get_async_connection(self.conn_id, hook=self)  # masks the password itself
        place, verify_tls = client_options(self.conn_id, conn, await get_async_extra_dejson(conn))
        transport = None if verify_tls else httpx.AsyncHTTPTransport(verify=False)
        ears: dict[str, Any] = {"on_report": report, **options}
        with _naming(self.conn_id):
            return AsyncClient(**place, transport=transport, **ears)

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Give the form's fields to an Airflow that does not read them from ``get_provider_info`` (before 3.2)."""
        from airflow_provider.form import widgets

        return widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Give what the form makes of Airflow's own fields, likewise."""
        from airflow_provider.form import behaviour

        return behaviour()

    def test_connection(self) -> tuple[bool, str]:
        """Ask for one page of services: it needs host, token and TLS to be right."""
        try:
            with self.get_conn() as client:
                next(iter(client.list(max_items=1)), None)
        except AnyserviceError as error:
            return False, str(error)
        return True, "The control plane answers, and takes the token."


def report(event: object) -> None:
    """Write one line to the log of the task, from a worker or from the triggerer; and count what is counted."""
    from airflow_provider.counting import count

    _log.log(_level(event), "%s", event)
    count(event)


def _level(event: object) -> int:
    """What is bad news stands out in the log."""
    kind, data = getattr(event, "kind", None), getattr(event, "data", {})
    bad = kind in _BAD_NEWS or (kind == "finished" and data.get("outcome") not in _GOOD_ENDS)
    return logging.WARNING if bad else logging.INFO


def client_options(conn_id: str, conn: Any, extra: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """What the core's clients want to know, from an Airflow connection and its extras; and whether to verify TLS.

    Raises ``ConfigError`` naming the connection and the field.
    """
    for name in sorted(map(str, extra.keys() - _EXTRAS)):
        _say_unknown(conn_id, name)
    with _naming(conn_id):
        options = {
            "host": _host(conn),
            "token": conn.password or None,
            "cloud": extra.get("cloud") or None,
            "project": extra.get("project") or None,
            "timeout_s": _seconds("timeout_s", extra.get("timeout_s")),
        }
        return options, _flag("verify_tls", extra.get("verify_tls"))


@contextmanager
def _naming(conn_id: str) -> Iterator[None]:
    """Let an error say which connection is to be mended."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"Connection {conn_id!r}: {error.message}", hint=error.hint) from None


@functools.cache
def _say_unknown(conn_id: str, name: str) -> None:
    """Once in a process: a ``project`` that is misspelt would deploy into another one without a word."""
    known = ", ".join(sorted(_EXTRAS))
    _log.warning("Connection %r: extra %r is not heeded; there are %s.", conn_id, name, known)


def _host(conn: Any) -> str | None:
    host = (conn.host or "").strip().rstrip("/")
    if not host or host == "local":
        return host or None
    if "://" not in host:
        scheme = conn.schema or ("http" if host in _ON_THIS_MACHINE else "https")
        host = f"{scheme}://{f'[{host}]' if ':' in host else host}"
    return f"{host}:{conn.port}" if conn.port else host


def _flag(name: str, value: Any) -> bool:
    """Read a switch that a URI or a form may have made a text."""
    text = "true" if value is None else str(value).strip().lower()
    if text not in _YES | _NO:
        raise ConfigError(f"{name}: {value!r} is neither true nor false.")
    return text in _YES


def _seconds(name: str, value: Any) -> float:
    try:
        seconds = 30.0 if value in {None, ""} else float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not seconds > 0:
        raise ConfigError(f"{name}: {value!r} is not a time in seconds above 0.")
    return seconds
