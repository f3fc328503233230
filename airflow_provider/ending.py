"""Operators that take a service down: terminate, archive, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider.base import ServiceOperator
from airflow_provider.errors import airflow_errors
from airflow_provider.hooks import report
from anyservice_core import NotFoundError

if TYPE_CHECKING:
    from anyservice_core import Client

__all__ = ["ArchiveOperator", "DeleteOperator", "TerminateOperator"]


class TerminateOperator(ServiceOperator):
    """Stops a service, all versions of it.

    Args:
        service: the service's name (templated).
        kwargs: as ``ServiceOperator`` takes them.
    """

    template_fields = ("service",)

    def __init__(self, *, service: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service = service

    def execute(self, context: Any) -> dict[str, Any]:
        with airflow_errors(), self.hook.get_conn() as client:
            service_id = client.terminate(self.service)
            return self.reach(context, client, client.status(id=service_id), {"state": ["TERMINATED"]})


class _PutAway(TerminateOperator):
    """A call that is over when it is answered, on a service that is terminated already.

    A service that is not there is what was wanted, so that a retry or a second run is a success; with ``must_exist``
    it fails.
    """

    operator_extra_links = ()
    done_word = ""

    def __init__(self, *, must_exist: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.must_exist = must_exist

    def execute(self, context: Any) -> dict[str, Any]:  # noqa: ARG002
        with airflow_errors(), self.hook.get_conn() as client:
            try:
                service_id: str | None = self.call(client)
            except NotFoundError:
                if self.must_exist:
                    raise
                report(f"{self.service}: no such service, so there is nothing to do")
                service_id = None
        return {"name": self.service, "id": service_id, self.done_word: service_id is not None}

    def call(self, client: Client) -> str:
        raise NotImplementedError


class ArchiveOperator(_PutAway):
    """Hides a terminated service from lists and lookups.

    Gives ``{"name", "id", "archived"}``; ``id`` is ``None`` if there was none.

    Args:
        service: the service's name (templated).
        must_exist: fail if there is no such service; otherwise that is said in the log, and is fine.
        kwargs: as ``ServiceOperator`` takes them. There is nothing to wait for.
    """

    done_word = "archived"

    def call(self, client: Client) -> str:
        return client.archive(self.service)


class DeleteOperator(_PutAway):
    """Removes a terminated service for good, an archived one too.

    Gives ``{"name", "id", "deleted"}``; ``id`` is ``None`` if there was none.

    Args:
        service: the service's name (templated).
        must_exist: fail if there is no such service; otherwise that is said in the log, and is fine.
        kwargs: as ``ServiceOperator`` takes them. There is nothing to wait for.
    """

    done_word = "deleted"

    def call(self, client: Client) -> str:
        return client.delete(self.service)
