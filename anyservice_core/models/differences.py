"""What differs between a version that is live and what a deploy would make of it, place by place. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anyservice_core.models.hiding import HIDDEN, hide, is_secret
from anyservice_core.models.preview import Change
from anyservice_core.models.wire import ApplyService, ServiceWire, VersionWire

__all__ = ["asked_for", "changes", "shown"]


def changes(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[Change]:
    """Every place where the two differ, in the order of ``after``, with secrets hidden."""
    if _is_part(before, Mapping) and _is_part(after, Mapping):
        old, new = before or {}, after or {}
        for key in {**new, **old}:
            yield from changes(old.get(key), new.get(key), (*path, str(key)))
    elif _is_listing(before) and _is_listing(after):
        yield from _of_lists(before or (), after or (), path)
    elif before != after:
        yield _change(before, after, path)


def _is_part(value: Any, kind: type) -> bool:
    """An empty one is something to show as it is."""
    return value is None or (isinstance(value, kind) and bool(value))


def _is_listing(value: Any) -> bool:
    """A list of mappings, such as applications; one of words is compared as a whole."""
    return value is None or (_is_part(value, list) and all(isinstance(item, Mapping) for item in value))


def _of_lists(before: Sequence[Any], after: Sequence[Any], path: tuple[str, ...]) -> Iterator[Change]:
    for name in {**_named(after), **_named(before)}:
        yield from changes(_named(before).get(name), _named(after).get(name), (*path, name))


def _named(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By their names, where all have one of their own, else by their number."""
    names = [str(item.get("name") or "") for item in items]
    by_name = all(names) and len({*names}) == len(names)
    return {
        name if by_name else str(number): item
        for number, (name, item) in enumerate(zip(names, items, strict=True))
    }


def _change(before: Any, after: Any, path: tuple[str, ...]) -> Change:
    old, new = hide(before, path), hide(after, path)
    if old == new:  # what differs is hidden
        new = f"{HIDDEN[:-1]}, another)" if is_secret(path) else new
    return Change(path=".".join(path), before=old, after=new)


# ── the two sides ───────────────────────────────────────────────────────────


def asked_for(body: ApplyService) -> dict[str, Any]:
    """The part of a deploy that a live version shows too."""
    access = {"access": body.config.access.model_dump()} if body.config else {}
    said = {
        "version": body.version,
        "ray_serve_config": body.ray_serve_config,
        "build_id": body.build_id,
        "compute_config_id": body.compute_config_id,
        "config": access,
        "ray_gcs_external_storage_config": _dump(body.ray_gcs_external_storage_config),
        "tracing_config": _dump(body.tracing_config),
        "connection_ids": body.connection_ids,
    }
    return {name: value for name, value in said.items() if value not in (None, {}, [])}


def shown(service: ServiceWire, version: VersionWire, body: ApplyService) -> dict[str, Any]:
    """The same of a version that is live, where it can be compared."""
    said = {
        "version": version.version if body.version else None,  # else the server makes one up
        "ray_serve_config": version.ray_serve_config,
        "build_id": version.build_id,
        "compute_config_id": version.compute_config_id,
        "config": {"access": {"use_bearer_token": service.auth_token is not None}} if body.config else {},
        "ray_gcs_external_storage_config": _dump(version.ray_gcs_external_storage_config),
        "tracing_config": _dump(version.tracing_config),
        "connection_ids": version.connection_ids,
    }
    return {name: value for name, value in said.items() if value not in (None, {}, [])}


def _dump(part: Any) -> dict[str, Any] | None:
    """Storage and tracing that are switched off are as if there were none."""
    given = part.model_dump(mode="json", exclude_none=True) if part else {}
    return given if given.get("enable", given.get("enabled")) else None
