"""Options that several commands have, and the client that they lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from anyservice_core.client import Client

__all__ = ["connected", "json_flag", "say", "which", "with_target"]

F = TypeVar("F", bound=Callable[..., Any])

host = click.option("--host", help="The control plane's address, or `local` for the plane on this machine.")
cloud = click.option("--cloud", help="The cloud; the organization's default if not given.")
project = click.option("--project", help="The project; the cloud's default if not given.")
config_file = click.option(
    "-f", "--config-file", "--service-config-file", help="A YAML config file to read the name from."
)
json_flag = click.option("-j", "--json", "as_json", is_flag=True, help="The same as -o json.")


def with_target(function: F) -> F:
    """The options that say which service is meant, and where."""
    for option in (
        project,
        click.option("--project-id", help="The project by its id."),
        cloud,
        host,
        config_file,
        click.option("-n", "--name", help="Name of the service."),
        click.option("--id", "--service-id", "id", help="Id of the service."),
        click.argument("service", required=False, metavar="[NAME]"),
    ):
        function = option(function)
    return function


def which(given: dict[str, Any]) -> dict[str, Any]:
    """Name or id, cloud and project from those options, taken out of ``given``."""
    name, service, file = given.pop("name"), given.pop("service"), given.pop("config_file")
    project_id, id = given.pop("project_id"), given.pop("id")
    names = {value for value in (name, service, file and _name_in(file)) if value}
    if len(names) + bool(id) != 1:
        raise click.UsageError("Say which service: a name, --id or -f with a config file, one of them.")
    name = names.pop() if names else None
    return {
        "name": name,
        "id": id,
        "cloud": given.pop("cloud"),
        "project": given.pop("project") or project_id,
    }


def _name_in(path: str) -> str:
    from anyservice_core.models.config import read_yaml

    name = read_yaml(path).get("name")
    if not isinstance(name, str) or not name:
        raise click.UsageError(f"{path}: holds no `name` of a service.")
    return name


@contextmanager
def connected(host: str | None) -> Iterator[Client]:
    """A client that tells its progress on stderr.

    The context's ``obj`` may make it, ``(host, on_report=...) -> Client``: this is how tests bring their plane.
    """
    from anyservice_core.client import Client

    make = click.get_current_context().obj or Client
    with make(host, on_report=say) as client:
        yield client


def say(event: Any) -> None:
    """A line on stderr; stdout is for results."""
    click.echo(str(event), err=True)
