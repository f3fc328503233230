"""What a user deploys: ``ServiceConfig`` and its parts, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictStr

from anyservice_core.errors import ConfigError
from anyservice_core.models.checked import Checked
from anyservice_core.models.compute import ComputeConfig, MultiResourceComputeConfig
from anyservice_core.models.yamlfile import read_yaml

__all__ = ["Connection", "RayGCSExternalStorageConfig", "ServiceConfig", "TracingConfig", "read_yaml"]

_REFUSED_HTTP = ("host", "port", "root_path")
_LITERALLY = re.compile(r"([\\*?\[\]!# ])")  # what a pattern of gitignore has a meaning for
_IMAGE = re.compile(r"([\w.-]+(:\d+)?/)?[\w./-]+(:[\w.-]+)?(@[\w.+-]+:[A-Fa-f0-9]+)?", re.ASCII)


class RayGCSExternalStorageConfig(Checked):
    """External storage for Ray's Global Control Store; customer-hosted clouds only.

    ``enabled`` switches it on, otherwise the rest is ignored. ``address`` is the Redis instance and
    ``certificate_path`` the TLS certificate to use with it; both default to the cloud's own.
    """

    enabled: bool = True
    address: str | None = None
    certificate_path: str | None = None


class TracingConfig(Checked):
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


def _written_out(given: Any) -> Any:
    """A compute config as a user writes it: a name stays one, a mapping becomes the model that it looks like."""
    if isinstance(given, Mapping):
        kind = MultiResourceComputeConfig if "configs" in given else ComputeConfig
        return kind(**{str(key): value for key, value in given.items()})
    if given is not None and not isinstance(given, str | ComputeConfig | MultiResourceComputeConfig):
        raise ValueError("is neither the name of a compute config nor one written out")
    return given


class Connection(Checked):
    """A connection to a service of somebody else's that the organization has, by type and name."""

    type: Annotated[Literal["DATABRICKS"], BeforeValidator(lambda kind: str(kind).upper())] = "DATABRICKS"
    name: Annotated[str, Field(min_length=1)]


def _connection(given: Any) -> Any:
    return Connection(**given) if isinstance(given, Mapping) else given


class ServiceConfig(Checked):
    """Everything that defines one version of a service.

    Only ``name`` and ``applications`` are needed. ``applications`` are Ray Serve's, each with an
    ``import_path`` of the form ``module:variable``. A local ``working_dir`` or ``py_modules`` entry is
    uploaded on deploy; a URI is passed on as it is. ``cloud``, ``project``, ``compute_config`` and
    the image default to the organization's; ``compute_config`` is a name such as ``gpu:3`` or a ``ComputeConfig``.
    ``version_name`` lets a retry recognise its own version; without one the server makes one up.
    ``connections`` are ids, or mappings of ``type`` and ``name``.
    Raises ``ConfigError`` naming each field that cannot work.
    """

    name: str | None = None
    version_name: str | None = None
    applications: list[dict[str, Any]]
    image_uri: str | None = None
    containerfile: str | None = None
    registry_login_secret: str | None = None
    ray_version: Annotated[str, AfterValidator(_three_numbers)] | None = None
    compute_config: Annotated[
        str | ComputeConfig | MultiResourceComputeConfig | None, BeforeValidator(_written_out)
    ] = None
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
    connections: list[Annotated[Connection | str, BeforeValidator(_connection)]] | None = None

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

    def without_file(self, path: str | Path) -> Self:
        """A copy whose local ``working_dir`` leaves this file out, if it lies there.

        For what steers a deploy and is no part of the build: edited, it must not make another one.
        """
        if not self.working_dir or "://" in self.working_dir:
            return self
        root, file = (Path(one).expanduser().resolve() for one in (self.working_dir, path))
        if not file.is_relative_to(root):
            return self
        pattern = _LITERALLY.sub(r"\\\1", file.relative_to(root).as_posix())
        return self.options(excludes=[*(self.excludes or ()), f"/{pattern}"])

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
    if config.image_uri is not None and not _IMAGE.fullmatch(config.image_uri.strip()):
        yield f"image_uri: {config.image_uri!r} is not of the form [host/]name[:tag][@digest]"
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
