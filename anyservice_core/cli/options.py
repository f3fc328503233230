"""Options that several commands have, and the client that they lead to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from anyservice_core.cli import progress

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from anyservice_core.client import Client

__all__ = [
    "Target",
    "cloud",
    "config_path",
    "connected",
    "connection",
    "name_in",
    "pairs",
    "project",
    "resolved_link",
    "service_names",
    "with_target",
]

F = TypeVar("F", bound=Callable[..., Any])

LOCAL: Final = "local"
_COMPLETION_S: Final = 2.0
_NEVER: Final = (
    "A token on a command line can be read by everyone on this machine (ps shows it) and stays in the history "
    "of your shell. Put it into ANYSERVICE_CLI_TOKEN, or into a file and give --token-file."
)


# ── where, and as whom ──────────────────────────────────────────────────────


def _refuse_token(_ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(_NEVER)


def connection(function: F) -> F:
    """``--host --local --token-file``, given to the command as ``link``, which ``connected`` takes."""

    def gather(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        link: dict[str, Any] = ctx.params.setdefault("link", {})
        if param.name and value:
            link[param.name] = value
        return value

    for option in (
        click.option("--token", hidden=True, expose_value=False, callback=_refuse_token),
        click.option(
            "--token-file",
            type=click.Path(dir_okay=False, allow_dash=True),
            expose_value=False,
            callback=gather,
            help="File that holds the token; `-` reads it from stdin.",
        ),
        click.option(
            "--local",
            is_flag=True,
            expose_value=False,
            callback=gather,
            help="The plane on this machine; the same as --host local.",
        ),
        click.option(
            "--host",
            expose_value=False,
            callback=gather,
            help="The control plane's address, or `local` for the plane on this machine.",
        ),
    ):
        function = option(function)
    return function


@contextmanager
def connected(
    link: dict[str, Any], *, tell: Callable[[Any], None] | None = None, **options: Any
) -> Iterator[Client]:
    """A client that tells its progress on stderr, or to ``tell``; ``options`` are more of ``Client``'s.

    The context's ``obj`` may make it, ``(host, on_report=...) -> Client``: this is how tests bring their plane.
    """
    from anyservice_core.client import Client

    host, token = resolved_link(link)
    if token:
        options["token"] = token
    make = click.get_current_context().obj or Client
    with progress.listener() as told, make(host, on_report=tell or told, **options) as client:
        yield client


def resolved_link(link: dict[str, Any]) -> tuple[str | None, str | None]:
    """Host and token as the options say; ``None`` where they say nothing."""
    return _host(link), _token(link.get("token_file"))


def _host(link: dict[str, Any]) -> str | None:
    host: str | None = link.get("host")
    if link.get("local") and host not in {None, LOCAL}:
        raise click.UsageError("--local and --host exclude each other; give one of them.")
    return LOCAL if link.get("local") else host


def _token(path: str | None) -> str | None:
    from anyservice_core.errors import ConfigError

    if path is None:
        return None
    try:
        with click.open_file(path, encoding="utf-8") as file:
            token: str = file.read().strip()
    except OSError as error:
        raise ConfigError(f"--token-file: cannot read {path!r}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"--token-file: {path!r} is not a text file.") from None
    if not token:
        raise ConfigError(f"--token-file: {path!r} is empty.")
    return token


def pairs(option: str, values: Sequence[str]) -> dict[str, str]:
    """``key=value`` texts as a mapping; a value may be empty and hold more of ``=``."""
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.UsageError(f"{option}: {value!r} is not of the form key=value.")
    return dict(value.split("=", 1) for value in values)


# ── which service ───────────────────────────────────────────────────────────


def service_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names that begin so, for the shell: one request, and nothing at all when it does not answer at once."""
    from click.shell_completion import CompletionItem

    from anyservice_core.client import Client
    from anyservice_core.models.wire import ServiceWire
    from anyservice_core.operations.lookup import SERVICES
    from anyservice_core.operations.paging import PAGE_SIZE, page

    make = ctx.find_root().obj or Client
    asked = page(SERVICES, ServiceWire, {"name": incomplete or None, "count": PAGE_SIZE})
    try:
        with make(_host(ctx.params.get("link", {})), timeout_s=_COMPLETION_S) as client:
            found = [service.name for service in client.run(asked).results]
    except Exception:  # noqa: BLE001  # a shell that completes has no place for errors
        return []
    return [CompletionItem(name) for name in sorted({*found}) if name.startswith(incomplete)]


cloud = click.option("--cloud", help="The cloud.  [default: the organization's, or the workspace's]")
project = click.option("--project", help="The project.  [default: the cloud's, or the workspace's]")


class Target:
    """Which service a command is about, as the options of ``with_target`` say."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.file = given.pop("config_file")
        named = (given.pop("name"), given.pop("service"), self.file and name_in(self.file))
        self.names = {name for name in named if name}
        self.id = given.pop("id")
        self.cloud = given.pop("cloud")
        self.project = given.pop("project") or given.pop("project_id")
        given.pop("project_id", None)
        self._check()

    def _check(self) -> None:
        said = len(self.names) + bool(self.id)
        if said > 1:
            each = ", ".join([*sorted(self.names), *([self.id] if self.id else [])])
            raise click.UsageError(f"Say which service is meant only once, not as {each}.")
        if not said and not os.environ.get("ANYSCALE_EXPERIMENTAL_WORKSPACE_ID"):
            raise click.UsageError("Say which service: its name, --id, or -f with its config file.")

    @property
    def name(self) -> str | None:
        return next(iter(self.names), None)

    def __str__(self) -> str:
        return self.name or self.id or "the service of this workspace"

    def arguments(self) -> dict[str, Any]:
        """What the client's methods take."""
        return {"name": self.name, "id": self.id, "cloud": self.cloud, "project": self.project}


def with_target(function: F) -> F:
    """The options that say which service is meant, and where."""
    for option in (
        connection,
        click.option("--project-id", help="The project by its id."),
        project,
        cloud,
        click.option(
            "-f",
            "--config-file",
            "--service-config-file",
            type=click.Path(),
            help="A YAML config file to read the name from. The third spelling is deprecated.",
        ),
        click.option("--id", "--service-id", "id", help="Id of the service."),
        click.option("-n", "--name", shell_complete=service_names, help="Name of the service."),
        click.argument("service", required=False, metavar="[NAME]", shell_complete=service_names),
    ):
        function = option(function)
    return function


def name_in(path: str) -> str:
    """The name of the service that a config file is of."""
    from anyservice_core.models.config import read_yaml

    name = read_yaml(config_path(path)).get("name")
    if not isinstance(name, str) or not name:
        raise click.UsageError(f"{path}: holds no `name` of a service.")
    return name


def config_path(path: str) -> str:
    """A path as the models read it: ``-`` is stdin."""
    return "/dev/stdin" if path == "-" else path
