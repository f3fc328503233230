"""The wire contract from the server's side: a request in, a reply out, nothing else touched.

``Api.answer`` is all of the server that has rules; ``app`` puts it behind HTTP and ``testing``
behind a mock transport, so the fake cannot drift from the real one. It reads and writes the store,
never a process or a socket: ``reconcile`` turns what was asked for into what runs.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from anyservice_core.errors import AnyserviceError, ApiError, AuthError, NotFoundError, RejectedError
from anyservice_core.models.enums import ServiceState
from anyservice_core.models.wire import (
    ApplyService,
    PresignedWire,
    PresignRequest,
    RollbackService,
)
from anyservice_core.plane import catalog, listing
from anyservice_core.plane.applications import check_applications
from anyservice_core.plane.bundles import Bundles, bundles_of
from anyservice_core.plane.changes import Birth, deploy, roll_back, terminate
from anyservice_core.plane.checklist import SURGE
from anyservice_core.plane.extras import extras
from anyservice_core.plane.own import own
from anyservice_core.plane.places import known, places
from anyservice_core.plane.routes import ApiReply, ApiRequest, Routes
from anyservice_core.plane.several import Several, in_order
from anyservice_core.plane.state import Service
from anyservice_core.plane.store import Event, Store
from anyservice_core.plane.view import show

__all__ = ["Api"]

routes = Routes()


@dataclass
class Api:
    """The plane as its clients see it.

    Args:
        token: what a client must show, as the cookie ``cli_token`` or as a bearer token.
        clock: seconds since the epoch.
        engine: name of the engine that new versions get.
        pick_port: gives a free port for a new service, given those that are taken.
        on_change: called after a change was written, so that the loop need not wait for its tick.
    """

    store: Store
    bundles: Bundles
    token: str = field(repr=False)
    clock: Callable[[], float]
    engine: str
    pick_port: Callable[[set[int]], int]
    on_change: Callable[[], None] = lambda: None

    def answer(self, request: ApiRequest) -> ApiReply:
        """Answer a request; every error is a reply in the API's own form."""
        try:
            self.admit(request.headers)
            if places.knows(request):
                handler, names = places.find(request)
                return _reply(handler(request, **names))
            table = next((table for table in (extras, own) if table.knows(request)), routes)
            handler, names = table.find(request)
            return _reply(handler(self, request, **names))
        except ValidationError as error:
            return ApiReply(422, {"error": _validation(error)})
        except AnyserviceError as error:
            status = error.status if isinstance(error, ApiError) else 500
            return ApiReply(status, {"error": {"detail": str(error)}})

    def admit(self, headers: Mapping[str, str]) -> None:
        """Raise ``AuthError`` unless these headers show this plane's token."""
        if not _same(_shown_token(headers), self.token):
            raise AuthError(
                "the token is missing or not this plane's.",
                hint="`anyservice plane env` prints the right one.",
                status=401,
            )

    # ── what handlers share ──

    def find(self, service_id: str) -> Service:
        service = self.store.service(service_id)
        if service is None:
            raise NotFoundError(f"Service with id '{service_id}' was not found.", status=404)
        return service

    def birth(self, project_id: str | None = None) -> Birth:
        """Give what a new service or version needs."""
        return Birth(
            now=self.clock(),
            engine=self.engine,
            cloud_id=catalog.CLOUD.id,
            project_id=project_id or catalog.PROJECT.id,
            pick_port=lambda: self.pick_port(self.store.ports()),
        )

    def change(self, service_id: str, move: Callable[[Service], Service], kind: str) -> Service:
        """Read, move and write one service in one transaction, and note it."""
        with self.store.transaction():
            service = move(self.find(service_id)).replace(updated_at=self.clock())
            self.store.save(service)
            self.store.note(Event(service.id, self.clock(), kind, f"{kind} {service.name}"))
        self.on_change()
        return service


def _shown_token(headers: Mapping[str, str]) -> str:
    cookies = dict(part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";"))
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return cookies.get("cli_token") or (bearer.strip() if scheme.lower() == "bearer" else "")


def _same(shown: str, wanted: str) -> bool:
    return hmac.compare_digest(shown.encode(), wanted.encode())


def _reply(answer: Any) -> ApiReply:
    if isinstance(answer, ApiReply):
        return answer
    if answer is None:
        return ApiReply(204)
    if isinstance(answer, BaseModel):
        answer = answer.model_dump(mode="json")
    return ApiReply(200, {"result": answer})


def _validation(error: ValidationError) -> dict[str, Any]:
    problems = [{"loc": list(e["loc"]), "msg": e["msg"]} for e in error.errors()]
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return {"message": f"{where}: {first['msg']}", "detail": problems}


# ── services ────────────────────────────────────────────────────────────────


@routes.on("GET /api/v2/services-v2")
def _list(api: Api, request: ApiRequest) -> ApiReply:
    found = listing.select(api.store, listing.Query.read(request.get, request.all))
    return ApiReply(
        200,
        {
            "results": [show(service).model_dump(mode="json") for service in found.page],
            "metadata": {"total": found.total, "next_paging_token": found.next_token},
        },
    )


@routes.on("GET /api/v2/services-v2/{service}")
def _get(api: Api, _: ApiRequest, service: str) -> Any:
    return show(api.find(service))


