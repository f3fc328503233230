"""``anyservice deploy``: a config file, flags over it, or an import path alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from anyservice_core.cli.lazy import Command
from anyservice_core.cli.manners import with_output
from anyservice_core.cli.options import cloud, config_path, connected, connection, pairs, project
from anyservice_core.cli.types import PERCENT

if TYPE_CHECKING:
    from anyservice_core.models import ServiceConfig, ServiceId

__all__ = ["deploy"]


@click.command(cls=Command)
@click.argument("import_path", required=False, metavar="[IMPORT_PATH]")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "-f",
    "--config-file",
    type=click.Path(),
    help="A YAML config file; `-` reads it from stdin. Options overwrite what it says.",
)
@click.option("-n", "--name", help="Name of the service.  [default: the workspace's]")
@click.option("--version-name", help="Name of this version; a deploy run again finds its version by it.")
@click.option(
    "--canary-percent",
    type=PERCENT,
    help="Give the new version this percent of the traffic and hold it there; without it, the traffic moves by "
    "itself until the new version has all. Means nothing for a service that does not run yet.",
)
@click.option(
    "--max-surge-percent",
    type=PERCENT,
    help="Excess capacity allowed meanwhile, in percent.  [default: 100]",
)
@click.option(
    "-i",
    "--in-place",
    is_flag=True,
    help="Update the running version instead of starting another; image and compute stay.",
)
@click.option(
    "-w",
    "--working-dir",
    type=click.Path(),
    help="A local folder, uploaded when it has changed, or the URI of a zip.",
)
@click.option(
    "-e",
    "--exclude",
    "excludes",
    multiple=True,
    help="Pattern left out of uploads, as .gitignore has them; repeatable, added to the file's.",
)
@click.option(
    "-r", "--requirements", type=click.Path(), help="A requirements.txt to install on top of the image."
)
@click.option(
    "--py-module",
    "py_modules",
    type=click.Path(),
    multiple=True,
    help="A local folder to import from; repeatable.",
)
@click.option(
    "--env", multiple=True, metavar="KEY=VALUE", help="Environment variable; repeatable, added to the file's."
)
@click.option("--image-uri", help="The image; exclusive with --containerfile.")
@click.option("--registry-login-secret", help="Secret with the registry's credentials, for --image-uri.")
@click.option(
    "--containerfile",
    type=click.Path(),
    help="A containerfile to build the image from; exclusive with --image-uri.",
)
@click.option("--ray-version", help="The Ray version (X.Y.Z) in the image.")
@click.option("--compute-config", help="A registered compute config: name or name:version.")
@click.option("--connection", "connections", multiple=True, help="Id of a connection to use; repeatable.")
@click.option(
    "--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Tag; repeatable, added to the file's."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would be sent and how it differs from what is live; send, upload and build nothing. Values of "
    "variables and what else looks like a secret are hidden.",
)
@cloud
@project
@connection
@with_output("text", "table", "json", "yaml")
def deploy(
    *,
    link: dict[str, Any],
    import_path: str | None,
    arguments: tuple[str, ...],
    config_file: str | None,
    dry_run: bool,
    **given: Any,
) -> None:
    r"""Deploy a service, or a new version of it, from a file or from an import path.

    Prints the service's id and returns as soon as the control plane has taken it; `anyservice wait` waits for it.

    \b
      anyservice deploy -f service.yaml
      anyservice deploy -f service.yaml --canary-percent 10 --version-name v2 --dry-run
      anyservice deploy -f service.yaml --canary-percent 10 --version-name v2
      anyservice deploy main:app size=large -n recommender -w .
    """
    from anyservice_core.cli import render

    options = {name: given.pop(name) for name in ("canary_percent", "max_surge_percent", "in_place")}
    config = _config(config_file, import_path, arguments, given)
    if dry_run:
        with connected(link) as client:
            found = client.preview(config, **options)
        render.show_preview(found)
        return
    with connected(link) as client:
        deployed = client.deploy(config, **options)
    render.show_id(_fields(deployed))


def _fields(deployed: ServiceId) -> dict[str, str]:
    names = ("service_name", "version_id", "version_name", "query_url", "console_url")
    return {"id": str(deployed), **{name: getattr(deployed, name) for name in names}}


def _config(
    file: str | None, import_path: str | None, arguments: Sequence[str], given: dict[str, Any]
) -> ServiceConfig:
    from anyservice_core.models.config import ServiceConfig, read_yaml

    if file and import_path:
        raise click.UsageError(f"-f {file} and {import_path!r} both say what to deploy; give one of them.")
    if file:
        with _named_in_errors(file):
            return ServiceConfig.parse(_overwritten(read_yaml(config_path(file)), given))
    if import_path:
        fields = {"applications": [_application(import_path, arguments)]}
        return ServiceConfig.parse(_overwritten(fields, given))
    raise click.UsageError("Say what to deploy: -f with a config file, or an import path such as main:app.")


@contextmanager
def _named_in_errors(file: str) -> Iterator[None]:
    """What is wrong with a config is wrong in its file."""
    from anyservice_core.errors import ConfigError

    try:
        yield
    except ConfigError as error:
        message = error.message.replace("/dev/stdin", "stdin")
        start = "ServiceConfig: "
        if message.startswith(start):
            message = f"{'stdin' if file == '-' else file}: {message.removeprefix(start)}"
        raise ConfigError(message, hint=error.hint) from None


def _application(import_path: str, arguments: Sequence[str]) -> dict[str, Any]:
    args = pairs("ARGUMENTS", arguments)
    return {"import_path": import_path, **({"args": args} if args else {})}


def _overwritten(fields: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The file's fields with the options over them; those that come in lists and pairs are added."""
    env, tags = pairs("--env", given.pop("env")), pairs("--tag", given.pop("tags"))
    excludes = [*given.pop("excludes")]
    flags = {name: [*value] if isinstance(value, tuple) else value for name, value in given.items() if value}
    merged = {**fields, **flags}
    for name, more in (("env_vars", env), ("tags", tags)):
        if more and isinstance(own := fields.get(name) or {}, dict):
            merged[name] = {**own, **more}
    # What is of another kind in the file is left for the model to refuse.
    if excludes and isinstance(own := fields.get("excludes") or [], list):
        merged["excludes"] = [*own, *excludes]
    return merged
