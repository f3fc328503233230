"""Between what a user writes and reads and what goes over the wire. Pure, both ways.

On the way out, ``working_dir``, ``py_modules``, ``requirements``, ``env_vars`` and ``py_executable``
have no place of their own: they are folded into each application's ``runtime_env``, over what the
application says itself (lists after what it lists). On the way back they are left there, as the server gives no other form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from anyservice_core.models.config import RayGCSExternalStorageConfig, ServiceConfig, TracingConfig
from anyservice_core.models.enums import ServiceVersionState, news, service_error, service_state
from anyservice_core.models.status import ServiceCheck, ServiceId, ServiceStatus, ServiceVersionStatus
from anyservice_core.models.wire import (
    AccessWire,
    ApplyConfig,
    ApplyService,
    ChecklistItem,
    ExternalStorageWire,
    GrpcProtocol,
    Protocols,
    ServiceWire,
    TracingWire,
    VersionWire,
)

__all__ = ["apply_from_config", "apply_from_version", "config_from_version", "service_id", "status_from_wire"]

_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_LISTS = ("py_modules", "excludes")
_SERVE_OPTIONS = {"http_options": dict, "grpc_options": dict, "logging_config": dict, "proxy_location": str}


# ── out ─────────────────────────────────────────────────────────────────────


def apply_from_config(
    config: ServiceConfig, *, build_id: str, compute_config_id: str, project_id: str | None, **rollout: Any
) -> ApplyService:
    """The body that deploys ``config``, whose local folders and requirements file are resolved already.

    ``rollout`` takes ``canary_percent``, ``max_surge_percent`` and ``rollout_strategy``.
    """
    return ApplyService(
        name=config.name or "",
        project_id=project_id,
        version=config.version_name,
        ray_serve_config=serve_config(config),
        build_id=build_id,
        compute_config_id=compute_config_id,
        config=_apply_config(config),
        ray_gcs_external_storage_config=_storage(config.ray_gcs_external_storage_config),
        tracing_config=config.tracing_config and TracingWire(**config.tracing_config.model_dump()),
        tags=config.tags,
        connection_ids=config.connections,
        **rollout,
    )


def apply_from_version(service: ServiceWire, version: VersionWire, canary_percent: int) -> ApplyService:
    """The body that only moves the weight of a version that the server has already."""
    return ApplyService(
        name=service.name,
        project_id=service.project_id or None,
        version=version.version or None,
        ray_serve_config=version.ray_serve_config,
        build_id=version.build_id,
        compute_config_id=version.compute_config_id,
        ray_gcs_external_storage_config=version.ray_gcs_external_storage_config,
        tracing_config=version.tracing_config,
        connection_ids=version.connection_ids or None,
        canary_percent=canary_percent,
    )


def serve_config(config: ServiceConfig) -> dict[str, Any]:
    """``ray_serve_config``: the applications with the shared ``runtime_env`` folded in, and Serve's options."""
    shared = _shared_runtime_env(config)
    applications = [_with_runtime_env(application, shared) for application in config.applications]
    options = {name: getattr(config, name) for name in _SERVE_OPTIONS if getattr(config, name)}
    return {"applications": applications, **options}


def _shared_runtime_env(config: ServiceConfig) -> dict[str, Any]:
    shared = {
        "working_dir": config.working_dir,
        "py_modules": config.py_modules,
        "pip": config.requirements,
        "excludes": config.excludes,
        "py_executable": config.py_executable,
        "env_vars": config.env_vars,
    }
    return {name: value for name, value in shared.items() if value is not None}


