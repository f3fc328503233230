"""Local folders go to the cloud's storage before a deploy; their URIs take their place in the config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from anyservice_core import bundle
from anyservice_core.bundle import Archive, Done, Hashed, Tree, Work
from anyservice_core.effects import Call, Op, Report, Request, Upload
from anyservice_core.errors import ConfigError, TransportError, UnavailableError
from anyservice_core.models.config import ServiceConfig
from anyservice_core.models.wire import PresignedWire, PresignRequest
from anyservice_core.operations.sending import ATTEMPTS, Retrying, backoff, check, send

__all__ = ["Uploaded", "has_local", "upload_all"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A folder is in the cloud's storage; ``known`` if it was there already.

    In a ``dry_run`` nothing is uploaded, whatever the storage has. ``size`` in bytes is that of what went over the wire, or
    else of the folder.
    """

    folder: str
    uri: str
    size: int
    known: bool
    dry_run: bool = False

    def __str__(self) -> str:
        size = f"{self.size / 1e6:.1f} MB" if self.size >= 1e5 else f"{self.size / 1e3:.1f} kB"
        done = f"{'would be uploaded' if self.dry_run else 'uploaded'}, {size}"
        return f"folder {self.folder!r} {'is unchanged, nothing to upload' if self.known else done}"


def is_local(path: str) -> bool:
    return "://" not in path


def has_local(config: ServiceConfig) -> bool:
    """Whether anything in ``config`` is on this machine only."""
    files = [
        config.requirements,
        *(_own(application, config).get("pip") for application in config.applications),
    ]
    return any(is_local(path) for path in _paths(config)) or any(isinstance(file, str) for file in files)


def _paths(config: ServiceConfig) -> list[str]:
    parts = [config.model_dump(include={"working_dir", "py_modules"})]
    parts += [_own(application, config) for application in config.applications]
    folders = [part["working_dir"] for part in parts if part.get("working_dir")]
    return folders + [module for part in parts for module in part.get("py_modules") or ()]


def _own(application: Mapping[str, Any], config: ServiceConfig) -> dict[str, Any]:
    """The application's ``runtime_env`` without what the config says for all: that is never looked at."""
    shared = {"working_dir": config.working_dir, "pip": config.requirements}
    env = application.get("runtime_env") or {}
    return {name: value for name, value in env.items() if shared.get(name) is None}


def _excludes(config: ServiceConfig) -> tuple[str, ...]:
    """The patterns for a folder of all. What one of several applications excludes, another may need."""
    only = config.applications[0] if len(config.applications) == 1 else {}
    return (*((only.get("runtime_env") or {}).get("excludes") or ()), *(config.excludes or ()))


def upload_all(config: ServiceConfig, cloud_id: str, *, upload: bool = True) -> Op[ServiceConfig]:
    """``config`` with every local path replaced by the URI of its content, each folder uploaded once.

    Without ``upload`` the URIs are the same, but nothing is packed or sent.
    """
    if not has_local(config):
        return config
    changed: dict[str, Any] = {}
    if isinstance(config.requirements, str):  # first, since a mistake there is found at once
        changed["requirements"] = yield from Call(bundle.read_requirements, (config.requirements,))
    uploads = _Uploads(cloud_id, _excludes(config), upload=upload)
    changed |= yield from uploads.part(config.model_dump(include={"working_dir", "py_modules"}))
    changed["applications"] = yield from uploads.applications(config)
    return config.options(**{name: value for name, value in changed.items() if value is not None})


