"""What a user deploys: ``ServiceConfig`` and its parts, checked before anything is sent."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr, ValidationError

from anyservice_core.errors import ConfigError
from anyservice_core.models.yamlfile import read_yaml

__all__ = ["RayGCSExternalStorageConfig", "ServiceConfig", "TracingConfig", "read_yaml"]

_SECRET_FIELDS = frozenset({"env_vars"})
_REFUSED_HTTP = ("host", "port", "root_path")


class _Model(BaseModel):
    """Frozen, strict about names, and never raises pydantic's own error at a user."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    if not TYPE_CHECKING:  # the type checker shall see the fields, not this

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise _config_error(type(self), error) from None
            if problem := self._problem():
                raise ConfigError(f"{type(self).__name__}: {problem}.")

    def _problem(self) -> str | None:
        """What does not fit together. Asked of what users make, never of what servers have: see ``mapping.py``."""
        return None

    def options(self, **fields: Any) -> Self:
        """A copy with these fields overwritten, checked like a new one."""
        own = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**{**own, **fields})

    def to_dict(self) -> dict[str, Any]:
        """Only plain JSON values; fields that are ``None`` are left out."""
        return {k: v for k, v in self.model_dump(mode="json").items() if v is not None}


class RayGCSExternalStorageConfig(_Model):
    """External storage for Ray's Global Control Store; customer-hosted clouds only.

    ``enabled`` switches it on, otherwise the rest is ignored. ``address`` is the Redis instance and
    ``certificate_path`` the TLS certificate to use with it; both default to the cloud's own.
    """

    enabled: bool = True
    address: str | None = None
    certificate_path: str | None = None


class TracingConfig(_Model):
    """Telemetry of the requests that an application handles; customer-hosted clouds only.

    ``exporter_import_path`` names a function without arguments that returns ``list[SpanProcessor]``;
    ``sampling_ratio`` is the share of requests to record, 0 to 1.
    """

    enabled: bool = True
    exporter_import_path: str | None = None
    sampling_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0


def _three_numbers(version: str) -> str:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"{version!r} is not of the form X.Y.Z, for example 2.60.0")
    return version


class ServiceConfig(_Model):
    """Everything that defines one version of a service.

    Only ``name`` and ``applications`` are needed. ``applications`` are Ray Serve's, each with an
    ``import_path`` of the form ``module:variable``. A local ``working_dir`` or ``py_modules`` entry is
    uploaded on deploy; a URI is passed on as it is. ``cloud``, ``project``, ``compute_config`` and
    the image default to the organization's. ``version_name`` lets a retry recognise its own version.
    Raises ``ConfigError`` naming each field that cannot work.
    """

    name: str | None = None
    version_name: str | None = None
    applications: list[dict[str, Any]]
    image_uri: str | None = None
    containerfile: str | None = None
    registry_login_secret: str | None = None
    ray_version: Annotated[str, AfterValidator(_three_numbers)] | None = None
    compute_config: str | dict[str, Any] | None = None
    working_dir: str | None = None
    excludes: list[str] | None = None
    requirements: str | list[str] | None = None
    env_vars: dict[str, StrictStr] | None = Field(default=None, repr=False)  # may hold secrets
    py_modules: list[str] | None = None
    py_executable: str | None = None
    cloud: str | None = None
    project: str | None = None
    query_auth_token_enabled: bool = True
    http_options: dict[str, Any] | None = None
    grpc_options: dict[str, Any] | None = None
    logging_config: dict[str, Any] | None = None
    proxy_location: str | None = None
    ray_gcs_external_storage_config: RayGCSExternalStorageConfig | None = None
    tracing_config: TracingConfig | None = None
    tags: dict[str, str] | None = None
    connections: list[str] | None = None

    def _problem(self) -> str | None:
        return next(_problems(self), None)

    @classmethod
    def from_yaml(cls, path: str | Path, *, base: str | Path | None = None) -> Self:
        """Read a YAML file. Relative paths in it are seen from ``base``, by default the working directory.

        Raises ``ConfigError`` naming file, line and column where the YAML is broken.
        """
        return cls.parse(read_yaml(path), base=base)

    @classmethod
    def parse(cls, source: Self | Mapping[str, Any] | str | Path, *, base: str | Path | None = None) -> Self:
        """A config from a config, a mapping or the path of a YAML file."""
        if isinstance(source, cls):
            return source
        if isinstance(source, str | Path):
            return cls.from_yaml(source, base=base)
        if not isinstance(source, Mapping):
            raise ConfigError(
                f"A service config must be a mapping of fields, not {type(source).__name__}.",
                hint="Give at least `name` and `applications`.",
            )
        config = cls(**{str(key): value for key, value in source.items()})
        return config if base is None else config._seen_from(Path(base))

    def _seen_from(self, base: Path) -> Self:
        moved: dict[str, Any] = {}
        for name in ("working_dir", "containerfile"):
            if value := getattr(self, name):
                moved[name] = _join(base, value)
        if isinstance(self.requirements, str):
            moved["requirements"] = _join(base, self.requirements)
        if self.py_modules:
            moved["py_modules"] = [_join(base, module) for module in self.py_modules]
        return self.options(**moved)


def _join(base: Path, path: str) -> str:
    return path if "://" in path else str(base / Path(path).expanduser())


def _problems(config: ServiceConfig) -> Iterator[str]:
    if not config.applications:
        yield "applications: empty; at least one is needed, such as {import_path: 'main:app'}"
    for index, application in enumerate(config.applications):
        if problem := _application_problem(application):
            yield f"applications.{index}.{problem}"
    if config.image_uri and config.containerfile:
        yield "image_uri and containerfile exclude each other; keep one"
    if config.registry_login_secret and not config.image_uri:
        yield "registry_login_secret goes with an image_uri"
    for option in _REFUSED_HTTP:
        if option in (config.http_options or {}):
            yield f"http_options.{option} is the platform's to choose; leave it out"
    if str(config.proxy_location).lower() == "disabled":
        yield "proxy_location: 'Disabled' would leave the service without a door; leave it out"


def _application_problem(application: Mapping[str, Any]) -> str | None:
    path = application.get("import_path")
    if path is None:
        return "import_path: missing; it names the application as 'module:variable'"
    if not isinstance(path, str) or not re.fullmatch(r"[^:]+:[^:]+", path):
        return f"import_path: {path!r} is not of the form 'module:variable'"
    return None


def _config_error(kind: type[BaseModel], error: ValidationError) -> ConfigError:
    lines = [_line(kind, detail) for detail in error.errors(include_url=False)]
    said = "; ".join(lines)
    return ConfigError(f"{kind.__name__}: {said}" + ("" if said.endswith("?") else "."))


def _line(kind: type[BaseModel], detail: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{where}: no such field{_did_you_mean(where, kind)}"
    if detail["type"] == "missing":
        return f"{where}: missing"
    quote = detail["type"] == "string_type" and not isinstance(detail["input"], dict | list | None)
    said = "must be text; put it in quotes" if quote else str(detail["msg"])
    said = said.removeprefix("Value error, ").rstrip(".")
    if not where:
        return said
    given = detail["input"]
    secret = detail["loc"][0] in _SECRET_FIELDS or not isinstance(given, str | int | float | bool)
    return f"{where}: {said}" if secret else f"{where}: {said}, not {given!r}"


def _did_you_mean(name: str, kind: type[BaseModel]) -> str:
    close = difflib.get_close_matches(name, kind.model_fields, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