_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


@routes.on("PUT /api/v2/services-v2/apply")
def _apply(api: Api, request: ApiRequest) -> Any:
    wanted = ApplyService.model_validate(request.body)
    _check_apply(api, wanted)
    with api.store.transaction():
        service = _deploy(api, wanted)
    api.on_change()
    return show(service)


@routes.on("PUT /api/v2/services-v2/apply_multi_version")
def _apply_several(api: Api, request: ApiRequest) -> Any:
    asked = Several.model_validate(request.body)
    for wanted in asked.service_versions:
        _check_apply(api, wanted)
    with api.store.transaction():
        present = api.store.find(asked.name, asked.project)
        for one in (deploys := in_order(asked, present)):
            service = _deploy(api, one, lasting=True)
        if len(deploys) == 1 and service.canary and deploys[0].version == service.primary.name:
            service = api.change(service.id, lambda s: roll_back(s, api.clock()), "roll back")
    api.on_change()
    return show(service)


def _deploy(api: Api, wanted: ApplyService, *, lasting: bool = False) -> Service:
    """Deploy within a transaction, and note it."""
    now = api.clock()
    present = api.store.find(wanted.name, wanted.project_id or catalog.PROJECT.id)
    tags = {**(present.tags if present else {}), **(wanted.tags or {})}
    service = deploy(present, wanted, api.birth(wanted.project_id), lasting=lasting)
    service = service.replace(updated_at=now, tags=tags)
    api.store.save(service)
    newest = service.canary or service.primary
    how = " in place" if wanted.rollout_strategy == "IN_PLACE" else _percent(wanted)
    api.store.note(Event(service.id, now, "deploy", f"deploy {newest.name}{how}", newest.id))
    _note_surge(api, service.id, wanted.max_surge_percent)
    return service


def _note_surge(api: Api, service_id: str, percent: int | None) -> None:
    """Say what asking for less than full extra capacity does on this plane: nothing."""
    if percent not in {None, 100}:
        api.store.note(Event(service_id, api.clock(), "note", SURGE.format(percent=percent)))


def _percent(wanted: ApplyService) -> str:
    return "" if wanted.canary_percent is None else f" at {wanted.canary_percent} %"


def _check_apply(api: Api, wanted: ApplyService) -> None:
    """Refuse what could never start, before anything is written."""
    if not _NAME.fullmatch(wanted.name):
        raise RejectedError(
            f"name '{wanted.name}' cannot name a service.", hint="Use letters, digits, - and _.", status=422
        )
    if wanted.project_id not in {None, catalog.PROJECT.id}:
        raise NotFoundError(f"Project '{wanted.project_id}' was not found.", status=404)
    check_applications(wanted.ray_serve_config.get("applications"), api.bundles)


@routes.on("POST /api/v2/services-v2/{service}/rollback", "POST /ext/v0/services/{service}/rollback")
def _rollback(api: Api, request: ApiRequest, service: str) -> Any:
    asked = RollbackService.model_validate(request.body or {})
    changed = api.change(service, lambda s: roll_back(s, api.clock()), "roll back")
    _note_surge(api, changed.id, asked.max_surge_percent)
    return show(changed)


@routes.on("POST /api/v2/services-v2/{service}/terminate", "POST /ext/v0/services/{service}/terminate")
def _terminate(api: Api, _: ApiRequest, service: str) -> Any:
    return show(api.change(service, lambda s: terminate(s, api.clock()), "terminate"))


def _ended(service: Service, verb: str) -> Service:
    if service.state is not ServiceState.TERMINATED:
        raise RejectedError(
            f"service '{service.name}' is {service.state}: only a TERMINATED service can be {verb}.",
            hint="Terminate it first and wait for TERMINATED.",
            status=409,
        )
    return service


@routes.on("POST /api/v2/services-v2/{service}/archive", "POST /ext/v0/services/{service}/archive")
def _archive(api: Api, _: ApiRequest, service: str) -> None:
    api.change(service, lambda s: _ended(s, "archived").replace(archived=True), "archive")


@routes.on("DELETE /api/v2/services-v2/{service}")
def _delete(api: Api, _: ApiRequest, service: str) -> None:
    with api.store.transaction():
        gone = _ended(api.find(service), "deleted")
        api.store.delete(gone.id)
        still = {uri for one in api.store.services() for spec in one.specs for uri in bundles_of(spec)}
    api.bundles.forget({uri for spec in gone.specs for uri in bundles_of(spec)} - still)
    api.on_change()


# ── uploads ─────────────────────────────────────────────────────────────────


@routes.on("POST /api/v2/clouds/{cloud}/generate_cloud_data_bucket_presigned_url")
def _presign(api: Api, request: ApiRequest, cloud: str) -> Any:
    known(cloud, catalog.CLOUD.id, "Cloud")
    name = PresignRequest.model_validate(request.body).file_name
    signature = api.bundles.signature(name)
    return PresignedWire(
        file_uri=api.bundles.uri(name),
        url=f"{request.base_url}/plane/v1/bundles/{name}?signature={signature}",
        file_exists=api.bundles.has(name),
        bucket_name="bundles",
        bucket_path=name,
    )