class _Uploads:
    """The uploads of one deploy: remembers what went where."""

    def __init__(self, cloud_id: str, excludes: tuple[str, ...], *, upload: bool) -> None:
        self.cloud_id = cloud_id
        self.excludes = excludes
        self.upload = upload
        self.done: dict[tuple[str, tuple[str, ...], bool], str] = {}

    def applications(self, config: ServiceConfig) -> Op[list[dict[str, Any]]]:
        changed = []
        for application in config.applications:
            env = yield from self.part(_own(application, config))
            changed.append(
                {**application, "runtime_env": env} if application.get("runtime_env") else application
            )
        return changed

    def part(self, part: Mapping[str, Any]) -> Op[dict[str, Any]]:
        """A mapping with ``working_dir``, ``py_modules`` and ``pip``: uploaded, and read."""
        changed = dict(part)
        excludes = (*(part.get("excludes") or ()), *self.excludes)
        if isinstance(file := part.get("pip"), str):
            changed["pip"] = yield from Call(bundle.read_requirements, (file,))
        if folder := part.get("working_dir"):
            changed["working_dir"] = yield from self.one(folder, excludes, module=False)
        if modules := part.get("py_modules"):
            uris = []
            for module in modules:
                uris.append((yield from self.one(module, excludes, module=True)))  # noqa: PERF401  # no yield in there
            changed["py_modules"] = uris
        return changed

    def one(self, path: str, excludes: tuple[str, ...], *, module: bool) -> Op[str]:
        if not is_local(path):
            return path
        key = (path, excludes, module)
        if key not in self.done:
            self.done[key] = yield from _place(
                path, excludes, self.cloud_id, module=module, upload=self.upload
            )
        return self.done[key]


def _place(folder: str, excludes: tuple[str, ...], cloud_id: str, *, module: bool, upload: bool) -> Op[str]:
    """Give a folder's URI. It is packed and sent only where the storage lacks it."""
    tree: Tree = yield from Call(bundle.survey, (folder, excludes, module))
    for left_out in tree.left_out:
        yield from Report(left_out)
    hashed: Hashed = yield from _done(bundle.hashed(tree))
    place = yield from _presign(hashed.name, cloud_id)
    size = tree.size
    if not place.file_exists:
        headers = _headers(place)
        if upload:
            size = yield from _send(hashed, place.url, headers)
    yield from Report(Uploaded(folder, place.file_uri, size, place.file_exists, dry_run=not upload))
    return place.file_uri


def _done(work: Work[T]) -> Op[T]:
    """Do work that takes its time, and tell how far it is."""
    try:
        while True:
            told: Done[T] | Any = yield from Call(bundle.step, (work,))
            if isinstance(told, Done):
                return told.value
            yield from Report(told)
    finally:
        work.close()


def _presign(name: str, cloud_id: str) -> Op[PresignedWire]:
    body = PresignRequest(file_name=name).model_dump(exclude_none=True)
    path = f"/api/v2/clouds/{cloud_id}/generate_cloud_data_bucket_presigned_url"
    return (yield from send(Request("POST", path, json=body), PresignedWire))


def _send(hashed: Hashed, url: str, headers: Mapping[str, str]) -> Op[int]:
    archive: Archive = yield from _done(bundle.packed(hashed))
    try:
        yield from _put(Upload(url, archive, headers))
        return archive.size
    finally:
        archive.close()


def _put(put: Upload) -> Op[None]:
    """The name is the content, so sending it twice does no harm."""
    described = Request("PUT", put.url)  # for error messages, which leave the signature out
    for attempt in range(1, ATTEMPTS):
        try:
            check(described, (yield from put))
        except (TransportError, UnavailableError) as error:
            yield from Report(Retrying("The upload", error.message, attempt))
            yield from backoff(attempt, error)
        else:
            return
    check(described, (yield from put))


def _headers(place: PresignedWire) -> dict[str, str]:
    if place.url_scheme not in {"http", "https"}:
        raise ConfigError(
            f"working_dir: this cloud wants uploads by {place.url_scheme!r}, which is not supported yet.",
            hint="Upload the folder as a zip yourself and give its URI.",
        )
    return {"x-ms-blob-type": "BlockBlob"} if place.file_uri.startswith(("azure", "abfss")) else {}