def _with_runtime_env(application: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    own = application.get("runtime_env") or {}
    # Lists add up: what an application brings of its own it still needs.
    added = {name: [*own[name], *shared[name]] for name in _LISTS if own.get(name) and name in shared}
    merged = {**own, **shared, **added}
    if own.get("env_vars") and "env_vars" in shared:
        merged["env_vars"] = {**own["env_vars"], **shared["env_vars"]}
    return {**application, "runtime_env": merged} if merged else dict(application)


def _apply_config(config: ServiceConfig) -> ApplyConfig:
    grpc = config.grpc_options or {}
    names = [str(name) for name in grpc.get("service_names") or ()]
    return ApplyConfig(
        access=AccessWire(use_bearer_token=config.query_auth_token_enabled),
        protocols=Protocols(grpc=GrpcProtocol(enabled=bool(names), service_names=names)),
        env_vars=config.env_vars,
    )


def _storage(config: RayGCSExternalStorageConfig | None) -> ExternalStorageWire | None:
    if config is None:
        return None
    path = config.certificate_path or _CERTIFICATES
    return ExternalStorageWire(enable=config.enabled, address=config.address, redis_certificate_path=path)


# ── back ────────────────────────────────────────────────────────────────────


def status_from_wire(service: ServiceWire, *, project: str | None = None) -> ServiceStatus:
    """A service as a user reads it. States that are news to this client become ``UNKNOWN``."""
    primary, canary = service.primary_version, service.canary_version
    read = {version.id: _version(service, version) for version in _all_versions(service)}
    state = service_state(service.current_state)
    return ServiceStatus(
        id=service.id,
        name=service.name,
        state=state,
        query_url=service.base_url,
        query_auth_token=service.auth_token,
        creator=service.creator and service.creator.email,
        project=project,
        primary_version=primary and read[primary.id],
        canary_version=canary and read[canary.id],
        versions=[read[version.id] for version in service.versions],
        error_message=service_error(service.current_state, service.error_message),
        raw_state=news(service.current_state, state),
        checklist=list(_checks(service)),
    )


def _checks(service: ServiceWire) -> Iterator[ServiceCheck]:
    """What all versions share comes first, then each version's own."""
    seen = service.service_status_checklist
    if seen is None:
        return
    yield from (_check(item, None) for item in seen.shared)
    names = {version.id: version.version for version in _all_versions(service)}
    for part in seen.per_version:
        yield from (_check(item, names.get(part.version_id) or part.version_id) for item in part.items)


def _check(item: ChecklistItem, version: str | None) -> ServiceCheck:
    return ServiceCheck(
        label=item.label,
        state=item.state,
        message=item.message or "",
        version=version,
        since=item.observed_at,
    )


def _all_versions(service: ServiceWire) -> list[VersionWire]:
    """Every version that it tells of, in whatever place."""
    return [v for v in (service.primary_version, service.canary_version, *service.versions) if v]


def _version(service: ServiceWire, version: VersionWire) -> ServiceVersionStatus:
    state = ServiceVersionState(version.current_state)
    return ServiceVersionStatus(
        id=version.id,
        name=version.version,
        state=state,
        weight=version.weight,
        created_at=version.created_at,
        config=config_from_version(service, version),
        raw_state=news(version.current_state, state),
    )


def config_from_version(service: ServiceWire, version: VersionWire) -> ServiceConfig:
    """The config of a running version, as far as the server gives it back.

    It is built without checks: what another client deployed must be readable here, whatever it holds.
    """
    serve = version.ray_serve_config
    return ServiceConfig.model_construct(
        _fields_set=None,
        name=service.name,
        version_name=version.version or None,
        applications=[one for one in _of_kind(serve, "applications", list) if isinstance(one, dict)],
        query_auth_token_enabled=service.auth_token is not None,
        ray_gcs_external_storage_config=_read_storage(version.ray_gcs_external_storage_config),
        tracing_config=_read_tracing(version.tracing_config),
        **{name: found for name, kind in _SERVE_OPTIONS.items() if (found := _of_kind(serve, name, kind))},
    )


def _of_kind(serve: Mapping[str, Any], name: str, kind: type) -> Any:
    """What is there, if it is what it should be, else nothing."""
    found = serve.get(name)
    return found if isinstance(found, kind) else kind()


def _read_storage(wire: ExternalStorageWire | None) -> RayGCSExternalStorageConfig | None:
    if wire is None:
        return None
    return RayGCSExternalStorageConfig(
        enabled=wire.enable, address=wire.address, certificate_path=wire.redis_certificate_path
    )


def _read_tracing(wire: TracingWire | None) -> TracingConfig | None:
    return None if wire is None else TracingConfig.model_construct(**wire.model_dump())


def service_id(service: ServiceWire, version: VersionWire | None, home: str) -> ServiceId:
    """What a deploy gives back; ``home`` is the control plane's address."""
    return ServiceId(
        service.id,
        version_id=version.id if version else "",
        version_name=version.version if version else "",
        service_name=service.name,
        query_url=service.base_url,
        console_url=f"{home}/services/{service.id}",
    )
