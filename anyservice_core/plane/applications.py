"""What a deploy asks for is looked at before anything is written, and what could never start is refused by its name.

Only what the plane itself reads has to have a shape: whatever else Ray Serve knows is passed on to it, and its own
refusal is the reason with which the deploy ends.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from anyservice_core.errors import RejectedError
from anyservice_core.models.wire import ApplyService
from anyservice_core.plane.bundles import Bundles

__all__ = ["MOST_APPLICATIONS", "check_deploy"]

MOST_APPLICATIONS: Final = 100
LONGEST_KEPT_S: Final = 86_400  # an idle connection of a client
Text: TypeAlias = Annotated[str, Field(pattern=r"^[^\x00]*$")]
Variable: TypeAlias = Annotated[str, Field(pattern=r"^[^\x00=]+$")]
Variables: TypeAlias = dict[Variable, Text]


class _Shape(BaseModel):
    """Part of a request; what it does not name may be anything."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)


class _Packages(_Shape):
    packages: list[Text] = []


class _Environment(_Shape):
    working_dir: Text | None = None
    py_modules: list[Text] | None = None
    env_vars: Variables | None = None
    pip: list[Text] | _Packages | None = None
    uv: list[Text] | _Packages | None = None
    py_executable: Text | None = None


class _Application(_Shape):
    import_path: Annotated[str, Field(pattern=r"^\w[\w.]*:\w[\w.]*$")]
    name: Text | None = None
    route_prefix: Annotated[str, Field(pattern=r"^/[^\x00]*$")] | None = None
    args: dict[str, Any] | None = None
    runtime_env: _Environment | None = None


class _Grpc(_Shape):
    grpc_servicer_functions: list[Text] | None = None


class _Http(_Shape):
    keep_alive_timeout_s: Annotated[int, Field(ge=1, le=LONGEST_KEPT_S)] | None = None


class _Serve(_Shape):
    applications: Annotated[list[_Application], Field(min_length=1, max_length=MOST_APPLICATIONS)]
    http_options: _Http | None = None
    grpc_options: _Grpc | None = None
    logging_config: dict[str, Any] | None = None


class _Config(_Shape):
    env_vars: Variables | None = None


class _Deploy(_Shape):
    name: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    version: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    description: Annotated[str, Field(max_length=10_000)] | None = None
    tags: (
        Annotated[
            dict[Annotated[str, Field(min_length=1, max_length=256)], Annotated[str, Field(max_length=256)]],
            Field(max_length=100),
        ]
        | None
    ) = None
    connection_ids: Annotated[list[str], Field(max_length=100)] | None = None
    config: _Config | None = None
    ray_serve_config: _Serve


def check_deploy(wanted: ApplyService, bundles: Bundles) -> None:
    """Look at what a deploy asks for.

    Raises:
        pydantic.ValidationError: a part has another shape; naming each.
        RejectedError: it names a directory that this plane does not have.
    """
    seen = _Deploy.model_validate(wanted.model_dump(mode="json"), strict=True)
    for number, application in enumerate(seen.ray_serve_config.applications):
        environment = application.runtime_env or _Environment()
        where = f"applications[{number}].runtime_env"
        for directory in filter(None, [environment.working_dir]):
            bundles.check(directory, field=f"{where}.working_dir")
        for module in environment.py_modules or ():
            bundles.check(module, field=f"{where}.py_modules")
    _check_prefixes(seen.ray_serve_config)


def _check_prefixes(serve: _Serve) -> None:
    """Refuse two applications at one place; one without a prefix is at ``/``, one with null at none."""
    given = [
        application.route_prefix if "route_prefix" in application.model_fields_set else "/"
        for application in serve.applications
    ]
    for prefix in filter(None, given):
        if given.count(prefix) > 1:
            raise RejectedError(
                f"ray_serve_config.applications: route_prefix '{prefix}' is given to {given.count(prefix)} of them.",
                hint="Give each its own.",
                status=422,
            )
